//! Moves conjuncts to where their columns are made: into scans, join conditions, below aggregates on their keys; and
//! makes outer joins inner where a conjunct drops the padded rows.

use spg_expr::{ColId, Expr};
use spg_types::Result;

use super::Context;
use super::logic::{nullable, rejects_nulls, volatile};
use crate::tree::{ColSet, ExprMap, filtered, output, substitute, take};
use crate::{Join, JoinKind, NamedExpr, OutCol, Plan};

pub(crate) fn run(plan: Plan, _: &mut Context<'_>) -> Result<Plan> {
    Ok(push(plan, vec![]))
}

/// `plan` under the conjuncts `preds`, which read its columns and perhaps outer ones.
pub(super) fn push(plan: Plan, preds: Vec<Expr>) -> Plan {
    let preds: Vec<Expr> = preds.into_iter().flat_map(Expr::into_conjuncts).collect();
    match plan {
        Plan::Filter { input, predicate } => push(*input, preds.into_iter().chain(predicate).collect()),
        Plan::Scan(mut s) => {
            let columns: ColSet = s.columns.iter().map(|(c, _)| c.id).chain(s.row_id).collect();
            let (here, rest) = split(preds, |e| e.columns().is_subset(&columns) && !e.columns().is_empty());
            for e in here {
                if !s.filter.contains(&e) {
                    s.filter.push(e);
                }
            }
            filtered(Plan::Scan(s), rest)
        }
        Plan::Project { input, exprs } => project(*input, exprs, preds),
        Plan::Join(j) => join(j, preds),
        Plan::Apply { kind, left, right, on } => apply(kind, *left, *right, on, preds),
        Plan::Aggregate { input, groups, sets, grouping, aggregates } => {
            let in_all_sets = |i: usize| sets.iter().all(|s| s.contains(&i));
            let map: ExprMap = (groups.iter().enumerate())
                .filter(|(i, g)| in_all_sets(*i) && !volatile(&g.expr))
                .map(|(_, g)| (g.out.id, g.expr.clone()))
                .collect();
            let keys: ColSet = map.keys().copied().collect();
            let (mut below, rest) = split(preds, |e| over(e, &keys));
            below.iter_mut().for_each(|e| substitute(e, &map));
            let input = Box::new(push(*input, below));
            filtered(Plan::Aggregate { input, groups, sets, grouping, aggregates }, rest)
        }
        Plan::Distinct { input, on } => {
            let keys = on.as_ref().map_or_else(|| output(&input), |on| on.iter().copied().collect());
            let (below, rest) = split(preds, |e| over(e, &keys));
            filtered(Plan::Distinct { input: Box::new(push(*input, below)), on }, rest)
        }
        Plan::Window { input, partition, order, calls } => {
            let keys: ColSet = partition.iter().copied().collect();
            let (below, rest) = split(preds, |e| over(e, &keys));
            filtered(Plan::Window { input: Box::new(push(*input, below)), partition, order, calls }, rest)
        }
        Plan::Sort { input, keys, limit: None } => {
            let columns = output(&input);
            let (below, rest) = split(preds, |e| over(e, &columns));
            filtered(Plan::Sort { input: Box::new(push(*input, below)), keys, limit: None }, rest)
        }
        Plan::ProjectSet { input, name, args, columns, ordinality } => {
            let below = output(&input);
            let (below, rest) = split(preds, |e| over(e, &below));
            let input = Box::new(push(*input, below));
            filtered(Plan::ProjectSet { input, name, args, columns, ordinality }, rest)
        }
        Plan::Union { inputs, columns } => {
            let own: ColSet = columns.iter().map(|c| c.id).collect();
            let (below, rest) = split(preds, |e| over(e, &own));
            let inputs = inputs.into_iter().map(|(p, ids)| (feed(p, &ids, &columns, &below), ids)).collect();
            filtered(Plan::Union { inputs, columns }, rest)
        }
        Plan::SetOp { kind, all, left, right, columns } => {
            let own: ColSet = columns.iter().map(|c| c.id).collect();
            let (below, rest) = split(preds, |e| over(e, &own));
            let left = (Box::new(feed(*left.0, &left.1, &columns, &below)), left.1);
            let right = (Box::new(feed(*right.0, &right.1, &columns, &below)), right.1);
            filtered(Plan::SetOp { kind, all, left, right, columns }, rest)
        }
        Plan::With { cte, name, definition, body } => {
            let columns = output(&body);
            let (below, rest) = split(preds, |e| over(e, &columns));
            let definition = Box::new(push(*definition, vec![]));
            filtered(Plan::With { cte, name, definition, body: Box::new(push(*body, below)) }, rest)
        }
        mut plan => {
            for input in plan.inputs_mut() {
                let inner = take(input);
                *input = push(inner, vec![]);
            }
            filtered(plan, preds)
        }
    }
}

fn split(list: Vec<Expr>, f: impl Fn(&Expr) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    list.into_iter().partition(f)
}

