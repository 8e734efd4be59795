//! Byte strings: single bytes and bits, encodings.

use spg_expr::arity::{Bytes, Str, map1, try_map2, try_map3};
use spg_types::{Error, Result, SqlState};

use crate::error::invalid_parameter;
use crate::record::{functions, sig};

fn out_of_range(index: i64, len: i64) -> Error {
    let message = format!("index {index} out of valid range, 0..{}", len - 1);
    Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

/// Checks that an index is within `0..len`; 2202E.
fn index(at: i64, len: i64) -> Result<usize> {
    usize::try_from(at).ok().filter(|_| at < len).ok_or_else(|| out_of_range(at, len))
}

fn get_byte(bytes: &[u8], at: i32) -> Result<i32> {
    Ok(bytes[index(at.into(), bytes.len() as i64)?].into())
}

fn set_byte(bytes: &[u8], at: i32, value: i32) -> Result<Vec<u8>> {
    let at = index(at.into(), bytes.len() as i64)?;
    let mut out = bytes.to_vec();
    out[at] = value as u8;
    Ok(out)
}

/// Bits count from the lowest of the first byte.
fn bit_place(bytes: &[u8], at: i64) -> Result<(usize, u32)> {
    let at = index(at, bytes.len() as i64 * 8)?;
    Ok((at / 8, (at % 8) as u32))
}

fn get_bit(bytes: &[u8], at: i64) -> Result<i32> {
    let (byte, bit) = bit_place(bytes, at)?;
    Ok((bytes[byte] >> bit & 1).into())
}

fn set_bit(bytes: &[u8], at: i64, value: i32) -> Result<Vec<u8>> {
    let (byte, bit) = bit_place(bytes, at)?;
    if !matches!(value, 0 | 1) {
        return Err(invalid_parameter("new bit must be 0 or 1"));
    }
    let mut out = bytes.to_vec();
    out[byte] = out[byte] & !(1 << bit) | (value as u8) << bit;
    Ok(out)
}

/// Encodings that texts can be converted from and to.
#[derive(Clone, Copy)]
pub(super) enum Encoding {
    Utf8,
    Ascii,
    Latin1,
}

impl Encoding {
    /// By its name; `which` is the word of the error: source or destination. 22023, 0A000.
    pub(super) fn named(name: &str, which: &str) -> Result<Self> {
        let key: String =
            name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        match key.as_str() {
            "utf8" | "unicode" => Ok(Self::Utf8),
            "sqlascii" => Ok(Self::Ascii),
            "latin1" | "iso88591" => Ok(Self::Latin1),
            k if k.starts_with("latin")
                || k.starts_with("iso8859")
                || k.starts_with("win")
                || [
                    "euccn", "eucjp", "euckr", "euctw", "koi8r", "koi8u", "sjis", "big5", "gbk", "gb18030",
                ]
                .contains(&k) =>
            {
                Err(Error::unsupported(format!("encoding {name} is not supported")))
            }
            _ => Err(invalid_parameter(format!("invalid {which} encoding name \"{name}\""))),
        }
    }

    /// Bytes in this encoding as a text; 22021.
    pub(super) fn read(self, bytes: &[u8]) -> Result<String> {
        match self {
            Self::Latin1 => match bytes.iter().position(|b| *b == 0) {
                Some(_) => Err(invalid_bytes("LATIN1", &[0])),
                None => Ok(bytes.iter().map(|b| char::from(*b)).collect()),
            },
            Self::Utf8 | Self::Ascii => {
                let valid = std::str::from_utf8(bytes);
                let end = valid.as_ref().map_or_else(|e| e.valid_up_to(), |s| s.len());
                if let Some(at) = bytes[..end].iter().position(|b| *b == 0) {
                    return Err(invalid_bytes("UTF8", &bytes[at..=at]));
                }
                valid.map(str::to_owned).map_err(|_| {
                    let bad = &bytes[end..];
                    invalid_bytes("UTF8", &bad[..bad.len().min(sequence_len(bad[0]))])
                })
            }
        }
    }

    /// A text in this encoding; 22P05.
    fn write(self, text: &str) -> Result<Vec<u8>> {
        match self {
            Self::Utf8 | Self::Ascii => Ok(text.as_bytes().to_vec()),
            Self::Latin1 => text
                .chars()
                .map(|c| {
                    u8::try_from(u32::from(c)).map_err(|_| {
                        let mut buffer = [0; 4];
                        let message = format!(
                            "character with byte sequence {} in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"",
                            hex_list(c.encode_utf8(&mut buffer).as_bytes())
                        );
                        Error::new(SqlState::UNTRANSLATABLE_CHARACTER, message)
                    })
                })
                .collect(),
        }
    }
}

/// How many bytes the sequence that a byte begins should have.
fn sequence_len(first: u8) -> usize {
    match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    }
}

