//! Codes of characters and bytes, digests.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use spg_expr::arity::{Bytes, Str, map1, try_map1, try_map2, write1, write2};
use spg_types::{Error, Result, SqlState};

use crate::error::invalid_parameter;
use crate::record::{functions, sig};

fn chr(code: i32) -> Result<String> {
    let limit = |message: String| Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message);
    match u32::try_from(code).ok() {
        Some(0) => Err(limit("null character not permitted".into())),
        None => Err(limit("character number must be positive".into())),
        Some(code) => match char::from_u32(code) {
            Some(c) => Ok(c.to_string()),
            None if code > 0x10_ffff => {
                Err(limit(format!("requested character too large for encoding: {code}")))
            }
            None => Err(limit(format!("requested character not valid for encoding: {code}"))),
        },
    }
}

fn hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for b in bytes {
        out.push(DIGITS[usize::from(b >> 4)].into());
        out.push(DIGITS[usize::from(b & 15)].into());
    }
}

fn unknown_encoding(name: &str) -> Error {
    invalid_parameter(format!("unrecognized encoding: \"{name}\""))
}

fn encode(bytes: &[u8], format: &str, out: &mut String) -> Result<()> {
    const LINE_CHARS: usize = 76;
    match format.to_ascii_lowercase().as_str() {
        "hex" => hex(bytes, out),
        "base64" => {
            let text = STANDARD.encode(bytes);
            for (i, c) in text.chars().enumerate() {
                if i > 0 && i % LINE_CHARS == 0 {
                    out.push('\n');
                }
                out.push(c);
            }
        }
        "escape" => {
            for b in bytes {
                match b {
                    b'\\' => out.push_str("\\\\"),
                    0 | 0x80.. => _ = write!(out, "\\{b:03o}"),
                    b => out.push(char::from(*b)),
                }
            }
        }
        _ => return Err(unknown_encoding(format)),
    }
    Ok(())
}

fn decode(text: &str, format: &str) -> Result<Vec<u8>> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => decode_hex(text),
        "base64" => {
            let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            if let Some(c) = compact.chars().find(|c| !(c.is_ascii_alphanumeric() || "+/=".contains(*c))) {
                return Err(invalid_parameter(format!(
                    "invalid symbol \"{c}\" found while decoding base64 sequence"
                )));
            }
            STANDARD.decode(&compact).map_err(|_| {
                invalid_parameter("invalid base64 end sequence")
                    .with_hint("Input data is missing padding, is truncated, or is otherwise corrupted.")
            })
        }
        "escape" => decode_escape(text.as_bytes()),
        _ => Err(unknown_encoding(format)),
    }
}

fn decode_hex(text: &str) -> Result<Vec<u8>> {
    let digit = |c: char| {
        c.to_digit(16)
            .map(|d| d as u8)
            .ok_or_else(|| invalid_parameter(format!("invalid hexadecimal digit: \"{c}\"")))
    };
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut chars = text.chars().filter(|c| !c.is_ascii_whitespace());
    while let Some(high) = chars.next() {
        let high = digit(high)?;
        let low = chars
            .next()
            .ok_or_else(|| invalid_parameter("invalid hexadecimal data: odd number of digits"))?;
        out.push(high << 4 | digit(low)?);
    }
    Ok(out)
}

fn decode_escape(text: &[u8]) -> Result<Vec<u8>> {
    let bad = || Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea");
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Ok(out),
            [b'\\', b'\\', tail @ ..] => {
                out.push(b'\\');
                tail
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            [b'\\', ..] => return Err(bad()),
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        };
    }
}

fn md5(bytes: &[u8], out: &mut String) {
    hex(&md5::compute(bytes).0, out);
}

functions! {
    TOTAL ASCII: "ascii", "The code point of the first character; 0 for an empty text.", "ascii('x')" => "120", [
        sig!([TEXT] => INT4, |b| map1::<Str, i32>(b, |s| s.chars().next().map_or(0, |c| c as i32))),
    ];
    FUNCTION CHR: "chr", "The character with a code point.", "chr(65)" => "A", [
        sig!([INT4] => TEXT, |b| try_map1::<i32, Str>(b, chr)),
    ];
    TOTAL TO_HEX: "to_hex", "The number in hexadecimal digits.", "to_hex(2147483647)" => "7fffffff", [
        sig!([INT4] => TEXT, |b| map1::<i32, Str>(b, |v| format!("{v:x}"))),
        sig!([INT8] => TEXT, |b| map1::<i64, Str>(b, |v| format!("{v:x}"))),
    ];
    TOTAL MD5: "md5", "MD5 digest in hexadecimal digits.", "md5('abc')" => "900150983cd24fb0d6963f7d28e17f72", [
        sig!([TEXT] => TEXT, |b| write1::<Str>(b, |_, s, out| {
            md5(s.as_bytes(), out);
            Ok(())
        })),
        sig!([BYTEA] => TEXT, |b| write1::<Bytes>(b, |_, s, out| {
            md5(s, out);
            Ok(())
        })),
    ];
    TOTAL SHA224: "sha224", "SHA-224 digest.", "encode(sha224('abc'), 'hex')" => "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7", [
        sig!([BYTEA] => BYTEA, |b| map1::<Bytes, Bytes>(b, |s| sha2::Sha224::digest(s).to_vec())),
    ];
    TOTAL SHA256: "sha256", "SHA-256 digest.", "encode(sha256('abc'), 'hex')" => "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", [
        sig!([BYTEA] => BYTEA, |b| map1::<Bytes, Bytes>(b, |s| sha2::Sha256::digest(s).to_vec())),
    ];
    TOTAL SHA384: "sha384", "SHA-384 digest.", "length(sha384('abc'))" => "48", [
        sig!([BYTEA] => BYTEA, |b| map1::<Bytes, Bytes>(b, |s| sha2::Sha384::digest(s).to_vec())),
    ];
    TOTAL SHA512: "sha512", "SHA-512 digest.", "length(sha512('abc'))" => "64", [
        sig!([BYTEA] => BYTEA, |b| map1::<Bytes, Bytes>(b, |s| sha2::Sha512::digest(s).to_vec())),
    ];
    FUNCTION ENCODE: "encode", "Bytes as text: hex, base64 or escape.", "encode('123\\000\\001', 'base64')" => "MTIzAAE=", [
        sig!([BYTEA, TEXT] => TEXT, |b| write2::<Bytes, Str>(b, |_, s, format, out| encode(s, format, out))),
    ];
    FUNCTION DECODE: "decode", "Text as bytes: hex, base64 or escape.", "decode('MTIzAAE=', 'base64')" => "\\x3132330001", [
        sig!([TEXT, TEXT] => BYTEA, |b| try_map2::<Str, Str, Bytes>(b, decode)),
    ];
}
