//! A write transaction: a draft of the next snapshot, and the operations that lead to it. It writes alone, as told here, or
//! beside others: see `shared`.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use spg_types::{ColumnDef, Error, IndexDef, IndexId, Result, SqlState, TableDef, TableId};
use spg_wal::Ops;

use crate::Role;
use crate::apply::apply;
use crate::batch_codec::write_batch;
use crate::bulk::BulkSegment;
use crate::codec::Writer;
use crate::cold::Segment;
use crate::constraint::{Touched, check_statement, check_unique, check_whole_key, duplicate_key};
use crate::index::layout::SortedKeys;
use crate::lock::{Permit, WriteMode};
use crate::op::{Op, SegmentRef};
use crate::pending::PendingCommit;
use crate::prepare::{PreparedBatch, check_columns, prepare};
use crate::row_group::ROW_GROUP_ROWS;
use crate::seal::{self, SEALED_ROWS_MIN};
use crate::shared::{Before, Body, Shared};
use crate::snapshot::DbSnapshot;
use crate::store::Store;
use crate::table::{Batch, TableSnapshot};
use crate::tier::Replacement;

/// Operations wait in memory until they take this much, then go ahead into the log.
const STREAM_BYTES: usize = 256 << 10;

/// A transaction that writes. It holds the write lock; dropped without [`WriteTxn::commit`], it is rolled back.
pub struct WriteTxn {
    pub(crate) store: Arc<Store>,
    pub(crate) draft: Arc<DbSnapshot>,
    /// What the transaction reads where that is not the draft: the older snapshot it began to read with, and its own
    /// changes on top of it.
    view: Option<Arc<DbSnapshot>>,
    pub(crate) log: Option<TxnLog>,
    /// What the current statement has done, for [`WriteTxn::end_statement`].
    pub(crate) touched: Vec<Touched>,
    /// Rows of the current statement that go to the cold tier at once.
    pub(crate) bulk: Option<BulkSegment>,
    /// Whether anything has been changed.
    changed: bool,
    /// While it writes beside others.
    pub(crate) shared: Option<Box<Shared>>,
    /// Of the time when it wrote beside others.
    pub(crate) before: Option<Before>,
    /// Last, so that everything is settled before the next writer begins.
    pub(crate) permit: Option<Permit>,
}

/// What the transaction has for the log.
pub(crate) struct TxnLog {
    transaction: u64,
    generation: u64,
    pub(crate) ops: Ops,
    /// Operations that are in the log already.
    streamed: u64,
    /// Whether anything has been streamed, counting or not.
    has_streamed: bool,
}

/// A state of a transaction to go back to. A few pointers.
#[derive(Clone)]
pub struct Savepoint {
    draft: Arc<DbSnapshot>,
    view: Option<Arc<DbSnapshot>>,
    ops: u64,
    touched: usize,
    changed: bool,
    locks: usize,
    shared: bool,
}

impl WriteTxn {
    pub(crate) fn new(
        store: Arc<Store>,
        draft: Arc<DbSnapshot>,
        view: Option<Arc<DbSnapshot>>,
        generation: Option<u64>,
        (permit, mode): (Permit, WriteMode),
    ) -> Self {
        let log = generation.map(|generation| TxnLog {
            transaction: store.next_transaction(),
            generation,
            ops: Ops::new(),
            streamed: 0,
            has_streamed: false,
        });
        let shared = (mode == WriteMode::Shared).then(|| Box::new(Shared::new(draft.clone())));
        Self {
            store,
            draft,
            view,
            log,
            touched: Vec::new(),
            bulk: None,
            changed: false,
            shared,
            before: None,
            permit: Some(permit),
        }
    }

    /// The database as this transaction sees it, its own changes included; beside others, as of the last
    /// [`WriteTxn::start_statement`].
    pub fn snapshot(&self) -> Arc<DbSnapshot> {
        self.view.as_ref().unwrap_or(&self.draft).clone()
    }

