//! The types there are: one table, in the words of `pg_type`.
//!
//! Everything that names a type goes through here: OIDs on the wire, names in SQL and in error
//! messages, the rows of `pg_type`, modifiers from and to text. Facts are those of PostgreSQL 15's
//! `pg_type.dat`; a type that is not in the table does not exist.

use std::fmt;

use super::{BaseType, SqlType};
use crate::error::{Error, Result, SqlState};

/// Most digits that `numeric(p, s)` may ask for.
pub const NUMERIC_PRECISION_MAX: i32 = 1000;
/// Largest scale that `numeric(p, s)` may ask for, either way.
pub const NUMERIC_SCALE_MAX: i32 = 1000;
/// Most characters that `varchar(n)` and `char(n)` may ask for.
pub const CHAR_LENGTH_MAX: i32 = 10_485_760;
/// Most digits of a second.
pub const SECOND_DIGITS_MAX: i32 = 6;
/// Bytes that a modifier counts on top (PostgreSQL's varlena header).
const HEADER: i32 = 4;

/// One type, as `pg_type` shows it.
#[derive(Debug)]
pub struct TypeInfo {
    /// The type.
    pub base: BaseType,
    /// `typname`
    pub name: &'static str,
    /// Name in SQL and in messages.
    pub sql_name: &'static str,
    /// `typlen`
    pub len: i16,
    /// `typbyval`
    pub by_value: bool,
    /// `typalign`
    pub align: char,
    /// `typstorage`
    pub storage: char,
    /// `typcategory`
    pub category: char,
    /// `typispreferred`
    pub preferred: bool,
    /// OID of the array type, 0 if there is none.
    pub array_oid: u32,
    /// `typelem`: what subscripting a vector gives.
    pub element_oid: u32,
    /// `typtype`: `b` for base types, `p` for pseudo-types.
    pub kind: char,
    /// `typcollation`
    pub collation: u32,
    /// `typinput`
    pub input: &'static str,
    /// `typoutput`
    pub output: &'static str,
    /// `typreceive`, empty if there is none.
    pub receive: &'static str,
    /// `typsend`, empty if there is none.
    pub send: &'static str,
    /// What `typmodin` and `typmodout` begin with, empty if the type has no modifier.
    pub modifier: &'static str,
}

impl TypeInfo {
    /// The OID.
    pub fn oid(&self) -> u32 {
        self.base as u32
    }

    /// `typname` of the array type.
    pub fn array_name(&self) -> String {
        format!("_{}", self.name)
    }

    /// `typalign` of the array type.
    pub fn array_align(&self) -> char {
        if self.align == 'd' { 'd' } else { 'i' }
    }

    /// `typmodin`, if the type has modifiers.
    pub fn modifier_input(&self) -> Option<String> {
        (!self.modifier.is_empty()).then(|| format!("{}in", self.modifier))
    }

    /// `typmodout`, if the type has modifiers.
    pub fn modifier_output(&self) -> Option<String> {
        (!self.modifier.is_empty()).then(|| format!("{}out", self.modifier))
    }
}

macro_rules! types {
    ($(t($base:ident, $name:literal, $sql:literal, $len:literal, $byval:literal, $align:literal,
         $storage:literal, $category:literal, $preferred:literal, $array:literal, $element:literal,
         $kind:literal, $collation:literal, $input:literal, $output:literal, $receive:literal,
         $send:literal, $modifier:literal),)*) => {
        /// Every type, by OID.
        pub static TYPES: &[TypeInfo] = &[$(TypeInfo {
            base: BaseType::$base, name: $name, sql_name: $sql, len: $len, by_value: $byval,
            align: $align, storage: $storage, category: $category, preferred: $preferred,
            array_oid: $array, element_oid: $element, kind: $kind, collation: $collation,
            input: $input, output: $output, receive: $receive, send: $send, modifier: $modifier,
        }),*];
        enum Place { $($base),* }
        /// What the table says of a type.
        pub fn info(base: BaseType) -> &'static TypeInfo {
            let place = match base { $(BaseType::$base => Place::$base as usize),* };
            &TYPES[place]
        }
    };
}

