//! Which Parquet encoding a column chunk gets, chosen by its values.
//!
//! A dictionary where values repeat enough, deltas for integers whose neighbours lie close, split bytes for floats, lengths
//! apart from strings. All are then compressed, page by page.

use std::collections::HashSet;

use ahash::RandomState;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use parquet::basic::Encoding;
use spg_types::Repr;

/// Values of a dictionary for other columns than strings, at most.
const DICTIONARY_VALUES_MAX: usize = 16_384;
/// A dictionary has at most one value per so many rows.
const ROWS_PER_VALUE_MIN: usize = 4;
/// Parquet's deltas are packed in runs of so many.
const DELTA_RUN: usize = 32;

/// How a column chunk is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkEncoding {
    /// Codes into a dictionary page.
    Dictionary,
    /// Values.
    Values(Encoding),
}

/// Calls a closure-like macro body with the native values of an integer column.
macro_rules! with_integers {
    ($array:expr, $repr:expr, $values:ident => $body:expr, $otherwise:expr) => {{
        macro_rules! of {
            ($ty:ty) => {{
                match $array.as_primitive_opt::<$ty>() {
                    Some(a) => {
                        let $values = a.values();
                        $body
                    }
                    None => $otherwise,
                }
            }};
        }
        match $repr {
            Repr::Int16 => of!(Int16Type),
            Repr::Int32 => of!(Int32Type),
            Repr::Int64 => of!(Int64Type),
            Repr::Date => of!(Date32Type),
            Repr::Time => of!(Time64MicrosecondType),
            Repr::Timestamp | Repr::TimestampTz => of!(TimestampMicrosecondType),
            Repr::Decimal64 { .. } => of!(Decimal64Type),
            _ => $otherwise,
        }
    }};
}

/// The encoding for a column chunk.
pub(crate) fn choose(repr: Repr, array: &ArrayRef) -> ChunkEncoding {
    use ChunkEncoding::{Dictionary, Values};
    match repr {
        Repr::Text if array.as_dictionary_opt::<arrow::datatypes::UInt16Type>().is_some() => Dictionary,
        Repr::Text => Values(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        Repr::Numeric | Repr::Binary => match array.as_binary_view_opt() {
            Some(a) if few(array, |i| a.value(i)).is_some() => Dictionary,
            _ => Values(Encoding::DELTA_LENGTH_BYTE_ARRAY),
        },
        Repr::Bool => Values(Encoding::RLE),
        Repr::Float32 => floats::<Float32Type>(array, |v| u64::from(v.to_bits())),
        Repr::Float64 => floats::<Float64Type>(array, f64::to_bits),
        Repr::Decimal128 { .. } => match array.as_primitive_opt::<Decimal128Type>() {
            Some(a) if few(array, |i| a.value(i)).is_some() => Dictionary,
            _ => Values(Encoding::PLAIN),
        },
        Repr::Uuid | Repr::Interval => Values(Encoding::PLAIN),
        _ => integers(repr, array),
    }
}

fn floats<T: ArrowPrimitiveType>(array: &ArrayRef, bits: fn(T::Native) -> u64) -> ChunkEncoding {
    match array.as_primitive_opt::<T>() {
        Some(a) if few(array, |i| bits(a.value(i))).is_some() => ChunkEncoding::Dictionary,
        _ => ChunkEncoding::Values(Encoding::BYTE_STREAM_SPLIT),
    }
}

fn integers(repr: Repr, array: &ArrayRef) -> ChunkEncoding {
    let delta = ChunkEncoding::Values(Encoding::DELTA_BINARY_PACKED);
    with_integers!(
        array,
        repr,
        values => {
            let value = |i: usize| i64::from(values[i]);
            let Some(distinct) = few(array, value) else { return delta };
            let rows = array.len();
            let dictionary_bits = rows * distinct.next_power_of_two().ilog2().max(1) as usize + distinct * 64;
            if dictionary_bits <= delta_bits(rows, value) { ChunkEncoding::Dictionary } else { delta }
        },
        ChunkEncoding::Values(Encoding::PLAIN)
    )
}

/// How many distinct values there are, if few.
fn few<V: std::hash::Hash + Eq>(array: &ArrayRef, value: impl Fn(usize) -> V) -> Option<usize> {
    let limit = (array.len() / ROWS_PER_VALUE_MIN).clamp(1, DICTIONARY_VALUES_MAX);
    let mut seen: HashSet<V, RandomState> = HashSet::with_hasher(RandomState::with_seeds(1, 2, 3, 4));
    for i in (0..array.len()).filter(|i| array.is_valid(*i)) {
        if seen.insert(value(i)) && seen.len() > limit {
            return None;
        }
    }
    Some(seen.len())
}

/// Roughly the bits that deltas take.
fn delta_bits(rows: usize, value: impl Fn(usize) -> i64) -> usize {
    let mut bits = 0;
    for run in (1..rows).step_by(DELTA_RUN) {
        let deltas = (run..(run + DELTA_RUN).min(rows)).map(|i| value(i).wrapping_sub(value(i - 1)));
        let (min, max) = deltas.fold((i64::MAX, i64::MIN), |(a, b), d| (a.min(d), b.max(d)));
        let spread = max.wrapping_sub(min) as u64;
        bits += (64 - spread.leading_zeros() as usize) * DELTA_RUN;
    }
    bits
}

/// The smallest and the largest value of some rows of a column whose representation is an integer.
pub(crate) fn integer_bounds(repr: Repr, array: &ArrayRef) -> Option<(i64, i64)> {
    with_integers!(
        array,
        repr,
        values => {
            let mut valid = (0..array.len()).filter(|i| array.is_valid(*i)).map(|i| i64::from(values[i]));
            let first = valid.next()?;
            Some(valid.fold((first, first), |(a, b), v| (a.min(v), b.max(v))))
        },
        None
    )
}
