//! Batches as bytes: small ones value by value, others as Arrow IPC record batch messages without their schema, which the
//! catalog knows. A dictionary column travels as its codes in the main message and its values in a message of its own.
//!
//! ```text
//! batch   = varint rows, u8 0, column*                                        (see row_codec)
//!         | varint rows, u8 1, varint dictionaries, (varint column, varint values, message)*, message
//! message = varint metadata length, varint body length, metadata, body
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Schema, UInt16Type};
use arrow::ipc::reader::RecordBatchDecoder;
use arrow::ipc::writer::{
    DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions,
};
use arrow::ipc::{CompressionType, MetadataVersion, root_as_message};
use spg_types::{Repr, Result, TableDef};

use crate::codec::{Reader, Writer, corrupt};
use crate::row_codec::{read_rows, write_rows};

/// Batches of at least this many bytes are compressed.
const COMPRESS_BYTES_MIN: usize = 16 << 10;

/// Batches of fewer rows are written value by value.
const MESSAGE_ROWS_MIN: usize = 256;

const ROWS: u8 = 0;
const MESSAGES: u8 = 1;

/// Appends the columns of a batch.
pub(crate) fn write_batch(w: &mut Writer, def: &TableDef, columns: &[ArrayRef], len: usize) -> Result<()> {
    w.varint(len as u64);
    if len < MESSAGE_ROWS_MIN {
        w.u8(ROWS);
        return write_rows(w, def, columns);
    }
    w.u8(MESSAGES);
    write_messages(w, columns)
}

fn write_messages(w: &mut Writer, columns: &[ArrayRef]) -> Result<()> {
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
    w.varint(values.len() as u64);
    for (i, array) in values {
        w.varint(i as u64);
        w.varint(array.len() as u64);
        write_message(w, vec![array])?;
    }
    write_message(w, flat)
}

fn write_message(w: &mut Writer, columns: Vec<ArrayRef>) -> Result<()> {
    let bytes: usize = columns.iter().map(|a| a.get_buffer_memory_size()).sum();
    let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?;
    let options = if bytes >= COMPRESS_BYTES_MIN {
        options.try_with_compression(Some(CompressionType::ZSTD))?.try_with_compression_level(Some(1))?
    } else {
        options
    };
    let message = encode(columns, &options)?;
    w.varint(message.ipc_message.len() as u64);
    w.varint(message.arrow_data.len() as u64);
    w.0.extend_from_slice(&message.ipc_message);
    w.0.extend_from_slice(&message.arrow_data);
    Ok(())
}

fn encode(columns: Vec<ArrayRef>, options: &IpcWriteOptions) -> Result<EncodedData> {
    let fields: Vec<Field> = columns.iter().map(|a| Field::new("", a.data_type().clone(), true)).collect();
    let rows = columns.first().map_or(0, |a| a.len());
    let row_count = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &row_count)?;
    let mut tracker = DictionaryTracker::new(false);
    let mut context = IpcWriteContext::default();
    let (_, message) = IpcDataGenerator::default().encode(&batch, &mut tracker, options, &mut context)?;
    Ok(message)
}

/// A flat array as the metadata and the body of a message, uncompressed, its buffers aligned in the body.
pub(crate) fn encode_array(array: ArrayRef, alignment: usize) -> Result<(Vec<u8>, Vec<u8>)> {
    let options = IpcWriteOptions::try_new(alignment, false, MetadataVersion::V5)?;
    let message = encode(vec![array], &options)?;
    Ok((message.ipc_message, message.arrow_data))
}

/// The array that [`encode_array`] has written; it uses the body where it lies. XX001 when it is something else.
pub(crate) fn decode_array(metadata: &[u8], body: Buffer, ty: DataType, rows: usize) -> Result<ArrayRef> {
    Ok(decode(metadata, &body, vec![ty], rows)?.swap_remove(0))
}

/// Reads what [`write_batch`] wrote for a table: columns and number of rows. XX001 when it is something else.
pub(crate) fn read_batch(bytes: &Buffer, from: usize, def: &TableDef) -> Result<(Vec<ArrayRef>, usize)> {
    let mut r = Reader(&bytes[from..]);
    let len = usize::try_from(r.varint()?).map_err(|_| corrupt("too many rows"))?;
    match r.u8()? {
        ROWS => return Ok((read_rows(&mut r, def, len)?, len)),
        MESSAGES => {}
        other => return Err(corrupt(&format!("there is no batch format {other}"))),
    }
    Ok((read_messages(bytes, &mut r, def, len)?, len))
}

fn read_messages(bytes: &Buffer, r: &mut Reader<'_>, def: &TableDef, len: usize) -> Result<Vec<ArrayRef>> {
    let mut values = HashMap::new();
    for _ in 0..r.varint()? {
        let column = r.varint()? as usize;
        if def.columns.get(column).is_none_or(|c| c.ty.repr() != Repr::Text) {
            return Err(corrupt("a batch has a dictionary for a column without texts"));
        }
        let rows = r.varint()? as usize;
        values.insert(column, read_message(bytes, r, vec![DataType::Utf8View], rows)?.swap_remove(0));
    }
    let types = def.columns.iter().enumerate().map(|(i, c)| match values.contains_key(&i) {
        true => DataType::UInt16,
        false => c.ty.data_type(),
    });
    let mut columns = read_message(bytes, r, types.collect(), len)?;
    for (i, values) in values {
        let keys = columns[i].as_primitive::<UInt16Type>().clone();
        let array = DictionaryArray::try_new(keys, values).map_err(|e| corrupt(&format!("a batch: {e}")))?;
        columns[i] = Arc::new(array);
    }
    Ok(columns)
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
    decode(metadata, &whole.slice_with_length(start, body.len()), types, rows)
}

