//! What the database tells of itself as relations: one file each, one record each, one list.
//!
//! A record says name, columns and documentation ([`spg_expr::SystemRelation`]), and which function makes its rows from the
//! snapshot that a statement reads and from the store. Nothing else lists relations.

mod rows;
mod spg_stat_segment;
mod spg_stat_table;
mod spg_stat_wal;

use std::sync::Arc;

use arrow::array::ArrayRef;
use spg_expr::{SystemColumn, SystemRelation};
use spg_store::{DbSnapshot, Store};
use spg_types::{Error, Result, TypeDef};

use rows::Rows;

/// The schema that unqualified names are looked for in.
const PG_CATALOG: &str = "pg_catalog";

/// A relation.
pub struct Relation {
    /// Its name, its columns.
    pub shape: SystemRelation,
    /// Makes its rows.
    rows: fn(&Facts<'_>, &mut Rows) -> Result<()>,
}

/// What relations tell of.
struct Facts<'a> {
    snapshot: &'a DbSnapshot,
    store: &'a Store,
}

/// Every relation.
pub const RELATIONS: &[&Relation] =
    &[&spg_stat_segment::SPG_STAT_SEGMENT, &spg_stat_table::SPG_STAT_TABLE, &spg_stat_wal::SPG_STAT_WAL];

/// A column of a record.
const fn column(name: &'static str, ty: &'static TypeDef, doc: &'static str) -> SystemColumn {
    SystemColumn { name, ty, doc }
}

/// The relation of that name; a name without a schema is one of `pg_catalog`.
pub fn find(schema: Option<&str>, name: &str) -> Option<&'static SystemRelation> {
    let schema = schema.unwrap_or(PG_CATALOG);
    RELATIONS.iter().map(|r| &r.shape).find(|r| r.name == name && r.schema == schema)
}

/// All columns of a relation, as a statement on `snapshot` sees it.
pub fn rows(relation: &SystemRelation, snapshot: &DbSnapshot, store: &Arc<Store>) -> Result<Vec<ArrayRef>> {
    let found = RELATIONS.iter().find(|r| r.shape == *relation);
    let found =
        found.ok_or_else(|| Error::internal(format!("there is no system relation {}", relation.name)))?;
    let mut rows = Rows::new(found.shape.columns);
    (found.rows)(&Facts { snapshot, store }, &mut rows)?;
    Ok(rows.finish())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_are_unique_and_every_relation_has_rows_to_make() {
        let store = Store::in_memory().unwrap();
        for relation in RELATIONS {
            let shape = &relation.shape;
            assert!(
                !shape.doc.is_empty() && shape.columns.iter().all(|c| !c.doc.is_empty()),
                "{}",
                shape.name
            );
            assert_eq!(find(Some(shape.schema), shape.name), Some(shape));
            assert_eq!(RELATIONS.iter().filter(|r| r.shape == *shape).count(), 1, "{}", shape.name);
            let columns = rows(shape, &store.published(), &store).unwrap();
            assert_eq!(columns.len(), shape.columns.len(), "{}", shape.name);
        }
        assert_eq!(find(Some("public"), "spg_stat_table"), None);
    }
}
