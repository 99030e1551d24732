//! Cursors: DECLARE's query, and WHERE CURRENT OF.
//!
//! The rows of a cursor carry, behind the columns that the client sees, the keys of those tables'
//! rows which WHERE CURRENT OF may write: the one table of a simple query, or, as in PostgreSQL,
//! every table that FOR UPDATE locks.

use std::sync::Arc;

use super::super::ast::{Cte, Ident, Query};
use super::super::bound::{ColId, Column, CurrentOf, CursorTable, Expr, JoinKind, Rel, Statement};
use super::super::statement::Declare;
use super::select::lock_name;
use super::write::WriteTarget;
use super::{Binder, Bound};
use crate::error::{Error, Result, SqlState};
use crate::types::SqlType;
use crate::types::descriptor::RelationKind;

impl Binder<'_> {
    /// Binds the query of DECLARE; its rows have a column more for each of the tables given.
    pub fn bind_declare(&mut self, declare: &Declare) -> Result<(Bound, Vec<CursorTable>)> {
        if let Some(lock) = strength(&declare.query) {
            let refuse = |code, message: String, what| {
                Err(Error::new(code, message).with_detail(format!("{what} must be READ ONLY.")))
            };
            let unsupported = SqlState::FEATURE_NOT_SUPPORTED;
            if declare.hold {
                let message = format!("DECLARE CURSOR WITH HOLD ... {lock} is not supported");
                return refuse(unsupported, message, "Holdable cursors");
            }
            if declare.scroll == Some(true) {
                let message = format!("DECLARE SCROLL CURSOR ... {lock} is not supported");
                return refuse(unsupported, message, "Scrollable cursors");
            }
            if declare.insensitive {
                let message = format!("DECLARE INSENSITIVE CURSOR ... {lock} is not valid");
                let code = SqlState::INVALID_CURSOR_DEFINITION;
                return refuse(code, message, "Insensitive cursors");
            }
        }
        if declare.query.with.as_ref().is_some_and(|with| with.ctes.iter().any(Cte::writes)) {
            let message = "DECLARE CURSOR must not contain data-modifying statements in WITH";
            return Err(Error::unsupported_message(message));
        }
        let bound = self.bind_query(&declare.query)?;
        let mut rel = bound.rel;
        let mut keys = Vec::new();
        self.give_keys(&mut rel, false, &mut keys);
        let made = rel.columns();
        if keys.iter().any(|(id, _)| !made.iter().any(|c| c.id == *id)) {
            let all = made.into_iter().chain(keys.iter().map(|(id, _)| key_column(*id)));
            let exprs = all.map(|c| (Expr::Column(c.id, c.ty), c)).collect();
            rel = Rel::Project { input: Box::new(rel), exprs };
        }
        let statement = Statement::Query(rel);
        let parameters = self.parameter_types()?;
        let tables = keys.into_iter().map(|(_, table)| table).collect();
        Ok((Bound { statement, columns: bound.columns, parameters, current_of: None }, tables))
    }

    /// Lets the keys of tables through to the top of `rel`.
    fn give_keys(&mut self, rel: &mut Rel, joined: bool, keys: &mut Vec<(ColId, CursorTable)>) {
        match rel {
            Rel::Scan(scan) => {
                let locked = scan.lock.is_some();
                if scan.table.kind != RelationKind::Table || (joined && !locked) {
                    return;
                }
                let id = match scan.row_key {
                    Some(id) => id,
                    None => *scan.row_key.insert(self.new_column(Arc::from(""), SqlType::BYTEA).id),
                };
                keys.push((id, CursorTable { table: scan.table.clone(), locked }));
            }
            Rel::Project { input, exprs } => {
                let from = keys.len();
                self.give_keys(input, joined, keys);
                let given = keys[from..].iter().map(|(id, _)| key_column(*id));
                exprs.extend(given.map(|c| (Expr::Column(c.id, c.ty), c)));
            }
            Rel::Filter { input, .. } | Rel::Limit { input, .. } => {
                self.give_keys(input, joined, keys);
            }
            // Sorted rows stand for a table's only if they were locked.
            Rel::Sort { input, .. } => self.give_keys(input, true, keys),
            Rel::Join { left, right, kind, .. } => {
                if *kind != JoinKind::Full {
                    self.give_keys(left, true, keys);
                }
                if *kind == JoinKind::Inner {
                    self.give_keys(right, true, keys);
                }
            }
            Rel::With { body, .. } => self.give_keys(body, joined, keys),
            _ => {}
        }
    }

    /// The source of a statement that writes a cursor's row: the row's key, which comes as the
    /// parameter after all others, and the rows of FROM or USING.
    pub(super) fn current_row(
        &mut self,
        target: &WriteTarget,
        cursor: &Ident,
        more: Option<Rel>,
    ) -> Rel {
        let parameter = Expr::Param(self.parameters.len(), SqlType::BYTEA);
        let cursor = cursor.name.clone();
        self.current_of = Some(CurrentOf { cursor, table: target.table.clone() });
        let columns = vec![key_column(target.row_key)];
        let key = Rel::Values { rows: vec![vec![parameter]], columns };
        match more {
            Some(right) => Rel::Join {
                left: Box::new(key),
                right: Box::new(right),
                kind: JoinKind::Inner,
                on: None,
                lateral: false,
            },
            None => key,
        }
    }
}

fn key_column(id: ColId) -> Column {
    Column { id, name: Arc::from(""), ty: SqlType::BYTEA, origin: None }
}

/// The strongest lock that a query asks for, as SQL writes it.
fn strength(query: &Query) -> Option<&'static str> {
    query.locks.first().map(lock_name)
}
