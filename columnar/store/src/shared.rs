//! Transactions that write side by side.
//!
//! Each keeps its changes as a list, and a draft: the newest state with those changes laid on top. Every statement looks anew, and
//! has the changes laid on the tables that it reads: those that wait, or all of them, with fresh row ids, where others have
//! changed the table since. COMMIT does the same for all tables under the commit lock, and only then writes the operations down
//! for the log.
//!
//! What keeps this right: a row that is changed or deleted is locked and must still live in the newest state; a key that comes or
//! goes is locked, as is, shared, a key that a new row refers to. A lock that was free may have been given back by a commit that
//! the draft does not know, so what a new lock protects is compared with the newest state; if that has changed, the statement
//! is done again. Whoever commits publishes first and gives its locks back then.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ahash::{AHashMap, AHashSet};
use arrow::array::ArrayRef;
use spg_types::{Error, Result, SqlState, TableId};
use spg_wal::{OpBody, Ops};

use crate::apply::{Numbers, apply};
use crate::codec::Writer;
use crate::constraint::{Touched, pointed_at};
use crate::index::layout::SortedKeys;
use crate::lock::{LockWait, Turn};
use crate::op::Op;
use crate::row_lock::{LockKey, Strength, key_locks};
use crate::snapshot::DbSnapshot;
use crate::table::{Batch, TableSnapshot};
use crate::txn::WriteTxn;

/// A transaction with more rows than this prefers to write alone: to lay its changes on newer states costs more than to wait.
const ROWS_MAX: usize = 16_384;
/// The same for changes.
const CHANGES_MAX: usize = 256;
/// How long a large transaction waits to be alone before it goes on beside others.
const ALONE_WITHIN: Duration = Duration::from_millis(20);

/// One change, as it is laid on states.
#[derive(Clone)]
pub(crate) struct Change {
    table: TableId,
    op: Op,
    batch: Option<Batch>,
    body: Body,
}

/// What follows an operation in the log.
#[derive(Clone)]
pub(crate) enum Body {
    Small(Arc<[u8]>),
    Large(OpBody),
}

impl Body {
    pub(crate) fn none() -> Self {
        Self::Small(Arc::from([]))
    }
}

/// What a transaction that writes beside others keeps.
pub(crate) struct Shared {
    changes: Vec<Change>,
    /// The tables it has changed.
    tables: AHashMap<TableId, Own>,
    /// The state that the draft builds on.
    base: Arc<DbSnapshot>,
    rows: usize,
    /// How many changes there were when the statement began.
    mark: usize,
    /// So many changes make it try to be alone.
    changes_max: usize,
    /// So many rows do.
    rows_max: usize,
    /// Whether the statement sees the newest state.
    sees_newest: bool,
    /// Keys of rows that the statement has deleted and not added again.
    gone: AHashSet<LockKey>,
    blocked: Option<Blocked>,
}

#[derive(Default)]
struct Own {
    /// The version that the draft's builds on; `None` when the changes are to be laid on another one.
    base: Option<Arc<TableSnapshot>>,
    /// How many changes there are, and how many of them the draft has.
    changes: usize,
    laid: usize,
    /// Ids of rows that the transaction has added, ascending.
    added: Vec<Range<u64>>,
}

/// Why a statement could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    /// This transaction has a lock it needs.
    By(u64),
    /// The state it has seen is no longer the newest.
    Stale,
    /// It changes much, and others write too.
    Crowd,
}

/// What to do with a statement that could not go on.
pub enum Retry {
    /// Do it again.
    Now,
    /// Do it again when the turn has come.
    After(Turn),
}

/// The changes of a transaction from the time before it was alone, for savepoints of that time.
pub(crate) struct Before {
    base: Arc<DbSnapshot>,
    changes: Vec<Change>,
}

