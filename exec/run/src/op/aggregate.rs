//! Hash aggregation: every worker groups what it sees, then the workers' groups are merged partition by partition.
//!
//! A worker's table that grows past a bound is put aside as it is and a new one begun. With one table in all there is nothing to
//! merge; otherwise the groups are split by a hash of their values and the source that follows merges each partition when
//! its turn comes, in parallel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::datatypes::Int64Type;
use parking_lot::Mutex;
use spg_expr::{AggregateKernel, Column, EvalContext, GroupStates};
use spg_types::{Error, Result};

use super::aggregate_input::{distinct, ordered};
use crate::batch::Batch;
use crate::key::table::GroupTable;
use crate::key::words::Shape;
use crate::memory::Reservation;
use crate::pipeline::{Sink, Source};
use crate::predicate::{Answer, positions, truth};
use crate::run::{Run, Slot};
use crate::scalar::Scalar;
use crate::sort_key::SortSpec;

/// A worker begins a new table past this many batches of groups.
const TABLE_BATCHES_MAX: usize = 128;
/// Fewer batches of groups than this are merged in one go.
const PARTITIONED_FROM_BATCHES: usize = 2;
/// Batches of groups per partition, about.
const PARTITION_BATCHES: usize = 4;
/// Partitions at most.
const PARTITIONS_MAX: usize = 256;

/// One aggregate call.
pub(crate) struct Call {
    /// Makes its states.
    pub(crate) kernel: Arc<dyn AggregateKernel>,
    /// Positions of its arguments among the aggregation's arguments.
    pub(crate) args: Vec<usize>,
    /// FILTER.
    pub(crate) filter: Option<Scalar>,
    /// DISTINCT: the layout of group and arguments as a key.
    pub(crate) distinct: Option<Shape>,
    /// ORDER BY: how the last arguments sort; they are not passed on.
    pub(crate) order: Option<Arc<SortSpec>>,
}

impl Call {
    fn states(&self) -> Box<dyn GroupStates> {
        let states = self.kernel.states();
        let states = match &self.order {
            Some(spec) => ordered(states, spec.clone()),
            None => states,
        };
        match &self.distinct {
            Some(shape) => distinct(states, shape),
            None => states,
        }
    }
}

/// What is grouped and computed.
pub(crate) struct Grouping {
    /// Key columns.
    pub(crate) keys: Vec<Scalar>,
    /// Their layout.
    pub(crate) shape: Shape,
    /// Argument expressions, each once.
    pub(crate) args: Vec<Scalar>,
    /// Calls.
    pub(crate) calls: Vec<Call>,
}

impl Grouping {
    fn states(&self) -> Vec<Box<dyn GroupStates>> {
        self.calls.iter().map(Call::states).collect()
    }
}

/// Groups with their states.
struct Groups {
    table: GroupTable,
    states: Vec<Box<dyn GroupStates>>,
}

impl Groups {
    fn new(grouping: &Grouping) -> Self {
        Self { table: GroupTable::new(&grouping.shape), states: grouping.states() }
    }

    fn bytes(&self) -> usize {
        self.table.bytes() + self.states.iter().map(|s| s.bytes()).sum::<usize>()
    }

    fn resize(&mut self) {
        let groups = self.table.len();
        self.states.iter_mut().for_each(|s| s.resize(groups));
    }

    fn finish(&mut self, ctx: &EvalContext) -> Result<Vec<Column>> {
        self.resize();
        let mut columns = self.table.columns(0..self.table.len())?;
        for states in &mut self.states {
            columns.push(Column::Array(states.finish(ctx)?));
        }
        Ok(columns)
    }
}

/// Groups put aside, split by partition.
struct Aside {
    groups: Groups,
    /// Group numbers, partition by partition.
    order: Vec<u32>,
    /// Where each partition starts in `order`; one more at the end.
    starts: Vec<usize>,
}

impl Aside {
    fn new(groups: Groups) -> Self {
        Self { groups, order: Vec::new(), starts: Vec::new() }
    }

