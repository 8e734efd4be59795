//! `spg-crash`: kills a server under load again and again and checks what it kept.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use spg_crash::{Plan, run};

/// Kills a real spg-server with kill -9 under a mixed load and checks that everything acknowledged is there, and nothing else.
#[derive(Parser)]
struct Args {
    /// How many times the server is killed.
    #[arg(long, default_value_t = 200)]
    cycles: u32,
    /// Clients at a time.
    #[arg(long, default_value_t = 4)]
    clients: u32,
    /// Seed of the load.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Longest time between start and kill, milliseconds.
    #[arg(long, default_value_t = 800)]
    longest_ms: u64,
    /// The server's binary; built when left out.
    #[arg(long)]
    server: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let server = match args.server.map_or_else(|| spg_corpus::binary("spg-server"), Ok) {
        Ok(path) => path,
        Err(e) => {
            eprintln!("no server to test: {e}");
            return ExitCode::FAILURE;
        }
    };
    let plan = Plan {
        server,
        cycles: args.cycles,
        clients: args.clients,
        seed: args.seed,
        longest: Duration::from_millis(args.longest_ms),
    };
    let result = run(&plan, |s| {
        println!(
            "cycle {}: {} operations acknowledged; of those under way at a kill {} happened, {} did not",
            s.kills, s.acknowledged, s.survived, s.vanished
        );
    });
    match result {
        Ok(s) => {
            println!(
                "{} kills, {} acknowledged operations: nothing lost, nothing invented",
                s.kills, s.acknowledged
            );
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("FAILED (seed {}): {e}", plan.seed);
            ExitCode::FAILURE
        }
    }
}
