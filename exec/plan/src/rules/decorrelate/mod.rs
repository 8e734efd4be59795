//! Turns every dependent join into joins.
//!
//! Three ways, tried in order for each `Apply`, outermost first so that what remains is always closed:
//! - the inner side reads nothing of the outer: a join as it is;
//! - its correlated predicates can be pulled up to the join, equalities becoming group, partition or distinct keys on
//!   the way (`pull`): what nearly every subquery people write allows, and no work is repeated;
//! - general unnesting after Neumann and Kemper, "Unnesting Arbitrary Queries" (BTW 2015): the distinct values of the
//!   outer columns that the inner side reads are pushed down to where they are read (`push`), and the result joins
//!   the outer side on them.

mod convert;
mod marks;
mod pull;
mod push;

use spg_expr::Expr;
use spg_types::Result;

use crate::props::PropsOf;
use crate::rules::Context;
use crate::tree::{filtered, free, join, output, projected, reads, take};
use crate::{JoinKind, OutCol, Plan};

pub(crate) fn run(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    marks::to_semi(&mut plan, &cx.output);
    unnest(plan, cx)
}

/// A closed plan without dependent joins.
fn unnest(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    if let Plan::Apply { kind, left, right, on } = plan {
        let left = unnest(*left, cx)?;
        return apply(kind, left, *right, on, cx);
    }
    for input in plan.inputs_mut() {
        let inner = take(input);
        *input = unnest(inner, cx)?;
    }
    Ok(plan)
}

/// One dependent join over a left side that is closed and has none.
fn apply(kind: JoinKind, left: Plan, right: Plan, on: Vec<Expr>, cx: &mut Context<'_>) -> Result<Plan> {
    let outer = output(&left);
    if !reads(&right, &outer) {
        let right = unnest(right, cx)?;
        return Ok(independent(kind, left, right, on));
    }
    if let Plan::TableFunction { name, args, columns, ordinality } = right {
        return table_function(kind, left, Plan::TableFunction { name, args, columns, ordinality }, on, cx);
    }
    let columns = right.columns();
    let discards = matches!(kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_));
    if let Some(mut pulled) = pull::pull(right.clone(), &outer, discards, cx)?
        && free(&pulled.plan).is_disjoint(&outer)
    {
        pulled.plan = unnest(pulled.plan, cx)?;
        return convert::join_pulled(kind, left, &columns, pulled, on, cx);
    }
    push::general(kind, left, right, on, cx)
}

/// A dependent join whose sides do not depend on each other.
fn independent(kind: JoinKind, left: Plan, right: Plan, on: Vec<Expr>) -> Plan {
    if kind != JoinKind::Single {
        return join(kind, left, right, on);
    }
    let p = PropsOf::default().of(&right);
    let kind = match (p.at_most_one, p.at_least_one && on.is_empty()) {
        (true, true) => JoinKind::Inner,
        (true, false) => JoinKind::Left,
        _ => JoinKind::Single,
    };
    join(kind, left, right, on)
}

/// A lateral table function: computed per outer row where no outer row is padded, else per distinct argument row.
fn table_function(
    kind: JoinKind,
    left: Plan,
    function: Plan,
    on: Vec<Expr>,
    cx: &mut Context<'_>,
) -> Result<Plan> {
    match (kind, function) {
        (JoinKind::Inner, Plan::TableFunction { name, args, columns, ordinality }) => {
            Ok(filtered(Plan::ProjectSet { input: Box::new(left), name, args, columns, ordinality }, on))
        }
        (kind, function) => push::general(kind, left, function, on, cx),
    }
}

/// `plan` reduced to a dependent join's columns in their order.
fn restore(plan: Plan, left: &[OutCol], right: &[OutCol]) -> Plan {
    let columns: Vec<OutCol> = left.iter().chain(right).cloned().collect();
    projected(plan, &columns)
}
