//! Rows of one table as keys and values, index entries included.
//!
//! ```text
//! row    key   = space | primary key columns' codes (or the 16-byte row id)
//!        value = fields of the other columns, and of key columns whose code is lossy, or of all
//!                where the store keeps columns for other readers (`keys_in_value`)
//! index  key   = space | index columns' codes with markers | [primary key tail]
//!        value = the primary key tail where the key has none, else empty
//! ```
//!
//! The key of a unique index entry has no primary key tail, so that equal values meet in one key;
//! if one of its columns is NULL it has, because NULLs are never equal. The first index column is
//! the entry's partition part.

use bytes::Bytes;

use super::{key, row};
use crate::error::{Error, Result};
use crate::kv::{Entry, Key};
use crate::types::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use crate::types::{Datum, Row, SqlType, io};

/// Longest key in bytes; above it 54000.
pub const KEY_LEN_MAX: usize = 8 * 1024;

/// A primary key column as the codec needs it.
#[derive(Clone, Copy, Debug)]
struct KeyColumn {
    id: ColumnId,
    /// Place in the descriptor's columns.
    at: usize,
    ty: SqlType,
    lossless: bool,
}

/// A table's codec: made once for a descriptor, then used for every row.
#[derive(Clone, Debug)]
pub struct TableCodec {
    space: crate::kv::SpaceId,
    hidden_key: bool,
    partition_columns: usize,
    key_columns: Vec<KeyColumn>,
    /// For each column in descriptor order: id, type, whether it goes into the value, whether
    /// NULL is written out.
    fields: Vec<FieldColumn>,
}

#[derive(Clone, Debug)]
struct FieldColumn {
    id: ColumnId,
    ty: SqlType,
    in_value: bool,
    missing: Option<Datum>,
}

