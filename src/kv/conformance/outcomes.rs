//! Commits whose answer is lost, and incarnations that die with a commit on its way.
//!
//! A store that can be hurt comes as a [`Patient`]. A fault strikes at every step of a commit in
//! turn, on a fresh store each; meanwhile somebody looks on. Whatever the caller was told, and
//! whatever the fault left behind: nobody is told what is not so, all or nothing is there and
//! stays, who looked on saw nothing that was taken back, the change log lacks nothing, and the
//! locks come free.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::error::{Error, ErrorKind};

/// Steps after which a commit counts as endless.
const STEPS_MAX: u32 = 200;
/// Trials that run at once.
const AT_ONCE: u32 = 24;
/// How long the next one waits for locks of the dead.
const LOCKS_MS: u64 = 20_000;
/// Rows that are written: in one partition, in two.
type Rows = [u32; 3];
const ONE_PARTITION: Rows = [1, 2, 3];
const TWO_PARTITIONS: Rows = [1, 2, 70_000];
/// A row that is only locked.
const LOCKED: u32 = 9;
/// A row elsewhere that another gateway writes meanwhile, so that time goes on.
const OTHER: u32 = 200_000;

/// What goes wrong at a step of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The step does not happen; whoever does it gets no answer.
    RequestLost,
    /// The step happens; its answer is lost.
    AnswerLost,
    /// The incarnation is gone before the step.
    GoneBefore,
    /// It is gone after the step.
    GoneAfter,
}

/// A store under test, and what can be done to it.
#[async_trait]
pub trait Patient: Send + Sync + 'static {
    /// The incarnation that will be hurt.
    fn store(&self) -> SharedStore;

    /// Who else looks at the same rows meanwhile.
    async fn observer(&self) -> SharedStore;

    /// From now on, a fault strikes at this step, counted from zero. No: the store keeps nothing
    /// beyond the process and answers by returning, so there is nothing to lose.
    fn arm(&self, fault: Fault, step: u32) -> bool;

    /// Whether it has struck; a step that does not come is beyond the commit's end.
    fn struck(&self) -> bool;

    /// Who comes next, over what the incarnation left; itself where it lives on.
    async fn successor(&self) -> SharedStore;
}

/// A look by somebody else, while the commit is on its way.
struct Look {
    at: Timestamp,
    seen: Vec<Option<String>>,
    changes: Vec<(Key, Timestamp)>,
}

/// Every step of a commit loses its request or its answer.
pub async fn lost_answers_make_no_lies<P: Patient, F: Future<Output = P> + Send + 'static>(
    make: fn() -> F,
) {
    for rows in [ONE_PARTITION, TWO_PARTITIONS] {
        at_every_step(make, rows, Fault::RequestLost).await;
        at_every_step(make, rows, Fault::AnswerLost).await;
    }
}

/// The incarnation dies before and after every step of a commit; others seal it, or reopen.
pub async fn who_dies_on_the_way_is_sealed<P: Patient, F: Future<Output = P> + Send + 'static>(
    make: fn() -> F,
) {
    for rows in [ONE_PARTITION, TWO_PARTITIONS] {
        at_every_step(make, rows, Fault::GoneBefore).await;
        at_every_step(make, rows, Fault::GoneAfter).await;
    }
}

async fn at_every_step<P: Patient, F: Future<Output = P> + Send + 'static>(
    make: fn() -> F,
    rows: Rows,
    fault: Fault,
) {
    for first in (0..).step_by(AT_ONCE as usize) {
        assert!(first < STEPS_MAX, "a commit of endless steps");
        let trials =
            (first..first + AT_ONCE).map(|step| tokio::spawn(trial(make(), rows, fault, step)));
        let struck: Vec<bool> = futures::future::join_all(trials)
            .await
            .into_iter()
            .map(|trial| trial.expect("a trial that passes"))
            .collect();
        if struck.contains(&false) {
            return;
        }
    }
}

/// One commit with a fault; whether the fault struck.
async fn trial<P: Patient>(
    patient: impl Future<Output = P>,
    rows: Rows,
    fault: Fault,
    step: u32,
) -> bool {
    let patient = patient.await;
    let what = format!("{fault:?} at step {step}");
    let store = patient.store();
    put(&store, rows.map(|n| (n, Some("old"))).to_vec()).await;
    let observer = patient.observer().await;
    let me = txn();
    lock(&store, me, &[rows[0], LOCKED]).await;
    let armed = patient.arm(fault, step);
    let ended = Arc::new(AtomicBool::new(false));
    // On its own gateway, the next commit is the one that is hurt.
    let apart = !std::ptr::addr_eq(Arc::as_ptr(&observer), Arc::as_ptr(&store));
    let looks = tokio::spawn(look_on(observer, apart, rows, ended.clone()));
    let writes = rows.map(|n| write(key(n), value("new"))).to_vec();
    let answer = store.commit(Commit { txn: me, ..commit(writes) }).await;
    let next = patient.successor().await;
    locks_come_free(&next, rows, &what).await;
    let committed = verdict(&next, rows, &answer, &what).await;
    ended.store(true, Ordering::Relaxed);
    for look in looks.await.expect("looks") {
        check_look(&look, rows, committed, &what);
    }
    // What is there stays, and others go on.
    let ts = put(&next, vec![(rows[0], Some("newer")), (LOCKED, None)]).await;
    assert!(committed.is_none_or(|before| ts > before), "{what}");
    reached(&next, ts).await;
    armed && patient.struck()
}

