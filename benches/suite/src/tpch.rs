//! TPC-H: SPG over PG-wire, DuckDB in-process with the same number of threads, PostgreSQL.

use std::path::Path;
use std::time::Instant;

use clap::Args;
use spg_corpus::tpch::{Keys, TABLES, generate_csv, queries, same_answer};
use spg_corpus::{DuckDb, DuckDbRun, render_row};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::engine::Engine;
use crate::load::load;
use crate::report::{Table, best, geometric_mean, gib, machine, median, milliseconds, rate, ratio};
use crate::{Common, Name, Result};

/// A PostgreSQL query that takes longer than this gets one run.
const SLOW_SECONDS: f64 = 10.0;

/// Indexes on PostgreSQL's referencing columns, without which some queries take hours there.
const POSTGRES_INDEXES: &str = "create index on lineitem (l_partkey, l_suppkey); create index on orders (o_custkey);\
     create index on partsupp (ps_suppkey); create index on lineitem (l_shipdate); vacuum analyze";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Scale factor.
    #[arg(long, default_value_t = 1.0)]
    sf: f64,
    /// Runs of each query.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[command(flatten)]
    common: Common,
}

/// What one engine measured.
#[derive(Default)]
struct Measured {
    load_seconds: Vec<f64>,
    loaded_peak: Option<u64>,
    peak: Option<u64>,
    queries: Vec<Vec<f64>>,
    answers: Vec<Answer>,
    /// SPG's answers with the optimizer off.
    plain_answers: Vec<Answer>,
}

/// A query's rows, or its error.
pub(crate) type Answer = std::result::Result<Vec<String>, String>;

/// Runs the benchmark; whether every answer of SPG was right.
pub(crate) async fn run(options: &Options) -> Result<bool> {
    let common = &options.common;
    let dir = common.data_dir(options.sf);
    let rows = generate_csv(options.sf, &dir)?;
    let duckdb = match common.runs(Name::Duckdb) {
        true => duckdb(options, &dir),
        false => None,
    };
    let (mut spg, mut postgres) = (Measured::default(), Measured::default());
    for engine in Engine::each(common) {
        let engine = engine?;
        eprintln!("{}: loading", engine.title());
        let measured = measure(&engine, options, &dir).await?;
        match engine.is_postgres() {
            true => postgres = measured,
            false => spg = measured,
        }
    }
    println!("## TPC-H, scale factor {}\n\n{}, {} threads.\n", options.sf, machine(), common.threads());
    let duck = duckdb.as_ref().map(of_duckdb).unwrap_or_default();
    print_load(&rows, &spg, &duck, &postgres);
    Ok(print_queries(&spg, &duck, &postgres))
}

fn duckdb(options: &Options, dir: &Path) -> Option<DuckDbRun> {
    let threads = options.common.threads();
    let run =
        DuckDb::prepare().and_then(|duckdb| duckdb.tpch(dir, options.sf, Keys::None, threads, options.runs));
    run.inspect_err(|error| eprintln!("DuckDB is not available, answers stay unchecked: {error}")).ok()
}

fn of_duckdb(run: &DuckDbRun) -> Measured {
    Measured {
        load_seconds: run.loads.iter().map(|(_, _, seconds)| *seconds).collect(),
        loaded_peak: Some(run.loaded_peak),
        peak: Some(run.peak),
        queries: run.queries.clone(),
        answers: run.answers.iter().cloned().map(Ok).collect(),
        ..Measured::default()
    }
}

async fn measure(engine: &Engine, options: &Options, dir: &Path) -> Result<Measured> {
    let client = engine.connect().await?;
    let times = load(&client, dir, Keys::PrimaryAndForeign, |_| true).await?;
    let mut measured = Measured {
        load_seconds: times.iter().map(|(_, time)| time.as_secs_f64()).collect(),
        loaded_peak: engine.peak_memory(),
        ..Measured::default()
    };
    if engine.is_postgres() {
        for sql in POSTGRES_INDEXES.split(';') {
            client.batch_execute(sql).await?;
        }
        client.batch_execute("set statement_timeout = '5min'").await?;
    }
    for (i, sql) in queries(options.sf).iter().enumerate() {
        eprint!("\r{}: query {} ", engine.title(), i + 1);
        let (times, answer) = repeat(&client, sql, options.runs).await;
        measured.queries.push(times);
        measured.answers.push(answer);
    }
    eprintln!();
    measured.peak = engine.peak_memory();
    if !engine.is_postgres() && options.common.runs(Name::Duckdb) {
        client.batch_execute("set spg.optimizer = off").await?;
        for (i, sql) in queries(options.sf).iter().enumerate() {
            eprint!("\r{}: query {} without the optimizer ", engine.title(), i + 1);
            measured.plain_answers.push(repeat(&client, sql, 1).await.1);
        }
        eprintln!();
    }
    Ok(measured)
}

