//! Reading `json` text where it stands: values are slices of it.
//!
//! The text was checked when it became `json`, so that nothing here fails on it; text that was not
//! ends the walk early.

use crate::types::json::Json;

/// What a JSON value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    /// The kind of the value that `text` is.
    pub fn of(text: &str) -> Kind {
        match text.trim_start().bytes().next() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// What `json_typeof` says.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Number => "number",
            Kind::Bool => "boolean",
            Kind::Null => "null",
        }
    }

    pub fn is_scalar(self) -> bool {
        !matches!(self, Kind::Object | Kind::Array)
    }
}

/// Bytes of the value that `text` begins with.
fn value_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut i) = (0usize, 0);
    while i < bytes.len() {
        match bytes[i] {
            b'"' => {
                i += 1;
                while i < bytes.len() && bytes[i] != b'"' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
                if depth == 0 {
                    return (i + 1).min(bytes.len());
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return i,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return i,
            _ => {}
        }
        i += 1;
    }
    bytes.len()
}

/// Takes the value that `text` begins with.
fn take<'a>(text: &mut &'a str) -> &'a str {
    let (value, rest) = text.split_at(value_length(text));
    *text = rest.trim_start();
    value
}

/// Takes a separator, if it is there.
fn eat(text: &mut &str, separator: char) -> bool {
    match text.strip_prefix(separator) {
        Some(rest) => {
            *text = rest.trim_start();
            true
        }
        None => false,
    }
}

/// The elements of an array, as they are written.
pub(super) fn elements(array: &str) -> impl Iterator<Item = &str> {
    let mut rest = array.trim().strip_prefix('[').unwrap_or("").trim_start();
    std::iter::from_fn(move || {
        if rest.is_empty() || rest.starts_with(']') {
            return None;
        }
        let value = take(&mut rest);
        eat(&mut rest, ',');
        Some(value)
    })
}

/// The keys of an object, unescaped, and their values, as they are written.
pub(super) fn members(object: &str) -> impl Iterator<Item = (String, &str)> {
    let mut rest = object.trim().strip_prefix('{').unwrap_or("").trim_start();
    std::iter::from_fn(move || {
        if rest.is_empty() || rest.starts_with('}') {
            return None;
        }
        let key = unescape(take(&mut rest));
        eat(&mut rest, ':');
        let value = take(&mut rest);
        eat(&mut rest, ',');
        Some((key, value))
    })
}

/// The text of a string.
pub(super) fn unescape(string: &str) -> String {
    match string.len() >= 2 && !string.contains('\\') {
        true => string[1..string.len() - 1].to_owned(),
        false => match Json::parse(string) {
            Ok(Json::String(text)) => text.to_string(),
            _ => String::new(),
        },
    }
}

/// The value as text: strings unescaped, none for null.
pub(super) fn as_text(value: &str) -> Option<String> {
    match Kind::of(value) {
        Kind::Null => None,
        Kind::String => Some(unescape(value.trim())),
        _ => Some(value.trim().to_owned()),
    }
}

/// The last value of a key.
pub(super) fn get<'a>(object: &'a str, key: &str) -> Option<&'a str> {
    match Kind::of(object) {
        Kind::Object => members(object).filter(|(k, _)| k == key).last().map(|(_, value)| value),
        _ => None,
    }
}

/// The element at an index, from the end where negative.
pub(super) fn at(array: &str, index: i32) -> Option<&str> {
    if Kind::of(array) != Kind::Array {
        return None;
    }
    match usize::try_from(index) {
        Ok(index) => elements(array).nth(index),
        Err(_) => {
            let all: Vec<&str> = elements(array).collect();
            all.len().checked_sub(index.unsigned_abs() as usize).map(|i| all[i])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_as_written() {
        let object = r#" { "a" : [1, {"x":"}\""}] , "b\u0041":"q" , "a": 1.50 } "#;
        let found: Vec<_> = members(object).collect();
        assert_eq!(found[0], ("a".to_owned(), r#"[1, {"x":"}\""}]"#));
        assert_eq!(found[1], ("bA".to_owned(), "\"q\""));
        assert_eq!(get(object, "a"), Some("1.50"));
        assert_eq!(elements("[ 1 ,[2, 3],\"x\" ]").collect::<Vec<_>>(), ["1", "[2, 3]", "\"x\""]);
        assert_eq!(elements("[ ]").count(), 0);
        assert_eq!(at("[1,2,3]", -1), Some("3"));
    }
}
