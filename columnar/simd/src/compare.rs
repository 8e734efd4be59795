//! Comparison of columns with columns and with constants, into bitmaps and into selections.

use crate::bits::{append_indices, pack};

/// The six comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Cmp {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

/// A value that compares in SQL's order: floats as PostgreSQL orders them, where NaN equals NaN and is above all.
pub trait Lane: Copy + Send + Sync + 'static {
    /// Equality.
    fn eq(self, other: Self) -> bool;
    /// Order.
    fn lt(self, other: Self) -> bool;
}

macro_rules! int_lanes {
    ($($t:ty)*) => {$(impl Lane for $t {
        #[inline(always)]
        fn eq(self, other: Self) -> bool {
            self == other
        }
        #[inline(always)]
        fn lt(self, other: Self) -> bool {
            self < other
        }
    })*};
}
int_lanes!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128);

macro_rules! float_lanes {
    ($($t:ty)*) => {$(impl Lane for $t {
        #[inline(always)]
        fn eq(self, other: Self) -> bool {
            (self == other) | (self.is_nan() & other.is_nan())
        }
        #[inline(always)]
        fn lt(self, other: Self) -> bool {
            (self < other) | (!self.is_nan() & other.is_nan())
        }
    })*};
}
float_lanes!(f32 f64);

/// Calls a generic loop with the comparison as a closure, so that the choice is made outside of the loop.
macro_rules! with_op {
    ($op:expr, $f:ident => $body:expr) => {
        match $op {
            Cmp::Eq => {
                let $f = |a: T, b: T| a.eq(b);
                $body
            }
            Cmp::NotEq => {
                let $f = |a: T, b: T| !a.eq(b);
                $body
            }
            Cmp::Lt => {
                let $f = |a: T, b: T| a.lt(b);
                $body
            }
            Cmp::LtEq => {
                let $f = |a: T, b: T| !b.lt(a);
                $body
            }
            Cmp::Gt => {
                let $f = |a: T, b: T| b.lt(a);
                $body
            }
            Cmp::GtEq => {
                let $f = |a: T, b: T| !a.lt(b);
                $body
            }
        }
    };
}

/// The bitmap of `a[i] op b`.
pub fn compare_const<T: Lane>(op: Cmp, a: &[T], b: T) -> Vec<u64> {
    with_op!(op, f => pack(a.len(), |i| f(a[i], b)))
}

/// The bitmap of `a[i] op b[i]`; both of one length.
pub fn compare<T: Lane>(op: Cmp, a: &[T], b: &[T]) -> Vec<u64> {
    let b = &b[..a.len()];
    with_op!(op, f => pack(a.len(), |i| f(a[i], b[i])))
}

/// Appends the rows of `selection` (all rows without one) where `a[row] op b`. A selection holds positions in `a`.
pub fn select_const<T: Lane>(op: Cmp, a: &[T], b: T, selection: Option<&[u32]>, out: &mut Vec<u32>) {
    match selection {
        None => append_indices(&compare_const(op, a, b), out),
        Some(rows) => with_op!(op, f => narrow(rows, out, |row| f(a[row], b))),
    }
}

/// Appends the rows of `selection` (all rows without one) where `a[row] op b[row]`.
pub fn select<T: Lane>(op: Cmp, a: &[T], b: &[T], selection: Option<&[u32]>, out: &mut Vec<u32>) {
    match selection {
        None => append_indices(&compare(op, a, b), out),
        Some(rows) => {
            let b = &b[..a.len()];
            with_op!(op, f => narrow(rows, out, |row| f(a[row], b[row])));
        }
    }
}

/// Appends the rows that satisfy `f`, without a branch on it.
#[inline]
pub fn narrow(rows: &[u32], out: &mut Vec<u32>, f: impl Fn(usize) -> bool) {
    let start = out.len();
    out.resize(start + rows.len(), 0);
    let tail = &mut out[start..];
    let mut kept = 0;
    for &row in rows {
        tail[kept] = row;
        kept += usize::from(f(row as usize));
    }
    out.truncate(start + kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Ordering;

    const OPS: [Cmp; 6] = [Cmp::Eq, Cmp::NotEq, Cmp::Lt, Cmp::LtEq, Cmp::Gt, Cmp::GtEq];

    fn holds(op: Cmp, order: Ordering) -> bool {
        match op {
            Cmp::Eq => order.is_eq(),
            Cmp::NotEq => order.is_ne(),
            Cmp::Lt => order.is_lt(),
            Cmp::LtEq => order.is_le(),
            Cmp::Gt => order.is_gt(),
            Cmp::GtEq => order.is_ge(),
        }
    }

    fn check<T: Lane>(a: &[T], b: &[T], order: impl Fn(T, T) -> Ordering) {
        let odd: Vec<u32> = (0..a.len() as u32).filter(|i| i % 3 != 1).collect();
        for op in OPS {
            for selection in [None, Some(&odd[..])] {
                let all: Vec<u32> = (0..a.len() as u32).collect();
                let rows = selection.unwrap_or(&all);
                let plain: Vec<u32> = rows
                    .iter()
                    .copied()
                    .filter(|r| holds(op, order(a[*r as usize], b[*r as usize])))
                    .collect();
                let mut fast = vec![];
                select(op, a, b, selection, &mut fast);
                assert_eq!(fast, plain);
                if let Some(&c) = b.first() {
                    let plain: Vec<u32> =
                        rows.iter().copied().filter(|r| holds(op, order(a[*r as usize], c))).collect();
                    let mut fast = vec![];
                    select_const(op, a, c, selection, &mut fast);
                    assert_eq!(fast, plain);
                }
            }
        }
    }

    fn float_order(a: f64, b: f64) -> Ordering {
        a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    }

    proptest! {
        #[test]
        fn integers(pairs in proptest::collection::vec((-3i64..3, -3i64..3), 0..200)) {
            let (a, b): (Vec<i64>, Vec<i64>) = pairs.into_iter().unzip();
            check(&a, &b, |x, y| x.cmp(&y));
            let narrow = |v: &[i64]| v.iter().map(|x| *x as i16).collect::<Vec<_>>();
            check(&narrow(&a), &narrow(&b), |x, y| x.cmp(&y));
        }

        #[test]
        fn floats(pairs in proptest::collection::vec((0usize..6, 0usize..6), 0..200)) {
            let values = [f64::NAN, 0.0, -0.0, 1.5, f64::INFINITY, f64::NEG_INFINITY];
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().map(|(a, b)| (values[a], values[b])).unzip();
            check(&a, &b, float_order);
        }
    }
}
