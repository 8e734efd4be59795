//! The cold file: row groups of one table as Parquet column chunks inside SPG's own envelope of checksums.
//!
//! A segment is a Parquet file that any reader opens, and carries at offset 4 a header, and before the Parquet footer a
//! trailer, that say more than Parquet can: row ids, SPG types, statistics, a BLAKE3 per column chunk and a CRC-32C
//! per page. [`SegmentWriter`] streams row groups into a file; [`SegmentReader`] verifies what it reads
//! before it decodes it; [`ChunkCache`] keeps decoded columns within a budget. `docs/formats.md` has the grammar.
//!
//! What must hold: every byte of a segment is covered by a checksum, and no byte is decoded that has not been checked; a column
//! reads back exactly, whatever Parquet has for its type; a segment never changes once it is written.

mod cache;
mod codec;
mod column;
mod damage;
mod decode;
mod encoding;
mod footer;
mod header;
mod reader;
mod stats;
mod trailer;
mod writer;

pub use cache::{ChunkCache, ChunkKey};
pub use column::SegmentColumn;
pub use header::{SegmentId, SegmentInfo};
pub use reader::{Part, SegmentReader};
pub use trailer::{ChunkMeta, ChunkStats, GroupMeta, PageMeta, RowIdRun};
pub use writer::{EncodedGroup, GroupContent, GroupEncoder, SegmentWriter, WriteOptions};

/// Rows of a row group, at most.
pub const GROUP_ROWS_MAX: usize = 131_072;

/// Rows of a block, but for the last of a row group: what a scan decodes, and the cache keeps, at once.
pub const BLOCK_ROWS: usize = 32_768;