impl TableCodec {
    /// The codec of `table`.
    pub fn new(table: &TableDescriptor) -> Result<TableCodec> {
        let mut key_columns = Vec::with_capacity(table.primary.columns.len());
        for column in &table.primary.columns {
            let at = table.columns.iter().position(|c| c.id == column.column);
            let Some(at) = at else {
                return Err(Error::internal(format!(
                    "primary key of {} names column {} that is not there",
                    table.name, column.column.0
                )));
            };
            let ty = table.columns[at].ty;
            key_columns.push(KeyColumn {
                id: column.column,
                at,
                ty,
                lossless: key::is_lossless(ty),
            });
        }
        let mut fields = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let in_key =
                !table.keys_in_value && key_columns.iter().any(|k| k.id == column.id && k.lossless);
            let missing = match &column.missing {
                Some(text) => Some(io::parse_text(text, column.ty, &Default::default(), 0)?),
                None => None,
            };
            fields.push(FieldColumn { id: column.id, ty: column.ty, in_value: !in_key, missing });
        }
        Ok(TableCodec {
            space: table.primary.space,
            hidden_key: table.hidden_key,
            partition_columns: table.partition_columns as usize,
            key_columns,
            fields,
        })
    }

    /// The key of a row given in descriptor order. `row_id` is used by tables with a hidden key.
    pub fn row_key(&self, row: &[Datum], row_id: [u8; 16]) -> Result<Key> {
        if self.hidden_key {
            return Ok(Key::new(self.space, &row_id, row_id.len()));
        }
        self.key_of(self.key_columns.iter().map(|k| &row[k.at]))
    }

    /// The key with these primary key values, in the key's order.
    pub fn key_of<'a>(&self, values: impl Iterator<Item = &'a Datum>) -> Result<Key> {
        let mut bytes = Vec::with_capacity(32);
        bytes.extend_from_slice(&self.space.0.to_be_bytes());
        let mut partition_end = bytes.len();
        for (i, (column, value)) in self.key_columns.iter().zip(values).enumerate() {
            key::encode_value(value, column.ty, &mut bytes)?;
            if i + 1 == self.partition_columns {
                partition_end = bytes.len();
            }
        }
        check_key_len(bytes.len())?;
        Ok(Key::from_bytes(bytes.into(), partition_end - Key::SPACE_LEN))
    }

    /// The row key whose tail stands in an index entry.
    pub fn key_from_tail(&self, tail: &[u8]) -> Result<Key> {
        if self.hidden_key {
            return Ok(Key::new(self.space, tail, tail.len()));
        }
        let mut rest = tail;
        for column in self.key_columns.iter().take(self.partition_columns) {
            key::skip_value(&mut rest, column.ty)?;
        }
        Ok(Key::new(self.space, tail, tail.len() - rest.len()))
    }

    /// The value of a row given in descriptor order.
    pub fn row_value(&self, row: &[Datum]) -> Result<Bytes> {
        let mut encoder = row::Encoder::default();
        for (field, datum) in self.fields.iter().zip(row) {
            if field.in_value {
                encoder.field(field.id, datum, field.ty, field.missing.is_some())?;
            }
        }
        Ok(encoder.finish())
    }

    /// A decoder for some columns, in the order asked for.
    pub fn decoder(&self, wanted: &[ColumnId]) -> Result<RowDecoder> {
        let mut slots = Vec::with_capacity(wanted.len());
        for (out, id) in wanted.iter().enumerate() {
            let Some(field) = self.fields.iter().find(|f| f.id == *id) else {
                return Err(Error::internal(format!("column {} is not in the table", id.0)));
            };
            slots.push((field.id, field.ty, out, field.in_value));
        }
        let from_key: Vec<Option<usize>> = self
            .key_columns
            .iter()
            .map(|k| slots.iter().find(|s| s.0 == k.id && !s.3).map(|s| s.2))
            .collect();
        let last = from_key.iter().rposition(Option::is_some).map_or(0, |at| at + 1);
        let key = from_key
            .into_iter()
            .zip(&self.key_columns)
            .take(last)
            .map(|(out, column)| (column.ty, out))
            .collect();
        let mut value: Vec<(ColumnId, SqlType, usize)> =
            slots.iter().filter(|s| s.3).map(|s| (s.0, s.1, s.2)).collect();
        value.sort_by_key(|s| s.0);
        let mut empty = vec![Datum::Null; wanted.len()];
        for (id, _, out, _) in &slots {
            let field = self.fields.iter().find(|f| f.id == *id);
            if let Some(missing) = field.and_then(|f| f.missing.as_ref()) {
                empty[*out] = missing.clone();
            }
        }
        Ok(RowDecoder { key, value, empty })
    }
}

fn check_key_len(len: usize) -> Result<()> {
    if len > KEY_LEN_MAX {
        return Err(Error::new(
            crate::error::SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("key size {len} exceeds maximum {KEY_LEN_MAX}"),
        )
        .with_hint("Values this long cannot be keys; consider an index on a hash of the value."));
    }
    Ok(())
}

/// Reads chosen columns of a table's rows. Duplicate columns are not allowed.
#[derive(Clone, Debug)]
pub struct RowDecoder {
    /// Key columns up to the last wanted one: type and, if wanted, the place in the output.
    key: Vec<(SqlType, Option<usize>)>,
    /// Wanted value columns by ascending id: id, type, place in the output.
    value: Vec<(ColumnId, SqlType, usize)>,
    /// The output of a row without fields.
    empty: Row,
}

impl RowDecoder {
    /// The wanted columns of a row.
    pub fn decode(&self, key: &Key, value: &Bytes) -> Result<Row> {
        let mut out = self.empty.clone();
        self.decode_into(key.tail(), value, &mut out)?;
        Ok(out)
    }

    /// The wanted columns of an entry.
    pub fn decode_entry(&self, entry: &Entry) -> Result<Row> {
        self.decode(&entry.key, &entry.value)
    }

