//! The parts of dates, times and intervals that `extract` and `date_trunc` name.

use crate::{Error, Result, SqlState};

/// A part of a date, time or interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Field {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Julian,
    Epoch,
    Timezone,
    TimezoneHour,
    TimezoneMinute,
}

use Field::*;

/// PostgreSQL looks at so many characters of a unit's name.
const SIGNIFICANT_CHARS: usize = 10;

const NAMES: &[(Field, &[&str])] = &[
    (Microseconds, &["microsecon", "us", "usec", "usecs", "usecond", "useconds"]),
    (Milliseconds, &["millisecon", "ms", "msec", "msecs", "msecond", "mseconds"]),
    (Second, &["second", "seconds", "s", "sec", "secs"]),
    (Minute, &["minute", "minutes", "m", "min", "mins"]),
    (Hour, &["hour", "hours", "h", "hr", "hrs"]),
    (Day, &["day", "days", "d"]),
    (Week, &["week", "weeks", "w"]),
    (Month, &["month", "months", "mon", "mons"]),
    (Quarter, &["quarter", "qtr"]),
    (Year, &["year", "years", "y", "yr", "yrs"]),
    (Decade, &["decade", "decades", "dec", "decs"]),
    (Century, &["century", "centuries", "c", "cent"]),
    (Millennium, &["millennium", "millennia", "mil", "mils"]),
    (DayOfWeek, &["dow"]),
    (IsoDayOfWeek, &["isodow"]),
    (DayOfYear, &["doy"]),
    (IsoYear, &["isoyear"]),
    (Julian, &["julian", "j", "jd"]),
    (Epoch, &["epoch"]),
    (Timezone, &["timezone"]),
    (TimezoneHour, &["timezone_h"]),
    (TimezoneMinute, &["timezone_m"]),
];

impl Field {
    /// The field of a name in any case, aliases included.
    pub fn from_name(name: &str) -> Option<Field> {
        let lower = name.to_ascii_lowercase();
        let short = lower.get(..SIGNIFICANT_CHARS).unwrap_or(&lower);
        NAMES.iter().find(|(_, names)| names.contains(&short)).map(|(field, _)| *field)
    }

    /// Digits after the point of the field's value of a timestamp, time or interval; `None` for `julian`, whose
    /// digits the value decides. Fields of a date have none.
    pub fn scale(self) -> Option<u32> {
        match self {
            Second | Epoch => Some(6),
            Milliseconds => Some(3),
            Julian => None,
            _ => Some(0),
        }
    }
}

/// The field of a name as `extract` and `date_trunc` of that type take it; 22023 for names that are none.
pub fn field_of(name: &str, ty: &str) -> Result<Field> {
    Field::from_name(name).ok_or_else(|| not_recognized(&name.to_ascii_lowercase(), ty))
}

fn not_recognized(name: &str, ty: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unit \"{name}\" not recognized for type {ty}"))
}

/// 0A000: the type has no such part.
pub(super) fn unsupported_field(field: Field, ty: &str) -> Error {
    Error::unsupported(format!("unit \"{}\" not supported for type {ty}", field.name()))
}

/// What cutting to a field that is no unit answers: 22023 for parts that are no span of time, otherwise 0A000.
pub(super) fn unsupported_unit(field: Field, ty: &str) -> Error {
    match field {
        DayOfWeek | IsoDayOfWeek | DayOfYear | IsoYear | Julian | Epoch => not_recognized(field.name(), ty),
        _ => unsupported_field(field, ty),
    }
}

impl Field {
    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Microseconds => "microseconds",
            Milliseconds => "milliseconds",
            TimezoneHour => "timezone_hour",
            TimezoneMinute => "timezone_minute",
            _ => NAMES.iter().find(|(field, _)| *field == self).map_or("", |(_, names)| names[0]),
        }
    }
}
