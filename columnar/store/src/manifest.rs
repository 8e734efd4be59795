//! The manifest: which files hold the rows of a checkpoint, and which rows of them are deleted.
//!
//! ```text
//! checkpoint = database id [16], u64 number, u64 commit, u64 next file id                        kind 1
//! hot files  = list of (u64 id, u64 length, u32 row groups, u64 rows, BLAKE3 of the footer [32])  kind 2
//! segments   = list of (u64 id, name, u32 table, u64 length, BLAKE3 [32], u64 first row id,
//!              u64 last row id, u64 rows)                                                         kind 3
//! tables     = list of (u32 table, list of groups), groups in the order of their row ids          kind 4
//! group      = u8 1 (hot), 2 (segment) or 3 (segment with other columns than the table),
//!              u64 file or segment id, u32 which of its row groups, columns where there are others,
//!              deletes: varint length, roaring bitmap of the offsets
//! columns    = list of (u8 0, varint column of the segment | u8 1, varint length, value in every row)
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use roaring::RoaringBitmap;
use spg_types::{Result, TableId};
use spg_vfs::{File, Vfs, read_file};

use crate::codec::{Reader, Writer, corrupt};
use crate::container::Format;
use crate::row_group::Place;

/// How the file is recognised.
pub(crate) const MANIFEST_FORMAT: Format = Format {
    magic: b"SPGMAN01",
    version: 10,
    is: "an SPG manifest",
    name: "manifest",
    versioned: "manifest version",
};

const CHECKPOINT: u32 = 1;
const HOT_FILES: u32 = 2;
const SEGMENTS: u32 = 3;
const TABLES: u32 = 4;

const HOT: u8 = 1;
const COLD: u8 = 2;
const ALTERED: u8 = 3;

const OF_SEGMENT: u8 = 0;
const VALUE: u8 = 1;

/// A file of hot row groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HotFileEntry {
    pub(crate) len: u64,
    pub(crate) groups: u32,
    pub(crate) rows: u64,
    /// BLAKE3 of the footer, which has the checksums of everything else.
    pub(crate) hash: [u8; 32],
}

/// A cold file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    /// The file's name in the folder `segments`.
    pub(crate) name: String,
    pub(crate) table: TableId,
    pub(crate) len: u64,
    /// BLAKE3 of the file.
    pub(crate) hash: [u8; 32],
    pub(crate) first_row_id: u64,
    pub(crate) last_row_id: u64,
    pub(crate) rows: u64,
}

/// Where a column of a row group in a segment comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ColumnEntry {
    /// The segment's column at that position.
    Segment(u32),
    /// One value in every row, as [`crate::row_codec::write_values`] writes it.
    Value(Vec<u8>),
}

/// A row group of a table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupEntry {
    pub(crate) place: Place,
    /// The table's columns where they are not those of the segment, one by one.
    pub(crate) columns: Option<Vec<ColumnEntry>>,
    pub(crate) deletes: Option<RoaringBitmap>,
}

/// What the manifest says.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Manifest {
    pub(crate) database_id: [u8; 16],
    pub(crate) number: u64,
    pub(crate) commit_no: u64,
    pub(crate) next_file_id: u64,
    pub(crate) hot_files: BTreeMap<u64, HotFileEntry>,
    pub(crate) segments: BTreeMap<u64, SegmentEntry>,
    pub(crate) tables: Vec<(TableId, Vec<GroupEntry>)>,
}

/// The manifest's path in the database's folder.
pub(crate) fn manifest_path(folder: &Path) -> PathBuf {
    folder.join("manifest.v10")
}

/// Where a manifest waits until the database file names it.
pub(crate) fn next_manifest_path(folder: &Path) -> PathBuf {
    folder.join("manifest.v10.next")
}

fn write_column(w: &mut Writer, column: &ColumnEntry) {
    match column {
        ColumnEntry::Segment(at) => {
            w.u8(OF_SEGMENT);
            w.varint(u64::from(*at));
        }
        ColumnEntry::Value(bytes) => {
            w.u8(VALUE);
            w.varint(bytes.len() as u64);
            w.0.extend_from_slice(bytes);
        }
    }
}

