//! Casts between numbers.

use std::str::FromStr;
use std::sync::Arc;

use spg_expr::arity::{Lane, checked1, lanes1, map1, try_map1};
use spg_expr::{BindArgs, CastDef, Kernel};
use spg_types::number::{POW10, POW10_64, write_f32, write_f64};
use spg_types::{Error, Modifier, Numeric, Result, SqlState, SqlType};

use super::{cast, same};
use crate::arith::SqlInt;
use crate::decimal::fixed;
use crate::error::{float_overflow, float_underflow, out_of_range};

pub(super) static LIST: &[CastDef] = &[
    cast!(INT2, INT4, Implicit, |b, _| lanes1::<i16, i32>(b, i32::from)),
    cast!(INT2, INT8, Implicit, |b, _| lanes1::<i16, i64>(b, i64::from)),
    cast!(INT4, INT8, Implicit, |b, _| lanes1::<i32, i64>(b, i64::from)),
    cast!(INT4, INT2, Assignment, |b, _| narrow::<i32, i16>(b)),
    cast!(INT8, INT2, Assignment, |b, _| narrow::<i64, i16>(b)),
    cast!(INT8, INT4, Assignment, |b, _| narrow::<i64, i32>(b)),
    cast!(INT2, FLOAT4, Implicit, |b, _| lanes1::<i16, f32>(b, f32::from)),
    cast!(INT2, FLOAT8, Implicit, |b, _| lanes1::<i16, f64>(b, f64::from)),
    cast!(INT4, FLOAT4, Implicit, |b, _| lanes1::<i32, f32>(b, |v| v as f32)),
    cast!(INT4, FLOAT8, Implicit, |b, _| lanes1::<i32, f64>(b, f64::from)),
    cast!(INT8, FLOAT4, Implicit, |b, _| lanes1::<i64, f32>(b, |v| v as f32)),
    cast!(INT8, FLOAT8, Implicit, |b, _| lanes1::<i64, f64>(b, |v| v as f64)),
    cast!(FLOAT4, FLOAT8, Implicit, |b, _| lanes1::<f32, f64>(b, f64::from)),
    cast!(FLOAT8, FLOAT4, Assignment, |b, _| float_to_float(b)),
    cast!(FLOAT4, INT2, Assignment, |b, _| float_to_int::<f32, i16>(b)),
    cast!(FLOAT4, INT4, Assignment, |b, _| float_to_int::<f32, i32>(b)),
    cast!(FLOAT4, INT8, Assignment, |b, _| float_to_int::<f32, i64>(b)),
    cast!(FLOAT8, INT2, Assignment, |b, _| float_to_int::<f64, i16>(b)),
    cast!(FLOAT8, INT4, Assignment, |b, _| float_to_int::<f64, i32>(b)),
    cast!(FLOAT8, INT8, Assignment, |b, _| float_to_int::<f64, i64>(b)),
    cast!(INT2, NUMERIC, Implicit, |b, _| int_to_numeric::<i16>(b, 5)),
    cast!(INT4, NUMERIC, Implicit, |b, _| int_to_numeric::<i32>(b, 10)),
    cast!(INT8, NUMERIC, Implicit, |b, _| int_to_numeric::<i64>(b, 19)),
    cast!(FLOAT4, NUMERIC, Assignment, |b, _| {
        let ty = b.return_type;
        try_map1::<f32, Numeric>(b, move |v| f32_to_numeric(v)?.fit(ty))
    }),
    cast!(FLOAT8, NUMERIC, Assignment, |b, _| {
        let ty = b.return_type;
        try_map1::<f64, Numeric>(b, move |v| f64_to_numeric(v)?.fit(ty))
    }),
    cast!(NUMERIC, NUMERIC, Implicit, |b, _| rescale(b)),
    cast!(NUMERIC, INT2, Assignment, |b, _| numeric_to_int::<i16>(b)),
    cast!(NUMERIC, INT4, Assignment, |b, _| numeric_to_int::<i32>(b)),
    cast!(NUMERIC, INT8, Assignment, |b, _| numeric_to_int::<i64>(b)),
    cast!(NUMERIC, FLOAT4, Implicit, |b, _| try_map1::<Numeric, f32>(b, |v| numeric_to_f32(&v))),
    cast!(NUMERIC, FLOAT8, Implicit, |b, _| numeric_to_float(b)),
    cast!(BOOL, INT4, Explicit, |b, _| map1::<bool, i32>(b, i32::from)),
    cast!(INT4, BOOL, Explicit, |b, _| map1::<i32, bool>(b, |v| v != 0)),
    cast!(INT2, OID, Implicit, |b, _| lanes1::<i16, i64>(b, |v| i64::from(v as u32))),
    cast!(INT4, OID, Implicit, |b, _| lanes1::<i32, i64>(b, |v| i64::from(v as u32))),
    cast!(INT8, OID, Implicit, |b, _| {
        checked1::<i64, i64>(b, |_| out_of_range("OID"), |v| (v, !(0..=0xffff_ffff).contains(&v)))
    }),
    cast!(OID, INT4, Assignment, |b, _| lanes1::<i64, i32>(b, |v| v as i32)),
    cast!(OID, INT8, Assignment, relabel same),
];

