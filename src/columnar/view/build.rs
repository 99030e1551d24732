//! The next generation of a view: made whole, or by what changed.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::{DataFile, View, statistics};
use crate::columnar::export::{EntrySource, FileOptions, FileSink, Progress, TableShape};
use crate::columnar::files::{Files, write_whole};
use crate::columnar::manifest::{FileKind, FileRecord, Manifest, MaskRecord, Source};
use crate::columnar::mask::FileMask;
use crate::columnar::rows::schema;
use crate::columnar::shared::names_of;
use crate::error::Result;
use crate::kv::{Cursor, Entry, Key, KeyRange, SharedStore, Timestamp, Version};
use crate::types::descriptor::TableDescriptor;

/// Share of a base file's rows, in percent, that may be dead or live in delta files; beyond it the
/// file's range of keys is written anew.
pub const DEAD_PERCENT_MAX: u64 = 20;
/// Delta files beyond which they are merged into one.
pub const DELTA_FILES_MAX: usize = 8;
/// Share of the rows, in percent, beyond which changes make the whole view be written anew.
pub const CHANGED_PERCENT_MAX: u64 = 30;
/// Keys read from the store at once.
const READ_KEYS: usize = 4096;

/// What a build works with.
pub struct Build<'a> {
    /// The view's folder.
    pub files: &'a Arc<dyn Files>,
    /// The table as it is at the snapshot.
    pub table: &'a TableDescriptor,
    /// The snapshot, held by the caller and resolved.
    pub at: Timestamp,
    /// Where the change log goes on after the snapshot.
    pub cursor: Cursor,
    /// How files are laid out.
    pub options: &'a FileOptions,
    /// Told how far it is.
    pub progress: &'a Progress,
    /// The wall clock: microseconds since 1970.
    pub now_micros: i64,
    /// The generation that is made.
    pub generation: u64,
    /// The number of the first new file.
    pub first_file: u64,
    /// What is done with new files and the manifest before the view is switched to them.
    pub share: Option<&'a Share<'a>>,
}

/// Shows a draft to others: its manifest and the names of its new files. The draft is given up if
/// that fails.
pub type Share<'a> = dyn Fn(&Manifest, &[String]) -> Result<()> + 'a;

/// Reads keys at a build's snapshot; the answer has their order.
pub type VersionReader<'a> = dyn FnMut(&[Key]) -> Result<Vec<Option<Version>>> + 'a;

/// Files of the next generation before they have a manifest; removed unless published.
struct Draft {
    files: Vec<Arc<DataFile>>,
    masks: Vec<FileMask>,
    next_file: u64,
    source: Source,
}

impl Draft {
    fn new(next_file: u64, source: Source) -> Draft {
        Draft { files: Vec::new(), masks: Vec::new(), next_file, source }
    }
}

