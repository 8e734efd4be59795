//! What VACUUM does: at once, what the background does by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use spg_types::{Result, TableId};

use crate::LockWait;
use crate::cold_write::joined;
use crate::parallel;
use crate::row_group::RowGroup;
use crate::store::Store;
use crate::tier::Replacement;

/// Row groups that are cleared at once: what is copied and waits for the writer together.
const GROUPS_AT_ONCE: usize = 8;

impl Store {
    /// Freezes what is above the budget, merges segments that are due (with `full`, all that can be) and clears hot row groups of
    /// deleted rows. 55P03, 57014 while waiting for the writer; 53100 or 58030 when a file cannot be written.
    pub fn vacuum(self: &Arc<Self>, tables: &[TableId], full: bool, wait: &LockWait) -> Result<()> {
        if let Some(cold) = self.cold() {
            while self.freeze_surplus(cold, wait)? {}
            if full {
                tables.iter().try_for_each(|table| self.compact(*table, wait).map(|_| ()))?;
            } else {
                let tables: BTreeSet<TableId> = tables.iter().copied().collect();
                while self.compact_due(cold, &tables, wait)?.is_some_and(|rows| rows > 0) {}
            }
        }
        tables.iter().try_for_each(|table| self.clear_hot(*table, wait))?;
        self.checkpoint_for_space();
        Ok(())
    }

    /// Writes hot row groups of a table anew that have deleted rows, together with small neighbours.
    fn clear_hot(self: &Arc<Self>, table: TableId, wait: &LockWait) -> Result<()> {
        let found = self.published().table(table).map(|table| {
            let hot = table.row_groups().enumerate().filter(|(_, g)| !g.is_cold());
            let mut sets = joined(hot.map(|(i, g)| (i, g.clone())));
            sets.retain(|set| set.iter().any(|g| g.deletes().is_some()));
            (table.columns_id(), sets)
        });
        let Some((columns_id, mut sets)) = found else { return Ok(()) };
        while !sets.is_empty() {
            let some: Vec<Vec<Arc<RowGroup>>> = sets.drain(..sets.len().min(GROUPS_AT_ONCE)).collect();
            let merged = parallel::map(&some, |sources| RowGroup::merged(sources))?;
            let new = merged.into_iter().zip(some);
            let new: Vec<Replacement> =
                new.filter_map(|(group, sources)| Some(Replacement { group: group?, sources })).collect();
            let mut txn = self.begin_shared(wait)?;
            if !txn.rearrange(table, columns_id, new)? {
                return Ok(());
            }
            txn.commit()?.wait()?;
        }
        Ok(())
    }
}
