//! A persistent B+tree of (key, row id) pairs: a change copies the path to the root, or works in place where no other
//! version shares the nodes.

use std::borrow::Borrow;
use std::ops::{Bound, Range};
use std::sync::Arc;

use super::keys::{KeyArray, partition};

/// Entries of a leaf, at most.
const LEAF_MAX: usize = 256;
/// Children of an inner node, at most.
const INNER_MAX: usize = 32;

/// An ordered set of (key, row id) pairs. A clone is one pointer.
#[derive(Clone, Debug)]
pub(crate) struct Tree<K> {
    root: Option<Arc<Node<K>>>,
    len: u64,
}

#[derive(Debug)]
enum Node<K> {
    Leaf(Leaf<K>),
    Inner(Inner<K>),
}

#[derive(Debug)]
struct Leaf<K> {
    keys: K,
    rows: Vec<u64>,
}

/// The entry at `i` of keys and rows separates child `i` (below it) from child `i + 1` (not below it).
#[derive(Debug)]
struct Inner<K> {
    keys: K,
    rows: Vec<u64>,
    children: Vec<Arc<Node<K>>>,
}

/// Copies leave some room, as they are made to be added to.
impl<K: KeyArray> Clone for Node<K> {
    fn clone(&self) -> Self {
        match self {
            Node::Leaf(leaf) => {
                let n = leaf.rows.len();
                let mut copy = Leaf::<K>::with_capacity((n + n / 8 + 4).min(LEAF_MAX));
                copy.keys.extend_from(&leaf.keys, 0..n);
                copy.rows.extend_from_slice(&leaf.rows);
                Node::Leaf(copy)
            }
            Node::Inner(inner) => {
                let n = inner.children.len();
                let mut children = Vec::with_capacity((n + 2).min(INNER_MAX + 1));
                children.extend_from_slice(&inner.children);
                Node::Inner(Inner { keys: inner.keys.clone(), rows: inner.rows.clone(), children })
            }
        }
    }
}

impl<K: KeyArray> Leaf<K> {
    fn with_capacity(entries: usize) -> Self {
        Self { keys: K::with_capacity(entries), rows: Vec::with_capacity(entries) }
    }

    fn position(&self, key: &K::Key, row: u64) -> usize {
        partition(0..self.rows.len(), |i| (self.keys.get(i), self.rows[i]) < (key, row))
    }

    fn extend_from(&mut self, keys: &K, rows: &[u64], range: Range<usize>) {
        self.keys.extend_from(keys, range.clone());
        self.rows.extend_from_slice(&rows[range]);
    }

    fn split_off(&mut self, at: usize) -> Self {
        let n = self.rows.len();
        let mut right = Self::with_capacity((n - at + 4).min(LEAF_MAX));
        right.extend_from(&self.keys, &self.rows, at..n);
        self.keys.truncate(at);
        self.rows.truncate(at);
        right
    }
}

impl<K: KeyArray> Inner<K> {
    /// A node over children, separated by their first entries.
    fn over(children: Vec<Arc<Node<K>>>) -> Self {
        let mut node =
            Self { keys: K::with_capacity(children.len()), rows: Vec::new(), children: Vec::new() };
        for child in &children[1..] {
            let (key, row) = child.first();
            node.keys.push(key);
            node.rows.push(row);
        }
        node.children = children;
        node
    }

    /// The child that an entry belongs to.
    fn child(&self, key: &K::Key, row: u64) -> usize {
        partition(0..self.rows.len(), |i| (self.keys.get(i), self.rows[i]) <= (key, row))
    }

    fn insert_child(&mut self, at: usize, child: Arc<Node<K>>) {
        let (key, row) = child.first();
        self.keys.insert(at - 1, key);
        self.rows.insert(at - 1, row);
        self.children.insert(at, child);
    }

    fn remove_child(&mut self, at: usize) {
        self.children.remove(at);
        let separator = at.saturating_sub(1);
        if separator < self.rows.len() {
            self.keys.remove(separator);
            self.rows.remove(separator);
        }
    }

    fn split_off(&mut self, at: usize) -> Self {
        let mut right = Self { keys: K::with_capacity(INNER_MAX), rows: Vec::new(), children: Vec::new() };
        let n = self.rows.len();
        right.keys.extend_from(&self.keys, at..n);
        right.rows.extend_from_slice(&self.rows[at..]);
        right.children = self.children.split_off(at);
        // The separator between the halves goes up.
        self.keys.truncate(at - 1);
        self.rows.truncate(at - 1);
        right
    }
}

