//! What a gateway publishes of itself: the bytes of its row among the gateways'.

use bytes::{BufMut, Bytes, BytesMut};

use super::partitions::{Partition, Table};
use super::rows::{Attempt, CellReader, Incarnation, put_bytes};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{LockMode, SpaceId, TxnId};

/// What kind of commit an open entry announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenKind {
    /// One conditional batch that writes these partitions, which leaves no trace until it is
    /// there.
    Whole(Vec<Partition>),
    /// Intents, which are the commit as soon as all are placed: of each partition the clustering
    /// key of one.
    Implicit(Vec<(Partition, Bytes)>),
    /// Intents, then a verdict.
    Several,
}

/// A commit that its gateway has announced and not settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Who, and what its timestamp will be above.
    pub attempt: Attempt,
    /// How it commits.
    pub kind: OpenKind,
    /// Its outcome is decided; intents may be left.
    pub decided: bool,
    /// Its rows in change logs, by space: none where nothing is tracked.
    pub log: Vec<(SpaceId, u64)>,
}

impl Open {
    /// Whether it may still appear in such a partition where nothing shows it yet. Intents for
    /// a verdict are there before their timestamp is chosen.
    pub fn may_appear(&self, matters: impl Fn(&Partition) -> bool) -> bool {
        !self.decided
            && match &self.kind {
                OpenKind::Whole(partitions) => partitions.iter().any(matters),
                OpenKind::Implicit(rows) => rows.iter().any(|(partition, _)| matters(partition)),
                OpenKind::Several => false,
            }
    }
}

fn put_partition(out: &mut BytesMut, partition: &Partition) {
    out.put_u32(partition.space().0);
    put_bytes(out, &partition.key);
}

impl CellReader<'_> {
    fn partition(&mut self) -> Result<Partition> {
        let table = Table::Space(SpaceId(self.u32()?));
        Ok(Partition { table, key: self.bytes()? })
    }

    fn open_kind(&mut self) -> Result<OpenKind> {
        let (kind, count) = (self.u8()?, self.u16()?);
        match kind {
            0 if count == 0 => Ok(OpenKind::Several),
            1 => Ok(OpenKind::Whole((0..count).map(|_| self.partition()).collect::<Result<_>>()?)),
            2 => {
                let rows = (0..count).map(|_| Ok((self.partition()?, self.bytes()?)));
                Ok(OpenKind::Implicit(rows.collect::<Result<_>>()?))
            }
            _ => Err(Error::corrupted("a commit that is announced in an unknown way")),
        }
    }
}

impl OpenKind {
    fn put(&self, out: &mut BytesMut) {
        match self {
            OpenKind::Several => {
                out.put_u8(0);
                out.put_u16(0);
            }
            OpenKind::Whole(partitions) => {
                out.put_u8(1);
                out.put_u16(partitions.len() as u16);
                partitions.iter().for_each(|partition| put_partition(out, partition));
            }
            OpenKind::Implicit(rows) => {
                out.put_u8(2);
                out.put_u16(rows.len() as u16);
                for (partition, ck) in rows {
                    put_partition(out, partition);
                    put_bytes(out, ck);
                }
            }
        }
    }
}

/// `st`: what a gateway publishes of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayState {
    /// Rises with every publication: the lease.
    pub counter: u64,
    /// At or above every commit this gateway has acknowledged.
    pub high: Timestamp,
    /// No read of this gateway is or will be below this.
    pub low: Timestamp,
    /// The newest change of the schema that this gateway committed, or settled for another.
    pub schema: Timestamp,
    /// Number of the next change log row.
    pub log_next: u64,
    /// Announced commits.
    pub open: Vec<Open>,
    /// Tables that its DDL holds.
    pub closed: Vec<Closed>,
    /// Tables that its DDL changed last, and when.
    pub changed: Vec<(SpaceId, Timestamp)>,
    /// Any table may have changed up to here.
    pub forgotten: Timestamp,
}

/// A table that DDL holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The table's space.
    pub space: SpaceId,
    /// Whose DDL.
    pub txn: TxnId,
    /// How.
    pub mode: LockMode,
}

impl GatewayState {
    /// `st`
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(44 + 64 * self.open.len());
        out.put_u64(self.counter);
        out.put_u64(self.high.0);
        out.put_u64(self.low.0);
        out.put_u64(self.schema.0);
        out.put_u64(self.log_next);
        out.put_u32(self.open.len() as u32);
        for open in &self.open {
            out.put_u128(open.attempt.txn.0);
            out.put_u64(open.attempt.floor.0);
            out.put_u8(u8::from(open.decided));
            open.kind.put(&mut out);
            out.put_u16(open.log.len() as u16);
            for (space, number) in &open.log {
                out.put_u32(space.0);
                out.put_u64(*number);
            }
        }
        out.put_u16(self.closed.len() as u16);
        for closed in &self.closed {
            out.put_u32(closed.space.0);
            out.put_u128(closed.txn.0);
            out.put_u8(closed.mode as u8);
        }
        out.put_u16(self.changed.len() as u16);
        for (space, ts) in &self.changed {
            out.put_u32(space.0);
            out.put_u64(ts.0);
        }
        out.put_u64(self.forgotten.0);
        out.freeze()
    }

    /// `st` of a gateway.
    pub fn decode(cell: &Bytes, incarnation: Incarnation) -> Result<GatewayState> {
        let mut reader = CellReader::new(cell);
        let mut state = GatewayState {
            counter: reader.u64()?,
            high: Timestamp(reader.u64()?),
            low: Timestamp(reader.u64()?),
            schema: Timestamp(reader.u64()?),
            log_next: reader.u64()?,
            ..GatewayState::default()
        };
        for _ in 0..reader.u32()? {
            let (txn, floor) = (TxnId(reader.u128()?), Timestamp(reader.u64()?));
            let decided = reader.u8()? != 0;
            let kind = reader.open_kind()?;
            let mut log = Vec::new();
            for _ in 0..reader.u16()? {
                log.push((SpaceId(reader.u32()?), reader.u64()?));
            }
            let attempt = Attempt { txn, incarnation, floor };
            state.open.push(Open { attempt, kind, decided, log });
        }
        for _ in 0..reader.u16()? {
            let (space, txn) = (SpaceId(reader.u32()?), TxnId(reader.u128()?));
            state.closed.push(Closed { space, txn, mode: reader.mode()? });
        }
        for _ in 0..reader.u16()? {
            state.changed.push((SpaceId(reader.u32()?), Timestamp(reader.u64()?)));
        }
        state.forgotten = Timestamp(reader.u64()?);
        reader.end()?;
        Ok(state)
    }
}
