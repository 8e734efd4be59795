//! Random transactions: changes of rows and of the catalog, with savepoints, done to the store and to the model alike.

use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use spg_store::WriteTxn;
use spg_types::{Datum, Error, IndexOrigin, Result, TableDef, TableId};

use crate::model::{Model, Table, Value, array, column, index, index_name, is_number};

const TABLES_MAX: usize = 3;
const COLUMNS_MAX: usize = 4;

/// Makes transactions; what it gives names and ids to, it gives once.
pub(crate) struct Workload {
    next_id: i32,
    next_column: u32,
}

impl Workload {
    pub(crate) fn new() -> Self {
        Self { next_id: 1, next_column: 1 }
    }

    /// Some statements, to `txn` and to `model`.
    pub(crate) fn statements(
        &mut self,
        rng: &mut StdRng,
        txn: &mut WriteTxn,
        model: &mut Model,
    ) -> Result<()> {
        for _ in 0..rng.random_range(1..4) {
            if rng.random_bool(0.2) {
                let (savepoint, before) = (txn.savepoint(), model.clone());
                for _ in 0..rng.random_range(1..3) {
                    self.statement(rng, txn, model)?;
                }
                if rng.random_bool(0.6) {
                    txn.rollback_to(&savepoint)?;
                    *model = before;
                }
            } else {
                self.statement(rng, txn, model)?;
            }
        }
        Ok(())
    }

    fn statement(&mut self, rng: &mut StdRng, txn: &mut WriteTxn, model: &mut Model) -> Result<()> {
        let names: Vec<String> = model.tables.keys().cloned().collect();
        let Some(name) = names.choose(rng).filter(|_| !rng.random_bool(0.03) || names.len() == TABLES_MAX)
        else {
            return self.create_table(rng, txn, model);
        };
        let id = table_id(txn, name)?;
        let Some(table) = model.tables.get_mut(name) else { return Ok(()) };
        match rng.random_range(0..100) {
            0..=79 => self.change_rows(rng, txn, id, table, &|_| true)?,
            80..=81 => {
                txn.truncate(id)?;
                table.rows.clear();
            }
            82..=86 => self.add_column(rng, txn, id, table)?,
            87..=89 => drop_column(rng, txn, id, table)?,
            90..=93 => create_index(rng, txn, id, name, table)?,
            94..=95 => drop_index(rng, txn, id, name, table)?,
            96..=97 => {
                table.budget = rng.random_bool(0.5).then(|| rng.random_range(0..1_000_000));
                let mut def = TableDef::clone(&*definition(txn, id)?);
                def.options.hot_tier_bytes = table.budget;
                txn.replace_table_def(def)?;
            }
            _ => {
                txn.drop_table(id)?;
                model.tables.remove(name);
            }
        }
        txn.end_statement()
    }

    /// A statement that changes rows, and of those that are there only some that are `ours`, for a transaction that writes
    /// beside others.
    pub(crate) fn shared_statement(
        &mut self,
        rng: &mut StdRng,
        txn: &mut WriteTxn,
        model: &mut Model,
        ours: &dyn Fn(i32) -> bool,
    ) -> Result<()> {
        let names: Vec<String> = model.tables.keys().cloned().collect();
        let Some(name) = names.choose(rng) else { return Ok(()) };
        let id = table_id(txn, name)?;
        txn.start_statement(Some(&[id]))?;
        let Some(table) = model.tables.get_mut(name) else { return Ok(()) };
        self.change_rows(rng, txn, id, table, ours)?;
        txn.end_statement()
    }

    fn change_rows(
        &mut self,
        rng: &mut StdRng,
        txn: &mut WriteTxn,
        id: TableId,
        table: &mut Table,
        ours: &dyn Fn(i32) -> bool,
    ) -> Result<()> {
        match rng.random_range(0..8) {
            0..=4 => self.insert(rng, txn, id, table),
            5..=6 => {
                let gone = some(rng, table, ours);
                delete(txn, id, &gone)?;
                table.rows.retain(|id, _| !gone.contains(id));
                Ok(())
            }
            _ => {
                let changed = some(rng, table, ours);
                delete(txn, id, &changed)?;
                let rows = changed.iter().map(|id| (*id, values(rng, &table.columns))).collect();
                append(txn, id, table, rows)
            }
        }
    }

    fn create_table(&mut self, rng: &mut StdRng, txn: &mut WriteTxn, model: &mut Model) -> Result<()> {
        let free = (0..TABLES_MAX).map(|n| format!("t{n}")).find(|name| !model.tables.contains_key(name));
        let Some(name) = free else { return Ok(()) };
        let budget = rng.random_bool(0.2).then_some(0);
        let table = Table { columns: vec!["s0".into(), "n0".into()], budget, ..Table::default() };
        txn.create_table(table.definition(&name))?;
        model.tables.insert(name, table);
        txn.end_statement()
    }

    fn insert(&mut self, rng: &mut StdRng, txn: &mut WriteTxn, id: TableId, table: &mut Table) -> Result<()> {
        let n = [1, 1, 3, 40][rng.random_range(0..4)];
        let rows = (self.next_id..self.next_id + n).map(|id| (id, values(rng, &table.columns))).collect();
        self.next_id += n;
        append(txn, id, table, rows)
    }

