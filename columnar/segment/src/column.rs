//! A column of a segment: its SPG type, what Parquet calls it, and the way between the two.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, FixedSizeBinaryArray, IntervalMonthDayNanoArray, StringArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::compute;
use arrow::datatypes::{
    DataType, Decimal64Type, Decimal128Type, Field, IntervalMonthDayNano, IntervalMonthDayNanoType,
    UInt16Type,
};
use parquet::basic::{
    DecimalType, IntType, LogicalType, Repetition, TimeType, TimeUnit, TimestampType, Type as Physical,
};
use parquet::errors::ParquetError;
use parquet::schema::types::Type;
use spg_types::{Error, Modifier, Repr, Result, SqlType, type_by_oid};

use crate::codec::{Nonsense, Reader, Writer};

/// A column of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
    /// Whether no value is NULL.
    pub required: bool,
    /// Whether it is a key that is looked up: it gets a bloom filter for other readers.
    pub key: bool,
}

/// Precision and scale of an exact number in Parquet.
fn digits(ty: SqlType, scale: u8) -> (u8, u8) {
    let limit = if matches!(ty.repr(), Repr::Decimal64 { .. }) { 18 } else { 38 };
    let precision = ty.precision_scale().and_then(|(p, _)| u8::try_from(p).ok()).unwrap_or(limit);
    (precision.clamp(scale.max(1), limit), scale)
}

