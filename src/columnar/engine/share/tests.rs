use std::collections::BTreeSet;
use std::path::PathBuf;

use tempfile::TempDir;

use super::super::tests::{columnar_rows, engine_by, expected_rows, snapshot};
use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::columnar::fixture::{Table, every_type};
use crate::columnar::shared::ViewStore;
use crate::types::SqlType;

/// Folders of two gateways and of what they share.
struct Place {
    dir: TempDir,
    store: Arc<ViewStore>,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let store = ViewStore::open(&format!("file://{}/shared", dir.path().display()), "app-1f");
        // Generations stay while another gateway copies them.
        let store = store.unwrap().keeping(Duration::from_secs(20), Duration::ZERO);
        Place { dir, store: Arc::new(store) }
    }

    /// A gateway whose background looks once, when it begins.
    fn gateway(&self, name: &str, table: &Table) -> Arc<Engine> {
        // Real time: another's patience runs out.
        let clock = Arc::new(SystemClock::new());
        let engine = engine_by(clock, table, &self.dir.path().join(name), |options| {
            options.shared = Some(self.store.clone());
            options.claim_patience = Duration::from_millis(200);
            options.shared_interval = Duration::ZERO;
        });
        engine.enable(&table.descriptor).unwrap();
        engine
    }

    /// Names of the table's objects, without the manifests.
    fn objects(&self) -> BTreeSet<String> {
        files_in(&self.folder())
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("shared/app-1f/16400-1")
    }
}

fn generation(engine: &Engine, table: &Table) -> u64 {
    engine.status(table.descriptor.id).unwrap().generation
}

async fn check(engine: &Engine, table: &Table) {
    let hold = snapshot(table).await;
    let shown = columnar_rows(engine, table, &hold, &[]).await.unwrap();
    // Not all of them: there are many.
    let expected = expected_rows(table, &hold, &[]);
    let differs = shown.iter().zip(&expected).find(|(shown, expected)| shown != expected);
    assert_eq!((shown.len(), differs), (expected.len(), None));
}

#[tokio::test]
async fn what_one_gateway_made_all_take() {
    let place = Place::new();
    let mut table = Table::new(&every_type(), 1, 21);
    let (a, b) = (place.gateway("a", &table), place.gateway("b", &table));
    let id = table.descriptor.id;
    table.churn(900, 1000, 10).await;
    a.refresh(id).await.unwrap();
    let built = a.status(id).unwrap();
    // Nothing changed since, so it is as new as b's own would be.
    b.refresh(id).await.unwrap();
    let taken = b.status(id).unwrap();
    assert_eq!(
        (taken.generation, taken.at, taken.files),
        (built.generation, built.at, built.files)
    );
    let mut made = built.generation;
    for step in 0..4 {
        let before = made;
        table.churn(30, 1000, 30).await;
        check(&a, &table).await;
        check(&b, &table).await;
        let (one, other) = if step % 2 == 0 { (&a, &b) } else { (&b, &a) };
        one.refresh(id).await.unwrap();
        made += 1;
        assert_eq!(generation(one, &table), made);
        assert!(!place.folder().join("claim").exists(), "a claim outlived its build");
        assert!(generation(other, &table) <= before);
        check(one, &table).await;
    }
    // The last to build was b; a is told by the shared folder.
    let entry = a.entry(id).unwrap();
    assert!(a.is_newer_shared(&entry).await.unwrap());
    a.refresh(id).await.unwrap();
    check(&a, &table).await;
    // A gateway that is new takes it as it is.
    let c = place.gateway("c", &table);
    c.refresh(id).await.unwrap();
    assert!(generation(&c, &table) >= generation(&a, &table));
    check(&c, &table).await;
    // What is there for readers of Iceberg is the newest, with no metadata of long ago.
    let metadata = files_in(&place.folder().join("metadata"));
    let newest = generation(&c, &table);
    let hint = std::fs::read_to_string(place.folder().join("metadata/version-hint.text"));
    assert_eq!(hint.unwrap(), newest.to_string());
    assert!(metadata.contains(&format!("v{newest}.metadata.json")), "{metadata:?}");
    assert!(metadata.iter().all(|name| !name.starts_with("v1.")), "{metadata:?}");
    let said = c.status(id).unwrap().iceberg.unwrap();
    assert!(said.ends_with(&format!("/16400-1/metadata/v{newest}.metadata.json")), "{said}");
}

