//! `^`, `|/` and `||/`

use spg_expr::Function;

use crate::record::FUNCTION;
use crate::scalar::math;

/// `^`
pub(super) static POWER: Function = Function {
    name: "^",
    doc: "The first number raised to the second.",
    example: ("2 ^ 3", "8"),
    signatures: math::POWER_SIGNATURES,
    ..FUNCTION
};

/// `|/`
pub(super) static SQUARE_ROOT: Function = Function {
    name: "|/",
    doc: "Square root.",
    example: ("|/ 25.0::float8", "5"),
    signatures: math::SQRT_FLOAT,
    ..FUNCTION
};

/// `||/`
pub(super) static CUBE_ROOT: Function = Function {
    name: "||/",
    doc: "Cube root.",
    example: ("||/ 64.0::float8", "4"),
    signatures: math::CBRT_SIGNATURES,
    ..FUNCTION
};
