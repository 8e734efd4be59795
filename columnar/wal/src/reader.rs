//! Reading one file of a log back: every committed transaction in order, and where the file ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::buffer::{Buffer, MutableBuffer};
use spg_types::{Error, Result, SqlState};
use spg_vfs::{File, Vfs, parent_dir, with_suffix};

use crate::frame::{
    FORMAT_VERSION, HEAD_BYTES, HEADER_FRAME_BYTES, Kind, LEN_MARK, MAGIC, MARK_FRAME_BYTES, mark_frame,
    u32_at, u64_at,
};

/// How much is read at once.
const READ_BYTES: usize = 1 << 20;

/// What a crash has left after the last whole record: kept aside, not lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The log file.
    pub log: PathBuf,
    /// Where the first frame that did not check began.
    pub offset: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
    /// The file that now holds them; `None` when the disk had no room for it.
    pub kept_in: Option<PathBuf>,
}

/// A file of the log being read from its beginning.
pub(crate) struct Reader {
    file: Arc<dyn File>,
    path: PathBuf,
    database_id: [u8; 16],
    first_commit_no: u64,
    len: u64,
    /// Offset of the next frame.
    offset: u64,
    /// End of the last frame that belongs to the log: commit, mark or header.
    end: u64,
    window: Vec<u8>,
    window_offset: u64,
    /// The chunks of the transaction being read.
    stream: Stream,
    torn: Option<TornTail>,
    torn_because: String,
    finished: bool,
}

#[derive(Default)]
struct Stream {
    transaction: u64,
    chunks: Vec<Chunk>,
}

/// A run of operations in a frame.
struct Chunk {
    offset: u64,
    payload_bytes: usize,
    skip_bytes: usize,
    ops: u64,
}

/// A committed transaction.
pub struct Transaction {
    file: Arc<dyn File>,
    /// Its commit number.
    pub commit_no: u64,
    /// When it committed, microseconds since 1970-01-01 UTC.
    pub time_us: i64,
    chunks: Vec<Chunk>,
    last: Buffer,
}

impl Transaction {
    /// Calls `f` with each operation in order. 58030; XX001; whatever `f` fails with.
    pub fn for_each_op(&self, mut f: impl FnMut(Buffer) -> Result<()>) -> Result<()> {
        for chunk in &self.chunks {
            let mut payload = MutableBuffer::from_len_zeroed(chunk.payload_bytes);
            let n = self.file.read_at(&mut payload, chunk.offset + HEAD_BYTES as u64)?;
            if n < chunk.payload_bytes {
                return Err(damage(self.file.path(), chunk.offset, "the file has become shorter"));
            }
            each_op(&Buffer::from(payload), chunk.skip_bytes, chunk.ops, &mut f)?;
        }
        each_op(&self.last, Kind::Commit.fixed_bytes(), u64::MAX, &mut f)
    }
}

/// Calls `f` with up to `count` operations of a payload.
fn each_op(
    payload: &Buffer,
    skip: usize,
    count: u64,
    f: &mut impl FnMut(Buffer) -> Result<()>,
) -> Result<()> {
    let mut at = skip;
    let mut done = 0;
    while at < payload.len() && done < count {
        let len = if at + 4 <= payload.len() { u32_at(payload, at) as usize } else { usize::MAX };
        if len > payload.len() - at - 4 {
            return Err(Error::new(SqlState::DATA_CORRUPTED, "a log record's operations exceed the record"));
        }
        f(payload.slice_with_length(at + 4, len))?;
        at += 4 + len;
        done += 1;
    }
    Ok(())
}

/// XX001: the log is damaged at an offset.
pub(crate) fn damage(path: &Path, offset: u64, what: &str) -> Error {
    Error::new(
        SqlState::DATA_CORRUPTED,
        format!("log file \"{}\" is damaged at offset {offset}: {what}", path.display()),
    )
    .with_hint("Nothing was changed. Restore the file from a backup, or ask for help before you edit it.")
}

enum Next {
    Frame(Kind, Buffer),
    /// The log ends here.
    End,
    /// A frame begins here that does not check, and why.
    Bad(String),
}

