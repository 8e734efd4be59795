//! `spg-sim`: runs the simulation for a range of seeds, or one again.

use std::process::ExitCode;

use clap::Parser;

/// Simulates databases on disks that fail, and checks after every start that nothing acknowledged is lost.
#[derive(Parser)]
struct Args {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// This seed alone: one that has failed, for example.
    #[arg(long)]
    seed: Option<u64>,
    /// Seeds at a time [default: one per core].
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let seeds = match args.seed {
        Some(seed) => seed..seed + 1,
        None => args.first..args.first + args.seeds,
    };
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    match spg_sim::run_all(seeds.clone(), threads) {
        Ok(o) => {
            println!(
                "{} seeds: {} acknowledged commits, {} of them side by side, {} checkpoints, {} freezes, {} compactions, \
                 {} backups, {} failures of the disk, {} starts: nothing lost, nothing invented",
                seeds.end - seeds.start,
                o.acknowledged,
                o.shared,
                o.checkpoints,
                o.freezes,
                o.compactions,
                o.backups,
                o.failures,
                o.starts,
            );
            ExitCode::SUCCESS
        }
        Err(e) => {
            let seed = e.strip_prefix("seed ").and_then(|rest| rest.split(':').next()).unwrap_or("?");
            eprintln!("FAILED: {e}\nagain: spg-sim --seed {seed}");
            ExitCode::FAILURE
        }
    }
}
