//! Cardinalities and costs of plans, from the statistics that the catalog keeps with the data.

use std::collections::HashMap;

use spg_expr::{ColId, Comparison, Expr};
use spg_types::Datum;

use crate::rules::logic::{as_column, as_count, split_equality};
use crate::selectivity::{ColumnEstimate, Rows, combined, place, width_of};
use crate::tree::{ColSet, passes};
use crate::{CatalogView, CteId, Join, JoinKind, OutCol, Plan, Scan, SetOpKind, cost};

/// Rows expected of a system relation: nobody counts them before they are made.
const SYSTEM_ROWS: f64 = 100.0;

/// What is expected of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Rows put out.
    pub rows: f64,
    /// Bytes per row.
    pub width: f64,
    /// Cost before the first row.
    pub startup: f64,
    /// Cost of all rows, the inputs' included.
    pub cost: f64,
}

/// What is expected of a plan; common table expressions it reads must be defined in it.
pub fn estimate(plan: &Plan, catalog: &dyn CatalogView) -> Estimate {
    Estimator::new(catalog).of(plan).1
}

/// Estimates of all nodes of a plan, by pre-order number.
pub fn annotate(plan: &Plan, catalog: &dyn CatalogView) -> Vec<Estimate> {
    let mut e = Estimator::new(catalog);
    e.record = Some(vec![]);
    e.of(plan);
    e.record.unwrap_or_default()
}

/// Walks plans; remembers common table expressions on the way.
pub(crate) struct Estimator<'a> {
    catalog: &'a dyn CatalogView,
    ctes: HashMap<CteId, (Vec<ColId>, Rows)>,
    record: Option<Vec<Estimate>>,
}

impl<'a> Estimator<'a> {
    pub(crate) fn new(catalog: &'a dyn CatalogView) -> Self {
        Self { catalog, ctes: HashMap::new(), record: None }
    }

    /// Rows alone.
    pub(crate) fn rows(&mut self, plan: &Plan) -> Rows {
        self.of(plan).0
    }

    /// Remembers a definition for the scans of it.
    pub(crate) fn define(&mut self, cte: CteId, definition: &Plan) {
        let rows = self.rows(definition);
        self.ctes.insert(cte, (definition.columns().iter().map(|c| c.id).collect(), rows));
    }

    pub(crate) fn of(&mut self, plan: &Plan) -> (Rows, Estimate) {
        let number = self.record.as_mut().map(|r| {
            r.push(Estimate::default());
            r.len() - 1
        });
        let (rows, cost, startup) = self.node(plan);
        let columns = plan.columns();
        let width = columns.iter().map(|c| rows.column(c.id, c.ty).width).sum();
        let estimate = Estimate { rows: rows.rows, width, startup, cost };
        if let (Some(n), Some(r)) = (number, &mut self.record) {
            r[n] = estimate;
        }
        (rows, estimate)
    }

