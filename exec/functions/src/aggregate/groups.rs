//! States of one aggregate by group: the loops over rows, written once for every kind of state.

use std::any::Any;
use std::sync::Arc;

use arrow::array::ArrayRef;
use spg_expr::arity::{Arg, Strict};
use spg_expr::{AggregateKernel, Column, EvalContext, GroupStates};
use spg_types::{Error, Result};

/// What an aggregate keeps per group, and how rows enter it.
pub(super) trait Kind: Clone + Send + Sync + 'static {
    /// One group's state; the default is a group without rows.
    type State: Default + Clone + Send + Sync;
    /// The arguments' values.
    type Input;

    /// Reads the arguments.
    fn input(&self, args: &Strict) -> Result<Self::Input>;

    /// Adds a row, whose arguments are all valid.
    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize) -> Result<()>;

    /// Adds every row, none of which is NULL; for what is faster over a slice.
    fn add_all(&self, state: &mut Self::State, input: &Self::Input, rows: usize) -> Result<()> {
        (0..rows).try_for_each(|row| self.add(state, input, row))
    }

    /// Adds another state of the same group; may take memory from it.
    fn merge(&self, to: &mut Self::State, from: &Self::State) -> Result<()>;

    /// The results.
    fn finish(&self, ctx: &EvalContext, states: &[Self::State]) -> Result<ArrayRef>;

    /// Bytes on the heap of one state, where it has any.
    fn heap_bytes(_: &Self::State) -> usize {
        0
    }

    /// Whether states have bytes on the heap.
    const HEAP: bool = false;
}

/// The kernel of an aggregate that keeps such states. NULL arguments are skipped.
pub(super) fn kernel<K: Kind>(kind: K) -> Result<Arc<dyn AggregateKernel>> {
    Ok(Arc::new(move || -> Box<dyn GroupStates> {
        Box::new(Groups { kind: kind.clone(), states: vec![], heap: 0 })
    }))
}

struct Groups<K: Kind> {
    kind: K,
    states: Vec<K::State>,
    /// Bytes on the heap at the last count.
    heap: usize,
}

impl<K: Kind> Groups<K> {
    fn count_heap(&mut self) {
        if K::HEAP {
            self.heap = self.states.iter().map(K::heap_bytes).sum();
        }
    }
}

impl<K: Kind> GroupStates for Groups<K> {
    fn resize(&mut self, groups: usize) {
        self.states.resize(groups, K::State::default());
    }

    fn update(&mut self, _: &EvalContext, args: &[Column], groups: &[u32]) -> Result<()> {
        let Some(strict) = Strict::new(args, groups.len())? else { return Ok(()) };
        let input = self.kind.input(&strict)?;
        let (kind, states) = (&self.kind, &mut self.states[..]);
        match &strict.nulls {
            None if states.len() == 1 => kind.add_all(&mut states[0], &input, groups.len())?,
            None => {
                for (row, group) in groups.iter().enumerate() {
                    kind.add(&mut states[*group as usize], &input, row)?;
                }
            }
            Some(nulls) => {
                for row in nulls.valid_indices() {
                    kind.add(&mut states[groups[row] as usize], &input, row)?;
                }
            }
        }
        self.count_heap();
        Ok(())
    }

    fn update_single(&mut self, _: &EvalContext, args: &[Column], group: u32, rows: usize) -> Result<()> {
        let Some(strict) = Strict::new(args, rows)? else { return Ok(()) };
        let input = self.kind.input(&strict)?;
        let state = &mut self.states[group as usize];
        match &strict.nulls {
            None => self.kind.add_all(state, &input, rows)?,
            Some(nulls) => {
                for row in nulls.valid_indices() {
                    self.kind.add(state, &input, row)?;
                }
            }
        }
        self.count_heap();
        Ok(())
    }

    fn merge(&mut self, other: &dyn GroupStates, from: &[u32], to: &[u32]) -> Result<()> {
        let other: &Self =
            other.as_any().downcast_ref().ok_or_else(|| Error::internal("states of another aggregate"))?;
        for (f, t) in from.iter().zip(to) {
            self.kind.merge(&mut self.states[*t as usize], &other.states[*f as usize])?;
        }
        self.count_heap();
        Ok(())
    }

    fn finish(&mut self, ctx: &EvalContext) -> Result<ArrayRef> {
        self.kind.finish(ctx, &self.states)
    }

    fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<K::State>() + self.heap
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Values of one argument by row.
pub(super) struct Values<A: Arg> {
    reader: A::Reader,
    mask: usize,
}

impl<A: Arg> Values<A> {
    pub(super) fn new(args: &Strict, at: usize) -> Result<Self> {
        Ok(Self { reader: A::reader(&args.arrays[at])?, mask: args.masks[at] })
    }

    #[inline(always)]
    pub(super) fn get(&self, row: usize) -> A::Value<'_> {
        A::get(&self.reader, row & self.mask)
    }

    /// The values of all rows, unless they are constant.
    pub(super) fn slice(&self) -> Option<&A::Reader> {
        (self.mask != 0).then_some(&self.reader)
    }
}
