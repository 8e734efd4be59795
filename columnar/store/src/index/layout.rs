//! How the values of an index' key columns become keys whose order is the index' order.
//!
//! Fixed-width columns that fit are packed into 64 or 128 bits, most significant column first; anything else becomes bytes
//! that compare as the values do. A column that may be NULL has a bit (or byte) before its value.

use std::ops::Bound;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{
    Date32Type, Decimal64Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
    UInt16Type,
};
use spg_types::{Datum, Error, IndexDef, Numeric, Repr, Result, TableDef, def};

use super::keys::{ByteKeys, KeyArray};

/// What keys are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    U64,
    U128,
    Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyColumn {
    pub(crate) repr: Repr,
    /// `char(n)`: trailing blanks do not count.
    blank_padded: bool,
    nullable: bool,
    descending: bool,
    nulls_first: bool,
    /// Bits of the value; 0 when it has no fixed width.
    bits: u32,
}

/// The layout of an index' keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyLayout {
    pub(crate) columns: Vec<KeyColumn>,
    pub(crate) kind: KeyKind,
}

/// An array of keys of some kind.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    U64(Vec<u64>),
    U128(Vec<u128>),
    Bytes(ByteKeys),
}

/// Runs the same code for each kind of keys.
macro_rules! each_keys {
    ($keys:expr, $k:ident => $body:expr) => {
        match $keys {
            $crate::index::layout::Keys::U64($k) => $body,
            $crate::index::layout::Keys::U128($k) => $body,
            $crate::index::layout::Keys::Bytes($k) => $body,
        }
    };
}
pub(crate) use each_keys;

/// The keys of a batch, in its order.
#[derive(Clone, Debug)]
pub(crate) struct KeyBatch {
    pub(crate) keys: Keys,
    /// Set for rows with a NULL among the key columns; `None` when there are none.
    pub(crate) nulls: Option<BooleanBuffer>,
}

/// A bound of a range of keys.
#[derive(Clone, Debug)]
pub(crate) enum KeyBound {
    U64(Bound<u64>),
    U128(Bound<u128>),
    Bytes(Bound<Vec<u8>>),
}

fn value_bits(repr: Repr) -> u32 {
    match repr {
        Repr::Bool => 1,
        Repr::Int16 => 16,
        Repr::Int32 | Repr::Float32 | Repr::Date => 32,
        Repr::Int64
        | Repr::Float64
        | Repr::Decimal64 { .. }
        | Repr::Time
        | Repr::Timestamp
        | Repr::TimestampTz => 64,
        Repr::Decimal128 { .. } | Repr::Interval | Repr::Uuid => 128,
        Repr::Numeric | Repr::Text | Repr::Binary => 0,
    }
}

impl KeyLayout {
    pub(crate) fn of_index(table: &TableDef, index: &IndexDef) -> Result<Self> {
        let mut columns = Vec::with_capacity(index.columns.len());
        for c in &index.columns {
            let Some(column) = table.columns.get(c.column) else {
                return Err(Error::internal(format!(
                    "index {} names a column that is not there",
                    index.name
                )));
            };
            columns.push(KeyColumn {
                repr: column.ty.repr(),
                blank_padded: column.ty.is(&def::BPCHAR),
                nullable: !column.not_null,
                descending: c.descending,
                nulls_first: c.nulls_first,
                bits: value_bits(column.ty.repr()),
            });
        }
        let total: u32 = columns.iter().map(|c| c.bits + u32::from(c.nullable)).sum();
        let kind = match total {
            _ if columns.iter().any(|c| c.bits == 0) => KeyKind::Bytes,
            0..=64 => KeyKind::U64,
            65..=128 => KeyKind::U128,
            _ => KeyKind::Bytes,
        };
        Ok(Self { columns, kind })
    }

