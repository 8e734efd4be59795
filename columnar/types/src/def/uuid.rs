//! `uuid`: 128-bit identifiers.

use arrow::array::{Array, AsArray};

use super::{invalid_binary, invalid_text, no_typmod, no_typmod_out, wrong_builder};
use crate::{Category, ColumnBuilder, FormatSettings, Repr, Result, SqlType, TypeDef, ValueWriter};

/// `uuid`.
pub static UUID: TypeDef = TypeDef {
    oid: 2950,
    array_oid: 2951,
    name: "uuid",
    sql_name: "uuid",
    aliases: &[],
    category: Category::User,
    preferred: false,
    len: 16,
    repr: |_| Repr::Uuid,
    typmod_in: |_| no_typmod("uuid"),
    typmod_out: no_typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "128-bit identifiers (RFC 4122).",
};

/// 32 hexadecimal digits, in braces or not, with a hyphen or not after each group of four.
fn parse(text: &str) -> Option<[u8; 16]> {
    let mut rest = text.as_bytes();
    if let [b'{', inner @ .., b'}'] = rest {
        rest = inner;
    }
    let mut value = [0u8; 16];
    for (i, byte) in value.iter_mut().enumerate() {
        let [high, low, tail @ ..] = rest else { return None };
        *byte = (hex_digit(*high)? << 4) | hex_digit(*low)?;
        rest = tail;
        if i % 2 == 1 && i < 15 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
    }
    rest.is_empty().then_some(value)
}

/// The value of a hexadecimal digit.
pub(super) fn hex_digit(c: u8) -> Option<u8> {
    (c as char).to_digit(16).map(|d| d as u8)
}

/// The digits of a byte.
pub(super) const HEX: &[u8; 16] = b"0123456789abcdef";

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Uuid(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(parse(text).ok_or_else(|| invalid_text(text, ty))?)?;
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, _: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_fixed_size_binary();
    Box::new(move |row, out| {
        for (i, byte) in a.value(row).iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                out.push(b'-');
            }
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    })
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Uuid(b) = out else { return Err(wrong_builder(ty)) };
    if bytes.len() != 16 {
        return Err(invalid_binary(ty));
    }
    b.append_value(bytes)?;
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_fixed_size_binary();
    Box::new(move |row, out| out.extend_from_slice(a.value(row)))
}
