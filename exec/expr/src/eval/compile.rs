//! From expressions to nodes: columns resolved, kernels bound, constants extracted.

use spg_types::{Datum, Error, Repr, Result, SqlType, def};

use super::{InSet, Kind, Node};
use crate::{BindArgs, ColId, Column, Comparison, Expr, Function, Volatility};

/// Whether an expression never fails and gives the same when computed again: it may be computed for rows that SQL does
/// not evaluate.
pub fn infallible(expr: &Expr) -> bool {
    let own = match expr {
        Expr::Call { function, args, ty, .. } => call_infallible(function, args, *ty),
        Expr::Cast { input, cast, ty, .. } => {
            (cast.relabel && input.ty().repr() == ty.repr() && ty.typmod() < 0) || widens(input.ty(), *ty)
        }
        _ => true,
    };
    own && expr.children().into_iter().all(infallible)
}

fn call_infallible(function: &Function, args: &[Expr], ty: SqlType) -> bool {
    let fixed = |ty: SqlType| matches!(ty.repr(), Repr::Decimal64 { .. } | Repr::Decimal128 { .. });
    // Sums and products of fixed decimals have room for every result: their type says so.
    let exact = matches!(function.name, "+" | "-" | "*") && fixed(ty) && args.iter().all(|a| fixed(a.ty()));
    (function.infallible || exact) && function.volatility != Volatility::Volatile
}

/// Whether every value of one type has a place in the other.
fn widens(from: SqlType, to: SqlType) -> bool {
    let digits = match from.repr() {
        Repr::Int16 => 5,
        Repr::Int32 => 10,
        Repr::Int64 => 19,
        _ => return matches!((from.repr(), to.repr()), (Repr::Float32, Repr::Float64)),
    };
    match to.repr() {
        Repr::Int32 => matches!(from.repr(), Repr::Int16) && to.is(&def::INT4),
        Repr::Int64 => !matches!(from.repr(), Repr::Int64) && to.is(&def::INT8),
        Repr::Float64 => true,
        Repr::Decimal64 { .. } | Repr::Decimal128 { .. } => {
            to.precision_scale().is_some_and(|(p, s)| p >= s + digits)
        }
        Repr::Numeric => to.typmod() < 0,
        _ => false,
    }
}

pub(super) fn node(expr: &Expr, columns: &dyn Fn(ColId) -> Option<usize>) -> Result<Node> {
    let list = |exprs: &[Expr]| exprs.iter().map(|e| node(e, columns)).collect::<Result<Vec<_>>>();
    let boxed = |e: &Expr| node(e, columns).map(Box::new);
    let kind = match expr {
        Expr::Column { id, .. } => Kind::Column(
            columns(*id).ok_or_else(|| Error::internal(format!("column {} is not in the input", id.0)))?,
        ),
        Expr::Const { value, ty } => Kind::Const(Column::constant(value, *ty)?),
        Expr::Param { index, .. } => Kind::Param(*index),
        Expr::Call { function, args, .. } if function.comparison.is_some() && args.len() == 2 => {
            let [l, r] = operands(&args[0], &args[1]);
            let comparison = function.comparison.unwrap_or(Comparison::Eq);
            Kind::Compare { comparison, args: Box::new([node(&l, columns)?, node(&r, columns)?]) }
        }
        Expr::Call { function, signature, args, ty } => {
            let arg_types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
            let constants: Vec<Option<Datum>> = args.iter().map(constant).collect();
            let bind = BindArgs { arg_types: &arg_types, return_type: *ty, constants: &constants };
            Kind::Call {
                kernel: (signature.bind)(&bind)?,
                args: list(args)?,
                by_dictionary: function.strict && function.volatility != Volatility::Volatile,
            }
        }
        Expr::Cast { input, cast, ty, explicit } => {
            if cast.relabel && ty.typmod() < 0 && input.ty().repr() == ty.repr() {
                let mut inner = node(input, columns)?;
                inner.ty = *ty;
                return Ok(inner);
            }
            let bind = BindArgs { arg_types: &[input.ty()], return_type: *ty, constants: &[constant(input)] };
            Kind::Call {
                kernel: (cast.bind)(&bind, *explicit)?,
                args: vec![node(input, columns)?],
                by_dictionary: true,
            }
        }
        Expr::And(parts) => Kind::And(list(parts)?),
        Expr::Or(parts) => Kind::Or(list(parts)?),
        Expr::Not(of) => Kind::Not(boxed(of)?),
        Expr::IsNull(of) => Kind::IsNull(boxed(of)?),
        Expr::Case { branches, otherwise, .. } => Kind::Case {
            branches: branches
                .iter()
                .map(|(c, r)| Ok((node(c, columns)?, node(r, columns)?)))
                .collect::<Result<_>>()?,
            otherwise: otherwise.as_deref().map(boxed).transpose()?,
        },
        Expr::Coalesce { args, .. } => Kind::Coalesce(list(args)?),
        Expr::InList { input, list: values, negated } => match in_set(input.ty(), values)? {
            Some(set) => Kind::InSet { input: boxed(input)?, set, negated: *negated },
            None => return in_comparisons(input, values, *negated, columns),
        },
    };
    Ok(Node { kind, ty: expr.ty(), infallible: infallible(expr) })
}

