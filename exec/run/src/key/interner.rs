//! Numbers for distinct values of variable width.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, DictionaryArray, IntervalMonthDayNanoBuilder,
    StringViewBuilder, UInt16Array, UInt32Array,
};
use arrow::datatypes::{IntervalMonthDayNanoType, UInt16Type};
use hashbrown::HashTable;
use spg_types::{Error, Numeric, Repr, Result, SqlType, def};

use crate::gather::gather;

/// Stands for a value that has no number: it equals nothing that was interned.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// What makes two values equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// `char(n)`: blanks at the end do not count.
    Padded,
    Binary,
    Numeric,
    Interval,
}

/// Byte strings, by number.
#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Strings {
    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start..self.ends[id]]
    }

    fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Distinct values of one column, numbered from 0 in the order they came.
pub(crate) struct Interner {
    kind: Kind,
    table: HashTable<u32>,
    hashes: Vec<u64>,
    /// What is compared.
    canonical: Strings,
    /// What is shown, where it differs.
    shown: Option<Strings>,
    /// The dictionary translated last.
    translated: Option<(ArrayRef, Vec<u32>)>,
}

impl Interner {
    /// For values of a type that is not of fixed width.
    pub(crate) fn new(ty: SqlType) -> Self {
        let kind = match ty.repr() {
            Repr::Numeric => Kind::Numeric,
            Repr::Interval => Kind::Interval,
            Repr::Binary => Kind::Binary,
            _ if ty.is(&def::BPCHAR) => Kind::Padded,
            _ => Kind::Text,
        };
        Self {
            kind,
            table: HashTable::new(),
            hashes: Vec::new(),
            canonical: Strings::default(),
            shown: (!matches!(kind, Kind::Text | Kind::Binary)).then(Strings::default),
            translated: None,
        }
    }

    /// Distinct values so far.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let strings = |s: &Strings| s.bytes.capacity() + 8 * s.ends.capacity();
        strings(&self.canonical)
            + self.shown.as_ref().map_or(0, strings)
            + 8 * self.hashes.capacity()
            + 5 * self.table.capacity()
    }

    /// A hash of the value itself, the same in every interner.
    pub(crate) fn hash(&self, id: u32) -> u64 {
        self.hashes.get(id as usize).copied().unwrap_or(0)
    }

    fn intern(&mut self, canonical: &[u8], shown: &[u8]) -> u32 {
        let hash = spg_simd::hash_bytes(canonical);
        let (strings, hashes) = (&self.canonical, &self.hashes);
        let same = |&id: &u32| strings.get(id) == canonical;
        match self.table.entry(hash, same, |&id| hashes[id as usize]) {
            hashbrown::hash_table::Entry::Occupied(e) => *e.get(),
            hashbrown::hash_table::Entry::Vacant(e) => {
                let id = self.hashes.len() as u32;
                e.insert(id);
                self.hashes.push(hash);
                self.canonical.push(canonical);
                if let Some(s) = &mut self.shown {
                    s.push(shown);
                }
                id
            }
        }
    }

    fn lookup(&self, canonical: &[u8]) -> u32 {
        let hash = spg_simd::hash_bytes(canonical);
        self.table.find(hash, |&id| self.canonical.get(id) == canonical).copied().unwrap_or(UNKNOWN)
    }

    /// Numbers of an array's values, new ones included; what stands for NULL is arbitrary.
    pub(crate) fn intern_all(&mut self, array: &ArrayRef) -> Result<Vec<u32>> {
        if let Some(dictionary) = array.as_dictionary_opt::<UInt16Type>() {
            let cached = self.translated.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, dictionary.values()));
            if !cached && dictionary.values().len() > 8 * array.len() {
                return self.intern_all(&spg_expr::flatten(array)?);
            }
            if !cached {
                let ids = self.intern_all(dictionary.values())?;
                self.translated = Some((dictionary.values().clone(), ids));
            }
            let Some((_, ids)) = &self.translated else { return Err(Error::internal("no dictionary")) };
            return Ok(translate(dictionary, ids));
        }
        let kind = self.kind;
        each(kind, array, |canonical, shown| self.intern(canonical, shown))
    }

    /// Numbers of an array's values, [`UNKNOWN`] for values that were never interned.
    pub(crate) fn lookup_all(&self, array: &ArrayRef) -> Result<Vec<u32>> {
        if let Some(dictionary) = array.as_dictionary_opt::<UInt16Type>() {
            if dictionary.values().len() > array.len() {
                return self.lookup_all(&spg_expr::flatten(array)?);
            }
            return Ok(translate(dictionary, &self.lookup_all(dictionary.values())?));
        }
        each(self.kind, array, |canonical, _| self.lookup(canonical))
    }

    /// The values of some numbers as an array; `valid` says which are not NULL.
    pub(crate) fn values(&self, ids: &[u32], valid: Option<&arrow::buffer::NullBuffer>) -> Result<ArrayRef> {
        let strings = self.shown.as_ref().unwrap_or(&self.canonical);
        let count = strings.len() as u32;
        let valid_at = |i: usize| valid.is_none_or(|v| v.is_valid(i));
        if matches!(self.kind, Kind::Text | Kind::Padded)
            && self.len() <= (1 << 15)
            && self.len() * 4 <= ids.len()
        {
            let keys = ids.iter().enumerate().map(|(i, &id)| if valid_at(i) { id as u16 } else { 0 });
            let keys = UInt16Array::new(keys.collect(), valid.cloned());
            return Ok(Arc::new(DictionaryArray::try_new(keys, self.text(0..count)?)?));
        }
        if ids.len() * 2 > self.len() {
            let all = match self.kind {
                Kind::Text | Kind::Padded => self.text(0..count)?,
                Kind::Interval => self.intervals(0..count)?,
                Kind::Binary | Kind::Numeric => self.binary(0..count),
            };
            let ids = ids.iter().enumerate().map(|(i, &id)| if valid_at(i) { id } else { 0 }).collect();
            return gather(&all, &UInt32Array::new(ids, valid.cloned()));
        }
        let some = ids.iter().enumerate().map(|(i, &id)| if valid_at(i) { id } else { UNKNOWN });
        Ok(match self.kind {
            Kind::Text | Kind::Padded => self.text(some)?,
            Kind::Interval => self.intervals(some)?,
            Kind::Binary | Kind::Numeric => self.binary(some),
        })
    }

    fn shown_bytes(&self, id: u32) -> Option<&[u8]> {
        (id != UNKNOWN).then(|| self.shown.as_ref().unwrap_or(&self.canonical).get(id))
    }

    fn text(&self, ids: impl Iterator<Item = u32>) -> Result<ArrayRef> {
        let mut b = StringViewBuilder::with_capacity(ids.size_hint().0).with_fixed_block_size(1 << 16);
        for id in ids {
            match self.shown_bytes(id) {
                None => b.append_null(),
                Some(bytes) => {
                    let text = std::str::from_utf8(bytes);
                    b.append_value(text.map_err(|_| Error::internal("a text key is not UTF-8"))?);
                }
            }
        }
        Ok(Arc::new(b.finish()))
    }

    fn binary(&self, ids: impl Iterator<Item = u32>) -> ArrayRef {
        let mut b = BinaryViewBuilder::with_capacity(ids.size_hint().0).with_fixed_block_size(1 << 16);
        ids.for_each(|id| b.append_option(self.shown_bytes(id)));
        Arc::new(b.finish())
    }

    fn intervals(&self, ids: impl Iterator<Item = u32>) -> Result<ArrayRef> {
        let mut b = IntervalMonthDayNanoBuilder::with_capacity(ids.size_hint().0);
        for id in ids {
            match self.shown_bytes(id) {
                None => b.append_null(),
                Some(bytes) => {
                    let bytes: [u8; 16] =
                        bytes.try_into().map_err(|_| Error::internal("an interval key is short"))?;
                    b.append_value(IntervalMonthDayNanoType::from_i128(i128::from_le_bytes(bytes)));
                }
            }
        }
        Ok(Arc::new(b.finish()))
    }
}

