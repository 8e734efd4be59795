//! Texts read by a template.

use spg_types::datetime::{
    US_PER_DAY, abbreviation_offset, check_timestamp, civil_from_days, days_from_civil, days_in_month,
    is_leap_year,
};
use spg_types::{Error, Result, SqlState};

use super::date_out::{DAYS, MONTHS, ROMAN_MONTHS};
use super::date_pattern::{DatePattern, Item, Part};

/// What a text spells.
pub(super) struct Read {
    /// Local time, microseconds since 1970-01-01.
    pub(super) local: i64,
    /// Seconds east of UTC, where the text has them.
    pub(super) offset: Option<i32>,
}

#[derive(Default)]
struct Fields {
    year: Option<i64>,
    year_digits: u8,
    iso: bool,
    bc: bool,
    century: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    day_of_week: Option<i64>,
    week: Option<i64>,
    week_of_month: Option<i64>,
    julian: Option<i64>,
    hour: i64,
    clock12: bool,
    pm: Option<bool>,
    minute: i64,
    second: i64,
    us: i64,
    second_of_day: Option<i64>,
    zone_sign: i64,
    zone_hour: Option<i64>,
    zone_minute: i64,
    zone: Option<i32>,
}

fn format_error(message: String) -> Error {
    Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

fn out_of_range(text: &str) -> Error {
    let message = format!("date/time field value out of range: \"{text}\"");
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

/// What is left of the input.
struct Input<'a> {
    rest: &'a str,
}

impl Input<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// A whole number of at most `width` digits; of any number when nothing that looks like a digit follows.
    fn number(&mut self, width: usize, name: &str, open: bool) -> Result<i64> {
        self.skip_blanks();
        let bytes = self.rest.as_bytes();
        let signed = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
        let digits = bytes[signed..].iter().take_while(|b| b.is_ascii_digit()).count();
        let taken = if open { digits } else { digits.min(width) };
        let shown: String = self.rest.chars().take(if open { self.rest.len() } else { width }).collect();
        if taken == 0 {
            let shown = shown.split_whitespace().next().unwrap_or_default();
            return Err(format_error(format!("invalid value \"{shown}\" for \"{name}\""))
                .with_detail("Value must be an integer."));
        }
        let text = &self.rest[..signed + taken];
        let value = text.trim_start_matches('+').parse::<i64>().ok().filter(|v| i32::try_from(*v).is_ok());
        self.rest = &self.rest[signed + taken..];
        value.ok_or_else(|| {
            format_error(format!("value for \"{name}\" in source string is out of range"))
                .with_detail("Value must be in the range -2147483648 to 2147483647.")
        })
    }

    /// The place of the name that the input starts with, in any case; longer names first.
    fn name(&mut self, names: &[&str], short: bool, pattern: &str) -> Result<i64> {
        self.skip_blanks();
        let mut order: Vec<(usize, &str)> =
            names.iter().enumerate().map(|(i, n)| (i, if short { &n[..3] } else { *n })).collect();
        order.sort_by_key(|(_, n)| std::cmp::Reverse(n.len()));
        let found = order
            .iter()
            .find(|(_, n)| self.rest.get(..n.len()).is_some_and(|head| head.eq_ignore_ascii_case(n)));
        match found {
            Some((at, n)) => {
                self.rest = &self.rest[n.len()..];
                Ok(*at as i64)
            }
            None => {
                let shown: String = self.rest.chars().take_while(|c| !c.is_whitespace()).collect();
                Err(format_error(format!("invalid value \"{shown}\" for \"{pattern}\""))
                    .with_detail("The given value did not match any of the allowed values for this field."))
            }
        }
    }

    fn either(&mut self, texts: [&str; 4], pattern: &str) -> Result<bool> {
        self.skip_blanks();
        let found = texts
            .iter()
            .position(|t| self.rest.get(..t.len()).is_some_and(|head| head.eq_ignore_ascii_case(t)));
        match found {
            Some(at) => {
                self.rest = &self.rest[texts[at].len()..];
                Ok(at % 2 == 1)
            }
            None => {
                let shown: String = self.rest.chars().take(texts[2].len().max(2)).collect();
                Err(format_error(format!("invalid value \"{shown}\" for \"{pattern}\""))
                    .with_detail("The given value did not match any of the allowed values for this field."))
            }
        }
    }
}

