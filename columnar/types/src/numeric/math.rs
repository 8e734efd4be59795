//! Roots, exponentials, logarithms and powers, rounded at PostgreSQL's result scales.
//!
//! They are computed in binary fixed point with guard bits far beyond the last digit shown.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::arith::{
    DEC_DIGITS, MAX_DISPLAY_SCALE, MIN_SIGNIFICANT_DIGITS, big_div_half_away, division_by_zero, result_scale,
};
use super::{MAX_WHOLE_DIGITS, Numeric, overflow, pow10};
use crate::{Error, Result, SqlState};

/// log10(e) to the 15 digits that PostgreSQL's estimates use.
const LOG10_E: f64 = 434_294_481_903_252.0 / 1e15;
/// Exponentials beyond `e^±6000` overflow or vanish.
const MAX_EXP_ARGUMENT: f64 = 6000.0;
/// Bits computed beyond those that the result shows.
const GUARD_BITS: u32 = 64;

/// Bits that hold that many decimal digits.
fn bits_for(digits: u32) -> u32 {
    (f64::from(digits) * std::f64::consts::LOG2_10) as u32 + 1
}

/// A finite number in binary fixed point with `bits` bits after the point.
fn to_fixed(value: &Numeric, bits: u32) -> BigInt {
    let unscaled = value.unscaled().unwrap_or_default() << bits;
    match value.scale() {
        0 => unscaled,
        scale => big_div_half_away(&unscaled, &pow10(scale)),
    }
}

/// `mantissa / 2^bits` rounded to a scale.
fn from_fixed(mantissa: &BigInt, bits: u32, scale: u32) -> Result<Numeric> {
    Numeric::from_bigint(big_div_half_away(&(mantissa * pow10(scale)), &(BigInt::one() << bits)), scale)
}

/// `atanh(1/n)` in fixed point.
fn atanh_inverse(n: u32, bits: u32) -> BigInt {
    let square = n * n;
    let mut power = (BigInt::one() << bits) / n;
    let mut sum = power.clone();
    let mut divisor = 1u32;
    while !power.is_zero() {
        power /= square;
        divisor += 2;
        sum += &power / divisor;
    }
    sum
}

/// ln 2 in fixed point, by Machin-like sums of atanh.
fn ln2(bits: u32) -> BigInt {
    let wide = bits + 16;
    let sum = atanh_inverse(26, wide) * 18 - atanh_inverse(4801, wide) * 2 + atanh_inverse(8749, wide) * 8;
    sum >> 16
}

/// e^x for x in fixed point; the result is `(mantissa, exponent)`: mantissa / 2^bits * 2^exponent.
fn exp_fixed(x: &BigInt, bits: u32) -> (BigInt, i64) {
    const HALVINGS: u32 = 8;
    let ln2 = ln2(bits);
    let exponent = (x / &ln2).to_i64().unwrap_or(0);
    let wide = bits + 2 * HALVINGS;
    let rest: BigInt = (x - &ln2 * exponent) << (2 * HALVINGS - HALVINGS);
    // Taylor series of the rest divided by 2^HALVINGS, then as many squarings.
    let one = BigInt::one() << wide;
    let mut term = one.clone();
    let mut sum = one;
    let mut n = 1u32;
    loop {
        term = ((term * &rest) >> wide) / n;
        // A shift rounds a negative term to -1, never to 0.
        if term.magnitude() <= BigInt::one().magnitude() {
            break;
        }
        sum += &term;
        n += 1;
    }
    for _ in 0..HALVINGS {
        sum = (&sum * &sum) >> wide;
    }
    (sum >> (2 * HALVINGS), exponent)
}

