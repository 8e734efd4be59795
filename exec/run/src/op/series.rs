//! `generate_series`: as a source, and per row of an input.

use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use arrow::datatypes::IntervalMonthDayNano;
use spg_expr::Column;
use spg_types::datetime::{add_interval, add_interval_tz, interval_span};
use spg_types::{ColumnBuilder, Datum, Error, Numeric, Result, SqlState, SqlType, def};

use crate::batch::{Batch, BatchColumn};
use crate::pipeline::{Source, Stage};
use crate::run::Run;
use crate::scalar::Scalar;

/// The arguments of `generate_series(start, stop [, step])`.
pub(crate) struct SeriesSpec {
    /// Arguments.
    pub(crate) args: Vec<Scalar>,
    /// Type of the values.
    pub(crate) ty: SqlType,
    /// Whether rows are numbered from 1.
    pub(crate) ordinality: bool,
}

/// Values to come.
pub(crate) enum Series {
    Ints { next: Option<i64>, stop: i64, step: i64 },
    Numbers { next: Numeric, stop: Numeric, step: Numeric },
    Times { next: i64, stop: i64, step: IntervalMonthDayNano, zoned: bool },
    None,
}

fn zero_step() -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

impl Series {
    fn new(args: &[Datum], ty: SqlType) -> Result<Series> {
        if args.iter().any(Datum::is_null) {
            return Ok(Series::None);
        }
        let int = |d: &Datum| match d {
            Datum::Int16(v) => Some(i64::from(*v)),
            Datum::Int32(v) => Some(i64::from(*v)),
            Datum::Int64(v) => Some(*v),
            _ => None,
        };
        match args {
            [Datum::Timestamp(start), Datum::Timestamp(stop), Datum::Interval(step)] => {
                if interval_span(*step) == 0 {
                    return Err(zero_step());
                }
                Ok(Series::Times { next: *start, stop: *stop, step: *step, zoned: ty.is(&def::TIMESTAMPTZ) })
            }
            [Datum::Numeric(start), Datum::Numeric(stop), rest @ ..] => {
                let step = match rest {
                    [Datum::Numeric(step)] => step.clone(),
                    _ => Numeric::from_i128(1, 0),
                };
                for (name, value) in [("start value", start), ("stop value", stop), ("step size", &step)] {
                    if value.is_nan() || value.is_infinite() {
                        let what = if value.is_nan() { "NaN" } else { "infinity" };
                        let message = format!("{name} cannot be {what}");
                        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
                    }
                }
                if step.is_zero() {
                    return Err(zero_step());
                }
                Ok(Series::Numbers { next: start.clone(), stop: stop.clone(), step })
            }
            [start, stop, rest @ ..] => {
                let step = rest.first().map_or(Some(1), int);
                let (Some(start), Some(stop), Some(step)) = (int(start), int(stop), step) else {
                    return Err(Error::unsupported("generate_series over these types is not supported"));
                };
                if step == 0 {
                    return Err(zero_step());
                }
                Ok(Series::Ints { next: Some(start), stop, step })
            }
            _ => Err(Error::internal("generate_series takes two or three arguments")),
        }
    }

    /// Appends up to `limit` values; how many there were.
    fn fill(&mut self, run: &Run, limit: usize, out: &mut ColumnBuilder) -> Result<usize> {
        let mut count = 0;
        while count < limit {
            match self {
                Series::None => break,
                Series::Ints { next, stop, step } => {
                    let Some(value) = *next else { break };
                    if (*step > 0 && value > *stop) || (*step < 0 && value < *stop) {
                        break;
                    }
                    match &mut *out {
                        ColumnBuilder::Int64(b) => b.append_value(value),
                        ColumnBuilder::Int32(b) => b.append_value(value as i32),
                        other => other.append_datum(&Datum::Int16(value as i16))?,
                    }
                    *next = value.checked_add(*step);
                }
                Series::Numbers { next, stop, step } => {
                    let past = if step.signum() > 0 { *next > *stop } else { *next < *stop };
                    if past {
                        break;
                    }
                    out.append_datum(&Datum::Numeric(next.clone()))?;
                    *next = next.add(step)?;
                }
                Series::Times { next, stop, step, zoned } => {
                    let past = if interval_span(*step) > 0 { *next > *stop } else { *next < *stop };
                    if past {
                        break;
                    }
                    out.append_datum(&Datum::Timestamp(*next))?;
                    *next = match zoned {
                        true => add_interval_tz(*next, *step, &run.ctx.format.time_zone)?,
                        false => add_interval(*next, *step)?,
                    };
                }
            }
            count += 1;
        }
        Ok(count)
    }
}

