//! INSERT, UPDATE and DELETE one after the other, with PostgreSQL 15's answers (`writes.txt`).

use super::tables::{bind, cases, filled, text};
use crate::error::{Error, Result};

const EXPECTED: &str = include_str!("writes.txt");

/// An error as `psql` prints it, without the fields about where it was raised.
fn lines_of(error: &Error) -> Vec<String> {
    let fields = error.fields();
    let mut lines = vec![format!("ERROR: {}: {}", fields.code, fields.message)];
    lines.extend(fields.detail.iter().map(|d| format!("DETAIL: {d}")));
    lines.extend(fields.hint.iter().map(|h| format!("HINT: {h}")));
    lines
}

#[tokio::test]
async fn answers_are_postgresqls() -> Result<()> {
    let (db, tables) = filled().await?;
    let mut wrong = Vec::new();
    for (statement, mut expected) in cases(EXPECTED) {
        let mut found = match bind(&db, &tables, statement) {
            Ok((bound, columns)) => match db.run(bound).await {
                Ok(rows) => text(&rows, &columns),
                Err(e) => lines_of(&e),
            },
            Err(e) => vec![format!("binder: {e:?}")],
        };
        if !statement.contains("order by") {
            found.sort();
            expected.sort();
        }
        if found != expected {
            wrong.push(format!("{statement}\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}
