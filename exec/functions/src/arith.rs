//! Arithmetic on integers and floats, the bodies of operators.

use std::sync::Arc;

use spg_expr::arity::{Arg, Lane, Ret, checked1, checked2};
use spg_expr::{BindArgs, Kernel};
use spg_types::{Error, Result};

use crate::error::{division_by_zero, float_overflow, float_underflow, out_of_range};

/// An integer type of SQL.
pub(crate) trait SqlInt:
    Lane + spg_simd::Int + Ret<Owned = Self> + for<'a> Arg<Value<'a> = Self>
{
    /// 22003 as PostgreSQL says it for this type.
    fn out_of_range() -> Error;
    /// Quotient, and whether there is none.
    fn div(self, other: Self) -> (Self, bool);
    /// Remainder, and whether there is none.
    fn rem(self, other: Self) -> (Self, bool);
    /// Whether it is zero.
    fn is_zero(self) -> bool;
}

macro_rules! sql_ints {
    ($($t:ty = $name:literal)*) => {$(impl SqlInt for $t {
        fn out_of_range() -> Error {
            out_of_range($name)
        }
        #[inline(always)]
        fn div(self, other: Self) -> (Self, bool) {
            match self.checked_div(other) {
                Some(v) => (v, false),
                None => (0, true),
            }
        }
        #[inline(always)]
        fn rem(self, other: Self) -> (Self, bool) {
            // The remainder of the least integer by -1 is 0, although the quotient has no place.
            (if other == 0 { 0 } else { self.wrapping_rem(other) }, other == 0)
        }
        fn is_zero(self) -> bool {
            self == 0
        }
    })*};
}
sql_ints!(i16 = "smallint" i32 = "integer" i64 = "bigint");

/// An operation on integers of any two widths, carried out in the result's.
pub(crate) fn int_op<A: Lane + Into<R>, B: Lane + Into<R>, R: SqlInt>(
    bind: &BindArgs<'_>,
    f: impl Fn(R, R) -> (R, bool) + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    checked2::<A, B, R>(bind, |_, _| R::out_of_range(), move |a, b| f(a.into(), b.into()))
}

/// As [`int_op`] for division: a zero divisor is an error of its own.
pub(crate) fn int_div<A: Lane + Into<R>, B: Lane + Into<R>, R: SqlInt>(
    bind: &BindArgs<'_>,
    f: impl Fn(R, R) -> (R, bool) + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    let error = |_, b: B| if b.into().is_zero() { division_by_zero() } else { R::out_of_range() };
    checked2::<A, B, R>(bind, error, move |a, b| f(a.into(), b.into()))
}

/// A function of one integer.
pub(crate) fn int_fn<A: SqlInt>(
    bind: &BindArgs<'_>,
    f: impl Fn(A) -> (A, bool) + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    checked1::<A, A>(bind, |_| A::out_of_range(), f)
}

/// A float type of SQL.
pub(crate) trait SqlFloat:
    Lane
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
{
    fn infinite(self) -> bool;
    fn zero(self) -> bool;
    /// Whether it is not a number.
    fn nan(self) -> bool;
}

macro_rules! sql_floats {
    ($($t:ty)*) => {$(impl SqlFloat for $t {
        #[inline(always)]
        fn infinite(self) -> bool {
            self.is_infinite()
        }
        #[inline(always)]
        fn zero(self) -> bool {
            self == 0.0
        }
        #[inline(always)]
        fn nan(self) -> bool {
            self.is_nan()
        }
    })*};
}
sql_floats!(f32 f64);

/// Addition or subtraction: infinite only for infinite operands.
pub(crate) fn float_sum<A: SqlFloat + Into<R>, B: SqlFloat + Into<R>, R: SqlFloat>(
    bind: &BindArgs<'_>,
    f: impl Fn(R, R) -> R + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    checked2::<A, B, R>(
        bind,
        |_, _| float_overflow(),
        move |a, b| {
            let r = f(a.into(), b.into());
            (r, r.infinite() & !a.infinite() & !b.infinite())
        },
    )
}

/// Multiplication: infinite only for infinite operands, zero only for zero ones.
pub(crate) fn float_mul<A: SqlFloat + Into<R>, B: SqlFloat + Into<R>, R: SqlFloat>(
    bind: &BindArgs<'_>,
) -> Result<Arc<dyn Kernel>> {
    let error = |a: A, b: B| if (a.into() * b.into()).zero() { float_underflow() } else { float_overflow() };
    checked2::<A, B, R>(bind, error, |a, b| {
        let r = a.into() * b.into();
        let overflow = r.infinite() & !a.infinite() & !b.infinite();
        (r, overflow | (r.zero() & !a.zero() & !b.zero()))
    })
}

/// Division; 22012 for a zero divisor.
pub(crate) fn float_div<A: SqlFloat + Into<R>, B: SqlFloat + Into<R>, R: SqlFloat>(
    bind: &BindArgs<'_>,
) -> Result<Arc<dyn Kernel>> {
    let error = |a: A, b: B| {
        if b.zero() {
            division_by_zero()
        } else if (a.into() / b.into()).zero() {
            float_underflow()
        } else {
            float_overflow()
        }
    };
    checked2::<A, B, R>(bind, error, |a, b| {
        let r = a.into() / b.into();
        let overflow = r.infinite() & !a.infinite();
        // NaN divided by zero is NaN.
        (r, (b.zero() & !a.nan()) | overflow | (r.zero() & !a.zero() & !b.infinite()))
    })
}
