//! XX001: what a damaged file is reported as.

use std::path::Path;

use spg_types::{Error, SqlState};

/// XX001 for a file that is not what was written; `what` says where and what was found.
pub(crate) fn damaged(path: &Path, what: &str) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, format!("segment file \"{}\" is damaged: {what}", path.display()))
}

/// XX001 for bytes at `offset` whose checksum differs.
pub(crate) fn mismatch(path: &Path, part: &str, offset: u64, expected: &str, found: &str) -> Error {
    damaged(path, &format!("checksum {expected} expected for the {part} at offset {offset}, {found} found"))
}

/// As [`mismatch`] for BLAKE3 hashes.
pub(crate) fn hash_mismatch(
    path: &Path,
    part: &str,
    offset: u64,
    expected: &[u8; 32],
    found: &blake3::Hash,
) -> Error {
    let expected = blake3::Hash::from_bytes(*expected).to_hex();
    mismatch(path, part, offset, expected.as_str(), found.to_hex().as_str())
}

/// As [`mismatch`] for CRC-32C.
pub(crate) fn crc_mismatch(path: &Path, part: &str, offset: u64, expected: u32, found: u32) -> Error {
    mismatch(path, part, offset, &format!("{expected:#010x}"), &format!("{found:#010x}"))
}
