//! `min` and `max`

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::arity::{Arg, Lane, Ret, Str, Strict};
use spg_expr::{Aggregate, AggregateKernel, BindArgs, EvalContext};
use spg_types::datetime::interval_span;
use spg_types::{Numeric, Repr, Result, SqlType};

use super::groups::{Kind, Values, kernel};
use super::{AGGREGATE, agg};
use crate::decimal;

macro_rules! extremes {
    ($bind:ident) => {
        &[
            agg!([INT4] => INT4, $bind),
            agg!([INT8] => INT8, $bind),
            agg!([INT2] => INT2, $bind),
            agg!([FLOAT8] => FLOAT8, $bind),
            agg!([FLOAT4] => FLOAT4, $bind),
            agg!([NUMERIC] => of decimal::same, $bind),
            agg!([TEXT] => TEXT, $bind),
            agg!([BPCHAR] => of |args| args[0], $bind),
            agg!([DATE] => DATE, $bind),
            agg!([TIMESTAMP] => TIMESTAMP, $bind),
            agg!([TIMESTAMPTZ] => TIMESTAMPTZ, $bind),
            agg!([TIME] => TIME, $bind),
            agg!([INTERVAL] => INTERVAL, $bind),
            agg!([OID] => OID, $bind),
        ]
    };
}

/// `min`
pub(super) static MIN: Aggregate = Aggregate {
    name: "min",
    doc: "The least of all values that are not NULL.",
    example: ("min(x)", "1"),
    duplicate_insensitive: true,
    signatures: extremes!(min),
    ..AGGREGATE
};

/// `max`
pub(super) static MAX: Aggregate = Aggregate {
    name: "max",
    doc: "The greatest of all values that are not NULL.",
    example: ("max(x)", "3"),
    duplicate_insensitive: true,
    signatures: extremes!(max),
    ..AGGREGATE
};

fn min(bind: &BindArgs<'_>) -> Result<Arc<dyn AggregateKernel>> {
    extreme::<false>(bind)
}

fn max(bind: &BindArgs<'_>) -> Result<Arc<dyn AggregateKernel>> {
    extreme::<true>(bind)
}

fn extreme<const MAX: bool>(bind: &BindArgs<'_>) -> Result<Arc<dyn AggregateKernel>> {
    let ty = bind.return_type;
    // The argument may have another scale than the result when a rule has narrowed one of them.
    match bind.arg_types[0].repr() {
        Repr::Int16 => kernel(Lanes::<i16, MAX>::new(ty)),
        Repr::Int32 | Repr::Date => kernel(Lanes::<i32, MAX>::new(ty)),
        Repr::Int64 | Repr::Time | Repr::Timestamp | Repr::TimestampTz => kernel(Lanes::<i64, MAX>::new(ty)),
        Repr::Float32 => kernel(Lanes::<f32, MAX>::new(ty)),
        Repr::Float64 => kernel(Lanes::<f64, MAX>::new(ty)),
        repr @ Repr::Decimal64 { .. } if repr == ty.repr() => kernel(Lanes::<i64, MAX>::new(ty)),
        repr @ Repr::Decimal128 { .. } if repr == ty.repr() => kernel(Lanes::<i128, MAX>::new(ty)),
        Repr::Text => kernel(Texts::<MAX>),
        Repr::Interval => {
            kernel(Ordered::<Interval, MAX> { ty, compare: |a, b| interval_span(*a).cmp(&interval_span(*b)) })
        }
        _ => kernel(Ordered::<Numeric, MAX> { ty, compare: Numeric::cmp }),
    }
}

/// Extremes of numbers that compare as lanes.
struct Lanes<A, const MAX: bool> {
    ty: SqlType,
    kind: PhantomData<fn() -> A>,
}

impl<A, const MAX: bool> Clone for Lanes<A, MAX> {
    fn clone(&self) -> Self {
        Self::new(self.ty)
    }
}

impl<A, const MAX: bool> Lanes<A, MAX> {
    fn new(ty: SqlType) -> Self {
        Self { ty, kind: PhantomData }
    }
}

#[derive(Clone, Default)]
struct Best<A> {
    value: A,
    seen: bool,
}

