//! Reads intervals: PostgreSQL's own forms, SQL's, and ISO 8601's.

use arrow::datatypes::IntervalMonthDayNano;

use super::super::{
    Field, US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND, fit_interval, interval_from_us,
    interval_out_of_range, mask,
};
use super::token::{Kind, tokens};
use super::{Fault, clock};
use crate::{FormatSettings, IntervalFormat, Result};

/// Reads an interval; the typmod (-1 for none) tells what a number without unit is, and which fields stay; 22007, 22015.
pub fn parse_interval(text: &str, typmod: i32, settings: &FormatSettings) -> Result<IntervalMonthDayNano> {
    let range = if typmod < 0 { 0x7fff } else { typmod >> 16 & 0x7fff };
    let sum = match words(text, range, settings.interval_format) {
        Err(Fault::Format) if text.starts_with('P') => iso8601(text),
        other => other,
    };
    let sum = sum.map_err(|f| {
        let fault = if f == Fault::Field { Fault::Interval } else { f };
        fault.error(text, "interval")
    })?;
    let value = sum.interval().ok_or_else(interval_out_of_range)?;
    Ok(fit_interval(value, typmod))
}

/// Months, days and microseconds gathered so far.
#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    us: i64,
}

impl Sum {
    fn interval(&self) -> Option<IntervalMonthDayNano> {
        interval_from_us(self.months.try_into().ok()?, self.days.try_into().ok()?, self.us)
    }

    fn add_us(&mut self, value: i64, unit: i64) -> Option<()> {
        self.us = self.us.checked_add(value.checked_mul(unit)?)?;
        Some(())
    }

    fn add_days(&mut self, value: i64, unit: i64) -> Option<()> {
        self.days = i32::try_from(self.days.checked_add(value.checked_mul(unit)?)?).ok()?.into();
        Some(())
    }

    fn add_months(&mut self, value: i64) -> Option<()> {
        self.months += i64::from(i32::try_from(value).ok()?);
        Some(())
    }

    /// A fraction of a unit of so many days: whole days, the rest as time.
    fn add_fraction_of_days(&mut self, fraction: f64, unit: f64) -> Option<()> {
        let days = fraction * unit;
        self.add_days(days as i64, 1)?;
        self.add_fraction_of_us((days - days.trunc()) * US_PER_DAY as f64)
    }

    fn add_fraction_of_us(&mut self, us: f64) -> Option<()> {
        self.add_us(us.round_ties_even() as i64, 1)
    }

    /// So many units; `None` when they do not fit.
    fn add(&mut self, unit: Field, value: i64, fraction: f64) -> Option<()> {
        match unit {
            Field::Microseconds => {
                self.add_us(value, 1)?;
                self.add_fraction_of_us(fraction)
            }
            Field::Milliseconds => self.add_clock(value, fraction, 1000),
            Field::Second => self.add_clock(value, fraction, US_PER_SECOND),
            Field::Minute => self.add_clock(value, fraction, US_PER_MINUTE),
            Field::Hour => self.add_clock(value, fraction, US_PER_HOUR),
            Field::Day => {
                self.add_days(value, 1)?;
                self.add_fraction_of_us(fraction * US_PER_DAY as f64)
            }
            Field::Week => {
                self.add_days(value, 7)?;
                self.add_fraction_of_days(fraction, 7.0)
            }
            Field::Month => {
                self.add_months(value)?;
                self.add_fraction_of_days(fraction, 30.0)
            }
            Field::Year => self.add_years(value, fraction, 1),
            Field::Decade => self.add_years(value, fraction, 10),
            Field::Century => self.add_years(value, fraction, 100),
            Field::Millennium => self.add_years(value, fraction, 1000),
            _ => None,
        }
    }

    fn add_clock(&mut self, value: i64, fraction: f64, unit: i64) -> Option<()> {
        self.add_us(value, unit)?;
        self.add_fraction_of_us(fraction * unit as f64)
    }

    fn add_years(&mut self, value: i64, fraction: f64, years: i64) -> Option<()> {
        // Each field fits 32 bits; whether their sum does is looked at in the end.
        self.months += i64::from(i32::try_from(value.checked_mul(years)?).ok()?) * 12;
        self.add_months((fraction * (years * 12) as f64).round_ties_even() as i64)
    }

