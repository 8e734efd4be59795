//! Point reads, single-row durable inserts and TPC-B-like transactions, prepared, against PostgreSQL with fsync on.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use futures::SinkExt;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::sync::Barrier;
use tokio_postgres::{Client, Statement};

use crate::engine::Engine;
use crate::report::{Table, grouped, machine, ratio};
use crate::{Common, Result};

/// Rows per unit of scale, as in TPC-B.
const TELLERS: i32 = 10;
const ACCOUNTS: i32 = 100_000;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Branches; each has 10 tellers and 100,000 accounts.
    #[arg(long, default_value_t = 32)]
    scale: i32,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 32])]
    clients: Vec<usize>,
    #[command(flatten)]
    common: Common,
}

/// What a client does over and over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Select,
    Insert,
    TpcB,
}

const WORKS: [(&str, Work); 3] = [
    ("SELECT by primary key", Work::Select),
    ("single-row INSERT", Work::Insert),
    ("TPC-B-like", Work::TpcB),
];

/// Operations per second and their latencies in seconds: mean and 99th percentile.
#[derive(Clone, Copy)]
struct Measured {
    per_second: f64,
    mean: f64,
    p99: f64,
}

/// Runs the benchmark.
pub(crate) async fn run(options: &Options) -> Result<bool> {
    let cases: Vec<_> =
        WORKS.iter().flat_map(|work| options.clients.iter().map(move |n| (*work, *n))).collect();
    let (mut spg, mut postgres) = (vec![None; cases.len()], vec![None; cases.len()]);
    let fsync = fsync_seconds()?;
    let mut start_up = None;
    for engine in Engine::each(&options.common) {
        let engine = engine?;
        start_up = start_up.or(engine.start_up());
        eprintln!("{}: loading", engine.title());
        load(&engine, options.scale).await?;
        let column = if engine.is_postgres() { &mut postgres } else { &mut spg };
        for (i, ((title, work), clients)) in cases.iter().enumerate() {
            eprintln!("{}: {title}, {clients} clients", engine.title());
            column[i] = Some(measure(&engine, options, *work, *clients).await?);
        }
    }
    println!("## OLTP, prepared statements, durable commits, {} branches\n", options.scale);
    println!("{}. One write and fsync of 4 KiB takes {:.2} ms.\n", machine(), fsync * 1e3);
    if let Some((ms, bytes)) = start_up {
        let mib = bytes as f64 / f64::from(1 << 20);
        println!(
            "SPG answers its first query {ms:.0} ms after its start on an empty database, and takes {mib:.0} MiB then.\n"
        );
    }
    let mut table = Table::new(&[
        "",
        "clients",
        "SPG /s",
        "mean ms",
        "p99 ms",
        "PostgreSQL /s",
        "mean ms",
        "p99 ms",
        "SPG/PostgreSQL",
    ]);
    for (i, ((title, _), clients)) in cases.iter().enumerate() {
        let mut cells = vec![title.to_string(), clients.to_string()];
        for measured in [spg[i], postgres[i]] {
            cells.extend(numbers(measured));
        }
        cells.push(ratio(spg[i].map(|m: Measured| m.per_second), postgres[i].map(|m| m.per_second)));
        table.row(cells);
    }
    table.print();
    Ok(true)
}

fn numbers(measured: Option<Measured>) -> [String; 3] {
    let Some(m) = measured else { return ["-".into(), "-".into(), "-".into()] };
    [grouped(m.per_second as u64), format!("{:.2}", m.mean * 1e3), format!("{:.2}", m.p99 * 1e3)]
}

/// The median time of a small write and its fsync where databases are put: no durable commit of one client is faster.
fn fsync_seconds() -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let mut file = File::create(dir.path().join("probe"))?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let begin = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(begin.elapsed().as_secs_f64());
    }
    Ok(crate::report::median(&times).unwrap_or_default())
}

async fn load(engine: &Engine, scale: i32) -> Result<()> {
    let client = engine.connect().await?;
    for sql in [
        "create table branches (bid int primary key, bbalance int not null, filler char(88))",
        "create table tellers (tid int primary key, bid int not null, tbalance int not null, filler char(84))",
        "create table accounts (aid int primary key, bid int not null, abalance int not null, filler char(84))",
        "create table history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
        "create table events (id int primary key, kind int not null, note text)",
    ] {
        client.batch_execute(sql).await?;
    }
    fill(&client, "branches (bid, bbalance)", scale, |i| format!("{i}\t0\n")).await?;
    fill(&client, "tellers (tid, bid, tbalance)", scale * TELLERS, |i| {
        format!("{i}\t{}\t0\n", (i - 1) / TELLERS + 1)
    })
    .await?;
    fill(&client, "accounts (aid, bid, abalance, filler)", scale * ACCOUNTS, |i| {
        format!("{i}\t{}\t0\t\n", (i - 1) / ACCOUNTS + 1)
    })
    .await?;
    if engine.is_postgres() {
        client.batch_execute("vacuum analyze").await?;
    }
    Ok(())
}

