//! The optimizer's rules, one per file, and the list that says in which order they run.
//!
//! Each takes a plan and gives an equivalent one. A rule may rely on what earlier rules established (no `Apply` after
//! `decorrelate`), never on being run.

mod choose_indexes;
mod context;
mod decorrelate;
mod derive_predicates;
mod drop_empty;
mod drop_sorts;
mod factor_ors;
mod fold_constants;
mod inline_ctes;
mod join_filters;
mod join_order;
pub(crate) mod logic;
mod merge_projections;
mod narrow_decimals;
mod prune_columns;
mod push_filters;
mod push_limits;
mod reduce_groups;
mod share_subplans;
mod split_sums;

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
    Rule { name: "fold_constants", required: false, run: fold_constants::run },
    // Before subqueries become joins, so that an outer side is small when its values are pushed into an inner one.
    Rule { name: "push_filters_early", required: true, run: push_filters::run },
    Rule { name: "decorrelate", required: true, run: decorrelate::run },
    Rule { name: "inline_ctes", required: true, run: inline_ctes::run },
    // Without it, a join whose key stands in every branch of an OR compares each row with each.
    Rule { name: "factor_ors", required: true, run: factor_ors::run },
    Rule { name: "push_filters", required: true, run: push_filters::run },
    Rule { name: "derive_predicates", required: false, run: derive_predicates::run },
    // Once more: decorrelation and derivation made new conditions, push-down made outer joins inner.
    Rule { name: "fold_constants_again", required: false, run: fold_constants::run },
    Rule { name: "drop_empty", required: false, run: drop_empty::run },
    Rule { name: "drop_sorts", required: false, run: drop_sorts::run },
    // While CASE and the casts of its branches stand as written, and before types are narrowed.
    Rule { name: "split_sums", required: false, run: split_sums::run },
    // While equal subplans still read the same columns.
    Rule { name: "share_subplans", required: false, run: share_subplans::run },
    Rule { name: "prune_columns_early", required: false, run: prune_columns::run },
    Rule { name: "join_order", required: false, run: join_order::run },
    Rule { name: "reduce_groups", required: false, run: reduce_groups::run },
    Rule { name: "push_limits", required: false, run: push_limits::run },
    Rule { name: "merge_projections", required: false, run: merge_projections::run },
    Rule { name: "prune_columns", required: true, run: prune_columns::run },
    Rule { name: "choose_indexes", required: false, run: choose_indexes::run },
    Rule { name: "join_filters", required: false, run: join_filters::run },
    // Last: the types it changes follow columns upwards through the finished plan.
    Rule { name: "narrow_decimals", required: false, run: narrow_decimals::run },
];
