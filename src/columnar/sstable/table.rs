//! A table as its SSTables describe it: columns, and the files whose rows are merged.
//!
//! Headers have the types of key and clustering columns but not their names, which are `key`,
//! `key2`, …, `column1`, … unless they are found beside the files or given. Columns come in the
//! order of `SELECT *`: partition key, clustering, static, regular ones, the last two by name.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::definition::{self, Dropped};
use super::files::{self, Files, TableName};
use super::scan::Scan;
use super::statistics::{self, Column, Header, Statistics};
use super::token::Tokens;
use super::types::{CqlType, Place};
use super::values;
use crate::error::{Error, Result, SqlState};

/// Columns of a table at most, and SSTables of one run.
const COLUMNS_MAX: usize = u16::MAX as usize - 1;

/// An SSTable, its statistics read.
#[derive(Clone, Debug)]
pub struct SsTable {
    /// Its files.
    pub files: Files,
    /// What Statistics.db says.
    pub statistics: Statistics,
}

/// How a column takes part in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Part of the partition key.
    PartitionKey,
    /// Part of the clustering key.
    Clustering,
    /// One value for each partition.
    Static,
    /// One value for each row.
    Regular,
}

/// A column of the output.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: CqlType,
    /// Its role.
    pub role: Role,
}

/// SSTables of one table, from one node or several.
#[derive(Debug)]
pub struct Table {
    /// The SSTables.
    pub sstables: Vec<SsTable>,
    /// The table's name, where folders say it.
    pub name: Option<TableName>,
    pub(super) partitioner: String,
    pub(super) key: Vec<Place>,
    pub(super) clustering: Vec<Place>,
    /// Of all files: simple before complex ones, each by name.
    pub(super) statics: Vec<Column>,
    pub(super) regulars: Vec<Column>,
    pub(super) dropped: Vec<Dropped>,
    outputs: Vec<Output>,
}

impl Table {
    /// The table whose files, or folders of files, are given. Its definition, where one lies beside
    /// them, is read as of `now`, in seconds since 1970.
    ///
    /// # Errors
    /// 0A000 for versions, types and compressors that are not read, XX001 for bytes that cannot be
    /// what was written, 22023 for files of different tables.
    pub fn open(paths: &[PathBuf], now: i64) -> Result<Table> {
        let mut table = Table::alone(paths)?;
        let folder = &table.sstables[0].files.folder;
        if let Some(found) = definition::find(folder, table.name.as_ref(), now) {
            table.dropped = found.dropped;
            table.outputs = table.make_outputs();
            if found.keys.len() == table.key.len() + table.clustering.len() {
                table.name_key(&found.keys)?;
            }
        }
        Ok(table)
    }

    /// As [`Table::open`], but without a look at what lies beside the files.
    pub(super) fn alone(paths: &[PathBuf]) -> Result<Table> {
        let mut found: Option<Table> = None;
        for files in files::find(paths)? {
            let statistics = statistics::read(&files)?;
            let sstable = SsTable { files, statistics };
            match &mut found {
                None => found = Some(Table::of(sstable)?),
                Some(table) => table.add(sstable)?,
            }
        }
        let Some(mut table) = found else {
            return Err(Error::new(SqlState::UNDEFINED_FILE, "no SSTables are given"));
        };
        if table.statics.len() + table.regulars.len() > COLUMNS_MAX {
            return Err(Error::unsupported(format!("a table of more than {COLUMNS_MAX} columns")));
        }
        table.outputs = table.make_outputs();
        Ok(table)
    }

    fn of(sstable: SsTable) -> Result<Table> {
        let header = &sstable.statistics.header;
        Ok(Table {
            name: TableName::of(&sstable.files.folder),
            partitioner: sstable.statistics.partitioner.clone(),
            key: header.key.clone(),
            clustering: header.clustering.clone(),
            statics: header.statics.clone(),
            regulars: header.regulars.clone(),
            dropped: Vec::new(),
            outputs: Vec::new(),
            sstables: vec![sstable],
        })
    }

