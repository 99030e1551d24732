//! ALTER TABLE: identity columns.

use std::sync::Arc;

use super::create::{OwnSequence, identity_type, nextval};
use super::{Runner, undefined_column};
use crate::catalog::descriptor::{SequenceDescriptor, SequenceOwner};
use crate::error::{Error, Result, SqlState};
use crate::sql::ddl::SequenceOptions;
use crate::types::descriptor::{ColumnDescriptor, Identity, TableDescriptor};

impl Runner<'_> {
    /// ADD GENERATED … AS IDENTITY
    pub(super) async fn add_identity(
        &mut self,
        table: &TableDescriptor,
        name: &str,
        always: bool,
        options: &SequenceOptions,
    ) -> Result<()> {
        let Some(column) = table.column(name) else { return Err(undefined_column(table, name)) };
        let refused = |what: String| {
            let message = format!("column \"{name}\" of relation \"{}\" {what}", table.name);
            Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message))
        };
        let ty = identity_type(column.ty)?;
        if !column.not_null {
            return refused("must be declared NOT NULL before identity can be added".to_owned());
        }
        if column.identity.is_some() {
            return refused("is already an identity column".to_owned());
        }
        if column.default.is_some() {
            return refused("already has a default value".to_owned());
        }
        let own = OwnSequence { ty, options: Some(options), identity: true };
        let sequence = self.own_sequence(&table.schema, &table.name, name, &own).await?;
        let owner = SequenceOwner { table: table.id, column: column.id, identity: true };
        self.change.own_sequence(&sequence, Some(owner))?;
        let changed = Self::with_column(table, name, |c| {
            c.identity = Some(if always { Identity::Always } else { Identity::ByDefault });
            c.default = Some(nextval(&sequence));
        })?;
        self.change.write_table(changed).map(|_| ())
    }

    /// SET GENERATED, SET of the sequence's options, RESTART
    pub(super) async fn set_identity(
        &mut self,
        table: &TableDescriptor,
        name: &str,
        always: Option<bool>,
        options: &SequenceOptions,
    ) -> Result<()> {
        let Some(column) = table.column(name) else { return Err(undefined_column(table, name)) };
        if column.identity.is_none() {
            return Err(not_identity(table, name));
        }
        let is_own = |s: &&Arc<SequenceDescriptor>| {
            s.owned_by.is_some_and(|owner| owner.column == column.id)
        };
        let own = self.schema().owned_sequences(table.id).find(is_own).cloned();
        if let Some(sequence) = own {
            self.change_sequence(&sequence, options).await?;
        }
        if let Some(always) = always {
            let identity = if always { Identity::Always } else { Identity::ByDefault };
            let changed = Self::with_column(table, name, |c| c.identity = Some(identity))?;
            self.change.write_table(changed)?;
        }
        Ok(())
    }

    /// DROP IDENTITY
    pub(super) async fn drop_identity(
        &mut self,
        table: &TableDescriptor,
        name: &str,
        if_exists: bool,
    ) -> Result<()> {
        let Some(column) = table.column(name) else { return Err(undefined_column(table, name)) };
        if column.identity.is_none() {
            let error = not_identity(table, name);
            if !if_exists {
                return Err(error);
            }
            let message = format!("{}, skipping", error.message());
            self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
            return Ok(());
        }
        self.change.drop_owned_sequences(table, Some(column.id)).await?;
        let without = |c: &mut ColumnDescriptor| {
            c.identity = None;
            c.default = None;
        };
        let changed = Self::with_column(table, name, without)?;
        self.change.write_table(changed).map(|_| ())
    }
}

fn not_identity(table: &TableDescriptor, name: &str) -> Error {
    let relation = &table.name;
    Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("column \"{name}\" of relation \"{relation}\" is not an identity column"),
    )
}
