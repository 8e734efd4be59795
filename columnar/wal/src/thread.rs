//! The log thread: writes what has queued, syncs once for all of it, then wakes the committers.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use spg_types::{Error, Result, SqlState};
use spg_vfs::{File, Vfs, parent_dir};

use crate::frame::{HEAD_BYTES, HEADER_FRAME_BYTES, header_frame, mark_frame, u64_at};
use crate::log::{Completion, Item, Shared};
use crate::ops::Part;
use crate::recover::{next_path, rotated_path};
use crate::tee::Tee;

/// Larger parts are written from where they are instead of being copied into the write buffer.
const COPY_BYTES_MAX: usize = 64 << 10;
/// The write buffer is written when it holds this much.
const BUFFER_BYTES: usize = 1 << 20;
/// The file is extended with zeros in steps of what it has, within these bounds: a sync of bytes that lie within the file
/// writes no metadata.
const EXTEND_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(4 << 20);
/// A streamed transaction is synced each time it has written this much, so that its commit waits for little.
const STREAM_SYNC_BYTES: u64 = 32 << 20;
/// How long an unacknowledged-for commit may stay unsynced.
const LAZY_SYNC: Duration = Duration::from_millis(10);

/// Where recovery has left the file.
pub(crate) struct Tail {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) path: PathBuf,
    pub(crate) database_id: [u8; 16],
    /// The file's first commit.
    pub(crate) first_commit_no: u64,
    /// The next commit.
    pub(crate) next_commit_no: u64,
    pub(crate) file: Arc<dyn File>,
    /// Offset after the last frame that counts; everything before is durable.
    pub(crate) end: u64,
    /// Length of the file; zeros after `end`.
    pub(crate) len: u64,
}

pub(crate) struct Writer {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    database_id: [u8; 16],
    first_commit_no: u64,
    next_commit_no: u64,
    /// `next_commit_no` where `acknowledged` is.
    acknowledged_next: u64,
    file: Arc<dyn File>,
    /// Offset of the next frame.
    end: u64,
    /// Length of the file.
    len: u64,
    /// Everything before is synced.
    durable: u64,
    /// End of the last commit that is synced: what a failure cuts the file back to.
    acknowledged: u64,
    /// `durable` as the latest mark in the file says.
    marked: u64,
    /// The transaction being streamed, and where its first chunk lies.
    stream: Option<(u64, u64)>,
    /// Frames not yet written; they go to `end - buffer.len()`.
    buffer: Vec<u8>,
    /// End of the last commit frame.
    commit_end: u64,
    /// Since when there are commits without a completion that are not synced.
    lazy: Option<Instant>,
    /// A second copy.
    tee: Option<Arc<Tee>>,
    /// Whether a sync has failed: nobody knows what the disk holds.
    sync_failed: bool,
}

impl Writer {
    pub(crate) fn new(tail: Tail, tee: Option<Arc<Tee>>) -> Self {
        if let Some(tee) = &tee {
            tee.begin(&tail.file, tail.first_commit_no, tail.end);
        }
        Self {
            tee,
            vfs: tail.vfs,
            path: tail.path,
            database_id: tail.database_id,
            first_commit_no: tail.first_commit_no,
            next_commit_no: tail.next_commit_no,
            acknowledged_next: tail.next_commit_no,
            file: tail.file,
            end: tail.end,
            len: tail.len,
            durable: tail.end,
            acknowledged: tail.end,
            marked: 0,
            stream: None,
            buffer: Vec::new(),
            commit_end: tail.end,
            lazy: None,
            sync_failed: false,
        }
    }

    pub(crate) fn run(mut self, shared: &Shared) {
        loop {
            let mut state = shared.state.lock();
            while state.queue.is_empty() && !state.closing {
                if let Some(since) = self.lazy {
                    if shared.work.wait_until(&mut state, since + LAZY_SYNC).timed_out() {
                        break;
                    }
                } else {
                    shared.work.wait(&mut state);
                }
            }
            let items = mem::take(&mut state.queue);
            state.queued_bytes = 0;
            let closing = state.closing;
            drop(state);
            shared.taken.notify_all();
            let sync = items.is_empty();
            let mut waiting = Vec::new();
            match self.process(shared, items, sync, &mut waiting) {
                Ok(()) => waiting.into_iter().for_each(|done| done(Ok(()))),
                Err((error, unprocessed)) => self.fail(shared, &error, waiting, unprocessed),
            }
            shared.bytes.store(self.end, Ordering::Relaxed);
            if closing && sync {
                self.close(shared);
                return;
            }
        }
    }

