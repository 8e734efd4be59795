//! `numeric(p, s)`: exact decimal numbers.
//!
//! With a precision of up to 38 digits a column holds integers of 64 or 128 bits whose scale the type fixes;
//! without one each value has its own scale ([`Numeric`]).

use std::str::FromStr;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Decimal64Type, Decimal128Type};

use super::wrong_builder;
use crate::number::{DecimalError, parse_decimal64, write_decimal64, write_decimal128};
use crate::{
    Category, ColumnBuilder, Error, FormatSettings, Modifier, Numeric, Repr, Result, SqlState, SqlType,
    TypeDef, ValueWriter,
};

/// `numeric`.
pub static NUMERIC: TypeDef = TypeDef {
    oid: 1700,
    array_oid: 1231,
    name: "numeric",
    sql_name: "numeric",
    aliases: &["decimal", "dec"],
    category: Category::Numeric,
    preferred: false,
    len: -1,
    repr,
    typmod_in,
    typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Exact decimal numbers, with precision and scale or of any size.",
};

const MAX_PRECISION: i64 = 1000;
const MAX_MODIFIER_SCALE: i64 = 1000;

/// Declared precision and scale; the scale may be negative or above the precision.
pub(crate) fn declared(typmod: i32) -> (u32, i32) {
    let packed = typmod - 4;
    // The scale is an 11-bit two's complement number.
    ((packed >> 16 & 0xffff) as u32, ((packed & 0x7ff) ^ 0x400) - 0x400)
}

fn repr(modifier: Modifier) -> Repr {
    let (precision, scale) = match modifier {
        Modifier::None => return Repr::Numeric,
        Modifier::Declared(m) => declared(m),
        Modifier::Derived { precision, scale } => (precision.into(), i32::from(scale)),
    };
    if scale < 0 {
        return Repr::Numeric;
    }
    match precision.max(scale as u32) {
        0..=18 => Repr::Decimal64 { scale: scale as u8 },
        19..=38 => Repr::Decimal128 { scale: scale as u8 },
        _ => Repr::Numeric,
    }
}

fn typmod_in(args: &[i64]) -> Result<i32> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    let (precision, scale) = match args {
        [p] => (*p, 0),
        [p, s] => (*p, *s),
        _ => return invalid("invalid NUMERIC type modifier".into()),
    };
    if !(1..=MAX_PRECISION).contains(&precision) {
        return invalid(format!("NUMERIC precision {precision} must be between 1 and {MAX_PRECISION}"));
    }
    if scale.abs() > MAX_MODIFIER_SCALE {
        let (low, high) = (-MAX_MODIFIER_SCALE, MAX_MODIFIER_SCALE);
        return invalid(format!("NUMERIC scale {scale} must be between {low} and {high}"));
    }
    Ok(((precision as i32) << 16 | (scale as i32 & 0x7ff)) + 4)
}

fn typmod_out(typmod: i32) -> String {
    let (precision, scale) = declared(typmod);
    format!("({precision},{scale})")
}

/// 22003 as PostgreSQL words it; `cannot_hold` for what no fixed-scale number is.
fn field_overflow(precision: u32, scale: i32, cannot_hold: Option<&str>) -> Error {
    let detail = match cannot_hold {
        Some(what) => format!("A field with precision {precision}, scale {scale} cannot hold {what}."),
        None => {
            let limit = match precision as i32 - scale {
                0 => "1".to_string(),
                digits => format!("10^{digits}"),
            };
            format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {limit}."
            )
        }
    };
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").with_detail(detail)
}

/// Precision and scale that a modifier imposes on values.
fn limits(ty: SqlType) -> Option<(u32, i32)> {
    match ty.modifier {
        Modifier::None => None,
        Modifier::Declared(m) => Some(declared(m)),
        Modifier::Derived { precision, scale } => Some((precision.into(), scale.into())),
    }
}

