//! Integers as text.

/// Why a text is no integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntError {
    /// It is not written like one.
    Syntax,
    /// It does not fit 64 bits.
    Range,
}

/// C's `isspace` for ASCII.
pub fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t'..=b'\r')
}

/// [`is_space`] for characters.
pub fn is_space_char(c: char) -> bool {
    c.is_ascii() && is_space(c as u8)
}

/// The text without the white space around it.
pub fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// An integer with an optional sign, white space around it allowed.
pub fn parse_int(text: &[u8]) -> Result<i64, IntError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    // Up to 18 digits cannot overflow, and need no look at anything else.
    if !digits.is_empty() && digits.len() <= 18 {
        let mut value = 0i64;
        for (i, &c) in digits.iter().enumerate() {
            let d = c.wrapping_sub(b'0');
            if d > 9 {
                break;
            }
            value = value * 10 + i64::from(d);
            if i + 1 == digits.len() {
                return Ok(if negative { -value } else { value });
            }
        }
    }
    parse_int_slow(trim(text))
}

#[cold]
fn parse_int_slow(text: &[u8]) -> Result<i64, IntError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(IntError::Syntax);
    }
    // Downwards, since there is one more negative number than there are positive ones.
    let mut value = 0i64;
    for &c in digits {
        let step = |v: i64| v.checked_mul(10)?.checked_sub((c - b'0').into());
        value = step(value).ok_or(IntError::Range)?;
    }
    if negative { Ok(value) } else { value.checked_neg().ok_or(IntError::Range) }
}

/// The numbers from 00 to 99 as text.
static PAIRS: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        table[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    table
};

/// Writes the digits of `value` at the end of `buf` and says where they start.
pub(super) fn digits_into(mut value: u64, buf: &mut [u8]) -> usize {
    let mut at = buf.len();
    while value >= 100 {
        at -= 2;
        buf[at..at + 2].copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if value >= 10 {
        at -= 2;
        buf[at..at + 2].copy_from_slice(&PAIRS[value as usize]);
    } else {
        at -= 1;
        buf[at] = b'0' + value as u8;
    }
    at
}

/// Appends an unsigned number.
pub fn write_uint(value: u64, out: &mut Vec<u8>) {
    let mut buf = [0; 20];
    let at = digits_into(value, &mut buf);
    out.extend_from_slice(&buf[at..]);
}

/// The two digits of a number below 100.
pub fn pair(value: u32) -> [u8; 2] {
    PAIRS[(value % 100) as usize]
}

/// Appends a number below 100 as two digits.
pub fn write_pair(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&pair(value));
}

/// Appends an unsigned number, filled up with zeros to at least `width` digits.
pub fn write_padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut buf = [b'0'; 20];
    let at = digits_into(value, &mut buf).min(buf.len() - width.min(buf.len()));
    out.extend_from_slice(&buf[at..]);
}

/// Appends a signed number.
pub fn write_int(value: i64, out: &mut Vec<u8>) {
    let mut buf = [0; 20];
    let at = digits_into(value.unsigned_abs(), &mut buf);
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&buf[at..]);
}
