//! Frames: for each row of sorted partitions, the rows that a call looks at.

use std::ops::Range;
use std::sync::Arc;

use spg_expr::Column;
use spg_plan::{FrameExclusion, FrameUnit};
use spg_types::datetime::interval_span;
use spg_types::{ColumnBuilder, Datum, Error, Repr, Result, SqlState, SqlType, def};

use crate::batch::Batch;
use crate::run::Run;
use crate::scalar::Scalar;
use crate::sort_key::SortSpec;

/// One end of a frame.
#[allow(clippy::large_enum_variant, reason = "two per window call")]
pub(crate) enum Bound {
    /// The partition's end.
    Unbounded,
    /// The row or its peers.
    Current,
    /// So many rows or peer groups before.
    Before(Scalar),
    /// So many rows or peer groups after.
    After(Scalar),
    /// The place of a key value in the order.
    Key {
        /// The sort column.
        key: Scalar,
        /// The value, by row.
        value: Scalar,
        /// By how much it differs: not negative.
        offset: Scalar,
        /// Whether this is the frame's start.
        start: bool,
        /// The order, over a single column at position 0.
        spec: Arc<SortSpec>,
    },
}

/// A frame clause.
pub(crate) struct FrameSpec {
    /// What offsets count.
    pub(crate) unit: FrameUnit,
    /// Where it starts.
    pub(crate) start: Bound,
    /// Where it ends.
    pub(crate) end: Bound,
    /// What it leaves out.
    pub(crate) exclude: FrameExclusion,
}

/// Where partitions and peer groups begin and end among some rows.
pub(crate) struct Groups {
    /// Partitions.
    pub(crate) partitions: Vec<Range<u32>>,
    /// Peer groups, none across partitions.
    pub(crate) peers: Vec<Range<u32>>,
    /// The partition of each row.
    pub(crate) partition_of: Vec<u32>,
    /// The peer group of each row.
    pub(crate) peer_of: Vec<u32>,
}

impl FrameSpec {
    /// Whether every frame is the whole partition.
    pub(crate) fn is_partition(&self, ordered: bool) -> bool {
        let whole = matches!((&self.start, &self.end), (Bound::Unbounded, Bound::Unbounded));
        let unordered = self.unit == FrameUnit::Range
            && !ordered
            && matches!(self.start, Bound::Unbounded | Bound::Current)
            && matches!(self.end, Bound::Unbounded | Bound::Current);
        self.exclude == FrameExclusion::NoOthers && (whole || unordered)
    }

    /// The frame of each row, before exclusion.
    pub(crate) fn frames(&self, run: &Run, batch: &mut Batch, groups: &Groups) -> Result<Vec<(u32, u32)>> {
        let starts = self.edge(run, batch, groups, &self.start, true)?;
        let ends = self.edge(run, batch, groups, &self.end, false)?;
        Ok(starts.into_iter().zip(ends).map(|(s, e)| (s, e.max(s))).collect())
    }

    fn edge(
        &self,
        run: &Run,
        batch: &mut Batch,
        groups: &Groups,
        bound: &Bound,
        start: bool,
    ) -> Result<Vec<u32>> {
        let partition = |row: usize| &groups.partitions[groups.partition_of[row] as usize];
        let rows = 0..batch.rows();
        let pick = |range: &Range<u32>| if start { range.start } else { range.end };
        Ok(match bound {
            Bound::Unbounded => rows.map(|row| pick(partition(row))).collect(),
            Bound::Current if self.unit == FrameUnit::Rows => {
                rows.map(|row| row as u32 + u32::from(!start)).collect()
            }
            Bound::Current => rows.map(|row| pick(&groups.peers[groups.peer_of[row] as usize])).collect(),
            Bound::Before(offset) => {
                let offset = count(run, offset, start)?;
                rows.map(|row| self.moved(groups, row, -offset, start)).collect()
            }
            Bound::After(offset) => {
                let offset = count(run, offset, start)?;
                rows.map(|row| self.moved(groups, row, offset, start)).collect()
            }
            Bound::Key { key, value, offset, start, spec } => {
                check_offset(run, offset, *start)?;
                by_key(run, batch, groups, (key, value), spec, *start)?
            }
        })
    }

    /// The edge so many rows or peer groups from a row.
    fn moved(&self, groups: &Groups, row: usize, by: i64, start: bool) -> u32 {
        let partition = &groups.partitions[groups.partition_of[row] as usize];
        let (first, last) = (i64::from(partition.start), i64::from(partition.end));
        if self.unit == FrameUnit::Rows {
            let at = (row as i64).saturating_add(by).saturating_add(i64::from(!start));
            return at.clamp(first, last) as u32;
        }
        let group = i64::from(groups.peer_of[row]).saturating_add(by);
        let lowest = i64::from(groups.peer_of[partition.start as usize]);
        let highest = i64::from(groups.peer_of[partition.end as usize - 1]);
        if group < lowest {
            partition.start
        } else if group > highest {
            partition.end
        } else {
            let peers = &groups.peers[group as usize];
            if start { peers.start } else { peers.end }
        }
    }

