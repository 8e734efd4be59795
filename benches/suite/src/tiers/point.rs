//! Point reads by primary key of cold rows, over the wire and in this process; the files are in the page cache.

use std::time::Instant;

use rand::{Rng, SeedableRng, rngs::SmallRng};
use spg_embedded::{Config, Database};

use super::{Goal, Options, restart, stop};
use crate::Result;
use crate::engine::Engine;
use crate::report::{Table, grouped};

const READS: usize = 4_000;

/// Title, statement, columns of the key.
const READS_OF: [(&str, &str, &str); 3] = [
    ("orders, one column", "select o_totalprice from orders where o_orderkey = $1", "o_orderkey"),
    ("orders, all 9 columns", "select * from orders where o_orderkey = $1", "o_orderkey"),
    (
        "lineitem, all 16 columns",
        "select * from lineitem where l_orderkey = $1 and l_linenumber = $2",
        "l_orderkey, l_linenumber",
    ),
];

/// Sorted latencies in microseconds.
struct Latencies(Vec<f64>);

impl Latencies {
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        Self(all)
    }

    fn share(&self, share: f64) -> f64 {
        let at = (self.0.len() as f64 * share) as usize;
        self.0.get(at.min(self.0.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

pub(super) async fn run(options: &Options, engine: &mut Engine) -> Result<Vec<Goal>> {
    eprintln!("point reads");
    let mut table = Table::new(&[
        "microseconds",
        "reads",
        "wire p50",
        "wire p99",
        "engine p50, no cache",
        "engine p99, no cache",
    ]);
    let mut goals = Vec::new();
    restart(options, engine, true, &[])?;
    let mut over_wire = Vec::new();
    let mut keys = Vec::new();
    {
        let client = engine.connect().await?;
        for (_, sql, key) in READS_OF {
            let relation =
                sql.split_whitespace().skip_while(|word| *word != "from").nth(1).unwrap_or_default();
            let all = client.query(&format!("select {key} from {relation}"), &[]).await?;
            let mut rng = SmallRng::seed_from_u64(7);
            let chosen: Vec<Vec<i32>> = (0..READS)
                .map(|_| {
                    let row = &all[rng.random_range(0..all.len())];
                    (0..row.len()).map(|i| row.get(i)).collect()
                })
                .collect();
            keys.push(chosen);
        }
    }
    restart(options, engine, true, &[])?;
    let client = engine.connect().await?;
    for ((_, sql, _), keys) in READS_OF.iter().zip(&keys) {
        let statement = client.prepare(sql).await?;
        let mut times = Vec::new();
        for key in keys {
            let params: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
                key.iter().map(|k| k as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
            let begin = Instant::now();
            let rows = client.query(&statement, &params).await?;
            times.push(begin.elapsed().as_secs_f64() * 1e6);
            if rows.len() != 1 {
                return Err(format!("{sql} found {} rows", rows.len()).into());
            }
        }
        over_wire.push(Latencies::of(times));
    }
    drop(client);
    let in_engine = tokio::task::block_in_place(|| in_engine(options, engine, &keys))?;
    for (((title, _, _), wire), inside) in READS_OF.iter().zip(&over_wire).zip(&in_engine) {
        let text = |v: f64| format!("{v:.0}");
        table.row(vec![
            title.to_string(),
            grouped(READS as u64),
            text(wire.share(0.5)),
            text(wire.share(0.99)),
            text(inside.share(0.5)),
            text(inside.share(0.99)),
        ]);
        let what = format!("point read of a cold row in the engine without cache, {title}, p50");
        goals.push(Goal::at_most(&what, inside.share(0.5), 200.0, |v| format!("{v:.0} us")));
    }
    println!("### Point reads of cold rows by primary key, TPC-H scale factor {}\n", options.sf);
    table.print();
    Ok(goals)
}

/// The same reads in this process, on the server's database.
fn in_engine(options: &Options, engine: &mut Engine, keys: &[Vec<Vec<i32>>]) -> Result<Vec<Latencies>> {
    stop(engine)?;
    let server = engine.server_mut()?;
    let config = Config {
        db_path: server.dir().join("spg.db"),
        wal_path: server.dir().join("wal.log"),
        workers: Some(options.common.threads()),
        // Every read decodes its pages.
        cache_bytes: 0,
        ..Config::default()
    };
    let database = Database::open(config)?;
    let mut connection = database.connection()?;
    let mut measured = Vec::new();
    for ((title, sql, _), keys) in READS_OF.iter().zip(keys) {
        connection.prepare(title, sql)?;
        let mut times = Vec::new();
        for (i, key) in keys.iter().enumerate() {
            let texts: Vec<String> = key.iter().map(i32::to_string).collect();
            let params: Vec<Option<&str>> = texts.iter().map(|t| Some(t.as_str())).collect();
            let begin = Instant::now();
            let result = connection.query_prepared(title, &params)?;
            let time = begin.elapsed().as_secs_f64() * 1e6;
            // The first one waits for the index.
            if i > 0 {
                times.push(time);
            }
            if result.rows() != 1 {
                return Err(format!("{sql} found {} rows", result.rows()).into());
            }
        }
        measured.push(Latencies::of(times));
    }
    drop(connection);
    database.close()?;
    Ok(measured)
}
