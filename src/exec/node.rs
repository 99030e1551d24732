//! Operators at work.
//!
//! A [`Node`] gives its rows in batches and owns all of its state, so that an execution can rest
//! between two batches (a portal does). [`build`] makes the nodes of a plan; it evaluates
//! nothing and costs a few allocations.

use async_trait::async_trait;

use super::aggregate::AggregateNode;
use super::context::{ExecContext, State};
use super::cte::{CteScanNode, RecursiveNode, StatementsNode, WithNode};
use super::distinct::DistinctNode;
use super::dml::nodes::{DeleteNode, InsertNode, LockRowsNode, UpdateNode};
use super::foreign::{ForeignNode, ForeignWriteNode};
use super::function::FunctionNode;
use super::join::{ApplyNode, HashNode, LookupNode, NestedNode};
use super::limit::LimitNode;
use super::profile::Profiled;
use super::scan::{ScanNode, VirtualNode};
use super::setop::SetOpNode;
use super::simple::{FilterNode, ProjectNode, ValuesNode};
use super::sort::SortNode;
use super::window::WindowNode;
use crate::error::Result;
use crate::plan::node::{Op, PlanNode};
use crate::types::Row;

/// Rows handed on at once.
pub type RowBatch = Vec<Row>;

/// An operator at work.
#[async_trait]
pub trait Node: Send {
    /// The next rows: at least one and about `max`; none at the end.
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>>;

    /// Whether it is known already that nothing more comes, so that asking again is of no use.
    fn is_over(&self) -> bool {
        false
    }
}

/// The nodes of a plan.
pub fn build(plan: &PlanNode, state: &mut State) -> Box<dyn Node> {
    let node = build_op(plan, state);
    if state.profile.is_some() {
        return Box::new(Profiled::new(plan.id, node, state));
    }
    node
}

fn build_op(plan: &PlanNode, state: &mut State) -> Box<dyn Node> {
    match &plan.op {
        Op::Values(p) => Box::new(ValuesNode::new(p.clone())),
        Op::Scan(p) => Box::new(ScanNode::new(p.clone())),
        Op::Virtual(p) => Box::new(VirtualNode::new(p.clone())),
        Op::Foreign(p) => Box::new(ForeignNode::new(p.clone())),
        Op::Function(p) => Box::new(FunctionNode::new(p.clone(), state)),
        Op::Filter(p) => Box::new(FilterNode::new(p.clone(), state)),
        Op::Project(p) => Box::new(ProjectNode::new(p.clone(), state)),
        Op::Nested(p) => Box::new(NestedNode::new(p.clone(), state)),
        Op::Apply(p) => Box::new(ApplyNode::new(p.clone(), state)),
        Op::Lookup(p) => Box::new(LookupNode::new(p.clone(), state)),
        Op::Hash(p) => Box::new(HashNode::new(p.clone(), state)),
        Op::Aggregate(p) => Box::new(AggregateNode::new(p.clone(), state)),
        Op::Window(p) => Box::new(WindowNode::new(p.clone(), state)),
        Op::Distinct(p) => Box::new(DistinctNode::new(p.clone(), state)),
        Op::Sort(p) => Box::new(SortNode::new(p.clone(), state)),
        Op::Limit(p) => Box::new(LimitNode::new(p.clone(), state)),
        Op::SetOp(p) => Box::new(SetOpNode::new(p.clone(), state)),
        Op::With(p) => Box::new(WithNode::new(p.clone())),
        Op::Statements(p) => Box::new(StatementsNode::new(p.clone())),
        Op::CteScan(cte) => Box::new(CteScanNode::new(*cte)),
        Op::Recursive(p) => Box::new(RecursiveNode::new(p.clone(), state)),
        Op::LockRows(p) => Box::new(LockRowsNode::new(p.clone(), state)),
        Op::Insert(p) => Box::new(InsertNode::new(p.clone(), state)),
        Op::Update(p) => Box::new(UpdateNode::new(p.clone(), state)),
        Op::Delete(p) => Box::new(DeleteNode::new(p.clone(), state)),
        Op::ForeignWrite(p) => Box::new(ForeignWriteNode::new(p.clone(), state)),
    }
}

/// Rows that are ready, handed on in batches.
#[derive(Default)]
pub struct Ready {
    rows: std::vec::IntoIter<Row>,
}

impl Ready {
    /// Rows to hand on.
    pub fn new(rows: Vec<Row>) -> Ready {
        Ready { rows: rows.into_iter() }
    }

    /// Whether all were handed on.
    pub fn is_empty(&self) -> bool {
        self.rows.as_slice().is_empty()
    }

    /// The next rows, at most `max`; none at the end.
    pub fn take(&mut self, max: usize) -> Option<RowBatch> {
        let batch: RowBatch = self.rows.by_ref().take(max).collect();
        (!batch.is_empty()).then_some(batch)
    }
}
