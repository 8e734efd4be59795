//! BACKUP DATABASE: what it gives opens as the database.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{answer, open};
use spg_embedded::Config;
use spg_vfs::{MemoryVfs, read_file, replace_file};

const SUMS: &str = "select count(*) || ' ' || sum(id) || ' ' || count(distinct s) from t";

#[test]
fn a_backup_goes_to_a_file_or_to_the_client() {
    let vfs = MemoryVfs::new();
    let mut c = open(&vfs, Config::default()).connection().unwrap();
    c.execute("create table t (id int primary key, s text)").unwrap();
    c.execute("insert into t select i, 'text ' || i from generate_series(1, 200000) as g (i)").unwrap();
    c.execute("select spg_freeze('t')").unwrap();
    c.execute("insert into t values (1000000, 'hot')").unwrap();
    let expected = answer(&mut c, SUMS);
    assert_eq!(c.execute("backup database to 'b/backup.db'").unwrap(), "BACKUP");
    let streamed = c.query("BACKUP DATABASE TO STDOUT").unwrap();
    assert_eq!(streamed.tag, "BACKUP");
    let file = read_file(&vfs, Path::new("b/backup.db")).unwrap().unwrap();
    assert!(streamed.copied == file);
    assert_eq!(c.execute("backup database to 'b/backup.db'").unwrap_err().state().code(), "58P02");
    c.execute("begin").unwrap();
    assert_eq!(c.execute("backup database to stdout").unwrap_err().state().code(), "25001");
    c.execute("rollback").unwrap();

    let elsewhere = MemoryVfs::new();
    replace_file(&elsewhere, Path::new("d/spg.db"), &file).unwrap();
    let mut c = open(&elsewhere, Config::default()).connection().unwrap();
    assert_eq!(answer(&mut c, SUMS), expected);
    c.execute("insert into t values (2, 'again')").unwrap_err();
}
