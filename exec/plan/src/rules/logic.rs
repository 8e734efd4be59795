//! Questions about expressions that several rules ask: NULLs, volatility, equalities.

use spg_expr::{Comparison, Expr, Volatility};
use spg_types::{Datum, Repr, SqlType};

use crate::tree::ColSet;

/// What is known of a value when some columns are NULL.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    Null,
    False,
    True,
    NullOrFalse,
    Nothing,
}

fn known(e: &Expr, nulls: &ColSet) -> Known {
    use Known::{False, Nothing, Null, NullOrFalse, True};
    let not_true = |k| matches!(k, Null | False | NullOrFalse);
    match e {
        Expr::Column { id, .. } if nulls.contains(id) => Null,
        Expr::Const { value: Datum::Null, .. } => Null,
        Expr::Const { value: Datum::Bool(false), .. } => False,
        Expr::Const { value: Datum::Bool(true), .. } => True,
        Expr::Call { function, args, .. }
            if function.strict && args.iter().any(|a| known(a, nulls) == Null) =>
        {
            Null
        }
        Expr::Cast { input, .. } if known(input, nulls) == Null => Null,
        Expr::And(parts) => {
            if parts.iter().any(|p| known(p, nulls) == False) {
                False
            } else if parts.iter().any(|p| not_true(known(p, nulls))) {
                NullOrFalse
            } else {
                Nothing
            }
        }
        Expr::Or(parts) => {
            if parts.iter().any(|p| known(p, nulls) == True) {
                True
            } else if parts.iter().all(|p| not_true(known(p, nulls))) {
                NullOrFalse
            } else {
                Nothing
            }
        }
        Expr::Not(e) => match known(e, nulls) {
            Null => Null,
            False => True,
            True => False,
            NullOrFalse | Nothing => Nothing,
        },
        Expr::IsNull(e) => match known(e, nulls) {
            Null => True,
            True | False => False,
            NullOrFalse | Nothing => Nothing,
        },
        Expr::Coalesce { args, .. } => {
            let first = args.iter().map(|a| known(a, nulls)).find(|k| *k != Null);
            first.unwrap_or(Null)
        }
        Expr::Case { branches, otherwise, .. } => {
            let results = branches.iter().filter(|(c, _)| !not_true(known(c, nulls))).map(|(_, r)| r);
            let mut all = results.map(|r| known(r, nulls)).collect::<Vec<_>>();
            all.push(otherwise.as_ref().map_or(Null, |e| known(e, nulls)));
            if all.iter().all(|k| *k == Null) {
                Null
            } else if all.iter().all(|k| not_true(*k)) {
                NullOrFalse
            } else {
                Nothing
            }
        }
        Expr::InList { input, .. } if known(input, nulls) == Null => Null,
        _ => Nothing,
    }
}

/// Whether `e` cannot be true when all columns of `nulls` are NULL.
pub(crate) fn rejects_nulls(e: &Expr, nulls: &ColSet) -> bool {
    matches!(known(e, nulls), Known::Null | Known::False | Known::NullOrFalse)
}

/// Whether `e` may be NULL when the columns of `not_null` are not.
pub(crate) fn nullable(e: &Expr, not_null: &ColSet) -> bool {
    match e {
        Expr::Column { id, .. } => !not_null.contains(id),
        Expr::Const { value, .. } => value.is_null(),
        Expr::IsNull(_) => false,
        Expr::Call { function, args, .. } => {
            let null_safe = matches!(
                function.comparison,
                Some(Comparison::IsDistinctFrom | Comparison::IsNotDistinctFrom)
            );
            let never = function.comparison.is_some()
                || ["+", "-", "*", "/", "%", "||", "~~", "!~~"].contains(&function.name);
            !null_safe && (!(function.strict && never) || args.iter().any(|a| nullable(a, not_null)))
        }
        Expr::Cast { input, .. } | Expr::Not(input) => nullable(input, not_null),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().any(|p| nullable(p, not_null)),
        Expr::InList { input, list, .. } => {
            std::iter::once(&**input).chain(list).any(|e| nullable(e, not_null))
        }
        Expr::Coalesce { args, .. } => args.iter().all(|a| nullable(a, not_null)),
        Expr::Case { branches, otherwise, .. } => {
            branches.iter().any(|(_, r)| nullable(r, not_null))
                || otherwise.as_ref().is_none_or(|e| nullable(e, not_null))
        }
        Expr::Param { .. } => true,
    }
}