impl Before {
    /// The state after the first changes.
    pub(crate) fn state(&self, changes: usize, numbers: &Numbers) -> Result<Arc<DbSnapshot>> {
        let mut state = (*self.base).clone();
        for change in self.changes.iter().take(changes) {
            apply(&mut state, change.op.clone(), change.batch.clone(), numbers)?;
        }
        Ok(Arc::new(state))
    }
}

impl Shared {
    pub(crate) fn new(base: Arc<DbSnapshot>) -> Self {
        Self {
            changes: Vec::new(),
            tables: AHashMap::new(),
            base,
            rows: 0,
            mark: 0,
            changes_max: CHANGES_MAX,
            rows_max: ROWS_MAX,
            sees_newest: true,
            gone: AHashSet::new(),
            blocked: None,
        }
    }

    pub(crate) fn changes(&self) -> usize {
        self.changes.len()
    }

    /// Moves the draft on to a newer state. Tables that nobody else has changed keep what is laid on them; the others wait
    /// for [`Shared::lay`].
    fn look_anew(&mut self, head: Arc<DbSnapshot>, draft: &mut Arc<DbSnapshot>) {
        if Arc::ptr_eq(&head, &self.base) {
            return;
        }
        let mut next = (*head).clone();
        for (id, own) in &mut self.tables {
            let same = match (&own.base, head.table(*id)) {
                (Some(base), Some(now)) => Arc::ptr_eq(base, now),
                _ => false,
            };
            match draft.table(*id).filter(|_| same) {
                Some(table) => _ = next.tables.insert(*id, table.clone()),
                None => own.base = None,
            }
        }
        *draft = Arc::new(next);
        self.base = head;
    }

    /// Lays the changes on these tables, and on those that foreign keys connect with them; on all without a list.
    fn lay(
        &mut self,
        draft: &mut Arc<DbSnapshot>,
        only: Option<&[TableId]>,
        numbers: &Numbers,
    ) -> Result<()> {
        let wanted: Vec<TableId> = match only {
            None => self.tables.keys().copied().collect(),
            Some(only) => only.iter().flat_map(|id| connected(&self.base, *id)).collect(),
        };
        for id in wanted {
            self.lay_on(draft, id, numbers)?;
        }
        Ok(())
    }

    /// Lays on a table what it lacks.
    fn lay_on(&mut self, draft: &mut Arc<DbSnapshot>, id: TableId, numbers: &Numbers) -> Result<()> {
        let Some(own) = self.tables.get_mut(&id) else { return Ok(()) };
        if own.base.is_some() && own.laid == own.changes {
            return Ok(());
        }
        let draft = Arc::make_mut(draft);
        let mut moves = false;
        if own.base.is_none() {
            let gone = || Error::internal(format!("there is no table with id {}", id.0));
            let base = self.base.table(id).ok_or_else(gone)?.clone();
            draft.tables.insert(id, base.clone());
            own.base = Some(base);
            own.laid = 0;
            own.added.clear();
            moves = true;
        }
        let Some(base) = own.base.clone() else { return Ok(()) };
        // Rows get ids above all others again; later deletes of such rows follow.
        let mut moved: Vec<(Range<u64>, u64)> = Vec::new();
        for change in self.changes.iter_mut().filter(|c| c.table == id).skip(own.laid) {
            match (&mut change.op, &change.batch) {
                (Op::Append { first_row_id, .. }, Some(batch)) if moves => {
                    let new = base.allocate_row_ids(batch.len);
                    let len = batch.len as u64;
                    moved.push((*first_row_id..*first_row_id + len, new));
                    own.added.push(new..new + len);
                    *first_row_id = new;
                }
                (Op::Delete { row_ids, .. }, _) if !moved.is_empty() => {
                    for row_id in row_ids.iter_mut() {
                        let at = moved.partition_point(|(old, _)| old.end <= *row_id);
                        if let Some((old, new)) = moved.get(at).filter(|(old, _)| old.contains(row_id)) {
                            *row_id = new + (*row_id - old.start);
                        }
                    }
                    row_ids.sort_unstable();
                }
                _ => {}
            }
            apply(draft, change.op.clone(), change.batch.clone(), numbers)?;
        }
        own.laid = own.changes;
        Ok(())
    }

