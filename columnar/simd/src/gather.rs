//! Values by position.

/// `values[indices[i]]`; panics when an index is out of range.
pub fn gather<T: Copy>(values: &[T], indices: &[u32]) -> Vec<T> {
    let mut out = Vec::with_capacity(indices.len());
    gather_into(values, indices, &mut out);
    out
}

/// Appends `values[indices[i]]`; panics when an index is out of range.
pub fn gather_into<T: Copy>(values: &[T], indices: &[u32], out: &mut Vec<T>) {
    let Some(max) = indices.iter().copied().max() else { return };
    assert!((max as usize) < values.len(), "index {max} of {} values", values.len());
    // SAFETY: every index is at most `max`, which is within `values`.
    out.extend(indices.iter().map(|i| unsafe { *values.get_unchecked(*i as usize) }));
}

/// [`gather`] for string views and other 16-byte values.
pub fn gather_u128(values: &[u128], indices: &[u32]) -> Vec<u128> {
    gather(values, indices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn by_position(values in proptest::collection::vec(any::<u64>(), 1..100), picks in proptest::collection::vec(any::<u32>(), 0..200)) {
            let indices: Vec<u32> = picks.iter().map(|p| p % values.len() as u32).collect();
            let plain: Vec<u64> = indices.iter().map(|i| values[*i as usize]).collect();
            prop_assert_eq!(gather(&values, &indices), plain);
        }
    }

    #[test]
    #[should_panic(expected = "index 3 of 3 values")]
    fn out_of_range() {
        gather(&[1, 2, 3], &[0, 3]);
    }
}
