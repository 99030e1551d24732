//! CREATE TABLE.

use std::sync::Arc;

use super::columnar::columnar_option;
use super::{Runner, Tag};
use crate::catalog::change::{NewCheck, NewKey, NewTable};
use crate::catalog::descriptor::{SequenceDescriptor, SequenceOwner};
use crate::encoding::key;
use crate::error::{Error, Result, SqlState};
use crate::functions;
use crate::sql::ast::TypeName;
use crate::sql::ddl::{
    ColumnConstraint, ColumnDefinition, Constraint, ConstraintKind, CreateTable, ObjectName,
    OptionValue, SequenceOptions, SourceExpr, StorageOption,
};
use crate::types::descriptor::{
    ColumnDescriptor, ColumnId, Identity, RelationKind, TableDescriptor, TableId,
};
use crate::types::{BaseType, SqlType, pg_type};

/// Columns a table can have.
const COLUMNS_MAX: usize = 1600;
/// Names that every table has columns of already.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"];
/// Parameters of PostgreSQL's storage: taken, and without effect on this one.
const POSTGRES_OPTIONS: [&str; 8] = [
    "fillfactor",
    "parallel_workers",
    "toast_tuple_target",
    "vacuum_index_cleanup",
    "vacuum_truncate",
    "log_autovacuum_min_duration",
    "user_catalog_table",
    "oids",
];

/// What WITH (…) says.
#[derive(Default)]
pub(super) struct TableOptions {
    /// `columnar`
    pub columnar: Option<bool>,
    /// `partition_by`
    pub partition_by: Option<Vec<String>>,
}

/// A column as its definition makes it, before anything of it is made.
pub(super) struct Defined<'d> {
    pub column: ColumnDescriptor,
    pub default: Option<&'d SourceExpr>,
    pub sequence: Option<OwnSequence<'d>>,
    pub constraints: Vec<&'d Constraint>,
}

/// The sequence that a serial or identity column brings.
pub(super) struct OwnSequence<'d> {
    pub ty: SqlType,
    pub options: Option<&'d SequenceOptions>,
    pub identity: bool,
}

