//! A short run of the kill test: the long one is `cargo run --release -p spg-crash`.

use std::time::Duration;

use spg_crash::{Plan, run};

#[test]
fn nothing_acknowledged_is_lost_and_nothing_else_is_there() {
    let server = spg_corpus::binary("spg-server").unwrap();
    let plan = Plan { server, cycles: 8, clients: 3, seed: 7, longest: Duration::from_millis(600) };
    let summary = run(&plan, |_| {}).unwrap();
    assert_eq!(summary.kills, 8);
    assert!(summary.acknowledged > 0, "the load never got through");
    assert!(summary.maintenance > 0 && summary.segments > 0, "{summary:?}");
}
