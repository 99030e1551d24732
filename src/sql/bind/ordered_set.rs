//! Ordered-set aggregates: `f(direct) WITHIN GROUP (ORDER BY key)`.
//!
//! To the executor they are aggregates with ORDER BY, whose arguments are the direct ones and the
//! keys; hypothetical-set aggregates are also given how each key is ordered.

use super::super::ast::{self, Offset};
use super::super::bound::{AggregateCall, Column, Expr, SortKey};
use super::Binder;
use super::call::{name_of, places};
use super::level::Clause;
use super::literal;
use crate::error::{Error, Result, SqlState};
use crate::functions::{AggregateKind, FunctionKind, aggregate_kind, functions_named};
use crate::types::SqlType;

/// Arguments in the order of the aggregate's code, the keys, its function and result.
type Parts = (Vec<Expr>, Vec<SortKey>, &'static crate::functions::Function, SqlType);

impl Binder<'_> {
    pub(super) fn ordered_set_call(&mut self, call: &ast::Call, at: Offset) -> Result<Expr> {
        let name = name_of(call);
        if call.over.is_some() {
            let message = format!("OVER is not supported for ordered-set aggregate {name}");
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at));
        }
        let marks: Vec<usize> = self.levels.iter().map(|l| l.uses.len()).collect();
        let direct = self.bind_args(call, at)?;
        // Direct arguments are the group's: what they use must be grouped.
        let here = self.levels.len() - 1;
        let used = self.levels[here].uses.split_off(marks[here]);
        let mut keys = Vec::with_capacity(call.within_group.len());
        for item in &call.within_group {
            let key = self.expr(&item.expr)?;
            keys.push(self.resolve_unknown(key, item.expr.at)?);
        }
        let hypothetical =
            functions_named(name).iter().any(|f| aggregate_kind(f) == AggregateKind::Hypothetical);
        let (args, order_by, function, ty) = if hypothetical {
            self.hypothetical(call, direct, keys, at)?
        } else {
            self.ordered_set(call, direct, keys, at)?
        };
        let filter = match &call.filter {
            Some(ast) => {
                let bound = self.bind_in(ast, Clause::Filter)?;
                Some(self.condition(bound, "FILTER", ast.start())?)
            }
            None => None,
        };
        let output = Column { id: super::ColId(0), name: "".into(), ty, origin: None };
        let aggregate = AggregateCall { function, args, distinct: false, order_by, filter, output };
        let lifted = self.lift_aggregate(call, aggregate, ty, marks, at)?;
        self.levels[here].uses.extend(used);
        Ok(lifted)
    }

    fn sort_keys(&self, call: &ast::Call, keys: &[Expr]) -> Result<Vec<SortKey>> {
        let pairs = call.within_group.iter().zip(keys);
        pairs.map(|(item, key)| self.sort_key(item, key.clone())).collect()
    }

    fn ordered_set(
        &mut self,
        call: &ast::Call,
        direct: Vec<Expr>,
        keys: Vec<Expr>,
        at: Offset,
    ) -> Result<Parts> {
        let (name, one_key) = (name_of(call), keys.len() == 1);
        let mut args = direct;
        let given = args.len();
        args.extend(keys);
        let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        if !one_key {
            return Err(self.no_such_function(call, &types, at));
        }
        let resolved = self.resolve_function(call, &types, at)?;
        let function = resolved.function;
        if !matches!(function.kind, FunctionKind::Aggregate(_)) {
            let message =
                format!("WITHIN GROUP specified, but {name} is not an aggregate function");
            return Err(self.error(SqlState::WRONG_OBJECT_TYPE, message, at));
        }
        if aggregate_kind(function) == AggregateKind::Plain {
            let message =
                format!("{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP");
            return Err(self.error(SqlState::WRONG_OBJECT_TYPE, message, at));
        }
        let mut at_each = places(call);
        at_each.extend(call.within_group.iter().map(|item| item.expr.at));
        let args = self.arguments(args, &resolved.types, &at_each)?;
        let order_by = self.sort_keys(call, &args[given..])?;
        Ok((args, order_by, function, resolved.result))
    }

    fn hypothetical(
        &mut self,
        call: &ast::Call,
        direct: Vec<Expr>,
        keys: Vec<Expr>,
        at: Offset,
    ) -> Result<Parts> {
        let name = name_of(call);
        if direct.len() != keys.len() {
            let types: Vec<SqlType> = direct.iter().chain(&keys).map(Expr::ty).collect();
            let hint = format!(
                "To use the hypothetical-set aggregate {name}, the number of hypothetical direct \
                 arguments (here {}) must match the number of ordering columns (here {}).",
                direct.len(),
                keys.len()
            );
            return Err(self.no_such_function(call, &types, at).with_hint(hint));
        }
        let function = functions_named(name)
            .iter()
            .find(|f| aggregate_kind(f) == AggregateKind::Hypothetical)
            .ok_or_else(|| Error::internal("a hypothetical-set aggregate without a function"))?;
        let (mut values, mut sorted) = (Vec::new(), Vec::new());
        let at_each = places(call);
        for (i, (value, key)) in direct.into_iter().zip(keys).enumerate() {
            let at_key = call.within_group[i].expr.at;
            let (pair, _) = self.unify(vec![value, key], &[at_each[i], at_key], "WITHIN GROUP")?;
            let mut pair = pair.into_iter();
            values.extend(pair.next());
            sorted.extend(pair.next());
        }
        let order_by = self.sort_keys(call, &sorted)?;
        let mut args = values;
        args.extend(sorted);
        args.extend(order_by.iter().map(|key| literal::boolean(key.desc)));
        args.extend(order_by.iter().map(|key| literal::boolean(key.nulls_first)));
        Ok((args, order_by, function, function.result))
    }
}

/// The arguments of an aggregate that are the group's, not its rows'.
pub(super) fn direct_arguments(call: &AggregateCall) -> &[Expr] {
    let count = match aggregate_kind(call.function) {
        AggregateKind::Plain => 0,
        AggregateKind::OrderedSet => call.args.len() - 1,
        AggregateKind::Hypothetical => call.order_by.len(),
    };
    &call.args[..count]
}
