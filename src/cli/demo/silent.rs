//! Sessions of the demo itself, whose client only wants to know of errors.

use std::sync::Arc;

use bytes::BytesMut;

use crate::error::{Error, Result};
use crate::session::registry::Registration;
use crate::session::{
    Client, CopyInput, Database, Field, Mark, Notice, NoticeSeverity, ResultFormats, Session,
};
use crate::types::Datum;
use crate::types::io::FormatSettings;

/// A session that nobody is connected to.
pub(super) struct Quiet {
    session: Session,
    _registration: Registration,
}

impl Quiet {
    /// Starts it.
    pub fn start(database: &Arc<Database>, user: &str, name: &str) -> Result<Quiet> {
        let registration = database.registry.register(None)?;
        let backend = registration.backend.clone();
        let session = Session::start(database.clone(), backend, user, name, &[])?;
        Ok(Quiet { session, _registration: registration })
    }

    /// Runs statements.
    pub async fn run(&mut self, sql: String) -> Result<()> {
        self.session.query(&mut Silent::default(), sql.into()).await
    }
}

/// A client that is told nothing.
#[derive(Default)]
struct Silent {
    said: u64,
}

impl Client for Silent {
    fn describe(&mut self, _: &[Field], _: &ResultFormats) {}

    fn row(
        &mut self,
        _: &[Datum],
        _: &[Field],
        _: &ResultFormats,
        _: &FormatSettings,
    ) -> Result<()> {
        self.said += 1;
        Ok(())
    }

    fn complete(&mut self, _: &str) {
        self.said += 1;
    }

    fn take_back_completion(&mut self) {}

    fn empty_query(&mut self) {}

    fn suspended(&mut self) {}

    fn notice(&mut self, notice: &Notice) {
        if notice.severity >= NoticeSeverity::Warning {
            tracing::warn!(report = ?notice.report, "while making the sample");
        }
    }

    fn parameter(&mut self, _: &str, _: &str) {}

    fn mark(&self) -> Mark {
        Mark(self.said)
    }

    fn rewind(&mut self, mark: Mark) -> bool {
        self.said = mark.0;
        true
    }

    fn is_full(&self) -> bool {
        false
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn copy_out(&mut self, _: bool, _: usize) {}

    fn copy_data(&mut self, _: &[u8]) {}

    fn copy_done(&mut self) {}

    async fn copy_in(&mut self, _: bool, _: usize) -> Result<()> {
        Err(Error::unsupported("COPY FROM STDIN without a client"))
    }

    async fn copy_input(&mut self, _: &mut BytesMut) -> Result<CopyInput> {
        Err(Error::unsupported("COPY FROM STDIN without a client"))
    }
}