    /// The keys of the rows of the key columns' arrays.
    pub(crate) fn encode(&self, columns: &[ArrayRef]) -> Result<KeyBatch> {
        if columns.len() != self.columns.len() || columns.is_empty() {
            return Err(Error::internal("a key needs a value for each column of its index"));
        }
        let rows = columns[0].len();
        let nulls = null_rows(columns);
        let keys = match self.kind {
            KeyKind::U64 => {
                let mut keys = vec![0_u64; rows];
                for (c, array) in self.columns.iter().zip(columns) {
                    let width = c.bits + u32::from(c.nullable);
                    c.ordered(array, |i, v| {
                        let shifted = if width == 64 { 0 } else { keys[i] << width };
                        keys[i] = shifted | v as u64;
                    })?;
                }
                Keys::U64(keys)
            }
            KeyKind::U128 => {
                let mut keys = vec![0_u128; rows];
                for (c, array) in self.columns.iter().zip(columns) {
                    let width = c.bits + u32::from(c.nullable);
                    c.ordered(array, |i, v| {
                        let shifted = if width == 128 { 0 } else { keys[i] << width };
                        keys[i] = shifted | v;
                    })?;
                }
                Keys::U128(keys)
            }
            KeyKind::Bytes => {
                let readers = self
                    .columns
                    .iter()
                    .zip(columns)
                    .map(|(c, a)| Reader::new(c, a))
                    .collect::<Result<Vec<_>>>()?;
                let mut keys = ByteKeys::with_capacity(rows);
                let last = readers.len() - 1;
                for row in 0..rows {
                    for (i, reader) in readers.iter().enumerate() {
                        self.columns[i].write(&reader.value(row)?, i == last, keys.data_mut());
                    }
                    keys.end_key();
                }
                Keys::Bytes(keys)
            }
        };
        Ok(KeyBatch { keys, nulls })
    }

    /// Whether the key column at that position may hold NULLs.
    pub(crate) fn may_be_null(&self, position: usize) -> bool {
        self.columns.get(position).is_none_or(|c| c.nullable)
    }

    /// As [`KeyLayout::encode`] for keys to look up: there may be NULLs where the index has none.
    pub(crate) fn encode_probe(&self, columns: &[ArrayRef]) -> Result<KeyBatch> {
        let strict = self.columns.iter().zip(columns).any(|(c, a)| !c.nullable && a.logical_null_count() > 0);
        if !strict {
            return self.encode(columns);
        }
        let mut bare = Vec::with_capacity(columns.len());
        for (c, array) in self.columns.iter().zip(columns) {
            if c.nullable || array.logical_null_count() == 0 {
                bare.push(array.clone());
            } else if let Some(filled) = without_nulls(array)? {
                bare.push(filled);
            } else {
                return Ok(self.all_null(array.len()));
            }
        }
        // What stands in for a NULL does not matter: the batch says where they are, and nobody looks there.
        Ok(KeyBatch { nulls: null_rows(columns), ..self.encode(&bare)? })
    }

    fn all_null(&self, rows: usize) -> KeyBatch {
        let keys = match self.kind {
            KeyKind::U64 => Keys::U64(vec![0; rows]),
            KeyKind::U128 => Keys::U128(vec![0; rows]),
            KeyKind::Bytes => {
                let mut keys = ByteKeys::with_capacity(rows);
                (0..rows).for_each(|_| keys.end_key());
                Keys::Bytes(keys)
            }
        };
        KeyBatch { keys, nulls: Some(BooleanBuffer::new_set(rows)) }
    }

