//! Signs, remainders, digits.

use std::sync::Arc;

use arrow::array::Float64Array;
use spg_expr::arity::{lanes1, map1, opt_map1, try_map1, try_map2, try_map4};
use spg_expr::{Column, EvalContext, Function};
use spg_types::{Error, Numeric, Result, SqlState};

use crate::arith::{SqlInt, int_div};
use crate::decimal;
use crate::operators::ABS as ABS_SIGNATURES;
use crate::record::{FUNCTION, TOTAL, sig};

/// `abs`
pub(super) static ABS: Function = Function {
    name: "abs",
    doc: "Absolute value.",
    example: ("abs(-17.4)", "17.4"),
    signatures: ABS_SIGNATURES,
    ..FUNCTION
};

/// `sign`
pub(super) static SIGN: Function = Function {
    name: "sign",
    doc: "-1, 0 or 1, as the number is negative, zero or positive.",
    example: ("sign(-8.4)", "-1"),
    signatures: &[
        sig!([NUMERIC] => NUMERIC, |b| map1::<Numeric, Numeric>(b, |v| v.sign())),
        sig!([FLOAT8] => FLOAT8, |b| lanes1::<f64, f64>(b, |v| {
            if v > 0.0 {
                1.0
            } else if v < 0.0 {
                -1.0
            } else if v.is_nan() {
                v
            } else {
                0.0
            }
        })),
    ],
    ..TOTAL
};

/// `mod`
pub(super) static MOD: Function = Function {
    name: "mod",
    doc: "Remainder of the division, of the dividend's sign.",
    example: ("mod(9, 4)", "1"),
    signatures: &[
        sig!([INT4, INT4] => INT4, |b| int_div::<i32, i32, i32>(b, SqlInt::rem)),
        sig!([INT8, INT8] => INT8, |b| int_div::<i64, i64, i64>(b, SqlInt::rem)),
        sig!([INT2, INT2] => INT2, |b| int_div::<i16, i16, i16>(b, SqlInt::rem)),
        sig!([NUMERIC, NUMERIC] => of decimal::remainder_type, decimal::rem),
    ],
    ..FUNCTION
};

/// `div`
pub(super) static DIV: Function = Function {
    name: "div",
    doc: "Quotient without its fraction.",
    example: ("div(9, 4)", "2"),
    signatures: &[sig!([NUMERIC, NUMERIC] => NUMERIC, |b| {
        try_map2::<Numeric, Numeric, Numeric>(b, |x, y| x.div_trunc(&y))
    })],
    ..FUNCTION
};

