//! Pulls correlated predicates up to the dependent join, so that what remains reads nothing of the outer side.
//!
//! Above an aggregate, a DISTINCT, a window or a LIMIT only equalities `inner = outer` may be pulled: their inner sides
//! become keys, which computes the result for every outer value at once.

use spg_expr::{ColId, Comparison, Expr};
use spg_types::{Result, def};

use crate::rules::Context;
use crate::rules::context::int8;
use crate::rules::logic::{as_column, as_count, interchangeable, is_fixed, split_equality};
use crate::tree::{
    ColSet, ExprMap, col, exprs, filtered, join, output, pass, projected, reads, substitute, substitute_plan,
};
use crate::{Join, JoinKind, NamedExpr, OutCol, Plan, SortKey};

/// An inner side without the outer columns.
pub(super) struct Pulled {
    /// What it computes by itself. Puts out at least the columns that `preds` and `above` read.
    pub(super) plan: Plan,
    /// Conjuncts over its columns and the outer ones.
    pub(super) preds: Vec<Expr>,
    /// Columns of the original that are computed above the join.
    pub(super) above: Vec<NamedExpr>,
    /// The original has exactly one row per outer row (an aggregate without GROUP BY); where `plan` has none, it is the
    /// one over no input, which `above` makes from NULLs.
    pub(super) exactly_one: bool,
    /// With `exactly_one`: conditions over everything under which the row exists after all (HAVING).
    pub(super) post: Vec<Expr>,
}

impl Pulled {
    fn plain(plan: Plan) -> Self {
        Pulled { plan, preds: vec![], above: vec![], exactly_one: false, post: vec![] }
    }

    /// The expressions that stand for columns computed above.
    pub(super) fn above_map(&self) -> ExprMap {
        self.above.iter().map(|e| (e.out.id, e.expr.clone())).collect()
    }

    fn defines(&self, id: ColId) -> bool {
        self.above.iter().any(|e| e.out.id == id)
    }
}

