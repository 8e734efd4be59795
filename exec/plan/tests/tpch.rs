//! The plans of the 22 TPC-H queries with the statistics of scale factor 1, kept as text under `golden/`.
//!
//! `UPDATE_GOLDEN=1` rewrites the files: read the difference before keeping it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod fixture;

use std::fs;
use std::path::Path;

use fixture::{Catalog, optimized, unoptimized};
use spg_plan::{JoinKind, Plan, explain_plan};

fn query(number: usize) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../compat/corpus/tpch/queries/q{number:02}.sql"));
    fs::read_to_string(path).unwrap().replace(":FRACTION", "0.0001")
}

#[test]
fn plans_are_as_kept() {
    let catalog = Catalog::tpch();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut changed = vec![];
    for number in 1..=22 {
        let made = optimized(&query(number), &catalog);
        let text = explain_plan(&made.plan, Some(&catalog));
        let path = dir.join(format!("q{number:02}.txt"));
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            fs::create_dir_all(&dir).unwrap();
            fs::write(path, text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            changed.push(format!("q{number:02}\n{text}"));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn no_products_and_no_dependent_joins() {
    let catalog = Catalog::tpch();
    for number in 1..=22 {
        for plan in [optimized(&query(number), &catalog).plan, unoptimized(&query(number), &catalog)] {
            assert!(!fixture::any(&plan, &mut |p| matches!(p, Plan::Apply { .. })), "query {number}");
        }
        let plan = optimized(&query(number), &catalog).plan;
        let product = fixture::any(&plan, &mut |p| match p {
            // A product with an ungrouped aggregate pairs each row with one.
            Plan::Join(j) if j.kind == JoinKind::Inner && j.on.is_empty() => {
                !single(&j.right) && !single(&j.left)
            }
            _ => false,
        });
        assert!(!product, "query {number}\n{}", explain_plan(&plan, None));
    }
}

fn single(plan: &Plan) -> bool {
    match plan {
        Plan::Aggregate { groups, .. } => groups.is_empty(),
        Plan::Project { input, .. } | Plan::Filter { input, .. } => single(input),
        _ => false,
    }
}
