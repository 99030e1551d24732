//! What SSTables do not say of their table, from what lies beside them: names of key columns, and
//! which columns were dropped, when.
//!
//! A snapshot has its table's definition in `schema.cql`. In a node's data folder, columns of all
//! tables are rows of `system_schema.columns` and `system_schema.dropped_columns`, SSTables like
//! any other. Where there is neither, or it cannot be read, a table is as its files say.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMillisecondType};

use super::files::TableName;
use super::table::Table;
use crate::error::Result;

/// Bytes of a definition at most.
const SCHEMA_BYTES_MAX: u64 = 1 << 24;
/// Microseconds in a millisecond.
const MICROS: i64 = 1000;

/// A table's definition, as far as it is needed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Definition {
    /// Names of the primary key's columns, in their order.
    pub keys: Vec<String>,
    /// Columns that were dropped.
    pub dropped: Vec<Dropped>,
}

/// A column that was dropped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Its name.
    pub name: String,
    /// When, in microseconds: cells that were written until then are not there.
    pub at: i64,
    /// A column of that name was added again.
    pub again: bool,
}

/// The definition of the table whose files are in `folder`, if something in or around it has it.
pub(super) fn find(folder: &Path, table: Option<&TableName>, now: i64) -> Option<Definition> {
    let schema = folder.join("schema.cql");
    if fs::metadata(&schema).is_ok_and(|about| about.len() <= SCHEMA_BYTES_MAX) {
        return from_cql(&fs::read_to_string(schema).ok()?);
    }
    let table = table?;
    let folder = fs::canonicalize(folder).ok()?;
    let own = format!("{}-{}", table.table, table.id);
    let of_table = folder.ancestors().find(|place| place.ends_with(&own))?;
    let schema = of_table.parent()?.parent()?.join("system_schema");
    from_system_schema(&schema, table, now).ok().filter(|found| !found.keys.is_empty())
}

fn from_system_schema(schema: &Path, table: &TableName, now: i64) -> Result<Definition> {
    let mut keys = Vec::new();
    let mut others = Vec::new();
    each_row(schema, "columns", table, now, |batch, row, name| {
        let kind = batch.column_by_name("kind").and_then(|c| c.as_string_opt::<i32>());
        let position = batch.column_by_name("position");
        let position = position.and_then(|c| c.as_primitive_opt::<Int32Type>());
        if let (Some(kind), Some(position)) = (kind, position) {
            match kind.value(row) {
                "partition_key" => keys.push((false, position.value(row), name.to_owned())),
                "clustering" => keys.push((true, position.value(row), name.to_owned())),
                _ => others.push(name.to_owned()),
            }
        }
    })?;
    keys.sort();
    let mut dropped = Vec::new();
    each_row(schema, "dropped_columns", table, now, |batch, row, name| {
        let at = batch.column_by_name("dropped_time");
        if let Some(at) = at.and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>()) {
            let (name, at) = (name.to_owned(), at.value(row).saturating_mul(MICROS));
            dropped.push(Dropped { again: others.contains(&name), name, at });
        }
    })?;
    Ok(Definition { keys: keys.into_iter().map(|(_, _, name)| name).collect(), dropped })
}

/// Calls back with each row of a table in `system_schema` that is about one table's column.
fn each_row(
    schema: &Path,
    of: &str,
    table: &TableName,
    now: i64,
    mut row_of: impl FnMut(&RecordBatch, usize, &str),
) -> Result<()> {
    let folders = fs::read_dir(schema)?.flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| TableName::of(path).is_some_and(|name| name.table == of);
    let folders: Vec<PathBuf> = folders.filter(named).collect();
    // Without a look at what lies beside them, which would be themselves.
    for batch in Table::alone(&folders)?.scan(now)? {
        let batch = batch?;
        let text = |n: usize| batch.columns().get(n).and_then(|c| c.as_string_opt::<i32>());
        // Keyspace, table, column.
        let (Some(keyspaces), Some(tables), Some(names)) = (text(0), text(1), text(2)) else {
            continue;
        };
        for row in 0..batch.num_rows() {
            let own = table.keyspace.as_deref() == Some(keyspaces.value(row));
            if own && tables.value(row) == table.table {
                row_of(&batch, row, names.value(row));
            }
        }
    }
    Ok(())
}

/// The first table that a text of CQL defines, with what the text then drops and adds.
fn from_cql(cql: &str) -> Option<Definition> {
    let words = words(cql);
    let mut dropped: Vec<Dropped> = Vec::new();
    for (n, word) in words.iter().enumerate() {
        let is = |at: usize, text: &str| words.get(n + at).is_some_and(|w| w.is(text));
        let name = match words.get(n + 1) {
            Some(Word::Name(name)) => name,
            _ => continue,
        };
        if word.is("DROP") && is(2, "USING") && is(3, "TIMESTAMP") {
            if let Some(Word::Name(at)) = words.get(n + 4) {
                let at = at.parse().ok()?;
                dropped.push(Dropped { name: name.clone(), at, again: false });
            }
        } else if word.is("ADD")
            && let Some(known) = dropped.iter_mut().find(|d| d.name == *name)
        {
            known.again = true;
        }
    }
    Some(Definition { keys: primary_key(&words)?, dropped })
}

/// Names in the primary key of the first table that is defined.
fn primary_key(words: &[Word]) -> Option<Vec<String>> {
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
        from_cql(cql).unwrap_or_default().keys
    }

    #[test]
    fn a_definition_says_what_was_dropped() {
        let cql = "CREATE TABLE k.t (k int PRIMARY KEY, a int, \"B\" int);\n\
                   ALTER TABLE k.t DROP a USING TIMESTAMP 1795290000000000;\n\
                   ALTER TABLE k.t DROP \"B\" USING TIMESTAMP 7;\nALTER TABLE k.t ADD \"B\" int;";
        let dropped = |name: &str, at, again| Dropped { name: name.to_owned(), at, again };
        let expected = [dropped("a", 1_795_290_000_000_000, false), dropped("B", 7, true)];
        assert_eq!(from_cql(cql).unwrap().dropped, expected);
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
