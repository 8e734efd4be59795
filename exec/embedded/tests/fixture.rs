//! Databases that SPG has written, kept as they were: every later version opens them and answers as they did.
//!
//! `UPDATE_FIXTURE=name cargo test -p spg-embedded --test fixture` adds one, made by this version; those that are there stay.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use spg_embedded::{Config, Connection, Database};
use spg_vfs::{MemoryVfs, Vfs, read_file, replace_file};

/// The folders of a database.
const FOLDERS: [&str; 4] = ["", "spg.db.spg", "spg.db.spg/hot", "spg.db.spg/segments"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn open(vfs: &MemoryVfs) -> (Database, Connection) {
    let settings = vec![("timezone".into(), "UTC".into())];
    let database = common::open(vfs, Config { settings, ..Config::default() });
    let connection = database.connection().unwrap();
    (database, connection)
}

fn statements(file: &str) -> Vec<String> {
    let sql = fs::read_to_string(fixtures().join(file)).unwrap();
    let lines: Vec<&str> = sql.lines().filter(|line| !line.starts_with("--")).collect();
    lines.join("\n").split_inclusive(";\n").map(str::to_owned).collect()
}

/// What each question is answered, errors included.
fn answers(connection: &mut Connection) -> String {
    let mut out = String::new();
    for sql in statements("ask.sql") {
        out += &format!("{}\n", sql.trim());
        match connection.query(&sql) {
            Ok(result) => {
                for row in result.text_rows().unwrap() {
                    let row: Vec<&str> = row.iter().map(|v| v.as_deref().unwrap_or("NULL")).collect();
                    out += &format!("{}\n", row.join("|"));
                }
            }
            Err(e) => out += &format!("{} {}\n", e.state().code(), e.message()),
        }
        out += "\n";
    }
    out
}

/// Makes a database and keeps the files as a killed process leaves them.
fn make(folder: &Path) {
    let vfs = MemoryVfs::new();
    let (_database, mut connection) = open(&vfs);
    for sql in statements("make.sql") {
        connection.query(&sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    for part in FOLDERS {
        fs::create_dir_all(folder.join(part)).unwrap();
        for name in vfs.list(&Path::new("d").join(part)).unwrap().iter().filter(|name| *name != "lock") {
            let content = read_file(&vfs, &Path::new("d").join(part).join(name)).unwrap().unwrap();
            fs::write(folder.join(part).join(name), content).unwrap();
        }
    }
    fs::write(folder.join("answers.txt"), answers(&mut connection)).unwrap();
}

fn check(folder: &Path) {
    let vfs = MemoryVfs::new();
    for part in FOLDERS {
        for entry in fs::read_dir(folder.join(part)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() && entry.file_name() != "answers.txt" {
                let path = Path::new("d").join(part).join(entry.file_name());
                replace_file(&vfs, &path, &fs::read(entry.path()).unwrap()).unwrap();
            }
        }
    }
    let expected = fs::read_to_string(folder.join("answers.txt")).unwrap();
    // As it was written, and as this version has written it anew.
    for start in ["first", "second"] {
        let (database, mut connection) = open(&vfs);
        assert_eq!(answers(&mut connection), expected, "{}, {start} start", folder.display());
        drop(connection);
        database.close().unwrap();
    }
}

#[test]
fn kept_databases_open() {
    if let Ok(name) = std::env::var("UPDATE_FIXTURE") {
        let folder = fixtures().join(name);
        assert!(!folder.exists(), "{} is kept as it is", folder.display());
        make(&folder);
    }
    let kept: Vec<PathBuf> =
        fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    assert!(!kept.is_empty());
    kept.iter().for_each(|folder| check(folder));
}
