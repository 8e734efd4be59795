//! Writes the values of one column of a batch, one at a time, in text or binary form.

use arrow::array::{Array, ArrayRef};
use spg_expr::Column;
use spg_types::{FormatSettings, Result, SqlType, ValueWriter};

/// A column's values as text or binary, by row. Dictionaries are written through their codes, constants once per row from one value.
pub struct CellWriter<'a> {
    write: ValueWriter<'a>,
    rows: Rows<'a>,
}

enum Rows<'a> {
    Flat(&'a ArrayRef),
    Coded(&'a arrow::array::UInt16Array, &'a ArrayRef),
    Constant(bool),
}

impl<'a> CellWriter<'a> {
    /// PostgreSQL's text form.
    pub fn text(column: &'a Column, ty: SqlType, settings: &'a FormatSettings) -> Result<Self> {
        Ok(Self { write: (ty.def.text_out)(values(column), ty, settings), rows: Rows::of(column) })
    }

    /// PostgreSQL's binary form, without its length.
    pub fn binary(column: &'a Column, ty: SqlType) -> Result<Self> {
        Ok(Self { write: (ty.def.binary_out)(values(column), ty), rows: Rows::of(column) })
    }

    /// Whether the row's value is NULL.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        match &self.rows {
            Rows::Flat(a) => a.is_null(row),
            Rows::Coded(keys, values) => {
                keys.is_null(row) || (values.null_count() > 0 && values.is_null(keys.value(row).into()))
            }
            Rows::Constant(null) => *null,
        }
    }

    /// Appends the row's value, which must not be NULL.
    #[inline]
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        let at = match &self.rows {
            Rows::Flat(_) => row,
            Rows::Coded(keys, _) => keys.value(row).into(),
            Rows::Constant(_) => 0,
        };
        (self.write)(at, out);
    }
}

/// The flat array that holds the distinct values.
fn values(column: &Column) -> &dyn Array {
    match column.dictionary() {
        Some(d) => d.values(),
        None => column.inner(),
    }
}

impl<'a> Rows<'a> {
    fn of(column: &'a Column) -> Self {
        match (column, column.dictionary()) {
            (_, Some(d)) => Rows::Coded(d.keys(), d.values()),
            (Column::Const(a), None) => Rows::Constant(a.is_null(0)),
            (Column::Array(a), None) => Rows::Flat(a),
        }
    }
}
