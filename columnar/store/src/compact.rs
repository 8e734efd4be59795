//! The compactor: writes the live rows of neighbouring segments into one, so that their number stays bounded and deleted rows
//! give their space back.
//!
//! Rows keep their ids, and segments their order by them; so only neighbours are merged. Which ones is chosen by size: the largest
//! of them holds a quarter of their rows at most where such are found, so that a row is written again only when it comes
//! into a segment several times as large, a number of times that grows with the logarithm of the table. A full
//! segment is merged no more: a table has as many segments as the threshold says, and one more per full one.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use spg_types::{Error, Result, TableId};

use crate::LockWait;
use crate::cold_tier::{ColdTier, acquire};
use crate::cold_write::{Pace, SegmentJob};
use crate::row_group::ROW_GROUP_ROWS;
use crate::snapshot::DbSnapshot;
use crate::store::Store;
use crate::table::TableSnapshot;

/// Rows of a segment, at most, and so what a merge takes and the disk it needs meanwhile.
const SEGMENT_ROWS_MAX: u64 = 128 * ROW_GROUP_ROWS as u64;
/// Bytes of a segment, roughly at most.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// A segment of this share of the most is full.
const FULL: f64 = 0.5;
/// A segment with more than this share of dead rows is written anew: a deleted row costs the writing of at most 2.3 others, and
/// dead rows take at most 43 % of the space of live ones.
const DEAD_SHARE_MAX: f64 = 0.3;
/// With fewer dead rows than this, a file is not worth its fsync.
const DEAD_ROWS_MIN: u64 = 1024;
/// What a segment costs beside its rows, in rows.
const SEGMENT_COST: u64 = 1024;
/// The largest of several segments to be merged holds at most this share of their rows; the first share with which there is
/// something to merge.
const LARGEST_SHARES: [f64; 3] = [0.25, 0.5, 1.0];
/// So many neighbours are merged at once, at most.
const WINDOW_MAX: usize = 256;
/// How often the background looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it waits after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Neighbouring row groups that hold what is left of one segment, or of several whose rows lie between each other's.
#[derive(Clone, Debug, PartialEq)]
struct Stretch {
    /// Positions in the table.
    groups: Range<usize>,
    segments: usize,
    live: u64,
    dead: u64,
    /// Of the live rows.
    bytes: u64,
}

impl Stretch {
    /// How full a segment of it is.
    fn weight(&self) -> f64 {
        let rows = self.live as f64 / SEGMENT_ROWS_MAX as f64;
        rows.max(self.bytes as f64 / SEGMENT_BYTES_MAX as f64)
    }

    fn is_full(&self) -> bool {
        self.weight() >= FULL
    }

    fn is_mostly_dead(&self) -> bool {
        self.dead >= DEAD_ROWS_MIN && self.dead as f64 > (self.live + self.dead) as f64 * DEAD_SHARE_MAX
    }

    fn take_in(&mut self, other: &Stretch) {
        self.groups.end = other.groups.end;
        self.segments += other.segments;
        self.live += other.live;
        self.dead += other.dead;
        self.bytes += other.bytes;
    }
}

/// The table's cold rows: runs of neighbours without hot rows between them.
fn runs(table: &TableSnapshot) -> Vec<Vec<Stretch>> {
    let mut live: HashMap<u64, u64> = HashMap::new();
    for group in table.row_groups() {
        if let Some(cold) = group.segment() {
            *live.entry(cold.segment.id()).or_default() += group.live_rows() as u64;
        }
    }
    let mut runs: Vec<Vec<Stretch>> = Vec::new();
    // Where the segments of the last run are in it.
    let mut seen: HashMap<u64, usize> = HashMap::new();
    let mut last_cold = None;
    for (position, group) in table.row_groups().enumerate() {
        let Some(cold) = group.segment() else { continue };
        if last_cold.is_none_or(|last| last + 1 != position) {
            runs.push(Vec::new());
            seen.clear();
        }
        last_cold = Some(position);
        let Some(run) = runs.last_mut() else { continue };
        let id = cold.segment.id();
        if let Some(at) = seen.get(&id).copied() {
            for between in run.split_off(at + 1) {
                run[at].take_in(&between);
            }
            run[at].groups.end = position + 1;
            seen.values_mut().for_each(|v| *v = (*v).min(at));
            continue;
        }
        let info = cold.segment.reader.info();
        let live = live.get(&id).copied().unwrap_or_default();
        let bytes = (info.file_len as f64 * live as f64 / info.rows.max(1) as f64) as u64;
        let dead = info.rows.saturating_sub(live);
        seen.insert(id, run.len());
        run.push(Stretch { groups: position..position + 1, segments: 1, live, dead, bytes });
    }
    runs
}

