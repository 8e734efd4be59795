//! Transactions that write side by side: what they see of each other, what they wait for, and that what they leave is what one
//! after the other would have left.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{arrays, begin, column, dump, foreign_key, index, items, open};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use spg_store::{LockWait, Retry, Store, WriteTxn};
use spg_types::{Datum, Error, IndexOrigin, Result, SqlState, SqlType, TableDef, TableId, def};
use spg_vfs::{FaultVfs, Vfs};

fn shared(store: &Arc<Store>) -> WriteTxn {
    store.begin_shared(&LockWait::default()).unwrap()
}

fn with_items(rows: i32) -> (Arc<Store>, TableId) {
    let store = Store::in_memory().unwrap();
    let mut txn = begin(&store);
    let table = txn.create_table(items("t")).unwrap();
    let rows: Vec<_> = (0..rows).map(|i| (i, Some(0), None, i64::from(i))).collect();
    txn.append(table, arrays(&rows)).unwrap();
    txn.commit().unwrap().wait().unwrap();
    (store, table)
}

fn row_of(txn: &WriteTxn, table: TableId, id: i32) -> Option<(u64, i64)> {
    let snapshot = txn.snapshot();
    let table = snapshot.table(table).unwrap();
    let row_id = *table.indexes()[0].get(&[Datum::Int32(id)]).unwrap().as_slice().first()?;
    let k = table.fetch(&[row_id], &[1]).unwrap();
    match Datum::from_column(&k[0], 0, SqlType::new(&def::INT8)).unwrap() {
        Datum::Int64(k) => Some((row_id, k)),
        other => panic!("{other:?}"),
    }
}

/// Adds to a row's `k`, as one statement.
fn add(txn: &mut WriteTxn, table: TableId, id: i32, n: i64) -> Result<bool> {
    txn.start_statement(Some(&[table]))?;
    let Some((row_id, k)) = row_of(txn, table, id) else { return Ok(false) };
    txn.delete(table, &[row_id])?;
    txn.append(table, arrays(&[(id, Some(k + n), None, 0)]))?;
    txn.end_statement().map(|()| true)
}

fn insert(txn: &mut WriteTxn, table: TableId, id: i32) -> Result<()> {
    txn.start_insert(table)?;
    txn.append(table, arrays(&[(id, Some(0), None, 0)]))?;
    txn.end_statement()
}

fn delete(txn: &mut WriteTxn, table: TableId, id: i32) -> Result<()> {
    txn.start_statement(Some(&[table]))?;
    let row = row_of(txn, table, id).ok_or_else(|| Error::internal("no row"))?;
    txn.delete(table, &[row.0])?;
    txn.end_statement()
}

/// Who is in the way of a statement that has failed: a turn that has not come.
fn blocked(txn: &mut WriteTxn, result: Result<impl Sized>) -> spg_store::Turn {
    assert_eq!(result.err().expect("it cannot go on").state(), SqlState::LOCK_NOT_AVAILABLE);
    match txn.retry().unwrap() {
        Some(Retry::After(turn)) => turn,
        _ => panic!("it is to wait"),
    }
}

fn commit(txn: WriteTxn) {
    txn.commit().unwrap().wait().unwrap();
}

#[test]
fn different_rows_are_changed_side_by_side() {
    let (store, t) = with_items(3);
    let (mut a, mut b) = (shared(&store), shared(&store));
    assert!(add(&mut a, t, 0, 1).unwrap());
    assert!(add(&mut b, t, 1, 2).unwrap());
    insert(&mut a, t, 10).unwrap();
    insert(&mut b, t, 11).unwrap();
    assert!(row_of(&a, t, 11).is_none(), "not committed");
    commit(b);
    a.start_statement(Some(&[t])).unwrap();
    assert_eq!(row_of(&a, t, 1).unwrap().1, 2, "the newest state");
    assert_eq!(row_of(&a, t, 0).unwrap().1, 1, "with the own changes");
    assert!(row_of(&a, t, 10).is_some() && row_of(&a, t, 11).is_some());
    // A row of its own, which has another id by now.
    assert!(add(&mut a, t, 10, 5).unwrap());
    assert!(add(&mut a, t, 10, 5).unwrap());
    commit(a);
    let end = shared(&store);
    let ks: Vec<i64> = [0, 1, 2, 10, 11].iter().map(|id| row_of(&end, t, *id).unwrap().1).collect();
    assert_eq!(ks, [1, 2, 0, 10, 0]);
    dump(&store.published());
}

