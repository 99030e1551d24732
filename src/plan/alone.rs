//! What a plan needs of its transaction when it is all of it: a snapshot, locks, or neither. For
//! stores where these are dear.

use super::node::{Op, Plan, PlanNode, StatementKind};
use crate::types::descriptor::TableDescriptor;

impl Plan {
    /// Whether it reads one key of one table and nothing else of the store.
    pub fn reads_one_key(&self) -> bool {
        let other = self.writes
            || self.waits
            || !self.subplans.is_empty()
            || self.columnar.is_some()
            || self.current_of.is_some();
        !other && self.kind == StatementKind::Select && self.root.reads_one_key()
    }

    /// Whether it is one INSERT, UPDATE or DELETE that can be run again as a whole, of tables
    /// whose rows nobody must be kept from referencing meanwhile; `referenced` says of which that
    /// is not so.
    pub fn may_hope(&self, referenced: impl Fn(&TableDescriptor) -> bool) -> bool {
        let other = self.waits || self.columnar.is_some() || self.current_of.is_some();
        !other
            && match &self.root.op {
                Op::Insert(p) => p.conflict.is_none() || !referenced(&p.target.table),
                Op::Update(p) => !referenced(&p.target.table),
                Op::Delete(p) => !referenced(&p.target.table),
                _ => false,
            }
    }

    /// Whether it writes rows that it finds by their keys, or new ones, and reads nothing else of
    /// the store.
    pub fn writes_by_key(&self) -> bool {
        self.subplans.is_empty()
            && match &self.root.op {
                Op::Insert(p) => p.conflict.is_none() && p.source.is_constant(),
                Op::Update(p) => p.found.direct.is_some(),
                Op::Delete(p) => p.found.direct.is_some(),
                _ => false,
            }
    }
}

impl PlanNode {
    fn reads_one_key(&self) -> bool {
        match &self.op {
            Op::Scan(scan) => scan.columnar.is_none() && scan.access.is_one_key(),
            Op::Filter(p) => p.input.reads_one_key(),
            Op::Project(p) => p.input.reads_one_key(),
            _ => false,
        }
    }
    /// Whether its rows come from nothing stored.
    fn is_constant(&self) -> bool {
        match &self.op {
            Op::Values(_) | Op::Function(_) => true,
            Op::Filter(p) => p.input.is_constant(),
            Op::Project(p) => p.input.is_constant(),
            _ => false,
        }
    }
}
