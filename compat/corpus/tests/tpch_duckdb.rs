//! The TPC-H answers that are kept with the tests, against DuckDB.

#![allow(clippy::unwrap_used)]

use spg_corpus::{DuckDb, skip, tpch};

#[test]
fn kept_tpch_answers_are_those_of_duckdb() {
    let duckdb = match DuckDb::prepare() {
        Ok(duckdb) => duckdb,
        Err(error) => {
            skip(&format!("DuckDB is not available ({error})"));
            return;
        }
    };
    let dir = tempfile::tempdir().unwrap();
    tpch::generate_csv(tpch::GOLDEN_SCALE, dir.path()).unwrap();
    let run = duckdb.tpch(dir.path(), tpch::GOLDEN_SCALE, tpch::Keys::Primary, 2, 1).unwrap();
    let kept = tpch::read_answers(&tpch::golden_dir()).unwrap();
    assert_eq!(run.answers.len(), kept.len());
    for (i, (theirs, ours)) in run.answers.iter().zip(&kept).enumerate() {
        assert!(tpch::same_answer(theirs, ours), "query {}: DuckDB {theirs:#?}, kept {ours:#?}", i + 1);
    }
}