impl SegmentColumn {
    /// The column as Parquet's schema has it. Types that Parquet does not have are bytes without a logical type.
    pub(crate) fn parquet_type(&self) -> Result<Type, ParquetError> {
        let int = |bit_width| Some(LogicalType::Integer(IntType { bit_width, is_signed: true }));
        let timestamp = |utc| {
            Some(LogicalType::Timestamp(TimestampType { is_adjusted_to_u_t_c: utc, unit: TimeUnit::MICROS }))
        };
        let decimal = |scale| {
            let (precision, scale) = digits(self.ty, scale);
            Some(LogicalType::Decimal(DecimalType { scale: scale.into(), precision: precision.into() }))
        };
        let (physical, logical, len) = match self.ty.repr() {
            Repr::Bool => (Physical::BOOLEAN, None, -1),
            Repr::Int16 => (Physical::INT32, int(16), -1),
            Repr::Int32 => (Physical::INT32, int(32), -1),
            Repr::Int64 => (Physical::INT64, int(64), -1),
            Repr::Float32 => (Physical::FLOAT, None, -1),
            Repr::Float64 => (Physical::DOUBLE, None, -1),
            Repr::Decimal64 { scale } if digits(self.ty, scale).0 <= 9 => {
                (Physical::INT32, decimal(scale), -1)
            }
            Repr::Decimal64 { scale } => (Physical::INT64, decimal(scale), -1),
            Repr::Decimal128 { scale } => (Physical::FIXED_LEN_BYTE_ARRAY, decimal(scale), 16),
            Repr::Numeric | Repr::Binary => (Physical::BYTE_ARRAY, None, -1),
            Repr::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String), -1),
            Repr::Date => (Physical::INT32, Some(LogicalType::Date), -1),
            Repr::Time => {
                let time = TimeType { is_adjusted_to_u_t_c: false, unit: TimeUnit::MICROS };
                (Physical::INT64, Some(LogicalType::Time(time)), -1)
            }
            Repr::Timestamp => (Physical::INT64, timestamp(false), -1),
            Repr::TimestampTz => (Physical::INT64, timestamp(true), -1),
            Repr::Interval => (Physical::FIXED_LEN_BYTE_ARRAY, None, 16),
            Repr::Uuid => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid), 16),
        };
        let (precision, scale) = match self.ty.repr() {
            Repr::Decimal64 { scale } | Repr::Decimal128 { scale } => digits(self.ty, scale),
            _ => (0, 0),
        };
        let repetition = if self.required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        let mut builder = Type::primitive_type_builder(&self.name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .with_length(len);
        if precision > 0 {
            builder = builder.with_precision(precision.into()).with_scale(scale.into());
        }
        builder.build()
    }

    /// The Arrow type that Parquet's writer and reader see.
    pub(crate) fn stored_type(&self, dictionary: bool) -> DataType {
        match self.ty.repr() {
            Repr::Text if dictionary => {
                DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8))
            }
            Repr::Interval => DataType::FixedSizeBinary(16),
            Repr::Decimal64 { scale } => {
                let (precision, scale) = digits(self.ty, scale);
                DataType::Decimal64(precision, scale as i8)
            }
            Repr::Decimal128 { scale } => {
                let (precision, scale) = digits(self.ty, scale);
                DataType::Decimal128(precision, scale as i8)
            }
            other => other.data_type(),
        }
    }

    /// A field for Parquet's writer and reader.
    pub(crate) fn stored_field(&self, dictionary: bool) -> Field {
        Field::new(&self.name, self.stored_type(dictionary), !self.required)
    }

    /// The column's values as Parquet's writer takes them.
    pub(crate) fn to_stored(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let mismatch = || Error::internal(format!("column \"{}\" is not of type {}", self.name, self.ty));
        if let Some(d) = array.as_dictionary_opt::<UInt16Type>() {
            let strings = d.values().as_string_view_opt().ok_or_else(mismatch)?;
            let strings: StringArray = strings.iter().collect();
            return Ok(Arc::new(DictionaryArray::try_new(d.keys().clone(), Arc::new(strings))?));
        }
        if *array.data_type() != self.ty.data_type() {
            return Err(mismatch());
        }
        match self.ty.repr() {
            Repr::Interval => {
                let intervals = array.as_primitive::<IntervalMonthDayNanoType>();
                let mut bytes = Vec::with_capacity(array.len() * 16);
                for v in intervals.values() {
                    bytes.extend_from_slice(&v.months.to_le_bytes());
                    bytes.extend_from_slice(&v.days.to_le_bytes());
                    bytes.extend_from_slice(&v.nanoseconds.to_le_bytes());
                }
                Ok(Arc::new(FixedSizeBinaryArray::try_new(16, bytes.into(), array.nulls().cloned())?))
            }
            Repr::Decimal64 { scale } => {
                let (precision, scale) = digits(self.ty, scale);
                let decimals = array.as_primitive::<Decimal64Type>().clone();
                Ok(Arc::new(decimals.with_precision_and_scale(precision, scale as i8)?))
            }
            _ => Ok(array.clone()),
        }
    }

    /// What [`SegmentColumn::to_stored`] was given, from what Parquet's reader gives.
    pub(crate) fn restored(&self, array: ArrayRef) -> Result<ArrayRef> {
        let mismatch = || Error::internal(format!("column \"{}\" does not read as {}", self.name, self.ty));
        let array: ArrayRef = match self.ty.repr() {
            Repr::Text => match array.as_dictionary_opt::<UInt16Type>() {
                Some(d) => {
                    let values = compute::cast(d.values(), &DataType::Utf8View)?;
                    return Ok(Arc::new(DictionaryArray::try_new(d.keys().clone(), values)?));
                }
                None => array,
            },
            Repr::Interval => {
                let stored = array.as_fixed_size_binary_opt().ok_or_else(mismatch)?;
                let interval = |i: usize| -> IntervalMonthDayNano {
                    let mut r = Reader(stored.value(i));
                    match (r.u32(), r.u32(), r.u64()) {
                        (Ok(months), Ok(days), Ok(nanoseconds)) => {
                            IntervalMonthDayNano::new(months as i32, days as i32, nanoseconds as i64)
                        }
                        _ => IntervalMonthDayNano::ZERO,
                    }
                };
                let values: Vec<IntervalMonthDayNano> = (0..stored.len()).map(interval).collect();
                Arc::new(IntervalMonthDayNanoArray::try_new(
                    ScalarBuffer::from(values),
                    stored.nulls().cloned(),
                )?)
            }
            Repr::Decimal64 { scale } => {
                let decimals = array.as_primitive_opt::<Decimal64Type>().ok_or_else(mismatch)?;
                Arc::new(decimals.clone().with_precision_and_scale(18, scale as i8)?)
            }
            Repr::Decimal128 { scale } => {
                let decimals = array.as_primitive_opt::<Decimal128Type>().ok_or_else(mismatch)?;
                Arc::new(decimals.clone().with_precision_and_scale(38, scale as i8)?)
            }
            _ => array,
        };
        if *array.data_type() == self.ty.data_type() { Ok(array) } else { Err(mismatch()) }
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.bytes(self.name.as_bytes());
        w.u32(self.ty.def.oid);
        match self.ty.modifier {
            Modifier::None => w.u8(0),
            Modifier::Declared(m) => {
                w.u8(1);
                w.u32(m as u32);
            }
            Modifier::Derived { precision, scale } => {
                w.u8(2);
                w.u8(precision);
                w.u8(scale);
            }
        }
        w.u8(u8::from(self.required) | u8::from(self.key) << 1);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Nonsense> {
        let name = r.str()?.to_string();
        let def = type_by_oid(r.u32()?).ok_or("a column has an unknown type")?;
        let modifier = match r.u8()? {
            0 => Modifier::None,
            1 => Modifier::Declared(r.u32()? as i32),
            2 => Modifier::Derived { precision: r.u8()?, scale: r.u8()? },
            _ => return Err("a column has an unknown type modifier"),
        };
        let flags = r.u8()?;
        Ok(Self { name, ty: SqlType { def, modifier }, required: flags & 1 != 0, key: flags & 2 != 0 })
    }
}

/// The first half of the BLAKE3 of names and types.
pub(crate) fn fingerprint(columns: &[SegmentColumn]) -> [u8; 16] {
    let mut w = Writer::default();
    columns.iter().for_each(|c| c.encode(&mut w));
    let mut half = [0; 16];
    half.copy_from_slice(&blake3::hash(&w.0).as_bytes()[..16]);
    half
}

/// The schema of all columns together.
pub(crate) fn parquet_schema(columns: &[SegmentColumn]) -> Result<Arc<Type>, ParquetError> {
    let fields = columns.iter().map(|c| c.parquet_type().map(Arc::new)).collect::<Result<_, _>>()?;
    Ok(Arc::new(Type::group_type_builder("spg").with_fields(fields).build()?))
}
