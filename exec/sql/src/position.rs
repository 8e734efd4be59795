//! From sqlparser's lines and columns to places in the text.

use sqlparser::tokenizer::Location;

/// The 1-based character position of a location; `None` for the empty location.
pub(crate) fn character(text: &str, location: Location) -> Option<usize> {
    let line_start = line_start(text, location.line)?;
    let column = usize::try_from(location.column).ok()?;
    Some(text[..line_start].chars().count() + column)
}

/// The byte offset of a location; the text's end for what lies behind it, `None` for the empty location.
pub fn offset(text: &str, location: Location) -> Option<usize> {
    let line_start = line_start(text, location.line)?;
    let column = usize::try_from(location.column.checked_sub(1)?).ok()?;
    let line = &text[line_start..];
    Some(line_start + line.char_indices().nth(column).map_or(line.len(), |(at, _)| at))
}

fn line_start(text: &str, line: u64) -> Option<usize> {
    match line {
        0 => None,
        1 => Some(0),
        n => {
            let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
            Some(breaks.map(|(at, _)| at + 1).nth(usize::try_from(n - 2).ok()?).unwrap_or(text.len()))
        }
    }
}
