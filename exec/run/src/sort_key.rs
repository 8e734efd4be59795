//! Sort keys: rows as numbers or byte strings whose order is SQL's order.
//!
//! Per key column a bit (or byte) that puts NULLs where they belong, then the value in an order-preserving form, inverted for
//! DESC. Keys of fixed width that fit are one machine number; others are bytes. Strings sort by their bytes, NaN above
//! all numbers, -0 as 0, `char(n)` without the blanks at the end, intervals by their length.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Decimal128Type, Float32Type, Float64Type, IntervalMonthDayNanoType};
use spg_expr::{Column, flatten};
use spg_types::datetime::interval_span;
use spg_types::{Error, Numeric, Repr, Result, SqlType, def};

use crate::ints::{is_int, with_ints};

/// How one column sorts.
#[derive(Clone, Debug)]
struct Part {
    column: usize,
    ty: SqlType,
    descending: bool,
    nulls_first: bool,
}

/// By which columns rows sort.
#[derive(Clone, Debug)]
pub(crate) struct SortSpec {
    parts: Vec<Part>,
    /// Bits of a key of fixed width.
    bits: Option<u32>,
}

impl SortSpec {
    /// Sorts by (position, type, DESC, NULLS FIRST), most significant first.
    pub(crate) fn new(parts: impl IntoIterator<Item = (usize, SqlType, bool, bool)>) -> Self {
        let parts: Vec<Part> = parts
            .into_iter()
            .map(|(column, ty, descending, nulls_first)| Part { column, ty, descending, nulls_first })
            .collect();
        let bits = parts.iter().try_fold(0, |sum, p| Some(sum + 1 + value_bits(p.ty)?));
        Self { parts, bits }
    }

    /// Whether there is nothing to sort by.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The lowest position among the sort columns.
    pub(crate) fn first_column(&self) -> usize {
        self.parts.iter().map(|p| p.column).min().unwrap_or(0)
    }

    /// No keys yet.
    pub(crate) fn empty_keys(&self) -> SortKeys {
        match self.bits {
            Some(0..=64) => SortKeys::Narrow(Vec::new()),
            Some(65..=128) => SortKeys::Wide(Vec::new()),
            _ => SortKeys::Bytes(ByteKeys::default()),
        }
    }

