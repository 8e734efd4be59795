//! A session: one client's statements, portals, settings and transaction.
//!
//! The life of a statement: [`Session::simple_query`] or `parse`/`bind`/`execute` -> `plan` (cached by catalog and
//! settings version) -> `run_portal`, under a snapshot of the session's transaction -> rows to the [`Client`] -> commit, whose
//! [`PendingCommit`] the caller awaits before it acknowledges.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use bytes::Bytes;
use spg_expr::EvalContext;
use spg_plan::bind::{BindInput, BoundKind, Query, QueryTag, ResultColumn, Utility};
use spg_plan::rules::{OptimizerEnv, optimize};
use spg_run::{CompiledPlan, ExecEnv, MemoryBudget};
use spg_store::{DbSnapshot, PendingCommit};
use spg_types::{Datum, Error, Result, SqlState, SqlType, type_by_oid};

use crate::cancel::{CancelHandle, Running};
use crate::catalog_view::{DEFAULT_SCHEMA, SnapshotCatalog};
use crate::client::{Client, blocking};
use crate::instance::Instance;
use crate::portal::{Cursor, CursorTag, Portal, PortalState};
use crate::settings::Settings;
use crate::statement::{Planned, PlannedKind, PlannedQuery, Prepared, tag, verb_name};
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

/// What Describe says of a statement.
#[derive(Clone, Debug)]
pub struct StatementDescription {
    /// Parameter types.
    pub params: Vec<SqlType>,
    /// Result columns; `None` for a statement without rows.
    pub columns: Option<Vec<ResultColumn>>,
}

/// How an Execute ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecuteEnd {
    /// The statement ended, with this tag.
    Complete(String),
    /// The row limit was reached.
    Suspended,
    /// The statement was empty.
    Empty,
}

/// One client's session.
pub struct Session {
    pub(crate) instance: Arc<Instance>,
    pub(crate) user: Arc<str>,
    database: Arc<str>,
    backend_pid: i32,
    pub(crate) settings: Settings,
    settings_version: u64,
    /// Settings changed by SET LOCAL and SET in the present transaction go back to these when it ends or fails.
    pub(crate) settings_at_begin: Option<AHashMap<&'static str, String>>,
    pub(crate) local_settings: Vec<(&'static str, String)>,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) statements: AHashMap<String, Arc<Prepared>>,
    portals: AHashMap<String, Portal>,
    /// Cursors of DECLARE.
    pub(crate) cursors: AHashMap<String, Cursor>,
    /// Commits whose durability the client is yet to wait for; the last covers all.
    pub(crate) pending: Option<PendingCommit>,
    cancel: CancelHandle,
    /// The evaluation context of the present settings, without parameters and times.
    base_context: Option<Arc<EvalContext>>,
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
            transaction: None,
            statements: AHashMap::new(),
            portals: AHashMap::new(),
            cursors: AHashMap::new(),
            pending: None,
            cancel,
            base_context: None,
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
            let prepared = Arc::new(Prepared::new(Some(statement), vec![]));
            let mut portal = Portal {
                statement: prepared,
                params: Arc::from([]),
                formats: vec![],
                state: PortalState::New,
            };
            match self.run_portal(&mut portal, 0, true, client) {
                Ok(ExecuteEnd::Complete(tag)) => client.command_complete(&tag)?,
                Ok(ExecuteEnd::Empty | ExecuteEnd::Suspended) => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
        self.end_implicit()
    }

    /// Parse. Type 0 leaves a parameter's type open.
    pub fn parse(&mut self, name: &str, text: &str, param_oids: &[u32]) -> Result<()> {
        let result = self.try_parse(name, text, param_oids);
        result.map_err(|e| self.failed(e))
    }

    fn try_parse(&mut self, name: &str, text: &str, param_oids: &[u32]) -> Result<()> {
        if !name.is_empty() && self.statements.contains_key(name) {
            return Err(Error::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        let mut statements = spg_sql::parse(text)?;
        if statements.len() > 1 {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let hints = param_oids
            .iter()
            .map(|oid| match oid {
                0 => Ok(None),
                oid => type_by_oid(*oid).map(|def| Some(SqlType::new(def))).ok_or_else(|| {
                    Error::new(SqlState::UNDEFINED_OBJECT, format!("type with OID {oid} does not exist"))
                }),
            })
            .collect::<Result<Vec<_>>>()?;
        let prepared = Prepared::new(statements.pop(), hints);
        self.begin_if_needed();
        if let Some(s) = &prepared.statement
            && !self.is_failed()
        {
            // PostgreSQL reports errors of names and types at Parse.
            let _ = s;
            self.plan(&prepared)?;
        } else if prepared.statement.as_ref().is_some_and(|s| !ends_transaction(s)) {
            return Err(in_failed_transaction());
        }
        self.statements.insert(name.to_owned(), Arc::new(prepared));
        Ok(())
    }

    /// Describe of a statement. 26000 when there is none of that name.
    pub fn describe_statement(&mut self, name: &str) -> Result<StatementDescription> {
        let result = self.statement(name).and_then(|s| self.describe(&s));
        result.map_err(|e| self.failed(e))
    }

    fn describe(&mut self, prepared: &Prepared) -> Result<StatementDescription> {
        if prepared.statement.is_none() {
            return Ok(StatementDescription { params: vec![], columns: None });
        }
        self.begin_if_needed();
        let planned = self.plan(prepared)?;
        Ok(StatementDescription { params: planned.params.clone(), columns: self.result_columns(&planned) })
    }

    fn statement(&self, name: &str) -> Result<Arc<Prepared>> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let what = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, what)
        })
    }

