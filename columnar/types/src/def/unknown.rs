//! `unknown`: literals whose type is not settled yet.

use super::{no_typmod, no_typmod_out};
use crate::{Category, Repr, TypeDef};

/// `unknown`.
pub static UNKNOWN: TypeDef = TypeDef {
    oid: 705,
    array_oid: 0,
    name: "unknown",
    sql_name: "unknown",
    aliases: &[],
    category: Category::Unknown,
    preferred: false,
    len: -2,
    repr: |_| Repr::Text,
    typmod_in: |_| no_typmod("unknown"),
    typmod_out: no_typmod_out,
    text_in: super::text::text_in,
    text_out: super::text::text_out,
    binary_in: super::text::binary_in,
    binary_out: super::text::binary_out,
    doc: "Literals whose type is not settled yet.",
};
