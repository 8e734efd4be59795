//! Small batches as bytes: the values and nothing else. An Arrow IPC message of one row is mostly padding and
//! metadata, and costs ten times as long to write and to read.
//!
//! ```text
//! column = u8 has NULLs, validity bits if it has, values (NULLs have one too)
//! values = fixed width, little-endian | bits | (varint length, bytes)*
//! ```

use std::sync::Arc;

use arrow::array::ArrayData;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, BooleanArray, StringViewBuilder, make_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer};
use spg_types::{ColumnDef, Error, Repr, Result, TableDef};

use crate::codec::{Reader, Writer, corrupt};

/// Appends the flat columns of a batch.
pub(crate) fn write_rows(w: &mut Writer, def: &TableDef, columns: &[ArrayRef]) -> Result<()> {
    def.columns.iter().zip(columns).try_for_each(|(column, array)| write_values(w, column, array))
}

/// Appends one flat column.
pub(crate) fn write_values(w: &mut Writer, column: &ColumnDef, array: &ArrayRef) -> Result<()> {
    let nulls = array.nulls().filter(|n| n.null_count() > 0);
    w.bool(nulls.is_some());
    if let Some(nulls) = nulls {
        write_bits(w, nulls.inner());
    }
    let wrong = || Error::internal(format!("column {} is not of its type", column.name));
    match column.ty.repr() {
        Repr::Bool => write_bits(w, array.as_boolean_opt().ok_or_else(wrong)?.values()),
        Repr::Text => {
            let strings = array.as_string_view_opt().ok_or_else(wrong)?;
            (0..array.len()).for_each(|i| w.str(if strings.is_null(i) { "" } else { strings.value(i) }));
        }
        Repr::Numeric | Repr::Binary => {
            let values = array.as_binary_view_opt().ok_or_else(wrong)?;
            for i in 0..array.len() {
                let value = if values.is_null(i) { &[][..] } else { values.value(i) };
                w.varint(value.len() as u64);
                w.0.extend_from_slice(value);
            }
        }
        repr => {
            let width = repr.width();
            let data = array.to_data();
            let from = data.offset() * width;
            let bytes = data.buffers().first().and_then(|b| b.get(from..from + array.len() * width));
            w.0.extend_from_slice(bytes.ok_or_else(wrong)?);
        }
    }
    Ok(())
}

fn write_bits(w: &mut Writer, bits: &BooleanBuffer) {
    let packed = bits.iter().collect::<BooleanBuffer>();
    w.0.extend_from_slice(&packed.inner()[..bits.len().div_ceil(8)]);
}

fn read_bits(r: &mut Reader<'_>, len: usize) -> Result<BooleanBuffer> {
    Ok(BooleanBuffer::new(Buffer::from(r.bytes(len.div_ceil(8))?), 0, len))
}

/// Reads what [`write_rows`] wrote. XX001 when it is something else.
pub(crate) fn read_rows(r: &mut Reader<'_>, def: &TableDef, len: usize) -> Result<Vec<ArrayRef>> {
    def.columns.iter().map(|column| read_values(r, column, len)).collect()
}

/// Reads what [`write_values`] wrote. XX001 when it is something else.
pub(crate) fn read_values(r: &mut Reader<'_>, column: &ColumnDef, len: usize) -> Result<ArrayRef> {
    let nulls = if r.bool()? { Some(NullBuffer::new(read_bits(r, len)?)) } else { None };
    if matches!(column.ty.repr(), Repr::Text | Repr::Numeric | Repr::Binary) && len > r.0.len() {
        return Err(corrupt("too many rows"));
    }
    let valid = |i: usize| nulls.as_ref().is_none_or(|n| n.is_valid(i));
    Ok(match column.ty.repr() {
        Repr::Bool => Arc::new(BooleanArray::new(read_bits(r, len)?, nulls)),
        Repr::Text => {
            let mut strings = StringViewBuilder::with_capacity(len);
            for i in 0..len {
                let n = r.len()?;
                let text = std::str::from_utf8(r.bytes(n)?).map_err(|_| corrupt("a text is not UTF-8"))?;
                strings.append_option(valid(i).then_some(text));
            }
            Arc::new(strings.finish())
        }
        Repr::Numeric | Repr::Binary => {
            let mut values = BinaryViewBuilder::with_capacity(len);
            for i in 0..len {
                let n = r.len()?;
                let value = r.bytes(n)?;
                values.append_option(valid(i).then_some(value));
            }
            Arc::new(values.finish())
        }
        repr => {
            let bytes = r.bytes(len.checked_mul(repr.width()).ok_or_else(|| corrupt("too many rows"))?)?;
            let data = ArrayData::builder(column.ty.data_type()).len(len).add_buffer(Buffer::from(bytes));
            make_array(data.nulls(nulls).build()?)
        }
    })
}
