//! PREPARE and EXECUTE: prepared statements by SQL.

use std::sync::Arc;

use super::Session;
use super::rows::Running;
use super::statement::Prepared;
use crate::error::{Error, Result, SqlState};
use crate::functions::{self, CastContext};
use crate::sql::ast::{Distinct, Expr, Query, QueryBody, Select, Target, TypeName};
use crate::sql::bind::types;
use crate::sql::statement::StatementKind;
use crate::sql::{self, ParsedStatement};
use crate::types::io;
use crate::types::pg_type::format_type;
use crate::types::{BaseType, Datum, SqlType};

impl Session {
    /// PREPARE.
    pub(super) fn prepare_named(
        &mut self,
        parsed: &ParsedStatement,
        name: &str,
        declared: &[TypeName],
        kind: &StatementKind,
    ) -> Result<()> {
        if self.statements.contains_key(name) {
            return Err(Error::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        let declared = declared
            .iter()
            .map(|ty| {
                types::resolve(ty)
                    .map(|ty| Some(ty).filter(|ty| ty.base != BaseType::Unknown))
                    .map_err(|e| e.at(sql::position_at(&parsed.text, ty.at)))
            })
            .collect::<Result<Vec<_>>>()?;
        let inner = ParsedStatement {
            kind: kind.clone(),
            text: parsed.text.clone(),
            range: parsed.range.clone(),
        };
        let prepared = self.prepare(Arc::new(inner), Some(declared))?;
        self.keep_statement(name, Arc::new(prepared), true)
    }

    /// EXECUTE: the statement and the values of its parameters.
    pub(super) async fn execute_named(
        &mut self,
        parsed: &ParsedStatement,
        name: &str,
        arguments: &[Expr],
    ) -> Result<(Arc<Prepared>, Arc<[Datum]>)> {
        let prepared = self.statement(name)?.clone();
        if let Some(named) = self.statements.get_mut(name) {
            named.runs += 1;
        }
        let wanted = prepared.parameters.clone();
        if arguments.len() != wanted.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .with_detail(format!(
                "Expected {} parameters but got {}.",
                wanted.len(),
                arguments.len()
            )));
        }
        if arguments.is_empty() {
            return Ok((prepared, Arc::from(&[][..])));
        }
        let schema = self.schema();
        let query = StatementKind::Query(Box::new(values_query(arguments)));
        let (plan, _) = self.plan(&query, &parsed.text, &schema, None, false)?;
        let found: Vec<SqlType> = plan.columns.iter().map(|column| column.ty).collect();
        // Arguments are no queries.
        let mut running = Running::new(Arc::new(plan), schema.clone()).pinned();
        let mut rows = Vec::new();
        while let Some(batch) = self.next_batch(&mut running, &[], 2).await? {
            rows.extend(batch);
        }
        let row = rows.pop().ok_or_else(|| Error::internal("arguments gave no row"))?;
        let eval = self.eval_context(&schema);
        let mut parameters = Vec::with_capacity(row.len());
        for (i, (datum, (from, to))) in
            row.into_iter().zip(found.into_iter().zip(wanted.iter().copied())).enumerate()
        {
            let literal = matches!(arguments[i].kind, sql::ast::ExprKind::String(_));
            parameters.push(match datum {
                Datum::Text(text) if literal => {
                    io::parse_text(&text, to, &eval.session.format, eval.statement_time)?
                }
                datum if from.same(to) || datum.is_null() => datum,
                datum => {
                    let assignable = functions::find_cast(from, to)
                        .is_some_and(|cast| cast.context <= CastContext::Assignment);
                    if !assignable {
                        return Err(uncoercible(i, from, to)
                            .at(sql::position_at(&parsed.text, arguments[i].start())));
                    }
                    functions::apply_cast(&eval, datum, from, to, false)?
                }
            });
        }
        Ok((prepared, parameters.into()))
    }
}

/// 42804
fn uncoercible(i: usize, from: SqlType, to: SqlType) -> Error {
    Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!(
            "parameter ${} of type {} cannot be coerced to the expected type {}",
            i + 1,
            format_type(from),
            format_type(to)
        ),
    )
    .with_hint("You will need to rewrite or cast the expression.")
}

/// `SELECT arguments`
fn values_query(arguments: &[Expr]) -> Query {
    let targets = arguments.iter().map(|expr| Target { expr: expr.clone(), alias: None }).collect();
    let select = Select {
        distinct: Distinct::No,
        targets,
        from: Vec::new(),
        filter: None,
        group_by: Vec::new(),
        group_distinct: false,
        having: None,
        windows: Vec::new(),
        hints: Vec::new(),
    };
    Query {
        with: None,
        body: QueryBody::Select(Box::new(select)),
        order_by: Vec::new(),
        limit: None,
        with_ties: None,
        offset: None,
        locks: Vec::new(),
        at: 0,
    }
}
