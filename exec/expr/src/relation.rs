//! Relations of the system: what queries see of the database itself, as if it were tables. Here is what the binder knows of
//! one; where its rows come from is said where the record is.

use spg_types::TypeDef;

/// A column of a system relation.
#[derive(Debug)]
pub struct SystemColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: &'static TypeDef,
    /// What it tells, for the documentation.
    pub doc: &'static str,
}

/// A system relation: read like a table, written by nobody.
#[derive(Debug)]
pub struct SystemRelation {
    /// Its schema: what is in `pg_catalog` is found without one, before everything else of that name.
    pub schema: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it tells, for the documentation.
    pub doc: &'static str,
    /// Its columns in order.
    pub columns: &'static [SystemColumn],
}

impl PartialEq for SystemRelation {
    fn eq(&self, other: &Self) -> bool {
        (self.schema, self.name) == (other.schema, other.name)
    }
}
