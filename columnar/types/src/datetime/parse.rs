//! The general parser of dates and times.

use arrow::datatypes::IntervalMonthDayNano;

use super::{fast_date, fast_time, fast_timestamp, local_to_utc};
use crate::{Error, FormatSettings, Result, SqlState};

fn invalid(text: &str, ty: &str) -> Error {
    let message = format!("invalid input syntax for type {ty}: \"{text}\"");
    Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

/// Reads a date; 22007, 22008.
pub fn parse_date(text: &str, _: &FormatSettings) -> Result<i32> {
    fast_date(text.as_bytes()).ok_or_else(|| invalid(text, "date"))
}

/// Reads a time of day; 22007, 22008.
pub fn parse_time(text: &str, _: &FormatSettings) -> Result<i64> {
    fast_time(text.as_bytes()).ok_or_else(|| invalid(text, "time"))
}

/// Reads a timestamp without time zone; 22007, 22008.
pub fn parse_timestamp(text: &str, _: &FormatSettings) -> Result<i64> {
    fast_timestamp(text.as_bytes()).ok_or_else(|| invalid(text, "timestamp"))
}

/// Reads a moment; 22007, 22008.
pub fn parse_timestamptz(text: &str, settings: &FormatSettings) -> Result<i64> {
    let local = fast_timestamp(text.as_bytes()).ok_or_else(|| invalid(text, "timestamp with time zone"))?;
    Ok(local_to_utc(&settings.time_zone, local))
}

/// Reads an interval; 22007, 22015.
pub fn parse_interval(text: &str, _typmod: i32, _: &FormatSettings) -> Result<IntervalMonthDayNano> {
    Err(invalid(text, "interval"))
}
