//! Bulk loads: prepared batches, sealed row groups, index builds, and the same after a restart.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::UInt16Type;
use common::*;
use spg_store::{ROW_GROUP_ROWS, WriteTxn, prepare_batch, prepare_batch_for};
use spg_types::{Datum, IndexOrigin, SqlState};
use spg_vfs::{MemoryVfs, Vfs};

fn batch(from: i32, n: usize) -> Vec<Row> {
    let row = |i: i32| (i, Some(i64::from(i * 7 % 1000)), Some(format!("value {}", i % 50)), i64::from(i));
    (from..from + n as i32).map(row).collect()
}

#[test]
fn bulk_loads_become_sealed_row_groups() {
    let vfs = MemoryVfs::new();
    let store = open(Arc::new(vfs.clone())).unwrap();
    let mut txn = begin(&store);
    let table = txn.create_table(items("t")).unwrap();
    let def = txn.snapshot().table(table).unwrap().def().clone();
    let start = txn.savepoint();
    for i in 0..2 {
        let prepared = prepare_batch(&def, arrays(&batch(i * 200_000, ROW_GROUP_ROWS))).unwrap();
        txn.append_prepared(table, prepared).unwrap();
    }
    // Undone after it has gone into the log.
    txn.rollback_to(&start).unwrap();
    for i in 0..3 {
        let prepared = prepare_batch(&def, arrays(&batch(i * 200_000, ROW_GROUP_ROWS))).unwrap();
        txn.append_prepared(table, prepared).unwrap();
    }
    txn.append(table, arrays(&batch(150_000, 20_000))).unwrap();
    txn.append(table, arrays(&batch(1_000_000, 140_000))).unwrap();
    let twice = prepare_batch(&def, arrays(&batch(400_000, 70_000))).unwrap();
    let before = txn.savepoint();
    let error = txn.append_prepared(table, twice).unwrap_err();
    assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
    assert_eq!(error.message(), "duplicate key value violates unique constraint \"t_pkey\"");
    assert_eq!(error.detail(), Some("Key (id)=(400000) already exists."));
    txn.rollback_to(&before).unwrap();
    txn.end_statement().unwrap();
    txn.commit().unwrap().wait().unwrap();

    let db = store.published();
    let t = db.table(table).unwrap();
    assert_eq!(t.rows(), 3 * ROW_GROUP_ROWS as u64 + 160_000);
    let group = t.row_groups().next().unwrap();
    assert_eq!(group.len(), ROW_GROUP_ROWS);
    assert_eq!(group.column(2).unwrap().as_dictionary::<UInt16Type>().values().len(), 50);
    assert_eq!(group.zone(0).max, Some(Datum::Int32(ROW_GROUP_ROWS as i32 - 1)));
    let distinct = t.stats().columns[2].distinct;
    assert!((49.0..52.0).contains(&distinct), "{distinct}");
    assert!(t.row_groups().len() <= 6);
    let before = dump(&db);

    let mut txn = begin(&store);
    let id = txn.create_index(table, index("t_d", &[3], IndexOrigin::UniqueConstraint)).unwrap();
    let error = txn.create_index(table, index("t_s", &[2], IndexOrigin::UniqueConstraint)).unwrap_err();
    assert_eq!(error.message(), "could not create unique index \"t_s\"");
    assert!(error.detail().unwrap().starts_with("Key (s)=(value "), "{error:?}");
    check_indexes(txn.snapshot().table(table).unwrap());
    assert!(txn.snapshot().table(table).unwrap().index(id).is_some());
    drop(txn);

    store.close().unwrap();
    drop((store, db));
    let store = open(Arc::new(vfs)).unwrap();
    assert!(dump(&store.published()) == before, "a restart changes nothing");
    let db = store.published();
    assert!(
        db.table(table)
            .unwrap()
            .row_groups()
            .next()
            .unwrap()
            .column(2)
            .unwrap()
            .as_any_dictionary_opt()
            .is_some()
    );
}

#[test]
fn single_rows_are_merged_into_few_groups() {
    let store = spg_store::Store::in_memory().unwrap();
    let mut txn = begin(&store);
    let table = txn.create_table(items("t")).unwrap();
    txn.commit().unwrap().wait().unwrap();
    for i in 0..20_000 {
        let mut txn = begin(&store);
        txn.append(table, arrays(&batch(i, 1))).unwrap();
        if i % 3 == 0 {
            // Rolled back: leaves a gap in the row ids.
            continue;
        }
        txn.commit().unwrap().wait().unwrap();
    }
    let db = store.published();
    let t = db.table(table).unwrap();
    assert!(t.row_groups().len() < 60, "{}", t.row_groups().len());
    check_indexes(t);

    // One row that is changed over and over does not pile up.
    let mut changed = rows(t)[0].0;
    for i in 0..5_000 {
        let mut txn = begin(&store);
        txn.delete(table, &[changed]).unwrap();
        changed = txn.append(table, arrays(&[(1, None, None, i)])).unwrap().start;
        txn.commit().unwrap().wait().unwrap();
    }
    let db = store.published();
    let t = db.table(table).unwrap();
    assert!(t.row_groups().len() < 60, "{}", t.row_groups().len());
    let held: usize = t.row_groups().map(|g| g.len()).sum();
    assert!(held < 2 * t.rows() as usize, "{held}");
    check_indexes(t);
}

