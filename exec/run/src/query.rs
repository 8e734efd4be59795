//! A running program: which pipelines are ready, which drivers are idle, what is to be done next.
//!
//! Workers (or the caller's own thread, for short queries) take one task at a time and report back. The state is under
//! one lock that is held for a few instructions, never while a task runs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use spg_types::{Error, Result};

use crate::driver::{Driver, Turn, timed};
use crate::pipeline::AnyShared;
use crate::program::{Dep, Program};
use crate::run::Run;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Waiting,
    Opening,
    Running,
    Done,
}

#[allow(clippy::vec_box, reason = "drivers pass from hand to hand by pointer")]
struct PipelineState {
    status: Status,
    source: Option<AnyShared>,
    idle: Vec<Box<Driver>>,
    /// Drivers at work or parked.
    out: usize,
    created: usize,
    limit: usize,
    /// A driver has come to the source's end: no new drivers.
    exhausted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SinkStatus {
    Filling,
    Filled,
    Counting,
    Parts { started: usize, done: usize, parts: usize },
    Ready,
    Finishing,
    Done,
}

struct SinkState {
    status: SinkStatus,
    feeders: usize,
}

struct State {
    pipelines: Vec<PipelineState>,
    sinks: Vec<SinkState>,
    ended: bool,
}

/// Which work there is, before it is taken.
#[derive(Clone, Copy)]
enum Pick {
    Open(usize),
    Idle(usize),
    New(usize),
    Count(usize),
    Part(usize),
    Finish(usize),
}

/// One piece of work.
pub(crate) enum Task {
    Open(usize),
    Start(usize, AnyShared),
    Drive(Box<Driver>),
    Count(usize),
    Part(usize, usize),
    Finish(usize),
}

/// What a task has led to.
enum Report {
    Opened(usize, AnyShared, usize),
    Driven(Box<Driver>, Turn),
    Parts(usize, usize),
    Part(usize),
    Finished(usize),
}

/// A program, one run of it, and what is left to do.
pub(crate) struct Query {
    program: Arc<Program>,
    /// The run.
    pub(crate) run: Run,
    state: Mutex<State>,
    /// Whether the scheduler has it in its ring.
    pub(crate) queued: AtomicBool,
}

impl Query {
    /// A run of `program`, not started.
    pub(crate) fn new(program: Arc<Program>, run: Run) -> Self {
        let waiting = || PipelineState {
            status: Status::Waiting,
            source: None,
            idle: Vec::new(),
            out: 0,
            created: 0,
            limit: 0,
            exhausted: false,
        };
        let pipelines = program.pipelines.iter().map(|_| waiting()).collect();
        let filling = || SinkState { status: SinkStatus::Filling, feeders: 0 };
        let mut sinks: Vec<SinkState> = program.sinks.iter().map(|_| filling()).collect();
        for p in &program.pipelines {
            sinks[p.sink].feeders += 1;
        }
        let state = Mutex::new(State { pipelines, sinks, ended: false });
        Self { program, run, state, queued: AtomicBool::new(false) }
    }

    /// Work that nobody has, and whether there is more of it.
    pub(crate) fn take(&self) -> Option<(Task, bool)> {
        let mut state = self.state.lock();
        let pick = self.find(&state)?;
        let task = apply(&mut state, pick)?;
        let more = self.find(&state).is_some();
        Some((task, more))
    }

    fn find(&self, state: &State) -> Option<Pick> {
        if state.ended {
            return None;
        }
        for (i, sink) in state.sinks.iter().enumerate() {
            match sink.status {
                SinkStatus::Filled => return Some(Pick::Count(i)),
                SinkStatus::Parts { started, parts, .. } if started < parts => return Some(Pick::Part(i)),
                SinkStatus::Ready => return Some(Pick::Finish(i)),
                _ => {}
            }
        }
        for (i, p) in state.pipelines.iter().enumerate() {
            match p.status {
                Status::Waiting if self.ready(state, i) => return Some(Pick::Open(i)),
                Status::Running if !p.idle.is_empty() => return Some(Pick::Idle(i)),
                Status::Running if !p.exhausted && p.created < p.limit => return Some(Pick::New(i)),
                _ => {}
            }
        }
        None
    }

    fn ready(&self, state: &State, pipeline: usize) -> bool {
        let specs = &self.program.pipelines;
        specs[pipeline].deps.iter().all(|dep| match *dep {
            Dep::Sink(s) => state.sinks[s].status == SinkStatus::Done,
            Dep::Chain(c) => {
                specs.iter().zip(&state.pipelines).all(|(s, p)| s.chain != c || p.status == Status::Done)
            }
        })
    }

    /// Does a task and notes what came of it; an error or a panic ends the query. A driver goes on from morsel to morsel
    /// as long as `alone()` says that nobody else waits for the thread.
    pub(crate) fn execute(&self, task: Task, alone: &dyn Fn() -> bool) {
        let result = catch_unwind(AssertUnwindSafe(|| self.perform(task, alone)));
        let report = result.unwrap_or_else(|panic| Err(panic_error(&*panic)));
        let mut state = self.state.lock();
        if state.ended {
            return;
        }
        if let Err(error) = report.and_then(|r| self.note(&mut state, r)) {
            self.end(state, Some(error));
        } else if state.sinks.iter().all(|s| s.status == SinkStatus::Done) {
            self.end(state, None);
        }
    }

