//! Bytes of the cells: locks, intents, verdicts, gateways' states, change log rows.
//!
//! Numbers are big endian, so that `<` on a cell orders them. A cell that is compared for
//! equality has one encoding only. `schemas/lwt.md` documents all of them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::partitions::{Batch, Column, Partition, Row, RowKey, Table};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kv::{Key, LockMode, SpaceId, TxnId, Version};

/// One process's time as a gateway: random, new at every start.
pub type Incarnation = u64;

/// Takes bytes apart; XX001 where they end early.
pub(super) struct CellReader<'a>(&'a [u8]);

impl<'a> CellReader<'a> {
    pub(super) fn new(cell: &'a [u8]) -> CellReader<'a> {
        CellReader(cell)
    }

    fn short() -> Error {
        Error::corrupted("a cell of the store ends early")
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.0.try_get_u8().map_err(|_| Self::short())
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.0.try_get_u16().map_err(|_| Self::short())
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.0.try_get_u32().map_err(|_| Self::short())
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.0.try_get_u64().map_err(|_| Self::short())
    }

    pub(super) fn u128(&mut self) -> Result<u128> {
        self.0.try_get_u128().map_err(|_| Self::short())
    }

    pub(super) fn mode(&mut self) -> Result<LockMode> {
        let mode = MODES.get(usize::from(self.u8()?)).copied();
        mode.ok_or_else(|| Error::corrupted("a lock of unknown strength"))
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes> {
        let len = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or_else(Self::short)?;
        self.0 = rest;
        Ok(Bytes::copy_from_slice(bytes))
    }

    pub(super) fn end(&self) -> Result<()> {
        match self.0 {
            [] => Ok(()),
            rest => Err(Error::corrupted(format!("{} bytes after a cell's end", rest.len()))),
        }
    }
}

pub(super) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

/// A number as a cell.
pub fn number(n: u64) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

/// A number cell, zero where there is none.
pub fn read_number(cell: Option<&Bytes>) -> Result<u64> {
    let Some(cell) = cell else { return Ok(0) };
    let mut reader = CellReader(cell);
    let n = reader.u64()?;
    reader.end()?;
    Ok(n)
}

/// A transaction's identity as a cell.
pub fn txn_cell(txn: TxnId) -> Bytes {
    Bytes::copy_from_slice(&txn.0.to_be_bytes())
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The transaction.
    pub txn: TxnId,
    /// Its gateway.
    pub incarnation: Incarnation,
    /// How strongly.
    pub mode: LockMode,
}

const MODES: [LockMode; 4] =
    [LockMode::KeyShare, LockMode::Share, LockMode::NoKeyUpdate, LockMode::Update];

/// `lk`: the holders; none when there are none.
pub fn encode_locks(holders: &[Holder]) -> Option<Bytes> {
    if holders.is_empty() {
        return None;
    }
    let mut out = BytesMut::with_capacity(25 * holders.len());
    for holder in holders {
        out.put_u128(holder.txn.0);
        out.put_u64(holder.incarnation);
        out.put_u8(holder.mode as u8);
    }
    Some(out.freeze())
}

/// `lk`
pub fn decode_locks(cell: Option<&Bytes>) -> Result<Vec<Holder>> {
    let Some(cell) = cell else { return Ok(Vec::new()) };
    let mut reader = CellReader(cell);
    let mut holders = Vec::with_capacity(cell.len() / 25);
    while !reader.0.is_empty() {
        let (txn, incarnation) = (TxnId(reader.u128()?), reader.u64()?);
        holders.push(Holder { txn, incarnation, mode: reader.mode()? });
    }
    Ok(holders)
}

/// One try of a transaction to commit in several partitions. A record, and so a verdict, belongs
/// to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt {
    /// The transaction.
    pub txn: TxnId,
    /// Its gateway.
    pub incarnation: Incarnation,
    /// Its commit timestamp will be above this; unique in the gateway.
    pub floor: Timestamp,
}

impl Attempt {
    /// The partition of its record.
    pub fn record(&self) -> Partition {
        let mut key = BytesMut::with_capacity(24);
        key.put_u128(self.txn.0);
        key.put_u64(self.floor.0);
        Partition { table: Table::Transactions, key: key.freeze() }
    }
}

/// `in`: a row that an attempt will write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Whose.
    pub attempt: Attempt,
    /// When it commits, if all its attempt's intents are placed; zero: the verdict says.
    pub ts: Timestamp,
    /// Whether the row is to be deleted; else `iv` has its value.
    pub deleted: bool,
}

