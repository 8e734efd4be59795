//! TPC-H with every row in the cold tier: bytes on disk, the 22 queries, point reads.

use std::path::Path;

use spg_corpus::tpch::{Keys, TABLES, generate_csv, queries};

use super::duckdb::{self, Files};
use super::{Goal, Options, Part, factor, folder_bytes, mib, point, restart, start};
use crate::engine::Engine;
use crate::load::load;
use crate::report::{Table, geometric_mean, median, milliseconds, ratio};
use crate::tpch::{Answer, repeat, verdict};
use crate::{Name, Result};

/// The 22 queries on one state of the server.
#[derive(Default)]
struct Ran {
    times: Vec<Vec<f64>>,
    answers: Vec<Answer>,
}

impl Ran {
    fn medians(&self) -> Vec<Option<f64>> {
        self.times.iter().map(|times| median(times)).collect()
    }
}

pub(super) async fn run(options: &Options) -> Result<(Vec<Goal>, bool)> {
    let dir = options.common.data_dir(options.sf);
    generate_csv(options.sf, &dir)?;
    let with_queries = options.wants(Part::Queries);
    let duck = match options.common.runs(Name::Duckdb) && (with_queries || options.wants(Part::Disk)) {
        true => {
            eprintln!("DuckDB");
            let runs = if with_queries { options.runs } else { 1 };
            Some(duckdb::files(&dir, options.sf, options.common.threads(), runs)?)
        }
        false => None,
    };
    eprintln!("SPG: loading");
    let mut engine = start(options, &[])?;
    let client = engine.connect().await?;
    load(&client, &dir, Keys::PrimaryAndForeign, |_| true).await?;
    let hot = if with_queries { ask(&engine, options, "hot").await? } else { Ran::default() };
    let segments = engine.server_mut()?.dir().join("spg.db.spg/segments");
    let sizes = freeze(&client, &segments).await?;
    let (mut goals, mut right) = (Vec::new(), true);
    if options.wants(Part::Disk) {
        goals.extend(print_disk(options, &sizes, duck.as_ref()));
    }
    if with_queries {
        let cold = ask(&engine, options, "cold").await?;
        drop(client);
        restart(options, &mut engine, true, &[("SPG_CACHE_BYTES", 0)])?;
        let uncached = ask(&engine, options, "cold without cache").await?;
        let (found, same) = print_queries(options, &hot, &cold, &uncached, duck.as_ref());
        goals.extend(found);
        right = same;
    }
    if options.wants(Part::Point) {
        goals.extend(point::run(options, &mut engine).await?);
    }
    Ok((goals, right))
}

/// Freezes every table; the bytes of each one's segments.
async fn freeze(client: &tokio_postgres::Client, segments: &Path) -> Result<Vec<u64>> {
    let mut sizes = Vec::new();
    let mut before = 0;
    for table in &TABLES {
        client.batch_execute(&format!("select spg_freeze('{}')", table.name)).await?;
        let bytes = folder_bytes(segments, ".spg")?;
        sizes.push(bytes.saturating_sub(before));
        before = bytes;
    }
    Ok(sizes)
}

fn print_disk(options: &Options, sizes: &[u64], duck: Option<&Files>) -> Vec<Goal> {
    println!("### Bytes on disk, TPC-H scale factor {}\n", options.sf);
    let mut table = Table::new(&["table", "SPG segments", "Parquet of DuckDB, zstd", "DuckDB's file"]);
    let size =
        |bytes: Option<u64>| bytes.map_or("-".into(), |b| format!("{:.1} MiB", b as f64 / 1_048_576.0));
    for (i, name) in TABLES.iter().map(|table| table.name).enumerate() {
        let parquet = duck.and_then(|d| d.parquet.get(i).copied());
        table.row(vec![name.into(), size(sizes.get(i).copied()), size(parquet), String::new()]);
    }
    let ours: u64 = sizes.iter().sum();
    let parquet = duck.map(|d| d.parquet.iter().sum::<u64>());
    let database = duck.map(|d| d.database);
    table.row(vec!["all".into(), size(Some(ours)), size(parquet), size(database)]);
    table.print();
    let Some((parquet, database)) = parquet.zip(database) else { return Vec::new() };
    vec![
        Goal::at_most("disk, against 1.1 times DuckDB's file", ours as f64, database as f64 * 1.1, mib),
        Goal::at_most("disk, against zstd Parquet files", ours as f64, parquet as f64, mib),
    ]
}

async fn ask(engine: &Engine, options: &Options, what: &str) -> Result<Ran> {
    let client = engine.connect().await?;
    let mut ran = Ran::default();
    for (i, sql) in queries(options.sf).iter().enumerate() {
        eprint!("\rSPG: query {} {what} ", i + 1);
        let (times, answer) = repeat(&client, sql, options.runs).await;
        ran.times.push(times);
        ran.answers.push(answer);
    }
    eprintln!();
    Ok(ran)
}

fn print_queries(
    options: &Options,
    hot: &Ran,
    cold: &Ran,
    uncached: &Ran,
    duck: Option<&Files>,
) -> (Vec<Goal>, bool) {
    println!(
        "### Queries over cold rows, TPC-H scale factor {} (median of {}, ms)\n",
        options.sf, options.runs
    );
    let titles = [
        "query",
        "hot",
        "cold, first run",
        "cold",
        "cold/hot",
        "cold, no cache",
        "DuckDB on Parquet",
        "no cache/DuckDB",
        "answers",
    ];
    let mut table = Table::new(&titles);
    let duck_medians: Vec<Option<f64>> =
        (0..22).map(|i| duck.and_then(|d| d.queries.get(i)).and_then(|times| median(times))).collect();
    let (h, c, u) = (hot.medians(), cold.medians(), uncached.medians());
    let mut right = true;
    for i in 0..22 {
        let reference = duck.and_then(|d| d.answers.get(i)).or(hot.answers.get(i));
        let verdicts = [hot, cold, uncached].map(|ran| verdict(ran.answers.get(i), reference));
        let verdict = verdicts.iter().find(|v| *v != "same").unwrap_or(&verdicts[0]).clone();
        right &= verdict == "same";
        table.row(vec![
            format!("Q{}", i + 1),
            milliseconds(h[i]),
            milliseconds(cold.times[i].first().copied()),
            milliseconds(c[i]),
            ratio(c[i], h[i]),
            milliseconds(u[i]),
            milliseconds(duck_medians[i]),
            ratio(u[i], duck_medians[i]),
            verdict,
        ]);
    }
    let first: Vec<Option<f64>> = cold.times.iter().map(|times| times.first().copied()).collect();
    let [h, f, c, u, d] = [&h, &first, &c, &u, &duck_medians].map(|all| geometric_mean(all));
    table.row(vec![
        "geometric mean".into(),
        milliseconds(h),
        milliseconds(f),
        milliseconds(c),
        ratio(c, h),
        milliseconds(u),
        milliseconds(d),
        ratio(u, d),
        String::new(),
    ]);
    table.print();
    let mut goals = Vec::new();
    if let (Some(c), Some(h)) = (c, h) {
        goals.push(Goal::at_most("22 queries cold, against hot", c / h, 2.0, factor));
    }
    if let (Some(u), Some(d)) = (u, d) {
        goals.push(Goal::at_most(
            "22 queries cold without cache, against DuckDB on Parquet",
            u / d,
            1.3,
            factor,
        ));
    }
    (goals, right)
}