/// Whether an item reads digits.
fn reads_digits(item: &Item) -> bool {
    use Part::*;
    match item {
        Item::Part { part, .. } => !matches!(
            part,
            Era { .. }
                | HalfDay { .. }
                | MonthName { .. }
                | MonthRoman { .. }
                | DayName { .. }
                | ZoneName { .. }
                | ZoneHour
                | ZoneOffset
        ),
        Item::Literal(c, _) => c.is_ascii_digit(),
    }
}

impl DatePattern {
    /// Reads a text; 22007 or 22008.
    pub(super) fn read(&self, text: &str) -> Result<Read> {
        let mut input = Input { rest: text };
        let mut fields = Fields::default();
        for (at, item) in self.items.iter().enumerate() {
            match item {
                Item::Literal(c, quoted) => {
                    let separator = !quoted && !c.is_alphanumeric();
                    if self.exact || !separator {
                        let mut chars = input.rest.chars();
                        chars.next();
                        input.rest = chars.as_str();
                    } else {
                        // Any separators stand for any separators; signs before a number are the number's.
                        let signed = |rest: &str| {
                            rest.starts_with(['-', '+'])
                                && rest[1..].starts_with(|c: char| c.is_ascii_digit())
                        };
                        input.skip_blanks();
                        let next_is_zone = matches!(
                            self.items.get(at + 1),
                            Some(Item::Part { part: Part::ZoneHour | Part::ZoneOffset, .. })
                        );
                        if !(next_is_zone && signed(input.rest))
                            && input.rest.starts_with(|c: char| !c.is_alphanumeric())
                        {
                            let mut chars = input.rest.chars();
                            chars.next();
                            input.rest = chars.as_str();
                        }
                    }
                }
                Item::Part { part, fill, ordinal } => {
                    let open = *fill || !self.items.get(at + 1).is_some_and(reads_digits);
                    if !self.exact {
                        while !matches!(part, Part::ZoneHour | Part::ZoneOffset)
                            && input.rest.starts_with(|c: char| !c.is_alphanumeric() && c != '-' && c != '+')
                        {
                            let mut chars = input.rest.chars();
                            chars.next();
                            input.rest = chars.as_str();
                        }
                    }
                    fields.read(*part, &mut input, open)?;
                    if ordinal.is_some() {
                        input.rest = input.rest.get(2..).unwrap_or_default();
                    }
                }
            }
        }
        fields.finish(text)
    }
}

