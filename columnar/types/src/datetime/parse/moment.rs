//! Reads the tokens of a date, a time or both.

use jiff::tz::TimeZone;

use super::super::{US_PER_DAY, days_from_civil, days_in_month, split_timestamp};
use super::token::{Kind, Token, tokens};
use super::{Fault, clock, local_now};
use crate::{DateOrder, FormatSettings};

/// What a text says.
#[derive(Debug)]
pub(super) enum Moment {
    Infinity,
    NegInfinity,
    Epoch,
    Now,
    /// A day, microseconds since its midnight, and the zone if one is named.
    Local {
        days: i64,
        time: i64,
        zone: Option<ZoneSpec>,
    },
}

/// A zone as a text names it.
#[derive(Clone, Debug)]
pub(super) enum ZoneSpec {
    Offset(i32),
    Named(TimeZone),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum HalfDay {
    Am,
    Pm,
}

/// What the next number is, by the word before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Announced {
    Julian,
    IsoTime,
}

#[derive(Default)]
struct Reader {
    year: Option<i64>,
    two_digit_year: bool,
    month: Option<i64>,
    month_by_name: bool,
    day: Option<i64>,
    day_of_year: Option<i64>,
    /// A day told as a whole: by its Julian number, or as `today`.
    whole_day: Option<i64>,
    bc: bool,
    ad: bool,
    time: Option<(i64, i64, i64, i64)>,
    half: Option<HalfDay>,
    zone: Option<ZoneSpec>,
    special: Option<Special>,
    announced: Option<Announced>,
    order: Option<DateOrder>,
    weekday: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Special {
    Infinity,
    NegInfinity,
    Epoch,
    Now,
}

/// PostgreSQL compares so many characters of a word.
const SIGNIFICANT_CHARS: usize = 10;

const MONTH_NAMES: [&[&str]; 12] = [
    &["jan", "january"],
    &["feb", "february"],
    &["mar", "march"],
    &["apr", "april"],
    &["may"],
    &["jun", "june"],
    &["jul", "july"],
    &["aug", "august"],
    &["sep", "sept", "september"],
    &["oct", "october"],
    &["nov", "november"],
    &["dec", "december"],
];

const WEEKDAY_NAMES: &[&str] = &[
    "sun",
    "sunday",
    "mon",
    "monday",
    "tue",
    "tues",
    "tuesday",
    "wed",
    "weds",
    "wednesday",
    "thu",
    "thur",
    "thurs",
    "thursday",
    "fri",
    "friday",
    "sat",
    "saturday",
];

fn month_number(word: &str) -> Option<i64> {
    MONTH_NAMES.iter().position(|names| names.contains(&word)).map(|i| i as i64 + 1)
}

/// The zone of a name. A word that is none says nothing at all; one with punctuation was meant to be a zone.
fn named_zone(name: &str) -> Result<TimeZone, Fault> {
    super::time_zone(name).ok_or_else(|| match name.bytes().all(|c| c.is_ascii_alphabetic()) {
        true => Fault::Format,
        false => Fault::Zone(name.into()),
    })
}

/// Words that mean something themselves, so that a number may follow at once (`jan1`, `t0405`).
fn is_keyword(word: &str) -> bool {
    const OTHERS: &[&str] = &[
        "am",
        "pm",
        "ad",
        "bc",
        "t",
        "j",
        "jd",
        "julian",
        "now",
        "today",
        "tomorrow",
        "yesterday",
        "at",
        "on",
        "epoch",
    ];
    month_number(word).is_some() || WEEKDAY_NAMES.contains(&word) || OTHERS.contains(&word)
}

/// Reads a date, with or without a time and a zone.
pub(super) fn parse(text: &str, settings: &FormatSettings) -> Result<Moment, Fault> {
    let reader = read(text, settings, false)?;
    if let Some(special) = reader.special {
        return match special {
            Special::Now if reader.has_date() || reader.time.is_some() => Err(Fault::Format),
            Special::Infinity => Ok(Moment::Infinity),
            Special::NegInfinity => Ok(Moment::NegInfinity),
            Special::Epoch => Ok(Moment::Epoch),
            Special::Now => Ok(Moment::Now),
        };
    }
    let time = reader.clock()?;
    Ok(Moment::Local { days: reader.date()?, time: time.unwrap_or(0), zone: reader.zone })
}

/// Reads a time of day.
pub(super) fn parse_time(text: &str, settings: &FormatSettings) -> Result<i64, Fault> {
    let reader = read(text, settings, true)?;
    if let Some(special) = reader.special {
        return match special {
            Special::Now if reader.time.is_none() => Ok(split_timestamp(local_now(settings)).1),
            _ => Err(Fault::Format),
        };
    }
    if reader.has_date() {
        reader.date()?;
    }
    // A zone that keeps summer time has no offset without a date.
    if matches!(&reader.zone, Some(ZoneSpec::Named(z)) if z.to_fixed_offset().is_err()) && !reader.has_date()
    {
        return Err(Fault::Format);
    }
    reader.clock()?.ok_or(Fault::Format)
}

fn read(text: &str, settings: &FormatSettings, time_only: bool) -> Result<Reader, Fault> {
    let mut reader = Reader { order: Some(settings.date_order), ..Reader::default() };
    let all = tokens(text, is_keyword)?;
    if all.is_empty() {
        return Err(Fault::Format);
    }
    for token in &all {
        match token.kind {
            Kind::Date => reader.date_token(&token.text, time_only)?,
            Kind::Time => reader.time_token(&token.text)?,
            Kind::Number => reader.number_token(&token.text, time_only)?,
            Kind::Signed => reader.set_zone(ZoneSpec::Offset(clock::offset(&token.text)?))?,
            Kind::Word => reader.word_token(token, settings, time_only)?,
            Kind::SignedWord => match token.text.as_str() {
                "-infinity" => reader.set_special(Special::NegInfinity)?,
                _ => return Err(Fault::Format),
            },
        }
    }
    if reader.announced.is_some() { Err(Fault::Format) } else { Ok(reader) }
}

impl Reader {
    fn has_date(&self) -> bool {
        self.year.is_some()
            || self.month.is_some()
            || self.day.is_some()
            || self.day_of_year.is_some()
            || self.whole_day.is_some()
    }

