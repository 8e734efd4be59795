//! `double precision`: IEEE 754 binary floating point, 64 bits.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;

use super::{invalid_binary, invalid_text, no_typmod, no_typmod_out, wrong_builder};
use crate::number::{FloatError, parse_f64, write_f64};
use crate::{
    Category, ColumnBuilder, Error, FormatSettings, Repr, Result, SqlState, SqlType, TypeDef, ValueWriter,
};

/// `double precision`.
pub static FLOAT8: TypeDef = TypeDef {
    oid: 701,
    array_oid: 1022,
    name: "float8",
    sql_name: "double precision",
    aliases: &["float"],
    category: Category::Numeric,
    preferred: true,
    len: 8,
    repr: |_| Repr::Float64,
    typmod_in: |_| no_typmod("float8"),
    typmod_out: no_typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Inexact numbers with at least 15 significant decimal digits.",
};

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Float64(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(parse_f64(text).map_err(|e| match e {
        FloatError::Syntax => invalid_text(text, ty),
        FloatError::Range => {
            let message = format!("\"{}\" is out of range for type {}", text.trim(), ty.def.sql_name);
            Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
        }
    })?);
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, settings: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_primitive::<Float64Type>();
    let extra = settings.extra_float_digits;
    Box::new(move |row, out| write_f64(a.value(row), extra, out))
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Float64(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(f64::from_be_bytes(bytes.try_into().map_err(|_| invalid_binary(ty))?));
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_primitive::<Float64Type>();
    Box::new(move |row, out| out.extend_from_slice(&a.value(row).to_be_bytes()))
}
