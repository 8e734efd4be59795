//! What a pipeline is made of: a [`Source`], any number of [`Stage`]s, a [`Sink`].
//!
//! An operator is immutable and belongs to the compiled plan. What one run of it needs lies in its `Shared` state (one
//! per run, made when a pipeline with it starts) and in `Local` states (one per worker on a pipeline). The rules of
//! parallelism: `&Shared` is for all workers at once, `&mut Local` for one; `Sink::combine` hands a local state in, once
//! per worker; `part`s run after all of them, in parallel; `finish` runs last, alone.
//!
//! This file also erases the types of the states, so that drivers handle all operators alike.

use std::any::Any;
use std::sync::Arc;

use spg_types::{Error, Result};

use crate::batch::Batch;
use crate::run::Run;

/// Makes batches, morsel by morsel.
pub(crate) trait Source: Send + Sync + 'static {
    /// State of one run.
    type Shared: Send + Sync + 'static;
    /// State of one worker.
    type Local: Send + 'static;

    /// Starts a run: everything it depends on is finished.
    fn open(&self, run: &Run) -> Result<Self::Shared>;

    /// How many workers can be busy here.
    fn parallelism(&self, shared: &Self::Shared) -> usize;

    /// A worker's state.
    fn local(&self, run: &Run, shared: &Self::Shared) -> Result<Self::Local>;

    /// Takes a morsel; false when there is none left.
    fn morsel(&self, run: &Run, shared: &Self::Shared, local: &mut Self::Local) -> Result<bool>;

    /// The next batch of the morsel; `None` at its end. Batches may be empty.
    fn next(&self, run: &Run, shared: &Self::Shared, local: &mut Self::Local) -> Result<Option<Batch>>;
}

/// Turns a batch into none, one or many.
pub(crate) trait Stage: Send + Sync + 'static {
    /// State of one run.
    type Shared: Send + Sync + 'static;
    /// State of one worker.
    type Local: Send + 'static;

    /// Starts a run: everything it depends on is finished.
    fn open(&self, run: &Run) -> Result<Self::Shared>;

    /// A worker's state.
    fn local(&self, run: &Run, shared: &Self::Shared) -> Result<Self::Local>;

    /// Takes a batch. Only called after `pull` has answered `None`.
    fn push(&self, run: &Run, shared: &Self::Shared, local: &mut Self::Local, batch: Batch) -> Result<()>;

    /// The next batch made from what was pushed; `None` when more has to be pushed first.
    fn pull(&self, run: &Run, shared: &Self::Shared, local: &mut Self::Local) -> Result<Option<Batch>>;

    /// Nothing more is pushed by this worker: what the stage still holds comes from `pull`.
    fn finish(&self, _run: &Run, _shared: &Self::Shared, _local: &mut Self::Local) -> Result<()> {
        Ok(())
    }

    /// Whether it needs no more input from anyone.
    fn done(&self, _shared: &Self::Shared) -> bool {
        false
    }
}

/// A stage without state that turns one batch into at most one.
pub(crate) trait Map: Send + Sync + 'static {
    /// The batch made of `batch`.
    fn map(&self, run: &Run, batch: Batch) -> Result<Option<Batch>>;
}

/// A [`Map`] as a stage.
pub(crate) struct Mapped<M>(pub(crate) M);

impl<M: Map> Stage for Mapped<M> {
    type Shared = ();
    type Local = Option<Batch>;

    fn open(&self, _: &Run) -> Result<()> {
        Ok(())
    }

    fn local(&self, _: &Run, (): &()) -> Result<Option<Batch>> {
        Ok(None)
    }

    fn push(&self, run: &Run, (): &(), local: &mut Option<Batch>, batch: Batch) -> Result<()> {
        *local = self.0.map(run, batch)?;
        Ok(())
    }

    fn pull(&self, _: &Run, (): &(), local: &mut Option<Batch>) -> Result<Option<Batch>> {
        Ok(local.take())
    }
}

/// Takes the batches of its pipelines and makes something of them.
pub(crate) trait Sink: Send + Sync + 'static {
    /// State of one run.
    type Shared: Send + Sync + 'static;
    /// State of one worker.
    type Local: Send + 'static;

    /// Starts a run.
    fn open(&self, run: &Run) -> Result<Self::Shared>;

    /// A worker's state.
    fn local(&self, run: &Run, shared: &Self::Shared) -> Result<Self::Local>;

    /// Takes a batch.
    fn push(&self, run: &Run, shared: &Self::Shared, local: &mut Self::Local, batch: Batch) -> Result<()>;

    /// Takes a worker's state, which will get no more batches.
    fn combine(&self, run: &Run, shared: &Self::Shared, local: Self::Local) -> Result<()>;

    /// How many parts the work after the last `combine` has.
    fn parts(&self, _run: &Run, _shared: &Self::Shared) -> Result<usize> {
        Ok(0)
    }

    /// Does one part.
    fn part(&self, _run: &Run, _shared: &Self::Shared, _part: usize) -> Result<()> {
        Ok(())
    }

    /// Publishes the result; those that depend on this sink start afterwards.
    fn finish(&self, run: &Run, shared: &Self::Shared) -> Result<()>;

    /// Whether it needs no more input.
    fn done(&self, _shared: &Self::Shared) -> bool {
        false
    }

    /// Whether it can take no more for now: drivers then wait until the consumer wakes them.
    fn blocked(&self, _shared: &Self::Shared) -> bool {
        false
    }
}

