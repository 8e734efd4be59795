//! Reads a table through an index: one key, or a range of keys in order.

use std::collections::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::Int64Array;
use spg_expr::Column;
use spg_store::{IndexRange, IndexSnapshot, TableSnapshot};
use spg_types::{Datum, Error, IndexId, Result, TableId};

use super::scan::table;
use crate::batch::{Batch, BatchColumn};
use crate::pipeline::Source;
use crate::predicate::{Predicate, PredicateCache};
use crate::run::Run;
use crate::scalar::Scalar;

/// An index scan; its rows come in the order of the index.
pub(crate) struct IndexScan {
    /// The table.
    pub(crate) table: TableId,
    /// The index.
    pub(crate) index: IndexId,
    /// Values of the leading key columns.
    pub(crate) equal: Vec<Scalar>,
    /// Lower bound of the next key column, inclusive or not.
    pub(crate) lower: Option<(Scalar, bool)>,
    /// Upper bound of the next key column, inclusive or not.
    pub(crate) upper: Option<(Scalar, bool)>,
    /// From the end.
    pub(crate) reverse: bool,
    /// Positions in the table of the columns read.
    pub(crate) columns: Vec<usize>,
    /// What the index does not decide.
    pub(crate) filter: Predicate,
    /// Positions in `columns` of the columns put out.
    pub(crate) output: Vec<usize>,
    /// Whether the row id is put out after them.
    pub(crate) row_id: bool,
}

/// What an index finds.
enum Found {
    Nothing,
    Rows(Vec<u64>),
    Range(IndexRange),
}

/// The index of a table in the snapshot.
pub(crate) fn index(table: &TableSnapshot, id: IndexId) -> Result<&Arc<IndexSnapshot>> {
    table.index(id).ok_or_else(|| Error::internal(format!("index {} is not in the snapshot", id.0)))
}

impl IndexScan {
    fn find(&self, run: &Run) -> Result<Found> {
        let index = index(table(run, self.table)?, self.index)?;
        let mut key = self.equal.iter().map(|e| e.value(&run.ctx)).collect::<Result<Vec<_>>>()?;
        if key.iter().any(Datum::is_null) {
            return Ok(Found::Nothing);
        }
        let Some(next) = index.def().columns.get(key.len()) else {
            return Ok(Found::Rows(index.get(&key)?.as_slice().to_vec()));
        };
        let (nulls_first, descending) = (next.nulls_first, next.descending);
        let prefix = key.clone();
        let mut bound = |bound: &Option<(Scalar, bool)>| -> Result<Option<(Vec<Datum>, bool)>> {
            let Some((value, inclusive)) = bound else { return Ok(None) };
            key.truncate(prefix.len());
            key.push(value.value(&run.ctx)?);
            Ok(Some((key.clone(), *inclusive)))
        };
        let (lower, upper) = (bound(&self.lower)?, bound(&self.upper)?);
        if [&lower, &upper].into_iter().flatten().any(|(k, _)| k.last().is_some_and(Datum::is_null)) {
            return Ok(Found::Nothing);
        }
        let null = (lower.is_some() || upper.is_some()).then(|| {
            let mut key = prefix.clone();
            key.push(Datum::Null);
            (key, false)
        });
        // In the order of the index: a descending column starts with the larger values.
        let (mut from, mut to) = if descending { (upper, lower) } else { (lower, upper) };
        let missing = if nulls_first { &mut from } else { &mut to };
        if missing.is_none() {
            *missing = null;
        }
        let range = index.range(as_bound(&from, &prefix), as_bound(&to, &prefix), self.reverse)?;
        Ok(Found::Range(range))
    }
}

fn as_bound<'a>(bound: &'a Option<(Vec<Datum>, bool)>, prefix: &'a [Datum]) -> Bound<&'a [Datum]> {
    match bound {
        Some((key, true)) => Bound::Included(key),
        Some((key, false)) => Bound::Excluded(key),
        None if prefix.is_empty() => Bound::Unbounded,
        None => Bound::Included(prefix),
    }
}

/// A worker's place; there is only one worker.
pub(crate) struct Local {
    found: Found,
    at: usize,
    cache: PredicateCache,
}

impl Source for IndexScan {
    type Shared = AtomicBool;
    type Local = Local;

    fn open(&self, _: &Run) -> Result<AtomicBool> {
        Ok(AtomicBool::new(false))
    }

    fn parallelism(&self, _: &AtomicBool) -> usize {
        1
    }

    fn local(&self, _: &Run, _: &AtomicBool) -> Result<Local> {
        Ok(Local { found: Found::Nothing, at: 0, cache: PredicateCache::default() })
    }

    fn morsel(&self, run: &Run, taken: &AtomicBool, local: &mut Local) -> Result<bool> {
        if taken.swap(true, Ordering::Relaxed) {
            return Ok(false);
        }
        local.found = self.find(run)?;
        Ok(true)
    }

    fn next(&self, run: &Run, _: &AtomicBool, local: &mut Local) -> Result<Option<Batch>> {
        let mut ids = Vec::new();
        match &mut local.found {
            Found::Nothing => {}
            Found::Rows(rows) => {
                ids.extend(rows.iter().skip(local.at).take(run.batch_size));
                local.at += ids.len();
            }
            Found::Range(range) => {
                range.next_rows(run.batch_size, &mut ids);
            }
        }
        if ids.is_empty() {
            return Ok(None);
        }
        let rows = ids.len();
        let arrays = table(run, self.table)?.fetch(&ids, &self.columns)?;
        let mut columns: Vec<Column> = arrays.into_iter().map(Column::Array).collect();
        if self.row_id {
            columns
                .push(Column::Array(Arc::new(Int64Array::from_iter_values(ids.iter().map(|id| *id as i64)))));
        }
        let mut batch = Batch::new(columns, rows);
        self.filter.narrow(&run.ctx, &mut batch, &mut local.cache, &[])?;
        let row_id = self.row_id.then_some(self.columns.len());
        put_out(batch, &self.output, row_id).map(Some)
    }
}

/// Only the columns put out.
pub(super) fn put_out(batch: Batch, output: &[usize], row_id: Option<usize>) -> Result<Batch> {
    let rows = batch.rows();
    let columns: Vec<BatchColumn> =
        output.iter().copied().chain(row_id).map(|i| batch.raw(i).cloned()).collect::<Result<_>>()?;
    Ok(Batch::from_columns(columns, rows))
}
