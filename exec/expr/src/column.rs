//! A column of a batch: an array, or one value that stands for every row.

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, UInt16Type};
use spg_types::{Datum, Error, Result, SqlType};

/// A column as it flows through expressions and operators.
#[derive(Clone, Debug)]
pub enum Column {
    /// One value per row; flat, or `Dictionary(UInt16, Utf8View)`.
    Array(ArrayRef),
    /// One value (an array of length one, flat) for every row.
    Const(ArrayRef),
}

impl Column {
    /// The constant column of a value.
    pub fn constant(value: &Datum, ty: SqlType) -> Result<Column> {
        Ok(Column::Const(value.to_array(ty)?))
    }

    /// As an array of `rows` rows, still dictionary-encoded where it was.
    pub fn to_array(&self, rows: usize) -> Result<ArrayRef> {
        match self {
            Column::Array(a) => Ok(a.clone()),
            Column::Const(a) => Ok(take(a, &UInt32Array::from_value(0, rows), None)?),
        }
    }

    /// As a flat array of `rows` rows: dictionaries are decoded.
    pub fn to_flat(&self, rows: usize) -> Result<ArrayRef> {
        flatten(&self.to_array(rows)?)
    }

    /// The rows at `indices`, in that order; a constant stays one.
    pub fn gather(&self, indices: &UInt32Array) -> Result<Column> {
        match self {
            Column::Array(a) => Ok(Column::Array(take(a, indices, None)?)),
            Column::Const(_) => Ok(self.clone()),
        }
    }

    /// `len` rows from `offset`, sharing the memory.
    #[must_use]
    pub fn slice(&self, offset: usize, len: usize) -> Column {
        match self {
            Column::Array(a) => Column::Array(a.slice(offset, len)),
            Column::Const(_) => self.clone(),
        }
    }

    /// The value at a row.
    pub fn datum(&self, row: usize, ty: SqlType) -> Result<Datum> {
        match self {
            Column::Array(a) => Datum::from_column(a, row, ty),
            Column::Const(a) => Datum::from_column(a, 0, ty),
        }
    }

    /// Whether the value at a row is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Column::Array(a) => a.is_null(row),
            Column::Const(a) => a.is_null(0),
        }
    }

    /// Whether no row can be NULL.
    pub fn no_nulls(&self) -> bool {
        let (Column::Array(a) | Column::Const(a)) = self;
        a.null_count() == 0
    }

    /// The array itself: one row for a constant.
    pub fn inner(&self) -> &ArrayRef {
        let (Column::Array(a) | Column::Const(a)) = self;
        a
    }

    /// Codes and values of a dictionary-encoded column.
    pub fn dictionary(&self) -> Option<&arrow::array::DictionaryArray<UInt16Type>> {
        match self {
            Column::Array(a) => a.as_dictionary_opt::<UInt16Type>(),
            Column::Const(_) => None,
        }
    }
}

/// A dictionary-encoded array decoded; any other as it is.
pub fn flatten(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, values) => cast(array, values).map_err(Error::from),
        _ => Ok(array.clone()),
    }
}
