//! The schema at one point: plain data with indexes by name and by OID.
//!
//! A snapshot never changes. DDL makes an *overlay*, a copy on write that also remembers which
//! objects it changed ([`CatalogSnapshot::changes`]); publishing applies these to whatever the
//! shared snapshot is by then, so that two transactions that changed different tables do not undo
//! each other. Every overlay has a version of its own, never used again in this process: what was
//! bound against one version is valid exactly as long as the version stands.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::descriptor::{
    CommentTarget, DatabaseDescriptor, PG_CATALOG, PUBLIC, RoleDescriptor, SchemaDescriptor,
    SequenceDescriptor, oids,
};
use super::object::{Kind, Object, ObjectId};
use super::sequence::Sequences;
use super::system;
use crate::clock::Timestamp;
use crate::kv::Estimate;
use crate::types::descriptor::{
    ForeignKeyDescriptor, IndexDescriptor, IndexState, Loaded, SpaceId, TableDescriptor, TableId,
};

/// How long a transaction may go on with a snapshot of rows older than an index that was made
/// meanwhile and still be kept from reading that index.
const BORN_KEPT_MS: u64 = 24 * 60 * 60 * 1000;

/// A relation found by name.
#[derive(Clone, Debug)]
pub enum Relation {
    /// A table, virtual ones included.
    Table(Arc<TableDescriptor>),
    /// An index: its table and its place there.
    Index(Arc<TableDescriptor>, IndexRef),
    /// A sequence.
    Sequence(Arc<SequenceDescriptor>),
}

/// Which index of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexRef {
    /// The primary key.
    Primary,
    /// A secondary one, by its place.
    Secondary(usize),
}

impl IndexRef {
    /// The index in its table.
    pub fn of(self, table: &TableDescriptor) -> Option<&IndexDescriptor> {
        match self {
            IndexRef::Primary => Some(&table.primary),
            IndexRef::Secondary(at) => table.indexes.get(at),
        }
    }
}

/// The indexes of a table that are relations: all but a hidden row id.
pub fn visible_indexes(
    table: &TableDescriptor,
) -> impl Iterator<Item = (IndexRef, &IndexDescriptor)> {
    let primary = (!table.hidden_key
        && table.kind == crate::types::descriptor::RelationKind::Table)
        .then_some((IndexRef::Primary, &table.primary));
    let others = table.indexes.iter().enumerate().map(|(at, i)| (IndexRef::Secondary(at), i));
    primary.into_iter().chain(others)
}

type Names = HashMap<String, HashMap<String, u32>>;

/// The schema at one point. Cheap to clone; usually held in an `Arc`.
#[derive(Clone)]
pub struct CatalogSnapshot {
    version: u64,
    /// Version of the published snapshot that this is an overlay of, or is.
    base: u64,
    versions: Arc<AtomicU64>,
    database: Arc<DatabaseDescriptor>,
    schemas: Arc<BTreeMap<String, Arc<SchemaDescriptor>>>,
    tables: Arc<BTreeMap<u32, Arc<TableDescriptor>>>,
    sequences: Arc<BTreeMap<u32, Arc<SequenceDescriptor>>>,
    /// Index OID → table OID.
    indexes: Arc<HashMap<u32, u32>>,
    /// Table OID → OIDs of the tables whose foreign keys reference it.
    referenced: Arc<HashMap<u32, Vec<u32>>>,
    /// Schema → relation name → OID.
    names: Arc<Names>,
    roles: Arc<BTreeMap<String, Arc<RoleDescriptor>>>,
    comments: Arc<BTreeMap<CommentTarget, Arc<str>>>,
    garbage: Arc<BTreeMap<u32, SpaceId>>,
    /// Estimated sizes of tables and indexes, shared by all snapshots: no part of the schema.
    sizes: Arc<RwLock<HashMap<u32, Estimate>>>,
    /// When indexes were made on tables that were there, as far as transactions may be older.
    born: Arc<HashMap<u32, Timestamp>>,
    /// Where rows of system relations about the running process come from.
    providers: Arc<RwLock<HashMap<&'static str, system::Provider>>>,
    /// Where sequences stand, shared by all snapshots; none before a store is there.
    counters: Option<Arc<Sequences>>,
    changes: Vec<Change>,
}

