//! Sets of characters as ranges, with ASCII's classes and case.

/// A set of characters: ranges in any order, both ends included.
#[derive(Clone, Debug, Default)]
pub(super) struct CharSet(Vec<(char, char)>);

const DIGIT: &[(char, char)] = &[('0', '9')];
const UPPER: &[(char, char)] = &[('A', 'Z')];
const LOWER: &[(char, char)] = &[('a', 'z')];
const ALPHA: &[(char, char)] = &[('A', 'Z'), ('a', 'z')];
const ALNUM: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('a', 'z')];
const WORD: &[(char, char)] = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];
const SPACE: &[(char, char)] = &[('\t', '\r'), (' ', ' ')];
const BLANK: &[(char, char)] = &[('\t', '\t'), (' ', ' ')];
const PUNCT: &[(char, char)] = &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')];
const PRINT: &[(char, char)] = &[(' ', '~')];
const GRAPH: &[(char, char)] = &[('!', '~')];
const CNTRL: &[(char, char)] = &[('\0', '\x1f'), ('\x7f', '\x7f')];
const XDIGIT: &[(char, char)] = &[('0', '9'), ('A', 'F'), ('a', 'f')];
const ASCII: &[(char, char)] = &[('\0', '\x7f')];

impl CharSet {
    /// One character.
    pub fn of(c: char) -> CharSet {
        CharSet(vec![(c, c)])
    }

    /// `[:name:]`; where case does not count, upper and lower are all letters.
    pub fn class(name: &str, fold: bool) -> Option<CharSet> {
        let ranges = match name {
            "upper" | "lower" if fold => ALPHA,
            "upper" => UPPER,
            "lower" => LOWER,
            "digit" => DIGIT,
            "alpha" => ALPHA,
            "alnum" => ALNUM,
            "word" => WORD,
            "space" => SPACE,
            "blank" => BLANK,
            "punct" => PUNCT,
            "print" => PRINT,
            "graph" => GRAPH,
            "cntrl" => CNTRL,
            "xdigit" => XDIGIT,
            "ascii" => ASCII,
            _ => return None,
        };
        Some(CharSet(ranges.to_vec()))
    }

    /// `\d`, `\w`, `\s` and their opposites.
    pub fn class_escape(c: char) -> Option<CharSet> {
        let ranges = match c.to_ascii_lowercase() {
            'd' => DIGIT,
            'w' => WORD,
            's' => SPACE,
            _ => return None,
        };
        let set = CharSet(ranges.to_vec());
        Some(if c.is_ascii_uppercase() { set.complement() } else { set })
    }

    pub fn add(&mut self, other: &CharSet) {
        self.0.extend_from_slice(&other.0);
    }

    pub fn add_range(&mut self, low: char, high: char) {
        self.0.push((low, high));
    }

    /// With both cases of its ASCII letters, if `fold`.
    pub fn folded(mut self, fold: bool) -> CharSet {
        if fold {
            let letters: Vec<char> = ('A'..='Z').chain('a'..='z').collect();
            let has = |c: char| self.0.iter().any(|(low, high)| (*low..=*high).contains(&c));
            let other = |c: char| char::from(c as u8 ^ 0x20);
            let more: Vec<char> =
                letters.into_iter().filter(|c| has(*c) && !has(other(*c))).map(other).collect();
            self.0.extend(more.into_iter().map(|c| (c, c)));
        }
        self
    }

    /// All other characters.
    pub fn complement(mut self) -> CharSet {
        self.0.sort_unstable();
        let mut out = Vec::new();
        let mut from = Some('\0');
        for (low, high) in self.0 {
            let Some(start) = from else { break };
            if low > start {
                out.extend(before(low).map(|end| (start, end)));
            }
            if high >= start {
                from = after(high);
            }
        }
        out.extend(from.map(|start| (start, char::MAX)));
        CharSet(out)
    }

    pub fn without_newline(self) -> CharSet {
        let mut others = self.complement();
        others.add_range('\n', '\n');
        others.complement()
    }

    /// Writes the set as a class of the `regex` crates' syntax.
    pub fn write(&self, out: &mut String) {
        let one = |c: char, out: &mut String| match c {
            c if c.is_ascii_alphanumeric() || !c.is_ascii() => out.push(c),
            c => out.push_str(&format!("\\x{{{:x}}}", c as u32)),
        };
        if let [(low, high)] = self.0[..]
            && low == high
        {
            return one(low, out);
        }
        if self.0.is_empty() {
            // Matches nothing.
            return out.push_str("[^\\x{0}-\\x{10ffff}]");
        }
        out.push('[');
        for &(low, high) in &self.0 {
            one(low, out);
            if low != high {
                out.push('-');
                one(high, out);
            }
        }
        out.push(']');
    }
}

fn before(c: char) -> Option<char> {
    match c {
        '\u{e000}' => Some('\u{d7ff}'),
        _ => (c as u32).checked_sub(1).and_then(char::from_u32),
    }
}

fn after(c: char) -> Option<char> {
    match c {
        '\u{d7ff}' => Some('\u{e000}'),
        _ => char::from_u32(c as u32 + 1),
    }
}
