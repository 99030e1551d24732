//! Values as they are bound, rows as they are read.

use bytes::Bytes;
use scylla::cluster::metadata::ColumnType;
use scylla::deserialize::row::ColumnIterator;
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};

use super::cql::{columns, row_tuple};
use super::failure::Trouble;
use super::native::Natives;
use crate::kv::lwt::partitions::*;

/// A bound value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Blob(Option<Bytes>),
    Tiny(i8),
    Int(i32),
    Big(i64),
    Text(String),
    Blobs(Vec<Bytes>),
    /// A value as CQL has it, of whatever type.
    Cell(Option<Bytes>),
    /// Leaves a column as it is.
    Unset,
    /// Clustering keys of a space's rows.
    Rows(Vec<(i8, Bytes, i64)>),
}

impl Value {
    /// Bytes.
    pub fn blob(bytes: &Bytes) -> Value {
        Value::Blob(Some(bytes.clone()))
    }

    /// Clustering keys.
    pub fn rows(rows: impl Iterator<Item = RowKey>) -> Value {
        Value::Rows(rows.map(|row| row_tuple(&row)).collect())
    }

    /// `LIMIT ?`
    pub fn limit(limit: usize) -> Value {
        Value::Int(i32::try_from(limit).unwrap_or(i32::MAX))
    }
}

impl SerializeValue for Value {
    fn serialize<'b>(
        &self,
        typ: &ColumnType<'_>,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        match self {
            Value::Blob(value) => value.serialize(typ, writer),
            Value::Tiny(value) => value.serialize(typ, writer),
            Value::Int(value) => value.serialize(typ, writer),
            Value::Big(value) => value.serialize(typ, writer),
            Value::Text(value) => value.serialize(typ, writer),
            Value::Blobs(value) => value.serialize(typ, writer),
            Value::Cell(None) => Ok(writer.set_null()),
            Value::Cell(Some(bytes)) => {
                writer.set_value(bytes).map_err(|_| SerializationError::new(TooLong(bytes.len())))
            }
            Value::Unset => Ok(writer.set_unset()),
            Value::Rows(value) => value.serialize(typ, writer),
        }
    }
}

/// A value longer than CQL's lengths.
#[derive(Debug, thiserror::Error)]
#[error("a value of {0} bytes is too long for CQL")]
struct TooLong(usize);

/// Takes a row's cells one after the other.
struct Cells<'a>(ColumnIterator<'a, 'a>);

impl Cells<'_> {
    fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        let column = self.0.next().ok_or_else(|| short("a row"))?;
        let column = column.map_err(|e| Trouble::Defect(e.to_string()))?;
        Ok(column.slice.map(|slice| slice.to_bytes()))
    }

    fn bytes(&mut self) -> Result<Bytes, Trouble> {
        Ok(self.next()?.unwrap_or_default())
    }

    fn number(&mut self) -> Result<i64, Trouble> {
        let bytes = self.bytes()?;
        match bytes.len() {
            1 => Ok(i64::from(bytes[0] as i8)),
            8 => {
                let mut number = [0; 8];
                number.copy_from_slice(&bytes);
                Ok(i64::from_be_bytes(number))
            }
            _ => Err(short("a number")),
        }
    }
}

fn short(what: &str) -> Trouble {
    Trouble::Defect(format!("{what} in the cluster's answer is not as it was asked for"))
}

