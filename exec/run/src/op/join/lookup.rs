//! Index nested-loop join: each batch of left rows is looked up in an index of the right table.

use std::collections::VecDeque;

use arrow::array::{ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::datatypes::UInt32Type;
use spg_expr::Column;
use spg_types::{Datum, Error, IndexId, Result, SqlState, SqlType, TableId};

use super::probe::Emit;
use crate::batch::{Batch, BatchColumn};
use crate::op::index_scan::index;
use crate::op::scan::table;
use crate::pipeline::Stage;
use crate::predicate::{Predicate, PredicateCache};
use crate::run::Run;
use crate::scalar::Scalar;

/// The stage.
pub(crate) struct LookupJoin {
    /// What is put out.
    pub(crate) emit: Emit,
    /// The right table.
    pub(crate) table: TableId,
    /// Its index.
    pub(crate) index: IndexId,
    /// Values of all its key columns over the input.
    pub(crate) keys: Vec<Scalar>,
    /// Positions in the table of the columns read.
    pub(crate) columns: Vec<usize>,
    /// Their types, and the row id's after them where it is read.
    pub(crate) types: Vec<SqlType>,
    /// Whether the row id follows them.
    pub(crate) row_id: bool,
    /// What pairs have to satisfy beside the key, over the input's columns and the right ones after them.
    pub(crate) residual: Predicate,
    /// Positions of the columns put out among the same.
    pub(crate) output: Vec<usize>,
}

impl LookupJoin {
    fn join(&self, run: &Run, cache: &mut PredicateCache, mut batch: Batch) -> Result<VecDeque<Batch>> {
        let rows = batch.rows();
        let mut hits = vec![false; rows];
        let mut out = VecDeque::new();
        let arrays = self
            .keys
            .iter()
            .map(|k| k.eval(&run.ctx, &mut batch)?.to_array(rows))
            .collect::<Result<Vec<ArrayRef>>>()?;
        let right = table(run, self.table)?;
        let matches = index(right, self.index)?.probe_batch(&arrays)?;
        let mut pairs: Vec<(u32, u64)> = matches.probe.into_iter().zip(matches.rows).collect();
        if !pairs.is_sorted() {
            pairs.sort_unstable();
        }
        for some in pairs.chunks(run.batch_size) {
            let ids: Vec<u64> = some.iter().map(|(_, id)| *id).collect();
            let left: Vec<u32> = some.iter().map(|(row, _)| *row).collect();
            let mut columns = right.fetch(&ids, &self.columns)?;
            if self.row_id {
                columns
                    .push(std::sync::Arc::new(Int64Array::from_iter_values(ids.iter().map(|id| *id as i64))));
            }
            let mut joined = batch.clone();
            joined.select(UInt32Array::from(left.clone()));
            columns.into_iter().for_each(|c| joined.push(BatchColumn::dense(Column::Array(c))));
            self.test(run, cache, &left, &mut joined, &mut hits)?;
            if matches!(self.emit, Emit::Pairs | Emit::PairsAndLeft | Emit::Single) && joined.rows() > 0 {
                out.push_back(joined.project(&self.output)?);
            }
        }
        let rest = |want: bool| -> UInt32Array {
            hits.iter()
                .zip(0u32..)
                .filter(|(h, _)| **h == want)
                .map(|(_, row)| row)
                .collect::<Vec<_>>()
                .into()
        };
        match self.emit {
            Emit::Semi | Emit::Anti => {
                batch.select(rest(self.emit == Emit::Semi));
                out.push_back(batch.project(&self.output)?);
            }
            Emit::PairsAndLeft | Emit::Single => {
                let rest = rest(false);
                if !rest.is_empty() {
                    batch.select(rest);
                    for ty in &self.types {
                        batch.push(BatchColumn::dense(Column::constant(&Datum::Null, *ty)?));
                    }
                    out.push_back(batch.project(&self.output)?);
                }
            }
            _ => {}
        }
        Ok(out)
    }

    /// Keeps the pairs that satisfy everything and notes the left rows that have one.
    fn test(
        &self,
        run: &Run,
        cache: &mut PredicateCache,
        left: &[u32],
        pairs: &mut Batch,
        hits: &mut [bool],
    ) -> Result<()> {
        let number = pairs.width();
        let all = pairs.rows();
        let numbers = UInt32Array::from_iter_values(0..all as u32);
        pairs.push(BatchColumn::dense(Column::Array(std::sync::Arc::new(numbers))));
        self.residual.narrow(&run.ctx, pairs, cache, &[])?;
        let kept = pairs.array(number)?;
        let kept =
            kept.as_primitive_opt::<UInt32Type>().ok_or_else(|| Error::internal("pairs have no numbers"))?;
        for pair in kept.values() {
            let hit = &mut hits[left[*pair as usize] as usize];
            if *hit && self.emit == Emit::Single {
                let message = "more than one row returned by a subquery used as an expression";
                return Err(Error::new(SqlState::CARDINALITY_VIOLATION, message));
            }
            *hit = true;
        }
        Ok(())
    }
}

impl Stage for LookupJoin {
    type Shared = ();
    type Local = (PredicateCache, VecDeque<Batch>);

    fn open(&self, _: &Run) -> Result<()> {
        Ok(())
    }

    fn local(&self, _: &Run, (): &()) -> Result<Self::Local> {
        Ok(Default::default())
    }

    fn push(&self, run: &Run, (): &(), (cache, out): &mut Self::Local, batch: Batch) -> Result<()> {
        *out = self.join(run, cache, batch)?;
        Ok(())
    }

    fn pull(&self, _: &Run, (): &(), (_, out): &mut Self::Local) -> Result<Option<Batch>> {
        Ok(out.pop_front())
    }
}
