//! Names of key columns, which SSTables do not have, from what lies beside them.
//!
//! A snapshot has its table's definition in `schema.cql`. In a node's data folder, the columns of
//! all tables are rows of `system_schema.columns`, an SSTable like any other. Where there is
//! neither, or it is of another key, the names stay what they are.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Int32Type;

use super::files::TableName;
use super::table::Table;
use crate::error::Result;

/// Bytes of a definition at most.
const SCHEMA_BYTES_MAX: u64 = 1 << 24;

/// Names of a table's key columns, in their order, if something in or around `folder` says them.
pub(super) fn of_keys(folder: &Path, table: Option<&TableName>, now: i64) -> Option<Vec<String>> {
    let schema = folder.join("schema.cql");
    if fs::metadata(&schema).is_ok_and(|about| about.len() <= SCHEMA_BYTES_MAX) {
        return primary_key(&fs::read_to_string(schema).ok()?);
    }
    let table = table?;
    let keyspace = table.keyspace.as_ref()?;
    let folder = fs::canonicalize(folder).ok()?;
    let own = format!("{}-{}", table.table, table.id);
    let of_table = folder.ancestors().find(|place| place.ends_with(&own))?;
    let data = of_table.parent()?.parent()?;
    let columns = columns_table(&data.join("system_schema"))?;
    from_system_schema(&columns, keyspace, &table.table, now).ok().filter(|names| !names.is_empty())
}

/// The folder of `system_schema.columns`.
fn columns_table(folder: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    entries.find(|path| TableName::of(path).is_some_and(|name| name.table == "columns"))
}

/// Reads the rows of one table: keyspace, table, column, …, kind, position, type.
fn from_system_schema(folder: &Path, keyspace: &str, table: &str, now: i64) -> Result<Vec<String>> {
    // By names of their own: these are of no use here.
    let columns = Table::unnamed(&[folder.to_owned()])?;
    let place = |name: &str| columns.columns().iter().position(|c| c.name == name);
    let (Some(kind), Some(position)) = (place("kind"), place("position")) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for batch in columns.scan(now)? {
        let batch = batch?;
        let text = |n: usize| batch.column(n).as_string_opt::<i32>();
        let (Some(keyspaces), Some(tables), Some(names), Some(kinds), Some(positions)) = (
            text(0),
            text(1),
            text(2),
            text(kind),
            batch.column(position).as_primitive_opt::<Int32Type>(),
        ) else {
            return Ok(Vec::new());
        };
        for row in 0..batch.num_rows() {
            let clustering = match kinds.value(row) {
                "partition_key" => false,
                "clustering" => true,
                _ => continue,
            };
            if keyspaces.value(row) == keyspace && tables.value(row) == table && names.is_valid(row)
            {
                found.push((clustering, positions.value(row), names.value(row).to_owned()));
            }
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, _, name)| name).collect())
}

/// Names in the primary key of the first table that a text of CQL defines.
fn primary_key(cql: &str) -> Option<Vec<String>> {
    let words = words(cql);
    let table = words.iter().position(|w| w.is("TABLE"))?;
    let open = table + words[table..].iter().position(|w| w.is("("))?;
    let at = words.windows(2).skip(open).position(|w| w[0].is("PRIMARY") && w[1].is("KEY"))? + open;
    if words.get(at + 2)?.is("(") {
        let mut depth = 0;
        let mut names = Vec::new();
        for word in &words[at + 2..] {
            match word {
                Word::Sign('(') => depth += 1,
                Word::Sign(')') if depth == 1 => return Some(names),
                Word::Sign(')') => depth -= 1,
                Word::Name(name) => names.push(name.clone()),
                Word::Sign(_) => {}
            }
        }
        return None;
    }
    // `k int PRIMARY KEY`: the name is the first word of its definition.
    let mut depth = 0;
    let mut name = None;
    for pair in words[open..at].windows(2) {
        match &pair[0] {
            Word::Sign('(' | '<') => depth += 1,
            Word::Sign(')' | '>') => depth -= 1,
            _ => {}
        }
        let starts = depth == 1 && matches!(pair[0], Word::Sign('(' | ','));
        if let (true, Word::Name(first)) = (starts, &pair[1]) {
            name = Some(first.clone());
        }
    }
    name.map(|name| vec![name])
}

#[derive(Debug, PartialEq)]
enum Word {
    Name(String),
    Sign(char),
}

impl Word {
    fn is(&self, text: &str) -> bool {
        match self {
            Word::Name(name) => name.eq_ignore_ascii_case(text),
            Word::Sign(sign) => text.len() == 1 && text.starts_with(*sign),
        }
    }
}

/// Names and signs; comments and texts are left out.
fn words(cql: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = cql;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if rest.starts_with("--") || rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
        } else if c == '"' {
            let (name, length) = quoted(after);
            words.push(Word::Name(name));
            rest = &after[length..];
        } else if c == '\'' {
            rest = after.find('\'').map_or("", |end| &after[end + 1..]);
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            words.push(Word::Name(rest[..end].to_lowercase()));
            rest = &rest[end..];
        } else {
            if !c.is_whitespace() {
                words.push(Word::Sign(c));
            }
            rest = after;
        }
    }
    words
}

/// A name in double quotes, which are doubled within; and the bytes that it takes, with the last
/// quote.
fn quoted(text: &str) -> (String, usize) {
    let mut name = String::new();
    let mut at = 0;
    // One without an end takes what is left of its text.
    while let Some(end) = text[at..].find('"') {
        name.push_str(&text[at..at + end]);
        at += end + 1;
        if !text[at..].starts_with('"') {
            break;
        }
        name.push('"');
        at += 1;
    }
    (name, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(cql: &str) -> Vec<String> {
        primary_key(cql).unwrap_or_default()
    }

    #[test]
    fn a_definition_names_its_key() {
        let cql = "CREATE TYPE IF NOT EXISTS k.p (a int);\nCREATE TABLE IF NOT EXISTS k.t (\n \
                   \"Key\" text, b int, -- PRIMARY KEY (x)\n c frozen<map<int, text>>, v int, \
                   PRIMARY KEY ((\"Key\", b), c)\n) WITH ID = 5 AND comment = 'it''s (';";
        assert_eq!(names(cql), ["Key", "b", "c"]);
        assert_eq!(names("CREATE TABLE k.t (v map<int, text>, k int PRIMARY KEY, w int)"), ["k"]);
        assert_eq!(names("CREATE TABLE k.t (\"a \"\"b\"\"\" int PRIMARY KEY)"), ["a \"b\""]);
        assert_eq!(names("CREATE TABLE k.t (k int, PRIMARY KEY (k"), [""; 0]);
        assert_eq!(names("nothing of it"), [""; 0]);
        assert_eq!(names("CREATE TABLE k.t (\"k"), [""; 0]);
    }
}
