//! Text forms with the catalog at hand: `types::io`, and the `reg*` types by name.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::{Error, Result, SqlState};
use crate::functions::{
    EvalContext, Function, Operator, function_by_oid, functions_named, operators_named,
    quote_identifier,
};
use crate::types::{Array, BaseType, Datum, SqlType, array, io, pg_type};

/// Reads the text form of a value; the typmod is not applied.
///
/// # Errors
/// What the type's input function raises.
pub fn text_in(context: &EvalContext, text: &str, ty: SqlType) -> Result<Datum> {
    let settings = &context.session.format;
    match is_reg(ty.base) {
        false => io::parse_text(text, ty, settings, context.transaction_time),
        true if ty.is_array => {
            let read = |item: &str| reg_in(context, item, ty.base).map(Datum::Oid);
            Ok(Datum::Array(Arc::new(array::parse(text, ty.base, read)?)))
        }
        true => reg_in(context, text, ty.base).map(Datum::Oid),
    }
}

/// Writes the text form of a value; nothing for NULL.
pub fn text_out(context: &EvalContext, datum: &Datum, ty: SqlType, out: &mut String) {
    match datum {
        Datum::Oid(oid) if is_reg(ty.base) => reg_out(context, *oid, ty.base, out),
        Datum::Array(items) if is_reg(ty.base) => {
            write_reg_array(context, items, ty.base, out);
        }
        Datum::Record(record) => {
            io::write_fields(record, out, |field, ty, text| text_out(context, field, ty, text));
        }
        _ => io::write_text(datum, ty, &context.session.format, out),
    }
}

fn write_reg_array(context: &EvalContext, items: &Array, base: BaseType, out: &mut String) {
    array::write(items, out, |item, out| text_out(context, item, SqlType::of(base), out));
}

/// Whether values of a type are written as names of the catalog's, or hold such.
pub fn is_named(ty: SqlType) -> bool {
    is_reg(ty.base) || ty.base == BaseType::Record
}

/// Whether its text form needs the catalog.
fn is_reg(base: BaseType) -> bool {
    matches!(
        base,
        BaseType::Regproc
            | BaseType::Regprocedure
            | BaseType::Regoper
            | BaseType::Regclass
            | BaseType::Regtype
            | BaseType::Regnamespace
            | BaseType::Regrole
    )
}

fn reg_in(context: &EvalContext, text: &str, base: BaseType) -> Result<u32> {
    if text == "-" {
        return Ok(0);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return match io::parse_text(text, SqlType::OID, &context.session.format, 0)? {
            Datum::Oid(oid) => Ok(oid),
            other => Err(Error::internal(format!("oid was read as {other:?}"))),
        };
    }
    let missing = |code, what: &str| Error::new(code, format!("{what} does not exist"));
    match base {
        BaseType::Regclass => match relation(context, text)? {
            Some(oid) => Ok(oid),
            None => Err(no_relation(context, &split_name(text)?)),
        },
        BaseType::Regtype => {
            let ty = find_type(text);
            ty.map(SqlType::oid)
                .ok_or_else(|| missing(SqlState::UNDEFINED_OBJECT, &format!("type \"{text}\"")))
        }
        BaseType::Regnamespace => {
            let name = split_name(text)?.pop().unwrap_or_default();
            context.catalog.schema_oid(&name).ok_or_else(|| {
                missing(SqlState::INVALID_SCHEMA_NAME, &format!("schema \"{name}\""))
            })
        }
        BaseType::Regrole => {
            let name = split_name(text)?.pop().unwrap_or_default();
            context
                .catalog
                .role_oid(&name)
                .ok_or_else(|| missing(SqlState::UNDEFINED_OBJECT, &format!("role \"{name}\"")))
        }
        BaseType::Regproc => match functions_in(text)? {
            [one] => Ok(one.oid),
            [] => Err(missing(SqlState::UNDEFINED_FUNCTION, &format!("function \"{text}\""))),
            _ => Err(Error::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("more than one function named \"{text}\""),
            )),
        },
        BaseType::Regprocedure => procedure(text)?
            .ok_or_else(|| missing(SqlState::UNDEFINED_FUNCTION, &format!("function \"{text}\""))),
        _ => match operators_in(text) {
            [one] => Ok(one.oid),
            [] => Err(missing(SqlState::UNDEFINED_FUNCTION, &format!("operator {text}"))),
            _ => Err(Error::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("more than one operator named {text}"),
            )),
        },
    }
}

/// 42P01, or 3F000 if the schema is what is missing.
fn no_relation(context: &EvalContext, parts: &[String]) -> Error {
    match parts {
        [schema, _] if context.catalog.schema_oid(schema).is_none() => {
            Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
        }
        _ => Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{}\" does not exist", parts.join(".")),
        ),
    }
}

