//! A memory disk that fails on purpose: the n-th operation, a full disk, a crash with everything unsynced in doubt.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;
use spg_types::{Error, Result};

use crate::{File, LockGuard, MemoryVfs, Vfs, io_error};

/// What happens at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with EIO; a write has no effect.
    Io,
    /// It fails with ENOSPC; a write has no effect.
    NoSpace,
    /// A write puts down its first half and fails with ENOSPC; other operations fail with ENOSPC.
    ShortWrite,
    /// It and everything after it fail: the power is gone. [`FaultVfs::crash_image`] is what the next start finds.
    Crash,
}

/// A disk in memory with faults. Clones share the disk and the plan. Operations that change something (writes,
/// syncs, truncations, creations, renames, removals) are counted from 0; reads are not.
#[derive(Clone)]
pub struct FaultVfs {
    disk: MemoryVfs,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    operations: u64,
    faults: Vec<(u64, Fault)>,
    /// Syncs fail while set.
    syncs_fail: bool,
    /// Reads of files whose path contains this fail while set.
    reads_fail: Option<String>,
    /// Bytes that all files together may take.
    capacity: Option<u64>,
    crashed: bool,
}

impl Default for FaultVfs {
    fn default() -> Self {
        Self::new(MemoryVfs::journaled())
    }
}

fn os_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}

impl FaultVfs {
    /// Faults over a journaled memory disk, such as a crash image.
    pub fn new(disk: MemoryVfs) -> Self {
        Self { disk, plan: Arc::default() }
    }

    /// Lets the operation that is `n`-th from now (0 is the next) meet `fault`.
    pub fn fail_after(&self, n: u64, fault: Fault) {
        let mut plan = self.plan.lock();
        let at = plan.operations + n;
        plan.faults.push((at, fault));
    }

    /// Forgets every fault planned with [`FaultVfs::fail_after`].
    pub fn heal(&self) {
        let mut plan = self.plan.lock();
        plan.faults.clear();
        plan.syncs_fail = false;
        plan.reads_fail = None;
    }

    /// From now on every sync fails with EIO, or no longer does.
    pub fn fail_syncs(&self, fail: bool) {
        self.plan.lock().syncs_fail = fail;
    }

    /// From now on every read of a file whose path contains `part` fails with EIO, or no longer does.
    pub fn fail_reads(&self, part: Option<&str>) {
        self.plan.lock().reads_fail = part.map(str::to_owned);
    }

    /// Limits the bytes that all files together may take: past it, writes put down what fits and fail with ENOSPC.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.plan.lock().capacity = bytes;
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.plan.lock().operations
    }

    /// Whether the planned crash has happened.
    pub fn crashed(&self) -> bool {
        self.plan.lock().crashed
    }

    /// Ends all operations, as a planned crash would.
    pub fn crash(&self) {
        self.plan.lock().crashed = true;
    }

    /// The disk as the next start finds it: [`MemoryVfs::crash_image`].
    #[must_use]
    pub fn crash_image(&self, seed: u64) -> MemoryVfs {
        self.disk.crash_image(seed)
    }

    /// The disk below, without faults.
    pub fn disk(&self) -> &MemoryVfs {
        &self.disk
    }

    /// Counts an operation; the fault it meets, if any, and whether the power was gone before it.
    fn next(&self) -> (Option<Fault>, bool) {
        let mut plan = self.plan.lock();
        let dead = plan.crashed;
        let n = plan.operations;
        plan.operations += 1;
        let fault = plan.faults.iter().find(|(at, _)| *at == n).map(|(_, f)| *f);
        if fault == Some(Fault::Crash) {
            plan.crashed = true;
        }
        (if plan.crashed { Some(Fault::Crash) } else { fault }, dead)
    }

    fn check(&self, doing: &str, path: &Path) -> Result<()> {
        match self.next().0 {
            None => Ok(()),
            Some(fault) => Err(fault_error(fault, doing, path)),
        }
    }
}

fn fault_error(fault: Fault, doing: &str, path: &Path) -> Error {
    let errno = if matches!(fault, Fault::NoSpace | Fault::ShortWrite) { Errno::NOSPC } else { Errno::IO };
    io_error(doing, path, &os_error(errno))
}