impl Fields {
    fn read(&mut self, part: Part, input: &mut Input<'_>, open: bool) -> Result<()> {
        use Part::*;
        match part {
            Era { dots, .. } => {
                let pattern = if dots { "B.C." } else { "BC" };
                self.bc = input.either(["A.D.", "B.C.", "AD", "BC"], pattern)?;
            }
            HalfDay { dots, .. } => {
                let pattern = if dots { "P.M." } else { "PM" };
                self.pm = Some(input.either(["A.M.", "P.M.", "AM", "PM"], pattern)?);
                self.clock12 = true;
            }
            Hour12 => {
                self.hour = input.number(2, "HH", open)?;
                self.clock12 = true;
            }
            Hour24 => self.hour = input.number(2, "HH24", open)?,
            Minute => self.minute = input.number(2, "MI", open)?,
            Second => self.second = input.number(2, "SS", open)?,
            Fraction(digits) => self.us = fraction(input, digits.into(), "FF")?,
            Millisecond => self.us = fraction(input, 3, "MS")?,
            Microsecond => self.us = fraction(input, 6, "US")?,
            SecondOfDay => self.second_of_day = Some(input.number(5, "SSSS", open)?),
            Year { digits, iso } => {
                let before = input.rest.len();
                let names = if iso { ["I", "IY", "IYY", "IYYY"] } else { ["Y", "YY", "YYY", "YYYY"] };
                let value = input.number(digits.into(), names[usize::from(digits) - 1], open)?;
                self.iso = iso;
                let read = (before - input.rest.len()).min(4) as u8;
                self.year_digits = if digits < 4 && read <= digits { digits } else { read.max(digits) };
                self.year = Some(if digits < 4 && value >= 0 && read <= 3 {
                    adjust_year(value, digits)
                } else {
                    value
                });
            }
            YearWithComma => {
                let thousands = input.number(1, "Y,YYY", false)?;
                input.rest = input.rest.strip_prefix(',').unwrap_or(input.rest);
                self.year = Some(thousands * 1000 + input.number(3, "Y,YYY", false)?);
                self.year_digits = 4;
            }
            Century => self.century = Some(input.number(2, "CC", open)?),
            MonthName { short, .. } => {
                self.month = Some(input.name(&MONTHS, short, if short { "Mon" } else { "Month" })? + 1);
            }
            Month => self.month = Some(input.number(2, "MM", open)?),
            MonthRoman { .. } => self.month = Some(input.name(&ROMAN_MONTHS, false, "RM")? + 1),
            DayName { short, .. } => {
                input.name(&DAYS, short, if short { "Dy" } else { "Day" })?;
            }
            DayOfYear { iso } => {
                self.iso |= iso;
                self.day_of_year = Some(input.number(3, if iso { "IDDD" } else { "DDD" }, open)?);
            }
            DayOfMonth => self.day = Some(input.number(2, "DD", open)?),
            DayOfWeek { iso } => {
                let value = input.number(1, if iso { "ID" } else { "D" }, open)?;
                // From 1 for Monday.
                self.day_of_week = Some(if iso {
                    value
                } else if value == 1 {
                    7
                } else {
                    value - 1
                });
            }
            WeekOfMonth => self.week_of_month = Some(input.number(1, "W", open)?),
            WeekOfYear { iso } => {
                self.iso |= iso;
                self.week = Some(input.number(2, if iso { "IW" } else { "WW" }, open)?);
            }
            Julian => self.julian = Some(input.number(7, "J", true)?),
            Quarter => _ = input.number(1, "Q", open)?,
            ZoneHour | ZoneOffset => {
                input.skip_blanks();
                self.zone_sign = if input.rest.starts_with('-') { -1 } else { 1 };
                input.rest = input.rest.strip_prefix(['-', '+']).unwrap_or(input.rest);
                self.zone_hour = Some(input.number(2, "TZH", false)?);
                if part == ZoneOffset && input.rest.starts_with(':') {
                    input.rest = &input.rest[1..];
                    self.zone_minute = input.number(2, "TZM", false)?;
                }
            }
            ZoneMinute => self.zone_minute = input.number(2, "TZM", open)?,
            ZoneName { .. } => {
                let name: String = input.rest.chars().take_while(|c| c.is_alphanumeric()).collect();
                let message = "formatting field \"TZ\" is only supported in to_char";
                let offset = abbreviation_offset(&name).ok_or_else(|| Error::unsupported(message))?;
                input.rest = &input.rest[name.len()..];
                self.zone = Some(offset);
            }
        }
        Ok(())
    }

