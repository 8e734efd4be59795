//! Numbers read by a template.

use std::str::FromStr;

use spg_types::{Error, Numeric, Result};

use super::number_pattern::{Item, NumberPattern};

impl NumberPattern {
    /// Reads a number: digits where the template has them, signs wherever it allows one; 22P02 when there is none.
    pub(super) fn read(&self, text: &str) -> Result<Numeric> {
        if self.scientific {
            return Err(Error::unsupported("\"EEEE\" not supported for input"));
        }
        if self.roman {
            return Err(Error::unsupported("\"RN\" not supported for input"));
        }
        let mut number = String::new();
        let mut negative = false;
        let mut rest = text.chars().peekable();
        let mut point = false;
        for item in &self.items {
            match item {
                Item::Digit { .. } => {
                    loop {
                        match rest.peek() {
                            Some(' ') if number.is_empty() => {}
                            Some('-' | '<') if !number.contains(|c: char| c.is_ascii_digit()) => {
                                negative = true
                            }
                            Some('+') if number.is_empty() => {}
                            _ => break,
                        }
                        rest.next();
                    }
                    if let Some(d) = rest.next_if(char::is_ascii_digit) {
                        number.push(d);
                    }
                }
                Item::Point => {
                    // Digits beyond those that the template shows are lost; the point may be missing.
                    if !point && rest.next_if_eq(&'.').is_some() {
                        number.push('.');
                        point = true;
                    }
                }
                Item::Group => _ = rest.next_if_eq(&','),
                Item::Sign | Item::SignHere | Item::Minus | Item::Plus => match rest.peek() {
                    Some('-') => {
                        negative = true;
                        rest.next();
                    }
                    Some('+' | ' ') => _ = rest.next(),
                    _ => {}
                },
                Item::Ordinal { .. } => _ = rest.by_ref().take(2).count(),
                Item::Currency => _ = rest.next_if(|c| !c.is_ascii_digit() && !matches!(c, '-' | '+' | '.')),
                Item::Literal(_) | Item::Roman { .. } => _ = rest.next_if(|c| !c.is_ascii_digit()),
            }
        }
        if self.sign_after.is_none() && rest.peek() == Some(&'-') {
            negative = true;
        }
        let digits = number.trim_end_matches('.');
        if !digits.contains(|c: char| c.is_ascii_digit()) {
            return Numeric::from_str(text.trim()).and_then(|_| Numeric::from_str(" "));
        }
        let value = Numeric::from_str(digits)?;
        let value = if negative { value.neg() } else { value };
        if self.shift > 0 {
            value.div(&Numeric::from_i128(10i128.pow(self.shift.min(38) as u32), 0))
        } else {
            Ok(value)
        }
    }
}
