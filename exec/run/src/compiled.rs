//! A plan made ready to run: pipelines with their kernels bound. Prepared statements keep it and start it again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use spg_expr::ColId;
use spg_plan::explain::NodeStats;
use spg_plan::{CteId, Join, JoinKind, Modify, Plan};
use spg_types::{Error, Result, SqlState};

use crate::lower::{Lowering, Need};
use crate::modify::Change;
use crate::op::materialize::Materialized;
use crate::op::result::Results;
use crate::program::Program;
use crate::query::Query;
use crate::run::{ExecEnv, Run, Slot};
use crate::stream::{Outcome, ResultBatch, ResultStream};

/// Batches that wait for a slow reader.
const QUEUED_BATCHES: usize = 8;
/// A plan with at most this many rows anywhere runs on its caller's thread.
const FEW_ROWS: u64 = 64;

/// What a step's rows are for.
pub(crate) enum Effect {
    /// They are the statement's result.
    Result,
    /// They are kept for later steps.
    Keep(usize),
    /// They change a table; RETURNING goes to later steps or, from the last step, to the client.
    Change(Box<Change>, Option<usize>),
}

/// One program of a statement. Only statements that change data in WITH have several.
pub(crate) struct Step {
    pub(crate) program: Arc<Program>,
    /// Rows of earlier steps: which, and where the program reads them.
    pub(crate) imports: Vec<(usize, Slot<Materialized>)>,
    pub(crate) effect: Effect,
}

/// A compiled plan; immutable.
pub struct CompiledPlan {
    pub(crate) steps: Vec<Step>,
    /// Number of results that steps keep for each other.
    pub(crate) kept: usize,
    point: bool,
    nodes: usize,
}

/// What INSERT, UPDATE or DELETE did.
#[derive(Debug, Default)]
pub struct Modified {
    /// Rows changed by the statement itself; those that its WITH clauses change do not count.
    pub rows: u64,
    /// RETURNING.
    pub returning: Vec<ResultBatch>,
}

impl CompiledPlan {
    /// Binds kernels, resolves columns, lays out pipelines. `output` are the result's columns in order.
    pub fn compile(plan: &Plan, output: &[ColId]) -> Result<CompiledPlan> {
        let mut script = Script { root: plan, steps: Vec::new(), kept: Vec::new() };
        script.add(plan, output, None)?;
        let nodes = Lowering::new(plan).finish().nodes;
        let point = few_rows(plan).is_some_and(|rows| rows <= FEW_ROWS);
        Ok(CompiledPlan { kept: script.kept.len(), steps: script.steps, point, nodes })
    }

    /// Whether it touches so few rows that it runs on the caller's thread, in microseconds.
    pub fn is_point(&self) -> bool {
        self.point
    }

    /// Whether it changes data.
    pub fn is_modifying(&self) -> bool {
        self.steps.iter().any(|s| matches!(s.effect, Effect::Change(..)))
    }

    /// Starts it; 25006 when it changes data.
    pub fn start(self: &Arc<Self>, env: ExecEnv) -> Result<ResultStream> {
        self.start_with(&env, false)
    }

    fn start_with(&self, env: &ExecEnv, analyze: bool) -> Result<ResultStream> {
        let [Step { program, effect: Effect::Result, .. }] = self.steps.as_slice() else {
            let message = "a statement that changes data was started as a query";
            return Err(Error::new(SqlState::READ_ONLY_SQL_TRANSACTION, message));
        };
        env.cancel.check()?;
        let capacity = if self.point { usize::MAX } else { QUEUED_BATCHES };
        let run = Run::new(program, env, Outcome::new(capacity), analyze);
        let query = Arc::new(Query::new(program.clone(), run));
        if self.point {
            return ResultStream::run_here(query);
        }
        Ok(ResultStream::start(query, env.scheduler.pool().clone()))
    }

    /// Runs it to its end, drops the rows, and tells what each node did, by pre-order number.
    pub fn run_analyzed(self: &Arc<Self>, env: ExecEnv) -> Result<Vec<NodeStats>> {
        let mut stream = self.start_with(&env, true)?;
        while stream.next()?.is_some() {}
        let mut stats = vec![NodeStats::default(); self.nodes];
        add_profiles(&mut stats, &stream);
        Ok(stats)
    }

    /// A table of counters for all nodes.
    pub(crate) fn no_stats(&self) -> Vec<NodeStats> {
        vec![NodeStats::default(); self.nodes]
    }

    /// Starts one step with the rows of earlier ones.
    pub(crate) fn start_step(
        &self,
        step: &Step,
        env: &ExecEnv,
        kept: &[Option<Arc<Materialized>>],
        analyze: bool,
    ) -> Result<ResultStream> {
        let capacity = if self.point { usize::MAX } else { QUEUED_BATCHES };
        let run = Run::new(&step.program, env, Outcome::new(capacity), analyze);
        for (from, slot) in &step.imports {
            let rows = kept.get(*from).cloned().flatten();
            run.put(*slot, rows.ok_or_else(|| Error::internal("a WITH query has not run yet"))?)?;
        }
        let query = Arc::new(Query::new(step.program.clone(), run));
        if self.point {
            return ResultStream::run_here(query);
        }
        Ok(ResultStream::start(query, env.scheduler.pool().clone()))
    }
}

