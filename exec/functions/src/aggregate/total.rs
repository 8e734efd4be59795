//! Totals: what `sum` and `avg` keep per group.

use std::marker::PhantomData;

use arrow::array::ArrayRef;
use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::arity::{Arg, Lane, Ret, Strict};
use spg_expr::{BindArgs, EvalContext};
use spg_types::{Numeric, Repr, Result, SqlType, datetime};

use super::groups::{Kind, Values};
use crate::decimal::fixed;

/// What becomes of a total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// It is the result.
    Sum,
    /// It is divided by the number of values.
    Average,
}

/// A running sum of values of type `A`.
pub(super) trait Accumulator<A>: Default + Clone + Send + Sync + 'static {
    /// Adds a value.
    fn add(&mut self, value: A) -> Result<()>;
    /// Adds another sum.
    fn merge(&mut self, other: &Self) -> Result<()>;
    /// The sum of a slice, added.
    fn add_slice(&mut self, values: &[A]) -> Result<()>;
    /// The sum as a number of that scale.
    fn numeric(&self, scale: u32) -> Result<Numeric>;
    /// The sum as a float.
    fn float(&self) -> f64;
}

macro_rules! integers {
    ($($a:ty => $t:ty, |$values:ident| $sum:expr;)*) => {$(
        /// Wide enough for any number of rows.
        impl Accumulator<$a> for $t {
            #[inline(always)]
            fn add(&mut self, value: $a) -> Result<()> {
                *self = self.wrapping_add(value.into());
                Ok(())
            }
            fn merge(&mut self, other: &Self) -> Result<()> {
                *self = self.wrapping_add(*other);
                Ok(())
            }
            fn add_slice(&mut self, $values: &[$a]) -> Result<()> {
                *self = self.wrapping_add($sum);
                Ok(())
            }
            fn numeric(&self, scale: u32) -> Result<Numeric> {
                Ok(Numeric::from_i128((*self).into(), scale))
            }
            fn float(&self) -> f64 {
                *self as f64
            }
        }
    )*};
}
integers! {
    i16 => i64, |values| values.iter().map(|v| i64::from(*v)).sum::<i64>();
    i32 => i64, |values| values.iter().map(|v| i64::from(*v)).sum::<i64>();
    i64 => i64, |values| values.iter().fold(0i64, |s, v| s.wrapping_add(*v));
    i64 => i128, |values| spg_simd::sum_i64(values, None);
}

macro_rules! floats {
    ($($a:ty => $t:ty;)*) => {$(
        impl Accumulator<$a> for $t {
            #[inline(always)]
            fn add(&mut self, value: $a) -> Result<()> {
                let before = *self;
                *self += <$t>::from(value);
                if self.is_infinite() && before.is_finite() && value.is_finite() {
                    return Err(crate::error::float_overflow());
                }
                Ok(())
            }
            fn merge(&mut self, other: &Self) -> Result<()> {
                self.add(*other as $a)
            }
            fn add_slice(&mut self, values: &[$a]) -> Result<()> {
                // In order, so that the sum does not depend on how rows come in batches.
                values.iter().try_for_each(|v| self.add(*v))
            }
            fn numeric(&self, _: u32) -> Result<Numeric> {
                Err(spg_types::Error::internal("a sum of floats is no numeric"))
            }
            fn float(&self) -> f64 {
                f64::from(*self)
            }
        }
    )*};
}
floats! {
    f32 => f32;
    f64 => f64;
}

impl Accumulator<f32> for f64 {
    fn add(&mut self, value: f32) -> Result<()> {
        Accumulator::<f64>::add(self, value.into())
    }
    fn merge(&mut self, other: &Self) -> Result<()> {
        Accumulator::<f64>::merge(self, other)
    }
    fn add_slice(&mut self, values: &[f32]) -> Result<()> {
        values.iter().try_for_each(|v| Accumulator::<f32>::add(self, *v))
    }
    fn numeric(&self, scale: u32) -> Result<Numeric> {
        Accumulator::<f64>::numeric(self, scale)
    }
    fn float(&self) -> f64 {
        *self
    }
}

/// A sum of 128-bit integers that may go beyond them.
#[derive(Clone, Default)]
pub(super) struct Wide {
    sum: i128,
    /// What did not fit, with scale 0.
    spilled: Option<Box<Numeric>>,
}

impl Accumulator<i128> for Wide {
    #[inline(always)]
    fn add(&mut self, value: i128) -> Result<()> {
        match self.sum.checked_add(value) {
            Some(sum) => {
                self.sum = sum;
                Ok(())
            }
            None => self.spill(value),
        }
    }
    fn merge(&mut self, other: &Self) -> Result<()> {
        if let Some(more) = &other.spilled {
            self.put(more)?;
        }
        self.add(other.sum)
    }
    fn add_slice(&mut self, values: &[i128]) -> Result<()> {
        values.iter().try_for_each(|v| self.add(*v))
    }
    fn numeric(&self, scale: u32) -> Result<Numeric> {
        let Some(spilled) = &self.spilled else { return Ok(Numeric::from_i128(self.sum, scale)) };
        let whole = spilled.add(&Numeric::from_i128(self.sum, 0))?;
        whole.mul(&Numeric::from_i128(1, scale))
    }
    fn float(&self) -> f64 {
        self.sum as f64
    }
}

impl Wide {
    #[cold]
    fn spill(&mut self, value: i128) -> Result<()> {
        let full = Numeric::from_i128(self.sum, 0);
        self.sum = value;
        self.put(&full)
    }

