//! Sums, products, quotients and rounding.

use num_bigint::BigInt;

use super::{Numeric, Value, pow10};
use crate::number::POW10;

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
fn big_div_half_away(value: &BigInt, divisor: &BigInt) -> BigInt {
    let quotient = value / divisor;
    let rest: BigInt = value - &quotient * divisor;
    if rest.magnitude() * 2u32 >= *divisor.magnitude() {
        if value.sign() == num_bigint::Sign::Minus { quotient - 1 } else { quotient + 1 }
    } else {
        quotient
    }
}

impl Numeric {
    /// Rounded half away from zero to that many digits after the point (before it, when negative), and shown with as
    /// many.
    #[must_use]
    pub fn round(&self, scale: i32) -> Self {
        let scale = scale.clamp(-(super::MAX_WHOLE_DIGITS as i32) - 1, super::MAX_SCALE as i32);
        let shown = scale.max(0) as u32;
        let have = self.scale() as i32;
        if let Value::Small { unscaled, .. } = self.0 {
            let result = if scale >= have {
                POW10.get((scale - have) as usize).and_then(|p| unscaled.checked_mul(*p))
            } else {
                match POW10.get((have - scale) as usize) {
                    Some(p) => {
                        let whole = div_half_away(unscaled, *p);
                        if scale >= 0 {
                            Some(whole)
                        } else {
                            POW10.get(-scale as usize).and_then(|p| whole.checked_mul(*p))
                        }
                    }
                    None => Some(0),
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
            let whole = big_div_half_away(&unscaled, &pow10((have - scale) as u32));
            if scale >= 0 { whole } else { whole * pow10(-scale as u32) }
        };
        Self::from_big(result, shown)
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
}
