//! Window calls and the windows they run over.

use std::sync::Arc;

use super::super::ast::{self, FrameEdge, FrameSpec, Ident, Offset, Over, WindowSpec};
use super::super::bound::{
    AggregateCall, Column, Expr, Frame, FrameBound, FrameExclude, FrameUnit, SortKey, WindowCall,
};
use super::super::walk;
use super::call::{name_of, places};
use super::level::{Clause, PendingWindow, Producer, Window};
use super::{Binder, coerce};
use crate::error::{Error, Result, SqlState};
use crate::functions::{CastContext, FunctionKind};
use crate::types::{BaseType, SqlType};

/// A window bound: what a call adds to its own parts.
struct BoundWindow {
    partition_by: Vec<Expr>,
    order_by: Vec<SortKey>,
    frame: Frame,
}

impl Binder<'_> {
    /// A call with OVER.
    pub(super) fn window_call(&mut self, call: &ast::Call, at: Offset) -> Result<Expr> {
        let (mut parts, ty) = match self.window_only(call) {
            true => self.window_parts(call, at)?,
            false => self.aggregate_parts(call, at)?,
        };
        let is_aggregate = matches!(parts.function.kind, FunctionKind::Aggregate(_));
        let unsupported = if call.distinct {
            "DISTINCT is not implemented for window functions"
        } else if !call.order_by.is_empty() {
            "aggregate ORDER BY is not implemented for window functions"
        } else if call.filter.is_some() && !is_aggregate {
            "FILTER is not implemented for non-aggregate window functions"
        } else {
            ""
        };
        if !unsupported.is_empty() {
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, unsupported, at));
        }
        self.check_window_parts(&mut parts, at)?;
        let depth = self.levels.len() - 1;
        let window = self.window_of(call, at)?;
        let id = self.new_id(depth, Producer::Window, at);
        parts.output = Column { id, name: name_of(call).into(), ty, origin: None };
        let frame = default_frame();
        let call =
            WindowCall { call: parts, partition_by: Vec::new(), order_by: Vec::new(), frame };
        self.level().window_calls.push(PendingWindow { call, window });
        Ok(Expr::Column(id, ty))
    }

    fn window_only(&self, call: &ast::Call) -> bool {
        let named = crate::functions::functions_named(name_of(call));
        named.first().is_some_and(|f| matches!(f.kind, FunctionKind::Window(_)))
    }

    /// The parts of a call of a function that is no aggregate.
    fn window_parts(&mut self, call: &ast::Call, at: Offset) -> Result<(AggregateCall, SqlType)> {
        let args = self.bind_args(call, at)?;
        let actual: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        let resolved = self.resolve_function(call, &actual, at)?;
        let args = self.arguments(args, &resolved.types, &places(call))?;
        let output =
            Column { id: super::ColId(0), name: "".into(), ty: resolved.result, origin: None };
        let call = AggregateCall {
            function: resolved.function,
            args,
            distinct: false,
            order_by: Vec::new(),
            filter: None,
            output,
        };
        Ok((call, resolved.result))
    }

    /// Clauses that take no window functions, and calls inside calls.
    fn check_window_parts(&self, parts: &mut AggregateCall, at: Offset) -> Result<()> {
        let clause = self.clause();
        if matches!(clause, Clause::WindowPartition | Clause::WindowOrder | Clause::WindowFrame) {
            let message = "window functions are not allowed in window definitions";
            return Err(self.error(SqlState::WINDOWING_ERROR, message, at));
        }
        if !clause.allows_windows() {
            let message = format!("window functions are not allowed in {}", clause.name());
            return Err(self.error(SqlState::WINDOWING_ERROR, message, at));
        }
        let depth = self.levels.len() - 1;
        let mut fault = None;
        walk::aggregate_mut(parts, &mut |expr| {
            walk::columns(expr, &mut |id| {
                let info = self.column_info(id);
                match info.producer {
                    Producer::Window if info.level as usize == depth => {
                        let message = "window function calls cannot be nested";
                        fault = Some((SqlState::WINDOWING_ERROR, message, info.at));
                    }
                    Producer::Set if info.level as usize == depth => {
                        let message =
                            "window function calls cannot contain set-returning function calls";
                        fault = Some((SqlState::FEATURE_NOT_SUPPORTED, message, info.at));
                    }
                    _ => {}
                }
            });
        });
        match fault {
            Some((code, message, at)) => {
                let error = self.error(code, message, at);
                Err(match code {
                    SqlState::FEATURE_NOT_SUPPORTED => error.with_hint(super::call::MOVE_SET),
                    _ => error,
                })
            }
            None => Ok(()),
        }
    }

    /// The place of a call's window among the level's windows.
    fn window_of(&mut self, call: &ast::Call, at: Offset) -> Result<usize> {
        match &call.over {
            Some(Over::Window(spec)) => {
                let window = Window { name: None, spec: (**spec).clone() };
                self.level().windows.push(window);
                Ok(self.level().windows.len() - 1)
            }
            Some(Over::Name(name)) => self.named_window(name),
            None => Err(Error::internal(format!("a window call without OVER at {at}"))),
        }
    }

    fn named_window(&self, name: &Ident) -> Result<usize> {
        let windows = &self.levels[self.levels.len() - 1].windows;
        let found = windows.iter().position(|w| w.name.as_ref() == Some(&name.name));
        found.ok_or_else(|| {
            let message = format!("window \"{}\" does not exist", name.name);
            self.error(SqlState::UNDEFINED_OBJECT, message, name.at)
        })
    }

    /// Makes the WINDOW clause's windows known; they are bound after everything else.
    pub(super) fn declare_windows(&mut self, windows: &[(Ident, WindowSpec)]) -> Result<()> {
        for (name, spec) in windows {
            let known = self.levels[self.levels.len() - 1]
                .windows
                .iter()
                .any(|w| w.name.as_ref() == Some(&name.name));
            if known {
                let message = format!("window \"{}\" is already defined", name.name);
                return Err(self.error(SqlState::WINDOWING_ERROR, message, spec.at));
            }
            let name: Arc<str> = name.name.clone();
            self.level().windows.push(Window { name: Some(name), spec: spec.clone() });
        }
        Ok(())
    }

    /// Binds the windows and gives each call its own.
    pub(super) fn bind_windows(&mut self) -> Result<()> {
        let windows = std::mem::take(&mut self.level().windows);
        let mut bound: Vec<BoundWindow> = Vec::with_capacity(windows.len());
        for (i, window) in windows.iter().enumerate() {
            let named = window.name.is_some();
            let one = self.bind_window(&windows[..i], &bound, &window.spec, named)?;
            bound.push(one);
        }
        let mut calls = std::mem::take(&mut self.level().window_calls);
        for pending in &mut calls {
            let window = &bound[pending.window];
            pending.call.partition_by.clone_from(&window.partition_by);
            pending.call.order_by.clone_from(&window.order_by);
            pending.call.frame = window.frame.clone();
        }
        self.level().window_calls = calls;
        Ok(())
    }

    fn bind_window(
        &mut self,
        earlier: &[Window],
        bound: &[BoundWindow],
        spec: &WindowSpec,
        named: bool,
    ) -> Result<BoundWindow> {
        let mut partition_by = Vec::with_capacity(spec.partition_by.len());
        for ast in &spec.partition_by {
            let expr = self.bind_in(ast, Clause::WindowPartition)?;
            let expr = self.resolve_unknown(expr, ast.at)?;
            self.require_equality(expr.ty(), ast.start())?;
            partition_by.push(expr);
        }
        let mut order_by = Vec::with_capacity(spec.order_by.len());
        for item in &spec.order_by {
            let expr = self.bind_in(&item.expr, Clause::WindowOrder)?;
            let expr = self.resolve_unknown(expr, item.expr.at)?;
            order_by.push(self.sort_key(item, expr)?);
        }
        if let Some(base) = &spec.base {
            let found = earlier.iter().position(|w| w.name.as_ref() == Some(&base.name));
            let Some(i) = found else {
                let message = format!("window \"{}\" does not exist", base.name);
                return Err(self.error(SqlState::UNDEFINED_OBJECT, message, base.at));
            };
            let fault = if !spec.partition_by.is_empty() {
                "cannot override PARTITION BY clause of window"
            } else if !spec.order_by.is_empty() && !bound[i].order_by.is_empty() {
                "cannot override ORDER BY clause of window"
            } else {
                ""
            };
            if !fault.is_empty() {
                let message = format!("{fault} \"{}\"", base.name);
                return Err(self.error(SqlState::WINDOWING_ERROR, message, spec.at));
            }
            if earlier[i].spec.frame.is_some() {
                let message =
                    format!("cannot copy window \"{}\" because it has a frame clause", base.name);
                let error = self.error(SqlState::WINDOWING_ERROR, message, spec.at);
                let bare = !named && spec.order_by.is_empty() && spec.frame.is_none();
                return Err(match bare {
                    true => error.with_hint("Omit the parentheses in this OVER clause."),
                    false => error,
                });
            }
            partition_by.clone_from(&bound[i].partition_by);
            if order_by.is_empty() {
                order_by.clone_from(&bound[i].order_by);
            }
        }
        let frame = match &spec.frame {
            Some(frame) => self.bind_frame(frame, &order_by, spec.at)?,
            None => default_frame(),
        };
        Ok(BoundWindow { partition_by, order_by, frame })
    }

    fn bind_frame(
        &mut self,
        spec: &FrameSpec,
        order_by: &[SortKey],
        window_at: Offset,
    ) -> Result<Frame> {
        let offsets = [&spec.start, &spec.end]
            .iter()
            .any(|e| matches!(e, FrameEdge::Preceding(_) | FrameEdge::Following(_)));
        let fault = match spec.unit {
            FrameUnit::Range if offsets && order_by.len() != 1 => {
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column"
            }
            FrameUnit::Groups if order_by.is_empty() => "GROUPS mode requires an ORDER BY clause",
            _ => "",
        };
        if !fault.is_empty() {
            return Err(self.error(SqlState::WINDOWING_ERROR, fault, window_at));
        }
        let start = self.bind_edge(spec, &spec.start, order_by)?;
        let end = self.bind_edge(spec, &spec.end, order_by)?;
        Ok(Frame { unit: spec.unit, start, end, exclude: spec.exclude })
    }

    fn bind_edge(
        &mut self,
        spec: &FrameSpec,
        edge: &FrameEdge,
        order_by: &[SortKey],
    ) -> Result<FrameBound> {
        Ok(match edge {
            FrameEdge::UnboundedPreceding => FrameBound::UnboundedPreceding,
            FrameEdge::CurrentRow => FrameBound::CurrentRow,
            FrameEdge::UnboundedFollowing => FrameBound::UnboundedFollowing,
            FrameEdge::Preceding(ast) => {
                FrameBound::Preceding(self.bind_offset(spec, ast, order_by)?)
            }
            FrameEdge::Following(ast) => {
                FrameBound::Following(self.bind_offset(spec, ast, order_by)?)
            }
        })
    }

    fn bind_offset(
        &mut self,
        spec: &FrameSpec,
        ast: &ast::Expr,
        order_by: &[SortKey],
    ) -> Result<Expr> {
        let name = match spec.unit {
            FrameUnit::Rows => "ROWS",
            FrameUnit::Range => "RANGE",
            FrameUnit::Groups => "GROUPS",
        };
        let mark = self.level().uses.len();
        let bound = self.bind_in(ast, Clause::WindowFrame)?;
        self.level().uses.truncate(mark);
        let bound = match (spec.unit, order_by) {
            (FrameUnit::Range, [key]) => self.range_offset(bound, key.expr.ty(), ast)?,
            _ => self.coerce_clause(bound, SqlType::INT8, name, ast.start())?,
        };
        self.refuse_columns(bound, name, ast.start())
    }

    /// The offset of a RANGE frame: of the sort key's type, or an interval.
    fn range_offset(&mut self, offset: Expr, key: SqlType, ast: &ast::Expr) -> Result<Expr> {
        use BaseType::*;
        let wanted = match key.base {
            _ if key.is_array => None,
            Int2 | Int4 | Int8 | Float4 | Float8 | Numeric => Some(key.plain()),
            Date | Time | Timestamp | Timestamptz | Interval => Some(SqlType::INTERVAL),
            _ => None,
        };
        let at = ast.start();
        let Some(wanted) = wanted else {
            let message = format!(
                "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {key}"
            );
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at));
        };
        let from = offset.ty();
        let integers = matches!(wanted.base, Int2 | Int4 | Int8);
        let context = if integers { CastContext::Assignment } else { CastContext::Implicit };
        let fits = coerce::can_coerce(from, wanted, context)
            && (!integers || matches!(from.base, Int2 | Int4 | Int8 | Unknown));
        if !fits {
            let message = format!(
                "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {key} and \
                 offset type {from}"
            );
            let error = self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at);
            return Err(error.with_hint("Cast the offset value to an appropriate type."));
        }
        // PostgreSQL has `in_range` of small integers with larger offsets.
        if matches!(wanted.base, Int2 | Int4) && matches!(from.base, Int2 | Int4 | Int8) {
            return Ok(offset);
        }
        self.coerce(offset, wanted, ast.at)
    }

    /// 42P10 for an expression that must not depend on rows.
    pub(super) fn refuse_columns(&self, mut expr: Expr, what: &str, at: Offset) -> Result<Expr> {
        let depth = self.levels.len() as u32 - 1;
        let mut found = false;
        walk::columns(&mut expr, &mut |id| found |= self.column_info(id).level == depth);
        if found {
            let message = format!("argument of {what} must not contain variables");
            return Err(self.error(SqlState::INVALID_COLUMN_REFERENCE, message, at));
        }
        Ok(expr)
    }
}

/// The frame of a window that says nothing about it.
fn default_frame() -> Frame {
    Frame {
        unit: FrameUnit::Range,
        start: FrameBound::UnboundedPreceding,
        end: FrameBound::CurrentRow,
        exclude: FrameExclude::NoOthers,
    }
}
