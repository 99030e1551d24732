//! Tests of schema changes, over the store in memory.

use std::sync::Arc;

use super::*;
use crate::catalog::{Initial, Relation};
use crate::clock::{Clock, SimulatedClock};
use crate::kv::memory::MemoryStore;
use crate::kv::{LockWait, SharedStore};
use crate::txn::{TxnManager, TxnOptions};
use crate::types::SqlType;
use crate::types::descriptor::{ColumnDescriptor, ColumnId, IndexColumn};

struct Fixture {
    store: SharedStore,
    clock: Arc<dyn Clock>,
    manager: TxnManager,
    catalog: Arc<Catalog>,
}

async fn fixture() -> Fixture {
    let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(1_700_000_000_000_000, 7));
    let store = MemoryStore::new(clock.clone());
    let initial = Initial { database: "sluice".into(), role: "me".into(), password: None };
    let catalog = Catalog::open(store.clone(), clock.clone(), &initial).await.unwrap();
    let manager = TxnManager::new(store.clone(), clock.clone());
    Fixture { store, clock, manager, catalog }
}

impl Fixture {
    async fn begin(&self) -> Txn {
        let mut txn = self.manager.begin(TxnOptions::default());
        txn.begin_statement().await.unwrap();
        txn
    }

    async fn commit(&self, txn: Txn, overlay: &CatalogSnapshot) {
        let publication = self.catalog.publication();
        let info = txn.commit().await.unwrap();
        publication.publish(overlay, info.ts);
    }

    async fn create(&self, name: &str) -> Arc<TableDescriptor> {
        let mut txn = self.begin().await;
        let snapshot = self.catalog.snapshot();
        let mut change = SchemaChange::new(&mut txn, &self.catalog, &snapshot, "me");
        let table = change.create_table(new_table(name)).await.unwrap();
        let overlay = change.finish();
        self.commit(txn, &overlay).await;
        table
    }
}

fn new_table(name: &str) -> NewTable {
    let column = |id: u16, name: &str| ColumnDescriptor::new(ColumnId(id), name, SqlType::INT4);
    NewTable {
        schema: "public".into(),
        name: name.into(),
        columns: vec![column(1, "a"), column(2, "b")],
        primary: Some(NewKey { name: None, columns: vec![ColumnId(1)] }),
        uniques: vec![NewKey { name: None, columns: vec![ColumnId(2)] }],
        checks: vec![
            NewCheck {
                name: None,
                expr: "(a > 0)".into(),
                columns: vec![ColumnId(1)],
                not_valid: false,
            },
            NewCheck {
                not_valid: false,
                name: None,
                expr: "(a > b)".into(),
                columns: vec![ColumnId(1), ColumnId(2)],
            },
        ],
        partition_columns: None,
        columnar: false,
    }
}

fn path() -> Vec<String> {
    vec!["public".into()]
}

#[tokio::test]
async fn a_table_is_found_again_after_a_restart() {
    let f = fixture().await;
    let made = f.create("t").await;
    assert_eq!(made.id.0, oids::FIRST_USER);
    assert_eq!(made.primary.name, "t_pkey");
    assert_eq!(made.indexes[0].name, "t_b_key");
    let checks: Vec<_> = made.checks.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(checks, ["t_a_check", "t_check"]);
    assert!(made.columns[0].not_null && !made.columns[1].not_null);

    let again = Catalog::load(f.store.clone(), f.clock.clone()).await.unwrap();
    let snapshot = again.snapshot();
    assert_eq!(snapshot.table(None, "t", &path()), Some(made.clone()));
    assert_eq!(snapshot.database().name, "sluice");
    assert!(snapshot.role("me").unwrap().superuser);
    let Some(Relation::Index(table, at)) = snapshot.relation(Some("public"), "t_b_key", &[]) else {
        panic!("no index");
    };
    assert_eq!(at.of(&table).unwrap().oid, made.indexes[0].oid);
    // Numbers go on after the block that the first process had taken.
    assert!(again.next_oid().await.unwrap() > made.indexes[0].constraint_oid.unwrap());
}

#[tokio::test]
async fn a_rollback_leaves_nothing() {
    let f = fixture().await;
    let mut txn = f.begin().await;
    let snapshot = f.catalog.snapshot();
    let mut change = SchemaChange::new(&mut txn, &f.catalog, &snapshot, "me");
    change.create_table(new_table("t")).await.unwrap();
    let overlay = change.finish();
    assert!(overlay.table(None, "t", &path()).is_some());
    txn.rollback().await.unwrap();
    assert!(f.catalog.snapshot().table(None, "t", &path()).is_none());
    f.create("t").await;
}

