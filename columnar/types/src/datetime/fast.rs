//! The common ISO forms, read by hand: `1996-03-13`, `1996-03-13 12:30:00.25`, `12:30:00`.
//!
//! What is written otherwise is `None` here, and the general parser's.

use super::{US_PER_DAY, US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND, days_from_civil, days_in_month};

fn two(a: u8, b: u8) -> Option<u32> {
    let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
    (a <= 9 && b <= 9).then(|| u32::from(a) * 10 + u32::from(b))
}

/// `YYYY-MM-DD`, years 1 to 9999.
pub fn fast_date(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = two(*y1, *y2)? * 100 + two(*y3, *y4)?;
    let (month, day) = (two(*m1, *m2)?, two(*d1, *d2)?);
    if year == 0
        || !(1..=12).contains(&month)
        || day == 0
        || (day > 28 && day > days_in_month(year as i32, month))
    {
        return None;
    }
    Some(days_from_civil(year as i32, month, day as i32))
}

/// `HH:MM:SS` or `HH:MM:SS.ffffff`, below 24:00:00.
pub fn fast_time(text: &[u8]) -> Option<i64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = text else { return None };
    let (hour, minute, second) = (two(*h1, *h2)?, two(*m1, *m2)?, two(*s1, *s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = match rest {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            let mut value = 0i64;
            for c in digits {
                let d = c.wrapping_sub(b'0');
                if d > 9 {
                    return None;
                }
                value = value * 10 + i64::from(d);
            }
            value * crate::number::POW10_64[6 - digits.len()]
        }
        _ => return None,
    };
    Some(
        i64::from(hour) * US_PER_HOUR
            + i64::from(minute) * US_PER_MINUTE
            + i64::from(second) * US_PER_SECOND
            + fraction,
    )
}

/// A date, and a time after a blank or a `T`; without zone.
pub fn fast_timestamp(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let time = match rest {
        [] => 0,
        [b' ' | b'T', time @ ..] => fast_time(time)?,
        _ => return None,
    };
    Some(i64::from(fast_date(date)?) * US_PER_DAY + time)
}
