//! Tables of other keyspaces: described, read page by page, written a row at a time.
//!
//! Reads are repeatable and go to a second node when the first is slow; a write is sent once, to
//! the row's first replica where it has a condition, and what came of it is told as it is.

use async_trait::async_trait;
use bytes::Bytes;
use scylla::cluster::metadata::ColumnType;
use scylla::response::query_result::ColumnSpecs;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};
use scylla::statement::{Consistency as CqlConsistency, SerialConsistency};

use super::Cassandra;
use super::connect::{texts, texts_about, user_types};
use super::failure::{Trouble, foreign_trouble};
use super::prepared::Use;
use super::rows::{cells, is_applied};
use crate::error::{Error, Result, SqlState};
use crate::kv::foreign::{Column, Consistency, Foreign, Page, Request, Table, Written, quoted};
use crate::types::cql::CqlType;
use crate::types::descriptor::ForeignRole;

/// Tables that a keyspace of Sluice has.
const OWN_TABLES: [&str; 4] = ["gateways", "log", "settings", "transactions"];

/// A cell that is bound as it is.
struct Cell<'a>(Option<&'a Bytes>);

impl SerializeValue for Cell<'_> {
    fn serialize<'b>(
        &self,
        _: &ColumnType<'_>,
        writer: CellWriter<'b>,
    ) -> std::result::Result<WrittenCellProof<'b>, SerializationError> {
        match self.0 {
            Some(bytes) => writer.set_value(bytes).map_err(SerializationError::new),
            None => Ok(writer.set_null()),
        }
    }
}

fn consistency(given: Consistency) -> CqlConsistency {
    match given {
        Consistency::One => CqlConsistency::One,
        Consistency::Two => CqlConsistency::Two,
        Consistency::Three => CqlConsistency::Three,
        Consistency::Quorum => CqlConsistency::Quorum,
        Consistency::All => CqlConsistency::All,
        Consistency::LocalOne => CqlConsistency::LocalOne,
        Consistency::LocalQuorum => CqlConsistency::LocalQuorum,
    }
}

impl Cassandra {
    async fn send(
        &self,
        request: &Request,
        usage: Use,
        rows_max: Option<usize>,
        from: Option<Bytes>,
    ) -> std::result::Result<
        (scylla::response::query_result::QueryResult, PagingStateResponse),
        Trouble,
    > {
        let Ok(_permit) = self.requests.acquire().await else {
            return Err(Trouble::Unavailable("the gateway stops".to_owned()));
        };
        let mut statement =
            self.prepared.get(&self.session, request.text.to_string(), usage).await?;
        check_types(request, statement.get_variable_col_specs())?;
        // Each answer says of what types its columns are.
        statement.set_use_cached_result_metadata(false);
        statement.set_consistency(consistency(request.consistency));
        let domain = match request.consistency.is_local() {
            true => SerialConsistency::LocalSerial,
            false => SerialConsistency::Serial,
        };
        statement.set_serial_consistency(Some(domain));
        if let Some(rows_max) = rows_max {
            statement.set_page_size(i32::try_from(rows_max.max(1)).unwrap_or(i32::MAX));
        }
        if usage == Use::Conditional {
            let profile = match request.consistency.is_local() {
                true => &self.about.conditional_near,
                false => &self.about.conditional_anywhere,
            };
            statement.set_execution_profile_handle(Some(profile.clone()));
        }
        let values: Vec<Cell<'_>> = request.values.iter().map(|v| Cell(v.as_ref())).collect();
        let state = match &from {
            Some(bytes) => PagingState::new_from_raw_bytes(bytes.as_ref()),
            None => PagingState::start(),
        };
        let answer = self.session.execute_single_page(&statement, &values, state).await;
        answer.map_err(|e| foreign_trouble(&e))
    }

    /// What a client is told; what was prepared for the table may be of no use any more.
    fn failed(&self, request: &Request, trouble: Trouble, writes: bool) -> Error {
        self.note(&trouble);
        self.prepared.forget(&name_of(request));
        error_of(request, trouble, writes)
    }
}

const IMPORT_AGAIN: &str = "Drop the foreign table and run IMPORT FOREIGN SCHEMA again.";

/// Its name, as it stands in CQL.
fn name_of(request: &Request) -> String {
    match &request.table.foreign {
        Some(foreign) => format!("{}.{}", quoted(&foreign.keyspace), quoted(&foreign.table)),
        None => String::new(),
    }
}

