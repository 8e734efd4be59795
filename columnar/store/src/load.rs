//! From a checkpoint to the snapshot that it has kept.

use std::collections::HashMap;
use std::sync::Arc;

use spg_types::{Error, Result, TableDef};

use crate::apply::{Numbers, link};
use crate::cold::Segment;
use crate::cold_tier::ColdTier;
use crate::db_file::{CatalogImage, CheckpointRef};
use crate::files::Files;
use crate::hot_file::HotFile;
use crate::manifest::{GroupEntry, MANIFEST_FORMAT, Manifest, manifest_path};
use crate::parallel;
use crate::row_group::{Place, RowGroup};
use crate::snapshot::DbSnapshot;
use crate::table::TableSnapshot;
use crate::tier::{altered_cold_group, cold_group};

/// What a checkpoint holds.
pub(crate) struct Loaded {
    pub(crate) snapshot: DbSnapshot,
    pub(crate) manifest: Manifest,
    /// Whether the manifest has not got its own name yet.
    pub(crate) manifest_waits: bool,
}

impl Default for Loaded {
    fn default() -> Self {
        Self { snapshot: DbSnapshot::empty(), manifest: Manifest::default(), manifest_waits: false }
    }
}

/// Reads a checkpoint, verifying every byte that it uses; row groups on several threads. XX001, 58000, 58030.
pub(crate) fn load(
    files: &Files,
    checkpoint: &CheckpointRef,
    image: &CatalogImage,
    numbers: &Numbers,
    cold: &ColdTier,
) -> Result<Loaded> {
    let (manifest, manifest_waits) = Manifest::find(&*files.vfs, &files.folder, &checkpoint.manifest_hash)?;
    let wrong = |what: &str| {
        let path = manifest_path(&files.folder);
        Err(crate::container::damaged(MANIFEST_FORMAT.name, &path, 0, what))
    };
    if (manifest.number, manifest.commit_no) != (checkpoint.number, checkpoint.commit_no) {
        return wrong("it is not of the checkpoint that the database file names");
    }
    if manifest.tables.len() != image.tables.len()
        || !manifest.tables.iter().zip(&image.tables).all(|((id, _), (def, _))| *id == def.id)
    {
        return wrong("its tables are not those of the database file");
    }
    let entries: Vec<_> = manifest.hot_files.iter().collect();
    let opened = parallel::map(&entries, |(id, entry)| {
        HotFile::open(&*files.vfs, &files.hot, &manifest.database_id, **id, entry)
    })?;
    let hot: HashMap<u64, HotFile> = manifest.hot_files.keys().copied().zip(opened).collect();
    let entries: Vec<_> = manifest.segments.iter().collect();
    let opened = parallel::map(&entries, |(id, entry)| cold.open(**id, &entry.hash))?;
    let segments: HashMap<u64, Arc<Segment>> = manifest.segments.keys().copied().zip(opened).collect();
    let defs: Vec<Arc<TableDef>> = image.tables.iter().map(|(def, _)| Arc::new(def.clone())).collect();
    let wanted: Vec<(&Arc<TableDef>, &GroupEntry)> =
        defs.iter().zip(&manifest.tables).flat_map(|(def, (_, g))| g.iter().map(move |g| (def, g))).collect();
    let mut groups = parallel::map(&wanted, |(def, entry)| group(&hot, &segments, def, entry))?.into_iter();
    let mut snapshot = DbSnapshot::empty();
    snapshot.commit_no = checkpoint.commit_no;
    let catalog = Arc::make_mut(&mut snapshot.catalog);
    catalog.schemas = image.schemas.iter().map(|s| (s.clone(), Default::default())).collect();
    catalog.roles = image.roles.iter().map(|r| (r.name.clone(), Arc::new(r.clone()))).collect();
    numbers.restore(image.next_table_id, image.next_index_id);
    for ((def, (_, next_row_id)), (_, entries)) in defs.iter().zip(&image.tables).zip(&manifest.tables) {
        let groups: Vec<Arc<RowGroup>> = groups.by_ref().take(entries.len()).collect();
        if groups.windows(2).any(|g| g[0].last_row_id() >= g[1].first_row_id()) {
            return wrong("row groups are out of order");
        }
        let Some(schema) = catalog.schemas.get_mut(&def.schema) else {
            return Err(Error::internal(format!("there is no schema {}", def.schema)));
        };
        schema.insert(def.name.clone(), def.id);
        let table = TableSnapshot::restored(def.clone(), groups, *next_row_id)?;
        snapshot.tables.insert(def.id, Arc::new(table));
    }
    link(&mut snapshot);
    Ok(Loaded { snapshot, manifest, manifest_waits })
}

fn group(
    hot: &HashMap<u64, HotFile>,
    segments: &HashMap<u64, Arc<Segment>>,
    def: &Arc<TableDef>,
    entry: &GroupEntry,
) -> Result<Arc<RowGroup>> {
    match entry.place {
        Place::Hot(id, at) => {
            let file = hot.get(&id);
            let file =
                file.ok_or_else(|| Error::internal(format!("the manifest does not have file {id}")))?;
            Ok(Arc::new(file.group(at, def, entry.deletes.clone())?))
        }
        Place::Cold(id, at) => {
            let segment = segments.get(&id);
            let segment =
                segment.ok_or_else(|| Error::internal(format!("the manifest does not have segment {id}")))?;
            let (at, deletes) = (at as usize, entry.deletes.clone());
            Ok(Arc::new(match &entry.columns {
                None => cold_group(def, segment, at, deletes)?,
                Some(columns) => altered_cold_group(def, segment, at, columns, deletes)?,
            }))
        }
    }
}
