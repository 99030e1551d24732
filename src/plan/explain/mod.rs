//! EXPLAIN's text, in PostgreSQL's words.
//!
//! Projections are not shown, as PostgreSQL shows none; a filter's line stands under the node it
//! filters. With figures of a run ([`NodeFigures`]) each node says its real rows, loops and time,
//! and what it asked of the store.

pub mod deparse;

pub use deparse::Names;

use super::access::Access;
use super::foreign::ForeignPlan;
use super::foreign::write::ForeignWrite;
use super::node::{LookupSide, Op, Plan, PlanNode, ScanPlan};
use super::route::Path;
use crate::sql::bound::{JoinKind, SetOp};

/// What EXPLAIN is asked to show.
#[derive(Clone, Copy, Debug)]
pub struct ExplainOptions {
    /// COSTS
    pub costs: bool,
    /// TIMING (with ANALYZE)
    pub timing: bool,
    /// VERBOSE: the path of each access, too.
    pub verbose: bool,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        ExplainOptions { costs: true, timing: true, verbose: false }
    }
}

/// What a node really did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeFigures {
    /// Rows given, over all loops.
    pub rows: u64,
    /// How often it was started.
    pub loops: u64,
    /// Microseconds until the first row of the first loop.
    pub first_micros: u64,
    /// Microseconds in all, inputs included.
    pub micros: u64,
    /// Keys got from the store, inputs included.
    pub gets: u64,
    /// Rows that scans read, inputs included.
    pub scanned: u64,
    /// Requests to the store, inputs included.
    pub round_trips: u64,
}

/// The lines of EXPLAIN. `figures` are by node id, where the statement was run.
pub fn explain(plan: &Plan, options: &ExplainOptions, figures: &[NodeFigures]) -> Vec<String> {
    let mut writer = Writer { plan, options, figures, lines: Vec::new() };
    writer.node(&plan.root, 0, "", &[]);
    let applied = applied_subplans(plan);
    for (at, subplan) in plan.subplans.iter().enumerate() {
        if !applied.contains(&at) {
            writer.lines.push(format!("  SubPlan {}", at + 1));
            writer.node(&subplan.root, 2, "->  ", &[]);
        }
    }
    if options.verbose || plan.routes.iter().any(|r| r.path == Path::Column) {
        for route in &plan.routes {
            let path = match route.path {
                Path::Row => "row",
                Path::Column => "columnar",
            };
            writer.lines.push(format!("Path of {}: {path} ({})", route.alias, route.reason));
        }
    }
    writer.lines
}

/// Subplans that stand in the tree as the right side of a lateral join.
fn applied_subplans(plan: &Plan) -> Vec<usize> {
    let mut out = Vec::new();
    let mut roots: Vec<&PlanNode> = vec![&plan.root];
    roots.extend(plan.subplans.iter().map(|s| &s.root));
    while let Some(node) = roots.pop() {
        if let Op::Apply(apply) = &node.op {
            out.push(apply.subplan);
        }
        roots.extend(inputs(node));
    }
    out
}

fn inputs(node: &PlanNode) -> Vec<&PlanNode> {
    match &node.op {
        Op::Values(_) | Op::Scan(_) | Op::Virtual(_) | Op::Foreign(_) | Op::CteScan(_) => {
            Vec::new()
        }
        Op::Function(p) => p.input.iter().collect(),
        Op::Filter(p) => vec![&p.input],
        Op::Project(p) => vec![&p.input],
        Op::Nested(p) => vec![&p.left, &p.right],
        Op::Apply(p) => vec![&p.left],
        Op::Lookup(p) => vec![&p.left],
        Op::Hash(p) => vec![&p.left, &p.right],
        Op::Aggregate(p) => vec![&p.input],
        Op::Window(p) => vec![&p.input],
        Op::Distinct(p) => vec![&p.input],
        Op::Sort(p) => vec![&p.input],
        Op::Limit(p) => vec![&p.input],
        Op::SetOp(p) => p.inputs.iter().collect(),
        Op::With(p) => vec![&p.query, &p.body],
        Op::Statements(p) => p.ctes.iter().map(|c| &c.query).chain([&p.main]).collect(),
        Op::Recursive(p) => vec![&p.base, &p.step],
        Op::LockRows(p) => vec![&p.input],
        Op::Insert(p) => vec![&p.source],
        Op::Update(p) => vec![&p.source],
        Op::Delete(p) => vec![&p.source],
        Op::ForeignWrite(p) => match &p.write {
            ForeignWrite::Insert { source, .. } => vec![source],
            _ => Vec::new(),
        },
    }
}

