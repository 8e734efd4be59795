//! A short run on a disk that is really full: the long one is `spg-crash full-disk`.

use spg_crash::full_disk::{Plan, run};

#[test]
fn a_full_disk_loses_nothing_and_ends_with_room() {
    let server = spg_corpus::binary("spg-server").unwrap();
    match run(&Plan { server, cycles: 2, seed: 3, disk_mib: 12 }, |_| {}).unwrap() {
        Some(seen) => assert!(seen.filled == 2 && seen.refused >= 40 && seen.acknowledged > 20, "{seen:?}"),
        None => println!("skipped: no tmpfs can be mounted here"),
    }
}
