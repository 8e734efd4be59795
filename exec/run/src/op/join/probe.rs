//! The probe side of a join.
//!
//! Keys are looked up for a whole batch. Where a key has at most one match and nothing else has to hold, the batch is
//! only narrowed and gets the build side's columns as an index. Otherwise pairs of rows are made, a batch at a time, and
//! tested; rows without a match follow when their batch is through.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, UInt32Array};
use spg_expr::Column;
use spg_types::{Error, Result, SqlState};

use super::table::{Candidates, JoinTable, KeySpec, NONE};
use crate::batch::{Batch, BatchColumn};
use crate::pipeline::Stage;
use crate::predicate::{Predicate, PredicateCache};
use crate::run::{Run, Slot};
use crate::scalar::Scalar;

/// What becomes of left rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emit {
    /// Pairs.
    Pairs,
    /// Pairs, and left rows without a match.
    PairsAndLeft,
    /// As `PairsAndLeft`; 21000 when a left row has two matches.
    Single,
    /// Left rows with a match.
    Semi,
    /// Left rows without a match.
    Anti,
    /// Left rows with a boolean: true, false or unknown.
    Mark,
    /// Nothing: only matches of build rows are noted.
    Nothing,
}

/// The stage of a probe side.
pub(crate) struct JoinProbe {
    /// What is put out.
    pub(crate) emit: Emit,
    /// Whether matches of build rows are noted.
    pub(crate) track: bool,
    /// Keys over the input.
    pub(crate) keys: Vec<Scalar>,
    /// What the keys are.
    pub(crate) spec: Arc<KeySpec>,
    /// The other conditions, over the input's columns and the build side's after them.
    pub(crate) residual: Predicate,
    /// MARK: the whole condition over the same columns, where NULLs decide.
    pub(crate) condition: Option<Scalar>,
    /// Positions of the columns put out among the input's columns and the build side's after them.
    pub(crate) output: Vec<usize>,
    /// Where the table is published.
    pub(crate) slot: Slot<JoinTable>,
}

/// A batch on its way through the table.
struct Work {
    batch: Batch,
    found: Vec<u32>,
    row: usize,
    within: usize,
    /// Per left row: 0 no match, 1 unknown, 2 a match.
    hits: Vec<u8>,
}

/// A worker's place.
#[derive(Default)]
pub(crate) struct Local {
    work: Option<Work>,
    ready: Option<Batch>,
    cache: PredicateCache,
}

const UNKNOWN: u8 = 1;
const MATCH: u8 = 2;

impl JoinProbe {
    /// The batch of build rows beside left rows.
    fn beside(&self, table: &JoinTable, mut left: Batch, build: UInt32Array) -> Batch {
        if table.rows == 1 && build.null_count() == 0 {
            for column in &table.columns {
                left.push(BatchColumn::dense(Column::Const(column.clone())));
            }
        } else {
            let index = Arc::new(build);
            for column in &table.columns {
                left.push(BatchColumn::indexed(column.clone(), index.clone()));
            }
        }
        left
    }

    /// Each left row has at most one match, and nothing else has to hold.
    fn push_unique(&self, table: &JoinTable, mut batch: Batch, found: Vec<u32>) -> Result<Option<Batch>> {
        let rows = batch.rows();
        let hits = || found.iter().zip(0u32..).filter(|(f, _)| **f != NONE).map(|(_, row)| row);
        if self.track {
            found.iter().filter(|f| **f != NONE).for_each(|f| table.mark(*f));
        }
        Ok(Some(match self.emit {
            Emit::Nothing => return Ok(None),
            Emit::Semi | Emit::Anti => {
                let keep: Vec<u32> = match self.emit {
                    Emit::Semi => hits().collect(),
                    _ => found.iter().zip(0u32..).filter(|(f, _)| **f == NONE).map(|(_, row)| row).collect(),
                };
                if keep.len() < rows {
                    batch.select(UInt32Array::from(keep));
                }
                batch
            }
            Emit::Pairs => {
                let keep: Vec<u32> = hits().collect();
                if keep.len() == rows {
                    self.beside(table, batch, UInt32Array::from(found))
                } else {
                    let build: Vec<u32> = found.into_iter().filter(|f| *f != NONE).collect();
                    batch.select(UInt32Array::from(keep));
                    self.beside(table, batch, UInt32Array::from(build))
                }
            }
            Emit::PairsAndLeft | Emit::Single => {
                let build = if found.contains(&NONE) {
                    found.into_iter().map(|f| (f != NONE).then_some(f)).collect()
                } else {
                    UInt32Array::from(found)
                };
                self.beside(table, batch, build)
            }
            Emit::Mark => return Err(Error::internal("a mark join takes the general way")),
        }))
    }

