//! The encodings of columns that stay: dictionaries for strings with few values, compact buffers for others.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, StringViewArray, UInt16Array, UInt32Array};
use arrow::compute;
use arrow::datatypes::UInt16Type;
use hashbrown::HashTable;
use spg_types::{Repr, Result};

/// A batch of at least this many rows becomes a row group by itself; smaller ones wait in the tail to be merged.
pub(crate) const SEALED_ROWS_MIN: usize = 65_536;

/// A dictionary has at most this many values: past it, codes save little and every kernel has to look through them.
const DICTIONARY_VALUES_MAX: usize = 8_192;
/// So many rows are tried before it is decided that a column has few values.
const SAMPLE_ROWS: usize = 4_096;
/// A column whose sample has more distinct values than this keeps its strings.
const SAMPLE_VALUES_MAX: usize = 1_024;

/// The column in the encoding that it stays in.
pub(crate) fn sealed(repr: Repr, array: ArrayRef) -> Result<ArrayRef> {
    if repr == Repr::Text {
        if array.as_dictionary_opt::<UInt16Type>().is_some() {
            return trimmed_dictionary(array);
        }
        if let Some(dictionary) = array.as_string_view_opt().and_then(dictionary) {
            return Ok(Arc::new(dictionary));
        }
    }
    Ok(compacted(array))
}

/// The column without bytes that no row uses. What is kept of a batch must not keep more alive than it needs.
pub(crate) fn compacted(array: ArrayRef) -> ArrayRef {
    let held = match (array.as_string_view_opt(), array.as_binary_view_opt()) {
        (Some(a), _) => a.views().inner().capacity(),
        (_, Some(a)) => a.views().inner().capacity(),
        _ => array.get_buffer_memory_size(),
    };
    // A small slice of something large.
    let array = if held > array.len() * 64 + 1024 {
        let rows = UInt32Array::from_iter_values(0..array.len() as u32);
        compute::take(&array, &rows, None).unwrap_or(array)
    } else {
        array
    };
    if let Some(a) = array.as_string_view_opt() {
        if wasteful(a.data_buffers(), || a.total_buffer_bytes_used()) { Arc::new(a.gc()) } else { array }
    } else if let Some(a) = array.as_binary_view_opt() {
        if wasteful(a.data_buffers(), || a.total_buffer_bytes_used()) { Arc::new(a.gc()) } else { array }
    } else {
        array
    }
}

/// Whether buffers hold much more than what is used of them.
fn wasteful(buffers: &[arrow::buffer::Buffer], used: impl Fn() -> usize) -> bool {
    if buffers.is_empty() {
        return false;
    }
    let held: usize = buffers.iter().map(|b| b.capacity().max(b.len())).sum();
    let used = used();
    held > used + used / 4 + 64 || buffers.len() > 64
}

/// The column with codes replaced by their strings.
pub(crate) fn flattened(array: &ArrayRef) -> Result<ArrayRef> {
    match array.as_dictionary_opt::<UInt16Type>() {
        Some(d) => Ok(compute::take(d.values(), d.keys(), None)?),
        None => Ok(array.clone()),
    }
}

/// `len` rows of the one value that `value` has.
pub(crate) fn repeated(value: &ArrayRef, len: usize, sealed: bool) -> Result<ArrayRef> {
    if value.is_null(0) {
        return Ok(arrow::array::new_null_array(value.data_type(), len));
    }
    if sealed && value.as_string_view_opt().is_some() {
        let keys = UInt16Array::from_value(0, len);
        return Ok(Arc::new(DictionaryArray::try_new(keys, value.clone())?));
    }
    Ok(compute::take(value, &UInt32Array::from_value(0, len), None)?)
}

