//! Power cuts and failing disks: what was acknowledged stays, nothing else appears.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array};
use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use spg_store::{DbSnapshot, LockWait, PendingCommit, Store, WriteMode};
use spg_types::{Result, SqlState, SqlType, TableId, def};
use spg_vfs::{Fault, FaultVfs, Vfs};

/// One transaction of the workload: some of insert, update, delete, DDL, a bulk load now and then.
fn transaction(
    store: &Arc<Store>,
    rng: &mut StdRng,
    next_id: &mut i32,
) -> Result<(Arc<DbSnapshot>, PendingCommit)> {
    let mut txn = store.begin(&LockWait::default())?;
    let table = match txn.snapshot().find_table("public", "t") {
        Some(t) => t.def().id,
        None => txn.create_table(items("t"))?,
    };
    for _ in 0..rng.random_range(1..4) {
        let before = txn.savepoint();
        // Now and then so much that it goes ahead into the log.
        let (n, width) = if rng.random_bool(0.04) { (600, 120) } else { (rng.random_range(1..10), 2) };
        match rng.random_range(0..10) {
            0..=5 => {
                let word = |i: i32, w: u64| (i as u64 * 1000 + w + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let text = |i: i32| (0..width).map(|w| format!("{:x}", word(i, w))).collect::<String>();
                let rows: Vec<Row> =
                    (*next_id..*next_id + n).map(|i| (i, Some(i64::from(i % 7)), Some(text(i)), 1)).collect();
                *next_id += n;
                let mut columns = arrays(&rows);
                if txn.snapshot().table(table).unwrap().def().columns.len() == 5 {
                    columns.push(columns[1].clone());
                }
                txn.append(table, columns)?;
            }
            6 | 7 => {
                let gone = some_rows(txn.snapshot().table(table).unwrap(), rng, 0.2);
                txn.delete(table, &gone)?;
            }
            8 if rng.random_bool(0.3) => {
                let t = txn.snapshot().table(table).unwrap().def().clone();
                if t.columns.len() == 4 {
                    let value: ArrayRef =
                        Arc::new(Int64Array::from_iter([rng.random_bool(0.5).then_some(7)]));
                    txn.add_column(table, column("extra", SqlType::new(&def::INT8), false), value)?;
                } else {
                    txn.drop_column(table, 4)?;
                }
            }
            8 => {
                let name = format!("extra{next_id}");
                *next_id += 1;
                txn.create_table(items(&name))?;
            }
            _ => txn.put_role(spg_store::Role { name: format!("r{n}"), ..Default::default() })?,
        }
        if rng.random_bool(0.1) {
            txn.rollback_to(&before)?;
        }
    }
    if rng.random_bool(0.1) || !txn.has_changes() {
        // Rolled back, perhaps after it has streamed.
        drop(txn);
        return transaction(store, rng, next_id);
    }
    let draft = txn.snapshot();
    Ok((draft, txn.commit()?))
}

/// What a run has done: the state after each commit that was queued, by its number.
#[derive(Default)]
struct History {
    states: BTreeMap<u64, Arc<DbSnapshot>>,
    acknowledged: u64,
}

impl History {
    /// Waits for all; how many did not fail.
    fn acknowledge(&mut self, waiting: &mut Vec<(u64, PendingCommit)>) -> usize {
        let mut good = 0;
        for (number, pending) in waiting.drain(..) {
            if pending.wait().is_ok() {
                self.acknowledged = self.acknowledged.max(number);
                good += 1;
            }
        }
        good
    }
}

/// Runs until the disk fails.
fn run(disk: &FaultVfs, rng: &mut StdRng, transactions: usize) -> History {
    let mut history = History::default();
    let Ok(store) = open(Arc::new(disk.clone())) else { return history };
    let mut next_id = 1;
    let mut waiting = Vec::new();
    for _ in 0..transactions {
        if rng.random_bool(0.1) {
            // One that fails costs nothing.
            let _ = store.checkpoint();
        }
        let Ok((draft, pending)) = transaction(&store, rng, &mut next_id) else { break };
        let number = draft.commit_no() + 1;
        // A number comes again when its first commit has failed.
        history.states.insert(number, draft);
        waiting.push((number, pending));
        if rng.random_bool(0.7) {
            let before = waiting.len();
            if history.acknowledge(&mut waiting) < before {
                return history;
            }
        }
    }
    history.acknowledge(&mut waiting);
    history
}

fn check_recovered(image: Arc<dyn Vfs>, history: &History, what: &str) -> u64 {
    let store = open(image.clone()).unwrap_or_else(|e| panic!("{what}: {e:?}"));
    let db = store.published();
    let number = db.commit_no();
    assert!(number >= history.acknowledged, "{what}: {number} of {}", history.acknowledged);
    if number > 0 {
        assert!(dump(&db) == dump(&history.states[&number]), "{what}: another state than commit {number}");
    }
    // It can be written to, and read again.
    let mut txn = begin(&store);
    if db.find_table("public", "after").is_none() {
        txn.create_table(items("after")).unwrap();
    }
    txn.commit().unwrap().wait().unwrap();
    let before = dump(&store.published());
    drop(store);
    assert!(dump(&open(image).unwrap().published()) == before, "{what}");
    number
}

#[test]
fn a_crash_at_any_operation_keeps_what_was_acknowledged() {
    // How many operations an undisturbed run takes; then one run that ends at each of them.
    let seed = 5;
    let disk = FaultVfs::default();
    let history = run(&disk, &mut StdRng::seed_from_u64(seed), 25);
    assert_eq!(history.states.len() as u64, history.acknowledged);
    let operations = disk.operations();
    assert!(operations > 30, "{operations}");
    for at in 0..operations {
        for image in 0..2 {
            let disk = FaultVfs::default();
            disk.fail_after(at, Fault::Crash);
            let history = run(&disk, &mut StdRng::seed_from_u64(seed), 25);
            let image: Arc<dyn Vfs> = Arc::new(disk.crash_image(at * 10 + image));
            check_recovered(image, &history, &format!("crash at operation {at}"));
        }
    }
}

#[test]
fn random_crashes_of_random_workloads() {
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(1000 + seed);
        let disk = FaultVfs::default();
        disk.fail_after(rng.random_range(0..120), Fault::Crash);
        let history = run(&disk, &mut rng, 40);
        check_recovered(Arc::new(disk.crash_image(seed)), &history, &format!("seed {seed}"));
    }
}

