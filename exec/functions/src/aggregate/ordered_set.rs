//! Ordered-set aggregates, over rows that come sorted: `mode`, `percentile_cont`, `percentile_disc`.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{Float64Type, IntervalMonthDayNano as Interval};
use spg_expr::arity::{Arg, Ret, Strict};
use spg_expr::{Aggregate, AggregateKernel, BindArgs, Column, EvalContext, GroupStates, flatten};
use spg_types::datetime::{add_intervals, multiply_interval, sub_intervals};
use spg_types::{Datum, Error, Result, SqlState, SqlType};

use super::groups::{Kind, Values, kernel};
use super::{AGGREGATE, agg};

/// An aggregate that needs WITHIN GROUP.
const ORDERED_SET: Aggregate = Aggregate { ordered_set: true, order_sensitive: true, ..AGGREGATE };

/// `mode`
pub(super) static MODE: Aggregate = Aggregate {
    name: "mode",
    doc: "The value that occurs most often, in WITHIN GROUP (ORDER BY ...); the first of several.",
    example: ("mode() within group (order by x)", "1"),
    signatures: &[agg!([SAME] => SAME, |b| picked(b, Pick::Mode))],
    ..ORDERED_SET
};

/// `percentile_disc`
pub(super) static PERCENTILE_DISC: Aggregate = Aggregate {
    name: "percentile_disc",
    doc: "The first value whose place in the order is at or beyond a fraction of the rows.",
    example: ("percentile_disc(0.5) within group (order by x)", "2"),
    signatures: &[agg!([FLOAT8, SAME] => SAME, |b| picked(b, Pick::Fraction))],
    ..ORDERED_SET
};

/// `percentile_cont`
pub(super) static PERCENTILE_CONT: Aggregate = Aggregate {
    name: "percentile_cont",
    doc: "The value at a fraction of the rows, interpolated between its neighbours.",
    example: ("percentile_cont(0.5) within group (order by x)", "2"),
    signatures: &[
        agg!([FLOAT8, FLOAT8] => FLOAT8, |b| kernel(Interpolated::<f64> { ty: b.return_type, between: |a, b, at| Ok(a + at * (b - a)) })),
        agg!([FLOAT8, INTERVAL] => INTERVAL, |b| kernel(Interpolated::<Interval> { ty: b.return_type, between: |a, b, at| {
            add_intervals(a, multiply_interval(sub_intervals(b, a)?, at)?)
        } })),
    ],
    ..ORDERED_SET
};

/// 22003 unless the fraction is one.
fn check_fraction(fraction: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(fraction);
    }
    let message = format!("percentile value {fraction} is not between 0 and 1");
    Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message))
}

/// `percentile_cont` over numbers or intervals.
#[derive(Clone)]
struct Interpolated<A> {
    ty: SqlType,
    /// The value so far on the way from one to another.
    between: fn(A, A, f64) -> Result<A>,
}

/// The fraction and the values in order.
type Collected<A> = (f64, Vec<A>);

impl<A> Kind for Interpolated<A>
where
    A: Copy + Default + Send + Sync + for<'a> Arg<Value<'a> = A> + Ret<Owned = A>,
    <A as Arg>::Reader: Send,
{
    type State = Collected<A>;
    type Input = (Values<f64>, Values<A>);

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        Ok((Values::new(args, 0)?, Values::new(args, 1)?))
    }

    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()> {
        state.0 = input.0.get(row);
        state.1.push(input.1.get(row));
        Ok(())
    }

    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()> {
        to.0 = from.0;
        to.1.extend_from_slice(&from.1);
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        let mut out = A::builder(states.len(), self.ty);
        for (fraction, values) in states {
            let Some(last) = values.len().checked_sub(1) else {
                A::push_null(&mut out);
                continue;
            };
            let place = check_fraction(*fraction)? * last as f64;
            let (low, high) = (place.floor(), place.ceil());
            let (a, b) = (values[low as usize], values[high as usize]);
            A::push(&mut out, if low == high { a } else { (self.between)(a, b, place - low)? })?;
        }
        A::finish(out)
    }

    fn heap_bytes(state: &Self::State) -> usize {
        state.1.capacity() * size_of::<A>()
    }

    const HEAP: bool = true;
}

/// Which of a group's values is the result.
#[derive(Clone, Copy)]
enum Pick {
    Mode,
    Fraction,
}

