//! Runs portals: rows to the client, then the command tag.

use std::borrow::Cow;

use super::Session;
use super::client::Client;
use super::extended::{Portal, PortalState};
use crate::error::{Error, Result, SqlState};
use crate::sql::StatementKind;
use crate::types::Row;

/// What a statement that is no query came to.
pub struct Outcome {
    /// Its tag.
    pub tag: Cow<'static, str>,
    /// Its rows; none: it gives none.
    pub rows: Option<Vec<Row>>,
}

impl Outcome {
    /// A tag and nothing else.
    pub fn tag(tag: impl Into<Cow<'static, str>>) -> Outcome {
        Outcome { tag: tag.into(), rows: None }
    }
}

impl Session {
    /// Runs a portal, or runs it on: at most `rows_max` rows; 0 is all. Ends with the tag, or with
    /// `PortalSuspended`.
    pub(super) async fn run(
        &mut self,
        client: &mut impl Client,
        portal: &mut Portal,
        rows_max: usize,
    ) -> Result<()> {
        if let PortalState::Ready = portal.state {
            let Some(parsed) = portal.prepared.parsed.clone() else {
                client.empty_query();
                return Ok(());
            };
            let outcome = self.utility(client, &parsed).await;
            for notice in self.notices.drain(..) {
                client.notice(&notice);
            }
            let Outcome { tag, rows } = outcome?;
            match rows {
                Some(rows) => portal.state = PortalState::Held(rows.into_iter()),
                None => {
                    portal.state = PortalState::Done;
                    client.complete(&tag);
                    return Ok(());
                }
            }
        }
        self.send_held(client, portal, rows_max).await
    }

    /// Sends rows that are all here already.
    async fn send_held(
        &mut self,
        client: &mut impl Client,
        portal: &mut Portal,
        rows_max: usize,
    ) -> Result<()> {
        let info = self.environment.info(&mut self.settings);
        let fields = portal.prepared.fields.clone().unwrap_or_default();
        let mut sent = 0;
        match &mut portal.state {
            PortalState::Held(rows) => {
                for row in rows.by_ref() {
                    client.row(&row, &fields, &portal.formats, &info.format)?;
                    if client.is_full() {
                        client.flush().await?;
                    }
                    sent += 1;
                    if sent == rows_max {
                        client.suspended();
                        return Ok(());
                    }
                }
                portal.state = PortalState::Done;
            }
            PortalState::Done if portal.prepared.fields.is_none() => {
                return Err(Error::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "portal cannot be run",
                ));
            }
            PortalState::Ready | PortalState::Done => {}
        }
        let tag = match portal.prepared.kind() {
            Some(StatementKind::Show(_)) => Cow::Borrowed("SHOW"),
            Some(StatementKind::Explain(..)) => Cow::Borrowed("EXPLAIN"),
            _ => Cow::Owned(format!("SELECT {sent}")),
        };
        client.complete(&tag);
        Ok(())
    }
}
