//! Seeds of the simulation; more with `spg-sim --seeds`.

use spg_vfs::Fault;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

#[test]
fn nothing_acknowledged_is_lost() {
    let seen = spg_sim::run_all(0..2000, threads()).unwrap_or_else(|e| panic!("{e}"));
    assert!(seen.acknowledged > 10_000 && seen.shared > 5_000 && seen.starts == 8_000, "{seen:?}");
    assert!(seen.checkpoints > 1_000 && seen.freezes > 1_000 && seen.backups > 100, "{seen:?}");
    assert!(seen.compactions > 100, "{seen:?}");
}

#[test]
fn every_operation_of_a_life_may_fail() {
    for (seed, fault) in
        [(1, Fault::Crash), (2, Fault::Crash), (3, Fault::Io), (4, Fault::NoSpace), (5, Fault::ShortWrite)]
    {
        let operations = spg_sim::fail_each(seed, 30, fault).unwrap_or_else(|e| panic!("{e}"));
        assert!(operations > 60, "{operations}");
    }
}
