//! Iceberg's manifests and lists of them, format version 2.
//!
//! Readers find fields by their ids, which are the specification's. Metrics of columns are left
//! out: the Parquet files have their own.

use serde_json::{Value, json};

use super::avro::{Record, container};

/// What the files of a manifest are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Rows.
    Data = 0,
    /// Positions of rows that are not.
    Deletes = 1,
}

/// A file of a manifest.
pub(super) struct ManifestFile {
    /// Where it is.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

/// What a manifest is of.
pub(super) struct Snapshot<'a> {
    /// The snapshot's id, and its sequence number.
    pub id: i64,
    /// The table's schema, as JSON.
    pub schema: &'a str,
    /// Its id.
    pub schema_id: i64,
}

/// A manifest, for the list.
pub(super) struct Listed {
    /// Where it is.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// What its files are.
    pub content: Content,
    /// How many.
    pub files: usize,
    /// Their rows.
    pub rows: u64,
}

fn field(id: u32, name: &str, ty: Value) -> Value {
    json!({ "name": name, "type": ty, "field-id": id })
}

fn optional(id: u32, name: &str, ty: Value) -> Value {
    json!({ "name": name, "type": ["null", ty], "default": null, "field-id": id })
}

/// A map from field ids, in the form that Iceberg has for maps whose keys are no strings.
fn metrics(id: u32, name: &str, (key, value): (u32, u32), ty: &str) -> Value {
    let entry = json!({
        "type": "record",
        "name": format!("k{key}_v{value}"),
        "fields": [field(key, "key", json!("int")), field(value, "value", json!(ty))],
    });
    optional(id, name, json!({ "type": "array", "items": entry, "logicalType": "map" }))
}

fn list(id: u32, name: &str, element: u32, ty: &str) -> Value {
    optional(id, name, json!({ "type": "array", "items": ty, "element-id": element }))
}

fn entry_schema() -> Value {
    let partition = json!({ "type": "record", "name": "r102", "fields": [] });
    let file = json!({ "type": "record", "name": "r2", "fields": [
        field(134, "content", json!("int")),
        field(100, "file_path", json!("string")),
        field(101, "file_format", json!("string")),
        field(102, "partition", partition),
        field(103, "record_count", json!("long")),
        field(104, "file_size_in_bytes", json!("long")),
        metrics(108, "column_sizes", (117, 118), "long"),
        metrics(109, "value_counts", (119, 120), "long"),
        metrics(110, "null_value_counts", (121, 122), "long"),
        metrics(137, "nan_value_counts", (138, 139), "long"),
        metrics(125, "lower_bounds", (126, 127), "bytes"),
        metrics(128, "upper_bounds", (129, 130), "bytes"),
        optional(131, "key_metadata", json!("bytes")),
        list(132, "split_offsets", 133, "long"),
        list(135, "equality_ids", 136, "int"),
        optional(140, "sort_order_id", json!("int")),
    ]});
    json!({ "type": "record", "name": "manifest_entry", "fields": [
        field(0, "status", json!("int")),
        optional(1, "snapshot_id", json!("long")),
        optional(3, "sequence_number", json!("long")),
        optional(4, "file_sequence_number", json!("long")),
        field(2, "data_file", file),
    ]})
}

/// Fields of a file from `column_sizes` on, all of which are NULL.
const NULL_FIELDS: usize = 10;
/// A manifest entry's status: the file came with this snapshot.
const ADDED: i64 = 1;

/// A manifest.
pub(super) fn manifest(
    snapshot: &Snapshot<'_>,
    content: Content,
    files: &[ManifestFile],
) -> Vec<u8> {
    let records = files.iter().map(|file| {
        let mut record = Record::default();
        record.long(ADDED).some().long(snapshot.id);
        record.some().long(snapshot.id).some().long(snapshot.id);
        record.long(content as i64).string(&file.path).string("PARQUET");
        record.long(file.rows as i64).long(file.bytes as i64);
        (0..NULL_FIELDS).for_each(|_| {
            record.null();
        });
        record
    });
    let records: Vec<Record> = records.collect();
    let kind = if content == Content::Data { "data" } else { "deletes" };
    let facts = [
        ("schema", snapshot.schema),
        ("schema-id", &snapshot.schema_id.to_string()),
        ("partition-spec", "[]"),
        ("partition-spec-id", "0"),
        ("format-version", "2"),
        ("content", kind),
    ];
    container(&entry_schema().to_string(), &facts, &records)
}

fn list_schema() -> Value {
    let summary = json!({ "type": "record", "name": "r508", "fields": [
        field(509, "contains_null", json!("boolean")),
        optional(518, "contains_nan", json!("boolean")),
        optional(510, "lower_bound", json!("bytes")),
        optional(511, "upper_bound", json!("bytes")),
    ]});
    let summaries = json!({ "type": "array", "items": summary, "element-id": 508 });
    json!({ "type": "record", "name": "manifest_file", "fields": [
        field(500, "manifest_path", json!("string")),
        field(501, "manifest_length", json!("long")),
        field(502, "partition_spec_id", json!("int")),
        field(517, "content", json!("int")),
        field(515, "sequence_number", json!("long")),
        field(516, "min_sequence_number", json!("long")),
        field(503, "added_snapshot_id", json!("long")),
        field(504, "added_files_count", json!("int")),
        field(505, "existing_files_count", json!("int")),
        field(506, "deleted_files_count", json!("int")),
        field(512, "added_rows_count", json!("long")),
        field(513, "existing_rows_count", json!("long")),
        field(514, "deleted_rows_count", json!("long")),
        optional(507, "partitions", summaries),
        optional(519, "key_metadata", json!("bytes")),
    ]})
}

/// A snapshot's list of manifests.
pub(super) fn manifest_list(snapshot: &Snapshot<'_>, manifests: &[Listed]) -> Vec<u8> {
    let records = manifests.iter().map(|listed| {
        let mut record = Record::default();
        record.string(&listed.path).long(listed.bytes as i64).long(0);
        record.long(listed.content as i64).long(snapshot.id).long(snapshot.id).long(snapshot.id);
        record.long(listed.files as i64).long(0).long(0);
        record.long(listed.rows as i64).long(0).long(0);
        record.null().null();
        record
    });
    let records: Vec<Record> = records.collect();
    let id = snapshot.id.to_string();
    let facts = [
        ("snapshot-id", id.as_str()),
        ("parent-snapshot-id", "null"),
        ("sequence-number", id.as_str()),
        ("format-version", "2"),
    ];
    container(&list_schema().to_string(), &facts, &records)
}
