//! The write lock: who may write. Transactions write side by side, each holding the lock in shared mode and locks on the rows and
//! keys that it touches; or one transaction holds it alone.
//!
//! Everything is granted in order, at once or on the thread that makes room. Who waits either sleeps or awaits. Transactions
//! that hold something and wait for each other in a circle are found when the circle would close: the last one gets 40P01.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::{Condvar, Mutex, MutexGuard};
use spg_types::{Error, Result, SqlState};

use crate::row_lock::{Held, LockKey, Strength, Taken};

/// How long who sleeps goes without looking whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(20);

/// How to wait for a lock.
#[derive(Clone, Debug, Default)]
pub struct LockWait {
    /// `lock_timeout`; forever without one.
    pub timeout: Option<Duration>,
    /// Ends the wait when set.
    pub cancelled: Option<Arc<AtomicBool>>,
}

/// How a transaction writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Beside others, with locks on rows and keys.
    Shared,
    /// Alone.
    Exclusive,
}

#[derive(Default)]
pub(crate) struct WriteLock {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    transactions: u64,
    /// The transactions that write side by side.
    parties: AHashMap<u64, Party>,
    /// The transaction that writes alone, and whether somebody waits for it.
    alone: Option<(u64, Arc<AtomicBool>)>,
    /// Who waits to be let in.
    queue: VecDeque<Arc<Waiter>>,
    held: Held,
}

#[derive(Default)]
struct Party {
    waits: Option<Waits>,
    /// Who waits for its end.
    waiters: Vec<Arc<Waiter>>,
    /// For when it is alone.
    is_waited_for: Arc<AtomicBool>,
}

/// What a transaction that holds something waits for.
#[derive(Clone, Copy)]
enum Waits {
    End(u64),
    /// To be alone: for the end of all others.
    Others,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Entry(WriteMode),
    Upgrade,
    End(u64),
}

struct Waiter {
    transaction: u64,
    wants: Wants,
    since: Instant,
    /// Set under the state's lock.
    granted: AtomicBool,
    woken: Condvar,
    waker: Mutex<Option<Waker>>,
}

/// The right to write, with the locks on rows and keys that were taken under it; given back when it is dropped. May move
/// between threads.
pub(crate) struct Permit {
    lock: Arc<WriteLock>,
    transaction: u64,
    locked: Vec<LockKey>,
    is_waited_for: Arc<AtomicBool>,
}

/// A place in the queue for the write lock, or the wait of a transaction for another one. As a future it is ready when its turn
/// has come. Dropped, the place is given up.
pub struct Turn {
    lock: Arc<WriteLock>,
    waiter: Arc<Waiter>,
    /// What was granted has an owner.
    taken: bool,
}

impl WriteLock {
    /// Lets a transaction in if there is room, gives it a place in the queue otherwise.
    pub(crate) fn turn(self: &Arc<Self>, mode: WriteMode) -> Turn {
        let mut state = self.state.lock();
        state.transactions += 1;
        let waiter = Waiter::new(state.transactions, Wants::Entry(mode));
        state.queue.push_back(waiter.clone());
        let woken = state.let_in();
        drop(state);
        wake(woken);
        Turn { lock: self.clone(), waiter, taken: false }
    }
}

impl State {
    /// Lets in whom there is room for, in order; who is to be woken.
    fn let_in(&mut self) -> Vec<Arc<Waiter>> {
        let mut woken = Vec::new();
        while let Some(first) = self.queue.front() {
            let number = first.transaction;
            match first.wants {
                _ if self.alone.is_some() => break,
                Wants::Entry(WriteMode::Shared) => _ = self.parties.insert(number, Party::default()),
                Wants::Entry(WriteMode::Exclusive) if self.parties.is_empty() => {
                    self.alone = Some((number, Arc::default()));
                }
                Wants::Upgrade if self.parties.len() == 1 => {
                    let party = self.parties.remove(&number).unwrap_or_default();
                    self.alone = Some((number, party.is_waited_for));
                }
                _ => break,
            }
            first.granted.store(true, Ordering::Release);
            woken.extend(self.queue.pop_front());
        }
        // Who is alone hears that somebody waits to get in.
        if let Some((_, is_waited_for)) = &self.alone {
            is_waited_for.store(!self.queue.is_empty(), Ordering::Relaxed);
        }
        woken
    }

