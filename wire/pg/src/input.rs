//! What a connection has received and not yet consumed.
//!
//! The buffer grows with what has arrived, never with what a length word promises. Where a session's synchronous code
//! must wait for the client, the worker thread is given up for the time ([`tokio::task::block_in_place`]).

use std::future::Future;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use spg_types::{Error, Result, SqlState};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::message::{self, HEADER};

const FIRST_BYTES: usize = 8 * 1024;
/// Size of reads while COPY data comes in.
const BULK_BYTES: usize = 64 * 1024;
/// A buffer that grew past this for one message is given back after it.
const KEEP_BYTES: usize = 128 * 1024;
/// How often a wait for the client looks for a reason to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What came of a read.
#[derive(Debug, PartialEq)]
pub(crate) enum Read {
    /// Something has arrived.
    Some,
    /// Nothing there yet.
    Wait,
    /// The client has closed its side.
    End,
}

pub(crate) struct Input {
    stream: Arc<TcpStream>,
    buffer: Vec<u8>,
    /// What has arrived and is not yet consumed: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Bytes left of a CopyData message of which a part was consumed.
    copy_left: usize,
}

impl Input {
    pub(crate) fn new(stream: Arc<TcpStream>) -> Self {
        Self { stream, buffer: Vec::new(), start: 0, end: 0, copy_left: 0 }
    }

    /// What has arrived and is not consumed.
    pub(crate) fn arrived(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEEP_BYTES {
                self.buffer = Vec::new();
            }
        }
    }

    /// Reads what is there, without waiting. The buffer grows by doubling, and only when it is full.
    pub(crate) fn read_some(&mut self) -> io::Result<Read> {
        self.make_room();
        let space = &mut self.buffer[self.end..];
        let stream = &*self.stream;
        let mut got = None;
        // A read that does not fill the space has emptied the socket: reported as "would block", so that the next wait
        // does not try again in vain. Bytes that arrive later make the socket ready anew.
        let result = stream.try_io(Interest::READABLE, || {
            let n = read(stream, space)?;
            got = Some(n);
            if n > 0 && n < space.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (got, result) {
            (Some(0), _) => Ok(Read::End),
            (Some(n), _) => {
                self.end += n;
                Ok(Read::Some)
            }
            (None, Err(e)) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            (None, _) => Ok(Read::Wait),
        }
    }

    /// As [`Input::read_some`], but asks the socket itself, without waiting for the runtime to have noticed that something
    /// has come.
    pub(crate) fn read_now(&mut self) -> io::Result<Read> {
        self.make_room();
        match read(&self.stream, &mut self.buffer[self.end..]) {
            Ok(0) => Ok(Read::End),
            Ok(n) => {
                self.end += n;
                Ok(Read::Some)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(Read::Wait),
            Err(e) => Err(e),
        }
    }

    fn make_room(&mut self) {
        if self.start > 0 && self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize((self.buffer.len() * 2).max(FIRST_BYTES), 0);
        }
    }

    /// Waits until there is something to read, or the other side has closed.
    pub(crate) fn readable(&self) -> impl Future<Output = io::Result<()>> + '_ {
        self.stream.readable()
    }

    /// Reads something from a session's synchronous code, waiting for it; 08006 when the client has gone, `check`'s error
    /// when it has one.
    pub(crate) fn read_blocking(&mut self, check: &dyn Fn() -> Result<()>) -> Result<()> {
        loop {
            match self.read_some() {
                Ok(Read::Some) => return Ok(()),
                Ok(Read::Wait) => {
                    wait(self.stream.readable());
                    check()?;
                }
                Ok(Read::End) | Err(_) => return Err(client_gone()),
            }
        }
    }

    /// The next whole message, if it has arrived: its type and where its body lies in the buffer. After an error nobody
    /// knows where the next message begins.
    pub(crate) fn peek_message(&mut self) -> Result<Option<(u8, Range<usize>)>> {
        if self.copy_left > 0 {
            let skipped = self.copy_left.min(self.end - self.start);
            self.copy_left -= skipped;
            self.consume(skipped);
        }
        let arrived = self.arrived();
        let [tag, a, b, c, d, ..] = *arrived else {
            // A wrong type byte is answered at once, not when its length has come.
            if let [tag, ..] = *arrived {
                message::message_length(tag, [0, 0, 0, 4])?;
            }
            return Ok(None);
        };
        let length = message::message_length(tag, [a, b, c, d])?;
        Ok((arrived.len() >= length).then(|| (tag, self.start + HEADER..self.start + length)))
    }

    /// Whether there is something to do without waiting.
    pub(crate) fn has_message(&mut self) -> bool {
        !matches!(self.peek_message(), Ok(None))
    }

    /// The body of a message just peeked at.
    pub(crate) fn body(&self, at: Range<usize>) -> &[u8] {
        &self.buffer[at]
    }

    /// Consumes a message just peeked at and returns its body. A large one is moved, with the buffer that grew for it.
    pub(crate) fn take_body(&mut self, at: Range<usize>) -> Vec<u8> {
        if at.len() < BULK_BYTES {
            let body = self.buffer[at.clone()].to_vec();
            self.consume(at.end - self.start);
            return body;
        }
        let rest = self.buffer[at.end..self.end].to_vec();
        let mut body = std::mem::replace(&mut self.buffer, rest);
        (self.start, self.end) = (0, self.buffer.len());
        body.truncate(at.end);
        body.drain(..at.start);
        body
    }

    /// Takes what has arrived of COPY data: payloads of consecutive CopyData messages, whole or in part. `None` when
    /// the next message is another one or has not arrived.
    pub(crate) fn take_copy_data(&mut self) -> Result<Option<Vec<u8>>> {
        let mut data = Vec::new();
        while data.len() < BULK_BYTES {
            if self.copy_left > 0 {
                let n = self.copy_left.min(self.end - self.start).min(BULK_BYTES - data.len());
                if n == 0 {
                    break;
                }
                data.extend_from_slice(&self.buffer[self.start..self.start + n]);
                self.copy_left -= n;
                self.consume(n);
            } else {
                let [b'd', a, b, c, d, ..] = *self.arrived() else { break };
                self.copy_left = message::message_length(b'd', [a, b, c, d])? - HEADER;
                self.consume(HEADER);
            }
        }
        Ok((!data.is_empty()).then_some(data))
    }

    /// Makes room for large reads: COPY data is on its way.
    pub(crate) fn expect_bulk(&mut self) {
        if self.buffer.len() < BULK_BYTES {
            self.buffer.resize(BULK_BYTES, 0);
        }
    }
}

/// One read of a socket that does not block.
fn read(stream: &TcpStream, space: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::read(stream, &mut *space) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Waits for the socket, at most [`LOOK_EVERY`], with the worker thread given up.
pub(crate) fn wait(ready: impl Future<Output = io::Result<()>>) {
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(async {
            // Errors of the socket show at the next read or write.
            let _ = tokio::time::timeout(LOOK_EVERY, ready).await;
        });
    });
}

/// 08006: the client's end of the connection is closed.
pub(crate) fn client_gone() -> Error {
    Error::new(SqlState::CONNECTION_FAILURE, "connection to client lost")
}
