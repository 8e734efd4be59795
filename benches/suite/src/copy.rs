//! COPY of lineitem, in and out.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use spg_corpus::DuckDb;
use spg_corpus::tpch::{Keys, TABLES, csv_path, generate_csv};

use crate::engine::Engine;
use crate::load::{copy_in, copy_out, load};
use crate::report::{Table, grouped, machine, ratio};
use crate::{Common, Name, Result};

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Scale factor.
    #[arg(long, default_value_t = 1.0)]
    sf: f64,
    #[command(flatten)]
    common: Common,
}

const VARIANTS: [(&str, Keys); 3] = [
    ("in, no keys", Keys::None),
    ("in, primary key", Keys::Primary),
    ("in, primary and foreign keys", Keys::PrimaryAndForeign),
];

/// Time and bytes of one COPY; `None` where it was not measured.
type Measured = Option<(Duration, u64)>;

/// Runs the benchmark.
pub(crate) async fn run(options: &Options) -> Result<bool> {
    let common = &options.common;
    let dir = common.data_dir(options.sf);
    let rows = generate_csv(options.sf, &dir)?[TABLES.len() - 1] as u64;
    let (mut spg, mut postgres) = (vec![None; 4], vec![None; 4]);
    for (i, (title, keys)) in VARIANTS.iter().enumerate() {
        for engine in Engine::each(common) {
            let engine = engine?;
            eprintln!("{}: {title}", engine.title());
            let (into, out) = measure(&engine, &dir, *keys).await?;
            let column = if engine.is_postgres() { &mut postgres } else { &mut spg };
            column[i] = Some(into);
            column[3] = out.or(column[3]);
        }
    }
    let duck = if common.runs(Name::Duckdb) { duckdb(options, &dir) } else { vec![None; 4] };
    println!("## COPY of lineitem as csv, scale factor {}\n", options.sf);
    println!("{}, {} threads, {} rows.\n", machine(), common.threads(), grouped(rows));
    let mut table = Table::new(&[
        "",
        "SPG rows/s",
        "SPG MB/s",
        "PostgreSQL rows/s",
        "PostgreSQL MB/s",
        "SPG/PostgreSQL",
        "DuckDB rows/s",
        "DuckDB MB/s",
    ]);
    let titles = VARIANTS.iter().map(|(title, _)| *title).chain(["out"]);
    for (i, title) in titles.enumerate() {
        let speed = |m: Measured| m.map(|(time, _)| rows as f64 / time.as_secs_f64());
        let mut cells = vec![title.to_string()];
        for measured in [spg[i], postgres[i]] {
            cells.extend(speeds(rows, measured));
        }
        cells.push(ratio(speed(spg[i]), speed(postgres[i])));
        cells.extend(speeds(rows, duck[i]));
        table.row(cells);
    }
    table.print();
    Ok(true)
}

fn speeds(rows: u64, measured: Measured) -> [String; 2] {
    let Some((time, bytes)) = measured else { return ["-".into(), "-".into()] };
    let seconds = time.as_secs_f64();
    [grouped((rows as f64 / seconds) as u64), format!("{:.1}", bytes as f64 / 1e6 / seconds)]
}

/// One load of lineitem on a fresh engine, and with the primary key also the way out.
async fn measure(engine: &Engine, dir: &Path, keys: Keys) -> Result<((Duration, u64), Measured)> {
    let client = engine.connect().await?;
    let lineitem = &TABLES[TABLES.len() - 1];
    if keys == Keys::PrimaryAndForeign {
        load(&client, dir, keys, |table| table.name != lineitem.name).await?;
    }
    client.batch_execute(&lineitem.create(keys)).await?;
    let path = csv_path(dir, lineitem);
    let bytes = std::fs::metadata(&path)?.len();
    let time = copy_in(&client, &lineitem.copy_in(), &path).await?;
    let out = match keys {
        Keys::Primary => Some(copy_out(&client, "copy lineitem to stdout (format csv)").await?),
        _ => None,
    };
    Ok(((time, bytes), out))
}

fn duckdb(options: &Options, dir: &Path) -> Vec<Measured> {
    let duckdb = match DuckDb::prepare() {
        Ok(duckdb) => duckdb,
        Err(error) => {
            eprintln!("DuckDB is not available: {error}");
            return vec![None; 4];
        }
    };
    let bytes = std::fs::metadata(csv_path(dir, &TABLES[TABLES.len() - 1])).map_or(0, |m| m.len());
    let mut measured = vec![None; 4];
    for (i, (_, keys)) in VARIANTS.iter().enumerate() {
        match duckdb.tpch(dir, options.sf, *keys, options.common.threads(), 0) {
            Ok(run) => {
                let seconds = run.loads.last().map(|(_, _, seconds)| *seconds);
                measured[i] = seconds.map(|s| (Duration::from_secs_f64(s), bytes));
                measured[3] = Some((Duration::from_secs_f64(run.export.0), run.export.1));
            }
            Err(error) => eprintln!("DuckDB: {error}"),
        }
    }
    measured
}
