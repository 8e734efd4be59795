//! Columns across a whole plan: which ones its expressions read, which ones it makes, and exchanging some for others.

use std::collections::BTreeSet;

use ahash::AHashMap;
use spg_expr::{ColId, Expr};

use crate::{FrameBound, IndexAccess, JoinKind, ModifyKind, OutCol, Plan, WindowCall};

/// Calls `f` on every expression of the plan and of its inputs.
pub(super) fn each_expr(plan: &mut Plan, f: &mut dyn FnMut(&mut Expr)) {
    match plan {
        Plan::Scan(s) => {
            s.filter.iter_mut().for_each(&mut *f);
            if let Some(IndexAccess { equal, lower, upper, .. }) = &mut s.index {
                equal.iter_mut().for_each(&mut *f);
                lower.iter_mut().chain(upper).for_each(|(e, _)| f(e));
            }
        }
        Plan::Values { rows, .. } => rows.iter_mut().flatten().for_each(&mut *f),
        Plan::TableFunction { args, .. } | Plan::ProjectSet { args, .. } => args.iter_mut().for_each(&mut *f),
        Plan::Filter { predicate, .. } => predicate.iter_mut().for_each(&mut *f),
        Plan::Project { exprs, .. } => exprs.iter_mut().for_each(|e| f(&mut e.expr)),
        Plan::Join(j) => {
            j.on.iter_mut().for_each(&mut *f);
            j.join_filters.iter_mut().for_each(|(_, e)| f(e));
            j.lookup.iter_mut().flat_map(|l| &mut l.keys).for_each(&mut *f);
        }
        Plan::Apply { on, .. } => on.iter_mut().for_each(&mut *f),
        Plan::Aggregate { groups, aggregates, .. } => {
            groups.iter_mut().for_each(|g| f(&mut g.expr));
            for a in aggregates {
                a.args.iter_mut().chain(&mut a.filter).for_each(&mut *f);
                a.order_by.iter_mut().for_each(|(e, ..)| f(e));
            }
        }
        Plan::Window { calls, .. } => calls.iter_mut().for_each(|c| each_window_expr(c, f)),
        Plan::Limit { limit, offset, .. } => limit.iter_mut().chain(offset).for_each(&mut *f),
        Plan::Modify(m) => {
            m.checks.iter_mut().for_each(|(_, e)| f(e));
            m.returning.iter_mut().for_each(|e| f(&mut e.expr));
        }
        Plan::Distinct { .. }
        | Plan::Sort { .. }
        | Plan::Union { .. }
        | Plan::SetOp { .. }
        | Plan::With { .. }
        | Plan::SystemScan { .. }
        | Plan::CteScan { .. }
        | Plan::Recursive { .. } => {}
    }
    for input in plan.inputs_mut() {
        each_expr(input, f);
    }
}

fn each_window_expr(call: &mut WindowCall, f: &mut dyn FnMut(&mut Expr)) {
    call.args.iter_mut().chain(&mut call.filter).for_each(&mut *f);
    for bound in [&mut call.frame.start, &mut call.frame.end] {
        if let FrameBound::Preceding(e) | FrameBound::Following(e) = bound {
            f(e);
        }
    }
    let (start, end) = &mut call.frame.range_bounds;
    start.iter_mut().chain(end).for_each(f);
}