impl Build<'_> {
    /// Writes all rows anew; `why` not from the files of nodes. Blocking.
    pub fn whole(
        &self,
        store: &SharedStore,
        why: Option<String>,
        before: Option<&View>,
    ) -> Result<View> {
        let shape = TableShape::new(self.table)?;
        let mut sink = self.sink(&shape, self.first_file);
        let range = KeyRange::all(self.table.space());
        sink.export(FileKind::Base, store.segments(&range, self.at)?.as_mut())?;
        let (records, next_file) = sink.into_files();
        let mut draft = Draft::new(next_file, Source::Store { why });
        self.adopt(&shape, &mut draft, &records)?;
        self.publish(&shape, draft, before)
    }

    /// Takes base files that others wrote, which are in the folder, and reads the keys that those
    /// leave out, in order, at the snapshot. Blocking.
    pub fn of_files(
        &self,
        (records, next_file): (&[FileRecord], u64),
        from: &str,
        loose: &[Bytes],
        versions: &mut VersionReader<'_>,
        before: Option<&View>,
    ) -> Result<View> {
        let shape = TableShape::new(self.table)?;
        let mut draft = Draft::new(next_file, Source::Segments { from: from.to_owned() });
        self.adopt(&shape, &mut draft, records)?;
        let mut sink = self.sink(&shape, next_file);
        sink.export(FileKind::Delta, &mut self.versions_of(&shape, loose, versions)?)?;
        let (records, next_file) = sink.into_files();
        draft.next_file = next_file;
        self.adopt(&shape, &mut draft, &records)?;
        self.publish(&shape, draft, before)
    }

    fn sink<'s>(&'s self, shape: &'s TableShape, next_file: u64) -> FileSink<'s> {
        FileSink::new(self.files.as_ref(), shape, self.options, self.progress, next_file)
    }

    /// The live rows of some keys at the snapshot.
    fn versions_of(
        &self,
        shape: &TableShape,
        tails: &[Bytes],
        versions: &mut VersionReader<'_>,
    ) -> Result<EntrySource> {
        let mut entries = Vec::new();
        for chunk in tails.chunks(READ_KEYS) {
            let keys = chunk.iter().map(|tail| shape.codec().key_from_tail(tail));
            let keys: Vec<Key> = keys.collect::<Result<_>>()?;
            for (key, version) in keys.iter().zip(versions(&keys)?) {
                if let Some(Version { ts, value: Some(value) }) = version {
                    entries.push(Entry { key: key.clone(), ts, value });
                }
            }
        }
        Ok(EntrySource::new(entries))
    }

    /// Writes what changed since `before`: `changed` are the tails of all keys that may have, in
    /// order, and `versions` reads keys at the snapshot. Blocking.
    pub fn incremental(
        &self,
        store: &SharedStore,
        before: &View,
        changed: &BTreeSet<Bytes>,
        versions: &mut VersionReader<'_>,
    ) -> Result<View> {
        let shape = &before.shape;
        if !is_worth_changing(before, self.table, changed.len()) {
            return self.whole(store, None, Some(before));
        }
        let mut masks = before.masks.clone();
        let keys: Vec<&[u8]> = changed.iter().map(AsRef::as_ref).collect();
        for (file, position) in before.locate(&keys)?.into_iter().flatten() {
            masks[file].kill(position);
        }
        let rewritten = worn_ranges(before, &masks, &keys)?;
        let mut sink = self.sink(shape, self.first_file);
        for range in &rewritten {
            let range = range.keys(shape.table.space());
            sink.export(FileKind::Base, store.segments(&range, self.at)?.as_mut())?;
        }
        let inside = |key: &[u8]| rewritten.iter().any(|range| range.contains(key));
        let mut loose: BTreeSet<Bytes> =
            changed.iter().filter(|key| !inside(key)).cloned().collect();
        kill_ranges(before, &mut masks, &rewritten)?;
        merge_deltas(before, &mut masks, &mut loose)?;
        let loose: Vec<Bytes> = loose.into_iter().collect();
        sink.export(FileKind::Delta, &mut self.versions_of(shape, &loose, versions)?)?;
        let (records, next_file) = sink.into_files();
        let mut draft = Draft::new(next_file, Source::Changes);
        for (file, mask) in before.files.iter().zip(masks) {
            if mask.live() > 0 {
                draft.files.push(file.clone());
                draft.masks.push(mask);
            }
        }
        self.adopt(shape, &mut draft, &records)?;
        self.publish(shape, draft, Some(before))
    }

    /// Opens finished files into the draft; removes all of them if one cannot be.
    fn adopt(&self, shape: &TableShape, draft: &mut Draft, records: &[FileRecord]) -> Result<()> {
        let schema = schema(&shape.columns);
        for (at, record) in records.iter().enumerate() {
            match DataFile::open(self.files, record, &schema) {
                Ok(file) => {
                    // Until the manifest names it, the file goes when it is dropped.
                    file.retire();
                    draft.files.push(Arc::new(file));
                    draft.masks.push(FileMask::new(record.rows, record.group_rows));
                }
                Err(e) => {
                    for record in &records[at..] {
                        let _ = self.files.remove(&record.data_name());
                        let _ = self.files.remove(&record.index_name());
                    }
                    return Err(e);
                }
            }
        }
        Ok(())
    }

    /// Writes masks and manifest: after it the draft is the view.
    fn publish(&self, shape: &TableShape, draft: Draft, before: Option<&View>) -> Result<View> {
        let Draft { files, masks, next_file, source } = draft;
        let mut order: Vec<usize> = (0..files.len()).collect();
        order.sort_by_key(|at| {
            let record = &files[*at].record;
            match record.kind {
                FileKind::Base => (0, record.first_key.clone(), 0),
                FileKind::Delta => (1, Vec::new(), record.number),
            }
        });
        let files: Vec<_> = order.iter().map(|at| files[*at].clone()).collect();
        let masks: Vec<_> = order.iter().map(|at| masks[*at].clone()).collect();
        let generation = self.generation;
        let mut bytes = Vec::new();
        let records = files.iter().zip(&masks).map(|(file, mask)| {
            let start = bytes.len() as u64;
            if mask.dead() > 0 {
                mask.encode(&mut bytes);
            }
            let len = bytes.len() as u64 - start;
            FileRecord { mask: (len > 0).then_some((start, len)), ..file.record.clone() }
        });
        let records: Vec<FileRecord> = records.collect();
        // Files that others may write at the same time have numbers that only one of them has.
        let name = match self.share {
            Some(_) => format!("{:010}.masks", self.first_file),
            None => format!("{generation:010}.masks"),
        };
        let record = MaskRecord {
            name: name.clone(),
            bytes: bytes.len() as u64,
            crc: crc32fast::hash(&bytes),
        };
        let manifest = Manifest {
            generation,
            at: self.at,
            cursor: self.cursor.clone(),
            made_micros: self.now_micros,
            table: self.table.clone(),
            columns: shape.columns.clone(),
            rows: masks.iter().map(|m| u64::from(m.live())).sum(),
            statistics: statistics::of_columns(shape, &files)?,
            files: records,
            masks: (!bytes.is_empty()).then_some(record),
            next_file,
            source,
        };
        if !bytes.is_empty() {
            write_whole(self.files.as_ref(), &name, &bytes)?;
        }
        let shared = self.share.map_or(Ok(()), |share| {
            let old = |record: &FileRecord| {
                before.is_some_and(|b| b.manifest.files.iter().any(|f| f.number == record.number))
            };
            let new: Vec<FileRecord> =
                manifest.files.iter().filter(|record| !old(record)).cloned().collect();
            let mut names = names_of(&new);
            names.extend(manifest.masks.iter().map(|masks| masks.name.clone()));
            share(&manifest, &names)
        });
        if let Err(e) = shared.and_then(|()| manifest.publish(self.files.as_ref())) {
            let _ = self.files.remove(&name);
            return Err(e);
        }
        switch(self.files, manifest, &files, before)
    }
}