    /// Whether the transaction waits, directly or through others, for `end`.
    fn waits_for(&self, mut transaction: u64, end: u64) -> bool {
        for _ in 0..=self.parties.len() {
            match self.parties.get(&transaction).and_then(|p| p.waits) {
                Some(Waits::End(next)) if next == end => return true,
                Some(Waits::End(next)) => transaction = next,
                Some(Waits::Others) => return self.parties.contains_key(&end),
                None => return false,
            }
        }
        false
    }

    /// Wakes who waits for a transaction.
    fn wake_waiters(&mut self, mut waiters: Vec<Arc<Waiter>>, woken: &mut Vec<Arc<Waiter>>) {
        for waiter in &waiters {
            waiter.granted.store(true, Ordering::Release);
            if let Some(party) = self.parties.get_mut(&waiter.transaction) {
                party.waits = None;
            }
        }
        woken.append(&mut waiters);
    }

    /// A transaction ends, its locks become free; who is to be woken.
    fn end(&mut self, transaction: u64, locked: &[LockKey]) -> Vec<Arc<Waiter>> {
        locked.iter().for_each(|key| self.held.release(transaction, *key));
        let mut woken = Vec::new();
        self.alone.take_if(|(number, _)| *number == transaction);
        if let Some(party) = self.parties.remove(&transaction) {
            self.wake_waiters(party.waiters, &mut woken);
        }
        woken.extend(self.let_in());
        woken
    }
}

/// Without the state's lock.
fn wake(waiters: Vec<Arc<Waiter>>) {
    for waiter in waiters {
        waiter.woken.notify_one();
        if let Some(waker) = waiter.waker.lock().take() {
            waker.wake();
        }
    }
}

impl Waiter {
    fn new(transaction: u64, wants: Wants) -> Arc<Self> {
        Arc::new(Self {
            transaction,
            wants,
            since: Instant::now(),
            granted: AtomicBool::new(false),
            woken: Condvar::new(),
            waker: Mutex::default(),
        })
    }
}

