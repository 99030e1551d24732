//! Reading big-endian numbers, Cassandra's variable-length integers and slices off a byte slice.
//!
//! Nothing here panics on any input: running out of bytes is a [`Bad`] that says where.

use std::path::Path;

use crate::error::{Error, Result};

/// What is wrong with some bytes, and where in their slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bad {
    /// Offset in the slice that was read.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// The bytes end before what was to be read.
pub(super) const SHORT: &str = "the bytes end in the middle of a value";

impl Bad {
    /// As an error about a file, where the slice's first byte lies at `base`.
    pub fn in_file(self, path: &Path, base: u64) -> Error {
        corrupted(path, base + self.at as u64, self.what)
    }
}

/// XX001 that names a file, an offset and what is wrong there.
pub(super) fn corrupted(path: &Path, offset: u64, what: impl std::fmt::Display) -> Error {
    Error::corrupted(format!("{}: {what} (at byte {offset})", path.display()))
}

/// The whole of a small file.
pub(super) fn read_small(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let named = |e: std::io::Error| {
        let message = format!("could not read {}: {e}", path.display());
        Error::new(crate::error::SqlState::IO_ERROR, message)
    };
    let size = std::fs::metadata(path).map_err(named)?.len();
    if size > bytes_max {
        return Err(corrupted(path, bytes_max, "the file is larger than any such file can be"));
    }
    std::fs::read(path).map_err(named)
}

/// A place in a byte slice.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

macro_rules! numbers {
    ($($name:ident -> $type:ty;)*) => {
        $(
            #[doc = concat!("A big-endian ", stringify!($type), ".")]
            #[inline]
            pub fn $name(&mut self) -> Result<$type, Bad> {
                Ok(<$type>::from_be_bytes(self.array()?))
            }
        )*
    };
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// Somewhere in `bytes`.
    pub fn at(bytes: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { bytes, at }
    }

    /// Offset in the slice.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// A complaint about this place.
    #[cold]
    pub fn bad(&self, what: &'static str) -> Bad {
        Bad { at: self.at, what }
    }

    /// The next `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Bad> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..n)) {
            Some(taken) => {
                self.at += n;
                Ok(taken)
            }
            None => Err(self.bad(SHORT)),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        match self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()) {
            Some(taken) => {
                self.at += N;
                Ok(*taken)
            }
            None => Err(self.bad(SHORT)),
        }
    }

    numbers! {
        u8 -> u8;
        u16 -> u16;
        i32 -> i32;
        u32 -> u32;
        i64 -> i64;
        f64 -> f64;
    }

    /// An unsigned variable-length integer: as many one bits as bytes follow the first, then the
    /// value in what is left of the first byte and in those bytes.
    #[inline]
    pub fn vint(&mut self) -> Result<u64, Bad> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.long_vint(first)
    }

    fn long_vint(&mut self, first: u8) -> Result<u64, Bad> {
        let extra = first.leading_ones() as usize;
        let head = u64::from(first) & (0xff_u64 >> extra);
        let mut value = head;
        for byte in self.take(extra)? {
            value = value << 8 | u64::from(*byte);
        }
        Ok(value)
    }

    /// A variable-length integer that was written from 32 signed bits.
    #[inline]
    pub fn vint32(&mut self) -> Result<i32, Bad> {
        let at = self.at;
        let value = self.vint()? as i64;
        i32::try_from(value).map_err(|_| Bad { at, what: "a number has more than 32 bits" })
    }

    /// A length or count that cannot exceed the bytes left.
    #[inline]
    pub fn length(&mut self) -> Result<usize, Bad> {
        let at = self.at;
        let value = self.vint()?;
        match usize::try_from(value) {
            Ok(n) if n <= self.remaining() => Ok(n),
            _ => Err(Bad { at, what: SHORT }),
        }
    }

    /// Bytes after their length as a variable-length integer.
    #[inline]
    pub fn prefixed(&mut self) -> Result<&'a [u8], Bad> {
        let n = self.length()?;
        self.take(n)
    }

    /// A zigzag variable-length integer.
    pub fn signed_vint(&mut self) -> Result<i64, Bad> {
        let value = self.vint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Java's `writeUTF`: bytes after their length in 16 bits.
    pub fn utf(&mut self) -> Result<&'a str, Bad> {
        let at = self.at;
        let n = self.u16()?;
        std::str::from_utf8(self.take(usize::from(n))?)
            .map_err(|_| Bad { at, what: "a text is not UTF-8" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vint(bytes: &[u8]) -> Result<u64, Bad> {
        let mut cursor = Cursor::new(bytes);
        let value = cursor.vint()?;
        assert_eq!(cursor.remaining(), 0);
        Ok(value)
    }

    #[test]
    fn vints_are_unsigned_and_know_their_length() {
        assert_eq!(vint(&[0x00]), Ok(0));
        assert_eq!(vint(&[0x7f]), Ok(127));
        assert_eq!(vint(&[0x80, 0x80]), Ok(128));
        assert_eq!(vint(&[0xbf, 0xff]), Ok(0x3fff));
        assert_eq!(vint(&[0xc0, 0x40, 0x00]), Ok(0x4000));
        let all = [0xff; 9];
        assert_eq!(vint(&all), Ok(u64::MAX));
        assert_eq!(vint(&[0xfe, 1, 2, 3, 4, 5, 6, 7]), Ok(0x01020304050607));
        for n in 0..9 {
            assert_eq!(vint(&all[..n]).unwrap_err().what, SHORT);
        }
    }

    #[test]
    fn zigzag_is_for_durations_alone() {
        let signed = |bytes: &[u8]| Cursor::new(bytes).signed_vint().unwrap();
        assert_eq!([signed(&[0]), signed(&[1]), signed(&[2]), signed(&[3])], [0, -1, 1, -2]);
        assert_eq!(signed(&[0xff; 9]), i64::MIN);
    }

    #[test]
    fn lengths_end_with_the_bytes() {
        assert_eq!(Cursor::new(&[3, 1, 2]).prefixed(), Err(Bad { at: 0, what: SHORT }));
        assert_eq!(Cursor::new(&[2, 1, 2]).prefixed(), Ok(&[1_u8, 2][..]));
        assert!(Cursor::new(&[0xff; 9]).length().is_err());
        assert!(Cursor::new(&[0xf8, 1, 0, 0, 0, 0]).vint32().is_err());
        assert_eq!(Cursor::new(&[0xff; 9]).vint32(), Ok(-1));
    }
}
