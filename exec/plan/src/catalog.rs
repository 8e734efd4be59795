//! What the planner may ask of the catalog: definitions and statistics, never data.

use std::sync::Arc;

use spg_expr::SystemRelation;
use spg_types::{TableId, TableRef, TableStats};

/// A snapshot's catalog as the binder and the rules see it.
pub trait CatalogView {
    /// The table of that name; `schema` is `None` when the name was unqualified.
    fn table(&self, schema: Option<&str>, name: &str) -> Option<TableRef>;

    /// The system relation of that name; unqualified names are looked for in `pg_catalog`.
    fn system(&self, _schema: Option<&str>, _name: &str) -> Option<&'static SystemRelation> {
        None
    }

    /// Statistics of a table: bounds are sound for the snapshot, the rest is estimates.
    fn stats(&self, table: TableId) -> Arc<TableStats>;

    /// Whether a schema of that name exists.
    fn has_schema(&self, name: &str) -> bool;

    /// Whether an index of that name exists.
    fn has_index(&self, _name: &str) -> bool {
        false
    }
}