async fn fill(client: &Client, target: &str, rows: i32, row: impl Fn(i32) -> String) -> Result<()> {
    let sink = client.copy_in::<_, Bytes>(&format!("copy {target} from stdin")).await?;
    let mut sink = std::pin::pin!(sink);
    let mut chunk = String::new();
    for i in 1..=rows {
        chunk.push_str(&row(i));
        if chunk.len() > (256 << 10) || i == rows {
            sink.feed(Bytes::from(std::mem::take(&mut chunk))).await?;
        }
    }
    sink.finish().await?;
    Ok(())
}

/// One connection with the statements of its work prepared.
struct Worker {
    client: Client,
    statements: Vec<Statement>,
    work: Work,
    rng: SmallRng,
    scale: i32,
    next_event: Arc<AtomicI32>,
}

impl Worker {
    async fn open(
        engine: &Engine,
        work: Work,
        scale: i32,
        seed: u64,
        next_event: Arc<AtomicI32>,
    ) -> Result<Self> {
        let client = engine.connect().await?;
        let sql: &[&str] = match work {
            Work::Select => &["select abalance from accounts where aid = $1"],
            Work::Insert => &["insert into events (id, kind, note) values ($1, $2, $3)"],
            Work::TpcB => &[
                "begin",
                "update accounts set abalance = abalance + $1 where aid = $2",
                "select abalance from accounts where aid = $1",
                "update tellers set tbalance = tbalance + $1 where tid = $2",
                "update branches set bbalance = bbalance + $1 where bid = $2",
                "insert into history (tid, bid, aid, delta, mtime) values ($1, $2, $3, $4, current_timestamp)",
                "commit",
            ],
        };
        let mut statements = Vec::new();
        for sql in sql {
            statements.push(client.prepare(sql).await?);
        }
        Ok(Self { client, statements, work, rng: SmallRng::seed_from_u64(seed), scale, next_event })
    }

    async fn step(&mut self) -> Result<()> {
        let (client, s) = (&self.client, &self.statements);
        let aid = self.rng.random_range(1..=self.scale * ACCOUNTS);
        match self.work {
            Work::Select => {
                let balance: i32 = client.query_one(&s[0], &[&aid]).await?.get(0);
                std::hint::black_box(balance);
            }
            Work::Insert => {
                let id = self.next_event.fetch_add(1, Ordering::Relaxed);
                client.execute(&s[0], &[&id, &(id % 10), &"a note of some length"]).await?;
            }
            Work::TpcB => {
                let delta = self.rng.random_range(-5000..=5000);
                let tid = self.rng.random_range(1..=self.scale * TELLERS);
                let bid = self.rng.random_range(1..=self.scale);
                client.execute(&s[0], &[]).await?;
                client.execute(&s[1], &[&delta, &aid]).await?;
                client.query_one(&s[2], &[&aid]).await?;
                client.execute(&s[3], &[&delta, &tid]).await?;
                client.execute(&s[4], &[&delta, &bid]).await?;
                client.execute(&s[5], &[&tid, &bid, &aid, &delta]).await?;
                client.execute(&s[6], &[]).await?;
            }
        }
        Ok(())
    }

    /// Works until the end of the measured time; the latencies of what fell into it.
    async fn drive(mut self, start: Arc<Barrier>, warm_up: Duration, time: Duration) -> Result<Vec<f64>> {
        start.wait().await;
        let begin = Instant::now();
        let mut latencies = Vec::new();
        while begin.elapsed() < warm_up + time {
            let step = Instant::now();
            self.step().await?;
            if begin.elapsed() >= warm_up {
                latencies.push(step.elapsed().as_secs_f64());
            }
        }
        Ok(latencies)
    }
}

async fn measure(engine: &Engine, options: &Options, work: Work, clients: usize) -> Result<Measured> {
    let admin = engine.connect().await?;
    admin.batch_execute("truncate events").await?;
    let time = Duration::from_secs_f64(options.seconds);
    let (start, next_event) = (Arc::new(Barrier::new(clients)), Arc::new(AtomicI32::new(1)));
    let mut tasks = Vec::new();
    for seed in 0..clients {
        let worker = Worker::open(engine, work, options.scale, seed as u64, next_event.clone()).await?;
        tasks.push(tokio::spawn(worker.drive(start.clone(), time / 5, time)));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    latencies.sort_by(f64::total_cmp);
    let count = latencies.len().max(1);
    Ok(Measured {
        per_second: latencies.len() as f64 / options.seconds,
        mean: latencies.iter().sum::<f64>() / count as f64,
        p99: latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default(),
    })
}
