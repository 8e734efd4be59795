//! Writes a segment: row groups one after another, each encoded in memory first (on any thread), then appended.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::Schema;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{BloomFilterPosition, EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use spg_types::{Error, Result, TableId};
use spg_vfs::File;

use crate::GROUP_ROWS_MAX;
use crate::column::{SegmentColumn, fingerprint, parquet_schema};
use crate::encoding::{ChunkEncoding, choose, integer_bounds};
use crate::header::{HEADER_AT, HEADER_LEN, SegmentId, SegmentInfo};
use crate::trailer::{ChunkMeta, ChunkStats, GroupMeta, PageMeta, RowIdRun, Trailer};

/// A dictionary page is never given up for its size: which columns have one is decided before.
const DICTIONARY_BYTES_MAX: usize = 1 << 30;
/// False positives of bloom filters.
const BLOOM_FPP: f64 = 0.02;

/// How a segment is written.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// zstd level, 1 to 22.
    pub zstd_level: i32,
    /// Rows of a page: what a point read decodes, and what is skipped at once.
    pub page_rows: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { zstd_level: 3, page_rows: 2_048 }
    }
}

/// The rows of a row group.
pub struct GroupContent<'a> {
    /// One per column, in the representation of its type or `Dictionary(UInt16, Utf8View)`.
    pub columns: &'a [ArrayRef],
    /// The row ids, ascending.
    pub runs: Vec<RowIdRun>,
    /// One per column.
    pub stats: Vec<ChunkStats>,
}

/// A row group ready to be appended.
pub struct EncodedGroup {
    rows: usize,
    runs: Vec<RowIdRun>,
    chunks: Vec<(ArrowColumnChunk, EncodedChunk)>,
}

struct EncodedChunk {
    dictionary: bool,
    pages: Vec<PageMeta>,
    stats: ChunkStats,
}

impl EncodedGroup {
    /// Gives the rows other ids: they may not be known yet when rows are encoded. XX000 when they are another number.
    pub fn set_runs(&mut self, runs: Vec<RowIdRun>) -> Result<()> {
        if runs.iter().map(|r| r.len).sum::<u64>() != self.rows as u64 {
            return Err(broken("row ids are not as many as rows"));
        }
        self.runs = runs;
        Ok(())
    }
}

/// Encodes row groups for a segment, on any thread.
#[derive(Clone, Debug)]
pub struct GroupEncoder {
    columns: Vec<SegmentColumn>,
    options: WriteOptions,
}

/// Writes one segment.
pub struct SegmentWriter {
    file: Arc<dyn File>,
    table: TableId,
    segment: SegmentId,
    encoder: GroupEncoder,
    /// Buffers what has not been written to the file; a row group at most.
    parquet: SerializedFileWriter<Vec<u8>>,
    /// Where the next byte goes in the file.
    at: u64,
    data: blake3::Hasher,
    groups: Vec<GroupMeta>,
}

fn failed(e: &ParquetError) -> Error {
    Error::internal(format!("a segment cannot be encoded: {e}"))
}

fn broken(what: &str) -> Error {
    Error::internal(format!("a segment cannot be written: {what}"))
}

/// Where a thread enters the kernel, others that wait for its processor get it: without, those that have work of a few
/// microseconds would wait for the next tick of the clock, milliseconds away, whatever their rank.
fn let_others_run() {
    std::thread::yield_now();
}

impl GroupEncoder {
    /// An encoder for segments with these columns.
    pub fn new(columns: Vec<SegmentColumn>, options: WriteOptions) -> Self {
        Self { columns, options }
    }

    /// The columns.
    pub fn columns(&self) -> &[SegmentColumn] {
        &self.columns
    }

    /// Encodes the rows of a row group; takes the most of the time that writing takes. XX000 when they are none, or more
    /// than a row group holds.
    pub fn encode(&self, content: GroupContent<'_>) -> Result<EncodedGroup> {
        let rows = content.columns.first().map_or(0, |c| c.len());
        let ids: u64 = content.runs.iter().map(|r| r.len).sum();
        if rows == 0
            || rows > GROUP_ROWS_MAX
            || ids != rows as u64
            || content.columns.len() != self.columns.len()
            || content.stats.len() != self.columns.len()
        {
            return Err(broken("the rows and columns of a row group are not what they should be"));
        }
        let mut chunks = Vec::with_capacity(self.columns.len());
        for ((column, array), stats) in self.columns.iter().zip(content.columns).zip(content.stats) {
            chunks.push(self.encode_column(column, array, stats)?);
        }
        Ok(EncodedGroup { rows, runs: content.runs, chunks })
    }

