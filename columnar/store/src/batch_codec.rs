//! Batches as bytes: Arrow IPC record batch messages without their schema, which the catalog knows.
//!
//! A dictionary column travels as its codes in the main message and its values in a message of their own.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, UInt16Type};
use arrow::ipc::reader::RecordBatchDecoder;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow::ipc::{CompressionType, MetadataVersion, root_as_message};
use spg_types::{Result, TableDef};

use crate::codec::{Reader, Writer, corrupt};

/// Batches of at least this many bytes are compressed.
const COMPRESS_BYTES_MIN: usize = 16 << 10;

/// Appends the columns of a batch.
pub(crate) fn write_batch(w: &mut Writer, columns: &[ArrayRef], len: usize) -> Result<()> {
    let mut flat = Vec::with_capacity(columns.len());
    let mut values = Vec::new();
    for (i, array) in columns.iter().enumerate() {
        match array.as_dictionary_opt::<UInt16Type>() {
            Some(d) => {
                flat.push(Arc::new(d.keys().clone()) as ArrayRef);
                values.push((i, d.values().clone()));
            }
            None => flat.push(array.clone()),
        }
    }
    w.varint(len as u64);
    w.varint(values.len() as u64);
    for (i, array) in values {
        w.varint(i as u64);
        w.varint(array.len() as u64);
        write_message(w, vec![array])?;
    }
    write_message(w, flat)
}

fn write_message(w: &mut Writer, columns: Vec<ArrayRef>) -> Result<()> {
    let fields: Vec<Field> = columns.iter().map(|a| Field::new("", a.data_type().clone(), true)).collect();
    let bytes: usize = columns.iter().map(|a| a.get_buffer_memory_size()).sum();
    let rows = columns.first().map_or(0, |a| a.len());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
    let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?;
    let options = if bytes >= COMPRESS_BYTES_MIN {
        options.try_with_compression(Some(CompressionType::ZSTD))?.try_with_compression_level(Some(1))?
    } else {
        options
    };
    let mut tracker = DictionaryTracker::new(false);
    let mut context = IpcWriteContext::default();
    let (_, message) = IpcDataGenerator::default().encode(&batch, &mut tracker, &options, &mut context)?;
    w.varint(message.ipc_message.len() as u64);
    w.varint(message.arrow_data.len() as u64);
    w.0.extend_from_slice(&message.ipc_message);
    w.0.extend_from_slice(&message.arrow_data);
    Ok(())
}

/// Reads what [`write_batch`] wrote for a table: columns and number of rows. XX001 when it is something else.
pub(crate) fn read_batch(bytes: &Buffer, from: usize, def: &TableDef) -> Result<(Vec<ArrayRef>, usize)> {
    let mut r = Reader(&bytes[from..]);
    let len = r.varint()? as usize;
    let mut values = HashMap::new();
    for _ in 0..r.varint()? {
        let column = r.varint()? as usize;
        let rows = r.varint()? as usize;
        values.insert(column, read_message(bytes, &mut r, vec![DataType::Utf8View], rows)?.swap_remove(0));
    }
    let types = def.columns.iter().enumerate().map(|(i, c)| match values.contains_key(&i) {
        true => DataType::UInt16,
        false => c.ty.data_type(),
    });
    let mut columns = read_message(bytes, &mut r, types.collect(), len)?;
    for (i, values) in values {
        let keys = columns[i].as_primitive::<UInt16Type>().clone();
        columns[i] = Arc::new(DictionaryArray::try_new(keys, values)?);
    }
    Ok((columns, len))
}

fn read_message(
    whole: &Buffer,
    r: &mut Reader<'_>,
    types: Vec<DataType>,
    rows: usize,
) -> Result<Vec<ArrayRef>> {
    let metadata_len = r.len()?;
    let body_len = r.len()?;
    let metadata = r.bytes(metadata_len)?;
    let body = r.bytes(body_len)?;
    let start = whole.len() - r.0.len() - body.len();
    // Flatbuffers are read where they lie aligned.
    let metadata = Buffer::from(metadata);
    let message = root_as_message(&metadata).map_err(|_| corrupt("a batch has no Arrow message"))?;
    let batch =
        message.header_as_record_batch().ok_or_else(|| corrupt("a batch's message is of another kind"))?;
    let schema = Schema::new(types.into_iter().map(|t| Field::new("", t, true)).collect::<Vec<_>>());
    let body = whole.slice_with_length(start, body.len());
    let none = HashMap::new();
    let version = message.version();
    let batch = RecordBatchDecoder::try_new(&body, batch, Arc::new(schema), &none, &version)
        .and_then(RecordBatchDecoder::read_record_batch)
        .map_err(|e| corrupt(&format!("a batch: {e}")))?;
    if batch.num_rows() != rows {
        return Err(corrupt("a batch has another number of rows than it says"));
    }
    Ok(batch.columns().to_vec())
}
