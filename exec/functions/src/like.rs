//! LIKE patterns, compiled once: a list of literal parts searched with `memmem`, without backtracking where `%` stands
//! between them.
//!
//! A match of `p1 % p2 % p3` puts p1 at the start, p3 at the end and each middle part as far left as it fits, which is
//! always as good as any other place.

use memchr::memmem;
use spg_types::{Error, Result, SqlState};

/// One character of a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Item {
    /// This character.
    Char(char),
    /// `_`
    One,
    /// `%`
    Many,
}

/// Literals between `%`; `_` makes a part that is matched character by character.
#[allow(clippy::large_enum_variant, reason = "few per pattern, and matched per row: no pointer in between")]
#[derive(Debug)]
enum Part {
    Literal(memmem::Finder<'static>),
    Wild(Vec<Item>),
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Like {
    shape: Shape,
    fold: bool,
}

#[allow(clippy::large_enum_variant, reason = "one per pattern")]
#[derive(Debug)]
enum Shape {
    /// No wildcard.
    Exact(String),
    /// `abc%`
    Prefix(String),
    /// `%abc`
    Suffix(String),
    /// `%abc%`
    Contains(memmem::Finder<'static>),
    /// Parts between `%`: whether the first is held at the start and the last at the end.
    Parts { parts: Vec<Part>, start: bool, end: bool },
}

/// 22019 unless the escape is one character or none.
pub(crate) fn escape_char(escape: &str) -> Result<Option<char>> {
    let mut chars = escape.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .with_hint("Escape string must be empty or one character.")),
    }
}

impl Like {
    /// Compiles a pattern; `fold` ignores case. 22025 when it ends in the escape character.
    pub(crate) fn new(pattern: &str, escape: Option<char>, fold: bool) -> Result<Like> {
        let pattern = if fold { pattern.to_lowercase() } else { pattern.to_string() };
        let mut items = vec![];
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            items.push(match c {
                c if Some(c) == escape => match chars.next() {
                    Some(c) => Item::Char(c),
                    None => {
                        let message = "LIKE pattern must not end with escape character";
                        return Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, message));
                    }
                },
                '%' => Item::Many,
                '_' => Item::One,
                c => Item::Char(c),
            });
        }
        Ok(Like { shape: Shape::new(&items), fold })
    }

    /// Whether the text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if self.fold {
            return self.shape.matches(&text.to_lowercase());
        }
        self.shape.matches(text)
    }
}

fn literal(items: &[Item]) -> Option<String> {
    items.iter().map(|i| if let Item::Char(c) = i { Some(*c) } else { None }).collect()
}

impl Shape {
    fn new(items: &[Item]) -> Shape {
        let start = items.first() != Some(&Item::Many);
        let end = items.last() != Some(&Item::Many);
        let parts: Vec<&[Item]> = items.split(|i| *i == Item::Many).filter(|p| !p.is_empty()).collect();
        match (&parts[..], start, end) {
            ([], true, true) => return Shape::Exact(String::new()),
            ([one], ..) => {
                if let Some(text) = literal(one) {
                    return match (start, end) {
                        (true, true) => Shape::Exact(text),
                        (true, false) => Shape::Prefix(text),
                        (false, true) => Shape::Suffix(text),
                        (false, false) => Shape::Contains(memmem::Finder::new(&text).into_owned()),
                    };
                }
            }
            _ => {}
        }
        let part = |items: &&[Item]| match literal(items) {
            Some(text) => Part::Literal(memmem::Finder::new(&text).into_owned()),
            None => Part::Wild(items.to_vec()),
        };
        Shape::Parts { parts: parts.iter().map(part).collect(), start, end }
    }

    #[inline]
    fn matches(&self, text: &str) -> bool {
        match self {
            Shape::Exact(p) => text == p,
            Shape::Prefix(p) => text.as_bytes().starts_with(p.as_bytes()),
            Shape::Suffix(p) => text.as_bytes().ends_with(p.as_bytes()),
            Shape::Contains(finder) => finder.find(text.as_bytes()).is_some(),
            Shape::Parts { parts, start, end } => matches_parts(parts, *start, *end, text),
        }
    }
}

fn matches_parts(parts: &[Part], start: bool, end: bool, mut text: &str) -> bool {
    let mut parts = parts;
    if start && let [first, rest @ ..] = parts {
        let Some(len) = first.prefix_len(text) else { return false };
        if rest.is_empty() && end {
            return len == text.len();
        }
        text = &text[len..];
        parts = rest;
    }
    let mut last = None;
    if end && let [rest @ .., part] = parts {
        last = Some(part);
        parts = rest;
    }
    for part in parts {
        let Some(after) = part.find_end(text) else { return false };
        text = &text[after..];
    }
    last.is_none_or(|part| part.is_suffix(text))
}

/// How many bytes of the text the items take at its start.
fn prefix_len(items: &[Item], text: &str) -> Option<usize> {
    let mut chars = text.chars();
    for item in items {
        let c = chars.next()?;
        if let Item::Char(expected) = item
            && c != *expected
        {
            return None;
        }
    }
    Some(text.len() - chars.as_str().len())
}

impl Part {
    fn prefix_len(&self, text: &str) -> Option<usize> {
        match self {
            Part::Literal(f) => text.as_bytes().starts_with(f.needle()).then_some(f.needle().len()),
            Part::Wild(items) => prefix_len(items, text),
        }
    }

    /// Where the first match ends.
    fn find_end(&self, text: &str) -> Option<usize> {
        match self {
            Part::Literal(f) => f.find(text.as_bytes()).map(|at| at + f.needle().len()),
            Part::Wild(items) => {
                let starts = text.char_indices().map(|(at, _)| at);
                starts.chain([text.len()]).find_map(|at| prefix_len(items, &text[at..]).map(|len| at + len))
            }
        }
    }

    fn is_suffix(&self, text: &str) -> bool {
        match self {
            Part::Literal(f) => text.as_bytes().ends_with(f.needle()),
            Part::Wild(items) => {
                let mut starts = text.char_indices().rev().map(|(at, _)| at);
                starts.nth(items.len() - 1).is_some_and(|at| prefix_len(items, &text[at..]).is_some())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, by backtracking.
    fn plain(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|n| plain(&text[n..], rest)),
            ['\\', c, rest @ ..] => text.first() == Some(c) && plain(&text[1..], rest),
            ['_', rest @ ..] => !text.is_empty() && plain(&text[1..], rest),
            [c, rest @ ..] => text.first() == Some(c) && plain(&text[1..], rest),
        }
    }

    proptest! {
        #[test]
        fn like_the_definition(text in "[abä]{0,8}", pattern in "([ab%_ä]|\\\\%){0,7}") {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            let expected = plain(&chars(&text), &chars(&pattern));
            let like = Like::new(&pattern, Some('\\'), false).unwrap();
            prop_assert_eq!(like.matches(&text), expected);
            let folded = Like::new(&pattern.to_uppercase(), Some('\\'), true).unwrap();
            prop_assert_eq!(folded.matches(&text.to_uppercase()), expected);
        }
    }

    #[test]
    fn escapes() {
        assert!(Like::new("a\\", Some('\\'), false).is_err());
        assert!(Like::new("a#%b", Some('#'), false).unwrap().matches("a%b"));
        assert!(Like::new("a\\%", None, false).unwrap().matches("a\\bc"));
        assert!(escape_char("ab").is_err());
    }
}