struct Writer<'a> {
    plan: &'a Plan,
    options: &'a ExplainOptions,
    figures: &'a [NodeFigures],
    lines: Vec<String>,
}

/// A label that a node not shown leaves to the one below.
type Label = (&'static str, String);

impl Writer<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        self.lines.push(format!("{}{text}", "  ".repeat(depth)));
    }

    /// A node and all below it, `depth` steps in.
    fn node(&mut self, node: &PlanNode, depth: usize, arrow: &str, above: &[Label]) {
        match &node.op {
            Op::Project(p) => return self.node(&p.input, depth, arrow, above),
            Op::Filter(p) if !p.one_time => {
                let mut labels = above.to_vec();
                labels.extend(node.labels.iter().cloned());
                return self.node(&p.input, depth, arrow, &labels);
            }
            _ => {}
        }
        let title = format!("{arrow}{}{}", title(node), self.numbers(node));
        self.line(depth, &title);
        let inner = depth + if arrow.is_empty() { 1 } else { 3 };
        for (name, text) in node.labels.iter().chain(above) {
            if !name.is_empty() && !matches!(node.op, Op::Lookup(_)) {
                self.line(inner, &format!("{name}: {text}"));
            }
        }
        self.store_figures(node, inner);
        self.children(node, inner, above);
    }

    fn children(&mut self, node: &PlanNode, depth: usize, above: &[Label]) {
        match &node.op {
            Op::Lookup(p) => {
                for (name, text) in node.labels.iter().filter(|(n, _)| *n == "Join Filter") {
                    self.line(depth, &format!("{name}: {text}"));
                }
                for (name, text) in above {
                    self.line(depth, &format!("{name}: {text}"));
                }
                self.node(&p.left, depth, "->  ", &[]);
                let title = match &p.right {
                    LookupSide::Stored(scan) => scan_title(scan),
                    LookupSide::Foreign(scan) => foreign_title(scan),
                };
                self.line(depth, &format!("->  {title}{}", self.run(p.right_id)));
                for (name, text) in node.labels.iter().filter(|(n, _)| *n != "Join Filter") {
                    self.line(depth + 3, &format!("{name}: {text}"));
                }
            }
            Op::Hash(p) => {
                self.node(&p.left, depth, "->  ", &[]);
                self.line(depth, "->  Hash");
                self.node(&p.right, depth + 3, "->  ", &[]);
            }
            Op::Nested(p) => {
                self.node(&p.left, depth, "->  ", &[]);
                self.line(depth, "->  Materialize");
                self.node(&p.right, depth + 3, "->  ", &[]);
            }
            Op::Apply(p) => {
                self.node(&p.left, depth, "->  ", &[]);
                if let Some(subplan) = self.plan.subplans.get(p.subplan) {
                    self.node(&subplan.root, depth, "->  ", &[]);
                }
            }
            Op::SetOp(p) if p.op == SetOp::Union && !p.all => {
                self.line(depth, "->  Append");
                for input in &p.inputs {
                    self.node(input, depth + 3, "->  ", &[]);
                }
            }
            Op::With(p) => {
                self.line(depth, &format!("CTE {}", p.cte));
                self.node(&p.query, depth + 1, "->  ", &[]);
                self.node(&p.body, depth, "->  ", &[]);
            }
            Op::Statements(p) => {
                for cte in &p.ctes {
                    self.line(depth, &format!("CTE {}", cte.cte));
                    self.node(&cte.query, depth + 1, "->  ", &[]);
                }
                self.node(&p.main, depth, "->  ", &[]);
            }
            _ => {
                for input in inputs(node) {
                    self.node(input, depth, "->  ", &[]);
                }
            }
        }
    }

    fn numbers(&self, node: &PlanNode) -> String {
        let mut out = String::new();
        if self.options.costs {
            out = format!(
                "  (cost={:.2}..{:.2} rows={:.0} width={})",
                node.startup_cost,
                node.cost,
                node.rows,
                node.columns.len() * 8
            );
        }
        out + &self.run(node.id)
    }

    /// What a node really did.
    fn run(&self, id: usize) -> String {
        let Some(f) = self.figures.get(id) else { return String::new() };
        if f.loops == 0 {
            return " (never executed)".to_owned();
        }
        let rows = f.rows as f64 / f.loops as f64;
        let time = match self.options.timing {
            true => format!(
                "time={:.3}..{:.3} ",
                f.first_micros as f64 / 1000.0,
                f.micros as f64 / 1000.0 / f.loops as f64
            ),
            false => String::new(),
        };
        format!(" (actual {time}rows={rows:.0} loops={})", f.loops)
    }

    fn store_figures(&mut self, node: &PlanNode, depth: usize) {
        let Some(f) = self.figures.get(node.id) else { return };
        let asks =
            matches!(node.op, Op::Scan(_) | Op::Lookup(_) | Op::Foreign(_) | Op::ForeignWrite(_));
        if f.round_trips > 0 && asks {
            let text =
                format!("Store: gets={} scanned={} requests={}", f.gets, f.scanned, f.round_trips);
            self.line(depth, &text);
        }
    }
}