    fn perform(&self, task: Task, alone: &dyn Fn() -> bool) -> Result<Report> {
        let (program, run) = (&*self.program, &self.run);
        run.check()?;
        match task {
            Task::Open(i) => {
                let spec = &program.pipelines[i];
                run.open(program, i)?;
                let source = timed(run, spec.node, || spec.source.any_open(run))?;
                let limit = if spec.sequential { 1 } else { spec.source.any_parallelism(&source)? };
                Ok(Report::Opened(i, source, limit.clamp(1, run.parallelism)))
            }
            Task::Start(i, source) => self.drive(Box::new(Driver::new(program, run, i, source)?), alone),
            Task::Drive(driver) => self.drive(driver, alone),
            Task::Count(sink) => {
                let node = &program.sinks[sink];
                Ok(Report::Parts(sink, timed(run, node.node, || node.op.any_parts(run, run.sink(sink)?))?))
            }
            Task::Part(sink, part) => {
                let node = &program.sinks[sink];
                timed(run, node.node, || node.op.any_part(run, run.sink(sink)?, part))?;
                Ok(Report::Part(sink))
            }
            Task::Finish(sink) => {
                let node = &program.sinks[sink];
                timed(run, node.node, || node.op.any_finish(run, run.sink(sink)?))?;
                Ok(Report::Finished(sink))
            }
        }
    }

    fn drive(&self, mut driver: Box<Driver>, alone: &dyn Fn() -> bool) -> Result<Report> {
        loop {
            let turn = driver.turn(&self.program, &self.run)?;
            if turn != Turn::Morsel || !alone() {
                return Ok(Report::Driven(driver, turn));
            }
        }
    }

    fn note(&self, state: &mut State, report: Report) -> Result<()> {
        match report {
            Report::Opened(i, source, limit) => {
                let p = &mut state.pipelines[i];
                (p.status, p.source, p.limit) = (Status::Running, Some(source), limit);
            }
            Report::Driven(driver, turn) => self.note_turn(state, driver, turn),
            Report::Parts(sink, parts) => {
                state.sinks[sink].status = match parts {
                    0 => SinkStatus::Ready,
                    _ => SinkStatus::Parts { started: 0, done: 0, parts },
                };
            }
            Report::Part(sink) => {
                let SinkStatus::Parts { started, done, parts } = state.sinks[sink].status else {
                    return Err(Error::internal("a sink's part ended at the wrong time"));
                };
                state.sinks[sink].status = match done + 1 {
                    all if all == parts => SinkStatus::Ready,
                    done => SinkStatus::Parts { started, done, parts },
                };
            }
            Report::Finished(sink) => state.sinks[sink].status = SinkStatus::Done,
        }
        Ok(())
    }

    fn note_turn(&self, state: &mut State, driver: Box<Driver>, turn: Turn) {
        let i = driver.pipeline;
        // A parked driver stays counted in `out` until the consumer hands it back.
        let driver = match turn {
            Turn::Blocked => match self.run.outcome.park(driver) {
                None => return,
                back => back,
            },
            Turn::Morsel => Some(driver),
            Turn::Finished => None,
        };
        let p = &mut state.pipelines[i];
        p.out -= 1;
        p.exhausted |= driver.is_none();
        p.idle.extend(driver);
        if p.exhausted && p.out == 0 && p.idle.is_empty() {
            (p.status, p.source) = (Status::Done, None);
            let sink = &mut state.sinks[self.program.pipelines[i].sink];
            sink.feeders -= 1;
            if sink.feeders == 0 {
                sink.status = SinkStatus::Filled;
            }
        }
    }

    #[allow(clippy::vec_box, reason = "drivers pass from hand to hand by pointer")]
    /// Takes back drivers that waited for room among the results.
    pub(crate) fn resume(&self, drivers: Vec<Box<Driver>>) {
        let mut state = self.state.lock();
        if !state.ended {
            for driver in drivers {
                let p = &mut state.pipelines[driver.pipeline];
                p.out -= 1;
                p.idle.push(driver);
            }
        }
    }

    /// Ends the query from outside; what runs now ends at its next batch.
    pub(crate) fn abort(&self, error: Error) {
        self.end(self.state.lock(), Some(error));
    }

    fn end(&self, mut state: parking_lot::MutexGuard<'_, State>, error: Option<Error>) {
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let pipelines = std::mem::take(&mut state.pipelines);
        drop(state);
        drop(pipelines);
        self.run.outcome.close(error);
    }

    /// Runs everything on this thread.
    pub(crate) fn run_here(&self) {
        while let Some((task, _)) = self.take() {
            self.execute(task, &|| true);
        }
    }

    /// Marks it as standing in the scheduler's ring; false when it does already.
    pub(crate) fn enter_ring(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }
}

fn apply(state: &mut State, pick: Pick) -> Option<Task> {
    Some(match pick {
        Pick::Open(i) => {
            state.pipelines[i].status = Status::Opening;
            Task::Open(i)
        }
        Pick::Idle(i) => {
            let p = &mut state.pipelines[i];
            let driver = p.idle.pop()?;
            p.out += 1;
            Task::Drive(driver)
        }
        Pick::New(i) => {
            let p = &mut state.pipelines[i];
            let source = p.source.clone()?;
            p.created += 1;
            p.out += 1;
            Task::Start(i, source)
        }
        Pick::Count(sink) => {
            state.sinks[sink].status = SinkStatus::Counting;
            Task::Count(sink)
        }
        Pick::Part(sink) => {
            let SinkStatus::Parts { started, .. } = &mut state.sinks[sink].status else { return None };
            *started += 1;
            Task::Part(sink, *started - 1)
        }
        Pick::Finish(sink) => {
            state.sinks[sink].status = SinkStatus::Finishing;
            Task::Finish(sink)
        }
    })
}

fn panic_error(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_owned());
    tracing::error!(panic = %text, "a query panicked");
    Error::internal(format!("internal error: {text}"))
}
