//! All that the protocol asks of a cluster, each operation with the CQL it stands for.
//!
//! Nothing here is more than Cassandra 4.1 to 6 and ScyllaDB have: QUORUM reads of one partition
//! with blocking read repair of the rows they return, plain QUORUM writes with a client timestamp,
//! a conditional batch within one partition of one table (one lightweight transaction), a SERIAL
//! read, a paged scan over the token ring. A cell is written either always by conditional batches
//! or always by plain writes, never by both, as ballots and client timestamps are different clocks;
//! but a load writes the first version of a row plainly, at a time before all ballots.
//!
//! One table looks like this (`schemas/lwt.md` has all of them):
//!
//! ```text
//! CREATE TABLE s200 (pk blob, kind tinyint, ck blob, ver bigint, gd blob, lg blob,
//!     ts blob, tx blob, …, PRIMARY KEY (pk, kind, ck, ver))
//!     WITH CLUSTERING ORDER BY (kind ASC, ck ASC, ver DESC) AND read_repair = 'BLOCKING'
//! ```

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, SqlState};
use crate::kv::foreign::Foreign;
use crate::kv::{NativeColumn, Pace};
use crate::types::descriptor::SpaceId;

/// Tries of a repeatable request before its failure is told, and how long they may take.
pub const TRIES_MAX: u32 = 12;
const TRIES_TIME: Duration = Duration::from_secs(5);

/// The write time of what [`Partitions::load`] writes.
pub const LOAD_TIME: u64 = 1;

/// A CQL table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// One row for each gateway incarnation, all in one partition. Plain writes only.
    Gateways,
    /// One partition for each transaction that has a record.
    Transactions,
    /// The change log: one partition for each space and incarnation. Plain writes only.
    Log,
    /// The rows of a space.
    Space(SpaceId),
}

/// A partition of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The table.
    pub table: Table,
    /// The partition key.
    pub key: Bytes,
}

impl Partition {
    /// Whose rows it has; zero: not a space's.
    pub fn space(&self) -> SpaceId {
        match self.table {
            Table::Space(space) => space,
            _ => SpaceId(0),
        }
    }
}

/// What a row of a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The static columns, which every read of the partition returns.
    Static,
    /// The newest version of a key, with its locks and its intent; or a plain table's row.
    Head,
    /// A superseded version of a key.
    History,
}

/// The clustering key of a row: newer versions of a key come first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// `kind`
    pub kind: Kind,
    /// `ck`
    pub key: Bytes,
    /// `ver`; zero unless the row is history.
    pub version: u64,
}

impl RowKey {
    /// Where the static columns are.
    pub const STATIC: RowKey = RowKey { kind: Kind::Static, key: Bytes::new(), version: 0 };

    /// The head of a key.
    pub fn head(key: &Bytes) -> RowKey {
        RowKey { kind: Kind::Head, key: key.clone(), version: 0 }
    }

    /// A superseded version of a key.
    pub fn history(key: &Bytes, version: u64) -> RowKey {
        RowKey { kind: Kind::History, key: key.clone(), version }
    }

    fn order(&self) -> (Kind, &Bytes, Reverse<u64>) {
        (self.kind, &self.key, Reverse(self.version))
    }
}

impl Ord for RowKey {
    fn cmp(&self, other: &RowKey) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for RowKey {
    fn partial_cmp(&self, other: &RowKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A column; its name in CQL is the variant's in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// Static: above every commit timestamp that an earlier batch of the partition chose.
    Gd,
    /// Static: above every number that an earlier lock batch of the partition had.
    Lg,
    /// Static: changed by whoever fences the partition against a gateway that is gone.
    Fe,
    /// Commit timestamp.
    Ts,
    /// Who wrote this version.
    Tx,
    /// Commit timestamp of the version before; absent: none.
    Pv,
    /// Present: the version is a deletion.
    Dl,
    /// The value.
    Va,
    /// Who holds locks on the row.
    Lk,
    /// The intent of a transaction that writes several partitions.
    In,
    /// The value the intent will give the row.
    Iv,
    /// A transaction's verdict.
    Vd,
    /// Whom a transaction waits for. Plain.
    Wt,
    /// A gateway's published state. Plain.
    St,
    /// Set when a gateway was retired. Plain.
    Rt,
    /// A change log row: what was to be written. Plain.
    Ch,
    /// A change log row: what became of it. Plain.
    Oc,
    /// Static in the change log: up to where it was trimmed. Plain.
    Tr,
}

/// A row as read: the cells that have a value, in column order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: RowKey,
    /// Its cells.
    pub cells: Vec<(Column, Bytes)>,
}

impl Row {
    /// A cell.
    pub fn get(&self, column: Column) -> Option<&Bytes> {
        self.cells.iter().find(|(c, _)| *c == column).map(|(_, value)| value)
    }
}

/// Which rows of a partition a read is for.
#[derive(Clone, Debug)]
pub enum Select {
    /// `… AND (kind, ck) IN ((head, ?), …)`
    Rows(Vec<Bytes>),
    /// The same, and the static columns.
    Heads(Vec<Bytes>),
    /// `… AND (kind, ck) IN ((head, ?), (history, ?))`: one key's head and all its history, with
    /// the static columns, in one request, so that all come from the same replicas.
    Versions(Bytes),
    /// `… AND kind = head AND ck >= ? AND ck < ? [ORDER BY … DESC] LIMIT ?`; of a log also its
    /// static column.
    Range {
        /// Lower bound on `ck`.
        start: Bound<Bytes>,
        /// Upper bound on `ck`.
        end: Bound<Bytes>,
        /// Descending.
        reverse: bool,
        /// `LIMIT`
        limit: usize,
    },
}

/// How a partition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// `CONSISTENCY QUORUM`
    Quorum,
    /// `CONSISTENCY SERIAL`: finishes what a conditional batch left half-learned, then reads.
    Serial,
}

