//! The log as the writer sees it: a queue that a thread of its own writes and syncs.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use spg_types::{Error, Result};
use spg_vfs::Vfs;

use crate::Recovery;
use crate::frame::{Kind, frame_head};
use crate::ops::{Ops, Part};
use crate::recover::rotated_files;
use crate::tee::{Tee, TeeOptions};
use crate::thread::Writer;

/// Called once, from the log thread and in commit order: the commit is durable, or it will never be.
pub type Completion = Box<dyn FnOnce(Result<()>) + Send>;

/// The queue is full with this many bytes; who streams a large transaction then waits.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// An open log. Dropped, it writes and syncs what has queued.
pub struct Log {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    tee: Mutex<Option<(Arc<Tee>, JoinHandle<()>)>>,
    tee_path: Option<PathBuf>,
}

/// What can be said of an open log.
#[derive(Clone, Debug)]
pub struct LogStatus {
    /// The file that is written to.
    pub path: PathBuf,
    /// Bytes in it.
    pub bytes: u64,
    /// Its first commit.
    pub first_commit_no: u64,
    /// Older files that no checkpoint has made superfluous yet.
    pub rotated_files: usize,
    /// Where a second copy goes.
    pub tee_path: Option<PathBuf>,
    /// Why that copy has ended.
    pub tee_error: Option<Error>,
    /// Why nothing can be written any more.
    pub read_only: Option<Error>,
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(body);
    thread.map_err(|e| Error::internal(format!("could not start thread {name}: {e}")))
}

pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    /// Work has come, or the log is closing.
    pub(crate) work: Condvar,
    /// The queue has been taken.
    pub(crate) taken: Condvar,
    /// Called under the state's lock when commits that were queued will never become durable.
    pub(crate) on_failure: Box<dyn Fn() + Send + Sync>,
    /// Bytes in the file that is written to.
    pub(crate) bytes: AtomicU64,
    /// Its first commit.
    pub(crate) first_commit_no: AtomicU64,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) queue: Vec<Item>,
    pub(crate) queued_bytes: usize,
    /// Counts failures: what was begun under an older generation builds on commits that failed.
    pub(crate) generation: u64,
    /// The latest failure.
    pub(crate) failure: Option<Error>,
    /// Set when a sync has failed: nothing is written any more.
    pub(crate) read_only: Option<Error>,
    pub(crate) closing: bool,
}

pub(crate) enum Item {
    Frame {
        transaction: u64,
        head: Vec<u8>,
        parts: Vec<Part>,
        completion: Option<Completion>,
        commit: bool,
    },
    /// Nothing to write: completes when everything before it is durable.
    Barrier(Completion),
    /// The transaction's chunks mean nothing any more.
    Abort(u64),
    /// The next commit is to begin a new file.
    Rotate(Rotated),
}

/// Told whether a new file has begun; an error is one of the rotation alone.
pub(crate) type Rotated = Box<dyn FnOnce(Result<bool>) + Send>;