#[test]
fn deleted_rows_are_cleared_away() {
    let store = spg_store::Store::in_memory().unwrap();
    let mut txn = begin(&store);
    let table = txn.create_table(items("t")).unwrap();
    txn.append(table, arrays(&batch(0, 100_000))).unwrap();
    let all: Vec<u64> = rows(txn.snapshot().table(table).unwrap()).into_iter().map(|r| r.0).collect();
    let most: Vec<u64> = all.iter().copied().filter(|id| id % 5 != 0).collect();
    txn.delete(table, &most).unwrap();
    let snapshot = txn.snapshot();
    let t = snapshot.table(table).unwrap();
    let group = t.row_groups().next().unwrap();
    assert_eq!((group.len(), group.live_rows()), (20_000, 20_000));
    check_indexes(t);
    let ids: Vec<u64> = all.iter().copied().filter(|id| id % 5 == 0).collect();
    assert_eq!(t.fetch(&ids[100..200], &[0]).unwrap()[0].len(), 100);
    assert!(t.fetch(&most[..1], &[0]).is_err());
    txn.delete(table, &ids).unwrap();
    assert_eq!(txn.snapshot().table(table).unwrap().row_groups().len(), 0);
}

/// The same load with room for its rows in memory and without: same rows, same keys, same errors, also after a crash, after a
/// restart from a checkpoint, and when the load is undone.
#[test]
fn a_load_beyond_the_budget_goes_to_the_cold_tier() {
    let load = |hot_bytes: usize| {
        let vfs = MemoryVfs::new();
        let open = || {
            let mut options = options(Arc::new(vfs.clone()));
            options.tier.hot_bytes = hot_bytes;
            open_with(&options).unwrap()
        };
        let store = open();
        let mut txn = begin(&store);
        let table = txn.create_table(items("t")).unwrap();
        txn.commit().unwrap().wait().unwrap();

        let mut txn = begin(&store);
        let def = txn.snapshot().table(table).unwrap().def().clone();
        let start = txn.savepoint();
        let prepared = |txn: &WriteTxn, from: i32, n: usize| {
            let placement = txn.placement(table).unwrap();
            prepare_batch_for(&def, arrays(&batch(from, n)), &placement).unwrap()
        };
        let group = prepared(&txn, 0, 80_000);
        txn.append_prepared(table, group).unwrap();
        txn.rollback_to(&start).unwrap();
        // Small ones stay in memory wherever the others are.
        for (from, n) in [(0, 66_000), (100_000, 66_000), (5_000_000, 100), (6_000_000, 70_000)] {
            let group = prepared(&txn, from, n);
            txn.append_prepared(table, group).unwrap();
        }
        txn.end_statement().unwrap();
        txn.commit().unwrap().wait().unwrap();

        let mut txn = begin(&store);
        let (first, twice) = (prepared(&txn, 7_000_000, 70_000), prepared(&txn, 7_069_999, 70_000));
        let error = txn
            .append_prepared(table, first)
            .and_then(|_| txn.append_prepared(table, twice))
            .and_then(|_| txn.end_statement())
            .unwrap_err();
        drop(txn);
        let error = (error.message().to_string(), error.detail().map(str::to_string));

        let deleted: Vec<u64> =
            rows(store.published().table(table).unwrap()).iter().step_by(7).map(|r| r.0).collect();
        let mut txn = begin(&store);
        txn.delete(table, &deleted).unwrap();
        txn.append(table, arrays(&batch(8_000_000, 3))).unwrap();
        txn.commit().unwrap().wait().unwrap();
        let db = store.published();
        let cold = db.table(table).unwrap().row_groups().filter(|g| g.is_cold()).count();
        let before = dump(&db);
        drop((store, db));
        let store = open();
        assert!(dump(&store.published()) == before, "replay of the log");
        store.checkpoint().unwrap();
        store.close().unwrap();
        drop(store);
        let files = vfs.list(std::path::Path::new("d/spg.db.spg/segments")).unwrap();
        let store = open();
        assert!(dump(&store.published()) == before, "start from a checkpoint");
        let values: Vec<String> =
            rows(store.published().table(table).unwrap()).into_iter().map(|r| r.1).collect();
        (values, error, cold, files.len())
    };
    let (hot, cold) = (load(usize::MAX), load(0));
    // The freezer may have come by for the small group between the others.
    assert!(hot.2 == 0 && (3..=4).contains(&cold.2), "{} {}", hot.2, cold.2);
    // Nothing is left of what was undone.
    assert!(hot.3 == 0 && (2..=3).contains(&cold.3), "{} {}", hot.3, cold.3);
    assert_eq!(hot.1, cold.1);
    assert!(hot.0 == cold.0, "the same rows");
}
