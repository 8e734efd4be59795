//! Unique and foreign keys: what is checked, and what PostgreSQL says when it does not hold.

use std::ops::Bound;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute;
use arrow::datatypes::DataType;
use hashbrown::HashSet;
use spg_types::{
    Datum, Error, ForeignKeyDef, FormatSettings, IndexColumn, IndexDef, IndexId, IndexOrigin, Result,
    SqlState, TableDef, TableId,
};

use crate::index::IndexSnapshot;
use crate::index::keys::KeyArray;
use crate::index::layout::{KeyLayout, Keys};
use crate::row_group::RowGroup;
use crate::seal;
use crate::snapshot::DbSnapshot;
use crate::table::TableSnapshot;

/// What a statement has done that foreign keys may object to.
#[derive(Clone, Debug)]
pub(crate) enum Touched {
    /// Rows with ids from `first` to before `end` are new.
    Appended { table: TableId, first: u64, end: u64 },
    /// Rows are gone; these were the values of some of their columns.
    Deleted { table: TableId, columns: Vec<usize>, values: Vec<ArrayRef> },
}

/// `(a, b)=(1, 2)`.
fn key_text(def: &TableDef, columns: &[usize], values: &[ArrayRef], row: usize) -> Result<String> {
    let settings = FormatSettings::default();
    let names: Vec<&str> = columns.iter().map(|c| def.columns[*c].name.as_str()).collect();
    let mut texts = Vec::with_capacity(columns.len());
    for (c, array) in columns.iter().zip(values) {
        let ty = def.columns[*c].ty;
        let datum = Datum::from_column(array, row, ty)?;
        if datum.is_null() {
            texts.push("null".to_string());
            continue;
        }
        let single = datum.to_array(ty)?;
        let mut text = Vec::new();
        (ty.def.text_out)(&*single, ty, &settings)(0, &mut text);
        texts.push(String::from_utf8_lossy(&text).into_owned());
    }
    Ok(format!("({})=({})", names.join(", "), texts.join(", ")))
}

fn index_columns(index: &IndexDef) -> Vec<usize> {
    index.columns.iter().map(|c| c.column).collect()
}

/// 23505: a row of the batch has a key that is there already. `columns` are the table's.
pub(crate) fn duplicate_key(
    def: &TableDef,
    index: &IndexDef,
    columns: &[ArrayRef],
    row: usize,
) -> Result<Error> {
    let key = index_columns(index);
    let values: Vec<ArrayRef> = key.iter().map(|c| columns[*c].clone()).collect();
    let text = key_text(def, &key, &values, row)?;
    let message = format!("duplicate key value violates unique constraint \"{}\"", index.name);
    Ok(Error::new(SqlState::UNIQUE_VIOLATION, message)
        .with_detail(format!("Key {text} already exists."))
        .with_relation(&def.schema, &def.name)
        .with_constraint(&index.name))
}

/// 23505 when an index just built over a table's rows is to be unique and is not.
pub(crate) fn check_unique(table: &TableSnapshot, index: &IndexSnapshot) -> Result<()> {
    if !index.def().unique {
        return Ok(());
    }
    let key = index_columns(index.def());
    let no_nulls = |row_id: u64| {
        table.fetch(&[row_id], &key).is_ok_and(|values| values.iter().all(|v| v.logical_null_count() == 0))
    };
    let Some(row_id) = index.any_duplicate(no_nulls)? else { return Ok(()) };
    let text = key_text(table.def(), &key, &table.fetch(&[row_id], &key)?, 0)?;
    let message = format!("could not create unique index \"{}\"", index.def().name);
    Err(Error::new(SqlState::UNIQUE_VIOLATION, message)
        .with_detail(format!("Key {text} is duplicated."))
        .with_relation(&table.def().schema, &table.def().name)
        .with_constraint(&index.def().name))
}

/// Checks the foreign keys that a statement may have broken, against the state after it. 23503.
pub(crate) fn check_statement(db: &DbSnapshot, touched: &[Touched]) -> Result<()> {
    for change in touched {
        match change {
            Touched::Appended { table, first, end } => {
                let Some(table) = db.table(*table) else { continue };
                for key in &table.def().foreign_keys {
                    check_referencing(db, table, key, *first, *end)?;
                }
            }
            Touched::Deleted { table, columns, values } => check_referenced(db, *table, columns, values)?,
        }
    }
    Ok(())
}

