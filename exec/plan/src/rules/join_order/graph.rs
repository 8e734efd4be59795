//! The join graph of a region: relations, predicates, equivalence classes of columns, and the size of every subset.

use std::cell::RefCell;

use ahash::AHashMap;
use spg_expr::{ColId, Expr};
use spg_types::Result;

use super::search::Tree;
use super::{joined, one_row};
use crate::rules::Context;
use crate::rules::logic::{as_column, as_equality, interchangeable};
use crate::selectivity::Rows;
use crate::stats::{Estimator, join_size};
use crate::tree::{ColSet, filtered, output};
use crate::{JoinKind, Plan};

/// A set of relations, one bit each.
pub(super) type Set = u64;

/// An input of the region.
pub(super) struct Relation {
    pub(super) plan: Plan,
    /// The right side of a join that keeps left rows; `None` for core relations.
    pub(super) op: Option<Op>,
    pub(super) rows: Rows,
    pub(super) cost: f64,
    pub(super) at_most_one: bool,
    columns: ColSet,
    /// Key columns of the indexes of a bare scan: what a lookup join can use.
    indexed: Vec<Vec<ColId>>,
}

/// How a dependent relation is applied.
pub(super) struct Op {
    pub(super) kind: JoinKind,
    pub(super) on: Vec<Expr>,
    /// Relations that must be there.
    pub(super) needs: Set,
    /// What applying it multiplies the number of rows by.
    factor: f64,
    /// Whether it has hash keys.
    pub(super) keyed: bool,
}

/// A conjunct that is no equality of an equivalence class.
struct Predicate {
    expr: Expr,
    reads: Set,
    /// For an equality: what its sides read.
    sides: Option<(Set, Set)>,
    selectivity: f64,
}

/// Columns of core relations that inner joins make equal.
struct Class {
    members: Vec<Member>,
    reads: Set,
}

struct Member {
    relation: usize,
    column: Expr,
    id: ColId,
    distinct: f64,
}

#[derive(Default)]
pub(super) struct Graph {
    pub(super) relations: Vec<Relation>,
    pub(super) conjuncts: Vec<Expr>,
    predicates: Vec<Predicate>,
    classes: Vec<Class>,
    /// Relations that a predicate connects each relation to.
    pub(super) neighbours: Vec<Set>,
    sizes: RefCell<AHashMap<Set, f64>>,
}

impl Graph {
    /// Adds a core relation.
    pub(super) fn relation(&mut self, plan: Plan) -> Set {
        self.add(plan, None)
    }

    /// Adds the right side of a join that keeps the rows of `below`.
    pub(super) fn dependent(&mut self, kind: JoinKind, plan: Plan, on: Vec<Expr>, below: Set) -> Set {
        // What the condition reads is worked out in `prepare`; without it, everything below.
        self.add(plan, Some(Op { kind, on, needs: below, factor: 1.0, keyed: false }))
    }

    fn add(&mut self, plan: Plan, op: Option<Op>) -> Set {
        let mut columns = output(&plan);
        match op.as_ref().map(|o| o.kind) {
            Some(JoinKind::Semi | JoinKind::Anti) => columns.clear(),
            Some(JoinKind::Mark(id)) => columns = ColSet::from([id]),
            _ => {}
        }
        let rows = Rows::default();
        let relation = Relation { plan, op, rows, cost: 0.0, at_most_one: false, columns, indexed: vec![] };
        self.relations.push(relation);
        1 << (self.relations.len() - 1)
    }

    pub(super) fn all(&self) -> Set {
        if self.relations.len() >= 64 { Set::MAX } else { (1 << self.relations.len()) - 1 }
    }

    /// Core relations of a set.
    pub(super) fn core(&self, set: Set) -> Set {
        members(set).filter(|i| self.relations[*i].op.is_none()).fold(0, |s, i| s | 1 << i)
    }

    fn reads(&self, e: &Expr) -> Set {
        let columns = e.columns();
        let found = self.relations.iter().enumerate().filter(|(_, r)| !r.columns.is_disjoint(&columns));
        found.fold(0, |s, (i, _)| s | 1 << i)
    }