fn read_column(r: &mut Reader<'_>) -> Result<ColumnEntry> {
    match r.u8()? {
        OF_SEGMENT => {
            let at = u32::try_from(r.varint()?).map_err(|_| corrupt("there is no such column"))?;
            Ok(ColumnEntry::Segment(at))
        }
        VALUE => {
            let len = r.len()?;
            Ok(ColumnEntry::Value(r.bytes(len)?.to_vec()))
        }
        other => Err(corrupt(&format!("a column does not come from {other}"))),
    }
}

fn write_group(w: &mut Writer, group: &GroupEntry) {
    let (kind, file, at) = match group.place {
        Place::Hot(file, at) => (HOT, file, at),
        Place::Cold(segment, at) if group.columns.is_none() => (COLD, segment, at),
        Place::Cold(segment, at) => (ALTERED, segment, at),
    };
    w.u8(kind);
    w.u64(file);
    w.u32(at);
    if kind == ALTERED {
        w.list(group.columns.as_deref().unwrap_or_default(), write_column);
    }
    let mut bitmap = Vec::new();
    if let Some(deletes) = &group.deletes {
        // Writing to memory does not fail.
        let _ = deletes.serialize_into(&mut bitmap);
    }
    w.varint(bitmap.len() as u64);
    w.0.extend_from_slice(&bitmap);
}

