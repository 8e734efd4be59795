//! What the server must hold of one client's rows.

use std::collections::{BTreeMap, BTreeSet};

/// Accounts per client.
pub(crate) const ACCOUNTS: u32 = 4;

/// One change of a client's rows: happens as a whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// New events in one statement, one transaction or one COPY.
    Insert(Vec<i64>),
    /// Events deleted by one statement.
    Delete(Vec<i64>),
    /// All events below one deleted by one statement.
    DeleteBelow(i64),
    /// The counter went up by one.
    Count,
    /// An amount moved between two accounts, with an event in the same transaction.
    Transfer { from: u32, to: u32, amount: i64, event: i64 },
}

/// One client's rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    /// Which client.
    pub client: u32,
    /// Events that exist.
    pub events: BTreeSet<i64>,
    /// The counter's value.
    pub counter: i64,
    /// Account balances.
    pub accounts: BTreeMap<u32, i64>,
    /// Number of the next event.
    pub next: i64,
    /// What was sent and not acknowledged when the connection broke.
    pub in_flight: Option<Change>,
    /// Operations acknowledged so far.
    pub acknowledged: u64,
}

impl Model {
    pub(crate) fn new(client: u32) -> Self {
        Self {
            client,
            events: BTreeSet::new(),
            counter: 0,
            accounts: (0..ACCOUNTS).map(|a| (client * ACCOUNTS + a, 1000)).collect(),
            next: i64::from(client) << 40,
            in_flight: None,
            acknowledged: 0,
        }
    }

    /// Numbers for new events; none is ever given twice.
    pub(crate) fn take(&mut self, n: usize) -> Vec<i64> {
        let first = self.next;
        self.next += n as i64;
        (first..self.next).collect()
    }

    /// The change has happened.
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Insert(ids) => self.events.extend(ids),
            Change::Delete(ids) => self.events.retain(|id| !ids.contains(id)),
            Change::DeleteBelow(end) => self.events = self.events.split_off(end),
            Change::Count => self.counter += 1,
            Change::Transfer { from, to, amount, event } => {
                *self.accounts.entry(*from).or_default() -= amount;
                *self.accounts.entry(*to).or_default() += amount;
                self.events.insert(*event);
            }
        }
    }
}