async fn look_on(
    observer: SharedStore,
    writes: bool,
    rows: Rows,
    ended: Arc<AtomicBool>,
) -> Vec<Look> {
    let mut looks = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        if writes {
            let untracked = Write { tracked: false, ..write(key(OTHER), value("x")) };
            committed(observer.commit(commit(vec![untracked])).await.unwrap());
        }
        if let Some(look) = look(&observer, rows).await {
            looks.push(look);
        }
        settle().await;
    }
    looks
}

/// What is there, and what the log says, up to where nothing more can appear. None: the store is
/// not to be had, or those versions are gone.
async fn look(observer: &SharedStore, rows: Rows) -> Option<Look> {
    let at = observer.resolved().await.ok()?;
    let page = observer.changes(SPACE, &Cursor::default(), 100).await.ok()?;
    let _hold = observer.hold(at).ok()?;
    let found = observer.get_many(&rows.map(key), at).await.ok()?;
    Some(Look { at, seen: found.iter().map(text).collect(), changes: page.keys })
}

fn text(version: &Option<Version>) -> Option<String> {
    let value = version.as_ref()?.value.as_ref()?;
    Some(String::from_utf8_lossy(value).into_owned())
}

async fn locks_come_free(next: &SharedStore, rows: Rows, what: &str) {
    let other = txn();
    let keys = [&rows[..], &[LOCKED]].concat().into_iter().map(key).collect();
    let wait = LockWait::Block { lock_timeout_ms: LOCKS_MS, deadlock_timeout_ms: 0 };
    let request = LockRequest { txn: other, keys, mode: LockMode::Update, wait };
    let locked = next.lock(request).await;
    assert!(locked.is_ok(), "{what}: locks of the dead: {locked:?}");
    next.unlock(other, None).await.unwrap();
}

/// When the commit took effect, if it did: the same wherever one looks, however often.
async fn verdict(
    next: &SharedStore,
    rows: Rows,
    answer: &Result<CommitOutcome, Error>,
    what: &str,
) -> Option<Timestamp> {
    let mut before = None;
    for _ in 0..3 {
        let hold = next.snapshot().await.unwrap();
        let found = next.get_many(&rows.map(key), hold.at).await.unwrap();
        let times: Vec<Timestamp> = found.iter().flatten().map(|v| v.ts).collect();
        let values: Vec<Option<String>> = found.iter().map(text).collect();
        assert!(values.iter().all(|v| *v == values[0]), "{what}: in part: {values:?}");
        assert!(times.iter().all(|ts| *ts == times[0]), "{what}: at several times");
        let new = values[0].as_deref() == Some("new");
        let committed = new.then_some(times[0]);
        assert!(before.is_none_or(|b| b == committed), "{what}: {before:?}, then {committed:?}");
        before = Some(committed);
        match answer {
            Ok(CommitOutcome::Committed(ts)) => {
                assert_eq!(committed, Some(*ts), "{what}: told of a commit");
            }
            Ok(other) => panic!("{what}: nothing was in the way: {other:?}"),
            Err(error) if error.kind() == ErrorKind::Undetermined => {}
            Err(error) => assert_eq!(committed, None, "{what}: told that it failed: {error}"),
        }
        let (logged, _) = changes_after(next, Cursor::default(), 100).await;
        for n in rows.into_iter().filter(|_| new) {
            assert!(logged.contains(&(key(n), times[0])), "{what}: not in the log: {n}");
        }
        for (at, ts) in logged.iter().filter(|(at, _)| rows.map(key).contains(at)) {
            assert!(*ts <= times[0], "{what}: in the log and nowhere else: {at:?} at {ts:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    before.flatten()
}

fn check_look(look: &Look, rows: Rows, committed: Option<Timestamp>, what: &str) {
    let covered = committed.is_some_and(|ts| ts <= look.at);
    let should = if covered { "new" } else { "old" };
    assert!(
        look.seen.iter().all(|v| v.as_deref() == Some(should)),
        "{what}: at {:?}, resolved, were {:?}; committed {committed:?}",
        look.at,
        look.seen
    );
    for n in rows.into_iter().filter(|_| covered) {
        let logged = look.changes.iter().any(|(k, ts)| *k == key(n) && committed == Some(*ts));
        assert!(logged, "{what}: resolved, and {n} not in the log");
    }
}
