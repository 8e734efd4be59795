//! Cold columns: where a row group's values come from when they lie in a segment.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute;
use spg_segment::{BLOCK_ROWS, ChunkCache, ChunkStats, Part, SegmentReader};
use spg_types::{ColumnDef, ColumnStats, Error, Result, SqlState, TableDef};
use spg_vfs::Vfs;

use crate::manifest::SegmentEntry;
use crate::seal;
use crate::sketch::Sketch;
use crate::zone::{self, NewColumn};

/// Rows at so many offsets, at most, are read page by page; for more, blocks are decoded whole.
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
    fn stats(&self, column: usize) -> &ChunkStats {
        &self.segment.reader.groups()[self.at].chunks[column].stats
    }

    /// The values of some rows: a block at once if they are most of one, so that the next one who asks finds it; otherwise of
    /// their pages only.
    fn values(&self, column: usize, rows: Range<usize>) -> Result<ArrayRef> {
        let (reader, cache) = (&self.segment.reader, &*self.segment.cache);
        let block = rows.start / BLOCK_ROWS;
        let around = reader.block_rows(self.at, block);
        if rows.end > around.end {
            return reader.read_rows(self.at, column, rows);
        }
        let array = if rows.len() * 2 >= around.len() {
            reader.block(cache, self.at, column, block)?
        } else if let Some(array) = reader.cached_block(cache, self.at, column, block) {
            array
        } else if reader.pages_of(self.at, column, rows.clone()).len() > 1 {
            return reader.read_rows(self.at, column, rows);
        } else {
            let Part { array, first } = reader.row(cache, self.at, column, rows.start)?;
            return Ok(array.slice(rows.start - first, rows.len()));
        };
        Ok(array.slice(rows.start - around.start, rows.len()))
    }

    /// The values at some offsets: few of them by decoding their pages only, others block by block.
    fn take(&self, column: usize, offsets: &[u64]) -> Result<ArrayRef> {
        if offsets.is_empty() {
            return self.values(column, 0..0);
        }
        let (reader, cache) = (&self.segment.reader, &*self.segment.cache);
        let by_page = offsets.len() <= PAGE_READS_MAX;
        let mut parts: BTreeMap<usize, (Part, Vec<u64>)> = BTreeMap::new();
        let mut places: Vec<(usize, usize)> = Vec::with_capacity(offsets.len());
        for offset in offsets {
            let at = *offset as usize;
            let unit = match by_page {
                true => reader.pages_of(self.at, column, at..at + 1).start,
                false => at / BLOCK_ROWS,
            };
            let (part, within) = match parts.entry(unit) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let part = match by_page {
                        true => reader.row(cache, self.at, column, at)?,
                        false => {
                            let array = reader.block(cache, self.at, column, unit)?;
                            Part { array, first: unit * BLOCK_ROWS }
                        }
                    };
                    entry.insert((part, Vec::new()))
                }
            };
            places.push((unit, within.len()));
            within.push(offset - part.first as u64);
        }
        if let (1, Some((_, (part, within)))) = (parts.len(), parts.first_key_value()) {
            return take(&part.array, within);
        }
        let taken = |(part, within): &(Part, Vec<u64>)| seal::flattened(&take(&part.array, within)?);
        let order: BTreeMap<usize, usize> = parts.keys().copied().zip(0..).collect();
        let parts = parts.values().map(taken).collect::<Result<Vec<_>>>()?;
        let places: Vec<(usize, usize)> = places.iter().map(|(unit, at)| (order[unit], *at)).collect();
        let parts: Vec<&dyn Array> = parts.iter().map(|a| &**a).collect();
        Ok(compute::interleave(&parts, &places)?)
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
    /// All values, decoded anew if they are cold: nothing of them is kept. 58030, XX001.
    pub(crate) fn array(&self) -> Result<ArrayRef> {
        match self {
            Self::Memory(array) => Ok(array.clone()),
            Self::Cold(group, column) => group.segment.reader.read_column(group.at, *column),
            Self::Constant(value, len) => seal::repeated(value, *len, true),
        }
    }

    /// The values of some rows. 58030, XX001.
    pub(crate) fn values(&self, rows: Range<usize>) -> Result<ArrayRef> {
        match self {
            Self::Memory(array) => Ok(array.slice(rows.start, rows.len())),
            Self::Cold(group, column) => group.values(*column, rows),
            Self::Constant(value, _) => seal::repeated(value, rows.len(), true),
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

    /// The smallest and the largest value around some rows of a cold column whose representation is an integer.
    pub(crate) fn bounds(&self, rows: Range<usize>) -> Option<(i64, i64)> {
        match self {
            Self::Cold(group, column) => group.segment.reader.bounds(group.at, *column, rows),
            Self::Memory(_) | Self::Constant(..) => None,
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
