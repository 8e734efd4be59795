//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// SPG: a columnar SQL server that PostgreSQL clients connect to.
#[derive(Parser, Debug)]
#[command(
    name = "spg-server",
    version,
    after_help = "\
Environment:
  SPG_PG_ADDR             address of the PostgreSQL protocol, for example 127.0.0.1:5432; off when unset
  SPG_ADMIN_USER          the administrator's name [default: bench]
  SPG_ADMIN_PASSWORD      the administrator's password; without it the first start sets \"bench\",
                          accepted from loopback addresses only until it is changed
  SPG_MAX_CONNECTIONS     sessions at a time [default: 100]
  SPG_WORKERS             threads that run queries [default: one per core]
  SPG_QUERY_TIMEOUT_MS    longest run of a statement, in milliseconds; 0 is no limit [default: 0]
  SPG_HOT_TIER_BYTES      data kept in memory before it moves to disk [default: 4294967296]
  SPG_CACHE_BYTES         decoded columns of data on disk kept in memory [default: 1073741824]
  SPG_COLD_ZSTD_LEVEL     how hard data on disk is compressed, 1 to 22 [default: 3]
  SPG_COLD_COMPACT_SEGMENT_THRESHOLD
                          files of a table on disk, past which some are merged [default: 64]
  SPG_SYNCHRONOUS_COMMIT  off: commits are acknowledged up to 10 ms before they are on disk [default: on]
  SPG_CHECKPOINT_WAL_BYTES  size of the write-ahead log that leads to a checkpoint [default: 1073741824]
  SPG_WAL_TEE             a second copy of the write-ahead log, which follows it; none when unset"
)]
pub(crate) struct Args {
    /// Address of the native protocol
    #[arg(value_name = "WIRE-ADDR", default_value = "0.0.0.0:5544")]
    pub(crate) wire_addr: String,
    /// The database; created when it does not exist
    #[arg(value_name = "DB-PATH", default_value = "./spg.db")]
    pub(crate) db_path: PathBuf,
    /// The audit log; "-" is none
    #[arg(value_name = "AUDIT-PATH", default_value = "-")]
    pub(crate) audit_path: PathBuf,
    /// The write-ahead log
    #[arg(value_name = "WAL-PATH", default_value = "./wal.log")]
    pub(crate) wal_path: PathBuf,
    /// Rebuild the catalog from this write-ahead log, print what was found, and exit
    #[arg(long, value_name = "WAL")]
    pub(crate) replay_only: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_positions() {
        let args = Args::parse_from(["spg-server"]);
        assert_eq!(args.wire_addr, "0.0.0.0:5544");
        assert_eq!(args.wal_path, PathBuf::from("./wal.log"));
        let args = Args::parse_from(["spg-server", "127.0.0.1:1", "a", "b", "c"]);
        assert_eq!((args.db_path, args.audit_path, args.wal_path), ("a".into(), "b".into(), "c".into()));
        assert!(Args::try_parse_from(["spg-server", "1", "2", "3", "4", "5"]).is_err());
        let args = Args::parse_from(["spg-server", "--replay-only", "x.log"]);
        assert_eq!(args.replay_only, Some("x.log".into()));
    }
}
