//! The physical representations: the dozen Arrow layouts that kernels look at.

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};

/// How values of a type lie in memory. Kernels match on this and on nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Repr {
    /// Arrow `Boolean`.
    Bool,
    /// Arrow `Int16`.
    Int16,
    /// Arrow `Int32`.
    Int32,
    /// Arrow `Int64`.
    Int64,
    /// Arrow `Float32`.
    Float32,
    /// Arrow `Float64`.
    Float64,
    /// Arrow `Decimal64(18, scale)`: an exact number whose scale the type fixes, at most 18 digits.
    Decimal64 {
        /// Digits after the point.
        scale: u8,
    },
    /// Arrow `Decimal128(38, scale)`: an exact number whose scale the type fixes, at most 38 digits.
    Decimal128 {
        /// Digits after the point.
        scale: u8,
    },
    /// Arrow `BinaryView` of [`crate::Numeric`]'s encoding: an exact number with its own display scale.
    Numeric,
    /// Arrow `Utf8View`, or `Dictionary(UInt16, Utf8View)`.
    Text,
    /// Arrow `BinaryView`.
    Binary,
    /// Arrow `Date32`: days since 1970-01-01; `i32::MIN` and `i32::MAX` are -infinity and infinity.
    Date,
    /// Arrow `Time64(Microsecond)`.
    Time,
    /// Arrow `Timestamp(Microsecond)`: since 1970-01-01; `i64::MIN` and `i64::MAX` are -infinity and infinity.
    Timestamp,
    /// Arrow `Timestamp(Microsecond, "UTC")`, otherwise as `Timestamp`.
    TimestampTz,
    /// Arrow `Interval(MonthDayNano)`; whole microseconds only.
    Interval,
    /// Arrow `FixedSizeBinary(16)`.
    Uuid,
}

impl Repr {
    /// The flat Arrow type of this representation.
    pub fn data_type(self) -> DataType {
        match self {
            Repr::Bool => DataType::Boolean,
            Repr::Int16 => DataType::Int16,
            Repr::Int32 => DataType::Int32,
            Repr::Int64 => DataType::Int64,
            Repr::Float32 => DataType::Float32,
            Repr::Float64 => DataType::Float64,
            Repr::Decimal64 { scale } => DataType::Decimal64(18, scale as i8),
            Repr::Decimal128 { scale } => DataType::Decimal128(38, scale as i8),
            Repr::Numeric | Repr::Binary => DataType::BinaryView,
            Repr::Text => DataType::Utf8View,
            Repr::Date => DataType::Date32,
            Repr::Time => DataType::Time64(TimeUnit::Microsecond),
            Repr::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Repr::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Repr::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Repr::Uuid => DataType::FixedSizeBinary(16),
        }
    }

    /// Bytes per value of the fixed part (16 for views).
    pub fn width(self) -> usize {
        match self {
            Repr::Bool => 1,
            Repr::Int16 => 2,
            Repr::Int32 | Repr::Float32 | Repr::Date => 4,
            Repr::Int64
            | Repr::Float64
            | Repr::Decimal64 { .. }
            | Repr::Time
            | Repr::Timestamp
            | Repr::TimestampTz => 8,
            Repr::Decimal128 { .. }
            | Repr::Numeric
            | Repr::Text
            | Repr::Binary
            | Repr::Interval
            | Repr::Uuid => 16,
        }
    }
}