    /// A bound from the values of the first key columns. As a lower bound, `Included` begins before and `Excluded`
    /// after every key that starts with the values; as an upper bound the other way round. `None` when nothing lies beyond.
    pub(crate) fn bound(&self, values: Bound<&[Datum]>, lower: bool) -> Result<Option<KeyBound>> {
        let (prefix, included) = match values {
            Bound::Included(v) => (v, true),
            Bound::Excluded(v) => (v, false),
            Bound::Unbounded => {
                return Ok(Some(match self.kind {
                    KeyKind::U64 => KeyBound::U64(Bound::Unbounded),
                    KeyKind::U128 => KeyBound::U128(Bound::Unbounded),
                    KeyKind::Bytes => KeyBound::Bytes(Bound::Unbounded),
                }));
            }
        };
        if prefix.len() > self.columns.len() {
            return Err(Error::internal("a bound has more values than its index has columns"));
        }
        // Whether the bound lies before all keys with this prefix.
        let before = lower == included;
        if self.kind == KeyKind::Bytes {
            let mut key = Vec::new();
            for (i, (c, v)) in self.columns.iter().zip(prefix).enumerate() {
                c.write(&Value::from_datum(v, c)?, i + 1 == self.columns.len(), &mut key);
            }
            let whole = prefix.len() == self.columns.len();
            return Ok(Some(KeyBound::Bytes(match (before, lower, whole) {
                (true, true, _) => Bound::Included(key),
                (true, false, _) => Bound::Excluded(key),
                (false, true, true) => Bound::Excluded(key),
                (false, false, true) => Bound::Included(key),
                (false, lower, false) => match successor(key) {
                    Some(next) if lower => Bound::Included(next),
                    Some(next) => Bound::Excluded(next),
                    None if lower => return Ok(None),
                    None => Bound::Unbounded,
                },
            })));
        }
        let mut key = 0_u128;
        let mut rest = 0;
        for (i, c) in self.columns.iter().enumerate() {
            let width = c.bits + u32::from(c.nullable);
            match prefix.get(i) {
                Some(v) => {
                    let bits = c.ordered_value(&Value::from_datum(v, c)?)?;
                    key = if width == 128 { bits } else { key << width | bits };
                }
                None => rest += width,
            }
        }
        let low = if rest == 128 { 0 } else { key << rest };
        let high = low | if rest == 128 { u128::MAX } else { (1 << rest) - 1 };
        let key = if before { low } else { high };
        let closed = (before && lower) || (!before && !lower);
        Ok(Some(match self.kind {
            KeyKind::U64 if closed => KeyBound::U64(Bound::Included(key as u64)),
            KeyKind::U64 => KeyBound::U64(Bound::Excluded(key as u64)),
            _ if closed => KeyBound::U128(Bound::Included(key)),
            _ => KeyBound::U128(Bound::Excluded(key)),
        }))
    }

    /// The key of one value per column.
    pub(crate) fn key(&self, values: &[Datum]) -> Result<Keys> {
        if values.len() != self.columns.len() {
            return Err(Error::internal("a key needs a value for each column of its index"));
        }
        let mut bytes = ByteKeys::default();
        let mut packed = 0_u128;
        for (i, (c, v)) in self.columns.iter().zip(values).enumerate() {
            let value = Value::from_datum(v, c)?;
            if self.kind == KeyKind::Bytes {
                c.write(&value, i + 1 == values.len(), bytes.data_mut());
            } else {
                let width = c.bits + u32::from(c.nullable);
                packed = if width == 128 { 0 } else { packed << width } | c.ordered_value(&value)?;
            }
        }
        Ok(match self.kind {
            KeyKind::U64 => Keys::U64(vec![packed as u64]),
            KeyKind::U128 => Keys::U128(vec![packed]),
            KeyKind::Bytes => {
                bytes.end_key();
                Keys::Bytes(bytes)
            }
        })
    }
}

/// Set for rows with a NULL among the columns; `None` when there are none.
fn null_rows(columns: &[ArrayRef]) -> Option<BooleanBuffer> {
    let nulls = columns.iter().filter_map(|a| a.logical_nulls()).filter(|n| n.null_count() > 0);
    nulls.map(|n| !n.inner()).reduce(|a, b| &a | &b)
}

/// The array with one of its values in place of each NULL; `None` when it has no values.
fn without_nulls(array: &ArrayRef) -> Result<Option<ArrayRef>> {
    let Some(nulls) = array.logical_nulls() else { return Ok(Some(array.clone())) };
    let Some(valid) = nulls.valid_indices().next() else { return Ok(None) };
    let rows = (0..array.len()).map(|i| if nulls.is_valid(i) { i as u64 } else { valid as u64 });
    Ok(Some(arrow::compute::take(array, &UInt64Array::from_iter_values(rows), None)?))
}

