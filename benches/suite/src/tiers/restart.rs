//! From the start of the server to its first answers: after an orderly stop, and after kill -9 with a log to replay.

use std::time::Instant;

use spg_corpus::tpch::{Keys, TABLES, generate_csv, queries};

use super::{Goal, Options, log_bytes, mib, restart, seconds, start};
use crate::Result;
use crate::engine::Engine;
use crate::load::load;
use crate::report::Table;

/// The log to be replayed.
const LOG_BYTES: u64 = 1 << 30;
/// Checkpoints are made only when asked for.
const NEVER: u64 = 1 << 40;
const BY_KEY: &str = "select l_quantity from lineitem where l_orderkey = 7 and l_linenumber = 1";

pub(super) async fn run(options: &Options) -> Result<Vec<Goal>> {
    let dir = options.common.data_dir(options.restart_sf);
    generate_csv(options.restart_sf, &dir)?;
    eprintln!("restart: loading scale factor {}", options.restart_sf);
    let env = [("SPG_CHECKPOINT_WAL_BYTES", NEVER)];
    let mut engine = start(options, &env)?;
    let client = engine.connect().await?;
    load(&client, &dir, Keys::PrimaryAndForeign, |_| true).await?;
    // More of the same, without keys, until the log has its size.
    let lineitem = &TABLES[TABLES.len() - 1];
    let mut copies = 0;
    while log_bytes(&mut engine)? < LOG_BYTES {
        copies += 1;
        let create = lineitem.create(Keys::Primary).replacen("lineitem", &format!("lineitem{copies}"), 1);
        client.batch_execute(&create).await?;
        let insert = format!("insert into lineitem{copies} select * from lineitem where l_orderkey % 4 = 0");
        client.batch_execute(&insert).await?;
    }
    let log = log_bytes(&mut engine)?;
    drop(client);
    eprintln!("restart: after kill -9");
    let killed = measure(options, &mut engine, false, &env).await?;
    eprintln!("restart: after an orderly stop");
    let stopped = measure(options, &mut engine, true, &env).await?;
    println!("### Restart, TPC-H scale factor {}\n", options.restart_sf);
    let mut table = Table::new(&["seconds from the start", "first answer", "first Q6", "first row by key"]);
    for (title, m) in [
        ("after an orderly stop".to_string(), &stopped),
        (format!("after kill -9, {} of log", mib(log as f64)), &killed),
    ] {
        table.row(vec![title, seconds(m.answer), seconds(m.query), seconds(m.by_key)]);
    }
    table.print();
    Ok(vec![
        Goal::at_most("restart after an orderly stop, to the first Q6", stopped.query, 2.0, seconds),
        Goal::at_most(
            "restart after kill -9 with a log of 1 GiB, to the first Q6",
            killed.query,
            10.0,
            seconds,
        ),
    ])
}

struct Measured {
    answer: f64,
    query: f64,
    by_key: f64,
}

async fn measure(
    options: &Options,
    engine: &mut Engine,
    orderly: bool,
    env: &[(&'static str, u64)],
) -> Result<Measured> {
    let answer = restart(options, engine, orderly, env)?;
    let begin = Instant::now();
    let client = engine.connect().await?;
    client.simple_query(&queries(options.restart_sf)[5]).await?;
    let query = answer + begin.elapsed().as_secs_f64();
    client.simple_query(BY_KEY).await?;
    Ok(Measured { answer, query, by_key: answer + begin.elapsed().as_secs_f64() })
}
