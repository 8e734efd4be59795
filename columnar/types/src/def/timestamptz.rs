//! `timestamp with time zone`: moments, shown in the time zone of the session, to the microsecond.

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;

use super::timestamp::{binary_in, binary_out, precision_in, round_timestamp};
use super::{precision_out, wrong_builder};
use crate::datetime::{parse_timestamptz, write_timestamptz};
use crate::{Category, ColumnBuilder, FormatSettings, Repr, Result, SqlType, TypeDef, ValueWriter};

/// `timestamp with time zone`.
pub static TIMESTAMPTZ: TypeDef = TypeDef {
    oid: 1184,
    array_oid: 1185,
    name: "timestamptz",
    sql_name: "timestamp with time zone",
    aliases: &[],
    category: Category::DateTime,
    preferred: true,
    len: 8,
    repr: |_| Repr::TimestampTz,
    typmod_in: |args| precision_in(args, "TIMESTAMP", " WITH TIME ZONE"),
    typmod_out: precision_out,
    text_in,
    text_out,
    binary_in,
    binary_out,
    doc: "Moments, shown in the time zone of the session, to the microsecond.",
};

fn text_in(text: &str, ty: SqlType, settings: &FormatSettings, out: &mut ColumnBuilder) -> Result<()> {
    let ColumnBuilder::Timestamp(b) = out else { return Err(wrong_builder(ty)) };
    b.append_value(round_timestamp(parse_timestamptz(text, settings)?, ty));
    Ok(())
}

fn text_out<'a>(array: &'a dyn Array, _: SqlType, settings: &'a FormatSettings) -> ValueWriter<'a> {
    let a = array.as_primitive::<TimestampMicrosecondType>();
    Box::new(move |row, out| write_timestamptz(a.value(row), settings, out))
}
