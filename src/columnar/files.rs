//! The folder a view lives in: writing, reading and switching whole files.
//!
//! [`Files`] is what the column path asks of a folder; [`LocalFiles`] is a folder on disk, and the
//! tests have one that runs out of space. Every file of a view is written once, synced, and never
//! changed again; only [`replace`] gives a name new content, by rename, so that a reader sees the
//! old bytes or the new ones and nothing between.
//!
//! [`BlockSums`] are checksums of a file's 64 KiB blocks: [`SummedWriter`] makes them while the
//! bytes pass, [`CheckedFile`] verifies every block that a read touches. A damaged byte is thus an
//! error that names the file and the offset, whatever part of the file is read.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};

/// Bytes that one checksum covers.
pub const BLOCK_LEN: u64 = 64 * 1024;

/// A folder of files.
pub trait Files: Send + Sync + 'static {
    /// Creates a file, or empties it.
    fn create(&self, name: &str) -> Result<Box<dyn FileWrite>>;
    /// Opens a file for reading. 58P01 if it is not there.
    fn open(&self, name: &str) -> Result<Arc<dyn FileRead>>;
    /// Gives a file another name, replacing the file of that name.
    fn rename(&self, from: &str, to: &str) -> Result<()>;
    /// Removes a file; one that is not there is no error.
    fn remove(&self, name: &str) -> Result<()>;
    /// Names of all files, but not of folders.
    fn list(&self) -> Result<Vec<String>>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> Result<()>;
    /// What messages call a file.
    fn path(&self, name: &str) -> String;
}

/// A file being written.
pub trait FileWrite: Write + Send {
    /// Makes the content durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file open for reading.
pub trait FileRead: Send + Sync {
    /// Its length.
    fn byte_len(&self) -> io::Result<u64>;
    /// Fills `buf` from `offset`.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

/// An error of input or output, in PostgreSQL's words: `could not write file "x": ...`.
pub fn io_error(doing: &str, path: &str, e: io::Error) -> Error {
    let full = matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let code = Error::from(io::Error::from(e.kind())).code();
    let error = Error::new(code, format!("could not {doing} file \"{path}\": {e}")).with_source(e);
    if full { error.with_hint("Check free disk space.") } else { error }
}

/// A folder on disk.
pub struct LocalFiles {
    dir: PathBuf,
}

impl LocalFiles {
    /// The folder `dir`, created if it is not there.
    pub fn create(dir: PathBuf) -> Result<LocalFiles> {
        fs::create_dir_all(&dir)
            .map_err(|e| io_error("create directory for", &dir.to_string_lossy(), e))?;
        Ok(LocalFiles { dir })
    }
}

impl Files for LocalFiles {
    fn create(&self, name: &str) -> Result<Box<dyn FileWrite>> {
        let file = fs::File::create(self.dir.join(name))
            .map_err(|e| io_error("create", &self.path(name), e))?;
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> Result<Arc<dyn FileRead>> {
        match fs::File::open(self.dir.join(name)) {
            Ok(file) => Ok(Arc::new(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::new(
                crate::error::SqlState::UNDEFINED_FILE,
                format!("could not open file \"{}\": {e}", self.path(name)),
            )),
            Err(e) => Err(io_error("open", &self.path(name), e)),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
            .map_err(|e| io_error("rename", &self.path(from), e))
    }

    fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", &self.path(name), e))
            }
            _ => Ok(()),
        }
    }

