//! The corpus: SQL test files, one folder per feature under `sql/`, and the runner that gives the same files to the
//! engine in-process, over the wire, and to PostgreSQL.
//!
//! PostgreSQL decides what is right: every expected result was filled in by PostgreSQL 15 (`spg-corpus fill`) and is
//! checked against it where it is installed. SPG must answer the same with the optimizer on and off, in batches of
//! any size, on one thread and on many.

mod check;
mod duckdb;
mod embedded;
mod engine;
mod files;
mod gaps;
pub mod postgres;
mod record;
mod server;
pub mod tpch;
mod wire;

pub use check::{Failure, check, fill};
pub use duckdb::{DuckDb, DuckDbRun};
pub use embedded::EmbeddedEngine;
pub use engine::{Answer, Connection, Engine};
pub use files::{TestFile, sql_files};
pub use gaps::{Gaps, gaps_path};
pub use record::{Action, FormatError, Record, Sort, SqlError, parse, render, render_row};
pub use server::{Server, ServerEngine, binary};
pub use wire::{WireConnection, runtime};

/// Says on the terminal that a test was skipped and why; the test harness captures only `println!` and its like.
pub fn skip(reason: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}