#[tokio::test]
async fn names_are_taken_once() {
    let f = fixture().await;
    f.create("t").await;
    let mut txn = f.begin().await;
    // A snapshot from before: the name's key knows better.
    let stale = CatalogSnapshot::initial(
        "sluice",
        crate::catalog::descriptor::RoleDescriptor::bootstrap("me", None),
    );
    let mut change = SchemaChange::new(&mut txn, &f.catalog, &stale, "me");
    let error = change.create_table(new_table("t")).await.unwrap_err();
    assert_eq!(error.code(), SqlState::DUPLICATE_TABLE);
    assert_eq!(error.message(), "relation \"t\" already exists");
}

#[tokio::test]
async fn concurrent_changes_of_different_tables_both_stay() {
    let f = fixture().await;
    let (mut one, mut two) = (f.begin().await, f.begin().await);
    let snapshot = f.catalog.snapshot();
    let mut change = SchemaChange::new(&mut one, &f.catalog, &snapshot, "me");
    change.create_table(new_table("one")).await.unwrap();
    let first = change.finish();
    let mut change = SchemaChange::new(&mut two, &f.catalog, &snapshot, "me");
    change.create_table(new_table("two")).await.unwrap();
    let second = change.finish();
    f.commit(one, &first).await;
    // What the other transaction goes on with shows both.
    let second = f.catalog.rebase(&second, None);
    assert!(second.table(None, "one", &path()).is_some());
    assert!(second.table(None, "two", &path()).is_some());
    f.commit(two, &second).await;
    let snapshot = f.catalog.settled().await.unwrap();
    assert_eq!(snapshot.tables().count(), 2);
}

#[tokio::test]
async fn ddl_waits_for_dml_and_sees_the_newest_descriptor() {
    let f = fixture().await;
    let table = f.create("t").await;
    let mut writer = f.begin().await;
    let wait = LockWait::Block { lock_timeout_ms: 0, deadlock_timeout_ms: 0 };
    writer.lock_newest(&[table_lock(&table)], LockMode::Share, wait).await.unwrap();
    let mut ddl = f.manager.begin(TxnOptions { lock_timeout_ms: 20, ..TxnOptions::default() });
    ddl.begin_statement().await.unwrap();
    let snapshot = f.catalog.snapshot();
    let mut change = SchemaChange::new(&mut ddl, &f.catalog, &snapshot, "me");
    let error = change.lock_table(&table, LockMode::Update).await.unwrap_err();
    assert_eq!(error.code(), SqlState::LOCK_NOT_AVAILABLE);
    ddl.rollback().await.unwrap();
    writer.rollback().await.unwrap();

    let mut ddl = f.begin().await;
    let mut change = SchemaChange::new(&mut ddl, &f.catalog, &snapshot, "me");
    let locked = change.lock_table(&table, LockMode::Update).await.unwrap();
    change.move_to_new_spaces((*locked).clone()).await.unwrap();
    let overlay = change.finish();
    f.commit(ddl, &overlay).await;

    // Bound against the descriptor before the truncation: gets the one after it.
    let mut ddl = f.begin().await;
    let mut change = SchemaChange::new(&mut ddl, &f.catalog, &snapshot, "me");
    let locked = change.lock_table(&table, LockMode::Update).await.unwrap();
    assert_ne!(locked.space(), table.space());
    change.drop_table(&locked).unwrap();
    let overlay = change.finish();
    f.commit(ddl, &overlay).await;
    let mut ddl = f.begin().await;
    let mut change = SchemaChange::new(&mut ddl, &f.catalog, &snapshot, "me");
    let error = change.lock_table(&table, LockMode::Update).await.unwrap_err();
    assert_eq!(error.code(), SqlState::UNDEFINED_TABLE);

    assert_eq!(f.catalog.snapshot().garbage().count(), 4);
    f.catalog.collect_garbage().await.unwrap();
    assert_eq!(f.catalog.snapshot().garbage().count(), 0);
    let again = Catalog::load(f.store.clone(), f.clock.clone()).await.unwrap();
    assert_eq!(again.snapshot().garbage().count(), 0);
}

