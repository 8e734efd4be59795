//! The optimizer's rules, one per file, and the list that says in which order they run.
//!
//! Each takes a plan and gives an equivalent one. A rule may rely on what earlier rules established (no `Apply` after
//! `decorrelate`), never on being run.

mod context;
mod decorrelate;
pub(crate) mod logic;
mod prune_columns;
mod push_filters;

pub use crate::optimize::{Assumption, Optimized, OptimizerEnv, RuleTrace, optimize, optimize_traced};
pub(crate) use context::Context;

use spg_types::Result;

use crate::Plan;

/// A named rewriting of plans.
pub(crate) struct Rule {
    /// Its name, as traces show it.
    pub(crate) name: &'static str,
    /// Runs also with the optimizer off: execution needs it.
    pub(crate) required: bool,
    /// Rewrites.
    pub(crate) run: fn(Plan, &mut Context<'_>) -> Result<Plan>,
}

/// In the order they run.
pub(crate) const RULES: &[Rule] = &[
    Rule { name: "push_filters_early", required: true, run: push_filters::run },
    Rule { name: "decorrelate", required: true, run: decorrelate::run },
    Rule { name: "push_filters", required: true, run: push_filters::run },
    Rule { name: "prune_columns", required: true, run: prune_columns::run },
];
