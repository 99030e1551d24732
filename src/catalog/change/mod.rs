//! Changes of the schema inside a transaction.
//!
//! A [`SchemaChange`] writes descriptors and names through the DDL's own [`Txn`] and gathers the
//! overlay that the session goes on with. What it locks, it locks against other DDL and DML until
//! the transaction ends, as PostgreSQL does:
//!
//! - a table: the key `(its space, no bytes)`, which DML holds as `KeyShare` (reads) or `Share`
//!   (writes), and the key of its descriptor;
//! - a name: its key in the space of names, so that of two transactions that make the same name
//!   the second waits and then finds it taken.
//!
//! A descriptor is read again under its lock: it is then the newest one, whatever snapshot of the
//! schema the statement was bound against.

mod key;
mod role;
mod sequence;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use key::{NewIndex, NewKey};
pub use role::undefined_role;
pub use table::{NewCheck, NewTable};

use super::descriptor::{CommentTarget, SchemaDescriptor, is_system_schema, oids};
use super::leftovers::claim;
use super::object::{Kind, Name, Object, ObjectId};
use super::{Catalog, CatalogSnapshot};
use crate::error::{Error, Result, SqlState};
use crate::kv::{Key, LockMode, SpaceId, Version};
use crate::txn::Txn;
use crate::types::descriptor::{Loaded, RelationKind, TableDescriptor};

/// The key that stands for a whole table when it is locked.
pub fn table_lock(table: &TableDescriptor) -> Key {
    Key::new(table.space(), &[], 0)
}

/// A change of the schema, in one transaction.
pub struct SchemaChange<'a> {
    /// The transaction that it is part of.
    pub txn: &'a mut Txn,
    catalog: &'a Catalog,
    snapshot: CatalogSnapshot,
    owner: String,
}

