//! Decides where an index is read: point reads by key always, ranges and lookup joins where they cost less than scans,
//! ORDER BY ... LIMIT in an index's order.

use spg_expr::{ColId, Comparison, Expr};
use spg_types::{Datum, IndexDef, Result, SqlType, def};

use super::Context;
use super::logic::{is_fixed, split_equality};
use crate::stats::{Estimator, is_range};
use crate::tree::{output, take};
use crate::{IndexAccess, IndexLookup, Join, JoinKind, Plan, Scan, SortKey, cost};

pub(crate) fn run(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    let mut estimator = Estimator::new(cx.env.catalog);
    choose(&mut plan, &mut estimator);
    Ok(plan)
}

fn choose(plan: &mut Plan, estimator: &mut Estimator<'_>) {
    match plan {
        Plan::With { cte, definition, body, .. } => {
            choose(definition, estimator);
            estimator.define(*cte, definition);
            return choose(body, estimator);
        }
        Plan::Scan(s) if s.index.is_none() && !s.filter.is_empty() => by_filter(s, estimator),
        Plan::Join(j) => {
            choose(&mut j.left, estimator);
            lookup(j, estimator);
            if j.lookup.is_none() {
                choose(&mut j.right, estimator);
            }
            return;
        }
        Plan::Sort { input, keys, limit: Some(n) } => {
            let n = *n;
            if in_order(input, keys, n, estimator) {
                let limit = i64::try_from(n).ok().map(super::context::int8);
                let input = Box::new(take(input));
                *plan = Plan::Limit { input, limit, offset: None, ties: None };
                return;
            }
        }
        _ => {}
    }
    plan.inputs_mut().into_iter().for_each(|p| choose(p, estimator));
}

/// A bound on a column: conjunct's place, comparison, value of the column's type.
struct Bound {
    at: usize,
    op: Comparison,
    value: Expr,
}

/// What the filter says of a table column in a form that an index decides.
fn bounds(s: &Scan, column: usize) -> Vec<Bound> {
    let Some((out, _)) = s.columns.iter().find(|(_, i)| *i == column) else { return vec![] };
    let mut list = vec![];
    for (at, e) in s.filter.iter().enumerate() {
        let Some((op, a, b)) = e.as_comparison() else { continue };
        for (op, a, b) in [(op, a, b), (op.swap(), b, a)] {
            if is_column(a, out.id) && is_fixed(b) && (op == Comparison::Eq || is_range(op)) {
                list.extend(as_type(b, out.ty).map(|value| Bound { at, op, value }));
            }
        }
    }
    list
}

/// The column, or its relabelling as text.
fn is_column(e: &Expr, id: ColId) -> bool {
    match e {
        Expr::Column { id: c, .. } => *c == id,
        Expr::Cast { input, ty, .. } => {
            ty.is(&def::TEXT) && input.ty().is(&def::VARCHAR) && is_column(input, id)
        }
        _ => false,
    }
}

/// A value of the column's type with the same order, if the expression is or folds to one.
fn as_type(e: &Expr, ty: SqlType) -> Option<Expr> {
    let strings = |t: SqlType| t.is(&def::TEXT) || t.is(&def::VARCHAR);
    if e.ty().same_def(ty) || (strings(e.ty()) && strings(ty)) {
        return (e.ty().repr() == ty.repr()).then(|| e.clone());
    }
    let Expr::Const { value, .. } = e else { return None };
    let whole = match value {
        Datum::Int16(v) => i64::from(*v),
        Datum::Int32(v) => i64::from(*v),
        Datum::Int64(v) => *v,
        _ => return None,
    };
    let value = match ty.repr() {
        spg_types::Repr::Int16 => Datum::Int16(whole.try_into().ok()?),
        spg_types::Repr::Int32 if !ty.is(&def::OID) => Datum::Int32(whole.try_into().ok()?),
        spg_types::Repr::Int64 if ty.is(&def::INT8) => Datum::Int64(whole),
        _ => return None,
    };
    Some(Expr::Const { value, ty })
}

/// The best index for a scan's filter, where it is better than reading all.
fn by_filter(s: &mut Scan, estimator: &Estimator<'_>) {
    let table = estimator.table(s);
    let columns = s.columns.len().max(1) as f64;
    let all = table.rows * (cost::SCAN_COLUMN * columns + cost::CONJUNCT * s.filter.len() as f64);
    let mut best: Option<(f64, IndexAccess, Vec<usize>)> = None;
    for index in &s.table.indexes {
        let Some((access, used, point)) = access(s, index) else { continue };
        let mut rows = table.clone();
        let decided: Vec<Expr> = used.iter().map(|i| s.filter[*i].clone()).collect();
        rows.filter(&decided);
        let cost = if point { 0.0 } else { cost::INDEX_PROBE + rows.rows * cost::INDEX_ROW };
        if (point || cost < all * 0.5) && best.as_ref().is_none_or(|b| cost < b.0) {
            best = Some((cost, access, used));
        }
    }
    let Some((_, access, used)) = best else { return };
    // Conditions that bound a range stay where NULL keys could lie beyond an open end.
    let open_null = |e: &Expr| {
        let range = e.as_comparison().is_some_and(|(op, ..)| is_range(op));
        let nullable = |c: &ColId| {
            let column =
                s.columns.iter().find(|(o, _)| o.id == *c).and_then(|(_, i)| s.table.columns.get(*i));
            column.is_none_or(|d| !d.not_null)
        };
        range && e.columns().iter().any(nullable)
    };
    let mut at = 0;
    let stays: Vec<bool> =
        s.filter.iter().enumerate().map(|(i, e)| !used.contains(&i) || open_null(e)).collect();
    s.filter.retain(|_| {
        at += 1;
        stays[at - 1]
    });
    s.index = Some(access);
}