#[test]
fn the_same_row_is_waited_for() {
    let (store, t) = with_items(2);
    let (mut a, mut b) = (shared(&store), shared(&store));
    add(&mut a, t, 0, 1).unwrap();
    let result = add(&mut b, t, 0, 10);
    let turn = blocked(&mut b, result);
    assert!(!turn.has_come());
    commit(a);
    assert!(turn.has_come());
    assert!(add(&mut b, t, 0, 10).unwrap());
    b.start_statement(Some(&[t])).unwrap();
    assert_eq!(row_of(&b, t, 0).unwrap().1, 11);
    // What is rolled back never was.
    let mut c = shared(&store);
    let result = add(&mut c, t, 0, 100);
    let turn = blocked(&mut c, result);
    drop(b);
    assert!(turn.has_come());
    add(&mut c, t, 0, 100).unwrap();
    commit(c);
    assert_eq!(row_of(&shared(&store), t, 0).unwrap().1, 101);
    dump(&store.published());
}

#[test]
fn a_row_that_has_changed_since_it_was_seen_is_looked_for_again() {
    let (store, t) = with_items(1);
    let (mut a, mut b) = (shared(&store), shared(&store));
    b.start_statement(Some(&[t])).unwrap();
    let (row_id, _) = row_of(&b, t, 0).unwrap();
    add(&mut a, t, 0, 1).unwrap();
    commit(a);
    assert!(b.delete(t, &[row_id]).is_err());
    assert!(matches!(b.retry().unwrap(), Some(Retry::Now)));
    assert!(add(&mut b, t, 0, 1).unwrap());
    commit(b);
    assert_eq!(row_of(&shared(&store), t, 0).unwrap().1, 2);
}

#[test]
fn who_waits_in_a_circle_is_told() {
    let (store, t) = with_items(2);
    let (mut a, mut b) = (shared(&store), shared(&store));
    add(&mut a, t, 0, 1).unwrap();
    add(&mut b, t, 1, 1).unwrap();
    let result = add(&mut a, t, 1, 1);
    let turn = blocked(&mut a, result);
    assert!(add(&mut b, t, 0, 1).is_err());
    assert_eq!(b.retry().err().unwrap().state(), SqlState::DEADLOCK_DETECTED);
    drop(b);
    assert!(turn.has_come());
    add(&mut a, t, 1, 1).unwrap();
    commit(a);
}

#[test]
fn a_key_that_another_adds_or_takes_away_is_waited_for() {
    let (store, t) = with_items(1);
    let (mut a, mut b) = (shared(&store), shared(&store));
    insert(&mut a, t, 5).unwrap();
    delete(&mut a, t, 0).unwrap();
    let result = insert(&mut b, t, 5);
    let five = blocked(&mut b, result);
    drop(five);
    let result = insert(&mut b, t, 0);
    let zero = blocked(&mut b, result);
    commit(a);
    assert!(zero.has_come());
    insert(&mut b, t, 0).map_err(|_| assert!(matches!(b.retry().unwrap(), Some(Retry::Now)))).unwrap_or(());
    b.start_statement(Some(&[t])).unwrap();
    if row_of(&b, t, 0).is_none() {
        b.append(t, arrays(&[(0, Some(7), None, 0)])).unwrap();
    }
    // The other one is a duplicate now, once the newest state was looked at.
    assert!(insert(&mut b, t, 5).is_err());
    assert!(matches!(b.retry().unwrap(), Some(Retry::Now)));
    b.start_statement(Some(&[t])).unwrap();
    let error = b.append(t, arrays(&[(5, None, None, 0)])).err().unwrap();
    assert_eq!(error.state(), SqlState::UNIQUE_VIOLATION);
    assert!(b.retry().unwrap().is_none(), "its own fault");
    b.start_statement(None).unwrap();
    commit(b);
    dump(&store.published());
}