/// The OID of the relation with this name, qualified or searched for.
///
/// # Errors
/// 42602 if the text is no name.
pub(in crate::functions) fn relation(context: &EvalContext, text: &str) -> Result<Option<u32>> {
    let mut parts = split_name(text)?;
    let name = parts.pop().unwrap_or_default();
    let schema = parts.pop();
    Ok(context.catalog.relation_oid(schema.as_deref(), &name, &context.session.search_path))
}

/// The type of this name.
pub(in crate::functions) fn find_type(text: &str) -> Option<SqlType> {
    let text = text.trim();
    let text = text.strip_prefix("pg_catalog.").unwrap_or(text);
    let (text, is_array) = match text.strip_suffix("[]") {
        Some(element) => (element.trim_end(), true),
        None => (text, false),
    };
    let name = match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(quoted) => return pg_type::by_typname(quoted).map(|t| SqlType { is_array, ..t }),
        // A modifier says nothing here: the type is meant.
        None => match (text.find('('), text.find(')')) {
            (Some(open), Some(close)) if open < close => {
                Cow::Owned([text[..open].trim_end(), &text[close + 1..]].concat())
            }
            _ => Cow::Borrowed(text),
        },
    };
    let found = pg_type::by_name(&name.to_ascii_lowercase())?;
    Some(SqlType { is_array: found.is_array || is_array, ..found.plain() })
}

fn without_schema(text: &str) -> &str {
    text.strip_prefix("pg_catalog.").unwrap_or(text)
}

pub(in crate::functions) fn functions_in(text: &str) -> Result<&'static [&'static Function]> {
    let mut parts = split_name(text)?;
    let name = parts.pop().unwrap_or_default();
    match parts.pop().as_deref() {
        None | Some("pg_catalog") => Ok(functions_named(&name)),
        Some(_) => Ok(&[]),
    }
}

pub(in crate::functions) fn operators_in(text: &str) -> &'static [&'static Operator] {
    operators_named(without_schema(text))
}

/// `name(type, …)`
pub(in crate::functions) fn procedure(text: &str) -> Result<Option<u32>> {
    let Some((name, args)) = text.trim_end().strip_suffix(')').and_then(|t| t.split_once('('))
    else {
        return Err(Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "expected a left parenthesis",
        ));
    };
    let args: Option<Vec<SqlType>> = match args.trim() {
        "" => Some(Vec::new()),
        args => args.split(',').map(find_type).collect(),
    };
    let Some(args) = args else { return Ok(None) };
    let same = |f: &&&Function| {
        f.args.len() == args.len() && f.args.iter().zip(&args).all(|(a, b)| a.same(*b))
    };
    Ok(functions_in(name.trim())?.iter().find(same).map(|f| f.oid))
}

fn reg_out(context: &EvalContext, oid: u32, base: BaseType, out: &mut String) {
    if oid == 0 {
        return out.push('-');
    }
    let name = match base {
        BaseType::Regclass => context.catalog.name_on_path(oid, &context.session.search_path),
        BaseType::Regtype => pg_type::by_oid(oid).map(pg_type::format_type),
        BaseType::Regnamespace => quoted(context.catalog.schema_name(oid)),
        BaseType::Regrole => quoted(context.catalog.role_name(oid)),
        BaseType::Regproc => function_by_oid(oid).map(|f| match functions_named(f.name) {
            [_] => quote_identifier(f.name).into_owned(),
            _ => format!("pg_catalog.{}", quote_identifier(f.name)),
        }),
        BaseType::Regprocedure => function_by_oid(oid).map(|f| {
            let args: Vec<String> = f.args.iter().map(|a| pg_type::format_type(*a)).collect();
            format!("{}({})", quote_identifier(f.name), args.join(","))
        }),
        _ => crate::functions::all_operators().iter().find(|o| o.oid == oid).map(|o| {
            match operators_named(o.name) {
                [_] => o.name.to_owned(),
                _ => format!("pg_catalog.{}", o.name),
            }
        }),
    };
    match name {
        Some(name) => out.push_str(&name),
        None => io::write_i64(oid.into(), out),
    }
}

fn quoted(name: Option<String>) -> Option<String> {
    name.map(|name| quote_identifier(&name).into_owned())
}

/// The parts of a qualified name: folded where not quoted.
///
/// # Errors
/// 42602 if the text is no name.
pub(in crate::functions) fn split_name(text: &str) -> Result<Vec<String>> {
    let invalid = || Error::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => split_quoted(quoted).ok_or_else(invalid)?,
            None => {
                let end = rest.find(['.', ' ', '"']).unwrap_or(rest.len());
                (rest[..end].to_ascii_lowercase(), &rest[end..])
            }
        };
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        rest = after.trim_start();
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}

/// What stands up to the closing quote, and what follows it.
pub(in crate::functions) fn split_quoted(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                part.push('"');
                rest = after;
            }
            None => return Some((part, rest)),
        }
    }
}
