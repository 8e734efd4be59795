//! Aggregates over frames, for any aggregate and any frame: the states of single rows are merged into a tree of
//! ranges, and each frame is put together from at most two ranges per level (a segment tree, built and asked level by
//! level for all rows at once).

use std::ops::Range;

use arrow::array::{ArrayRef, UInt32Array};
use spg_expr::{AggregateKernel, Column, EvalContext, GroupStates};
use spg_types::Result;

use crate::gather::gather;

/// The result per row when every frame is the row's whole partition. `rows` are the rows that FILTER lets pass.
pub(super) fn over_partitions(
    ctx: &EvalContext,
    kernel: &dyn AggregateKernel,
    args: &[Column],
    rows: &[u32],
    partition_of: &[u32],
    partitions: usize,
) -> Result<ArrayRef> {
    let mut states = kernel.states();
    states.resize(partitions);
    let groups = spg_simd::gather(partition_of, rows);
    states.update(ctx, args, &groups)?;
    gather(&states.finish(ctx)?, &UInt32Array::from(partition_of.to_vec()))
}

/// The result per frame. `rows` are the rows that FILTER lets pass, and `args` their arguments; `count` is the number of
/// all rows; each frame is up to three ranges of rows in order.
pub(super) fn over_frames(
    ctx: &EvalContext,
    kernel: &dyn AggregateKernel,
    args: &[Column],
    rows: &[u32],
    count: usize,
    frames: &[[Range<u32>; 3]],
) -> Result<ArrayRef> {
    // Equal neighbours, as peers have, are computed once.
    let mut distinct: Vec<&[Range<u32>; 3]> = Vec::new();
    let mut frame_of: Vec<u32> = Vec::with_capacity(frames.len());
    for frame in frames {
        if distinct.last() != Some(&frame) {
            distinct.push(frame);
        }
        frame_of.push(distinct.len() as u32 - 1);
    }
    let longest = frames.iter().flatten().map(|r| r.end - r.start).max().unwrap_or(0);
    let levels = build(ctx, kernel, args, rows, count, longest)?;
    let mut result = kernel.states();
    result.resize(distinct.len());
    for piece in 0..3 {
        let ranges: Vec<Range<u32>> = distinct.iter().map(|f| f[piece].clone()).collect();
        if ranges.iter().any(|r| !r.is_empty()) {
            merge_ranges(result.as_mut(), &levels, &ranges)?;
        }
    }
    let result = result.finish(ctx)?;
    if distinct.len() == frames.len() {
        return Ok(result);
    }
    gather(&result, &UInt32Array::from(frame_of))
}

/// States of single rows, of pairs, of fours, ... up to the longest range asked for.
fn build(
    ctx: &EvalContext,
    kernel: &dyn AggregateKernel,
    args: &[Column],
    rows: &[u32],
    count: usize,
    longest: u32,
) -> Result<Vec<Box<dyn GroupStates>>> {
    let mut leaves = kernel.states();
    leaves.resize(count);
    leaves.update(ctx, args, rows)?;
    let mut levels = vec![leaves];
    let mut width = count;
    while width > 1 && 1u64 << levels.len() <= u64::from(longest) {
        let from: Vec<u32> = (0..width as u32).collect();
        let to: Vec<u32> = from.iter().map(|i| i / 2).collect();
        width = width.div_ceil(2);
        let mut level = kernel.states();
        level.resize(width);
        if let Some(below) = levels.last() {
            level.merge(below.as_ref(), &from, &to)?;
        }
        levels.push(level);
    }
    Ok(levels)
}

/// Merges range `i` into group `i`, its parts from left to right.
fn merge_ranges(
    result: &mut dyn GroupStates,
    levels: &[Box<dyn GroupStates>],
    ranges: &[Range<u32>],
) -> Result<()> {
    let mut open: Vec<(u32, Range<u32>)> = ranges
        .iter()
        .enumerate()
        .filter(|(_, r)| !r.is_empty())
        .map(|(i, r)| (i as u32, r.clone()))
        .collect();
    let mut right: Vec<(Vec<u32>, Vec<u32>)> = Vec::new();
    for (height, level) in levels.iter().enumerate() {
        let top = height + 1 == levels.len();
        let (mut left_from, mut left_to) = (Vec::new(), Vec::new());
        let (mut right_from, mut right_to) = (Vec::new(), Vec::new());
        for (group, range) in &mut open {
            if top {
                // No level above: everything that is left comes from here.
                left_from.extend(range.clone());
                left_to.resize(left_from.len(), *group);
                continue;
            }
            if range.start % 2 == 1 && range.start < range.end {
                left_from.push(range.start);
                left_to.push(*group);
                range.start += 1;
            }
            if range.end % 2 == 1 && range.start < range.end {
                range.end -= 1;
                right_from.push(range.end);
                right_to.push(*group);
            }
            *range = range.start / 2..range.end / 2;
        }
        result.merge(level.as_ref(), &left_from, &left_to)?;
        right.push((right_from, right_to));
        open.retain(|(_, range)| !range.is_empty());
    }
    for (level, (from, to)) in levels.iter().zip(&right).rev() {
        if !from.is_empty() {
            result.merge(level.as_ref(), from, to)?;
        }
    }
    Ok(())
}