impl<A, const MAX: bool> Lanes<A, MAX>
where
    A: spg_simd::Lane,
{
    #[inline(always)]
    fn put(state: &mut Best<A>, value: A) {
        let better = if MAX { state.value.lt(value) } else { value.lt(state.value) };
        if !state.seen || better {
            *state = Best { value, seen: true };
        }
    }
}

impl<A, const MAX: bool> Kind for Lanes<A, MAX>
where
    A: Lane
        + spg_simd::Lane
        + Ret<Owned = A>
        + for<'a> Arg<Value<'a> = A, Reader = arrow::buffer::ScalarBuffer<A>>,
{
    type State = Best<A>;
    type Input = Values<A>;

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        Values::new(args, 0)
    }

    #[inline(always)]
    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()> {
        Self::put(state, input.get(row));
        Ok(())
    }

    fn add_all(&self, state: &mut Self::State, input: &Self::Input, rows: usize) -> Result<()> {
        let best = match input.slice() {
            Some(values) if MAX => spg_simd::max(&values[..rows], None),
            Some(values) => spg_simd::min(&values[..rows], None),
            None if rows > 0 => Some(input.get(0)),
            None => None,
        };
        if let Some(best) = best {
            Self::put(state, best);
        }
        Ok(())
    }

    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()> {
        if from.seen {
            Self::put(to, from.value);
        }
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        let mut out = A::builder(states.len(), self.ty);
        for s in states {
            if s.seen {
                A::push(&mut out, s.value)?;
            } else {
                A::push_null(&mut out);
            }
        }
        A::finish(out)
    }
}

/// Extremes of texts.
#[derive(Clone)]
struct Texts<const MAX: bool>;

impl<const MAX: bool> Texts<MAX> {
    fn put(state: &mut Option<Box<str>>, value: &str) {
        let better = match state.as_deref() {
            Some(best) if MAX => best < value,
            Some(best) => value < best,
            None => true,
        };
        if better {
            *state = Some(value.into());
        }
    }
}

impl<const MAX: bool> Kind for Texts<MAX> {
    type State = Option<Box<str>>;
    type Input = Values<Str>;
    const HEAP: bool = true;

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        Values::new(args, 0)
    }

    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()> {
        Self::put(state, input.get(row));
        Ok(())
    }

    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()> {
        if let Some(value) = from {
            Self::put(to, value);
        }
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        let mut out = StringViewBuilder::with_capacity(states.len());
        for s in states {
            out.append_option(s.as_deref());
        }
        Ok(Arc::new(out.finish()))
    }

    fn heap_bytes(state: &Self::State) -> usize {
        state.as_ref().map_or(0, |s| s.len())
    }
}

/// Extremes of what compares by a function.
struct Ordered<A: Ret, const MAX: bool> {
    ty: SqlType,
    compare: fn(&A::Owned, &A::Owned) -> Ordering,
}

impl<A: Ret, const MAX: bool> Clone for Ordered<A, MAX> {
    fn clone(&self) -> Self {
        Self { ty: self.ty, compare: self.compare }
    }
}

impl<A: Ret, const MAX: bool> Ordered<A, MAX> {
    fn put(&self, state: &mut Option<A::Owned>, value: A::Owned) {
        let better = match state {
            Some(best) => {
                let order = (self.compare)(&value, best);
                if MAX { order.is_gt() } else { order.is_lt() }
            }
            None => true,
        };
        if better {
            *state = Some(value);
        }
    }
}

impl<A, const MAX: bool> Kind for Ordered<A, MAX>
where
    A: Ret<Owned = A> + Clone + Send + Sync + for<'a> Arg<Value<'a> = A>,
{
    type State = Option<A>;
    type Input = Values<A>;

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        Values::new(args, 0)
    }

    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()> {
        self.put(state, input.get(row));
        Ok(())
    }

    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()> {
        if let Some(value) = from {
            self.put(to, value.clone());
        }
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        let mut out = A::builder(states.len(), self.ty);
        for s in states {
            match s {
                Some(v) => A::push(&mut out, v.clone())?,
                None => A::push_null(&mut out),
            }
        }
        A::finish(out)
    }
}
