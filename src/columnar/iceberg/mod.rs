//! Views as Iceberg tables, format version 2, for readers other than Sluice
//! (schemas/view-iceberg.md).
//!
//! A generation is published after its manifest: one snapshot whose data files are the view's
//! Parquet files where they lie, and whose position deletes are its masks. So a reader sees the
//! table exactly as of the view's snapshot. Everything is named after the generation and made of
//! its manifest alone, so that gateways that publish the same generation write the same bytes; the
//! switch is the table's version hint, which is written last. Old metadata is removed with the
//! generations whose files are gone.
//!
//! Publishing never makes a refresh fail: it is tried again, and `pg_stat_columnar_views` tells
//! why.

mod avro;
mod deletes;
mod manifests;
mod place;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use place::{FOLDER, Place};

use self::manifests::{Content, Listed, ManifestFile, Snapshot, manifest, manifest_list};
use super::export::file::has_uuid_type;
use super::rows::ColumnShape;
use super::values::arrow_type;
use super::view::View;
use crate::error::{Error, Result};
use crate::types::BaseType;
use crate::types::io::hex;
use crate::types::pg_type::format_type;

/// Generations whose metadata stays: a reader that has just opened the one before goes on.
const GENERATIONS_KEPT: u64 = 2;
/// The file that names the newest version.
const HINT: &str = "version-hint.text";

/// The name of a generation's metadata.
fn metadata_name(generation: u64) -> String {
    format!("v{generation}.metadata.json")
}

/// The generation that a file of the metadata folder is of.
fn generation_of(name: &str) -> Option<u64> {
    let name = name.strip_prefix('v').or_else(|| name.strip_prefix("snap-")).unwrap_or(name);
    let end = name.find(|c: char| !c.is_ascii_digit())?;
    name[..end].parse().ok()
}

/// Publishes a view's generation, unless it or a newer one is there; the path of its metadata.
///
/// # Errors
/// Those of writing there. What there was before is then still whole.
pub async fn publish(view: &View, place: &Place) -> Result<String> {
    let generation = view.manifest.generation;
    let metadata = metadata_name(generation);
    let path = place.metadata(&metadata);
    let newest = place.read(HINT).await?.and_then(|hint| hint.trim().parse::<u64>().ok());
    if let Some(newest) = newest.filter(|newest| *newest >= generation) {
        return Ok(place.metadata(&metadata_name(newest)));
    }
    let id = i64::try_from(generation).map_err(|_| Error::internal("too many generations"))?;
    let schema = schema(view);
    let schema_text = schema.to_string();
    let schema_id = schema["schema-id"].as_i64().unwrap_or_default();
    let snapshot = Snapshot { id, schema: &schema_text, schema_id };
    let data: Vec<ManifestFile> = view
        .manifest
        .files
        .iter()
        .map(|file| ManifestFile {
            path: place.data(&file.data_name()),
            rows: u64::from(file.rows),
            bytes: file.bytes,
        })
        .collect();
    let mut manifests = Vec::new();
    let name = format!("{generation}-data.avro");
    let rows = data.iter().map(|file| file.rows).sum();
    let bytes = manifest(&snapshot, Content::Data, &data);
    let (path_of, content) = (place.metadata(&name), Content::Data);
    let listed =
        Listed { path: path_of, bytes: bytes.len() as u64, content, files: data.len(), rows };
    manifests.push(listed);
    place.write(&name, bytes).await?;
    if let Some(deletes) = deletes::parquet(view, place)? {
        let name = format!("{generation}-deletes.parquet");
        let file = ManifestFile {
            path: place.metadata(&name),
            rows: deletes.rows,
            bytes: deletes.bytes.len() as u64,
        };
        place.write(&name, deletes.bytes).await?;
        let bytes = manifest(&snapshot, Content::Deletes, std::slice::from_ref(&file));
        let name = format!("{generation}-deletes.avro");
        let (path, rows, content) = (place.metadata(&name), file.rows, Content::Deletes);
        let listed = Listed { path, bytes: bytes.len() as u64, content, files: 1, rows };
        manifests.push(listed);
        place.write(&name, bytes).await?;
    }
    let list = format!("snap-{generation}.avro");
    place.write(&list, manifest_list(&snapshot, &manifests)).await?;
    let table = table_metadata(view, place, &list, schema, &data);
    place.write(&metadata, table.to_string().into_bytes()).await?;
    place.write(HINT, generation.to_string().into_bytes()).await?;
    clean(place, generation).await;
    Ok(path)
}

/// Removes what only generations before the last ones need.
async fn clean(place: &Place, generation: u64) {
    // What cannot be removed now is removed after the next generation.
    let Ok(names) = place.list().await else { return };
    for name in names {
        let of = generation_of(&name);
        if of.is_some_and(|of| of + GENERATIONS_KEPT <= generation) {
            place.remove(&name).await;
        }
    }
}

