//! The table of a join's build side: from a key to the rows that have it.
//!
//! A key gets a number: by a plain array or a bitmap with ranks where the keys are whole numbers in a narrow range, else by
//! hashing. The number is the row itself when keys are unique, else it leads to a list of rows.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;
use spg_expr::Column;
use spg_types::Result;

use crate::ints::{int_bounds, with_ints};
use crate::key::table::GroupTable;
use crate::key::words::Shape;
use crate::memory::Reservation;

/// No row, no number.
pub(crate) const NONE: u32 = u32::MAX;
/// A plain array is used up to this many places per row.
const DIRECT_PLACES_PER_ROW: u64 = 4;
/// A bitmap is used up to this many bits per row.
const RANKED_BITS_PER_ROW: u64 = 128;
/// Ranges up to this are always narrow.
const NARROW: u64 = 1 << 16;

/// From a key to its number.
enum Index {
    /// There are no keys to compare: every row matches.
    All,
    /// `key - min` leads to the row, or to [`NONE`].
    Direct { min: i64, rows: Vec<u32> },
    /// `key - min` is the number.
    Offset { min: i64, span: u64 },
    /// The rank of bit `key - min` is the number: bits and the rank of the first, per word.
    Ranked { min: i64, span: u64, words: Vec<(u64, u32)> },
    /// Anything else.
    Hashed(Box<GroupTable>),
}

/// From a number to rows.
enum Rows {
    /// It is the row.
    Same,
    /// It has one row.
    One(Vec<u32>),
    /// It has the rows from one start to the next.
    Many { starts: Vec<u32>, rows: Vec<u32> },
    /// Only whether there is one counts.
    Exists,
    /// Every row.
    All,
}

/// The rows of a key.
#[derive(Clone, Copy)]
pub(crate) enum Candidates<'a> {
    /// These.
    List(&'a [u32]),
    /// All up to here.
    Upto(u32),
    /// One.
    One(u32),
}

impl Candidates<'_> {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(rows) => rows.len(),
            Self::Upto(n) => *n as usize,
            Self::One(_) => 1,
        }
    }

    /// The `i`th.
    pub(crate) fn get(&self, i: usize) -> u32 {
        match self {
            Self::List(rows) => rows[i],
            Self::Upto(_) => i as u32,
            Self::One(row) => *row,
        }
    }
}

/// What a build side's keys are.
pub(crate) struct KeySpec {
    /// Their layout.
    pub(crate) shape: Shape,
    /// Which of them compare with IS NOT DISTINCT FROM.
    pub(crate) null_safe: Vec<bool>,
    /// Only whether there is a match counts.
    pub(crate) exists: bool,
}

/// A built join.
pub(crate) struct JoinTable {
    /// Rows on the build side.
    pub(crate) rows: usize,
    /// The build side's columns.
    pub(crate) columns: Vec<ArrayRef>,
    index: Index,
    lists: Rows,
    /// Rows with a NULL in a key that compares with `=`: they match nothing.
    pub(crate) null_rows: Vec<u32>,
    /// Rows that have met a match, where somebody asks.
    matched: Vec<AtomicU64>,
    /// What the table takes.
    _memory: Vec<Reservation>,
}

/// The key index of a build side.
pub(crate) struct Built {
    index: Index,
    lists: Rows,
    null_rows: Vec<u32>,
}

impl Built {
    /// Indexes `rows` keys.
    pub(crate) fn new(spec: &KeySpec, keys: &[ArrayRef], rows: usize) -> Result<Self> {
        if keys.is_empty() {
            return Ok(Self { index: Index::All, lists: Rows::All, null_rows: Vec::new() });
        }
        if let [key] = keys
            && spec.shape.is_single_int()
            && !spec.null_safe[0]
            && let Some(built) = Self::narrow(spec, key, rows)
        {
            return Ok(built);
        }
        Self::hashed(spec, keys, rows)
    }

