//! `character varying(n)`: strings of at most n characters.

use super::wrong_builder;
use crate::{Category, ColumnBuilder, Error, FormatSettings, Repr, Result, SqlState, SqlType, TypeDef};

/// `character varying`.
pub static VARCHAR: TypeDef = TypeDef {
    oid: 1043,
    array_oid: 1015,
    name: "varchar",
    sql_name: "character varying",
    aliases: &["char varying"],
    category: Category::String,
    preferred: false,
    len: -1,
    repr: |_| Repr::Text,
    typmod_in: |args| length_in(args, "varchar"),
    typmod_out: length_out,
    text_in,
    text_out: super::text::text_out,
    binary_in,
    binary_out: super::text::binary_out,
    doc: "Strings of at most n characters.",
};

/// Characters that PostgreSQL allows in a length modifier.
const MAX_LENGTH: i64 = 10_485_760;

/// `typmod_in` of the string types with a length.
pub(super) fn length_in(args: &[i64], name: &str) -> Result<i32> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    match args {
        [n] if *n < 1 => invalid(format!("length for type {name} must be at least 1")),
        [n] if *n > MAX_LENGTH => invalid(format!("length for type {name} cannot exceed {MAX_LENGTH}")),
        [n] => Ok(*n as i32 + 4),
        _ => invalid("invalid type modifier".into()),
    }
}

/// `(n)`: PostgreSQL's typmod of strings counts four bytes of header.
pub(super) fn length_out(typmod: i32) -> String {
    format!("({})", typmod - 4)
}

/// At most how many characters a modifier allows.
pub(super) fn max_chars(ty: SqlType) -> Option<usize> {
    match ty.typmod() {
        m if m >= 4 => Some(m as usize - 4),
        _ => None,
    }
}

/// The text cut to the type's length; 22001 when anything but blanks would be lost.
pub(super) fn fit(text: &str, ty: SqlType) -> Result<&str> {
    let Some(max) = max_chars(ty) else { return Ok(text) };
    if text.len() <= max {
        return Ok(text);
    }
    let Some((cut, _)) = text.char_indices().nth(max) else { return Ok(text) };
    if text[cut..].bytes().all(|b| b == b' ') {
        return Ok(&text[..cut]);
    }
    Err(Error::new(SqlState::STRING_DATA_RIGHT_TRUNCATION, format!("value too long for type {ty}")))
}

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Text(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(fit(text, ty)?);
    Ok(())
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Text(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(fit(super::text::utf8(bytes)?, ty)?);
    Ok(())
}