    fn put(&mut self, more: &Numeric) -> Result<()> {
        let sum = match &self.spilled {
            Some(before) => before.add(more)?,
            None => more.clone(),
        };
        self.spilled = Some(Box::new(sum));
        Ok(())
    }
}

/// Totals over numbers.
pub(super) struct Total<A, T> {
    ty: SqlType,
    scale: u32,
    finish: Finish,
    kind: PhantomData<fn() -> (A, T)>,
}

impl<A, T> Clone for Total<A, T> {
    fn clone(&self) -> Self {
        Self { kind: PhantomData, ..*self }
    }
}

impl<A, T> Total<A, T> {
    pub(super) fn new(bind: &BindArgs<'_>, finish: Finish) -> Self {
        let scale = fixed(bind.arg_types[0]).map_or(0, |(s, _)| s);
        Self { ty: bind.return_type, scale, finish, kind: PhantomData }
    }
}

/// A sum and how many values it is of.
#[derive(Clone, Default)]
pub(super) struct Counted<T> {
    sum: T,
    count: i64,
}

impl<A, T> Kind for Total<A, T>
where
    A: Lane + for<'a> Arg<Value<'a> = A, Reader = arrow::buffer::ScalarBuffer<A>>,
    T: Accumulator<A>,
{
    type State = Counted<T>;
    type Input = Values<A>;

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        Values::new(args, 0)
    }

    #[inline(always)]
    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()> {
        state.count += 1;
        state.sum.add(input.get(row))
    }

    fn add_all(&self, state: &mut Self::State, input: &Self::Input, rows: usize) -> Result<()> {
        match input.slice() {
            Some(values) => {
                state.count += rows as i64;
                state.sum.add_slice(&values[..rows])
            }
            None => (0..rows).try_for_each(|row| self.add(state, input, row)),
        }
    }

    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()> {
        to.count += from.count;
        to.sum.merge(&from.sum)
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        match self.ty.repr() {
            Repr::Float32 => results::<_, f32>(states, self.ty, |s| Ok(s.sum.float() as f32)),
            Repr::Float64 => results::<_, f64>(states, self.ty, |s| {
                let n = if self.finish == Finish::Average { s.count as f64 } else { 1.0 };
                Ok(s.sum.float() / n)
            }),
            Repr::Int64 => results::<_, i64>(states, self.ty, |s| {
                let sum = s.sum.numeric(0)?.as_i128().and_then(|(v, _)| i64::try_from(v).ok());
                sum.ok_or_else(|| crate::error::out_of_range("bigint"))
            }),
            _ => results::<_, Numeric>(states, self.ty, |s| {
                let sum = s.sum.numeric(self.scale)?;
                match self.finish {
                    Finish::Sum => Ok(sum),
                    Finish::Average => sum.div(&Numeric::from(s.count)),
                }
            }),
        }
    }
}

/// A column of results; NULL for groups without values.
fn results<T, R: Ret>(
    states: &[Counted<T>],
    ty: SqlType,
    f: impl Fn(&Counted<T>) -> Result<R::Owned>,
) -> Result<ArrayRef> {
    let mut out = R::builder(states.len(), ty);
    for s in states {
        if s.count == 0 {
            R::push_null(&mut out);
        } else {
            R::push(&mut out, f(s)?)?;
        }
    }
    R::finish(out)
}

/// Totals over `numeric` with a scale per value.
#[derive(Clone)]
pub(super) struct Numerics {
    ty: SqlType,
    finish: Finish,
}

impl Numerics {
    pub(super) fn new(bind: &BindArgs<'_>, finish: Finish) -> Self {
        Self { ty: bind.return_type, finish }
    }
}

impl Kind for Numerics {
    type State = Counted<Option<Numeric>>;
    type Input = Values<Numeric>;

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        Values::new(args, 0)
    }

    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()> {
        state.count += 1;
        let value = input.get(row);
        state.sum = Some(match &state.sum {
            Some(sum) => sum.add(&value)?,
            None => value,
        });
        Ok(())
    }

    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()> {
        to.count += from.count;
        to.sum = match (&to.sum, &from.sum) {
            (Some(a), Some(b)) => Some(a.add(b)?),
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        results::<_, Numeric>(states, self.ty, |s| {
            let sum = s.sum.clone().unwrap_or(Numeric::ZERO);
            match self.finish {
                Finish::Sum => Ok(sum),
                Finish::Average => sum.div(&Numeric::from(s.count)),
            }
        })
    }
}

/// Totals over intervals.
#[derive(Clone)]
pub(super) struct Spans {
    ty: SqlType,
    finish: Finish,
}

impl Spans {
    pub(super) fn new(bind: &BindArgs<'_>, finish: Finish) -> Self {
        Self { ty: bind.return_type, finish }
    }
}

impl Kind for Spans {
    type State = Counted<Interval>;
    type Input = Values<Interval>;

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        Values::new(args, 0)
    }

    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()> {
        state.count += 1;
        state.sum = datetime::add_intervals(state.sum, input.get(row))?;
        Ok(())
    }

    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()> {
        to.count += from.count;
        to.sum = datetime::add_intervals(to.sum, from.sum)?;
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        results::<_, Interval>(states, self.ty, |s| match self.finish {
            Finish::Sum => Ok(s.sum),
            Finish::Average => datetime::divide_interval(s.sum, s.count as f64),
        })
    }
}
