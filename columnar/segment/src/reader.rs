//! Reads a segment: verified at open, each column and page verified before it is decoded.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::ArrayRef;
use bytes::Bytes;
use spg_types::Result;
use spg_vfs::File;

use crate::BLOCK_ROWS;
use crate::cache::{ChunkCache, ChunkKey, Rows};
use crate::column::{SegmentColumn, fingerprint};
use crate::damage::{crc_mismatch, damaged, hash_mismatch};
use crate::decode::ColumnDecoder;
use crate::header::{DATA_AT, SegmentInfo};
use crate::trailer::{ChunkMeta, GroupMeta, Trailer};

static NEXT_UID: AtomicU64 = AtomicU64::new(1);
/// Bytes read at once when a whole file is verified.
const VERIFY_BYTES: usize = 1 << 20;

/// Some rows of a column.
#[derive(Clone, Debug)]
pub struct Part {
    /// Their values.
    pub array: ArrayRef,
    /// The offset in the row group of the first one.
    pub first: usize,
}

/// An open segment.
pub struct SegmentReader {
    uid: u64,
    file: Arc<dyn File>,
    info: SegmentInfo,
    columns: Vec<SegmentColumn>,
    decoders: Vec<ColumnDecoder>,
    groups: Vec<GroupMeta>,
    data_hash: [u8; 32],
    /// Per row group and column: whether the whole chunk has been found to be what was written.
    verified: Vec<AtomicBool>,
}

impl std::fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "segment {} of table {}", self.info.segment.0, self.info.table.0)
    }
}

/// Bytes of a file; XX001 when it is shorter.
fn read_exactly(file: &dyn File, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let n = file.read_at(&mut bytes, offset)?;
    if n < len {
        let what = format!("it ends at {} where {} bytes belong", offset + n as u64, offset + len as u64);
        return Err(damaged(file.path(), &what));
    }
    Ok(bytes)
}

/// Trailer and footer, verified.
fn read_tail(file: &dyn File, info: &SegmentInfo) -> Result<Vec<u8>> {
    let path = file.path();
    let len = info.file_len.checked_sub(info.trailer_at).and_then(|n| usize::try_from(n).ok());
    let len = len.filter(|n| *n >= info.trailer_len as usize && info.trailer_at >= DATA_AT);
    let len = len.ok_or_else(|| damaged(path, "its trailer lies outside of it"))?;
    let tail = read_exactly(file, info.trailer_at, len)?;
    let found = blake3::hash(&tail);
    if found != info.tail_hash {
        return Err(hash_mismatch(path, "trailer and footer", info.trailer_at, &info.tail_hash, &found));
    }
    Ok(tail)
}

impl SegmentReader {
    /// Opens a file: header, trailer and footer are verified. 58000 when it is no segment, XX001 when it is damaged, 58030.
    pub fn open(file: Arc<dyn File>) -> Result<Self> {
        let path = file.path();
        let mut start = vec![0; DATA_AT as usize];
        let n = file.read_at(&mut start, 0)?;
        let info = SegmentInfo::decode(path, &start[..n])?;
        let len = file.len()?;
        if len != info.file_len {
            return Err(damaged(path, &format!("it has {len} bytes where {} belong", info.file_len)));
        }
        let tail = read_tail(&*file, &info)?;
        let trailer =
            Trailer::decode(&tail[..info.trailer_len as usize]).map_err(|what| damaged(path, what))?;
        let Trailer { data_hash, columns, groups } = trailer;
        let rows: u64 = groups.iter().map(|g| g.rows as u64).sum();
        if fingerprint(&columns) != info.fingerprint
            || rows != info.rows
            || groups.len() != info.groups as usize
        {
            return Err(damaged(path, "its header and its trailer disagree"));
        }
        let inside = |c: &ChunkMeta| {
            c.offset >= DATA_AT && c.offset.checked_add(c.len).is_some_and(|end| end <= info.trailer_at)
        };
        if !groups.iter().flat_map(|g| &g.chunks).all(inside) {
            return Err(damaged(path, "a column lies outside of it"));
        }
        let decoders = columns.iter().map(ColumnDecoder::new).collect::<Result<Vec<_>>>()?;
        let verified = (0..groups.len() * columns.len()).map(|_| AtomicBool::new(false)).collect();
        let uid = NEXT_UID.fetch_add(1, Ordering::Relaxed);
        Ok(Self { uid, file, info, columns, decoders, groups, data_hash, verified })
    }

