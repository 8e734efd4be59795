//! A batch: rows flowing through a pipeline, gathered late.
//!
//! A column of a batch is an array with, often, an index into it: a filter or a join only writes the index, and the
//! values move when an expression or a sink asks for them. Columns that came the same way share one index.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array};
use spg_expr::Column;
use spg_types::{Error, Result};

use crate::gather::{compose, gather};

/// Positions into an array, shared by the columns that came the same way. A NULL position stands for a NULL value.
pub(crate) type Index = Arc<UInt32Array>;

/// One column of a batch.
#[derive(Clone, Debug)]
pub(crate) struct BatchColumn {
    data: Column,
    index: Option<Index>,
}

impl BatchColumn {
    /// A column whose values stand as they are.
    pub(crate) fn dense(data: Column) -> Self {
        Self { data, index: None }
    }

    /// The values of `data` at `index`.
    pub(crate) fn indexed(data: ArrayRef, index: Index) -> Self {
        Self { data: Column::Array(data), index: Some(index) }
    }

    /// Data and index, before any gathering.
    pub(crate) fn parts(&self) -> (&Column, Option<&Index>) {
        (&self.data, self.index.as_ref())
    }

    /// The values, gathered.
    pub(crate) fn values(&self) -> Result<Column> {
        match (&self.data, &self.index) {
            (data, None) => Ok(data.clone()),
            (Column::Array(a), Some(index)) => Ok(Column::Array(gather(a, index)?)),
            (Column::Const(a), Some(index)) if index.null_count() == 0 => Ok(Column::Const(a.clone())),
            (Column::Const(a), Some(index)) => {
                let zeros = UInt32Array::new(vec![0; index.len()].into(), index.nulls().cloned());
                Ok(Column::Array(gather(a, &zeros)?))
            }
        }
    }
}

/// Rows in columns. All columns have `rows` rows, whether they are gathered yet or not.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    rows: usize,
    columns: Vec<BatchColumn>,
}

impl Batch {
    /// A batch of columns that stand as they are.
    pub(crate) fn new(columns: Vec<Column>, rows: usize) -> Self {
        Self { rows, columns: columns.into_iter().map(BatchColumn::dense).collect() }
    }

    /// A batch of columns, gathered or not.
    pub(crate) fn from_columns(columns: Vec<BatchColumn>, rows: usize) -> Self {
        Self { rows, columns }
    }

    /// Rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// A column as it is.
    pub(crate) fn raw(&self, i: usize) -> Result<&BatchColumn> {
        self.columns.get(i).ok_or_else(|| Error::internal("a batch lacks a column"))
    }

    /// Adds a column.
    pub(crate) fn push(&mut self, column: BatchColumn) {
        self.columns.push(column);
    }

    /// Replaces a column by `data`, of whose rows those count that column `like` has: both came the same way.
    pub(crate) fn fill(&mut self, i: usize, data: ArrayRef, like: usize) -> Result<()> {
        let index = self.raw(like)?.index.clone();
        let column = self.columns.get_mut(i).ok_or_else(|| Error::internal("a batch lacks a column"))?;
        *column = BatchColumn { data: Column::Array(data), index };
        Ok(())
    }

    /// The values of a column; gathered once and kept.
    pub(crate) fn column(&mut self, i: usize) -> Result<Column> {
        let column = self.columns.get_mut(i).ok_or_else(|| Error::internal("a batch lacks a column"))?;
        if column.index.is_some() {
            *column = BatchColumn::dense(column.values()?);
        }
        Ok(column.data.clone())
    }

    /// The values of a column as an array of its own length: constants repeated.
    pub(crate) fn array(&mut self, i: usize) -> Result<ArrayRef> {
        let rows = self.rows;
        self.column(i)?.to_array(rows)
    }

    /// The values of some columns.
    pub(crate) fn columns(&mut self, which: &[usize]) -> Result<Vec<Column>> {
        which.iter().map(|&i| self.column(i)).collect()
    }

    /// Keeps the rows at `positions`, in that order; nothing is moved yet.
    pub(crate) fn select(&mut self, positions: UInt32Array) {
        self.rows = positions.len();
        let positions = Arc::new(positions);
        let mut composed: Vec<(Index, Index)> = Vec::new();
        for column in &mut self.columns {
            column.index = match (&column.data, column.index.take()) {
                (Column::Const(_), None) => None,
                (_, None) => Some(positions.clone()),
                (_, Some(old)) => Some(match composed.iter().find(|(o, _)| Arc::ptr_eq(o, &old)) {
                    Some((_, new)) => new.clone(),
                    None => {
                        let new = Arc::new(compose(&old, &positions));
                        composed.push((old, new.clone()));
                        new
                    }
                }),
            };
        }
    }

    /// Rows from `offset` on, at most `len`; shares the memory.
    pub(crate) fn slice(&self, offset: usize, len: usize) -> Batch {
        let columns = self
            .columns
            .iter()
            .map(|c| match &c.index {
                None => BatchColumn::dense(c.data.slice(offset, len)),
                Some(index) => {
                    BatchColumn { data: c.data.clone(), index: Some(Arc::new(index.slice(offset, len))) }
                }
            })
            .collect();
        Batch { rows: len, columns }
    }

    /// Only these columns, in this order.
    pub(crate) fn project(self, which: &[usize]) -> Result<Batch> {
        if which.len() == self.columns.len() && which.iter().enumerate().all(|(i, &w)| i == w) {
            return Ok(self);
        }
        let columns = which.iter().map(|&i| self.raw(i).cloned()).collect::<Result<_>>()?;
        Ok(Batch { rows: self.rows, columns })
    }

    /// All columns gathered, constants still constant.
    pub(crate) fn into_dense(mut self) -> Result<(Vec<Column>, usize)> {
        let rows = self.rows;
        let columns = (0..self.columns.len()).map(|i| self.column(i)).collect::<Result<_>>()?;
        Ok((columns, rows))
    }

    /// All columns as arrays.
    pub(crate) fn into_arrays(self) -> Result<Vec<ArrayRef>> {
        let (columns, rows) = self.into_dense()?;
        columns.iter().map(|c| c.to_array(rows)).collect()
    }
}
