//! Integers, floats and fixed-scale decimals as text: the byte loops that COPY and result rows run on.

use std::fmt::Write as _;

use num_bigint::BigUint;

/// Why a text is no integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntError {
    /// It is not written like one.
    Syntax,
    /// It does not fit 64 bits.
    Range,
}

/// Why a text is no floating-point number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatError {
    /// It is not written like one.
    Syntax,
    /// It rounds to infinity or to zero although it is neither.
    Range,
}

/// Why a text is no decimal of a fixed scale, as far as the fast path can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// Not a plain `123.45`, or more digits than the fast path takes: ask the general parser.
    Unusual,
    /// More digits before the point than the precision leaves room for.
    Overflow,
}

/// C's `isspace` for ASCII.
pub fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t'..=b'\r')
}

/// [`is_space`] for characters.
pub fn is_space_char(c: char) -> bool {
    c.is_ascii() && is_space(c as u8)
}

/// The text without the white space around it.
pub fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// An integer with an optional sign, white space around it allowed.
pub fn parse_int(text: &[u8]) -> Result<i64, IntError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    // Up to 18 digits cannot overflow, and need no look at anything else.
    if !digits.is_empty() && digits.len() <= 18 {
        let mut value = 0i64;
        let mut ok = true;
        for &c in digits {
            let d = c.wrapping_sub(b'0');
            ok &= d <= 9;
            value = value.wrapping_mul(10).wrapping_add(d.into());
        }
        if ok {
            return Ok(if negative { -value } else { value });
        }
    }
    parse_int_slow(trim(text))
}

#[cold]
fn parse_int_slow(text: &[u8]) -> Result<i64, IntError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(IntError::Syntax);
    }
    // Downwards, since there is one more negative number than there are positive ones.
    let mut value = 0i64;
    for &c in digits {
        let step = |v: i64| v.checked_mul(10)?.checked_sub((c - b'0').into());
        value = step(value).ok_or(IntError::Range)?;
    }
    if negative { Ok(value) } else { value.checked_neg().ok_or(IntError::Range) }
}

/// The numbers from 00 to 99 as text.
static PAIRS: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        table[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    table
};

/// Writes the digits of `value` at the end of `buf` and says where they start.
fn digits_into(mut value: u64, buf: &mut [u8]) -> usize {
    let mut at = buf.len();
    while value >= 100 {
        at -= 2;
        buf[at..at + 2].copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if value >= 10 {
        at -= 2;
        buf[at..at + 2].copy_from_slice(&PAIRS[value as usize]);
    } else {
        at -= 1;
        buf[at] = b'0' + value as u8;
    }
    at
}

/// Appends an unsigned number.
pub fn write_uint(value: u64, out: &mut Vec<u8>) {
    let mut buf = [0; 20];
    let at = digits_into(value, &mut buf);
    out.extend_from_slice(&buf[at..]);
}

/// Appends a number below 100 as two digits.
pub fn write_pair(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&PAIRS[(value % 100) as usize]);
}

/// Appends an unsigned number, filled up with zeros to at least `width` digits.
pub fn write_padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut buf = [b'0'; 20];
    let at = digits_into(value, &mut buf).min(buf.len() - width.min(buf.len()));
    out.extend_from_slice(&buf[at..]);
}

/// Appends a signed number.
pub fn write_int(value: i64, out: &mut Vec<u8>) {
    let mut buf = [0; 20];
    let at = digits_into(value.unsigned_abs(), &mut buf);
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&buf[at..]);
}

/// Powers of ten that fit 128 bits.
pub static POW10: [i128; 39] = {
    let mut table = [1; 39];
    let mut i = 1;
    while i < 39 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// Powers of ten that fit 64 bits.
pub static POW10_64: [i64; 19] = {
    let mut table = [1; 19];
    let mut i = 1;
    while i < 19 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// Reads `-123.45` as digits without the point at `scale`, rounding half away from zero. `precision` is what all
/// digits together may be.
pub fn parse_decimal64(text: &[u8], precision: u32, scale: u32) -> Result<i64, DecimalError> {
    let (negative, body) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if body.len() > 19 || scale > 18 {
        return Err(DecimalError::Unusual);
    }
    let mut value = 0i64;
    let mut digits = 0u32;
    let mut at = 0;
    while at < body.len() {
        let d = body[at].wrapping_sub(b'0');
        if d > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(d.into());
        digits += 1;
        at += 1;
    }
    let mut fraction = 0u32;
    let mut dropped = 0u32;
    let mut round_up = false;
    if at < body.len() {
        if body[at] != b'.' {
            return Err(DecimalError::Unusual);
        }
        at += 1;
        while at < body.len() {
            let d = body[at].wrapping_sub(b'0');
            if d > 9 {
                return Err(DecimalError::Unusual);
            }
            if fraction < scale {
                value = value.wrapping_mul(10).wrapping_add(d.into());
                fraction += 1;
            } else {
                round_up |= dropped == 0 && d >= 5;
                dropped += 1;
            }
            digits += 1;
            at += 1;
        }
    }
    // Nineteen digits may not fit, and neither may a short number at a large scale.
    if digits == 0 || digits > 18 || digits - fraction - dropped + scale > 18 {
        return Err(DecimalError::Unusual);
    }
    value = value * POW10_64[(scale - fraction) as usize] + i64::from(round_up);
    if value >= POW10_64[precision.min(18) as usize] {
        return Err(DecimalError::Overflow);
    }
    Ok(if negative { -value } else { value })
}

/// Appends a decimal given as digits without the point.
pub fn write_decimal64(value: i64, scale: u32, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let magnitude = value.unsigned_abs();
    if scale == 0 {
        return write_uint(magnitude, out);
    }
    if scale > 18 {
        return write_decimal128(i128::from(magnitude), scale, out);
    }
    let unit = POW10_64[scale as usize] as u64;
    write_uint(magnitude / unit, out);
    out.push(b'.');
    write_padded(magnitude % unit, scale as usize, out);
}

/// Appends a decimal given as digits without the point, of any scale.
pub fn write_decimal128(value: i128, scale: u32, out: &mut Vec<u8>) {
    if let Ok(small) = i64::try_from(value)
        && scale <= 18
    {
        return write_decimal64(small, scale, out);
    }
    if value < 0 {
        out.push(b'-');
    }
    let mut magnitude = value.unsigned_abs();
    let mut buf = [b'0'; 40];
    let mut at = buf.len();
    loop {
        let part = (magnitude % 10_000_000_000_000_000_000) as u64;
        magnitude /= 10_000_000_000_000_000_000;
        let end = at;
        at = digits_into(part, &mut buf[..end]);
        if magnitude == 0 {
            break;
        }
        at = end - 19;
    }
    let digits = &buf[at..];
    let scale = scale as usize;
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
