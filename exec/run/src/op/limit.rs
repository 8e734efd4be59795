//! Lets a number of rows pass, after skipping others, and then stops its pipeline.

use parking_lot::Mutex;
use spg_types::{Datum, Error, Result, SqlState};

use crate::batch::Batch;
use crate::key::interner::Interner;
use crate::key::words::Shape;
use crate::pipeline::Stage;
use crate::run::Run;
use crate::scalar::Scalar;

/// LIMIT, OFFSET, WITH TIES. The operands are without columns; NULL means none.
pub(crate) struct Limit {
    /// Rows to pass.
    pub(crate) limit: Option<Scalar>,
    /// Rows to skip before.
    pub(crate) offset: Option<Scalar>,
    /// WITH TIES: the sort keys' positions. Its pipeline runs with one worker.
    pub(crate) ties: Option<(Vec<usize>, Shape)>,
}

struct Left {
    skip: u64,
    pass: Option<u64>,
    /// WITH TIES: the keys of the last row passed.
    last: Option<Vec<u64>>,
    interners: Vec<Interner>,
    ended: bool,
}

/// How many rows are left to skip and to pass, over all workers.
pub(crate) struct Shared(Mutex<Left>);

fn count(value: Option<&Scalar>, run: &Run, state: SqlState, name: &str) -> Result<Option<u64>> {
    let Some(value) = value else { return Ok(None) };
    let count = match value.value(&run.ctx)? {
        Datum::Null => return Ok(None),
        Datum::Int64(v) => v,
        Datum::Int32(v) => v.into(),
        Datum::Int16(v) => v.into(),
        _ => return Err(Error::internal(format!("{name} is not a bigint"))),
    };
    u64::try_from(count).map(Some).map_err(|_| Error::new(state, format!("{name} must not be negative")))
}

impl Stage for Limit {
    type Shared = Shared;
    type Local = Option<Batch>;

    fn open(&self, run: &Run) -> Result<Shared> {
        let pass = count(self.limit.as_ref(), run, SqlState::INVALID_ROW_COUNT_IN_LIMIT, "LIMIT")?;
        let skip = count(self.offset.as_ref(), run, SqlState::INVALID_ROW_COUNT_IN_OFFSET, "OFFSET")?;
        let ended = pass == Some(0);
        let interners = self.ties.iter().flat_map(|(_, shape)| shape.interners()).collect();
        Ok(Shared(Mutex::new(Left { skip: skip.unwrap_or(0), pass, last: None, interners, ended })))
    }

    fn local(&self, _: &Run, _: &Shared) -> Result<Option<Batch>> {
        Ok(None)
    }

    fn push(&self, _: &Run, shared: &Shared, local: &mut Option<Batch>, batch: Batch) -> Result<()> {
        let mut left = shared.0.lock();
        if left.ended {
            return Ok(());
        }
        let rows = batch.rows() as u64;
        let skip = left.skip.min(rows);
        left.skip -= skip;
        let rest = rows - skip;
        let pass = left.pass.map_or(rest, |p| p.min(rest));
        if let Some(p) = &mut left.pass {
            *p -= pass;
        }
        let mut upto = skip + pass;
        if left.pass == Some(0) {
            match &self.ties {
                None => left.ended = true,
                Some((keys, shape)) => upto += ties_after(&mut left, keys, shape, &batch, upto)?,
            }
        }
        *local = (upto > skip).then(|| batch.slice(skip as usize, (upto - skip) as usize));
        Ok(())
    }

    fn pull(&self, _: &Run, _: &Shared, local: &mut Option<Batch>) -> Result<Option<Batch>> {
        Ok(local.take())
    }

    fn done(&self, shared: &Shared) -> bool {
        shared.0.lock().ended
    }
}

/// How many rows from `at` on tie with the last row passed.
fn ties_after(left: &mut Left, keys: &[usize], shape: &Shape, batch: &Batch, at: u64) -> Result<u64> {
    let columns = batch.clone().columns(keys)?;
    let (at, rows) = (at as usize, batch.rows());
    let words = shape.encode(&columns, rows, &mut left.interners)?;
    let key = |row: usize| {
        let mut key = words.row(row).to_vec();
        let nulls = shape.null_mask(&columns, row, &mut key);
        key.extend(nulls);
        key
    };
    if at > 0 && left.last.is_none() {
        left.last = Some(key(at - 1));
    }
    let Some(last) = &left.last else { return Ok(0) };
    let ties = (at..rows).take_while(|&row| key(row) == *last).count();
    left.ended = at + ties < rows;
    Ok(ties as u64)
}