/// The smallest byte string above all that start with `prefix`.
fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if last < 0xff {
            prefix.push(last + 1);
            return Some(prefix);
        }
    }
    None
}

/// A value about to become part of a key.
enum Value<'a> {
    Null,
    /// Of fixed width, as unsigned bits in order.
    Bits(u128),
    Bytes(&'a [u8]),
    Numeric(Numeric),
}

impl<'a> Value<'a> {
    fn from_datum(datum: &'a Datum, column: &KeyColumn) -> Result<Self> {
        Ok(match (datum, column.repr) {
            (Datum::Null, _) => Self::Null,
            (Datum::Bool(v), Repr::Bool) => Self::Bits(u128::from(*v)),
            (Datum::Int16(v), Repr::Int16) => Self::Bits(ordered_i16(*v)),
            (Datum::Int32(v), Repr::Int32) | (Datum::Date(v), Repr::Date) => Self::Bits(ordered_i32(*v)),
            (Datum::Int64(v), Repr::Int64)
            | (Datum::Time(v), Repr::Time)
            | (Datum::Timestamp(v), Repr::Timestamp | Repr::TimestampTz) => Self::Bits(ordered_i64(*v)),
            (Datum::Float32(v), Repr::Float32) => Self::Bits(ordered_f32(*v)),
            (Datum::Float64(v), Repr::Float64) => Self::Bits(ordered_f64(*v)),
            (Datum::Decimal(v), Repr::Decimal64 { .. }) => {
                let v =
                    i64::try_from(*v).map_err(|_| Error::internal("a key's decimal does not fit 64 bits"))?;
                Self::Bits(ordered_i64(v))
            }
            (Datum::Decimal(v), Repr::Decimal128 { .. }) => Self::Bits(ordered_i128(*v)),
            (Datum::Interval(v), Repr::Interval) => Self::Bits(ordered_interval(*v)),
            (Datum::Uuid(v), Repr::Uuid) => Self::Bits(u128::from_be_bytes(*v)),
            (Datum::Text(v), Repr::Text) => Self::Bytes(v.as_bytes()),
            (Datum::Binary(v), Repr::Binary) => Self::Bytes(v),
            (Datum::Numeric(v), Repr::Numeric) => Self::Numeric(v.clone()),
            (other, repr) => return Err(Error::internal(format!("{other:?} cannot be a key of {repr:?}"))),
        })
    }
}

fn ordered_i16(v: i16) -> u128 {
    u128::from(v as u16 ^ (1 << 15))
}

fn ordered_i32(v: i32) -> u128 {
    u128::from(v as u32 ^ (1 << 31))
}

fn ordered_i64(v: i64) -> u128 {
    u128::from(v as u64 ^ (1 << 63))
}

fn ordered_i128(v: i128) -> u128 {
    v as u128 ^ (1 << 127)
}

/// -0 equals 0; NaN equals NaN and is above everything.
fn ordered_f32(v: f32) -> u128 {
    let v = if v.is_nan() { f32::NAN.abs() } else { v + 0.0 };
    let bits = v.to_bits();
    u128::from(if bits >> 31 == 1 { !bits } else { bits | (1 << 31) })
}

/// As [`ordered_f32`].
fn ordered_f64(v: f64) -> u128 {
    let v = if v.is_nan() { f64::NAN.abs() } else { v + 0.0 };
    let bits = v.to_bits();
    u128::from(if bits >> 63 == 1 { !bits } else { bits | (1 << 63) })
}

/// By length with months of 30 days, as PostgreSQL compares intervals.
fn ordered_interval(v: IntervalMonthDayNano) -> u128 {
    let days = i128::from(v.months) * 30 + i128::from(v.days);
    ordered_i128(days * 86_400_000_000_000 + i128::from(v.nanoseconds))
}