/// Checks one foreign key over all rows of its table. 23503.
pub(crate) fn check_whole_key(db: &DbSnapshot, table: &TableSnapshot, key: &ForeignKeyDef) -> Result<()> {
    check_referencing(db, table, key, 0, u64::MAX)
}

/// A foreign key between the tables of a snapshot.
struct Reference<'a> {
    key: &'a ForeignKeyDef,
    referenced: &'a TableSnapshot,
    index: &'a IndexSnapshot,
    /// The referencing columns in the order of the index' columns.
    columns: Vec<usize>,
    /// The types of the index' columns.
    types: Vec<DataType>,
}

/// What rows of a row group point at.
struct Pointers {
    /// The referencing columns, in the order of the index' columns.
    values: Vec<ArrayRef>,
    /// The same in the types of the index' columns; what does not fit is NULL.
    probe: Vec<ArrayRef>,
}

impl<'a> Reference<'a> {
    fn new(db: &'a DbSnapshot, key: &'a ForeignKeyDef) -> Result<Self> {
        let referenced =
            db.table(key.ref_table).ok_or_else(|| Error::internal("a referenced table is not there"))?;
        let index = referenced
            .index(key.ref_index)
            .ok_or_else(|| Error::internal("a referenced index is not there"))?;
        let columns = in_index_order(index.def(), key)?;
        let types =
            index.def().columns.iter().map(|c| referenced.def().columns[c.column].ty.data_type()).collect();
        Ok(Self { key, referenced, index, columns, types })
    }

    /// Of the live rows of a group from `first` to before `end`; `None` when there are none.
    fn pointers(&self, group: &RowGroup, first: u64, end: u64) -> Result<Option<Pointers>> {
        let range = group.offsets_between(first, end);
        if range.is_empty() {
            return Ok(None);
        }
        let mut values: Vec<ArrayRef> =
            (self.columns.iter()).map(|c| group.values(*c, range.clone())).collect::<Result<_>>()?;
        if let Some(mask) = group.live_mask() {
            let mask = BooleanArray::new(mask.slice(range.start, range.len()), None);
            values = values.iter().map(|v| Ok(compute::filter(v, &mask)?)).collect::<Result<_>>()?;
        }
        let probe = values.iter().zip(&self.types).map(|(v, t)| cast(v, t)).collect::<Result<Vec<_>>>()?;
        Ok(Some(Pointers { values, probe }))
    }

    fn check(&self, table: &TableSnapshot, group: &RowGroup, first: u64, end: u64) -> Result<()> {
        let Some(Pointers { values, probe }) = self.pointers(group, first, end)? else { return Ok(()) };
        let nulls_added =
            values.iter().zip(&probe).any(|(v, p)| v.logical_null_count() < p.logical_null_count());
        let missing = if nulls_added { first_lost(&values, &probe) } else { None };
        let Some(row) = missing.map_or_else(|| self.index.first_missing(&probe), |row| Ok(Some(row)))? else {
            return Ok(());
        };
        // As the user wrote it: in the order of the constraint.
        let place = |c: &usize| self.columns.iter().position(|x| x == c).map(|i| values[i].clone());
        let in_order = self.key.columns.iter().map(place).collect::<Option<Vec<_>>>();
        let in_order = in_order.ok_or_else(|| Error::internal("a foreign key has lost a column"))?;
        let text = key_text(table.def(), &self.key.columns, &in_order, row)?;
        let message = format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            table.def().name,
            self.key.name
        );
        Err(Error::new(SqlState::FOREIGN_KEY_VIOLATION, message)
            .with_detail(format!("Key {text} is not present in table \"{}\".", self.referenced.def().name))
            .with_relation(&table.def().schema, &table.def().name)
            .with_constraint(&self.key.name))
    }
}

/// The row groups with rows from `first` on, in order.
fn groups_from(table: &TableSnapshot, first: u64) -> Vec<&Arc<RowGroup>> {
    // New rows are at the end.
    let mut groups: Vec<_> = table.row_groups().rev().take_while(|g| g.last_row_id() >= first).collect();
    groups.reverse();
    groups
}

