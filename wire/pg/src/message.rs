//! What a client sends after start-up: message limits and a decoder that borrows from the read buffer.
//!
//! pgwire's own decoder trusts the lengths inside a message and panics on a short one, and it copies every string;
//! this one checks each read against the message's end, copies nothing, and allocates at most what the message itself
//! occupies. Source: PostgreSQL 15, chapter 55.7.

use spg_types::{Error, Result, SqlState};

/// The largest message: PostgreSQL's limit for the messages that carry user data.
const LARGE: usize = 0x3fff_ffff;
/// The largest message of the kinds that carry only names.
const SMALL: usize = 10_000;

/// Bytes of a message's header: type and length word.
pub(crate) const HEADER: usize = 5;

/// Whether a named thing is a prepared statement or a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Statement,
    Portal,
}

/// A message from a client whose session is running. COPY data is not among them: see [`crate::socket::Socket`].
#[derive(Debug)]
pub(crate) enum Frontend<'a> {
    Query(&'a str),
    Parse {
        name: &'a str,
        sql: &'a str,
        types: Vec<u32>,
    },
    Bind(Bind<'a>),
    Describe(Target, &'a str),
    Execute {
        portal: &'a str,
        max_rows: u64,
    },
    Close(Target, &'a str),
    Flush,
    Sync,
    Terminate,
    FunctionCall,
    /// CopyData, CopyDone or CopyFail outside COPY: left over from a COPY that failed, to be ignored.
    StaleCopy,
}

/// A Bind message; values stay where they are until the session takes them.
#[derive(Debug)]
pub(crate) struct Bind<'a> {
    pub(crate) portal: &'a str,
    pub(crate) statement: &'a str,
    pub(crate) param_formats: Vec<i16>,
    /// Per parameter its bytes' range in [`Bind::body`]; `None` for NULL.
    pub(crate) params: Vec<Option<(usize, usize)>>,
    pub(crate) result_formats: Vec<i16>,
    /// The whole message.
    pub(crate) body: &'a [u8],
}

/// Checks a header and returns the whole message's length in bytes, header included. Both errors end the connection:
/// where a message ends is no longer known.
pub(crate) fn message_length(tag: u8, length: [u8; 4]) -> Result<usize> {
    let limit = match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' => LARGE,
        b'p' => crate::startup::UNAUTHENTICATED_BYTES_MAX,
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => SMALL,
        _ => {
            return Err(Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!("invalid frontend message type {tag}"),
            ));
        }
    };
    let length = u32::from_be_bytes(length) as usize;
    if length < 4 || length > limit {
        return Err(Error::new(SqlState::PROTOCOL_VIOLATION, "invalid message length"));
    }
    Ok(length + 1)
}

/// Decodes a whole message; 08P01 when its inside is malformed, 22021 when a text is not UTF-8.
pub(crate) fn decode(tag: u8, body: &[u8]) -> Result<Frontend<'_>> {
    let mut r = Fields::new(body);
    let message = match tag {
        b'Q' => Frontend::Query(r.text()?),
        b'P' => {
            let (name, sql) = (r.text()?, r.text()?);
            let count = r.u16()?.into();
            let types = r.list(count, 4)?.chunks_exact(4).map(be_u32).collect();
            Frontend::Parse { name, sql, types }
        }
        b'B' => Frontend::Bind(bind(body, &mut r)?),
        b'D' => Frontend::Describe(r.target("DESCRIBE")?, r.text()?),
        b'E' => {
            let portal = r.text()?;
            // Zero and negative counts mean "all rows".
            let max_rows = u64::try_from(r.u32()? as i32).unwrap_or(0);
            Frontend::Execute { portal, max_rows }
        }
        b'C' => Frontend::Close(r.target("CLOSE")?, r.text()?),
        b'H' => Frontend::Flush,
        b'S' => Frontend::Sync,
        b'X' => Frontend::Terminate,
        // Its body is never looked at, and it is refused.
        b'F' => return Ok(Frontend::FunctionCall),
        b'd' | b'c' | b'f' => return Ok(Frontend::StaleCopy),
        _ => {
            return Err(Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!("invalid frontend message type {tag}"),
            ));
        }
    };
    r.end()?;
    Ok(message)
}

fn bind<'a>(body: &'a [u8], r: &mut Fields<'a>) -> Result<Bind<'a>> {
    let (portal, statement) = (r.text()?, r.text()?);
    let param_formats = r.formats()?;
    let count = usize::from(r.u16()?);
    // Each parameter has at least its length word: checked before the vector is made.
    r.has(count * 4)?;
    let mut params = Vec::with_capacity(count);
    for _ in 0..count {
        match r.u32()? as i32 {
            -1 => params.push(None),
            length => {
                let start = r.at;
                let length = usize::try_from(length).map_err(|_| malformed())?;
                r.bytes(length)?;
                params.push(Some((start, r.at)));
            }
        }
    }
    let result_formats = r.formats()?;
    Ok(Bind { portal, statement, param_formats, params, result_formats, body })
}