/// ln of a positive number, in fixed point.
fn ln_fixed(value: &Numeric, bits: u32) -> BigInt {
    const ROOTS: u32 = 8;
    let wide = bits + 2 * ROOTS + 32;
    // value = m * 2^exponent, m between 1/2 and 2: however small the value is, m keeps all its bits.
    let unscaled = value.unscaled().unwrap_or_default();
    let divisor = pow10(value.scale());
    let exponent = unscaled.bits() as i64 - divisor.bits() as i64;
    let shift = i64::from(wide) - exponent;
    let mut m = if shift >= 0 { (unscaled << shift) / divisor } else { unscaled / (divisor << -shift) };
    // Close to 1 the series converges fast: ln m = 2^ROOTS ln m^(1/2^ROOTS).
    for _ in 0..ROOTS {
        m = (m << wide).sqrt();
    }
    let one = BigInt::one() << wide;
    let z: BigInt = ((&m - &one) << wide) / (&m + &one);
    let square = (&z * &z) >> wide;
    let mut power = z.clone();
    let mut sum = z;
    let mut divisor = 1u32;
    loop {
        power = (power * &square) >> wide;
        if power.magnitude() <= BigInt::one().magnitude() {
            break;
        }
        divisor += 2;
        sum += &power / divisor;
    }
    let mantissa = (sum << (ROOTS + 1)) >> (wide - bits);
    mantissa + ln2(bits + 32) * exponent / (BigInt::one() << 32)
}

fn domain(state: SqlState, message: &str) -> Error {
    Error::new(state, message)
}

impl Numeric {
    /// Square root; 2201F for negative numbers.
    pub fn sqrt(&self) -> Result<Self> {
        if self.is_nan() {
            return Ok(Self::NAN);
        }
        if self.signum() < 0 {
            let message = "cannot take square root of a negative number";
            return Err(domain(SqlState::INVALID_ARGUMENT_FOR_POWER, message));
        }
        let Some(unscaled) = self.unscaled() else { return Ok(self.clone()) };
        let (weight, _) = self.first_base_digit();
        let scale = result_scale((weight + 1) * DEC_DIGITS / 2 - 1, self.scale()) as u32;
        // The root at one digit more, cut: the last digit decides the rounding, and a cut root never rounds up
        // to a half that it does not have.
        let shift = 2 * (scale as i32 + 1) - self.scale() as i32;
        let shifted =
            if shift >= 0 { unscaled * pow10(shift as u32) } else { unscaled / pow10(shift.unsigned_abs()) };
        Self::from_bigint(big_div_half_away(&shifted.sqrt(), &BigInt::from(10)), scale)
    }

    /// e raised to it; 22003.
    pub fn exp(&self) -> Result<Self> {
        if self.is_nan() {
            return Ok(Self::NAN);
        }
        if self.is_infinite() {
            return Ok(if self.signum() > 0 { Self::INFINITY } else { Self::ZERO });
        }
        let argument = self.to_f64();
        let weight = (argument * LOG10_E).clamp(-2000.0, 2000.0) as i32;
        let scale = result_scale(weight, self.scale());
        self.exp_at_scale(argument, scale)
    }

    /// e raised to it, rounded to a scale.
    fn exp_at_scale(&self, argument: f64, scale: i32) -> Result<Self> {
        if argument.abs() >= MAX_EXP_ARGUMENT {
            return if argument > 0.0 { Err(overflow()) } else { Ok(Self::from_i128(0, scale as u32)) };
        }
        let digits = scale + (argument * LOG10_E).max(0.0) as i32 + 1;
        let bits = bits_for(digits as u32) + GUARD_BITS;
        exp_to_numeric(&to_fixed(self, bits), bits, scale as u32)
    }