fn narrow<A: SqlInt, R: SqlInt + TryFrom<A>>(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    checked1::<A, R>(
        bind,
        |_| R::out_of_range(),
        |v| match R::try_from(v) {
            Ok(v) => (v, false),
            Err(_) => (R::default(), true),
        },
    )
}

fn float_to_float(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    let error = |v: f64| if v as f32 == 0.0 { float_underflow() } else { float_overflow() };
    checked1::<f64, f32>(bind, error, |v| {
        let r = v as f32;
        (r, (r.is_infinite() & !v.is_infinite()) | ((r == 0.0) & (v != 0.0)))
    })
}

/// Rounded to the nearest integer, halves to the even one.
fn float_to_int<A: Lane + Into<f64>, R: SqlInt + TryFrom<i128>>(
    bind: &BindArgs<'_>,
) -> Result<Arc<dyn Kernel>> {
    checked1::<A, R>(
        bind,
        |_| R::out_of_range(),
        |v| {
            let rounded: f64 = v.into().round_ties_even();
            // Beyond 128 bits the conversion saturates; NaN would become 0.
            match R::try_from(rounded as i128) {
                Ok(r) if !rounded.is_nan() => (r, false),
                _ => (R::default(), true),
            }
        },
    )
}

/// Whether values of `whole` digits before the point need no check; derived types are proven to hold what they get.
fn holds(ty: SqlType, whole: u32) -> bool {
    match (ty.modifier, ty.precision_scale()) {
        (Modifier::Derived { .. }, _) => true,
        (_, Some((p, s))) => p >= s + whole,
        _ => false,
    }
}

fn int_to_numeric<A: SqlInt + Into<i64>>(bind: &BindArgs<'_>, digits: u32) -> Result<Arc<dyn Kernel>> {
    let ty = bind.return_type;
    match fixed(ty) {
        Some((s, false)) if s <= 18 && holds(ty, digits) => {
            let up = POW10_64[s as usize];
            lanes1::<A, i64>(bind, move |v| v.into().wrapping_mul(up))
        }
        Some((s, true)) if holds(ty, digits) => {
            let up = POW10[s as usize];
            lanes1::<A, i128>(bind, move |v| i128::from(v.into()).wrapping_mul(up))
        }
        _ => try_map1::<A, Numeric>(bind, move |v| Numeric::from(v.into()).fit(ty)),
    }
}

/// `v / unit`, rounded, halves away from zero.
#[inline(always)]
fn divide_rounded(v: i64, unit: i64) -> i64 {
    let (quotient, rest) = (v / unit, v % unit);
    quotient + i64::from(rest.unsigned_abs() >= unit.unsigned_abs() - rest.unsigned_abs()) * (v >> 63 | 1)
}