fn decode(metadata: &[u8], body: &Buffer, types: Vec<DataType>, rows: usize) -> Result<Vec<ArrayRef>> {
    // Flatbuffers are read where they lie aligned.
    let metadata = Buffer::from(metadata);
    let message = root_as_message(&metadata).map_err(|_| corrupt("a batch has no Arrow message"))?;
    let batch =
        message.header_as_record_batch().ok_or_else(|| corrupt("a batch's message is of another kind"))?;
    let schema = Schema::new(types.into_iter().map(|t| Field::new("", t, true)).collect::<Vec<_>>());
    let none = HashMap::new();
    let version = message.version();
    let batch = RecordBatchDecoder::try_new(body, batch, Arc::new(schema), &none, &version)
        .and_then(RecordBatchDecoder::read_record_batch)
        .map_err(|e| corrupt(&format!("a batch: {e}")))?;
    if batch.num_rows() != rows {
        return Err(corrupt("a batch has another number of rows than it says"));
    }
    Ok(batch.columns().to_vec())
}

#[cfg(test)]
mod tests {
    use arrow::array::new_null_array;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use spg_types::{ColumnBuilder, ColumnDef, Datum, Numeric, SqlType, TYPES, TableId};

    use super::*;

    fn datum(ty: SqlType, rng: &mut StdRng) -> Datum {
        use Repr as R;
        let n: i64 = rng.random_range(-1000..1000);
        let text = "naïve text ".repeat(rng.random_range(0..4));
        match ty.repr() {
            R::Bool => Datum::Bool(n > 0),
            R::Int16 => Datum::Int16(n as i16),
            R::Int32 => Datum::Int32(n as i32),
            R::Int64 => Datum::Int64(n),
            R::Float32 => Datum::Float32(n as f32),
            R::Float64 => Datum::Float64(n as f64),
            R::Decimal64 { .. } | R::Decimal128 { .. } => Datum::Decimal(n.into()),
            R::Numeric => Datum::Numeric(Numeric::from_i128(n.into(), 2)),
            R::Text => Datum::Text(text.into()),
            R::Binary => Datum::Binary(text.as_bytes().into()),
            R::Date => Datum::Date(n as i32),
            R::Time => Datum::Time(n.abs()),
            R::Timestamp | R::TimestampTz => Datum::Timestamp(n),
            R::Interval => Datum::Interval(arrow::datatypes::IntervalMonthDayNano::new(1, 2, n)),
            R::Uuid => Datum::Uuid([n as u8; 16]),
        }
    }

    /// A table with every type that a column can have.
    fn every_type() -> TableDef {
        let mut types: Vec<SqlType> = TYPES
            .iter()
            .filter(|t| t.category != spg_types::Category::Pseudo)
            .map(|t| SqlType::new(t))
            .collect();
        types.push(SqlType::numeric(12, 2));
        types.push(SqlType::numeric(30, 5));
        let column = |ty| ColumnDef { name: "c".into(), ty, not_null: false, default: None };
        TableDef {
            id: TableId(1),
            schema: "public".into(),
            name: "t".into(),
            columns: types.into_iter().map(column).collect(),
            indexes: vec![],
            checks: vec![],
            foreign_keys: vec![],
            options: Default::default(),
        }
    }

    #[test]
    fn both_formats_keep_every_type() {
        let mut rng = StdRng::seed_from_u64(3);
        let def = every_type();
        assert!(def.columns.len() > 15);
        for len in [1, 2, 9, 200, 3000] {
            let columns: Vec<ArrayRef> = def
                .columns
                .iter()
                .map(|c| {
                    if rng.random_bool(0.1) {
                        return new_null_array(&c.ty.data_type(), len);
                    }
                    let mut b = ColumnBuilder::new(c.ty, len + 3);
                    let nulls = rng.random_bool(0.5);
                    for _ in 0..len + 3 {
                        let null = nulls && rng.random_bool(0.3);
                        b.append_datum(&if null { Datum::Null } else { datum(c.ty, &mut rng) }).unwrap();
                    }
                    // Not at the start of their buffers.
                    b.finish().slice(3, len)
                })
                .collect();
            let mut w = Writer::default();
            w.0.extend_from_slice(b"head");
            write_batch(&mut w, &def, &columns, len).unwrap();
            let (found, n) = read_batch(&Buffer::from(w.0), 4, &def).unwrap();
            assert_eq!((found, n), (columns.clone(), len));

            let mut rows = Writer::default();
            write_rows(&mut rows, &def, &columns).unwrap();
            let mut messages = Writer::default();
            write_messages(&mut messages, &columns).unwrap();
            let by_row = read_rows(&mut Reader(&rows.0), &def, len).unwrap();
            let bytes = Buffer::from(messages.0);
            let by_message = read_messages(&bytes, &mut Reader(&bytes), &def, len).unwrap();
            assert_eq!(by_row, by_message);
            for cut in 0..rows.0.len().min(300) {
                assert!(read_rows(&mut Reader(&rows.0[..cut]), &def, len).is_err());
            }
        }
    }
}
