//! The database file: which database this is.
//!
//! ```text
//! file    = "SPGDB001" u32 LE catalog version, u32 LE number of sections, section*
//! section = u32 LE kind, u64 LE length, u32 LE CRC-32C of the bytes, bytes
//! ```

use std::path::Path;

use spg_types::{Error, Result, SqlState};
use spg_vfs::{Vfs, read_file, replace_file};

use crate::codec::{Reader, Writer};

const MAGIC: &[u8; 8] = b"SPGDB001";
/// The catalog version that this server writes and reads.
const CATALOG_VERSION: u32 = 13;
/// The section that says which database this is.
const IDENTITY: u32 = 1;

/// Which database a set of files belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) database_id: [u8; 16],
    pub(crate) created_us: i64,
}

fn refused(path: &Path, found: &str) -> Error {
    Error::new(SqlState::SYSTEM_ERROR, format!("file \"{}\" {found}", path.display()))
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, format!("database file \"{}\" is damaged: {what}", path.display()))
}

impl Identity {
    /// Reads the file; `None` when there is none. 58000 when it is something else or of another version, XX001 when damaged.
    pub(crate) fn read(vfs: &dyn Vfs, path: &Path) -> Result<Option<Self>> {
        let Some(bytes) = read_file(vfs, path)? else { return Ok(None) };
        if !bytes.starts_with(MAGIC) {
            let start = bytes[..bytes.len().min(16)].escape_ascii();
            return Err(refused(path, &format!("is not an SPG database: it begins with \"{start}\"")));
        }
        let mut r = Reader(&bytes[MAGIC.len()..]);
        let mut identity = None;
        let mut read = || -> Result<()> {
            let version = r.u32()?;
            if version != CATALOG_VERSION {
                let found =
                    format!("has catalog version {version}; this server reads version {CATALOG_VERSION}");
                return Err(refused(path, &found).with_hint("Use the server version that wrote it."));
            }
            for _ in 0..r.u32()? {
                let (kind, len, expected) = (r.u32()?, r.u64()?, r.u32()?);
                let section = r.bytes(usize::try_from(len).unwrap_or(usize::MAX))?;
                let found = crc32c::crc32c(section);
                if found != expected {
                    let what =
                        format!("checksum {expected:#010x} expected in section {kind}, {found:#010x} found");
                    return Err(damaged(path, &what));
                }
                if kind == IDENTITY {
                    let mut r = Reader(section);
                    let mut database_id = [0; 16];
                    database_id.copy_from_slice(r.bytes(16)?);
                    identity = Some(Self { database_id, created_us: r.u64()? as i64 });
                }
            }
            Ok(())
        };
        read().map_err(|e| match e.message().starts_with("invalid log record") {
            true => damaged(path, "it ends early"),
            false => e,
        })?;
        identity.map(Some).ok_or_else(|| damaged(path, "it does not say which database it is"))
    }

    pub(crate) fn write(&self, vfs: &dyn Vfs, path: &Path) -> Result<()> {
        let mut section = Writer::default();
        section.0.extend_from_slice(&self.database_id);
        section.u64(self.created_us as u64);
        let mut file = Writer::default();
        file.0.extend_from_slice(MAGIC);
        file.u32(CATALOG_VERSION);
        file.u32(1);
        file.u32(IDENTITY);
        file.u64(section.0.len() as u64);
        file.u32(crc32c::crc32c(&section.0));
        file.0.extend_from_slice(&section.0);
        replace_file(vfs, path, &file.0)
    }
}
