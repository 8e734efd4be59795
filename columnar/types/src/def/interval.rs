//! `interval`: spans of time: months, days and microseconds, kept apart.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{IntervalMonthDayNano, IntervalMonthDayNanoType};

use super::{invalid_binary, wrong_builder};
use crate::datetime::{interval_from_us, interval_out_of_range, parse_interval, write_interval};
use crate::{
    Category, ColumnBuilder, Error, FormatSettings, Repr, Result, SqlState, SqlType, TypeDef, ValueWriter,
};

/// `interval`.
pub static INTERVAL: TypeDef = TypeDef {
    oid: 1186,
    array_oid: 1187,
    name: "interval",
    sql_name: "interval",
    aliases: &[],
    category: Category::Timespan,
    preferred: true,
    len: 16,
    repr: |_| Repr::Interval,
    typmod_in,
    typmod_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Spans of time: months, days and microseconds, kept apart.",
};

/// The part of the modifier that tells the fields: any.
const FULL_RANGE: i32 = 0x7fff;
/// The part of the modifier that tells the fractional digits: any.
const FULL_PRECISION: i32 = 0xffff;

/// `[precision]`, or `[fields, precision]` with PostgreSQL's bit mask of fields.
fn typmod_in(args: &[i64]) -> Result<i32> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    let (range, precision) = match args {
        [range] => return Ok((*range as i32 & FULL_RANGE) << 16 | FULL_PRECISION),
        [range, precision] => (*range as i32 & FULL_RANGE, *precision),
        _ => return invalid("invalid INTERVAL type modifier".into()),
    };
    if precision < 0 {
        return invalid(format!("INTERVAL({precision}) precision must not be negative"));
    }
    Ok(range << 16 | precision.min(6) as i32)
}

fn typmod_out(typmod: i32) -> String {
    let (range, precision) = (typmod >> 16 & FULL_RANGE, typmod & FULL_PRECISION);
    let fields = crate::datetime::interval_fields_name(range);
    if precision == FULL_PRECISION { fields.to_string() } else { format!("{fields}({precision})") }
}

fn text_in(text: &str, ty: SqlType, settings: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Interval(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(parse_interval(text, ty.typmod(), settings)?);
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, settings: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_primitive::<IntervalMonthDayNanoType>();
    Box::new(move |row, out| write_interval(a.value(row), settings, out))
}

/// Microseconds, days, months.
fn binary_in(bytes: &[u8], ty: SqlType, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Interval(b) = out else { return Err(wrong_builder(ty)) };
    let bytes: &[u8; 16] = bytes.try_into().map_err(|_| invalid_binary(ty))?;
    let [us @ .., _, _, _, _, _, _, _, _] = *bytes;
    let [_, _, _, _, _, _, _, _, d1, d2, d3, d4, months @ ..] = *bytes;
    let value = interval_from_us(
        i32::from_be_bytes(months),
        i32::from_be_bytes([d1, d2, d3, d4]),
        i64::from_be_bytes(us),
    );
    b.append_value(value.ok_or_else(interval_out_of_range)?);
    Ok(())
}

fn binary_out<'a>(array: &'a dyn Array, _: SqlType) -> ValueWriter<'a> {
    let a = array.as_primitive::<IntervalMonthDayNanoType>();
    Box::new(move |row, out| {
        let IntervalMonthDayNano { months, days, nanoseconds } = a.value(row);
        out.extend_from_slice(&(nanoseconds / 1000).to_be_bytes());
        out.extend_from_slice(&days.to_be_bytes());
        out.extend_from_slice(&months.to_be_bytes());
    })
}
