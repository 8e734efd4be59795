//! Parts of a text by position.

use spg_expr::arity::{Bytes, Str, map2, opt_map2, opt_map3, part, try_map3, try_map4, write3, write4};
use spg_expr::{BindArgs, Signature};
use spg_types::{Error, Result, SqlState};

use super::length::chars;
use super::regexp::Patterns;
use crate::like::escape_char;
use crate::pgregex::Options;
use crate::record::{functions, sig};

type Kernel = std::sync::Arc<dyn spg_expr::Kernel>;

fn negative_length() -> Error {
    Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed")
}

/// The range of characters from 1-based `start`, `length` of them: (first from 0, count).
fn range(start: i32, length: Option<i32>) -> Result<(usize, usize)> {
    let first = i64::from(start) - 1;
    let end = match length {
        None => i64::MAX,
        Some(n) if n < 0 => return Err(negative_length()),
        Some(n) => first + i64::from(n),
    };
    let first = first.max(0);
    Ok((first as usize, (end - first).max(0) as usize))
}

/// `count` characters from character `first`.
fn slice(s: &str, first: usize, count: usize) -> &str {
    if s.is_ascii() {
        let from = first.min(s.len());
        return &s[from..from.saturating_add(count).min(s.len())];
    }
    let from = s.char_indices().nth(first).map_or(s.len(), |(at, _)| at);
    let rest = &s[from..];
    let len = rest.char_indices().nth(count).map_or(rest.len(), |(at, _)| at);
    &rest[..len]
}

fn from(_: &BindArgs<'_>) -> Result<Kernel> {
    part(|s, args, row| {
        let (first, count) = range(args.int(1, row), None)?;
        Ok(Some(slice(s, first, count)))
    })
}

fn from_for(_: &BindArgs<'_>) -> Result<Kernel> {
    part(|s, args, row| {
        let (first, count) = range(args.int(1, row), Some(args.int(2, row)))?;
        Ok(Some(slice(s, first, count)))
    })
}

fn bytes(s: &[u8], start: i32, length: Option<i32>) -> Result<Vec<u8>> {
    let (first, count) = range(start, length)?;
    let from = first.min(s.len());
    Ok(s[from..from.saturating_add(count).min(s.len())].to_vec())
}

/// The part that a regular expression matches; its first group where it has one.
fn matching(bind: &BindArgs<'_>) -> Result<Kernel> {
    let patterns = Patterns::new(bind, 1, Options::default());
    opt_map2::<Str, Str, Str>(bind, move |s, pattern| {
        let regex = patterns.get(pattern, Options::default())?;
        Ok(regex.captures(s).and_then(|c| {
            let group = if regex.captures_len() > 1 { c.get(1) } else { c.get(0) };
            group.map(|m| m.as_str().to_string())
        }))
    })
}

/// `SUBSTRING(text SIMILAR pattern ESCAPE e)`: what stands between two marks of escape and `"`.
fn similar(bind: &BindArgs<'_>) -> Result<Kernel> {
    let cache = crate::pgregex::Cache::default();
    opt_map3::<Str, Str, Str, Str>(bind, move |s, pattern, escape| {
        let regex = cache.get(&similar_parts(pattern, escape_char(escape)?)?, Options::default())?;
        Ok(regex.captures(s).and_then(|c| c.get(1).or_else(|| c.get(0)).map(|m| m.as_str().to_string())))
    })
}

fn similar_parts(pattern: &str, escape: Option<char>) -> Result<String> {
    let Some(e) = escape else { return crate::pgregex::similar(pattern, None) };
    let mark = format!("{e}\"");
    let parts: Vec<&str> = pattern.split(&mark).collect();
    let body = |p: &str| {
        crate::pgregex::similar(p, Some(e))
            .map(|r| r.trim_start_matches("^(?:").strip_suffix(")$").unwrap_or_default().to_string())
    };
    match parts[..] {
        [_] => crate::pgregex::similar(pattern, Some(e)),
        // One mark: everything behind it.
        [before, wanted] => Ok(format!("^(?:{})({})$", body(before)?, body(wanted)?)),
        [before, wanted, after] => {
            Ok(format!("^(?:{})({})(?:{})$", body(before)?, body(wanted)?, body(after)?))
        }
        _ => Err(Error::new(
            SqlState::INVALID_ESCAPE_SEQUENCE,
            "SQL regular expression may not contain more than two escape-double-quote separators",
        )),
    }
}

/// The first `n` characters, or all but the last `-n`.
fn left(s: &str, n: i32) -> &str {
    let count = if n >= 0 { n as usize } else { chars(s).saturating_sub(n.unsigned_abs() as usize) };
    slice(s, 0, count)
}

/// The last `n` characters, or all but the first `-n`.
fn right(s: &str, n: i32) -> &str {
    let skip = if n >= 0 { chars(s).saturating_sub(n as usize) } else { n.unsigned_abs() as usize };
    slice(s, skip, usize::MAX)
}

