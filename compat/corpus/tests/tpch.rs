//! The 22 TPC-H queries in this process: against the answers that are kept at a small scale, and against DuckDB at
//! scale factor 0.1.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use spg_corpus::tpch::{self, Keys, TABLES};
use spg_corpus::{Connection, DuckDb, EmbeddedEngine, Engine, render_row, skip};

fn load(engine: &EmbeddedEngine, dir: &Path) -> Box<dyn Connection> {
    let mut connection = engine.connect().unwrap();
    for table in &TABLES {
        connection.execute(&table.create(Keys::PrimaryAndForeign)).unwrap();
        let data = std::fs::read_to_string(tpch::csv_path(dir, table)).unwrap();
        let rows = connection.copy_in(&table.copy_in(), &data).unwrap();
        assert_eq!(rows as usize, data.lines().count(), "{}", table.name);
    }
    connection
}

fn differences(connection: &mut dyn Connection, scale: f64, right: &[Vec<String>]) -> Vec<String> {
    let mut differences = Vec::new();
    for (i, sql) in tpch::queries(scale).iter().enumerate() {
        match connection.query(sql) {
            Err(error) => differences.push(format!("query {}: {error:?}", i + 1)),
            Ok(answer) => {
                let rows: Vec<String> = answer.rows.iter().map(|row| render_row(row)).collect();
                if !tpch::same_answer(&rows, &right[i]) {
                    differences.push(format!("query {}: {rows:#?}\nshould be {:#?}", i + 1, right[i]));
                }
            }
        }
    }
    differences
}

#[test]
fn kept_answers() {
    let dir = tempfile::tempdir().unwrap();
    tpch::generate_csv(tpch::GOLDEN_SCALE, dir.path()).unwrap();
    let right = tpch::read_answers(&tpch::golden_dir()).unwrap();
    for (optimizer, batch_size, workers) in [("on", "8192", 4), ("on", "7", 1), ("off", "8192", 1)] {
        let settings = [("spg.optimizer", optimizer), ("spg.batch_size", batch_size)];
        let engine = EmbeddedEngine::open(workers, &settings).unwrap();
        let mut connection = load(&engine, dir.path());
        let differences = differences(connection.as_mut(), tpch::GOLDEN_SCALE, &right);
        assert!(differences.is_empty(), "{settings:?}, {workers} workers: {}", differences.join("\n"));
    }
}

#[test]
fn as_duckdb_at_a_tenth() {
    let duckdb = match DuckDb::prepare() {
        Ok(duckdb) => duckdb,
        Err(error) => return skip(&format!("DuckDB is not available ({error})")),
    };
    let scale = 0.1;
    let dir = tempfile::tempdir().unwrap();
    tpch::generate_csv(scale, dir.path()).unwrap();
    let right = duckdb.tpch(dir.path(), scale, Keys::None, 2, 1).unwrap().answers;
    let engine = EmbeddedEngine::open(2, &[]).unwrap();
    let mut connection = load(&engine, dir.path());
    for optimizer in ["on", "off"] {
        connection.execute(&format!("SET spg.optimizer = {optimizer}")).unwrap();
        let differences = differences(connection.as_mut(), scale, &right);
        assert!(differences.is_empty(), "optimizer {optimizer}: {}", differences.join("\n"));
    }
}
