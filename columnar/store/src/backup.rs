//! Backups: a checkpoint in one file, and the way back.
//!
//! A backup is a database file with the manifest and everything that it names as sections of their own. Whoever opens it puts
//! those where they belong, reads the log if there is one that goes on from there, and then replaces it by a plain database
//! file; until that last step it stays as it is.

use std::collections::VecDeque;
use std::path::{Component, Path};
use std::sync::Arc;

use spg_types::{Error, Result, SqlState};
use spg_vfs::{File, Vfs, parent_dir, replace_file, with_suffix};

use crate::checkpoint::Checkpoints;
use crate::codec::{Reader, Writer};
use crate::container::{Format, Section};
use crate::db_file::{self, CatalogImage, CheckpointRef, DATABASE, DbFile, FILE, Identity, MANIFEST};
use crate::files::Files;
use crate::hot_file::hot_path;
use crate::manifest::{Manifest, manifest_path};

/// How much is copied at once.
const COPY_BYTES: usize = 1 << 20;

/// A backup on its way, piece by piece. It has the files open that it is made of: none of them changes, and none is gone
/// before it is read, whatever checkpoints come meanwhile.
pub struct Backup {
    /// Number of the last commit in it.
    commit_no: u64,
    rest: VecDeque<Rest>,
    buffer: Vec<u8>,
}

/// What is still to come.
enum Rest {
    Bytes(Vec<u8>),
    /// A file, as a section of its own.
    File {
        name: String,
        file: Arc<dyn File>,
        len: u64,
    },
    /// The rest of a file, from an offset on.
    Content {
        file: Arc<dyn File>,
        at: u64,
        len: u64,
    },
}

impl Backup {
    /// Opens everything that a checkpoint has. 58030.
    pub(crate) fn open(
        checkpoints: &Checkpoints,
        checkpoint: &CheckpointRef,
        manifest: &Manifest,
        image: &CatalogImage,
    ) -> Result<Self> {
        let files = &checkpoints.files;
        // Restored, it needs no log.
        let checkpoint = CheckpointRef { log_needed: false, ..*checkpoint };
        let mut plain = db_file::sections(&checkpoints.identity, Some((&checkpoint, image)));
        plain.push((MANIFEST, manifest.encode()));
        let head = DATABASE.head(plain.len() + manifest.hot_files.len() + manifest.segments.len());
        let mut rest = VecDeque::from([Rest::Bytes(head)]);
        for (kind, bytes) in plain {
            rest.push_back(Rest::Bytes(Format::section_head(
                kind,
                bytes.len() as u64,
                crc32c::crc32c(&bytes),
            )));
            rest.push_back(Rest::Bytes(bytes));
        }
        let hot = manifest.hot_files.iter().map(|(id, entry)| (hot_path(&files.hot, *id), entry.len));
        let cold = manifest.segments.values().map(|s| (files.segments.join(&s.name), s.len));
        for (path, len) in hot.chain(cold) {
            let file = files.vfs.open(&path)?.ok_or_else(|| not_as_named(&path))?;
            let name = path.strip_prefix(&files.folder).ok().and_then(Path::to_str);
            let name = name.ok_or_else(|| not_as_named(&path))?.to_string();
            rest.push_back(Rest::File { name, file, len });
        }
        Ok(Self { commit_no: checkpoint.commit_no, rest, buffer: vec![0; COPY_BYTES] })
    }

    /// Number of the last commit in it.
    pub fn commit_no(&self) -> u64 {
        self.commit_no
    }

    /// What comes next; `None` at the end. 58030; XX001 when a file is not as its manifest says.
    pub fn piece(&mut self) -> Result<Option<Vec<u8>>> {
        match self.rest.pop_front() {
            None => Ok(None),
            Some(Rest::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Rest::File { name, file, len }) => {
                let mut start = Writer::default();
                start.str(&name);
                let mut crc = crc32c::crc32c(&start.0);
                let mut at = 0;
                while at < len {
                    let n = self.read(&*file, at, len)?;
                    crc = crc32c::crc32c_append(crc, &self.buffer[..n]);
                    at += n as u64;
                }
                let mut piece = Format::section_head(FILE, start.0.len() as u64 + len, crc);
                piece.append(&mut start.0);
                self.rest.push_front(Rest::Content { file, at: 0, len });
                Ok(Some(piece))
            }
            Some(Rest::Content { file, at, len }) => {
                if at == len {
                    return self.piece();
                }
                let n = self.read(&*file, at, len)?;
                self.rest.push_front(Rest::Content { file, at: at + n as u64, len });
                Ok(Some(self.buffer[..n].to_vec()))
            }
        }
    }

