//! Moments and spans written by a template.

use std::fmt::Write as _;

use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_types::datetime::{
    DATE_MIN, civil_from_days, day_of_year, interval_us, iso_year_week, split_timestamp, weekday,
};
use spg_types::{Error, Result, SqlState};

use super::date_pattern::{Case, DatePattern, Item, Part};

/// A moment or span by its fields.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// Astronomical: 0 is 1 BC. Of a span, its years.
    year: i64,
    /// From 1; of a span, 0 to 11.
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    us: i64,
    /// Days since 1970-01-01, of moments.
    date: i32,
    is_span: bool,
    zone: Option<(i32, String)>,
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const ROMAN_MONTHS: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

impl Moment {
    /// A timestamp's fields; it must be finite.
    pub(super) fn of_timestamp(us: i64) -> Self {
        let (date, time) = split_timestamp(us);
        let (year, month, day) = civil_from_days(date);
        Self { year: year.into(), month: month.into(), day: day.into(), date, ..Self::default() }
            .at_time(time)
    }

    /// An interval's fields.
    pub(super) fn of_interval(v: Interval) -> Self {
        let (year, month) = (i64::from(v.months / 12), i64::from(v.months % 12));
        Self { year, month, day: v.days.into(), is_span: true, ..Self::default() }.at_time(interval_us(v))
    }

    fn at_time(self, time: i64) -> Self {
        let (seconds, us) = (time / 1_000_000, time % 1_000_000);
        Self { hour: seconds / 3600, minute: seconds / 60 % 60, second: seconds % 60, us, ..self }
    }

    /// With the zone's offset (seconds east) and name.
    pub(super) fn in_zone(self, offset: i32, name: String) -> Self {
        Self { zone: Some((offset, name)), ..self }
    }

    /// The year as people count: 1 BC is 1.
    fn shown_year(&self) -> i64 {
        if self.is_span || self.year > 0 { self.year } else { 1 - self.year }
    }

    fn iso_year(&self) -> i64 {
        let year = i64::from(iso_year_week(self.date).0);
        if year > 0 { year } else { 1 - year }
    }

    fn century(&self) -> i64 {
        match self.year {
            y if self.is_span => y / 100,
            y if y > 0 => (y - 1) / 100 + 1,
            y => y / 100 - 1,
        }
    }
}

/// A name in a case, filled up to `width`.
fn name(text: &str, case: Case, width: usize, out: &mut String) {
    let text = match case {
        Case::Upper => text.to_uppercase(),
        Case::Capital => text.to_string(),
        Case::Lower => text.to_lowercase(),
    };
    _ = write!(out, "{text:<width$}");
}

/// `st`, `nd`, `rd` or `th`.
pub(super) fn ordinal_suffix(digits: &str, upper: bool) -> &'static str {
    let digits = digits.trim_start_matches('-').as_bytes();
    let last = digits.last().copied().unwrap_or(b'0');
    let teen = digits.len() > 1 && digits[digits.len() - 2] == b'1';
    match (last, teen, upper) {
        (b'1', false, true) => "ST",
        (b'1', false, false) => "st",
        (b'2', false, true) => "ND",
        (b'2', false, false) => "nd",
        (b'3', false, true) => "RD",
        (b'3', false, false) => "rd",
        (_, _, true) => "TH",
        (_, _, false) => "th",
    }
}

fn invalid_for_interval() -> Error {
    Error::new(SqlState::INVALID_DATETIME_FORMAT, "invalid format specification for an interval value")
        .with_hint("Intervals are not tied to specific calendar dates.")
}

impl DatePattern {
    /// Writes a moment.
    pub(super) fn write(&self, m: &Moment) -> Result<String> {
        let mut out = String::new();
        for item in &self.items {
            match item {
                Item::Literal(c, _) => out.push(*c),
                Item::Part { part, fill, ordinal } => {
                    let start = out.len();
                    let number = write_part(*part, *fill, m, &mut out)?;
                    if let (true, Some(upper)) = (number, ordinal) {
                        let suffix = ordinal_suffix(&out[start..], *upper);
                        out.push_str(suffix);
                    }
                }
            }
        }
        Ok(out)
    }
}

/// A number of at least `width` digits, a sign before them; as short as it is with `fill`.
fn padded(value: i64, width: usize, fill: bool, out: &mut String) {
    let width = match (fill, value < 0) {
        (true, _) => 0,
        (false, negative) => width + usize::from(negative),
    };
    _ = write!(out, "{value:0width$}");
}