impl Runner<'_> {
    pub(super) async fn create_table(&mut self, create: &CreateTable) -> Result<Tag> {
        let tag = Ok("CREATE TABLE".into());
        let schema = self.target_schema(&create.name)?;
        let name = &create.name.name;
        if create.if_not_exists && !self.is_free(&schema, name, true)? {
            return tag;
        }
        let mut defined = Vec::with_capacity(create.columns.len());
        for (definition, id) in create.columns.iter().zip(1..) {
            defined.push(self.define_column(name, definition, ColumnId(id))?);
        }
        check_columns(defined.iter().map(|d| d.column.name.as_str()))?;
        let options = table_options(&create.options)?;
        self.check_views(&options)?;
        let constraints = gather(&defined, &create.constraints);
        let columns: Vec<ColumnDescriptor> = defined.iter().map(|d| d.column.clone()).collect();
        let (primary, uniques) = self.keys(name, &columns, &constraints)?;
        self.is_free(&schema, name, false)?;
        let partition_columns = partition_columns(&options, primary.as_ref(), &columns)?;
        let mut table = draft(&schema, name, columns);
        let mut sequences = Vec::new();
        for (at, d) in defined.iter().enumerate() {
            if let Some(default) = d.default {
                let column = &table.columns[at];
                table.columns[at].default = self.default_text(default, column.ty, &column.name)?;
            }
            if let Some(own) = &d.sequence {
                let sequence = self.own_sequence(&schema, name, &d.column.name, own).await?;
                table.columns[at].default = Some(nextval(&sequence));
                sequences.push((d.column.id, own.identity, sequence));
            }
        }
        let checks = self.new_checks(&constraints, &table)?;
        let made = self
            .change
            .create_table(NewTable {
                schema,
                name: name.clone(),
                columns: table.columns,
                primary,
                uniques,
                checks,
                partition_columns,
                columnar: options.columnar.unwrap_or(false),
            })
            .await?;
        for (column, identity, sequence) in sequences {
            let owner = SequenceOwner { table: made.id, column, identity };
            self.change.own_sequence(&sequence, Some(owner))?;
        }
        let mut made = made;
        for (column, constraint) in &constraints {
            if matches!(constraint.kind, ConstraintKind::Foreign(_)) {
                self.add_constraint(&made, constraint, *column, false).await?;
                let current = self.schema().table_by_id(made.id);
                made = current.ok_or_else(|| Error::internal("a new table is gone"))?;
            }
        }
        tag
    }

    /// A column's type, NOT NULL, and what else its definition asks for.
    pub(super) fn define_column<'d>(
        &self,
        table: &str,
        definition: &'d ColumnDefinition,
        id: ColumnId,
    ) -> Result<Defined<'d>> {
        let serial = serial_type(&definition.ty);
        let ty = match serial {
            Some(ty) => ty,
            None => self.resolve_type(&definition.ty)?,
        };
        refuse_pseudo_type(ty, &definition.name)?;
        let mut defined = Defined {
            column: ColumnDescriptor::new(id, &definition.name, ty),
            default: None,
            sequence: serial.map(|ty| OwnSequence { ty, options: None, identity: false }),
            constraints: Vec::new(),
        };
        defined.column.not_null = serial.is_some();
        let mut nullable = None;
        let clash = |what: &str, position: u32| {
            let name = &definition.name;
            Error::new(
                SqlState::SYNTAX_ERROR,
                format!("{what} for column \"{name}\" of table \"{table}\""),
            )
            // What a serial brings stands nowhere in the text.
            .at(if serial.is_some() { 0 } else { position })
        };
        for constraint in &definition.constraints {
            match constraint {
                ColumnConstraint::Null(position) => {
                    if nullable == Some(false) || serial.is_some() {
                        return Err(clash("conflicting NULL/NOT NULL declarations", *position));
                    }
                    nullable = Some(true);
                }
                ColumnConstraint::NotNull(position) => {
                    if nullable == Some(true) {
                        return Err(clash("conflicting NULL/NOT NULL declarations", *position));
                    }
                    nullable = Some(false);
                    defined.column.not_null = true;
                }
                ColumnConstraint::Default(source, position) => {
                    if defined.default.is_some() || defined.sequence.is_some() {
                        return Err(match defined.column.identity {
                            Some(_) => clash("both default and identity specified", *position),
                            None => clash("multiple default values specified", *position),
                        });
                    }
                    defined.default = Some(source);
                }
                ColumnConstraint::Identity { always, options, position } => {
                    if defined.column.identity.is_some() {
                        return Err(clash("multiple identity specifications", *position));
                    }
                    if defined.default.is_some() || serial.is_some() {
                        return Err(clash("both default and identity specified", *position));
                    }
                    if nullable == Some(true) {
                        return Err(clash("conflicting NULL/NOT NULL declarations", *position));
                    }
                    let ty = identity_type(ty)?;
                    defined.column.identity =
                        Some(if *always { Identity::Always } else { Identity::ByDefault });
                    defined.column.not_null = true;
                    defined.sequence =
                        Some(OwnSequence { ty, options: Some(options), identity: true });
                }
                ColumnConstraint::Table(constraint) => defined.constraints.push(constraint),
            }
        }
        Ok(defined)
    }

    /// The keys among constraints: the primary one, and the UNIQUE ones that say something new.
    pub(super) fn keys(
        &self,
        table: &str,
        columns: &[ColumnDescriptor],
        constraints: &[(Option<&str>, &Constraint)],
    ) -> Result<(Option<NewKey>, Vec<NewKey>)> {
        let mut primary: Option<NewKey> = None;
        let mut uniques: Vec<NewKey> = Vec::new();
        for (column, constraint) in constraints {
            let (names, is_primary) = match &constraint.kind {
                ConstraintKind::PrimaryKey(names) => (names, true),
                ConstraintKind::Unique(names) => (names, false),
                ConstraintKind::Check(_) | ConstraintKind::Foreign(_) => continue,
            };
            if is_primary && primary.is_some() {
                return Err(multiple_primary_keys(table).at(constraint.position));
            }
            let own = column.map(str::to_owned);
            let names: Vec<&str> = match names.is_empty() {
                true => own.as_deref().into_iter().collect(),
                false => names.iter().map(String::as_str).collect(),
            };
            let ids = key_columns(columns, &names, is_primary, constraint.position)?;
            let key = NewKey { name: constraint.name.clone(), columns: ids };
            if is_primary {
                primary = Some(key);
            } else {
                uniques.push(key);
            }
        }
        // A key said twice is one key, as in PostgreSQL; the first name given stays.
        if let Some(primary) = &mut primary {
            uniques.retain_mut(|unique| !absorb(primary, unique));
        }
        let mut distinct: Vec<NewKey> = Vec::with_capacity(uniques.len());
        for mut unique in uniques {
            if !distinct.iter_mut().any(|other| absorb(other, &mut unique)) {
                distinct.push(unique);
            }
        }
        Ok((primary, distinct))
    }

    fn new_checks(
        &self,
        constraints: &[(Option<&str>, &Constraint)],
        table: &TableDescriptor,
    ) -> Result<Vec<NewCheck>> {
        let mut checks: Vec<NewCheck> = Vec::new();
        for (_, constraint) in constraints {
            let ConstraintKind::Check(source) = &constraint.kind else { continue };
            if let Some(name) = &constraint.name
                && checks.iter().any(|c| c.name.as_ref() == Some(name))
            {
                return Err(Error::new(
                    SqlState::DUPLICATE_OBJECT,
                    format!("check constraint \"{name}\" already exists"),
                ));
            }
            let condition = self.condition(source, table)?;
            checks.push(NewCheck {
                name: constraint.name.clone(),
                expr: condition.text,
                columns: condition.columns,
                not_valid: false,
            });
        }
        Ok(checks)
    }

    /// Makes the sequence of a serial or identity column.
    pub(super) async fn own_sequence(
        &mut self,
        schema: &str,
        table: &str,
        column: &str,
        own: &OwnSequence<'_>,
    ) -> Result<Arc<SequenceDescriptor>> {
        let name = match own.options.and_then(|options| options.name.as_ref()) {
            Some(name) => self.named_sequence(name, schema, table)?,
            None => self.change.sequence_name(schema, table, column),
        };
        let mut sequence = super::sequence::new_sequence(schema, &name, own.ty);
        if let Some(options) = own.options {
            self.apply_options(&mut sequence, options, true)?;
        }
        self.change.create_sequence(sequence).await
    }

    /// The name of a sequence that has one, which lies with its table.
    fn named_sequence(&mut self, name: &ObjectName, schema: &str, table: &str) -> Result<String> {
        // PostgreSQL shows no place in the text.
        let place = self.target_schema(&ObjectName { position: 0, ..name.clone() })?;
        if place != schema {
            let message = format!("relation \"{place}.{table}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message)
                .with_hint("The sequence of a column lies in the schema of its table."));
        }
        self.is_free(schema, &name.name, false)?;
        Ok(name.name.clone())
    }
}

