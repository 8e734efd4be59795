//! COPY FROM: cuts the stream into pieces, parses them on several threads, joins what comes out into full row groups, prepares
//! those on the same threads, and appends them in order under the one write transaction.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::ArrayRef;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use memchr::memchr_iter;
use spg_expr::{Compiled, EvalContext, Expr};
use spg_plan::bind::{self, CopySource};
use spg_plan::{Modify, Plan};
use spg_run::RowChecks;
use spg_store::{Placement, PreparedBatch, ROW_GROUP_ROWS, prepare_batch_for};
use spg_types::{Datum, Error, Result, TableId, TableRef};

use super::CopyFormat;
use super::parse::{Parsed, RecordLayout};
use super::split::RecordSplitter;
use crate::cancel::Running;
use crate::client::{Client, blocking};
use crate::session::Session;

/// Pieces handed to a parser have about this many bytes.
const PIECE_BYTES: usize = 2 << 20;

/// Everything that turns text into rows of the table.
struct Loader {
    layout: RecordLayout,
    /// The table's columns computed from the copied ones; `None` where the copied column goes in as it is.
    columns: Vec<Source>,
    checks: RowChecks,
    context: Arc<EvalContext>,
    table: TableRef,
    /// Whether row groups stay in memory.
    placement: Placement,
}

enum Source {
    Copied(usize),
    Computed(Compiled),
}

/// Runs COPY FROM STDIN; returns the number of rows.
pub(super) fn run(
    session: &mut Session,
    c: &bind::Copy,
    format: CopyFormat,
    params: &Arc<[Datum]>,
    running: &Running,
    client: &mut dyn Client,
) -> Result<u64> {
    let CopySource::Table { table, columns } = &c.source else {
        return Err(Error::internal("COPY FROM into a query"));
    };
    let Some(Plan::Modify(modify)) = c.insert.as_ref().map(|q| &q.plan) else {
        return Err(Error::internal("COPY FROM without its insert"));
    };
    let snapshot = session.snapshot();
    let env = session.environment(snapshot, params, running);
    let layout = RecordLayout {
        table: table.name.clone(),
        columns: columns.iter().map(|&i| (table.columns[i].name.clone(), table.columns[i].ty)).collect(),
        format,
        settings: env.ctx.format.clone(),
    };
    let mut loader = Loader {
        layout,
        columns: sources(modify)?,
        checks: RowChecks::new(modify)?,
        context: env.ctx.clone(),
        table: table.clone(),
        placement: Placement::hot(),
    };
    client.copy_in_begin(columns.len(), false)?;
    let workers = session.instance.workers;
    let write = session.begin_if_needed().write()?;
    let mut pieces = Pieces::new(&loader.layout.format);
    let Some(first) = pieces.next(client)? else {
        return Ok(0);
    };
    let rows = if pieces.at_end {
        let parsed = loader.parse(&first)?;
        if parsed.rows > 0 {
            blocking(client, || write.append(table.id, parsed.columns).map(|_| ()))??;
        }
        parsed.rows as u64
    } else {
        loader.placement = write.placement(table.id)?;
        std::thread::scope(|scope| {
            let mut crew = Crew::start(scope, &loader, workers);
            let result = crew.load(first, &mut pieces, table.id, write, running, client);
            // Dropping the job channel ends the threads, also after an error.
            drop(crew);
            result
        })?
    };
    blocking(client, || session.begin_if_needed().write()?.end_statement())??;
    Ok(rows)
}

/// Where each of the table's columns comes from: the insert's projection over the copied columns.
fn sources(modify: &Modify) -> Result<Vec<Source>> {
    let Plan::Project { input, exprs } = &*modify.input else {
        return Err(Error::internal("COPY's insert is not a projection"));
    };
    let copied = input.columns();
    let position = |id| copied.iter().position(|c| c.id == id);
    let of = |expr: &Expr| match expr {
        Expr::Column { id, .. } if position(*id).is_some() => Ok(Source::Copied(position(*id).unwrap_or(0))),
        other => Compiled::new(other, &position).map(Source::Computed),
    };
    modify
        .values
        .iter()
        .map(|value| {
            let named = exprs.iter().find(|e| Some(e.out.id) == *value);
            of(&named.ok_or_else(|| Error::internal("COPY's insert lacks a column"))?.expr)
        })
        .collect()
}

