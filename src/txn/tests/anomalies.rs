//! One script for each anomaly of Hermitage (Kleppmann, github.com/ept/hermitage) and level.
//!
//! What READ COMMITTED and REPEATABLE READ answer is what PostgreSQL answers there; SERIALIZABLE
//! refuses the same histories, though not always at the same step.

use super::script::run;
use super::*;

/// G0, dirty write: the second writer waits, and then both its rows stand.
pub async fn g0(store: SharedStore) {
    let script = "
        a: begin rc
        b: begin rc
        a: set 1 11
        b: set 1 12 => waits
        a: set 2 21
        a: commit
        b: => ok
        a: begin rc
        a: scan => 1=11 2=21
        b: set 2 22
        b: commit
        a: scan => 1=12 2=22
    ";
    run(store, script).await;
}

/// G1a, aborted read: nobody sees what is rolled back.
pub async fn g1a(store: SharedStore) {
    let script = "
        a: begin rc
        b: begin rc
        a: set 1 101
        b: scan => 1=10 2=20
        a: rollback
        b: scan => 1=10 2=20
        b: commit
    ";
    run(store, script).await;
}

/// G1b, intermediate read: nobody sees a value that is not the last one.
pub async fn g1b(store: SharedStore) {
    let script = "
        a: begin rc
        b: begin rc
        a: set 1 101
        b: scan => 1=10 2=20
        a: set 1 11
        a: commit
        b: scan => 1=11 2=20
        b: commit
    ";
    run(store, script).await;
}

/// G1c, circular information flow: neither sees the other.
pub async fn g1c(store: SharedStore) {
    let script = "
        a: begin rc
        b: begin rc
        a: set 1 11
        b: set 2 22
        a: get 2 => 20
        b: get 1 => 10
        a: commit
        b: commit
        a: begin rc
        a: scan => 1=11 2=22
    ";
    run(store, script).await;
}

/// OTV, observed transaction vanishes: once seen, a transaction stays seen.
pub async fn otv(store: SharedStore) {
    let script = "
        a: begin rc
        b: begin rc
        c: begin rc
        a: set 1 11
        a: set 2 19
        b: set 1 12 => waits
        a: commit
        b: => ok
        c: get 1 => 11
        b: set 2 18
        c: get 2 => 19
        b: commit
        c: get 2 => 18
        c: get 1 => 12
        c: commit
    ";
    run(store, script).await;
}

/// PMP, predicate-many-preceders: READ COMMITTED sees the phantom, a snapshot does not.
pub async fn pmp(store: SharedStore) {
    for (level, after) in [("rc", "3=30"), ("rr", ""), ("se", "")] {
        let script = format!(
            "
            a: begin {level}
            b: begin {level}
            a: mod 30 =>
            b: insert 3 30
            b: commit
            a: mod 3 => {after}
            a: commit
            c: begin rc
            c: del 3
            c: commit
            "
        );
        run(store.clone(), &script).await;
    }
}

/// PMP for a predicate of a write: READ COMMITTED looks again at the row it waited for.
pub async fn pmp_write(store: SharedStore) {
    for (level, after) in [("rc", "0"), ("rr", "40001"), ("se", "40001")] {
        let script = format!(
            "
            a: begin {level}
            b: begin {level}
            a: add-all 10 => 2
            b: del-where 20 => waits
            a: commit
            b: => {after}
            c: begin rc
            c: scan => 1=20 2=30
            "
        );
        run(store.clone(), &script).await;
    }
}

/// P4, lost update: READ COMMITTED loses it if the client computes, the others do not.
pub async fn p4(store: SharedStore) {
    for (level, after) in [("rc", "ok"), ("rr", "40001"), ("se", "40001")] {
        let script = format!(
            "
            a: begin {level}
            b: begin {level}
            a: get 1 => 10
            b: get 1 => 10
            a: set 1 11
            b: set 1 11 => waits
            a: commit
            b: => {after}
            "
        );
        run(store.clone(), &script).await;
    }
}