    /// The rows of a frame as at most three ranges in order, after exclusion.
    pub(crate) fn pieces(&self, groups: &Groups, row: usize, (start, end): (u32, u32)) -> [Range<u32>; 3] {
        let row = row as u32;
        let peers = &groups.peers[groups.peer_of[row as usize] as usize];
        let cut = |from: u32, to: u32| from.max(start)..to.min(end).max(from.max(start));
        let none = start..start;
        match self.exclude {
            FrameExclusion::NoOthers => [start..end, none.clone(), none],
            FrameExclusion::CurrentRow => [cut(start, row), cut(row + 1, end), none],
            FrameExclusion::Group => [cut(start, peers.start), cut(peers.end, end), none],
            FrameExclusion::Ties => [cut(start, peers.start), cut(row, row + 1), cut(peers.end, end)],
        }
    }
}

/// A frame's offset in rows or groups.
fn count(run: &Run, offset: &Scalar, start: bool) -> Result<i64> {
    let name = if start { "starting" } else { "ending" };
    let value = match offset.value(&run.ctx)? {
        Datum::Int64(v) => v,
        Datum::Int32(v) => v.into(),
        Datum::Int16(v) => v.into(),
        Datum::Null => {
            let message = format!("frame {name} offset must not be null");
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        }
        _ => return Err(Error::internal("a frame's offset is not a bigint")),
    };
    if value < 0 {
        let message = format!("frame {name} offset must not be negative");
        return Err(Error::new(SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE, message));
    }
    Ok(value)
}

/// The edge at the place of a key value.
fn by_key(
    run: &Run,
    batch: &mut Batch,
    groups: &Groups,
    (key, value): (&Scalar, &Scalar),
    spec: &SortSpec,
    start: bool,
) -> Result<Vec<u32>> {
    let rows = batch.rows();
    let bounds = value.eval(&run.ctx, batch)?;
    let mut keys = key.eval(&run.ctx, batch)?;
    if key.ty().repr() != value.ty().repr() {
        if key.ty().repr() != Repr::Date {
            let message = format!("RANGE with an offset that makes {} of {}", value.ty(), key.ty());
            return Err(Error::unsupported(format!("{message} is not supported")));
        }
        keys = dates_as_timestamps(&keys)?;
    }
    let encode = |c: Column| spec.encode(&mut |_| Ok(c.clone()), rows);
    let (bounds, keys) = (encode(bounds)?, encode(keys)?);
    let edge = |row: usize| {
        let partition = &groups.partitions[groups.partition_of[row] as usize];
        let (mut low, mut high) = (partition.start as usize, partition.end as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            let order = keys.compare(middle, &bounds, row);
            if order.is_lt() || (!start && order.is_eq()) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low as u32
    };
    Ok((0..rows).map(edge).collect())
}

fn dates_as_timestamps(dates: &Column) -> Result<Column> {
    let array = dates.inner();
    let mut out = ColumnBuilder::new(SqlType::new(&def::TIMESTAMP), array.len());
    for row in 0..array.len() {
        match Datum::from_array(array, row)? {
            Datum::Date(d) => out.append_datum(&Datum::Timestamp(spg_expr::date_to_timestamp(d)))?,
            _ => out.append_null(),
        }
    }
    Ok(match dates {
        Column::Array(_) => Column::Array(out.finish()),
        Column::Const(_) => Column::Const(out.finish()),
    })
}

/// 22004 or 22013 when a RANGE frame's offset is NULL or negative.
fn check_offset(run: &Run, offset: &Scalar, start: bool) -> Result<()> {
    let negative = match offset.value(&run.ctx)? {
        Datum::Null => {
            let name = if start { "starting" } else { "ending" };
            let message = format!("frame {name} offset must not be null");
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        }
        Datum::Int16(v) => v < 0,
        Datum::Int32(v) => v < 0,
        Datum::Int64(v) => v < 0,
        Datum::Float32(v) => v < 0.0 || v.is_nan(),
        Datum::Float64(v) => v < 0.0 || v.is_nan(),
        Datum::Decimal(v) => v < 0,
        Datum::Numeric(v) => v.signum() < 0 || v.is_nan(),
        Datum::Interval(v) => interval_span(v) < 0,
        _ => false,
    };
    if negative {
        let message = "invalid preceding or following size in window function";
        return Err(Error::new(SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE, message));
    }
    Ok(())
}