fn constant(expr: &Expr) -> Option<Datum> {
    match expr {
        Expr::Const { value, .. } => Some(value.clone()),
        Expr::Cast { input, cast, ty, .. } if cast.relabel && ty.typmod() < 0 => constant(input),
        _ => None,
    }
}

/// A comparison's operands; a constant number takes the other side's scale where it has an exact form there.
fn operands(l: &Expr, r: &Expr) -> [Expr; 2] {
    [at_scale(l, r.ty()).unwrap_or_else(|| l.clone()), at_scale(r, l.ty()).unwrap_or_else(|| r.clone())]
}

fn at_scale(constant: &Expr, other: SqlType) -> Option<Expr> {
    let Expr::Const { value, ty } = constant else { return None };
    let (_, scale) = match other.repr() {
        Repr::Decimal64 { .. } | Repr::Decimal128 { .. } => other.precision_scale()?,
        _ => return None,
    };
    let number = match value {
        Datum::Decimal(v) => spg_types::Numeric::from_i128(*v, ty.precision_scale()?.1),
        Datum::Numeric(n) => n.clone(),
        _ => return None,
    };
    let (unscaled, from) = number.normalized().as_i128()?;
    let up = spg_types::number::POW10.get(scale.checked_sub(from)? as usize)?;
    let value = unscaled.checked_mul(*up)?;
    // In the column's own width: 18 digits for 64 bits.
    let digits = if matches!(other.repr(), Repr::Decimal64 { .. }) { 18 } else { 38 };
    let fits = value.unsigned_abs() < spg_types::number::POW10[digits].unsigned_abs();
    fits.then(|| Expr::Const { value: Datum::Decimal(value), ty: SqlType::numeric(digits as u32, scale) })
}

/// A set of constants, where the type has one.
fn in_set(ty: SqlType, values: &[Expr]) -> Result<Option<InSet>> {
    let values: Option<Vec<(Datum, SqlType)>> =
        values.iter().map(|e| constant(e).map(|v| (v, e.ty()))).collect();
    match values {
        Some(values) => InSet::new(ty, &values),
        None => Ok(None),
    }
}

/// `input = a OR input = b ...`, for what has no set.
fn in_comparisons(
    input: &Expr,
    values: &[Expr],
    negated: bool,
    columns: &dyn Fn(ColId) -> Option<usize>,
) -> Result<Node> {
    let bool_type = SqlType::new(&def::BOOL);
    let parts = values
        .iter()
        .map(|v| {
            let [l, r] = operands(input, v);
            let args = Box::new([node(&l, columns)?, node(&r, columns)?]);
            let infallible = infallible(v) && infallible(input);
            Ok(Node { kind: Kind::Compare { comparison: Comparison::Eq, args }, ty: bool_type, infallible })
        })
        .collect::<Result<Vec<_>>>()?;
    let infallible = parts.iter().all(|p| p.infallible);
    let any = Node { kind: Kind::Or(parts), ty: bool_type, infallible };
    Ok(if negated { Node { kind: Kind::Not(Box::new(any)), ty: bool_type, infallible } } else { any })
}
