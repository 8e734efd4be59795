//! INSERT, UPDATE, DELETE: rows that pipelines have made go into a write transaction.

use std::sync::Arc;

use ahash::AHashSet;
use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::datatypes::Int64Type;
use spg_expr::Column;
use spg_plan::explain::NodeStats;
use spg_plan::{Modify, ModifyKind};
use spg_store::{ROW_GROUP_ROWS, WriteTxn};
use spg_types::{Error, Result, SqlType, TableRef};

use crate::batch::Batch;
use crate::checks::RowChecks;
use crate::compiled::{CompiledPlan, Effect, Modified, Step, add_profiles};
use crate::gather::concat;
use crate::lower::{Lowering, Need};
use crate::memory::Reservation;
use crate::op::materialize::{Materialized, columns_bytes};
use crate::op::result::Results;
use crate::program::Program;
use crate::run::{DEFAULT_BATCH_SIZE, ExecEnv};
use crate::scalar::{Layout, Scalar, scalars};
use crate::stream::ResultBatch;

/// Rows are handed to the store in pieces of at least this many: with the last batch, at most a row group.
const APPEND_ROWS: usize = ROW_GROUP_ROWS - DEFAULT_BATCH_SIZE;

/// What a statement changes, over the result columns of its program.
pub(crate) struct Change {
    table: TableRef,
    /// For Insert and Update: the result column of each table column.
    values: Vec<usize>,
    /// For Update and Delete: the result column with the row's id.
    row_id: Option<usize>,
    appends: bool,
    checks: RowChecks,
    returning: Vec<Scalar>,
}

impl Change {
    /// The program of the rows and what is done with them.
    pub(crate) fn lower(mut lowering: Lowering, modify: &Modify) -> Result<(Program, Change)> {
        let (row_id, appends) = match &modify.kind {
            ModifyKind::Insert => (None, true),
            ModifyKind::Update { row_id, .. } => (Some(*row_id), true),
            ModifyKind::Delete { row_id } => (Some(*row_id), false),
        };
        let mut need: Need = row_id.into_iter().collect();
        need.extend(modify.returning.iter().flat_map(|r| r.expr.columns()));
        if appends {
            need.extend(modify.values.iter().flatten());
        }
        let flow = lowering.lower(&modify.input, &need)?;
        let layout =
            Layout::new(flow.layout.columns().iter().filter(|(id, _)| need.contains(id)).copied().collect());
        let value = |(i, id): (usize, &Option<spg_expr::ColId>)| match id {
            Some(id) => layout.position(*id),
            None => Err(Error::internal(format!("column {i} of the new row has no value"))),
        };
        let change = Change {
            table: modify.table.clone(),
            values: match appends {
                true => modify.values.iter().enumerate().map(value).collect::<Result<_>>()?,
                false => Vec::new(),
            },
            row_id: row_id.map(|id| layout.position(id)).transpose()?,
            appends,
            checks: RowChecks::new(modify)?,
            returning: scalars(modify.returning.iter().map(|r| &r.expr), &layout)?,
        };
        let columns =
            layout.columns().iter().map(|(id, _)| flow.layout.position(*id)).collect::<Result<_>>()?;
        lowering.end(flow, Results { columns });
        Ok((lowering.finish(), change))
    }
}

/// A statement's changes to one table, collected.
struct Collected {
    rows: u64,
    deletes: Vec<u64>,
    seen: AHashSet<i64>,
    pending: Vec<Vec<ArrayRef>>,
    pending_rows: usize,
    appended: Vec<Vec<ArrayRef>>,
    returning: Vec<ResultBatch>,
    memory: Reservation,
}

impl CompiledPlan {
    /// Runs a statement that changes data, inside `txn`; reads see `env.snapshot`. Constraints are checked: NOT NULL and CHECK per
    /// batch (23502, 23514), the others at the end of the statement.
    pub fn modify(&self, env: ExecEnv, txn: &mut WriteTxn) -> Result<Modified> {
        self.modify_with(&env, txn, None)
    }

    /// As [`CompiledPlan::modify`], telling what each plan node did.
    pub fn modify_analyzed(&self, env: ExecEnv, txn: &mut WriteTxn) -> Result<Vec<NodeStats>> {
        let mut stats = self.no_stats();
        self.modify_with(&env, txn, Some(&mut stats))?;
        Ok(stats)
    }

    fn modify_with(
        &self,
        env: &ExecEnv,
        txn: &mut WriteTxn,
        mut stats: Option<&mut Vec<NodeStats>>,
    ) -> Result<Modified> {
        env.cancel.check()?;
        let mut kept: Vec<Option<Arc<Materialized>>> = vec![None; self.kept];
        let mut modified = Modified::default();
        for step in &self.steps {
            let (rows, batches) = self.run_step(step, env, &kept, txn, stats.as_deref_mut())?;
            let keep = match &step.effect {
                Effect::Result => None,
                Effect::Keep(at) => Some(*at),
                Effect::Change(_, keep) => *keep,
            };
            match keep {
                Some(at) => {
                    let batches = batches.into_iter().map(|b| (b.columns, b.rows)).collect();
                    kept[at] = Some(Arc::new(Materialized::new(batches)));
                }
                None => modified = Modified { rows, returning: batches },
            }
        }
        txn.end_statement()?;
        Ok(modified)
    }

