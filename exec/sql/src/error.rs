//! PostgreSQL's errors for what the tokenizer and the parser refuse.

use spg_types::{Error, SqlState};
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, TokenizerError};

use crate::position::{character, offset};

/// The error of a text that has no tokens.
pub(crate) fn from_tokenizer(text: &str, error: TokenizerError) -> Error {
    let message = error.message.to_lowercase();
    let start = token_start(text, error.location);
    let what = if message.contains("comment") {
        "unterminated /* comment"
    } else if message.contains("unterminated") && message.contains("dollar") {
        "unterminated dollar-quoted string"
    } else if message.contains("expected close delimiter") {
        "unterminated quoted identifier"
    } else if message.contains("unterminated") {
        "unterminated quoted string"
    } else if message.contains("unicode") {
        "invalid Unicode escape"
    } else {
        "syntax error"
    };
    let rest = text.get(start..).unwrap_or_default();
    let error = Error::new(SqlState::SYNTAX_ERROR, format!("{what} at or near \"{rest}\""));
    error.at(text.get(..start).unwrap_or(text).chars().count() + 1)
}

/// Where the token at a location begins: the tokenizer tells the first character behind an opening quote.
fn token_start(text: &str, location: Location) -> usize {
    offset(text, location).unwrap_or(text.len())
}

/// The error of tokens that are no statement. `current` is the token the parser stopped at.
pub(crate) fn from_parser(
    text: &str,
    tokens: &[TokenWithSpan],
    error: &ParserError,
    current: usize,
) -> Error {
    let message = match error {
        ParserError::RecursionLimitExceeded => return too_deep(),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let found_end = message.contains("found: EOF");
    let at = location(message);
    let token = match at {
        _ if found_end => None,
        Some(at) => tokens.iter().find(|t| t.span.start == at && !matches!(t.token, Token::Whitespace(_))),
        None => tokens[current.min(tokens.len())..].iter().find(|t| !matches!(t.token, Token::Whitespace(_))),
    };
    match token {
        Some(token) if token.token != Token::EOF => at_token(text, token),
        _ => at_end(text, tokens),
    }
}

/// The error where a statement ends too early: at its semicolon, or at the end of the text.
fn at_end(text: &str, tokens: &[TokenWithSpan]) -> Error {
    let last = tokens.iter().rfind(|t| !matches!(t.token, Token::Whitespace(_) | Token::EOF));
    let end = last.and_then(|t| offset(text, t.span.end)).unwrap_or(text.len());
    let rest = text.get(end..).unwrap_or_default();
    match rest.find(';') {
        Some(at) if rest[..at].trim().is_empty() => {
            let position = text[..end + at].chars().count() + 1;
            Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \";\"").at(position)
        }
        _ => Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of input").at(text.chars().count() + 1),
    }
}

/// `syntax error at or near` a token.
pub(crate) fn at_token(text: &str, token: &TokenWithSpan) -> Error {
    let (from, to) =
        (offset(text, token.span.start).unwrap_or(0), offset(text, token.span.end).unwrap_or(text.len()));
    let near = text.get(from..to).unwrap_or_default();
    let error = Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{near}\""));
    match character(text, token.span.start) {
        Some(position) => error.at(position),
        None => error,
    }
}

/// 54001, as PostgreSQL gives it.
pub(crate) fn too_deep() -> Error {
    Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .with_hint("Simplify the statement: its expressions or subqueries are nested too deeply.")
}

/// The location at the end of a parser's message: ` at Line: 1, Column: 8`.
fn location(message: &str) -> Option<Location> {
    let (_, tail) = message.rsplit_once(" at Line: ")?;
    let (line, column) = tail.split_once(", Column: ")?;
    Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
}
