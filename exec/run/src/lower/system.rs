//! System relations.

use spg_expr::SystemRelation;
use spg_plan::{OutCol, Plan};
use spg_types::Result;

use super::{Flow, Lowering, Need};
use crate::op::system::SystemScan;
use crate::scalar::Layout;

impl Lowering {
    pub(super) fn lower_system_scan(
        &mut self,
        plan: &Plan,
        relation: &'static SystemRelation,
        columns: &[(OutCol, usize)],
        need: &Need,
    ) -> Result<Flow> {
        let read: Vec<_> = columns.iter().filter(|(c, _)| need.contains(&c.id)).collect();
        let layout = Layout::new(read.iter().map(|(c, _)| (c.id, c.ty)).collect());
        let source = SystemScan { relation, columns: read.iter().map(|(_, at)| *at).collect() };
        Ok(self.begin(self.node(plan), source, vec![], layout))
    }
}
