//! Single-row durable INSERTs of eight clients, quiet and while rows are frozen, segments merged and checkpoints made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use spg_corpus::tpch::{Keys, TABLES, csv_path, generate_csv};
use tokio::sync::Barrier;

use super::{Goal, Options, factor, folder_bytes, mib, restart, start};
use crate::Result;
use crate::engine::Engine;
use crate::load::copy_in;
use crate::report::{Table, grouped};

const CLIENTS: usize = 8;
/// Measurements one after the other, whose medians count.
const ROUNDS: usize = 3;

struct Measured {
    per_second: f64,
    p50: f64,
    p99: f64,
}

pub(super) async fn run(options: &Options) -> Result<Vec<Goal>> {
    let dir = options.common.data_dir(options.sf);
    generate_csv(options.sf, &dir)?;
    let mut engine = start(options, &[])?;
    let client = engine.connect().await?;
    client.batch_execute("create table events (id int primary key, kind int not null, note text)").await?;
    // Hot rows for the freezer to move while the inserts of the second measurement go on.
    for table in TABLES.iter().filter(|t| ["orders", "lineitem"].contains(&t.name)) {
        client.batch_execute(&table.create(Keys::None)).await?;
        copy_in(&client, &table.copy_in(), &csv_path(&dir, table)).await?;
    }
    client.batch_execute("checkpoint").await?;
    drop(client);
    let next = Arc::new(AtomicI32::new(1));
    eprintln!("inserts: quiet");
    let quiet = measure(&engine, options, &next).await?;
    eprintln!("inserts: while rows move");
    restart(options, &mut engine, true, &[("SPG_HOT_TIER_BYTES", 64 << 20)])?;
    let stop = Arc::new(AtomicBool::new(false));
    let background = tokio::spawn(upkeep(engine.connect().await?, stop.clone()));
    let busy = measure(&engine, options, &next).await;
    stop.store(true, Ordering::Relaxed);
    let Upkeep { checkpoints, compactions } = background.await??;
    let busy = busy?;
    let frozen = folder_bytes(&engine.server_mut()?.dir().join("spg.db.spg/segments"), ".spg")?;
    println!("### Single-row durable INSERTs, {CLIENTS} clients, medians of {ROUNDS} measurements\n");
    let mut table = Table::new(&["", "inserts/s", "p50 ms", "p99 ms"]);
    let moved = mib(frozen as f64);
    let title = format!(
        "while {moved} of segments are written, {checkpoints} checkpoints, {compactions} compactions made"
    );
    for (title, m) in [("quiet".to_string(), &quiet), (title, &busy)] {
        let ms = |s: f64| format!("{:.2}", s * 1e3);
        table.row(vec![title, grouped(m.per_second as u64), ms(m.p50), ms(m.p99)]);
    }
    table.print();
    let what = "p99 of INSERTs while rows move, against quiet";
    Ok(vec![Goal::at_most(what, busy.p99 / quiet.p99, 3.0, factor)])
}

/// How often the server was asked for what it otherwise does by itself.
struct Upkeep {
    checkpoints: usize,
    compactions: usize,
}

/// Asks for checkpoints and for segments to be merged until told to stop, while the freezer goes on by itself.
async fn upkeep(client: tokio_postgres::Client, stop: Arc<AtomicBool>) -> Result<Upkeep> {
    let mut done = Upkeep { checkpoints: 0, compactions: 0 };
    while !stop.load(Ordering::Relaxed) {
        client.batch_execute("checkpoint").await?;
        done.checkpoints += 1;
        // A server without it goes on without it.
        done.compactions += usize::from(client.simple_query("select spg_compact('lineitem')").await.is_ok());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(done)
}

async fn measure(engine: &Engine, options: &Options, next: &Arc<AtomicI32>) -> Result<Measured> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(measure_once(engine, options, next).await?);
    }
    let median = |of: fn(&Measured) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[ROUNDS / 2]
    };
    Ok(Measured { per_second: median(|m| m.per_second), p50: median(|m| m.p50), p99: median(|m| m.p99) })
}

async fn measure_once(engine: &Engine, options: &Options, next: &Arc<AtomicI32>) -> Result<Measured> {
    let time = Duration::from_secs_f64(options.seconds);
    let begin = Arc::new(Barrier::new(CLIENTS));
    let mut tasks = Vec::new();
    for _ in 0..CLIENTS {
        let client = engine.connect().await?;
        let (begin, next) = (begin.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let statement = client.prepare("insert into events (id, kind, note) values ($1, $2, $3)").await?;
            begin.wait().await;
            let start = Instant::now();
            let mut latencies = Vec::new();
            while start.elapsed() < time {
                let step = Instant::now();
                let id = next.fetch_add(1, Ordering::Relaxed);
                client.execute(&statement, &[&id, &(id % 10), &"a note of some length"]).await?;
                latencies.push(step.elapsed().as_secs_f64());
            }
            Ok::<_, tokio_postgres::Error>(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    latencies.sort_by(f64::total_cmp);
    let at = |share: usize| latencies.get(latencies.len() * share / 100).copied().unwrap_or_default();
    Ok(Measured { per_second: latencies.len() as f64 / options.seconds, p50: at(50), p99: at(99) })
}
