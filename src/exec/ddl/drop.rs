//! DROP and TRUNCATE.

use std::sync::Arc;

use super::foreign::needs_index;
use super::{Runner, Tag, refuse_system, wrong_kind};
use crate::catalog::Relation;
use crate::catalog::change::undefined_schema;
use crate::error::{Error, Result, SqlState};
use crate::kv::LockMode;
use crate::sql::ddl::{ObjectKind, ObjectName};
use crate::types::descriptor::{ForeignKeyDescriptor, RelationKind, TableDescriptor};

/// Objects that messages about CASCADE name; more are counted.
const NAMED_MAX: usize = 100;

impl Runner<'_> {
    pub(super) async fn drop(
        &mut self,
        kind: ObjectKind,
        names: &[ObjectName],
        if_exists: bool,
        cascade: bool,
    ) -> Result<Tag> {
        let named = |name: &ObjectName| match self.find(name) {
            Ok(Some(Relation::Table(table))) => Some(table.id.0),
            _ => None,
        };
        let gone: Vec<u32> = names.iter().filter_map(named).collect();
        for name in names {
            if kind == ObjectKind::Schema {
                self.drop_schema(&name.name, if_exists, cascade).await?;
                continue;
            }
            loop {
                let found = match self.find(name) {
                    Ok(Some(relation)) => relation,
                    Ok(None) => {
                        self.not_there(kind, &name.display(), if_exists)?;
                        break;
                    }
                    Err(e) if if_exists && e.code() == SqlState::INVALID_SCHEMA_NAME => {
                        self.notice(e.code(), format!("{}, skipping", e.message()));
                        break;
                    }
                    Err(e) => return Err(without_position(e)),
                };
                if self.drop_relation(kind, &name.name, found, cascade, &gone).await? {
                    break;
                }
            }
        }
        Ok(format!("DROP {}", kind.word().to_ascii_uppercase()).into())
    }

    /// An error, or with IF EXISTS a notice.
    fn not_there(&mut self, kind: ObjectKind, name: &str, if_exists: bool) -> Result<()> {
        let code = match kind {
            ObjectKind::Index => SqlState::UNDEFINED_OBJECT,
            _ => SqlState::UNDEFINED_TABLE,
        };
        let message = format!("{} \"{name}\" does not exist", kind.word());
        if !if_exists {
            return Err(Error::new(code, message));
        }
        self.notice(SqlState::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
        Ok(())
    }

    /// False: it has another name by now, and is to be looked for again.
    async fn drop_relation(
        &mut self,
        kind: ObjectKind,
        name: &str,
        relation: Relation,
        cascade: bool,
        gone: &[u32],
    ) -> Result<bool> {
        match (kind, relation) {
            (ObjectKind::Table | ObjectKind::ForeignTable, Relation::Table(table))
                if (kind == ObjectKind::ForeignTable) == (table.kind == RelationKind::Foreign) =>
            {
                refuse_system(&table)?;
                let Some(table) = self.lock_found(&table, LockMode::Update).await? else {
                    return Ok(false);
                };
                self.drop_table(&table, cascade, gone).await?;
            }
            (ObjectKind::Index, Relation::Index(table, at)) => {
                let oid = at.of(&table).map_or(0, |index| index.oid);
                let table = self.change.lock_table(&table, LockMode::Update).await?;
                let mut indexes = crate::catalog::visible_indexes(&table).map(|(_, i)| i);
                let Some(index) = indexes.find(|i| i.oid == oid) else {
                    return self.not_there(kind, name, false).map(|()| true);
                };
                if index.constraint_oid.is_some() {
                    return Err(Error::new(
                        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                        format!(
                            "cannot drop index {name} because constraint {name} on table {} \
                             requires it",
                            table.name
                        ),
                    )
                    .with_hint(format!(
                        "You can drop constraint {name} on table {} instead.",
                        table.name
                    )));
                }
                let dropped = format!("index {name}");
                let needs = |key: &ForeignKeyDescriptor| needs_index(key, &table, index);
                self.drop_references(&table, &dropped, &dropped, cascade, &needs, &[]).await?;
                self.change.drop_index(&table, oid)?;
            }
            (ObjectKind::Sequence, Relation::Sequence(sequence)) => {
                let sequence = self.change.lock_sequence(&sequence).await?;
                self.drop_sequence(&sequence, cascade).await?;
            }
            (_, relation) => return Err(other_kind(kind, name, &relation)),
        }
        Ok(true)
    }

    /// `gone`: tables that go too.
    async fn drop_table(
        &mut self,
        table: &TableDescriptor,
        cascade: bool,
        gone: &[u32],
    ) -> Result<()> {
        let table = self.change.lock_table(table, LockMode::Update).await?;
        let dropped = format!("{} {}", word(&table), table.name);
        let own = [gone, &[table.id.0]].concat();
        self.drop_references(&table, &dropped, &dropped, cascade, &|_| true, &own).await?;
        self.change.drop_owned_sequences(&table, None).await?;
        self.change.drop_table(&table)
    }

    async fn drop_schema(&mut self, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        if self.schema().schema(name).is_none() {
            let error = undefined_schema(name);
            if !if_exists {
                return Err(error);
            }
            let message = format!("{}, skipping", error.message());
            self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
            return Ok(());
        }
        let tables: Vec<Arc<TableDescriptor>> =
            self.schema().schema_tables(name).cloned().collect();
        let sequences: Vec<_> = self
            .schema()
            .sequences()
            .filter(|s| s.schema == name && s.owned_by.is_none())
            .cloned()
            .collect();
        let mut objects: Vec<(u32, String)> =
            tables.iter().map(|t| (t.id.0, format!("{} {}", word(t), t.name))).collect();
        objects.extend(sequences.iter().map(|s| (s.oid, format!("sequence {}", s.name))));
        objects.sort();
        let objects: Vec<String> = objects.into_iter().map(|(_, object)| object).collect();
        if !cascade {
            let dropped = format!("schema {name}");
            refuse_dependents(&dropped, &dropped, &objects)?;
        }
        self.cascade_notice(&objects);
        let gone: Vec<u32> = tables.iter().map(|table| table.id.0).collect();
        for table in &tables {
            self.drop_table(table, cascade, &gone).await?;
        }
        for sequence in &sequences {
            let sequence = self.change.lock_sequence(sequence).await?;
            self.change.drop_sequence(&sequence)?;
        }
        self.change.drop_schema(name).await
    }

    /// Tells what CASCADE takes with it.
    pub(super) fn cascade_notice(&mut self, objects: &[String]) {
        let code = SqlState::SUCCESSFUL_COMPLETION;
        match objects {
            [] => {}
            [only] => self.notice(code, format!("drop cascades to {only}")),
            many => {
                let to = |object: &String| format!("drop cascades to {object}");
                let listed: Vec<String> = many.iter().take(NAMED_MAX).map(to).collect();
                let message = format!("drop cascades to {} other objects", many.len());
                self.notices.push(Error::new(code, message).with_detail(listed.join("\n")));
            }
        }
    }

    pub(super) async fn truncate(
        &mut self,
        names: &[ObjectName],
        restart_identity: bool,
        cascade: bool,
    ) -> Result<Tag> {
        let mut tables: Vec<Arc<TableDescriptor>> = Vec::new();
        for name in names {
            if let Some(Relation::Table(table)) = self.find(name)?
                && table.kind == RelationKind::Foreign
            {
                let message = format!("cannot truncate foreign table \"{}\"", table.name);
                return Err(Error::unsupported_message(message));
            }
            let table = self.locked_table(name, LockMode::Update).await?;
            if tables.iter().all(|t| t.id != table.id) {
                tables.push(table);
            }
        }
        let mut at = 0;
        while let Some(table) = tables.get(at).cloned() {
            at += 1;
            for (child, _) in self.schema().references_to(table.id) {
                if tables.iter().any(|t| t.id == child.id) {
                    continue;
                }
                if !cascade {
                    return Err(truncated_reference(&table, &child));
                }
                let message = format!("truncate cascades to table \"{}\"", child.name);
                self.notice(SqlState::SUCCESSFUL_COMPLETION, message);
                tables.push(self.change.lock_table(&child, LockMode::Update).await?);
            }
        }
        for table in tables {
            self.change.move_to_new_spaces((*table).clone()).await?;
            if restart_identity {
                let owned: Vec<_> = self.schema().owned_sequences(table.id).cloned().collect();
                for sequence in owned {
                    let sequence = self.change.lock_sequence(&sequence).await?;
                    self.change.restart_sequence(&sequence, sequence.start)?;
                }
            }
        }
        Ok("TRUNCATE TABLE".into())
    }
}

