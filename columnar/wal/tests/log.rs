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
use spg_wal::{Log, OpBody, Ops, Recovery, TeeOptions, TornTail};

const PATH: &str = "wal.log";
type Transactions = Vec<(u64, Vec<Vec<u8>>)>;

fn create(vfs: &Arc<dyn Vfs>) -> Result<Log> {
    let mut recovery = Recovery::create(vfs.clone(), Path::new(PATH), [7; 16], 1)?;
    assert!(recovery.next_transaction()?.is_none());
    Log::start(recovery, Box::new(|| {}), None)
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

    let log = Log::start(recovery, Box::new(|| {}), None).unwrap();
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
        let log = Log::start(recovery, Box::new(|| {}), None).unwrap();
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
        None,
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

fn rotate(log: &Log) -> bool {
    log.rotate(log.generation().unwrap()).unwrap()
}

#[test]
fn rotated_parts_are_read_in_order_until_a_checkpoint_has_them() {
    let memory = MemoryVfs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(memory.clone());
    let log = create(&vfs).unwrap();
    assert!(rotate(&log), "nothing to rotate is no obstacle");
    for no in 1..=9 {
        commit(&log, no, &small(no)).recv().unwrap().unwrap();
        if no % 3 == 0 {
            assert!(rotate(&log));
        }
    }
    let generation = log.generation().unwrap();
    log.chunk(generation, 99, ops(&small(1))).unwrap();
    assert!(!rotate(&log), "a transaction stays in one file");
    log.commit(generation, 99, 10, 0, 2, ops(&small(10)), None, || {}).unwrap();
    assert!(rotate(&log));
    let parts = |vfs: &dyn Vfs| vfs.list(Path::new(".")).unwrap().len();
    assert_eq!(parts(&*vfs), 5);
    log.remove_through(7).unwrap();
    assert_eq!(parts(&*vfs), 3);
    drop(log);
    let read_after = |baseline| -> Result<Vec<u64>> {
        let mut recovery = Recovery::open_after(vfs.clone(), Path::new(PATH), baseline)?.unwrap();
        let mut found = Vec::new();
        while let Some(t) = recovery.next_transaction()? {
            found.push(t.commit_no);
        }
        Ok(found)
    };
    assert_eq!(read_after(6).unwrap(), [7, 8, 9, 10]);
    assert_eq!(read_after(8).unwrap(), [9, 10]);
    assert_eq!(read_after(10).unwrap(), [0; 0]);
    assert!(read_after(5).unwrap_err().message().contains("begins with commit 7"));
    assert!(read_after(11).unwrap_err().message().contains("ends with commit 10, before the checkpoint"));
    // Every flip in a rotated part is damage, as is a part that is gone or cut.
    let part = format!("{PATH}.{:020}", 7);
    let good = spg_vfs::read_file(&*vfs, Path::new(&part)).unwrap().unwrap();
    let frames = good.iter().rposition(|b| *b != 0).unwrap() + 1;
    for at in 0..frames {
        for mask in [0x01, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[at] ^= mask;
            spg_vfs::replace_file(&*vfs, Path::new(&part), &bad).unwrap();
            let error = read_after(6).unwrap_err();
            assert!(error.message().contains("wal.log"), "byte {at}: {error:?}");
        }
    }
    spg_vfs::replace_file(&*vfs, Path::new(&part), &good[..frames - 30]).unwrap();
    assert_eq!(read_after(6).unwrap_err().state(), SqlState::DATA_CORRUPTED);
    vfs.remove(Path::new(&part)).unwrap();
    assert_eq!(read_after(6).unwrap_err().state(), SqlState::DATA_CORRUPTED);
}

#[test]
fn a_crash_at_any_operation_of_a_rotation_loses_nothing() {
    for n in 0..40 {
        for seed in 0..6 {
            let disk = FaultVfs::default();
            let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
            let log = create(&vfs).unwrap();
            disk.fail_after(n, Fault::Crash);
            let mut acknowledged = 0;
            for no in 1..=4 {
                acknowledged += u64::from(commit(&log, no, &small(no)).recv().unwrap().is_ok());
                if let Ok(generation) = log.generation() {
                    let _ = log.rotate(generation);
                }
            }
            drop(log);
            let image: Arc<dyn Vfs> = Arc::new(disk.crash_image(seed));
            let (found, _, _) = read(&image).unwrap_or_else(|e| panic!("operation {n}, seed {seed}: {e:?}"));
            assert!(found.len() as u64 >= acknowledged, "operation {n}, seed {seed}");
            assert!(
                found.iter().enumerate().all(|(i, (no, list))| (*no, list) == (i as u64 + 1, &small(*no)))
            );
        }
    }
}

#[test]
fn a_second_copy_follows_and_never_stops_the_first() {
    let disk = FaultVfs::default();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let copy = "copy/wal.log";
    let (send, reports) = channel();
    let tee = || {
        let send = send.clone();
        TeeOptions { path: copy.into(), report: Box::new(move |e| send.send(e.clone()).unwrap()) }
    };
    let start = |recovery| Log::start(recovery, Box::new(|| {}), Some(tee())).unwrap();
    let mut recovery = Recovery::create(vfs.clone(), Path::new(PATH), [7; 16], 1).unwrap();
    assert!(recovery.next_transaction().unwrap().is_none());
    let log = start(recovery);
    let generation = log.generation().unwrap();
    for no in 1..=5 {
        commit(&log, no, &small(no)).recv().unwrap().unwrap();
        // Streamed and taken back: the copy is cut as well.
        log.chunk(generation, 70 + no, ops(&[vec![no as u8; 300_000]])).unwrap();
        log.abort(generation, 70 + no);
        assert!(no != 3 || rotate(&log));
    }
    drop(log);
    let whole = |path: &str| {
        let mut recovery = Recovery::open(vfs.clone(), Path::new(path)).unwrap().unwrap();
        let mut found = Vec::new();
        while let Some(t) = recovery.next_transaction().unwrap() {
            found.push(t.commit_no);
        }
        found
    };
    assert_eq!((whole(PATH), whole(copy)), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5]));
    let same = |name: &str| {
        spg_vfs::read_file(&*vfs, Path::new(name)).unwrap().unwrap()
            == spg_vfs::read_file(&*vfs, &Path::new("copy").join(name)).unwrap().unwrap()
    };
    assert!(same(PATH));
    // A copy that can't be written is reported; the log goes on.
    spg_vfs::replace_file(
        &*vfs,
        Path::new(copy),
        b"something else, which is long enough for a header of a log",
    )
    .unwrap();
    let (_, _, recovery) = read(&vfs).unwrap();
    let log = start(recovery);
    commit(&log, 6, &small(6)).recv().unwrap().unwrap();
    assert!(reports.recv().unwrap().message().contains("is not a copy of this database's log"));
    commit(&log, 7, &small(7)).recv().unwrap().unwrap();
    drop(log);
    assert_eq!(whole(PATH).len(), 7);
}