    /// Estimated decimal weight of its natural logarithm, by PostgreSQL's rule; it sets result scales.
    fn ln_weight(&self) -> i32 {
        let near_one = *self >= Self::from_i128(9, 1) && *self <= Self::from_i128(11, 1);
        if near_one {
            let Ok(x) = self.sub(&Self::from_i128(1, 0)) else { return 0 };
            if x.is_zero() {
                return 0;
            }
            let (weight, first) = x.first_base_digit();
            return weight * DEC_DIGITS + first.ilog10() as i32;
        }
        let Some(top) = self.decimal_weight() else { return 0 };
        // The first two base-10000 digits.
        let count = top.rem_euclid(DEC_DIGITS) + 1 + DEC_DIGITS;
        let exponent = f64::from(top - count + 1);
        let ln = (self.leading_digits(count as u32) as f64).ln() + exponent * std::f64::consts::LN_10;
        ln.abs().log10() as i32
    }

    /// 2201E unless positive.
    fn check_logarithm(&self) -> Result<()> {
        let message = match self.signum() {
            0 => "cannot take logarithm of zero",
            -1 => "cannot take logarithm of a negative number",
            _ => return Ok(()),
        };
        Err(domain(SqlState::INVALID_ARGUMENT_FOR_LOG, message))
    }

    /// Natural logarithm; 2201E for zero and negative numbers.
    pub fn ln(&self) -> Result<Self> {
        if self.is_nan() {
            return Ok(Self::NAN);
        }
        self.check_logarithm()?;
        if self.is_infinite() {
            return Ok(Self::INFINITY);
        }
        let scale = result_scale(self.ln_weight(), self.scale()) as u32;
        let bits = bits_for(scale) + GUARD_BITS;
        from_fixed(&ln_fixed(self, bits), bits, scale)
    }

    /// Logarithm to base 10; 2201E for zero and negative numbers.
    pub fn log10(&self) -> Result<Self> {
        self.log(&Self::from_i128(10, 0))
    }

    /// Logarithm to any base; 2201E for zero and negative numbers on either side, 22012 for base 1.
    pub fn log(&self, base: &Self) -> Result<Self> {
        if self.is_nan() || base.is_nan() {
            return Ok(Self::NAN);
        }
        let infinite = base.is_infinite() || self.is_infinite();
        for operand in if infinite && base.is_zero() { [self, base] } else { [base, self] } {
            operand.check_logarithm()?;
        }
        match (base.is_infinite(), self.is_infinite()) {
            (true, true) => return Ok(Self::NAN),
            (true, false) => return Ok(Self::ZERO),
            (false, true) => return Ok(Self::INFINITY),
            (false, false) => (),
        }
        let base_weight = base.ln_weight();
        let weight = self.ln_weight() - base_weight;
        let scale = result_scale(weight, self.scale().max(base.scale())) as u32;
        // The quotient's error is the logarithms' times the quotient and divided by the base's logarithm.
        let extra = weight.unsigned_abs() + base_weight.unsigned_abs();
        let bits = bits_for(scale + 2 * extra) + GUARD_BITS;
        let by = ln_fixed(base, bits);
        if by.is_zero() || *base == Self::from_i128(1, 0) {
            return Err(division_by_zero());
        }
        let numerator = ln_fixed(self, bits) * pow10(scale);
        let (numerator, by) = if by.is_negative() { (-numerator, -by) } else { (numerator, by) };
        Self::from_bigint(big_div_half_away(&numerator, &by), scale)
    }

    /// It raised to a power; 2201F, 22003.
    pub fn power(&self, exponent: &Self) -> Result<Self> {
        if let Some(special) = self.special_power(exponent) {
            return special;
        }
        if self.is_zero() && exponent.signum() < 0 {
            let message = "zero raised to a negative power is undefined";
            return Err(domain(SqlState::INVALID_ARGUMENT_FOR_POWER, message));
        }
        let whole = exponent.trunc(0);
        let is_whole = whole == *exponent;
        if self.signum() < 0 && !is_whole {
            let message = "a negative number raised to a non-integer power yields a complex result";
            return Err(domain(SqlState::INVALID_ARGUMENT_FOR_POWER, message));
        }
        if is_whole
            && let Some((n, _)) = whole.as_i128()
            && let Ok(n) = i32::try_from(n)
        {
            return self.power_whole(n);
        }
        if self.is_zero() {
            return Ok(Self::from_i128(0, MIN_SIGNIFICANT_DIGITS as u32));
        }
        let odd = is_whole && !whole.rem(&Self::from_i128(2, 0))?.is_zero();
        let result = self.abs().power_real(exponent, self.scale().max(exponent.scale()))?;
        Ok(if odd && self.signum() < 0 { result.neg() } else { result })
    }

