//! `pg_advisory_lock` and its family.

use super::control::void;
use crate::error::Result;
use crate::functions::call::arg;
use crate::functions::{AdvisoryKey, AdvisoryRequest, EvalContext};
use crate::types::Datum;

/// One `bigint`, or two `integer`s.
fn key(a: &[Datum]) -> Result<AdvisoryKey> {
    Ok(match a.len() {
        1 => AdvisoryKey::One(arg(a, 0)?),
        _ => AdvisoryKey::Two(arg(a, 0)?, arg(a, 1)?),
    })
}

fn take(
    context: &EvalContext,
    a: &[Datum],
    exclusive: bool,
    transaction: bool,
    wait: bool,
) -> Result<bool> {
    let request = AdvisoryRequest { key: key(a)?, exclusive, transaction, wait };
    context.session.state.hooks()?.lock(request)
}

pub(super) fn lock(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    take(context, a, true, false, true).map(|_| void())
}

pub(super) fn lock_shared(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    take(context, a, false, false, true).map(|_| void())
}

pub(super) fn try_lock(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    take(context, a, true, false, false).map(Datum::Bool)
}

pub(super) fn try_lock_shared(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    take(context, a, false, false, false).map(Datum::Bool)
}

pub(super) fn xact_lock(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    take(context, a, true, true, true).map(|_| void())
}

pub(super) fn xact_lock_shared(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    take(context, a, false, true, true).map(|_| void())
}

pub(super) fn try_xact_lock(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    take(context, a, true, true, false).map(Datum::Bool)
}

pub(super) fn try_xact_lock_shared(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    take(context, a, false, true, false).map(Datum::Bool)
}

pub(super) fn unlock(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    context.session.state.hooks()?.unlock(key(a)?, true).map(Datum::Bool)
}

pub(super) fn unlock_shared(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    context.session.state.hooks()?.unlock(key(a)?, false).map(Datum::Bool)
}

pub(super) fn unlock_all(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    context.session.state.hooks()?.unlock_all().map(|()| void())
}