    /// Fills the buffer from an offset on, with what is there before `len`.
    fn read(&mut self, file: &dyn File, at: u64, len: u64) -> Result<usize> {
        let want = self.buffer.len().min((len - at) as usize);
        let n = file.read_at(&mut self.buffer[..want], at)?;
        if n < want { Err(not_as_named(file.path())) } else { Ok(n) }
    }

    /// Writes all of it into a file of that name. 53100, 58030.
    pub(crate) fn write(mut self, vfs: &dyn Vfs, target: &Path) -> Result<()> {
        let temporary = with_suffix(target, ".tmp");
        let written = (|| {
            let file = vfs.create(&temporary)?;
            let mut at = 0;
            while let Some(piece) = self.piece()? {
                file.write_at(&piece, at)?;
                at += piece.len() as u64;
            }
            file.sync_all()?;
            vfs.rename(&temporary, target)?;
            vfs.sync_dir(&parent_dir(target))
        })();
        if written.is_err() {
            let _ = vfs.remove(&temporary);
        }
        written
    }
}

fn not_as_named(path: &Path) -> Error {
    let message = format!("file \"{}\" is not as its manifest says", path.display());
    Error::new(SqlState::DATA_CORRUPTED, message)
}

/// 58P02 when there is a file of that name.
pub(crate) fn refuse_taken(vfs: &dyn Vfs, target: &Path) -> Result<()> {
    if vfs.open(target)?.is_none() {
        return Ok(());
    }
    let message = format!("file \"{}\" already exists", target.display());
    Err(Error::new(SqlState::DUPLICATE_FILE, message)
        .with_hint("Give a name that is free, or remove the file."))
}

/// Puts what a backup holds where a database has it. Newer segments stay: a log that goes on after the backup may have them.
pub(crate) fn unpack(files: &Files, backup: &DbFile, manifest: &Section) -> Result<()> {
    let vfs = &*files.vfs;
    if backup.checkpoint.is_none() {
        return Err(DATABASE.damaged(&*backup.file, manifest.offset, "a backup has no checkpoint"));
    }
    for left in vfs.list(&files.hot)? {
        vfs.remove(&files.hot.join(left))?;
    }
    for section in &backup.files {
        copy_out(files, &*backup.file, section)?;
    }
    vfs.sync_dir(&files.hot)?;
    vfs.sync_dir(&files.segments)?;
    let bytes = DATABASE.read(&*backup.file, manifest)?;
    replace_file(vfs, &manifest_path(&files.folder), &bytes)
}

/// Writes a database file without anything else in it.
pub(crate) fn plain(
    files: &Files,
    identity: &Identity,
    checkpoint: &CheckpointRef,
    image: &CatalogImage,
) -> Result<()> {
    let bytes = DATABASE.encode(&db_file::sections(identity, Some((checkpoint, image))));
    replace_file(&*files.vfs, &files.database, &bytes)
}

fn copy_out(files: &Files, backup: &dyn File, section: &Section) -> Result<()> {
    let mut target: Option<(Arc<dyn File>, u64)> = None;
    DATABASE.stream(backup, section, |piece| {
        if let Some((file, at)) = &mut target {
            file.write_at(piece, *at)?;
            *at += piece.len() as u64;
            return Ok(());
        }
        let mut r = Reader(piece);
        let name = r.str().ok().filter(|name| is_inside(name));
        let name =
            name.ok_or_else(|| DATABASE.damaged(backup, section.offset, "a file has no valid name"))?;
        let file = files.vfs.create(&files.folder.join(name))?;
        file.write_at(r.0, 0)?;
        target = Some((file, r.0.len() as u64));
        Ok(())
    })?;
    match target {
        Some((file, _)) => file.sync_all(),
        None => Err(DATABASE.damaged(backup, section.offset, "a file has no name")),
    }
}

/// Whether a name stays in one of the database's folders.
fn is_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let folder = parts.next() == Some(Component::Normal("hot".as_ref())) || name.starts_with("segments/");
    let file = matches!(parts.next(), Some(Component::Normal(_)));
    folder && file && parts.next().is_none()
}