/// The neighbours to merge so that segments become fewer, at the least cost: positions of row groups.
fn cheapest(runs: &[Vec<Stretch>]) -> Option<Range<usize>> {
    LARGEST_SHARES.iter().find_map(|share| {
        let mut best: Option<(f64, Range<usize>)> = None;
        for run in runs {
            for start in 0..run.len() {
                let (mut weight, mut largest, mut segments, mut live) = (0.0, 0, 0, 0);
                for stretch in run[start..].iter().take(WINDOW_MAX) {
                    weight += stretch.weight();
                    if weight > 1.0 && segments > 0 {
                        break;
                    }
                    largest = largest.max(stretch.live);
                    segments += stretch.segments;
                    live += stretch.live;
                    let balanced = largest as f64 <= live as f64 * share;
                    if segments < 2 || !balanced {
                        continue;
                    }
                    let gain = (segments - 1) as f64 / (live + segments as u64 * SEGMENT_COST) as f64;
                    if best.as_ref().is_none_or(|(most, _)| gain > *most) {
                        best = Some((gain, run[start].groups.start..stretch.groups.end));
                    }
                }
            }
        }
        best.map(|(_, groups)| groups)
    })
}

/// What the background does next with a table: positions of the row groups to write anew.
fn due(table: &TableSnapshot, threshold: usize) -> Option<Range<usize>> {
    let runs = runs(table);
    let all = || runs.iter().flatten();
    let small: usize = all().filter(|s| !s.is_full()).map(|s| s.segments).sum();
    let merged = if small > threshold { cheapest(&runs) } else { None };
    merged.or_else(|| all().find(|s| s.is_mostly_dead()).map(|s| s.groups.clone()))
}

/// The first row groups from a position on that would become fewer segments, or have deleted rows.
fn improvable(table: &TableSnapshot, from: usize) -> Option<Range<usize>> {
    for run in runs(table) {
        let done = run.iter().take_while(|s| s.groups.start < from).count();
        let mut rest = &run[done..];
        while let Some((first, after)) = rest.split_first() {
            let mut whole = first.clone();
            let mut taken = 0;
            if !first.is_full() {
                let mut weight = first.weight();
                for next in after.iter().take_while(|next| !next.is_full()) {
                    weight += next.weight();
                    if weight > 1.0 {
                        break;
                    }
                    whole.take_in(next);
                    taken += 1;
                }
            }
            if whole.segments > 1 || whole.dead > 0 {
                return Some(whole.groups);
            }
            rest = &after[taken..];
        }
    }
    None
}

fn job(table: &TableSnapshot, groups: Range<usize>) -> Option<SegmentJob> {
    SegmentJob::new(table, groups.filter_map(|i| Some((i, table.row_group(i)?.clone()))))
}

impl Store {
    /// Writes the cold rows of a table anew wherever they lie in more segments than they need, or with deleted rows among them; how
    /// many rows. 0A000 for a database without files; 55P03, 57014 while waiting for the writer; 53100 or 58030 when a segment
    /// cannot be written.
    pub fn compact(self: &Arc<Self>, table: TableId, wait: &LockWait) -> Result<u64> {
        let cold = self.cold_tier()?;
        let _compacting = acquire(&cold.compacting, wait)?;
        let (mut rows, mut after) = (0, 0);
        loop {
            // Each part of the table once, whatever is deleted meanwhile.
            let next = self.published().table(table).and_then(|table| {
                let from = table.groups_between(after, u64::MAX).start;
                let groups = improvable(table, from)?;
                let last = table.row_group(groups.end - 1)?.last_row_id();
                Some((job(table, groups)?, last))
            });
            let Some((job, last)) = next else { return Ok(rows) };
            rows += self.move_to_segment(cold, job, Pace::Aside, wait)?;
            after = last + 1;
        }
    }

    /// Does the most urgent of what the background does with some of the tables; the rows written anew, `None` when there is nothing
    /// to do.
    pub(crate) fn compact_due(
        self: &Arc<Self>,
        cold: &ColdTier,
        tables: &BTreeSet<TableId>,
        wait: &LockWait,
    ) -> Result<Option<u64>> {
        let _compacting = acquire(&cold.compacting, wait)?;
        let snapshot = self.published();
        let wanted = snapshot.tables().filter(|t| tables.contains(&t.def().id));
        let next = wanted.filter_map(|t| job(t, due(t, cold.compact_segments)?)).next();
        drop(snapshot);
        next.map(|job| self.move_to_segment(cold, job, Pace::Aside, wait)).transpose()
    }