/// The table's metadata: it has the newest snapshot alone, as the files of others go.
fn table_metadata(
    view: &View,
    place: &Place,
    list: &str,
    schema: Value,
    data: &[ManifestFile],
) -> Value {
    let manifest = &view.manifest;
    let (table, generation) = (&manifest.table, manifest.generation);
    let millis = manifest.made_micros / 1000;
    let identity = format!("{} {} {}", place.location(), table.id.0, table.columnar_since);
    let total = |n: u64| n.to_string();
    let deleted = data.iter().map(|file| file.rows).sum::<u64>() - manifest.rows;
    let summary = json!({
        "operation": "overwrite",
        "total-data-files": total(data.len() as u64),
        "total-records": total(data.iter().map(|file| file.rows).sum()),
        "total-position-deletes": total(deleted),
        "sluice.snapshot": total(manifest.at.0),
        "sluice.live-rows": total(manifest.rows),
    });
    let names = manifest.columns.iter().map(|c| json!({ "field-id": c.id.0, "names": [c.name] }));
    let names = Value::from(names.collect::<Vec<_>>()).to_string();
    json!({
        "format-version": 2,
        "table-uuid": uuid(&identity),
        "location": place.location(),
        "last-sequence-number": generation,
        "last-updated-ms": millis,
        "last-column-id": table.next_column.saturating_sub(1),
        "current-schema-id": schema["schema-id"],
        "schemas": [schema],
        "default-spec-id": 0,
        "partition-specs": [{ "spec-id": 0, "fields": [] }],
        "last-partition-id": 999,
        "default-sort-order-id": 0,
        "sort-orders": [{ "order-id": 0, "fields": [] }],
        "properties": {
            "schema.name-mapping.default": names,
            "comment": format!("{}.{}, a view of Sluice's: read only", table.schema, table.name),
        },
        "current-snapshot-id": generation,
        "refs": { "main": { "snapshot-id": generation, "type": "branch" } },
        "snapshots": [{
            "snapshot-id": generation,
            "sequence-number": generation,
            "timestamp-ms": millis,
            "manifest-list": place.metadata(list),
            "summary": summary,
            "schema-id": 0,
        }],
        "snapshot-log": [{ "timestamp-ms": millis, "snapshot-id": generation }],
        "metadata-log": [],
    })
}

/// A UUID that says the same of the same text.
fn uuid(text: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
    // Version 8 of RFC 9562: of one's own making.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The view's columns as an Iceberg schema: a column's id is the table's for it, for ever.
fn schema(view: &View) -> Value {
    let fields = view.shape.columns.iter().enumerate().map(|(at, column)| {
        let named_uuid = || view.files.iter().all(|f| has_uuid_type(f.metadata(), at));
        let (ty, doc) = iceberg_type(column, named_uuid);
        let (id, name) = (column.id.0, &column.name);
        let mut field = json!({ "id": id, "name": name, "required": false, "type": ty });
        if let Some(doc) = doc {
            field["doc"] = Value::from(doc);
        }
        field
    });
    json!({ "type": "struct", "schema-id": 0, "fields": fields.collect::<Vec<_>>() })
}

/// What a column is in Iceberg; a note where that is not what the values say by themselves.
fn iceberg_type(column: &ColumnShape, named_uuid: impl Fn() -> bool) -> (String, Option<String>) {
    use arrow::datatypes::DataType as A;
    let plain = |ty: &str| (ty.to_owned(), None);
    let wire = |ty: &str| {
        let doc = format!("PostgreSQL's binary form of {}", format_type(column.ty));
        (ty.to_owned(), Some(doc))
    };
    match (arrow_type(column.ty), column.ty.base) {
        (A::Binary, BaseType::Bytea) if !column.ty.is_array => plain("binary"),
        (A::Binary, _) => wire("binary"),
        (A::FixedSizeBinary(_), BaseType::Uuid) if named_uuid() => plain("uuid"),
        (A::FixedSizeBinary(_), BaseType::Uuid) => plain("fixed[16]"),
        (A::FixedSizeBinary(_), _) => {
            let doc = "interval: microseconds (8 bytes), days (4), months (4), big-endian";
            ("fixed[16]".to_owned(), Some(doc.to_owned()))
        }
        (A::Boolean, _) => plain("boolean"),
        (A::Int8, _) => ("int".to_owned(), Some("\"char\": a byte".to_owned())),
        (A::Int16 | A::Int32, _) => plain("int"),
        (A::Int64 | A::UInt32, _) => plain("long"),
        (A::Float32, _) => plain("float"),
        (A::Float64, _) => plain("double"),
        (A::Decimal128(p, s), _) => (format!("decimal({p}, {s})"), None),
        (A::Date32, _) => plain("date"),
        (A::Time64(_), _) => plain("time"),
        (A::Timestamp(_, None), _) => plain("timestamp"),
        (A::Timestamp(_, Some(_)), _) => plain("timestamptz"),
        _ => plain("string"),
    }
}