/// What a conditional batch demands: `IF column = ?` or `IF column < ?` on a row, or
/// `IF column = ?` on a static column. A missing row is like one whose cells are all null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The row.
    pub row: RowKey,
    /// The column.
    pub column: Column,
    /// The test.
    pub test: Test,
}

/// A test of one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// `= ?`; none: `= null`.
    Is(Option<Bytes>),
    /// `< ?`; null is not below anything.
    Below(Bytes),
}

/// `UPDATE … SET column = ?`; none: `= null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellWrite {
    /// The row.
    pub row: RowKey,
    /// The column.
    pub column: Column,
    /// The value.
    pub value: Option<Bytes>,
}

/// `BEGIN BATCH … IF … APPLY BATCH`, all of it in one partition.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The partition.
    pub partition: Partition,
    /// All must hold of the same state.
    pub conditions: Vec<Condition>,
    /// What is then written.
    pub writes: Vec<CellWrite>,
    /// `DELETE … WHERE kind = history AND ck = ? AND ver <= ?`
    pub prune: Vec<(Bytes, u64)>,
}

impl Batch {
    /// A batch that demands and writes nothing yet.
    pub fn new(partition: &Partition) -> Batch {
        Batch {
            partition: partition.clone(),
            conditions: Vec::new(),
            writes: Vec::new(),
            prune: Vec::new(),
        }
    }

    /// What it demands, by row.
    pub fn demanded(&self) -> BTreeMap<&RowKey, Vec<&Condition>> {
        let mut rows: BTreeMap<&RowKey, Vec<&Condition>> = BTreeMap::new();
        for condition in &self.conditions {
            let conditions = rows.entry(&condition.row).or_default();
            if !conditions.contains(&condition) {
                conditions.push(condition);
            }
        }
        rows
    }

    /// Adds `IF column = ?`.
    pub fn demand(&mut self, row: &RowKey, column: Column, value: Option<Bytes>) {
        let condition = Condition { row: row.clone(), column, test: Test::Is(value) };
        self.conditions.push(condition);
    }

    /// Adds `SET column = ?`.
    pub fn set(&mut self, row: &RowKey, column: Column, value: Option<Bytes>) {
        self.writes.push(CellWrite { row: row.clone(), column, value });
    }
}

/// How a conditional batch ended: CQL's `[applied]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Written, and learned by a quorum.
    Yes,
    /// A condition did not hold; this sending wrote nothing, an earlier one may have.
    No,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may have happened, may still happen, or not: a timeout.
    Uncertain,
    /// It did not happen and will not.
    Unavailable,
    /// It did not happen, and trying again does not help.
    Refused(Refusal),
}

impl Failure {
    /// Whether a repeatable request is given up after this failure of its `attempt`-th try, so
    /// long after the first.
    pub fn is_final(self, attempt: u32, waited: Duration) -> bool {
        attempt >= TRIES_MAX || waited >= TRIES_TIME || matches!(self, Failure::Refused(_))
    }
}

