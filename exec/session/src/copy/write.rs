//! COPY TO: columns to text.

use memchr::{memchr2, memchr3};
use spg_expr::Column;
use spg_types::{FormatSettings, Result, SqlType};

use super::CopyFormat;
use crate::CellWriter;

/// Writes result batches as records.
pub(super) struct RecordWriter {
    columns: Vec<(String, SqlType)>,
    format: CopyFormat,
    settings: FormatSettings,
}

impl RecordWriter {
    pub(super) fn new(columns: Vec<(String, SqlType)>, format: CopyFormat, settings: FormatSettings) -> Self {
        Self { columns, format, settings }
    }

    /// The line of column names.
    pub(super) fn header(&self, out: &mut Vec<u8>) {
        for (i, (name, _)) in self.columns.iter().enumerate() {
            if i > 0 {
                out.push(self.format.delimiter);
            }
            let start = out.len();
            out.extend_from_slice(name.as_bytes());
            if self.format.csv {
                self.quote_if_needed(start, false, out);
            } else {
                self.escape_text(start, out);
            }
        }
        out.push(b'\n');
    }

    /// Appends every row of a batch, and where each ends.
    pub(super) fn rows(
        &self,
        columns: &[Column],
        rows: usize,
        out: &mut Vec<u8>,
        row_ends: &mut Vec<usize>,
    ) -> Result<()> {
        let cells: Vec<(CellWriter<'_>, bool, bool)> = columns
            .iter()
            .zip(&self.columns)
            .enumerate()
            .map(|(i, (column, (_, ty)))| {
                let force = self.format.force_quote.get(i).copied().unwrap_or(false);
                Ok((CellWriter::text(column, *ty, &self.settings)?, self.may_need_care(*ty), force))
            })
            .collect::<Result<_>>()?;
        let sole = columns.len() == 1;
        for row in 0..rows {
            for (i, (cell, care, force)) in cells.iter().enumerate() {
                if i > 0 {
                    out.push(self.format.delimiter);
                }
                if cell.is_null(row) {
                    out.extend_from_slice(self.format.null.as_bytes());
                    continue;
                }
                let start = out.len();
                cell.write(row, out);
                if self.format.csv {
                    if *force || *care {
                        // A lone field that reads as the end of the data is quoted.
                        self.quote_if_needed(start, *force || (sole && &out[start..] == b"\\."), out);
                    }
                } else if *care {
                    self.escape_text(start, out);
                }
            }
            out.push(b'\n');
            row_ends.push(out.len());
        }
        Ok(())
    }

    /// Whether values of the type may hold characters that the format treats specially (or the NULL string).
    fn may_need_care(&self, ty: SqlType) -> bool {
        use spg_types::Repr::{Bool, Date, Decimal64, Decimal128, Int16, Int32, Int64};
        let plain =
            matches!(ty.repr(), Bool | Int16 | Int32 | Int64 | Decimal64 { .. } | Decimal128 { .. } | Date);
        let usual = matches!(self.format.delimiter, b',' | b'\t' | b'|' | b';')
            && (!self.format.csv
                || (self.format.quote == b'"' && matches!(self.format.null.as_str(), "" | "\\N" | "NULL")));
        let iso = ty.repr() != Date || self.settings.date_format == spg_types::DateFormat::Iso;
        !(plain && usual && iso)
    }

    /// Quotes the field from `start` on, when its content asks for it.
    fn quote_if_needed(&self, start: usize, force: bool, out: &mut Vec<u8>) {
        let (quote, escape) = (self.format.quote, self.format.escape);
        let field = &out[start..];
        let needed = force
            || field == self.format.null.as_bytes()
            || memchr3(self.format.delimiter, quote, b'\n', field).is_some()
            || memchr2(b'\r', escape, field).is_some();
        if !needed {
            return;
        }
        let field = out.split_off(start);
        out.push(quote);
        for b in field {
            if b == quote || b == escape {
                out.push(escape);
            }
            out.push(b);
        }
        out.push(quote);
    }

    /// Escapes the field from `start` on for the text format.
    fn escape_text(&self, start: usize, out: &mut Vec<u8>) {
        let special = |b: &u8| *b == b'\\' || *b == self.format.delimiter || matches!(*b, 8..=13);
        if !out[start..].iter().any(special) {
            return;
        }
        let field = out.split_off(start);
        for b in field {
            match b {
                8 => out.extend_from_slice(b"\\b"),
                9 => out.extend_from_slice(b"\\t"),
                10 => out.extend_from_slice(b"\\n"),
                11 => out.extend_from_slice(b"\\v"),
                12 => out.extend_from_slice(b"\\f"),
                13 => out.extend_from_slice(b"\\r"),
                b if special(&b) => out.extend_from_slice(&[b'\\', b]),
                b => out.push(b),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, StringViewArray};
    use spg_types::def;

    fn check(format: CopyFormat, expected: &str) {
        let columns =
            vec![("a".to_owned(), SqlType::new(&def::INT4)), ("b".to_owned(), SqlType::new(&def::TEXT))];
        let w = RecordWriter::new(columns, format, FormatSettings::default());
        let a: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
        let b: ArrayRef = Arc::new(StringViewArray::from(vec![Some("x,\"y\"\t\\"), Some(""), None]));
        let mut out = vec![];
        w.header(&mut out);
        w.rows(&[Column::Array(a), Column::Array(b)], 3, &mut out, &mut vec![]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        check(CopyFormat::csv(2), "a,b\n1,\"x,\"\"y\"\"\t\\\"\n,\"\"\n3,\n");
    }

    #[test]
    fn text_escapes_what_needs_it() {
        check(CopyFormat::text(2), "a\tb\n1\tx,\"y\"\\t\\\\\n\\N\t\n3\t\\N\n");
    }
}
