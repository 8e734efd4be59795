//! The store: snapshots, the catalog, the hot tier, deletes, indexes, the writers, recovery.
//!
//! A write: [`Store::begin_shared`] takes the write lock beside others, [`Store::begin`] alone; both draft a snapshot on top of
//! the newest one. [`WriteTxn::append`] and its siblings check, log and apply operations; [`WriteTxn::commit`] queues the commit
//! for the log, moves `head` on and frees the lock; after the sync the log thread publishes the snapshot and wakes
//! [`PendingCommit::wait`]. A read: [`Store::published`], and everything hangs off the [`DbSnapshot`].
//!
//! What must hold: a snapshot never changes once it is published; `head` and `published` move in commit order; operations
//! change a snapshot in one place (`apply`), at commit and at recovery alike; row ids, table ids and catalog
//! versions are never given twice.

mod apply;
mod backup;
mod batch_codec;
mod bulk;
mod checkpoint;
mod codec;
mod cold;
mod cold_tier;
mod cold_write;
mod compact;
mod constraint;
mod container;
mod db_file;
mod def_codec;
mod facts;
mod files;
mod freeze;
mod hot_file;
mod index;
mod load;
mod lock;
mod manifest;
mod op;
mod parallel;
mod pending;
mod prepare;
mod recover;
mod role;
mod row_codec;
mod row_group;
mod row_lock;
mod seal;
mod shared;
mod sketch;
mod snapshot;
mod store;
mod table;
mod tier;
mod txn;
mod vacuum;
mod zone;

pub use backup::Backup;
pub use bulk::Placement;
pub use cold_tier::TierOptions;
pub use facts::{SegmentFacts, TierFacts, WalFacts};
pub use index::{IndexRange, IndexSnapshot, ProbeMatches, RowIds};
pub use lock::{LockWait, Turn, WriteMode};
pub use pending::PendingCommit;
pub use prepare::{PreparedBatch, prepare_batch, prepare_batch_for};
pub use recover::Replayed;
pub use role::Role;
pub use row_group::{ROW_GROUP_ROWS, RowGroup};
pub use shared::Retry;
pub use snapshot::DbSnapshot;
pub use store::{Store, StoreOptions};
pub use table::TableSnapshot;
pub use txn::{Savepoint, WriteTxn};
