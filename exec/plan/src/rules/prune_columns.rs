//! Drops columns that nothing above reads, down to the scans; where an operator copies its input's rows (join sides,
//! sorts, windows, shared definitions), a projection keeps the unread ones out.

use std::collections::{BTreeSet, HashMap};

use spg_expr::{ColId, Expr};
use spg_types::Result;

use super::Context;
use super::logic::{as_column, interchangeable, split_equality};
use crate::props::{equated, props};
use crate::tree::{ColSet, exprs, output, passes, projected, refs, take};
use crate::{CteId, Join, JoinKind, OutCol, Plan};

pub(crate) fn run(plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    let need = cx.output.clone();
    Ok(Pruner { drops_joins: cx.env.enabled, ..Pruner::default() }.prune(plan, &need))
}

#[derive(Default)]
struct Pruner {
    /// Positions read of each common table expression's definition, so far.
    read: HashMap<CteId, BTreeSet<usize>>,
    /// Also drop joins that change nothing.
    drops_joins: bool,
}

impl Pruner {
    /// `plan` with at least the columns `need`, and few others.
    fn prune(&mut self, mut plan: Plan, need: &ColSet) -> Plan {
        let own: ColSet = refs(&plan).into_iter().collect();
        match &mut plan {
            Plan::Scan(s) => {
                s.columns.retain(|(c, _)| need.contains(&c.id) || own.contains(&c.id));
                s.row_id = s.row_id.filter(|r| need.contains(r) || own.contains(r));
                return plan;
            }
            Plan::Values { columns, rows } => {
                let keep: Vec<bool> = columns.iter().map(|c| need.contains(&c.id)).collect();
                retain_by(columns, &keep);
                rows.iter_mut().for_each(|r| retain_by(r, &keep));
                return plan;
            }
            Plan::SystemScan { columns, .. } => {
                columns.retain(|(c, _)| need.contains(&c.id));
                return plan;
            }
            Plan::TableFunction { .. } => return plan,
            Plan::CteScan { cte, columns, .. } => {
                columns.retain(|(c, _)| need.contains(&c.id));
                let read = self.read.entry(*cte).or_default();
                read.extend(columns.iter().map(|(_, i)| *i));
                return plan;
            }
            Plan::Project { input, exprs: list } => {
                list.retain(|e| need.contains(&e.out.id));
                // What only passes columns on changes nothing: operators that copy rows get their own below.
                if list.iter().all(passes) && !list.is_empty() {
                    let inner = take(input);
                    return self.prune(inner, need);
                }
            }
            Plan::Aggregate { aggregates, grouping, .. } => {
                aggregates.retain(|a| need.contains(&a.out.id));
                if grouping.as_ref().is_some_and(|g| !need.contains(&g.id)) {
                    *grouping = None;
                }
            }
            Plan::Window { input, calls, .. } => {
                calls.retain(|c| need.contains(&c.out.id));
                if calls.is_empty() {
                    let inner = take(input);
                    return self.prune(inner, need);
                }
            }
            Plan::Join(Join { kind: JoinKind::Mark(id), left, .. }) if !need.contains(id) => {
                let inner = take(left);
                return self.prune(inner, need);
            }
            Plan::Join(j) if self.drops_joins => {
                if let Some(kept) = keeps_all(j, need) {
                    let inner = take(if kept == Side::Left { &mut j.left } else { &mut j.right });
                    return self.prune(inner, need);
                }
            }
            Plan::Union { inputs, columns } => {
                let keep: Vec<bool> = columns.iter().map(|c| need.contains(&c.id)).collect();
                retain_by(columns, &keep);
                inputs.iter_mut().for_each(|(_, ids)| retain_by(ids, &keep));
            }
            Plan::With { .. } => return self.with(plan, need),
            Plan::Recursive { cte, columns, .. } => {
                // The working table's positions are fixed: all are read.
                self.read.entry(*cte).or_default().extend(0..columns.len());
            }
            _ => {}
        }
        self.inputs(plan, need)
    }

    fn inputs(&mut self, mut plan: Plan, need: &ColSet) -> Plan {
        let mut all = need.clone();
        all.extend(refs(&plan));
        let copies = matches!(plan, Plan::Join(_) | Plan::Sort { .. } | Plan::Window { .. });
        let everything = match &plan {
            Plan::SetOp { .. } | Plan::Recursive { .. } => false,
            Plan::Distinct { on, .. } => on.is_none(),
            Plan::Modify(_) => true,
            _ => false,
        };
        // A semi join's other side is read by the condition alone.
        let mut needs: Vec<ColSet> = plan.inputs().iter().map(|_| all.clone()).collect();
        if let Plan::Join(j) = &plan {
            let condition: ColSet = exprs(&plan).into_iter().flat_map(|e| e.columns()).collect();
            match j.kind {
                JoinKind::Semi | JoinKind::Anti | JoinKind::Mark(_) => needs[1] = condition,
                JoinKind::RightSemi | JoinKind::RightAnti => needs[0] = condition,
                _ => {}
            }
        }
        for (input, need) in plan.inputs_mut().into_iter().zip(needs) {
            let inner = take(input);
            let columns = inner.columns();
            let need = if everything { columns.iter().map(|c| c.id).collect() } else { need };
            let inner = self.prune(inner, &need);
            *input = match (everything, copies) {
                (true, _) => projected(inner, &columns),
                (false, true) => trimmed(inner, &need),
                (false, false) => inner,
            };
        }
        plan
    }

