//! Groups by fewer columns: keys that the other keys determine become plain values of the group.

use std::collections::HashMap;

use spg_expr::Expr;
use spg_types::{Repr, Result};

use super::Context;
use super::logic::as_column;
use crate::props::PropsOf;
use crate::tree::{ColSet, pass, rename, rename_expr};
use crate::{NamedExpr, Plan};

pub(crate) fn run(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    reduce(&mut plan, cx, &mut PropsOf::default());
    Ok(plan)
}

fn reduce(plan: &mut Plan, cx: &mut Context<'_>, props: &mut PropsOf) {
    if let Plan::With { cte, definition, body, .. } = plan {
        reduce(definition, cx, props);
        props.define(*cte, definition);
        return reduce(body, cx, props);
    }
    plan.inputs_mut().into_iter().for_each(|p| reduce(p, cx, props));
    let Plan::Aggregate { input, groups, sets, grouping: None, aggregates } = plan else { return };
    if groups.len() < 2 || !sets.is_empty() {
        return;
    }
    let Some(keys) = groups.iter().map(|g| as_column(&g.expr)).collect::<Option<ColSet>>() else { return };
    let p = props.of(input);
    let mut kept = keys.clone();
    // The dearest keys first: strings, then wide numbers.
    let mut order: Vec<&NamedExpr> = groups.iter().collect();
    order.sort_by_key(|g| match g.out.ty.repr() {
        Repr::Text | Repr::Binary | Repr::Numeric => 0,
        Repr::Decimal128 { .. } | Repr::Interval | Repr::Uuid => 1,
        Repr::Decimal64 { .. } | Repr::Float32 | Repr::Float64 => 2,
        _ => 3,
    });
    for g in order {
        let Some(id) = as_column(&g.expr) else { continue };
        let mut fewer = kept.clone();
        fewer.remove(&id);
        if p.closure(&fewer).contains(&id) {
            kept = fewer;
        }
    }
    if kept.len() == keys.len() {
        return;
    }
    let dropped: Vec<NamedExpr> =
        groups.iter().filter(|g| as_column(&g.expr).is_some_and(|c| !kept.contains(&c))).cloned().collect();
    // The group's value takes the column's name; below, the column gets another.
    let mut values = vec![];
    let mut map = HashMap::new();
    for g in &dropped {
        let below = cx.column(&g.out.name, g.expr.ty());
        let Some(mut call) = cx.aggregate_call("any_value", vec![pass(&below).expr]) else { return };
        call.out = g.out.clone();
        if let Some(id) = as_column(&g.expr) {
            map.insert(id, below.id);
        }
        values.push(call);
    }
    groups.retain(|g| as_column(&g.expr).is_some_and(|c| kept.contains(&c)));
    rename(input, &map);
    for a in aggregates.iter_mut() {
        let order = a.order_by.iter_mut().map(|(e, _, _)| e);
        a.args.iter_mut().chain(&mut a.filter).chain(order).for_each(|e: &mut Expr| rename_expr(e, &map));
    }
    debug_assert!(groups.iter().all(|g| !map.values().any(|v| *v == g.out.id)));
    aggregates.extend(values);
}
