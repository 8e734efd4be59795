//! A frame: its header and its ops.

use spg_types::{Error, Result, SqlState};

/// Bytes before the payload.
pub(crate) const HEADER: usize = 5;
/// The longest payload before a log-in.
pub(crate) const UNAUTHENTICATED_PAYLOAD_MAX: usize = 1024;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// "Are you there?"
    Ping = 0x00,
    /// The answer, with the same payload.
    Pong = 0x01,
    /// Something went wrong; the connection closes after it.
    Error = 0xff,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is for.
    pub op: Op,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// An Error frame.
    pub fn error(error: &Error) -> Self {
        Self {
            op: Op::Error,
            payload: [error.state().code().as_bytes(), error.message().as_bytes()].concat(),
        }
    }

    /// As it is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.payload.len());
        out.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        out.push(self.op as u8);
        out.extend_from_slice(&self.payload);
        out
    }
}

/// Payload length and op of a header; 08P01 when it is too long for a connection without a log-in, 0A000 for an op that is
/// not served.
pub(crate) fn request(header: [u8; HEADER]) -> Result<usize> {
    let [a, b, c, d, op] = header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > UNAUTHENTICATED_PAYLOAD_MAX {
        return Err(Error::new(
            SqlState::PROTOCOL_VIOLATION,
            format!(
                "frame of {length} bytes; at most {UNAUTHENTICATED_PAYLOAD_MAX} are accepted before a log-in"
            ),
        ));
    }
    if op != Op::Ping as u8 {
        return Err(Error::unsupported(format!("op 0x{op:02x} of the native protocol is not supported")));
    }
    Ok(length)
}
