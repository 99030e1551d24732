//! Files that real nodes wrote (`tests/cluster/sstables.py --fixtures`), whole and broken.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use tempfile::TempDir;

use super::dump::{self, Format};
use super::files::Files;
use super::scan::Scan;
use super::statistics;
use super::table::Table;
use super::token::Tokens;
use crate::error::{ErrorKind, Result};

/// A time in 2027, and one after every time to live in the files.
const NOW: i64 = 1_800_000_000;
const LATER: i64 = 2_100_000_000;
const FORMATS: [&str; 5] = ["nb", "oa", "da", "pa", "ea"];

fn fixture(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sstables").join(format)
}

/// The rows as JSON, by key columns that have their names.
fn rows(paths: &[PathBuf], now: i64) -> Result<Vec<String>> {
    let mut table = Table::open(paths, now)?;
    table.name_key(&["k", "c", "d"].map(str::to_owned))?;
    let folder = TempDir::new().unwrap();
    let output = folder.path().join("rows");
    dump::dump(&table, now, Format::Json, Some(&output))?;
    Ok(fs::read_to_string(output).unwrap().lines().map(str::to_owned).collect())
}

/// The same, as they come.
fn batches(folder: &Path) -> Result<Vec<RecordBatch>> {
    Table::alone(&[folder.to_owned()])?.scan(NOW)?.collect()
}

