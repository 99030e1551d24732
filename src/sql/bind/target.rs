//! Select lists: what `*` stands for, and what output columns are called.

use std::sync::Arc;

use super::super::ast::{Expr as Ast, ExprKind, Ident, Query, QueryBody, SqlValue, Target};
use super::super::bound::{Column, Expr};
use super::scope::{Found, ScopeColumn};
use super::{Binder, TARGETS_MAX};
use crate::error::{Result, SqlState};
use crate::types::SqlType;
use crate::types::descriptor::ColumnId;

/// What an output is called that nothing names.
const NAMELESS: &str = "?column?";

/// An output of a query being bound, or a value that only ORDER BY or GROUP BY needs.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its value.
    pub expr: Expr,
    /// Its name.
    pub name: Arc<str>,
    /// The table column it is, unchanged.
    pub origin: Option<(u32, ColumnId)>,
    /// Where it stands.
    pub at: u32,
    /// Which of the level's uses of columns are in it.
    pub uses: (usize, usize),
    /// Whether it is not part of the result.
    pub junk: bool,
}

impl Binder<'_> {
    /// A select list, or RETURNING: the sources of the level are visible.
    pub fn targets(&mut self, targets: &[Target]) -> Result<Vec<Output>> {
        let mut out = Vec::with_capacity(targets.len());
        for target in targets {
            self.target(target, &mut out)?;
        }
        if out.len() > TARGETS_MAX {
            let message = format!("target lists can have at most {TARGETS_MAX} entries");
            return Err(crate::error::Error::new(SqlState::TOO_MANY_COLUMNS, message));
        }
        Ok(out)
    }

    fn target(&mut self, target: &Target, out: &mut Vec<Output>) -> Result<()> {
        let from = self.level().uses.len();
        self.star = target.expr.at;
        let columns = match &target.expr.kind {
            ExprKind::Star(qualifier) => self.star_columns(qualifier)?,
            ExprKind::FieldStar(base) => match &base.kind {
                ExprKind::Column(parts) => self.star_columns(parts)?,
                _ => return Err(self.unsupported("(row).*", target.expr.at)),
            },
            _ => {
                let expr = self.expr(&target.expr)?;
                let name = match &target.alias {
                    Some(alias) => alias.name.clone(),
                    None => name_of(&target.expr, &expr),
                };
                let origin = self.origin_of(&expr);
                let uses = (from, self.level().uses.len());
                let at = target.expr.start();
                out.push(Output { expr, name, origin, at, uses, junk: false });
                return Ok(());
            }
        };
        let at = target.expr.at;
        for ScopeColumn { name, expr, origin } in columns {
            let uses = (from, self.level().uses.len());
            out.push(Output { expr, name, origin, at, uses, junk: false });
        }
        Ok(())
    }

    /// The columns that `*` or `qualifier.*` means.
    pub(super) fn star_columns(&mut self, qualifier: &[Ident]) -> Result<Vec<ScopeColumn>> {
        let (level, columns): (usize, Vec<ScopeColumn>) = if qualifier.is_empty() {
            let level = self.levels.len() - 1;
            let sources = &self.levels[level].sources;
            if !sources.iter().any(|s| s.by_column) {
                let message = "SELECT * with no tables specified is not valid";
                return Err(self.error(SqlState::SYNTAX_ERROR, message, self.star));
            }
            (level, Self::visible_columns(sources).cloned().collect())
        } else {
            let Some((level, source)) = self.find_source(qualifier, qualifier)? else {
                return Err(self.missing_source(qualifier));
            };
            (level, self.levels[level].sources[source].columns.clone())
        };
        let at = qualifier.first().map_or(self.star, |q| q.at);
        for column in &columns {
            let found = Found { column: column.clone(), level };
            self.note_use(&found, at);
        }
        Ok(columns)
    }

    /// The table column that an expression is.
    fn origin_of(&self, expr: &Expr) -> Option<(u32, ColumnId)> {
        let Expr::Column(id, _) = expr else { return None };
        self.levels.iter().rev().flat_map(|l| &l.sources).flat_map(|s| &s.columns).find_map(
            |column| match column.expr {
                Expr::Column(other, _) if other == *id => column.origin,
                _ => None,
            },
        )
    }

    /// An expression of unknown type is text where nothing says otherwise.
    pub fn resolve_unknown(&mut self, expr: Expr, at: u32) -> Result<Expr> {
        match expr.ty() {
            SqlType::UNKNOWN => self.coerce(expr, SqlType::TEXT, at),
            _ => Ok(expr),
        }
    }

    /// Outputs as what a projection computes. A plain column of this query keeps its id, once.
    pub(super) fn project(&mut self, outputs: &[Output]) -> Vec<(Expr, Column)> {
        let depth = self.levels.len() as u32 - 1;
        let mut kept: Vec<super::ColId> = Vec::new();
        let mut exprs = Vec::with_capacity(outputs.len());
        for Output { expr, name, origin, .. } in outputs {
            let mut column = Column {
                id: super::ColId(u32::MAX),
                name: name.clone(),
                ty: expr.ty(),
                origin: *origin,
            };
            match expr {
                Expr::Column(id, _)
                    if self.column_info(*id).level == depth && !kept.contains(id) =>
                {
                    kept.push(*id);
                    column.id = *id;
                }
                _ => column.id = self.new_column(name.clone(), column.ty).id,
            }
            if let Some(shape) = self.shape_of(expr) {
                self.records.insert(column.id, shape);
            }
            exprs.push((expr.clone(), column));
        }
        exprs
    }
}

