//! Run-time join filters: what a hash join's build side lets scans of the probe side skip.
//!
//! Over whole-number keys: the bounds, and the exact set of keys as a bitmap where their range is dense, else a blocked
//! Bloom filter. A filter only drops rows that cannot match.

use arrow::array::{Array, ArrayRef};
use arrow::buffer::BooleanBuffer;
use spg_expr::Column;
use spg_types::{ColumnStats, Datum};

use crate::ints::{int_bounds, with_ints};
use crate::predicate::Answer;

/// Bits of a bitmap per key on the build side, at most.
const BITMAP_BITS_PER_KEY: u64 = 64;
/// A bitmap up to this many bits is always worth it.
const BITMAP_BITS_SMALL: u64 = 1 << 16;
/// A Bloom filter past this many keys costs more than it saves.
const BLOOM_KEYS_MAX: usize = 1 << 23;

/// What the build side's keys are known to be.
pub(crate) enum JoinFilter {
    /// Nothing is known.
    Open,
    /// There are no keys: nothing can match.
    Empty,
    /// Whole numbers.
    Ints {
        /// Smallest key.
        min: i64,
        /// Largest key.
        max: i64,
        /// Which keys within the bounds.
        members: Members,
    },
}

/// Which keys there are within the bounds.
pub(crate) enum Members {
    /// Any may be.
    Any,
    /// Bit `key - min`.
    Exact(Vec<u64>),
    /// One word per block, a few bits per key; the shift that makes a block of a hash.
    Bloom(Vec<u64>, u32),
}

impl JoinFilter {
    /// The filter over a build side's key column, NULLs left out.
    pub(crate) fn build(keys: &[ArrayRef]) -> JoinFilter {
        let rows: usize = keys.iter().map(|k| k.len() - k.null_count()).sum();
        if rows == 0 {
            return JoinFilter::Empty;
        }
        let mut bounds: Option<(i64, i64)> = None;
        for array in keys.iter().filter(|a| a.len() > a.null_count()) {
            let Some((lo, hi)) = int_bounds(array) else { return JoinFilter::Open };
            bounds = Some(bounds.map_or((lo, hi), |(min, max)| (min.min(lo), max.max(hi))));
        }
        let Some((min, max)) = bounds else { return JoinFilter::Empty };
        let span = (max as u64).wrapping_sub(min as u64);
        let members = if span < BITMAP_BITS_SMALL.max(rows as u64 * BITMAP_BITS_PER_KEY) {
            let mut bits = vec![0u64; (span / 64 + 1) as usize];
            each_key(keys, |key| {
                let at = key.wrapping_sub(min) as u64;
                bits[(at >> 6) as usize] |= 1 << (at & 63);
            });
            Members::Exact(bits)
        } else if rows <= BLOOM_KEYS_MAX {
            let blocks = (rows / 4).next_power_of_two().max(16);
            let shift = 64 - blocks.trailing_zeros();
            let mut words = vec![0u64; blocks];
            each_key(keys, |key| {
                let (block, mask) = bloom(key, shift);
                words[block] |= mask;
            });
            Members::Bloom(words, shift)
        } else {
            Members::Any
        };
        JoinFilter::Ints { min, max, members }
    }

    /// Whether a row group with these bounds has no row that can match.
    pub(crate) fn skips(&self, stats: &ColumnStats) -> bool {
        match self {
            JoinFilter::Open => false,
            JoinFilter::Empty => true,
            JoinFilter::Ints { min, max, .. } => match (int(&stats.min), int(&stats.max)) {
                (Some(lo), Some(hi)) => hi < *min || lo > *max,
                _ => false,
            },
        }
    }