/// Whether a column is of the type it was imported with; fields may have been added to it.
fn is_of(ty: &CqlType, found: &ColumnType<'_>) -> bool {
    use scylla::cluster::metadata::{CollectionType, NativeType};

    match (ty, found) {
        (CqlType::List(of), ColumnType::Collection { typ: CollectionType::List(found), .. })
        | (CqlType::Set(of), ColumnType::Collection { typ: CollectionType::Set(found), .. }) => {
            is_of(of, found)
        }
        (
            CqlType::Map(key, value),
            ColumnType::Collection { typ: CollectionType::Map(found, of), .. },
        ) => is_of(key, found) && is_of(value, of),
        (CqlType::Vector(of, count), ColumnType::Vector { typ, dimensions }) => {
            u32::from(*dimensions) == *count && is_of(of, typ)
        }
        (CqlType::Tuple(parts), ColumnType::Tuple(found)) => {
            parts.len() == found.len() && parts.iter().zip(found).all(|(ty, f)| is_of(ty, f))
        }
        (CqlType::Udt(_, fields), ColumnType::UserDefinedType { definition, .. }) => {
            let found = &definition.field_types;
            fields.len() <= found.len()
                && fields.iter().zip(found).all(|((name, ty), (f, of))| name == f && is_of(ty, of))
        }
        (simple, ColumnType::Native(native)) => matches!(
            (simple, native),
            (CqlType::Ascii, NativeType::Ascii)
                | (CqlType::Text, NativeType::Text)
                | (CqlType::Tinyint, NativeType::TinyInt)
                | (CqlType::Smallint, NativeType::SmallInt)
                | (CqlType::Int, NativeType::Int)
                | (CqlType::Bigint, NativeType::BigInt)
                | (CqlType::Varint, NativeType::Varint)
                | (CqlType::Decimal, NativeType::Decimal)
                | (CqlType::Float, NativeType::Float)
                | (CqlType::Double, NativeType::Double)
                | (CqlType::Boolean, NativeType::Boolean)
                | (CqlType::Blob, NativeType::Blob)
                | (CqlType::Uuid, NativeType::Uuid)
                | (CqlType::Timeuuid, NativeType::Timeuuid)
                | (CqlType::Timestamp, NativeType::Timestamp)
                | (CqlType::Date, NativeType::Date)
                | (CqlType::Time, NativeType::Time)
                | (CqlType::Inet, NativeType::Inet)
                | (CqlType::Duration, NativeType::Duration)
                | (CqlType::Counter, NativeType::Counter)
        ),
        _ => false,
    }
}

/// Whether columns are of the types they were imported with: bytes of another type would be taken
/// for values of these.
fn check_types(request: &Request, specs: ColumnSpecs<'_, '_>) -> std::result::Result<(), Trouble> {
    let known = request.table.foreign.as_ref().map_or(&[][..], |f| f.columns.as_slice());
    for spec in specs.as_slice() {
        let column = known.iter().find(|column| column.name == spec.name());
        if let Some(column) = column.filter(|column| !is_of(&column.ty, spec.typ())) {
            let text = format!("column {} is not of type {} any more", column.name, column.ty);
            return Err(Trouble::Defect(text));
        }
    }
    Ok(())
}

fn error_of(request: &Request, trouble: Trouble, writes: bool) -> Error {
    let name = name_of(request);
    match trouble {
        Trouble::NoTable => Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("table \"{name}\" is not in the cluster any more"),
        )
        .with_hint(IMPORT_AGAIN),
        Trouble::UnknownColumn => Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("table \"{name}\" has not all the columns any more that it was imported with"),
        )
        .with_hint(IMPORT_AGAIN),
        Trouble::Uncertain(text) | Trouble::Overloaded(text) if writes => Error::new(
            SqlState::STATEMENT_COMPLETION_UNKNOWN,
            format!("it is not known whether the write to \"{name}\" was done"),
        )
        .with_detail(text)
        .with_hint("Look whether its effect is there before doing it again."),
        Trouble::Unavailable(text) | Trouble::Uncertain(text) | Trouble::Overloaded(text) => {
            Error::new(
                SqlState::CONNECTION_FAILURE,
                format!("too few replicas of \"{name}\" answer"),
            )
            .with_detail(text)
            .with_hint("sluice.consistency says how many must.")
        }
        Trouble::TooLarge(text) => Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("the row is too large for \"{name}\""),
        )
        .with_detail(text),
        Trouble::Unauthorized(text) => Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("the cluster does not let this gateway's user at \"{name}\""),
        )
        .with_detail(text),
        Trouble::Defect(text) => Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("the cluster refused a statement about \"{name}\""),
        )
        .with_detail(text)
        .with_hint(format!("If the table has changed: {IMPORT_AGAIN}")),
    }
}

