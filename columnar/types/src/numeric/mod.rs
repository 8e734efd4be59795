//! `numeric`: exact decimal numbers of any size, each with its own display scale, and NaN and the infinities.
//!
//! A finite value is an integer and the number of its digits that stand after the point. Nearly all values fit
//! 128 bits; the rest live in a [`BigInt`]. The two forms never overlap, so that each value has one form.

mod arith;
mod convert;
mod math;
mod text;
mod wire;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use num_bigint::{BigInt, Sign};
use num_traits::{Signed, ToPrimitive, Zero};

use crate::number::POW10;
use crate::{Error, Result, SqlState};

/// Digits after the point, at most.
pub(crate) const MAX_SCALE: u32 = 16_383;
/// Digits before the point, at most.
pub(crate) const MAX_WHOLE_DIGITS: u64 = 131_072;

/// A `numeric` value.
///
/// Equality, order and hash go by the number: 1.0 equals 1.00. NaN equals NaN and is above everything.
#[derive(Clone)]
pub struct Numeric(Value);

#[derive(Clone)]
enum Value {
    Small { unscaled: i128, scale: u16 },
    Big(Box<(BigInt, u16)>),
    NaN,
    PositiveInfinity,
    NegativeInfinity,
}

use Value::{Big, NaN, NegativeInfinity, PositiveInfinity, Small};

/// Encoded in place of a scale: the scale follows in two bytes.
const LONG_SCALE: u8 = 0xf0;
const ENCODED_NEGATIVE_INFINITY: u8 = 0xf1;
const ENCODED_POSITIVE_INFINITY: u8 = 0xf2;
const ENCODED_NAN: u8 = 0xf3;

impl Numeric {
    /// Zero, without digits after the point.
    pub const ZERO: Numeric = Numeric(Small { unscaled: 0, scale: 0 });
    /// Not a number.
    pub const NAN: Numeric = Numeric(NaN);
    /// Above every number.
    pub const INFINITY: Numeric = Numeric(PositiveInfinity);
    /// Below every number.
    pub const NEG_INFINITY: Numeric = Numeric(NegativeInfinity);

    /// `unscaled / 10^scale`, shown with `scale` digits after the point; at most [`MAX_SCALE`].
    pub fn from_i128(unscaled: i128, scale: u32) -> Self {
        debug_assert!(scale <= MAX_SCALE);
        Self(Small { unscaled, scale: scale as u16 })
    }

    /// `unscaled / 10^scale`; 22003 when it has more digits than PostgreSQL's format holds.
    pub fn from_bigint(unscaled: BigInt, scale: u32) -> Result<Self> {
        if let Some(unscaled) = unscaled.to_i128()
            && scale <= MAX_SCALE
        {
            return Ok(Self::from_i128(unscaled, scale));
        }
        if scale > MAX_SCALE || big_digits_at_least(&unscaled, MAX_WHOLE_DIGITS + u64::from(scale) + 1) {
            return Err(overflow());
        }
        Ok(Self(Big(Box::new((unscaled, scale as u16)))))
    }

    /// As [`Numeric::from_bigint`] for results known to be within the limits.
    fn from_big(unscaled: BigInt, scale: u32) -> Self {
        match unscaled.to_i128() {
            Some(unscaled) => Self::from_i128(unscaled, scale),
            None => Self(Big(Box::new((unscaled, scale as u16)))),
        }
    }

    /// Whether it is NaN.
    pub fn is_nan(&self) -> bool {
        matches!(self.0, NaN)
    }

    /// Whether it is one of the infinities.
    pub fn is_infinite(&self) -> bool {
        matches!(self.0, PositiveInfinity | NegativeInfinity)
    }