    /// The body first: it says which columns of the definition are read.
    fn with(&mut self, plan: Plan, need: &ColSet) -> Plan {
        let Plan::With { cte, name, definition, body } = plan else { return plan };
        let body = self.prune(*body, need);
        let read = self.read.remove(&cte);
        if read.is_none() && !crate::tree::modifies(&definition) {
            return body;
        }
        let columns = definition.columns();
        let read = read.unwrap_or_default();
        let kept: Vec<OutCol> = read.iter().filter_map(|i| columns.get(*i)).cloned().collect();
        let mut definition = self.prune(*definition, &kept.iter().map(|c| c.id).collect());
        match &mut definition {
            // What changes data stands by itself: it returns less, but its rows are counted.
            Plan::Modify(m) if kept.is_empty() => m.returning.truncate(1),
            Plan::Modify(m) => m.returning.retain(|e| kept.iter().any(|c| c.id == e.out.id)),
            _ => definition = projected(definition, &kept),
        }
        let mut body = body;
        crate::tree::visit_mut(&mut body, &mut |p| {
            if let Plan::CteScan { cte: c, columns, .. } = p
                && *c == cte
            {
                for (_, i) in columns {
                    *i = read.iter().position(|r| r == i).unwrap_or(*i);
                }
            }
        });
        Plan::With { cte, name, definition: Box::new(definition), body: Box::new(body) }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
}

/// The side whose rows are exactly the join's, of which nothing else is read: the join may go.
fn keeps_all(j: &Join, need: &ColSet) -> Option<Side> {
    let unread = |p: &Plan| output(p).is_disjoint(need);
    match j.kind {
        JoinKind::Left if unread(&j.right) => {
            let (_, keys) = equated(&j.on, &j.left, &j.right);
            props(&j.right).unique(&keys).then_some(Side::Left)
        }
        JoinKind::Inner if unread(&j.right) && references(&j.left, &j.right, &j.on) => Some(Side::Left),
        JoinKind::Inner if unread(&j.left) && references(&j.right, &j.left, &j.on) => Some(Side::Right),
        JoinKind::Semi if references(&j.left, &j.right, &j.on) => Some(Side::Left),
        _ => None,
    }
}

/// Whether `on` follows a foreign key from each row of `from` to a whole table: each finds exactly one row.
fn references(from: &Plan, to: &Plan, on: &[Expr]) -> bool {
    let Plan::Scan(target) = to else { return false };
    if !target.filter.is_empty() || target.index.is_some() || on.is_empty() {
        return false;
    }
    let target_columns = output(to);
    let pairs: Option<Vec<(ColId, usize)>> = on
        .iter()
        .map(|e| {
            let (key, other, nulls) = split_equality(e, &target_columns)?;
            let at = target.columns.iter().find(|(c, _)| Some(c.id) == as_column(key)).map(|(_, i)| *i)?;
            (!nulls && interchangeable(key.ty(), other.ty())).then_some((as_column(other)?, at))
        })
        .collect();
    let Some(pairs) = pairs else { return false };
    let mut found = false;
    crate::tree::visit(from, &mut |p| {
        let Plan::Scan(s) = p else { return };
        let place = |id: ColId| s.columns.iter().find(|(c, _)| c.id == id).map(|(_, i)| *i);
        found |= s.table.foreign_keys.iter().any(|fk| {
            let covers = |(id, at): &(ColId, usize)| {
                let key = place(*id).and_then(|i| fk.columns.iter().position(|c| *c == i));
                key.is_some_and(|k| fk.ref_columns[k] == *at)
            };
            let all: ColSet = pairs.iter().map(|(id, _)| *id).collect();
            fk.ref_table == target.table.id && all.len() == fk.columns.len() && pairs.iter().all(covers)
        });
    });
    found && {
        let p = props(from);
        pairs.iter().all(|(id, _)| p.not_null.contains(id))
    }
}

fn retain_by<T>(list: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter();
    list.retain(|_| keep.next().copied().unwrap_or(true));
}

/// Without the columns that are not needed.
fn trimmed(plan: Plan, need: &ColSet) -> Plan {
    let columns = plan.columns();
    let kept: Vec<OutCol> = columns.iter().filter(|c| need.contains(&c.id)).cloned().collect();
    match kept.len() == columns.len() {
        true => plan,
        false => projected(plan, &kept),
    }
}
