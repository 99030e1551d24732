//! IMPORT FOREIGN SCHEMA and CREATE FOREIGN TABLE: tables of the cluster become relations.
//!
//! There is one server, `cluster`: the one that the store is on. What a table is there is asked
//! once, here, and kept in its descriptor; its rows stay where they are.

use super::create::{check_columns, draft};
use super::{Runner, Tag};
use crate::catalog::foreign::SERVER;
use crate::error::{Error, Result, SqlState};
use crate::kv::foreign::{Foreign, Table};
use crate::sql::ddl::{
    ColumnConstraint, ColumnDefinition, CreateForeignTable, ForeignOption, ImportForeignSchema,
    ImportedTables,
};
use crate::types::descriptor::{
    ColumnDescriptor, ColumnId, ForeignColumn, ForeignDescriptor, ForeignRole,
};
use crate::types::{SqlType, pg_type};

impl Runner<'_> {
    /// The cluster behind a server's name: 42704 if there is none.
    fn server(&self, name: &str) -> Result<&dyn Foreign> {
        let undefined = || {
            let message = format!("server \"{name}\" does not exist");
            Error::new(SqlState::UNDEFINED_OBJECT, message)
        };
        if name != SERVER {
            let hint = format!("The only server is \"{SERVER}\": the store's own cluster.");
            return Err(undefined().with_hint(hint));
        }
        self.change.txn.store().foreign().ok_or_else(|| {
            undefined().with_hint(
                "A gateway started with --store cassandra has it; this one's store is no cluster.",
            )
        })
    }

    pub(super) async fn import_foreign_schema(
        &mut self,
        import: &ImportForeignSchema,
    ) -> Result<Tag> {
        let found = self.server(&import.server)?;
        if let Some(option) = import.options.first() {
            return Err(invalid_option(option, ""));
        }
        let into = &import.into;
        if self.schema().schema(into).is_none() {
            return Err(crate::catalog::change::undefined_schema(into));
        }
        let tables = found.tables(&import.remote).await?;
        let tables = tables.ok_or_else(|| no_keyspace(&import.remote))?;
        let wanted = |table: &&Table| match &import.tables {
            ImportedTables::All => true,
            ImportedTables::Only(names) => names.contains(&table.name),
            ImportedTables::Except(names) => !names.contains(&table.name),
        };
        for table in tables.iter().filter(wanted) {
            let Some((columns, foreign)) = self.imported(&import.remote, table) else { continue };
            let made = self.change.create_foreign_table(into, &table.name, columns, foreign).await;
            made.map_err(|e| {
                e.with_context(format!("importing foreign table \"{}\"", table.name))
            })?;
        }
        Ok("IMPORT FOREIGN SCHEMA".into())
    }

    /// What an imported table looks like; none, with a notice, if its key cannot be read.
    fn imported(
        &mut self,
        keyspace: &str,
        table: &Table,
    ) -> Option<(Vec<ColumnDescriptor>, ForeignDescriptor)> {
        let (mut columns, mut foreign) = (Vec::new(), Vec::new());
        for column in &table.columns {
            let Some(ty) = &column.ty else {
                let is_key = is_key(column.role);
                let (what, rest) = match is_key {
                    true => ("table", format!("\"{}\"", table.name)),
                    false => ("column", format!("\"{}\" of \"{}\"", column.name, table.name)),
                };
                let message = format!("skipping {what} {rest}");
                let detail = format!("\"{}\" is of CQL type {}.", column.name, column.written);
                let notice = Error::new(SqlState::FEATURE_NOT_SUPPORTED, message);
                self.notices.push(notice.with_detail(detail));
                if is_key {
                    return None;
                }
                continue;
            };
            let id = ColumnId(columns.len() as u16 + 1);
            columns.push(ColumnDescriptor {
                not_null: is_never_null(table, column.role),
                ..ColumnDescriptor::new(id, &column.name, ty.sql_type())
            });
            let (name, ty, role) = (column.name.clone(), ty.clone(), column.role);
            foreign.push(ForeignColumn { id, name, ty, role });
        }
        Some((columns, descriptor(keyspace, table, foreign)))
    }

    pub(super) async fn create_foreign_table(
        &mut self,
        create: &CreateForeignTable,
    ) -> Result<Tag> {
        let tag = Ok("CREATE FOREIGN TABLE".into());
        let schema = self.target_schema(&create.name)?;
        let name = &create.name.name;
        if create.if_not_exists && !self.is_free(&schema, name, true)? {
            return tag;
        }
        let mut columns = Vec::with_capacity(create.columns.len());
        for ((definition, options), id) in create.columns.iter().zip(1..) {
            let (column, remote) = self.foreign_column(name, definition, options, ColumnId(id))?;
            columns.push((column, remote, definition.position));
        }
        check_columns(columns.iter().map(|(c, ..)| c.name.as_str()))?;
        let found = self.server(&create.server)?;
        let (keyspace, remote) = table_options(&create.options, name)?;
        let tables = found.tables(&keyspace).await?.ok_or_else(|| no_keyspace(&keyspace))?;
        let Some(table) = tables.iter().find(|table| table.name == remote) else {
            return Err(Error::new(
                SqlState::FDW_TABLE_NOT_FOUND,
                format!("keyspace \"{keyspace}\" has no table \"{remote}\""),
            ));
        };
        let mut foreign = Vec::with_capacity(columns.len());
        for (column, remote, position) in &columns {
            foreign.push(matched(table, column, remote).map_err(|e| e.at(*position))?);
        }
        self.is_free(&schema, name, false)?;
        let columns = columns.into_iter().map(|(column, ..)| column).collect();
        let foreign = descriptor(&keyspace, table, foreign);
        self.change.create_foreign_table(&schema, name, columns, foreign).await?;
        tag
    }

    /// A column and its name in the cluster.
    fn foreign_column(
        &mut self,
        table: &str,
        definition: &ColumnDefinition,
        options: &[ForeignOption],
        id: ColumnId,
    ) -> Result<(ColumnDescriptor, String)> {
        let refused = definition.constraints.iter().find_map(|constraint| match constraint {
            ColumnConstraint::Table(constraint) => Some(constraint.position),
            ColumnConstraint::Identity { position, .. } => Some(*position),
            _ => None,
        });
        if let Some(position) = refused {
            let what = "constraints on foreign tables other than NOT NULL";
            return Err(Error::unsupported(what).at(position));
        }
        let defined = self.define_column(table, definition, id)?;
        if defined.sequence.is_some() {
            return Err(Error::unsupported("a serial column of a foreign table"));
        }
        let mut column = defined.column;
        if let Some(default) = defined.default {
            let table = draft("", table, vec![column.clone()]);
            let of = &table.columns[0];
            column.default = self.default_text(default, of.ty, &of.name)?;
        }
        let mut remote = column.name.clone();
        for option in options {
            match option.name.as_str() {
                "column_name" => remote.clone_from(&option.value),
                _ => return Err(invalid_option(option, "column_name")),
            }
        }
        Ok((column, remote))
    }
}

