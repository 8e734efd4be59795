//! `name`: PostgreSQL's identifiers, at most 63 bytes.

use super::{no_typmod, no_typmod_out, wrong_builder};
use crate::{Category, ColumnBuilder, FormatSettings, Repr, Result, SqlType, TypeDef};

/// `name`.
pub static NAME: TypeDef = TypeDef {
    oid: 19,
    array_oid: 1003,
    name: "name",
    sql_name: "name",
    aliases: &[],
    category: Category::String,
    preferred: false,
    len: 64,
    repr: |_| Repr::Text,
    typmod_in: |_| no_typmod("name"),
    typmod_out: no_typmod_out,
    text_in,
    text_out: super::text::text_out,
    binary_in: super::text::binary_in,
    binary_out: super::text::binary_out,
    doc: "Identifiers, cut to 63 bytes.",
};

const MAX_BYTES: usize = 63;

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Text(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(&text[..text.floor_char_boundary(MAX_BYTES)]);
    Ok(())
}
