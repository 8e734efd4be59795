//! Freezing, merging segments and altered cold tables: same rows before and after, few files, whatever the disk does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, StringViewArray};
use common::*;
use spg_store::{DbSnapshot, LockWait, Store, StoreOptions, TableSnapshot, TierOptions};
use spg_types::{ColumnDef, Result, SqlState, SqlType, TableId, def};
use spg_vfs::{Fault, FaultVfs, MemoryVfs, Vfs};

const SEGMENTS: &str = "d/spg.db.spg/segments";

fn wait() -> LockWait {
    LockWait::default()
}

fn create(store: &Arc<Store>) -> Result<TableId> {
    let mut txn = store.begin(&wait())?;
    let table = txn.create_table(items("t"))?;
    txn.commit()?.wait()?;
    Ok(table)
}

fn insert(store: &Arc<Store>, table: TableId, ids: std::ops::Range<i32>) -> Result<()> {
    let mut txn = store.begin(&wait())?;
    let text = |i: i32| (i % 11 > 0).then(|| format!("text number {}", i % 100));
    let batch: Vec<Row> = ids.map(|i| (i, Some(i64::from(i % 5)), text(i), i64::from(i))).collect();
    let known = arrays(&batch);
    let def = txn.snapshot().table(table).unwrap().def().clone();
    // Columns that came later are NULL.
    let value = |c: &ColumnDef| match ["id", "k", "s", "d"].iter().position(|name| *name == c.name) {
        Some(i) => known[i].clone(),
        None => arrow::array::new_null_array(&c.ty.data_type(), batch.len()),
    };
    txn.append(table, def.columns.iter().map(value).collect())?;
    txn.commit()?.wait()
}

/// Deletes every so manyth row.
fn delete(store: &Arc<Store>, table: TableId, every: usize) -> Result<()> {
    let mut txn = store.begin(&wait())?;
    let all = live_ids(txn.snapshot().table(table).unwrap());
    txn.delete(table, &all.into_iter().step_by(every).collect::<Vec<_>>())?;
    txn.commit()?.wait()
}

fn live_ids(table: &TableSnapshot) -> Vec<u64> {
    let live =
        |g: &spg_store::RowGroup| (0..g.len()).filter(|o| g.is_live(*o)).map(|o| g.row_id(o)).collect();
    table.row_groups().flat_map(|g| -> Vec<u64> { live(g) }).collect()
}

fn files(vfs: &dyn Vfs) -> BTreeSet<String> {
    vfs.list(Path::new(SEGMENTS)).unwrap().into_iter().collect()
}

fn all_cold(store: &Store, table: TableId) -> bool {
    store.published().table(table).unwrap().row_groups().all(|g| g.is_cold())
}

fn low_threshold(vfs: Arc<dyn Vfs>, threshold: usize) -> Arc<Store> {
    let tier = TierOptions { compact_segments: threshold, ..TierOptions::default() };
    open_with(&StoreOptions { tier, ..options(vfs) }).unwrap()
}

#[test]
fn segments_become_one_and_old_files_go() {
    let vfs = MemoryVfs::new();
    let store = open(Arc::new(vfs.clone())).unwrap();
    let table = create(&store).unwrap();
    for i in 0..10 {
        insert(&store, table, i * 1000..(i + 1) * 1000).unwrap();
        store.freeze(table, &wait()).unwrap();
    }
    assert_eq!(files(&vfs).len(), 10);
    delete(&store, table, 7).unwrap();
    let before = dump(&store.published());
    let reader = store.published();

    assert_eq!(store.compact(table, &wait()).unwrap(), store.published().table(table).unwrap().rows());
    assert_eq!(store.compact(table, &wait()).unwrap(), 0, "nothing is left to do");
    let compacted = store.published();
    assert!(dump(&compacted) == before);
    let groups: Vec<_> = compacted.table(table).unwrap().row_groups().cloned().collect();
    assert_eq!(groups.len(), 1);
    assert!(groups[0].is_cold() && groups[0].deletes().is_none());

    // The log needs the old files until a checkpoint, and a reader for as long as it reads.
    assert_eq!(files(&vfs).len(), 11);
    insert(&store, table, 50_000..50_001).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(files(&vfs).len(), 11);
    assert!(dump(&reader) == before);
    drop(reader);
    insert(&store, table, 50_001..50_002).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(files(&vfs).len(), 1);

    let before = dump(&store.published());
    drop((store, compacted, groups));
    let store = open(Arc::new(vfs)).unwrap();
    assert!(dump(&store.published()) == before);
}