    fn split(&mut self, partitions: usize) {
        let bits = partitions.trailing_zeros();
        let partition = |hash: u64| if bits == 0 { 0 } else { (hash >> (64 - bits)) as usize };
        let hashes = self.groups.table.content_hashes();
        let mut counts = vec![0; partitions + 1];
        hashes.iter().for_each(|h| counts[partition(*h) + 1] += 1);
        for p in 0..partitions {
            counts[p + 1] += counts[p];
        }
        self.starts.clone_from(&counts);
        self.order = vec![0; hashes.len()];
        for (group, hash) in hashes.iter().enumerate() {
            let at = &mut counts[partition(*hash)];
            self.order[*at] = group as u32;
            *at += 1;
        }
    }

    fn partition(&self, p: usize) -> &[u32] {
        &self.order[self.starts[p]..self.starts[p + 1]]
    }
}

/// What the aggregation hands to the source that follows.
pub(crate) struct Aggregated {
    tables: Vec<Aside>,
    partitions: usize,
    /// The only table's result, once computed.
    whole: Mutex<Option<Groups>>,
    _memory: Vec<Reservation>,
}

/// The sink.
pub(crate) struct HashAggregate {
    /// What is grouped and computed.
    pub(crate) grouping: Arc<Grouping>,
    /// Where the groups are published.
    pub(crate) slot: Slot<Aggregated>,
    /// Plan node, for memory.
    pub(crate) node: usize,
}

/// A worker's groups.
pub(crate) struct Local {
    groups: Groups,
    aside: Vec<Groups>,
    aside_bytes: usize,
    ids: Vec<u32>,
    memory: Reservation,
}

/// All workers' groups.
#[derive(Default)]
pub(crate) struct Shared {
    tables: Mutex<Vec<Arc<Mutex<Aside>>>>,
    memory: Mutex<Vec<Reservation>>,
    partitions: AtomicUsize,
}

impl HashAggregate {
    fn update(&self, run: &Run, local: &mut Local, mut batch: Batch) -> Result<()> {
        let rows = batch.rows();
        let grouping = &*self.grouping;
        let single = grouping.keys.is_empty();
        let keys = grouping.keys.iter().map(|k| k.eval(&run.ctx, &mut batch)).collect::<Result<Vec<_>>>()?;
        local.groups.table.groups(&keys, rows, &mut local.ids)?;
        local.groups.resize();
        let mut args: Vec<Option<Column>> = vec![None; grouping.args.len()];
        for (call, states) in grouping.calls.iter().zip(&mut local.groups.states) {
            if let Some(filter) = &call.filter {
                update_filtered(run, grouping, call, filter, states.as_mut(), &batch, &local.ids)?;
                continue;
            }
            for &i in &call.args {
                if args[i].is_none() {
                    args[i] = Some(grouping.args[i].eval(&run.ctx, &mut batch)?);
                }
            }
            let inputs: Vec<Column> = call.args.iter().filter_map(|&i| args[i].clone()).collect();
            if single {
                states.update_single(&run.ctx, &inputs, 0, rows)?;
            } else {
                states.update(&run.ctx, &inputs, &local.ids)?;
            }
        }
        Ok(())
    }
}

/// Adds the rows that FILTER lets pass; arguments are computed for them alone.
fn update_filtered(
    run: &Run,
    grouping: &Grouping,
    call: &Call,
    filter: &Scalar,
    states: &mut dyn GroupStates,
    batch: &Batch,
    ids: &[u32],
) -> Result<()> {
    let mut batch = batch.clone();
    let mut ids = std::borrow::Cow::Borrowed(ids);
    match truth(&filter.eval(&run.ctx, &mut batch)?)? {
        Answer::All => {}
        Answer::None => return Ok(()),
        Answer::Some(mask) => {
            let passed: UInt32Array = positions(&mask);
            if passed.is_empty() {
                return Ok(());
            }
            ids = spg_simd::gather(&ids, passed.values()).into();
            batch.select(passed);
        }
    }
    let args: Vec<Column> =
        call.args.iter().map(|&i| grouping.args[i].eval(&run.ctx, &mut batch)).collect::<Result<_>>()?;
    states.update(&run.ctx, &args, &ids)
}

impl Sink for HashAggregate {
    type Shared = Shared;
    type Local = Local;

    fn open(&self, _: &Run) -> Result<Shared> {
        Ok(Shared::default())
    }

    fn local(&self, run: &Run, _: &Shared) -> Result<Local> {
        Ok(Local {
            groups: Groups::new(&self.grouping),
            aside: Vec::new(),
            aside_bytes: 0,
            ids: Vec::new(),
            memory: Reservation::new(&run.memory),
        })
    }

