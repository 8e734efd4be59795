//! `time without time zone`: times of day from 00:00:00 to 24:00:00, to the microsecond.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Time64MicrosecondType;

use super::timestamp::{precision_in, round_to_precision};
use super::{invalid_binary, precision_out, wrong_builder};
use crate::datetime::{US_PER_DAY, fast_time, parse_time, write_time};
use crate::{
    Category, ColumnBuilder, Error, FormatSettings, Repr, Result, SqlState, SqlType, TypeDef, ValueWriter,
};

/// `time without time zone`.
pub static TIME: TypeDef = TypeDef {
    oid: 1083,
    array_oid: 1183,
    name: "time",
    sql_name: "time without time zone",
    aliases: &["time"],
    category: Category::DateTime,
    preferred: false,
    len: 8,
    repr: |_| Repr::Time,
    typmod_in: |args| precision_in(args, "TIME", ""),
    typmod_out: precision_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Times of day from 00:00:00 to 24:00:00, to the microsecond.",
};

fn text_in(text: &str, ty: SqlType, settings: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Time(b) = out else { return Err(wrong_builder(ty)) };
    let value = match fast_time(text.as_bytes()) {
        Some(us) => us,
        None => parse_time(text, settings)?,
    };
    b.append_value(round_to_precision(value, ty));
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, _: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_primitive::<Time64MicrosecondType>();
    Box::new(move |row, out| write_time(a.value(row), out))
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Time(b) = out else { return Err(wrong_builder(ty)) };
    let value = i64::from_be_bytes(bytes.try_into().map_err(|_| invalid_binary(ty))?);
    if !(0..=US_PER_DAY).contains(&value) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"));
    }
    b.append_value(round_to_precision(value, ty));
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_primitive::<Time64MicrosecondType>();
    Box::new(move |row, out| out.extend_from_slice(&a.value(row).to_be_bytes()))
}
