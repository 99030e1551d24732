//! The rows of a table's SSTables as record batches.
//!
//! Partitions come in the order of their tokens. One that only one file has is read straight
//! through; those that several have are merged row by row, so that no partition is ever held whole.
//! Memory is a block and the longest row for each file, and one batch.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::bytes::Cursor;
use super::clustering::Span;
use super::compare;
use super::merge::{Merged, SCRATCH, Version};
use super::reader::{Item, Reader, plan};
use super::row::Deletion;
use super::statistics::Column;
use super::table::{Role, Table};
use super::token::Tokens;
use super::types::{CqlType, Place};
use super::values::{Values, Wrong};
use crate::error::{Error, Result};

/// Rows of a batch at most.
const BATCH_ROWS: usize = 8192;
/// Bytes of values after which a batch ends.
const BATCH_BYTES: usize = 16 << 20;
/// Bytes that are read from a file at once.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes that are read at once from all files together, where there are many.
const BLOCK_BYTES_ALL: usize = 64 << 20;
/// Bytes that are read from a file at once at least.
const BLOCK_BYTES_MIN: usize = 64 << 10;

/// Reads and merges SSTables. An iterator over batches; after an error, XX001 with file and offset
/// for bytes that cannot be what was written, there are no more.
pub struct Scan {
    readers: Vec<Reader>,
    /// Whether a reader stands at a partition.
    has_partition: Vec<bool>,
    shape: Shape,
    schema: SchemaRef,
    columns: Vec<Values>,
    rows: usize,
    bytes: usize,
    now: i64,
    current: Option<Partition>,
    merged: Merged,
    started: bool,
    failed: bool,
}

/// What is known of the table, and where its columns go.
struct Shape {
    by_token: bool,
    partitioner: String,
    key: Vec<Place>,
    clustering: Vec<Place>,
    statics: Vec<Column>,
    regulars: Vec<Column>,
    /// Index in the batch of each static and regular column; nothing for one that was dropped,
    /// which has no cells.
    static_places: Vec<Option<usize>>,
    regular_places: Vec<Option<usize>>,
}

/// A partition that is being read.
struct Partition {
    key: Vec<u8>,
    /// The readers that have it.
    members: Vec<Member>,
    deletion: Deletion,
    /// Values of the static columns: column, path and value, the latter in `static_bytes`.
    statics: Vec<(u16, Span, Span)>,
    static_bytes: Vec<u8>,
    static_alive: bool,
    has_rows: bool,
}

struct Member {
    reader: usize,
    /// What comes next; nothing if it is not read yet.
    item: Option<Item>,
    /// The deletion of the range that is open where the merge stands.
    range: Deletion,
}