    /// The index over whole numbers in a narrow range.
    fn narrow(spec: &KeySpec, key: &ArrayRef, rows: usize) -> Option<Self> {
        let nulls = key.nulls().filter(|n| n.null_count() > 0).cloned();
        let null_rows: Vec<u32> = null_rows(nulls.as_ref());
        let (min, max) = int_bounds(key).unwrap_or((0, 0));
        let span = (max as u64).wrapping_sub(min as u64).checked_add(1)?;
        if span > NARROW.max(rows as u64 * RANKED_BITS_PER_ROW) || span >= u64::from(NONE) {
            return None;
        }
        let valid = |row: usize| nulls.as_ref().is_none_or(|n| n.is_valid(row));
        let at = |v: i64| v.wrapping_sub(min) as u64 as usize;
        let (index, lists) = with_ints!(key.as_ref(), values => {
            let offsets = || values.iter().enumerate().filter(|(row, _)| valid(*row)).map(|(row, v)| (row as u32, at(i64::from(*v))));
            let dense = span <= NARROW.max(rows as u64 * DIRECT_PLACES_PER_ROW);
            if dense && !spec.exists {
                let mut direct = vec![NONE; span as usize];
                let mut unique = true;
                for (row, offset) in offsets() {
                    unique &= direct[offset] == NONE;
                    direct[offset] = row;
                }
                if unique {
                    (Index::Direct { min, rows: direct }, Rows::Same)
                } else {
                    drop(direct);
                    (Index::Offset { min, span }, lists(span as usize, offsets()))
                }
            } else {
                let mut words = vec![(0u64, 0u32); (span / 64 + 1) as usize];
                for (_, offset) in offsets() {
                    words[offset >> 6].0 |= 1 << (offset & 63);
                }
                let mut rank = 0;
                for word in &mut words {
                    word.1 = rank;
                    rank += word.0.count_ones();
                }
                let keys = rank as usize;
                let number = |offset: usize| {
                    let (bits, rank) = words[offset >> 6];
                    (rank + (bits & ((1 << (offset & 63)) - 1)).count_ones()) as usize
                };
                let lists = if spec.exists {
                    Rows::Exists
                } else if keys == rows - null_rows.len() {
                    let mut one = vec![NONE; keys];
                    offsets().for_each(|(row, offset)| one[number(offset)] = row);
                    Rows::One(one)
                } else {
                    lists(keys, offsets().map(|(row, offset)| (row, number(offset))))
                };
                (Index::Ranked { min, span, words }, lists)
            }
        }, else return None);
        Some(Self { index, lists, null_rows })
    }

    fn hashed(spec: &KeySpec, keys: &[ArrayRef], rows: usize) -> Result<Self> {
        let strict_nulls =
            keys.iter().zip(&spec.null_safe).filter(|(_, safe)| !**safe).map(|(k, _)| k.logical_nulls());
        let nulls = strict_nulls.fold(None, |all, n| NullBuffer::union(all.as_ref(), n.as_ref()));
        let null_rows = null_rows(nulls.as_ref());
        let mut table = GroupTable::new(&spec.shape);
        let columns: Vec<Column> = keys.iter().map(|k| Column::Array(k.clone())).collect();
        let mut groups = Vec::with_capacity(rows);
        table.reserve(rows);
        let (mut some, mut start) = (Vec::new(), 0);
        while start < rows {
            let len = 8192.min(rows - start);
            let part: Vec<Column> = columns.iter().map(|c| c.slice(start, len)).collect();
            table.groups(&part, len, &mut some)?;
            groups.extend_from_slice(&some);
            start += len;
        }
        let valid = |row: usize| nulls.as_ref().is_none_or(|n| n.is_valid(row));
        let lists = if spec.exists && null_rows.is_empty() {
            Rows::Exists
        } else if table.len() == rows && null_rows.is_empty() {
            Rows::Same
        } else {
            let numbered = || {
                groups
                    .iter()
                    .enumerate()
                    .filter(|(row, _)| valid(*row))
                    .map(|(row, g)| (row as u32, *g as usize))
            };
            lists(table.len(), numbered())
        };
        Ok(Self { index: Index::Hashed(Box::new(table)), lists, null_rows })
    }
}

fn null_rows(nulls: Option<&NullBuffer>) -> Vec<u32> {
    nulls.map_or_else(Vec::new, |n| (0..n.len()).filter(|&i| n.is_null(i)).map(|i| i as u32).collect())
}

/// Rows by number.
fn lists(numbers: usize, rows: impl Iterator<Item = (u32, usize)> + Clone) -> Rows {
    let mut starts = vec![0u32; numbers + 2];
    rows.clone().for_each(|(_, number)| starts[number + 2] += 1);
    for i in 2..starts.len() {
        starts[i] += starts[i - 1];
    }
    let total = starts[numbers + 1] as usize;
    let mut list = vec![0; total];
    for (row, number) in rows {
        let at = &mut starts[number + 1];
        list[*at as usize] = row;
        *at += 1;
    }
    starts.pop();
    Rows::Many { starts, rows: list }
}

impl JoinTable {
    /// A table of `rows` rows; `track` when it will be asked which of them have met a match.
    pub(crate) fn new(
        built: Built,
        columns: Vec<ArrayRef>,
        rows: usize,
        track: bool,
        memory: Vec<Reservation>,
    ) -> Self {
        let words = if track { rows.div_ceil(64) } else { 0 };
        Self {
            rows,
            columns,
            index: built.index,
            lists: built.lists,
            null_rows: built.null_rows,
            matched: (0..words).map(|_| AtomicU64::new(0)).collect(),
            _memory: memory,
        }
    }

