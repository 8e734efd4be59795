//! The session's [`Client`] over a socket: what a statement produces becomes messages, what COPY reads comes from them.

use bytes::Bytes;
use spg_session::{Client, Notice, ResultBatch, ResultColumn};
use spg_types::{Error, FormatSettings, Result, SqlState};

use crate::engine::Interrupt;
use crate::input::Input;
use crate::message::{self, Fields};
use crate::output::{FLUSH_BYTES, Output};
use crate::registry::Backend;
use crate::response;
use crate::rows::RowEncoder;

/// A client while one statement runs for it.
pub(crate) struct PgClient<'a, I> {
    pub(crate) input: &'a mut Input,
    pub(crate) output: &'a mut Output,
    pub(crate) backend: &'a Backend<I>,
}

impl<I: Interrupt> PgClient<'_, I> {
    /// Sends what has gathered once it is enough; waits for a slow reader.
    fn flush_if_full(&mut self) -> Result<()> {
        if self.output.pending() < FLUSH_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<()> {
        let backend = self.backend;
        self.output.flush_blocking(&|| backend.interrupt.check()).inspect_err(|e| note_gone(backend, e))
    }
}

/// After an error that says so, nothing more is tried with this client.
fn note_gone<I: Interrupt>(backend: &Backend<I>, error: &Error) {
    if error.state() == SqlState::CONNECTION_FAILURE {
        backend.set_gone();
    }
}

impl<I: Interrupt> Client for PgClient<'_, I> {
    fn awaits_turns(&self) -> bool {
        true
    }

    fn row_description(&mut self, columns: &[ResultColumn]) -> Result<()> {
        response::row_description(&mut self.output.buffer, columns, &[]);
        Ok(())
    }

    fn rows(
        &mut self,
        columns: &[ResultColumn],
        formats: &[i16],
        settings: &FormatSettings,
        batch: &ResultBatch,
    ) -> Result<()> {
        let types = columns.iter().map(|c| c.ty);
        let encoder = RowEncoder::new(&batch.columns, types, formats, batch.rows, settings);
        for row in 0..batch.rows {
            encoder.encode(row, &mut self.output.buffer)?;
            self.flush_if_full()?;
        }
        Ok(())
    }

    fn command_complete(&mut self, tag: &str) -> Result<()> {
        self.output.mark_complete();
        response::command_complete(&mut self.output.buffer, tag);
        Ok(())
    }

    fn empty_query(&mut self) -> Result<()> {
        response::empty_query(&mut self.output.buffer);
        Ok(())
    }

    fn copy_in_begin(&mut self, columns: usize, binary: bool) -> Result<()> {
        response::copy_in(&mut self.output.buffer, columns, binary);
        self.input.expect_bulk();
        self.flush()
    }

    fn copy_data(&mut self) -> Result<Option<Bytes>> {
        let (input, backend) = (&mut *self.input, self.backend);
        loop {
            if let Some(data) = input.take_copy_data()? {
                return Ok(Some(data.into()));
            }
            let Some((tag, body)) = input.peek_message()? else {
                input.read_blocking(&|| backend.interrupt.check()).inspect_err(|e| note_gone(backend, e))?;
                continue;
            };
            let length = message::HEADER + body.len();
            let end = match tag {
                b'c' => Some(Ok(None)),
                b'f' => {
                    let mut fields = Fields::new(input.body(body));
                    let reason = fields.text().unwrap_or_default();
                    Some(Err(Error::new(
                        SqlState::QUERY_CANCELED,
                        format!("COPY from stdin failed: {reason}"),
                    )))
                }
                // An empty CopyData; and drivers may send Flush or Sync ahead of their data.
                b'd' | b'H' | b'S' => None,
                // Left in the buffer: the connection goes on with it after the error.
                _ => {
                    return Err(Error::new(
                        SqlState::PROTOCOL_VIOLATION,
                        format!("unexpected message type 0x{tag:02X} during COPY from stdin"),
                    ));
                }
            };
            input.consume(length);
            if let Some(end) = end {
                return end;
            }
        }
    }

    fn copy_out_begin(&mut self, columns: usize, binary: bool) -> Result<()> {
        response::copy_out(&mut self.output.buffer, columns, binary);
        Ok(())
    }

    /// One message per row: clients may rely on that.
    fn copy_out(&mut self, data: &[u8], row_ends: &[usize]) -> Result<()> {
        let mut start = 0;
        for end in row_ends {
            response::copy_data(&mut self.output.buffer, data.get(start..*end).unwrap_or_default());
            self.flush_if_full()?;
            start = *end;
        }
        Ok(())
    }

    fn copy_out_end(&mut self) -> Result<()> {
        response::copy_done(&mut self.output.buffer);
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) -> Result<()> {
        response::notice(&mut self.output.buffer, notice);
        Ok(())
    }

    fn block(&mut self, f: &mut dyn FnMut()) {
        self.output.send_finished();
        tokio::task::block_in_place(f);
    }
}
