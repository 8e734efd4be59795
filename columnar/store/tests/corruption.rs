//! Damage on disk: every flipped byte is found when the database is opened, or lies where nobody reads; backups and logs
//! alone give back what was there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{BooleanArray, StringViewArray};
use common::*;
use spg_segment::SegmentReader;
use spg_store::{DbSnapshot, LockWait, Role, Store};
use spg_types::{Datum, Result, SqlState, SqlType, TableDef, TableId, def};
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

/// Every live row, read column by column.
fn content(db: &DbSnapshot) -> Result<String> {
    let mut out = String::new();
    for table in db.tables() {
        out += &format!("{:?}\n", table.def());
        for group in table.row_groups() {
            let columns = group.columns()?;
            for offset in (0..group.len()).filter(|o| group.is_live(*o)) {
                let values = columns.iter().zip(&table.def().columns);
                let values = values.map(|(array, c)| Datum::from_column(array, offset, c.ty));
                out += &format!("{} {:?}\n", group.row_id(offset), values.collect::<Result<Vec<_>>>()?);
            }
        }
    }
    Ok(out)
}

/// What a flip may leave unnoticed: a file, its content, a byte.
type Unread<'a> = &'a (dyn Fn(&Path, &[u8], usize) -> bool + Sync);

/// Flips bytes of the files that `chosen` names, in three ways each: opening the database or reading it says so, or the byte is
/// one that nobody reads. Never another answer, never a panic.
fn flip_bytes(
    files: &[(PathBuf, Vec<u8>)],
    chosen: &(dyn Fn(&Path, usize) -> bool + Sync),
    unread: Unread<'_>,
) {
    let expected = content(&open(disk(files)).unwrap().published()).unwrap();
    let bytes = |at: usize| {
        let (path, content) = &files[at];
        (0..content.len()).filter(move |byte| chosen(path, *byte)).map(move |byte| (at, byte))
    };
    let work: Vec<(usize, usize)> = (0..files.len()).flat_map(bytes).collect();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(work.len().max(1));
    std::thread::scope(|scope| {
        for part in work.chunks(work.len().div_ceil(threads)) {
            let expected = &expected;
            scope.spawn(move || {
                let mut files = files.to_vec();
                for (at, byte) in part {
                    for mask in [0x01, 0x80, 0xff] {
                        files[*at].1[*byte] ^= mask;
                        flipped(&files, &files[*at].0, *byte, mask, expected, unread);
                        files[*at].1[*byte] ^= mask;
                    }
                }
            });
        }
    });
}