    /// Keeps the first changes only.
    pub(crate) fn truncate(&mut self, keep: usize, draft: &mut Arc<DbSnapshot>) {
        if keep < self.changes.len() {
            let draft = Arc::make_mut(draft);
            for change in self.changes.drain(keep..) {
                let own = self.tables.entry(change.table).or_default();
                own.base = None;
                if let Some(base) = self.base.table(change.table) {
                    draft.tables.insert(change.table, base.clone());
                }
            }
            // Tables without changes are as the state has them.
            let changes = &self.changes;
            self.tables.retain(|id, own| {
                own.changes = changes.iter().filter(|c| c.table == *id).count();
                own.changes > 0
            });
            self.rows = changes.iter().map(Change::rows).sum();
        }
        self.mark = self.mark.min(keep);
        self.gone.clear();
    }

    /// The version of a table that the draft builds on.
    fn base_of(&self, id: TableId) -> Option<&Arc<TableSnapshot>> {
        self.base.table(id)
    }

    fn is_own(&self, table: TableId, row_id: u64) -> bool {
        let Some(own) = self.tables.get(&table) else { return false };
        let at = own.added.partition_point(|added| added.end <= row_id);
        own.added.get(at).is_some_and(|added| added.contains(&row_id))
    }

    fn encode(&self) -> Result<Ops> {
        let mut ops = Ops::new();
        let mut w = Writer::default();
        for change in self.changes.iter().filter(|change| change.op.is_logged()) {
            w.0.clear();
            change.op.encode(&mut w)?;
            match &change.body {
                Body::Small(bytes) => {
                    w.0.extend_from_slice(bytes);
                    ops.push(&w.0)?;
                }
                Body::Large(body) => ops.push_with_body(&w.0, body.clone())?,
            }
        }
        Ok(ops)
    }
}

impl Change {
    fn rows(&self) -> usize {
        match &self.op {
            Op::Delete { row_ids, .. } => row_ids.len(),
            _ => self.batch.as_ref().map_or(0, |b| b.len),
        }
    }
}

/// A table and those that foreign keys connect it with.
fn connected(db: &DbSnapshot, id: TableId) -> Vec<TableId> {
    let keys = db.table(id).map(|t| t.def().foreign_keys.as_slice()).unwrap_or_default();
    let referred = keys.iter().map(|k| k.ref_table);
    [id].into_iter().chain(referred).chain(db.referencing(id).map(|(def, _)| def.id)).collect()
}

impl WriteTxn {
    /// Whether it writes beside others.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Before a statement that reads: a transaction that writes beside others looks at the newest state. With a list, its own
    /// changes are seen in these tables only.
    pub fn start_statement(&mut self, tables: Option<&[TableId]>) -> Result<()> {
        if self.shared.as_ref().is_some_and(|s| s.changes.len() >= s.changes_max) {
            self.leave_crowd()?;
        }
        let Some(shared) = &mut self.shared else { return Ok(()) };
        shared.look_anew(self.store.head(), &mut self.draft);
        shared.lay(&mut self.draft, tables, self.store.numbers())?;
        self.mark_statement(true);
        Ok(())
    }

    /// Before a statement that adds rows and reads nothing: what the transaction has seen is good enough.
    pub fn start_insert(&mut self, table: TableId) -> Result<()> {
        let Some(shared) = &mut self.shared else { return Ok(()) };
        shared.lay(&mut self.draft, Some(&[table]), self.store.numbers())?;
        self.mark_statement(false);
        Ok(())
    }

    fn mark_statement(&mut self, sees_newest: bool) {
        if let Some(shared) = &mut self.shared {
            shared.sees_newest = sees_newest;
            shared.mark = shared.changes.len();
            shared.gone.clear();
            shared.blocked = None;
        }
        self.touched.clear();
    }