impl Permit {
    /// Whether it is alone and others wait for its end.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.is_waited_for.load(Ordering::Relaxed)
    }

    /// How many locks it has: a mark for [`Permit::release_after`].
    pub(crate) fn locks(&self) -> usize {
        self.locked.len()
    }

    /// Locks rows and keys; whether one of them is new. The number of the transaction that has one otherwise: those before it
    /// are locked.
    pub(crate) fn lock(
        &mut self,
        keys: impl IntoIterator<Item = LockKey>,
        strength: Strength,
    ) -> std::result::Result<bool, u64> {
        let mut new = false;
        let mut state = self.lock.state.lock();
        for key in keys {
            match state.held.take(self.transaction, key, strength) {
                Taken::New => {
                    self.locked.push(key);
                    new = true;
                }
                Taken::Had => {}
                Taken::Busy(holder) => return Err(holder),
            }
        }
        Ok(new)
    }

    /// Gives back the locks taken since there were `mark`, and wakes who may wait for them.
    pub(crate) fn release_after(&mut self, mark: usize) {
        if mark >= self.locked.len() {
            return;
        }
        let mut state = self.lock.state.lock();
        for key in self.locked.drain(mark..) {
            state.held.release(self.transaction, key);
        }
        let waiters = state.parties.get_mut(&self.transaction).map(|p| std::mem::take(&mut p.waiters));
        let mut woken = Vec::new();
        state.wake_waiters(waiters.unwrap_or_default(), &mut woken);
        drop(state);
        wake(woken);
    }

    /// The wait for another transaction's end. 40P01 when that one waits for this.
    pub(crate) fn turn_after(&self, holder: u64) -> Result<Turn> {
        let mut guard = self.lock.state.lock();
        let state = &mut *guard;
        if state.waits_for(holder, self.transaction) {
            return Err(deadlock(self.transaction, holder));
        }
        let waiter = Waiter::new(self.transaction, Wants::End(holder));
        match state.parties.get_mut(&holder) {
            Some(party) => {
                party.waiters.push(waiter.clone());
                if let Some(own) = state.parties.get_mut(&self.transaction) {
                    own.waits = Some(Waits::End(holder));
                }
            }
            None => waiter.granted.store(true, Ordering::Release),
        }
        drop(guard);
        Ok(Turn { lock: self.lock.clone(), waiter, taken: false })
    }

    /// The wait to write alone, before all who are not in yet. 40P01 when one that is in waits for this one, or to be alone itself.
    pub(crate) fn upgrade_turn(&self) -> Result<Turn> {
        self.upgrade(true)
    }

    /// As [`Permit::upgrade_turn`] for who goes on beside the others if it does not come soon: that closes no circle.
    pub(crate) fn try_upgrade_turn(&self) -> Result<Turn> {
        self.upgrade(false)
    }

    fn upgrade(&self, must: bool) -> Result<Turn> {
        let mut state = self.lock.state.lock();
        let waiter = Waiter::new(self.transaction, Wants::Upgrade);
        if state.alone.as_ref().is_some_and(|(number, _)| *number == self.transaction) {
            waiter.granted.store(true, Ordering::Release);
            return Ok(Turn { lock: self.lock.clone(), waiter, taken: false });
        }
        let other = state.parties.iter().find(|(number, party)| {
            **number != self.transaction
                && (matches!(party.waits, Some(Waits::Others)) || state.waits_for(**number, self.transaction))
        });
        if let Some((other, _)) = other.filter(|_| must) {
            return Err(deadlock(self.transaction, *other));
        }
        if must && let Some(own) = state.parties.get_mut(&self.transaction) {
            own.waits = Some(Waits::Others);
        }
        state.queue.push_front(waiter.clone());
        let woken = state.let_in();
        drop(state);
        wake(woken);
        Ok(Turn { lock: self.lock.clone(), waiter, taken: false })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let woken = self.lock.state.lock().end(self.transaction, &self.locked);
        wake(woken);
    }
}

impl Turn {
    /// Whether it has come.
    pub fn has_come(&self) -> bool {
        self.waiter.granted.load(Ordering::Acquire)
    }

    /// Whether it is the place of a transaction that has not begun to write.
    pub fn is_entry(&self) -> bool {
        matches!(self.waiter.wants, Wants::Entry(_))
    }

    /// Sleeps until the turn has come. 55P03 when `timeout` has passed since the place was taken, 57014 when cancelled.
    pub fn sleep(&mut self, wait: &LockWait) -> Result<()> {
        let deadline = wait.timeout.map(|t| self.waiter.since + t);
        let mut state = self.lock.state.lock();
        while !self.has_come() {
            if wait.cancelled.as_ref().is_some_and(|c| c.load(Ordering::Relaxed)) {
                let message = "canceling statement due to user request";
                return Err(Error::new(SqlState::QUERY_CANCELED, message));
            }
            if deadline.is_some_and(|d| d <= Instant::now()) {
                let message = "canceling statement due to lock timeout";
                return Err(Error::new(SqlState::LOCK_NOT_AVAILABLE, message));
            }
            self.pause(&mut state, deadline, wait.cancelled.is_some());
        }
        Ok(())
    }

    fn pause(&self, state: &mut MutexGuard<'_, State>, deadline: Option<Instant>, cancellable: bool) {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let longest = cancellable.then_some(CANCEL_CHECK);
        match left.into_iter().chain(longest).min() {
            Some(pause) => _ = self.waiter.woken.wait_for(state, pause),
            None => self.waiter.woken.wait(state),
        }
    }

