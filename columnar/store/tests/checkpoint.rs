//! Checkpoints: a start from one gives what was there, whatever happened to the disk meanwhile; their cost follows what changed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use common::*;
use spg_store::{Role, Store};
use spg_types::{Result, SqlState, TableId};
use spg_vfs::{Fault, FaultVfs, MemoryVfs, Vfs};

/// Commits some rows; the dump of the state that is then acknowledged.
fn insert(store: &Arc<Store>, table: TableId, ids: std::ops::Range<i32>) -> Result<()> {
    let mut txn = store.begin(&Default::default())?;
    let rows: Vec<Row> =
        ids.map(|i| (i, Some(i64::from(i % 5)), Some(format!("text number {i}")), i64::from(i))).collect();
    txn.append(table, arrays(&rows))?;
    txn.commit()?.wait()
}

fn delete(store: &Arc<Store>, table: TableId, every: usize) -> Result<()> {
    let mut txn = store.begin(&Default::default())?;
    let gone: Vec<u64> =
        rows(txn.snapshot().table(table).unwrap()).iter().map(|r| r.0).step_by(every).collect();
    txn.delete(table, &gone)?;
    txn.commit()?.wait()
}

fn create(store: &Arc<Store>, name: &str) -> Result<TableId> {
    let mut txn = store.begin(&Default::default())?;
    let table = txn.create_table(items(name))?;
    txn.put_role(Role { name: name.into(), login: true, ..Default::default() })?;
    txn.commit()?.wait()?;
    Ok(table)
}

/// A short life: commits, checkpoints, an orderly end. `seen` is told each acknowledged state.
fn life(vfs: Arc<dyn Vfs>, seen: &mut dyn FnMut(&Store)) -> Result<()> {
    let store = open(vfs)?;
    let mut live = || -> Result<()> {
        let t = create(&store, "t")?;
        seen(&store);
        insert(&store, t, 1..40)?;
        seen(&store);
        // What fails here costs nothing; later commits say whether the log has failed.
        let _ = store.checkpoint();
        delete(&store, t, 3)?;
        seen(&store);
        let u = create(&store, "u")?;
        seen(&store);
        insert(&store, u, 1..400)?;
        seen(&store);
        let _ = store.checkpoint();
        insert(&store, t, 50..60)?;
        seen(&store);
        store.close()
    };
    live()
}

/// The states that a life acknowledges, by commit number.
fn states() -> (BTreeMap<u64, String>, u64) {
    let disk = FaultVfs::default();
    let mut states = BTreeMap::from([(0, dump(&Store::in_memory().unwrap().published()))]);
    life(Arc::new(disk.clone()), &mut |s| {
        states.insert(s.published().commit_no(), dump(&s.published()));
    })
    .unwrap();
    (states, disk.operations())
}

fn check(vfs: Arc<dyn Vfs>, states: &BTreeMap<u64, String>, acknowledged: u64, what: &str) -> Arc<Store> {
    let store = open(vfs).unwrap_or_else(|e| panic!("{what}: {e:?}"));
    let found = store.published();
    assert!(found.commit_no() >= acknowledged, "{what}: {} of {acknowledged}", found.commit_no());
    assert_eq!(dump(&found), states[&found.commit_no()], "{what}");
    store
}

#[test]
fn a_start_from_a_checkpoint_gives_everything_back() {
    let vfs = MemoryVfs::new();
    let (states, _) = states();
    life(Arc::new(vfs.clone()), &mut |_| {}).unwrap();
    let last = *states.keys().last().unwrap();
    // The log has nothing that is needed.
    vfs.remove(Path::new("d/wal.log")).unwrap();
    for _ in 0..2 {
        let store = check(Arc::new(vfs.clone()), &states, last, "after a clean end");
        // Ids are not given again.
        let mut txn = begin(&store);
        let t = txn.snapshot().find_table("public", "t").unwrap().clone();
        let ids = txn.append(t.def().id, arrays(&[(-1, None, None, 0)])).unwrap();
        assert!(ids.start > rows(&t).last().unwrap().0);
        assert!(
            txn.create_table(items("new")).unwrap()
                > txn.snapshot().find_table("public", "u").unwrap().def().id
        );
        drop(txn);
        store.close().unwrap();
    }
    // After a start it may have, so that it must not be missed.
    drop(check(Arc::new(vfs.clone()), &states, last, "a third time"));
    vfs.remove(Path::new("d/wal.log")).unwrap();
    let error = open(Arc::new(vfs)).err().unwrap();
    assert_eq!(error.state(), SqlState::UNDEFINED_FILE);
}

#[test]
fn a_crash_at_every_operation_also_of_the_recovery() {
    let (states, operations) = states();
    assert!(operations > 60, "{operations}");
    for n in 0..operations {
        let disk = FaultVfs::default();
        disk.fail_after(n, Fault::Crash);
        let mut acknowledged = 0;
        let _ = life(Arc::new(disk.clone()), &mut |s| acknowledged = s.published().commit_no());
        for seed in 0..4 {
            let what = format!("crash at operation {n}, seed {seed}");
            let image = disk.crash_image(seed);
            for m in 0.. {
                let second = FaultVfs::new(image.crash_image(0));
                second.fail_after(m, Fault::Crash);
                let done = open(Arc::new(second.clone())).is_ok() && !second.crashed();
                let again = Arc::new(second.crash_image(seed));
                check(
                    again,
                    &states,
                    acknowledged,
                    &format!("{what}, then at operation {m} of the recovery"),
                );
                if done || seed > 0 {
                    break;
                }
            }
        }
    }
}

