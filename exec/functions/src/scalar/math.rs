//! Mathematical functions.

mod basic;
mod degrees;
mod float;
mod power;
mod rounding;

use spg_expr::Function;

pub(crate) use float::random_u64;
pub(crate) use power::{CBRT_SIGNATURES, POWER_SIGNATURES, SQRT_FLOAT};

pub(super) static LIST: &[&Function] = &[
    &basic::ABS,
    &basic::SIGN,
    &basic::MOD,
    &basic::DIV,
    &basic::GCD,
    &basic::LCM,
    &basic::FACTORIAL,
    &basic::PI,
    &basic::SCALE,
    &basic::MIN_SCALE,
    &basic::TRIM_SCALE,
    &basic::WIDTH_BUCKET,
    &power::SQRT,
    &power::CBRT,
    &power::POWER,
    &power::POW,
    &power::EXP,
    &power::LN,
    &power::LOG,
    &power::LOG10,
    &rounding::CEIL,
    &rounding::CEILING,
    &rounding::FLOOR,
    &rounding::ROUND,
    &rounding::TRUNC,
    &float::RANDOM,
    &float::DEGREES,
    &float::RADIANS,
    &float::SIN,
    &float::COS,
    &float::TAN,
    &float::COT,
    &float::ASIN,
    &float::ACOS,
    &float::ATAN,
    &float::ATAN2,
    &float::SINH,
    &float::COSH,
    &float::TANH,
    &float::ASINH,
    &float::ACOSH,
    &float::ATANH,
    &float::SETSEED,
    &degrees::SIND,
    &degrees::COSD,
    &degrees::TAND,
    &degrees::COTD,
    &degrees::ASIND,
    &degrees::ACOSD,
    &degrees::ATAND,
    &degrees::ATAN2D,
];