/// Whether any call in `e` may differ between rows with equal arguments.
pub(crate) fn volatile(e: &Expr) -> bool {
    let mut found = false;
    e.visit(&mut |e| {
        if let Expr::Call { function, .. } = e {
            found |= function.volatility == Volatility::Volatile;
        }
    });
    found
}

/// Whether `e` can fail for no row: may be evaluated for rows that a filter drops.
pub(crate) fn infallible(e: &Expr) -> bool {
    let mut safe = true;
    e.visit(&mut |e| match e {
        Expr::Call { function, .. } => safe &= function.infallible || function.comparison.is_some(),
        Expr::Cast { .. } => safe = false,
        _ => {}
    });
    safe
}

/// Both sides of `a = b` (or `a IS NOT DISTINCT FROM b`), and whether NULLs match.
pub(crate) fn as_equality(e: &Expr) -> Option<(&Expr, &Expr, bool)> {
    match e.as_comparison()? {
        (Comparison::Eq, a, b) => Some((a, b, false)),
        (Comparison::IsNotDistinctFrom, a, b) => Some((a, b, true)),
        _ => None,
    }
}

/// An equality with one side over `inner` columns only and the other over none of them, in that order.
pub(crate) fn split_equality<'a>(e: &'a Expr, inner: &ColSet) -> Option<(&'a Expr, &'a Expr, bool)> {
    let (a, b, nulls) = as_equality(e)?;
    let of = |e: &Expr| {
        let columns = e.columns();
        (!columns.is_empty() && columns.is_subset(inner), columns.is_disjoint(inner))
    };
    match (of(a), of(b)) {
        ((true, _), (_, true)) => Some((a, b, nulls)),
        ((_, true), (true, _)) => Some((b, a, nulls)),
        _ => None,
    }
}

/// Whether equal values of both types are the same value, so that one may stand for the other.
pub(crate) fn interchangeable(a: SqlType, b: SqlType) -> bool {
    let exact = matches!(
        a.repr(),
        Repr::Bool
            | Repr::Int16
            | Repr::Int32
            | Repr::Int64
            | Repr::Date
            | Repr::Time
            | Repr::Timestamp
            | Repr::TimestampTz
            | Repr::Uuid
            | Repr::Binary
            | Repr::Decimal64 { .. }
            | Repr::Decimal128 { .. }
    );
    let text = a.repr() == Repr::Text && a.def.name != "bpchar";
    a.same_def(b) && a.repr() == b.repr() && (exact || text)
}

/// The column that an expression is, looking through nothing.
pub(crate) fn as_column(e: &Expr) -> Option<spg_expr::ColId> {
    match e {
        Expr::Column { id, .. } => Some(*id),
        _ => None,
    }
}

/// Whether an expression is the same for all rows and known when the query starts.
pub(crate) fn is_fixed(e: &Expr) -> bool {
    let mut fixed = true;
    e.visit(&mut |e| fixed &= !matches!(e, Expr::Column { .. }));
    fixed && !volatile(e)
}

/// An integer constant's value.
pub(crate) fn as_count(e: &Expr) -> Option<u64> {
    match e {
        Expr::Const { value: Datum::Int64(v), .. } => u64::try_from(*v).ok(),
        Expr::Const { value: Datum::Int32(v), .. } => u64::try_from(*v).ok(),
        _ => None,
    }
}