    /// Starts the thread that keeps segments few.
    pub(crate) fn start_compactor(self: &Arc<Self>) -> Result<()> {
        let Some(cold) = self.cold() else { return Ok(()) };
        let (stop, threshold) = (cold.stop.clone(), cold.compact_segments);
        let (weak, published) = (Arc::downgrade(self), self.published_pointer());
        let body = move || {
            let mut pause = LOOK_EVERY;
            let mut seen = None;
            while !stop.within(pause) {
                pause = LOOK_EVERY;
                let Some((commit_no, tables)) = look(&published.load(), seen, threshold) else { continue };
                if tables.is_empty() {
                    seen = Some(commit_no);
                    continue;
                }
                let Some(_busy) = stop.busy() else { return };
                let Some(store) = weak.upgrade() else { return };
                let done = store
                    .cold_tier()
                    .and_then(|cold| store.compact_due(cold, &tables, &stop.wait()))
                    .inspect(|_| store.checkpoint_for_space());
                drop(store);
                match done {
                    Ok(Some(1..)) => pause = Duration::ZERO,
                    Ok(_) => {}
                    Err(_) if stop.within(Duration::ZERO) => return,
                    Err(error) => {
                        tracing::warn!("merging segments failed: {error}");
                        pause = RETRY_AFTER;
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("spg-compactor".into()).spawn(body);
        thread.map(|_| ()).map_err(|e| Error::internal(format!("could not start the compactor thread: {e}")))
    }
}

/// The tables with something to do; `None` when nothing has changed since commit `seen`.
fn look(snapshot: &DbSnapshot, seen: Option<u64>, threshold: usize) -> Option<(u64, BTreeSet<TableId>)> {
    if seen == Some(snapshot.commit_no()) {
        return None;
    }
    let tables = snapshot.tables().filter(|t| due(t, threshold).is_some()).map(|t| t.def().id);
    Some((snapshot.commit_no(), tables.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments as the choice sees them: one row group each.
    fn stretches(rows: &[u64]) -> Vec<Stretch> {
        let stretch = |(i, live): (usize, &u64)| Stretch {
            groups: i..i + 1,
            segments: 1,
            live: *live,
            dead: 0,
            bytes: *live,
        };
        rows.iter().enumerate().map(stretch).collect()
    }

    /// Freezes of `each` rows, endlessly; how many times a row was written again on average, and the most segments.
    fn endless(freezes: usize, each: u64, threshold: usize) -> (f64, usize) {
        let mut rows: Vec<u64> = Vec::new();
        let (mut rewritten, mut most) = (0, 0);
        for _ in 0..freezes {
            rows.push(each);
            loop {
                let run = stretches(&rows);
                let small = run.iter().filter(|s| !s.is_full()).count();
                most = most.max(small);
                if small <= threshold {
                    break;
                }
                let window = cheapest(&[run]).unwrap();
                assert!(window.len() > 1);
                let sum: u64 = rows[window.clone()].iter().sum();
                assert!(sum <= SEGMENT_ROWS_MAX);
                rewritten += sum;
                rows.splice(window, [sum]);
            }
        }
        (rewritten as f64 / (freezes as u64 * each) as f64, most)
    }

    #[test]
    fn the_number_of_segments_is_bounded_and_rows_are_seldom_written_again() {
        // A table grows to twenty thousand times its first freeze.
        for (each, threshold, at_most) in [(1_000, 64, 4.0), (1_000, 8, 10.0), (1 << 20, 64, 3.0)] {
            let (amplification, most) = endless(20_000, each, threshold);
            assert!(amplification < at_most, "{each} {threshold}: {amplification}");
            assert!(most <= threshold + 1, "{each} {threshold}: {most}");
        }
    }

    #[test]
    fn neighbours_of_one_size_are_merged_before_a_large_one_is_touched() {
        let run = stretches(&[1_000_000, 500, 400, 600, 500, 900_000, 700]);
        assert_eq!(cheapest(&[run]), Some(1..5));
        // Nothing balanced: still fewer.
        assert_eq!(cheapest(&[stretches(&[1_000_000, 10])]), Some(0..2));
        assert_eq!(cheapest(&[stretches(&[1_000_000]), stretches(&[10])]), None, "hot rows between");
        let full = SEGMENT_ROWS_MAX;
        assert_eq!(cheapest(&[stretches(&[full, full / 2, full])]), None);
    }
}