#[rustfmt::skip]
types! {
    t(Bool, "bool", "boolean", 1, true, 'c', 'p', 'B', true, 1000, 0, 'b', 0, "boolin", "boolout", "boolrecv", "boolsend", ""),
    t(Bytea, "bytea", "bytea", -1, false, 'i', 'x', 'U', false, 1001, 0, 'b', 0, "byteain", "byteaout", "bytearecv", "byteasend", ""),
    t(SingleChar, "char", "\"char\"", 1, true, 'c', 'p', 'Z', false, 1002, 0, 'b', 0, "charin", "charout", "charrecv", "charsend", ""),
    t(Name, "name", "name", 64, false, 'c', 'p', 'S', false, 1003, 18, 'b', 950, "namein", "nameout", "namerecv", "namesend", ""),
    t(Int8, "int8", "bigint", 8, true, 'd', 'p', 'N', false, 1016, 0, 'b', 0, "int8in", "int8out", "int8recv", "int8send", ""),
    t(Int2, "int2", "smallint", 2, true, 's', 'p', 'N', false, 1005, 0, 'b', 0, "int2in", "int2out", "int2recv", "int2send", ""),
    t(Int2Vector, "int2vector", "int2vector", -1, false, 'i', 'p', 'A', false, 1006, 21, 'b', 0, "int2vectorin", "int2vectorout", "int2vectorrecv", "int2vectorsend", ""),
    t(Int4, "int4", "integer", 4, true, 'i', 'p', 'N', false, 1007, 0, 'b', 0, "int4in", "int4out", "int4recv", "int4send", ""),
    t(Regproc, "regproc", "regproc", 4, true, 'i', 'p', 'N', false, 1008, 0, 'b', 0, "regprocin", "regprocout", "regprocrecv", "regprocsend", ""),
    t(Text, "text", "text", -1, false, 'i', 'x', 'S', true, 1009, 0, 'b', 100, "textin", "textout", "textrecv", "textsend", ""),
    t(Oid, "oid", "oid", 4, true, 'i', 'p', 'N', true, 1028, 0, 'b', 0, "oidin", "oidout", "oidrecv", "oidsend", ""),
    t(Xid, "xid", "xid", 4, true, 'i', 'p', 'U', false, 1011, 0, 'b', 0, "xidin", "xidout", "xidrecv", "xidsend", ""),
    t(OidVector, "oidvector", "oidvector", -1, false, 'i', 'p', 'A', false, 1013, 26, 'b', 0, "oidvectorin", "oidvectorout", "oidvectorrecv", "oidvectorsend", ""),
    t(Json, "json", "json", -1, false, 'i', 'x', 'U', false, 199, 0, 'b', 0, "json_in", "json_out", "json_recv", "json_send", ""),
    t(PgNodeTree, "pg_node_tree", "pg_node_tree", -1, false, 'i', 'x', 'Z', false, 0, 0, 'b', 100, "pg_node_tree_in", "pg_node_tree_out", "pg_node_tree_recv", "pg_node_tree_send", ""),
    t(Float4, "float4", "real", 4, true, 'i', 'p', 'N', false, 1021, 0, 'b', 0, "float4in", "float4out", "float4recv", "float4send", ""),
    t(Float8, "float8", "double precision", 8, true, 'd', 'p', 'N', true, 1022, 0, 'b', 0, "float8in", "float8out", "float8recv", "float8send", ""),
    t(Unknown, "unknown", "unknown", -2, false, 'c', 'p', 'X', false, 0, 0, 'p', 0, "unknownin", "unknownout", "unknownrecv", "unknownsend", ""),
    t(AclItem, "aclitem", "aclitem", 12, false, 'i', 'p', 'U', false, 1034, 0, 'b', 0, "aclitemin", "aclitemout", "", "", ""),
    t(Bpchar, "bpchar", "character", -1, false, 'i', 'x', 'S', false, 1014, 0, 'b', 100, "bpcharin", "bpcharout", "bpcharrecv", "bpcharsend", "bpchartypmod"),
    t(Varchar, "varchar", "character varying", -1, false, 'i', 'x', 'S', false, 1015, 0, 'b', 100, "varcharin", "varcharout", "varcharrecv", "varcharsend", "varchartypmod"),
    t(Date, "date", "date", 4, true, 'i', 'p', 'D', false, 1182, 0, 'b', 0, "date_in", "date_out", "date_recv", "date_send", ""),
    t(Time, "time", "time without time zone", 8, true, 'd', 'p', 'D', false, 1183, 0, 'b', 0, "time_in", "time_out", "time_recv", "time_send", "timetypmod"),
    t(Timestamp, "timestamp", "timestamp without time zone", 8, true, 'd', 'p', 'D', false, 1115, 0, 'b', 0, "timestamp_in", "timestamp_out", "timestamp_recv", "timestamp_send", "timestamptypmod"),
    t(Timestamptz, "timestamptz", "timestamp with time zone", 8, true, 'd', 'p', 'D', true, 1185, 0, 'b', 0, "timestamptz_in", "timestamptz_out", "timestamptz_recv", "timestamptz_send", "timestamptztypmod"),
    t(Interval, "interval", "interval", 16, false, 'd', 'p', 'T', true, 1187, 0, 'b', 0, "interval_in", "interval_out", "interval_recv", "interval_send", "intervaltypmod"),
    t(Numeric, "numeric", "numeric", -1, false, 'i', 'm', 'N', false, 1231, 0, 'b', 0, "numeric_in", "numeric_out", "numeric_recv", "numeric_send", "numerictypmod"),
    t(Regprocedure, "regprocedure", "regprocedure", 4, true, 'i', 'p', 'N', false, 2207, 0, 'b', 0, "regprocedurein", "regprocedureout", "regprocedurerecv", "regproceduresend", ""),
    t(Regoper, "regoper", "regoper", 4, true, 'i', 'p', 'N', false, 2208, 0, 'b', 0, "regoperin", "regoperout", "regoperrecv", "regopersend", ""),
    t(Regclass, "regclass", "regclass", 4, true, 'i', 'p', 'N', false, 2210, 0, 'b', 0, "regclassin", "regclassout", "regclassrecv", "regclasssend", ""),
    t(Regtype, "regtype", "regtype", 4, true, 'i', 'p', 'N', false, 2211, 0, 'b', 0, "regtypein", "regtypeout", "regtyperecv", "regtypesend", ""),
    t(Record, "record", "record", -1, false, 'd', 'x', 'P', false, 2287, 0, 'p', 0, "record_in", "record_out", "record_recv", "record_send", ""),
    t(Any, "any", "\"any\"", 4, true, 'i', 'p', 'P', false, 0, 0, 'p', 0, "any_in", "any_out", "", "", ""),
    t(AnyArray, "anyarray", "anyarray", -1, false, 'd', 'x', 'P', false, 0, 0, 'p', 0, "anyarray_in", "anyarray_out", "anyarray_recv", "anyarray_send", ""),
    t(Void, "void", "void", 4, true, 'i', 'p', 'P', false, 0, 0, 'p', 0, "void_in", "void_out", "void_recv", "void_send", ""),
    t(AnyElement, "anyelement", "anyelement", 4, true, 'i', 'p', 'P', false, 0, 0, 'p', 0, "anyelement_in", "anyelement_out", "", "", ""),
    t(AnyNonArray, "anynonarray", "anynonarray", 4, true, 'i', 'p', 'P', false, 0, 0, 'p', 0, "anynonarray_in", "anynonarray_out", "", "", ""),
    t(Uuid, "uuid", "uuid", 16, false, 'c', 'p', 'U', false, 2951, 0, 'b', 0, "uuid_in", "uuid_out", "uuid_recv", "uuid_send", ""),
    t(Jsonb, "jsonb", "jsonb", -1, false, 'i', 'x', 'U', false, 3807, 0, 'b', 0, "jsonb_in", "jsonb_out", "jsonb_recv", "jsonb_send", ""),
    t(Regnamespace, "regnamespace", "regnamespace", 4, true, 'i', 'p', 'N', false, 4090, 0, 'b', 0, "regnamespacein", "regnamespaceout", "regnamespacerecv", "regnamespacesend", ""),
    t(Regrole, "regrole", "regrole", 4, true, 'i', 'p', 'N', false, 4097, 0, 'b', 0, "regrolein", "regroleout", "regrolerecv", "regrolesend", ""),
    t(AnyCompatible, "anycompatible", "anycompatible", 4, true, 'i', 'p', 'P', false, 0, 0, 'p', 0, "anycompatible_in", "anycompatible_out", "", "", ""),
    t(AnyCompatibleArray, "anycompatiblearray", "anycompatiblearray", -1, false, 'd', 'x', 'P', false, 0, 0, 'p', 0, "anycompatiblearray_in", "anycompatiblearray_out", "anycompatiblearray_recv", "anycompatiblearray_send", ""),
}

