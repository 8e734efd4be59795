//! Rounding.

use spg_expr::arity::{lanes1, map1, try_map2};
use spg_expr::{Function, Signature};
use spg_types::Numeric;

use crate::decimal::whole_type;
use crate::record::{FUNCTION, TOTAL, sig};

const CEIL_SIGNATURES: &[Signature] = &[
    sig!([FLOAT8] => FLOAT8, |b| lanes1::<f64, f64>(b, f64::ceil)),
    sig!([NUMERIC] => of whole_type, |b| map1::<Numeric, Numeric>(b, |v| v.ceil())),
];

/// `ceil`
pub(super) static CEIL: Function = Function {
    name: "ceil",
    doc: "The least whole number that is not below.",
    example: ("ceil(42.2)", "43"),
    signatures: CEIL_SIGNATURES,
    ..TOTAL
};

/// `ceiling`
pub(super) static CEILING: Function = Function {
    name: "ceiling",
    doc: "The least whole number that is not below.",
    example: ("ceiling(-42.8)", "-42"),
    signatures: CEIL_SIGNATURES,
    ..TOTAL
};

/// `floor`
pub(super) static FLOOR: Function = Function {
    name: "floor",
    doc: "The greatest whole number that is not above.",
    example: ("floor(-42.8)", "-43"),
    signatures: &[
        sig!([FLOAT8] => FLOAT8, |b| lanes1::<f64, f64>(b, f64::floor)),
        sig!([NUMERIC] => of whole_type, |b| map1::<Numeric, Numeric>(b, |v| v.floor())),
    ],
    ..TOTAL
};

/// Digits as far as `numeric` goes.
fn digits(n: i32) -> i32 {
    const DIGITS_MAX: i32 = 2000;
    n.clamp(-DIGITS_MAX, DIGITS_MAX)
}

/// `round`
pub(super) static ROUND: Function = Function {
    name: "round",
    doc: "Rounds to whole numbers or to that many digits; halves of numeric away from zero, of floats to the even one.",
    example: ("round(42.4382, 2)", "42.44"),
    signatures: &[
        sig!([FLOAT8] => FLOAT8, |b| lanes1::<f64, f64>(b, f64::round_ties_even)),
        sig!([NUMERIC] => of whole_type, |b| map1::<Numeric, Numeric>(b, |v| v.round(0))),
        sig!([NUMERIC, INT4] => NUMERIC, |b| try_map2::<Numeric, i32, Numeric>(b, |v, n| Ok(v.round(digits(n))))),
    ],
    ..FUNCTION
};

/// `trunc`
pub(super) static TRUNC: Function = Function {
    name: "trunc",
    doc: "Cuts to whole numbers or to that many digits, towards zero.",
    example: ("trunc(42.4382, 2)", "42.43"),
    signatures: &[
        sig!([FLOAT8] => FLOAT8, |b| lanes1::<f64, f64>(b, f64::trunc)),
        sig!([NUMERIC] => of whole_type, |b| map1::<Numeric, Numeric>(b, |v| v.trunc(0))),
        sig!([NUMERIC, INT4] => NUMERIC, |b| try_map2::<Numeric, i32, Numeric>(b, |v, n| Ok(v.trunc(digits(n))))),
    ],
    ..FUNCTION
};
