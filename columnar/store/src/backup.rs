//! Backups: a checkpoint in one file, and the way back.
//!
//! A backup is a database file with the manifest and everything that it names as sections of their own. Whoever opens it puts
//! those where they belong, reads the log if there is one that goes on from there, and then replaces it by a plain database
//! file; until that last step it stays as it is.

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

/// A file of sections being written; a section's head follows its bytes, as it has their checksum.
struct Output {
    file: Arc<dyn File>,
    at: u64,
}

impl Output {
    fn section(
        &mut self,
        kind: u32,
        parts: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let start = self.at;
        let head_bytes = Format::section_head(kind, 0, 0).len() as u64;
        let (mut len, mut crc) = (0, 0);
        parts(&mut |bytes| {
            crc = crc32c::crc32c_append(crc, bytes);
            self.file.write_at(bytes, start + head_bytes + len)?;
            len += bytes.len() as u64;
            Ok(())
        })?;
        self.file.write_at(&Format::section_head(kind, len, crc), start)?;
        self.at = start + head_bytes + len;
        Ok(())
    }
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

/// Writes a checkpoint with its files into one. 58030, 53100.
pub(crate) fn write(
    checkpoints: &Checkpoints,
    checkpoint: &CheckpointRef,
    manifest: &Manifest,
    image: &CatalogImage,
    target: &Path,
) -> Result<()> {
    let files = &checkpoints.files;
    let vfs = &*files.vfs;
    let temporary = with_suffix(target, ".tmp");
    let written = (|| {
        let mut out = Output { file: vfs.create(&temporary)?, at: 0 };
        // Restored, it needs no log.
        let checkpoint = CheckpointRef { log_needed: false, ..*checkpoint };
        let plain = db_file::sections(&checkpoints.identity, Some((&checkpoint, image)));
        let head = DATABASE.head(plain.len() + 1 + manifest.hot_files.len() + manifest.segments.len());
        out.file.write_at(&head, 0)?;
        out.at = head.len() as u64;
        for (kind, bytes) in &plain {
            out.section(*kind, |put| put(bytes))?;
        }
        out.section(MANIFEST, |put| put(&manifest.encode()))?;
        let hot = manifest.hot_files.iter().map(|(id, entry)| (hot_path(&files.hot, *id), entry.len));
        let cold = manifest.segments.values().map(|s| (files.segments.join(&s.name), s.len));
        for (path, len) in hot.chain(cold) {
            copy_in(vfs, &mut out, &files.folder, &path, len)?;
        }
        out.file.sync_all()?;
        vfs.rename(&temporary, target)?;
        vfs.sync_dir(&parent_dir(target))
    })();
    if written.is_err() {
        let _ = vfs.remove(&temporary);
    }
    written
}

fn copy_in(vfs: &dyn Vfs, out: &mut Output, folder: &Path, path: &Path, len: u64) -> Result<()> {
    let gone = || {
        let message = format!("file \"{}\" is not as its manifest says", path.display());
        Error::new(SqlState::DATA_CORRUPTED, message)
    };
    let file = vfs.open(path)?.ok_or_else(gone)?;
    let name = path.strip_prefix(folder).ok().and_then(Path::to_str).ok_or_else(gone)?;
    out.section(FILE, |put| {
        let mut head = Writer::default();
        head.str(name);
        put(&head.0)?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut at = 0;
        while at < len {
            let want = buffer.len().min((len - at) as usize);
            let n = file.read_at(&mut buffer[..want], at)?;
            if n < want {
                return Err(gone());
            }
            put(&buffer[..n])?;
            at += n as u64;
        }
        Ok(())
    })
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
