//! Puts a common table expression where it is read, when repeating it costs nothing more than reading it.
//!
//! The binder has already inlined what is read once and not MATERIALIZED.

use std::collections::HashMap;

use spg_expr::ColId;
use spg_types::Result;

use super::Context;
use super::logic::volatile;
use crate::tree::{Ids, exprs, fresh_copy, modifies, rename, take, visit};
use crate::{CteId, NamedExpr, OutCol, Plan};

pub(crate) fn run(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    inline(&mut plan, cx);
    Ok(plan)
}

fn inline(plan: &mut Plan, cx: &mut Context<'_>) {
    if let Plan::With { cte, definition, body, .. } = plan {
        let (reads, repeated) = reads(body, *cte);
        let fixed = modifies(definition) || is_volatile(definition);
        let once = reads == 1 && !repeated && matches!(**definition, Plan::Recursive { .. });
        if !fixed && (once || is_trivial(definition)) {
            let definition = take(definition);
            let mut body = take(body);
            replace(&mut body, *cte, &definition, &mut cx.ids, reads > 1);
            *plan = body;
            return inline(plan, cx);
        }
    }
    plan.inputs_mut().into_iter().for_each(|p| inline(p, cx));
}

/// How often a plan reads it, and whether some read is repeated by a recursion.
fn reads(plan: &Plan, cte: CteId) -> (usize, bool) {
    let (mut count, mut repeated) = (0, false);
    visit(plan, &mut |p| match p {
        Plan::CteScan { cte: c, .. } if *c == cte => count += 1,
        Plan::Recursive { step, .. } => {
            visit(&step.0, &mut |p| repeated |= matches!(p, Plan::CteScan { cte: c, .. } if *c == cte));
        }
        _ => {}
    });
    (count, repeated)
}

fn is_volatile(plan: &Plan) -> bool {
    let mut found = false;
    visit(plan, &mut |p| found |= exprs(p).into_iter().any(volatile));
    found
}

/// A scan with nothing above it that takes work.
fn is_trivial(plan: &Plan) -> bool {
    match plan {
        Plan::Scan(_) | Plan::CteScan { .. } => true,
        Plan::Values { rows, .. } => rows.len() <= 8,
        Plan::Project { input, exprs } => exprs.iter().all(crate::tree::passes) && is_trivial(input),
        Plan::Filter { input, .. } => is_trivial(input),
        _ => false,
    }
}

fn replace(plan: &mut Plan, cte: CteId, definition: &Plan, ids: &mut Ids, copy: bool) {
    match plan {
        Plan::CteScan { cte: c, columns, .. } if *c == cte => {
            let instance = if copy { fresh_copy(definition, ids).0 } else { definition.clone() };
            *plan = named(instance, columns);
        }
        plan => plan.inputs_mut().into_iter().for_each(|p| replace(p, cte, definition, ids, copy)),
    }
}

/// `plan` putting out `columns` and nothing else, each from a position of its output.
pub(super) fn named(mut plan: Plan, columns: &[(OutCol, usize)]) -> Plan {
    let own = plan.columns();
    let mut map = HashMap::<ColId, ColId>::new();
    let mut again = vec![];
    for (c, i) in columns {
        let Some(from) = own.get(*i) else { continue };
        match map.get(&from.id) {
            None => {
                map.insert(from.id, c.id);
            }
            Some(first) => again.push((c.clone(), *first, from.ty)),
        }
    }
    rename(&mut plan, &map);
    // What is above counts columns, or looks at all of them (DISTINCT).
    if plan.columns().iter().map(|c| c.id).eq(columns.iter().map(|(c, _)| c.id)) {
        return plan;
    }
    let value = |(c, _): &(OutCol, usize)| match again.iter().find(|(out, ..)| out.id == c.id) {
        Some((out, id, ty)) => {
            NamedExpr { out: out.clone(), expr: spg_expr::Expr::Column { id: *id, ty: *ty } }
        }
        None => crate::tree::pass(c),
    };
    let exprs = columns.iter().map(value).collect();
    Plan::Project { input: Box::new(plan), exprs }
}
