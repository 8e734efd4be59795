//! Padding and repeating.

use spg_expr::arity::{Str, write1, write2, write3};
use spg_types::{Error, Result, SqlState};

use super::length::chars;
use crate::record::{functions, sig};

/// Bytes that a value may have.
const BYTES_MAX: usize = 0x3fff_ffff;

fn too_large() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

/// Appends `fill`, over and over, up to `count` characters.
fn fill_up(fill: &str, count: usize, out: &mut String) {
    out.extend(fill.chars().cycle().take(count));
}

fn pad(s: &str, length: i32, fill: &str, at_start: bool, out: &mut String) -> Result<()> {
    let length = length.max(0) as usize;
    if length.saturating_mul(4) > BYTES_MAX {
        return Err(too_large());
    }
    let missing = if fill.is_empty() { 0 } else { length.saturating_sub(chars(s)) };
    let end = s.char_indices().nth(length).map_or(s.len(), |(at, _)| at);
    if at_start {
        fill_up(fill, missing, out);
    }
    out.push_str(&s[..end]);
    if !at_start {
        fill_up(fill, missing, out);
    }
    Ok(())
}

fn repeat(s: &str, count: i32, out: &mut String) -> Result<()> {
    let count = count.max(0) as usize;
    if s.len().saturating_mul(count) > BYTES_MAX {
        return Err(too_large());
    }
    out.reserve(s.len() * count);
    (0..count).for_each(|_| out.push_str(s));
    Ok(())
}

functions! {
    FUNCTION LPAD: "lpad", "The text filled up at its start to a length, or cut to it.", "lpad('hi', 5, 'xy')" => "xyxhi", [
        sig!([TEXT, INT4, TEXT] => TEXT, |b| write3::<Str, i32, Str>(b, |_, s, n, fill, out| pad(s, n, fill, true, out))),
        sig!([TEXT, INT4] => TEXT, |b| write2::<Str, i32>(b, |_, s, n, out| pad(s, n, " ", true, out))),
    ];
    FUNCTION RPAD: "rpad", "The text filled up at its end to a length, or cut to it.", "rpad('hi', 5, 'xy')" => "hixyx", [
        sig!([TEXT, INT4, TEXT] => TEXT, |b| write3::<Str, i32, Str>(b, |_, s, n, fill, out| pad(s, n, fill, false, out))),
        sig!([TEXT, INT4] => TEXT, |b| write2::<Str, i32>(b, |_, s, n, out| pad(s, n, " ", false, out))),
    ];
    FUNCTION REPEAT: "repeat", "The text so many times.", "repeat('Pg', 4)" => "PgPgPgPg", [
        sig!([TEXT, INT4] => TEXT, |b| write2::<Str, i32>(b, |_, s, n, out| repeat(s, n, out))),
    ];
    TOTAL REVERSE: "reverse", "The characters in reverse order.", "reverse('abcde')" => "edcba", [
        sig!([TEXT] => TEXT, |b| write1::<Str>(b, |_, s, out| {
            out.extend(s.chars().rev());
            Ok(())
        })),
    ];
}