impl Log {
    /// Goes on where recovery has ended. `on_failure` is called before the completions of commits that failed, with
    /// nothing else able to join the queue meanwhile: it takes back what builds on them.
    pub fn start(
        recovery: Recovery,
        on_failure: Box<dyn Fn() + Send + Sync>,
        tee: Option<TeeOptions>,
    ) -> Result<Log> {
        let tail = recovery.finish();
        let (vfs, path) = (tail.vfs.clone(), tail.path.clone());
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            taken: Condvar::new(),
            on_failure,
            bytes: AtomicU64::new(tail.end),
            first_commit_no: AtomicU64::new(tail.first_commit_no),
        });
        let tee_path = tee.as_ref().map(|options| options.path.clone());
        let tee = tee.map(|options| (Arc::new(Tee::default()), options));
        let writer = Writer::new(tail, tee.as_ref().map(|(tee, _)| tee.clone()));
        let thread = spawn("spg-log", {
            let shared = shared.clone();
            move || writer.run(&shared)
        })?;
        let tee = match tee {
            Some((tee, options)) => {
                let (copying, vfs) = (tee.clone(), vfs.clone());
                Some((tee, spawn("spg-log-tee", move || copying.run(&*vfs, &options))?))
            }
            None => None,
        };
        Ok(Log { vfs, path, shared, thread: Mutex::new(Some(thread)), tee: Mutex::new(tee), tee_path })
    }

    /// The number that a transaction takes at its begin and hands in with everything it logs. The error of the
    /// failed sync when nothing can be written any more.
    pub fn generation(&self) -> Result<u64> {
        let state = self.shared.state.lock();
        match &state.read_only {
            Some(e) => Err(e.clone()),
            None => Ok(state.generation),
        }
    }

    /// Queues a transaction's commit frame. `queued` runs while nothing else can join the queue, so that the order of what
    /// it publishes is the order of the log. `completion` is called when the commit is durable or has failed; without one,
    /// the log syncs at its leisure. The error of the failure when one has come since `generation`.
    pub fn commit(
        &self,
        generation: u64,
        transaction: u64,
        commit_no: u64,
        time_us: i64,
        streamed_ops: u64,
        ops: Ops,
        completion: Option<Completion>,
        queued: impl FnOnce(),
    ) -> Result<()> {
        let mut fixed = Vec::with_capacity(Kind::Commit.fixed_bytes());
        fixed.extend_from_slice(&transaction.to_le_bytes());
        fixed.extend_from_slice(&commit_no.to_le_bytes());
        fixed.extend_from_slice(&time_us.to_le_bytes());
        fixed.extend_from_slice(&streamed_ops.to_le_bytes());
        let head = frame_head(Kind::Commit, &fixed, &ops)?;
        let bytes = head.len() + ops.bytes();
        let item = Item::Frame { transaction, head, parts: ops.parts, completion, commit: true };
        self.queue(generation, bytes, item, queued)
    }

    /// Streams operations of a transaction that is not yet committed. Waits while too much is queued.
    pub fn chunk(&self, generation: u64, transaction: u64, ops: Ops) -> Result<()> {
        let head = frame_head(Kind::Chunk, &transaction.to_le_bytes(), &ops)?;
        let bytes = head.len() + ops.bytes();
        let item = Item::Frame { transaction, head, parts: ops.parts, completion: None, commit: false };
        self.queue(generation, bytes, item, || {})
    }

    /// Says that of the transaction's operations so far only the first `keep` count.
    pub fn undo(&self, generation: u64, transaction: u64, keep: u64) -> Result<()> {
        let fixed = [transaction.to_le_bytes(), keep.to_le_bytes()].concat();
        let head = frame_head(Kind::Undo, &fixed, &Ops::new())?;
        let item = Item::Frame { transaction, head, parts: Vec::new(), completion: None, commit: false };
        self.queue(generation, 0, item, || {})
    }

    /// Takes back what a transaction has streamed; its space is used again.
    pub fn abort(&self, generation: u64, transaction: u64) {
        // After a failure the chunks are gone already.
        let _ = self.queue(generation, 0, Item::Abort(transaction), || {});
    }

    /// Calls `completion` when everything queued before is durable or has failed.
    pub fn barrier(&self, generation: u64, completion: Completion) -> Result<()> {
        self.queue(generation, 0, Item::Barrier(completion), || {})
    }

    /// Bytes in the file that is written to, since it was begun.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// What can be said of it now. 58030 when its folder cannot be read.
    pub fn status(&self) -> Result<LogStatus> {
        Ok(LogStatus {
            path: self.path.clone(),
            bytes: self.bytes(),
            first_commit_no: self.shared.first_commit_no.load(Ordering::Acquire),
            rotated_files: rotated_files(&*self.vfs, &self.path)?.len(),
            tee_path: self.tee_path.clone(),
            tee_error: self.tee.lock().as_ref().and_then(|(tee, _)| tee.failure()),
            read_only: self.shared.state.lock().read_only.clone(),
        })
    }

    /// Lets the next commit begin a new file, and waits until everything before is durable. `false` when a transaction that is
    /// being streamed stood in the way. 58030 or 53100 when there is no new file; the old one then goes on.
    pub fn rotate(&self, generation: u64) -> Result<bool> {
        let (done, result) = mpsc::channel();
        let told = move |rotated| {
            // Nobody waits when the caller's thread is gone.
            let _ = done.send(rotated);
        };
        self.queue(generation, 0, Item::Rotate(Box::new(told)), || {})?;
        result.recv().map_err(|_| Error::internal("the log thread is gone"))?
    }

    /// Removes the files whose commits are all numbered `commit_no` or below: a checkpoint holds them.
    pub fn remove_through(&self, commit_no: u64) -> Result<()> {
        let files = rotated_files(&*self.vfs, &self.path)?;
        let newest = self.shared.first_commit_no.load(Ordering::Acquire);
        for (at, (_, file)) in files.iter().enumerate() {
            let next = files.get(at + 1).map_or(newest, |(first, _)| *first);
            if next <= commit_no + 1 {
                self.vfs.remove(file)?;
            }
        }
        Ok(())
    }

    fn queue(&self, generation: u64, bytes: usize, item: Item, queued: impl FnOnce()) -> Result<()> {
        let mut state = self.shared.state.lock();
        let may_wait = matches!(&item, Item::Frame { commit: false, .. });
        loop {
            if let Some(e) = &state.read_only {
                return Err(e.clone());
            }
            if state.generation != generation {
                return Err(state.failure.clone().unwrap_or_else(|| Error::internal("the log has failed")));
            }
            if state.closing {
                return Err(Error::internal("the log is closed"));
            }
            if !may_wait || state.queued_bytes < QUEUE_BYTES_MAX {
                break;
            }
            self.shared.taken.wait(&mut state);
        }
        let was_empty = state.queue.is_empty();
        state.queue.push(item);
        state.queued_bytes += bytes;
        queued();
        drop(state);
        if was_empty {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Writes and syncs what has queued, and cuts the file to its length. Nothing can be logged afterwards.
    pub fn close(&self) -> Result<()> {
        self.shared.state.lock().closing = true;
        self.shared.work.notify_one();
        self.shared.taken.notify_all();
        if let Some(thread) = mem::take(&mut *self.thread.lock()) {
            thread.join().map_err(|_| Error::internal("the log thread panicked"))?;
        }
        if let Some((tee, thread)) = mem::take(&mut *self.tee.lock()) {
            tee.close();
            // How it ended is reported; the log does not depend on it.
            let _ = thread.join();
        }
        match &self.shared.state.lock().read_only {
            Some(e) => Err(e.clone()),
            None => Ok(()),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Errors have reached their commits; there is no one else to tell.
        let _ = self.close();
    }
}