/// Pulls predicates over `outer` out of `plan`; `None` when something else reads them. With `discards`, only whether
/// rows exist matters, not how often or in which order.
pub(super) fn pull(
    plan: Plan,
    outer: &ColSet,
    discards: bool,
    cx: &mut Context<'_>,
) -> Result<Option<Pulled>> {
    if !reads(&plan, outer) {
        return Ok(Some(Pulled::plain(plan)));
    }
    match plan {
        Plan::Filter { mut input, predicate } => {
            rebind(&mut input, &predicate, outer);
            let Some(mut q) = pull(*input, outer, discards, cx)? else { return Ok(None) };
            let above = q.above_map();
            let mut below = vec![];
            for mut e in predicate {
                substitute(&mut e, &above);
                if q.exactly_one {
                    q.post.push(e);
                } else if e.columns().is_disjoint(outer) {
                    below.push(e);
                } else {
                    q.preds.push(e);
                }
            }
            q.plan = filtered(q.plan, below);
            Ok(Some(q))
        }
        Plan::Project { input, exprs } => {
            let Some(mut q) = pull(*input, outer, discards, cx)? else { return Ok(None) };
            let map = q.above_map();
            let (mut below, mut above) = (vec![], vec![]);
            for mut e in exprs {
                let was_above = q.defines(e.out.id);
                substitute(&mut e.expr, &map);
                let passed = matches!(&e.expr, Expr::Column { id, .. } if *id == e.out.id) && !was_above;
                if (q.exactly_one && !passed) || !e.expr.columns().is_disjoint(outer) {
                    above.push(e);
                } else {
                    below.push(e);
                }
            }
            let needed = above.iter().map(|e| &e.expr).chain(&q.preds).chain(&q.post).flat_map(Expr::columns);
            let needed: ColSet = needed.collect();
            for c in q.plan.columns() {
                if needed.contains(&c.id) && !below.iter().any(|e| e.out.id == c.id) {
                    below.push(pass(&c));
                }
            }
            q.plan = Plan::Project { input: Box::new(q.plan), exprs: below };
            q.above = above;
            Ok(Some(q))
        }
        Plan::Join(Join { kind, left, right, on, .. }) => {
            pull_join(kind, *left, *right, on, false, outer, discards, cx)
        }
        Plan::Apply { kind, left, right, on } => {
            pull_join(kind, *left, *right, on, true, outer, discards, cx)
        }
        Plan::Aggregate { input, groups, sets, grouping, aggregates } if sets.is_empty() => {
            let Some(mut q) = pull(*input, outer, false, cx)? else { return Ok(None) };
            if q.exactly_one {
                return Ok(None);
            }
            let mut node =
                Plan::Aggregate { input: Box::new(Plan::one_row()), groups, sets, grouping, aggregates };
            if !absorb_above(&mut node, &mut q, outer) {
                return Ok(None);
            }
            let Some(keys) = keys_of(&mut q, outer, cx) else { return Ok(None) };
            let Plan::Aggregate { mut groups, sets, grouping, mut aggregates, .. } = node else {
                return Ok(None);
            };
            let ungrouped = groups.is_empty();
            let mut above = vec![];
            if ungrouped {
                for a in aggregates.iter_mut().filter(|a| a.function.zero_when_empty) {
                    if !a.out.ty.is(&def::INT8) {
                        return Ok(None);
                    }
                    let raw = cx.column(&a.out.name, a.out.ty);
                    let out = std::mem::replace(&mut a.out, raw.clone());
                    let expr = Expr::Coalesce { args: vec![col(&raw), int8(0)], ty: out.ty };
                    above.push(NamedExpr { out, expr });
                }
            }
            for k in keys {
                if !groups.iter().any(|g| g.out.id == k.id) {
                    groups.push(pass(&k));
                }
            }
            q.plan = Plan::Aggregate { input: Box::new(q.plan), groups, sets, grouping, aggregates };
            q.above = above;
            q.exactly_one = ungrouped;
            Ok(Some(q))
        }
        Plan::Distinct { input, on: None } => {
            if discards {
                return pull(*input, outer, discards, cx);
            }
            let mut columns = input.columns();
            let Some(mut q) = pull(*input, outer, false, cx)? else { return Ok(None) };
            if q.exactly_one {
                return Ok(Some(q));
            }
            if !q.above.is_empty() {
                return Ok(None);
            }
            let Some(keys) = keys_of(&mut q, outer, cx) else { return Ok(None) };
            columns.extend(
                keys.into_iter().filter(|k| !columns.iter().any(|c| c.id == k.id)).collect::<Vec<_>>(),
            );
            q.plan = Plan::Distinct { input: Box::new(projected(q.plan, &columns)), on: None };
            Ok(Some(q))
        }
        Plan::Window { input, mut partition, order, calls } => {
            let Some(mut q) = pull(*input, outer, false, cx)? else { return Ok(None) };
            if q.exactly_one || !q.above.is_empty() {
                return Ok(None);
            }
            let node = Plan::Window { input: Box::new(Plan::one_row()), partition: vec![], order, calls };
            if exprs(&node).iter().any(|e| !e.columns().is_disjoint(outer)) {
                return Ok(None);
            }
            let Some(keys) = keys_of(&mut q, outer, cx) else { return Ok(None) };
            partition.extend(keys.iter().map(|k| k.id));
            let Plan::Window { order, calls, .. } = node else { return Ok(None) };
            q.plan = Plan::Window { input: Box::new(q.plan), partition, order, calls };
            Ok(Some(q))
        }
        Plan::Sort { input, limit: None, .. } if discards => pull(*input, outer, discards, cx),
        Plan::Sort { input, keys, limit: None } => {
            let Some(mut q) = pull(*input, outer, false, cx)? else { return Ok(None) };
            if q.exactly_one {
                return Ok(Some(q));
            }
            if keys.iter().any(|k| q.defines(k.column)) {
                return Ok(None);
            }
            q.plan = Plan::Sort { input: Box::new(q.plan), keys, limit: None };
            Ok(Some(q))
        }
        Plan::Limit { input, limit, offset, ties } => {
            let at_least_one =
                limit.as_ref().is_none_or(|n| as_count(n).is_some_and(|n| n > 0)) && offset.is_none();
            if discards && at_least_one {
                return pull(*input, outer, discards, cx);
            }
            if !limit.iter().chain(&offset).all(is_fixed) {
                return Ok(None);
            }
            let (input, keys) = match *input {
                Plan::Sort { input, keys, limit: None } => (*input, keys),
                input => (input, vec![]),
            };
            let Some(mut q) = pull(input, outer, false, cx)? else { return Ok(None) };
            if q.exactly_one {
                return Ok(at_least_one.then_some(q));
            }
            if keys.iter().any(|k| q.defines(k.column)) {
                return Ok(None);
            }
            let Some(partition) = keys_of(&mut q, outer, cx) else { return Ok(None) };
            let partition = partition.iter().map(|k| k.id).collect();
            q.plan = limit_per(q.plan, partition, keys, limit, offset, ties.is_some(), cx)?;
            Ok(Some(q))
        }
        Plan::With { cte, name, definition, body } if !reads(&definition, outer) => {
            let Some(mut q) = pull(*body, outer, discards, cx)? else { return Ok(None) };
            q.plan = Plan::With { cte, name, definition, body: Box::new(q.plan) };
            Ok(Some(q))
        }
        _ => Ok(None),
    }
}

