//! GROUPING SETS: each batch once per set, with the keys that are not in the set as NULLs and the set's number at the end.

use std::sync::Arc;

use arrow::array::Int64Array;
use spg_expr::Column;
use spg_types::{Datum, Result};

use crate::batch::{Batch, BatchColumn};
use crate::pipeline::Stage;
use crate::run::Run;
use crate::scalar::Scalar;

/// Adds key columns and the set's number to its input.
pub(crate) struct Expand {
    /// Keys over the input.
    pub(crate) keys: Vec<Scalar>,
    /// Which keys each set has.
    pub(crate) sets: Vec<Vec<usize>>,
}

/// The batch with all keys, and the next set.
type Held = Option<(Batch, Vec<Column>, usize)>;

impl Stage for Expand {
    type Shared = ();
    type Local = Held;

    fn open(&self, _: &Run) -> Result<()> {
        Ok(())
    }

    fn local(&self, _: &Run, (): &()) -> Result<Held> {
        Ok(None)
    }

    fn push(&self, run: &Run, (): &(), held: &mut Held, mut batch: Batch) -> Result<()> {
        let keys = self.keys.iter().map(|k| k.eval(&run.ctx, &mut batch)).collect::<Result<_>>()?;
        *held = Some((batch, keys, 0));
        Ok(())
    }

    fn pull(&self, _: &Run, (): &(), held: &mut Held) -> Result<Option<Batch>> {
        let Some((batch, keys, next)) = held else { return Ok(None) };
        let Some(set) = self.sets.get(*next) else {
            *held = None;
            return Ok(None);
        };
        let mut out = batch.clone();
        for (i, key) in keys.iter().enumerate() {
            let key = if set.contains(&i) {
                key.clone()
            } else {
                Column::constant(&Datum::Null, self.keys[i].ty())?
            };
            out.push(BatchColumn::dense(key));
        }
        let number = Arc::new(Int64Array::from(vec![*next as i64]));
        out.push(BatchColumn::dense(Column::Const(number)));
        *next += 1;
        Ok(Some(out))
    }
}
