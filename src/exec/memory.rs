//! Memory that one statement may use for sorts, hash tables and kept rows.
//!
//! A [`Reservation`] grows as rows are kept and gives all back when it is dropped. Beyond the
//! statement's limit the statement fails alone, with 53200.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result, SqlState};
use crate::types::{Datum, Row};

/// What a statement has reserved, and may.
#[derive(Debug)]
pub struct Memory {
    /// Made with the first reservation: most statements keep nothing.
    used: OnceLock<Arc<AtomicUsize>>,
    limit_bytes: usize,
}

impl Memory {
    /// At most `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Memory {
        Memory { used: OnceLock::new(), limit_bytes }
    }

    /// A reservation of nothing yet.
    pub fn reserve(&self) -> Reservation {
        let used = self.used.get_or_init(Arc::default).clone();
        Reservation { used, limit_bytes: self.limit_bytes, bytes: 0 }
    }
}

/// A part of a statement's memory.
#[derive(Debug)]
pub struct Reservation {
    used: Arc<AtomicUsize>,
    limit_bytes: usize,
    bytes: usize,
}

impl Reservation {
    /// Takes more.
    ///
    /// # Errors
    /// 53200 when the statement would have more than its limit.
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before + bytes > self.limit_bytes {
            let limit = self.limit_bytes >> 20;
            return Err(Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
                .with_detail(format!("The statement needs more than its {limit} MB of memory."))
                .with_hint("Narrow what it sorts and groups, or let a columnar table answer."));
        }
        Ok(())
    }

    /// Takes what a row needs.
    pub fn row(&mut self, row: &[Datum]) -> Result<()> {
        self.grow(row_bytes(row))
    }

    /// Gives all back.
    pub fn clear(&mut self) {
        self.shrink(self.bytes);
    }

    /// Gives a part back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.bytes -= bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// About what a row takes in memory.
pub fn row_bytes(row: &[Datum]) -> usize {
    size_of::<Row>() + row.iter().map(datum_bytes).sum::<usize>()
}

/// About what a datum takes in memory.
fn datum_bytes(datum: &Datum) -> usize {
    let inner = match datum {
        Datum::Text(v) => v.len() + 16,
        Datum::Bytea(v) => v.len(),
        Datum::Numeric(_) => 8,
        Datum::Interval(_) => 16,
        Datum::Array(v) => v.values.iter().map(datum_bytes).sum::<usize>() + 32,
        Datum::Record(v) => v.iter().map(datum_bytes).sum::<usize>() + 16,
        Datum::Jsonb(_) => 128,
        _ => 0,
    };
    inner + size_of::<Datum>()
}