fn each(
    answer: &QueryRowsResult,
    mut take: impl FnMut(&mut Cells<'_>) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let rows = answer.rows::<ColumnIterator<'_, '_>>();
    for row in rows.map_err(|e| Trouble::Defect(e.to_string()))? {
        take(&mut Cells(row.map_err(|e| Trouble::Defect(e.to_string()))?))?;
    }
    Ok(())
}

/// What `kind` says.
pub(super) fn kind_of(number: i8) -> Option<Kind> {
    match number {
        0 => Some(Kind::Static),
        1 => Some(Kind::Head),
        2 => Some(Kind::History),
        _ => None,
    }
}

fn row(table: Table, natives: &Natives, cells: &mut Cells<'_>) -> Result<Option<Row>, Trouble> {
    let key = match table {
        Table::Space(_) => {
            let kind = cells.number()?;
            let kind = i8::try_from(kind).ok().and_then(kind_of).ok_or_else(|| short("a kind"))?;
            RowKey { kind, key: cells.bytes()?, version: cells.number()? as u64 }
        }
        Table::Gateways | Table::Log => RowKey::head(&cells.bytes()?),
        Table::Transactions => {
            cells.bytes()?;
            RowKey::head(&Bytes::new())
        }
    };
    let mut found = Vec::new();
    for column in columns(table) {
        match (column, cells.next()?) {
            (_, None) => {}
            // CQL says which rows live; the protocol, which do not.
            (Column::Dl, Some(live)) if live.as_ref() == [1] => {}
            (_, Some(value)) => found.push((*column, value)),
        }
    }
    if matches!(table, Table::Space(_)) && !natives.columns.is_empty() {
        let rest = cells.next()?;
        let native: Result<Vec<_>, _> = natives.columns.iter().map(|_| cells.next()).collect();
        let (native, whole) = (native?, found.iter().any(|(column, _)| *column == Column::Va));
        if let Some(rest) = rest.filter(|_| !whole) {
            let at = found.partition_point(|(column, _)| *column < Column::Va);
            found.insert(at, (Column::Va, natives.join(&rest, &native)?));
        }
    }
    Ok((!found.is_empty()).then_some(Row { key, cells: found }))
}

/// The rows of a read of one partition.
pub(super) fn decode(
    table: Table,
    natives: &Natives,
    answer: &QueryRowsResult,
) -> Result<Vec<Row>, Trouble> {
    let mut rows = Vec::with_capacity(answer.rows_num());
    each(answer, |cells| {
        rows.extend(row(table, natives, cells)?);
        Ok(())
    })?;
    Ok(rows)
}

/// The rows of a page of the ring, all of them: how many there are says whether it goes on.
pub(super) fn decode_ring(
    natives: &Natives,
    answer: &QueryRowsResult,
) -> Result<Vec<(Bytes, Row)>, Trouble> {
    let mut rows = Vec::with_capacity(answer.rows_num());
    each(answer, |cells| {
        let key = cells.bytes()?;
        let table = Table::Space(crate::types::descriptor::SpaceId(0));
        rows.extend(row(table, natives, cells)?.map(|row| (key, row)));
        Ok(())
    })?;
    Ok(rows)
}

/// Partition keys.
pub(super) fn decode_keys(answer: &QueryRowsResult) -> Result<Vec<Bytes>, Trouble> {
    let mut keys = Vec::with_capacity(answer.rows_num());
    each(answer, |cells| {
        keys.push(cells.bytes()?);
        Ok(())
    })?;
    Ok(keys)
}

/// Rows of two texts.
pub(super) fn decode_texts(answer: &QueryRowsResult) -> Result<Vec<(String, String)>, Trouble> {
    let mut texts = Vec::with_capacity(answer.rows_num());
    let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
    each(answer, |cells| {
        texts.push((text(cells.bytes()?), text(cells.bytes()?)));
        Ok(())
    })?;
    Ok(texts)
}

/// The static row of a log.
pub(super) fn decode_log_static(answer: &QueryRowsResult) -> Result<Option<Row>, Trouble> {
    let mut found = None;
    each(answer, |cells| {
        cells.next()?;
        let cell = cells.next()?;
        found = cell.map(|cell| Row { key: RowKey::STATIC, cells: vec![(Column::Tr, cell)] });
        Ok(())
    })?;
    Ok(found)
}

/// Bytes of a partition by `system.size_estimates`, where anything is known.
pub(super) fn decode_mean(answer: &QueryRowsResult) -> Result<u64, Trouble> {
    let (mut partitions, mut bytes) = (0, 0);
    each(answer, |cells| {
        let (count, mean) = (cells.number()?.max(0) as u64, cells.number()?.max(0) as u64);
        partitions += count;
        bytes += count * mean;
        Ok(())
    })?;
    Ok(bytes / partitions.max(1))
}

/// Partitions of a table, from keys of the first `limit` of its ring: all, if there are no more;
/// else as many as the ring would have if they were as dense everywhere. Tokens are evenly
/// distributed, so a thousand tell it within a tenth.
pub(super) fn decode_density(answer: &QueryRowsResult, limit: usize) -> Result<u64, Trouble> {
    let (mut count, mut last) = (0_usize, i64::MIN);
    each(answer, |cells| {
        (count, last) = (count + 1, super::batches::token(&cells.bytes()?));
        Ok(())
    })?;
    Ok(if count < limit { count as u64 } else { partitions_of(count, last) })
}

/// How many partitions a ring has that has `count` up to the token `last`.
fn partitions_of(count: usize, last: i64) -> u64 {
    let covered = last.wrapping_sub(i64::MIN) as u64;
    let partitions = count as u128 * u128::from(u64::MAX) / u128::from(covered.max(1));
    u64::try_from(partitions).unwrap_or(u64::MAX)
}

/// The cells of an answer's one row.
pub(super) fn decode_cells(
    answer: &QueryRowsResult,
    count: usize,
) -> Result<Vec<Option<Bytes>>, Trouble> {
    let mut found = None;
    each(answer, |cells| {
        let row: Result<Vec<_>, _> = (0..count).map(|_| cells.next()).collect();
        found = Some(row?);
        Ok(())
    })?;
    found.ok_or_else(|| short("what a transaction found"))
}

/// `[applied]`
pub(super) fn is_applied(answer: &QueryRowsResult) -> Result<bool, Trouble> {
    let mut applied = None;
    each(answer, |cells| {
        let cell = cells.bytes()?;
        applied.get_or_insert(cell.as_ref() == [1]);
        Ok(())
    })?;
    applied.ok_or_else(|| short("the outcome of a conditional batch"))
}

/// `[applied]`, to the protocol.
pub(super) fn applied(answer: &QueryRowsResult) -> Result<Applied, Trouble> {
    Ok(if is_applied(answer)? { Applied::Yes } else { Applied::No })
}

/// All cells of all rows.
pub(super) fn cells(answer: &QueryRowsResult) -> Result<Vec<Vec<Option<Bytes>>>, Trouble> {
    let width = answer.column_specs().len();
    let mut rows = Vec::with_capacity(answer.rows_num());
    each(answer, |cells| {
        rows.push((0..width).map(|_| cells.next()).collect::<Result<_, _>>()?);
        Ok(())
    })?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_has_as_many_partitions_as_its_beginning_lets_expect() {
        let whole = i64::MAX;
        assert_eq!(partitions_of(1000, whole), 1000);
        let thousandth = i64::MIN + (u64::MAX / 1000) as i64;
        let found = partitions_of(1000, thousandth);
        assert!((999_000..=1_001_000).contains(&found), "{found}");
        // As few as there may be, whatever the last token is.
        assert!(partitions_of(1, i64::MIN) >= 1);
    }
}
