//! The optimizer's driver: an ordered list of named rules, each timed, traced and, in debug builds, verified.

use std::time::{Duration, Instant};

use spg_expr::{ColId, EvalContext, Registry};
use spg_types::{Datum, Result, TableId};

use crate::rules::{Context, RULES};
use crate::{CatalogView, Plan, explain_plan, verify};

/// What the optimizer may look at, and how it is to work.
pub struct OptimizerEnv<'a> {
    /// Definitions and statistics.
    pub catalog: &'a dyn CatalogView,
    /// Functions, operators and casts that rules build expressions from.
    pub registry: &'a Registry,
    /// With it, stable calls and parameters' values may be looked at for estimates; without it only immutable calls fold.
    pub ctx: Option<&'a EvalContext>,
    /// Off: only the rules that execution needs.
    pub enabled: bool,
}

impl<'a> OptimizerEnv<'a> {
    /// All rules.
    pub fn new(catalog: &'a dyn CatalogView, registry: &'a Registry) -> Self {
        Self { catalog, registry, ctx: None, enabled: true }
    }
}

/// One rule's run.
#[derive(Clone, Debug)]
pub struct RuleTrace {
    /// Its name.
    pub rule: &'static str,
    /// What it took.
    pub time: Duration,
    /// The plan after it as text, if it changed the plan.
    pub plan: Option<String>,
}

/// A column's bounds that the plan relies on: a cached plan is valid for snapshots whose bounds lie within.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumption {
    /// The table.
    pub table: TableId,
    /// The column's position.
    pub column: usize,
    /// No value is below.
    pub min: Datum,
    /// No value is above.
    pub max: Datum,
}

/// What the optimizer made.
#[derive(Clone, Debug)]
pub struct Optimized {
    /// The plan, without `Apply`.
    pub plan: Plan,
    /// The rules that ran; empty unless asked for.
    pub trace: Vec<RuleTrace>,
    /// What it relies on beyond definitions.
    pub assumptions: Vec<Assumption>,
}

/// Rewrites a bound plan into the one to execute, which puts out at least the columns `output`. Fails with 0A000 for a
/// correlation that no join expresses, with XX000 when a rule breaks the plan.
pub fn optimize(plan: Plan, output: &[ColId], env: &OptimizerEnv<'_>) -> Result<Optimized> {
    drive(plan, output, env, false)
}

/// As [`optimize`]; keeps each rule's time and, where it changed the plan, the plan after it.
pub fn optimize_traced(plan: Plan, output: &[ColId], env: &OptimizerEnv<'_>) -> Result<Optimized> {
    drive(plan, output, env, true)
}

fn drive(mut plan: Plan, output: &[ColId], env: &OptimizerEnv<'_>, traced: bool) -> Result<Optimized> {
    let mut cx = Context::new(env, &plan, output);
    let mut trace = vec![];
    let columns = if cfg!(debug_assertions) { plan.columns() } else { vec![] };
    for rule in RULES {
        if !env.enabled && !rule.required {
            continue;
        }
        let start = Instant::now();
        let before = traced.then(|| plan.clone());
        plan = (rule.run)(plan, &mut cx)?;
        let time = start.elapsed();
        if cfg!(debug_assertions) {
            verify::verify(&plan, rule.name)?;
            verify::same_output(&columns, output, &plan, rule.name)?;
        }
        if let Some(before) = before {
            let changed = before != plan;
            trace.push(RuleTrace { rule: rule.name, time, plan: changed.then(|| explain_plan(&plan, None)) });
        }
    }
    Ok(Optimized { plan, trace, assumptions: cx.assumptions })
}
