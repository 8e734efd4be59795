//! One 64-bit hash for hash tables, bloom filters and distinct sketches: multiply and fold the 128-bit product
//! (the construction of wyhash and its kin). Not for adversaries, and not stored: it may change between builds.

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xa076_1d64_78bd_642f;
const K2: u64 = 0xe703_7ed1_a0b4_28db;

/// Both halves of the product, folded into one.
#[inline(always)]
pub fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of an integer of up to 64 bits.
#[inline(always)]
pub fn hash_u64(value: u64) -> u64 {
    fold(value ^ K0, K1)
}

/// The hash of 128 bits.
#[inline(always)]
pub fn hash_u128(value: u128) -> u64 {
    fold(value as u64 ^ K1, (value >> 64) as u64 ^ K2) ^ fold(value as u64 ^ K0, K1)
}

/// The hash of several columns: `hash` is that of the columns so far.
#[inline(always)]
pub fn combine(hash: u64, value_hash: u64) -> u64 {
    fold(hash ^ K2, value_hash ^ K0)
}

/// The hash of a string.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = K0 ^ bytes.len() as u64;
    let (chunks, rest) = bytes.as_chunks::<16>();
    for chunk in chunks {
        let word = u128::from_le_bytes(*chunk);
        hash = fold(word as u64 ^ K1, (word >> 64) as u64 ^ hash);
    }
    let mut tail = [0; 16];
    tail[..rest.len()].copy_from_slice(rest);
    let word = u128::from_le_bytes(tail);
    hash = fold(word as u64 ^ K1, (word >> 64) as u64 ^ hash);
    fold(hash ^ K2, K1)
}

/// Writes the hash of every value; `to_bits` gives equal bits to equal values.
#[inline]
pub fn hash_values<T: Copy>(values: &[T], hashes: &mut [u64], to_bits: impl Fn(T) -> u64) {
    for (h, v) in hashes.iter_mut().zip(values) {
        *h = hash_u64(to_bits(*v));
    }
}

/// Combines the hash of every value into the hashes of the columns before.
#[inline]
pub fn hash_values_with<T: Copy>(values: &[T], hashes: &mut [u64], to_bits: impl Fn(T) -> u64) {
    for (h, v) in hashes.iter_mut().zip(values) {
        *h = combine(*h, hash_u64(to_bits(*v)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn small_integers_spread() {
        // Both the low bits (buckets) and the high bits (tags) of consecutive keys have to differ.
        for shift in [0, 48] {
            let buckets: HashSet<u64> = (0..4096u64).map(|v| hash_u64(v) >> shift & 0xffff).collect();
            assert!(buckets.len() > 3500, "{}", buckets.len());
        }
    }

    proptest! {
        #[test]
        fn strings_differ(a in ".{0,40}", b in ".{0,40}") {
            prop_assert_eq!(hash_bytes(a.as_bytes()) == hash_bytes(b.as_bytes()), a == b);
        }

        #[test]
        fn columns_in_order(a: Vec<i32>) {
            let mut one = vec![0; a.len()];
            hash_values(&a, &mut one, |v| v as u64);
            let mut two = one.clone();
            hash_values_with(&a, &mut two, |v| v as u64);
            for i in 0..a.len() {
                prop_assert_eq!(one[i], hash_u64(a[i] as u64));
                prop_assert_eq!(two[i], combine(one[i], hash_u64(a[i] as u64)));
            }
        }
    }
}