    fn date_complete(&self) -> bool {
        self.whole_day.is_some()
            || (self.year.is_some() && self.day_of_year.is_some())
            || (self.year.is_some() && self.month.is_some() && self.day.is_some())
    }

    fn set_special(&mut self, special: Special) -> Result<(), Fault> {
        if self.special.replace(special).is_some() { Err(Fault::Format) } else { Ok(()) }
    }

    fn set_zone(&mut self, zone: ZoneSpec) -> Result<(), Fault> {
        if self.zone.replace(zone).is_some() { Err(Fault::Format) } else { Ok(()) }
    }

    fn set_time(&mut self, time: (i64, i64, i64, i64)) -> Result<(), Fault> {
        if self.time.replace(time).is_some() { Err(Fault::Format) } else { Ok(()) }
    }

    fn time_token(&mut self, text: &str) -> Result<(), Fault> {
        if self.announced == Some(Announced::IsoTime) {
            self.announced = None;
        }
        self.set_time(clock::parts(text, false)?)
    }

    fn date_token(&mut self, text: &str, time_only: bool) -> Result<(), Fault> {
        if self.announced == Some(Announced::Julian) {
            return Err(Fault::Format);
        }
        if self.date_complete() || (time_only && self.time.is_some()) {
            // After the date it may be a time run together with its zone (040506-08), or a zone's name.
            if let Some(at) = text.rfind('-')
                && text.as_bytes()[0].is_ascii_digit()
            {
                self.announced = None;
                self.packed_number(&text[..at], time_only)?;
                return self.set_zone(ZoneSpec::Offset(clock::offset(&text[at..])?));
            }
            return self.set_zone(ZoneSpec::Named(named_zone(text)?));
        }
        let parts: Vec<&str> = text.split(['-', '/', '.']).filter(|p| !p.is_empty()).collect();
        if parts.len() > 3 {
            return Err(Fault::Format);
        }
        // The month's name first: it tells what the numbers may be.
        for part in parts.iter().filter(|p| p.as_bytes()[0].is_ascii_alphabetic()) {
            let month = month_number(part).ok_or(Fault::Format)?;
            if self.month.replace(month).is_some() {
                return Err(Fault::Format);
            }
            self.month_by_name = true;
        }
        for part in parts.iter().filter(|p| !p.as_bytes()[0].is_ascii_alphabetic()) {
            if self.date_complete() {
                return Err(Fault::Format);
            }
            self.plain_number(part)?;
        }
        // A date is written out at once; only the day of a year stands for two parts.
        if self.date_complete() || parts.len() == 2 && time_only { Ok(()) } else { Err(Fault::Format) }
    }