    fn push(&self, run: &Run, _: &Shared, local: &mut Local, batch: Batch) -> Result<()> {
        self.update(run, local, batch)?;
        if local.groups.table.len() > TABLE_BATCHES_MAX * run.batch_size {
            let full = std::mem::replace(&mut local.groups, Groups::new(&self.grouping));
            local.aside_bytes += full.bytes();
            local.aside.push(full);
        }
        local.memory.set(local.aside_bytes + local.groups.bytes())
    }

    fn combine(&self, _: &Run, shared: &Shared, local: Local) -> Result<()> {
        let tables = local.aside.into_iter().chain([local.groups]).filter(|g| g.table.len() > 0);
        shared.tables.lock().extend(tables.map(|g| Arc::new(Mutex::new(Aside::new(g)))));
        shared.memory.lock().push(local.memory);
        Ok(())
    }

    fn parts(&self, run: &Run, shared: &Shared) -> Result<usize> {
        let tables = shared.tables.lock();
        let groups: usize = tables.iter().map(|t| t.lock().groups.table.len()).sum();
        let partitions = match groups {
            few if few < PARTITIONED_FROM_BATCHES * run.batch_size => 1,
            many => (many / (PARTITION_BATCHES * run.batch_size))
                .max(4 * run.parallelism)
                .next_power_of_two()
                .min(PARTITIONS_MAX),
        };
        shared.partitions.store(partitions, Ordering::Relaxed);
        Ok(if tables.len() > 1 { tables.len() } else { 0 })
    }

    fn part(&self, _: &Run, shared: &Shared, part: usize) -> Result<()> {
        let table = shared.tables.lock()[part].clone();
        table.lock().split(shared.partitions.load(Ordering::Relaxed));
        Ok(())
    }

    fn finish(&self, run: &Run, shared: &Shared) -> Result<()> {
        let mut tables = Vec::new();
        for table in std::mem::take(&mut *shared.tables.lock()) {
            let table = Arc::into_inner(table).ok_or_else(|| Error::internal("a table is still in use"))?;
            tables.push(table.into_inner());
        }
        let memory = std::mem::take(&mut *shared.memory.lock());
        run.note_memory(self.node, memory.iter().map(Reservation::bytes).sum());
        let mut whole = None;
        if tables.len() < 2 {
            let only = tables.pop().map(|t| t.groups);
            whole = only.or_else(|| self.grouping.keys.is_empty().then(|| Groups::new(&self.grouping)));
        }
        let partitions = if tables.is_empty() { 0 } else { shared.partitions.load(Ordering::Relaxed) };
        let whole = Mutex::new(whole);
        run.put(self.slot, Arc::new(Aggregated { tables, partitions, whole, _memory: memory }))
    }
}

/// The source: groups and results.
pub(crate) struct AggregateScan {
    /// What was grouped and computed.
    pub(crate) grouping: Arc<Grouping>,
    /// Where the groups were published.
    pub(crate) slot: Slot<Aggregated>,
    /// GROUPING SETS: the position of the key that numbers the sets, and the value of the grouping column for each.
    pub(crate) sets: Option<(usize, Vec<i64>)>,
    /// GROUPING SETS: numbers of the sets without columns, which have a row even if there is no input.
    pub(crate) empty_sets: Vec<usize>,
}

/// What is left to put out.
pub(crate) struct ScanShared {
    aggregated: Arc<Aggregated>,
    /// The result when there is only one table.
    whole: Option<(Vec<Column>, usize)>,
    /// Its rows per morsel.
    morsel: usize,
    next: AtomicUsize,
}

/// A worker's partition.
#[derive(Default)]
pub(crate) struct ScanLocal {
    columns: Vec<Column>,
    rows: usize,
    at: usize,
}

impl AggregateScan {
    fn merge(&self, run: &Run, aggregated: &Aggregated, p: usize) -> Result<(Vec<Column>, usize)> {
        let mut merged = Groups::new(&self.grouping);
        let mut memory = Reservation::new(&run.memory);
        let mut ids = Vec::new();
        for aside in &aggregated.tables {
            let from = aside.partition(p);
            if from.is_empty() {
                continue;
            }
            let keys = aside.groups.table.columns_of(from)?;
            merged.table.groups(&keys, from.len(), &mut ids)?;
            merged.resize();
            for (states, other) in merged.states.iter_mut().zip(&aside.groups.states) {
                states.merge(other.as_ref(), from, &ids)?;
            }
            memory.set(merged.bytes())?;
        }
        let rows = merged.table.len();
        Ok((self.map_sets(merged.finish(&run.ctx)?)?, rows))
    }

