//! The freezer: writes hot row groups into a segment and puts it in their place.
//!
//! The file is written from a published snapshot, while others read and write; the swap is a commit beside theirs. Rows keep
//! their ids, and what is deleted meanwhile is marked when the segment is swapped in. A failure or a crash before the swap is
//! logged leaves a file that nothing refers to; it is removed at once or at the next start.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::ArrayRef;
use spg_segment::{GroupContent, SegmentColumn, SegmentId, SegmentWriter};
use spg_types::{Error, Result, TableDef, TableId};

use crate::LockWait;
use crate::cold::{Segment, segment_path};
use crate::cold_tier::ColdTier;
use crate::row_group::{ROW_GROUP_ROWS, RowGroup};
use crate::seal;
use crate::snapshot::DbSnapshot;
use crate::store::Store;
use crate::table::TableSnapshot;
use crate::tier::{chunk_stats, runs};
use crate::txn::WriteTxn;

/// Row groups that the background freezes at once: so that a segment is large, and the swap short.
const BACKGROUND_GROUPS: usize = 8;
/// How often the background looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long it waits after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(10);

impl Store {
    /// Moves all hot rows of a table to the cold tier; how many. 0A000 for a database without files; 55P03, 57014 while waiting for
    /// the writer; 53100 or 58030 when the segment cannot be written.
    pub fn freeze(self: &Arc<Self>, table: TableId, wait: &LockWait) -> Result<u64> {
        let snapshot = self.published();
        let Some(table) = snapshot.table(table) else { return Ok(0) };
        let groups: Vec<Arc<RowGroup>> = table.row_groups().filter(|g| !g.is_cold()).cloned().collect();
        self.freeze_groups(table, &groups, wait)
    }

    fn freeze_groups(
        self: &Arc<Self>,
        table: &TableSnapshot,
        groups: &[Arc<RowGroup>],
        wait: &LockWait,
    ) -> Result<u64> {
        let Some(cold) = self.cold() else {
            return Err(Error::unsupported("a database without files has no cold tier"));
        };
        if groups.is_empty() {
            return Ok(0);
        }
        let _writing = cold.writing.lock();
        let def = table.def();
        let segment = write_segment(cold, def, &row_groups(table, groups)?)?;
        let rows = segment.reader.info().rows;
        let begin = || -> Result<Option<WriteTxn>> {
            let mut txn = self.begin_shared(wait)?;
            Ok(txn.swap_in(def.id, &segment)?.then_some(txn))
        };
        match begin() {
            // What becomes of the file of a commit that fails is found out at the next start: it may be in the log.
            Ok(Some(txn)) => txn.commit()?.wait().map(|()| rows),
            other => {
                let id = segment.id();
                drop(segment);
                cold.remove(id);
                other.map(|_| 0)
            }
        }
    }

    /// Freezes what is above the budget; whether there was anything.
    fn freeze_surplus(self: &Arc<Self>, budget: usize) -> Result<bool> {
        let Some((table, groups)) = surplus(&self.published(), budget) else { return Ok(false) };
        Ok(self.freeze_groups(&table, &groups, &LockWait::default())? > 0)
    }