/// The default of a column with a sequence. By OID, so that a rename does no harm.
pub(super) fn nextval(sequence: &SequenceDescriptor) -> String {
    format!("nextval('{}'::regclass)", sequence.oid)
}

/// A table that is not made yet, for binding expressions over its columns.
pub(super) fn draft(schema: &str, name: &str, columns: Vec<ColumnDescriptor>) -> TableDescriptor {
    TableDescriptor::unplaced(TableId(0), schema, name, RelationKind::Table, columns)
}

/// Constraints in PostgreSQL's order: those of columns, then those of the table; each with the
/// column it stands with.
fn gather<'d>(
    defined: &'d [Defined<'d>],
    table: &'d [Constraint],
) -> Vec<(Option<&'d str>, &'d Constraint)> {
    let of_columns = defined
        .iter()
        .flat_map(|d| d.constraints.iter().map(|c| (Some(d.column.name.as_str()), *c)));
    of_columns.chain(table.iter().map(|c| (None, c))).collect()
}

/// Whether `unique` says what `key` says: then the name that one of them has is the key's.
fn absorb(key: &mut NewKey, unique: &mut NewKey) -> bool {
    if key.columns != unique.columns {
        return false;
    }
    key.name = key.name.take().or_else(|| unique.name.take());
    true
}

/// 42701 for a name twice, or one that every table has; 54011 for too many.
pub(super) fn check_columns<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        check_system_name(name)?;
        if !seen.insert(name) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            ));
        }
    }
    if seen.len() > COLUMNS_MAX {
        return Err(Error::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("tables can have at most {COLUMNS_MAX} columns"),
        ));
    }
    Ok(())
}

pub(super) fn check_system_name(name: &str) -> Result<()> {
    if SYSTEM_COLUMNS.contains(&name) {
        return Err(Error::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column name \"{name}\" conflicts with a system column name"),
        ));
    }
    Ok(())
}

