//! The envelope trailer: columns, row ids, and what is known of every column chunk and page.

use std::sync::Arc;

use spg_types::ColumnStats;

use crate::codec::{Nonsense, Reader, Writer};
use crate::column::SegmentColumn;
use crate::stats::{read_stats, write_stats};

const MAGIC: &[u8; 8] = b"SPGTRL\x02\x00";
/// Level of its compression: it is small.
const ZSTD_LEVEL: i32 = 3;
/// Larger ones are refused before memory is taken for them.
const BODY_BYTES_MAX: usize = 1 << 30;

/// Rows with ids that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowIdRun {
    /// The id of the first one.
    pub first: u64,
    /// How many there are.
    pub len: u64,
}

/// A row group of a segment.
#[derive(Clone, Debug)]
pub struct GroupMeta {
    /// Rows, deleted ones included.
    pub rows: usize,
    /// Their ids, ascending.
    pub runs: Vec<RowIdRun>,
    /// One per column.
    pub chunks: Vec<ChunkMeta>,
}

/// What is known of the values of a column chunk.
#[derive(Clone, Debug)]
pub struct ChunkStats {
    /// Bounds, NULLs, distinct values.
    pub zone: ColumnStats,
    /// The store's sketch of the set of values; opaque here, empty when there is none.
    pub sketch: Arc<[u8]>,
}

/// A column of a row group.
#[derive(Clone, Debug)]
pub struct ChunkMeta {
    /// Where its bytes begin.
    pub offset: u64,
    /// How many there are.
    pub len: u64,
    /// Their BLAKE3.
    pub hash: [u8; 32],
    /// Bytes of its dictionary page, which comes first; 0 when there is none.
    pub dictionary_len: u32,
    /// The dictionary page's CRC-32C.
    pub dictionary_crc: u32,
    /// Whether it reads back as a dictionary.
    pub dictionary: bool,
    /// Its data pages.
    pub pages: Vec<PageMeta>,
    /// Its bloom filter: offset, bytes, CRC-32C.
    pub bloom: Option<(u64, u32, u32)>,
    /// What is known of its values.
    pub stats: ChunkStats,
}

/// A page of a column chunk.
#[derive(Clone, Debug)]
pub struct PageMeta {
    /// Rows in it.
    pub rows: u32,
    /// Its bytes, header included.
    pub len: u32,
    /// Their CRC-32C.
    pub crc: u32,
    /// The smallest and the largest value of a column whose representation is an integer; `None` without values.
    pub bounds: Option<(i64, i64)>,
}

/// What the trailer holds.
#[derive(Clone, Debug)]
pub(crate) struct Trailer {
    /// BLAKE3 of everything between header and trailer.
    pub(crate) data_hash: [u8; 32],
    pub(crate) columns: Vec<SegmentColumn>,
    pub(crate) groups: Vec<GroupMeta>,
}

impl Trailer {
    pub(crate) fn encode(&self) -> std::io::Result<Vec<u8>> {
        let mut w = Writer::default();
        w.raw(&self.data_hash);
        w.varint(self.columns.len() as u64);
        self.columns.iter().for_each(|c| c.encode(&mut w));
        w.varint(self.groups.len() as u64);
        for group in &self.groups {
            group.encode(&mut w);
        }
        let mut out = Writer::default();
        out.raw(MAGIC);
        out.u32(w.0.len() as u32);
        out.raw(&zstd::bulk::compress(&w.0, ZSTD_LEVEL)?);
        Ok(out.0)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Nonsense> {
        let mut r = Reader(bytes);
        if &r.array::<8>()? != MAGIC {
            return Err("its trailer is of another kind");
        }
        let len = r.u32()? as usize;
        if len > BODY_BYTES_MAX {
            return Err("its trailer is too large");
        }
        let body = zstd::bulk::decompress(r.0, len).map_err(|_| "its trailer does not decompress")?;
        let mut r = Reader(&body);
        let data_hash = r.array()?;
        let columns: Vec<SegmentColumn> =
            (0..r.len()?).map(|_| SegmentColumn::decode(&mut r)).collect::<Result<_, _>>()?;
        let groups =
            (0..r.len()?).map(|_| GroupMeta::decode(&mut r, columns.len())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { data_hash, columns, groups })
    }
}

impl GroupMeta {
    /// Bytes of its column chunks in the file.
    pub fn compressed_bytes(&self) -> u64 {
        self.chunks.iter().map(|c| c.len).sum()
    }

