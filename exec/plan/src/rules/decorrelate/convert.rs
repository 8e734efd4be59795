//! From a pulled-up inner side to the join of each kind.

use std::collections::HashMap;

use spg_expr::Expr;
use spg_types::{Result, SqlType, def};

use super::pull::Pulled;
use super::restore;
use crate::props::PropsOf;
use crate::rules::Context;
use crate::rules::context::{is_true, only_when};
use crate::rules::logic::split_equality;
use crate::tree::{ColSet, col, filtered, join, output, pass, rename, rename_expr, substitute};
use crate::{JoinKind, NamedExpr, OutCol, Plan};

/// Joins `left` with a pulled-up right side whose columns were `columns`.
pub(super) fn join_pulled(
    kind: JoinKind,
    left: Plan,
    columns: &[OutCol],
    pulled: Pulled,
    mut on: Vec<Expr>,
    cx: &mut Context<'_>,
) -> Result<Plan> {
    let above = pulled.above_map();
    on.iter_mut().for_each(|e| substitute(e, &above));
    if pulled.exactly_one {
        return Ok(exactly_one(kind, left, columns, pulled, on, cx));
    }
    let Pulled { mut plan, mut preds, above, .. } = pulled;
    let left_columns = left.columns();
    match kind {
        JoinKind::Semi | JoinKind::Anti => {
            preds.extend(on);
            Ok(join(kind, left, plan, preds))
        }
        JoinKind::Mark(_) => {
            let (plan, preds) = never_null(plan, preds, cx)?;
            let on = preds.into_iter().chain(on).collect();
            Ok(join(kind, left, plan, on))
        }
        JoinKind::Inner => {
            preds.extend(on);
            let joined = join(kind, left, plan, preds);
            Ok(computed(joined, &left_columns, columns, &above))
        }
        _ => {
            let kind = match kind {
                JoinKind::Single if single_match(&plan, &preds) => JoinKind::Left,
                kind => kind,
            };
            let mut above = above;
            if !above.is_empty() {
                let marker = cx.column("matched", SqlType::new(&def::BOOL));
                let mut exprs: Vec<NamedExpr> = plan.columns().iter().map(pass).collect();
                exprs.push(NamedExpr { out: marker.clone(), expr: Expr::boolean(true) });
                plan = Plan::Project { input: Box::new(plan), exprs };
                for e in &mut above {
                    let value = std::mem::replace(&mut e.expr, Expr::boolean(true));
                    e.expr = only_when(col(&marker), value);
                }
            }
            preds.extend(on);
            let joined = join(kind, left, plan, preds);
            Ok(computed(joined, &left_columns, columns, &above))
        }
    }
}

/// The join's columns in the dependent join's order, with those that are computed above it.
fn computed(joined: Plan, left: &[OutCol], right: &[OutCol], above: &[NamedExpr]) -> Plan {
    if above.is_empty() {
        return restore(joined, left, right);
    }
    let value = |c: &OutCol| above.iter().find(|e| e.out.id == c.id).cloned().unwrap_or_else(|| pass(c));
    let exprs = left.iter().map(pass).chain(right.iter().map(value)).collect();
    Plan::Project { input: Box::new(joined), exprs }
}

/// The right side has one row per left row; rows that the pulled plan lacks stand for the aggregate of nothing.
fn exactly_one(
    kind: JoinKind,
    left: Plan,
    columns: &[OutCol],
    mut pulled: Pulled,
    mut on: Vec<Expr>,
    cx: &mut Context<'_>,
) -> Plan {
    let conditional = !pulled.post.is_empty() || !on.is_empty();
    if conditional && matches!(kind, JoinKind::Left | JoinKind::Single) {
        // Every right column comes to depend on the condition: what was passed on becomes computed.
        let above = pulled.above_map();
        let kept: Vec<&OutCol> = columns.iter().filter(|c| !above.contains_key(&c.id)).collect();
        let map: HashMap<_, _> = kept.iter().map(|c| (c.id, cx.ids.column())).collect();
        pulled.above.extend(kept.into_iter().map(|c| NamedExpr { out: c.clone(), expr: col(c) }));
        rename(&mut pulled.plan, &map);
        let above = pulled.above.iter_mut().map(|e| &mut e.expr);
        for e in pulled.preds.iter_mut().chain(&mut pulled.post).chain(&mut on).chain(above) {
            rename_expr(e, &map);
        }
    }
    let Pulled { plan, preds, mut above, post, .. } = pulled;
    let left_columns = left.columns();
    let joined = join(JoinKind::Left, left, plan, preds);
    match kind {
        JoinKind::Inner => {
            let kept = filtered(joined, post.into_iter().chain(on).collect());
            computed(kept, &left_columns, columns, &above)
        }
        JoinKind::Semi => restore(filtered(joined, post.into_iter().chain(on).collect()), &left_columns, &[]),
        JoinKind::Anti => {
            let all = Expr::conjunction(post.into_iter().chain(on).collect());
            restore(filtered(joined, vec![Expr::Not(Box::new(is_true(all)))]), &left_columns, &[])
        }
        JoinKind::Mark(id) => {
            let on = Expr::conjunction(on);
            let ty = SqlType::new(&def::BOOL);
            let mark = if post.is_empty() {
                on
            } else {
                let otherwise = Some(Box::new(Expr::boolean(false)));
                Expr::Case { branches: vec![(Expr::conjunction(post), on)], otherwise, ty }
            };
            let mut exprs: Vec<NamedExpr> = left_columns.iter().map(pass).collect();
            exprs.push(NamedExpr { out: OutCol { id, name: "mark".into(), ty }, expr: mark });
            Plan::Project { input: Box::new(joined), exprs }
        }
        _ => {
            let conditions: Vec<Expr> = post.into_iter().chain(on).collect();
            if !conditions.is_empty() {
                let condition = Expr::conjunction(conditions);
                for e in &mut above {
                    let value = std::mem::replace(&mut e.expr, Expr::boolean(true));
                    e.expr = only_when(condition.clone(), value);
                }
            }
            computed(joined, &left_columns, columns, &above)
        }
    }
}

/// Whether the equalities among `preds` determine at most one row of `plan`.
fn single_match(plan: &Plan, preds: &[Expr]) -> bool {
    let inner = output(plan);
    let keys: ColSet = preds
        .iter()
        .filter_map(|e| split_equality(e, &inner))
        .filter_map(|(a, _, _)| crate::rules::logic::as_column(a))
        .collect();
    PropsOf::default().of(plan).unique(&keys)
}

/// Predicates that decided whether an inner row exists, as conditions that are never NULL: only the mark's own
/// comparison may make a mark NULL. Equalities stay hash keys: NULL keys are filtered away below.
fn never_null(plan: Plan, preds: Vec<Expr>, cx: &Context<'_>) -> Result<(Plan, Vec<Expr>)> {
    let inner = output(&plan);
    let not_null = PropsOf::default().of(&plan).not_null;
    let (mut below, mut conditions) = (vec![], vec![]);
    for e in preds {
        match split_equality(&e, &inner) {
            Some((_, _, true)) => conditions.push(e),
            Some((key, outer, false)) => {
                if crate::rules::logic::nullable(key, &not_null) {
                    below.push(Expr::Not(Box::new(Expr::IsNull(Box::new(key.clone())))));
                }
                conditions.push(cx.same(outer.clone(), key.clone())?);
            }
            None => conditions.push(is_true(e)),
        }
    }
    Ok((filtered(plan, below), conditions))
}