    /// Whether it writes alone and others wait for its end.
    pub fn is_waited_for(&self) -> bool {
        self.permit.as_ref().is_some_and(Permit::is_waited_for)
    }

    /// Whether a commit would change anything.
    pub fn has_changes(&self) -> bool {
        self.changed
    }

    /// Adds rows, one array per column, each of its column's type (strings may be dictionaries); the new row ids. NOT NULL and
    /// CHECK are the caller's to check, foreign keys wait for [`WriteTxn::end_statement`]. Row groups beyond the budget of the
    /// hot tier go to the cold one, as [`WriteTxn::append_prepared`] says. 23505.
    pub fn append(&mut self, table: TableId, columns: Vec<ArrayRef>) -> Result<Range<u64>> {
        self.check_same_table(table)?;
        let len = check_columns(self.draft_table(table)?.def(), &columns)?;
        self.count_rows(len)?;
        let mut ids: Option<Range<u64>> = None;
        let mut start = 0;
        while start < len {
            let n = self.piece_rows(&columns, start, len);
            let piece = columns.iter().map(|c| c.slice(start, n)).collect();
            let added = if n >= SEALED_ROWS_MIN {
                let placement = self.placement(table)?;
                let prepared =
                    prepare(self.draft_table(table)?.def(), piece, self.log.is_some(), &placement)?;
                self.add(table, prepared)?
            } else {
                // Row ids ascend.
                self.finish_bulk()?;
                self.append_small(table, piece, n)?
            };
            ids = Some(ids.map_or(added.clone(), |r| r.start..added.end));
            start += n;
        }
        Ok(ids.unwrap_or(0..0))
    }

    /// How many rows from `start` on go into one operation: no more than a row group, no more bytes than the log takes.
    fn piece_rows(&self, columns: &[ArrayRef], start: usize, len: usize) -> usize {
        let mut n = (len - start).min(ROW_GROUP_ROWS);
        let bytes = |n: usize| columns.iter().map(|c| string_bytes(&c.slice(start, n))).sum::<usize>();
        while n > 1 && bytes(n) > spg_wal::MAX_OP_BYTES / 4 {
            n = n.div_ceil(2);
        }
        n
    }

    fn append_small(&mut self, table: TableId, columns: Vec<ArrayRef>, len: usize) -> Result<Range<u64>> {
        let columns =
            columns.iter().map(|c| Ok(seal::compacted(seal::flattened(c)?))).collect::<Result<Vec<_>>>()?;
        let snapshot = self.draft_table(table)?.clone();
        let mut keys = Vec::with_capacity(snapshot.indexes().len());
        for index in snapshot.indexes() {
            keys.push(index.layout().encode(&index.key_columns(&columns))?.sorted());
        }
        self.check_keys(&snapshot, &columns, &keys.iter().collect::<Vec<_>>())?;
        let first = snapshot.allocate_row_ids(len);
        let op = Op::Append { table, first_row_id: first };
        let batch = Batch { columns, len, sealed: false, stats: None, keys };
        let mut body = Vec::new();
        if self.log.is_some() {
            let mut w = Writer::default();
            if self.shared.is_none() {
                op.encode(&mut w)?;
            }
            write_batch(&mut w, snapshot.def(), &batch.columns, len)?;
            body = w.0;
        }
        drop(snapshot);
        if self.shared.is_some() {
            self.changed = true;
            self.note_change(table, op, Some(batch), Body::Small(body.into()))?;
        } else {
            if let Some(log) = &mut self.log {
                log.ops.push(&body)?;
            }
            self.apply(op, Some(batch))?;
        }
        self.appended(table, first..first + len as u64)
    }

