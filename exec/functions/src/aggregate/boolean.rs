//! Aggregates over truth values and bits.

use std::sync::Arc;

use arrow::array::ArrayRef;
use spg_expr::arity::{Arg, Ret, Strict};
use spg_expr::{Aggregate, AggregateKernel, BindArgs, EvalContext};
use spg_types::{Result, SqlType};

use super::groups::{Kind, Values, kernel};
use super::{AGGREGATE, agg};

/// An associative operation over values that are not NULL.
struct Fold<A> {
    ty: SqlType,
    f: fn(A, A) -> A,
}

impl<A> Clone for Fold<A> {
    fn clone(&self) -> Self {
        Self { ty: self.ty, f: self.f }
    }
}

fn fold<A>(bind: &BindArgs<'_>, f: fn(A, A) -> A) -> Result<Arc<dyn AggregateKernel>>
where
    A: Copy + Send + Sync + Ret<Owned = A> + for<'a> Arg<Value<'a> = A>,
{
    kernel(Fold { ty: bind.return_type, f })
}

impl<A> Fold<A> {
    fn put(&self, state: &mut Option<A>, value: A)
    where
        A: Copy,
    {
        *state = Some(state.map_or(value, |s| (self.f)(s, value)));
    }
}

impl<A> Kind for Fold<A>
where
    A: Copy + Send + Sync + Ret<Owned = A> + for<'a> Arg<Value<'a> = A>,
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
            self.put(to, *value);
        }
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        let mut out = A::builder(states.len(), self.ty);
        for s in states {
            match s {
                Some(v) => A::push(&mut out, *v)?,
                None => A::push_null(&mut out),
            }
        }
        A::finish(out)
    }
}

/// `bool_and`
pub(super) static BOOL_AND: Aggregate = Aggregate {
    name: "bool_and",
    doc: "Whether all values that are not NULL are true.",
    example: ("bool_and(x > 0)", "t"),
    duplicate_insensitive: true,
    signatures: &[agg!([BOOL] => BOOL, |b| fold::<bool>(b, |x, y| x & y))],
    ..AGGREGATE
};

/// `every`
pub(super) static EVERY: Aggregate = Aggregate {
    name: "every",
    doc: "Whether all values that are not NULL are true; the SQL standard's name of bool_and.",
    example: ("every(x > 1)", "f"),
    duplicate_insensitive: true,
    signatures: &[agg!([BOOL] => BOOL, |b| fold::<bool>(b, |x, y| x & y))],
    ..AGGREGATE
};

/// `bool_or`
pub(super) static BOOL_OR: Aggregate = Aggregate {
    name: "bool_or",
    doc: "Whether any value is true.",
    example: ("bool_or(x > 2)", "t"),
    duplicate_insensitive: true,
    signatures: &[agg!([BOOL] => BOOL, |b| fold::<bool>(b, |x, y| x | y))],
    ..AGGREGATE
};

macro_rules! bitwise {
    ($f:expr) => {
        &[
            agg!([INT4] => INT4, |b| fold::<i32>(b, $f)),
            agg!([INT8] => INT8, |b| fold::<i64>(b, $f)),
            agg!([INT2] => INT2, |b| fold::<i16>(b, $f)),
        ]
    };
}

/// `bit_and`
pub(super) static BIT_AND: Aggregate = Aggregate {
    name: "bit_and",
    doc: "The bits that all values that are not NULL have.",
    example: ("bit_and(x)", "0"),
    duplicate_insensitive: true,
    signatures: bitwise!(|x, y| x & y),
    ..AGGREGATE
};

/// `bit_or`
pub(super) static BIT_OR: Aggregate = Aggregate {
    name: "bit_or",
    doc: "The bits that any value has.",
    example: ("bit_or(x)", "3"),
    duplicate_insensitive: true,
    signatures: bitwise!(|x, y| x | y),
    ..AGGREGATE
};

/// `bit_xor`
pub(super) static BIT_XOR: Aggregate = Aggregate {
    name: "bit_xor",
    doc: "The bits that an odd number of values have.",
    example: ("bit_xor(x)", "0"),
    signatures: bitwise!(|x, y| x ^ y),
    ..AGGREGATE
};
