//! Pattern matching: LIKE (`~~`), ILIKE (`~~*`), SIMILAR TO, regular expressions (`~`), `^@`.
//!
//! A malformed pattern is an error, but one of the statement rather than of a row, so the operators count as infallible:
//! they may be computed once per dictionary value, and for rows that another condition drops.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use spg_expr::arity::{Bytes, Str, Strict, lanes1, map2, map3, null_column};
use spg_expr::{BindArgs, Column, EvalContext, Function, Kernel};
use spg_types::{Datum, Result, SqlType, def};

use crate::like::{Like, escape_char};
use crate::pgregex::{Cache, Options, similar};
use crate::record::{TOTAL, sig};
use crate::text::written;

/// A test of a text against a compiled pattern.
type Test = Box<dyn Fn(&str) -> bool + Send + Sync>;
/// Compiles a pattern and, where given, its escape.
type Compile = fn(&Cache, &str, Option<&str>) -> Result<Test>;

/// `text op pattern [escape]`: the pattern is compiled once where it is constant, otherwise once per run of equal ones.
fn matcher(bind: &BindArgs<'_>, compile: Compile, expected: bool) -> Result<Arc<dyn Kernel>> {
    let text_type = bind.arg_types[0];
    let cache = Cache::default();
    let constant = |i: usize| match bind.constants.get(i) {
        None => Some(None),
        Some(Some(Datum::Text(t))) => Some(Some(t.clone())),
        Some(_) => None,
    };
    let test = match (constant(1), constant(2)) {
        // A pattern that does not compile is an error of the rows that use it.
        (Some(Some(pattern)), Some(escape)) => compile(&cache, &pattern, escape.as_deref()).ok(),
        _ => None,
    };
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        // The blanks of character(n) take part.
        let text =
            if text_type.is(&def::BPCHAR) { written(ctx, &args[0], text_type)? } else { args[0].clone() };
        let mut columns = vec![text];
        columns.extend_from_slice(&args[1..]);
        let Some(s) = Strict::new(&columns, rows)? else { return null_column(SqlType::new(&def::BOOL)) };
        let texts = s.arrays[0].as_string_view();
        let bits = match &test {
            Some(test) => {
                BooleanBuffer::collect_bool(s.rows, |row| test(texts.value(row & s.masks[0])) == expected)
            }
            None => {
                let patterns = s.arrays[1].as_string_view();
                let escapes = s.arrays.get(2).map(|a| a.as_string_view());
                let mut last: Option<(&str, Option<&str>, Test)> = None;
                let mut bits = Vec::with_capacity(s.rows);
                for row in 0..s.rows {
                    if !s.is_valid(row) {
                        bits.push(false);
                        continue;
                    }
                    let pattern = patterns.value(row & s.masks[1]);
                    let escape = escapes.map(|e| e.value(row & s.masks[2]));
                    let known = last.as_ref().is_some_and(|(p, e, _)| *p == pattern && *e == escape);
                    if !known {
                        last = Some((pattern, escape, compile(&cache, pattern, escape)?));
                    }
                    let hit = last.as_ref().is_some_and(|(_, _, test)| test(texts.value(row & s.masks[0])));
                    bits.push(hit == expected);
                }
                BooleanBuffer::from(bits)
            }
        };
        Ok(s.column(Arc::new(BooleanArray::new(bits, s.nulls.clone()))))
    }))
}

fn like(_: &Cache, pattern: &str, escape: Option<&str>) -> Result<Test> {
    let like = Like::new(pattern, escape.map_or(Ok(Some('\\')), escape_char)?, false)?;
    Ok(Box::new(move |text| like.matches(text)))
}

fn ilike(_: &Cache, pattern: &str, escape: Option<&str>) -> Result<Test> {
    let like = Like::new(pattern, escape.map_or(Ok(Some('\\')), escape_char)?, true)?;
    Ok(Box::new(move |text| like.matches(text)))
}

fn similar_to(cache: &Cache, pattern: &str, escape: Option<&str>) -> Result<Test> {
    let regex =
        cache.get(&similar(pattern, escape.map_or(Ok(Some('\\')), escape_char)?)?, Options::default())?;
    Ok(Box::new(move |text| regex.is_match(text)))
}

fn regex(cache: &Cache, pattern: &str, _: Option<&str>) -> Result<Test> {
    let regex = cache.get(pattern, Options::default())?;
    Ok(Box::new(move |text| regex.is_match(text)))
}

fn regex_any_case(cache: &Cache, pattern: &str, _: Option<&str>) -> Result<Test> {
    let regex = cache.get(pattern, Options::parse("i")?)?;
    Ok(Box::new(move |text| regex.is_match(text)))
}

/// LIKE over bytes: after a mismatch, the text behind the last `%` is tried one byte further on.
fn bytes_match(s: &[u8], pattern: &[u8], escape: Option<u8>) -> bool {
    let (mut at, mut p) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(b'%') if escape != Some(b'%') => {
                p += 1;
                resume = Some((at, p));
                continue;
            }
            Some(b'_') if escape != Some(b'_') => (at < s.len()).then_some(1),
            Some(c) if Some(*c) == escape => {
                let same = pattern.get(p + 1).is_some() && s.get(at) == pattern.get(p + 1);
                same.then_some(2)
            }
            Some(c) => (s.get(at) == Some(c)).then_some(1),
            None if at == s.len() => return true,
            None => None,
        };
        match (step, resume) {
            (Some(n), _) => {
                at += 1;
                p += n;
            }
            (None, Some((from, behind))) if from < s.len() => {
                resume = Some((from + 1, behind));
                (at, p) = (from + 1, behind);
            }
            _ => return false,
        }
    }
}