    /// The day, from the fields that name it.
    fn date(&self, text: &str) -> Result<i32> {
        let small = |v: i64| i32::try_from(v).map_err(|_| out_of_range(text));
        if let Some(julian) = self.julian {
            return small(julian - 2_440_588);
        }
        let year = match (self.year, self.century) {
            (Some(y), Some(c)) if self.year_digits <= 2 => (c - 1) * 100 + y % 100,
            (Some(y), _) => y,
            (None, Some(c)) => (c - 1) * 100 + 1,
            (None, None) if self.bc => 1,
            (None, None) => 0,
        };
        let year = match (self.bc, self.year.or(self.century)) {
            (true, _) => 1 - year,
            // Year 0 of a text without a year is 1 BC.
            (false, _) => year,
        };
        let year = small(year)?;
        if self.iso {
            return self.iso_date(year, text);
        }
        if let Some(day) = self.day_of_year.filter(|_| self.month.is_none() && self.day.is_none()) {
            let days = 365 + i64::from(is_leap_year(year));
            return if (1..=days).contains(&day) {
                small(i64::from(days_from_civil(year, 1, 1)) + day - 1)
            } else {
                Err(out_of_range(text))
            };
        }
        if let Some(week) = self.week.filter(|_| self.month.is_none()) {
            return small(i64::from(days_from_civil(year, 1, 1)) + (week - 1) * 7);
        }
        let month = self.month.unwrap_or(1);
        let day = match self.week_of_month {
            Some(week) if self.day.is_none() => (week - 1) * 7 + 1,
            _ => self.day.unwrap_or(1),
        };
        if !(1..=12).contains(&month) || day < 1 || day > i64::from(days_in_month(year, month as u32)) {
            return Err(out_of_range(text));
        }
        Ok(days_from_civil(year, month as u32, day as i32))
    }

    fn iso_date(&self, year: i32, text: &str) -> Result<i32> {
        let fourth = days_from_civil(year, 1, 4);
        let monday = fourth - ((spg_types::datetime::weekday(fourth) + 6) % 7) as i32;
        let days = match (self.day_of_year, self.week) {
            (Some(day), _) => day - 1,
            (None, week) => (week.unwrap_or(1) - 1) * 7 + self.day_of_week.unwrap_or(1) - 1,
        };
        if !(0..=371).contains(&days) {
            return Err(out_of_range(text));
        }
        Ok(monday + days as i32)
    }

    fn finish(&self, text: &str) -> Result<Read> {
        let mut hour = self.hour;
        if self.clock12 {
            if !(1..=12).contains(&hour) {
                return Err(format_error(format!("hour \"{hour}\" is invalid for the 12-hour clock"))
                    .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            match self.pm {
                Some(true) if hour < 12 => hour += 12,
                Some(false) | None if hour == 12 => hour = 0,
                _ => {}
            }
        }
        let (mut minute, mut second) = (self.minute, self.second);
        if let Some(all) = self.second_of_day {
            (hour, minute, second) = (all / 3600, all / 60 % 60, all % 60);
        }
        if !(0..=24).contains(&hour) || !(0..60).contains(&minute) || !(0..60).contains(&second) {
            return Err(out_of_range(text));
        }
        let time = ((hour * 60 + minute) * 60 + second) * 1_000_000 + self.us;
        if time > US_PER_DAY {
            return Err(out_of_range(text));
        }
        let offset = match (self.zone_hour, self.zone) {
            (Some(h), _) => Some((self.zone_sign.max(-1) * (h * 3600 + self.zone_minute * 60)) as i32),
            (None, zone) => zone,
        };
        let days = self.date(text)?;
        let local = i64::from(days).checked_mul(US_PER_DAY).and_then(|d| d.checked_add(time));
        let local = check_timestamp(local.ok_or_else(|| out_of_range(text))?)?;
        debug_assert!(civil_from_days(days).1 > 0);
        Ok(Read { local, offset })
    }
}

/// Digits of a fraction as microseconds.
fn fraction(input: &mut Input<'_>, digits: usize, name: &str) -> Result<i64> {
    let digits_there = input.rest.bytes().take_while(u8::is_ascii_digit).count().min(digits);
    let value = input.number(digits, name, false)?;
    Ok(value * 10i64.pow(6 - digits_there.clamp(1, 6) as u32))
}

/// A year of fewer than four digits is one between 1970 and 2069 (or the nearest to it).
fn adjust_year(year: i64, digits: u8) -> i64 {
    match (digits, year) {
        (_, 0..=69) => year + 2000,
        (_, 70..=99) => year + 1900,
        (_, 100..=519) => year + 2000,
        (_, 520..=999) => year + 1000,
        _ => year,
    }
}