/// The name of an output without an alias.
fn name_of(ast: &Ast, bound: &Expr) -> Arc<str> {
    if let (ExprKind::Query(_), Expr::Subquery(subquery)) = (&ast.kind, bound) {
        return subquery.rel.columns().first().map_or_else(|| NAMELESS.into(), |c| c.name.clone());
    }
    output_name(ast)
}

/// The name that PostgreSQL gives an expression (`FigureColname`).
pub fn output_name(ast: &Ast) -> Arc<str> {
    find_name(ast).map_or_else(|| NAMELESS.into(), |(name, _)| name)
}

/// A name, and whether it is more than the fallback that casts and CASE give.
fn find_name(ast: &Ast) -> Option<(Arc<str>, bool)> {
    let strong = |name: &str| Some((Arc::from(name), true));
    match &ast.kind {
        ExprKind::Column(parts) => parts.last().map(|p| (p.name.clone(), true)),
        ExprKind::Field(_, field) => Some((field.name.clone(), true)),
        ExprKind::Subscript(base, _) | ExprKind::Slice(base, ..) => find_name(base),
        ExprKind::Collate(operand, _) => find_name(operand),
        ExprKind::Call(call) => call.name.last().map(|p| (p.name.clone(), true)),
        ExprKind::NullIf(..) => strong("nullif"),
        ExprKind::Coalesce(_) => strong("coalesce"),
        ExprKind::Extreme(true, _) => strong("greatest"),
        ExprKind::Extreme(false, _) => strong("least"),
        ExprKind::Grouping(_) => strong("grouping"),
        ExprKind::Array(_) | ExprKind::ArrayQuery(_) => strong("array"),
        ExprKind::Row(_) => strong("row"),
        ExprKind::Exists(_) => strong("exists"),
        ExprKind::Query(query) => Some((first_output(query), true)),
        ExprKind::Cast(operand, ty) => match find_name(operand) {
            Some((name, true)) => Some((name, true)),
            _ => ty.name.last().map(|p| (p.name.clone(), false)),
        },
        ExprKind::Case(case) => match case.otherwise.as_ref().and_then(find_name) {
            Some((name, true)) => Some((name, true)),
            _ => Some((Arc::from("case"), false)),
        },
        ExprKind::Value(value) => strong(match value {
            SqlValue::CurrentDate => "current_date",
            SqlValue::CurrentTime(_) => "current_time",
            SqlValue::CurrentTimestamp(_) => "current_timestamp",
            SqlValue::LocalTime(_) => "localtime",
            SqlValue::LocalTimestamp(_) => "localtimestamp",
            SqlValue::CurrentRole => "current_role",
            SqlValue::CurrentUser => "current_user",
            SqlValue::User => "user",
            SqlValue::SessionUser => "session_user",
            SqlValue::CurrentCatalog => "current_catalog",
            SqlValue::CurrentSchema => "current_schema",
        }),
        _ => None,
    }
}

/// The name of a query's first output.
fn first_output(query: &Query) -> Arc<str> {
    match &query.body {
        QueryBody::Select(select) => match select.targets.first() {
            Some(Target { alias: Some(alias), .. }) => alias.name.clone(),
            Some(target) => output_name(&target.expr),
            None => NAMELESS.into(),
        },
        QueryBody::Values(_) => "column1".into(),
        QueryBody::SetOp(operation) => first_output(&operation.left),
    }
}
