//! The SQL types, one file each; [`TYPES`] is the only list of them.

use crate::{ColumnBuilder, Error, FormatSettings, Result, SqlState, SqlType, TypeDef, ValueWriter};

mod bool;
mod bpchar;
mod bytea;
mod date;
mod float4;
mod float8;
mod int2;
mod int4;
mod int8;
mod interval;
mod name;
mod numeric;
mod oid;
mod record;
mod text;
mod time;
mod timestamp;
mod timestamptz;
mod unknown;
mod uuid;
mod varchar;
mod void;

pub use self::bool::{BOOL, parse_bool};
pub use bpchar::BPCHAR;
pub use bytea::BYTEA;
pub use date::DATE;
pub use float4::FLOAT4;
pub use float8::FLOAT8;
pub use int2::INT2;
pub use int4::INT4;
pub use int8::INT8;
pub use interval::INTERVAL;
pub use name::NAME;
pub use numeric::NUMERIC;
pub(crate) use numeric::declared as declared_numeric;
pub use oid::OID;
pub use record::RECORD;
pub use text::{TEXT, utf8};
pub use time::TIME;
pub use timestamp::TIMESTAMP;
pub use timestamptz::TIMESTAMPTZ;
pub use unknown::UNKNOWN;
pub use uuid::UUID;
pub use varchar::VARCHAR;
pub use void::VOID;

/// Every SQL type, in the order of their oids.
pub static TYPES: &[&TypeDef] = &[
    &BOOL,
    &BYTEA,
    &NAME,
    &INT8,
    &INT2,
    &INT4,
    &TEXT,
    &OID,
    &FLOAT4,
    &FLOAT8,
    &UNKNOWN,
    &BPCHAR,
    &VARCHAR,
    &DATE,
    &TIME,
    &TIMESTAMP,
    &TIMESTAMPTZ,
    &INTERVAL,
    &NUMERIC,
    &RECORD,
    &VOID,
    &UUID,
];

/// The type with that oid.
pub fn type_by_oid(oid: u32) -> Option<&'static TypeDef> {
    TYPES.iter().find(|t| t.oid == oid).copied()
}

/// The type that SQL means by a name or an alias, in lower case and single-spaced: `numeric`, `double precision`.
pub fn type_by_name(name: &str) -> Option<&'static TypeDef> {
    TYPES.iter().find(|t| t.name == name || t.sql_name == name || t.aliases.contains(&name)).copied()
}

/// `typmod_in` of a type that takes no modifier.
fn no_typmod(name: &str) -> Result<i32> {
    let message = format!("type modifier is not allowed for type \"{name}\"");
    Err(Error::new(SqlState::SYNTAX_ERROR, message))
}

/// `typmod_out` of a type that takes no modifier.
fn no_typmod_out(_: i32) -> String {
    String::new()
}

/// `(n)`: `typmod_out` of the types whose modifier is a number of fractional digits.
fn precision_out(typmod: i32) -> String {
    format!("({typmod})")
}

/// 22P02: the text is no value of the type.
fn invalid_text(text: &str, ty: SqlType) -> Error {
    let message = format!("invalid input syntax for type {}: \"{text}\"", ty.def.sql_name);
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

/// 22003: the text is a number outside the type's range.
fn out_of_range(text: &str, ty: SqlType) -> Error {
    let message = format!("value \"{text}\" is out of range for type {}", ty.def.sql_name);
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

/// 22P03: the bytes are no value of the type.
fn invalid_binary(ty: SqlType) -> Error {
    let message = format!("incorrect binary data format for type {}", ty.def.sql_name);
    Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}

/// XX000: the builder is not of the type's representation.
fn wrong_builder(ty: SqlType) -> Error {
    Error::internal(format!("the column is not of type {ty}"))
}

/// Reads an integer as PostgreSQL does; 22P02 or 22003.
fn parse_int<T: TryFrom<i64>>(text: &str, ty: SqlType) -> Result<T> {
    match crate::number::parse_int(text.as_bytes()) {
        Ok(v) => T::try_from(v).map_err(|_| out_of_range(text, ty)),
        Err(crate::number::IntError::Syntax) => Err(invalid_text(text, ty)),
        Err(crate::number::IntError::Range) => Err(out_of_range(text, ty)),
    }
}

use crate::number::write_int;

/// Builds pseudo-types' functions: no value of theirs can be read or written.
fn no_text_in(_: &str, ty: SqlType, _: &FormatSettings, _: &mut ColumnBuilder) -> Result<()> {
    Err(Error::unsupported(format!("cannot accept a value of type {}", ty.def.sql_name)))
}

/// As [`no_text_in`], for binary input.
fn no_binary_in(_: &[u8], ty: SqlType, _: &mut ColumnBuilder) -> Result<()> {
    Err(Error::unsupported(format!("cannot accept a value of type {}", ty.def.sql_name)))
}

/// Binary output of a pseudo-type: nothing.
fn no_binary_out<'a>(_: &'a dyn arrow::array::Array, _: SqlType) -> ValueWriter<'a> {
    Box::new(|_, _| ())
}