impl<K: KeyArray> Node<K> {
    fn size(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.rows.len(),
            Node::Inner(inner) => inner.children.len(),
        }
    }

    fn size_max(&self) -> usize {
        match self {
            Node::Leaf(_) => LEAF_MAX,
            Node::Inner(_) => INNER_MAX,
        }
    }

    fn first(&self) -> (&K::Key, u64) {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(leaf) => return (leaf.keys.get(0), leaf.rows[0]),
                Node::Inner(inner) => node = &inner.children[0],
            }
        }
    }

    fn last(&self) -> (&K::Key, u64) {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(leaf) => {
                    return (leaf.keys.get(leaf.rows.len() - 1), leaf.rows[leaf.rows.len() - 1]);
                }
                Node::Inner(inner) => node = &inner.children[inner.children.len() - 1],
            }
        }
    }

    /// Adds an entry; the new right sibling when the node had to be split.
    fn insert(self: &mut Arc<Self>, key: &K::Key, row: u64) -> Option<Arc<Self>> {
        match Arc::make_mut(self) {
            Node::Leaf(leaf) => {
                let at = leaf.position(key, row);
                if leaf.rows.len() < LEAF_MAX {
                    leaf.keys.insert(at, key);
                    leaf.rows.insert(at, row);
                    return None;
                }
                // Ascending keys leave full leaves behind.
                let cut = if at == LEAF_MAX { LEAF_MAX } else { LEAF_MAX / 2 };
                let mut right = leaf.split_off(cut);
                let (target, at) = if at >= cut { (&mut right, at - cut) } else { (leaf, at) };
                target.keys.insert(at, key);
                target.rows.insert(at, row);
                Some(Arc::new(Node::Leaf(right)))
            }
            Node::Inner(inner) => {
                let at = inner.child(key, row);
                let sibling = inner.children[at].insert(key, row)?;
                inner.insert_child(at + 1, sibling);
                if inner.children.len() <= INNER_MAX {
                    return None;
                }
                let cut = if at + 2 == inner.children.len() { INNER_MAX } else { INNER_MAX / 2 };
                Some(Arc::new(Node::Inner(inner.split_off(cut))))
            }
        }
    }

    /// Adds sorted entries; the new right siblings where the node had to be split.
    fn insert_sorted(self: &mut Arc<Self>, keys: &K, rows: &[u64], range: Range<usize>) -> Vec<Arc<Self>> {
        match Arc::make_mut(self) {
            Node::Leaf(leaf) => merge_leaf(leaf, keys, rows, range),
            Node::Inner(inner) => {
                let mut next = range.start;
                let mut at = inner.child(keys.get(next), rows[next]);
                while next < range.end {
                    let end = if at < inner.rows.len() {
                        let separator = (inner.keys.get(at), inner.rows[at]);
                        partition(next..range.end, |i| (keys.get(i), rows[i]) < separator)
                    } else {
                        range.end
                    };
                    if end > next {
                        let siblings = inner.children[at].insert_sorted(keys, rows, next..end);
                        for sibling in siblings {
                            at += 1;
                            inner.insert_child(at, sibling);
                        }
                        next = end;
                    }
                    at += 1;
                }
                let mut siblings = Vec::new();
                while inner.children.len() > INNER_MAX {
                    // Cut pieces off the right end, so that what is moved is moved once.
                    let n = inner.children.len();
                    let cut = if n < 2 * INNER_MAX { n / 2 } else { n - INNER_MAX };
                    siblings.push(Arc::new(Node::Inner(inner.split_off(cut))));
                }
                siblings.reverse();
                siblings
            }
        }
    }

    /// Removes an entry; whether it was there.
    fn remove(self: &mut Arc<Self>, key: &K::Key, row: u64) -> bool {
        match Arc::make_mut(self) {
            Node::Leaf(leaf) => {
                let at = leaf.position(key, row);
                let found = at < leaf.rows.len() && leaf.rows[at] == row && leaf.keys.get(at) == key;
                if found {
                    leaf.keys.remove(at);
                    leaf.rows.remove(at);
                }
                found
            }
            Node::Inner(inner) => {
                let at = inner.child(key, row);
                if !inner.children[at].remove(key, row) {
                    return false;
                }
                let child = &inner.children[at];
                if child.size() == 0 {
                    inner.remove_child(at);
                } else if child.size() < child.size_max() / 4 {
                    let left = if at > 0 { at - 1 } else { at };
                    inner.merge_children(left);
                }
                true
            }
        }
    }

    /// Goes through the entries in order.
    #[cfg(test)]
    fn entries(&self, out: &mut Vec<(K::Owned, u64)>)
    where
        K::Key: ToOwned<Owned = K::Owned>,
    {
        match self {
            Node::Leaf(leaf) => {
                out.extend((0..leaf.rows.len()).map(|i| (leaf.keys.get(i).to_owned(), leaf.rows[i])))
            }
            Node::Inner(inner) => inner.children.iter().for_each(|c| c.entries(out)),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.keys.bytes() + leaf.rows.capacity() * 8 + 80,
            Node::Inner(inner) => {
                inner.children.iter().map(|c| c.bytes()).sum::<usize>()
                    + inner.keys.bytes()
                    + inner.children.capacity() * 16
                    + 80
            }
        }
    }
}

