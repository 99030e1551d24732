//! Prepared statements, by text and use.

use std::collections::HashMap;

use parking_lot::RwLock;
use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use super::failure::Trouble;

/// Statements kept. Shapes are few and tables are many; beyond this all are prepared anew.
const STATEMENTS_MAX: usize = 20_000;

/// How a statement is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Use {
    /// QUORUM, repeatable.
    Read,
    /// SERIAL.
    SerialRead,
    /// QUORUM, repeatable: it has its own write time.
    Write,
    /// Part of a conditional batch.
    Conditional,
}

/// The cache.
#[derive(Default)]
pub(super) struct Prepared {
    statements: RwLock<HashMap<(Use, String), PreparedStatement>>,
}

impl Prepared {
    /// A statement, prepared if it is not yet.
    pub async fn get(
        &self,
        session: &Session,
        text: String,
        usage: Use,
    ) -> Result<PreparedStatement, Trouble> {
        let key = (usage, text);
        if let Some(statement) = self.statements.read().get(&key) {
            return Ok(statement.clone());
        }
        let mut statement = session.prepare(key.1.as_str()).await?;
        statement.set_consistency(match usage {
            Use::SerialRead => Consistency::Serial,
            _ => Consistency::Quorum,
        });
        statement.set_is_idempotent(matches!(usage, Use::Read | Use::Write));
        statement.set_use_cached_result_metadata(true);
        let mut statements = self.statements.write();
        if statements.len() >= STATEMENTS_MAX {
            statements.clear();
        }
        statements.insert(key, statement.clone());
        Ok(statement)
    }

    /// Forgets the statements that name a table, given as it stands in them.
    pub fn forget(&self, table: &str) {
        self.statements.write().retain(|(_, text), _| !text.contains(table));
    }
}
