//! Slice kernels: compare, arithmetic, aggregates, hash, gather. They know slices of native values and nothing of
//! SQL, columns or NULL.
//!
//! They are loops that LLVM turns into AVX2 code (the build targets x86-64-v3); each is tested against a plain twin
//! that is written for nothing but being right.

#![allow(unsafe_code, reason = "gathers check their indices once per batch instead of once per value")]

mod aggregate;
mod arith;
mod bits;
mod compare;
mod gather;
mod hash;

pub use aggregate::{max, min, sum_f64, sum_i64, sum_i128};
pub use arith::{Int, binary_overflowing, map, unary_overflowing, zip, zip_const};
pub use bits::{append_indices, count_ones, pack};
pub use compare::{Cmp, Lane, compare, compare_const, narrow, select, select_const};
pub use gather::{gather, gather_into, gather_u128};
pub use hash::{combine, fold, hash_bytes, hash_u64, hash_u128, hash_values, hash_values_with};
