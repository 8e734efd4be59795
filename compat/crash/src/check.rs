//! What a restarted server holds, against the model.

use std::collections::{BTreeMap, BTreeSet};

use crate::Failure;
use crate::client::connect;
use crate::model::Model;

/// Compares one client's rows with its model. Whether the operation that was under way has happened; `None` when there was
/// none. The model then goes on from what the server holds.
pub(crate) async fn check(options: &str, model: &mut Model) -> Result<Option<bool>, Failure> {
    let c = connect(options).await?;
    let client = model.client as i32;
    let rows = c.query("SELECT id FROM events WHERE client = $1", &[&client]).await?;
    let held: BTreeSet<i64> = rows.iter().map(|r| r.get(0)).collect();
    if held.len() != rows.len() {
        return Err(format!("client {client}: {} events, {} of them distinct", rows.len(), held.len()).into());
    }
    // The index must agree with the rows.
    for id in held.iter().take(50) {
        let found = c.query("SELECT client FROM events WHERE id = $1", &[id]).await?;
        if found.len() != 1 {
            return Err(
                format!("client {client}: event {id} is found {} times by its key", found.len()).into()
            );
        }
    }
    let counter: i64 = c.query_one("SELECT n FROM counters WHERE client = $1", &[&client]).await?.get(0);
    let accounts: BTreeMap<u32, i64> = c
        .query("SELECT id, balance FROM accounts WHERE client = $1", &[&client])
        .await?
        .iter()
        .map(|r| (r.get::<_, i32>(0) as u32, r.get(1)))
        .collect();
    let same = |m: &Model| m.events == held && m.counter == counter && m.accounts == accounts;
    let in_flight = model.in_flight.take();
    if same(model) {
        return Ok(in_flight.map(|_| false));
    }
    if let Some(change) = &in_flight {
        model.apply(change);
        if same(model) {
            return Ok(Some(true));
        }
    }
    let lost: Vec<_> = model.events.difference(&held).take(10).collect();
    let extra: Vec<_> = held.difference(&model.events).take(10).collect();
    Err(format!(
        "client {client}: the server does not hold what it acknowledged. Under way: {in_flight:?}. Events lost: {lost:?}, \
         events that nobody was told of: {extra:?}, counter {counter} for {}, accounts {accounts:?} for {:?}",
        model.counter, model.accounts
    )
    .into())
}

/// How many segments there are.
pub(crate) async fn segments(options: &str) -> Result<i64, Failure> {
    let c = connect(options).await?;
    Ok(c.query_one("SELECT count(*) FROM spg_stat_segment", &[]).await?.get(0))
}
