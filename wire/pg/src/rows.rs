//! Rows from arrays to DataRow messages, without a value object per cell and without allocating per row.
//!
//! One writer per column and batch: a constant is encoded once, a dictionary once per value (when the batch is long
//! enough for that to pay), everything else through its type's writer.

use arrow::array::{Array, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::UInt16Type;
use spg_session::Column;
use spg_types::{Error, FormatSettings, Result, SqlState, SqlType, ValueWriter};

/// PostgreSQL's limit on one message.
const ROW_BYTES_MAX: usize = 0x3fff_ffff;
const NULL: [u8; 4] = (-1i32).to_be_bytes();

/// The format code of column `i`: none given means text, one given applies to all.
pub(crate) fn format_of(formats: &[i16], i: usize) -> i16 {
    match formats {
        [] => 0,
        [one] => *one,
        each => each.get(i).copied().unwrap_or(0),
    }
}

/// Encodes the rows of one batch.
pub(crate) struct RowEncoder<'a> {
    cells: Vec<Cell<'a>>,
}

/// How one column's cells are written: each with its length word.
enum Cell<'a> {
    /// The same bytes in every row.
    Constant(Vec<u8>),
    /// A value per row.
    Flat { write: ValueWriter<'a>, nulls: Option<&'a NullBuffer> },
    /// Few rows over a dictionary: the value is written when it is met.
    Lookup { write: ValueWriter<'a>, values: &'a dyn Array, keys: &'a [u16], nulls: Option<&'a NullBuffer> },
    /// Many rows over a dictionary: value `c` is `bytes[ends[c]..ends[c + 1]]`, length word included.
    Dictionary { bytes: Vec<u8>, ends: Vec<usize>, keys: &'a [u16], nulls: Option<&'a NullBuffer> },
}

impl<'a> RowEncoder<'a> {
    /// An encoder for `rows` rows of `columns`, whose types and formats (as in Bind) are given.
    pub(crate) fn new(
        columns: &'a [Column],
        types: impl Iterator<Item = SqlType>,
        formats: &[i16],
        rows: usize,
        settings: &'a FormatSettings,
    ) -> Self {
        let cell = |(i, (column, ty))| Cell::new(column, ty, format_of(formats, i) == 1, rows, settings);
        Self { cells: columns.iter().zip(types).enumerate().map(cell).collect() }
    }

    /// Appends row `row` as a DataRow; 54000 when it is longer than a message may be.
    #[inline]
    pub(crate) fn encode(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        out.extend_from_slice(&[b'D', 0, 0, 0, 0]);
        out.extend_from_slice(&(self.cells.len() as u16).to_be_bytes());
        for cell in &self.cells {
            cell.write(row, out);
        }
        let length = out.len() - start - 1;
        if length > ROW_BYTES_MAX {
            out.truncate(start);
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too large for a message")
                .with_detail(format!("The row takes {length} bytes, the limit is {ROW_BYTES_MAX}.")));
        }
        out[start + 1..start + 5].copy_from_slice(&(length as u32).to_be_bytes());
        Ok(())
    }
}

impl<'a> Cell<'a> {
    fn new(column: &'a Column, ty: SqlType, binary: bool, rows: usize, settings: &'a FormatSettings) -> Self {
        let writer = |array: &'a dyn Array| -> ValueWriter<'a> {
            if binary { (ty.def.binary_out)(array, ty) } else { (ty.def.text_out)(array, ty, settings) }
        };
        match column {
            Column::Const(value) => {
                let mut bytes = Vec::new();
                append(value.as_ref(), &writer(value.as_ref()), 0, &mut bytes);
                Cell::Constant(bytes)
            }
            Column::Array(array) => match array.as_dictionary_opt::<UInt16Type>() {
                None => Cell::Flat {
                    write: writer(array.as_ref()),
                    nulls: array.nulls().filter(|n| n.null_count() > 0),
                },
                Some(dictionary) => {
                    let (keys, nulls) = (&dictionary.keys().values()[..], dictionary.nulls());
                    let values: &'a dyn Array = dictionary.values().as_ref();
                    let write = writer(values);
                    if rows < values.len() {
                        return Cell::Lookup { write, values, keys, nulls };
                    }
                    let mut bytes = Vec::new();
                    let mut ends = vec![0];
                    for code in 0..values.len() {
                        append(values, &write, code, &mut bytes);
                        ends.push(bytes.len());
                    }
                    Cell::Dictionary { bytes, ends, keys, nulls }
                }
            },
        }
    }

