//! A view's masks as an Iceberg file of position deletes.

use std::sync::Arc;

use arrow::array::{Int64Builder, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::Place;
use crate::columnar::view::View;
use crate::error::{Error, Result};

/// Ids that the specification gives the columns.
const FILE_PATH_ID: u32 = 2_147_483_546;
const POS_ID: u32 = 2_147_483_545;
/// Rows of a batch: paths repeat, and take memory until they are encoded.
const BATCH_ROWS: usize = 1 << 16;

/// A file of deletes.
pub(super) struct Deletes {
    /// Its content.
    pub bytes: Vec<u8>,
    /// How many rows it deletes.
    pub rows: u64,
}

/// The dead rows of a view's files, by path and position; none if there are none.
pub(super) fn parquet(view: &View, place: &Place) -> Result<Option<Deletes>> {
    if view.masks.iter().all(|mask| mask.dead() == 0) {
        return Ok(None);
    }
    let field = |name: &str, ty: DataType, id: u32| {
        let id = ("PARQUET:field_id".to_owned(), id.to_string());
        Field::new(name, ty, false).with_metadata([id].into_iter().collect())
    };
    let schema = Arc::new(Schema::new(vec![
        field("file_path", DataType::Utf8, FILE_PATH_ID),
        field("pos", DataType::Int64, POS_ID),
    ]));
    let level = ZstdLevel::try_new(1).map_or(Compression::UNCOMPRESSED, Compression::ZSTD);
    let properties = WriterProperties::builder().set_compression(level).build();
    let failed = |e: &dyn std::fmt::Display| Error::internal(format!("position deletes: {e}"));
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))
        .map_err(|e| failed(&e))?;
    // Deletes are sorted by path, then position.
    let files = view.manifest.files.iter().zip(&view.masks);
    let mut files: Vec<_> =
        files.map(|(file, mask)| (place.data(&file.data_name()), mask)).collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    let mut rows = 0;
    for (path, mask) in files {
        let mut positions = mask.dead_positions().peekable();
        while positions.peek().is_some() {
            let (mut paths, mut places) = (StringBuilder::new(), Int64Builder::new());
            for position in positions.by_ref().take(BATCH_ROWS) {
                paths.append_value(&path);
                places.append_value(i64::from(position));
                rows += 1;
            }
            let arrays: Vec<arrow::array::ArrayRef> =
                vec![Arc::new(paths.finish()), Arc::new(places.finish())];
            let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|e| failed(&e))?;
            writer.write(&batch).map_err(|e| failed(&e))?;
        }
    }
    let bytes = writer.into_inner().map_err(|e| failed(&e))?;
    Ok(Some(Deletes { bytes, rows }))
}
