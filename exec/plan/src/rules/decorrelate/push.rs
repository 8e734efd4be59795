//! General unnesting: pushes the distinct outer values down to where the inner side reads them.
//!
//! `push` turns an inner plan into one that computes it for every row of the domain at once, with the domain's columns
//! added to its output; operators that look at more than one row do so per domain row.

use std::collections::HashMap;

use spg_expr::{ColId, Expr};
use spg_types::{Error, Result, def};

use super::pull::limit_per;
use super::{apply, restore, unnest};
use crate::rules::Context;
use crate::rules::context::int8;
use crate::tree::{
    ColSet, ExprMap, col, exprs_mut, filtered, fresh_copy, join, keys_mut, pass, reads, substitute,
    substitute_plan,
};
use crate::{AggregateCall, CteId, Join, JoinKind, NamedExpr, OutCol, Plan, SortKey};

/// The distinct values of the outer columns that an inner side reads.
struct Domain {
    /// The outer columns.
    columns: Vec<OutCol>,
    /// The common table expression that holds them, in that order.
    cte: CteId,
    /// Common table expressions inside that were pushed into: position of the domain's first column in their output.
    dependent: HashMap<CteId, usize>,
}

/// For each outer column its name in the plan that was pushed into.
type Names = Vec<OutCol>;

/// A dependent join by general unnesting. `left` is closed.
pub(super) fn general(
    kind: JoinKind,
    left: Plan,
    right: Plan,
    on: Vec<Expr>,
    cx: &mut Context<'_>,
) -> Result<Plan> {
    let left_columns = left.columns();
    let right_columns = right.columns();
    let read = crate::tree::free(&right);
    let columns: Vec<OutCol> = left_columns.iter().filter(|c| read.contains(&c.id)).cloned().collect();
    let (outer_cte, domain_cte) = (cx.ids.cte(), cx.ids.cte());
    // The outer side is computed once, under new names; the copy that joins keeps the old ones.
    let (definition, _) = fresh_copy(&left, &mut cx.ids);
    let outer = Plan::CteScan {
        cte: outer_cte,
        name: "outer".into(),
        columns: left_columns.iter().cloned().enumerate().map(|(i, c)| (c, i)).collect(),
    };
    let position = |c: &OutCol| left_columns.iter().position(|l| l.id == c.id).unwrap_or(0);
    let domain_rows = Plan::CteScan {
        cte: outer_cte,
        name: "outer".into(),
        columns: columns.iter().map(|c| (cx.column(&c.name, c.ty), position(c))).collect(),
    };
    let distinct = Plan::Distinct { input: Box::new(domain_rows), on: None };
    let mut domain = Domain { columns, cte: domain_cte, dependent: HashMap::new() };
    let (pushed, names) = domain.push(right, cx)?;
    let mut conditions = domain.meet(&names, cx)?;
    conditions.extend(on);
    let joined = match kind {
        JoinKind::Single if is_single(&pushed, &names) => join(JoinKind::Left, outer, pushed, conditions),
        kind => join(kind, outer, pushed, conditions),
    };
    let joined = match kind {
        JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_) => joined,
        _ => restore(joined, &left_columns, &right_columns),
    };
    Ok(Plan::With {
        cte: outer_cte,
        name: "outer".into(),
        definition: Box::new(definition),
        body: Box::new(Plan::With {
            cte: domain_cte,
            name: "domain".into(),
            definition: Box::new(distinct),
            body: Box::new(joined),
        }),
    })
}

fn is_single(plan: &Plan, names: &Names) -> bool {
    crate::props::props(plan).unique(&names.iter().map(|c| c.id).collect())
}

impl Domain {
    fn ids(&self) -> ColSet {
        self.columns.iter().map(|c| c.id).collect()
    }

    /// A read of the domain, under new names.
    fn scan(&self, cx: &mut Context<'_>) -> (Plan, Names) {
        let names: Names = self.columns.iter().map(|c| cx.column(&c.name, c.ty)).collect();
        let columns = names.iter().cloned().enumerate().map(|(i, c)| (c, i)).collect();
        (Plan::CteScan { cte: self.cte, name: "domain".into(), columns }, names)
    }

