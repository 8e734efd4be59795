//! `text`: strings of any length.

use arrow::array::{Array, AsArray};

use super::{no_typmod, no_typmod_out, wrong_builder};
use crate::{
    Category, ColumnBuilder, Error, FormatSettings, Repr, Result, SqlState, SqlType, TypeDef, ValueWriter,
};

/// `text`.
pub static TEXT: TypeDef = TypeDef {
    oid: 25,
    array_oid: 1009,
    name: "text",
    sql_name: "text",
    aliases: &[],
    category: Category::String,
    preferred: true,
    len: -1,
    repr: |_| Repr::Text,
    typmod_in: |_| no_typmod("text"),
    typmod_out: no_typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Strings of any length.",
};

pub(super) fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Text(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(text);
    Ok(())
}

pub(super) fn text_out<'a>(array: &'a dyn Array, _: SqlType, _: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_string_view();
    Box::new(move |row, out| out.extend_from_slice(a.value(row).as_bytes()))
}

pub(super) fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Text(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(utf8(bytes)?);
    Ok(())
}

pub(super) fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_string_view();
    Box::new(move |row, out| out.extend_from_slice(a.value(row).as_bytes()))
}

/// The bytes as text; 22021 when they are not UTF-8 or hold a zero byte.
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    let bad = |at: usize, len: usize| {
        let shown: Vec<String> =
            bytes[at..bytes.len().min(at + len)].iter().map(|b| format!("0x{b:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
        Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
    };
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to();
        // PostgreSQL shows as many bytes as the lead byte announces.
        let announced = match bytes[at] {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        bad(at, announced)
    })?;
    match memchr::memchr(0, bytes) {
        Some(at) => Err(bad(at, 1)),
        None => Ok(text),
    }
}