/// Whether so many changed keys are less work than the whole table as it is now.
pub fn is_worth_changing(before: &View, table: &TableDescriptor, changed: usize) -> bool {
    let has_base = before.files.iter().any(|f| f.record.kind == FileKind::Base);
    has_base && before.shape.table.columns == table.columns && changed <= changes_max(before)
}

/// How many changed keys those are at most.
pub fn changes_max(before: &View) -> usize {
    (before.manifest.rows * CHANGED_PERCENT_MAX / 100) as usize
}

/// Goes on with the files of a manifest that is the folder's now.
fn switch(
    folder: &Arc<dyn Files>,
    manifest: Manifest,
    files: &[Arc<DataFile>],
    before: Option<&View>,
) -> Result<View> {
    for file in files {
        file.keep();
    }
    if let Some(before) = before {
        for old in before.files.iter().filter(|old| !files.iter().any(|f| f.id == old.id)) {
            old.retire();
        }
        let masks = |manifest: &Manifest| manifest.masks.as_ref().map(|masks| masks.name.clone());
        if let Some(old) =
            masks(&before.manifest).filter(|old| Some(old) != masks(&manifest).as_ref())
        {
            let _ = folder.remove(&old);
        }
    }
    View::open(folder, manifest, files)
}

/// Takes a generation that another gateway made: its files are in the folder, those that
/// `before` has open among them. Blocking.
pub fn adopt(folder: &Arc<dyn Files>, manifest: Manifest, before: Option<&View>) -> Result<View> {
    let known = before.map_or(&[][..], |view| &view.files);
    let view = View::open(folder, manifest, known)?;
    view.manifest.publish(folder.as_ref())?;
    switch(folder, view.manifest, &view.files, before)
}