#[test]
fn a_failed_write_or_sync_never_loses_or_invents_a_commit() {
    for seed in 0..40 {
        for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite] {
            let mut rng = StdRng::seed_from_u64(2000 + seed);
            let disk = FaultVfs::default();
            disk.fail_after(rng.random_range(8..60), fault);
            let history = run(&disk, &mut rng, 30);
            // The process ends, the machine does not: what has failed is not there.
            let image: Arc<dyn Vfs> = Arc::new(disk.disk().clone());
            let number = check_recovered(image, &history, &format!("seed {seed} {fault:?}"));
            assert_eq!(number, history.acknowledged, "seed {seed} {fault:?}");
        }
    }
}

fn table_with_rows(store: &Arc<Store>) -> TableId {
    let mut txn = begin(store);
    let table = txn.create_table(items("t")).unwrap();
    txn.append(table, arrays(&[(1, None, None, 0)])).unwrap();
    txn.commit().unwrap().wait().unwrap();
    table
}

#[test]
fn a_full_disk_rolls_back_and_lets_others_go_on() {
    let disk = FaultVfs::default();
    let store = open(Arc::new(disk.clone())).unwrap();
    let table = table_with_rows(&store);
    let before = dump(&store.published());
    disk.set_capacity(Some(disk.disk().total_bytes() + 100_000));

    // A load that streams: it fails while it runs or when it commits.
    let mut txn = begin(&store);
    let text = |i: i32| Some(format!("{i} {:x}", (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let load = (0..40)
        .try_for_each(|n| {
            let rows: Vec<Row> = (0..10_000).map(|i| (n * 10_000 + i + 10, None, text(i * n), 0)).collect();
            txn.append(table, arrays(&rows)).map(|_| ())
        })
        .and_then(|()| txn.commit()?.wait());
    assert_eq!(load.unwrap_err().state(), SqlState::DISK_FULL);
    assert!(dump(&store.published()) == before, "reads go on");

    // Small writes fit again: the log was cut back.
    let mut txn = begin(&store);
    txn.append(table, arrays(&[(2, None, None, 0)])).unwrap();
    txn.commit().unwrap().wait().unwrap();
    assert_eq!(store.published().table(table).unwrap().rows(), 2);
    let after = dump(&store.published());
    store.close().unwrap();
    drop(store);
    assert!(dump(&open(Arc::new(disk)).unwrap().published()) == after);
}

#[test]
fn a_log_rotates_after_a_commit_that_found_the_disk_full() {
    let disk = FaultVfs::default();
    let store = open(Arc::new(disk.clone())).unwrap();
    let table = table_with_rows(&store);
    disk.set_capacity(Some(disk.disk().total_bytes() + 1000));
    let text = |i: i32| Some(format!("{i} {:x}", (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let rows: Vec<Row> = (0..10_000).map(|i| (i + 10, None, text(i), 0)).collect();
    let mut txn = begin(&store);
    let failed = txn.append(table, arrays(&rows)).map(|_| ()).and_then(|()| txn.commit()?.wait());
    assert_eq!(failed.unwrap_err().state(), SqlState::DISK_FULL);

    // The file that begins now begins with the commit that failed.
    disk.set_capacity(None);
    store.checkpoint().unwrap();
    let mut txn = begin(&store);
    txn.append(table, arrays(&[(2, None, None, 0)])).unwrap();
    txn.commit().unwrap().wait().unwrap();
    let after = dump(&store.published());
    drop(store);
    assert!(dump(&open(Arc::new(disk)).unwrap().published()) == after);
}

#[test]
fn a_failed_sync_makes_the_database_read_only() {
    let disk = FaultVfs::default();
    let store = open(Arc::new(disk.clone())).unwrap();
    let table = table_with_rows(&store);
    let before = dump(&store.published());
    disk.fail_syncs(true);
    let mut txn = begin(&store);
    txn.append(table, arrays(&[(2, None, None, 0)])).unwrap();
    let error = txn.commit().unwrap().wait().unwrap_err();
    assert_eq!(error.state(), SqlState::IO_ERROR);
    assert!(error.message().contains("could not fsync file \"d/wal.log\""), "{error}");
    disk.fail_syncs(false);
    let error = store.begin(&LockWait::default()).err().unwrap();
    assert!(error.message().starts_with("the database is read-only because its log failed"), "{error}");
    assert!(dump(&store.published()) == before, "reads go on");
    drop(store);
    assert!(dump(&open(Arc::new(disk)).unwrap().published()) == before);
}

#[test]
fn the_write_lock_is_waited_for_with_a_limit() {
    let store = Store::in_memory().unwrap();
    let held = begin(&store);
    let wait = LockWait { timeout: Some(Duration::from_millis(20)), cancelled: None };
    assert_eq!(store.begin(&wait).err().unwrap().state(), SqlState::LOCK_NOT_AVAILABLE);
    let cancelled = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            cancelled.store(true, Ordering::Relaxed);
        });
        let wait = LockWait { timeout: None, cancelled: Some(cancelled.clone()) };
        assert_eq!(store.begin(&wait).err().unwrap().state(), SqlState::QUERY_CANCELED);
    });
    drop(held);
    let old = store.published();
    let mut txn = begin(&store);
    txn.create_table(items("t")).unwrap();
    txn.commit().unwrap().wait().unwrap();
    let turn = store.turn(WriteMode::Exclusive).unwrap();
    let stale = store.begin_turn(turn, Some(&old), &LockWait::default()).unwrap();
    assert_eq!(stale.snapshot().commit_no(), old.commit_no());
}

#[test]
fn other_files_and_second_servers_are_refused() {
    let disk = FaultVfs::default();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let store = open(vfs.clone()).unwrap();
    let error = Store::open(options(vfs.clone())).err().unwrap();
    assert_eq!(error.state(), SqlState::OBJECT_IN_USE);
    assert!(error.message().contains(&format!("process {}", std::process::id())), "{error}");
    drop(store);

    let path = std::path::Path::new("d/spg.db");
    let good = spg_vfs::read_file(&*vfs, path).unwrap().unwrap();
    let with = |content: &[u8]| {
        spg_vfs::replace_file(&*vfs, path, content).unwrap();
        open(vfs.clone()).err().unwrap()
    };
    assert!(
        with(b"SQLite format 3\0")
            .message()
            .contains("is not an SPG database: it begins with \"SQLite format 3")
    );
    let mut newer = good.clone();
    newer[8] = 14;
    assert_eq!(
        with(&newer).message(),
        "file \"d/spg.db\" has catalog version 14; this server reads version 13"
    );
    for i in 16..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 1;
        let error = with(&bad);
        assert!(error.message().contains("spg.db"), "byte {i}: {error:?}");
    }
    let other = open(Arc::new(FaultVfs::default())).unwrap();
    drop(other);
    let mut foreign = good;
    foreign[32] ^= 1;
    let crc = crc32c::crc32c(&foreign[32..]);
    foreign[28..32].copy_from_slice(&crc.to_le_bytes());
    assert!(with(&foreign).message().contains("belongs to another database"), "{:?}", with(&foreign));
}