    /// Whether a key has at most one row.
    pub(crate) fn is_unique(&self) -> bool {
        match &self.lists {
            Rows::Same | Rows::One(_) | Rows::Exists => true,
            Rows::All => self.rows <= 1,
            Rows::Many { .. } => false,
        }
    }

    /// For each key its row, when keys are unique, or its number; [`NONE`] without a match.
    pub(crate) fn find(
        &self,
        spec: &KeySpec,
        keys: &[Column],
        rows: usize,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        out.clear();
        match &self.index {
            Index::All => out.resize(rows, if self.rows == 0 { NONE } else { 0 }),
            Index::Hashed(table) => {
                let strict: Vec<usize> = (0..keys.len()).filter(|&i| !spec.null_safe[i]).collect();
                table.lookup(keys, rows, &strict, out)?;
            }
            _ => {
                let array = match &keys[0] {
                    Column::Array(a) => a.clone(),
                    constant @ Column::Const(_) => constant.to_array(rows)?,
                };
                self.find_ints(&array, out);
            }
        }
        match &self.lists {
            Rows::One(list) => {
                out.iter_mut().filter(|n| **n != NONE).for_each(|n| *n = list[*n as usize]);
            }
            Rows::Many { starts, .. } => {
                // A number without rows is no match.
                for n in out.iter_mut().filter(|n| **n != NONE) {
                    if starts[*n as usize] == starts[*n as usize + 1] {
                        *n = NONE;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn find_ints(&self, array: &ArrayRef, out: &mut Vec<u32>) {
        with_ints!(array.as_ref(), values => match &self.index {
            Index::Direct { min, rows } => out.extend(values.iter().map(|v| {
                rows.get(i64::from(*v).wrapping_sub(*min) as u64 as usize).copied().unwrap_or(NONE)
            })),
            Index::Offset { min, span } => out.extend(values.iter().map(|v| {
                let offset = i64::from(*v).wrapping_sub(*min) as u64;
                if offset < *span { offset as u32 } else { NONE }
            })),
            Index::Ranked { min, span, words } => out.extend(values.iter().map(|v| {
                let offset = i64::from(*v).wrapping_sub(*min) as u64;
                if offset >= *span {
                    return NONE;
                }
                let (bits, rank) = words[(offset >> 6) as usize];
                let bit = 1u64 << (offset & 63);
                if bits & bit == 0 { NONE } else { rank + (bits & (bit - 1)).count_ones() }
            })),
            _ => {}
        }, else ());
        if let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) {
            out.iter_mut().enumerate().filter(|(i, _)| nulls.is_null(*i)).for_each(|(_, n)| *n = NONE);
        }
    }

    /// The rows of what [`JoinTable::find`] has answered.
    pub(crate) fn candidates(&self, found: u32) -> Candidates<'_> {
        if found == NONE {
            return Candidates::Upto(0);
        }
        match &self.lists {
            Rows::Many { starts, rows } => {
                Candidates::List(&rows[starts[found as usize] as usize..starts[found as usize + 1] as usize])
            }
            Rows::All => Candidates::Upto(self.rows as u32),
            Rows::Same | Rows::One(_) | Rows::Exists => Candidates::One(found),
        }
    }

    /// Notes that a row has met a match.
    pub(crate) fn mark(&self, row: u32) {
        if let Some(word) = self.matched.get(row as usize / 64) {
            let bit = 1 << (row % 64);
            if word.load(Ordering::Relaxed) & bit == 0 {
                word.fetch_or(bit, Ordering::Relaxed);
            }
        }
    }

    /// Whether a row has met a match.
    pub(crate) fn is_marked(&self, row: usize) -> bool {
        self.matched.get(row / 64).is_some_and(|word| word.load(Ordering::Relaxed) >> (row % 64) & 1 == 1)
    }

    /// Bytes held beside the columns.
    pub(crate) fn index_bytes(built: &Built) -> usize {
        let index = match &built.index {
            Index::All | Index::Offset { .. } => 0,
            Index::Direct { rows, .. } => 4 * rows.len(),
            Index::Ranked { words, .. } => 16 * words.len(),
            Index::Hashed(table) => table.bytes(),
        };
        index
            + match &built.lists {
                Rows::One(rows) => 4 * rows.len(),
                Rows::Many { starts, rows } => 4 * (starts.len() + rows.len()),
                _ => 0,
            }
    }
}