    /// Rows, total cost, cost before the first row.
    fn node(&mut self, plan: &Plan) -> (Rows, f64, f64) {
        match plan {
            Plan::Scan(s) => self.scan(s),
            Plan::Values { columns, rows } => (values(columns, rows), rows.len() as f64 * 0.1, 0.0),
            Plan::SystemScan { columns, .. } => {
                (unknown(SYSTEM_ROWS, columns.iter().map(|(c, _)| c)), SYSTEM_ROWS * 0.1, 0.0)
            }
            Plan::TableFunction { name, args, columns, ordinality } => {
                let rows = function_rows(name, args);
                (unknown(rows, columns.iter().chain(ordinality)), rows * 0.1, 0.0)
            }
            Plan::ProjectSet { input, name, args, columns, ordinality } => {
                let (mut rows, e) = self.of(input);
                let each = function_rows(name, args).min(100.0);
                rows.rows *= each;
                for c in columns.iter().chain(ordinality) {
                    rows.columns.insert(c.id, ColumnEstimate::unknown(rows.rows, c.ty));
                }
                let cost = e.cost + rows.rows * 0.2;
                (rows, cost, e.startup)
            }
            Plan::Filter { input, predicate } => {
                let (mut rows, e) = self.of(input);
                let cost = e.cost + e.rows * cost::CONJUNCT * predicate.len() as f64;
                rows.filter(predicate);
                (rows, cost, e.startup)
            }
            Plan::Project { input, exprs } => {
                let (rows, e) = self.of(input);
                let mut out =
                    Rows { rows: rows.rows, columns: HashMap::new(), domains: rows.domains.clone() };
                let computed = exprs.iter().filter(|e| !passes(e)).count();
                for x in exprs {
                    out.columns.insert(x.out.id, rows.expression(&x.expr));
                }
                (out, e.cost + e.rows * cost::EXPRESSION * computed as f64, e.startup)
            }
            Plan::Join(j) => self.join_node(j),
            Plan::Apply { kind, left, right, on } => {
                let ((l, a), (r, b)) = (self.of(left), self.of(right));
                let rows = join_rows(*kind, &l, &r, on, right);
                let cost = a.cost + a.rows.max(1.0) * b.cost;
                (rows, cost, a.startup)
            }
            Plan::Aggregate { input, groups, sets, grouping, aggregates } => {
                let (rows, e) = self.of(input);
                let mut keys: Vec<ColumnEstimate> = groups.iter().map(|g| rows.expression(&g.expr)).collect();
                let count = if groups.is_empty() {
                    1.0
                } else if sets.is_empty() {
                    let columns: Option<Vec<ColId>> = groups.iter().map(|g| as_column(&g.expr)).collect();
                    combinations(&keys, rows.rows, columns.as_deref(), &rows)
                } else {
                    let of = |set: &Vec<usize>| {
                        let keys: Vec<ColumnEstimate> =
                            set.iter().filter_map(|i| keys.get(*i)).copied().collect();
                        combinations(&keys, rows.rows, None, &rows)
                    };
                    sets.iter().map(of).sum()
                };
                let mut out = Rows { rows: count, columns: HashMap::new(), domains: rows.domains.clone() };
                for (g, k) in groups.iter().zip(&mut keys) {
                    k.distinct = k.distinct.min(count);
                    out.columns.insert(g.out.id, *k);
                }
                if let Some(g) = grouping {
                    out.columns.insert(g.id, ColumnEstimate::unknown(sets.len() as f64, g.ty));
                }
                for a in aggregates {
                    out.columns.insert(a.out.id, aggregate_column(a, &rows, count));
                }
                let times = sets.len().max(1) as f64;
                let total = e.cost + cost::aggregate(rows.rows, count, aggregates.len()) * times;
                (out, total, total)
            }
            Plan::Distinct { input, on } => {
                let (mut rows, e) = self.of(input);
                let ids: Vec<ColId> = match on {
                    Some(on) => on.clone(),
                    None => input.columns().iter().map(|c| c.id).collect(),
                };
                let keys: Vec<ColumnEstimate> =
                    ids.iter().filter_map(|c| rows.columns.get(c)).copied().collect();
                let before = rows.rows;
                let count = combinations(&keys, before, Some(&ids), &rows);
                rows.rows = count;
                rows.columns.values_mut().for_each(|c| c.distinct = c.distinct.min(count.max(1.0)));
                let total = e.cost + cost::aggregate(before, count, 0);
                (rows, total, e.startup)
            }
            Plan::Window { input, calls, .. } => {
                let (mut rows, e) = self.of(input);
                for c in calls {
                    rows.columns.insert(c.out.id, ColumnEstimate::unknown(rows.rows, c.out.ty));
                }
                let total = e.cost + cost::sort(e.rows, None) + e.rows * 0.5 * calls.len() as f64;
                (rows, total, total)
            }
            Plan::Sort { input, limit, .. } => {
                let (mut rows, e) = self.of(input);
                let total = e.cost + cost::sort(e.rows, limit.map(|n| n as f64));
                if let Some(n) = limit {
                    take_rows(&mut rows, *n as f64);
                }
                (rows, total, total)
            }
            Plan::Limit { input, limit, offset, .. } => {
                let (mut rows, e) = self.of(input);
                let skipped = offset.as_ref().and_then(as_count).unwrap_or(0) as f64;
                let count = limit.as_ref().map(|l| as_count(l).unwrap_or(100) as f64);
                let left = (rows.rows - skipped).max(0.0);
                let kept = count.map_or(left, |n| n.min(left));
                let share = if e.rows > 0.0 { ((kept + skipped) / e.rows).min(1.0) } else { 1.0 };
                take_rows(&mut rows, kept);
                (rows, e.startup + (e.cost - e.startup) * share, e.startup)
            }
            Plan::Union { inputs, columns } => {
                let mut out = Rows::default();
                let mut total = 0.0;
                for (p, ids) in inputs {
                    let (rows, e) = self.of(p);
                    out.rows += rows.rows;
                    total += e.cost;
                    for (c, id) in columns.iter().zip(ids) {
                        merge_column(&mut out.columns, c, rows.column(*id, c.ty));
                    }
                }
                (out, total, 0.0)
            }
            Plan::SetOp { kind, left, right, columns, .. } => {
                let ((l, a), (r, b)) = (self.of(&left.0), self.of(&right.0));
                let rows = match kind {
                    SetOpKind::Intersect => l.rows.min(r.rows),
                    SetOpKind::Except => l.rows,
                };
                let mut out = Rows { rows, ..Rows::default() };
                for (c, id) in columns.iter().zip(&left.1) {
                    out.columns.insert(c.id, l.column(*id, c.ty));
                }
                let total = a.cost + b.cost + cost::hash_join(l.rows, r.rows, rows);
                (out, total, b.cost)
            }
            Plan::With { cte, definition, body, .. } => {
                let (rows, d) = self.of(definition);
                self.ctes.insert(*cte, (definition.columns().iter().map(|c| c.id).collect(), rows));
                let (rows, e) = self.of(body);
                (rows, d.cost + e.cost, d.cost + e.startup)
            }
            Plan::CteScan { cte, columns, .. } => {
                let mut out = Rows { rows: 100.0, ..Rows::default() };
                match self.ctes.get(cte) {
                    Some((ids, rows)) => {
                        out.rows = rows.rows;
                        for (c, i) in columns {
                            let known = ids.get(*i).map(|id| rows.column(*id, c.ty));
                            let value = known.unwrap_or_else(|| ColumnEstimate::unknown(rows.rows, c.ty));
                            out.columns.insert(c.id, value);
                        }
                    }
                    None => out = unknown(100.0, columns.iter().map(|(c, _)| c)),
                }
                let cost = out.rows * cost::SCAN_COLUMN * columns.len().max(1) as f64;
                (out, cost, 0.0)
            }
            Plan::Recursive { cte, base, step, columns, .. } => {
                let (rows, a) = self.of(&base.0);
                self.ctes.insert(*cte, (base.1.clone(), rows.clone()));
                let (_, b) = self.of(&step.0);
                let count = rows.rows.max(1.0) * 10.0;
                (unknown(count, columns), a.cost + b.cost * 10.0, a.startup)
            }
            Plan::Modify(m) => {
                let (rows, e) = self.of(&m.input);
                let outs: Vec<OutCol> = m.returning.iter().map(|r| r.out.clone()).collect();
                let count = if outs.is_empty() { 0.0 } else { rows.rows };
                (unknown(count, &outs), e.cost + rows.rows * 10.0, e.startup)
            }
        }
    }

