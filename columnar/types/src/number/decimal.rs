//! Decimals of a fixed scale as text.

use super::int::digits_into;
use super::write_uint;

/// Why a text is no decimal of a fixed scale, as far as the fast path can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalError {
    /// Not a plain `123.45`, or more digits than the fast path takes: ask the general parser.
    Unusual,
    /// More digits before the point than the precision leaves room for.
    Overflow,
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
    // Division by a constant is several times faster than by a variable.
    let (whole, fraction) = match scale {
        1 => (magnitude / 10, magnitude % 10),
        2 => (magnitude / 100, magnitude % 100),
        3 => (magnitude / 1000, magnitude % 1000),
        4 => (magnitude / 10_000, magnitude % 10_000),
        _ => (magnitude / POW10_64[scale as usize] as u64, magnitude % POW10_64[scale as usize] as u64),
    };
    const END: usize = 40;
    let mut buf = [b'0'; END];
    digits_into(fraction, &mut buf);
    let point = END - scale as usize - 1;
    buf[point] = b'.';
    let start = digits_into(whole, &mut buf[..point]);
    out.extend_from_slice(&buf[start..]);
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
