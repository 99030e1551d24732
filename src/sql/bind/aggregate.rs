//! Aggregate calls: which query they belong to, and what they may hold.

use super::super::ast::{self, Offset};
use super::super::bound::{AggregateCall, Column, Expr, SortKey};
use super::super::walk;
use super::Binder;
use super::call::{name_of, places};
use super::level::{Clause, Producer};
use crate::error::{Result, SqlState};
use crate::functions::{
    AggregateKind, Function, FunctionKind, aggregate_kind, equality, less_than,
};
use crate::types::SqlType;

impl Binder<'_> {
    /// An aggregate without OVER: lifted into the query it belongs to.
    pub(super) fn aggregate_call(&mut self, call: &ast::Call, at: Offset) -> Result<Expr> {
        let marks: Vec<usize> = self.levels.iter().map(|l| l.uses.len()).collect();
        let (aggregate, ty) = self.aggregate_parts(call, at)?;
        self.lift_aggregate(call, aggregate, ty, marks, at)
    }

    /// Makes an aggregate one of the query it belongs to. The uses of columns since the marks are
    /// its own.
    pub(super) fn lift_aggregate(
        &mut self,
        call: &ast::Call,
        mut aggregate: AggregateCall,
        ty: SqlType,
        marks: Vec<usize>,
        at: Offset,
    ) -> Result<Expr> {
        let depth = self.owner(&mut aggregate)?;
        let clause = self.levels[depth].clause;
        if !clause.allows_aggregates() {
            let message = format!("aggregate functions are not allowed in {}", clause.name());
            return Err(self.error(SqlState::GROUPING_ERROR, message, at));
        }
        // What an aggregate takes need not be grouped.
        self.levels[depth].uses.truncate(marks[depth]);
        let level = &self.levels[depth];
        let known = level.aggregates.iter().find(|a| super::group::same_aggregate(a, &aggregate));
        if let Some(known) = known {
            return Ok(Expr::Column(known.output.id, known.output.ty));
        }
        let id = self.new_id(depth, Producer::Aggregate, at);
        aggregate.output = Column { id, name: name_of(call).into(), ty, origin: None };
        self.levels[depth].aggregates.push(aggregate);
        Ok(Expr::Column(id, ty))
    }

    /// The parts of an aggregate call, with an output still to be named, and the result's type.
    pub(super) fn aggregate_parts(
        &mut self,
        call: &ast::Call,
        at: Offset,
    ) -> Result<(AggregateCall, SqlType)> {
        let name = name_of(call);
        if !call.within_group.is_empty() {
            let message = format!("OVER is not supported for ordered-set aggregate {name}");
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at));
        }
        let args = self.bind_args(call, at)?;
        let filter = match &call.filter {
            Some(ast) => {
                let bound = self.bind_in(ast, Clause::Filter)?;
                Some(self.condition(bound, "FILTER", ast.start())?)
            }
            None => None,
        };
        let actual: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        let resolved = self.resolve_function(call, &actual, at)?;
        let function = resolved.function;
        if aggregate_kind(function) != AggregateKind::Plain {
            let message = format!("WITHIN GROUP is required for ordered-set aggregate {name}");
            return Err(self.error(SqlState::WRONG_OBJECT_TYPE, message, at));
        }
        if args.is_empty() && !call.star && matches!(function.kind, FunctionKind::Aggregate(_)) {
            let message =
                format!("{name}(*) must be used to call a parameterless aggregate function");
            return Err(self.error(SqlState::WRONG_OBJECT_TYPE, message, at));
        }
        let args = self.arguments(args, &resolved.types, &places(call))?;
        let order_by = self.aggregate_order(call, &args)?;
        if call.distinct {
            self.check_distinct(call, &args, at)?;
        }
        let output =
            Column { id: super::ColId(0), name: "".into(), ty: resolved.result, origin: None };
        let distinct = call.distinct;
        let aggregate = AggregateCall { function, args, distinct, order_by, filter, output };
        Ok((aggregate, resolved.result))
    }

    /// ORDER BY inside a call: expressions only, never positions.
    fn aggregate_order(&mut self, call: &ast::Call, args: &[Expr]) -> Result<Vec<SortKey>> {
        let mut keys = Vec::with_capacity(call.order_by.len());
        for item in &call.order_by {
            let mut expr = self.expr(&item.expr)?;
            if expr.ty().same(SqlType::UNKNOWN) {
                expr = self.coerce(expr, SqlType::TEXT, item.expr.at)?;
            }
            // DISTINCT compares what the function is given, after its coercions.
            let found = args.iter().find(|arg| match arg {
                Expr::Cast { expr: inner, explicit: false, .. } => {
                    super::group::same_expr(inner, &expr)
                }
                arg => super::group::same_expr(arg, &expr),
            });
            match found {
                Some(arg) if call.distinct => expr = arg.clone(),
                None if call.distinct && !args.is_empty() => {
                    let message = "in an aggregate with DISTINCT, ORDER BY expressions must \
                                   appear in argument list";
                    let at = item.expr.start();
                    return Err(self.error(SqlState::INVALID_COLUMN_REFERENCE, message, at));
                }
                _ => {}
            }
            keys.push(self.sort_key(item, expr)?);
        }
        Ok(keys)
    }

    fn check_distinct(&self, call: &ast::Call, args: &[Expr], at: Offset) -> Result<()> {
        if args.is_empty() {
            let message = "DISTINCT specified, but there are no arguments";
            return Err(self.error(SqlState::SYNTAX_ERROR, message, at));
        }
        for (arg, ast) in args.iter().zip(&call.args) {
            self.require_equality(arg.ty(), ast.expr.start())?;
        }
        Ok(())
    }

    /// 42883 unless values of the type can be compared for equality.
    pub(super) fn require_equality(
        &self,
        ty: SqlType,
        at: Offset,
    ) -> Result<Option<&'static Function>> {
        let found = equality(ty);
        if found.is_some() || ty.same(SqlType::RECORD) {
            return Ok(found);
        }
        let message = format!("could not identify an equality operator for type {ty}");
        Err(self.error(SqlState::UNDEFINED_FUNCTION, message, at))
    }

    /// 42883 unless values of the type have an order.
    pub(super) fn require_ordering(&self, ty: SqlType, at: Offset) -> Result<()> {
        if less_than(ty).is_some() || ty.same(SqlType::RECORD) {
            return Ok(());
        }
        let message = format!("could not identify an ordering operator for type {ty}");
        let error = self.error(SqlState::UNDEFINED_FUNCTION, message, at);
        Err(error.with_hint("Use an explicit ordering operator or modify the query."))
    }

    /// The query an aggregate belongs to: the innermost whose columns it takes, else the innermost
    /// of all. Refuses what must not stand inside an aggregate.
    fn owner(&self, aggregate: &mut AggregateCall) -> Result<usize> {
        let here = self.levels.len() - 1;
        let mut owner: Option<usize> = None;
        let mut inner = Vec::new();
        walk::aggregate_mut(aggregate, &mut |expr| {
            walk::columns(expr, &mut |id| {
                let info = self.column_info(id);
                let level = info.level as usize;
                if level <= here {
                    owner = Some(owner.map_or(level, |o| o.max(level)));
                    inner.push(info);
                }
            });
        });
        let owner = owner.unwrap_or(here);
        for info in inner {
            match info.producer {
                Producer::Aggregate if info.level as usize == owner => {
                    let message = "aggregate function calls cannot be nested";
                    return Err(self.error(SqlState::GROUPING_ERROR, message, info.at));
                }
                Producer::Window if info.level as usize == owner => {
                    let message = "aggregate function calls cannot contain window function calls";
                    return Err(self.error(SqlState::GROUPING_ERROR, message, info.at));
                }
                Producer::Set => {
                    let message =
                        "aggregate function calls cannot contain set-returning function calls";
                    let error = self.error(SqlState::FEATURE_NOT_SUPPORTED, message, info.at);
                    return Err(error.with_hint(super::call::MOVE_SET));
                }
                _ => {}
            }
        }
        Ok(owner)
    }

    /// GROUPING(…): its arguments are checked against GROUP BY once that is known.
    pub(super) fn grouping_call(&mut self, args: &[ast::Expr], at: Offset) -> Result<Expr> {
        const ARGUMENTS_MAX: usize = 31;
        if args.len() > ARGUMENTS_MAX {
            let message = "GROUPING must have fewer than 32 arguments";
            return Err(self.error(SqlState::TOO_MANY_ARGUMENTS, message, at));
        }
        let marks: Vec<usize> = self.levels.iter().map(|l| l.uses.len()).collect();
        let bound = args.iter().map(|arg| Ok((self.expr(arg)?, arg.start())));
        let mut bound = bound.collect::<Result<Vec<_>>>()?;
        // It belongs to the innermost query whose columns it takes.
        let mut owner = None;
        for (arg, _) in &mut bound {
            walk::columns(arg, &mut |id| {
                let level = self.column_info(id).level as usize;
                owner = Some(owner.map_or(level, |o: usize| o.max(level)));
            });
        }
        let depth = owner.unwrap_or(self.levels.len() - 1).min(self.levels.len() - 1);
        self.levels[depth].uses.truncate(marks[depth]);
        let clause = self.levels[depth].clause;
        if !clause.allows_aggregates() {
            let message = format!("grouping operations are not allowed in {}", clause.name());
            return Err(self.error(SqlState::GROUPING_ERROR, message, at));
        }
        let id = self.new_id(depth, Producer::Aggregate, at);
        let output = Column { id, name: "grouping".into(), ty: SqlType::INT4, origin: None };
        self.levels[depth].grouping.push((bound, output));
        Ok(Expr::Column(id, SqlType::INT4))
    }
}
