//! One run of a program: its environment and the states of its operators.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use spg_expr::EvalContext;
use spg_store::DbSnapshot;
use spg_types::{Error, Result, SqlState};

use crate::cancel::CancelToken;
use crate::memory::MemoryBudget;
use crate::pipeline::AnyShared;
use crate::program::{NodeId, Program};
use crate::scheduler::Scheduler;
use crate::stream::Outcome;
use crate::system::SystemCatalog;

/// What a statement runs in.
#[derive(Clone)]
pub struct ExecEnv {
    /// What it reads.
    pub snapshot: Arc<DbSnapshot>,
    /// Where system relations come from.
    pub system: Arc<dyn SystemCatalog>,
    /// What its expressions know of the session.
    pub ctx: Arc<EvalContext>,
    /// Whose workers run it.
    pub scheduler: Arc<Scheduler>,
    /// What it may hold.
    pub memory: Arc<MemoryBudget>,
    /// What ends it early.
    pub cancel: Arc<CancelToken>,
    /// Rows per batch; 8192 unless a test says otherwise.
    pub batch_size: usize,
    /// Workers at most.
    pub parallelism: usize,
}

/// Rows per batch unless a test says otherwise.
pub const DEFAULT_BATCH_SIZE: usize = 8192;

/// A place in a run for what a sink publishes: a hash table, sorted runs, materialized rows.
pub(crate) struct Slot<T> {
    index: usize,
    of: PhantomData<fn() -> T>,
}

impl<T> Slot<T> {
    /// The place at `index` of the run's slots.
    pub(crate) fn at(index: usize) -> Self {
        Self { index, of: PhantomData }
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

/// What one plan node did in a run.
#[derive(Debug, Default)]
pub(crate) struct NodeProfile {
    /// Rows put out.
    pub(crate) rows: AtomicU64,
    /// Nanoseconds spent in it by all workers together.
    pub(crate) nanos: AtomicU64,
    /// Bytes held at most.
    pub(crate) memory: AtomicU64,
    /// Rows that join filters dropped.
    pub(crate) filtered: AtomicU64,
    /// Whether it ran at all.
    pub(crate) executed: AtomicBool,
}

/// One run of a program.
pub(crate) struct Run {
    /// What it reads.
    pub(crate) snapshot: Arc<DbSnapshot>,
    /// Where system relations come from.
    pub(crate) system: Arc<dyn SystemCatalog>,
    /// What its expressions know of the session.
    pub(crate) ctx: Arc<EvalContext>,
    /// What it may hold.
    pub(crate) memory: Arc<MemoryBudget>,
    /// What ends it early.
    pub(crate) cancel: Arc<CancelToken>,
    /// Rows per batch.
    pub(crate) batch_size: usize,
    /// Workers at most.
    pub(crate) parallelism: usize,
    /// Where results and the end of the query go.
    pub(crate) outcome: Arc<Outcome>,
    slots: Box<[OnceLock<Arc<dyn Any + Send + Sync>>]>,
    stages: Box<[OnceLock<AnyShared>]>,
    sinks: Box<[OnceLock<AnyShared>]>,
    opening: Mutex<()>,
    profile: Option<Box<[NodeProfile]>>,
}

impl Run {
    /// A run of `program`, before anything is open.
    pub(crate) fn new(program: &Program, env: &ExecEnv, outcome: Arc<Outcome>, analyze: bool) -> Self {
        Self {
            snapshot: env.snapshot.clone(),
            system: env.system.clone(),
            ctx: env.ctx.clone(),
            memory: env.memory.clone(),
            cancel: env.cancel.clone(),
            batch_size: env.batch_size.max(1),
            parallelism: env.parallelism.max(1),
            outcome,
            slots: (0..program.slots).map(|_| OnceLock::new()).collect(),
            stages: program.stages.iter().map(|_| OnceLock::new()).collect(),
            sinks: program.sinks.iter().map(|_| OnceLock::new()).collect(),
            opening: Mutex::new(()),
            profile: analyze.then(|| (0..program.nodes).map(|_| NodeProfile::default()).collect()),
        }
    }

    /// A run of a program inside this one, on one worker; its results are kept until they are taken.
    pub(crate) fn nested(&self, program: &Program) -> Run {
        Run {
            snapshot: self.snapshot.clone(),
            system: self.system.clone(),
            ctx: self.ctx.clone(),
            memory: self.memory.clone(),
            cancel: self.cancel.clone(),
            batch_size: self.batch_size,
            parallelism: 1,
            outcome: Outcome::new(usize::MAX),
            slots: (0..program.slots).map(|_| OnceLock::new()).collect(),
            stages: program.stages.iter().map(|_| OnceLock::new()).collect(),
            sinks: program.sinks.iter().map(|_| OnceLock::new()).collect(),
            opening: Mutex::new(()),
            profile: None,
        }
    }

    /// 57014 or 57P01 when the query is to end.
    pub(crate) fn check(&self) -> Result<()> {
        self.cancel.check()?;
        if self.outcome.is_abandoned() {
            return Err(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request"));
        }
        Ok(())
    }

    /// Publishes a result; the first one stands.
    pub(crate) fn put<T: Send + Sync + 'static>(&self, slot: Slot<T>, value: Arc<T>) -> Result<()> {
        let place = self.slots.get(slot.index).ok_or_else(|| Error::internal("no such slot"))?;
        place.set(value).map_err(|_| Error::internal("a slot was filled twice"))
    }

    /// What was published in a slot.
    pub(crate) fn get<T: Send + Sync + 'static>(&self, slot: Slot<T>) -> Result<Arc<T>> {
        let value = self.slots.get(slot.index).and_then(|s| s.get()).cloned();
        let value = value.ok_or_else(|| Error::internal("a slot was read before it was filled"))?;
        value.downcast().map_err(|_| Error::internal("a slot holds something else"))
    }

    /// The shared states of a pipeline's stages and sink, opened where they are not yet.
    pub(crate) fn open(&self, program: &Program, pipeline: usize) -> Result<()> {
        let _one_at_a_time = self.opening.lock();
        let spec = &program.pipelines[pipeline];
        for &stage in &spec.stages {
            if self.stages[stage].get().is_none() {
                let _ = self.stages[stage].set(program.stages[stage].op.any_open(self)?);
            }
        }
        if self.sinks[spec.sink].get().is_none() {
            let _ = self.sinks[spec.sink].set(program.sinks[spec.sink].op.any_open(self)?);
        }
        Ok(())
    }

    /// The shared state of an open stage.
    pub(crate) fn stage(&self, stage: usize) -> Result<&AnyShared> {
        self.stages[stage].get().ok_or_else(|| Error::internal("a stage is not open"))
    }

    /// The shared state of an open sink.
    pub(crate) fn sink(&self, sink: usize) -> Result<&AnyShared> {
        self.sinks[sink].get().ok_or_else(|| Error::internal("a sink is not open"))
    }

    /// Where a node's work is counted, when it is.
    pub(crate) fn profile(&self, node: NodeId) -> Option<&NodeProfile> {
        self.profile.as_ref()?.get(node)
    }

    /// All nodes' counters.
    pub(crate) fn profiles(&self) -> Option<&[NodeProfile]> {
        self.profile.as_deref()
    }

    /// Notes that a node holds `bytes`.
    pub(crate) fn note_memory(&self, node: NodeId, bytes: usize) {
        if let Some(p) = self.profile(node) {
            p.memory.fetch_max(bytes as u64, Ordering::Relaxed);
        }
    }
}
