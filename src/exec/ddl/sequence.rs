//! CREATE, ALTER and DROP SEQUENCE.

use std::sync::Arc;

use super::{Runner, Tag, undefined_column};
use crate::catalog::Relation;
use crate::catalog::descriptor::{SequenceDescriptor, SequenceOwner};
use crate::error::{Error, Result, SqlState};
use crate::kv::LockMode;
use crate::sql::ddl::{CreateSequence, ObjectName, SequenceOptions};
use crate::types::descriptor::{ColumnDescriptor, TableDescriptor};
use crate::types::{SqlType, pg_type};

impl Runner<'_> {
    pub(super) async fn create_sequence(&mut self, create: &CreateSequence) -> Result<Tag> {
        let tag = Ok("CREATE SEQUENCE".into());
        let schema = self.target_schema(&create.name)?;
        if !self.is_free(&schema, &create.name.name, create.if_not_exists)? {
            return tag;
        }
        let mut sequence = new_sequence(&schema, &create.name.name, SqlType::INT8);
        self.apply_options(&mut sequence, &create.options, true)?;
        sequence.owned_by = self.sequence_owner(&create.options)?.flatten();
        self.change.create_sequence(sequence).await?;
        tag
    }

    pub(super) async fn alter_sequence(
        &mut self,
        name: &ObjectName,
        if_exists: bool,
        options: &SequenceOptions,
    ) -> Result<Tag> {
        let tag = Ok("ALTER SEQUENCE".into());
        if if_exists && self.find(name)?.is_none() {
            let message = format!("relation \"{}\" does not exist, skipping", name.display());
            self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
            return tag;
        }
        let sequence = self.sequence(name)?;
        let sequence = self.change.lock_sequence(&sequence).await?;
        self.change_sequence(&sequence, options).await?;
        tag
    }

    /// Applies options to a locked sequence.
    pub(super) async fn change_sequence(
        &mut self,
        sequence: &SequenceDescriptor,
        options: &SequenceOptions,
    ) -> Result<()> {
        let mut changed = sequence.clone();
        self.apply_options(&mut changed, options, false)?;
        if let Some(owner) = self.sequence_owner(options)? {
            if sequence.owned_by.is_some_and(|o| o.identity) {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot change ownership of identity sequence",
                ));
            }
            changed.owned_by = owner;
        }
        match options.restart {
            Some(at) => {
                let start = at.unwrap_or(changed.start);
                check_bounds("RESTART", start, &changed)?;
                self.change.restart_sequence(&changed, start)?;
            }
            None => {
                if let Some(counters) = self.schema().counters().cloned() {
                    let (last, _) = counters.position(sequence).await?;
                    check_bounds("RESTART", last, &changed)?;
                }
                self.change.write_sequence(changed)?;
            }
        }
        Ok(())
    }

    /// The columns whose defaults call a sequence, but for the one that it goes with.
    fn sequence_users(&self, sequence: &SequenceDescriptor) -> Vec<(Arc<TableDescriptor>, String)> {
        let mut users = Vec::new();
        for table in self.schema().tables() {
            let calls = |c: &&ColumnDescriptor| c.called_sequences().any(|of| of == sequence.oid);
            let used = table.columns.iter().filter(calls);
            users.extend(used.map(|c| (Arc::clone(table), c.name.clone())));
        }
        users
    }

    /// DROP SEQUENCE of a locked sequence; with CASCADE, of the defaults that call it too.
    pub(super) async fn drop_sequence(
        &mut self,
        sequence: &SequenceDescriptor,
        cascade: bool,
    ) -> Result<()> {
        if let Some(owner) = sequence.owned_by.filter(|owner| owner.identity)
            && let Some(table) = self.schema().table_by_id(owner.table)
        {
            let column = table.column_by_id(owner.column).map_or("", |c| &c.name);
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop sequence {} because column {column} of table {} requires it",
                    sequence.name, table.name
                ),
            )
            .with_hint(format!("You can drop column {column} of table {} instead.", table.name)));
        }
        let users = self.sequence_users(sequence);
        let objects: Vec<String> = users
            .iter()
            .map(|(table, column)| {
                format!("default value for column {column} of table {}", table.name)
            })
            .collect();
        if !cascade {
            let on = format!("sequence {}", sequence.name);
            super::drop::refuse_dependents(&on, &on, &objects)?;
        }
        self.cascade_notice(&objects);
        for (table, column) in users {
            let table = self.change.lock_table(&table, LockMode::Update).await?;
            let changed = Self::with_column(&table, &column, |c| c.default = None)?;
            self.change.write_table(changed)?;
        }
        self.change.drop_sequence(sequence)
    }

    /// OWNED BY: outer none is not written, inner none is NONE.
    #[expect(clippy::option_option, reason = "not written, NONE, or a column")]
    fn sequence_owner(&self, options: &SequenceOptions) -> Result<Option<Option<SequenceOwner>>> {
        let Some(written) = &options.owned_by else { return Ok(None) };
        let Some((table, column)) = written else { return Ok(Some(None)) };
        let table = match self.find(table)? {
            Some(Relation::Table(table)) => table,
            Some(_) => {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("referenced relation \"{}\" is not a table", table.name),
                ));
            }
            None => return Err(super::undefined_relation(table)),
        };
        let Some(column) = table.column(column) else {
            return Err(undefined_column(&table, column));
        };
        let owner = SequenceOwner { table: table.id, column: column.id, identity: false };
        Ok(Some(Some(owner)))
    }

    /// Applies options by PostgreSQL's rules. `is_new`: what is not written gets its default.
    pub(super) fn apply_options(
        &self,
        sequence: &mut SequenceDescriptor,
        options: &SequenceOptions,
        is_new: bool,
    ) -> Result<()> {
        let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
        let before = sequence.clone();
        if let Some(ty) = &options.ty {
            sequence.ty = match self.resolve_type(ty)? {
                ty @ (SqlType::INT2 | SqlType::INT4 | SqlType::INT8) => ty,
                _ => {
                    let message = "sequence type must be smallint, integer, or bigint";
                    return Err(invalid(message.to_owned()));
                }
            };
        }
        sequence.increment = options.increment.unwrap_or(sequence.increment);
        if sequence.increment == 0 {
            return Err(invalid("INCREMENT must not be zero".to_owned()));
        }
        sequence.cycle = options.cycle.unwrap_or(sequence.cycle);
        let (type_min, type_max) = type_bounds(sequence.ty);
        let ascending = sequence.increment > 0;
        let default_max = if ascending { type_max } else { -1 };
        let default_min = if ascending { 1 } else { type_min };
        // A bound that was its type's follows the type.
        let (old_min, old_max) = type_bounds(before.ty);
        let retyped = before.ty != sequence.ty;
        sequence.max = match options.max {
            Some(max) => max.unwrap_or(default_max),
            None if is_new || (retyped && before.max == old_max) => default_max,
            None => sequence.max,
        };
        sequence.min = match options.min {
            Some(min) => min.unwrap_or(default_min),
            None if is_new || (retyped && before.min == old_min) => default_min,
            None => sequence.min,
        };
        let ty = pg_type::format_type(sequence.ty);
        for (what, value) in [("MAXVALUE", sequence.max), ("MINVALUE", sequence.min)] {
            if !(type_min..=type_max).contains(&value) {
                let message =
                    format!("{what} ({value}) is out of range for sequence data type {ty}");
                return Err(invalid(message));
            }
        }
        if sequence.min >= sequence.max {
            let (min, max) = (sequence.min, sequence.max);
            return Err(invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
        }
        sequence.start = match options.start {
            Some(start) => start,
            None if is_new && ascending => sequence.min,
            None if is_new => sequence.max,
            None => sequence.start,
        };
        check_bounds("START", sequence.start, sequence)?;
        if is_new {
            sequence.start_at = sequence.start;
        }
        sequence.cache = options.cache.unwrap_or(sequence.cache);
        if sequence.cache <= 0 {
            return Err(invalid(format!("CACHE ({}) must be greater than zero", sequence.cache)));
        }
        Ok(())
    }
}

/// A sequence with CREATE SEQUENCE's defaults.
pub(super) fn new_sequence(schema: &str, name: &str, ty: SqlType) -> SequenceDescriptor {
    SequenceDescriptor {
        oid: 0,
        schema: schema.to_owned(),
        name: name.to_owned(),
        owner: String::new(),
        ty,
        start: 1,
        increment: 1,
        min: 1,
        max: type_bounds(ty).1,
        cache: 1,
        cycle: false,
        generation: 0,
        start_at: 1,
        owned_by: None,
        version: 0,
    }
}

fn type_bounds(ty: SqlType) -> (i64, i64) {
    match ty {
        SqlType::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        SqlType::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

fn check_bounds(what: &str, value: i64, sequence: &SequenceDescriptor) -> Result<()> {
    let message = if value < sequence.min {
        format!("{what} value ({value}) cannot be less than MINVALUE ({})", sequence.min)
    } else if value > sequence.max {
        format!("{what} value ({value}) cannot be greater than MAXVALUE ({})", sequence.max)
    } else {
        return Ok(());
    };
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
}