/// A range of keys that a base file owns: from its first key (or the beginning) to the next one's.
struct Range {
    start: Option<Bytes>,
    end: Option<Bytes>,
}

impl Range {
    fn contains(&self, key: &[u8]) -> bool {
        self.start.as_ref().is_none_or(|s| key >= s.as_ref())
            && self.end.as_ref().is_none_or(|e| key < e.as_ref())
    }

    fn keys(&self, space: crate::kv::SpaceId) -> KeyRange {
        KeyRange {
            start: self.start.clone().map_or(Bound::Unbounded, Bound::Included),
            end: self.end.clone().map_or(Bound::Unbounded, Bound::Excluded),
            ..KeyRange::all(space)
        }
    }
}

/// Ranges whose base file has too many dead rows, or too many rows of it in delta files;
/// neighbours are joined.
fn worn_ranges(before: &View, masks: &[FileMask], changed: &[&[u8]]) -> Result<Vec<Range>> {
    let bases: Vec<usize> = (0..before.files.len())
        .filter(|at| before.files[*at].record.kind == FileKind::Base)
        .collect();
    let first = |at: usize| before.files[at].record.first_key.as_slice();
    let mut ranges: Vec<Range> = Vec::new();
    let mut joined = false;
    for (i, at) in bases.iter().enumerate() {
        let start = (i > 0).then(|| first(*at));
        let end = bases.get(i + 1).map(|next| first(*next));
        let place = |key: Option<&[u8]>, none: usize| {
            key.map_or(none, |key| changed.partition_point(|c| *c < key))
        };
        let mut moved = (place(end, changed.len()) - place(start, 0)) as u64;
        for (delta, mask) in before.files.iter().zip(masks) {
            if delta.record.kind == FileKind::Delta {
                let from = start.map_or(Ok(0), |key| delta.index.lower_bound(key))?;
                let to = end.map_or(Ok(delta.record.rows), |key| delta.index.lower_bound(key))?;
                moved += (from..to).filter(|position| !mask.is_dead(*position)).count() as u64;
            }
        }
        let worn = u64::from(masks[*at].dead()).max(moved) * 100;
        if worn <= u64::from(masks[*at].live() + masks[*at].dead()) * DEAD_PERCENT_MAX {
            joined = false;
            continue;
        }
        let end = end.map(Bytes::copy_from_slice);
        match ranges.last_mut().filter(|_| joined) {
            Some(last) => last.end = end,
            None => ranges.push(Range { start: start.map(Bytes::copy_from_slice), end }),
        }
        joined = true;
    }
    Ok(ranges)
}

/// Marks every row in `ranges` dead, in whatever file it lies.
fn kill_ranges(before: &View, masks: &mut [FileMask], ranges: &[Range]) -> Result<()> {
    for (file, mask) in before.files.iter().zip(masks) {
        for range in ranges {
            let bound = |key: &Option<Bytes>, none: u32| {
                key.as_ref().map_or(Ok(none), |key| file.index.lower_bound(key))
            };
            mask.kill_range(bound(&range.start, 0)?, bound(&range.end, file.record.rows)?);
        }
    }
    Ok(())
}

/// If there are too many delta files, takes their live keys into `loose` and empties them.
fn merge_deltas(before: &View, masks: &mut [FileMask], loose: &mut BTreeSet<Bytes>) -> Result<()> {
    let deltas =
        || before.files.iter().enumerate().filter(|(_, f)| f.record.kind == FileKind::Delta);
    if deltas().filter(|(at, _)| masks[*at].live() > 0).count() < DELTA_FILES_MAX {
        return Ok(());
    }
    for (at, file) in deltas() {
        file.index.for_each(|position, key| {
            if !masks[at].is_dead(position) {
                loose.insert(Bytes::copy_from_slice(key));
            }
            Ok(())
        })?;
        masks[at].kill_range(0, file.record.rows);
    }
    Ok(())
}
