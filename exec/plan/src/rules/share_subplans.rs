//! Computes an aggregation once that stands in a plan several times: the later ones read its rows.

use std::collections::HashMap;

use spg_types::Result;

use super::Context;
use super::logic::volatile;
use crate::tree::{exprs, forget_names, free, fresh_copy, made, modifies, rename, take, visit, visit_mut};
use crate::{CteId, OutCol, Plan};

pub(crate) fn run(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    loop {
        let mut candidates = vec![];
        collect(&plan, &mut candidates);
        let twice = candidates.iter().enumerate().find_map(|(i, (a, _))| {
            candidates[i + 1..].iter().any(|(b, _)| a == b).then(|| candidates[i].clone())
        });
        let Some((form, first)) = twice else { return Ok(plan) };
        let cte = cx.ids.cte();
        let name = format!("shared_{}", cte.0);
        let (definition, _) = fresh_copy(&first, &mut cx.ids);
        replace(&mut plan, &form, cte, &name);
        plan = Plan::With { cte, name, definition: Box::new(definition), body: Box::new(plan) };
    }
}

/// Aggregations that depend on nothing around them, outermost first, each with its canonical form.
fn collect(plan: &Plan, list: &mut Vec<(Plan, Plan)>) {
    if let Some(form) = candidate(plan) {
        list.push((form, plan.clone()));
    }
    plan.inputs().into_iter().for_each(|p| collect(p, list));
}

fn candidate(plan: &Plan) -> Option<Plan> {
    if !matches!(plan, Plan::Aggregate { .. }) || modifies(plan) {
        return None;
    }
    let mut own = true;
    let (mut defined, mut read) = (vec![], vec![]);
    visit(plan, &mut |p| {
        own &= !exprs(p).into_iter().any(volatile);
        match p {
            Plan::With { cte, .. } | Plan::Recursive { cte, .. } => defined.push(*cte),
            Plan::CteScan { cte, .. } => read.push(*cte),
            _ => {}
        }
    });
    (own && read.is_empty() && defined.is_empty() && free(plan).is_empty()).then(|| canonical(plan))
}

/// The plan with its columns numbered in the order in which they are made, and without names.
fn canonical(plan: &Plan) -> Plan {
    let mut map = HashMap::new();
    visit(plan, &mut |p| {
        for c in made(p) {
            let next = spg_expr::ColId(map.len() as u32);
            map.entry(c.id).or_insert(next);
        }
    });
    let mut form = plan.clone();
    rename(&mut form, &map);
    visit_mut(&mut form, &mut forget_names);
    form
}

/// Replaces every plan of that form by a read of the shared rows.
fn replace(plan: &mut Plan, form: &Plan, cte: CteId, name: &str) {
    if candidate(plan).is_some_and(|f| f == *form) {
        let columns: Vec<(OutCol, usize)> =
            take(plan).columns().into_iter().enumerate().map(|(i, c)| (c, i)).collect();
        *plan = Plan::CteScan { cte, name: name.into(), columns };
        return;
    }
    plan.inputs_mut().into_iter().for_each(|p| replace(p, form, cte, name));
}
