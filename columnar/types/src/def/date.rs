//! `date`: calendar days from 4713 BC to 5874897 AD.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Date32Type;

use super::{invalid_binary, no_typmod, no_typmod_out, wrong_builder};
use crate::datetime::{
    DATE_INFINITY, DATE_MAX, DATE_MIN, DATE_NEG_INFINITY, PG_EPOCH_DAYS, fast_date, parse_date, write_date,
};
use crate::{
    Category, ColumnBuilder, Error, FormatSettings, Repr, Result, SqlState, SqlType, TypeDef, ValueWriter,
};

/// `date`.
pub static DATE: TypeDef = TypeDef {
    oid: 1082,
    array_oid: 1182,
    name: "date",
    sql_name: "date",
    aliases: &[],
    category: Category::DateTime,
    preferred: false,
    len: 4,
    repr: |_| Repr::Date,
    typmod_in: |_| no_typmod("date"),
    typmod_out: no_typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Calendar days from 4713 BC to 5874897 AD.",
};

fn text_in(text: &str, ty: SqlType, settings: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Date(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(match fast_date(text.as_bytes()) {
        Some(days) => days,
        None => parse_date(text, settings)?,
    });
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, settings: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_primitive::<Date32Type>();
    Box::new(move |row, out| write_date(a.value(row), settings, out))
}

/// PostgreSQL's days, since 2000-01-01, as ours; infinities stay.
fn from_wire(days: i32) -> Result<i32> {
    if days == DATE_INFINITY || days == DATE_NEG_INFINITY {
        return Ok(days);
    }
    match days.checked_add(PG_EPOCH_DAYS) {
        Some(d @ DATE_MIN..=DATE_MAX) => Ok(d),
        _ => Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")),
    }
}

fn to_wire(days: i32) -> i32 {
    if days == DATE_INFINITY || days == DATE_NEG_INFINITY { days } else { days.wrapping_sub(PG_EPOCH_DAYS) }
}

fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Date(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(from_wire(i32::from_be_bytes(bytes.try_into().map_err(|_| invalid_binary(ty))?))?);
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_primitive::<Date32Type>();
    Box::new(move |row, out| out.extend_from_slice(&to_wire(a.value(row)).to_be_bytes()))
}
