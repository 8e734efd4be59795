//! Some seeds of the simulation; more with `spg-sim --seeds`.

#[test]
fn nothing_acknowledged_is_lost() {
    let mut checkpoints = 0;
    for seed in 0..300 {
        match spg_sim::run(seed) {
            Ok(outcome) => checkpoints += outcome.checkpoints,
            Err(e) => panic!("{e}"),
        }
    }
    assert!(checkpoints > 100, "{checkpoints}");
}
