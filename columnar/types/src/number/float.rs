//! Floating-point numbers as text.

use std::fmt::Write as _;

use num_bigint::BigUint;

use super::{POW10_64, is_space_char, write_padded, write_uint};

/// Why a text is no floating-point number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatError {
    /// It is not written like one.
    Syntax,
    /// It rounds to infinity or to zero although it is neither.
    Range,
}

macro_rules! float_text {
    ($float:ty, $parse:ident, $write:ident, $digits:literal, $bits:ty, $mantissa_bits:literal) => {
        /// A number as C's `strtod` and PostgreSQL read it, white space around it allowed.
        pub fn $parse(text: &str) -> Result<$float, FloatError> {
            let t = text.trim_matches(is_space_char);
            let (sign, body) = match t.as_bytes() {
                [b'-', ..] => (-1.0, &t[1..]),
                [b'+', ..] => (1.0, &t[1..]),
                _ => (1.0, t),
            };
            if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                return match body {
                    b if b.eq_ignore_ascii_case("nan") => Ok(<$float>::NAN),
                    b if b.eq_ignore_ascii_case("infinity") || b.eq_ignore_ascii_case("inf") => {
                        Ok(sign * <$float>::INFINITY)
                    }
                    _ => Err(FloatError::Syntax),
                };
            }
            let value: $float = body.parse().map_err(|_| FloatError::Syntax)?;
            let is_zero = || {
                let mantissa = body.split(['e', 'E']).next().unwrap_or(body);
                !mantissa.bytes().any(|c| matches!(c, b'1'..=b'9'))
            };
            if value.is_infinite() || (value == 0.0 && !is_zero()) {
                return Err(FloatError::Range);
            }
            Ok(sign * value)
        }

        /// Appends a number as PostgreSQL prints it: the shortest digits that read back as the same number when
        /// `extra_float_digits` is above 0, otherwise that many digits more or fewer than are always exact.
        pub fn $write(value: $float, extra_float_digits: i32, out: &mut Vec<u8>) {
            if value.is_nan() {
                return out.extend_from_slice(b"NaN");
            }
            if value.is_infinite() {
                return out.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
            }
            let mut text = FixedText { buf: [0; 64], len: 0 };
            if extra_float_digits > 0 {
                // A whole number of few digits is its own shortest form.
                if value.fract() == 0.0
                    && value.abs() < 1e15
                    && (value.abs() as u64) < POW10_64[$digits] as u64
                {
                    if value.is_sign_negative() {
                        out.push(b'-');
                    }
                    return write_uint(value.abs() as u64, out);
                }
                _ = write!(text, "{value:e}");
                if value.to_bits() & 1 == 0 && MAYBE_MIDPOINT.contains(&value.abs().into()) {
                    let bits = value.to_bits();
                    let fraction = (bits & ((1 << $mantissa_bits) - 1)) as u64;
                    let exponent =
                        (bits >> $mantissa_bits) as i32 & ((1 << (<$bits>::BITS - 1 - $mantissa_bits)) - 1);
                    let bias = (1 << (<$bits>::BITS - 2 - $mantissa_bits)) - 1;
                    let float = Binary { fraction, exponent: exponent - bias, bits: $mantissa_bits };
                    // PostgreSQL does not take digits exactly half way to the next number, although they read
                    // back as this one.
                    let mut digits = text
                        .bytes()
                        .iter()
                        .take_while(|c| **c != b'e')
                        .filter(|c| c.is_ascii_digit())
                        .count();
                    while float.is_midpoint(text.bytes()) && digits < 17 {
                        text.len = 0;
                        _ = write!(text, "{value:.digits$e}");
                        digits += 1;
                    }
                }
            } else {
                let digits = ($digits + extra_float_digits).max(1) as usize;
                _ = write!(text, "{value:.*e}", digits - 1);
            }
            layout(
                text.bytes(),
                if extra_float_digits > 0 { $digits } else { ($digits + extra_float_digits).max(1) },
                out,
            );
        }
    };
}

float_text!(f64, parse_f64, write_f64, 15, u64, 52);
float_text!(f32, parse_f32, write_f32, 6, u32, 23);

/// Where digits of a float's precision can lie exactly between two floats: below, the point would need more
/// digits after it, above, more before it.
const MAYBE_MIDPOINT: std::ops::Range<f64> = 1048576.0..1e39;

/// A normal float taken apart: `(2^bits + fraction) * 2^(exponent - bits)`.
struct Binary {
    fraction: u64,
    exponent: i32,
    bits: i32,
}

impl Binary {
    /// Whether `d.ddde±x` is exactly half way to a neighbour.
    fn is_midpoint(&self, text: &[u8]) -> bool {
        let at = memchr::memchr(b'e', text).unwrap_or(text.len());
        let exponent =
            std::str::from_utf8(&text[at..]).ok().and_then(|t| t.get(1..)?.parse::<i32>().ok()).unwrap_or(0);
        let digits: Vec<u8> = text[..at].iter().copied().filter(u8::is_ascii_digit).collect();
        let shift = exponent - (digits.len() as i32 - 1);
        let decimal = BigUint::parse_bytes(&digits, 10).unwrap_or_default();
        // In quarters of the last bit; below a power of two the gap is half as wide.
        let quarters = ((1 << self.bits) + self.fraction) * 4;
        let below = if self.fraction == 0 { quarters - 1 } else { quarters - 2 };
        let scale = self.exponent - self.bits - 2;
        let power = |base: u32, n: i32| BigUint::from(base).pow(n.max(0) as u32);
        let left = decimal * power(10, shift) * power(2, -scale);
        [quarters + 2, below]
            .into_iter()
            .any(|m| left == BigUint::from(m) * power(2, scale) * power(10, -shift))
    }
}

/// Turns Rust's `1.5e-7` into C's layout for that many significant digits: plain for exponents from -4 to below
/// `digits`, otherwise with an exponent of at least two digits; no zeros at the end.
fn layout(text: &[u8], digits: i32, out: &mut Vec<u8>) {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if negative {
        out.push(b'-');
    }
    let at = memchr::memchr(b'e', text).unwrap_or(text.len());
    let exponent =
        std::str::from_utf8(&text[at..]).ok().and_then(|t| t.get(1..)?.parse::<i32>().ok()).unwrap_or(0);
    let mut mantissa = [0u8; 32];
    let mut n = 0;
    for &c in text[..at].iter().filter(|c| **c != b'.').take(mantissa.len()) {
        mantissa[n] = c;
        n += 1;
    }
    while n > 1 && mantissa[n - 1] == b'0' {
        n -= 1;
    }
    let mantissa = &mantissa[..n];
    if exponent < -4 || exponent >= digits {
        out.push(mantissa[0]);
        if n > 1 {
            out.push(b'.');
            out.extend_from_slice(&mantissa[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        return write_padded(exponent.unsigned_abs().into(), 2, out);
    }
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        return out.extend_from_slice(mantissa);
    }
    let whole = exponent as usize + 1;
    if n <= whole {
        out.extend_from_slice(mantissa);
        out.resize(out.len() + whole - n, b'0');
    } else {
        out.extend_from_slice(&mantissa[..whole]);
        out.push(b'.');
        out.extend_from_slice(&mantissa[whole..]);
    }
}

/// A short text on the stack.
struct FixedText {
    buf: [u8; 64],
    len: usize,
}

impl FixedText {
    fn bytes(&self) -> &[u8] {
        &self.buf[..self.len]
    }
}

impl std::fmt::Write for FixedText {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        let to = self.buf.get_mut(self.len..self.len + s.len()).ok_or(std::fmt::Error)?;
        to.copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}
