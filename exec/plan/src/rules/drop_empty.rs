//! Replaces what cannot have rows by no rows, and what joins with it by what is left of it.

use spg_expr::Expr;
use spg_types::Result;

use super::Context;
use super::logic::as_count;
use crate::tree::{modifies, pass, transform};
use crate::{Join, JoinKind, NamedExpr, OutCol, Plan, SetOpKind};

pub(crate) fn run(plan: Plan, _: &mut Context<'_>) -> Result<Plan> {
    transform(plan, &mut |p| Ok(if modifies(&p) { p } else { node(p) }))
}

fn is_empty(plan: &Plan) -> bool {
    matches!(plan, Plan::Values { rows, .. } if rows.is_empty())
}

fn node(plan: Plan) -> Plan {
    let empty = match &plan {
        Plan::Filter { input, predicate } => is_empty(input) || predicate.iter().any(|e| e.is_bool(false)),
        Plan::Scan(s) => s.filter.iter().any(|e| e.is_bool(false)),
        Plan::Project { input, .. }
        | Plan::ProjectSet { input, .. }
        | Plan::Distinct { input, .. }
        | Plan::Window { input, .. }
        | Plan::Sort { input, .. } => is_empty(input),
        Plan::Limit { input, limit, .. } => is_empty(input) || limit.as_ref().and_then(as_count) == Some(0),
        Plan::Aggregate { input, groups, sets, .. } => {
            is_empty(input) && !groups.is_empty() && sets.is_empty()
        }
        Plan::Join(Join { kind, left, right, on, .. }) => {
            let never = on.iter().any(|e| e.is_bool(false));
            match kind {
                JoinKind::Inner | JoinKind::Semi | JoinKind::RightSemi => {
                    is_empty(left) || is_empty(right) || never
                }
                JoinKind::Left | JoinKind::Anti | JoinKind::Mark(_) | JoinKind::Single => is_empty(left),
                JoinKind::Right | JoinKind::RightAnti => is_empty(right),
                JoinKind::Full => is_empty(left) && is_empty(right),
            }
        }
        Plan::SetOp { kind: SetOpKind::Intersect, left, right, .. } => {
            is_empty(&left.0) || is_empty(&right.0)
        }
        Plan::SetOp { kind: SetOpKind::Except, left, .. } => is_empty(&left.0),
        Plan::Union { inputs, .. } => inputs.iter().all(|(p, _)| is_empty(p)),
        Plan::With { body, .. } => is_empty(body),
        _ => false,
    };
    if empty {
        return Plan::Values { columns: plan.columns(), rows: vec![] };
    }
    match plan {
        Plan::Join(Join { kind, left, right, on, join_filters, lookup }) => {
            let never = on.iter().any(|e| e.is_bool(false));
            match kind {
                JoinKind::Left | JoinKind::Single if is_empty(&right) || never => {
                    padded(*left, &right.columns(), false)
                }
                JoinKind::Right if is_empty(&left) || never => padded(*right, &left.columns(), true),
                JoinKind::Anti if is_empty(&right) || never => *left,
                JoinKind::RightAnti if is_empty(&left) || never => *right,
                kind => Plan::Join(Join { kind, left, right, on, join_filters, lookup }),
            }
        }
        Plan::Union { mut inputs, columns } => {
            inputs.retain(|(p, _)| !is_empty(p));
            Plan::Union { inputs, columns }
        }
        plan => plan,
    }
}

/// `plan` with NULLs for `columns`.
fn padded(plan: Plan, columns: &[OutCol], before: bool) -> Plan {
    let own = plan.columns();
    let nulls = columns.iter().map(|c| NamedExpr { out: c.clone(), expr: Expr::null(c.ty) });
    let exprs = match before {
        true => nulls.chain(own.iter().map(pass)).collect(),
        false => own.iter().map(pass).chain(nulls).collect(),
    };
    Plan::Project { input: Box::new(plan), exprs }
}