/// `numeric` to a type with another scale or precision: rounded, and 22003 when digits before the point do not fit.
fn rescale(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    let (from, to) = (bind.arg_types[0], bind.return_type);
    let general = || try_map1::<Numeric, Numeric>(bind, move |v| v.fit(to));
    let (Some((s1, wide1)), Some((s2, wide2)), Some((p1, _)), Some((p2, _))) =
        (fixed(from), fixed(to), from.precision_scale(), to.precision_scale())
    else {
        return general();
    };
    // Rounding may carry into one more digit.
    let whole = p1.saturating_sub(s1) + u32::from(s2 < s1);
    let proven = holds(to, whole);
    match (wide1, wide2, s2 >= s1) {
        (false, false, true) if s2 - s1 <= 18 => {
            let (up, limit) = (POW10_64[(s2 - s1) as usize], POW10[p2 as usize]);
            if proven {
                return if up == 1 {
                    lanes1::<i64, i64>(bind, |v| v)
                } else {
                    lanes1::<i64, i64>(bind, move |v| v.wrapping_mul(up))
                };
            }
            let error = move |v: i64| misfit(v.into(), s1, to);
            checked1::<i64, i64>(bind, error, move |v| {
                let (r, overflow) = v.overflowing_mul(up);
                (r, overflow | (i128::from(r).abs() >= limit))
            })
        }
        (false, false, false) if s1 - s2 <= 18 => {
            let (down, limit) = (POW10_64[(s1 - s2) as usize], POW10_64[p2 as usize]);
            let error = move |v: i64| misfit(v.into(), s1, to);
            checked1::<i64, i64>(bind, error, move |v| {
                let r = divide_rounded(v, down);
                (r, !proven & (r.unsigned_abs() >= limit as u64))
            })
        }
        (false, true, true) if proven => {
            let up = POW10[(s2 - s1) as usize];
            lanes1::<i64, i128>(bind, move |v| i128::from(v).wrapping_mul(up))
        }
        (true, true, true) if proven => {
            let up = POW10[(s2 - s1) as usize];
            lanes1::<i128, i128>(bind, move |v| v.wrapping_mul(up))
        }
        _ => general(),
    }
}

/// 22003 for a value that the type has no room for.
fn misfit(unscaled: i128, scale: u32, ty: SqlType) -> Error {
    match Numeric::from_i128(unscaled, scale).fit(ty) {
        Err(e) => e,
        Ok(_) => Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow"),
    }
}

fn numeric_to_int<R: SqlInt + TryFrom<i128>>(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    if let Some((s @ 0..=18, false)) = fixed(bind.arg_types[0]) {
        let unit = POW10_64[s as usize];
        return checked1::<i64, R>(
            bind,
            |_| R::out_of_range(),
            move |v| match R::try_from(i128::from(divide_rounded(v, unit))) {
                Ok(v) => (v, false),
                Err(_) => (R::default(), true),
            },
        );
    }
    let name = bind.return_type.def.sql_name;
    try_map1::<Numeric, R>(bind, move |v| {
        if v.is_nan() || v.is_infinite() {
            let what = if v.is_nan() { "NaN" } else { "infinity" };
            return Err(Error::unsupported(format!("cannot convert {what} to {name}")));
        }
        v.round(0).as_i128().and_then(|(v, _)| R::try_from(v).ok()).ok_or_else(R::out_of_range)
    })
}

fn numeric_to_float(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    if let Some((s @ 0..=18, false)) = fixed(bind.arg_types[0]) {
        let unit = POW10_64[s as usize] as f64;
        let exact = |v: i64| v.unsigned_abs() <= 1 << 53;
        return try_map1::<i64, f64>(bind, move |v| {
            // A quotient of two exact floats is rounded once, as reading the text would be.
            if exact(v) { Ok(v as f64 / unit) } else { numeric_to_f64(&Numeric::from_i128(v.into(), s)) }
        });
    }
    try_map1::<Numeric, f64>(bind, |v| numeric_to_f64(&v))
}

fn text_of(v: &Numeric) -> String {
    let mut text = vec![];
    v.write_text(&mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// The nearest float; 22003 when the number is beyond the type's range.
pub(crate) fn numeric_to_f64(v: &Numeric) -> Result<f64> {
    let text = text_of(v);
    spg_types::number::parse_f64(&text).map_err(|_| {
        let message = format!("\"{text}\" is out of range for type double precision");
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })
}

fn numeric_to_f32(v: &Numeric) -> Result<f32> {
    let text = text_of(v);
    spg_types::number::parse_f32(&text).map_err(|_| {
        let message = format!("\"{text}\" is out of range for type real");
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })
}

/// The number to 15 significant digits.
pub(crate) fn f64_to_numeric(v: f64) -> Result<Numeric> {
    let mut text = vec![];
    write_f64(v, 0, &mut text);
    Numeric::from_str(std::str::from_utf8(&text).unwrap_or_default())
}

/// The number to 6 significant digits.
fn f32_to_numeric(v: f32) -> Result<Numeric> {
    let mut text = vec![];
    write_f32(v, 0, &mut text);
    Numeric::from_str(std::str::from_utf8(&text).unwrap_or_default())
}
