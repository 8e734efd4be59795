//! Writing segments: the live rows of row groups go into a new file, which is durable before anything refers to it, and then
//! takes their place.
//!
//! Writers go on meanwhile; the swap is a commit beside theirs, and what it costs follows the rows deleted meanwhile. A failure or a
//! crash before the swap is logged leaves a file that nothing refers to; it is removed at once or at the next start.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::ArrayRef;
use spg_segment::{EncodedGroup, GroupContent, GroupEncoder, SegmentColumn, SegmentId, SegmentWriter};
use spg_types::{ColumnDef, Error, Result, SqlState, TableDef};

use crate::LockWait;
use crate::cold::{Segment, segment_path};
use crate::cold_tier::ColdTier;
use crate::parallel;
use crate::row_group::{ROW_GROUP_ROWS, RowGroup};
use crate::seal;
use crate::store::Store;
use crate::table::TableSnapshot;
use crate::tier::{Replacement, chunk_stats, cold_group, runs};
use crate::txn::WriteTxn;

/// How a segment is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Behind everybody else.
    Aside,
    /// With all processors: memory runs out otherwise.
    Urgent,
}

/// What a segment is written from. It holds row groups and no snapshot, so that nothing else lives longer for it.
pub(crate) struct SegmentJob {
    def: Arc<TableDef>,
    columns_id: u64,
    /// The row groups to be, each with the neighbours whose live rows it gets.
    groups: Vec<Vec<Arc<RowGroup>>>,
}

/// Row groups by their positions, put together so that small neighbours become one.
pub(crate) fn joined(groups: impl IntoIterator<Item = (usize, Arc<RowGroup>)>) -> Vec<Vec<Arc<RowGroup>>> {
    let mut out: Vec<Vec<Arc<RowGroup>>> = Vec::new();
    let (mut rows, mut next) = (0, 0);
    for (position, group) in groups {
        rows += group.live_rows();
        let near = |first: &RowGroup| u32::try_from(group.last_row_id() - first.first_row_id()).is_ok();
        match out.last_mut() {
            Some(set) if position == next && rows <= ROW_GROUP_ROWS && near(&set[0]) => set.push(group),
            _ => {
                rows = group.live_rows();
                out.push(vec![group]);
            }
        }
        next = position + 1;
    }
    out
}

impl SegmentJob {
    /// Of row groups of a table by their positions, in order. `None` when there are none.
    pub(crate) fn new(
        table: &TableSnapshot,
        groups: impl IntoIterator<Item = (usize, Arc<RowGroup>)>,
    ) -> Option<Self> {
        let groups = joined(groups);
        let job = Self { def: table.def().clone(), columns_id: table.columns_id(), groups };
        (!job.groups.is_empty()).then_some(job)
    }

    /// The table's columns as the segment has them.
    fn columns(&self) -> Vec<SegmentColumn> {
        let groups = || self.groups.iter().flatten();
        let column = |(i, c): (usize, &ColumnDef)| SegmentColumn {
            name: c.name.clone(),
            ty: c.ty,
            required: c.not_null && groups().all(|g| g.zone(i).null_count == 0),
            key: self.def.indexes.iter().any(|index| index.columns.first().is_some_and(|k| k.column == i)),
        };
        self.def.columns.iter().enumerate().map(column).collect()
    }

    /// One of the row groups, encoded.
    fn encode(&self, encoder: &GroupEncoder, sources: &[Arc<RowGroup>]) -> Result<EncodedGroup> {
        let group = match sources {
            [whole] if whole.deletes().is_none() => (**whole).clone(),
            _ => {
                let merged = RowGroup::merged(sources)?;
                merged.ok_or_else(|| Error::internal("row groups to be joined lie too far apart"))?
            }
        };
        let mut arrays: Vec<ArrayRef> = group.columns()?;
        if !group.is_sealed() {
            for (array, column) in arrays.iter_mut().zip(&self.def.columns) {
                *array = seal::sealed(column.ty.repr(), array.clone())?;
            }
        }
        encoder.encode(GroupContent { columns: &arrays, runs: runs(&group), stats: chunk_stats(&group) })
    }

    /// Writes a new segment, durably, and opens it.
    fn write(&self, cold: &ColdTier, threads: usize, wait: &LockWait) -> Result<Arc<Segment>> {
        let id = cold.new_id();
        let path = segment_path(&cold.folder, id);
        let write = || -> Result<Arc<Segment>> {
            let file = cold.vfs.create(&path)?;
            let mut writer =
                SegmentWriter::create(file, self.def.id, SegmentId(id), self.columns(), cold.options)?;
            let encoder = writer.encoder();
            for sets in self.groups.chunks(threads.max(1)) {
                if wait.cancelled.as_ref().is_some_and(|c| c.load(Ordering::Relaxed)) {
                    let message = "canceling statement due to user request";
                    return Err(Error::new(SqlState::QUERY_CANCELED, message));
                }
                let encoded = parallel::map_on(threads, sets, |sources| self.encode(&encoder, sources))?;
                encoded.into_iter().try_for_each(|group| writer.append(group))?;
            }
            let info = writer.finish()?;
            cold.vfs.sync_dir(&cold.folder)?;
            cold.open(id, &info.root())
        };
        let written = write();
        if written.is_err() {
            cold.remove(id);
        }
        written
    }

    /// The segment's row groups, ready to take the place of theirs.
    fn replacements(&self, segment: &Arc<Segment>) -> Result<Vec<Replacement>> {
        let replacement = |(at, sources): (usize, &Vec<Arc<RowGroup>>)| {
            let group = cold_group(&self.def, segment, at, None)?;
            Ok(Replacement { group, sources: sources.clone() })
        };
        self.groups.iter().enumerate().map(replacement).collect()
    }
}

impl Store {
    /// Writes the segment and puts it in the place of its row groups; how many rows it has, 0 when the table is gone or has other
    /// columns by now. 55P03, 57014 while waiting for the writer; 53100 or 58030 when the file cannot be written.
    pub(crate) fn move_to_segment(
        self: &Arc<Self>,
        cold: &ColdTier,
        job: SegmentJob,
        pace: Pace,
        wait: &LockWait,
    ) -> Result<u64> {
        let threads = parallel::threads();
        let segment = match pace {
            Pace::Aside => parallel::aside(threads, |threads| job.write(cold, threads, wait)),
            Pace::Urgent => job.write(cold, threads, wait),
        }?;
        let (id, rows) = (segment.id(), segment.reader.info().rows);
        let swap = || -> Result<Option<WriteTxn>> {
            let prepared = job.replacements(&segment)?;
            let mut txn = self.begin_shared(wait)?;
            Ok(txn.swap_in(job.def.id, job.columns_id, &segment, prepared)?.then_some(txn))
        };
        match swap() {
            // What becomes of the file of a commit that fails is found out at the next start: it may be in the log.
            Ok(Some(txn)) => txn.commit()?.wait().map(|()| rows),
            other => {
                drop(segment);
                cold.remove(id);
                other.map(|_| 0)
            }
        }
    }
}
