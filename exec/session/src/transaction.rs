//! The state of a session's transaction: PostgreSQL's transaction blocks over the store's snapshots and its writers.

use std::sync::Arc;
use std::time::Duration;

use spg_store::{DbSnapshot, LockWait, PendingCommit, Savepoint, Store, Turn, WriteMode, WriteTxn};
use spg_types::{Error, Result, SqlState, TableId};

use crate::cancel::Running;
use crate::settings::Values;

/// As ReadyForQuery tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Not in a transaction block.
    Idle,
    /// In a transaction block.
    InTransaction,
    /// In a transaction block that failed: only its end is accepted.
    Failed,
}

/// Isolation levels; READ UNCOMMITTED is READ COMMITTED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// A snapshot per statement.
    ReadCommitted,
    /// A snapshot per transaction.
    RepeatableRead,
    /// The write lock, alone, from the start: transactions run one after the other.
    Serializable,
}

impl Isolation {
    /// By its name in SQL, lower case.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "read uncommitted" | "read committed" => Some(Self::ReadCommitted),
            "repeatable read" => Some(Self::RepeatableRead),
            "serializable" => Some(Self::Serializable),
            _ => None,
        }
    }

    /// Its name in SQL.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        }
    }
}

/// A savepoint: what the store keeps for it, or nothing when the transaction had not written yet.
struct NamedSavepoint {
    name: String,
    store: Option<Savepoint>,
    settings: SettingsMark,
    /// READ ONLY then: it may be set anew inside the savepoint, and for no longer.
    read_only: bool,
}

/// The session's settings at a savepoint.
#[derive(Clone)]
pub(crate) struct SettingsMark {
    /// Their values.
    pub values: Arc<Values>,
    /// How many SET LOCAL had changed.
    pub locals: usize,
    /// Names of the cursors there were.
    pub cursors: Vec<String>,
}

/// A transaction, begun by BEGIN or by a statement on its own.
pub(crate) struct Transaction {
    /// Begun by BEGIN: lasts until COMMIT or ROLLBACK.
    pub explicit: bool,
    /// A statement has failed.
    pub failed: bool,
    /// Isolation level.
    pub isolation: Isolation,
    /// READ ONLY.
    pub read_only: bool,
    /// `now()`: microseconds since 1970-01-01 UTC.
    pub start_us: i64,
    /// A query has run: the isolation level is fixed, and above READ COMMITTED the snapshot.
    pub queried: bool,
    /// What is read: by this statement under READ COMMITTED, by the whole transaction above it.
    snapshot: Option<Arc<DbSnapshot>>,
    write: Option<WriteTxn>,
    savepoints: Vec<NamedSavepoint>,
}

impl Transaction {
    pub(crate) fn new(explicit: bool, isolation: Isolation, read_only: bool, start_us: i64) -> Self {
        Self {
            explicit,
            failed: false,
            isolation,
            read_only,
            start_us,
            queried: false,
            snapshot: None,
            write: None,
            savepoints: vec![],
        }
    }

    /// What a statement reads: its own writes, else the transaction's or the newest snapshot.
    pub(crate) fn snapshot(&mut self, store: &Store) -> Arc<DbSnapshot> {
        if let Some(w) = &self.write {
            return w.snapshot();
        }
        self.snapshot.get_or_insert_with(|| store.published()).clone()
    }

    /// A new statement starts: READ COMMITTED looks anew, the levels above until their first query. A transaction that writes
    /// beside others sees its own changes in these tables, in all without a list.
    pub(crate) fn start_statement(&mut self, tables: Option<&[TableId]>) -> Result<()> {
        if self.isolation == Isolation::ReadCommitted || !self.queried {
            self.snapshot = None;
        }
        self.write.as_mut().map_or(Ok(()), |w| w.start_statement(tables))
    }

    /// Whether it holds the write lock.
    pub(crate) fn is_writing(&self) -> bool {
        self.write.is_some()
    }

    /// How a change of rows is written.
    pub(crate) fn write_mode(&self) -> WriteMode {
        match self.isolation {
            Isolation::ReadCommitted => WriteMode::Shared,
            Isolation::RepeatableRead | Isolation::Serializable => WriteMode::Exclusive,
        }
    }