    /// Bind. Parameter formats as the protocol has them: none means text, one applies to all.
    pub fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        param_formats: &[i16],
        params: Vec<Option<Bytes>>,
        result_formats: &[i16],
    ) -> Result<()> {
        let result = self.try_bind(portal, statement, param_formats, &params, result_formats);
        result.map_err(|e| self.failed(e))
    }

    fn try_bind(
        &mut self,
        portal: &str,
        statement: &str,
        param_formats: &[i16],
        params: &[Option<Bytes>],
        result_formats: &[i16],
    ) -> Result<()> {
        let prepared = self.statement(statement)?;
        if !portal.is_empty() && self.portals.contains_key(portal) {
            return Err(Error::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{portal}\" already exists"),
            ));
        }
        if self.is_failed() && prepared.statement.as_ref().is_some_and(|s| !ends_transaction(s)) {
            return Err(in_failed_transaction());
        }
        self.begin_if_needed();
        let values = if prepared.statement.is_none() || (params.is_empty() && self.is_failed()) {
            vec![]
        } else {
            let planned = self.plan(&prepared)?;
            if params.len() != planned.params.len() {
                let name = statement;
                return Err(Error::new(
                    SqlState::PROTOCOL_VIOLATION,
                    format!(
                        "bind message supplies {} parameters, but prepared statement \"{name}\" requires {}",
                        params.len(),
                        planned.params.len()
                    ),
                ));
            }
            if param_formats.len() > 1 && param_formats.len() != params.len() {
                return Err(Error::new(
                    SqlState::PROTOCOL_VIOLATION,
                    format!(
                        "bind message has {} parameter formats but {} parameters",
                        param_formats.len(),
                        params.len()
                    ),
                ));
            }
            let context = self.base_context();
            params
                .iter()
                .zip(&planned.params)
                .enumerate()
                .map(|(i, (value, ty))| {
                    let format = match param_formats {
                        [] => 0,
                        [f] => *f,
                        many => many[i],
                    };
                    parameter(value.as_deref(), *ty, format, &context)
                })
                .collect::<Result<Vec<_>>>()?
        };
        let p = Portal {
            statement: prepared,
            params: values.into(),
            formats: result_formats.to_vec(),
            state: PortalState::New,
        };
        self.portals.insert(portal.to_owned(), p);
        Ok(())
    }

    /// Describe of a portal: its columns with their formats; `None` for a statement without rows. 34000 when there is none of
    /// that name.
    pub fn describe_portal(&mut self, name: &str) -> Result<Option<(Vec<ResultColumn>, Vec<i16>)>> {
        let result = self.try_describe_portal(name);
        result.map_err(|e| self.failed(e))
    }

    fn try_describe_portal(&mut self, name: &str) -> Result<Option<(Vec<ResultColumn>, Vec<i16>)>> {
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        let formats = portal.formats.clone();
        let prepared = portal.statement.clone();
        Ok(self.describe(&prepared)?.columns.map(|c| (c, formats)))
    }

    /// Execute: up to `max_rows` rows, 0 for all.
    pub fn execute(&mut self, name: &str, max_rows: u64, client: &mut dyn Client) -> Result<ExecuteEnd> {
        let Some(mut portal) = self.portals.remove(name) else {
            return Err(self.failed(no_portal(name)));
        };
        let result = self.run_portal(&mut portal, max_rows, false, client);
        // Ending a transaction ends its portals, this one too.
        if self.transaction.is_some() {
            self.portals.insert(name.to_owned(), portal);
        }
        result.map_err(|e| self.failed(e))
    }

    /// Close of a statement; no error when there is none of that name.
    pub fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    /// Close of a portal; no error when there is none of that name.
    pub fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    /// Sync: ends the implicit transaction. ReadyForQuery may go out once the returned commit is durable.
    pub fn sync(&mut self) -> Result<Option<PendingCommit>> {
        self.end_implicit()
    }

    /// The commit of a COMMIT executed since the last Sync, when its tag is to leave before the next one (Flush).
    pub fn take_pending(&mut self) -> Option<PendingCommit> {
        self.pending.take()
    }

    /// Commits a transaction that no BEGIN opened.
    fn end_implicit(&mut self) -> Result<Option<PendingCommit>> {
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
        for (name, value) in std::mem::take(&mut self.local_settings) {
            self.settings.restore([(name, value)].into_iter().collect());
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
            self.settings.restore(earlier);
            self.settings_changed();
        }
    }

    /// After an error: an explicit transaction waits for its end, an implicit one is rolled back.
    /// The client broke the protocol: the transaction fails as after a failed statement. Returns the error.
    pub fn fail(&mut self, error: Error) -> Error {
        self.failed(error)
    }

    fn failed(&mut self, error: Error) -> Error {
        match &mut self.transaction {
            Some(t) if t.explicit => t.failed = true,
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

    pub(crate) fn settings_changed(&mut self) {
        self.settings_version += 1;
        self.base_context = None;
    }

    /// What the statement reads.
    pub(crate) fn snapshot(&mut self) -> Arc<DbSnapshot> {
        let store = self.instance.store.clone();
        self.begin_if_needed().snapshot(&store)
    }

    /// The context of the present settings, without parameters.
    pub(crate) fn base_context(&mut self) -> Arc<EvalContext> {
        if let Some(c) = &self.base_context {
            return c.clone();
        }
        let values = self.settings.clone();
        let context = Arc::new(EvalContext {
            format: self.settings.format(0),
            params: Arc::from([]),
            statement_now_us: 0,
            user: self.user.clone(),
            session_user: self.user.clone(),
            database: self.database.clone(),
            schema: DEFAULT_SCHEMA.into(),
            backend_pid: self.backend_pid,
            version: self.instance.version.clone(),
            settings: Arc::new(move |name| values.get(name).ok().map(str::to_owned)),
        });
        self.base_context = Some(context.clone());
        context
    }

    /// The context of one statement.
    fn context(&mut self, params: &Arc<[Datum]>) -> Arc<EvalContext> {
        let mut context = (*self.base_context()).clone();
        context.params = params.clone();
        context.statement_now_us = (self.instance.clock)();
        context.format.now_us = self.begin_if_needed().start_us;
        Arc::new(context)
    }

    /// The statement's plan: the one it has, or a new one.
    pub(crate) fn plan(&mut self, prepared: &Prepared) -> Result<Arc<Planned>> {
        let snapshot = self.snapshot();
        if let Some(planned) = prepared.current(&snapshot, self.settings_version) {
            return Ok(planned);
        }
        let Some(statement) = &prepared.statement else {
            return Err(Error::internal("an empty statement has no plan"));
        };
        let mut format = self.base_context().format.clone();
        format.now_us = self.begin_if_needed().start_us;
        let catalog = SnapshotCatalog(&snapshot);
        let input = BindInput {
            catalog: &catalog,
            registry: self.instance.registry,
            format: &format,
            param_types: &prepared.param_hints,
        };
        let bound = guarded(|| spg_plan::bind::bind(statement, &input))?;
        let (kind, assumptions) = match bound.kind {
            BoundKind::Query(query) => {
                let (planned, assumptions) = self.compile(query, &snapshot)?;
                (PlannedKind::Query(planned), assumptions)
            }
            other => (PlannedKind::Utility(other), vec![]),
        };
        let planned = Arc::new(Planned {
            params: bound.params,
            kind,
            catalog_version: snapshot.catalog_version(),
            settings_version: self.settings_version,
            assumptions,
        });
        prepared.keep(planned.clone());
        Ok(planned)
    }

    /// Optimizes a bound query and lays out its pipelines.
    pub(crate) fn compile(
        &mut self,
        query: Query,
        snapshot: &Arc<DbSnapshot>,
    ) -> Result<(PlannedQuery, Vec<spg_plan::rules::Assumption>)> {
        let catalog = SnapshotCatalog(snapshot);
        let env = OptimizerEnv {
            catalog: &catalog,
            registry: self.instance.registry,
            ctx: None,
            enabled: self.settings.flag("spg.optimizer"),
        };
        let optimized = guarded(|| optimize(query.plan, &query.output, &env))?;
        let compiled = Arc::new(guarded(|| CompiledPlan::compile(&optimized.plan, &query.output))?);
        let planned = PlannedQuery {
            verb: query.tag,
            row_locks: query.row_locks,
            columns: query.columns.into(),
            compiled,
        };
        Ok((planned, optimized.assumptions))
    }

    /// What a statement runs in.
    pub(crate) fn environment(
        &mut self,
        snapshot: Arc<DbSnapshot>,
        params: &Arc<[Datum]>,
        running: &Running,
    ) -> ExecEnv {
        let ctx = self.context(params);
        let budget = match self.settings.number("work_mem").unsigned_abs() {
            0 => usize::MAX,
            kilobytes => usize::try_from(kilobytes * 1024).unwrap_or(usize::MAX),
        };
        let workers = match self.settings.number("spg.workers") {
            0 => self.instance.workers,
            n => (n as usize).min(self.instance.workers),
        };
        ExecEnv {
            snapshot,
            ctx,
            scheduler: self.instance.scheduler.clone(),
            memory: MemoryBudget::in_pool(&self.instance.memory, budget),
            cancel: running.token.clone(),
            batch_size: self.settings.number("spg.batch_size").max(1) as usize,
            parallelism: workers,
        }
    }

    /// Runs a portal, or goes on with it.
    fn run_portal(
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
        let running = self.cancel.begin();
        let limit = self.settings.number("statement_timeout").unsigned_abs();
        let watched =
            (limit > 0).then(|| self.instance.watchdog.watch(&running, Duration::from_millis(limit)));
        let result = match catch_unwind(AssertUnwindSafe(|| {
            running.token.check()?;
            self.advance(portal, max_rows, describe, &running, client)
        })) {
            Ok(r) => r,
            Err(panic) => Err(panic_error(&*panic)),
        };
        drop(watched);
        self.cancel.end();
        result
    }

    fn advance(
        &mut self,
        portal: &mut Portal,
        max_rows: u64,
        describe: bool,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<ExecuteEnd> {
        if let PortalState::New = portal.state {
            portal.state = PortalState::Done;
            self.begin_if_needed().used = true;
            let planned = self.plan(&portal.statement)?;
            let started = match &planned.kind {
                PlannedKind::Query(q) => self.start_query(portal, &planned, q, running, client)?,
                PlannedKind::Utility(bound) => {
                    let statement = portal.statement.clone();
                    self.utility(bound, &statement, &portal.params, running, client)?
                }
            };
            match started {
                Started::Complete(tag) => return Ok(ExecuteEnd::Complete(tag)),
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

    fn start_query(
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
        self.lock_for_writing(verb_name(query.verb), running, client)?;
        // The lock's snapshot may be newer than the one that the statement was planned for.
        let newer = self.plan(&portal.statement)?;
        let query = match (&newer.kind, Arc::ptr_eq(&newer, planned)) {
            (PlannedKind::Query(q), false) => q,
            _ => query,
        };
        self.run_query(query, &portal.params, running, client)
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
        if query.verb == QueryTag::Select {
            let stream = query.compiled.start(env)?;
            return Ok(Started::Open(Cursor::stream(query.columns.clone(), stream)));
        }
        let write = self.begin_if_needed().write()?;
        let modified = if query.compiled.is_point() {
            query.compiled.modify(env, write)?
        } else {
            blocking(client, || query.compiled.modify(env, write))??
        };
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
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<()> {
        let store = self.instance.store.clone();
        let timeout = match self.settings.number("lock_timeout") {
            0 => None,
            ms => Some(Duration::from_millis(ms.unsigned_abs())),
        };
        let t = self.begin_if_needed();
        if t.read_only {
            return Err(Error::new(
                SqlState::READ_ONLY_SQL_TRANSACTION,
                format!("cannot execute {what} in a read-only transaction"),
            ));
        }
        if t.is_writing() {
            return Ok(());
        }
        // Free most of the time: try before giving the thread away.
        let at_once = Some(Duration::ZERO);
        match t.start_writing(&store, at_once, running) {
            Err(e) if e.state() == SqlState::LOCK_NOT_AVAILABLE && timeout != at_once => {
                blocking(client, || t.start_writing(&store, timeout, running))?
            }
            other => other,
        }
    }

    /// Columns that Describe tells of a planned statement.
    fn result_columns(&self, planned: &Planned) -> Option<Vec<ResultColumn>> {
        match &planned.kind {
            PlannedKind::Query(q) if q.columns.is_empty() && q.verb != QueryTag::Select => None,
            PlannedKind::Query(q) => Some(q.columns.to_vec()),
            PlannedKind::Utility(bound) => self.utility_columns(bound),
        }
    }
}

/// How a statement began.
pub(crate) enum Started {
    /// And ended.
    Complete(String),
    /// With rows to fetch.
    Open(Cursor),
}

fn parameter(value: Option<&[u8]>, ty: SqlType, format: i16, context: &EvalContext) -> Result<Datum> {
    let Some(bytes) = value else { return Ok(Datum::Null) };
    let mut builder = spg_types::ColumnBuilder::new(ty, 1);
    match format {
        0 => {
            let text = std::str::from_utf8(bytes).map_err(|_| {
                Error::new(
                    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                    "invalid byte sequence for encoding \"UTF8\"",
                )
            })?;
            if text.contains('\0') {
                return Err(Error::new(
                    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                    "invalid byte sequence for encoding \"UTF8\": 0x00",
                ));
            }
            (ty.def.text_in)(text, ty, &context.format, &mut builder)?;
        }
        1 => (ty.def.binary_in)(bytes, ty, &mut builder)?,
        other => {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {other}"),
            ));
        }
    }
    Datum::from_column(&builder.finish(), 0, ty)
}

fn no_portal(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

fn in_failed_transaction() -> Error {
    Error::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// Whether a failed transaction accepts the statement: COMMIT, ROLLBACK, ROLLBACK TO.
fn ends_transaction(statement: &spg_sql::Statement) -> bool {
    use spg_sql::ast::Statement as S;
    matches!(statement.ast(), Some(S::Commit { .. } | S::Rollback { .. }))
}

/// Runs code over user input that may have a defect: a panic becomes XX000.
fn guarded<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
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
        Utility::Begin(_)
            | Utility::Commit { .. }
            | Utility::Rollback { .. }
            | Utility::Savepoint(_)
            | Utility::Release(_)
            | Utility::RollbackTo(_)
    )
}
