//! Types of CQL columns, and what they are in SQL (`schemas/foreign.md`).
//!
//! Plain data: a foreign table's descriptor keeps one for each column. A user's type stands with
//! its fields, as they were when the table was imported.

use serde::{Deserialize, Serialize};

use super::{BaseType, SqlType};

/// How deep types may be nested.
const DEPTH_MAX: usize = 32;

/// A type of CQL. Whether it is frozen makes no difference to its bytes, and is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "CQL's own names")]
pub enum CqlType {
    Ascii,
    Text,
    Tinyint,
    Smallint,
    Int,
    Bigint,
    Varint,
    Decimal,
    Float,
    Double,
    Boolean,
    Blob,
    Uuid,
    Timeuuid,
    Timestamp,
    Date,
    Time,
    Inet,
    Duration,
    Counter,
    List(Box<CqlType>),
    Set(Box<CqlType>),
    Map(Box<CqlType>, Box<CqlType>),
    Tuple(Vec<CqlType>),
    /// A user's type: its name, its fields.
    Udt(String, Vec<(String, CqlType)>),
    /// Elements, and how many.
    Vector(Box<CqlType>, u32),
}

/// Names of types without parameters.
const SIMPLE: [(&str, CqlType); 21] = [
    ("ascii", CqlType::Ascii),
    ("text", CqlType::Text),
    ("varchar", CqlType::Text),
    ("tinyint", CqlType::Tinyint),
    ("smallint", CqlType::Smallint),
    ("int", CqlType::Int),
    ("bigint", CqlType::Bigint),
    ("varint", CqlType::Varint),
    ("decimal", CqlType::Decimal),
    ("float", CqlType::Float),
    ("double", CqlType::Double),
    ("boolean", CqlType::Boolean),
    ("blob", CqlType::Blob),
    ("uuid", CqlType::Uuid),
    ("timeuuid", CqlType::Timeuuid),
    ("timestamp", CqlType::Timestamp),
    ("date", CqlType::Date),
    ("time", CqlType::Time),
    ("inet", CqlType::Inet),
    ("duration", CqlType::Duration),
    ("counter", CqlType::Counter),
];

/// The fields of a user's type, with their types as the cluster writes them.
pub type FieldsOf<'a> = &'a dyn Fn(&str) -> Option<Vec<(String, String)>>;

impl CqlType {
    /// Reads a type as `system_schema.columns` has it; none if it is one that is not known here.
    pub fn parse(text: &str, fields_of: FieldsOf<'_>) -> Option<CqlType> {
        parse(text.trim(), fields_of, 0)
    }

    /// What values are in SQL.
    pub fn sql_type(&self) -> SqlType {
        match self {
            CqlType::Ascii | CqlType::Text | CqlType::Inet | CqlType::Duration => SqlType::TEXT,
            CqlType::Tinyint | CqlType::Smallint => SqlType::INT2,
            CqlType::Int => SqlType::INT4,
            CqlType::Bigint | CqlType::Counter => SqlType::INT8,
            CqlType::Varint | CqlType::Decimal => SqlType::NUMERIC,
            CqlType::Float => SqlType::FLOAT4,
            CqlType::Double => SqlType::FLOAT8,
            CqlType::Boolean => SqlType::BOOL,
            CqlType::Blob => SqlType::BYTEA,
            CqlType::Uuid | CqlType::Timeuuid => SqlType::UUID,
            // Milliseconds: what is assigned is rounded to them, as SQL's modifier says.
            CqlType::Timestamp => SqlType::with_typmod(BaseType::Timestamptz, 3),
            CqlType::Date => SqlType::DATE,
            CqlType::Time => SqlType::TIME,
            CqlType::List(of) | CqlType::Set(of) | CqlType::Vector(of, _) if of.is_scalar() => {
                SqlType { is_array: true, ..of.sql_type() }
            }
            _ => SqlType::JSONB,
        }
    }

    /// Whether it is one value.
    pub fn is_scalar(&self) -> bool {
        SIMPLE.iter().any(|(_, simple)| simple == self)
    }

    /// Whether a value of [`CqlType::sql_type`] that is equal to another has the same bytes, so
    /// that a row can be found by it.
    pub fn is_exact(&self) -> bool {
        !matches!(
            self,
            CqlType::Decimal
                | CqlType::Float
                | CqlType::Double
                | CqlType::Time
                | CqlType::Duration
                | CqlType::Counter
        ) && self.is_scalar()
    }

    /// Whether the cluster sorts its values as SQL does.
    pub fn is_ordered_alike(&self) -> bool {
        matches!(
            self,
            CqlType::Ascii
                | CqlType::Text
                | CqlType::Tinyint
                | CqlType::Smallint
                | CqlType::Int
                | CqlType::Bigint
                | CqlType::Varint
                | CqlType::Boolean
                | CqlType::Blob
                | CqlType::Timestamp
                | CqlType::Date
        )
    }

    /// Bytes of a value as an element of a vector; none where they differ.
    pub fn vector_width(&self) -> Option<usize> {
        match self {
            CqlType::Boolean => Some(1),
            CqlType::Int | CqlType::Float => Some(4),
            CqlType::Bigint | CqlType::Double | CqlType::Timestamp => Some(8),
            CqlType::Uuid | CqlType::Timeuuid => Some(16),
            CqlType::Vector(of, count) => of.vector_width().map(|width| width * *count as usize),
            _ => None,
        }
    }

