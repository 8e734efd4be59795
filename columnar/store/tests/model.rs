//! The store against a plain map: random statements, savepoints and rollbacks; snapshots that are held do not change.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use spg_store::{DbSnapshot, LockWait, Store, WriteTxn};
use spg_types::{Datum, SqlState, TableId};
use spg_vfs::MemoryVfs;

type Model = BTreeMap<u64, Row>;

fn random_row(rng: &mut StdRng, id: i32) -> Row {
    let k = rng.random_bool(0.9).then(|| rng.random_range(-20..20));
    let words = ["", "a", "a\0b", "short", "a string that does not fit into a view", "zz"];
    (
        id,
        k,
        rng.random_bool(0.9).then(|| words[rng.random_range(0..words.len())].to_string()),
        rng.random_range(-99..99),
    )
}

fn agree(db: &DbSnapshot, table: TableId, model: &Model) {
    let table = db.table(table).unwrap();
    let expected: Vec<(u64, String)> = model
        .iter()
        .map(|(id, r)| {
            let values = [
                Datum::Int32(r.0),
                r.1.map_or(Datum::Null, Datum::Int64),
                r.2.as_deref().map_or(Datum::Null, |s| Datum::Text(s.into())),
                Datum::Decimal(r.3.into()),
            ];
            (*id, format!("{:?}", values.to_vec()))
        })
        .collect();
    assert_eq!(rows(table), expected);
    check_indexes(table);
    let stats = table.stats();
    assert_eq!(stats.rows, model.len() as u64);
    for r in model.values() {
        assert!(matches!(stats.columns[0].min, Some(Datum::Int32(v)) if v <= r.0));
        assert!(matches!(stats.columns[0].max, Some(Datum::Int32(v)) if v >= r.0));
    }
}

/// Ranges over the indexes give what a look at every row gives.
fn ranges_agree(db: &DbSnapshot, table: TableId, model: &Model, rng: &mut StdRng) {
    let table = db.table(table).unwrap();
    let by_k = &table.indexes()[1];
    let (low, high) = (rng.random_range(-22..22), rng.random_range(-22..22));
    let (l, h) = ([Datum::Int64(low)], [Datum::Int64(high)]);
    let found: Vec<u64> = by_k.range(Bound::Excluded(&l), Bound::Included(&h), false).unwrap().collect();
    let mut expected: Vec<(i64, u64)> =
        model.iter().filter_map(|(id, r)| Some((r.1.filter(|k| *k > low && *k <= high)?, *id))).collect();
    expected.sort_unstable();
    assert_eq!(found, expected.into_iter().map(|e| e.1).collect::<Vec<_>>());

    // Everything above a value, without the NULLs that lie last.
    let above: Vec<u64> =
        by_k.range(Bound::Included(&l), Bound::Excluded(&[Datum::Null]), true).unwrap().collect();
    let mut expected: Vec<(i64, u64)> =
        model.iter().filter_map(|(id, r)| Some((r.1.filter(|k| *k >= low)?, *id))).collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(above, expected.into_iter().map(|e| e.1).collect::<Vec<_>>());

    // A prefix of (s, k desc nulls first).
    let by_text = &table.indexes()[2];
    let s = [Datum::Text("a".into())];
    let found: Vec<u64> = by_text.range(Bound::Included(&s), Bound::Included(&s), false).unwrap().collect();
    let mut expected: Vec<(bool, i64, u64)> = model
        .iter()
        .filter(|(_, r)| r.2.as_deref() == Some("a"))
        .map(|(id, r)| (r.1.is_some(), -r.1.unwrap_or(0), *id))
        .collect();
    expected.sort_unstable();
    assert_eq!(found, expected.into_iter().map(|e| e.2).collect::<Vec<_>>());
    let after: Vec<u64> = by_text.range(Bound::Excluded(&s), Bound::Unbounded, false).unwrap().collect();
    let count = model.values().filter(|r| r.2.as_deref().is_none_or(|s| s > "a")).count();
    assert_eq!(after.len(), count);
}

struct Run {
    rng: StdRng,
    table: TableId,
    next_id: i32,
    /// How often rows are frozen between transactions.
    freezes: f64,
}

impl Run {
    fn statement(&mut self, txn: &mut WriteTxn, model: &mut Model) {
        let before = (txn.savepoint(), model.clone());
        match self.rng.random_range(0..10) {
            0..=4 => {
                let n = [1, 1, 1, 5, 60][self.rng.random_range(0..5)];
                let mut batch: Vec<Row> =
                    (0..n).map(|i| random_row(&mut self.rng, self.next_id + i)).collect();
                self.next_id += n;
                if self.rng.random_bool(0.1) {
                    let taken = model.values().next().map_or(batch[0].0, |r| r.0);
                    batch.push(random_row(&mut self.rng, taken));
                    let error = txn.append(self.table, arrays(&batch)).unwrap_err();
                    assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
                    assert_eq!(error.detail(), Some(format!("Key (id)=({taken}) already exists.").as_str()));
                    txn.rollback_to(&before.0).unwrap();
                    return;
                }
                let ids = txn.append(self.table, arrays(&batch)).unwrap();
                model.extend(ids.zip(batch));
            }
            5 | 6 => {
                let share = [0.02, 0.3, 1.0][self.rng.random_range(0..3)];
                let gone = some_rows(txn.snapshot().table(self.table).unwrap(), &mut self.rng, share);
                txn.delete(self.table, &gone).unwrap();
                gone.iter().for_each(|id| drop(model.remove(id)));
            }
            7 => {
                // An update keeps the keys.
                let changed = some_rows(txn.snapshot().table(self.table).unwrap(), &mut self.rng, 0.1);
                txn.delete(self.table, &changed).unwrap();
                let rows: Vec<Row> = changed
                    .iter()
                    .map(|id| model.remove(id).unwrap())
                    .map(|r| (r.0, r.1, r.2, r.3 + 1))
                    .collect();
                let ids = txn.append(self.table, arrays(&rows)).unwrap();
                model.extend(ids.zip(rows));
            }
            8 if self.rng.random_bool(0.05) => {
                txn.truncate(self.table).unwrap();
                model.clear();
            }
            _ => {}
        }
        txn.end_statement().unwrap();
        if self.rng.random_bool(0.2) {
            txn.rollback_to(&before.0).unwrap();
            *model = before.1;
        }
    }

