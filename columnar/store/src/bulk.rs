//! Bulk loads beyond the budget of the hot tier: row groups that go into a segment as they come.
//!
//! Without it, all rows of one COPY would stay in memory until its end, when the freezer first sees them. Row groups are
//! encoded on the loader's threads and streamed into a file; when that has enough of them or the statement ends, the file is made
//! durable, and the log names it instead of holding its rows. A transaction that does not commit leaves a file that nothing refers
//! to: it goes at once, at the next checkpoint or at the next start.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef};
use spg_segment::{
    ChunkStats, EncodedGroup, GroupContent, GroupEncoder, RowIdRun, SegmentColumn, SegmentId, SegmentWriter,
};
use spg_types::{Error, Result, TableDef, TableId};

use crate::cold::{Segment, segment_path};
use crate::constraint::duplicate_key;
use crate::index::layout::SortedKeys;
use crate::op::{Op, SegmentRef};
use crate::prepare::PreparedBatch;
use crate::store::Store;
use crate::table::{Batch, TableSnapshot};
use crate::tier::cold_group;
use crate::txn::WriteTxn;
use crate::zone::GroupStats;

/// Row groups of a segment that a load writes.
const SEGMENT_GROUPS: usize = 16;

/// To which tier the rows of a bulk load go. A clone is a pointer.
#[derive(Clone)]
pub struct Placement(Option<Arc<Limits>>);

struct Limits {
    /// Bytes that hot rows may still come to.
    left: AtomicUsize,
    encoder: GroupEncoder,
}

impl Placement {
    /// All rows stay in memory.
    pub fn hot() -> Self {
        Self(None)
    }

    /// Row groups ready to be written, if that is where they go.
    pub(crate) fn encode(&self, columns: &[ArrayRef], stats: &GroupStats) -> Result<Option<EncodedGroup>> {
        let Some(limits) = &self.0 else { return Ok(None) };
        let bytes: usize = columns.iter().map(|c| c.get_array_memory_size()).sum();
        let less = |left: usize| left.checked_sub(bytes);
        if limits.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            return Ok(None);
        }
        let chunk = |(zone, sketch): (&spg_types::ColumnStats, &crate::sketch::Sketch)| ChunkStats {
            zone: zone.clone(),
            sketch: sketch.as_bytes().into(),
        };
        let len = columns.first().map_or(0, |c| c.len()) as u64;
        let content = GroupContent {
            columns,
            // The ids are given when the rows are written.
            runs: vec![RowIdRun { first: 0, len }],
            stats: stats.zones.iter().zip(&stats.sketches).map(chunk).collect(),
        };
        limits.encoder.encode(content).map(Some)
    }
}

/// The table's columns as a segment has them.
fn columns(def: &TableDef) -> Vec<SegmentColumn> {
    let column = |(i, c): (usize, &spg_types::ColumnDef)| SegmentColumn {
        name: c.name.clone(),
        ty: c.ty,
        required: c.not_null,
        key: def.indexes.iter().any(|index| index.columns.first().is_some_and(|k| k.column == i)),
    };
    def.columns.iter().enumerate().map(column).collect()
}

/// A segment that a transaction is writing. Dropped before it is finished, its file goes.
pub(crate) struct BulkSegment {
    store: Arc<Store>,
    table: TableId,
    id: u64,
    writer: Option<SegmentWriter>,
    groups: Vec<BulkGroup>,
}

/// What is still to be done for a row group that is written.
struct BulkGroup {
    ids: Range<u64>,
    keys: Vec<SortedKeys>,
}

impl BulkSegment {
    fn create(store: &Arc<Store>, def: &TableDef) -> Result<Self> {
        let Some(cold) = store.cold() else { return Err(Error::internal("there is no cold tier")) };
        let id = cold.new_id();
        let mut bulk = Self { store: store.clone(), table: def.id, id, writer: None, groups: Vec::new() };
        let file = cold.vfs.create(&segment_path(&cold.folder, id));
        let create = |file| SegmentWriter::create(file, def.id, SegmentId(id), columns(def), cold.options);
        match file.and_then(create) {
            Ok(writer) => bulk.writer = Some(writer),
            Err(error) => {
                cold.remove(id);
                return Err(error);
            }
        }
        Ok(bulk)
    }

    fn writer(&mut self) -> Result<&mut SegmentWriter> {
        self.writer.as_mut().ok_or_else(|| Error::internal("a segment was finished before"))
    }

    /// Makes the file durable and opens it.
    fn finish(mut self) -> Result<(Arc<Segment>, Vec<BulkGroup>)> {
        let Some(cold) = self.store.cold() else { return Err(Error::internal("there is no cold tier")) };
        let Some(writer) = self.writer.take() else { return Err(Error::internal("no segment was begun")) };
        let finished = writer.finish().and_then(|info| {
            cold.vfs.sync_dir(&cold.folder)?;
            cold.open(self.id, &info.root())
        });
        if finished.is_err() {
            cold.remove(self.id);
        }
        Ok((finished?, std::mem::take(&mut self.groups)))
    }
}