/// What messages call a table.
fn word(table: &TableDescriptor) -> &'static str {
    match table.kind {
        RelationKind::Foreign => ObjectKind::ForeignTable.word(),
        _ => ObjectKind::Table.word(),
    }
}

/// 0A000 as PostgreSQL has it.
fn truncated_reference(table: &TableDescriptor, child: &TableDescriptor) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "cannot truncate a table referenced in a foreign key constraint",
    )
    .with_detail(format!("Table \"{}\" references \"{}\".", child.name, table.name))
    .with_hint(format!(
        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
        child.name
    ))
}

/// 2BP01 if anything depends on what is to be dropped.
pub(super) fn refuse_dependents(dropped: &str, on: &str, objects: &[String]) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let depends = |object: &String| format!("{object} depends on {on}");
    let listed: Vec<String> = objects.iter().take(NAMED_MAX).map(depends).collect();
    Err(Error::new(
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop {dropped} because other objects depend on it"),
    )
    .with_detail(listed.join("\n"))
    .with_hint("Use DROP ... CASCADE to drop the dependent objects too."))
}

/// 42809, with the statement that would do.
fn other_kind(kind: ObjectKind, name: &str, relation: &Relation) -> Error {
    let article = if kind == ObjectKind::Index { "an" } else { "a" };
    let (statement, what) = match relation {
        Relation::Table(table) if table.kind == RelationKind::Foreign => {
            ("FOREIGN TABLE", "a foreign table")
        }
        Relation::Table(_) => ("TABLE", "a table"),
        Relation::Index(..) => ("INDEX", "an index"),
        Relation::Sequence(_) => ("SEQUENCE", "a sequence"),
    };
    wrong_kind(name, &format!("is not {article} {}", kind.word()))
        .with_hint(format!("Use DROP {statement} to remove {what}."))
}

/// DROP's errors point nowhere.
fn without_position(error: Error) -> Error {
    Error::new(error.code(), error.message().to_owned())
}
