//! How many distinct values a column has, roughly: a HyperLogLog sketch (Flajolet et al. 2007) that merges.

use ahash::RandomState;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::UInt16Type;

/// 2^10 registers: a standard error of about 3 %.
const BITS: u32 = 10;

/// A sketch of a set of values.
#[derive(Clone, Debug)]
pub(crate) struct Sketch(Box<[u8; 1 << BITS]>);

impl Default for Sketch {
    fn default() -> Self {
        Self(Box::new([0; 1 << BITS]))
    }
}

/// The same for every sketch, so that they merge.
fn hasher() -> RandomState {
    RandomState::with_seeds(0x5bd1_e995, 0x9e37_79b9, 0x85eb_ca6b, 0xc2b2_ae35)
}

/// A good mix of 64 bits (splitmix64's finalizer).
fn mix(v: u64) -> u64 {
    let v = (v ^ (v >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let v = (v ^ (v >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^ (v >> 31)
}

impl Sketch {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0[..]
    }

    /// `None` when there are too few or too many bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Box::new(bytes.try_into().ok()?)))
    }

    fn add_hash(&mut self, hash: u64) {
        let register = &mut self.0[(hash >> (64 - BITS)) as usize];
        let rank = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros() as u8 + 1;
        *register = (*register).max(rank);
    }

    /// Adds the non-null values of a column.
    pub(crate) fn add(&mut self, array: &ArrayRef) {
        if let Some(dictionary) = array.as_dictionary_opt::<UInt16Type>() {
            // Sealed dictionaries hold only values in use.
            return self.add(dictionary.values());
        }
        let valid = |i: usize| array.is_valid(i);
        let all_valid = array.null_count() == 0;
        if let Some(strings) = array.as_string_view_opt() {
            let hasher = hasher();
            (0..array.len()).filter(|i| all_valid || valid(*i)).for_each(|i| {
                self.add_hash(hasher.hash_one(strings.value(i).as_bytes()));
            });
        } else if let Some(bytes) = array.as_binary_view_opt() {
            let hasher = hasher();
            (0..array.len()).filter(|i| all_valid || valid(*i)).for_each(|i| {
                self.add_hash(hasher.hash_one(bytes.value(i)));
            });
        } else if let Some(values) = array.as_boolean_opt() {
            (0..array.len())
                .filter(|i| valid(*i))
                .for_each(|i| self.add_hash(mix(1 + u64::from(values.value(i)))));
        } else {
            self.add_fixed(array, all_valid);
        }
    }

    fn add_fixed(&mut self, array: &ArrayRef, all_valid: bool) {
        let data = array.to_data();
        let Some(width) = array.data_type().primitive_width().or_else(|| match array.data_type() {
            arrow::datatypes::DataType::FixedSizeBinary(n) => Some(*n as usize),
            _ => None,
        }) else {
            return;
        };
        let bytes =
            &data.buffers()[0].as_slice()[data.offset() * width..(data.offset() + data.len()) * width];
        macro_rules! words {
            ($ty:ty) => {{
                let (words, _) = bytes.as_chunks::<{ size_of::<$ty>() }>();
                for (i, w) in words.iter().enumerate() {
                    if all_valid || array.is_valid(i) {
                        self.add_hash(mix(<$ty>::from_le_bytes(*w) as u64));
                    }
                }
            }};
        }
        match width {
            2 => words!(u16),
            4 => words!(u32),
            8 => words!(u64),
            16 => {
                let (words, _) = bytes.as_chunks::<16>();
                for (i, w) in words.iter().enumerate() {
                    if all_valid || array.is_valid(i) {
                        let v = u128::from_le_bytes(*w);
                        self.add_hash(mix(v as u64 ^ mix((v >> 64) as u64)));
                    }
                }
            }
            _ => {}
        }
    }

    /// The sketch of both sets together.
    pub(crate) fn merge(&mut self, other: &Sketch) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(a, b)| *a = (*a).max(*b));
    }

    /// The estimated number of values.
    pub(crate) fn estimate(&self) -> f64 {
        let m = f64::from(1 << BITS);
        let mut ranks = [0_u32; 64];
        self.0.iter().for_each(|r| ranks[usize::from(r & 63)] += 1);
        let sum: f64 = ranks.iter().enumerate().map(|(r, n)| f64::from(*n) * 2f64.powi(-(r as i32))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let empty = f64::from(ranks[0]);
        // Small sets: count the registers that were never hit.
        if raw <= 2.5 * m && empty > 0.0 { (m * (m / empty).ln()).round() } else { raw.round() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringViewArray};

    use super::*;

    #[test]
    fn estimates_are_close_and_merge() {
        for n in [0, 1, 10, 1000, 50_000, 500_000] {
            let mut sketch = Sketch::default();
            let ints: ArrayRef = Arc::new(Int32Array::from_iter_values((0..n).chain(0..n / 2)));
            sketch.add(&ints);
            let mut other = Sketch::default();
            let strings: ArrayRef =
                Arc::new(StringViewArray::from_iter_values((0..n / 5).map(|i| format!("value {i}"))));
            other.add(&strings);
            let error = |found: f64, real: f64| (found - real).abs() / real.max(1.0);
            assert!(error(sketch.estimate(), f64::from(n)) < 0.1, "{n}: {}", sketch.estimate());
            assert!(error(other.estimate(), f64::from(n / 5)) < 0.1, "{n}: {}", other.estimate());
            sketch.merge(&other);
            let both = f64::from(n + n / 5);
            assert!(error(sketch.estimate(), both) < 0.1, "{n}: {} {both}", sketch.estimate());
        }
    }
}