    /// `exp(exponent * ln(self))` for a positive base.
    fn power_real(&self, exponent: &Self, operand_scale: u32) -> Result<Self> {
        let exponent_digits = exponent.decimal_weight().unwrap_or(0).unsigned_abs();
        let argument = |bits: u32| {
            let wide = bits + bits_for(exponent_digits);
            let product = ln_fixed(self, wide) * exponent.unscaled().unwrap_or_default();
            big_div_half_away(&product, &pow10(exponent.scale())) >> (wide - bits)
        };
        // The scale follows from an estimate to eight digits, as PostgreSQL makes it.
        let ln_scale = (8 - self.ln_weight()).clamp(0, MAX_DISPLAY_SCALE);
        let ln_bits = bits_for(ln_scale as u32) + GUARD_BITS;
        let ln = from_fixed(&ln_fixed(self, ln_bits), ln_bits, ln_scale as u32)?;
        let estimate = ln.mul(exponent)?.round(ln_scale).to_f64();
        if estimate.abs() > MAX_EXP_ARGUMENT * 1.003 {
            return if estimate > 0.0 {
                Err(overflow())
            } else {
                Ok(Self::from_i128(0, MAX_DISPLAY_SCALE as u32))
            };
        }
        let weight = (estimate * LOG10_E) as i32;
        let scale = result_scale(weight, operand_scale) as u32;
        let bits = bits_for((scale as i32 + weight.max(0) + 1) as u32) + GUARD_BITS;
        exp_to_numeric(&argument(bits), bits, scale)
    }

    /// PostgreSQL 15 gives whole powers 16 digits after the point, however large or small they are.
    fn power_whole(&self, n: i32) -> Result<Self> {
        let scale = result_scale(0, self.scale());
        match n {
            0 => return Ok(Self::from_i128(1, 0).round(scale)),
            1 => return Ok(self.round(scale)),
            -1 => return Self::from_i128(1, 0).div_at_scale(self, scale as u32),
            2 => return Ok(self.mul(self)?.round(scale)),
            _ => (),
        }
        let Some(top) = self.decimal_weight() else { return Ok(Self::from_i128(0, scale as u32)) };
        // log10 of the result, from the first 16 digits or so.
        let count = top.rem_euclid(DEC_DIGITS) + 1 + 3 * DEC_DIGITS;
        let log = (self.leading_digits(count as u32) as f64).log10() + f64::from(top - count + 1);
        let estimate = f64::from(n) * log;
        if estimate > MAX_WHOLE_DIGITS as f64 {
            return Err(overflow());
        }
        if estimate + 1.0 < -f64::from(scale) {
            return Ok(Self::from_i128(0, scale as u32));
        }
        // Digits that the result needs, and those that the squarings may lose.
        let needed = (scale + estimate as i32).max(0) as u32 + 24 + n.unsigned_abs().ilog10();
        let mut base = Scaled { digits: self.unscaled().unwrap_or_default(), scale: i64::from(self.scale()) };
        let mut rest = n.unsigned_abs();
        let mut product = Scaled { digits: BigInt::one(), scale: 0 };
        while rest > 0 {
            if rest & 1 == 1 {
                product = product.times(&base, needed);
            }
            rest >>= 1;
            if rest > 0 {
                base = base.times(&base, needed);
            }
        }
        product.rounded(n < 0, scale as u32)
    }

