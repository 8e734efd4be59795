//! A table at one moment: its rows, its indexes, what is known of its columns.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef};
use arrow::compute;
use imbl::Vector;
use spg_types::{ColumnDef, Error, IndexId, Result, TableDef, TableId, TableRef, TableStats};

use crate::cold::ColumnSource;
use crate::index::IndexSnapshot;
use crate::index::layout::SortedKeys;
use crate::row_group::{ROW_GROUP_ROWS, RowGroup};
use crate::seal::{self, SEALED_ROWS_MIN};
use crate::zone::{self, Aggregate, GroupStats, NewColumn};

/// So many neighbours of one size class become one of the next.
const MERGE_FAN_IN: usize = 16;

/// A hot row group is cleared up when one in so many of its rows is deleted: dead rows take at most half as much memory as live
/// ones, and a deleted row costs the copying of two others.
const DEAD_FRACTION: usize = 3;

/// One version of a table. A clone is a few pointers.
#[derive(Clone, Debug)]
pub struct TableSnapshot {
    def: TableRef,
    /// In the order of their row ids; none is without live rows.
    groups: Vector<Arc<RowGroup>>,
    indexes: Vec<Arc<IndexSnapshot>>,
    /// Whether the indexes are left behind, as replay does, which nobody asks: see [`TableSnapshot::leave_indexes`].
    indexes_left: bool,
    rows: u64,
    /// Statistics of the sealed groups, those since dropped or cleared included: bounds stay sound.
    sealed_stats: Arc<Aggregate>,
    stats: OnceLock<Computed>,
    /// Statistics of an earlier version, and the last row id then: a start for this one's.
    base_stats: Option<(Arc<TableStats>, u64)>,
    /// The next row id to give out; shared by all versions, because an id that was given out stays given.
    next_row_id: Arc<AtomicU64>,
    /// Another one for other columns: which they are, and their types. Never given twice while this process lives.
    columns_id: u64,
}

#[derive(Clone, Debug)]
struct Computed {
    stats: Arc<TableStats>,
    /// Whether every row was looked at, not only those that are new since an earlier version.
    whole: bool,
}

/// A batch on its way into a table.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) len: usize,
    /// Whether the columns have the encodings that they stay in.
    pub(crate) sealed: bool,
    pub(crate) stats: Option<GroupStats>,
    /// In the order of the table's indexes; empty when they are still to be computed.
    pub(crate) keys: Vec<SortedKeys>,
}