impl Loader {
    /// Parses a piece into rows of the table, checked.
    fn parse(&self, piece: &Piece) -> Result<Parsed> {
        let mut parsed = self.layout.parse(&piece.data, piece.first_line)?;
        let rows = parsed.rows;
        let copied: Vec<_> = parsed.columns.into_iter().map(spg_expr::Column::Array).collect();
        parsed.columns = self
            .columns
            .iter()
            .map(|source| match source {
                Source::Copied(i) => copied[*i].to_array(rows),
                Source::Computed(e) => e.eval(&self.context, &copied, rows)?.to_array(rows),
            })
            .collect::<Result<_>>()?;
        self.checks.check(&self.context, &parsed.columns, rows).map_err(|(e, row)| {
            // The line is known where every record has one.
            if parsed.lines == rows as u64 {
                e.with_context(format!("COPY {}, line {}", self.table.name, piece.first_line + row as u64))
            } else {
                e.with_context(format!("COPY {}", self.table.name))
            }
        })?;
        Ok(parsed)
    }

    /// Makes a full row group of several parsed pieces.
    fn prepare(&self, parts: &[Vec<ArrayRef>]) -> Result<PreparedBatch> {
        let columns = (0..self.columns.len())
            .map(|i| {
                let arrays: Vec<&dyn arrow::array::Array> = parts.iter().map(|p| &*p[i]).collect();
                Ok(arrow::compute::concat(&arrays)?)
            })
            .collect::<Result<Vec<_>>>()?;
        prepare_batch_for(&self.table, columns, &self.placement)
    }
}

/// Whole records, from a line on.
struct Piece {
    data: Bytes,
    first_line: u64,
}

/// The incoming stream, cut into pieces.
struct Pieces {
    splitter: RecordSplitter,
    /// What has come and is not handed out; records end at `complete`.
    buffer: Vec<u8>,
    complete: usize,
    line: u64,
    at_end: bool,
}

impl Pieces {
    fn new(format: &CopyFormat) -> Self {
        Self { splitter: RecordSplitter::new(format), buffer: vec![], complete: 0, line: 1, at_end: false }
    }

    /// The next piece; `None` after the last.
    fn next(&mut self, client: &mut dyn Client) -> Result<Option<Piece>> {
        while !self.at_end && (self.buffer.len() < PIECE_BYTES || self.complete == 0) {
            match client.copy_data()? {
                Some(data) => {
                    let before = self.buffer.len();
                    if let Some(end) = self.splitter.last_end(&data) {
                        self.complete = before + end;
                    }
                    self.buffer.extend_from_slice(&data);
                }
                None => {
                    self.at_end = true;
                    self.complete = self.buffer.len();
                }
            }
        }
        if self.complete == 0 {
            return Ok(None);
        }
        let mut rest = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        rest.extend_from_slice(&self.buffer[self.complete..]);
        let mut data = std::mem::replace(&mut self.buffer, rest);
        data.truncate(self.complete);
        self.complete = 0;
        let first_line = self.line;
        self.line += memchr_iter(b'\n', &data).count() as u64;
        Ok(Some(Piece { data: data.into(), first_line }))
    }
}

enum Job {
    Parse(u64, Piece),
    Prepare(u64, Vec<Vec<ArrayRef>>),
}

enum Done {
    Parsed(u64, Result<Parsed>),
    Prepared(u64, Result<Box<PreparedBatch>>),
}

/// The threads of one COPY, and what is under way.
struct Crew {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    most_in_flight: usize,
    in_flight: usize,
    parsed: InOrder<Parsed>,
    prepared: InOrder<Box<PreparedBatch>>,
    /// Parsed rows that do not fill a row group yet.
    waiting: VecDeque<Vec<ArrayRef>>,
    waiting_rows: usize,
    rows: u64,
    ended: bool,
}

/// Results that come in any order and leave in the order of their numbers.
struct InOrder<T> {
    sent: u64,
    taken: u64,
    here: BTreeMap<u64, Result<T>>,
}

impl<T> InOrder<T> {
    fn new() -> Self {
        Self { sent: 0, taken: 0, here: BTreeMap::new() }
    }

    fn number(&mut self) -> u64 {
        self.sent += 1;
        self.sent - 1
    }

    fn next(&mut self) -> Option<Result<T>> {
        let value = self.here.remove(&self.taken)?;
        self.taken += 1;
        Some(value)
    }
}

