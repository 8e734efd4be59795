//! A row group: some rows of a table, immutable.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute;
use parking_lot::Mutex;
use roaring::RoaringBitmap;
use spg_segment::BLOCK_ROWS;
use spg_types::{ColumnStats, Result, TableDef};

use crate::cold::{ColdGroup, ColumnSource};
use crate::seal;
use crate::sketch::Sketch;
use crate::zone::{Aggregate, GroupStats, NewColumn, integer};

/// Rows of a row group, at most.
pub const ROW_GROUP_ROWS: usize = 131_072;

/// Sketches of smaller groups are not kept: hashing the rows again is as fast as merging.
const SKETCHED_ROWS_MIN: usize = 1_024;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Some rows of a table with ascending row ids; a version of them, as deletes make new ones that share the columns.
#[derive(Clone, Debug)]
pub struct RowGroup {
    id: u64,
    data: Arc<RowData>,
    deletes: Option<Arc<RoaringBitmap>>,
    live: usize,
}

#[derive(Debug)]
struct RowData {
    def: Arc<TableDef>,
    columns: Vec<ColumnSource>,
    len: usize,
    row_ids: RowIdMap,
    /// Whether encodings have been chosen for good.
    sealed: bool,
    zones: OnceLock<Vec<ColumnStats>>,
    sketches: OnceLock<Vec<Sketch>>,
    /// Where a checkpoint has written the rows.
    home: Mutex<Option<Place>>,
}

/// Where a row group lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In a hot file: its id, and which of the file's groups.
    Hot(u64, u32),
    /// In a segment: its id, and which of the segment's groups.
    Cold(u64, u32),
}

/// What a row group is put together from again.
pub(crate) struct Restored {
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) len: usize,
    pub(crate) row_ids: RowIdMap,
    pub(crate) sealed: bool,
    pub(crate) zones: Option<Vec<ColumnStats>>,
    pub(crate) sketches: Option<Vec<Sketch>>,
    pub(crate) home: Place,
    pub(crate) deletes: Option<RoaringBitmap>,
}

/// The row ids of a group. Gaps come from rolled-back inserts and from rows that were deleted and have been cleared away.
#[derive(Clone, Debug)]
pub(crate) enum RowIdMap {
    /// `first`, `first + 1`, ...
    Contiguous(u64),
    /// `first + offsets[i]`, ascending.
    Sparse(u64, Arc<[u32]>),
}

impl RowIdMap {
    fn first(&self) -> u64 {
        match self {
            Self::Contiguous(first) | Self::Sparse(first, _) => *first,
        }
    }

    fn get(&self, offset: usize) -> u64 {
        match self {
            Self::Contiguous(first) => first + offset as u64,
            Self::Sparse(first, offsets) => first + u64::from(offsets[offset]),
        }
    }

    fn find(&self, row_id: u64, len: usize) -> Option<usize> {
        let distance = row_id.checked_sub(self.first())?;
        match self {
            Self::Contiguous(_) => usize::try_from(distance).ok().filter(|d| *d < len),
            Self::Sparse(_, offsets) => offsets.binary_search(&u32::try_from(distance).ok()?).ok(),
        }
    }

    /// From ascending ids; `None` when they lie too far apart for one group.
    pub(crate) fn from_ids(ids: &[u64]) -> Option<Self> {
        let (first, last) = (*ids.first()?, *ids.last()?);
        if last - first == ids.len() as u64 - 1 {
            return Some(Self::Contiguous(first));
        }
        u32::try_from(last - first).ok()?;
        Some(Self::Sparse(first, ids.iter().map(|id| (id - first) as u32).collect()))
    }
}

impl RowGroup {
    /// Rows with contiguous ids from `first_row_id` on.
    pub(crate) fn new(
        def: &Arc<TableDef>,
        columns: Vec<ArrayRef>,
        len: usize,
        first_row_id: u64,
        sealed: bool,
        stats: Option<GroupStats>,
    ) -> Self {
        Self::with_ids(def, columns, len, RowIdMap::Contiguous(first_row_id), sealed, stats)
    }