/// Whether a conjunct reads nothing but `columns`, something of them, and may be evaluated elsewhere.
fn over(e: &Expr, columns: &ColSet) -> bool {
    let read = e.columns();
    !read.is_empty() && read.is_subset(columns) && !volatile(e)
}

fn project(input: Plan, exprs: Vec<NamedExpr>, preds: Vec<Expr>) -> Plan {
    let map: ExprMap =
        exprs.iter().filter(|e| !volatile(&e.expr)).map(|e| (e.out.id, e.expr.clone())).collect();
    let made: ColSet = exprs.iter().map(|e| e.out.id).collect();
    let (mut below, rest) = split(preds, |e| {
        let read = e.columns();
        !volatile(e) && read.is_subset(&made) && read.iter().all(|c| map.contains_key(c))
    });
    below.iter_mut().for_each(|e| substitute(e, &map));
    filtered(Plan::Project { input: Box::new(push(input, below)), exprs }, rest)
}

/// An input of a set operation under conjuncts over the operation's columns.
fn feed(input: Plan, ids: &[ColId], columns: &[OutCol], preds: &[Expr]) -> Plan {
    let map: ExprMap =
        columns.iter().zip(ids).map(|(c, id)| (c.id, Expr::Column { id: *id, ty: c.ty })).collect();
    let preds = preds.iter().cloned().map(|mut e| {
        substitute(&mut e, &map);
        e
    });
    push(input, preds.collect())
}

fn join(j: Join, preds: Vec<Expr>) -> Plan {
    let Join { mut kind, left, right, mut on, join_filters, lookup } = j;
    let (l, r) = (output(&left), output(&right));
    if !preds.is_empty() {
        kind = narrowed(kind, &preds, &l, &r);
    }
    let (mut to_left, mut to_right, mut above) = (vec![], vec![], vec![]);
    let (left_kept, right_kept) = match kind {
        JoinKind::Inner => (true, true),
        JoinKind::Left | JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_) | JoinKind::Single => {
            (true, false)
        }
        JoinKind::Right | JoinKind::RightSemi | JoinKind::RightAnti => (false, true),
        JoinKind::Full => (false, false),
    };
    for e in preds {
        if left_kept && over(&e, &l) {
            to_left.push(e);
        } else if right_kept && over(&e, &r) {
            to_right.push(e);
        } else if kind == JoinKind::Inner && over(&e, &(&l | &r)) {
            if !on.contains(&e) {
                on.push(e);
            }
        } else {
            above.push(e);
        }
    }
    let on: Vec<Expr> = on.into_iter().flat_map(Expr::into_conjuncts).collect();
    let mut condition = vec![];
    for e in on {
        // A condition on one side alone restricts that side's candidates, unless its rows are kept without a match.
        let left_restricts = matches!(
            kind,
            JoinKind::Inner | JoinKind::Semi | JoinKind::Right | JoinKind::RightSemi | JoinKind::RightAnti
        );
        let right_restricts = match kind {
            JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti | JoinKind::Single => true,
            JoinKind::RightSemi => true,
            JoinKind::Mark(_) => !nullable(&e, &crate::props::props(&right).not_null),
            JoinKind::Right | JoinKind::RightAnti | JoinKind::Full => false,
        };
        if left_restricts && over(&e, &l) {
            to_left.push(e);
        } else if right_restricts && over(&e, &r) {
            to_right.push(e);
        } else {
            condition.push(e);
        }
    }
    let left = Box::new(push(*left, to_left));
    let right = Box::new(push(*right, to_right));
    filtered(Plan::Join(Join { kind, left, right, on: condition, join_filters, lookup }), above)
}

/// The kind that is left of an outer join when conjuncts above drop padded rows.
fn narrowed(kind: JoinKind, preds: &[Expr], l: &ColSet, r: &ColSet) -> JoinKind {
    let rejects = |side: &ColSet| {
        preds.iter().any(|e| {
            let read = &e.columns() & side;
            !read.is_empty() && rejects_nulls(e, &read)
        })
    };
    match kind {
        JoinKind::Left if rejects(r) => JoinKind::Inner,
        JoinKind::Right if rejects(l) => JoinKind::Inner,
        JoinKind::Full => match (rejects(l), rejects(r)) {
            (true, true) => JoinKind::Inner,
            (true, false) => JoinKind::Left,
            (false, true) => JoinKind::Right,
            (false, false) => JoinKind::Full,
        },
        kind => kind,
    }
}

/// Before decorrelation: the outer side takes what is its own, so that the inner side meets fewer rows.
fn apply(kind: JoinKind, left: Plan, right: Plan, on: Vec<Expr>, preds: Vec<Expr>) -> Plan {
    let (l, r) = (output(&left), output(&right));
    let kind = narrowed(kind, &preds, &l, &r);
    let (to_left, rest) = split(preds, |e| over(e, &l));
    let (to_right, above) = split(rest, |e| kind == JoinKind::Inner && over(e, &r));
    let (left, right) = (Box::new(push(left, to_left)), Box::new(push(right, to_right)));
    filtered(Plan::Apply { kind, left, right, on }, above)
}