impl Vfs for FaultVfs {
    fn open(&self, path: &Path) -> Result<Option<Arc<dyn File>>> {
        let file = self.disk.open(path)?;
        Ok(file.map(|inner| Arc::new(FaultFile { inner, vfs: self.clone() }) as Arc<dyn File>))
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.check("create file", path)?;
        let inner = self.disk.create(path)?;
        Ok(Arc::new(FaultFile { inner, vfs: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.check("rename file", from)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.check("remove file", path)?;
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.check("fsync directory", dir)?;
        self.disk.sync_dir(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        self.disk.lock(path)
    }
}

struct FaultFile {
    inner: Arc<dyn File>,
    vfs: FaultVfs,
}

impl FaultFile {
    fn sync(&self) -> Result<()> {
        self.vfs.check("fsync file", self.path())?;
        if self.vfs.plan.lock().syncs_fail {
            return Err(fault_error(Fault::Io, "fsync file", self.path()));
        }
        self.inner.sync_data()
    }

    /// How many of the bytes to be written fit on the disk.
    fn room_for(&self, len: usize, offset: u64) -> Result<usize> {
        let Some(capacity) = self.vfs.plan.lock().capacity else { return Ok(len) };
        let growth = (offset + len as u64).saturating_sub(self.inner.len()?);
        let missing = (self.vfs.disk.total_bytes() + growth).saturating_sub(capacity).min(growth);
        Ok(len.saturating_sub(missing as usize))
    }
}

impl File for FaultFile {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn len(&self) -> Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let plan = self.vfs.plan.lock();
        let path = self.path().to_string_lossy();
        if plan.crashed || plan.reads_fail.as_ref().is_some_and(|part| path.contains(part)) {
            return Err(fault_error(Fault::Io, "read file", self.path()));
        }
        drop(plan);
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        let (fault, dead) = self.vfs.next();
        let fits = match fault {
            _ if dead => 0,
            None => self.room_for(buf.len(), offset)?,
            Some(Fault::ShortWrite) => buf.len() / 2,
            // The write in progress when the power goes may have got anywhere.
            Some(Fault::Crash) => buf.len(),
            Some(_) => 0,
        };
        self.inner.write_at(&buf[..fits], offset)?;
        match fault {
            Some(fault) => Err(fault_error(fault, "write to file", self.path())),
            None if fits < buf.len() => Err(fault_error(Fault::NoSpace, "write to file", self.path())),
            None => Ok(()),
        }
    }

    fn sync_data(&self) -> Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> Result<()> {
        self.sync()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.vfs.check("truncate file", self.path())?;
        self.inner.truncate(len)
    }

    fn try_lock(&self) -> Result<bool> {
        self.inner.try_lock()
    }
}

#[cfg(test)]
mod tests {
    use spg_types::SqlState;

    use super::*;

    #[test]
    fn faults_come_when_planned() {
        let vfs = FaultVfs::default();
        let path = std::path::PathBuf::from("f");
        let file = vfs.create(&path).unwrap();
        vfs.fail_after(1, Fault::NoSpace);
        vfs.fail_after(2, Fault::ShortWrite);
        vfs.fail_after(4, Fault::Crash);
        file.write_at(b"aaaa", 0).unwrap();
        assert_eq!(file.write_at(b"bbbb", 0).unwrap_err().state(), SqlState::DISK_FULL);
        assert_eq!(file.write_at(b"cccc", 0).unwrap_err().state(), SqlState::DISK_FULL);
        assert_eq!(crate::read_file(&vfs, &path).unwrap().unwrap(), b"ccaa");
        file.sync_data().unwrap();
        assert_eq!(file.sync_data().unwrap_err().state(), SqlState::IO_ERROR);
        assert!(vfs.crashed());
        assert!(file.write_at(b"x", 0).is_err());
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let vfs = FaultVfs::default();
        let file = vfs.create(Path::new("f")).unwrap();
        file.write_at(b"12345678", 0).unwrap();
        vfs.set_capacity(Some(10));
        file.write_at(b"abcd", 0).unwrap();
        let error = file.write_at(b"9012", 8).unwrap_err();
        assert_eq!(error.state(), SqlState::DISK_FULL);
        assert_eq!(error.message(), "could not write to file \"f\": No space left on device");
        file.truncate(4).unwrap();
        file.write_at(b"9012", 4).unwrap();
    }
}
