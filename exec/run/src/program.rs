//! A compiled plan's pipelines and how they depend on each other. Immutable; any number of runs share it.

use std::sync::Arc;

use crate::pipeline::{AnySink, AnySource, AnyStage};

/// Position of a stage in [`Program::stages`].
pub(crate) type StageId = usize;
/// Position of a sink in [`Program::sinks`].
pub(crate) type SinkId = usize;
/// Names a pipeline before it has a place in [`Program::pipelines`].
pub(crate) type ChainId = usize;
/// A plan node's number in pre-order: what EXPLAIN ANALYZE reports by.
pub(crate) type NodeId = usize;

/// What must be finished before a pipeline starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dep {
    /// A sink has published its result.
    Sink(SinkId),
    /// A pipeline has handed all it makes to its sink.
    Chain(ChainId),
}

/// A stage and the plan node that it is part of.
pub(crate) struct StageNode {
    /// Plan node.
    pub(crate) node: NodeId,
    /// The operator.
    pub(crate) op: Arc<dyn AnyStage>,
}

/// A sink and the plan node that it is part of.
pub(crate) struct SinkNode {
    /// Plan node.
    pub(crate) node: NodeId,
    /// The operator.
    pub(crate) op: Arc<dyn AnySink>,
}

/// One pipeline.
pub(crate) struct PipelineSpec {
    /// Its name in dependencies.
    pub(crate) chain: ChainId,
    /// Plan node of the source.
    pub(crate) node: NodeId,
    /// Where batches come from.
    pub(crate) source: Arc<dyn AnySource>,
    /// What they pass.
    pub(crate) stages: Vec<StageId>,
    /// Where they end. Pipelines may share a sink; it finishes after the last of them.
    pub(crate) sink: SinkId,
    /// What must be finished first.
    pub(crate) deps: Vec<Dep>,
    /// Whether one worker at a time must run it: the order of rows matters.
    pub(crate) sequential: bool,
}

/// Pipelines, in an order in which running them one after the other works.
#[derive(Default)]
pub(crate) struct Program {
    /// Stages.
    pub(crate) stages: Vec<StageNode>,
    /// Sinks.
    pub(crate) sinks: Vec<SinkNode>,
    /// Pipelines.
    pub(crate) pipelines: Vec<PipelineSpec>,
    /// Number of places for results that pass from sinks to sources and stages.
    pub(crate) slots: usize,
    /// Number of plan nodes.
    pub(crate) nodes: usize,
}
