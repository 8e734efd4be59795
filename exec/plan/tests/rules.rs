//! What each rule does, as plans before and after it, kept as text under `golden/rules/`, one file per rule.
//!
//! `UPDATE_GOLDEN=1` rewrites the files: read the difference before keeping it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod fixture;

use std::fs;
use std::path::Path;

use fixture::{Catalog, bound};
use spg_plan::explain_plan;
use spg_plan::rules::{OptimizerEnv, optimize_traced};

/// Each rule with queries that it changes.
const CASES: &[(&str, &[&str])] = &[
    (
        "fold_constants",
        &[
            "select a from t where 1 + 1 = 2 and b = 2 * 3 and (true or c = 1)",
            "select case when false then a when true then b else c end, coalesce(null, a, b) from t where a in (1, 1, 2)",
            "select a from t where not (b < 3 or not c > 4)",
        ],
    ),
    (
        "push_filters_early",
        &[
            "select a from t where b = 1 and exists (select 1 from u where u.a = t.a and u.b > t.c)",
            "select * from (select b, count(*) n from t group by b) q where b = 3 and n > 1",
            "select t.a from t left join u on t.a = u.a where u.b = 4",
            "select * from (select a from t union all select a from u) q where a < 10",
        ],
    ),
    (
        "decorrelate",
        &[
            "select a from t where exists (select 1 from u where u.b = t.b)",
            "select a from t where b not in (select b from u)",
            "select a, (select max(c) from u where u.b = t.b) from t",
            "select a, (select count(*) from u where u.b = t.b and u.c > 3) from t",
            "select a, (select u.c from u where u.b = t.b order by u.c desc limit 1) from t",
            "select a, (select max(u.c + t.c) from u where u.b < t.b) from t",
            "select t.a, q.c from t left join lateral (select sum(c) c from u where u.a = t.a) q on true",
        ],
    ),
    ("inline_ctes", &["with q as (select a, b from t) select x.a from q x join q y on x.a = y.b"]),
    ("factor_ors", &["select t.a from t, u where (t.a = u.a and t.b = 1) or (t.a = u.a and u.b = 2)"]),
    (
        "push_filters",
        &[
            "select t.a from t, u where (t.a = u.a and t.b = 1 and t.c = 2) or (t.a = u.a and t.b = 1 and u.b = 2)",
        ],
    ),
    (
        "derive_predicates",
        &[
            "select t.b from t join u on t.a = u.a where t.a between 3 and 5",
            "select t.b from t, u where t.c = u.c and ((t.b = 1 and u.b = 2) or (t.b = 3 and u.b = 4))",
        ],
    ),
    ("fold_constants_again", &["select t.a from t left join u on t.a = u.a where u.b is not null"]),
    (
        "drop_empty",
        &["select t.a, q.b from t left join (select * from u where false) q on t.a = q.a where t.c = 1"],
    ),
    ("drop_sorts", &["select count(*) from (select a from t order by b) q", "select distinct a from t"]),
    (
        "split_sums",
        &[
            "select sum(case when p_type like 'PROMO%' then p_retailprice else 0 end) from part",
            "select p_brand, sum(coalesce(nullif(p_retailprice, 1), 0)) from part group by p_brand",
        ],
    ),
    (
        "share_subplans",
        &[
            "select x.s, y.s from (select sum(c) s from t where b > 1) x, (select sum(c) s from t where b > 1) y",
        ],
    ),
    ("prune_columns_early", &["select t.a from t join u on t.a = u.a"]),
    (
        "join_order",
        &[
            "select count(*) from lineitem, orders, customer where l_orderkey = o_orderkey and o_custkey = c_custkey and c_mktsegment = 'BUILDING'",
        ],
    ),
    (
        "reduce_groups",
        &[
            "select c_custkey, c_name, c_address, count(*) from customer, orders where c_custkey = o_custkey group by c_custkey, c_name, c_address",
        ],
    ),
    (
        "push_limits",
        &[
            "select a from t order by b limit 3",
            "select * from (select a from t union all select a from u) q limit 2",
        ],
    ),
    ("merge_projections", &["select x + 1 from (select a + b as x from t) q"]),
    (
        "prune_columns",
        &[
            "with q as (select a, b, c, s from t where b > (select avg(b) from u)) select x.a from q x join q y on x.a = y.a",
        ],
    ),
    (
        "choose_indexes",
        &[
            "select b from t where a = 5",
            "select o_totalprice from orders where o_orderkey between 10 and 20",
            "select l_quantity from orders join lineitem on l_orderkey = o_orderkey where o_orderkey = 7",
        ],
    ),
    (
        "join_filters",
        &[
            "select count(*) from lineitem join orders on l_orderkey = o_orderkey where o_orderdate < date '1993-01-01'",
        ],
    ),
    ("narrow_decimals", &["select sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) from lineitem"]),
];

/// The plan before a rule and after it, where it changes the plan.
fn around(rule: &str, sql: &str, catalog: &Catalog) -> Option<(String, String)> {
    let query = bound(sql, catalog);
    let mut before = explain_plan(&query.plan, None);
    let env = OptimizerEnv::new(catalog, spg_functions::registry());
    for step in optimize_traced(query.plan, &query.output, &env).unwrap().trace {
        match (step.plan, step.rule == rule) {
            (after, true) => return after.map(|after| (before, after)),
            (Some(after), false) => before = after,
            (None, false) => {}
        }
    }
    None
}

#[test]
fn rules_do_what_is_kept() {
    let catalog = Catalog::tpch();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rules");
    let mut wrong = vec![];
    for (rule, queries) in CASES {
        let mut text = String::new();
        for sql in *queries {
            let Some((before, after)) = around(rule, sql, &catalog) else {
                wrong.push(format!("{rule} leaves alone: {sql}"));
                continue;
            };
            text += &format!("{sql}\n\nbefore:\n{before}\nafter:\n{after}\n----\n");
        }
        let path = dir.join(format!("{rule}.txt"));
        if std::env::var("UPDATE_GOLDEN").is_ok() {
            fs::create_dir_all(&dir).unwrap();
            fs::write(path, text).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            wrong.push(format!("{rule}\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_case() {
    let catalog = Catalog::tpch();
    let query = bound("select a from t", &catalog);
    let env = OptimizerEnv::new(&catalog, spg_functions::registry());
    let trace = optimize_traced(query.plan, &query.output, &env).unwrap().trace;
    let missing: Vec<_> =
        trace.iter().map(|t| t.rule).filter(|rule| !CASES.iter().any(|(name, _)| name == rule)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}
