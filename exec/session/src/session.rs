//! A session: one client's statements, portals, settings and transaction.
//!
//! The life of a statement: [`Session::simple_query`] or `parse`/`bind`/`execute` -> `plan` (cached by catalog and
//! settings version) -> `run_portal`, under a snapshot of the session's transaction -> rows to the [`Client`] -> commit, whose
//! [`PendingCommit`] the caller awaits before it acknowledges.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use spg_expr::EvalContext;
use spg_store::{PendingCommit, Turn};
use spg_types::{Error, Result};

use crate::cancel::CancelHandle;
use crate::client::{Client, blocking};
use crate::extended::ExecuteEnd;
use crate::instance::Instance;
use crate::planning::Limits;
use crate::portal::{Cursor, Portal, PortalState};
use crate::running::Queued;
use crate::set_config::WantedSettings;
use crate::settings::{Settings, Values};
use crate::statement::Prepared;
use crate::transaction::{Isolation, Transaction, TransactionStatus};

/// What a client says when it connects.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The authenticated user.
    pub user: String,
    /// The database's name as the client gave it.
    pub database: String,
    /// `application_name`.
    pub application_name: String,
    /// Settings from the start-up packet.
    pub settings: Vec<(String, String)>,
    /// The session's process number, from [`Instance::next_pid`].
    pub backend_pid: i32,
}

/// One client's session.
pub struct Session {
    pub(crate) instance: Arc<Instance>,
    pub(crate) user: Arc<str>,
    pub(crate) database: Arc<str>,
    pub(crate) backend_pid: i32,
    pub(crate) settings: Settings,
    pub(crate) settings_version: u64,
    /// Settings changed by SET LOCAL and SET in the present transaction go back to these when it ends or fails.
    pub(crate) settings_at_begin: Option<Arc<Values>>,
    /// Names of those that SET LOCAL changed, in lower case, and all values before it did.
    pub(crate) local_settings: Vec<(String, Arc<Values>)>,
    /// What `set_config` asked for in the running statement; it takes effect when the statement ends.
    pub(crate) wanted_settings: WantedSettings,
    pub(crate) transaction: Option<Transaction>,
    /// A statement whose turn to write or to go on is awaited.
    pub(crate) queued: Option<Queued>,
    /// The running statement's place in the queue of writers.
    pub(crate) turn: Option<Turn>,
    pub(crate) statements: AHashMap<String, Arc<Prepared>>,
    pub(crate) portals: AHashMap<String, Portal>,
    /// Cursors of DECLARE.
    pub(crate) cursors: AHashMap<String, Cursor>,
    /// Commits whose durability the client is yet to wait for; the last covers all.
    pub(crate) pending: Option<PendingCommit>,
    pub(crate) cancel: CancelHandle,
    /// The evaluation context of the present settings, without parameters and times.
    pub(crate) base_context: Option<Arc<EvalContext>>,
    /// What the present settings allow statements.
    pub(crate) limits: Option<Limits>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.instance.unregister(self.backend_pid);
    }
}

impl Session {
    /// Opens a session. 57P03 while the server shuts down; 22023 and 42704 for settings that don't fit.
    pub fn new(instance: Arc<Instance>, options: SessionOptions) -> Result<Self> {
        let mut settings = Settings::new(&instance.overrides());
        settings.set_fixed("session_authorization", options.user.clone());
        let superuser = instance.store.published().role(&options.user).is_some_and(|r| r.superuser);
        settings.set_fixed("is_superuser", if superuser { "on" } else { "off" }.to_owned());
        settings.set("application_name", &options.application_name)?;
        for (name, value) in &options.settings {
            settings.set(name, value)?;
        }
        settings.seal_defaults();
        let cancel = CancelHandle::default();
        instance.register(options.backend_pid, cancel.clone())?;
        Ok(Self {
            instance,
            user: options.user.into(),
            database: options.database.into(),
            backend_pid: options.backend_pid,
            settings,
            settings_version: 0,
            settings_at_begin: None,
            local_settings: vec![],
            wanted_settings: WantedSettings::default(),
            transaction: None,
            queued: None,
            turn: None,
            statements: AHashMap::new(),
            portals: AHashMap::new(),
            cursors: AHashMap::new(),
            pending: None,
            cancel,
            base_context: None,
            limits: None,
        })
    }

    /// Ends what the session is doing, from any thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// For ReadyForQuery.
    pub fn transaction_status(&self) -> TransactionStatus {
        match &self.transaction {
            Some(t) if t.explicit && t.failed => TransactionStatus::Failed,
            Some(t) if t.explicit => TransactionStatus::InTransaction,
            _ => TransactionStatus::Idle,
        }
    }

    /// Whether other sessions wait for the end of this one's transaction.
    pub fn is_waited_for(&self) -> bool {
        self.transaction.as_ref().is_some_and(Transaction::is_waited_for)
    }

