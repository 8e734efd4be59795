//! Loading a table of four times the hot budget, against loading it all hot.

use spg_corpus::tpch::{Keys, TABLES, Table as TpchTable, csv_path, generate_csv};

use super::{Goal, Options, factor, folder_bytes, mib, seconds, start};
use crate::Result;
use crate::load::copy_in;
use crate::report::{Table, grouped};

/// More than any table here has.
const UNLIMITED: u64 = 1 << 40;
/// Memory beside the hot tier.
const BESIDE_BYTES: u64 = 3 << 29;

/// One load into a fresh server.
struct Loaded {
    seconds: f64,
    peak: u64,
    /// Bytes of the hot rows, as a checkpoint writes them.
    hot: u64,
    cold: u64,
}

pub(super) async fn run(options: &Options) -> Result<Vec<Goal>> {
    let dir = options.common.data_dir(options.load_sf);
    let lineitem = &TABLES[TABLES.len() - 1];
    let rows = generate_csv(options.load_sf, &dir)?[TABLES.len() - 1] as u64;
    let path = csv_path(&dir, lineitem);
    let hot = load(options, lineitem, &path, UNLIMITED).await?;
    let budget = hot.hot / 4;
    let tiered = load(options, lineitem, &path, budget).await?;
    println!("### Load of lineitem, scale factor {}, {} rows\n", options.load_sf, grouped(rows));
    let mut table = Table::new(&["", "budget", "load", "rows/s", "peak memory", "hot files", "segments"]);
    for (title, limit, loaded) in [("all hot", None, &hot), ("a quarter hot", Some(budget), &tiered)] {
        table.row(vec![
            title.into(),
            limit.map_or("-".into(), |b| mib(b as f64)),
            seconds(loaded.seconds),
            grouped((rows as f64 / loaded.seconds) as u64),
            mib(loaded.peak as f64),
            mib(loaded.hot as f64),
            mib(loaded.cold as f64),
        ]);
    }
    table.print();
    Ok(vec![
        Goal::at_most(
            "load of 4 times the budget, against all hot",
            tiered.seconds / hot.seconds,
            1.3,
            factor,
        ),
        Goal::at_most(
            "peak memory of it, against the budget and 1.5 GiB",
            tiered.peak as f64,
            (budget + BESIDE_BYTES) as f64,
            mib,
        ),
    ])
}

async fn load(options: &Options, table: &TpchTable, csv: &std::path::Path, budget: u64) -> Result<Loaded> {
    eprintln!("load with a budget of {}", mib(budget as f64));
    let env = [("SPG_HOT_TIER_BYTES", budget), ("SPG_CHECKPOINT_WAL_BYTES", UNLIMITED)];
    let mut engine = start(options, &env)?;
    let client = engine.connect().await?;
    client.batch_execute(&table.create(Keys::Primary)).await?;
    let time = copy_in(&client, &table.copy_in(), csv).await?;
    let mut peak = engine.peak_memory().unwrap_or_default();
    client.batch_execute("checkpoint").await?;
    peak = peak.max(engine.peak_memory().unwrap_or_default());
    let folder = engine.server_mut()?.dir().join("spg.db.spg");
    let (hot, cold) =
        (folder_bytes(&folder.join("hot"), ".hot")?, folder_bytes(&folder.join("segments"), ".spg")?);
    Ok(Loaded { seconds: time.as_secs_f64(), peak, hot, cold })
}
