//! `spg-crash`: ends a server under load again and again and checks what it kept.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use spg_crash::{Failure, Plan, full_disk, run};

/// Ends a real spg-server under load and checks that everything acknowledged is there, and nothing else.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    test: Option<Test>,
    /// Seed of the load.
    #[arg(long, default_value_t = 1, global = true)]
    seed: u64,
    /// The server's binary; built when left out.
    #[arg(long, global = true)]
    server: Option<PathBuf>,
    #[command(flatten)]
    kill: Kill,
}

#[derive(Subcommand)]
enum Test {
    /// Kills it with kill -9 (the default).
    Kill(Kill),
    /// Fills its disk, a small tmpfs: needs the right to mount.
    FullDisk {
        /// How many times the disk is filled.
        #[arg(long, default_value_t = 20)]
        cycles: u32,
        /// Size of the disk, MiB.
        #[arg(long, default_value_t = 32)]
        disk_mib: usize,
    },
}

#[derive(clap::Args, Clone)]
struct Kill {
    /// How many times the server is killed.
    #[arg(long, default_value_t = 500)]
    cycles: u32,
    /// Clients at a time.
    #[arg(long, default_value_t = 4)]
    clients: u32,
    /// Longest time between start and kill, milliseconds.
    #[arg(long, default_value_t = 800)]
    longest_ms: u64,
}

fn kill(server: PathBuf, seed: u64, args: &Kill) -> Result<String, Failure> {
    let longest = Duration::from_millis(args.longest_ms);
    let plan = Plan { server, cycles: args.cycles, clients: args.clients, seed, longest };
    let seen = run(&plan, |s| {
        println!(
            "cycle {}: {} operations acknowledged; of those under way at a kill {} happened, {} did not; {} checkpoints and freezes by \
             hand, up to {} segments",
            s.kills, s.acknowledged, s.survived, s.vanished, s.maintenance, s.segments
        );
    })?;
    Ok(format!(
        "{} kills, {} acknowledged operations: nothing lost, nothing invented",
        seen.kills, seen.acknowledged
    ))
}

fn fill(server: PathBuf, seed: u64, cycles: u32, disk_mib: usize) -> Result<String, Failure> {
    let seen = full_disk::run(&full_disk::Plan { server, cycles, seed, disk_mib }, |s| {
        println!(
            "filled {} times: {} statements acknowledged, {} refused",
            s.filled, s.acknowledged, s.refused
        );
    })?;
    let Some(s) = seen else { return Ok("skipped: no tmpfs can be mounted here".into()) };
    Ok(format!(
        "filled {} times, {} statements acknowledged, {} refused, {} starts on a full disk answered and {} refused: nothing lost, \
         nothing invented",
        s.filled, s.acknowledged, s.refused, s.started_full, s.refused_full
    ))
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
    let result = match &args.test {
        Some(Test::FullDisk { cycles, disk_mib }) => fill(server, args.seed, *cycles, *disk_mib),
        Some(Test::Kill(kill_args)) => kill(server, args.seed, kill_args),
        None => kill(server, args.seed, &args.kill),
    };
    match result {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("FAILED (seed {}): {e}", args.seed);
            ExitCode::FAILURE
        }
    }
}
