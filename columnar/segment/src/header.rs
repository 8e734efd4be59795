//! The envelope header: 124 bytes at offset 4, written last, that everything else is checked from.

use std::path::Path;

use spg_types::{Error, Result, SqlState, TableId};

use crate::codec::{Nonsense, Reader, Writer};
use crate::damage::{crc_mismatch, damaged};

/// Where the header begins: after Parquet's own magic.
pub(crate) const HEADER_AT: u64 = 4;
/// Where the column chunks begin.
pub(crate) const DATA_AT: u64 = 128;
/// Bytes of the header.
pub(crate) const HEADER_LEN: usize = (DATA_AT - HEADER_AT) as usize;

const MAGIC: &[u8; 6] = b"SPGSEG";
const VERSION: u16 = 2;

/// Identifies a segment among all of a database; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId(pub u64);

/// What the header of a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The table whose rows these are.
    pub table: TableId,
    /// The segment.
    pub segment: SegmentId,
    /// The smallest row id.
    pub first_row_id: u64,
    /// The largest row id.
    pub last_row_id: u64,
    /// Rows, deleted ones included.
    pub rows: u64,
    /// Row groups.
    pub groups: u32,
    /// Columns.
    pub columns: u32,
    /// The first half of the BLAKE3 of the columns' names and types.
    pub fingerprint: [u8; 16],
    /// Bytes of the file.
    pub file_len: u64,
    /// Where the trailer begins.
    pub trailer_at: u64,
    /// Bytes of the trailer.
    pub trailer_len: u32,
    /// BLAKE3 of all bytes from the trailer on.
    pub tail_hash: [u8; 32],
}

impl SegmentInfo {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut w = Writer(Vec::with_capacity(HEADER_LEN));
        w.raw(MAGIC);
        w.raw(&VERSION.to_le_bytes());
        w.u32(self.table.0);
        w.u64(self.segment.0);
        w.u64(self.first_row_id);
        w.u64(self.last_row_id);
        w.u64(self.rows);
        w.u32(self.groups);
        w.u32(self.columns);
        w.raw(&self.fingerprint);
        w.u64(self.file_len);
        w.u64(self.trailer_at);
        w.u32(self.trailer_len);
        w.raw(&self.tail_hash);
        let crc = crc32c::crc32c(&w.0);
        w.u32(crc);
        w.0
    }

    /// The BLAKE3 of the header, which, through the hashes that it and the trailer hold, stands for every byte of the segment.
    pub fn root(&self) -> [u8; 32] {
        *blake3::hash(&self.encode()).as_bytes()
    }

    /// Reads the header from the first bytes of a file. 58000 when it is no segment or one of another version, XX001 when
    /// it is damaged.
    pub(crate) fn decode(path: &Path, start: &[u8]) -> Result<Self> {
        let refused = |found: String| {
            Err(Error::new(SqlState::SYSTEM_ERROR, format!("file \"{}\" {found}", path.display())))
        };
        let Some((parquet, header)) = start.split_at_checked(HEADER_AT as usize) else {
            return Err(damaged(path, "it ends before its header"));
        };
        if parquet != b"PAR1" || !header.starts_with(MAGIC) {
            let found = start[..start.len().min(16)].escape_ascii();
            return refused(format!("is not a segment: it begins with \"{found}\""));
        }
        let Some(header) = header.get(..HEADER_LEN) else {
            return Err(damaged(path, "it ends before its header"));
        };
        let (content, _) = header.split_at(HEADER_LEN - 4);
        let found = crc32c::crc32c(content);
        let read = || -> Result<(u16, Self, u32), Nonsense> {
            let mut r = Reader(&header[MAGIC.len()..]);
            let version = u16::from_le_bytes(r.array()?);
            let info = Self {
                table: TableId(r.u32()?),
                segment: SegmentId(r.u64()?),
                first_row_id: r.u64()?,
                last_row_id: r.u64()?,
                rows: r.u64()?,
                groups: r.u32()?,
                columns: r.u32()?,
                fingerprint: r.array()?,
                file_len: r.u64()?,
                trailer_at: r.u64()?,
                trailer_len: r.u32()?,
                tail_hash: r.array()?,
            };
            Ok((version, info, r.u32()?))
        };
        let (version, info, expected) = read().map_err(|what| damaged(path, what))?;
        if expected != found {
            return Err(crc_mismatch(path, "header", HEADER_AT, expected, found));
        }
        if version != VERSION {
            return refused(format!(
                "is a segment of version {version}; this server reads version {VERSION}"
            ));
        }
        Ok(info)
    }
}
