//! How catalog objects lie in the store: one key for each object, one for each name.
//!
//! Objects: space 1, partition part = kind byte, clustering part = OID (a comment: class, OID and
//! column). Names: space 2, so that two transactions that make the same name meet on one key.
//! `schemas/catalog.md` is the contract.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::descriptor::{
    CommentTarget, DatabaseDescriptor, RoleDescriptor, SchemaDescriptor, SequenceDescriptor,
};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{Key, SpaceId};
use crate::types::descriptor::TableDescriptor;

/// Where objects lie.
pub const OBJECT_SPACE: SpaceId = crate::kv::SCHEMA_SPACE;
/// Where names lie.
pub const NAME_SPACE: SpaceId = SpaceId(2);
/// Where counters lie.
pub const COUNTER_SPACE: SpaceId = SpaceId(3);
/// The catalog's format; a store with a higher one is refused.
pub const FORMAT: u32 = 1;

/// Kinds of objects, as the first byte of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Format and identity of the store: one object, OID 0.
    Header = 0,
    /// The database.
    Database = 1,
    /// A schema.
    Schema = 2,
    /// A table with its columns, constraints and indexes.
    Table = 3,
    /// A role.
    Role = 4,
    /// A comment.
    Comment = 5,
    /// A space that a committed DROP or TRUNCATE left behind; its number is the OID.
    Garbage = 6,
    /// A sequence.
    Sequence = 7,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        use Kind::*;
        [Header, Database, Schema, Table, Role, Comment, Garbage, Sequence]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// What is written at initialization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Format of everything in the catalog's spaces.
    pub format: u32,
}

/// Names an object in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectId {
    /// Anything with an OID of its own.
    Plain(Kind, u32),
    /// A comment.
    Comment(CommentTarget),
}

impl ObjectId {
    /// Where it lies.
    pub fn key(&self) -> Key {
        let mut tail = Vec::with_capacity(13);
        match self {
            ObjectId::Plain(kind, oid) => {
                tail.push(*kind as u8);
                tail.extend_from_slice(&oid.to_be_bytes());
            }
            ObjectId::Comment(target) => {
                tail.push(Kind::Comment as u8);
                tail.extend_from_slice(&target.class.to_be_bytes());
                tail.extend_from_slice(&target.oid.to_be_bytes());
                tail.extend_from_slice(&target.sub_id.to_be_bytes());
            }
        }
        Key::new(OBJECT_SPACE, &tail, 1)
    }

    /// What lies under a key of [`OBJECT_SPACE`].
    pub fn from_key(key: &Key) -> Result<ObjectId> {
        let bad = || Error::corrupted(format!("catalog key {key:?} has no known form"));
        let tail = key.tail();
        let word = |at: usize| {
            let bytes: Option<[u8; 4]> = tail.get(at..at + 4).and_then(|b| b.try_into().ok());
            bytes.map(u32::from_be_bytes)
        };
        let kind = tail.first().and_then(|b| Kind::from_byte(*b)).ok_or_else(bad)?;
        match (kind, tail.len()) {
            (Kind::Comment, 13) => Ok(ObjectId::Comment(CommentTarget {
                class: word(1).ok_or_else(bad)?,
                oid: word(5).ok_or_else(bad)?,
                sub_id: word(9).ok_or_else(bad)? as i32,
            })),
            (Kind::Comment, _) => Err(bad()),
            (_, 5) => Ok(ObjectId::Plain(kind, word(1).ok_or_else(bad)?)),
            _ => Err(bad()),
        }
    }
}

/// An object as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// Format and identity.
    Header(Header),
    /// The database.
    Database(DatabaseDescriptor),
    /// A schema.
    Schema(SchemaDescriptor),
    /// A table.
    Table(Arc<TableDescriptor>),
    /// A role.
    Role(RoleDescriptor),
    /// A comment's text.
    Comment(CommentTarget, String),
    /// A space to drop.
    Garbage(SpaceId),
    /// A sequence.
    Sequence(Arc<SequenceDescriptor>),
}

impl Object {
    /// The object as it was committed at `ts`.
    pub fn committed(self, ts: Timestamp) -> Object {
        match self {
            Object::Table(table) => Object::Table(table.committed(ts)),
            other => other,
        }
    }

    /// Its id.
    pub fn id(&self) -> ObjectId {
        match self {
            Object::Header(_) => ObjectId::Plain(Kind::Header, 0),
            Object::Database(d) => ObjectId::Plain(Kind::Database, d.oid),
            Object::Schema(s) => ObjectId::Plain(Kind::Schema, s.oid),
            Object::Table(t) => ObjectId::Plain(Kind::Table, t.id.0),
            Object::Role(r) => ObjectId::Plain(Kind::Role, r.oid),
            Object::Comment(target, _) => ObjectId::Comment(*target),
            Object::Garbage(space) => ObjectId::Plain(Kind::Garbage, space.0),
            Object::Sequence(s) => ObjectId::Plain(Kind::Sequence, s.oid),
        }
    }