impl TableSnapshot {
    pub(crate) fn new(def: TableRef) -> Result<Self> {
        let indexes = def
            .indexes
            .iter()
            .map(|i| IndexSnapshot::new(&def, i).map(Arc::new))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            def,
            groups: Vector::new(),
            indexes,
            indexes_left: false,
            rows: 0,
            sealed_stats: Arc::default(),
            stats: OnceLock::new(),
            base_stats: None,
            next_row_id: Arc::new(AtomicU64::new(1)),
            columns_id: next_columns_id(),
        })
    }

    /// A table as a checkpoint has kept it. Its indexes are built when they are first used.
    pub(crate) fn restored(def: TableRef, groups: Vec<Arc<RowGroup>>, next_row_id: u64) -> Result<Self> {
        let mut table = Self::new(def)?;
        table.rows = groups.iter().map(|g| g.live_rows() as u64).sum();
        groups.iter().filter(|g| g.is_sealed()).for_each(|g| table.note_sealed(g));
        table.groups = groups.into_iter().collect();
        table.reserve_row_ids(next_row_id);
        table.resume_indexes()?;
        Ok(table)
    }

    /// From now on changes pass the indexes by. What asks for keys must wait for [`TableSnapshot::resume_indexes`].
    pub(crate) fn leave_indexes(&mut self) {
        self.indexes_left = true;
    }

    /// Whether changes pass the indexes by.
    pub(crate) fn leaves_indexes(&self) -> bool {
        self.indexes_left
    }

    /// The indexes are those of the rows again; they are built when they are first used.
    pub(crate) fn resume_indexes(&mut self) -> Result<()> {
        self.indexes_left = false;
        let groups: Vec<Arc<RowGroup>> = self.groups.iter().cloned().collect();
        let index = |i| match groups.is_empty() {
            true => IndexSnapshot::new(&self.def, i).map(Arc::new),
            false => IndexSnapshot::pending(&self.def, i, &groups).map(Arc::new),
        };
        self.indexes = self.def.indexes.iter().map(index).collect::<Result<_>>()?;
        Ok(())
    }

    /// The next row id to give out.
    pub(crate) fn next_row_id(&self) -> u64 {
        self.next_row_id.load(Ordering::Relaxed)
    }

    /// What tells its columns from those that it had before they were altered.
    pub(crate) fn columns_id(&self) -> u64 {
        self.columns_id
    }

    /// Its definition.
    pub fn def(&self) -> &TableRef {
        &self.def
    }

    /// Its row groups in the order of their row ids; none is without live rows.
    pub fn row_groups(&self) -> impl DoubleEndedIterator<Item = &Arc<RowGroup>> + ExactSizeIterator {
        self.groups.iter()
    }

    /// Live rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Every index, in the order of the definition.
    pub fn indexes(&self) -> &[Arc<IndexSnapshot>] {
        &self.indexes
    }

    /// The index with that id.
    pub fn index(&self, id: IndexId) -> Option<&Arc<IndexSnapshot>> {
        self.indexes.iter().find(|i| i.def().id == id)
    }

    /// Statistics over all row groups; bounds are sound, they hold for every row. Computed when first asked for.
    pub fn stats(&self) -> Arc<TableStats> {
        let compute = || match self.extended_stats() {
            Some(stats) => Computed { stats: Arc::new(stats), whole: false },
            None => Computed { stats: Arc::new(self.whole_stats()), whole: true },
        };
        self.stats.get_or_init(compute).stats.clone()
    }

    fn whole_stats(&self) -> TableStats {
        let mut all = (*self.sealed_stats).clone();
        for group in self.groups.iter().filter(|g| !g.is_sealed()) {
            group.add_to(&mut all);
        }
        all.table_stats(self.rows, self.def.columns.len())
    }

    /// An earlier version's statistics widened for what has come since; `None` when that is too much to keep the rest.
    fn extended_stats(&self) -> Option<TableStats> {
        let (base, last_row_id) = self.base_stats.as_ref()?;
        let tolerated = (base.rows / 32).max(256);
        let mut stats = (**base).clone();
        let mut seen = 0;
        for group in self.groups.iter().rev().take_while(|g| g.last_row_id() > *last_row_id) {
            seen += group.len() as u64;
            if seen > tolerated {
                return None;
            }
            zone::extend(&mut stats, group.zones());
        }
        if self.rows + tolerated < base.rows {
            return None;
        }
        stats.rows = self.rows;
        for column in &mut stats.columns {
            column.null_count = column.null_count.min(self.rows);
            column.distinct = column.distinct.min(self.rows as f64);
        }
        Some(stats)
    }

    /// This version is about to change: its statistics become the start for the next one's.
    fn forget_stats(&mut self) {
        let last_row_id = self.groups.last().map_or(0, |g| g.last_row_id());
        if let Some(Computed { stats, whole: true }) = std::mem::take(&mut self.stats).into_inner() {
            self.base_stats = Some((stats, last_row_id));
        }
    }

    /// Where a row is: the position of its group and its offset there. `None` when it is not live.
    pub fn locate(&self, row_id: u64) -> Option<(usize, usize)> {
        let (at, group) = self.group_of(row_id)?;
        let offset = group.offset_of(row_id)?;
        group.is_live(offset).then_some((at, offset))
    }

    /// The row group at a position.
    pub fn row_group(&self, at: usize) -> Option<&Arc<RowGroup>> {
        self.groups.get(at)
    }

    fn group_of(&self, row_id: u64) -> Option<(usize, &Arc<RowGroup>)> {
        let at = match self.groups.binary_search_by(|g| g.first_row_id().cmp(&row_id)) {
            Ok(at) => at,
            Err(after) => after.checked_sub(1)?,
        };
        Some((at, self.groups.get(at)?))
    }

    /// Some columns of rows, in the order of the ids. A column may be a dictionary when all rows lie in one group.
    /// XX000 when a row is not live.
    pub fn fetch(&self, row_ids: &[u64], projection: &[usize]) -> Result<Vec<ArrayRef>> {
        let gone = || Error::internal(format!("a row of table {} is not in this snapshot", self.def.name));
        // Runs of rows in one group are taken together.
        let mut runs: Vec<(&Arc<RowGroup>, Vec<u64>)> = Vec::new();
        for row_id in row_ids {
            if let Some((group, offsets)) = runs.last_mut()
                && let Some(offset) = group.offset_of(*row_id)
            {
                if !group.is_live(offset) {
                    return Err(gone());
                }
                offsets.push(offset as u64);
                continue;
            }
            let (at, offset) = self.locate(*row_id).ok_or_else(gone)?;
            let group = self.groups.get(at).ok_or_else(gone)?;
            runs.push((group, vec![offset as u64]));
        }
        match runs.as_slice() {
            [] => Ok(projection.iter().map(|c| arrow::array::new_empty_array(&self.data_type(*c))).collect()),
            [(group, offsets)] => group.take(offsets, projection),
            _ => {
                let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::with_capacity(runs.len()); projection.len()];
                for (group, offsets) in &runs {
                    for (part, array) in parts.iter_mut().zip(group.take(offsets, projection)?) {
                        part.push(seal::flattened(&array)?);
                    }
                }
                let join = |p: &Vec<ArrayRef>| {
                    let arrays: Vec<&dyn Array> = p.iter().map(|a| &**a).collect();
                    Ok(compute::concat(&arrays)?)
                };
                parts.iter().map(join).collect()
            }
        }
    }

    fn data_type(&self, column: usize) -> arrow::datatypes::DataType {
        self.def.columns[column].ty.data_type()
    }

    /// Gives out ids for a batch.
    pub(crate) fn allocate_row_ids(&self, rows: usize) -> u64 {
        self.next_row_id.fetch_add(rows as u64, Ordering::Relaxed)
    }

    /// Notes ids that were given out before this process started.
    pub(crate) fn reserve_row_ids(&self, below: u64) {
        self.next_row_id.fetch_max(below, Ordering::Relaxed);
    }

    /// Adds a batch whose rows get the ids from `first_row_id` on, which are above all others.
    pub(crate) fn append(&mut self, first_row_id: u64, mut batch: Batch) -> Result<()> {
        if batch.keys.is_empty() && !self.indexes_left {
            for index in &self.indexes {
                batch.keys.push(index.layout().encode(&index.key_columns(&batch.columns))?.sorted());
            }
        }
        let group =
            RowGroup::new(&self.def, batch.columns, batch.len, first_row_id, batch.sealed, batch.stats);
        self.append_group(group, &batch.keys)?;
        self.merge_tail()
    }

    /// Adds a row group with contiguous ids, which are above all others, and its keys, one batch per index.
    pub(crate) fn append_group(&mut self, group: RowGroup, keys: &[SortedKeys]) -> Result<()> {
        let first_row_id = group.first_row_id();
        self.reserve_row_ids(group.last_row_id() + 1);
        if !self.indexes_left {
            for (index, keys) in self.indexes.iter_mut().zip(keys) {
                Arc::make_mut(index).insert(keys, |row| first_row_id + row as u64)?;
            }
        }
        self.rows += group.len() as u64;
        self.forget_stats();
        if group.is_sealed() {
            self.note_sealed(&group);
        }
        self.groups.push_back(Arc::new(group));
        Ok(())
    }

    fn note_sealed(&mut self, group: &RowGroup) {
        group.add_to(Arc::make_mut(&mut self.sealed_stats));
    }

    /// The positions of the row groups with rows between two ids, both included.
    pub(crate) fn groups_between(&self, first: u64, last: u64) -> std::ops::Range<usize> {
        let before = |reached: &dyn Fn(&RowGroup) -> bool| {
            let (mut low, mut high) = (0, self.groups.len());
            while low < high {
                let middle = low.midpoint(high);
                if self.groups.get(middle).is_some_and(|g| !reached(g)) {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            low
        };
        let from = before(&|g| g.last_row_id() >= first);
        from..before(&|g| g.first_row_id() > last).max(from)
    }

    /// Puts row groups in the place of others; `new` says whether the statistics do not know their rows yet.
    pub(crate) fn replace_groups(
        &mut self,
        range: std::ops::Range<usize>,
        groups: Vec<Arc<RowGroup>>,
        new: bool,
    ) {
        self.forget_stats();
        let after = self.groups.split_off(range.end);
        let old = self.groups.split_off(range.start);
        let live = |groups: &mut dyn Iterator<Item = &Arc<RowGroup>>| {
            groups.map(|g| g.live_rows() as u64).sum::<u64>()
        };
        self.rows -= live(&mut old.iter());
        self.rows += live(&mut groups.iter());
        for group in groups {
            if new && group.is_sealed() {
                self.note_sealed(&group);
            }
            self.groups.push_back(group);
        }
        self.groups.append(after);
    }

    /// Keeps few groups of each size class at the end.
    fn merge_tail(&mut self) -> Result<()> {
        while let Some(last) = self.groups.last().filter(|g| !g.is_sealed()) {
            let class = size_class(last.live_rows());
            let mut rows = 0;
            let mut count = 0;
            for group in
                self.groups.iter().rev().take_while(|g| !g.is_sealed() && size_class(g.live_rows()) <= class)
            {
                if rows + group.live_rows() > ROW_GROUP_ROWS {
                    break;
                }
                rows += group.live_rows();
                count += 1;
            }
            if count < MERGE_FAN_IN && (count < 2 || rows < SEALED_ROWS_MIN) {
                return Ok(());
            }
            let from = self.groups.len() - count;
            if !self.merge(from, count)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes one group of several neighbours; whether that was possible.
    fn merge(&mut self, from: usize, count: usize) -> Result<bool> {
        let groups: Vec<Arc<RowGroup>> =
            (from..from + count).filter_map(|i| self.groups.get(i).cloned()).collect();
        let Some(merged) = RowGroup::merged(&groups)? else { return Ok(false) };
        if merged.is_sealed() && !groups.iter().all(|g| g.is_sealed()) {
            self.note_sealed(&merged);
        }
        let merged = Arc::new(merged);
        if from + count == self.groups.len() {
            self.groups.truncate(from);
            self.groups.push_back(merged);
        } else {
            self.groups.set(from, merged);
            for _ in 1..count {
                self.groups.remove(from + 1);
            }
        }
        Ok(true)
    }

    /// Removes rows. Ids ascend and are live; XX000 otherwise.
    pub(crate) fn delete(&mut self, row_ids: &[u64]) -> Result<()> {
        self.forget_stats();
        let mut rest = row_ids;
        while let Some(first) = rest.first() {
            let gone = || Error::internal(format!("a row to delete from {} is not there", self.def.name));
            let (at, group) = self.group_of(*first).ok_or_else(gone)?;
            let n = rest.partition_point(|id| *id <= group.last_row_id());
            let (here, after) = rest.split_at(n.max(1));
            let mut offsets = Vec::with_capacity(here.len());
            for id in here {
                offsets.push(group.offset_of(*id).filter(|o| group.is_live(*o)).ok_or_else(gone)? as u64);
            }
            let group = group.clone();
            self.remove_from_indexes(&group, &offsets, here)?;
            let deleted = self.delete_in_group(at, group, &offsets)?;
            self.rows -= deleted as u64;
            rest = after;
        }
        Ok(())
    }

    fn remove_from_indexes(&mut self, group: &RowGroup, offsets: &[u64], row_ids: &[u64]) -> Result<()> {
        if self.indexes_left {
            return Ok(());
        }
        let everything = offsets.len() as u64 == self.rows;
        for index in &mut self.indexes {
            if everything {
                *index = Arc::new(index.emptied());
                continue;
            }
            let columns: Vec<usize> = index.def().columns.iter().map(|c| c.column).collect();
            let keys = index.layout().encode(&group.take(offsets, &columns)?)?;
            Arc::make_mut(index).remove(&keys, |row| row_ids[row])?;
        }
        Ok(())
    }

    /// Marks rows of the group at `at`; a group is cleared up when too many are gone.
    fn delete_in_group(&mut self, at: usize, group: Arc<RowGroup>, offsets: &[u64]) -> Result<usize> {
        let live = group.live_rows() - offsets.len();
        if live == 0 {
            if at + 1 == self.groups.len() {
                self.groups.truncate(at);
            } else {
                self.groups.remove(at);
            }
            return Ok(offsets.len());
        }
        drop(group);
        let Some(slot) = self.groups.get_mut(at) else {
            return Err(Error::internal("a row group has moved"));
        };
        let deleted = Arc::make_mut(slot).delete(offsets.iter().map(|o| *o as u32));
        // A cold group is cleared up by writing another segment.
        if (slot.len() - live) * DEAD_FRACTION > slot.len() && !slot.is_cold() {
            self.clear(at)?;
        }
        Ok(deleted)
    }

    /// Rewrites a group without its deleted rows, together with a neighbour of its size where there is one.
    fn clear(&mut self, at: usize) -> Result<()> {
        let hot = |i: usize| self.groups.get(i).filter(|g| !g.is_cold());
        let class = |i: usize| hot(i).map(|g| (size_class(g.live_rows()), g.live_rows()));
        let fits = |i: usize, j: usize| match (class(i), class(j)) {
            (Some((a, n)), Some((b, m))) => a == b && n + m <= ROW_GROUP_ROWS,
            _ => false,
        };
        let (from, count) = if at > 0 && fits(at - 1, at) {
            (at - 1, 2)
        } else if fits(at, at + 1) {
            (at, 2)
        } else {
            (at, 1)
        };
        // Neighbours whose ids lie too far apart stay two.
        if !self.merge(from, count)? && count > 1 {
            self.merge(at, 1)?;
        }
        Ok(())
    }

    /// Removes every row.
    pub(crate) fn truncate(&mut self) {
        self.groups = Vector::new();
        self.rows = 0;
        self.sealed_stats = Arc::default();
        self.stats = OnceLock::new();
        self.base_stats = None;
        for index in &mut self.indexes {
            *index = Arc::new(index.emptied());
        }
    }

    /// Takes on another definition of the same columns: names, constraints and indexes may differ. Indexes whose keys
    /// change are built anew. 0A000 when columns come, go or change their type.
    pub(crate) fn redefine(&mut self, def: TableDef) -> Result<()> {
        let same_types = self.def.columns.len() == def.columns.len()
            && self.def.columns.iter().zip(&def.columns).all(|(a, b)| a.ty.repr() == b.ty.repr());
        if !same_types && self.rows > 0 {
            return Err(Error::unsupported("changing the columns of a table that has rows is not supported"));
        }
        let def = Arc::new(def);
        if !same_types {
            self.truncate();
            self.columns_id = next_columns_id();
        }
        let mut indexes = Vec::with_capacity(def.indexes.len());
        for index in &def.indexes {
            let fresh = IndexSnapshot::new(&def, index)?;
            let kept = self.index(index.id).filter(|old| {
                old.layout() == fresh.layout()
                    && old.def().columns == index.columns
                    && old.def().unique == index.unique
            });
            indexes.push(match kept {
                Some(old) => Arc::new(old.renamed(index)),
                None if self.indexes_left => Arc::new(fresh),
                None => {
                    let mut index = fresh;
                    index.fill(&self.groups.iter().cloned().collect::<Vec<_>>())?;
                    Arc::new(index)
                }
            });
        }
        self.indexes = indexes;
        self.groups = self.groups.iter().map(|g| Arc::new(g.redefined(&def))).collect();
        self.def = def;
        self.stats = OnceLock::new();
        self.base_stats = None;
        Ok(())
    }

    /// Every row gets a value in a new last column; `value` has one row.
    pub(crate) fn add_column(&mut self, column: ColumnDef, value: &ArrayRef) -> Result<()> {
        if *value.data_type() != column.ty.data_type() || value.len() != 1 {
            return Err(Error::internal(format!("column {} got a default of another type", column.name)));
        }
        let added = NewColumn::new(&column, value);
        let mut def = (*self.def).clone();
        def.columns.push(column);
        self.def = Arc::new(def);
        let mut arrays: HashMap<(usize, bool), ArrayRef> = HashMap::new();
        for slot in &mut self.groups {
            let source = if slot.is_cold() {
                ColumnSource::Constant(value.clone(), slot.len())
            } else {
                ColumnSource::Memory(match arrays.entry((slot.len(), slot.is_sealed())) {
                    Entry::Occupied(e) => e.get().clone(),
                    Entry::Vacant(e) => {
                        e.insert(seal::repeated(value, slot.len(), slot.is_sealed())?).clone()
                    }
                })
            };
            *slot = Arc::new(slot.with_column(&self.def, source, &added));
        }
        self.columns_id = next_columns_id();
        Arc::make_mut(&mut self.sealed_stats).add_column(&added);
        self.stats = OnceLock::new();
        self.base_stats = None;
        Ok(())
    }

    /// Removes a column that no index has.
    pub(crate) fn drop_column(&mut self, at: usize) -> Result<()> {
        let in_use = self.def.indexes.iter().any(|i| i.columns.iter().any(|c| c.column == at))
            || self.def.foreign_keys.iter().any(|k| k.columns.contains(&at));
        if in_use || at >= self.def.columns.len() {
            return Err(Error::internal("a column to drop is in use or not there"));
        }
        self.def = Arc::new(self.def.without_column(at));
        for (index, def) in self.indexes.iter_mut().zip(&self.def.indexes) {
            *index = Arc::new(index.renamed(def));
        }
        for slot in &mut self.groups {
            *slot = Arc::new(slot.without_column(&self.def, at));
        }
        self.columns_id = next_columns_id();
        Arc::make_mut(&mut self.sealed_stats).drop_column(at);
        self.stats = OnceLock::new();
        self.base_stats = None;
        Ok(())
    }

    /// A table that this one refers to has lost a column: keys name the others by their new places.
    pub(crate) fn referred_column_dropped(&mut self, referred: TableId, at: usize) {
        let mut def = (*self.def).clone();
        def.column_dropped(referred, at);
        self.def = Arc::new(def);
        for slot in &mut self.groups {
            *slot = Arc::new(slot.redefined(&self.def));
        }
    }
}

fn next_columns_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// 0 for 1 to 15 rows, 1 for 16 to 255, and so on.
fn size_class(rows: usize) -> u32 {
    rows.max(1).ilog2() / 4
}