/// Adds what a run's nodes did.
pub(crate) fn add_profiles(stats: &mut [NodeStats], stream: &ResultStream) {
    for (stat, profile) in stats.iter_mut().zip(stream.profiles().unwrap_or_default()) {
        let time = Duration::from_nanos(profile.nanos.load(Ordering::Relaxed));
        stat.rows += profile.rows.load(Ordering::Relaxed);
        stat.time += time;
        stat.bytes = stat.bytes.max(profile.memory.load(Ordering::Relaxed));
        stat.filtered += profile.filtered.load(Ordering::Relaxed);
        stat.executed |= profile.executed.load(Ordering::Relaxed);
    }
}

/// Cuts a plan into steps: data-modifying WITH queries run one after the other, all on the same snapshot.
struct Script<'a> {
    root: &'a Plan,
    steps: Vec<Step>,
    /// WITH queries whose rows are kept, with their columns.
    kept: Vec<(CteId, usize)>,
}

impl Script<'_> {
    /// Adds the steps of `plan`. Its rows are kept when `keep` says as what.
    fn add(&mut self, plan: &Plan, output: &[ColId], keep: Option<usize>) -> Result<()> {
        match plan {
            Plan::With { cte, definition, body, .. } if modifies(definition) || modifies(body) => {
                let columns: Vec<ColId> = definition.columns().iter().map(|c| c.id).collect();
                self.kept.push((*cte, columns.len()));
                let at = self.kept.len() - 1;
                // The definition itself must not see its own rows.
                let (name, width) = std::mem::replace(&mut self.kept[at], (CteId(u32::MAX), 0));
                self.add(definition, &columns, Some(at))?;
                self.kept[at] = (name, width);
                self.add(body, output, keep)
            }
            Plan::Modify(modify) => {
                let (lowering, imports) = self.lowering(&modify.input);
                let (program, change) = Change::lower(lowering, modify)?;
                let effect = Effect::Change(Box::new(change), keep);
                self.steps.push(Step { program: Arc::new(program), imports, effect });
                Ok(())
            }
            other => {
                if modifies(other) {
                    let message =
                        "WITH clause containing a data-modifying statement must be at the top level";
                    return Err(Error::unsupported(message));
                }
                let (mut lowering, imports) = self.lowering(other);
                let need: Need = output.iter().copied().collect();
                let flow = lowering.lower(other, &need)?;
                let columns = output.iter().map(|id| flow.layout.position(*id)).collect::<Result<_>>()?;
                lowering.end(flow, Results { columns });
                let effect = keep.map_or(Effect::Result, Effect::Keep);
                self.steps.push(Step { program: Arc::new(lowering.finish()), imports, effect });
                Ok(())
            }
        }
    }

    fn lowering(&self, plan: &Plan) -> (Lowering, Vec<(usize, Slot<Materialized>)>) {
        let mut lowering = Lowering::new(self.root);
        let mut imports = Vec::new();
        for (at, (cte, columns)) in self.kept.iter().enumerate() {
            if reads(plan, *cte) {
                imports.push((at, lowering.import(*cte, *columns)));
            }
        }
        (lowering, imports)
    }
}

fn modifies(plan: &Plan) -> bool {
    matches!(plan, Plan::Modify(_)) || plan.inputs().into_iter().any(modifies)
}

fn reads(plan: &Plan, of: CteId) -> bool {
    matches!(plan, Plan::CteScan { cte, .. } if *cte == of) || plan.inputs().into_iter().any(|p| reads(p, of))
}

/// A bound of the rows that any operator of the plan handles, where it is known to be small.
fn few_rows(plan: &Plan) -> Option<u64> {
    match plan {
        Plan::Values { rows, .. } => Some(rows.len() as u64),
        Plan::Scan(scan) => {
            let access = scan.index.as_ref()?;
            let index = scan.table.indexes.iter().find(|i| i.id == access.index)?;
            (index.unique && access.equal.len() == index.columns.len()).then_some(1)
        }
        Plan::Filter { input, .. }
        | Plan::Project { input, .. }
        | Plan::Aggregate { input, .. }
        | Plan::Distinct { input, .. }
        | Plan::Sort { input, .. }
        | Plan::Limit { input, .. }
        | Plan::Modify(Modify { input, .. }) => few_rows(input),
        Plan::Join(Join { left, right, lookup: Some(lookup), kind, .. })
            if !matches!(kind, JoinKind::Full) =>
        {
            let Plan::Scan(scan) = &**right else { return None };
            let index = scan.table.indexes.iter().find(|i| i.id == lookup.index)?;
            let unique = index.unique && lookup.keys.len() == index.columns.len();
            if unique { few_rows(left) } else { None }
        }
        Plan::Join(Join { left, right, .. }) => Some(few_rows(left)?.max(1) * few_rows(right)?.max(1)),
        Plan::Union { inputs, .. } => {
            inputs.iter().try_fold(0, |sum, (input, _)| Some(sum + few_rows(input)?))
        }
        Plan::With { definition, body, .. } => Some(few_rows(definition)?.max(few_rows(body)?)),
        _ => None,
    }
}
