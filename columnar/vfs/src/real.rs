//! The operating system's files.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use spg_types::{Error, Result, SqlState};

use crate::{File, LockGuard, Vfs, io_error, mmap};

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealVfs;

struct RealFile {
    path: PathBuf,
    file: fs::File,
}

struct RealLock {
    /// The lock lives as long as this open file.
    _file: fs::File,
}

impl LockGuard for RealLock {}

impl RealVfs {
    fn open_with(path: &Path, options: &OpenOptions) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile { path: path.to_path_buf(), file: options.open(path)? }))
    }
}

/// Whether the exclusive lock could be had without waiting.
fn try_flock(file: &fs::File, path: &Path) -> Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(e) if e == rustix::io::Errno::WOULDBLOCK => Ok(false),
        Err(e) => Err(io_error("lock file", path, &e.into())),
    }
}

impl Vfs for RealVfs {
    fn open(&self, path: &Path) -> Result<Option<Arc<dyn File>>> {
        match Self::open_with(path, OpenOptions::new().read(true).write(true)) {
            Ok(f) => Ok(Some(f)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("open file", path, &e)),
        }
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        Self::open_with(path, OpenOptions::new().read(true).write(true).create(true).truncate(true))
            .map_err(|e| io_error("create file", path, &e))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|e| io_error("rename file", from, &e))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove file", path, &e)),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        fs::File::open(dir).and_then(|d| d.sync_all()).map_err(|e| io_error("fsync directory", dir, &e))
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(|e| io_error("create directory", dir, &e))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let fail = |e: &io::Error| io_error("read directory", dir, e);
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(fail(&e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| fail(&e))?;
            if entry.file_type().map_err(|e| fail(&e))?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| io_error("open lock file", path, &e))?;
        if !try_flock(&file, path)? {
            let holder = fs::read_to_string(path).unwrap_or_default();
            return Err(in_use(path, holder.trim()));
        }
        // The number is for people: a full disk, which may still be read, has the old one.
        let pid = format!("{}\n", std::process::id());
        match file.write_all_at(pid.as_bytes(), 0).and_then(|()| file.set_len(pid.len() as u64)) {
            Err(e) if e.kind() != std::io::ErrorKind::StorageFull => {
                return Err(io_error("write lock file", path, &e));
            }
            _ => {}
        }
        Ok(Box::new(RealLock { _file: file }))
    }
}

/// 55006: another process holds the lock.
pub(crate) fn in_use(path: &Path, holder: &str) -> Error {
    let by = if holder.is_empty() { "another process".to_string() } else { format!("process {holder}") };
    Error::new(SqlState::OBJECT_IN_USE, format!("lock file \"{}\" is held by {by}", path.display()))
        .with_hint("Is another server running on this database? Stop it first, or use another database path.")
}

impl File for RealFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> Result<u64> {
        self.file.metadata().map(|m| m.len()).map_err(|e| io_error("stat file", &self.path, &e))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(io_error("read file", &self.path, &e)),
            }
        }
        Ok(done)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(buf, offset).map_err(|e| io_error("write to file", &self.path, &e))
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| io_error("fsync file", &self.path, &e))
    }

    fn sync_all(&self) -> Result<()> {
        self.file.sync_all().map_err(|e| io_error("fsync file", &self.path, &e))
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(|e| io_error("truncate file", &self.path, &e))
    }

    fn map(&self) -> Result<Bytes> {
        mmap::map(&self.file).map_err(|e| io_error("map file", &self.path, &e))
    }

    fn try_lock(&self) -> Result<bool> {
        try_flock(&self.file, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replace_file;

    #[test]
    fn files_locks_and_replacement() {
        let dir = std::env::temp_dir().join(format!("spg-vfs-{}", std::process::id()));
        let vfs = RealVfs;
        vfs.create_dir_all(&dir).unwrap();
        let path = dir.join("a");
        assert!(vfs.open(&path).unwrap().is_none());
        replace_file(&vfs, &path, b"one").unwrap();
        replace_file(&vfs, &path, b"two!").unwrap();
        assert_eq!(crate::read_file(&vfs, &path).unwrap().unwrap(), b"two!");
        assert_eq!(vfs.list(&dir).unwrap(), ["a"]);

        let lock = dir.join("lock");
        let guard = vfs.lock(&lock).unwrap();
        let refused = vfs.lock(&lock).err().unwrap();
        assert_eq!(refused.state(), SqlState::OBJECT_IN_USE);
        assert!(refused.message().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(guard);
        vfs.lock(&lock).unwrap();

        let error = vfs.create(&dir.join("no/such/folder")).err().unwrap();
        assert_eq!(error.state(), SqlState::IO_ERROR);
        assert!(error.message().ends_with("No such file or directory"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }
}
