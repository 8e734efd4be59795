//! Powers, roots and logarithms.

use spg_expr::Function;
use spg_expr::Signature;
use spg_expr::arity::{lanes1, try_map1, try_map2};
use spg_types::{Error, Numeric, Result, SqlState};

use crate::error::{float_overflow, float_underflow};
use crate::record::{FUNCTION, TOTAL, sig};

fn power_error(message: &str) -> Error {
    Error::new(SqlState::INVALID_ARGUMENT_FOR_POWER, message)
}

fn log_error(message: &str) -> Error {
    Error::new(SqlState::INVALID_ARGUMENT_FOR_LOG, message)
}

fn power(x: f64, y: f64) -> Result<f64> {
    if x.is_nan() || y.is_nan() {
        // As POSIX has it: 1 to anything, and anything to 0, is 1.
        return Ok(if x == 1.0 || y == 0.0 { 1.0 } else { f64::NAN });
    }
    if x == 0.0 && y < 0.0 {
        return Err(power_error("zero raised to a negative power is undefined"));
    }
    if x < 0.0 && y.is_finite() && y.floor() != y {
        return Err(power_error("a negative number raised to a non-integer power yields a complex result"));
    }
    let r = x.powf(y);
    if r.is_infinite() && x.is_finite() && y.is_finite() {
        return Err(float_overflow());
    }
    if r == 0.0 && x != 0.0 && x.is_finite() && y.is_finite() {
        return Err(float_underflow());
    }
    Ok(r)
}

fn sqrt(x: f64) -> Result<f64> {
    if x < 0.0 { Err(power_error("cannot take square root of a negative number")) } else { Ok(x.sqrt()) }
}

fn exp(x: f64) -> Result<f64> {
    let r = x.exp();
    if r.is_infinite() && x.is_finite() {
        Err(float_overflow())
    } else if r == 0.0 && x.is_finite() {
        Err(float_underflow())
    } else {
        Ok(r)
    }
}

fn logarithm(x: f64, f: impl Fn(f64) -> f64) -> Result<f64> {
    if x == 0.0 {
        Err(log_error("cannot take logarithm of zero"))
    } else if x < 0.0 {
        Err(log_error("cannot take logarithm of a negative number"))
    } else {
        Ok(f(x))
    }
}

/// Overloads of `power` and `^`.
pub(crate) const POWER_SIGNATURES: &[Signature] = &[
    sig!([FLOAT8, FLOAT8] => FLOAT8, |b| try_map2::<f64, f64, f64>(b, power)),
    sig!([NUMERIC, NUMERIC] => NUMERIC, |b| try_map2::<Numeric, Numeric, Numeric>(b, |x, y| x.power(&y))),
];

/// The float overload of `sqrt`, also `|/`.
pub(crate) const SQRT_FLOAT: &[Signature] = &[sig!([FLOAT8] => FLOAT8, |b| try_map1::<f64, f64>(b, sqrt))];

/// Overloads of `cbrt` and `||/`.
pub(crate) const CBRT_SIGNATURES: &[Signature] =
    &[sig!([FLOAT8] => FLOAT8, |b| lanes1::<f64, f64>(b, f64::cbrt))];

/// `sqrt`
pub(super) static SQRT: Function = Function {
    name: "sqrt",
    doc: "Square root.",
    example: ("sqrt(2)", "1.4142135623730951"),
    signatures: &[
        sig!([FLOAT8] => FLOAT8, |b| try_map1::<f64, f64>(b, sqrt)),
        sig!([NUMERIC] => NUMERIC, |b| try_map1::<Numeric, Numeric>(b, |v| v.sqrt())),
    ],
    ..FUNCTION
};

/// `cbrt`
pub(super) static CBRT: Function = Function {
    name: "cbrt",
    doc: "Cube root.",
    example: ("cbrt(64.0)", "4"),
    signatures: CBRT_SIGNATURES,
    ..TOTAL
};

/// `power`
pub(super) static POWER: Function = Function {
    name: "power",
    doc: "The first number raised to the second.",
    example: ("power(9, 3)", "729"),
    signatures: POWER_SIGNATURES,
    ..FUNCTION
};

/// `pow`
pub(super) static POW: Function = Function {
    name: "pow",
    doc: "The first number raised to the second.",
    example: ("pow(9, 3)", "729"),
    signatures: POWER_SIGNATURES,
    ..FUNCTION
};

/// `exp`
pub(super) static EXP: Function = Function {
    name: "exp",
    doc: "e raised to the number.",
    example: ("exp(1.0)", "2.7182818284590452"),
    signatures: &[
        sig!([FLOAT8] => FLOAT8, |b| try_map1::<f64, f64>(b, exp)),
        sig!([NUMERIC] => NUMERIC, |b| try_map1::<Numeric, Numeric>(b, |v| v.exp())),
    ],
    ..FUNCTION
};

/// `ln`
pub(super) static LN: Function = Function {
    name: "ln",
    doc: "Natural logarithm.",
    example: ("ln(2.0)", "0.6931471805599453"),
    signatures: &[
        sig!([FLOAT8] => FLOAT8, |b| try_map1::<f64, f64>(b, |v| logarithm(v, f64::ln))),
        sig!([NUMERIC] => NUMERIC, |b| try_map1::<Numeric, Numeric>(b, |v| v.ln())),
    ],
    ..FUNCTION
};

/// `log`
pub(super) static LOG: Function = Function {
    name: "log",
    doc: "Logarithm to base 10; with two arguments, of the second to the base of the first.",
    example: ("log(100)", "2"),
    signatures: &[
        sig!([FLOAT8] => FLOAT8, |b| try_map1::<f64, f64>(b, |v| logarithm(v, f64::log10))),
        sig!([NUMERIC] => NUMERIC, |b| try_map1::<Numeric, Numeric>(b, |v| v.log10())),
        sig!([NUMERIC, NUMERIC] => NUMERIC, |b| try_map2::<Numeric, Numeric, Numeric>(b, |base, v| v.log(&base))),
    ],
    ..FUNCTION
};

/// `log10`
pub(super) static LOG10: Function = Function {
    name: "log10",
    doc: "Logarithm to base 10.",
    example: ("log10(1000)", "3"),
    signatures: &[
        sig!([FLOAT8] => FLOAT8, |b| try_map1::<f64, f64>(b, |v| logarithm(v, f64::log10))),
        sig!([NUMERIC] => NUMERIC, |b| try_map1::<Numeric, Numeric>(b, |v| v.log10())),
    ],
    ..FUNCTION
};
