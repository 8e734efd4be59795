//! Conjuncts against zone maps: what a row group's bounds say before any of its rows is read.

use std::cmp::Ordering;

use spg_expr::{ColId, Comparison, EvalContext, Expr};
use spg_types::{ColumnStats, Datum, Numeric, Repr, Result, SqlType, def};

use crate::scalar::Scalar;

/// What a zone map says of a conjunct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// True for no row.
    Never,
    /// Depends on the row.
    Maybe,
    /// True for every row.
    Always,
}

enum Test {
    Compare { column: usize, ty: SqlType, op: Comparison, value: Scalar },
    In { column: usize, ty: SqlType, values: Vec<Scalar> },
    IsNull { column: usize, negated: bool },
}

/// The tests that a conjunct allows; their operands may be parameters and functions without columns.
pub(crate) struct ZoneTest(Option<Test>);

/// A test with its operands evaluated.
pub(crate) enum BoundTest {
    /// Says nothing.
    None,
    /// A comparison with a value that is comparable with the column's bounds.
    Compare { column: usize, ty: SqlType, op: Comparison, value: Datum },
    /// Membership.
    In { column: usize, ty: SqlType, values: Vec<Datum> },
    /// `IS [NOT] NULL`.
    IsNull { column: usize, negated: bool },
}

impl ZoneTest {
    /// The test that `conjunct` allows over columns of a table, given by position.
    pub(crate) fn new(conjunct: &Expr, column: &dyn Fn(ColId) -> Option<usize>) -> Result<Self> {
        let as_column = |e: &Expr| match e {
            Expr::Column { id, ty } => column(*id).map(|c| (c, *ty)),
            _ => None,
        };
        let test = match conjunct {
            Expr::IsNull(e) => as_column(e).map(|(column, _)| Test::IsNull { column, negated: false }),
            Expr::Not(e) => match &**e {
                Expr::IsNull(e) => as_column(e).map(|(column, _)| Test::IsNull { column, negated: true }),
                _ => None,
            },
            Expr::InList { input, list, negated: false } if list.iter().all(|e| e.columns().is_empty()) => {
                match as_column(input) {
                    Some((column, ty)) => {
                        let values = list.iter().map(Scalar::constant).collect::<Result<_>>()?;
                        Some(Test::In { column, ty, values })
                    }
                    None => None,
                }
            }
            e => match e.as_comparison() {
                Some((op, a, b)) => {
                    let sides = match (as_column(a), as_column(b)) {
                        (Some(c), None) if b.columns().is_empty() => Some((c, op, b)),
                        (None, Some(c)) if a.columns().is_empty() => Some((c, op.swap(), a)),
                        _ => None,
                    };
                    match sides {
                        Some(((column, ty), op, value)) => {
                            Some(Test::Compare { column, ty, op, value: Scalar::constant(value)? })
                        }
                        None => None,
                    }
                }
                None => None,
            },
        };
        Ok(Self(test))
    }

    /// Evaluates the operands. An error there says nothing: it is raised where rows are tested, if any are.
    pub(crate) fn bind(&self, ctx: &EvalContext) -> BoundTest {
        match &self.0 {
            None => BoundTest::None,
            Some(Test::IsNull { column, negated }) => {
                BoundTest::IsNull { column: *column, negated: *negated }
            }
            Some(Test::Compare { column, ty, op, value }) => match value.value(ctx) {
                Ok(v) => {
                    BoundTest::Compare { column: *column, ty: *ty, op: *op, value: comparable(v, value.ty()) }
                }
                Err(_) => BoundTest::None,
            },
            Some(Test::In { column, ty, values }) => {
                let values: Result<Vec<Datum>> =
                    values.iter().map(|v| Ok(comparable(v.value(ctx)?, v.ty()))).collect();
                match values {
                    Ok(values) => BoundTest::In { column: *column, ty: *ty, values },
                    Err(_) => BoundTest::None,
                }
            }
        }
    }
}

impl BoundTest {
    /// The column whose bounds it looks at.
    pub(crate) fn column(&self) -> Option<usize> {
        match self {
            BoundTest::None => None,
            BoundTest::Compare { column, .. }
            | BoundTest::In { column, .. }
            | BoundTest::IsNull { column, .. } => Some(*column),
        }
    }

