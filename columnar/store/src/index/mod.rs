//! Ordered indexes: part of a table's snapshot, exact for the rows that live in it.

pub(crate) mod keys;
pub(crate) mod layout;
mod tree;

use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use arrow::array::ArrayRef;
use parking_lot::Mutex;
use spg_types::{Datum, IndexDef, Result, TableDef};

use crate::parallel;
use crate::row_group::RowGroup;

use keys::{ByteKeys, KeyArray};
use layout::{KeyBatch, KeyBound, KeyLayout, Keys, SortedKeys, each_keys};
use tree::{RangeRows, Tree};

/// One version of an index: exactly the rows that live in its table's snapshot. A clone is a few pointers.
#[derive(Clone, Debug)]
pub struct IndexSnapshot {
    def: Arc<IndexDef>,
    layout: Arc<KeyLayout>,
    tree: TreeState,
}

#[derive(Clone, Debug)]
enum TreeState {
    Ready(AnyTree),
    /// The index of a table as a start has found it: built when it is first used, or in the background before.
    Pending(Arc<PendingTree>),
}

#[derive(Debug)]
struct PendingTree {
    rows: u64,
    /// What is to be indexed; empty once it is.
    groups: Mutex<Vec<Arc<RowGroup>>>,
    /// Where the key columns are in these row groups: the table's may have moved since.
    columns: Vec<usize>,
    built: OnceLock<Result<AnyTree>>,
}

#[derive(Clone, Debug)]
enum AnyTree {
    U64(Tree<Vec<u64>>),
    U128(Tree<Vec<u128>>),
    Bytes(Tree<ByteKeys>),
}

/// Runs the same code for a tree and keys of its kind; `$wrong` when the kinds differ.
macro_rules! with_keys {
    ($tree:expr, $keys:expr, ($t:ident, $k:ident) => $body:expr, $wrong:expr) => {
        match ($tree, $keys) {
            (AnyTree::U64($t), Keys::U64($k)) => $body,
            (AnyTree::U128($t), Keys::U128($k)) => $body,
            (AnyTree::Bytes($t), Keys::Bytes($k)) => $body,
            _ => $wrong,
        }
    };
}

macro_rules! each_tree {
    ($tree:expr, $t:ident => $body:expr) => {
        match $tree {
            AnyTree::U64($t) => $body,
            AnyTree::U128($t) => $body,
            AnyTree::Bytes($t) => $body,
        }
    };
}

/// The rows with one key: usually none or one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RowIds {
    /// No row.
    #[default]
    None,
    /// One row.
    One(u64),
    /// Several, ascending.
    Many(Vec<u64>),
}

impl RowIds {
    /// The row ids, ascending.
    pub fn as_slice(&self) -> &[u64] {
        match self {
            RowIds::None => &[],
            RowIds::One(row) => std::slice::from_ref(row),
            RowIds::Many(rows) => rows,
        }
    }

    fn push(&mut self, row: u64) {
        match self {
            RowIds::None => *self = RowIds::One(row),
            RowIds::One(first) => *self = RowIds::Many(vec![*first, row]),
            RowIds::Many(rows) => rows.push(row),
        }
    }
}

/// The matches of a batch of keys: pairs of a row of the batch and the id of a row of the table, in no particular order.
#[derive(Clone, Debug, Default)]
pub struct ProbeMatches {
    /// Rows of the probing batch.
    pub probe: Vec<u32>,
    /// Matching row ids, in step with `probe`.
    pub rows: Vec<u64>,
}

/// Row ids in key order; owns what it reads, so it can outlive the snapshot.
#[derive(Debug)]
pub struct IndexRange(AnyRange);

#[derive(Debug)]
enum AnyRange {
    U64(RangeRows<Vec<u64>>),
    U128(RangeRows<Vec<u128>>),
    Bytes(RangeRows<ByteKeys>),
    Empty,
}

impl IndexRange {
    /// Appends up to `limit` row ids; how many there were, 0 at the end.
    pub fn next_rows(&mut self, limit: usize, out: &mut Vec<u64>) -> usize {
        match &mut self.0 {
            AnyRange::U64(r) => r.next_rows(limit, out),
            AnyRange::U128(r) => r.next_rows(limit, out),
            AnyRange::Bytes(r) => r.next_rows(limit, out),
            AnyRange::Empty => 0,
        }
    }
}

impl Iterator for IndexRange {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let mut out = Vec::with_capacity(1);
        self.next_rows(1, &mut out);
        out.pop()
    }
}

/// Where the key columns are in the table.
fn key_places(def: &IndexDef) -> Vec<usize> {
    def.columns.iter().map(|c| c.column).collect()
}