    fn number_token(&mut self, text: &str, time_only: bool) -> Result<(), Fault> {
        let digits = text.split('.').next().unwrap_or(text).len();
        match self.announced.take() {
            Some(Announced::Julian) => return self.julian(text),
            Some(Announced::IsoTime) => return self.packed_time(text),
            None => (),
        }
        if text.contains('.') {
            if !self.has_date() && !time_only {
                return self.date_token(text, false);
            }
            if digits > 2 {
                return self.packed_number(text, time_only);
            }
            return Err(Fault::Format);
        }
        let needs_more = time_only || !self.has_date() || self.time.is_none();
        if time_only && !self.has_date() {
            return self.packed_number(text, true);
        }
        if digits >= 6 && needs_more {
            return self.packed_number(text, time_only);
        }
        self.plain_number(text)
    }

    /// A single field of a date: which one follows from the fields known so far.
    fn plain_number(&mut self, text: &str) -> Result<(), Fault> {
        let value = clock::small(text).ok_or(Fault::Format)?;
        let year_first = self.order == Some(DateOrder::Ymd);
        let long = text.len() >= 3;
        if self.whole_day.is_some() || self.day_of_year.is_some() {
            return self.packed_time(text);
        }
        if text.len() == 3
            && self.year.is_some()
            && self.month.is_none()
            && self.day.is_none()
            && (1..=366).contains(&value)
        {
            self.day_of_year = Some(value);
            return Ok(());
        }
        match (self.year.is_some(), self.month.is_some(), self.day.is_some()) {
            (false, false, false) if long || year_first => self.set_year(value, text),
            (false, false, false) if self.order == Some(DateOrder::Dmy) => self.day = Some(value),
            (false, false, false) => self.month = Some(value),
            (true, false, false) => self.month = Some(value),
            (false, true, false) if self.month_by_name && (long || year_first) => self.set_year(value, text),
            (false, true, false) => self.day = Some(value),
            (true, true, false) if self.month_by_name && long && self.two_digit_year => {
                // 07-Jan-1996 in year-first order: what was taken for the year is the day.
                self.day = self.year;
                self.set_year(value, text);
            }
            (true, true, false) => self.day = Some(value),
            (false, false, true) => self.month = Some(value),
            (false, true, true) => self.set_year(value, text),
            (true, true, true) => return self.packed_time(text),
            (true, false, true) => return Err(Fault::Format),
        }
        Ok(())
    }

    fn set_year(&mut self, value: i64, text: &str) {
        self.year = Some(value);
        self.two_digit_year = text.len() <= 2;
    }

    /// `19960102`, `960102`, `040506`, `0405`, with or without a fraction of the second.
    fn packed_number(&mut self, text: &str, time_only: bool) -> Result<(), Fault> {
        let plain = !text.contains('.');
        if plain && !self.date_complete() && !time_only && text.len() >= 6 {
            let number = |t: &str| clock::small(t).ok_or(Fault::Format);
            let (year, rest) = text.split_at(text.len() - 4);
            self.month = Some(number(&rest[..2])?);
            self.day = Some(number(&rest[2..])?);
            self.set_year(number(year)?, year);
            return Ok(());
        }
        self.packed_time(text)
    }

    fn packed_time(&mut self, text: &str) -> Result<(), Fault> {
        let (digits, fraction) = match text.split_once('.') {
            Some((digits, fraction)) => (digits, clock::fraction_us(fraction).ok_or(Fault::Format)?),
            None => (text, 0),
        };
        let pair = |at: usize| digits.get(at..at + 2).and_then(clock::small).ok_or(Fault::Format);
        let (hour, minute, second) = match digits.len() {
            6 => (pair(0)?, pair(2)?, pair(4)?),
            4 => (pair(0)?, pair(2)?, 0),
            _ => return Err(Fault::Format),
        };
        self.set_time((hour, minute, second, fraction))
    }

    fn julian(&mut self, text: &str) -> Result<(), Fault> {
        let (days, fraction) = text.split_once('.').unwrap_or((text, ""));
        let number: i64 = days.parse().map_err(|_| Fault::Format)?;
        self.whole_day = Some(number + i64::from(super::super::DATE_MIN));
        if !fraction.is_empty() {
            let part: f64 = format!("0.{fraction}").parse().map_err(|_| Fault::Format)?;
            return self.set_time((0, 0, 0, (part * US_PER_DAY as f64) as i64));
        }
        Ok(())
    }