fn gcd64(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn gcd<T: SqlInt + Into<i64> + TryFrom<u64>>(a: T, b: T) -> Result<T> {
    T::try_from(gcd64(a.into().unsigned_abs(), b.into().unsigned_abs())).map_err(|_| T::out_of_range())
}

fn lcm<T: SqlInt + Into<i64> + TryFrom<u64>>(a: T, b: T) -> Result<T> {
    let (a, b) = (a.into().unsigned_abs(), b.into().unsigned_abs());
    if a == 0 || b == 0 {
        return Ok(T::default());
    }
    let product = (a / gcd64(a, b)).checked_mul(b).ok_or_else(T::out_of_range)?;
    T::try_from(product).map_err(|_| T::out_of_range())
}

/// `gcd`
pub(super) static GCD: Function = Function {
    name: "gcd",
    doc: "Greatest common divisor.",
    example: ("gcd(1071, 462)", "21"),
    signatures: &[
        sig!([INT4, INT4] => INT4, |b| try_map2::<i32, i32, i32>(b, gcd)),
        sig!([INT8, INT8] => INT8, |b| try_map2::<i64, i64, i64>(b, gcd)),
        sig!([NUMERIC, NUMERIC] => NUMERIC, |b| try_map2::<Numeric, Numeric, Numeric>(b, |x, y| x.gcd(&y))),
    ],
    ..FUNCTION
};

/// `lcm`
pub(super) static LCM: Function = Function {
    name: "lcm",
    doc: "Least common multiple.",
    example: ("lcm(1071, 462)", "23562"),
    signatures: &[
        sig!([INT4, INT4] => INT4, |b| try_map2::<i32, i32, i32>(b, lcm)),
        sig!([INT8, INT8] => INT8, |b| try_map2::<i64, i64, i64>(b, lcm)),
        sig!([NUMERIC, NUMERIC] => NUMERIC, |b| try_map2::<Numeric, Numeric, Numeric>(b, |x, y| x.lcm(&y))),
    ],
    ..FUNCTION
};

/// `factorial`
pub(super) static FACTORIAL: Function = Function {
    name: "factorial",
    doc: "The product of the whole numbers up to it.",
    example: ("factorial(5)", "120"),
    signatures: &[sig!([INT8] => NUMERIC, |b| try_map1::<i64, Numeric>(b, Numeric::factorial))],
    ..FUNCTION
};

/// `pi`
pub(super) static PI: Function = Function {
    name: "pi",
    doc: "Approximate value of π.",
    example: ("pi()", "3.141592653589793"),
    signatures: &[
        sig!([] => FLOAT8, |_| Ok(Arc::new(|_: &EvalContext, _: &[Column], _: usize| -> Result<Column> {
            Ok(Column::Const(Arc::new(Float64Array::from(vec![std::f64::consts::PI]))))
        }))),
    ],
    ..TOTAL
};

/// `scale`
pub(super) static SCALE: Function = Function {
    name: "scale",
    doc: "Digits after the point that are shown.",
    example: ("scale(8.4100)", "4"),
    signatures: &[sig!([NUMERIC] => INT4, |b| {
        opt_map1::<Numeric, i32>(b, |v| Ok(v.is_finite().then(|| v.scale() as i32)))
    })],
    ..TOTAL
};

/// `min_scale`
pub(super) static MIN_SCALE: Function = Function {
    name: "min_scale",
    doc: "Digits after the point that the value needs.",
    example: ("min_scale(8.4100)", "2"),
    signatures: &[sig!([NUMERIC] => INT4, |b| {
        opt_map1::<Numeric, i32>(b, |v| Ok(v.is_finite().then(|| v.normalized().scale() as i32)))
    })],
    ..TOTAL
};

/// `trim_scale`
pub(super) static TRIM_SCALE: Function = Function {
    name: "trim_scale",
    doc: "The number without zeros at the end of its fraction.",
    example: ("trim_scale(8.4100)", "8.41"),
    signatures: &[sig!([NUMERIC] => NUMERIC, |b| map1::<Numeric, Numeric>(b, |v| v.normalized()))],
    ..TOTAL
};

/// `width_bucket`
pub(super) static WIDTH_BUCKET: Function = Function {
    name: "width_bucket",
    doc: "The bucket, of that many of equal width between two bounds, in which a number lies; 0 below, count + 1 above.",
    example: ("width_bucket(5.35, 0.024, 10.06, 5)", "3"),
    signatures: &[
        sig!([NUMERIC, NUMERIC, NUMERIC, INT4] => INT4, |b| try_map4::<Numeric, Numeric, Numeric, i32, i32>(b, |v, lo, hi, n| {
            numeric_bucket(&v, &lo, &hi, n)
        })),
        sig!([FLOAT8, FLOAT8, FLOAT8, INT4] => INT4, |b| try_map4::<f64, f64, f64, i32, i32>(b, float_bucket)),
    ],
    ..FUNCTION
};

fn bucket_error(message: &str) -> Error {
    Error::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET, message)
}

fn check_buckets(count: i32, nan: bool, infinite: bool) -> Result<()> {
    if count <= 0 {
        return Err(bucket_error("count must be greater than zero"));
    }
    if nan {
        return Err(bucket_error("operand, lower bound, and upper bound cannot be NaN"));
    }
    if infinite {
        return Err(bucket_error("lower and upper bounds must be finite"));
    }
    Ok(())
}

fn float_bucket(v: f64, low: f64, high: f64, count: i32) -> Result<i32> {
    check_buckets(
        count,
        v.is_nan() || low.is_nan() || high.is_nan(),
        low.is_infinite() || high.is_infinite(),
    )?;
    let above = || count.checked_add(1).ok_or_else(i32::out_of_range);
    let inside = |part: f64, whole: f64| (f64::from(count) * (part / whole)) as i32 + 1;
    if low < high {
        match v {
            v if v < low => Ok(0),
            v if v >= high => above(),
            v => Ok(inside(v - low, high - low).min(count)),
        }
    } else if low > high {
        match v {
            v if v > low => Ok(0),
            v if v <= high => above(),
            v => Ok(inside(low - v, low - high).min(count)),
        }
    } else {
        Err(bucket_error("lower bound cannot equal upper bound"))
    }
}

fn numeric_bucket(v: &Numeric, low: &Numeric, high: &Numeric, count: i32) -> Result<i32> {
    check_buckets(
        count,
        v.is_nan() || low.is_nan() || high.is_nan(),
        low.is_infinite() || high.is_infinite(),
    )?;
    if low == high {
        return Err(bucket_error("lower bound cannot equal upper bound"));
    }
    let rising = low < high;
    let above = || count.checked_add(1).ok_or_else(i32::out_of_range);
    if if rising { v < low } else { v > low } {
        return Ok(0);
    }
    if if rising { v >= high } else { v <= high } {
        return above();
    }
    let (part, whole) = if rising { (v.sub(low)?, high.sub(low)?) } else { (low.sub(v)?, low.sub(high)?) };
    let bucket = part.mul(&Numeric::from(i64::from(count)))?.div_trunc(&whole)?;
    bucket.as_i128().and_then(|(b, _)| i32::try_from(b + 1).ok()).ok_or_else(i32::out_of_range)
}
