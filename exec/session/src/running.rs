//! Runs portals: a statement from its snapshot to its last row, under its time limit, with panics contained.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use spg_plan::bind::{QueryTag, Utility};
use spg_store::{Retry, Turn, WriteMode};
use spg_types::{Datum, Error, Result, SqlState};

use crate::cancel::{Running, Watched};
use crate::client::{Client, blocking};
use crate::extended::ExecuteEnd;
use crate::portal::{Cursor, CursorTag, Portal, PortalState};
use crate::session::Session;
use crate::statement::{Planned, PlannedKind, PlannedQuery, Prepared, tag, verb_name};
use crate::transaction::{self, Transaction};

/// A statement that has begun, perhaps waiting for its turn to write before it is executed.
pub(crate) struct Queued {
    turn: Option<Turn>,
    running: Running,
    watched: Option<Watched>,
}

/// How a statement began.
pub(crate) enum Started {
    /// And ended.
    Complete(String),
    /// With rows to fetch.
    Open(Cursor),
    /// Not yet: another transaction is in its way until this turn comes. What it has done is undone.
    Blocked(Turn),
}

impl Session {
    /// Runs a portal, or goes on with it.
    pub(crate) fn run_portal(
        &mut self,
        portal: &mut Portal,
        max_rows: u64,
        describe: bool,
        client: &mut dyn Client,
    ) -> Result<ExecuteEnd> {
        let Some(statement) = &portal.statement.statement else { return Ok(ExecuteEnd::Empty) };
        if self.is_failed() && !ends_transaction(statement) {
            return Err(in_failed_transaction());
        }
        let Queued { mut turn, running, watched } = match self.queued.take() {
            Some(queued) => queued,
            None => self.begin_running(None),
        };
        let result = match catch_unwind(AssertUnwindSafe(|| {
            running.token.check()?;
            self.await_others(&mut turn, &running, client)?;
            self.turn = turn.take();
            self.look_anew(portal)?;
            self.advance(portal, max_rows, describe, &running, client)
        })) {
            Ok(r) => r,
            Err(panic) => Err(panic_error(&*panic)),
        };
        let turn = self.turn.take();
        if matches!(result, Ok(ExecuteEnd::Turn)) {
            self.queued = Some(Queued { turn, running, watched });
            return result;
        }
        drop(watched);
        self.cancel.end();
        result
    }

    /// A statement that others were in the way of goes on: its wait is over, or is said to have been too long.
    fn await_others(
        &mut self,
        turn: &mut Option<Turn>,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<()> {
        let Some(mut waited) = turn.take_if(|turn| !turn.is_entry()) else { return Ok(()) };
        if waited.has_come() {
            return Ok(());
        }
        let timeout = self.limits().lock;
        blocking(client, || transaction::sleep(&mut waited, timeout, running))?
    }

    /// Before a statement of the transaction: what it reads. A change of rows sees to that itself.
    fn look_anew(&mut self, portal: &Portal) -> Result<()> {
        let Some(t) = &mut self.transaction else { return Ok(()) };
        match portal.statement.newest().as_ref().map(|p| &p.kind) {
            Some(PlannedKind::Query(q)) if q.changes_data() && t.is_writing() => Ok(()),
            Some(PlannedKind::Query(q)) => t.start_statement(Some(&q.tables.read)),
            _ => t.start_statement(None),
        }
    }

    /// From here on a statement can be cancelled and its time limit counts.
    fn begin_running(&mut self, turn: Option<Turn>) -> Queued {
        let running = self.cancel.begin();
        let limit = self.limits().statement;
        let watched = limit.map(|limit| self.instance.watchdog.watch(&running, limit));
        Queued { turn, running, watched }
    }

    /// Before Execute of a portal: when its statement needs the write lock, takes it or a place in its queue. Whether the
    /// caller is to wait for [`Session::poll_turn`], at most [`Session::turn_limit`], before it executes the portal.
    pub fn queue_to_write(&mut self, portal: &str) -> bool {
        let Some(portal) = self.portals.get(portal) else { return false };
        if self.queued.is_some() || self.is_failed() || !matches!(portal.state, PortalState::New) {
            return false;
        }
        if self.transaction.as_ref().is_some_and(Transaction::is_writing) {
            return false;
        }
        let statement = portal.statement.clone();
        if statement.statement.is_none() {
            return false;
        }
        // An error comes again where the statement is executed.
        let Ok(planned) = self.any_plan(&statement) else { return false };
        let PlannedKind::Query(query) = &planned.kind else { return false };
        let transaction = self.begin_if_needed();
        if !query.writes() || transaction.read_only {
            return false;
        }
        let mode = query.write_mode(transaction);
        let Ok(turn) = self.instance.store.turn(mode) else { return false };
        let wait = !turn.has_come();
        self.queued = Some(self.begin_running(Some(turn)));
        wait
    }

    /// Whether the turn to write or to go on has come.
    pub fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.queued.as_mut().and_then(|q| q.turn.as_mut()) {
            Some(turn) => Pin::new(turn).poll(context),
            None => Poll::Ready(()),
        }
    }

