//! What the wire asks of the engine: [`Host`] and [`Engine`]. The database and its sessions implement them here; the
//! protocol's own tests bring an engine that answers by script.

use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use spg_embedded::Database;
use spg_session::{
    CancelHandle, Client, Credentials, ExecuteEnd, PendingCommit, ResultColumn, Session, SessionOptions,
    StatementDescription, TransactionStatus,
};
use spg_types::{Error, Result};

/// Where sessions come from.
pub trait Host: Clone + Send + Sync + 'static {
    /// A session.
    type Engine: Engine;

    /// What a user's password is checked against; `None` when the user may not log in.
    fn credentials(&self, user: &str) -> Option<Credentials>;

    /// A session for a user whose password was right.
    fn connect(&self, options: SessionOptions) -> Result<Self::Engine>;
}

/// Ends what a session does, from any thread.
pub trait Interrupt: Clone + Send + Sync + 'static {
    /// 57014 for the running statement; nothing when none runs.
    fn cancel(&self);

    /// 57P01 for the running statement and all later ones.
    fn terminate(&self);

    /// Whether `terminate` was called.
    fn is_terminated(&self) -> bool;

    /// The error that the running statement is to end with, once there is a reason.
    fn check(&self) -> Result<()>;
}

/// A commit on its way to the disk.
pub trait Commit: Send {
    /// Calls `done` once it is known whether the commit is durable.
    fn on_durable(self, done: Box<dyn FnOnce(Result<()>) + Send>);
}

/// One session; see [`Session`] for what each call means.
#[allow(missing_docs)]
pub trait Engine: Send {
    type Interrupt: Interrupt;
    type Commit: Commit;

    fn interrupt(&self) -> Self::Interrupt;
    fn transaction_status(&self) -> TransactionStatus;
    fn parameter_status(&self) -> Vec<(String, String)>;
    fn take_parameter_changes(&mut self) -> Vec<(String, String)>;
    fn simple_query(&mut self, sql: &str, client: &mut dyn Client) -> Result<Option<Self::Commit>>;
    fn parse(&mut self, name: &str, sql: &str, types: &[u32]) -> Result<()>;
    fn describe_statement(&mut self, name: &str) -> Result<StatementDescription>;
    fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        param_formats: &[i16],
        params: Vec<Option<Bytes>>,
        result_formats: &[i16],
    ) -> Result<()>;
    fn describe_portal(&mut self, portal: &str) -> Result<Option<(Vec<ResultColumn>, Vec<i16>)>>;
    fn execute(&mut self, portal: &str, max_rows: u64, client: &mut dyn Client) -> Result<ExecuteEnd>;
    fn close_statement(&mut self, name: &str);
    fn close_portal(&mut self, name: &str);
    fn sync(&mut self) -> Result<Option<Self::Commit>>;

    /// The commit of a COMMIT that was executed since the last Sync, if it may still be on its way.
    fn take_pending(&mut self) -> Option<Self::Commit>;

    /// Before `execute`: takes a place in the queue of those who write where the portal needs one. Whether to wait for
    /// `poll_turn`, at most `turn_limit`, before it is executed.
    fn queue_to_write(&mut self, portal: &str) -> bool;
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()>;
    fn turn_limit(&mut self) -> Option<Duration>;

    /// Whether other sessions wait for the end of this one's transaction.
    fn is_waited_for(&self) -> bool;

    /// How long the session may stay idle now.
    fn idle_limit(&self) -> Option<Duration>;

    /// The client broke the protocol: the transaction fails as after a failed statement. Returns the error.
    fn fail(&mut self, error: Error) -> Error;
}

impl Host for Database {
    type Engine = Session;

    fn credentials(&self, user: &str) -> Option<Credentials> {
        self.credentials(user)
    }

    fn connect(&self, options: SessionOptions) -> Result<Session> {
        self.connect(options)
    }
}

impl Interrupt for CancelHandle {
    fn cancel(&self) {
        self.cancel();
    }

    fn terminate(&self) {
        self.terminate();
    }

    fn is_terminated(&self) -> bool {
        self.is_terminated()
    }

    fn check(&self) -> Result<()> {
        self.check()
    }
}

impl Commit for PendingCommit {
    fn on_durable(self, done: Box<dyn FnOnce(Result<()>) + Send>) {
        self.on_durable(done);
    }
}

impl Engine for Session {
    type Interrupt = CancelHandle;
    type Commit = PendingCommit;

    fn interrupt(&self) -> CancelHandle {
        self.cancel_handle()
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.transaction_status()
    }

    fn parameter_status(&self) -> Vec<(String, String)> {
        self.parameter_status()
    }

    fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.take_parameter_changes()
    }

    fn simple_query(&mut self, sql: &str, client: &mut dyn Client) -> Result<Option<PendingCommit>> {
        self.simple_query(sql, client)
    }

    fn parse(&mut self, name: &str, sql: &str, types: &[u32]) -> Result<()> {
        self.parse(name, sql, types)
    }

    fn describe_statement(&mut self, name: &str) -> Result<StatementDescription> {
        self.describe_statement(name)
    }

    fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        param_formats: &[i16],
        params: Vec<Option<Bytes>>,
        result_formats: &[i16],
    ) -> Result<()> {
        self.bind(portal, statement, param_formats, params, result_formats)
    }

    fn describe_portal(&mut self, portal: &str) -> Result<Option<(Vec<ResultColumn>, Vec<i16>)>> {
        self.describe_portal(portal)
    }

    fn execute(&mut self, portal: &str, max_rows: u64, client: &mut dyn Client) -> Result<ExecuteEnd> {
        self.execute(portal, max_rows, client)
    }

    fn close_statement(&mut self, name: &str) {
        self.close_statement(name);
    }

    fn close_portal(&mut self, name: &str) {
        self.close_portal(name);
    }

    fn sync(&mut self) -> Result<Option<PendingCommit>> {
        self.sync()
    }

    fn take_pending(&mut self) -> Option<PendingCommit> {
        self.take_pending()
    }

    fn queue_to_write(&mut self, portal: &str) -> bool {
        self.queue_to_write(portal)
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_turn(context)
    }

    fn turn_limit(&mut self) -> Option<Duration> {
        self.turn_limit()
    }

    fn is_waited_for(&self) -> bool {
        self.is_waited_for()
    }

    fn idle_limit(&self) -> Option<Duration> {
        self.idle_limit()
    }

    fn fail(&mut self, error: Error) -> Error {
        self.fail(error)
    }
}
