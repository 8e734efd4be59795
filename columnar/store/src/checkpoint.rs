//! Checkpoints: the published snapshot as files, so that a start needs only the log after it.
//!
//! A checkpoint writes the row groups that no earlier one has written, then the manifest under a name of waiting, then the
//! database file, which names the manifest by its hash: replacing the database file is the moment at which the checkpoint
//! counts. Then the manifest gets its name, and files that nothing needs any more go: a start finds either checkpoint whole,
//! wherever the power went. Writers and readers go on meanwhile; only the log thread stops for the moment in which it begins a
//! new file. What fails before the database file is replaced costs nothing but the attempt; when it is not known whether that
//! has happened, nothing is removed any more, and no further checkpoint is made until a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use spg_types::{Error, Result, TableDef};
use spg_vfs::{parent_dir, with_suffix};
use spg_wal::Log;

use crate::apply::Numbers;
use crate::db_file::{self, CatalogImage, CheckpointRef, DATABASE, Identity};
use crate::files::Files;
use crate::hot_file::{self, hot_file_id, hot_path};
use crate::manifest::{GroupEntry, HotFileEntry, Manifest, SegmentEntry, manifest_path, next_manifest_path};
use crate::parallel;
use crate::row_group::{Place, RowGroup};
use crate::snapshot::DbSnapshot;
use crate::store::Store;
use crate::table::TableSnapshot;
use crate::tier::altered_columns;

/// Row groups of at least this many bytes get a file of their own, which goes when they go.
const OWN_FILE_BYTES: usize = 1 << 20;
/// Smaller ones share files of about this size.
const SHARED_FILE_BYTES: usize = 64 << 20;
/// How long the background waits after a checkpoint that failed.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The checkpoints of an open database.
pub(crate) struct Checkpoints {
    pub(crate) files: Files,
    pub(crate) identity: Identity,
    /// A log of this size asks for a checkpoint.
    pub(crate) wal_bytes: u64,
    pub(crate) state: Mutex<State>,
    /// `state.last`, for who does not want to wait for a checkpoint that is being made.
    pub(crate) latest: Mutex<Option<CheckpointRef>>,
    wake: Arc<Wake>,
}

pub(crate) struct State {
    pub(crate) last: Option<CheckpointRef>,
    pub(crate) manifest: Manifest,
    /// Whether the manifest has not got its own name yet.
    manifest_waits: bool,
    /// Why there are no checkpoints any more.
    broken: Option<Error>,
}

#[derive(Default)]
struct Wake {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default)]
struct Asked {
    checkpoint: bool,
    stop: bool,
}

/// A row group that no file has yet.
struct Unwritten<'a> {
    def: &'a TableDef,
    group: &'a Arc<RowGroup>,
}

impl Checkpoints {
    pub(crate) fn new(
        files: Files,
        identity: Identity,
        wal_bytes: u64,
        last: Option<CheckpointRef>,
        manifest: Manifest,
        manifest_waits: bool,
    ) -> Self {
        let state = Mutex::new(State { last, manifest, manifest_waits, broken: None });
        Self { files, identity, wal_bytes, state, latest: Mutex::new(last), wake: Arc::default() }
    }

    /// Asks the background for a checkpoint.
    pub(crate) fn ask(&self) {
        let mut asked = self.wake.asked.lock();
        if !asked.checkpoint {
            asked.checkpoint = true;
            self.wake.changed.notify_one();
        }
    }

    /// Ends the background.
    pub(crate) fn stop(&self) {
        self.wake.asked.lock().stop = true;
        self.wake.changed.notify_one();
    }

    /// Starts the thread that makes checkpoints when asked.
    pub(crate) fn start(store: &Arc<Store>, wake: &Checkpoints) -> Result<()> {
        let (weak, wake) = (Arc::downgrade(store), wake.wake.clone());
        let body = move || {
            loop {
                let mut asked = wake.asked.lock();
                while !asked.checkpoint && !asked.stop {
                    wake.changed.wait(&mut asked);
                }
                if asked.stop {
                    return;
                }
                drop(asked);
                let Some(store) = weak.upgrade() else { return };
                let made = store.checkpoint_on(1);
                drop(store);
                let mut asked = wake.asked.lock();
                if let Err(error) = made {
                    tracing::warn!("checkpoint failed: {error}");
                    let until = Instant::now() + RETRY_AFTER;
                    while !asked.stop && !wake.changed.wait_until(&mut asked, until).timed_out() {}
                }
                asked.checkpoint = false;
            }
        };
        let thread = std::thread::Builder::new().name("spg-checkpoint".into()).spawn(body);
        thread.map(|_| ()).map_err(|e| Error::internal(format!("could not start the checkpoint thread: {e}")))
    }