fn malformed() -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "invalid message format")
}

fn be_u32(b: &[u8]) -> u32 {
    b.iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

/// Text of the wire: UTF-8 without NUL; 22021 names the first bytes that are not.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|e| {
        let bad = &bytes[e.valid_up_to()..];
        let shown = bad.len().min(e.error_len().unwrap_or(bad.len())).max(1);
        let hex: Vec<String> = bad.iter().take(shown).map(|b| format!("0x{b:02x}")).collect();
        Error::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", hex.join(" ")),
        )
    })
}

/// Reads a message's fields in order; every read is checked against the end.
pub(crate) struct Fields<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0 }
    }

    fn has(&self, count: usize) -> Result<()> {
        if self.body.len() - self.at < count { Err(malformed()) } else { Ok(()) }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        self.has(count)?;
        let bytes = &self.body[self.at..self.at + count];
        self.at += count;
        Ok(bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(be_u32(self.bytes(2)?) as u16)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(be_u32(self.bytes(4)?))
    }

    /// A zero-terminated text.
    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let rest = &self.body[self.at..];
        let end = memchr::memchr(0, rest)
            .ok_or_else(|| Error::new(SqlState::PROTOCOL_VIOLATION, "invalid string in message"))?;
        self.at += end + 1;
        utf8(&rest[..end])
    }

    /// `count` fields of `width` bytes.
    fn list(&mut self, count: usize, width: usize) -> Result<&'a [u8]> {
        self.bytes(count * width)
    }

    fn formats(&mut self) -> Result<Vec<i16>> {
        let count = self.u16()?.into();
        let codes: Vec<i16> = self.list(count, 2)?.chunks_exact(2).map(|b| be_u32(b) as i16).collect();
        match codes.iter().find(|c| !(0..=1).contains(*c)) {
            Some(code) => {
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unsupported format code: {code}")))
            }
            None => Ok(codes),
        }
    }

    fn target(&mut self, message: &str) -> Result<Target> {
        match self.bytes(1)? {
            b"S" => Ok(Target::Statement),
            b"P" => Ok(Target::Portal),
            other => Err(Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!("invalid {message} message subtype {}", other.first().copied().unwrap_or(0)),
            )),
        }
    }

    pub(crate) fn end(&self) -> Result<()> {
        if self.at == self.body.len() { Ok(()) } else { Err(malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_checked_per_kind() {
        assert_eq!(message_length(b'Q', [0, 0, 0, 4]).unwrap(), 5);
        assert!(message_length(b'Q', [0, 0, 0, 3]).is_err());
        assert!(message_length(b'Q', [0x7f, 0xff, 0xff, 0xff]).is_err());
        assert!(message_length(b'S', [0, 1, 0, 0]).is_err());
        let unknown = message_length(b'!', [0, 0, 0, 4]).unwrap_err();
        assert_eq!(unknown.message(), "invalid frontend message type 33");
    }

    #[test]
    fn bind_keeps_values_in_place() {
        let mut body = b"p\0s\0".to_vec();
        body.extend([0, 1, 0, 1]); // one parameter format: binary
        body.extend([0, 2]); // two parameters
        body.extend([0, 0, 0, 3, b'a', b'b', b'c']);
        body.extend([0xff; 4]);
        body.extend([0, 0]);
        let Frontend::Bind(bind) = decode(b'B', &body).unwrap() else { panic!("not a Bind") };
        assert_eq!((bind.portal, bind.statement), ("p", "s"));
        assert_eq!(bind.param_formats, [1]);
        let (from, to) = bind.params[0].unwrap();
        assert_eq!(&body[from..to], b"abc");
        assert!(bind.params[1].is_none());
        for cut in 0..body.len() {
            assert!(decode(b'B', &body[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn counts_beyond_the_message_are_refused() {
        let e = decode(b'P', b"\0select 1\0\xff\xff").unwrap_err();
        assert_eq!((e.state(), e.message()), (SqlState::PROTOCOL_VIOLATION, "invalid message format"));
        assert!(decode(b'B', b"\0\0\0\0\xff\xff\0\0").is_err());
    }

    #[test]
    fn text_must_be_utf8() {
        let e = decode(b'Q', b"select '\xc3\x28'\0").unwrap_err();
        assert_eq!(e.state(), SqlState::CHARACTER_NOT_IN_REPERTOIRE);
        assert_eq!(e.message(), "invalid byte sequence for encoding \"UTF8\": 0xc3");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(tag: u8, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(tag, &body);
        }

        #[test]
        fn any_header_is_bounded(tag: u8, length: [u8; 4]) {
            if let Ok(n) = message_length(tag, length) {
                prop_assert!((5..=LARGE + 1).contains(&n));
            }
        }
    }
}
