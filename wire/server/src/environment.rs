//! The environment variables: read once, checked before anything starts.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// Every variable that is read.
const NAMES: [&str; 13] = [
    "SPG_PG_ADDR",
    "SPG_ADMIN_USER",
    "SPG_ADMIN_PASSWORD",
    "SPG_MAX_CONNECTIONS",
    "SPG_WORKERS",
    "SPG_QUERY_TIMEOUT_MS",
    "SPG_HOT_TIER_BYTES",
    "SPG_CACHE_BYTES",
    "SPG_COLD_ZSTD_LEVEL",
    "SPG_COLD_COMPACT_SEGMENT_THRESHOLD",
    "SPG_SYNCHRONOUS_COMMIT",
    "SPG_CHECKPOINT_WAL_BYTES",
    "SPG_WAL_TEE",
];

/// PostgreSQL's limit on names, bytes.
const NAME_BYTES_MAX: usize = 63;

/// What the environment says.
pub(crate) struct Environment {
    pub(crate) pg_addr: Option<SocketAddr>,
    pub(crate) admin_user: String,
    pub(crate) admin_password: Option<String>,
    pub(crate) max_connections: usize,
    pub(crate) workers: Option<usize>,
    pub(crate) query_timeout_ms: u64,
    pub(crate) hot_tier_bytes: u64,
    pub(crate) cache_bytes: u64,
    pub(crate) cold_zstd_level: i32,
    pub(crate) cold_compact_segment_threshold: usize,
    pub(crate) synchronous_commit: bool,
    pub(crate) checkpoint_wal_bytes: u64,
    pub(crate) wal_tee: Option<PathBuf>,
}

impl Environment {
    /// Reads the variables through `get`. The error names the variable and what it takes; it never shows a password.
    pub(crate) fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let read = Reader { get };
        Ok(Self {
            pg_addr: read.value("SPG_PG_ADDR", "<host>:<port>, for example 127.0.0.1:5432", address)?,
            admin_user: read
                .value("SPG_ADMIN_USER", "a name of 1 to 63 bytes", |v| {
                    (!v.is_empty() && v.len() <= NAME_BYTES_MAX && !v.contains('\0')).then(|| v.to_owned())
                })?
                .unwrap_or_else(|| "bench".to_owned()),
            admin_password: read.secret(
                "SPG_ADMIN_PASSWORD",
                "a password of at least one character",
                |v| !v.is_empty(),
            )?,
            max_connections: read
                .value("SPG_MAX_CONNECTIONS", "a whole number from 1 to 10000", |v| number(v, 1, 10_000))?
                .map_or(100, |n| n as usize),
            workers: read
                .value("SPG_WORKERS", "a whole number from 1 to 1024", |v| number(v, 1, 1024))?
                .map(|n| n as usize),
            query_timeout_ms: read
                .value(
                    "SPG_QUERY_TIMEOUT_MS",
                    "a whole number of milliseconds from 0 (no limit) to 2147483647",
                    |v| number(v, 0, i32::MAX as u64),
                )?
                .unwrap_or(0),
            hot_tier_bytes: read
                .value("SPG_HOT_TIER_BYTES", "a whole number of bytes, at least 1048576", |v| {
                    number(v, 1 << 20, u64::MAX)
                })?
                .unwrap_or(4 << 30),
            cache_bytes: read
                .value("SPG_CACHE_BYTES", "a whole number of bytes; 0 keeps nothing", |v| {
                    number(v, 0, u64::MAX)
                })?
                .unwrap_or(1 << 30),
            cold_zstd_level: read
                .value("SPG_COLD_ZSTD_LEVEL", "a whole number from 1 to 22", |v| number(v, 1, 22))?
                .map_or(3, |n| n as i32),
            cold_compact_segment_threshold: read
                .value("SPG_COLD_COMPACT_SEGMENT_THRESHOLD", "a whole number from 8 to 100000", |v| {
                    number(v, 8, 100_000)
                })?
                .map_or(64, |n| n as usize),
            synchronous_commit: read
                .value("SPG_SYNCHRONOUS_COMMIT", "on or off", |v| match v {
                    "on" => Some(true),
                    "off" => Some(false),
                    _ => None,
                })?
                .unwrap_or(true),
            checkpoint_wal_bytes: read
                .value("SPG_CHECKPOINT_WAL_BYTES", "a whole number of bytes, at least 65536", |v| {
                    number(v, 1 << 16, u64::MAX)
                })?
                .unwrap_or(1 << 30),
            wal_tee: read
                .value("SPG_WAL_TEE", "the path of a file", |v| (!v.is_empty()).then(|| PathBuf::from(v)))?,
        })
    }
}

