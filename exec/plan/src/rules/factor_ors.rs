//! Takes what all branches of an OR have in common out of it: `(a AND b) OR (a AND c)` is `a AND (b OR c)`, and an equality among
//! what comes out is a join's key.

use spg_expr::Expr;
use spg_types::Result;

use super::Context;
use super::logic::volatile;
use crate::tree::exprs_mut;
use crate::{Join, Plan};

pub(crate) fn run(mut plan: Plan, _: &mut Context<'_>) -> Result<Plan> {
    factor_all(&mut plan);
    Ok(plan)
}

/// Takes common conjuncts out of every OR among conjuncts.
fn factor_all(plan: &mut Plan) {
    plan.inputs_mut().into_iter().for_each(factor_all);
    let conjuncts = match plan {
        Plan::Filter { predicate, .. } => predicate,
        Plan::Join(Join { on, .. }) => on,
        Plan::Scan(s) => &mut s.filter,
        plan => {
            exprs_mut(plan).into_iter().for_each(|e| {
                e.rewrite(&mut |e| {
                    if let Expr::Or(parts) = e
                        && let Some(better) = factored(parts)
                    {
                        *e = better;
                    }
                })
            });
            return;
        }
    };
    let list = std::mem::take(conjuncts).into_iter().flat_map(|e| match &e {
        Expr::Or(parts) => factored(parts).map_or_else(|| vec![e.clone()], Expr::into_conjuncts),
        _ => vec![e],
    });
    *conjuncts = list.collect();
}

/// `(a AND b) OR (a AND c)` as `a AND (b OR c)`.
fn factored(parts: &[Expr]) -> Option<Expr> {
    let branches: Vec<Vec<Expr>> = parts.iter().map(|p| p.clone().into_conjuncts()).collect();
    let (first, rest) = branches.split_first()?;
    let common: Vec<Expr> =
        first.iter().filter(|e| !volatile(e) && rest.iter().all(|b| b.contains(e))).cloned().collect();
    if common.is_empty() {
        return None;
    }
    let without = |b: &Vec<Expr>| -> Expr {
        Expr::conjunction(b.iter().filter(|e| !common.contains(e)).cloned().collect())
    };
    let left: Vec<Expr> = branches.iter().map(without).collect();
    let mut all = common.clone();
    if !left.iter().any(|e| e.is_bool(true)) {
        all.push(Expr::Or(left));
    }
    Some(Expr::conjunction(all))
}
