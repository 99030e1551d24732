//! Transactions on every store.

mod anomalies;
mod script;
mod statements;

use super::*;

/// The cases as tests on the stores that `$make` makes; see `kv::conformance::suite`.
macro_rules! suite {
    ($make:path) => {
        $crate::txn::tests::suite!(@ $make, anomalies:
            g0 g1a g1b g1c otv pmp pmp_write p4 update_waits_then_goes_on g_single g_single_write
            g2_item g2 g2_read_only serializable_refresh
        );
        $crate::txn::tests::suite!(@ $make, statements:
            own_writes_are_seen_by_later_statements
            a_statement_does_not_see_its_own_writes
            a_suspended_statement_keeps_its_view
            savepoints
            savepoints_give_back_their_locks
            waiting_nowait_skip_and_timeout
            a_deadlock_ends_one
            dropping_gives_everything_back
            too_many_writes_are_refused
            looks_are_demanded_at_commit
            isolation_is_set_before_the_first_statement
            scans_merge_own_writes
            scans_merge_many_own_writes
        );
    };
    (@ $make:path, $file:ident: $($case:ident)*) => {
        mod $file {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (store, _keep) = $make().await;
                    $crate::txn::tests::$file::$case(store).await;
                }
            )*
        }
    };
}
pub(crate) use suite;

mod on_memory {
    use super::*;
    use crate::clock::SystemClock;
    use crate::kv::memory::MemoryStore;

    async fn make() -> (SharedStore, ()) {
        let deadlock_timeout = std::time::Duration::from_millis(100);
        let clock = Arc::new(SystemClock::new());
        (MemoryStore::with_deadlock_timeout(clock, deadlock_timeout), ())
    }

    suite!(make);
}

mod on_embedded {
    use crate::kv::embedded::tests::make;

    suite!(make);
}
