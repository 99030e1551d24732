//! CQL's types, as serialization headers name them: by the Java classes of Cassandra.
//!
//! `ReversedType(Int32Type)` is a clustering column in descending order; a collection or user type
//! without `FrozenType(…)` around it has a cell for each element; all nested ones are frozen.

use std::fmt;

/// Types inside each other, at most.
const DEPTH_MAX: usize = 32;
/// Elements of a vector, with those of its elements, at most.
const VECTOR_ELEMENTS_MAX: usize = 1 << 20;
/// Where Cassandra's own types live.
const PACKAGE: &str = "org.apache.cassandra.db.marshal.";

/// A type of CQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CqlType {
    /// ascii
    Ascii,
    /// text, varchar
    Text,
    /// blob
    Blob,
    /// boolean
    Boolean,
    /// tinyint
    TinyInt,
    /// smallint
    SmallInt,
    /// int
    Int,
    /// bigint
    BigInt,
    /// counter
    Counter,
    /// float
    Float,
    /// double
    Double,
    /// timestamp
    Timestamp,
    /// date
    Date,
    /// time
    Time,
    /// uuid
    Uuid,
    /// timeuuid
    TimeUuid,
    /// inet
    Inet,
    /// varint
    Varint,
    /// decimal
    Decimal,
    /// duration
    Duration,
    /// Of compact tables without a value.
    Empty,
    /// `list<…>`
    List(Box<CqlType>),
    /// `set<…>`
    Set(Box<CqlType>),
    /// `map<…, …>`
    Map(Box<CqlType>, Box<CqlType>),
    /// `tuple<…>`
    Tuple(Vec<CqlType>),
    /// A user's type.
    User(UserType),
    /// `vector<…, n>`
    Vector(Box<CqlType>, usize),
}

/// A type made by `CREATE TYPE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserType {
    /// Its keyspace.
    pub keyspace: String,
    /// Its name.
    pub name: String,
    /// Names and types, in order.
    pub fields: Vec<(String, CqlType)>,
}

/// A type in its place in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The type.
    pub ty: CqlType,
    /// It has a cell for each element.
    pub complex: bool,
    /// A clustering column in descending order.
    pub reversed: bool,
}

impl CqlType {
    /// Bytes of a value where no length is written before it.
    pub fn fixed_length(&self) -> Option<usize> {
        match self {
            CqlType::Empty => Some(0),
            CqlType::Boolean => Some(1),
            CqlType::Int | CqlType::Float => Some(4),
            CqlType::BigInt | CqlType::Double | CqlType::Timestamp => Some(8),
            CqlType::Uuid | CqlType::TimeUuid => Some(16),
            CqlType::Vector(element, n) => element.fixed_length()?.checked_mul(*n),
            _ => None,
        }
    }

    /// The newer of two definitions of one column, which differ at most in fields that were added
    /// to user types.
    pub fn newer<'a>(&'a self, other: &'a CqlType) -> Option<&'a CqlType> {
        if self.extends(other) {
            Some(self)
        } else if other.extends(self) {
            Some(other)
        } else {
            None
        }
    }

    fn extends(&self, older: &CqlType) -> bool {
        match (self, older) {
            (CqlType::List(a), CqlType::List(b)) | (CqlType::Set(a), CqlType::Set(b)) => {
                a.extends(b)
            }
            (CqlType::Map(k, v), CqlType::Map(old_k, old_v)) => {
                k.extends(old_k) && v.extends(old_v)
            }
            (CqlType::Vector(a, n), CqlType::Vector(b, m)) => n == m && a.extends(b),
            (CqlType::Tuple(a), CqlType::Tuple(b)) => {
                a.len() >= b.len() && a.iter().zip(b).all(|(a, b)| a.extends(b))
            }
            (CqlType::User(a), CqlType::User(b)) => {
                let fields = a.fields.iter().zip(&b.fields);
                a.name == b.name
                    && a.fields.len() >= b.fields.len()
                    && fields.into_iter().all(|(a, b)| a.1.extends(&b.1))
            }
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for CqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CqlType::List(element) => write!(f, "list<{element}>"),
            CqlType::Set(element) => write!(f, "set<{element}>"),
            CqlType::Map(key, value) => write!(f, "map<{key}, {value}>"),
            CqlType::Vector(element, n) => write!(f, "vector<{element}, {n}>"),
            CqlType::User(user) => f.write_str(&user.name),
            CqlType::Tuple(parts) => {
                f.write_str("tuple<")?;
                for (n, part) in parts.iter().enumerate() {
                    write!(f, "{}{part}", if n == 0 { "" } else { ", " })?;
                }
                f.write_str(">")
            }
            simple => {
                let found = NAMES.iter().find(|(_, _, ty)| ty == simple);
                f.write_str(found.map_or("empty", |(_, name, _)| name))
            }
        }
    }
}