    /// Its value in the store.
    pub fn encode(&self) -> Result<Bytes> {
        let json = match self {
            Object::Header(v) => serde_json::to_vec(v),
            Object::Database(v) => serde_json::to_vec(v),
            Object::Schema(v) => serde_json::to_vec(v),
            Object::Table(v) => serde_json::to_vec(v.as_ref()),
            Object::Role(v) => serde_json::to_vec(v),
            Object::Comment(_, text) => serde_json::to_vec(text),
            Object::Garbage(v) => serde_json::to_vec(v),
            Object::Sequence(v) => serde_json::to_vec(v.as_ref()),
        };
        json.map(Bytes::from).map_err(|e| {
            Error::internal(format!("catalog object {:?} cannot be written", self.id()))
                .with_source(e)
        })
    }

    /// Reads what [`Object::encode`] wrote.
    pub fn decode(id: ObjectId, value: &[u8]) -> Result<Object> {
        Ok(match id {
            ObjectId::Comment(target) => Object::Comment(target, read(id, value)?),
            ObjectId::Plain(Kind::Header, _) => Object::Header(read(id, value)?),
            ObjectId::Plain(Kind::Database, _) => Object::Database(read(id, value)?),
            ObjectId::Plain(Kind::Schema, _) => Object::Schema(read(id, value)?),
            ObjectId::Plain(Kind::Table, _) => Object::Table(Arc::new(read(id, value)?)),
            ObjectId::Plain(Kind::Role, _) => Object::Role(read(id, value)?),
            ObjectId::Plain(Kind::Garbage, _) => Object::Garbage(read(id, value)?),
            ObjectId::Plain(Kind::Sequence, _) => Object::Sequence(Arc::new(read(id, value)?)),
            ObjectId::Plain(Kind::Comment, _) => {
                return Err(Error::corrupted("a comment without its target in the catalog"));
            }
        })
    }
}

fn read<T: DeserializeOwned>(id: ObjectId, value: &[u8]) -> Result<T> {
    serde_json::from_slice(value).map_err(|e| {
        Error::corrupted(format!("catalog object {id:?} cannot be read: {e}")).with_source(e)
    })
}

/// A name that must be unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// Tables, indexes and sequences of a schema (its OID) share one set of names.
    Relation(u32, &'a str),
    /// A schema.
    Schema(&'a str),
    /// A role.
    Role(&'a str),
}

impl Name<'_> {
    /// Where the name's entry lies; its value is the OID in decimal.
    pub fn key(&self) -> Key {
        let mut tail = Vec::with_capacity(24);
        let name = match self {
            Name::Relation(schema, name) => {
                tail.push(b'r');
                tail.extend_from_slice(&schema.to_be_bytes());
                name
            }
            Name::Schema(name) => {
                tail.push(b's');
                name
            }
            Name::Role(name) => {
                tail.push(b'u');
                name
            }
        };
        tail.extend_from_slice(name.as_bytes());
        tail.push(0);
        Key::new(NAME_SPACE, &tail, tail.len())
    }

    /// The value of its entry.
    pub fn value(oid: u32) -> Bytes {
        Bytes::from(oid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_round_trip() {
        let target = CommentTarget { class: 1259, oid: 16384, sub_id: -2 };
        let objects = [
            Object::Header(Header { format: FORMAT }),
            Object::Schema(SchemaDescriptor {
                oid: 2200,
                name: "public".into(),
                owner: "me".into(),
            }),
            Object::Role(RoleDescriptor::bootstrap("me", None)),
            Object::Comment(target, "it's".into()),
            Object::Garbage(SpaceId(107)),
        ];
        for object in objects {
            let id = ObjectId::from_key(&object.id().key()).unwrap();
            assert_eq!(id, object.id());
            assert_eq!(Object::decode(id, &object.encode().unwrap()).unwrap(), object);
        }
    }

    #[test]
    fn damage_is_named() {
        let key = Key::new(OBJECT_SPACE, &[99, 0, 0, 0, 1], 1);
        assert_eq!(ObjectId::from_key(&key).unwrap_err().code().as_str(), "XX001");
        let id = ObjectId::Plain(Kind::Schema, 2200);
        assert_eq!(Object::decode(id, b"{").unwrap_err().code().as_str(), "XX001");
    }
}
