//! Key columns packed into words.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{Decimal128Type, Float32Type, Float64Type};
use spg_expr::Column;
use spg_types::{Error, Repr, Result, SqlType};

use super::interner::{Interner, UNKNOWN};
use crate::ints::{is_int, with_ints};

/// How values of one column become bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    /// Whole numbers, sign-extended and cut to the bits.
    Int,
    Float32,
    Float64,
    /// Two words.
    Wide,
    /// The number that an interner gives.
    Interned(usize),
}

/// Where one column's bits lie.
#[derive(Clone, Copy, Debug)]
struct Place {
    kind: Kind,
    word: usize,
    shift: u32,
    bits: u32,
}

/// The layout of a key: which bits hold which column.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    types: Vec<SqlType>,
    places: Vec<Place>,
    width: usize,
    interned: Vec<SqlType>,
}

impl Shape {
    /// The layout of keys of these types. Widest columns first, so that words fill.
    pub(crate) fn new(types: &[SqlType]) -> Self {
        let mut interned = Vec::new();
        let mut places: Vec<Place> = types
            .iter()
            .map(|ty| {
                let (kind, bits) = match ty.repr() {
                    Repr::Bool => (Kind::Bool, 1),
                    Repr::Float32 => (Kind::Float32, 32),
                    Repr::Float64 => (Kind::Float64, 64),
                    Repr::Decimal128 { .. } | Repr::Uuid => (Kind::Wide, 128),
                    r if is_int(r) => (Kind::Int, 8 * r.width() as u32),
                    _ => {
                        interned.push(*ty);
                        (Kind::Interned(interned.len() - 1), 32)
                    }
                };
                Place { kind, word: 0, shift: 0, bits }
            })
            .collect();
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(places[i].bits));
        let mut used = 0;
        for i in order {
            let p = &mut places[i];
            if p.bits <= 64 && used / 64 != (used + p.bits - 1) / 64 {
                used = used.next_multiple_of(64);
            }
            (p.word, p.shift) = ((used / 64) as usize, used % 64);
            used += p.bits;
        }
        let width = used.div_ceil(64).max(1) as usize;
        Self { types: types.to_vec(), places, width, interned }
    }

    /// Words per key.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Key columns.
    pub(crate) fn columns(&self) -> usize {
        self.places.len()
    }

    /// Whether a key is one whole number: its word is the number.
    pub(crate) fn is_single_int(&self) -> bool {
        matches!(self.places.as_slice(), [Place { kind: Kind::Int, .. }])
    }

    /// Interners for the columns that need one.
    pub(crate) fn interners(&self) -> Vec<Interner> {
        self.interned.iter().map(|ty| Interner::new(*ty)).collect()
    }

    /// Shift and mask of each column within its word when a key is one word; the number of its interner where it has one.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (u32, u64, Option<usize>)> + '_ {
        self.places.iter().map(|p| {
            let mask = if p.bits >= 64 { u64::MAX } else { (1 << p.bits) - 1 };
            let interner = if let Kind::Interned(i) = p.kind { Some(i) } else { None };
            (p.shift, mask, interner)
        })
    }

    /// The keys of some rows; new values are interned.
    pub(crate) fn encode(
        &self,
        columns: &[Column],
        rows: usize,
        interners: &mut [Interner],
    ) -> Result<KeyWords> {
        self.encode_with(columns, rows, &mut |interner, array| interners[interner].intern_all(array))
    }

    /// The keys of some rows that are only looked up; values that were never interned equal nothing.
    pub(crate) fn encode_lookup(
        &self,
        columns: &[Column],
        rows: usize,
        interners: &[Interner],
    ) -> Result<KeyWords> {
        self.encode_with(columns, rows, &mut |interner, array| interners[interner].lookup_all(array))
    }

    fn encode_with(
        &self,
        columns: &[Column],
        rows: usize,
        ids: &mut dyn FnMut(usize, &ArrayRef) -> Result<Vec<u32>>,
    ) -> Result<KeyWords> {
        let mut words = vec![0u64; rows * self.width];
        let mut valid: Option<BooleanBuffer> = None;
        let mut unknown: Option<BooleanBuffer> = None;
        for (place, column) in self.places.iter().zip(columns) {
            let array = column.inner();
            let constant = matches!(column, Column::Const(_));
            if array.null_count() > 0 {
                let v = match (array.logical_nulls(), constant) {
                    (Some(_), true) => BooleanBuffer::new_unset(rows),
                    (Some(n), false) => n.inner().clone(),
                    (None, _) => BooleanBuffer::new_set(rows),
                };
                valid = Some(valid.map_or(v.clone(), |all| &all & &v));
            }
            let mut out = Out { words: &mut words, width: self.width, place: *place };
            match place.kind {
                Kind::Interned(interner) => {
                    let ids = ids(interner, array)?;
                    if ids.contains(&UNKNOWN) {
                        let miss = if constant {
                            BooleanBuffer::new_set(rows)
                        } else {
                            BooleanBuffer::collect_bool(rows, |i| ids[i] == UNKNOWN)
                        };
                        unknown = Some(unknown.map_or(miss.clone(), |all| &all | &miss));
                    }
                    out.put(constant, ids.iter().map(|&id| id.into()));
                }
                _ => out.put_fixed(constant, array)?,
            }
        }
        let valid = valid.filter(|v| v.count_set_bits() < rows).map(NullBuffer::new);
        Ok(KeyWords { width: self.width, rows, words, valid, unknown })
    }

    /// Clears the bits of NULL columns in the key of `row` and answers which columns are NULL.
    pub(crate) fn null_mask(&self, columns: &[Column], row: usize, key: &mut [u64]) -> Vec<u64> {
        let mut mask = vec![0u64; self.places.len().div_ceil(64)];
        for (i, (place, column)) in self.places.iter().zip(columns).enumerate() {
            if column.is_null(row) {
                mask[i / 64] |= 1 << (i % 64);
                match place.bits {
                    128 => key[place.word..place.word + 2].fill(0),
                    64 => key[place.word] = 0,
                    bits => key[place.word] &= !(((1 << bits) - 1) << place.shift),
                }
            }
        }
        mask
    }

    /// A hash of each key's values, whatever numbers the interners have given them.
    pub(crate) fn content_hashes(&self, keys: &[u64], interners: &[Interner]) -> Vec<u64> {
        if self.interned.is_empty() {
            return keys.chunks_exact(self.width).map(hash_words).collect();
        }
        keys.chunks_exact(self.width)
            .map(|key| {
                let mut hash = 0;
                for p in &self.places {
                    let value = match p.kind {
                        Kind::Interned(i) => interners[i].hash((key[p.word] >> p.shift) as u32),
                        Kind::Wide => spg_simd::combine(key[p.word], key[p.word + 1]),
                        _ => key[p.word] >> p.shift & if p.bits >= 64 { u64::MAX } else { (1 << p.bits) - 1 },
                    };
                    hash = spg_simd::combine(hash, value);
                }
                hash
            })
            .collect()
    }

    /// Column `i` of keys that stand one after the other; `valid` says where it is not NULL.
    pub(crate) fn decode(
        &self,
        i: usize,
        keys: &[u64],
        valid: Option<NullBuffer>,
        interners: &[Interner],
    ) -> Result<ArrayRef> {
        use std::sync::Arc;

        use arrow::array::{BooleanArray, Decimal128Array, FixedSizeBinaryArray, PrimitiveArray};
        let p = self.places[i];
        let ty = self.types[i].data_type();
        let rows = keys.chunks_exact(self.width);
        let field = move |key: &[u64]| key[p.word] >> p.shift;
        Ok(match p.kind {
            Kind::Bool => {
                let values: BooleanBuffer = rows.map(|k| field(k) & 1 == 1).collect();
                Arc::new(BooleanArray::new(values, valid))
            }
            Kind::Int => {
                let unused = 64 - p.bits;
                let values = rows.map(|k| ((field(k) << unused) as i64) >> unused).collect();
                crate::ints::narrow_ints(values, valid, &ty)
                    .ok_or_else(|| Error::internal(format!("a key column of {ty}")))?
            }
            Kind::Float32 => {
                let values: Vec<f32> = rows.map(|k| f32::from_bits(field(k) as u32)).collect();
                Arc::new(PrimitiveArray::<Float32Type>::new(values.into(), valid))
            }
            Kind::Float64 => {
                let values: Vec<f64> = rows.map(|k| f64::from_bits(field(k))).collect();
                Arc::new(PrimitiveArray::<Float64Type>::new(values.into(), valid))
            }
            Kind::Wide => {
                let values = rows.map(|k| u128::from(k[p.word]) | u128::from(k[p.word + 1]) << 64);
                if self.types[i].repr() == Repr::Uuid {
                    let bytes: Vec<u8> = values.flat_map(u128::to_le_bytes).collect();
                    Arc::new(FixedSizeBinaryArray::try_new(16, bytes.into(), valid)?)
                } else {
                    let values: Vec<i128> = values.map(|v| v as i128).collect();
                    Arc::new(Decimal128Array::new(values.into(), valid).with_data_type(ty))
                }
            }
            Kind::Interned(interner) => {
                let ids: Vec<u32> = rows.map(|k| field(k) as u32).collect();
                interners[interner].values(&ids, valid.as_ref())?
            }
        })
    }
}