/// How an index would serve the filter: equal leading columns, then a range; the conjuncts it decides; whether it finds
/// at most one row.
fn access(s: &Scan, index: &IndexDef) -> Option<(IndexAccess, Vec<usize>, bool)> {
    let mut access = IndexAccess { index: index.id, equal: vec![], lower: None, upper: None, reverse: false };
    let mut used = vec![];
    for key in &index.columns {
        let list = bounds(s, key.column);
        if let Some(b) = list.iter().find(|b| b.op == Comparison::Eq) {
            access.equal.push(b.value.clone());
            used.push(b.at);
            continue;
        }
        if !key.descending {
            for b in list {
                let inclusive = matches!(b.op, Comparison::LtEq | Comparison::GtEq);
                let end = match b.op {
                    Comparison::Lt | Comparison::LtEq => &mut access.upper,
                    _ => &mut access.lower,
                };
                if end.is_none() {
                    *end = Some((b.value, inclusive));
                    used.push(b.at);
                }
            }
        }
        break;
    }
    let point = index.unique && access.equal.len() == index.columns.len();
    (!used.is_empty()).then_some((access, used, point))
}

/// Looks left rows up one by one where that costs less than a hash table or a scan of the right side.
fn lookup(j: &mut Join, estimator: &mut Estimator<'_>) {
    let Plan::Scan(s) = &*j.right else { return };
    let kinds = matches!(
        j.kind,
        JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti | JoinKind::Single
    );
    if !kinds || s.index.is_some() || !s.join_filters.is_empty() || s.row_id.is_some() {
        return;
    }
    let right = output(&j.right);
    let mut best: Option<IndexLookup> = None;
    for index in &s.table.indexes {
        let mut keys = vec![];
        for key in &index.columns {
            let Some((out, _)) = s.columns.iter().find(|(_, i)| *i == key.column) else { break };
            let value = j.on.iter().find_map(|e| {
                let (a, b, nulls) = split_equality(e, &right)?;
                let fits = is_column(a, out.id) && b.ty().same_def(out.ty) && b.ty().repr() == out.ty.repr();
                (fits && !nulls).then(|| b.clone())
            });
            match value {
                Some(v) => keys.push(v),
                None => break,
            }
        }
        // A lookup takes the whole key.
        if keys.len() == index.columns.len() && (index.unique || best.is_none()) {
            best = Some(IndexLookup { index: index.id, keys });
        }
    }
    let Some(found) = best else { return };
    let left = estimator.rows(&j.left).rows;
    let right_all = estimator.table(s).rows;
    let (right_rows, right_estimate) = estimator.of(&j.right);
    let probe = Join { lookup: None, ..j.clone() };
    let out = estimator.rows(&Plan::Join(probe)).rows;
    // Rows that the index finds before the scan's filter drops some.
    let fetched = out * (right_all / right_rows.rows.max(1.0)).max(1.0);
    let hash = right_estimate.cost + cost::hash_join(left, right_rows.rows, out);
    if cost::index_join(left, fetched) < hash * 0.5 {
        j.lookup = Some(found);
    }
}

/// Reads the scan under `plan` in the order of `keys` through an index, if that finds the first `n` rows sooner.
fn in_order(plan: &mut Plan, keys: &[SortKey], n: u64, estimator: &Estimator<'_>) -> bool {
    let s = match plan {
        Plan::Scan(s) => s,
        Plan::Project { input, exprs } if exprs.iter().all(crate::tree::passes) => {
            return in_order(input, keys, n, estimator);
        }
        _ => return false,
    };
    if s.index.is_some() || !s.join_filters.is_empty() {
        return false;
    }
    let table = estimator.table(s);
    let mut found = None;
    for index in &s.table.indexes {
        let equal: Vec<Bound> = index
            .columns
            .iter()
            .map_while(|k| bounds(s, k.column).into_iter().find(|b| b.op == Comparison::Eq))
            .collect();
        let rest = &index.columns[equal.len().min(index.columns.len())..];
        let Some(reverse) = direction(s, rest, keys) else { continue };
        // Without other conditions the first rows of the index are the answer.
        if equal.len() == s.filter.len() {
            let used: Vec<usize> = equal.iter().map(|b| b.at).collect();
            let equal = equal.into_iter().map(|b| b.value).collect();
            found = Some((IndexAccess { index: index.id, equal, lower: None, upper: None, reverse }, used));
            break;
        }
    }
    let Some((access, used)) = found else { return false };
    let by_index = cost::INDEX_PROBE + n as f64 * cost::INDEX_ROW;
    if by_index > table.rows * cost::SCAN_COLUMN * 0.5 {
        return false;
    }
    let mut at = 0;
    s.filter.retain(|_| {
        at += 1;
        !used.contains(&(at - 1))
    });
    s.index = Some(access);
    true
}

/// Whether index columns have the order of the keys: forwards, or backwards.
fn direction(s: &Scan, columns: &[spg_types::IndexColumn], keys: &[SortKey]) -> Option<bool> {
    if keys.is_empty() || keys.len() > columns.len() {
        return None;
    }
    let mut reverse = None;
    for (k, c) in keys.iter().zip(columns) {
        let (out, at) = s.columns.iter().find(|(o, _)| o.id == k.column)?;
        let _ = out;
        if *at != c.column {
            return None;
        }
        let backwards = k.descending != c.descending;
        let not_null = s.table.columns.get(*at).is_some_and(|d| d.not_null);
        if !not_null && (k.nulls_first != c.nulls_first) != backwards {
            return None;
        }
        if *reverse.get_or_insert(backwards) != backwards {
            return None;
        }
    }
    reverse
}