    fn run_step(
        &self,
        step: &Step,
        env: &ExecEnv,
        kept: &[Option<Arc<Materialized>>],
        txn: &mut WriteTxn,
        stats: Option<&mut Vec<NodeStats>>,
    ) -> Result<(u64, Vec<ResultBatch>)> {
        let mut stream = self.start_step(step, env, kept, stats.is_some())?;
        let Effect::Change(change, _) = &step.effect else {
            let mut batches = Vec::new();
            let mut memory = Reservation::new(&env.memory);
            while let Some(batch) = stream.next()? {
                memory.grow(columns_bytes(&batch.columns))?;
                batches.push(batch);
            }
            if let Some(stats) = stats {
                add_profiles(stats, &stream);
            }
            return Ok((batches.iter().map(|b| b.rows as u64).sum(), batches));
        };
        let mut collected = Collected {
            rows: 0,
            deletes: Vec::new(),
            seen: AHashSet::new(),
            pending: Vec::new(),
            pending_rows: 0,
            appended: Vec::new(),
            returning: Vec::new(),
            memory: Reservation::new(&env.memory),
        };
        while let Some(batch) = stream.next()? {
            change.collect(env, batch, &mut collected, txn)?;
        }
        change.apply(collected, txn, env, stats.map(|s| (s, &stream)))
    }
}

impl Change {
    fn collect(
        &self,
        env: &ExecEnv,
        rows: ResultBatch,
        all: &mut Collected,
        txn: &mut WriteTxn,
    ) -> Result<()> {
        let mut batch = Batch::new(rows.columns, rows.rows);
        if let Some(row_id) = self.row_id {
            self.collect_ids(&mut batch, row_id, all)?;
        }
        if batch.rows() == 0 {
            return Ok(());
        }
        all.rows += batch.rows() as u64;
        if self.appends {
            let arrays = self.values.iter().map(|&i| batch.array(i)).collect::<Result<Vec<_>>>()?;
            self.checks.check(&env.ctx, &arrays, batch.rows()).map_err(|(e, _)| e)?;
            all.pending_rows += batch.rows();
            if self.row_id.is_some() {
                let bytes: usize = arrays.iter().map(|a| crate::gather::array_bytes(a)).sum();
                all.memory.grow(bytes)?;
            }
            all.pending.push(arrays);
            if all.pending_rows >= APPEND_ROWS {
                let columns = self.join(all)?;
                // Old rows go first: a key that moves from one row to another is no conflict.
                match self.row_id {
                    None => _ = txn.append(self.table.id, columns)?,
                    Some(_) => all.appended.push(columns),
                }
            }
        }
        if !self.returning.is_empty() {
            let columns: Vec<Column> =
                self.returning.iter().map(|e| e.eval(&env.ctx, &mut batch)).collect::<Result<_>>()?;
            all.memory.grow(columns_bytes(&columns))?;
            all.returning.push(ResultBatch { columns, rows: batch.rows() });
        }
        Ok(())
    }

    /// Notes rows to delete; a row that was there before is dropped from the batch: its first change counts.
    fn collect_ids(&self, batch: &mut Batch, row_id: usize, all: &mut Collected) -> Result<()> {
        let ids = batch.array(row_id)?;
        let ids =
            ids.as_primitive_opt::<Int64Type>().ok_or_else(|| Error::internal("row ids are not bigint"))?;
        let mut first: Vec<u32> = Vec::with_capacity(ids.len());
        for (row, id) in ids.iter().enumerate() {
            if let Some(id) = id
                && all.seen.insert(id)
            {
                first.push(row as u32);
                all.deletes.push(id as u64);
            }
        }
        if first.len() < batch.rows() {
            batch.select(UInt32Array::from(first));
        }
        Ok(())
    }

    /// The rows not handed on yet, as one batch.
    fn join(&self, all: &mut Collected) -> Result<Vec<ArrayRef>> {
        let pending = std::mem::take(&mut all.pending);
        all.pending_rows = 0;
        (self.table.columns.iter().enumerate())
            .map(|(i, def)| {
                let parts: Vec<ArrayRef> = pending.iter().map(|p| p[i].clone()).collect();
                let ty: SqlType = def.ty;
                concat(&parts, &ty.data_type())
            })
            .collect()
    }

    fn apply(
        &self,
        mut all: Collected,
        txn: &mut WriteTxn,
        _env: &ExecEnv,
        stats: Option<(&mut Vec<NodeStats>, &crate::stream::ResultStream)>,
    ) -> Result<(u64, Vec<ResultBatch>)> {
        if !all.deletes.is_empty() {
            all.deletes.sort_unstable();
            txn.delete(self.table.id, &all.deletes)?;
        }
        for columns in std::mem::take(&mut all.appended) {
            txn.append(self.table.id, columns)?;
        }
        if all.pending_rows > 0 {
            let columns = self.join(&mut all)?;
            txn.append(self.table.id, columns)?;
        }
        if let Some((stats, stream)) = stats {
            add_profiles(stats, stream);
        }
        Ok((all.rows, all.returning))
    }
}