    fn encode(&self, w: &mut Writer) {
        w.varint(self.rows as u64);
        w.varint(self.runs.len() as u64);
        let mut end = 0;
        for run in &self.runs {
            w.varint(run.first - end);
            w.varint(run.len);
            end = run.first + run.len;
        }
        self.chunks.iter().for_each(|c| c.encode(w));
    }

    fn decode(r: &mut Reader<'_>, columns: usize) -> Result<Self, Nonsense> {
        let rows = usize::try_from(r.varint()?).map_err(|_| "a row group is too large")?;
        let (mut end, mut total) = (0_u64, 0_u64);
        let mut runs = Vec::new();
        for _ in 0..r.len()? {
            let first = end.checked_add(r.varint()?).ok_or("a row id is too large")?;
            let len = r.varint()?;
            end = first.checked_add(len).ok_or("a row id is too large")?;
            total = total.saturating_add(len);
            runs.push(RowIdRun { first, len });
        }
        if total != rows as u64 {
            return Err("a row group has other row ids than rows");
        }
        let chunks = (0..columns).map(|_| ChunkMeta::decode(r)).collect::<Result<Vec<_>, _>>()?;
        if chunks.iter().any(|c| c.pages.iter().map(|p| p.rows as usize).sum::<usize>() != rows) {
            return Err("a column has other rows than its row group");
        }
        Ok(Self { rows, runs, chunks })
    }
}

impl ChunkMeta {
    fn encode(&self, w: &mut Writer) {
        w.varint(self.offset);
        w.varint(self.len);
        w.raw(&self.hash);
        w.varint(self.dictionary_len.into());
        w.u32(self.dictionary_crc);
        w.u8(u8::from(self.dictionary));
        w.varint(self.pages.len() as u64);
        for page in &self.pages {
            w.varint(page.rows.into());
            w.varint(page.len.into());
            w.u32(page.crc);
            w.u8(u8::from(page.bounds.is_some()));
            if let Some((min, max)) = page.bounds {
                w.signed(min);
                w.signed(max);
            }
        }
        w.u8(u8::from(self.bloom.is_some()));
        if let Some((offset, len, crc)) = self.bloom {
            w.varint(offset);
            w.varint(len.into());
            w.u32(crc);
        }
        write_stats(w, &self.stats.zone);
        w.bytes(&self.stats.sketch);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Nonsense> {
        let length = |v: u64| u32::try_from(v).map_err(|_| "a length is too large");
        let (offset, len, hash) = (r.varint()?, r.varint()?, r.array()?);
        let (dictionary_len, dictionary_crc) = (length(r.varint()?)?, r.u32()?);
        let dictionary = r.u8()? != 0;
        let mut pages = Vec::new();
        let mut end = u64::from(dictionary_len);
        for _ in 0..r.len()? {
            let (rows, len) = (length(r.varint()?)?, length(r.varint()?)?);
            let crc = r.u32()?;
            let bounds = if r.u8()? != 0 { Some((r.signed()?, r.signed()?)) } else { None };
            end += u64::from(len);
            pages.push(PageMeta { rows, len, crc, bounds });
        }
        if end != len {
            return Err("the pages of a column are not its bytes");
        }
        let bloom = match r.u8()? {
            0 => None,
            _ => Some((r.varint()?, length(r.varint()?)?, r.u32()?)),
        };
        let stats = ChunkStats { zone: read_stats(r)?, sketch: r.bytes()?.into() };
        Ok(Self { offset, len, hash, dictionary_len, dictionary_crc, dictionary, pages, bloom, stats })
    }
}
