//! What the database must hold: tables with their columns, indexes and rows, in plain maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringViewArray};
use spg_store::{DbSnapshot, TableSnapshot};
use spg_types::{
    ColumnDef, Datum, IndexColumn, IndexDef, IndexId, IndexOrigin, SqlType, TableDef, TableId, TableOptions,
    def,
};

/// A value, whatever its type, as text.
pub(crate) type Value = Option<Arc<str>>;

/// The database.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) tables: BTreeMap<String, Table>,
}

/// A table: a first column `id`, its primary key, and others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// The other columns; those whose names begin with `n` are numbers, the others texts.
    pub(crate) columns: Vec<String>,
    /// Those that have an index.
    pub(crate) indexed: Vec<String>,
    /// Its own budget of memory.
    pub(crate) budget: Option<u64>,
    pub(crate) rows: BTreeMap<i32, Arc<[Value]>>,
}

pub(crate) fn is_number(column: &str) -> bool {
    column.starts_with('n')
}

pub(crate) fn column(name: &str) -> ColumnDef {
    let ty = if is_number(name) { &def::INT8 } else { &def::TEXT };
    ColumnDef { name: name.into(), ty: SqlType::new(ty), not_null: false, default: None }
}

pub(crate) fn index_name(table: &str, column: &str) -> String {
    format!("{table}_{column}_i")
}

pub(crate) fn index(name: String, column: usize, origin: IndexOrigin) -> IndexDef {
    let key = IndexColumn { column, descending: false, nulls_first: false };
    let unique = origin == IndexOrigin::PrimaryKey;
    IndexDef { id: IndexId(0), name, columns: vec![key], unique, origin }
}

/// A column of values that the model has as text.
pub(crate) fn array(column: &str, values: &[Value]) -> ArrayRef {
    if is_number(column) {
        let number = |v: &Value| v.as_ref().and_then(|v| v.parse::<i64>().ok());
        Arc::new(Int64Array::from_iter(values.iter().map(number)))
    } else {
        Arc::new(StringViewArray::from_iter(values.iter().map(|v| v.as_deref())))
    }
}

impl Model {
    /// Does the changes of rows again that made `after` of `before`.
    pub(crate) fn replay(&mut self, before: &Self, after: &Self) {
        for (name, table) in &mut self.tables {
            let (Some(before), Some(after)) = (before.tables.get(name), after.tables.get(name)) else {
                continue;
            };
            table.rows.retain(|id, _| after.rows.contains_key(id) || !before.rows.contains_key(id));
            let changed = after.rows.iter().filter(|(id, row)| before.rows.get(id) != Some(row));
            table.rows.extend(changed.map(|(id, row)| (*id, row.clone())));
        }
    }
}

fn text(value: &Datum) -> Value {
    match value {
        Datum::Null => None,
        Datum::Int64(n) => Some(n.to_string().into()),
        Datum::Text(s) => Some(s.clone()),
        other => Some(format!("{other:?}").into()),
    }
}

impl Table {
    /// Its definition, to create it with.
    pub(crate) fn definition(&self, name: &str) -> TableDef {
        let mut id = column("id");
        id.ty = SqlType::new(&def::INT4);
        id.not_null = true;
        TableDef {
            id: TableId(0),
            schema: "public".into(),
            name: name.into(),
            columns: std::iter::once(id).chain(self.columns.iter().map(|c| column(c))).collect(),
            indexes: vec![index(format!("{name}_pkey"), 0, IndexOrigin::PrimaryKey)],
            checks: vec![],
            foreign_keys: vec![],
            options: TableOptions { hot_tier_bytes: self.budget },
        }
    }

    /// Rows as a batch.
    pub(crate) fn batch(&self, rows: &[(i32, Arc<[Value]>)]) -> Vec<ArrayRef> {
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.0)))];
        for (at, name) in self.columns.iter().enumerate() {
            let values: Vec<Value> = rows.iter().map(|(_, values)| values[at].clone()).collect();
            columns.push(array(name, &values));
        }
        columns
    }
}

/// What went wrong with a snapshot.
#[derive(Debug)]
pub(crate) enum Reading {
    /// It could not be read.
    Failed(spg_types::Error),
    /// It contradicts itself.
    Wrong(String),
}

impl From<spg_types::Error> for Reading {
    fn from(error: spg_types::Error) -> Self {
        Self::Failed(error)
    }
}

impl Model {
    /// What a snapshot holds; `by_row` reads rows by their ids instead of whole columns. Checks that the indexes know the
    /// same rows.
    pub(crate) fn read(db: &DbSnapshot, by_row: bool) -> Result<Model, Reading> {
        let mut model = Model::default();
        for table in db.tables() {
            model.tables.insert(table.def().name.clone(), read_table(table, by_row)?);
        }
        Ok(model)
    }
}

fn read_table(t: &TableSnapshot, by_row: bool) -> Result<Table, Reading> {
    let def = t.def();
    let indexed = def.indexes.iter().filter(|i| i.origin == IndexOrigin::Created);
    let mut table = Table {
        columns: def.columns[1..].iter().map(|c| c.name.clone()).collect(),
        indexed: indexed.map(|i| def.columns[i.columns[0].column].name.clone()).collect(),
        budget: def.options.hot_tier_bytes,
        rows: BTreeMap::new(),
    };
    let all: Vec<usize> = (0..def.columns.len()).collect();
    let mut last = 0;
    for group in t.row_groups() {
        let live: Vec<usize> = (0..group.len()).filter(|o| group.is_live(*o)).collect();
        let row_ids: Vec<u64> = live.iter().map(|o| group.row_id(*o)).collect();
        let columns = if by_row { t.fetch(&row_ids, &all)? } else { group.columns()? };
        for (i, (offset, row_id)) in live.iter().zip(&row_ids).enumerate() {
            if *row_id <= last {
                return Err(Reading::Wrong(format!("row {row_id} of {} comes after row {last}", def.name)));
            }
            last = *row_id;
            let at = if by_row { i } else { *offset };
            let values =
                columns.iter().zip(&def.columns).map(|(array, c)| Datum::from_column(array, at, c.ty));
            let values: Vec<Datum> = values.collect::<spg_types::Result<_>>()?;
            let Datum::Int32(id) = values[0] else {
                return Err(Reading::Wrong(format!("{:?} is no id of {}", values[0], def.name)));
            };
            if table.rows.insert(id, values[1..].iter().map(text).collect()).is_some() {
                return Err(Reading::Wrong(format!("id {id} is in {} twice", def.name)));
            }
            for index in t.indexes() {
                let key = &values[index.def().columns[0].column];
                let found = index.get(std::slice::from_ref(key))?;
                let there = match index.def().unique {
                    true => found.as_slice() == [*row_id],
                    false => found.as_slice().contains(row_id),
                };
                if !there {
                    let name = &index.def().name;
                    return Err(Reading::Wrong(format!(
                        "index {name} has {found:?} for {key:?} of row {row_id}"
                    )));
                }
            }
        }
    }
    let rows = table.rows.len() as u64;
    if t.rows() != rows || t.indexes().iter().any(|i| i.len() != rows) {
        return Err(Reading::Wrong(format!("{} of {} rows are there in {}", rows, t.rows(), def.name)));
    }
    Ok(table)
}
