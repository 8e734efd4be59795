//! What the catalog says of a table: columns, constraints, indexes, and the statistics kept with the data.

use std::sync::Arc;

use crate::{Datum, SqlType, TableOptions};

/// Identifies a table for its whole life; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u32);

/// Identifies an index for its whole life; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IndexId(pub u32);

/// One column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    /// Its name.
    pub name: String,
    /// Its type, with a declared modifier or none.
    pub ty: SqlType,
    /// `NOT NULL`, also by PRIMARY KEY.
    pub not_null: bool,
    /// `DEFAULT`: the expression's SQL text.
    pub default: Option<String>,
}

/// A `CHECK` constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckDef {
    /// Constraint name.
    pub name: String,
    /// The expression's SQL text.
    pub expr: String,
}

/// What happens to referencing rows when a referenced row goes or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignKeyAction {
    /// Refused at the end of the statement.
    NoAction,
    /// Refused.
    Restrict,
}

/// A `FOREIGN KEY` constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignKeyDef {
    /// Constraint name.
    pub name: String,
    /// Referencing columns, by position.
    pub columns: Vec<usize>,
    /// The referenced table.
    pub ref_table: TableId,
    /// Referenced columns, by position, in the order of `columns`.
    pub ref_columns: Vec<usize>,
    /// The referenced table's unique index over them.
    pub ref_index: IndexId,
    /// `ON DELETE`.
    pub on_delete: ForeignKeyAction,
    /// `ON UPDATE`.
    pub on_update: ForeignKeyAction,
}

/// What an index was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexOrigin {
    /// `PRIMARY KEY`.
    PrimaryKey,
    /// `UNIQUE` constraint.
    UniqueConstraint,
    /// `CREATE [UNIQUE] INDEX`.
    Created,
}

/// One key column of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexColumn {
    /// Position of the column in its table.
    pub column: usize,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`.
    pub nulls_first: bool,
}

/// An ordered index.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDef {
    /// Its id.
    pub id: IndexId,
    /// Its name; also the constraint's, where it backs one.
    pub name: String,
    /// Key columns.
    pub columns: Vec<IndexColumn>,
    /// Whether two rows with equal keys (no key column NULL) are refused.
    pub unique: bool,
    /// What it was made for.
    pub origin: IndexOrigin,
}

/// A table, as the catalog has it. A change makes a new value under the same id.
#[derive(Clone, Debug, PartialEq)]
pub struct TableDef {
    /// Its id.
    pub id: TableId,
    /// Its schema's name (`public`).
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Columns in order.
    pub columns: Vec<ColumnDef>,
    /// Indexes, the primary key's first where there is one.
    pub indexes: Vec<IndexDef>,
    /// `CHECK` constraints.
    pub checks: Vec<CheckDef>,
    /// `FOREIGN KEY` constraints.
    pub foreign_keys: Vec<ForeignKeyDef>,
    /// Storage parameters.
    pub options: TableOptions,
}

impl TableDef {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// The table without a column that no index and no foreign key of its own has: the places of those after it move up,
    /// also in its keys to itself.
    #[must_use]
    pub fn without_column(&self, at: usize) -> TableDef {
        let mut def = self.clone();
        def.columns.remove(at);
        let moved = |place: &mut usize| *place -= usize::from(*place > at);
        def.indexes.iter_mut().flat_map(|i| &mut i.columns).for_each(|c| moved(&mut c.column));
        def.foreign_keys.iter_mut().flat_map(|k| &mut k.columns).for_each(moved);
        def.column_dropped(self.id, at);
        def
    }

    /// A table that this one may refer to has lost its column `at`.
    pub fn column_dropped(&mut self, referred: TableId, at: usize) {
        let keys = self.foreign_keys.iter_mut().filter(|k| k.ref_table == referred);
        keys.flat_map(|k| &mut k.ref_columns).for_each(|place| *place -= usize::from(*place > at));
    }

    /// The primary key's index.
    pub fn primary_key(&self) -> Option<&IndexDef> {
        self.indexes.iter().find(|i| i.origin == IndexOrigin::PrimaryKey)
    }
}

/// What is known of a column's values, kept with the data as it arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnStats {
    /// A lower bound of the non-null values; never above the smallest. `None` when unknown or there are none.
    pub min: Option<Datum>,
    /// An upper bound of the non-null values; never below the largest.
    pub max: Option<Datum>,
    /// NULLs, at most.
    pub null_count: u64,
    /// Estimated number of distinct non-null values.
    pub distinct: f64,
    /// Average bytes of a value (strings), 0 when not measured.
    pub avg_width: f64,
}

/// What is known of a table's rows, kept with the data as it arrives.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TableStats {
    /// Live rows.
    pub rows: u64,
    /// One per column.
    pub columns: Vec<ColumnStats>,
}

/// A table definition shared between snapshots.
pub type TableRef = Arc<TableDef>;