#[test]
fn a_copy_of_the_log_outlives_the_files() {
    let vfs = MemoryVfs::new();
    let tee = StoreOptions { wal_tee: Some("tee/wal.log".into()), ..options(Arc::new(vfs.clone())) };
    let store = open_with(&tee).unwrap();
    let table = create(&store).unwrap();
    for i in 0..4 {
        insert(&store, table, i * 100..(i + 1) * 100).unwrap();
        store.freeze(table, &wait()).unwrap();
        delete(&store, table, 10).unwrap();
    }
    store.compact(table, &wait()).unwrap();
    insert(&store, table, 1000..1010).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(files(&vfs).len(), 1);
    let before = dump(&store.published());
    store.close().unwrap();
    drop(store);
    let replayed = Store::replay(Arc::new(vfs), "tee/wal.log".as_ref(), "d/spg.db".as_ref()).unwrap();
    assert_eq!(replayed.baseline, 0);
    assert!(dump(&replayed.snapshot) == before);
}

#[test]
fn endless_freezing_keeps_segments_few() {
    let vfs = MemoryVfs::new();
    let store = low_threshold(Arc::new(vfs.clone()), 4);
    let table = create(&store).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    for i in 0..40 {
        insert(&store, table, i * 50..(i + 1) * 50).unwrap();
        store.freeze(table, &wait()).unwrap();
        if i % 10 == 9 {
            store.checkpoint().unwrap();
        }
    }
    // The background comes by once a second.
    loop {
        store.checkpoint().unwrap();
        if files(&vfs).len() <= 4 {
            break;
        }
        assert!(Instant::now() < deadline, "{:?}", files(&vfs));
        std::thread::sleep(Duration::from_millis(50));
        // Something for the checkpoint to do.
        let next = 10_000 + i32::try_from(store.published().commit_no()).unwrap();
        insert(&store, table, next..next + 1).unwrap();
    }
    let before = dump(&store.published());
    store.close().unwrap();
    drop(store);
    assert!(dump(&open(Arc::new(vfs)).unwrap().published()) == before);
}

