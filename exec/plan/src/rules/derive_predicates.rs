//! Finds conjuncts that hold though nobody wrote them, where they let an operator below drop rows:
//! - what an OR says of one side of a join alone;
//! - what is said of a column, of the columns that joins make equal to it.

use spg_expr::{ColId, Expr};
use spg_types::Result;

use super::Context;
use super::logic::{as_column, as_equality, infallible, interchangeable, volatile};
use super::push_filters::push;
use crate::tree::{ColSet, ExprMap, output, substitute, take};
use crate::{Join, JoinKind, Plan};

pub(crate) fn run(mut plan: Plan, _: &mut Context<'_>) -> Result<Plan> {
    from_ors(&mut plan);
    // Twice: what one join learns from its inputs, joins above and below it learn from it.
    for _ in 0..2 {
        across(&mut plan);
    }
    Ok(plan)
}

/// What an OR implies over `columns` alone: a part of each branch.
fn implied(or: &Expr, columns: &ColSet) -> Option<Expr> {
    let Expr::Or(parts) = or else { return None };
    let mut branches = vec![];
    for p in parts {
        let own: Vec<Expr> = p
            .clone()
            .into_conjuncts()
            .into_iter()
            .filter(|e| {
                let read = e.columns();
                !read.is_empty() && read.is_subset(columns) && infallible(e)
            })
            .collect();
        if own.is_empty() {
            return None;
        }
        branches.push(Expr::conjunction(own));
    }
    Some(Expr::Or(branches))
}

/// Top-down: an OR over both sides of a join restricts each side.
fn from_ors(plan: &mut Plan) {
    if let Plan::Join(Join { kind, left, right, on, .. }) = plan {
        let (to_left, to_right) = sides(*kind);
        for (side, open) in [(left, to_left), (right, to_right)] {
            let columns = output(side);
            let own: Vec<Expr> = on.iter().filter(|_| open).filter_map(|e| implied(e, &columns)).collect();
            if !own.is_empty() {
                let below = take(side);
                **side = push(below, own);
            }
        }
    }
    plan.inputs_mut().into_iter().for_each(from_ors);
}

/// Whether a join's condition restricts the candidates of the left and of the right side.
fn sides(kind: JoinKind) -> (bool, bool) {
    match kind {
        JoinKind::Inner | JoinKind::Semi | JoinKind::RightSemi => (true, true),
        JoinKind::Left | JoinKind::Anti | JoinKind::Single => (false, true),
        JoinKind::Right | JoinKind::RightAnti => (true, false),
        JoinKind::Full | JoinKind::Mark(_) => (false, false),
    }
}

/// Hands what is known of one side's key columns to the other side.
fn across(plan: &mut Plan) {
    if let Plan::Join(Join { kind, left, right, on, .. }) = plan {
        let (to_left, to_right) = sides(*kind);
        let (l, r) = (known(left), known(right));
        let (mut for_left, mut for_right) = (vec![], vec![]);
        let left_columns = output(left);
        for e in on.iter() {
            let Some((a, b, false)) = as_equality(e) else { continue };
            let (Some(x), Some(y)) = (as_column(a), as_column(b)) else { continue };
            if !interchangeable(a.ty(), b.ty()) {
                continue;
            }
            let (a, b, x, y) = if left_columns.contains(&x) { (a, b, x, y) } else { (b, a, y, x) };
            if to_right {
                for_right.extend(translated(&l, x, b, &r));
            }
            if to_left {
                for_left.extend(translated(&r, y, a, &l));
            }
        }
        for (side, new) in [(left, for_left), (right, for_right)] {
            if !new.is_empty() {
                let below = take(side);
                **side = push(below, new);
            }
        }
    }
    plan.inputs_mut().into_iter().for_each(across);
}

/// What `facts` say of column `from`, said of `to`, unless `have` already does.
fn translated(facts: &[Expr], from: ColId, to: &Expr, have: &[Expr]) -> Vec<Expr> {
    let map: ExprMap = [(from, to.clone())].into();
    let about = facts.iter().filter(|e| e.columns() == ColSet::from([from]));
    let renamed = about.map(|e| {
        let mut e = e.clone();
        substitute(&mut e, &map);
        e
    });
    renamed.filter(|e| !have.contains(e)).collect()
}

/// Conjuncts over one column that hold for all rows of a plan.
fn known(plan: &Plan) -> Vec<Expr> {
    let single = |list: &[Expr]| -> Vec<Expr> {
        let one = |e: &&Expr| {
            e.columns().len() == 1
                && !volatile(e)
                && infallible(e)
                && !matches!(e, Expr::Not(n) if matches!(**n, Expr::IsNull(_)))
        };
        list.iter().filter(one).cloned().collect()
    };
    match plan {
        Plan::Scan(s) => single(&s.filter),
        Plan::Filter { input, predicate } => {
            let mut all = known(input);
            all.extend(single(predicate));
            all
        }
        Plan::Join(Join { kind, left, right, on, .. }) => match kind {
            JoinKind::Inner => {
                let mut all = known(left);
                all.extend(known(right));
                spread(&mut all, on);
                all
            }
            JoinKind::Left | JoinKind::Anti | JoinKind::Mark(_) | JoinKind::Single => known(left),
            JoinKind::Semi => known(left),
            JoinKind::Right | JoinKind::RightSemi | JoinKind::RightAnti => known(right),
            JoinKind::Full => vec![],
        },
        Plan::Aggregate { input, groups, sets, .. } if sets.is_empty() => {
            let keys: ColSet = groups.iter().map(|g| g.out.id).collect();
            known(input).into_iter().filter(|e| e.columns().is_subset(&keys)).collect()
        }
        Plan::Project { input, .. }
        | Plan::Distinct { input, .. }
        | Plan::Sort { input, .. }
        | Plan::Window { input, .. } => {
            let columns = output(plan);
            known(input).into_iter().filter(|e| e.columns().is_subset(&columns)).collect()
        }
        Plan::With { body, .. } => known(body),
        _ => vec![],
    }
}

/// Adds what equalities say of the other column.
fn spread(facts: &mut Vec<Expr>, on: &[Expr]) {
    for e in on {
        let Some((a, b, false)) = as_equality(e) else { continue };
        let (Some(x), Some(y)) = (as_column(a), as_column(b)) else { continue };
        if !interchangeable(a.ty(), b.ty()) {
            continue;
        }
        let more = translated(facts, x, b, facts);
        facts.extend(more);
        let more = translated(facts, y, a, facts);
        facts.extend(more);
    }
}
