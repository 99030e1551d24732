//! Subqueries as values: run by need, remembered by the values they take from outside.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use super::context::ExecContext;
use super::memory::{Reservation, row_bytes};
use super::node::build;
use crate::error::{Error, Result, SqlState};
use crate::functions::{compare, hash_datum};
use crate::plan::scalar::{ResultKind, RowSet, SubqueryRequest, Subresult, Subresults, identity};
use crate::types::{Array, Datum, Row};

/// Results that are remembered, at most; beyond it all are forgotten.
const RESULTS_MAX: usize = 100_000;

/// Results of subqueries by subplan and frame.
#[derive(Default)]
pub struct Results {
    known: HashMap<(usize, Vec<u8>), Subresult>,
    volatile: Vec<(usize, Vec<u8>)>,
}

fn key(subplan: usize, frame: &[Datum]) -> (usize, Vec<u8>) {
    let mut bytes = Vec::new();
    for datum in frame {
        identity(datum, &mut bytes);
    }
    (subplan, bytes)
}

impl Results {
    /// Forgets results that may be others next time.
    pub fn forget_volatile(&mut self) {
        for key in self.volatile.drain(..) {
            self.known.remove(&key);
        }
    }

    /// Forgets what these subplans gave.
    pub fn forget(&mut self, stale: impl Fn(usize) -> bool) {
        self.known.retain(|(subplan, _), _| !stale(*subplan));
    }

    fn put(&mut self, subplan: usize, frame: &[Datum], result: Subresult, volatile: bool) {
        if self.known.len() >= RESULTS_MAX {
            self.known.clear();
        }
        let key = key(subplan, frame);
        if volatile {
            self.volatile.push(key.clone());
        }
        self.known.insert(key, result);
    }
}

impl Subresults for Results {
    fn get(&self, subplan: usize, frame: &[Datum]) -> Option<Subresult> {
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&key(subplan, frame)).cloned()
    }
}

impl ExecContext<'_> {
    /// Runs a subquery that an evaluation stopped for.
    pub(super) async fn run_subquery(&mut self, request: SubqueryRequest) -> Result<()> {
        let most = match request.kind {
            ResultKind::Exists => 1,
            ResultKind::Scalar => 2,
            ResultKind::Array(_) | ResultKind::Rows => usize::MAX,
        };
        let rows = self.run_subplan(request.subplan, request.frame.clone(), most).await?;
        let result = match request.kind {
            ResultKind::Exists => Subresult::Value(Datum::Bool(!rows.is_empty())),
            ResultKind::Scalar => Subresult::Value(single(rows)?),
            ResultKind::Array(element) => {
                let values = rows.into_iter().filter_map(|r| r.into_iter().next()).collect();
                let array = Array { element, lower_bound: 1, values };
                Subresult::Value(Datum::Array(Arc::new(array)))
            }
            ResultKind::Rows => {
                let mut memory = self.state.memory.reserve();
                memory.grow(rows.iter().map(|r| row_bytes(r)).sum())?;
                Subresult::Rows(Arc::new(HashedRows::new(rows, memory)))
            }
        };
        // Without outer columns it runs once, whatever it calls, as PostgreSQL's InitPlan.
        let volatile = !request.frame.is_empty() && self.plan()?.subplans[request.subplan].volatile;
        self.state.results.put(request.subplan, &request.frame, result, volatile);
        Ok(())
    }

    /// The rows of a subplan under a frame; stops once it has `most`.
    pub(super) async fn run_subplan(
        &mut self,
        subplan: usize,
        frame: Vec<Datum>,
        most: usize,
    ) -> Result<Vec<Row>> {
        let plan = self.plan()?;
        let mut root = build(&plan.subplans[subplan].root, &mut self.state);
        let outer = std::mem::replace(&mut self.state.frame, frame);
        let mut rows = Vec::new();
        let mut outcome = Ok(());
        while rows.len() < most {
            if let Err(e) = self.spend(1).await {
                outcome = Err(e);
                break;
            }
            match root.next(self, most.min(super::BATCH_ROWS_MAX)).await {
                Ok(Some(batch)) if rows.is_empty() => rows = batch,
                Ok(Some(batch)) => rows.extend(batch),
                Ok(None) => break,
                Err(e) => {
                    outcome = Err(e);
                    break;
                }
            }
        }
        self.state.frame = outer;
        outcome?;
        Ok(rows)
    }
}

fn single(rows: Vec<Row>) -> Result<Datum> {
    if rows.len() > 1 {
        return Err(Error::new(
            SqlState::CARDINALITY_VIOLATION,
            "more than one row returned by a subquery used as an expression",
        ));
    }
    Ok(rows.into_iter().next().and_then(|r| r.into_iter().next()).unwrap_or(Datum::Null))
}

/// Rows with a hash table over those without NULLs.
struct HashedRows {
    rows: Vec<Row>,
    places: HashMap<u64, Vec<usize>>,
    nulls: bool,
    _memory: Reservation,
}

fn hash_row(row: &[Datum]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for datum in row {
        hash_datum(datum, &mut hasher);
    }
    hasher.finish()
}

impl HashedRows {
    fn new(rows: Vec<Row>, memory: Reservation) -> HashedRows {
        let mut places: HashMap<u64, Vec<usize>> = HashMap::with_capacity(rows.len());
        let mut nulls = false;
        for (at, row) in rows.iter().enumerate() {
            if row.iter().any(Datum::is_null) {
                nulls = true;
            } else {
                places.entry(hash_row(row)).or_default().push(at);
            }
        }
        HashedRows { rows, places, nulls, _memory: memory }
    }
}

impl RowSet for HashedRows {
    fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn find(&self, left: &[Datum]) -> (bool, bool) {
        let equal =
            |at: &usize| self.rows[*at].iter().zip(left).all(|(a, b)| compare(a, b).is_eq());
        let found = self.places.get(&hash_row(left)).is_some_and(|places| places.iter().any(equal));
        (found, self.nulls)
    }
}
