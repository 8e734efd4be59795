//! Tables of every type with random values, and segments of them.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, new_null_array};
use arrow::compute;
use arrow::datatypes::{IntervalMonthDayNano, UInt16Type};
use rand::Rng;
use rand::rngs::StdRng;
use spg_segment::{
    ChunkStats, GroupContent, RowIdRun, SegmentColumn, SegmentId, SegmentReader, SegmentWriter, WriteOptions,
};
use spg_types::{Category, ColumnBuilder, ColumnStats, Datum, Numeric, Repr, SqlType, TYPES, TableId, def};
use spg_vfs::Vfs;

/// A column of every type that a table can have.
pub(crate) fn every_type() -> Vec<SegmentColumn> {
    let typmod =
        |d: &'static spg_types::TypeDef, m: &[i64]| SqlType::with_typmod(d, (d.typmod_in)(m).unwrap());
    let mut types: Vec<SqlType> = TYPES
        .iter()
        .filter(|t| t.category != Category::Pseudo && t.category != Category::Unknown)
        .map(|t| SqlType::new(t))
        .collect();
    types.push(typmod(&def::NUMERIC, &[5, 2]));
    types.push(typmod(&def::NUMERIC, &[15, 2]));
    types.push(typmod(&def::NUMERIC, &[30, 5]));
    types.push(typmod(&def::BPCHAR, &[10]));
    types.push(typmod(&def::VARCHAR, &[20]));
    // Strings with few values.
    types.push(SqlType::new(&def::TEXT));
    let column = |(i, ty)| SegmentColumn { name: format!("c{i}"), ty, required: i % 7 == 3, key: i % 5 == 3 };
    let mut columns: Vec<SegmentColumn> = types.into_iter().enumerate().map(column).collect();
    if let Some(last) = columns.last_mut() {
        last.required = false;
    }
    columns
}

/// A random value; now and then an extreme one.
pub(crate) fn datum(ty: SqlType, rng: &mut StdRng) -> Datum {
    let extreme = rng.random_bool(0.02);
    let n: i64 = rng.random_range(-1000..1000);
    let pick = |low: i64, high: i64| if n < 0 { low } else { high };
    match ty.repr() {
        Repr::Bool => Datum::Bool(n > 0),
        Repr::Int16 if extreme => Datum::Int16(pick(i16::MIN.into(), i16::MAX.into()) as i16),
        Repr::Int16 => Datum::Int16(n as i16),
        Repr::Int32 if extreme => Datum::Int32(pick(i32::MIN.into(), i32::MAX.into()) as i32),
        Repr::Int32 => Datum::Int32(n as i32),
        Repr::Int64 if extreme => Datum::Int64(pick(i64::MIN, i64::MAX)),
        Repr::Int64 => Datum::Int64(n * 1_000_000_007),
        Repr::Float32 if extreme => {
            Datum::Float32([f32::NAN, f32::INFINITY, -0.0][(n.unsigned_abs() % 3) as usize])
        }
        Repr::Float32 => Datum::Float32(n as f32 / 7.0),
        Repr::Float64 if extreme => {
            Datum::Float64([f64::NAN, f64::NEG_INFINITY, -0.0][(n.unsigned_abs() % 3) as usize])
        }
        Repr::Float64 => Datum::Float64(n as f64 / 7.0),
        Repr::Decimal64 { .. } => Datum::Decimal(n.into()),
        Repr::Decimal128 { .. } => Datum::Decimal(i128::from(n) * 10_i128.pow(25)),
        Repr::Numeric => Datum::Numeric(Numeric::from_i128(n.into(), rng.random_range(0..5))),
        Repr::Text if ty.is(&def::BPCHAR) => Datum::Text(format!("{n:<10}").into()),
        Repr::Text => Datum::Text("naïve text ".repeat(rng.random_range(0..4)).into()),
        Repr::Binary => Datum::Binary((0..n.unsigned_abs() % 20).map(|v| v as u8 * 13).collect()),
        Repr::Date if extreme => Datum::Date(pick(i32::MIN.into(), i32::MAX.into()) as i32),
        Repr::Date => Datum::Date(n as i32),
        Repr::Time if extreme => Datum::Time(86_400_000_000),
        Repr::Time => Datum::Time(n.abs() * 1_234_567),
        Repr::Timestamp | Repr::TimestampTz if extreme => Datum::Timestamp(pick(i64::MIN, i64::MAX)),
        Repr::Timestamp | Repr::TimestampTz => Datum::Timestamp(n * 1_234_567_890),
        Repr::Interval => Datum::Interval(IntervalMonthDayNano::new(n as i32, 2, n * 1000)),
        Repr::Uuid => Datum::Uuid([n as u8; 16]),
    }
}

