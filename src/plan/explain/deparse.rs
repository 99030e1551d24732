//! Expressions as PostgreSQL's EXPLAIN writes them.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use crate::catalog::quote_ident;
use crate::functions::{Function, all_operators};
use crate::plan::tree;
use crate::sql::bound::{AggregateCall, Call, ColId, Expr, Rel, SortKey, Statement, SubqueryKind};
use crate::types::{BaseType, Datum, SqlType, io, pg_type};

/// Names of a statement's columns, as EXPLAIN shows them.
#[derive(Default)]
pub struct Names {
    columns: HashMap<ColId, String>,
}

impl Names {
    /// Known columns only: for an expression that a descriptor keeps.
    pub fn of_columns<'n>(columns: impl Iterator<Item = (ColId, &'n str)>) -> Names {
        let named = columns.map(|(id, name)| (id, quote_ident(name).into_owned()));
        Names { columns: named.collect() }
    }

    /// The names in a statement. With more than one table, columns are qualified.
    pub fn of(statement: &Statement) -> Names {
        let mut rels: Vec<&Rel> = Vec::new();
        let mut names = Names::default();
        names.gather(statement, &mut rels);
        let mut tables = HashSet::new();
        let mut count = 0;
        for rel in &rels {
            tree::each_rel_deep(rel, &mut |r| {
                if let Rel::Scan(scan) = r {
                    tables.insert(scan.alias.clone());
                    count += 1;
                }
            });
        }
        for rel in &rels {
            names.add(rel, count > 1);
        }
        names
    }

    fn gather<'s>(&mut self, statement: &'s Statement, rels: &mut Vec<&'s Rel>) {
        match statement {
            Statement::Query(rel) => rels.push(rel),
            Statement::Insert(insert) => {
                rels.push(&insert.source);
                for c in &insert.target {
                    self.columns.insert(c.id, quote_ident(&c.name).into_owned());
                }
            }
            Statement::Update(update) => rels.push(&update.source),
            Statement::Delete(delete) => rels.push(&delete.source),
            Statement::With(with) => {
                with.ctes.iter().for_each(|(_, cte)| self.gather(cte, rels));
                self.gather(&with.main, rels);
            }
        }
    }

    fn add(&mut self, rel: &Rel, qualified: bool) {
        // Inputs first: what a node makes is said in terms of them.
        tree::each_input(rel, &mut |input| self.add(input, qualified));
        tree::each_expr(rel, &mut |e| {
            tree::walk(e, &mut |e| {
                if let Expr::Subquery(sub) = e {
                    self.add(&sub.rel, qualified);
                }
            });
        });
        match rel {
            Rel::Scan(scan) => {
                for (_, column) in &scan.columns {
                    let name = quote_ident(&column.name);
                    let name = match qualified {
                        true => format!("{}.{name}", quote_ident(&scan.alias)),
                        false => name.into_owned(),
                    };
                    self.columns.insert(column.id, name);
                }
            }
            Rel::Project { exprs, .. } => {
                for (e, c) in exprs {
                    let text = self.expr(e);
                    self.columns.entry(c.id).or_insert(text);
                }
            }
            Rel::Aggregate { groups, aggregates, .. } => {
                for (e, c) in groups {
                    let text = self.expr(e);
                    self.columns.entry(c.id).or_insert(text);
                }
                for a in aggregates {
                    let text = format!("({})", self.aggregate(a));
                    self.columns.insert(a.output.id, text);
                }
            }
            other => {
                for c in other.columns() {
                    self.columns.entry(c.id).or_insert(quote_ident(&c.name).into_owned());
                }
            }
        }
    }

    fn aggregate(&self, call: &AggregateCall) -> String {
        let args = if call.args.is_empty() { "*".to_owned() } else { self.list(&call.args) };
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let order = if call.order_by.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", self.sort_keys(&call.order_by))
        };
        let filter = match &call.filter {
            Some(f) => format!(" FILTER (WHERE {})", self.expr(f)),
            None => String::new(),
        };
        format!("{}({distinct}{args}{order}){filter}", call.function.name)
    }

    /// Conditions, ANDed.
    pub fn conjunction(&self, exprs: &[Expr]) -> String {
        match exprs {
            [one] => self.expr(one),
            many => self.joined(many, " AND "),
        }
    }

    fn joined(&self, exprs: &[Expr], with: &str) -> String {
        let parts: Vec<String> = exprs.iter().map(|e| self.expr(e)).collect();
        format!("({})", parts.join(with))
    }

    /// Expressions with commas between.
    pub fn list(&self, exprs: &[Expr]) -> String {
        let parts: Vec<String> = exprs.iter().map(|e| self.expr(e)).collect();
        parts.join(", ")
    }

    /// Sort keys.
    pub fn sort_keys(&self, keys: &[SortKey]) -> String {
        let parts: Vec<String> = keys
            .iter()
            .map(|k| {
                let desc = if k.desc { " DESC" } else { "" };
                let nulls = match (k.desc, k.nulls_first) {
                    (false, true) => " NULLS FIRST",
                    (true, false) => " NULLS LAST",
                    _ => "",
                };
                format!("{}{desc}{nulls}", self.expr(&k.expr))
            })
            .collect();
        parts.join(", ")
    }

    /// One expression.
    pub fn expr(&self, expr: &Expr) -> String {
        match expr {
            Expr::Literal(value, ty) => literal(value, *ty),
            Expr::Param(i, _) => format!("${}", i + 1),
            Expr::Column(id, _) => {
                self.columns.get(id).cloned().unwrap_or_else(|| format!("column{}", id.0))
            }
            Expr::Call(call) => self.call(call),
            Expr::Cast { expr, to, .. } => match expr.as_ref() {
                Expr::Literal(..) | Expr::Column(..) | Expr::Param(..) => {
                    format!("({})::{}", self.expr(expr), pg_type::format_type(*to))
                }
                other => format!("({})::{}", self.expr(other), pg_type::format_type(*to)),
            },
            Expr::And(list) => self.joined(list, " AND "),
            Expr::Or(list) => self.joined(list, " OR "),
            Expr::Not(e) => match e.as_ref() {
                Expr::IsNull(e) => format!("({} IS NOT NULL)", self.expr(e)),
                other => format!("(NOT {})", self.expr(other)),
            },
            Expr::IsNull(e) => format!("({} IS NULL)", self.expr(e)),
            Expr::IsBool(e, true) => format!("({} IS TRUE)", self.expr(e)),
            Expr::IsBool(e, false) => format!("({} IS FALSE)", self.expr(e)),
            Expr::IsDistinct { left, right, .. } => {
                format!("({} IS DISTINCT FROM {})", self.expr(left), self.expr(right))
            }
            Expr::Case { arms, otherwise, .. } => {
                let arms: Vec<String> = arms
                    .iter()
                    .map(|(w, t)| format!("WHEN {} THEN {}", self.expr(w), self.expr(t)))
                    .collect();
                format!("CASE {} ELSE {} END", arms.join(" "), self.expr(otherwise))
            }
            Expr::Coalesce(list, _) => format!("COALESCE({})", self.list(list)),
            Expr::Extreme { greatest: true, args, .. } => format!("GREATEST({})", self.list(args)),
            Expr::Extreme { args, .. } => format!("LEAST({})", self.list(args)),
            Expr::AnyAll { any, left, array, function, .. } => {
                let word = if *any { "ANY" } else { "ALL" };
                let (left, array) = (self.expr(left), self.expr(array));
                format!("({left} {} {word} ({array}))", symbol(function).unwrap_or("?"))
            }
            Expr::Array(list, _) => format!("ARRAY[{}]", self.list(list)),
            Expr::Subscript { array, index, .. } => {
                format!("({})[{}]", self.expr(array), self.expr(index))
            }
            Expr::Row(list, _) => format!("ROW({})", self.list(list)),
            Expr::Subquery(sub) => match sub.kind {
                SubqueryKind::Exists => "EXISTS(SubPlan)".to_owned(),
                SubqueryKind::AnyAll { .. } => "(hashed SubPlan)".to_owned(),
                _ => "(SubPlan)".to_owned(),
            },
        }
    }

    fn call(&self, call: &Call) -> String {
        match (symbol(call.function), call.args.as_slice()) {
            (Some(op), [left, right]) => {
                format!("({} {op} {})", self.expr(left), self.expr(right))
            }
            (Some(op), [only]) => format!("({op} {})", self.expr(only)),
            _ => format!("{}({})", quote_ident(call.function.name), self.list(&call.args)),
        }
    }
}

/// The operator that a function stands behind.
fn symbol(function: &Function) -> Option<&'static str> {
    static SYMBOLS: OnceLock<HashMap<u32, &'static str>> = OnceLock::new();
    let symbols =
        SYMBOLS.get_or_init(|| all_operators().iter().map(|o| (o.function.oid, o.name)).collect());
    symbols.get(&function.oid).copied()
}

/// A constant, with its type where the text alone does not tell it.
fn literal(value: &Datum, ty: SqlType) -> String {
    let Some(text) = io::to_text(value, ty, &io::FormatSettings::default()) else {
        return format!("NULL::{}", pg_type::format_type(ty));
    };
    match value {
        Datum::Bool(v) => return v.to_string(),
        Datum::Int4(v) if *v >= 0 => return text,
        Datum::Numeric(_) if is_decimal(&text) => return text,
        _ => {}
    }
    let name = match ty.base {
        BaseType::Unknown => "unknown".to_owned(),
        _ => pg_type::format_type(ty),
    };
    format!("'{}'::{name}", text.replace('\'', "''"))
}

/// Digits with a point: what PostgreSQL reads as numeric without being told.
fn is_decimal(text: &str) -> bool {
    text.contains('.') && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}
