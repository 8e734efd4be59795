//! Angles, trigonometry, chance.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use arrow::array::Float64Array;
use spg_expr::arity::{Str, lanes2, try_map1};
use spg_expr::{Column, EvalContext, Function, Volatility};
use spg_types::{Error, Result, SqlState};

use crate::error::float_overflow;
use crate::record::{FUNCTION, TOTAL, sig};

pub(super) fn out_of_domain() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

/// A periodic function, which has no value at infinity.
fn periodic(x: f64, f: impl Fn(f64) -> f64) -> Result<f64> {
    if x.is_infinite() { Err(out_of_domain()) } else { Ok(f(x)) }
}

/// A function of numbers that satisfy `domain`, and of NaN.
pub(super) fn within(x: f64, domain: impl Fn(f64) -> bool, f: impl Fn(f64) -> f64) -> Result<f64> {
    if x.is_nan() || domain(x) { Ok(f(x)) } else { Err(out_of_domain()) }
}

fn finite(x: f64, r: f64) -> Result<f64> {
    if r.is_infinite() && x.is_finite() { Err(float_overflow()) } else { Ok(r) }
}

macro_rules! float_functions {
    ($($(#[$doc:meta])* $name:ident, $sql:literal, $text:literal, $example:literal, $result:literal, $f:expr;)*) => {$(
        $(#[$doc])*
        pub(super) static $name: Function = Function {
            name: $sql,
            doc: $text,
            example: ($example, $result),
            signatures: &[sig!([FLOAT8] => FLOAT8, |b| try_map1::<f64, f64>(b, $f))],
            ..FUNCTION
        };
    )*};
}

pub(super) use float_functions;

float_functions! {
    /// `degrees`
    DEGREES, "degrees", "Radians as degrees.", "degrees(0.5)", "28.64788975654116", |x| finite(x, x / (std::f64::consts::PI / 180.0));
    /// `radians`
    RADIANS, "radians", "Degrees as radians.", "radians(45.0)", "0.7853981633974483", |x| Ok(x * (std::f64::consts::PI / 180.0));
    /// `sin`
    SIN, "sin", "Sine of an angle in radians.", "sin(1)", "0.8414709848078965", |x| periodic(x, f64::sin);
    /// `cos`
    COS, "cos", "Cosine of an angle in radians.", "cos(0)", "1", |x| periodic(x, f64::cos);
    /// `tan`
    TAN, "tan", "Tangent of an angle in radians.", "tan(1)", "1.5574077246549023", |x| periodic(x, f64::tan);
    /// `cot`
    COT, "cot", "Cotangent of an angle in radians.", "cot(0.5)", "1.830487721712452", |x| periodic(x, |x| 1.0 / x.tan());
    /// `asin`
    ASIN, "asin", "Inverse sine, in radians.", "asin(1)", "1.5707963267948966", |x| within(x, |x| x.abs() <= 1.0, f64::asin);
    /// `acos`
    ACOS, "acos", "Inverse cosine, in radians.", "acos(1)", "0", |x| within(x, |x| x.abs() <= 1.0, f64::acos);
    /// `atan`
    ATAN, "atan", "Inverse tangent, in radians.", "atan(1)", "0.7853981633974483", |x| Ok(x.atan());
    /// `sinh`
    SINH, "sinh", "Hyperbolic sine.", "sinh(1)", "1.1752011936438014", |x| Ok(x.sinh());
    /// `cosh`
    COSH, "cosh", "Hyperbolic cosine.", "cosh(0)", "1", |x| Ok(x.cosh());
    /// `tanh`
    TANH, "tanh", "Hyperbolic tangent.", "tanh(1)", "0.7615941559557649", |x| Ok(x.tanh());
    /// `asinh`
    ASINH, "asinh", "Inverse hyperbolic sine.", "asinh(1)", "0.881373587019543", |x| Ok(x.asinh());
    /// `acosh`
    ACOSH, "acosh", "Inverse hyperbolic cosine.", "acosh(1)", "0", |x| within(x, |x| x >= 1.0, f64::acosh);
    /// `atanh`
    ATANH, "atanh", "Inverse hyperbolic tangent.", "atanh(0.5)", "0.5493061443340548", |x| within(x, |x| x.abs() <= 1.0, f64::atanh);
}

/// `atan2`
pub(super) static ATAN2: Function = Function {
    name: "atan2",
    doc: "Inverse tangent of the quotient, in radians, in the right quadrant.",
    example: ("atan2(1, 0)", "1.5707963267948966"),
    signatures: &[sig!([FLOAT8, FLOAT8] => FLOAT8, |b| lanes2::<f64, f64, f64>(b, f64::atan2))],
    ..TOTAL
};

/// `setseed`
pub(super) static SETSEED: Function = Function {
    name: "setseed",
    doc: "Begins the numbers of `random` anew, by a seed from -1 to 1; on the thread that runs it.",
    example: ("setseed(0.5) IS NOT NULL", "t"),
    volatility: Volatility::Volatile,
    signatures: &[sig!([FLOAT8] => VOID, |b| try_map1::<f64, Str>(b, |seed| {
        if !(-1.0..=1.0).contains(&seed) {
            let message = format!("setseed parameter {seed} is out of allowed range [-1,1]");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        STATE.with(|state| state.set(seed.to_bits()));
        Ok(String::new())
    }))],
    ..FUNCTION
};

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
}

/// The next of a thread's pseudo-random numbers (splitmix64), seeded by the operating system.
pub(crate) fn random_u64() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let z = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// `random`
pub(super) static RANDOM: Function = Function {
    name: "random",
    doc: "A random number from 0 up to, but not including, 1.",
    example: ("random() < 1", "t"),
    volatility: Volatility::Volatile,
    signatures: &[
        sig!([] => FLOAT8, |_| Ok(Arc::new(|_: &EvalContext, _: &[Column], rows: usize| -> Result<Column> {
            let unit = 1.0 / (1u64 << 53) as f64;
            let values = (0..rows).map(|_| (random_u64() >> 11) as f64 * unit);
            Ok(Column::Array(Arc::new(Float64Array::from_iter_values(values))))
        }))),
    ],
    ..TOTAL
};
