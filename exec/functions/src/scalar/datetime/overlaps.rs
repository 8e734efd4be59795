//! OVERLAPS: whether two spans have a moment in common.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::arity::Arg;
use spg_expr::{BindArgs, Column, EvalContext, flatten};
use spg_types::datetime::{add_interval, add_interval_to_time, add_interval_tz};
use spg_types::{Repr, Result};

use crate::record::{functions, sig};

type Kernel = Arc<dyn spg_expr::Kernel>;

/// The values of one argument, NULL where they are.
struct Values<A: Arg> {
    array: ArrayRef,
    reader: A::Reader,
    constant: bool,
}

impl<A: Arg> Values<A> {
    fn new(column: &Column) -> Result<Self> {
        let array = flatten(column.inner())?;
        Ok(Self { reader: A::reader(&array)?, array, constant: matches!(column, Column::Const(_)) })
    }

    fn get(&self, row: usize) -> Option<A::Value<'_>> {
        let row = if self.constant { 0 } else { row };
        self.array.is_valid(row).then(|| A::get(&self.reader, row))
    }
}

/// The second end of a span: told, or so long after the first.
enum End {
    Moment(Values<i64>),
    Length(Values<Interval>),
}

/// Whether two spans overlap, each given by its ends in any order; an end may be unknown.
fn overlap(first: (Option<i64>, Option<i64>), second: (Option<i64>, Option<i64>)) -> Option<bool> {
    let ordered = |(start, end): (Option<i64>, Option<i64>)| match (start, end) {
        (Some(a), Some(b)) => Some((a.min(b), Some(a.max(b)))),
        (Some(known), None) | (None, Some(known)) => Some((known, None)),
        (None, None) => None,
    };
    let (mut a, mut b) = (ordered(first)?, ordered(second)?);
    if a.0 == b.0 {
        // Both hold their common start, unless one of them might have begun earlier and ended there.
        return a.1.and(b.1).map(|_| true);
    }
    if a.0 > b.0 {
        std::mem::swap(&mut a, &mut b);
    }
    // `b` starts later: within `a`, or behind it.
    match (a.1, b.1) {
        (Some(end), _) if b.0 < end => Some(true),
        (Some(_), Some(_)) => Some(false),
        _ => None,
    }
}

fn kernel(bind: &BindArgs<'_>) -> Result<Kernel> {
    let moment = bind.arg_types[0].repr();
    let lengths = [1, 3].map(|i| bind.arg_types[i].repr() == Repr::Interval);
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let constant = args.iter().all(|a| matches!(a, Column::Const(_)));
        let starts = [Values::<i64>::new(&args[0])?, Values::<i64>::new(&args[2])?];
        let end = |at: usize, length: bool| {
            Ok::<_, spg_types::Error>(match length {
                true => End::Length(Values::new(&args[at])?),
                false => End::Moment(Values::new(&args[at])?),
            })
        };
        let ends = [end(1, lengths[0])?, end(3, lengths[1])?];
        let span = |i: usize, row: usize| -> Result<(Option<i64>, Option<i64>)> {
            let start = starts[i].get(row);
            let end = match &ends[i] {
                End::Moment(values) => values.get(row),
                End::Length(values) => match (start, values.get(row)) {
                    (Some(start), Some(length)) => Some(match moment {
                        Repr::Time => add_interval_to_time(start, length),
                        Repr::TimestampTz => add_interval_tz(start, length, &ctx.format.time_zone)?,
                        _ => add_interval(start, length)?,
                    }),
                    _ => None,
                },
            };
            Ok((start, end))
        };
        let rows = if constant { 1 } else { rows };
        let found = (0..rows)
            .map(|row| Ok(overlap(span(0, row)?, span(1, row)?)))
            .collect::<Result<BooleanArray>>()?;
        Ok(if constant { Column::Const(Arc::new(found)) } else { Column::Array(Arc::new(found)) })
    }))
}

functions! {
    LENIENT_SETTING OVERLAPS: "overlaps", "Whether two spans, each given by its ends or by its start and length, have a moment in common.", "(date '2001-02-16', date '2001-12-21') overlaps (date '2001-10-30', date '2002-10-30')" => "t", [
        sig!([TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ] => BOOL, kernel),
        sig!([TIMESTAMPTZ, INTERVAL, TIMESTAMPTZ, INTERVAL] => BOOL, kernel),
        sig!([TIMESTAMPTZ, TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL] => BOOL, kernel),
        sig!([TIMESTAMPTZ, INTERVAL, TIMESTAMPTZ, TIMESTAMPTZ] => BOOL, kernel),
        sig!([TIMESTAMP, TIMESTAMP, TIMESTAMP, TIMESTAMP] => BOOL, kernel),
        sig!([TIMESTAMP, INTERVAL, TIMESTAMP, INTERVAL] => BOOL, kernel),
        sig!([TIMESTAMP, TIMESTAMP, TIMESTAMP, INTERVAL] => BOOL, kernel),
        sig!([TIMESTAMP, INTERVAL, TIMESTAMP, TIMESTAMP] => BOOL, kernel),
        sig!([TIME, TIME, TIME, TIME] => BOOL, kernel),
        sig!([TIME, INTERVAL, TIME, INTERVAL] => BOOL, kernel),
        sig!([TIME, TIME, TIME, INTERVAL] => BOOL, kernel),
        sig!([TIME, INTERVAL, TIME, TIME] => BOOL, kernel),
    ];
}
