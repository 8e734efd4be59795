//! `timestamp without time zone`: dates with a time of day, of no particular time zone, to the microsecond.

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;

use super::{invalid_binary, precision_out, wrong_builder};
use crate::datetime::{
    PG_EPOCH_US, TIMESTAMP_MAX, TIMESTAMP_MIN, fast_timestamp, is_infinite, parse_timestamp, write_timestamp,
};
use crate::number::POW10_64;
use crate::{
    Category, ColumnBuilder, Error, FormatSettings, Repr, Result, SqlState, SqlType, TypeDef, ValueWriter,
};

/// `timestamp without time zone`.
pub static TIMESTAMP: TypeDef = TypeDef {
    oid: 1114,
    array_oid: 1115,
    name: "timestamp",
    sql_name: "timestamp without time zone",
    aliases: &[],
    category: Category::DateTime,
    preferred: false,
    len: 8,
    repr: |_| Repr::Timestamp,
    typmod_in: |args| precision_in(args, "TIMESTAMP", ""),
    typmod_out: precision_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Dates with a time of day, of no particular time zone, to the microsecond, from 4713 BC to 294246.",
};

const MAX_PRECISION: i64 = 6;

/// `typmod_in` of the types with a number of fractional digits; more than six are cut to six, as in PostgreSQL.
pub(super) fn precision_in(args: &[i64], name: &str, suffix: &str) -> Result<i32> {
    match args {
        [n] if *n < 0 => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("{name}({n}){suffix} precision must not be negative"),
        )),
        [n] => Ok((*n).min(MAX_PRECISION) as i32),
        _ => Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "invalid type modifier")),
    }
}

/// The microseconds rounded to the type's number of fractional digits, halves away from zero.
pub(super) fn round_to_precision(us: i64, ty: SqlType) -> i64 {
    match ty.typmod() {
        p @ 0..=5 => crate::datetime::round_us(us, POW10_64[6 - p as usize]),
        _ => us,
    }
}

/// As [`round_to_precision`] for timestamps: away from PostgreSQL's zero, the year 2000.
pub(super) fn round_timestamp(us: i64, ty: SqlType) -> i64 {
    match us.checked_sub(PG_EPOCH_US) {
        Some(since_2000) if !is_infinite(us) => {
            round_to_precision(since_2000, ty).saturating_add(PG_EPOCH_US)
        }
        _ => us,
    }
}

fn text_in(text: &str, ty: SqlType, settings: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Timestamp(b) = out else { return Err(wrong_builder(ty)) };
    let value = match fast_timestamp(text.as_bytes()) {
        Some(us) => us,
        None => parse_timestamp(text, settings)?,
    };
    b.append_value(round_timestamp(value, ty));
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, settings: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_primitive::<TimestampMicrosecondType>();
    Box::new(move |row, out| write_timestamp(a.value(row), settings, out))
}

/// PostgreSQL's microseconds, since 2000-01-01, as ours; infinities stay.
fn from_wire(us: i64) -> Result<i64> {
    if is_infinite(us) {
        return Ok(us);
    }
    match us.checked_add(PG_EPOCH_US) {
        Some(v @ TIMESTAMP_MIN..=TIMESTAMP_MAX) => Ok(v),
        _ => Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")),
    }
}

pub(super) fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Timestamp(b) = out else { return Err(wrong_builder(ty)) };
    let value = from_wire(i64::from_be_bytes(bytes.try_into().map_err(|_| invalid_binary(ty))?))?;
    b.append_value(round_timestamp(value, ty));
    Ok(())
}

pub(super) fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_primitive::<TimestampMicrosecondType>();
    Box::new(move |row, out| {
        let us = a.value(row);
        let sent = if is_infinite(us) { us } else { us.wrapping_sub(PG_EPOCH_US) };
        out.extend_from_slice(&sent.to_be_bytes());
    })
}
