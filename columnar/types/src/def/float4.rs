//! `real`: IEEE 754 binary floating point, 32 bits.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float32Type;

use super::{invalid_binary, invalid_text, no_typmod, no_typmod_out, wrong_builder};
use crate::number::{FloatError, parse_f32, write_f32};
use crate::{
    Category, ColumnBuilder, Error, FormatSettings, Repr, Result, SqlState, SqlType, TypeDef, ValueWriter,
};

/// `real`.
pub static FLOAT4: TypeDef = TypeDef {
    oid: 700,
    array_oid: 1021,
    name: "float4",
    sql_name: "real",
    aliases: &[],
    category: Category::Numeric,
    preferred: false,
    len: 4,
    repr: |_| Repr::Float32,
    typmod_in: |_| no_typmod("float4"),
    typmod_out: no_typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Inexact numbers with at least 6 significant decimal digits.",
};

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Float32(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(parse_f32(text).map_err(|e| match e {
        FloatError::Syntax => invalid_text(text, ty),
        FloatError::Range => {
            let message = format!("\"{}\" is out of range for type {}", text.trim(), ty.def.sql_name);
            Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
        }
    })?);
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, settings: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_primitive::<Float32Type>();
    let extra = settings.extra_float_digits;
    Box::new(move |row, out| write_f32(a.value(row), extra, out))
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Float32(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(f32::from_be_bytes(bytes.try_into().map_err(|_| invalid_binary(ty))?));
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_primitive::<Float32Type>();
    Box::new(move |row, out| out.extend_from_slice(&a.value(row).to_be_bytes()))
}
