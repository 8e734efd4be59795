//! `numeric` as text.

use std::fmt;
use std::str::FromStr;

use num_bigint::{BigInt, BigUint, Sign};

use super::{MAX_WHOLE_DIGITS, Numeric, Value, overflow};
use crate::number::{is_space_char, write_decimal128};
use crate::{Error, Result, SqlState};

fn invalid(text: &str) -> Error {
    let message = format!("invalid input syntax for type numeric: \"{text}\"");
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

impl FromStr for Numeric {
    type Err = Error;

    /// Reads `-1.50`, `1e10`, `NaN`, `-Infinity`, white space around it allowed; 22P02 or 22003.
    fn from_str(text: &str) -> Result<Self> {
        let t = text.trim_matches(is_space_char);
        let (negative, signed, body) = match t.as_bytes() {
            [b'-', ..] => (true, true, &t[1..]),
            [b'+', ..] => (false, true, &t[1..]),
            _ => (false, false, t),
        };
        if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return match body {
                b if b.eq_ignore_ascii_case("nan") && !signed => Ok(Self::NAN),
                b if b.eq_ignore_ascii_case("infinity") || b.eq_ignore_ascii_case("inf") => {
                    Ok(if negative { Self::NEG_INFINITY } else { Self::INFINITY })
                }
                _ => Err(invalid(text)),
            };
        }
        parse_finite(body, negative).ok_or_else(|| invalid(text))?
    }
}

/// `None` when the text is no number.
fn parse_finite(body: &str, negative: bool) -> Option<Result<Numeric>> {
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((m, e)) => (m, parse_exponent(e)?),
        None => (body, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|c| c.is_ascii_digit()) {
        return None;
    }
    let scale = fraction.len() as i64 - exponent;
    if scale > super::MAX_SCALE.into() {
        return Some(Err(overflow()));
    }
    let digits = whole.len() + fraction.len();
    if digits <= 38 && scale >= 0 {
        let value = whole.bytes().chain(fraction.bytes()).fold(0i128, |v, c| v * 10 + i128::from(c - b'0'));
        return Some(Ok(Numeric::from_i128(if negative { -value } else { value }, scale as u32)));
    }
    let all = [whole, fraction].concat();
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return Some(Ok(Numeric::from_i128(0, scale.max(0) as u32)));
    }
    if significant.len() as i64 - scale > MAX_WHOLE_DIGITS as i64 {
        return Some(Err(overflow()));
    }
    let mut magnitude = BigUint::parse_bytes(significant.as_bytes(), 10)?;
    if scale < 0 {
        magnitude *= BigUint::from(10u32).pow((-scale) as u32);
    }
    let value = BigInt::from_biguint(if negative { Sign::Minus } else { Sign::Plus }, magnitude);
    Some(Numeric::from_bigint(value, scale.max(0) as u32))
}

/// `None` unless digits with an optional sign; as large as it gets when it does not fit.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.parse::<i32>().unwrap_or(i32::MAX);
    Some(if text.starts_with('-') { -i64::from(magnitude) } else { magnitude.into() })
}

impl Numeric {
    /// Appends it as text.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Value::Small { unscaled, scale } => write_decimal128(*unscaled, (*scale).into(), out),
            Value::Big(b) => write_big(&b.0, b.1.into(), out),
            Value::NaN => out.extend_from_slice(b"NaN"),
            Value::PositiveInfinity => out.extend_from_slice(b"Infinity"),
            Value::NegativeInfinity => out.extend_from_slice(b"-Infinity"),
        }
    }
}

fn write_big(value: &BigInt, scale: usize, out: &mut Vec<u8>) {
    if value.sign() == Sign::Minus {
        out.push(b'-');
    }
    let digits = value.magnitude().to_string();
    let digits = digits.as_bytes();
    if scale == 0 {
        return out.extend_from_slice(digits);
    }
    if digits.len() <= scale {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + scale - digits.len(), b'0');
        return out.extend_from_slice(digits);
    }
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole);
    out.push(b'.');
    out.extend_from_slice(fraction);
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::with_capacity(24);
        self.write_text(&mut out);
        f.pad(std::str::from_utf8(&out).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
