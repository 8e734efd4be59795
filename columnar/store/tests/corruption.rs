//! Damage on disk: every flipped byte is found when the database is opened, or lies where nobody reads; backups and logs
//! alone give back what was there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::*;
use spg_store::{Role, Store};
use spg_types::{SqlState, TableId};
use spg_vfs::{FaultVfs, MemoryVfs, Vfs, read_file, replace_file};

const FOLDERS: [&str; 4] = ["d/spg.db.spg/hot", "d/spg.db.spg/segments", "d/spg.db.spg", "d"];

fn append(store: &Arc<Store>, table: TableId, ids: std::ops::Range<i32>) {
    let mut txn = begin(store);
    let text = |i| if i % 3 == 0 { None } else { Some(format!("text of some length, number {i}")) };
    let rows: Vec<Row> = ids.map(|i| (i, Some(i64::from(i) * 7), text(i), i64::from(i))).collect();
    txn.append(table, arrays(&rows)).unwrap();
    txn.commit().unwrap().wait().unwrap();
}

/// A small database with deletes, roles, a gap in its row ids, a checkpoint, and commits after it.
fn database(vfs: Arc<dyn Vfs>) -> Arc<Store> {
    let store = open(vfs).unwrap();
    let mut txn = begin(&store);
    let table = txn.create_table(items("t")).unwrap();
    txn.put_role(Role { name: "r".into(), scram_verifier: Some("v".into()), ..Default::default() }).unwrap();
    txn.commit().unwrap().wait().unwrap();
    for i in 0..4 {
        append(&store, table, i * 5..i * 5 + 4);
    }
    let mut txn = begin(&store);
    let ids: Vec<u64> = rows(txn.snapshot().table(table).unwrap()).iter().map(|r| r.0).collect();
    txn.delete(table, &[ids[1], ids[9], ids[12]]).unwrap();
    txn.commit().unwrap().wait().unwrap();
    store.checkpoint().unwrap();
    append(&store, table, 100..103);
    store
}

fn copy(from: &dyn Vfs) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        for name in from.list(Path::new(folder)).unwrap().into_iter().filter(|n| n != "lock") {
            let path = Path::new(folder).join(name);
            let content = read_file(from, &path).unwrap().unwrap();
            files.push((path, content));
        }
    }
    files
}

fn disk(files: &[(PathBuf, Vec<u8>)]) -> Arc<dyn Vfs> {
    let vfs = MemoryVfs::new();
    files.iter().for_each(|(path, content)| replace_file(&vfs, path, content).unwrap());
    Arc::new(vfs)
}

/// Flips every byte of every file; how many flips in a file named so had no effect.
fn flip_every_byte(
    mut files: Vec<(PathBuf, Vec<u8>)>,
    expected: &str,
    unread: &dyn Fn(&Path, &[u8], usize) -> bool,
) {
    for at in 0..files.len() {
        let path = files[at].0.clone();
        for byte in 0..files[at].1.len() {
            for mask in [0x01, 0x80, 0xff] {
                files[at].1[byte] ^= mask;
                let name = path.file_name().unwrap().to_str().unwrap();
                match open(disk(&files)) {
                    Err(e) => {
                        let said = e.message().contains(name) || name.starts_with("manifest");
                        assert!(said, "{name}: byte {byte} ^ {mask:#x}: {e:?}");
                        let known = [SqlState::DATA_CORRUPTED, SqlState::SYSTEM_ERROR];
                        assert!(known.contains(&e.state()), "{name}: byte {byte}: {e:?}");
                    }
                    Ok(store) => {
                        let found = dump(&store.published());
                        assert!(found == expected, "{name}: byte {byte} ^ {mask:#x}: a wrong answer");
                        let content = &files[at].1;
                        assert!(
                            unread(&path, content, byte),
                            "{name}: byte {byte} ^ {mask:#x} was not found"
                        );
                    }
                }
                files[at].1[byte] ^= mask;
            }
        }
    }
}