impl Intent {
    /// Whether its attempt may have committed at or below a timestamp.
    pub fn may_be_at(&self, at: Timestamp) -> bool {
        match self.ts {
            Timestamp::ZERO => self.attempt.floor < at,
            ts => ts <= at,
        }
    }

    /// Adds it, with the value that it brings, to a batch.
    pub fn add_to(&self, batch: &mut Batch, ck: &Bytes, value: Option<Bytes>) {
        let row = RowKey::head(ck);
        batch.set(&row, Column::In, Some(self.encode()));
        batch.set(&row, Column::Iv, value);
    }

    /// `in`
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(41);
        out.put_u128(self.attempt.txn.0);
        out.put_u64(self.attempt.incarnation);
        out.put_u64(self.attempt.floor.0);
        out.put_u64(self.ts.0);
        out.put_u8(u8::from(self.deleted));
        out.freeze()
    }

    /// `in`
    pub fn decode(cell: &Bytes) -> Result<Intent> {
        let mut reader = CellReader(cell);
        let attempt = Attempt {
            txn: TxnId(reader.u128()?),
            incarnation: reader.u64()?,
            floor: Timestamp(reader.u64()?),
        };
        let ts = Timestamp(reader.u64()?);
        let deleted = reader.u8()? != 0;
        reader.end()?;
        Ok(Intent { attempt, ts, deleted })
    }
}

/// What became of an attempt. Never changes once there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Committed at this timestamp.
    Committed(Timestamp),
    /// Never.
    Aborted,
}

impl Verdict {
    /// When it committed, if it did.
    pub fn committed(self) -> Option<Timestamp> {
        match self {
            Verdict::Committed(ts) => Some(ts),
            Verdict::Aborted => None,
        }
    }

    /// `vd`: the timestamp; zero is aborted.
    pub fn encode(self) -> Bytes {
        match self {
            Verdict::Committed(ts) => number(ts.0),
            Verdict::Aborted => number(0),
        }
    }

    /// `vd`
    pub fn decode(cell: &Bytes) -> Result<Verdict> {
        match read_number(Some(cell))? {
            0 => Ok(Verdict::Aborted),
            ts => Ok(Verdict::Committed(Timestamp(ts))),
        }
    }
}

/// A head or a superseded version, taken apart.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Zero: never written.
    pub ts: Timestamp,
    /// Who wrote it.
    pub txn: TxnId,
    /// The version before; zero: none.
    pub previous: Timestamp,
    /// None: a deletion, or never written.
    pub value: Option<Bytes>,
    /// Holders of locks.
    pub locks: Vec<Holder>,
    /// The `lk` cell as it stands.
    pub locks_cell: Option<Bytes>,
    /// A pending write.
    pub intent: Option<Intent>,
    /// The value it brings.
    pub intent_value: Option<Bytes>,
}

impl Record {
    /// From a row; none: the row is not there.
    pub fn read(row: Option<&Row>) -> Result<Record> {
        let Some(row) = row else { return Ok(Record::default()) };
        let ts = Timestamp(read_number(row.get(Column::Ts))?);
        let deleted = row.get(Column::Dl).is_some() || ts == Timestamp::ZERO;
        let value = row.get(Column::Va).cloned().unwrap_or_default();
        let txn = row.get(Column::Tx).map(|cell| CellReader(cell).u128()).transpose()?;
        let intent = row.get(Column::In).map(Intent::decode).transpose()?;
        let intent_value = intent.filter(|i| !i.deleted).map(|_| row.get(Column::Iv).cloned());
        Ok(Record {
            ts,
            txn: TxnId(txn.unwrap_or_default()),
            previous: Timestamp(read_number(row.get(Column::Pv))?),
            value: (!deleted).then_some(value),
            locks: decode_locks(row.get(Column::Lk))?,
            locks_cell: row.get(Column::Lk).cloned(),
            intent,
            intent_value: intent_value.map(Option::unwrap_or_default),
        })
    }