    fn decode_into(&self, tail: &[u8], value: &Bytes, out: &mut [Datum]) -> Result<()> {
        let mut rest = tail;
        for (ty, place) in &self.key {
            match place {
                Some(place) => out[*place] = super::key::decode_value(&mut rest, *ty)?,
                None => super::key::skip_value(&mut rest, *ty)?,
            }
        }
        let mut wanted = self.value.iter();
        let Some(mut next) = wanted.next() else { return Ok(()) };
        let mut fields = row::Fields::new(value);
        while let Some(field) = fields.next_field()? {
            while next.0 < field.id {
                match wanted.next() {
                    Some(n) => next = n,
                    None => return Ok(()),
                }
            }
            if next.0 == field.id {
                out[next.2] = field.datum(next.1, value)?;
            }
        }
        Ok(())
    }
}

/// An index's codec.
#[derive(Clone, Debug)]
pub struct IndexCodec {
    space: crate::kv::SpaceId,
    unique: bool,
    columns: Vec<IndexKeyColumn>,
}

#[derive(Clone, Copy, Debug)]
struct IndexKeyColumn {
    at: usize,
    ty: SqlType,
    desc: bool,
    nulls_first: bool,
}

/// An index entry to write.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexEntry {
    /// Its key.
    pub key: Key,
    /// Its value.
    pub value: Bytes,
    /// Whether another row with this key is a violation.
    pub unique: bool,
}

impl IndexCodec {
    /// The codec of a secondary index of `table`.
    pub fn new(table: &TableDescriptor, index: &IndexDescriptor) -> Result<IndexCodec> {
        let mut columns = Vec::with_capacity(index.columns.len());
        for column in &index.columns {
            let at = table.columns.iter().position(|c| c.id == column.column);
            let Some(at) = at else {
                return Err(Error::internal(format!(
                    "index {} names column {} that is not there",
                    index.name, column.column.0
                )));
            };
            columns.push(IndexKeyColumn {
                at,
                ty: table.columns[at].ty,
                desc: column.desc,
                nulls_first: column.nulls_first,
            });
        }
        Ok(IndexCodec { space: index.space, unique: index.unique, columns })
    }

    /// The entry of a row given in descriptor order, stored under `row_key`.
    pub fn entry(&self, row: &[Datum], row_key: &Key) -> Result<IndexEntry> {
        let mut bytes = Vec::with_capacity(48);
        bytes.extend_from_slice(&self.space.0.to_be_bytes());
        let has_null = self.columns.iter().any(|c| row[c.at].is_null());
        let mut partition_end = bytes.len();
        for (i, c) in self.columns.iter().enumerate() {
            key::encode(&row[c.at], c.ty, c.desc, c.nulls_first, &mut bytes)?;
            if i == 0 {
                partition_end = bytes.len();
            }
        }
        let unique = self.unique && !has_null;
        let value = if unique {
            Bytes::copy_from_slice(row_key.tail())
        } else {
            bytes.extend_from_slice(row_key.tail());
            Bytes::new()
        };
        check_key_len(bytes.len())?;
        let key = Key::from_bytes(bytes.into(), partition_end - Key::SPACE_LEN);
        Ok(IndexEntry { key, value, unique })
    }

    /// The bytes that the first `values.len()` index columns' codes make: a prefix of the tails
    /// of all entries with these values.
    pub fn prefix<'a>(&self, values: impl Iterator<Item = &'a Datum>) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(32);
        for (c, value) in self.columns.iter().zip(values) {
            key::encode(value, c.ty, c.desc, c.nulls_first, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// The tail of the row key that an entry points to.
    pub fn row_key_tail<'a>(&self, key: &'a Key, value: &'a Bytes) -> Result<&'a [u8]> {
        if !value.is_empty() {
            return Ok(value);
        }
        let mut rest = key.tail();
        for c in &self.columns {
            self::key::decode(&mut rest, c.ty, c.desc)?;
        }
        Ok(rest)
    }
}
