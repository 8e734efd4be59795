//! Sums, products, quotients and rounding, with PostgreSQL's result scales.

use num_bigint::BigInt;
use num_traits::{Signed, Zero};

use super::{MAX_SCALE, Numeric, Value, overflow, pow10};
use crate::number::POW10;
use crate::{Error, Result, SqlState};

/// Significant digits that a quotient has at least.
pub(super) const MIN_SIGNIFICANT_DIGITS: i32 = 16;
/// Digits after the point that a quotient, root, power or logarithm has at most.
pub(super) const MAX_DISPLAY_SCALE: i32 = 1000;
/// Digits after the point that rounding may be asked for, and before it.
const MAX_ROUND_SCALE: i32 = 2000;
/// Decimal digits per digit of base 10000, in which PostgreSQL's scale rules count.
pub(super) const DEC_DIGITS: i32 = 4;

/// 22012.
pub(super) fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// `value / divisor` rounded half away from zero; the divisor is positive.
fn div_half_away(value: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (value / divisor, value % divisor);
    if rest.unsigned_abs() >= (divisor - rest.abs()).unsigned_abs() {
        quotient + value.signum()
    } else {
        quotient
    }
}

/// As [`div_half_away`].
pub(super) fn big_div_half_away(value: &BigInt, divisor: &BigInt) -> BigInt {
    let quotient = value / divisor;
    let rest: BigInt = value - &quotient * divisor;
    if rest.magnitude() * 2u32 >= *divisor.magnitude() {
        if value.is_negative() { quotient - 1 } else { quotient + 1 }
    } else {
        quotient
    }
}

/// The scale at which a result with its first significant digit at `10^weight` has enough digits, and no fewer
/// than its operands show.
pub(super) fn result_scale(weight: i32, operand_scale: u32) -> i32 {
    (MIN_SIGNIFICANT_DIGITS - weight).max(operand_scale as i32).clamp(0, MAX_DISPLAY_SCALE)
}

/// Rounding or cutting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excess {
    HalfAway,
    Cut,
}

impl Numeric {
    /// Position of the first decimal digit: 0 for 1 to 9, -1 for 0.1 to 0.9; `None` for zero and what is no number.
    pub(super) fn decimal_weight(&self) -> Option<i32> {
        match &self.0 {
            Value::Small { unscaled: 0, .. } => None,
            Value::Small { unscaled, scale } => {
                Some(unscaled.unsigned_abs().ilog10() as i32 - i32::from(*scale))
            }
            Value::Big(b) => Some(super::big_digits(&b.0) as i32 - 1 - i32::from(b.1)),
            _ => None,
        }
    }

    /// Weight and value of the first digit in base 10000; both 0 for zero.
    pub(super) fn first_base_digit(&self) -> (i32, u32) {
        let Some(top) = self.decimal_weight() else { return (0, 0) };
        let weight = top.div_euclid(DEC_DIGITS);
        (weight, self.leading_digits((top.rem_euclid(DEC_DIGITS) + 1) as u32) as u32)
    }