/// Shared state of any operator.
pub(crate) type AnyShared = Arc<dyn Any + Send + Sync>;
/// Local state of any operator.
pub(crate) type AnyLocal = Box<dyn Any + Send>;

fn shared<T: 'static>(any: &AnyShared) -> Result<&T> {
    any.downcast_ref().ok_or_else(|| Error::internal("an operator got another operator's shared state"))
}

fn local<T: 'static>(any: &mut AnyLocal) -> Result<&mut T> {
    any.downcast_mut().ok_or_else(|| Error::internal("an operator got another operator's local state"))
}

/// A [`Source`] with its types erased.
#[allow(missing_docs)]
pub(crate) trait AnySource: Send + Sync {
    fn any_open(&self, run: &Run) -> Result<AnyShared>;
    fn any_parallelism(&self, state: &AnyShared) -> Result<usize>;
    fn any_local(&self, run: &Run, state: &AnyShared) -> Result<AnyLocal>;
    fn any_morsel(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal) -> Result<bool>;
    fn any_next(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal) -> Result<Option<Batch>>;
}

impl<S: Source> AnySource for S {
    fn any_open(&self, run: &Run) -> Result<AnyShared> {
        Ok(Arc::new(self.open(run)?))
    }

    fn any_parallelism(&self, state: &AnyShared) -> Result<usize> {
        Ok(self.parallelism(shared(state)?))
    }

    fn any_local(&self, run: &Run, state: &AnyShared) -> Result<AnyLocal> {
        Ok(Box::new(self.local(run, shared(state)?)?))
    }

    fn any_morsel(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal) -> Result<bool> {
        self.morsel(run, shared(state)?, local(own)?)
    }

    fn any_next(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal) -> Result<Option<Batch>> {
        self.next(run, shared(state)?, local(own)?)
    }
}

/// A [`Stage`] with its types erased.
#[allow(missing_docs)]
pub(crate) trait AnyStage: Send + Sync {
    fn any_open(&self, run: &Run) -> Result<AnyShared>;
    fn any_local(&self, run: &Run, state: &AnyShared) -> Result<AnyLocal>;
    fn any_push(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal, batch: Batch) -> Result<()>;
    fn any_pull(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal) -> Result<Option<Batch>>;
    fn any_finish(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal) -> Result<()>;
    fn any_done(&self, state: &AnyShared) -> Result<bool>;
}

impl<S: Stage> AnyStage for S {
    fn any_open(&self, run: &Run) -> Result<AnyShared> {
        Ok(Arc::new(self.open(run)?))
    }

    fn any_local(&self, run: &Run, state: &AnyShared) -> Result<AnyLocal> {
        Ok(Box::new(self.local(run, shared(state)?)?))
    }

    fn any_push(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal, batch: Batch) -> Result<()> {
        self.push(run, shared(state)?, local(own)?, batch)
    }

    fn any_pull(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal) -> Result<Option<Batch>> {
        self.pull(run, shared(state)?, local(own)?)
    }

    fn any_finish(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal) -> Result<()> {
        self.finish(run, shared(state)?, local(own)?)
    }

    fn any_done(&self, state: &AnyShared) -> Result<bool> {
        Ok(self.done(shared(state)?))
    }
}

/// A [`Sink`] with its types erased.
#[allow(missing_docs)]
pub(crate) trait AnySink: Send + Sync {
    fn any_open(&self, run: &Run) -> Result<AnyShared>;
    fn any_local(&self, run: &Run, state: &AnyShared) -> Result<AnyLocal>;
    fn any_push(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal, batch: Batch) -> Result<()>;
    fn any_combine(&self, run: &Run, state: &AnyShared, own: AnyLocal) -> Result<()>;
    fn any_parts(&self, run: &Run, state: &AnyShared) -> Result<usize>;
    fn any_part(&self, run: &Run, state: &AnyShared, part: usize) -> Result<()>;
    fn any_finish(&self, run: &Run, state: &AnyShared) -> Result<()>;
    fn any_done(&self, state: &AnyShared) -> Result<bool>;
    fn any_blocked(&self, state: &AnyShared) -> Result<bool>;
}

impl<S: Sink> AnySink for S {
    fn any_open(&self, run: &Run) -> Result<AnyShared> {
        Ok(Arc::new(self.open(run)?))
    }

    fn any_local(&self, run: &Run, state: &AnyShared) -> Result<AnyLocal> {
        Ok(Box::new(self.local(run, shared(state)?)?))
    }

    fn any_push(&self, run: &Run, state: &AnyShared, own: &mut AnyLocal, batch: Batch) -> Result<()> {
        self.push(run, shared(state)?, local(own)?, batch)
    }

    fn any_combine(&self, run: &Run, state: &AnyShared, own: AnyLocal) -> Result<()> {
        let own = own
            .downcast::<S::Local>()
            .map_err(|_| Error::internal("an operator got another operator's local state"))?;
        self.combine(run, shared(state)?, *own)
    }

    fn any_parts(&self, run: &Run, state: &AnyShared) -> Result<usize> {
        self.parts(run, shared(state)?)
    }

    fn any_part(&self, run: &Run, state: &AnyShared, part: usize) -> Result<()> {
        self.part(run, shared(state)?, part)
    }

    fn any_finish(&self, run: &Run, state: &AnyShared) -> Result<()> {
        self.finish(run, shared(state)?)
    }

    fn any_done(&self, state: &AnyShared) -> Result<bool> {
        Ok(self.done(shared(state)?))
    }

    fn any_blocked(&self, state: &AnyShared) -> Result<bool> {
        Ok(self.blocked(shared(state)?))
    }
}
