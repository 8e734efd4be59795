//! Walking and rewriting plans: a node's own expressions, the columns it reads and makes, renaming, fresh copies.
//!
//! Column ids are unique in a statement, so the free columns of a subtree are those read in it and made nowhere in it.

use std::collections::{BTreeSet, HashMap};

use spg_expr::{ColId, Expr};

use crate::{
    CteId, FrameBound, Join, JoinFilterId, JoinKind, Modify, ModifyKind, NamedExpr, OutCol, Plan, Scan,
};

/// A set of columns.
pub(crate) type ColSet = BTreeSet<ColId>;

/// Expressions that stand for columns.
pub(crate) type ExprMap = HashMap<ColId, Expr>;

/// Moves a plan out, leaving a trivial one.
pub(crate) fn take(plan: &mut Plan) -> Plan {
    std::mem::replace(plan, Plan::one_row())
}

/// Ids not used in a plan yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    column: u32,
    cte: u32,
    join_filter: u32,
}

impl Ids {
    /// Ids above those of `plan`.
    pub(crate) fn after(plan: &Plan) -> Ids {
        let mut ids = Ids::default();
        visit(plan, &mut |p| {
            for id in made(p).into_iter().map(|c| c.id).chain(refs(p)) {
                ids.column = ids.column.max(id.0 + 1);
            }
            match p {
                Plan::With { cte, .. } | Plan::CteScan { cte, .. } | Plan::Recursive { cte, .. } => {
                    ids.cte = ids.cte.max(cte.0 + 1);
                }
                Plan::Join(j) => {
                    for (f, _) in &j.join_filters {
                        ids.join_filter = ids.join_filter.max(f.0 + 1);
                    }
                }
                _ => {}
            }
        });
        ids
    }

    pub(crate) fn column(&mut self) -> ColId {
        self.column += 1;
        ColId(self.column - 1)
    }

    pub(crate) fn cte(&mut self) -> CteId {
        self.cte += 1;
        CteId(self.cte - 1)
    }

    pub(crate) fn join_filter(&mut self) -> JoinFilterId {
        self.join_filter += 1;
        JoinFilterId(self.join_filter - 1)
    }
}

/// Calls `f` on every node, parents first.
pub(crate) fn visit<'a>(plan: &'a Plan, f: &mut dyn FnMut(&'a Plan)) {
    f(plan);
    for p in plan.inputs() {
        visit(p, f);
    }
}

/// Calls `f` on every node, parents first, to change.
pub(crate) fn visit_mut(plan: &mut Plan, f: &mut dyn FnMut(&mut Plan)) {
    f(plan);
    for p in plan.inputs_mut() {
        visit_mut(p, f);
    }
}

/// Rewrites bottom-up.
pub(crate) fn transform(
    mut plan: Plan,
    f: &mut dyn FnMut(Plan) -> spg_types::Result<Plan>,
) -> spg_types::Result<Plan> {
    for p in plan.inputs_mut() {
        let input = take(p);
        *p = transform(input, f)?;
    }
    f(plan)
}

macro_rules! bound {
    ($b:expr) => {
        match $b {
            FrameBound::Preceding(e) | FrameBound::Following(e) => Some(e),
            _ => None,
        }
    };
}

macro_rules! own_exprs {
    ($plan:expr, $iter:ident, [$($re:tt)+]) => {
        match $plan {
            Plan::Scan(s) => {
                let mut list: Vec<_> = s.filter.$iter().collect();
                if let Some(i) = $($re)+ s.index {
                    list.extend(i.equal.$iter());
                    list.extend(i.lower.$iter().map(|(e, _)| e));
                    list.extend(i.upper.$iter().map(|(e, _)| e));
                }
                list
            }
            Plan::Values { rows, .. } => rows.$iter().flatten().collect(),
            Plan::TableFunction { args, .. } | Plan::ProjectSet { args, .. } => args.$iter().collect(),
            Plan::Filter { predicate, .. } => predicate.$iter().collect(),
            Plan::Project { exprs, .. } => exprs.$iter().map(|e| $($re)+ e.expr).collect(),
            Plan::Join(j) => {
                let mut list: Vec<_> = j.on.$iter().collect();
                list.extend(j.join_filters.$iter().map(|(_, e)| e));
                if let Some(l) = $($re)+ j.lookup {
                    list.extend(l.keys.$iter());
                }
                list
            }
            Plan::Apply { on, .. } => on.$iter().collect(),
            Plan::Aggregate { groups, aggregates, .. } => {
                let mut list: Vec<_> = groups.$iter().map(|g| $($re)+ g.expr).collect();
                for a in aggregates.$iter() {
                    list.extend(a.args.$iter());
                    list.extend(a.filter.$iter());
                    list.extend(a.order_by.$iter().map(|(e, _, _)| e));
                }
                list
            }
            Plan::Window { calls, .. } => {
                let mut list = vec![];
                for c in calls.$iter() {
                    list.extend(c.args.$iter());
                    list.extend(c.filter.$iter());
                    list.extend(bound!($($re)+ c.frame.start));
                    list.extend(bound!($($re)+ c.frame.end));
                    list.extend(c.frame.range_bounds.0.$iter());
                    list.extend(c.frame.range_bounds.1.$iter());
                }
                list
            }
            Plan::Limit { limit, offset, .. } => limit.$iter().chain(offset.$iter()).collect(),
            Plan::Modify(m) => {
                let mut list: Vec<_> = m.checks.$iter().map(|(_, e)| e).collect();
                list.extend(m.returning.$iter().map(|r| $($re)+ r.expr));
                list
            }
            Plan::Distinct { .. }
            | Plan::Sort { .. }
            | Plan::Union { .. }
            | Plan::SetOp { .. }
            | Plan::With { .. }
            | Plan::SystemScan { .. }
            | Plan::CteScan { .. }
            | Plan::Recursive { .. } => vec![],
        }
    };
}

