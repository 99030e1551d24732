//! Constant folding.
//!
//! Calls of immutable functions over constants become their values. Logic simplifies from left to
//! right, and CASE drops arms that cannot be reached before they are folded, so that, as in
//! PostgreSQL, `CASE WHEN false THEN 1/0 END` is no error and `SELECT 1/0` is one when it is
//! planned.

use crate::error::Result;
use crate::functions::{CastMethod, EvalContext, Volatility, apply_cast, eval_typed, find_cast};
use crate::plan::tree;
use crate::sql::bound::{Call, Expr, Rel, Statement};
use crate::types::{BaseType, Datum, SqlType};

/// Folds everything in a statement.
pub fn statement(statement: &mut Statement, context: &EvalContext) -> Result<()> {
    match statement {
        Statement::Query(rel) => relation(rel, context),
        Statement::Insert(insert) => {
            relation(&mut insert.source, context)?;
            for (e, _) in &mut insert.returning.exprs {
                expression(e, context)?;
            }
            if let Some(update) = insert.on_conflict.as_mut().and_then(|c| c.update.as_mut()) {
                for (_, e) in &mut update.assignments {
                    expression(e, context)?;
                }
                if let Some(e) = &mut update.filter {
                    expression(e, context)?;
                }
            }
            each(insert.checks.iter_mut().map(|(_, e)| e), context)
        }
        Statement::Update(update) => {
            relation(&mut update.source, context)?;
            each(update.assignments.iter_mut().map(|(_, e)| e), context)?;
            each(update.checks.iter_mut().map(|(_, e)| e), context)?;
            each(update.returning.exprs.iter_mut().map(|(e, _)| e), context)
        }
        Statement::Delete(delete) => {
            relation(&mut delete.source, context)?;
            each(delete.returning.exprs.iter_mut().map(|(e, _)| e), context)
        }
        Statement::With(with) => {
            for (_, cte) in &mut with.ctes {
                self::statement(cte, context)?;
            }
            self::statement(&mut with.main, context)
        }
    }
}

fn each<'a>(exprs: impl Iterator<Item = &'a mut Expr>, context: &EvalContext) -> Result<()> {
    for e in exprs {
        expression(e, context)?;
    }
    Ok(())
}

/// Folds the constants of a relation.
pub fn relation(rel: &mut Rel, context: &EvalContext) -> Result<()> {
    let mut result = Ok(());
    tree::each_input_mut(rel, &mut |input| {
        if result.is_ok() {
            result = relation(input, context);
        }
    });
    tree::each_expr_mut(rel, &mut |e| {
        if result.is_ok() {
            result = expression(e, context);
        }
    });
    result
}

/// Folds one expression.
pub fn expression(expr: &mut Expr, context: &EvalContext) -> Result<()> {
    match expr {
        Expr::And(_) | Expr::Or(_) => return junction(expr, context),
        Expr::Case { .. } => return case(expr, context),
        Expr::Coalesce(..) => return coalesce(expr, context),
        _ => {}
    }
    let mut result = Ok(());
    tree::each_operand_mut(expr, &mut |e| {
        if result.is_ok() {
            result = expression(e, context);
        }
    });
    result?;
    if let Expr::Subquery(sub) = expr {
        return relation(&mut sub.rel, context);
    }
    if let Some((value, ty)) = value_of(expr, context)? {
        *expr = Expr::Literal(value, ty);
    }
    Ok(())
}

/// The value of an expression whose operands are folded, if it is a constant.
fn value_of(expr: &Expr, context: &EvalContext) -> Result<Option<(Datum, SqlType)>> {
    Ok(match expr {
        Expr::Call(call) => call_value(call, context)?.map(|v| (v, call.ty)),
        Expr::Cast { expr, from, to, explicit, position } => match expr.as_ref() {
            Expr::Literal(Datum::Null, _) => Some((Datum::Null, *to)),
            Expr::Literal(value, _) if is_immutable_cast(*from, *to) => {
                let value = apply_cast(context, value.clone(), *from, *to, *explicit)
                    .map_err(|e| e.at(*position))?;
                Some((value, *to))
            }
            _ => None,
        },
        Expr::Not(e) => match e.as_ref() {
            Expr::Literal(Datum::Bool(v), _) => Some((Datum::Bool(!v), SqlType::BOOL)),
            Expr::Literal(Datum::Null, _) => Some((Datum::Null, SqlType::BOOL)),
            _ => None,
        },
        Expr::IsNull(e) => match e.as_ref() {
            Expr::Literal(value, _) if !matches!(value, Datum::Record(_)) => {
                Some((Datum::Bool(value.is_null()), SqlType::BOOL))
            }
            _ => None,
        },
        Expr::IsBool(e, wanted) => match e.as_ref() {
            Expr::Literal(Datum::Bool(v), _) => Some((Datum::Bool(v == wanted), SqlType::BOOL)),
            Expr::Literal(Datum::Null, _) => Some((Datum::Bool(false), SqlType::BOOL)),
            _ => None,
        },
        Expr::Array(list, ty) => array_value(list).map(|v| (v(ty.base), *ty)),
        _ => None,
    })
}

/// Makes the array once its element type is told.
type MakeArray = Box<dyn FnOnce(BaseType) -> Datum>;

