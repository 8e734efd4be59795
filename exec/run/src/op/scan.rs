//! Reads a base table: row groups that zone maps and join filters cannot rule out, in slices that share their memory.
//!
//! A morsel is a part of a row group. Per batch the rows are narrowed, cheapest tests first: deletes, conjuncts that are
//! cheap, join filters, the other conjuncts. Columns that only tests need go no further.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array};
use arrow::buffer::BooleanBuffer;
use spg_expr::Column;
use spg_store::{RowGroup, TableSnapshot};
use spg_types::{Error, Result, TableId};

use super::index_scan::put_out;
use super::join_filter::JoinFilter;
use crate::batch::Batch;
use crate::pipeline::Source;
use crate::predicate::{Answer, Predicate, PredicateCache, positions};
use crate::run::{Run, Slot};
use crate::zone::{BoundTest, Verdict, ZoneTest};

/// Batches per morsel.
const MORSEL_BATCHES: usize = 4;
/// A join filter that passes more than this share of rows is not tried any more.
const USELESS_SHARE: f64 = 0.9;
/// Rows after which a join filter is judged.
const JUDGED_AFTER: usize = 4 * 8192;

/// A join filter that a scan tries.
pub(crate) struct FilterUse {
    /// Where the build side publishes it.
    pub(crate) slot: Slot<JoinFilter>,
    /// The column's position in the scan's batches.
    pub(crate) column: usize,
}

/// A table scan.
pub(crate) struct TableScan {
    /// The table.
    pub(crate) table: TableId,
    /// Positions in the table of the columns read: what is put out and what tests need.
    pub(crate) columns: Vec<usize>,
    /// Conjuncts that are cheap and cannot fail.
    pub(crate) first: Predicate,
    /// Their zone tests.
    pub(crate) first_zones: Vec<ZoneTest>,
    /// The other conjuncts.
    pub(crate) rest: Predicate,
    /// Their zone tests.
    pub(crate) rest_zones: Vec<ZoneTest>,
    /// Join filters.
    pub(crate) filters: Vec<FilterUse>,
    /// Positions in `columns` of the columns put out.
    pub(crate) output: Vec<usize>,
    /// Whether the row id is put out after them.
    pub(crate) row_id: bool,
}

struct Part {
    group: Arc<RowGroup>,
    skip_first: Arc<[bool]>,
    skip_rest: Arc<[bool]>,
    start: usize,
    end: usize,
}

/// What is to be read in one run.
pub(crate) struct Shared {
    parts: Vec<Part>,
    next: AtomicUsize,
    filters: Vec<Arc<JoinFilter>>,
}

/// A worker's place.
#[derive(Default)]
pub(crate) struct Local {
    part: usize,
    at: usize,
    first: PredicateCache,
    rest: PredicateCache,
    /// Per join filter: rows seen, rows passed.
    tried: Vec<(usize, usize)>,
    /// The row group read last, and its columns: a cold one is decoded once, whatever becomes of the cache meanwhile.
    open: Option<u64>,
    columns: Vec<Option<ArrayRef>>,
}

impl Local {
    /// Column `c` of a row group, which is the `i`-th of those that the scan reads.
    fn column(&mut self, group: &RowGroup, i: usize, c: usize) -> Result<ArrayRef> {
        if self.open != Some(group.id()) {
            self.open = Some(group.id());
            self.columns.clear();
        }
        if self.columns.len() <= i {
            self.columns.resize(i + 1, None);
        }
        if let Some(array) = &self.columns[i] {
            return Ok(array.clone());
        }
        let array = group.column(c)?;
        self.columns[i] = Some(array.clone());
        Ok(array)
    }
}

/// The snapshot of a table.
pub(crate) fn table(run: &Run, id: TableId) -> Result<&Arc<TableSnapshot>> {
    run.snapshot.table(id).ok_or_else(|| Error::internal(format!("table {} is not in the snapshot", id.0)))
}

impl TableScan {
    fn parts(&self, run: &Run, filters: &[Arc<JoinFilter>]) -> Result<Vec<Part>> {
        let bind = |tests: &[ZoneTest]| tests.iter().map(|t| t.bind(&run.ctx)).collect::<Vec<_>>();
        let (first, rest) = (bind(&self.first_zones), bind(&self.rest_zones));
        let mut parts = Vec::new();
        for group in table(run, self.table)?.row_groups() {
            let ruled_out = |(f, u): (&Arc<JoinFilter>, &FilterUse)| match self.columns.get(u.column) {
                Some(&column) => f.skips(group.zone(column)),
                None => false,
            };
            if group.is_empty() || filters.iter().zip(&self.filters).any(ruled_out) {
                continue;
            }
            let (Some(skip_first), Some(skip_rest)) = (known(&first, group), known(&rest, group)) else {
                continue;
            };
            let morsel = run.batch_size * MORSEL_BATCHES;
            for start in (0..group.len()).step_by(morsel) {
                parts.push(Part {
                    group: group.clone(),
                    skip_first: skip_first.clone(),
                    skip_rest: skip_rest.clone(),
                    start,
                    end: (start + morsel).min(group.len()),
                });
            }
        }
        Ok(parts)
    }