/// The node's own expressions.
pub(crate) fn exprs(plan: &Plan) -> Vec<&Expr> {
    own_exprs!(plan, iter, [&])
}

/// The node's own expressions, to change.
pub(crate) fn exprs_mut(plan: &mut Plan) -> Vec<&mut Expr> {
    own_exprs!(plan, iter_mut, [&mut])
}

macro_rules! own_keys {
    ($plan:expr, $iter:ident, [$($re:tt)+]) => {
        match $plan {
            Plan::Scan(s) => s.join_filters.$iter().map(|(_, c)| c).collect(),
            Plan::Distinct { on, .. } => on.$iter().flatten().collect(),
            Plan::Window { partition, order, .. } => {
                partition.$iter().chain(order.$iter().map(|k| $($re)+ k.column)).collect()
            }
            Plan::Sort { keys, .. } => keys.$iter().map(|k| $($re)+ k.column).collect(),
            Plan::Limit { ties, .. } => ties.$iter().flatten().map(|k| $($re)+ k.column).collect(),
            Plan::Union { inputs, .. } => inputs.$iter().flat_map(|(_, c)| c).collect(),
            Plan::SetOp { left, right, .. } => left.1.$iter().chain(right.1.$iter()).collect(),
            Plan::Recursive { base, step, .. } => base.1.$iter().chain(step.1.$iter()).collect(),
            Plan::Modify(m) => {
                let mut list: Vec<_> = m.values.$iter().flatten().collect();
                if let ModifyKind::Update { row_id, .. } | ModifyKind::Delete { row_id } = $($re)+ m.kind {
                    list.push(row_id);
                }
                list
            }
            _ => vec![],
        }
    };
}

/// Columns that the node names outside expressions: sort keys, partitions, columns of set operations.
pub(crate) fn keys(plan: &Plan) -> Vec<ColId> {
    let list: Vec<&ColId> = own_keys!(plan, iter, [&]);
    list.into_iter().copied().collect()
}

/// As [`keys`], to change.
pub(crate) fn keys_mut(plan: &mut Plan) -> Vec<&mut ColId> {
    own_keys!(plan, iter_mut, [&mut])
}

/// Every column that the node itself reads.
pub(crate) fn refs(plan: &Plan) -> Vec<ColId> {
    let mut list = keys(plan);
    for e in exprs(plan) {
        add_columns(e, &mut list);
    }
    list
}

fn add_columns(e: &Expr, list: &mut Vec<ColId>) {
    e.visit(&mut |e| {
        if let Expr::Column { id, .. } = e {
            list.push(*id);
        }
    });
}

/// Whether the column of a projection or grouping is its input's, passed on.
pub(crate) fn passes(e: &NamedExpr) -> bool {
    matches!(&e.expr, Expr::Column { id, .. } if *id == e.out.id)
}

