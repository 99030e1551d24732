//! A Cassandra cluster as [`crate::kv::lwt`] asks for it: CQL through the scylla driver.
//!
//! - `connect`: addresses, credentials, TLS, policies; what cluster is refused; `refused`: why a
//!   cluster refuses;
//! - `accord`: batches over several partitions; `load`: rows without conditions;
//! - `native`: columns of values as columns of CQL; `natives`: which those of a table are;
//! - `keyspace`: the keyspace and what was decided once for it;
//! - `cql`: statement texts and table definitions; `prepared`: their cache;
//! - `rows`: values bound and rows read; `failure`: what errors mean to the protocol;
//! - `foreign`: tables of other keyspaces, as they are;
//! - `stored`: rows in Cassandra's files; `agents`: who reads those, beside each node.
//!
//! The driver never tries again by itself: a conditional batch without an answer is settled by the
//! protocol, and plain requests are repeated by it too. Reads and plain writes carry everything
//! that makes them repeatable, so those may be sent to a second node when the first is slow.
//!
//! Tables of spaces are made when first used, whatever uses them: a node that does not know a
//! table yet may be one that has not heard of it, so nothing is answered before the table is there.

mod accord;
pub mod agents;
mod batches;
mod connect;
mod cql;
mod failure;
mod foreign;
mod keyspace;
mod native;
mod natives;
mod prepared;
mod refused;
mod rows;
pub mod stored;
#[cfg(test)]
mod tests;

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{BoxFuture, join3};
use parking_lot::Mutex;
use scylla::client::session::Session;
use scylla::statement::Consistency as CqlConsistency;
use tokio::sync::Semaphore;

use self::connect::change_schema;
use self::cql::Names;
use self::failure::{Trouble, trouble};
use self::natives::Known;
use self::prepared::{Prepared, Use};
use self::rows::{Value, decode, decode_ring};
use crate::clock::Clock;
use crate::error::Result;
use crate::kv::lwt::partitions::*;
use crate::kv::requests::Pacer;
use crate::kv::{NativeColumn, Pace, SpaceId};

pub use self::connect::{About, SerialDomain};

/// Requests of this gateway under way at once; more wait.
const REQUESTS_MAX: usize = 2048;
/// Times that a request makes its table and tries again.
const TABLE_TRIES_MAX: u32 = 5;
/// Partitions of a table that are counted, for an estimate of its rows.
const PARTITIONS_COUNTED: usize = 1000;

/// Before a table's columns are read again, when one was not known.
const COLUMN_PAUSE: Duration = Duration::from_millis(50);
/// The tables of a keyspace.
const TABLES: &str = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";

/// How commits are made; one way for all of a keyspace's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitProtocol {
    /// Lightweight transactions.
    Lwt,
    /// Accord transactions where they reach, else lightweight ones on the same tables.
    Accord,
}

impl CommitProtocol {
    /// Its name, as `settings` has it.
    pub fn name(self) -> &'static str {
        match self {
            CommitProtocol::Lwt => "lwt",
            CommitProtocol::Accord => "accord",
        }
    }
}

/// Where the cluster is and how it is used.
#[derive(Clone, Debug, Default)]
pub struct CassandraOptions {
    /// `host:port` of some nodes.
    pub contact_points: Vec<String>,
    /// The keyspace; made if missing.
    pub keyspace: String,
    /// Whether it must be there already: who only reads it decides nothing for it.
    pub existing: bool,
    /// The data centre whose nodes are asked; none: that of the first node to answer.
    pub local_dc: Option<String>,
    /// Replicas of a new keyspace: a number for each data centre, or `dc:number,…`; none: three,
    /// or as many as there are nodes.
    pub replication: Option<String>,
    /// Which replicas agree on commits, decided when the keyspace is new; none: as it was made.
    pub serial_domain: Option<SerialDomain>,
    /// How commits are to be made; none: as in all of the keyspace, or by lightweight transactions.
    pub commit: Option<CommitProtocol>,
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// Certificates (PEM) that nodes' certificates must lead to; none: no TLS.
    pub authority: Option<PathBuf>,
}