/// Where a column's bits go.
struct Out<'a> {
    words: &'a mut [u64],
    width: usize,
    place: Place,
}

impl Out<'_> {
    fn put(&mut self, constant: bool, values: impl Iterator<Item = u64>) {
        let Place { word, shift, bits, .. } = self.place;
        let mask = if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
        let mut values = values;
        if constant {
            let value = (values.next().unwrap_or(0) & mask) << shift;
            self.words.chunks_exact_mut(self.width).for_each(|key| key[word] |= value);
        } else if self.width == 1 {
            self.words.iter_mut().zip(values).for_each(|(w, v)| *w |= (v & mask) << shift);
        } else {
            let keys = self.words.chunks_exact_mut(self.width);
            keys.zip(values).for_each(|(key, v)| key[word] |= (v & mask) << shift);
        }
    }

    fn put_wide(&mut self, constant: bool, values: impl Iterator<Item = u128> + Clone) {
        self.place.bits = 64;
        self.put(constant, values.clone().map(|v| v as u64));
        self.place.word += 1;
        self.put(constant, values.map(|v| (v >> 64) as u64));
    }

    fn put_fixed(&mut self, constant: bool, array: &ArrayRef) -> Result<()> {
        let wrong = || Error::internal(format!("a key column holds {}", array.data_type()));
        match self.place.kind {
            Kind::Bool => {
                let a = array.as_boolean_opt().ok_or_else(wrong)?;
                self.put(constant, a.values().iter().map(u64::from));
            }
            Kind::Int => with_ints!(array.as_ref(), values => {
                self.put(constant, values.iter().map(|v| i64::from(*v) as u64));
            }, else return Err(wrong())),
            Kind::Float32 => {
                let a = array.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?;
                self.put(
                    constant,
                    a.values().iter().map(|v| canonical(f64::from(*v), |v| (v as f32).to_bits().into())),
                );
            }
            Kind::Float64 => {
                // A real compares with a double as a double.
                if let Some(a) = array.as_primitive_opt::<Float32Type>() {
                    self.put(constant, a.values().iter().map(|v| canonical(f64::from(*v), f64::to_bits)));
                } else {
                    let a = array.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?;
                    self.put(constant, a.values().iter().map(|v| canonical(*v, f64::to_bits)));
                }
            }
            Kind::Wide => {
                if let Some(a) = array.as_primitive_opt::<Decimal128Type>() {
                    self.put_wide(constant, a.values().iter().map(|v| *v as u128));
                } else {
                    let a = array.as_fixed_size_binary_opt().ok_or_else(wrong)?;
                    let bytes = a.value_data().get(a.offset() * 16..).unwrap_or_default();
                    let (values, _) = bytes.as_chunks::<16>();
                    self.put_wide(constant, values.iter().take(a.len()).map(|v| u128::from_le_bytes(*v)));
                }
            }
            Kind::Interned(_) => return Err(wrong()),
        }
        Ok(())
    }
}

