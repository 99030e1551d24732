//! Polymorphic functions: what `anyelement` and its kin mean in one call (manual, 38.2.5).

use super::common::common_type;
use crate::error::{Error, Result, SqlState};
use crate::types::{BaseType, SqlType, pg_type};

/// Whether a declared type is polymorphic.
pub(super) fn is_polymorphic(ty: SqlType) -> bool {
    matches!(
        ty.base,
        BaseType::AnyElement
            | BaseType::AnyArray
            | BaseType::AnyNonArray
            | BaseType::AnyCompatible
            | BaseType::AnyCompatibleArray
    )
}

/// What the polymorphic types of one call stand for.
#[derive(Clone, Copy, Default, Debug)]
struct Resolved {
    /// `anyelement`, and the element of `anyarray`.
    element: Option<SqlType>,
    /// `anycompatible`, and the element of `anycompatiblearray`.
    compatible: Option<SqlType>,
}

/// The declared types of a call with polymorphism resolved: arguments and result. An error says
/// why the call does not fit.
pub(super) fn resolve(
    declared: &[SqlType],
    actual: &[SqlType],
    result: SqlType,
) -> Result<(Vec<SqlType>, SqlType)> {
    let resolved = resolve_types(declared, actual)?;
    let args = declared.iter().zip(actual).map(|(declared, actual)| match declared.base {
        // An argument of unknown type stays so only where nothing else says what it is.
        _ if is_polymorphic(*declared) => substitute(*declared, &resolved).unwrap_or(*actual),
        _ => *declared,
    });
    let args = args.collect();
    let result = if is_polymorphic(result) {
        substitute(result, &resolved).ok_or_else(undetermined)?
    } else {
        result
    };
    Ok((args, result))
}

fn resolve_types(declared: &[SqlType], actual: &[SqlType]) -> Result<Resolved> {
    let mut resolved = Resolved::default();
    let mut compatible = Vec::new();
    let mut unknown = (false, false);
    let mut non_array = false;
    let pairs = || declared.iter().zip(actual).filter(|(d, _)| is_polymorphic(**d));
    for (declared, actual) in pairs() {
        let array_wanted =
            matches!(declared.base, BaseType::AnyArray | BaseType::AnyCompatibleArray);
        let by_common_type =
            matches!(declared.base, BaseType::AnyCompatible | BaseType::AnyCompatibleArray);
        non_array |= declared.base == BaseType::AnyNonArray;
        if actual.same(SqlType::UNKNOWN) {
            if by_common_type {
                unknown.1 = true
            } else {
                unknown.0 = true
            }
            continue;
        }
        let element = if array_wanted {
            element_of(*actual).ok_or_else(|| not_an_array(*declared, *actual))?
        } else {
            actual.plain()
        };
        if by_common_type {
            compatible.push(element);
        } else {
            match resolved.element {
                Some(seen) if !seen.same(element) => return Err(not_alike(seen, element)),
                _ => resolved.element = Some(element),
            }
        }
    }
    if non_array && resolved.element.is_some_and(|e| e.is_array) {
        return Err(mismatch("type matched to anynonarray is an array type".to_owned()));
    }
    if !compatible.is_empty() {
        let common = common_type(compatible).map_err(|m| mismatch(m.message("arguments")))?;
        resolved.compatible = Some(common);
    } else if unknown.1 {
        resolved.compatible = Some(SqlType::TEXT);
    }
    if resolved.element.is_none() && unknown.0 {
        return Err(undetermined());
    }
    Ok(resolved)
}

/// The element type of an array, or of one of the vector types.
fn element_of(ty: SqlType) -> Option<SqlType> {
    match ty.base {
        _ if ty.is_array => Some(ty.element().plain()),
        BaseType::Int2Vector => Some(SqlType::INT2),
        BaseType::OidVector => Some(SqlType::OID),
        BaseType::AnyArray => Some(SqlType::of(BaseType::AnyElement)),
        _ => None,
    }
}

fn substitute(declared: SqlType, resolved: &Resolved) -> Option<SqlType> {
    match declared.base {
        BaseType::AnyElement | BaseType::AnyNonArray => resolved.element,
        BaseType::AnyArray => pg_type::array_of(resolved.element?),
        BaseType::AnyCompatible => resolved.compatible,
        BaseType::AnyCompatibleArray => pg_type::array_of(resolved.compatible?),
        _ => Some(declared),
    }
}

fn mismatch(message: String) -> Error {
    Error::new(SqlState::DATATYPE_MISMATCH, message)
}

fn not_alike(left: SqlType, right: SqlType) -> Error {
    mismatch("arguments declared \"anyelement\" are not all alike".to_owned())
        .with_detail(format!("{left} versus {right}"))
}

fn not_an_array(declared: SqlType, actual: SqlType) -> Error {
    mismatch(format!("argument declared {declared} is not an array but type {actual}"))
}

fn undetermined() -> Error {
    mismatch("could not determine polymorphic type because input has type unknown".to_owned())
}

/// Whether arguments fit polymorphic parameters, unknown ones counting as whatever is wanted.
pub(super) fn fits_loosely(declared: &[SqlType], actual: &[SqlType]) -> bool {
    let known = |ty: &SqlType| !ty.same(SqlType::UNKNOWN);
    let pairs = || declared.iter().zip(actual).filter(|(_, a)| known(a));
    let declared: Vec<SqlType> = pairs().map(|(d, _)| *d).collect();
    let actual: Vec<SqlType> = pairs().map(|(_, a)| *a).collect();
    resolve_types(&declared, &actual).is_ok()
}
