//! Definitions of objects as SQL, and their comments.

use crate::error::{Error, Result, SqlState};
use crate::functions::call::{arg, one, optional, two};
use crate::functions::casts::{relation, split_name};
use crate::functions::{EvalContext, quote_identifier};
use crate::types::Datum;

/// `pg_get_expr(tree, relation [, pretty])`: expressions are kept as SQL.
pub(super) fn expression(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, Datum::clone)
}

/// `pg_get_indexdef(index [, column, pretty])`
pub(super) fn index(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let column: i32 = optional(a, 1)?.unwrap_or(0);
    one(a, |oid: u32| context.catalog.index_definition(oid, column))
}

/// `pg_get_constraintdef(constraint [, pretty])`
pub(super) fn constraint(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| context.catalog.constraint_definition(oid, &context.session.search_path))
}

/// There are no views, rules, triggers, partitions or extended statistics: of none of them is
/// there a definition.
pub(super) fn nothing(_: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Null)
}

/// The location of a tablespace: the built-in ones have none.
pub(super) fn no_location(_: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::text(""))
}

/// `obj_description(object [, catalog])`, `shobj_description(object, catalog)`
pub(super) fn comment(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let class: &str = optional(a, 1)?.unwrap_or("");
    one(a, |oid: u32| context.catalog.comment(oid, class, 0))
}

/// `col_description(table, column)`
pub(super) fn column_comment(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    two(a, |oid: u32, column: i32| context.catalog.comment(oid, "pg_class", column))
}

/// Whether a relation could be published: every table could.
pub(super) fn is_publishable(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let oid: u32 = arg(a, 0)?;
    Ok(context.catalog.relation_name(oid).map_or(Datum::Null, |_| Datum::Bool(true)))
}

/// `pg_get_serial_sequence(table, column)`: the name of the sequence that the column owns.
pub(super) fn serial_sequence(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (table, column): (&str, &str) = (arg(a, 0)?, arg(a, 1)?);
    let missing = |code, what: String| Error::new(code, format!("{what} does not exist"));
    let Some(oid) = relation(context, table)? else {
        let name = split_name(table)?.join(".");
        return Err(missing(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\"")));
    };
    match context.catalog.column_sequence(oid, column) {
        Some(Some((schema, name))) => {
            Ok(Datum::text(format!("{}.{}", quote_identifier(&schema), quote_identifier(&name))))
        }
        Some(None) => Ok(Datum::Null),
        None => {
            let name = context.catalog.relation_name(oid).map_or_else(String::new, |n| n.1);
            let what = format!("column \"{column}\" of relation \"{name}\"");
            Err(missing(SqlState::UNDEFINED_COLUMN, what))
        }
    }
}
