//! `spg-suite tpch|oltp|copy|tiers`: SPG beside other engines, in one run on one machine, as Markdown tables.
//!
//! The server under test is the release binary of this workspace, in a temporary directory; the client is
//! tokio-postgres in this process, so that SPG and PostgreSQL pay the same for the wire.

mod copy;
mod engine;
mod load;
mod oltp;
mod report;
mod tiers;
mod tpch;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// As the server has it: parts of the benchmark use the engine in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmarks of SPG side by side with DuckDB and PostgreSQL.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The 22 TPC-H queries, every answer checked against DuckDB's.
    Tpch(tpch::Options),
    /// Point reads, durable inserts and TPC-B-like transactions at several numbers of clients.
    Oltp(oltp::Options),
    /// COPY of lineitem in and out, with and without keys.
    Copy(copy::Options),
    /// Hot and cold tier: load, disk, queries, point reads, restart, inserts, checkpoints.
    Tiers(tiers::Options),
}

/// What all benchmarks take.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// Threads of SPG and DuckDB (default: the number of cores).
    #[arg(long)]
    threads: Option<usize>,
    /// Leave these engines out.
    #[arg(long, value_enum)]
    without: Vec<Name>,
    /// Where generated data is kept between runs (default: a folder per scale in the system's temporary directory).
    #[arg(long)]
    data: Option<PathBuf>,
}

/// An engine that a run may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    Spg,
    Duckdb,
    Postgres,
}

impl Common {
    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn runs(&self, name: Name) -> bool {
        !self.without.contains(&name)
    }

    fn data_dir(&self, scale: f64) -> PathBuf {
        self.data.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("spg-tpch-sf{scale}")))
    }
}

/// The error of a benchmark: it ends the run and is printed.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let done = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = done.map_err(Into::into).and_then(|runtime| {
        runtime.block_on(async {
            match Cli::parse().command {
                Command::Tpch(options) => tpch::run(&options).await,
                Command::Oltp(options) => oltp::run(&options).await,
                Command::Copy(options) => copy::run(&options).await,
                Command::Tiers(options) => tiers::run(&options).await,
            }
        })
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("spg-suite: {error}");
            ExitCode::FAILURE
        }
    }
}
