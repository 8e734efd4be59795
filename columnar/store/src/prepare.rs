//! The work on a bulk batch that needs no lock: encodings, zone maps, sorted keys, bytes for the log.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, UInt16Type};
use spg_segment::EncodedGroup;
use spg_types::{Error, Repr, Result, TableDef};
use spg_wal::OpBody;

use crate::batch_codec::write_batch;
use crate::bulk::Placement;
use crate::codec::Writer;
use crate::index::layout::{KeyLayout, SortedKeys};
use crate::row_group::ROW_GROUP_ROWS;
use crate::seal::{self, SEALED_ROWS_MIN};
use crate::table::Batch;
use crate::zone::GroupStats;

/// A batch ready to be appended in a few microseconds plus the index inserts. Made on any thread.
pub struct PreparedBatch {
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) len: usize,
    pub(crate) stats: Option<GroupStats>,
    pub(crate) keys: Vec<(KeyLayout, SortedKeys)>,
    pub(crate) body: Option<OpBody>,
    /// The rows for a segment, where they do not stay in memory; then there are no columns.
    pub(crate) cold: Option<EncodedGroup>,
}

impl PreparedBatch {
    /// Rows in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Prepares one array per column of the table, at most [`ROW_GROUP_ROWS`] rows; best that many, and at least half, so that
/// the batch becomes a row group as it is. XX000 when arrays and table do not fit together.
pub fn prepare_batch(def: &TableDef, columns: Vec<ArrayRef>) -> Result<PreparedBatch> {
    prepare(def, columns, true, &Placement::hot())
}

/// As [`prepare_batch`] for a load that may outgrow the hot tier.
pub fn prepare_batch_for(
    def: &TableDef,
    columns: Vec<ArrayRef>,
    placement: &Placement,
) -> Result<PreparedBatch> {
    prepare(def, columns, true, placement)
}

/// As [`prepare_batch`], with the bytes for the log only where there is one.
pub(crate) fn prepare(
    def: &TableDef,
    columns: Vec<ArrayRef>,
    logged: bool,
    placement: &Placement,
) -> Result<PreparedBatch> {
    let len = check_columns(def, &columns)?;
    if len > ROW_GROUP_ROWS {
        return Err(Error::internal(format!("a batch of {len} rows is larger than a row group")));
    }
    let sealed = len >= SEALED_ROWS_MIN;
    let columns = def.columns.iter().zip(columns).map(|(c, array)| {
        if sealed { seal::sealed(c.ty.repr(), array) } else { Ok(seal::compacted(seal::flattened(&array)?)) }
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let mut keys = Vec::with_capacity(def.indexes.len());
    for index in &def.indexes {
        let layout = KeyLayout::of_index(def, index)?;
        let key_columns: Vec<ArrayRef> = index.columns.iter().map(|c| columns[c.column].clone()).collect();
        let sorted = layout.encode(&key_columns)?.sorted();
        keys.push((layout, sorted));
    }
    let stats = sealed.then(|| GroupStats::of(def, &columns));
    if let Some(stats) = &stats
        && let Some(group) = placement.encode(&columns, stats)?
    {
        return Ok(PreparedBatch { stats: None, columns: vec![], len, keys, body: None, cold: Some(group) });
    }
    let body = if logged {
        let mut w = Writer::default();
        write_batch(&mut w, def, &columns, len)?;
        Some(OpBody::new(w.0))
    } else {
        None
    };
    Ok(PreparedBatch { stats, columns, len, keys, body, cold: None })
}

/// The number of rows of columns that fit the table. XX000 when they do not.
pub(crate) fn check_columns(def: &TableDef, columns: &[ArrayRef]) -> Result<usize> {
    if columns.len() != def.columns.len() {
        let message =
            format!("{} columns for table {}, which has {}", columns.len(), def.name, def.columns.len());
        return Err(Error::internal(message));
    }
    let len = columns.first().map_or(0, |c| c.len());
    for (column, array) in def.columns.iter().zip(columns) {
        let dictionary = column.ty.repr() == Repr::Text
            && array
                .as_dictionary_opt::<UInt16Type>()
                .is_some_and(|d| *d.values().data_type() == DataType::Utf8View);
        if array.len() != len || !(dictionary || *array.data_type() == column.ty.data_type()) {
            let message = format!(
                "column {} of table {} got {} of length {}, not {len} of {}",
                column.name,
                def.name,
                array.data_type(),
                array.len(),
                column.ty.data_type()
            );
            return Err(Error::internal(message));
        }
    }
    Ok(len)
}

impl PreparedBatch {
    /// As what a table takes in.
    pub(crate) fn into_batch(self) -> Batch {
        Batch {
            sealed: self.len >= SEALED_ROWS_MIN,
            columns: self.columns,
            len: self.len,
            stats: self.stats,
            keys: self.keys.into_iter().map(|(_, k)| k).collect(),
        }
    }

    /// Works the keys out again when the table's indexes are others than when the batch was prepared.
    pub(crate) fn refresh_keys(&mut self, layouts: &[Arc<KeyLayout>], columns: &[Vec<usize>]) -> Result<()> {
        let current =
            self.keys.len() == layouts.len() && self.keys.iter().zip(layouts).all(|((k, _), l)| *k == **l);
        if current {
            return Ok(());
        }
        self.keys.clear();
        for (layout, columns) in layouts.iter().zip(columns) {
            let arrays: Vec<ArrayRef> = columns.iter().map(|c| self.columns[*c].clone()).collect();
            self.keys.push(((**layout).clone(), layout.encode(&arrays)?.sorted()));
        }
        Ok(())
    }
}