    /// A base table without its filter.
    pub(crate) fn table(&self, s: &Scan) -> Rows {
        let stats = self.catalog.stats(s.table.id);
        let rows = (stats.rows as f64).max(1.0);
        let mut out = Rows { rows, ..Rows::default() };
        for (c, i) in &s.columns {
            let known = stats.columns.get(*i).map(|k| {
                let at = |d: &Option<Datum>| d.as_ref().and_then(|d| place(d, c.ty));
                let nulls = (k.null_count as f64 / rows).min(1.0);
                // Small integers and dates cannot have more values than their range.
                let range = at(&k.min).zip(at(&k.max));
                let whole = matches!(
                    k.min,
                    Some(Datum::Int16(_) | Datum::Int32(_) | Datum::Int64(_) | Datum::Date(_))
                );
                let most = range.filter(|_| whole).map_or(rows, |(lo, hi)| hi - lo + 1.0);
                let distinct = if k.distinct > 0.0 { k.distinct } else { rows };
                ColumnEstimate {
                    distinct: distinct.min(most).clamp(1.0, rows),
                    range,
                    nulls,
                    width: if k.avg_width > 0.0 { k.avg_width } else { width_of(c.ty) },
                    normal: None,
                }
            });
            out.columns.insert(c.id, known.unwrap_or_else(|| ColumnEstimate::unknown(rows, c.ty)));
        }
        let id_of = |i: usize| s.columns.iter().find(|(_, at)| *at == i).map(|(c, _)| c.id);
        for index in s.table.indexes.iter().filter(|i| i.unique) {
            if let Some(ids) = index.columns.iter().map(|k| id_of(k.column)).collect::<Option<Vec<_>>>() {
                if let [one] = ids.as_slice()
                    && let Some(c) = out.columns.get_mut(one)
                {
                    c.distinct = rows * (1.0 - c.nulls);
                }
                out.domains.push((ids, rows));
            }
        }
        for fk in &s.table.foreign_keys {
            if let Some(ids) = fk.columns.iter().map(|c| id_of(*c)).collect::<Option<Vec<_>>>() {
                let most = (self.catalog.stats(fk.ref_table).rows as f64).max(1.0);
                if let [one] = ids.as_slice()
                    && let Some(c) = out.columns.get_mut(one)
                {
                    c.distinct = c.distinct.min(most);
                }
                out.domains.push((ids, most.min(rows)));
            }
        }
        out
    }

