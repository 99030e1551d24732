//! Calls: which function is meant (manual, 10.3), and whether it may be called this way.

use super::super::ast::{self, Argument, ExprKind, Ident, Offset};
use super::super::bound::{Call, Column, Expr};
use super::level::{Producer, SetCall};
use super::overload::{Choice, Types, candidates, choose, exact};
use super::{Binder, generic, types};
use crate::error::{Error, Result, SqlState};
use crate::functions::{CastContext, Function, FunctionKind, functions_named};
use crate::types::SqlType;

/// Arguments a call may have (PostgreSQL's FUNC_MAX_ARGS).
const ARGUMENTS_MAX: usize = 100;

/// A function found for a call, and the types of its arguments and result there.
pub(super) struct Resolved {
    pub function: &'static Function,
    pub types: Vec<SqlType>,
    pub result: SqlType,
}

/// What a name with arguments turned out to be.
enum Meaning {
    Function(Resolved),
    /// `type(value)`: a cast.
    Cast(SqlType),
}

impl Binder<'_> {
    pub(super) fn call(&mut self, call: &ast::Call, at: Offset) -> Result<Expr> {
        if call.args.len() > ARGUMENTS_MAX {
            let message = format!("cannot pass more than {ARGUMENTS_MAX} arguments to a function");
            return Err(self.error(SqlState::TOO_MANY_ARGUMENTS, message, at));
        }
        self.check_schema(call)?;
        let kind = self.kind_of_name(call);
        if !call.within_group.is_empty()
            && matches!(kind, Some(FunctionKind::Aggregate(_) | FunctionKind::Window(_)))
        {
            return self.ordered_set_call(call, at);
        }
        match kind {
            Some(FunctionKind::Aggregate(_)) if call.over.is_none() => {
                self.aggregate_call(call, at)
            }
            Some(FunctionKind::Aggregate(_) | FunctionKind::Window(_)) if call.over.is_some() => {
                self.window_call(call, at)
            }
            Some(FunctionKind::Window(_)) => {
                let resolved = self.bind_args(call, at).and_then(|args| {
                    let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
                    self.resolve_function(call, &types, at)
                });
                resolved?;
                let message = format!("window function {} requires an OVER clause", name_of(call));
                Err(self.error(SqlState::WRONG_OBJECT_TYPE, message, at))
            }
            _ => self.plain_call(call, at),
        }
    }

    /// What the functions of the call's name are: PostgreSQL's names never mix kinds, but for a
    /// few that this sorts out by whether OVER was written.
    fn kind_of_name(&self, call: &ast::Call) -> Option<FunctionKind> {
        let name = call.name.last()?;
        functions_named(&name.name).first().map(|f| f.kind)
    }

    /// Functions are in pg_catalog alone.
    fn check_schema(&self, call: &ast::Call) -> Result<()> {
        let [schema, _] = call.name.as_slice() else {
            if call.name.len() > 2 && &*call.name[0].name != self.catalog.database_name() {
                let name: Vec<&str> = call.name.iter().map(|p| &*p.name).collect();
                let message =
                    format!("cross-database references are not implemented: {}", name.join("."));
                let at = call.name[0].at;
                return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at));
            }
            return Ok(());
        };
        if &*schema.name == "pg_catalog" {
            return Ok(());
        }
        if !self.catalog.has_schema(&schema.name) {
            let message = format!("schema \"{}\" does not exist", schema.name);
            return Err(self.error(SqlState::INVALID_SCHEMA_NAME, message, schema.at));
        }
        Ok(())
    }

    fn in_catalog(&self, call: &ast::Call) -> bool {
        call.name.len() == 1 || &*call.name[call.name.len() - 2].name == "pg_catalog"
    }

    /// The arguments bound; `t.*` becomes the row.
    pub(super) fn bind_args(&mut self, call: &ast::Call, at: Offset) -> Result<Vec<Expr>> {
        if let Some(named) = call.args.iter().find_map(|a| a.name.as_ref()) {
            return self.named_args(call, named, at);
        }
        let mut out = Vec::with_capacity(call.args.len());
        for Argument { expr, .. } in &call.args {
            match &expr.kind {
                ExprKind::Star(qualifier) if !qualifier.is_empty() => {
                    out.push(match self.find_source(qualifier, qualifier)? {
                        Some((level, source)) => self.whole_row(level, source, expr.at),
                        None => whole_row(self.star_columns(qualifier)?),
                    });
                }
                _ => out.push(self.expr(expr)?),
            }
        }
        Ok(out)
    }

    /// Arguments by name, for the functions whose parameters' names are known.
    fn named_args(&mut self, call: &ast::Call, named: &Ident, _at: Offset) -> Result<Vec<Expr>> {
        let function = call.name.last().map_or("", |n| &*n.name);
        let Some((_, parameters)) = PARAMETER_NAMES.iter().find(|(name, _)| *name == function)
        else {
            return Err(self.unsupported("an argument by name", named.at));
        };
        let mut args: Vec<Option<Expr>> = Vec::new();
        for (i, argument) in call.args.iter().enumerate() {
            let place = match &argument.name {
                None if args.len() > i || args.iter().any(Option::is_none) => {
                    let message = "positional argument cannot follow named argument";
                    let at = argument.expr.start();
                    return Err(self.error(SqlState::SYNTAX_ERROR, message, at));
                }
                None => i,
                Some(name) => match parameters.iter().position(|(p, _)| *p == &*name.name) {
                    Some(place) => place,
                    None => return Err(self.no_such_function(call, &[], name.at)),
                },
            };
            if place >= args.len() {
                args.resize_with(place + 1, || None);
            }
            if args[place].is_some() {
                let name = parameters[place].0;
                let message = format!("argument name \"{name}\" used more than once");
                return Err(self.error(SqlState::SYNTAX_ERROR, message, argument.expr.start()));
            }
            args[place] = Some(self.expr(&argument.expr)?);
        }
        let defaults = args.into_iter().zip(*parameters).map(|(arg, (_, default))| match arg {
            Some(arg) => Ok(arg),
            None => super::literal::number(default),
        });
        defaults.collect()
    }

    fn plain_call(&mut self, call: &ast::Call, at: Offset) -> Result<Expr> {
        let rank = self.level().sets.len();
        let mut args = self.bind_args(call, at)?;
        for item in &call.within_group {
            args.push(self.expr(&item.expr)?);
        }
        let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        let resolved = match self.meaning(call, &types, at)? {
            Meaning::Function(resolved) => resolved,
            Meaning::Cast(ty) => return self.cast_by_name(args, ty, call, at),
        };
        self.check_plain(call, at)?;
        let places = places(call);
        let mut args = self.arguments(args, &resolved.types, &places)?;
        if call.variadic {
            args = self.spread(args, at)?;
        }
        let Resolved { function, result, .. } = resolved;
        let bound = Call { function, args, ty: result, position: 0 };
        match function.kind {
            FunctionKind::Set(_, outputs) => self.lift_set(bound, outputs, rank, call, at),
            _ => Ok(Expr::Call(bound)),
        }
    }

    fn cast_by_name(
        &mut self,
        mut args: Vec<Expr>,
        ty: SqlType,
        call: &ast::Call,
        at: Offset,
    ) -> Result<Expr> {
        let place = call.args[0].expr.at;
        let from = args[0].ty();
        match self.coerce_to(args.remove(0), ty, CastContext::Explicit, place)? {
            Some(expr) => Ok(expr),
            None => Err(self.no_such_function(call, &[from], at)),
        }
    }

    /// `VARIADIC ARRAY[…]`: the elements as arguments.
    fn spread(&mut self, mut args: Vec<Expr>, at: Offset) -> Result<Vec<Expr>> {
        match args.pop() {
            Some(Expr::Array(items, _)) => {
                args.extend(items);
                Ok(args)
            }
            _ => Err(self.unsupported("VARIADIC of anything but ARRAY[…]", at)),
        }
    }

    /// Aggregates' clauses on what is none.
    fn check_plain(&self, call: &ast::Call, at: Offset) -> Result<()> {
        let name = name_of(call);
        let message = if call.star {
            format!("{name}(*) specified, but {name} is not an aggregate function")
        } else if call.distinct {
            format!("DISTINCT specified, but {name} is not an aggregate function")
        } else if !call.within_group.is_empty() {
            format!("WITHIN GROUP specified, but {name} is not an aggregate function")
        } else if !call.order_by.is_empty() {
            format!("ORDER BY specified, but {name} is not an aggregate function")
        } else if call.filter.is_some() {
            format!("FILTER specified, but {name} is not an aggregate function")
        } else if call.over.is_some() {
            format!("OVER specified, but {name} is not a window function nor an aggregate function")
        } else {
            return Ok(());
        };
        Err(self.error(SqlState::WRONG_OBJECT_TYPE, message, at))
    }

    /// The function that a call with arguments of these types means, or an error.
    pub(super) fn resolve_function(
        &self,
        call: &ast::Call,
        actual: &[SqlType],
        at: Offset,
    ) -> Result<Resolved> {
        match self.meaning(call, actual, at)? {
            Meaning::Function(resolved) => Ok(resolved),
            Meaning::Cast(_) => Err(self.no_such_function(call, actual, at)),
        }
    }

    fn meaning(&self, call: &ast::Call, actual: &[SqlType], at: Offset) -> Result<Meaning> {
        let name = call.name.last().map_or("", |n| &*n.name);
        let named = if self.in_catalog(call) { functions_named(name) } else { &[] };
        let found = if call.variadic {
            spread_candidates(named, actual.len())
        } else {
            candidates(named, actual.len())
        };
        if let Some(function) = exact(&found, actual) {
            let types = actual.to_vec();
            return Ok(Meaning::Function(Resolved { function, types, result: function.result }));
        }
        if let Some(ty) = self.cast_meaning(call, actual) {
            return Ok(Meaning::Cast(ty));
        }
        match choose(found, actual) {
            Choice::One((function, declared)) => {
                resolved(function, &declared, actual).map(Meaning::Function)
            }
            Choice::None => Err(self.no_such_function(call, actual, at)),
            Choice::Several => {
                let message = format!("function {} is not unique", signature(call, actual));
                let error = self.error(SqlState::AMBIGUOUS_FUNCTION, message, at);
                Err(error.with_hint(
                    "Could not choose a best candidate function. You might need to add explicit \
                     type casts.",
                ))
            }
        }
    }

    /// `type(value)`, where that cast changes no bits or reads a literal, or goes through text.
    fn cast_meaning(&self, call: &ast::Call, actual: &[SqlType]) -> Option<SqlType> {
        let plain = !call.special
            && !call.distinct
            && call.order_by.is_empty()
            && call.filter.is_none()
            && call.over.is_none()
            && !call.variadic;
        let [from] = actual else { return None };
        if !plain {
            return None;
        }
        let name = ast::TypeName {
            name: call.name.clone(),
            modifiers: Vec::new(),
            array: false,
            set_of: false,
            at: 0,
        };
        let ty = types::resolve(&name).ok()?;
        if from.same(SqlType::UNKNOWN) || from.same(ty) {
            return Some(ty);
        }
        use crate::functions::CastMethod;
        let cast = crate::functions::find_cast(*from, ty)?;
        let strings = from.category() == 'S' || ty.category() == 'S';
        match cast.method {
            CastMethod::Binary => Some(ty),
            CastMethod::Text if strings && !from.same(SqlType::RECORD) => Some(ty),
            _ => None,
        }
    }

    pub(super) fn no_such_function(
        &self,
        call: &ast::Call,
        actual: &[SqlType],
        at: Offset,
    ) -> Error {
        let message = format!("function {} does not exist", signature(call, actual));
        let hint = "No function matches the given name and argument types. You might need to add \
                    explicit type casts.";
        let hint = if call.order_by.is_empty() || actual.is_empty() {
            hint
        } else {
            "No aggregate function matches the given name and argument types. Perhaps you \
             misplaced ORDER BY; ORDER BY must appear after all regular arguments of the aggregate."
        };
        self.error(SqlState::UNDEFINED_FUNCTION, message, at).with_hint(hint)
    }

    /// A set-returning call becomes a column of the level.
    fn lift_set(
        &mut self,
        call: Call,
        outputs: &'static [(&'static str, SqlType)],
        rank_from: usize,
        ast: &ast::Call,
        at: Offset,
    ) -> Result<Expr> {
        let clause = self.clause();
        if let Some(reason) = self.level().set_barriers.last() {
            let message = format!("set-returning functions are not allowed in {reason}");
            let error = self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at);
            return Err(error.with_hint(MOVE_SET));
        }
        if !clause.allows_sets() {
            let message = format!("set-returning functions are not allowed in {}", clause.name());
            return Err(self.error(SqlState::FEATURE_NOT_SUPPORTED, message, at));
        }
        let depth = self.levels.len() - 1;
        let outputs = set_outputs(&call, outputs, name_of(ast));
        let columns: Vec<Column> = outputs
            .into_iter()
            .map(|(name, ty)| Column {
                id: self.new_id(depth, Producer::Set, at),
                name: name.into(),
                ty,
                origin: None,
            })
            .collect();
        let rank = self.level().sets[rank_from..].iter().map(|s| s.rank + 1).max().unwrap_or(0);
        let value = |c: &Column| Expr::Column(c.id, c.ty);
        let expr = match columns.as_slice() {
            [one] => value(one),
            several => {
                let names = several.iter().map(|c| c.name.clone()).collect();
                Expr::Row(several.iter().map(value).collect(), Some(names))
            }
        };
        self.level().sets.push(SetCall { call, columns, rank });
        Ok(expr)
    }
}

