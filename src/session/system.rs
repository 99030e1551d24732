//! Catalog relations about sessions: `pg_stat_activity`, `pg_locks` and `pg_settings`.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use futures::future::BoxFuture;

use super::POSTGRES_EPOCH_MICROS;
use super::columns::ColumnPath;
use super::cursor::Cursor;
use super::database::Database;
use super::progress;
use super::registry::Backend;
use super::settings::table::{Kind, Setting, table};
use super::settings::value;
use super::statement::Named;
use super::utility::UNLISTED;
use crate::catalog::{self, CatalogSnapshot, foreign};
use crate::error::Result;
use crate::exec::{RowStream, VirtualTables};
use crate::functions::EvalContext;
use crate::txn::Txn;
use crate::types::descriptor::{ColumnId, TableDescriptor};
use crate::types::{Array, BaseType, Datum, Row};

/// Rows of catalog relations, as one statement sees them.
pub struct SystemTables<'a> {
    /// The schema.
    pub schema: &'a CatalogSnapshot,
    /// The statement's context.
    pub eval: &'a EvalContext,
    /// The views of tables.
    pub columns: &'a ColumnPath,
    /// The session's cursors.
    pub cursors: &'a HashMap<String, Cursor>,
    /// Its prepared statements.
    pub statements: &'a HashMap<String, Named>,
}

impl VirtualTables for SystemTables<'_> {
    fn rows(&self, table: &TableDescriptor) -> Result<Vec<Row>> {
        Ok(match table.name.as_str() {
            "pg_cursors" => self.cursors.iter().map(|(name, c)| c.row(name)).collect(),
            "pg_prepared_statements" => self.statements.iter().filter_map(statement_row).collect(),
            _ => catalog::system::rows(table, self.schema, self.eval),
        })
    }

    fn columnar<'a>(
        &'a self,
        txn: &'a mut Txn,
        table: &'a Arc<TableDescriptor>,
        columns: &'a [ColumnId],
    ) -> BoxFuture<'a, Result<RowStream>> {
        Box::pin(self.columns.rows(txn, table, columns, self.eval))
    }
}

fn statement_row((name, named): (&String, &Named)) -> Option<Row> {
    if name.is_empty() {
        return None;
    }
    let types = named.prepared.parameters.iter().map(|ty| Datum::Oid(ty.oid())).collect();
    let types = Array { element: BaseType::Regtype, lower_bound: 1, values: types };
    Some(vec![
        Datum::text(name.as_str()),
        Datum::Text(named.text.clone()),
        Datum::Timestamptz(named.time),
        Datum::Array(Arc::new(types)),
        Datum::Bool(named.from_sql),
        Datum::Int8(named.runs as i64),
        Datum::Int8(0),
    ])
}

/// Makes the relations about sessions known to the catalog.
pub fn provide(database: &Arc<Database>) {
    let weak: Weak<Database> = Arc::downgrade(database);
    let activity = weak.clone();
    database.catalog.provide(
        "pg_stat_activity",
        Arc::new(move |_| activity.upgrade().map(|d| activity_rows(&d)).unwrap_or_default()),
    );
    let views = weak.clone();
    database.catalog.provide(
        "pg_stat_columnar_views",
        Arc::new(move |_| {
            let Some(database) = views.upgrade() else { return Vec::new() };
            database.columns.status_rows(&database.catalog, database.clock.wall_micros())
        }),
    );
    let copies = weak.clone();
    database.catalog.provide(
        "pg_stat_progress_copy",
        Arc::new(move |_| copies.upgrade().map(|d| progress::rows(&d)).unwrap_or_default()),
    );
    let requests = weak.clone();
    database.catalog.provide(
        "pg_stat_cluster_requests",
        Arc::new(move |_| requests.upgrade().map(|d| request_rows(&d)).unwrap_or_default()),
    );
    if database.transactions.store().foreign().is_some() {
        let catalog = &database.catalog;
        catalog.provide("pg_foreign_data_wrapper", Arc::new(|_| foreign::wrappers()));
        catalog.provide("pg_foreign_server", Arc::new(|_| foreign::servers()));
    }
    let locks = weak.clone();
    database.catalog.provide(
        "pg_locks",
        Arc::new(move |_| locks.upgrade().map(|d| lock_rows(&d)).unwrap_or_default()),
    );
    database.catalog.provide(
        "pg_settings",
        Arc::new(move |eval| weak.upgrade().map(|d| setting_rows(&d, eval)).unwrap_or_default()),
    );
}

