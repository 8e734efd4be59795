//! What opening a database takes.

use std::path::PathBuf;

/// SPG's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How to open a database. The default is what the server uses when nothing is configured.
#[derive(Clone)]
pub struct Config {
    /// The database file; its folder of the same name with `.spg` lies beside it.
    pub db_path: PathBuf,
    /// The write-ahead log.
    pub wal_path: PathBuf,
    /// A second copy of the log, which follows it; its failure never stops the first.
    pub wal_tee: Option<PathBuf>,
    /// Worker threads; the number of cores when `None`.
    pub workers: Option<usize>,
    /// Memory that running queries may take together, bytes; a quarter of the machine's when `None`.
    pub query_memory_bytes: Option<usize>,
    /// Bytes that rows may take in memory before the oldest move to disk.
    pub hot_tier_bytes: u64,
    /// Bytes that decoded columns of the cold tier may take in memory.
    pub cache_bytes: u64,
    /// zstd level of the cold tier's files, 1 to 22.
    pub zstd_level: i32,
    /// A table with more segments than this, full ones not counted, has some of them merged.
    pub compact_segments: usize,
    /// Default of `statement_timeout`, milliseconds; 0 is never.
    pub query_timeout_ms: u64,
    /// The admin's name.
    pub admin_user: String,
    /// The admin's password; when `None`, the one it has, or `bench` on the first start.
    pub admin_password: Option<String>,
    /// Whether commits are acknowledged only once they are on disk.
    pub synchronous_commit: bool,
    /// A log of this many bytes leads to a checkpoint.
    pub checkpoint_wal_bytes: u64,
    /// Defaults of settings, by name.
    pub settings: Vec<(String, String)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            db_path: "./spg.db".into(),
            wal_path: "./wal.log".into(),
            wal_tee: None,
            workers: None,
            query_memory_bytes: None,
            hot_tier_bytes: 4 << 30,
            cache_bytes: 1 << 30,
            zstd_level: 3,
            compact_segments: 64,
            query_timeout_ms: 0,
            admin_user: "bench".into(),
            admin_password: None,
            synchronous_commit: true,
            checkpoint_wal_bytes: 1 << 30,
            settings: vec![],
        }
    }
}

/// Leaves the password out.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("db_path", &self.db_path)
            .field("wal_path", &self.wal_path)
            .field("workers", &self.workers)
            .field("query_memory_bytes", &self.query_memory_bytes)
            .field("hot_tier_bytes", &self.hot_tier_bytes)
            .field("cache_bytes", &self.cache_bytes)
            .field("zstd_level", &self.zstd_level)
            .field("compact_segments", &self.compact_segments)
            .field("query_timeout_ms", &self.query_timeout_ms)
            .field("admin_user", &self.admin_user)
            .field("synchronous_commit", &self.synchronous_commit)
            .finish_non_exhaustive()
    }
}
