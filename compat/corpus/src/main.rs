//! `spg-corpus fill|check|server|embedded [filter]`: fills the test files from PostgreSQL, or checks PostgreSQL, a
//! started SPG server or the engine in this process against them.

use std::error::Error;
use std::process::ExitCode;

use spg_corpus::postgres::{Cluster, PostgresEngine, installed};
use spg_corpus::{EmbeddedEngine, Failure, ServerEngine, TestFile, binary, check, fill, render, sql_files};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let filter = args.get(1).map(String::as_str).unwrap_or_default();
    let run = match args.first().map(String::as_str) {
        Some("fill") => on_postgres(filter, true),
        Some("check") => on_postgres(filter, false),
        Some("server") => on_server(filter),
        Some("embedded") => in_process(filter),
        _ => Err("usage: spg-corpus fill|check|server|embedded [part of a file's name]".into()),
    };
    match run {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            println!("{failures} records failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn on_postgres(filter: &str, write: bool) -> Result<usize, Box<dyn Error>> {
    let bin = installed().ok_or("PostgreSQL is not installed")?;
    let cluster = Cluster::start(&bin, "fsync = off")?;
    let engine = PostgresEngine::new(&cluster).map_err(|e| e.message)?;
    let mut failed = 0;
    for mut file in sql_files(filter)? {
        engine.fresh().map_err(|e| e.message)?;
        let failures = match write {
            true => fill(&engine, &mut file.records),
            false => check(&engine, &file.records),
        };
        if write {
            std::fs::write(&file.path, render(&file.records))?;
        }
        failed += report(&file, &failures);
    }
    Ok(failed)
}

fn on_server(filter: &str) -> Result<usize, Box<dyn Error>> {
    let server = binary("spg-server")?;
    let mut failed = 0;
    for file in sql_files(filter)? {
        let engine = ServerEngine::start(&server, &[], &[])?;
        failed += report(&file, &check(&engine, &file.records));
    }
    Ok(failed)
}

fn in_process(filter: &str) -> Result<usize, Box<dyn Error>> {
    let mut failed = 0;
    for file in sql_files(filter)? {
        let engine = EmbeddedEngine::open(2, &[]).map_err(|e| e.message)?;
        failed += report(&file, &check(&engine, &file.records));
    }
    Ok(failed)
}

fn report(file: &TestFile, failures: &[Failure]) -> usize {
    println!("{}: {} records, {} failed", file.name, file.records.len(), failures.len());
    failures.iter().for_each(|failure| println!("{failure}"));
    failures.len()
}