    fn scan(&mut self, s: &Scan) -> (Rows, f64, f64) {
        let mut rows = self.table(s);
        let all = rows.rows;
        rows.filter(&s.filter);
        if let Some(access) = &s.index {
            // What the index decides is not in the filter.
            let index = s.table.indexes.iter().find(|i| i.id == access.index);
            let mut share = 1.0;
            if let Some(index) = index {
                for (k, _) in index.columns.iter().zip(&access.equal) {
                    let c =
                        s.columns.iter().find(|(_, i)| *i == k.column).map(|(c, _)| rows.column(c.id, c.ty));
                    share /= c.map_or(10.0, |c| c.distinct.max(1.0));
                }
                if index.unique && access.equal.len() == index.columns.len() {
                    share = share.min(1.0 / all);
                }
            }
            if access.lower.is_some() || access.upper.is_some() {
                share *= 0.1;
            }
            rows.scale(share);
            let cost = cost::INDEX_PROBE + all * share * cost::INDEX_ROW;
            return (rows, cost, 0.0);
        }
        let columns = s.columns.len().max(1) as f64;
        let cost = all * (cost::SCAN_COLUMN * columns + cost::CONJUNCT * s.filter.len() as f64);
        (rows, cost, 0.0)
    }

    fn join_node(&mut self, j: &Join) -> (Rows, f64, f64) {
        let ((l, a), (r, b)) = (self.of(&j.left), self.of(&j.right));
        let rows = join_rows(j.kind, &l, &r, &j.on, &j.right);
        if j.lookup.is_some() {
            let total = a.cost + cost::index_join(l.rows, rows.rows);
            return (rows, total, a.startup);
        }
        let own = match has_keys(&j.on, &j.left, &j.right) {
            true => cost::hash_join(l.rows, r.rows, rows.rows),
            false => cost::nested_loop(l.rows, r.rows, rows.rows),
        };
        let total = a.cost + b.cost + own;
        (rows, total, a.startup + b.cost + r.rows * 2.0)
    }
}

/// Whether some conjunct is an equality between the sides.
pub(crate) fn has_keys(on: &[Expr], left: &Plan, right: &Plan) -> bool {
    let (l, r) = (crate::tree::output(left), crate::tree::output(right));
    on.iter().any(|e| {
        split_equality(e, &r).is_some_and(|(_, o, _)| {
            let read = o.columns();
            !read.is_empty() && read.is_subset(&l)
        })
    })
}

/// How many rows a join puts out; `right_columns` are the right side's.
pub(crate) fn join_size(kind: JoinKind, l: &Rows, r: &Rows, on: &[Expr], right_columns: &ColSet) -> f64 {
    joined_rows(kind, l, r, on, right_columns).rows
}

fn join_rows(kind: JoinKind, l: &Rows, r: &Rows, on: &[Expr], right: &Plan) -> Rows {
    joined_rows(kind, l, r, on, &crate::tree::output(right))
}

