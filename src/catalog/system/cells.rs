//! Values of system relations.

use std::sync::Arc;

use crate::types::{Array, BaseType, Datum};

/// NULL.
pub(in crate::catalog) const NULL: Datum = Datum::Null;

/// name, text, varchar
pub(in crate::catalog) fn text(value: impl AsRef<str>) -> Datum {
    Datum::Text(Arc::from(value.as_ref()))
}

/// text or NULL
pub(super) fn text_or_null(value: Option<impl AsRef<str>>) -> Datum {
    value.map_or(NULL, text)
}

/// oid, xid and the reg types
pub(in crate::catalog) const fn oid(value: u32) -> Datum {
    Datum::Oid(value)
}

/// bool
pub(super) const fn bool(value: bool) -> Datum {
    Datum::Bool(value)
}

/// `"char"`; a zero byte is the empty one
pub(super) const fn char(value: u8) -> Datum {
    Datum::Char(value)
}

/// int2
pub(super) const fn int2(value: i16) -> Datum {
    Datum::Int2(value)
}

/// int4
pub(super) const fn int4(value: i32) -> Datum {
    Datum::Int4(value)
}

/// int8
pub(super) const fn int8(value: i64) -> Datum {
    Datum::Int8(value)
}

/// float4
pub(super) const fn float4(value: f32) -> Datum {
    Datum::Float4(value)
}

/// YES or NO, as information_schema says it.
pub(super) fn yes_or_no(value: bool) -> Datum {
    text(if value { "YES" } else { "NO" })
}

/// An array, indexed from `lower_bound`: vectors count from 0.
fn array(element: BaseType, lower_bound: i32, values: Vec<Datum>) -> Datum {
    Datum::Array(Arc::new(Array { element, lower_bound, values }))
}

/// int2vector
pub(super) fn int2_vector(values: impl Iterator<Item = i16>) -> Datum {
    array(BaseType::Int2, 0, values.map(Datum::Int2).collect())
}

/// oidvector
pub(super) fn oid_vector(values: impl Iterator<Item = u32>) -> Datum {
    array(BaseType::Oid, 0, values.map(Datum::Oid).collect())
}

/// int2[]
pub(super) fn int2_array(values: impl Iterator<Item = i16>) -> Datum {
    array(BaseType::Int2, 1, values.map(Datum::Int2).collect())
}

/// text[]
pub(in crate::catalog) fn text_array<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> Datum {
    array(BaseType::Text, 1, values.into_iter().map(text).collect())
}

/// "char"[]
pub(super) fn char_array(values: Vec<Datum>) -> Datum {
    array(BaseType::SingleChar, 1, values)
}

/// aclitem[]
pub(super) fn acl_array(values: impl IntoIterator<Item = String>) -> Datum {
    array(BaseType::AclItem, 1, values.into_iter().map(text).collect())
}

/// oid[]
pub(super) fn oid_array(values: impl Iterator<Item = u32>) -> Datum {
    array(BaseType::Oid, 1, values.map(Datum::Oid).collect())
}

/// Whether a value can stand in a column of this type.
#[cfg(test)]
pub(super) fn fits(value: &Datum, ty: crate::types::SqlType) -> bool {
    use BaseType as B;
    match value {
        Datum::Null => true,
        Datum::Array(a) => match ty.base {
            B::Int2Vector => a.element == B::Int2,
            B::OidVector => a.element == B::Oid,
            base => ty.is_array && a.element == base,
        },
        _ if ty.is_array => false,
        Datum::Bool(_) => ty.base == B::Bool,
        Datum::Int2(_) => ty.base == B::Int2,
        Datum::Int4(_) => ty.base == B::Int4,
        Datum::Int8(_) => ty.base == B::Int8,
        Datum::Float4(_) => ty.base == B::Float4,
        Datum::Float8(_) => ty.base == B::Float8,
        Datum::Char(_) => ty.base == B::SingleChar,
        Datum::Timestamptz(_) => ty.base == B::Timestamptz,
        Datum::Oid(_) => {
            matches!(ty.base, B::Oid | B::Xid | B::Regproc | B::Regtype | B::Regclass)
        }
        Datum::Text(_) => {
            matches!(ty.base, B::Text | B::Name | B::Varchar | B::PgNodeTree)
        }
        _ => false,
    }
}
