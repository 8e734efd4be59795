//! COPY FROM: text to columns. Each piece holds whole records and is parsed on its own, on any thread.

use std::borrow::Cow;
use std::fmt::Write;

use arrow::array::ArrayRef;
use memchr::{memchr, memchr2};
use spg_types::{ColumnBuilder, Error, FormatSettings, Result, SqlState, SqlType};

use super::{CopyFormat, Header};

/// What is parsed: the columns in the order in which fields come.
#[derive(Debug)]
pub(super) struct RecordLayout {
    /// The table's name, for messages.
    pub table: String,
    /// Names and types of the columns copied.
    pub columns: Vec<(String, SqlType)>,
    /// How records look.
    pub format: CopyFormat,
    /// How values read.
    pub settings: FormatSettings,
}

/// Columns parsed from one piece.
pub(super) struct Parsed {
    /// One array per column.
    pub columns: Vec<ArrayRef>,
    /// Rows in them.
    pub rows: usize,
    /// Lines in the piece.
    pub lines: u64,
    /// Whether the end-of-data marker `\.` was met: what follows is ignored.
    pub ended: bool,
}

/// One field as it stands.
enum Field<'a> {
    Null,
    Value(Cow<'a, str>),
}

/// Where a field ended.
#[derive(PartialEq)]
enum Stop {
    Delimiter,
    Record,
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    line: u64,
    record_start: usize,
}

impl RecordLayout {
    /// Parses a piece that starts at `first_line` (from 1). The first piece of a COPY has the header.
    pub(super) fn parse(&self, piece: &[u8], first_line: u64) -> Result<Parsed> {
        let text = valid_text(piece).map_err(|(e, at)| {
            let line = first_line + memchr::memchr_iter(b'\n', &piece[..at]).count() as u64;
            e.with_context(format!("COPY {}, line {line}", self.table))
        })?;
        let estimate = text.len() / (self.columns.len() * 8).max(16) + 1;
        let mut builders: Vec<ColumnBuilder> =
            self.columns.iter().map(|(_, ty)| ColumnBuilder::new(*ty, estimate)).collect();
        let mut cursor = Cursor { text, at: 0, line: first_line, record_start: 0 };
        let quoted = self.format.csv && memchr(self.format.quote, piece).is_some();
        let mut rows = 0;
        let mut ended = false;
        if first_line == 1 && self.format.header != Header::None && !text.is_empty() {
            self.header(&mut cursor, quoted)?;
        }
        while cursor.at < text.len() {
            cursor.record_start = cursor.at;
            if self.at_end_marker(&cursor) {
                ended = true;
                break;
            }
            self.record(&mut cursor, quoted, &mut builders)?;
            rows += 1;
        }
        let columns = builders.iter_mut().map(ColumnBuilder::finish).collect();
        Ok(Parsed { columns, rows, lines: cursor.line - first_line, ended })
    }

    fn at_end_marker(&self, c: &Cursor<'_>) -> bool {
        let rest = &c.text.as_bytes()[c.at..];
        rest.starts_with(b"\\.") && matches!(rest.get(2), None | Some(b'\n' | b'\r'))
    }