    /// `outer column IS NOT DISTINCT FROM its value in the pushed plan`, for each.
    fn meet(&self, names: &Names, cx: &Context<'_>) -> Result<Vec<Expr>> {
        self.columns.iter().zip(names).map(|(a, b)| cx.same(col(a), col(b))).collect()
    }

    /// The same between two pushed plans.
    fn agree(&self, a: &Names, b: &Names, cx: &Context<'_>) -> Result<Vec<Expr>> {
        a.iter().zip(b).map(|(a, b)| cx.same(col(a), col(b))).collect()
    }

    fn map(&self, names: &Names) -> ExprMap {
        self.columns.iter().zip(names).map(|(c, n)| (c.id, col(n))).collect()
    }

    /// Whether a subtree depends on the domain: reads outer columns, or a common table expression that does.
    fn concerns(&self, plan: &Plan) -> bool {
        let mut found = reads(plan, &self.ids());
        crate::tree::visit(plan, &mut |p| {
            if let Plan::CteScan { cte, .. } = p {
                found |= self.dependent.contains_key(cte);
            }
        });
        found
    }

    /// Expressions over the pushed names instead of the outer columns.
    fn substituted(&self, mut list: Vec<Expr>, names: &Names) -> Vec<Expr> {
        let map = self.map(names);
        list.iter_mut().for_each(|e| substitute(e, &map));
        list
    }