    /// Starts the thread that keeps hot rows within their budget.
    pub(crate) fn start_freezer(self: &Arc<Self>) -> Result<()> {
        let Some(cold) = self.cold() else { return Ok(()) };
        let (stop, budget) = (cold.stop.clone(), cold.hot_bytes);
        let (weak, published) = (Arc::downgrade(self), self.published_pointer());
        let body = move || {
            let mut pause = LOOK_EVERY;
            while !stop.within(pause) {
                pause = LOOK_EVERY;
                // The store is held only while there is something to do: dropped elsewhere, it is closed there.
                while surplus(&published.load_full(), budget).is_some() {
                    let Some(store) = weak.upgrade().filter(|_| !stop.within(Duration::ZERO)) else { return };
                    match store.freeze_surplus(budget) {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => {
                            tracing::warn!("freezing rows failed: {error}");
                            pause = RETRY_AFTER;
                            break;
                        }
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("spg-freezer".into()).spawn(body);
        thread.map(|_| ()).map_err(|e| Error::internal(format!("could not start the freezer thread: {e}")))
    }
}

/// The table whose oldest rows go next, and its oldest sealed row groups, when hot rows take more than their budget. A table
/// above a budget of its own comes first; all that have none share `budget`.
fn surplus(snapshot: &DbSnapshot, budget: usize) -> Option<(Arc<TableSnapshot>, Vec<Arc<RowGroup>>)> {
    let hot = |t: &Arc<TableSnapshot>| t.row_groups().map(|g| g.bytes()).sum::<usize>();
    let above = |bytes: usize, budget: usize| bytes.checked_sub(budget).filter(|over| *over > 0);
    let own = snapshot.tables().filter_map(|t| {
        let budget = usize::try_from(t.def().options.hot_tier_bytes?).unwrap_or(usize::MAX);
        Some((above(hot(t), budget)?, std::slice::from_ref(t)))
    });
    let mut own: Vec<_> = own.collect();
    own.sort_by_key(|(over, _)| std::cmp::Reverse(*over));
    let sharing: Vec<_> =
        snapshot.tables().filter(|t| t.def().options.hot_tier_bytes.is_none()).cloned().collect();
    let shared = above(sharing.iter().map(hot).sum(), budget).map(|over| (over, sharing.as_slice()));
    own.into_iter().chain(shared).find_map(|(over, tables)| oldest_of(tables, over))
}

/// The table with the most sealed rows, and so many of its oldest sealed row groups that they take `over` bytes.
fn oldest_of(
    tables: &[Arc<TableSnapshot>],
    mut over: usize,
) -> Option<(Arc<TableSnapshot>, Vec<Arc<RowGroup>>)> {
    let sealed = |t: &Arc<TableSnapshot>| -> Vec<Arc<RowGroup>> {
        t.row_groups().filter(|g| !g.is_cold() && g.is_sealed()).cloned().collect()
    };
    let bytes = |groups: &[Arc<RowGroup>]| groups.iter().map(|g| g.bytes()).sum::<usize>();
    let tables = tables.iter().filter(|t| !t.def().columns.is_empty()).map(|t| (t.clone(), sealed(t)));
    let (table, mut groups) = tables.max_by_key(|(_, groups)| bytes(groups))?;
    let wanted = groups.iter().take_while(|g| {
        let more = over > 0;
        over = over.saturating_sub(g.bytes());
        more
    });
    let wanted = wanted.count().min(BACKGROUND_GROUPS);
    groups.truncate(wanted);
    (!groups.is_empty()).then_some((table, groups))
}

/// What is to be written: small neighbours joined, deleted rows left out.
fn row_groups(table: &TableSnapshot, groups: &[Arc<RowGroup>]) -> Result<Vec<RowGroup>> {
    let cold_between = |a: &RowGroup, b: &RowGroup| {
        let (after, before) = (a.last_row_id() + 1, b.first_row_id() - 1);
        after <= before && !table.groups_between(after, before).is_empty()
    };
    let mut out = Vec::new();
    let mut rest = groups;
    while let Some((first, after)) = rest.split_first() {
        let mut rows = first.live_rows();
        let mut count = 1;
        for pair in rest.windows(2) {
            rows += pair[1].live_rows();
            if rows > ROW_GROUP_ROWS || cold_between(&pair[0], &pair[1]) {
                break;
            }
            count += 1;
        }
        if count == 1 && first.deletes().is_none() {
            out.push((**first).clone());
            rest = after;
            continue;
        }
        let (joined, after) = rest.split_at(count);
        match RowGroup::merged(joined)? {
            Some(group) => out.push(group),
            None => {
                for group in joined {
                    out.extend(RowGroup::merged(std::slice::from_ref(group))?);
                }
            }
        }
        rest = after;
    }
    Ok(out)
}

/// The table's columns as a segment has them.
fn columns(def: &TableDef, groups: &[RowGroup]) -> Vec<SegmentColumn> {
    let column = |(i, c): (usize, &spg_types::ColumnDef)| SegmentColumn {
        name: c.name.clone(),
        ty: c.ty,
        required: c.not_null && groups.iter().all(|g| g.zone(i).null_count == 0),
        key: def.indexes.iter().any(|index| index.columns.first().is_some_and(|k| k.column == i)),
    };
    def.columns.iter().enumerate().map(column).collect()
}

/// Writes row groups into a new segment, durably, and opens it.
pub(crate) fn write_segment(cold: &ColdTier, def: &TableDef, groups: &[RowGroup]) -> Result<Arc<Segment>> {
    let id = cold.new_id();
    let path = segment_path(&cold.folder, id);
    let write = || -> Result<Arc<Segment>> {
        let file = cold.vfs.create(&path)?;
        let columns = columns(def, groups);
        let mut writer = SegmentWriter::create(file, def.id, SegmentId(id), columns, cold.options)?;
        for group in groups {
            let mut arrays: Vec<ArrayRef> = group.columns()?;
            if !group.is_sealed() {
                for (array, column) in arrays.iter_mut().zip(&def.columns) {
                    *array = seal::sealed(column.ty.repr(), array.clone())?;
                }
            }
            writer.write(GroupContent { columns: &arrays, runs: runs(group), stats: chunk_stats(group) })?;
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
