//! The database file: which database this is, its latest checkpoint, and the catalog as of then. A backup is the same file with
//! the manifest and every file that it names inside.
//!
//! ```text
//! identity   = database id [16], i64 created, microseconds since 1970-01-01 UTC                    kind 1
//! checkpoint = u64 number, u64 commit, manifest's BLAKE3 [32], u8 log needed                      kind 2
//! catalog    = u32 next table id, u32 next index id, schemas: list of names                        kind 3
//! roles      = list of roles                                                                        kind 4
//! tables     = list of (table, u64 next row id)                                                     kind 5
//! options    = list of (u32 table id, list of (name, u64 value)), tables with storage parameters   kind 8
//! manifest   = the bytes of a manifest                                        kind 6, in backups only
//! file       = name, bytes of a file that the manifest names                  kind 7, in backups only
//! ```

use std::path::Path;
use std::sync::Arc;

use spg_types::{Result, TableDef, TableOptions};
use spg_vfs::{File, Vfs};

use crate::Role;
use crate::codec::Writer;
use crate::container::{Format, Section};
use crate::def_codec::{read_options, read_role, read_table, write_options, write_role, write_table};
use crate::snapshot::DbSnapshot;

/// How the file is recognised.
pub(crate) const DATABASE: Format = Format {
    magic: b"SPGDB001",
    version: 13,
    is: "an SPG database",
    name: "database file",
    versioned: "catalog version",
};

const IDENTITY: u32 = 1;
const CHECKPOINT: u32 = 2;
const CATALOG: u32 = 3;
const ROLES: u32 = 4;
const TABLES: u32 = 5;
/// The manifest of a backup.
pub(crate) const MANIFEST: u32 = 6;
/// A file of a backup.
pub(crate) const FILE: u32 = 7;
const OPTIONS: u32 = 8;

/// Which database a set of files belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) database_id: [u8; 16],
    pub(crate) created_us: i64,
}

/// The latest checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointRef {
    /// Counts checkpoints.
    pub(crate) number: u64,
    /// The last commit that it contains.
    pub(crate) commit_no: u64,
    pub(crate) manifest_hash: [u8; 32],
    /// Whether there may be later commits in the log. Not after an orderly end.
    pub(crate) log_needed: bool,
}

/// The catalog as of a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct CatalogImage {
    pub(crate) next_table_id: u32,
    pub(crate) next_index_id: u32,
    pub(crate) schemas: Vec<String>,
    pub(crate) roles: Vec<Role>,
    /// Tables and the next row id of each.
    pub(crate) tables: Vec<(TableDef, u64)>,
}

/// What the database file says.
pub(crate) struct DbFile {
    pub(crate) file: Arc<dyn File>,
    pub(crate) identity: Identity,
    /// `None` before the first checkpoint.
    pub(crate) checkpoint: Option<(CheckpointRef, CatalogImage)>,
    /// In a backup, the manifest.
    pub(crate) manifest: Option<Section>,
    /// In a backup, the files.
    pub(crate) files: Vec<Section>,
}

impl CatalogImage {
    /// The catalog of a snapshot.
    pub(crate) fn of(db: &DbSnapshot, next_table_id: u32, next_index_id: u32) -> Self {
        Self {
            next_table_id,
            next_index_id,
            schemas: db.schemas().map(str::to_owned).collect(),
            roles: db.roles().cloned().collect(),
            tables: db.tables().map(|t| ((**t.def()).clone(), t.next_row_id())).collect(),
        }
    }
}

