//! Which columns of values each table has, by the cluster's own schema, and new ones.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use scylla::statement::Consistency;

use super::Cassandra;
use super::connect::change_schema;
use super::failure::Trouble;
use super::native::Natives;
use super::rows::decode_texts;
use crate::kv::NativeColumn;
use crate::kv::lwt::partitions::Table;

/// Tables whose columns are known.
#[derive(Default)]
pub(super) struct Known(RwLock<HashMap<Table, Arc<Natives>>>);

impl Cassandra {
    /// A table's columns of values. Tables that are not spaces have none.
    pub(super) async fn natives(&self, table: Table) -> Result<Arc<Natives>, Trouble> {
        if !matches!(table, Table::Space(_)) {
            return Ok(Arc::default());
        }
        if let Some(known) = self.natives.0.read().get(&table) {
            return Ok(known.clone());
        }
        self.read_natives(table, 0).await
    }

    /// The columns of a table as they are now, where a value has a column that was not known when
    /// they were last read.
    pub(super) async fn newer_natives(
        &self,
        table: Table,
        known: &Natives,
        highest: u16,
    ) -> Result<Option<Arc<Natives>>, Trouble> {
        if highest <= known.known {
            return Ok(None);
        }
        Ok(Some(self.read_natives(table, highest).await?))
    }

    async fn read_natives(&self, table: Table, highest: u16) -> Result<Arc<Natives>, Trouble> {
        let (text, values) = self.names.table_columns(table);
        let answer = self.select(text, &values, Consistency::One).await?;
        let columns = decode_texts(&answer)?;
        if columns.is_empty() {
            return Err(Trouble::NoTable);
        }
        let mut natives = Natives::read(columns.into_iter());
        natives.known = natives.known.max(highest);
        let natives = Arc::new(natives);
        self.natives.0.write().insert(table, natives.clone());
        Ok(natives)
    }

    /// Forgets what is known of a table.
    pub(super) fn forget(&self, table: Table) {
        self.natives.0.write().remove(&table);
        self.prepared.forget(self.names.prefix(table).as_str());
    }

    /// Makes a table, if it is missing, and the columns it should have.
    pub(super) async fn describe_table(
        &self,
        table: Table,
        name: &str,
        columns: &[NativeColumn],
    ) -> Result<(), Trouble> {
        let all = Natives::default().missing(columns);
        if all.is_empty() {
            return Ok(());
        }
        let _one = self.schema.lock().await;
        let known = match self.read_natives(table, 0).await {
            Err(Trouble::NoTable) => {
                let made = self.names.create(table, &all, name);
                change_schema(&self.session, made).await?;
                self.read_natives(table, 0).await?
            }
            known => known?,
        };
        let missing = known.missing(columns);
        if !missing.is_empty() {
            let added = change_schema(&self.session, self.names.add_columns(table, &missing)).await;
            // One that was added by a try whose answer was lost is there all the same.
            if let Err(trouble) = added
                && !self.read_natives(table, 0).await?.missing(columns).is_empty()
            {
                return Err(trouble);
            }
            self.forget(table);
        }
        let (text, values) = self.names.read_comment(table);
        let comments = decode_texts(&self.select(text, &values, Consistency::One).await?)?;
        if comments.iter().any(|(comment, _)| comment != name) {
            change_schema(&self.session, self.names.comment(table, name)).await?;
        }
        Ok(())
    }
}
