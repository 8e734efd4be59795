//! Reads a base table: row groups that zone maps and join filters cannot rule out, in slices that share their memory.
//!
//! A morsel is a part of a row group. Per batch the rows are narrowed, cheapest tests first: deletes, conjuncts that are
//! cheap, join filters, the other conjuncts. Columns that only tests need go no further. Of cold rows, those are left out that
//! the bounds of their pages rule out, and a column is decoded when the first row that got so far needs it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, Int64Array, UInt32Array};
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

/// Cold rows that the bounds of their pages rule in or out together.
const PRUNED_ROWS: usize = 8192;
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

/// Rows of a row group that are read one after the other; a cold one's lie in one of its blocks.
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
    /// In all of them.
    rows: usize,
    /// Rows of a full one.
    morsel: usize,
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
    /// The part's columns as far as they were asked for: a cold one is decoded once, whatever becomes of the cache meanwhile.
    columns: Vec<Option<ArrayRef>>,
}

/// A batch whose columns are read when they are asked for, and so perhaps never.
struct LateBatch<'a> {
    scan: &'a TableScan,
    part: &'a Part,
    /// The offset of the first row in the row group.
    start: usize,
    /// Before any were sorted out.
    rows: usize,
    batch: Batch,
    /// Which columns are there.
    read: Vec<bool>,
}

impl<'a> LateBatch<'a> {
    /// Some rows of a part; the columns that it takes no decoding to have are there at once.
    fn new(
        scan: &'a TableScan,
        part: &'a Part,
        start: usize,
        rows: usize,
        local: &mut Local,
    ) -> Result<Self> {
        let width = scan.columns.len();
        if !part.group.is_cold() {
            let mut columns: Vec<Column> = Vec::with_capacity(width + 1);
            for &c in &scan.columns {
                columns.push(Column::Array(part.group.values(c, start..start + rows)?));
            }
            columns.extend(scan.row_ids(part, start, rows));
            return Ok(Self {
                scan,
                part,
                start,
                rows,
                batch: Batch::new(columns, rows),
                read: vec![true; width],
            });
        }
        local.columns.resize(width, None);
        // Until it is read, a column is the positions of the rows; the last column stays that.
        let positions = Column::Array(Arc::new(UInt32Array::from_iter_values(0..rows as u32)));
        let mut columns = vec![positions.clone(); width];
        columns.extend(scan.row_ids(part, start, rows));
        columns.push(positions);
        Ok(Self { scan, part, start, rows, batch: Batch::new(columns, rows), read: vec![false; width] })
    }

