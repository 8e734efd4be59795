//! Times of day, fractions of seconds and offsets from UTC.

use super::super::{US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND};
use super::Fault;

/// Hours in a text of an offset, at most.
const MAX_OFFSET_HOURS: i64 = 15;

/// A whole number of at most nine digits.
pub(super) fn small(text: &str) -> Option<i64> {
    let fits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|c| c.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// `25` of `12.25` in microseconds, rounded to the nearest.
pub(super) fn fraction_us(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    if digits.len() <= 6 {
        let value = if digits.is_empty() { 0 } else { small(digits)? };
        return Some(value * crate::number::POW10_64[6 - digits.len()]);
    }
    let fraction: f64 = format!("0.{digits}").parse().ok()?;
    Some((fraction * 1e6).round_ties_even() as i64)
}

/// Parts of a time as written: `12:30`, `12:30:05.5`, `30:05.5` (minutes and seconds).
pub(super) fn parts(text: &str, minutes_first: bool) -> Result<(i64, i64, i64, i64), Fault> {
    let number = |t: &str| small(t).ok_or(Fault::Format);
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, digits)) => (whole, Some(fraction_us(digits).ok_or(Fault::Format)?)),
        None => (text, None),
    };
    let mut pieces = whole.split(':');
    let mut next = || pieces.next().filter(|p| !p.is_empty());
    let first = number(next().ok_or(Fault::Format)?)?;
    let (hour, minute, second) = match (next(), next(), next()) {
        (None, None, None) if whole.ends_with(':') => (first, 0, 0),
        (Some(second), None, None) if fraction.is_some() || minutes_first => (0, first, number(second)?),
        (Some(minute), None, None) => (first, number(minute)?, 0),
        (Some(minute), Some(second), None) => (first, number(minute)?, number(second)?),
        _ => return Err(Fault::Format),
    };
    let fraction = fraction.unwrap_or(0);
    if minute > 59 || second > 60 || fraction > US_PER_SECOND {
        return Err(Fault::Field);
    }
    Ok((hour, minute, second, fraction))
}

/// Hours, minutes, seconds and microseconds together.
pub(super) fn total((hour, minute, second, fraction): (i64, i64, i64, i64)) -> i64 {
    hour * US_PER_HOUR + minute * US_PER_MINUTE + second * US_PER_SECOND + fraction
}

/// `+8`, `-0330`, `+05:30:15` in seconds east of UTC.
pub(super) fn offset(text: &str) -> Result<i32, Fault> {
    let (sign, body) = match text.as_bytes() {
        [b'+', ..] => (1, &text[1..]),
        [b'-', ..] => (-1, &text[1..]),
        _ => return Err(Fault::Format),
    };
    let number = |t: &str| small(t).ok_or(Fault::Format);
    let (hours, minutes, seconds) = if body.contains(':') {
        let mut parts = body.split(':');
        let mut next = || parts.next().map_or(Ok(0), number);
        let all = (next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(Fault::Format);
        }
        all
    } else if body.len() > 2 {
        let packed = number(body)?;
        if body.len() > 4 {
            (packed / 10_000, packed / 100 % 100, packed % 100)
        } else {
            (packed / 100, packed % 100, 0)
        }
    } else {
        (number(body)?, 0, 0)
    };
    if hours > MAX_OFFSET_HOURS || minutes > 59 || seconds > 59 {
        return Err(Fault::Offset);
    }
    Ok(sign * (hours * 3600 + minutes * 60 + seconds) as i32)
}
