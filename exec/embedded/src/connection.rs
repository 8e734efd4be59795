//! A session whose results are gathered in memory: the plain way to use SPG in a program.

use bytes::Bytes;
use spg_session::{CellWriter, Client, ExecuteEnd, Notice, ResultBatch, ResultColumn, Session};
use spg_types::{Error, FormatSettings, Result};

/// A session with its results gathered.
pub struct Connection {
    session: Session,
}

/// What one statement returned.
#[derive(Clone, Debug, Default)]
pub struct QueryResult {
    /// Columns; empty for a statement without rows.
    pub columns: Vec<ResultColumn>,
    /// Rows, in batches.
    pub batches: Vec<ResultBatch>,
    /// The session's settings while it ran, on which the text of its rows depends.
    pub settings: FormatSettings,
    /// The command tag, `SELECT 3`.
    pub tag: String,
    /// What COPY TO STDOUT wrote.
    pub copied: Vec<u8>,
    /// Notices and warnings.
    pub notices: Vec<Notice>,
}

impl QueryResult {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(|b| b.rows).sum()
    }

    /// Rows as text, as the wire would send them.
    pub fn text_rows(&self) -> Result<Vec<Vec<Option<String>>>> {
        self.text_rows_with(&self.settings)
    }

    /// Rows as text under other settings.
    pub fn text_rows_with(&self, settings: &FormatSettings) -> Result<Vec<Vec<Option<String>>>> {
        let mut out = Vec::with_capacity(self.rows());
        for batch in &self.batches {
            let cells = batch
                .columns
                .iter()
                .zip(&self.columns)
                .map(|(c, described)| CellWriter::text(c, described.ty, settings))
                .collect::<Result<Vec<_>>>()?;
            for row in 0..batch.rows {
                let cell = |c: &CellWriter<'_>| {
                    if c.is_null(row) {
                        return Ok(None);
                    }
                    let mut text = vec![];
                    c.write(row, &mut text);
                    String::from_utf8(text).map(Some).map_err(|e| Error::internal(e.to_string()))
                };
                out.push(cells.iter().map(cell).collect::<Result<Vec<_>>>()?);
            }
        }
        Ok(out)
    }
}

impl Connection {
    /// Over a session.
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// The session itself.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Runs statements and returns the last one's result, once everything is durable.
    pub fn query(&mut self, sql: &str) -> Result<QueryResult> {
        let results = self.run(sql, None)?;
        Ok(results.into_iter().next_back().unwrap_or_default())
    }

    /// Runs statements and returns the last one's command tag.
    pub fn execute(&mut self, sql: &str) -> Result<String> {
        Ok(self.query(sql)?.tag)
    }

    /// Runs COPY ... FROM STDIN with `data`.
    pub fn copy_in(&mut self, sql: &str, data: impl Into<Bytes>) -> Result<String> {
        let results = self.run(sql, Some(data.into()))?;
        Ok(results.into_iter().next_back().unwrap_or_default().tag)
    }

    /// Prepares a statement under a name. 42P05 when there is one of that name.
    pub fn prepare(&mut self, name: &str, sql: &str) -> Result<()> {
        self.session.parse(name, sql, &[])
    }

    /// Runs a prepared statement with parameters as text, once everything is durable. 26000 when there is none of that name.
    pub fn query_prepared(&mut self, name: &str, params: &[Option<&str>]) -> Result<QueryResult> {
        let mut gather = Gather { done: vec![], current: QueryResult::default(), copy: None };
        let params = params.iter().map(|p| p.map(|text| Bytes::copy_from_slice(text.as_bytes()))).collect();
        let run = |session: &mut Session, gather: &mut Gather| -> Result<()> {
            session.bind("", name, &[], params, &[])?;
            if let ExecuteEnd::Complete(tag) = session.execute("", 0, gather)? {
                gather.command_complete(&tag)?;
            }
            Ok(())
        };
        let ran = run(&mut self.session, &mut gather);
        let pending = self.session.sync()?;
        ran?;
        if let Some(p) = pending {
            p.wait()?;
        }
        Ok(gather.done.pop().unwrap_or_default())
    }

    /// Runs statements and returns the result of each.
    pub fn run(&mut self, sql: &str, copy: Option<Bytes>) -> Result<Vec<QueryResult>> {
        let mut gather = Gather { done: vec![], current: QueryResult::default(), copy };
        let pending = self.session.simple_query(sql, &mut gather)?;
        if let Some(p) = pending {
            p.wait()?;
        }
        Ok(gather.done)
    }
}

/// A client that keeps everything.
struct Gather {
    done: Vec<QueryResult>,
    current: QueryResult,
    copy: Option<Bytes>,
}

/// COPY data is handed over in pieces of this many bytes, as a socket would.
const PIECE_BYTES: usize = 64 * 1024;

impl Client for Gather {
    fn row_description(&mut self, columns: &[ResultColumn]) -> Result<()> {
        self.current.columns = columns.to_vec();
        Ok(())
    }

    fn rows(
        &mut self,
        _: &[ResultColumn],
        _: &[i16],
        settings: &FormatSettings,
        batch: &ResultBatch,
    ) -> Result<()> {
        self.current.settings = settings.clone();
        self.current.batches.push(batch.clone());
        Ok(())
    }

    fn command_complete(&mut self, tag: &str) -> Result<()> {
        self.current.tag = tag.to_owned();
        self.done.push(std::mem::take(&mut self.current));
        Ok(())
    }

    fn empty_query(&mut self) -> Result<()> {
        Ok(())
    }

    fn copy_in_begin(&mut self, _: usize, _: bool) -> Result<()> {
        match self.copy {
            Some(_) => Ok(()),
            None => Err(Error::new(
                spg_types::SqlState::QUERY_CANCELED,
                "COPY from stdin failed: no data was given with the statement",
            )),
        }
    }

    fn copy_data(&mut self) -> Result<Option<Bytes>> {
        let Some(data) = &mut self.copy else { return Ok(None) };
        if data.is_empty() {
            return Ok(None);
        }
        Ok(Some(data.split_to(data.len().min(PIECE_BYTES))))
    }

    fn copy_out_begin(&mut self, _: usize, _: bool) -> Result<()> {
        Ok(())
    }

    fn copy_out(&mut self, data: &[u8], _: &[usize]) -> Result<()> {
        self.current.copied.extend_from_slice(data);
        Ok(())
    }

    fn copy_out_end(&mut self) -> Result<()> {
        Ok(())
    }

    fn notice(&mut self, notice: &Notice) -> Result<()> {
        self.current.notices.push(notice.clone());
        Ok(())
    }
}