/// Calls `f` on every column id that the plan and its inputs use outside expressions; columns they put out included.
fn each_id(plan: &mut Plan, f: &mut dyn FnMut(&mut ColId)) {
    let out = |c: &mut OutCol, f: &mut dyn FnMut(&mut ColId)| f(&mut c.id);
    match plan {
        Plan::Scan(s) => {
            s.columns.iter_mut().for_each(|(c, _)| out(c, f));
            s.row_id.iter_mut().for_each(&mut *f);
            s.join_filters.iter_mut().for_each(|(_, c)| f(c));
        }
        Plan::Values { columns, .. } => columns.iter_mut().for_each(|c| out(c, f)),
        Plan::SystemScan { columns, .. } | Plan::CteScan { columns, .. } => {
            columns.iter_mut().for_each(|(c, _)| out(c, f));
        }
        Plan::TableFunction { columns, ordinality, .. } | Plan::ProjectSet { columns, ordinality, .. } => {
            columns.iter_mut().chain(ordinality).for_each(|c| out(c, f));
        }
        Plan::Project { exprs, .. } => exprs.iter_mut().for_each(|e| out(&mut e.out, f)),
        Plan::Join(crate::Join { kind, .. }) | Plan::Apply { kind, .. } => {
            if let JoinKind::Mark(id) = kind {
                f(id);
            }
        }
        Plan::Aggregate { groups, grouping, aggregates, .. } => {
            groups.iter_mut().for_each(|g| out(&mut g.out, f));
            grouping.iter_mut().for_each(|g| out(g, f));
            aggregates.iter_mut().for_each(|a| out(&mut a.out, f));
        }
        Plan::Distinct { on, .. } => on.iter_mut().flatten().for_each(&mut *f),
        Plan::Window { partition, order, calls, .. } => {
            partition.iter_mut().for_each(&mut *f);
            order.iter_mut().for_each(|k| f(&mut k.column));
            calls.iter_mut().for_each(|c| out(&mut c.out, f));
        }
        Plan::Sort { keys, .. } => keys.iter_mut().for_each(|k| f(&mut k.column)),
        Plan::Limit { ties, .. } => ties.iter_mut().flatten().for_each(|k| f(&mut k.column)),
        Plan::Union { inputs, columns } => {
            inputs.iter_mut().flat_map(|(_, ids)| ids).for_each(&mut *f);
            columns.iter_mut().for_each(|c| out(c, f));
        }
        Plan::SetOp { left, right, columns, .. } => {
            left.1.iter_mut().chain(&mut right.1).for_each(&mut *f);
            columns.iter_mut().for_each(|c| out(c, f));
        }
        Plan::Recursive { base, step, columns, .. } => {
            base.1.iter_mut().chain(&mut step.1).for_each(&mut *f);
            columns.iter_mut().for_each(|c| out(c, f));
        }
        Plan::Modify(m) => {
            if let ModifyKind::Update { row_id, .. } | ModifyKind::Delete { row_id } = &mut m.kind {
                f(row_id);
            }
            m.values.iter_mut().flatten().for_each(&mut *f);
            m.returning.iter_mut().for_each(|e| out(&mut e.out, f));
        }
        Plan::Filter { .. } | Plan::With { .. } => {}
    }
    for input in plan.inputs_mut() {
        each_id(input, f);
    }
}

/// Exchanges column ids throughout a plan.
pub(super) fn rename(plan: &mut Plan, names: &AHashMap<ColId, ColId>) {
    if names.is_empty() {
        return;
    }
    each_id(plan, &mut |id| {
        if let Some(new) = names.get(id) {
            *id = *new;
        }
    });
    each_expr(plan, &mut |e| rename_expr(e, names));
}

/// Exchanges column ids in an expression.
pub(super) fn rename_expr(e: &mut Expr, names: &AHashMap<ColId, ColId>) {
    e.rewrite(&mut |e| {
        if let Expr::Column { id, .. } = e
            && let Some(new) = names.get(id)
        {
            *id = *new;
        }
    });
}

/// Columns that a plan reads but does not make: what it takes from an outer query.
pub(super) fn free(plan: &mut Plan) -> BTreeSet<ColId> {
    let mut read = BTreeSet::new();
    each_expr(plan, &mut |e| read.extend(e.columns()));
    if read.is_empty() {
        return read;
    }
    each_id(plan, &mut |id| {
        read.insert(*id);
    });
    let mut made = BTreeSet::new();
    each_made(plan, &mut made);
    read.difference(&made).copied().collect()
}

/// Columns that some operator of the plan computes or reads from a table.
fn each_made(plan: &Plan, made: &mut BTreeSet<ColId>) {
    match plan {
        Plan::Project { exprs, .. } => {
            let computed =
                exprs.iter().filter(|e| !matches!(&e.expr, Expr::Column { id, .. } if *id == e.out.id));
            made.extend(computed.map(|e| e.out.id));
        }
        Plan::Aggregate { groups, grouping, aggregates, .. } => {
            let computed =
                groups.iter().filter(|e| !matches!(&e.expr, Expr::Column { id, .. } if *id == e.out.id));
            made.extend(computed.map(|e| e.out.id));
            made.extend(grouping.iter().map(|g| g.id));
            made.extend(aggregates.iter().map(|a| a.out.id));
        }
        Plan::Scan(_)
        | Plan::SystemScan { .. }
        | Plan::Values { .. }
        | Plan::TableFunction { .. }
        | Plan::CteScan { .. }
        | Plan::Union { .. }
        | Plan::SetOp { .. }
        | Plan::Recursive { .. } => made.extend(plan.columns().iter().map(|c| c.id)),
        Plan::ProjectSet { columns, ordinality, .. } => {
            made.extend(columns.iter().chain(ordinality).map(|c| c.id));
        }
        Plan::Window { calls, .. } => made.extend(calls.iter().map(|c| c.out.id)),
        Plan::Join(crate::Join { kind: JoinKind::Mark(id), .. })
        | Plan::Apply { kind: JoinKind::Mark(id), .. } => {
            made.insert(*id);
        }
        Plan::Modify(m) => {
            let computed =
                m.returning.iter().filter(|e| !matches!(&e.expr, Expr::Column { id, .. } if *id == e.out.id));
            made.extend(computed.map(|e| e.out.id));
        }
        _ => {}
    }
    for input in plan.inputs() {
        each_made(input, made);
    }
}
