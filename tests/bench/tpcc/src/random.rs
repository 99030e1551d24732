//! Random input as clauses 2.1.6 and 4.3.2 want it.

const SYLLABLES: [&str; 10] =
    ["BAR", "OUGHT", "ABLE", "PRI", "PRES", "ESE", "ANTI", "CALLY", "ATION", "EING"];
/// Last names there are: three digits, a syllable for each.
pub const NAMES: i32 = 1_000;
/// The constants of NURand: between those of load and run the difference is a valid one.
const C_LAST_LOAD: i32 = 157;
const C_LAST_RUN: i32 = 223;
const C_ID: i32 = 259;
const C_ITEM: i32 = 7_911;

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform over x..=y.
    pub fn within(&mut self, x: i32, y: i32) -> i32 {
        x + (self.next() % (i64::from(y) - i64::from(x) + 1) as u64) as i32
    }

    /// Whether something of so many percent is the case.
    pub fn percent(&mut self, share: i32) -> bool {
        self.within(1, 100) <= share
    }

    /// Not uniform over x..=y.
    fn skewed(&mut self, a: i32, c: i32, x: i32, y: i32) -> i32 {
        let n = i64::from(self.within(0, a) | self.within(x, y)) + i64::from(c);
        (n % i64::from(y - x + 1)) as i32 + x
    }

    pub fn customer(&mut self, customers: i32) -> i32 {
        self.skewed(1_023, C_ID, 1, customers)
    }

    pub fn item(&mut self, items: i32) -> i32 {
        self.skewed(8_191, C_ITEM, 1, items)
    }

    /// A last name to look for; a scaled down database has only its first ones.
    pub fn name_to_find(&mut self, customers: i32) -> String {
        last_name(self.skewed(255, C_LAST_RUN, 0, customers.min(NAMES) - 1))
    }

    pub fn name_to_load(&mut self) -> String {
        last_name(self.skewed(255, C_LAST_LOAD, 0, NAMES - 1))
    }

    /// A string of letters and digits.
    pub fn text(&mut self, shortest: i32, longest: i32) -> String {
        const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let len = self.within(shortest, longest);
        (0..len).map(|_| char::from(LETTERS[self.next() as usize % LETTERS.len()])).collect()
    }

    pub fn digits(&mut self, len: i32) -> String {
        (0..len).map(|_| char::from(b'0' + (self.next() % 10) as u8)).collect()
    }

    pub fn zip(&mut self) -> String {
        self.digits(4) + "11111"
    }

    /// What a tenth of items and stocks have somewhere.
    pub fn data(&mut self) -> String {
        let mut data = self.text(26, 50);
        if self.percent(10) {
            let at = self.within(0, data.len() as i32 - 8) as usize;
            data.replace_range(at..at + 8, "ORIGINAL");
        }
        data
    }

    /// 1..=n in random order.
    pub fn permutation(&mut self, n: i32) -> Vec<i32> {
        let mut all: Vec<i32> = (1..=n).collect();
        for i in (1..all.len()).rev() {
            all.swap(i, self.within(0, i as i32) as usize);
        }
        all
    }
}

/// Clause 4.3.2.3.
pub fn last_name(n: i32) -> String {
    [n / 100 % 10, n / 10 % 10, n % 10].map(|d| SYLLABLES[d as usize]).concat()
}
