//! Views in an object store, which all gateways of a keyspace share (schemas/view-manifest.md).
//!
//! ```text
//! <url>/<keyspace>-<identity>/<table oid>-<columnar since>/
//!     manifest/<generation>.json     created if absent: of two builders of a generation one wins
//!     <number>.parquet .index .masks numbers are random, so nobody writes over anything
//!     claim                          who builds now, and that it is alive
//! ```
//!
//! A gateway reads views from its own folder, which is a cache: [`Shared::fetch`] copies what a
//! manifest names there; [`Shared::send`] copies a finished draft's files out, and
//! [`Shared::create`] its manifest.
//! Which generation a gateway has decides about speed and never about answers: each follows the
//! change log from its own generation's cursor.
//!
//! Nothing here is trusted: manifests have a checksum, indexes too, and those have the checksums
//! of the Parquet files. A claim saves work and guards nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::files::{FileRead, Files, io_error};
use super::manifest::{FileRecord, Manifest};
use crate::error::{Error, Result, SqlState};
use crate::types::descriptor::TableId;

#[cfg(feature = "s3")]
mod s3;

/// Bytes of a part of an upload or a download; S3 wants 5 MiB at least for the first.
const PART_BYTES: u64 = 8 << 20;
/// How long files of a superseded generation stay for gateways that are just copying them.
pub const SUPERSEDED_KEPT: Duration = Duration::from_secs(300);
/// How long files stay that no manifest names: they may be of a build that goes on.
pub const ORPHANS_KEPT: Duration = Duration::from_secs(3600);
const MANIFESTS: &str = "manifest";
const CLAIM: &str = "claim";

/// A keyspace's folder of an object store.
pub struct ViewStore {
    objects: Arc<dyn ObjectStore>,
    root: Path,
    url: String,
    superseded_kept: Duration,
    orphans_kept: Duration,
}

impl std::fmt::Debug for ViewStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.url)
    }
}

impl ViewStore {
    /// The folder of a keyspace, named `keyspace`, below `url`.
    ///
    /// # Errors
    /// 22023 for a URL that is not one, 0A000 for a kind of store that is not compiled in.
    pub fn open(url: &str, keyspace: &str) -> Result<ViewStore> {
        let (objects, prefix) = open(url)?;
        let root = Path::from_iter(prefix.parts().chain([keyspace.into()]));
        let url = format!("{}/{keyspace}", url.trim_end_matches('/'));
        Ok(ViewStore {
            objects,
            root,
            url,
            superseded_kept: SUPERSEDED_KEPT,
            orphans_kept: ORPHANS_KEPT,
        })
    }

    /// The same with other times that files are kept.
    #[cfg(test)]
    pub(crate) fn keeping(self, superseded: Duration, orphans: Duration) -> ViewStore {
        ViewStore { superseded_kept: superseded, orphans_kept: orphans, ..self }
    }

    /// The folder of a table's views since it has them.
    pub fn table(self: &Arc<Self>, table: TableId, since: u64) -> Shared {
        self.folder(&folder_name(table, since))
    }

    /// A folder by its name.
    pub fn folder(self: &Arc<Self>, name: &str) -> Shared {
        Shared { store: self.clone(), folder: self.root.clone().join(name), name: name.to_owned() }
    }

    /// Removes folders of tables that are not among `known`, if nothing was written there for as
    /// long as orphans are kept. `now_micros`: the wall clock.
    pub async fn sweep(self: &Arc<Self>, known: &HashSet<String>, now_micros: i64) -> Result<()> {
        let listed = self.objects.list_with_delimiter(Some(&self.root)).await;
        for folder in listed.map_err(|e| failed("list", &self.url, e))?.common_prefixes {
            let name = folder.filename().unwrap_or_default().to_owned();
            if known.contains(&name) {
                continue;
            }
            let shared = self.folder(&name);
            let newest = shared.list(None).await?.iter().map(micros).max();
            let kept = self.orphans_kept.as_micros() as i64;
            if newest.is_none_or(|newest| now_micros.saturating_sub(newest) > kept) {
                shared.remove_all().await?;
            }
        }
        Ok(())
    }
}

/// What a table's folder is called. A table that has no view for a while gets a new one.
pub fn folder_name(table: TableId, since: u64) -> String {
    format!("{}-{since}", table.0)
}