    /// `plan` for every row of the domain, and the names of the domain's columns in it.
    fn push(&mut self, plan: Plan, cx: &mut Context<'_>) -> Result<(Plan, Names)> {
        if !self.concerns(&plan) {
            let (scan, names) = self.scan(cx);
            return Ok((join(JoinKind::Inner, scan, unnest(plan, cx)?, vec![]), names));
        }
        match plan {
            Plan::Scan(mut s) => {
                let filter = std::mem::take(&mut s.filter);
                self.push(filtered(Plan::Scan(s), filter), cx)
            }
            Plan::Filter { input, predicate } => {
                let (input, names) = self.push(*input, cx)?;
                let predicate = self.substituted(predicate, &names);
                Ok((filtered(input, predicate), names))
            }
            Plan::Project { input, mut exprs } => {
                let (input, names) = self.push(*input, cx)?;
                let map = self.map(&names);
                exprs.iter_mut().for_each(|e| substitute(&mut e.expr, &map));
                exprs.extend(names.iter().map(pass));
                Ok((Plan::Project { input: Box::new(input), exprs }, names))
            }
            Plan::Values { columns, rows } => self.values(columns, rows, cx),
            plan @ Plan::SystemScan { .. } => {
                let (scan, names) = self.scan(cx);
                Ok((join(JoinKind::Inner, scan, plan, vec![]), names))
            }
            Plan::TableFunction { name, mut args, columns, ordinality } => {
                let (scan, names) = self.scan(cx);
                let map = self.map(&names);
                args.iter_mut().for_each(|e| substitute(e, &map));
                Ok((Plan::ProjectSet { input: Box::new(scan), name, args, columns, ordinality }, names))
            }
            Plan::ProjectSet { input, name, args, columns, ordinality } => {
                let (input, names) = self.push(*input, cx)?;
                let args = self.substituted(args, &names);
                Ok((Plan::ProjectSet { input: Box::new(input), name, args, columns, ordinality }, names))
            }
            Plan::Join(Join { kind, left, right, on, .. }) => self.join(kind, *left, *right, on, cx),
            Plan::Apply { kind, left, mut right, on } => {
                // The left side takes the domain; the right side then reads it from there.
                let (left, names) = self.push(*left, cx)?;
                let map = self.map(&names);
                substitute_plan(&mut right, &map);
                let on = self.substituted(on, &names);
                if self.concerns(&right) {
                    let (right, inner) = self.push(*right, cx)?;
                    let mut on = on;
                    on.extend(self.agree(&names, &inner, cx)?);
                    return Ok((apply(kind, left, right, on, cx)?, names));
                }
                Ok((apply(kind, left, *right, on, cx)?, names))
            }
            Plan::Aggregate { .. } => self.aggregate(plan, cx),
            Plan::Distinct { input, on: None } => {
                let (input, names) = self.push(*input, cx)?;
                let columns: Vec<OutCol> = input.columns();
                debug_assert!(names.iter().all(|n| columns.contains(n)));
                Ok((Plan::Distinct { input: Box::new(input), on: None }, names))
            }
            Plan::Distinct { input, on: Some(mut on) } => {
                // First rows per value: the domain's columns go first in the order that decides which row is first.
                let (input, names) = match *input {
                    Plan::Sort { input, keys, limit: None } => {
                        let (input, names) = self.push(*input, cx)?;
                        let keys = names.iter().map(sort_key).chain(keys).collect();
                        (Plan::Sort { input: Box::new(input), keys, limit: None }, names)
                    }
                    input => self.push(input, cx)?,
                };
                on.splice(0..0, names.iter().map(|n| n.id));
                Ok((Plan::Distinct { input: Box::new(input), on: Some(on) }, names))
            }
            Plan::Window { input, mut partition, order, calls } => {
                let (input, names) = self.push(*input, cx)?;
                partition.extend(names.iter().map(|n| n.id));
                let mut node = Plan::Window { input: Box::new(input), partition, order, calls };
                self.read_names(&mut node, &names);
                Ok((node, names))
            }
            Plan::Sort { input, keys, limit: None } => {
                let (input, names) = self.push(*input, cx)?;
                let mut node = Plan::Sort { input: Box::new(input), keys, limit: None };
                self.read_names(&mut node, &names);
                Ok((node, names))
            }
            Plan::Sort { input, keys, limit: Some(n) } => {
                let sort = Plan::Sort { input, keys, limit: None };
                let limit = i64::try_from(n).unwrap_or(i64::MAX);
                let limit =
                    Plan::Limit { input: Box::new(sort), limit: Some(int8(limit)), offset: None, ties: None };
                self.push(limit, cx)
            }
            Plan::Limit { input, limit, offset, ties } => {
                let (input, order) = match *input {
                    Plan::Sort { input, keys, limit: None } => (*input, keys),
                    input => (input, vec![]),
                };
                let (input, names) = self.push(input, cx)?;
                let map = self.map(&names);
                let named = |e: Option<Expr>| {
                    e.map(|mut e| {
                        substitute(&mut e, &map);
                        e
                    })
                };
                let partition = names.iter().map(|n| n.id).collect();
                let (limit, offset) = (named(limit), named(offset));
                Ok((limit_per(input, partition, order, limit, offset, ties.is_some(), cx)?, names))
            }
            Plan::Union { inputs, mut columns } => {
                let mut pushed = vec![];
                for (input, mut ids) in inputs {
                    let (input, names) = self.push(input, cx)?;
                    ids.extend(names.iter().map(|n| n.id));
                    pushed.push((input, ids));
                }
                let names = self.new_names(cx);
                columns.extend(names.iter().cloned());
                Ok((Plan::Union { inputs: pushed, columns }, names))
            }
            Plan::SetOp { kind, all, left, right, mut columns } => {
                let left = self.extended(*left.0, left.1, cx)?;
                let right = self.extended(*right.0, right.1, cx)?;
                let names = self.new_names(cx);
                columns.extend(names.iter().cloned());
                Ok((Plan::SetOp { kind, all, left, right, columns }, names))
            }
            Plan::With { cte, name, definition, body } => {
                let mut definition = *definition;
                if self.concerns(&definition) {
                    let (pushed, names) = self.push(definition, cx)?;
                    definition = self.appended(pushed, &names, cte);
                } else {
                    definition = unnest(definition, cx)?;
                }
                let (body, names) = self.push(*body, cx)?;
                Ok((Plan::With { cte, name, definition: Box::new(definition), body: Box::new(body) }, names))
            }
            Plan::CteScan { cte, name, mut columns } => {
                let first = *self
                    .dependent
                    .get(&cte)
                    .ok_or_else(|| Error::internal("reads nothing of the domain"))?;
                let names = self.new_names(cx);
                columns.extend(names.iter().cloned().enumerate().map(|(i, c)| (c, first + i)));
                Ok((Plan::CteScan { cte, name, columns }, names))
            }
            Plan::Recursive { cte, name, distinct, base, step, mut columns } => {
                self.dependent.insert(cte, columns.len());
                let base = self.extended(*base.0, base.1, cx)?;
                let step = self.extended(*step.0, step.1, cx)?;
                let names = self.new_names(cx);
                columns.extend(names.iter().cloned());
                Ok((Plan::Recursive { cte, name, distinct, base, step, columns }, names))
            }
            Plan::Modify(_) => Err(Error::unsupported(
                "data-modifying statements in correlated subqueries are not supported",
            )),
        }
    }

