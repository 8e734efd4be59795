//! Moves LIMIT towards the rows: below projections, into the inputs of UNION ALL, into sorts, which then keep only
//! that many rows.

use spg_types::Result;

use super::Context;
use super::context::int8;
use super::logic::{as_count, volatile};
use crate::Plan;
use crate::tree::take;

pub(crate) fn run(mut plan: Plan, _: &mut Context<'_>) -> Result<Plan> {
    limits(&mut plan);
    Ok(plan)
}

fn limits(plan: &mut Plan) {
    while let Some(better) = step(plan) {
        *plan = better;
    }
    plan.inputs_mut().into_iter().for_each(limits);
}

/// One move at the root of `plan`.
fn step(plan: &mut Plan) -> Option<Plan> {
    let Plan::Limit { input, limit, offset, ties: None } = plan else { return None };
    let count = limit.as_ref().and_then(as_count);
    let skipped = offset.as_ref().map_or(Some(0), as_count);
    let most = count.zip(skipped).map(|(n, m)| n.saturating_add(m));
    match &mut **input {
        Plan::Project { input: below, exprs } if !exprs.iter().any(|e| volatile(&e.expr)) => {
            let inner = Plan::Limit {
                input: Box::new(take(below)),
                limit: limit.take(),
                offset: offset.take(),
                ties: None,
            };
            Some(Plan::Project { input: Box::new(inner), exprs: std::mem::take(exprs) })
        }
        Plan::Sort { limit: kept, .. } => {
            let most = most?;
            if kept.is_some_and(|k| k <= most) {
                return None;
            }
            *kept = Some(most);
            (skipped == Some(0)).then(|| take(input))
        }
        Plan::Union { inputs, .. } => {
            let most = most?;
            let bound = i64::try_from(most).ok()?;
            for (p, _) in inputs.iter_mut() {
                if matches!(p, Plan::Limit { .. } | Plan::Sort { limit: Some(_), .. }) {
                    continue;
                }
                let below = Box::new(take(p));
                *p = Plan::Limit { input: below, limit: Some(int8(bound)), offset: None, ties: None };
            }
            None
        }
        _ => None,
    }
}