impl<K: KeyArray> Inner<K> {
    /// Makes one child of `left` and its right neighbour if they fit well into one.
    fn merge_children(&mut self, left: usize) {
        let Some([a, b]) = self.children.get(left..left + 2) else { return };
        if a.size() + b.size() > a.size_max() * 3 / 4 {
            return;
        }
        let right = self.children[left + 1].clone();
        match (Arc::make_mut(&mut self.children[left]), &*right) {
            (Node::Leaf(a), Node::Leaf(b)) => a.extend_from(&b.keys, &b.rows, 0..b.rows.len()),
            (Node::Inner(a), Node::Inner(b)) => {
                a.keys.push(self.keys.get(left));
                a.rows.push(self.rows[left]);
                a.keys.extend_from(&b.keys, 0..b.rows.len());
                a.rows.extend_from_slice(&b.rows);
                a.children.extend_from_slice(&b.children);
            }
            // Siblings are of one height.
            (Node::Leaf(_), Node::Inner(_)) | (Node::Inner(_), Node::Leaf(_)) => return,
        }
        self.remove_child(left + 1);
    }
}

/// Merges sorted entries into a leaf; what does not fit comes back as new leaves to its right.
fn merge_leaf<K: KeyArray>(
    leaf: &mut Leaf<K>,
    keys: &K,
    rows: &[u64],
    range: Range<usize>,
) -> Vec<Arc<Node<K>>> {
    let n = leaf.rows.len();
    let at = leaf.position(keys.get(range.start), rows[range.start]);
    if at == n {
        // Everything comes after: fill this leaf, then whole new ones.
        let mut next = range.start;
        let fits = (LEAF_MAX - n).min(range.len());
        leaf.extend_from(keys, rows, next..next + fits);
        next += fits;
        let mut siblings = Vec::with_capacity((range.end - next).div_ceil(LEAF_MAX));
        while next < range.end {
            let end = range.end.min(next + LEAF_MAX);
            let mut sibling = Leaf::with_capacity(end - next);
            sibling.extend_from(keys, rows, next..end);
            siblings.push(Arc::new(Node::Leaf(sibling)));
            next = end;
        }
        return siblings;
    }
    let mut merged = Leaf::with_capacity(n + range.len());
    merged.extend_from(&leaf.keys, &leaf.rows, 0..at);
    let (mut old, mut new) = (at, range.start);
    while new < range.end {
        let (key, row) = (keys.get(new), rows[new]);
        let run = partition(old..n, |i| (leaf.keys.get(i), leaf.rows[i]) < (key, row));
        merged.extend_from(&leaf.keys, &leaf.rows, old..run);
        old = run;
        merged.keys.push(key);
        merged.rows.push(row);
        new += 1;
    }
    merged.extend_from(&leaf.keys, &leaf.rows, old..n);
    if merged.rows.len() <= LEAF_MAX {
        *leaf = merged;
        return Vec::new();
    }
    let pieces = merged.rows.len().div_ceil(LEAF_MAX * 3 / 4);
    let each = merged.rows.len().div_ceil(pieces);
    let mut parts = (0..pieces).map(|i| {
        let range = i * each..merged.rows.len().min((i + 1) * each);
        let mut part = Leaf::with_capacity(range.len() + 16);
        part.extend_from(&merged.keys, &merged.rows, range);
        part
    });
    if let Some(first) = parts.next() {
        *leaf = first;
    }
    parts.map(|p| Arc::new(Node::Leaf(p))).collect()
}