    /// After a statement has failed: how to do it again where others stood in its way, with what it has done undone. `None` when its
    /// error is its own. 40P01. May sleep for some milliseconds.
    pub fn retry(&mut self) -> Result<Option<Retry>> {
        let Some(shared) = &mut self.shared else { return Ok(None) };
        let Some(blocked) = shared.blocked.take() else { return Ok(None) };
        shared.truncate(shared.mark, &mut self.draft);
        self.touched.clear();
        match (blocked, &self.permit) {
            (Blocked::By(holder), Some(permit)) => permit.turn_after(holder).map(Retry::After).map(Some),
            (Blocked::Crowd, _) => self.leave_crowd().map(|()| Some(Retry::Now)),
            _ => Ok(Some(Retry::Now)),
        }
    }

    /// The wait to write alone, for who must. 40P01.
    pub fn alone_turn(&self) -> Result<Option<Turn>> {
        match (&self.shared, &self.permit) {
            (Some(_), Some(permit)) => permit.upgrade_turn().map(Some),
            _ => Ok(None),
        }
    }

    /// The turn of [`WriteTxn::alone_turn`] has come: from here on nobody else writes.
    pub fn go_alone(&mut self) -> Result<()> {
        self.start_alone(self.store.head())
    }

    fn start_alone(&mut self, head: Arc<DbSnapshot>) -> Result<()> {
        let Some(mut shared) = self.shared.take() else { return Ok(()) };
        shared.look_anew(head, &mut self.draft);
        shared.lay(&mut self.draft, None, self.store.numbers())?;
        let ops = shared.encode()?;
        if let Some(log) = &mut self.log {
            log.ops = ops;
        }
        self.before = Some(Before { base: shared.base, changes: shared.changes });
        Ok(())
    }

    /// Becomes alone if the others end soon; goes on beside them otherwise.
    fn leave_crowd(&mut self) -> Result<()> {
        let turn = self.permit.as_ref().map(|p| p.try_upgrade_turn()).transpose()?;
        let soon = LockWait { timeout: Some(ALONE_WITHIN), cancelled: None };
        if turn.is_some_and(|mut turn| turn.sleep(&soon).is_ok()) {
            return self.go_alone();
        }
        if let Some(shared) = &mut self.shared {
            shared.changes_max = CHANGES_MAX.max(shared.changes.len() * 2);
            // From here on it is as large as it is.
            shared.rows_max = usize::MAX;
        }
        Ok(())
    }

    /// Counts rows that are about to change. Many are better changed alone.
    pub(crate) fn count_rows(&mut self, rows: usize) -> Result<()> {
        let Some(shared) = &mut self.shared else { return Ok(()) };
        shared.rows += rows;
        if shared.rows <= shared.rows_max {
            return Ok(());
        }
        let base = shared.base.clone();
        let turn = self.permit.as_ref().map(|p| p.try_upgrade_turn()).transpose()?;
        let head = self.store.head();
        if turn.is_some_and(|turn| turn.has_come()) && Arc::ptr_eq(&head, &base) {
            return self.start_alone(head);
        }
        Err(self.block(Blocked::Crowd))
    }

    /// An error that a constraint gave: a statement that has not seen the newest state is to be done again on that one.
    pub(crate) fn judged(&mut self, error: Error) -> Error {
        match &self.shared {
            Some(shared) if !shared.sees_newest => self.block(Blocked::Stale),
            _ => error,
        }
    }

    fn block(&mut self, blocked: Blocked) -> Error {
        if let Some(shared) = &mut self.shared {
            shared.blocked = Some(blocked);
        }
        let message = "could not obtain lock on row: another transaction is changing it";
        Error::new(SqlState::LOCK_NOT_AVAILABLE, message)
    }

