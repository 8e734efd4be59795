//! Numbers written by a template.

use spg_types::{Numeric, Result};

use super::date_out::ordinal_suffix;
use super::number_pattern::{Item, NumberPattern};
use crate::cast::numeric_to_f64;

/// The digits of a number as the template shows them.
struct Digits {
    negative: bool,
    /// Without zeros in front.
    whole: String,
    fraction: String,
    /// The number has more digits than the template.
    overflow: bool,
}

impl Digits {
    fn new(p: &NumberPattern, v: &Numeric) -> Result<Self> {
        let mut v = v.clone();
        if p.shift > 0 {
            v = v.mul(&Numeric::from_i128(10i128.pow(p.shift.min(38) as u32), 0))?;
        }
        let rounded = v.round(p.fraction as i32);
        let mut text = vec![];
        rounded.abs().write_text(&mut text);
        let text = String::from_utf8(text).unwrap_or_default();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let whole = whole.trim_start_matches('0').to_string();
        let overflow = whole.len() > p.whole || !v.is_finite();
        let negative = rounded.signum() < 0;
        if overflow {
            return Ok(Self {
                negative: v.signum() < 0,
                whole: "#".repeat(p.whole),
                fraction: "#".repeat(p.fraction),
                overflow,
            });
        }
        Ok(Self { negative, whole, fraction: fraction.to_string(), overflow })
    }
}

const ROMAN: [(i64, &str); 13] = [
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];

/// 15 characters, filled up with blanks at the start unless `fill`.
fn roman(v: &Numeric, upper: bool, fill: bool) -> String {
    const WIDTH: usize = 15;
    let mut n = v.round(0).as_i128().map_or(0, |(n, _)| n as i64);
    if !(1..4000).contains(&n) {
        return "#".repeat(WIDTH);
    }
    let mut text = String::new();
    for (value, letters) in ROMAN {
        while n >= value {
            text.push_str(letters);
            n -= value;
        }
    }
    if !upper {
        text.make_ascii_lowercase();
    }
    if fill { text } else { format!("{text:>WIDTH$}") }
}

/// `1.234e+05`
fn scientific(v: &Numeric, digits: usize) -> Result<String> {
    let text = format!("{:.digits$e}", numeric_to_f64(v)?);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if text.starts_with('-') { "" } else { " " };
    let power = if exponent < 0 { '-' } else { '+' };
    Ok(format!("{sign}{mantissa}e{power}{:02}", exponent.abs()))
}

impl NumberPattern {
    /// Writes a number.
    pub(super) fn write(&self, v: &Numeric) -> Result<String> {
        if self.roman {
            let upper = self.items.contains(&Item::Roman { upper: true });
            return Ok(roman(v, upper, self.fill));
        }
        if self.scientific {
            if !v.is_finite() {
                let point = if self.fraction > 0 { "." } else { "" };
                return Ok(format!(" {}{point}{}", "#".repeat(self.whole), "#".repeat(self.fraction + 4)));
            }
            return scientific(v, self.fraction);
        }
        Ok(Writer::new(self, Digits::new(self, v)?).run())
    }
}

struct Writer<'a> {
    p: &'a NumberPattern,
    digits: Digits,
    out: String,
    /// Digits of the template passed so far, before the point.
    slot: usize,
    /// Digits of the fraction passed so far.
    fraction_slot: usize,
    after_point: bool,
    /// The first slot that shows zeros.
    zero_from: usize,
    /// Digits of the fraction that `FM` leaves.
    fraction_kept: usize,
    sign_written: bool,
    digit_written: bool,
}

