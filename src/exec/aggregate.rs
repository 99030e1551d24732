//! GROUP BY: groups in a hash table, in the order in which they appear.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::context::{ExecContext, State};
use super::key::RowKey;
use super::memory::Reservation;
use super::node::{Node, Ready, RowBatch, build};
use super::sort::{compare_keys, key_values};
use crate::error::Result;
use crate::functions::Accumulator;
use crate::plan::node::{AggregatePlan, AggregateSpec};
use crate::types::{Datum, Row};

/// Bytes that an accumulator is charged with, whatever it is.
const ACCUMULATOR_BYTES: usize = 96;

/// One aggregate of one group.
struct Running {
    accumulator: Box<dyn Accumulator>,
    /// DISTINCT: arguments that were there already.
    seen: HashSet<RowKey>,
    /// ORDER BY: keys and arguments, until the group ends.
    held: Vec<(Vec<Datum>, Vec<Datum>)>,
}

impl Running {
    fn new(spec: &AggregateSpec) -> Running {
        Running { accumulator: (spec.make)(&spec.types), seen: HashSet::new(), held: Vec::new() }
    }

    async fn add(
        &mut self,
        ctx: &mut ExecContext<'_>,
        spec: &AggregateSpec,
        row: &[Datum],
        memory: &mut Reservation,
    ) -> Result<()> {
        if let Some(filter) = &spec.filter
            && !matches!(ctx.value(filter, row, &[]).await?, Datum::Bool(true))
        {
            return Ok(());
        }
        let args = ctx.values(&spec.args, row, &[]).await?;
        if spec.distinct {
            let key = RowKey(args.clone());
            if self.seen.contains(&key) {
                return Ok(());
            }
            memory.row(&key.0)?;
            self.seen.insert(key);
        }
        if spec.order_by.is_empty() {
            return self.accumulator.add(ctx.eval, &args);
        }
        let keys = key_values(ctx, &spec.order_by, row).await?;
        memory.row(&keys)?;
        memory.row(&args)?;
        self.held.push((keys, args));
        Ok(())
    }

    fn finish(mut self, ctx: &ExecContext<'_>, spec: &AggregateSpec) -> Result<Datum> {
        self.held.sort_by(|a, b| compare_keys(&spec.order_by, &a.0, &b.0));
        for (_, args) in &self.held {
            self.accumulator.add(ctx.eval, args)?;
        }
        self.accumulator.finish(ctx.eval)
    }
}

/// The groups of one grouping set.
#[derive(Default)]
struct Groups {
    places: HashMap<RowKey, usize>,
    /// In the order of their first rows: the values and the aggregates.
    groups: Vec<(Vec<Datum>, Vec<Running>)>,
}

/// See [`AggregatePlan`].
pub struct AggregateNode {
    plan: Arc<AggregatePlan>,
    input: Option<Box<dyn Node>>,
    ready: Ready,
    memory: Reservation,
}

impl AggregateNode {
    /// One that has not begun.
    pub fn new(plan: Arc<AggregatePlan>, state: &mut State) -> AggregateNode {
        AggregateNode {
            input: Some(build(&plan.input, state)),
            ready: Ready::default(),
            memory: state.memory.reserve(),
            plan,
        }
    }

    async fn run(&mut self, ctx: &mut ExecContext<'_>, mut input: Box<dyn Node>) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let mut sets: Vec<Groups> = plan.sets.iter().map(|_| Groups::default()).collect();
        while let Some(batch) = input.next(ctx, super::BATCH_ROWS_MAX).await? {
            ctx.spend(batch.len()).await?;
            for row in batch {
                let values = ctx.values(&plan.groups, &row, &[]).await?;
                for (set, groups) in plan.sets.iter().zip(&mut sets) {
                    self.add(ctx, set, groups, &values, &row).await?;
                }
            }
        }
        let mut out = Vec::new();
        for (set, mut groups) in plan.sets.iter().zip(sets) {
            if set.is_empty() && groups.groups.is_empty() {
                // Without GROUP BY there is one group, even of no rows.
                let fresh = plan.aggregates.iter().map(Running::new).collect();
                groups.groups.push((Vec::new(), fresh));
            }
            for (values, running) in groups.groups {
                ctx.spend(1).await?;
                out.push(finish(ctx, &plan, set, values, running)?);
            }
        }
        self.ready = Ready::new(out);
        Ok(())
    }

    async fn add(
        &mut self,
        ctx: &mut ExecContext<'_>,
        set: &[usize],
        groups: &mut Groups,
        values: &[Datum],
        row: &[Datum],
    ) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let key = RowKey(set.iter().map(|at| values[*at].clone()).collect());
        let place = match groups.places.get(&key) {
            Some(place) => *place,
            None => {
                self.memory.row(&key.0)?;
                self.memory.grow(plan.aggregates.len() * ACCUMULATOR_BYTES)?;
                let fresh = plan.aggregates.iter().map(Running::new).collect();
                groups.groups.push((key.0.clone(), fresh));
                groups.places.insert(key, groups.groups.len() - 1);
                groups.groups.len() - 1
            }
        };
        let running = &mut groups.groups[place].1;
        for (one, spec) in running.iter_mut().zip(&plan.aggregates) {
            one.add(ctx, spec, row, &mut self.memory).await?;
        }
        Ok(())
    }
}

/// A group's row: all grouping columns (NULL for those not in the set), aggregates, GROUPING.
fn finish(
    ctx: &ExecContext<'_>,
    plan: &AggregatePlan,
    set: &[usize],
    values: Vec<Datum>,
    running: Vec<Running>,
) -> Result<Row> {
    let mut row = vec![Datum::Null; plan.groups.list.len()];
    for (at, value) in set.iter().zip(values) {
        row[*at] = value;
    }
    for (one, spec) in running.into_iter().zip(&plan.aggregates) {
        row.push(one.finish(ctx, spec)?);
    }
    for call in &plan.grouping {
        let bits = call.iter().fold(0, |bits, at| bits << 1 | i32::from(!set.contains(at)));
        row.push(Datum::Int4(bits));
    }
    Ok(row)
}

#[async_trait]
impl Node for AggregateNode {
    async fn next(&mut self, ctx: &mut ExecContext<'_>, max: usize) -> Result<Option<RowBatch>> {
        if let Some(input) = self.input.take() {
            self.run(ctx, input).await?;
        }
        Ok(self.ready.take(max))
    }
}
