//! The two tiers: what it costs that rows move to disk, against having them in memory and against DuckDB.
//!
//! Each part starts servers of its own and prints its table; the last table holds every number beside the one wanted.

mod checkpoint;
mod duckdb;
mod frozen;
mod insert;
mod load;
mod point;
mod restart;

use std::path::Path;

use clap::Args;

use crate::engine::Engine;
use crate::report::{Table, machine};
use crate::{Common, Result};

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Scale factor of the parts disk, queries, point and checkpoint.
    #[arg(long, default_value_t = 1.0)]
    sf: f64,
    /// Scale factor of the part load: only lineitem is loaded.
    #[arg(long, default_value_t = 4.0)]
    load_sf: f64,
    /// Scale factor of the part restart.
    #[arg(long, default_value_t = 3.0)]
    restart_sf: f64,
    /// Runs of each query.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Seconds of each measurement of inserts.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    #[command(flatten)]
    common: Common,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Load,
    Disk,
    Queries,
    Point,
    Restart,
    Insert,
    Checkpoint,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// A number beside the one wanted.
pub(super) struct Goal {
    what: String,
    measured: String,
    wanted: String,
    met: bool,
}

impl Goal {
    /// A number that should be at most `wanted`; `text` writes either.
    fn at_most(what: &str, measured: f64, wanted: f64, text: impl Fn(f64) -> String) -> Goal {
        let met = measured <= wanted;
        Goal { what: what.into(), measured: text(measured), wanted: text(wanted), met }
    }
}

/// Runs the benchmark; whether every answer was right.
pub(crate) async fn run(options: &Options) -> Result<bool> {
    println!("## Two tiers\n\n{}, {} threads.\n", machine(), options.common.threads());
    let (mut goals, mut right) = (Vec::new(), true);
    if options.wants(Part::Load) {
        goals.extend(load::run(options).await?);
    }
    if [Part::Disk, Part::Queries, Part::Point].into_iter().any(|part| options.wants(part)) {
        let (found, same) = frozen::run(options).await?;
        goals.extend(found);
        right &= same;
    }
    if options.wants(Part::Restart) {
        goals.extend(restart::run(options).await?);
    }
    if options.wants(Part::Insert) {
        goals.extend(insert::run(options).await?);
    }
    if options.wants(Part::Checkpoint) {
        goals.extend(checkpoint::run(options).await?);
    }
    println!("### Against what is wanted\n");
    let mut table = Table::new(&["", "measured", "at most", "met"]);
    for goal in goals {
        let met = if goal.met { "yes" } else { "no" };
        table.row(vec![goal.what, goal.measured, goal.wanted, met.into()]);
    }
    table.print();
    Ok(right)
}

/// Starts SPG with these environment variables.
fn start(options: &Options, env: &[(&'static str, u64)]) -> Result<Engine> {
    // It waits for the server on a runtime of its own, which a task of this one may not.
    tokio::task::block_in_place(|| Engine::spg_with(&options.common, env))
}

/// Stops SPG in an orderly way, or as `kill -9` does, and starts it again; seconds to the first answer.
fn restart(
    options: &Options,
    engine: &mut Engine,
    orderly: bool,
    env: &[(&'static str, u64)],
) -> Result<f64> {
    tokio::task::block_in_place(|| {
        if orderly {
            stop(engine)?
        } else {
            engine.server_mut()?.kill()?
        }
        Ok(engine.start_again(&options.common, env)?.as_secs_f64())
    })
}

/// Stops SPG in an orderly way.
fn stop(engine: &mut Engine) -> Result<()> {
    match engine.server_mut()?.stop()? {
        true => Ok(()),
        false => Err("the server did not end in an orderly way".into()),
    }
}

/// Bytes of the files in a folder whose names end so.
fn folder_bytes(folder: &Path, suffix: &str) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(suffix) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Bytes of the log, rotated parts included.
fn log_bytes(engine: &mut Engine) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(engine.server_mut()?.dir())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("wal.log") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// A size in MiB.
fn mib(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / f64::from(1 << 20))
}

/// A factor.
fn factor(value: f64) -> String {
    format!("{value:.2}x")
}

/// Seconds.
fn seconds(value: f64) -> String {
    format!("{value:.2} s")
}
