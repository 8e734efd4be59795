//! EXPLAIN: a plan as PostgreSQL shows it, with estimates, and with what an execution measured.

mod describe;
mod render;
mod sql;

use std::time::Duration;

use crate::stats::annotate;
use crate::{CatalogView, Plan};

pub use sql::Names;

/// What one operator did, for EXPLAIN ANALYZE; `run` fills a table of these by pre-order number of the plan's nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeStats {
    /// Rows put out.
    pub rows: u64,
    /// Busy time of all workers in this operator, its inputs not counted.
    pub time: Duration,
    /// Most bytes held at a time.
    pub bytes: u64,
    /// Rows that run-time join filters dropped, at scans.
    pub filtered: u64,
    /// Whether it ran at all.
    pub executed: bool,
}

/// What EXPLAIN shows: its options, and what was measured of the statement as a whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExplainStyle {
    /// `COSTS`: estimates.
    pub costs: bool,
    /// `VERBOSE`: output columns of every operator.
    pub verbose: bool,
    /// `TIMING`: time per operator, where it ran.
    pub timing: bool,
    /// `SUMMARY`: planning and execution time.
    pub summary: bool,
    /// `FORMAT JSON`.
    pub json: bool,
    /// Time from the bound statement to the plan.
    pub planning: Duration,
    /// Time of the execution, with ANALYZE.
    pub execution: Option<Duration>,
}

/// Measured values by pre-order number.
pub type NodeStatsTable = Vec<NodeStats>;

/// The plan as EXPLAIN prints it, one line per row of its result; in JSON one row for all.
pub fn render(
    plan: &Plan,
    catalog: &dyn CatalogView,
    actual: Option<&NodeStatsTable>,
    style: &ExplainStyle,
) -> Vec<String> {
    let mut tree = tree(plan, style.costs.then_some(catalog), style.verbose);
    if let Some(actual) = actual {
        tree.measured(actual);
    }
    if style.json {
        return vec![render::json(&tree, style)];
    }
    let mut lines: Vec<String> = render::text(&tree, style.timing).lines().map(Into::into).collect();
    if style.summary {
        lines.push(format!("Planning Time: {:.3} ms", style.planning.as_secs_f64() * 1e3));
        lines.extend(style.execution.map(|t| format!("Execution Time: {:.3} ms", t.as_secs_f64() * 1e3)));
    }
    lines
}

/// The plan as text without measured values: for traces and golden tests.
pub fn explain_plan(plan: &Plan, costs: Option<&dyn CatalogView>) -> String {
    render::text(&tree(plan, costs, false), false)
}

fn tree(plan: &Plan, costs: Option<&dyn CatalogView>, verbose: bool) -> describe::Node {
    let names = Names::of(plan);
    let mut tree = describe::Describer { names: &names, verbose, number: 0 }.node(plan);
    if let Some(catalog) = costs {
        tree.estimate(&annotate(plan, catalog));
    }
    tree
}