impl<K> Default for Tree<K> {
    fn default() -> Self {
        Self { root: None, len: 0 }
    }
}

impl<K: KeyArray> Tree<K> {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Adds an entry that is not there yet.
    pub(crate) fn insert(&mut self, key: &K::Key, row: u64) {
        self.len += 1;
        let Some(root) = &mut self.root else {
            let mut leaf = Leaf::<K>::with_capacity(4);
            leaf.keys.push(key);
            leaf.rows.push(row);
            self.root = Some(Arc::new(Node::Leaf(leaf)));
            return;
        };
        if let Some(sibling) = root.insert(key, row) {
            self.grow(vec![sibling]);
        }
    }

    /// Adds entries, sorted by key and row, that are not there yet.
    pub(crate) fn insert_sorted(&mut self, keys: &K, rows: &[u64]) {
        debug_assert!((1..rows.len()).all(|i| (keys.get(i - 1), rows[i - 1]) < (keys.get(i), rows[i])));
        if rows.len() == 1 {
            return self.insert(keys.get(0), rows[0]);
        }
        if rows.is_empty() {
            return;
        }
        self.len += rows.len() as u64;
        let root = self
            .root
            .get_or_insert_with(|| Arc::new(Node::Leaf(Leaf::with_capacity(rows.len().min(LEAF_MAX)))));
        let siblings = root.insert_sorted(keys, rows, 0..rows.len());
        self.grow(siblings);
    }

    /// Puts levels over the root and its new siblings until one node is left.
    fn grow(&mut self, siblings: Vec<Arc<Node<K>>>) {
        let Some(root) = self.root.take() else { return };
        let mut level = vec![root];
        level.extend(siblings);
        while level.len() > 1 {
            let nodes = level.len().div_ceil(INNER_MAX);
            let each = level.len().div_ceil(nodes);
            level = level.chunks(each).map(|c| Arc::new(Node::Inner(Inner::over(c.to_vec())))).collect();
        }
        self.root = level.pop();
    }

    /// Removes an entry; whether it was there.
    pub(crate) fn remove(&mut self, key: &K::Key, row: u64) -> bool {
        let Some(root) = &mut self.root else { return false };
        if !root.remove(key, row) {
            return false;
        }
        self.len -= 1;
        loop {
            let only = match &**root {
                Node::Inner(inner) if inner.children.len() == 1 => inner.children[0].clone(),
                node if node.size() == 0 => {
                    self.root = None;
                    return true;
                }
                _ => return true,
            };
            *root = only;
        }
    }

    /// The largest key.
    pub(crate) fn last_key(&self) -> Option<&K::Key> {
        self.root.as_ref().map(|root| root.last().0)
    }

    /// Calls `found` with the rows of a key, in order, until it answers false.
    pub(crate) fn rows_of(&self, key: &K::Key, found: impl FnMut(u64) -> bool) {
        Finger::new(self).rows_of(key, found);
    }

    /// A cursor for keys that come in ascending order.
    pub(crate) fn finger(&self) -> Finger<'_, K> {
        Finger::new(self)
    }

    /// The rows between two bounds in key order, or in reverse.
    pub(crate) fn range(
        &self,
        lower: Bound<K::Owned>,
        upper: Bound<K::Owned>,
        reverse: bool,
    ) -> RangeRows<K> {
        RangeRows::new(self, lower, upper, reverse)
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.root.as_ref().map_or(0, |root| root.bytes())
    }
}

/// Looks keys up; ascending keys mostly find their place in the leaf of the one before.
pub(crate) struct Finger<'a, K> {
    root: Option<&'a Node<K>>,
    leaf: Option<&'a Leaf<K>>,
    at: usize,
    /// The separator that follows the leaf, where one is known.
    fence: Option<(&'a Inner<K>, usize)>,
}

impl<'a, K: KeyArray> Finger<'a, K> {
    fn new(tree: &'a Tree<K>) -> Self {
        Self { root: tree.root.as_deref(), leaf: None, at: 0, fence: None }
    }