impl IndexSnapshot {
    pub(crate) fn new(table: &TableDef, def: &IndexDef) -> Result<Self> {
        let layout = KeyLayout::of_index(table, def)?;
        let tree = TreeState::Ready(AnyTree::new(&layout));
        Ok(Self { def: Arc::new(def.clone()), tree, layout: Arc::new(layout) })
    }

    /// The index of rows that are there already; built when it is first used.
    pub(crate) fn pending(table: &TableDef, def: &IndexDef, groups: &[Arc<RowGroup>]) -> Result<Self> {
        let layout = Arc::new(KeyLayout::of_index(table, def)?);
        let pending = PendingTree {
            rows: groups.iter().map(|g| g.live_rows() as u64).sum(),
            groups: Mutex::new(groups.to_vec()),
            columns: key_places(def),
            built: OnceLock::new(),
        };
        Ok(Self { def: Arc::new(def.clone()), tree: TreeState::Pending(Arc::new(pending)), layout })
    }

    /// Builds it now, on so many threads, unless that was done.
    pub(crate) fn make_ready(&self, threads: usize) -> Result<()> {
        self.tree_on(threads).map(|_| ())
    }

    fn tree(&self) -> Result<&AnyTree> {
        self.tree_on(parallel::threads())
    }

    fn tree_on(&self, threads: usize) -> Result<&AnyTree> {
        match &self.tree {
            TreeState::Ready(tree) => Ok(tree),
            TreeState::Pending(pending) => {
                let build = || {
                    let groups = std::mem::take(&mut *pending.groups.lock());
                    self.built_from(&groups, &pending.columns, threads)
                };
                pending.built.get_or_init(build).as_ref().map_err(Clone::clone)
            }
        }
    }

    fn tree_mut(&mut self) -> Result<&mut AnyTree> {
        if let TreeState::Pending(_) = &self.tree {
            let tree = self.tree()?.clone();
            self.tree = TreeState::Ready(tree);
        }
        match &mut self.tree {
            TreeState::Ready(tree) => Ok(tree),
            TreeState::Pending(_) => Err(spg_types::Error::internal("an index is not ready")),
        }
    }

    /// Fills an empty index with the live rows of groups; keys are extracted and sorted per group on several threads.
    pub(crate) fn fill(&mut self, groups: &[Arc<RowGroup>]) -> Result<()> {
        self.tree = TreeState::Ready(self.built_from(groups, &key_places(&self.def), parallel::threads())?);
        Ok(())
    }

    fn built_from(&self, groups: &[Arc<RowGroup>], columns: &[usize], threads: usize) -> Result<AnyTree> {
        let runs = parallel::map_on(threads, groups, |group| {
            let live: Vec<u64> = (0..group.len()).filter(|o| group.is_live(*o)).map(|o| o as u64).collect();
            let values = if live.len() == group.len() {
                columns.iter().map(|c| group.column(*c)).collect::<Result<_>>()?
            } else {
                group.take(&live, columns)?
            };
            let keys = self.layout.encode(&values)?.sorted();
            let rows: Vec<u64> = keys.row_ids(|i| group.row_id(live[i] as usize));
            Ok((keys, rows))
        })?;
        Ok(AnyTree::built(&self.layout, &runs))
    }

    /// Its definition.
    pub fn def(&self) -> &Arc<IndexDef> {
        &self.def
    }

    /// Rows in it, those with NULL keys included.
    pub fn len(&self) -> u64 {
        match &self.tree {
            TreeState::Ready(tree) => each_tree!(tree, t => t.len()),
            TreeState::Pending(pending) => pending.rows,
        }
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        let tree = match &self.tree {
            TreeState::Ready(tree) => Some(tree),
            TreeState::Pending(pending) => pending.built.get().and_then(|built| built.as_ref().ok()),
        };
        tree.map_or(0, |tree| each_tree!(tree, t => t.bytes()))
    }

    /// The rows whose key columns equal `key`, one value per column, each of its column's representation (decimals in the
    /// column's scale). A NULL finds the rows with a NULL there. XX000 for other values.
    pub fn get(&self, key: &[Datum]) -> Result<RowIds> {
        let mut rows = RowIds::None;
        if self.null_where_none_are(key) {
            return Ok(rows);
        }
        let key = self.layout.key(key)?;
        with_keys!(self.tree()?, &key, (tree, keys) => {
            tree.rows_of(keys.get(0), |row| {
                rows.push(row);
                true
            });
        }, ());
        Ok(rows)
    }

    /// Whether the key has a NULL for a column that has none.
    fn null_where_none_are(&self, key: &[Datum]) -> bool {
        key.iter().enumerate().any(|(i, v)| v.is_null() && !self.layout.may_be_null(i))
    }

