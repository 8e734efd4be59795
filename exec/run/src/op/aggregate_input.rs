//! DISTINCT and ORDER BY inside aggregate calls: states that keep the rows and pass them on, each once or in order, when
//! the group is finished.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray, Int32Array, UInt32Array};
use arrow::datatypes::Int32Type;
use spg_expr::{Column, EvalContext, GroupStates};
use spg_types::{Error, Result};

use crate::gather::{array_bytes, concat, gather};
use crate::key::table::GroupTable;
use crate::key::words::Shape;
use crate::sort_key::SortSpec;

/// States over distinct rows; `shape` is the key of group and arguments.
pub(crate) fn distinct(inner: Box<dyn GroupStates>, shape: &Shape) -> Box<dyn GroupStates> {
    Box::new(DistinctStates {
        inner,
        table: GroupTable::new(shape),
        groups: 0,
        ids: Vec::new(),
        by_group: OnceLock::new(),
    })
}

/// States over rows in an order.
pub(crate) fn ordered(inner: Box<dyn GroupStates>, spec: Arc<SortSpec>) -> Box<dyn GroupStates> {
    Box::new(OrderedStates {
        inner,
        spec,
        groups: 0,
        chunks: Vec::new(),
        rows: Vec::new(),
        bytes: 0,
        by_group: OnceLock::new(),
    })
}

/// Rows by group: where each group's rows start, and the rows.
struct ByGroup {
    starts: Vec<u32>,
    rows: Vec<u32>,
}

impl ByGroup {
    fn new(groups: usize, of: &[u32]) -> Self {
        let mut starts = vec![0u32; groups + 2];
        of.iter().for_each(|g| starts[*g as usize + 2] += 1);
        for g in 2..starts.len() {
            starts[g] += starts[g - 1];
        }
        let mut rows = vec![0; of.len()];
        for (row, g) in of.iter().enumerate() {
            let at = &mut starts[*g as usize + 1];
            rows[*at as usize] = row as u32;
            *at += 1;
        }
        starts.pop();
        Self { starts, rows }
    }

    fn of(&self, group: u32) -> &[u32] {
        let g = group as usize;
        match (self.starts.get(g), self.starts.get(g + 1)) {
            (Some(a), Some(b)) => &self.rows[*a as usize..*b as usize],
            _ => &[],
        }
    }

    /// Rows of some groups, with the number that stands at the same place in `to`.
    fn select(&self, from: &[u32], to: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let (mut rows, mut groups) = (Vec::new(), Vec::new());
        for (f, t) in from.iter().zip(to) {
            let of = self.of(*f);
            rows.extend_from_slice(of);
            groups.resize(rows.len(), *t);
        }
        (rows, groups)
    }
}

struct DistinctStates {
    inner: Box<dyn GroupStates>,
    /// Distinct rows of group and arguments.
    table: GroupTable,
    groups: usize,
    ids: Vec<u32>,
    by_group: OnceLock<Result<ByGroup>>,
}

impl DistinctStates {
    fn insert(&mut self, groups: &[u32], args: &[Column]) -> Result<()> {
        self.by_group = OnceLock::new();
        let group = Int32Array::from_iter_values(groups.iter().map(|g| *g as i32));
        let mut columns = vec![Column::Array(Arc::new(group))];
        columns.extend_from_slice(args);
        self.table.groups(&columns, groups.len(), &mut self.ids)
    }

    fn group_of_rows(&self) -> Result<Vec<u32>> {
        let rows: Vec<u32> = (0..self.table.len() as u32).collect();
        let groups = self.table.column(0, &rows)?;
        let groups = groups
            .as_primitive_opt::<Int32Type>()
            .ok_or_else(|| Error::internal("groups are not numbers"))?;
        Ok(groups.values().iter().map(|g| *g as u32).collect())
    }
}

impl GroupStates for DistinctStates {
    fn resize(&mut self, groups: usize) {
        self.groups = groups;
    }

    fn update(&mut self, _: &EvalContext, args: &[Column], groups: &[u32]) -> Result<()> {
        self.insert(groups, args)
    }

