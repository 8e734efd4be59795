//! Files as the storage crates see them: two small traits, so that tests can break the disk on purpose.
//!
//! [`RealVfs`] is the operating system, [`MemoryVfs`] keeps files in memory, [`FaultVfs`] is a memory disk that fails
//! and crashes as a test tells it to. What must hold of every implementation: written bytes are durable only after
//! [`File::sync_data`] (or `sync_all`), a name only after [`Vfs::sync_dir`] of its folder; a failed sync says
//! nothing about what has reached the disk.

mod error;
mod fault;
mod memory;
mod mmap;
mod real;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use spg_types::Result;

pub use error::io_error;
pub use fault::{Fault, FaultVfs};
pub use memory::MemoryVfs;
pub use real::RealVfs;

/// An open file. Reads and writes name their offset, so that a file can be shared between threads.
pub trait File: Send + Sync {
    /// The path it was opened by, for messages.
    fn path(&self) -> &Path;

    /// Its length in bytes. 58030.
    fn len(&self) -> Result<u64>;

    /// Whether it holds no bytes. 58030.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads up to `buf.len()` bytes from `offset`; fewer only at the end of the file. 58030.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize>;

    /// Writes all of `buf` at `offset`, growing the file as needed. On an error any part may have been written.
    /// 53100 when the disk is full, otherwise 58030.
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()>;

    /// Makes the bytes and what is needed to read them back durable. 58030, 53100.
    fn sync_data(&self) -> Result<()>;

    /// Makes bytes and metadata durable. 58030, 53100.
    fn sync_all(&self) -> Result<()>;

    /// Cuts the file off at, or extends it with zeros to, `len` bytes. 58030, 53100.
    fn truncate(&self, len: u64) -> Result<()>;

    /// The whole content, read as it is used where the file system can do that. The file may be removed meanwhile, but must
    /// not be changed. 58030.
    fn map(&self) -> Result<Bytes> {
        let mut content = vec![0; usize::try_from(self.len()?).unwrap_or(usize::MAX)];
        let n = self.read_at(&mut content, 0)?;
        content.truncate(n);
        Ok(content.into())
    }

    /// Takes the exclusive lock on this file, held until the file is dropped; `false` when another holds it. 58030.
    fn try_lock(&self) -> Result<bool>;
}

/// Held for as long as this process owns what the lock file stands for; dropped, the lock is free.
pub trait LockGuard: Send + Sync {}

/// A file system.
pub trait Vfs: Send + Sync {
    /// Opens an existing file for reading and writing; `None` when there is none. 58030.
    fn open(&self, path: &Path) -> Result<Option<Arc<dyn File>>>;

    /// Creates a file, or empties the one there is. 58030, 53100.
    fn create(&self, path: &Path) -> Result<Arc<dyn File>>;

    /// Gives a file another name, replacing what has that name. 58030.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file; one that is not there is no error. 58030.
    fn remove(&self, path: &Path) -> Result<()>;

    /// Makes creations, renames and removals in a folder durable. 58030.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Creates a folder and those above it. 58030.
    fn create_dir_all(&self, dir: &Path) -> Result<()>;

    /// The names of the files in a folder, sorted; none when there is no such folder. 58030.
    fn list(&self, dir: &Path) -> Result<Vec<String>>;

    /// Takes the exclusive lock that `path` stands for, and writes this process' id into it.
    /// 55006 naming the holder's process id when another has it.
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>>;
}

/// The folder that holds `path`, `.` for a bare name.
pub fn parent_dir(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// `path` with `suffix` added to its last component: `spg.db` and `.spg` give `spg.db.spg`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Replaces the whole content of a file so that a crash leaves either the old or the new one: writes a temporary
/// file beside it, syncs, renames, syncs the folder. 58030, 53100.
pub fn replace_file(vfs: &dyn Vfs, path: &Path, content: &[u8]) -> Result<()> {
    let temporary = with_suffix(path, ".tmp");
    let written = (|| {
        let file = vfs.create(&temporary)?;
        file.write_at(content, 0)?;
        file.sync_all()?;
        vfs.rename(&temporary, path)?;
        vfs.sync_dir(&parent_dir(path))
    })();
    if written.is_err() {
        // The error that matters is the first one; a left-over temporary file is overwritten next time.
        let _ = vfs.remove(&temporary);
    }
    written
}

/// The whole content of a file; `None` when there is none. 58030.
pub fn read_file(vfs: &dyn Vfs, path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(file) = vfs.open(path)? else { return Ok(None) };
    let mut content = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX)];
    let n = file.read_at(&mut content, 0)?;
    content.truncate(n);
    Ok(Some(content))
}