/// Every row from `first` to before `end` has a row to point at, or a NULL.
fn check_referencing(
    db: &DbSnapshot,
    table: &TableSnapshot,
    key: &ForeignKeyDef,
    first: u64,
    end: u64,
) -> Result<()> {
    let reference = Reference::new(db, key)?;
    let check = |group: &Arc<RowGroup>| reference.check(table, group, first, end);
    let groups = groups_from(table, first);
    if groups.len() < 2 {
        return groups.into_iter().try_for_each(check);
    }
    crate::parallel::map(&groups, |g| check(g)).map(|_| ())
}

/// The keys that rows from `first` to before `end` point at: columns and types are those of the referenced index.
pub(crate) fn pointed_at(
    db: &DbSnapshot,
    table: &TableSnapshot,
    key: &ForeignKeyDef,
    first: u64,
    end: u64,
) -> Result<Vec<Vec<ArrayRef>>> {
    let reference = Reference::new(db, key)?;
    let probes = groups_from(table, first).into_iter().map(|group| reference.pointers(group, first, end));
    Ok(probes.collect::<Result<Vec<_>>>()?.into_iter().flatten().map(|p| p.probe).collect())
}

/// The referencing columns in the order of the referenced index' columns.
fn in_index_order(index: &IndexDef, key: &ForeignKeyDef) -> Result<Vec<usize>> {
    let of = |c: &IndexColumn| key.ref_columns.iter().position(|r| *r == c.column).map(|i| key.columns[i]);
    let columns = index.columns.iter().map(of).collect::<Option<Vec<_>>>();
    columns.ok_or_else(|| Error::internal("a foreign key does not fit the index it refers to"))
}

/// The column as another type; what does not fit becomes NULL.
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let flat = seal::flattened(array)?;
    if flat.data_type() == to { Ok(flat) } else { Ok(compute::cast(&flat, to)?) }
}

/// The first row in which a value did not survive its cast: no row can have it.
fn first_lost(values: &[ArrayRef], probe: &[ArrayRef]) -> Option<usize> {
    let rows = values.first().map_or(0, |v| v.len());
    (0..rows).find(|row| values.iter().all(|v| v.is_valid(*row)) && probe.iter().any(|p| p.is_null(*row)))
}

/// No row points any more at rows that are gone, unless their keys are there again.
fn check_referenced(db: &DbSnapshot, table: TableId, columns: &[usize], values: &[ArrayRef]) -> Result<()> {
    let Some(referenced) = db.table(table) else { return Ok(()) };
    for (referencing, i) in db.referencing(table) {
        let (Some(key), Some(from)) = (referencing.foreign_keys.get(i), db.table(referencing.id)) else {
            continue;
        };
        let Some(index) = referenced.index(key.ref_index) else { continue };
        let value = |c: usize| columns.iter().position(|x| *x == c).map(|i| values[i].clone());
        let gone = key.ref_columns.iter().map(|c| value(*c)).collect::<Option<Vec<_>>>();
        let gone = gone.ok_or_else(|| Error::internal("a deleted row's key was not kept"))?;
        let in_order = index_columns(index.def()).iter().map(|c| value(*c)).collect::<Option<Vec<_>>>();
        let in_order = in_order.ok_or_else(|| Error::internal("a deleted row's key was not kept"))?;
        let back = index.probe_batch(&in_order)?.probe;
        let rows = gone.first().map_or(0, |v| v.len());
        let mut is_gone = vec![true; rows];
        back.iter().for_each(|row| is_gone[*row as usize] = false);
        let has_null = |row: usize| gone.iter().any(|v| v.is_null(row));
        let rows: Vec<usize> = (0..rows).filter(|row| is_gone[*row] && !has_null(*row)).collect();
        if rows.is_empty() || from.rows() == 0 {
            continue;
        }
        if let Some(row) = still_referenced(from, key, &gone, &rows)? {
            let text = key_text(referenced.def(), &key.ref_columns, &gone, row)?;
            let message = format!(
                "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
                referenced.def().name,
                key.name,
                referencing.name
            );
            return Err(Error::new(SqlState::FOREIGN_KEY_VIOLATION, message)
                .with_detail(format!("Key {text} is still referenced from table \"{}\".", referencing.name))
                .with_relation(&referencing.schema, &referencing.name)
                .with_constraint(&key.name));
        }
    }
    Ok(())
}