/// Rows of a join.
fn joined_rows(kind: JoinKind, l: &Rows, r: &Rows, on: &[Expr], right_columns: &ColSet) -> Rows {
    let (mut keys, mut rest) = (vec![], vec![]);
    for e in on {
        match split_equality(e, right_columns) {
            Some((inner, outer, _)) if !outer.columns().is_empty() => keys.push((outer, inner)),
            _ => rest.push(e.clone()),
        }
    }
    let mut both = Rows { rows: 0.0, columns: l.columns.clone(), domains: l.domains.clone() };
    both.columns.extend(r.columns.iter().map(|(k, v)| (*k, *v)));
    both.domains.extend(r.domains.iter().cloned());
    both.rows = l.rows * r.rows * key_selectivity(l, r, &keys);
    let per_rest: f64 = combined(rest.iter().map(|e| both.selectivity(e)).collect());
    let matched = both.rows * per_rest;
    let share_of = |a: &Rows, b: &Rows, swap: bool| -> f64 {
        // The share of `a`'s rows whose keys occur in `b` and for which some partner passes the other conjuncts.
        let mut share: f64 = 1.0;
        for (x, y) in &keys {
            let (x, y) = if swap { (y, x) } else { (x, y) };
            let (dx, dy) = (a.expression(x).distinct.max(1.0), b.expression(y).distinct);
            share = share.min((dy / dx).min(1.0));
        }
        let partners = (both.rows / (a.rows * share).max(1.0)).max(1.0);
        share * (1.0 - (1.0 - per_rest).powf(partners))
    };
    match kind {
        JoinKind::Inner => {
            set_join_rows(&mut both, matched, &keys);
            both
        }
        JoinKind::Left => {
            set_join_rows(&mut both, matched.max(l.rows), &[]);
            both
        }
        JoinKind::Right => {
            set_join_rows(&mut both, matched.max(r.rows), &[]);
            both
        }
        JoinKind::Full => {
            set_join_rows(&mut both, matched.max(l.rows + r.rows * 0.1), &[]);
            both
        }
        JoinKind::Single => {
            set_join_rows(&mut both, l.rows, &[]);
            both
        }
        JoinKind::Mark(_) => l.clone(),
        JoinKind::Semi => {
            let mut out = l.clone();
            out.scale(share_of(l, r, false));
            out
        }
        JoinKind::Anti => {
            let mut out = l.clone();
            out.scale((1.0 - share_of(l, r, false)).max(0.05));
            out
        }
        JoinKind::RightSemi => {
            let mut out = r.clone();
            out.scale(share_of(r, l, true));
            out
        }
        JoinKind::RightAnti => {
            let mut out = r.clone();
            out.scale((1.0 - share_of(r, l, true)).max(0.05));
            out
        }
    }
}

fn set_join_rows(rows: &mut Rows, count: f64, keys: &[(&Expr, &Expr)]) {
    rows.rows = count;
    // Joined key columns have the values that both sides have.
    for (a, b) in keys {
        if let (Some(a), Some(b)) = (as_column(a), as_column(b)) {
            let of = |id| rows.columns.get(&id).map_or(f64::MAX, |c: &ColumnEstimate| c.distinct);
            let d = of(a).min(of(b));
            for id in [a, b] {
                if let Some(c) = rows.columns.get_mut(&id) {
                    c.distinct = d;
                }
            }
        }
    }
    rows.columns.values_mut().for_each(|c| c.distinct = c.distinct.min(count.max(1.0)));
}

/// The share of pairs whose keys agree. Several keys multiply only as far as the number of value combinations that a
/// base table's key allows.
pub(crate) fn key_selectivity(l: &Rows, r: &Rows, keys: &[(&Expr, &Expr)]) -> f64 {
    let each: Vec<f64> = keys
        .iter()
        .map(|(a, b)| 1.0 / l.expression(a).distinct.max(r.expression(b).distinct).max(1.0))
        .collect();
    if keys.len() < 2 {
        return each.into_iter().product();
    }
    let ids = |side: usize| -> Vec<ColId> {
        keys.iter().filter_map(|(a, b)| as_column(if side == 0 { a } else { b })).collect()
    };
    let known = |rows: &Rows, ids: &[ColId]| {
        let within = rows.domains.iter().filter(|(d, _)| d.len() > 1 && d.iter().all(|c| ids.contains(c)));
        within.map(|(_, n)| *n).fold(None, |a: Option<f64>, n| Some(a.map_or(n, |a| a.min(n))))
    };
    let (a, b) = (known(l, &ids(0)), known(r, &ids(1)));
    match (a, b) {
        (Some(n), None) | (None, Some(n)) => 1.0 / n.max(1.0),
        (Some(a), Some(b)) => 1.0 / a.min(b).max(1.0),
        (None, None) => combined(each),
    }
}