impl Scan {
    /// `raw`: every value as the bytes that are stored.
    pub(super) fn new(table: &Table, now: i64, tokens: Tokens, raw: bool) -> Result<Scan> {
        let count = table.sstables.len();
        if count >= usize::from(SCRATCH) {
            return Err(Error::unsupported(format!("a merge of {count} SSTables")));
        }
        let by_token = table.partitioner == "Murmur3Partitioner";
        let known = by_token
            || ["ByteOrderedPartitioner", "LocalPartitioner"].contains(&&*table.partitioner);
        if tokens != Tokens::ALL && !by_token {
            let what = format!("tokens of tables partitioned by {}", table.partitioner);
            return Err(Error::unsupported(what));
        }
        if count > 1 && !known {
            let what = format!("a merge of tables partitioned by {}", table.partitioner);
            return Err(Error::unsupported(what));
        }
        let block = (BLOCK_BYTES_ALL / count).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES);
        let readers: Result<Vec<Reader>> = table
            .sstables
            .iter()
            .map(|sstable| {
                let header = sstable.statistics.header.clone();
                let statics = plan(&header.statics, &table.statics, &table.dropped);
                let regulars = plan(&header.regulars, &table.regulars, &table.dropped);
                let tokens = (by_token && (count > 1 || tokens != Tokens::ALL)).then_some(tokens);
                Reader::open(&sstable.files, header, (statics, regulars), tokens, block)
            })
            .collect();
        let places = |columns: &[Column], role: Role| {
            let place = |c: &Column| {
                table.columns().iter().position(|o| o.role == role && o.name == c.name)
            };
            columns.iter().map(place).collect()
        };
        Ok(Scan {
            readers: readers?,
            has_partition: vec![false; count],
            shape: Shape {
                by_token,
                partitioner: table.partitioner.clone(),
                key: table.key.clone(),
                clustering: table.clustering.clone(),
                static_places: places(&table.statics, Role::Static),
                regular_places: places(&table.regulars, Role::Regular),
                statics: table.statics.clone(),
                regulars: table.regulars.clone(),
            },
            schema: if raw { table.raw_schema() } else { table.schema() },
            columns: table
                .columns()
                .iter()
                .map(|column| Values::new(if raw { &CqlType::Blob } else { &column.ty }))
                .collect(),
            rows: 0,
            bytes: 0,
            now,
            current: None,
            merged: Merged::default(),
            started: false,
            failed: false,
        })
    }

    /// The next batch; nothing after the last row.
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        if !self.started {
            self.started = true;
            for (n, reader) in self.readers.iter_mut().enumerate() {
                self.has_partition[n] = reader.next_partition()?;
            }
        }
        while self.rows < BATCH_ROWS && self.bytes < BATCH_BYTES {
            if self.current.is_none() && !self.next_partition()? {
                break;
            }
            self.read_rows()?;
        }
        if self.rows == 0 {
            return Ok(None);
        }
        (self.rows, self.bytes) = (0, 0);
        let arrays: Result<Vec<_>, _> = self.columns.iter_mut().map(Values::finish).collect();
        let batch =
            arrays.and_then(|arrays| RecordBatch::try_new(Arc::clone(&self.schema), arrays));
        let batch =
            batch.map_err(|e| Error::internal("the columns do not make a batch").with_source(e))?;
        Ok(Some(batch))
    }

    /// Starts with the partition that comes next. False after the last.
    fn next_partition(&mut self) -> Result<bool> {
        let mut members: Vec<usize> = Vec::new();
        for n in 0..self.readers.len() {
            if !self.has_partition[n] {
                continue;
            }
            let order = members.first().map_or(Ordering::Less, |first| {
                self.shape.compare_keys(&self.readers[n], &self.readers[*first])
            });
            match order {
                Ordering::Less => {
                    members.clear();
                    members.push(n);
                }
                Ordering::Equal => members.push(n),
                Ordering::Greater => {}
            }
        }
        let Some(first) = members.first().copied() else { return Ok(false) };
        let deletion = members.iter().fold(Deletion::NONE, |d, n| d.or(self.readers[*n].deletion));
        let mut partition = Partition {
            key: self.readers[first].key.clone(),
            deletion,
            statics: Vec::new(),
            static_bytes: Vec::new(),
            static_alive: false,
            has_rows: false,
            members: members
                .iter()
                .map(|n| Member { reader: *n, item: None, range: Deletion::NONE })
                .collect(),
        };
        if !self.shape.statics.is_empty() {
            self.merge_static(&mut partition)?;
        }
        self.current = Some(partition);
        Ok(true)
    }

    fn merge_static(&mut self, partition: &mut Partition) -> Result<()> {
        let versions: Vec<Version<'_>> = partition
            .members
            .iter()
            .map(|member| {
                let reader = &self.readers[member.reader];
                Version { row: &reader.static_row, bytes: &reader.static_bytes }
            })
            .collect();
        let merged = &mut self.merged;
        let alive = merged.merge(&versions, &self.shape.statics, partition.deletion, self.now);
        let reader = &self.readers[partition.members[0].reader];
        partition.static_alive = alive.map_err(|wrong| reader.data.corrupted(0, wrong))?;
        for pick in &merged.picks {
            let from = if pick.version == SCRATCH {
                &merged.scratch[..]
            } else {
                versions[usize::from(pick.version)].bytes
            };
            let mut keep = |span: Span| {
                let at = partition.static_bytes.len();
                partition.static_bytes.extend_from_slice(span.of(from));
                Span { at, len: span.len }
            };
            let (path, value) = (keep(pick.path), keep(pick.value));
            partition.statics.push((pick.column, path, value));
        }
        Ok(())
    }

    /// Reads rows of the current partition until it ends or the batch is full.
    fn read_rows(&mut self) -> Result<()> {
        let Some(mut partition) = self.current.take() else { return Ok(()) };
        while self.rows < BATCH_ROWS && self.bytes < BATCH_BYTES {
            let more = match partition.members.len() {
                1 => self.read_one(&mut partition)?,
                _ => self.merge_one(&mut partition)?,
            };
            if !more {
                if !partition.has_rows && partition.static_alive {
                    let place = partition.members[0].reader;
                    self.push_row(&partition, place, &[])?;
                }
                for member in &partition.members {
                    self.has_partition[member.reader] =
                        self.readers[member.reader].next_partition()?;
                }
                return Ok(());
            }
        }
        self.current = Some(partition);
        Ok(())
    }

    /// The next row of a partition that only one file has. False at its end.
    fn read_one(&mut self, partition: &mut Partition) -> Result<bool> {
        let n = partition.members[0].reader;
        let reader = &mut self.readers[n];
        match reader.next_item()? {
            Item::End => return Ok(false),
            Item::Marker(_) => return Ok(true),
            Item::Row => {}
        }
        let covering = partition.deletion.or(reader.range);
        let version = Version { row: &reader.row, bytes: reader.bytes() };
        let alive = self.merged.merge(&[version], &self.shape.regulars, covering, self.now);
        if alive.map_err(|wrong| reader.data.corrupted(reader.data.place(), wrong))? {
            partition.has_rows = true;
            self.push_row(partition, n, &[n])?;
        }
        Ok(true)
    }

    /// The next row or marker of a partition that several files have. False at its end.
    fn merge_one(&mut self, partition: &mut Partition) -> Result<bool> {
        for member in &mut partition.members {
            if member.item.is_none() {
                member.item = Some(self.readers[member.reader].next_item()?);
            }
        }
        let mut first: Vec<usize> = Vec::with_capacity(partition.members.len());
        for (n, member) in partition.members.iter().enumerate() {
            if member.item == Some(Item::End) {
                continue;
            }
            let order = first.first().map_or(Ordering::Less, |f| {
                let other = &partition.members[*f];
                self.compare_items(member, other)
            });
            match order {
                Ordering::Less => {
                    first.clear();
                    first.push(n);
                }
                Ordering::Equal => first.push(n),
                Ordering::Greater => {}
            }
        }
        let Some(front) = first.first().copied() else { return Ok(false) };
        if let Some(Item::Marker(_)) = partition.members[front].item {
            for n in first {
                let member = &mut partition.members[n];
                member.range = self.readers[member.reader].range;
                member.item = None;
            }
            return Ok(true);
        }
        let ranges = partition.members.iter().map(|m| m.range);
        let covering = ranges.fold(partition.deletion, Deletion::or);
        let sources: Vec<usize> = first.iter().map(|n| partition.members[*n].reader).collect();
        let versions: Vec<Version<'_>> = sources
            .iter()
            .map(|n| Version { row: &self.readers[*n].row, bytes: self.readers[*n].bytes() })
            .collect();
        let alive = self.merged.merge(&versions, &self.shape.regulars, covering, self.now);
        let data = &self.readers[sources[0]].data;
        if alive.map_err(|wrong| data.corrupted(data.place(), wrong))? {
            partition.has_rows = true;
            self.push_row(partition, sources[0], &sources)?;
        }
        for n in first {
            partition.members[n].item = None;
        }
        Ok(true)
    }

    /// The order of two members' next rows or markers.
    fn compare_items(&self, a: &Member, b: &Member) -> Ordering {
        let (x, y) = (&self.readers[a.reader], &self.readers[b.reader]);
        for ((place, x_value), y_value) in
            self.shape.clustering.iter().zip(&x.clustering).zip(&y.clustering)
        {
            let x_value = x_value.map(|span| span.of(x.bytes()));
            let y_value = y_value.map(|span| span.of(y.bytes()));
            let order = compare::clustering(place, x_value, y_value);
            if order != Ordering::Equal {
                return order;
            }
        }
        // Rows lie between the bounds before and after their values.
        let rank = |item: &Option<Item>| match item {
            Some(Item::Marker(bound)) if bound.after_equal() => 2,
            Some(Item::Marker(_)) => 0,
            _ => 1,
        };
        match x.clustering.len().cmp(&y.clustering.len()) {
            Ordering::Equal => rank(&a.item).cmp(&rank(&b.item)),
            Ordering::Less => rank(&a.item).cmp(&1),
            Ordering::Greater => 1.cmp(&rank(&b.item)),
        }
    }

    /// Appends a row of what [`Scan::merged`] has left. `sources` are the readers of the merged
    /// versions, none for a partition that only has static values; `place` is for complaints.
    fn push_row(&mut self, partition: &Partition, place: usize, sources: &[usize]) -> Result<()> {
        let Scan { readers, shape, columns, merged, bytes, .. } = self;
        let pushed = push_key(columns, shape, &partition.key).and_then(|()| {
            let at = shape.key.len();
            let reader = &readers[place];
            for (n, _) in shape.clustering.iter().enumerate() {
                let value = if sources.is_empty() { None } else { reader.clustering[n] };
                push(&mut columns[at + n], value.map(|span| span.of(reader.bytes())))?;
            }
            let own = &partition.static_bytes[..];
            let cells = partition.statics.iter().map(|(c, path, v)| (*c, path.of(own), v.of(own)));
            push_cells(columns, &shape.statics, &shape.static_places, cells)?;
            let picks = if sources.is_empty() { &[][..] } else { &merged.picks[..] };
            let cells = picks.iter().map(|pick| {
                let from = match pick.version {
                    SCRATCH => &merged.scratch[..],
                    n => readers[sources[usize::from(n)]].bytes(),
                };
                *bytes += pick.value.len + pick.path.len;
                (pick.column, pick.path.of(from), pick.value.of(from))
            });
            push_cells(columns, &shape.regulars, &shape.regular_places, cells)
        });
        self.bytes += partition.key.len() + partition.static_bytes.len();
        self.rows += 1;
        pushed.map_err(|wrong| {
            let data = &self.readers[place].data;
            data.corrupted(data.place(), wrong)
        })
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.failed {
            return None;
        }
        let batch = self.next_batch().transpose();
        self.failed = matches!(batch, Some(Err(_)));
        batch
    }
}

