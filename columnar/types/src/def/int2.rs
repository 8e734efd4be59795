//! `smallint`: whole numbers from -32768 to 32767.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int16Type;

use super::{invalid_binary, no_typmod, no_typmod_out, parse_int, wrong_builder};
use crate::{Category, ColumnBuilder, FormatSettings, Repr, Result, SqlType, TypeDef, ValueWriter};

/// `smallint`.
pub static INT2: TypeDef = TypeDef {
    oid: 21,
    array_oid: 1005,
    name: "int2",
    sql_name: "smallint",
    aliases: &["int2"],
    category: Category::Numeric,
    preferred: false,
    len: 2,
    repr: |_| Repr::Int16,
    typmod_in: |_| no_typmod("int2"),
    typmod_out: no_typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Whole numbers from -32768 to 32767.",
};

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Int16(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(parse_int(text, ty)?);
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, _: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_primitive::<Int16Type>();
    Box::new(move |row, out| super::write_int(a.value(row).into(), out))
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Int16(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(i16::from_be_bytes(bytes.try_into().map_err(|_| invalid_binary(ty))?));
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_primitive::<Int16Type>();
    Box::new(move |row, out| out.extend_from_slice(&a.value(row).to_be_bytes()))
}
