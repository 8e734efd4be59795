//! VALUES and SELECT without FROM.

use spg_expr::Expr;
use spg_plan::{OutCol, Plan};
use spg_types::Result;

use super::{Flow, Lowering, Need};
use crate::op::values::Values;
use crate::scalar::Layout;

impl Lowering {
    pub(super) fn lower_values(
        &mut self,
        plan: &Plan,
        columns: &[OutCol],
        rows: &[Vec<Expr>],
        need: &Need,
    ) -> Result<Flow> {
        let kept: Vec<usize> = (0..columns.len()).filter(|&i| need.contains(&columns[i].id)).collect();
        let layout = Layout::new(kept.iter().map(|&i| (columns[i].id, columns[i].ty)).collect());
        let types = kept.iter().map(|&i| columns[i].ty).collect();
        let source = Values::new(types, rows.iter().map(|row| kept.iter().filter_map(|&i| row.get(i))))?;
        Ok(self.begin(self.node(plan), source, vec![], layout))
    }
}