/// Rows of some columns. The last column is a dictionary.
pub(crate) fn rows(columns: &[SegmentColumn], len: usize, rng: &mut StdRng) -> Vec<ArrayRef> {
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (i, column) in columns.iter().enumerate() {
        if i + 1 == columns.len() {
            let word = |rng: &mut StdRng| {
                (!rng.random_bool(0.1)).then(|| format!("word {}", rng.random_range(0..9)))
            };
            let words: Vec<Option<String>> = (0..len).map(|_| word(rng)).collect();
            let flat: DictionaryArray<UInt16Type> = words.iter().map(Option::as_deref).collect();
            let values = compute::cast(flat.values(), &arrow::datatypes::DataType::Utf8View).unwrap();
            arrays.push(Arc::new(DictionaryArray::try_new(flat.keys().clone(), values).unwrap()));
        } else if !column.required && rng.random_bool(0.1) {
            arrays.push(new_null_array(&column.ty.data_type(), len));
        } else {
            let nulls = if column.required { 0.0 } else { [0.0, 0.3][rng.random_range(0..2)] };
            let mut b = ColumnBuilder::new(column.ty, len + 3);
            for _ in 0..len + 3 {
                let null = rng.random_bool(nulls);
                b.append_datum(&if null { Datum::Null } else { datum(column.ty, rng) }).unwrap();
            }
            // Not at the start of their buffers.
            arrays.push(b.finish().slice(3, len));
        }
    }
    arrays
}

/// The values, whatever their encoding.
pub(crate) fn flat(array: &ArrayRef) -> ArrayRef {
    match array.as_dictionary_opt::<UInt16Type>() {
        Some(d) => compute::take(d.values(), d.keys(), None).unwrap(),
        None => array.clone(),
    }
}

/// Whether both hold the same values, NaN and -0 told apart by their bits.
pub(crate) fn same(a: &ArrayRef, b: &ArrayRef) -> bool {
    let (a, b) = (flat(a), flat(b));
    if let (Some(a), Some(b)) = (
        a.as_primitive_opt::<arrow::datatypes::Float64Type>(),
        b.as_primitive_opt::<arrow::datatypes::Float64Type>(),
    ) {
        return a.iter().map(|v| v.map(f64::to_bits)).eq(b.iter().map(|v| v.map(f64::to_bits)));
    }
    if let (Some(a), Some(b)) = (
        a.as_primitive_opt::<arrow::datatypes::Float32Type>(),
        b.as_primitive_opt::<arrow::datatypes::Float32Type>(),
    ) {
        return a.iter().map(|v| v.map(f32::to_bits)).eq(b.iter().map(|v| v.map(f32::to_bits)));
    }
    a == b
}

/// Statistics that say nothing much.
pub(crate) fn stats(columns: &[ArrayRef]) -> Vec<ChunkStats> {
    let one = |a: &ArrayRef| ChunkStats {
        zone: ColumnStats {
            min: None,
            max: Some(Datum::Int64(7)),
            null_count: a.logical_null_count() as u64,
            distinct: 3.5,
            avg_width: 1.0,
        },
        sketch: vec![1, 2, 3].into(),
    };
    columns.iter().map(one).collect()
}

/// Writes row groups with a gap of one row id after each.
pub(crate) fn write(
    vfs: &dyn Vfs,
    path: &Path,
    columns: &[SegmentColumn],
    groups: &[Vec<ArrayRef>],
    options: WriteOptions,
) -> SegmentReader {
    let file = vfs.create(path).unwrap();
    let mut writer =
        SegmentWriter::create(file, TableId(7), SegmentId(42), columns.to_vec(), options).unwrap();
    let mut next = 100;
    for group in groups {
        let len = group[0].len() as u64;
        // A gap in the middle of the group too.
        let runs = match len {
            1 => vec![RowIdRun { first: next, len }],
            _ => vec![
                RowIdRun { first: next, len: len / 2 },
                RowIdRun { first: next + len / 2 + 3, len: len - len / 2 },
            ],
        };
        writer.write(GroupContent { columns: group, runs, stats: stats(group) }).unwrap();
        next += len + 4;
    }
    let info = writer.finish().unwrap();
    let reader = SegmentReader::open(vfs.open(path).unwrap().unwrap()).unwrap();
    assert_eq!(reader.info(), &info);
    reader
}
