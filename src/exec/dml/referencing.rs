//! The rows of a table that reference a row of another: queries over them.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::foreign::places;
use crate::catalog::quote_ident;
use crate::encoding::table::TableCodec;
use crate::error::{Error, Result, SqlState};
use crate::exec::context::{ExecContext, State};
use crate::exec::{BATCH_ROWS_MAX, Execution};
use crate::functions;
use crate::kv::{KeyRange, PageLimit};
use crate::plan::{self, NoStatistics, Plan, PlanSettings, ReadEngines};
use crate::sql;
use crate::sql::bind::Binder;
use crate::types::descriptor::{ForeignAction, ForeignKeyDescriptor, TableDescriptor};
use crate::types::{Datum, SqlType};

/// Rows of a referencing table that are read at once.
const PAGE: PageLimit = PageLimit { rows_max: 1024, bytes_max: 4 << 20 };

/// Plans of the queries that one check has made, by their texts.
pub(super) type Plans = HashMap<String, Arc<Plan>>;

/// The rows that reference one with these values.
pub(super) struct Referencing<'a> {
    parent: &'a TableDescriptor,
    /// Their table.
    pub child: &'a TableDescriptor,
    /// The constraint.
    pub key: &'a ForeignKeyDescriptor,
    /// What they reference, in the order of the constraint.
    pub values: Vec<Datum>,
    /// The child's name.
    name: String,
    /// Its referencing columns.
    columns: Vec<String>,
}

