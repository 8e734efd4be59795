//! Arithmetic on `numeric`: on integers of 64 or 128 bits where the types fix scale and precision, otherwise value by
//! value with PostgreSQL's scales.

use std::sync::Arc;

use spg_expr::arity::{lanes1, lanes2, try_map1, try_map2};
use spg_expr::{BindArgs, Kernel};
use spg_types::number::{POW10, POW10_64};
use spg_types::{Numeric, Repr, Result, SqlType, def};

fn scales(args: &[SqlType]) -> Option<[(u32, u32); 2]> {
    let [a, b] = args else { return None };
    Some([a.precision_scale()?, b.precision_scale()?])
}

/// `numeric` that has as many digits as the argument.
pub(crate) fn same(args: &[SqlType]) -> SqlType {
    match args.first().and_then(|a| a.precision_scale()) {
        Some((p, s)) => SqlType::numeric(p, s),
        None => SqlType::new(&def::NUMERIC),
    }
}

/// The type of a sum or a difference.
pub(crate) fn sum_type(args: &[SqlType]) -> SqlType {
    let Some([(p1, s1), (p2, s2)]) = scales(args) else { return SqlType::new(&def::NUMERIC) };
    let scale = s1.max(s2);
    let whole = p1.saturating_sub(s1).max(p2.saturating_sub(s2));
    SqlType::numeric(whole + 1 + scale, scale)
}

/// The type of a product.
pub(crate) fn product_type(args: &[SqlType]) -> SqlType {
    let Some([(p1, s1), (p2, s2)]) = scales(args) else { return SqlType::new(&def::NUMERIC) };
    SqlType::numeric(p1.max(s1) + p2.max(s2), s1 + s2)
}

/// The type of a remainder.
pub(crate) fn remainder_type(args: &[SqlType]) -> SqlType {
    let Some([(p1, s1), (p2, s2)]) = scales(args) else { return SqlType::new(&def::NUMERIC) };
    let scale = s1.max(s2);
    let whole = p1.saturating_sub(s1).min(p2.saturating_sub(s2));
    SqlType::numeric(whole + scale, scale)
}

/// The type of a value rounded to whole numbers.
pub(crate) fn whole_type(args: &[SqlType]) -> SqlType {
    match args.first().and_then(|a| a.precision_scale()) {
        Some((p, s)) => SqlType::numeric(p.saturating_sub(s) + 1, 0),
        None => SqlType::new(&def::NUMERIC),
    }
}

/// The scale of a fixed representation, and whether it takes 128 bits.
pub(crate) fn fixed(ty: SqlType) -> Option<(u32, bool)> {
    match ty.repr() {
        Repr::Decimal64 { scale } => Some((scale.into(), false)),
        Repr::Decimal128 { scale } => Some((scale.into(), true)),
        _ => None,
    }
}

/// Runs an operation in the narrowest integers that hold arguments and result. The result's type proves that it fits.
fn fixed2(
    bind: &BindArgs<'_>,
    wide: (bool, bool, bool),
    narrow: impl Fn(i64, i64) -> i64 + Send + Sync + 'static,
    f: impl Fn(i128, i128) -> i128 + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    match wide {
        (false, false, false) => lanes2::<i64, i64, i64>(bind, narrow),
        (false, true, false) => lanes2::<i64, i128, i64>(bind, move |a, b| f(a.into(), b) as i64),
        (true, false, false) => lanes2::<i128, i64, i64>(bind, move |a, b| f(a, b.into()) as i64),
        (true, true, false) => lanes2::<i128, i128, i64>(bind, move |a, b| f(a, b) as i64),
        (false, false, true) => lanes2::<i64, i64, i128>(bind, move |a, b| f(a.into(), b.into())),
        (false, true, true) => lanes2::<i64, i128, i128>(bind, move |a, b| f(a.into(), b)),
        (true, false, true) => lanes2::<i128, i64, i128>(bind, move |a, b| f(a, b.into())),
        (true, true, true) => lanes2::<i128, i128, i128>(bind, f),
    }
}

/// Sum (`subtract` false) or difference.
pub(crate) fn add(bind: &BindArgs<'_>, subtract: bool) -> Result<Arc<dyn Kernel>> {
    if let (Some((s1, w1)), Some((s2, w2)), Some((s, w))) =
        (fixed(bind.arg_types[0]), fixed(bind.arg_types[1]), fixed(bind.return_type))
        && s >= s1
        && s >= s2
        && s - s1.min(s2) <= 18
    {
        let (up1, up2) = ((s - s1) as usize, (s - s2) as usize);
        let (n1, n2) = (POW10_64[up1], POW10_64[up2]);
        let (f1, f2) = (POW10[up1], POW10[up2]);
        // Wrapping, as NULL rows hold anything; in rows that count the true result fits, so it comes out right.
        return match (subtract, up1, up2) {
            (false, 0, 0) => fixed2(bind, (w1, w2, w), i64::wrapping_add, i128::wrapping_add),
            (true, 0, 0) => fixed2(bind, (w1, w2, w), i64::wrapping_sub, i128::wrapping_sub),
            (false, ..) => fixed2(
                bind,
                (w1, w2, w),
                move |a, b| a.wrapping_mul(n1).wrapping_add(b.wrapping_mul(n2)),
                move |a, b| a.wrapping_mul(f1).wrapping_add(b.wrapping_mul(f2)),
            ),
            (true, ..) => fixed2(
                bind,
                (w1, w2, w),
                move |a, b| a.wrapping_mul(n1).wrapping_sub(b.wrapping_mul(n2)),
                move |a, b| a.wrapping_mul(f1).wrapping_sub(b.wrapping_mul(f2)),
            ),
        };
    }
    if subtract {
        try_map2::<Numeric, Numeric, Numeric>(bind, |a, b| a.sub(&b))
    } else {
        try_map2::<Numeric, Numeric, Numeric>(bind, |a, b| a.add(&b))
    }
}

/// Product.
pub(crate) fn mul(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    if let (Some((s1, w1)), Some((s2, w2)), Some((s, w))) =
        (fixed(bind.arg_types[0]), fixed(bind.arg_types[1]), fixed(bind.return_type))
        && s == s1 + s2
    {
        return fixed2(bind, (w1, w2, w), i64::wrapping_mul, i128::wrapping_mul);
    }
    try_map2::<Numeric, Numeric, Numeric>(bind, |a, b| a.mul(&b))
}

/// Quotient, with the scale that PostgreSQL gives it; 22012.
pub(crate) fn div(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    try_map2::<Numeric, Numeric, Numeric>(bind, |a, b| a.div(&b))
}

/// Remainder, of the dividend's sign; 22012.
pub(crate) fn rem(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    try_map2::<Numeric, Numeric, Numeric>(bind, |a, b| a.rem(&b))
}

/// A function of one number that keeps its scale.
pub(crate) fn unary(
    bind: &BindArgs<'_>,
    narrow: impl Fn(i64) -> i64 + Send + Sync + 'static,
    wide: impl Fn(i128) -> i128 + Send + Sync + 'static,
    variable: impl Fn(Numeric) -> Numeric + Send + Sync + 'static,
) -> Result<Arc<dyn Kernel>> {
    match (fixed(bind.arg_types[0]), fixed(bind.return_type)) {
        (Some((s, false)), Some((t, false))) if s == t => lanes1::<i64, i64>(bind, narrow),
        (Some((s, true)), Some((t, true))) if s == t => lanes1::<i128, i128>(bind, wide),
        _ => try_map1::<Numeric, Numeric>(bind, move |v| Ok(variable(v))),
    }
}
