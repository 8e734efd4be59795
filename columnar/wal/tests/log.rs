//! The log on good and bad disks: what recovery reads back, what it refuses, what a failure costs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use spg_types::{Result, SqlState};
use spg_vfs::{Fault, FaultVfs, MemoryVfs, Vfs};
use spg_wal::{Log, OpBody, Ops, Recovery, TornTail};

const PATH: &str = "wal.log";
type Transactions = Vec<(u64, Vec<Vec<u8>>)>;

fn create(vfs: &Arc<dyn Vfs>) -> Result<Log> {
    let mut recovery = Recovery::create(vfs.clone(), Path::new(PATH), [7; 16], 1)?;
    assert!(recovery.next_transaction()?.is_none());
    Log::start(recovery, Box::new(|| {}))
}

fn read(vfs: &Arc<dyn Vfs>) -> Result<(Transactions, Option<TornTail>, Recovery)> {
    let mut recovery = Recovery::open(vfs.clone(), Path::new(PATH))?.expect("there is a log");
    assert_eq!(recovery.database_id(), [7; 16]);
    let mut found = Vec::new();
    while let Some(transaction) = recovery.next_transaction()? {
        let mut ops = Vec::new();
        transaction.for_each_op(|op| {
            ops.push(op.to_vec());
            Ok(())
        })?;
        found.push((transaction.commit_no, ops));
    }
    let torn = recovery.cut_tail()?;
    Ok((found, torn, recovery))
}

fn ops(list: &[Vec<u8>]) -> Ops {
    let mut ops = Ops::new();
    for op in list {
        if op.len() > 20 {
            ops.push_with_body(&op[..3], OpBody::new(op[3..].to_vec())).unwrap();
        } else {
            ops.push(op).unwrap();
        }
    }
    ops
}

fn commit(log: &Log, no: u64, list: &[Vec<u8>]) -> Receiver<Result<()>> {
    let (send, receive) = channel();
    let done = Box::new(move |r| send.send(r).unwrap());
    let failed = {
        let send = done.clone();
        move |e| send(Err(e))
    };
    let queued = log.generation().and_then(|g| log.commit(g, no, no, 0, 0, ops(list), Some(done), || {}));
    queued.unwrap_or_else(failed);
    receive
}

fn small(no: u64) -> Vec<Vec<u8>> {
    vec![vec![no as u8; 10], vec![no as u8; 30 + no as usize % 50]]
}

#[test]
fn commits_chunks_undo_and_abort_are_read_back() {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new());
    let log = create(&vfs).unwrap();
    commit(&log, 1, &small(1)).recv().unwrap().unwrap();
    let generation = log.generation().unwrap();
    let chunk = |i: u8| vec![vec![i; 5], vec![i; 100_000]];
    log.chunk(generation, 20, ops(&chunk(1))).unwrap();
    log.abort(generation, 20);
    log.chunk(generation, 21, ops(&chunk(2))).unwrap();
    log.chunk(generation, 21, ops(&chunk(3))).unwrap();
    log.undo(generation, 21, 3).unwrap();
    log.chunk(generation, 21, ops(&chunk(4))).unwrap();
    log.commit(generation, 21, 2, 0, 5, ops(&chunk(5)), None, || {}).unwrap();
    log.chunk(generation, 22, ops(&chunk(6))).unwrap();
    drop(log);

    let (found, torn, recovery) = read(&vfs).unwrap();
    assert_eq!(torn, None);
    let mut expected = chunk(2);
    expected.push(vec![3; 5]);
    expected.extend(chunk(4));
    expected.extend(chunk(5));
    assert!(found == [(1, small(1)), (2, expected)]);

    let log = Log::start(recovery, Box::new(|| {})).unwrap();
    commit(&log, 3, &small(3)).recv().unwrap().unwrap();
    drop(log);
    assert_eq!(read(&vfs).unwrap().0.len(), 3);
}

#[test]
fn a_crash_anywhere_keeps_what_was_acknowledged() {
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let disk = FaultVfs::default();
        let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
        let log = create(&vfs).unwrap();
        disk.fail_after(rng.random_range(0..40), Fault::Crash);
        let mut acknowledged = 0;
        let mut sent = 0;
        while !disk.crashed() && sent < 60 {
            let generation = log.generation().unwrap_or(0);
            if rng.random_bool(0.3) {
                let list = vec![vec![9; rng.random_range(1..200_000)]];
                let _ = log.chunk(generation, 1000 + sent, ops(&list));
                if rng.random_bool(0.5) {
                    log.abort(generation, 1000 + sent);
                }
            }
            let burst = rng.random_range(1..4);
            let waits: Vec<_> =
                (0..burst).map(|i| commit(&log, sent + i + 1, &small(sent + i + 1))).collect();
            sent += burst;
            acknowledged += waits.iter().filter(|w| w.recv().unwrap().is_ok()).count() as u64;
        }
        drop(log);
        let image: Arc<dyn Vfs> = Arc::new(disk.crash_image(seed));
        let (found, _, recovery) = read(&image).unwrap_or_else(|e| panic!("seed {seed}: {e:?}"));
        assert!(found.len() as u64 >= acknowledged, "seed {seed}: {} of {acknowledged}", found.len());
        for (i, (no, list)) in found.iter().enumerate() {
            assert_eq!((*no, list), (i as u64 + 1, &small(i as u64 + 1)), "seed {seed}");
        }
        // The log goes on from there, and what recovery has cut off stays away.
        let log = Log::start(recovery, Box::new(|| {})).unwrap();
        let next = found.len() as u64 + 1;
        commit(&log, next, &small(next)).recv().unwrap().unwrap();
        drop(log);
        assert_eq!(read(&image).unwrap().0.len() as u64, next);
    }
}