/// The row of an item of FROM.
pub(super) fn whole_row(columns: Vec<super::scope::ScopeColumn>) -> Expr {
    let names = columns.iter().map(|c| c.name.clone()).collect();
    Expr::Row(columns.into_iter().map(|c| c.expr).collect(), Some(names))
}

/// A function with the types that a call gives it.
fn resolved(function: &'static Function, declared: &Types, actual: &[SqlType]) -> Result<Resolved> {
    if !declared.iter().copied().any(generic::is_polymorphic) {
        let types = declared.to_vec();
        return Ok(Resolved { function, types, result: function.result });
    }
    let (types, result) = generic::resolve(declared, actual, function.result)?;
    Ok(Resolved { function, types, result })
}

/// What a set-returning call produces: names and types.
pub(super) fn set_outputs(
    call: &Call,
    outputs: &'static [(&'static str, SqlType)],
    name: &str,
) -> Vec<(String, SqlType)> {
    match outputs {
        [] => vec![(name.to_owned(), call.ty)],
        [(name, ty)] if generic::is_polymorphic(*ty) => vec![((*name).to_owned(), call.ty)],
        several => several.iter().map(|(name, ty)| ((*name).to_owned(), *ty)).collect(),
    }
}

/// Candidates when VARIADIC was written: the last argument is the whole array.
fn spread_candidates(
    functions: &'static [&'static Function],
    count: usize,
) -> smallvec::SmallVec<[super::overload::Candidate<&'static Function>; 4]> {
    functions
        .iter()
        .filter(|f| f.variadic && f.args.len() == count)
        .map(|f| {
            let mut types: Types = f.args.iter().copied().collect();
            if let Some(last) = types.last_mut()
                && last.same(super::coerce::ANY)
            {
                *last = SqlType::of(crate::types::BaseType::AnyArray);
            }
            super::overload::Candidate { item: *f, types }
        })
        .collect()
}

