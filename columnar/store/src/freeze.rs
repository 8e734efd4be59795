//! The freezer: moves hot row groups into segments.
//!
//! The file is written from a published snapshot, while others read and write; the swap is a commit beside theirs. Rows keep
//! their ids, and what is deleted meanwhile is marked when the segment is swapped in.

use std::sync::Arc;
use std::time::Duration;

use spg_types::{Error, Result, TableId};

use crate::LockWait;
use crate::cold_tier::{ColdTier, acquire};
use crate::cold_write::{Pace, SegmentJob};
use crate::row_group::{ROW_GROUP_ROWS, RowGroup};
use crate::snapshot::DbSnapshot;
use crate::store::Store;
use crate::table::TableSnapshot;

/// Rows that the background freezes at once: so that a segment is large, and the swap short.
const BACKGROUND_ROWS: usize = 8 * ROW_GROUP_ROWS;
/// More bytes than this are not kept back for being merged with what comes.
const TAIL_BYTES_MAX: usize = 64 << 20;
/// Nor more than this where there is nothing else to freeze; what is less would make files of a few rows.
const TAIL_BYTES_MIN: usize = 1 << 20;
/// Further above the budget than this, memory is in danger, and freezing has all processors.
const FAR_ABOVE: usize = 1 << 30;
/// How often the background looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long it waits after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(10);

impl Store {
    /// Moves all hot rows of a table to the cold tier; how many. 0A000 for a database without files; 55P03, 57014 while waiting for
    /// the writer; 53100 or 58030 when the segment cannot be written.
    pub fn freeze(self: &Arc<Self>, table: TableId, wait: &LockWait) -> Result<u64> {
        let cold = self.cold_tier()?;
        let _writing = acquire(&cold.writing, wait)?;
        let job = self.published().table(table).and_then(|table| {
            let hot = table.row_groups().enumerate().filter(|(_, g)| !g.is_cold());
            SegmentJob::new(table, hot.map(|(i, g)| (i, g.clone())))
        });
        job.map_or(Ok(0), |job| self.move_to_segment(cold, job, Pace::Aside, wait))
    }

    /// Freezes a part of what is above the budget; whether there was anything.
    pub(crate) fn freeze_surplus(self: &Arc<Self>, cold: &ColdTier, wait: &LockWait) -> Result<bool> {
        let _writing = acquire(&cold.writing, wait)?;
        let snapshot = self.published();
        let far = cold.hot_bytes.saturating_add(FAR_ABOVE);
        let pace =
            if snapshot.tables().map(hot_bytes).sum::<usize>() > far { Pace::Urgent } else { Pace::Aside };
        let job =
            surplus(&snapshot, cold.hot_bytes).and_then(|(table, groups)| SegmentJob::new(&table, groups));
        drop(snapshot);
        let rows = job.map_or(Ok(0), |job| self.move_to_segment(cold, job, pace, wait))?;
        Ok(rows > 0)
    }

    /// The cold tier; 0A000 for a database without files.
    pub(crate) fn cold_tier(&self) -> Result<&ColdTier> {
        self.cold().ok_or_else(|| Error::unsupported("a database without files has no cold tier"))
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
                    let Some(_busy) = stop.busy() else { return };
                    let Some(store) = weak.upgrade() else { return };
                    let frozen = store.cold_tier().and_then(|cold| store.freeze_surplus(cold, &stop.wait()));
                    drop(store);
                    match frozen {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(_) if stop.within(Duration::ZERO) => return,
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

/// Row groups by their positions in the table.
type Groups = Vec<(usize, Arc<RowGroup>)>;

/// Bytes of a table's rows in memory.
fn hot_bytes(table: &Arc<TableSnapshot>) -> usize {
    table.row_groups().map(|g| g.bytes()).sum()
}

/// The table whose oldest rows go next, and its oldest row groups, when hot rows take more than their budget. A table
/// above a budget of its own comes first; all that have none share `budget`.
fn surplus(snapshot: &DbSnapshot, budget: usize) -> Option<(Arc<TableSnapshot>, Groups)> {
    let above = |bytes: usize, budget: usize| bytes.checked_sub(budget).filter(|over| *over > 0);
    let own = snapshot.tables().filter_map(|t| {
        let budget = usize::try_from(t.def().options.hot_tier_bytes?).unwrap_or(usize::MAX);
        Some((above(hot_bytes(t), budget)?, std::slice::from_ref(t)))
    });
    let mut own: Vec<_> = own.collect();
    own.sort_by_key(|(over, _)| std::cmp::Reverse(*over));
    let sharing: Vec<_> =
        snapshot.tables().filter(|t| t.def().options.hot_tier_bytes.is_none()).cloned().collect();
    let shared = above(sharing.iter().map(hot_bytes).sum(), budget).map(|over| (over, sharing.as_slice()));
    own.into_iter().chain(shared).find_map(|(over, tables)| oldest_of(tables, over))
}

/// The table with the most to freeze, and so many of its oldest row groups that they take `over` bytes.
fn oldest_of(tables: &[Arc<TableSnapshot>], mut over: usize) -> Option<(Arc<TableSnapshot>, Groups)> {
    let bytes = |groups: &Groups| groups.iter().map(|(_, g)| g.bytes()).sum::<usize>();
    let largest = |tail_bytes: usize| {
        let tables = tables.iter().filter(|t| !t.def().columns.is_empty());
        let tables = tables.map(|t| (t.clone(), frozen_next(t, tail_bytes)));
        tables.max_by_key(|(_, groups)| bytes(groups)).filter(|(_, groups)| !groups.is_empty())
    };
    let (table, mut groups) = largest(TAIL_BYTES_MAX).or_else(|| largest(TAIL_BYTES_MIN))?;
    let mut rows = 0;
    let wanted = groups.iter().take_while(|(_, g)| {
        let more = over > 0 && rows < BACKGROUND_ROWS;
        over = over.saturating_sub(g.bytes());
        rows += g.live_rows();
        more
    });
    let wanted = wanted.count();
    groups.truncate(wanted);
    (!groups.is_empty()).then_some((table, groups))
}

/// The hot row groups of a table, but for a tail of at most so many bytes, which still grows and is merged.
fn frozen_next(table: &TableSnapshot, tail_bytes: usize) -> Groups {
    let mut bytes = 0;
    let grows = |g: &&Arc<RowGroup>| {
        bytes += g.bytes();
        !g.is_sealed() && bytes <= tail_bytes
    };
    let tail = table.row_groups().rev().take_while(grows).count();
    let groups = table.row_groups().enumerate().take(table.row_groups().len() - tail);
    groups.filter(|(_, g)| !g.is_cold()).map(|(i, g)| (i, g.clone())).collect()
}