    fn new_names(&self, cx: &mut Context<'_>) -> Names {
        self.columns.iter().map(|c| cx.column(&c.name, c.ty)).collect()
    }

    /// The node's own expressions and keys read the pushed names.
    fn read_names(&self, node: &mut Plan, names: &Names) {
        let map = self.map(names);
        for e in exprs_mut(node) {
            substitute(e, &map);
        }
        for k in keys_mut(node) {
            if let Some(Expr::Column { id, .. }) = map.get(k) {
                *k = *id;
            }
        }
    }

    /// A set operation's input with the domain's columns after its own.
    fn extended(
        &mut self,
        input: Plan,
        mut ids: Vec<ColId>,
        cx: &mut Context<'_>,
    ) -> Result<(Box<Plan>, Vec<ColId>)> {
        let (input, names) = self.push(input, cx)?;
        ids.extend(names.iter().map(|n| n.id));
        Ok((Box::new(input), ids))
    }

    /// A definition with its own columns at their old positions and the domain's after them.
    fn appended(&mut self, pushed: Plan, names: &Names, cte: CteId) -> Plan {
        let domain: ColSet = names.iter().map(|n| n.id).collect();
        let own: Vec<OutCol> = pushed.columns().into_iter().filter(|c| !domain.contains(&c.id)).collect();
        self.dependent.insert(cte, own.len());
        restore(pushed, &own, names)
    }

    fn join(
        &mut self,
        kind: JoinKind,
        left: Plan,
        right: Plan,
        on: Vec<Expr>,
        cx: &mut Context<'_>,
    ) -> Result<(Plan, Names)> {
        let (l, r) = (self.concerns(&left), self.concerns(&right));
        let left_alone = matches!(
            kind,
            JoinKind::Inner
                | JoinKind::Left
                | JoinKind::Semi
                | JoinKind::Anti
                | JoinKind::Mark(_)
                | JoinKind::Single
        );
        let right_alone =
            matches!(kind, JoinKind::Inner | JoinKind::Right | JoinKind::RightSemi | JoinKind::RightAnti);
        if left_alone && !r {
            let (left, names) = self.push(left, cx)?;
            let on = self.substituted(on, &names);
            return Ok((join(kind, left, unnest(right, cx)?, on), names));
        }
        if right_alone && !l {
            let (right, names) = self.push(right, cx)?;
            let on = self.substituted(on, &names);
            return Ok((join(kind, unnest(left, cx)?, right, on), names));
        }
        let columns: Vec<OutCol> = left.columns().into_iter().chain(right.columns()).collect();
        let (left, a) = self.push(left, cx)?;
        let (right, b) = self.push(right, cx)?;
        let names = if right_alone && kind != JoinKind::Inner { &b } else { &a };
        let mut on = self.substituted(on, names);
        on.extend(self.agree(&a, &b, cx)?);
        let names = names.clone();
        let joined = join(kind, left, right, on);
        if kind != JoinKind::Full {
            return Ok((joined, names));
        }
        let names = self.new_names(cx);
        let both = a.iter().zip(&b).zip(&names).map(|((a, b), n)| NamedExpr {
            out: n.clone(),
            expr: Expr::Coalesce { args: vec![col(a), col(b)], ty: n.ty },
        });
        let exprs = columns.iter().map(pass).chain(both).collect();
        Ok((Plan::Project { input: Box::new(joined), exprs }, names))
    }

