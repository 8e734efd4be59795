//! `sum(CASE WHEN c THEN price ELSE 0 END)`, whose branches show different numbers of digits, as one sum per scale.
//!
//! A sum shows as many digits as the summand with the most, so that such a CASE has to keep each value's own scale, which is slow.
//! The summands of one scale add up in integers; the totals together are the sum, scale included: `+` shows the digits of
//! the operand with more.

use spg_expr::Expr;
use spg_types::{Datum, Repr, Result, SqlType, def};

use super::Context;
use super::logic::volatile;
use crate::tree::{col, pass, take};
use crate::{AggregateCall, NamedExpr, OutCol, Plan};

pub(crate) fn run(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    split(&mut plan, cx)?;
    Ok(plan)
}

fn split(plan: &mut Plan, cx: &mut Context<'_>) -> Result<()> {
    for input in plan.inputs_mut() {
        split(input, cx)?;
    }
    let Plan::Aggregate { input, groups, grouping, aggregates, .. } = plan else { return Ok(()) };
    let mut calls = vec![];
    let mut conditions = vec![];
    let mut above: Vec<NamedExpr> =
        groups.iter().map(|g| pass(&g.out)).chain(grouping.iter().map(pass)).collect();
    let mut changed = false;
    for call in aggregates.iter() {
        match split_call(call, &mut conditions, cx)? {
            Some((parts, total)) => {
                calls.extend(parts);
                above.push(NamedExpr { out: call.out.clone(), expr: total });
                changed = true;
            }
            None => {
                above.push(pass(&call.out));
                calls.push(call.clone());
            }
        }
    }
    if !changed {
        return Ok(());
    }
    *aggregates = calls;
    if !conditions.is_empty() {
        let below = take(input);
        let exprs = below.columns().iter().map(pass).chain(conditions).collect();
        **input = Plan::Project { input: Box::new(below), exprs };
    }
    let aggregate = take(plan);
    *plan = Plan::Project { input: Box::new(aggregate), exprs: above };
    Ok(())
}

/// The sums per scale and what makes one sum of them. Conditions become columns below: each is computed once.
fn split_call(
    call: &AggregateCall,
    conditions: &mut Vec<NamedExpr>,
    cx: &mut Context<'_>,
) -> Result<Option<(Vec<AggregateCall>, Expr)>> {
    let [argument] = &call.args[..] else { return Ok(None) };
    let plain = call.function.name == "sum" && !call.distinct && call.order_by.is_empty();
    if !plain || argument.ty().repr() != Repr::Numeric || volatile(argument) {
        return Ok(None);
    }
    let Some((tests, results)) = alternatives(argument) else { return Ok(None) };
    let Some(results) = results.iter().map(fixed).collect::<Option<Vec<_>>>() else { return Ok(None) };
    let mut types: Vec<(u32, u32)> = vec![];
    for (p, s) in results.iter().filter_map(|e| e.ty().precision_scale()) {
        match types.iter_mut().find(|(_, scale)| *scale == s) {
            Some((whole, _)) => *whole = (*whole).max(p.saturating_sub(s)),
            None => types.push((p.saturating_sub(s), s)),
        }
    }
    let bare = SqlType::new(&def::NUMERIC);
    let Some(cast) = cx.env.registry.cast(bare.def, bare.def) else { return Ok(None) };
    let as_type = |e: &Expr, ty: SqlType| match e.ty().repr() == ty.repr() {
        true => e.clone(),
        false => Expr::Cast { input: Box::new(e.clone()), cast, ty, explicit: false },
    };
    let tests: Vec<Expr> = tests.into_iter().map(|test| shared(test, conditions, cx)).collect();
    let mut parts = vec![];
    let mut total: Option<Expr> = None;
    for (whole, scale) in types {
        let ty = SqlType::numeric(whole + scale, scale);
        if ty.repr() == Repr::Numeric {
            return Ok(None);
        }
        let of_scale = |e: &Expr| match e.ty().precision_scale() {
            Some((_, s)) if s == scale => as_type(e, ty),
            _ => Expr::null(ty),
        };
        let branches = tests.iter().cloned().zip(results.iter().map(of_scale)).collect();
        let otherwise = results.get(tests.len()).map(|e| Box::new(of_scale(e)));
        let Some(mut part) = cx.aggregate_call("sum", vec![Expr::Case { branches, otherwise, ty }]) else {
            return Ok(None);
        };
        part.filter = call.filter.clone();
        let value = as_type(&col(&part.out), bare);
        parts.push(part);
        total = Some(match total {
            None => value,
            Some(so_far) => {
                let both = cx.call("+", vec![so_far.clone(), value.clone()])?;
                Expr::Coalesce { args: vec![both, so_far, value], ty: bare }
            }
        });
    }
    Ok(total.map(|total| (parts, total)))
}

/// A condition as a column of the aggregation's input.
fn shared(test: Expr, conditions: &mut Vec<NamedExpr>, cx: &mut Context<'_>) -> Expr {
    if matches!(test, Expr::Column { .. }) {
        return test;
    }
    if let Some(known) = conditions.iter().find(|c| c.expr == test) {
        return col(&known.out);
    }
    let out: OutCol = cx.column("condition", test.ty());
    let column = col(&out);
    conditions.push(NamedExpr { out, expr: test });
    column
}

/// The conditions of a CASE or a COALESCE of two, and its results, of which there may be one more.
fn alternatives(e: &Expr) -> Option<(Vec<Expr>, Vec<Expr>)> {
    match e {
        Expr::Case { branches, otherwise, .. } => {
            let (tests, mut results): (Vec<_>, Vec<_>) = branches.iter().cloned().unzip();
            results.extend(otherwise.iter().map(|e| (**e).clone()));
            Some((tests, results))
        }
        Expr::Coalesce { args, .. } => match &args[..] {
            [value, default] => {
                let given = Expr::Not(Box::new(Expr::IsNull(Box::new(value.clone()))));
                Some((vec![given], vec![value.clone(), default.clone()]))
            }
            _ => None,
        },
        _ => None,
    }
}

/// A number of its own scale as one whose type tells the scale; NULL as it is.
fn fixed(e: &Expr) -> Option<Expr> {
    match e {
        Expr::Const { value: Datum::Null, .. } => Some(e.clone()),
        Expr::Const { value: Datum::Numeric(n), .. } => {
            let (digits, scale) = n.as_i128()?;
            let precision = digits.unsigned_abs().checked_ilog10().map_or(1, |d| d + 1);
            let ty = SqlType::numeric(precision, scale);
            (ty.repr() != Repr::Numeric).then_some(Expr::Const { value: Datum::Decimal(digits), ty })
        }
        Expr::Cast { input, ty, .. } if ty.is(&def::NUMERIC) && ty.repr() == Repr::Numeric => {
            let fixed = matches!(input.ty().repr(), Repr::Decimal64 { .. } | Repr::Decimal128 { .. });
            (fixed && input.ty().is(&def::NUMERIC)).then(|| (**input).clone())
        }
        _ => None,
    }
}
