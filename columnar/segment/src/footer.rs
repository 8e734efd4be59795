//! What only the Parquet footer says: read when it is asked for, not at each open.

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaDataReader;
use spg_types::Result;

use crate::damage::damaged;
use crate::reader::SegmentReader;

/// The footer's length and Parquet's magic end the file.
const END_BYTES: usize = 8;

impl SegmentReader {
    /// Bytes of the encoded column chunks before zstd. XX001, 58030.
    pub fn uncompressed_bytes(&self) -> Result<u64> {
        let tail = self.read_tail()?;
        let nonsense = || damaged(self.path(), "its Parquet footer cannot be read");
        let footer = tail.get(self.info().trailer_len as usize..).ok_or_else(nonsense)?;
        let (body, end) =
            footer.split_at_checked(footer.len().saturating_sub(END_BYTES)).ok_or_else(nonsense)?;
        let len = end.first_chunk::<4>().map(|len| u32::from_le_bytes(*len) as usize).ok_or_else(nonsense)?;
        let body = body.len().checked_sub(len).and_then(|from| body.get(from..)).ok_or_else(nonsense)?;
        let meta =
            ParquetMetaDataReader::decode_metadata(&Bytes::copy_from_slice(body)).map_err(|_| nonsense())?;
        let bytes = meta.row_groups().iter().flat_map(|g| g.columns()).map(|c| c.uncompressed_size());
        Ok(bytes.map(|n| u64::try_from(n).unwrap_or(0)).sum())
    }
}
