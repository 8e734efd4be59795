//! From the checked bytes of pages to an array.

use std::cell::RefCell;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute;
use arrow::datatypes::Fields;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, FileMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor};
use spg_types::{Error, Result};

use crate::column::{SegmentColumn, parquet_schema};

/// A page that says it has more bytes is refused before memory is taken for it.
const PAGE_BYTES_MAX: usize = 1 << 30;

/// All that reading one column takes, whatever its row group.
pub(crate) struct ColumnDecoder {
    column: SegmentColumn,
    schema: SchemaDescPtr,
    values: FieldLevels,
    dictionary: FieldLevels,
}

/// The pages of one column in memory, standing for a whole file with one row group.
struct Pages {
    bytes: Arc<Bytes>,
    metadata: ParquetMetaData,
}

struct OneChunk(Option<Result<Box<dyn PageReader>, ParquetError>>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take()
    }
}

impl PageIterator for OneChunk {}

impl RowGroups for Pages {
    fn num_rows(&self) -> usize {
        self.metadata.row_group(0).num_rows() as usize
    }

    fn column_chunks(&self, i: usize) -> Result<Box<dyn PageIterator>, ParquetError> {
        let chunk = self.metadata.row_group(0).column(i);
        let compressed = SerializedPageReader::new(self.bytes.clone(), chunk, self.num_rows(), None)?;
        Ok(Box::new(OneChunk(Some(Ok(Box::new(Decompressed(compressed)))))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.metadata.row_groups().iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

thread_local! {
    /// A context takes longer to make than a page to decompress.
    static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Pages are read as if they were not compressed, and decompressed here.
struct Decompressed(SerializedPageReader<Bytes>);

/// The first `plain` bytes stay; the others are a zstd frame.
fn decompressed(bytes: &Bytes, plain: usize) -> Result<Bytes, ParquetError> {
    let broken = || ParquetError::General("a page's sizes are wrong".into());
    let (start, frame) = bytes.split_at_checked(plain).ok_or_else(broken)?;
    let len = match frame {
        [] => 0,
        _ => zstd::zstd_safe::get_frame_content_size(frame).ok().flatten().ok_or_else(broken)?,
    };
    let len = usize::try_from(len).ok().filter(|len| *len <= PAGE_BYTES_MAX).ok_or_else(broken)?;
    let mut out = vec![0; plain + len];
    out[..plain].copy_from_slice(start);
    if len > 0 {
        ZSTD.with_borrow_mut(|context| -> Result<(), ParquetError> {
            let context = match context {
                Some(context) => context,
                None => context.insert(zstd::bulk::Decompressor::new()?),
            };
            let written = context.decompress_to_buffer(frame, &mut out[plain..])?;
            if written == len { Ok(()) } else { Err(broken()) }
        })?;
    }
    Ok(out.into())
}

impl PageReader for Decompressed {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let Some(mut page) = self.0.get_next_page()? else { return Ok(None) };
        match &mut page {
            Page::DataPageV2 {
                buf, def_levels_byte_len, rep_levels_byte_len, is_compressed: true, ..
            } => {
                *buf = decompressed(buf, (*def_levels_byte_len + *rep_levels_byte_len) as usize)?;
            }
            Page::DataPageV2 { .. } => {}
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = decompressed(buf, 0)?,
        }
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.0.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.0.skip_next_page()
    }
}

impl Iterator for Decompressed {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

fn failed(e: &ParquetError) -> Error {
    Error::internal(format!("a column does not decode: {e}"))
}

impl ColumnDecoder {
    pub(crate) fn new(column: &SegmentColumn) -> Result<Self> {
        let build = || -> Result<Self, ParquetError> {
            let root = parquet_schema(std::slice::from_ref(column))?;
            let schema = Arc::new(SchemaDescriptor::new(root));
            let levels = |dictionary| {
                let hint = Fields::from(vec![column.stored_field(dictionary)]);
                parquet_to_arrow_field_levels(&schema, ProjectionMask::all(), Some(&hint))
            };
            let (values, dictionary) = (levels(false)?, levels(true)?);
            Ok(Self { column: column.clone(), schema, values, dictionary })
        };
        build().map_err(|e| failed(&e))
    }

    /// The values of pages: `bytes` is the dictionary page (of `dictionary_len` bytes, perhaps none) and data pages with
    /// `rows` rows.
    pub(crate) fn decode(
        &self,
        bytes: Bytes,
        dictionary_len: usize,
        rows: usize,
        as_dictionary: bool,
    ) -> Result<ArrayRef> {
        let pages = self.pages(bytes, dictionary_len, rows).map_err(|e| failed(&e))?;
        let levels = if as_dictionary { &self.dictionary } else { &self.values };
        let reader = ParquetRecordBatchReader::try_new_with_row_groups(levels, &pages, rows.max(1), None)
            .map_err(|e| failed(&e))?;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(1);
        for batch in reader {
            arrays.push(batch?.column(0).clone());
        }
        let array = match arrays.as_slice() {
            [array] => array.clone(),
            many => {
                let many: Vec<&dyn Array> = many.iter().map(|a| &**a).collect();
                compute::concat(&many)?
            }
        };
        if array.len() != rows {
            return Err(Error::internal(format!("a column has {} rows where {rows} belong", array.len())));
        }
        self.column.restored(array)
    }

    fn pages(&self, bytes: Bytes, dictionary_len: usize, rows: usize) -> Result<Pages, ParquetError> {
        let mut chunk = ColumnChunkMetaData::builder(self.schema.column(0))
            .set_compression(Compression::UNCOMPRESSED)
            .set_num_values(rows as i64)
            .set_total_compressed_size(bytes.len() as i64)
            .set_data_page_offset(dictionary_len as i64);
        if dictionary_len > 0 {
            chunk = chunk.set_dictionary_page_offset(Some(0));
        }
        let group = RowGroupMetaData::builder(self.schema.clone())
            .set_num_rows(rows as i64)
            .set_column_metadata(vec![chunk.build()?])
            .build()?;
        let file = FileMetaData::new(2, rows as i64, None, None, self.schema.clone(), None);
        Ok(Pages { bytes: Arc::new(bytes), metadata: ParquetMetaData::new(file, vec![group]) })
    }
}
