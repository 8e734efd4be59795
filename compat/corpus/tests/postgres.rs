//! Every SQL test file against PostgreSQL itself, and the TPC-H answers that are kept against PostgreSQL's.

#![allow(clippy::unwrap_used)]

use spg_corpus::postgres::{Cluster, PostgresEngine, installed};
use spg_corpus::{Answer, Engine, check, skip, sql_files, tpch};

/// A cluster, or `None` and a line that says so where PostgreSQL 15 is not installed.
fn cluster() -> Option<Cluster> {
    let Some(bin) = installed() else {
        skip("PostgreSQL is not installed (no initdb in PATH or below /usr/lib/postgresql)");
        return None;
    };
    let cluster = Cluster::start(&bin, "fsync = off\nmax_parallel_workers_per_gather = 0").unwrap();
    let engine = PostgresEngine::new(&cluster).unwrap();
    engine.fresh().unwrap();
    let version = engine.connect().unwrap().execute("SHOW server_version_num").unwrap();
    let major = version.rows[0][0].as_deref().unwrap()[..2].to_string();
    if major != "15" {
        skip(&format!("expected results are those of PostgreSQL 15, and {major} is installed"));
        return None;
    }
    Some(cluster)
}

#[test]
fn sql_files_hold_on_postgres() {
    let Some(cluster) = cluster() else { return };
    let engine = PostgresEngine::new(&cluster).unwrap();
    let (mut records, mut report) = (0, String::new());
    for file in sql_files("").unwrap() {
        engine.fresh().unwrap();
        records += file.records.len();
        for failure in check(&engine, &file.records) {
            report += &format!("{}: {failure}\n", file.name);
        }
    }
    assert!(records > 800, "only {records} records found");
    assert!(report.is_empty(), "{report}");
    println!("{records} records hold on PostgreSQL");
}

#[test]
fn kept_tpch_answers_are_those_of_postgres() {
    let Some(cluster) = cluster() else { return };
    let engine = PostgresEngine::new(&cluster).unwrap();
    engine.fresh().unwrap();
    let mut connection = engine.connect().unwrap();
    for table in &tpch::TABLES {
        connection.execute(&table.create(tpch::Keys::PrimaryAndForeign)).unwrap();
        let mut data = Vec::new();
        table.write_csv(tpch::GOLDEN_SCALE, &mut data).unwrap();
        connection.copy_in(&table.copy_in(), std::str::from_utf8(&data).unwrap()).unwrap();
    }
    connection.execute("ANALYZE").unwrap();
    let dir = tpch::golden_dir();
    let mut answers = Vec::new();
    for (i, sql) in tpch::queries(tpch::GOLDEN_SCALE).iter().enumerate() {
        let Answer { rows, .. } = connection.query(sql).unwrap();
        let lines: Vec<String> = rows.iter().map(|row| spg_corpus::render_row(row)).collect();
        if std::env::var_os("UPDATE_ANSWERS").is_some() {
            let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
            std::fs::write(dir.join(format!("q{:02}.tsv", i + 1)), text).unwrap();
        }
        answers.push(lines);
    }
    assert_eq!(answers, tpch::read_answers(&dir).unwrap());
}
