//! The slice kernels of `spg-simd`, each on one batch of 8,192 values: `cargo bench -p spg-micro`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use spg_micro::{ROWS, indices, integers, strings, validity};
use spg_simd::{
    Cmp, binary_overflowing, compare_const, gather, hash_bytes, hash_u64, hash_values, min, select_const,
    sum_f64, sum_i64,
};

fn kernels(criterion: &mut Criterion) {
    let (values, others) = (integers(1_000_000), integers(1000));
    let floats: Vec<f64> = values.iter().map(|value| *value as f64).collect();
    let (valid, rows, texts) = (validity(10), indices(), strings());
    let mut group = criterion.benchmark_group("kernels");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("compare_const i64", |b| {
        b.iter(|| compare_const(Cmp::Lt, black_box(&values), black_box(500_000)));
    });
    let mut selected = Vec::with_capacity(ROWS);
    group.bench_function("select_const i64, half", |b| {
        b.iter(|| {
            selected.clear();
            select_const(Cmp::Lt, black_box(&values), black_box(500_000), None, &mut selected);
            selected.len()
        });
    });
    group.bench_function("sum_i64", |b| b.iter(|| sum_i64(black_box(&values), None)));
    group.bench_function("sum_i64, nulls", |b| b.iter(|| sum_i64(black_box(&values), Some(&valid))));
    group.bench_function("sum_f64", |b| b.iter(|| sum_f64(black_box(&floats), None)));
    group.bench_function("min i64", |b| b.iter(|| min(black_box(&values), None)));
    group.bench_function("multiply i64, overflow checked", |b| {
        b.iter(|| binary_overflowing(black_box(&values), black_box(&others), ROWS, i64::overflowing_mul));
    });
    let mut hashes = vec![0; ROWS];
    group.bench_function("hash_values i64", |b| {
        b.iter(|| hash_values(black_box(&values), &mut hashes, |value| value as u64));
    });
    group.bench_function("hash_u64, one by one", |b| {
        b.iter(|| values.iter().fold(0, |all, value| all ^ hash_u64(black_box(*value as u64))));
    });
    group.bench_function("hash_bytes, short strings", |b| {
        b.iter(|| texts.iter().fold(0, |all, text| all ^ hash_bytes(black_box(text.as_bytes()))));
    });
    group.bench_function("gather i64", |b| b.iter(|| gather(black_box(&values), black_box(&rows))));
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