/// The closing mark of the log proves that what is before was durable; in it, a flip looks like a torn tail and loses nothing.
fn closing_mark(path: &Path, content: &[u8], byte: usize) -> bool {
    path.ends_with("wal.log") && byte + 25 >= content.len()
}

#[test]
fn every_flipped_byte_of_a_closed_database_is_found() {
    let vfs = MemoryVfs::new();
    let store = database(Arc::new(vfs.clone()));
    let expected = dump(&store.published());
    store.close().unwrap();
    drop(store);
    let files = copy(&vfs);
    assert_eq!(files.len(), 5, "{:?}", files.iter().map(|f| &f.0).collect::<Vec<_>>());
    flip_every_byte(files, &expected, &closing_mark);
}

#[test]
fn a_missing_file_is_named() {
    let vfs = MemoryVfs::new();
    let store = database(Arc::new(vfs.clone()));
    store.close().unwrap();
    drop(store);
    let files = copy(&vfs);
    for (at, (path, _)) in files.iter().enumerate().filter(|(_, (path, _))| !path.ends_with("wal.log")) {
        let mut left = files.clone();
        left.remove(at);
        let error = open(disk(&left)).err().unwrap();
        let named =
            if path.ends_with("spg.db") { "wal.log" } else { path.file_name().unwrap().to_str().unwrap() };
        assert!(error.message().contains(named), "without {path:?}: {error:?}");
        assert_eq!(error.state(), SqlState::DATA_CORRUPTED, "{error:?}");
    }
}

#[test]
fn a_log_that_does_not_fit_is_refused() {
    let vfs = MemoryVfs::new();
    let store = database(Arc::new(vfs.clone()));
    let early = copy(&vfs);
    let table = store.published().find_table("public", "t").unwrap().def().id;
    append(&store, table, 200..203);
    store.checkpoint().unwrap();
    append(&store, table, 300..303);
    let late = copy(&vfs);
    let mix = |database: &[(PathBuf, Vec<u8>)], log: &[(PathBuf, Vec<u8>)]| {
        let is_log = |path: &Path| path.to_str().unwrap().contains("wal.log");
        let mut files: Vec<_> = database.iter().filter(|(p, _)| !is_log(p)).cloned().collect();
        files.extend(log.iter().filter(|(p, _)| is_log(p)).cloned());
        open(disk(&files)).err().map(|e| e.message().to_owned())
    };
    assert_eq!(mix(&late, &late), None);
    let error = mix(&early, &late).unwrap();
    assert!(error.contains("the commits before it after commit 6 are missing"), "{error}");
    // The log of the checkpoint before: it may end anywhere before the new one.
    let error = mix(&late, &early).unwrap();
    assert!(error.contains("ends with commit 7, before the checkpoint at commit 8"), "{error}");
}