impl KeyColumn {
    fn mask(&self) -> u128 {
        if self.bits == 128 { u128::MAX } else { (1 << self.bits) - 1 }
    }

    /// The value's bits with direction and NULL bit.
    fn ordered_value(&self, value: &Value<'_>) -> Result<u128> {
        Ok(match value {
            Value::Null if !self.nullable => {
                return Err(Error::internal("NULL as a key of a NOT NULL column"));
            }
            Value::Null => self.null_key(),
            Value::Bits(v) => self.valid_key(*v),
            Value::Bytes(_) | Value::Numeric(_) => {
                return Err(Error::internal("a packed key of unknown width"));
            }
        })
    }

    fn null_key(&self) -> u128 {
        if self.nulls_first || self.bits == 128 { 0 } else { 1 << self.bits }
    }

    fn valid_key(&self, v: u128) -> u128 {
        let v = if self.descending { !v & self.mask() } else { v };
        if self.nullable && self.nulls_first { v | 1 << self.bits } else { v }
    }

    /// Calls `put` with the key bits of each row of an array of fixed-width values.
    fn ordered(&self, array: &ArrayRef, mut put: impl FnMut(usize, u128)) -> Result<()> {
        if array.null_count() > 0 {
            if !self.nullable {
                return Err(Error::internal("NULL as a key of a NOT NULL column"));
            }
            let null_key = self.null_key();
            return self.each_bits(array, |i, v| {
                put(i, if array.is_null(i) { null_key } else { self.valid_key(v) });
            });
        }
        if self.descending || self.nullable {
            return self.each_bits(array, |i, v| put(i, self.valid_key(v)));
        }
        self.each_bits(array, put)
    }

    fn each_bits(&self, array: &ArrayRef, mut put: impl FnMut(usize, u128)) -> Result<()> {
        macro_rules! primitive {
            ($ty:ty, $ordered:expr) => {{
                let Some(a) = array.as_primitive_opt::<$ty>() else { return Err(self.wrong(array)) };
                for (i, v) in a.values().iter().enumerate() {
                    put(i, $ordered(*v));
                }
            }};
        }
        match self.repr {
            Repr::Bool => {
                let Some(a) = array.as_boolean_opt() else { return Err(self.wrong(array)) };
                for (i, v) in a.values().iter().enumerate() {
                    put(i, u128::from(v));
                }
            }
            Repr::Int16 => primitive!(Int16Type, ordered_i16),
            Repr::Int32 => primitive!(Int32Type, ordered_i32),
            Repr::Date => primitive!(Date32Type, ordered_i32),
            Repr::Int64 => primitive!(Int64Type, ordered_i64),
            Repr::Float32 => primitive!(Float32Type, ordered_f32),
            Repr::Float64 => primitive!(Float64Type, ordered_f64),
            Repr::Decimal64 { .. } => primitive!(Decimal64Type, ordered_i64),
            Repr::Decimal128 { .. } => primitive!(Decimal128Type, ordered_i128),
            Repr::Time => primitive!(Time64MicrosecondType, ordered_i64),
            Repr::Timestamp | Repr::TimestampTz => primitive!(TimestampMicrosecondType, ordered_i64),
            Repr::Interval => primitive!(IntervalMonthDayNanoType, ordered_interval),
            Repr::Uuid => {
                let Some(a) = array.as_fixed_size_binary_opt() else { return Err(self.wrong(array)) };
                for i in 0..a.len() {
                    let bytes: [u8; 16] = a.value(i).try_into().map_err(|_| self.wrong(array))?;
                    put(i, u128::from_be_bytes(bytes));
                }
            }
            Repr::Numeric | Repr::Text | Repr::Binary => return Err(self.wrong(array)),
        }
        Ok(())
    }

    fn wrong(&self, array: &ArrayRef) -> Error {
        Error::internal(format!("a key column of {:?} got an array of {}", self.repr, array.data_type()))
    }