fn expected(format: &str) -> Vec<String> {
    let text = fs::read_to_string(fixture(format).join("expected.json")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Rows of one partition, and in them the columns asked for.
fn of(rows: &[String], key: &str, columns: &[&str]) -> Vec<String> {
    let parsed = rows.iter().map(|r| serde_json::from_str::<serde_json::Value>(r).unwrap());
    let own = parsed.filter(|row| row["k"] == key);
    own.map(|row| columns.iter().map(|c| row[*c].to_string()).collect::<Vec<_>>().join(" "))
        .collect()
}

/// A copy of a fixture's files, without some components.
fn copy(format: &str, without: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for entry in fs::read_dir(fixture(format)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !without.iter().any(|w| name.contains(w)) && name != "expected.json" {
            fs::copy(&path, folder.path().join(name)).unwrap();
        }
    }
    folder
}

fn data(format: &str, generation: u32) -> PathBuf {
    let kind = if ["da", "ea"].contains(&format) { "bti" } else { "big" };
    fixture(format).join(format!("{format}-{generation}-{kind}-Data.db"))
}

#[test]
fn every_format_gives_the_rows_that_its_node_gave() {
    for format in FORMATS {
        assert_eq!(rows(&[fixture(format)], NOW).unwrap(), expected(format), "{format}");
    }
}

#[test]
fn replicas_and_other_formats_of_a_table_are_merged() {
    let replica = copy("nb", &[]);
    let both = [fixture("nb"), replica.path().to_owned()];
    assert_eq!(rows(&both, NOW).unwrap(), expected("nb"));
    let mixed = rows(&[data("nb", 1), data("ea", 2), data("pa", 2), data("da", 1)], NOW).unwrap();
    for key in ["range", "ttl", "tie", "gone", "only static"] {
        let all = ["c", "d", "s", "n", "v"];
        assert_eq!(of(&mixed, key, &all), of(&expected("nb"), key, &all), "{key}");
    }
}

/// Static rows, deleted ranges and whole partitions of other tokens are passed over.
#[test]
fn parts_of_the_ring_are_the_whole() {
    let printed = |scan: Scan| -> String {
        let batches: Vec<RecordBatch> = scan.collect::<Result<_>>().unwrap();
        let lines = batches.iter().flat_map(|batch| {
            let text = pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string();
            let rows: Vec<String> = text.lines().skip(3).map(str::to_owned).collect();
            rows.into_iter().filter(|line| !line.starts_with('+'))
        });
        lines.map(|line| line.replace(' ', "") + "\n").collect()
    };
    for format in FORMATS {
        for paths in [vec![fixture(format)], vec![data(format, 1)]] {
            let table = Table::open(&paths, NOW).unwrap();
            let whole = printed(table.scan(NOW).unwrap());
            for count in 1..6 {
                let parts = Tokens::parts(count).into_iter();
                let parts = parts.map(|part| printed(Scan::new(&table, NOW, part, false).unwrap()));
                let parts: Vec<String> = parts.collect();
                assert!(count < 3 || parts.iter().filter(|part| !part.is_empty()).count() > 1);
                assert_eq!(parts.concat(), whole, "{format}, {count}");
            }
        }
    }
}

#[test]
fn tombstones_meet_the_cells_of_other_files() {
    for format in FORMATS {
        let alone = rows(&[data(format, 1)], NOW).unwrap();
        let merged = rows(&[fixture(format)], NOW).unwrap();
        assert_eq!(of(&alone, "all", &["c", "m"])[0], r#"1 {"x":1,"y":2}"#);
        assert_eq!(of(&merged, "all", &["c", "m"])[0], r#"1 {"y":2,"z":3}"#);
        // One older than the cell deletes nothing.
        assert_eq!(of(&merged, "all", &["c", "n"])[1], "2 2");
        let only_deletions = rows(&[data(format, 2)], NOW).unwrap();
        assert_eq!(of(&only_deletions, "gone", &["c"]), [""; 0]);
    }
}

#[test]
fn deletions_of_partitions_and_ranges_count() {
    for format in FORMATS {
        let alone = rows(&[data(format, 1)], NOW).unwrap();
        let merged = rows(&[fixture(format)], NOW).unwrap();
        assert_eq!(of(&alone, "gone", &["c"]), ["1"]);
        assert_eq!(of(&merged, "gone", &["c"]), [""; 0]);
        assert_eq!(
            of(&alone, "range", &["c", "d"]),
            [r#"1 "a""#, r#"2 "a""#, r#"2 "b""#, r#"3 "a""#]
        );
        assert_eq!(of(&merged, "range", &["c", "d"]), [r#"1 "a""#, r#"3 "z""#]);
    }
}

#[test]
fn times_to_live_end_in_the_merge() {
    for format in FORMATS {
        let before = rows(&[fixture(format)], NOW).unwrap();
        let after = rows(&[fixture(format)], LATER).unwrap();
        assert_eq!(of(&before, "ttl", &["c", "n", "v"]), [r#"1 8 "stays""#, "2 2 null"]);
        // The cell that expired does not bring back the one it replaced, and a row of nothing else
        // is gone.
        assert_eq!(of(&after, "ttl", &["c", "n", "v"]), [r#"1 null "stays""#]);
    }
}

#[test]
fn rows_are_reconciled_cell_by_cell() {
    let merged = rows(&[fixture("nb")], NOW).unwrap();
    let row = of(&merged, "all", &["v", "n", "l", "p"]);
    assert_eq!(row[0], r#""new" 1 [1,2,3] {"name":"ann","age":4}"#);
}

#[test]
fn of_one_time_the_tombstone_counts_and_then_the_greater_value() {
    for paths in [[1, 2], [2, 1]] {
        let merged = rows(&paths.map(|n| data("nb", n)), NOW).unwrap();
        assert_eq!(of(&merged, "tie", &["c", "v"]), [r#"1 "b""#, "2 null"]);
    }
}

#[test]
fn a_partition_of_static_values_alone_is_one_row() {
    let merged = rows(&[fixture("da")], NOW).unwrap();
    assert_eq!(of(&merged, "only static", &["c", "d", "s", "v"]), ["null null 9 null"]);
    assert_eq!(of(&merged, "all", &["s", "st"]), [r#"5 ["p","q"]"#; 2]);
}

#[test]
fn a_key_has_its_length_in_two_bytes() {
    let key = "k".repeat(300);
    assert_eq!(of(&rows(&[fixture("oa")], NOW).unwrap(), &key, &["v"]), [r#""long key""#]);
}

#[test]
fn an_unknown_kind_of_bound_is_refused() {
    let folder = copy("pa", &["CRC", "Digest"]);
    let path = folder.path().join("pa-2-big-Data.db");
    let bytes = fs::read(&path).unwrap();
    // A marker: its flag, an inclusive start, one value.
    let marker = bytes.windows(4).position(|w| w == [2, 1, 0, 1]).unwrap();
    for kind in [3, 4, 8, 9, 255] {
        let mut broken = bytes.clone();
        broken[marker + 1] = kind;
        fs::write(&path, broken).unwrap();
        let error = rows(&[folder.path().to_owned()], NOW).unwrap_err();
        let place = format!("an unknown kind of range bound (at byte {})", marker + 1);
        assert!(error.message().ends_with(&place), "{error}");
    }
}

/// Statistics.db by its components: kind and bytes.
fn components(bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let count = word(0) as usize;
    let place = |n: usize| if n == count { bytes.len() } else { word(12 + 8 * n) as usize };
    (0..count).map(|n| (word(8 + 8 * n), bytes[place(n)..place(n + 1) - 4].to_vec())).collect()
}

/// A Statistics.db of components, with its checksums.
fn statistics_of(parts: &[(u32, Vec<u8>)], gap: usize) -> Vec<u8> {
    let count = (parts.len() as u32).to_be_bytes();
    let mut contents = Vec::new();
    let mut at = 12 + 8 * parts.len() + gap;
    for (kind, part) in parts {
        contents.extend_from_slice(&kind.to_be_bytes());
        contents.extend_from_slice(&(at as u32).to_be_bytes());
        at += part.len() + 4;
    }
    let crc = |bytes: &[u8]| crc32fast::hash(bytes).to_be_bytes();
    let mut bytes = [&count[..], &crc(&count), &contents].concat();
    bytes.extend_from_slice(&crc(&[&count[..], &contents].concat()));
    bytes.resize(bytes.len() + gap, 0xee);
    for (_, part) in parts {
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(&crc(part));
    }
    bytes
}

#[test]
fn the_header_is_found_by_the_table_of_contents() {
    let folder = copy("nb", &["nb-2"]);
    let path = folder.path().join("nb-1-big-Statistics.db");
    let bytes = fs::read(&path).unwrap();
    let mut parts = components(&bytes);
    assert_eq!(statistics_of(&parts, 0), bytes);
    let whole = rows(&[folder.path().to_owned()], NOW).unwrap();
    parts.reverse();
    fs::write(&path, statistics_of(&parts, 100)).unwrap();
    assert_eq!(rows(&[folder.path().to_owned()], NOW).unwrap(), whole);
    // The bytes of a header are not a header where nothing says that they are.
    let at = parts.iter().position(|(kind, _)| *kind == 3).unwrap();
    let header = parts.remove(at).1;
    let mut bytes = statistics_of(&parts, 0);
    bytes.splice(12 + 8 * parts.len()..12 + 8 * parts.len(), header);
    fs::write(&path, bytes).unwrap();
    assert!(rows(&[folder.path().to_owned()], NOW).is_err());
    fs::write(&path, statistics_of(&parts, 0)).unwrap();
    let error = rows(&[folder.path().to_owned()], NOW).unwrap_err();
    assert!(error.message().ends_with("there is no serialization header (at byte 0)"), "{error}");
}

#[test]
fn what_belongs_together_is_named() {
    let place = TempDir::new().unwrap();
    let folders = [
        "shop/orders-5a1c39e0b7c211f08de94d1a8f0c2be3",
        "shop/items-6b1c39e0b7c211f08de94d1a8f0c2be4",
    ];
    let folders = folders.map(|name| place.path().join(name));
    for folder in &folders {
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        fs::rename(copy("nb", &[]).keep(), folder).unwrap();
    }
    let error = rows(&folders, NOW).unwrap_err();
    assert!(error.message().contains("are of different tables: shop.items and shop.orders"));
    fs::write(folders[0].join("nb_txn_compaction_1.log"), "").unwrap();
    let error = rows(&folders[..1], NOW).unwrap_err();
    assert!(error.message().ends_with("a flush or compaction is not finished"), "{error}");
    let error = rows(&[place.path().to_owned()], NOW).unwrap_err();
    assert!(error.message().ends_with("holds no SSTables"), "{error}");
    fs::write(folders[1].join("nb-2-big-TOC.txt"), "Data.db\nCRC.db\nCompressionInfo.db\n")
        .unwrap();
    fs::remove_file(folders[1].join("nb-2-big-CompressionInfo.db")).unwrap();
    let error = rows(&folders[1..], NOW).unwrap_err();
    assert!(error.message().ends_with("is named by TOC.txt but not there"), "{error}");
}

#[test]
fn listed_files_say_what_they_are() {
    let listed = dump::list(&[fixture("ea"), fixture("pa")]).unwrap();
    let about: Vec<_> = listed
        .iter()
        .map(|l| (l.version, l.compressor.as_deref(), l.summary.partitions, l.summary.rows))
        .collect();
    let deflate = Some("DeflateCompressor");
    let expected = [("ea", deflate, 7, 14), ("ea", deflate, 5, 6), ("pa", None, 7, 14)];
    assert_eq!(about[..3], expected);
    assert_eq!((listed[0].summary.min_timestamp, listed[1].summary.max_timestamp), (99, 300));
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    for format in FORMATS {
        let whole = batches(&fixture(format)).unwrap();
        let folder = copy(format, &[]);
        for (path, bytes) in small_files(folder.path()) {
            // Of the names of options and the like there is no checksum.
            let sealed = !path.to_str().unwrap().ends_with("CompressionInfo.db");
            let step = if bytes.len() > 1000 { 2003 } else { 23 };
            for bit in (0..8 * bytes.len()).step_by(step) {
                let mut broken = bytes.clone();
                broken[bit / 8] ^= 1 << (bit % 8);
                replace(&path, &broken);
                match batches(folder.path()) {
                    Err(error) => assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
                    Ok(rows) => assert!(!sealed || rows == whole, "{} bit {bit}", path.display()),
                }
            }
            replace(&path, &bytes);
        }
    }
}

#[test]
fn no_file_that_was_cut_off_goes_unnoticed() {
    for format in ["nb", "pa"] {
        let folder = copy(format, &[]);
        for (path, bytes) in small_files(folder.path()) {
            for length in (0..bytes.len()).step_by(if bytes.len() > 1000 { 397 } else { 5 }) {
                replace(&path, &bytes[..length]);
                let cut = batches(folder.path());
                // A digest without its last digits is a digest, of something else.
                assert!(cut.is_err(), "{} of {length} bytes", path.display());
            }
            replace(&path, &bytes);
        }
    }
}

/// Where no checksum stands before it, the decoder itself has to bear anything.
#[test]
fn no_bytes_make_the_decoder_panic() {
    let folder = copy("pa", &["CRC", "Digest"]);
    for (path, bytes) in small_files(folder.path()) {
        if path.to_str().unwrap().ends_with("Data.db") {
            for bit in (0..8 * bytes.len()).step_by(3) {
                let mut broken = bytes.clone();
                broken[bit / 8] ^= 1 << (bit % 8);
                replace(&path, &broken);
                if let Err(error) = batches(folder.path()) {
                    assert_ne!(error.kind(), ErrorKind::Internal, "bit {bit}: {error}");
                }
            }
            for length in (0..bytes.len()).step_by(3) {
                replace(&path, &bytes[..length]);
                let _ = batches(folder.path());
            }
            replace(&path, &bytes);
        }
    }
}

#[test]
fn no_statistics_make_the_reader_panic() {
    for format in ["nb", "oa"] {
        let folder = copy(format, &["-2-"]);
        let path = folder.path().join(format!("{format}-1-big-Statistics.db"));
        let bytes = fs::read(&path).unwrap();
        let files = Files::of(&path).unwrap();
        let parts = components(&bytes);
        for (n, (_, part)) in parts.iter().enumerate() {
            let step = if part.len() > 1000 { 401 } else { 3 };
            for bit in (0..8 * part.len()).step_by(step) {
                let mut broken = parts.clone();
                broken[n].1[bit / 8] ^= 1 << (bit % 8);
                replace(&path, &statistics_of(&broken, 0));
                let _ = statistics::read(&files);
            }
        }
    }
}

fn small_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Other bytes in a file. Made anew: some file systems wait for the disk where a file is emptied.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}