    /// Locks for a shared transaction; whether one of them is new.
    fn lock(&mut self, keys: impl IntoIterator<Item = LockKey>, strength: Strength) -> Result<bool> {
        let Some(permit) = &mut self.permit else { return Ok(false) };
        permit.lock(keys, strength).map_err(|holder| self.block(Blocked::By(holder)))
    }

    /// Adds a change of a shared transaction. It is laid on the draft when a statement reads the table or at COMMIT; now, where
    /// foreign keys are to be checked against it.
    pub(crate) fn note_change(
        &mut self,
        table: TableId,
        op: Op,
        batch: Option<Batch>,
        body: Body,
    ) -> Result<()> {
        let Some(shared) = &mut self.shared else { return Ok(()) };
        let base = &shared.base;
        let fresh = || Own { base: base.table(table).cloned(), ..Own::default() };
        let own = shared.tables.entry(table).or_insert_with(fresh);
        if let (Op::Append { first_row_id, .. }, Some(batch)) = (&op, &batch) {
            own.added.push(*first_row_id..*first_row_id + batch.len as u64);
        }
        own.changes += 1;
        shared.changes.push(Change { table, op, batch, body });
        let alone = base.table(table).is_some_and(|t| t.def().foreign_keys.is_empty())
            && base.referencing(table).next().is_none();
        if alone { Ok(()) } else { self.lay_now(table) }
    }

    /// Has all changes of a table laid on the draft.
    pub(crate) fn lay_now(&mut self, table: TableId) -> Result<()> {
        let Some(shared) = &mut self.shared else { return Ok(()) };
        shared.lay_on(&mut self.draft, table, self.store.numbers())
    }

    /// Locks rows that are to be changed or deleted, and notes the keys that go with them.
    pub(crate) fn lock_rows(&mut self, table: TableId, row_ids: &[u64]) -> Result<()> {
        let Some(shared) = &self.shared else { return Ok(()) };
        if shared.changes.len() > shared.mark {
            // The statement has several parts, which may mean the same rows.
            self.lay_now(table)?;
        }
        let Some(shared) = &self.shared else { return Ok(()) };
        let foreign: Vec<u64> = row_ids.iter().copied().filter(|id| !shared.is_own(table, *id)).collect();
        if self.lock(foreign.iter().map(|id| LockKey::Row(table, *id)), Strength::Exclusive)? {
            let head = self.store.head();
            let alive = |id: &u64| head.table(table).is_some_and(|t| t.locate(*id).is_some());
            if !foreign.iter().all(alive) {
                return Err(self.block(Blocked::Stale));
            }
        }
        let gone = self.keys_of_rows(table, row_ids)?;
        if let Some(shared) = &mut self.shared {
            shared.gone.extend(gone);
        }
        Ok(())
    }

    /// The keys that rows have in unique indexes.
    fn keys_of_rows(&self, table: TableId, row_ids: &[u64]) -> Result<Vec<LockKey>> {
        let table = self.draft_table(table)?;
        let mut keys = Vec::new();
        for index in table.indexes().iter().filter(|i| i.def().unique) {
            let columns: Vec<usize> = index.def().columns.iter().map(|c| c.column).collect();
            let values = table.fetch(row_ids, &columns)?;
            let batch = index.layout().encode(&values)?;
            let is_null = |i: usize| batch.nulls.as_ref().is_some_and(|n| n.value(i));
            keys.extend(key_locks(index.def().id, &batch.keys, is_null));
        }
        Ok(keys)
    }

