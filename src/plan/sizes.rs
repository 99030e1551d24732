//! The sizes that a plan was made for. It is used for as long as the tables have about them: a
//! join that is right for a table of a hundred rows takes hours of one that has grown since.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::stats::{ROWS_DEFAULT, ROWS_MIN};
use crate::types::descriptor::TableId;

/// How long nobody looks again.
const LOOK_PAUSE: Duration = Duration::from_secs(2);
/// So many times larger or smaller is another size.
const FAR: f64 = 2.0;

/// What the planner took its tables' sizes to be.
#[derive(Debug, Default)]
pub struct Sizes {
    /// Tables and their rows, where known.
    tables: Vec<(TableId, Option<f64>)>,
    /// When to look again (monotonic, microseconds).
    next_look: AtomicU64,
}

impl Sizes {
    /// Takes note of a table's rows.
    pub(super) fn note(&mut self, table: TableId, rows: Option<f64>) {
        if self.tables.iter().all(|(known, _)| *known != table) {
            self.tables.push((table, rows));
        }
    }

    /// Whether the size of some table was not known.
    pub fn are_guessed(&self) -> bool {
        self.tables.iter().any(|(_, rows)| rows.is_none())
    }

    /// Whether the tables have about these sizes still; `rows` is asked now and then only.
    pub fn hold(&self, now: Duration, rows: impl Fn(TableId) -> Option<f64>) -> bool {
        let now = now.as_micros() as u64;
        if now < self.next_look.load(Ordering::Relaxed) {
            return true;
        }
        let hold = self.tables.iter().all(|(table, then)| {
            let (then, now) = (or_default(*then), rows(*table).map(|rows| or_default(Some(rows))));
            now.is_none_or(|now| now <= then * FAR && then <= now * FAR)
        });
        // Who else has the plan is to learn at once that it is no good any more.
        if hold && !self.are_guessed() {
            self.next_look.store(now + LOOK_PAUSE.as_micros() as u64, Ordering::Relaxed);
        }
        hold
    }
}

/// What the planner takes a table to have.
pub(super) fn or_default(rows: Option<f64>) -> f64 {
    rows.map_or(ROWS_DEFAULT, |rows| rows.max(ROWS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(rows: Option<f64>) -> Sizes {
        let mut sizes = Sizes::default();
        sizes.note(TableId(1), rows);
        sizes
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_table_that_grew_or_shrank_far_needs_another_plan() {
        let is_far = |then, now| !sizes(then).hold(at(1), |_| now);
        assert!(!is_far(Some(1000.0), Some(1900.0)) && is_far(Some(1000.0), Some(2100.0)));
        assert!(!is_far(Some(1000.0), Some(600.0)) && is_far(Some(1000.0), Some(400.0)));
        // Small ones are taken for larger ones, and of what is not known nothing follows.
        assert!(!is_far(Some(0.0), Some(390.0)) && is_far(Some(0.0), Some(410.0)));
        assert!(is_far(None, Some(5000.0)) && !is_far(Some(5000.0), None));
    }

    #[test]
    fn it_looks_now_and_then_and_always_where_it_guessed() {
        let known = sizes(Some(1000.0));
        assert!(known.hold(at(1), |_| Some(1000.0)) && known.hold(at(2), |_| Some(9000.0)));
        assert!(!known.hold(at(4), |_| Some(9000.0)));
        assert!(!known.hold(at(4), |_| Some(9000.0)), "nor for the next who has it");
        let guessed = sizes(None);
        assert!(guessed.are_guessed() && guessed.hold(at(1), |_| None));
        assert!(!guessed.hold(at(1), |_| Some(9000.0)));
    }
}