    /// Whether it is a number proper.
    pub fn is_finite(&self) -> bool {
        matches!(self.0, Small { .. } | Big(_))
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Small { unscaled: 0, .. })
    }

    /// Digits shown after the point; 0 for NaN and the infinities.
    pub fn scale(&self) -> u32 {
        match &self.0 {
            Small { scale, .. } => (*scale).into(),
            Big(b) => b.1.into(),
            _ => 0,
        }
    }

    /// Its digits without the point and its scale, when they fit 128 bits.
    pub fn as_i128(&self) -> Option<(i128, u32)> {
        match self.0 {
            Small { unscaled, scale } => Some((unscaled, scale.into())),
            _ => None,
        }
    }

    /// Its digits without the point; `None` for NaN and the infinities.
    fn unscaled(&self) -> Option<BigInt> {
        match &self.0 {
            Small { unscaled, .. } => Some(BigInt::from(*unscaled)),
            Big(b) => Some(b.0.clone()),
            _ => None,
        }
    }

    /// -1, 0 or 1; NaN gives 1, as it is above everything.
    pub fn signum(&self) -> i32 {
        match &self.0 {
            Small { unscaled, .. } => unscaled.signum() as i32,
            Big(b) if b.0.is_negative() => -1,
            NegativeInfinity => -1,
            _ => 1,
        }
    }

    /// The same number with as few digits after the point as it needs.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let (mut unscaled, mut scale) = match &self.0 {
            Small { unscaled, scale } => (*unscaled, *scale),
            Big(b) if b.1 > 0 => return self.normalized_big(),
            _ => return self.clone(),
        };
        if unscaled == 0 {
            scale = 0;
        }
        while scale > 0 && unscaled % 10 == 0 {
            unscaled /= 10;
            scale -= 1;
        }
        Self(Small { unscaled, scale })
    }

    fn normalized_big(&self) -> Self {
        let Some(mut unscaled) = self.unscaled() else { return self.clone() };
        let mut scale = self.scale();
        while scale > 0 && (&unscaled % 10u32).is_zero() {
            unscaled /= 10u32;
            scale -= 1;
        }
        Self::from_big(unscaled, scale)
    }

    /// Its stored form; decimals of up to 26 digits take at most 12 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12);
        self.encode_into(&mut out);
        out
    }

    /// Appends its stored form: the scale (one byte below 240, otherwise 0xf0 and two bytes, little-endian), then
    /// the digits as a little-endian two's complement integer of as few bytes as it needs.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Small { unscaled, scale } => {
                encode_scale(*scale, out);
                let bytes = unscaled.to_le_bytes();
                let redundant =
                    if *unscaled < 0 { (!unscaled).leading_zeros() } else { unscaled.leading_zeros() };
                // One sign bit has to stay.
                let len = if *unscaled == 0 { 0 } else { 16 - (redundant as usize - 1) / 8 };
                out.extend_from_slice(&bytes[..len]);
            }
            Big(b) => {
                encode_scale(b.1, out);
                out.extend_from_slice(&b.0.to_signed_bytes_le());
            }
            NaN => out.push(ENCODED_NAN),
            PositiveInfinity => out.push(ENCODED_POSITIVE_INFINITY),
            NegativeInfinity => out.push(ENCODED_NEGATIVE_INFINITY),
        }
    }

    /// Reads [`Numeric::encode`]'s form; XX001 when the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let bad = || Error::new(SqlState::DATA_CORRUPTED, "malformed numeric value");
        let (scale, digits) = match bytes {
            [ENCODED_NAN] => return Ok(Self::NAN),
            [ENCODED_POSITIVE_INFINITY] => return Ok(Self::INFINITY),
            [ENCODED_NEGATIVE_INFINITY] => return Ok(Self::NEG_INFINITY),
            [LONG_SCALE, a, b, digits @ ..] => (u16::from_le_bytes([*a, *b]), digits),
            [scale, digits @ ..] if *scale < LONG_SCALE => (u16::from(*scale), digits),
            _ => return Err(bad()),
        };
        if u32::from(scale) > MAX_SCALE {
            return Err(bad());
        }
        if digits.len() <= 16 {
            let negative = digits.last().is_some_and(|b| b & 0x80 != 0);
            let mut bytes = [if negative { 0xff } else { 0 }; 16];
            bytes[..digits.len()].copy_from_slice(digits);
            return Ok(Self(Small { unscaled: i128::from_le_bytes(bytes), scale }));
        }
        Self::from_bigint(BigInt::from_signed_bytes_le(digits), scale.into()).map_err(|_| bad())
    }

    fn magnitude_rank(&self) -> i32 {
        match &self.0 {
            NegativeInfinity => -1,
            Small { .. } | Big(_) => 0,
            PositiveInfinity => 1,
            NaN => 2,
        }
    }
}

fn encode_scale(scale: u16, out: &mut Vec<u8>) {
    if scale < LONG_SCALE.into() {
        out.push(scale as u8);
    } else {
        out.push(LONG_SCALE);
        out.extend_from_slice(&scale.to_le_bytes());
    }
}

/// 22003: more digits than the format holds.
fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

/// 10^n.
fn pow10(n: u32) -> BigInt {
    match POW10.get(n as usize) {
        Some(p) => BigInt::from(*p),
        None => BigInt::from(10u32).pow(n),
    }
}

/// Decimal digits of the magnitude; 1 for zero.
fn big_digits(value: &BigInt) -> u64 {
    let bits = value.bits();
    if bits == 0 {
        return 1;
    }
    // floor(log10) is one of two candidates; the comparison decides.
    let estimate = ((bits - 1) as f64 * std::f64::consts::LOG10_2) as u32;
    let magnitude = value.magnitude();
    let mut digits = estimate;
    while magnitude >= pow10(digits).magnitude() {
        digits += 1;
    }
    digits.into()
}

/// Whether the magnitude has at least that many decimal digits.
fn big_digits_at_least(value: &BigInt, digits: u64) -> bool {
    // 3.3219 bits per digit: far from the limit, no exact count is needed.
    let bits = value.bits() as f64;
    let limit = (digits - 1) as f64 * std::f64::consts::LOG2_10;
    if bits < limit - 2.0 {
        false
    } else if bits > limit + 4.0 {
        true
    } else {
        big_digits(value) >= digits
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Small { unscaled: a, scale: s }, Small { unscaled: b, scale: t }) = (&self.0, &other.0) {
            if s == t {
                return a.cmp(b);
            }
            let (diff, smaller) = if s < t { (t - s, a) } else { (s - t, b) };
            if let Some(up) = POW10.get(usize::from(diff)).and_then(|p| smaller.checked_mul(*p)) {
                return if s < t { up.cmp(b) } else { a.cmp(&up) };
            }
        }
        let rank = self.magnitude_rank().cmp(&other.magnitude_rank());
        let (Some(a), Some(b)) = (self.unscaled(), other.unscaled()) else { return rank };
        if a.sign() != b.sign() || a.sign() == Sign::NoSign {
            return a.sign().cmp(&b.sign());
        }
        let (s, t) = (self.scale(), other.scale());
        match s.cmp(&t) {
            Ordering::Less => (a * pow10(t - s)).cmp(&b),
            Ordering::Equal => a.cmp(&b),
            Ordering::Greater => a.cmp(&(b * pow10(s - t))),
        }
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl Hash for Numeric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.normalized().0 {
            Small { unscaled, scale } => (unscaled, scale).hash(state),
            Big(b) => b.hash(state),
            NaN => 2u8.hash(state),
            PositiveInfinity => 1u8.hash(state),
            NegativeInfinity => 0u8.hash(state),
        }
    }
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Self {
        Self::from_i128(value.into(), 0)
    }
}
