//! Single-row durable INSERTs of eight clients, quiet and while rows are frozen, segments merged and checkpoints made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spg_corpus::tpch::{Keys, TABLES, csv_path, generate_csv};
use tokio::sync::Barrier;

use super::{Goal, Options, factor, start};
use crate::Result;
use crate::engine::Engine;
use crate::load::copy_in;
use crate::report::{Table, grouped};

const CLIENTS: usize = 8;

struct Measured {
    per_second: f64,
    p50: f64,
    p99: f64,
}

pub(super) async fn run(options: &Options) -> Result<Vec<Goal>> {
    let dir = options.common.data_dir(options.sf);
    generate_csv(options.sf, &dir)?;
    // A log of 32 MiB leads to a checkpoint, besides those asked for.
    let mut engine = start(options, &[("SPG_CHECKPOINT_WAL_BYTES", 32 << 20)])?;
    let client = engine.connect().await?;
    client.batch_execute("create table events (id int primary key, kind int not null, note text)").await?;
    let orders = TABLES.iter().find(|t| t.name == "orders").ok_or("no table orders")?;
    client.batch_execute(&orders.create(Keys::Primary)).await?;
    copy_in(&client, &orders.copy_in(), &csv_path(&dir, orders)).await?;
    client.batch_execute("checkpoint").await?;
    let next = Arc::new(AtomicI32::new(1));
    eprintln!("inserts: quiet");
    let quiet = measure(&engine, options, &next).await?;
    eprintln!("inserts: while rows move");
    let stop = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicUsize::new(0));
    let background = tokio::spawn(churn(client, stop.clone(), rounds.clone()));
    let busy = measure(&engine, options, &next).await;
    stop.store(true, Ordering::Relaxed);
    let bytes_moved = background.await??;
    let busy = busy?;
    let _ = engine.server_mut()?;
    println!("### Single-row durable INSERTs, {CLIENTS} clients\n");
    let mut table = Table::new(&["", "inserts/s", "p50 ms", "p99 ms"]);
    let title = format!(
        "while rows move ({} rounds of freezing, merging, checkpoint; {} rows)",
        rounds.load(Ordering::Relaxed),
        grouped(bytes_moved)
    );
    for (title, m) in [("quiet".to_string(), &quiet), (title, &busy)] {
        let ms = |s: f64| format!("{:.2}", s * 1e3);
        table.row(vec![title, grouped(m.per_second as u64), ms(m.p50), ms(m.p99)]);
    }
    table.print();
    Ok(vec![Goal::at_most(
        "p99 of INSERTs while rows move, against quiet",
        busy.p99 / quiet.p99,
        3.0,
        factor,
    )])
}

/// Makes hot rows, freezes them, has segments merged, and makes checkpoints until told to stop; the rows frozen.
async fn churn(
    client: tokio_postgres::Client,
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
) -> Result<u64> {
    let compacts = client.simple_query("select spg_compact('events')").await.is_ok();
    let mut frozen = 0;
    while !stop.load(Ordering::Relaxed) {
        let round = rounds.fetch_add(1, Ordering::Relaxed);
        let update = format!(
            "update orders set o_shippriority = o_shippriority + 1 where o_orderkey % 10 = {}",
            round % 10
        );
        let work = ["select spg_freeze('orders')", "select spg_freeze('events')", "checkpoint"];
        client.batch_execute(&update).await?;
        for sql in work {
            if let Some(row) = client.query(sql, &[]).await?.first() {
                frozen += row.get::<_, i64>(0) as u64;
            }
        }
        if compacts {
            client.batch_execute("select spg_compact('orders')").await?;
        }
    }
    Ok(frozen)
}

async fn measure(engine: &Engine, options: &Options, next: &Arc<AtomicI32>) -> Result<Measured> {
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
