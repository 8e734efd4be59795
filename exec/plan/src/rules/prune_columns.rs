//! Drops columns that nothing above reads, down to the scans; where an operator copies its input's rows (join sides,
//! sorts, windows, shared definitions), a projection keeps the unread ones out.

use std::collections::{BTreeSet, HashMap};

use spg_types::Result;

use super::Context;
use crate::props::{equated, props};
use crate::tree::{ColSet, exprs, output, passes, projected, refs, take};
use crate::{CteId, Join, JoinKind, OutCol, Plan};

pub(crate) fn run(plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    let need = cx.output.clone();
    Ok(Pruner::default().prune(plan, &need))
}

#[derive(Default)]
struct Pruner {
    /// Positions read of each common table expression's definition, so far.
    read: HashMap<CteId, BTreeSet<usize>>,
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
            Plan::Join(Join { kind: JoinKind::Left, left, right, on, .. })
                if output(right).is_disjoint(need) && at_most_one_match(left, right, on) =>
            {
                let inner = take(left);
                return self.prune(inner, need);
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
        let definition = self.prune(*definition, &kept.iter().map(|c| c.id).collect());
        let definition = projected(definition, &kept);
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

/// Whether each left row meets at most one right row.
fn at_most_one_match(left: &Plan, right: &Plan, on: &[spg_expr::Expr]) -> bool {
    let (_, keys) = equated(on, left, right);
    props(right).unique(&keys)
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