    fn record(&self, c: &mut Cursor<'_>, quoted: bool, builders: &mut [ColumnBuilder]) -> Result<()> {
        let line = c.line;
        let last = self.columns.len().saturating_sub(1);
        if self.columns.is_empty() {
            let (_, stop) = self.field(c, 0, quoted)?;
            return if stop == Stop::Record { Ok(()) } else { Err(self.extra_data(c, line)) };
        }
        for (i, builder) in builders.iter_mut().enumerate() {
            let (field, stop) = self.field(c, i, quoted)?;
            match field {
                Field::Null => builder.append_null(),
                Field::Value(text) => {
                    let ty = self.columns[i].1;
                    if let Err(e) = (ty.def.text_in)(&text, ty, &self.settings, builder) {
                        return Err(e.with_context(self.context(line, Some((i, &text)))));
                    }
                }
            }
            match (stop, i == last) {
                (Stop::Delimiter, true) => return Err(self.extra_data(c, line)),
                (Stop::Record, false) => {
                    return Err(self.malformed(
                        c,
                        line,
                        format!("missing data for column \"{}\"", self.columns[i + 1].0),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn header(&self, c: &mut Cursor<'_>, quoted: bool) -> Result<()> {
        let mut i = 0;
        loop {
            let (field, stop) = self.field(c, i, quoted)?;
            if self.format.header == Header::Match {
                let name = match &field {
                    Field::Null => "",
                    Field::Value(v) => v,
                };
                let Some((expected, _)) = self.columns.get(i) else {
                    return Err(self.malformed(c, 1, "wrong number of fields in header line".into()));
                };
                if name != expected {
                    let what = format!(
                        "column name mismatch in header line field {}: got \"{name}\", expected \"{expected}\"",
                        i + 1
                    );
                    return Err(self.malformed(c, 1, what));
                }
            }
            i += 1;
            if stop == Stop::Record {
                break;
            }
        }
        if self.format.header == Header::Match && i != self.columns.len() {
            return Err(self.malformed(c, 1, "wrong number of fields in header line".into()));
        }
        Ok(())
    }

    /// The next field; moves past what ended it.
    fn field<'a>(&self, c: &mut Cursor<'a>, column: usize, quoted: bool) -> Result<(Field<'a>, Stop)> {
        if self.format.csv {
            if quoted { self.csv_field(c, column) } else { self.plain_csv_field(c, column) }
        } else {
            self.text_field(c)
        }
    }

    /// A csv field in a piece without quotes.
    fn plain_csv_field<'a>(&self, c: &mut Cursor<'a>, column: usize) -> Result<(Field<'a>, Stop)> {
        let rest = &c.text.as_bytes()[c.at..];
        let (end, stop) = match memchr2(self.format.delimiter, b'\n', rest) {
            Some(i) if rest[i] == b'\n' => (i, Stop::Record),
            Some(i) => (i, Stop::Delimiter),
            None => (rest.len(), Stop::Record),
        };
        let start = c.at;
        let mut value = &c.text[start..start + end];
        c.at = (start + end + 1).min(c.text.len());
        if stop == Stop::Record {
            c.line += 1;
            value = self.without_carriage_return(value, c)?;
        }
        Ok((self.csv_value(Cow::Borrowed(value), false, column), stop))
    }

    fn csv_value<'a>(&self, value: Cow<'a, str>, was_quoted: bool, column: usize) -> Field<'a> {
        let flag = |flags: &[bool]| flags.get(column).copied().unwrap_or(false);
        let may_be_null =
            if was_quoted { flag(&self.format.force_null) } else { !flag(&self.format.force_not_null) };
        let null = may_be_null && value == self.format.null;
        if null { Field::Null } else { Field::Value(value) }
    }

    fn without_carriage_return<'a>(&self, value: &'a str, c: &Cursor<'_>) -> Result<&'a str> {
        let value = value.strip_suffix('\r').unwrap_or(value);
        if memchr(b'\r', value.as_bytes()).is_some() {
            return Err(self
                .malformed(c, c.line - 1, "unquoted carriage return found in data".into())
                .with_hint("Use quoted CSV field to represent carriage return."));
        }
        Ok(value)
    }

    /// A csv field that may be quoted, in whole or in part.
    fn csv_field<'a>(&self, c: &mut Cursor<'a>, column: usize) -> Result<(Field<'a>, Stop)> {
        let bytes = c.text.as_bytes();
        let (quote, escape) = (self.format.quote, self.format.escape);
        let first_line = c.line;
        if bytes.get(c.at) != Some(&quote) {
            let rest = &bytes[c.at..];
            let end = memchr2(self.format.delimiter, b'\n', rest).unwrap_or(rest.len());
            if memchr(quote, &rest[..end]).is_none() {
                return self.plain_csv_field(c, column);
            }
        }
        let mut value = String::new();
        let mut was_quoted = false;
        let mut in_quotes = false;
        let mut run = c.at;
        let mut at = c.at;
        let stop = loop {
            let Some(&b) = bytes.get(at) else {
                if in_quotes {
                    return Err(self.malformed(c, first_line, "unterminated CSV quoted field".into()));
                }
                break Stop::Record;
            };
            if in_quotes {
                if b == escape && bytes.get(at + 1).is_some_and(|n| *n == quote || *n == escape) {
                    value.push_str(&c.text[run..at]);
                    run = at + 1;
                    at += 2;
                    continue;
                }
                if b == quote {
                    value.push_str(&c.text[run..at]);
                    run = at + 1;
                    in_quotes = false;
                } else if b == b'\n' {
                    c.line += 1;
                }
            } else if b == quote {
                value.push_str(&c.text[run..at]);
                run = at + 1;
                in_quotes = true;
                was_quoted = true;
            } else if b == self.format.delimiter {
                break Stop::Delimiter;
            } else if b == b'\n' {
                break Stop::Record;
            }
            at += 1;
        };
        let tail = &c.text[run..at];
        c.at = (at + 1).min(c.text.len());
        if stop == Stop::Record {
            c.line += 1;
            value.push_str(self.without_carriage_return(tail, c)?);
        } else {
            value.push_str(tail);
        }
        Ok((self.csv_value(Cow::Owned(value), was_quoted, column), stop))
    }

    fn text_field<'a>(&self, c: &mut Cursor<'a>) -> Result<(Field<'a>, Stop)> {
        let bytes = c.text.as_bytes();
        let start = c.at;
        let mut at = start;
        let mut escapes = false;
        let mut newlines = 0;
        let stop = loop {
            match memchr::memchr3(self.format.delimiter, b'\n', b'\\', &bytes[at..]) {
                None => {
                    at = bytes.len();
                    break Stop::Record;
                }
                Some(i) => {
                    at += i;
                    if bytes[at] == b'\\' && self.format.delimiter != b'\\' {
                        escapes = true;
                        newlines += u64::from(bytes.get(at + 1) == Some(&b'\n'));
                        at = (at + 2).min(bytes.len());
                    } else if bytes[at] == b'\n' {
                        break Stop::Record;
                    } else {
                        break Stop::Delimiter;
                    }
                }
            }
        };
        // An escape before a character of several bytes ends inside it: the whole character belongs to the field.
        let mut value = &c.text[start..at];
        c.at = (at + 1).min(bytes.len());
        c.line += newlines;
        if stop == Stop::Record {
            c.line += 1;
            value = value.strip_suffix('\r').unwrap_or(value);
            if memchr(b'\r', value.as_bytes()).is_some() {
                return Err(self
                    .malformed(c, c.line - 1, "literal carriage return found in data".into())
                    .with_hint("Use \"\\r\" to represent carriage return."));
            }
        }
        if value == self.format.null {
            return Ok((Field::Null, stop));
        }
        let value = if escapes { Cow::Owned(self.unescape(value)?) } else { Cow::Borrowed(value) };
        Ok((Field::Value(value), stop))
    }