    fn list(&self) -> Result<Vec<String>> {
        let failed = |e| io_error("read directory", &self.dir.to_string_lossy(), e);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A folder in it is somebody else's affair.
            if !entry.file_type().map_err(failed)?.is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    fn sync(&self) -> Result<()> {
        let synced = fs::File::open(&self.dir).and_then(|dir| dir.sync_all());
        synced.map_err(|e| io_error("fsync", &self.dir.to_string_lossy(), e))
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }
}

impl FileWrite for fs::File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl FileRead for fs::File {
    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buf, offset)
    }
}

/// Gives `name` the content `bytes`, whole or not at all, durably.
pub fn replace(files: &dyn Files, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = format!("{name}.tmp");
    write_whole(files, &temporary, bytes)?;
    files.rename(&temporary, name)?;
    files.sync()
}

/// Writes a file in one go and syncs it; what was written of it is removed if that fails.
pub fn write_whole(files: &dyn Files, name: &str, bytes: &[u8]) -> Result<()> {
    let written = files.create(name).and_then(|mut file| {
        file.write_all(bytes)
            .and_then(|()| file.sync())
            .map_err(|e| io_error("write", &files.path(name), e))
    });
    if written.is_err() {
        let _ = files.remove(name);
    }
    written
}

/// Reads a whole file.
pub fn read_whole(files: &dyn Files, name: &str) -> Result<Vec<u8>> {
    let file = files.open(name)?;
    let failed = |e| io_error("read", &files.path(name), e);
    let mut bytes = vec![0; file.byte_len().map_err(failed)? as usize];
    file.read_at(0, &mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// CRC-32 of each [`BLOCK_LEN`] bytes of a file, and its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockSums {
    /// The file's length.
    pub len: u64,
    /// One checksum for each block; the last may cover fewer bytes.
    pub sums: Vec<u32>,
}

/// Writes to a file and sums its blocks on the way.
pub struct SummedWriter {
    inner: Box<dyn FileWrite>,
    current: crc32fast::Hasher,
    in_block: u64,
    sums: BlockSums,
}

impl SummedWriter {
    /// Writes to `inner`, which is empty.
    pub fn new(inner: Box<dyn FileWrite>) -> SummedWriter {
        SummedWriter {
            inner,
            current: crc32fast::Hasher::new(),
            in_block: 0,
            sums: BlockSums::default(),
        }
    }

    /// Makes the file durable and gives its sums.
    pub fn finish(mut self) -> io::Result<BlockSums> {
        self.inner.flush()?;
        self.inner.sync()?;
        if self.in_block > 0 {
            self.sums.sums.push(self.current.finalize());
        }
        Ok(self.sums)
    }
}

impl Write for SummedWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let taken = buf.len().min((BLOCK_LEN - self.in_block) as usize);
        let written = self.inner.write(&buf[..taken])?;
        self.current.update(&buf[..written]);
        self.in_block += written as u64;
        self.sums.len += written as u64;
        if self.in_block == BLOCK_LEN {
            let full = std::mem::replace(&mut self.current, crc32fast::Hasher::new());
            self.sums.sums.push(full.finalize());
            self.in_block = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file whose every read is verified against its [`BlockSums`].
#[derive(Clone)]
pub struct CheckedFile {
    file: Arc<dyn FileRead>,
    path: Arc<str>,
    sums: Arc<BlockSums>,
}

impl CheckedFile {
    /// Opens `name`; XX001 if it has another length than `sums` say.
    pub fn open(files: &dyn Files, name: &str, sums: Arc<BlockSums>) -> Result<CheckedFile> {
        let path: Arc<str> = files.path(name).into();
        let file = files.open(name)?;
        let len = file.byte_len().map_err(|e| io_error("stat", &path, e))?;
        if len != sums.len {
            return Err(Error::corrupted(format!(
                "file \"{path}\" has {len} bytes where {} were written",
                sums.len
            )));
        }
        Ok(CheckedFile { file, path, sums })
    }

    /// Length of the file.
    pub fn len(&self) -> u64 {
        self.sums.len
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.sums.len == 0
    }

    /// What messages call it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads `len` bytes from `offset`, verified.
    pub fn read(&self, offset: u64, len: usize) -> Result<Bytes> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.sums.len);
        let Some(end) = end else {
            return Err(Error::corrupted(format!(
                "file \"{}\": bytes {offset}+{len} asked of {}",
                self.path, self.sums.len
            )));
        };
        if len == 0 {
            return Ok(Bytes::new());
        }
        let first = offset / BLOCK_LEN;
        let start = first * BLOCK_LEN;
        let stop = end.next_multiple_of(BLOCK_LEN).min(self.sums.len);
        let mut bytes = vec![0; (stop - start) as usize];
        self.file.read_at(start, &mut bytes).map_err(|e| io_error("read", &self.path, e))?;
        for (i, block) in bytes.chunks(BLOCK_LEN as usize).enumerate() {
            let sum = self.sums.sums.get(first as usize + i).copied();
            if sum != Some(crc32fast::hash(block)) {
                return Err(Error::corrupted(format!(
                    "file \"{}\" is damaged in the block at byte {}",
                    self.path,
                    start + i as u64 * BLOCK_LEN
                )));
            }
        }
        let from = (offset - start) as usize;
        Ok(Bytes::from(bytes).slice(from..from + len))
    }

    /// Verifies the whole file.
    pub fn verify(&self) -> Result<()> {
        let mut offset = 0;
        while offset < self.sums.len {
            let len = (16 * BLOCK_LEN).min(self.sums.len - offset);
            self.read(offset, len as usize)?;
            offset += len;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::error::SqlState;

    /// A folder with room for a number of bytes and no more.
    pub(crate) struct FullFiles {
        inner: LocalFiles,
        room: Arc<AtomicI64>,
    }

    impl FullFiles {
        pub(crate) fn new(dir: PathBuf, room: i64) -> (Arc<FullFiles>, Arc<AtomicI64>) {
            let room = Arc::new(AtomicI64::new(room));
            let inner = LocalFiles::create(dir).unwrap();
            (Arc::new(FullFiles { inner, room: room.clone() }), room)
        }
    }

    struct FullWrite {
        inner: Box<dyn FileWrite>,
        room: Arc<AtomicI64>,
    }

    impl Write for FullWrite {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            if self.room.fetch_sub(buf.len() as i64, Ordering::SeqCst) < buf.len() as i64 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.inner.write(buf)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.inner.flush()
        }
    }

    impl FileWrite for FullWrite {
        fn sync(&mut self) -> io::Result<()> {
            self.inner.sync()
        }
    }

    impl Files for FullFiles {
        fn create(&self, name: &str) -> Result<Box<dyn FileWrite>> {
            let inner = self.inner.create(name)?;
            Ok(Box::new(FullWrite { inner, room: self.room.clone() }))
        }
        fn open(&self, name: &str) -> Result<Arc<dyn FileRead>> {
            self.inner.open(name)
        }
        fn rename(&self, from: &str, to: &str) -> Result<()> {
            self.inner.rename(from, to)
        }
        fn remove(&self, name: &str) -> Result<()> {
            self.inner.remove(name)
        }
        fn list(&self) -> Result<Vec<String>> {
            self.inner.list()
        }
        fn sync(&self) -> Result<()> {
            self.inner.sync()
        }
        fn path(&self, name: &str) -> String {
            self.inner.path(name)
        }
    }

    #[test]
    fn a_flipped_bit_is_found_in_every_block() {
        let dir = tempfile::tempdir().unwrap();
        let files = LocalFiles::create(dir.path().to_owned()).unwrap();
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i * 7) as u8).collect();
        let mut writer = SummedWriter::new(files.create("a").unwrap());
        writer.write_all(&bytes).unwrap();
        let sums = Arc::new(writer.finish().unwrap());
        assert_eq!(sums.sums.len(), 4);
        let file = CheckedFile::open(&files, "a", sums.clone()).unwrap();
        assert_eq!(file.read(65_000, 1_000).unwrap(), &bytes[65_000..66_000]);
        assert_eq!(file.read(199_990, 10).unwrap(), &bytes[199_990..]);
        assert_eq!(file.read(199_990, 11).unwrap_err().code(), SqlState::DATA_CORRUPTED);
        for at in [0, 65_536, 131_071, 199_999] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            write_whole(&files, "a", &damaged).unwrap();
            let file = CheckedFile::open(&files, "a", sums.clone()).unwrap();
            let e = file.read(at as u64, 1).unwrap_err();
            assert_eq!(e.code(), SqlState::DATA_CORRUPTED);
            assert!(e.message().contains("/a\""), "{e}");
            assert!(file.verify().is_err());
        }
        write_whole(&files, "a", &bytes[..199_999]).unwrap();
        assert!(CheckedFile::open(&files, "a", sums).is_err(), "a truncated file is refused");
    }

    #[test]
    fn replace_leaves_old_content_when_the_disk_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let (files, room) = FullFiles::new(dir.path().to_owned(), 100);
        replace(&*files, "m", b"one").unwrap();
        room.store(2, Ordering::SeqCst);
        let e = replace(&*files, "m", b"three").unwrap_err();
        assert_eq!(e.code(), SqlState::DISK_FULL);
        assert_eq!(read_whole(&*files, "m").unwrap(), b"one");
        assert_eq!(files.list().unwrap(), ["m"]);
    }
}