#[test]
fn a_backup_opens_as_its_database() {
    let disk_of = FaultVfs::default();
    let store = database(Arc::new(disk_of.clone()));
    let table = store.published().find_table("public", "t").unwrap().def().id;
    // Others write meanwhile.
    let done = std::sync::atomic::AtomicBool::new(false);
    let (number, states) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut states = std::collections::BTreeMap::new();
            let mut next = 1000;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let before = store.published();
                states.insert(before.commit_no(), dump(&before));
                append(&store, table, next..next + 2);
                next += 2;
            }
            states
        });
        while store.published().commit_no() < 20 {
            std::thread::yield_now();
        }
        let number = store.backup(Path::new("b/backup.db")).unwrap();
        while store.published().commit_no() < number + 5 {
            std::thread::yield_now();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        (number, writer.join().unwrap())
    });
    let log_beside: Vec<_> =
        copy(&disk_of).into_iter().filter(|(p, _)| p.to_str().unwrap().contains("wal.log")).collect();
    let latest = dump(&store.published());
    let again = store.backup(Path::new("b/backup.db")).unwrap_err();
    assert_eq!(again.state(), SqlState::DUPLICATE_FILE);
    disk_of.fail_reads(Some(".hot"));
    assert_eq!(store.backup(Path::new("b/other.db")).unwrap_err().state(), SqlState::IO_ERROR);
    disk_of.heal();
    assert_eq!(disk_of.list(Path::new("b")).unwrap(), ["backup.db"]);

    let backup = read_file(&disk_of, Path::new("b/backup.db")).unwrap().unwrap();
    let put = || {
        let vfs = MemoryVfs::journaled();
        replace_file(&vfs, Path::new("d/spg.db"), &backup).unwrap();
        FaultVfs::new(vfs.crash_image(0))
    };
    let restored = put();
    let opened = open(Arc::new(restored.clone())).unwrap();
    assert_eq!(opened.published().commit_no(), number);
    assert!(dump(&opened.published()) == states[&number]);
    append(&opened, table, 1..2);
    let after = dump(&opened.published());
    drop(opened);
    assert!(dump(&open(Arc::new(restored.clone())).unwrap().published()) == after);
    // A restore that is cut off anywhere is taken up again.
    for n in 0..restored.operations() {
        let cut = put();
        cut.fail_after(n, spg_vfs::Fault::Crash);
        let _ = open(Arc::new(cut.clone()));
        let image: Arc<dyn Vfs> = Arc::new(cut.crash_image(n));
        assert!(dump(&open(image).unwrap().published()) == states[&number], "cut off at {n}");
    }
    // With the log of the database beside it, the start goes on through it.
    let mut files = vec![(PathBuf::from("d/spg.db"), backup.clone())];
    files.extend(log_beside);
    assert!(dump(&open(disk(&files)).unwrap().published()) == latest);
    // What is damaged is found.
    let mut found = 0;
    for byte in (0..backup.len()).step_by(7) {
        let mut bad = backup.clone();
        bad[byte] ^= 0x40;
        match open(disk(&[("d/spg.db".into(), bad)])) {
            Ok(opened) => assert!(dump(&opened.published()) == states[&number], "byte {byte}"),
            Err(e) => {
                assert!(e.message().contains("spg.db"), "byte {byte}: {e:?}");
                found += 1;
            }
        }
    }
    assert_eq!(found, backup.len().div_ceil(7));
}

#[test]
fn a_log_is_replayed_with_or_without_its_checkpoint() {
    let vfs = MemoryVfs::new();
    let store = database(Arc::new(vfs.clone()));
    let expected = dump(&store.published());
    drop(store);
    let replay = |db: &str| Store::replay(Arc::new(vfs.clone()), Path::new("d/wal.log"), Path::new(db));
    let replayed = replay("d/spg.db").unwrap();
    assert_eq!((dump(&replayed.snapshot), replayed.baseline), (expected, 6));
    let error = replay("d/nothing.db").err().unwrap();
    assert!(error.message().contains("begins with commit 7"), "{error}");
}

#[test]
fn unsynchronous_commits_follow_within_moments() {
    let vfs = MemoryVfs::journaled();
    let mut options = options(Arc::new(vfs.clone()));
    options.synchronous_commit = false;
    let store = Store::open(options).unwrap();
    let mut txn = begin(&store);
    let table = txn.create_table(items("t")).unwrap();
    txn.commit().unwrap().wait().unwrap();
    for i in 0..50 {
        append(&store, table, i..i + 1);
    }
    // Not more than 10 ms and a sync behind, also while others come.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let image = open(Arc::new(vfs.crash_image(3))).unwrap();
    assert_eq!(image.published().commit_no(), 51);
    assert!(dump(&image.published()) == dump(&store.published()));
    // A checkpoint holds only what the log does.
    append(&store, table, 60..61);
    store.checkpoint().unwrap();
    drop(image);
    assert_eq!(open(Arc::new(vfs.crash_image(4))).unwrap().published().commit_no(), 52);
}
