//! One type for several expressions: CASE, COALESCE, ARRAY, VALUES, UNION, IN (manual, 10.5).

use super::super::ast::Offset;
use super::super::bound::Expr;
use super::Binder;
use super::coerce::can_coerce;
use crate::error::{Error, Result, SqlState};
use crate::functions::CastContext;
use crate::types::SqlType;

/// The types that have no common one, and which of the list the second is.
pub(super) struct Mismatch {
    left: SqlType,
    right: SqlType,
    /// Where in the list.
    pub index: usize,
}

impl Mismatch {
    /// The message, about `context` ("CASE", "UNION", …).
    pub(super) fn message(&self, context: &str) -> String {
        format!("{context} types {} and {} cannot be matched", self.left, self.right)
    }
}

/// The common type of a list, without a modifier.
pub(super) fn common_type(types: impl IntoIterator<Item = SqlType>) -> Result<SqlType, Mismatch> {
    let mut types = types.into_iter();
    let mut common = types.next().unwrap_or(SqlType::UNKNOWN).plain();
    for (index, next) in types.enumerate() {
        if next.same(SqlType::UNKNOWN) || next.same(common) {
            continue;
        }
        let next = next.plain();
        if common.same(SqlType::UNKNOWN) {
            common = next;
        } else if common.category() != next.category() {
            return Err(Mismatch { left: common, right: next, index: index + 1 });
        } else if !common.is_preferred()
            && can_coerce(common, next, CastContext::Implicit)
            && !can_coerce(next, common, CastContext::Implicit)
        {
            common = next;
        }
    }
    Ok(if common.same(SqlType::UNKNOWN) { SqlType::TEXT } else { common })
}

/// The modifier that all expressions of the common type share, or none.
pub(super) fn common_modifier(types: impl IntoIterator<Item = SqlType>, common: SqlType) -> i32 {
    let mut shared = None;
    for ty in types {
        if !ty.same(common) || shared.is_some_and(|typmod| typmod != ty.typmod) {
            return -1;
        }
        shared = Some(ty.typmod);
    }
    shared.unwrap_or(-1)
}

impl Binder<'_> {
    /// Brings expressions to their common type, with the modifier they share.
    pub(super) fn unify(
        &mut self,
        exprs: Vec<Expr>,
        places: &[Offset],
        context: &str,
    ) -> Result<(Vec<Expr>, SqlType)> {
        let types = || exprs.iter().map(Expr::ty);
        let mut common = common_type(types()).map_err(|mismatch| {
            let at = places.get(mismatch.index).copied().unwrap_or_default();
            self.error(SqlState::DATATYPE_MISMATCH, mismatch.message(context), at)
        })?;
        common.typmod = common_modifier(types(), common);
        let mut out = Vec::with_capacity(exprs.len());
        for (i, expr) in exprs.into_iter().enumerate() {
            let at = places.get(i).copied().unwrap_or_default();
            out.push(self.coerce_to_common(expr, common, context, at)?);
        }
        Ok((out, common))
    }

    /// One of several expressions as their common type.
    pub(super) fn coerce_to_common(
        &mut self,
        expr: Expr,
        common: SqlType,
        context: &str,
        at: Offset,
    ) -> Result<Expr> {
        let from = expr.ty();
        if from.same(common) {
            return Ok(expr);
        }
        if !can_coerce(from, common, CastContext::Implicit) {
            return Err(self.no_conversion(context, from, common, at));
        }
        self.coerce(expr, common, at)
    }

    pub(super) fn no_conversion(
        &self,
        context: &str,
        from: SqlType,
        to: SqlType,
        at: Offset,
    ) -> Error {
        let message = format!("{context} could not convert type {from} to {to}");
        self.error(SqlState::CANNOT_COERCE, message, at)
    }
}