    /// MARK over one plain key: NULLs on either side leave it unknown.
    fn push_mark(&self, table: &JoinTable, keys: &[Column], mut batch: Batch, found: &[u32]) -> Batch {
        let unknown = |row: usize| {
            table.rows > 0 && (!table.null_rows.is_empty() || keys.iter().any(|k| k.is_null(row)))
        };
        let marks: BooleanArray = found
            .iter()
            .enumerate()
            .map(|(row, f)| match *f {
                NONE if unknown(row) => None,
                f => Some(f != NONE),
            })
            .collect();
        batch.push(BatchColumn::dense(Column::Array(Arc::new(marks))));
        batch
    }

    fn put_out(&self, batch: Batch) -> Result<Option<Batch>> {
        let batch = batch.project(&self.output)?;
        Ok((batch.rows() > 0).then_some(batch))
    }

    /// The build rows that a left row is compared with.
    fn candidates<'a>(&self, table: &'a JoinTable, found: u32) -> Candidates<'a> {
        if found == ALL { Candidates::Upto(table.rows as u32) } else { table.candidates(found) }
    }

    /// Up to a batch of pairs, not tested yet.
    fn next_pairs(&self, table: &JoinTable, work: &mut Work, limit: usize) -> (Vec<u32>, Vec<u32>) {
        let (mut left, mut build) = (Vec::new(), Vec::new());
        let nulls = if self.condition.is_some() { table.null_rows.as_slice() } else { &[] };
        while work.row < work.found.len() && left.len() < limit {
            let settled =
                matches!(self.emit, Emit::Semi | Emit::Anti | Emit::Mark) && work.hits[work.row] == MATCH;
            let found = work.found[work.row];
            let listed = self.candidates(table, found);
            // Rows with NULL keys may leave a mark unknown.
            let extra = if found == ALL { &[] } else { nulls };
            let total = if settled { 0 } else { listed.len() + extra.len() };
            while work.within < total && left.len() < limit {
                left.push(work.row as u32);
                build.push(match work.within.checked_sub(listed.len()) {
                    None => listed.get(work.within),
                    Some(i) => extra[i],
                });
                work.within += 1;
            }
            if work.within >= total {
                work.row += 1;
                work.within = 0;
            }
        }
        (left, build)
    }

    /// Tests pairs and notes the hits; the pairs that hold, as a batch.
    fn test_pairs(
        &self,
        run: &Run,
        table: &JoinTable,
        work: &mut Work,
        cache: &mut PredicateCache,
        left: Vec<u32>,
        build: Vec<u32>,
    ) -> Result<Option<Batch>> {
        let mut pairs = work.batch.clone();
        pairs.select(UInt32Array::from(left.clone()));
        let mut pairs = self.beside(table, pairs, UInt32Array::from(build.clone()));
        if let Some(condition) = &self.condition {
            let answers = condition.eval(&run.ctx, &mut pairs)?.to_array(left.len())?;
            let answers =
                answers.as_boolean_opt().ok_or_else(|| Error::internal("a condition is not boolean"))?;
            for (answer, row) in answers.iter().zip(&left) {
                let hit = &mut work.hits[*row as usize];
                *hit = (*hit).max(answer.map_or(UNKNOWN, |a| if a { MATCH } else { 0 }));
            }
            return Ok(None);
        }
        let number = pairs.width();
        let all = pairs.rows();
        if !self.residual.is_empty() {
            let numbers = UInt32Array::from_iter_values(0..all as u32);
            pairs.push(BatchColumn::dense(Column::Array(Arc::new(numbers))));
            self.residual.narrow(&run.ctx, &mut pairs, cache, &[])?;
        }
        if pairs.rows() == 0 {
            return Ok(None);
        }
        let kept = match pairs.rows() < all {
            true => Some(pairs.array(number)?),
            false => None,
        };
        let kept = kept.as_ref().map(|k| k.as_primitive::<arrow::datatypes::UInt32Type>().values());
        for i in 0..pairs.rows() {
            let pair = kept.map_or(i, |k| k[i] as usize);
            let hit = &mut work.hits[left[pair] as usize];
            if self.emit == Emit::Single && *hit == MATCH {
                return Err(too_many_rows());
            }
            *hit = MATCH;
            if self.track {
                table.mark(build[pair]);
            }
        }
        Ok(match self.emit {
            Emit::Pairs | Emit::PairsAndLeft | Emit::Single => Some(pairs),
            _ => None,
        })
    }

    /// What follows when all pairs of a batch have been tested.
    fn rest(&self, table: &JoinTable, work: Work) -> Result<Option<Batch>> {
        let Work { mut batch, hits, .. } = work;
        let rows = |want: bool| -> UInt32Array {
            hits.iter()
                .zip(0u32..)
                .filter(|(h, _)| (**h == MATCH) == want)
                .map(|(_, row)| row)
                .collect::<Vec<_>>()
                .into()
        };
        match self.emit {
            Emit::Pairs | Emit::Nothing => Ok(None),
            Emit::Semi => {
                batch.select(rows(true));
                self.put_out(batch)
            }
            Emit::Anti => {
                batch.select(rows(false));
                self.put_out(batch)
            }
            Emit::PairsAndLeft | Emit::Single => {
                let rows = rows(false);
                if rows.is_empty() {
                    return Ok(None);
                }
                let nothing = UInt32Array::new_null(rows.len());
                batch.select(rows);
                let padded = self.beside(table, batch, nothing);
                self.put_out(padded)
            }
            Emit::Mark => {
                let marks: BooleanArray =
                    hits.iter().map(|h| (*h != UNKNOWN).then_some(*h == MATCH)).collect();
                batch.push(BatchColumn::dense(Column::Array(Arc::new(marks))));
                self.put_out(batch)
            }
        }
    }
}