    /// Estimates the relations, sorts the conjuncts into classes and predicates.
    pub(super) fn prepare(&mut self, estimator: &mut Estimator<'_>) {
        let mut all = Rows { rows: 1.0, ..Rows::default() };
        for r in &mut self.relations {
            let (rows, estimate) = estimator.of(&r.plan);
            all.rows = all.rows.max(rows.rows);
            all.columns.extend(rows.columns.iter().map(|(k, v)| (*k, *v)));
            all.domains.extend(rows.domains.iter().cloned());
            r.rows = rows;
            r.cost = estimate.cost;
            r.at_most_one = one_row(&r.plan);
            r.indexed = indexed(&r.plan);
        }
        let conjuncts: Vec<Expr> =
            std::mem::take(&mut self.conjuncts).into_iter().flat_map(Expr::into_conjuncts).collect();
        for e in conjuncts {
            if !self.classify(&e) {
                let reads = self.reads(&e);
                let sides = as_equality(&e)
                    .map(|(a, b, _)| (self.reads(a), self.reads(b)))
                    .filter(|(a, b)| *a != 0 && *b != 0 && a & b == 0);
                let selectivity = all.selectivity(&e).clamp(1e-9, 1.0);
                self.predicates.push(Predicate { expr: e, reads, sides, selectivity });
            }
        }
        for i in 0..self.relations.len() {
            let Some(op) = &self.relations[i].op else { continue };
            let reads = op.on.iter().fold(0, |s, e| s | self.reads(e)) & !(1 << i);
            let keyed = op.on.iter().any(|e| {
                as_equality(e).is_some_and(|(a, b, _)| {
                    let own = output(&self.relations[i].plan);
                    let of = |e: &Expr| (e.columns().is_subset(&own), e.columns().is_disjoint(&own));
                    let constant = a.columns().is_empty() || b.columns().is_empty();
                    !constant && matches!((of(a), of(b)), ((true, _), (_, true)) | ((_, true), (true, _)))
                })
            });
            let needs = if reads == 0 { op.needs } else { reads };
            let mut left = Rows { rows: 1.0, ..Rows::default() };
            for n in members(needs) {
                let r = &self.relations[n].rows;
                left.rows = left.rows.max(r.rows);
                left.columns.extend(r.columns.iter().map(|(k, v)| (*k, *v)));
                left.domains.extend(r.domains.iter().cloned());
            }
            let size =
                join_size(op.kind, &left, &self.relations[i].rows, &op.on, &output(&self.relations[i].plan));
            let factor = size / left.rows.max(1.0);
            if let Some(op) = &mut self.relations[i].op {
                (op.needs, op.keyed, op.factor) = (needs, keyed, factor);
            }
        }
        self.connect();
    }

    /// Takes an equality of two core columns into a class; whether it was one.
    fn classify(&mut self, e: &Expr) -> bool {
        let Some((a, b, false)) = as_equality(e) else { return false };
        let (Some(x), Some(y)) = (as_column(a), as_column(b)) else { return false };
        if !interchangeable(a.ty(), b.ty()) || x == y {
            return false;
        }
        let core = |id: ColId| self.relations.iter().position(|r| r.op.is_none() && r.columns.contains(&id));
        let (Some(i), Some(j)) = (core(x), core(y)) else { return false };
        if i == j {
            return false;
        }
        let member = |relation: usize, column: &Expr, id: ColId| Member {
            relation,
            column: column.clone(),
            id,
            distinct: self.relations[relation].rows.column(id, column.ty()).distinct,
        };
        let mut class = Class { members: vec![member(i, a, x), member(j, b, y)], reads: 1 << i | 1 << j };
        // Classes that share a column are one.
        let (same, other): (Vec<Class>, Vec<Class>) = std::mem::take(&mut self.classes)
            .into_iter()
            .partition(|c| c.members.iter().any(|m| m.id == x || m.id == y));
        self.classes = other;
        for c in same {
            class.reads |= c.reads;
            for m in c.members {
                if !class.members.iter().any(|k| k.id == m.id) {
                    class.members.push(m);
                }
            }
        }
        self.classes.push(class);
        true
    }