#[test]
fn a_full_disk_fails_the_commit_and_nothing_else() {
    let disk = FaultVfs::default();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let log = create(&vfs).unwrap();
    commit(&log, 1, &small(1)).recv().unwrap().unwrap();
    disk.set_capacity(Some(disk.disk().total_bytes() + 1000));
    let generation = log.generation().unwrap();
    let error = commit(&log, 2, &[vec![1; 500_000]]).recv().unwrap().unwrap_err();
    assert_eq!(error.state(), SqlState::DISK_FULL);
    assert!(error.message().contains("wal.log"), "{error}");
    // Who began before the failure builds on what has failed.
    assert_eq!(log.chunk(generation, 5, ops(&small(1))).unwrap_err().state(), SqlState::DISK_FULL);
    commit(&log, 2, &small(2)).recv().unwrap().unwrap();
    // A transaction that streams runs full, is taken back, and its room is free again.
    let generation = log.generation().unwrap();
    let full = (0..100).find_map(|_| log.chunk(generation, 9, ops(&[vec![3; 100_000]])).err());
    let full = full.unwrap_or_else(|| commit(&log, 3, &small(3)).recv().unwrap().unwrap_err());
    assert_eq!(full.state(), SqlState::DISK_FULL);
    while log.generation().unwrap() == generation {
        std::thread::yield_now();
    }
    commit(&log, 3, &small(3)).recv().unwrap().unwrap();
    drop(log);
    assert!(read(&vfs).unwrap().0 == [(1, small(1)), (2, small(2)), (3, small(3))]);
}

#[test]
fn a_failed_sync_ends_writing() {
    let disk = FaultVfs::default();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let mut recovery = Recovery::create(vfs.clone(), Path::new(PATH), [7; 16], 1).unwrap();
    assert!(recovery.next_transaction().unwrap().is_none());
    let failures = Arc::new(AtomicU64::new(0));
    let count = failures.clone();
    let log = Log::start(
        recovery,
        Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }),
    )
    .unwrap();
    commit(&log, 1, &small(1)).recv().unwrap().unwrap();
    disk.fail_syncs(true);
    let error = commit(&log, 2, &small(2)).recv().unwrap().unwrap_err();
    assert_eq!(error.state(), SqlState::IO_ERROR);
    disk.fail_syncs(false);
    let error = commit(&log, 2, &small(2)).recv().unwrap().unwrap_err();
    assert!(error.message().contains("read-only"), "{error}");
    assert_eq!(failures.load(Ordering::Relaxed), 1);
    drop(log);
    assert!(read(&vfs).unwrap().0 == [(1, small(1))]);
}

#[test]
fn every_bit_flip_is_found() {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new());
    let log = create(&vfs).unwrap();
    for no in 1..=6 {
        commit(&log, no, &small(no)).recv().unwrap().unwrap();
    }
    drop(log);
    let good = spg_vfs::read_file(&*vfs, Path::new(PATH)).unwrap().unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new());
        spg_vfs::replace_file(&*vfs, Path::new(PATH), &bad).unwrap();
        match read(&vfs) {
            Err(e) => {
                assert!(e.message().contains("wal.log"), "{e:?}");
                let known = [SqlState::DATA_CORRUPTED, SqlState::SYSTEM_ERROR];
                assert!(known.contains(&e.state()), "bit {bit}: {e:?}");
            }
            // A flip in the closing mark itself leaves no later witness, and loses nothing.
            Ok((found, torn, _)) => {
                assert_eq!(found.len(), 6, "bit {bit}");
                assert!(torn.unwrap().kept_in.is_some());
            }
        }
    }
}

#[test]
fn other_files_are_refused() {
    let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new());
    let open = |content: &[u8]| {
        spg_vfs::replace_file(&*vfs, Path::new(PATH), content).unwrap();
        Recovery::open(vfs.clone(), Path::new(PATH)).err().unwrap()
    };
    assert!(open(b"").message().contains("not an SPG log: it has only 0 bytes"));
    let error = open(&[b'x'; 100]);
    assert!(error.message().contains("begins with \"xxxx"), "{error}");
    drop(create(&vfs).unwrap());
    let mut newer = spg_vfs::read_file(&*vfs, Path::new(PATH)).unwrap().unwrap();
    newer[15] = 9;
    let error = open(&newer);
    assert_eq!(error.message(), "log file \"wal.log\" has format version 9; this server reads version 3");
}