#[test]
fn what_a_start_finds_outlives_the_power_too() {
    let (states, operations) = states();
    for n in 0..operations {
        for seed in 0..8 {
            let disk = FaultVfs::default();
            disk.fail_after(n, Fault::Crash);
            let mut acknowledged = 0;
            let _ = life(Arc::new(disk.clone()), &mut |s| acknowledged = s.published().commit_no());
            let what = format!("process killed at operation {n}, seed {seed}");
            // What the process had written but not synced is still there, and readers see it.
            let store = check(Arc::new(disk.disk().clone()), &states, acknowledged, &what);
            let seen = store.published().commit_no();
            let image = disk.crash_image(seed);
            drop(store);
            check(Arc::new(image), &states, seen, &format!("{what}, then the power lost"));
        }
    }
}

#[test]
fn a_failing_operation_costs_no_commit() {
    let (states, operations) = states();
    for n in 0..operations {
        for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite] {
            let disk = FaultVfs::default();
            disk.fail_after(n, fault);
            let mut acknowledged = 0;
            let ended = life(Arc::new(disk.clone()), &mut |s| {
                acknowledged = s.published().commit_no();
                assert_eq!(dump(&s.published()), states[&acknowledged]);
            });
            let what = format!("{fault:?} at operation {n}, {ended:?}");
            // The process ends, the machine does not.
            let store = check(Arc::new(disk.disk().clone()), &states, acknowledged, &what);
            assert_eq!(store.published().commit_no(), acknowledged, "{what}");
            drop(store);
            // Or it does, later.
            check(Arc::new(disk.crash_image(n)), &states, acknowledged, &what);
        }
    }
}

#[test]
fn a_checkpoint_costs_what_changed() {
    let disk = FaultVfs::default();
    let store = open(Arc::new(disk.clone())).unwrap();
    let t = create(&store, "t").unwrap();
    for i in 0..3 {
        insert(&store, t, i * 100_000..(i + 1) * 100_000).unwrap();
    }
    let hot_bytes = || -> u64 {
        let names = disk.disk().list(Path::new("d/spg.db.spg/hot")).unwrap();
        let len = |n: &String| {
            disk.disk().open(&Path::new("d/spg.db.spg/hot").join(n)).unwrap().unwrap().len().unwrap()
        };
        names.iter().map(len).sum()
    };
    store.checkpoint().unwrap();
    let first = hot_bytes();
    assert!(first > 10_000_000, "{first}");
    let log = || disk.open(Path::new("d/wal.log")).unwrap().unwrap().len().unwrap();
    assert!(log() < 100_000, "the log begins anew: {}", log());
    delete(&store, t, 100).unwrap();
    insert(&store, t, 300_000..300_100).unwrap();
    store.checkpoint().unwrap();
    let second = hot_bytes();
    assert!(second - first < first / 100, "{first} and then {second}");
    // Nothing new: nothing is written.
    let operations = disk.operations();
    store.checkpoint().unwrap();
    assert!(disk.operations() - operations < 5);
    // Small files do not pile up, and what nothing needs goes.
    for i in 0..60 {
        insert(&store, t, 400_000 + i * 10..400_000 + i * 10 + 10).unwrap();
        store.checkpoint().unwrap();
    }
    let names = disk.list(Path::new("d/spg.db.spg/hot")).unwrap();
    assert!(names.len() < 40, "{names:?}");
    let expected = dump(&store.published());
    delete(&store, t, 1).unwrap();
    store.checkpoint().unwrap();
    assert!(disk.list(Path::new("d/spg.db.spg/hot")).unwrap().is_empty());
    let log_files = disk.list(Path::new("d")).unwrap();
    assert_eq!(log_files, ["spg.db", "wal.log"]);
    drop(store);
    assert_ne!(dump(&open(Arc::new(disk)).unwrap().published()), expected);
}

#[test]
fn a_full_disk_fails_the_checkpoint_and_nothing_else() {
    let disk = FaultVfs::default();
    let store = open(Arc::new(disk.clone())).unwrap();
    let t = create(&store, "t").unwrap();
    insert(&store, t, 0..20_000).unwrap();
    disk.set_capacity(Some(disk.disk().total_bytes() + 100_000));
    let error = store.checkpoint().unwrap_err();
    assert_eq!(error.state(), SqlState::DISK_FULL);
    assert!(error.message().contains("/hot/"), "{error}");
    insert(&store, t, 30_000..30_010).unwrap();
    disk.set_capacity(None);
    store.checkpoint().unwrap();
    let expected = dump(&store.published());
    drop(store);
    assert!(dump(&open(Arc::new(disk)).unwrap().published()) == expected);
}

#[test]
fn a_database_moves_with_its_folder() {
    let vfs = MemoryVfs::new();
    let (states, _) = states();
    life(Arc::new(vfs.clone()), &mut |_| {}).unwrap();
    let other = MemoryVfs::new();
    for dir in ["d/spg.db.spg/hot", "d/spg.db.spg", "d"] {
        for name in vfs.list(Path::new(dir)).unwrap().iter().filter(|n| !n.starts_with("wal")) {
            let content = spg_vfs::read_file(&vfs, &Path::new(dir).join(name)).unwrap().unwrap();
            spg_vfs::replace_file(&other, &Path::new(dir).join(name), &content).unwrap();
        }
    }
    check(Arc::new(other), &states, *states.keys().last().unwrap(), "moved");
}
