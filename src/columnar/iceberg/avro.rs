//! Avro's object container files, as far as Iceberg's manifests need them: uncompressed, written
//! whole. (Avro 1.11, "Object Container Files" and "Binary Encoding".)

use sha2::{Digest, Sha256};

/// Bytes of the marker between blocks.
const MARKER_BYTES: usize = 16;

/// One record's bytes.
#[derive(Default)]
pub(super) struct Record(Vec<u8>);

impl Record {
    /// An int or a long.
    pub(super) fn long(&mut self, value: i64) -> &mut Record {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    /// A string, or bytes.
    pub(super) fn string(&mut self, value: &str) -> &mut Record {
        self.bytes(value.as_bytes())
    }

    /// Bytes.
    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Record {
        self.long(value.len() as i64).0.extend_from_slice(value);
        self
    }

    /// The NULL of a union of NULL and something.
    pub(super) fn null(&mut self) -> &mut Record {
        self.long(0)
    }

    /// That what follows is the something.
    pub(super) fn some(&mut self) -> &mut Record {
        self.long(1)
    }
}

/// A file with these records of one schema.
pub(super) fn container(schema: &str, facts: &[(&str, &str)], records: &[Record]) -> Vec<u8> {
    let mut data = Vec::new();
    records.iter().for_each(|record| data.extend_from_slice(&record.0));
    let mut out = Record(b"Obj\x01".to_vec());
    out.long(facts.len() as i64 + 2);
    out.string("avro.schema").string(schema).string("avro.codec").string("null");
    for (name, value) in facts {
        out.string(name).string(value);
    }
    out.long(0);
    // The marker must not occur in the data by chance; what it is made of does not matter.
    let digest = Sha256::digest(&data);
    let marker = &digest[..MARKER_BYTES];
    out.0.extend_from_slice(marker);
    if !records.is_empty() {
        out.long(records.len() as i64).bytes(&data);
        out.0.extend_from_slice(marker);
    }
    out.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_zigzag_varints() {
        for (value, bytes) in
            [(0, vec![0]), (-1, vec![1]), (1, vec![2]), (-64, vec![0x7f]), (64, vec![0x80, 1])]
        {
            let mut record = Record::default();
            record.long(value);
            assert_eq!(record.0, bytes);
        }
    }
}
