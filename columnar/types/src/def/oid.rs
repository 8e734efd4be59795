//! `oid`: the number by which PostgreSQL's catalogs know an object; 32 bits, unsigned.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;

use super::{invalid_binary, no_typmod, no_typmod_out, out_of_range, wrong_builder};
use crate::{Category, ColumnBuilder, FormatSettings, Repr, Result, SqlType, TypeDef, ValueWriter};

/// `oid`.
pub static OID: TypeDef = TypeDef {
    oid: 26,
    array_oid: 1028,
    name: "oid",
    sql_name: "oid",
    aliases: &[],
    category: Category::Numeric,
    preferred: true,
    len: 4,
    repr: |_| Repr::Int64,
    typmod_in: |_| no_typmod("oid"),
    typmod_out: no_typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Object identifiers, from 0 to 4294967295.",
};

fn text_in(text: &str, ty: SqlType, _: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Int64(b) = out else { return Err(wrong_builder(ty)) };
    let value: i64 = super::parse_int(text, ty)?;
    // Negative spellings of 32 bits are the same object, as in PostgreSQL.
    match value {
        0..=0xffff_ffff => b.append_value(value),
        -0x8000_0000..=-1 => b.append_value(i64::from(value as u32)),
        _ => return Err(out_of_range(text, ty)),
    }
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, _: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_primitive::<Int64Type>();
    Box::new(move |row, out| super::write_int(a.value(row), out))
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Int64(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(u32::from_be_bytes(bytes.try_into().map_err(|_| invalid_binary(ty))?).into());
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_primitive::<Int64Type>();
    Box::new(move |row, out| out.extend_from_slice(&(a.value(row) as u32).to_be_bytes()))
}
