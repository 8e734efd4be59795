//! One value outside an array: constants in expressions, parameters, bounds of zone maps, keys.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Decimal64Array, Decimal128Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    UInt16Array,
};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};

use crate::{ColumnBuilder, Error, FormatSettings, Numeric, Result, SqlType};

/// One value. Which variant a type uses follows from its [`crate::Repr`].
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// SQL NULL, of any type.
    Null,
    /// `Repr::Bool`
    Bool(bool),
    /// `Repr::Int16`
    Int16(i16),
    /// `Repr::Int32`
    Int32(i32),
    /// `Repr::Int64`
    Int64(i64),
    /// `Repr::Float32`
    Float32(f32),
    /// `Repr::Float64`
    Float64(f64),
    /// `Repr::Decimal64` and `Repr::Decimal128`: the digits without the point; the scale is the type's.
    Decimal(i128),
    /// `Repr::Numeric`
    Numeric(Numeric),
    /// `Repr::Text`
    Text(Arc<str>),
    /// `Repr::Binary`
    Binary(Arc<[u8]>),
    /// `Repr::Date`: days since 1970-01-01.
    Date(i32),
    /// `Repr::Time`: microseconds since midnight.
    Time(i64),
    /// `Repr::Timestamp` and `Repr::TimestampTz`: microseconds since 1970-01-01 (UTC).
    Timestamp(i64),
    /// `Repr::Interval`
    Interval(IntervalMonthDayNano),
    /// `Repr::Uuid`
    Uuid([u8; 16]),
}

impl Datum {
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// The value at a row of an array (flat or dictionary) in one of the representations.
    pub fn from_array(array: &dyn Array, row: usize) -> Result<Datum> {
        if array.is_null(row) {
            return Ok(Datum::Null);
        }
        macro_rules! get {
            ($array:ty) => {
                match array.as_any().downcast_ref::<$array>() {
                    Some(a) => a.value(row),
                    None => return Err(Error::internal("array and its type disagree")),
                }
            };
        }
        Ok(match array.data_type() {
            DataType::Boolean => Datum::Bool(get!(BooleanArray)),
            DataType::Int16 => Datum::Int16(get!(Int16Array)),
            DataType::Int32 => Datum::Int32(get!(Int32Array)),
            DataType::Int64 => Datum::Int64(get!(Int64Array)),
            DataType::Float32 => Datum::Float32(get!(Float32Array)),
            DataType::Float64 => Datum::Float64(get!(Float64Array)),
            DataType::Decimal64(..) => Datum::Decimal(get!(Decimal64Array).into()),
            DataType::Decimal128(..) => Datum::Decimal(get!(Decimal128Array)),
            DataType::Utf8View => Datum::Text(get!(StringViewArray).into()),
            DataType::BinaryView => Datum::Binary(get!(BinaryViewArray).into()),
            DataType::Date32 => Datum::Date(get!(Date32Array)),
            DataType::Time64(TimeUnit::Microsecond) => Datum::Time(get!(Time64MicrosecondArray)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Datum::Timestamp(get!(TimestampMicrosecondArray))
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                Datum::Interval(get!(IntervalMonthDayNanoArray))
            }
            DataType::FixedSizeBinary(16) => {
                let bytes = get!(FixedSizeBinaryArray);
                Datum::Uuid(bytes.try_into().map_err(|_| Error::internal("uuid is not 16 bytes long"))?)
            }
            DataType::Dictionary(..) => {
                let Some(a) = array
                    .as_any()
                    .downcast_ref::<arrow::array::DictionaryArray<arrow::datatypes::UInt16Type>>()
                else {
                    return Err(Error::internal("dictionary keys are not 16 bits wide"));
                };
                let keys: &UInt16Array = a.keys();
                return Datum::from_array(a.values(), keys.value(row).into());
            }
            other => return Err(Error::internal(format!("no value representation for {other}"))),
        })
    }

    /// As [`Datum::from_array`] for a column of type `ty`: `numeric` without a fixed scale becomes [`Datum::Numeric`].
    pub fn from_column(array: &dyn Array, row: usize, ty: SqlType) -> Result<Datum> {
        match (Datum::from_array(array, row)?, ty.repr()) {
            (Datum::Binary(b), crate::Repr::Numeric) => Ok(Datum::Numeric(Numeric::decode(&b)?)),
            (d, _) => Ok(d),
        }
    }

    /// An array of length one that holds this value as type `ty`.
    pub fn to_array(&self, ty: SqlType) -> Result<ArrayRef> {
        let mut b = ColumnBuilder::new(ty, 1);
        b.append_datum(self)?;
        Ok(b.finish())
    }

    /// The value that a text spells as type `ty`, as the type's input function reads it.
    pub fn from_text(text: &str, ty: SqlType, settings: &FormatSettings) -> Result<Datum> {
        let mut b = ColumnBuilder::new(ty, 1);
        (ty.def.text_in)(text, ty, settings, &mut b)?;
        Datum::from_column(&b.finish(), 0, ty)
    }

    /// The value as the type's output function prints it; empty for NULL.
    pub fn to_text(&self, ty: SqlType, settings: &FormatSettings) -> Result<String> {
        if self.is_null() {
            return Ok(String::new());
        }
        let array = self.to_array(ty)?;
        let mut out = Vec::new();
        (ty.def.text_out)(&array, ty, settings)(0, &mut out);
        String::from_utf8(out).map_err(|_| Error::internal("text output is not UTF-8"))
    }

    /// Which of two values of one type comes first, in PostgreSQL's order: NaN above every number, -0 equal to 0,
    /// strings by bytes, intervals as if months had 30 days. `None` when either is NULL or the representations
    /// differ.
    pub fn compare(&self, other: &Datum) -> Option<Ordering> {
        use Datum::*;
        Some(match (self, other) {
            (Bool(a), Bool(b)) => a.cmp(b),
            (Int16(a), Int16(b)) => a.cmp(b),
            (Int32(a), Int32(b)) | (Date(a), Date(b)) => a.cmp(b),
            (Int64(a), Int64(b)) | (Time(a), Time(b)) | (Timestamp(a), Timestamp(b)) => a.cmp(b),
            (Float32(a), Float32(b)) => compare_floats((*a).into(), (*b).into()),
            (Float64(a), Float64(b)) => compare_floats(*a, *b),
            (Decimal(a), Decimal(b)) => a.cmp(b),
            (Numeric(a), Numeric(b)) => a.cmp(b),
            (Text(a), Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Binary(a), Binary(b)) => a.cmp(b),
            (Interval(a), Interval(b)) => crate::datetime::compare_intervals(*a, *b),
            (Uuid(a), Uuid(b)) => a.cmp(b),
            _ => return None,
        })
    }
}

/// PostgreSQL's order of floats: NaN equals NaN and is above everything, -0 equals 0.
pub fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}
