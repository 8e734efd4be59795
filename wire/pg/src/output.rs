//! What a connection is to send: gathered in one buffer, sent at Sync, Flush, or past [`FLUSH_BYTES`]; then the session
//! waits until the client has taken it, so that a slow reader slows its query and nothing else.

use std::io;
use std::sync::Arc;

use spg_types::Result;
use tokio::net::TcpStream;

use crate::input::{client_gone, wait};

/// Output past this is sent before more is produced.
pub(crate) const FLUSH_BYTES: usize = 64 * 1024;
/// A buffer that grew past this is given back.
const KEEP_BYTES: usize = 128 * 1024;

pub(crate) struct Output {
    stream: Arc<TcpStream>,
    /// Messages are appended here.
    pub(crate) buffer: Vec<u8>,
    /// The buffer has left up to here.
    sent: usize,
    /// The buffer up to here belongs to finished requests and may leave at any time.
    finished: usize,
    /// Where the last CommandComplete begins.
    last_complete: Option<usize>,
}

impl Output {
    pub(crate) fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream, buffer: Vec::new(), sent: 0, finished: 0, last_complete: None }
    }

    /// Bytes that have not left.
    pub(crate) fn pending(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// A request is answered: its output may leave, and can no longer be taken back.
    pub(crate) fn finish_request(&mut self) {
        self.finished = self.buffer.len();
        self.last_complete = None;
    }

    /// Remembers that a CommandComplete begins here.
    pub(crate) fn mark_complete(&mut self) {
        self.last_complete = Some(self.buffer.len());
    }

    /// Takes back the last CommandComplete, unless it has left: its commit failed.
    pub(crate) fn take_back_complete(&mut self) {
        if let Some(at) = self.last_complete.take().filter(|at| *at >= self.sent) {
            self.buffer.truncate(at);
        }
    }

    /// Writes as much as the socket takes of `buffer[..limit]` without waiting. Says whether that was all.
    fn write_some(&mut self, limit: usize) -> io::Result<bool> {
        while self.sent < limit {
            match self.stream.try_write(&self.buffer[self.sent..limit]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if self.sent == self.buffer.len() {
            self.buffer.clear();
            (self.sent, self.finished, self.last_complete) = (0, 0, None);
            if self.buffer.capacity() > KEEP_BYTES {
                self.buffer = Vec::new();
            }
        }
        Ok(true)
    }

    /// Sends the output of finished requests as far as that is possible at once: before something that may wait.
    pub(crate) fn send_finished(&mut self) {
        if self.sent < self.finished {
            // An error shows again at the next flush.
            let _ = self.write_some(self.finished);
        }
    }

    /// Sends everything, waiting for the client.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.write_some(self.buffer.len())? {
            self.stream.writable().await?;
        }
        Ok(())
    }

    /// As [`Output::flush`] from a session's synchronous code; 08006 when the client has gone, `check`'s error when it has
    /// one.
    pub(crate) fn flush_blocking(&mut self, check: &dyn Fn() -> Result<()>) -> Result<()> {
        loop {
            match self.write_some(self.buffer.len()) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    wait(self.stream.writable());
                    check()?;
                }
                Err(_) => return Err(client_gone()),
            }
        }
    }
}
