mod append;
mod bank;
mod departed;
mod harness;
mod history;
mod locking;
mod model;
mod model_implicit;
mod newest;
mod patient;
mod schedules;
mod silence;
mod tables;

use std::time::Duration;

use super::env::Tokio;
use super::sim::cluster::{Cluster, Connection, Faults};
use super::*;
use crate::clock::SystemClock;
use crate::error::SqlState;

fn options() -> LwtOptions {
    LwtOptions {
        deadlock_timeout: Duration::from_millis(50),
        log_kept: Duration::ZERO,
        record_kept: Duration::ZERO,
        ..LwtOptions::default()
    }
}

/// A gateway on a cluster of three simulated replicas, in real time.
async fn open(faults: Faults) -> SharedStore {
    let env: Arc<dyn Environment> = Arc::new(Tokio(Arc::new(SystemClock::new())));
    let cluster = Cluster::new(env.clone(), faults);
    let store = LwtStore::open(Connection::new(&cluster, env.clone()), env, options()).await;
    store.unwrap()
}

mod without_faults {
    use super::*;

    async fn make() -> (SharedStore, ()) {
        (open(Faults::none()).await, ())
    }

    crate::kv::conformance::suite!(make);
}

/// The same, where no two rows share a partition.
mod over_many_partitions {
    use super::*;
    use crate::kv::conformance::spread::Spread;

    async fn make() -> (SharedStore, ()) {
        (Spread::over(open(Faults::none()).await), ())
    }

    crate::kv::conformance::suite!(make);
}

/// The same on spaces that have Accord, where a commit over a few partitions is one transaction.
mod with_accord {
    use super::*;
    use crate::kv::conformance::spread::Spread;

    async fn make() -> (SharedStore, ()) {
        let env: Arc<dyn Environment> = Arc::new(Tokio(Arc::new(SystemClock::new())));
        let cluster = Cluster::with_accord(env.clone(), Faults::none());
        let connection = Connection::new(&cluster, env.clone());
        (Spread::over(LwtStore::open(connection, env, options()).await.unwrap()), ())
    }

    crate::kv::conformance::suite!(make);
}

/// The same, with slow and lost messages.
mod with_benign_faults {
    use super::*;
    use crate::kv::conformance::spread::Spread;

    async fn make() -> (SharedStore, ()) {
        (open(Faults::benign()).await, ())
    }

    crate::kv::conformance::suite!(make);

    mod over_many_partitions {
        use super::*;

        async fn make() -> (SharedStore, ()) {
            (Spread::over(open(Faults::benign()).await), ())
        }

        // Those without thousands of batches, which would take minutes in real time.
        crate::kv::conformance::suite!(@ make, reads:
            a_snapshot_sees_what_was_committed_before_it
            deletions_hide_and_history_stays
            newest_reads_follow_commits
            get_many_answers_in_order
        );
        crate::kv::conformance::suite!(@ make, commits:
            expectations_are_checked
            point_reads_are_validated
            ranges_are_validated
            a_refused_commit_writes_nothing_and_unlocks
            a_commit_without_writes_only_validates
        );
        crate::kv::conformance::suite!(@ make, locks:
            a_waiter_gets_the_newest_version
            commits_and_abandoning_release
            nowait_skip_and_timeout
            cancelled_waits_leave_nothing
            partial_unlock
            deadlocks_end
        );
        crate::kv::conformance::suite!(@ make, changes:
            tracked_writes_are_reported
            trimmed_changes_are_refused
            resolved_rises
        );
    }
}
