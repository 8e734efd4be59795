//! Calls over a dictionary-encoded column, computed once per value of the dictionary.

use std::sync::Arc;

use ahash::AHashMap;
use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, StringViewArray, UInt16Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, UInt16Type};
use spg_types::Result;

use crate::{Column, EvalContext, Kernel};

/// The call's result when exactly one argument is a dictionary and the others are constant; `None` when it has to be
/// computed row by row: also when a value that no row has would be an error.
pub(super) fn call(
    ctx: &EvalContext,
    kernel: &dyn Kernel,
    args: &[Column],
    rows: usize,
) -> Result<Option<Column>> {
    let mut arrays = args.iter().enumerate().filter(|(_, a)| matches!(a, Column::Array(_)));
    let (Some((at, column)), None) = (arrays.next(), arrays.next()) else { return Ok(None) };
    let Some(dictionary) = column.dictionary() else { return Ok(None) };
    let values = dictionary.values();
    if values.len() > rows {
        return Ok(None);
    }
    let mut args = args.to_vec();
    args[at] = Column::Array(values.clone());
    match kernel.eval(ctx, &args, values.len()) {
        // Only NULL for NULL is left out here, and the call is strict.
        Ok(Column::Const(c)) if dictionary.null_count() == 0 => Ok(Some(Column::Const(c))),
        Ok(result) => Ok(Some(Column::Array(spread(dictionary, &result.to_array(values.len())?)?))),
        Err(_) => Ok(None),
    }
}

/// The result per row from the result per value; texts stay encoded.
fn spread(dictionary: &DictionaryArray<UInt16Type>, results: &ArrayRef) -> Result<ArrayRef> {
    if results.data_type() == &DataType::Utf8View {
        return encode(dictionary.keys(), results.as_string_view());
    }
    Ok(take(results, dictionary.keys(), None)?)
}

/// A dictionary of distinct values again: two values may have become one.
fn encode(keys: &UInt16Array, results: &StringViewArray) -> Result<ArrayRef> {
    let mut codes: AHashMap<&str, u16> = AHashMap::with_capacity(results.len());
    let mut first: Vec<u32> = vec![];
    let recode: Vec<Option<u16>> = results
        .iter()
        .enumerate()
        .map(|(at, value)| {
            value.map(|v| {
                *codes.entry(v).or_insert_with(|| {
                    first.push(at as u32);
                    (first.len() - 1) as u16
                })
            })
        })
        .collect();
    let unchanged = first.len() == results.len();
    let values: ArrayRef = if unchanged {
        Arc::new(results.clone())
    } else {
        take(results, &arrow::array::UInt32Array::from(first), None)?
    };
    let keys = if unchanged {
        keys.clone()
    } else if keys.is_empty() {
        UInt16Array::from(Vec::<u16>::new())
    } else {
        keys.iter().map(|k| k.and_then(|k| recode[k as usize])).collect()
    };
    Ok(Arc::new(DictionaryArray::<UInt16Type>::try_new(keys, values)?))
}