/// Why a cluster refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// More bytes than it takes at once.
    TooLarge,
    /// The gateway's user may not.
    Unauthorized,
    /// It does not understand, or is not understood; the log says more.
    Defect,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Uncertain | Failure::Unavailable => {
                let message = "no quorum of the store's replicas answers";
                Error::new(SqlState::CONNECTION_FAILURE, message)
                    .with_hint("Statements work again as soon as enough of its nodes answer.")
            }
            Failure::Refused(Refusal::TooLarge) => {
                let message = "a row or a transaction's writes in one partition are too large";
                Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
            }
            Failure::Refused(Refusal::Unauthorized) => {
                let message = "the cluster does not let this gateway's user do that";
                Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
            }
            Failure::Refused(Refusal::Defect) => {
                Error::internal("the cluster refused a request; the log says why")
            }
        }
    }
}

/// Where a scan over the ring goes on: after this row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingPosition {
    /// The partition key.
    pub partition: Bytes,
    /// The clustering key of the last head given.
    pub key: Bytes,
}

/// A page of a scan over the ring.
#[derive(Clone, Debug, Default)]
pub struct RingPage {
    /// Heads with their partition keys, in token order.
    pub rows: Vec<(Bytes, Row)>,
    /// Set when there may be more.
    pub next: Option<RingPosition>,
}

/// How much one conditional batch may reach.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Partitions.
    pub partitions: usize,
    /// Rows that are written or validated.
    pub rows: usize,
}

/// A cluster, as one gateway reaches it.
#[async_trait]
pub trait Partitions: Send + Sync + 'static {
    /// `SELECT … FROM table WHERE pk = ? AND …`
    async fn read(
        &self,
        partition: &Partition,
        select: Select,
        consistency: Consistency,
    ) -> Result<Vec<Row>, Failure>;

    /// `SELECT … FROM table WHERE (token(pk), pk, ck) > (…) AND kind = head LIMIT ?
    /// ALLOW FILTERING`, QUORUM.
    async fn ring(
        &self,
        table: Table,
        after: Option<RingPosition>,
        limit: usize,
    ) -> Result<RingPage, Failure>;

    /// `INSERT … USING TIMESTAMP ?`, an unlogged batch in one partition, QUORUM. For plain tables
    /// and columns only.
    async fn write(
        &self,
        partition: &Partition,
        writes: Vec<CellWrite>,
        timestamp: u64,
    ) -> Result<(), Failure>;

    /// A conditional batch: one lightweight transaction.
    async fn cas(&self, batch: Batch) -> Result<Applied, Failure>;

    /// What one conditional batch may reach: by lightweight transactions one partition.
    fn reach(&self) -> Reach {
        Reach { partitions: 1, rows: usize::MAX }
    }

    /// Conditional batches in different partitions of any spaces, all or none of them:
    /// `BEGIN TRANSACTION LET … IF … THEN … END IF COMMIT TRANSACTION`. Where [`Partitions::reach`]
    /// says so.
    async fn cas_all(&self, _batches: Vec<Batch>) -> Result<Applied, Failure> {
        Err(Failure::Refused(Refusal::Defect))
    }

    /// Where a partition key lies in the ring.
    fn token(&self, _key: &[u8]) -> i64 {
        0
    }

    /// `BEGIN UNLOGGED BATCH USING TIMESTAMP ?`, QUORUM, over partitions of one space whose rows
    /// have nothing yet. Their cells are those of conditional batches, and have [`LOAD_TIME`],
    /// which is before every ballot: so whatever a conditional batch writes there wins, whenever
    /// these writes come.
    async fn load(&self, batches: &[Batch]) -> Result<(), Failure> {
        for batch in batches {
            self.write(&batch.partition, batch.writes.clone(), LOAD_TIME).await?;
        }
        Ok(())
    }

    /// `CREATE TABLE`, `ALTER TABLE … ADD`: the columns that values of a space consist of.
    async fn describe(
        &self,
        _space: SpaceId,
        _name: &str,
        _columns: &[NativeColumn],
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// `DROP TABLE`: nothing of it is needed any more. What still asks finds it empty.
    async fn remove(&self, table: Table) -> Result<(), Failure>;

    /// The spaces that have tables (`system_schema.tables`).
    async fn spaces(&self) -> Result<Vec<SpaceId>, Failure> {
        Ok(Vec::new())
    }

    /// About how many partitions a table has, and their bytes: 0 where the nodes know of none yet
    /// (`system.size_estimates`).
    async fn size(&self, table: Table) -> Result<(u64, u64), Failure>;

    /// How fast it answers, if that is measured.
    fn pace(&self) -> Option<Pace> {
        None
    }

    /// Tables of other keyspaces, if it is a cluster that has any.
    fn foreign(&self) -> Option<&dyn Foreign> {
        None
    }
}