    /// A statement has failed: without a savepoint to go back to, what was written is undone at once, and others go on.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
        if self.savepoints.is_empty() {
            self.write = None;
        }
    }

    /// Whether it is inside a savepoint.
    pub(crate) fn in_savepoint(&self) -> bool {
        !self.savepoints.is_empty()
    }

    /// Whether other sessions wait for this transaction's end.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.write.as_ref().is_some_and(WriteTxn::is_waited_for)
    }

    /// The write transaction, once `start_writing` has succeeded.
    pub(crate) fn write(&mut self) -> Result<&mut WriteTxn> {
        self.write.as_mut().ok_or_else(|| Error::internal("the transaction has not begun to write"))
    }

    /// Takes the write lock from a place in its queue, waiting for it as long as `lock_timeout` allows.
    /// 55P03 when the time is up. A transaction with a snapshot of its own goes on reading that one.
    pub(crate) fn start_writing(
        &mut self,
        store: &Arc<Store>,
        turn: Turn,
        lock_timeout: Option<Duration>,
        running: &Running,
    ) -> Result<()> {
        if self.write.is_some() {
            return Ok(());
        }
        let wait = lock_wait(lock_timeout, running);
        let own = self.snapshot.as_ref().filter(|_| self.isolation != Isolation::ReadCommitted);
        let begun = store.begin_turn(turn, own, &wait);
        // Why a wait was cut short is the token's to say: cancel, time limit or shutdown.
        let write = begun.map_err(|e| running.token.check().err().unwrap_or(e))?;
        self.write = Some(write);
        Ok(())
    }

    /// From here on, nobody else writes. 40P01; 55P03 when others have not ended in time.
    pub(crate) fn go_alone(&mut self, lock_timeout: Option<Duration>, running: &Running) -> Result<()> {
        let write = self.write()?;
        let Some(mut turn) = write.alone_turn()? else { return Ok(()) };
        sleep(&mut turn, lock_timeout, running)?;
        write.go_alone()
    }

    /// SAVEPOINT.
    pub(crate) fn savepoint(&mut self, name: String, settings: SettingsMark) {
        let store = self.write.as_mut().map(|w| w.savepoint());
        let read_only = self.read_only;
        self.savepoints.push(NamedSavepoint { name, store, settings, read_only });
    }

    /// RELEASE: forgets the savepoint and those after it. 3B001 when there is none of that name.
    pub(crate) fn release(&mut self, name: &str) -> Result<()> {
        let at = self.find(name)?;
        self.read_only = self.savepoints[at].read_only;
        self.savepoints.truncate(at);
        Ok(())
    }

    /// ROLLBACK TO: undoes everything since the savepoint, which stays; the settings then are the caller's to put back. 3B001 when
    /// there is none of that name.
    pub(crate) fn rollback_to(&mut self, name: &str) -> Result<SettingsMark> {
        let at = self.find(name)?;
        self.savepoints.truncate(at + 1);
        match (&self.savepoints[at].store, &mut self.write) {
            (Some(s), Some(w)) => w.rollback_to(s)?,
            (None, write) => *write = None,
            (Some(_), None) => return Err(Error::internal("a savepoint outlived its transaction")),
        }
        self.failed = false;
        self.read_only = self.savepoints[at].read_only;
        Ok(self.savepoints[at].settings.clone())
    }

    fn find(&self, name: &str) -> Result<usize> {
        self.savepoints.iter().rposition(|s| s.name == name).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_SAVEPOINT_SPECIFICATION,
                format!("savepoint \"{name}\" does not exist"),
            )
        })
    }

    /// Logs what was written and lets the next writer go on. Durable when the result says so.
    pub(crate) fn commit(self) -> Result<Option<PendingCommit>> {
        self.write.map(WriteTxn::commit).transpose()
    }
}

fn lock_wait(timeout: Option<Duration>, running: &Running) -> LockWait {
    LockWait { timeout, cancelled: Some(running.lock_wait.clone()) }
}

/// Waits for a turn. 55P03, or why the statement was cut short.
pub(crate) fn sleep(turn: &mut Turn, lock_timeout: Option<Duration>, running: &Running) -> Result<()> {
    // Why a wait was cut short is the token's to say: cancel, time limit or shutdown.
    turn.sleep(&lock_wait(lock_timeout, running)).map_err(|e| running.token.check().err().unwrap_or(e))
}
