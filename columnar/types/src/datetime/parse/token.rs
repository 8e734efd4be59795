//! Cuts the text of a date, time or interval into tokens, by their looks alone.

use super::Fault;
use crate::number::is_space;

/// What a token looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `1996-01-02`, `1/2/1996`, `02-Jan-1996`, `1996.123`: parts with `-`, `/` or `.` between them.
    Date,
    /// `12:30:00.5`
    Time,
    /// `1996`, `12.5`
    Number,
    /// `jan`, `now`, `utc`, in lower case.
    Word,
    /// `+infinity`, `-infinity`, in lower case.
    SignedWord,
    /// `-08:00`, `+5`, `-1.5`: a sign and digits.
    Signed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// The text; words in lower case, except those that may be the name of a zone.
    pub(super) text: String,
}

/// Longer tokens mean nothing in any calendar.
const MAX_BYTES: usize = 100;
const MAX_TOKENS: usize = 25;

struct Scanner<'a> {
    rest: &'a [u8],
    text: String,
}

impl Scanner<'_> {
    fn peek(&self) -> u8 {
        self.rest.first().copied().unwrap_or(0)
    }

    fn take(&mut self) {
        if let [c, rest @ ..] = self.rest {
            self.text.push(c.to_ascii_lowercase() as char);
            self.rest = rest;
        }
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) {
        while !self.rest.is_empty() && accept(self.peek()) {
            self.take();
        }
    }

    fn skip_space(&mut self) {
        while is_space(self.peek()) && !self.rest.is_empty() {
            self.rest = &self.rest[1..];
        }
    }
}

/// The tokens of a text. `is_word` tells the words that cannot begin the name of a zone.
pub(super) fn tokens(text: &str, is_word: fn(&str) -> bool) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    // Only ASCII means anything in a date; other characters are no part of any token.
    let mut scanner = Scanner { rest: text.as_bytes(), text: String::new() };
    loop {
        scanner.skip_space();
        if scanner.rest.is_empty() {
            return Ok(tokens);
        }
        let c = scanner.peek();
        let kind = match c {
            b'0'..=b'9' => number_like(&mut scanner),
            b'.' => {
                scanner.take();
                scanner.take_while(|c| c.is_ascii_digit());
                Kind::Number
            }
            b'a'..=b'z' | b'A'..=b'Z' => word_like(&mut scanner, is_word),
            b'+' | b'-' => signed(&mut scanner)?,
            b'!'..=b'~' => {
                // Other punctuation separates.
                scanner.rest = &scanner.rest[1..];
                continue;
            }
            _ => return Err(Fault::Format),
        };
        let text = std::mem::take(&mut scanner.text);
        if tokens.len() == MAX_TOKENS || text.len() > MAX_BYTES {
            return Err(Fault::Format);
        }
        tokens.push(Token { kind, text });
    }
}

fn number_like(s: &mut Scanner<'_>) -> Kind {
    s.take_while(|c| c.is_ascii_digit());
    match s.peek() {
        b':' => {
            s.take_while(|c| c.is_ascii_digit() || c == b':' || c == b'.');
            Kind::Time
        }
        delimiter @ (b'-' | b'/' | b'.') => {
            s.take();
            if s.peek().is_ascii_digit() {
                s.take_while(|c| c.is_ascii_digit());
                let again = s.peek() == delimiter;
                if again {
                    s.take_while(|c| c.is_ascii_digit() || c == delimiter);
                }
                // One point makes a fraction, two make a date.
                if delimiter == b'.' && !again { Kind::Number } else { Kind::Date }
            } else if delimiter == b'.' && !s.peek().is_ascii_alphabetic() {
                Kind::Number
            } else {
                s.take_while(|c| c.is_ascii_alphanumeric() || c == delimiter);
                Kind::Date
            }
        }
        _ => Kind::Number,
    }
}

fn word_like(s: &mut Scanner<'_>, is_word: fn(&str) -> bool) -> Kind {
    s.take_while(|c| c.is_ascii_alphabetic());
    // A month name may begin a date (jan-1-1996), any other word the name of a zone (Europe/Paris).
    let zone_like = match s.peek() {
        b'-' | b'/' | b'.' => true,
        b'+' => !is_word(&s.text),
        c => c.is_ascii_digit() && !is_word(&s.text),
    };
    if !zone_like && s.peek() != b'_' && s.peek() != b':' {
        return Kind::Word;
    }
    if s.peek() == b':' {
        return Kind::Word;
    }
    let known = is_word(&s.text);
    if known {
        let delimiter = s.peek();
        s.take();
        s.take_while(|c| c.is_ascii_alphanumeric() || c == delimiter);
    } else {
        s.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'/' | b'_' | b'.' | b':'));
    }
    // Parts after the first decide nothing about its being a date: the decoder tries a zone as well.
    if known { Kind::Date } else { Kind::Word }
}

fn signed(s: &mut Scanner<'_>) -> Result<Kind, Fault> {
    s.take();
    s.skip_space();
    if s.peek().is_ascii_digit() {
        s.take_while(|c| c.is_ascii_digit() || matches!(c, b':' | b'.' | b'-'));
        Ok(Kind::Signed)
    } else if s.peek().is_ascii_alphabetic() {
        s.take_while(|c| c.is_ascii_alphabetic());
        Ok(Kind::SignedWord)
    } else {
        Err(Fault::Format)
    }
}
