//! Scalar functions.

mod bytes;
mod choice;
mod datetime;
pub(crate) mod math;
mod row;
mod string;
mod system;
mod template;

use spg_expr::Function;

/// Every scalar function, by family.
pub(crate) static LISTS: &[&[&Function]] = &[
    math::LIST,
    choice::LIST,
    system::LIST,
    string::case::LIST,
    string::code::LIST,
    string::concat::LIST,
    string::format::LIST,
    string::length::LIST,
    string::pad::LIST,
    string::quote::LIST,
    string::regexp::LIST,
    string::replace::LIST,
    string::search::LIST,
    string::substring::LIST,
    string::trim::LIST,
    template::LIST,
    datetime::now::LIST,
    datetime::fields::LIST,
    datetime::make::LIST,
    datetime::zone::LIST,
    datetime::span::LIST,
    datetime::overlaps::LIST,
    bytes::LIST,
    row::LIST,
];
