//! AND, OR, CASE and COALESCE: later parts see only the rows still undecided.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Scalar};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{and_kleene, interleave, or_kleene};
use spg_types::{Datum, Result, SqlType};

use super::{Input, Kind, Node, bool_constant, bool_null, booleans, truth};
use crate::{Column, flatten};

/// Kleene's AND (`stop` false: one false part decides) or OR (`stop` true).
pub(super) fn connect(parts: &[Node], stop: bool, input: &Input<'_>) -> Result<Column> {
    if parts.iter().skip(1).all(|p| p.infallible) {
        let mut result: Option<Column> = None;
        for part in parts {
            let next = part.eval(input)?;
            result = Some(match result {
                None => next,
                Some(sofar) => join(&sofar, &next, stop, input.rows)?,
            });
            if let Some(Column::Const(c)) = &result
                && c.is_valid(0)
                && booleans(&Column::Const(c.clone()))?.value(0) == stop
            {
                break;
            }
        }
        return Ok(result.unwrap_or_else(|| bool_constant(!stop)));
    }
    // Rows not decided yet, and those of them that had a NULL part.
    let mut open: Vec<u32> = (0..input.rows as u32).collect();
    let mut decided = vec![false; input.rows];
    let mut unknown = vec![false; input.rows];
    for part in parts {
        if open.is_empty() {
            break;
        }
        let all = open.len() == input.rows;
        let column = if all { part.eval(input)? } else { part.eval(&input.narrowed(&open))? };
        let constant = matches!(column, Column::Const(_));
        let values = booleans(&column)?;
        let mut left = Vec::with_capacity(open.len());
        for (i, row) in open.iter().enumerate() {
            let at = if constant { 0 } else { i };
            if values.is_null(at) {
                unknown[*row as usize] = true;
                left.push(*row);
            } else if values.value(at) == stop {
                decided[*row as usize] = true;
            } else {
                left.push(*row);
            }
        }
        open = left;
    }
    let bits = BooleanBuffer::collect_bool(input.rows, |row| decided[row] == stop);
    let valid = BooleanBuffer::collect_bool(input.rows, |row| decided[row] || !unknown[row]);
    let nulls = Some(NullBuffer::new(valid)).filter(|n| n.null_count() > 0);
    Ok(Column::Array(Arc::new(BooleanArray::new(bits, nulls))))
}

fn join(a: &Column, b: &Column, or: bool, rows: usize) -> Result<Column> {
    let kernel = if or { or_kleene } else { and_kleene };
    match (a, b) {
        (Column::Const(_), Column::Const(_)) => {
            Ok(Column::Const(Arc::new(kernel(booleans(a)?, booleans(b)?)?)))
        }
        (Column::Const(c), other) | (other, Column::Const(c)) if c.is_valid(0) => {
            let value = booleans(&Column::Const(c.clone()))?.value(0);
            Ok(if value == or { bool_constant(or) } else { other.clone() })
        }
        _ => {
            let (a, b) = (Column::Array(a.to_array(rows)?), Column::Array(b.to_array(rows)?));
            Ok(Column::Array(Arc::new(kernel(booleans(&a)?, booleans(&b)?)?)))
        }
    }
}

/// Results of the branches taken so far: which branch has each row, and where in it.
struct Pieces {
    arrays: Vec<ArrayRef>,
    /// Per row: piece and row in the piece.
    places: Vec<(usize, usize)>,
}

impl Pieces {
    /// Every row NULL.
    fn new(ty: SqlType, rows: usize) -> Result<Self> {
        Ok(Self { arrays: vec![Datum::Null.to_array(ty)?], places: vec![(0, 0); rows] })
    }

    fn put(&mut self, rows: impl Iterator<Item = (usize, u32)>, column: &Column) -> Result<()> {
        let constant = matches!(column, Column::Const(_));
        self.arrays.push(flatten(column.inner())?);
        for (i, row) in rows {
            self.places[row as usize] = (self.arrays.len() - 1, if constant { 0 } else { i });
        }
        Ok(())
    }

    fn finish(self) -> Result<Column> {
        let arrays: Vec<&dyn Array> = self.arrays.iter().map(AsRef::as_ref).collect();
        Ok(Column::Array(interleave(&arrays, &self.places)?))
    }
}