    fn negate(&mut self) {
        (self.months, self.days, self.us) = (-self.months, -self.days, -self.us);
    }
}

/// `-12.5` as -12 and -0.5.
fn whole_and_fraction(text: &str) -> Result<(i64, f64), Fault> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    if !digits.bytes().chain(fraction.bytes()).all(|c| c.is_ascii_digit())
        || digits.len() + fraction.len() == 0
    {
        return Err(Fault::Format);
    }
    let value = match digits {
        "" => 0,
        _ => whole.strip_prefix('+').unwrap_or(whole).parse::<i64>().map_err(|_| Fault::Field)?,
    };
    let part: f64 =
        if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().map_err(|_| Fault::Format)? };
    Ok((value, if negative { -part } else { part }))
}

fn unit_of(word: &str) -> Option<Field> {
    use Field::*;
    Field::from_name(word).filter(|f| {
        matches!(
            f,
            Microseconds
                | Milliseconds
                | Second
                | Minute
                | Hour
                | Day
                | Week
                | Month
                | Year
                | Decade
                | Century
                | Millennium
        )
    })
}

/// The unit of a number that names none: the smallest that the type's fields have.
fn default_unit(range: i32) -> Field {
    match range {
        mask::YEAR => Field::Year,
        r if r == mask::MONTH || r == mask::YEAR | mask::MONTH => Field::Month,
        mask::DAY => Field::Day,
        r if r == mask::HOUR || r == mask::DAY | mask::HOUR => Field::Hour,
        r if r & mask::MINUTE != 0 && r & mask::SECOND == 0 => Field::Minute,
        _ => Field::Second,
    }
}

/// Each unit may stand once; the clock's units may not stand beside a clock time.
#[derive(Default)]
struct Seen(Vec<Field>);

impl Seen {
    fn note(&mut self, unit: Field) -> Result<(), Fault> {
        if self.0.contains(&unit) {
            return Err(Fault::Format);
        }
        self.0.push(unit);
        Ok(())
    }
}

/// `1 year 2 mons 3 days 04:05:06`, `1-2 3 4:05:06`, `@ 1 minute ago`: read from the end, where the units stand.
fn words(text: &str, range: i32, style: IntervalFormat) -> Result<Sum, Fault> {
    // Letters and digits alternate freely here (1y2mon), so no word begins anything else.
    let mut all = tokens(text, |_| true)?;
    // SQL's one sign at the front is the whole interval's.
    let mut negative = false;
    if style == IntervalFormat::SqlStandard
        && let [first, rest @ ..] = all.as_mut_slice()
        && first.text.starts_with('-')
        && !rest.iter().any(|t| t.text.starts_with(['-', '+']))
    {
        negative = true;
        first.text.remove(0);
    }
    let mut sum = Sum::default();
    let mut seen = Seen::default();
    let mut unit = None;
    let mut ago = false;
    for token in all.iter().rev() {
        match token.kind {
            Kind::Time => {
                sum.us += clock_time(&token.text, range)?;
                note_clock(&mut seen)?;
                unit = Some(Field::Day);
            }
            Kind::Signed if token.text.contains(':') => {
                let time = clock_time(token.text.trim_start_matches(['+', '-']), range)?;
                sum.us += if token.text.starts_with('-') { -time } else { time };
                note_clock(&mut seen)?;
                unit = Some(Field::Day);
            }
            Kind::Signed | Kind::Date | Kind::Number => {
                let this = unit.unwrap_or_else(|| default_unit(range));
                number(&token.text, this, &mut sum, &mut seen)?;
                // Hours may have days before them: 1 2.
                if this == Field::Hour {
                    unit = Some(Field::Day);
                }
            }
            Kind::Word if token.text == "ago" => ago = true,
            Kind::Word => unit = Some(unit_of(&token.text).ok_or(Fault::Format)?),
            Kind::SignedWord => return Err(Fault::Format),
        }
    }
    if seen.0.is_empty() {
        return Err(Fault::Format);
    }
    if negative != ago {
        sum.negate();
    }
    Ok(sum)
}

fn note_clock(seen: &mut Seen) -> Result<(), Fault> {
    seen.note(Field::Hour)?;
    seen.note(Field::Minute)?;
    note_seconds(seen)
}