    /// Goes to the first entry that is not below (key, row).
    fn seek(&mut self, key: &K::Key, row: u64) {
        let Some(mut node) = self.root else { return };
        self.fence = None;
        loop {
            match node {
                Node::Leaf(leaf) => {
                    self.leaf = Some(leaf);
                    self.at = leaf.position(key, row);
                    return;
                }
                Node::Inner(inner) => {
                    let at = inner.child(key, row);
                    if at < inner.rows.len() {
                        self.fence = Some((inner, at));
                    }
                    node = &inner.children[at];
                }
            }
        }
    }

    /// Goes to the leaf after this one; whether there is one.
    fn next_leaf(&mut self) -> bool {
        let Some((inner, at)) = self.fence else { return false };
        // What follows a leaf begins with the separator after it.
        self.seek(inner.keys.get(at), inner.rows[at]);
        true
    }

    /// Calls `found` with the rows of a key, in order, until it answers false. Keys that do not ascend are found too.
    pub(crate) fn rows_of(&mut self, key: &K::Key, mut found: impl FnMut(u64) -> bool) {
        let near = self.leaf.is_some_and(|leaf| {
            let n = leaf.rows.len();
            self.at < n && leaf.keys.get(self.at) <= key && leaf.keys.get(n - 1) >= key
        });
        match self.leaf {
            // Within the leaf, and not in an earlier one: the finger stands before it or at its first entry.
            Some(leaf) if near && (self.at == 0 || leaf.keys.get(self.at - 1) < key) => {
                // Gallop: the next key is usually close.
                let n = leaf.rows.len();
                let mut step = 1;
                let mut low = self.at;
                while low + step < n && leaf.keys.get(low + step) < key {
                    low += step;
                    step *= 2;
                }
                self.at = leaf.keys.lower_bound(low..n.min(low + step + 1), key);
                if self.at == 0 && leaf.keys.get(0) == key {
                    self.seek(key, 0);
                }
            }
            _ => self.seek(key, 0),
        }
        while let Some(leaf) = self.leaf {
            let (mut at, n) = (self.at, leaf.rows.len());
            while at < n {
                if leaf.keys.get(at) != key || !found(leaf.rows[at]) {
                    return;
                }
                at += 1;
            }
            let before = self.at;
            if !self.next_leaf() {
                return;
            }
            if self.leaf.is_some_and(|l| std::ptr::eq(l, leaf)) {
                self.at = before;
                return;
            }
        }
    }
}

/// The rows of a range, one leaf at a time. It owns what it reads.
#[derive(Debug)]
pub(crate) struct RangeRows<K: KeyArray> {
    /// Inner nodes on the way to the leaf, with the child taken.
    path: Vec<(Arc<Node<K>>, usize)>,
    leaf: Option<Arc<Node<K>>>,
    /// What is left of the leaf.
    rest: Range<usize>,
    lower: Bound<K::Owned>,
    upper: Bound<K::Owned>,
    reverse: bool,
    /// Whether no other leaf can hold more.
    last: bool,
}

impl<K: KeyArray> RangeRows<K> {
    fn new(tree: &Tree<K>, lower: Bound<K::Owned>, upper: Bound<K::Owned>, reverse: bool) -> Self {
        let mut range = Self { path: Vec::new(), leaf: None, rest: 0..0, lower, upper, reverse, last: false };
        if let Some(root) = &tree.root {
            let start = if reverse { range.upper.clone() } else { range.lower.clone() };
            range.descend(root.clone(), Some(&start));
        } else {
            range.last = true;
        }
        range
    }