fn read_group(r: &mut Reader<'_>) -> Result<GroupEntry> {
    let kind = r.u8()?;
    let (file, at) = (r.u64()?, r.u32()?);
    let place = match kind {
        HOT => Place::Hot(file, at),
        COLD | ALTERED => Place::Cold(file, at),
        other => return Err(corrupt(&format!("there is no place {other} for a row group"))),
    };
    let columns = if kind == ALTERED { Some(r.list(read_column)?) } else { None };
    let len = r.len()?;
    let bytes = r.bytes(len)?;
    let read =
        || RoaringBitmap::deserialize_from(bytes).map_err(|_| corrupt("a delete bitmap does not parse"));
    let deletes = if len == 0 { None } else { Some(read()?) };
    Ok(GroupEntry { place, columns, deletes })
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut checkpoint = Writer::default();
        checkpoint.0.extend_from_slice(&self.database_id);
        checkpoint.u64(self.number);
        checkpoint.u64(self.commit_no);
        checkpoint.u64(self.next_file_id);
        let mut hot = Writer::default();
        hot.varint(self.hot_files.len() as u64);
        for (id, file) in &self.hot_files {
            hot.u64(*id);
            hot.u64(file.len);
            hot.u32(file.groups);
            hot.u64(file.rows);
            hot.0.extend_from_slice(&file.hash);
        }
        let mut segments = Writer::default();
        segments.varint(self.segments.len() as u64);
        for (id, s) in &self.segments {
            segments.u64(*id);
            segments.str(&s.name);
            segments.u32(s.table.0);
            segments.u64(s.len);
            segments.0.extend_from_slice(&s.hash);
            segments.u64(s.first_row_id);
            segments.u64(s.last_row_id);
            segments.u64(s.rows);
        }
        let mut tables = Writer::default();
        tables.list(&self.tables, |w, (table, groups)| {
            w.u32(table.0);
            w.list(groups, write_group);
        });
        let sections = [(CHECKPOINT, checkpoint), (HOT_FILES, hot), (SEGMENTS, segments), (TABLES, tables)];
        MANIFEST_FORMAT.encode(&sections.map(|(kind, w)| (kind, w.0)))
    }

    /// The manifest with that hash in one of the two places where it may be; and whether it still waits in the second.
    /// XX001 when neither has it.
    pub(crate) fn find(vfs: &dyn Vfs, folder: &Path, hash: &[u8; 32]) -> Result<(Self, bool)> {
        let (path, next) = (manifest_path(folder), next_manifest_path(folder));
        let is_it = |bytes: &[u8]| blake3::hash(bytes).as_bytes() == hash;
        for (path, waits) in [(&path, false), (&next, true)] {
            if read_file(vfs, path)?.is_some_and(|bytes| is_it(&bytes))
                && let Some(file) = vfs.open(path)?
            {
                return Ok((Self::read(&*file)?, waits));
            }
        }
        let expected = blake3::Hash::from(*hash);
        let Some(file) = vfs.open(&path)? else {
            return Err(MANIFEST_FORMAT.missing(&path));
        };
        // What is wrong with it is told as precisely as it can be.
        Self::read(&*file)?;
        let found = read_file(vfs, &path)?.map_or_else(String::new, |b| blake3::hash(&b).to_string());
        let what = format!("BLAKE3 {expected} expected, {found} found");
        Err(MANIFEST_FORMAT.damaged(&*file, 0, &what))
    }

    /// Reads a manifest. 58000, XX001.
    pub(crate) fn read(file: &dyn File) -> Result<Self> {
        let mut m = Self::default();
        let mut seen = Vec::new();
        for section in MANIFEST_FORMAT.sections(file)? {
            let bytes = MANIFEST_FORMAT.read(file, &section)?;
            MANIFEST_FORMAT.decode(file, &section, &bytes, |r| m.read_section(section.kind, r))?;
            seen.push(section.kind);
        }
        if seen != [CHECKPOINT, HOT_FILES, SEGMENTS, TABLES] {
            return Err(MANIFEST_FORMAT.damaged(file, 16, "it does not have the sections of a manifest"));
        }
        Ok(m)
    }

    fn read_section(&mut self, kind: u32, r: &mut Reader<'_>) -> Result<()> {
        match kind {
            CHECKPOINT => {
                self.database_id = r.array()?;
                self.number = r.u64()?;
                self.commit_no = r.u64()?;
                self.next_file_id = r.u64()?;
            }
            HOT_FILES => {
                for _ in 0..r.len()? {
                    let id = r.u64()?;
                    let (len, groups, rows, hash) = (r.u64()?, r.u32()?, r.u64()?, r.array()?);
                    self.hot_files.insert(id, HotFileEntry { len, groups, rows, hash });
                }
            }
            SEGMENTS => {
                for _ in 0..r.len()? {
                    let id = r.u64()?;
                    let entry = SegmentEntry {
                        name: r.str()?,
                        table: TableId(r.u32()?),
                        len: r.u64()?,
                        hash: r.array()?,
                        first_row_id: r.u64()?,
                        last_row_id: r.u64()?,
                        rows: r.u64()?,
                    };
                    self.segments.insert(id, entry);
                }
            }
            TABLES => self.tables = r.list(|r| Ok((TableId(r.u32()?), r.list(read_group)?)))?,
            other => return Err(corrupt(&format!("there is no section {other}"))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use spg_vfs::{MemoryVfs, replace_file};

    use super::*;

    #[test]
    fn both_tiers_are_kept() {
        let group = |place, deletes: &[u32]| GroupEntry {
            place,
            columns: None,
            deletes: (!deletes.is_empty()).then(|| deletes.iter().copied().collect()),
        };
        let altered = GroupEntry {
            columns: Some(vec![
                ColumnEntry::Segment(2),
                ColumnEntry::Value(vec![0, 7]),
                ColumnEntry::Segment(300),
            ]),
            ..group(Place::Cold(5, 4), &[2])
        };
        let file = HotFileEntry { len: 9, groups: 2, rows: 7, hash: [3; 32] };
        let segment = SegmentEntry {
            name: "seg_5.spg".into(),
            table: TableId(16_384),
            len: 1 << 40,
            hash: [4; 32],
            first_row_id: 1,
            last_row_id: 1 << 33,
            rows: 1 << 20,
        };
        let manifest = Manifest {
            database_id: [1; 16],
            number: 2,
            commit_no: 3,
            next_file_id: 4,
            hot_files: [(1, file)].into(),
            segments: [(5, segment)].into(),
            tables: vec![
                (
                    TableId(16_384),
                    vec![group(Place::Cold(5, 3), &[1, 7, 70_000]), altered, group(Place::Hot(1, 1), &[])],
                ),
                (TableId(16_385), vec![]),
            ],
        };
        let vfs = MemoryVfs::new();
        let path = manifest_path(Path::new("d"));
        replace_file(&vfs, &path, &manifest.encode()).unwrap();
        let found = Manifest::read(&*vfs.open(&path).unwrap().unwrap()).unwrap();
        assert_eq!(found, manifest);
    }
}