#[allow(clippy::too_many_arguments)]
fn pull_join(
    kind: JoinKind,
    left: Plan,
    right: Plan,
    mut on: Vec<Expr>,
    dependent: bool,
    outer: &ColSet,
    discards: bool,
    cx: &mut Context<'_>,
) -> Result<Option<Pulled>> {
    let again = |left, right, on| match dependent {
        true => Plan::Apply { kind, left: Box::new(left), right: Box::new(right), on },
        false => join(kind, left, right, on),
    };
    if kind == JoinKind::Inner && !dependent {
        let (Some(l), Some(r)) = (pull(left, outer, discards, cx)?, pull(right, outer, discards, cx)?) else {
            return Ok(None);
        };
        if l.exactly_one || r.exactly_one {
            return Ok(None);
        }
        let mut q = l;
        let mut preds = std::mem::take(&mut q.preds);
        preds.extend(r.preds);
        q.above.extend(r.above);
        let map = q.above_map();
        on.iter_mut().for_each(|e| substitute(e, &map));
        let (correlated, own): (Vec<_>, Vec<_>) =
            on.into_iter().partition(|e| !e.columns().is_disjoint(outer));
        preds.extend(correlated);
        q.plan = again(q.plan, r.plan, own);
        q.preds = preds;
        return Ok(Some(q));
    }
    let left_type = matches!(
        kind,
        JoinKind::Inner
            | JoinKind::Left
            | JoinKind::Semi
            | JoinKind::Anti
            | JoinKind::Mark(_)
            | JoinKind::Single
    );
    if !left_type || reads(&right, outer) || on.iter().any(|e| !e.columns().is_disjoint(outer)) {
        return Ok(None);
    }
    let Some(mut q) = pull(left, outer, false, cx)? else { return Ok(None) };
    let defined: ColSet = q.above.iter().map(|e| e.out.id).collect();
    let used = on.iter().any(|e| !e.columns().is_disjoint(&defined));
    if q.exactly_one || used || (dependent && reads(&right, &defined)) {
        return Ok(None);
    }
    q.plan = again(q.plan, right, on);
    Ok(Some(q))
}

/// Replaces the columns computed above in a node's expressions; false when it would then read outer columns.
fn absorb_above(node: &mut Plan, q: &mut Pulled, outer: &ColSet) -> bool {
    let map = q.above_map();
    for e in crate::tree::exprs_mut(node) {
        substitute(e, &map);
    }
    q.above.clear();
    exprs(node).iter().all(|e| e.columns().is_disjoint(outer))
}

