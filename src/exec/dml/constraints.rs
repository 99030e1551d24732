//! NOT NULL, CHECK, and what a violation says.

use crate::error::{Error, Result, SqlState};
use crate::exec::context::ExecContext;
use crate::plan::node::{CheckSpec, Target};
use crate::types::descriptor::{IndexDescriptor, TableDescriptor};
use crate::types::{Datum, io};

/// Longest value shown in a message, as PostgreSQL's `maxfieldlen`.
const SHOWN_BYTES_MAX: usize = 64;

fn shown(ctx: &ExecContext<'_>, table: &TableDescriptor, at: usize, datum: &Datum) -> String {
    let settings = &ctx.eval.session.format;
    let Some(mut text) = io::to_text(datum, table.columns[at].ty, settings) else {
        return "null".to_owned();
    };
    if text.len() > SHOWN_BYTES_MAX {
        let mut end = SHOWN_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("...");
    }
    text
}

fn failing_row(ctx: &ExecContext<'_>, table: &TableDescriptor, row: &[Datum]) -> String {
    let values: Vec<String> =
        row.iter().enumerate().map(|(at, d)| shown(ctx, table, at, d)).collect();
    format!("Failing row contains ({}).", values.join(", "))
}

/// Checks a row that is to be stored.
///
/// # Errors
/// 23502, 23514, and what the conditions raise.
pub async fn check_row(
    ctx: &mut ExecContext<'_>,
    target: &Target,
    checks: &[CheckSpec],
    row: &[Datum],
) -> Result<()> {
    let table = &target.table;
    for at in &target.not_null {
        if row[*at].is_null() {
            let column = &table.columns[*at].name;
            let message = format!(
                "null value in column \"{column}\" of relation \"{}\" violates not-null constraint",
                table.name
            );
            return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message)
                .with_detail(failing_row(ctx, table, row))
                .with_table(&table.schema, &table.name)
                .with_column(column));
        }
    }
    for check in checks {
        // A condition that is NULL holds.
        if matches!(ctx.value(&check.condition, row, &[]).await?, Datum::Bool(false)) {
            let message = format!(
                "new row for relation \"{}\" violates check constraint \"{}\"",
                table.name, check.name
            );
            return Err(Error::new(SqlState::CHECK_VIOLATION, message)
                .with_detail(failing_row(ctx, table, row))
                .with_table(&table.schema, &table.name)
                .with_constraint(&check.name));
        }
    }
    Ok(())
}

/// The error of a row whose key is there already.
pub fn duplicate(
    ctx: &ExecContext<'_>,
    target: &Target,
    index: &IndexDescriptor,
    row: &[Datum],
) -> Error {
    let table = &target.table;
    let mut names = Vec::with_capacity(index.columns.len());
    let mut values = Vec::with_capacity(index.columns.len());
    let settings = &ctx.eval.session.format;
    for column in &index.columns {
        let Some(at) = table.columns.iter().position(|c| c.id == column.column) else { continue };
        let ty = table.columns[at].ty;
        names.push(crate::catalog::quote_ident(&table.columns[at].name).into_owned());
        values.push(io::to_text(&row[at], ty, settings).unwrap_or_else(|| "null".to_owned()));
    }
    let message = format!("duplicate key value violates unique constraint \"{}\"", index.name);
    Error::new(SqlState::UNIQUE_VIOLATION, message)
        .with_detail(format!("Key ({})=({}) already exists.", names.join(", "), values.join(", ")))
        .with_table(&table.schema, &table.name)
        .with_constraint(&index.name)
}
