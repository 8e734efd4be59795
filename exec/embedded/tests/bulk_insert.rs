//! INSERT ... SELECT and CREATE TABLE AS beyond the budget of the hot tier.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{answer, open};
use spg_embedded::Config;
use spg_vfs::{MemoryVfs, Vfs};

#[test]
fn rows_beyond_the_budget_go_to_the_cold_tier_at_once() {
    let vfs = MemoryVfs::new();
    let open = || open(&vfs, Config { hot_tier_bytes: 4 << 20, ..Config::default() });
    let database = open();
    let mut c = database.connection().unwrap();
    let segments = || vfs.list(Path::new("d/spg.db.spg/segments")).unwrap().len();
    let log = || vfs.open(Path::new("d/wal.log")).unwrap().unwrap().len().unwrap();
    c.execute("create table t (id int primary key, k int, s text)").unwrap();
    let fill = "insert into t select i, i % 1000, 'text ' || i from generate_series(1, 1000000) as g (i)";
    c.execute("begin").unwrap();
    c.execute(fill).unwrap();
    let sums = "select count(*) || ' ' || sum(id) || ' ' || count(distinct s) from t";
    let expected = "1000000 500000500000 1000000";
    assert_eq!(answer(&mut c, sums), expected);
    let hot = "select hot_bytes < 20000000 from spg_stat_table where table_name = 't'";
    assert_eq!(answer(&mut c, hot), "t", "in the transaction");
    assert!(segments() > 0);
    c.execute("rollback").unwrap();
    assert_eq!(answer(&mut c, "select count(*) from t"), "0");
    c.execute(fill).unwrap();
    assert_eq!((answer(&mut c, sums), answer(&mut c, hot)), (expected.into(), "t".into()));
    assert!(log() < 30 << 20, "segments are not in the log as well: {}", log());
    assert_eq!(
        answer(&mut c, "insert into t select 700000 + i, 1, 'x' from generate_series(1, 400000) as g (i)"),
        "23505"
    );
    assert_eq!(
        answer(
            &mut c,
            "insert into t select i, 1, 'x' from generate_series(2000000, 1900000, -1) as g (i) union all select 1900000, 1, 'twice'"
        ),
        "23505"
    );
    assert_eq!(answer(&mut c, sums), expected);
    c.execute("update t set k = -k").unwrap();
    assert_eq!(answer(&mut c, sums), expected);
    c.execute("create table u as select id, s from t where id <= 500000").unwrap();
    let u = "select count(*) || ' ' || sum(id) || ' ' || max(s) from u";
    assert_eq!(answer(&mut c, u), "500000 125000250000 text 99999");
    // What a killed process leaves.
    drop((c, database));
    let mut c = open().connection().unwrap();
    assert_eq!(
        (answer(&mut c, sums).as_str(), answer(&mut c, u).as_str()),
        (expected, "500000 125000250000 text 99999")
    );
    assert_eq!(
        answer(&mut c, "select sum(k) || ' ' || (select s from t where id = 777777) from t"),
        "-499500000 text 777777"
    );
}
