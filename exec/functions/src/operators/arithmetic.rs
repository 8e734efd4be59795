//! `*`, `/`, `%` and `@`, and the overloads over integers and floats that they share with `+` and `-`.

use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::Function;
use spg_expr::arity::{lanes1, try_map2};
use spg_simd::Int;
use spg_types::{Numeric, datetime};

use crate::arith::{SqlInt, float_div, float_mul, int_div, int_fn, int_op};
use crate::decimal;
use crate::record::{FUNCTION, sig};

/// The overloads over every pair of integers and of floats, and more.
macro_rules! arithmetic {
    ($int:ident $f:path, |$b:ident| $float:ident, $body:expr, [$($more:expr,)*]) => {
        arithmetic!(@ $int $f, {
            sig!([FLOAT4, FLOAT4] => FLOAT4, |b| $float::<f32, f32, f32>(b, $body)),
            sig!([FLOAT4, FLOAT8] => FLOAT8, |b| $float::<f32, f64, f64>(b, $body)),
            sig!([FLOAT8, FLOAT4] => FLOAT8, |b| $float::<f64, f32, f64>(b, $body)),
            sig!([FLOAT8, FLOAT8] => FLOAT8, |b| $float::<f64, f64, f64>(b, $body)),
            $($more,)*
        })
    };
    ($int:ident $f:path, |$b:ident| $float:ident, [$($more:expr,)*]) => {
        arithmetic!(@ $int $f, {
            sig!([FLOAT4, FLOAT4] => FLOAT4, $float::<f32, f32, f32>),
            sig!([FLOAT4, FLOAT8] => FLOAT8, $float::<f32, f64, f64>),
            sig!([FLOAT8, FLOAT4] => FLOAT8, $float::<f64, f32, f64>),
            sig!([FLOAT8, FLOAT8] => FLOAT8, $float::<f64, f64, f64>),
            $($more,)*
        })
    };
    (@ $int:ident $f:path, {$($more:expr,)*}) => {
        &[
            sig!([INT4, INT4] => INT4, |b| $int::<i32, i32, i32>(b, $f)),
            sig!([INT8, INT8] => INT8, |b| $int::<i64, i64, i64>(b, $f)),
            sig!([INT2, INT2] => INT2, |b| $int::<i16, i16, i16>(b, $f)),
            sig!([INT2, INT4] => INT4, |b| $int::<i16, i32, i32>(b, $f)),
            sig!([INT2, INT8] => INT8, |b| $int::<i16, i64, i64>(b, $f)),
            sig!([INT4, INT2] => INT4, |b| $int::<i32, i16, i32>(b, $f)),
            sig!([INT4, INT8] => INT8, |b| $int::<i32, i64, i64>(b, $f)),
            sig!([INT8, INT2] => INT8, |b| $int::<i64, i16, i64>(b, $f)),
            sig!([INT8, INT4] => INT8, |b| $int::<i64, i32, i64>(b, $f)),
            $($more,)*
        ]
    };
}
pub(super) use arithmetic;

/// `*`
pub(super) static TIMES: Function = Function {
    name: "*",
    doc: "Product; a span taken several times.",
    example: ("6 * 7", "42"),
    signatures: arithmetic!(int_op Int::mul, |b| float_mul, [
        sig!([NUMERIC, NUMERIC] => of decimal::product_type, decimal::mul),
        sig!([INTERVAL, FLOAT8] => INTERVAL, |b| try_map2::<Interval, f64, Interval>(b, datetime::multiply_interval)),
        sig!([FLOAT8, INTERVAL] => INTERVAL, |b| try_map2::<f64, Interval, Interval>(b, |f, i| datetime::multiply_interval(i, f))),
    ]),
    ..FUNCTION
};

/// `/`
pub(super) static DIVIDE: Function = Function {
    name: "/",
    doc: "Quotient; of integers without its fraction.",
    example: ("7 / 2", "3"),
    signatures: arithmetic!(int_div SqlInt::div, |b| float_div, [
        sig!([NUMERIC, NUMERIC] => NUMERIC, decimal::div),
        sig!([INTERVAL, FLOAT8] => INTERVAL, |b| try_map2::<Interval, f64, Interval>(b, datetime::divide_interval)),
    ]),
    ..FUNCTION
};

/// `%`
pub(super) static MODULO: Function = Function {
    name: "%",
    doc: "Remainder of the division, of the dividend's sign.",
    example: ("-7 % 3", "-1"),
    signatures: &[
        sig!([INT4, INT4] => INT4, |b| int_div::<i32, i32, i32>(b, SqlInt::rem)),
        sig!([INT8, INT8] => INT8, |b| int_div::<i64, i64, i64>(b, SqlInt::rem)),
        sig!([INT2, INT2] => INT2, |b| int_div::<i16, i16, i16>(b, SqlInt::rem)),
        sig!([NUMERIC, NUMERIC] => of decimal::remainder_type, decimal::rem),
    ],
    ..FUNCTION
};

/// `@`
pub(super) static ABSOLUTE: Function =
    Function { name: "@", doc: "Absolute value.", example: ("@ -5", "5"), signatures: ABS, ..FUNCTION };

/// The overloads of the absolute value.
pub(crate) const ABS: &[spg_expr::Signature] = &[
    sig!([INT4] => INT4, |b| int_fn::<i32>(b, i32::overflowing_abs)),
    sig!([INT8] => INT8, |b| int_fn::<i64>(b, i64::overflowing_abs)),
    sig!([INT2] => INT2, |b| int_fn::<i16>(b, i16::overflowing_abs)),
    sig!([FLOAT4] => FLOAT4, |b| lanes1::<f32, f32>(b, f32::abs)),
    sig!([FLOAT8] => FLOAT8, |b| lanes1::<f64, f64>(b, f64::abs)),
    sig!([NUMERIC] => of decimal::same, |b| decimal::unary(b, i64::wrapping_abs, i128::wrapping_abs, |v: Numeric| v.abs())),
];