fn numbers(from: i64, rows: usize) -> Column {
    Column::Array(std::sync::Arc::new(Int64Array::from_iter_values(from..from + rows as i64)))
}

/// A series in FROM.
pub(crate) struct SeriesSource(pub(crate) SeriesSpec);

impl Source for SeriesSource {
    type Shared = AtomicBool;
    type Local = (Option<Series>, i64);

    fn open(&self, _: &Run) -> Result<AtomicBool> {
        Ok(AtomicBool::new(false))
    }

    fn parallelism(&self, _: &AtomicBool) -> usize {
        1
    }

    fn local(&self, _: &Run, _: &AtomicBool) -> Result<Self::Local> {
        Ok((None, 1))
    }

    fn morsel(&self, run: &Run, taken: &AtomicBool, local: &mut Self::Local) -> Result<bool> {
        if taken.swap(true, Ordering::Relaxed) {
            return Ok(false);
        }
        let args = self.0.args.iter().map(|a| a.value(&run.ctx)).collect::<Result<Vec<_>>>()?;
        local.0 = Some(Series::new(&args, self.0.ty)?);
        Ok(true)
    }

    fn next(&self, run: &Run, _: &AtomicBool, (series, number): &mut Self::Local) -> Result<Option<Batch>> {
        let Some(series) = series else { return Ok(None) };
        let mut values = ColumnBuilder::new(self.0.ty, run.batch_size);
        let rows = series.fill(run, run.batch_size, &mut values)?;
        if rows == 0 {
            return Ok(None);
        }
        let mut columns = vec![Column::Array(values.finish())];
        if self.0.ordinality {
            columns.push(numbers(*number, rows));
        }
        *number += rows as i64;
        Ok(Some(Batch::new(columns, rows)))
    }
}

/// A series per input row, beside the input's columns.
pub(crate) struct SeriesStage(pub(crate) SeriesSpec);

/// A batch, the arguments of its rows, the row at work with its series and the number of its next value.
pub(crate) struct Work {
    batch: Batch,
    args: Vec<Column>,
    row: usize,
    series: Option<(Series, i64)>,
}

impl Stage for SeriesStage {
    type Shared = ();
    type Local = Option<Work>;

    fn open(&self, _: &Run) -> Result<()> {
        Ok(())
    }

    fn local(&self, _: &Run, (): &()) -> Result<Option<Work>> {
        Ok(None)
    }

    fn push(&self, run: &Run, (): &(), local: &mut Option<Work>, mut batch: Batch) -> Result<()> {
        let args = self.0.args.iter().map(|a| a.eval(&run.ctx, &mut batch)).collect::<Result<_>>()?;
        *local = Some(Work { batch, args, row: 0, series: None });
        Ok(())
    }

    fn pull(&self, run: &Run, (): &(), local: &mut Option<Work>) -> Result<Option<Batch>> {
        let Some(work) = local else { return Ok(None) };
        let mut values = ColumnBuilder::new(self.0.ty, run.batch_size);
        let (mut rows, mut numbered): (Vec<u32>, Vec<i64>) = (Vec::new(), Vec::new());
        while rows.len() < run.batch_size && work.row < work.batch.rows() {
            let (mut series, number) = match work.series.take() {
                Some(going) => going,
                None => {
                    let args = self.0.args.iter().zip(&work.args).map(|(a, c)| c.datum(work.row, a.ty()));
                    (Series::new(&args.collect::<Result<Vec<_>>>()?, self.0.ty)?, 1)
                }
            };
            let room = run.batch_size - rows.len();
            let count = series.fill(run, room, &mut values)?;
            rows.resize(rows.len() + count, work.row as u32);
            numbered.extend(number..number + count as i64);
            if count < room {
                work.row += 1;
            } else {
                work.series = Some((series, number + count as i64));
            }
        }
        if rows.is_empty() {
            *local = None;
            return Ok(None);
        }
        let mut batch = work.batch.clone();
        batch.select(UInt32Array::from(rows));
        batch.push(BatchColumn::dense(Column::Array(values.finish())));
        if self.0.ordinality {
            let numbers: ArrayRef = std::sync::Arc::new(Int64Array::from(numbered));
            batch.push(BatchColumn::dense(Column::Array(numbers)));
        }
        Ok(Some(batch))
    }
}
