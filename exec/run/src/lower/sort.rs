//! ORDER BY.

use spg_plan::{Plan, SortKey};
use spg_types::Result;

use super::{Flow, Lowering, Need};
use crate::op::sort::{Sort, SortScan, Sorted};
use crate::program::Dep;
use crate::run::Slot;
use crate::scalar::Layout;
use crate::sort_key::SortSpec;

impl Lowering {
    pub(super) fn lower_sort(
        &mut self,
        plan: &Plan,
        input: &Plan,
        keys: &[SortKey],
        limit: Option<u64>,
        need: &Need,
    ) -> Result<Flow> {
        let mut all = need.clone();
        all.extend(keys.iter().map(|k| k.column));
        let flow = self.lower(input, &all)?;
        let layout = flow.layout.clone();
        let node = self.node(plan);
        let (slot, dep) = self.sort(flow, node, keys, limit)?;
        Ok(self.begin(node, SortScan { slot }, vec![dep], layout))
    }

    /// Ends the flow in a sort.
    pub(super) fn sort(
        &mut self,
        flow: Flow,
        node: usize,
        keys: &[SortKey],
        limit: Option<u64>,
    ) -> Result<(Slot<Sorted>, Dep)> {
        let spec = sort_spec(keys, &flow.layout)?;
        let types = flow.layout.columns().iter().map(|(_, ty)| ty.data_type()).collect();
        let slot = self.slot();
        let sink = self.sink(flow, node, Sort { spec, limit, types, slot, node });
        Ok((slot, Dep::Sink(sink)))
    }
}

/// Keys by position.
pub(super) fn sort_spec(keys: &[SortKey], layout: &Layout) -> Result<SortSpec> {
    let parts = keys
        .iter()
        .map(|k| Ok((layout.position(k.column)?, k.ty, k.descending, k.nulls_first)))
        .collect::<Result<Vec<_>>>()?;
    Ok(SortSpec::new(parts))
}
