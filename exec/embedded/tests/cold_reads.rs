//! What a query reads of cold rows: the rest of the file may be broken.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{answer, open};
use spg_embedded::{Config, Connection};
use spg_segment::SegmentReader;
use spg_vfs::{MemoryVfs, Vfs};

const SEGMENT: &str = "d/spg.db.spg/segments/seg_1.spg";

/// 100,000 cold rows in order of `id`, `k` in none, and a connection that nothing is cached for.
fn frozen() -> (MemoryVfs, Connection) {
    let vfs = MemoryVfs::new();
    let mut c = open(&vfs, Config { cache_bytes: 0, ..Config::default() }).connection().unwrap();
    c.execute("create table t (id int, k int, note text)").unwrap();
    c.execute(
        "insert into t select i, i * 7919 % 1000, 'note ' || i from generate_series(0, 99999) as g (i)",
    )
    .unwrap();
    c.execute("select spg_freeze('t')").unwrap();
    (vfs, c)
}

/// Breaks the pages of a column that begin after so many rows.
fn break_pages(vfs: &MemoryVfs, column: usize, rows: usize) {
    let file = vfs.open(Path::new(SEGMENT)).unwrap().unwrap();
    let segment = SegmentReader::open(file.clone()).unwrap();
    let chunk = &segment.groups()[0].chunks[column];
    let (mut first, mut offset) = (0, chunk.offset + u64::from(chunk.dictionary_len));
    for page in &chunk.pages {
        if first >= rows {
            let mut byte = [0];
            file.read_at(&mut byte, offset).unwrap();
            file.write_at(&[byte[0] ^ 1], offset).unwrap();
        }
        first += page.rows as usize;
        offset += u64::from(page.len);
    }
}

#[test]
fn pages_that_bounds_rule_out_are_not_read() {
    let (vfs, mut c) = frozen();
    (0..3).for_each(|column| break_pages(&vfs, column, 8192));
    assert_eq!(
        answer(&mut c, "select note from t where id between 10 and 12 order by id"),
        "note 10 note 11 note 12"
    );
    assert_eq!(answer(&mut c, "select count(*) from t where id < 8000 and k >= 0"), "8000");
    assert_eq!(answer(&mut c, "select count(*) from t where id in (3, 4, 200000)"), "2");
    assert_eq!(answer(&mut c, "select note from t where id = 9000"), "XX001");
    // The bounds of another table's keys.
    c.execute("create table keys (id int)").unwrap();
    c.execute("insert into keys values (5), (100)").unwrap();
    assert_eq!(answer(&mut c, "select max(note) from t join keys using (id)"), "note 5");
}

#[test]
fn a_column_is_read_for_rows_that_get_so_far() {
    let (vfs, mut c) = frozen();
    break_pages(&vfs, 2, 0);
    assert_eq!(answer(&mut c, "select max(note) from t where k = 333 and id % 1000 = 1"), "NULL");
    assert_eq!(answer(&mut c, "select max(id) from t where k = 333 and length(note) > 0"), "XX001");
    assert_eq!(answer(&mut c, "select max(id) from t where k = 1000 and length(note) > 0"), "NULL");
    c.execute("create table keys (k int)").unwrap();
    c.execute("insert into keys values (1000), (-1)").unwrap();
    assert_eq!(answer(&mut c, "select max(note) from t join keys using (k)"), "NULL");
}

#[test]
fn blocks_and_pages_of_any_place_are_right() {
    let (_, mut c) = frozen();
    c.execute("delete from t where id % 10 = 3 or id between 40000 and 60000").unwrap();
    for (from, to) in
        [(0, 99_999), (32_760, 32_775), (8_191, 8_192), (65_535, 65_537), (99_999, 200_000), (39_990, 60_010)]
    {
        let kept = (from..=to.min(99_999)).filter(|i| i % 10 != 3 && !(40_000..=60_000).contains(i));
        let (count, sum) = kept.fold((0, 0_i64), |(n, s), i| (n + 1, s + i));
        for batch in ["8192", "100000", "1000"] {
            c.execute(&format!("set spg.batch_size = {batch}")).unwrap();
            let sql = format!(
                "select count(*) || ' ' || sum(id) || ' ' || count(distinct note) from t where id between {from} and {to}"
            );
            assert_eq!(
                answer(&mut c, &sql),
                format!("{count} {sum} {count}"),
                "{from} to {to}, batches of {batch}"
            );
        }
    }
}
