//! `record`: the type of row constructors; it has no column of its own.

use super::{no_binary_in, no_binary_out, no_text_in, no_typmod, no_typmod_out};
use crate::{Category, Repr, TypeDef};

/// `record`.
pub static RECORD: TypeDef = TypeDef {
    oid: 2249,
    array_oid: 2287,
    name: "record",
    sql_name: "record",
    aliases: &[],
    category: Category::Pseudo,
    preferred: false,
    len: -1,
    repr: |_| Repr::Text,
    typmod_in: |_| no_typmod("record"),
    typmod_out: no_typmod_out,
    text_in: no_text_in,
    text_out: super::text::text_out,
    binary_in: no_binary_in,
    binary_out: no_binary_out,
    doc: "Rows whose columns the statement tells.",
};
