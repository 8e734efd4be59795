//! How long loading, single-row commits and replay take: `cargo run --release -p spg-store --example load -- <rows> <dir>`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Date32Array, Decimal64Array, Int32Array, StringViewArray};
use spg_store::{LockWait, ROW_GROUP_ROWS, Store, StoreOptions, prepare_batch};
use spg_types::{ColumnDef, IndexColumn, IndexDef, IndexId, IndexOrigin, SqlType, TableDef, TableId, def};
use spg_vfs::RealVfs;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn money() -> SqlType {
    SqlType::with_typmod(&def::NUMERIC, ((15 << 16) | 2) + 4)
}

fn lineitem() -> TableDef {
    let int = SqlType::new(&def::INT4);
    let text = SqlType::new(&def::TEXT);
    let date = SqlType::new(&def::DATE);
    let columns = [
        ("l_orderkey", int),
        ("l_partkey", int),
        ("l_suppkey", int),
        ("l_linenumber", int),
        ("l_quantity", money()),
        ("l_extendedprice", money()),
        ("l_discount", money()),
        ("l_tax", money()),
        ("l_returnflag", text),
        ("l_linestatus", text),
        ("l_shipdate", date),
        ("l_commitdate", date),
        ("l_receiptdate", date),
        ("l_shipinstruct", text),
        ("l_shipmode", text),
        ("l_comment", text),
    ];
    let key = |column| IndexColumn { column, descending: false, nulls_first: false };
    TableDef {
        id: TableId(0),
        schema: "public".into(),
        name: "lineitem".into(),
        columns: columns
            .into_iter()
            .map(|(name, ty)| ColumnDef { name: name.into(), ty, not_null: true, default: None })
            .collect(),
        indexes: vec![IndexDef {
            id: IndexId(0),
            name: "lineitem_pkey".into(),
            columns: vec![key(0), key(3)],
            unique: true,
            origin: IndexOrigin::PrimaryKey,
        }],
        checks: vec![],
        foreign_keys: vec![],
        options: Default::default(),
    }
}