    fn connect(&mut self) {
        let mut neighbours = vec![0; self.relations.len()];
        let mut connect = |set: Set| members(set).for_each(|i| neighbours[i] |= set & !(1 << i));
        self.classes.iter().for_each(|c| connect(c.reads));
        self.predicates.iter().for_each(|p| connect(p.reads));
        for (i, r) in self.relations.iter().enumerate() {
            if let Some(op) = &r.op {
                connect(op.needs | 1 << i);
            } else if r.at_most_one {
                connect(self.all());
            }
        }
        self.neighbours = neighbours;
    }

    /// Rows of the join of a set, whatever the order: relations are put together in their numbers' order.
    pub(super) fn size(&self, set: Set) -> f64 {
        if let Some(n) = self.sizes.borrow().get(&set) {
            return *n;
        }
        let core = self.core(set);
        let ops = set & !core;
        if core == 0 {
            // The inner side of a join by itself.
            return self.relations[set.trailing_zeros() as usize].rows.rows;
        }
        let size = match core.count_ones() {
            1 => self.relations[core.trailing_zeros() as usize].rows.rows,
            _ => {
                // The last relation joins the others.
                let last = 63 - core.leading_zeros() as usize;
                let rest = core & !(1 << last);
                self.size(rest) * self.relations[last].rows.rows * self.meet(rest, last)
            }
        };
        let mut size =
            members(ops).fold(size, |s, i| s * self.relations[i].op.as_ref().map_or(1.0, |o| o.factor));
        if ops != 0 {
            // Predicates that read what an op adds.
            for p in self.predicates.iter().filter(|p| p.reads & ops != 0 && p.reads & !set == 0) {
                size *= p.selectivity;
            }
        }
        let size = size.max(1e-3);
        self.sizes.borrow_mut().insert(set, size);
        size
    }

    /// The share of pairs of `rest` and a relation that join.
    fn meet(&self, rest: Set, last: usize) -> f64 {
        let mut each = vec![];
        let (mut own, mut others) = (vec![], vec![]);
        for c in self.classes.iter().filter(|c| c.reads & rest != 0 && c.reads >> last & 1 == 1) {
            let here =
                c.members.iter().filter(|m| m.relation == last).map(|m| m.distinct).fold(f64::MAX, f64::min);
            let there = c.members.iter().filter(|m| rest >> m.relation & 1 == 1);
            let there = there.map(|m| m.distinct).fold(f64::MAX, f64::min);
            each.push(1.0 / here.max(there).max(1.0));
            own.extend(c.members.iter().filter(|m| m.relation == last).map(|m| m.id));
            others.extend(c.members.iter().filter(|m| rest >> m.relation & 1 == 1).map(|m| m.id));
        }
        let mut share = if each.len() < 2 {
            each.iter().product()
        } else {
            // A key of a base table bounds how many combinations there are.
            let known = |domains: &[(Vec<ColId>, f64)], ids: &[ColId]| {
                let within = domains.iter().filter(|(d, _)| d.len() > 1 && d.iter().all(|c| ids.contains(c)));
                within.map(|(_, n)| *n).fold(f64::MAX, f64::min)
            };
            let mut most = known(&self.relations[last].rows.domains, &own);
            for i in members(rest) {
                most = most.min(known(&self.relations[i].rows.domains, &others));
            }
            let independent: f64 = each.iter().product();
            if most < f64::MAX { independent.max(1.0 / most) } else { crate::selectivity::combined(each) }
        };
        let set = rest | 1 << last;
        for p in self.predicates.iter().filter(|p| p.reads >> last & 1 == 1 && p.reads & !set == 0) {
            if p.reads & rest != 0 {
                share *= p.selectivity;
            }
        }
        share
    }

