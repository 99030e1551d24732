//! Types, relations and functions by name and by OID.

use crate::error::{Result, SqlState};
use crate::functions::call::{one, optional};
use crate::functions::casts::{
    find_type, functions_in, operators_in, procedure, relation, split_name,
};
use crate::functions::{EvalContext, Function, FunctionKind, all_operators, function_by_oid};
use crate::types::{BaseType, Datum, SqlType, pg_type};

/// `format_type(oid, typmod)`: a NULL typmod asks for the bare name.
pub(super) fn format_type(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (oid, typmod) = (optional::<u32>(a, 0)?, optional::<i32>(a, 1)?);
    let Some(oid) = oid else { return Ok(Datum::Null) };
    Ok(Datum::text(match pg_type::by_oid(oid) {
        None if oid == 0 => "-".to_owned(),
        None => "???".to_owned(),
        // Without any modifier, not even -1, what SQL calls character is meant.
        Some(SqlType { base: BaseType::Bpchar, is_array, .. }) if typmod.is_none() => {
            if is_array { "character[]" } else { "character" }.to_owned()
        }
        Some(ty) => pg_type::format_type(SqlType { typmod: typmod.unwrap_or(-1), ..ty }),
    }))
}

fn oid_or_null(oid: Option<u32>) -> Datum {
    oid.map_or(Datum::Null, Datum::Oid)
}

pub(super) fn to_regclass(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| relation(context, name).map(oid_or_null))
}

pub(super) fn to_regtype(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| oid_or_null(find_type(name).map(SqlType::oid)))
}

pub(super) fn to_regnamespace(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| {
        Ok(oid_or_null(split_name(name)?.pop().and_then(|n| context.catalog.schema_oid(&n))))
    })
}

pub(super) fn to_regrole(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| {
        Ok(oid_or_null(split_name(name)?.pop().and_then(|n| context.catalog.role_oid(&n))))
    })
}

pub(super) fn to_regproc(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| {
        Ok(match functions_in(name)? {
            [one] => Datum::Oid(one.oid),
            _ => Datum::Null,
        })
    })
}

pub(super) fn to_regprocedure(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| procedure(name).map(oid_or_null))
}

pub(super) fn to_regoper(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| match operators_in(name) {
        [one] => Datum::Oid(one.oid),
        _ => Datum::Null,
    })
}

/// `regclass(text)`
pub(super) fn text_to_regclass(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| crate::functions::text_in(context, name, SqlType::of(BaseType::Regclass)))
}

/// Whether the search path finds this relation under its bare name.
pub(super) fn table_is_visible(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| {
        let (_, name) = context.catalog.relation_name(oid)?;
        let found = context.catalog.relation_oid(None, &name, &context.session.search_path);
        Some(found == Some(oid))
    })
}

/// Types, functions and operators all lie in `pg_catalog`, which is always searched.
pub(super) fn type_is_visible(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| pg_type::by_oid(oid).map(|_| true))
}

pub(super) fn function_is_visible(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| function_by_oid(oid).map(|_| true))
}

pub(super) fn operator_is_visible(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| all_operators().iter().any(|o| o.oid == oid).then_some(true))
}

/// Operator classes, collations and conversions are built in, and so visible.
pub(super) fn builtin_is_visible(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| (oid != 0).then_some(true))
}

pub(super) fn user_by_id(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| {
        context.catalog.role_name(oid).unwrap_or_else(|| format!("unknown (OID={oid})"))
    })
}

fn argument_list(f: &Function) -> String {
    let last = f.args.len().saturating_sub(1);
    let args = f.args.iter().enumerate().map(|(i, ty)| {
        let name = pg_type::format_type(*ty);
        if f.variadic && i == last { format!("VARIADIC {name}") } else { name }
    });
    args.collect::<Vec<_>>().join(", ")
}

pub(super) fn function_arguments(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| function_by_oid(oid).map(argument_list))
}

pub(super) fn function_result(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |oid: u32| {
        function_by_oid(oid).map(|f| {
            let set = matches!(f.kind, FunctionKind::Set(..));
            format!("{}{}", if set { "SETOF " } else { "" }, pg_type::format_type(f.result))
        })
    })
}

/// `parse_ident(text [, strict])`: the parts of a qualified name.
pub(super) fn parse_ident(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |name: &str| {
        let parts = split_name(name).map_err(|_| {
            crate::error::Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("string is not a valid identifier: \"{name}\""),
            )
        })?;
        let values = parts.into_iter().map(Datum::text).collect();
        Ok(crate::types::Array::new(BaseType::Text, values))
    })
}