/// The name of a join, with its kind.
fn join_title(name: &str, kind: JoinKind) -> String {
    let loops = name == "Nested Loop";
    match kind {
        JoinKind::Inner if loops => name.to_owned(),
        JoinKind::Inner => format!("{name} Join"),
        JoinKind::Left => format!("{name} Left Join"),
        JoinKind::Full => format!("{name} Full Join"),
        JoinKind::Semi => format!("{name} Semi Join"),
        JoinKind::Anti => format!("{name} Anti Join"),
    }
}

fn scan_title(scan: &ScanPlan) -> String {
    let name = &scan.table.name;
    let on = match name.as_str() == scan.alias.as_ref() {
        true => name.clone(),
        false => format!("{name} {}", scan.alias),
    };
    let Access { index, parts, low, high, .. } = &scan.access;
    let backward = if scan.reverse { " Backward" } else { "" };
    match index {
        Some(used) => format!("Index Scan{backward} using {} on {on}", used.index.name),
        None if parts.is_empty() && low.is_none() && high.is_none() && !scan.reverse => {
            format!("Seq Scan on {on}")
        }
        None => format!("Index Scan{backward} using {} on {on}", scan.table.primary.name),
    }
}

fn foreign_title(scan: &ForeignPlan) -> String {
    match scan.table.name.as_str() == scan.alias.as_ref() {
        true => format!("Foreign Scan on {}", scan.alias),
        false => format!("Foreign Scan on {} {}", scan.table.name, scan.alias),
    }
}

fn title(node: &PlanNode) -> String {
    match &node.op {
        Op::Values(p) if p.rows.len() == 1 => "Result".into(),
        Op::Values(_) => "Values Scan on \"*VALUES*\"".into(),
        Op::Scan(p) => scan_title(p),
        Op::Virtual(p) => format!("Seq Scan on {}", p.table.name),
        Op::Foreign(p) => foreign_title(p),
        Op::Function(p) if p.input.is_some() => "ProjectSet".into(),
        Op::Function(p) => match p.calls.first() {
            Some(call) => format!("Function Scan on {}", call.function.name),
            None => "Function Scan".into(),
        },
        Op::Filter(_) | Op::Project(_) => "Result".into(),
        Op::Nested(p) => join_title("Nested Loop", p.kind),
        Op::Apply(p) => join_title("Nested Loop", p.kind),
        Op::Lookup(p) => join_title("Nested Loop", p.kind),
        Op::Hash(p) => join_title("Hash", p.kind),
        Op::Aggregate(p) if p.groups.is_empty() => "Aggregate".into(),
        Op::Aggregate(p) if p.sorted => "GroupAggregate".into(),
        Op::Aggregate(_) => "HashAggregate".into(),
        Op::Window(_) => "WindowAgg".into(),
        Op::Distinct(p) if p.on.is_empty() => "HashAggregate".into(),
        Op::Distinct(_) => "Unique".into(),
        Op::Sort(_) => "Sort".into(),
        Op::Limit(_) => "Limit".into(),
        Op::SetOp(p) => set_title(p.op, p.all),
        Op::With(_) | Op::Statements(_) => "Result".into(),
        Op::CteScan(cte) => format!("CTE Scan on {cte}"),
        Op::Recursive(_) => "Recursive Union".into(),
        Op::LockRows(_) => "LockRows".into(),
        Op::Insert(p) => format!("Insert on {}", p.target.table.name),
        Op::Update(p) => format!("Update on {}", p.target.table.name),
        Op::Delete(p) => format!("Delete on {}", p.target.table.name),
        Op::ForeignWrite(p) => {
            let what = match p.write {
                ForeignWrite::Insert { .. } => "Insert",
                ForeignWrite::Update { .. } | ForeignWrite::Count { .. } => "Update",
                ForeignWrite::Delete { .. } => "Delete",
            };
            format!("Foreign {what} on {}", p.table.name)
        }
    }
}

fn set_title(op: SetOp, all: bool) -> String {
    let every = if all { " All" } else { "" };
    match op {
        SetOp::Union if all => "Append".into(),
        SetOp::Union => "HashAggregate".into(),
        SetOp::Intersect => format!("HashSetOp Intersect{every}"),
        SetOp::Except => format!("HashSetOp Except{every}"),
    }
}