    fn narrow(&self, run: &Run, shared: &Shared, local: &mut Local, batch: &mut Batch) -> Result<()> {
        let part = &shared.parts[local.part];
        self.first.narrow(&run.ctx, batch, &mut local.first, &part.skip_first)?;
        for (i, (filter, on)) in shared.filters.iter().zip(&self.filters).enumerate() {
            let (seen, passed) = local.tried[i];
            let useless = seen >= JUDGED_AFTER && passed as f64 > seen as f64 * USELESS_SHARE;
            if useless || batch.rows() == 0 {
                continue;
            }
            let rows = batch.rows();
            match filter.test(&batch.column(on.column)?, rows) {
                Answer::All => {}
                Answer::None => batch.select(UInt32Array::from(Vec::<u32>::new())),
                Answer::Some(mask) => {
                    if mask.count_set_bits() < rows {
                        batch.select(positions(&mask));
                    }
                }
            }
            local.tried[i] = (seen + rows, passed + batch.rows());
        }
        if batch.rows() > 0 {
            self.rest.narrow(&run.ctx, batch, &mut local.rest, &part.skip_rest)?;
        }
        Ok(())
    }
}

/// Which tests the zone maps answer for the whole group; `None` when one of them is true for no row.
fn known(tests: &[BoundTest], group: &RowGroup) -> Option<Arc<[bool]>> {
    tests
        .iter()
        .map(|t| match t.verdict(group.len() as u64, |c| Some(group.zone(c))) {
            Verdict::Never => None,
            Verdict::Maybe => Some(false),
            Verdict::Always => Some(true),
        })
        .collect()
}

impl Source for TableScan {
    type Shared = Shared;
    type Local = Local;

    fn open(&self, run: &Run) -> Result<Shared> {
        let filters = self.filters.iter().map(|f| run.get(f.slot)).collect::<Result<Vec<_>>>()?;
        Ok(Shared { parts: self.parts(run, &filters)?, next: AtomicUsize::new(0), filters })
    }

    fn parallelism(&self, shared: &Shared) -> usize {
        shared.parts.len()
    }

    fn local(&self, _: &Run, shared: &Shared) -> Result<Local> {
        Ok(Local { tried: vec![(0, 0); shared.filters.len()], ..Local::default() })
    }

    fn morsel(&self, _: &Run, shared: &Shared, local: &mut Local) -> Result<bool> {
        local.part = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(part) = shared.parts.get(local.part) else { return Ok(false) };
        local.at = part.start;
        Ok(true)
    }

    fn next(&self, run: &Run, shared: &Shared, local: &mut Local) -> Result<Option<Batch>> {
        let Part { group, end, .. } = &shared.parts[local.part];
        let start = local.at;
        if start >= *end {
            return Ok(None);
        }
        let rows = run.batch_size.min(end - start);
        local.at = start + rows;
        let mut columns: Vec<Column> = Vec::with_capacity(self.columns.len() + 1);
        for (i, &c) in self.columns.iter().enumerate() {
            columns.push(Column::Array(local.column(group, i, c)?.slice(start, rows)));
        }
        if self.row_id {
            let ids = group.row_ids(start, rows).into_iter().map(|id| id as i64);
            columns.push(Column::Array(Arc::new(Int64Array::from_iter_values(ids))));
        }
        let mut batch = Batch::new(columns, rows);
        if let Some(alive) = alive(group, start, rows) {
            batch.select(positions(&alive));
        }
        if batch.rows() > 0 {
            self.narrow(run, shared, local, &mut batch)?;
        }
        put_out(batch, &self.output, self.row_id.then_some(self.columns.len())).map(Some)
    }
}

/// Which of some rows of a group are not deleted; `None` when all are there.
fn alive(group: &RowGroup, start: usize, rows: usize) -> Option<BooleanBuffer> {
    let deletes = group.deletes()?;
    let (from, to) = (start as u32, (start + rows) as u32);
    let mut gone = deletes.range(from..to).peekable();
    gone.peek()?;
    let mut alive = arrow::array::BooleanBufferBuilder::new(rows);
    alive.append_n(rows, true);
    gone.for_each(|row| alive.set_bit((row - from) as usize, false));
    Some(alive.finish())
}