/// Makes columns of the inner sides of the pulled equalities, and the equalities read these; `None` when a pulled
/// predicate is of another form.
fn keys_of(q: &mut Pulled, outer: &ColSet, cx: &mut Context<'_>) -> Option<Vec<OutCol>> {
    let inner = output(&q.plan);
    let columns = q.plan.columns();
    let (mut keys, mut computed) = (Vec::<OutCol>::new(), vec![]);
    let mut preds = vec![];
    for e in &q.preds {
        let (key, other, nulls) = split_equality(e, &inner)?;
        if !other.columns().is_subset(outer) {
            return None;
        }
        let key = match as_column(key) {
            Some(id) => columns.iter().find(|c| c.id == id)?.clone(),
            None => {
                let out = cx.column("key", key.ty());
                computed.push(NamedExpr { out: out.clone(), expr: key.clone() });
                out
            }
        };
        let op = if nulls { Comparison::IsNotDistinctFrom } else { Comparison::Eq };
        preds.push(cx.compare(op, col(&key), other.clone()).ok()?);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if !computed.is_empty() {
        let exprs = columns.iter().map(pass).chain(computed).collect();
        let input = std::mem::replace(&mut q.plan, Plan::one_row());
        q.plan = Plan::Project { input: Box::new(input), exprs };
    }
    q.preds = preds;
    Some(keys)
}

/// Under `inner = outer`, dependent joins below may read the inner column instead of the outer one.
fn rebind(input: &mut Plan, predicate: &[Expr], outer: &ColSet) {
    let mut map = Vec::<(ColId, Expr)>::new();
    for e in predicate {
        if let Some((Comparison::Eq, a, b)) = e.as_comparison() {
            for (a, b) in [(a, b), (b, a)] {
                if let (Some(from), Some(to)) = (as_column(a), as_column(b))
                    && outer.contains(&from)
                    && !outer.contains(&to)
                    && interchangeable(a.ty(), b.ty())
                {
                    map.push((from, b.clone()));
                }
            }
        }
    }
    if !map.is_empty() {
        rebind_below(input, &map);
    }
}

fn rebind_below(plan: &mut Plan, map: &[(ColId, Expr)]) {
    match plan {
        Plan::Apply { left, right, on, .. } => {
            let here = output(left);
            let known: ExprMap = map
                .iter()
                .filter(|(_, to)| to.columns().is_subset(&here))
                .map(|(from, to)| (*from, to.clone()))
                .collect();
            substitute_plan(right, &known);
            on.iter_mut().for_each(|e| substitute(e, &known));
            rebind_below(left, map);
        }
        Plan::Filter { input, .. } => rebind_below(input, map),
        Plan::Join(Join { kind, left, right, .. }) => {
            rebind_below(left, map);
            if *kind == JoinKind::Inner {
                rebind_below(right, map);
            }
        }
        _ => {}
    }
}

/// LIMIT and OFFSET for each value of `partition`: by row numbers, or ranks with ties.
pub(super) fn limit_per(
    input: Plan,
    partition: Vec<ColId>,
    order: Vec<SortKey>,
    limit: Option<Expr>,
    offset: Option<Expr>,
    ties: bool,
    cx: &mut Context<'_>,
) -> Result<Plan> {
    let columns = input.columns();
    let number = cx.window_call("row_number")?;
    let row = col(&number.out);
    let mut calls = vec![number];
    let mut last = row.clone();
    if ties {
        let rank = cx.window_call("rank")?;
        last = col(&rank.out);
        calls.push(rank);
    }
    let skipped =
        offset.map(|e| Expr::Coalesce { args: vec![e, int8(0)], ty: spg_types::SqlType::new(&def::INT8) });
    let mut predicate = vec![];
    if let Some(limit) = limit {
        let end = match &skipped {
            Some(n) => cx.call("+", vec![n.clone(), limit.clone()])?,
            None => limit.clone(),
        };
        let within = cx.compare(Comparison::LtEq, last, end)?;
        predicate.push(match limit {
            Expr::Const { ref value, .. } if !value.is_null() => within,
            // LIMIT NULL is no limit.
            limit => Expr::Or(vec![Expr::IsNull(Box::new(limit)), within]),
        });
    }
    if let Some(n) = skipped {
        predicate.push(cx.compare(Comparison::Gt, row, n)?);
    }
    let window = Plan::Window { input: Box::new(input), partition, order, calls };
    Ok(projected(filtered(window, predicate), &columns))
}