/// The columns that the node makes, rather than passes on. A scan's row id is not listed.
pub(crate) fn made(plan: &Plan) -> Vec<OutCol> {
    let named =
        |list: &[NamedExpr]| list.iter().filter(|e| !passes(e)).map(|e| e.out.clone()).collect::<Vec<_>>();
    match plan {
        Plan::Scan(_)
        | Plan::SystemScan { .. }
        | Plan::Values { .. }
        | Plan::TableFunction { .. }
        | Plan::Union { .. }
        | Plan::SetOp { .. }
        | Plan::CteScan { .. }
        | Plan::Recursive { .. } => plan.columns(),
        Plan::ProjectSet { columns, ordinality, .. } => columns.iter().chain(ordinality).cloned().collect(),
        Plan::Project { exprs, .. } => named(exprs),
        Plan::Modify(m) => named(&m.returning),
        Plan::Join(Join { kind: JoinKind::Mark(id), .. }) | Plan::Apply { kind: JoinKind::Mark(id), .. } => {
            plan.columns().into_iter().filter(|c| c.id == *id).collect()
        }
        Plan::Aggregate { groups, grouping, aggregates, .. } => {
            let mut list = named(groups);
            list.extend(grouping.iter().cloned());
            list.extend(aggregates.iter().map(|a| a.out.clone()));
            list
        }
        Plan::Window { calls, .. } => calls.iter().map(|c| c.out.clone()).collect(),
        _ => vec![],
    }
}

/// Calls `f` on the id and the name of every output column that the node spells out, made or passed on.
fn outs_mut(plan: &mut Plan, f: &mut dyn FnMut(&mut ColId, Option<&mut String>)) {
    let mut out = |c: &mut OutCol| f(&mut c.id, Some(&mut c.name));
    match plan {
        Plan::Scan(Scan { columns, row_id, .. }) => {
            columns.iter_mut().for_each(|(c, _)| out(c));
            if let Some(id) = row_id {
                f(id, None);
            }
        }
        Plan::Values { columns, .. }
        | Plan::Union { columns, .. }
        | Plan::SetOp { columns, .. }
        | Plan::Recursive { columns, .. } => columns.iter_mut().for_each(out),
        Plan::SystemScan { columns, .. } | Plan::CteScan { columns, .. } => {
            columns.iter_mut().for_each(|(c, _)| out(c));
        }
        Plan::TableFunction { columns, ordinality, .. } | Plan::ProjectSet { columns, ordinality, .. } => {
            columns.iter_mut().chain(ordinality).for_each(out);
        }
        Plan::Project { exprs, .. } | Plan::Modify(Modify { returning: exprs, .. }) => {
            exprs.iter_mut().for_each(|e| out(&mut e.out));
        }
        Plan::Join(Join { kind: JoinKind::Mark(id), .. }) | Plan::Apply { kind: JoinKind::Mark(id), .. } => {
            f(id, None)
        }
        Plan::Aggregate { groups, grouping, aggregates, .. } => {
            groups.iter_mut().for_each(|g| out(&mut g.out));
            grouping.iter_mut().for_each(&mut out);
            aggregates.iter_mut().for_each(|a| out(&mut a.out));
        }
        Plan::Window { calls, .. } => calls.iter_mut().for_each(|c| out(&mut c.out)),
        _ => {}
    }
}

/// Drops the names of a node's columns and relation: what is left says what it computes.
pub(crate) fn forget_names(plan: &mut Plan) {
    if let Plan::Scan(s) = plan {
        s.alias.clear();
    }
    outs_mut(plan, &mut |_, name| {
        if let Some(n) = name {
            n.clear();
        }
    });
}

/// The ids of a plan's output columns.
pub(crate) fn output(plan: &Plan) -> ColSet {
    plan.columns().into_iter().map(|c| c.id).collect()
}

/// Columns read in a subtree and made nowhere in it.
pub(crate) fn free(plan: &Plan) -> ColSet {
    let (mut read, mut produced) = (ColSet::new(), ColSet::new());
    visit(plan, &mut |p| {
        read.extend(refs(p));
        produced.extend(made(p).into_iter().map(|c| c.id));
    });
    read.retain(|c| !produced.contains(c));
    read
}

/// Whether a subtree reads any of `outer` from outside.
pub(crate) fn reads(plan: &Plan, outer: &ColSet) -> bool {
    free(plan).iter().any(|c| outer.contains(c))
}

/// Replaces columns in an expression by what `map` has for them.
pub(crate) fn substitute(e: &mut Expr, map: &ExprMap) {
    if map.is_empty() {
        return;
    }
    e.rewrite(&mut |e| {
        if let Expr::Column { id, .. } = e
            && let Some(by) = map.get(id)
        {
            *e = by.clone();
        }
    });
}

/// Replaces columns read in a subtree by what `map` has for them; keys outside expressions follow where the
/// replacement is a column.
pub(crate) fn substitute_plan(plan: &mut Plan, map: &ExprMap) {
    visit_mut(plan, &mut |p| {
        for e in exprs_mut(p) {
            substitute(e, map);
        }
        for k in keys_mut(p) {
            if let Some(Expr::Column { id, .. }) = map.get(k) {
                *k = *id;
            }
        }
    });
}