/// The dictionary of a column with few values.
fn dictionary(strings: &StringViewArray) -> Option<DictionaryArray<UInt16Type>> {
    let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
    let mut codes: HashTable<u16> = HashTable::new();
    let mut firsts: Vec<u32> = Vec::new();
    let mut keys: Vec<u16> = Vec::with_capacity(strings.len());
    let views = strings.views();
    let nulls = strings.nulls();
    let mut last: Option<(u128, u16)> = None;
    for row in 0..strings.len() {
        if nulls.is_some_and(|n| n.is_null(row)) {
            keys.push(0);
            continue;
        }
        let view = views[row];
        // Short strings are equal when their views are; runs of one value are common.
        let inline = view as u32 <= 12;
        if let Some((v, code)) = last
            && inline
            && v == view
        {
            keys.push(code);
            continue;
        }
        let code = if inline {
            let hash = hasher.hash_one(view);
            let found = codes.find(hash, |c| views[firsts[usize::from(*c)] as usize] == view).copied();
            found.map_or_else(|| Err(hash), Ok)
        } else {
            let value = strings.value(row);
            let hash = hasher.hash_one(value.as_bytes());
            let same = |c: &u16| strings.value(firsts[usize::from(*c)] as usize) == value;
            codes.find(hash, same).copied().map_or_else(|| Err(hash), Ok)
        };
        let code = match code {
            Ok(code) => code,
            Err(hash) => {
                let limit = if row < SAMPLE_ROWS { SAMPLE_VALUES_MAX } else { DICTIONARY_VALUES_MAX };
                if firsts.len() >= limit {
                    return None;
                }
                let code = firsts.len() as u16;
                firsts.push(row as u32);
                let rehash = |c: &u16| {
                    let first = firsts[usize::from(*c)] as usize;
                    if views[first] as u32 <= 12 {
                        hasher.hash_one(views[first])
                    } else {
                        hasher.hash_one(strings.value(first).as_bytes())
                    }
                };
                codes.insert_unique(hash, code, rehash);
                code
            }
        };
        last = Some((view, code));
        keys.push(code);
    }
    // Codes that hardly repeat are no gain.
    if firsts.len() * 8 > strings.len() {
        return None;
    }
    let values = StringViewArray::from_iter_values(firsts.iter().map(|r| strings.value(*r as usize)));
    let keys = UInt16Array::new(keys.into(), nulls.cloned());
    DictionaryArray::try_new(keys, Arc::new(values)).ok()
}

/// The dictionary with the values in use only.
fn trimmed_dictionary(array: ArrayRef) -> Result<ArrayRef> {
    let Some(d) = array.as_dictionary_opt::<UInt16Type>() else { return Ok(array) };
    let mut used = vec![false; d.values().len()];
    d.keys().iter().flatten().for_each(|k| used[usize::from(k)] = true);
    if used.iter().all(|u| *u) {
        return Ok(array);
    }
    sealed(Repr::Text, flattened(&array)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_become_a_dictionary_and_back() {
        let value = |i: usize| match i % 7 {
            0 => None,
            1 => Some("DELIVER IN PERSON, NOT TO THE DOOR".to_string()),
            n => Some(format!("MODE {n}")),
        };
        let strings: ArrayRef = Arc::new(StringViewArray::from_iter((0..10_000).map(value)));
        let array = sealed(Repr::Text, strings.clone()).unwrap();
        let d = array.as_dictionary::<UInt16Type>();
        assert_eq!((d.values().len(), d.null_count()), (6, strings.null_count()));
        assert_eq!(&flattened(&array).unwrap(), &strings);

        let many: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..10_000).map(|i| format!("{i}"))));
        assert_eq!(&sealed(Repr::Text, many.clone()).unwrap(), &many);
    }

    #[test]
    fn slices_let_go_of_what_they_do_not_show() {
        let long = |i: usize| format!("a string that is too long for a view {i}");
        let strings = StringViewArray::from_iter_values((0..10_000).map(long));
        let one = compacted(Arc::new(strings.slice(77, 1)));
        assert!(one.get_array_memory_size() < 1000, "{}", one.get_array_memory_size());
        assert_eq!(one.as_string_view().value(0), long(77));
        let short = StringViewArray::from_iter_values((0..10_000).map(|i| format!("{i}")));
        let one = compacted(Arc::new(short.slice(77, 1)));
        assert!(one.get_array_memory_size() < 1000, "{}", one.get_array_memory_size());
        assert_eq!(one.as_string_view().value(0), "77");
    }
}
