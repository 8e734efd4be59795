//! What all sessions of one database share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use ahash::AHashMap;
use parking_lot::Mutex;
use spg_expr::Registry;
use spg_run::{MemoryPool, Scheduler, SystemCatalog};
use spg_store::Store;
use spg_types::{Error, Result, SqlState};

use crate::auth::{Credentials, is_of_password, scram_verifier};
use crate::cancel::{CancelHandle, Watchdog};

/// The admin's password on a first start without one of its own.
const DEFAULT_ADMIN_PASSWORD: &str = "bench";

/// What an instance is made of.
pub struct InstanceConfig {
    /// The database.
    pub store: Arc<Store>,
    /// Functions, operators, casts.
    pub registry: &'static Registry,
    /// System relations.
    pub system: Arc<dyn SystemCatalog>,
    /// Worker threads.
    pub workers: usize,
    /// Memory for running queries, bytes.
    pub query_memory_bytes: usize,
    /// Default of `statement_timeout`, milliseconds; 0 is never.
    pub query_timeout_ms: u64,
    /// `server_version` as clients see it, and `version()`.
    pub server_version: String,
    /// `version()`.
    pub version: String,
    /// Settings with another default than their record's.
    pub settings: Vec<(String, String)>,
    /// Microseconds since 1970-01-01 UTC.
    pub clock: fn() -> i64,
}

/// One open database: store, workers, memory, sessions.
pub struct Instance {
    pub(crate) store: Arc<Store>,
    pub(crate) registry: &'static Registry,
    pub(crate) system: Arc<dyn SystemCatalog>,
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) memory: Arc<MemoryPool>,
    pub(crate) watchdog: Watchdog,
    pub(crate) version: Arc<str>,
    pub(crate) clock: fn() -> i64,
    pub(crate) workers: usize,
    overrides: Vec<(String, String)>,
    sessions: Mutex<AHashMap<i32, CancelHandle>>,
    next_pid: AtomicI32,
    shutting_down: AtomicBool,
}

impl Instance {
    /// Starts the workers.
    pub fn new(config: InstanceConfig) -> Arc<Self> {
        let mut overrides = config.settings;
        overrides.push(("server_version".into(), config.server_version));
        overrides
            .push(("statement_timeout".into(), crate::settings::show_milliseconds(config.query_timeout_ms)));
        Arc::new(Self {
            store: config.store,
            registry: config.registry,
            system: config.system,
            scheduler: Scheduler::new(config.workers),
            memory: MemoryPool::new(config.query_memory_bytes),
            watchdog: Watchdog::default(),
            version: config.version.into(),
            clock: config.clock,
            workers: config.workers,
            overrides,
            sessions: Mutex::default(),
            next_pid: AtomicI32::new(1),
            shutting_down: AtomicBool::new(false),
        })
    }

    /// Makes the admin's role on the first start; a password given later replaces the stored one. Says whether the admin has
    /// the default password.
    pub fn ensure_admin(&self, user: &str, password: Option<&str>) -> Result<bool> {
        let snapshot = self.store.published();
        let existing = snapshot.role(user);
        if let (Some(role), None) = (existing, password) {
            return Ok(role.default_password);
        }
        // Nothing is written that is there already: a start needs no room on the disk for it.
        if let (Some(role), Some(password)) = (existing, password)
            && role.superuser
            && role.login
            && !role.default_password
            && role.scram_verifier.as_ref().is_some_and(|v| is_of_password(v, password))
        {
            return Ok(false);
        }
        let role = spg_store::Role {
            name: user.to_owned(),
            superuser: true,
            login: true,
            scram_verifier: Some(scram_verifier(password.unwrap_or(DEFAULT_ADMIN_PASSWORD))?),
            default_password: password.is_none(),
        };
        let mut txn = self.store.begin(&spg_store::LockWait::default())?;
        txn.put_role(role)?;
        txn.commit()?.wait()?;
        Ok(password.is_none())
    }

    /// What a user's password is checked against; `None` for a user that does not exist or may not log in.
    pub fn credentials(&self, user: &str) -> Option<Credentials> {
        let snapshot = self.store.published();
        let role = snapshot.role(user).filter(|r| r.login)?;
        Some(Credentials {
            scram_verifier: role.scram_verifier.clone()?,
            loopback_only: role.default_password,
        })
    }

    /// A number for a new session that no other open session has.
    pub fn next_pid(&self) -> i32 {
        self.next_pid.fetch_add(1, Ordering::Relaxed)
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn overrides(&self) -> Vec<(&str, String)> {
        self.overrides.iter().map(|(n, v)| (n.as_str(), v.clone())).collect()
    }

    pub(crate) fn register(&self, pid: i32, handle: CancelHandle) -> Result<()> {
        if self.shutting_down.load(Ordering::Acquire) {
            return Err(Error::new(SqlState::CANNOT_CONNECT_NOW, "the database system is shutting down"));
        }
        self.sessions.lock().insert(pid, handle);
        Ok(())
    }

    pub(crate) fn unregister(&self, pid: i32) {
        self.sessions.lock().remove(&pid);
    }

    /// Sessions that are open.
    pub fn open_sessions(&self) -> usize {
        self.sessions.lock().len()
    }

    /// No new sessions from now on.
    pub fn refuse_sessions(&self) {
        self.shutting_down.store(true, Ordering::Release);
    }

    /// Ends what every session is doing with 57P01.
    pub fn terminate_sessions(&self) {
        for handle in self.sessions.lock().values() {
            handle.terminate();
        }
    }
}