/// Appends a part; tells whether it is a number, which may get an ordinal's ending.
fn write_part(part: Part, fill: bool, m: &Moment, out: &mut String) -> Result<bool> {
    use Part::*;
    let dated = matches!(
        part,
        Era { .. }
            | DayName { .. }
            | DayOfWeek { .. }
            | WeekOfYear { iso: true }
            | Year { iso: true, .. }
            | ZoneName { .. }
            | ZoneHour
            | ZoneMinute
            | ZoneOffset
            | DayOfYear { iso: true }
    );
    if m.is_span && dated {
        return Err(invalid_for_interval());
    }
    match part {
        Era { dots, upper } => {
            let text = match (m.year > 0, dots) {
                (true, true) => "A.D.",
                (true, false) => "AD",
                (false, true) => "B.C.",
                (false, false) => "BC",
            };
            out.push_str(&if upper { text.to_string() } else { text.to_lowercase() });
        }
        HalfDay { dots, upper } => {
            let text = match (m.hour.rem_euclid(24) >= 12, dots) {
                (true, true) => "P.M.",
                (true, false) => "PM",
                (false, true) => "A.M.",
                (false, false) => "AM",
            };
            out.push_str(&if upper { text.to_string() } else { text.to_lowercase() });
        }
        MonthName { case, short } => {
            if m.month == 0 {
                return Ok(false);
            }
            let full = MONTHS[(m.month.rem_euclid(12) + 11) as usize % 12];
            name(if short { &full[..3] } else { full }, case, if short || fill { 0 } else { 9 }, out);
        }
        MonthRoman { upper } => {
            if m.month == 0 && m.year == 0 {
                return Ok(false);
            }
            // Of a span without odd months, the last month of a year that is over, or the first of one that is to come.
            let number = if m.month == 0 && m.year < 0 { 1 } else { m.month.rem_euclid(12) };
            let number = if m.month < 0 { number + 1 } else { number };
            let roman = ROMAN_MONTHS[(number + 11) as usize % 12];
            name(roman, if upper { Case::Upper } else { Case::Lower }, if fill { 0 } else { 4 }, out);
        }
        DayName { case, short } => {
            let full = DAYS[weekday(m.date) as usize];
            name(if short { &full[..3] } else { full }, case, if short || fill { 0 } else { 9 }, out);
        }
        ZoneName { upper } => {
            if let Some((_, zone)) = &m.zone {
                out.push_str(&if upper { zone.clone() } else { zone.to_lowercase() });
            }
        }
        ZoneHour => {
            let offset = m.zone.as_ref().map_or(0, |z| z.0);
            _ = write!(out, "{}{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 3600);
        }
        ZoneMinute => _ = write!(out, "{:02}", m.zone.as_ref().map_or(0, |z| z.0).abs() / 60 % 60),
        ZoneOffset => {
            let offset = m.zone.as_ref().map_or(0, |z| z.0);
            let width = if fill { 0 } else { 2 };
            _ = write!(out, "{}{:0width$}", if offset < 0 { '-' } else { '+' }, offset.abs() / 3600);
            if offset.abs() / 60 % 60 != 0 {
                _ = write!(out, ":{:02}", offset.abs() / 60 % 60);
            }
        }
        other => {
            number_part(other, fill, m, out);
            return Ok(true);
        }
    }
    Ok(false)
}

fn number_part(part: Part, fill: bool, m: &Moment, out: &mut String) {
    use Part::*;
    match part {
        Hour12 => padded(if m.hour % 12 == 0 { 12 } else { m.hour % 12 }, 2, fill, out),
        Hour24 => padded(m.hour, 2, fill, out),
        Minute => padded(m.minute, 2, fill, out),
        Second => padded(m.second, 2, fill, out),
        Fraction(digits) => {
            _ = write!(
                out,
                "{:0width$}",
                m.us / 10i64.pow(6 - u32::from(digits)),
                width = usize::from(digits)
            );
        }
        Millisecond => _ = write!(out, "{:03}", m.us / 1000),
        Microsecond => _ = write!(out, "{:06}", m.us),
        SecondOfDay => _ = write!(out, "{}", m.hour * 3600 + m.minute * 60 + m.second),
        Year { digits, iso } => {
            let year = if iso { m.iso_year() } else { m.shown_year() };
            let value = if digits == 4 { year } else { year % 10i64.pow(digits.into()) };
            padded(value, digits.into(), fill, out);
        }
        YearWithComma => {
            let year = m.shown_year();
            _ = write!(out, "{},{:03}", year / 1000, year % 1000);
        }
        Century => match m.century() {
            c @ -99..=99 => padded(c, 2, fill, out),
            c => _ = write!(out, "{c}"),
        },
        Month => padded(m.month, 2, fill, out),
        DayOfYear { iso: false } if m.is_span => {
            // A span has no calendar: years and months count 365 and 30 days.
            padded(m.year * 365 + m.month * 30 + m.day, 3, fill, out);
        }
        DayOfYear { iso: false } => padded(day_of_year(m.date).into(), 3, fill, out),
        DayOfYear { iso: true } => {
            let week = i64::from(iso_year_week(m.date).1);
            padded((week - 1) * 7 + i64::from((weekday(m.date) + 6) % 7 + 1), 3, fill, out);
        }
        DayOfMonth => padded(m.day, 2, fill, out),
        DayOfWeek { iso: false } => _ = write!(out, "{}", weekday(m.date) + 1),
        DayOfWeek { iso: true } => _ = write!(out, "{}", (weekday(m.date) + 6) % 7 + 1),
        WeekOfMonth => _ = write!(out, "{}", (m.day - 1) / 7 + 1),
        WeekOfYear { iso: false } => {
            let day =
                if m.is_span { m.year * 365 + m.month * 30 + m.day } else { day_of_year(m.date).into() };
            padded((day - 1) / 7 + 1, 2, fill, out);
        }
        WeekOfYear { iso: true } => padded(iso_year_week(m.date).1.into(), 2, fill, out),
        Julian if m.is_span => _ = write!(out, "{}", m.day),
        Julian => _ = write!(out, "{}", i64::from(m.date) - i64::from(DATE_MIN)),
        Quarter if m.month != 0 => _ = write!(out, "{}", (m.month - 1) / 3 + 1),
        _ => {}
    }
}
