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

/// `FORMAT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ExplainFormat {
    /// An indented tree.
    #[default]
    Text,
    /// One JSON array.
    Json,
}

/// What EXPLAIN shows.
#[derive(Clone, Copy, Default)]
pub struct ExplainOptions<'a> {
    /// `COSTS`: estimates, from this catalog's statistics.
    pub costs: Option<&'a dyn CatalogView>,
    /// `ANALYZE`: measured values by pre-order number.
    pub actual: Option<&'a [NodeStats]>,
    /// `VERBOSE`: output columns of every operator.
    pub verbose: bool,
    /// `FORMAT`.
    pub format: ExplainFormat,
}

/// The plan as EXPLAIN prints it; one line of the result per line.
pub fn explain(plan: &Plan, options: &ExplainOptions<'_>) -> String {
    let names = Names::of(plan);
    let mut tree = describe::Describer { names: &names, verbose: options.verbose, number: 0 }.node(plan);
    if let Some(catalog) = options.costs {
        tree.estimate(&annotate(plan, catalog));
    }
    if let Some(actual) = options.actual {
        tree.measured(actual);
    }
    match options.format {
        ExplainFormat::Text => render::text(&tree),
        ExplainFormat::Json => render::json(&tree),
    }
}

/// The plan as text without measured values: for traces and golden tests.
pub fn explain_plan(plan: &Plan, costs: Option<&dyn CatalogView>) -> String {
    explain(plan, &ExplainOptions { costs, ..ExplainOptions::default() })
}