/// Names that are no `typname`: what SQL and common usage call the types.
const ALIASES: &[(&str, BaseType)] = &[
    ("bigint", BaseType::Int8),
    ("boolean", BaseType::Bool),
    ("character", BaseType::Bpchar),
    ("character varying", BaseType::Varchar),
    ("char varying", BaseType::Varchar),
    ("dec", BaseType::Numeric),
    ("decimal", BaseType::Numeric),
    ("double precision", BaseType::Float8),
    ("float", BaseType::Float8),
    ("int", BaseType::Int4),
    ("integer", BaseType::Int4),
    ("national character", BaseType::Bpchar),
    ("national char", BaseType::Bpchar),
    ("national character varying", BaseType::Varchar),
    ("national char varying", BaseType::Varchar),
    ("nchar", BaseType::Bpchar),
    ("real", BaseType::Float4),
    ("smallint", BaseType::Int2),
    ("time without time zone", BaseType::Time),
    ("timestamp with time zone", BaseType::Timestamptz),
    ("timestamp without time zone", BaseType::Timestamp),
];

/// The type with this OID; OIDs of array types give arrays.
pub fn by_oid(oid: u32) -> Option<SqlType> {
    if oid == 0 {
        return None;
    }
    if let Ok(i) = TYPES.binary_search_by_key(&oid, TypeInfo::oid) {
        return Some(SqlType::of(TYPES[i].base));
    }
    TYPES.iter().find(|t| t.array_oid == oid).map(|t| SqlType::array_of(t.base))
}