    /// Makes `db`, which the log holds durably, the latest checkpoint.
    pub(crate) fn write(
        &self,
        state: &mut State,
        db: &DbSnapshot,
        numbers: &Numbers,
        log_needed: bool,
        threads: usize,
    ) -> Result<()> {
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        self.name_manifest(state)?;
        let (next_table_id, next_index_id) = numbers.next_ids();
        let image = CatalogImage::of(db, next_table_id, next_index_id);
        if let Some(last) = state.last.filter(|last| last.commit_no == db.commit_no) {
            if last.log_needed == log_needed {
                return Ok(());
            }
            return self.replace_database_file(state, CheckpointRef { log_needed, ..last }, &image);
        }
        let (unwritten, kept) = plan(db, &state.manifest);
        let first_id = state.manifest.next_file_id;
        let written = parallel::aside(threads, |threads| self.write_groups(&unwritten, first_id, threads))?;
        let next_file_id = first_id + written.len() as u64;
        // Names that were given are not given again, whatever becomes of this attempt.
        state.manifest.next_file_id = next_file_id;
        let new_ids = first_id..next_file_id;
        let places: HashMap<u64, Place> = written.iter().flat_map(|f| f.places.iter().copied()).collect();
        let old = state.manifest.hot_files.iter().filter(|(id, _)| kept.contains_key(id));
        let new = new_ids.clone().zip(written.iter().map(|f| f.entry.clone()));
        let manifest = Manifest {
            database_id: self.identity.database_id,
            number: state.last.map_or(1, |last| last.number + 1),
            commit_no: db.commit_no,
            next_file_id,
            hot_files: old.map(|(id, entry)| (*id, entry.clone())).chain(new).collect(),
            segments: segments(db),
            tables: tables(db, &places)?,
        };
        let bytes = manifest.encode();
        let waiting = self.write_waiting_manifest(&bytes, !written.is_empty());
        if let Err(error) = waiting {
            self.remove_hot(new_ids);
            return Err(error);
        }
        let manifest_hash = *blake3::hash(&bytes).as_bytes();
        let (number, commit_no) = (manifest.number, manifest.commit_no);
        let reference = CheckpointRef { number, commit_no, manifest_hash, log_needed };
        let replaced = self.replace_database_file(state, reference, &image);
        if let Err(error) = replaced {
            if state.broken.is_none() {
                self.remove_hot(new_ids);
            }
            return Err(error);
        }
        let gone = state.manifest.hot_files.keys().filter(|id| !manifest.hot_files.contains_key(id));
        let gone: Vec<u64> = gone.copied().collect();
        state.manifest = manifest;
        state.manifest_waits = true;
        for Unwritten { group, .. } in &unwritten {
            if let Some(place) = places.get(&group.id()) {
                group.set_home(*place);
            }
        }
        self.name_manifest(state)?;
        self.remove_hot(gone);
        Ok(())
    }

    /// Lets the manifest that counts have its own name.
    fn name_manifest(&self, state: &mut State) -> Result<()> {
        if state.manifest_waits {
            let (vfs, folder) = (&self.files.vfs, &self.files.folder);
            let named = vfs.rename(&next_manifest_path(folder), &manifest_path(folder));
            // Without a durable name, the next manifest must not take the waiting one's place.
            if let Err(error) = named.and_then(|()| vfs.sync_dir(folder)) {
                state.broken = Some(broken(&error));
                return Err(error);
            }
            state.manifest_waits = false;
        }
        Ok(())
    }

    fn write_waiting_manifest(&self, bytes: &[u8], hot_files: bool) -> Result<()> {
        let Files { vfs, folder, hot, .. } = &self.files;
        if hot_files {
            vfs.sync_dir(hot)?;
        }
        let file = vfs.create(&next_manifest_path(folder))?;
        file.write_at(bytes, 0)?;
        file.sync_all()?;
        vfs.sync_dir(folder)
    }

    /// The step that counts.
    fn replace_database_file(
        &self,
        state: &mut State,
        checkpoint: CheckpointRef,
        image: &CatalogImage,
    ) -> Result<()> {
        let Files { vfs, database, .. } = &self.files;
        let bytes = DATABASE.encode(&db_file::sections(&self.identity, Some((&checkpoint, image))));
        let temporary = with_suffix(database, ".tmp");
        let write = || {
            let file = vfs.create(&temporary)?;
            file.write_at(&bytes, 0)?;
            file.sync_all()
        };
        if let Err(error) = write() {
            let _ = vfs.remove(&temporary);
            return Err(error);
        }
        if let Err(error) =
            vfs.rename(&temporary, database).and_then(|()| vfs.sync_dir(&parent_dir(database)))
        {
            state.broken = Some(broken(&error));
            return Err(error);
        }
        state.last = Some(checkpoint);
        *self.latest.lock() = Some(checkpoint);
        Ok(())
    }

