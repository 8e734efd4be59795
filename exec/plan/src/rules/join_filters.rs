//! Lets the build sides of hash joins restrict the scans of their probe sides at run time, where that drops enough rows.
//!
//! A scan's rows may be dropped when the join's condition would drop whatever is made of them: through filters,
//! projections, other joins (a padded key is NULL and matches nothing), aggregates and windows on the key.

use spg_expr::{ColId, Comparison, Expr};
use spg_types::Result;

use super::Context;
use super::logic::{as_column, interchangeable, split_equality};
use crate::stats::Estimator;
use crate::tree::{output, passes};
use crate::{Join, JoinFilterId, JoinKind, Plan};

/// A filter must be expected to drop at least this share of the scan's values.
const WORTH: f64 = 0.3;
/// Scans below this size are read faster than filtered.
const SMALL_SCAN: f64 = 10_000.0;

pub(crate) fn run(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    let mut estimator = Estimator::new(cx.env.catalog);
    attach(&mut plan, cx, &mut estimator);
    Ok(plan)
}

fn attach(plan: &mut Plan, cx: &mut Context<'_>, estimator: &mut Estimator<'_>) {
    match plan {
        Plan::With { cte, definition, body, .. } => {
            attach(definition, cx, estimator);
            estimator.define(*cte, definition);
            return attach(body, cx, estimator);
        }
        Plan::Join(j) if drops_unmatched(j.kind) && j.lookup.is_none() => at_join(j, cx, estimator),
        _ => {}
    }
    plan.inputs_mut().into_iter().for_each(|p| attach(p, cx, estimator));
}

/// Whether left rows without a match leave no trace.
fn drops_unmatched(kind: JoinKind) -> bool {
    matches!(
        kind,
        JoinKind::Inner | JoinKind::Semi | JoinKind::Right | JoinKind::RightSemi | JoinKind::RightAnti
    )
}

fn at_join(j: &mut Join, cx: &mut Context<'_>, estimator: &mut Estimator<'_>) {
    let right = output(&j.right);
    let keys: Vec<(ColId, Expr)> =
        j.on.iter()
            .filter(|e| matches!(e.as_comparison(), Some((Comparison::Eq, ..))))
            .filter_map(|e| {
                let (build, probe, _) = split_equality(e, &right)?;
                interchangeable(build.ty(), probe.ty()).then_some((as_column(probe)?, build.clone()))
            })
            .collect();
    if keys.is_empty() {
        return;
    }
    let build = estimator.rows(&j.right);
    for (column, key) in keys {
        let distinct = build.expression(&key).distinct.min(build.rows);
        let id = cx.ids.join_filter();
        let filter = Filter { id, distinct, cut: build.rows < 1.0, estimator };
        if filter.reach(&mut j.left, column) {
            j.join_filters.push((id, key));
        }
    }
}

struct Filter<'a, 'c> {
    id: JoinFilterId,
    /// Distinct values that pass.
    distinct: f64,
    /// Nothing passes.
    cut: bool,
    estimator: &'a Estimator<'c>,
}

impl Filter<'_, '_> {
    /// Attaches to the scans that make `column`; whether there is one worth it.
    fn reach(&self, plan: &mut Plan, column: ColId) -> bool {
        match plan {
            Plan::Scan(s) => {
                if !s.columns.iter().any(|(c, _)| c.id == column) || s.index.is_some() {
                    return false;
                }
                let table = self.estimator.table(s);
                let all = table.columns.get(&column).map_or(table.rows, |c| c.distinct);
                let worth = table.rows >= SMALL_SCAN && (self.cut || self.distinct <= all * (1.0 - WORTH));
                if worth {
                    s.join_filters.push((self.id, column));
                }
                worth
            }
            Plan::Filter { input, .. }
            | Plan::ProjectSet { input, .. }
            | Plan::Sort { input, limit: None, .. } => self.reach(input, column),
            Plan::Project { input, exprs } => {
                let from = exprs.iter().find(|e| e.out.id == column).and_then(|e| as_column(&e.expr));
                from.is_some_and(|c| self.reach(input, c))
            }
            Plan::Join(Join { kind, left, right, on, .. }) => {
                let from_left = output(left).contains(&column);
                // What equals the key on the other side is restricted with it.
                let twin = on.iter().filter(|_| *kind == JoinKind::Inner).find_map(|e| {
                    let (a, b, nulls) = super::logic::as_equality(e)?;
                    let (x, y) = (as_column(a)?, as_column(b)?);
                    let other = if x == column {
                        y
                    } else if y == column {
                        x
                    } else {
                        return None;
                    };
                    (!nulls && interchangeable(a.ty(), b.ty())).then_some(other)
                });
                let visible = !matches!(kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_));
                let mut found = match (from_left, kind) {
                    (true, JoinKind::RightSemi | JoinKind::RightAnti) => false,
                    (true, _) => self.reach(left, column),
                    (false, JoinKind::Single) => false,
                    (false, _) if visible => self.reach(right, column),
                    _ => false,
                };
                if let Some(t) = twin {
                    let side = if from_left { right } else { left };
                    found |= output(side).contains(&t) && self.reach(side, t);
                }
                found
            }
            Plan::Aggregate { input, groups, sets, .. } => {
                let key = groups.iter().position(|g| g.out.id == column && passes(g));
                key.is_some_and(|i| sets.iter().all(|s| s.contains(&i))) && self.reach(input, column)
            }
            Plan::Window { input, partition, .. } => partition.contains(&column) && self.reach(input, column),
            Plan::Distinct { input, on } => {
                on.as_ref().is_none_or(|on| on.contains(&column)) && self.reach(input, column)
            }
            Plan::Union { inputs, columns } => {
                let Some(at) = columns.iter().position(|c| c.id == column) else { return false };
                let mut found = false;
                for (p, ids) in inputs {
                    found |= ids.get(at).is_some_and(|c| self.reach(p, *c));
                }
                found
            }
            Plan::SetOp { left, right, columns, .. } => {
                let Some(at) = columns.iter().position(|c| c.id == column) else { return false };
                let (l, r) = (left.1.get(at).copied(), right.1.get(at).copied());
                let first = l.is_some_and(|c| self.reach(&mut left.0, c));
                let second = r.is_some_and(|c| self.reach(&mut right.0, c));
                first || second
            }
            Plan::With { body, .. } => self.reach(body, column),
            _ => false,
        }
    }
}
