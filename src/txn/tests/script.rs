//! Golden scripts: several transactions step by step, with what each step answers.
//!
//! ```text
//! a: begin rc
//! a: set 1 11 => ok
//! b: set 1 12 => waits
//! a: commit   => ok
//! b:          => ok
//! ```
//!
//! A name before the colon is a session; `=> waits` says that the step does not end yet, and an
//! empty step asks for its answer later. The table holds small numbers under small numbers. A
//! session whose step fails has rolled back.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::super::*;
use crate::kv::{Entry, KeyRange, PageLimit};

/// What is expected of a step that does not end yet.
const WAITS: &str = "waits";
/// After this a step that has not answered waits, where that is expected; a busy machine takes
/// longer for others.
const PATIENCE: Duration = Duration::from_millis(40);
/// A step that should end does so within this.
const LIMIT: Duration = Duration::from_secs(10);
pub const SPACE: SpaceId = SpaceId(300);

/// Runs a script on a store that holds `1 = 10` and `2 = 20`.
pub async fn run(store: SharedStore, script: &str) {
    let manager = TxnManager::new(store, Arc::new(crate::clock::SystemClock::new()));
    let mut setup = manager.begin(TxnOptions::default());
    for n in [1, 2] {
        setup.put(key(n), value(n * 10), true).unwrap();
    }
    setup.commit().await.unwrap();
    let mut sessions: HashMap<&str, Actor> = HashMap::new();
    for (number, line) in script.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, step) = line.split_once(':').expect("a session's name");
        let (step, expected) = step.split_once("=>").unwrap_or((step, "ok"));
        let actor = sessions.entry(name).or_insert_with(|| Actor::start(manager.clone()));
        let patience = if expected.trim() == WAITS { PATIENCE } else { LIMIT };
        let answer = actor.step(step.trim(), patience).await;
        assert_eq!(answer, expected.trim(), "line {}: {line}", number + 1);
    }
}

pub fn key(n: i64) -> Key {
    Key::new(SPACE, &(n as u32).to_be_bytes(), 4)
}

pub fn value(n: i64) -> Bytes {
    Bytes::copy_from_slice(n.to_string().as_bytes())
}

fn number(value: &Bytes) -> i64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

struct Actor {
    steps: mpsc::UnboundedSender<(String, oneshot::Sender<String>)>,
    pending: Option<oneshot::Receiver<String>>,
}

impl Actor {
    fn start(manager: TxnManager) -> Actor {
        let (steps, mut todo) = mpsc::unbounded_channel::<(String, oneshot::Sender<String>)>();
        tokio::spawn(async move {
            let mut session = Session { manager, txn: None, savepoints: Vec::new() };
            while let Some((step, answer)) = todo.recv().await {
                let result = match session.step(&step).await {
                    Ok(result) => result,
                    Err(error) => {
                        session.txn = None;
                        error.code().to_string()
                    }
                };
                let _ = answer.send(result);
            }
        });
        Actor { steps, pending: None }
    }

    /// The answer to a step, or that it waits, as it gave none in time.
    async fn step(&mut self, step: &str, patience: Duration) -> String {
        if let Some(pending) = self.pending.take() {
            assert_eq!(step, "", "the session still waits");
            return tokio::time::timeout(LIMIT, pending).await.expect("still waits").unwrap();
        }
        let (answer, mut receiver) = oneshot::channel();
        self.steps.send((step.to_owned(), answer)).unwrap();
        match tokio::time::timeout(patience, &mut receiver).await {
            Ok(answer) => answer.unwrap(),
            Err(_) => {
                self.pending = Some(receiver);
                WAITS.to_owned()
            }
        }
    }
}

struct Session {
    manager: TxnManager,
    txn: Option<Txn>,
    savepoints: Vec<SavepointId>,
}

