//! Sequences: `nextval`, `currval`, `setval`, `lastval` and what describes them.

use crate::error::{Error, Result, SqlState};
use crate::functions::call::{arg, optional};
use crate::functions::{EvalContext, SequenceCounter};
use crate::types::Datum;

/// `nextval(sequence)`
pub(super) fn next(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let sequence = sequence(context, arg(a, 0)?)?;
    refuse_read_only(context, "nextval()")?;
    sequence.next(context.session.backend_pid).map(Datum::Int8)
}

/// `currval(sequence)`
pub(super) fn current(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let sequence = sequence(context, arg(a, 0)?)?;
    match sequence.current(context.session.backend_pid) {
        Some(value) => Ok(Datum::Int8(value)),
        None => Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "currval of sequence \"{}\" is not yet defined in this session",
                sequence.name()
            ),
        )),
    }
}

/// `lastval()`
pub(super) fn last(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    let session = context.session.backend_pid;
    let sequence = context.catalog.last_sequence(session);
    let sequence = sequence.and_then(|oid| context.catalog.sequence(oid));
    match sequence.and_then(|sequence| sequence.current(session)) {
        Some(value) => Ok(Datum::Int8(value)),
        None => Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "lastval is not yet defined in this session",
        )),
    }
}

/// `setval(sequence, value [, is_called])`
pub(super) fn set(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let sequence = sequence(context, arg(a, 0)?)?;
    let value: i64 = arg(a, 1)?;
    let called: bool = optional(a, 2)?.unwrap_or(true);
    refuse_read_only(context, "setval()")?;
    sequence.set(value, called, context.session.backend_pid)?;
    Ok(Datum::Int8(value))
}

/// `pg_sequence_last_value(sequence)`
pub(super) fn last_value(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let last = sequence(context, arg(a, 0)?)?.last()?;
    Ok(last.map_or(Datum::Null, Datum::Int8))
}

fn sequence(context: &EvalContext, oid: u32) -> Result<Box<dyn SequenceCounter + '_>> {
    context.catalog.sequence(oid).ok_or_else(|| match context.catalog.relation_name(oid) {
        Some((_, name)) => {
            Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a sequence"))
        }
        None => {
            Error::new(SqlState::UNDEFINED_TABLE, format!("could not open relation with OID {oid}"))
        }
    })
}

fn refuse_read_only(context: &EvalContext, what: &str) -> Result<()> {
    let setting = context.session.settings.get("transaction_read_only");
    if setting.is_some_and(|value| value == "on") {
        return Err(Error::new(
            SqlState::READ_ONLY_SQL_TRANSACTION,
            format!("cannot execute {what} in a read-only transaction"),
        ));
    }
    Ok(())
}