    /// Appends the value's bytes to a key. `last`: no other column follows.
    fn write(&self, value: &Value<'_>, last: bool, out: &mut Vec<u8>) {
        if self.nullable {
            let null = matches!(value, Value::Null);
            out.push(u8::from(null != self.nulls_first));
        }
        let from = out.len();
        match value {
            Value::Null => return,
            Value::Bits(v) => {
                let bytes = self.bits.div_ceil(8) as usize;
                out.extend_from_slice(&v.to_be_bytes()[16 - bytes..]);
            }
            Value::Bytes(v) => {
                let v = if self.blank_padded { trim_blanks(v) } else { v };
                if last && !self.descending {
                    out.extend_from_slice(v);
                } else {
                    // 0 ends a string, so that a shorter one sorts first; a 0 inside is followed by 0xff.
                    for part in v.split_inclusive(|b| *b == 0) {
                        out.extend_from_slice(part);
                        if part.ends_with(&[0]) {
                            out.push(0xff);
                        }
                    }
                    out.extend_from_slice(&[0, 0]);
                }
            }
            Value::Numeric(v) => write_numeric(v, out),
        }
        if self.descending {
            out[from..].iter_mut().for_each(|b| *b = !*b);
        }
    }
}

fn trim_blanks(v: &[u8]) -> &[u8] {
    let end = v.iter().rposition(|b| *b != b' ').map_or(0, |i| i + 1);
    &v[..end]
}

/// Bytes that compare as numbers do, whatever their display scales: a class, then for numbers the decimal exponent and
/// the digits, inverted for negative ones.
fn write_numeric(v: &Numeric, out: &mut Vec<u8>) {
    let class = match (v.is_nan(), v.is_infinite(), v.signum()) {
        (true, ..) => 5,
        (_, true, s) => {
            if s < 0 {
                0
            } else {
                4
            }
        }
        (_, _, 0) => 2,
        (_, _, s) => {
            if s < 0 {
                1
            } else {
                3
            }
        }
    };
    out.push(class);
    if !matches!(class, 1 | 3) {
        return;
    }
    let mut text = Vec::new();
    v.write_text(&mut text);
    let point = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
    let mut before_point = text[..point].iter().filter(|b| b.is_ascii_digit()).count() as i32;
    let mut digits: Vec<u8> = text.iter().filter(|b| b.is_ascii_digit()).copied().collect();
    let leading = digits.iter().take_while(|d| **d == b'0').count();
    digits.drain(..leading);
    before_point -= leading as i32;
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let from = out.len();
    out.extend_from_slice(&((before_point as u32) ^ (1 << 31)).to_be_bytes());
    out.extend_from_slice(&digits);
    out.push(0);
    if class == 1 {
        out[from..].iter_mut().for_each(|b| *b = !*b);
    }
}

