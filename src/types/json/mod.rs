//! JSON values, and the check of JSON text.
//!
//! A [`Json`] is what jsonb holds: numbers exact, strings unescaped, keys once each (the last
//! wins) and ordered by length, then bytes. `json` (without b) is text as written that
//! [`validate`] let through.

mod parse;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use parse::validate;

use super::Numeric;

/// A jsonb value.
#[derive(Clone, Debug)]
pub enum Json {
    /// null
    Null,
    /// true, false
    Bool(bool),
    /// A number; never NaN or infinite.
    Number(Numeric),
    /// A string.
    String(Arc<str>),
    /// An array.
    Array(Vec<Json>),
    /// An object: build it with [`Json::object`], which orders the keys.
    Object(Vec<(Arc<str>, Json)>),
}

/// The order of keys: by length, then bytes.
pub fn compare_keys(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

impl Json {
    /// An object of these pairs; of pairs with one key the last stays.
    pub fn object(mut pairs: Vec<(Arc<str>, Json)>) -> Json {
        pairs.sort_by(|a, b| compare_keys(&a.0, &b.0));
        let mut unique: Vec<(Arc<str>, Json)> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match unique.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => unique.push(pair),
            }
        }
        Json::Object(unique)
    }

    /// The value of a key; none if it is no object or has no such key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        let Json::Object(pairs) = self else { return None };
        let at = pairs.binary_search_by(|(k, _)| compare_keys(k, key)).ok()?;
        Some(&pairs[at].1)
    }

    /// The element at an index, from the end where negative; none if it is no array.
    pub fn at(&self, index: i64) -> Option<&Json> {
        let Json::Array(items) = self else { return None };
        let index = if index < 0 { index.checked_add(items.len() as i64)? } else { index };
        items.get(usize::try_from(index).ok()?)
    }

    /// What `jsonb_typeof` says.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// What `->>` gives: strings bare, everything else as JSON; none for null.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Json::Null => None,
            Json::String(s) => Some(s.to_string()),
            _ => Some(self.to_string()),
        }
    }

    /// Whether this contains `other`, as `@>` has it.
    pub fn contains(&self, other: &Json) -> bool {
        match (self, other) {
            // At the top an array contains a scalar that is one of its elements.
            (Json::Array(items), scalar) if !scalar.is_container() => {
                items.iter().any(|i| i == scalar)
            }
            _ => self.contains_inner(other),
        }
    }

    fn contains_inner(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Object(_), Json::Object(pairs)) => pairs
                .iter()
                .all(|(key, value)| self.get(key).is_some_and(|own| own.contains_inner(value))),
            (Json::Array(items), Json::Array(wanted)) => {
                wanted.iter().all(|w| items.iter().any(|i| i.contains_inner(w)))
            }
            (a, b) if a.is_container() || b.is_container() => false,
            (a, b) => a == b,
        }
    }

    fn is_container(&self) -> bool {
        matches!(self, Json::Array(_) | Json::Object(_))
    }

    fn rank(&self) -> u8 {
        match self {
            Json::Null => 0,
            Json::String(_) => 1,
            Json::Number(_) => 2,
            Json::Bool(_) => 3,
            Json::Array(_) => 4,
            Json::Object(_) => 5,
        }
    }

    /// The btree order of jsonb: by kind, then by size, then by content. At the top an empty array
    /// is below all else, for which PostgreSQL gives historical reasons.
    pub fn compare(&self, other: &Json) -> Ordering {
        let empty = |j: &Json| matches!(j, Json::Array(items) if items.is_empty());
        match (empty(self), empty(other)) {
            (true, false) if !matches!(other, Json::Object(_)) => Ordering::Less,
            (false, true) if !matches!(self, Json::Object(_)) => Ordering::Greater,
            _ => self.compare_inner(other),
        }
    }

    fn compare_inner(&self, other: &Json) -> Ordering {
        match (self, other) {
            (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
            (Json::Number(a), Json::Number(b)) => a.cmp(b),
            (Json::String(a), Json::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Json::Array(a), Json::Array(b)) => a.len().cmp(&b.len()).then_with(|| {
                let pairs = a.iter().zip(b);
                pairs
                    .map(|(a, b)| a.compare_inner(b))
                    .find(|o| o.is_ne())
                    .unwrap_or(Ordering::Equal)
            }),
            (Json::Object(a), Json::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| {
                        let keys = a.0.as_bytes().cmp(b.0.as_bytes());
                        keys.then_with(|| a.1.compare_inner(&b.1))
                    })
                    .find(|o| o.is_ne())
                    .unwrap_or(Ordering::Equal)
            }),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Writes it as jsonb is written: a blank after each comma and colon.
    pub fn write_to(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Json::Number(n) => n.write_to(out),
            Json::String(s) => write_string(s, out),
            Json::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    item.write_to(out);
                }
                out.push(']');
            }
            Json::Object(pairs) => {
                out.push('{');
                for (i, (key, value)) in pairs.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    write_string(key, out);
                    out.push_str(": ");
                    value.write_to(out);
                }
                out.push('}');
            }
        }
    }

    /// Writes it over several lines, four blanks deeper each level (`jsonb_pretty`).
    pub fn write_pretty(&self, depth: usize, out: &mut String) {
        let line = |depth: usize, out: &mut String| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', 4 * depth));
        };
        match self {
            Json::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    line(depth + 1, out);
                    item.write_pretty(depth + 1, out);
                }
                line(depth, out);
                out.push(']');
            }
            Json::Object(pairs) => {
                out.push('{');
                for (i, (key, value)) in pairs.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    line(depth + 1, out);
                    write_string(key, out);
                    out.push_str(": ");
                    value.write_pretty(depth + 1, out);
                }
                line(depth, out);
                out.push('}');
            }
            _ => self.write_to(out),
        }
    }
}

/// Writes a JSON string: quotes, and escapes where they must be.
pub fn write_string(s: &str, out: &mut String) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.write_to(&mut out);
        f.write_str(&out)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.compare(other) == Ordering::Equal
    }
}

impl Eq for Json {}

impl PartialOrd for Json {
    fn partial_cmp(&self, other: &Json) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Json {
    fn cmp(&self, other: &Json) -> Ordering {
        self.compare(other)
    }
}

impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Json::Null => {}
            Json::Bool(b) => b.hash(state),
            Json::Number(n) => n.hash(state),
            Json::String(s) => s.hash(state),
            Json::Array(items) => items.hash(state),
            Json::Object(pairs) => pairs.hash(state),
        }
    }
}