    /// Goes down to the first leaf that may hold something: by a bound, or to the near end.
    fn descend(&mut self, mut node: Arc<Node<K>>, start: Option<&Bound<K::Owned>>) {
        loop {
            let at = match &*node {
                Node::Leaf(_) => break,
                Node::Inner(inner) => match start {
                    Some(Bound::Included(k) | Bound::Excluded(k)) if self.reverse => {
                        inner.child(k.borrow(), u64::MAX)
                    }
                    Some(Bound::Included(k) | Bound::Excluded(k)) => inner.child(k.borrow(), 0),
                    _ if self.reverse => inner.children.len() - 1,
                    _ => 0,
                },
            };
            let child = match &*node {
                Node::Inner(inner) => inner.children[at].clone(),
                Node::Leaf(_) => break,
            };
            self.path.push((node, at));
            node = child;
        }
        if let Node::Leaf(leaf) = &*node {
            let n = leaf.rows.len();
            let start = match &self.lower {
                Bound::Unbounded => 0,
                Bound::Included(k) => leaf.keys.lower_bound(0..n, k.borrow()),
                Bound::Excluded(k) => leaf.keys.upper_bound(0..n, k.borrow()),
            };
            let end = match &self.upper {
                Bound::Unbounded => n,
                Bound::Included(k) => leaf.keys.upper_bound(0..n, k.borrow()),
                Bound::Excluded(k) => leaf.keys.lower_bound(0..n, k.borrow()),
            };
            self.last = if self.reverse { start > 0 } else { end < n };
            self.rest = start..end.max(start);
            self.leaf = Some(node);
        }
    }

    /// Goes to the next leaf; whether there is one.
    fn advance(&mut self) -> bool {
        if self.last {
            return false;
        }
        while let Some((node, at)) = self.path.pop() {
            let Node::Inner(inner) = &*node else { continue };
            let next = if self.reverse {
                at.checked_sub(1)
            } else {
                Some(at + 1).filter(|n| *n < inner.children.len())
            };
            if let Some(next) = next {
                let child = inner.children[next].clone();
                self.path.push((node, next));
                self.descend(child, None);
                return true;
            }
        }
        self.last = true;
        false
    }

    /// Appends up to `limit` rows; how many there were.
    pub(crate) fn next_rows(&mut self, limit: usize, out: &mut Vec<u64>) -> usize {
        let mut done = 0;
        while done < limit {
            if self.rest.is_empty() {
                if !self.advance() {
                    break;
                }
                continue;
            }
            let Some(Node::Leaf(leaf)) = self.leaf.as_deref() else { break };
            let n = self.rest.len().min(limit - done);
            if self.reverse {
                let part = self.rest.end - n..self.rest.end;
                out.extend(leaf.rows[part.clone()].iter().rev());
                self.rest.end = part.start;
            } else {
                let part = self.rest.start..self.rest.start + n;
                out.extend_from_slice(&leaf.rows[part.clone()]);
                self.rest.start = part.end;
            }
            done += n;
        }
        done
    }
}