    fn merge(&mut self, other: &dyn GroupStates, from: &[u32], to: &[u32]) -> Result<()> {
        let other: &DistinctStates =
            other.as_any().downcast_ref().ok_or_else(|| Error::internal("states of another aggregate"))?;
        let by_group = other
            .by_group
            .get_or_init(|| Ok(ByGroup::new(other.groups, &other.group_of_rows()?)))
            .as_ref()
            .map_err(Clone::clone)?;
        let (rows, groups) = by_group.select(from, to);
        let columns = other.table.columns_of(&rows)?;
        self.insert(&groups, &columns[1..])
    }

    fn finish(&mut self, ctx: &EvalContext) -> Result<ArrayRef> {
        self.inner.resize(self.groups);
        let groups = self.group_of_rows()?;
        let columns = self.table.columns(0..self.table.len())?;
        self.inner.update(ctx, &columns[1..], &groups)?;
        self.inner.finish(ctx)
    }

    fn bytes(&self) -> usize {
        self.table.bytes() + self.inner.bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct OrderedStates {
    inner: Box<dyn GroupStates>,
    spec: Arc<SortSpec>,
    groups: usize,
    /// Arguments and, after them, sort keys.
    chunks: Vec<Vec<ArrayRef>>,
    /// The group of each row.
    rows: Vec<u32>,
    bytes: usize,
    by_group: OnceLock<Result<(ByGroup, Vec<ArrayRef>)>>,
}

impl OrderedStates {
    fn joined(&self) -> Result<Vec<ArrayRef>> {
        let Some(first) = self.chunks.first() else { return Ok(Vec::new()) };
        (0..first.len())
            .map(|i| {
                let arrays: Vec<ArrayRef> = self.chunks.iter().map(|c| c[i].clone()).collect();
                concat(&arrays, arrays[0].data_type())
            })
            .collect()
    }
}

impl GroupStates for OrderedStates {
    fn resize(&mut self, groups: usize) {
        self.groups = groups;
    }

    fn update(&mut self, _: &EvalContext, args: &[Column], groups: &[u32]) -> Result<()> {
        self.by_group = OnceLock::new();
        let arrays = args.iter().map(|a| a.to_flat(groups.len())).collect::<Result<Vec<_>>>()?;
        self.bytes += arrays.iter().map(|a| array_bytes(a)).sum::<usize>();
        self.chunks.push(arrays);
        self.rows.extend_from_slice(groups);
        Ok(())
    }

    fn merge(&mut self, other: &dyn GroupStates, from: &[u32], to: &[u32]) -> Result<()> {
        let other: &OrderedStates =
            other.as_any().downcast_ref().ok_or_else(|| Error::internal("states of another aggregate"))?;
        let (by_group, columns) = other
            .by_group
            .get_or_init(|| Ok((ByGroup::new(other.groups, &other.rows), other.joined()?)))
            .as_ref()
            .map_err(Clone::clone)?;
        let (rows, groups) = by_group.select(from, to);
        if rows.is_empty() {
            return Ok(());
        }
        let index = UInt32Array::from(rows);
        self.by_group = OnceLock::new();
        self.chunks.push(columns.iter().map(|c| gather(c, &index)).collect::<Result<_>>()?);
        self.rows.extend_from_slice(&groups);
        Ok(())
    }

    fn finish(&mut self, ctx: &EvalContext) -> Result<ArrayRef> {
        self.inner.resize(self.groups);
        let columns: Vec<Column> = self.joined()?.into_iter().map(Column::Array).collect();
        if !columns.is_empty() {
            let keys = self.spec.encode(&mut |i| Ok(columns[i].clone()), self.rows.len())?;
            let order = UInt32Array::from(keys.sorted());
            let args = self.spec.first_column().min(columns.len());
            let args = columns[..args].iter().map(|c| c.gather(&order)).collect::<Result<Vec<_>>>()?;
            let groups = spg_simd::gather(&self.rows, order.values());
            self.inner.update(ctx, &args, &groups)?;
        }
        self.inner.finish(ctx)
    }

    fn bytes(&self) -> usize {
        self.bytes + 4 * self.rows.capacity() + self.inner.bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