impl<'a> Referencing<'a> {
    /// The rows of `child` that reference the row of `parent` with these values.
    pub fn new(
        parent: &'a TableDescriptor,
        child: &'a TableDescriptor,
        key: &'a ForeignKeyDescriptor,
        values: Vec<Datum>,
    ) -> Referencing<'a> {
        let columns = key.columns.iter().filter_map(|id| child.column_by_id(*id));
        let columns = columns.map(|c| quote_ident(&c.name).into_owned()).collect();
        let name = format!("{}.{}", quote_ident(&child.schema), quote_ident(&child.name));
        Referencing { parent, child, key, values, name, columns }
    }

    fn types(&self) -> Vec<SqlType> {
        let places = places(self.parent, &self.key.parent_columns);
        places.into_iter().map(|at| self.parent.columns[at].ty.plain()).collect()
    }

    fn filter(&self) -> String {
        let equal = |(i, column): (usize, &String)| format!("x.{column} = ${}", i + 1);
        self.columns.iter().enumerate().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    fn query(&self, text: String) -> Query {
        Query { types: self.types(), values: self.values.clone(), text }
    }

    /// `UPDATE … SET` each column to what `value` writes for its place.
    fn update(&self, value: impl Fn(usize) -> String) -> Query {
        let each = self.columns.iter().enumerate();
        let each: Vec<String> = each.map(|(i, c)| format!("{c} = {}", value(i))).collect();
        let (name, filter) = (&self.name, self.filter());
        self.query(format!("UPDATE {name} x SET {} WHERE {filter}", each.join(", ")))
    }

    /// Does to them what the constraint says; `after`: what the row that they reference has now.
    pub async fn act(
        &self,
        ctx: &mut ExecContext<'_>,
        action: ForeignAction,
        after: Option<Vec<Datum>>,
        plans: &mut Plans,
    ) -> Result<()> {
        let query = match (action, after) {
            (ForeignAction::NoAction | ForeignAction::Restrict, _) => return Ok(()),
            (ForeignAction::Cascade, None) => {
                self.query(format!("DELETE FROM {} x WHERE {}", self.name, self.filter()))
            }
            (ForeignAction::Cascade, Some(after)) => {
                let count = self.columns.len();
                let mut query = self.update(|i| format!("${}", count + i + 1));
                query.types.extend(self.types());
                query.values.extend(after);
                query
            }
            (ForeignAction::SetNull, _) => self.update(|_| "NULL".to_owned()),
            (ForeignAction::SetDefault, _) => self.update(|_| "DEFAULT".to_owned()),
        };
        query.run(ctx, plans).await?;
        Ok(())
    }

    /// Locks them; how many there are.
    pub async fn lock(&self, ctx: &mut ExecContext<'_>, plans: &mut Plans) -> Result<usize> {
        let (name, filter) = (&self.name, self.filter());
        let text = format!("SELECT 1 FROM {name} x WHERE {filter} FOR KEY SHARE OF x");
        self.query(text).run(ctx, plans).await
    }

    /// 40001 if rows that this transaction's snapshot does not have reference one that went.
    pub async fn refuse_newer(&self, ctx: &mut ExecContext<'_>) -> Result<()> {
        let (parent, child, key, before) = (self.parent, self.child, self.key, &self.values);
        let codec = TableCodec::new(child)?;
        let decoder = codec.decoder(&key.columns)?;
        let theirs = places(parent, &key.parent_columns);
        let mut latest = ctx.txn.latest();
        latest.begin_statement().await?;
        let (range, mut from) = (KeyRange::all(child.space()), None);
        loop {
            ctx.check_cancel()?;
            let page = latest.scan(&range, false, PAGE, from).await?;
            for entry in &page.entries {
                let row = decoder.decode_entry(entry)?;
                let mut same = true;
                for ((value, id), (at, wanted)) in
                    row.iter().zip(&key.columns).zip(theirs.iter().zip(before))
                {
                    let from = child.column_by_id(*id).map_or(SqlType::TEXT, |c| c.ty.plain());
                    let to = parent.columns[*at].ty.plain();
                    let value = functions::apply_cast(ctx.eval, value.clone(), from, to, false)?;
                    same &= functions::compare(&value, wanted) == Ordering::Equal;
                }
                if same
                    && ctx.txn.own(&entry.key).is_none()
                    && ctx.txn.get(&entry.key).await?.is_none()
                {
                    return Err(Error::new(
                        SqlState::SERIALIZATION_FAILURE,
                        "could not serialize access due to concurrent update",
                    ));
                }
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }
}

/// A query over rows that reference others.
struct Query {
    text: String,
    types: Vec<SqlType>,
    values: Vec<Datum>,
}

impl Query {
    /// Runs it as a statement of its own; gives the rows it returned, or 1 for any.
    async fn run(&self, ctx: &mut ExecContext<'_>, plans: &mut Plans) -> Result<usize> {
        let plan = match plans.get(&self.text) {
            Some(plan) => Arc::clone(plan),
            None => {
                let plan = Arc::new(self.plan(ctx)?);
                plans.insert(self.text.clone(), Arc::clone(&plan));
                plan
            }
        };
        ctx.txn.begin_statement().await?;
        let mut execution = Execution::new(plan);
        let mut nested = ExecContext {
            txn: &mut *ctx.txn,
            deferred: &mut *ctx.deferred,
            eval: ctx.eval,
            params: &self.values,
            catalog: ctx.catalog,
            virtuals: ctx.virtuals,
            cancel: ctx.cancel,
            state: State::default(),
        };
        let mut rows = 0;
        while let Some(batch) = execution.next_batch(&mut nested, BATCH_ROWS_MAX).await? {
            rows += batch.len();
        }
        Ok(rows)
    }

    fn plan(&self, ctx: &ExecContext<'_>) -> Result<Plan> {
        let statement = sql::parse(&self.text)?.pop();
        let statement = statement.ok_or_else(|| Error::internal("a query parsed to nothing"))?;
        let types = self.types.iter().map(|ty| Some(*ty)).collect();
        let mut binder = Binder::new(ctx.catalog.as_ref(), ctx.eval, statement.text.clone(), types);
        let bound = binder.bind_statement(&statement.kind)?;
        let settings = PlanSettings {
            eval: ctx.eval,
            statistics: &NoStatistics,
            ordered: false,
            seq_scans: true,
            engines: ReadEngines { row: true, columnar: false },
            labels: false,
        };
        plan::plan(bound.statement, &settings)
    }
}