    fn write_groups(&self, groups: &[Unwritten<'_>], first_id: u64, threads: usize) -> Result<Vec<Written>> {
        let mut files: Vec<&[Unwritten<'_>]> = Vec::new();
        let mut rest = groups;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|u| {
                bytes += u.group.bytes();
                bytes <= SHARED_FILE_BYTES && u.group.bytes() < OWN_FILE_BYTES
            });
            let (file, after) = rest.split_at(fits.count().max(1));
            files.push(file);
            rest = after;
        }
        let numbered: Vec<(u64, &[Unwritten<'_>])> = (first_id..).zip(files).collect();
        let written = parallel::map_on(threads, &numbered, |(id, groups)| {
            let parts: Vec<(&TableDef, &RowGroup)> = groups.iter().map(|u| (u.def, &**u.group)).collect();
            let Files { vfs, hot, .. } = &self.files;
            let entry = hot_file::write(&**vfs, hot, &self.identity.database_id, *id, &parts)?;
            let place = |(at, u): (usize, &Unwritten<'_>)| (u.group.id(), Place::Hot(*id, at as u32));
            Ok(Written { entry, places: groups.iter().enumerate().map(place).collect() })
        });
        if written.is_err() {
            self.remove_hot(numbered.iter().map(|(id, _)| *id));
        }
        written
    }

    /// Removes files that no checkpoint names. One that stays is removed at the next start.
    fn remove_hot(&self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            if let Err(error) = self.files.vfs.remove(&hot_path(&self.files.hot, id)) {
                tracing::warn!("{error}");
            }
        }
    }

    /// Removes what an attempt that came to no end has left behind.
    pub(crate) fn remove_strays(&self) -> Result<()> {
        let mut state = self.state.lock();
        self.name_manifest(&mut state)?;
        let Files { vfs, hot, folder, database, .. } = &self.files;
        for name in vfs.list(hot)? {
            let id = hot_file_id(&name);
            if id.is_none_or(|id| !state.manifest.hot_files.contains_key(&id)) {
                vfs.remove(&hot.join(&name))?;
            }
            let next = id.map_or(0, |id| id + 1);
            state.manifest.next_file_id = state.manifest.next_file_id.max(next);
        }
        for left in [next_manifest_path(folder), with_suffix(database, ".tmp")] {
            if vfs.open(&left)?.is_some() {
                vfs.remove(&left)?;
            }
        }
        Ok(())
    }
}

struct Written {
    entry: HotFileEntry,
    /// By the groups' ids.
    places: Vec<(u64, Place)>,
}

fn broken(cause: &Error) -> Error {
    let message = format!("checkpoints have stopped because one failed: {}", cause.message());
    Error::new(cause.state(), message)
        .with_hint("Every acknowledged commit is in the log. Repair the disk and restart the server.")
}

/// The row groups to be written, and the files that stay with the rows in use of each. Files of which little is in use are
/// written anew.
fn plan<'a>(db: &'a DbSnapshot, manifest: &Manifest) -> (Vec<Unwritten<'a>>, BTreeMap<u64, u64>) {
    let groups =
        || db.tables().flat_map(|t| t.row_groups().map(move |group| Unwritten { def: t.def(), group }));
    let file = |group: &RowGroup| match group.home() {
        Some(Place::Hot(id, _)) => manifest.hot_files.contains_key(&id).then_some(id),
        _ => None,
    };
    let mut kept: BTreeMap<u64, u64> = BTreeMap::new();
    for id in groups().filter_map(|u| Some((file(u.group)?, u.group.len()))) {
        *kept.entry(id.0).or_default() += id.1 as u64;
    }
    kept.retain(|id, rows| manifest.hot_files.get(id).is_some_and(|entry| *rows * 2 >= entry.rows));
    let in_segment = |group: &RowGroup| matches!(group.home(), Some(Place::Cold(..)));
    let unwritten = groups()
        .filter(|u| !in_segment(u.group) && file(u.group).is_none_or(|id| !kept.contains_key(&id)))
        .collect();
    (unwritten, kept)
}

/// The segments that row groups lie in.
fn segments(db: &DbSnapshot) -> BTreeMap<u64, SegmentEntry> {
    let in_place = |group: &&Arc<RowGroup>| matches!(group.home(), Some(Place::Cold(..)));
    let groups = db.tables().flat_map(|t| t.row_groups().filter(in_place));
    let entry = |group: &Arc<RowGroup>| {
        let segment = &group.segment()?.segment;
        Some((segment.id(), segment.entry()))
    };
    groups.filter_map(entry).collect()
}

/// Where every row group lies.
fn tables(
    db: &DbSnapshot,
    places: &HashMap<u64, Place>,
) -> Result<Vec<(spg_types::TableId, Vec<GroupEntry>)>> {
    let entry = |t: &TableSnapshot, group: &Arc<RowGroup>| {
        let place = places.get(&group.id()).copied().or_else(|| group.home());
        let place = place.ok_or_else(|| Error::internal("a row group was not written"))?;
        let columns = altered_columns(t.def(), group)?;
        Ok(GroupEntry { place, columns, deletes: group.deletes().cloned() })
    };
    let entries = |t: &TableSnapshot| t.row_groups().map(|group| entry(t, group)).collect::<Result<_>>();
    db.tables().map(|t| Ok((t.def().id, entries(t)?))).collect()
}

/// Waits until everything in `db` is durable in the log.
pub(crate) fn settle(log: &Log, generation: u64) -> Result<()> {
    let (done, settled) = std::sync::mpsc::channel();
    let told = move |result| {
        // Nobody waits when the caller's thread is gone.
        let _ = done.send(result);
    };
    log.barrier(generation, Box::new(told))?;
    settled.recv().map_err(|_| Error::internal("the log thread is gone"))?
}