/// The first of the rows whose key some row of the referencing table has.
fn still_referenced(
    from: &TableSnapshot,
    key: &ForeignKeyDef,
    gone: &[ArrayRef],
    rows: &[usize],
) -> Result<Option<usize>> {
    let types = key.columns.iter().map(|c| from.def().columns[*c].ty);
    let gone =
        gone.iter().zip(types.clone()).map(|(v, t)| cast(v, &t.data_type())).collect::<Result<Vec<_>>>()?;
    let types: Vec<_> = types.collect();
    let datum = |i: usize, row: usize| Datum::from_column(&gone[i], row, types[i]);
    let serves = |index: &&Arc<IndexSnapshot>| {
        let first = index.def().columns.iter().take(key.columns.len());
        index.def().columns.len() >= key.columns.len()
            && first.clone().all(|c| key.columns.contains(&c.column))
    };
    if let Some(index) = from.indexes().iter().find(serves) {
        let order: Vec<usize> = index
            .def()
            .columns
            .iter()
            .take(key.columns.len())
            .filter_map(|c| key.columns.iter().position(|x| *x == c.column))
            .collect();
        for row in rows {
            let prefix = order.iter().map(|i| datum(*i, *row)).collect::<Result<Vec<_>>>()?;
            if prefix.iter().any(Datum::is_null) {
                continue;
            }
            let mut range = index.range(Bound::Included(&prefix), Bound::Included(&prefix), false)?;
            if range.next().is_some() {
                return Ok(Some(*row));
            }
        }
        return Ok(None);
    }
    scan_for(from, key, &gone, rows)
}

/// As [`still_referenced`] without an index: looks at every referencing row.
fn scan_for(
    from: &TableSnapshot,
    key: &ForeignKeyDef,
    gone: &[ArrayRef],
    rows: &[usize],
) -> Result<Option<usize>> {
    let columns =
        key.columns.iter().map(|c| IndexColumn { column: *c, descending: false, nulls_first: false });
    let shape = IndexDef {
        id: IndexId(0),
        name: String::new(),
        columns: columns.collect(),
        unique: false,
        origin: IndexOrigin::Created,
    };
    let layout = KeyLayout::of_index(from.def(), &shape)?;
    let wanted = layout.encode_probe(gone)?;
    let mut positions: HashSet<&[u8]> = HashSet::new();
    let mut numbers: HashSet<u128> = HashSet::new();
    for row in rows.iter().filter(|r| !wanted.is_null(**r)) {
        match &wanted.keys {
            Keys::U64(k) => _ = numbers.insert(k[*row].into()),
            Keys::U128(k) => _ = numbers.insert(k[*row]),
            Keys::Bytes(k) => _ = positions.insert(k.get(*row)),
        }
    }
    let blocks = from.row_groups().flat_map(|group| group.blocks().map(move |block| (group, block)));
    for (group, block) in blocks {
        let values: Vec<ArrayRef> =
            key.columns.iter().map(|c| group.values(*c, block.clone())).collect::<Result<_>>()?;
        let found = layout.encode(&values)?;
        let live = |row: &usize| group.is_live(block.start + row) && !found.is_null(*row);
        let hit = (0..found.len()).filter(live).find(|row| match &found.keys {
            Keys::U64(k) => numbers.contains(&u128::from(k[*row])),
            Keys::U128(k) => numbers.contains(&k[*row]),
            Keys::Bytes(k) => positions.contains(k.get(*row)),
        });
        let Some(hit) = hit else { continue };
        let same = |row: usize| match (&found.keys, &wanted.keys) {
            (Keys::U64(a), Keys::U64(b)) => a[hit] == b[row],
            (Keys::U128(a), Keys::U128(b)) => a[hit] == b[row],
            (Keys::Bytes(a), Keys::Bytes(b)) => a.get(hit) == b.get(row),
            _ => false,
        };
        return Ok(rows.iter().copied().find(|row| same(*row)));
    }
    Ok(None)
}
