//! Conditional batches over several partitions as one Accord transaction.
//!
//! ```text
//! BEGIN TRANSACTION
//!   LET r0 = (SELECT gd, fe FROM app.s200 WHERE pk = ? AND kind = 0 AND ck = 0x AND ver = 0);
//!   …
//!   SELECT r0.gd, r0.fe, …;
//!   IF r0.gd < ? AND r0.fe IS NULL AND … THEN UPDATE …; DELETE …; END IF
//! COMMIT TRANSACTION
//! ```
//!
//! There is no `[applied]`: the answer is what was there before, and tells whether the conditions
//! held. A LET names a whole primary key, and nothing compares two of them, so values are bound
//! (Cassandra 6.0, `doc/modules/cassandra/pages/developing/cql/transactions.adoc`).

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use scylla::response::query_result::QueryRowsResult;

use super::Cassandra;
use super::cql::{Bound_, Names, name};
use super::failure::{Trouble, trouble};
use super::native::Natives;
use super::prepared::Use;
use super::rows::{Value, decode_cells};
use crate::kv::lwt::partitions::*;

/// What one transaction may reach; beyond it commits are intents and a verdict. The manual
/// advises few partitions; forty were seen to take no more than their parts.
pub(super) const REACH: Reach = Reach { partitions: 32, rows: 64 };

/// A transaction: its text and values, and the tests of the cells that it answers with.
pub(super) struct Transaction<'a> {
    pub statement: Bound_,
    pub tests: Vec<&'a Test>,
    /// The highest column id in its values.
    pub highest: u16,
}

/// The transaction of some batches, each with the columns of its table.
pub(super) fn transaction<'a>(
    names: &Names,
    batches: &'a [Batch],
    natives: &[Arc<Natives>],
) -> Transaction<'a> {
    let (mut lets, mut shown, mut tested) = (String::new(), String::new(), String::new());
    let (mut let_values, mut test_values, mut updates) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tests, mut highest) = (Vec::new(), 0);
    let mut count = 0;
    for (batch, natives) in batches.iter().zip(natives) {
        for (row, conditions) in batch.demanded() {
            let cells: Vec<&str> = conditions.iter().map(|c| name(c.column)).collect();
            let _ = write!(lets, "LET r{count} = (SELECT {} FROM", cells.join(", "));
            names.add_place(&mut lets, &mut let_values, &batch.partition, row);
            lets += "); ";
            for condition in conditions {
                let cell = format!("r{count}.{}", name(condition.column));
                let (and, comma) = if tests.is_empty() { ("", "") } else { (" AND ", ", ") };
                let _ = write!(shown, "{comma}{cell}");
                let _ = write!(tested, "{and}{cell}");
                match &condition.test {
                    Test::Is(None) => tested += " IS NULL",
                    Test::Is(Some(value)) => {
                        tested += " = ?";
                        test_values.push(Value::blob(value));
                    }
                    Test::Below(value) => {
                        tested += " < ?";
                        test_values.push(Value::blob(value));
                    }
                }
                tests.push(&condition.test);
            }
            count += 1;
        }
        highest = names.updates(batch, natives, &mut updates).max(highest);
    }
    let mut values = let_values;
    values.append(&mut test_values);
    let mut then = String::new();
    for (text, mut bound) in updates {
        then += &text;
        then += "; ";
        values.append(&mut bound);
    }
    let text = format!(
        "BEGIN TRANSACTION {lets}SELECT {shown}; IF {tested} THEN {then}END IF COMMIT TRANSACTION"
    );
    Transaction { statement: (text, values), tests, highest }
}

/// Whether the conditions held of what was there before.
fn held(tests: &[&Test], answer: &QueryRowsResult) -> Result<Applied, Trouble> {
    let cells = decode_cells(answer, tests.len())?;
    let holds = |(test, cell): (&&Test, Option<Bytes>)| match test {
        Test::Is(expected) => cell == *expected,
        Test::Below(bound) => cell.is_some_and(|cell| cell < *bound),
    };
    Ok(match tests.iter().zip(cells).all(holds) {
        true => Applied::Yes,
        false => Applied::No,
    })
}

impl Cassandra {
    pub(super) async fn send_transaction(&self, batches: &[Batch]) -> Result<Applied, Trouble> {
        let mut natives = Vec::with_capacity(batches.len());
        for batch in batches {
            natives.push(self.natives(batch.partition.table).await?);
        }
        let mut made = transaction(&self.names, batches, &natives);
        let mut newer = false;
        for (batch, known) in batches.iter().zip(&mut natives) {
            let table = batch.partition.table;
            if let Some(natives) = self.newer_natives(table, known, made.highest).await? {
                (*known, newer) = (natives, true);
            }
        }
        if newer {
            made = transaction(&self.names, batches, &natives);
        }
        let (text, values) = made.statement;
        let statement = self.prepared.get(&self.session, text, Use::Conditional).await?;
        let answer = self.session.execute_unpaged(&statement, &values).await;
        let answer = answer.map_err(|e| trouble(&e))?;
        let answer = answer.into_rows_result().map_err(|e| Trouble::Defect(e.to_string()))?;
        held(&made.tests, &answer)
    }
}