    /// How long to wait for the turn: then the statement is executed all the same, to say why it cannot be.
    pub fn turn_limit(&mut self) -> Option<Duration> {
        let limits = self.limits();
        limits.lock.into_iter().chain(limits.statement).min()
    }

    pub(crate) fn advance(
        &mut self,
        portal: &mut Portal,
        max_rows: u64,
        describe: bool,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<ExecuteEnd> {
        if let PortalState::New = portal.state {
            portal.state = PortalState::Done;
            self.forget_wanted_settings();
            let mut planned = self.any_plan(&portal.statement)?;
            if !matches!(&planned.kind, PlannedKind::Query(q) if q.changes_data()) {
                planned = self.plan(&portal.statement)?;
            }
            if planned.reads() {
                self.begin_if_needed().queried = true;
            }
            let started = match &planned.kind {
                PlannedKind::Query(q) if q.changes_data() => {
                    let statement = portal.statement.clone();
                    let awaits = !describe && client.awaits_turns();
                    self.change(&statement, &portal.params, awaits, running, client)?
                }
                PlannedKind::Query(q) => self.start_query(portal, &planned, q, running, client)?,
                PlannedKind::Utility(bound) => {
                    let statement = portal.statement.clone();
                    self.utility(bound, &statement, &portal.params, running, client)?
                }
            };
            match started {
                Started::Complete(tag) => return Ok(ExecuteEnd::Complete(tag)),
                Started::Blocked(turn) if !describe && client.awaits_turns() => {
                    portal.state = PortalState::New;
                    self.turn = Some(turn);
                    return Ok(ExecuteEnd::Turn);
                }
                Started::Blocked(_) => {
                    return Err(Error::internal("a statement that cannot wait was to wait"));
                }
                Started::Open(cursor) => {
                    if describe {
                        client.row_description(&cursor.columns)?;
                    }
                    portal.state = PortalState::Open(cursor);
                }
            }
        }
        let PortalState::Open(cursor) = &mut portal.state else {
            // Executed to its end before: no more rows.
            return Ok(ExecuteEnd::Complete("SELECT 0".into()));
        };
        let context = self.base_context();
        let (rows, ended) = cursor.fetch(max_rows, &portal.formats, &context.format, client)?;
        self.do_wanted_settings(client)?;
        if !ended {
            return Ok(ExecuteEnd::Suspended);
        }
        let end = match &cursor.tag {
            CursorTag::Rows(verb) => format!("{verb} {rows}"),
            CursorTag::Fixed(tag) => tag.clone(),
        };
        portal.state = PortalState::Done;
        Ok(ExecuteEnd::Complete(end))
    }

    pub(crate) fn start_query(
        &mut self,
        portal: &Portal,
        planned: &Arc<Planned>,
        query: &PlannedQuery,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<Started> {
        if !query.writes() {
            let snapshot = self.snapshot();
            let env = self.environment(snapshot, &portal.params, running);
            let stream = query.compiled.start(env)?;
            return Ok(Started::Open(Cursor::stream(query.columns.clone(), stream)));
        }
        // FOR UPDATE and the like.
        self.lock_for_writing("SELECT", WriteMode::Exclusive, running, client)?;
        // The lock's snapshot may be newer than the one that the statement was planned for.
        let newer = self.plan(&portal.statement)?;
        let query = match (&newer.kind, Arc::ptr_eq(&newer, planned)) {
            (PlannedKind::Query(q), false) => q,
            _ => query,
        };
        self.run_query(query, &portal.params, running, client)
    }

    /// Runs a statement that changes rows to its end, again when other transactions were in its way. With `awaits`, what is to
    /// be waited for is handed to the caller.
    pub(crate) fn change(
        &mut self,
        statement: &Prepared,
        params: &Arc<[Datum]>,
        awaits: bool,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<Started> {
        let mut again = false;
        loop {
            let planned = self.any_plan(statement)?;
            let PlannedKind::Query(query) = &planned.kind else {
                return Err(Error::internal("a query became a utility statement"));
            };
            let mode = query.write_mode(self.begin_if_needed());
            self.lock_for_writing(verb_name(query.verb), mode, running, client)?;
            let write = self.begin_if_needed().write()?;
            match (query.tables.read.as_slice(), query.tables.changed.as_slice()) {
                ([], [table]) if !again => write.start_insert(*table)?,
                (read, changed) => write.start_statement(Some(&[read, changed].concat()))?,
            }
            // What it now sees may be newer than what it was planned for.
            let newer = self.plan(statement)?;
            if !Arc::ptr_eq(&newer, &planned) {
                self.begin_if_needed().write()?.start_statement(None)?;
            }
            let PlannedKind::Query(query) = &newer.kind else {
                return Err(Error::internal("a query became a utility statement"));
            };
            let error = match self.run_query(query, params, running, client) {
                Err(error) => error,
                started => return started,
            };
            running.token.check()?;
            again = true;
            let write = self.begin_if_needed().write()?;
            match write.retry()? {
                None => return Err(error),
                Some(Retry::Now) => {}
                Some(Retry::After(turn)) if awaits => return Ok(Started::Blocked(turn)),
                Some(Retry::After(mut turn)) => {
                    let timeout = self.limits().lock;
                    blocking(client, || transaction::sleep(&mut turn, timeout, running))??;
                }
            }
        }
    }

    /// Runs a planned query to its start of output; a change to its end. The write lock is held where it needs it.
    pub(crate) fn run_query(
        &mut self,
        query: &PlannedQuery,
        params: &Arc<[Datum]>,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<Started> {
        let snapshot = self.snapshot();
        let env = self.environment(snapshot, params, running);
        if !query.changes_data() {
            let stream = query.compiled.start(env)?;
            return Ok(Started::Open(Cursor::stream(query.columns.clone(), stream)));
        }
        let write = self.begin_if_needed().write()?;
        let modified = if query.compiled.is_point() {
            query.compiled.modify(env, write)?
        } else {
            blocking(client, || query.compiled.modify(env, write))??
        };
        if query.verb == QueryTag::Select {
            let columns = query.columns.clone();
            return Ok(Started::Open(Cursor::rows(columns, modified.returning, CursorTag::Rows("SELECT"))));
        }
        let tag = tag(query.verb, modified.rows);
        if query.columns.is_empty() {
            return Ok(Started::Complete(tag));
        }
        Ok(Started::Open(Cursor::rows(query.columns.clone(), modified.returning, CursorTag::Fixed(tag))))
    }

    /// Takes the write lock for a statement.
    pub(crate) fn lock_for_writing(
        &mut self,
        what: &str,
        mode: WriteMode,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<()> {
        let store = self.instance.store.clone();
        let timeout = self.limits().lock;
        let turn = self.turn.take();
        let t = self.begin_if_needed();
        if t.read_only {
            return Err(Error::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {what} in a read-only transaction"),
            ));
        }
        if t.is_writing() {
            if mode == WriteMode::Exclusive && t.write()?.is_shared() {
                return blocking(client, || t.go_alone(timeout, running))?;
            }
            return Ok(());
        }
        // Free most of the time: try before giving the thread away.
        let turn = match turn {
            Some(turn) => turn,
            None => store.turn(mode)?,
        };
        if turn.has_come() {
            return t.start_writing(&store, turn, timeout, running);
        }
        blocking(client, || t.start_writing(&store, turn, timeout, running))?
    }
}

pub(crate) fn in_failed_transaction() -> Error {
    Error::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// Whether a failed transaction accepts the statement: COMMIT, ROLLBACK, ROLLBACK TO.
pub(crate) fn ends_transaction(statement: &spg_sql::Statement) -> bool {
    use spg_sql::ast::Statement as S;
    matches!(statement.ast(), Some(S::Commit { .. } | S::Rollback { .. }))
}

/// Runs code over user input that may have a defect: a panic becomes XX000.
pub(crate) fn guarded<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(panic_error(&*panic)))
}

fn panic_error(panic: &(dyn std::any::Any + Send)) -> Error {
    let what = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_owned());
    tracing::error!("a statement panicked: {what}");
    Error::internal(format!("internal error: {what}"))
        .with_hint("This is a defect of the server; the session goes on.")
}

/// Whether the utility statement controls transactions itself.
pub(crate) fn is_transaction_control(utility: &Utility) -> bool {
    matches!(
        utility,
        Utility::Begin { .. }
            | Utility::Commit { .. }
            | Utility::Rollback { .. }
            | Utility::Savepoint(_)
            | Utility::Release(_)
            | Utility::RollbackTo(_)
    )
}