impl Session {
    async fn step(&mut self, step: &str) -> Result<String> {
        let words: Vec<&str> = step.split_whitespace().collect();
        let n = |i: usize| words[i].parse::<i64>().unwrap();
        let ok = || Ok("ok".to_owned());
        if words[0] == "begin" {
            let isolation = match words[1] {
                "rc" => Isolation::ReadCommitted,
                "rr" => Isolation::RepeatableRead,
                _ => Isolation::Serializable,
            };
            let options = TxnOptions { isolation, ..TxnOptions::default() };
            self.txn = Some(self.manager.begin(options));
            self.savepoints.clear();
            return ok();
        }
        match words[0] {
            "commit" => {
                self.txn.take().expect("open").commit().await?;
                return ok();
            }
            "rollback" => {
                self.txn.take().expect("open").rollback().await?;
                return ok();
            }
            _ => {}
        }
        let txn = self.txn.as_mut().expect("open");
        match words[0] {
            "save" => self.savepoints.push(txn.savepoint()),
            "back" => txn.rollback_to(*self.savepoints.last().unwrap()).await?,
            "release" => txn.release(self.savepoints.pop().unwrap()),
            _ => {
                txn.begin_statement().await?;
                return match words[0] {
                    "get" => {
                        let found = txn.get(&key(n(1))).await?;
                        Ok(found.map_or("none".to_owned(), |v| number(&v.value).to_string()))
                    }
                    "scan" => Ok(show(scan(txn, false).await?)),
                    "back-scan" => Ok(show(scan(txn, true).await?)),
                    "mod" => {
                        let rows = scan(txn, false).await?.into_iter();
                        Ok(show(rows.filter(|(_, v)| v % n(1) == 0).collect()))
                    }
                    "set" => update(txn, n(1), |_| Some(n(2))).await,
                    "add" => update(txn, n(1), |old| Some(old + n(2))).await,
                    "del" => update(txn, n(1), |_| None).await,
                    "add-all" => update_all(txn, None, |old| Some(old + n(1))).await,
                    "del-where" => update_all(txn, Some(n(1)), |_| None).await,
                    "insert" => insert(txn, n(1), n(2)).await,
                    "lock" => {
                        let mode = match words[2] {
                            "key-share" => LockMode::KeyShare,
                            "share" => LockMode::Share,
                            "no-key" => LockMode::NoKeyUpdate,
                            _ => LockMode::Update,
                        };
                        let wait = match words.get(3) {
                            Some(&"nowait") => LockWait::NoWait,
                            Some(&"skip") => LockWait::SkipLocked,
                            Some(ms) => {
                                txn.set_lock_timeouts(ms.parse().unwrap(), 0);
                                txn.block()
                            }
                            None => txn.block(),
                        };
                        let locked = txn.lock(&[key(n(1))], mode, wait).await?;
                        Ok(if locked[0].is_some() { "ok" } else { "skipped" }.to_owned())
                    }
                    other => panic!("no step {other}"),
                };
            }
        }
        ok()
    }
}

/// All rows, in pages of two.
async fn scan(txn: &mut Txn, reverse: bool) -> Result<Vec<(i64, i64)>> {
    let limit = PageLimit { rows_max: 2, bytes_max: 1000 };
    let (mut rows, mut from) = (Vec::new(), None);
    loop {
        let page = txn.scan(&KeyRange::all(SPACE), reverse, limit, from).await?;
        let row = |e: &Entry| {
            (i64::from(u32::from_be_bytes(e.key.tail().try_into().unwrap())), number(&e.value))
        };
        rows.extend(page.entries.iter().map(row));
        from = page.next;
        if from.is_none() {
            return Ok(rows);
        }
    }
}

fn show(rows: Vec<(i64, i64)>) -> String {
    let rows: Vec<String> = rows.iter().map(|(k, v)| format!("{k}={v}")).collect();
    rows.join(" ")
}

/// `UPDATE … WHERE k = n`, or a deletion, as the executor does it: find, lock, look again, write.
async fn update(txn: &mut Txn, n: i64, new: impl Fn(i64) -> Option<i64>) -> Result<String> {
    if txn.get(&key(n)).await?.is_none() {
        return Ok("no row".to_owned());
    }
    let wait = txn.block();
    let locked = txn.lock(&[key(n)], LockMode::NoKeyUpdate, wait).await?;
    let current = match txn.own(&key(n)) {
        Some(own) => own,
        None => locked[0].as_ref().and_then(|l| l.current.clone()).and_then(|v| v.value),
    };
    let Some(current) = current else { return Ok("no row".to_owned()) };
    match new(number(&current)) {
        Some(new) => txn.put(key(n), value(new), true)?,
        None => txn.delete(key(n), true)?,
    }
    Ok("ok".to_owned())
}

/// The same for every row, or every row with that value; how many were changed.
async fn update_all(
    txn: &mut Txn,
    filter: Option<i64>,
    new: impl Fn(i64) -> Option<i64>,
) -> Result<String> {
    let mut count = 0;
    for (n, old) in scan(txn, false).await? {
        if filter.is_some_and(|f| f != old) {
            continue;
        }
        let wait = txn.block();
        let locked = txn.lock(&[key(n)], LockMode::Update, wait).await?;
        let current = match txn.own(&key(n)) {
            Some(own) => own,
            None => locked[0].as_ref().and_then(|l| l.current.clone()).and_then(|v| v.value),
        };
        let Some(current) = current.map(|v| number(&v)) else { continue };
        if filter.is_some_and(|f| f != current) {
            continue;
        }
        match new(current) {
            Some(new) => txn.put(key(n), value(new), true)?,
            None => txn.delete(key(n), true)?,
        }
        count += 1;
    }
    Ok(count.to_string())
}

async fn insert(txn: &mut Txn, n: i64, new: i64) -> Result<String> {
    let wait = txn.block();
    let locked = txn.lock_newest(&[key(n)], LockMode::Update, wait).await?;
    let current = match txn.own(&key(n)) {
        Some(own) => own,
        None => locked[0].as_ref().and_then(|l| l.current.clone()).and_then(|v| v.value),
    };
    if current.is_some() {
        return Err(Error::new(SqlState::UNIQUE_VIOLATION, "duplicate key"));
    }
    txn.put(key(n), value(new), true)?;
    Ok("ok".to_owned())
}
