//! One worker's way through a pipeline: pulls batches from the source, pushes them through the stages into the sink.
//!
//! A driver can stop after any batch and go on later, on another thread: where it stands is a number (which operator may
//! still have output), not a call stack. So a full result queue suspends it in the middle of a morsel.

use std::sync::atomic::Ordering;
use std::time::Instant;

use spg_types::{Error, Result};

use crate::batch::Batch;
use crate::pipeline::{AnyLocal, AnyShared};
use crate::program::{NodeId, Program};
use crate::run::Run;

/// What became of a driver's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A morsel is done; there may be more.
    Morsel,
    /// The sink takes no more for now.
    Blocked,
    /// Source, stages and sink are through with this driver.
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between morsels.
    Between,
    /// Inside a morsel; operators `0..=level` may have output.
    Within { level: usize },
    /// The source is exhausted; stage `stage` has been finished, and operators up to `level` may have output.
    Draining { stage: usize, level: usize },
}

/// A worker's states on one pipeline.
pub(crate) struct Driver {
    /// Which pipeline of the program.
    pub(crate) pipeline: usize,
    source: (AnyShared, AnyLocal),
    stages: Vec<(AnyShared, AnyLocal)>,
    sink: (AnyShared, Option<AnyLocal>),
    phase: Phase,
}

impl Driver {
    /// A new worker on an open pipeline.
    pub(crate) fn new(program: &Program, run: &Run, pipeline: usize, source: AnyShared) -> Result<Self> {
        let spec = &program.pipelines[pipeline];
        let own = spec.source.any_local(run, &source)?;
        let stages = spec
            .stages
            .iter()
            .map(|&s| {
                let shared = run.stage(s)?.clone();
                let own = program.stages[s].op.any_local(run, &shared)?;
                Ok((shared, own))
            })
            .collect::<Result<Vec<_>>>()?;
        let shared = run.sink(spec.sink)?.clone();
        let sink_own = program.sinks[spec.sink].op.any_local(run, &shared)?;
        let sink = (shared, Some(sink_own));
        Ok(Self { pipeline, source: (source, own), stages, sink, phase: Phase::Between })
    }

    /// Works until a morsel is done, the sink is full, or nothing is left.
    pub(crate) fn turn(&mut self, program: &Program, run: &Run) -> Result<Turn> {
        let spec = &program.pipelines[self.pipeline];
        loop {
            run.check()?;
            self.phase = match self.phase {
                Phase::Between => {
                    let more = !self.done(program)?
                        && timed(run, spec.node, || {
                            spec.source.any_morsel(run, &self.source.0, &mut self.source.1)
                        })?;
                    if more { Phase::Within { level: 0 } } else { self.start_draining(program, run, 0)? }
                }
                Phase::Within { level } => {
                    if level == 0 && self.done(program)? {
                        self.phase = self.start_draining(program, run, 0)?;
                        continue;
                    }
                    match self.pull(program, run, level)? {
                        Some(batch) => {
                            let next = self.feed(program, run, level, batch)?;
                            self.phase = Phase::Within { level: next };
                            if next == level && self.blocked(program)? {
                                return Ok(Turn::Blocked);
                            }
                            continue;
                        }
                        None if level == 0 => {
                            self.phase = Phase::Between;
                            return Ok(Turn::Morsel);
                        }
                        None => Phase::Within { level: level - 1 },
                    }
                }
                Phase::Draining { stage, level } => {
                    if stage == self.stages.len() {
                        let own =
                            self.sink.1.take().ok_or_else(|| Error::internal("a driver ended twice"))?;
                        let node = &program.sinks[spec.sink];
                        timed(run, node.node, || node.op.any_combine(run, &self.sink.0, own))?;
                        return Ok(Turn::Finished);
                    }
                    match self.pull(program, run, level)? {
                        Some(batch) => {
                            let next = self.feed(program, run, level, batch)?;
                            self.phase = Phase::Draining { stage, level: next };
                            if next == level && self.blocked(program)? {
                                return Ok(Turn::Blocked);
                            }
                            continue;
                        }
                        None if level == stage + 1 => self.start_draining(program, run, stage + 1)?,
                        None => Phase::Draining { stage, level: level - 1 },
                    }
                }
            };
        }
    }

    /// Finishes stage `stage`, whose output is drained next.
    fn start_draining(&mut self, program: &Program, run: &Run, stage: usize) -> Result<Phase> {
        if let Some((shared, own)) = self.stages.get_mut(stage) {
            let node = &program.stages[program.pipelines[self.pipeline].stages[stage]];
            timed(run, node.node, || node.op.any_finish(run, shared, own))?;
        }
        Ok(Phase::Draining { stage, level: stage + 1 })
    }

    /// The next batch that operator `level` has: 0 is the source, `n` is stage `n - 1`.
    fn pull(&mut self, program: &Program, run: &Run, level: usize) -> Result<Option<Batch>> {
        let spec = &program.pipelines[self.pipeline];
        let (node, batch) = if level == 0 {
            let (shared, own) = &mut self.source;
            (spec.node, timed(run, spec.node, || spec.source.any_next(run, shared, own))?)
        } else {
            let stage = &program.stages[spec.stages[level - 1]];
            let (shared, own) = &mut self.stages[level - 1];
            (stage.node, timed(run, stage.node, || stage.op.any_pull(run, shared, own))?)
        };
        if let (Some(profile), Some(batch)) = (run.profile(node), &batch) {
            profile.rows.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        }
        Ok(batch)
    }

    /// Hands a batch from operator `level` to the next one; returns which operator may have output now.
    fn feed(&mut self, program: &Program, run: &Run, level: usize, batch: Batch) -> Result<usize> {
        if batch.rows() == 0 {
            return Ok(level);
        }
        let spec = &program.pipelines[self.pipeline];
        match self.stages.get_mut(level) {
            Some((shared, own)) => {
                let stage = &program.stages[spec.stages[level]];
                timed(run, stage.node, || stage.op.any_push(run, shared, own, batch))?;
                Ok(level + 1)
            }
            None => {
                let sink = &program.sinks[spec.sink];
                let own = self.sink.1.as_mut().ok_or_else(|| Error::internal("a driver has no sink"))?;
                timed(run, sink.node, || sink.op.any_push(run, &self.sink.0, own, batch))?;
                Ok(level)
            }
        }
    }

    fn done(&self, program: &Program) -> Result<bool> {
        let spec = &program.pipelines[self.pipeline];
        for (&stage, (shared, _)) in spec.stages.iter().zip(&self.stages) {
            if program.stages[stage].op.any_done(shared)? {
                return Ok(true);
            }
        }
        program.sinks[spec.sink].op.any_done(&self.sink.0)
    }

    fn blocked(&self, program: &Program) -> Result<bool> {
        let sink = program.pipelines[self.pipeline].sink;
        program.sinks[sink].op.any_blocked(&self.sink.0)
    }
}

/// Runs `f`, counting its time for `node` when the run is analyzed.
pub(crate) fn timed<T>(run: &Run, node: NodeId, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(profile) = run.profile(node) else { return f() };
    profile.executed.store(true, Ordering::Relaxed);
    let start = Instant::now();
    let result = f();
    profile.nanos.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
    result
}