impl Numeric {
    /// Rounds the value to the type's scale and checks its precision; 22003 "numeric field overflow".
    pub fn fit(self, ty: SqlType) -> Result<Numeric> {
        let Some((precision, scale)) = limits(ty) else { return Ok(self) };
        if self.is_infinite() {
            return Err(field_overflow(precision, scale, Some("an infinite value")));
        }
        if self.is_nan() {
            return match ty.repr() {
                Repr::Numeric => Ok(self),
                _ => Err(Error::unsupported("NaN in numeric with a precision is not supported")
                    .with_hint("Use numeric without precision and scale, or double precision.")),
            };
        }
        let rounded = self.round(scale);
        if rounded.is_below_pow10(precision as i32 - scale) {
            Ok(rounded)
        } else {
            Err(field_overflow(precision, scale, None))
        }
    }

    /// The value as the type's fixed-scale integer; 22003 when the type has no room for it.
    pub fn fit_i128(self, ty: SqlType) -> Result<i128> {
        match self.fit(ty)?.as_i128() {
            Some((unscaled, _)) => Ok(unscaled),
            None => Err(Error::internal("a number of at most 38 digits does not fit 128 bits")),
        }
    }
}

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    if let ColumnBuilder::Decimal64(b) = out
        && let Some((precision, scale)) = limits(ty)
    {
        return match parse_decimal64(text.as_bytes(), precision, scale as u32) {
            Ok(value) => {
                b.append_value(value);
                Ok(())
            }
            Err(DecimalError::Overflow) => Err(field_overflow(precision, scale, None)),
            Err(DecimalError::Unusual) => {
                b.append_value(Numeric::from_str(text)?.fit_i128(ty)? as i64);
                Ok(())
            }
        };
    }
    append(Numeric::from_str(text)?, ty, out)
}

fn append(value: Numeric, ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    match out {
        ColumnBuilder::Decimal64(b) => b.append_value(value.fit_i128(ty)? as i64),
        ColumnBuilder::Decimal128(b) => b.append_value(value.fit_i128(ty)?),
        ColumnBuilder::Numeric(b) => b.append_value(value.fit(ty)?.encode()),
        _ => return Err(wrong_builder(ty)),
    }
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, ty: SqlType, _: &'a FormatSettings) -> ValueWriter<'a> {
    match ty.repr() {
        Repr::Decimal64 { scale } => {
            let a = array.as_primitive::<Decimal64Type>();
            Box::new(move |row, out| write_decimal64(a.value(row), scale.into(), out))
        }
        Repr::Decimal128 { scale } => {
            let a = array.as_primitive::<Decimal128Type>();
            Box::new(move |row, out| write_decimal128(a.value(row), scale.into(), out))
        }
        _ => {
            let a = array.as_binary_view();
            Box::new(move |row, out| decoded(a.value(row)).write_text(out))
        }
    }
}

/// A stored value. Columns hold nothing else than encoded numbers; bytes that are none read as NaN.
fn decoded(bytes: &[u8]) -> Numeric {
    let value = Numeric::decode(bytes);
    debug_assert!(value.is_ok(), "a numeric column holds {bytes:?}");
    value.unwrap_or(Numeric::NAN)
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    append(Numeric::from_binary(bytes)?, ty, out)
}

fn binary_out<'a>(array: &'a dyn Array, ty: SqlType) -> ValueWriter<'a> {
    match ty.repr() {
        Repr::Decimal64 { scale } => {
            let a = array.as_primitive::<Decimal64Type>();
            Box::new(move |row, out| Numeric::from_i128(a.value(row).into(), scale.into()).write_binary(out))
        }
        Repr::Decimal128 { scale } => {
            let a = array.as_primitive::<Decimal128Type>();
            Box::new(move |row, out| Numeric::from_i128(a.value(row), scale.into()).write_binary(out))
        }
        _ => {
            let a = array.as_binary_view();
            Box::new(move |row, out| decoded(a.value(row)).write_binary(out))
        }
    }
}