/// Names of a folder's files.
fn files_in(folder: &std::path::Path) -> BTreeSet<String> {
    let listed = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = listed.filter(|entry| entry.path().is_file());
    files.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn builders_at_once_make_one_line_of_generations() {
    let place = Place::new();
    let mut table = Table::new(&[SqlType::INT4, SqlType::TEXT], 1, 22);
    let (a, b) = (place.gateway("a", &table), place.gateway("b", &table));
    let id = table.descriptor.id;
    for round in 0..3 {
        table.churn(60, 1000, 20).await;
        let (one, other) = tokio::join!(a.refresh(id), b.refresh(id));
        one.unwrap();
        other.unwrap();
        check(&a, &table).await;
        check(&b, &table).await;
        let newest = place.store.table(id, 1).newest_number().await.unwrap().unwrap();
        // And one by the background of each at its start.
        assert!(newest <= 2 * (round + 2), "{newest} generations after {round} rounds");
    }
    // Without a claim in the way both build, and one of the drafts goes.
    table.churn(10, 1000, 20).await;
    let build = async |engine: &Arc<Engine>| {
        let shared = place.store.table(id, 1);
        let entry = engine.entry(id).unwrap();
        let found = engine.take_newest(&entry, &shared).await.unwrap();
        engine.build_shared(&entry, &shared, found, 1).await.unwrap()
    };
    a.refresh(id).await.unwrap();
    b.refresh(id).await.unwrap();
    table.churn(10, 1000, 20).await;
    let shared = place.store.table(id, 1);
    let entry = b.entry(id).unwrap();
    let stale = b.take_newest(&entry, &shared).await.unwrap();
    assert!(build(&a).await);
    assert!(!b.build_shared(&entry, &shared, stale, 1).await.unwrap());
    check(&b, &table).await;
    b.refresh(id).await.unwrap();
    assert_eq!(generation(&a, &table), generation(&b, &table));
    check(&b, &table).await;
}

#[tokio::test]
async fn damage_and_builders_that_died_hold_nobody_up() {
    let place = Place::new();
    let mut table = Table::new(&[SqlType::INT4, SqlType::TEXT], 1, 23);
    table.churn(300, 1000, 0).await;
    let id = table.descriptor.id;
    let shared = place.store.table(id, 1);
    // Somebody claimed it and is gone.
    assert_eq!(shared.claim(&"dead 1".into(), None).await.unwrap(), Claim::Ours);
    let mut options = super::super::EngineOptions::new(place.dir.path().join("a"));
    options.shared = Some(place.store.clone());
    options.claim_patience = Duration::from_millis(150);
    options.check_interval = Duration::from_secs(3600);
    let clock = Arc::new(SystemClock::new());
    let a = Engine::start(table.store.clone(), clock, options).unwrap();
    a.enable(&table.descriptor).unwrap();
    a.refresh(id).await.unwrap();
    check(&a, &table).await;
    // The newest manifest is damaged: the next generation is made.
    let b = place.gateway("b", &table);
    let newest = generation(&a, &table);
    let manifest = place.folder().join(format!("manifest/{newest:020}.json"));
    let mut bytes = std::fs::read(&manifest).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&manifest, bytes).unwrap();
    b.refresh(id).await.unwrap();
    let mut expected = generation(&b, &table);
    assert!(expected > generation(&a, &table));
    check(&b, &table).await;
    // A file of it is gone, and then one is damaged.
    for damage in [true, false] {
        for name in place.objects().into_iter().filter(|name| name.ends_with(".index")) {
            match damage {
                true => std::fs::remove_file(place.folder().join(name)).unwrap(),
                false => std::fs::write(place.folder().join(name), "no index").unwrap(),
            }
        }
        let c = place.gateway(if damage { "c" } else { "d" }, &table);
        c.refresh(id).await.unwrap();
        assert!(generation(&c, &table) > expected);
        expected = generation(&c, &table);
        check(&c, &table).await;
    }
    // Nobody keeps what nobody names.
    std::fs::write(place.folder().join("0000000099.parquet"), "orphan").unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    table.churn(5, 1000, 0).await;
    b.refresh(id).await.unwrap();
    shared.clean().await.unwrap();
    assert!(!place.objects().contains("0000000099.parquet"));
    check(&b, &table).await;
    // Folders of tables that are gone are swept.
    let gone = place.store.table(crate::types::descriptor::TableId(7), 1);
    assert_eq!(gone.claim(&"x".into(), None).await.unwrap(), Claim::Ours);
    let known = [shared.name.clone()].into();
    place.store.sweep(&known, SystemClock::new().wall_micros() + 1_000_000).await.unwrap();
    assert!(!place.dir.path().join("shared/app-1f/7-1/claim").exists());
    assert!(!place.objects().is_empty());
}