impl Crew {
    fn start<'s>(scope: &'s std::thread::Scope<'s, '_>, loader: &'s Loader, threads: usize) -> Self {
        let most_in_flight = threads * 2;
        let (jobs, take) = bounded::<Job>(most_in_flight);
        let (give, done) = unbounded();
        for _ in 0..threads {
            let (take, give) = (take.clone(), give.clone());
            scope.spawn(move || {
                for job in take {
                    let result = match job {
                        Job::Parse(n, piece) => Done::Parsed(n, caught(|| loader.parse(&piece))),
                        Job::Prepare(n, parts) => {
                            Done::Prepared(n, caught(|| loader.prepare(&parts).map(Box::new)))
                        }
                    };
                    if give.send(result).is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            jobs,
            done,
            most_in_flight,
            in_flight: 0,
            parsed: InOrder::new(),
            prepared: InOrder::new(),
            waiting: VecDeque::new(),
            waiting_rows: 0,
            rows: 0,
            ended: false,
        }
    }

    fn load(
        &mut self,
        first: Piece,
        pieces: &mut Pieces,
        table: TableId,
        write: &mut spg_store::WriteTxn,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<u64> {
        let mut next = Some(first);
        while let Some(piece) = next {
            running.token.check()?;
            if !self.ended {
                while self.in_flight >= self.most_in_flight {
                    blocking(client, || self.step(table, write))??;
                }
                let n = self.parsed.number();
                self.send(Job::Parse(n, piece))?;
                while let Ok(done) = self.done.try_recv() {
                    self.take(done, table, write)?;
                }
            }
            next = pieces.next(client)?;
        }
        blocking(client, || -> Result<()> {
            while self.in_flight > 0 {
                running.token.check()?;
                self.step(table, write)?;
            }
            if self.waiting_rows > 0 {
                self.prepare(self.waiting_rows)?;
                self.step(table, write)?;
            }
            Ok(())
        })??;
        Ok(self.rows)
    }

    fn send(&mut self, job: Job) -> Result<()> {
        self.in_flight += 1;
        self.jobs.send(job).map_err(|_| Error::internal("a loading thread ended"))
    }

    /// Waits for one result and does what it makes possible.
    fn step(&mut self, table: TableId, write: &mut spg_store::WriteTxn) -> Result<()> {
        let done = self.done.recv().map_err(|_| Error::internal("a loading thread ended"))?;
        self.take(done, table, write)
    }

    fn take(&mut self, done: Done, table: TableId, write: &mut spg_store::WriteTxn) -> Result<()> {
        self.in_flight -= 1;
        match done {
            Done::Parsed(n, result) => _ = self.parsed.here.insert(n, result),
            Done::Prepared(n, result) => _ = self.prepared.here.insert(n, result),
        }
        while let Some(parsed) = self.parsed.next() {
            if self.ended {
                continue;
            }
            let parsed = parsed?;
            self.ended = parsed.ended;
            self.rows += parsed.rows as u64;
            if parsed.rows > 0 {
                self.waiting_rows += parsed.rows;
                self.waiting.push_back(parsed.columns);
            }
            while self.waiting_rows >= ROW_GROUP_ROWS {
                self.prepare(ROW_GROUP_ROWS)?;
            }
        }
        while let Some(prepared) = self.prepared.next() {
            write.append_prepared(table, *prepared?)?;
        }
        Ok(())
    }

    /// Has the first `rows` waiting rows made into a row group.
    fn prepare(&mut self, rows: usize) -> Result<()> {
        let mut parts = vec![];
        let mut missing = rows;
        while missing > 0 {
            let Some(part) = self.waiting.pop_front() else {
                return Err(Error::internal("rows went missing while loading"));
            };
            let len = part.first().map_or(0, |a| a.len());
            if len <= missing {
                missing -= len;
                parts.push(part);
            } else {
                parts.push(part.iter().map(|a| a.slice(0, missing)).collect());
                self.waiting.push_front(part.iter().map(|a| a.slice(missing, len - missing)).collect());
                missing = 0;
            }
        }
        self.waiting_rows -= rows;
        let n = self.prepared.number();
        self.in_flight += 1;
        // The channel has room for every job in flight, or a thread is about to make some: threads never wait for us.
        self.jobs.send(Job::Prepare(n, parts)).map_err(|_| Error::internal("a loading thread ended"))
    }
}

/// A panic while parsing ends the COPY, not the thread.
fn caught<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(Error::internal("internal error while loading")))
}
