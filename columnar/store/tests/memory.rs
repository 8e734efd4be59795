//! Memory of tables that are updated again and again: rows and indexes stay within twice what the live rows take by themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use spg_store::{Store, TableSnapshot, WriteTxn};
use spg_types::{Datum, TableId};

/// Bytes of rows, and of indexes.
fn bytes(table: &TableSnapshot) -> (usize, usize) {
    let rows = table.row_groups().map(|g| g.bytes()).sum();
    (rows, table.indexes().iter().map(|i| i.bytes()).sum())
}

fn row(id: i32, version: i64) -> Row {
    // Few words, many words, words that do not fit into a view.
    let text = match id % 3 {
        0 => format!("word {}", id % 50),
        1 => format!("word {id}"),
        _ => {
            format!("a word that is long enough for a buffer of its own, number {}", i64::from(id) + version)
        }
    };
    (id, (id % 7 > 0).then_some(version), Some(text), version)
}

fn table(store: &Arc<Store>, rows: i32) -> TableId {
    let mut txn = begin(store);
    let table = txn.create_table(items("t")).unwrap();
    let all: Vec<Row> = (0..rows).map(|id| row(id, 0)).collect();
    txn.append(table, arrays(&all)).unwrap();
    txn.commit().unwrap().wait().unwrap();
    table
}

/// Updates the rows with these ids, which are distinct.
fn update(txn: &mut WriteTxn, table: TableId, ids: &[i32], version: i64) {
    let snapshot = txn.snapshot();
    let key = &snapshot.table(table).unwrap().indexes()[0];
    let old: Vec<u64> =
        ids.iter().flat_map(|id| key.get(&[Datum::Int32(*id)]).unwrap().as_slice().to_vec()).collect();
    assert_eq!(old.len(), ids.len());
    drop(snapshot);
    txn.delete(table, &old).unwrap();
    let new: Vec<Row> = ids.iter().map(|id| row(*id, version)).collect();
    txn.append(table, arrays(&new)).unwrap();
}

struct Churn {
    name: &'static str,
    rows: i32,
    /// Rows per transaction.
    batch: usize,
    updates: usize,
    /// The ids that an update takes, given its number and how many rows there are.
    choose: fn(&mut StdRng, usize, i32) -> i32,
}

impl Churn {
    fn run(&self) {
        let store = Store::in_memory().unwrap();
        let table = table(&store, self.rows);
        let mut rng = StdRng::seed_from_u64(1);
        let (mut done, mut most) = (0, (0, 0));
        let mut next_look = self.updates / 10;
        let mut version = 0;
        while done < self.updates {
            let mut ids: Vec<i32> =
                (done..done + self.batch).map(|n| (self.choose)(&mut rng, n, self.rows)).collect();
            ids.sort_unstable();
            ids.dedup();
            version += 1;
            let mut txn = begin(&store);
            update(&mut txn, table, &ids, version);
            txn.commit().unwrap().wait().unwrap();
            done += self.batch;
            if done >= next_look {
                let now = bytes(store.published().table(table).unwrap());
                most = (most.0.max(now.0), most.1.max(now.1));
                next_look += self.updates / 37;
            }
        }
        let db = store.published();
        let t = db.table(table).unwrap();
        assert_eq!(t.rows(), self.rows as u64);
        // No entry of a row that is gone.
        check_indexes(t);
        let fresh = self.fresh(t);
        let groups = t.row_groups().len();
        println!(
            "{}: rows {} of {}, indexes {} of {}, {groups} groups",
            self.name, most.0, fresh.0, most.1, fresh.1
        );
        assert!(most.0 < fresh.0 * 2, "{}: rows take {} bytes for {}", self.name, most.0, fresh.0);
        assert!(most.1 < fresh.1 * 2, "{}: indexes take {} bytes for {}", self.name, most.1, fresh.1);
        assert!(groups < 200, "{}: {groups} row groups", self.name);
    }

    /// What the same rows take in a table of their own.
    fn fresh(&self, t: &TableSnapshot) -> (usize, usize) {
        let columns: Vec<_> = {
            let ids: Vec<u64> = rows(t).iter().map(|r| r.0).collect();
            t.fetch(&ids, &[0, 1, 2, 3]).unwrap()
        };
        let store = Store::in_memory().unwrap();
        let mut txn = begin(&store);
        let table = txn.create_table(items("t")).unwrap();
        txn.append(table, columns).unwrap();
        txn.commit().unwrap().wait().unwrap();
        bytes(store.published().table(table).unwrap())
    }
}

#[test]
fn updates_of_single_rows() {
    Churn {
        name: "random single rows",
        rows: 10_000,
        batch: 1,
        updates: 100_000,
        choose: |rng, _, rows| rng.random_range(0..rows),
    }
    .run();
    Churn {
        name: "one after another",
        rows: 10_000,
        batch: 1,
        updates: 50_000,
        choose: |_, n, rows| n as i32 % rows,
    }
    .run();
    Churn { name: "a few rows", rows: 10_000, batch: 1, updates: 50_000, choose: |_, n, _| n as i32 % 10 }
        .run();
}

#[test]
fn updates_of_batches() {
    Churn {
        name: "random batches",
        rows: 20_000,
        batch: 1_000,
        updates: 2_000_000,
        choose: |rng, _, rows| rng.random_range(0..rows),
    }
    .run();
    Churn {
        name: "a third of the rows",
        rows: 20_000,
        batch: 700,
        updates: 300_000,
        choose: |rng, _, rows| rng.random_range(0..rows / 3) * 3,
    }
    .run();
    Churn {
        name: "batches of a sealed table",
        rows: 200_000,
        batch: 10_000,
        updates: 1_000_000,
        choose: |rng, _, rows| rng.random_range(0..rows),
    }
    .run();
    Churn {
        name: "less than half of each row group",
        rows: 100_000,
        batch: 5_000,
        updates: 400_000,
        choose: |_, n, rows| (n * 7919 % (rows as usize / 100) * 100 + n % 49) as i32,
    }
    .run();
}

/// By hand: `cargo test --release -p spg-store --test memory -- --ignored --nocapture`.
#[test]
#[ignore = "ten million updates take a while"]
fn ten_million_updates() {
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
    for (name, batch, updates) in [("batches", 1_000, 8_000_000), ("single rows", 1, 2_000_000)] {
        println!("before {name}: {} kB resident", resident());
        Churn { name, rows: 100_000, batch, updates, choose: |rng, _, rows| rng.random_range(0..rows) }.run();
        println!("after {name}: {} kB resident", resident());
    }
}
