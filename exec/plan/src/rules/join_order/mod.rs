//! Orders joins by cost.
//!
//! A region is a maximal tree of inner joins, filters and joins that keep their left rows (semi, anti, left, mark,
//! single). Its inner-join inputs are core relations, free to be joined in any order; the other kinds' right sides are
//! applied once the relations that their condition reads are there, which commutes with inner joins. The search is
//! dynamic programming over subsets (bushy trees included) up to a number of relations, greedy above.

mod graph;
mod search;

use spg_types::Result;

use super::Context;
use super::logic::volatile;
use crate::props::props;
use crate::stats::Estimator;
use crate::tree::{filtered, join, passes, projected, take};
use crate::{Join, JoinKind, Plan};
use graph::Graph;

pub(crate) fn run(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    let mut estimator = Estimator::new(cx.env.catalog);
    order(&mut plan, cx, &mut estimator)?;
    Ok(plan)
}

fn order(plan: &mut Plan, cx: &Context<'_>, estimator: &mut Estimator<'_>) -> Result<()> {
    match plan {
        Plan::With { cte, definition, body, .. } => {
            order(definition, cx, estimator)?;
            estimator.define(*cte, definition);
            order(body, cx, estimator)
        }
        Plan::Recursive { cte, base, step, .. } => {
            order(&mut base.0, cx, estimator)?;
            let (cte, columns) = (*cte, base.1.clone());
            let working = projected(base.0.as_ref().clone(), &columns_of(&base.0, &columns));
            estimator.define(cte, &working);
            order(&mut step.0, cx, estimator)
        }
        Plan::Join(_) => region(plan, cx, estimator),
        Plan::Filter { input, .. } if is_region(input) => region(plan, cx, estimator),
        plan => plan.inputs_mut().into_iter().try_for_each(|p| order(p, cx, estimator)),
    }
}

fn columns_of(plan: &Plan, ids: &[spg_expr::ColId]) -> Vec<crate::OutCol> {
    let all = plan.columns();
    ids.iter().filter_map(|id| all.iter().find(|c| c.id == *id).cloned()).collect()
}

/// Whether a node continues a region, rather than being one of its relations.
fn is_region(plan: &Plan) -> bool {
    match plan {
        Plan::Join(j) => j.kind != JoinKind::Full,
        Plan::Filter { input, predicate } => !predicate.iter().any(volatile) && is_region(input),
        Plan::Project { input, exprs } => exprs.iter().all(passes) && is_region(input),
        _ => false,
    }
}

fn region(plan: &mut Plan, cx: &Context<'_>, estimator: &mut Estimator<'_>) -> Result<()> {
    if !is_region(plan) {
        return plan.inputs_mut().into_iter().try_for_each(|p| order(p, cx, estimator));
    }
    let columns = plan.columns();
    let mut graph = Graph::default();
    collect(take(plan), &mut graph);
    for r in &mut graph.relations {
        order(&mut r.plan, cx, estimator)?;
    }
    graph.prepare(estimator);
    let tree = search::search(&graph);
    *plan = projected(graph.build(&tree, cx)?, &columns);
    Ok(())
}

/// Takes a region apart; the relations it is made of, as a bit set.
fn collect(plan: Plan, graph: &mut Graph) -> u64 {
    if !is_region(&plan) {
        return graph.relation(plan);
    }
    match plan {
        Plan::Filter { input, predicate } => {
            let set = collect(*input, graph);
            graph.conjuncts.extend(predicate);
            set
        }
        Plan::Project { input, .. } => collect(*input, graph),
        Plan::Join(Join { kind, left, right, on, .. }) => {
            let (kind, left, right) = match kind {
                JoinKind::Right => (JoinKind::Left, right, left),
                JoinKind::RightSemi => (JoinKind::Semi, right, left),
                JoinKind::RightAnti => (JoinKind::Anti, right, left),
                kind => (kind, left, right),
            };
            let below = collect(*left, graph);
            if kind == JoinKind::Inner {
                let set = below | collect(*right, graph);
                graph.conjuncts.extend(on);
                return set;
            }
            below | graph.dependent(kind, *right, on, below)
        }
        other => graph.relation(other),
    }
}

/// The join of two ordered parts, its inputs in the roles that the search chose.
fn joined(
    kind: JoinKind,
    left: Plan,
    right: Plan,
    on: Vec<spg_expr::Expr>,
    above: Vec<spg_expr::Expr>,
) -> Plan {
    filtered(join(kind, left, right, on), above)
}

/// Whether a plan never has more than one row: joins with it are free.
fn one_row(plan: &Plan) -> bool {
    props(plan).at_most_one
}
