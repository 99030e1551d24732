//! What the footers of a view's files know of a column, by row group and together.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::concat;
use arrow::datatypes::DataType;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::DataFile;
use crate::columnar::export::TableShape;
use crate::columnar::export::sketch::Sketch;
use crate::columnar::manifest::ColumnStatistics;
use crate::columnar::rows::schema;
use crate::columnar::values::ColumnReader;
use crate::error::{Error, Result};
use crate::functions;
use crate::types::{Datum, io};

/// Longest bound kept in a manifest, in characters.
const BOUND_CHARS_MAX: usize = 64;

/// Bounds and NULL counts of a column, one for each row group of some files.
pub struct GroupStatistics {
    /// Lower bounds.
    pub min: ArrayRef,
    /// Upper bounds.
    pub max: ArrayRef,
    /// NULLs.
    pub nulls: UInt64Array,
}

/// What the footers say of column `at`; none if bounds decide nothing there: the type orders
/// otherwise, or there are NaNs.
pub fn of_groups(
    shape: &TableShape,
    files: &[Arc<DataFile>],
    at: usize,
) -> Result<Option<GroupStatistics>> {
    let column = &shape.columns[at];
    let has_nan = |f: &Arc<DataFile>| f.record.nan_columns.contains(&(at as u16));
    if !column.is_ordered() || files.is_empty() || files.iter().any(has_nan) {
        return Ok(None);
    }
    let failed = |e: String| Error::corrupted(format!("statistics of \"{}\": {e}", column.name));
    let (mut mins, mut maxes, mut nulls) = (Vec::new(), Vec::new(), Vec::new());
    let schema = schema(&shape.columns);
    for file in files {
        let metadata = file.metadata();
        let converter = StatisticsConverter::try_new(
            &column.name,
            &schema,
            metadata.file_metadata().schema_descr(),
        )
        .map_err(|e| failed(e.to_string()))?;
        let groups = || metadata.row_groups().iter();
        mins.push(converter.row_group_mins(groups()).map_err(|e| failed(e.to_string()))?);
        maxes.push(converter.row_group_maxes(groups()).map_err(|e| failed(e.to_string()))?);
        let counts = converter.row_group_null_counts(groups());
        nulls.extend(counts.map_err(|e| failed(e.to_string()))?.iter());
    }
    let all = |parts: &[ArrayRef]| {
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        concat(&parts).map_err(|e| failed(e.to_string()))
    };
    Ok(Some(GroupStatistics { min: all(&mins)?, max: all(&maxes)?, nulls: nulls.into() }))
}

/// The manifest's statistics of every column.
pub fn of_columns(shape: &TableShape, files: &[Arc<DataFile>]) -> Result<Vec<ColumnStatistics>> {
    let columns = shape.columns.iter().enumerate().map(|(at, column)| {
        let mut sketch = Sketch::default();
        let mut bytes = 0;
        for file in files {
            if let Some(part) = file.index.sketches.get(at) {
                sketch.merge(part);
            }
            bytes += (0..file.groups()).map(|g| file.chunk_bytes(g, at)).sum::<u64>();
        }
        let mut statistics =
            ColumnStatistics { distinct: sketch.estimate(), bytes, ..Default::default() };
        if let Some(groups) = of_groups(shape, files, at)? {
            statistics.nulls = groups.nulls.iter().flatten().sum();
            let bound = |array: &ArrayRef, keep: fn(std::cmp::Ordering) -> bool| {
                let reader = ColumnReader::new(column.ty, array);
                let mut best: Option<Datum> = None;
                for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
                    let datum = reader.datum(row)?;
                    if best.as_ref().is_none_or(|b| keep(functions::compare(&datum, b))) {
                        best = Some(datum);
                    }
                }
                let text =
                    best.map(|d| io::text_of(&d, column.ty, &Default::default()).into_owned());
                Ok::<_, Error>(text.filter(|t| t.chars().count() <= BOUND_CHARS_MAX))
            };
            // A bound of text may have been cut, and an upper one then is no text of the column.
            statistics.min = bound(&groups.min, std::cmp::Ordering::is_lt)?;
            statistics.max = match groups.max.data_type() {
                DataType::Utf8View => None,
                _ => bound(&groups.max, std::cmp::Ordering::is_gt)?,
            };
        }
        Ok(statistics)
    });
    columns.collect()
}
