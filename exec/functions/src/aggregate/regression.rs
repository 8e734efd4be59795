//! Correlation and linear regression over pairs (Y, X) of floats.

use std::sync::Arc;

use arrow::array::ArrayRef;
use spg_expr::arity::{Ret, Strict};
use spg_expr::{Aggregate, AggregateKernel, BindArgs, EvalContext};
use spg_types::{Repr, Result, SqlType};

use super::groups::{Kind, Values, kernel};
use super::{AGGREGATE, agg};

/// Count, sums, and sums of products of differences from the means.
#[derive(Clone, Copy, Default)]
struct State {
    n: f64,
    sx: f64,
    sxx: f64,
    sy: f64,
    syy: f64,
    sxy: f64,
}

#[derive(Clone)]
struct Pairs {
    ty: SqlType,
    result: fn(&State) -> Option<f64>,
}

fn pairs(bind: &BindArgs<'_>, result: fn(&State) -> Option<f64>) -> Result<Arc<dyn AggregateKernel>> {
    kernel(Pairs { ty: bind.return_type, result })
}

impl Kind for Pairs {
    type State = State;
    type Input = (Values<f64>, Values<f64>);

    fn input(&self, args: &Strict) -> Result<Self::Input> {
        Ok((Values::new(args, 0)?, Values::new(args, 1)?))
    }

    fn add(&self, s: &mut State, (ys, xs): &Self::Input, row: usize) -> Result<()> {
        let (y, x) = (ys.get(row), xs.get(row));
        s.n += 1.0;
        s.sx += x;
        s.sy += y;
        if s.n > 1.0 {
            let (dx, dy) = (x * s.n - s.sx, y * s.n - s.sy);
            let scale = 1.0 / (s.n * (s.n - 1.0));
            s.sxx += dx * dx * scale;
            s.syy += dy * dy * scale;
            s.sxy += dx * dy * scale;
        } else {
            if !x.is_finite() {
                s.sxx = f64::NAN;
                s.sxy = f64::NAN;
            }
            if !y.is_finite() {
                s.syy = f64::NAN;
                s.sxy = f64::NAN;
            }
        }
        Ok(())
    }

    fn merge(&self, a: &mut State, b: &State) -> Result<()> {
        if a.n == 0.0 {
            *a = *b;
        } else if b.n > 0.0 {
            let n = a.n + b.n;
            let (dx, dy) = (a.sx / a.n - b.sx / b.n, a.sy / a.n - b.sy / b.n);
            let weight = a.n * b.n / n;
            a.sxx += b.sxx + weight * dx * dx;
            a.syy += b.syy + weight * dy * dy;
            a.sxy += b.sxy + weight * dx * dy;
            a.sx += b.sx;
            a.sy += b.sy;
            a.n = n;
        }
        Ok(())
    }

    fn finish(&self, _: &EvalContext, states: &[State]) -> Result<ArrayRef> {
        if self.ty.repr() == Repr::Int64 {
            let mut out = i64::builder(states.len(), self.ty);
            for s in states {
                <i64 as Ret>::push(&mut out, s.n as i64)?;
            }
            return <i64 as Ret>::finish(out);
        }
        let mut out = f64::builder(states.len(), self.ty);
        for s in states {
            match (self.result)(s) {
                Some(v) => <f64 as Ret>::push(&mut out, v)?,
                None => <f64 as Ret>::push_null(&mut out),
            }
        }
        <f64 as Ret>::finish(out)
    }
}

fn slope(s: &State) -> Option<f64> {
    (s.n > 0.0 && s.sxx != 0.0).then(|| s.sxy / s.sxx)
}

macro_rules! regressions {
    ($($(#[$doc:meta])* $name:ident, $sql:literal, $text:literal, $result:literal, $f:expr;)*) => {$(
        $(#[$doc])*
        pub(super) static $name: Aggregate = Aggregate {
            name: $sql,
            doc: $text,
            example: (concat!($sql, "(x, x * 2)"), $result),
            signatures: &[agg!([FLOAT8, FLOAT8] => FLOAT8, |b| pairs(b, $f))],
            ..AGGREGATE
        };
    )*};
}

regressions! {
    /// `corr`
    CORR, "corr", "Correlation coefficient.", "1", |s| {
        (s.n > 0.0 && s.sxx != 0.0 && s.syy != 0.0).then(|| s.sxy / (s.sxx * s.syy).sqrt())
    };
    /// `covar_pop`
    COVAR_POP, "covar_pop", "Population covariance.", "1.3333333333333333", |s| (s.n > 0.0).then(|| s.sxy / s.n);
    /// `covar_samp`
    COVAR_SAMP, "covar_samp", "Sample covariance.", "2", |s| (s.n > 1.0).then(|| s.sxy / (s.n - 1.0));
    /// `regr_avgx`
    REGR_AVGX, "regr_avgx", "Mean of the second argument over the pairs.", "4", |s| (s.n > 0.0).then(|| s.sx / s.n);
    /// `regr_avgy`
    REGR_AVGY, "regr_avgy", "Mean of the first argument over the pairs.", "2", |s| (s.n > 0.0).then(|| s.sy / s.n);
    /// `regr_intercept`
    REGR_INTERCEPT, "regr_intercept", "Where the line of least squares meets the Y axis.", "0", |s| {
        slope(s).map(|_| (s.sy - s.sx * s.sxy / s.sxx) / s.n)
    };
    /// `regr_r2`
    REGR_R2, "regr_r2", "Square of the correlation coefficient.", "1", |s| match s {
        s if s.n == 0.0 || s.sxx == 0.0 => None,
        s if s.syy == 0.0 => Some(1.0),
        s => Some(s.sxy * s.sxy / (s.sxx * s.syy)),
    };
    /// `regr_slope`
    REGR_SLOPE, "regr_slope", "Slope of the line of least squares.", "0.5", slope;
    /// `regr_sxx`
    REGR_SXX, "regr_sxx", "Sum of squared differences of the second argument from its mean.", "8", |s| (s.n > 0.0).then_some(s.sxx);
    /// `regr_sxy`
    REGR_SXY, "regr_sxy", "Sum of products of differences from the means.", "4", |s| (s.n > 0.0).then_some(s.sxy);
    /// `regr_syy`
    REGR_SYY, "regr_syy", "Sum of squared differences of the first argument from its mean.", "2", |s| (s.n > 0.0).then_some(s.syy);
}

/// `regr_count`
pub(super) static REGR_COUNT: Aggregate = Aggregate {
    name: "regr_count",
    doc: "How many pairs have no NULL.",
    example: ("regr_count(x, x * 2)", "3"),
    zero_when_empty: true,
    signatures: &[agg!([FLOAT8, FLOAT8] => INT8, |b| pairs(b, |_| None))],
    ..AGGREGATE
};
