//! Arithmetic over slices; overflow is noticed once per batch.

/// An integer whose operations tell overflow.
pub trait Int: Copy + Default + Send + Sync + 'static {
    /// `+`
    fn add(self, other: Self) -> (Self, bool);
    /// `-`
    fn sub(self, other: Self) -> (Self, bool);
    /// `*`
    fn mul(self, other: Self) -> (Self, bool);
    /// unary `-`
    fn neg(self) -> (Self, bool);
}

macro_rules! ints {
    ($($t:ty)*) => {$(impl Int for $t {
        #[inline(always)]
        fn add(self, other: Self) -> (Self, bool) {
            self.overflowing_add(other)
        }
        #[inline(always)]
        fn sub(self, other: Self) -> (Self, bool) {
            self.overflowing_sub(other)
        }
        #[inline(always)]
        fn mul(self, other: Self) -> (Self, bool) {
            self.overflowing_mul(other)
        }
        #[inline(always)]
        fn neg(self) -> (Self, bool) {
            self.overflowing_neg()
        }
    })*};
}
ints!(i16 i32 i64 i128);

/// `f(a[i])`.
#[inline]
pub fn map<A: Copy, R>(a: &[A], f: impl Fn(A) -> R) -> Vec<R> {
    a.iter().map(|x| f(*x)).collect()
}

/// `f(a[i], b[i])`; both of one length.
#[inline]
pub fn zip<A: Copy, B: Copy, R>(a: &[A], b: &[B], f: impl Fn(A, B) -> R) -> Vec<R> {
    a.iter().zip(b).map(|(x, y)| f(*x, *y)).collect()
}

/// `f(a[i], b)`.
#[inline]
pub fn zip_const<A: Copy, B: Copy, R>(a: &[A], b: B, f: impl Fn(A, B) -> R) -> Vec<R> {
    a.iter().map(|x| f(*x, b)).collect()
}

/// `f(a[i], b[i])`, and whether any of them overflowed. A slice of length one stands for every row.
#[inline]
pub fn binary_overflowing<A: Copy, B: Copy, R: Copy + Default>(
    a: &[A],
    b: &[B],
    rows: usize,
    f: impl Fn(A, B) -> (R, bool),
) -> (Vec<R>, bool) {
    let mut out = vec![R::default(); rows];
    let mut any = false;
    match (a, b) {
        ([x], b) if rows != 1 => {
            for (r, y) in out.iter_mut().zip(&b[..rows]) {
                let (v, o) = f(*x, *y);
                *r = v;
                any |= o;
            }
        }
        (a, [y]) if rows != 1 => {
            for (r, x) in out.iter_mut().zip(&a[..rows]) {
                let (v, o) = f(*x, *y);
                *r = v;
                any |= o;
            }
        }
        (a, b) => {
            for ((r, x), y) in out.iter_mut().zip(&a[..rows]).zip(&b[..rows]) {
                let (v, o) = f(*x, *y);
                *r = v;
                any |= o;
            }
        }
    }
    (out, any)
}

/// `f(a[i])`, and whether any of them overflowed.
#[inline]
pub fn unary_overflowing<A: Copy, R: Copy + Default>(a: &[A], f: impl Fn(A) -> (R, bool)) -> (Vec<R>, bool) {
    let mut any = false;
    let out = a
        .iter()
        .map(|x| {
            let (v, o) = f(*x);
            any |= o;
            v
        })
        .collect();
    (out, any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn overflow_is_noticed(a in proptest::collection::vec(any::<i32>(), 2..100), b: i32) {
            let c: Vec<i32> = a.iter().rev().copied().collect();
            for (name, f, plain) in [
                ("add", Int::add as fn(i32, i32) -> (i32, bool), i32::checked_add as fn(i32, i32) -> Option<i32>),
                ("sub", Int::sub, i32::checked_sub),
                ("mul", Int::mul, i32::checked_mul),
            ] {
                for (x, y) in [(&a[..], &c[..]), (&a[..], &[b][..]), (&[b][..], &a[..])] {
                    let (out, any) = binary_overflowing(x, y, a.len(), f);
                    let at = |s: &[i32], i: usize| if s.len() == 1 { s[0] } else { s[i] };
                    let expected: Vec<Option<i32>> =
                        (0..a.len()).map(|i| plain(at(x, i), at(y, i))).collect();
                    prop_assert_eq!(any, expected.contains(&None), "{}", name);
                    for (o, e) in out.iter().zip(&expected) {
                        prop_assert!(e.is_none_or(|e| e == *o));
                    }
                }
            }
        }
    }
}
