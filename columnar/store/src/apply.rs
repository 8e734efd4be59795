//! The one place where operations change a snapshot: for drafts, at recovery and on a follower alike.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spg_types::{Error, Result, TableDef, TableId};

use crate::op::Op;
use crate::snapshot::{Catalog, DbSnapshot};
use crate::table::{Batch, TableSnapshot};

/// Numbers that are given out once, whatever becomes of the transaction that took them.
#[derive(Debug)]
pub(crate) struct Numbers {
    catalog_version: AtomicU64,
    table_id: AtomicU32,
    index_id: AtomicU32,
}

/// Ids below are left for built-in relations.
const FIRST_ID: u32 = 16_384;

impl Default for Numbers {
    fn default() -> Self {
        Self {
            catalog_version: AtomicU64::new(1),
            table_id: AtomicU32::new(FIRST_ID),
            index_id: AtomicU32::new(FIRST_ID),
        }
    }
}

impl Numbers {
    pub(crate) fn table_id(&self) -> u32 {
        self.table_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn index_id(&self) -> u32 {
        self.index_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The next ids, none of which was given out.
    pub(crate) fn next_ids(&self) -> (u32, u32) {
        (self.table_id.load(Ordering::Relaxed), self.index_id.load(Ordering::Relaxed))
    }

    /// Goes on from ids that an earlier process has come to.
    pub(crate) fn restore(&self, next_table_id: u32, next_index_id: u32) {
        self.table_id.fetch_max(next_table_id, Ordering::Relaxed);
        self.index_id.fetch_max(next_index_id, Ordering::Relaxed);
    }

    fn next_catalog_version(&self) -> u64 {
        self.catalog_version.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn note(&self, def: &TableDef) {
        self.table_id.fetch_max(def.id.0 + 1, Ordering::Relaxed);
        for index in &def.indexes {
            self.index_id.fetch_max(index.id.0 + 1, Ordering::Relaxed);
        }
    }
}

fn no_table(id: TableId) -> Error {
    Error::internal(format!("there is no table with id {}", id.0))
}

/// The table, ready to be changed.
pub(crate) fn table_mut(db: &mut DbSnapshot, id: TableId) -> Result<&mut TableSnapshot> {
    db.tables.get_mut(&id).map(Arc::make_mut).ok_or_else(|| no_table(id))
}

/// Changes the snapshot as the operation says. An append comes with its batch.
pub(crate) fn apply(db: &mut DbSnapshot, op: Op, batch: Option<Batch>, numbers: &Numbers) -> Result<()> {
    match op {
        Op::Append { table, first_row_id } => {
            let batch = batch.ok_or_else(|| Error::internal("an append without its batch"))?;
            table_mut(db, table)?.append(first_row_id, batch)
        }
        Op::Delete { table, row_ids } => table_mut(db, table)?.delete(&row_ids),
        Op::Truncate { table } => {
            table_mut(db, table)?.truncate();
            Ok(())
        }
        Op::SwapIn { table, segment } => {
            let open = segment.open.ok_or_else(|| Error::internal("a segment was not opened"))?;
            table_mut(db, table)?.swap_in(&open, segment.prepared.as_deref())
        }
        Op::Rearrange { table, new } => {
            let table = table_mut(db, table)?;
            // What has changed since stays as it is.
            new.iter().for_each(|replacement| _ = table.replace(replacement));
            Ok(())
        }
        Op::AppendCold { table, segment, group } => {
            let segment = segment.open.ok_or_else(|| Error::internal("a segment was not opened"))?;
            let keys = batch.map_or_else(Vec::new, |b| b.keys);
            table_mut(db, table)?.append_cold(&segment, group, keys)
        }
        op => {
            change_catalog(db, op, numbers)?;
            db.catalog_version = numbers.next_catalog_version();
            Ok(())
        }
    }
}

fn change_catalog(db: &mut DbSnapshot, op: Op, numbers: &Numbers) -> Result<()> {
    let catalog = Arc::make_mut(&mut db.catalog);
    match op {
        Op::CreateTable { def } => {
            numbers.note(&def);
            add_name(catalog, &def)?;
            db.tables.insert(def.id, Arc::new(TableSnapshot::new(Arc::new(def))?));
            link(db);
        }
        Op::DropTable { table } => {
            let gone = db.tables.remove(&table).ok_or_else(|| no_table(table))?;
            remove_name(catalog, gone.def());
            link(db);
        }
        Op::ReplaceTable { def } => {
            numbers.note(&def);
            let old = db.tables.get(&def.id).ok_or_else(|| no_table(def.id))?.def().clone();
            remove_name(catalog, &old);
            add_name(catalog, &def)?;
            table_mut(db, def.id)?.redefine(def)?;
            link(db);
        }
        Op::AddColumn { table, column, value } => table_mut(db, table)?.add_column(column, &value)?,
        Op::DropColumn { table, column } => {
            table_mut(db, table)?.drop_column(column)?;
            // A table may refer by several keys.
            let referring: BTreeSet<TableId> = db.referencing(table).map(|(def, _)| def.id).collect();
            for id in referring.into_iter().filter(|id| *id != table) {
                table_mut(db, id)?.referred_column_dropped(table, column);
            }
        }
        Op::CreateIndex { table, index } => {
            let snapshot = table_mut(db, table)?;
            let mut def = (**snapshot.def()).clone();
            def.indexes.push(index);
            numbers.note(&def);
            snapshot.redefine(def)?;
        }
        Op::DropIndex { table, index } => {
            let snapshot = table_mut(db, table)?;
            let mut def = (**snapshot.def()).clone();
            def.indexes.retain(|i| i.id != index);
            snapshot.redefine(def)?;
        }
        Op::PutRole { role } => {
            catalog.roles.insert(role.name.clone(), Arc::new(role));
        }
        Op::DropRole { name } => {
            catalog.roles.remove(&*name);
        }
        Op::CreateSchema { name } => {
            catalog.schemas.entry(name.to_string()).or_default();
        }
        Op::DropSchema { name } => {
            catalog.schemas.remove(&*name);
        }
        Op::Append { .. }
        | Op::Delete { .. }
        | Op::Truncate { .. }
        | Op::SwapIn { .. }
        | Op::AppendCold { .. }
        | Op::Rearrange { .. } => {
            return Err(Error::internal("a change of rows is no change of the catalog"));
        }
    }
    Ok(())
}

fn add_name(catalog: &mut Catalog, def: &TableDef) -> Result<()> {
    let schema = catalog.schemas.get_mut(&def.schema);
    let schema = schema.ok_or_else(|| Error::internal(format!("there is no schema {}", def.schema)))?;
    match schema.insert(def.name.clone(), def.id) {
        None => Ok(()),
        Some(_) => Err(Error::internal(format!("there are two tables {}.{}", def.schema, def.name))),
    }
}

fn remove_name(catalog: &mut Catalog, def: &TableDef) {
    if let Some(schema) = catalog.schemas.get_mut(&def.schema) {
        schema.remove(&def.name);
    }
}

/// Works out again which foreign keys point at which table.
pub(crate) fn link(db: &mut DbSnapshot) {
    let catalog = Arc::make_mut(&mut db.catalog);
    catalog.referenced_by.clear();
    for (id, table) in &db.tables {
        for (i, key) in table.def().foreign_keys.iter().enumerate() {
            catalog.referenced_by.entry(key.ref_table).or_default().push((*id, i));
        }
    }
}
