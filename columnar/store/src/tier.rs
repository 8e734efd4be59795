//! From one tier to the other: a segment takes the place of the row groups whose rows it holds.

use std::sync::Arc;

use roaring::RoaringBitmap;
use spg_segment::{ChunkStats, RowIdRun};
use spg_types::{Error, Result};

use crate::cold::{ColdGroup, Segment};
use crate::row_group::{RowGroup, RowIdMap};
use crate::table::TableSnapshot;

/// The row ids of a row group as runs.
pub(crate) fn runs(group: &RowGroup) -> Vec<RowIdRun> {
    let mut runs: Vec<RowIdRun> = Vec::new();
    if group.is_contiguous() {
        return vec![RowIdRun { first: group.first_row_id(), len: group.len() as u64 }];
    }
    for id in group.row_ids(0, group.len()) {
        match runs.last_mut() {
            Some(run) if run.first + run.len == id => run.len += 1,
            _ => runs.push(RowIdRun { first: id, len: 1 }),
        }
    }
    runs
}

/// What a segment keeps of what is known of a row group.
pub(crate) fn chunk_stats(group: &RowGroup) -> Vec<ChunkStats> {
    let sketches = group.sketches();
    let stats = |(zone, sketch): (&spg_types::ColumnStats, &crate::sketch::Sketch)| ChunkStats {
        zone: zone.clone(),
        sketch: sketch.as_bytes().into(),
    };
    group.zones().iter().zip(sketches).map(stats).collect()
}

/// Row ids from runs. XX001 when they do not ascend, or lie too far apart.
fn row_ids(runs: &[RowIdRun]) -> Option<RowIdMap> {
    if let [run] = runs {
        return Some(RowIdMap::Contiguous(run.first));
    }
    let ids: Vec<u64> = runs.iter().flat_map(|r| r.first..r.first + r.len).collect();
    RowIdMap::from_ids(&ids)
}

/// A row group of a segment as one of the table's.
pub(crate) fn cold_group(
    table: &Arc<spg_types::TableDef>,
    segment: &Arc<Segment>,
    at: usize,
    deletes: Option<RoaringBitmap>,
) -> Result<RowGroup> {
    let wrong = || Error::internal(format!("row group {at} of {segment:?} does not fit its table"));
    let meta = segment.reader.groups().get(at).filter(|_| segment.fits(table)).ok_or_else(wrong)?;
    let row_ids = row_ids(&meta.runs).ok_or_else(wrong)?;
    if deletes.as_ref().and_then(RoaringBitmap::max).is_some_and(|last| last as usize >= meta.rows) {
        return Err(wrong());
    }
    let group = ColdGroup { segment: segment.clone(), at };
    Ok(RowGroup::cold(table, group, meta.rows, row_ids, deletes))
}

impl TableSnapshot {
    /// Puts a segment in the place of the row groups that hold its rows. Its rows that are deleted by now are marked; live rows of
    /// those row groups that it does not have stay as they are. XX000 when the segment is not of this table's columns, or has
    /// rows that the table has not given out.
    pub(crate) fn swap_in(&mut self, segment: &Arc<Segment>) -> Result<()> {
        let before = self.rows();
        for at in 0..segment.reader.groups().len() {
            let cold = cold_group(self.def(), segment, at, None)?;
            let (first, last) = (cold.first_row_id(), cold.last_row_id());
            let range = self.groups_between(first, last);
            let mut alive = RoaringBitmap::new();
            let mut left: Vec<Arc<RowGroup>> = Vec::new();
            let mut right: Vec<Arc<RowGroup>> = Vec::new();
            let mut sealed = true;
            for position in range.clone() {
                let Some(group) = self.row_group(position) else { continue };
                sealed &= group.is_sealed();
                if group.has_same_ids(&cold) {
                    alive.insert_range(0..cold.len() as u32);
                    if let Some(deletes) = group.deletes() {
                        alive -= deletes;
                    }
                    continue;
                }
                let mut kept: Vec<u64> = Vec::new();
                for offset in (0..group.len()).filter(|o| group.is_live(*o)) {
                    match cold.offset_of(group.row_id(offset)) {
                        Some(place) => _ = alive.insert(place as u32),
                        None => kept.push(offset as u64),
                    }
                }
                let (low, high) = kept.split_at(kept.partition_point(|o| group.row_id(*o as usize) < first));
                if high.first().is_some_and(|o| group.row_id(*o as usize) < last) {
                    return Err(Error::internal(format!("{segment:?} lacks rows between those that it has")));
                }
                left.extend(group.subset(low)?.map(Arc::new));
                right.extend(group.subset(high)?.map(Arc::new));
            }
            let mut deletes = RoaringBitmap::new();
            deletes.insert_range(0..cold.len() as u32);
            deletes -= alive;
            let mut groups = left;
            if (deletes.len() as usize) < cold.len() {
                groups.push(Arc::new(cold.with_deletes(deletes)));
            }
            groups.extend(right);
            self.replace_groups(range, groups, !sealed);
        }
        if self.rows() == before {
            Ok(())
        } else {
            Err(Error::internal(format!("{segment:?} has other rows than the table")))
        }
    }
}
