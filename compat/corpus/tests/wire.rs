//! Every SQL test file over the wire, each on a fresh server: both protocols, types from Describe, COPY as a stream.

#![allow(clippy::unwrap_used)]

use spg_corpus::{Gaps, ServerEngine, binary, check, sql_files};

fn run(settings: &[(&str, &str)], workers: usize) {
    let server = binary("spg-server").unwrap();
    let gaps = Gaps::read().unwrap();
    let (mut records, mut report) = (0, String::new());
    for file in sql_files("").unwrap() {
        let engine = ServerEngine::start(&server, &[("SPG_WORKERS", workers.to_string())], settings).unwrap();
        records += file.records.len();
        for failure in check(&engine, &file.records) {
            if !gaps.has(&format!("{}:{}", file.name, failure.line)) {
                report += &format!("{}: {failure}\n", file.name);
            }
        }
    }
    assert!(records > 800, "only {records} records found");
    assert!(report.is_empty(), "{report}");
}

#[test]
fn as_started() {
    run(&[], 2);
}

#[test]
fn unoptimized_small_batches() {
    run(&[("spg.optimizer", "off"), ("spg.batch_size", "7")], 1);
}
