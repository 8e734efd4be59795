//! A snapshot's catalog as the planner sees it.

use std::sync::Arc;

use spg_expr::SystemRelation;
use spg_plan::CatalogView;
use spg_run::SystemCatalog;
use spg_store::DbSnapshot;
use spg_types::{TableId, TableRef, TableStats};

/// The schema that unqualified names live in.
pub(crate) const DEFAULT_SCHEMA: &str = "public";

/// A snapshot and the system's relations under the planner's trait.
pub(crate) struct SnapshotCatalog<'a> {
    snapshot: &'a DbSnapshot,
    system: &'a dyn SystemCatalog,
}

impl<'a> SnapshotCatalog<'a> {
    pub(crate) fn new(snapshot: &'a DbSnapshot, system: &'a dyn SystemCatalog) -> Self {
        Self { snapshot, system }
    }
}

impl CatalogView for SnapshotCatalog<'_> {
    fn table(&self, schema: Option<&str>, name: &str) -> Option<TableRef> {
        self.snapshot.find_table(schema.unwrap_or(DEFAULT_SCHEMA), name).map(|t| t.def().clone())
    }

    fn system(&self, schema: Option<&str>, name: &str) -> Option<&'static SystemRelation> {
        self.system.find(schema, name)
    }

    fn stats(&self, table: TableId) -> Arc<TableStats> {
        self.snapshot.table(table).map(|t| t.stats()).unwrap_or_default()
    }

    fn has_schema(&self, name: &str) -> bool {
        self.snapshot.schemas().any(|s| s == name)
    }

    fn has_index(&self, name: &str) -> bool {
        self.snapshot.tables().any(|t| t.def().indexes.iter().any(|i| i.name == name))
    }
}
