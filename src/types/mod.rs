//! Values and their types, as PostgreSQL has them. Plain data, no input or output.

pub mod array;
pub mod cql;
pub mod datetime;
pub mod descriptor;
pub mod interval;
pub mod io;
pub mod json;
pub mod numeric;
pub mod pg_type;

use std::sync::Arc;

use bytes::Bytes;

pub use array::Array;
pub use interval::Interval;
pub use numeric::Numeric;

/// Longest name of anything (`NAMEDATALEN` - 1).
pub const NAME_BYTES_MAX: usize = 63;

/// A type without modifiers. The discriminant is PostgreSQL's OID (pg_type.dat).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[repr(u32)]
#[expect(missing_docs, reason = "each variant is PostgreSQL's type of that name")]
pub enum BaseType {
    Bool = 16,
    Bytea = 17,
    /// The one-byte `"char"`.
    SingleChar = 18,
    Name = 19,
    Int8 = 20,
    Int2 = 21,
    Int2Vector = 22,
    Int4 = 23,
    Regproc = 24,
    Text = 25,
    Oid = 26,
    Xid = 28,
    OidVector = 30,
    Json = 114,
    PgNodeTree = 194,
    Float4 = 700,
    Float8 = 701,
    /// The type of a literal in quotes before its context decides; `NULL` too.
    Unknown = 705,
    AclItem = 1033,
    /// char(n)
    Bpchar = 1042,
    Varchar = 1043,
    Date = 1082,
    Time = 1083,
    Timestamp = 1114,
    Timestamptz = 1184,
    Interval = 1186,
    Numeric = 1700,
    Regprocedure = 2202,
    Regoper = 2203,
    Regclass = 2205,
    Regtype = 2206,
    Record = 2249,
    Any = 2276,
    AnyArray = 2277,
    Void = 2278,
    AnyElement = 2283,
    AnyNonArray = 2776,
    Uuid = 2950,
    Jsonb = 3802,
    Regnamespace = 4089,
    Regrole = 4096,
    AnyCompatible = 5077,
    AnyCompatibleArray = 5078,
}

/// A type as columns and expressions have it: base, whether a one-dimensional array of it, and
/// PostgreSQL's typmod (-1: none; varchar(n)/char(n): n + 4; numeric(p, s): ((p << 16) | s) + 4;
/// time and timestamps: the digits of a second).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct SqlType {
    /// The type, or the element's type.
    pub base: BaseType,
    /// Whether it is an array of `base`.
    pub is_array: bool,
    /// The modifier, -1 for none.
    pub typmod: i32,
}

#[expect(missing_docs, reason = "each constant is the type of that name without a modifier")]
impl SqlType {
    pub const BOOL: SqlType = SqlType::of(BaseType::Bool);
    pub const BYTEA: SqlType = SqlType::of(BaseType::Bytea);
    pub const INT2: SqlType = SqlType::of(BaseType::Int2);
    pub const INT4: SqlType = SqlType::of(BaseType::Int4);
    pub const INT8: SqlType = SqlType::of(BaseType::Int8);
    pub const OID: SqlType = SqlType::of(BaseType::Oid);
    pub const FLOAT4: SqlType = SqlType::of(BaseType::Float4);
    pub const FLOAT8: SqlType = SqlType::of(BaseType::Float8);
    pub const NUMERIC: SqlType = SqlType::of(BaseType::Numeric);
    pub const TEXT: SqlType = SqlType::of(BaseType::Text);
    pub const NAME: SqlType = SqlType::of(BaseType::Name);
    pub const VARCHAR: SqlType = SqlType::of(BaseType::Varchar);
    pub const BPCHAR: SqlType = SqlType::of(BaseType::Bpchar);
    pub const DATE: SqlType = SqlType::of(BaseType::Date);
    pub const TIME: SqlType = SqlType::of(BaseType::Time);
    pub const TIMESTAMP: SqlType = SqlType::of(BaseType::Timestamp);
    pub const TIMESTAMPTZ: SqlType = SqlType::of(BaseType::Timestamptz);
    pub const INTERVAL: SqlType = SqlType::of(BaseType::Interval);
    pub const UUID: SqlType = SqlType::of(BaseType::Uuid);
    pub const JSON: SqlType = SqlType::of(BaseType::Json);
    pub const JSONB: SqlType = SqlType::of(BaseType::Jsonb);
    pub const UNKNOWN: SqlType = SqlType::of(BaseType::Unknown);
    pub const VOID: SqlType = SqlType::of(BaseType::Void);
    pub const RECORD: SqlType = SqlType::of(BaseType::Record);

