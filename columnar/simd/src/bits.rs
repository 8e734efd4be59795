//! Bitmaps: 64 rows to a word, the first row in the lowest bit. Bits past the last row are zero.

/// The bitmap of `f(0..len)`.
#[inline]
pub fn pack(len: usize, f: impl Fn(usize) -> bool) -> Vec<u64> {
    let mut words = Vec::with_capacity(len.div_ceil(64));
    let mut start = 0;
    while start + 64 <= len {
        let mut flags = [0u8; 64];
        for (i, flag) in flags.iter_mut().enumerate() {
            *flag = f(start + i).into();
        }
        words.push(pack_flags(&flags));
        start += 64;
    }
    if start < len {
        words.push((start..len).fold(0, |word, i| word | u64::from(f(i)) << (i - start)));
    }
    words
}

/// 64 bytes of 0 or 1 as 64 bits.
#[inline]
fn pack_flags(flags: &[u8; 64]) -> u64 {
    let mut word = 0;
    for (i, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        // The product brings the lowest bit of byte j to bit 56 + j; no two terms meet.
        let bits = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word |= bits << (8 * i);
    }
    word
}

/// Appends the positions of the set bits.
pub fn append_indices(words: &[u64], out: &mut Vec<u32>) {
    out.reserve(count_ones(words));
    for (i, &word) in words.iter().enumerate() {
        let base = i as u32 * 64;
        if word == u64::MAX {
            out.extend(base..base + 64);
            continue;
        }
        let mut rest = word;
        while rest != 0 {
            out.push(base + rest.trailing_zeros());
            rest &= rest - 1;
        }
    }
}

/// Set bits.
pub fn count_ones(words: &[u64]) -> usize {
    words.iter().map(|w| w.count_ones() as usize).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packs_like_a_plain_loop(flags in proptest::collection::vec(any::<bool>(), 0..300)) {
            let words = pack(flags.len(), |i| flags[i]);
            prop_assert_eq!(words.len(), flags.len().div_ceil(64));
            for (i, flag) in flags.iter().enumerate() {
                prop_assert_eq!(words[i / 64] >> (i % 64) & 1 == 1, *flag);
            }
            let mut indices = vec![];
            append_indices(&words, &mut indices);
            let plain: Vec<u32> = (0..flags.len() as u32).filter(|i| flags[*i as usize]).collect();
            prop_assert_eq!(indices, plain);
        }
    }

    #[test]
    fn full_words() {
        let mut indices = vec![];
        append_indices(&[u64::MAX, 0, 1], &mut indices);
        assert_eq!(indices.len(), 65);
        assert_eq!(indices[64], 128);
    }
}