/// Seconds with their fractions.
fn note_seconds(seen: &mut Seen) -> Result<(), Fault> {
    seen.note(Field::Second)?;
    seen.note(Field::Milliseconds)?;
    seen.note(Field::Microseconds)
}

fn clock_time(text: &str, range: i32) -> Result<i64, Fault> {
    let parts = clock::parts(text, range == mask::MINUTE | mask::SECOND)?;
    Ok(clock::total(parts))
}

fn number(text: &str, unit: Field, sum: &mut Sum, seen: &mut Seen) -> Result<(), Fault> {
    let (sign, body) = match text.as_bytes() {
        [b'-', ..] => (-1, &text[1..]),
        [b'+', ..] => (1, &text[1..]),
        _ => (1, text),
    };
    if let Some((years, months)) = body.split_once('-') {
        // SQL's years and months: 1-2.
        let years: i64 = years.parse().map_err(|_| Fault::Format)?;
        let months = months.parse::<i64>().map_err(|_| Fault::Format)?;
        if months >= 12 {
            return Err(Fault::Field);
        }
        seen.note(Field::Month)?;
        let total = years.checked_mul(12).and_then(|y| y.checked_add(months)).ok_or(Fault::Field)?;
        return sum.add_months(sign * total).ok_or(Fault::Field);
    }
    let (value, fraction) = whole_and_fraction(text)?;
    match unit {
        Field::Second if fraction != 0.0 => note_seconds(seen)?,
        unit => seen.note(unit)?,
    }
    sum.add(unit, value, fraction).ok_or(Fault::Field)
}

/// `P1Y2M3DT4H5M6.5S`, `P1W`, `P0001-02-03T04:05:06`.
fn iso8601(text: &str) -> Result<Sum, Fault> {
    let mut rest = text.strip_prefix('P').ok_or(Fault::Format)?;
    let mut sum = Sum::default();
    let mut in_time = false;
    let mut any = false;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('T') {
            in_time = true;
            rest = tail;
            any = true;
            continue;
        }
        let end =
            rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))).unwrap_or(rest.len());
        let Some(letter) = rest[end..].chars().next() else {
            // No unit follows: one of the alternative forms.
            return alternative(rest, in_time, sum);
        };
        if !in_time && letter == 'T' {
            sum = alternative(&rest[..end], false, sum)?;
            rest = &rest[end..];
            continue;
        }
        if in_time && letter == ':' {
            return alternative(rest, true, sum);
        }
        let unit = match (in_time, letter) {
            (false, 'Y') => Field::Year,
            (false, 'M') => Field::Month,
            (false, 'W') => Field::Week,
            (false, 'D') => Field::Day,
            (true, 'H') => Field::Hour,
            (true, 'M') => Field::Minute,
            (true, 'S') => Field::Second,
            _ => return Err(Fault::Format),
        };
        let (value, fraction) = whole_and_fraction(&rest[..end])?;
        sum.add(unit, value, fraction).ok_or(Fault::Field)?;
        rest = &rest[end + letter.len_utf8()..];
        any = true;
    }
    if any { Ok(sum) } else { Err(Fault::Format) }
}

/// `0001-02-03`, `00010203`, `04:05:06`, `040506`.
fn alternative(text: &str, in_time: bool, mut sum: Sum) -> Result<Sum, Fault> {
    let units = if in_time {
        [Field::Hour, Field::Minute, Field::Second]
    } else {
        [Field::Year, Field::Month, Field::Day]
    };
    let separator = if in_time { ':' } else { '-' };
    let whole = text.split('.').next().unwrap_or(text);
    let packed_len = if in_time { 6 } else { 8 };
    let packed = whole.len() == packed_len && whole.bytes().all(|c| c.is_ascii_digit());
    let parts: Vec<&str> = if packed {
        let first = packed_len - 4;
        vec![&text[..first], &text[first..first + 2], &text[first + 2..]]
    } else {
        text.split(separator).collect()
    };
    if parts.len() > 3 {
        return Err(Fault::Format);
    }
    for (part, unit) in parts.into_iter().zip(units) {
        let (value, fraction) = whole_and_fraction(part)?;
        sum.add(unit, value, fraction).ok_or(Fault::Field)?;
    }
    Ok(sum)
}