    fn with_ids(
        def: &Arc<TableDef>,
        columns: Vec<ArrayRef>,
        len: usize,
        row_ids: RowIdMap,
        sealed: bool,
        stats: Option<GroupStats>,
    ) -> Self {
        let (zones, sketches) = match stats {
            Some(stats) => (OnceLock::from(stats.zones), OnceLock::from(stats.sketches)),
            None => (OnceLock::new(), OnceLock::new()),
        };
        let columns = columns.into_iter().map(ColumnSource::Memory).collect();
        let home = Mutex::new(None);
        let data = RowData { def: def.clone(), columns, len, row_ids, sealed, zones, sketches, home };
        Self { id: next_id(), data: Arc::new(data), deletes: None, live: len }
    }

    /// Rows that a checkpoint has kept.
    pub(crate) fn restored(def: &Arc<TableDef>, from: Restored) -> Self {
        let Restored { columns, len, row_ids, sealed, zones, sketches, home, deletes } = from;
        let live = len - deletes.as_ref().map_or(0, |d| d.len() as usize);
        let data = RowData {
            def: def.clone(),
            columns: columns.into_iter().map(ColumnSource::Memory).collect(),
            len,
            row_ids,
            sealed,
            zones: zones.map_or_else(OnceLock::new, OnceLock::from),
            sketches: sketches.map_or_else(OnceLock::new, OnceLock::from),
            home: Mutex::new(Some(home)),
        };
        Self { id: next_id(), data: Arc::new(data), deletes: deletes.map(Arc::new), live }
    }

    pub(crate) fn home(&self) -> Option<Place> {
        *self.data.home.lock()
    }

    pub(crate) fn set_home(&self, home: Place) {
        *self.data.home.lock() = Some(home);
    }

    pub(crate) fn row_id_map(&self) -> &RowIdMap {
        &self.data.row_ids
    }

    /// Rows that lie in a segment, one source per column of the table.
    pub(crate) fn cold(
        def: &Arc<TableDef>,
        home: Place,
        columns: Vec<ColumnSource>,
        len: usize,
        row_ids: RowIdMap,
        deletes: Option<RoaringBitmap>,
    ) -> Self {
        let home = Mutex::new(Some(home));
        let (zones, sketches) = (OnceLock::new(), OnceLock::new());
        let data = RowData { def: def.clone(), columns, len, row_ids, sealed: true, zones, sketches, home };
        let whole = Self { id: next_id(), data: Arc::new(data), deletes: None, live: len };
        match deletes {
            Some(deletes) => whole.with_deletes(deletes),
            None => whole,
        }
    }

    /// The same rows with exactly these deleted.
    pub(crate) fn with_deletes(&self, deletes: RoaringBitmap) -> Self {
        let live = self.len() - deletes.len() as usize;
        let deletes = (!deletes.is_empty()).then(|| Arc::new(deletes));
        Self { id: next_id(), data: self.data.clone(), deletes, live }
    }

    /// Whether both have the same rows by their ids, deleted ones included.
    pub(crate) fn has_same_ids(&self, other: &RowGroup) -> bool {
        self.len() == other.len()
            && self.first_row_id() == other.first_row_id()
            && self.last_row_id() == other.last_row_id()
            && match (&self.data.row_ids, &other.data.row_ids) {
                (RowIdMap::Contiguous(_), RowIdMap::Contiguous(_)) => true,
                (RowIdMap::Sparse(_, a), RowIdMap::Sparse(_, b)) => a == b,
                _ => false,
            }
    }

    /// Whether rows lie in a segment.
    pub fn is_cold(&self) -> bool {
        self.segment().is_some()
    }

    /// The segment that columns lie in.
    pub(crate) fn segment(&self) -> Option<&ColdGroup> {
        self.data.columns.iter().find_map(|c| match c {
            ColumnSource::Cold(group, _) => Some(group),
            ColumnSource::Memory(_) | ColumnSource::Constant(..) => None,
        })
    }

    /// Where the columns are.
    pub(crate) fn sources(&self) -> &[ColumnSource] {
        &self.data.columns
    }

    /// Whether the other is a version of this one: they differ in their deleted rows at most.
    pub(crate) fn is_version_of(&self, other: &RowGroup) -> bool {
        Arc::ptr_eq(&self.data, &other.data)
    }

