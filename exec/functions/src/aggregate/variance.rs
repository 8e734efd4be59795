//! Variances and standard deviations: exact over integers and `numeric`, by Youngs and Cramer's updates over floats.

use std::sync::Arc;

use arrow::array::ArrayRef;
use spg_expr::arity::{Ret, Strict};
use spg_expr::{Aggregate, AggregateKernel, BindArgs, EvalContext};
use spg_types::{Numeric, Repr, Result, SqlType};

use super::groups::{Kind, Values, kernel};
use super::{AGGREGATE, agg};
use crate::error::float_overflow;

/// Which of the four.
#[derive(Clone, Copy)]
struct Measure {
    /// Divided by one less than the number of values.
    sample: bool,
    /// The square root is taken.
    root: bool,
}

macro_rules! variances {
    ($($(#[$doc:meta])* $name:ident, $sql:literal, $text:literal, $example:literal, $result:literal, $sample:literal, $root:literal;)*) => {$(
        $(#[$doc])*
        pub(super) static $name: Aggregate = Aggregate {
            name: $sql,
            doc: $text,
            example: ($example, $result),
            signatures: &[
                agg!([INT4] => NUMERIC, |b| bind(b, Measure { sample: $sample, root: $root })),
                agg!([INT8] => NUMERIC, |b| bind(b, Measure { sample: $sample, root: $root })),
                agg!([INT2] => NUMERIC, |b| bind(b, Measure { sample: $sample, root: $root })),
                agg!([NUMERIC] => NUMERIC, |b| bind(b, Measure { sample: $sample, root: $root })),
                agg!([FLOAT8] => FLOAT8, |b| bind(b, Measure { sample: $sample, root: $root })),
                agg!([FLOAT4] => FLOAT8, |b| bind(b, Measure { sample: $sample, root: $root })),
            ],
            ..AGGREGATE
        };
    )*};
}

variances! {
    /// `stddev`
    STDDEV, "stddev", "Sample standard deviation.", "stddev(x)", "1.00000000000000000000", true, true;
    /// `stddev_samp`
    STDDEV_SAMP, "stddev_samp", "Sample standard deviation.", "stddev_samp(x)", "1.00000000000000000000", true, true;
    /// `stddev_pop`
    STDDEV_POP, "stddev_pop", "Population standard deviation.", "stddev_pop(x)", "0.81649658092772603273", false, true;
    /// `variance`
    VARIANCE, "variance", "Sample variance.", "variance(x)", "1.00000000000000000000", true, false;
    /// `var_samp`
    VAR_SAMP, "var_samp", "Sample variance.", "var_samp(x)", "1.00000000000000000000", true, false;
    /// `var_pop`
    VAR_POP, "var_pop", "Population variance.", "var_pop(x)", "0.66666666666666666667", false, false;
}

fn bind(bind: &BindArgs<'_>, measure: Measure) -> Result<Arc<dyn AggregateKernel>> {
    let ty = bind.return_type;
    match bind.arg_types[0].repr() {
        Repr::Int16 => kernel(Integers { ty, measure, read: |s| Ok(IntReader::Small(Values::new(s, 0)?)) }),
        Repr::Int32 => kernel(Integers { ty, measure, read: |s| Ok(IntReader::Medium(Values::new(s, 0)?)) }),
        Repr::Int64 => kernel(Exact { ty, measure, read: |s| Ok(NumberReader::Int(Values::new(s, 0)?)) }),
        Repr::Float32 => {
            kernel(Floats { ty, measure, read: |s| Ok(FloatReader::Single(Values::new(s, 0)?)) })
        }
        Repr::Float64 => {
            kernel(Floats { ty, measure, read: |s| Ok(FloatReader::Double(Values::new(s, 0)?)) })
        }
        _ => kernel(Exact { ty, measure, read: |s| Ok(NumberReader::Number(Values::new(s, 0)?)) }),
    }
}

impl Measure {
    /// From the count, the sum and the sum of squares; `None` for too few values.
    fn of_sums(self, count: i64, sum: &Numeric, squares: &Numeric) -> Result<Option<Numeric>> {
        let few = if self.sample { 1 } else { 0 };
        if count <= few {
            return Ok(None);
        }
        if !sum.is_finite() || !squares.is_finite() {
            return Ok(Some(Numeric::NAN));
        }
        let n = Numeric::from(count);
        let spread = n.mul(squares)?.sub(&sum.mul(sum)?)?;
        if spread.signum() <= 0 {
            return Ok(Some(Numeric::ZERO));
        }
        let divisor = n.mul(&Numeric::from(if self.sample { count - 1 } else { count }))?;
        let variance = spread.div(&divisor)?;
        Ok(Some(if self.root { variance.sqrt()? } else { variance }))
    }
}

fn column<R: Ret, S>(
    states: &[S],
    ty: SqlType,
    f: impl Fn(&S) -> Result<Option<R::Owned>>,
) -> Result<ArrayRef> {
    let mut out = R::builder(states.len(), ty);
    for s in states {
        match f(s)? {
            Some(v) => R::push(&mut out, v)?,
            None => R::push_null(&mut out),
        }
    }
    R::finish(out)
}

/// Integers of at most 32 bits: sums in 128 bits.
#[derive(Clone)]
struct Integers {
    ty: SqlType,
    measure: Measure,
    read: fn(&Strict) -> Result<IntReader>,
}

enum IntReader {
    Small(Values<i16>),
    Medium(Values<i32>),
}

#[derive(Clone, Default)]
struct IntState {
    count: i64,
    sum: i128,
    squares: i128,
}

impl Kind for Integers {
    type State = IntState;
    type Input = IntReader;

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        (self.read)(args)
    }

    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()> {
        let value = match input {
            IntReader::Small(v) => i128::from(v.get(row)),
            IntReader::Medium(v) => i128::from(v.get(row)),
        };
        state.count += 1;
        state.sum += value;
        state.squares += value * value;
        Ok(())
    }

    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()> {
        to.count += from.count;
        to.sum += from.sum;
        to.squares += from.squares;
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        column::<Numeric, _>(states, self.ty, |s| {
            self.measure.of_sums(s.count, &Numeric::from_i128(s.sum, 0), &Numeric::from_i128(s.squares, 0))
        })
    }
}

/// Any exact number.
#[derive(Clone)]
struct Exact {
    ty: SqlType,
    measure: Measure,
    read: fn(&Strict) -> Result<NumberReader>,
}

enum NumberReader {
    Int(Values<i64>),
    Number(Values<Numeric>),
}

#[derive(Clone)]
struct ExactState {
    count: i64,
    sum: Numeric,
    squares: Numeric,
}

impl Default for ExactState {
    fn default() -> Self {
        Self { count: 0, sum: Numeric::ZERO, squares: Numeric::ZERO }
    }
}

impl Kind for Exact {
    type State = ExactState;
    type Input = NumberReader;

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        (self.read)(args)
    }

    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()> {
        let value = match input {
            NumberReader::Int(v) => Numeric::from(v.get(row)),
            NumberReader::Number(v) => v.get(row),
        };
        state.count += 1;
        state.sum = state.sum.add(&value)?;
        state.squares = state.squares.add(&value.mul(&value)?)?;
        Ok(())
    }

    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()> {
        to.count += from.count;
        to.sum = to.sum.add(&from.sum)?;
        to.squares = to.squares.add(&from.squares)?;
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        column::<Numeric, _>(states, self.ty, |s| self.measure.of_sums(s.count, &s.sum, &s.squares))
    }
}