    /// Backslash sequences of the text format.
    fn unescape(&self, value: &str) -> Result<String> {
        let mut out = Vec::with_capacity(value.len());
        let mut rest = value.as_bytes().iter().copied().peekable();
        while let Some(b) = rest.next() {
            if b != b'\\' {
                out.push(b);
                continue;
            }
            let Some(e) = rest.next() else {
                out.push(b'\\');
                break;
            };
            let digits = |rest: &mut std::iter::Peekable<_>, first: u32, base: u32, most: usize| {
                let mut v = first;
                for _ in 0..most {
                    let next: Option<&u8> = std::iter::Peekable::peek(rest);
                    let Some(d) = next.and_then(|b| char::from(*b).to_digit(base)) else { break };
                    v = v * base + d;
                    let _: Option<u8> = Iterator::next(rest);
                }
                v as u8
            };
            match e {
                b'b' => out.push(8),
                b'f' => out.push(12),
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                b't' => out.push(b'\t'),
                b'v' => out.push(11),
                b'0'..=b'7' => out.push(digits(&mut rest, u32::from(e - b'0'), 8, 2)),
                b'x' if rest.peek().is_some_and(u8::is_ascii_hexdigit) => {
                    out.push(digits(&mut rest, 0, 16, 2))
                }
                other => out.push(other),
            }
        }
        match valid_text(&out) {
            Ok(_) => String::from_utf8(out).map_err(|e| Error::internal(e.to_string())),
            Err((e, _)) => Err(e),
        }
    }

    fn extra_data(&self, c: &Cursor<'_>, line: u64) -> Error {
        self.malformed(c, line, "extra data after last expected column".into())
    }

    /// 22P04 about the record that the cursor is in.
    fn malformed(&self, c: &Cursor<'_>, line: u64, message: String) -> Error {
        let rest = &c.text[c.record_start..];
        let record = rest.split('\n').next().unwrap_or(rest).trim_end_matches('\r');
        let context = format!("{}: \"{}\"", self.context(line, None), shortened(record));
        Error::new(SqlState::BAD_COPY_FILE_FORMAT, message).with_context(context)
    }

    fn context(&self, line: u64, column: Option<(usize, &str)>) -> String {
        let mut s = format!("COPY {}, line {line}", self.table);
        if let Some((i, value)) = column {
            // Writing to a String cannot fail.
            let _ = write!(s, ", column {}: \"{}\"", self.columns[i].0, shortened(value));
        }
        s
    }
}

