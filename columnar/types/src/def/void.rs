//! `void`: the result of functions that return nothing.

use super::{no_typmod, no_typmod_out};
use crate::{Category, Repr, TypeDef};

/// `void`.
pub static VOID: TypeDef = TypeDef {
    oid: 2278,
    array_oid: 0,
    name: "void",
    sql_name: "void",
    aliases: &[],
    category: Category::Pseudo,
    preferred: false,
    len: 4,
    repr: |_| Repr::Text,
    typmod_in: |_| no_typmod("void"),
    typmod_out: no_typmod_out,
    text_in: super::text::text_in,
    text_out: super::text::text_out,
    binary_in: super::text::binary_in,
    binary_out: super::text::binary_out,
    doc: "The result of functions that return nothing.",
};