    /// The rows deleted here that the earlier version `then` still has, by their offsets.
    pub(crate) fn deleted_since(&self, then: &RowGroup) -> RoaringBitmap {
        match (&self.deletes, &then.deletes) {
            (None, _) => RoaringBitmap::new(),
            (Some(now), Some(then)) if Arc::ptr_eq(now, then) => RoaringBitmap::new(),
            (Some(now), Some(then)) => &**now - &**then,
            (Some(now), None) => (**now).clone(),
        }
    }

    /// A number that no other content (columns and deletes) has or will have while this process lives.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The id of its first row. Row `i` has the id [`RowGroup::row_id`], not always `first_row_id + i`.
    pub fn first_row_id(&self) -> u64 {
        self.data.row_ids.first()
    }

    /// The id of its last row.
    pub fn last_row_id(&self) -> u64 {
        self.data.row_ids.get(self.data.len - 1)
    }

    /// The id of the row at `offset`.
    pub fn row_id(&self, offset: usize) -> u64 {
        self.data.row_ids.get(offset)
    }

    /// Whether row ids have no gaps.
    pub fn is_contiguous(&self) -> bool {
        matches!(self.data.row_ids, RowIdMap::Contiguous(_))
    }

    /// The ids of `len` rows from `offset` on.
    pub fn row_ids(&self, offset: usize, len: usize) -> Vec<u64> {
        match &self.data.row_ids {
            RowIdMap::Contiguous(first) => (first + offset as u64..first + (offset + len) as u64).collect(),
            RowIdMap::Sparse(first, offsets) => {
                offsets[offset..offset + len].iter().map(|o| first + u64::from(*o)).collect()
            }
        }
    }

    /// The offsets of the rows whose ids are at least `first` and below `end`.
    pub fn offsets_between(&self, first: u64, end: u64) -> Range<usize> {
        let before = |id: u64| match &self.data.row_ids {
            RowIdMap::Contiguous(from) => (id.saturating_sub(*from) as usize).min(self.len()),
            RowIdMap::Sparse(from, offsets) => {
                let distance = id.saturating_sub(*from);
                offsets.partition_point(|o| u64::from(*o) < distance)
            }
        };
        let start = before(first);
        start..before(end).max(start)
    }

    /// The offset of a row, deleted or not.
    pub fn offset_of(&self, row_id: u64) -> Option<usize> {
        self.data.row_ids.find(row_id, self.data.len)
    }

    /// Rows, deleted ones included.
    pub fn len(&self) -> usize {
        self.data.len
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.data.len == 0
    }

    /// The column at that position of the table: flat, or `Dictionary(UInt16, Utf8View)` for strings with few values. A cold
    /// one is decoded and not kept. 58030, XX001.
    pub fn column(&self, i: usize) -> Result<ArrayRef> {
        self.data.columns[i].array()
    }

    /// All columns. 58030, XX001.
    pub fn columns(&self) -> Result<Vec<ArrayRef>> {
        self.data.columns.iter().map(ColumnSource::array).collect()
    }

    /// Bounds, NULLs and distinct values of a column, over deleted rows too.
    pub fn zone(&self, i: usize) -> &ColumnStats {
        &self.zones()[i]
    }

    /// Some rows of a column, as [`RowGroup::column`] has them. Of a cold one what is needed is decoded, or comes from the cache,
    /// best in one of its [`RowGroup::blocks`]. 58030, XX001.
    pub fn values(&self, i: usize, rows: Range<usize>) -> Result<ArrayRef> {
        self.data.columns[i].values(rows)
    }