    /// The keys of rows whose columns are given by position.
    pub(crate) fn encode(
        &self,
        column: &mut dyn FnMut(usize) -> Result<Column>,
        rows: usize,
    ) -> Result<SortKeys> {
        let arrays = self
            .parts
            .iter()
            .map(|p| match column(p.column)? {
                Column::Array(a) => Ok((flatten(&a)?, false)),
                Column::Const(a) => Ok((a, true)),
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(match self.empty_keys() {
            SortKeys::Narrow(_) => {
                let mut keys = vec![0u64; rows];
                for (part, (array, constant)) in self.parts.iter().zip(&arrays) {
                    let bits = value_bits(part.ty).unwrap_or(0);
                    let mask = if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
                    let flags = part.flags();
                    each_fixed(array, *constant, rows, |row, value: Option<u128>| {
                        let value = match value {
                            Some(v) if part.descending => flags.0 << bits | (!(v as u64) & mask),
                            Some(v) => flags.0 << bits | (v as u64 & mask),
                            None => flags.1 << bits,
                        };
                        keys[row] = if bits >= 63 { value } else { keys[row] << (bits + 1) | value };
                    })?;
                }
                SortKeys::Narrow(keys)
            }
            SortKeys::Wide(_) => {
                let mut keys = vec![0u128; rows];
                for (part, (array, constant)) in self.parts.iter().zip(&arrays) {
                    let bits = value_bits(part.ty).unwrap_or(0);
                    let mask = if bits >= 128 { u128::MAX } else { (1 << bits) - 1 };
                    let flags = part.flags();
                    each_fixed(array, *constant, rows, |row, value: Option<u128>| {
                        let value = match value {
                            Some(v) if part.descending => u128::from(flags.0) << bits | (!v & mask),
                            Some(v) => u128::from(flags.0) << bits | (v & mask),
                            None => u128::from(flags.1) << bits,
                        };
                        keys[row] = if bits >= 127 { value } else { keys[row] << (bits + 1) | value };
                    })?;
                }
                SortKeys::Wide(keys)
            }
            SortKeys::Bytes(_) => SortKeys::Bytes(self.encode_bytes(&arrays, rows)?),
        })
    }

    fn encode_bytes(&self, arrays: &[(ArrayRef, bool)], rows: usize) -> Result<ByteKeys> {
        // Column by column into one buffer each, then row by row into the key.
        let mut columns: Vec<ByteKeys> = Vec::with_capacity(arrays.len());
        for (part, (array, constant)) in self.parts.iter().zip(arrays) {
            let one = if *constant { 1 } else { rows };
            let mut out = ByteKeys::default();
            for row in 0..one {
                if array.is_null(row) {
                    out.data.push(part.flags().1 as u8);
                } else {
                    out.data.push(part.flags().0 as u8);
                    let start = out.data.len();
                    put_value(array, row, part.ty, &mut out.data)?;
                    if part.descending {
                        out.data[start..].iter_mut().for_each(|b| *b = !*b);
                    }
                }
                out.ends.push(out.data.len());
            }
            columns.push(out);
        }
        if let ([one], [(_, false)]) = (columns.as_mut_slice(), arrays) {
            return Ok(std::mem::take(one));
        }
        let mut keys = ByteKeys::default();
        for row in 0..rows {
            for (column, (_, constant)) in columns.iter().zip(arrays) {
                keys.data.extend_from_slice(column.get(if *constant { 0 } else { row }));
            }
            keys.ends.push(keys.data.len());
        }
        Ok(keys)
    }
}

impl Part {
    /// Flags of a value and of a NULL.
    fn flags(&self) -> (u64, u64) {
        if self.nulls_first { (1, 0) } else { (0, 1) }
    }
}

/// Bits of a value of fixed width.
fn value_bits(ty: SqlType) -> Option<u32> {
    match ty.repr() {
        Repr::Bool => Some(1),
        Repr::Float32 => Some(32),
        Repr::Float64 => Some(64),
        r if is_int(r) => Some(8 * r.width() as u32),
        _ => None,
    }
}

/// The order-preserving bits of each value of a fixed-width array.
fn each_fixed(
    array: &ArrayRef,
    constant: bool,
    rows: usize,
    mut f: impl FnMut(usize, Option<u128>),
) -> Result<()> {
    let nulls = array.nulls().filter(|n| n.null_count() > 0);
    let mut run = |get: &dyn Fn(usize) -> u128| match (constant, nulls) {
        (true, _) => {
            let value = array.is_valid(0).then(|| get(0));
            (0..rows).for_each(|row| f(row, value));
        }
        (false, None) => (0..rows).for_each(|row| f(row, Some(get(row)))),
        (false, Some(n)) => (0..rows).for_each(|row| f(row, n.is_valid(row).then(|| get(row)))),
    };
    if let Some(a) = array.as_boolean_opt() {
        run(&|row| a.value(row).into());
    } else if let Some(a) = array.as_primitive_opt::<Float32Type>() {
        run(&|row| ordered_f32(a.value(row)).into());
    } else if let Some(a) = array.as_primitive_opt::<Float64Type>() {
        run(&|row| ordered_f64(a.value(row)).into());
    } else {
        with_ints!(array.as_ref(), values => {
            run(&|row| ordered_int(i64::from(values[row]), 8 * size_of_one(values) as u32).into());
        }, else return Err(Error::internal(format!("a sort key column holds {}", array.data_type()))));
    }
    Ok(())
}

fn size_of_one<T>(_: &[T]) -> usize {
    size_of::<T>()
}

fn ordered_int(v: i64, bits: u32) -> u64 {
    // The sign bit of the narrow type flips.
    (v as u64) ^ (1 << (bits - 1))
}

fn ordered_f64(v: f64) -> u64 {
    let v = if v.is_nan() {
        f64::NAN.abs()
    } else if v == 0.0 {
        0.0
    } else {
        v
    };
    let bits = v.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn ordered_f32(v: f32) -> u32 {
    let v = if v.is_nan() {
        f32::NAN.abs()
    } else if v == 0.0 {
        0.0
    } else {
        v
    };
    let bits = v.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// Appends a valid value in a form whose byte order is its order, and of which none is a prefix of another.
fn put_value(array: &ArrayRef, row: usize, ty: SqlType, out: &mut Vec<u8>) -> Result<()> {
    let wrong = || Error::internal(format!("a sort key column holds {}", array.data_type()));
    match ty.repr() {
        Repr::Text => {
            let a = array.as_string_view_opt().ok_or_else(wrong)?;
            let text = a.value(row);
            let text = if ty.is(&def::BPCHAR) { text.trim_end_matches(' ') } else { text };
            put_bytes(text.as_bytes(), out);
        }
        Repr::Binary => put_bytes(array.as_binary_view_opt().ok_or_else(wrong)?.value(row), out),
        Repr::Numeric => {
            let a = array.as_binary_view_opt().ok_or_else(wrong)?;
            put_numeric(&Numeric::decode(a.value(row))?, out);
        }
        Repr::Interval => {
            let a = array.as_primitive_opt::<IntervalMonthDayNanoType>().ok_or_else(wrong)?;
            let span = interval_span(a.value(row)) as u128 ^ 1 << 127;
            out.extend_from_slice(&span.to_be_bytes());
        }
        Repr::Decimal128 { .. } => {
            let a = array.as_primitive_opt::<Decimal128Type>().ok_or_else(wrong)?;
            let value = a.value(row) as u128 ^ 1 << 127;
            out.extend_from_slice(&value.to_be_bytes());
        }
        Repr::Uuid => out.extend_from_slice(array.as_fixed_size_binary_opt().ok_or_else(wrong)?.value(row)),
        Repr::Bool => out.push(array.as_boolean_opt().ok_or_else(wrong)?.value(row).into()),
        Repr::Float32 => {
            let a = array.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?;
            out.extend_from_slice(&ordered_f32(a.value(row)).to_be_bytes());
        }
        Repr::Float64 => {
            let a = array.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
            out.extend_from_slice(&ordered_f64(a.value(row)).to_be_bytes());
        }
        _ => {
            let value = crate::ints::int_at(array.as_ref(), row).ok_or_else(wrong)?;
            out.extend_from_slice(&ordered_int(value, 64).to_be_bytes());
        }
    }
    Ok(())
}

/// Bytes with zeros escaped, ended by two zeros.
fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for &b in bytes {
        out.push(b);
        if b == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// Sign, then power of ten and digits; inverted for negative numbers.
fn put_numeric(n: &Numeric, out: &mut Vec<u8>) {
    if n.is_nan() {
        return out.push(6);
    }
    if n.is_infinite() {
        return out.push(if n.signum() < 0 { 1 } else { 5 });
    }
    if n.is_zero() {
        return out.push(3);
    }
    let n = n.normalized();
    let text = n.to_string();
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let (power, digits) = if whole.is_empty() {
        let significant = fraction.trim_start_matches('0');
        (-((fraction.len() - significant.len()) as i64), significant.to_owned())
    } else {
        (whole.len() as i64, format!("{whole}{fraction}"))
    };
    let negative = n.signum() < 0;
    out.push(if negative { 2 } else { 4 });
    let start = out.len();
    out.extend_from_slice(&ordered_int(power, 64).to_be_bytes());
    out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    out.push(0);
    if negative {
        out[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

/// Byte strings one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByteKeys {
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl ByteKeys {
    fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.data[start..self.ends[i]]
    }

    fn push(&mut self, key: &[u8]) {
        self.data.extend_from_slice(key);
        self.ends.push(self.data.len());
    }

    /// The first eight bytes as a number.
    fn prefix(&self, i: usize) -> u64 {
        let key = self.get(i);
        match key.first_chunk::<8>() {
            Some(head) => u64::from_be_bytes(*head),
            None => key.iter().enumerate().fold(0, |p, (at, b)| p | u64::from(*b) << (56 - 8 * at)),
        }
    }
}

/// Keys of some rows.
#[derive(Clone, Debug)]
pub(crate) enum SortKeys {
    /// At most 64 bits each.
    Narrow(Vec<u64>),
    /// At most 128 bits each.
    Wide(Vec<u128>),
    /// Of any length.
    Bytes(ByteKeys),
}

impl SortKeys {
    /// Keys.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Narrow(k) => k.len(),
            Self::Wide(k) => k.len(),
            Self::Bytes(k) => k.ends.len(),
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Narrow(k) => 8 * k.capacity(),
            Self::Wide(k) => 16 * k.capacity(),
            Self::Bytes(k) => k.data.capacity() + 8 * k.ends.capacity(),
        }
    }

    /// The order of two rows, perhaps of different batches of one sort.
    pub(crate) fn compare(&self, i: usize, other: &SortKeys, j: usize) -> Ordering {
        match (self, other) {
            (Self::Narrow(a), Self::Narrow(b)) => a[i].cmp(&b[j]),
            (Self::Wide(a), Self::Wide(b)) => a[i].cmp(&b[j]),
            (Self::Bytes(a), Self::Bytes(b)) => a.get(i).cmp(b.get(j)),
            _ => Ordering::Equal,
        }
    }

    /// Adds another batch's keys.
    pub(crate) fn append(&mut self, other: &SortKeys) {
        match (self, other) {
            (Self::Narrow(a), Self::Narrow(b)) => a.extend_from_slice(b),
            (Self::Wide(a), Self::Wide(b)) => a.extend_from_slice(b),
            (Self::Bytes(a), Self::Bytes(b)) => {
                let base = a.data.len();
                a.data.extend_from_slice(&b.data);
                a.ends.extend(b.ends.iter().map(|e| e + base));
            }
            _ => {}
        }
    }

    /// The keys of some rows.
    pub(crate) fn take(&self, rows: &[u32]) -> SortKeys {
        match self {
            Self::Narrow(k) => Self::Narrow(spg_simd::gather(k, rows)),
            Self::Wide(k) => Self::Wide(spg_simd::gather(k, rows)),
            Self::Bytes(k) => {
                let mut out = ByteKeys::default();
                rows.iter().for_each(|&r| out.push(k.get(r as usize)));
                Self::Bytes(out)
            }
        }
    }

    /// The rows in order; equal keys in the order of their rows.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        fn sort<K: Ord + Copy>(keys: &[K]) -> Vec<u32> {
            if keys.is_sorted() {
                return (0..keys.len() as u32).collect();
            }
            let mut pairs: Vec<(K, u32)> = keys.iter().copied().zip(0..).collect();
            pairs.sort_unstable();
            pairs.into_iter().map(|(_, row)| row).collect()
        }
        match self {
            Self::Narrow(k) => sort(k),
            Self::Wide(k) => sort(k),
            Self::Bytes(k) => {
                let mut pairs: Vec<(u64, u32)> = (0..k.ends.len()).map(|i| (k.prefix(i), i as u32)).collect();
                pairs.sort_unstable_by(|a, b| {
                    a.0.cmp(&b.0)
                        .then_with(|| k.get(a.1 as usize).cmp(k.get(b.1 as usize)))
                        .then(a.1.cmp(&b.1))
                });
                pairs.into_iter().map(|(_, row)| row).collect()
            }
        }
    }

    /// The rows whose key is below that of row `j` of `other`.
    pub(crate) fn below(&self, other: &SortKeys, j: usize) -> Vec<u32> {
        fn below<K: Ord + Copy>(keys: &[K], bound: K) -> Vec<u32> {
            keys.iter().zip(0u32..).filter(|(k, _)| **k < bound).map(|(_, row)| row).collect()
        }
        match (self, other) {
            (Self::Narrow(a), Self::Narrow(b)) => below(a, b[j]),
            (Self::Wide(a), Self::Wide(b)) => below(a, b[j]),
            _ => (0..self.len() as u32).filter(|&i| self.compare(i as usize, other, j).is_lt()).collect(),
        }
    }

    /// Two sorted lists of rows as one; rows of `a` go first among equals.
    pub(crate) fn merge(&self, a: &[u32], b: &[u32]) -> Vec<u32> {
        let mut out = Vec::with_capacity(a.len() + b.len());
        let (mut i, mut j) = (0, 0);
        while i < a.len() && j < b.len() {
            if self.compare(b[j] as usize, self, a[i] as usize).is_lt() {
                out.push(b[j]);
                j += 1;
            } else {
                out.push(a[i]);
                i += 1;
            }
        }
        out.extend_from_slice(&a[i..]);
        out.extend_from_slice(&b[j..]);
        out
    }
}
