//! SQL queries over two small tables, with PostgreSQL 15's answers (`queries.txt`).

use super::tables::{bind, cases, filled, text};
use crate::error::Result;

const EXPECTED: &str = include_str!("queries.txt");

#[tokio::test]
async fn answers_are_postgresqls() -> Result<()> {
    let (db, tables) = filled().await?;
    let mut wrong = Vec::new();
    for (query, expected) in cases(EXPECTED) {
        let found = match bind(&db, &tables, query) {
            Ok((statement, columns)) => match db.run(statement).await {
                Ok(rows) => text(&rows, &columns),
                Err(e) => vec![format!("{e:?}")],
            },
            Err(e) => vec![format!("binder: {e:?}")],
        };
        if found != expected {
            wrong.push(format!("{query}\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// Rewrites, access paths and join methods change no answer.
#[tokio::test]
async fn rewritten_plans_answer_as_written_ones() -> Result<()> {
    let (db, tables) = filled().await?;
    for (query, _) in cases(EXPECTED).iter().filter(|(q, _)| !q.starts_with("with recursive")) {
        let (statement, columns) = bind(&db, &tables, query)?;
        let written = text(&db.run_as_written(&statement).await?, &columns);
        let rewritten = text(&db.run(statement).await?, &columns);
        assert_eq!(rewritten, written, "{query}");
    }
    Ok(())
}