impl<'a> SchemaChange<'a> {
    /// Starts from what the transaction sees of the schema; `owner` owns what is made.
    pub fn new(
        txn: &'a mut Txn,
        catalog: &'a Catalog,
        snapshot: &CatalogSnapshot,
        owner: &str,
    ) -> SchemaChange<'a> {
        SchemaChange { txn, catalog, snapshot: snapshot.clone(), owner: owner.to_owned() }
    }

    /// The schema as changed so far.
    pub fn snapshot(&self) -> &CatalogSnapshot {
        &self.snapshot
    }

    /// The catalog.
    pub fn catalog(&self) -> &'a Catalog {
        self.catalog
    }

    /// Takes in what others have published meanwhile: after waiting for a lock.
    pub async fn refresh(&mut self) -> Result<()> {
        self.catalog.settled().await?;
        let own = Arc::new(self.snapshot.clone());
        self.snapshot = CatalogSnapshot::clone(&self.catalog.rebase(&own, None));
        Ok(())
    }

    /// The overlay that the transaction goes on with.
    pub fn finish(self) -> Arc<CatalogSnapshot> {
        Arc::new(self.snapshot)
    }

    /// Locks a table and gives its newest descriptor; 42P01 if it is gone by then.
    pub async fn lock_table(
        &mut self,
        table: &TableDescriptor,
        mode: LockMode,
    ) -> Result<Arc<TableDescriptor>> {
        let mut space = table.space();
        loop {
            let id = ObjectId::Plain(Kind::Table, table.id.0);
            // Table first: DML that runs holds it, and must not meet a locked descriptor. A foreign
            // table has no rows here whose writers would have to be waited for.
            if table.kind == RelationKind::Table {
                let lock = Key::new(space, &[], 0);
                let wait = self.txn.block();
                self.txn.lock_newest(&[lock], mode, wait).await?;
            }
            let Some(Object::Table(newest)) = self.lock_object(id).await? else {
                return Err(undefined_table(&table.name));
            };
            if newest.space() == space {
                let known = self.snapshot.table_by_id(table.id);
                if known.is_none_or(|known| *known != *newest) {
                    self.snapshot.put(Object::Table(Arc::clone(&newest)));
                }
                return Ok(newest);
            }
            // Truncated or rewritten while this waited: its rows lie elsewhere now.
            space = newest.space();
        }
    }

    /// Locks an object's descriptor and gives its newest state.
    async fn lock_object(&mut self, id: ObjectId) -> Result<Option<Object>> {
        let key = id.key();
        let wait = self.txn.block();
        let locked = self.txn.lock_newest(std::slice::from_ref(&key), LockMode::Update, wait);
        let newest = locked.await?.pop().flatten().and_then(|l| l.current);
        if let Some(own) = self.txn.own(&key) {
            return own.map(|value| Object::decode(id, &value)).transpose();
        }
        let Some(Version { ts, value: Some(value) }) = newest else { return Ok(None) };
        Ok(Some(Object::decode(id, &value)?.committed(ts)))
    }

    /// Writes an object.
    fn write(&mut self, object: Object) -> Result<()> {
        let id = object.id();
        self.txn.put(id.key(), object.encode()?, false)?;
        self.snapshot.change(id, Some(object));
        Ok(())
    }

    /// Removes an object.
    fn remove(&mut self, id: ObjectId) -> Result<()> {
        self.txn.delete(id.key(), false)?;
        self.snapshot.change(id, None);
        Ok(())
    }

    /// Writes a table's descriptor, one version further.
    pub fn write_table(&mut self, mut table: TableDescriptor) -> Result<Arc<TableDescriptor>> {
        table.version += 1;
        let before = self.snapshot().table_by_id(table.id);
        if table.columnar && before.is_none_or(|t| !t.columnar) {
            table.columnar_since = table.version;
        }
        let table = Arc::new(table);
        self.write(Object::Table(Arc::clone(&table)))?;
        Ok(table)
    }

    /// Says of the tables that this transaction has loaded rows into that it did: the last thing
    /// before its commit.
    pub fn note_loads(&mut self) -> Result<()> {
        let spaces: Vec<SpaceId> = self.txn.loaded_spaces().collect();
        let is_new =
            |t: &&Arc<TableDescriptor>| spaces.contains(&t.space()) && t.loaded != Loaded::Here;
        let tables: Vec<_> = self.snapshot.tables().filter(is_new).cloned().collect();
        for table in tables {
            self.write_table(TableDescriptor { loaded: Loaded::Here, ..(*table).clone() })?;
        }
        Ok(())
    }

    /// A space that nothing ever had. It is this transaction's: see `catalog::leftovers`.
    pub async fn new_space(&mut self) -> Result<SpaceId> {
        let space = self.catalog.next_space().await?;
        let wait = self.txn.block();
        self.txn.lock_newest(&[claim(space)], LockMode::Update, wait).await?;
        self.txn.made_space(space);
        Ok(space)
    }

    /// Takes a name for `oid`; waits for another transaction that took it and is not done.
    async fn claim(&mut self, name: Name<'_>, oid: u32) -> Result<()> {
        let key = name.key();
        let wait = self.txn.block();
        let locked = self.txn.lock_newest(std::slice::from_ref(&key), LockMode::Update, wait);
        let newest = locked.await?.pop().flatten().and_then(|l| l.current).and_then(|v| v.value);
        if self.txn.own(&key).unwrap_or(newest).is_some() {
            return Err(taken(name));
        }
        self.txn.put(key, Name::value(oid), false)
    }

    /// Gives a name up.
    fn release(&mut self, name: Name<'_>) -> Result<()> {
        self.txn.delete(name.key(), false)
    }

    /// Takes a relation's name in a schema.
    async fn claim_relation(&mut self, schema: &str, name: &str, oid: u32) -> Result<()> {
        let schema = self.schema_oid(schema)?;
        self.claim(Name::Relation(schema, name), oid).await
    }

    fn release_relation(&mut self, schema: &str, name: &str) -> Result<()> {
        let schema = self.schema_oid(schema)?;
        self.release(Name::Relation(schema, name))
    }

    fn schema_oid(&self, name: &str) -> Result<u32> {
        match self.snapshot.schema(name) {
            Some(schema) => Ok(schema.oid),
            None => Err(undefined_schema(name)),
        }
    }

    /// Holds a schema against being dropped until the transaction ends. 3F000 if it is gone, 42501
    /// if it is the system's.
    async fn hold_schema(&mut self, name: &str) -> Result<()> {
        if is_system_schema(name) {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to create in schema \"{name}\""),
            )
            .with_detail("System catalog modifications are currently disallowed."));
        }
        let key = ObjectId::Plain(Kind::Schema, self.schema_oid(name)?).key();
        let wait = self.txn.block();
        let locked = self.txn.lock_newest(std::slice::from_ref(&key), LockMode::Share, wait);
        let newest = locked.await?.pop().flatten().and_then(|l| l.current).and_then(|v| v.value);
        match self.txn.own(&key).unwrap_or(newest) {
            Some(_) => Ok(()),
            None => Err(undefined_schema(name)),
        }
    }

    /// CREATE SCHEMA.
    pub async fn create_schema(&mut self, name: &str, owner: &str) -> Result<()> {
        if name.starts_with("pg_") {
            return Err(Error::new(
                SqlState::RESERVED_NAME,
                format!("unacceptable schema name \"{name}\""),
            )
            .with_detail("The prefix \"pg_\" is reserved for system schemas."));
        }
        if is_system_schema(name) {
            return Err(taken(Name::Schema(name)));
        }
        let oid = self.catalog.next_oid().await?;
        self.claim(Name::Schema(name), oid).await?;
        let (name, owner) = (name.to_owned(), owner.to_owned());
        self.write(Object::Schema(SchemaDescriptor { oid, name, owner }))
    }

    /// DROP SCHEMA of a schema whose relations are gone already.
    pub async fn drop_schema(&mut self, name: &str) -> Result<()> {
        if is_system_schema(name) {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop schema {name} because it is required by the database system"),
            ));
        }
        let oid = self.schema_oid(name)?;
        let id = ObjectId::Plain(Kind::Schema, oid);
        if self.lock_object(id).await?.is_none() {
            return Err(undefined_schema(name));
        }
        self.release(Name::Schema(name))?;
        self.remove(id)?;
        self.drop_comments(oids::CLASS_SCHEMA, oid)
    }

    /// ALTER SCHEMA … OWNER TO.
    pub async fn schema_owner(&mut self, name: &str, owner: &str) -> Result<()> {
        let id = ObjectId::Plain(Kind::Schema, self.schema_oid(name)?);
        match self.lock_object(id).await? {
            Some(Object::Schema(schema)) => {
                self.write(Object::Schema(SchemaDescriptor { owner: owner.to_owned(), ..schema }))
            }
            _ => Err(undefined_schema(name)),
        }
    }

    /// COMMENT ON; none removes the comment.
    pub fn comment(&mut self, target: CommentTarget, text: Option<&str>) -> Result<()> {
        match text {
            Some(text) if !text.is_empty() => self.write(Object::Comment(target, text.to_owned())),
            _ if self.snapshot.comment_on(target).is_some() => {
                self.remove(ObjectId::Comment(target))
            }
            _ => Ok(()),
        }
    }

    fn drop_comments(&mut self, class: u32, oid: u32) -> Result<()> {
        let targets: Vec<CommentTarget> = self
            .snapshot
            .comments()
            .map(|(target, _)| *target)
            .filter(|target| target.class == class && target.oid == oid)
            .collect();
        targets.into_iter().try_for_each(|target| self.remove(ObjectId::Comment(target)))
    }

    /// Leaves a space to be dropped after the commit.
    pub fn discard_space(&mut self, space: SpaceId) -> Result<()> {
        self.write(Object::Garbage(space))
    }
}

fn taken(name: Name<'_>) -> Error {
    let (code, message) = match name {
        Name::Relation(_, name) => {
            (SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists"))
        }
        Name::Schema(name) => {
            (SqlState::DUPLICATE_SCHEMA, format!("schema \"{name}\" already exists"))
        }
        Name::Role(name) => (SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists")),
    };
    Error::new(code, message)
}

/// 42P01
pub fn undefined_table(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}

/// 3F000
pub fn undefined_schema(name: &str) -> Error {
    Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
}