impl<'a> Writer<'a> {
    fn new(p: &'a NumberPattern, digits: Digits) -> Self {
        let mut slots = p.items.iter().filter_map(|i| match i {
            Item::Digit { zero } => Some(*zero),
            _ => None,
        });
        let zero_from = slots.clone().take(p.whole).position(|zero| zero).unwrap_or(usize::MAX);
        // The last place of the fraction that must be shown under FM.
        let forced = slots.by_ref().skip(p.whole).collect::<Vec<_>>();
        let forced = forced.iter().rposition(|zero| *zero).map_or(0, |at| at + 1);
        let fraction_kept = digits.fraction.trim_end_matches('0').len().max(forced);
        // Signs that stand in a place of their own are not written before the digits.
        let own_sign = p.items.iter().any(|i| matches!(i, Item::SignHere | Item::Minus))
            || (p.items.contains(&Item::Plus) && !digits.negative);
        Self {
            p,
            digits,
            out: String::new(),
            slot: 0,
            fraction_slot: 0,
            after_point: false,
            zero_from,
            fraction_kept,
            sign_written: own_sign || p.sign_after == Some(true),
            digit_written: false,
        }
    }

    fn run(mut self) -> String {
        let items = self.p.items.clone();
        for item in &items {
            match item {
                Item::Digit { .. } if self.after_point => self.fraction_digit(),
                Item::Digit { .. } => self.whole_digit(),
                Item::Point => self.point(),
                Item::Group => {
                    if self.digit_written {
                        self.out.push(',');
                    } else if !self.p.fill {
                        self.out.push(' ');
                    }
                }
                Item::Sign if self.p.sign_after == Some(true) => {
                    self.out.push(if self.digits.negative { '-' } else { '+' })
                }
                Item::Sign | Item::Roman { .. } => {}
                Item::SignHere => self.out.push(if self.digits.negative { '-' } else { '+' }),
                Item::Minus => self.in_place(self.digits.negative, '-'),
                Item::Plus => self.in_place(!self.digits.negative, '+'),
                Item::Currency => self.out.push(' '),
                Item::Ordinal { upper } => {
                    if !self.digits.overflow && !self.digits.negative && self.p.fraction == 0 {
                        let whole = if self.digits.whole.is_empty() { "0" } else { &self.digits.whole };
                        self.out.push_str(ordinal_suffix(whole, *upper));
                    }
                }
                Item::Literal(c) => self.out.push(*c),
            }
        }
        if self.p.brackets {
            if !self.sign_written {
                self.sign();
            }
            if self.digits.negative {
                self.out.push('>');
            } else if !self.p.fill {
                self.out.push(' ');
            }
        }
        self.out
    }

    fn in_place(&mut self, shown: bool, sign: char) {
        if shown {
            self.out.push(sign);
        } else if !self.p.fill {
            self.out.push(' ');
        }
    }

    /// The sign, right before the first digit.
    fn sign(&mut self) {
        if self.sign_written {
            return;
        }
        self.sign_written = true;
        match (self.p.sign_after, self.p.brackets, self.digits.negative) {
            (Some(false), _, negative) => self.out.push(if negative { '-' } else { '+' }),
            (_, true, true) => self.out.push('<'),
            (_, false, true) => self.out.push('-'),
            (_, _, false) => {
                if !self.p.fill {
                    self.out.push(' ');
                }
            }
        }
    }

    fn whole_digit(&mut self) {
        let (slot, slots) = (self.slot, self.p.whole);
        self.slot += 1;
        let lead = slots - self.digits.whole.len();
        if slot >= lead {
            self.sign();
            self.out.push_str(&self.digits.whole[slot - lead..=slot - lead]);
            self.digit_written = true;
            return;
        }
        if slot >= self.zero_from {
            self.sign();
            self.out.push('0');
            self.digit_written = true;
            return;
        }
        // A number below one shows a zero only where nothing follows.
        let last = slot + 1 == slots;
        let nothing_follows = self.p.fraction == 0 || (self.p.fill && self.fraction_kept == 0);
        if last && self.digits.whole.is_empty() && nothing_follows {
            self.sign();
            self.out.push('0');
            self.digit_written = true;
        } else if !self.p.fill {
            self.out.push(' ');
        }
    }

    fn point(&mut self) {
        self.after_point = true;
        self.sign();
        self.out.push('.');
    }

    fn fraction_digit(&mut self) {
        let slot = self.fraction_slot;
        self.fraction_slot += 1;
        if self.p.fill && slot >= self.fraction_kept && !self.digits.overflow {
            return;
        }
        self.sign();
        self.out.push_str(self.digits.fraction.get(slot..=slot).unwrap_or("0"));
        self.digit_written = true;
    }
}
