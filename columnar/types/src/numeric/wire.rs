//! PostgreSQL's binary format of `numeric`: base-10000 digits, most significant first.

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{ToPrimitive, Zero};

use super::{MAX_SCALE, Numeric, Value, overflow, pow10};
use crate::{Error, Result, SqlState};

const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const POSITIVE_INFINITY: u16 = 0xd000;
const NEGATIVE_INFINITY: u16 = 0xf000;

/// Decimal digits per base-10000 digit.
const DEC_DIGITS: i64 = 4;

impl Numeric {
    /// Appends PostgreSQL's binary form: number of digits, weight of the first, sign, scale, digits.
    pub fn write_binary(&self, out: &mut Vec<u8>) {
        let mut header = |count: u16, weight: i16, sign: u16, scale: u16| {
            out.extend_from_slice(&count.to_be_bytes());
            out.extend_from_slice(&weight.to_be_bytes());
            out.extend_from_slice(&sign.to_be_bytes());
            out.extend_from_slice(&scale.to_be_bytes());
        };
        match &self.0 {
            Value::NaN => return header(0, 0, NAN, 0),
            Value::PositiveInfinity => return header(0, 0, POSITIVE_INFINITY, 0x20),
            Value::NegativeInfinity => return header(0, 0, NEGATIVE_INFINITY, 0x20),
            Value::Small { .. } | Value::Big(_) => (),
        }
        let sign = if self.signum() < 0 { NEGATIVE } else { POSITIVE };
        let scale = self.scale();
        // Least significant first, the scale filled up to whole base-10000 digits.
        let fraction_digits = i64::from(scale.div_ceil(DEC_DIGITS as u32));
        let mut digits = self.base_10000(fraction_digits * DEC_DIGITS - i64::from(scale));
        let leading = digits.iter().rev().take_while(|d| **d == 0).count();
        digits.truncate(digits.len() - leading);
        let trailing = digits.iter().take_while(|d| **d == 0).count();
        let weight = if digits.is_empty() { 0 } else { digits.len() as i64 - fraction_digits - 1 };
        let digits = &digits[trailing.min(digits.len())..];
        header(digits.len() as u16, weight as i16, sign, scale as u16);
        for digit in digits.iter().rev() {
            out.extend_from_slice(&digit.to_be_bytes());
        }
    }

    /// The magnitude times `10^shift` (shift below 4), least significant base-10000 digit first.
    fn base_10000(&self, shift: i64) -> Vec<u16> {
        let factor = 10u32.pow(shift as u32);
        let mut digits = Vec::new();
        if let Value::Small { unscaled, .. } = self.0
            && let Some(mut rest) = unscaled.unsigned_abs().checked_mul(factor.into())
        {
            while rest > 0 {
                digits.push((rest % 10_000) as u16);
                rest /= 10_000;
            }
            return digits;
        }
        let magnitude = self.unscaled().unwrap_or_default().into_parts().1 * factor;
        let text = magnitude.to_string();
        for group in text.as_bytes().rchunks(DEC_DIGITS as usize) {
            digits.push(group.iter().fold(0, |v, c| v * 10 + u16::from(c - b'0')));
        }
        digits
    }

    /// Reads PostgreSQL's binary form; 22P03 when malformed.
    pub fn from_binary(bytes: &[u8]) -> Result<Self> {
        let invalid = |what: &str| {
            let message = format!("invalid {what} in external \"numeric\" value");
            Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
        };
        let Some((header, body)) = bytes.split_first_chunk::<8>() else { return Err(invalid("length")) };
        let word = |i: usize| u16::from_be_bytes([header[2 * i], header[2 * i + 1]]);
        let (count, weight, sign, scale) = (word(0), word(1) as i16, word(2), word(3));
        match sign {
            POSITIVE | NEGATIVE => (),
            NAN => return Ok(Self::NAN),
            POSITIVE_INFINITY => return Ok(Self::INFINITY),
            NEGATIVE_INFINITY => return Ok(Self::NEG_INFINITY),
            _ => return Err(invalid("sign")),
        }
        if u32::from(scale) > MAX_SCALE {
            return Err(invalid("scale"));
        }
        if body.len() != usize::from(count) * 2 {
            return Err(invalid("length"));
        }
        let mut decimal = Vec::with_capacity(usize::from(count) * 4);
        for pair in body.chunks_exact(2) {
            let digit = u16::from_be_bytes([pair[0], pair[1]]);
            if digit >= 10_000 {
                return Err(invalid("digit"));
            }
            decimal.extend(
                [digit / 1000, digit / 100 % 10, digit / 10 % 10, digit % 10].map(|d| b'0' + d as u8),
            );
        }
        let magnitude = BigUint::parse_bytes(&decimal, 10).unwrap_or_default();
        // Digits after the point that were sent; those beyond the scale are cut off, as PostgreSQL does.
        let sent = (i64::from(count) - i64::from(weight) - 1) * DEC_DIGITS;
        let mut value =
            BigInt::from_biguint(if sign == NEGATIVE { Sign::Minus } else { Sign::Plus }, magnitude);
        if value.is_zero() {
            return Ok(Self::from_i128(0, scale.into()));
        }
        let shift = i64::from(scale) - sent;
        if shift.unsigned_abs() > 400_000 {
            return Err(overflow());
        }
        if shift >= 0 {
            value *= pow10(shift as u32);
        } else {
            value /= pow10(shift.unsigned_abs() as u32);
        }
        match value.to_i128() {
            Some(v) => Ok(Self::from_i128(v, scale.into())),
            None => Self::from_bigint(value, scale.into()),
        }
    }
}
