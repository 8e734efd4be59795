//! `IN` over constants: a set built once.

use std::sync::Arc;

use ahash::AHashSet;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use spg_types::{Datum, Numeric, Repr, Result, SqlType};

use super::{bool_null, wrap};
use crate::arity::lanes;
use crate::{Column, flatten};

/// The constants of an IN list.
pub(super) struct InSet {
    values: Values,
    /// Whether NULL is among them: then nothing is known not to be in it.
    null: bool,
}

enum Values {
    /// Whole numbers within a small range: a bit each, from the least.
    Bits {
        least: i64,
        words: Vec<u64>,
        width: Width,
    },
    /// Whole numbers, sorted.
    Sorted(Vec<i64>, Width),
    Text(AHashSet<Box<str>>),
    /// Few texts, as views where they are short enough to lie in one.
    ShortTexts(Vec<u128>),
    Wide(AHashSet<i128>),
}

#[derive(Clone, Copy)]
enum Width {
    I16,
    I32,
    I64,
}

const BITS_MAX: i64 = 1 << 16;

impl InSet {
    /// The set of those values; `None` for types that have none here.
    pub(super) fn new(ty: SqlType, values: &[(Datum, SqlType)]) -> Result<Option<InSet>> {
        let null = values.iter().any(|(v, _)| v.is_null());
        let known: Vec<&(Datum, SqlType)> = values.iter().filter(|(v, _)| !v.is_null()).collect();
        let width = match ty.repr() {
            Repr::Int16 => Width::I16,
            Repr::Int32 | Repr::Date => Width::I32,
            Repr::Int64 | Repr::Time | Repr::Timestamp | Repr::TimestampTz | Repr::Decimal64 { .. } => {
                Width::I64
            }
            Repr::Text => {
                let texts: Option<Vec<&str>> = known
                    .iter()
                    .map(|(v, _)| if let Datum::Text(t) = v { Some(&**t) } else { None })
                    .collect();
                return Ok(texts.map(|texts| InSet { values: text_values(&texts), null }));
            }
            Repr::Decimal128 { scale } => {
                let numbers: Option<Vec<Option<i128>>> =
                    known.iter().map(|v| at_scale(v, scale.into())).collect();
                return Ok(
                    numbers.map(|n| InSet { values: Values::Wide(n.into_iter().flatten().collect()), null })
                );
            }
            _ => return Ok(None),
        };
        let numbers: Option<Vec<Option<i64>>> = known.iter().map(|v| whole(v, ty)).collect();
        let Some(numbers) = numbers else { return Ok(None) };
        let mut numbers: Vec<i64> = numbers.into_iter().flatten().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let values = match (numbers.first(), numbers.last()) {
            (Some(least), Some(most)) if most.checked_sub(*least).is_some_and(|range| range < BITS_MAX) => {
                let mut words = vec![0u64; ((most - least) / 64 + 1) as usize];
                for n in &numbers {
                    let bit = (n - least) as usize;
                    words[bit / 64] |= 1 << (bit % 64);
                }
                Values::Bits { least: *least, words, width }
            }
            _ => Values::Sorted(numbers, width),
        };
        Ok(Some(InSet { values, null }))
    }

    /// Whether each row's value is in the set, as SQL has it with NULL.
    pub(super) fn eval(&self, column: &Column, negated: bool) -> Result<Column> {
        let array = flatten(column.inner())?;
        if matches!(column, Column::Const(_)) && array.is_null(0) {
            return bool_null();
        }
        let found = self.contains(&array)?;
        let mut valid = array.nulls().map(|n| n.inner().clone());
        if self.null {
            // Not found among known values: unknown.
            valid = Some(valid.map_or_else(|| found.clone(), |v| &v & &found));
        }
        let bits = if negated { !&found } else { found };
        let nulls = valid.map(NullBuffer::new).filter(|n| n.null_count() > 0);
        Ok(wrap(column, Arc::new(BooleanArray::new(bits, nulls))))
    }

    fn contains(&self, array: &ArrayRef) -> Result<BooleanBuffer> {
        let rows = array.len();
        Ok(match &self.values {
            Values::Bits { least, words, width } => with_numbers(array, *width, |v| {
                let bit = v.wrapping_sub(*least) as u64;
                words.get((bit / 64) as usize).is_some_and(|w| w >> (bit % 64) & 1 == 1)
            })?,
            Values::Sorted(sorted, width) => {
                with_numbers(array, *width, |v| sorted.binary_search(&v).is_ok())?
            }
            Values::Text(set) => {
                let a = array.as_string_view();
                BooleanBuffer::collect_bool(rows, |row| set.contains(a.value(row)))
            }
            Values::ShortTexts(wanted) => {
                let views = array.as_string_view().views();
                BooleanBuffer::collect_bool(rows, |row| wanted.contains(&views[row]))
            }
            Values::Wide(set) => {
                let values = lanes::<i128>(array)?;
                BooleanBuffer::collect_bool(rows, |row| set.contains(&values[row]))
            }
        })
    }
}

fn with_numbers(array: &ArrayRef, width: Width, f: impl Fn(i64) -> bool) -> Result<BooleanBuffer> {
    let rows = array.len();
    Ok(match width {
        Width::I16 => {
            let v = lanes::<i16>(array)?;
            BooleanBuffer::collect_bool(rows, |row| f(v[row].into()))
        }
        Width::I32 => {
            let v = lanes::<i32>(array)?;
            BooleanBuffer::collect_bool(rows, |row| f(v[row].into()))
        }
        Width::I64 => {
            let v = lanes::<i64>(array)?;
            BooleanBuffer::collect_bool(rows, |row| f(v[row]))
        }
    })
}

fn text_values(texts: &[&str]) -> Values {
    const LINEAR_MAX: usize = 8;
    if texts.len() <= LINEAR_MAX && texts.iter().all(|t| t.len() <= 12) {
        return Values::ShortTexts(
            texts.iter().map(|t| arrow::array::make_view(t.as_bytes(), 0, 0)).collect(),
        );
    }
    Values::Text(texts.iter().map(|t| Box::from(*t)).collect())
}

/// The outer `None`: not of this kind. The inner one: a number that a column of the type cannot hold.
fn whole(value: &(Datum, SqlType), ty: SqlType) -> Option<Option<i64>> {
    Some(match &value.0 {
        Datum::Int16(v) => Some((*v).into()),
        Datum::Int32(v) | Datum::Date(v) => Some((*v).into()),
        Datum::Int64(v) | Datum::Time(v) | Datum::Timestamp(v) => Some(*v),
        _ => match ty.repr() {
            Repr::Decimal64 { scale } => at_scale(value, scale.into())?.and_then(|v| i64::try_from(v).ok()),
            _ => return None,
        },
    })
}

fn at_scale((value, ty): &(Datum, SqlType), scale: u32) -> Option<Option<i128>> {
    let number = match value {
        Datum::Decimal(v) => Numeric::from_i128(*v, ty.precision_scale()?.1),
        Datum::Numeric(n) => n.clone(),
        _ => return None,
    };
    let Some((unscaled, from)) = number.normalized().as_i128() else { return Some(None) };
    let up = scale.checked_sub(from).and_then(|d| spg_types::number::POW10.get(d as usize));
    Some(up.and_then(|up| unscaled.checked_mul(*up)))
}
