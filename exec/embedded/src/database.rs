//! An open database.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spg_session::{Credentials, Instance, InstanceConfig, Session, SessionOptions};
use spg_store::{LockWait, Replayed, Store, StoreOptions, TableSnapshot, TierOptions};
use spg_types::{Result, SqlState};
use spg_vfs::{MemoryVfs, RealVfs, Vfs};

use crate::config::VERSION;
use crate::system::System;
use crate::{Config, Connection};

/// The PostgreSQL version that SPG is compatible with.
const POSTGRES_VERSION: &str = "15.0";

/// An open database; clones are handles to the same one. Closed when asked to, or when the last handle goes.
#[derive(Clone)]
pub struct Database {
    instance: Arc<Instance>,
    admin: Arc<str>,
    default_password: bool,
}

impl Database {
    /// Opens the database, creating it where there is none, and brings it to its last acknowledged state.
    ///
    /// Errors: 55006 when another process has it open, XX001 when a file is damaged or of another kind, 58030 when a file can't
    /// be read or written.
    pub fn open(config: Config) -> Result<Self> {
        Self::open_on(Arc::new(RealVfs), config)
    }

    /// Opens an empty database that lives in memory only; paths in the configuration are not used.
    pub fn open_in_memory(config: Config) -> Result<Self> {
        Self::open_on(Arc::new(MemoryVfs::new()), config)
    }

    /// Opens a database on a given file system.
    pub fn open_on(vfs: Arc<dyn Vfs>, config: Config) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let store = Store::open(StoreOptions {
            vfs,
            db_path: config.db_path,
            wal_path: config.wal_path,
            synchronous_commit: config.synchronous_commit,
            wal_tee: config.wal_tee,
            checkpoint_wal_bytes: config.checkpoint_wal_bytes,
            tier: TierOptions {
                hot_bytes: usize::try_from(config.hot_tier_bytes).unwrap_or(usize::MAX),
                cache_bytes: usize::try_from(config.cache_bytes).unwrap_or(usize::MAX),
                zstd_level: config.zstd_level,
                compact_segments: config.compact_segments,
            },
            clock: now_us,
        })?;
        let instance = Instance::new(InstanceConfig {
            system: Arc::new(System(store.clone())),
            store,
            registry: spg_functions::registry(),
            workers: config.workers.unwrap_or(cores).max(1),
            query_memory_bytes: config.query_memory_bytes.unwrap_or_else(quarter_of_memory),
            query_timeout_ms: config.query_timeout_ms,
            server_version: format!("{POSTGRES_VERSION} (SPG {VERSION})"),
            version: format!("PostgreSQL {POSTGRES_VERSION} (SPG {VERSION}) on x86_64, 64-bit"),
            settings: config.settings,
            clock: now_us,
        });
        let default_password = instance.ensure_admin(&config.admin_user, config.admin_password.as_deref())?;
        Ok(Self { instance, admin: config.admin_user.into(), default_password })
    }

    /// Whether the admin still has the default password.
    pub fn has_default_password(&self) -> bool {
        self.default_password
    }

    /// The admin's name.
    pub fn admin_user(&self) -> &str {
        &self.admin
    }

    /// Opens a session for an authenticated user.
    pub fn connect(&self, options: SessionOptions) -> Result<Session> {
        Session::new(self.instance.clone(), options)
    }

    /// Opens a session as the admin, with results gathered in memory.
    pub fn connection(&self) -> Result<Connection> {
        let session = self.connect(SessionOptions {
            user: self.admin.to_string(),
            database: self.admin.to_string(),
            application_name: String::new(),
            settings: vec![],
            backend_pid: self.next_pid(),
        })?;
        Ok(Connection::new(session))
    }

    /// A number for a new session.
    pub fn next_pid(&self) -> i32 {
        self.instance.next_pid()
    }

    /// What a user's password is checked against; `None` for one that may not log in.
    pub fn credentials(&self, user: &str) -> Option<Credentials> {
        self.instance.credentials(user)
    }

    /// Sessions that are open.
    pub fn open_sessions(&self) -> usize {
        self.instance.open_sessions()
    }

    /// No new sessions from now on: they get 57P03.
    pub fn refuse_sessions(&self) {
        self.instance.refuse_sessions();
    }

    /// Ends what every session is doing with 57P01.
    pub fn terminate_sessions(&self) {
        self.instance.terminate_sessions();
    }

    /// Makes the newest state a checkpoint: a start then needs only the log after it.
    pub fn checkpoint(&self) -> Result<()> {
        self.instance.store().checkpoint()
    }

    /// Moves the rows of all tables to the cold tier; how many. Does nothing while a transaction writes.
    pub fn freeze(&self) -> Result<u64> {
        let store = self.instance.store();
        let wait = LockWait { timeout: Some(Duration::ZERO), cancelled: None };
        let mut rows = 0;
        let has_hot_rows = |t: &&Arc<TableSnapshot>| t.row_groups().any(|g| !g.is_cold());
        for table in store.published().tables().filter(has_hot_rows) {
            if table.def().columns.is_empty() {
                continue;
            }
            match store.freeze(table.def().id, &wait) {
                Ok(n) => rows += n,
                Err(e) if e.state() == SqlState::LOCK_NOT_AVAILABLE => return Ok(rows),
                Err(e) => return Err(e),
            }
        }
        Ok(rows)
    }

    /// Writes the newest state into one file that can be opened as a database; the number of its last commit.
    pub fn backup(&self, target: &Path) -> Result<u64> {
        self.instance.store().backup(target)
    }

    /// Writes what is left to write, syncs the log and makes a last checkpoint.
    pub fn close(&self) -> Result<()> {
        self.instance.store().close()
    }
}

/// What a log held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplaySummary {
    /// The commit of the checkpoint that the log was applied to; 0 when the log is whole.
    pub baseline: u64,
    /// The last commit; those after the baseline were applied.
    pub commits: u64,
    /// Schema, name and rows of every table.
    pub tables: Vec<(String, String, u64)>,
}

/// Rebuilds catalog and data from a log, in memory, and says what was there. The database at `db` gives its checkpoint where the
/// log does not go back to the first commit. Nothing is changed.
pub fn replay_only(wal: &Path, db: &Path) -> Result<ReplaySummary> {
    let Replayed { snapshot, baseline } = Store::replay(Arc::new(RealVfs), wal, db)?;
    let mut tables: Vec<_> =
        snapshot.tables().map(|t| (t.def().schema.clone(), t.def().name.clone(), t.rows())).collect();
    tables.sort();
    Ok(ReplaySummary { baseline, commits: snapshot.commit_no(), tables })
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}

fn quarter_of_memory() -> usize {
    let info = rustix::system::sysinfo();
    (info.totalram as usize).saturating_mul(info.mem_unit as usize) / 4
}