/// `CASE`
pub(super) fn case(
    branches: &[(Node, Node)],
    otherwise: Option<&Node>,
    ty: SqlType,
    input: &Input<'_>,
) -> Result<Column> {
    let cheap = |n: &Node| n.infallible;
    let all_cheap = branches.iter().skip(1).all(|(c, _)| cheap(c))
        && branches.iter().all(|(_, r)| cheap(r))
        && otherwise.is_none_or(cheap);
    if all_cheap && branches.len() <= 2 {
        return case_of_all(branches, otherwise, ty, input);
    }
    let mut open: Vec<u32> = (0..input.rows as u32).collect();
    let mut pieces = Pieces::new(ty, input.rows)?;
    for (condition, result) in branches {
        if open.is_empty() {
            break;
        }
        let here = (open.len() < input.rows).then(|| input.narrowed(&open));
        let column = condition.eval(here.as_ref().unwrap_or(input))?;
        let (taken, left) = split(&column, &open)?;
        if left.is_empty() && taken.len() == input.rows {
            // The whole batch goes one way, so its result can stay what it is.
            return result.eval(input);
        }
        open = left;
        if !taken.is_empty() {
            let column = result.eval(&input.narrowed(&taken))?;
            pieces.put(taken.iter().copied().enumerate(), &column)?;
        }
    }
    if let Some(otherwise) = otherwise
        && !open.is_empty()
    {
        if open.len() == input.rows {
            return otherwise.eval(input);
        }
        let column = otherwise.eval(&input.narrowed(&open))?;
        pieces.put(open.iter().copied().enumerate(), &column)?;
    }
    pieces.finish()
}

/// Rows for which the condition holds, and the others.
fn split(condition: &Column, rows: &[u32]) -> Result<(Vec<u32>, Vec<u32>)> {
    let values = booleans(condition)?;
    if matches!(condition, Column::Const(_)) {
        let holds = values.is_valid(0) && values.value(0);
        return Ok(if holds { (rows.to_vec(), vec![]) } else { (vec![], rows.to_vec()) });
    }
    let truth = truth(values);
    let (mut taken, mut left) = (vec![], vec![]);
    for (i, row) in rows.iter().enumerate() {
        if truth.value(i) {
            taken.push(*row);
        } else {
            left.push(*row);
        }
    }
    Ok((taken, left))
}

/// CASE whose parts cannot fail: everything is computed, the last branch first.
fn case_of_all(
    branches: &[(Node, Node)],
    otherwise: Option<&Node>,
    ty: SqlType,
    input: &Input<'_>,
) -> Result<Column> {
    let mut result = match otherwise {
        Some(e) => e.eval(input)?,
        None => Column::constant(&Datum::Null, ty)?,
    };
    for (condition, value) in branches.iter().rev() {
        let condition = condition.eval(input)?;
        let values = booleans(&condition)?;
        if matches!(condition, Column::Const(_)) {
            if values.is_valid(0) && values.value(0) {
                result = value.eval(input)?;
            }
            continue;
        }
        result = choose(&truth(values), &value.eval(input)?, &result)?;
    }
    Ok(result)
}

/// `yes` where the bit is set, `no` elsewhere.
fn choose(mask: &BooleanBuffer, yes: &Column, no: &Column) -> Result<Column> {
    let mask = BooleanArray::new(mask.clone(), None);
    let (y, n) = (flatten(yes.inner())?, flatten(no.inner())?);
    let array = match (yes, no) {
        (Column::Const(_), Column::Const(_)) => zip(&mask, &Scalar::new(y), &Scalar::new(n))?,
        (Column::Const(_), Column::Array(_)) => zip(&mask, &Scalar::new(y), &n)?,
        (Column::Array(_), Column::Const(_)) => zip(&mask, &y, &Scalar::new(n))?,
        (Column::Array(_), Column::Array(_)) => zip(&mask, &y, &n)?,
    };
    Ok(Column::Array(array))
}

/// `COALESCE`
pub(super) fn coalesce(args: &[Node], ty: SqlType, input: &Input<'_>) -> Result<Column> {
    let Some((first, rest)) = args.split_first() else { return bool_null() };
    let column = first.eval(input)?;
    if column.no_nulls() && column.dictionary().is_none_or(|d| d.values().null_count() == 0) {
        return Ok(column);
    }
    if let ([Node { kind: Kind::Const(c), .. }], Column::Array(a)) = (rest, &column) {
        let flat = flatten(a)?;
        return match flat.nulls() {
            Some(n) => choose(n.inner(), &Column::Array(flat.clone()), c),
            None => Ok(column),
        };
    }
    let mut pieces = Pieces::new(ty, input.rows)?;
    let mut open: Vec<u32> = (0..input.rows as u32).collect();
    let mut column = column;
    let mut rest = rest.iter();
    loop {
        let flat = Column::Array(flatten(column.inner())?);
        let constant = matches!(column, Column::Const(_));
        let null = |i: usize| flat.is_null(if constant { 0 } else { i });
        let valid: Vec<(usize, u32)> = open.iter().copied().enumerate().filter(|(i, _)| !null(*i)).collect();
        let left: Vec<u32> =
            open.iter().copied().enumerate().filter(|(i, _)| null(*i)).map(|(_, r)| r).collect();
        pieces.put(valid.into_iter(), &column)?;
        open = left;
        match rest.next() {
            Some(next) if !open.is_empty() => column = next.eval(&input.narrowed(&open))?,
            _ => break,
        }
    }
    pieces.finish()
}
