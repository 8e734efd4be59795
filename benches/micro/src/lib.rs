//! Inputs for the micro-benchmarks in `benches/`: the same values in every run.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Values per benchmarked call: one row group of the executor's usual batch size.
pub const ROWS: usize = 8192;

/// Uniform integers below `limit`, from a fixed seed.
pub fn integers(limit: i64) -> Vec<i64> {
    let mut rng = SmallRng::seed_from_u64(1);
    (0..ROWS).map(|_| rng.random_range(0..limit)).collect()
}

/// A validity bitmap in which about one value in `nulls_every` is null.
pub fn validity(nulls_every: u32) -> Vec<u64> {
    let mut rng = SmallRng::seed_from_u64(2);
    let mut words = vec![u64::MAX; ROWS / 64];
    for row in 0..ROWS {
        if rng.random_ratio(1, nulls_every) {
            words[row / 64] &= !(1 << (row % 64));
        }
    }
    words
}

/// Row numbers in random order.
pub fn indices() -> Vec<u32> {
    let mut rng = SmallRng::seed_from_u64(3);
    (0..ROWS).map(|_| rng.random_range(0..ROWS as u32)).collect()
}

/// Short strings of 4 to 24 bytes.
pub fn strings() -> Vec<String> {
    let mut rng = SmallRng::seed_from_u64(4);
    (0..ROWS)
        .map(|_| {
            let length = rng.random_range(4..=24);
            (0..length).map(|_| rng.random_range(b'a'..=b'z') as char).collect()
        })
        .collect()
}