fn hex_list(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("0x{b:02x}")).collect::<Vec<_>>().join(" ")
}

fn invalid_bytes(encoding: &str, bytes: &[u8]) -> Error {
    let message = format!("invalid byte sequence for encoding \"{encoding}\": {}", hex_list(bytes));
    Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
}

functions! {
    FUNCTION GET_BYTE: "get_byte", "The byte at a place, from 0.", "get_byte('\\x1234567890', 4)" => "144", [
        sig!([BYTEA, INT4] => INT4, |b| try_map2::<Bytes, i32, i32>(b, get_byte)),
    ];
    FUNCTION SET_BYTE: "set_byte", "The bytes with another one at a place, from 0.", "set_byte('\\x1234567890', 4, 64)" => "\\x1234567840", [
        sig!([BYTEA, INT4, INT4] => BYTEA, |b| try_map3::<Bytes, i32, i32, Bytes>(b, set_byte)),
    ];
    FUNCTION GET_BIT: "get_bit", "The bit at a place, from 0 for the lowest of the first byte.", "get_bit('\\x1234567890', 30)" => "1", [
        sig!([BYTEA, INT8] => INT4, |b| try_map2::<Bytes, i64, i32>(b, get_bit)),
    ];
    FUNCTION SET_BIT: "set_bit", "The bytes with a bit set or cleared.", "set_bit('\\x1234567890', 30, 0)" => "\\x1234563890", [
        sig!([BYTEA, INT8, INT4] => BYTEA, |b| try_map3::<Bytes, i64, i32, Bytes>(b, set_bit)),
    ];
    TOTAL BIT_COUNT: "bit_count", "How many bits are set.", "bit_count('\\x1234567890'::bytea)" => "15", [
        sig!([BYTEA] => INT8, |b| map1::<Bytes, i64>(b, |s| s.iter().map(|b| i64::from(b.count_ones())).sum())),
    ];
    FUNCTION CONVERT_FROM: "convert_from", "Bytes of an encoding as a text.", "convert_from('text_in_utf8', 'UTF8')" => "text_in_utf8", [
        sig!([BYTEA, NAME] => TEXT, |b| try_map2::<Bytes, Str, Str>(b, |s, name| Encoding::named(name, "source")?.read(s))),
    ];
    FUNCTION CONVERT_TO: "convert_to", "A text as the bytes of an encoding.", "convert_to('some_text', 'UTF8')" => "\\x736f6d655f74657874", [
        sig!([TEXT, NAME] => BYTEA, |b| try_map2::<Str, Str, Bytes>(b, |s, name| Encoding::named(name, "destination")?.write(s))),
    ];
    FUNCTION CONVERT: "convert", "Bytes of one encoding as those of another.", "convert('text_in_utf8', 'UTF8', 'LATIN1')" => "\\x746578745f696e5f75746638", [
        sig!([BYTEA, NAME, NAME] => BYTEA, |b| try_map3::<Bytes, Str, Str, Bytes>(b, |s, from, to| {
            let (from, to) = (Encoding::named(from, "source")?, Encoding::named(to, "destination")?);
            to.write(&from.read(s)?)
        })),
    ];
}
