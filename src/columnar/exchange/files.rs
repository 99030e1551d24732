//! Sets of Parquet files that are read as one table: `read_parquet`.
//!
//! The first file says which columns there are; every other must have the same, by name and SQL
//! type, in any order. Paths may have wildcards: `*` and `?` within a name, `[…]` for one of some
//! characters, `**` for any folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::Regex;

use super::read::ParquetFile;
use super::{FileColumn, file_error, local_path};
use crate::error::{Error, Result, SqlState};
use crate::types::descriptor::{
    ColumnDescriptor, ColumnId, FileSet, RelationKind, TableDescriptor, TableId,
};

/// Files that one call may read.
const FILES_MAX: usize = 10_000;
/// Columns of a relation at most, as PostgreSQL's.
const COLUMNS_MAX: usize = 1600;

/// A file of a set.
#[derive(Clone, Debug)]
pub struct SetFile {
    /// Its path.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
}

/// Files with the same columns.
#[derive(Clone, Debug)]
pub struct Files {
    /// The files, in the order of the patterns, then of their names.
    pub files: Vec<SetFile>,
    /// The columns, as the first file has them.
    pub columns: Vec<FileColumn>,
    /// Rows of all files.
    pub rows: u64,
}

impl Files {
    /// Finds the files and reads their schemas.
    ///
    /// # Errors
    /// 58P01 where there is no such file, 42804 where one has other columns than the first, and
    /// those of [`ParquetFile::open`].
    pub fn find(patterns: &[String]) -> Result<Files> {
        let mut paths = Vec::new();
        for pattern in patterns {
            let path = local_path(pattern, "relative path not allowed for read_parquet")?;
            expand(&path, &mut paths)?;
        }
        let mut found = Files { files: Vec::new(), columns: Vec::new(), rows: 0 };
        for path in paths {
            let file = ParquetFile::open(&path)?;
            match found.files.first() {
                None => found.columns = file.columns,
                Some(first) => alike(&found.columns, &file.columns, &first.path, &path)?,
            }
            found.rows += file.rows;
            found.files.push(SetFile { path, bytes: file.bytes });
        }
        Ok(found)
    }

    /// The files as a relation. They are looked for again when it is read.
    pub fn relation(patterns: Vec<String>) -> Result<TableDescriptor> {
        let found = Files::find(&patterns)?;
        if found.columns.len() > COLUMNS_MAX {
            let message = format!("files have more than {COLUMNS_MAX} columns");
            return Err(Error::new(SqlState::TOO_MANY_COLUMNS, message));
        }
        let columns = found.columns.iter().zip(1..);
        let columns =
            columns.map(|(c, at)| ColumnDescriptor::new(ColumnId(at), &c.name, c.ty)).collect();
        let (id, kind) = (TableId(0), RelationKind::Files);
        let relation = TableDescriptor::unplaced(id, "pg_catalog", "read_parquet", kind, columns);
        let set = FileSet { patterns, files: found.files.len(), rows: found.rows };
        Ok(TableDescriptor { columnar: true, files: Some(Arc::new(set)), ..relation })
    }
}

/// Whether two files have the same columns.
fn alike(ours: &[FileColumn], theirs: &[FileColumn], first: &Path, path: &Path) -> Result<()> {
    let (first, path) = (first.display(), path.display());
    let differs = |detail: String| {
        let message = format!("file \"{path}\" has other columns than file \"{first}\"");
        Err(Error::new(SqlState::DATATYPE_MISMATCH, message).with_detail(detail))
    };
    for column in ours {
        let name = &column.name;
        match theirs.iter().find(|other| other.name == *name) {
            None => return differs(format!("It has no column \"{name}\".")),
            // The reader of all files converts them in one way.
            Some(other) if other.ty != column.ty || other.reads() != column.reads() => {
                let (ours, theirs) = (&column.given, &other.given);
                return differs(format!("Column \"{name}\" has type {theirs}, not {ours}."));
            }
            Some(_) => {}
        }
    }
    match theirs.iter().find(|other| !ours.iter().any(|column| column.name == other.name)) {
        Some(other) => differs(format!("It has a column \"{}\" more.", other.name)),
        None => Ok(()),
    }
}

/// Adds the files of a path that may have wildcards.
fn expand(path: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    let shown = path.to_string_lossy();
    if !shown.contains(['*', '?', '[']) {
        into.push(path.to_owned());
        return check_count(into.len());
    }
    let parts: Vec<&str> = shown.split('/').filter(|part| !part.is_empty()).collect();
    let mut found = Vec::new();
    walk(Path::new("/"), &parts, &mut found)?;
    if found.is_empty() {
        let message = format!("no files match \"{shown}\"");
        return Err(Error::new(SqlState::UNDEFINED_FILE, message));
    }
    found.sort();
    found.dedup();
    into.append(&mut found);
    check_count(into.len())
}

fn check_count(files: usize) -> Result<()> {
    if files > FILES_MAX {
        let message = format!("read_parquet of more than {FILES_MAX} files");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    Ok(())
}

fn walk(folder: &Path, parts: &[&str], into: &mut Vec<PathBuf>) -> Result<()> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    if *part == "**" {
        walk(folder, rest, into)?;
        for (path, _) in entries(folder)?.into_iter().filter(|(_, is_folder)| *is_folder) {
            walk(&path, parts, into)?;
        }
        return Ok(());
    }
    if !part.contains(['*', '?', '[']) {
        let path = folder.join(part);
        return match rest.is_empty() {
            false if path.is_dir() => walk(&path, rest, into),
            true if path.is_file() => {
                into.push(path);
                check_count(into.len())
            }
            _ => Ok(()),
        };
    }
    let wanted = wildcard(part)?;
    for (path, is_folder) in entries(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        // As a shell: a wildcard does not stand for a leading dot.
        if name.starts_with('.') || !wanted.is_match(&name) {
            continue;
        }
        match rest.is_empty() {
            true if !is_folder => {
                into.push(path);
                check_count(into.len())?;
            }
            false if is_folder => walk(&path, rest, into)?,
            _ => {}
        }
    }
    Ok(())
}

/// What is in a folder, and whether it is a folder itself.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>> {
    let failed = |e| file_error("read directory", folder, "", e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_folder = path.is_dir();
        found.push((path, is_folder));
    }
    found.sort();
    Ok(found)
}

/// A name with wildcards as an expression.
fn wildcard(part: &str) -> Result<Regex> {
    let mut pattern = String::from("^");
    let mut rest = part.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            '[' => {
                pattern.push('[');
                for c in rest.by_ref() {
                    match c {
                        '!' if pattern.ends_with('[') => pattern.push('^'),
                        '\\' | '[' => pattern.extend(['\\', c]),
                        c => pattern.push(c),
                    }
                    if c == ']' {
                        break;
                    }
                }
            }
            c => pattern.push_str(&regex::escape(&c.to_string())),
        }
    }
    pattern.push('$');
    Regex::new(&pattern).map_err(|_| {
        let message = format!("invalid wildcards in \"{part}\"");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_within_a_name() {
        let matches = |pattern: &str, name: &str| wildcard(pattern).unwrap().is_match(name);
        assert!(matches("*.parquet", "a.b.parquet"));
        assert!(!matches("*.parquet", "a.parquet.tmp"));
        assert!(matches("a?[0-9].p", "ab7.p") && !matches("a?[!0-9].p", "ab7.p"));
        assert!(matches("a+(b)*", "a+(b)c"));
        assert!(wildcard("a[").is_err());
    }
}