/// Renames columns throughout a subtree, made ones as well as read ones.
pub(crate) fn rename(plan: &mut Plan, map: &HashMap<ColId, ColId>) {
    visit_mut(plan, &mut |p| {
        for e in exprs_mut(p) {
            rename_expr(e, map);
        }
        let mut f = |id: &mut ColId| {
            if let Some(new) = map.get(id) {
                *id = *new;
            }
        };
        keys_mut(p).into_iter().for_each(&mut f);
        outs_mut(p, &mut |id, _| f(id));
    });
}

/// Renames columns in an expression.
pub(crate) fn rename_expr(e: &mut Expr, map: &HashMap<ColId, ColId>) {
    e.rewrite(&mut |e| {
        if let Expr::Column { id, .. } = e
            && let Some(new) = map.get(id)
        {
            *id = *new;
        }
    });
}

/// A copy of a plan in which every column, common table expression and join filter made inside has a new id; and
/// the map from old to new columns.
pub(crate) fn fresh_copy(plan: &Plan, ids: &mut Ids) -> (Plan, HashMap<ColId, ColId>) {
    let mut copy = plan.clone();
    let mut map = HashMap::new();
    let mut ctes = HashMap::new();
    let mut filters = HashMap::new();
    visit(plan, &mut |p| {
        for c in made(p) {
            map.entry(c.id).or_insert_with(|| ids.column());
        }
        match p {
            Plan::With { cte, .. } | Plan::Recursive { cte, .. } => {
                ctes.insert(*cte, ids.cte());
            }
            Plan::Join(j) => {
                for (f, _) in &j.join_filters {
                    filters.insert(*f, ids.join_filter());
                }
            }
            _ => {}
        }
    });
    rename(&mut copy, &map);
    visit_mut(&mut copy, &mut |p| match p {
        Plan::With { cte, .. } | Plan::CteScan { cte, .. } | Plan::Recursive { cte, .. } => {
            if let Some(new) = ctes.get(cte) {
                *cte = *new;
            }
        }
        Plan::Join(j) => {
            for (f, _) in &mut j.join_filters {
                *f = filters.get(f).copied().unwrap_or(*f);
            }
        }
        Plan::Scan(s) => {
            for (f, _) in &mut s.join_filters {
                *f = filters.get(f).copied().unwrap_or(*f);
            }
        }
        _ => {}
    });
    (copy, map)
}

/// How often each column is read anywhere in a plan, the statement's output included.
pub(crate) fn uses(plan: &Plan, output: &ColSet) -> HashMap<ColId, usize> {
    let mut count = HashMap::new();
    for c in output {
        *count.entry(*c).or_insert(0) += 1;
    }
    visit(plan, &mut |p| {
        for id in refs(p) {
            *count.entry(id).or_insert(0) += 1;
        }
        // A With passes all columns of its definition by position.
        if let Plan::With { definition, .. } = p {
            for c in definition.columns() {
                *count.entry(c.id).or_insert(0) += 1;
            }
        }
    });
    count
}

/// Whether a plan changes data anywhere.
pub(crate) fn modifies(plan: &Plan) -> bool {
    let mut found = false;
    visit(plan, &mut |p| found |= matches!(p, Plan::Modify(_)));
    found
}

/// `column` as an expression.
pub(crate) fn col(c: &OutCol) -> Expr {
    Expr::Column { id: c.id, ty: c.ty }
}

/// `column` passed on by a projection.
pub(crate) fn pass(c: &OutCol) -> NamedExpr {
    NamedExpr { out: c.clone(), expr: col(c) }
}

/// `input` under a filter; itself without conjuncts.
pub(crate) fn filtered(input: Plan, predicate: Vec<Expr>) -> Plan {
    match input {
        input if predicate.is_empty() => input,
        Plan::Filter { input, predicate: mut first } => {
            first.extend(predicate);
            Plan::Filter { input, predicate: first }
        }
        input => Plan::Filter { input: Box::new(input), predicate },
    }
}

/// `input` reduced to `columns`, in that order; itself when it has exactly these.
pub(crate) fn projected(input: Plan, columns: &[OutCol]) -> Plan {
    let now = input.columns();
    if now.len() == columns.len() && now.iter().zip(columns).all(|(a, b)| a.id == b.id) {
        return input;
    }
    Plan::Project { input: Box::new(input), exprs: columns.iter().map(pass).collect() }
}

/// A join without run-time decisions.
pub(crate) fn join(kind: JoinKind, left: Plan, right: Plan, on: Vec<Expr>) -> Plan {
    Plan::Join(Join {
        kind,
        left: Box::new(left),
        right: Box::new(right),
        on,
        join_filters: vec![],
        lookup: None,
    })
}