    /// Writes the items and syncs as they ask. On an error, what has not been looked at.
    fn process(
        &mut self,
        shared: &Shared,
        items: Vec<Item>,
        sync: bool,
        waiting: &mut Vec<Completion>,
    ) -> std::result::Result<(), (Error, Vec<Item>)> {
        let mut items = items.into_iter();
        let mut step = || -> Result<()> {
            if items.len() > 0 && self.marked < self.durable {
                self.marked = self.durable;
                self.put(&mark_frame(self.end, self.durable)?)?;
            }
            for item in items.by_ref() {
                match item {
                    Item::Frame { transaction, head, parts, completion, commit } => {
                        if commit && completion.is_none() && self.lazy.is_none() {
                            self.lazy = Some(Instant::now());
                        }
                        waiting.extend(completion);
                        self.frame(transaction, &head, &parts, commit)?;
                    }
                    Item::Barrier(completion) => waiting.push(completion),
                    Item::Abort(transaction) => self.abort(transaction)?,
                    Item::Rotate(done) => match self.rotate(shared, waiting) {
                        Ok(rotated) => done(rotated),
                        Err(error) => {
                            done(Err(error.clone()));
                            return Err(error);
                        }
                    },
                }
            }
            self.flush()?;
            if self.end == self.len && self.stream.is_none() {
                self.extend();
            }
            let streamed = self.end - self.durable >= STREAM_SYNC_BYTES;
            if !waiting.is_empty()
                || streamed
                || self.lazy.is_some_and(|since| sync || since.elapsed() >= LAZY_SYNC)
            {
                self.sync()?;
            }
            Ok(())
        };
        let result = step();
        result.map_err(|e| (e, items.collect()))
    }

    fn frame(&mut self, transaction: u64, head: &[u8], parts: &[Part], commit: bool) -> Result<()> {
        if commit {
            self.stream = None;
        } else if self.stream.is_none_or(|(t, _)| t != transaction) {
            self.stream = Some((transaction, self.end));
        }
        self.put(head)?;
        parts.iter().try_for_each(|part| self.put(part.bytes()))?;
        if commit {
            self.commit_end = self.end;
            self.next_commit_no = u64_at(head, HEAD_BYTES + 8) + 1;
        }
        Ok(())
    }

    /// Adds bytes at the end of the log.
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() > COPY_BYTES_MAX {
            self.flush()?;
            self.write(bytes, self.end)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        self.end += bytes.len() as u64;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the buffer.
    fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = mem::take(&mut self.buffer);
        let offset = self.end - buffer.len() as u64;
        self.write(&buffer, offset)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_at(bytes, offset)?;
        self.len = self.len.max(offset + bytes.len() as u64);
        Ok(())
    }

    /// Extends the file with zeros for the small commits to come. Without room for them there is no harm.
    fn extend(&mut self) {
        let step = self.len.clamp(*EXTEND_BYTES.start(), *EXTEND_BYTES.end());
        if self.file.write_at(&vec![0; step as usize], self.len).is_ok() {
            self.len += step;
        } else {
            self.len = self.file.len().unwrap_or(self.len).max(self.len);
        }
    }

    fn sync(&mut self) -> Result<()> {
        self.sync_file()?;
        self.lazy = None;
        self.durable = self.end;
        if let Some(tee) = &self.tee {
            tee.durable(self.durable);
        }
        self.acknowledged = self.commit_end;
        self.acknowledged_next = self.next_commit_no;
        Ok(())
    }

    fn sync_file(&mut self) -> Result<()> {
        let synced = self.file.sync_data();
        self.sync_failed |= synced.is_err();
        synced
    }

    /// Cuts the file back to where the transaction's chunks begin. Synced before anything is written there, so that no
    /// stale mark can speak of new frames.
    fn abort(&mut self, transaction: u64) -> Result<()> {
        let Some((_, start)) = self.stream.take_if(|(t, _)| *t == transaction) else { return Ok(()) };
        self.flush()?;
        self.cut(start)
    }

    fn cut(&mut self, to: u64) -> Result<()> {
        self.buffer.clear();
        self.file.truncate(to)?;
        self.sync_file()?;
        self.end = to;
        self.len = to;
        self.durable = to;
        if let Some(tee) = &self.tee {
            tee.cut(to);
        }
        self.marked = self.marked.min(to);
        self.commit_end = self.commit_end.min(to);
        Ok(())
    }