    fn add_column(
        &mut self,
        rng: &mut StdRng,
        txn: &mut WriteTxn,
        id: TableId,
        table: &mut Table,
    ) -> Result<()> {
        if table.columns.len() >= COLUMNS_MAX {
            return Ok(());
        }
        let kind = if rng.random_bool(0.5) { 'n' } else { 's' };
        let name = format!("{kind}{}", self.next_column);
        self.next_column += 1;
        let value = value(rng, &name);
        txn.add_column(id, column(&name), array(&name, std::slice::from_ref(&value)))?;
        for row in table.rows.values_mut() {
            *row = row.iter().cloned().chain([value.clone()]).collect();
        }
        table.columns.push(name);
        Ok(())
    }
}

fn definition(txn: &WriteTxn, id: TableId) -> Result<Arc<TableDef>> {
    let snapshot = txn.snapshot();
    snapshot
        .table(id)
        .map(|t| t.def().clone())
        .ok_or_else(|| Error::internal("a table of the model is missing"))
}

fn table_id(txn: &WriteTxn, name: &str) -> Result<TableId> {
    let snapshot = txn.snapshot();
    let found = snapshot.find_table("public", name).map(|t| t.def().id);
    found.ok_or_else(|| Error::internal(format!("table {name} of the model is missing")))
}

fn value(rng: &mut StdRng, column: &str) -> Value {
    if rng.random_bool(0.1) {
        return None;
    }
    if is_number(column) {
        return Some(rng.random_range(-50_i64..50).to_string().into());
    }
    let longest = if rng.random_bool(0.05) { 2_000 } else { 40 };
    Some(["x", "ab", "yz"][rng.random_range(0..3)].repeat(rng.random_range(0..longest)).into())
}

fn values(rng: &mut StdRng, columns: &[String]) -> Arc<[Value]> {
    columns.iter().map(|c| value(rng, c)).collect()
}

/// Ids of a random part of those rows that are `ours`.
fn some(rng: &mut StdRng, table: &Table, ours: &dyn Fn(i32) -> bool) -> Vec<i32> {
    let share = rng.random_range(0.0..0.4);
    table.rows.keys().copied().filter(|id| ours(*id) && rng.random_bool(share)).collect()
}

fn append(txn: &mut WriteTxn, id: TableId, table: &mut Table, rows: Vec<(i32, Arc<[Value]>)>) -> Result<()> {
    if !rows.is_empty() {
        txn.append(id, table.batch(&rows))?;
        table.rows.extend(rows);
    }
    Ok(())
}

/// Removes rows, which the primary key finds.
fn delete(txn: &mut WriteTxn, id: TableId, ids: &[i32]) -> Result<()> {
    let snapshot = txn.snapshot();
    let mut row_ids = Vec::with_capacity(ids.len());
    for key in ids {
        let t = snapshot.table(id).ok_or_else(|| Error::internal("a table of the model is missing"))?;
        let found = t.indexes()[0].get(&[Datum::Int32(*key)])?;
        row_ids.extend_from_slice(found.as_slice());
    }
    drop(snapshot);
    match txn.delete(id, &row_ids)? {
        n if n == ids.len() => Ok(()),
        n => Err(Error::internal(format!("{n} of {} rows of the model were there", ids.len()))),
    }
}

fn drop_column(rng: &mut StdRng, txn: &mut WriteTxn, id: TableId, table: &mut Table) -> Result<()> {
    let free: Vec<usize> =
        (0..table.columns.len()).filter(|at| !table.indexed.contains(&table.columns[*at])).collect();
    let Some(at) = free.choose(rng).copied().filter(|_| table.columns.len() > 1) else { return Ok(()) };
    txn.drop_column(id, at + 1)?;
    table.columns.remove(at);
    for row in table.rows.values_mut() {
        *row = row.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, v)| v.clone()).collect();
    }
    Ok(())
}

fn create_index(
    rng: &mut StdRng,
    txn: &mut WriteTxn,
    id: TableId,
    name: &str,
    table: &mut Table,
) -> Result<()> {
    let at = rng.random_range(0..table.columns.len());
    let column = table.columns[at].clone();
    if table.indexed.contains(&column) {
        return Ok(());
    }
    txn.create_index(id, index(index_name(name, &column), at + 1, IndexOrigin::Created))?;
    table.indexed.push(column);
    Ok(())
}

fn drop_index(
    rng: &mut StdRng,
    txn: &mut WriteTxn,
    id: TableId,
    name: &str,
    table: &mut Table,
) -> Result<()> {
    let Some(column) = table.indexed.choose(rng).cloned() else { return Ok(()) };
    let def = definition(txn, id)?;
    let found = def.indexes.iter().find(|i| i.name == index_name(name, &column));
    let found = found.ok_or_else(|| Error::internal("an index of the model is missing"))?;
    txn.drop_index(id, found.id)?;
    table.indexed.retain(|c| *c != column);
    Ok(())
}
