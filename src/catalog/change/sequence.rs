//! Sequences.

use std::sync::Arc;

use super::super::descriptor::{SequenceDescriptor, SequenceOwner, oids};
use super::super::names;
use super::super::object::{Kind, Object, ObjectId};
use super::super::sequence::counter_key;
use super::{SchemaChange, undefined_table};
use crate::error::Result;
use crate::types::descriptor::TableDescriptor;

impl SchemaChange<'_> {
    /// CREATE SEQUENCE; OID and owner are given here. 42P07 if the name is taken.
    pub async fn create_sequence(
        &mut self,
        mut sequence: SequenceDescriptor,
    ) -> Result<Arc<SequenceDescriptor>> {
        self.hold_schema(&sequence.schema).await?;
        sequence.oid = self.catalog.next_oid().await?;
        sequence.owner.clone_from(&self.owner);
        self.claim_relation(&sequence.schema, &sequence.name, sequence.oid).await?;
        self.write_sequence(sequence)
    }

    /// The name PostgreSQL makes up for a column's own sequence.
    pub fn sequence_name(&self, schema: &str, table: &str, column: &str) -> String {
        names::choose(table, column, "seq", |name| self.snapshot.name_taken(schema, name))
    }

    /// Locks a sequence and gives its newest descriptor; 42P01 if it is gone by then.
    pub async fn lock_sequence(
        &mut self,
        sequence: &SequenceDescriptor,
    ) -> Result<Arc<SequenceDescriptor>> {
        match self.lock_object(ObjectId::Plain(Kind::Sequence, sequence.oid)).await? {
            Some(Object::Sequence(newest)) => Ok(newest),
            _ => Err(undefined_table(&sequence.name)),
        }
    }

    /// Writes a locked sequence's descriptor, one version further.
    pub fn write_sequence(
        &mut self,
        mut sequence: SequenceDescriptor,
    ) -> Result<Arc<SequenceDescriptor>> {
        sequence.version += 1;
        let sequence = Arc::new(sequence);
        self.write(Object::Sequence(Arc::clone(&sequence)))?;
        Ok(sequence)
    }

    /// Begins a locked sequence again at `start`: with the commit, and not before.
    pub fn restart_sequence(&mut self, sequence: &SequenceDescriptor, start: i64) -> Result<()> {
        self.txn.delete(counter_key(sequence), false)?;
        let generation = sequence.generation + 1;
        self.write_sequence(SequenceDescriptor {
            generation,
            start_at: start,
            ..sequence.clone()
        })?;
        Ok(())
    }

    /// Makes a sequence go with a column, or with none.
    pub fn own_sequence(
        &mut self,
        sequence: &SequenceDescriptor,
        owner: Option<SequenceOwner>,
    ) -> Result<()> {
        self.write_sequence(SequenceDescriptor { owned_by: owner, ..sequence.clone() })?;
        Ok(())
    }

    /// DROP SEQUENCE of a locked sequence.
    pub fn drop_sequence(&mut self, sequence: &SequenceDescriptor) -> Result<()> {
        self.release_relation(&sequence.schema, &sequence.name)?;
        self.txn.delete(counter_key(sequence), false)?;
        self.remove(ObjectId::Plain(Kind::Sequence, sequence.oid))?;
        self.drop_comments(oids::CLASS_RELATION, sequence.oid)
    }

    /// Drops the sequences that go with a locked table, or with one of its columns.
    pub async fn drop_owned_sequences(
        &mut self,
        table: &TableDescriptor,
        column: Option<crate::types::descriptor::ColumnId>,
    ) -> Result<()> {
        let owned: Vec<Arc<SequenceDescriptor>> = self
            .snapshot
            .owned_sequences(table.id)
            .filter(|s| column.is_none_or(|id| s.owned_by.is_some_and(|o| o.column == id)))
            .cloned()
            .collect();
        for sequence in owned {
            let sequence = self.lock_sequence(&sequence).await?;
            self.drop_sequence(&sequence)?;
        }
        Ok(())
    }

    /// ALTER SEQUENCE … RENAME TO, of a locked sequence.
    pub async fn rename_sequence(
        &mut self,
        sequence: &SequenceDescriptor,
        name: &str,
    ) -> Result<()> {
        self.claim_relation(&sequence.schema, name, sequence.oid).await?;
        self.release_relation(&sequence.schema, &sequence.name)?;
        self.write_sequence(SequenceDescriptor { name: name.to_owned(), ..sequence.clone() })?;
        Ok(())
    }
}
