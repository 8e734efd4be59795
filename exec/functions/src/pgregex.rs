//! PostgreSQL's regular expressions, translated for crate `regex`.
//!
//! Back references and look-around are refused (0A000). Alternatives match from the left rather than the longest first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use regex::{Regex, RegexBuilder};
use spg_types::{Error, Result, SqlState};

use crate::error::invalid_parameter;

/// PostgreSQL's option letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Options {
    /// `g`: all matches.
    pub(crate) global: bool,
    /// `i`: case does not matter.
    pub(crate) ignore_case: bool,
    /// `n`, `m`: `.` and negated brackets stop at newlines, `^` and `$` match there.
    pub(crate) newline: bool,
    /// `p`: `.` and brackets stop at newlines.
    pub(crate) partial: bool,
    /// `w`: `^` and `$` match at newlines.
    pub(crate) anchors: bool,
    /// `x`: white space and comments are ignored.
    pub(crate) expanded: bool,
    /// `q`: not a pattern but a text.
    pub(crate) literal: bool,
}

impl Options {
    /// 22023 for a letter that is none.
    pub(crate) fn parse(letters: &str) -> Result<Options> {
        let mut o = Options::default();
        for c in letters.chars() {
            o.set(c)?;
        }
        Ok(o)
    }

    fn set(&mut self, letter: char) -> Result<()> {
        match letter {
            'g' => self.global = true,
            'i' => self.ignore_case = true,
            'c' => self.ignore_case = false,
            'n' | 'm' => self.newline = true,
            's' => self.newline = false,
            'p' => self.partial = true,
            'w' => self.anchors = true,
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            'b' | 'e' => {}
            other => {
                return Err(invalid_parameter(format!("invalid regular expression option: \"{other}\"")));
            }
        }
        Ok(())
    }
}

/// Compiled patterns by text and options; a handful is enough where patterns come from a column.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<(String, Options), Arc<Regex>>>);

impl Cache {
    /// The compiled pattern; 2201B or 0A000.
    pub(crate) fn get(&self, pattern: &str, options: Options) -> Result<Arc<Regex>> {
        const ENTRIES_MAX: usize = 64;
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked up by a key that owns its text: short next to the search that follows.
        let key = (pattern.to_string(), options);
        if let Some(r) = map.get(&key) {
            return Ok(r.clone());
        }
        let compiled = Arc::new(compile(pattern, options)?);
        if map.len() >= ENTRIES_MAX {
            map.clear();
        }
        map.insert(key, compiled.clone());
        Ok(compiled)
    }
}

fn invalid(what: &str) -> Error {
    Error::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("invalid regular expression: {what}"))
}

/// Compiles a pattern; 2201B when it is none, 0A000 for what the engine lacks.
pub(crate) fn compile(pattern: &str, mut options: Options) -> Result<Regex> {
    let mut body = pattern;
    if let Some(rest) = body.strip_prefix("***=") {
        options.literal = true;
        body = rest;
    } else if let Some(rest) = body.strip_prefix("***:") {
        body = rest;
    }
    if !options.literal
        && let Some(rest) = body.strip_prefix("(?")
        && let Some((letters, rest)) = rest.split_once(')')
        && !letters.is_empty()
        && letters.chars().all(|c| c.is_ascii_lowercase())
    {
        for c in letters.chars() {
            options.set(c)?;
        }
        body = rest;
    }
    let text = if options.literal { regex::escape(body) } else { Translator::new(body).run()? };
    RegexBuilder::new(&text)
        .case_insensitive(options.ignore_case)
        .dot_matches_new_line(!(options.newline || options.partial))
        .multi_line(options.newline || options.anchors)
        .ignore_whitespace(options.expanded)
        .build()
        .map_err(|e| describe(&e, body))
}