/// Where the arguments stand.
pub(super) fn places(call: &ast::Call) -> Vec<Offset> {
    call.args.iter().map(|a| a.expr.at).collect()
}

/// A function's name in messages.
pub(super) fn name_of(call: &ast::Call) -> &str {
    call.name.last().map_or("", |n| &*n.name)
}

/// `name(types)` as messages have it.
pub(super) fn signature(call: &ast::Call, actual: &[SqlType]) -> String {
    let mut name: Vec<&str> = call.name.iter().map(|p| &*p.name).collect();
    if call.special {
        name.insert(0, "pg_catalog");
    }
    let types: Vec<String> = actual.iter().map(SqlType::to_string).collect();
    format!("{}({})", name.join("."), types.join(", "))
}

/// What to do with a set-returning call that may not stand where it does.
pub(super) const MOVE_SET: &str =
    "You might be able to move the set-returning function into a LATERAL FROM item.";

/// Names of parameters, with the defaults of those that have one.
const PARAMETER_NAMES: &[(&str, &[(&str, &str)])] = &[(
    "make_interval",
    &[
        ("years", "0"),
        ("months", "0"),
        ("weeks", "0"),
        ("days", "0"),
        ("hours", "0"),
        ("mins", "0"),
        ("secs", "0.0"),
    ],
)];
