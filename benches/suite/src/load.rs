//! Loading TPC-H tables by COPY over the wire.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use spg_corpus::tpch::{Keys, TABLES, Table, csv_path};
use tokio_postgres::Client;

use crate::Result;

/// Bytes of one CopyData message.
const CHUNK: usize = 256 << 10;

/// Creates the tables that `wanted` accepts and loads them; the time each load took.
pub(crate) async fn load(
    client: &Client,
    dir: &Path,
    keys: Keys,
    wanted: impl Fn(&Table) -> bool,
) -> Result<Vec<(&'static str, Duration)>> {
    let mut times = Vec::new();
    for table in TABLES.iter().filter(|table| wanted(table)) {
        client.batch_execute(&table.create(keys)).await?;
        times.push((table.name, copy_in(client, &table.copy_in(), &csv_path(dir, table)).await?));
    }
    Ok(times)
}

/// Sends a file through COPY ... FROM STDIN. The file is read into memory first: its disk is not measured.
pub(crate) async fn copy_in(client: &Client, sql: &str, path: &Path) -> Result<Duration> {
    let data = Bytes::from(std::fs::read(path)?);
    let begin = Instant::now();
    let sink = client.copy_in::<_, Bytes>(sql).await?;
    let mut sink = std::pin::pin!(sink);
    for start in (0..data.len()).step_by(CHUNK) {
        sink.feed(data.slice(start..data.len().min(start + CHUNK))).await?;
    }
    sink.finish().await?;
    Ok(begin.elapsed())
}

/// Receives COPY ... TO STDOUT; the time and the bytes.
pub(crate) async fn copy_out(client: &Client, sql: &str) -> Result<(Duration, u64)> {
    let begin = Instant::now();
    let mut stream = std::pin::pin!(client.copy_out(sql).await?);
    let mut bytes = 0;
    while let Some(chunk) = stream.try_next().await? {
        bytes += chunk.len() as u64;
    }
    Ok((begin.elapsed(), bytes))
}