/// The bits of a float that is equal to all floats that SQL takes for equal.
fn canonical(v: f64, bits: impl Fn(f64) -> u64) -> u64 {
    if v.is_nan() {
        bits(f64::NAN)
    } else if v == 0.0 {
        0
    } else {
        bits(v)
    }
}

/// A hash of a key.
#[inline]
pub(crate) fn hash_words(key: &[u64]) -> u64 {
    match key {
        [one] => spg_simd::hash_u64(*one),
        [a, b] => spg_simd::hash_u128(u128::from(*a) | u128::from(*b) << 64),
        more => more.iter().fold(0, |h, w| spg_simd::combine(h, *w)),
    }
}

/// Keys of a batch, row by row.
pub(crate) struct KeyWords {
    width: usize,
    rows: usize,
    words: Vec<u64>,
    /// Rows without a NULL among the key's columns; `None` when no row has one.
    valid: Option<NullBuffer>,
    /// Rows with a value that nothing equals.
    unknown: Option<BooleanBuffer>,
}

impl KeyWords {
    /// Words per key.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Keys.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The words of all keys.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// One key.
    pub(crate) fn row(&self, row: usize) -> &[u64] {
        &self.words[row * self.width..(row + 1) * self.width]
    }

    /// Rows without a NULL; `None` when no row has one.
    pub(crate) fn valid(&self) -> Option<&NullBuffer> {
        self.valid.as_ref()
    }

    /// Whether the key of a row can equal nothing that was interned.
    pub(crate) fn is_unknown(&self, row: usize) -> bool {
        self.unknown.as_ref().is_some_and(|u| u.value(row))
    }

    /// Whether all keys are without NULL and known.
    pub(crate) fn is_plain(&self) -> bool {
        self.valid.is_none() && self.unknown.is_none()
    }
}