/// One change of an overlay: the object's new state, or none where it was dropped.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which object.
    pub id: ObjectId,
    /// Its new state.
    pub object: Option<Object>,
}

impl CatalogSnapshot {
    /// What a store holds right after its initialization.
    pub fn initial(database: &str, role: RoleDescriptor) -> CatalogSnapshot {
        let mut snapshot = CatalogSnapshot::empty(database, &role.name);
        for object in initial_objects(database, role) {
            snapshot.put(object);
        }
        snapshot
    }

    /// The same, with the system's schemas owned by the superuser made at initialization.
    pub(super) fn owned_by_bootstrap(mut self) -> CatalogSnapshot {
        let owner = self.role_by_oid(oids::BOOTSTRAP_ROLE).map(|r| r.name.clone());
        let owner = owner.unwrap_or_default();
        for schema in Arc::make_mut(&mut self.schemas).values_mut() {
            if schema.is_system() {
                Arc::make_mut(schema).owner.clone_from(&owner);
            }
        }
        self
    }

    /// Nothing but the system's own schemas.
    pub(super) fn empty(database: &str, owner: &str) -> CatalogSnapshot {
        let mut schemas = BTreeMap::new();
        for (oid, name) in [
            (oids::PG_CATALOG, PG_CATALOG),
            (oids::INFORMATION_SCHEMA, super::descriptor::INFORMATION_SCHEMA),
        ] {
            let (name, owner) = (name.to_owned(), owner.to_owned());
            schemas.insert(name.clone(), Arc::new(SchemaDescriptor { oid, name, owner }));
        }
        CatalogSnapshot {
            version: 1,
            base: 1,
            versions: Arc::new(AtomicU64::new(1)),
            database: Arc::new(DatabaseDescriptor {
                oid: oids::DATABASE,
                name: database.to_owned(),
                owner: owner.to_owned(),
            }),
            schemas: Arc::new(schemas),
            tables: Arc::default(),
            sequences: Arc::default(),
            indexes: Arc::default(),
            referenced: Arc::default(),
            names: Arc::default(),
            roles: Arc::new(predefined_roles()),
            comments: Arc::default(),
            garbage: Arc::default(),
            sizes: Arc::default(),
            born: Arc::default(),
            providers: Arc::default(),
            counters: None,
            changes: Vec::new(),
        }
    }

    pub(super) fn with_sequences(mut self, counters: Arc<Sequences>) -> CatalogSnapshot {
        self.counters = Some(counters);
        self
    }

    /// Which state this is: another version, another state.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The database.
    pub fn database(&self) -> &DatabaseDescriptor {
        &self.database
    }

    /// A schema by name.
    pub fn schema(&self, name: &str) -> Option<&Arc<SchemaDescriptor>> {
        self.schemas.get(name)
    }