/// Distinct combinations of several columns.
fn combinations(keys: &[ColumnEstimate], rows: f64, ids: Option<&[ColId]>, of: &Rows) -> f64 {
    let mut distinct: Vec<f64> = keys.iter().map(|k| k.distinct.max(1.0)).collect();
    distinct.sort_by(|a, b| b.total_cmp(a));
    let mut product: f64 =
        distinct.iter().enumerate().map(|(i, d)| if i < 2 { *d } else { d.powf(0.75) }).product();
    if let Some(ids) = ids {
        for (domain, n) in &of.domains {
            if domain.iter().all(|c| ids.contains(c)) && domain.len() == ids.len() {
                product = product.min(*n);
            }
        }
    }
    product.clamp(1.0, rows.max(1.0))
}

fn aggregate_column(a: &crate::AggregateCall, rows: &Rows, groups: f64) -> ColumnEstimate {
    let mut out = ColumnEstimate::unknown(groups, a.out.ty);
    let per_group = rows.rows / groups.max(1.0);
    let argument = a.args.first().map(|e| rows.expression(e));
    match (a.function.name, argument) {
        ("min" | "max", Some(c)) => {
            out.range = c.range;
            out.distinct = c.distinct.min(groups);
        }
        ("avg", Some(c)) => out.range = c.range,
        ("count", _) if !a.distinct => out.normal = Some((per_group, per_group.sqrt())),
        ("sum", Some(ColumnEstimate { range: Some((lo, hi)), .. })) => {
            // A random number of uniform values: variance of the sum is n * E[x^2].
            let mean = (lo + hi) / 2.0;
            let square = mean * mean + (hi - lo) * (hi - lo) / 12.0;
            out.normal = Some((per_group * mean, (per_group * square).sqrt()));
        }
        _ => {}
    }
    out
}

fn values(columns: &[OutCol], rows: &[Vec<Expr>]) -> Rows {
    let mut out = unknown(rows.len() as f64, columns);
    for (i, c) in columns.iter().enumerate() {
        let at = |r: &Vec<Expr>| match r.get(i) {
            Some(Expr::Const { value, ty }) => place(value, *ty),
            _ => None,
        };
        let all: Vec<f64> = rows.iter().filter_map(at).collect();
        if let Some(e) = out.columns.get_mut(&c.id).filter(|_| all.len() == rows.len() && !all.is_empty()) {
            let lo = all.iter().copied().fold(f64::MAX, f64::min);
            let hi = all.iter().copied().fold(f64::MIN, f64::max);
            e.range = Some((lo, hi));
        }
    }
    out
}

fn unknown<'c>(rows: f64, columns: impl IntoIterator<Item = &'c OutCol>) -> Rows {
    let columns = columns.into_iter().map(|c| (c.id, ColumnEstimate::unknown(rows, c.ty))).collect();
    Rows { rows, columns, domains: vec![] }
}

fn merge_column(columns: &mut HashMap<ColId, ColumnEstimate>, c: &OutCol, new: ColumnEstimate) {
    match columns.get_mut(&c.id) {
        None => {
            columns.insert(c.id, new);
        }
        Some(old) => {
            old.distinct += new.distinct;
            old.range = old.range.zip(new.range).map(|((a, b), (c, d))| (a.min(c), b.max(d)));
            old.normal = None;
        }
    }
}

fn take_rows(rows: &mut Rows, most: f64) {
    rows.rows = rows.rows.min(most);
    let n = rows.rows.max(1.0);
    rows.columns.values_mut().for_each(|c| c.distinct = c.distinct.min(n));
}

/// Rows of a table function: known for `generate_series` over constants.
fn function_rows(name: &str, args: &[Expr]) -> f64 {
    let number = |i: usize| match args.get(i) {
        Some(Expr::Const { value, ty }) => place(value, *ty),
        _ => None,
    };
    match (name, number(0), number(1)) {
        ("generate_series", Some(a), Some(b)) if args.len() == 2 => (b - a + 1.0).max(0.0),
        ("generate_series", Some(a), Some(b)) => {
            number(2).filter(|s| *s != 0.0).map_or(1000.0, |s| ((b - a) / s + 1.0).max(0.0))
        }
        _ => 1000.0,
    }
}

/// Whether a comparison is one that an index range decides.
pub(crate) fn is_range(op: Comparison) -> bool {
    matches!(op, Comparison::Lt | Comparison::LtEq | Comparison::Gt | Comparison::GtEq)
}