    /// Rows of expressions: one projection of the domain per row.
    fn values(
        &mut self,
        columns: Vec<OutCol>,
        rows: Vec<Vec<Expr>>,
        cx: &mut Context<'_>,
    ) -> Result<(Plan, Names)> {
        let single = rows.len() == 1;
        let mut inputs = vec![];
        for row in rows {
            let (scan, names) = self.scan(cx);
            let map = self.map(&names);
            let outs: Vec<OutCol> = match single {
                true => columns.clone(),
                false => columns.iter().map(|c| cx.column(&c.name, c.ty)).collect(),
            };
            let value = |(out, mut expr): (&OutCol, Expr)| {
                substitute(&mut expr, &map);
                NamedExpr { out: out.clone(), expr }
            };
            let exprs = outs.iter().zip(row).map(value).chain(names.iter().map(pass)).collect();
            let row = Plan::Project { input: Box::new(scan), exprs };
            if single {
                return Ok((row, names));
            }
            let ids = outs.iter().chain(&names).map(|c| c.id).collect();
            inputs.push((row, ids));
        }
        let names = self.new_names(cx);
        let columns = columns.into_iter().chain(names.iter().cloned()).collect();
        Ok((Plan::Union { inputs, columns }, names))
    }

    /// Groups per domain row. Where a group exists without input (no GROUP BY, an empty grouping set), the domain rows
    /// without input get theirs from a left or anti join with the domain.
    fn aggregate(&mut self, plan: Plan, cx: &mut Context<'_>) -> Result<(Plan, Names)> {
        let Plan::Aggregate { input, mut groups, mut sets, grouping, mut aggregates } = plan else {
            return Err(Error::internal("not an aggregate"));
        };
        let own: Vec<OutCol> = groups.iter().map(|g| &g.out).chain(&grouping).cloned().collect();
        let empty_sets = sets.iter().filter(|s| s.is_empty()).count();
        let ungrouped = groups.is_empty() && sets.is_empty();
        let (input, names) = self.push(*input, cx)?;
        let map = self.map(&names);
        for g in &mut groups {
            substitute(&mut g.expr, &map);
        }
        for a in &mut aggregates {
            substitute_call(a, &map);
        }
        let first = groups.len();
        groups.extend(names.iter().map(pass));
        for set in &mut sets {
            set.extend(first..groups.len());
        }
        if empty_sets > 0 && sets.len() > empty_sets || empty_sets > 1 {
            return self.aggregate_sets(input, groups, sets, grouping, aggregates, names, empty_sets, cx);
        }
        if empty_sets == 1 {
            sets.clear();
        }
        if !ungrouped && empty_sets == 0 {
            let node = Plan::Aggregate { input: Box::new(input), groups, sets, grouping, aggregates };
            return Ok((node, names));
        }
        let columns: Vec<OutCol> = own.into_iter().chain(aggregates.iter().map(|a| a.out.clone())).collect();
        let mut above: Vec<NamedExpr> = vec![];
        for a in aggregates.iter_mut().filter(|a| a.function.zero_when_empty && a.out.ty.is(&def::INT8)) {
            let raw = cx.column(&a.out.name, a.out.ty);
            let out = std::mem::replace(&mut a.out, raw.clone());
            above
                .push(NamedExpr { expr: Expr::Coalesce { args: vec![col(&raw), int8(0)], ty: out.ty }, out });
        }
        // An only empty grouping set is a plain ungrouped aggregate with its keys NULL and all bits set.
        for g in groups.drain(..first) {
            above.push(NamedExpr { expr: Expr::null(g.out.ty), out: g.out });
        }
        if let Some(g) = grouping {
            let bits = if first >= 63 { i64::MAX } else { (1 << first) - 1 };
            above.push(NamedExpr { out: g, expr: int8(bits) });
        }
        let grouped =
            Plan::Aggregate { input: Box::new(input), groups, sets: vec![], grouping: None, aggregates };
        let (scan, outer) = self.scan(cx);
        let on = self.agree(&outer, &names, cx)?;
        let joined = join(JoinKind::Left, scan, grouped, on);
        let value = |c: &OutCol| above.iter().find(|e| e.out.id == c.id).cloned().unwrap_or_else(|| pass(c));
        let exprs = columns.iter().map(value).chain(outer.iter().map(pass)).collect();
        Ok((Plan::Project { input: Box::new(joined), exprs }, outer))
    }

