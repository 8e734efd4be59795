//! A connection after its start-up: reads messages, hands them to the session, answers.
//!
//! After an error in the extended protocol everything up to the next Sync is skipped. Output is flushed only when there
//! is nothing more to do at once, so that a request costs one read and one write; before the session waits for anything,
//! answers to earlier requests leave ([`Output::send_finished`]).

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use spg_session::{ExecuteEnd, TransactionStatus};
use spg_types::{Error, Result, SqlState};
use tokio::sync::oneshot;

use crate::client::PgClient;
use crate::engine::{Commit, Engine, Interrupt};
use crate::input::{Input, Read};
use crate::message::{self, Bind, Frontend, HEADER, Target};
use crate::output::{FLUSH_BYTES, Output};
use crate::registry::Registered;
use crate::response::{self, Fatality};

/// How long a client has to take a connection's last message.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a connection whose transaction is waited for looks for its next message before it sleeps: about what
/// a client on the same machine takes to answer.
const EAGER: Duration = Duration::from_micros(30);

/// Why a connection ends.
enum End {
    /// The client said so, or is not there any more.
    Client,
    /// The error is sent as FATAL before the connection closes.
    Fatal(Error),
}

/// What a message leaves to be done where waiting is possible.
enum Next<C> {
    Nothing,
    /// Wait for the session's turn to write or to go on, then execute the portal again.
    Turn(String, u64),
    /// Send what has gathered, once a commit among it (if there is one) is durable or has failed.
    Flush(Option<C>),
    /// The request ends: ReadyForQuery, once its commit (if there is one) is durable or has failed.
    Ready(Option<C>),
}

pub(crate) struct Connection<E: Engine> {
    pub(crate) engine: E,
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) registered: Registered<E::Interrupt>,
    /// An error happened: messages are ignored until Sync.
    skip_to_sync: bool,
    /// An Execute whose turn was awaited: portal and row limit.
    again: Option<(String, u64)>,
}

impl<E: Engine> Connection<E> {
    pub(crate) fn new(engine: E, input: Input, output: Output, registered: Registered<E::Interrupt>) -> Self {
        Self { engine, input, output, registered, skip_to_sync: false, again: None }
    }

    /// Serves the client until one side ends it.
    pub(crate) async fn run(mut self) {
        let end = loop {
            if let Err(end) = self.step().await {
                break end;
            }
        };
        let backend = &self.registered.backend;
        match end {
            End::Client => tracing::debug!(pid = backend.pid, "client has left"),
            End::Fatal(e) if backend.is_gone() => {
                tracing::debug!(pid = backend.pid, error = %e, "client is gone")
            }
            End::Fatal(e) => {
                tracing::info!(pid = backend.pid, sqlstate = %e.state(), error = %e, "connection ended");
                response::error(&mut self.output.buffer, Fatality::Fatal, &e);
                let _ = tokio::time::timeout(LAST_WORDS, self.output.flush()).await;
            }
        }
    }

    /// Handles the next message, or waits for one.
    async fn step(&mut self) -> Result<(), End> {
        let again = self.again.take();
        let message = match again {
            Some(_) => None,
            None => self.input.peek_message().map_err(End::Fatal)?,
        };
        if message.is_none() && again.is_none() {
            return self.wait().await;
        }
        self.registered.backend.set_busy(true);
        // The session guards itself against panics in queries; one that gets here leaves it in an unknown state.
        let handled = catch_unwind(AssertUnwindSafe(|| match (again, message) {
            (Some((portal, max_rows)), _) => self.execute_portal(portal, max_rows),
            (None, Some((tag, body))) => self.handle(tag, body),
            (None, None) => Ok(Next::Nothing),
        }));
        self.registered.backend.set_busy(false);
        match handled
            .unwrap_or_else(|_| Err(End::Fatal(Error::internal("the session ended by an internal error"))))?
        {
            Next::Nothing if self.output.pending() < FLUSH_BYTES => Ok(()),
            Next::Nothing => self.flush().await,
            Next::Turn(portal, max_rows) => {
                self.turn().await;
                self.again = Some((portal, max_rows));
                Ok(())
            }
            Next::Flush(commit) => {
                self.skip_to_sync |= !self.durable(commit).await?;
                self.flush().await
            }
            Next::Ready(commit) => self.ready(commit).await,
        }
    }

    /// Sends everything and waits for more input. Here, without a running statement, is where sessions are ended.
    async fn wait(&mut self) -> Result<(), End> {
        self.flush().await?;
        if self.engine.is_waited_for() && self.read_eagerly()? {
            return Ok(());
        }
        let backend = &self.registered.backend;
        let until = self.engine.idle_limit().map(|limit| tokio::time::Instant::now() + limit);
        loop {
            if backend.is_ending() {
                return Err(End::Fatal(admin_shutdown()));
            }
            match self.input.read_some() {
                Ok(Read::Some) => return Ok(()),
                Ok(Read::End) | Err(_) => return Err(End::Client),
                Ok(Read::Wait) => {}
            }
            tokio::select! {
                biased;
                _ = self.input.readable() => {}
                () = backend.wake.notified() => {}
                () = sleep_until(until), if until.is_some() => {
                    return Err(End::Fatal(Error::new(
                        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                        "terminating connection due to idle-in-transaction timeout",
                    )));
                }
            }
        }
    }

