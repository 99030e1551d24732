//! Plans of texts that differ in their integers alone: see [`crate::sql::lifted`].
//!
//! A shape gets a plan when a text of it comes the second time, and only if that plan is what every
//! text of it would get by itself: it reads and writes single tables by accesses that cost what
//! they cost with the integers in place, and nothing is left that an integer could change.

use std::sync::Arc;

use super::Session;
use super::plans::PlanKey;
use super::statement::{Body, Prepared, fields_of};
use crate::error::{Error, Result};
use crate::plan::{Plan, node::Op, node::PlanNode};
use crate::sql::bind::Binder;
use crate::sql::lifted::{self, Lifted};
use crate::types::Datum;

/// In place of parameter types: the key is a shape's.
const SHAPE: u32 = u32::MAX;

/// A text's shape, and its integers.
pub(super) struct Shape {
    pub key: PlanKey,
    pub values: Arc<[Datum]>,
}

impl Session {
    /// The shape of a text, if it may have one.
    pub(super) fn shape(&mut self, text: &str) -> Option<Shape> {
        let Lifted { shape, values } = lifted::lift(text)?;
        let environment = self.environment.binding(&self.settings);
        let key = PlanKey { text: shape, types: [SHAPE].into(), environment };
        Some(Shape { key, values: values.into_iter().map(Datum::Int4).collect() })
    }

    /// Gives a shape a plan, if one of its texts was seen before; `prepared` is the plan of the
    /// text at hand, which is offered by itself where its shape gets none.
    pub(super) fn offer_shape(&mut self, shape: Shape, key: PlanKey, prepared: &Arc<Prepared>) {
        if !self.database.catalog.is_newest(&prepared.schema) {
            return;
        }
        if self.database.plans.comes_again(&shape.key) {
            match self.prepare_shape(&key.text) {
                Ok(general) if is_same(prepared, &general) => {
                    return self.database.plans.keep(shape.key, Arc::new(general));
                }
                _ => self.database.plans.refuse(&shape.key),
            }
        }
        self.offer_plan(key, prepared);
    }

    fn prepare_shape(&mut self, text: &Arc<str>) -> Result<Prepared> {
        let (parsed, integers) = lifted::parse(text)?;
        let schema = self.schema();
        let eval = self.binding_context(&schema);
        let binder = Binder::new(schema.as_ref(), &eval, text.clone(), Vec::new());
        let bound = binder.lifting(integers).bind_statement(&parsed.kind)?;
        let (plan, parameters) = self.plan_bound(bound, &eval, false)?;
        if parameters.len() != integers {
            return Err(Error::internal("a shape has other parameters than integers"));
        }
        Ok(Prepared {
            text: text.clone(),
            parsed: Some(Arc::new(parsed)),
            parameters: parameters.into(),
            fields: fields_of(&plan).map(Arc::from),
            body: Body::Plan(Arc::new(plan)),
            schema,
        })
    }
}

/// Whether a shape's plan is the plan of its texts.
fn is_same(one: &Prepared, general: &Prepared) -> bool {
    let (Body::Plan(one_plan), Body::Plan(plan)) = (&one.body, &general.body) else { return false };
    is_plain(plan)
        && one.fields == general.fields
        && one_plan.nodes == plan.nodes
        && one_plan.root.cost.total_cmp(&plan.root.cost).is_eq()
}

fn is_plain(plan: &Plan) -> bool {
    let chosen = plan.columnar.is_some() || !plan.routes.is_empty() || plan.current_of.is_some();
    !chosen && plan.subplans.is_empty() && has_plain_nodes(&plan.root)
}

/// Whether there are no operators but those that no integer can change.
fn has_plain_nodes(node: &PlanNode) -> bool {
    match &node.op {
        Op::Values(_) | Op::Scan(_) => true,
        Op::Filter(p) => has_plain_nodes(&p.input),
        Op::Project(p) => has_plain_nodes(&p.input),
        Op::LockRows(p) => has_plain_nodes(&p.input),
        Op::Insert(p) => has_plain_nodes(&p.source),
        Op::Update(p) => has_plain_nodes(&p.source),
        Op::Delete(p) => has_plain_nodes(&p.source),
        _ => false,
    }
}