    /// Reads columns for the rows that are left.
    fn read(&mut self, which: impl IntoIterator<Item = usize>, local: &mut Local) -> Result<()> {
        for i in which {
            if self.read[i] || self.batch.rows() == 0 {
                continue;
            }
            let Part { group, start, end, .. } = self.part;
            let array = match &local.columns[i] {
                Some(array) => array.clone(),
                None => {
                    let array = group.values(self.scan.columns[i], *start..*end)?;
                    local.columns[i].insert(array).clone()
                }
            };
            let positions = self.batch.width() - 1;
            self.batch.fill(i, array.slice(self.start - start, self.rows), positions)?;
            self.read[i] = true;
        }
        Ok(())
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
            let tests = || first.iter().zip(&*skip_first).chain(rest.iter().zip(&*skip_rest));
            for rows in group.blocks().flat_map(|block| self.wanted(group, block, tests, filters)) {
                for start in rows.clone().step_by(morsel) {
                    parts.push(Part {
                        group: group.clone(),
                        skip_first: skip_first.clone(),
                        skip_rest: skip_rest.clone(),
                        start,
                        end: (start + morsel).min(rows.end),
                    });
                }
            }
        }
        Ok(parts)
    }

    /// The rows of a block that the bounds of cold pages do not rule out.
    fn wanted<'t, I: Iterator<Item = (&'t BoundTest, &'t bool)>>(
        &self,
        group: &RowGroup,
        block: Range<usize>,
        tests: impl Fn() -> I,
        filters: &[Arc<JoinFilter>],
    ) -> Vec<Range<usize>> {
        let never = |test: &BoundTest, rows: &Range<usize>| {
            let Some(zone) = test.column().and_then(|c| group.zone_within(c, rows.clone())) else {
                return false;
            };
            test.verdict(rows.len() as u64, |_| Some(&zone)) == Verdict::Never
        };
        let skips = |filter: &JoinFilter, on: &FilterUse, rows: &Range<usize>| {
            let zone = self.columns.get(on.column).and_then(|c| group.zone_within(*c, rows.clone()));
            zone.is_some_and(|zone| filter.skips(&zone))
        };
        if !group.is_cold() {
            return vec![block];
        }
        let mut wanted: Vec<Range<usize>> = Vec::new();
        for start in block.clone().step_by(PRUNED_ROWS) {
            let rows = start..(start + PRUNED_ROWS).min(block.end);
            if tests().any(|(test, known)| !known && never(test, &rows))
                || filters.iter().zip(&self.filters).any(|(f, u)| skips(f, u, &rows))
            {
                continue;
            }
            match wanted.last_mut() {
                Some(last) if last.end == start => last.end = rows.end,
                _ => wanted.push(rows),
            }
        }
        wanted
    }

    fn row_ids(&self, part: &Part, start: usize, rows: usize) -> Option<Column> {
        let ids = || part.group.row_ids(start, rows).into_iter().map(|id| id as i64);
        self.row_id.then(|| Column::Array(Arc::new(Int64Array::from_iter_values(ids()))))
    }

    fn narrow(&self, run: &Run, shared: &Shared, local: &mut Local, late: &mut LateBatch<'_>) -> Result<()> {
        let part = late.part;
        late.read(self.first.inputs(&part.skip_first), local)?;
        self.first.narrow(&run.ctx, &mut late.batch, &mut local.first, &part.skip_first)?;
        for (i, (filter, on)) in shared.filters.iter().zip(&self.filters).enumerate() {
            let (seen, passed) = local.tried[i];
            let useless = seen >= JUDGED_AFTER && passed as f64 > seen as f64 * USELESS_SHARE;
            if useless || late.batch.rows() == 0 {
                continue;
            }
            late.read([on.column], local)?;
            let batch = &mut late.batch;
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
        late.read(self.rest.inputs(&part.skip_rest), local)?;
        if late.batch.rows() > 0 {
            self.rest.narrow(&run.ctx, &mut late.batch, &mut local.rest, &part.skip_rest)?;
        }
        late.read(self.output.iter().copied(), local)
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
        let parts = self.parts(run, &filters)?;
        let rows = parts.iter().map(|p| p.end - p.start).sum();
        Ok(Shared {
            parts,
            rows,
            morsel: run.batch_size * MORSEL_BATCHES,
            next: AtomicUsize::new(0),
            filters,
        })
    }

    /// A worker gets a full morsel's rows at least: small tables are read by one, in their order.
    fn parallelism(&self, shared: &Shared) -> usize {
        shared.parts.len().min(shared.rows.div_ceil(shared.morsel))
    }

    fn local(&self, _: &Run, shared: &Shared) -> Result<Local> {
        Ok(Local { tried: vec![(0, 0); shared.filters.len()], ..Local::default() })
    }

    fn morsel(&self, _: &Run, shared: &Shared, local: &mut Local) -> Result<bool> {
        local.part = shared.next.fetch_add(1, Ordering::Relaxed);
        local.columns.clear();
        let Some(part) = shared.parts.get(local.part) else { return Ok(false) };
        local.at = part.start;
        Ok(true)
    }

    fn next(&self, run: &Run, shared: &Shared, local: &mut Local) -> Result<Option<Batch>> {
        let part = &shared.parts[local.part];
        let start = local.at;
        if start >= part.end {
            return Ok(None);
        }
        let rows = run.batch_size.min(part.end - start);
        local.at = start + rows;
        let mut late = LateBatch::new(self, part, start, rows, local)?;
        if let Some(alive) = alive(&part.group, start, rows) {
            late.batch.select(positions(&alive));
        }
        if late.batch.rows() > 0 {
            self.narrow(run, shared, local, &mut late)?;
        }
        put_out(late.batch, &self.output, self.row_id.then_some(self.columns.len())).map(Some)
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