    /// Looks for input without going to sleep: while others wait for this transaction's end, the time that it takes to be
    /// woken is theirs. Whether something has come.
    fn read_eagerly(&mut self) -> Result<bool, End> {
        let begin = Instant::now();
        while begin.elapsed() < EAGER {
            match self.input.read_now() {
                Ok(Read::Some) => return Ok(true),
                Ok(Read::End) | Err(_) => return Err(End::Client),
                Ok(Read::Wait) => std::thread::yield_now(),
            }
        }
        Ok(false)
    }

    /// Sends everything; a client that does not take it can still be terminated.
    async fn flush(&mut self) -> Result<(), End> {
        let backend = &self.registered.backend;
        loop {
            tokio::select! {
                biased;
                result = self.output.flush() => return result.map_err(|_| End::Client),
                () = backend.wake.notified() => {
                    if backend.interrupt.is_terminated() {
                        return Err(End::Fatal(admin_shutdown()));
                    }
                }
            }
        }
    }

    /// Waits, without holding a thread, for the turn to write or to go on, or for a reason not to.
    async fn turn(&mut self) {
        self.output.send_finished();
        let backend = &self.registered.backend;
        let until = self.engine.turn_limit().map(|limit| tokio::time::Instant::now() + limit);
        backend.set_busy(true);
        tokio::select! {
            biased;
            () = std::future::poll_fn(|context| self.engine.poll_turn(context)) => {}
            () = backend.wake.notified() => {}
            () = sleep_until(until), if until.is_some() => {}
        }
        backend.set_busy(false);
    }

    /// Waits until a commit is on disk, without holding a thread. False when it has failed: its tag is taken back for
    /// the error.
    async fn durable(&mut self, commit: Option<E::Commit>) -> Result<bool, End> {
        let Some(commit) = commit else { return Ok(true) };
        self.output.send_finished();
        let (done, durable) = oneshot::channel();
        commit.on_durable(Box::new(move |result| drop(done.send(result))));
        match durable.await.unwrap_or_else(|_| Err(Error::internal("a commit was given up"))) {
            Ok(()) => Ok(true),
            Err(e) => {
                self.output.take_back_complete();
                self.error(e).map(|()| false)
            }
        }
    }

    /// Ends a request: waits for its commit, then says that the next may come.
    async fn ready(&mut self, commit: Option<E::Commit>) -> Result<(), End> {
        self.durable(commit).await?;
        for (name, value) in self.engine.take_parameter_changes() {
            response::parameter_status(&mut self.output.buffer, &name, &value);
        }
        response::ready(&mut self.output.buffer, status_byte(self.engine.transaction_status()));
        self.output.finish_request();
        if self.registered.backend.is_ending() {
            return Err(End::Fatal(admin_shutdown()));
        }
        if self.output.pending() >= FLUSH_BYTES || !self.input.has_message() {
            self.flush().await?;
        } else {
            // Many requests may have come in one piece: other connections get their turn between them.
            tokio::task::consume_budget().await;
        }
        Ok(())
    }

    /// Answers with an error; one that ends the session comes back.
    fn error(&mut self, e: Error) -> Result<(), End> {
        if self.registered.backend.is_gone() || e.state() == SqlState::ADMIN_SHUTDOWN {
            return Err(End::Fatal(e));
        }
        response::error(&mut self.output.buffer, Fatality::Error, &e);
        Ok(())
    }

    /// Handles one message, which is consumed.
    fn handle(&mut self, tag: u8, body: Range<usize>) -> Result<Next<E::Commit>, End> {
        let length = HEADER + body.len();
        if self.skip_to_sync && !matches!(tag, b'S' | b'X') {
            self.input.consume(length);
            return Ok(Next::Nothing);
        }
        match tag {
            b'Q' => {
                let body = self.input.take_body(body);
                self.query(&body)
            }
            b'E' => {
                let (portal, max_rows) = match message::decode(tag, self.input.body(body)) {
                    Ok(Frontend::Execute { portal, max_rows }) => (portal.to_owned(), max_rows),
                    Ok(_) => return Err(End::Fatal(Error::internal("Execute decoded as another message"))),
                    Err(e) => {
                        self.input.consume(length);
                        return self.malformed(e);
                    }
                };
                self.input.consume(length);
                if self.engine.queue_to_write(&portal) {
                    return Ok(Next::Turn(portal, max_rows));
                }
                self.execute_portal(portal, max_rows)
            }
            b'S' => {
                self.input.consume(length);
                self.skip_to_sync = false;
                match self.engine.sync() {
                    Ok(commit) => Ok(Next::Ready(commit)),
                    Err(e) => self.error(e).map(|()| Next::Ready(None)),
                }
            }
            b'H' => {
                self.input.consume(length);
                Ok(Next::Flush(self.engine.take_pending()))
            }
            b'X' => Err(End::Client),
            b'F' => {
                self.input.consume(length);
                let e = self.engine.fail(Error::unsupported("function call messages are not supported"));
                self.error(e)?;
                Ok(Next::Ready(None))
            }
            _ => {
                let result = match message::decode(tag, self.input.body(body)) {
                    Ok(message) => Ok(prepare(&mut self.engine, message, &mut self.output.buffer)),
                    Err(e) => Err(e),
                };
                self.input.consume(length);
                match result {
                    Ok(result) => self.extended(result),
                    Err(e) => self.malformed(e),
                }
            }
        }
    }

