//! Filters.

use spg_expr::Expr;
use spg_plan::Plan;
use spg_types::Result;

use super::{Flow, Lowering, Need, with_columns};
use crate::op::filter::Filter;
use crate::predicate::Predicate;

impl Lowering {
    pub(super) fn lower_filter(
        &mut self,
        plan: &Plan,
        input: &Plan,
        predicate: &[Expr],
        need: &Need,
    ) -> Result<Flow> {
        let mut flow = self.lower(input, &with_columns(need, predicate))?;
        if !predicate.is_empty() {
            let (first, rest) = super::scan::order_conjuncts(predicate);
            let conjuncts: Vec<Expr> = first.into_iter().chain(rest).collect();
            let stage = Filter { predicate: Predicate::new(&conjuncts, &flow.layout)? };
            self.stage(&mut flow, self.node(plan), stage, &[]);
            flow.not_full();
        }
        Ok(flow)
    }
}
