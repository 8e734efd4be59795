//! Scalar functions.

pub(crate) mod math;

use spg_expr::Function;

/// Every scalar function, by family.
pub(crate) static LISTS: &[&[&Function]] = &[math::LIST];
