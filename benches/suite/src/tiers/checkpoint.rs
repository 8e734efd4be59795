//! Bytes that a checkpoint writes after a hundredth of the data has changed.

use spg_corpus::tpch::{Keys, generate_csv};

use super::{Goal, Options, folder_bytes, mib, start};
use crate::Result;
use crate::load::load;
use crate::report::Table;

pub(super) async fn run(options: &Options) -> Result<Vec<Goal>> {
    let dir = options.common.data_dir(options.sf);
    generate_csv(options.sf, &dir)?;
    eprintln!("checkpoint: loading");
    let mut engine = start(options, &[("SPG_CHECKPOINT_WAL_BYTES", 1 << 40)])?;
    let client = engine.connect().await?;
    load(&client, &dir, Keys::PrimaryAndForeign, |_| true).await?;
    client.batch_execute("checkpoint").await?;
    let folder = engine.server_mut()?.dir().join("spg.db.spg");
    let data = folder_bytes(&folder.join("hot"), ".hot")?;
    let mut table = Table::new(&["what changed", "bytes written", "of the data"]);
    let mut goals = Vec::new();
    for (what, sql) in [
        (
            "1% of all rows of lineitem and orders, scattered, updated",
            "update lineitem set l_quantity = l_quantity + 1 where l_orderkey / 32 % 100 = 7; \
             update orders set o_shippriority = 1 where o_orderkey / 32 % 100 = 7",
        ),
        (
            "1% of all rows of lineitem, neighbours, deleted",
            "delete from lineitem where l_orderkey < (select max(l_orderkey) / 100 from lineitem)",
        ),
    ] {
        client.batch_execute(sql).await?;
        let before = written(&mut engine)?;
        client.batch_execute("checkpoint").await?;
        let bytes = written(&mut engine)?.saturating_sub(before);
        let share = bytes as f64 / data as f64 * 100.0;
        let percent = |v: f64| format!("{v:.1}%");
        table.row(vec![what.into(), mib(bytes as f64), percent(share)]);
        goals.push(Goal::at_most(&format!("checkpoint after: {what}"), share, 5.0, percent));
    }
    println!("### Bytes of a checkpoint, TPC-H scale factor {}, {} of rows\n", options.sf, mib(data as f64));
    table.print();
    Ok(goals)
}

/// Bytes that the server has sent to the disk so far.
fn written(engine: &mut crate::engine::Engine) -> Result<u64> {
    let io = std::fs::read_to_string(format!("/proc/{}/io", engine.server_mut()?.pid()))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).ok_or("no write_bytes")?;
    Ok(line.trim().parse()?)
}
