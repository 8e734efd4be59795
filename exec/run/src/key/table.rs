//! Group numbers for keys: the hash table of aggregation and DISTINCT.
//!
//! Keys of one word whose values span little are looked up in a plain array; others by open addressing, with the
//! key in the slot when it is one word. Keys with NULLs, which are few, have a table of their own.

use arrow::array::ArrayRef;
use arrow::buffer::NullBuffer;
use hashbrown::HashTable;
use spg_expr::Column;
use spg_types::Result;

use super::interner::Interner;
use super::words::{KeyWords, Shape, hash_words};

/// Bits of the plain array's index, at most.
const DIRECT_BITS: u32 = 16;
/// An empty place.
const EMPTY: u32 = u32::MAX;

/// Numbers distinct keys from 0 in the order they come.
pub(crate) struct GroupTable {
    shape: Shape,
    interners: Vec<Interner>,
    /// Keys of the groups, one after the other.
    keys: Vec<u64>,
    groups: usize,
    lookup: Lookup,
    /// Groups with NULLs: group, which columns; in the order of groups.
    nulls: Vec<(u32, Box<[u64]>)>,
    null_table: HashTable<u32>,
}

enum Lookup {
    /// Before the first keys.
    Fresh,
    Direct(Direct),
    /// One word: key and group in each slot.
    One(Vec<(u64, u32)>),
    /// Several words: part of the hash and group in each slot.
    Many(Vec<(u32, u32)>),
}

/// Where one column's part of the index comes from and goes to.
#[derive(Clone, Copy)]
struct Field {
    shift: u32,
    mask: u64,
    base: u64,
    bits: u32,
    to: u32,
}

struct Direct {
    fields: Vec<Field>,
    groups: Vec<u32>,
}

impl Direct {
    /// Index of a key; `None` when it lies outside.
    #[inline]
    fn index(&self, key: u64) -> Option<usize> {
        let mut index = 0;
        for f in &self.fields {
            let code = (key >> f.shift & f.mask).wrapping_sub(f.base) & f.mask;
            if code >> f.bits != 0 {
                return None;
            }
            index |= code << f.to;
        }
        Some(index as usize)
    }
}

impl GroupTable {
    /// A table without groups.
    pub(crate) fn new(shape: &Shape) -> Self {
        Self {
            interners: shape.interners(),
            shape: shape.clone(),
            keys: Vec::new(),
            groups: 0,
            lookup: Lookup::Fresh,
            nulls: Vec::new(),
            null_table: HashTable::new(),
        }
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.groups
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let lookup = match &self.lookup {
            Lookup::Fresh => 0,
            Lookup::Direct(d) => 4 * d.groups.len(),
            Lookup::One(slots) => 16 * slots.len(),
            Lookup::Many(slots) => 8 * slots.len(),
        };
        lookup
            + 8 * self.keys.capacity()
            + self.interners.iter().map(Interner::bytes).sum::<usize>()
            + 32 * self.nulls.len()
    }

    /// Makes room for so many groups.
    pub(crate) fn reserve(&mut self, groups: usize) {
        if groups > 1024 && matches!(self.lookup, Lookup::Fresh) {
            self.rehash(2 * groups);
        }
    }

    /// The group of each row, `u32::MAX` for keys that have none. Rows with a NULL in one of the `strict` columns have none.
    pub(crate) fn lookup(
        &self,
        columns: &[Column],
        rows: usize,
        strict: &[usize],
        out: &mut Vec<u32>,
    ) -> Result<()> {
        out.clear();
        let keys = self.shape.encode_lookup(columns, rows, &self.interners)?;
        if keys.is_plain() {
            match &self.lookup {
                Lookup::One(slots) => {
                    let mask = slots.len() - 1;
                    out.extend(keys.words().iter().map(|&key| {
                        let mut at = spg_simd::hash_u64(key) as usize & mask;
                        loop {
                            let slot = slots[at];
                            if slot.0 == key || slot.1 == EMPTY {
                                return slot.1;
                            }
                            at = (at + 1) & mask;
                        }
                    }));
                }
                _ => out.extend((0..rows).map(|row| self.known(keys.row(row)))),
            }
            return Ok(());
        }
        for row in 0..rows {
            let group = if keys.is_unknown(row) {
                EMPTY
            } else if keys.valid().is_none_or(|v| v.is_valid(row)) {
                self.known(keys.row(row))
            } else if strict.iter().any(|&c| columns[c].is_null(row)) {
                EMPTY
            } else {
                let mut key = keys.row(row).to_vec();
                let mask = self.shape.null_mask(columns, row, &mut key);
                self.known_null(&key, &mask)
            };
            out.push(group);
        }
        Ok(())
    }