const NAMES: &[(&str, &str, CqlType)] = &[
    ("AsciiType", "ascii", CqlType::Ascii),
    ("UTF8Type", "text", CqlType::Text),
    ("BytesType", "blob", CqlType::Blob),
    ("BooleanType", "boolean", CqlType::Boolean),
    ("ByteType", "tinyint", CqlType::TinyInt),
    ("ShortType", "smallint", CqlType::SmallInt),
    ("Int32Type", "int", CqlType::Int),
    ("LongType", "bigint", CqlType::BigInt),
    ("CounterColumnType", "counter", CqlType::Counter),
    ("FloatType", "float", CqlType::Float),
    ("DoubleType", "double", CqlType::Double),
    ("TimestampType", "timestamp", CqlType::Timestamp),
    ("SimpleDateType", "date", CqlType::Date),
    ("TimeType", "time", CqlType::Time),
    ("UUIDType", "uuid", CqlType::Uuid),
    ("TimeUUIDType", "timeuuid", CqlType::TimeUuid),
    ("InetAddressType", "inet", CqlType::Inet),
    ("IntegerType", "varint", CqlType::Varint),
    ("DecimalType", "decimal", CqlType::Decimal),
    ("DurationType", "duration", CqlType::Duration),
    ("EmptyType", "empty", CqlType::Empty),
];

/// Reads a type. What is not known is named in the error.
pub(super) fn parse(text: &str) -> Result<Place, String> {
    let mut parser = Parser { text, rest: text };
    let place = parser.place(0)?;
    if parser.rest.is_empty() { Ok(place) } else { Err(parser.wrong()) }
}

/// The types of a partition key's parts.
pub(super) fn parse_key(text: &str) -> Result<Vec<Place>, String> {
    let mut parser = Parser { text, rest: text };
    let name = parser.word();
    if short(name) != "CompositeType" {
        return Ok(vec![parse(text)?]);
    }
    let parts = parser.list(0)?;
    if parser.rest.is_empty() && !parts.is_empty() { Ok(parts) } else { Err(parser.wrong()) }
}