fn mix(i: u64) -> u64 {
    let v = (i ^ (i >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let v = (v ^ (v >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^ (v >> 31)
}

const WORDS: [&str; 16] = [
    "carefully",
    "final",
    "deposits",
    "regular",
    "packages",
    "sleep",
    "quickly",
    "ironic",
    "accounts",
    "furiously",
    "express",
    "requests",
    "blithely",
    "slyly",
    "above",
    "the",
];

fn batch(from: usize, rows: usize) -> Vec<ArrayRef> {
    let ids = || from as u64..(from + rows) as u64;
    let ints = |f: &dyn Fn(u64) -> i32| Arc::new(Int32Array::from_iter_values(ids().map(f))) as ArrayRef;
    let decimals = |f: &dyn Fn(u64) -> i64| {
        Arc::new(Decimal64Array::from_iter_values(ids().map(f)).with_data_type(money().data_type()))
            as ArrayRef
    };
    let dates = |n: u64| {
        Arc::new(Date32Array::from_iter_values(ids().map(|i| 8000 + (mix(i * 7 + n) % 2500) as i32)))
            as ArrayRef
    };
    let texts = |values: &[&str], n: u64| {
        let pick = |i: u64| values[(mix(i * 31 + n) % values.len() as u64) as usize];
        Arc::new(StringViewArray::from_iter_values(ids().map(pick))) as ArrayRef
    };
    let comment = |i: u64| {
        let words = (0..3 + mix(i) % 3).map(|w| WORDS[(mix(i * 9 + w) % 16) as usize]);
        words.collect::<Vec<_>>().join(" ")
    };
    vec![
        ints(&|i| (i / 4) as i32),
        ints(&|i| (mix(i) % 200_000) as i32),
        ints(&|i| (mix(i + 1) % 10_000) as i32),
        ints(&|i| (i % 4) as i32),
        decimals(&|i| (mix(i) % 50 + 1) as i64 * 100),
        decimals(&|i| (mix(i) % 10_000_000) as i64),
        decimals(&|i| (mix(i + 3) % 11) as i64),
        decimals(&|i| (mix(i + 4) % 9) as i64),
        texts(&["A", "N", "R"], 1),
        texts(&["O", "F"], 2),
        dates(1),
        dates(2),
        dates(3),
        texts(&["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"], 3),
        texts(&["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"], 4),
        Arc::new(StringViewArray::from_iter_values(ids().map(comment))),
    ]
}

fn open(dir: &Path) -> Arc<Store> {
    Store::open(StoreOptions {
        vfs: Arc::new(RealVfs),
        db_path: dir.join("spg.db"),
        wal_path: dir.join("wal.log"),
        synchronous_commit: true,
        wal_tee: None,
        checkpoint_wal_bytes: 1 << 30,
        tier: spg_store::TierOptions::default(),
        clock: || 0,
    })
    .unwrap()
}

fn rss_mib() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4 / 1024
}

/// Seconds of processor time that this thread has used; the machine may be busy with others.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn main() {
    let mut args = std::env::args().skip(1);
    let rows: usize = args.next().unwrap().parse().unwrap();
    let dir = args.next().unwrap();
    let dir = Path::new(&dir);
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir_all(dir).unwrap();
    let started = Instant::now();
    let store = open(dir);
    println!("open: {:?}", started.elapsed());
    let mut txn = store.begin(&LockWait::default()).unwrap();
    let table = txn.create_table(lineitem()).unwrap();
    txn.commit().unwrap().wait().unwrap();
    let def = store.published().table(table).unwrap().def().clone();

    let (mut make, mut prepare, mut append) = (0.0, 0.0, 0.0);
    let mut txn = store.begin(&LockWait::default()).unwrap();
    for from in (0..rows).step_by(ROW_GROUP_ROWS) {
        let t = cpu();
        let columns = batch(from, ROW_GROUP_ROWS.min(rows - from));
        make += cpu() - t;
        let t = cpu();
        let prepared = prepare_batch(&def, columns).unwrap();
        prepare += cpu() - t;
        let t = cpu();
        txn.append_prepared(table, prepared).unwrap();
        append += cpu() - t;
    }
    let t = Instant::now();
    txn.end_statement().unwrap();
    txn.commit().unwrap().wait().unwrap();
    let commit = t.elapsed();
    let ns = |s: f64| s * 1e9 / rows as f64;
    println!(
        "per row: make {:.0} ns, prepare {:.0} ns, append {:.0} ns; commit {commit:?}",
        ns(make),
        ns(prepare),
        ns(append)
    );
    let snapshot = store.published();
    let t = snapshot.table(table).unwrap();
    let bytes: usize = t.row_groups().map(|g| g.bytes()).sum();
    println!(
        "log {} MB, columns {} MB, index {} MB, rss {} MiB",
        std::fs::metadata(dir.join("wal.log")).unwrap().len() / 1_000_000,
        bytes / 1_000_000,
        t.indexes()[0].bytes() / 1_000_000,
        rss_mib()
    );
    drop(snapshot);

    let n = 20_000;
    let mut id = 1_000_000_000;
    let single = |id: u64| batch(id as usize, 1);
    let t = Instant::now();
    let singles: Vec<_> = (0..n).map(|i| single(id + i)).collect();
    println!("making a single row: {:?}", t.elapsed() / n as u32);
    let (t, busy) = (Instant::now(), cpu());
    let mut pending = Vec::new();
    for columns in singles {
        let mut txn = store.begin(&LockWait::default()).unwrap();
        txn.append(table, columns).unwrap();
        txn.end_statement().unwrap();
        pending.push(txn.commit().unwrap());
    }
    let busy = (cpu() - busy) / n as f64 * 1e6;
    pending.into_iter().for_each(|p| p.wait().unwrap());
    println!("single-row commit, writer's side: {busy:.1} us; until all are durable: {:?}", t.elapsed());
    id += n;
    let t = Instant::now();
    for i in 0..200 {
        let mut txn = store.begin(&LockWait::default()).unwrap();
        txn.append(table, single(id + i)).unwrap();
        txn.commit().unwrap().wait().unwrap();
    }
    println!("one client's durable commit: {:?}", t.elapsed() / 200);
    id += 200;
    let threads = 32;
    let each = 300;
    let t = Instant::now();
    std::thread::scope(|scope| {
        for c in 0..threads {
            let store = &store;
            scope.spawn(move || {
                for i in 0..each {
                    let columns = single(id + c * each + i);
                    let mut txn = store.begin(&LockWait::default()).unwrap();
                    txn.append(table, columns).unwrap();
                    txn.commit().unwrap().wait().unwrap();
                }
            });
        }
    });
    println!("{threads} clients: {:.0} commits/s", (threads * each) as f64 / t.elapsed().as_secs_f64());
    let t = Instant::now();
    let db = store.published();
    let stats = db.table(table).unwrap().stats();
    println!("stats {:?}: {} rows, {} distinct orders", t.elapsed(), stats.rows, stats.columns[0].distinct);
    store.close().unwrap();
    drop((db, store));
    let t = Instant::now();
    let store = open(dir);
    println!(
        "replay: {:?}, {} rows, rss {} MiB",
        t.elapsed(),
        store.published().table(table).unwrap().rows(),
        rss_mib()
    );
    std::fs::remove_dir_all(dir).unwrap();
}
