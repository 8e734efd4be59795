//! Frames: what the log file consists of.

use spg_types::{Error, Result, SqlState};

use crate::ops::Ops;

/// The log format this server writes and reads.
pub const FORMAT_VERSION: u16 = 3;
/// The largest operation, in bytes.
pub const MAX_OP_BYTES: usize = 1 << 29;

/// Set in every length word, so that zeros and older formats are told apart from frames.
pub(crate) const LEN_MARK: u32 = 0xC000_0000;
/// Length word, checksum, kind.
pub(crate) const HEAD_BYTES: usize = 9;
/// What the header frame's payload begins with.
pub(crate) const MAGIC: &[u8; 6] = b"SPGWAL";
/// Length of the header frame.
pub(crate) const HEADER_FRAME_BYTES: usize = HEAD_BYTES + 6 + 2 + 16 + 8;
/// Length of a mark frame.
pub(crate) const MARK_FRAME_BYTES: usize = HEAD_BYTES + 16;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Header = 1,
    Mark = 2,
    Chunk = 3,
    Undo = 4,
    Commit = 5,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Header, Self::Mark, Self::Chunk, Self::Undo, Self::Commit]
            .into_iter()
            .find(|k| *k as u8 == byte)
    }

    /// Bytes of the fixed fields that a payload of this kind begins with.
    pub(crate) fn fixed_bytes(self) -> usize {
        match self {
            Kind::Header => HEADER_FRAME_BYTES - HEAD_BYTES,
            Kind::Mark | Kind::Undo => 16,
            Kind::Chunk => 8,
            Kind::Commit => 32,
        }
    }
}

/// The length word, checksum, kind and fixed fields of a frame that goes on with operations.
pub(crate) fn frame_head(kind: Kind, fixed: &[u8], ops: &Ops) -> Result<Vec<u8>> {
    let len = 1 + fixed.len() + ops.bytes();
    let word = u32::try_from(len).ok().filter(|n| n & LEN_MARK == 0);
    let Some(word) = word else {
        return Err(Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("log record of {len} bytes is too large"),
        ));
    };
    let crc = ops.crc_after(crc32c::crc32c_append(crc32c::crc32c(&[kind as u8]), fixed));
    let mut head = Vec::with_capacity(HEAD_BYTES + fixed.len());
    head.extend_from_slice(&(word | LEN_MARK).to_le_bytes());
    head.extend_from_slice(&crc.to_le_bytes());
    head.push(kind as u8);
    head.extend_from_slice(fixed);
    Ok(head)
}

/// The header frame of a log.
pub(crate) fn header_frame(database_id: [u8; 16], first_commit_no: u64) -> Result<Vec<u8>> {
    let mut fixed = MAGIC.to_vec();
    fixed.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    fixed.extend_from_slice(&database_id);
    fixed.extend_from_slice(&first_commit_no.to_le_bytes());
    frame_head(Kind::Header, &fixed, &Ops::new())
}

/// The mark frame at `offset` that says how far the log is durable.
pub(crate) fn mark_frame(offset: u64, durable: u64) -> Result<Vec<u8>> {
    let fixed = [offset.to_le_bytes(), durable.to_le_bytes()].concat();
    frame_head(Kind::Mark, &fixed, &Ops::new())
}

/// The 8 bytes at `at` of a slice known to be long enough.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut b = [0; 8];
    b.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(b)
}

/// The 4 bytes at `at` of a slice known to be long enough.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut b = [0; 4];
    b.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(b)
}