impl Shape {
    fn compare_keys(&self, a: &Reader, b: &Reader) -> Ordering {
        if self.by_token {
            return a.token.cmp(&b.token).then_with(|| a.key.cmp(&b.key));
        }
        match &self.key[..] {
            [only] if self.partitioner == "LocalPartitioner" => {
                compare::values(&only.ty, &a.key, &b.key)
            }
            _ => a.key.cmp(&b.key),
        }
    }
}

fn push(column: &mut Values, value: Option<&[u8]>) -> Result<(), Wrong> {
    match value {
        Some(bytes) => column.push(bytes),
        None => {
            column.push_null();
            Ok(())
        }
    }
}

/// The parts of a partition key: one as it is, several each with its length before it and a zero
/// after it.
fn push_key(columns: &mut [Values], shape: &Shape, key: &[u8]) -> Result<(), Wrong> {
    if shape.key.len() == 1 {
        return columns[0].push(key);
    }
    let mut cursor = Cursor::new(key);
    for column in &mut columns[..shape.key.len()] {
        let part = cursor.u16().and_then(|n| {
            let part = cursor.take(usize::from(n))?;
            cursor.u8()?;
            Ok(part)
        });
        column.push(part.map_err(|bad| bad.what)?)?;
    }
    if cursor.remaining() == 0 {
        Ok(())
    } else {
        Err("a partition key has more parts than its type")
    }
}

/// Appends to each of `own` columns its cells, which come in the same order; null where there are
/// none.
fn push_cells<'a>(
    columns: &mut [Values],
    own: &[Column],
    places: &[Option<usize>],
    cells: impl Iterator<Item = (u16, &'a [u8], &'a [u8])>,
) -> Result<(), Wrong> {
    let mut cells = cells.peekable();
    for ((index, column), place) in (0_u16..).zip(own).zip(places) {
        let Some(target) = place.map(|n| &mut columns[n]) else { continue };
        let Some((_, _, value)) = cells.next_if(|(of, ..)| *of == index && !column.complex) else {
            if column.complex && cells.peek().is_some_and(|(of, ..)| *of == index) {
                let set = matches!(column.ty, CqlType::Set(_));
                let elements = std::iter::from_fn(|| {
                    cells.next_if(|(of, ..)| *of == index).map(|(_, path, value)| (path, value))
                });
                target.push_cells(set, elements)?;
            } else {
                target.push_null();
            }
            continue;
        };
        target.push(value)?;
    }
    Ok(())
}
