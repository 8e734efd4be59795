//! DuckDB on files: its own database file, zstd Parquet files, and the queries over the latter.

use std::fs;
use std::path::Path;

use spg_corpus::DuckDb;
use spg_corpus::tpch::{Keys, TABLES, queries, read_answers};

use crate::Result;
use crate::tpch::Answer;

const SCRIPT: &str = include_str!("duckdb_files.py");

/// What DuckDB's files take and how fast it reads them.
#[derive(Default)]
pub(super) struct Files {
    /// Bytes of its own file.
    pub(super) database: u64,
    /// Bytes of the Parquet file of each table.
    pub(super) parquet: Vec<u64>,
    /// Seconds of each query's runs over the Parquet files.
    pub(super) queries: Vec<Vec<f64>>,
    pub(super) answers: Vec<Answer>,
}

/// Writes the tables of a folder of CSV files and runs the queries over the Parquet files.
pub(super) fn files(csv_dir: &Path, scale: f64, threads: usize, runs: usize) -> Result<Files> {
    let duckdb = DuckDb::prepare()?;
    let work = tempfile::TempDir::with_prefix("spg-duckdb-")?;
    let tables: Vec<String> = TABLES.iter().map(|table| table.create(Keys::None)).collect();
    fs::write(work.path().join("tables.sql"), tables.join(";\n"))?;
    for (i, sql) in queries(scale).iter().enumerate() {
        fs::write(work.path().join(format!("q{:02}.sql", i + 1)), sql)?;
    }
    let arguments = [threads.to_string().into(), runs.to_string().into(), csv_dir.into(), work.path().into()];
    let mut files = Files::default();
    for line in duckdb.run_script(SCRIPT, &arguments)?.lines() {
        match line.split('\t').collect::<Vec<_>>().as_slice() {
            ["parquet", _, bytes] => files.parquet.push(bytes.parse()?),
            ["database", bytes] => files.database = bytes.parse()?,
            ["query", _, times @ ..] => {
                files.queries.push(times.iter().map(|t| t.parse()).collect::<std::result::Result<_, _>>()?);
            }
            _ => return Err(format!("unexpected line of the DuckDB script: {line}").into()),
        }
    }
    files.answers = read_answers(work.path())?.into_iter().map(Ok).collect();
    Ok(files)
}
