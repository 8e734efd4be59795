//! `bigint`: whole numbers from -9223372036854775808 to 9223372036854775807.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;

use super::{invalid_binary, no_typmod, no_typmod_out, parse_int, wrong_builder};
use crate::{Category, ColumnBuilder, FormatSettings, Repr, Result, SqlType, TypeDef, ValueWriter};

/// `bigint`.
pub static INT8: TypeDef = TypeDef {
    oid: 20,
    array_oid: 1016,
    name: "int8",
    sql_name: "bigint",
    aliases: &["int8"],
    category: Category::Numeric,
    preferred: false,
    len: 8,
    repr: |_| Repr::Int64,
    typmod_in: |_| no_typmod("int8"),
    typmod_out: no_typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Whole numbers from -9223372036854775808 to 9223372036854775807.",
};

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Int64(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(parse_int(text, ty)?);
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, _: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_primitive::<Int64Type>();
    Box::new(move |row, out| super::write_int(a.value(row), out))
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Int64(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(i64::from_be_bytes(bytes.try_into().map_err(|_| invalid_binary(ty))?));
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_primitive::<Int64Type>();
    Box::new(move |row, out| out.extend_from_slice(&a.value(row).to_be_bytes()))
}
