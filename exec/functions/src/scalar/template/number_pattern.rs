//! Templates for numbers, taken apart.

use spg_types::{Error, Result, SqlState};

use super::Template;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// `9`, or `0` when it shows zeros.
    Digit { zero: bool },
    /// `.` or `D`
    Point,
    /// `,` or `G`
    Group,
    /// `S`
    Sign,
    /// `SG`
    SignHere,
    /// `MI`
    Minus,
    /// `PL`
    Plus,
    /// `L`
    Currency,
    /// `TH` or `th`
    Ordinal { upper: bool },
    /// `RN` or `rn`
    Roman { upper: bool },
    /// A character as it stands.
    Literal(char),
}

/// A template for numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberPattern {
    pub(super) items: Vec<Item>,
    /// Digits before the point.
    pub(super) whole: usize,
    /// Digits after the point.
    pub(super) fraction: usize,
    /// Digits after `V`: the number is multiplied by so many tens.
    pub(super) shift: usize,
    /// `FM`
    pub(super) fill: bool,
    /// `PR`
    pub(super) brackets: bool,
    /// `EEEE`
    pub(super) scientific: bool,
    /// `S` before (false) or after (true) the digits.
    pub(super) sign_after: Option<bool>,
    pub(super) roman: bool,
}

fn syntax(message: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

impl Template for NumberPattern {
    fn parse(text: &str) -> Result<Self> {
        let mut p = NumberPattern::default();
        let mut rest = text;
        let (mut point, mut shifted) = (false, false);
        while let Some(c) = rest.chars().next() {
            let head = |n: usize| rest.get(..n).unwrap_or_default().to_ascii_uppercase();
            let (two, four) = (head(2), head(4));
            let mut take = c.len_utf8();
            match (two.as_str(), c.to_ascii_uppercase()) {
                ("FM", _) => {
                    p.fill = true;
                    take = 2;
                }
                ("PR", _) => {
                    if p.sign_after.is_some() || p.items.iter().any(|i| matches!(i, Item::Minus | Item::Plus))
                    {
                        return Err(syntax("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
                    }
                    p.brackets = true;
                    take = 2;
                }
                ("SG", _) => {
                    p.items.push(Item::SignHere);
                    take = 2;
                }
                ("MI", _) => {
                    p.items.push(Item::Minus);
                    take = 2;
                }
                ("PL", _) => {
                    p.items.push(Item::Plus);
                    take = 2;
                }
                ("TH", _) => {
                    p.items.push(Item::Ordinal { upper: rest.starts_with("TH") });
                    take = 2;
                }
                ("RN", _) => {
                    p.roman = true;
                    p.items.push(Item::Roman { upper: rest.starts_with("RN") });
                    take = 2;
                }
                ("EE", _) if four == "EEEE" => {
                    p.scientific = true;
                    take = 4;
                }
                (_, '9' | '0') => {
                    if p.scientific {
                        return Err(syntax("\"EEEE\" must be the last pattern used"));
                    }
                    if p.brackets && c == '9' {
                        return Err(syntax("\"9\" must be ahead of \"PR\""));
                    }
                    if shifted {
                        p.shift += 1;
                    }
                    if point {
                        p.fraction += 1;
                    } else {
                        p.whole += 1;
                    }
                    p.items.push(Item::Digit { zero: c == '0' });
                }
                (_, '.' | 'D') => {
                    if point {
                        return Err(syntax("multiple decimal points"));
                    }
                    if shifted {
                        return Err(syntax("cannot use \"V\" and decimal point together"));
                    }
                    point = true;
                    p.items.push(Item::Point);
                }
                (_, ',' | 'G') => p.items.push(Item::Group),
                (_, 'S') => {
                    if p.sign_after.is_some() {
                        return Err(syntax("cannot use \"S\" twice"));
                    }
                    if p.brackets {
                        return Err(syntax("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
                    }
                    p.sign_after = Some(p.whole + p.fraction > 0);
                    p.items.push(Item::Sign);
                }
                (_, 'V') => {
                    if point {
                        return Err(syntax("cannot use \"V\" and decimal point together"));
                    }
                    shifted = true;
                }
                (_, 'L') => p.items.push(Item::Currency),
                (_, '"') => {
                    take = 1;
                    let mut body = rest[1..].chars();
                    while let Some(c) = body.next() {
                        take += c.len_utf8();
                        match c {
                            '"' => break,
                            // Inside quotes, a backslash takes the next character as it is.
                            '\\' => {
                                if let Some(c) = body.next() {
                                    take += c.len_utf8();
                                    p.items.push(Item::Literal(c));
                                }
                            }
                            c => p.items.push(Item::Literal(c)),
                        }
                    }
                }
                (_, '\\') if rest[1..].starts_with('"') => {
                    p.items.push(Item::Literal('"'));
                    take = 2;
                }
                _ => p.items.push(Item::Literal(c)),
            }
            rest = &rest[take..];
        }
        Ok(p)
    }
}
