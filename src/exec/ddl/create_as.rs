//! CREATE TABLE AS.

use std::sync::Arc;

use super::create::{check_columns, partition_columns, refuse_pseudo_type, table_options};
use super::define::refuse_parameters;
use super::{Runner, Tag};
use crate::catalog::change::NewTable;
use crate::error::{Error, Result, SqlState};
use crate::exec::{BATCH_ROWS_MAX, DeferredChecks, ExecContext, Execution, State};
use crate::plan;
use crate::sql::bound::{Column, Insert, Rel, Returning, Statement};
use crate::sql::ddl::CreateTableAs;
use crate::types::descriptor::{ColumnDescriptor, ColumnId, TableDescriptor};

/// A query and the table that takes its rows.
struct Source {
    rel: Rel,
    outputs: Vec<Column>,
    columns: Vec<ColumnDescriptor>,
    target: Vec<Column>,
}

impl Runner<'_> {
    pub(super) async fn create_table_as(&mut self, create: &CreateTableAs) -> Result<Tag> {
        let schema = self.target_schema(&create.name)?;
        let name = &create.name.name;
        if create.if_not_exists && !self.is_free(&schema, name, true)? {
            return Ok("CREATE TABLE AS".into());
        }
        let options = table_options(&create.options)?;
        self.check_views(&options)?;
        let Source { rel, outputs, columns, target } = self.bind_source(create)?;
        partition_columns(&options, None, &columns)?;
        self.is_free(&schema, name, false)?;
        let table = self
            .change
            .create_table(NewTable {
                schema,
                name: name.clone(),
                columns,
                primary: None,
                uniques: Vec::new(),
                checks: Vec::new(),
                partition_columns: None,
                columnar: options.columnar.unwrap_or(false),
            })
            .await?;
        if !create.with_data {
            return Ok("CREATE TABLE AS".into());
        }
        let rows = self.fill(table, rel, &outputs, target).await?;
        Ok(format!("SELECT {rows}").into())
    }

    fn bind_source(&self, create: &CreateTableAs) -> Result<Source> {
        let mut binder = self.binder();
        let bound = binder.bind_query(&create.query)?;
        refuse_parameters(&binder)?;
        let columns = column_descriptors(&bound.columns, &create.columns)?;
        check_columns(columns.iter().map(|c| c.name.as_str()))?;
        let target =
            columns.iter().map(|c| binder.new_column(c.name.as_str().into(), c.ty)).collect();
        Ok(Source { rel: bound.rel, outputs: bound.columns, columns, target })
    }

    /// Runs a query into a new table.
    async fn fill(
        &mut self,
        table: Arc<TableDescriptor>,
        source: Rel,
        outputs: &[Column],
        target: Vec<Column>,
    ) -> Result<u64> {
        // Sorting may leave columns that are not part of the result.
        let exprs = outputs
            .iter()
            .map(|c| (crate::sql::bound::Expr::Column(c.id, c.ty), c.clone()))
            .collect();
        let insert = Insert {
            table,
            target,
            source: Rel::Project { input: Box::new(source), exprs },
            checks: Vec::new(),
            filter: None,
            on_conflict: None,
            returning: Returning::default(),
        };
        let plan = plan::plan(Statement::Insert(Box::new(insert)), self.plan)?;
        let mut execution = Execution::new(Arc::new(plan));
        let catalog = Arc::new(self.change.snapshot().clone());
        let mut context = ExecContext {
            txn: &mut *self.change.txn,
            // The new table has no constraints.
            deferred: &mut DeferredChecks::default(),
            eval: self.eval,
            params: &[],
            catalog: &catalog,
            virtuals: self.virtuals,
            cancel: self.cancel,
            state: State::default(),
        };
        while execution.next_batch(&mut context, BATCH_ROWS_MAX).await?.is_some() {}
        Ok(execution.affected())
    }
}

fn column_descriptors(outputs: &[Column], names: &[String]) -> Result<Vec<ColumnDescriptor>> {
    if names.len() > outputs.len() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "too many column names were specified"));
    }
    let mut columns = Vec::with_capacity(outputs.len());
    for (at, output) in outputs.iter().enumerate() {
        let name = names.get(at).map_or(&*output.name, String::as_str);
        refuse_pseudo_type(output.ty, name)?;
        columns.push(ColumnDescriptor::new(ColumnId(at as u16 + 1), name, output.ty));
    }
    Ok(columns)
}
