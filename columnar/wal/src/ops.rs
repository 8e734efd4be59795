//! The operations of a transaction that wait to be logged.

use std::sync::Arc;

use spg_types::{Error, Result, SqlState};

use crate::frame::MAX_OP_BYTES;

/// Checksums of bodies at least this long are combined instead of computed again.
const COMBINE_BYTES_MIN: usize = 256 << 10;

/// The bulk of an operation, encoded and checksummed ahead of time, usually on another thread.
#[derive(Clone)]
pub struct OpBody {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) crc: u32,
}

impl OpBody {
    /// Computes the checksum of the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        let crc = crc32c::crc32c(&bytes);
        Self { bytes: Arc::new(bytes), crc }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[derive(Clone)]
pub(crate) enum Part {
    Inline(Vec<u8>),
    Body(OpBody),
}

impl Part {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Part::Inline(bytes) => bytes,
            Part::Body(body) => &body.bytes,
        }
    }
}

/// A sequence of operations, small ones copied into one buffer, large bodies by reference.
#[derive(Default, Clone)]
pub struct Ops {
    pub(crate) parts: Vec<Part>,
    /// Where each operation begins: part and offset in it.
    starts: Vec<(usize, usize)>,
    bytes: usize,
}

impl Ops {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations there are.
    pub fn count(&self) -> u64 {
        self.starts.len() as u64
    }

    /// Bytes they take in the log.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Adds an operation. 54000 when it is larger than the log takes.
    pub fn push(&mut self, op: &[u8]) -> Result<()> {
        self.start(op.len())?.extend_from_slice(op);
        self.bytes += op.len() + 4;
        Ok(())
    }

    /// Adds an operation whose bytes are `head` followed by `body`. 54000 when it is larger than the log takes.
    pub fn push_with_body(&mut self, head: &[u8], body: OpBody) -> Result<()> {
        let len = head.len() + body.len();
        self.start(len)?.extend_from_slice(head);
        self.parts.push(Part::Body(body));
        self.bytes += len + 4;
        Ok(())
    }

    /// Writes the length word; the buffer that the operation goes on in.
    fn start(&mut self, len: usize) -> Result<&mut Vec<u8>> {
        if len > MAX_OP_BYTES {
            let message = format!("a single change of {len} bytes is larger than the log takes");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        if !matches!(self.parts.last(), Some(Part::Inline(_))) {
            self.parts.push(Part::Inline(Vec::new()));
        }
        let part = self.parts.len() - 1;
        let Some(Part::Inline(buffer)) = self.parts.last_mut() else {
            return Err(Error::internal("no buffer for a log operation"));
        };
        self.starts.push((part, buffer.len()));
        buffer.extend_from_slice(&(len as u32).to_le_bytes());
        Ok(buffer)
    }

    /// Keeps only the first `count` operations.
    pub fn truncate(&mut self, count: u64) {
        let Some(&(part, offset)) = self.starts.get(count as usize) else { return };
        self.parts.truncate(part + 1);
        if let Some(Part::Inline(buffer)) = self.parts.last_mut() {
            buffer.truncate(offset);
        }
        self.starts.truncate(count as usize);
        self.bytes = self.parts.iter().map(|p| p.bytes().len()).sum();
    }

    /// The CRC-32C of what `crc` covers followed by all bytes.
    pub(crate) fn crc_after(&self, crc: u32) -> u32 {
        self.parts.iter().fold(crc, |crc, part| match part {
            // Combining costs as much as going over some hundred kilobytes.
            Part::Body(body) if body.len() >= COMBINE_BYTES_MIN => {
                crc32c::crc32c_combine(crc, body.crc, body.len())
            }
            part => crc32c::crc32c_append(crc, part.bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(ops: &Ops) -> Vec<u8> {
        ops.parts.iter().flat_map(|p| p.bytes().to_vec()).collect()
    }

    #[test]
    fn truncation_undoes_pushes() {
        let mut ops = Ops::new();
        let mut states = vec![(bytes(&ops), ops.bytes())];
        for i in 0..8_u8 {
            match i % 3 {
                2 => ops.push_with_body(&[i], OpBody::new(vec![i; 100 + 150_000 * usize::from(i)])).unwrap(),
                _ => ops.push(&vec![i; usize::from(i)]).unwrap(),
            }
            states.push((bytes(&ops), ops.bytes()));
            assert_eq!(ops.crc_after(0), crc32c::crc32c(&bytes(&ops)));
        }
        for count in (0..=8).rev() {
            ops.truncate(count);
            assert_eq!((bytes(&ops), ops.bytes()), states[count as usize]);
            assert_eq!(ops.count(), count);
        }
    }
}