/// Variables that look like the server's and are not: misspelt, most likely.
pub(crate) fn unknown(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    all.filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("SPG_") && !NAMES.contains(&name.as_str()))
        .collect()
}

/// An address to listen on.
pub(crate) fn address(text: &str) -> Option<SocketAddr> {
    text.to_socket_addrs().ok()?.next()
}

fn number(text: &str, min: u64, max: u64) -> Option<u64> {
    text.parse().ok().filter(|n| (min..=max).contains(n))
}

struct Reader<G> {
    get: G,
}

impl<G: Fn(&str) -> Option<OsString>> Reader<G> {
    fn value<T>(
        &self,
        name: &str,
        takes: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(raw) = (self.get)(name) else { return Ok(None) };
        match raw.to_str().and_then(&parse) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("{name} is {:?}; it takes {takes}", raw.to_string_lossy())),
        }
    }

    fn secret(
        &self,
        name: &str,
        takes: &str,
        valid: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, String> {
        let Some(raw) = (self.get)(name) else { return Ok(None) };
        match raw.into_string() {
            Ok(value) if valid(&value) => Ok(Some(value)),
            _ => Err(format!("{name} can't be used; it takes {takes}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Environment, String> {
        Environment::read(|name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
    }

    #[test]
    fn defaults() {
        let e = read(&[]).unwrap();
        assert!(e.pg_addr.is_none() && e.admin_password.is_none() && e.workers.is_none());
        assert_eq!((e.admin_user.as_str(), e.max_connections, e.synchronous_commit), ("bench", 100, true));
    }

    #[test]
    fn values() {
        let e =
            read(&[("SPG_PG_ADDR", "127.0.0.1:5432"), ("SPG_WORKERS", "3"), ("SPG_QUERY_TIMEOUT_MS", "0")]);
        let e = e.unwrap();
        assert_eq!(e.pg_addr.unwrap().port(), 5432);
        assert_eq!((e.workers, e.query_timeout_ms), (Some(3), 0));
    }

    #[test]
    fn bad_values_name_the_variable() {
        for (name, value) in [
            ("SPG_PG_ADDR", "5432"),
            ("SPG_PG_ADDR", ""),
            ("SPG_ADMIN_USER", ""),
            ("SPG_MAX_CONNECTIONS", "0"),
            ("SPG_MAX_CONNECTIONS", "many"),
            ("SPG_WORKERS", "-1"),
            ("SPG_QUERY_TIMEOUT_MS", "1s"),
            ("SPG_HOT_TIER_BYTES", "4GB"),
            ("SPG_CACHE_BYTES", "-1"),
            ("SPG_COLD_ZSTD_LEVEL", "23"),
            ("SPG_COLD_COMPACT_SEGMENT_THRESHOLD", "7"),
            ("SPG_SYNCHRONOUS_COMMIT", "maybe"),
            ("SPG_CHECKPOINT_WAL_BYTES", "0"),
            ("SPG_WAL_TEE", ""),
        ] {
            let e = read(&[(name, value)]).err().unwrap();
            assert!(e.starts_with(&format!("{name} is {value:?}; it takes ")), "{e}");
        }
        let e = read(&[("SPG_ADMIN_PASSWORD", "")]).err().unwrap();
        assert_eq!(e, "SPG_ADMIN_PASSWORD can't be used; it takes a password of at least one character");
    }

    #[test]
    fn misspelt_names_are_found() {
        let all = ["SPG_WORKER", "SPG_WORKERS", "PATH"].map(|n| (n.into(), "1".into()));
        assert_eq!(unknown(all.into_iter()), ["SPG_WORKER"]);
    }
}