    fn known(&self, key: &[u64]) -> u32 {
        match &self.lookup {
            Lookup::Fresh => EMPTY,
            Lookup::Direct(d) => {
                key.first().and_then(|k| d.index(*k)).and_then(|i| d.groups.get(i)).copied().unwrap_or(EMPTY)
            }
            Lookup::One(slots) => {
                let (key, mask) = (key[0], slots.len() - 1);
                let mut at = spg_simd::hash_u64(key) as usize & mask;
                loop {
                    let slot = slots[at];
                    if slot.1 == EMPTY || slot.0 == key {
                        return slot.1;
                    }
                    at = (at + 1) & mask;
                }
            }
            Lookup::Many(slots) => {
                let (hash, width, mask) = (hash_words(key), self.shape.width(), slots.len() - 1);
                let mut at = hash as usize & mask;
                loop {
                    let slot = slots[at];
                    let start = slot.1 as usize * width;
                    if slot.1 == EMPTY
                        || slot.0 == (hash >> 32) as u32 && self.keys[start..start + width] == *key
                    {
                        return slot.1;
                    }
                    at = (at + 1) & mask;
                }
            }
        }
    }

    fn known_null(&self, key: &[u64], mask: &[u64]) -> u32 {
        let width = self.shape.width();
        let same = |i: &u32| {
            let (group, m) = &self.nulls[*i as usize];
            **m == *mask && self.keys[*group as usize * width..(*group as usize + 1) * width] == *key
        };
        let hash = spg_simd::combine(hash_words(key), hash_words(mask));
        self.null_table.find(hash, same).map_or(EMPTY, |i| self.nulls[*i as usize].0)
    }

    /// The group of each row; new keys make new groups.
    pub(crate) fn groups(&mut self, columns: &[Column], rows: usize, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        if self.shape.columns() == 0 {
            self.groups = self.groups.max(rows.min(1));
            self.keys.resize(self.groups * self.shape.width(), 0);
            out.resize(rows, 0);
            return Ok(());
        }
        let keys = self.shape.encode(columns, rows, &mut self.interners)?;
        out.reserve(rows);
        self.prepare(&keys);
        match keys.valid() {
            None => self.find_all(&keys, out),
            Some(valid) => {
                for row in 0..rows {
                    let group = if valid.is_valid(row) {
                        self.find(keys.row(row))
                    } else {
                        let mut key = keys.row(row).to_vec();
                        let mask = self.shape.null_mask(columns, row, &mut key);
                        self.find_null(&key, mask)
                    };
                    out.push(group);
                }
            }
        }
        Ok(())
    }

    /// Chooses or widens the plain array, or gives it up.
    fn prepare(&mut self, keys: &KeyWords) {
        if keys.width() != 1 {
            if matches!(self.lookup, Lookup::Fresh) {
                self.rehash(1024);
            }
            return;
        }
        match &self.lookup {
            Lookup::Fresh => {}
            Lookup::Direct(d) if !self.all_within(d, keys) => {}
            _ => return,
        }
        match self.plan_direct(keys) {
            Some(fields) => {
                let bits: u32 = fields.iter().map(|f| f.bits).sum();
                let mut direct = Direct { fields, groups: vec![EMPTY; 1 << bits] };
                let mut nulls = self.nulls.iter().map(|(g, _)| *g).peekable();
                for (group, key) in self.keys.iter().enumerate() {
                    if nulls.peek() == Some(&(group as u32)) {
                        nulls.next();
                    } else if let Some(index) = direct.index(*key) {
                        direct.groups[index] = group as u32;
                    }
                }
                self.lookup = Lookup::Direct(direct);
            }
            None => self.rehash((self.groups * 4).max(1024)),
        }
    }

    fn all_within(&self, direct: &Direct, keys: &KeyWords) -> bool {
        direct.fields.iter().all(|f| {
            let over = keys
                .words()
                .iter()
                .fold(0, |over, key| over | ((key >> f.shift & f.mask).wrapping_sub(f.base) & f.mask));
            over >> f.bits == 0
        })
    }

