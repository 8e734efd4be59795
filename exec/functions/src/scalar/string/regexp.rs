//! Functions over regular expressions.

use std::sync::Arc;

use regex::{Captures, Regex};
use spg_expr::arity::{
    Str, opt_map2, opt_map3, opt_map4, opt_map5, opt_map6, try_map2, try_map3, try_map4, try_map5, try_map6,
    try_map7, write3, write4, write5, write6,
};
use spg_expr::{BindArgs, Signature};
use spg_types::{Datum, Error, Result};

use super::length::chars;
use crate::error::invalid_parameter;
use crate::pgregex::{Cache, Options, compile};
use crate::record::{functions, sig};

/// The pattern of a call: compiled once where it is constant.
pub(super) struct Patterns {
    constant: Option<(String, Options, Arc<Regex>)>,
    cache: Cache,
}

impl Patterns {
    /// `at` is the pattern's argument; `options` are those that the function itself sets.
    pub(super) fn new(bind: &BindArgs<'_>, at: usize, options: Options) -> Self {
        let constant = match bind.constants.get(at) {
            Some(Some(Datum::Text(pattern))) => {
                // A pattern that does not compile is an error of the rows that use it.
                compile(pattern, options).ok().map(|r| (pattern.to_string(), options, Arc::new(r)))
            }
            _ => None,
        };
        Self { constant, cache: Cache::default() }
    }

    pub(super) fn get(&self, pattern: &str, options: Options) -> Result<Arc<Regex>> {
        match &self.constant {
            Some((p, o, regex)) if p == pattern && *o == options => Ok(regex.clone()),
            _ => self.cache.get(pattern, options),
        }
    }
}

fn patterns(bind: &BindArgs<'_>) -> Patterns {
    Patterns::new(bind, 1, Options::default())
}

/// Appends the replacement: `\1` to `\9` are groups, `\&` the match, `\\` a backslash.
fn expand(replacement: &str, captures: &Captures<'_>, out: &mut String) {
    let mut chars = replacement.chars();
    let group = |n: usize, out: &mut String| out.push_str(captures.get(n).map_or("", |m| m.as_str()));
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => group(0, out),
            Some(d @ '1'..='9') => group(d as usize - '0' as usize, out),
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
}

fn bad_argument(name: &str, value: i32) -> Error {
    invalid_parameter(format!("invalid value for parameter \"{name}\": {value}"))
}

/// The byte offset of 1-based character `start`; one past the end when the text is shorter.
fn offset(s: &str, start: i32) -> Result<Option<usize>> {
    if start <= 0 {
        return Err(bad_argument("start", start));
    }
    let before = start as usize - 1;
    Ok(s.char_indices().map(|(at, _)| at).chain([s.len()]).nth(before))
}

/// Replaces the n-th match at or after `from`, or every match when `n` is 0.
fn replace(regex: &Regex, s: &str, replacement: &str, from: Option<usize>, n: usize, out: &mut String) {
    let Some(from) = from else { return out.push_str(s) };
    let mut copied = 0;
    let mut count = 0;
    let mut at = from;
    while let Some(captures) = regex.captures_at(s, at) {
        let Some(whole) = captures.get(0) else { break };
        count += 1;
        if n == 0 || count == n {
            out.push_str(&s[copied..whole.start()]);
            expand(replacement, &captures, out);
            copied = whole.end();
        }
        if count == n {
            break;
        }
        at = after(s, whole.start(), whole.end());
        if at > s.len() {
            break;
        }
    }
    out.push_str(&s[copied..]);
}

/// Where the search goes on after a match: past a character when the match was empty.
fn after(s: &str, start: usize, end: usize) -> usize {
    if end > start { end } else { end + s[end..].chars().next().map_or(1, char::len_utf8) }
}

fn flags(text: &str) -> Result<Options> {
    Options::parse(text)
}

/// Options of functions that have no use for `g`.
fn flags_without_g(text: &str, function: &str) -> Result<Options> {
    let options = Options::parse(text)?;
    if options.global {
        return Err(invalid_parameter(format!("{function} does not support the \"global\" option")));
    }
    Ok(options)
}

