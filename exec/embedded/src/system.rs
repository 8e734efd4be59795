//! The system's relations for the sessions of a database.

use std::sync::Arc;

use arrow::array::ArrayRef;
use spg_expr::SystemRelation;
use spg_session::SystemCatalog;
use spg_store::{DbSnapshot, Store};
use spg_types::Result;

/// The relations of `spg-catalog` over a store.
pub(crate) struct System(pub(crate) Arc<Store>);

impl SystemCatalog for System {
    fn find(&self, schema: Option<&str>, name: &str) -> Option<&'static SystemRelation> {
        spg_catalog::find(schema, name)
    }

    fn rows(&self, relation: &SystemRelation, snapshot: &DbSnapshot) -> Result<Vec<ArrayRef>> {
        spg_catalog::rows(relation, snapshot, &self.0)
    }
}
