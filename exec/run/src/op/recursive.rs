//! WITH RECURSIVE: the base, then the step over the rows of the round before, until a round makes none.
//!
//! Rounds run on the worker that pulls; a round starts only when its rows are asked for, so LIMIT ends a recursion that
//! would not end by itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::UInt32Array;
use spg_expr::Column;
use spg_types::Result;

use super::materialize::{Materialized, columns_bytes};
use crate::batch::Batch;
use crate::key::table::GroupTable;
use crate::key::words::Shape;
use crate::memory::Reservation;
use crate::pipeline::Source;
use crate::program::Program;
use crate::query::Query;
use crate::run::{Run, Slot};

/// Rows kept outside that a round reads.
pub(crate) struct Import {
    /// Where they are outside.
    pub(crate) from: Slot<Materialized>,
    /// Where the round expects them.
    pub(crate) to: Slot<Materialized>,
}

/// The program of a round.
pub(crate) struct Round {
    /// Pipelines.
    pub(crate) program: Arc<Program>,
    /// What it reads.
    pub(crate) imports: Vec<Import>,
}

/// The source.
pub(crate) struct Recursive {
    /// The first round.
    pub(crate) base: Round,
    /// Later rounds.
    pub(crate) step: Round,
    /// Where a later round reads the rows of the round before.
    pub(crate) working: Slot<Materialized>,
    /// UNION: the layout of rows as keys.
    pub(crate) distinct: Option<Shape>,
}

type Rows = Vec<(Vec<Column>, usize)>;

/// The one worker's state.
pub(crate) struct Local {
    started: bool,
    seen: Option<GroupTable>,
    working: Rows,
    ready: VecDeque<(Vec<Column>, usize)>,
    memory: Reservation,
}

impl Recursive {
    fn run(&self, run: &Run, round: &Round, working: Option<Rows>) -> Result<Rows> {
        let inner = run.nested(&round.program);
        for import in &round.imports {
            inner.put(import.to, run.get(import.from)?)?;
        }
        if let Some(rows) = working {
            inner.put(self.working, Arc::new(Materialized::new(rows)))?;
        }
        let query = Query::new(round.program.clone(), inner);
        query.run_here();
        Ok(query.run.outcome.drain()?.into_iter().map(|b| (b.columns, b.rows)).collect())
    }

    /// Rows that were not there before.
    fn fresh(&self, seen: &mut Option<GroupTable>, rows: Rows) -> Result<Rows> {
        let Some(table) = seen else { return Ok(rows) };
        let mut out = Vec::new();
        let mut groups = Vec::new();
        for (columns, rows) in rows {
            let mut known = table.len() as u32;
            table.groups(&columns, rows, &mut groups)?;
            let mut first: Vec<u32> = Vec::new();
            for (row, group) in groups.iter().enumerate() {
                if *group == known {
                    known += 1;
                    first.push(row as u32);
                }
            }
            if first.len() == rows {
                out.push((columns, rows));
            } else if !first.is_empty() {
                let count = first.len();
                let first = UInt32Array::from(first);
                out.push((columns.iter().map(|c| c.gather(&first)).collect::<Result<_>>()?, count));
            }
        }
        Ok(out)
    }
}

impl Source for Recursive {
    type Shared = AtomicBool;
    type Local = Local;

    fn open(&self, _: &Run) -> Result<AtomicBool> {
        Ok(AtomicBool::new(false))
    }

    fn parallelism(&self, _: &AtomicBool) -> usize {
        1
    }

    fn local(&self, run: &Run, _: &AtomicBool) -> Result<Local> {
        Ok(Local {
            started: false,
            seen: self.distinct.as_ref().map(GroupTable::new),
            working: Vec::new(),
            ready: VecDeque::new(),
            memory: Reservation::new(&run.memory),
        })
    }

    fn morsel(&self, _: &Run, taken: &AtomicBool, _: &mut Local) -> Result<bool> {
        Ok(!taken.swap(true, Ordering::Relaxed))
    }

    fn next(&self, run: &Run, _: &AtomicBool, local: &mut Local) -> Result<Option<Batch>> {
        loop {
            if let Some((columns, rows)) = local.ready.pop_front() {
                return Ok(Some(Batch::new(columns, rows)));
            }
            run.check()?;
            let rows = if !local.started {
                local.started = true;
                self.run(run, &self.base, None)?
            } else if local.working.is_empty() {
                return Ok(None);
            } else {
                let working = std::mem::take(&mut local.working);
                self.run(run, &self.step, Some(working))?
            };
            let rows = self.fresh(&mut local.seen, rows)?;
            let seen = local.seen.as_ref().map_or(0, GroupTable::bytes);
            local.memory.set(seen + rows.iter().map(|(c, _)| columns_bytes(c)).sum::<usize>())?;
            local.ready.extend(rows.iter().cloned());
            local.working = rows;
        }
    }
}
