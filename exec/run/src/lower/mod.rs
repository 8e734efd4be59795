//! From plan to pipelines: each plan node adds stages to the chains of its input, or ends them in a sink and begins new
//! ones. One file per noun.
//!
//! A chain is a pipeline that has no sink yet. UNION and joins that pad the build side put out several chains, which then run
//! one after the other through the same stages into the same sink.

mod aggregate;
mod filter;
mod join;
mod limit;
mod project;
mod scan;
mod series;
mod sort;
mod system;
mod union;
mod values;
mod window;
mod with;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use spg_expr::{ColId, Expr};
use spg_plan::{CteId, JoinFilterId, Plan};
use spg_types::{Error, Result, SqlType};

use crate::op::join_filter::JoinFilter;
use crate::op::materialize::Materialized;
use crate::pipeline::{AnySource, Sink, Source, Stage};
use crate::program::{ChainId, Dep, NodeId, PipelineSpec, Program, SinkId, SinkNode, StageId, StageNode};
use crate::run::Slot;
use crate::scalar::Layout;

/// The columns that an operator above reads.
pub(crate) type Need = BTreeSet<ColId>;

/// A pipeline without a sink.
struct Chain {
    id: ChainId,
    node: NodeId,
    source: Arc<dyn AnySource>,
    stages: Vec<StageId>,
    deps: Vec<Dep>,
    sequential: bool,
    /// Nothing between the source and here drops rows: a LIMIT needs few of them.
    full: bool,
}

/// What an operator puts out: chains, and where its columns stand in their batches.
pub(crate) struct Flow {
    chains: Vec<Chain>,
    /// Columns.
    pub(crate) layout: Layout,
}

/// A run-time filter that a join of the plan makes.
#[derive(Clone, Copy)]
struct FilterMade {
    slot: Slot<JoinFilter>,
    sink: SinkId,
    ty: SqlType,
}

/// Rows kept for `CteScan`s.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Where they are published.
    pub(crate) slot: Slot<Materialized>,
    /// The sink that publishes them; `None` when they are there before the run starts.
    pub(crate) sink: Option<SinkId>,
    /// For each column kept, its position in the definition's output.
    pub(crate) kept: Vec<usize>,
}

/// The lowering of one program.
#[derive(Default)]
pub(crate) struct Lowering {
    program: Program,
    chains: usize,
    nodes: HashMap<*const Plan, NodeId>,
    filters: HashMap<JoinFilterId, FilterMade>,
    ctes: HashMap<CteId, Shared>,
}