fn short(class: &str) -> &str {
    class.strip_prefix(PACKAGE).unwrap_or(class)
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn wrong(&self) -> String {
        format!("the type \"{}\" is not understood", self.text)
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(['(', ')', ',', ':', ' ']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        word
    }

    fn skip(&mut self, c: char) -> bool {
        match self.rest.trim_start().strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, c: char) -> Result<(), String> {
        if self.skip(c) { Ok(()) } else { Err(self.wrong()) }
    }

    fn place(&mut self, depth: usize) -> Result<Place, String> {
        if depth > DEPTH_MAX {
            return Err(format!("types nest more than {DEPTH_MAX} deep"));
        }
        let name = short(self.word());
        let simple = |ty| Ok(Place { ty, complex: false, reversed: false });
        match name {
            "ReversedType" => Ok(Place { reversed: true, ..self.wrapped(depth)? }),
            "FrozenType" => Ok(Place { complex: false, ..self.wrapped(depth)? }),
            "ListType" | "SetType" => {
                let element = Box::new(self.wrapped(depth)?.ty);
                let list = name == "ListType";
                let ty = if list { CqlType::List(element) } else { CqlType::Set(element) };
                Ok(Place { ty, complex: true, reversed: false })
            }
            "MapType" => {
                let Ok([key, value]) = <[Place; 2]>::try_from(self.list(depth)?) else {
                    return Err(self.wrong());
                };
                let ty = CqlType::Map(Box::new(key.ty), Box::new(value.ty));
                Ok(Place { ty, complex: true, reversed: false })
            }
            "TupleType" => {
                let parts = self.list(depth)?;
                simple(CqlType::Tuple(parts.into_iter().map(|p| p.ty).collect()))
            }
            "UserType" => Ok(Place { ty: self.user(depth)?, complex: true, reversed: false }),
            "VectorType" => {
                self.expect('(')?;
                let element = self.place(depth + 1)?.ty;
                self.expect(',')?;
                let n: usize = self.word().parse().map_err(|_| self.wrong())?;
                self.expect(')')?;
                let inner = if let CqlType::Vector(_, inner) = &element { *inner } else { 1 };
                if n.checked_mul(inner).is_none_or(|all| !(1..=VECTOR_ELEMENTS_MAX).contains(&all))
                {
                    return Err(format!("a vector of {n} elements is not supported"));
                }
                simple(CqlType::Vector(Box::new(element), n))
            }
            _ => match NAMES.iter().find(|(class, _, _)| *class == name) {
                Some((_, _, ty)) => simple(ty.clone()),
                None => Err(format!("the type \"{name}\" is not supported")),
            },
        }
    }

    fn wrapped(&mut self, depth: usize) -> Result<Place, String> {
        self.expect('(')?;
        let inner = self.place(depth + 1)?;
        self.expect(')')?;
        Ok(inner)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Place>, String> {
        self.expect('(')?;
        let mut parts = vec![self.place(depth + 1)?];
        while self.skip(',') {
            parts.push(self.place(depth + 1)?);
        }
        self.expect(')')?;
        Ok(parts)
    }

    fn user(&mut self, depth: usize) -> Result<CqlType, String> {
        self.expect('(')?;
        let keyspace = self.word().to_owned();
        self.expect(',')?;
        let name = self.hexadecimal()?;
        let mut fields = Vec::new();
        while self.skip(',') {
            let field = self.hexadecimal()?;
            self.expect(':')?;
            fields.push((field, self.place(depth + 1)?.ty));
        }
        self.expect(')')?;
        Ok(CqlType::User(UserType { keyspace, name, fields }))
    }

    fn hexadecimal(&mut self) -> Result<String, String> {
        let word = self.word().as_bytes();
        let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
        let bytes: Option<Vec<u8>> = word
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
                _ => None,
            })
            .collect();
        bytes.and_then(|b| String::from_utf8(b).ok()).ok_or_else(|| self.wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_by_their_classes() {
        let p = PACKAGE;
        let place = parse(&format!("{p}ReversedType({p}Int32Type)")).unwrap();
        assert_eq!((place.ty, place.reversed, place.complex), (CqlType::Int, true, false));
        let map = format!("{p}MapType({p}UTF8Type,{p}FrozenType({p}ListType({p}Int32Type)))");
        let place = parse(&map).unwrap();
        assert_eq!((place.ty.to_string().as_str(), place.complex), ("map<text, list<int>>", true));
        assert!(!parse(&format!("{p}FrozenType({map})")).unwrap().complex);
        let vector = parse(&format!("{p}VectorType({p}FloatType , 3)")).unwrap().ty;
        assert_eq!(
            (vector.to_string().as_str(), vector.fixed_length()),
            ("vector<float, 3>", Some(12))
        );
        let user = format!("{p}UserType(ks,6164,61:{p}Int32Type,62:{p}UTF8Type)");
        assert_eq!(parse(&user).unwrap().ty.to_string(), "ad");
        let key = parse_key(&format!("{p}CompositeType({p}UTF8Type,{p}LongType)")).unwrap();
        assert_eq!(key.len(), 2);
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert_eq!(parse("a.b.OwnType").unwrap_err(), "the type \"a.b.OwnType\" is not supported");
        assert!(parse("MapType(Int32Type)").unwrap_err().contains("not understood"));
        assert!(parse("ListType(Int32Type").is_err());
        assert!(parse("VectorType(FloatType , 9999999)").unwrap_err().contains("a vector of"));
        assert!(parse("VectorType(VectorType(FloatType , 9999), 9999)").is_err());
        assert!(parse(&"ListType(".repeat(40)).unwrap_err().contains("nest"));
        assert!(parse("UserType(k,6,61:Int32Type)").is_err());
        assert!(parse("UserType(k,é,61:Int32Type)").is_err());
    }

    #[test]
    fn fields_may_have_been_added() {
        let older = parse("UserType(k,61,61:Int32Type)").unwrap().ty;
        let newer = parse("UserType(k,61,61:Int32Type,62:UTF8Type)").unwrap().ty;
        assert_eq!(older.newer(&newer), Some(&newer));
        assert_eq!(newer.newer(&older), Some(&newer));
        assert_eq!(newer.newer(&CqlType::Int), None);
    }
}