    /// The right that an entry gives, once it has come.
    pub(crate) fn permit(mut self) -> Result<(Permit, WriteMode)> {
        let Wants::Entry(mode) = self.waiter.wants else {
            return Err(Error::internal("a wait for another transaction is no right to write"));
        };
        if !self.has_come() {
            return Err(Error::internal("the turn to write has not come"));
        }
        self.taken = true;
        let transaction = self.waiter.transaction;
        let state = self.lock.state.lock();
        let is_waited_for = match &state.alone {
            Some((_, is_waited_for)) => is_waited_for.clone(),
            None => state.parties.get(&transaction).map(|p| p.is_waited_for.clone()).unwrap_or_default(),
        };
        drop(state);
        let lock = self.lock.clone();
        Ok((Permit { lock, transaction, locked: Vec::new(), is_waited_for }, mode))
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Under the state's lock, so that the turn cannot come between the look and the waker.
        let _state = self.lock.state.lock();
        if self.has_come() {
            return Poll::Ready(());
        }
        *self.waiter.waker.lock() = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut guard = self.lock.state.lock();
        let state = &mut *guard;
        let number = self.waiter.transaction;
        let woken = match self.waiter.wants {
            Wants::Entry(_) if self.has_come() => state.end(number, &[]),
            // What was granted to a transaction that is in stays with it.
            _ if self.has_come() => Vec::new(),
            wants => {
                state.queue.retain(|w| !Arc::ptr_eq(w, &self.waiter));
                if let Wants::End(holder) = wants
                    && let Some(party) = state.parties.get_mut(&holder)
                {
                    party.waiters.retain(|w| !Arc::ptr_eq(w, &self.waiter));
                }
                if let Some(own) = state.parties.get_mut(&number) {
                    own.waits = None;
                }
                state.let_in()
            }
        };
        drop(guard);
        wake(woken);
    }
}

