//! Conditions straight to selections.

use arrow::array::{Array, UInt32Array};
use arrow::buffer::BooleanBuffer;
use spg_types::Result;

use super::{Input, Kind, Node, booleans, param, truth};
use crate::{Column, Comparison, EvalContext, compare, compare_select};

/// The rows a selection stands for.
fn all(rows: usize, selection: Option<&[u32]>) -> Vec<u32> {
    selection.map_or_else(|| (0..rows as u32).collect(), <[u32]>::to_vec)
}

/// `kept`, or `None` when that is everything.
fn unless_all(kept: Vec<u32>, rows: usize, selection: Option<&[u32]>) -> Option<Vec<u32>> {
    let before = selection.map_or(rows, <[u32]>::len);
    (kept.len() < before).then_some(kept)
}

/// The rows of a selection whose bit is set; bits count rows of the columns.
fn with_bit(bits: &BooleanBuffer, rows: usize, selection: Option<&[u32]>) -> Option<Vec<u32>> {
    let kept = match selection {
        None => {
            let mut kept = Vec::with_capacity(bits.count_set_bits());
            kept.extend(bits.set_indices_u32());
            kept
        }
        Some(s) => s.iter().copied().filter(|row| bits.value(*row as usize)).collect(),
    };
    unless_all(kept, rows, selection)
}

impl Node {
    /// As [`super::Compiled::filter`].
    pub(super) fn select(
        &self,
        ctx: &EvalContext,
        columns: &[Column],
        rows: usize,
        selection: Option<&[u32]>,
    ) -> Result<Option<Vec<u32>>> {
        if selection.map_or(rows, <[u32]>::len) == 0 {
            return Ok(None);
        }
        match &self.kind {
            Kind::And(parts) => {
                let mut kept: Option<Vec<u32>> = None;
                for part in parts {
                    let current = kept.as_deref().or(selection);
                    if let Some(fewer) = part.select(ctx, columns, rows, current)? {
                        kept = Some(fewer);
                    }
                    if kept.as_ref().is_some_and(Vec::is_empty) {
                        break;
                    }
                }
                Ok(kept)
            }
            Kind::Or(parts) => {
                let mut open = all(rows, selection);
                let before = open.len();
                let mut kept: Vec<u32> = vec![];
                for part in parts {
                    match part.select(ctx, columns, rows, Some(&open))? {
                        None => {
                            kept.append(&mut open);
                            break;
                        }
                        Some(taken) => {
                            let mut taken_rows = taken.iter().copied().peekable();
                            open.retain(|row| taken_rows.next_if_eq(row).is_none());
                            kept.extend(taken);
                        }
                    }
                }
                kept.sort_unstable();
                Ok((kept.len() < before).then_some(kept))
            }
            Kind::Compare { comparison, args } => {
                let side = |node: &Node| -> Result<Option<Column>> {
                    Ok(match &node.kind {
                        Kind::Column(i) => columns.get(*i).cloned(),
                        Kind::Const(c) => Some(c.clone()),
                        Kind::Param(i) => Some(param(ctx, *i, node.ty)?),
                        _ => None,
                    })
                };
                let (Some(l), Some(r)) = (side(&args[0])?, side(&args[1])?) else {
                    return self.select_computed(ctx, columns, rows, selection);
                };
                if l.dictionary().is_some() || r.dictionary().is_some() {
                    return self.select_dictionary(ctx, columns, rows, selection);
                }
                let kept =
                    compare_select(ctx, *comparison, (&l, args[0].ty), (&r, args[1].ty), rows, selection)?;
                Ok(unless_all(kept, rows, selection))
            }
            Kind::IsNull(of) => match &of.kind {
                Kind::Column(i) => self.select_nulls(&columns[*i], true, ctx, columns, rows, selection),
                _ => self.select_computed(ctx, columns, rows, selection),
            },
            Kind::Not(of) => match &of.kind {
                Kind::IsNull(inner) => match &inner.kind {
                    Kind::Column(i) => self.select_nulls(&columns[*i], false, ctx, columns, rows, selection),
                    _ => self.select_computed(ctx, columns, rows, selection),
                },
                _ => self.select_computed(ctx, columns, rows, selection),
            },
            Kind::Call { by_dictionary: true, .. } | Kind::InSet { .. } => {
                self.select_dictionary(ctx, columns, rows, selection)
            }
            _ => self.select_computed(ctx, columns, rows, selection),
        }
    }

    fn select_nulls(
        &self,
        column: &Column,
        null: bool,
        ctx: &EvalContext,
        columns: &[Column],
        rows: usize,
        selection: Option<&[u32]>,
    ) -> Result<Option<Vec<u32>>> {
        let Column::Array(a) = column else { return self.select_computed(ctx, columns, rows, selection) };
        match a.logical_nulls() {
            None if null => Ok(Some(vec![])),
            None => Ok(None),
            Some(n) if null => Ok(with_bit(&!n.inner(), rows, selection)),
            Some(n) => Ok(with_bit(n.inner(), rows, selection)),
        }
    }