    /// The simple protocol: every statement of the string.
    fn query(&mut self, body: &[u8]) -> Result<Next<E::Commit>, End> {
        let result = match message::decode(b'Q', body) {
            Ok(Frontend::Query(sql)) => {
                let mut client = PgClient {
                    input: &mut self.input,
                    output: &mut self.output,
                    backend: &*self.registered.backend,
                };
                self.engine.simple_query(sql, &mut client)
            }
            Ok(_) => Err(Error::internal("Query decoded as another message")),
            Err(e) => Err(self.engine.fail(e)),
        };
        match result {
            Ok(commit) => Ok(Next::Ready(commit)),
            Err(e) => self.error(e).map(|()| Next::Ready(None)),
        }
    }

    fn execute_portal(&mut self, portal: String, max_rows: u64) -> Result<Next<E::Commit>, End> {
        match self.execute(&portal, max_rows) {
            Ok(true) => Ok(Next::Turn(portal, max_rows)),
            Ok(false) => Ok(Next::Nothing),
            Err(e) => self.extended(Err(e)),
        }
    }

    /// Whether the turn to go on is to be awaited.
    fn execute(&mut self, portal: &str, max_rows: u64) -> Result<bool> {
        let mut client =
            PgClient { input: &mut self.input, output: &mut self.output, backend: &*self.registered.backend };
        let end = self.engine.execute(portal, max_rows, &mut client)?;
        match end {
            ExecuteEnd::Turn => return Ok(true),
            ExecuteEnd::Complete(tag) => {
                self.output.mark_complete();
                response::command_complete(&mut self.output.buffer, &tag);
            }
            ExecuteEnd::Suspended => response::portal_suspended(&mut self.output.buffer),
            ExecuteEnd::Empty => response::empty_query(&mut self.output.buffer),
        }
        Ok(false)
    }

    /// A message of the extended protocol was handled: an error skips to Sync.
    fn extended(&mut self, result: Result<()>) -> Result<Next<E::Commit>, End> {
        if let Err(e) = result {
            self.skip_to_sync = true;
            self.error(e)?;
        }
        Ok(Next::Nothing)
    }

    /// A message of the extended protocol whose inside could not be read.
    fn malformed(&mut self, e: Error) -> Result<Next<E::Commit>, End> {
        let e = self.engine.fail(e);
        self.extended(Err(e))
    }
}

/// Messages that need no client: they only change and describe what the session has prepared.
fn prepare<E: Engine>(engine: &mut E, message: Frontend<'_>, out: &mut Vec<u8>) -> Result<()> {
    match message {
        Frontend::Parse { name, sql, types } => {
            engine.parse(name, sql, &types)?;
            response::parse_complete(out);
        }
        Frontend::Bind(b) => {
            let params = bind_params(&b);
            engine.bind(b.portal, b.statement, &b.param_formats, params, &b.result_formats)?;
            response::bind_complete(out);
        }
        Frontend::Describe(Target::Statement, name) => {
            let description = engine.describe_statement(name)?;
            response::parameter_description(out, &description.params);
            match &description.columns {
                Some(columns) => response::row_description(out, columns, &[]),
                None => response::no_data(out),
            }
        }
        Frontend::Describe(Target::Portal, name) => match engine.describe_portal(name)? {
            Some((columns, formats)) => response::row_description(out, &columns, &formats),
            None => response::no_data(out),
        },
        Frontend::Close(target, name) => {
            match target {
                Target::Statement => engine.close_statement(name),
                Target::Portal => engine.close_portal(name),
            }
            response::close_complete(out);
        }
        Frontend::StaleCopy => {}
        other => return Err(Error::internal(format!("{other:?} was not handled"))),
    }
    Ok(())
}

/// The parameters, sharing one copy of the message.
fn bind_params(bind: &Bind<'_>) -> Vec<Option<Bytes>> {
    if bind.params.is_empty() {
        return Vec::new();
    }
    let body = Bytes::copy_from_slice(bind.body);
    bind.params.iter().map(|range| range.map(|(from, to)| body.slice(from..to))).collect()
}

fn status_byte(status: TransactionStatus) -> u8 {
    match status {
        TransactionStatus::Idle => b'I',
        TransactionStatus::InTransaction => b'T',
        TransactionStatus::Failed => b'E',
    }
}

async fn sleep_until(until: Option<tokio::time::Instant>) {
    if let Some(until) = until {
        tokio::time::sleep_until(until).await;
    }
}

/// 57P01, as PostgreSQL words it.
pub(crate) fn admin_shutdown() -> Error {
    Error::new(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
}
