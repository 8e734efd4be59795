//! One client's load: random changes, each recorded once the server has acknowledged it.

use std::time::Duration;

use futures::SinkExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::Failure;
use crate::model::{ACCOUNTS, Change, Model};

/// A connection; its task ends with it.
pub(crate) async fn connect(options: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(options, NoTls).await?;
    tokio::spawn(async move {
        // A broken connection shows as an error of the statement that was under way.
        let _ = connection.await;
    });
    Ok(client)
}

/// Tables, and each client's accounts and counter.
pub(crate) async fn create_tables(options: &str, models: &[Model]) -> Result<(), Failure> {
    let c = connect(options).await?;
    c.batch_execute(
        "CREATE TABLE accounts (id integer PRIMARY KEY, client integer NOT NULL, balance bigint NOT NULL);
         CREATE TABLE counters (client integer PRIMARY KEY, n bigint NOT NULL);
         CREATE TABLE events (id bigint PRIMARY KEY, client integer NOT NULL, payload text) WITH (hot_tier_bytes = 0);",
    )
    .await?;
    for m in models {
        c.execute("INSERT INTO counters VALUES ($1, 0)", &[&(m.client as i32)]).await?;
        for (id, balance) in &m.accounts {
            c.execute(
                "INSERT INTO accounts VALUES ($1, $2, $3)",
                &[&(*id as i32), &(m.client as i32), balance],
            )
            .await?;
        }
    }
    Ok(())
}

/// Changes rows until the connection breaks. An error of any other kind fails the run.
pub(crate) async fn load(options: String, mut model: Model, seed: u64) -> Result<Model, Failure> {
    let Ok(mut c) = connect(&options).await else { return Ok(model) };
    let mut rng = StdRng::seed_from_u64(seed);
    loop {
        let (change, how) = choose(&mut model, &mut rng);
        model.in_flight = Some(change.clone());
        match carry_out(&mut c, &model, &change, how).await {
            Ok(()) => {
                model.apply(&change);
                model.in_flight = None;
                model.acknowledged += 1;
            }
            Err(e) if e.as_db_error().is_none() => return Ok(model),
            Err(e) => return Err(format!("client {}: {change:?}: {e:?}", model.client).into()),
        }
    }
}

/// Does by hand what the background does by itself, until the connection breaks: checkpoints, freezes, compactions. An error
/// other than that the writer was busy fails the run.
pub(crate) async fn maintain(options: String, seed: u64) -> Result<u64, Failure> {
    let Ok(c) = connect(&options).await else { return Ok(0) };
    let mut rng = StdRng::seed_from_u64(seed);
    let mut done = 0;
    loop {
        let statement = MAINTENANCE[rng.random_range(0..MAINTENANCE.len())];
        match c.batch_execute(statement).await {
            Ok(()) => done += 1,
            Err(e) => match e.as_db_error() {
                None => return Ok(done),
                Some(e) if *e.code() == SqlState::LOCK_NOT_AVAILABLE => {}
                Some(e) => return Err(format!("{statement}: {e:?}").into()),
            },
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
    }
}

/// What is done by hand.
const MAINTENANCE: &[&str] = &[
    "CHECKPOINT",
    "SELECT spg_freeze('events')",
    "SELECT spg_freeze('accounts')",
    "SELECT spg_freeze('counters')",
    "SELECT spg_compact('events')",
    "SELECT spg_compact('accounts')",
    "VACUUM counters",
];
/// So many events of a client are deleted at once.
const EVENTS_MAX: usize = 60_000;

/// How rows are inserted.
#[derive(Clone, Copy)]
enum How {
    Statement,
    Transaction,
    Copy,
}

fn choose(model: &mut Model, rng: &mut StdRng) -> (Change, How) {
    if model.events.len() > EVENTS_MAX {
        return (Change::DeleteBelow(model.next - 1_000), How::Statement);
    }
    if rng.random_bool(0.01) {
        // Enough for row groups that the background freezes.
        return (Change::Insert(model.take(20_000)), How::Copy);
    }
    match rng.random_range(0..10) {
        0..=2 => (Change::Insert(model.take(1)), How::Statement),
        3 => {
            let n = rng.random_range(2..20);
            (Change::Insert(model.take(n)), How::Transaction)
        }
        4 => {
            let n = rng.random_range(1..3000);
            (Change::Insert(model.take(n)), How::Copy)
        }
        5..=6 => (Change::Count, How::Statement),
        7 if !model.events.is_empty() => {
            let n = rng.random_range(1..4);
            let skip = rng.random_range(0..model.events.len());
            (Change::Delete(model.events.iter().skip(skip).take(n).copied().collect()), How::Statement)
        }
        _ => {
            let event = model.take(1)[0];
            let first = model.client * ACCOUNTS;
            let from = rng.random_range(0..ACCOUNTS);
            let to = (from + rng.random_range(1..ACCOUNTS)) % ACCOUNTS;
            let amount = rng.random_range(1..100);
            (Change::Transfer { from: first + from, to: first + to, amount, event }, How::Transaction)
        }
    }
}

async fn carry_out(
    c: &mut Client,
    model: &Model,
    change: &Change,
    how: How,
) -> Result<(), tokio_postgres::Error> {
    let client = model.client as i32;
    match (change, how) {
        (Change::Insert(ids), How::Copy) => {
            let sink = c.copy_in("COPY events FROM STDIN (FORMAT csv)").await?;
            let mut sink = std::pin::pin!(sink);
            for part in ids.chunks(500) {
                let rows: String = part.iter().map(|id| format!("{id},{client},copied {id}\n")).collect();
                sink.send(std::io::Cursor::new(rows.into_bytes())).await?;
            }
            sink.finish().await?;
        }
        (Change::Insert(ids), how) => {
            let insert = "INSERT INTO events VALUES ($1, $2, $3)";
            if let (How::Statement, [id]) = (how, &ids[..]) {
                c.execute(insert, &[id, &client, &format!("inserted {id}")]).await?;
            } else {
                let t = c.transaction().await?;
                let insert = t.prepare(insert).await?;
                for id in ids {
                    t.execute(&insert, &[id, &client, &format!("in a transaction {id}")]).await?;
                }
                t.commit().await?;
            }
        }
        (Change::Delete(ids), _) => {
            let list: Vec<String> = ids.iter().map(i64::to_string).collect();
            c.batch_execute(&format!("DELETE FROM events WHERE id IN ({})", list.join(","))).await?;
        }
        (Change::DeleteBelow(end), _) => {
            c.execute("DELETE FROM events WHERE client = $1 AND id < $2", &[&client, end]).await?;
        }
        (Change::Count, _) => {
            c.execute("UPDATE counters SET n = n + 1 WHERE client = $1", &[&client]).await?;
        }
        (Change::Transfer { from, to, amount, event }, _) => {
            let t = c.transaction().await?;
            let update = "UPDATE accounts SET balance = balance + $2 WHERE id = $1";
            t.execute(update, &[&(*from as i32), &-amount]).await?;
            t.execute("INSERT INTO events VALUES ($1, $2, 'transfer')", &[event, &client]).await?;
            t.execute(update, &[&(*to as i32), amount]).await?;
            t.commit().await?;
        }
    }
    Ok(())
}
