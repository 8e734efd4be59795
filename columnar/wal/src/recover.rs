//! Reading a log back: its files in order, every committed transaction after a baseline, and where the log goes on.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spg_types::{Error, Result, SqlState};
use spg_vfs::{Vfs, parent_dir, with_suffix};

use crate::frame::header_frame;
use crate::reader::{Reader, TornTail, Transaction, damage};
use crate::thread::Tail;

/// A log being read: the rotated files that are still needed, then the one that is written to.
pub struct Recovery {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    /// Everything up to this commit is known from elsewhere.
    baseline: u64,
    reader: Reader,
    rest: VecDeque<Reader>,
    /// Number of the next commit.
    next_commit_no: u64,
    first_commit_no: u64,
}

/// The rotated files of a log, by the number of their first commit.
pub(crate) fn rotated_files(vfs: &dyn Vfs, path: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return Ok(Vec::new()) };
    let number = |file: &String| -> Option<u64> {
        let digits = file.strip_prefix(name)?.strip_prefix('.')?;
        let all = digits.len() == ROTATED_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        if all { digits.parse().ok() } else { None }
    };
    let files = vfs.list(&parent_dir(path))?;
    let mut found: Vec<(u64, PathBuf)> =
        files.iter().filter_map(number).map(|first| (first, rotated_path(path, first))).collect();
    found.sort_unstable();
    Ok(found)
}

const ROTATED_DIGITS: usize = 20;

/// The name that a log file gets when the next one takes its place.
pub(crate) fn rotated_path(path: &Path, first_commit_no: u64) -> PathBuf {
    with_suffix(path, &format!(".{first_commit_no:0width$}", width = ROTATED_DIGITS))
}

/// The name of the next log file until it takes the place of the one before.
pub(crate) fn next_path(path: &Path) -> PathBuf {
    with_suffix(path, ".next")
}

impl Recovery {
    /// Creates an empty log; what has the name is replaced. 58030, 53100.
    pub fn create(
        vfs: Arc<dyn Vfs>,
        path: &Path,
        database_id: [u8; 16],
        first_commit_no: u64,
    ) -> Result<Self> {
        spg_vfs::replace_file(&*vfs, path, &header_frame(database_id, first_commit_no)?)?;
        match Self::open_after(vfs, path, first_commit_no - 1)? {
            Some(recovery) => Ok(recovery),
            None => Err(Error::new(
                SqlState::IO_ERROR,
                format!("log file \"{}\" has disappeared", path.display()),
            )),
        }
    }

    /// Opens and locks a whole log; `None` when there is no file. 55006 when another process has it; 58000 when it is no log or
    /// of another version; XX001 when it is damaged.
    pub fn open(vfs: Arc<dyn Vfs>, path: &Path) -> Result<Option<Self>> {
        Self::open_after(vfs, path, 0)
    }