    /// Ranges of each column over the groups so far and these keys, if their product is small.
    fn plan_direct(&self, keys: &KeyWords) -> Option<Vec<Field>> {
        let mut to = 0;
        let mut fields = Vec::new();
        for (shift, mask, interner) in self.shape.fields() {
            let sign = (mask >> 1) + 1;
            let (base, span) = match interner {
                Some(i) => (0, (self.interners[i].len() as u64).max(4) * 2 - 1),
                None => {
                    // Values in the order of signed numbers.
                    let ordered = |key: &u64| ((key >> shift & mask) ^ sign) & mask;
                    let (mut min, mut max) = (u64::MAX, 0);
                    for v in keys.words().iter().chain(&self.keys).map(ordered) {
                        min = min.min(v);
                        max = max.max(v);
                    }
                    if min > max { (0, 0) } else { ((min ^ sign) & mask, max - min) }
                }
            };
            let bits = 64 - span.leading_zeros();
            if to + bits > DIRECT_BITS {
                return None;
            }
            fields.push(Field { shift, mask, base, bits, to });
            to += bits;
        }
        Some(fields)
    }

    fn find_all(&mut self, keys: &KeyWords, out: &mut Vec<u32>) {
        if let Lookup::Direct(direct) = &self.lookup {
            // Known groups first; the first unknown one leaves the fast loop.
            let words = keys.words();
            match direct.fields.as_slice() {
                [f] => out.extend(words.iter().map(|key| {
                    let code = (key >> f.shift & f.mask).wrapping_sub(f.base) & f.mask;
                    direct.groups[code as usize]
                })),
                [f, g] => out.extend(words.iter().map(|key| {
                    let a = (key >> f.shift & f.mask).wrapping_sub(f.base) & f.mask;
                    let b = (key >> g.shift & g.mask).wrapping_sub(g.base) & g.mask;
                    direct.groups[(a | b << g.to) as usize]
                })),
                _ => out.extend(words.iter().map(|key| {
                    direct.index(*key).and_then(|i| direct.groups.get(i)).copied().unwrap_or(EMPTY)
                })),
            }
            if out.contains(&EMPTY) {
                for (group, key) in out.iter_mut().zip(words) {
                    if *group == EMPTY {
                        *group = self.find(&[*key]);
                    }
                }
            }
            return;
        }
        if let Lookup::One(_) = &self.lookup {
            let (mut last_key, mut last_group) = (0, EMPTY);
            for &key in keys.words() {
                if key != last_key || last_group == EMPTY {
                    (last_key, last_group) = (key, self.find_one(key));
                }
                out.push(last_group);
            }
            return;
        }
        out.extend((0..keys.rows()).map(|row| self.find(keys.row(row))));
    }

    fn find(&mut self, key: &[u64]) -> u32 {
        match &mut self.lookup {
            Lookup::Direct(direct) => {
                if let Some(index) = key.first().and_then(|k| direct.index(*k)) {
                    let place = &mut direct.groups[index];
                    if *place == EMPTY {
                        *place = self.groups as u32;
                        self.keys.extend_from_slice(key);
                        self.groups += 1;
                    }
                    return *place;
                }
                self.rehash((self.groups * 4).max(1024));
                self.find(key)
            }
            Lookup::One(_) => self.find_one(key.first().copied().unwrap_or(0)),
            Lookup::Many(_) => self.find_many(key),
            Lookup::Fresh => {
                self.rehash(1024);
                self.find(key)
            }
        }
    }

    #[inline]
    fn find_one(&mut self, key: u64) -> u32 {
        let Lookup::One(slots) = &mut self.lookup else { return self.find(&[key]) };
        let mask = slots.len() - 1;
        let mut at = spg_simd::hash_u64(key) as usize & mask;
        loop {
            let slot = &mut slots[at];
            if slot.1 == EMPTY {
                *slot = (key, self.groups as u32);
                break;
            }
            if slot.0 == key {
                return slot.1;
            }
            at = (at + 1) & mask;
        }
        self.keys.push(key);
        self.groups += 1;
        if self.groups * 2 > mask {
            self.rehash(4 * (mask + 1));
        }
        self.groups as u32 - 1
    }

    fn find_many(&mut self, key: &[u64]) -> u32 {
        let Lookup::Many(slots) = &mut self.lookup else { return self.find(key) };
        let width = self.shape.width();
        let hash = hash_words(key);
        let (tag, mask) = ((hash >> 32) as u32, slots.len() - 1);
        let mut at = hash as usize & mask;
        loop {
            let slot = &mut slots[at];
            if slot.1 == EMPTY {
                *slot = (tag, self.groups as u32);
                break;
            }
            let start = slot.1 as usize * width;
            if slot.0 == tag && self.keys[start..start + width] == *key {
                return slot.1;
            }
            at = (at + 1) & mask;
        }
        self.keys.extend_from_slice(key);
        self.groups += 1;
        if self.groups * 2 > mask {
            self.rehash(4 * (mask + 1));
        }
        self.groups as u32 - 1
    }

