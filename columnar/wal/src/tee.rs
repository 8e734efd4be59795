//! A second copy of the log that follows the first: a thread of its own copies what has become durable. It holds nobody up, and
//! when it fails it says so and ends; the first log never depends on it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use spg_types::{Error, Result, SqlState};
use spg_vfs::{File, Vfs, parent_dir};

use crate::frame::{HEAD_BYTES, HEADER_FRAME_BYTES, MAGIC, u64_at};
use crate::recover::rotated_path;

/// How much is copied at once.
const COPY_BYTES: usize = 1 << 20;

/// Where the log is copied to.
pub struct TeeOptions {
    /// The copy's path; its rotated parts lie beside it, and stay.
    pub path: PathBuf,
    /// Told once, from the copying thread, why it has ended.
    pub report: Box<dyn Fn(&Error) + Send>,
}

/// What the log thread tells the copying thread.
#[derive(Default)]
pub(crate) struct Tee {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    sources: VecDeque<Source>,
    closing: bool,
    failure: Option<Error>,
}

/// A file of the log.
#[derive(Clone)]
struct Source {
    file: Arc<dyn File>,
    first_commit_no: u64,
    /// What lies before is durable.
    durable: u64,
    /// What lies before has not changed since it was copied.
    unchanged: u64,
    /// Whether the log goes on in the next file.
    ended: bool,
}

impl Tee {
    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        if state.failure.is_none() {
            change(&mut state);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Why copying has ended.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.state.lock().failure.clone()
    }

    /// The log goes on in a file that is durable up to `durable`.
    pub(crate) fn begin(&self, file: &Arc<dyn File>, first_commit_no: u64, durable: u64) {
        let file = file.clone();
        self.tell(|state| {
            if let Some(last) = state.sources.back_mut() {
                last.ended = true;
            }
            state.sources.push_back(Source {
                file,
                first_commit_no,
                durable,
                unchanged: u64::MAX,
                ended: false,
            });
        });
    }

    /// The newest file is durable up to `to`.
    pub(crate) fn durable(&self, to: u64) {
        self.tell(|state| {
            if let Some(source) = state.sources.back_mut() {
                source.durable = to;
            }
        });
    }

    /// The newest file was cut back to `to`.
    pub(crate) fn cut(&self, to: u64) {
        self.tell(|state| {
            if let Some(source) = state.sources.back_mut() {
                source.durable = to;
                source.unchanged = source.unchanged.min(to);
            }
        });
    }

    /// What is durable by now is to be copied, and nothing more comes.
    pub(crate) fn close(&self) {
        self.state.lock().closing = true;
        self.changed.notify_one();
    }

    /// Copies until the log is closed or copying fails.
    pub(crate) fn run(&self, vfs: &dyn Vfs, options: &TeeOptions) {
        if let Err(error) = self.follow(vfs, &options.path) {
            let mut state = self.state.lock();
            state.failure = Some(error.clone());
            state.sources.clear();
            drop(state);
            (options.report)(&error);
        }
    }

    fn follow(&self, vfs: &dyn Vfs, path: &Path) -> Result<()> {
        let mut target: Option<(Arc<dyn File>, u64)> = None;
        loop {
            let copied = target.as_ref().map(|(_, copied)| *copied);
            let Some(source) = self.next(copied) else { return Ok(()) };
            let (file, copied) = match &mut target {
                Some((file, copied)) => (file.clone(), copied),
                none => {
                    let (file, copied) = none.insert((open(vfs, path, &source)?, 0));
                    (file.clone(), copied)
                }
            };
            *copied = (*copied).min(source.unchanged);
            copy(&source, &*file, copied)?;
            if source.ended && *copied == source.durable {
                vfs.rename(path, &rotated_path(path, source.first_commit_no))?;
                vfs.sync_dir(&parent_dir(path))?;
                self.state.lock().sources.pop_front();
                target = None;
            }
        }
    }

    /// Waits until there is something to copy; the file to copy from. `None` when nothing more comes.
    fn next(&self, copied: Option<u64>) -> Option<Source> {
        let mut state = self.state.lock();
        loop {
            let closing = state.closing;
            match state.sources.front_mut() {
                Some(s) if s.ended || copied != Some(s.durable) || s.unchanged < s.durable => {
                    let source = s.clone();
                    s.unchanged = u64::MAX;
                    return Some(source);
                }
                _ if closing => return None,
                _ => self.changed.wait(&mut state),
            }
        }
    }
}

/// The copy of a file of the log, to be written from its beginning; what it holds already is the same.
fn open(vfs: &dyn Vfs, path: &Path, source: &Source) -> Result<Arc<dyn File>> {
    let header = |file: &dyn File| -> Result<Vec<u8>> {
        let mut header = vec![0; HEADER_FRAME_BYTES];
        let n = file.read_at(&mut header, 0)?;
        header.truncate(n);
        Ok(header)
    };
    let Some(file) = vfs.open(path)? else { return create(vfs, path) };
    let (ours, theirs) = (header(&*source.file)?, header(&*file)?);
    if ours == theirs {
        return Ok(file);
    }
    // Magic, version and database id.
    let identity = HEAD_BYTES..HEAD_BYTES + MAGIC.len() + 2 + 16;
    if theirs.len() < HEADER_FRAME_BYTES || ours[identity.clone()] != theirs[identity] {
        let message = format!("file \"{}\" is not a copy of this database's log", path.display());
        return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
    }
    // An earlier part.
    vfs.rename(path, &rotated_path(path, u64_at(&theirs, HEADER_FRAME_BYTES - 8)))?;
    create(vfs, path)
}

fn create(vfs: &dyn Vfs, path: &Path) -> Result<Arc<dyn File>> {
    let file = vfs.create(path)?;
    vfs.sync_dir(&parent_dir(path))?;
    Ok(file)
}

fn copy(source: &Source, target: &dyn File, copied: &mut u64) -> Result<()> {
    let mut buffer = vec![0; COPY_BYTES.min(source.durable.saturating_sub(*copied) as usize)];
    while *copied < source.durable {
        let want = buffer.len().min((source.durable - *copied) as usize);
        let n = source.file.read_at(&mut buffer[..want], *copied)?;
        if n == 0 {
            // Cut back meanwhile; that is told next.
            break;
        }
        target.write_at(&buffer[..n], *copied)?;
        *copied += n as u64;
    }
    if target.len()? > source.durable {
        target.truncate(source.durable)?;
    }
    target.sync_data()
}