fn open(url: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let wrong = |why: String| {
        Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("could not use {url}: {why}"))
            .with_hint("Give --view-store file:///a/folder or s3://bucket/prefix.")
    };
    match url.split_once("://") {
        Some(("file", folder)) if folder.starts_with('/') => {
            std::fs::create_dir_all(folder).map_err(|e| wrong(e.to_string()))?;
            let local = LocalFileSystem::new_with_prefix(folder);
            Ok((Arc::new(local.map_err(|e| wrong(e.to_string()))?), Path::default()))
        }
        Some(("s3", place)) if !place.is_empty() && !place.starts_with('/') => open_s3(url, place),
        _ => Err(wrong("it is no such URL".to_owned())),
    }
}

#[cfg(feature = "s3")]
fn open_s3(url: &str, place: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
    s3::open(url, place)
}

#[cfg(not(feature = "s3"))]
fn open_s3(_: &str, _: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
    Err(Error::unsupported("S3 in this build")
        .with_hint("Build with --features s3, or give --view-store file:///a/folder."))
}

/// An error of the object store, in PostgreSQL's words.
fn failed(doing: &str, path: &str, e: object_store::Error) -> Error {
    use object_store::Error as Cause;
    let code = match &e {
        Cause::NotFound { .. } => SqlState::UNDEFINED_FILE,
        Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => {
            SqlState::INSUFFICIENT_PRIVILEGE
        }
        _ => SqlState::IO_ERROR,
    };
    Error::new(code, format!("could not {doing} \"{path}\": {e}")).with_source(e)
}

fn micros(meta: &ObjectMeta) -> i64 {
    meta.last_modified.timestamp_micros()
}

/// Whether a build may begin.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller has it now.
    Ours,
    /// Another builder does; what it wrote last, which changes while it lives.
    Theirs(Bytes),
}

/// A table's folder.
#[derive(Clone)]
pub struct Shared {
    store: Arc<ViewStore>,
    folder: Path,
    /// Its name within the keyspace's folder.
    pub name: String,
}

impl Shared {
    fn at(&self, name: &str) -> Path {
        self.folder.clone().join(name)
    }

