//! `bytea`: strings of bytes.

use arrow::array::{Array, AsArray};

use super::uuid::{HEX, hex_digit};
use super::{no_typmod, no_typmod_out, wrong_builder};
use crate::{
    ByteaFormat, Category, ColumnBuilder, Error, FormatSettings, Repr, Result, SqlState, SqlType, TypeDef,
    ValueWriter,
};

/// `bytea`.
pub static BYTEA: TypeDef = TypeDef {
    oid: 17,
    array_oid: 1001,
    name: "bytea",
    sql_name: "bytea",
    aliases: &[],
    category: Category::User,
    preferred: false,
    len: -1,
    repr: |_| Repr::Binary,
    typmod_in: |_| no_typmod("bytea"),
    typmod_out: no_typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Strings of bytes.",
};

fn parse_hex(text: &str) -> Result<Vec<u8>> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let digit = |at: usize| -> Result<u8> {
        let c = text.as_bytes()[at];
        hex_digit(c).ok_or_else(|| {
            let shown = text[at..].chars().next().unwrap_or(char::REPLACEMENT_CHARACTER);
            invalid(format!("invalid hexadecimal digit: \"{shown}\""))
        })
    };
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut at = 0;
    while at < text.len() {
        if matches!(text.as_bytes()[at], b' ' | b'\n' | b'\t' | b'\r') {
            at += 1;
            continue;
        }
        let high = digit(at)?;
        if at + 1 >= text.len() {
            return Err(invalid("invalid hexadecimal data: odd number of digits".into()));
        }
        bytes.push((high << 4) | digit(at + 1)?);
        at += 2;
    }
    Ok(bytes)
}

fn parse_escape(text: &str, ty: SqlType) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return Ok(bytes),
            [b'\\', b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            [b'\\', ..] => {
                let message = format!("invalid input syntax for type {}", ty.def.sql_name);
                return Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
            }
            [byte, tail @ ..] => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
}

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Binary(b) = out else { return Err(wrong_builder(ty)) };
    match text.strip_prefix("\\x") {
        Some(hex) => b.append_value(parse_hex(hex)?),
        None if !text.contains('\\') => b.append_value(text.as_bytes()),
        None => b.append_value(parse_escape(text, ty)?),
    }
    Ok(())
}

fn write_escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.push(byte),
            _ => {
                out.extend_from_slice(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)])
            }
        }
    }
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, settings: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_binary_view();
    match settings.bytea_format {
        ByteaFormat::Escape => Box::new(move |row, out| write_escape(a.value(row), out)),
        ByteaFormat::Hex => Box::new(move |row, out| {
            out.extend_from_slice(b"\\x");
            out.extend(
                a.value(row).iter().flat_map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]),
            );
        }),
    }
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Binary(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(bytes);
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_binary_view();
    Box::new(move |row, out| out.extend_from_slice(a.value(row)))
}
