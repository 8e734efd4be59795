//! The session settings that text input and output depend on.

use jiff::tz::TimeZone;

/// Order of day and month in ambiguous input and in non-ISO output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DateOrder {
    Mdy,
    Dmy,
    Ymd,
}

/// `DateStyle`'s output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DateFormat {
    Iso,
    Sql,
    Postgres,
    German,
}

/// `IntervalStyle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum IntervalFormat {
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

/// `bytea_output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ByteaFormat {
    Hex,
    Escape,
}

/// What reading and writing values as text depends on; one per session.
#[derive(Clone, Debug)]
pub struct FormatSettings {
    /// `DateStyle`, its order part.
    pub date_order: DateOrder,
    /// `DateStyle`, its format part.
    pub date_format: DateFormat,
    /// `IntervalStyle`.
    pub interval_format: IntervalFormat,
    /// `bytea_output`.
    pub bytea_format: ByteaFormat,
    /// `extra_float_digits`: above 0 prints the shortest digits that read back exactly.
    pub extra_float_digits: i32,
    /// `TimeZone`.
    pub time_zone: TimeZone,
    /// The transaction's start, microseconds since 1970-01-01 UTC: what `now`, `today` and `yesterday` mean as input.
    pub now_us: i64,
}

impl Default for FormatSettings {
    /// PostgreSQL's defaults, in UTC.
    fn default() -> Self {
        Self {
            date_order: DateOrder::Mdy,
            date_format: DateFormat::Iso,
            interval_format: IntervalFormat::Postgres,
            bytea_format: ByteaFormat::Hex,
            extra_float_digits: 1,
            time_zone: TimeZone::UTC,
            now_us: 0,
        }
    }
}
