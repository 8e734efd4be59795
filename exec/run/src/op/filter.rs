//! Keeps the rows that a predicate is true for.

use spg_types::Result;

use crate::batch::Batch;
use crate::pipeline::Stage;
use crate::predicate::{Predicate, PredicateCache};
use crate::run::Run;

/// A filter.
pub(crate) struct Filter {
    /// What must be true.
    pub(crate) predicate: Predicate,
}

impl Stage for Filter {
    type Shared = ();
    type Local = (PredicateCache, Option<Batch>);

    fn open(&self, _: &Run) -> Result<()> {
        Ok(())
    }

    fn local(&self, _: &Run, (): &()) -> Result<Self::Local> {
        Ok(Default::default())
    }

    fn push(&self, run: &Run, (): &(), (cache, out): &mut Self::Local, mut batch: Batch) -> Result<()> {
        self.predicate.narrow(&run.ctx, &mut batch, cache, &[])?;
        *out = (batch.rows() > 0).then_some(batch);
        Ok(())
    }

    fn pull(&self, _: &Run, (): &(), (_, out): &mut Self::Local) -> Result<Option<Batch>> {
        Ok(out.take())
    }
}