/// Floats.
#[derive(Clone)]
struct Floats {
    ty: SqlType,
    measure: Measure,
    read: fn(&Strict) -> Result<FloatReader>,
}

enum FloatReader {
    Single(Values<f32>),
    Double(Values<f64>),
}

#[derive(Clone, Default)]
struct FloatState {
    count: f64,
    sum: f64,
    /// Sum of squared differences from the mean.
    spread: f64,
}

impl Kind for Floats {
    type State = FloatState;
    type Input = FloatReader;

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        (self.read)(args)
    }

    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()> {
        let value = match input {
            FloatReader::Single(v) => f64::from(v.get(row)),
            FloatReader::Double(v) => v.get(row),
        };
        let before = state.sum;
        state.count += 1.0;
        state.sum += value;
        if state.count > 1.0 {
            let d = value * state.count - state.sum;
            state.spread += d * d / (state.count * (state.count - 1.0));
            if state.sum.is_infinite() || state.spread.is_infinite() {
                if before.is_finite() && value.is_finite() {
                    return Err(float_overflow());
                }
                state.spread = f64::NAN;
            }
        } else if !value.is_finite() {
            state.spread = f64::NAN;
        }
        Ok(())
    }

    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()> {
        if from.count == 0.0 {
            return Ok(());
        }
        if to.count == 0.0 {
            *to = from.clone();
            return Ok(());
        }
        let count = to.count + from.count;
        let d = to.sum / to.count - from.sum / from.count;
        to.spread += from.spread + to.count * from.count * d * d / count;
        to.count = count;
        to.sum += from.sum;
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[Self::State]) -> Result<ArrayRef> {
        let less = if self.measure.sample { 1.0 } else { 0.0 };
        column::<f64, _>(states, self.ty, |s| {
            let variance = (s.count > less).then(|| s.spread / (s.count - less));
            Ok(if self.measure.root { variance.map(f64::sqrt) } else { variance })
        })
    }
}