    /// Locks the keys that new rows bring into unique indexes; `keys` in the order of the table's indexes. Whether they may be
    /// there already: not if they are those of rows that the statement has deleted.
    pub(crate) fn lock_new_keys(&mut self, table: TableId, keys: &[&SortedKeys]) -> Result<bool> {
        let Some(shared) = &mut self.shared else { return Ok(true) };
        let Some(snapshot) = self.draft.table(table).cloned() else { return Ok(true) };
        let mut wanted = Vec::new();
        for (index, keys) in snapshot.indexes().iter().zip(keys).filter(|(i, _)| i.def().unique) {
            for lock in key_locks(index.def().id, &keys.keys, |i| keys.is_null(i)) {
                // The lock on the row that has the key now keeps others away.
                if !shared.gone.remove(&lock) {
                    wanted.push(lock);
                }
            }
        }
        if wanted.is_empty() {
            return Ok(false);
        }
        if !self.lock(wanted, Strength::Exclusive)? {
            return Ok(true);
        }
        let head = self.store.head();
        let (Some(shared), Some(now)) = (&self.shared, head.table(table)) else {
            return Err(self.block(Blocked::Stale));
        };
        if shared.base_of(table).is_some_and(|base| Arc::ptr_eq(base, now)) {
            return Ok(true);
        }
        for (index, keys) in now.indexes().iter().zip(keys).filter(|(i, _)| i.def().unique) {
            if index.duplicate(keys)?.is_some() {
                return Err(self.block(Blocked::Stale));
            }
        }
        Ok(true)
    }

    /// At the end of a statement: locks the keys that are gone, and those that new rows refer to.
    pub(crate) fn lock_references(&mut self) -> Result<()> {
        let Some(shared) = &mut self.shared else { return Ok(()) };
        let gone = std::mem::take(&mut shared.gone);
        if !gone.is_empty() && self.lock(gone, Strength::Exclusive)? {
            let head = self.store.head();
            let deleted: Vec<TableId> = (self.touched.iter())
                .filter_map(|t| match t {
                    Touched::Deleted { table, .. } => Some(*table),
                    Touched::Appended { .. } => None,
                })
                .collect();
            let referring: Vec<TableId> =
                deleted.iter().flat_map(|t| self.draft.referencing(*t)).map(|(def, _)| def.id).collect();
            if referring.iter().any(|t| !self.is_newest(&head, *t)) {
                return Err(self.block(Blocked::Stale));
            }
        }
        for touched in self.touched.clone() {
            let Touched::Appended { table, first, end } = touched else { continue };
            let Some(snapshot) = self.draft.table(table).cloned() else { continue };
            for key in &snapshot.def().foreign_keys {
                for probe in pointed_at(&self.draft, &snapshot, key, first, end)? {
                    self.lock_referred(key.ref_table, key.ref_index, &probe)?;
                }
            }
        }
        Ok(())
    }

    fn lock_referred(&mut self, table: TableId, index: spg_types::IndexId, probe: &[ArrayRef]) -> Result<()> {
        let of = |db: &DbSnapshot| db.table(table).and_then(|t| t.index(index)).cloned();
        let Some(referred) = of(&self.draft) else { return Ok(()) };
        let batch = referred.layout().encode_probe(probe)?;
        let is_null = |i: usize| batch.nulls.as_ref().is_some_and(|n| n.value(i));
        let locks = key_locks(index, &batch.keys, is_null);
        if !self.lock(locks, Strength::Shared)? {
            return Ok(());
        }
        let head = self.store.head();
        if self.is_newest(&head, table) {
            return Ok(());
        }
        match of(&head) {
            Some(now) if now.first_missing(probe)?.is_none() => Ok(()),
            _ => Err(self.block(Blocked::Stale)),
        }
    }

    fn is_newest(&self, head: &DbSnapshot, table: TableId) -> bool {
        match (self.shared.as_ref().and_then(|s| s.base_of(table)), head.table(table)) {
            (Some(base), Some(now)) => Arc::ptr_eq(base, now),
            _ => false,
        }
    }

    /// Under the commit lock: the changes on top of the newest state.
    pub(crate) fn settle(&mut self) -> Result<()> {
        let Some(shared) = &mut self.shared else { return Ok(()) };
        shared.look_anew(self.store.head(), &mut self.draft);
        shared.lay(&mut self.draft, None, self.store.numbers())?;
        if let Some(log) = &mut self.log {
            log.ops = shared.encode()?;
        }
        Ok(())
    }
}