macro_rules! patterns {
    ($f:ident, $expected:literal, bytes) => {
        &[
            sig!([BYTEA, BYTEA] => BOOL, |b| map2::<Bytes, Bytes, bool>(b, |s, p| {
                bytes_match(s, p, Some(b'\\')) == $expected
            })),
            sig!([BYTEA, BYTEA, BYTEA] => BOOL, |b| map3::<Bytes, Bytes, Bytes, bool>(b, |s, p, e| {
                bytes_match(s, p, e.first().copied()) == $expected
            })),
            sig!([TEXT, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([BPCHAR, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([NAME, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([TEXT, TEXT, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([BPCHAR, TEXT, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([NAME, TEXT, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
        ]
    };
    ($f:ident, $expected:literal, escape) => {
        &[
            sig!([TEXT, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([BPCHAR, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([NAME, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([TEXT, TEXT, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([BPCHAR, TEXT, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([NAME, TEXT, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
        ]
    };
    ($f:ident, $expected:literal $(, $more:expr)*) => {
        &[
            sig!([TEXT, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([BPCHAR, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            sig!([NAME, TEXT] => BOOL, |b| matcher(b, $f, $expected)),
            $($more),*
        ]
    };
}

/// `~~`
pub(super) static LIKE: Function = Function {
    name: "~~",
    doc: "LIKE: whether the text matches the pattern, where % stands for any text and _ for any character.",
    example: ("'abc' ~~ 'a%'", "t"),
    signatures: patterns!(like, true, bytes),
    ..TOTAL
};

/// `!~~`
pub(super) static NOT_LIKE: Function = Function {
    name: "!~~",
    doc: "NOT LIKE.",
    example: ("'abc' !~~ 'b%'", "t"),
    signatures: patterns!(like, false, bytes),
    ..TOTAL
};

/// `~~*`
pub(super) static ILIKE: Function = Function {
    name: "~~*",
    doc: "ILIKE: LIKE regardless of case.",
    example: ("'ABC' ~~* 'a%'", "t"),
    signatures: patterns!(ilike, true, escape),
    ..TOTAL
};

/// `!~~*`
pub(super) static NOT_ILIKE: Function = Function {
    name: "!~~*",
    doc: "NOT ILIKE.",
    example: ("'ABC' !~~* 'a%'", "f"),
    signatures: patterns!(ilike, false, escape),
    ..TOTAL
};

/// `SIMILAR TO`
pub(super) static SIMILAR: Function = Function {
    name: "similar to",
    doc: "Whether the text matches the SQL regular expression.",
    example: ("'abc' SIMILAR TO '(a|b)%'", "t"),
    signatures: patterns!(similar_to, true, escape),
    ..TOTAL
};

/// `NOT SIMILAR TO`
pub(super) static NOT_SIMILAR: Function = Function {
    name: "not similar to",
    doc: "Whether the text does not match the SQL regular expression.",
    example: ("'abc' NOT SIMILAR TO '(a|b)%'", "f"),
    signatures: patterns!(similar_to, false, escape),
    ..TOTAL
};

/// `~`: also the bitwise complement.
pub(super) static MATCHES: Function = Function {
    name: "~",
    doc: "Whether the text matches the regular expression; of one integer, its bits inverted.",
    example: ("'thomas' ~ 't.*ma'", "t"),
    signatures: patterns!(
        regex,
        true,
        sig!([INT4] => INT4, |b| lanes1::<i32, i32>(b, |v| !v)),
        sig!([INT8] => INT8, |b| lanes1::<i64, i64>(b, |v| !v)),
        sig!([INT2] => INT2, |b| lanes1::<i16, i16>(b, |v| !v))
    ),
    ..TOTAL
};

/// `~*`
pub(super) static MATCHES_ANY_CASE: Function = Function {
    name: "~*",
    doc: "Whether the text matches the regular expression, regardless of case.",
    example: ("'thomas' ~* 'T.*ma'", "t"),
    signatures: patterns!(regex_any_case, true),
    ..TOTAL
};

/// `!~`
pub(super) static NOT_MATCHES: Function = Function {
    name: "!~",
    doc: "Whether the text does not match the regular expression.",
    example: ("'thomas' !~ 't.*max'", "t"),
    signatures: patterns!(regex, false),
    ..TOTAL
};

/// `!~*`
pub(super) static NOT_MATCHES_ANY_CASE: Function = Function {
    name: "!~*",
    doc: "Whether the text does not match the regular expression, regardless of case.",
    example: ("'thomas' !~* 'T.*ma'", "f"),
    signatures: patterns!(regex_any_case, false),
    ..TOTAL
};

/// `^@`
pub(super) static STARTS_WITH: Function = Function {
    name: "^@",
    doc: "Whether the text starts with the other.",
    example: ("'alphabet' ^@ 'alph'", "t"),
    signatures: &[sig!([TEXT, TEXT] => BOOL, |b| map2::<Str, Str, bool>(b, |s, p| s.starts_with(p)))],
    ..TOTAL
};
