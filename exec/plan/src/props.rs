//! What holds for every row of a plan: columns that are never NULL, keys, functional dependencies, row-count bounds.
//!
//! Everything here is certain (from constraints and structure), never estimated: rules remove operators on it.

use std::collections::HashMap;

use spg_expr::{ColId, Comparison, Expr};
use spg_types::Datum;

use crate::rules::logic::{as_column, as_count, as_equality, interchangeable, nullable, rejects_nulls};
use crate::tree::{ColSet, passes};
use crate::{CteId, Join, JoinKind, Plan, Scan, WindowCallee};

/// Keys kept per plan; more are rarely of use.
const MAX_KEYS: usize = 12;

/// Properties of a plan's rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Props {
    /// Columns that are never NULL.
    pub(crate) not_null: ColSet,
    /// Column sets of which no two rows agree (NULLs agree with each other).
    pub(crate) keys: Vec<ColSet>,
    /// The left columns determine the right ones (NULL counts as a value).
    pub(crate) fds: Vec<(ColSet, ColSet)>,
    /// Never more than one row.
    pub(crate) at_most_one: bool,
    /// Never no row.
    pub(crate) at_least_one: bool,
}

impl Props {
    /// All columns that `columns` determine.
    pub(crate) fn closure(&self, columns: &ColSet) -> ColSet {
        let mut all = columns.clone();
        loop {
            let before = all.len();
            for (from, to) in &self.fds {
                if from.is_subset(&all) {
                    all.extend(to);
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    /// Whether no two rows agree in `columns`.
    pub(crate) fn unique(&self, columns: &ColSet) -> bool {
        if self.at_most_one {
            return true;
        }
        let all = self.closure(columns);
        self.keys.iter().any(|k| k.is_subset(&all))
    }

    fn key(&mut self, key: ColSet) {
        if self.keys.len() < MAX_KEYS && !self.keys.iter().any(|k| k.is_subset(&key)) {
            self.keys.retain(|k| !key.is_subset(k));
            self.keys.push(key);
        }
    }

    /// Takes account of conjuncts that hold for every row.
    fn hold(&mut self, conjuncts: &[Expr]) {
        for e in conjuncts {
            for c in e.columns() {
                if !self.not_null.contains(&c) && rejects_nulls(e, &ColSet::from([c])) {
                    self.not_null.insert(c);
                }
            }
            let Some((a, b, _)) = as_equality(e) else { continue };
            for (a, b) in [(a, b), (b, a)] {
                let Some(id) = as_column(a) else { continue };
                match b {
                    Expr::Const { .. } | Expr::Param { .. } if exact(a) => {
                        self.fds.push((ColSet::new(), ColSet::from([id])));
                    }
                    Expr::Column { id: other, ty } if interchangeable(a.ty(), *ty) => {
                        self.fds.push((ColSet::from([*other]), ColSet::from([id])));
                    }
                    _ => {}
                }
            }
        }
        let fixed = self.closure(&ColSet::new());
        self.at_most_one |= self.keys.iter().any(|k| k.is_subset(&fixed));
    }

    /// Only what `columns` say.
    fn restrict(mut self, columns: &ColSet) -> Props {
        let old = self.keys.clone();
        // A lost key column may be determined by kept ones.
        self.keys.clear();
        for k in old {
            if k.is_subset(columns) {
                self.key(k);
            } else {
                let kept: ColSet = columns.iter().copied().collect();
                let found = k.iter().all(|c| kept.contains(c) || self.twin(*c, &kept).is_some());
                if found {
                    let key = k
                        .iter()
                        .filter_map(|c| if kept.contains(c) { Some(*c) } else { self.twin(*c, &kept) });
                    let key = key.collect();
                    self.key(key);
                }
            }
        }
        let fds = std::mem::take(&mut self.fds);
        let whole = Props { fds: fds.clone(), ..Props::default() };
        for (from, _) in &fds {
            if from.is_subset(columns) {
                let to: ColSet = whole.closure(from).into_iter().filter(|c| columns.contains(c)).collect();
                if !to.is_subset(from) {
                    self.fds.push((from.clone(), to));
                }
            }
        }
        self.not_null.retain(|c| columns.contains(c));
        self
    }

    /// A kept column that determines `c`.
    fn twin(&self, c: ColId, kept: &ColSet) -> Option<ColId> {
        self.fds
            .iter()
            .find(|(from, to)| from.len() == 1 && to.contains(&c) && from.iter().all(|f| kept.contains(f)))
            .and_then(|(from, _)| from.first().copied())
    }
}

fn exact(e: &Expr) -> bool {
    interchangeable(e.ty(), e.ty())
}

/// Derives properties, remembering those of common table expressions on the way.
#[derive(Default)]
pub(crate) struct PropsOf {
    ctes: HashMap<CteId, (Vec<ColId>, Props)>,
}

/// Properties of a closed plan, or of a subtree without references to outer common table expressions.
pub(crate) fn props(plan: &Plan) -> Props {
    PropsOf::default().of(plan)
}

impl PropsOf {
    /// Remembers a definition, for plans that read it.
    pub(crate) fn define(&mut self, cte: CteId, definition: &Plan) {
        let p = self.of(definition);
        self.ctes.insert(cte, (definition.columns().iter().map(|c| c.id).collect(), p));
    }

    /// Properties of `plan`.
    pub(crate) fn of(&mut self, plan: &Plan) -> Props {
        match plan {
            Plan::Scan(s) => scan(s),
            Plan::Values { rows, columns } => {
                let mut p = Props {
                    at_most_one: rows.len() <= 1,
                    at_least_one: !rows.is_empty(),
                    ..Props::default()
                };
                for (i, c) in columns.iter().enumerate() {
                    let none = ColSet::new();
                    if rows.iter().all(|r| r.get(i).is_some_and(|e| !nullable(e, &none))) {
                        p.not_null.insert(c.id);
                    }
                }
                p
            }
            Plan::SystemScan { .. } => Props::default(),
            Plan::TableFunction { ordinality, .. } => {
                let mut p = Props::default();
                if let Some(o) = ordinality {
                    p.not_null.insert(o.id);
                    p.key(ColSet::from([o.id]));
                }
                p
            }
            Plan::ProjectSet { input, .. } => {
                let p = self.of(input);
                Props { not_null: p.not_null, fds: p.fds, ..Props::default() }
            }
            Plan::Filter { input, predicate } => {
                let mut p = self.of(input);
                p.at_least_one = false;
                p.hold(predicate);
                p
            }
            Plan::Project { input, exprs } => {
                let mut p = self.of(input);
                for e in exprs.iter().filter(|e| !passes(e)) {
                    if !nullable(&e.expr, &p.not_null) {
                        p.not_null.insert(e.out.id);
                    }
                    match &e.expr {
                        Expr::Column { id, .. } => {
                            p.fds.push((ColSet::from([*id]), ColSet::from([e.out.id])));
                            p.fds.push((ColSet::from([e.out.id]), ColSet::from([*id])));
                        }
                        expr if !crate::rules::logic::volatile(expr) => {
                            p.fds.push((expr.columns(), ColSet::from([e.out.id])));
                        }
                        _ => {}
                    }
                }
                p.restrict(&exprs.iter().map(|e| e.out.id).collect())
            }
            Plan::Join(Join { kind, left, right, on, .. }) | Plan::Apply { kind, left, right, on } => {
                self.join(*kind, left, right, on)
            }
            Plan::Aggregate { input, groups, sets, grouping, aggregates } => {
                let below = self.of(input);
                let keys: ColSet = groups.iter().map(|g| g.out.id).collect();
                let mut p = below.clone();
                for g in groups.iter().filter(|g| !passes(g)) {
                    if !nullable(&g.expr, &p.not_null) {
                        p.not_null.insert(g.out.id);
                    }
                    p.fds.push((g.expr.columns(), ColSet::from([g.out.id])));
                }
                p = p.restrict(&keys);
                p.keys.clear();
                if sets.is_empty() {
                    p.at_most_one |= groups.is_empty();
                    p.at_least_one = groups.is_empty() || below.at_least_one;
                    p.fds.push((keys.clone(), aggregates.iter().map(|a| a.out.id).collect()));
                    for k in below.keys.iter().filter(|k| k.is_subset(&keys)) {
                        p.key(k.clone());
                    }
                    p.key(keys);
                } else {
                    p = Props::default();
                    let _ = grouping;
                }
                p.not_null.extend(aggregates.iter().filter(|a| a.function.zero_when_empty).map(|a| a.out.id));
                p
            }
            Plan::Distinct { input, on } => {
                let mut p = self.of(input);
                let all = input.columns().iter().map(|c| c.id).collect();
                p.key(on.as_ref().map_or(all, |on| on.iter().copied().collect()));
                p
            }
            Plan::Window { input, partition, calls, .. } => {
                let mut p = self.of(input);
                for c in calls {
                    if let WindowCallee::Function { function, .. } = c.callee
                        && function.name == "row_number"
                    {
                        p.not_null.insert(c.out.id);
                        let mut key: ColSet = partition.iter().copied().collect();
                        key.insert(c.out.id);
                        p.key(key);
                    }
                }
                p
            }
            Plan::Sort { input, limit, .. } => {
                let mut p = self.of(input);
                p.at_most_one |= limit.is_some_and(|n| n <= 1);
                p.at_least_one &= limit.is_none_or(|n| n >= 1);
                p
            }
            Plan::Limit { input, limit, offset, ties } => {
                let mut p = self.of(input);
                let count = limit.as_ref().and_then(as_count);
                p.at_most_one |= count.is_some_and(|n| n <= 1) && ties.is_none();
                p.at_least_one &= count.is_some_and(|n| n >= 1) && offset.is_none();
                p
            }
            Plan::Union { inputs, columns } => {
                let mut p = Props { at_least_one: false, ..Props::default() };
                let parts: Vec<Props> = inputs.iter().map(|(i, _)| self.of(i)).collect();
                p.at_least_one = parts.iter().any(|p| p.at_least_one);
                for (i, c) in columns.iter().enumerate() {
                    if parts.iter().zip(inputs).all(|(p, (_, ids))| p.not_null.contains(&ids[i])) {
                        p.not_null.insert(c.id);
                    }
                }
                p
            }
            Plan::SetOp { left, all, columns, .. } => {
                let l = self.of(&left.0);
                let mut p = Props { at_most_one: l.at_most_one, ..Props::default() };
                for (id, c) in left.1.iter().zip(columns) {
                    if l.not_null.contains(id) {
                        p.not_null.insert(c.id);
                    }
                }
                if !all {
                    p.key(columns.iter().map(|c| c.id).collect());
                }
                p
            }
            Plan::With { cte, definition, body, .. } => {
                self.define(*cte, definition);
                self.of(body)
            }
            Plan::CteScan { cte, columns, .. } => {
                let Some((ids, p)) = self.ctes.get(cte).cloned() else { return Props::default() };
                let map: HashMap<ColId, ColId> =
                    columns.iter().filter_map(|(c, i)| Some((*ids.get(*i)?, c.id))).collect();
                renamed(p.restrict(&map.keys().copied().collect()), &map)
            }
            Plan::Recursive { columns, distinct, .. } => {
                let mut p = Props::default();
                if *distinct {
                    p.key(columns.iter().map(|c| c.id).collect());
                }
                p
            }
            Plan::Modify(_) => Props::default(),
        }
    }

    fn join(&mut self, kind: JoinKind, left: &Plan, right: &Plan, on: &[Expr]) -> Props {
        let (l, r) = (self.of(left), self.of(right));
        let (left_keys, right_keys) = equated(on, left, right);
        match kind {
            JoinKind::Inner => {
                let mut p = Props {
                    not_null: &l.not_null | &r.not_null,
                    fds: l.fds.iter().chain(&r.fds).cloned().collect(),
                    at_most_one: l.at_most_one && r.at_most_one,
                    at_least_one: on.is_empty() && l.at_least_one && r.at_least_one,
                    keys: vec![],
                };
                pair_keys(&mut p, &l, &r, r.unique(&right_keys), l.unique(&left_keys));
                p.hold(on);
                p
            }
            JoinKind::Left | JoinKind::Single => {
                let one = kind == JoinKind::Single || r.unique(&right_keys);
                let mut p = Props {
                    not_null: l.not_null.clone(),
                    fds: l.fds.clone(),
                    at_most_one: l.at_most_one && one,
                    at_least_one: l.at_least_one,
                    keys: vec![],
                };
                p.fds.extend(padded_fds(&r));
                let only_keys = on.iter().all(|e| {
                    as_equality(e).is_some_and(|(a, b, _)| as_column(a).is_some() && as_column(b).is_some())
                });
                if only_keys && one && kind == JoinKind::Left && left_keys.len() == on.len() {
                    p.fds.push((left_keys, right.columns().iter().map(|c| c.id).collect()));
                }
                pair_keys(&mut p, &l, &r, one, false);
                p
            }
            JoinKind::Right => {
                let one = l.unique(&left_keys);
                let mut p = Props {
                    not_null: r.not_null.clone(),
                    fds: r.fds.clone(),
                    at_most_one: r.at_most_one && one,
                    at_least_one: r.at_least_one,
                    keys: vec![],
                };
                p.fds.extend(padded_fds(&l));
                pair_keys(&mut p, &l, &r, false, one);
                p
            }
            JoinKind::Full => Props { at_least_one: l.at_least_one || r.at_least_one, ..Props::default() },
            JoinKind::Semi => {
                let mut p = l;
                p.at_least_one = false;
                let left_only: Vec<Expr> =
                    on.iter().filter(|e| e.as_comparison().is_some()).cloned().collect();
                let columns: ColSet = left.columns().iter().map(|c| c.id).collect();
                for e in &left_only {
                    for c in e.columns().intersection(&columns) {
                        if rejects_nulls(e, &ColSet::from([*c])) {
                            p.not_null.insert(*c);
                        }
                    }
                }
                p
            }
            JoinKind::Anti => Props { at_least_one: false, ..l },
            JoinKind::RightSemi | JoinKind::RightAnti => Props { at_least_one: false, ..r },
            JoinKind::Mark(id) => {
                let mut p = l;
                let both = &p.not_null | &r.not_null;
                if on.iter().all(|e| !nullable(e, &both)) {
                    p.not_null.insert(id);
                }
                p
            }
        }
    }
}

/// Keys of pairs: a side's keys survive when each of its rows meets at most one row of the other.
fn pair_keys(p: &mut Props, l: &Props, r: &Props, right_unique: bool, left_unique: bool) {
    if right_unique {
        l.keys.iter().for_each(|k| p.key(k.clone()));
    }
    if left_unique {
        r.keys.iter().for_each(|k| p.key(k.clone()));
    }
    for a in &l.keys {
        for b in &r.keys {
            p.key(a | b);
        }
    }
    if l.at_most_one {
        r.keys.iter().for_each(|k| p.key(k.clone()));
    }
    if r.at_most_one {
        l.keys.iter().for_each(|k| p.key(k.clone()));
    }
}

/// Dependencies that padding with NULLs keeps: no real row has NULLs in all determining columns.
fn padded_fds(p: &Props) -> Vec<(ColSet, ColSet)> {
    p.fds.iter().filter(|(from, _)| from.iter().any(|c| p.not_null.contains(c))).cloned().collect()
}

/// The plain columns that equalities of `on` equate: of the left and of the right.
pub(crate) fn equated(on: &[Expr], left: &Plan, right: &Plan) -> (ColSet, ColSet) {
    let (left, right) = (crate::tree::output(left), crate::tree::output(right));
    let (mut l, mut r) = (ColSet::new(), ColSet::new());
    for e in on {
        let Some((Comparison::Eq | Comparison::IsNotDistinctFrom, a, b)) = e.as_comparison() else {
            continue;
        };
        for (a, b) in [(a, b), (b, a)] {
            if a.columns().is_subset(&left) && b.columns().is_subset(&right) {
                l.extend(as_column(a));
                // The other side's uniqueness holds for one given value, whatever computes it.
                if let Some(id) = as_column(b) {
                    r.insert(id);
                }
            }
        }
    }
    (l, r)
}

fn renamed(p: Props, map: &HashMap<ColId, ColId>) -> Props {
    let set = |s: ColSet| s.into_iter().filter_map(|c| map.get(&c).copied()).collect::<ColSet>();
    Props {
        not_null: set(p.not_null),
        keys: p.keys.into_iter().map(set).collect(),
        fds: p.fds.into_iter().map(|(a, b)| (set(a), set(b))).collect(),
        ..p
    }
}

fn scan(s: &Scan) -> Props {
    let id_of = |column: usize| s.columns.iter().find(|(_, i)| *i == column).map(|(c, _)| c.id);
    let mut p = Props::default();
    for (c, i) in &s.columns {
        if s.table.columns.get(*i).is_some_and(|d| d.not_null) {
            p.not_null.insert(c.id);
        }
    }
    // A unique index allows several NULL keys: it is a key where none can be NULL.
    p.hold(&s.filter);
    let all: ColSet = s.columns.iter().map(|(c, _)| c.id).chain(s.row_id).collect();
    if let Some(r) = s.row_id {
        p.not_null.insert(r);
        p.key(ColSet::from([r]));
        p.fds.push((ColSet::from([r]), all.clone()));
    }
    for i in s.table.indexes.iter().filter(|i| i.unique) {
        let columns: Option<ColSet> = i.columns.iter().map(|k| id_of(k.column)).collect();
        if let Some(key) = columns
            && key.is_subset(&p.not_null)
        {
            p.fds.push((key.clone(), all.clone()));
            p.key(key);
        }
    }
    p.hold(&s.filter);
    if let Some(a) = &s.index
        && let Some(i) = s.table.indexes.iter().find(|i| i.id == a.index)
        && i.unique
        && a.equal.len() == i.columns.len()
        && !a.equal.iter().any(|e| matches!(e, Expr::Const { value: Datum::Null, .. }))
    {
        p.at_most_one = true;
    }
    p
}
