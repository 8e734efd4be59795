//! Where the rows of system relations come from: whoever assembles the engine brings them.

use arrow::array::ArrayRef;
use spg_expr::SystemRelation;
use spg_store::DbSnapshot;
use spg_types::{Error, Result};

/// The relations of the system.
pub trait SystemCatalog: Send + Sync {
    /// The relation of that name; unqualified names are looked for in `pg_catalog`.
    fn find(&self, schema: Option<&str>, name: &str) -> Option<&'static SystemRelation>;

    /// All columns of a relation, as a statement on `snapshot` sees it.
    fn rows(&self, relation: &SystemRelation, snapshot: &DbSnapshot) -> Result<Vec<ArrayRef>>;
}

/// No relations at all.
pub struct NoSystem;

impl SystemCatalog for NoSystem {
    fn find(&self, _: Option<&str>, _: &str) -> Option<&'static SystemRelation> {
        None
    }

    fn rows(&self, relation: &SystemRelation, _: &DbSnapshot) -> Result<Vec<ArrayRef>> {
        Err(Error::internal(format!("there is no system relation {}", relation.name)))
    }
}
