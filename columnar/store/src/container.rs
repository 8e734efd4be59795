//! Files of checksummed sections: `spg.db` and the manifest.
//!
//! ```text
//! file    = magic [8], u32 version, u32 number of sections, section*
//! section = u32 kind, u64 length, u32 CRC-32C of the bytes, bytes
//! ```

use std::path::Path;

use spg_types::{Error, Result, SqlState};
use spg_vfs::File;

use crate::codec::{Reader, Writer};

/// Magic, version, number of sections.
const HEAD_BYTES: u64 = 16;
/// Kind, length, checksum.
const SECTION_HEAD_BYTES: u64 = 16;
/// How much is read at once.
const READ_BYTES: usize = 1 << 20;

/// A kind of file.
pub(crate) struct Format {
    pub(crate) magic: &'static [u8; 8],
    pub(crate) version: u32,
    /// "an SPG database".
    pub(crate) is: &'static str,
    /// "database file".
    pub(crate) name: &'static str,
    /// "catalog version".
    pub(crate) versioned: &'static str,
}

/// A section, where it lies in its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    pub(crate) kind: u32,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) crc: u32,
}

/// 58000: a file that this server does not read.
fn refused(path: &Path, found: &str) -> Error {
    Error::new(SqlState::SYSTEM_ERROR, format!("file \"{}\" {found}", path.display()))
}

/// XX001: a file is not as it was written.
pub(crate) fn damaged(name: &str, path: &Path, offset: u64, what: &str) -> Error {
    let what = what.strip_prefix("invalid log record: ").unwrap_or(what);
    let message = format!("{name} \"{}\" is damaged at offset {offset}: {what}", path.display());
    Error::new(SqlState::DATA_CORRUPTED, message)
        .with_hint("Nothing was changed. Restore the file from a backup, or ask for help before you edit it.")
}

/// The message of a checksum that does not fit.
pub(crate) fn mismatch(expected: u32, found: u32) -> String {
    format!("checksum {expected:#010x} expected, {found:#010x} found")
}

impl Format {
    /// The beginning of a file, up to its first section.
    pub(crate) fn head(&self, sections: usize) -> Vec<u8> {
        let mut w = Writer::default();
        w.0.extend_from_slice(self.magic);
        w.u32(self.version);
        w.u32(sections as u32);
        w.0
    }

    /// What stands before a section's bytes.
    pub(crate) fn section_head(kind: u32, len: u64, crc: u32) -> Vec<u8> {
        let mut w = Writer::default();
        w.u32(kind);
        w.u64(len);
        w.u32(crc);
        w.0
    }

    /// A whole file.
    pub(crate) fn encode(&self, sections: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut file = self.head(sections.len());
        for (kind, bytes) in sections {
            file.extend(Self::section_head(*kind, bytes.len() as u64, crc32c::crc32c(bytes)));
            file.extend_from_slice(bytes);
        }
        file
    }

    /// XX001: a file that another names is not there.
    pub(crate) fn missing(&self, path: &Path) -> Error {
        Error::new(SqlState::DATA_CORRUPTED, format!("{} \"{}\" does not exist", self.name, path.display()))
            .with_hint("It belongs together with its database file: bring it back, or restore a backup.")
    }

    pub(crate) fn damaged(&self, file: &dyn File, offset: u64, what: &str) -> Error {
        damaged(self.name, file.path(), offset, what)
    }

    /// Where the sections lie. 58000 when the file is something else or of another version, XX001 when it is damaged.
    pub(crate) fn sections(&self, file: &dyn File) -> Result<Vec<Section>> {
        let path = file.path();
        let len = file.len()?;
        let mut head = [0; HEAD_BYTES as usize];
        let n = file.read_at(&mut head, 0)?;
        if !head[..n].starts_with(self.magic) {
            let start = head[..n].escape_ascii();
            return Err(refused(path, &format!("is not {}: it begins with \"{start}\"", self.is)));
        }
        if n < head.len() {
            return Err(self.damaged(file, n as u64, "it ends early"));
        }
        let mut r = Reader(&head[8..]);
        let (version, count) = (r.u32()?, r.u32()?);
        if version != self.version {
            let found =
                format!("has {} {version}; this server reads version {}", self.versioned, self.version);
            return Err(refused(path, &found).with_hint("Use the server version that wrote it."));
        }
        let mut sections = Vec::new();
        let mut at = HEAD_BYTES;
        for _ in 0..count {
            let mut head = [0; SECTION_HEAD_BYTES as usize];
            if file.read_at(&mut head, at)? < head.len() {
                return Err(self.damaged(file, at, "it ends early"));
            }
            let mut r = Reader(&head);
            let section =
                Section { kind: r.u32()?, len: r.u64()?, crc: r.u32()?, offset: at + SECTION_HEAD_BYTES };
            if section.len > len - section.offset {
                return Err(self.damaged(file, at, "a section exceeds it"));
            }
            at = section.offset + section.len;
            sections.push(section);
        }
        if at != len {
            return Err(self.damaged(file, at, "there is something after its last section"));
        }
        Ok(sections)
    }

    /// Calls `f` with the bytes of a section, piece by piece; XX001 at the end when they are not what was written.
    pub(crate) fn stream(
        &self,
        file: &dyn File,
        section: &Section,
        mut f: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut buffer = vec![0; READ_BYTES.min(section.len as usize)];
        let (mut done, mut crc) = (0, 0);
        while done < section.len {
            let want = buffer.len().min((section.len - done) as usize);
            let n = file.read_at(&mut buffer[..want], section.offset + done)?;
            if n < want {
                return Err(self.damaged(file, section.offset + done, "it has become shorter"));
            }
            crc = crc32c::crc32c_append(crc, &buffer[..n]);
            f(&buffer[..n])?;
            done += n as u64;
        }
        if crc == section.crc {
            return Ok(());
        }
        let what = format!("{} in section {}", mismatch(section.crc, crc), section.kind);
        Err(self.damaged(file, section.offset, &what))
    }

    /// The bytes of a section, verified.
    pub(crate) fn read(&self, file: &dyn File, section: &Section) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(section.len as usize);
        self.stream(file, section, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Decodes a section that has been verified, to its last byte.
    pub(crate) fn decode<T>(
        &self,
        file: &dyn File,
        section: &Section,
        bytes: &[u8],
        read: impl FnOnce(&mut Reader<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut r = Reader(bytes);
        let value = read(&mut r).map_err(|e| self.damaged(file, section.offset, e.message()))?;
        if r.0.is_empty() {
            return Ok(value);
        }
        let what = format!("section {} has {} bytes too many", section.kind, r.0.len());
        Err(self.damaged(file, section.offset, &what))
    }
}