#[test]
fn hot_rows_stay_within_their_budget_whatever_their_size() {
    let vfs = MemoryVfs::new();
    let tier = TierOptions { hot_bytes: 2 << 20, ..TierOptions::default() };
    let store = open_with(&StoreOptions { tier, ..options(Arc::new(vfs)) }).unwrap();
    let mut txn = begin(&store);
    let tables = ["a", "b", "c"].map(|name| txn.create_table(items(name)).unwrap());
    txn.commit().unwrap().wait().unwrap();
    // Far from a row group's number of rows: large ones, and small ones of which none is.
    for i in 0..300 {
        let mut txn = begin(&store);
        let text = |n: usize| Some("x".repeat(n));
        txn.append(tables[0], arrays(&[(i, None, text(20_000), 0)])).unwrap();
        txn.append(tables[1 + (i % 2) as usize], arrays(&[(i, None, text(300), 0)])).unwrap();
        txn.commit().unwrap().wait().unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let hot = || {
        let db = store.published();
        db.tables().flat_map(|t| t.row_groups().map(|g| g.bytes()).collect::<Vec<_>>()).sum::<usize>()
    };
    while hot() > 2 << 20 {
        assert!(Instant::now() < deadline, "{}", hot());
        std::thread::sleep(Duration::from_millis(50));
    }
    let db = store.published();
    tables.iter().for_each(|t| check_indexes(db.table(*t).unwrap()));
    assert_eq!(db.tables().map(|t| t.rows()).sum::<u64>(), 600);
}

#[test]
fn vacuum_brings_segments_below_the_threshold_and_clears_memory() {
    let vfs = MemoryVfs::new();
    let store = low_threshold(Arc::new(vfs.clone()), 3);
    let table = create(&store).unwrap();
    for i in 0..12 {
        insert(&store, table, i * 3000..(i + 1) * 3000).unwrap();
        store.freeze(table, &wait()).unwrap();
    }
    insert(&store, table, 100_000..130_000).unwrap();
    delete(&store, table, 3).unwrap();
    let before = dump(&store.published());
    let hot_bytes = || {
        let db = store.published();
        db.table(table).unwrap().row_groups().map(|g| g.bytes()).sum::<usize>()
    };
    let bytes = hot_bytes();
    store.vacuum(&[table], false, &wait()).unwrap();
    assert!(dump(&store.published()) == before);
    assert!(hot_bytes() < bytes * 3 / 4, "{} of {bytes}", hot_bytes());
    let db = store.published();
    let t = db.table(table).unwrap();
    let cold = t.row_groups().filter(|g| g.is_cold());
    assert!(cold.count() <= 4);
    assert!(t.row_groups().filter(|g| !g.is_cold()).all(|g| g.deletes().is_none()));
    store.vacuum(&[table], true, &wait()).unwrap();
    assert!(dump(&store.published()) == before);
    let db = store.published();
    assert!(db.table(table).unwrap().row_groups().all(|g| g.deletes().is_none()));
    drop(db);
    // A commit that changes nothing that is logged is one all the same.
    drop((store, t));
    assert!(dump(&open(Arc::new(vfs)).unwrap().published()) == before);
}

#[test]
fn writers_go_on_while_segments_are_merged() {
    let vfs = MemoryVfs::new();
    let store = open(Arc::new(vfs.clone())).unwrap();
    let table = create(&store).unwrap();
    for i in 0..8 {
        insert(&store, table, i * 2000..(i + 1) * 2000).unwrap();
        store.freeze(table, &wait()).unwrap();
    }
    let (done, deleted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = std::thread::spawn({
        let (store, done, deleted) = (store.clone(), done.clone(), deleted.clone());
        move || {
            let mut next = 100_000;
            while !done.load(Ordering::Relaxed) {
                let mut txn = begin(&store);
                let ids = live_ids(txn.snapshot().table(table).unwrap());
                let gone: Vec<u64> = ids.iter().copied().skip(next as usize * 17 % 50).step_by(97).collect();
                txn.delete(table, &gone).unwrap();
                deleted.fetch_add(gone.len(), Ordering::Relaxed);
                txn.commit().unwrap().wait().unwrap();
                insert(&store, table, next..next + gone.len() as i32).unwrap();
                next += gone.len() as i32;
            }
        }
    });
    let mut rounds = 0;
    while rounds < 12 || deleted.load(Ordering::Relaxed) < 3_000 {
        rounds += 1;
        store.compact(table, &wait()).unwrap();
        store.freeze(table, &wait()).unwrap();
        store.vacuum(&[table], false, &wait()).unwrap();
    }
    done.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let db = store.published();
    assert_eq!(db.table(table).unwrap().rows(), 16_000);
    let before = dump(&db);
    drop((store, db));
    assert!(dump(&open(Arc::new(vfs)).unwrap().published()) == before);
}

fn alter(store: &Arc<Store>, table: TableId) -> Result<()> {
    let mut txn = store.begin(&wait())?;
    let seven: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    let word: ArrayRef = Arc::new(StringViewArray::from(vec!["a default that is longer than a view"]));
    let null: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    txn.add_column(table, column("seven", SqlType::new(&def::INT8), false), seven)?;
    txn.add_column(table, column("word", SqlType::new(&def::TEXT), false), word)?;
    txn.add_column(table, column("nothing", SqlType::new(&def::INT8), false), null)?;
    txn.drop_column(table, 3)?;
    txn.commit()?.wait()
}

#[test]
fn altered_tables_stay_cold() {
    let vfs = MemoryVfs::new();
    let store = open(Arc::new(vfs.clone())).unwrap();
    let table = create(&store).unwrap();
    insert(&store, table, 0..5000).unwrap();
    store.freeze(table, &wait()).unwrap();
    delete(&store, table, 9).unwrap();
    alter(&store, table).unwrap();
    assert!(all_cold(&store, table));
    let bytes = |store: &Store| {
        let db = store.published();
        db.table(table).unwrap().row_groups().map(|g| g.bytes()).sum::<usize>()
    };
    assert_eq!(bytes(&store), 0, "a default takes no memory");
    let before = dump(&store.published());
    let stats = store.published().table(table).unwrap().stats();
    assert_eq!(stats.columns[5].null_count, stats.rows);
    drop(store);
    // From the log, then from checkpoints, by a crash and by an orderly end.
    for step in 0..4 {
        if step > 0 {
            store_checkpoint(&vfs);
        }
        let store = open(Arc::new(vfs.clone())).unwrap();
        assert!(dump(&store.published()) == before, "step {step}");
        assert!(all_cold(&store, table), "step {step}");
        assert_eq!(bytes(&store), 0, "step {step}");
        assert!(vfs.list(Path::new("d/spg.db.spg/hot")).unwrap().is_empty());
        let db = store.published();
        let t = db.table(table).unwrap();
        let some = t.fetch(&live_ids(t)[10..12], &[3, 4, 5]).unwrap();
        assert_eq!((some[0].len(), some[2].null_count()), (2, 2));
        if step % 2 == 1 {
            store.close().unwrap();
        }
    }
    // Written anew, the segment has the columns itself.
    let store = open(Arc::new(vfs.clone())).unwrap();
    insert(&store, table, 6000..7000).unwrap();
    let before = dump(&store.published());
    store.freeze(table, &wait()).unwrap();
    assert!(store.compact(table, &wait()).unwrap() > 5000);
    assert!(dump(&store.published()) == before);
    store.close().unwrap();
    drop(store);
    let store = open(Arc::new(vfs)).unwrap();
    assert!(dump(&store.published()) == before && all_cold(&store, table));
}

fn store_checkpoint(vfs: &MemoryVfs) {
    let store = open(Arc::new(vfs.clone())).unwrap();
    store.checkpoint().unwrap();
}

#[test]
fn a_table_whose_frozen_columns_are_all_gone_is_written_hot() {
    let vfs = MemoryVfs::new();
    let store = open(Arc::new(vfs.clone())).unwrap();
    let mut txn = begin(&store);
    let mut table_def = items("t");
    table_def.indexes.clear();
    let table = txn.create_table(table_def).unwrap();
    txn.commit().unwrap().wait().unwrap();
    insert(&store, table, 0..300).unwrap();
    store.freeze(table, &wait()).unwrap();
    let mut txn = begin(&store);
    let word: ArrayRef = Arc::new(StringViewArray::from(vec!["new"]));
    txn.add_column(table, column("word", SqlType::new(&def::TEXT), false), word).unwrap();
    for _ in 0..4 {
        txn.drop_column(table, 0).unwrap();
    }
    txn.commit().unwrap().wait().unwrap();
    let before = dump(&store.published());
    drop(store);
    for _ in 0..2 {
        let store = open(Arc::new(vfs.clone())).unwrap();
        assert!(dump(&store.published()) == before && !all_cold(&store, table));
        store.close().unwrap();
    }
    assert!(files(&vfs).is_empty());
}

/// A life with everything that moves rows. `seen` is told each acknowledged state, and whether it is one by content.
fn life(vfs: Arc<dyn Vfs>, seen: &mut dyn FnMut(&Store)) -> Result<()> {
    let store = open(vfs)?;
    let mut live = || -> Result<()> {
        let t = create(&store)?;
        seen(&store);
        for i in 0..3 {
            insert(&store, t, i * 40..i * 40 + 40)?;
            seen(&store);
            // What fails here costs nothing; later commits say whether the log has failed.
            let _ = store.freeze(t, &wait());
            seen(&store);
        }
        delete(&store, t, 4)?;
        seen(&store);
        let _ = store.checkpoint();
        let _ = store.compact(t, &wait());
        seen(&store);
        insert(&store, t, 200..230)?;
        seen(&store);
        let _ = store.checkpoint();
        alter(&store, t)?;
        seen(&store);
        let _ = store.freeze(t, &wait());
        seen(&store);
        let _ = store.checkpoint();
        delete(&store, t, 5)?;
        seen(&store);
        let _ = store.vacuum(&[t], true, &wait());
        seen(&store);
        insert(&store, t, 300..310)?;
        seen(&store);
        store.close()
    };
    live()
}

/// The contents that a life acknowledges, in order; and how many operations it takes.
fn states() -> (Vec<String>, u64) {
    let disk = FaultVfs::default();
    let mut states = vec![dump(&Store::in_memory().unwrap().published())];
    life(Arc::new(disk.clone()), &mut |s| note(&mut states, &s.published())).unwrap();
    (states, disk.operations())
}

fn note(states: &mut Vec<String>, db: &DbSnapshot) {
    let state = dump(db);
    if states.last() != Some(&state) {
        states.push(state);
    }
}

/// What a start finds is the last content that was acknowledged, or the one under way.
fn check(vfs: Arc<dyn Vfs>, states: &[String], acknowledged: usize, what: &str) -> usize {
    let store = open(vfs).unwrap_or_else(|e| panic!("{what}: {e:?}"));
    let found = dump(&store.published());
    let at = (acknowledged..(acknowledged + 2).min(states.len())).find(|i| states[*i] == found);
    let at = at.unwrap_or_else(|| panic!("{what}: neither state {acknowledged} nor the next: {found}"));
    // It can be merged, and read again.
    let table = store.published().find_table("public", "t").map(|t| t.def().id);
    if let Some(table) = table {
        store.compact(table, &wait()).unwrap();
        store.freeze(table, &wait()).unwrap();
        store.checkpoint().unwrap();
        assert!(dump(&store.published()) == found, "{what}");
    }
    at
}

#[test]
fn a_crash_at_every_operation() {
    let (states, operations) = states();
    assert!(operations > 150, "{operations}");
    for n in 0..operations {
        let disk = FaultVfs::default();
        disk.fail_after(n, Fault::Crash);
        let mut acknowledged = vec![states[0].clone()];
        // Without power there is nothing to read, and nothing new is acknowledged.
        let mut note_live = |s: &Store| (!disk.crashed()).then(|| note(&mut acknowledged, &s.published()));
        let _ = life(Arc::new(disk.clone()), &mut |s| _ = note_live(s));
        for seed in 0..3 {
            let what = format!("crash at operation {n}, seed {seed}");
            let image = disk.crash_image(seed);
            check(Arc::new(image.crash_image(seed)), &states, acknowledged.len() - 1, &what);
            // And during the recovery, at some of its operations.
            let second = FaultVfs::new(image);
            second.fail_after(n % 7, Fault::Crash);
            drop(open(Arc::new(second.clone())));
            check(
                Arc::new(second.crash_image(seed)),
                &states,
                acknowledged.len() - 1,
                &format!("{what} twice"),
            );
        }
    }
}

#[test]
fn a_failing_operation_costs_no_row() {
    let (states, operations) = states();
    for n in 0..operations {
        for fault in [Fault::Io, Fault::NoSpace, Fault::ShortWrite] {
            let disk = FaultVfs::default();
            disk.fail_after(n, fault);
            let mut acknowledged = vec![states[0].clone()];
            let ended = life(Arc::new(disk.clone()), &mut |s| note(&mut acknowledged, &s.published()));
            let what = format!("{fault:?} at operation {n}, {ended:?}");
            // A freeze or a checkpoint that has failed leaves out states of none: contents are the same.
            let found = check(Arc::new(disk.disk().clone()), &states, acknowledged.len() - 1, &what);
            assert_eq!(found, acknowledged.len() - 1, "{what}");
            check(Arc::new(disk.crash_image(n)), &states, acknowledged.len() - 1, &what);
        }
    }
}

#[test]
fn a_full_disk_fails_the_merge_and_nothing_else() {
    let disk = FaultVfs::default();
    let store = open(Arc::new(disk.clone())).unwrap();
    let table = create(&store).unwrap();
    for i in 0..4 {
        insert(&store, table, i * 5000..(i + 1) * 5000).unwrap();
        store.freeze(table, &wait()).unwrap();
    }
    let before = dump(&store.published());
    let names = files(&disk);
    disk.set_capacity(Some(disk.disk().total_bytes() + 20_000));
    let error = store.compact(table, &wait()).unwrap_err();
    assert_eq!(error.state(), SqlState::DISK_FULL);
    assert_eq!(files(&disk), names, "what was begun is removed");
    assert!(dump(&store.published()) == before);
    disk.set_capacity(None);
    assert_eq!(store.compact(table, &wait()).unwrap(), 20_000);
    assert!(dump(&store.published()) == before);
}