trait IntervalBits {
    fn to_i128(v: arrow::datatypes::IntervalMonthDayNano) -> i128;
    fn from_i128(v: i128) -> arrow::datatypes::IntervalMonthDayNano;
}

impl IntervalBits for IntervalMonthDayNanoType {
    fn to_i128(v: arrow::datatypes::IntervalMonthDayNano) -> i128 {
        i128::from(v.months) << 96 | i128::from(v.days as u32) << 64 | i128::from(v.nanoseconds as u64)
    }

    fn from_i128(v: i128) -> arrow::datatypes::IntervalMonthDayNano {
        arrow::datatypes::IntervalMonthDayNano::new((v >> 96) as i32, (v >> 64) as i32, v as i64)
    }
}

fn translate(dictionary: &DictionaryArray<UInt16Type>, ids: &[u32]) -> Vec<u32> {
    if ids.is_empty() {
        return vec![UNKNOWN; dictionary.len()];
    }
    let last = ids.len() - 1;
    dictionary.keys().values().iter().map(|&k| ids[usize::from(k).min(last)]).collect()
}

/// `f(canonical, shown)` for every value; 0 for NULLs.
fn each(kind: Kind, array: &ArrayRef, mut f: impl FnMut(&[u8], &[u8]) -> u32) -> Result<Vec<u32>> {
    let wrong = || Error::internal(format!("a key column holds {}", array.data_type()));
    let valid = |i: usize| array.is_valid(i);
    let rows = 0..array.len();
    Ok(match kind {
        Kind::Text | Kind::Padded => {
            let a = array.as_string_view_opt().ok_or_else(wrong)?;
            let trim = kind == Kind::Padded;
            rows.map(|i| {
                if !valid(i) {
                    return 0;
                }
                let value = a.value(i);
                let canonical = if trim { value.trim_end_matches(' ') } else { value };
                f(canonical.as_bytes(), value.as_bytes())
            })
            .collect()
        }
        Kind::Binary => {
            let a = array.as_binary_view_opt().ok_or_else(wrong)?;
            rows.map(|i| if valid(i) { f(a.value(i), a.value(i)) } else { 0 }).collect()
        }
        Kind::Numeric => {
            let a = array.as_binary_view_opt().ok_or_else(wrong)?;
            rows.map(|i| {
                if !valid(i) {
                    return Ok(0);
                }
                Ok(f(Numeric::decode(a.value(i))?.normalized().encode().as_ref(), a.value(i)))
            })
            .collect::<Result<_>>()?
        }
        Kind::Interval => {
            let a = array.as_primitive_opt::<IntervalMonthDayNanoType>().ok_or_else(wrong)?;
            rows.map(|i| {
                if !valid(i) {
                    return 0;
                }
                let span = spg_types::datetime::interval_span(a.value(i));
                let shown = IntervalMonthDayNanoType::to_i128(a.value(i));
                f(&span.to_le_bytes(), &shown.to_le_bytes())
            })
            .collect()
        }
    })
}