    /// Whether the join of two sets has hash keys.
    pub(super) fn keyed(&self, a: Set, b: Set) -> bool {
        self.classes.iter().any(|c| c.reads & a != 0 && c.reads & b != 0)
            || self
                .predicates
                .iter()
                .filter_map(|p| p.sides)
                .any(|(x, y)| (x & !a == 0 && y & !b == 0) || (x & !b == 0 && y & !a == 0))
    }

    /// Whether the join of `a` with the scan `b` could look `b` up in an index.
    pub(super) fn lookup(&self, a: Set, b: usize) -> bool {
        let equated = |id: &ColId| {
            let of = |c: &&Class| c.members.iter().any(|m| m.relation == b && m.id == *id);
            self.classes.iter().filter(of).any(|c| c.reads & a != 0)
        };
        self.relations[b].indexed.iter().any(|key| key.iter().all(equated))
    }

    /// The plan of a join tree, with every predicate where its columns first meet.
    pub(super) fn build(mut self, tree: &Tree, cx: &Context<'_>) -> Result<Plan> {
        let none: Vec<Expr> =
            self.predicates.iter().filter(|p| p.reads == 0).map(|p| p.expr.clone()).collect();
        let plan = self.part(tree, cx)?;
        Ok(filtered(plan, none))
    }

    fn part(&mut self, tree: &Tree, cx: &Context<'_>) -> Result<Plan> {
        let (left, right, kind) = match tree {
            Tree::Leaf(i) => {
                let plan = crate::tree::take(&mut self.relations[*i].plan);
                if self.relations[*i].op.is_some() {
                    return Ok(plan);
                }
                let own: Vec<Expr> =
                    self.predicates.iter().filter(|p| p.reads == 1 << i).map(|p| p.expr.clone()).collect();
                return Ok(filtered(plan, own));
            }
            Tree::Join { left, right, kind } => (left, right, *kind),
        };
        let (a, b) = (left.set(), right.set());
        let (mut on, mut above) = (vec![], vec![]);
        let op = |t: &Tree| match t {
            Tree::Leaf(i) => self.relations[*i].op.as_ref().map(|o| o.on.clone()),
            Tree::Join { .. } => None,
        };
        let conditions = match kind {
            JoinKind::Inner => None,
            JoinKind::Right | JoinKind::RightSemi | JoinKind::RightAnti => op(left),
            _ => op(right),
        };
        let is_op = conditions.is_some();
        on.extend(conditions.unwrap_or_default());
        if !is_op {
            for c in self.classes.iter().filter(|c| c.reads & a != 0 && c.reads & b != 0) {
                let of = |set: Set| c.members.iter().find(|m| set >> m.relation & 1 == 1);
                if let (Some(x), Some(y)) = (of(a), of(b)) {
                    on.push(cx.eq(x.column.clone(), y.column.clone())?);
                }
            }
        }
        let set = a | b;
        for p in
            self.predicates.iter().filter(|p| p.reads & !set == 0 && p.reads & !a != 0 && p.reads & !b != 0)
        {
            if is_op { above.push(p.expr.clone()) } else { on.push(p.expr.clone()) }
        }
        if is_op {
            // What reads the op alone (IS NULL on a padded column) comes right above it.
            let own = [a, b].into_iter().find(|s| s.count_ones() == 1 && self.core(*s) == 0).unwrap_or(0);
            above.extend(
                self.predicates.iter().filter(|p| p.reads == own && own != 0).map(|p| p.expr.clone()),
            );
        }
        let (left, right) = (self.part(left, cx)?, self.part(right, cx)?);
        Ok(joined(kind, left, right, on, above))
    }
}

/// The relations of a set.
pub(super) fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..64).filter(move |i| set >> i & 1 == 1)
}

/// The key columns of the indexes of a bare scan.
fn indexed(plan: &Plan) -> Vec<Vec<ColId>> {
    let Plan::Scan(s) = plan else { return vec![] };
    let id_of = |i: usize| s.columns.iter().find(|(_, at)| *at == i).map(|(c, _)| c.id);
    s.table.indexes.iter().filter_map(|i| i.columns.iter().map(|k| id_of(k.column)).collect()).collect()
}
