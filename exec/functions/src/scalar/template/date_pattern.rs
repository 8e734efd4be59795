//! Templates for moments, taken apart.

use spg_types::Result;

use super::Template;

/// What a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) enum Part {
    Era {
        dots: bool,
        upper: bool,
    },
    HalfDay {
        dots: bool,
        upper: bool,
    },
    Hour12,
    Hour24,
    Minute,
    Second,
    /// Digits of the fraction of a second.
    Fraction(u8),
    Millisecond,
    Microsecond,
    SecondOfDay,
    /// Digits shown, and whether it is the ISO year.
    Year {
        digits: u8,
        iso: bool,
    },
    YearWithComma,
    Century,
    MonthName {
        case: Case,
        short: bool,
    },
    Month,
    MonthRoman {
        upper: bool,
    },
    DayName {
        case: Case,
        short: bool,
    },
    DayOfYear {
        iso: bool,
    },
    DayOfMonth,
    DayOfWeek {
        iso: bool,
    },
    WeekOfMonth,
    WeekOfYear {
        iso: bool,
    },
    Julian,
    Quarter,
    ZoneName {
        upper: bool,
    },
    ZoneHour,
    ZoneMinute,
    ZoneOffset,
}

/// How a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) enum Case {
    Upper,
    Capital,
    Lower,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A part; `FM` before it, `TH` or `th` after it.
    Part { part: Part, fill: bool, ordinal: Option<bool> },
    /// A character as it stands; quoted ones are skipped on input without a look.
    Literal(char, bool),
}

/// A template for moments.
pub(super) struct DatePattern {
    pub(super) items: Vec<Item>,
    /// `FX`: input has to match exactly.
    pub(super) exact: bool,
}

use Part::*;

/// Patterns, longer ones before those they start with. Those marked differ by case; the others do not.
const PATTERNS: &[(&str, Part, bool)] = &[
    ("A.D.", Era { dots: true, upper: true }, true),
    ("a.d.", Era { dots: true, upper: false }, true),
    ("B.C.", Era { dots: true, upper: true }, true),
    ("b.c.", Era { dots: true, upper: false }, true),
    ("A.M.", HalfDay { dots: true, upper: true }, true),
    ("a.m.", HalfDay { dots: true, upper: false }, true),
    ("P.M.", HalfDay { dots: true, upper: true }, true),
    ("p.m.", HalfDay { dots: true, upper: false }, true),
    ("AD", Era { dots: false, upper: true }, true),
    ("ad", Era { dots: false, upper: false }, true),
    ("BC", Era { dots: false, upper: true }, true),
    ("bc", Era { dots: false, upper: false }, true),
    ("AM", HalfDay { dots: false, upper: true }, true),
    ("am", HalfDay { dots: false, upper: false }, true),
    ("PM", HalfDay { dots: false, upper: true }, true),
    ("pm", HalfDay { dots: false, upper: false }, true),
    ("CC", Century, false),
    ("DAY", DayName { case: Case::Upper, short: false }, true),
    ("Day", DayName { case: Case::Capital, short: false }, true),
    ("day", DayName { case: Case::Lower, short: false }, true),
    ("DDD", DayOfYear { iso: false }, false),
    ("DD", DayOfMonth, false),
    ("DY", DayName { case: Case::Upper, short: true }, true),
    ("Dy", DayName { case: Case::Capital, short: true }, true),
    ("dy", DayName { case: Case::Lower, short: true }, true),
    ("D", DayOfWeek { iso: false }, false),
    ("FF1", Fraction(1), false),
    ("FF2", Fraction(2), false),
    ("FF3", Fraction(3), false),
    ("FF4", Fraction(4), false),
    ("FF5", Fraction(5), false),
    ("FF6", Fraction(6), false),
    ("HH24", Hour24, false),
    ("HH12", Hour12, false),
    ("HH", Hour12, false),
    ("IDDD", DayOfYear { iso: true }, false),
    ("ID", DayOfWeek { iso: true }, false),
    ("IW", WeekOfYear { iso: true }, false),
    ("IYYY", Year { digits: 4, iso: true }, false),
    ("IYY", Year { digits: 3, iso: true }, false),
    ("IY", Year { digits: 2, iso: true }, false),
    ("I", Year { digits: 1, iso: true }, false),
    ("J", Julian, false),
    ("MI", Minute, false),
    ("MM", Part::Month, false),
    ("MONTH", MonthName { case: Case::Upper, short: false }, true),
    ("Month", MonthName { case: Case::Capital, short: false }, true),
    ("month", MonthName { case: Case::Lower, short: false }, true),
    ("MON", MonthName { case: Case::Upper, short: true }, true),
    ("Mon", MonthName { case: Case::Capital, short: true }, true),
    ("mon", MonthName { case: Case::Lower, short: true }, true),
    ("MS", Millisecond, false),
    ("OF", ZoneOffset, false),
    ("Q", Quarter, false),
    ("RM", MonthRoman { upper: true }, true),
    ("rm", MonthRoman { upper: false }, true),
    ("SSSSS", SecondOfDay, false),
    ("SSSS", SecondOfDay, false),
    ("SS", Second, false),
    ("TZH", ZoneHour, false),
    ("TZM", ZoneMinute, false),
    ("TZ", ZoneName { upper: true }, true),
    ("tz", ZoneName { upper: false }, true),
    ("US", Microsecond, false),
    ("WW", WeekOfYear { iso: false }, false),
    ("W", WeekOfMonth, false),
    ("Y,YYY", YearWithComma, false),
    ("YYYY", Year { digits: 4, iso: false }, false),
    ("YYY", Year { digits: 3, iso: false }, false),
    ("YY", Year { digits: 2, iso: false }, false),
    ("Y", Year { digits: 1, iso: false }, false),
];