fn picked(bind: &BindArgs<'_>, pick: Pick) -> Result<Arc<dyn AggregateKernel>> {
    let ty = bind.return_type;
    Ok(Arc::new(move || -> Box<dyn GroupStates> {
        Box::new(Picked { ty, pick, chunks: vec![], groups: vec![] })
    }))
}

/// One group: its fraction, and where its values lie: chunk and row.
#[derive(Clone, Default)]
struct Places {
    fraction: Option<f64>,
    at: Vec<(u32, u32)>,
}

/// Values as they came, and per group which are its.
struct Picked {
    ty: SqlType,
    pick: Pick,
    chunks: Vec<ArrayRef>,
    groups: Vec<Places>,
}

impl Picked {
    /// The most frequent value's place: equal values are neighbours.
    fn mode(&self, places: &[(u32, u32)]) -> Result<Option<(u32, u32)>> {
        let (mut best, mut best_run) = (None, 0);
        let mut current: Option<(Datum, (u32, u32), usize)> = None;
        for at in places {
            let value = Datum::from_column(&*self.chunks[at.0 as usize], at.1 as usize, self.ty)?;
            let again = current.as_ref().is_some_and(|(v, ..)| v.compare(&value).is_some_and(|o| o.is_eq()));
            match &mut current {
                Some((_, _, run)) if again => *run += 1,
                _ => current = Some((value, *at, 1)),
            }
            if let Some((_, first, run)) = &current
                && *run > best_run
            {
                (best, best_run) = (Some(*first), *run);
            }
        }
        Ok(best)
    }

    fn result(&self, group: &Places) -> Result<Option<(u32, u32)>> {
        let fraction = match self.pick {
            Pick::Mode => return self.mode(&group.at),
            Pick::Fraction => group.fraction,
        };
        let Some(fraction) = fraction else { return Ok(None) };
        let place = (check_fraction(fraction)? * group.at.len() as f64).ceil() as usize;
        Ok(group.at.get(place.max(1) - 1).copied())
    }
}

impl GroupStates for Picked {
    fn resize(&mut self, groups: usize) {
        self.groups.resize(groups, Places::default());
    }

    fn update(&mut self, _: &EvalContext, args: &[Column], groups: &[u32]) -> Result<()> {
        let Some(values) = args.last() else { return Err(Error::internal("nothing to order")) };
        let values = values.to_flat(groups.len())?;
        let fractions = match self.pick {
            Pick::Mode => None,
            Pick::Fraction => {
                let constant = matches!(args[0], Column::Const(_));
                Some((flatten(args[0].inner())?, if constant { 0 } else { usize::MAX }))
            }
        };
        let chunk = self.chunks.len() as u32;
        for (row, group) in groups.iter().enumerate() {
            let places = &mut self.groups[*group as usize];
            if values.is_valid(row) {
                places.at.push((chunk, row as u32));
            }
            if let Some((fractions, mask)) = &fractions {
                let at = row & mask;
                let numbers = fractions.as_primitive::<Float64Type>();
                places.fraction = numbers.is_valid(at).then(|| numbers.value(at));
            }
        }
        self.chunks.push(values);
        Ok(())
    }

    fn merge(&mut self, other: &dyn GroupStates, from: &[u32], to: &[u32]) -> Result<()> {
        let other: &Self =
            other.as_any().downcast_ref().ok_or_else(|| Error::internal("states of another aggregate"))?;
        let offset = self.chunks.len() as u32;
        self.chunks.extend(other.chunks.iter().cloned());
        for (f, t) in from.iter().zip(to) {
            let more = &other.groups[*f as usize];
            let places = &mut self.groups[*t as usize];
            places.at.extend(more.at.iter().map(|(chunk, row)| (chunk + offset, *row)));
            places.fraction = places.fraction.or(more.fraction);
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<ArrayRef> {
        let null = new_null_array(&self.ty.data_type(), 1);
        let nowhere = (self.chunks.len(), 0);
        let mut chunks: Vec<&dyn Array> = self.chunks.iter().map(|c| c.as_ref()).collect();
        chunks.push(null.as_ref());
        let place = |at: Option<(u32, u32)>| at.map_or(nowhere, |(c, r)| (c as usize, r as usize));
        let picks = self.groups.iter().map(|g| self.result(g).map(place)).collect::<Result<Vec<_>>>()?;
        Ok(interleave(&chunks, &picks)?)
    }

    fn bytes(&self) -> usize {
        let places = self.groups.iter().map(|g| g.at.capacity() * 8 + size_of::<Places>()).sum::<usize>();
        places + self.chunks.iter().map(|c| c.len() * 16).sum::<usize>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