    /// All schemas by name, the system's included.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<SchemaDescriptor>> {
        self.schemas.values()
    }

    /// The table of that name. `schema: None` searches `path`, `pg_catalog` first unless the path
    /// says where else it stands. The system's relations are found too.
    pub fn table(
        &self,
        schema: Option<&str>,
        name: &str,
        path: &[String],
    ) -> Option<Arc<TableDescriptor>> {
        match self.relation(schema, name, path)? {
            Relation::Table(table) => Some(table),
            Relation::Sequence(sequence) => Some(system::sequence_table(&sequence)),
            Relation::Index(..) => None,
        }
    }

    /// The relation of that name, searched for as [`CatalogSnapshot::table`] does.
    pub fn relation(&self, schema: Option<&str>, name: &str, path: &[String]) -> Option<Relation> {
        if let Some(schema) = schema {
            return self.relation_in(schema, name);
        }
        let implicit = !path.iter().any(|s| s == PG_CATALOG);
        let first = implicit.then_some(PG_CATALOG);
        first
            .into_iter()
            .chain(path.iter().map(String::as_str))
            .find_map(|schema| self.relation_in(schema, name))
    }

    fn relation_in(&self, schema: &str, name: &str) -> Option<Relation> {
        if super::descriptor::is_system_schema(schema) {
            return system::table(schema, name).map(Relation::Table);
        }
        let oid = *self.names.get(schema)?.get(name)?;
        self.relation_by_oid(oid)
    }

    /// The relation of that OID.
    pub fn relation_by_oid(&self, oid: u32) -> Option<Relation> {
        if let Some(table) = self.table_by_id(TableId(oid)) {
            return Some(Relation::Table(table));
        }
        if let Some(sequence) = self.sequences.get(&oid) {
            return Some(Relation::Sequence(Arc::clone(sequence)));
        }
        let table = self.tables.get(self.indexes.get(&oid)?)?;
        let (at, _) = visible_indexes(table).find(|(_, index)| index.oid == oid)?;
        Some(Relation::Index(Arc::clone(table), at))
    }

    /// The table of that id, virtual ones included.
    pub fn table_by_id(&self, id: TableId) -> Option<Arc<TableDescriptor>> {
        match self.tables.get(&id.0) {
            Some(table) => Some(Arc::clone(table)),
            None if id.0 < oids::FIRST_USER => system::table_by_oid(id.0),
            None => None,
        }
    }

    /// All tables made by users, by OID.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableDescriptor>> {
        self.tables.values()
    }

    /// All sequences, by OID.
    pub fn sequences(&self) -> impl Iterator<Item = &Arc<SequenceDescriptor>> {
        self.sequences.values()
    }

    /// Where sequences stand.
    pub fn counters(&self) -> Option<&Arc<Sequences>> {
        self.counters.as_ref()
    }

    /// The value that a sequence gave last in this process.
    pub(super) fn last_value(&self, sequence: u32) -> Option<i64> {
        self.counters.as_ref()?.last_given(self.sequences.get(&sequence)?)
    }

    /// A sequence by OID.
    pub fn sequence(&self, oid: u32) -> Option<&Arc<SequenceDescriptor>> {
        self.sequences.get(&oid)
    }

    /// The sequences that go with a table's columns.
    pub fn owned_sequences(
        &self,
        table: TableId,
    ) -> impl Iterator<Item = &Arc<SequenceDescriptor>> {
        let owned = move |s: &&Arc<SequenceDescriptor>| {
            s.owned_by.is_some_and(|owner| owner.table == table)
        };
        self.sequences.values().filter(owned)
    }

    /// A schema's tables.
    pub fn schema_tables(&self, schema: &str) -> impl Iterator<Item = &Arc<TableDescriptor>> {
        let schema = schema.to_owned();
        self.tables.values().filter(move |t| t.schema == schema)
    }

    /// Whether foreign keys reference a table.
    pub fn is_referenced(&self, table: TableId) -> bool {
        self.referenced.contains_key(&table.0)
    }

    /// The foreign keys that reference a table, by OID, with the tables that have them.
    pub fn references_to(
        &self,
        table: TableId,
    ) -> Vec<(Arc<TableDescriptor>, ForeignKeyDescriptor)> {
        let children = self.referenced.get(&table.0).into_iter().flatten();
        let mut found: Vec<_> = children
            .filter_map(|child| self.tables.get(child))
            .flat_map(|child| child.foreign_keys.iter().map(|key| (Arc::clone(child), key.clone())))
            .filter(|(_, key)| key.parent == table)
            .collect();
        found.sort_by_key(|(_, key)| key.oid);
        found
    }

    /// Whether a relation name is taken in a schema.
    pub fn name_taken(&self, schema: &str, name: &str) -> bool {
        self.names.get(schema).is_some_and(|names| names.contains_key(name))
    }

    /// A role by name.
    pub fn role(&self, name: &str) -> Option<&Arc<RoleDescriptor>> {
        self.roles.get(name)
    }

    /// A role by OID.
    pub fn role_by_oid(&self, oid: u32) -> Option<&Arc<RoleDescriptor>> {
        self.roles.values().find(|r| r.oid == oid)
    }

    /// All roles by name.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<RoleDescriptor>> {
        self.roles.values()
    }

    /// An object's comment.
    pub fn comment_on(&self, target: CommentTarget) -> Option<&str> {
        self.comments.get(&target).map(AsRef::as_ref)
    }

    /// All comments.
    pub fn comments(&self) -> impl Iterator<Item = (&CommentTarget, &Arc<str>)> {
        self.comments.iter()
    }

    /// Spaces that committed DROPs and TRUNCATEs left behind.
    pub fn garbage(&self) -> impl Iterator<Item = SpaceId> {
        self.garbage.values().copied()
    }

    /// Estimated rows and bytes of relations, by OID, as last refreshed.
    pub(super) fn sizes(&self) -> &RwLock<HashMap<u32, Estimate>> {
        &self.sizes
    }

    /// Where rows of system relations about the running process come from, by relation.
    pub(super) fn providers(&self) -> &RwLock<HashMap<&'static str, system::Provider>> {
        &self.providers
    }

    /// What this overlay changed since the snapshot that was published.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The schema that `CREATE` without a schema makes objects in: the first of the path that
    /// exists and is not the system's.
    pub fn creation_schema<'a>(&self, path: &'a [String]) -> Option<&'a str> {
        path.iter()
            .map(String::as_str)
            .find(|name| *name != PG_CATALOG && self.schemas.contains_key(*name))
    }

    /// Makes this an overlay with one more change.
    pub fn change(&mut self, id: ObjectId, object: Option<Object>) {
        match object.clone() {
            Some(object) => self.put(object),
            None => self.remove(id),
        }
        self.changes.retain(|c| c.id != id);
        self.changes.push(Change { id, object });
        self.version = self.versions.fetch_add(1, Ordering::Relaxed) + 1;
    }

    /// The same state, as published: nothing is left to publish.
    pub(super) fn published(mut self) -> CatalogSnapshot {
        self.changes.clear();
        self.base = self.version;
        self
    }

    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// A newly loaded state as the successor of a published one.
    pub(super) fn succeeding(mut self, before: &CatalogSnapshot) -> CatalogSnapshot {
        self.versions = Arc::clone(&before.versions);
        self.sizes = Arc::clone(&before.sizes);
        self.providers = Arc::clone(&before.providers);
        self.counters.clone_from(&before.counters);
        self.version = self.versions.fetch_add(1, Ordering::Relaxed) + 1;
        self.published()
    }

    /// Notes since when, at the latest, the indexes exist that another schema has not.
    pub(super) fn note_indexes_since(&mut self, before: &CatalogSnapshot, at: Timestamp) {
        let mut new = Vec::new();
        for table in self.tables() {
            let Some(old) = before.tables.get(&table.id.0) else { continue };
            let known = |oid| old.indexes.iter().any(|index| index.oid == oid);
            new.extend(table.indexes.iter().map(|i| i.oid).filter(|oid| !known(*oid)));
        }
        self.born = Arc::clone(&before.born);
        if !new.is_empty() {
            let born = Arc::make_mut(&mut self.born);
            born.retain(|_, since| since.millis() + BORN_KEPT_MS > at.millis());
            born.extend(new.into_iter().map(|oid| (oid, at)));
        }
    }

    /// Notes since when the indexes exist that a committed change brings.
    pub(super) fn note_new_indexes(&mut self, change: &Change, ts: Timestamp) {
        let Some(Object::Table(table)) = &change.object else { return };
        let old = self.tables.get(&table.id.0).cloned();
        let known = |space| {
            let old = old.as_ref();
            old.is_some_and(|t| t.space() == space || t.indexes.iter().any(|i| i.space == space))
        };
        let new: Vec<u32> =
            table.indexes.iter().filter(|i| !known(i.space)).map(|i| i.oid).collect();
        if old.is_some() && !new.is_empty() {
            let born = Arc::make_mut(&mut self.born);
            born.retain(|_, at| at.millis() + BORN_KEPT_MS > ts.millis());
            born.extend(new.into_iter().map(|oid| (oid, ts)));
        }
    }

    /// This as who reads rows at `at` may use it: with indexes made after that not yet readable,
    /// and tables that were loaded after it not at all.
    pub(super) fn read_at(self: Arc<Self>, at: Timestamp) -> Arc<CatalogSnapshot> {
        let newer: Vec<u32> =
            self.born.iter().filter(|(_, born)| **born > at).map(|(oid, _)| *oid).collect();
        let is_later = |t: &&Arc<TableDescriptor>| matches!(t.loaded, Loaded::At(ts) if ts > at);
        let later: Vec<_> = self.tables().filter(is_later).cloned().collect();
        if newer.is_empty() && later.is_empty() {
            return self;
        }
        let mut next = CatalogSnapshot::clone(&self);
        for mut table in later {
            Arc::make_mut(&mut table).loaded = Loaded::Later;
            next.put_table(table);
        }
        for oid in newer {
            let Some(table) = next.indexes.get(&oid).and_then(|t| next.tables.get(t)) else {
                continue;
            };
            let mut table = TableDescriptor::clone(table);
            for index in table.indexes.iter_mut().filter(|i| i.oid == oid) {
                index.state = IndexState::WriteOnly;
            }
            next.put_table(Arc::new(table));
        }
        next.version = next.versions.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(next)
    }

    pub(super) fn put(&mut self, object: Object) {
        match object {
            Object::Header(_) => {}
            Object::Database(d) => self.database = Arc::new(d),
            Object::Schema(s) => {
                self.remove(ObjectId::Plain(Kind::Schema, s.oid));
                Arc::make_mut(&mut self.schemas).insert(s.name.clone(), Arc::new(s));
            }
            Object::Table(t) => self.put_table(t),
            Object::Role(r) => {
                self.remove(ObjectId::Plain(Kind::Role, r.oid));
                Arc::make_mut(&mut self.roles).insert(r.name.clone(), Arc::new(r));
            }
            Object::Comment(target, text) => {
                Arc::make_mut(&mut self.comments).insert(target, text.into());
            }
            Object::Sequence(s) => {
                self.remove(ObjectId::Plain(Kind::Sequence, s.oid));
                let names = Arc::make_mut(&mut self.names).entry(s.schema.clone()).or_default();
                names.insert(s.name.clone(), s.oid);
                Arc::make_mut(&mut self.sequences).insert(s.oid, s);
            }
            Object::Garbage(space) => {
                Arc::make_mut(&mut self.garbage).insert(space.0, space);
            }
        }
    }

    pub(super) fn remove(&mut self, id: ObjectId) {
        match id {
            ObjectId::Plain(Kind::Schema, oid) => {
                if self.schemas.values().any(|s| s.oid == oid) {
                    Arc::make_mut(&mut self.schemas).retain(|_, s| s.oid != oid);
                }
            }
            ObjectId::Plain(Kind::Role, oid) => {
                if self.roles.values().any(|r| r.oid == oid) {
                    Arc::make_mut(&mut self.roles).retain(|_, r| r.oid != oid);
                }
            }
            ObjectId::Plain(Kind::Table, oid) => self.remove_table(oid),
            ObjectId::Plain(Kind::Sequence, oid) => self.remove_sequence(oid),
            ObjectId::Plain(Kind::Garbage, space) => {
                Arc::make_mut(&mut self.garbage).remove(&space);
            }
            ObjectId::Comment(target) => {
                Arc::make_mut(&mut self.comments).remove(&target);
            }
            ObjectId::Plain(Kind::Header | Kind::Database | Kind::Comment, _) => {}
        }
    }

    fn put_table(&mut self, table: Arc<TableDescriptor>) {
        self.remove_table(table.id.0);
        let names = Arc::make_mut(&mut self.names).entry(table.schema.clone()).or_default();
        names.insert(table.name.clone(), table.id.0);
        let indexes = Arc::make_mut(&mut self.indexes);
        for (_, index) in visible_indexes(&table) {
            names.insert(index.name.clone(), index.oid);
            indexes.insert(index.oid, table.id.0);
        }
        if !table.foreign_keys.is_empty() {
            let referenced = Arc::make_mut(&mut self.referenced);
            for key in &table.foreign_keys {
                let children = referenced.entry(key.parent.0).or_default();
                if !children.contains(&table.id.0) {
                    children.push(table.id.0);
                }
            }
        }
        Arc::make_mut(&mut self.tables).insert(table.id.0, table);
    }

    fn remove_sequence(&mut self, oid: u32) {
        if !self.sequences.contains_key(&oid) {
            return;
        }
        let Some(sequence) = Arc::make_mut(&mut self.sequences).remove(&oid) else { return };
        let names = Arc::make_mut(&mut self.names).entry(sequence.schema.clone()).or_default();
        if names.get(&sequence.name) == Some(&oid) {
            names.remove(&sequence.name);
        }
    }

    fn remove_table(&mut self, oid: u32) {
        if !self.tables.contains_key(&oid) {
            return;
        }
        let Some(table) = Arc::make_mut(&mut self.tables).remove(&oid) else { return };
        if !table.foreign_keys.is_empty() {
            let referenced = Arc::make_mut(&mut self.referenced);
            referenced.values_mut().for_each(|children| children.retain(|child| *child != oid));
            referenced.retain(|_, children| !children.is_empty());
        }
        let names = Arc::make_mut(&mut self.names).entry(table.schema.clone()).or_default();
        let indexes = Arc::make_mut(&mut self.indexes);
        // A name may stand for another object by now: only the table's own entries go.
        if names.get(&table.name) == Some(&oid) {
            names.remove(&table.name);
        }
        for (_, index) in visible_indexes(&table) {
            if names.get(&index.name) == Some(&index.oid) {
                names.remove(&index.name);
            }
            indexes.remove(&index.oid);
        }
    }
}