fn descriptor(keyspace: &str, table: &Table, columns: Vec<ForeignColumn>) -> ForeignDescriptor {
    let count = |of: fn(&ForeignRole) -> bool| {
        table.columns.iter().filter(|column| of(&column.role)).count() as u16
    };
    ForeignDescriptor {
        keyspace: keyspace.to_owned(),
        table: table.name.clone(),
        columns,
        partition_columns: count(|role| matches!(role, ForeignRole::Partition(_))),
        clustering_columns: count(|role| matches!(role, ForeignRole::Clustering(..))),
    }
}

fn is_key(role: ForeignRole) -> bool {
    matches!(role, ForeignRole::Partition(_) | ForeignRole::Clustering(..))
}

/// A partition that has static columns only is a row without clustering columns.
fn is_never_null(table: &Table, role: ForeignRole) -> bool {
    match role {
        ForeignRole::Partition(_) => true,
        ForeignRole::Clustering(..) => table.columns.iter().all(|c| c.role != ForeignRole::Static),
        ForeignRole::Static | ForeignRole::Regular => false,
    }
}

/// The cluster's column that a declared one stands for: they must be of one type.
fn matched(table: &Table, column: &ColumnDescriptor, remote: &str) -> Result<ForeignColumn> {
    let Some(found) = table.columns.iter().find(|c| c.name == remote) else {
        return Err(Error::new(
            SqlState::FDW_COLUMN_NAME_NOT_FOUND,
            format!("table \"{}\" of the cluster has no column \"{remote}\"", table.name),
        ));
    };
    let Some(ty) = found.ty.clone() else {
        return Err(Error::unsupported(format!("CQL type {}", found.written)));
    };
    let is_text = |ty: SqlType| ty.same(SqlType::TEXT) || ty.same(SqlType::VARCHAR);
    let wanted = ty.sql_type();
    let is_same = column.ty == wanted
        || column.ty.same(wanted) && column.ty.typmod == -1
        || is_text(column.ty) && column.ty.typmod == -1 && is_text(wanted);
    if !is_same {
        let shown = pg_type::format_type;
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("column \"{}\" cannot be {}", column.name, shown(column.ty)),
        )
        .with_detail(format!("It is of CQL type {} in the cluster.", found.written))
        .with_hint(format!("Declare it {}.", shown(wanted))));
    }
    Ok(ForeignColumn { id: column.id, name: found.name.clone(), ty, role: found.role })
}

/// Keyspace and table of OPTIONS.
fn table_options(options: &[ForeignOption], name: &str) -> Result<(String, String)> {
    let (mut keyspace, mut table) = (None, None);
    for option in options {
        let slot = match option.name.as_str() {
            "keyspace" => &mut keyspace,
            "table" => &mut table,
            _ => return Err(invalid_option(option, "keyspace, table")),
        };
        if slot.replace(option.value.clone()).is_some() {
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!("option \"{}\" provided more than once", option.name),
            ));
        }
    }
    let keyspace = keyspace.ok_or_else(|| {
        let message = "option \"keyspace\" is required for a foreign table";
        Error::new(SqlState::FDW_OPTION_NAME_NOT_FOUND, message)
    })?;
    Ok((keyspace, table.unwrap_or_else(|| name.to_owned())))
}

fn invalid_option(option: &ForeignOption, valid: &str) -> Error {
    let hint = match valid {
        "" => "There are no valid options in this context.".to_owned(),
        valid => format!("Valid options in this context are: {valid}"),
    };
    let message = format!("invalid option \"{}\"", option.name);
    Error::new(SqlState::FDW_INVALID_OPTION_NAME, message).with_hint(hint)
}

fn no_keyspace(name: &str) -> Error {
    Error::new(
        SqlState::FDW_SCHEMA_NOT_FOUND,
        format!("schema \"{name}\" is not present on foreign server \"{SERVER}\""),
    )
}
