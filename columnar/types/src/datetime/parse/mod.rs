//! The general parser of dates, times and intervals: what PostgreSQL reads, by PostgreSQL's rules.
//!
//! A text is cut into tokens by their looks alone; then each token is read in the light of what is known already
//! (a number before a year is known may be one, after a month name it is a day, ...).

mod clock;
mod interval;
mod moment;
mod token;

use jiff::tz::TimeZone;

use super::{
    DATE_INFINITY, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, US_PER_DAY, US_PER_SECOND,
    check_date, check_timestamp, fast_date, fast_time, fast_timestamp, local_to_utc, offset_of_local,
    split_timestamp, utc_to_local,
};
use crate::{Error, FormatSettings, Result, SqlState};

pub use interval::parse_interval;
use moment::{Moment, ZoneSpec};

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    /// 22007: not written like one.
    Format,
    /// 22008: a field that no calendar or clock has.
    Field,
    /// 22008: a month or day that no calendar has; the order of the parts may be another.
    MonthOrDay,
    /// 22015: a field too large for an interval.
    Interval,
    /// 22009: an offset that no zone has.
    Offset,
    /// 22023: no zone has that name.
    Zone(String),
}

impl Fault {
    fn error(self, text: &str, ty: &str) -> Error {
        match self {
            Fault::Format => Error::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!("invalid input syntax for type {ty}: \"{text}\""),
            ),
            Fault::Field => Error::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("date/time field value out of range: \"{text}\""),
            ),
            Fault::MonthOrDay => {
                Fault::Field.error(text, ty).with_hint("Perhaps you need a different \"datestyle\" setting.")
            }
            Fault::Interval => Error::new(
                SqlState::INTERVAL_FIELD_OVERFLOW,
                format!("interval field value out of range: \"{text}\""),
            ),
            Fault::Zone(name) => unknown_zone(&name),
            Fault::Offset => Error::new(
                SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                format!("time zone displacement out of range: \"{text}\""),
            ),
        }
    }
}

fn out_of_range(text: &str, what: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range: \"{text}\""))
}

/// The session's clock when the transaction began.
fn local_now(settings: &FormatSettings) -> i64 {
    utc_to_local(&settings.time_zone, settings.now_us)
}

/// Reads a date; 22007, 22008.
pub fn parse_date(text: &str, settings: &FormatSettings) -> Result<i32> {
    if let Some(days) = fast_date(text.as_bytes()) {
        return Ok(days);
    }
    let days = match moment::parse(text, settings).map_err(|f| f.error(text, "date"))? {
        Moment::Infinity => return Ok(DATE_INFINITY),
        Moment::NegInfinity => return Ok(DATE_NEG_INFINITY),
        Moment::Epoch => 0,
        Moment::Now => split_timestamp(local_now(settings)).0.into(),
        Moment::Local { days, .. } => days,
    };
    check_date(days).map_err(|_| out_of_range(text, "date"))
}

/// Reads a time of day; a date or a zone with it is read and dropped; 22007, 22008.
pub fn parse_time(text: &str, settings: &FormatSettings) -> Result<i64> {
    if let Some(us) = fast_time(text.as_bytes()) {
        return Ok(us);
    }
    moment::parse_time(text, settings).map_err(|f| f.error(text, "time"))
}

/// Reads a timestamp without time zone; a zone with it is read and dropped; 22007, 22008.
pub fn parse_timestamp(text: &str, settings: &FormatSettings) -> Result<i64> {
    if let Some(us) = fast_timestamp(text.as_bytes()) {
        return Ok(us);
    }
    match moment::parse(text, settings).map_err(|f| f.error(text, "timestamp"))? {
        Moment::Infinity => Ok(TIMESTAMP_INFINITY),
        Moment::NegInfinity => Ok(TIMESTAMP_NEG_INFINITY),
        Moment::Epoch => Ok(0),
        Moment::Now => Ok(local_now(settings)),
        Moment::Local { days, time, .. } => local(days, time).ok_or_else(|| out_of_range(text, "timestamp")),
    }
}

/// Reads a moment, in the session's time zone unless it names one; 22007, 22008.
pub fn parse_timestamptz(text: &str, settings: &FormatSettings) -> Result<i64> {
    if let Some(local) = fast_timestamp(text.as_bytes()) {
        return Ok(local_to_utc(&settings.time_zone, local));
    }
    let (days, time, zone) =
        match moment::parse(text, settings).map_err(|f| f.error(text, "timestamp with time zone"))? {
            Moment::Infinity => return Ok(TIMESTAMP_INFINITY),
            Moment::NegInfinity => return Ok(TIMESTAMP_NEG_INFINITY),
            Moment::Epoch => return Ok(0),
            Moment::Now => return Ok(settings.now_us),
            Moment::Local { days, time, zone } => (days, time, zone),
        };
    let instant = || {
        // A day more than the range allows may come back into it.
        let local = days.checked_mul(US_PER_DAY)?.checked_add(time)?;
        let offset = match &zone {
            None => offset_of_local(&settings.time_zone, local),
            Some(ZoneSpec::Offset(seconds)) => *seconds,
            Some(ZoneSpec::Named(zone)) => offset_of_local(zone, local),
        };
        check_timestamp(local.checked_sub(i64::from(offset) * US_PER_SECOND)?).ok()
    };
    instant().ok_or_else(|| out_of_range(text, "timestamp"))
}

fn local(days: i64, time: i64) -> Option<i64> {
    check_timestamp(days.checked_mul(US_PER_DAY)?.checked_add(time)?).ok()
}

/// The zone that a name means: an abbreviation, a name of the time zone database, or a POSIX rule (`EST5EDT`,
/// `+03` for three hours *west*); `None` when there is none.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if let Some(seconds) = super::abbreviation_offset(name) {
        return Some(fixed_zone(seconds));
    }
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    // POSIX counts offsets westwards.
    let sign_at = name.find(|c: char| c == '+' || c == '-' || c.is_ascii_digit())?;
    let (label, offset) = name.split_at(sign_at);
    if !label.bytes().all(|c| c.is_ascii_alphabetic()) {
        return None;
    }
    match posix_offset(offset) {
        Some(west) => Some(fixed_zone(-west)),
        None => TimeZone::posix(name).ok(),
    }
}

/// `[+-]h[h][:mm[:ss]]` in seconds.
fn posix_offset(text: &str) -> Option<i32> {
    let (sign, body) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let mut seconds = 0;
    for (i, part) in body.split(':').enumerate() {
        let limit = if i == 0 { 24 } else { 59 };
        let value: i32 = part.parse().ok().filter(|v| part.len() <= 2 && (0..=limit).contains(v))?;
        seconds += value * [3600, 60, 1].get(i)?;
    }
    Some(sign * seconds)
}

/// The zone that is that many seconds east of UTC all year.
pub fn fixed_zone(seconds: i32) -> TimeZone {
    jiff::tz::Offset::from_seconds(seconds).map_or(TimeZone::UTC, TimeZone::fixed)
}

/// As [`time_zone`]; 22023 when there is none.
pub fn parse_time_zone(name: &str) -> Result<TimeZone> {
    time_zone(name).ok_or_else(|| unknown_zone(name))
}

fn unknown_zone(name: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized"))
}
