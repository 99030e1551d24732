//! Prepared statements: parsed, bound and planned once, run many times.
//!
//! A prepared statement remembers the schema it was bound against. When it runs and the schema is
//! another one, it is bound again; if its columns would change, 0A000 as in PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use super::client::Field;
use super::columns::ViewStatistics;
use super::plans::PlanKey;
use super::{POSTGRES_EPOCH_MICROS, Session};
use crate::catalog::CatalogSnapshot;
use crate::error::{Error, Result, SqlState};
use crate::functions::EvalContext;
use crate::plan::{self, Plan, PlanSettings, ReadEngines, Statistics};
use crate::sql::bind::{Binder, Bound};
use crate::sql::bound::{Column, CursorTable};
use crate::sql::statement::{Declare, ExplainOptions};
use crate::sql::{self, ParsedStatement, StatementKind};
use crate::types::{BaseType, SqlType, pg_type};

/// Most parameters a statement may have: their count is sent in two bytes.
const PARAMETERS_MAX: usize = 65_535;

/// How long a statement that reads much waits for the sizes of its tables, the first time.
const SIZES_PATIENCE: Duration = Duration::from_millis(500);
/// Rows read by key that are as dear as much.
const MUCH: f64 = 20.0;

/// What a client is told whose prepared statement would give other columns than it was told.
pub(super) const RESULT_CHANGED: &str = "cached plan must not change result type";

/// What running a statement means.
pub enum Body {
    /// Nothing: an empty text.
    Empty,
    /// Running a plan.
    Plan(Arc<Plan>),
    /// Opening a cursor on a plan; tables whose keys its rows carry.
    Declare(Arc<Plan>, Arc<[CursorTable]>),
    /// Showing a plan, or what running it took.
    Explain(ExplainOptions, Arc<Plan>),
    /// Something the session does itself.
    Utility,
}

/// A statement ready to run.
pub struct Prepared {
    /// What was parsed; none: an empty text.
    pub parsed: Option<Arc<ParsedStatement>>,
    /// The text to show for it.
    pub text: Arc<str>,
    /// Types of its parameters.
    pub parameters: Arc<[SqlType]>,
    /// Columns of its rows; none: it gives no rows.
    pub fields: Option<Arc<[Field]>>,
    /// What running it means.
    pub body: Body,
    /// The schema it was bound against.
    pub schema: Arc<CatalogSnapshot>,
}

/// A prepared statement under a name.
pub struct Named {
    /// The statement.
    pub prepared: Arc<Prepared>,
    /// The text that it was prepared by.
    pub text: Arc<str>,
    /// When it was: microseconds since 2000-01-01 UTC.
    pub time: i64,
    /// By PREPARE, not by the protocol.
    pub from_sql: bool,
    /// How often it was run.
    pub runs: u64,
}

impl Prepared {
    /// What kind of statement it is; none: an empty text.
    pub fn kind(&self) -> Option<&StatementKind> {
        self.parsed.as_deref().map(|parsed| &parsed.kind)
    }

    fn plan(&self) -> Option<&Plan> {
        match &self.body {
            Body::Plan(plan) | Body::Declare(plan, _) | Body::Explain(_, plan) => Some(plan),
            Body::Empty | Body::Utility => None,
        }
    }
}

impl Session {
    /// The schema as this session sees it.
    pub(super) fn schema(&self) -> Arc<CatalogSnapshot> {
        match &self.transaction {
            Some(transaction) => transaction.schema_now(&self.database.catalog),
            None => self.database.catalog.snapshot(),
        }
    }

    /// Whether that schema is the one that this session sees.
    pub(super) fn is_schema(&self, schema: &Arc<CatalogSnapshot>) -> bool {
        let catalog = &self.database.catalog;
        match &self.transaction {
            Some(transaction) => transaction.sees(catalog, schema),
            None => catalog.is_newest(schema),
        }
    }

