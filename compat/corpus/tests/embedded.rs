//! Every SQL test file in this process: with the optimizer on and off, in batches of 1, 7 and 8,192 rows, on one
//! worker and on four; and with all rows cold after every statement. Every run must give the same answers, those of PostgreSQL.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use spg_corpus::{EmbeddedEngine, Gaps, check, sql_files};

fn run(optimizer: &str, batch_size: &str, workers: usize, cold: bool) {
    let gaps = Gaps::read().unwrap();
    let (mut files, mut files_with_cold_rows) = (0, 0);
    let (mut records, mut failed, mut report) = (0, BTreeSet::new(), String::new());
    for file in sql_files("").unwrap() {
        let engine =
            EmbeddedEngine::open(workers, &[("spg.optimizer", optimizer), ("spg.batch_size", batch_size)])
                .unwrap();
        // Their own counts of frozen rows would differ.
        let counts = ["storage/freeze", "storage/stat", "storage/compact"];
        if cold && counts.iter().any(|name| file.name.starts_with(name)) {
            continue;
        }
        let engine = if cold { engine.freezing() } else { engine };
        records += file.records.len();
        files += 1;
        for failure in check(&engine, &file.records) {
            let record = format!("{}:{}", file.name, failure.line);
            if !gaps.has(&record) {
                report += &format!("{}: {failure}\n", file.name);
            }
            failed.insert(record);
        }
        files_with_cold_rows += usize::from(engine.frozen_rows() > 0);
    }
    // Files without tables have nothing to freeze.
    assert!(
        !cold || files_with_cold_rows * 3 > files,
        "rows were frozen in {files_with_cold_rows} of {files} files"
    );
    assert!(records > 800, "only {records} records found");
    assert!(report.is_empty(), "{report}");
    let closed = gaps.closed(&failed);
    assert!(closed.is_empty(), "these pass now, take them off sql/GAPS: {closed:?}");
}

macro_rules! matrix {
    ($($name:ident: $optimizer:literal, $batch_size:literal, $workers:literal;)*) => {
        $(#[test]
        fn $name() {
            run($optimizer, $batch_size, $workers, false);
        })*
    };
}

#[test]
fn rows_frozen_after_every_statement() {
    run("on", "8192", 4, true);
}

matrix! {
    optimized_batch_8192_one_worker: "on", "8192", 1;
    optimized_batch_8192_four_workers: "on", "8192", 4;
    optimized_batch_7_one_worker: "on", "7", 1;
    optimized_batch_7_four_workers: "on", "7", 4;
    optimized_batch_1_one_worker: "on", "1", 1;
    optimized_batch_1_four_workers: "on", "1", 4;
    unoptimized_batch_8192_one_worker: "off", "8192", 1;
    unoptimized_batch_8192_four_workers: "off", "8192", 4;
    unoptimized_batch_7_one_worker: "off", "7", 1;
    unoptimized_batch_7_four_workers: "off", "7", 4;
    unoptimized_batch_1_one_worker: "off", "1", 1;
    unoptimized_batch_1_four_workers: "off", "1", 4;
}