/// Notes matches of all rows of the keys found.
fn mark_all(table: &JoinTable, found: &[u32]) {
    for f in found {
        let rows = table.candidates(*f);
        // A key's rows are noted together.
        if rows.len() > 0 && !table.is_marked(rows.get(0) as usize) {
            (0..rows.len()).for_each(|i| table.mark(rows.get(i)));
        }
    }
}

/// Stands for "compare with every build row": a left row whose key is NULL.
const ALL: u32 = u32::MAX - 1;

fn too_many_rows() -> Error {
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        "more than one row returned by a subquery used as an expression",
    )
}

impl Stage for JoinProbe {
    type Shared = Arc<JoinTable>;
    type Local = Local;

    fn open(&self, run: &Run) -> Result<Self::Shared> {
        run.get(self.slot)
    }

    fn local(&self, _: &Run, _: &Self::Shared) -> Result<Local> {
        Ok(Local::default())
    }

    fn push(&self, run: &Run, table: &Self::Shared, local: &mut Local, mut batch: Batch) -> Result<()> {
        let rows = batch.rows();
        let keys = self.keys.iter().map(|k| k.eval(&run.ctx, &mut batch)).collect::<Result<Vec<_>>>()?;
        let mut found = Vec::with_capacity(rows);
        table.find(&self.spec, &keys, rows, &mut found)?;
        if self.emit == Emit::Mark && self.condition.is_none() {
            let batch = self.push_mark(table, &keys, batch, &found);
            local.ready = self.put_out(batch)?;
            return Ok(());
        }
        let exists = matches!(self.emit, Emit::Semi | Emit::Anti) && !self.track;
        if self.residual.is_empty() && self.condition.is_none() && (table.is_unique() || exists) {
            if let Some(batch) = self.push_unique(table, batch, found)? {
                local.ready = self.put_out(batch)?;
            }
            return Ok(());
        }
        if self.emit == Emit::Nothing && self.residual.is_empty() {
            mark_all(table, &found);
            return Ok(());
        }
        if self.condition.is_some() {
            let null =
                |row: usize| keys.iter().zip(&self.spec.null_safe).any(|(k, safe)| !safe && k.is_null(row));
            found.iter_mut().enumerate().filter(|(row, _)| null(*row)).for_each(|(_, f)| *f = ALL);
        }
        local.work = Some(Work { hits: vec![0; rows], batch, found, row: 0, within: 0 });
        Ok(())
    }

    fn pull(&self, run: &Run, table: &Self::Shared, local: &mut Local) -> Result<Option<Batch>> {
        if let Some(batch) = local.ready.take() {
            return Ok(Some(batch));
        }
        let Some(mut work) = local.work.take() else { return Ok(None) };
        loop {
            let (left, build) = self.next_pairs(table, &mut work, run.batch_size);
            if left.is_empty() {
                return self.rest(table, work);
            }
            if let Some(pairs) = self.test_pairs(run, table, &mut work, &mut local.cache, left, build)?
                && let Some(batch) = self.put_out(pairs)?
            {
                local.work = Some(work);
                return Ok(Some(batch));
            }
            run.check()?;
        }
    }

    fn done(&self, table: &Self::Shared) -> bool {
        table.rows == 0 && matches!(self.emit, Emit::Pairs | Emit::Semi | Emit::Nothing)
    }
}