    /// The rows in parts that cold columns are decoded in.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let len = self.len();
        (0..len).step_by(BLOCK_ROWS).map(move |start| start..(start + BLOCK_ROWS).min(len))
    }

    /// Bounds of some rows of a column; `None` where nothing is known that [`RowGroup::zone`] does not say.
    pub fn zone_within(&self, i: usize, rows: Range<usize>) -> Option<ColumnStats> {
        let (min, max) = self.data.columns[i].bounds(rows)?;
        let repr = self.data.def.columns[i].ty.repr();
        // Not known to be without NULLs: bounds rule rows out, never in.
        let (null_count, distinct) = (1, self.zone(i).distinct);
        Some(ColumnStats {
            min: integer(repr, min),
            max: integer(repr, max),
            null_count,
            distinct,
            avg_width: 0.0,
        })
    }

    /// One zone map per column, computed when first asked for.
    pub(crate) fn zones(&self) -> &[ColumnStats] {
        let RowData { def, columns, .. } = &*self.data;
        let compute = || def.columns.iter().zip(columns).map(|(def, c)| c.zone(def)).collect();
        self.data.zones.get_or_init(compute)
    }

    /// One sketch per column, computed when first asked for.
    pub(crate) fn sketches(&self) -> &[Sketch] {
        self.data.sketches.get_or_init(|| self.data.columns.iter().map(ColumnSource::sketch).collect())
    }

    /// Adds what is known of the columns.
    pub(crate) fn add_to(&self, all: &mut Aggregate) {
        all.add_zones(self.zones(), self.len() as u64);
        let in_memory = |c: &ColumnSource| match c {
            ColumnSource::Memory(array) => Some(array.clone()),
            ColumnSource::Cold(..) | ColumnSource::Constant(..) => None,
        };
        match self.data.columns.iter().map(in_memory).collect::<Option<Vec<ArrayRef>>>() {
            Some(columns) if self.len() < SKETCHED_ROWS_MIN => all.add_values(&columns),
            _ => all.add_sketches(self.sketches()),
        }
    }

    /// The offsets of deleted rows; `None` when there are none.
    pub fn deletes(&self) -> Option<&RoaringBitmap> {
        self.deletes.as_deref()
    }

    /// Rows that are not deleted.
    pub fn live_rows(&self) -> usize {
        self.live
    }

    /// Whether the row at `offset` is not deleted.
    pub fn is_live(&self, offset: usize) -> bool {
        self.deletes.as_ref().is_none_or(|d| !d.contains(offset as u32))
    }

    /// Bytes of memory that the columns take, and row ids with gaps.
    pub fn bytes(&self) -> usize {
        let row_ids = match &self.data.row_ids {
            RowIdMap::Sparse(_, offsets) if !self.is_cold() => offsets.len() * size_of::<u32>(),
            _ => 0,
        };
        self.data.columns.iter().map(ColumnSource::bytes).sum::<usize>() + row_ids
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.data.sealed
    }

    /// Marks rows as deleted; how many were not before.
    pub(crate) fn delete(&mut self, offsets: impl IntoIterator<Item = u32>) -> usize {
        let deletes = Arc::make_mut(self.deletes.get_or_insert_with(Arc::default));
        let deleted = offsets.into_iter().filter(|o| deletes.insert(*o)).count();
        self.live -= deleted;
        self.id = next_id();
        deleted
    }

    /// Set for the rows that are not deleted; `None` when all are.
    pub fn live_mask(&self) -> Option<BooleanBuffer> {
        let deletes = self.deletes.as_ref()?;
        let mut mask = arrow::array::BooleanBufferBuilder::new(self.len());
        mask.append_n(self.len(), true);
        deletes.iter().for_each(|o| mask.set_bit(o as usize, false));
        Some(mask.finish())
    }

    /// The live rows of neighbouring groups as one, sealed when it is large enough to stay. `None` when their ids lie too far
    /// apart.
    pub(crate) fn merged(groups: &[Arc<RowGroup>]) -> Result<Option<RowGroup>> {
        let Some(last) = groups.last() else { return Ok(None) };
        let def = &last.data.def;
        let ids: Vec<u64> = groups.iter().flat_map(|g| g.live_ids()).collect();
        let Some(row_ids) = RowIdMap::from_ids(&ids) else { return Ok(None) };
        let masks: Vec<Option<BooleanArray>> =
            groups.iter().map(|g| g.live_mask().map(|m| BooleanArray::new(m, None))).collect();
        let sealed = ids.len() >= seal::SEALED_ROWS_MIN;
        let mut columns = Vec::with_capacity(def.columns.len());
        for (i, column) in def.columns.iter().enumerate() {
            let mut parts = Vec::with_capacity(groups.len());
            for (g, mask) in groups.iter().zip(&masks) {
                let part = match mask {
                    Some(mask) => compute::filter(&g.data.columns[i].array()?, mask)?,
                    None => g.data.columns[i].array()?,
                };
                // A dictionary that comes out of a merge alone stays; several are written out and chosen anew.
                parts.push(if groups.len() > 1 { seal::flattened(&part)? } else { part });
            }
            let parts: Vec<&dyn Array> = parts.iter().map(|p| &**p).collect();
            let joined = compute::concat(&parts)?;
            columns.push(if sealed {
                seal::sealed(column.ty.repr(), joined)?
            } else {
                seal::compacted(joined)
            });
        }
        Ok(Some(Self::with_ids(def, columns, ids.len(), row_ids, sealed, None)))
    }

    fn live_ids(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.len()).filter(|o| self.is_live(*o)).map(|o| self.row_id(o))
    }

    /// The same rows under a definition with the same columns, if it is another one.
    pub(crate) fn redefined_if_needed(&self, def: &Arc<TableDef>) -> Self {
        if Arc::ptr_eq(def, &self.data.def) { self.clone() } else { self.redefined(def) }
    }

    /// The same rows under a definition with the same columns.
    pub(crate) fn redefined(&self, def: &Arc<TableDef>) -> Self {
        let data = RowData {
            def: def.clone(),
            columns: self.data.columns.clone(),
            len: self.data.len,
            row_ids: self.data.row_ids.clone(),
            sealed: self.data.sealed,
            zones: self.data.zones.clone(),
            sketches: self.data.sketches.clone(),
            home: Mutex::new(self.home()),
        };
        Self { data: Arc::new(data), ..self.clone() }
    }

    /// The same rows with one more column.
    pub(crate) fn with_column(&self, def: &Arc<TableDef>, source: ColumnSource, added: &NewColumn) -> Self {
        let mut columns = self.data.columns.clone();
        columns.push(source);
        let extended = |zones: &Vec<ColumnStats>| [&zones[..], &[added.zone(self.len())]].concat().into();
        let zones = self.data.zones.get().map_or_else(OnceLock::new, extended);
        let extended =
            |sketches: &Vec<Sketch>| [&sketches[..], std::slice::from_ref(&added.sketch)].concat().into();
        let sketches = self.data.sketches.get().map_or_else(OnceLock::new, extended);
        self.with_data(def, columns, zones, sketches)
    }

    /// The same rows without a column.
    pub(crate) fn without_column(&self, def: &Arc<TableDef>, at: usize) -> Self {
        fn without<T: Clone>(all: &[T], at: usize) -> Vec<T> {
            [&all[..at], &all[at + 1..]].concat()
        }
        let zones = self.data.zones.get().map_or_else(OnceLock::new, |z| without(z, at).into());
        let sketches = self.data.sketches.get().map_or_else(OnceLock::new, |s| without(s, at).into());
        self.with_data(def, without(&self.data.columns, at), zones, sketches)
    }

    fn with_data(
        &self,
        def: &Arc<TableDef>,
        columns: Vec<ColumnSource>,
        zones: OnceLock<Vec<ColumnStats>>,
        sketches: OnceLock<Vec<Sketch>>,
    ) -> Self {
        let RowData { len, row_ids, sealed, .. } = &*self.data;
        let (len, row_ids, sealed) = (*len, row_ids.clone(), *sealed);
        // A hot file has other columns now; what a segment has is found by the sources.
        let cold = columns.iter().any(|c| matches!(c, ColumnSource::Cold(..)));
        let home = Mutex::new(self.home().filter(|_| cold));
        let data = RowData { def: def.clone(), columns, len, row_ids, sealed, zones, sketches, home };
        Self { id: next_id(), data: Arc::new(data), ..self.clone() }
    }

    /// The rows at some offsets, of some columns. 58030, XX001.
    pub(crate) fn take(&self, offsets: &[u64], projection: &[usize]) -> Result<Vec<ArrayRef>> {
        projection.iter().map(|c| self.data.columns[*c].take(offsets)).collect()
    }

    /// The rows at some ascending offsets as a group of their own, in memory; `None` when there are none.
    pub(crate) fn subset(&self, offsets: &[u64]) -> Result<Option<RowGroup>> {
        let ids: Vec<u64> = offsets.iter().map(|o| self.row_id(*o as usize)).collect();
        let Some(row_ids) = RowIdMap::from_ids(&ids) else { return Ok(None) };
        let every: Vec<usize> = (0..self.data.columns.len()).collect();
        let columns = self.take(offsets, &every)?.into_iter().map(seal::compacted).collect();
        Ok(Some(Self::with_ids(&self.data.def, columns, ids.len(), row_ids, self.is_sealed(), None)))
    }
}

fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}
