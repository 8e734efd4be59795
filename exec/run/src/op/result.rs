//! The end of a query: rows go into the queue that the consumer reads.

use spg_types::Result;

use crate::batch::Batch;
use crate::pipeline::Sink;
use crate::run::Run;
use crate::stream::ResultBatch;

/// Hands the output columns over.
pub(crate) struct Results {
    /// Positions of the output columns.
    pub(crate) columns: Vec<usize>,
}

impl Sink for Results {
    type Shared = std::sync::Arc<crate::stream::Outcome>;
    type Local = ();

    fn open(&self, run: &Run) -> Result<Self::Shared> {
        Ok(run.outcome.clone())
    }

    fn local(&self, _: &Run, _: &Self::Shared) -> Result<()> {
        Ok(())
    }

    fn push(&self, _: &Run, outcome: &Self::Shared, (): &mut (), batch: Batch) -> Result<()> {
        let (columns, rows) = batch.project(&self.columns)?.into_dense()?;
        outcome.push(ResultBatch { columns, rows });
        Ok(())
    }

    fn combine(&self, _: &Run, _: &Self::Shared, (): ()) -> Result<()> {
        Ok(())
    }

    fn finish(&self, _: &Run, _: &Self::Shared) -> Result<()> {
        Ok(())
    }

    fn blocked(&self, outcome: &Self::Shared) -> bool {
        outcome.is_full()
    }
}
