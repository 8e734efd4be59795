//! Locks on rows and keys: which transactions hold them, no more. Who waits for whom is the write lock's business.

use std::sync::OnceLock;

use ahash::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use spg_types::{IndexId, TableId};

use crate::index::keys::KeyArray;
use crate::index::layout::{Keys, each_keys};

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LockKey {
    /// A row, by its id: whoever changes or deletes it.
    Row(TableId, u64),
    /// A key of a unique index: whoever adds it or takes it away; shared, whoever refers to it. Keys that do not fit into 128 bits
    /// stand there by a hash.
    Key(IndexId, u128),
}

/// How much a lock keeps away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    Shared,
    Exclusive,
}

/// How an attempt to lock ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The transaction did not have it before.
    New,
    /// It had it already.
    Had,
    /// Another transaction has it.
    Busy(u64),
}

#[derive(Debug)]
enum Holders {
    One(u64),
    Shared(Vec<u64>),
}

/// The locks of all transactions.
#[derive(Debug, Default)]
pub(crate) struct Held(HashMap<LockKey, Holders, RandomState>);

impl Held {
    /// Takes a lock for a transaction unless another one has it.
    pub(crate) fn take(&mut self, transaction: u64, key: LockKey, strength: Strength) -> Taken {
        let fresh = || match strength {
            Strength::Exclusive => Holders::One(transaction),
            Strength::Shared => Holders::Shared(vec![transaction]),
        };
        let mut slot = match self.0.entry(key) {
            Entry::Vacant(slot) => {
                slot.insert(fresh());
                return Taken::New;
            }
            Entry::Occupied(slot) => slot,
        };
        match (slot.get_mut(), strength) {
            (Holders::One(holder), _) if *holder == transaction => Taken::Had,
            (Holders::One(holder), _) => Taken::Busy(*holder),
            (Holders::Shared(holders), Strength::Shared) if holders.contains(&transaction) => Taken::Had,
            (Holders::Shared(holders), Strength::Shared) => {
                holders.push(transaction);
                Taken::New
            }
            (Holders::Shared(holders), Strength::Exclusive) => {
                if let Some(other) = holders.iter().find(|h| **h != transaction) {
                    return Taken::Busy(*other);
                }
                slot.insert(fresh());
                Taken::New
            }
        }
    }

    /// Gives a transaction's lock back.
    pub(crate) fn release(&mut self, transaction: u64, key: LockKey) {
        let Entry::Occupied(mut slot) = self.0.entry(key) else { return };
        let free = match slot.get_mut() {
            Holders::One(holder) => *holder == transaction,
            Holders::Shared(holders) => {
                holders.retain(|h| *h != transaction);
                holders.is_empty()
            }
        };
        if free {
            slot.remove();
        }
    }

    /// How many things are locked.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The locks for keys of an index, those with a NULL left out.
pub(crate) fn key_locks(index: IndexId, keys: &Keys, is_null: impl Fn(usize) -> bool) -> Vec<LockKey> {
    let wanted = (0..each_keys!(keys, k => k.len())).filter(|i| !is_null(*i));
    let number = |i: usize| match keys {
        Keys::U64(k) => u128::from(k[i]),
        Keys::U128(k) => k[i],
        Keys::Bytes(k) => hash(k.get(i)),
    };
    wanted.map(|i| LockKey::Key(index, number(i))).collect()
}

/// With seeds of this process: hashes are compared with each other and kept nowhere.
fn hash(bytes: &[u8]) -> u128 {
    static HASHERS: OnceLock<[RandomState; 2]> = OnceLock::new();
    let [high, low] = HASHERS.get_or_init(|| [RandomState::new(), RandomState::new()]);
    u128::from(high.hash_one(bytes)) << 64 | u128::from(low.hash_one(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_keeps_all_others_away_and_shared_only_exclusive() {
        let key = LockKey::Row(TableId(1), 7);
        let mut held = Held::default();
        assert_eq!(held.take(1, key, Strength::Shared), Taken::New);
        assert_eq!(held.take(1, key, Strength::Shared), Taken::Had);
        assert_eq!(held.take(2, key, Strength::Shared), Taken::New);
        assert_eq!(held.take(1, key, Strength::Exclusive), Taken::Busy(2));
        held.release(2, key);
        assert_eq!(held.take(1, key, Strength::Exclusive), Taken::New);
        assert_eq!(held.take(1, key, Strength::Shared), Taken::Had);
        assert_eq!(held.take(2, key, Strength::Shared), Taken::Busy(1));
        held.release(2, key);
        assert_eq!(held.len(), 1);
        held.release(1, key);
        assert_eq!(held.len(), 0);
    }
}
