//! Cold columns: where a row group's values come from when they lie in a segment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute;
use spg_segment::{ChunkCache, ChunkStats, SegmentReader};
use spg_types::{ColumnDef, ColumnStats, Error, Result, SqlState, TableDef};
use spg_vfs::Vfs;

use crate::manifest::SegmentEntry;
use crate::seal;
use crate::sketch::Sketch;
use crate::zone::{self, NewColumn};

/// Rows at so many offsets, at most, are read page by page; for more, a column is decoded whole.
const PAGE_READS_MAX: usize = 16;

/// An open segment with the cache that its columns go through.
pub(crate) struct Segment {
    pub(crate) reader: SegmentReader,
    cache: Arc<ChunkCache>,
    /// BLAKE3 that stands for the whole file.
    pub(crate) root: [u8; 32],
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.reader.fmt(f)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.cache.forget(self.reader.uid());
    }
}

fn segment_name(id: u64) -> String {
    format!("seg_{id}.spg")
}

/// The path of a segment in its folder.
pub(crate) fn segment_path(folder: &Path, id: u64) -> PathBuf {
    folder.join(segment_name(id))
}

/// The id in a segment file's name.
pub(crate) fn segment_id(name: &str) -> Option<u64> {
    name.strip_prefix("seg_")?.strip_suffix(".spg")?.parse().ok()
}

impl Segment {
    /// Opens and verifies a segment file. XX001 when it is not there, or not the one whose hash is given; 58000; 58030.
    pub(crate) fn open(
        vfs: &dyn Vfs,
        folder: &Path,
        id: u64,
        expected: Option<&[u8; 32]>,
        cache: &Arc<ChunkCache>,
    ) -> Result<Arc<Self>> {
        let path = segment_path(folder, id);
        let damaged = |what: String| {
            let message = format!("segment file \"{}\" {what}", path.display());
            Error::new(SqlState::DATA_CORRUPTED, message)
        };
        let Some(file) = vfs.open(&path)? else {
            return Err(damaged("does not exist".into()).with_hint(
                "The database's folder is not complete: bring the file back, or restore a backup.",
            ));
        };
        let reader = SegmentReader::open(file)?;
        let root = reader.info().root();
        if reader.info().segment.0 != id {
            return Err(damaged(format!("is damaged: it is segment {}", reader.info().segment.0)));
        }
        if let Some(expected) = expected.filter(|e| **e != root) {
            let hex = |hash: &[u8; 32]| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
            let (expected, found) = (hex(expected), hex(&root));
            return Err(damaged(format!(
                "is damaged: checksum {expected} expected for the header at offset 4, {found} found"
            )));
        }
        Ok(Arc::new(Self { reader, cache: cache.clone(), root }))
    }

    pub(crate) fn id(&self) -> u64 {
        self.reader.info().segment.0
    }

    /// As the manifest names it.
    pub(crate) fn entry(&self) -> SegmentEntry {
        let info = self.reader.info();
        SegmentEntry {
            name: segment_name(self.id()),
            table: info.table,
            len: info.file_len,
            hash: self.root,
            first_row_id: info.first_row_id,
            last_row_id: info.last_row_id,
            rows: info.rows,
        }
    }

    /// Whether its columns are those of the table, by type and place.
    pub(crate) fn fits(&self, def: &TableDef) -> bool {
        let columns = self.reader.columns();
        let info = self.reader.info();
        info.table == def.id
            && columns.len() == def.columns.len()
            && columns.iter().zip(&def.columns).all(|(a, b)| a.ty == b.ty)
    }
}

/// A row group of a segment.
#[derive(Clone, Debug)]
pub(crate) struct ColdGroup {
    pub(crate) segment: Arc<Segment>,
    pub(crate) at: usize,
}

impl ColdGroup {
    fn column(&self, column: usize) -> Result<ArrayRef> {
        self.segment.reader.column(&self.segment.cache, self.at, column)
    }

    /// As [`ColdGroup::column`] for who needs it once: the cache is looked at and left as it is.
    fn read_once(&self, column: usize) -> Result<ArrayRef> {
        let reader = &self.segment.reader;
        match reader.cached_column(&self.segment.cache, self.at, column) {
            Some(array) => Ok(array),
            None => reader.read_column(self.at, column),
        }
    }