    fn add(&mut self, sstable: SsTable) -> Result<()> {
        let path = sstable.files.path("Data.db");
        let first = self.sstables[0].files.path("Data.db");
        let differs = |how: &str| {
            let message = format!("{} and {} {how}", first.display(), path.display());
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .with_hint("Give the files of one table at a time."))
        };
        let name = TableName::of(&sstable.files.folder);
        if let (Some(one), Some(other)) = (&self.name, &name)
            && (&one.table, &one.id) != (&other.table, &other.id)
        {
            return differs(&format!(
                "are of different tables: {} and {}",
                one.full(),
                other.full()
            ));
        }
        let Header { key, clustering, statics, regulars, .. } = &sstable.statistics.header;
        if self.partitioner != sstable.statistics.partitioner {
            return differs("have different partitioners");
        }
        if !same_places(&self.key, key) || !same_places(&self.clustering, clustering) {
            return differs("have different primary keys");
        }
        for (own, new) in [(&mut self.statics, statics), (&mut self.regulars, regulars)] {
            if let Err(name) = unite(own, new) {
                return differs(&format!("have different types for the column {name}"));
            }
        }
        let crossed = self.statics.iter().find(|c| self.regulars.iter().any(|r| r.name == c.name));
        if let Some(column) = crossed {
            return differs(&format!("differ on whether the column {} is static", column.name));
        }
        self.sstables.push(sstable);
        Ok(())
    }

    /// Names the columns of the primary key, in their order.
    ///
    /// # Errors
    /// 22023 if there are more or fewer.
    pub fn name_key(&mut self, names: &[String]) -> Result<()> {
        let wanted = self.key.len() + self.clustering.len();
        if names.len() != wanted {
            let message = format!(
                "the primary key has {wanted} columns, and {} names are given",
                names.len()
            );
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        for (output, name) in self.outputs.iter_mut().zip(names) {
            output.name.clone_from(name);
        }
        Ok(())
    }

    fn make_outputs(&self) -> Vec<Output> {
        let numbered = |stem: &str, n: usize, from: usize| {
            if n < from { stem.to_owned() } else { format!("{stem}{}", n + 1) }
        };
        let of = |places: &[Place], role, stem: &str, from: usize| -> Vec<Output> {
            let named = places.iter().enumerate();
            named
                .map(|(n, p)| Output { name: numbered(stem, n, from), ty: p.ty.clone(), role })
                .collect()
        };
        let mut outputs = of(&self.key, Role::PartitionKey, "key", 1);
        outputs.extend(of(&self.clustering, Role::Clustering, "column", 0));
        for (columns, role) in [(&self.statics, Role::Static), (&self.regulars, Role::Regular)] {
            let there = |c: &&Column| !self.dropped.iter().any(|d| d.name == c.name && !d.again);
            let mut named: Vec<&Column> = columns.iter().filter(there).collect();
            named.sort_by(|a, b| a.name.cmp(&b.name));
            outputs.extend(named.into_iter().map(|c| Output {
                name: c.name.clone(),
                ty: c.ty.clone(),
                role,
            }));
        }
        outputs
    }

    /// The columns, in the order of `SELECT *`.
    pub fn columns(&self) -> &[Output] {
        &self.outputs
    }

    /// The schema of the batches.
    pub fn schema(&self) -> SchemaRef {
        let fields = self.outputs.iter().map(|column| {
            let nullable = column.role != Role::PartitionKey;
            Field::new(
                &column.name,
                values::arrow_type(&column.ty),
                nullable || is_text_free(column),
            )
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The rows that are alive at `now`, in seconds since 1970, partition by partition in the
    /// order of tokens.
    ///
    /// # Errors
    /// As for [`Table::open`], of the other files.
    pub fn scan(&self, now: i64) -> Result<Scan> {
        Scan::new(self, now, Tokens::ALL, false)
    }

    /// The same of a part of the ring, with the bytes of every value, for who knows them better
    /// than CQL's types do. Collections are refused.
    ///
    /// # Errors
    /// As for [`Table::scan`].
    pub fn scan_bytes(&self, now: i64, tokens: Tokens) -> Result<Scan> {
        if let Some(column) = self.statics.iter().chain(&self.regulars).find(|c| c.complex) {
            return Err(Error::unsupported(format!("the bytes of the collection {}", column.name)));
        }
        Scan::new(self, now, tokens, true)
    }

    pub(super) fn raw_schema(&self) -> SchemaRef {
        let fields = self.outputs.iter().map(|c| Field::new(&c.name, DataType::Binary, true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// Parts of a partition key can have no bytes, which only texts and blobs are not null with.
fn is_text_free(column: &Output) -> bool {
    !matches!(column.ty, CqlType::Text | CqlType::Ascii | CqlType::Blob)
}

fn same_places(own: &[Place], other: &[Place]) -> bool {
    let same = |(a, b): (&Place, &Place)| a.reversed == b.reversed && a.ty.newer(&b.ty).is_some();
    own.len() == other.len() && own.iter().zip(other).all(same)
}

/// Adds columns to others. Fails with the name of one whose types do not go together.
fn unite(own: &mut Vec<Column>, new: &[Column]) -> Result<(), String> {
    for column in new {
        match own.iter_mut().find(|c| c.name == column.name) {
            None => own.push(column.clone()),
            Some(known) => match known.ty.newer(&column.ty) {
                Some(ty) if known.complex == column.complex => known.ty = ty.clone(),
                _ => return Err(column.name.clone()),
            },
        }
    }
    own.sort_by(|a, b| (a.complex, &a.name).cmp(&(b.complex, &b.name)));
    Ok(())
}