fn split_part<'a>(s: &'a str, delimiter: &str, n: i32) -> Result<&'a str> {
    if n == 0 {
        return Err(crate::error::invalid_parameter("field position must not be zero"));
    }
    let nth = n.unsigned_abs() as usize - 1;
    if delimiter.is_empty() {
        return Ok(if nth == 0 { s } else { "" });
    }
    let field = if n > 0 { s.split(delimiter).nth(nth) } else { s.rsplit(delimiter).nth(nth) };
    Ok(field.unwrap_or_default())
}

fn overlay(s: &str, new: &str, start: i32, length: Option<i32>, out: &mut String) -> Result<()> {
    if start <= 0 {
        return Err(negative_length());
    }
    let length = length.map_or_else(|| chars(new) as i64, i64::from);
    let after = (i64::from(start) - 1 + length).max(0) as usize;
    out.push_str(slice(s, 0, start as usize - 1));
    out.push_str(new);
    out.push_str(slice(s, after, usize::MAX));
    Ok(())
}

fn overlay_bytes(s: &[u8], new: &[u8], start: i32, length: Option<i32>) -> Result<Vec<u8>> {
    if start <= 0 {
        return Err(negative_length());
    }
    let length = length.map_or(new.len() as i64, i64::from);
    let after = (i64::from(start) - 1 + length).clamp(0, s.len() as i64) as usize;
    let before = (start as usize - 1).min(s.len());
    Ok([&s[..before], new, &s[after..]].concat())
}

const POSITIONS: [Signature; 4] = [
    sig!([TEXT, INT4, INT4] => TEXT, from_for),
    sig!([TEXT, INT4] => TEXT, from),
    sig!([BYTEA, INT4, INT4] => BYTEA, |b| try_map3::<Bytes, i32, i32, Bytes>(b, |s, start, n| bytes(s, start, Some(n)))),
    sig!([BYTEA, INT4] => BYTEA, |b| map2::<Bytes, i32, Bytes>(b, |s, start| bytes(s, start, None).unwrap_or_default())),
];

functions! {
    FUNCTION SUBSTR: "substr", "The part of a text from a position on, of at most so many characters.", "substr('alphabet', 3, 2)" => "ph", POSITIONS;
    FUNCTION SUBSTRING: "substring", "The part of a text from a position on, of at most so many characters, or the part that a regular expression matches.", "substring('Thomas' from 2 for 3)" => "hom", [
        sig!([TEXT, INT4, INT4] => TEXT, from_for),
        sig!([TEXT, INT4] => TEXT, from),
        sig!([BYTEA, INT4, INT4] => BYTEA, |b| try_map3::<Bytes, i32, i32, Bytes>(b, |s, start, n| bytes(s, start, Some(n)))),
        sig!([BYTEA, INT4] => BYTEA, |b| map2::<Bytes, i32, Bytes>(b, |s, start| bytes(s, start, None).unwrap_or_default())),
        sig!([TEXT, TEXT] => TEXT, matching),
        sig!([TEXT, TEXT, TEXT] => TEXT, similar),
    ];
    TOTAL LEFT: "left", "The first characters; with a negative number, all but the last.", "left('abcde', 2)" => "ab", [
        sig!([TEXT, INT4] => TEXT, |_| part(|s, args, row| Ok(Some(left(s, args.int(1, row)))))),
    ];
    TOTAL RIGHT: "right", "The last characters; with a negative number, all but the first.", "right('abcde', 2)" => "de", [
        sig!([TEXT, INT4] => TEXT, |_| part(|s, args, row| Ok(Some(right(s, args.int(1, row)))))),
    ];
    FUNCTION SPLIT_PART: "split_part", "The field at a position of a text with delimiters; counted from the end when negative.", "split_part('abc~@~def~@~ghi', '~@~', 2)" => "def", [
        sig!([TEXT, TEXT, INT4] => TEXT, |_| part(|s, args, row| split_part(s, args.text(1, row), args.int(2, row)).map(Some))),
    ];
    FUNCTION OVERLAY: "overlay", "The text with the part at a position replaced.", "overlay('Txxxxas' placing 'hom' from 2 for 4)" => "Thomas", [
        sig!([TEXT, TEXT, INT4, INT4] => TEXT, |b| write4::<Str, Str, i32, i32>(b, |_, s, new, start, n, out| overlay(s, new, start, Some(n), out))),
        sig!([TEXT, TEXT, INT4] => TEXT, |b| write3::<Str, Str, i32>(b, |_, s, new, start, out| overlay(s, new, start, None, out))),
        sig!([BYTEA, BYTEA, INT4, INT4] => BYTEA, |b| try_map4::<Bytes, Bytes, i32, i32, Bytes>(b, |s, new, start, n| overlay_bytes(s, new, start, Some(n)))),
        sig!([BYTEA, BYTEA, INT4] => BYTEA, |b| try_map3::<Bytes, Bytes, i32, Bytes>(b, |s, new, start| overlay_bytes(s, new, start, None))),
    ];
}