    /// Replaces the number of a grouping set by the grouping column's value.
    fn map_sets(&self, mut columns: Vec<Column>) -> Result<Vec<Column>> {
        if let Some((at, values)) = &self.sets {
            let wrong = || Error::internal("grouping sets are not numbered");
            let numbers = columns[*at].inner().as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
            let mapped = numbers.values().iter().map(|n| values.get(*n as usize).copied().ok_or_else(wrong));
            columns[*at] = Column::Array(Arc::new(Int64Array::from(mapped.collect::<Result<Vec<_>>>()?)));
        }
        Ok(columns)
    }

    /// Rows of the empty grouping sets over no input.
    fn empty(&self, run: &Run) -> Result<(Vec<Column>, usize)> {
        let mut groups = Groups::new(&self.grouping);
        let rows = self.empty_sets.len();
        let Some((at, _)) = &self.sets else { return Err(Error::internal("there are no grouping sets")) };
        let keys: Vec<Column> = (self.grouping.keys.iter().enumerate())
            .map(|(i, key)| match i == *at {
                true => {
                    let numbers = self.empty_sets.iter().map(|n| *n as i64);
                    Ok(Column::Array(Arc::new(Int64Array::from_iter_values(numbers)) as ArrayRef))
                }
                false => Column::constant(&spg_types::Datum::Null, key.ty()),
            })
            .collect::<Result<_>>()?;
        groups.table.groups(&keys, rows, &mut Vec::new())?;
        Ok((self.map_sets(groups.finish(&run.ctx)?)?, rows))
    }
}

impl Source for AggregateScan {
    type Shared = ScanShared;
    type Local = ScanLocal;

    fn open(&self, run: &Run) -> Result<ScanShared> {
        let aggregated = run.get(self.slot)?;
        let whole = aggregated.whole.lock().take();
        let whole = match whole {
            Some(mut groups) => {
                if self.grouping.keys.is_empty() {
                    groups.table.groups(&[], 1, &mut Vec::new())?;
                }
                let rows = groups.table.len();
                Some((self.map_sets(groups.finish(&run.ctx)?)?, rows))
            }
            None if aggregated.tables.is_empty() && !self.empty_sets.is_empty() => Some(self.empty(run)?),
            None => None,
        };
        let morsel = PARTITION_BATCHES * run.batch_size;
        Ok(ScanShared { aggregated, whole, morsel, next: AtomicUsize::new(0) })
    }

    fn parallelism(&self, shared: &ScanShared) -> usize {
        match &shared.whole {
            Some((_, rows)) => rows.div_ceil(shared.morsel),
            None => shared.aggregated.partitions,
        }
    }

    fn local(&self, _: &Run, _: &ScanShared) -> Result<ScanLocal> {
        Ok(ScanLocal::default())
    }

    fn morsel(&self, run: &Run, shared: &ScanShared, local: &mut ScanLocal) -> Result<bool> {
        let morsel = shared.next.fetch_add(1, Ordering::Relaxed);
        match &shared.whole {
            Some((columns, rows)) => {
                let start = morsel * shared.morsel;
                if start >= *rows {
                    return Ok(false);
                }
                *local = ScanLocal {
                    columns: columns.clone(),
                    at: start,
                    rows: (start + shared.morsel).min(*rows),
                };
            }
            None => {
                if morsel >= shared.aggregated.partitions {
                    return Ok(false);
                }
                let (columns, rows) = self.merge(run, &shared.aggregated, morsel)?;
                *local = ScanLocal { columns, rows, at: 0 };
            }
        }
        Ok(true)
    }

    fn next(&self, run: &Run, _: &ScanShared, local: &mut ScanLocal) -> Result<Option<Batch>> {
        let rows = run.batch_size.min(local.rows - local.at);
        if rows == 0 {
            return Ok(None);
        }
        let columns = local.columns.iter().map(|c| c.slice(local.at, rows)).collect();
        local.at += rows;
        Ok(Some(Batch::new(columns, rows)))
    }
}
