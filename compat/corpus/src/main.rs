//! `spg-corpus fill|check|server|embedded [filter]`: fills the test files from PostgreSQL, or checks PostgreSQL, a
//! started SPG server or the engine in this process against them. `gaps` lists what the engine does not pass yet.

use std::collections::BTreeSet;
use std::error::Error;
use std::process::ExitCode;

use spg_corpus::postgres::{Cluster, PostgresEngine, installed};
use spg_corpus::{
    EmbeddedEngine, Failure, Gaps, ServerEngine, TestFile, binary, check, fill, render, sql_files,
};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let filter = args.get(1).map(String::as_str).unwrap_or_default();
    let run = match args.first().map(String::as_str) {
        Some("fill") => on_postgres(filter, true),
        Some("check") => on_postgres(filter, false),
        Some("server") => on_server(filter),
        Some("embedded") => in_process(filter),
        Some("gaps") => write_gaps(),
        _ => Err("usage: spg-corpus fill|check|server|embedded|gaps [part of a file's name]".into()),
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

/// Runs every file in every mode of the tests and lists what fails.
fn write_gaps() -> Result<usize, Box<dyn Error>> {
    let mut modes = vec![];
    let mut add = |failed: BTreeSet<String>| {
        println!("{} records failed", failed.len());
        modes.push(failed);
    };
    for workers in [1, 4] {
        for (optimizer, batch_size) in
            [("on", "8192"), ("on", "7"), ("on", "1"), ("off", "8192"), ("off", "7"), ("off", "1")]
        {
            let settings = [("spg.optimizer", optimizer), ("spg.batch_size", batch_size)];
            let mut failed = BTreeSet::new();
            for file in sql_files("")? {
                let engine = EmbeddedEngine::open(workers, &settings).map_err(|e| e.message)?;
                failed.extend(
                    check(&engine, &file.records).iter().map(|f| format!("{}:{}", file.name, f.line)),
                );
            }
            add(failed);
        }
    }
    let server = binary("spg-server")?;
    for settings in [&[][..], &[("spg.optimizer", "off"), ("spg.batch_size", "7")]] {
        let mut failed = BTreeSet::new();
        for file in sql_files("")? {
            let engine = ServerEngine::start(&server, &[], settings)?;
            failed.extend(check(&engine, &file.records).iter().map(|f| format!("{}:{}", file.name, f.line)));
        }
        add(failed);
    }
    Gaps::write(&modes)?;
    Ok(0)
}

fn report(file: &TestFile, failures: &[Failure]) -> usize {
    println!("{}: {} records, {} failed", file.name, file.records.len(), failures.len());
    failures.iter().for_each(|failure| println!("{failure}"));
    failures.len()
}
