//! WITH, shared subplans, WITH RECURSIVE.

use std::collections::BTreeSet;
use std::sync::Arc;

use spg_expr::ColId;
use spg_plan::{CteId, OutCol, Plan};
use spg_types::{Error, Result, SqlType};

use super::{Flow, Lowering, Need, Shared};
use crate::key::words::Shape;
use crate::op::materialize::{Materialize, MaterializedScan};
use crate::op::recursive::{Import, Recursive, Round};
use crate::op::result::Results;
use crate::program::Dep;
use crate::scalar::Layout;

impl Lowering {
    pub(super) fn lower_with(
        &mut self,
        plan: &Plan,
        cte: CteId,
        definition: &Plan,
        body: &Plan,
        need: &Need,
    ) -> Result<Flow> {
        let mut used = BTreeSet::new();
        positions_read(body, cte, &mut used);
        if used.is_empty() && !is_read(body, cte) {
            return self.lower(body, need);
        }
        let columns = definition.columns();
        let kept: Vec<usize> = used.into_iter().collect();
        let wanted: Need = kept.iter().filter_map(|&i| columns.get(i)).map(|c| c.id).collect();
        let flow = self.lower(definition, &wanted)?;
        let positions =
            kept.iter().map(|&i| flow.layout.position(columns[i].id)).collect::<Result<Vec<_>>>()?;
        let slot = self.slot();
        let node = self.node(plan);
        let sink = self.sink(flow, node, Materialize { columns: positions, slot });
        self.ctes.insert(cte, Shared { slot, sink: Some(sink), kept });
        self.lower(body, need)
    }

    pub(super) fn lower_cte_scan(
        &mut self,
        plan: &Plan,
        cte: CteId,
        columns: &[(OutCol, usize)],
        need: &Need,
    ) -> Result<Flow> {
        let shared = self.ctes.get(&cte).cloned();
        let shared = shared.ok_or_else(|| Error::internal("a WITH query is not there"))?;
        let wanted: Vec<&(OutCol, usize)> = columns.iter().filter(|(c, _)| need.contains(&c.id)).collect();
        let place = |at: usize| {
            let place = shared.kept.iter().position(|&k| k == at);
            place.ok_or_else(|| Error::internal("a WITH query's column was not kept"))
        };
        let source = MaterializedScan {
            slot: shared.slot,
            columns: wanted.iter().map(|(_, at)| place(*at)).collect::<Result<_>>()?,
        };
        let layout = Layout::new(wanted.iter().map(|(c, _)| (c.id, c.ty)).collect());
        let deps = shared.sink.map(Dep::Sink).into_iter().collect();
        Ok(self.begin(self.node(plan), source, deps, layout))
    }

    pub(super) fn lower_recursive(
        &mut self,
        plan: &Plan,
        (cte, distinct): (CteId, bool),
        base: (&Plan, &[ColId]),
        step: (&Plan, &[ColId]),
        columns: &[OutCol],
    ) -> Result<Flow> {
        let node = self.node(plan);
        let types: Vec<SqlType> = columns.iter().map(|c| c.ty).collect();
        let mut deps = Vec::new();
        let (base, _) = self.round(base, None, &mut deps)?;
        let (step, working) = self.round(step, Some((cte, columns.len())), &mut deps)?;
        let working = working.ok_or_else(|| Error::internal("a recursion without a working table"))?;
        let source = Recursive { base, step, working, distinct: distinct.then(|| Shape::new(&types)) };
        let layout = Layout::new(columns.iter().map(|c| (c.id, c.ty)).collect());
        let mut flow = self.begin(node, source, deps, layout);
        flow.sequential();
        Ok(flow)
    }

    /// A program of its own for a part of a recursion, which reads rows kept outside and perhaps the working table.
    fn round(
        &mut self,
        (plan, output): (&Plan, &[ColId]),
        working: Option<(CteId, usize)>,
        deps: &mut Vec<Dep>,
    ) -> Result<(Round, Option<crate::run::Slot<crate::op::materialize::Materialized>>)> {
        let mut inner = Lowering { nodes: self.nodes.clone(), ..Lowering::default() };
        let mut imports = Vec::new();
        for (cte, shared) in &self.ctes {
            if is_read(plan, *cte) {
                let to = inner.slot();
                inner.ctes.insert(*cte, Shared { slot: to, sink: None, kept: shared.kept.clone() });
                imports.push(Import { from: shared.slot, to });
                deps.extend(shared.sink.map(Dep::Sink));
            }
        }
        let working = working.map(|(cte, width)| inner.import(cte, width));
        let need: Need = output.iter().copied().collect();
        let flow = inner.lower(plan, &need)?;
        let columns = output.iter().map(|id| flow.layout.position(*id)).collect::<Result<_>>()?;
        inner.end(flow, Results { columns });
        Ok((Round { program: Arc::new(inner.finish()), imports }, working))
    }
}

fn is_read(plan: &Plan, of: CteId) -> bool {
    matches!(plan, Plan::CteScan { cte, .. } if *cte == of)
        || plan.inputs().into_iter().any(|p| is_read(p, of))
}

fn positions_read(plan: &Plan, of: CteId, used: &mut BTreeSet<usize>) {
    if let Plan::CteScan { cte, columns, .. } = plan
        && *cte == of
    {
        used.extend(columns.iter().map(|(_, at)| *at));
    }
    plan.inputs().into_iter().for_each(|p| positions_read(p, of, used));
}