/// At most 100 characters of user data in messages, as PostgreSQL cuts them.
fn shortened(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(100) {
        Some((i, _)) => Cow::Owned(format!("{}...", &value[..i])),
        None => Cow::Borrowed(value),
    }
}

/// The bytes as text: UTF-8 without NUL, or 22021 and where it fails.
fn valid_text(bytes: &[u8]) -> Result<&str, (Error, usize)> {
    let invalid = |at: usize, len: usize| {
        let mut message = String::from("invalid byte sequence for encoding \"UTF8\":");
        for b in &bytes[at..(at + len).min(bytes.len())] {
            // Writing to a String cannot fail.
            let _ = write!(message, " 0x{b:02x}");
        }
        (Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message), at)
    };
    if let Some(at) = memchr(0, bytes) {
        return Err(invalid(at, 1));
    }
    std::str::from_utf8(bytes).map_err(|e| invalid(e.valid_up_to(), e.error_len().unwrap_or(4)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use spg_types::{Datum, def};

    fn layout(format: CopyFormat) -> RecordLayout {
        let columns = vec![("a".into(), SqlType::new(&def::INT4)), ("b".into(), SqlType::new(&def::TEXT))];
        RecordLayout { table: "t".into(), columns, format, settings: FormatSettings::default() }
    }

    fn rows(p: &Parsed) -> Vec<(Datum, Datum)> {
        (0..p.rows)
            .map(|i| {
                (Datum::from_array(&p.columns[0], i).unwrap(), Datum::from_array(&p.columns[1], i).unwrap())
            })
            .collect()
    }

    fn text(s: &str) -> Datum {
        Datum::Text(s.into())
    }

    #[test]
    fn csv_fields_quotes_and_nulls() {
        let p = layout(CopyFormat::csv(2)).parse(b"1,x\r\n2,\"a \"\"b\"\",\nc\"\n,\n3,\"\"\n", 1).unwrap();
        assert_eq!(
            rows(&p),
            vec![
                (Datum::Int32(1), text("x")),
                (Datum::Int32(2), text("a \"b\",\nc")),
                (Datum::Null, Datum::Null),
                (Datum::Int32(3), text("")),
            ]
        );
        assert_eq!(p.lines, 5);
    }

    #[test]
    fn text_escapes() {
        let p = layout(CopyFormat::text(2))
            .parse(b"1\ta\\tb\\\\\\x41\\101\n\\N\t\\N\n7\t\xc3\xa9\\\xc3\xa9\n\\.\nrest", 1)
            .unwrap();
        assert_eq!(
            rows(&p),
            vec![
                (Datum::Int32(1), text("a\tb\\AA")),
                (Datum::Null, Datum::Null),
                (Datum::Int32(7), text("éé"))
            ]
        );
        assert!(p.ended);
    }

    #[test]
    fn errors_name_table_line_and_column() {
        let check = |format, data: &[u8], state, message: &str, context: &str| {
            let Err(e) = layout(format).parse(data, 1) else { panic!("no error for {data:?}") };
            assert_eq!((e.state(), e.message(), e.context()), (state, message, Some(context)));
        };
        let bad = SqlState::BAD_COPY_FILE_FORMAT;
        check(CopyFormat::csv(2), b"1,x\n2\n", bad, "missing data for column \"b\"", "COPY t, line 2: \"2\"");
        check(
            CopyFormat::csv(2),
            b"1,x,y\n",
            bad,
            "extra data after last expected column",
            "COPY t, line 1: \"1,x,y\"",
        );
        check(
            CopyFormat::csv(2),
            b"1,\"x\n",
            bad,
            "unterminated CSV quoted field",
            "COPY t, line 1: \"1,\"x\"",
        );
        check(
            CopyFormat::csv(2),
            b"1,x\nq,y\n",
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type integer: \"q\"",
            "COPY t, line 2, column a: \"q\"",
        );
        check(
            CopyFormat::csv(2),
            b"1,x\n2,\xff\n",
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0xff",
            "COPY t, line 2",
        );
    }

    #[test]
    fn headers_are_skipped_or_matched() {
        let named = CopyFormat { header: Header::Match, ..CopyFormat::csv(2) };
        assert_eq!(layout(named.clone()).parse(b"a,b\n1,x\n", 1).unwrap().rows, 1);
        assert!(layout(named).parse(b"a,c\n1,x\n", 1).is_err());
        let skipped = CopyFormat { header: Header::Names, ..CopyFormat::csv(2) };
        assert_eq!(layout(skipped).parse(b"p,q,r\n1,x\n", 1).unwrap().rows, 1);
    }
}
