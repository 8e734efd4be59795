//! Portals: a statement with its parameters, and how far its result has been fetched.

use std::collections::VecDeque;
use std::sync::Arc;

use spg_run::{ResultBatch, ResultStream};
use spg_types::{Datum, FormatSettings, Result};

use spg_plan::bind::ResultColumn;

use crate::client::{Client, blocking};
use crate::statement::Prepared;

/// A bound statement.
pub(crate) struct Portal {
    /// The statement.
    pub statement: Arc<Prepared>,
    /// Parameter values.
    pub params: Arc<[Datum]>,
    /// Result formats as Bind gave them.
    pub formats: Vec<i16>,
    /// How far it is.
    pub state: PortalState,
}

/// How far a portal is.
pub(crate) enum PortalState {
    /// Not executed yet.
    New,
    /// Rows are left to fetch.
    Open(Cursor),
    /// All rows are fetched, or the statement had none.
    Done,
}

/// Rows that a statement puts out, fetched some at a time.
pub(crate) struct Cursor {
    /// The result's columns.
    pub columns: Arc<[ResultColumn]>,
    source: Source,
    /// What is left of a batch that was fetched in part, from a row on.
    rest: Option<(ResultBatch, usize)>,
    /// `SELECT` when the tag counts fetched rows; the whole tag otherwise.
    pub tag: CursorTag,
}

/// What CommandComplete says in the end.
pub(crate) enum CursorTag {
    /// `SELECT` and the rows that this fetch gave.
    Rows(&'static str),
    /// This.
    Fixed(String),
}

enum Source {
    Stream(Box<ResultStream>),
    Rows(VecDeque<ResultBatch>),
}

impl Cursor {
    /// Over a running query.
    pub(crate) fn stream(columns: Arc<[ResultColumn]>, stream: ResultStream) -> Self {
        Self { columns, source: Source::Stream(Box::new(stream)), rest: None, tag: CursorTag::Rows("SELECT") }
    }

    /// Over rows at hand.
    pub(crate) fn rows(columns: Arc<[ResultColumn]>, rows: Vec<ResultBatch>, tag: CursorTag) -> Self {
        Self { columns, source: Source::Rows(rows.into()), rest: None, tag }
    }

    /// Sends up to `max_rows` rows (0: all). Returns how many, and whether that was the end.
    pub(crate) fn fetch(
        &mut self,
        max_rows: u64,
        formats: &[i16],
        settings: &FormatSettings,
        client: &mut dyn Client,
    ) -> Result<(u64, bool)> {
        let mut sent = 0;
        loop {
            let (batch, from) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.next_batch(client)? {
                    Some(batch) => (batch, 0),
                    None => return Ok((sent, true)),
                },
            };
            let left = batch.rows - from;
            let wanted = if max_rows == 0 { left } else { left.min((max_rows - sent) as usize) };
            let piece = if wanted == batch.rows { batch.clone() } else { batch.slice(from, wanted) };
            client.rows(&self.columns, formats, settings, &piece)?;
            sent += wanted as u64;
            if wanted < left {
                self.rest = Some((batch, from + wanted));
            }
            if max_rows != 0 && sent == max_rows {
                return Ok((sent, false));
            }
        }
    }

    /// Up to `max_rows` rows, for FETCH.
    pub(crate) fn take(&mut self, max_rows: u64, client: &mut dyn Client) -> Result<Vec<ResultBatch>> {
        let mut out = vec![];
        let mut missing = max_rows;
        while missing > 0 {
            let (batch, from) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.next_batch(client)? {
                    Some(batch) => (batch, 0),
                    None => break,
                },
            };
            let left = batch.rows - from;
            let wanted = usize::try_from(missing).map_or(left, |m| left.min(m));
            out.push(batch.slice(from, wanted));
            missing -= wanted as u64;
            if wanted < left {
                self.rest = Some((batch, from + wanted));
            }
        }
        Ok(out)
    }

    fn next_batch(&mut self, client: &mut dyn Client) -> Result<Option<ResultBatch>> {
        loop {
            let batch = match &mut self.source {
                Source::Rows(rows) => rows.pop_front(),
                Source::Stream(s) if s.is_ready() => s.next()?,
                Source::Stream(s) => blocking(client, || s.next())??,
            };
            match batch {
                Some(b) if b.rows == 0 => {}
                other => return Ok(other),
            }
        }
    }
}
