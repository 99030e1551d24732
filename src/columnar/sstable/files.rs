//! Names of an SSTable's files, and the table that a folder belongs to.
//!
//! ```text
//! shop/orders-5a1c…e3/nb-12-big-Data.db      keyspace/table-id/version-generation-format-component
//! shop/orders-5a1c…e3/snapshots/now/nb-12-…  a snapshot of the same table
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::bytes::read_small;
use crate::error::{Error, Result, SqlState};

/// What can be read, for messages.
const SUPPORTED: &str =
    "Versions nb, oa and pa of the BIG format and da and ea of BTI can be read.";
/// Hexadecimal digits of a table's id.
const ID_DIGITS: usize = 32;
/// Bytes of a TOC.txt at most.
const TOC_BYTES_MAX: u64 = 1 << 16;

/// A version of the file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Cassandra 4.0 and 4.1, and 5.0 in its default compatibility mode.
    Nb,
    /// Cassandra 5.0.
    Oa,
    /// Cassandra 6.0.
    Pa,
    /// Cassandra 5.0, BTI.
    Da,
    /// Cassandra 6.0, BTI.
    Ea,
}

impl Version {
    fn of(version: &str, format: &str) -> Option<Version> {
        match (version, format) {
            ("nb", "big") => Some(Version::Nb),
            ("oa", "big") => Some(Version::Oa),
            ("pa", "big") => Some(Version::Pa),
            ("da", "bti") => Some(Version::Da),
            ("ea", "bti") => Some(Version::Ea),
            _ => None,
        }
    }

    /// Deletion times are unsigned, and a partition without one has a single byte for it.
    pub fn unsigned_deletion_times(self) -> bool {
        self != Version::Nb
    }

    /// CompressionInfo.db may end with a dictionary.
    pub fn has_dictionaries(self) -> bool {
        matches!(self, Version::Pa | Version::Ea)
    }

    /// The two letters.
    pub fn name(self) -> &'static str {
        match self {
            Version::Nb => "nb",
            Version::Oa => "oa",
            Version::Pa => "pa",
            Version::Da => "da",
            Version::Ea => "ea",
        }
    }

    /// `big` or `bti`.
    pub fn format(self) -> &'static str {
        match self {
            Version::Nb | Version::Oa | Version::Pa => "big",
            Version::Da | Version::Ea => "bti",
        }
    }
}

/// The files of one SSTable.
#[derive(Clone, Debug)]
pub struct Files {
    /// Their folder.
    pub folder: PathBuf,
    /// What their names begin with: `nb-12-big`.
    pub stem: String,
    /// From the name.
    pub version: Version,
}

impl Files {
    /// By the path of any of its files. 0A000 for versions that are not read.
    pub fn of(path: &Path) -> Result<Files> {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let parts: Vec<&str> = name.splitn(4, '-').collect();
        let [version, id, format, component] = parts[..] else {
            return Err(not_a_table(path));
        };
        let word = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric());
        let id_fits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !word(version) || !word(format) || !id_fits || component.is_empty() {
            return Err(not_a_table(path));
        }
        let known = Version::of(version, format).ok_or_else(|| {
            let what = format!("version {version} of the {format} format");
            let message = format!("{}: {what} is not supported", path.display());
            Error::unsupported_message(message).with_hint(SUPPORTED)
        })?;
        Ok(Files {
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            stem: format!("{version}-{id}-{format}"),
            version: known,
        })
    }

    /// The path of a component: `Data.db`.
    pub fn path(&self, component: &str) -> PathBuf {
        self.folder.join(format!("{}-{component}", self.stem))
    }

    /// The path of a component that may be left out. An error if TOC.txt names it and it is not
    /// there.
    pub fn optional(&self, component: &str) -> Result<Option<PathBuf>> {
        let path = self.path(component);
        if path.try_exists()? {
            return Ok(Some(path));
        }
        let toc = self.path("TOC.txt");
        if toc.try_exists()? {
            let listed = read_small(&toc, TOC_BYTES_MAX)?;
            if listed.split(|b| *b == b'\n').any(|line| line.trim_ascii() == component.as_bytes()) {
                return Err(missing(&path, "is named by TOC.txt but not there"));
            }
        }
        Ok(None)
    }
}