impl<K: KeyArray> RangeRows<K> {
    /// The second row of the first key that has two, among those that count.
    pub(crate) fn first_duplicate(&mut self, counts: impl Fn(u64) -> bool) -> Option<u64> {
        let mut before: Option<Arc<Node<K>>> = None;
        loop {
            if self.rest.is_empty() {
                if !self.advance() {
                    return None;
                }
                continue;
            }
            let node = self.leaf.clone()?;
            let Node::Leaf(leaf) = &*node else { return None };
            if let Some(Node::Leaf(b)) = before.as_deref()
                && b.keys.get(b.rows.len() - 1) == leaf.keys.get(0)
                && counts(leaf.rows[0])
            {
                return Some(leaf.rows[0]);
            }
            let twin = (1..leaf.rows.len())
                .find(|i| leaf.keys.get(i - 1) == leaf.keys.get(*i) && counts(leaf.rows[*i]));
            if let Some(i) = twin {
                return Some(leaf.rows[i]);
            }
            self.rest = 0..0;
            before = Some(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;
    use crate::index::keys::ByteKeys;

    fn check<K: KeyArray>(seed: u64, key: impl Fn(u64) -> K::Owned)
    where
        K::Owned: Ord,
        K::Key: ToOwned<Owned = K::Owned>,
    {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut tree = Tree::<K>::default();
        let mut model = BTreeSet::new();
        let mut row = 0;
        let keys = [50, 2000, 1_000_000][seed as usize % 3];
        let mut held = Vec::new();
        for step in 0..60 {
            match rng.random_range(0..5) {
                0 => {
                    let n = rng.random_range(1..3000);
                    let from = rng.random_range(0..keys);
                    let ascending = rng.random_bool(0.5);
                    let mut batch: Vec<_> = (0..n)
                        .map(|i| {
                            row += 1;
                            (
                                key(if ascending {
                                    keys + row + i
                                } else {
                                    (from + rng.random_range(0..keys)) % keys
                                }),
                                row,
                            )
                        })
                        .collect();
                    batch.sort();
                    let mut array = K::default();
                    batch.iter().for_each(|(k, _)| array.push(k.borrow()));
                    tree.insert_sorted(&array, &batch.iter().map(|(_, r)| *r).collect::<Vec<_>>());
                    model.extend(batch);
                }
                1 | 2 => {
                    for _ in 0..rng.random_range(1..400) {
                        row += 1;
                        let k = key(rng.random_range(0..keys));
                        tree.insert(k.borrow(), row);
                        model.insert((k, row));
                    }
                }
                3 => {
                    let share = [0.01, 0.5, 1.0][rng.random_range(0..3)];
                    let gone: Vec<_> = model.iter().filter(|_| rng.random_bool(share)).cloned().collect();
                    for (k, r) in gone {
                        assert!(tree.remove(k.borrow(), r));
                        assert!(!tree.remove(k.borrow(), r));
                        model.remove(&(k, r));
                    }
                }
                _ => held.push((tree.clone(), model.clone())),
            }
            assert_eq!(tree.len(), model.len() as u64);
            let mut entries = Vec::new();
            if let Some(root) = &tree.root {
                root.entries(&mut entries);
            }
            assert!(entries.iter().eq(model.iter()), "seed {seed} step {step}");
            let mut sorted: Vec<_> = (0..200).map(|_| key(rng.random_range(0..keys + 10))).collect();
            if rng.random_bool(0.8) {
                sorted.sort();
            }
            let mut finger = tree.finger();
            for k in &sorted {
                let expected: Vec<u64> =
                    model.range((k.clone(), 0)..=(k.clone(), u64::MAX)).map(|e| e.1).collect();
                let mut found = Vec::new();
                let limit = rng.random_range(1..5);
                finger.rows_of(k.borrow(), |r| {
                    found.push(r);
                    found.len() < limit
                });
                assert_eq!(found, expected[..expected.len().min(limit)], "seed {seed} step {step}");
            }
            for _ in 0..5 {
                let mut ends = [key(rng.random_range(0..keys)), key(rng.random_range(0..keys))];
                ends.sort();
                let [low, high] = ends;
                let lower = [Bound::Unbounded, Bound::Included(low.clone()), Bound::Excluded(low)]
                    [rng.random_range(0..3)]
                .clone();
                let upper = [Bound::Unbounded, Bound::Included(high.clone()), Bound::Excluded(high)]
                    [rng.random_range(0..3)]
                .clone();
                let inside = |k: &K::Owned| {
                    (match &lower {
                        Bound::Unbounded => true,
                        Bound::Included(l) => k >= l,
                        Bound::Excluded(l) => k > l,
                    }) && (match &upper {
                        Bound::Unbounded => true,
                        Bound::Included(u) => k <= u,
                        Bound::Excluded(u) => k < u,
                    })
                };
                let reverse = rng.random_bool(0.5);
                let mut expected: Vec<u64> = model.iter().filter(|(k, _)| inside(k)).map(|e| e.1).collect();
                if reverse {
                    expected.reverse();
                }
                let mut range = tree.range(lower.clone(), upper.clone(), reverse);
                let mut found = Vec::new();
                while range.next_rows(rng.random_range(1..1000), &mut found) > 0 {}
                assert_eq!(found, expected, "seed {seed} step {step} {lower:?} {upper:?} {reverse}");
            }
        }
        for (tree, model) in held {
            let mut entries = Vec::new();
            if let Some(root) = &tree.root {
                root.entries(&mut entries);
            }
            assert!(entries.iter().eq(model.iter()), "a version that was kept has changed");
        }
    }

    #[test]
    fn agrees_with_btreeset() {
        for seed in 0..9 {
            check::<Vec<u64>>(seed, |i| i);
            check::<Vec<u128>>(seed, |i| u128::from(i) << 70);
            check::<ByteKeys>(seed, |i| format!("{:x}", i % 100_003).into_bytes());
        }
    }

    #[test]
    fn ascending_entries_fill_their_leaves() {
        let mut tree = Tree::<Vec<u64>>::default();
        for batch in 0..40_u64 {
            let keys: Vec<u64> = (batch * 10_000..(batch + 1) * 10_000).collect();
            tree.insert_sorted(&keys, &keys);
        }
        assert!(tree.bytes() < 400_000 * 17, "{}", tree.bytes() / 400_000);
    }
}