    fn find_null(&mut self, key: &[u64], mask: Vec<u64>) -> u32 {
        let width = self.shape.width();
        let hash_of = |key: &[u64], mask: &[u64]| spg_simd::combine(hash_words(key), hash_words(mask));
        let hash = hash_of(key, &mask);
        let (keys, nulls) = (&self.keys, &self.nulls);
        let key_of = |group: u32| &keys[group as usize * width..(group as usize + 1) * width];
        let entry = self.null_table.entry(
            hash,
            |&i| key_of(nulls[i as usize].0) == key && *nulls[i as usize].1 == mask[..],
            |&i| hash_of(key_of(nulls[i as usize].0), &nulls[i as usize].1),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(e) => self.nulls[*e.get() as usize].0,
            hashbrown::hash_table::Entry::Vacant(e) => {
                let group = self.groups as u32;
                e.insert(nulls.len() as u32);
                self.nulls.push((group, mask.into()));
                self.keys.extend_from_slice(key);
                self.groups += 1;
                group
            }
        }
    }

    /// Builds the hash table anew with room for `slots`, a power of two after rounding.
    fn rehash(&mut self, slots: usize) {
        let slots = slots.next_power_of_two();
        let mask = slots - 1;
        let width = self.shape.width();
        let mut nulls = self.nulls.iter().map(|(g, _)| *g).peekable();
        let mut is_null = |group: usize| nulls.next_if_eq(&(group as u32)).is_some();
        if width == 1 {
            let mut table = vec![(0, EMPTY); slots];
            for (group, &key) in self.keys.iter().enumerate() {
                if is_null(group) {
                    continue;
                }
                let mut at = spg_simd::hash_u64(key) as usize & mask;
                while table[at].1 != EMPTY {
                    at = (at + 1) & mask;
                }
                table[at] = (key, group as u32);
            }
            self.lookup = Lookup::One(table);
        } else {
            let mut table = vec![(0, EMPTY); slots];
            for (group, key) in self.keys.chunks_exact(width).enumerate() {
                if is_null(group) {
                    continue;
                }
                let hash = hash_words(key);
                let mut at = hash as usize & mask;
                while table[at].1 != EMPTY {
                    at = (at + 1) & mask;
                }
                table[at] = ((hash >> 32) as u32, group as u32);
            }
            self.lookup = Lookup::Many(table);
        }
    }

    /// A hash per group that depends on its values alone.
    pub(crate) fn content_hashes(&self) -> Vec<u64> {
        let mut hashes = self.shape.content_hashes(&self.keys, &self.interners);
        for (group, mask) in &self.nulls {
            // The number that an interner gave a NULL's place is arbitrary: only the mask counts there.
            hashes[*group as usize] = hash_words(mask);
        }
        hashes
    }

    /// Key column `i` of some groups.
    pub(crate) fn column(&self, i: usize, groups: &[u32]) -> Result<ArrayRef> {
        let width = self.shape.width();
        let mut keys = Vec::with_capacity(groups.len() * width);
        for &g in groups {
            keys.extend_from_slice(&self.keys[g as usize * width..(g as usize + 1) * width]);
        }
        let valid = (!self.nulls.is_empty()).then(|| {
            let is_valid = |g: &u32| match self.nulls.binary_search_by_key(g, |(group, _)| *group) {
                Ok(at) => self.nulls[at].1[i / 64] >> (i % 64) & 1 == 0,
                Err(_) => true,
            };
            NullBuffer::from_iter(groups.iter().map(is_valid))
        });
        self.shape.decode(i, &keys, valid.filter(|v| v.null_count() > 0), &self.interners)
    }

    /// All key columns of a range of groups.
    pub(crate) fn columns(&self, groups: std::ops::Range<usize>) -> Result<Vec<Column>> {
        let groups: Vec<u32> = groups.map(|g| g as u32).collect();
        self.columns_of(&groups)
    }

    /// All key columns of some groups.
    pub(crate) fn columns_of(&self, groups: &[u32]) -> Result<Vec<Column>> {
        (0..self.shape.columns()).map(|i| self.column(i, groups).map(Column::Array)).collect()
    }
}
