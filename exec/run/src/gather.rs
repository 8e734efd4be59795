//! Moving values: rows by position, several arrays into one. Dictionaries stay dictionaries where they can.

use std::sync::Arc;

use ahash::AHashMap;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, DictionaryArray, GenericByteViewBuilder, PrimitiveArray,
    UInt16Array, UInt32Array, downcast_primitive,
};
use arrow::compute::{concat as concat_flat, take};
use arrow::datatypes::{BinaryViewType, ByteViewType, DataType, StringViewType, UInt16Type};
use spg_expr::flatten;
use spg_types::{Error, Result};

/// Most values that a merged dictionary may have before the column is better off flat.
const DICTIONARY_MAX: usize = 1 << 15;
/// Most buffers of string bytes that several arrays made one may share with where they come from.
const VIEW_BUFFERS_MAX: usize = 16;
/// String bytes that are copied lie in blocks of this size.
const VIEW_BLOCK_BYTES: usize = 64 << 20;

/// The values of `array` at `index`; NULL where the position is NULL.
pub(crate) fn gather(array: &ArrayRef, index: &UInt32Array) -> Result<ArrayRef> {
    if array.null_count() == 0 && index.null_count() == 0 {
        macro_rules! plain {
            ($t:ty) => {
                return Ok(Arc::new(gather_plain(array.as_primitive::<$t>(), index)))
            };
        }
        downcast_primitive!(
            array.data_type() => (plain),
            _ => {}
        );
    }
    Ok(take(array, index, None)?)
}

fn gather_plain<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, index: &UInt32Array) -> PrimitiveArray<T> {
    let values = spg_simd::gather(array.values(), index.values());
    PrimitiveArray::new(values.into(), None).with_data_type(array.data_type().clone())
}

/// `old[new[i]]` for each `i`.
pub(crate) fn compose(old: &UInt32Array, new: &UInt32Array) -> UInt32Array {
    let values = spg_simd::gather(old.values(), new.values());
    let nulls = old.nulls().map(|n| new.values().iter().map(|&i| n.is_valid(i as usize)).collect());
    UInt32Array::new(values.into(), nulls)
}

/// The arrays one after the other: a dictionary if all are dictionaries and their values together are few.
pub(crate) fn concat(arrays: &[ArrayRef], ty: &DataType) -> Result<ArrayRef> {
    match arrays {
        [] => Ok(arrow::array::new_empty_array(ty)),
        [one] => Ok(one.clone()),
        _ => {
            if let Some(merged) = concat_dictionaries(arrays)? {
                return Ok(merged);
            }
            let flat = arrays.iter().map(flatten).collect::<Result<Vec<_>>>()?;
            match ty {
                DataType::Utf8View => concat_views::<StringViewType>(&flat),
                DataType::BinaryView => concat_views::<BinaryViewType>(&flat),
                _ => concat_plain(&flat),
            }
        }
    }
}

fn concat_plain(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let refs: Vec<&dyn Array> = arrays.iter().map(|a| a.as_ref()).collect();
    Ok(concat_flat(&refs)?)
}

/// Views keep the buffers of every array that they come from, and whoever takes rows of them holds them all: when there
/// are many, the bytes are copied into buffers of their own.
fn concat_views<T: ByteViewType>(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let views = || arrays.iter().map(|a| a.as_byte_view::<T>());
    if views().map(|a| a.data_buffers().len()).sum::<usize>() <= VIEW_BUFFERS_MAX {
        return concat_plain(arrays);
    }
    let rows = arrays.iter().map(|a| a.len()).sum();
    let block = views().map(|a| a.total_buffer_bytes_used()).sum::<usize>();
    let block = block.clamp(1, VIEW_BLOCK_BYTES) as u32;
    let mut out = GenericByteViewBuilder::<T>::with_capacity(rows).with_fixed_block_size(block);
    for array in views() {
        if array.null_count() == 0 {
            (0..array.len()).for_each(|row| out.append_value(array.value(row)));
        } else {
            array.iter().for_each(|value| out.append_option(value));
        }
    }
    Ok(Arc::new(out.finish()))
}

fn concat_dictionaries(arrays: &[ArrayRef]) -> Result<Option<ArrayRef>> {
    let dictionaries: Option<Vec<&DictionaryArray<UInt16Type>>> =
        arrays.iter().map(|a| a.as_dictionary_opt::<UInt16Type>()).collect();
    let Some(dictionaries) = dictionaries else { return Ok(None) };
    let Some(first) = dictionaries.first() else { return Ok(None) };
    let rows = arrays.iter().map(|a| a.len()).sum();
    let mut keys: Vec<u16> = Vec::with_capacity(rows);
    let mut validity = arrow::array::BooleanBufferBuilder::new(rows);
    let mut values: AHashMap<&str, u16> = AHashMap::new();
    let mut order: Vec<Option<&str>> = Vec::new();
    let mut last: Option<(&ArrayRef, Vec<u16>)> = None;
    let _ = first;
    for d in &dictionaries {
        if d.values().data_type() != &DataType::Utf8View {
            return Ok(None);
        }
        let same = last.as_ref().is_some_and(|(v, _)| Arc::ptr_eq(v, d.values()));
        if !same {
            let strings = d.values().as_string_view();
            let mut map = Vec::with_capacity(strings.len());
            for value in strings {
                let Some(value) = value else { return Ok(None) };
                let next = order.len();
                let code = *values.entry(value).or_insert_with(|| {
                    order.push(Some(value));
                    next as u16
                });
                if order.len() > DICTIONARY_MAX {
                    return Ok(None);
                }
                map.push(code);
            }
            last = Some((d.values(), map));
        }
        let Some((_, map)) = &last else { return Err(Error::internal("no dictionary")) };
        let codes: &UInt16Array = d.keys();
        match codes.nulls() {
            None => {
                keys.extend(codes.values().iter().map(|&k| map[k as usize]));
                validity.append_n(codes.len(), true);
            }
            Some(nulls) => {
                let valid = |(i, k): (usize, &u16)| if nulls.is_valid(i) { map[*k as usize] } else { 0 };
                keys.extend(codes.values().iter().enumerate().map(valid));
                validity.append_buffer(nulls.inner());
            }
        }
    }
    let nulls = arrow::buffer::NullBuffer::new(validity.finish());
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    let values: arrow::array::StringViewArray = order.into_iter().collect();
    let keys = UInt16Array::new(keys.into(), nulls);
    Ok(Some(Arc::new(DictionaryArray::try_new(keys, Arc::new(values))?)))
}

/// Bytes of an array's values: what a reservation counts for a copy of it.
pub(crate) fn array_bytes(array: &dyn Array) -> usize {
    let rows = array.len();
    let fixed = match array.data_type() {
        DataType::Dictionary(..) => 2 * rows,
        DataType::Boolean => rows.div_ceil(8),
        DataType::FixedSizeBinary(n) => *n as usize * rows,
        DataType::Utf8View => 16 * rows + array.as_string_view().total_buffer_bytes_used(),
        DataType::BinaryView => 16 * rows + array.as_binary_view().total_buffer_bytes_used(),
        t => t.primitive_width().unwrap_or(16) * rows,
    };
    fixed + if array.nulls().is_some() { rows.div_ceil(8) } else { 0 }
}
