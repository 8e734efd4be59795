//! Window functions: the input is sorted by partition and order; whole partitions are morsels.

mod aggregate;
pub(crate) mod frame;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::concat;
use spg_expr::{AggregateKernel, Column, Partition, WindowKernel};
use spg_plan::FrameExclusion;
use spg_types::{Error, Result};

use super::sort::Sorted;
use crate::batch::{Batch, BatchColumn};
use crate::pipeline::Source;
use crate::predicate::{Answer, positions, truth};
use crate::run::{Run, Slot};
use crate::scalar::Scalar;
use crate::sort_key::SortSpec;
use frame::{FrameSpec, Groups};

/// Batches per morsel, about; a partition is never split.
const MORSEL_BATCHES: usize = 8;

/// What is called.
pub(crate) enum Callee {
    /// A window function.
    Function {
        /// Computes a partition.
        kernel: Arc<dyn WindowKernel>,
        /// Whether it looks at the frame.
        uses_frame: bool,
    },
    /// An aggregate.
    Aggregate(Arc<dyn AggregateKernel>),
}

/// One call.
pub(crate) struct WindowExpr {
    /// What is called.
    pub(crate) callee: Callee,
    /// Arguments over the sorted rows.
    pub(crate) args: Vec<Scalar>,
    /// FILTER.
    pub(crate) filter: Option<Scalar>,
    /// The frame.
    pub(crate) frame: FrameSpec,
}

/// The source: sorted rows with the calls' columns after their own.
pub(crate) struct Window {
    /// Where the sorted rows are published.
    pub(crate) slot: Slot<Sorted>,
    /// PARTITION BY.
    pub(crate) partition: SortSpec,
    /// ORDER BY.
    pub(crate) order: SortSpec,
    /// Calls.
    pub(crate) calls: Vec<WindowExpr>,
}

/// Sorted rows, cut at partition boundaries.
pub(crate) struct Shared {
    sorted: Arc<Sorted>,
    /// The last row of each partition and peer group is followed by a boundary: rows that begin one.
    partition_starts: Vec<u32>,
    morsels: Vec<Range<usize>>,
    next: AtomicUsize,
}

/// A worker's morsel.
#[derive(Default)]
pub(crate) struct Local {
    result: Option<Batch>,
    at: usize,
}

/// The rows among sorted ones whose key differs from that of the row before.
fn starts(spec: &SortSpec, batch: &mut Batch) -> Result<Vec<u32>> {
    let rows = batch.rows();
    if spec.is_empty() {
        return Ok(if rows > 0 { vec![0] } else { vec![] });
    }
    let keys = spec.encode(&mut |i| batch.column(i), rows)?;
    Ok((0..rows)
        .filter(|&row| row == 0 || keys.compare(row - 1, &keys, row).is_ne())
        .map(|row| row as u32)
        .collect())
}

fn ranges(starts: &[u32], end: u32) -> Vec<Range<u32>> {
    let ends = starts.iter().skip(1).copied().chain([end]);
    starts.iter().copied().zip(ends).map(|(a, b)| a..b).collect()
}

fn owners(ranges: &[Range<u32>], rows: usize) -> Vec<u32> {
    let mut of = Vec::with_capacity(rows);
    for (i, range) in ranges.iter().enumerate() {
        of.resize(range.end as usize, i as u32);
    }
    of
}

fn sorted_rows(sorted: &Sorted, rows: Range<usize>) -> Batch {
    let count = rows.len();
    let index = Arc::new(sorted.order.slice(rows.start, count));
    let columns = sorted.columns.iter().map(|c| BatchColumn::indexed(c.clone(), index.clone())).collect();
    Batch::from_columns(columns, count)
}

impl Window {
    fn compute(&self, run: &Run, shared: &Shared, rows: Range<usize>) -> Result<Batch> {
        let mut batch = sorted_rows(&shared.sorted, rows.clone());
        let count = rows.len();
        let first = shared.partition_starts.partition_point(|s| (*s as usize) < rows.start);
        let here: Vec<u32> = shared.partition_starts[first..]
            .iter()
            .take_while(|s| (**s as usize) < rows.end)
            .map(|s| s - rows.start as u32)
            .collect();
        let partitions = ranges(&here, count as u32);
        let mut peer_starts = starts(&self.order, &mut batch)?;
        peer_starts.extend_from_slice(&here);
        peer_starts.sort_unstable();
        peer_starts.dedup();
        let peers = ranges(&peer_starts, count as u32);
        let groups = Groups {
            partition_of: owners(&partitions, count),
            peer_of: owners(&peers, count),
            partitions,
            peers,
        };
        for call in &self.calls {
            let result = self.call(run, call, &mut batch, &groups)?;
            batch.push(BatchColumn::dense(Column::Array(result)));
        }
        Ok(batch)
    }

    fn call(&self, run: &Run, call: &WindowExpr, batch: &mut Batch, groups: &Groups) -> Result<ArrayRef> {
        match &call.callee {
            Callee::Function { kernel, uses_frame } => {
                self.function(run, call, kernel.as_ref(), *uses_frame, batch, groups)
            }
            Callee::Aggregate(kernel) => self.aggregate(run, call, kernel.as_ref(), batch, groups),
        }
    }