    /// The rows between two bounds in the order of the index (so for a DESC column, `lower` is the larger value), or in
    /// reverse. A bound may name only the first columns: included, it takes in every key that starts so. NULLs
    /// lie where the definition puts them: with NULLS LAST, `a > 1` is from excluded 1 to excluded NULL.
    pub fn range(&self, lower: Bound<&[Datum]>, upper: Bound<&[Datum]>, reverse: bool) -> Result<IndexRange> {
        let Some(lower) = self.bound(lower, true)? else { return Ok(IndexRange(AnyRange::Empty)) };
        let Some(upper) = self.bound(upper, false)? else { return Ok(IndexRange(AnyRange::Empty)) };
        Ok(IndexRange(match (self.tree()?, lower, upper) {
            (AnyTree::U64(t), KeyBound::U64(l), KeyBound::U64(u)) => AnyRange::U64(t.range(l, u, reverse)),
            (AnyTree::U128(t), KeyBound::U128(l), KeyBound::U128(u)) => {
                AnyRange::U128(t.range(l, u, reverse))
            }
            (AnyTree::Bytes(t), KeyBound::Bytes(l), KeyBound::Bytes(u)) => {
                AnyRange::Bytes(t.range(l, u, reverse))
            }
            _ => AnyRange::Empty,
        }))
    }

    /// The key bound; `None` when nothing lies within. A NULL bound of a column that has no NULLs is where they would be.
    fn bound(&self, bound: Bound<&[Datum]>, lower: bool) -> Result<Option<KeyBound>> {
        let values = match bound {
            Bound::Included(v) | Bound::Excluded(v) => v,
            Bound::Unbounded => return self.layout.bound(bound, lower),
        };
        let missing = values.iter().enumerate().position(|(i, v)| v.is_null() && !self.layout.may_be_null(i));
        let Some(at) = missing else { return self.layout.bound(bound, lower) };
        // No key has this prefix; what lies before or after it is bounded by the values before the NULL.
        let nulls_come_first = self.def.columns[at].nulls_first;
        let values = &values[..at];
        if lower == nulls_come_first {
            let whole = if values.is_empty() { Bound::Unbounded } else { Bound::Included(values) };
            self.layout.bound(whole, lower)
        } else if values.is_empty() {
            Ok(None)
        } else {
            self.layout.bound(Bound::Excluded(values), lower)
        }
    }

    /// The matches of a batch of keys, given one array per key column, each of its column's type (flat or dictionary).
    /// Rows with a NULL match nothing.
    pub fn probe_batch(&self, columns: &[ArrayRef]) -> Result<ProbeMatches> {
        let sorted = self.layout.encode_probe(columns)?.sorted();
        let mut matches = ProbeMatches::default();
        with_keys!(self.tree()?, &sorted.keys, (tree, keys) => {
            let mut finger = tree.finger();
            for i in (0..sorted.len()).filter(|i| !sorted.is_null(*i)) {
                let probe = sorted.row(i) as u32;
                finger.rows_of(keys.get(i), |row| {
                    matches.probe.push(probe);
                    matches.rows.push(row);
                    true
                });
            }
        }, ());
        Ok(matches)
    }

    /// The first row of a batch of keys that matches nothing, if there is one. Rows with a NULL are passed over.
    pub fn first_missing(&self, columns: &[ArrayRef]) -> Result<Option<usize>> {
        let sorted = self.layout.encode_probe(columns)?.sorted();
        let mut missing: Option<usize> = None;
        with_keys!(self.tree()?, &sorted.keys, (tree, keys) => {
            let mut finger = tree.finger();
            for i in (0..sorted.len()).filter(|i| !sorted.is_null(*i)) {
                if i > 0 && keys.get(i - 1) == keys.get(i) && missing.is_none() {
                    continue;
                }
                let mut found = false;
                finger.rows_of(keys.get(i), |_| {
                    found = true;
                    false
                });
                if !found {
                    let row = sorted.row(i);
                    missing = Some(missing.map_or(row, |m| m.min(row)));
                }
            }
        }, ());
        Ok(missing)
    }

    pub(crate) fn layout(&self) -> &Arc<KeyLayout> {
        &self.layout
    }

    /// The arrays of the key columns among a table's columns.
    pub(crate) fn key_columns(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        self.def.columns.iter().map(|c| columns[c.column].clone()).collect()
    }

    /// The first row of the batch whose key another row of the batch or of the index has. Only for unique indexes.
    pub(crate) fn duplicate(&self, sorted: &SortedKeys) -> Result<Option<usize>> {
        each_keys!(&sorted.keys, keys => {
            let twins = (1..keys.len()).filter(|i| keys.get(i - 1) == keys.get(*i) && !sorted.is_null(*i));
            if let Some(i) = twins.map(|i| sorted.row(i)).min() {
                return Ok(Some(i));
            }
        });
        with_keys!(self.tree()?, &sorted.keys, (tree, keys) => {
            if keys.is_empty() || tree.last_key().is_none_or(|last| last < keys.get(0)) {
                return Ok(None);
            }
            let mut finger = tree.finger();
            for i in (0..keys.len()).filter(|i| !sorted.is_null(*i)) {
                let mut found = false;
                finger.rows_of(keys.get(i), |_| {
                    found = true;
                    false
                });
                if found {
                    return Ok(Some(sorted.row(i)));
                }
            }
            Ok(None)
        }, Ok(None))
    }

