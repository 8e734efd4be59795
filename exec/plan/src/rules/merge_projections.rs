//! Computes projections over projections in one step.

use std::collections::HashMap;

use spg_expr::{ColId, Expr};
use spg_types::Result;

use super::Context;
use super::logic::volatile;
use crate::tree::{ExprMap, passes, substitute, take, transform};
use crate::{NamedExpr, Plan};

pub(crate) fn run(plan: Plan, _: &mut Context<'_>) -> Result<Plan> {
    transform(plan, &mut |p| Ok(merged(p)))
}

fn merged(plan: Plan) -> Plan {
    let Plan::Project { mut input, mut exprs } = plan else { return plan };
    let Plan::Project { input: below, exprs: inner } = &mut *input else {
        return Plan::Project { input, exprs };
    };
    if !worth(&exprs, inner) {
        return Plan::Project { input, exprs };
    }
    let map: ExprMap = inner.iter().filter(|e| !passes(e)).map(|e| (e.out.id, e.expr.clone())).collect();
    exprs.iter_mut().for_each(|e| substitute(&mut e.expr, &map));
    let below = take(below);
    merged(Plan::Project { input: Box::new(below), exprs })
}

/// Whether nothing is computed twice by it.
fn worth(outer: &[NamedExpr], inner: &[NamedExpr]) -> bool {
    let mut reads = HashMap::<ColId, usize>::new();
    for e in outer {
        e.expr.visit(&mut |e| {
            if let Expr::Column { id, .. } = e {
                *reads.entry(*id).or_insert(0) += 1;
            }
        });
    }
    inner.iter().all(|e| {
        let cheap = matches!(e.expr, Expr::Column { .. } | Expr::Const { .. });
        cheap || (!volatile(&e.expr) && reads.get(&e.out.id).is_none_or(|n| *n <= 1))
    })
}
