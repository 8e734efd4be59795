//! Kills a real server with `kill -9` under a mixed load, starts it again, and checks what it kept against what it had
//! acknowledged: no acknowledged row lost, no part of a transaction, no row twice.
//!
//! Every client works on rows of its own, so that what the server must hold is known exactly. The one operation that was
//! under way when the server died may have happened or not, but only as a whole.

mod check;
mod client;
pub mod full_disk;
mod model;

use std::path::PathBuf;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use spg_corpus::Server;

use model::Model;

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `spg-server` binary.
    pub server: PathBuf,
    /// How many times the server is killed.
    pub cycles: u32,
    /// Clients at a time.
    pub clients: u32,
    /// Seed of the load and of the moments of death.
    pub seed: u64,
    /// Longest time between start and kill.
    pub longest: Duration,
}

/// What a run saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Times the server was killed.
    pub kills: u32,
    /// Operations acknowledged.
    pub acknowledged: u64,
    /// Checkpoints and freezes made by hand.
    pub maintenance: u64,
    /// Segments at most.
    pub segments: i64,
    /// Operations under way at a kill that turned out to have happened.
    pub survived: u64,
    /// Operations under way at a kill that turned out not to have happened.
    pub vanished: u64,
}

/// An error of a run: what the server got wrong, or what kept the run from going on.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a plan; `progress` is called after every cycle.
pub fn run(plan: &Plan, mut progress: impl FnMut(&Summary)) -> Result<Summary, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let env = [
        ("SPG_ADMIN_PASSWORD", "bench".to_owned()),
        // Small, so that checkpoints run all the time.
        ("SPG_CHECKPOINT_WAL_BYTES", (256 << 10).to_string()),
        // As are freezes: events have no budget at all, the other tables this one.
        ("SPG_HOT_TIER_BYTES", (1 << 20).to_string()),
        ("SPG_COLD_COMPACT_SEGMENT_THRESHOLD", "8".to_owned()),
    ];
    let mut server = Server::start(&plan.server, &env)?;
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let mut models: Vec<Model> = (0..plan.clients).map(Model::new).collect();
    runtime.block_on(client::create_tables(&server.options(), &models))?;
    let mut summary = Summary::default();
    for _ in 0..plan.cycles {
        let options = server.options();
        let load: Vec<_> = models
            .drain(..)
            .map(|model| runtime.spawn(client::load(options.clone(), model, rng.random())))
            .collect();
        let maintenance = runtime.spawn(client::maintain(options, rng.random()));
        let longest = plan.longest.as_millis().max(21) as u64;
        std::thread::sleep(Duration::from_millis(rng.random_range(20..longest)));
        server.kill()?;
        for client in load {
            models.push(runtime.block_on(client)??);
        }
        summary.maintenance += runtime.block_on(maintenance)??;
        server.restart(&plan.server, &env)?;
        summary.segments = summary.segments.max(runtime.block_on(check::segments(&server.options()))?);
        for model in &mut models {
            let outcome = runtime.block_on(check::check(&server.options(), model))?;
            summary.survived += u64::from(outcome == Some(true));
            summary.vanished += u64::from(outcome == Some(false));
        }
        summary.kills += 1;
        summary.acknowledged = models.iter().map(|m| m.acknowledged).sum();
        progress(&summary);
    }
    Ok(summary)
}
