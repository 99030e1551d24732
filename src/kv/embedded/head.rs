//! Bytes of a head: the newest version of a key.
//!
//! ```text
//! 00  00000191f3a70000  0004  76616c7565
//! │   │                 │     └ value (nothing for a deletion)
//! │   │                 └ bytes of the key's partition part, big endian
//! │   └ commit timestamp, or the number of a bulk commit, big endian
//! └ flags: 1 deletion, 2 bulk
//! ```

use fjall::Slice;

use crate::clock::Timestamp;
use crate::error::{Error, Result};

const DELETED: u8 = 1;
const BULK: u8 = 2;
/// Bytes before the value.
pub(super) const HEADER_LEN: usize = 11;

/// When a head was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// At this timestamp.
    At(Timestamp),
    /// With the bulk commit of this number; when, or whether, that was, its note says.
    Bulk(u64),
}

/// A head, borrowed from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub stamp: Stamp,
    pub partition_len: u16,
    /// None: deleted.
    pub value: Option<&'a [u8]>,
}

impl<'a> Head<'a> {
    /// Reads a head.
    pub fn decode(bytes: &'a [u8]) -> Result<Head<'a>> {
        let Some((header, value)) = bytes.split_at_checked(HEADER_LEN) else {
            return Err(Error::corrupted(format!("a head of {} bytes", bytes.len())));
        };
        let [flags, a, b, c, d, e, f, g, h, p, q] = *header else {
            return Err(Error::corrupted("a head's header"));
        };
        if flags & !(DELETED | BULK) != 0 {
            return Err(Error::corrupted(format!("a head with unknown flags {flags:#04x}")));
        }
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let stamp = match flags & BULK {
            0 => Stamp::At(Timestamp(number)),
            _ => Stamp::Bulk(number),
        };
        let value = (flags & DELETED == 0).then_some(value);
        Ok(Head { stamp, partition_len: u16::from_be_bytes([p, q]), value })
    }

    /// Its bytes. The buffer's content is lost; it saves an allocation.
    pub fn encode(&self, bytes: &mut Vec<u8>) -> Slice {
        let value = self.value.unwrap_or_default();
        bytes.clear();
        let deleted = if self.value.is_none() { DELETED } else { 0 };
        let (bulk, number) = match self.stamp {
            Stamp::At(ts) => (0, ts.0),
            Stamp::Bulk(number) => (BULK, number),
        };
        bytes.push(deleted | bulk);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&self.partition_len.to_be_bytes());
        bytes.extend_from_slice(value);
        Slice::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back() {
        for stamp in [Stamp::At(Timestamp(0x0102_0304_0506_0708)), Stamp::Bulk(7)] {
            for value in [None, Some(&b""[..]), Some(b"value")] {
                let head = Head { stamp, partition_len: 513, value };
                assert_eq!(Head::decode(&head.encode(&mut Vec::new())).unwrap(), head);
            }
        }
        assert!(Head::decode(&[0; 10]).is_err());
        assert!(Head::decode(&[4; 11]).is_err());
    }
}