    /// Powers with NaN or infinity on either side.
    fn special_power(&self, exponent: &Self) -> Option<Result<Self>> {
        let one = Self::from_i128(1, 0);
        if self.is_finite() && exponent.is_finite() {
            return None;
        }
        if self.is_nan() || exponent.is_nan() {
            let is_one = *self == one || exponent.is_zero();
            return Some(Ok(if is_one { one } else { Self::NAN }));
        }
        if *self == one || exponent.is_zero() {
            return Some(Ok(one));
        }
        if self.is_zero() && exponent.signum() < 0 {
            let message = "zero raised to a negative power is undefined";
            return Some(Err(domain(SqlState::INVALID_ARGUMENT_FOR_POWER, message)));
        }
        if self.is_finite() {
            // To an infinite power: towards 0, 1 or infinity by the magnitude.
            let magnitude = self.abs();
            return Some(Ok(match magnitude.cmp(&one) {
                std::cmp::Ordering::Equal => one,
                order => {
                    let grows = (order == std::cmp::Ordering::Greater) == (exponent.signum() > 0);
                    if grows { Self::INFINITY } else { Self::ZERO }
                }
            }));
        }
        if self.signum() > 0 {
            return Some(Ok(if exponent.signum() > 0 { Self::INFINITY } else { Self::ZERO }));
        }
        // -infinity: the exponent's parity decides the sign.
        if exponent.is_infinite() {
            return Some(Ok(if exponent.signum() > 0 { Self::INFINITY } else { Self::ZERO }));
        }
        if exponent.trunc(0) != *exponent {
            let message = "a negative number raised to a non-integer power yields a complex result";
            return Some(Err(domain(SqlState::INVALID_ARGUMENT_FOR_POWER, message)));
        }
        if exponent.signum() < 0 {
            return Some(Ok(Self::ZERO));
        }
        let odd = exponent.rem(&Self::from_i128(2, 0)).is_ok_and(|r| !r.is_zero());
        Some(Ok(if odd { Self::NEG_INFINITY } else { Self::INFINITY }))
    }
}

fn exp_to_numeric(x: &BigInt, bits: u32, scale: u32) -> Result<Numeric> {
    let (mantissa, exponent) = exp_fixed(x, bits);
    match i64::from(bits) - exponent {
        shift @ 0.. => from_fixed(&mantissa, shift as u32, scale),
        shift => from_fixed(&(mantissa << -shift), 0, scale),
    }
}

/// A number that keeps a given count of significant digits through many multiplications.
struct Scaled {
    digits: BigInt,
    scale: i64,
}

impl Scaled {
    fn times(&self, other: &Self, significant: u32) -> Self {
        let mut digits = &self.digits * &other.digits;
        let mut scale = self.scale + other.scale;
        if digits.bits() > u64::from(bits_for(significant)) + 64 {
            let excess = (super::big_digits(&digits) as u32).saturating_sub(significant);
            digits /= pow10(excess);
            scale -= i64::from(excess);
        }
        Self { digits, scale }
    }

    /// The number, or one over it, rounded to a scale.
    fn rounded(&self, inverse: bool, scale: u32) -> Result<Numeric> {
        let (mut numerator, mut denominator) = (self.digits.clone(), BigInt::one());
        let shift = i64::from(scale) + if inverse { self.scale } else { -self.scale };
        if inverse {
            std::mem::swap(&mut numerator, &mut denominator);
        }
        if shift.unsigned_abs() > 4 * MAX_WHOLE_DIGITS {
            return if shift > 0 { Err(overflow()) } else { Ok(Numeric::from_i128(0, scale)) };
        }
        if shift >= 0 {
            numerator *= pow10(shift as u32);
        } else {
            denominator *= pow10(shift.unsigned_abs() as u32);
        }
        if denominator.is_negative() {
            (numerator, denominator) = (-numerator, -denominator);
        }
        Numeric::from_bigint(big_div_half_away(&numerator, &denominator), scale)
    }
}