/// What this gateway has asked of its cluster; nothing where there is none.
fn request_rows(database: &Database) -> Vec<Row> {
    let requests = database.transactions.store().requests();
    let row = requests.map(|r| r.counts().map(|(_, n)| Datum::Int8(n as i64)).to_vec());
    row.into_iter().collect()
}

/// The advisory locks of this process's sessions; locks of rows have no place in `pg_locks`.
fn lock_rows(database: &Database) -> Vec<Row> {
    let oid = database.catalog.snapshot().database().oid;
    let locks = |backend: &Arc<Backend>| {
        backend.advisory.get().map(|locks| locks.rows(oid, backend.pid)).unwrap_or_default()
    };
    database.registry.all().iter().flat_map(locks).collect()
}

fn activity_rows(database: &Database) -> Vec<Row> {
    let snapshot = database.catalog.snapshot();
    let oid = snapshot.database().oid;
    let row = |backend: &Arc<Backend>| {
        let activity = backend.activity.lock().clone();
        let user = snapshot.role(&activity.user).map_or(Datum::Null, |role| Datum::Oid(role.oid));
        let moment = |micros: i64| match micros {
            0 => Datum::Null,
            micros => Datum::Timestamptz(micros - POSTGRES_EPOCH_MICROS),
        };
        let peer = backend.peer;
        vec![
            Datum::Oid(oid),
            Datum::text(activity.database),
            Datum::Int4(backend.pid),
            Datum::Null,
            user,
            Datum::text(activity.user),
            Datum::text(activity.application_name),
            peer.map_or(Datum::Null, |peer| Datum::text(peer.ip().to_string())),
            Datum::Null,
            peer.map_or(Datum::Null, |peer| Datum::Int4(peer.port().into())),
            moment(activity.backend_start),
            moment(activity.transaction_start),
            moment(activity.query_start),
            moment(activity.state_change),
            Datum::Null,
            Datum::Null,
            Datum::text(activity.state.name()),
            Datum::Null,
            Datum::Null,
            Datum::Null,
            Datum::Text(activity.query),
            Datum::text("client backend"),
        ]
    };
    database.registry.all().iter().map(row).collect()
}

fn setting_rows(database: &Database, eval: &EvalContext) -> Vec<Row> {
    let row = |(id, setting): (_, &Setting)| {
        let shown = eval.session.settings.get(&setting.name.to_ascii_lowercase());
        let now = shown.and_then(|shown| value::canonical(setting, shown).ok());
        let reset = database.settings.value_of(id);
        let now = now.unwrap_or_else(|| reset.to_owned());
        let (vartype, min, max, values) = match &setting.kind {
            Kind::Bool => ("bool", None, None, None),
            Kind::Int { min, max } => {
                ("integer", Some(min.to_string()), Some(max.to_string()), None)
            }
            Kind::Real { min, max } => {
                ("real", Some(value::bound(*min)), Some(value::bound(*max)), None)
            }
            Kind::Enum(values) => ("enum", None, None, Some(values)),
            Kind::Text => ("string", None, None, None),
        };
        let unit = Some(setting.unit_name).filter(|unit| !unit.is_empty());
        let source = if now == setting.boot { "default" } else { "session" };
        let optional = |text: Option<String>| text.map_or(Datum::Null, Datum::text);
        vec![
            Datum::text(setting.name),
            Datum::text(now),
            unit.map_or(Datum::Null, Datum::text),
            Datum::text(setting.category),
            Datum::text(setting.description),
            Datum::Null,
            Datum::text(setting.context.name()),
            Datum::text(vartype),
            Datum::text(source),
            optional(min),
            optional(max),
            values.map_or(Datum::Null, |values| words(values)),
            Datum::text(setting.boot),
            Datum::text(reset),
            Datum::Null,
            Datum::Null,
            Datum::Bool(false),
        ]
    };
    table().all().filter(|(_, s)| !UNLISTED.contains(&s.name)).map(row).collect()
}

fn words(values: &[&'static str]) -> Datum {
    let values = values.iter().map(|value| Datum::text(*value)).collect();
    Datum::Array(Arc::new(Array { element: BaseType::Text, lower_bound: 1, values }))
}