    /// Adds the rows of a batch.
    pub(crate) fn insert(&mut self, sorted: &SortedKeys, row_id: impl Fn(usize) -> u64) -> Result<()> {
        let rows = sorted.row_ids(row_id);
        with_keys!(self.tree_mut()?, &sorted.keys, (tree, keys) => tree.insert_sorted(keys, &rows), ());
        Ok(())
    }

    /// Removes rows, given their keys.
    pub(crate) fn remove(&mut self, batch: &KeyBatch, row_id: impl Fn(usize) -> u64) -> Result<()> {
        with_keys!(self.tree_mut()?, &batch.keys, (tree, keys) => {
            for i in 0..keys.len() {
                tree.remove(keys.get(i), row_id(i));
            }
        }, ());
        Ok(())
    }

    /// A row that `counts` and whose key a row before it has too.
    pub(crate) fn any_duplicate(&self, counts: impl Fn(u64) -> bool) -> Result<Option<u64>> {
        each_tree!(self.tree()?, tree => {
            let mut range = tree.range(Bound::Unbounded, Bound::Unbounded, false);
            Ok(range.first_duplicate(counts))
        })
    }

    /// The same index without rows.
    pub(crate) fn emptied(&self) -> Self {
        let tree = TreeState::Ready(AnyTree::new(&self.layout));
        Self { def: self.def.clone(), layout: self.layout.clone(), tree }
    }

    /// The same rows under a definition that differs in name only.
    pub(crate) fn renamed(&self, def: &IndexDef) -> Self {
        Self { def: Arc::new(def.clone()), layout: self.layout.clone(), tree: self.tree.clone() }
    }
}

/// Merges sorted runs into one.
fn merge_runs<K: KeyArray>(runs: &[(&K, &[u64])]) -> (K, Vec<u64>) {
    let total = runs.iter().map(|(_, rows)| rows.len()).sum();
    let mut keys = K::with_capacity(total);
    let mut rows = Vec::with_capacity(total);
    // Positions in the runs, the one with the smallest entry on top.
    let entry = |(run, at): (usize, usize)| (runs[run].0.get(at), runs[run].1[at]);
    let mut heap: Vec<(usize, usize)> =
        (0..runs.len()).filter(|r| !runs[*r].1.is_empty()).map(|r| (r, 0)).collect();
    heap.sort_by(|a, b| entry(*b).cmp(&entry(*a)));
    while let Some((run, from)) = heap.pop() {
        let (run_keys, run_rows) = runs[run];
        // All that comes before the next run's smallest entry goes at once.
        let until = match heap.last() {
            Some(next) => {
                let limit = entry(*next);
                keys::partition(from..run_rows.len(), |i| (run_keys.get(i), run_rows[i]) < limit)
            }
            None => run_rows.len(),
        };
        keys.extend_from(run_keys, from..until);
        rows.extend_from_slice(&run_rows[from..until]);
        if until < run_rows.len() {
            let here = entry((run, until));
            let at = heap.partition_point(|other| entry(*other) > here);
            heap.insert(at, (run, until));
        }
    }
    (keys, rows)
}

impl AnyTree {
    /// Of runs that are each sorted by key and row.
    fn built(layout: &KeyLayout, runs: &[(SortedKeys, Vec<u64>)]) -> Self {
        macro_rules! merged {
            ($tree:ident, $kind:path) => {{
                let runs = runs.iter().filter_map(|(keys, rows)| match &keys.keys {
                    $kind(k) => Some((k, rows.as_slice())),
                    _ => None,
                });
                let (keys, rows) = merge_runs(&runs.collect::<Vec<_>>());
                $tree.insert_sorted(&keys, &rows);
            }};
        }
        let mut tree = Self::new(layout);
        match &mut tree {
            AnyTree::U64(tree) => merged!(tree, Keys::U64),
            AnyTree::U128(tree) => merged!(tree, Keys::U128),
            AnyTree::Bytes(tree) => merged!(tree, Keys::Bytes),
        }
        tree
    }

    fn new(layout: &KeyLayout) -> Self {
        match layout.kind {
            layout::KeyKind::U64 => AnyTree::U64(Tree::default()),
            layout::KeyKind::U128 => AnyTree::U128(Tree::default()),
            layout::KeyKind::Bytes => AnyTree::Bytes(Tree::default()),
        }
    }
}
