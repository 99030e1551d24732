use std::sync::Arc;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::columnar::export::index::KeyIndex;
use crate::columnar::files::tests::FullFiles;
use crate::columnar::files::{CheckedFile, LocalFiles};
use crate::columnar::fixture::{Table, every_type, print};
use crate::kv::KeyRange;
use crate::types::SqlType;

const SMALL: FileOptions = FileOptions { file_rows_max: 400, group_rows: 100, zstd_level: Some(1) };

async fn export(
    table: &Table,
    files: &dyn Files,
    options: &FileOptions,
) -> Result<Vec<FileRecord>> {
    let hold = table.store.snapshot().await?;
    let shape = TableShape::new(&table.descriptor)?;
    let mut segments = table.store.segments(&KeyRange::all(shape.table.space()), hold.at)?;
    let progress = Progress::default();
    let mut sink = FileSink::new(files, &shape, options, &progress, 3);
    sink.export(FileKind::Base, segments.as_mut())?;
    Ok(sink.into_files().0)
}

#[tokio::test]
async fn files_hold_the_rows_in_key_order() {
    for key_columns in [0, 1, 2] {
        let mut table = Table::new(&every_type(), key_columns, 11);
        table.churn(3000, 1500, 10).await;
        let dir = tempfile::tempdir().unwrap();
        let files = LocalFiles::create(dir.path().to_owned()).unwrap();
        let records = export(&table, &files, &SMALL).await.unwrap();
        let at = table.store.snapshot().await.unwrap().at;
        let expected = table.rows_at(at);
        assert_eq!(records.iter().map(|r| r.rows as usize).sum::<usize>(), expected.len());
        assert!(records.len() > 1 && records[0].number == 3 && records[0].rows == 400);
        let types: Vec<SqlType> = table.descriptor.columns.iter().map(|c| c.ty).collect();
        let mut expected = expected.into_iter();
        for record in &records {
            let index =
                KeyIndex::open(&files, &record.index_name(), record.index_bytes, record.index_crc);
            let index = index.unwrap();
            CheckedFile::open(&files, &record.data_name(), index.data.clone())
                .unwrap()
                .verify()
                .unwrap();
            let mut keys = Vec::new();
            index
                .for_each(|_, key| {
                    keys.push(key.to_vec());
                    Ok(())
                })
                .unwrap();
            assert_eq!((&keys[0], &keys[keys.len() - 1]), (&record.first_key, &record.last_key));
            let file = std::fs::File::open(dir.path().join(record.data_name())).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            assert_eq!(reader.metadata().num_row_groups(), record.rows.div_ceil(100) as usize);
            let mut keys = keys.into_iter();
            for batch in reader.build().unwrap() {
                for row in crate::columnar::rows::read(&batch.unwrap(), &types).unwrap() {
                    assert_eq!(expected.next().unwrap(), (keys.next().unwrap(), print(&row)));
                }
            }
        }
        assert!(expected.next().is_none());
    }
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_behind() {
    let mut table = Table::new(&every_type(), 1, 12);
    table.churn(2000, 1500, 10).await;
    let dir = tempfile::tempdir().unwrap();
    let (files, room) = FullFiles::new(dir.path().to_owned(), i64::MAX);
    export(&table, &*files, &SMALL).await.unwrap();
    let needed = i64::MAX - room.load(Ordering::SeqCst);
    for share in [0, 1, 5, 9] {
        let dir = tempfile::tempdir().unwrap();
        let (files, _) = FullFiles::new(dir.path().to_owned(), needed * share / 10);
        let e = export(&table, &*files, &SMALL).await.unwrap_err();
        assert_eq!(e.code(), SqlState::DISK_FULL, "{e:?}");
        assert_eq!(files.list().unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn stopping_ends_an_export() {
    let mut table = Table::new(&[SqlType::INT4], 1, 13);
    table.churn(100, 1500, 0).await;
    let dir = tempfile::tempdir().unwrap();
    let files = LocalFiles::create(dir.path().to_owned()).unwrap();
    let shape = TableShape::new(&table.descriptor).unwrap();
    let at = table.store.snapshot().await.unwrap().at;
    let range = KeyRange::all(shape.table.space());
    let mut segments = table.store.segments(&range, at).unwrap();
    let progress = Arc::new(Progress::default());
    progress.stop();
    let mut sink = FileSink::new(&files, &shape, &SMALL, &progress, 0);
    let e = sink.export(FileKind::Base, segments.as_mut()).unwrap_err();
    assert_eq!(e.code(), SqlState::QUERY_CANCELED);
}
