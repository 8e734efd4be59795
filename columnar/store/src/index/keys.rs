//! Arrays of keys: what the nodes of a tree consist of.

use std::borrow::Borrow;
use std::fmt::Debug;
use std::mem::size_of;
use std::ops::Range;

/// A packed array of keys of one kind.
pub(crate) trait KeyArray: Clone + Debug + Default + Send + Sync + 'static {
    /// A key as it is compared.
    type Key: ?Sized + Ord + Debug;
    /// A key by itself.
    type Owned: Clone + Debug + Send + Sync + Borrow<Self::Key>;

    fn with_capacity(keys: usize) -> Self;
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    fn get(&self, i: usize) -> &Self::Key;
    fn push(&mut self, key: &Self::Key);
    fn insert(&mut self, i: usize, key: &Self::Key);
    fn remove(&mut self, i: usize);
    fn truncate(&mut self, len: usize);
    fn extend_from(&mut self, other: &Self, range: Range<usize>);
    /// Bytes of memory.
    fn bytes(&self) -> usize;
    /// The same keys in another order.
    fn permuted(&self, order: &[u32]) -> Self;

    /// The first position in `range` whose key is not below `key`.
    fn lower_bound(&self, range: Range<usize>, key: &Self::Key) -> usize {
        partition(range, |i| self.get(i) < key)
    }

    /// The first position in `range` whose key is above `key`.
    fn upper_bound(&self, range: Range<usize>, key: &Self::Key) -> usize {
        partition(range, |i| self.get(i) <= key)
    }
}

/// The first position in the range for which `before` does not hold; it holds for all before and none after.
pub(crate) fn partition(range: Range<usize>, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

macro_rules! packed {
    ($($key:ty),*) => {$(
        impl KeyArray for Vec<$key> {
            type Key = $key;
            type Owned = $key;

            fn with_capacity(keys: usize) -> Self {
                Vec::with_capacity(keys)
            }
            fn len(&self) -> usize {
                self.as_slice().len()
            }
            fn get(&self, i: usize) -> &$key {
                &self[i]
            }
            fn push(&mut self, key: &$key) {
                Vec::push(self, *key);
            }
            fn insert(&mut self, i: usize, key: &$key) {
                Vec::insert(self, i, *key);
            }
            fn remove(&mut self, i: usize) {
                Vec::remove(self, i);
            }
            fn truncate(&mut self, len: usize) {
                Vec::truncate(self, len);
            }
            fn extend_from(&mut self, other: &Self, range: Range<usize>) {
                self.extend_from_slice(&other[range]);
            }
            fn bytes(&self) -> usize {
                self.capacity() * size_of::<$key>()
            }
            fn permuted(&self, order: &[u32]) -> Self {
                order.iter().map(|i| self[*i as usize]).collect()
            }
        }
    )*};
}

packed!(u64, u128);

/// Keys of any length, compared byte by byte.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByteKeys {
    /// Where each key ends in `data`.
    ends: Vec<u32>,
    data: Vec<u8>,
}

impl ByteKeys {
    fn start(&self, i: usize) -> usize {
        if i == 0 { 0 } else { self.ends[i - 1] as usize }
    }

    /// Adds to the key under construction; [`ByteKeys::end_key`] completes it.
    pub(crate) fn data_mut(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }

    /// Completes a key that was written through [`ByteKeys::data_mut`].
    pub(crate) fn end_key(&mut self) {
        self.ends.push(self.data.len() as u32);
    }
}

impl KeyArray for ByteKeys {
    type Key = [u8];
    type Owned = Vec<u8>;

    fn with_capacity(keys: usize) -> Self {
        Self { ends: Vec::with_capacity(keys), data: Vec::new() }
    }
    fn len(&self) -> usize {
        self.ends.len()
    }
    fn get(&self, i: usize) -> &[u8] {
        &self.data[self.start(i)..self.ends[i] as usize]
    }
    fn push(&mut self, key: &[u8]) {
        self.data.extend_from_slice(key);
        self.end_key();
    }
    fn insert(&mut self, i: usize, key: &[u8]) {
        let at = self.start(i);
        self.data.splice(at..at, key.iter().copied());
        self.ends.insert(i, at as u32);
        self.ends[i..].iter_mut().for_each(|end| *end += key.len() as u32);
    }
    fn remove(&mut self, i: usize) {
        let range = self.start(i)..self.ends[i] as usize;
        let len = range.len() as u32;
        self.data.drain(range);
        self.ends.remove(i);
        self.ends[i..].iter_mut().for_each(|end| *end -= len);
    }
    fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.data.truncate(self.start(len));
            self.ends.truncate(len);
        }
    }
    fn extend_from(&mut self, other: &Self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let bytes = other.start(range.start)..other.ends[range.end - 1] as usize;
        let shift = self.data.len().wrapping_sub(bytes.start);
        self.data.extend_from_slice(&other.data[bytes]);
        self.ends.extend(other.ends[range].iter().map(|end| (*end as usize).wrapping_add(shift) as u32));
    }
    fn bytes(&self) -> usize {
        self.ends.capacity() * 4 + self.data.capacity()
    }
    fn permuted(&self, order: &[u32]) -> Self {
        let mut keys =
            Self { ends: Vec::with_capacity(order.len()), data: Vec::with_capacity(self.data.len()) };
        order.iter().for_each(|i| keys.push(self.get(*i as usize)));
        keys
    }
}
