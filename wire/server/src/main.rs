//! `spg-server`: one process, one database, its listeners.
//!
//! Assembly only: configuration, start-up lines, signals, exit codes. 0 after an orderly end, 1 when the server could not
//! start or end properly, 2 for a wrong command line or environment.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

mod args;
mod cpu;
mod environment;
mod serve;

use args::Args;
use environment::Environment;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all: everything else may use instructions that an older processor does not have.
    let missing = cpu::missing_features();
    if !missing.is_empty() {
        eprintln!(
            "spg-server: this build needs a processor with x86-64-v3 (AVX2); this one lacks {}.\n\
             Build it for this machine: RUSTFLAGS=\"-C target-cpu=native\" cargo build --release",
            missing.join(", ")
        );
        return ExitCode::FAILURE;
    }
    start()
}

#[inline(never)]
fn start() -> ExitCode {
    let args = Args::parse();
    let environment = match Environment::read(|name| std::env::var_os(name)) {
        Ok(environment) => environment,
        Err(e) => {
            eprintln!("spg-server: {e}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(tracing::Level::INFO)
        .init();
    for name in environment::unknown(std::env::vars_os()) {
        tracing::warn!("environment variable {name} is not one that spg-server knows");
    }
    match serve::run(&args, &environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("spg-server: {e}");
            for more in [e.context(), e.detail(), e.hint()].into_iter().flatten() {
                eprintln!("  {more}");
            }
            ExitCode::FAILURE
        }
    }
}
