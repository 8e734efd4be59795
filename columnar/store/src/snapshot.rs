//! The whole database at one moment: catalog and tables, immutable once published.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use imbl::OrdMap;
use spg_types::{TableDef, TableId};

use crate::{Role, TableSnapshot};

/// The database at one moment. A clone is a few pointers.
#[derive(Clone, Debug)]
pub struct DbSnapshot {
    pub(crate) commit_no: u64,
    pub(crate) catalog_version: u64,
    pub(crate) tables: OrdMap<TableId, Arc<TableSnapshot>>,
    pub(crate) catalog: Arc<Catalog>,
}

/// What only DDL changes.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    /// Schemas and the tables in them, by name.
    pub(crate) schemas: BTreeMap<String, BTreeMap<String, TableId>>,
    pub(crate) roles: BTreeMap<String, Arc<Role>>,
    /// The foreign keys that point at a table: referencing table and position among its foreign keys.
    pub(crate) referenced_by: HashMap<TableId, Vec<(TableId, usize)>>,
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            schemas: [("public".to_string(), BTreeMap::new())].into(),
            roles: BTreeMap::new(),
            referenced_by: HashMap::new(),
        }
    }
}

impl DbSnapshot {
    pub(crate) fn empty() -> Self {
        Self { commit_no: 0, catalog_version: 1, tables: OrdMap::new(), catalog: Arc::default() }
    }

    /// How many commits it contains; a draft has the number of the commit it builds on.
    pub fn commit_no(&self) -> u64 {
        self.commit_no
    }

    /// Changes with DDL and roles, and with nothing else; no other catalog has or had the number while this process lives.
    pub fn catalog_version(&self) -> u64 {
        self.catalog_version
    }

    /// The table with that id.
    pub fn table(&self, id: TableId) -> Option<&Arc<TableSnapshot>> {
        self.tables.get(&id)
    }

    /// The table of that name in that schema.
    pub fn find_table(&self, schema: &str, name: &str) -> Option<&Arc<TableSnapshot>> {
        self.table(*self.catalog.schemas.get(schema)?.get(name)?)
    }

    /// Every table, by id.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableSnapshot>> {
        self.tables.values()
    }

    /// The names of the schemas, sorted.
    pub fn schemas(&self) -> impl Iterator<Item = &str> {
        self.catalog.schemas.keys().map(String::as_str)
    }

    /// The role of that name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.catalog.roles.get(name).map(|r| &**r)
    }

    /// Every role, by name.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.catalog.roles.values().map(|r| &**r)
    }

    /// The foreign keys that point at a table: the referencing table's definition and the key's position in it.
    pub fn referencing(&self, table: TableId) -> impl Iterator<Item = (&Arc<TableDef>, usize)> {
        let keys = self.catalog.referenced_by.get(&table).map(Vec::as_slice).unwrap_or_default();
        keys.iter().filter_map(|(t, i)| Some((self.table(*t)?.def(), *i)))
    }
}