/// The type of this name: a `typname` (`_int4` too), an SQL name (`timestamp with time zone`) or
/// an alias (`int`), each also with `[]` after it. Lower case is expected. The bare word `char` is
/// SQL's `character`; the one-byte type is `"char"`, in its quotes.
pub fn by_name(name: &str) -> Option<SqlType> {
    let name = name.trim();
    if let Some(element) = name.strip_suffix("[]") {
        let element = by_name(element.trim_end_matches("[]"))?;
        return array_of(element);
    }
    if name == "char" {
        return Some(SqlType::with_typmod(BaseType::Bpchar, HEADER + 1));
    }
    if let Some(t) = TYPES.iter().find(|t| t.name == name || t.sql_name == name) {
        // `character` without a length is of length one; `bpchar` is of any.
        return Some(if name == "character" {
            SqlType::with_typmod(t.base, HEADER + 1)
        } else {
            SqlType::of(t.base)
        });
    }
    if let Some((_, base)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(SqlType::of(*base));
    }
    let element = name.strip_prefix('_')?;
    TYPES.iter().find(|t| t.name == element && t.array_oid != 0).map(|t| SqlType::array_of(t.base))
}

/// The type whose `typname` is exactly this, as a name in quotes or behind `pg_catalog.` means it
/// (`char` is the one-byte type here).
pub fn by_typname(name: &str) -> Option<SqlType> {
    if let Some(t) = TYPES.iter().find(|t| t.name == name) {
        return Some(SqlType::of(t.base));
    }
    let element = name.strip_prefix('_')?;
    TYPES.iter().find(|t| t.name == element && t.array_oid != 0).map(|t| SqlType::array_of(t.base))
}

/// The array type of an element type, if there is one.
pub fn array_of(element: SqlType) -> Option<SqlType> {
    let has = !element.is_array && info(element.base).array_oid != 0;
    has.then_some(SqlType { is_array: true, ..element })
}