    /// A condition over one dictionary column is decided per value.
    fn select_dictionary(
        &self,
        ctx: &EvalContext,
        columns: &[Column],
        rows: usize,
        selection: Option<&[u32]>,
    ) -> Result<Option<Vec<u32>>> {
        let Some(at) = self.only_column() else { return self.select_computed(ctx, columns, rows, selection) };
        let Some(dictionary) = columns.get(at).and_then(Column::dictionary) else {
            return self.select_computed(ctx, columns, rows, selection);
        };
        let values = dictionary.values();
        if values.len() > selection.map_or(rows, <[u32]>::len) || values.null_count() > 0 {
            return self.select_computed(ctx, columns, rows, selection);
        }
        let mut over_values: Vec<Column> = columns.to_vec();
        over_values[at] = Column::Array(values.clone());
        // A value that no row here has may fail.
        let Ok(result) = self.eval(&Input::new(ctx, &over_values, values.len(), None)) else {
            return self.select_computed(ctx, columns, rows, selection);
        };
        let result = Column::Array(result.to_array(values.len())?);
        let truth = truth(booleans(&result)?);
        let keys = dictionary.keys();
        let codes = keys.values();
        let passing = truth.count_set_bits();
        if keys.null_count() == 0 && passing == values.len() {
            return Ok(None);
        }
        if passing == 0 {
            return Ok(Some(vec![]));
        }
        let mut table = vec![false; 1 << 16];
        for code in truth.set_indices() {
            table[code] = true;
        }
        let mut kept = vec![];
        let passes = |row: usize| table[usize::from(codes[row])];
        match selection {
            None => spg_simd::append_indices(&spg_simd::pack(rows, passes), &mut kept),
            Some(s) => spg_simd::narrow(s, &mut kept, passes),
        }
        if let Some(n) = keys.nulls() {
            kept.retain(|row| n.is_valid(*row as usize));
        }
        Ok(unless_all(kept, rows, selection))
    }

    /// The only column that it reads, when every call in it is strict and the rest is constant.
    fn only_column(&self) -> Option<usize> {
        fn visit(node: &Node, found: &mut Option<usize>) -> bool {
            match &node.kind {
                Kind::Column(i) => found.replace(*i).is_none_or(|before| before == *i),
                Kind::Const(_) | Kind::Param(_) => true,
                Kind::Call { args, by_dictionary, .. } => {
                    *by_dictionary && args.iter().all(|a| visit(a, found))
                }
                Kind::Compare { comparison, args } => {
                    !matches!(comparison, Comparison::IsDistinctFrom | Comparison::IsNotDistinctFrom)
                        && args.iter().all(|a| visit(a, found))
                }
                Kind::InSet { input, .. } => visit(input, found),
                _ => false,
            }
        }
        let mut found = None;
        if visit(self, &mut found) { found } else { None }
    }

    fn select_computed(
        &self,
        ctx: &EvalContext,
        columns: &[Column],
        rows: usize,
        selection: Option<&[u32]>,
    ) -> Result<Option<Vec<u32>>> {
        let input = Input::new(ctx, columns, rows, selection.map(|s| UInt32Array::from(s.to_vec())));
        // A comparison of computed sides needs no booleans in between.
        if let Kind::Compare { comparison, args } = &self.kind {
            let (l, r) = (args[0].eval(&input)?, args[1].eval(&input)?);
            if l.dictionary().is_none() && r.dictionary().is_none() {
                let sides = ((&l, args[0].ty), (&r, args[1].ty));
                let kept = compare_select(ctx, *comparison, sides.0, sides.1, input.rows, None)?;
                return Ok(mapped(kept, rows, selection));
            }
            let result = compare(ctx, *comparison, (&l, args[0].ty), (&r, args[1].ty), input.rows)?;
            return passing(&result, rows, selection);
        }
        passing(&self.eval(&input)?, rows, selection)
    }
}

/// Positions in a selection as rows.
fn mapped(kept: Vec<u32>, rows: usize, selection: Option<&[u32]>) -> Option<Vec<u32>> {
    let kept = match selection {
        Some(s) => spg_simd::gather(s, &kept),
        None => kept,
    };
    unless_all(kept, rows, selection)
}

/// The rows of a selection for which its boolean column is true.
fn passing(result: &Column, rows: usize, selection: Option<&[u32]>) -> Result<Option<Vec<u32>>> {
    let values = booleans(result)?;
    if matches!(result, Column::Const(_)) {
        return Ok(if values.is_valid(0) && values.value(0) { None } else { Some(vec![]) });
    }
    let bits = truth(values);
    let mut kept: Vec<u32> = Vec::with_capacity(bits.count_set_bits());
    kept.extend(bits.set_indices_u32());
    Ok(mapped(kept, rows, selection))
}