/// The sections that every database file has.
pub(crate) fn sections(
    identity: &Identity,
    checkpoint: Option<(&CheckpointRef, &CatalogImage)>,
) -> Vec<(u32, Vec<u8>)> {
    let section = |kind: u32, write: &dyn Fn(&mut Writer)| {
        let mut w = Writer::default();
        write(&mut w);
        (kind, w.0)
    };
    let mut sections = vec![section(IDENTITY, &|w| {
        w.0.extend_from_slice(&identity.database_id);
        w.u64(identity.created_us as u64);
    })];
    if let Some((checkpoint, catalog)) = checkpoint {
        sections.push(section(CHECKPOINT, &|w| {
            w.u64(checkpoint.number);
            w.u64(checkpoint.commit_no);
            w.0.extend_from_slice(&checkpoint.manifest_hash);
            w.bool(checkpoint.log_needed);
        }));
        sections.push(section(CATALOG, &|w| {
            w.u32(catalog.next_table_id);
            w.u32(catalog.next_index_id);
            w.list(&catalog.schemas, |w, s| w.str(s));
        }));
        sections.push(section(ROLES, &|w| w.list(&catalog.roles, write_role)));
        sections.push(section(TABLES, &|w| {
            w.list(&catalog.tables, |w, (def, next_row_id)| {
                write_table(w, def);
                w.u64(*next_row_id);
            });
        }));
        let defs = catalog.tables.iter().map(|(def, _)| def);
        let set: Vec<&TableDef> = defs.filter(|def| def.options != TableOptions::default()).collect();
        if !set.is_empty() {
            sections.push(section(OPTIONS, &|w| {
                w.list(&set, |w, def| {
                    w.u32(def.id.0);
                    write_options(w, def.options);
                });
            }));
        }
    }
    sections
}

impl DbFile {
    /// Reads the file; `None` when there is none. 58000 when it is something else or of another version, XX001 when damaged.
    pub(crate) fn read(vfs: &dyn Vfs, path: &Path) -> Result<Option<Self>> {
        let Some(file) = vfs.open(path)? else { return Ok(None) };
        let mut identity = None;
        let mut checkpoint = None;
        let mut catalog = CatalogImage::default();
        let (mut manifest, mut files) = (None, Vec::new());
        let mut seen = Vec::new();
        let mut options = Vec::new();
        for section in DATABASE.sections(&*file)? {
            let s = &section;
            let bytes =
                if s.kind < MANIFEST || s.kind == OPTIONS { DATABASE.read(&*file, s)? } else { Vec::new() };
            if s.kind != FILE && seen.contains(&s.kind) {
                return Err(DATABASE.damaged(&*file, s.offset, &format!("a second section {}", s.kind)));
            }
            seen.push(s.kind);
            match s.kind {
                IDENTITY => {
                    identity = Some(DATABASE.decode(&*file, s, &bytes, |r| {
                        Ok(Identity { database_id: r.array()?, created_us: r.u64()? as i64 })
                    })?);
                }
                CHECKPOINT => {
                    checkpoint = Some(DATABASE.decode(&*file, s, &bytes, |r| {
                        Ok(CheckpointRef {
                            number: r.u64()?,
                            commit_no: r.u64()?,
                            manifest_hash: r.array()?,
                            log_needed: r.bool()?,
                        })
                    })?);
                }
                CATALOG => DATABASE.decode(&*file, s, &bytes, |r| {
                    catalog.next_table_id = r.u32()?;
                    catalog.next_index_id = r.u32()?;
                    catalog.schemas = r.list(|r| r.str())?;
                    Ok(())
                })?,
                ROLES => catalog.roles = DATABASE.decode(&*file, s, &bytes, |r| r.list(read_role))?,
                TABLES => {
                    catalog.tables =
                        DATABASE.decode(&*file, s, &bytes, |r| r.list(|r| Ok((read_table(r)?, r.u64()?))))?;
                }
                OPTIONS => {
                    options = DATABASE
                        .decode(&*file, s, &bytes, |r| r.list(|r| Ok((r.u32()?, read_options(r)?))))?;
                }
                MANIFEST => manifest = Some(section),
                FILE => files.push(section),
                other => {
                    return Err(DATABASE.damaged(&*file, s.offset, &format!("there is no section {other}")));
                }
            }
        }
        for (id, set) in options {
            let table = catalog.tables.iter_mut().find(|(def, _)| def.id.0 == id);
            let Some((def, _)) = table else {
                return Err(DATABASE.damaged(&*file, 16, "storage parameters of a table that there is not"));
            };
            def.options = set;
        }
        let Some(identity) = identity else {
            return Err(DATABASE.damaged(&*file, 16, "it does not say which database it is"));
        };
        let complete = [CATALOG, ROLES, TABLES].iter().all(|kind| seen.contains(kind));
        if checkpoint.is_some() && !complete || checkpoint.is_none() && seen.len() > 1 {
            return Err(DATABASE.damaged(&*file, 16, "a section is missing"));
        }
        let checkpoint = checkpoint.map(|c| (c, catalog));
        Ok(Some(Self { file, identity, checkpoint, manifest, files }))
    }
}