/// The type's name with its modifier, as `format_type(oid, typmod)` gives it.
pub fn format_type(ty: SqlType) -> String {
    let info = info(ty.base);
    let mut out = match (ty.base, ty.typmod) {
        // Without a modifier this is what no length at all means, which SQL has no name for.
        (BaseType::Bpchar, typmod) if typmod < 0 => "bpchar".to_owned(),
        (_, typmod) if typmod < 0 || info.modifier.is_empty() => info.sql_name.to_owned(),
        (BaseType::Time | BaseType::Timestamp | BaseType::Timestamptz, typmod) => {
            let (word, rest) = info.sql_name.split_once(' ').unwrap_or((info.sql_name, ""));
            format!("{word}({typmod}) {rest}")
        }
        (_, typmod) => format!("{}{}", info.sql_name, modifier_text(ty.base, typmod)),
    };
    if ty.is_array {
        out.push_str("[]");
    }
    out
}

/// The modifier as text (`typmodout`): `(10,2)`, ` year to month(3)`; empty for none.
pub fn modifier_text(base: BaseType, typmod: i32) -> String {
    if typmod < 0 {
        return String::new();
    }
    match base {
        BaseType::Bpchar | BaseType::Varchar => format!("({})", typmod - HEADER),
        BaseType::Numeric => match numeric_modifier(typmod) {
            Some((precision, scale)) => format!("({precision},{scale})"),
            None => String::new(),
        },
        BaseType::Time | BaseType::Timestamp => format!("({typmod}) without time zone"),
        BaseType::Timestamptz => format!("({typmod}) with time zone"),
        BaseType::Interval => super::interval::modifier_text(typmod),
        _ => String::new(),
    }
}

/// Precision and scale of a numeric's modifier.
pub fn numeric_modifier(typmod: i32) -> Option<(i32, i32)> {
    if typmod < HEADER {
        return None;
    }
    let bits = typmod - HEADER;
    // The scale has 11 bits, with a sign.
    Some(((bits >> 16) & 0xffff, ((bits & 0x7ff) ^ 1024) - 1024))
}

/// Length of a varchar(n) or char(n) modifier.
pub fn length_modifier(typmod: i32) -> Option<usize> {
    usize::try_from(typmod - HEADER).ok().filter(|_| typmod >= HEADER)
}

/// The modifier that `type(args)` means (`typmodin`). Of an interval, `args` is the digits of its
/// seconds alone; fields come through [`super::interval::modifier`].
pub fn modifier_from_args(base: BaseType, args: &[i32]) -> Result<i32> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let one = |what: &str| match args {
        [n] => Ok(*n),
        _ => Err(invalid(format!("invalid {what}type modifier"))),
    };
    match base {
        BaseType::Bpchar | BaseType::Varchar => {
            let name = if base == BaseType::Bpchar { "char" } else { "varchar" };
            let n = one("")?;
            if n < 1 {
                return Err(invalid(format!("length for type {name} must be at least 1")));
            }
            if n > CHAR_LENGTH_MAX {
                let message = format!("length for type {name} cannot exceed {CHAR_LENGTH_MAX}");
                return Err(invalid(message));
            }
            Ok(n + HEADER)
        }
        BaseType::Numeric => {
            let (precision, scale) = match args {
                [precision] => (*precision, 0),
                [precision, scale] => (*precision, *scale),
                _ => return Err(invalid("invalid NUMERIC type modifier".to_owned())),
            };
            if !(1..=NUMERIC_PRECISION_MAX).contains(&precision) {
                return Err(invalid(format!(
                    "NUMERIC precision {precision} must be between 1 and {NUMERIC_PRECISION_MAX}"
                )));
            }
            if !(-NUMERIC_SCALE_MAX..=NUMERIC_SCALE_MAX).contains(&scale) {
                return Err(invalid(format!(
                    "NUMERIC scale {scale} must be between -{NUMERIC_SCALE_MAX} and \
                     {NUMERIC_SCALE_MAX}"
                )));
            }
            Ok(((precision << 16) | (scale & 0x7ff)) + HEADER)
        }
        // PostgreSQL lowers more than six digits to six, with a warning.
        BaseType::Time | BaseType::Timestamp | BaseType::Timestamptz => {
            let digits = one("")?;
            if digits < 0 {
                let (word, rest) = info(base).sql_name.split_once(' ').unwrap_or_default();
                let rest = if rest.starts_with("with ") { " WITH TIME ZONE" } else { "" };
                let word = word.to_uppercase();
                return Err(invalid(format!(
                    "{word}({digits}){rest} precision must not be negative"
                )));
            }
            Ok(digits.min(SECOND_DIGITS_MAX))
        }
        BaseType::Interval => super::interval::modifier(None, Some(one("INTERVAL ")?)),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("type modifier is not allowed for type \"{}\"", info(base).name),
        )),
    }
}