impl Drop for BulkSegment {
    fn drop(&mut self) {
        if let (Some(_), Some(cold)) = (self.writer.take(), self.store.cold()) {
            cold.remove(self.id);
        }
    }
}

impl WriteTxn {
    /// Where the rows of a bulk load into this table go: as long as there is room in the hot tier's budget, to memory.
    pub fn placement(&self, table: TableId) -> Result<Placement> {
        // Who writes beside others writes little.
        let Some(cold) = self.store.cold().filter(|_| self.shared.is_none()) else {
            return Ok(Placement::hot());
        };
        let table = self.draft_table(table)?;
        let def = table.def();
        if def.columns.is_empty() {
            return Ok(Placement::hot());
        }
        let hot = |t: &Arc<TableSnapshot>| t.row_groups().map(|g| g.bytes()).sum::<usize>();
        let left = match def.options.hot_tier_bytes {
            Some(own) => usize::try_from(own).unwrap_or(usize::MAX).saturating_sub(hot(table)),
            None => {
                let sharing = self.draft.tables().filter(|t| t.def().options.hot_tier_bytes.is_none());
                cold.hot_bytes.saturating_sub(sharing.map(hot).sum())
            }
        };
        let encoder = GroupEncoder::new(columns(def), cold.options);
        Ok(Placement(Some(Arc::new(Limits { left: AtomicUsize::new(left), encoder }))))
    }

    /// Writes a row group to the segment under way. The rows are the table's when the statement ends.
    pub(crate) fn append_cold(
        &mut self,
        table: TableId,
        mut group: EncodedGroup,
        mut batch: PreparedBatch,
    ) -> Result<Range<u64>> {
        if self.bulk.as_ref().is_some_and(|b| b.table != table || b.groups.len() >= SEGMENT_GROUPS) {
            self.finish_bulk()?;
        }
        let snapshot = self.draft_table(table)?;
        let layouts = snapshot.indexes().iter().map(|i| i.layout());
        if batch.keys.len() != layouts.len() || !batch.keys.iter().zip(layouts).all(|((k, _), l)| *k == **l) {
            return Err(Error::internal("the indexes of a table have changed while it was loaded"));
        }
        let (first, def) = (snapshot.allocate_row_ids(batch.len), snapshot.def().clone());
        let ids = first..first + batch.len as u64;
        let mut bulk = match self.bulk.take() {
            Some(bulk) => bulk,
            None => BulkSegment::create(&self.store, &def)?,
        };
        group.set_runs(vec![RowIdRun { first, len: batch.len as u64 }])?;
        bulk.writer()?.append(group)?;
        let keys = std::mem::take(&mut batch.keys).into_iter().map(|(_, keys)| keys).collect();
        bulk.groups.push(BulkGroup { ids: ids.clone(), keys });
        self.bulk = Some(bulk);
        Ok(ids)
    }

    /// Makes the rows of the segment under way the table's. 23505; 53100 or 58030 when it cannot be written.
    pub(crate) fn finish_bulk(&mut self) -> Result<()> {
        let Some(bulk) = self.bulk.take() else { return Ok(()) };
        let table = bulk.table;
        let (segment, groups) = bulk.finish()?;
        for (at, BulkGroup { ids, keys }) in groups.into_iter().enumerate() {
            let snapshot = self.draft_table(table)?;
            let group = cold_group(snapshot.def(), &segment, at, None)?;
            for (index, keys) in snapshot.indexes().iter().zip(&keys).filter(|(i, _)| i.def().unique) {
                if let Some(row) = index.duplicate(keys)? {
                    let row = &[row as u64];
                    let every: Vec<usize> = (0..snapshot.def().columns.len()).collect();
                    return Err(duplicate_key(snapshot.def(), index.def(), &group.take(row, &every)?, 0)?);
                }
            }
            let len = group.len();
            let segment = SegmentRef {
                id: segment.id(),
                root: segment.root,
                open: Some(segment.clone()),
                prepared: None,
            };
            let op = Op::AppendCold { table, segment, group: at as u32 };
            let batch = Batch { columns: Vec::new(), len, sealed: true, stats: None, keys };
            self.change_with(op, Some(batch))?;
            self.appended(table, ids)?;
        }
        Ok(())
    }
}

impl TableSnapshot {
    /// Adds a row group of a segment, whose rows are above all others; their keys where they are known. XX000 when they are not
    /// above, or the segment is not of this table's columns.
    pub(crate) fn append_cold(
        &mut self,
        segment: &Arc<Segment>,
        at: u32,
        mut keys: Vec<SortedKeys>,
    ) -> Result<()> {
        let group = cold_group(self.def(), segment, at as usize, None)?;
        if self.row_groups().next_back().is_some_and(|last| last.last_row_id() >= group.first_row_id()) {
            return Err(Error::internal(format!("rows of {segment:?} lie below others of their table")));
        }
        if keys.is_empty() && !self.leaves_indexes() {
            for index in self.indexes() {
                let columns = index.def().columns.iter().map(|c| group.column(c.column));
                let columns = columns.collect::<Result<Vec<_>>>()?;
                keys.push(index.layout().encode(&columns)?.sorted());
            }
        }
        self.append_group(group, &keys)
    }
}
