//! A snapshot's catalog as the planner sees it.

use std::sync::Arc;

use spg_plan::CatalogView;
use spg_store::DbSnapshot;
use spg_types::{TableId, TableRef, TableStats};

/// The schema that unqualified names live in.
pub(crate) const DEFAULT_SCHEMA: &str = "public";

/// A snapshot under the planner's trait.
pub(crate) struct SnapshotCatalog<'a>(pub &'a DbSnapshot);

impl CatalogView for SnapshotCatalog<'_> {
    fn table(&self, schema: Option<&str>, name: &str) -> Option<TableRef> {
        self.0.find_table(schema.unwrap_or(DEFAULT_SCHEMA), name).map(|t| t.def().clone())
    }

    fn stats(&self, table: TableId) -> Arc<TableStats> {
        self.0.table(table).map(|t| t.stats()).unwrap_or_default()
    }

    fn has_schema(&self, name: &str) -> bool {
        self.0.schemas().any(|s| s == name)
    }

    fn has_index(&self, name: &str) -> bool {
        self.0.tables().any(|t| t.def().indexes.iter().any(|i| i.name == name))
    }
}
