//! What can be told of the storage: of a table's tiers, of its segments, of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use spg_types::Result;
use spg_wal::LogStatus;

use crate::cold::Segment;
use crate::snapshot::DbSnapshot;
use crate::store::Store;
use crate::table::TableSnapshot;

/// A table's tiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierFacts {
    /// Live rows in memory.
    pub hot_rows: u64,
    /// Bytes of memory that columns take.
    pub hot_bytes: u64,
    /// Live rows in segments.
    pub cold_rows: u64,
    /// Bytes of the segments.
    pub cold_bytes: u64,
    /// Rows of either tier that are deleted and still take space.
    pub dead_rows: u64,
    /// Segments.
    pub segments: u64,
}

/// A segment of a table.
#[derive(Clone, Debug)]
pub struct SegmentFacts {
    /// Its id.
    pub id: u64,
    /// Its file.
    pub file: String,
    /// Rows, dead ones included.
    pub rows: u64,
    /// Rows that are not deleted.
    pub live_rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of its encoded columns before they were compressed.
    pub uncompressed_bytes: u64,
    /// The smallest row id.
    pub first_row_id: u64,
    /// The largest row id.
    pub last_row_id: u64,
    /// Row groups, those without live rows included.
    pub row_groups: u64,
}

/// The log and the checkpoint that it goes on from.
#[derive(Clone, Debug)]
pub struct WalFacts {
    /// The log.
    pub log: LogStatus,
    /// Number and commit of the latest checkpoint.
    pub checkpoint: Option<(u64, u64)>,
    /// A log of this many bytes leads to the next one.
    pub checkpoint_wal_bytes: u64,
    /// Whether commits are acknowledged only when they are durable.
    pub synchronous_commit: bool,
}

impl TableSnapshot {
    /// Its segments by id, each with the rows in it that are live.
    fn live_segments(&self) -> BTreeMap<u64, (&Arc<Segment>, u64)> {
        let mut found = BTreeMap::new();
        for group in self.row_groups() {
            if let Some(cold) = group.segment() {
                let (_, live) = found.entry(cold.segment.id()).or_insert((&cold.segment, 0));
                *live += group.live_rows() as u64;
            }
        }
        found
    }

    /// How its rows are spread over the tiers.
    pub fn tiers(&self) -> TierFacts {
        let mut facts = TierFacts::default();
        for group in self.row_groups() {
            facts.hot_bytes += group.bytes() as u64;
            if !group.is_cold() {
                facts.hot_rows += group.live_rows() as u64;
                facts.dead_rows += (group.len() - group.live_rows()) as u64;
            }
        }
        for (segment, live) in self.live_segments().values() {
            let info = segment.reader.info();
            facts.cold_rows += live;
            facts.cold_bytes += info.file_len;
            facts.dead_rows += info.rows - live;
            facts.segments += 1;
        }
        facts
    }

    /// Its segments, by id. XX001, 58030: what compression saves stands in their footers.
    pub fn segments(&self) -> Result<Vec<SegmentFacts>> {
        let facts = |(id, (segment, live)): (u64, (&Arc<Segment>, u64))| {
            let info = segment.reader.info();
            Ok(SegmentFacts {
                id,
                file: segment.reader.path().display().to_string(),
                rows: info.rows,
                live_rows: live,
                bytes: info.file_len,
                uncompressed_bytes: segment.reader.uncompressed_bytes()?,
                first_row_id: info.first_row_id,
                last_row_id: info.last_row_id,
                row_groups: segment.reader.groups().len() as u64,
            })
        };
        self.live_segments().into_iter().map(facts).collect()
    }
}

impl DbSnapshot {
    /// Every table, by schema and name.
    pub fn tables_by_name(&self) -> impl Iterator<Item = &Arc<TableSnapshot>> {
        let ids = self.catalog.schemas.values().flat_map(|tables| tables.values());
        ids.filter_map(|id| self.table(*id))
    }
}

impl Store {
    /// What can be told of the log; `None` for a database without one. 58030 when its folder cannot be read.
    pub fn wal(&self) -> Result<Option<WalFacts>> {
        let (Some(log), Some(checkpoints)) = (self.log(), self.checkpoints()) else { return Ok(None) };
        let checkpoint = *checkpoints.latest.lock();
        Ok(Some(WalFacts {
            log: log.status()?,
            checkpoint: checkpoint.map(|last| (last.number, last.commit_no)),
            checkpoint_wal_bytes: checkpoints.wal_bytes,
            synchronous_commit: self.synchronous_commit(),
        }))
    }
}
