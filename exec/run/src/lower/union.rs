//! UNION ALL, INTERSECT, EXCEPT.

use std::sync::Arc;

use spg_expr::{ColId, Expr};
use spg_plan::{OutCol, Plan, SetOpKind};
use spg_types::{Result, SqlType, def};

use super::{Flow, Lowering, Need};
use crate::key::words::Shape;
use crate::op::aggregate::{AggregateScan, Call, Grouping, HashAggregate};
use crate::op::set_op::{Copies, Reorder, Repeat, Tag};
use crate::pipeline::Mapped;
use crate::program::Dep;
use crate::scalar::{Layout, Scalar, scalars};

impl Lowering {
    pub(super) fn lower_union(
        &mut self,
        plan: &Plan,
        inputs: &[(Plan, Vec<ColId>)],
        columns: &[OutCol],
        need: &Need,
    ) -> Result<Flow> {
        let node = self.node(plan);
        let kept: Vec<usize> = (0..columns.len()).filter(|&i| need.contains(&columns[i].id)).collect();
        let layout = Layout::new(kept.iter().map(|&i| (columns[i].id, columns[i].ty)).collect());
        let mut chains = Vec::new();
        for (input, from) in inputs {
            let need: Need = kept.iter().map(|&i| from[i]).collect();
            let mut flow = self.lower(input, &need)?;
            let positions =
                kept.iter().map(|&i| flow.layout.position(from[i])).collect::<Result<Vec<_>>>()?;
            self.reorder(&mut flow, node, positions);
            chains.extend(flow.chains);
        }
        if chains.is_empty() {
            return Ok(self.begin(node, crate::op::values::Values::none(), vec![], layout));
        }
        Ok(Flow { chains, layout })
    }

    /// Brings columns into an order.
    fn reorder(&mut self, flow: &mut Flow, node: usize, positions: Vec<usize>) {
        let same = positions.len() == flow.layout.len() && positions.iter().enumerate().all(|(i, &p)| i == p);
        if !same {
            self.stage(flow, node, Mapped(Reorder(positions)), &[]);
        }
    }

    pub(super) fn lower_set_op(
        &mut self,
        plan: &Plan,
        (kind, all): (SetOpKind, bool),
        left: (&Plan, &[ColId]),
        right: (&Plan, &[ColId]),
        columns: &[OutCol],
    ) -> Result<Flow> {
        let node = self.node(plan);
        let mut chains = Vec::new();
        for (side, (input, from)) in [left, right].into_iter().enumerate() {
            let need: Need = from.iter().copied().collect();
            let mut flow = self.lower(input, &need)?;
            let positions = from.iter().map(|id| flow.layout.position(*id)).collect::<Result<Vec<_>>>()?;
            self.stage(&mut flow, node, Mapped(Tag { columns: positions, side: side as i64 }), &[]);
            chains.extend(flow.chains);
        }
        let layout = Layout::new(columns.iter().map(|c| (c.id, c.ty)).collect());
        let mut tagged = layout.clone();
        let tag = ColId(u32::MAX);
        tagged.push(tag, SqlType::new(&def::INT8));
        let keys: Vec<Expr> = columns.iter().map(|c| Expr::Column { id: c.id, ty: c.ty }).collect();
        let types: Vec<SqlType> = columns.iter().map(|c| c.ty).collect();
        let side = Expr::Column { id: tag, ty: SqlType::new(&def::INT8) };
        let call = Call {
            kernel: Arc::new(Copies { kind, all }),
            args: vec![0],
            filter: None,
            distinct: None,
            order: None,
        };
        let grouping = Arc::new(Grouping {
            keys: scalars(&keys, &tagged)?,
            shape: Shape::new(&types),
            args: vec![Scalar::new(&side, &tagged)?],
            calls: vec![call],
        });
        let slot = self.slot();
        let flow = Flow { chains, layout: tagged };
        let sink = self.sink(flow, node, HashAggregate { grouping: grouping.clone(), slot, node });
        let source = AggregateScan { grouping, slot, sets: None, empty_sets: Vec::new() };
        let mut flow = self.begin(node, source, vec![Dep::Sink(sink)], layout);
        self.stage(&mut flow, node, Mapped(Repeat), &[]);
        flow.not_full();
        Ok(flow)
    }
}
