//! `character(n)`: strings of exactly n characters, filled up with blanks.
//!
//! Columns hold the value without its trailing blanks, so that comparing and hashing are plain string
//! operations; the blanks come back on output.

use arrow::array::{Array, AsArray};

use super::varchar::{fit, length_in, length_out, max_chars};
use super::wrong_builder;
use crate::{Category, ColumnBuilder, FormatSettings, Repr, Result, SqlType, TypeDef, ValueWriter};

/// `character`.
pub static BPCHAR: TypeDef = TypeDef {
    oid: 1042,
    array_oid: 1014,
    name: "bpchar",
    sql_name: "character",
    aliases: &["char"],
    category: Category::String,
    preferred: false,
    len: -1,
    repr: |_| Repr::Text,
    typmod_in: |args| length_in(args, "char"),
    typmod_out: length_out,
    text_in,
    text_out: |array, ty, _| padded(array, ty),
    binary_in,
    binary_out: padded,
    doc: "Strings of exactly n characters, filled up with blanks, which comparisons ignore.",
};

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Text(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(fit(text, ty)?.trim_end_matches(' '));
    Ok(())
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Text(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(fit(super::text::utf8(bytes)?, ty)?.trim_end_matches(' '));
    Ok(())
}

fn padded<'a>(array: &'a dyn Array, ty: SqlType) -> ValueWriter<'a> {
    let a = array.as_string_view();
    let width = max_chars(ty).unwrap_or(0);
    Box::new(move |row, out| {
        let value = a.value(row);
        out.extend_from_slice(value.as_bytes());
        let chars = if value.is_ascii() { value.len() } else { value.chars().count() };
        out.resize(out.len() + width.saturating_sub(chars), b' ');
    })
}