    #[inline]
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Cell::Constant(bytes) => out.extend_from_slice(bytes),
            Cell::Flat { write, nulls } => {
                if is_null(nulls, row) {
                    out.extend_from_slice(&NULL)
                } else {
                    value(write, row, out)
                }
            }
            Cell::Lookup { write, values, keys, nulls } => {
                if is_null(nulls, row) {
                    out.extend_from_slice(&NULL);
                } else {
                    append(*values, write, keys[row].into(), out);
                }
            }
            Cell::Dictionary { bytes, ends, keys, nulls } => {
                if is_null(nulls, row) {
                    out.extend_from_slice(&NULL);
                } else {
                    let code = usize::from(keys[row]);
                    out.extend_from_slice(&bytes[ends[code]..ends[code + 1]]);
                }
            }
        }
    }
}

#[inline]
fn is_null(nulls: &Option<&NullBuffer>, row: usize) -> bool {
    nulls.is_some_and(|n| n.is_null(row))
}

/// A value that may be NULL, with its length word.
fn append(array: &dyn Array, write: &ValueWriter<'_>, row: usize, out: &mut Vec<u8>) {
    if array.is_null(row) { out.extend_from_slice(&NULL) } else { value(write, row, out) }
}

/// A value with its length word.
#[inline]
fn value(write: &ValueWriter<'_>, row: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(row, out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, DictionaryArray, Int32Array, StringViewArray, UInt16Array};
    use spg_types::def;

    use super::*;

    /// Rows as texts, decoded by hand.
    fn rows(
        columns: &[Column],
        types: &[SqlType],
        formats: &[i16],
        count: usize,
    ) -> Vec<Vec<Option<Vec<u8>>>> {
        let settings = FormatSettings::default();
        let encoder = RowEncoder::new(columns, types.iter().copied(), formats, count, &settings);
        (0..count)
            .map(|row| {
                let mut out = Vec::new();
                encoder.encode(row, &mut out).unwrap();
                assert_eq!(out[0], b'D');
                assert_eq!(u32::from_be_bytes(out[1..5].try_into().unwrap()) as usize, out.len() - 1);
                let mut at = 7;
                let mut cells = vec![];
                while at < out.len() {
                    let length = i32::from_be_bytes(out[at..at + 4].try_into().unwrap());
                    at += 4;
                    cells.push((length >= 0).then(|| out[at..at + length as usize].to_vec()));
                    at += length.max(0) as usize;
                }
                assert_eq!(cells.len(), columns.len());
                cells
            })
            .collect()
    }

    #[test]
    fn flat_constant_and_dictionary_columns() {
        let ints: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None, Some(-1)]));
        let keys = UInt16Array::from(vec![Some(1), Some(0), None]);
        let values = Arc::new(StringViewArray::from(vec!["aa", "b"]));
        let dictionary: ArrayRef = Arc::new(DictionaryArray::new(keys, values));
        let constant: ArrayRef = Arc::new(StringViewArray::from(vec!["c"]));
        let null: ArrayRef = Arc::new(StringViewArray::from(vec![None::<&str>]));
        let text = SqlType::new(&def::TEXT);
        let types = [SqlType::new(&def::INT4), text, text, text];
        let columns =
            [Column::Array(ints), Column::Array(dictionary), Column::Const(constant), Column::Const(null)];
        let cell = |s: &str| Some(s.as_bytes().to_vec());
        let expected = [
            vec![cell("7"), cell("b"), cell("c"), None],
            vec![None, cell("aa"), cell("c"), None],
            vec![cell("-1"), None, cell("c"), None],
        ];
        assert_eq!(rows(&columns, &types, &[], 3), expected);
        // One row over two values takes the other way through the dictionary.
        assert_eq!(rows(&columns, &types, &[], 1), expected[..1]);
        let binary = rows(&columns, &types, &[1, 0, 1, 1], 1);
        assert_eq!(binary[0][0], Some(vec![0, 0, 0, 7]));
        assert_eq!(rows(&columns, &types, &[1], 1)[0][0], Some(vec![0, 0, 0, 7]));
    }
}
