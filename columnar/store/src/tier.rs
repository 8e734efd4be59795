//! From one tier to the other: row groups take the place of those whose rows they hold.

use std::sync::Arc;

use roaring::RoaringBitmap;
use spg_segment::{ChunkStats, RowIdRun};
use spg_types::{ColumnDef, Error, Result, TableDef};

use crate::codec::{Reader, Writer};
use crate::cold::{ColdGroup, ColumnSource, Segment};
use crate::manifest::ColumnEntry;
use crate::row_codec::{read_values, write_values};
use crate::row_group::{Place, RowGroup, RowIdMap};
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

/// The row ids of a segment's row group, and its deletes checked against it.
fn group_ids(
    segment: &Arc<Segment>,
    at: usize,
    deletes: Option<&RoaringBitmap>,
    wrong: impl Fn() -> Error,
) -> Result<(usize, RowIdMap)> {
    let meta = segment.reader.groups().get(at).ok_or_else(&wrong)?;
    let ids = row_ids(&meta.runs).ok_or_else(&wrong)?;
    match deletes.and_then(RoaringBitmap::max) {
        Some(last) if last as usize >= meta.rows => Err(wrong()),
        _ => Ok((meta.rows, ids)),
    }
}

/// A row group of a segment as one of the table's.
pub(crate) fn cold_group(
    table: &Arc<TableDef>,
    segment: &Arc<Segment>,
    at: usize,
    deletes: Option<RoaringBitmap>,
) -> Result<RowGroup> {
    let wrong = || Error::internal(format!("row group {at} of {segment:?} does not fit its table"));
    if !segment.fits(table) {
        return Err(wrong());
    }
    let (rows, ids) = group_ids(segment, at, deletes.as_ref(), wrong)?;
    let group = ColdGroup { segment: segment.clone(), at };
    let columns = (0..table.columns.len()).map(|c| ColumnSource::Cold(group.clone(), c)).collect();
    Ok(RowGroup::cold(table, Place::Cold(segment.id(), at as u32), columns, rows, ids, deletes))
}

/// A row group of a segment whose columns are not the table's any more, as one of the table's.
pub(crate) fn altered_cold_group(
    table: &Arc<TableDef>,
    segment: &Arc<Segment>,
    at: usize,
    columns: &[ColumnEntry],
    deletes: Option<RoaringBitmap>,
) -> Result<RowGroup> {
    let wrong = || Error::internal(format!("row group {at} of {segment:?} does not fit its altered table"));
    if segment.reader.info().table != table.id || columns.len() != table.columns.len() {
        return Err(wrong());
    }
    let (rows, ids) = group_ids(segment, at, deletes.as_ref(), wrong)?;
    let source = |(def, entry): (&ColumnDef, &ColumnEntry)| -> Result<ColumnSource> {
        match entry {
            ColumnEntry::Segment(column) => {
                let column = *column as usize;
                let found = segment.reader.columns().get(column).filter(|c| c.ty == def.ty);
                found.ok_or_else(wrong)?;
                Ok(ColumnSource::Cold(ColdGroup { segment: segment.clone(), at }, column))
            }
            ColumnEntry::Value(bytes) => {
                Ok(ColumnSource::Constant(read_values(&mut Reader(bytes), def, 1)?, rows))
            }
        }
    };
    let sources = table.columns.iter().zip(columns).map(source).collect::<Result<_>>()?;
    Ok(RowGroup::cold(table, Place::Cold(segment.id(), at as u32), sources, rows, ids, deletes))
}

