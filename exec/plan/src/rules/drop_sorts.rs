//! Drops sorts whose order nothing above sees, and duplicates' removal where there are none.

use spg_expr::Expr;
use spg_types::Result;

use super::Context;
use crate::props::PropsOf;
use crate::tree::{ColSet, output, take};
use crate::{AggregateCall, Join, JoinKind, Plan};

pub(crate) fn run(mut plan: Plan, _: &mut Context<'_>) -> Result<Plan> {
    sorts(&mut plan, true);
    duplicates(&mut plan, &mut PropsOf::default());
    Ok(plan)
}

/// `seen`: whether the order of the plan's rows shows in the result.
fn sorts(plan: &mut Plan, seen: bool) {
    if let Plan::Sort { input, limit: None, .. } = plan
        && !seen
    {
        *plan = take(input);
        return sorts(plan, seen);
    }
    match plan {
        Plan::Filter { input, .. } | Plan::Project { input, .. } | Plan::ProjectSet { input, .. } => {
            sorts(input, seen)
        }
        Plan::Limit { input, .. } | Plan::Distinct { input, on: Some(_) } => sorts(input, true),
        Plan::Modify(m) => sorts(&mut m.input, true),
        Plan::With { definition, body, .. } => {
            sorts(definition, false);
            sorts(body, seen);
        }
        Plan::Aggregate { input, aggregates, .. } => {
            let by_order = |a: &AggregateCall| a.function.order_sensitive && a.order_by.is_empty();
            sorts(input, aggregates.iter().any(by_order));
        }
        Plan::Window { input, order, .. } => sorts(input, order.is_empty()),
        plan => plan.inputs_mut().into_iter().for_each(|p| sorts(p, false)),
    }
}

fn duplicates(plan: &mut Plan, props: &mut PropsOf) {
    if let Plan::With { cte, definition, body, .. } = plan {
        duplicates(definition, props);
        props.define(*cte, definition);
        return duplicates(body, props);
    }
    plan.inputs_mut().into_iter().for_each(|p| duplicates(p, props));
    match plan {
        Plan::Distinct { input, on } => {
            let keys = on.as_ref().map_or_else(|| output(input), |on| on.iter().copied().collect());
            if props.of(input).unique(&keys) {
                *plan = take(input);
            }
        }
        Plan::Aggregate { input, groups, sets, aggregates, .. } => {
            if !aggregates.iter().any(|a| a.distinct) {
                return;
            }
            let p = props.of(input);
            let keys: Option<ColSet> = groups.iter().map(|g| super::logic::as_column(&g.expr)).collect();
            for a in aggregates.iter_mut().filter(|a| a.distinct) {
                let columns: Option<ColSet> = a.args.iter().map(super::logic::as_column).collect();
                let unique =
                    sets.is_empty() && matches!((&keys, &columns), (Some(k), Some(c)) if p.unique(&(k | c)));
                a.distinct = !(a.function.duplicate_insensitive || unique);
            }
        }
        // Whether a row matches does not depend on how often.
        Plan::Join(Join { kind: JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_), right, .. }) => {
            once(right)
        }
        Plan::Join(Join { kind: JoinKind::RightSemi | JoinKind::RightAnti, left, .. }) => once(left),
        _ => {}
    }
}

/// Drops what only removes duplicates at the top of a side of which only existence matters.
fn once(plan: &mut Plan) {
    match plan {
        Plan::Distinct { input, on: None } => {
            *plan = take(input);
            once(plan);
        }
        Plan::Aggregate { input, groups, sets, aggregates, grouping: None }
            if aggregates.is_empty() && sets.is_empty() && !groups.is_empty() =>
        {
            let exprs = std::mem::take(groups);
            let below = take(input);
            *plan = Plan::Project { input: Box::new(below), exprs };
        }
        Plan::Project { input, exprs } if exprs.iter().all(|e| matches!(e.expr, Expr::Column { .. })) => {
            // Only where the projection keeps every column may duplicates go below it: they would be duplicates above.
            once(input);
        }
        Plan::Filter { input, .. } => once(input),
        _ => {}
    }
}
