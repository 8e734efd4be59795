//! Operators: functions named by their symbol.

mod arithmetic;
mod bits;
mod comparison;
mod concat;
mod minus;
mod pattern;
mod plus;
mod power;

use spg_expr::Function;

pub(crate) use arithmetic::ABS;

/// Every operator.
pub(crate) static LIST: &[&Function] = &[
    &plus::PLUS,
    &minus::MINUS,
    &arithmetic::TIMES,
    &arithmetic::DIVIDE,
    &arithmetic::MODULO,
    &arithmetic::ABSOLUTE,
    &power::POWER,
    &power::SQUARE_ROOT,
    &power::CUBE_ROOT,
    &bits::AND,
    &bits::OR,
    &bits::XOR,
    &bits::LEFT,
    &bits::RIGHT,
    &comparison::EQUAL,
    &comparison::NOT_EQUAL,
    &comparison::LESS,
    &comparison::LESS_EQUAL,
    &comparison::GREATER,
    &comparison::GREATER_EQUAL,
    &comparison::DISTINCT,
    &comparison::NOT_DISTINCT,
    &concat::CONCAT,
    &pattern::LIKE,
    &pattern::NOT_LIKE,
    &pattern::ILIKE,
    &pattern::NOT_ILIKE,
    &pattern::SIMILAR,
    &pattern::NOT_SIMILAR,
    &pattern::MATCHES,
    &pattern::MATCHES_ANY_CASE,
    &pattern::NOT_MATCHES,
    &pattern::NOT_MATCHES_ANY_CASE,
    &pattern::STARTS_WITH,
];