/// A keyspace of a cluster.
pub struct Cassandra {
    session: Session,
    names: Names,
    prepared: Prepared,
    about: About,
    natives: Known,
    requests: Semaphore,
    pacer: Pacer,
    clock: Arc<dyn Clock>,
    /// One change of the schema at a time.
    schema: tokio::sync::Mutex<()>,
    warned: Mutex<std::collections::HashSet<&'static str>>,
}

impl Cassandra {
    /// Connects, checks the cluster, makes the keyspace if it is missing.
    ///
    /// # Errors
    /// 08006 where no node answers, 0A000 for clusters it cannot be correct on, 55000 for a
    /// keyspace that was made for something else.
    pub async fn connect(
        options: &CassandraOptions,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<Cassandra>> {
        let (session, mut about) = connect::connect(options).await?;
        let names = keyspace::open(&session, options, &mut about, clock.as_ref()).await?;
        let cassandra = Arc::new(Cassandra {
            session,
            names,
            prepared: Prepared::default(),
            about,
            natives: Known::default(),
            requests: Semaphore::new(REQUESTS_MAX),
            pacer: Pacer::default(),
            clock: clock.clone(),
            schema: tokio::sync::Mutex::new(()),
            warned: Mutex::default(),
        });
        for table in [Table::Gateways, Table::Transactions, Table::Log] {
            cassandra.make(table).await.map_err(|t| t.into_error("make its tables"))?;
        }
        Ok(cassandra)
    }

    /// What cluster this is.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// How commits are made.
    pub fn commit(&self) -> CommitProtocol {
        self.names.commit
    }

    /// Which keyspace this is, of all that ever had its name.
    pub fn identity(&self) -> &[u8] {
        &self.names.identity
    }

    /// Makes a table, if it is missing, and waits until all nodes know it.
    async fn make(&self, table: Table) -> Result<(), Trouble> {
        let _one = self.schema.lock().await;
        change_schema(&self.session, self.names.create(table, &[], "")).await
    }

    /// Runs a request; makes its table first if that is missing.
    async fn with_table<'a, T>(
        &'a self,
        table: Table,
        request: impl Fn() -> BoxFuture<'a, Result<T, Trouble>> + Send + Sync,
    ) -> Result<T, Failure> {
        let Ok(_permit) = self.requests.acquire().await else {
            return Err(Failure::Unavailable);
        };
        for _ in 0..TABLE_TRIES_MAX {
            match request().await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::NoTable) => {
                    self.forget(table);
                    if let Err(trouble) = self.make(table).await {
                        self.note(&trouble);
                        // Nothing of the request itself was sent.
                        return Err(match trouble.failure() {
                            Failure::Uncertain => Failure::Unavailable,
                            failure => failure,
                        });
                    }
                }
                Err(Trouble::UnknownColumn) => {
                    self.forget(table);
                    tokio::time::sleep(COLUMN_PAUSE).await;
                }
                Err(trouble) => {
                    self.note(&trouble);
                    return Err(trouble.failure());
                }
            }
        }
        Err(Failure::Unavailable)
    }

    /// Logs a kind of trouble: at length the first time.
    fn note(&self, trouble: &Trouble) {
        let (name, text) = trouble.describe();
        if self.warned.lock().insert(name) {
            tracing::warn!(kind = name, cause = text, "the cluster does not do as asked");
        } else {
            tracing::debug!(kind = name, cause = text, "the cluster does not do as asked");
        }
    }

    async fn select(
        &self,
        text: String,
        values: &[Value],
        consistency: CqlConsistency,
    ) -> Result<scylla::response::query_result::QueryRowsResult, Trouble> {
        let usage = match consistency {
            CqlConsistency::Serial => Use::SerialRead,
            _ => Use::Read,
        };
        let mut statement = self.prepared.get(&self.session, text, usage).await?;
        if usage == Use::SerialRead && self.about.domain != SerialDomain::Everywhere {
            // Asked where conditions are: elsewhere it would tell of other replicas.
            statement.set_consistency(CqlConsistency::LocalSerial);
            statement.set_execution_profile_handle(Some(self.about.conditional.clone()));
        }
        let answer = self.session.execute_unpaged(&statement, values).await;
        let answer = answer.map_err(|e| trouble(&e))?;
        answer.into_rows_result().map_err(|e| Trouble::Defect(e.to_string()))
    }

    async fn read_partition(
        &self,
        partition: &Partition,
        select: &Select,
        consistency: CqlConsistency,
    ) -> Result<Vec<Row>, Trouble> {
        let natives = self.natives(partition.table).await?;
        let (text, values) = self.names.select(partition, select, &natives);
        let rows = self.select(text, &values, consistency).await?;
        let mut rows = decode(partition.table, &natives, &rows)?;
        if let (Table::Log, Select::Range { .. }) = (partition.table, select) {
            // After the rows: what removes rows writes how far before it does.
            let (text, values) = self.names.log_static(partition);
            let answer = self.select(text, &values, consistency).await?;
            rows.extend(rows::decode_log_static(&answer)?);
        }
        Ok(rows)
    }

    /// The rest of a partition, other partitions of its token, and those of higher tokens.
    async fn ring_page(
        &self,
        table: Table,
        after: Option<&RingPosition>,
        limit: usize,
    ) -> Result<RingPage, Trouble> {
        let quorum = CqlConsistency::Quorum;
        let natives = self.natives(table).await?;
        let Some(after) = after else {
            let (text, values) = self.names.ring(table, None, limit, &natives);
            let answer = self.select(text, &values, quorum).await?;
            return Ok(page_of(decode_ring(&natives, &answer)?, limit));
        };
        let mut rows = Vec::new();
        let partition = Partition { table, key: after.partition.clone() };
        let rest = Select::Range {
            start: Bound::Excluded(after.key.clone()),
            end: Bound::Unbounded,
            reverse: false,
            limit,
        };
        let (beside, beside_values) = self.names.same_token(table, &after.partition);
        let (beyond, beyond_values) =
            self.names.ring(table, Some(&after.partition), limit, &natives);
        let (rest, beside, beyond) = join3(
            self.read_partition(&partition, &rest, quorum),
            self.select(beside, &beside_values, quorum),
            self.select(beyond, &beyond_values, quorum),
        )
        .await;
        rows.extend(rest?.into_iter().map(|row| (after.partition.clone(), row)));
        let mut others = rows::decode_keys(&beside?)?;
        others.retain(|key| *key > after.partition);
        others.sort_unstable();
        for key in others {
            if rows.len() >= limit {
                return Ok(page_of(rows, limit));
            }
            let partition = Partition { table, key: key.clone() };
            let all = Select::Range {
                start: Bound::Unbounded,
                end: Bound::Unbounded,
                reverse: false,
                limit,
            };
            let found = self.read_partition(&partition, &all, quorum).await?;
            rows.extend(found.into_iter().map(|row| (key.clone(), row)));
        }
        rows.extend(decode_ring(&natives, &beyond?)?);
        Ok(page_of(rows, limit))
    }
}