    fn manifest(&self, generation: u64) -> Path {
        self.at(MANIFESTS).join(format!("{generation:020}.json"))
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.store.url, self.name)
    }

    /// Where it is, for other programs.
    pub fn url(&self) -> String {
        format!("{}/{}", self.store.url, self.name)
    }

    /// Writes a small file in a folder of it, whole.
    pub async fn put_in(&self, folder: &str, name: &str, bytes: Vec<u8>) -> Result<()> {
        let put = self.store.objects.put(&self.at(folder).join(name), bytes.into()).await;
        put.map(drop).map_err(|e| failed("write", &self.path(&format!("{folder}/{name}")), e))
    }

    /// A small file in a folder of it. 58P01 if it is not there.
    pub async fn read_in(&self, folder: &str, name: &str) -> Result<Vec<u8>> {
        let read = self.read(&self.at(folder).join(name)).await;
        let path = || self.path(&format!("{folder}/{name}"));
        read.map(Vec::from).map_err(|e| failed("read", &path(), e))
    }

    /// The names of files in a folder of it.
    pub async fn list_in(&self, folder: &str) -> Result<Vec<String>> {
        let listed = self.list(Some(folder)).await?;
        Ok(listed.iter().filter_map(|m| m.location.filename().map(str::to_owned)).collect())
    }

    /// Removes a file in a folder of it; what cannot be removed stays.
    pub async fn remove_in(&self, folder: &str, name: &str) {
        let _ = self.store.objects.delete(&self.at(folder).join(name)).await;
    }

    async fn list(&self, below: Option<&str>) -> Result<Vec<ObjectMeta>> {
        let prefix = below.map_or(self.folder.clone(), |below| self.at(below));
        let listed = self.store.objects.list(Some(&prefix)).try_collect().await;
        listed.map_err(|e| failed("list", &self.path(below.unwrap_or_default()), e))
    }

    /// The number of the newest generation; none if there is none.
    pub async fn newest_number(&self) -> Result<Option<u64>> {
        let listed = self.list(Some(MANIFESTS)).await?;
        Ok(listed.iter().filter_map(|meta| number_of(&meta.location)).max())
    }

    /// The newest generation: its number, and its manifest or why that cannot be read.
    pub async fn newest(&self) -> Result<Option<(u64, Result<Manifest>)>> {
        let Some(number) = self.newest_number().await? else { return Ok(None) };
        Ok(Some((number, self.read_manifest(number).await)))
    }

    async fn read_manifest(&self, number: u64) -> Result<Manifest> {
        let name = format!("{MANIFESTS}/{number:020}.json");
        let bytes = self.read(&self.manifest(number)).await;
        let bytes = bytes.map_err(|e| failed("read", &self.path(&name), e))?;
        Manifest::decode(&bytes, &self.path(&name))
    }

    async fn read(&self, path: &Path) -> object_store::Result<Bytes> {
        self.store.objects.get(path).await?.bytes().await
    }

    /// Copies a file from a folder here.
    pub async fn send(&self, from: &dyn Files, name: &str) -> Result<()> {
        let file = from.open(name)?;
        let uploaded = self.upload(file, &self.at(name)).await;
        uploaded.map_err(|e| failed("write", &self.path(name), e))
    }

    async fn upload(&self, file: Arc<dyn FileRead>, to: &Path) -> object_store::Result<()> {
        let generic = |e| object_store::Error::Generic { store: "file", source: Box::new(e) };
        let len = file.byte_len().map_err(generic)?;
        let part_at = |at: u64| -> object_store::Result<PutPayload> {
            let mut bytes = BytesMut::zeroed((len - at).min(PART_BYTES) as usize);
            file.read_at(at, &mut bytes).map_err(generic)?;
            Ok(PutPayload::from_bytes(bytes.freeze()))
        };
        if len <= PART_BYTES {
            return self.store.objects.put(to, part_at(0)?).await.map(drop);
        }
        let mut upload = self.store.objects.put_multipart(to).await?;
        let sent = async {
            for at in (0..len).step_by(PART_BYTES as usize) {
                upload.put_part(part_at(at)?).await?;
            }
            upload.complete().await.map(drop)
        };
        let sent = sent.await;
        if sent.is_err() {
            // Parts that were sent are kept, and paid for, until somebody says so.
            let _ = upload.abort().await;
        }
        sent
    }

    /// Copies a file from here to a folder, durably. 58P01 if it is gone.
    pub async fn fetch(&self, to: &dyn Files, name: &str) -> Result<()> {
        let fetched = self.download(to, name).await;
        if fetched.is_err() {
            let _ = to.remove(name);
        }
        fetched
    }

    /// In parts: a request has so much time, whatever it asks for.
    async fn download(&self, to: &dyn Files, name: &str) -> Result<()> {
        let unread = |e| failed("read", &self.path(name), e);
        let (objects, from) = (&self.store.objects, self.at(name));
        let len = objects.head(&from).await.map_err(unread)?.size;
        let mut out = to.create(name)?;
        for at in (0..len).step_by(PART_BYTES as usize) {
            let part = at..len.min(at + PART_BYTES);
            let bytes = objects.get_range(&from, part).await.map_err(unread)?;
            out.write_all(&bytes).map_err(|e| io_error("write", &to.path(name), e))?;
        }
        out.sync().map_err(|e| io_error("fsync", &to.path(name), e))
    }

    /// Makes a manifest the newest generation, whose files are here. False: there is another of
    /// its number already.
    pub async fn create(&self, manifest: &Manifest) -> Result<bool> {
        let payload = PutPayload::from(manifest.encode()?);
        let options = PutOptions::from(PutMode::Create);
        let to = self.manifest(manifest.generation);
        let put = self.store.objects.put_opts(&to, payload, options).await;
        let Err(e) = put else { return Ok(true) };
        // A request that was sent twice meets itself; one without an answer may have been done.
        if self.read_manifest(manifest.generation).await.is_ok_and(|there| there == *manifest) {
            return Ok(true);
        }
        match e {
            object_store::Error::AlreadyExists { .. } => Ok(false),
            e => Err(failed("write", &self.path(MANIFESTS), e)),
        }
    }

    /// Asks to build. `seen` is what somebody else's claim was when the caller lost patience.
    pub async fn claim(&self, builder: &Bytes, seen: Option<&Bytes>) -> Result<Claim> {
        let create = PutOptions::from(PutMode::Create);
        let payload = PutPayload::from_bytes(builder.clone());
        match self.store.objects.put_opts(&self.at(CLAIM), payload, create).await {
            Ok(_) => return Ok(Claim::Ours),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(e) => return Err(failed("write", &self.path(CLAIM), e)),
        }
        match self.read(&self.at(CLAIM)).await {
            // Its request was sent twice.
            Ok(there) if there == *builder => Ok(Claim::Ours),
            Ok(theirs) if Some(&theirs) != seen => Ok(Claim::Theirs(theirs)),
            Ok(_) => self.renew(builder).await.map(|()| Claim::Ours),
            // Given up just now: the next look decides.
            Err(object_store::Error::NotFound { .. }) => Ok(Claim::Theirs(Bytes::new())),
            Err(e) => Err(failed("read", &self.path(CLAIM), e)),
        }
    }

    /// Says that the builder is alive; `beat` differs from what it said before.
    pub async fn renew(&self, beat: &Bytes) -> Result<()> {
        let payload = PutPayload::from_bytes(beat.clone());
        let put = self.store.objects.put(&self.at(CLAIM), payload).await;
        put.map(drop).map_err(|e| failed("write", &self.path(CLAIM), e))
    }

    /// Gives the claim up.
    pub async fn give_up(&self) {
        // A claim that stays is taken over.
        let _ = self.store.objects.delete(&self.at(CLAIM)).await;
    }

    /// Removes files, whose manifest never was.
    pub async fn discard(&self, names: &[String]) {
        for name in names {
            // What cannot be removed now is an orphan.
            let _ = self.store.objects.delete(&self.at(name)).await;
        }
    }

    /// Removes generations that were superseded long enough ago, and orphans. Times are the
    /// store's own, as of its newest object.
    pub async fn clean(&self) -> Result<()> {
        let listed = self.list(None).await?;
        let now = listed.iter().map(micros).max().unwrap_or_default();
        let mut manifests: Vec<(u64, &ObjectMeta)> =
            listed.iter().filter_map(|m| Some((number_of(&m.location)?, m))).collect();
        manifests.sort_by_key(|(number, _)| *number);
        let (superseded, orphans) = (self.store.superseded_kept, self.store.orphans_kept);
        let older = |since: i64, kept: Duration| now - since > kept.as_micros() as i64;
        let (mut named, mut gone) = (HashSet::new(), Vec::new());
        for (at, (number, meta)) in manifests.iter().enumerate() {
            let successor = manifests.get(at + 1).map(|(_, next)| micros(next));
            match successor {
                Some(since) if older(since, superseded) => gone.push((*number, meta)),
                // What cannot be read names nothing, and stays until it is superseded.
                _ => named.extend(self.files_of(*number).await),
            }
        }
        let mut obsolete = HashSet::new();
        for (number, meta) in gone {
            obsolete.extend(self.files_of(number).await);
            self.delete(&meta.location).await?;
        }
        // What was published of generations is removed by who publishes.
        let own = self.at(crate::columnar::iceberg::FOLDER);
        let files = listed.iter().filter(|meta| number_of(&meta.location).is_none());
        for meta in files.filter(|meta| !meta.location.prefix_matches(&own)) {
            let name = meta.location.filename().unwrap_or_default();
            let unused = name != CLAIM && !named.contains(name);
            if unused && (obsolete.contains(name) || older(micros(meta), orphans)) {
                self.delete(&meta.location).await?;
            }
        }
        Ok(())
    }

    async fn files_of(&self, generation: u64) -> Vec<String> {
        let read = self.read_manifest(generation).await;
        read.map_or(Vec::new(), |manifest| manifest.file_names())
    }

    async fn delete(&self, path: &Path) -> Result<()> {
        match self.store.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(failed("remove", path.as_ref(), e)),
        }
    }

    /// Removes the folder: its table has no view any more.
    pub async fn remove_all(&self) -> Result<()> {
        let mut listed = self.list(None).await?;
        // Manifests first: what is half gone is not found.
        listed.sort_by_key(|meta| number_of(&meta.location).is_none());
        for meta in listed {
            self.delete(&meta.location).await?;
        }
        Ok(())
    }
}

/// The generation whose manifest lies there.
fn number_of(path: &Path) -> Option<u64> {
    let mut parts: Vec<_> = path.parts().collect();
    let name = parts.pop()?;
    let folder = parts.pop()?;
    let number = name.as_ref().strip_suffix(".json")?;
    (folder.as_ref() == MANIFESTS).then(|| number.parse().ok())?
}

/// Names of the files of records.
pub fn names_of(records: &[FileRecord]) -> Vec<String> {
    records.iter().flat_map(|record| [record.data_name(), record.index_name()]).collect()
}
