//! Prepared statements: parsed, bound and planned once, run many times.

use std::sync::Arc;

use super::Session;
use super::client::Field;
use crate::error::{Error, Result, SqlState};
use crate::sql::{self, ParsedStatement, StatementKind};
use crate::types::{BaseType, SqlType, pg_type};

/// Most parameters a statement may have: their count is sent in two bytes.
const PARAMETERS_MAX: usize = 65_535;

/// A statement ready to run.
pub struct Prepared {
    /// What was parsed; none: an empty text.
    pub parsed: Option<Arc<ParsedStatement>>,
    /// The text to show for it.
    pub text: Arc<str>,
    /// Types of its parameters.
    pub parameters: Arc<[SqlType]>,
    /// Columns of its rows; none: it gives no rows.
    pub fields: Option<Arc<[Field]>>,
}

impl Prepared {
    /// What kind of statement it is; none: an empty text.
    pub fn kind(&self) -> Option<&StatementKind> {
        self.parsed.as_deref().map(|parsed| &parsed.kind)
    }
}

impl Session {
    /// Prepares a text of at most one statement.
    pub(super) fn prepare_text(&mut self, text: &str, types: &[u32]) -> Result<Prepared> {
        if types.len() > PARAMETERS_MAX {
            return Err(Error::new(SqlState::TOO_MANY_ARGUMENTS, "too many parameters"));
        }
        let types = types.iter().map(|oid| parameter_type(*oid)).collect::<Result<Vec<_>>>()?;
        let mut statements = sql::parse(text)?;
        if statements.len() > 1 {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        match statements.pop() {
            Some(parsed) => self.prepare(Arc::new(parsed), types),
            None => Ok(Prepared {
                parsed: None,
                text: Arc::from(text),
                parameters: Arc::from(&[][..]),
                fields: None,
            }),
        }
    }

    /// Binds and plans a statement. Parameters without a type get theirs from where they stand.
    pub(super) fn prepare(
        &mut self,
        parsed: Arc<ParsedStatement>,
        types: Vec<Option<SqlType>>,
    ) -> Result<Prepared> {
        self.check_not_failed(&parsed.kind)?;
        let fields = match &parsed.kind {
            StatementKind::Show(name) => Some(self.show_fields(name.as_deref())?),
            StatementKind::Explain(..) => Some(vec![Field::new("QUERY PLAN", SqlType::TEXT)]),
            _ => None,
        };
        let text = parsed.text.clone();
        let parameters = types.into_iter().map(|ty| ty.unwrap_or(SqlType::TEXT)).collect();
        Ok(Prepared { text, parsed: Some(parsed), parameters, fields: fields.map(Arc::from) })
    }
}

/// The type that a client declares for a parameter; none: left open.
fn parameter_type(oid: u32) -> Result<Option<SqlType>> {
    if oid == 0 || oid == BaseType::Unknown as u32 {
        return Ok(None);
    }
    match pg_type::by_oid(oid) {
        Some(ty) => Ok(Some(ty)),
        None => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type with OID {oid} does not exist"),
        )),
    }
}