    /// Which rows can match.
    pub(crate) fn test(&self, column: &Column, rows: usize) -> Answer {
        let (min, max, members) = match self {
            JoinFilter::Open => return Answer::All,
            JoinFilter::Empty => return Answer::None,
            JoinFilter::Ints { min, max, members } => (*min, *max, members),
        };
        let Column::Array(array) = column else { return Answer::All };
        let span = (max as u64).wrapping_sub(min as u64);
        let at = |v: i64| (v as u64).wrapping_sub(min as u64);
        let mask = with_ints!(array.as_ref(), values => match members {
            Members::Any => BooleanBuffer::collect_bool(rows, |i| at(i64::from(values[i])) <= span),
            Members::Exact(bits) => BooleanBuffer::collect_bool(rows, |i| {
                let at = at(i64::from(values[i]));
                bits.get((at >> 6) as usize).is_some_and(|word| word >> (at & 63) & 1 == 1)
            }),
            Members::Bloom(words, shift) => BooleanBuffer::collect_bool(rows, |i| {
                let value = i64::from(values[i]);
                let (block, mask) = bloom(value, *shift);
                at(value) <= span && words[block] & mask == mask
            }),
        }, else return Answer::All);
        Answer::Some(match array.nulls().filter(|n| n.null_count() > 0) {
            Some(nulls) => &mask & nulls.inner(),
            None => mask,
        })
    }
}

fn each_key(keys: &[ArrayRef], mut f: impl FnMut(i64)) {
    for array in keys {
        with_ints!(array.as_ref(), values => match array.nulls().filter(|n| n.null_count() > 0) {
            None => values.iter().for_each(|v| f(i64::from(*v))),
            Some(nulls) => nulls.valid_indices().for_each(|i| f(i64::from(values[i]))),
        }, else ());
    }
}

/// Block and bits of a key.
#[inline]
fn bloom(key: i64, shift: u32) -> (usize, u64) {
    let hash = spg_simd::hash_u64(key as u64);
    let bits = 1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63) | 1 << (hash >> 18 & 63);
    ((hash >> shift) as usize, bits)
}

fn int(bound: &Option<Datum>) -> Option<i64> {
    Some(match bound.as_ref()? {
        Datum::Int16(v) => (*v).into(),
        Datum::Int32(v) | Datum::Date(v) => (*v).into(),
        Datum::Int64(v) | Datum::Time(v) | Datum::Timestamp(v) => *v,
        Datum::Decimal(v) => i64::try_from(*v).ok()?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, Int64Array};

    use super::*;

    fn passes(filter: &JoinFilter, values: &[i64]) -> Vec<bool> {
        let column = Column::Array(Arc::new(Int64Array::from(values.to_vec())));
        match filter.test(&column, values.len()) {
            Answer::All => vec![true; values.len()],
            Answer::None => vec![false; values.len()],
            Answer::Some(mask) => mask.iter().collect(),
        }
    }

    #[test]
    fn dense_keys_are_tested_exactly() {
        let keys: ArrayRef = Arc::new(Int32Array::from(vec![Some(5), None, Some(9), Some(70)]));
        let filter = JoinFilter::build(&[keys]);
        let want = [false, true, false, true, true, false, false];
        assert_eq!(passes(&filter, &[4, 5, 6, 9, 70, 71, i64::MIN]), want);
    }

    #[test]
    fn sparse_keys_never_lose_a_match() {
        let keys: Vec<i64> =
            (0..2000).map(|i: i64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64)).collect();
        let filter = JoinFilter::build(&[Arc::new(Int64Array::from(keys.clone())) as ArrayRef]);
        assert!(passes(&filter, &keys).iter().all(|p| *p));
        let others: Vec<i64> = keys.iter().map(|k| k ^ 1).collect();
        let wrong = passes(&filter, &others).iter().filter(|p| **p).count();
        assert!(wrong < 200, "{wrong} of 2000 pass");
    }

    #[test]
    fn no_keys_match_nothing() {
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![None::<i64>]));
        assert_eq!(passes(&JoinFilter::build(&[keys]), &[1]), [false]);
    }
}
