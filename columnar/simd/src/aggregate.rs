//! Sums and extremes of whole slices. With a bitmap, only rows whose bit is set count.

use crate::Lane;

/// The value at each row, or `neutral` where the row's bit is not set, folded in lanes.
#[inline(always)]
fn fold_masked<T: Copy, A: Copy, const LANES: usize>(
    values: &[T],
    valid: Option<&[u64]>,
    start: A,
    neutral: T,
    f: impl Fn(A, T) -> A,
    join: impl Fn(A, A) -> A,
) -> A {
    let mut acc = [start; LANES];
    match valid {
        None => {
            let mut chunks = values.chunks_exact(LANES);
            for chunk in &mut chunks {
                for (a, v) in acc.iter_mut().zip(chunk) {
                    *a = f(*a, *v);
                }
            }
            for (a, v) in acc.iter_mut().zip(chunks.remainder()) {
                *a = f(*a, *v);
            }
        }
        Some(words) => {
            for (block, word) in values.chunks(64).zip(words) {
                for (i, v) in block.iter().enumerate() {
                    let v = if word >> i & 1 == 1 { *v } else { neutral };
                    acc[i % LANES] = f(acc[i % LANES], v);
                }
            }
        }
    }
    acc.into_iter().fold(start, join)
}

/// The exact sum of 64-bit integers.
pub fn sum_i64(values: &[i64], valid: Option<&[u64]>) -> i128 {
    // Two halves that cannot overflow for fewer than 2^31 values: the low 32 bits unsigned, the high 32 bits signed.
    debug_assert!(values.len() < 1 << 31);
    let (low, high) = fold_masked::<i64, (u64, i64), 4>(
        values,
        valid,
        (0, 0),
        0,
        |(low, high), v| (low.wrapping_add(v as u64 & 0xffff_ffff), high.wrapping_add(v >> 32)),
        |a, b| (a.0.wrapping_add(b.0), a.1.wrapping_add(b.1)),
    );
    (i128::from(high) << 32) + i128::from(low)
}

/// The sum of 128-bit integers; `None` when it overflows.
pub fn sum_i128(values: &[i128], valid: Option<&[u64]>) -> Option<i128> {
    let mut sum = 0i128;
    for (i, v) in values.iter().enumerate() {
        if valid.is_none_or(|words| words[i / 64] >> (i % 64) & 1 == 1) {
            sum = sum.checked_add(*v)?;
        }
    }
    Some(sum)
}

/// The sum of floats, in four lanes.
pub fn sum_f64(values: &[f64], valid: Option<&[u64]>) -> f64 {
    fold_masked::<f64, f64, 8>(values, valid, 0.0, 0.0, |a, v| a + v, |a, b| a + b)
}

/// The least value; `None` for no rows.
pub fn min<T: Lane>(values: &[T], valid: Option<&[u64]>) -> Option<T> {
    extreme(values, valid, |a, b| if b.lt(a) { b } else { a })
}

/// The greatest value; `None` for no rows.
pub fn max<T: Lane>(values: &[T], valid: Option<&[u64]>) -> Option<T> {
    extreme(values, valid, |a, b| if a.lt(b) { b } else { a })
}

#[inline(always)]
fn extreme<T: Lane>(values: &[T], valid: Option<&[u64]>, pick: impl Fn(T, T) -> T) -> Option<T> {
    let first = match valid {
        None => *values.first()?,
        Some(words) => {
            let (i, word) = words.iter().enumerate().find(|(_, w)| **w != 0)?;
            *values.get(i * 64 + word.trailing_zeros() as usize)?
        }
    };
    Some(fold_masked::<T, T, 8>(values, valid, first, first, &pick, &pick))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn like_plain_loops(rows in proptest::collection::vec((any::<i64>(), any::<bool>()), 0..300)) {
            let values: Vec<i64> = rows.iter().map(|r| r.0).collect();
            let words = pack(rows.len(), |i| rows[i].1);
            let wide: Vec<i128> = values.iter().map(|v| i128::from(*v)).collect();
            for valid in [None, Some(&words[..])] {
                let kept: Vec<i64> =
                    rows.iter().filter(|r| valid.is_none() || r.1).map(|r| r.0).collect();
                let sum: i128 = kept.iter().map(|v| i128::from(*v)).sum();
                prop_assert_eq!(sum_i64(&values, valid), sum);
                prop_assert_eq!(sum_i128(&wide, valid), Some(sum));
                prop_assert_eq!(min(&values, valid), kept.iter().min().copied());
                prop_assert_eq!(max(&values, valid), kept.iter().max().copied());
            }
        }

        #[test]
        fn float_sums(values in proptest::collection::vec(-1000i32..1000, 0..300)) {
            let floats: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            prop_assert_eq!(sum_f64(&floats, None), f64::from(values.iter().sum::<i32>()));
        }
    }

    #[test]
    fn nan_is_the_greatest() {
        assert!(max(&[1.0, f64::NAN, 2.0], None).unwrap().is_nan());
        assert_eq!(min(&[1.0, f64::NAN, 2.0], None), Some(1.0));
        assert_eq!(sum_i128(&[i128::MAX, 1], None), None);
    }
}