    /// What functions may know.
    pub(super) fn eval_context(&mut self, schema: &Arc<CatalogSnapshot>) -> EvalContext {
        let statement_time = self.statement_time;
        EvalContext {
            transaction_time: self.transaction.as_ref().map_or(statement_time, |t| t.time),
            statement_time,
            session: self.environment.info(&mut self.settings),
            catalog: schema.clone(),
            clock: self.database.clock.clone(),
        }
    }

    /// Prepares a text of at most one statement.
    pub(super) fn prepare_text(&mut self, text: &str, types: &[u32]) -> Result<Arc<Prepared>> {
        if types.len() > PARAMETERS_MAX {
            return Err(Error::new(SqlState::TOO_MANY_ARGUMENTS, "too many parameters"));
        }
        let key = PlanKey {
            text: Arc::from(text),
            types: types.into(),
            environment: self.environment.binding(&self.settings),
        };
        if let Some(found) = self.find_plan(&key) {
            return Ok(found);
        }
        let declared = types.iter().map(|oid| parameter_type(*oid)).collect::<Result<Vec<_>>>()?;
        let mut statements = sql::parse(text)?;
        if statements.len() > 1 {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let Some(parsed) = statements.pop() else {
            return Ok(Arc::new(Prepared {
                parsed: None,
                text: key.text,
                parameters: Arc::from(&[][..]),
                fields: None,
                body: Body::Empty,
                schema: self.schema(),
            }));
        };
        let prepared = Arc::new(self.prepare(Arc::new(parsed), Some(declared))?);
        self.offer_plan(key, &prepared);
        Ok(prepared)
    }

    /// A shared plan that fits this session's schema. A failed block uses none: what may run in it
    /// needs no plan.
    pub(super) fn find_plan(&self, key: &PlanKey) -> Option<Arc<Prepared>> {
        let found = self.database.plans.find(key)?;
        let kind = found.kind()?;
        let fits = self.is_schema(&found.schema) && self.is_sized(&found);
        (fits && self.check_not_failed(kind).is_ok()).then_some(found)
    }

    /// Whether the tables have about the sizes that a statement was planned for.
    fn is_sized(&self, prepared: &Prepared) -> bool {
        let Some(plan) = prepared.plan() else { return true };
        plan.sizes.hold(self.database.clock.monotonic(), |table| {
            let table = prepared.schema.table_by_id(table)?;
            self.database.statistics.rows(&table)
        })
    }

    /// A statement that reads much and was planned by sizes that nobody knew waits for them, and is
    /// planned again.
    pub(super) async fn known_sizes(&mut self, prepared: Arc<Prepared>) -> Result<Arc<Prepared>> {
        let statistics = &self.database.statistics;
        let much = statistics.costs().get * MUCH;
        let waits = |plan: &Plan| plan.sizes.are_guessed() && plan.root.cost > much;
        if prepared.plan().is_some_and(waits) && statistics.fetched(SIZES_PATIENCE).await {
            return self.resized(&prepared);
        }
        Ok(prepared)
    }

    /// A statement planned again, for the sizes that its tables have now.
    pub(super) fn resized(&mut self, prepared: &Arc<Prepared>) -> Result<Arc<Prepared>> {
        match &prepared.parsed {
            Some(parsed) if !self.is_sized(prepared) => {
                let types = prepared.parameters.iter().map(|ty| Some(*ty)).collect();
                self.prepare(parsed.clone(), Some(types)).map(Arc::new)
            }
            _ => Ok(prepared.clone()),
        }
    }

    /// Shares a plan, unless it was made against this transaction's own schema.
    pub(super) fn offer_plan(&self, key: PlanKey, prepared: &Arc<Prepared>) {
        let shared = self.database.catalog.is_newest(&prepared.schema);
        if shared && matches!(prepared.body, Body::Plan(_)) {
            self.database.plans.offer(key, prepared.clone());
        }
    }

    /// Binds and plans a statement. What is wrong with it may be right by now: another gateway may
    /// have changed the schema.
    pub(super) async fn prepare_newest(
        &mut self,
        parsed: Arc<ParsedStatement>,
    ) -> Result<Arc<Prepared>> {
        let known = self.database.catalog.snapshot();
        let prepared = match self.prepare(parsed.clone(), None) {
            Err(_) if self.database.catalog.refresh(&known).await? => self.prepare(parsed, None),
            prepared => prepared,
        }?;
        self.known_sizes(Arc::new(prepared)).await
    }

    /// Binds and plans a statement. Parameters without a type get theirs from where they stand;
    /// without `declared` there are none.
    pub(super) fn prepare(
        &mut self,
        parsed: Arc<ParsedStatement>,
        declared: Option<Vec<Option<SqlType>>>,
    ) -> Result<Prepared> {
        self.check_not_failed(&parsed.kind)?;
        let schema = self.schema();
        let (body, fields, parameters) = match &parsed.kind {
            kind @ (StatementKind::Query(_)
            | StatementKind::Insert(_)
            | StatementKind::Update(_)
            | StatementKind::Delete(_)) => {
                let (plan, parameters) = self.plan(kind, &parsed.text, &schema, declared, false)?;
                let fields = fields_of(&plan);
                (Body::Plan(Arc::new(plan)), fields, parameters)
            }
            StatementKind::Declare(declare) => {
                let (plan, tables, parameters) =
                    self.plan_declare(declare, &parsed.text, &schema, declared)?;
                (Body::Declare(Arc::new(plan), tables.into()), None, parameters)
            }
            StatementKind::Fetch(fetch) => (Body::Utility, self.fetch_fields(fetch), Vec::new()),
            StatementKind::Explain(options, inner) => {
                let (plan, parameters) = match &**inner {
                    StatementKind::Execute(..) => {
                        return Err(Error::unsupported("EXPLAIN EXECUTE"));
                    }
                    inner => self.plan(inner, &parsed.text, &schema, declared, true)?,
                };
                let fields = vec![Field::new("QUERY PLAN", SqlType::TEXT)];
                (Body::Explain(options.clone(), Arc::new(plan)), Some(fields), parameters)
            }
            StatementKind::Show(name) => {
                (Body::Utility, Some(self.show_fields(name.as_deref())?), Vec::new())
            }
            StatementKind::Execute(name, _) => {
                let fields = self.statement(name)?.fields.as_deref().map(<[Field]>::to_vec);
                (Body::Utility, fields, Vec::new())
            }
            _ => (Body::Utility, None, Vec::new()),
        };
        Ok(Prepared {
            text: parsed.text.clone(),
            parsed: Some(parsed),
            parameters: parameters.into(),
            fields: fields.map(Arc::from),
            body,
            schema,
        })
    }

    /// The statement, bound against the schema as it is now.
    pub(super) fn revalidate(&mut self, prepared: &Arc<Prepared>) -> Result<Arc<Prepared>> {
        let Some(parsed) = &prepared.parsed else { return Ok(prepared.clone()) };
        if matches!(prepared.body, Body::Utility | Body::Empty) || self.is_schema(&prepared.schema)
        {
            return Ok(prepared.clone());
        }
        // What was inferred before stays: the client sends values of these types.
        let types = prepared.parameters.iter().map(|ty| Some(*ty)).collect();
        let again = self.prepare(parsed.clone(), Some(types))?;
        if !same_result(again.fields.as_deref(), prepared.fields.as_deref()) {
            return Err(Error::unsupported_message(RESULT_CHANGED));
        }
        Ok(Arc::new(again))
    }

    /// Binds and plans a query or a statement that writes rows.
    pub(super) fn plan(
        &mut self,
        kind: &StatementKind,
        text: &Arc<str>,
        schema: &Arc<CatalogSnapshot>,
        declared: Option<Vec<Option<SqlType>>>,
        labels: bool,
    ) -> Result<(Plan, Vec<SqlType>)> {
        let eval = self.binding_context(schema);
        let mut binder = binder(schema, &eval, text, declared);
        let bound = binder.bind_statement(kind)?;
        self.plan_bound(bound, &eval, labels)
    }

    /// Binds and plans the query of DECLARE.
    fn plan_declare(
        &mut self,
        declare: &Declare,
        text: &Arc<str>,
        schema: &Arc<CatalogSnapshot>,
        declared: Option<Vec<Option<SqlType>>>,
    ) -> Result<(Plan, Vec<CursorTable>, Vec<SqlType>)> {
        let eval = self.binding_context(schema);
        let mut binder = binder(schema, &eval, text, declared);
        let (bound, tables) = binder.bind_declare(declare)?;
        let (plan, parameters) = self.plan_bound(bound, &eval, false)?;
        Ok((plan, tables, parameters))
    }

    pub(super) fn binding_context(&mut self, schema: &Arc<CatalogSnapshot>) -> EvalContext {
        if self.statement_time == 0 {
            self.statement_time = self.database.clock.wall_micros() - POSTGRES_EPOCH_MICROS;
        }
        self.eval_context(schema)
    }

    pub(super) fn plan_bound(
        &mut self,
        bound: Bound,
        eval: &EvalContext,
        labels: bool,
    ) -> Result<(Plan, Vec<SqlType>)> {
        let engines = self.settings.value("sluice.read_engines");
        let statistics =
            ViewStatistics { store: &self.database.statistics, views: &self.database.columns };
        let settings = PlanSettings {
            eval,
            statistics: &statistics,
            ordered: self.database.transactions.store().capabilities().ordered,
            seq_scans: self.settings.is_on("enable_seqscan"),
            engines: ReadEngines {
                row: engines.contains("row"),
                columnar: engines.contains("columnar"),
            },
            labels,
        };
        let mut plan = plan::plan(bound.statement, &settings)?;
        plan.columns = bound.columns;
        plan.current_of = bound.current_of;
        Ok((plan, bound.parameters))
    }
}

/// A binder of a statement's text. Without `declared`, no values come with it.
fn binder<'a>(
    schema: &'a Arc<CatalogSnapshot>,
    eval: &'a EvalContext,
    text: &Arc<str>,
    declared: Option<Vec<Option<SqlType>>>,
) -> Binder<'a> {
    let none = declared.is_none();
    let types = declared.unwrap_or_default();
    let binder = Binder::new(schema.as_ref(), eval, text.clone(), types);
    if none { binder.without_parameters() } else { binder }
}

/// The columns that a client is told; none where the statement gives no rows.
pub(super) fn fields_of(plan: &Plan) -> Option<Vec<Field>> {
    if plan.columns.is_empty() && plan.kind != plan::StatementKind::Select {
        return None;
    }
    let field = |column: &Column| Field {
        name: column.name.clone(),
        ty: column.ty,
        origin: column.origin.map(|(table, column)| (table, column.0)),
    };
    Some(plan.columns.iter().map(field).collect())
}

/// Whether rows look the same: from which table they come may change.
fn same_result(one: Option<&[Field]>, other: Option<&[Field]>) -> bool {
    let looks = |fields: &[Field]| -> Vec<_> {
        fields.iter().map(|field| (field.name.clone(), field.ty)).collect()
    };
    one.map(looks) == other.map(looks)
}

/// The type that a client declares for a parameter; none: left open.
fn parameter_type(oid: u32) -> Result<Option<SqlType>> {
    if oid == 0 || oid == BaseType::Unknown as u32 {
        return Ok(None);
    }
    match pg_type::by_oid(oid) {
        Some(ty) => Ok(Some(ty)),
        None => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type with OID {oid} does not exist"),
        )),
    }
}