fn not_a_table(path: &Path) -> Error {
    let message = format!("{}: not the name of an SSTable's file", path.display());
    Error::new(SqlState::UNDEFINED_FILE, message).with_hint("Names are like nb-1-big-Data.db.")
}

fn missing(path: &Path, how: &str) -> Error {
    Error::new(SqlState::UNDEFINED_FILE, format!("{} {how}", path.display()))
}

/// The SSTables that paths name: files of them, or folders that hold some. Each once, in the order
/// of their paths.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Files>> {
    let mut found = BTreeMap::new();
    for path in paths {
        let about =
            std::fs::metadata(path).map_err(|e| missing(path, &format!("cannot be read: {e}")))?;
        let before = found.len();
        if about.is_dir() {
            for entry in std::fs::read_dir(path)? {
                let name = entry?.file_name();
                let Some(name) = name.to_str() else { continue };
                if name.contains("_txn_") && name.ends_with(".log") {
                    return Err(unfinished(&path.join(name)));
                }
                if name.ends_with("-Data.db") {
                    let data = path.join(name);
                    found.insert(data.clone(), Files::of(&data)?);
                }
            }
            if found.len() == before {
                return Err(missing(path, "holds no SSTables"));
            }
        } else {
            let files = Files::of(path)?;
            found.insert(files.path("Data.db"), files);
        }
    }
    Ok(found.into_values().collect())
}

/// Which of the folder's files count is in its transaction log until that is gone.
fn unfinished(log: &Path) -> Error {
    let message = format!("{}: a flush or compaction is not finished", log.display());
    Error::new(SqlState::OBJECT_IN_USE, message)
        .with_hint("Read a snapshot of the table (nodetool snapshot), or the files one by one.")
}

/// The table whose files a folder holds, by the names of folders: keyspace, name and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// The folder above, if any.
    pub keyspace: Option<String>,
    /// The table.
    pub table: String,
    /// Its id, in hexadecimal.
    pub id: String,
}

impl TableName {
    /// The nearest folder upwards that is named as a table's is.
    pub fn of(folder: &Path) -> Option<TableName> {
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        folder.ancestors().find_map(|place| {
            let (table, id) = place.file_name()?.to_str()?.rsplit_once('-')?;
            let hexadecimal = id.len() == ID_DIGITS && id.bytes().all(|b| b.is_ascii_hexdigit());
            let keyspace = place.parent().and_then(Path::file_name).and_then(|n| n.to_str());
            hexadecimal.then(|| TableName {
                keyspace: keyspace.map(str::to_owned),
                table: table.to_owned(),
                id: id.to_owned(),
            })
        })
    }

    /// `keyspace.table`.
    pub fn full(&self) -> String {
        match &self.keyspace {
            Some(keyspace) => format!("{keyspace}.{}", self.table),
            None => self.table.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_version_and_format() {
        let files = Files::of(Path::new("/a/nb-3gy1_0j4v_2wbwg2b1-big-Index.db")).unwrap();
        assert_eq!(files.version, Version::Nb);
        assert_eq!(files.path("Data.db"), Path::new("/a/nb-3gy1_0j4v_2wbwg2b1-big-Data.db"));
        for (name, message) in [
            ("me-1-big-Data.db", "version me of the big format is not supported"),
            ("ms-3gy1_0-ms-Data.db", "version ms of the ms format is not supported"),
            ("na-1-big-Data.db", "version na of the big format is not supported"),
            ("eb-1-bti-Data.db", "version eb of the bti format is not supported"),
            ("nb-1-bti-Data.db", "version nb of the bti format is not supported"),
            ("Data.db", "not the name of an SSTable's file"),
        ] {
            let error = Files::of(Path::new(name)).unwrap_err();
            assert_eq!(error.message(), format!("{name}: {message}"));
        }
    }

    #[test]
    fn a_table_is_known_by_its_folder() {
        let id = "5a1c39e0b7c211f08de94d1a8f0c2be3";
        let name =
            TableName::of(Path::new(&format!("/x/shop/my-orders-{id}/snapshots/s"))).unwrap();
        assert_eq!((name.full().as_str(), name.id.as_str()), ("shop.my-orders", id));
        assert_eq!(TableName::of(Path::new("/x/y-1")), None);
    }
}
