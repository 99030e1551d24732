//! What the session and the server are.

use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::functions::call::{Uuid, arg, one, optional};
use crate::types::{Array, BaseType, Datum, SqlType};

/// The schema of the system's own relations, searched first though no path names it.
const CATALOG: &str = "pg_catalog";

pub(super) fn version(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    let compatible = context.session.settings.get("server_version").map_or("15", String::as_str);
    Ok(Datum::text(format!("PostgreSQL {compatible} (Sluice {})", env!("CARGO_PKG_VERSION"))))
}

pub(super) fn session_user(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::text(&*context.session.session_user))
}

pub(super) fn current_user(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::text(&*context.session.current_user))
}

pub(super) fn current_database(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::text(&*context.session.database))
}

/// Schemas of the path that exist; the catalog's own only if `implicit`.
fn schemas(context: &EvalContext, implicit: bool) -> impl Iterator<Item = &str> {
    let path = context.session.search_path.iter().map(String::as_str);
    path.filter(move |name| implicit || *name != CATALOG)
        .filter(|name| context.catalog.schema_oid(name).is_some())
}

pub(super) fn current_schema(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(schemas(context, false).next().map_or(Datum::Null, Datum::text))
}

pub(super) fn current_schemas(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |implicit: bool| {
        Array::new(BaseType::Name, schemas(context, implicit).map(Datum::text).collect())
    })
}

/// `current_setting(name [, missing_ok])`
pub(super) fn current_setting(context: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let (name, missing_ok): (&str, bool) = (arg(a, 0)?, optional(a, 1)?.unwrap_or(false));
    match context.session.settings.get(&name.to_ascii_lowercase()) {
        Some(value) => Ok(Datum::text(&**value)),
        None if missing_ok => Ok(Datum::Null),
        None => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )),
    }
}

pub(super) fn backend_pid(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Int4(context.session.backend_pid))
}

/// There is no recovery, no temporary schema of another, no row security.
pub(super) fn no(_: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(false))
}

/// No temporary schema.
pub(super) fn no_oid(_: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Oid(0))
}

pub(super) fn type_of(_: &EvalContext, types: &[SqlType], _: &[Datum]) -> Result<Datum> {
    Ok(types.first().map_or(Datum::Null, |ty| Datum::Oid(ty.oid())))
}

pub(super) fn count_nulls(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(Datum::Int4(a.iter().filter(|d| d.is_null()).count() as i32))
}

pub(super) fn count_values(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    Ok(Datum::Int4(a.iter().filter(|d| !d.is_null()).count() as i32))
}

/// A random uuid (version 4).
pub(super) fn random_uuid(context: &EvalContext, _: &[Datum]) -> Result<Datum> {
    let mut bytes = [0; 16];
    context.clock.random(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(Datum::Uuid(Uuid(bytes).0))
}

/// Encodings by PostgreSQL's numbers.
const ENCODINGS: [&str; 42] = [
    "SQL_ASCII",
    "EUC_JP",
    "EUC_CN",
    "EUC_KR",
    "EUC_TW",
    "EUC_JIS_2004",
    "UTF8",
    "MULE_INTERNAL",
    "LATIN1",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "WIN1256",
    "WIN1258",
    "WIN866",
    "WIN874",
    "KOI8R",
    "WIN1251",
    "WIN1252",
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "WIN1250",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1257",
    "KOI8U",
    "SJIS",
    "BIG5",
    "GBK",
    "UHC",
    "GB18030",
    "JOHAB",
    "SHIFT_JIS_2004",
];

pub(super) fn encoding_to_char(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    one(a, |number: i32| {
        usize::try_from(number).ok().and_then(|n| ENCODINGS.get(n)).copied().unwrap_or("")
    })
}

pub(super) fn char_to_encoding(_: &EvalContext, a: &[Datum]) -> Result<Datum> {
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|c| c.to_ascii_uppercase()).collect()
    };
    one(a, |name: &str| {
        let wanted = plain(name);
        let wanted = if wanted == "UNICODE" { "UTF8" } else { &wanted };
        ENCODINGS.iter().position(|e| plain(e) == wanted).map_or(-1, |at| at as i32)
    })
}

pub(super) fn utf8(_: &EvalContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::text("UTF8"))
}
