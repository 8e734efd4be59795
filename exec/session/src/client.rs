//! What a session tells its client while a statement runs: the one trait that the wire and the embedded API implement.

use bytes::Bytes;
use spg_plan::bind::ResultColumn;
use spg_run::ResultBatch;
use spg_types::{Error, FormatSettings, Result, SqlState};

/// How severe a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Severity {
    Notice,
    Warning,
    Info,
}

/// Something worth telling that is not an error.
#[derive(Clone, Debug)]
pub struct Notice {
    /// How severe.
    pub severity: Severity,
    /// Code, message and fields.
    pub body: Error,
}

impl Notice {
    /// A NOTICE.
    #[allow(clippy::self_named_constructors)]
    pub fn notice(message: impl Into<String>) -> Self {
        Self { severity: Severity::Notice, body: Error::new(SqlState::SUCCESSFUL_COMPLETION, message) }
    }

    /// A WARNING with its SQLSTATE.
    pub fn warning(state: SqlState, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, body: Error::new(state, message) }
    }
}

/// Receives what a statement produces and supplies what COPY reads. An error from any method means that the client is
/// gone: the statement ends with it.
pub trait Client: Send {
    /// The shape of the rows to come (simple protocol only).
    fn row_description(&mut self, columns: &[ResultColumn]) -> Result<()>;

    /// Rows. `formats` as in Bind: none means text, one applies to all columns. Returns when there is room for more:
    /// a slow reader slows the query.
    fn rows(
        &mut self,
        columns: &[ResultColumn],
        formats: &[i16],
        settings: &FormatSettings,
        batch: &ResultBatch,
    ) -> Result<()>;

    /// A statement ended: `INSERT 0 3`.
    fn command_complete(&mut self, tag: &str) -> Result<()>;

    /// The string held no statement.
    fn empty_query(&mut self) -> Result<()>;

    /// COPY FROM STDIN starts: the client sends data.
    fn copy_in_begin(&mut self, columns: usize, binary: bool) -> Result<()>;

    /// The next piece of COPY data; `None` at its end. 57014 when the client gives up.
    fn copy_data(&mut self) -> Result<Option<Bytes>>;

    /// COPY TO STDOUT starts.
    fn copy_out_begin(&mut self, columns: usize, binary: bool) -> Result<()>;

    /// COPY data: whole rows, with the offset where each ends.
    fn copy_out(&mut self, data: &[u8], row_ends: &[usize]) -> Result<()>;

    /// COPY TO STDOUT ends.
    fn copy_out_end(&mut self) -> Result<()>;

    /// A notice or warning.
    fn notice(&mut self, notice: &Notice) -> Result<()>;

    /// Whether [`crate::ExecuteEnd::Turn`] is understood: otherwise what is in the way is waited for inside.
    fn awaits_turns(&self) -> bool {
        false
    }

    /// Runs something that may wait (for workers, locks, the disk).
    fn block(&mut self, f: &mut dyn FnMut()) {
        f();
    }
}

/// [`Client::block`] with a result.
pub(crate) fn blocking<T>(client: &mut dyn Client, f: impl FnOnce() -> T) -> Result<T> {
    let mut f = Some(f);
    let mut out = None;
    client.block(&mut || {
        if let Some(f) = f.take() {
            out = Some(f());
        }
    });
    out.ok_or_else(|| Error::internal("a blocking section did not run"))
}
