//! The order of partitions: by the token of their key, then by the key.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// A part of the ring, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    first: i64,
    last: i64,
}

impl Tokens {
    /// The whole ring.
    pub const ALL: Tokens = Tokens { first: i64::MIN, last: i64::MAX };

    /// The ring in equal parts, in its order.
    pub fn parts(count: usize) -> Vec<Tokens> {
        let count = count.max(1) as i128;
        let start = |n: i128| (i128::from(i64::MIN) + ((1_i128 << 64) * n) / count) as i64;
        let last = |n| if n + 1 == count { i64::MAX } else { start(n + 1) - 1 };
        (0..count).map(|n| Tokens { first: start(n), last: last(n) }).collect()
    }

    /// Where a token lies: before the part, in it, or after it.
    pub(super) fn place(self, token: i64) -> Ordering {
        if token < self.first {
            Ordering::Less
        } else if token <= self.last {
            Ordering::Equal
        } else {
            Ordering::Greater
        }
    }
}

/// Cassandra's MurmurHash3 of a partition key, which takes the last bytes for signed ones.
pub(super) fn murmur3(key: &[u8]) -> i64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    if key.is_empty() {
        return i64::MIN;
    }
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let mut blocks = key.chunks_exact(16);
    for block in &mut blocks {
        let whole = u128::from_le_bytes(block.try_into().unwrap_or_default());
        h1 ^= mix1(whole as u64);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2((whole >> 64) as u64);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let tail = blocks.remainder();
    let signed = |n: usize| (tail[n] as i8 as i64 as u64) << (8 * (n % 8));
    if tail.len() > 8 {
        h2 ^= mix2((8..tail.len()).fold(0, |k, n| k ^ signed(n)));
    }
    if !tail.is_empty() {
        h1 ^= mix1((0..tail.len().min(8)).fold(0, |k, n| k ^ signed(n)));
    }
    h1 ^= key.len() as u64;
    h2 ^= key.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1).wrapping_add(finish(h2));
    // The smallest token stands for the beginning of the ring alone.
    if h1 as i64 == i64::MIN { i64::MAX } else { h1 as i64 }
}

fn finish(mut h: u64) -> u64 {
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ h >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `SELECT token(key)` of Cassandra 5.0.
    #[test]
    fn tokens_are_cassandras() {
        assert_eq!(murmur3(&1_i32.to_be_bytes()), -4_069_959_284_402_364_209);
        assert_eq!(murmur3(&2_i32.to_be_bytes()), -3_248_873_570_005_575_792);
        assert_eq!(murmur3(b""), i64::MIN);
    }

    #[test]
    fn parts_are_the_whole_ring() {
        assert_eq!(Tokens::parts(1), [Tokens::ALL]);
        for count in [2, 3, 7] {
            let parts = Tokens::parts(count);
            assert_eq!((parts[0].first, parts[count - 1].last), (i64::MIN, i64::MAX));
            assert!(parts.windows(2).all(|two| two[0].last + 1 == two[1].first));
            for token in [i64::MIN, -1, 0, i64::MAX] {
                let of = |part: &&Tokens| part.place(token) == Ordering::Equal;
                assert_eq!(parts.iter().filter(of).count(), 1);
            }
        }
    }
}