fn page_of(mut rows: Vec<(Bytes, Row)>, limit: usize) -> RingPage {
    let more = rows.len() >= limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let next = last.map(|(partition, row)| RingPosition {
        partition: partition.clone(),
        key: row.key.key.clone(),
    });
    RingPage { rows, next }
}

#[async_trait]
impl Partitions for Cassandra {
    async fn read(
        &self,
        partition: &Partition,
        select: Select,
        consistency: Consistency,
    ) -> Result<Vec<Row>, Failure> {
        let consistency = match consistency {
            Consistency::Quorum => CqlConsistency::Quorum,
            Consistency::Serial => CqlConsistency::Serial,
        };
        let began = self.clock.monotonic();
        let one = matches!(&select, Select::Rows(keys) | Select::Heads(keys) if keys.len() == 1);
        let request = Arc::new((partition.clone(), select));
        let rows = self
            .with_table(partition.table, || {
                let request = request.clone();
                Box::pin(
                    async move { self.read_partition(&request.0, &request.1, consistency).await },
                )
            })
            .await?;
        if one && consistency == CqlConsistency::Quorum {
            self.pacer.read(self.clock.monotonic().saturating_sub(began));
        }
        Ok(rows)
    }

    async fn ring(
        &self,
        table: Table,
        after: Option<RingPosition>,
        limit: usize,
    ) -> Result<RingPage, Failure> {
        let began = self.clock.monotonic();
        let page = self
            .with_table(table, || {
                let after = after.clone();
                Box::pin(async move { self.ring_page(table, after.as_ref(), limit).await })
            })
            .await?;
        let took = self.clock.monotonic().saturating_sub(began);
        self.pacer.page(took, page.rows.len());
        Ok(page)
    }

