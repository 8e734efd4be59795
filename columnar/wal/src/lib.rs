//! The write-ahead log: frames on disk, group commit, recovery. It knows transactions as sequences of opaque
//! operations; what an operation means is the store's business.
//!
//! ```text
//! file      = header-frame frame* zero*
//! frame     = u32 LE (len | 0xC000_0000), u32 LE CRC-32C of what follows, u8 kind, payload   (len: kind + payload)
//! header    = "SPGWAL" u16 version, database id [16], u64 first commit number
//! mark      = u64 own offset, u64 durable: everything before `durable` was synced when this was written
//! chunk     = u64 transaction, op*
//! undo      = u64 transaction, u64 keep: of the operations so far only the first `keep` count
//! commit    = u64 transaction, u64 commit number, i64 microseconds since 1970-01-01 UTC, u64 ops in chunks, op*
//! op        = u32 len, bytes
//! ```
//!
//! What must hold: a commit is acknowledged only after a sync that covers its commit frame. A transaction's frames follow
//! one another (who sends chunks ahead writes alone); chunks without their commit frame mean nothing. A frame that does not check is a torn
//! tail when no later mark says it was once durable (it is kept aside and cut off), otherwise it is damage,
//! and nothing is opened or changed.

mod frame;
mod log;
mod ops;
mod reader;
mod recover;
mod tee;
mod thread;

pub use frame::{FORMAT_VERSION, MAX_OP_BYTES};
pub use log::{Completion, Log, LogStatus};
pub use ops::{OpBody, Ops};
pub use reader::{TornTail, Transaction};
pub use recover::Recovery;
pub use tee::TeeOptions;