/// Runs a query some times; the durations until its last row was read, and its answer or its error.
pub(crate) async fn repeat(client: &Client, sql: &str, runs: usize) -> (Vec<f64>, Answer) {
    let (mut times, mut answer) = (Vec::new(), Ok(Vec::new()));
    while times.len() < runs && times.first().is_none_or(|first| *first < SLOW_SECONDS) {
        let begin = Instant::now();
        match client.simple_query(sql).await {
            Ok(messages) => {
                times.push(begin.elapsed().as_secs_f64());
                answer = Ok(messages.iter().filter_map(row).collect());
            }
            Err(error) => {
                let text =
                    error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_string());
                return (Vec::new(), Err(text));
            }
        }
    }
    (times, answer)
}

fn row(message: &SimpleQueryMessage) -> Option<String> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    Some(render_row(&(0..row.len()).map(|i| row.get(i)).collect::<Vec<_>>()))
}

fn print_load(rows: &[usize], spg: &Measured, duck: &Measured, postgres: &Measured) {
    println!(
        "### Load by COPY csv (rows/s; SPG and PostgreSQL with primary and foreign keys, DuckDB without)\n"
    );
    let mut table = Table::new(&["table", "rows", "SPG", "DuckDB", "PostgreSQL"]);
    for (i, (name, rows)) in TABLES.iter().map(|table| table.name).zip(rows).enumerate() {
        let speed = |m: &Measured| {
            let seconds = m.load_seconds.get(i);
            seconds
                .map_or("-".into(), |s| rate(*rows as u64, std::time::Duration::from_secs_f64(s.max(1e-6))))
        };
        table.row(vec![
            name.into(),
            crate::report::grouped(*rows as u64),
            speed(spg),
            speed(duck),
            speed(postgres),
        ]);
    }
    let total = |m: &Measured| (!m.load_seconds.is_empty()).then(|| m.load_seconds.iter().sum::<f64>());
    let seconds = |m: &Measured| total(m).map_or("-".into(), |s| format!("{s:.1} s"));
    table.row(vec!["all".into(), String::new(), seconds(spg), seconds(duck), seconds(postgres)]);
    let memory = |m: &Measured| gib(m.loaded_peak);
    table.row(vec!["peak memory after loading".into(), String::new(), memory(spg), memory(duck), "-".into()]);
    table.print();
}

fn print_queries(spg: &Measured, duck: &Measured, postgres: &Measured) -> bool {
    println!("### Queries (milliseconds)\n");
    let mut table = Table::new(&[
        "query",
        "SPG best",
        "SPG median",
        "DuckDB best",
        "DuckDB median",
        "SPG/DuckDB",
        "PostgreSQL median",
        "PostgreSQL/SPG",
        "answer",
        "without optimizer",
    ]);
    let all = |m: &Measured| (0..22).map(|i| m.queries.get(i).and_then(|t| median(t))).collect::<Vec<_>>();
    let (s, d, p) = (all(spg), all(duck), all(postgres));
    let mut right = true;
    for i in 0..22 {
        let verdict = verdict(spg.answers.get(i), duck.answers.get(i));
        let plain = self::verdict(spg.plain_answers.get(i), duck.answers.get(i));
        right &= [&verdict, &plain].iter().all(|v| matches!(v.as_str(), "same" | "unchecked"));
        let fastest = |m: &Measured| milliseconds(m.queries.get(i).and_then(|t| best(t)));
        table.row(vec![
            format!("Q{}", i + 1),
            fastest(spg),
            milliseconds(s[i]),
            fastest(duck),
            milliseconds(d[i]),
            ratio(s[i], d[i]),
            milliseconds(p[i]),
            ratio(p[i], s[i]),
            verdict,
            plain,
        ]);
    }
    for (title, of) in
        [("total", total as fn(&[Option<f64>]) -> Option<f64>), ("geometric mean", geometric_mean)]
    {
        let (s, d, p) = (of(&s), of(&d), of(&p));
        let (empty, ms) = (String::new, milliseconds);
        table.row(vec![
            title.into(),
            empty(),
            ms(s),
            empty(),
            ms(d),
            ratio(s, d),
            ms(p),
            ratio(p, s),
            empty(),
            empty(),
        ]);
    }
    table.print();
    let worst = s.iter().zip(&d).filter_map(|(s, d)| Some((*s)? / (*d)?)).reduce(f64::max);
    println!("Worst query against DuckDB: {}.", ratio(worst, Some(1.0)));
    println!("Peak memory: SPG {}, DuckDB {}.\n", gib(spg.peak), gib(duck.peak));
    for (i, answer) in spg.answers.iter().chain(&spg.plain_answers).enumerate() {
        if let Err(error) = answer {
            println!("Q{}: {error}", i % 22 + 1);
        }
    }
    right
}

fn total(values: &[Option<f64>]) -> Option<f64> {
    values.iter().copied().sum()
}

pub(crate) fn verdict(ours: Option<&Answer>, theirs: Option<&Answer>) -> String {
    match (ours, theirs) {
        (Some(Err(_)), _) => "error".into(),
        (Some(Ok(ours)), Some(Ok(theirs))) if same_answer(ours, theirs) => "same".into(),
        (Some(Ok(_)), Some(Ok(_))) => "DIFFERENT".into(),
        _ => "unchecked".into(),
    }
}