impl Reader {
    /// Opens and locks a log; `None` when there is no file. 55006 when another process has it; 58000 when it is no log or of
    /// another version; XX001 when its header is damaged.
    pub(crate) fn open(vfs: &dyn Vfs, path: &Path) -> Result<Option<Self>> {
        let Some(file) = vfs.open(path)? else { return Ok(None) };
        if !file.try_lock()? {
            let message = format!("log file \"{}\" is in use by another process", path.display());
            return Err(Error::new(SqlState::OBJECT_IN_USE, message)
                .with_hint("Is another server using this log? Stop it first, or use another log path."));
        }
        let len = file.len()?;
        let mut recovery = Self {
            path: path.to_path_buf(),
            database_id: [0; 16],
            first_commit_no: 0,
            len,
            offset: 0,
            end: 0,
            window: Vec::new(),
            window_offset: 0,
            stream: Stream::default(),
            torn: None,
            torn_because: String::new(),
            finished: false,
            file,
        };
        recovery.read_header()?;
        Ok(Some(recovery))
    }

    fn read_header(&mut self) -> Result<()> {
        let bytes = self.view(0, HEADER_FRAME_BYTES)?.to_vec();
        let not_a_log = |found: String| {
            let path = self.path.display();
            Err(Error::new(SqlState::SYSTEM_ERROR, format!("file \"{path}\" is not an SPG log: {found}")))
        };
        if bytes.len() < HEADER_FRAME_BYTES {
            return not_a_log(format!("it has only {} bytes", self.len));
        }
        if bytes[HEAD_BYTES..HEAD_BYTES + 6] != MAGIC[..] {
            let start = bytes[..16].escape_ascii();
            return not_a_log(format!("it begins with \"{start}\""));
        }
        let version = u16::from_le_bytes([bytes[HEAD_BYTES + 6], bytes[HEAD_BYTES + 7]]);
        if version != FORMAT_VERSION {
            let path = self.path.display();
            let message = format!(
                "log file \"{path}\" has format version {version}; this server reads version {FORMAT_VERSION}"
            );
            return Err(Error::new(SqlState::SYSTEM_ERROR, message)
                .with_hint("Use the server version that wrote it."));
        }
        match self.next_frame()? {
            Next::Frame(Kind::Header, payload) => {
                self.database_id.copy_from_slice(&payload[8..24]);
                self.first_commit_no = u64_at(&payload, 24);
                self.end = self.offset;
                Ok(())
            }
            Next::Frame(..) | Next::End => Err(damage(&self.path, 0, "the header has the wrong kind")),
            Next::Bad(what) => Err(damage(&self.path, 0, &what)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The database that the log belongs to.
    pub(crate) fn database_id(&self) -> [u8; 16] {
        self.database_id
    }

    /// The number of its first commit.
    pub(crate) fn first_commit_no(&self) -> u64 {
        self.first_commit_no
    }

    /// XX001 unless the file was read to an orderly end: it is not the log's last one, and was complete before the next began.
    pub(crate) fn check_complete(&self) -> Result<()> {
        match &self.torn {
            Some(torn) => Err(damage(&self.path, torn.offset, &self.torn_because)),
            None => Ok(()),
        }
    }

    /// The next committed transaction; `None` at the end of the log. XX001 naming file and offset for damage.
    pub(crate) fn next_transaction(&mut self) -> Result<Option<Transaction>> {
        while !self.finished {
            let offset = self.offset;
            match self.next_frame()? {
                Next::Frame(Kind::Header, _) => return Err(damage(&self.path, offset, "a second header")),
                Next::Frame(Kind::Mark, _) => {
                    if self.stream.chunks.is_empty() {
                        self.end = self.offset;
                    }
                }
                Next::Frame(Kind::Chunk, payload) => self.chunk(offset, &payload)?,
                Next::Frame(Kind::Undo, payload) => self.undo(offset, &payload)?,
                Next::Frame(Kind::Commit, payload) => return self.commit(offset, payload).map(Some),
                Next::End => self.finished = true,
                Next::Bad(what) => {
                    self.judge(offset, &what)?;
                    self.finished = true;
                }
            }
        }
        Ok(None)
    }

    fn chunk(&mut self, offset: u64, payload: &Buffer) -> Result<()> {
        let transaction = u64_at(payload, 0);
        if self.stream.transaction != transaction {
            self.stream = Stream { transaction, chunks: Vec::new() };
        }
        let skip_bytes = Kind::Chunk.fixed_bytes();
        let mut ops = 0;
        each_op(payload, skip_bytes, u64::MAX, &mut |_| {
            ops += 1;
            Ok(())
        })
        .map_err(|e| damage(&self.path, offset, e.message()))?;
        self.stream.chunks.push(Chunk { offset, payload_bytes: payload.len(), skip_bytes, ops });
        Ok(())
    }

    fn undo(&mut self, offset: u64, payload: &Buffer) -> Result<()> {
        let (transaction, keep) = (u64_at(payload, 0), u64_at(payload, 8));
        let ops: u64 = self.stream.chunks.iter().map(|c| c.ops).sum();
        if transaction != self.stream.transaction || keep > ops {
            return Err(damage(&self.path, offset, "an undo of operations that are not there"));
        }
        let mut rest = keep;
        self.stream.chunks.retain_mut(|chunk| {
            chunk.ops = chunk.ops.min(rest);
            rest -= chunk.ops;
            chunk.ops > 0
        });
        Ok(())
    }

    fn commit(&mut self, offset: u64, payload: Buffer) -> Result<Transaction> {
        let transaction = u64_at(&payload, 0);
        let streamed = u64_at(&payload, 24);
        let stream = std::mem::take(&mut self.stream);
        let chunks = if stream.transaction == transaction { stream.chunks } else { Vec::new() };
        let found: u64 = chunks.iter().map(|c| c.ops).sum();
        if found != streamed {
            let what = format!("a commit of {streamed} streamed operations follows {found}");
            return Err(damage(&self.path, offset, &what));
        }
        self.end = self.offset;
        Ok(Transaction {
            file: self.file.clone(),
            commit_no: u64_at(&payload, 8),
            time_us: u64_at(&payload, 16) as i64,
            chunks,
            last: payload,
        })
    }

    /// Bytes of the file from `offset`, fewer than `len` only at its end.
    fn view(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        let start = offset.wrapping_sub(self.window_offset) as usize;
        let inside = offset >= self.window_offset && start + len <= self.window.len();
        if !inside {
            self.window.resize(READ_BYTES.max(len), 0);
            let n = self.file.read_at(&mut self.window, offset)?;
            self.window.truncate(n);
            self.window_offset = offset;
        }
        let start = (offset - self.window_offset) as usize;
        let end = self.window.len().min(start + len);
        Ok(&self.window[start.min(end)..end])
    }

    fn next_frame(&mut self) -> Result<Next> {
        let offset = self.offset;
        let rest = self.len - offset;
        let head = self.view(offset, HEAD_BYTES)?;
        if head.len() < HEAD_BYTES {
            // Too short for a frame: nothing, zeros, or the start of one.
            let zeros = head.iter().all(|b| *b == 0);
            return Ok(if zeros { Next::End } else { Next::Bad("an incomplete frame".into()) });
        }
        let word = u32_at(head, 0);
        let expected = u32_at(head, 4);
        if word == 0 {
            return Ok(if self.zeros_from(offset)? {
                Next::End
            } else {
                Next::Bad("the length is 0".into())
            });
        }
        let len = (word & !LEN_MARK) as usize;
        if word & LEN_MARK != LEN_MARK || len == 0 {
            return Ok(Next::Bad(format!("{word:#010x} is no frame length")));
        }
        if (len + HEAD_BYTES - 1) as u64 > rest {
            return Ok(Next::Bad(format!("a frame of {len} bytes exceeds the file")));
        }
        let mut payload = MutableBuffer::from_len_zeroed(len - 1);
        let kind_byte = self.view(offset, HEAD_BYTES)?[8];
        if len <= READ_BYTES {
            payload.copy_from_slice(self.view(offset + HEAD_BYTES as u64, len - 1)?);
        } else if self.file.read_at(&mut payload, offset + HEAD_BYTES as u64)? < len - 1 {
            return Ok(Next::Bad("the file has become shorter".into()));
        }
        let found = crc32c::crc32c_append(crc32c::crc32c(&[kind_byte]), &payload);
        if found != expected {
            return Ok(Next::Bad(format!("checksum {expected:#010x} expected, {found:#010x} found")));
        }
        let kind = Kind::from_byte(kind_byte).filter(|k| payload.len() >= k.fixed_bytes());
        let Some(kind) = kind else {
            return Err(damage(&self.path, offset, &format!("a record of unknown kind {kind_byte}")));
        };
        self.offset = offset + (HEAD_BYTES + len - 1) as u64;
        Ok(Next::Frame(kind, payload.into()))
    }

    /// Whether there are only zeros from `offset` to the end of the file.
    fn zeros_from(&mut self, mut offset: u64) -> Result<bool> {
        while offset < self.len {
            let piece = self.view(offset, READ_BYTES)?;
            if piece.iter().any(|b| *b != 0) {
                return Ok(false);
            }
            offset += piece.len().max(1) as u64;
        }
        Ok(true)
    }

    /// Decides whether a frame that does not check was once durable: damage, or else the end of the log.
    fn judge(&mut self, offset: u64, what: &str) -> Result<()> {
        if let Some(mark) = self.mark_beyond(offset)? {
            let what = format!("{what} (offset {mark} says that this was once written and synced)");
            return Err(damage(&self.path, offset, &what));
        }
        self.torn_because = what.to_owned();
        self.torn =
            Some(TornTail { log: self.path.clone(), offset, bytes: self.len - offset, kept_in: None });
        Ok(())
    }

    /// The offset of a mark after `offset` which says that `offset` was durable.
    fn mark_beyond(&mut self, offset: u64) -> Result<Option<u64>> {
        let prefix = mark_frame(0, 0)?[..4].to_vec();
        let mut at = offset + 1;
        while at + MARK_FRAME_BYTES as u64 <= self.len {
            let piece = self.view(at, READ_BYTES)?;
            let last = piece.len().saturating_sub(MARK_FRAME_BYTES - 1);
            for i in 0..last {
                let frame = &piece[i..i + MARK_FRAME_BYTES];
                if frame[..4] != prefix[..] || u64_at(frame, HEAD_BYTES) != at + i as u64 {
                    continue;
                }
                let durable = u64_at(frame, HEAD_BYTES + 8);
                if durable > offset && frame == mark_frame(at + i as u64, durable)? {
                    return Ok(Some(at + i as u64));
                }
            }
            at += last.max(1) as u64;
        }
        Ok(None)
    }

    /// Cuts off what does not belong to the log, keeping a torn tail in a file of its own. What is left is durable then: a
    /// process may have died between writing a commit and syncing it, and whoever reads it now must not lose it later.
    pub(crate) fn cut_tail(&mut self, vfs: &dyn Vfs) -> Result<Option<TornTail>> {
        if let Some(torn) = &mut self.torn {
            let aside = with_suffix(&self.path, &format!(".torn-{}", torn.offset));
            let mut tail = vec![0; torn.bytes as usize];
            let n = self.file.read_at(&mut tail, torn.offset)?;
            tail.truncate(n);
            while tail.last() == Some(&0) {
                tail.pop();
            }
            torn.bytes = tail.len() as u64;
            // Nothing in there was acknowledged: a disk without room for it must not stop the start.
            match spg_vfs::replace_file(vfs, &aside, &tail) {
                Ok(()) => torn.kept_in = Some(aside),
                Err(e) if e.state() == SqlState::DISK_FULL => {}
                Err(e) => return Err(e),
            }
        }
        let chunks_left = self.offset > self.end;
        if self.torn.is_some() || chunks_left {
            self.file.truncate(self.end)?;
            self.len = self.end;
        }
        self.file.sync_data()?;
        vfs.sync_dir(&parent_dir(&self.path))?;
        Ok(self.torn.clone())
    }

    /// The file, the offset after its last frame that counts, its length.
    pub(crate) fn finish(self) -> (Arc<dyn File>, u64, u64) {
        debug_assert!(self.finished, "a log is read to its end before it is written");
        (self.file, self.end, self.len)
    }
}