/// PostgreSQL's names of the common mistakes.
fn describe(error: &regex::Error, pattern: &str) -> Error {
    let text = error.to_string();
    let what = if text.contains("unclosed group") || text.contains("unopened group") {
        "parentheses () not balanced"
    } else if text.contains("unclosed character class") {
        "brackets [] not balanced"
    } else if text.contains("repetition operator missing expression") || text.contains("repetition") {
        "quantifier operand invalid"
    } else if text.contains("invalid character class range") {
        "invalid character range"
    } else if text.contains("look-around") || text.contains("backreference") {
        return Error::unsupported(format!(
            "regular expression \"{pattern}\" uses what SPG does not support"
        ))
        .with_detail("Back references and look-around are not supported.");
    } else if matches!(error, regex::Error::CompiledTooBig(_)) {
        "regular expression is too complex"
    } else {
        "invalid escape \\ sequence"
    };
    invalid(what)
}

struct Translator<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    out: String,
}

impl<'a> Translator<'a> {
    fn new(pattern: &'a str) -> Self {
        Self { chars: pattern.chars().peekable(), out: String::with_capacity(pattern.len() + 8) }
    }

    fn run(mut self) -> Result<String> {
        while let Some(c) = self.chars.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.bracket()?,
                '{' if !self.chars.peek().is_some_and(char::is_ascii_digit) => self.out.push_str("\\{"),
                '(' => self.group()?,
                c => self.out.push(c),
            }
        }
        Ok(self.out)
    }

    fn group(&mut self) -> Result<()> {
        self.out.push('(');
        let mut ahead = self.chars.clone();
        if ahead.next() != Some('?') {
            return Ok(());
        }
        match ahead.next() {
            Some(':') => Ok(()),
            Some('=' | '!' | '<') => {
                Err(Error::unsupported("look-around in regular expressions is not supported"))
            }
            _ => Err(invalid("quantifier operand invalid")),
        }
    }

    fn escape(&mut self) -> Result<()> {
        let Some(c) = self.chars.next() else { return Err(invalid("invalid escape \\ sequence")) };
        match c {
            'm' => self.out.push_str("\\b{start}"),
            'M' => self.out.push_str("\\b{end}"),
            'y' => self.out.push_str("\\b"),
            'Y' => self.out.push_str("\\B"),
            'Z' => self.out.push_str("\\z"),
            'A' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 't' | 'n' | 'r' | 'f' | 'v' | 'a' | 'x' => {
                self.out.push('\\');
                self.out.push(c);
            }
            'b' => self.out.push_str("\\x08"),
            'B' => self.out.push_str("\\\\"),
            'e' => self.out.push_str("\\x1b"),
            '0' => self.out.push_str("\\x00"),
            'u' => self.code_point(4)?,
            'U' => self.code_point(8)?,
            '1'..='9' => {
                return Err(Error::unsupported("back references in regular expressions are not supported"));
            }
            c if c.is_alphanumeric() => return Err(invalid("invalid escape \\ sequence")),
            c => self.literal(c),
        }
        Ok(())
    }

    fn code_point(&mut self, digits: usize) -> Result<()> {
        let hex: String = self.chars.by_ref().take(digits).collect();
        let c = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
        let c = c.filter(|_| hex.len() == digits).ok_or_else(|| invalid("invalid escape \\ sequence"))?;
        self.literal(c);
        Ok(())
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    /// A bracket expression. `[` on its own, `&`, `~` and `-` mean nothing special to PostgreSQL next to themselves.
    fn bracket(&mut self) -> Result<()> {
        let rest: String = self.chars.clone().collect();
        if let Some(boundary) = ["[:<:]]", "[:>:]]"].iter().position(|b| rest.starts_with(b)) {
            self.chars.nth(5);
            self.out.push_str(["\\b{start}", "\\b{end}"][boundary]);
            return Ok(());
        }
        self.out.push('[');
        if self.chars.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        if self.chars.next_if_eq(&']').is_some() {
            self.out.push_str("\\]");
        }
        while let Some(c) = self.chars.next() {
            match c {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if self.chars.peek() == Some(&':') => self.class()?,
                '[' if matches!(self.chars.peek(), Some('.' | '=')) => {
                    return Err(Error::unsupported(
                        "collating elements in regular expressions are not supported",
                    ));
                }
                '\\' => self.escape()?,
                '[' | '&' | '~' | '#' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                c => self.out.push(c),
            }
        }
        Err(invalid("brackets [] not balanced"))
    }

    /// `[:alpha:]`, after its `[`. PostgreSQL's classes know Unicode.
    fn class(&mut self) -> Result<()> {
        let rest: String = self.chars.clone().collect();
        let name = rest[1..].split(":]").next().unwrap_or_default().to_string();
        self.chars.nth(name.chars().count() + 2);
        self.out.push_str(match name.as_str() {
            "alpha" => "\\p{Alphabetic}",
            "alnum" => "\\p{Alphabetic}\\p{N}",
            "digit" => "\\d",
            "upper" => "\\p{Uppercase}",
            "lower" => "\\p{Lowercase}",
            "space" => "\\s",
            "word" => "\\w",
            "punct" => "[:punct:]",
            "blank" => " \\t",
            "cntrl" => "\\p{Cc}",
            "xdigit" => "0-9A-Fa-f",
            "print" | "graph" => "[:print:]",
            "ascii" => "\\x00-\\x7f",
            _ => return Err(invalid("invalid character class")),
        });
        Ok(())
    }
}