    /// Locks the keys of new rows where others write too, and finds those that are there already. 23505.
    fn check_keys(
        &mut self,
        table: &TableSnapshot,
        columns: &[ArrayRef],
        keys: &[&SortedKeys],
    ) -> Result<()> {
        if !self.lock_new_keys(table.def().id, keys)? {
            return Ok(());
        }
        self.lay_now(table.def().id)?;
        let table = self.draft_table(table.def().id)?.clone();
        for (index, keys) in table.indexes().iter().zip(keys).filter(|(i, _)| i.def().unique) {
            if let Some(row) = index.duplicate(keys)? {
                let error = duplicate_key(table.def(), index.def(), columns, row)?;
                return Err(self.judged(error));
            }
        }
        Ok(())
    }

    /// Adds a batch that [`crate::prepare_batch`] has made for this table. As [`WriteTxn::append`] otherwise, but rows that
    /// were prepared for the cold tier are there, and their keys are checked, when the statement ends.
    pub fn append_prepared(&mut self, table: TableId, batch: PreparedBatch) -> Result<Range<u64>> {
        self.check_same_table(table)?;
        self.count_rows(batch.len())?;
        self.add(table, batch)
    }

    fn add(&mut self, table: TableId, mut batch: PreparedBatch) -> Result<Range<u64>> {
        if let Some(group) = batch.cold.take() {
            return self.append_cold(table, group, batch);
        }
        self.finish_bulk()?;
        self.add_prepared(table, batch)
    }

    fn add_prepared(&mut self, table: TableId, mut batch: PreparedBatch) -> Result<Range<u64>> {
        let snapshot = self.draft_table(table)?.clone();
        if batch.is_empty() {
            return Ok(0..0);
        }
        check_columns(snapshot.def(), &batch.columns)?;
        let layouts: Vec<_> = snapshot.indexes().iter().map(|i| i.layout().clone()).collect();
        let columns: Vec<Vec<usize>> =
            snapshot.indexes().iter().map(|i| i.def().columns.iter().map(|c| c.column).collect()).collect();
        batch.refresh_keys(&layouts, &columns)?;
        self.check_keys(&snapshot, &batch.columns, &batch.keys.iter().map(|(_, k)| k).collect::<Vec<_>>())?;
        let first = snapshot.allocate_row_ids(batch.len());
        let end = first + batch.len() as u64;
        let op = Op::Append { table, first_row_id: first };
        let body = match (&self.log, batch.body.take()) {
            (Some(_), None) => {
                let mut w = Writer::default();
                write_batch(&mut w, snapshot.def(), &batch.columns, batch.len())?;
                Some(spg_wal::OpBody::new(w.0))
            }
            (_, body) => body,
        };
        drop(snapshot);
        let batch = batch.into_batch();
        if self.shared.is_some() {
            self.changed = true;
            self.note_change(table, op, Some(batch), body.map_or_else(Body::none, Body::Large))?;
        } else {
            if let (Some(log), Some(body)) = (&mut self.log, body) {
                let mut head = Writer::default();
                op.encode(&mut head)?;
                log.ops.push_with_body(&head.0, body)?;
            }
            self.apply(op, Some(batch))?;
        }
        self.appended(table, first..end)
    }

    pub(crate) fn appended(&mut self, table: TableId, ids: Range<u64>) -> Result<Range<u64>> {
        if !self.draft_table(table)?.def().foreign_keys.is_empty() {
            match self.touched.last_mut() {
                Some(Touched::Appended { table: t, end, .. }) if *t == table && *end == ids.start => {
                    *end = ids.end
                }
                _ => self.touched.push(Touched::Appended { table, first: ids.start, end: ids.end }),
            }
        }
        self.stream()?;
        Ok(ids)
    }

    /// Removes rows by their ids, in any order, each at most once; how many. XX000 when one is not live.
    pub fn delete(&mut self, table: TableId, row_ids: &[u64]) -> Result<usize> {
        if row_ids.is_empty() {
            return Ok(0);
        }
        self.check_unchanged(table, row_ids)?;
        let mut row_ids = row_ids.to_vec();
        row_ids.sort_unstable();
        row_ids.dedup();
        self.count_rows(row_ids.len())?;
        self.lock_rows(table, &row_ids)?;
        let mut columns: Vec<usize> = Vec::new();
        for (referencing, i) in self.draft.referencing(table) {
            columns.extend(referencing.foreign_keys.get(i).iter().flat_map(|k| &k.ref_columns));
        }
        if !columns.is_empty() {
            columns.sort_unstable();
            columns.dedup();
            let values = self.draft_table(table)?.fetch(&row_ids, &columns)?;
            self.touched.push(Touched::Deleted { table, columns, values });
        }
        let n = row_ids.len();
        self.change(Op::Delete { table, row_ids })?;
        Ok(n)
    }

