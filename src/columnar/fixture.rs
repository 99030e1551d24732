//! What the tests of the column path share: a table with a column of every type, random rows, a
//! store in memory with a random history.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::{Clock, SimulatedClock};
use crate::encoding::table::TableCodec;
use crate::kv::memory::MemoryStore;
use crate::kv::{
    Commit, CommitOutcome, Expect, Key, KeyRange, SharedStore, Timestamp, TxnId, Write,
};
use crate::types::descriptor::*;
use crate::types::{Array, BaseType, Datum, Interval, Numeric, Row, SqlType, io};

/// A seeded source of random numbers.
pub struct Random(SimulatedClock);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(SimulatedClock::new(0, seed))
    }

    pub fn next(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    pub fn below(&self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub fn numeric(precision: i32, scale: i32) -> SqlType {
    SqlType::with_typmod(BaseType::Numeric, ((precision << 16) | (scale & 0x7ff)) + 4)
}

/// Every type a column can have.
pub fn every_type() -> Vec<SqlType> {
    vec![
        SqlType::INT4,
        SqlType::TEXT,
        SqlType::BOOL,
        SqlType::INT2,
        SqlType::INT8,
        SqlType::OID,
        SqlType::FLOAT4,
        SqlType::FLOAT8,
        numeric(15, 2),
        numeric(38, 10),
        numeric(5, -2),
        SqlType::NUMERIC,
        SqlType::with_typmod(BaseType::Varchar, 14),
        SqlType::with_typmod(BaseType::Bpchar, 7),
        SqlType::of(BaseType::SingleChar),
        SqlType::NAME,
        SqlType::BYTEA,
        SqlType::DATE,
        SqlType::TIME,
        SqlType::TIMESTAMP,
        SqlType::TIMESTAMPTZ,
        SqlType::INTERVAL,
        SqlType::UUID,
        SqlType::JSON,
        SqlType::JSONB,
        SqlType::array_of(BaseType::Int4),
        SqlType::array_of(BaseType::Text),
    ]
}

/// A table with columns `c1 …` of these types; the first `key_columns` are its primary key.
pub fn table(types: &[SqlType], key_columns: usize) -> TableDescriptor {
    let columns = types.iter().enumerate().map(|(i, ty)| ColumnDescriptor {
        id: ColumnId(i as u16 + 1),
        name: format!("c{}", i + 1),
        ty: *ty,
        not_null: i < key_columns,
        default: None,
        missing: None,
        identity: None,
    });
    let key = (1..=key_columns as u16).map(|id| IndexColumn {
        column: ColumnId(id),
        desc: false,
        nulls_first: false,
    });
    TableDescriptor {
        id: TableId(16_400),
        schema: "public".into(),
        name: "t".into(),
        kind: RelationKind::Table,
        columns: columns.collect(),
        next_column: types.len() as u16 + 1,
        primary: IndexDescriptor {
            oid: 16_401,
            name: "t_pkey".into(),
            columns: key.collect(),
            unique: true,
            constraint_oid: None,
            space: SpaceId(16_402),
            state: IndexState::Public,
        },
        hidden_key: key_columns == 0,
        partition_columns: key_columns.min(1) as u16,
        keys_in_value: false,
        indexes: Vec::new(),
        checks: Vec::new(),
        columnar: true,
        columnar_since: 1,
        loaded: Default::default(),
        foreign_keys: Vec::new(),
        owner: "owner".into(),
        version: 1,
        foreign: None,
        files: None,
    }
}

fn word(random: &Random, len: u64) -> String {
    (0..random.below(len + 1))
        .map(|_| ['a', 'b', 'é', ' ', 'z', '0'][random.below(6) as usize])
        .collect()
}

/// A random value of a type, the odd ones included.
pub fn value(ty: SqlType, random: &Random) -> Datum {
    if ty.is_array {
        let values = (0..random.below(4)).map(|_| match random.chance(20) {
            true => Datum::Null,
            false => value(ty.element(), random),
        });
        let values: Vec<Datum> = values.collect();
        let lower_bound = if values.is_empty() { 1 } else { 1 - random.below(2) as i32 };
        return Datum::Array(Arc::new(Array { element: ty.base, lower_bound, values }));
    }
    let small = random.below(2000) as i64 - 1000;
    let odd = random.chance(5);
    match ty.base {
        BaseType::Bool => Datum::Bool(random.chance(50)),
        BaseType::Int2 => Datum::Int2(if odd { i16::MIN } else { small as i16 }),
        BaseType::Int4 => Datum::Int4(if odd { i32::MAX } else { small as i32 }),
        BaseType::Int8 => Datum::Int8(if odd { i64::MIN } else { small }),
        BaseType::Oid => Datum::Oid(if odd { u32::MAX } else { small.unsigned_abs() as u32 }),
        BaseType::Float4 => Datum::Float4(if odd { f32::NAN } else { small as f32 / 8.0 }),
        BaseType::Float8 => Datum::Float8(match odd {
            true => [f64::NAN, -0.0, f64::INFINITY, f64::MIN_POSITIVE][random.below(4) as usize],
            false => small as f64 / 7.0,
        }),
        BaseType::Numeric if ty.typmod >= 0 => Datum::Numeric(
            Numeric::parse(&format!("{small}")).unwrap().apply_typmod(ty.typmod).unwrap(),
        ),
        BaseType::Numeric => {
            let odd_ones = ["NaN", "Infinity", "-Infinity", "1e200", "-0.000000000000000000001230"];
            let text = match odd {
                true => odd_ones[random.below(5) as usize].to_owned(),
                false => format!("{small}.{}", ["0", "00", "5", "500"][random.below(4) as usize]),
            };
            Datum::Numeric(Numeric::parse(&text).unwrap())
        }
        BaseType::Bpchar => Datum::text(format!("{:<3}", random.below(100))),
        BaseType::Varchar => Datum::text(word(random, 10)),
        BaseType::SingleChar => Datum::Char(random.below(256) as u8),
        BaseType::Bytea => Datum::Bytea(word(random, 30).into_bytes().into()),
        BaseType::Date => Datum::Date(match odd {
            true => [i32::MIN, i32::MAX, 2_145_031_948, -2_451_545][random.below(4) as usize],
            false => small as i32,
        }),
        BaseType::Time => Datum::Time(if odd { 86_400_000_000 } else { small.abs() * 1_000_003 }),
        BaseType::Timestamp => Datum::Timestamp(moment(random, odd, small)),
        BaseType::Timestamptz => Datum::Timestamptz(moment(random, odd, small)),
        BaseType::Interval => Datum::Interval(Box::new(Interval {
            months: small as i32,
            days: random.below(40) as i32,
            micros: if odd { i64::MAX } else { small * 999_999 },
        })),
        BaseType::Uuid => {
            let mut uuid = [7; 16];
            uuid[..8].copy_from_slice(&random.next().to_be_bytes());
            Datum::Uuid(uuid)
        }
        BaseType::Json => Datum::text(format!("{{\"a\" : {small}}}")),
        BaseType::Jsonb => {
            let text = format!("{{\"k\": [{small}.50, null, \"{}\"]}}", word(random, 4));
            io::parse_text(&text, ty, &Default::default(), 0).unwrap()
        }
        _ => Datum::text(word(random, 40)),
    }
}

fn moment(random: &Random, odd: bool, small: i64) -> i64 {
    match odd {
        true => [i64::MIN, i64::MAX, -211_813_488_000_000_000][random.below(3) as usize],
        false => small * 86_399_999_999,
    }
}

/// A random row of a table; `key` decides its integer key columns.
pub fn row(table: &TableDescriptor, key: i32, random: &Random) -> Row {
    let columns = table.columns.iter().enumerate().map(|(i, column)| match column.ty {
        SqlType::INT4 if i == 0 && column.not_null => Datum::Int4(key),
        SqlType::TEXT if column.not_null => Datum::text(format!("k{}", key % 7)),
        ty if column.not_null => value(ty, random),
        _ if random.chance(10) => Datum::Null,
        ty => value(ty, random),
    });
    columns.collect()
}

/// Datums that must be the same: one text for each value, display scales included.
pub fn print(row: &[Datum]) -> String {
    format!("{row:?}")
}

/// A table in a memory store, with the rows it should have.
pub struct Table {
    pub store: SharedStore,
    pub descriptor: TableDescriptor,
    pub codec: TableCodec,
    pub random: Random,
    next_txn: u128,
}

impl Table {
    pub fn new(types: &[SqlType], key_columns: usize, seed: u64) -> Table {
        let clock = Arc::new(SimulatedClock::new(1_800_000_000_000_000, seed));
        let store = MemoryStore::new(clock);
        let descriptor = table(types, key_columns);
        let codec = TableCodec::new(&descriptor).unwrap();
        Table { store, descriptor, codec, random: Random::new(seed), next_txn: 1 }
    }

    /// The key of a row; `key` is the row id where the key is hidden.
    pub fn key(&self, key: i32, row: &[Datum]) -> Key {
        let mut row_id = [0; 16];
        row_id[..4].copy_from_slice(&key.to_be_bytes());
        self.codec.row_key(row, row_id).unwrap()
    }

    pub async fn commit(&mut self, writes: Vec<(Key, Option<Bytes>)>) -> Timestamp {
        let txn = TxnId(self.next_txn);
        self.next_txn += 1;
        let writes = writes.into_iter().map(|(key, value)| Write {
            key,
            value,
            expect: Expect::Any,
            tracked: true,
        });
        let commit = Commit {
            txn,
            snapshot: Timestamp::ZERO,
            reads: Vec::new(),
            ranges: Vec::new(),
            writes: writes.collect(),
        };
        match self.store.commit(commit).await.unwrap() {
            CommitOutcome::Committed(ts) => ts,
            other => panic!("{other:?}"),
        }
    }

    /// A random write of the row with number `key`.
    pub fn write(&self, key: i32, delete: bool) -> (Key, Option<Bytes>) {
        let row = row(&self.descriptor, key, &self.random);
        let value = (!delete).then(|| self.codec.row_value(&row).unwrap());
        (self.key(key, &row), value)
    }

    /// Commits new values for some keys below `keys`, some of them deletions.
    pub async fn churn(&mut self, count: u64, keys: u64, deletes_percent: u64) -> Timestamp {
        let mut writes = BTreeMap::new();
        for _ in 0..count {
            let key = self.random.below(keys) as i32;
            let (key, value) = self.write(key, self.random.chance(deletes_percent));
            writes.insert(key, value);
        }
        self.commit(writes.into_iter().collect()).await
    }

    /// The rows at a timestamp, by the row path: printed, by key.
    pub fn rows_at(&self, at: Timestamp) -> BTreeMap<Vec<u8>, String> {
        let wanted: Vec<ColumnId> = self.descriptor.columns.iter().map(|c| c.id).collect();
        let decoder = self.codec.decoder(&wanted).unwrap();
        let range = KeyRange {
            space: self.descriptor.space(),
            start: Bound::Unbounded,
            end: Bound::Unbounded,
            partition_len: None,
        };
        let mut segments = self.store.segments(&range, at).unwrap();
        let mut rows = BTreeMap::new();
        loop {
            let entries = segments.next(100).unwrap();
            if entries.is_empty() {
                return rows;
            }
            for entry in entries {
                let row = decoder.decode_entry(&entry).unwrap();
                rows.insert(entry.key.tail().to_vec(), print(&row));
            }
        }
    }
}