#[test]
fn a_row_that_is_referred_to_stays() {
    let (store, parents) = with_items(3);
    let mut txn = begin(&store);
    let snapshot = txn.snapshot();
    let child = TableDef {
        id: TableId(0),
        schema: "public".into(),
        name: "child".into(),
        columns: vec![
            column("id", SqlType::new(&def::INT4), true),
            column("parent", SqlType::new(&def::INT4), false),
        ],
        indexes: vec![index("child_pkey", &[0], IndexOrigin::PrimaryKey)],
        checks: vec![],
        foreign_keys: vec![foreign_key("child_fk", 1, snapshot.table(parents).unwrap())],
        options: Default::default(),
    };
    let children = txn.create_table(child).unwrap();
    commit(txn);
    let refer = |txn: &mut WriteTxn, id: i32, parent: i32| -> Result<()> {
        txn.start_insert(children)?;
        let column = |n: i32| -> arrow::array::ArrayRef { Arc::new(arrow::array::Int32Array::from(vec![n])) };
        txn.append(children, vec![column(id), column(parent)])?;
        txn.end_statement()
    };
    let (mut a, mut b, mut c) = (shared(&store), shared(&store), shared(&store));
    refer(&mut a, 1, 0).unwrap();
    refer(&mut b, 2, 0).unwrap();
    // A change that leaves the key alone is not in the way, and nothing is in its way.
    add(&mut c, parents, 0, 1).unwrap();
    let result = delete(&mut c, parents, 0);
    let turn = blocked(&mut c, result);
    commit(a);
    drop(b);
    assert!(turn.has_come());
    assert!(delete(&mut c, parents, 0).is_err());
    assert!(c.retry().unwrap().is_none(), "there is a row that refers to it");
    drop(c);
    // The other way round: the row goes first.
    let (mut a, mut b) = (shared(&store), shared(&store));
    delete(&mut a, parents, 1).unwrap();
    let result = refer(&mut b, 3, 1);
    let turn = blocked(&mut b, result);
    commit(a);
    assert!(turn.has_come());
    assert!(refer(&mut b, 3, 1).is_err());
    assert!(matches!(b.retry().unwrap(), Some(Retry::Now)));
    b.start_statement(Some(&[children])).unwrap();
    let one = |n: i32| -> arrow::array::ArrayRef { Arc::new(arrow::array::Int32Array::from(vec![n])) };
    b.append(children, vec![one(3), one(1)]).unwrap();
    assert_eq!(b.end_statement().unwrap_err().state(), SqlState::FOREIGN_KEY_VIOLATION);
}

#[test]
fn savepoints_go_back_and_give_locks_back() {
    let (store, t) = with_items(3);
    let (mut a, mut b) = (shared(&store), shared(&store));
    add(&mut a, t, 0, 1).unwrap();
    let savepoint = a.savepoint();
    add(&mut a, t, 1, 1).unwrap();
    add(&mut a, t, 0, 1).unwrap();
    let result = add(&mut b, t, 1, 5);
    let turn = blocked(&mut b, result);
    a.rollback_to(&savepoint).unwrap();
    assert!(turn.has_come());
    add(&mut b, t, 1, 5).unwrap();
    commit(b);
    a.start_statement(None).unwrap();
    assert_eq!([0, 1].map(|id| row_of(&a, t, id).unwrap().1), [1, 5]);
    // Alone now, and back to the time before.
    let turn = a.alone_turn().unwrap().unwrap();
    assert!(turn.has_come());
    a.go_alone().unwrap();
    assert!(!a.is_shared());
    add(&mut a, t, 2, 3).unwrap();
    a.create_table(items("u")).unwrap();
    a.rollback_to(&savepoint).unwrap();
    assert_eq!([0, 1, 2].map(|id| row_of(&a, t, id).unwrap().1), [1, 5, 0]);
    add(&mut a, t, 2, 4).unwrap();
    commit(a);
    assert_eq!([0, 1, 2].map(|id| row_of(&shared(&store), t, id).unwrap().1), [1, 5, 4]);
    dump(&store.published());
}

