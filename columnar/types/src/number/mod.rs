//! Integers, floats and fixed-scale decimals as text: the byte loops that COPY and result rows run on.

mod decimal;
mod float;
mod int;

pub use decimal::*;
pub use float::*;
pub use int::*;
