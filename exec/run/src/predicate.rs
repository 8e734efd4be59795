//! Conjunctions: narrow a batch to the rows for which every conjunct is true.
//!
//! A conjunct that cannot fail is computed for all rows of the batch, as long as enough of them are left: that is cheaper than
//! gathering its columns. Others see only the rows that are left. A conjunct over one dictionary-encoded column is
//! computed once per dictionary, not per row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::UInt16Type;
use spg_expr::{Column, EvalContext, Expr};
use spg_types::{Datum, Error, Result, SqlType};

use crate::batch::Batch;
use crate::scalar::{Layout, Scalar};

/// A conjunct is computed for all rows while at least one in this many is left.
const DENSE_SHARE: usize = 4;

struct Conjunct {
    scalar: Scalar,
    /// The only column it reads.
    column: Option<(usize, SqlType)>,
}

/// A conjunction over a batch.
pub(crate) struct Predicate {
    conjuncts: Vec<Conjunct>,
}

/// What a worker remembers between batches: answers per dictionary value.
#[derive(Default)]
pub(crate) struct PredicateCache {
    /// Per conjunct: the dictionary, the answer per value, the answer for NULL.
    answers: Vec<Option<(ArrayRef, Vec<bool>, bool)>>,
}

impl Predicate {
    /// Binds conjuncts over `layout`; they are tried in this order.
    pub(crate) fn new(conjuncts: &[Expr], layout: &Layout) -> Result<Self> {
        let conjuncts = conjuncts
            .iter()
            .map(|e| {
                let scalar = Scalar::new(e, layout)?;
                let column = match scalar.inputs() {
                    [one] => Some((*one, layout.ty(*one))),
                    _ => None,
                };
                Ok(Conjunct { scalar, column })
            })
            .collect::<Result<_>>()?;
        Ok(Self { conjuncts })
    }

    /// Whether there is nothing to test.
    pub(crate) fn is_empty(&self) -> bool {
        self.conjuncts.is_empty()
    }

    /// Positions of the columns that are read, but for conjuncts for which `skip` says so.
    pub(crate) fn inputs(&self, skip: &[bool]) -> Vec<usize> {
        let skipped = |i: usize| skip.get(i).copied().unwrap_or(false);
        let tested = self.conjuncts.iter().enumerate().filter(|(i, _)| !skipped(*i));
        tested.flat_map(|(_, c)| c.scalar.inputs().iter().copied()).collect()
    }

    /// Narrows `batch` to the rows that pass; conjuncts for which `skip` says so are known to be true.
    pub(crate) fn narrow(
        &self,
        ctx: &EvalContext,
        batch: &mut Batch,
        cache: &mut PredicateCache,
        skip: &[bool],
    ) -> Result<()> {
        cache.answers.resize_with(self.conjuncts.len(), || None);
        // Rows of the batch that are still in: `None` for all.
        let mut mask: Option<BooleanBuffer> = None;
        for (i, conjunct) in self.conjuncts.iter().enumerate() {
            if skip.get(i).copied().unwrap_or(false) {
                continue;
            }
            if let Some(m) = &mask {
                let left = m.count_set_bits();
                if !conjunct.scalar.infallible() || left * DENSE_SHARE < batch.rows() {
                    if left < batch.rows() {
                        batch.select(positions(m));
                    }
                    mask = None;
                }
            }
            if batch.rows() == 0 {
                return Ok(());
            }
            match conjunct.test(ctx, batch, &mut cache.answers[i])? {
                Answer::All => {}
                Answer::None => {
                    batch.select(UInt32Array::from(Vec::<u32>::new()));
                    return Ok(());
                }
                Answer::Some(passed) => {
                    mask = Some(match mask {
                        Some(m) => &m & &passed,
                        None => passed,
                    });
                }
            }
        }
        if let Some(m) = mask
            && m.count_set_bits() < batch.rows()
        {
            batch.select(positions(&m));
        }
        Ok(())
    }
}