const REPLACE: [Signature; 5] = [
    sig!([TEXT, TEXT, TEXT] => TEXT, |b| {
        let p = patterns(b);
        write3::<Str, Str, Str>(b, move |_, s, pattern, new, out| {
            replace(&*p.get(pattern, Options::default())?, s, new, Some(0), 1, out);
            Ok(())
        })
    }),
    sig!([TEXT, TEXT, TEXT, TEXT] => TEXT, |b| {
        let p = patterns(b);
        write4::<Str, Str, Str, Str>(b, move |_, s, pattern, new, letters, out| {
            if letters.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(invalid_parameter(format!(
                    "invalid regular expression option: \"{}\"",
                    &letters[..1]
                ))
                .with_hint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly."));
            }
            let options = flags(letters)?;
            let n = if options.global { 0 } else { 1 };
            replace(&*p.get(pattern, Options { global: false, ..options })?, s, new, Some(0), n, out);
            Ok(())
        })
    }),
    sig!([TEXT, TEXT, TEXT, INT4] => TEXT, |b| {
        let p = patterns(b);
        write4::<Str, Str, Str, i32>(b, move |_, s, pattern, new, start, out| {
            replace(&*p.get(pattern, Options::default())?, s, new, offset(s, start)?, 1, out);
            Ok(())
        })
    }),
    sig!([TEXT, TEXT, TEXT, INT4, INT4] => TEXT, |b| {
        let p = patterns(b);
        write5::<Str, Str, Str, i32, i32>(b, move |_, s, pattern, new, start, n, out| {
            let n = usize::try_from(n).map_err(|_| bad_argument("n", n))?;
            replace(&*p.get(pattern, Options::default())?, s, new, offset(s, start)?, n, out);
            Ok(())
        })
    }),
    sig!([TEXT, TEXT, TEXT, INT4, INT4, TEXT] => TEXT, |b| {
        let p = patterns(b);
        write6::<Str, Str, Str, i32, i32, Str>(b, move |_, s, pattern, new, start, n, letters, out| {
            let n = usize::try_from(n).map_err(|_| bad_argument("n", n))?;
            let options = Options { global: false, ..flags(letters)? };
            replace(&*p.get(pattern, options)?, s, new, offset(s, start)?, n, out);
            Ok(())
        })
    }),
];

fn count(regex: &Regex, s: &str, from: Option<usize>) -> i32 {
    let Some(mut at) = from else { return 0 };
    let mut n = 0;
    while at <= s.len()
        && let Some(m) = regex.find_at(s, at)
    {
        n += 1;
        at = after(s, m.start(), m.end());
    }
    n
}

/// The n-th match at or after an offset: the range of its group.
fn nth(regex: &Regex, s: &str, from: Option<usize>, n: i32, group: i32) -> Result<Option<(usize, usize)>> {
    if n <= 0 {
        return Err(bad_argument("n", n));
    }
    if group < 0 {
        return Err(bad_argument("subexpr", group));
    }
    let Some(mut at) = from else { return Ok(None) };
    let mut left = n;
    while at <= s.len()
        && let Some(captures) = regex.captures_at(s, at)
        && let Some(whole) = captures.get(0)
    {
        left -= 1;
        if left == 0 {
            return Ok(captures.get(group as usize).map(|m| (m.start(), m.end())));
        }
        at = after(s, whole.start(), whole.end());
    }
    Ok(None)
}

fn substr(regex: &Regex, s: &str, start: i32, n: i32, group: i32) -> Result<Option<String>> {
    Ok(nth(regex, s, offset(s, start)?, n, group)?.map(|(from, to)| s[from..to].to_string()))
}

fn instr(regex: &Regex, s: &str, start: i32, n: i32, end: i32, group: i32) -> Result<i32> {
    if !(0..=1).contains(&end) {
        return Err(bad_argument("endoption", end));
    }
    let found = nth(regex, s, offset(s, start)?, n, group)?;
    Ok(found.map_or(0, |(from, to)| chars(&s[..if end == 1 { to } else { from }]) as i32 + 1))
}