    /// How long the session may stay idle now: `idle_in_transaction_session_timeout` within a transaction.
    pub fn idle_limit(&self) -> Option<Duration> {
        if self.transaction_status() == TransactionStatus::Idle {
            return None;
        }
        let ms = self.settings.number("idle_in_transaction_session_timeout");
        (ms > 0).then(|| Duration::from_millis(ms.unsigned_abs()))
    }

    /// Every ParameterStatus, for the start of the session.
    pub fn parameter_status(&self) -> Vec<(String, String)> {
        self.settings.reported()
    }

    /// ParameterStatus to send since the last call.
    pub fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        self.settings.take_changes()
    }

    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Result<String> {
        self.settings.get(name).map(str::to_owned)
    }

    /// Runs every statement of a string as the simple protocol has it: in one transaction, unless the string has its own
    /// BEGIN and COMMIT. The last CommandComplete may be acknowledged once the returned commit is durable.
    pub fn simple_query(&mut self, text: &str, client: &mut dyn Client) -> Result<Option<PendingCommit>> {
        let result = self.run_statements(text, client);
        if let (Err(_), Some(pending)) = (&result, self.pending.take()) {
            // A COMMIT earlier in the string has been told to the client.
            blocking(client, || pending.wait())??;
        }
        result
    }

    fn run_statements(&mut self, text: &str, client: &mut dyn Client) -> Result<Option<PendingCommit>> {
        self.statements.remove("");
        self.portals.remove("");
        let statements = match spg_sql::parse(text) {
            Ok(s) => s,
            Err(e) => return Err(self.failed(e)),
        };
        if statements.is_empty() {
            client.empty_query()?;
            return Ok(None);
        }
        for statement in statements {
            let prepared = Arc::new(Prepared::simple(statement));
            let mut portal = Portal {
                statement: prepared,
                params: Arc::from([]),
                formats: vec![],
                state: PortalState::New,
            };
            match self.run_portal(&mut portal, 0, true, client) {
                Ok(ExecuteEnd::Complete(tag)) => client.command_complete(&tag)?,
                Ok(ExecuteEnd::Empty | ExecuteEnd::Suspended | ExecuteEnd::Turn) => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
        self.end_implicit()
    }

    /// The commit of a COMMIT executed since the last Sync, when its tag is to leave before the next one (Flush).
    pub fn take_pending(&mut self) -> Option<PendingCommit> {
        self.pending.take()
    }

    /// Commits a transaction that no BEGIN opened.
    pub(crate) fn end_implicit(&mut self) -> Result<Option<PendingCommit>> {
        if self.transaction.as_ref().is_some_and(|t| !t.explicit) {
            let pending = self.commit()?;
            self.pending = pending.or(self.pending.take());
        }
        Ok(self.pending.take())
    }

    pub(crate) fn commit(&mut self) -> Result<Option<PendingCommit>> {
        self.portals.clear();
        self.cursors.clear();
        let Some(t) = self.transaction.take() else { return Ok(None) };
        self.settings_at_begin = None;
        for (name, earlier) in std::mem::take(&mut self.local_settings) {
            self.settings.restore_one(&name, &earlier);
            self.settings_changed();
        }
        t.commit()
    }

    pub(crate) fn rollback(&mut self) {
        self.portals.clear();
        self.cursors.clear();
        self.transaction = None;
        self.local_settings.clear();
        if let Some(earlier) = self.settings_at_begin.take() {
            self.settings.restore(&earlier);
            self.settings_changed();
        }
    }

    /// The client broke the protocol: the transaction fails as after a failed statement. Returns the error.
    pub fn fail(&mut self, error: Error) -> Error {
        self.failed(error)
    }

    /// After an error: an explicit transaction waits for its end, an implicit one is rolled back.
    pub(crate) fn failed(&mut self, error: Error) -> Error {
        match &mut self.transaction {
            Some(t) if t.explicit => t.fail(),
            _ => self.rollback(),
        }
        error
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.transaction.as_ref().is_some_and(|t| t.failed)
    }

    /// Starts an implicit transaction where there is none.
    pub(crate) fn begin_if_needed(&mut self) -> &mut Transaction {
        if self.transaction.is_none() {
            let isolation = self
                .settings
                .get("default_transaction_isolation")
                .ok()
                .and_then(Isolation::parse)
                .unwrap_or(Isolation::ReadCommitted);
            let read_only = self.settings.flag("default_transaction_read_only");
            self.settings_at_begin = None;
            self.transaction = Some(Transaction::new(false, isolation, read_only, (self.instance.clock)()));
        }
        let clock = self.instance.clock;
        self.transaction
            .get_or_insert_with(|| Transaction::new(false, Isolation::ReadCommitted, false, clock()))
    }
}