    fn encode_column(
        &self,
        column: &SegmentColumn,
        array: &ArrayRef,
        stats: ChunkStats,
    ) -> Result<(ArrowColumnChunk, EncodedChunk)> {
        if column.required && array.logical_null_count() > 0 {
            return Err(broken("a column that has no NULLs has some"));
        }
        let repr = column.ty.repr();
        let_others_run();
        let encoding = choose(repr, array);
        let_others_run();
        let stored = column.to_stored(array)?;
        let encode = || -> Result<ArrowColumnChunk, ParquetError> {
            let properties = self.properties(column, encoding)?;
            let root = parquet_schema(std::slice::from_ref(column))?;
            let one = SerializedFileWriter::new(std::io::sink(), root, Arc::new(properties))?;
            let field = column.stored_field(false).with_data_type(stored.data_type().clone());
            let schema = Arc::new(Schema::new(vec![field.clone()]));
            let writers = ArrowRowGroupWriterFactory::new(&one, schema).create_column_writers(0)?;
            let mut writer =
                writers.into_iter().next().ok_or_else(|| ParquetError::General("no column".into()))?;
            for start in (0..stored.len()).step_by(self.options.page_rows) {
                let page = stored.slice(start, self.options.page_rows.min(stored.len() - start));
                for leaf in compute_leaves(&field, &page)? {
                    writer.write(&leaf)?;
                }
                let_others_run();
            }
            writer.close()
        };
        let chunk = encode().map_err(|e| failed(&e))?;
        let locations = chunk.close().offset_index.as_ref().map(|o| o.page_locations.as_slice());
        let locations = locations.unwrap_or_default();
        let mut pages = Vec::with_capacity(locations.len());
        for (i, page) in locations.iter().enumerate() {
            let first = page.first_row_index as usize;
            let end = locations.get(i + 1).map_or(array.len(), |next| next.first_row_index as usize);
            let bounds = integer_bounds(repr, &array.slice(first, end - first));
            pages.push(PageMeta {
                rows: (end - first) as u32,
                len: page.compressed_page_size as u32,
                crc: 0,
                bounds,
            });
        }
        let dictionary = matches!(repr, spg_types::Repr::Text) && encoding == ChunkEncoding::Dictionary;
        Ok((chunk, EncodedChunk { dictionary, pages, stats }))
    }

    fn properties(
        &self,
        column: &SegmentColumn,
        encoding: ChunkEncoding,
    ) -> Result<WriterProperties, ParquetError> {
        let path = ColumnPath::new(vec![column.name.clone()]);
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(self.options.zstd_level)?))
            .set_data_page_row_count_limit(self.options.page_rows)
            .set_write_batch_size(self.options.page_rows.min(1024))
            .set_data_page_size_limit(usize::MAX)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_column_dictionary_enabled(path.clone(), encoding == ChunkEncoding::Dictionary);
        if let ChunkEncoding::Values(encoding) = encoding {
            properties = properties.set_column_encoding(path.clone(), encoding);
        }
        if column.key {
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path, BLOOM_FPP);
        }
        Ok(properties.build())
    }
}