fn flipped(
    files: &[(PathBuf, Vec<u8>)],
    path: &Path,
    byte: usize,
    mask: u8,
    expected: &str,
    unread: Unread<'_>,
) {
    let name = path.file_name().unwrap().to_str().unwrap();
    match open(disk(files)).and_then(|store| content(&store.published())) {
        Err(e) => {
            let said = e.message().contains(name) || name.starts_with("manifest");
            assert!(said, "{name}: byte {byte} ^ {mask:#x}: {e:?}");
            let known = [SqlState::DATA_CORRUPTED, SqlState::SYSTEM_ERROR];
            assert!(known.contains(&e.state()), "{name}: byte {byte}: {e:?}");
        }
        Ok(found) => {
            assert!(found == *expected, "{name}: byte {byte} ^ {mask:#x}: a wrong answer");
            let (_, content) = files.iter().find(|(p, _)| p == path).unwrap();
            assert!(unread(path, content, byte), "{name}: byte {byte} ^ {mask:#x} was not found");
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
    database(Arc::new(vfs.clone())).close().unwrap();
    let files = copy(&vfs);
    assert_eq!(files.len(), 5, "{:?}", files.iter().map(|f| &f.0).collect::<Vec<_>>());
    flip_bytes(&files, &|_, _| true, &closing_mark);
}

/// Bloom filters are for other readers of Parquet; what verifies a whole segment checks them.
fn bloom_filter(path: &Path, content: &[u8], byte: usize) -> bool {
    let vfs = MemoryVfs::new();
    replace_file(&vfs, path, content).unwrap();
    let segment = SegmentReader::open(vfs.open(path).unwrap().unwrap()).unwrap();
    let mut filters = segment.groups().iter().flat_map(|g| &g.chunks).filter_map(|c| c.bloom);
    filters.any(|(offset, len, _)| (offset..offset + u64::from(len)).contains(&(byte as u64)))
        && segment.verify().is_err()
}

#[test]
fn every_flipped_byte_of_a_segment_is_found() {
    let vfs = MemoryVfs::new();
    let store = database(Arc::new(vfs.clone()));
    let table = store.published().find_table("public", "t").unwrap().def().id;
    store.freeze(table, &LockWait::default()).unwrap();
    let mut txn = begin(&store);
    let ids: Vec<u64> = rows(txn.snapshot().table(table).unwrap()).iter().map(|r| r.0).collect();
    txn.delete(table, &ids[3..5]).unwrap();
    txn.commit().unwrap().wait().unwrap();
    append(&store, table, 200..203);
    store.close().unwrap();
    drop(store);
    let files = copy(&vfs);
    let is_segment = |path: &Path| path.to_str().unwrap().contains("/seg_");
    assert_eq!(files.iter().filter(|(path, _)| is_segment(path)).count(), 1);
    flip_bytes(&files, &|path, _| is_segment(path), &bloom_filter);
    // The other files name the segment now.
    flip_bytes(&files, &|path, _| !is_segment(path), &closing_mark);
}

/// A table whose full row group is small on disk: a boolean, and a text of few values.
fn flags() -> TableDef {
    let columns =
        vec![column("b", SqlType::new(&def::BOOL), false), column("s", SqlType::new(&def::TEXT), false)];
    TableDef { columns, indexes: vec![], ..items("flags") }
}

#[test]
fn flipped_bytes_of_a_full_row_group_are_found() {
    let vfs = MemoryVfs::new();
    let store = open(Arc::new(vfs.clone())).unwrap();
    let mut txn = begin(&store);
    let table = txn.create_table(flags()).unwrap();
    let n = 66_000;
    let b = BooleanArray::from_iter((0..n).map(|i| (i % 7 > 0).then_some(i % 3 == 0)));
    let s = StringViewArray::from_iter(
        (0..n).map(|i| (i % 11 > 0).then_some(["one", "another of the words"][i % 2])),
    );
    txn.append(table, vec![Arc::new(b), Arc::new(s)]).unwrap();
    txn.commit().unwrap().wait().unwrap();
    store.close().unwrap();
    drop(store);
    let files = copy(&vfs);
    let (hot, len) = files
        .iter()
        .find(|(path, _)| path.extension().is_some_and(|e| e == "hot"))
        .map(|(path, content)| (path.clone(), content.len()))
        .unwrap();
    // All of the beginning and of the end, where the file says what is where; of the rest, which is one checksum per column, a
    // byte here and there.
    let chosen = |path: &Path, byte: usize| {
        path == hot && (byte < 4_096 || byte + 3_000 > len || byte.is_multiple_of(13))
    };
    flip_bytes(&files, &chosen, &|_, _, _| false);
}

#[test]
fn every_flipped_byte_of_a_backup_is_found() {
    let vfs = MemoryVfs::new();
    let store = database(Arc::new(vfs.clone()));
    let table = store.published().find_table("public", "t").unwrap().def().id;
    store.freeze(table, &LockWait::default()).unwrap();
    append(&store, table, 200..203);
    store.backup(Path::new("b/backup.db")).unwrap();
    let backup = read_file(&vfs, Path::new("b/backup.db")).unwrap().unwrap();
    flip_bytes(&[("d/spg.db".into(), backup)], &|_, _| true, &|_, _, _| false);
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
    // Rows move after the backup, and more come.
    assert!(store.freeze(table, &LockWait::default()).unwrap() > 0);
    append(&store, table, 100_000..100_005);
    let beside = copy(&disk_of);
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
    // With the log of the database beside it, the start goes on through it, whether the segments that have come since are there
    // or not, and wherever it is cut off.
    for kept in [&["wal.log"][..], &["wal.log", "seg_"]] {
        let is_kept =
            |(path, _): &&(PathBuf, Vec<u8>)| kept.iter().any(|k| path.to_str().unwrap().contains(k));
        let put = || {
            let vfs = MemoryVfs::journaled();
            replace_file(&vfs, Path::new("d/spg.db"), &backup).unwrap();
            beside.iter().filter(is_kept).for_each(|(path, bytes)| replace_file(&vfs, path, bytes).unwrap());
            FaultVfs::new(vfs.crash_image(0))
        };
        assert_eq!(beside.iter().filter(is_kept).count(), kept.len());
        let restored = put();
        for _ in 0..2 {
            assert!(dump(&open(Arc::new(restored.clone())).unwrap().published()) == latest);
        }
        for n in 0..restored.operations() {
            let cut = put();
            cut.fail_after(n, spg_vfs::Fault::Crash);
            let _ = open(Arc::new(cut.clone()));
            let image: Arc<dyn Vfs> = Arc::new(cut.crash_image(n));
            assert!(dump(&open(image).unwrap().published()) == latest, "{kept:?}, cut off at {n}");
        }
    }
}

#[test]
fn a_backup_that_is_taken_slowly_stays_what_it_was() {
    let vfs = MemoryVfs::new();
    let store = database(Arc::new(vfs.clone()));
    let table = store.published().find_table("public", "t").unwrap().def().id;
    let wait = LockWait::default();
    assert!(store.freeze(table, &wait).unwrap() > 0);
    append(&store, table, 200..210);
    let mut backup = store.start_backup().unwrap();
    let expected = dump(&store.published());
    let files = || copy(&vfs).into_iter().map(|f| f.0).collect::<Vec<_>>();
    let before = files();
    let mut bytes = backup.piece().unwrap().unwrap();
    // Everything that it is made of goes.
    let mut txn = begin(&store);
    let all: Vec<u64> = rows(txn.snapshot().table(table).unwrap()).iter().map(|r| r.0).collect();
    txn.delete(table, &all).unwrap();
    txn.commit().unwrap().wait().unwrap();
    append(&store, table, 300..310);
    store.checkpoint().unwrap();
    assert!(before.iter().filter(|f| !files().contains(f)).count() >= 2, "{before:?} {:?}", files());
    while let Some(piece) = backup.piece().unwrap() {
        bytes.extend(piece);
    }
    let restored = MemoryVfs::new();
    replace_file(&restored, Path::new("d/spg.db"), &bytes).unwrap();
    let opened = open(Arc::new(restored)).unwrap();
    assert_eq!(opened.published().commit_no(), backup.commit_no());
    assert!(dump(&opened.published()) == expected);
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
    let store = open_with(&options).unwrap();
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
