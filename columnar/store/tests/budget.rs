//! Storage parameters: they are kept like everything else of a table, and the background keeps to a table's own budget.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use spg_store::{ROW_GROUP_ROWS, Store};
use spg_types::{TableDef, TableId, TableOptions};
use spg_vfs::{MemoryVfs, Vfs, read_file, replace_file};

fn with_budget(name: &str, bytes: Option<u64>) -> TableDef {
    TableDef { options: TableOptions { hot_tier_bytes: bytes }, ..items(name) }
}

fn create(store: &Arc<Store>, def: TableDef) -> TableId {
    let mut txn = begin(store);
    let id = txn.create_table(def).unwrap();
    txn.commit().unwrap().wait().unwrap();
    id
}

fn append(store: &Arc<Store>, table: TableId, rows: usize) {
    let mut txn = begin(store);
    let row = |i| (i, Some(i64::from(i) * 7), Some(format!("row {}", i % 100)), i64::from(i));
    txn.append(table, arrays(&(0..rows as i32).map(row).collect::<Vec<_>>())).unwrap();
    txn.commit().unwrap().wait().unwrap();
}

fn budget(store: &Store, table: TableId) -> Option<u64> {
    store.published().table(table).unwrap().def().options.hot_tier_bytes
}

#[test]
fn parameters_survive_in_the_log_a_checkpoint_and_a_backup() {
    let vfs = MemoryVfs::new();
    let disk: Arc<dyn Vfs> = Arc::new(vfs.clone());
    let store = open(disk.clone()).unwrap();
    let (a, b) = (create(&store, with_budget("a", Some(5))), create(&store, with_budget("b", None)));
    drop(store);
    let store = open(disk.clone()).unwrap();
    assert_eq!((budget(&store, a), budget(&store, b)), (Some(5), None), "from the log");
    let mut txn = begin(&store);
    for (table, bytes) in [(a, None), (b, Some(u64::from(u32::MAX) + 1))] {
        let mut def = (**txn.snapshot().table(table).unwrap().def()).clone();
        def.options.hot_tier_bytes = bytes;
        txn.replace_table_def(def).unwrap();
    }
    txn.commit().unwrap().wait().unwrap();
    let after = (None, Some(1 << 32));
    drop(store);
    let store = open(disk.clone()).unwrap();
    assert_eq!((budget(&store, a), budget(&store, b)), after, "from the log, changed");
    store.backup(Path::new("b/backup.db")).unwrap();
    store.close().unwrap();
    drop(store);
    let store = open(disk).unwrap();
    assert_eq!((budget(&store, a), budget(&store, b)), after, "from the checkpoint");
    let restored = MemoryVfs::new();
    let backup = read_file(&vfs, Path::new("b/backup.db")).unwrap().unwrap();
    replace_file(&restored, Path::new("d/spg.db"), &backup).unwrap();
    let store = open(Arc::new(restored)).unwrap();
    assert_eq!((budget(&store, a), budget(&store, b)), after, "from the backup");
}

/// Waits until `done`: the background has no other way to say that it has finished.
fn until(store: &Store, what: &str, done: impl Fn(&Store) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done(store) {
        assert!(Instant::now() < deadline, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_table_above_its_own_budget_is_frozen_and_others_are_not() {
    let store = open(Arc::new(MemoryVfs::new())).unwrap();
    let small = create(&store, with_budget("small", Some(1000)));
    let large = create(&store, with_budget("large", Some(1 << 30)));
    let none = create(&store, with_budget("none", None));
    for table in [large, none, small] {
        append(&store, table, ROW_GROUP_ROWS + 10);
    }
    let tiers = |store: &Store, t| store.published().table(t).unwrap().tiers();
    // The last rows are too few for a group of their own: they stay in memory.
    until(&store, "freezing the small table", |s| tiers(s, small).hot_rows == 10);
    assert_eq!(tiers(&store, small).cold_rows, ROW_GROUP_ROWS as u64);
    for table in [large, none] {
        assert_eq!(tiers(&store, table).cold_rows, 0);
    }
    let mut txn = begin(&store);
    let mut def = (**txn.snapshot().table(large).unwrap().def()).clone();
    def.options.hot_tier_bytes = Some(0);
    txn.replace_table_def(def).unwrap();
    txn.commit().unwrap().wait().unwrap();
    until(&store, "freezing the table whose budget has shrunk", |s| tiers(s, large).hot_rows == 10);
    assert_eq!(tiers(&store, none).cold_rows, 0);
    dump(&store.published());
}