/// Where the columns of a row group in a segment come from; `None` when they are the segment's, one by one.
pub(crate) fn altered_columns(table: &TableDef, group: &RowGroup) -> Result<Option<Vec<ColumnEntry>>> {
    let Some(cold) = group.segment() else { return Ok(None) };
    let sources = group.sources();
    let own = |(i, source): (usize, &ColumnSource)| matches!(source, ColumnSource::Cold(_, at) if *at == i);
    if sources.len() == cold.segment.reader.columns().len() && sources.iter().enumerate().all(own) {
        return Ok(None);
    }
    let entry = |(source, column): (&ColumnSource, &ColumnDef)| match source {
        ColumnSource::Cold(_, at) => Ok(ColumnEntry::Segment(*at as u32)),
        ColumnSource::Constant(value, _) => {
            let mut w = Writer::default();
            write_values(&mut w, column, value)?;
            Ok(ColumnEntry::Value(w.0))
        }
        ColumnSource::Memory(_) => Err(Error::internal("a row group lies in both tiers")),
    };
    sources.iter().zip(&table.columns).map(entry).collect::<Result<_>>().map(Some)
}

/// A row group on its way into the place of others.
#[derive(Clone, Debug)]
pub(crate) struct Replacement {
    /// The new one, without deletes.
    pub(crate) group: RowGroup,
    /// Those whose live rows it has: neighbours, as they were when it was made.
    pub(crate) sources: Vec<Arc<RowGroup>>,
}

impl TableSnapshot {
    /// Puts a segment in the place of the row groups that hold its rows. Its rows that are deleted by now are marked; live rows of
    /// those row groups that it does not have stay as they are. `prepared` has the segment's row groups where they are known.
    /// XX000 when the segment is not of this table's columns, or has rows that the table has not given out.
    pub(crate) fn swap_in(&mut self, segment: &Arc<Segment>, prepared: Option<&[Replacement]>) -> Result<()> {
        let before = self.rows();
        for at in 0..segment.reader.groups().len() {
            match prepared.and_then(|p| p.get(at)) {
                Some(prepared) if self.replace(prepared) => {}
                _ => self.swap_in_group(segment, at)?,
            }
        }
        if self.rows() == before {
            Ok(())
        } else {
            Err(Error::internal(format!("{segment:?} has other rows than the table")))
        }
    }

    /// Puts a row group in the place of its sources if they are still what they were but for deletes; whether they are.
    /// What it costs follows the rows deleted since.
    pub(crate) fn replace(&mut self, new: &Replacement) -> bool {
        let (Some(first), Some(last)) = (new.sources.first(), new.sources.last()) else { return false };
        let range = self.groups_between(first.first_row_id(), last.last_row_id());
        let mut deletes = RoaringBitmap::new();
        let mut next = range.start;
        let mut sealed = true;
        for then in &new.sources {
            let now = self.row_group(next).filter(|g| next < range.end && g.is_version_of(then));
            if let Some(now) = now {
                sealed &= now.is_sealed();
                let gone = now.deleted_since(then);
                let places = gone.iter().filter_map(|o| new.group.offset_of(now.row_id(o as usize)));
                deletes.extend(places.map(|p| p as u32));
                next += 1;
            } else if self.groups_between(then.first_row_id(), then.last_row_id()).is_empty() {
                let gone = new.group.offsets_between(then.first_row_id(), then.last_row_id() + 1);
                deletes.insert_range(gone.start as u32..gone.end as u32);
            } else {
                return false;
            }
        }
        if next != range.end {
            return false;
        }
        let live = new.group.len() > deletes.len() as usize;
        let group = new.group.redefined_if_needed(self.def()).with_deletes(deletes);
        let groups = if live { vec![Arc::new(group)] } else { vec![] };
        self.replace_groups(range, groups, !sealed && new.group.is_sealed());
        true
    }

    fn swap_in_group(&mut self, segment: &Arc<Segment>, at: usize) -> Result<()> {
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
            let mut places: Vec<u32> = Vec::new();
            let mut next = cold.offsets_between(group.first_row_id(), u64::MAX).start;
            let live = group.live_mask();
            for offset in (0..group.len()).filter(|o| live.as_ref().is_none_or(|live| live.value(*o))) {
                let id = group.row_id(offset);
                while next < cold.len() && cold.row_id(next) < id {
                    next += 1;
                }
                if next < cold.len() && cold.row_id(next) == id {
                    places.push(next as u32);
                } else {
                    kept.push(offset as u64);
                }
            }
            alive.extend(places);
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
        Ok(())
    }
}