    /// The first `count` decimal digits (at most 18) as a number, filled up with zeros.
    pub(super) fn leading_digits(&self, count: u32) -> u64 {
        let shifted = |have: u32, unscaled: i128| {
            let magnitude = unscaled.unsigned_abs();
            match have.checked_sub(count) {
                Some(excess) => (magnitude / POW10[excess as usize] as u128) as u64,
                None => magnitude as u64 * POW10[(count - have) as usize] as u64,
            }
        };
        match &self.0 {
            Value::Small { unscaled: 0, .. } => 0,
            Value::Small { unscaled, .. } => shifted(unscaled.unsigned_abs().ilog10() + 1, *unscaled),
            Value::Big(b) => {
                let excess = super::big_digits(&b.0) as u32 - count;
                let top = b.0.magnitude() / pow10(excess).magnitude();
                top.iter_u64_digits().next().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Both operands' digits at their common scale.
    fn aligned(&self, other: &Self) -> Option<(BigInt, BigInt, u32)> {
        let (a, b) = (self.unscaled()?, other.unscaled()?);
        let (s, t) = (self.scale(), other.scale());
        Some(match s.cmp(&t) {
            std::cmp::Ordering::Less => (a * pow10(t - s), b, t),
            std::cmp::Ordering::Equal => (a, b, s),
            std::cmp::Ordering::Greater => (a, b * pow10(s - t), s),
        })
    }

    /// [`Numeric::aligned`] within 128 bits.
    fn aligned_small(&self, other: &Self) -> Option<(i128, i128, u16)> {
        let (Value::Small { unscaled: a, scale: s }, Value::Small { unscaled: b, scale: t }) =
            (&self.0, &other.0)
        else {
            return None;
        };
        if s == t {
            return Some((*a, *b, *s));
        }
        if s < t {
            Some((a.checked_mul(*POW10.get(usize::from(t - s))?)?, *b, *t))
        } else {
            Some((*a, b.checked_mul(*POW10.get(usize::from(s - t))?)?, *s))
        }
    }

    /// The sum, at the larger scale; 22003.
    pub fn add(&self, other: &Self) -> Result<Self> {
        if let Some((a, b, scale)) = self.aligned_small(other)
            && let Some(unscaled) = a.checked_add(b)
        {
            return Ok(Self(Value::Small { unscaled, scale }));
        }
        match self.aligned(other) {
            Some((a, b, scale)) => Self::from_bigint(a + b, scale),
            None if self.is_nan() || other.is_nan() => Ok(Self::NAN),
            None if self.is_finite() => Ok(other.clone()),
            None if other.is_finite() || self.signum() == other.signum() => Ok(self.clone()),
            None => Ok(Self::NAN),
        }
    }

    /// The difference, at the larger scale; 22003.
    pub fn sub(&self, other: &Self) -> Result<Self> {
        if let Some((a, b, scale)) = self.aligned_small(other)
            && let Some(unscaled) = a.checked_sub(b)
        {
            return Ok(Self(Value::Small { unscaled, scale }));
        }
        self.add(&other.neg())
    }

    /// The product, exact, at the sum of the scales; 22003.
    pub fn mul(&self, other: &Self) -> Result<Self> {
        if let (Value::Small { unscaled: a, scale: s }, Value::Small { unscaled: b, scale: t }) =
            (&self.0, &other.0)
            && let Some(unscaled) = a.checked_mul(*b)
            && u32::from(*s) + u32::from(*t) <= MAX_SCALE
        {
            return Ok(Self(Value::Small { unscaled, scale: s + t }));
        }
        if let (Some(a), Some(b)) = (self.unscaled(), other.unscaled()) {
            let scale = self.scale() + other.scale();
            let product = a * b;
            return match scale.checked_sub(MAX_SCALE) {
                Some(excess) if excess > 0 => {
                    Self::from_bigint(big_div_half_away(&product, &pow10(excess)), MAX_SCALE)
                }
                _ => Self::from_bigint(product, scale),
            };
        }
        if self.is_nan() || other.is_nan() || self.is_zero() || other.is_zero() {
            return Ok(Self::NAN);
        }
        Ok(if self.signum() == other.signum() { Self::INFINITY } else { Self::NEG_INFINITY })
    }

    /// The scale of a quotient: at least 16 significant digits, counted in PostgreSQL's base-10000 digits.
    fn quotient_scale(&self, divisor: &Self) -> i32 {
        let (weight, first) = self.first_base_digit();
        let (divisor_weight, divisor_first) = divisor.first_base_digit();
        let quotient_weight = weight - divisor_weight - i32::from(first <= divisor_first);
        result_scale(quotient_weight * DEC_DIGITS, self.scale().max(divisor.scale()))
    }

    /// The quotient, rounded at [`Numeric::quotient_scale`]; 22012, 22003.
    pub fn div(&self, divisor: &Self) -> Result<Self> {
        if let Some(special) = self.special_quotient(divisor) {
            return special;
        }
        self.div_at_scale(divisor, self.quotient_scale(divisor) as u32)
    }

    /// The quotient of finite numbers rounded to a scale.
    pub(super) fn div_at_scale(&self, divisor: &Self, scale: u32) -> Result<Self> {
        if divisor.is_zero() {
            return Err(division_by_zero());
        }
        // Both sides at one scale, and the dividend `scale` digits further.
        let shift = scale as i32 + divisor.scale() as i32 - self.scale() as i32;
        if let (Value::Small { unscaled: a, .. }, Value::Small { unscaled: b, .. }) = (&self.0, &divisor.0)
            && let Some(power) = usize::try_from(shift).ok().and_then(|s| POW10.get(s))
            && let Some(dividend) = a.checked_mul(*power)
            && let Some(by) = b.checked_abs()
            && let Some(quotient) = div_half_away(dividend, by).checked_mul(b.signum())
        {
            return Ok(Self::from_i128(quotient, scale));
        }
        let (Some(mut dividend), Some(mut by)) = (self.unscaled(), divisor.unscaled()) else {
            return Ok(Self::NAN);
        };
        if shift >= 0 {
            dividend *= pow10(shift as u32);
        } else {
            by *= pow10(shift.unsigned_abs());
        }
        if by.is_negative() {
            (dividend, by) = (-dividend, -by);
        }
        Self::from_bigint(big_div_half_away(&dividend, &by), scale)
    }

    /// Quotients with NaN or infinity on either side, and by zero.
    fn special_quotient(&self, divisor: &Self) -> Option<Result<Self>> {
        if self.is_nan() || divisor.is_nan() {
            return Some(Ok(Self::NAN));
        }
        if divisor.is_zero() {
            return Some(Err(division_by_zero()));
        }
        match (self.is_infinite(), divisor.is_infinite()) {
            (false, false) => None,
            (false, true) => Some(Ok(Self::ZERO)),
            (true, true) => Some(Ok(Self::NAN)),
            (true, false) if self.signum() == divisor.signum() => Some(Ok(Self::INFINITY)),
            (true, false) => Some(Ok(Self::NEG_INFINITY)),
        }
    }

    /// The quotient cut to a whole number; 22012.
    pub fn div_trunc(&self, divisor: &Self) -> Result<Self> {
        if let Some(special) = self.special_quotient(divisor) {
            return special;
        }
        if let Some((a, b, _)) = self.aligned_small(divisor)
            && let Some(quotient) = a.checked_div(b)
        {
            return Ok(Self::from_i128(quotient, 0));
        }
        match self.aligned(divisor) {
            Some((a, b, _)) => Self::from_bigint(a / b, 0),
            None => Ok(Self::NAN),
        }
    }

    /// The remainder, with the dividend's sign, at the larger scale; 22012.
    pub fn rem(&self, divisor: &Self) -> Result<Self> {
        if self.is_nan() || divisor.is_nan() {
            return Ok(Self::NAN);
        }
        if divisor.is_zero() {
            return Err(division_by_zero());
        }
        if self.is_infinite() {
            return Ok(Self::NAN);
        }
        if let Some((a, b, scale)) = self.aligned_small(divisor) {
            return Ok(Self(Value::Small { unscaled: a.checked_rem(b).unwrap_or(0), scale }));
        }
        match self.aligned(divisor) {
            Some((a, b, scale)) => Self::from_bigint(a % b, scale),
            None => Ok(self.clone()),
        }
    }

    /// The number with the other sign.
    #[must_use]
    pub fn neg(&self) -> Self {
        match &self.0 {
            Value::Small { unscaled, scale } => match unscaled.checked_neg() {
                Some(unscaled) => Self(Value::Small { unscaled, scale: *scale }),
                None => Self::from_big(-BigInt::from(*unscaled), (*scale).into()),
            },
            Value::Big(b) => Self::from_big(-&b.0, b.1.into()),
            Value::NaN => Self::NAN,
            Value::PositiveInfinity => Self::NEG_INFINITY,
            Value::NegativeInfinity => Self::INFINITY,
        }
    }

    /// The magnitude.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.signum() < 0 { self.neg() } else { self.clone() }
    }

    /// `sign()`: -1, 0, 1 or NaN.
    #[must_use]
    pub fn sign(&self) -> Self {
        if self.is_nan() { Self::NAN } else { Self::from_i128(self.signum().into(), 0) }
    }

    /// Rounded half away from zero to that many digits after the point (before it, when negative; from -2000 to
    /// 2000), and shown with as many.
    #[must_use]
    pub fn round(&self, scale: i32) -> Self {
        self.at_scale(scale.clamp(-MAX_ROUND_SCALE, MAX_ROUND_SCALE), Excess::HalfAway)
    }

    /// As [`Numeric::round`], but what does not fit is cut off.
    #[must_use]
    pub fn trunc(&self, scale: i32) -> Self {
        self.at_scale(scale.clamp(-MAX_ROUND_SCALE, MAX_ROUND_SCALE), Excess::Cut)
    }

    fn at_scale(&self, scale: i32, excess: Excess) -> Self {
        let shown = scale.max(0) as u32;
        let have = self.scale() as i32;
        if let Value::Small { unscaled, .. } = self.0 {
            let result = if scale >= have {
                POW10.get((scale - have) as usize).and_then(|p| unscaled.checked_mul(*p))
            } else {
                let whole = match (POW10.get((have - scale) as usize), excess) {
                    (Some(p), Excess::HalfAway) => div_half_away(unscaled, *p),
                    (Some(p), Excess::Cut) => unscaled / *p,
                    (None, _) => 0,
                };
                match scale {
                    0.. => Some(whole),
                    _ if whole == 0 => Some(0),
                    _ => POW10.get(scale.unsigned_abs() as usize).and_then(|p| whole.checked_mul(*p)),
                }
            };
            if let Some(unscaled) = result {
                return Self::from_i128(unscaled, shown);
            }
        }
        let Some(unscaled) = self.unscaled() else { return self.clone() };
        let result = if scale >= have {
            unscaled * pow10((scale - have) as u32)
        } else {
            let unit = pow10((have - scale) as u32);
            let whole = match excess {
                Excess::HalfAway => big_div_half_away(&unscaled, &unit),
                Excess::Cut => unscaled / unit,
            };
            if scale >= 0 { whole } else { whole * pow10(scale.unsigned_abs()) }
        };
        Self::from_big(result, shown)
    }

    /// The smallest whole number that is not below it.
    #[must_use]
    pub fn ceil(&self) -> Self {
        let whole = self.trunc(0);
        if whole < *self { whole.step(1) } else { whole }
    }

    /// The largest whole number that is not above it.
    #[must_use]
    pub fn floor(&self) -> Self {
        let whole = self.trunc(0);
        if whole > *self { whole.step(-1) } else { whole }
    }

    /// A whole number plus a small one.
    fn step(&self, by: i32) -> Self {
        match self.unscaled() {
            Some(value) => Self::from_big(value + by, 0),
            None => self.clone(),
        }
    }

    /// Whether the magnitude is below `10^exponent`; false for NaN and the infinities.
    pub fn is_below_pow10(&self, exponent: i32) -> bool {
        let limit = exponent + self.scale() as i32;
        match &self.0 {
            Value::Small { unscaled, .. } if limit < 0 => *unscaled == 0,
            Value::Small { unscaled, .. } => {
                POW10.get(limit as usize).is_none_or(|p| unscaled.unsigned_abs() < *p as u128)
            }
            Value::Big(b) => limit >= 0 && !super::big_digits_at_least(&b.0, limit as u64 + 1),
            _ => false,
        }
    }

    /// The number as an integer at a fixed scale, rounded half away from zero; 22003 when it takes more than
    /// 38 digits or is no number.
    pub fn rescale(&self, scale: u32) -> Result<i128> {
        if !self.is_finite() {
            return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow"));
        }
        match self.at_scale(scale as i32, Excess::HalfAway).0 {
            Value::Small { unscaled, .. } if unscaled.unsigned_abs() < POW10[38] as u128 => Ok(unscaled),
            _ => Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")),
        }
    }

    /// The greatest common divisor, never negative, at the larger scale; NaN when a side is no number.
    pub fn gcd(&self, other: &Self) -> Result<Self> {
        let Some((mut a, mut b, scale)) = self.aligned(other) else { return Ok(Self::NAN) };
        while !b.is_zero() {
            (a, b) = (b.clone(), a % b);
        }
        Self::from_bigint(a.abs(), scale)
    }

    /// The least common multiple, never negative, at the larger scale; NaN when a side is no number; 22003.
    pub fn lcm(&self, other: &Self) -> Result<Self> {
        let gcd = self.gcd(other)?;
        if gcd.is_nan() || gcd.is_zero() {
            return Ok(gcd);
        }
        let quotient = self.div_trunc(&gcd)?;
        let product = quotient.mul(other)?.abs();
        Ok(product.at_scale(gcd.scale() as i32, Excess::Cut))
    }

    /// `n!`; 22003 when n is negative or the result has too many digits.
    pub fn factorial(n: i64) -> Result<Self> {
        if n < 0 {
            let message = "factorial of a negative number is undefined";
            return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
        }
        // 32177! has 131,072 digits and is the last one that fits.
        if n > 32_177 {
            return Err(overflow());
        }
        let mut product = BigInt::from(1);
        for factor in 2..=n {
            product *= factor;
        }
        Self::from_bigint(product, 0)
    }
}