    fn go(&mut self, store: &Arc<Store>, transactions: usize) {
        let mut model = Model::new();
        let mut held: Vec<(Arc<DbSnapshot>, Model)> = Vec::new();
        for _ in 0..transactions {
            let mut txn = begin(store);
            let mut draft = model.clone();
            for _ in 0..self.rng.random_range(1..4) {
                self.statement(&mut txn, &mut draft);
            }
            if self.rng.random_bool(0.1) {
                agree(&txn.snapshot(), self.table, &draft);
                drop(txn);
            } else {
                txn.commit().unwrap().wait().unwrap();
                model = draft;
            }
            if self.rng.random_bool(self.freezes) {
                store.freeze(self.table, &LockWait::default()).unwrap();
                let db = store.published();
                assert!(db.table(self.table).unwrap().row_groups().all(|g| g.is_cold()));
            }
            if self.rng.random_bool(self.freezes / 4.0) {
                store.compact(self.table, &LockWait::default()).unwrap();
                let db = store.published();
                let mut cold = db.table(self.table).unwrap().row_groups().filter(|g| g.is_cold());
                assert!(cold.all(|g| g.deletes().is_none()));
            }
            if self.rng.random_bool(0.02) {
                let full = self.rng.random_bool(0.5);
                store.vacuum(&[self.table], full, &LockWait::default()).unwrap();
            }
            if self.rng.random_bool(self.freezes / 2.0) {
                store.checkpoint().unwrap();
            }
            let now = store.published();
            if self.rng.random_bool(0.1) {
                agree(&now, self.table, &model);
                ranges_agree(&now, self.table, &model, &mut self.rng);
            }
            if self.rng.random_bool(0.02) {
                held.push((now, model.clone()));
            }
        }
        agree(&store.published(), self.table, &model);
        held.iter().for_each(|(db, model)| agree(db, self.table, model));
    }
}

#[test]
fn random_transactions_agree_with_a_map() {
    for seed in 0..6 {
        let store = Store::in_memory().unwrap();
        let mut txn = begin(&store);
        let table = txn.create_table(items("t")).unwrap();
        txn.commit().unwrap().wait().unwrap();
        Run { rng: StdRng::seed_from_u64(seed), table, next_id: 1, freezes: 0.0 }.go(&store, 400);
    }
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let vfs = MemoryVfs::new();
    let store = open(Arc::new(vfs.clone())).unwrap();
    let mut txn = begin(&store);
    let table = txn.create_table(items("t")).unwrap();
    txn.put_role(spg_store::Role { name: "bench".into(), login: true, ..Default::default() }).unwrap();
    txn.commit().unwrap().wait().unwrap();
    let mut run = Run { rng: StdRng::seed_from_u64(77), table, next_id: 1, freezes: 0.0 };
    run.go(&store, 300);
    let before = dump(&store.published());
    store.close().unwrap();
    drop(store);
    let store = open(Arc::new(vfs.clone())).unwrap();
    assert_eq!(dump(&store.published()), before);
    let replayed = Store::replay(Arc::new(vfs.clone()), "d/wal.log".as_ref(), "d/spg.db".as_ref());
    assert_eq!(replayed.err().unwrap().state(), SqlState::OBJECT_IN_USE);
    // Row ids go on where they were.
    let mut txn = begin(&store);
    let last = rows(txn.snapshot().table(table).unwrap()).last().map_or(0, |r| r.0);
    let ids = txn.append(table, arrays(&[(-1, None, None, 0)])).unwrap();
    assert!(ids.start > last);
}

#[test]
fn cold_rows_are_rows() {
    for seed in 0..4 {
        let vfs = MemoryVfs::journaled();
        let store = open(Arc::new(vfs.clone())).unwrap();
        let mut txn = begin(&store);
        let table = txn.create_table(items("t")).unwrap();
        txn.commit().unwrap().wait().unwrap();
        let freezes = [0.05, 0.5][seed as usize % 2];
        Run { rng: StdRng::seed_from_u64(100 + seed), table, next_id: 1, freezes }.go(&store, 150);
        let before = dump(&store.published());
        store.close().unwrap();
        drop(store);
        // As it was left, and as a crash leaves it.
        for disk in [vfs.crash_image(seed), vfs.clone()] {
            let store = open(Arc::new(disk)).unwrap();
            assert!(dump(&store.published()) == before, "seed {seed}");
        }
    }
}
