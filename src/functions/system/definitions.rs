//! Definitions of objects as SQL, and their comments.

use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::call::{arg, one, optional, two};
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
    one(a, |oid: u32| context.catalog.constraint_definition(oid))
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
