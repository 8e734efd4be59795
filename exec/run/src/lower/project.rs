//! Projections: columns that only pass through cost nothing.

use spg_plan::{NamedExpr, Plan};
use spg_types::Result;

use super::{Flow, Lowering, Need, with_columns};
use crate::op::project::Project;
use crate::pipeline::Mapped;
use crate::scalar::{Layout, scalars};

impl Lowering {
    pub(super) fn lower_project(
        &mut self,
        plan: &Plan,
        input: &Plan,
        exprs: &[NamedExpr],
        need: &Need,
    ) -> Result<Flow> {
        let exprs: Vec<&NamedExpr> = exprs.iter().filter(|e| need.contains(&e.out.id)).collect();
        let flow = self.lower(input, &with_columns(&Need::new(), exprs.iter().map(|e| &e.expr)))?;
        self.project(flow, self.node(plan), &exprs)
    }

    /// Adds a projection to `exprs`.
    pub(super) fn project(&mut self, mut flow: Flow, node: usize, exprs: &[&NamedExpr]) -> Result<Flow> {
        let stage = Project { exprs: scalars(exprs.iter().map(|e| &e.expr), &flow.layout)? };
        let layout = Layout::new(exprs.iter().map(|e| (e.out.id, e.expr.ty())).collect());
        let same = stage.exprs.len() == flow.layout.len()
            && stage.exprs.iter().enumerate().all(|(i, e)| e.as_column() == Some(i));
        if !same {
            self.stage(&mut flow, node, Mapped(stage), &[]);
        }
        flow.layout = layout;
        Ok(flow)
    }
}