fn array_value(list: &[Expr]) -> Option<MakeArray> {
    let values = list
        .iter()
        .map(|e| match e {
            Expr::Literal(value, _) => Some(value.clone()),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Box::new(move |element| {
        Datum::Array(std::sync::Arc::new(crate::types::Array { element, lower_bound: 1, values }))
    }))
}

fn call_value(call: &Call, context: &EvalContext) -> Result<Option<Datum>> {
    let function = call.function;
    if function.strict && call.args.iter().any(is_null) {
        let pure = function.volatility != Volatility::Volatile;
        return Ok(pure.then_some(Datum::Null));
    }
    if function.volatility != Volatility::Immutable {
        return Ok(None);
    }
    let mut args = Vec::with_capacity(call.args.len());
    for arg in &call.args {
        match arg {
            Expr::Literal(value, _) => args.push(value.clone()),
            _ => return Ok(None),
        }
    }
    let types: Vec<SqlType> = call.args.iter().map(Expr::ty).collect();
    eval_typed(function, context, &types, &args).map(Some).map_err(|e| e.at(call.position))
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(Datum::Null, _))
}

/// Whether a cast depends on its value alone. The text forms of dates, times and reg types depend
/// on settings and the catalog; relabelling and functions do as the function says.
fn is_immutable_cast(from: SqlType, to: SqlType) -> bool {
    if from.same(to) {
        return true;
    }
    let Some(cast) = find_cast(from, to) else { return false };
    match cast.method {
        CastMethod::Binary => true,
        CastMethod::Function(f) => f.volatility == Volatility::Immutable,
        CastMethod::Text => is_plain_text(from) && is_plain_text(to),
    }
}

fn is_plain_text(ty: SqlType) -> bool {
    use BaseType::*;
    matches!(
        ty.base,
        Bool | Int2
            | Int4
            | Int8
            | Numeric
            | Text
            | Varchar
            | Bpchar
            | Name
            | Uuid
            | Json
            | Jsonb
            | Unknown
    )
}

/// AND and OR: operands are folded from left to right up to one that decides.
fn junction(expr: &mut Expr, context: &EvalContext) -> Result<()> {
    let (list, decisive) = match expr {
        Expr::And(list) => (std::mem::take(list), false),
        Expr::Or(list) => (std::mem::take(list), true),
        _ => return Ok(()),
    };
    let mut kept = Vec::with_capacity(list.len());
    let mut null = false;
    for mut operand in list {
        expression(&mut operand, context)?;
        match operand {
            Expr::Literal(Datum::Bool(v), _) if v == decisive => {
                *expr = Expr::Literal(Datum::Bool(decisive), SqlType::BOOL);
                return Ok(());
            }
            Expr::Literal(Datum::Bool(_), _) => {}
            Expr::Literal(Datum::Null, _) => null = true,
            Expr::And(inner) if !decisive => kept.extend(inner),
            Expr::Or(inner) if decisive => kept.extend(inner),
            other => kept.push(other),
        }
    }
    if null {
        kept.push(Expr::Literal(Datum::Null, SqlType::BOOL));
    }
    *expr = match (kept.len(), decisive) {
        (0, _) => Expr::Literal(Datum::Bool(!decisive), SqlType::BOOL),
        (1, _) => kept.remove(0),
        (_, false) => Expr::And(kept),
        (_, true) => Expr::Or(kept),
    };
    Ok(())
}

fn case(expr: &mut Expr, context: &EvalContext) -> Result<()> {
    let Expr::Case { arms, otherwise, .. } = expr else { return Ok(()) };
    let mut kept = Vec::with_capacity(arms.len());
    for (mut when, mut then) in std::mem::take(arms) {
        expression(&mut when, context)?;
        match when {
            Expr::Literal(Datum::Bool(false) | Datum::Null, _) => continue,
            Expr::Literal(Datum::Bool(true), _) => {
                expression(&mut then, context)?;
                **otherwise = then;
                return finish_case(expr, kept);
            }
            _ => {}
        }
        expression(&mut then, context)?;
        kept.push((when, then));
    }
    expression(otherwise, context)?;
    finish_case(expr, kept)
}

fn finish_case(expr: &mut Expr, kept: Vec<(Expr, Expr)>) -> Result<()> {
    let Expr::Case { arms, otherwise, .. } = expr else { return Ok(()) };
    if kept.is_empty() {
        let value = std::mem::replace(&mut **otherwise, Expr::Literal(Datum::Null, SqlType::BOOL));
        *expr = value;
    } else {
        *arms = kept;
    }
    Ok(())
}

fn coalesce(expr: &mut Expr, context: &EvalContext) -> Result<()> {
    let Expr::Coalesce(list, ty) = expr else { return Ok(()) };
    let mut kept = Vec::with_capacity(list.len());
    for mut operand in std::mem::take(list) {
        expression(&mut operand, context)?;
        match &operand {
            Expr::Literal(Datum::Null, _) => {}
            Expr::Literal(..) => {
                kept.push(operand);
                break;
            }
            _ => kept.push(operand),
        }
    }
    let ty = *ty;
    *expr = match kept.len() {
        0 => Expr::Literal(Datum::Null, ty),
        1 => kept.remove(0),
        _ => Expr::Coalesce(kept, ty),
    };
    Ok(())
}