    /// The base of an array's elements.
    pub fn element_base(&self) -> BaseType {
        self.sql_type().base
    }
}

impl std::fmt::Display for CqlType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CqlType::List(of) => write!(f, "list<{of}>"),
            CqlType::Set(of) => write!(f, "set<{of}>"),
            CqlType::Map(key, value) => write!(f, "map<{key}, {value}>"),
            CqlType::Vector(of, count) => write!(f, "vector<{of}, {count}>"),
            CqlType::Udt(name, _) => f.write_str(name),
            CqlType::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(CqlType::to_string).collect();
                write!(f, "tuple<{}>", parts.join(", "))
            }
            simple => {
                let mut named = SIMPLE.iter().filter(|(_, ty)| ty == simple);
                f.write_str(named.next().map_or("", |(name, _)| name))
            }
        }
    }
}

fn parse(text: &str, fields_of: FieldsOf<'_>, depth: usize) -> Option<CqlType> {
    if depth > DEPTH_MAX {
        return None;
    }
    if let Some((_, simple)) = SIMPLE.iter().find(|(name, _)| *name == text) {
        return Some(simple.clone());
    }
    let inner = |text: &str| parse(text.trim(), fields_of, depth + 1);
    let boxed = |text: &str| inner(text).map(Box::new);
    if let Some((name, rest)) = text.split_once('<')
        && !text.starts_with('"')
    {
        let list = arguments(rest.strip_suffix('>')?);
        return match (name, list.as_slice()) {
            ("frozen", [only]) => inner(only),
            ("list", [of]) => Some(CqlType::List(boxed(of)?)),
            ("set", [of]) => Some(CqlType::Set(boxed(of)?)),
            ("map", [key, value]) => Some(CqlType::Map(boxed(key)?, boxed(value)?)),
            ("vector", [of, count]) => {
                Some(CqlType::Vector(boxed(of)?, count.trim().parse().ok()?))
            }
            ("tuple", parts) => {
                Some(CqlType::Tuple(parts.iter().map(|p| inner(p)).collect::<Option<_>>()?))
            }
            _ => None,
        };
    }
    let name = match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => text.to_owned(),
    };
    let fields = fields_of(&name)?;
    let fields = fields.into_iter().map(|(field, ty)| Some((field, inner(&ty)?)));
    Some(CqlType::Udt(name, fields.collect::<Option<_>>()?))
}

/// The parts between commas that are in no angle brackets.
fn arguments(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut quoted, mut from) = (Vec::new(), 0, false, 0);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => depth += 1,
            '>' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<CqlType> {
        let field = |name: &str, ty: &str| (name.to_owned(), ty.to_owned());
        CqlType::parse(text, &|name| match name {
            "address" => Some(vec![field("street", "text"), field("zips", "frozen<set<int>>")]),
            "A<b,c" => Some(vec![field("x", "frozen<address>")]),
            _ => None,
        })
    }

    #[test]
    fn types_are_read_as_the_cluster_writes_them() {
        use CqlType::*;
        assert_eq!(read("int"), Some(Int));
        assert_eq!(
            read("map<text, frozen<list<int>>>"),
            Some(Map(Box::new(Text), Box::new(List(Box::new(Int)))))
        );
        assert_eq!(read("vector<float, 3>"), Some(Vector(Box::new(Float), 3)));
        assert_eq!(
            read("frozen<tuple<int, text, frozen<tuple<uuid>>>>"),
            Some(Tuple(vec![Int, Text, Tuple(vec![Uuid])]))
        );
        let Some(Udt(_, fields)) = read("frozen<address>") else { panic!("no type") };
        assert_eq!(fields[1].1, Set(Box::new(Int)));
        assert!(matches!(read("frozen<\"A<b,c\">"), Some(Udt(name, _)) if name == "A<b,c"));
        assert_eq!(read("'org.apache.cassandra.db.marshal.DynamicCompositeType'"), None);
        assert_eq!(read("nothing"), None);
    }

    #[test]
    fn what_they_are_in_sql() {
        let sql =
            |text: &str| read(text).map(|ty| crate::types::pg_type::format_type(ty.sql_type()));
        for (cql, wanted) in [
            ("tinyint", "smallint"),
            ("varint", "numeric"),
            ("timestamp", "timestamp(3) with time zone"),
            ("counter", "bigint"),
            ("inet", "text"),
            ("list<int>", "integer[]"),
            ("set<frozen<list<int>>>", "jsonb"),
            ("vector<float, 2>", "real[]"),
            ("map<text, int>", "jsonb"),
            ("address", "jsonb"),
        ] {
            assert_eq!(sql(cql).as_deref(), Some(wanted), "{cql}");
        }
    }

    #[test]
    fn they_are_written_as_read() {
        for text in ["int", "map<text, list<int>>", "tuple<int, text>", "vector<float, 3>"] {
            assert_eq!(read(text).map(|ty| ty.to_string()).as_deref(), Some(text));
        }
    }
}
