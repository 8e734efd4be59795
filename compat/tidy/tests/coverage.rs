//! Every function, operator, aggregate and window function stands in some SQL test of the corpus.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// What PostgreSQL 15, which decides the corpus' results, has not.
const NOT_IN_POSTGRESQL: &[&str] = &["any_value"];

/// The SQL of the records that SPG runs, in lower case: no results, no records that are skipped.
fn tested_sql() -> String {
    let mut sql = String::new();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/sql");
    for folder in fs::read_dir(corpus).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for file in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            for record in fs::read_to_string(file).unwrap().split("\n\n") {
                if !record.lines().any(|l| l == "skipif spg") {
                    let written = record.split("\n----").next().unwrap_or_default();
                    sql.push_str(&written.to_lowercase());
                    sql.push('\n');
                }
            }
        }
    }
    sql
}

/// The longest runs of characters that `of` accepts.
fn runs(text: &str, of: impl Fn(char) -> bool) -> HashSet<&str> {
    text.split(|c| !of(c)).filter(|run| !run.is_empty()).collect()
}

#[test]
fn every_function_has_a_sql_test() {
    let sql = tested_sql();
    let words = runs(&sql, |c| c.is_ascii_alphanumeric() || c == '_');
    let symbols = runs(&sql, |c| "+-*/<>=~!@#%^&|`?".contains(c));
    let names = (spg_functions::functions().map(|f| f.name))
        .chain(spg_functions::aggregates().iter().map(|f| f.name))
        .chain(spg_functions::windows().iter().map(|f| f.name));
    let tested = |name: &str| match name {
        n if n.contains(' ') => sql.contains(n),
        n if n.starts_with(|c: char| c.is_ascii_alphabetic()) => words.contains(n),
        n => symbols.contains(n),
    };
    let missing: Vec<_> = names.filter(|n| !tested(n) && !NOT_IN_POSTGRESQL.contains(n)).collect();
    assert!(missing.is_empty(), "without a SQL test: {missing:?}");
}