    /// Checks the foreign keys that the statement may have broken. 23503.
    pub fn end_statement(&mut self) -> Result<()> {
        self.finish_bulk()?;
        self.lock_references()?;
        let touched = std::mem::take(&mut self.touched);
        check_statement(&self.draft, &touched).map_err(|error| self.judged(error))
    }

    /// 40001 when one of the rows, found in the older snapshot that this transaction reads, has been changed or deleted
    /// since.
    fn check_unchanged(&self, table: TableId, row_ids: &[u64]) -> Result<()> {
        let Some(view) = &self.view else { return Ok(()) };
        let unchanged = match (view.table(table), self.draft.table(table)) {
            (Some(then), Some(now)) => {
                row_ids.iter().all(|id| then.locate(*id).is_none() || now.locate(*id).is_some())
            }
            _ => false,
        };
        if unchanged { Ok(()) } else { Err(serialization_failure()) }
    }

    /// 40001 when a table is no longer defined as the older snapshot has it that this transaction reads.
    fn check_same_table(&self, table: TableId) -> Result<()> {
        let Some(view) = &self.view else { return Ok(()) };
        match (view.table(table), self.draft.table(table)) {
            (Some(then), Some(now)) if then.def() == now.def() => Ok(()),
            _ => Err(serialization_failure()),
        }
    }

    /// The current state, to go back to.
    pub fn savepoint(&self) -> Savepoint {
        let ops = match (&self.shared, &self.log) {
            (Some(shared), _) => shared.changes() as u64,
            (None, log) => log.as_ref().map_or(0, |log| log.streamed + log.ops.count()),
        };
        Savepoint {
            draft: self.draft.clone(),
            view: self.view.clone(),
            ops,
            touched: self.touched.len(),
            changed: self.changed,
            locks: self.permit.as_ref().map_or(0, Permit::locks),
            shared: self.shared.is_some(),
        }
    }

    /// Undoes everything since a savepoint of this transaction, which stays good. 53100 or 58030 when the log has failed.
    pub fn rollback_to(&mut self, savepoint: &Savepoint) -> Result<()> {
        self.bulk = None;
        self.touched.truncate(savepoint.touched);
        self.changed = savepoint.changed;
        if let Some(shared) = &mut self.shared {
            shared.truncate(savepoint.ops as usize, &mut self.draft);
            if let Some(permit) = &mut self.permit {
                permit.release_after(savepoint.locks);
            }
            return Ok(());
        }
        self.draft = match &self.before {
            // It wrote beside others then: what they have committed since stays.
            Some(before) if savepoint.shared => before.state(savepoint.ops as usize, self.store.numbers())?,
            _ => savepoint.draft.clone(),
        };
        self.view = savepoint.view.clone();
        let Some(log) = &mut self.log else { return Ok(()) };
        if savepoint.ops >= log.streamed {
            log.ops.truncate(savepoint.ops - log.streamed);
            return Ok(());
        }
        log.ops = Ops::new();
        log.streamed = savepoint.ops;
        match self.store.log() {
            Some(file) => file.undo(log.generation, log.transaction, savepoint.ops),
            None => Ok(()),
        }
    }

