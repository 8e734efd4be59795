//! Builds a column value by value: what text and binary input append to.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Date32Builder, Decimal64Builder, Decimal128Builder,
    FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder,
    IntervalMonthDayNanoBuilder, StringViewBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};

use crate::{Datum, Error, Repr, Result, SqlType};

/// A growing column, one variant per representation.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal64(Decimal64Builder),
    Decimal128(Decimal128Builder),
    Numeric(BinaryViewBuilder),
    Text(StringViewBuilder),
    Binary(BinaryViewBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    Uuid(FixedSizeBinaryBuilder),
}

macro_rules! each {
    ($self:expr, $b:ident => $body:expr) => {
        match $self {
            ColumnBuilder::Bool($b) => $body,
            ColumnBuilder::Int16($b) => $body,
            ColumnBuilder::Int32($b) => $body,
            ColumnBuilder::Int64($b) => $body,
            ColumnBuilder::Float32($b) => $body,
            ColumnBuilder::Float64($b) => $body,
            ColumnBuilder::Decimal64($b) => $body,
            ColumnBuilder::Decimal128($b) => $body,
            ColumnBuilder::Numeric($b) | ColumnBuilder::Binary($b) => $body,
            ColumnBuilder::Text($b) => $body,
            ColumnBuilder::Date($b) => $body,
            ColumnBuilder::Time($b) => $body,
            ColumnBuilder::Timestamp($b) => $body,
            ColumnBuilder::Interval($b) => $body,
            ColumnBuilder::Uuid($b) => $body,
        }
    };
}

impl ColumnBuilder {
    /// An empty column of `ty` with room for `capacity` rows.
    pub fn new(ty: SqlType, capacity: usize) -> Self {
        let n = capacity;
        let arrow_type = ty.data_type();
        match ty.repr() {
            Repr::Bool => Self::Bool(BooleanBuilder::with_capacity(n)),
            Repr::Int16 => Self::Int16(Int16Builder::with_capacity(n)),
            Repr::Int32 => Self::Int32(Int32Builder::with_capacity(n)),
            Repr::Int64 => Self::Int64(Int64Builder::with_capacity(n)),
            Repr::Float32 => Self::Float32(Float32Builder::with_capacity(n)),
            Repr::Float64 => Self::Float64(Float64Builder::with_capacity(n)),
            Repr::Decimal64 { .. } => {
                Self::Decimal64(Decimal64Builder::with_capacity(n).with_data_type(arrow_type))
            }
            Repr::Decimal128 { .. } => {
                Self::Decimal128(Decimal128Builder::with_capacity(n).with_data_type(arrow_type))
            }
            Repr::Numeric => Self::Numeric(BinaryViewBuilder::with_capacity(n)),
            Repr::Text => Self::Text(StringViewBuilder::with_capacity(n)),
            Repr::Binary => Self::Binary(BinaryViewBuilder::with_capacity(n)),
            Repr::Date => Self::Date(Date32Builder::with_capacity(n)),
            Repr::Time => Self::Time(Time64MicrosecondBuilder::with_capacity(n)),
            Repr::Timestamp | Repr::TimestampTz => {
                Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(n).with_data_type(arrow_type))
            }
            Repr::Interval => Self::Interval(IntervalMonthDayNanoBuilder::with_capacity(n)),
            Repr::Uuid => Self::Uuid(FixedSizeBinaryBuilder::with_capacity(n, 16)),
        }
    }

    /// Appends a NULL.
    pub fn append_null(&mut self) {
        each!(self, b => b.append_null())
    }

    /// Appends a value; XX000 when it is of another representation.
    pub fn append_datum(&mut self, datum: &Datum) -> Result<()> {
        match (self, datum) {
            (b, Datum::Null) => b.append_null(),
            (Self::Bool(b), Datum::Bool(v)) => b.append_value(*v),
            (Self::Int16(b), Datum::Int16(v)) => b.append_value(*v),
            (Self::Int32(b), Datum::Int32(v)) => b.append_value(*v),
            (Self::Int64(b), Datum::Int64(v)) => b.append_value(*v),
            (Self::Float32(b), Datum::Float32(v)) => b.append_value(*v),
            (Self::Float64(b), Datum::Float64(v)) => b.append_value(*v),
            (Self::Decimal64(b), Datum::Decimal(v)) => {
                b.append_value(
                    i64::try_from(*v).map_err(|_| Error::internal("decimal does not fit 64 bits"))?,
                );
            }
            (Self::Decimal128(b), Datum::Decimal(v)) => b.append_value(*v),
            (Self::Numeric(b), Datum::Numeric(v)) => b.append_value(v.encode()),
            (Self::Text(b), Datum::Text(v)) => b.append_value(v),
            (Self::Binary(b), Datum::Binary(v)) => b.append_value(v),
            (Self::Date(b), Datum::Date(v)) => b.append_value(*v),
            (Self::Time(b), Datum::Time(v)) => b.append_value(*v),
            (Self::Timestamp(b), Datum::Timestamp(v)) => b.append_value(*v),
            (Self::Interval(b), Datum::Interval(v)) => b.append_value(*v),
            (Self::Uuid(b), Datum::Uuid(v)) => b.append_value(v)?,
            (b, d) => return Err(Error::internal(format!("cannot append {d:?} to a column of {b:?}"))),
        }
        Ok(())
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        each!(self, b => b.len())
    }

    /// Whether there are no rows yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column built so far; the builder is empty afterwards.
    pub fn finish(&mut self) -> ArrayRef {
        each!(self, b => Arc::new(b.finish()) as ArrayRef)
    }
}