    /// `base` without a modifier.
    pub const fn of(base: BaseType) -> SqlType {
        SqlType { base, is_array: false, typmod: -1 }
    }

    /// `base` with a modifier.
    pub const fn with_typmod(base: BaseType, typmod: i32) -> SqlType {
        SqlType { base, is_array: false, typmod }
    }

    /// An array of `base`.
    pub const fn array_of(base: BaseType) -> SqlType {
        SqlType { base, is_array: true, typmod: -1 }
    }

    /// The element type of an array.
    pub const fn element(self) -> SqlType {
        SqlType { base: self.base, is_array: false, typmod: self.typmod }
    }

    /// Without its modifier.
    pub const fn plain(self) -> SqlType {
        SqlType { base: self.base, is_array: self.is_array, typmod: -1 }
    }

    /// Equal but for the modifier.
    pub fn same(self, other: SqlType) -> bool {
        self.base == other.base && self.is_array == other.is_array
    }
}

/// One value. Its type is known from where it stands; the variant is the type's representation.
///
/// `Text` stands for text, varchar, char(n) (blank-padded to n), name, json (as written), unknown
/// and pg_node_tree; `Oid` for oid, xid and the reg types. Int2Vector and OidVector are `Array`s.
#[derive(Clone, Debug)]
pub enum Datum {
    /// SQL NULL, of any type.
    Null,
    /// bool
    Bool(bool),
    /// int2
    Int2(i16),
    /// int4
    Int4(i32),
    /// int8
    Int8(i64),
    /// oid, xid, regclass, regtype, regproc, …
    Oid(u32),
    /// float4
    Float4(f32),
    /// float8
    Float8(f64),
    /// numeric
    Numeric(Numeric),
    /// text and everything that is text inside
    Text(Arc<str>),
    /// bytea
    Bytea(Bytes),
    /// `"char"`
    Char(u8),
    /// date: days since 2000-01-01; `i32::MIN`/`MAX` are -infinity/infinity
    Date(i32),
    /// time: microseconds since midnight, 24:00:00 included
    Time(i64),
    /// timestamp: microseconds since 2000-01-01 00:00; `i64::MIN`/`MAX` are -infinity/infinity
    Timestamp(i64),
    /// timestamptz: the same, in UTC
    Timestamptz(i64),
    /// interval
    Interval(Box<Interval>),
    /// uuid
    Uuid([u8; 16]),
    /// jsonb
    Jsonb(Arc<json::Json>),
    /// a one-dimensional array
    Array(Arc<Array>),
    /// a row value
    Record(Arc<Record>),
}

/// A row of values.
pub type Row = Vec<Datum>;

impl Datum {
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// A text value.
    pub fn text(s: impl Into<Arc<str>>) -> Datum {
        Datum::Text(s.into())
    }
}

/// What the fields of a row value are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordShape {
    /// Their names; `f1`, `f2`, … where there are none.
    pub names: Option<Arc<[Arc<str>]>>,
    /// Their types.
    pub types: Box<[SqlType]>,
}

impl RecordShape {
    /// Which field has a name; none where fields have only their places.
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.names.as_ref()?.iter().position(|n| **n == *name)
    }
}

/// A row value, with what its fields are.
#[derive(Clone, Debug)]
pub struct Record {
    /// The fields.
    pub fields: Box<[Datum]>,
    /// What they are; none where their own kind says enough.
    pub shape: Option<Arc<RecordShape>>,
}

impl Record {
    /// The type of a field.
    pub fn type_of(&self, field: usize) -> SqlType {
        let known = self.shape.as_ref().and_then(|shape| shape.types.get(field).copied());
        known.unwrap_or_else(|| self.fields.get(field).map_or(SqlType::UNKNOWN, io::type_of))
    }

    /// The name of a field.
    pub fn name_of(&self, field: usize) -> std::borrow::Cow<'_, str> {
        let names = self.shape.as_ref().and_then(|shape| shape.names.as_ref());
        match names.and_then(|names| names.get(field)) {
            Some(name) => (&**name).into(),
            None => format!("f{}", field + 1).into(),
        }
    }
}

impl std::ops::Deref for Record {
    type Target = [Datum];

    fn deref(&self) -> &[Datum] {
        &self.fields
    }
}

impl From<Vec<Datum>> for Record {
    fn from(fields: Vec<Datum>) -> Record {
        Record { fields: fields.into(), shape: None }
    }
}