    /// Creates a table with its indexes. Ids in the definition do not count: new ones are given. A foreign key to the table
    /// itself has `ref_table` 0 and as `ref_index` the index' place. 42P07, 3F000.
    pub fn create_table(&mut self, mut def: TableDef) -> Result<TableId> {
        if self.draft.find_table(&def.schema, &def.name).is_some() {
            let message = format!("relation \"{}\" already exists", def.name);
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        self.check_schema(&def.schema)?;
        def.id = TableId(self.store.numbers().table_id());
        for index in &mut def.indexes {
            index.id = IndexId(self.store.numbers().index_id());
        }
        resolve_own_keys(&mut def);
        let id = def.id;
        self.change(Op::CreateTable { def })?;
        Ok(id)
    }

    fn check_schema(&self, schema: &str) -> Result<()> {
        if self.draft.catalog.schemas.contains_key(schema) {
            return Ok(());
        }
        Err(Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist")))
    }

    /// Drops a table. That nothing refers to it any more is the caller's to see to.
    pub fn drop_table(&mut self, table: TableId) -> Result<()> {
        self.draft_table(table)?;
        self.touched.retain(|t| match t {
            Touched::Appended { table: of, .. } | Touched::Deleted { table: of, .. } => *of != table,
        });
        self.change(Op::DropTable { table })
    }

    /// Gives a table another definition under its id: names, defaults, constraints. Indexes that the definition has not are
    /// dropped; those with id 0 are new and get an id. 23505 when a new unique index does not hold, 0A000 when columns come or
    /// go in a table that has rows.
    pub fn replace_table_def(&mut self, mut def: TableDef) -> Result<()> {
        let old = self.draft_table(def.id)?.def().clone();
        let renamed = (&old.schema, &old.name) != (&def.schema, &def.name);
        if renamed && self.draft.find_table(&def.schema, &def.name).is_some() {
            let message = format!("relation \"{}\" already exists", def.name);
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        self.check_schema(&def.schema)?;
        for index in def.indexes.iter_mut().filter(|i| i.id == IndexId(0)) {
            index.id = IndexId(self.store.numbers().index_id());
        }
        resolve_own_keys(&mut def);
        let id = def.id;
        let before = self.savepoint();
        self.change(Op::ReplaceTable { def })?;
        let checked = self.check_new_indexes(id, &old);
        if checked.is_err() {
            self.rollback_to(&before)?;
        }
        checked
    }

    /// Adds a last column; every row gets the value of `value`'s one row. That it may be NULL, if it is, is the caller's to see
    /// to.
    pub fn add_column(&mut self, table: TableId, column: ColumnDef, value: ArrayRef) -> Result<()> {
        self.draft_table(table)?;
        self.change(Op::AddColumn { table, column, value })
    }

    /// Drops a column. That no index, CHECK or foreign key needs it any more is the caller's to see to.
    pub fn drop_column(&mut self, table: TableId, column: usize) -> Result<()> {
        self.draft_table(table)?;
        self.change(Op::DropColumn { table, column })
    }

    fn check_new_indexes(&self, table: TableId, old: &TableDef) -> Result<()> {
        let table = self.draft_table(table)?;
        for index in table.indexes() {
            let was_unique = old.indexes.iter().any(|i| i.id == index.def().id && i.unique);
            if !was_unique {
                check_unique(table, index)?;
            }
        }
        Ok(())
    }

    /// Builds an index over a table's rows, on several threads; its new id. 23505 when it is to be unique and is not.
    pub fn create_index(&mut self, table: TableId, mut index: IndexDef) -> Result<IndexId> {
        let old = self.draft_table(table)?.def().clone();
        let id = IndexId(self.store.numbers().index_id());
        index.id = id;
        let before = self.savepoint();
        self.change(Op::CreateIndex { table, index })?;
        if let Err(e) = self.check_new_indexes(table, &old) {
            self.rollback_to(&before)?;
            return Err(e);
        }
        Ok(id)
    }

    /// Drops an index. That no foreign key needs it is the caller's to see to.
    pub fn drop_index(&mut self, table: TableId, index: IndexId) -> Result<()> {
        self.draft_table(table)?;
        self.change(Op::DropIndex { table, index })
    }

    /// Checks one foreign key over all rows of a table, as ALTER TABLE ... ADD FOREIGN KEY does. 23503.
    pub fn check_foreign_key(&self, table: TableId, name: &str) -> Result<()> {
        let table = self.draft_table(table)?;
        let key = table.def().foreign_keys.iter().find(|k| k.name == name);
        let key = key.ok_or_else(|| Error::internal(format!("there is no foreign key {name}")))?;
        check_whole_key(&self.draft, table, key)
    }

    /// Removes every row of a table. That no other table refers to it is the caller's to see to.
    pub fn truncate(&mut self, table: TableId) -> Result<()> {
        self.draft_table(table)?;
        self.change(Op::Truncate { table })
    }

    /// Puts a segment in the place of the row groups that hold its rows; whether the table is still there with the columns
    /// that it had when the segment was written.
    pub(crate) fn swap_in(
        &mut self,
        table: TableId,
        columns_id: u64,
        segment: &Arc<Segment>,
        prepared: Vec<Replacement>,
    ) -> Result<bool> {
        let same = |t: &Arc<TableSnapshot>| t.columns_id() == columns_id && segment.fits(t.def());
        if !self.draft.table(table).is_some_and(same) {
            return Ok(false);
        }
        let segment = SegmentRef {
            id: segment.id(),
            root: segment.root,
            open: Some(segment.clone()),
            prepared: Some(prepared.into()),
        };
        self.change_late(table, Op::SwapIn { table, segment })?;
        Ok(true)
    }

    /// Puts row groups in memory in the place of others with the same rows, where those are still there; whether the table is still
    /// there with its columns. What the table holds stays the same, so that nothing of it is logged.
    pub(crate) fn rearrange(
        &mut self,
        table: TableId,
        columns_id: u64,
        new: Vec<Replacement>,
    ) -> Result<bool> {
        if self.draft.table(table).is_none_or(|t| t.columns_id() != columns_id) {
            return Ok(false);
        }
        self.change_late(table, Op::Rearrange { table, new: new.into() })?;
        Ok(true)
    }

    /// A change that this transaction need not see itself: it is made when it commits, where others write too.
    fn change_late(&mut self, table: TableId, op: Op) -> Result<()> {
        if self.shared.is_some() {
            self.changed = true;
            return self.note_change(table, op, None, Body::none());
        }
        if op.is_logged() { self.change(op) } else { self.apply(op, None) }
    }

    /// Creates a role or changes it.
    pub fn put_role(&mut self, role: Role) -> Result<()> {
        self.change(Op::PutRole { role })
    }

    /// Drops a role; one that is not there is no error.
    pub fn drop_role(&mut self, name: &str) -> Result<()> {
        self.change(Op::DropRole { name: name.into() })
    }

    /// Creates a schema. 42P06.
    pub fn create_schema(&mut self, name: &str) -> Result<()> {
        if self.draft.catalog.schemas.contains_key(name) {
            let message = format!("schema \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_SCHEMA, message));
        }
        self.change(Op::CreateSchema { name: name.into() })
    }

    /// Drops an empty schema. 2BP01 when it is not empty.
    pub fn drop_schema(&mut self, name: &str) -> Result<()> {
        self.check_schema(name)?;
        if self.draft.catalog.schemas.get(name).is_some_and(|s| !s.is_empty()) {
            let message = format!("cannot drop schema {name} because other objects depend on it");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        self.change(Op::DropSchema { name: name.into() })
    }

    /// Queues the transaction for the log and lets the next writer begin. It is durable, and readers see it, when the
    /// result says so. 23503 when a statement was not ended and breaks a foreign key; 53100 or 58030 when the log has failed,
    /// and with it the transaction.
    pub fn commit(mut self) -> Result<PendingCommit> {
        self.end_statement()?;
        if !self.changed {
            let generation = self.log.as_ref().map(|log| log.generation);
            self.permit = None;
            return self.store.wait_for_base(&self.draft, generation);
        }
        let store = self.store.clone();
        let _committing = store.commit_lock();
        self.settle()?;
        Arc::make_mut(&mut self.draft).commit_no += 1;
        let Some(log) = &mut self.log else {
            self.store.publish_unlogged(self.draft.clone());
            return Ok(PendingCommit::ready());
        };
        let ops = std::mem::take(&mut log.ops);
        let queued =
            self.store.log_commit(log.generation, log.transaction, log.streamed, ops, self.draft.clone());
        if queued.is_ok() {
            log.has_streamed = false;
        }
        queued
    }

    /// Undoes everything. The same as dropping it.
    pub fn rollback(self) {}

    pub(crate) fn draft_table(&self, table: TableId) -> Result<&Arc<crate::TableSnapshot>> {
        self.draft
            .table(table)
            .ok_or_else(|| Error::internal(format!("there is no table with id {}", table.0)))
    }

    /// Logs and applies an operation.
    fn change(&mut self, op: Op) -> Result<()> {
        self.change_with(op, None)
    }

    /// As `change`, with what the operation does not say itself.
    pub(crate) fn change_with(&mut self, op: Op, batch: Option<Batch>) -> Result<()> {
        if self.shared.is_some() {
            let Op::Delete { table, .. } = op else {
                return Err(Error::internal("a change of the catalog needs the write lock alone"));
            };
            self.changed = true;
            return self.note_change(table, op, None, Body::none());
        }
        if let Some(log) = &mut self.log {
            let mut w = Writer::default();
            op.encode(&mut w)?;
            log.ops.push(&w.0)?;
        }
        self.apply(op, batch)?;
        self.stream()
    }

    fn apply(&mut self, op: Op, batch: Option<Batch>) -> Result<()> {
        self.changed = true;
        let Some(view) = &mut self.view else {
            return apply(Arc::make_mut(&mut self.draft), op, batch, self.store.numbers());
        };
        apply(Arc::make_mut(&mut self.draft), op.clone(), batch.clone(), self.store.numbers())?;
        // What the older snapshot does not take has met another transaction's change of the catalog.
        apply(Arc::make_mut(view), op, batch, self.store.numbers()).map_err(|_| serialization_failure())
    }

    /// Sends a large transaction's operations ahead into the log, so that they do not pile up in memory.
    fn stream(&mut self) -> Result<()> {
        let (Some(log), Some(file)) = (&mut self.log, self.store.log()) else { return Ok(()) };
        if log.ops.bytes() < STREAM_BYTES {
            return Ok(());
        }
        let ops = std::mem::take(&mut log.ops);
        log.streamed += ops.count();
        log.has_streamed = true;
        file.chunk(log.generation, log.transaction, ops)
    }
}

impl Drop for WriteTxn {
    fn drop(&mut self) {
        if let (Some(TxnLog { has_streamed: true, transaction, generation, .. }), Some(file)) =
            (&self.log, self.store.log())
        {
            file.abort(*generation, *transaction);
        }
    }
}

/// 40001.
fn serialization_failure() -> Error {
    let message = "could not serialize access due to concurrent update";
    Error::new(SqlState::SERIALIZATION_FAILURE, message)
        .with_hint("The transaction might succeed if retried.")
}

/// Foreign keys of a table to itself are written before its ids are known.
fn resolve_own_keys(def: &mut TableDef) {
    let id = def.id;
    let indexes: Vec<IndexId> = def.indexes.iter().map(|i| i.id).collect();
    for key in def.foreign_keys.iter_mut().filter(|k| k.ref_table == TableId(0)) {
        key.ref_table = id;
        if let Some(index) = indexes.get(key.ref_index.0 as usize) {
            key.ref_index = *index;
        }
    }
}

/// Bytes that the strings of an array take.
fn string_bytes(array: &ArrayRef) -> usize {
    use arrow::array::AsArray;
    if let Some(a) = array.as_string_view_opt() {
        a.total_buffer_bytes_used()
    } else if let Some(a) = array.as_binary_view_opt() {
        a.total_buffer_bytes_used()
    } else {
        0
    }
}