/// An update that computes from the row itself loses nothing at READ COMMITTED: it waits, then
/// goes on with the newest row.
pub async fn update_waits_then_goes_on(store: SharedStore) {
    let script = "
        a: begin rc
        b: begin rc
        c: begin rc
        a: add 1 5
        b: add 1 7 => waits
        c: add 1 11 => waits
        a: commit
        b: => ok
        b: commit
        c: => ok
        c: commit
        a: begin rc
        a: get 1 => 33
        a: del 1
        b: begin rc
        b: add 1 1 => waits
        a: commit
        b: => no row
    ";
    run(store, script).await;
}

/// G-single, read skew: only READ COMMITTED has it.
pub async fn g_single(store: SharedStore) {
    for (level, second) in [("rc", "18"), ("rr", "20"), ("se", "20")] {
        let script = format!(
            "
            a: begin {level}
            b: begin {level}
            a: get 1 => 10
            b: get 1 => 10
            b: get 2 => 20
            b: set 1 12
            b: set 2 18
            b: commit
            a: get 2 => {second}
            a: commit
            "
        );
        run(store.clone(), &script).await;
    }
}

/// G-single with a write that depends on a predicate.
pub async fn g_single_write(store: SharedStore) {
    for (level, second) in [("rc", "0"), ("rr", "40001"), ("se", "40001")] {
        let script = format!(
            "
            a: begin {level}
            b: begin {level}
            a: get 1 => 10
            b: scan => 1=10 2=20
            b: set 1 12
            b: set 2 18
            b: commit
            a: del-where 20 => {second}
            "
        );
        run(store.clone(), &script).await;
    }
}

/// G2-item, write skew on rows: only SERIALIZABLE refuses it.
pub async fn g2_item(store: SharedStore) {
    for (level, second) in [("rc", "ok"), ("rr", "ok"), ("se", "40001")] {
        let script = format!(
            "
            a: begin {level}
            b: begin {level}
            a: get 1 => 10
            a: get 2 => 20
            b: get 1 => 10
            b: get 2 => 20
            a: set 1 11
            b: set 2 21
            a: commit
            b: commit => {second}
            "
        );
        run(store.clone(), &script).await;
    }
}

/// G2, write skew on predicates: only SERIALIZABLE refuses it.
pub async fn g2(store: SharedStore) {
    for (level, second) in [("rc", "ok"), ("rr", "ok"), ("se", "40001")] {
        let script = format!(
            "
            a: begin {level}
            b: begin {level}
            a: mod 3 =>
            b: mod 3 =>
            a: insert 3 30
            b: insert 4 42
            a: commit
            b: commit => {second}
            c: begin rc
            c: del 3
            c: del-where 42 => {}
            c: commit
            ",
            if second == "ok" { 1 } else { 0 }
        );
        run(store.clone(), &script).await;
    }
}

/// Fekete's three-transaction anomaly: a reader that sees only the later of two writers.
///
/// PostgreSQL refuses the writer that would close the cycle; here the first committer wins, and
/// the second's reads have changed.
pub async fn g2_read_only(store: SharedStore) {
    let script = "
        a: begin se
        a: scan => 1=10 2=20
        b: begin se
        b: add 2 5
        b: commit
        c: begin se
        c: scan => 1=10 2=25
        c: commit
        a: set 1 0
        a: commit => 40001
    ";
    run(store, script).await;
}

/// A SERIALIZABLE transaction that only updates a hot row never fails: its snapshot moves up.
pub async fn serializable_refresh(store: SharedStore) {
    let script = "
        a: begin se
        b: begin se
        a: get 2 => 20
        b: get 2 => 20
        a: lock 1 update
        b: lock 1 update => waits
        a: set 1 11
        a: commit
        b: => ok
        b: get 1 => 11
        b: add 1 1
        b: commit
        c: begin rc
        c: scan => 1=12 2=20
    ";
    run(store, script).await;
}