/// The roles that are always there, and never stored.
fn predefined_roles() -> BTreeMap<String, Arc<RoleDescriptor>> {
    let made = |(oid, name)| (String::from(name), Arc::new(RoleDescriptor::new(oid, name)));
    super::descriptor::PREDEFINED_ROLES.into_iter().map(made).collect()
}

/// What initialization writes, the header aside.
pub(super) fn initial_objects(database: &str, role: RoleDescriptor) -> Vec<Object> {
    const PUBLIC_COMMENT: &str = "standard public schema";
    const DATABASE_COMMENT: &str = "default administrative connection database";
    let owner = role.name.clone();
    let comment_on = |class, oid| CommentTarget { class, oid, sub_id: 0 };
    vec![
        Object::Database(DatabaseDescriptor {
            oid: oids::DATABASE,
            name: database.to_owned(),
            owner: owner.clone(),
        }),
        Object::Schema(SchemaDescriptor {
            oid: oids::PUBLIC,
            name: PUBLIC.to_owned(),
            owner: super::descriptor::DATABASE_OWNER.to_owned(),
        }),
        Object::Comment(comment_on(oids::CLASS_SCHEMA, oids::PUBLIC), PUBLIC_COMMENT.to_owned()),
        Object::Comment(
            comment_on(oids::CLASS_DATABASE, oids::DATABASE),
            DATABASE_COMMENT.to_owned(),
        ),
        Object::Role(role),
    ]
}

impl std::fmt::Debug for CatalogSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogSnapshot")
            .field("version", &self.version)
            .field("tables", &self.tables.len())
            .finish_non_exhaustive()
    }
}