    fn function(
        &self,
        run: &Run,
        call: &WindowExpr,
        kernel: &dyn WindowKernel,
        uses_frame: bool,
        batch: &mut Batch,
        groups: &Groups,
    ) -> Result<ArrayRef> {
        if uses_frame && call.frame.exclude != FrameExclusion::NoOthers {
            return Err(Error::unsupported("frame exclusion is not supported for window functions"));
        }
        let args = call.args.iter().map(|a| a.eval(&run.ctx, batch)).collect::<Result<Vec<_>>>()?;
        let frames = if uses_frame { call.frame.frames(run, batch, groups)? } else { Vec::new() };
        let mut results = Vec::with_capacity(groups.partitions.len());
        for partition in &groups.partitions {
            let (start, rows) = (partition.start as usize, partition.len());
            let args: Vec<Column> = args.iter().map(|a| a.slice(start, rows)).collect();
            let first_peer = groups.peer_of[start];
            let peers: Vec<u32> =
                groups.peer_of[start..start + rows].iter().map(|p| p - first_peer).collect();
            let frames: Vec<(u32, u32)> = frames
                .get(start..start + rows)
                .unwrap_or_default()
                .iter()
                .map(|(a, b)| (a - partition.start, b - partition.start))
                .collect();
            let partition = Partition { rows, args: &args, peers: &peers, frames: &frames };
            results.push(kernel.eval(&run.ctx, &partition)?);
        }
        match results.as_slice() {
            [one] => Ok(one.clone()),
            many => {
                let refs: Vec<&dyn arrow::array::Array> = many.iter().map(|a| a.as_ref()).collect();
                Ok(concat(&refs)?)
            }
        }
    }

    fn aggregate(
        &self,
        run: &Run,
        call: &WindowExpr,
        kernel: &dyn AggregateKernel,
        batch: &mut Batch,
        groups: &Groups,
    ) -> Result<ArrayRef> {
        let count = batch.rows();
        let mut passed = batch.clone();
        let mut rows: Vec<u32> = (0..count as u32).collect();
        if let Some(filter) = &call.filter {
            match truth(&filter.eval(&run.ctx, batch)?)? {
                Answer::All => {}
                Answer::None => {
                    passed.select(UInt32Array::from(Vec::<u32>::new()));
                    rows.clear();
                }
                Answer::Some(mask) => {
                    let kept = positions(&mask);
                    rows = kept.values().to_vec();
                    passed.select(kept);
                }
            }
        }
        let args = call.args.iter().map(|a| a.eval(&run.ctx, &mut passed)).collect::<Result<Vec<_>>>()?;
        if call.frame.is_partition(!self.order.is_empty()) {
            let partitions = groups.partitions.len();
            return aggregate::over_partitions(
                &run.ctx,
                kernel,
                &args,
                &rows,
                &groups.partition_of,
                partitions,
            );
        }
        let frames = call.frame.frames(run, batch, groups)?;
        let pieces: Vec<[Range<u32>; 3]> =
            frames.iter().enumerate().map(|(row, f)| call.frame.pieces(groups, row, *f)).collect();
        aggregate::over_frames(&run.ctx, kernel, &args, &rows, count, &pieces)
    }
}

impl Source for Window {
    type Shared = Shared;
    type Local = Local;

    fn open(&self, run: &Run) -> Result<Shared> {
        let sorted = run.get(self.slot)?;
        let rows = sorted.order.len();
        let partition_starts = starts(&self.partition, &mut sorted_rows(&sorted, 0..rows))?;
        let mut morsels = Vec::new();
        let mut start = 0;
        for boundary in partition_starts.iter().skip(1).map(|s| *s as usize) {
            if boundary - start >= run.batch_size * MORSEL_BATCHES {
                morsels.push(start..boundary);
                start = boundary;
            }
        }
        if start < rows {
            morsels.push(start..rows);
        }
        Ok(Shared { sorted, partition_starts, morsels, next: AtomicUsize::new(0) })
    }

    fn parallelism(&self, shared: &Shared) -> usize {
        shared.morsels.len()
    }

    fn local(&self, _: &Run, _: &Shared) -> Result<Local> {
        Ok(Local::default())
    }

    fn morsel(&self, run: &Run, shared: &Shared, local: &mut Local) -> Result<bool> {
        let Some(rows) = shared.morsels.get(shared.next.fetch_add(1, Ordering::Relaxed)) else {
            return Ok(false);
        };
        *local = Local { result: Some(self.compute(run, shared, rows.clone())?), at: 0 };
        Ok(true)
    }

    fn next(&self, run: &Run, _: &Shared, local: &mut Local) -> Result<Option<Batch>> {
        let Some(result) = &local.result else { return Ok(None) };
        let rows = run.batch_size.min(result.rows() - local.at);
        if rows == 0 {
            return Ok(None);
        }
        let batch = result.slice(local.at, rows);
        local.at += rows;
        Ok(Some(batch))
    }
}