    /// Nothing since the last acknowledged commit counts. When the disk was full, the file is cut back to there and writing
    /// may go on. It may not after any other failure, because nobody knows what the disk holds, nor when commits
    /// that were not waited for are lost, because what comes later builds on them.
    fn fail(&mut self, shared: &Shared, error: &Error, mut failed: Vec<Completion>, unprocessed: Vec<Item>) {
        let full = error.state() == SqlState::DISK_FULL && !self.sync_failed;
        self.stream = None;
        let cut = self.cut(self.acknowledged);
        // Or a rotation would begin a file after commits that never were.
        self.next_commit_no = self.acknowledged_next;
        let mut state = shared.state.lock();
        state.generation += 1;
        state.failure = Some(error.clone());
        let lost: Vec<Item> = unprocessed.into_iter().chain(mem::take(&mut state.queue)).collect();
        let lazy_lost = self.lazy.is_some()
            || lost.iter().any(|i| matches!(i, Item::Frame { commit: true, completion: None, .. }));
        if !full || lazy_lost || cut.is_err() {
            state.read_only = Some(read_only_error(error));
        }
        self.lazy = None;
        state.queued_bytes = 0;
        (shared.on_failure)();
        drop(state);
        shared.taken.notify_all();
        failed.extend(lost.into_iter().filter_map(|item| match item {
            Item::Frame { completion, .. } => completion,
            Item::Barrier(completion) => Some(completion),
            Item::Abort(_) => None,
            Item::Rotate(done) => {
                done(Err(error.clone()));
                None
            }
        }));
        failed.into_iter().for_each(|done| done(Err(error.clone())));
    }

    /// Gives the file the name of a finished one and begins the next. Outer errors are failures of the log.
    fn rotate(&mut self, shared: &Shared, waiting: &mut Vec<Completion>) -> Result<Result<bool>> {
        if self.stream.is_some() || self.next_commit_no == self.first_commit_no {
            return Ok(Ok(self.stream.is_none()));
        }
        let next = next_path(&self.path);
        let dir = parent_dir(&self.path);
        let begin = || -> Result<Arc<dyn File>> {
            let header = header_frame(self.database_id, self.next_commit_no)?;
            let file = self.vfs.create(&next)?;
            file.try_lock()?;
            file.write_at(&header, 0)?;
            file.sync_all()?;
            self.vfs.sync_dir(&dir)?;
            Ok(file)
        };
        let file = match begin() {
            Ok(file) => file,
            Err(error) => {
                // The old file goes on; a start finds no half-made one, or removes it.
                let _ = self.vfs.remove(&next);
                return Ok(Err(error));
            }
        };
        self.flush()?;
        self.sync()?;
        waiting.drain(..).for_each(|done| done(Ok(())));
        let renamed = self
            .vfs
            .rename(&self.path, &rotated_path(&self.path, self.first_commit_no))
            .and_then(|()| self.vfs.rename(&next, &self.path))
            .and_then(|()| self.vfs.sync_dir(&dir));
        if renamed.is_err() {
            // Nobody knows under which names the next start finds the files: nothing more may be acknowledged.
            self.sync_failed = true;
            renamed?;
        }
        self.first_commit_no = self.next_commit_no;
        let len = HEADER_FRAME_BYTES as u64;
        (self.file, self.end, self.len, self.durable) = (file, len, len, len);
        (self.acknowledged, self.commit_end, self.marked) = (len, len, len);
        if let Some(tee) = &self.tee {
            tee.begin(&self.file, self.first_commit_no, len);
        }
        shared.first_commit_no.store(self.first_commit_no, Ordering::Release);
        Ok(Ok(true))
    }

    /// Leaves a mark that covers every frame, and no zeros after it.
    fn close(&mut self, shared: &Shared) {
        if shared.state.lock().read_only.is_some() {
            return;
        }
        if let Some((transaction, _)) = self.stream {
            // Chunks without a commit; recovery would skip them just as well.
            let _ = self.abort(transaction);
        }
        if self.marked == self.durable && self.len == self.end {
            return;
        }
        let closed = mark_frame(self.end, self.durable)
            .and_then(|mark| if self.marked < self.durable { self.put(&mark) } else { Ok(()) })
            .and_then(|()| self.flush())
            .and_then(|()| self.file.truncate(self.end))
            .and_then(|()| self.file.sync_data());
        if let (Ok(()), Some(tee)) = (&closed, &self.tee) {
            tee.durable(self.end);
        }
        if let Err(error) = closed {
            // Every commit is durable without this; what is lost is the proof.
            shared.state.lock().failure = Some(error);
        }
    }
}

/// What every write meets after the log has failed.
fn read_only_error(cause: &Error) -> Error {
    Error::new(
        cause.state(),
        format!("the database is read-only because its log failed: {}", cause.message()),
    )
    .with_hint("Every acknowledged commit is safe. Repair the disk and restart the server.")
}