pub(super) fn refuse_pseudo_type(ty: SqlType, column: &str) -> Result<()> {
    if ty.is_pseudo() {
        return Err(Error::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("column \"{column}\" has pseudo-type {}", pg_type::format_type(ty)),
        ));
    }
    Ok(())
}

pub(super) fn multiple_primary_keys(table: &str) -> Error {
    Error::new(
        SqlState::INVALID_TABLE_DEFINITION,
        format!("multiple primary keys for table \"{table}\" are not allowed"),
    )
}

/// The columns of a key, by name.
pub(super) fn key_columns(
    columns: &[ColumnDescriptor],
    names: &[&str],
    is_primary: bool,
    position: u32,
) -> Result<Vec<ColumnId>> {
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        let Some(column) = columns.iter().find(|c| c.name == *name) else {
            return Err(Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" named in key does not exist"),
            )
            .at(position));
        };
        if ids.contains(&column.id) {
            let what = if is_primary { "primary key" } else { "unique" };
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" appears twice in {what} constraint"),
            )
            .at(position));
        }
        check_key_type(column.ty)?;
        ids.push(column.id);
    }
    Ok(ids)
}

/// 42704 for a type without an order, 0A000 for one that keys cannot hold.
pub(super) fn check_key_type(ty: SqlType) -> Result<()> {
    if functions::less_than(ty).is_none() {
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!(
                "data type {} has no default operator class for access method \"btree\"",
                pg_type::format_type(ty.plain())
            ),
        )
        .with_hint(
            "You must specify an operator class for the index or define a default operator class \
             for the data type.",
        ));
    }
    if ty.base == BaseType::Jsonb {
        return key::encode_value(&crate::types::Datum::Null, ty, &mut Vec::new());
    }
    Ok(())
}

/// The integer type of a serial.
pub(super) fn serial_type(ty: &TypeName) -> Option<SqlType> {
    let [name] = ty.name.as_slice() else { return None };
    if ty.array || !ty.modifiers.is_empty() {
        return None;
    }
    match &*name.name {
        "smallserial" | "serial2" => Some(SqlType::INT2),
        "serial" | "serial4" => Some(SqlType::INT4),
        "bigserial" | "serial8" => Some(SqlType::INT8),
        _ => None,
    }
}

pub(super) fn identity_type(ty: SqlType) -> Result<SqlType> {
    match ty {
        SqlType::INT2 | SqlType::INT4 | SqlType::INT8 => Ok(ty),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "identity column type must be smallint, integer, or bigint",
        )),
    }
}

/// Reads WITH (…) or SET (…). 22023 for what PostgreSQL does not know either.
pub(super) fn table_options(options: &[StorageOption]) -> Result<TableOptions> {
    let mut read = TableOptions::default();
    for option in options {
        let name = option.name.as_str();
        match name {
            "columnar" => read.columnar = Some(columnar_option(option)?),
            "partition_by" => {
                read.partition_by = Some(match &option.value {
                    OptionValue::Names(names) => names.clone(),
                    OptionValue::Word(name) => vec![name.clone()],
                    OptionValue::None => Vec::new(),
                });
            }
            _ if POSTGRES_OPTIONS.contains(&name)
                || name.starts_with("autovacuum_")
                || name.starts_with("toast.") => {}
            _ => return Err(unrecognized(name)),
        }
    }
    Ok(read)
}

/// 22023
fn unrecognized(option: &str) -> Error {
    let message = match option.split_once('.') {
        Some((namespace, _)) => format!("unrecognized parameter namespace \"{namespace}\""),
        None => format!("unrecognized parameter \"{option}\""),
    };
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// How many key columns place a row, by `partition_by`: it must name the key's first columns.
pub(super) fn partition_columns(
    options: &TableOptions,
    primary: Option<&NewKey>,
    columns: &[ColumnDescriptor],
) -> Result<Option<u16>> {
    let Some(names) = &options.partition_by else { return Ok(None) };
    let wanted = names.iter().map(|n| columns.iter().find(|c| c.name == *n).map(|c| c.id));
    let key = primary.map(|key| key.columns.as_slice()).unwrap_or_default();
    let fits = !names.is_empty()
        && names.len() <= key.len()
        && wanted.zip(key).all(|(wanted, key)| wanted == Some(*key));
    if !fits {
        return Err(Error::new(
            SqlState::INVALID_TABLE_DEFINITION,
            "partition_by must name the first columns of the primary key, in their order",
        ));
    }
    Ok(Some(names.len() as u16))
}