/// For which rows something is true.
pub(crate) enum Answer {
    /// All.
    All,
    /// None.
    None,
    /// Those whose bit is set.
    Some(BooleanBuffer),
}

impl Conjunct {
    fn test(
        &self,
        ctx: &EvalContext,
        batch: &mut Batch,
        cached: &mut Option<(ArrayRef, Vec<bool>, bool)>,
    ) -> Result<Answer> {
        if self.scalar.infallible()
            && let Some((column, ty)) = self.column
            && let Some(answer) = self.test_dictionary(ctx, batch, column, ty, cached)?
        {
            return Ok(answer);
        }
        truth(&self.scalar.eval(ctx, batch)?)
    }

    fn test_dictionary(
        &self,
        ctx: &EvalContext,
        batch: &mut Batch,
        column: usize,
        ty: SqlType,
        cached: &mut Option<(ArrayRef, Vec<bool>, bool)>,
    ) -> Result<Option<Answer>> {
        let rows = batch.rows();
        let (Column::Array(data), index) = batch.raw(column)?.parts() else { return Ok(None) };
        let Some(dictionary) = data.as_dictionary_opt::<UInt16Type>() else { return Ok(None) };
        let values = dictionary.values();
        if !cached.as_ref().is_some_and(|(of, ..)| Arc::ptr_eq(of, values)) {
            if values.len() > 4 * rows {
                return Ok(None);
            }
            let answers = self.scalar.eval_over(ctx, &[Column::Array(values.clone())], values.len())?;
            let answers = flags(&answers, values.len())?;
            let null = self.scalar.eval_over(ctx, &[Column::constant(&Datum::Null, ty)?], 1)?;
            let null = flags(&null, 1)?.first().copied().unwrap_or(false);
            *cached = Some((values.clone(), answers, null));
        }
        let Some((_, answers, null)) = cached else { return Ok(None) };
        let keys = dictionary.keys();
        let codes = keys.values();
        let passes = |row: usize| match keys.nulls() {
            Some(nulls) if nulls.is_null(row) => *null,
            _ => answers[codes[row] as usize],
        };
        let mask = match index {
            None if keys.nulls().is_none() => {
                BooleanBuffer::collect_bool(rows, |i| answers[codes[i] as usize])
            }
            None => BooleanBuffer::collect_bool(rows, passes),
            Some(index) => BooleanBuffer::collect_bool(rows, |i| {
                if index.is_null(i) { *null } else { passes(index.value(i) as usize) }
            }),
        };
        Ok(Some(Answer::Some(mask)))
    }
}

/// The rows for which a boolean column is true (not NULL).
pub(crate) fn truth(column: &Column) -> Result<Answer> {
    match column {
        Column::Const(a) => {
            let a = booleans(a)?;
            Ok(if a.is_valid(0) && a.value(0) { Answer::All } else { Answer::None })
        }
        Column::Array(a) => {
            let a = booleans(a)?;
            Ok(Answer::Some(match a.nulls() {
                Some(nulls) if nulls.null_count() > 0 => a.values() & nulls.inner(),
                _ => a.values().clone(),
            }))
        }
    }
}

fn flags(column: &Column, rows: usize) -> Result<Vec<bool>> {
    Ok(match truth(column)? {
        Answer::All => vec![true; rows],
        Answer::None => vec![false; rows],
        Answer::Some(mask) => mask.iter().collect(),
    })
}

fn booleans(array: &ArrayRef) -> Result<&BooleanArray> {
    array.as_boolean_opt().ok_or_else(|| Error::internal("a condition is not boolean"))
}

/// The positions of the set bits.
pub(crate) fn positions(mask: &BooleanBuffer) -> UInt32Array {
    let mut out: Vec<u32> = Vec::with_capacity(mask.count_set_bits());
    out.extend(mask.set_indices_u32());
    UInt32Array::from(out)
}