    /// As [`Recovery::open`] for what comes after the commit `baseline`. XX001 when the log begins later.
    pub fn open_after(vfs: Arc<dyn Vfs>, path: &Path, baseline: u64) -> Result<Option<Self>> {
        let rotated = rotated_files(&*vfs, path)?;
        let next = next_path(path);
        let newest = match (Reader::open(&*vfs, path)?, vfs.open(&next)?) {
            (Some(newest), None) => newest,
            // A rotation that did not come to its first rename.
            (Some(newest), Some(_)) => {
                vfs.remove(&next)?;
                newest
            }
            // One that did not come to its second.
            (None, Some(_)) => {
                vfs.rename(&next, path)?;
                vfs.sync_dir(&parent_dir(path))?;
                match Reader::open(&*vfs, path)? {
                    Some(newest) => newest,
                    None => return Ok(None),
                }
            }
            (None, None) => match rotated.last() {
                None => return Ok(None),
                Some((_, part)) => {
                    let message = format!(
                        "log file \"{}\" does not exist, but its older part \"{}\" does",
                        path.display(),
                        part.display()
                    );
                    return Err(Error::new(SqlState::UNDEFINED_FILE, message)
                        .with_hint("Bring the log file back; it holds the latest commits."));
                }
            },
        };
        let mut readers = VecDeque::new();
        for (at, (_, file)) in rotated.iter().enumerate() {
            // What ends before the baseline is left alone: it may be damaged or half removed.
            let ends = rotated.get(at + 1).map_or(newest.first_commit_no(), |(first, _)| *first);
            if ends > baseline + 1 {
                readers.extend(Reader::open(&*vfs, file)?);
            }
        }
        let database_id = newest.database_id();
        readers.push_back(newest);
        if let Some(other) = readers.iter().find(|r| r.database_id() != database_id) {
            let message = format!(
                "log file \"{}\" belongs to another database than \"{}\"",
                other.path().display(),
                path.display()
            );
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let Some(reader) = readers.pop_front() else { return Ok(None) };
        let first_commit_no = reader.first_commit_no();
        if first_commit_no > baseline + 1 {
            let before = if baseline == 0 { String::new() } else { format!(" after commit {baseline}") };
            let message = format!(
                "log file \"{}\" begins with commit {first_commit_no}: the commits before it{before} are missing",
                reader.path().display(),
            );
            return Err(Error::new(SqlState::DATA_CORRUPTED, message)
                .with_hint("The log belongs together with the database file of its checkpoint."));
        }
        Ok(Some(Self {
            vfs,
            path: path.to_path_buf(),
            baseline,
            reader,
            rest: readers,
            next_commit_no: first_commit_no,
            first_commit_no,
        }))
    }

    /// The database that the log belongs to.
    pub fn database_id(&self) -> [u8; 16] {
        self.reader.database_id()
    }

    /// The number of the first commit that is read.
    pub fn first_commit_no(&self) -> u64 {
        self.first_commit_no
    }

    /// The number that the next commit has; after the last one, that the next commit will have.
    pub fn next_commit_no(&self) -> u64 {
        self.next_commit_no
    }

    /// The next committed transaction after the baseline; `None` at the end of the log. XX001 naming file and offset for damage.
    pub fn next_transaction(&mut self) -> Result<Option<Transaction>> {
        loop {
            while let Some(transaction) = self.reader.next_transaction()? {
                let (found, expected) = (transaction.commit_no, self.next_commit_no);
                if found != expected {
                    let path = self.reader.path().display();
                    let message = format!("log file \"{path}\" has commit {found} where {expected} belongs");
                    return Err(Error::new(SqlState::DATA_CORRUPTED, message));
                }
                self.next_commit_no += 1;
                if found > self.baseline {
                    return Ok(Some(transaction));
                }
            }
            let Some(next) = self.rest.pop_front() else { break };
            self.reader.check_complete()?;
            if next.first_commit_no() != self.next_commit_no {
                let what =
                    format!("it begins with commit {}, not {}", next.first_commit_no(), self.next_commit_no);
                return Err(damage(next.path(), 0, &what));
            }
            self.reader = next;
        }
        // A checkpoint waits until the log holds what it holds.
        if self.next_commit_no <= self.baseline {
            let path = self.reader.path().display();
            let message = format!(
                "log file \"{path}\" ends with commit {}, before the checkpoint at commit {}",
                self.next_commit_no - 1,
                self.baseline
            );
            return Err(Error::new(SqlState::DATA_CORRUPTED, message)
                .with_hint("Give the log's path that belongs to this database."));
        }
        Ok(None)
    }

    /// Cuts off what does not belong to the log, keeping a torn tail in a file of its own.
    pub fn cut_tail(&mut self) -> Result<Option<TornTail>> {
        self.reader.cut_tail(&*self.vfs)
    }

    pub(crate) fn finish(self) -> Tail {
        let database_id = self.reader.database_id();
        let first_commit_no = self.reader.first_commit_no();
        let (file, end, len) = self.reader.finish();
        let next_commit_no = self.next_commit_no;
        Tail { vfs: self.vfs, path: self.path, database_id, first_commit_no, next_commit_no, file, end, len }
    }
}