/// Reads the values of a key column row by row.
enum Reader<'a> {
    Bits(Vec<u128>, &'a ArrayRef),
    Text(&'a ArrayRef),
    Binary(&'a ArrayRef),
    Dictionary(&'a ArrayRef),
    Numeric(&'a ArrayRef),
}

impl<'a> Reader<'a> {
    fn new(column: &KeyColumn, array: &'a ArrayRef) -> Result<Self> {
        Ok(match column.repr {
            Repr::Text if array.as_dictionary_opt::<UInt16Type>().is_some() => Self::Dictionary(array),
            Repr::Text if array.as_string_view_opt().is_some() => Self::Text(array),
            Repr::Binary if array.as_binary_view_opt().is_some() => Self::Binary(array),
            Repr::Numeric if array.as_binary_view_opt().is_some() => Self::Numeric(array),
            Repr::Text | Repr::Binary | Repr::Numeric => return Err(column.wrong(array)),
            _ => {
                let mut bits = vec![0; array.len()];
                column.each_bits(array, |i, v| bits[i] = v)?;
                Self::Bits(bits, array)
            }
        })
    }

    fn value(&self, row: usize) -> Result<Value<'_>> {
        let (Self::Bits(_, array)
        | Self::Text(array)
        | Self::Binary(array)
        | Self::Dictionary(array)
        | Self::Numeric(array)) = self;
        if array.is_null(row) {
            return Ok(Value::Null);
        }
        Ok(match self {
            Self::Bits(bits, _) => Value::Bits(bits[row]),
            Self::Text(a) => Value::Bytes(a.as_string_view().value(row).as_bytes()),
            Self::Binary(a) => Value::Bytes(a.as_binary_view().value(row)),
            Self::Dictionary(a) => {
                let dictionary = a.as_dictionary::<UInt16Type>();
                let code = dictionary.keys().value(row);
                Value::Bytes(dictionary.values().as_string_view().value(code.into()).as_bytes())
            }
            Self::Numeric(a) => Value::Numeric(Numeric::decode(a.as_binary_view().value(row))?),
        })
    }
}

impl KeyBatch {
    pub(crate) fn len(&self) -> usize {
        each_keys!(&self.keys, k => k.len())
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|n| n.value(row))
    }

    /// The keys in ascending order, with the position that each came from when that is another one.
    pub(crate) fn sorted(self) -> SortedKeys {
        let order = match &self.keys {
            Keys::U64(k) => sort_order(k, |i| k[i]),
            Keys::U128(k) => sort_order(k, |i| k[i]),
            Keys::Bytes(k) => {
                if (1..k.len()).all(|i| k.get(i - 1) <= k.get(i)) {
                    None
                } else {
                    let mut order: Vec<u32> = (0..k.len() as u32).collect();
                    order.sort_by(|a, b| k.get(*a as usize).cmp(k.get(*b as usize)));
                    Some(order)
                }
            }
        };
        let Some(order) = order else {
            return SortedKeys { keys: self.keys, nulls: self.nulls, order: None };
        };
        let keys = match &self.keys {
            Keys::U64(k) => Keys::U64(k.permuted(&order)),
            Keys::U128(k) => Keys::U128(k.permuted(&order)),
            Keys::Bytes(k) => Keys::Bytes(k.permuted(&order)),
        };
        let nulls = self.nulls.map(|n| {
            let mut permuted = BooleanBufferBuilder::new(n.len());
            order.iter().for_each(|i| permuted.append(n.value(*i as usize)));
            permuted.finish()
        });
        SortedKeys { keys, nulls, order: Some(order) }
    }
}

/// The order that sorts the keys, equal ones by position; `None` when they are sorted.
fn sort_order<T: Ord + Copy>(keys: &[T], key: impl Fn(usize) -> T) -> Option<Vec<u32>> {
    if keys.is_sorted() {
        return None;
    }
    let mut pairs: Vec<(T, u32)> = (0..keys.len()).map(|i| (key(i), i as u32)).collect();
    pairs.sort_unstable();
    Some(pairs.into_iter().map(|p| p.1).collect())
}

/// The keys of a batch in key order.
#[derive(Clone, Debug)]
pub(crate) struct SortedKeys {
    pub(crate) keys: Keys,
    /// In key order: set where a key column is NULL.
    pub(crate) nulls: Option<BooleanBuffer>,
    /// The row of the batch that each key came from; `None` when that is the same position.
    pub(crate) order: Option<Vec<u32>>,
}

impl SortedKeys {
    pub(crate) fn len(&self) -> usize {
        each_keys!(&self.keys, k => k.len())
    }

    pub(crate) fn row(&self, i: usize) -> usize {
        self.order.as_ref().map_or(i, |o| o[i] as usize)
    }

    pub(crate) fn is_null(&self, i: usize) -> bool {
        self.nulls.as_ref().is_some_and(|n| n.value(i))
    }

    /// Row ids in key order, for a batch whose row `i` has the id `id(i)`.
    pub(crate) fn row_ids(&self, id: impl Fn(usize) -> u64) -> Vec<u64> {
        (0..self.len()).map(|i| id(self.row(i))).collect()
    }
}