    /// Several grouping sets with an empty one among them: its row for domain rows without input is added by UNION ALL.
    #[allow(clippy::too_many_arguments)]
    fn aggregate_sets(
        &mut self,
        input: Plan,
        groups: Vec<NamedExpr>,
        sets: Vec<Vec<usize>>,
        grouping: Option<OutCol>,
        aggregates: Vec<AggregateCall>,
        names: Names,
        empty_sets: usize,
        cx: &mut Context<'_>,
    ) -> Result<(Plan, Names)> {
        let own = groups.len() - names.len();
        let grouped =
            Plan::Aggregate { input: Box::new(input), groups, sets, grouping: grouping.clone(), aggregates };
        let columns = grouped.columns();
        let cte = cx.ids.cte();
        let read = |cx: &mut Context<'_>| {
            let fresh: Vec<OutCol> = columns.iter().map(|c| cx.column(&c.name, c.ty)).collect();
            let positions = fresh.iter().cloned().enumerate().map(|(i, c)| (c, i)).collect();
            (Plan::CteScan { cte, name: "groups".into(), columns: positions }, fresh)
        };
        let (present, present_columns) = read(cx);
        let mut inputs = vec![(present, present_columns.iter().map(|c| c.id).collect::<Vec<_>>())];
        let Plan::Aggregate { aggregates, .. } = &grouped else {
            return Err(Error::internal("not an aggregate"));
        };
        let zero: Vec<ColId> =
            aggregates.iter().filter(|a| a.function.zero_when_empty).map(|a| a.out.id).collect();
        for _ in 0..empty_sets {
            let (scan, outer) = self.scan(cx);
            let (known, known_columns) = read(cx);
            let position = |n: &OutCol| columns.iter().position(|c| c.id == n.id).unwrap_or(0);
            let known_names: Names = names.iter().map(|n| known_columns[position(n)].clone()).collect();
            let on = self.agree(&outer, &known_names, cx)?;
            let missing = join(JoinKind::Anti, scan, known, on);
            let mut exprs = vec![];
            for c in &columns {
                let value = if let Some(i) = names.iter().position(|n| n.id == c.id) {
                    col(&outer[i])
                } else if grouping.as_ref().is_some_and(|g| g.id == c.id) {
                    int8(if own >= 63 { i64::MAX } else { (1 << own) - 1 })
                } else if zero.contains(&c.id) && c.ty.is(&def::INT8) {
                    int8(0)
                } else {
                    Expr::null(c.ty)
                };
                exprs.push(NamedExpr { out: cx.column(&c.name, c.ty), expr: value });
            }
            let ids = exprs.iter().map(|e| e.out.id).collect();
            inputs.push((Plan::Project { input: Box::new(missing), exprs }, ids));
        }
        // The union takes the original names; the shared groups get new ones.
        let (definition, _) = fresh_copy(&grouped, &mut cx.ids);
        let body = Plan::Union { inputs, columns };
        let with =
            Plan::With { cte, name: "groups".into(), definition: Box::new(definition), body: Box::new(body) };
        Ok((with, names))
    }
}

fn substitute_call(call: &mut AggregateCall, map: &ExprMap) {
    let order = call.order_by.iter_mut().map(|(e, _, _)| e);
    for e in call.args.iter_mut().chain(&mut call.filter).chain(order) {
        substitute(e, map);
    }
}

fn sort_key(c: &OutCol) -> SortKey {
    SortKey { column: c.id, ty: c.ty, descending: false, nulls_first: false }
}
