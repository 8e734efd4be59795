//! The rows of a relation while they are made.

use arrow::array::ArrayRef;
use spg_expr::SystemColumn;
use spg_types::{ColumnBuilder, Datum, Error, Result, SqlType};

/// Rows so far.
pub(crate) struct Rows(Vec<ColumnBuilder>);

impl Rows {
    pub(crate) fn new(columns: &[SystemColumn]) -> Self {
        Self(columns.iter().map(|c| ColumnBuilder::new(SqlType::new(c.ty), 0)).collect())
    }

    /// Adds a row: a value per column. XX000 for another number of them.
    pub(crate) fn push<const N: usize>(&mut self, row: [Datum; N]) -> Result<()> {
        if N != self.0.len() {
            return Err(Error::internal(format!("{N} values for {} columns", self.0.len())));
        }
        self.0.iter_mut().zip(&row).try_for_each(|(column, value)| column.append_datum(value))
    }

    pub(crate) fn finish(mut self) -> Vec<ArrayRef> {
        self.0.iter_mut().map(ColumnBuilder::finish).collect()
    }
}

/// A count as a bigint.
pub(crate) fn count(n: u64) -> Datum {
    Datum::Int64(i64::try_from(n).unwrap_or(i64::MAX))
}

pub(crate) fn text(s: &str) -> Datum {
    Datum::Text(s.into())
}

/// NULL for nothing.
pub(crate) fn optional<T>(value: Option<T>, datum: impl FnOnce(T) -> Datum) -> Datum {
    value.map_or(Datum::Null, datum)
}