functions! {
    FUNCTION REGEXP_REPLACE: "regexp_replace", "The text with the first match of a regular expression replaced, or all with flag g.", "regexp_replace('Thomas', '.[mN]a.', 'M')" => "ThM", REPLACE;
    FUNCTION REGEXP_LIKE: "regexp_like", "Whether the regular expression matches within the text.", "regexp_like('Hello World', 'world$', 'i')" => "t", [
        sig!([TEXT, TEXT] => BOOL, |b| {
            let p = patterns(b);
            try_map2::<Str, Str, bool>(b, move |s, pattern| Ok(p.get(pattern, Options::default())?.is_match(s)))
        }),
        sig!([TEXT, TEXT, TEXT] => BOOL, |b| {
            let p = patterns(b);
            try_map3::<Str, Str, Str, bool>(b, move |s, pattern, letters| {
                Ok(p.get(pattern, flags_without_g(letters, "regexp_like()")?)?.is_match(s))
            })
        }),
    ];
    FUNCTION REGEXP_COUNT: "regexp_count", "How often the regular expression matches, from a position on.", "regexp_count('123456789012', '\\d\\d\\d', 2)" => "3", [
        sig!([TEXT, TEXT] => INT4, |b| {
            let p = patterns(b);
            try_map2::<Str, Str, i32>(b, move |s, pattern| Ok(count(&*p.get(pattern, Options::default())?, s, Some(0))))
        }),
        sig!([TEXT, TEXT, INT4] => INT4, |b| {
            let p = patterns(b);
            try_map3::<Str, Str, i32, i32>(b, move |s, pattern, start| {
                Ok(count(&*p.get(pattern, Options::default())?, s, offset(s, start)?))
            })
        }),
        sig!([TEXT, TEXT, INT4, TEXT] => INT4, |b| {
            let p = patterns(b);
            try_map4::<Str, Str, i32, Str, i32>(b, move |s, pattern, start, letters| {
                Ok(count(&*p.get(pattern, flags_without_g(letters, "regexp_count()")?)?, s, offset(s, start)?))
            })
        }),
    ];
    FUNCTION REGEXP_SUBSTR: "regexp_substr", "The part that the n-th match of the regular expression, or a group of it, covers.", "regexp_substr('ABCDEF', 'c(.)(..)', 1, 1, 'i')" => "CDEF", [
        sig!([TEXT, TEXT] => TEXT, |b| {
            let p = patterns(b);
            opt_map2::<Str, Str, Str>(b, move |s, pattern| substr(&*p.get(pattern, Options::default())?, s, 1, 1, 0))
        }),
        sig!([TEXT, TEXT, INT4] => TEXT, |b| {
            let p = patterns(b);
            opt_map3::<Str, Str, i32, Str>(b, move |s, pattern, start| substr(&*p.get(pattern, Options::default())?, s, start, 1, 0))
        }),
        sig!([TEXT, TEXT, INT4, INT4] => TEXT, |b| {
            let p = patterns(b);
            opt_map4::<Str, Str, i32, i32, Str>(b, move |s, pattern, start, n| substr(&*p.get(pattern, Options::default())?, s, start, n, 0))
        }),
        sig!([TEXT, TEXT, INT4, INT4, TEXT] => TEXT, |b| {
            let p = patterns(b);
            opt_map5::<Str, Str, i32, i32, Str, Str>(b, move |s, pattern, start, n, letters| {
                substr(&*p.get(pattern, flags_without_g(letters, "regexp_substr()")?)?, s, start, n, 0)
            })
        }),
        sig!([TEXT, TEXT, INT4, INT4, TEXT, INT4] => TEXT, |b| {
            let p = patterns(b);
            opt_map6::<Str, Str, i32, i32, Str, i32, Str>(b, move |s, pattern, start, n, letters, group| {
                substr(&*p.get(pattern, flags_without_g(letters, "regexp_substr()")?)?, s, start, n, group)
            })
        }),
    ];
    FUNCTION REGEXP_INSTR: "regexp_instr", "Where the n-th match of the regular expression starts, or ends when the fifth argument is 1; 0 for nowhere.", "regexp_instr('ABCDEF', 'c(.)(..)', 1, 1, 0, 'i')" => "3", [
        sig!([TEXT, TEXT] => INT4, |b| {
            let p = patterns(b);
            try_map2::<Str, Str, i32>(b, move |s, pattern| instr(&*p.get(pattern, Options::default())?, s, 1, 1, 0, 0))
        }),
        sig!([TEXT, TEXT, INT4] => INT4, |b| {
            let p = patterns(b);
            try_map3::<Str, Str, i32, i32>(b, move |s, pattern, start| instr(&*p.get(pattern, Options::default())?, s, start, 1, 0, 0))
        }),
        sig!([TEXT, TEXT, INT4, INT4] => INT4, |b| {
            let p = patterns(b);
            try_map4::<Str, Str, i32, i32, i32>(b, move |s, pattern, start, n| instr(&*p.get(pattern, Options::default())?, s, start, n, 0, 0))
        }),
        sig!([TEXT, TEXT, INT4, INT4, INT4] => INT4, |b| {
            let p = patterns(b);
            try_map5::<Str, Str, i32, i32, i32, i32>(b, move |s, pattern, start, n, end| {
                instr(&*p.get(pattern, Options::default())?, s, start, n, end, 0)
            })
        }),
        sig!([TEXT, TEXT, INT4, INT4, INT4, TEXT] => INT4, |b| {
            let p = patterns(b);
            try_map6::<Str, Str, i32, i32, i32, Str, i32>(b, move |s, pattern, start, n, end, letters| {
                instr(&*p.get(pattern, flags_without_g(letters, "regexp_instr()")?)?, s, start, n, end, 0)
            })
        }),
        sig!([TEXT, TEXT, INT4, INT4, INT4, TEXT, INT4] => INT4, |b| {
            let p = patterns(b);
            try_map7::<Str, Str, i32, i32, i32, Str, i32, i32>(b, move |s, pattern, start, n, end, letters, group| {
                if group < 0 {
                    return Err(bad_argument("subexpr", group));
                }
                instr(&*p.get(pattern, flags_without_g(letters, "regexp_instr()")?)?, s, start, n, end, group)
            })
        }),
    ];
}