impl SqlType {
    /// The OID; an array's own one for arrays.
    pub fn oid(self) -> u32 {
        if self.is_array { info(self.base).array_oid } else { self.base as u32 }
    }

    /// `typlen`
    #[expect(clippy::len_without_is_empty, reason = "a length of values, not a collection's")]
    pub fn len(self) -> i16 {
        if self.is_array { -1 } else { info(self.base).len }
    }

    /// `typcategory`
    pub fn category(self) -> char {
        if self.is_array { 'A' } else { info(self.base).category }
    }

    /// `typispreferred`
    pub fn is_preferred(self) -> bool {
        !self.is_array && info(self.base).preferred
    }

    /// Whether it is a pseudo-type, which no column can have.
    pub fn is_pseudo(self) -> bool {
        info(self.base).kind == 'p'
    }
}

/// The name without modifiers, as messages have it (`format_type_be`): `character varying`.
impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(info(self.base).sql_name)?;
        if self.is_array { f.write_str("[]") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_consistent() {
        for pair in TYPES.windows(2) {
            assert!(pair[0].oid() < pair[1].oid());
        }
        for t in TYPES {
            assert_eq!(info(t.base).name, t.name);
            assert_eq!(by_oid(t.oid()), Some(SqlType::of(t.base)));
            assert_eq!(by_typname(t.name), Some(SqlType::of(t.base)));
            if t.array_oid != 0 {
                assert_eq!(by_oid(t.array_oid), Some(SqlType::array_of(t.base)));
                assert_eq!(by_typname(&t.array_name()), Some(SqlType::array_of(t.base)));
                assert_eq!(SqlType::array_of(t.base).oid(), t.array_oid);
            }
        }
        assert_eq!(by_oid(0), None);
        assert_eq!(by_oid(4_000_000), None);
    }

    #[test]
    fn names() {
        for (name, expected) in [
            ("int", SqlType::INT4),
            ("bigint", SqlType::INT8),
            ("timestamp with time zone", SqlType::TIMESTAMPTZ),
            ("float8", SqlType::FLOAT8),
            ("int[]", SqlType::array_of(BaseType::Int4)),
            ("_text", SqlType::array_of(BaseType::Text)),
            ("\"char\"", SqlType::of(BaseType::SingleChar)),
            ("char", SqlType::with_typmod(BaseType::Bpchar, 5)),
            ("bpchar", SqlType::BPCHAR),
        ] {
            assert_eq!(by_name(name), Some(expected), "{name}");
        }
        assert_eq!(by_name("nosuch"), None);
        assert_eq!(by_name("unknown[]"), None);
    }

    #[test]
    fn formatted_with_modifiers() {
        for (base, args, expected) in [
            (BaseType::Varchar, &[10][..], "character varying(10)"),
            (BaseType::Bpchar, &[3], "character(3)"),
            (BaseType::Numeric, &[10, 2], "numeric(10,2)"),
            (BaseType::Numeric, &[10], "numeric(10,0)"),
            (BaseType::Numeric, &[10, -2], "numeric(10,-2)"),
            (BaseType::Timestamp, &[3], "timestamp(3) without time zone"),
            (BaseType::Timestamptz, &[0], "timestamp(0) with time zone"),
            (BaseType::Time, &[9], "time(6) without time zone"),
            (BaseType::Interval, &[5], "interval(5)"),
        ] {
            let typmod = modifier_from_args(base, args).unwrap();
            assert_eq!(format_type(SqlType::with_typmod(base, typmod)), expected);
        }
        assert_eq!(format_type(SqlType::BPCHAR), "bpchar");
        assert_eq!(SqlType::BPCHAR.to_string(), "character");
        assert_eq!(format_type(SqlType::array_of(BaseType::Int8)), "bigint[]");
        let e = modifier_from_args(BaseType::Numeric, &[0]).unwrap_err();
        assert_eq!(e.message(), "NUMERIC precision 0 must be between 1 and 1000");
    }
}