fn deadlock(transaction: u64, other: u64) -> Error {
    Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
        .with_detail(format!("Transaction {transaction} waits for transaction {other}, which waits for it."))
        .with_hint("Roll back and try again.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use spg_types::TableId;

    fn poll(turn: &mut Turn) -> bool {
        Pin::new(turn).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn enter(lock: &Arc<WriteLock>, mode: WriteMode) -> Permit {
        let mut turn = lock.turn(mode);
        turn.sleep(&LockWait { timeout: Some(Duration::ZERO), cancelled: None }).unwrap();
        turn.permit().unwrap().0
    }

    fn row(n: u64) -> [LockKey; 1] {
        [LockKey::Row(TableId(1), n)]
    }

    #[test]
    fn turns_come_in_order_and_can_be_given_up() {
        let lock = Arc::new(WriteLock::default());
        let alone = enter(&lock, WriteMode::Exclusive);
        assert!(!alone.is_waited_for());
        let modes = [WriteMode::Exclusive, WriteMode::Shared, WriteMode::Shared, WriteMode::Exclusive];
        let mut turns: Vec<Turn> = modes.iter().map(|mode| lock.turn(*mode)).collect();
        assert!(turns.iter_mut().all(|t| !poll(t)) && alone.is_waited_for());
        drop(alone);
        assert_eq!(turns.iter_mut().map(poll).collect::<Vec<_>>(), [true, false, false, false]);
        // Given up before it is used.
        drop(turns.remove(0));
        assert_eq!(turns.iter_mut().map(poll).collect::<Vec<_>>(), [true, true, false]);
        let (first, _) = turns.remove(0).permit().unwrap();
        assert!(!lock.turn(WriteMode::Shared).has_come(), "nobody overtakes");
        drop(turns.remove(0));
        assert!(!poll(&mut turns[0]));
        drop(first);
        assert!(poll(&mut turns[0]));
        drop(turns);
        enter(&lock, WriteMode::Exclusive);
    }

    #[test]
    fn waits_end_by_time_and_by_cancel() {
        let lock = Arc::new(WriteLock::default());
        let _held = enter(&lock, WriteMode::Shared);
        let wait = LockWait { timeout: Some(Duration::ZERO), cancelled: None };
        let error = lock.turn(WriteMode::Exclusive).sleep(&wait).unwrap_err();
        assert_eq!(error.state(), SqlState::LOCK_NOT_AVAILABLE);
        let cancelled = LockWait { timeout: None, cancelled: Some(Arc::new(true.into())) };
        let error = lock.turn(WriteMode::Exclusive).sleep(&cancelled).unwrap_err();
        assert_eq!(error.state(), SqlState::QUERY_CANCELED);
    }

    #[test]
    fn rows_are_waited_for_until_their_holder_ends_or_goes_back() {
        let lock = Arc::new(WriteLock::default());
        let mut a = enter(&lock, WriteMode::Shared);
        let mut b = enter(&lock, WriteMode::Shared);
        assert_eq!(a.lock(row(1), Strength::Exclusive), Ok(true));
        assert_eq!(a.lock(row(1), Strength::Exclusive), Ok(false));
        let mark = a.locks();
        a.lock(row(2), Strength::Exclusive).unwrap();
        let holder = b.lock(row(2), Strength::Exclusive).unwrap_err();
        let mut turn = b.turn_after(holder).unwrap();
        assert!(!poll(&mut turn));
        a.release_after(mark);
        assert!(poll(&mut turn));
        b.lock(row(2), Strength::Exclusive).unwrap();
        let holder = b.lock(row(1), Strength::Exclusive).unwrap_err();
        let mut turn = b.turn_after(holder).unwrap();
        drop(a);
        assert!(poll(&mut turn));
        assert_eq!(b.lock(row(1), Strength::Exclusive), Ok(true));
        drop(b);
        assert_eq!(lock.state.lock().held.len(), 0);
    }

    #[test]
    fn who_would_close_a_circle_is_told() {
        let lock = Arc::new(WriteLock::default());
        let mut parties: Vec<Permit> = (0..3).map(|_| enter(&lock, WriteMode::Shared)).collect();
        for (i, p) in parties.iter_mut().enumerate() {
            p.lock(row(i as u64), Strength::Exclusive).unwrap();
        }
        let holder = |parties: &mut Vec<Permit>, i: usize, n: u64| {
            parties[i].lock(row(n), Strength::Exclusive).unwrap_err()
        };
        let holders: Vec<u64> = (0..3).map(|i| holder(&mut parties, i, (i as u64 + 1) % 3)).collect();
        let first = parties[0].turn_after(holders[0]).unwrap();
        let _second = parties[1].turn_after(holders[1]).unwrap();
        let deadlock = parties[2].turn_after(holders[2]).err().unwrap();
        assert_eq!(deadlock.state(), SqlState::DEADLOCK_DETECTED);
        assert!(parties[2].upgrade_turn().is_err(), "the others wait for it");
        drop(first);
        // Nobody waits for the first any more, which waits for nobody: the third may wait for it.
        parties[2].turn_after(holders[2]).unwrap();
    }

    #[test]
    fn one_of_many_becomes_alone_when_the_others_have_ended() {
        let lock = Arc::new(WriteLock::default());
        let a = enter(&lock, WriteMode::Shared);
        let b = enter(&lock, WriteMode::Shared);
        let next = lock.turn(WriteMode::Shared);
        assert!(next.has_come());
        drop(next);
        let mut alone = a.upgrade_turn().unwrap();
        assert!(!poll(&mut alone));
        assert!(b.upgrade_turn().is_err(), "two that want to be alone wait for each other");
        let mut later = lock.turn(WriteMode::Shared);
        assert!(!poll(&mut later));
        drop(b);
        assert!(poll(&mut alone) && !poll(&mut later));
        drop(alone);
        assert!(!poll(&mut later) && a.is_waited_for(), "what was granted stays");
        drop(a);
        assert!(poll(&mut later));
    }

    #[test]
    fn sleepers_are_woken() {
        let lock = Arc::new(WriteLock::default());
        let count = Arc::new(Mutex::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (lock, count) = (lock.clone(), count.clone());
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        let mut turn = lock.turn(WriteMode::Exclusive);
                        turn.sleep(&LockWait::default()).unwrap();
                        let _permit = turn.permit().unwrap();
                        let seen = *count.lock();
                        std::thread::yield_now();
                        *count.lock() = seen + 1;
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(*count.lock(), 2000);
    }
}
