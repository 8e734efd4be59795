//! `any_value`: also what the optimizer makes of a group key that other keys determine.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_null_array};
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType;
use spg_expr::{
    Aggregate, AggregateKernel, AggregateSignature, ArgType, BindArgs, Column, EvalContext, GroupStates,
    ReturnType, flatten,
};
use spg_types::{Error, Result, SqlType};

use super::AGGREGATE;

/// `any_value`
pub(super) static ANY_VALUE: Aggregate = Aggregate {
    name: "any_value",
    doc: "One of the values that are not NULL: the first that is met.",
    example: ("any_value(x)", "1"),
    duplicate_insensitive: true,
    signatures: &[AggregateSignature {
        args: &[ArgType::AnyCompatible],
        returns: ReturnType::Of(|args| args[0]),
        bind,
    }],
    ..AGGREGATE
};

fn bind(bind: &BindArgs<'_>) -> Result<Arc<dyn AggregateKernel>> {
    let ty = bind.return_type;
    Ok(Arc::new(move || -> Box<dyn GroupStates> { Box::new(Firsts { ty, chunks: vec![], at: vec![] }) }))
}

/// No value yet.
const NONE: (u32, u32) = (u32::MAX, 0);

/// Per group where its value lies; values are kept as they came, some per batch.
struct Firsts {
    ty: SqlType,
    chunks: Vec<ArrayRef>,
    /// Chunk and row.
    at: Vec<(u32, u32)>,
}

impl Firsts {
    /// Takes `chunk`, whose row `i` is the value of group `groups[i]`.
    fn keep(&mut self, chunk: ArrayRef, groups: &[u32]) {
        let number = self.chunks.len() as u32;
        for (row, group) in (0u32..).zip(groups) {
            self.at[*group as usize] = (number, row);
        }
        self.chunks.push(chunk);
    }

    fn is_open(&self, group: u32) -> bool {
        self.at[group as usize] == NONE
    }
}

/// A few values out of many keep none of the others' bytes in memory.
fn own_bytes(array: ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => array,
    }
}

impl GroupStates for Firsts {
    fn resize(&mut self, groups: usize) {
        self.at.resize(groups, NONE);
    }

    fn update(&mut self, _: &EvalContext, args: &[Column], groups: &[u32]) -> Result<()> {
        let column = args.first().ok_or_else(|| Error::internal("any_value takes one argument"))?;
        let constant = matches!(column, Column::Const(_));
        let array = column.inner();
        let nulls = array.logical_nulls();
        let (mut rows, mut opened) = (vec![], vec![]);
        for (row, group) in (0u32..).zip(groups) {
            let row = if constant { 0 } else { row };
            if self.is_open(*group) && nulls.as_ref().is_none_or(|n| n.is_valid(row as usize)) {
                // Not to be opened twice by this batch.
                self.at[*group as usize] = (u32::MAX, 1);
                rows.push(row);
                opened.push(*group);
            }
        }
        if !rows.is_empty() {
            let chunk = flatten(&take(array, &UInt32Array::from(rows), None)?)?;
            self.keep(own_bytes(chunk), &opened);
        }
        Ok(())
    }

    fn merge(&mut self, other: &dyn GroupStates, from: &[u32], to: &[u32]) -> Result<()> {
        let other = other.as_any().downcast_ref::<Firsts>();
        let other = other.ok_or_else(|| Error::internal("states of another aggregate"))?;
        let (mut picks, mut opened) = (vec![], vec![]);
        for (from, to) in from.iter().zip(to) {
            let (chunk, row) = other.at[*from as usize];
            if (chunk, row) != NONE && self.is_open(*to) {
                self.at[*to as usize] = (u32::MAX, 1);
                picks.push((chunk as usize, row as usize));
                opened.push(*to);
            }
        }
        if !picks.is_empty() {
            let chunks: Vec<&dyn Array> = other.chunks.iter().map(|c| c.as_ref()).collect();
            self.keep(own_bytes(interleave(&chunks, &picks)?), &opened);
        }
        Ok(())
    }

    fn finish(&mut self, _: &EvalContext) -> Result<ArrayRef> {
        let null = new_null_array(&self.ty.data_type(), 1);
        let last = self.chunks.len();
        let mut chunks: Vec<&dyn Array> = self.chunks.iter().map(|c| c.as_ref()).collect();
        chunks.push(null.as_ref());
        let place = |at: &(u32, u32)| if *at == NONE { (last, 0) } else { (at.0 as usize, at.1 as usize) };
        let picks: Vec<(usize, usize)> = self.at.iter().map(place).collect();
        Ok(own_bytes(interleave(&chunks, &picks)?))
    }

    fn bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|c| c.get_array_memory_size()).sum();
        self.at.len() * size_of::<(u32, u32)>() + chunks
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
