//! Between `numeric` and the binary number types.

use num_traits::ToPrimitive;

use super::{Numeric, Value};
use crate::{Error, Result, SqlState};

/// Significant digits of a `double precision` that survive the way to `numeric`.
const F64_DIGITS: usize = 15;
/// The same of a `real`.
const F32_DIGITS: usize = 6;

/// Whole numbers up to here are exact as 64-bit floats.
const EXACT_IN_F64: u128 = 1 << 53;

/// Powers of ten that are exact as 64-bit floats.
const EXACT_POW10: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

fn from_float(value: f64, digits: usize) -> Numeric {
    if value.is_nan() {
        return Numeric::NAN;
    }
    if value.is_infinite() {
        return if value > 0.0 { Numeric::INFINITY } else { Numeric::NEG_INFINITY };
    }
    // One digit before the point, zeros at the end dropped, as C's %g.
    let text = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    format!("{mantissa}e{exponent}").parse().unwrap_or(Numeric::NAN)
}

impl Numeric {
    /// The number of a `double precision`, to 15 significant digits.
    pub fn from_f64(value: f64) -> Self {
        if value.fract() == 0.0 && value.abs() < 1e15 {
            return Self::from_i128(value as i128, 0);
        }
        from_float(value, F64_DIGITS)
    }

    /// The number of a `real`, to 6 significant digits.
    pub fn from_f32(value: f32) -> Self {
        from_float(value.into(), F32_DIGITS)
    }

    /// The nearest `double precision`; infinite when the number is beyond all of them.
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            Value::Small { unscaled, scale } => {
                if unscaled.unsigned_abs() <= EXACT_IN_F64
                    && let Some(power) = EXACT_POW10.get(usize::from(*scale))
                {
                    // One correctly rounded operation on exact operands.
                    return *unscaled as f64 / power;
                }
                self.to_string().parse().unwrap_or(f64::NAN)
            }
            Value::Big(_) => self.to_string().parse().unwrap_or(f64::NAN),
            Value::NaN => f64::NAN,
            Value::PositiveInfinity => f64::INFINITY,
            Value::NegativeInfinity => f64::NEG_INFINITY,
        }
    }

    /// As [`Numeric::to_f64`]; 22003 when the number is beyond the type's range.
    pub fn try_to_f64(&self) -> Result<f64> {
        let value = self.to_f64();
        if self.is_finite() && (value.is_infinite() || (value == 0.0 && !self.is_zero())) {
            return Err(float_range(self, "double precision"));
        }
        Ok(value)
    }

    /// The nearest `real`; 22003 when the number is beyond the type's range.
    pub fn try_to_f32(&self) -> Result<f32> {
        let value = match &self.0 {
            Value::NaN => f32::NAN,
            Value::PositiveInfinity => f32::INFINITY,
            Value::NegativeInfinity => f32::NEG_INFINITY,
            _ => self.to_string().parse().unwrap_or(f32::NAN),
        };
        if self.is_finite() && (value.is_infinite() || (value == 0.0 && !self.is_zero())) {
            return Err(float_range(self, "real"));
        }
        Ok(value)
    }

    fn whole(&self, ty: &str) -> Result<i128> {
        let cannot = |what: &str| Error::unsupported(format!("cannot convert {what} to {ty}"));
        match &self.0 {
            Value::NaN => return Err(cannot("NaN")),
            Value::PositiveInfinity | Value::NegativeInfinity => return Err(cannot("infinity")),
            Value::Small { unscaled, scale: 0 } => return Ok(*unscaled),
            Value::Small { .. } | Value::Big(_) => (),
        }
        self.round(0).as_i128().map(|(v, _)| v).ok_or_else(|| integer_range(ty))
    }

    /// The nearest whole number, halves away from zero; 22003.
    pub fn to_i128(&self) -> Result<i128> {
        self.whole("numeric")
    }

    /// The nearest `bigint`, halves away from zero; 22003.
    pub fn to_i64(&self) -> Result<i64> {
        self.whole("bigint")?.to_i64().ok_or_else(|| integer_range("bigint"))
    }

    /// The nearest `integer`, halves away from zero; 22003.
    pub fn to_i32(&self) -> Result<i32> {
        self.whole("integer")?.to_i32().ok_or_else(|| integer_range("integer"))
    }

    /// The nearest `smallint`, halves away from zero; 22003.
    pub fn to_i16(&self) -> Result<i16> {
        self.whole("smallint")?.to_i16().ok_or_else(|| integer_range("smallint"))
    }
}

fn integer_range(ty: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{ty} out of range"))
}

fn float_range(value: &Numeric, ty: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("\"{value}\" is out of range for type {ty}"))
}
