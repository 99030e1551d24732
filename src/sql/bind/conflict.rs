//! ON CONFLICT: which indexes arbitrate, and what DO UPDATE does.

use super::super::ast::{self, ConflictTarget, Expr as Ast, ExprKind};
use super::super::bound::{ConflictUpdate, OnConflict};
use super::Binder;
use super::level::Clause;
use super::write::WriteTarget;
use crate::catalog::visible_indexes;
use crate::error::{Error, Result, SqlState};
use crate::types::descriptor::ColumnId;

impl Binder<'_> {
    pub(super) fn on_conflict(
        &mut self,
        conflict: &ast::OnConflict,
        target: &WriteTarget,
    ) -> Result<OnConflict> {
        let arbiters = self.arbiters(conflict, target)?;
        let update = match &conflict.update {
            Some((assignments, filter)) => {
                let excluded = self.row_of(&target.table);
                let sources = self.level().sources.len();
                self.add_row("excluded", &excluded, false);
                let assignments = self.assignments(assignments, &target.table)?;
                let filter = self.where_clause(filter.as_ref(), Clause::Where, "WHERE")?;
                // EXCLUDED ends here: RETURNING does not see it.
                self.level().sources.truncate(sources);
                Some(ConflictUpdate { excluded, assignments, filter })
            }
            None => None,
        };
        Ok(OnConflict { arbiters, update })
    }

    /// OIDs of the unique indexes meant; none: any.
    fn arbiters(&mut self, conflict: &ast::OnConflict, target: &WriteTarget) -> Result<Vec<u32>> {
        let table = &target.table;
        match &conflict.target {
            ConflictTarget::Any if conflict.update.is_some() => {
                let message =
                    "ON CONFLICT DO UPDATE requires inference specification or constraint name";
                Err(self
                    .error(SqlState::SYNTAX_ERROR, message, conflict.at)
                    .with_hint("For example, ON CONFLICT (column_name)."))
            }
            ConflictTarget::Any => Ok(Vec::new()),
            ConflictTarget::Constraint(name) => {
                let mut indexes = visible_indexes(table).map(|(_, index)| index);
                let named = indexes.find(|i| i.constraint_oid.is_some() && i.name == *name.name);
                match named {
                    Some(index) => Ok(vec![index.oid]),
                    None if table.checks.iter().any(|c| c.name == *name.name) => Err(Error::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        "constraint in ON CONFLICT clause has no associated index",
                    )),
                    None => Err(Error::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!(
                            "constraint \"{}\" for table \"{}\" does not exist",
                            name.name, table.name
                        ),
                    )),
                }
            }
            ConflictTarget::Columns(exprs, predicate) => {
                // Indexes are whole: whatever predicate is asked for, they cover it.
                self.where_clause(predicate.as_ref(), Clause::IndexPredicate, "WHERE")?;
                let wanted = exprs.iter().map(|e| self.conflict_column(e, target));
                let wanted = wanted.collect::<Result<Option<Vec<ColumnId>>>>()?;
                self.inferred(wanted, target)
            }
        }
    }

    /// The column that an inference expression is; none for another expression.
    fn conflict_column(&mut self, ast: &Ast, target: &WriteTarget) -> Result<Option<ColumnId>> {
        self.bind_in(ast, Clause::IndexExpression)?;
        let ExprKind::Column(parts) = &ast.kind else { return Ok(None) };
        let name = parts.last().map_or("", |part| &part.name);
        Ok(target.table.column(name).map(|c| c.id))
    }

    /// The unique indexes over exactly these columns, in whatever order. 42P10 if there is none.
    fn inferred(&self, wanted: Option<Vec<ColumnId>>, target: &WriteTarget) -> Result<Vec<u32>> {
        let wanted = wanted.unwrap_or_default();
        let indexes = visible_indexes(&target.table).map(|(_, index)| index);
        let matching: Vec<u32> = indexes
            .filter(|index| {
                index.unique
                    && !wanted.is_empty()
                    && index.columns.iter().all(|c| wanted.contains(&c.column))
                    && wanted.iter().all(|id| index.columns.iter().any(|c| c.column == *id))
            })
            .map(|index| index.oid)
            .collect();
        if matching.is_empty() {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            ));
        }
        Ok(matching)
    }
}