impl Lowering {
    /// A lowering of `plan` and nothing else.
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut lowering = Self::default();
        lowering.number(plan);
        lowering
    }

    fn number(&mut self, plan: &Plan) {
        self.nodes.insert(plan, self.program.nodes);
        self.program.nodes += 1;
        for input in plan.inputs() {
            self.number(input);
        }
    }

    /// The program, once everything has a sink.
    pub(crate) fn finish(self) -> Program {
        self.program
    }

    /// Makes the rows of `cte` readable, which are put into the run's slots before it starts. `columns` is their number.
    pub(crate) fn import(&mut self, cte: CteId, columns: usize) -> Slot<Materialized> {
        let slot = self.slot();
        self.ctes.insert(cte, Shared { slot, sink: None, kept: (0..columns).collect() });
        slot
    }

    /// The number that EXPLAIN ANALYZE knows a node by.
    fn node(&self, plan: &Plan) -> NodeId {
        self.nodes.get(&std::ptr::from_ref(plan)).copied().unwrap_or(0)
    }

    fn slot<T>(&mut self) -> Slot<T> {
        self.program.slots += 1;
        Slot::at(self.program.slots - 1)
    }

    /// Chains that put out at least the columns in `need` that `plan` has.
    pub(crate) fn lower(&mut self, plan: &Plan, need: &Need) -> Result<Flow> {
        match plan {
            Plan::Scan(scan) => self.lower_scan(plan, scan, need),
            Plan::SystemScan { relation, columns } => self.lower_system_scan(plan, relation, columns, need),
            Plan::Values { columns, rows } => self.lower_values(plan, columns, rows, need),
            Plan::Filter { input, predicate } => self.lower_filter(plan, input, predicate, need),
            Plan::Project { input, exprs } => self.lower_project(plan, input, exprs, need),
            Plan::Limit { input, limit, offset, ties } => {
                self.lower_limit(plan, input, limit.as_ref(), offset.as_ref(), ties.as_deref(), need)
            }
            Plan::Aggregate { groups, sets, grouping, aggregates, .. } => {
                self.lower_aggregate(plan, groups, sets, grouping.as_ref(), aggregates, need)
            }
            Plan::Distinct { input, on } => self.lower_distinct(plan, input, on.as_deref(), need),
            Plan::Join(join) => self.lower_join(plan, join, need),
            Plan::Sort { input, keys, limit } => self.lower_sort(plan, input, keys, *limit, need),
            Plan::Window { input, partition, order, calls } => {
                self.lower_window(plan, input, partition, order, calls, need)
            }
            Plan::Union { inputs, columns } => self.lower_union(plan, inputs, columns, need),
            Plan::SetOp { kind, all, left: (l, from_l), right: (r, from_r), columns } => {
                self.lower_set_op(plan, (*kind, *all), (l, from_l), (r, from_r), columns)
            }
            Plan::With { cte, definition, body, .. } => self.lower_with(plan, *cte, definition, body, need),
            Plan::CteScan { cte, columns, .. } => self.lower_cte_scan(plan, *cte, columns, need),
            Plan::Recursive { cte, distinct, base: (b, from_b), step: (s, from_s), columns, .. } => {
                self.lower_recursive(plan, (*cte, *distinct), (b, from_b), (s, from_s), columns)
            }
            Plan::TableFunction { name, args, columns, ordinality } => {
                self.lower_table_function(plan, name, args, columns, ordinality.as_ref())
            }
            Plan::ProjectSet { input, name, args, columns, ordinality } => {
                self.lower_project_set(plan, input, (*name, args), columns, ordinality.as_ref(), need)
            }
            Plan::Apply { .. } => Err(Error::internal("a dependent join was not turned into a join")),
            Plan::Modify(_) => {
                let message = "WITH clause containing a data-modifying statement must be at the top level";
                Err(Error::unsupported(message))
            }
        }
    }

    /// A flow of one chain from a new source.
    fn begin(&mut self, node: NodeId, source: impl Source, deps: Vec<Dep>, layout: Layout) -> Flow {
        self.chains += 1;
        let chain = Chain {
            id: self.chains - 1,
            node,
            source: Arc::new(source),
            stages: Vec::new(),
            deps,
            sequential: false,
            full: true,
        };
        Flow { chains: vec![chain], layout }
    }

    /// Adds a stage to every chain.
    fn stage(&mut self, flow: &mut Flow, node: NodeId, stage: impl Stage, deps: &[Dep]) {
        self.program.stages.push(StageNode { node, op: Arc::new(stage) });
        for chain in &mut flow.chains {
            chain.stages.push(self.program.stages.len() - 1);
            chain.deps.extend_from_slice(deps);
        }
    }

    /// Ends every chain in a new sink. Several chains run one after the other.
    fn sink(&mut self, flow: Flow, node: NodeId, sink: impl Sink) -> SinkId {
        let id = self.program.sinks.len();
        self.program.sinks.push(SinkNode { node, op: Arc::new(sink) });
        let mut before = None;
        for mut chain in flow.chains {
            chain.deps.extend(before.map(Dep::Chain));
            before = Some(chain.id);
            self.program.pipelines.push(PipelineSpec {
                chain: chain.id,
                node: chain.node,
                source: chain.source,
                stages: chain.stages,
                sink: id,
                deps: chain.deps,
                sequential: chain.sequential,
            });
        }
        id
    }

    /// Ends the whole plan: `sink` gets its rows.
    pub(crate) fn end(&mut self, flow: Flow, sink: impl Sink) {
        self.sink(flow, 0, sink);
    }
}

impl Flow {
    /// One worker at a time from here on, for the order of rows.
    fn sequential(&mut self) {
        for chain in &mut self.chains {
            chain.sequential = true;
        }
    }

    /// From here on rows may be missing.
    fn not_full(&mut self) {
        for chain in &mut self.chains {
            chain.full = false;
        }
    }
}

/// `need` with the columns that expressions read.
fn with_columns<'a>(need: &Need, exprs: impl IntoIterator<Item = &'a Expr>) -> Need {
    let mut all = need.clone();
    for expr in exprs {
        all.extend(expr.columns());
    }
    all
}