    /// A number that no other open segment has or will have while this process lives.
    pub fn uid(&self) -> u64 {
        self.uid
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    pub(crate) fn read_tail(&self) -> Result<Vec<u8>> {
        read_tail(&*self.file, &self.info)
    }

    /// What its header says.
    pub fn info(&self) -> &SegmentInfo {
        &self.info
    }

    /// Its columns.
    pub fn columns(&self) -> &[SegmentColumn] {
        &self.columns
    }

    /// Its row groups.
    pub fn groups(&self) -> &[GroupMeta] {
        &self.groups
    }

    fn chunk(&self, group: usize, column: usize) -> &ChunkMeta {
        &self.groups[group].chunks[column]
    }

    fn part_name(&self, what: &str, group: usize, column: usize) -> String {
        format!("{what} of column \"{}\" in row group {group}", self.columns[column].name)
    }

    /// All of a column of a row group: a dictionary if it was written as one, otherwise values. Its BLAKE3 is verified when it
    /// is first read, its pages' checksums each time. 58030, XX001.
    pub fn read_column(&self, group: usize, column: usize) -> Result<ArrayRef> {
        let chunk = self.chunk(group, column);
        let bytes = read_exactly(&*self.file, chunk.offset, chunk.len as usize)?;
        let verified = &self.verified[group * self.columns.len() + column];
        if verified.load(Ordering::Relaxed) {
            self.check_pages(group, column, 0..chunk.pages.len(), &bytes)?;
        } else {
            self.check_chunk(group, column, &bytes)?;
            verified.store(true, Ordering::Relaxed);
        }
        let rows = self.groups[group].rows;
        self.decode(group, column, bytes, rows)
    }

    fn decode(&self, group: usize, column: usize, bytes: Vec<u8>, rows: usize) -> Result<ArrayRef> {
        let chunk = self.chunk(group, column);
        self.decoders[column]
            .decode(Bytes::from(bytes), chunk.dictionary_len as usize, rows, chunk.dictionary)
            .map_err(|e| {
                damaged(self.file.path(), &format!("{}: {e}", self.part_name("data", group, column)))
            })
    }

    fn check_chunk(&self, group: usize, column: usize, bytes: &[u8]) -> Result<()> {
        let chunk = self.chunk(group, column);
        let found = blake3::hash(bytes);
        if found == chunk.hash {
            return Ok(());
        }
        let name = self.part_name("data", group, column);
        Err(hash_mismatch(self.file.path(), &name, chunk.offset, &chunk.hash, &found))
    }

    /// Checks a dictionary page followed by some data pages.
    fn check_pages(&self, group: usize, column: usize, pages: Range<usize>, bytes: &[u8]) -> Result<()> {
        let chunk = self.chunk(group, column);
        let check = |bytes: &[u8], what: &str, offset: u64, expected: u32| {
            let found = crc32c::crc32c(bytes);
            if found == expected {
                return Ok(());
            }
            let name = self.part_name(what, group, column);
            Err(crc_mismatch(self.file.path(), &name, offset, expected, found))
        };
        let (dictionary, mut rest) = bytes.split_at(chunk.dictionary_len as usize);
        check(dictionary, "dictionary", chunk.offset, chunk.dictionary_crc)?;
        let mut offset = chunk.page_offset(pages.start);
        for page in &chunk.pages[pages] {
            let (content, after) = rest.split_at(page.len as usize);
            check(content, "page", offset, page.crc)?;
            offset += u64::from(page.len);
            rest = after;
        }
        Ok(())
    }

    /// The pages that hold the rows at some offsets of a row group.
    pub fn pages_of(&self, group: usize, column: usize, rows: Range<usize>) -> Range<usize> {
        let mut first_row = 0;
        let (mut start, mut end) = (0, 0);
        for (i, page) in self.chunk(group, column).pages.iter().enumerate() {
            if first_row <= rows.start {
                start = i;
            }
            if first_row < rows.end {
                end = i + 1;
            }
            first_row += page.rows as usize;
        }
        start..end
    }

    /// Some pages of a column of a row group; nothing else is read or decoded but its dictionary. 58030, XX001.
    pub fn read_pages(&self, group: usize, column: usize, pages: Range<usize>) -> Result<Part> {
        let chunk = self.chunk(group, column);
        let rows_of = |pages: &[crate::PageMeta]| pages.iter().map(|p| p.rows as usize).sum::<usize>();
        let (first, rows) = (rows_of(&chunk.pages[..pages.start]), rows_of(&chunk.pages[pages.clone()]));
        let dictionary = chunk.dictionary_len as usize;
        let len: usize = chunk.pages[pages.clone()].iter().map(|p| p.len as usize).sum();
        let bytes = if pages.start == 0 || dictionary == 0 {
            read_exactly(&*self.file, chunk.page_offset(pages.start) - dictionary as u64, dictionary + len)?
        } else {
            let mut bytes = read_exactly(&*self.file, chunk.offset, dictionary)?;
            bytes.append(&mut read_exactly(&*self.file, chunk.page_offset(pages.start), len)?);
            bytes
        };
        self.check_pages(group, column, pages, &bytes)?;
        Ok(Part { array: self.decode(group, column, bytes, rows)?, first })
    }

    /// Some rows of a column of a row group, and of the others only those that lie in the same pages. 58030, XX001.
    pub fn read_rows(&self, group: usize, column: usize, rows: Range<usize>) -> Result<ArrayRef> {
        let part = self.read_pages(group, column, self.pages_of(group, column, rows.clone()))?;
        Ok(part.array.slice(rows.start - part.first, rows.len()))
    }

    /// The rows of a block.
    pub fn block_rows(&self, group: usize, block: usize) -> Range<usize> {
        let start = block * BLOCK_ROWS;
        start..(start + BLOCK_ROWS).min(self.groups[group].rows)
    }

    /// A block of a column of a row group, through a cache. 58030, XX001.
    pub fn block(&self, cache: &ChunkCache, group: usize, column: usize, block: usize) -> Result<ArrayRef> {
        let load = || self.read_rows(group, column, self.block_rows(group, block));
        cache.get(self.key(group, column, Rows::Block(block as u32)), load)
    }

    /// The block if the cache has it.
    pub fn cached_block(
        &self,
        cache: &ChunkCache,
        group: usize,
        column: usize,
        block: usize,
    ) -> Option<ArrayRef> {
        cache.peek(self.key(group, column, Rows::Block(block as u32)))
    }

    /// The page that holds the row at `offset`, through a cache; its block if the cache has that. 58030, XX001.
    pub fn row(&self, cache: &ChunkCache, group: usize, column: usize, offset: usize) -> Result<Part> {
        let block = offset / BLOCK_ROWS;
        if let Some(array) = self.cached_block(cache, group, column, block) {
            return Ok(Part { array, first: block * BLOCK_ROWS });
        }
        let page = self.pages_of(group, column, offset..offset + 1).start;
        let first = self.chunk(group, column).pages[..page].iter().map(|p| p.rows as usize).sum();
        let load = || Ok(self.read_pages(group, column, page..page + 1)?.array);
        let array = cache.get(self.key(group, column, Rows::Page(page as u32)), load)?;
        Ok(Part { array, first })
    }

    /// The smallest and the largest value of a column whose representation is an integer, over the pages that hold some rows
    /// of a row group; `None` when that is not known.
    pub fn bounds(&self, group: usize, column: usize, rows: Range<usize>) -> Option<(i64, i64)> {
        let pages = &self.chunk(group, column).pages[self.pages_of(group, column, rows)];
        pages.iter().filter_map(|p| p.bounds).reduce(|(a, b), (c, d)| (a.min(c), b.max(d)))
    }

    fn key(&self, group: usize, column: usize, rows: Rows) -> ChunkKey {
        ChunkKey { segment: self.uid, group: group as u32, column: column as u32, rows }
    }

    /// Reads and verifies every byte of the file. XX001 at the first difference, 58030.
    pub fn verify(&self) -> Result<()> {
        Self::open(self.file.clone())?;
        let path = self.file.path();
        for (g, group) in self.groups.iter().enumerate() {
            for (c, chunk) in group.chunks.iter().enumerate() {
                let bytes = read_exactly(&*self.file, chunk.offset, chunk.len as usize)?;
                self.check_chunk(g, c, &bytes)?;
                self.check_pages(g, c, 0..chunk.pages.len(), &bytes)?;
                if let Some((offset, len, expected)) = chunk.bloom {
                    let found = crc32c::crc32c(&read_exactly(&*self.file, offset, len as usize)?);
                    if found != expected {
                        let name = self.part_name("bloom filter", g, c);
                        return Err(crc_mismatch(path, &name, offset, expected, found));
                    }
                }
            }
        }
        let mut hasher = blake3::Hasher::new();
        let mut at = DATA_AT;
        while at < self.info.trailer_at {
            let n = (self.info.trailer_at - at).min(VERIFY_BYTES as u64) as usize;
            hasher.update(&read_exactly(&*self.file, at, n)?);
            at += n as u64;
        }
        let found = hasher.finalize();
        if found != self.data_hash {
            return Err(hash_mismatch(path, "data", DATA_AT, &self.data_hash, &found));
        }
        Ok(())
    }
}

impl ChunkMeta {
    /// Where a page begins in the file.
    fn page_offset(&self, page: usize) -> u64 {
        let before: u64 = self.pages[..page].iter().map(|p| u64::from(p.len)).sum();
        self.offset + u64::from(self.dictionary_len) + before
    }
}
