//! Fixed-width columns as 64-bit integers: what keys, join filters and sorts on such columns work with.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{
    DataType, Date32Type, Decimal64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType,
};
use spg_types::Repr;

/// Whether values of this representation are whole numbers of at most 64 bits whose order is theirs.
pub(crate) fn is_int(repr: Repr) -> bool {
    matches!(
        repr,
        Repr::Int16
            | Repr::Int32
            | Repr::Int64
            | Repr::Decimal64 { .. }
            | Repr::Date
            | Repr::Time
            | Repr::Timestamp
            | Repr::TimestampTz
    )
}

/// Runs `$body` with `$values` bound to the native slice of an integer-like array; `$other` for other arrays.
macro_rules! with_ints {
    ($array:expr, $values:ident => $body:expr, else $other:expr) => {{
        use arrow::array::AsArray as _;
        use arrow::datatypes as dt;
        let array: &dyn arrow::array::Array = $array;
        match array.data_type() {
            dt::DataType::Int16 => {
                let $values: &[i16] = array.as_primitive::<dt::Int16Type>().values();
                $body
            }
            dt::DataType::Int32 => {
                let $values: &[i32] = array.as_primitive::<dt::Int32Type>().values();
                $body
            }
            dt::DataType::Date32 => {
                let $values: &[i32] = array.as_primitive::<dt::Date32Type>().values();
                $body
            }
            dt::DataType::Int64 => {
                let $values: &[i64] = array.as_primitive::<dt::Int64Type>().values();
                $body
            }
            dt::DataType::Decimal64(..) => {
                let $values: &[i64] = array.as_primitive::<dt::Decimal64Type>().values();
                $body
            }
            dt::DataType::Time64(dt::TimeUnit::Microsecond) => {
                let $values: &[i64] = array.as_primitive::<dt::Time64MicrosecondType>().values();
                $body
            }
            dt::DataType::Timestamp(dt::TimeUnit::Microsecond, _) => {
                let $values: &[i64] = array.as_primitive::<dt::TimestampMicrosecondType>().values();
                $body
            }
            _ => $other,
        }
    }};
}
pub(crate) use with_ints;

/// The value at a row of an integer-like array.
pub(crate) fn int_at(array: &dyn Array, row: usize) -> Option<i64> {
    with_ints!(array, values => values.get(row).map(|v| i64::from(*v)), else None)
}

/// Smallest and largest valid value; `None` without any.
pub(crate) fn int_bounds(array: &ArrayRef) -> Option<(i64, i64)> {
    with_ints!(array.as_ref(), values => {
        match array.nulls().filter(|n| n.null_count() > 0) {
            None => {
                let min = values.iter().min()?;
                let max = values.iter().max()?;
                Some((i64::from(*min), i64::from(*max)))
            }
            Some(nulls) => nulls.valid_indices().map(|i| i64::from(values[i])).fold(None, |bounds, v| match bounds {
                None => Some((v, v)),
                Some((min, max)) => Some((v.min(min), v.max(max))),
            }),
        }
    }, else None)
}

/// An array of an integer-like type from widened values.
pub(crate) fn narrow_ints(
    values: Vec<i64>,
    nulls: Option<arrow::buffer::NullBuffer>,
    ty: &DataType,
) -> Option<ArrayRef> {
    use arrow::array::PrimitiveArray;
    use std::sync::Arc;
    macro_rules! make {
        ($t:ty, $n:ty) => {{
            let values: Vec<$n> = values.into_iter().map(|v| v as $n).collect();
            Arc::new(PrimitiveArray::<$t>::new(values.into(), nulls).with_data_type(ty.clone())) as ArrayRef
        }};
    }
    Some(match ty {
        DataType::Int16 => make!(Int16Type, i16),
        DataType::Int32 => make!(Int32Type, i32),
        DataType::Date32 => make!(Date32Type, i32),
        DataType::Int64 => make!(Int64Type, i64),
        DataType::Decimal64(..) => make!(Decimal64Type, i64),
        DataType::Time64(TimeUnit::Microsecond) => make!(Time64MicrosecondType, i64),
        DataType::Timestamp(TimeUnit::Microsecond, _) => make!(TimestampMicrosecondType, i64),
        _ => return None,
    })
}