/// The regular expression of a SIMILAR TO pattern; 22025 for a bad escape.
pub(crate) fn similar(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut out = String::from("^(?:");
    let mut chars = pattern.chars();
    let mut in_bracket = false;
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            // `\"` separates the parts of SUBSTRING ... SIMILAR, which is translated by its own function.
            if let Some(c) = chars.next() {
                out.push('\\');
                out.push(c);
            }
            continue;
        }
        match c {
            _ if in_bracket => {
                if c == '\\' {
                    out.push('\\');
                }
                in_bracket = c != ']';
                out.push(c);
            }
            '[' => {
                in_bracket = true;
                out.push('[');
            }
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '\\' | '.' | '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push_str(")$");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        let r = compile(pattern, Options::default()).unwrap();
        assert_eq!(r.is_match(text), expected, "{pattern} on {text}");
    }

    #[test]
    fn like_postgresql() {
        check("^a.c$", "a\nc", true);
        check("a{", "a{", true);
        check("\\mfoo\\M", "a foo b", true);
        check("\\mfoo\\M", "afoo", false);
        check("[[:alpha:]]+[[:digit:]]", "é1", true);
        check("[]a]", "]", true);
        check("[a&&b]", "&", true);
        check("(?i)ABC", "abc", true);
        check("***=a.c", "abc", false);
        check("(?n)^b$", "a\nb", true);
        check("[[:<:]]x", "a x", true);
    }

    #[test]
    fn refused() {
        let state = |p| compile(p, Options::default()).unwrap_err().state();
        assert_eq!(state("(a"), SqlState::INVALID_REGULAR_EXPRESSION);
        assert_eq!(state("[a"), SqlState::INVALID_REGULAR_EXPRESSION);
        assert_eq!(state("*a"), SqlState::INVALID_REGULAR_EXPRESSION);
        assert_eq!(state("(a)\\1"), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(state("a(?=b)"), SqlState::FEATURE_NOT_SUPPORTED);
        assert!(Options::parse("z").is_err());
    }

    #[test]
    fn similar_patterns() {
        for (pattern, text, expected) in [
            ("a%", "abc", true),
            ("a_c", "abc", true),
            ("(a|b)c", "bc", true),
            ("a", "ab", false),
            ("a.c", "abc", false),
            ("a\\%", "a%", true),
            ("[0-9]+", "123", true),
        ] {
            let r = compile(&similar(pattern, Some('\\')).unwrap(), Options::default()).unwrap();
            assert_eq!(r.is_match(text), expected, "{pattern} on {text}");
        }
    }
}
