//! Files in memory; with a journal of what is not synced yet, from which crash images are made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use spg_types::Result;

use crate::real::in_use;
use crate::{File, LockGuard, Vfs, parent_dir};

/// What a disk writes at once: a crash keeps or loses whole sectors.
const SECTOR: usize = 512;

/// A file system in memory. Clones share the files.
#[derive(Clone, Default)]
pub struct MemoryVfs(Arc<Disk>);

#[derive(Default)]
struct Disk {
    /// Whether unsynced changes are recorded.
    journaled: bool,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    current: BTreeMap<PathBuf, Arc<Inode>>,
    durable: BTreeMap<PathBuf, Arc<Inode>>,
    /// Changes of names not synced yet, in order.
    pending: Vec<NameChange>,
}

#[derive(Clone)]
enum NameChange {
    Link(PathBuf, Arc<Inode>),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, Arc<Inode>),
}

#[derive(Default)]
struct Inode {
    content: Mutex<Content>,
    locked: Arc<AtomicBool>,
}

#[derive(Default)]
struct Content {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

fn write(data: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if data.len() < offset + bytes.len() {
        data.resize(offset + bytes.len(), 0);
    }
    data[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn apply_name(names: &mut BTreeMap<PathBuf, Arc<Inode>>, change: &NameChange) {
    match change {
        NameChange::Link(path, inode) => {
            names.insert(path.clone(), inode.clone());
        }
        NameChange::Unlink(path) => {
            names.remove(path);
        }
        NameChange::Rename(from, to, inode) => {
            names.remove(from);
            names.insert(to.clone(), inode.clone());
        }
    }
}

impl NameChange {
    fn is_in(&self, dir: &Path) -> bool {
        match self {
            Self::Link(p, _) | Self::Unlink(p) | Self::Rename(_, p, _) => parent_dir(p) == dir,
        }
    }
}

impl MemoryVfs {
    /// An empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty file system that remembers what is not synced, for [`MemoryVfs::crash_image`].
    pub fn journaled() -> Self {
        Self(Arc::new(Disk { journaled: true, names: Mutex::default() }))
    }

    /// What a machine that lost power now might find on its disk: everything synced, and of the rest a subset chosen by
    /// `seed`: of the bytes any sectors, of the names in a folder those changed first. Nothing is locked.
    #[must_use]
    pub fn crash_image(&self, seed: u64) -> MemoryVfs {
        let mut rng = StdRng::seed_from_u64(seed);
        let names = self.0.names.lock();
        let mut survivors = names.durable.clone();
        let kept = rng.random_range(0..=names.pending.len());
        for change in &names.pending[..kept] {
            apply_name(&mut survivors, change);
        }
        let image = MemoryVfs::journaled();
        let mut image_names = image.0.names.lock();
        for (path, inode) in survivors {
            let content = inode.content.lock();
            let mut data = content.durable.clone();
            // Often everything or nothing made it; in between, each sector decides for itself.
            let odds = [0.0, 1.0, 0.5, 0.9][rng.random_range(0..4)];
            for change in &content.pending {
                match change {
                    Change::Truncate(len) if rng.random_bool(odds) => data.resize(*len, 0),
                    Change::Truncate(_) => {}
                    Change::Write(offset, bytes) => {
                        let mut at = 0;
                        while at < bytes.len() {
                            let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
                            if rng.random_bool(odds) {
                                write(&mut data, offset + at, &bytes[at..end]);
                            }
                            at = end;
                        }
                    }
                }
            }
            let survivor = Inode::default();
            *survivor.content.lock() = Content { current: data.clone(), durable: data, pending: Vec::new() };
            let survivor = Arc::new(survivor);
            image_names.current.insert(path.clone(), survivor.clone());
            image_names.durable.insert(path, survivor);
        }
        drop(image_names);
        image
    }

    /// Bytes in all files.
    pub fn total_bytes(&self) -> u64 {
        self.0.names.lock().current.values().map(|i| i.content.lock().current.len() as u64).sum()
    }

    fn change_names(&self, change: NameChange) {
        let mut names = self.0.names.lock();
        apply_name(&mut names.current, &change);
        if self.0.journaled {
            names.pending.push(change);
        }
    }

    fn file(&self, path: &Path, inode: Arc<Inode>) -> Arc<dyn File> {
        Arc::new(MemoryFile {
            path: path.to_path_buf(),
            inode,
            journaled: self.0.journaled,
            holds_lock: AtomicBool::new(false),
        })
    }
}

impl Vfs for MemoryVfs {
    fn open(&self, path: &Path) -> Result<Option<Arc<dyn File>>> {
        let inode = self.0.names.lock().current.get(path).cloned();
        Ok(inode.map(|i| self.file(path, i)))
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        if let Some(file) = self.open(path)? {
            file.truncate(0)?;
            return Ok(file);
        }
        let inode = Arc::new(Inode::default());
        self.change_names(NameChange::Link(path.to_path_buf(), inode.clone()));
        Ok(self.file(path, inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let inode = self.0.names.lock().current.get(from).cloned();
        let Some(inode) = inode else {
            let missing = std::io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error());
            return Err(crate::io_error("rename file", from, &missing));
        };
        self.change_names(NameChange::Rename(from.to_path_buf(), to.to_path_buf(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.change_names(NameChange::Unlink(path.to_path_buf()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let mut names = self.0.names.lock();
        let names = &mut *names;
        let durable = &mut names.durable;
        names.pending.retain(|change| {
            let here = change.is_in(dir);
            if here {
                apply_name(durable, change);
            }
            !here
        });
        Ok(())
    }

    fn create_dir_all(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let names = self.0.names.lock();
        let here = names.current.keys().filter(|p| parent_dir(p) == dir);
        Ok(here.filter_map(|p| Some(p.file_name()?.to_str()?.to_string())).collect())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        let inode = self.0.names.lock().current.get(path).cloned();
        let inode = match inode {
            Some(inode) => inode,
            None => {
                self.create(path)?;
                let inode = self.0.names.lock().current.get(path).cloned();
                inode.unwrap_or_default()
            }
        };
        if inode.locked.swap(true, Ordering::AcqRel) {
            return Err(in_use(path, &std::process::id().to_string()));
        }
        Ok(Box::new(MemoryLock(inode.locked.clone())))
    }
}

struct MemoryLock(Arc<AtomicBool>);

impl LockGuard for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

struct MemoryFile {
    path: PathBuf,
    inode: Arc<Inode>,
    journaled: bool,
    holds_lock: AtomicBool,
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if self.holds_lock.load(Ordering::Acquire) {
            self.inode.locked.store(false, Ordering::Release);
        }
    }
}

impl File for MemoryFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> Result<u64> {
        Ok(self.inode.content.lock().current.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let content = self.inode.content.lock();
        let rest = content.current.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        let mut content = self.inode.content.lock();
        write(&mut content.current, offset as usize, buf);
        if self.journaled {
            content.pending.push(Change::Write(offset as usize, buf.to_vec()));
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut content = self.inode.content.lock();
        let content = &mut *content;
        for change in content.pending.drain(..) {
            match change {
                Change::Write(offset, bytes) => write(&mut content.durable, offset, &bytes),
                Change::Truncate(len) => content.durable.resize(len, 0),
            }
        }
        Ok(())
    }

    fn sync_all(&self) -> Result<()> {
        self.sync_data()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        let mut content = self.inode.content.lock();
        content.current.resize(len as usize, 0);
        if self.journaled {
            content.pending.push(Change::Truncate(len as usize));
        }
        Ok(())
    }

    fn try_lock(&self) -> Result<bool> {
        if self.inode.locked.swap(true, Ordering::AcqRel) {
            return Ok(false);
        }
        self.holds_lock.store(true, Ordering::Release);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use spg_types::SqlState;

    use super::*;
    use crate::replace_file;

    #[test]
    fn a_crash_keeps_what_is_synced_and_some_of_the_rest() {
        let vfs = MemoryVfs::journaled();
        let path = Path::new("d/a");
        replace_file(&vfs, path, &[1; 2048]).unwrap();
        let file = vfs.open(path).unwrap().unwrap();
        file.write_at(&[2; 2048], 1024).unwrap();
        vfs.create(Path::new("d/b")).unwrap();
        let mut lengths = std::collections::BTreeSet::new();
        let mut b_exists = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let image = vfs.crash_image(seed);
            let content = crate::read_file(&image, path).unwrap().unwrap();
            assert_eq!(content[..1024], [1; 1024]);
            assert!(content[1024..2048].iter().all(|b| *b == 1 || *b == 2));
            lengths.insert(content.len());
            b_exists.insert(image.open(Path::new("d/b")).unwrap().is_some());
        }
        assert!(lengths.len() > 2 && b_exists.len() == 2, "{lengths:?} {b_exists:?}");
        file.sync_data().unwrap();
        let content = crate::read_file(&vfs.crash_image(0), path).unwrap().unwrap();
        assert_eq!((content.len(), &content[1024..]), (3072, &[2; 2048][..]));
    }

    #[test]
    fn locks_are_exclusive() {
        let vfs = MemoryVfs::new();
        let guard = vfs.lock(Path::new("lock")).unwrap();
        assert_eq!(vfs.lock(Path::new("lock")).err().unwrap().state(), SqlState::OBJECT_IN_USE);
        drop(guard);
        vfs.lock(Path::new("lock")).unwrap();
        let file = vfs.create(Path::new("f")).unwrap();
        let other = vfs.open(Path::new("f")).unwrap().unwrap();
        assert!(file.try_lock().unwrap());
        assert!(!other.try_lock().unwrap());
        drop(file);
        assert!(other.try_lock().unwrap());
    }
}