#[test]
fn large_transactions_become_alone_where_they_can() {
    let (store, t) = with_items(1);
    let rows = |from: i32, n: i32| (from..from + n).map(|i| (i, None, None, 0)).collect::<Vec<_>>();
    let mut a = shared(&store);
    a.start_insert(t).unwrap();
    a.append(t, arrays(&rows(10, 20_000))).unwrap();
    assert!(!a.is_shared());
    commit(a);
    let (mut a, mut b) = (shared(&store), shared(&store));
    add(&mut b, t, 0, 1).unwrap();
    a.start_insert(t).unwrap();
    assert!(a.append(t, arrays(&rows(100_000, 20_000))).is_err());
    assert!(matches!(a.retry().unwrap(), Some(Retry::Now)));
    assert!(a.is_shared(), "the other one did not end");
    a.start_statement(Some(&[t])).unwrap();
    a.append(t, arrays(&rows(100_000, 20_000))).unwrap();
    a.end_statement().unwrap();
    commit(b);
    commit(a);
    let published = store.published();
    assert_eq!(published.table(t).unwrap().rows(), 40_001);
    dump(&published);
}

/// Many threads move amounts between rows, insert and delete; the sum stays, and the log leads to the same state.
#[test]
fn moved_amounts_add_up() {
    const ACCOUNTS: i32 = 12;
    let disk = FaultVfs::default();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let store = open(vfs.clone()).unwrap();
    let mut txn = begin(&store);
    let t = txn.create_table(items("t")).unwrap();
    let rows: Vec<_> = (0..ACCOUNTS).map(|i| (i, Some(0), None, 0)).collect();
    txn.append(t, arrays(&rows)).unwrap();
    commit(txn);
    /// Runs a statement until it ends, or gives the transaction up for a deadlock.
    fn run(txn: &mut WriteTxn, mut statement: impl FnMut(&mut WriteTxn, bool) -> Result<()>) -> Result<()> {
        let mut again = false;
        loop {
            let Err(error) = statement(txn, again) else { return Ok(()) };
            again = true;
            match txn.retry()? {
                None => return Err(error),
                Some(Retry::Now) => {}
                Some(Retry::After(mut turn)) => turn.sleep(&LockWait::default())?,
            }
        }
    }
    let deadlocks = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for seed in 0..4_u64 {
            let (store, deadlocks) = (&store, &deadlocks);
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(seed);
                for round in 0..150 {
                    let mut txn = shared(store);
                    let own = 1000 + (seed as i32) * 1000 + round;
                    let mut work = || -> Result<()> {
                        for _ in 0..rng.random_range(1..3) {
                            let (from, to) = (rng.random_range(0..ACCOUNTS), rng.random_range(0..ACCOUNTS));
                            let n = rng.random_range(1..100);
                            run(&mut txn, |txn, _| add(txn, t, from, -n).map(|found| assert!(found)))?;
                            std::thread::yield_now();
                            run(&mut txn, |txn, _| add(txn, t, to, n).map(|found| assert!(found)))?;
                        }
                        run(&mut txn, |txn, again| {
                            if again { txn.start_statement(None) } else { txn.start_insert(t) }?;
                            txn.append(t, arrays(&[(own, Some(0), None, 0)]))?;
                            txn.end_statement()
                        })?;
                        if round % 3 == 0 {
                            run(&mut txn, |txn, _| delete(txn, t, own))?;
                        }
                        Ok(())
                    };
                    match work() {
                        Ok(()) if round % 7 == 0 => txn.rollback(),
                        Ok(()) => commit(txn),
                        Err(e) => {
                            assert_eq!(e.state(), SqlState::DEADLOCK_DETECTED, "{e}");
                            deadlocks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let published = store.published();
    let table = published.table(t).unwrap();
    let mut sums: BTreeMap<bool, i64> = BTreeMap::new();
    let end = shared(&store);
    for group in table.row_groups() {
        for offset in (0..group.len()).filter(|o| group.is_live(*o)) {
            let ids = group.column(0).unwrap();
            let Datum::Int32(id) = Datum::from_column(&ids, offset, SqlType::new(&def::INT4)).unwrap() else {
                panic!("not an id")
            };
            *sums.entry(id < ACCOUNTS).or_default() += row_of(&end, t, id).unwrap().1;
        }
    }
    drop(end);
    assert_eq!(sums[&true], 0);
    let before = dump(&published);
    drop(published);
    drop(store);
    assert!(dump(&open(vfs).unwrap().published()) == before, "the log leads to the same state");
}