    /// What the bounds of its column say; `zone` gives them by the column's position.
    pub(crate) fn verdict<'a>(&self, rows: u64, zone: impl Fn(usize) -> Option<&'a ColumnStats>) -> Verdict {
        match self {
            BoundTest::None => Verdict::Maybe,
            BoundTest::IsNull { column, negated } => {
                let Some(stats) = zone(*column) else { return Verdict::Maybe };
                match (stats.null_count, negated) {
                    (0, false) => Verdict::Never,
                    (0, true) => Verdict::Always,
                    _ => Verdict::Maybe,
                }
            }
            BoundTest::Compare { column, ty, op, value } => {
                let Some(stats) = zone(*column) else { return Verdict::Maybe };
                compare_verdict(stats, *ty, *op, value, rows)
            }
            BoundTest::In { column, ty, values } => {
                let Some(stats) = zone(*column) else { return Verdict::Maybe };
                let verdicts = values.iter().map(|v| compare_verdict(stats, *ty, Comparison::Eq, v, rows));
                verdicts.fold(Verdict::Never, |all, v| match (all, v) {
                    (Verdict::Always, _) | (_, Verdict::Always) => Verdict::Always,
                    (Verdict::Maybe, _) | (_, Verdict::Maybe) => Verdict::Maybe,
                    _ => Verdict::Never,
                })
            }
        }
    }
}

fn compare_verdict(stats: &ColumnStats, ty: SqlType, op: Comparison, value: &Datum, rows: u64) -> Verdict {
    use Comparison::*;
    if matches!(op, IsDistinctFrom | IsNotDistinctFrom) {
        return Verdict::Maybe;
    }
    if value.is_null() {
        return Verdict::Never;
    }
    let (Some(min), Some(max)) = (&stats.min, &stats.max) else {
        return Verdict::Maybe;
    };
    let order = |bound: &Datum| compare(&comparable(bound.clone(), ty), value, ty);
    let (Some(min), Some(max)) = (order(min), order(max)) else { return Verdict::Maybe };
    let (never, always) = match op {
        Eq => (min.is_gt() || max.is_lt(), min.is_eq() && max.is_eq()),
        NotEq => (min.is_eq() && max.is_eq(), min.is_gt() || max.is_lt()),
        Lt => (min.is_ge(), max.is_lt()),
        LtEq => (min.is_gt(), max.is_le()),
        Gt => (max.is_le(), min.is_gt()),
        GtEq => (max.is_lt(), min.is_ge()),
        IsDistinctFrom | IsNotDistinctFrom => return Verdict::Maybe,
    };
    let _ = rows;
    match (never, always && stats.null_count == 0) {
        (true, _) => Verdict::Never,
        (_, true) => Verdict::Always,
        _ => Verdict::Maybe,
    }
}

/// A value in a form that compares across widths and scales of one family.
fn comparable(value: Datum, ty: SqlType) -> Datum {
    match (value, ty.repr()) {
        (Datum::Int16(v), _) => Datum::Int64(v.into()),
        (Datum::Int32(v), _) => Datum::Int64(v.into()),
        (Datum::Float32(v), _) => Datum::Float64(v.into()),
        (Datum::Decimal(v), Repr::Decimal64 { scale } | Repr::Decimal128 { scale }) => {
            Datum::Numeric(Numeric::from_i128(v, scale.into()))
        }
        (Datum::Text(v), _) if ty.is(&def::BPCHAR) => Datum::Text(v.trim_end_matches(' ').into()),
        (v, _) => v,
    }
}

fn compare(bound: &Datum, value: &Datum, ty: SqlType) -> Option<Ordering> {
    if let (Datum::Text(a), Datum::Text(b)) = (bound, value)
        && ty.is(&def::BPCHAR)
        && a.bytes().chain(b.bytes()).any(|c| c < b' ')
    {
        // Bounds are those of padded values: below a blank, padding changes the order.
        return None;
    }
    bound.compare(value)
}