    fn stats(&self, column: usize) -> &ChunkStats {
        &self.segment.reader.groups()[self.at].chunks[column].stats
    }

    /// The values at some offsets: few of them by decoding their pages only.
    fn take(&self, column: usize, offsets: &[u64]) -> Result<ArrayRef> {
        let (reader, cache) = (&self.segment.reader, &*self.segment.cache);
        if let Some(array) = reader.cached_column(cache, self.at, column) {
            return take(&array, offsets);
        }
        let mut pages: BTreeMap<usize, usize> = BTreeMap::new();
        if offsets.len() <= PAGE_READS_MAX {
            for offset in offsets {
                let offset = *offset as usize;
                pages.insert(reader.pages_of(self.at, column, offset..offset + 1).start, offset);
            }
        }
        let all = reader.groups()[self.at].chunks[column].pages.len();
        match pages.len() {
            1 => {
                let part = reader.row(cache, self.at, column, offsets[0] as usize)?;
                let within: Vec<u64> = offsets.iter().map(|o| o - part.first as u64).collect();
                take(&part.array, &within)
            }
            n if n > 1 && n * 2 < all => {
                let mut parts = Vec::with_capacity(offsets.len());
                for offset in offsets {
                    let part = reader.row(cache, self.at, column, *offset as usize)?;
                    let one = part.array.slice(*offset as usize - part.first, 1);
                    parts.push(seal::flattened(&one)?);
                }
                let parts: Vec<&dyn Array> = parts.iter().map(|a| &**a).collect();
                Ok(compute::concat(&parts)?)
            }
            _ => take(&self.column(column)?, offsets),
        }
    }
}

/// Where the values of a column of a row group are.
#[derive(Clone, Debug)]
pub(crate) enum ColumnSource {
    Memory(ArrayRef),
    /// A column of a row group in a segment, by its place there.
    Cold(ColdGroup, usize),
    /// One value in so many rows: a column that was added after the rows had moved to a segment.
    Constant(ArrayRef, usize),
}

impl ColumnSource {
    /// All values. 58030, XX001.
    pub(crate) fn array(&self) -> Result<ArrayRef> {
        match self {
            Self::Memory(array) => Ok(array.clone()),
            Self::Cold(group, column) => group.column(*column),
            Self::Constant(value, len) => seal::repeated(value, *len, true),
        }
    }

    /// All values, for who needs them once. 58030, XX001.
    pub(crate) fn read_once(&self) -> Result<ArrayRef> {
        match self {
            Self::Cold(group, column) => group.read_once(*column),
            Self::Memory(_) | Self::Constant(..) => self.array(),
        }
    }

    /// The values at some offsets. 58030, XX001.
    pub(crate) fn take(&self, offsets: &[u64]) -> Result<ArrayRef> {
        match self {
            Self::Memory(array) => take(array, offsets),
            Self::Cold(group, column) => group.take(*column, offsets),
            Self::Constant(value, _) => seal::repeated(value, offsets.len(), true),
        }
    }

    /// Bounds, NULLs and distinct values.
    pub(crate) fn zone(&self, def: &ColumnDef) -> ColumnStats {
        match self {
            Self::Memory(array) => zone::zone_of(def, array),
            Self::Cold(group, column) => group.stats(*column).zone.clone(),
            Self::Constant(value, len) => NewColumn::new(def, value).zone(*len),
        }
    }

    /// The set of values.
    pub(crate) fn sketch(&self) -> Sketch {
        match self {
            Self::Memory(array) | Self::Constant(array, _) => {
                let mut sketch = Sketch::default();
                sketch.add(array);
                sketch
            }
            Self::Cold(group, column) => Sketch::from_bytes(&group.stats(*column).sketch).unwrap_or_default(),
        }
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Memory(array) => array.get_array_memory_size(),
            Self::Cold(..) | Self::Constant(..) => 0,
        }
    }
}

/// Neighbours are sliced, which copies nothing.
fn take(array: &ArrayRef, offsets: &[u64]) -> Result<ArrayRef> {
    match offsets {
        [first, rest @ ..] if rest.iter().zip(first + 1..).all(|(o, next)| *o == next) => {
            Ok(array.slice(*first as usize, offsets.len()))
        }
        _ => Ok(compute::take(array, &UInt64Array::from_iter_values(offsets.iter().copied()), None)?),
    }
}