#[async_trait]
impl Foreign for Cassandra {
    async fn tables(&self, keyspace: &str) -> Result<Option<Vec<Table>>> {
        let mut found = Vec::new();
        for schema in ["system_schema", "system_virtual_schema"] {
            let text = format!("SELECT keyspace_name FROM {schema}.keyspaces");
            let names = texts::<1>(&self.session, &text).await?;
            if names.iter().any(|[name]| name.as_deref() == Some(keyspace)) {
                found.push(schema);
            }
        }
        let Some(schema) = found.first() else { return Ok(None) };
        let about = |what: &str, table: &str| {
            format!("SELECT {what} FROM {schema}.{table} WHERE keyspace_name = ?")
        };
        let session = &self.session;
        let tables = texts_about::<1>(session, &about("table_name", "tables"), keyspace).await?;
        let columns = "table_name, column_name, type, kind, position, clustering_order";
        let columns = texts_about::<6>(session, &about(columns, "columns"), keyspace).await?;
        let types = match *schema {
            "system_schema" => user_types(session, keyspace).await?,
            _ => Vec::new(),
        };
        let mut tables: Vec<Table> = tables
            .into_iter()
            .filter_map(|[name]| name)
            .map(|name| Table { columns: columns_of(&name, &columns, &types), name })
            .collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        if OWN_TABLES.iter().all(|own| tables.iter().any(|table| table.name == *own)) {
            let message = format!("keyspace \"{keyspace}\" is one that Sluice keeps its rows in");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .with_hint("Connect to a gateway on that keyspace."));
        }
        Ok(Some(tables))
    }

    async fn page(&self, request: &Request, rows_max: usize, from: Option<Bytes>) -> Result<Page> {
        let failed = |trouble| self.failed(request, trouble, false);
        let (answer, state) =
            self.send(request, Use::Read, Some(rows_max), from).await.map_err(failed)?;
        let rows = answer.into_rows_result().map_err(|e| failed(Trouble::Defect(e.to_string())))?;
        check_types(request, rows.column_specs()).map_err(failed)?;
        let next = match state {
            PagingStateResponse::HasMorePages { state } => {
                state.as_bytes_slice().map(|bytes| Bytes::copy_from_slice(bytes))
            }
            PagingStateResponse::NoMorePages => None,
        };
        Ok(Page { rows: cells(&rows).map_err(failed)?, next })
    }

    async fn write(&self, request: &Request) -> Result<Written> {
        let failed = |trouble| self.failed(request, trouble, true);
        let sent = self.send(request, Use::Conditional, None, None).await;
        let (answer, _) = sent.map_err(failed)?;
        let Ok(rows) = answer.into_rows_result() else { return Ok(Written::Done) };
        match is_applied(&rows).map_err(failed)? {
            true => Ok(Written::Done),
            false => Ok(Written::Refused),
        }
    }
}

/// A user's type: its name, its fields.
type UserType = (String, Vec<(String, String)>);

fn columns_of(table: &str, columns: &[[Option<String>; 6]], types: &[UserType]) -> Vec<Column> {
    let fields = |name: &str| {
        types.iter().find(|(known, _)| known == name).map(|(_, fields)| fields.clone())
    };
    let mut found: Vec<Column> = columns
        .iter()
        .filter(|[of, ..]| of.as_deref() == Some(table))
        .filter_map(|[_, name, ty, kind, position, order]| {
            let place = position.as_deref().and_then(|p| p.parse().ok()).unwrap_or(0);
            let role = match kind.as_deref()? {
                "partition_key" => ForeignRole::Partition(place),
                "clustering" => ForeignRole::Clustering(place, order.as_deref() == Some("desc")),
                "static" => ForeignRole::Static,
                _ => ForeignRole::Regular,
            };
            let (name, written) = (name.clone()?, ty.clone()?);
            let ty = CqlType::parse(&written, &fields);
            Some(Column { name, written, ty, role })
        })
        .collect();
    found.sort_by_key(|column| match column.role {
        ForeignRole::Partition(at) => (0, at, String::new()),
        ForeignRole::Clustering(at, _) => (1, at, String::new()),
        ForeignRole::Static | ForeignRole::Regular => (2, 0, column.name.clone()),
    });
    found
}