impl SegmentWriter {
    /// Begins a segment in an empty file. 0A000 for a table without columns.
    pub fn create(
        file: Arc<dyn File>,
        table: TableId,
        segment: SegmentId,
        columns: Vec<SegmentColumn>,
        options: WriteOptions,
    ) -> Result<Self> {
        if columns.is_empty() {
            return Err(Error::unsupported("a segment of a table without columns is not supported"));
        }
        let schema = parquet_schema(&columns).map_err(|e| failed(&e))?;
        let types = columns.iter().map(|c| format!("{} {}", c.name, c.ty)).collect::<Vec<_>>().join(", ");
        let properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_created_by("spg".to_string())
            .set_bloom_filter_position(BloomFilterPosition::AfterRowGroup)
            .set_key_value_metadata(Some(vec![KeyValue::new("spg.columns".to_string(), types)]))
            .build();
        let mut parquet =
            SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).map_err(|e| failed(&e))?;
        // The header's place; its content is known last.
        parquet.write_all(&[0; HEADER_LEN]).map_err(|e| broken(&e.to_string()))?;
        let mut writer = Self {
            file,
            table,
            segment,
            encoder: GroupEncoder { columns, options },
            parquet,
            at: 0,
            data: blake3::Hasher::new(),
            groups: Vec::new(),
        };
        writer.drain()?;
        Ok(writer)
    }

    /// Encodes the rows of a row group; see [`GroupEncoder::encode`].
    pub fn encode(&self, content: GroupContent<'_>) -> Result<EncodedGroup> {
        self.encoder.encode(content)
    }

    /// Encodes row groups while others are appended.
    pub fn encoder(&self) -> GroupEncoder {
        self.encoder.clone()
    }

    /// Appends a row group whose row ids are above all others'. 58030, 53100 when the file cannot be written.
    pub fn append(&mut self, group: EncodedGroup) -> Result<()> {
        let last = self.groups.last().and_then(|g| g.runs.last()).map_or(0, |r| r.first + r.len);
        if group.runs.first().is_none_or(|r| r.first < last) {
            return Err(broken("row ids do not ascend"));
        }
        let mut encoded = Vec::with_capacity(group.chunks.len());
        let mut parquet_group = self.parquet.next_row_group().map_err(|e| failed(&e))?;
        for (chunk, rest) in group.chunks {
            chunk.append_to_row_group(&mut parquet_group).map_err(|e| failed(&e))?;
            encoded.push(rest);
        }
        parquet_group.close().map_err(|e| failed(&e))?;
        self.parquet.flush().map_err(|e| broken(&e.to_string()))?;
        let metadata = self.parquet.flushed_row_groups().last().ok_or_else(|| broken("no row group"))?;
        let bytes = self.parquet.inner();
        let within = |offset: u64, len: u64| -> Result<&[u8]> {
            let start =
                offset.checked_sub(self.at).ok_or_else(|| broken("a part is not where it should be"))?;
            let range = start as usize..(start + len) as usize;
            bytes.get(range).ok_or_else(|| broken("a part is not where it should be"))
        };
        let mut chunks = Vec::with_capacity(encoded.len());
        for (chunk, rest) in metadata.columns().iter().zip(encoded) {
            let (offset, len) = chunk.byte_range();
            let content = within(offset, len)?;
            let data: u64 = rest.pages.iter().map(|p| u64::from(p.len)).sum();
            let dictionary_len =
                len.checked_sub(data).ok_or_else(|| broken("pages are larger than their column"))?;
            let (dictionary_page, mut rest_bytes) = content.split_at(dictionary_len as usize);
            let mut pages = rest.pages;
            for page in &mut pages {
                let (content, after) = rest_bytes.split_at(page.len as usize);
                page.crc = crc32c::crc32c(content);
                rest_bytes = after;
            }
            let bloom = match (chunk.bloom_filter_offset(), chunk.bloom_filter_length()) {
                (Some(offset), Some(len)) => {
                    let (offset, len) = (offset as u64, len as u32);
                    Some((offset, len, crc32c::crc32c(within(offset, len.into())?)))
                }
                _ => None,
            };
            chunks.push(ChunkMeta {
                offset,
                len,
                hash: *blake3::hash(content).as_bytes(),
                dictionary_len: dictionary_len as u32,
                dictionary_crc: crc32c::crc32c(dictionary_page),
                dictionary: rest.dictionary,
                pages,
                bloom,
                stats: rest.stats,
            });
        }
        self.data.update(bytes);
        self.groups.push(GroupMeta { rows: group.rows, runs: group.runs, chunks });
        self.drain()
    }

    /// Encodes and appends.
    pub fn write(&mut self, content: GroupContent<'_>) -> Result<()> {
        let encoded = self.encoder.encode(content)?;
        self.append(encoded)
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.at
    }

    /// Writes what is buffered.
    fn drain(&mut self) -> Result<()> {
        self.parquet.flush().map_err(|e| broken(&e.to_string()))?;
        let buffer = self.parquet.inner_mut();
        self.file.write_at(buffer, self.at)?;
        self.at += buffer.len() as u64;
        buffer.clear();
        Ok(())
    }

    /// Writes trailer, footer and header, and makes the file durable; its name is the caller's business. 58030, 53100.
    pub fn finish(mut self) -> Result<SegmentInfo> {
        let first = self.groups.first().and_then(|g| g.runs.first());
        let last = self.groups.last().and_then(|g| g.runs.last());
        let (Some(first), Some(last)) = (first, last) else {
            return Err(broken("it has no rows"));
        };
        let (first_row_id, last_row_id) = (first.first, last.first + last.len - 1);
        let trailer_at = self.at;
        let trailer = Trailer {
            data_hash: *self.data.finalize().as_bytes(),
            columns: self.encoder.columns.clone(),
            groups: std::mem::take(&mut self.groups),
        };
        let bytes = trailer.encode().map_err(|e| broken(&e.to_string()))?;
        self.parquet.write_all(&bytes).map_err(|e| broken(&e.to_string()))?;
        self.parquet.finish().map_err(|e| failed(&e))?;
        let tail_hash = *blake3::hash(self.parquet.inner()).as_bytes();
        self.drain()?;
        let info = SegmentInfo {
            table: self.table,
            segment: self.segment,
            first_row_id,
            last_row_id,
            rows: trailer.groups.iter().map(|g| g.rows as u64).sum(),
            groups: trailer.groups.len() as u32,
            columns: self.encoder.columns.len() as u32,
            fingerprint: fingerprint(&self.encoder.columns),
            file_len: self.at,
            trailer_at,
            trailer_len: bytes.len() as u32,
            tail_hash,
        };
        self.file.write_at(&info.encode(), HEADER_AT)?;
        self.file.sync_all()?;
        Ok(info)
    }
}