    fn word_token(&mut self, token: &Token, settings: &FormatSettings, time_only: bool) -> Result<(), Fault> {
        let word = token.text.get(..SIGNIFICANT_CHARS).unwrap_or(&token.text);
        if let Some(month) = month_number(word) {
            return self.month_word(month);
        }
        if WEEKDAY_NAMES.contains(&word) {
            self.weekday = true;
            return Ok(());
        }
        let today = || i64::from(split_timestamp(local_now(settings)).0);
        match word {
            "now" => self.set_special(Special::Now),
            "today" => self.set_day(today()),
            "tomorrow" => self.set_day(today() + 1),
            "yesterday" => self.set_day(today() - 1),
            "epoch" => self.set_special(Special::Epoch),
            "infinity" => self.set_special(Special::Infinity),
            "allballs" => {
                self.set_zone(ZoneSpec::Offset(0))?;
                self.set_time((0, 0, 0, 0))
            }
            "am" | "pm" => {
                let half = if word == "am" { HalfDay::Am } else { HalfDay::Pm };
                if self.half.replace(half).is_some() { Err(Fault::Format) } else { Ok(()) }
            }
            "ad" | "bc" if self.ad || self.bc => Err(Fault::Format),
            "ad" => {
                self.ad = true;
                Ok(())
            }
            "bc" => {
                self.bc = true;
                Ok(())
            }
            "at" | "on" => Ok(()),
            "j" | "jd" | "julian" => {
                self.announced = Some(Announced::Julian);
                Ok(())
            }
            "t" if self.date_complete() || time_only => {
                self.announced = Some(Announced::IsoTime);
                Ok(())
            }
            _ => {
                let zone = match super::super::abbreviation_offset(&token.text) {
                    Some(seconds) => ZoneSpec::Offset(seconds),
                    None => ZoneSpec::Named(named_zone(&token.text)?),
                };
                self.set_zone(zone)
            }
        }
    }

    fn month_word(&mut self, month: i64) -> Result<(), Fault> {
        if let Some(day @ 1..=31) = self.month
            && !self.month_by_name
            && self.day.is_none()
        {
            // 1 Jan: what was taken for the month is the day.
            self.day = Some(day);
        } else if self.month.is_some() {
            return Err(Fault::Format);
        }
        self.month = Some(month);
        self.month_by_name = true;
        Ok(())
    }

    fn set_day(&mut self, day: i64) -> Result<(), Fault> {
        if self.has_date() {
            return Err(Fault::Format);
        }
        self.whole_day = Some(day);
        Ok(())
    }

    /// Microseconds since midnight, up to and including 24:00:00.
    fn clock(&self) -> Result<Option<i64>, Fault> {
        let Some((mut hour, minute, second, fraction)) = self.time else {
            return if self.half.is_some() { Err(Fault::Format) } else { Ok(None) };
        };
        if self.half.is_some() && hour > 12 {
            return Err(Fault::Field);
        }
        match self.half {
            Some(HalfDay::Am) if hour == 12 => hour = 0,
            Some(HalfDay::Pm) if hour != 12 => hour += 12,
            _ => (),
        }
        let time = clock::total((hour, minute, second, fraction));
        if hour > 24 || minute > 59 || second > 60 || time > US_PER_DAY {
            return Err(Fault::Field);
        }
        Ok(Some(time))
    }

    /// Days since 1970-01-01.
    fn date(&self) -> Result<i64, Fault> {
        if let Some(day) = self.whole_day {
            return Ok(day);
        }
        if !self.date_complete() {
            return Err(Fault::Format);
        }
        let year = self.astronomical_year()?;
        if let Some(day) = self.day_of_year {
            return Ok(i64::from(days_from_civil(year, 1, 1)) + day - 1);
        }
        let (month, day) = (self.month.unwrap_or(0), self.day.unwrap_or(0));
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(Fault::MonthOrDay);
        }
        if day > i64::from(days_in_month(year, month as u32)) {
            return Err(Fault::Field);
        }
        if !(-4713..=5_874_898).contains(&year) {
            // No day number tells it; the caller finds it out of range.
            return Ok(i64::MAX);
        }
        Ok(days_from_civil(year, month as u32, day as i32).into())
    }

    fn astronomical_year(&self) -> Result<i32, Fault> {
        let year = self.year.ok_or(Fault::Format)?;
        let year = if self.bc {
            if year == 0 {
                return Err(Fault::Field);
            }
            1 - year
        } else if self.two_digit_year {
            year + if year < 70 { 2000 } else { 1900 }
        } else if year == 0 {
            return Err(Fault::Field);
        } else {
            year
        };
        i32::try_from(year).map_err(|_| Fault::Field)
    }
}