    /// The version; none where nothing was ever written.
    pub fn version(&self) -> Option<Version> {
        let written = self.ts > Timestamp::ZERO;
        written.then(|| Version { ts: self.ts, value: self.value.clone() })
    }

    /// An attempt's pending write.
    pub fn intent_of(&self, attempt: Attempt) -> Option<Intent> {
        self.intent.filter(|intent| intent.attempt == attempt)
    }

    /// Whether there is a live row.
    pub fn is_live(&self) -> bool {
        self.value.is_some()
    }

    /// The timestamp of a live row; zero where there is none.
    pub fn live_ts(&self) -> Timestamp {
        if self.is_live() { self.ts } else { Timestamp::ZERO }
    }
}

/// `ch`: the keys that a commit was to write in a space.
pub fn encode_keys<'a>(keys: impl Iterator<Item = &'a Key>) -> Bytes {
    let mut out = BytesMut::new();
    for key in keys {
        out.put_u16(key.partition_len() as u16);
        put_bytes(&mut out, key.tail());
    }
    out.freeze()
}

/// `ch`
pub fn decode_keys(space: SpaceId, cell: &Bytes) -> Result<Vec<Key>> {
    let mut reader = CellReader(cell);
    let mut keys = Vec::new();
    while !reader.0.is_empty() {
        let partition_len = usize::from(reader.u16()?);
        let tail = reader.bytes()?;
        if partition_len > tail.len() {
            return Err(CellReader::short());
        }
        keys.push(Key::new(space, &tail, partition_len));
    }
    Ok(keys)
}

/// `wt`: the transactions in a waiter's way, and the key it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Sets this wait apart from the transaction's others.
    pub number: u64,
    /// What it waits for; none: it does not wait any more.
    pub on: Option<(Key, LockMode, Vec<TxnId>)>,
}

impl Wait {
    /// `wt`
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u64(self.number);
        if let Some((key, mode, blockers)) = &self.on {
            out.put_u8(*mode as u8);
            out.put_u16(key.partition_len() as u16);
            put_bytes(&mut out, key.bytes());
            for blocker in blockers {
                out.put_u128(blocker.0);
            }
        }
        out.freeze()
    }

    /// `wt`
    pub fn decode(cell: &Bytes) -> Result<Wait> {
        let mut reader = CellReader(cell);
        let number = reader.u64()?;
        if reader.0.is_empty() {
            return Ok(Wait { number, on: None });
        }
        let mode = reader.mode()?;
        let partition_len = usize::from(reader.u16()?);
        let key = reader.bytes()?;
        if key.len() < Key::SPACE_LEN + partition_len {
            return Err(CellReader::short());
        }
        let mut blockers = Vec::new();
        while !reader.0.is_empty() {
            blockers.push(TxnId(reader.u128()?));
        }
        Ok(Wait { number, on: Some((Key::from_bytes(key, partition_len), mode, blockers)) })
    }
}

/// The partition and clustering key under which a key's row lies. The partition key has a byte
/// before it: Cassandra has no empty partition keys.
pub fn place(key: &Key) -> (Partition, Bytes) {
    let mut pk = BytesMut::with_capacity(1 + key.partition_len());
    pk.put_u8(1);
    pk.put_slice(key.partition());
    let partition = Partition { table: Table::Space(key.space()), key: pk.freeze() };
    let at = Key::SPACE_LEN + key.partition_len();
    (partition, key.bytes().slice(at..))
}

/// The key whose row lies there.
pub fn key_at(space: SpaceId, partition: &[u8], clustering: &[u8]) -> Key {
    let partition = partition.get(1..).unwrap_or_default();
    Key::new(space, &[partition, clustering].concat(), partition.len())
}