#[tokio::test]
async fn spaces_that_nothing_has_are_dropped() {
    let f = fixture().await;
    let kept = f.create("kept").await;
    let mut ddl = f.begin().await;
    let snapshot = f.catalog.snapshot();
    let mut change = SchemaChange::new(&mut ddl, &f.catalog, &snapshot, "me");
    let begun = change.create_table(new_table("begun")).await.unwrap();
    let nobodys = SpaceId(5000);
    for space in [kept.space(), begun.space(), nobodys] {
        let mut txn = f.begin().await;
        txn.put(Key::new(space, b"k", 1), "v".into(), false).unwrap();
        txn.commit().await.unwrap();
    }
    let there = async || {
        let spaces = f.store.spaces().await.unwrap();
        [kept.space(), begun.space(), nobodys].map(|space| spaces.contains(&space))
    };
    let mut suspects = std::collections::BTreeSet::new();
    f.catalog.collect_leftovers(&mut suspects).await.unwrap();
    assert_eq!(there().await, [true, true, true], "looked at once");
    f.catalog.collect_leftovers(&mut suspects).await.unwrap();
    assert_eq!(there().await, [true, true, false]);
    ddl.rollback().await.unwrap();
    f.catalog.collect_leftovers(&mut suspects).await.unwrap();
    assert_eq!(there().await, [true, false, false]);
}

#[tokio::test]
async fn older_readers_do_not_use_a_newer_index() {
    let f = fixture().await;
    let table = f.create("t").await;
    let before = f.begin().await;
    let mut ddl = f.begin().await;
    let snapshot = f.catalog.snapshot();
    let mut change = SchemaChange::new(&mut ddl, &f.catalog, &snapshot, "me");
    let locked = change.lock_table(&table, LockMode::NoKeyUpdate).await.unwrap();
    let column = IndexColumn { column: ColumnId(2), desc: true, nulls_first: false };
    let new = NewIndex { name: None, columns: vec![column], unique: false };
    let index = change.new_index(&locked, new, "idx").await.unwrap();
    assert_eq!(index.name, "t_b_idx");
    let mut changed = TableDescriptor::clone(&locked);
    changed.indexes.push(index);
    change.write_table(changed).unwrap();
    let overlay = change.finish();
    f.commit(ddl, &overlay).await;

    use crate::types::descriptor::IndexState;
    let state = |at| {
        let snapshot = f.catalog.rebase(&f.catalog.snapshot(), at);
        snapshot.table(None, "t", &path()).unwrap().indexes[1].state
    };
    assert_eq!(state(Some(before.snapshot())), IndexState::WriteOnly);
    assert_eq!(state(Some(f.begin().await.snapshot())), IndexState::Public);
    assert_eq!(state(None), IndexState::Public);
    let snapshot = f.catalog.snapshot();
    use crate::functions::CatalogLookup;
    let oid = snapshot.relation_oid(None, "t_b_idx", &path()).unwrap();
    assert_eq!(
        snapshot.index_definition(oid, 0).unwrap(),
        "CREATE INDEX t_b_idx ON public.t USING btree (b DESC NULLS LAST)"
    );
}

#[tokio::test]
async fn schemas_and_roles_come_and_go() {
    let f = fixture().await;
    let mut txn = f.begin().await;
    let snapshot = f.catalog.snapshot();
    let mut change = SchemaChange::new(&mut txn, &f.catalog, &snapshot, "me");
    change.create_schema("s", "me").await.unwrap();
    assert_eq!(
        change.create_schema("s", "me").await.unwrap_err().code(),
        SqlState::DUPLICATE_SCHEMA
    );
    assert_eq!(
        change.create_schema("pg_x", "me").await.unwrap_err().code(),
        SqlState::RESERVED_NAME
    );
    let role = crate::catalog::descriptor::RoleDescriptor::new(0, "app");
    change.create_role(role).await.unwrap();
    change.alter_role("app", |role| role.login = true).await.unwrap();
    change.rename_role("app", "web").await.unwrap();
    assert!(change.snapshot().role("web").unwrap().login);
    assert!(change.snapshot().role("app").is_none());
    change.drop_role("web").await.unwrap();
    assert_eq!(change.drop_role("me").await.unwrap_err().code().as_str(), "2BP01");
    change.drop_schema("s").await.unwrap();
    change.create_schema("s", "me").await.unwrap();
    let oid = change.snapshot().schema("s").unwrap().oid;
    let target = CommentTarget { class: oids::CLASS_SCHEMA, oid, sub_id: 0 };
    change.comment(target, Some("mine")).unwrap();
    assert_eq!(change.snapshot().comment_on(target), Some("mine"));
    change.drop_schema("s").await.unwrap();
    assert_eq!(change.snapshot().comment_on(target), None);
    let overlay = change.finish();
    f.commit(txn, &overlay).await;
    assert!(f.catalog.snapshot().schema("s").is_none());
}
