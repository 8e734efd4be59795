//! What the tests share.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::sync::Arc;

use spg_embedded::{Config, Connection, Database};
use spg_vfs::MemoryVfs;

/// Opens the database in folder `d`, as soon as the background of one that was dropped has noticed.
pub fn open(vfs: &MemoryVfs, config: Config) -> Database {
    let config = Config { db_path: "d/spg.db".into(), wal_path: "d/wal.log".into(), ..config };
    loop {
        match Database::open_on(Arc::new(vfs.clone()), config.clone()) {
            Err(e) if e.state().code() == "55006" => std::thread::yield_now(),
            other => return other.unwrap(),
        }
    }
}

/// The first column of the answer, or the SQLSTATE.
pub fn answer(c: &mut Connection, sql: &str) -> String {
    match c.query(sql) {
        Ok(result) => {
            let rows = result.text_rows().unwrap();
            rows.iter().map(|r| r[0].as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(" ")
        }
        Err(e) => e.state().code().to_string(),
    }
}