/// The pattern at the start of a text.
fn pattern(text: &str) -> Option<(Part, usize)> {
    let starts = |p: &str, cased: bool| {
        text.get(..p.len()).is_some_and(|head| if cased { head == p } else { head.eq_ignore_ascii_case(p) })
    };
    PATTERNS.iter().find(|(p, _, cased)| starts(p, *cased)).map(|(p, part, _)| (*part, p.len()))
}

impl Template for DatePattern {
    fn parse(text: &str) -> Result<Self> {
        let mut rest = text;
        let mut exact = false;
        let mut items = vec![];
        let mut fill = false;
        while let Some(c) = rest.chars().next() {
            let head = rest.get(..2).unwrap_or_default();
            if head.eq_ignore_ascii_case("FM") {
                fill = true;
                rest = &rest[2..];
                continue;
            }
            if head.eq_ignore_ascii_case("FX") {
                exact = true;
                rest = &rest[2..];
                continue;
            }
            if head == "TM" && pattern(&rest[2..]).is_some() {
                rest = &rest[2..];
                continue;
            }
            if let Some((part, len)) = pattern(rest) {
                rest = &rest[len..];
                let suffix = rest.get(..2).unwrap_or_default();
                let ordinal = match suffix {
                    "TH" => Some(true),
                    "th" => Some(false),
                    _ => None,
                };
                if ordinal.is_some() {
                    rest = &rest[2..];
                }
                items.push(Item::Part { part, fill, ordinal });
                fill = false;
                continue;
            }
            rest = match c {
                '"' => {
                    let mut chars = rest[1..].chars();
                    while let Some(c) = chars.next() {
                        match c {
                            '"' => break,
                            '\\' => items.extend(chars.next().map(|c| Item::Literal(c, true))),
                            c => items.push(Item::Literal(c, true)),
                        }
                    }
                    chars.as_str()
                }
                '\\' if rest[1..].starts_with('"') => {
                    items.push(Item::Literal('"', false));
                    &rest[2..]
                }
                c => {
                    items.push(Item::Literal(c, false));
                    &rest[c.len_utf8()..]
                }
            };
        }
        Ok(Self { items, exact })
    }
}