    fn pace(&self) -> Option<Pace> {
        Some(self.pacer.pace())
    }

    async fn write(
        &self,
        partition: &Partition,
        writes: Vec<CellWrite>,
        timestamp: u64,
    ) -> Result<(), Failure> {
        let request = Arc::new((partition.clone(), writes));
        self.with_table(partition.table, || {
            let request = request.clone();
            Box::pin(async move { self.send_writes(&request.0, &request.1, timestamp).await })
        })
        .await
    }

    async fn cas(&self, batch: Batch) -> Result<Applied, Failure> {
        let batch = Arc::new(batch);
        self.with_table(batch.partition.table, || {
            let batch = batch.clone();
            Box::pin(async move { self.send_batch(&batch).await })
        })
        .await
    }

    fn reach(&self) -> Reach {
        match self.names.commit {
            CommitProtocol::Lwt => Reach { partitions: 1, rows: usize::MAX },
            CommitProtocol::Accord => accord::REACH,
        }
    }

    async fn cas_all(&self, batches: Vec<Batch>) -> Result<Applied, Failure> {
        // A missing table is made by the reads before.
        let Some(table) = batches.first().map(|batch| batch.partition.table) else {
            return Ok(Applied::Yes);
        };
        let batches = Arc::new(batches);
        self.with_table(table, || {
            let batches = batches.clone();
            Box::pin(async move { self.send_transaction(&batches).await })
        })
        .await
    }

    fn token(&self, key: &[u8]) -> i64 {
        batches::token(key)
    }

    async fn load(&self, batches: &[Batch]) -> Result<(), Failure> {
        let Some(table) = batches.first().map(|batch| batch.partition.table) else {
            return Ok(());
        };
        let batches: Arc<[Batch]> = batches.into();
        self.with_table(table, || {
            let batches = batches.clone();
            Box::pin(async move { self.send_load(&batches).await })
        })
        .await
    }

    async fn describe(
        &self,
        space: SpaceId,
        name: &str,
        columns: &[NativeColumn],
    ) -> Result<(), Failure> {
        self.describe_table(Table::Space(space), name, columns).await.map_err(|trouble| {
            self.note(&trouble);
            trouble.failure()
        })
    }

    async fn remove(&self, table: Table) -> Result<(), Failure> {
        let _one = self.schema.lock().await;
        self.forget(table);
        match change_schema(&self.session, self.names.drop(table)).await {
            Ok(()) | Err(Trouble::NoTable) => Ok(()),
            Err(trouble) => {
                self.note(&trouble);
                Err(trouble.failure())
            }
        }
    }

    async fn spaces(&self) -> Result<Vec<SpaceId>, Failure> {
        let names = connect::texts_about(&self.session, TABLES, &self.names.keyspace).await;
        let names = names.map_err(|error| {
            tracing::debug!(%error, "cannot list the cluster's tables");
            Failure::Unavailable
        })?;
        let space = |[name]: [Option<String>; 1]| name?.strip_prefix('s')?.parse().ok();
        Ok(names.into_iter().filter_map(space).map(SpaceId).collect())
    }

    async fn size(&self, table: Table) -> Result<(u64, u64), Failure> {
        self.with_table(table, || {
            Box::pin(async move {
                let (text, values) = self.names.size(table);
                let answer = self.select(text, &values, CqlConsistency::One).await?;
                let mean = rows::decode_mean(&answer)?;
                // A node counts its partitions every five minutes, and those of its files only.
                let (text, values) = self.names.some_partitions(table, PARTITIONS_COUNTED);
                let first = self.select(text, &values, CqlConsistency::One).await?;
                let partitions = rows::decode_density(&first, PARTITIONS_COUNTED)?;
                Ok((partitions, partitions.saturating_mul(mean)))
            })
        })
        .await
    }

    fn foreign(&self) -> Option<&dyn crate::kv::foreign::Foreign> {
        Some(self)
    }
}
