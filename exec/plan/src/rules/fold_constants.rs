//! Computes what is known before any row is read, and simplifies what surrounds it: booleans, CASE, COALESCE, IN, IS
//! NULL on columns that never are.
//!
//! A call whose folding fails stays as it is: it fails when, and only if, a row reaches it.

use spg_expr::{ArgType, Comparison, Compiled, EvalContext, Expr, Volatility};
use spg_types::{Category, Datum, Repr, Result, SqlType};

use super::Context;
use super::logic::{as_column, nullable};
use crate::props::PropsOf;
use crate::tree::{ColSet, exprs, exprs_mut, take};
use crate::{Join, Plan};

pub(crate) fn run(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    node(&mut plan, cx, &mut PropsOf::default());
    Ok(plan)
}

fn node(plan: &mut Plan, cx: &Context<'_>, props: &mut PropsOf) {
    if let Plan::With { cte, definition, body, .. } = plan {
        node(definition, cx, props);
        props.define(*cte, definition);
        node(body, cx, props);
        return;
    }
    plan.inputs_mut().into_iter().for_each(|p| node(p, cx, props));
    let mut asks = false;
    for e in exprs(plan) {
        e.visit(&mut |e| asks |= matches!(e, Expr::IsNull(_) | Expr::Coalesce { .. }));
    }
    let mut not_null = ColSet::new();
    if asks {
        for p in plan.inputs() {
            not_null.extend(props.of(p).not_null);
        }
        // A join's condition sees both inputs before padding; a scan's filter sees the table.
        if let Plan::Scan(s) = plan {
            let declared = |i: usize| s.table.columns.get(i).is_some_and(|c| c.not_null);
            not_null.extend(s.columns.iter().filter(|(_, i)| declared(*i)).map(|(c, _)| c.id));
        }
    }
    let folder = Folder { cx, not_null };
    for e in exprs_mut(plan) {
        folder.fold(e);
    }
    match plan {
        Plan::Filter { input, predicate } => {
            conjuncts(predicate);
            if predicate.is_empty() {
                *plan = take(input);
            }
        }
        Plan::Join(Join { on, .. }) | Plan::Apply { on, .. } => conjuncts_of(on),
        Plan::Scan(s) => conjuncts_of(&mut s.filter),
        _ => {}
    }
}

/// Splits conjuncts and drops those that are true.
fn conjuncts_of(list: &mut Vec<Expr>) {
    *list = std::mem::take(list).into_iter().flat_map(Expr::into_conjuncts).collect();
}

/// The same where NULL means false.
fn conjuncts(list: &mut Vec<Expr>) {
    conjuncts_of(list);
    if list.iter().any(|e| matches!(e, Expr::Const { value: Datum::Null | Datum::Bool(false), .. })) {
        *list = vec![Expr::boolean(false)];
    }
}

struct Folder<'a> {
    cx: &'a Context<'a>,
    not_null: ColSet,
}

impl Folder<'_> {
    fn fold(&self, e: &mut Expr) {
        e.rewrite(&mut |e| self.step(e));
    }

    /// One node whose children are folded.
    fn step(&self, e: &mut Expr) {
        let new = match e {
            Expr::Call { function, args, ty, .. } => {
                let null = args.iter().any(|a| matches!(a, Expr::Const { value: Datum::Null, .. }));
                if function.strict && null && function.volatility != Volatility::Volatile {
                    Some(Expr::null(*ty))
                } else if function.volatility == Volatility::Immutable && self.foldable_call(e) {
                    self.value(e).or_else(|| self.in_column_type(e))
                } else {
                    None
                }
            }
            Expr::Cast { .. } if self.foldable_cast(e) => self.value(e),
            Expr::And(parts) => junction(parts, true),
            Expr::Or(parts) => junction(parts, false).or_else(|| in_list(parts)),
            Expr::Not(inner) => self.negated(inner),
            Expr::IsNull(inner) => match &**inner {
                Expr::Const { value, .. } => Some(Expr::boolean(value.is_null())),
                inner if !nullable(inner, &self.not_null) && is_simple(inner) => Some(Expr::boolean(false)),
                _ => None,
            },
            Expr::Case { branches, otherwise, ty } => {
                branches.retain(|(c, _)| {
                    !matches!(c, Expr::Const { value: Datum::Null | Datum::Bool(false), .. })
                });
                if let Some(at) = branches.iter().position(|(c, _)| c.is_bool(true)) {
                    let result = branches.remove(at).1;
                    branches.truncate(at);
                    *otherwise = Some(Box::new(result));
                }
                match (branches.is_empty(), otherwise) {
                    (true, Some(e)) => Some((**e).clone()),
                    (true, None) => Some(Expr::null(*ty)),
                    _ => None,
                }
            }
            Expr::Coalesce { args, ty } => {
                args.retain(|a| !matches!(a, Expr::Const { value: Datum::Null, .. }));
                if let Some(at) = args.iter().position(|a| !nullable(a, &self.not_null)) {
                    args.truncate(at + 1);
                }
                match args.len() {
                    0 => Some(Expr::null(*ty)),
                    1 => Some(args[0].clone()).filter(|a| a.ty().repr() == ty.repr()),
                    _ => None,
                }
            }
            Expr::InList { input, list, negated } => {
                let mut distinct: Vec<Expr> = vec![];
                for e in list.drain(..) {
                    if !distinct.contains(&e) {
                        distinct.push(e);
                    }
                }
                *list = distinct;
                match (list.as_slice(), &**input) {
                    ([one], input) => {
                        let op = if *negated { Comparison::NotEq } else { Comparison::Eq };
                        self.cx.compare(op, input.clone(), one.clone()).ok()
                    }
                    (_, Expr::Const { .. }) => self.value(e),
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(new) = new {
            *e = new;
        }
    }

    fn negated(&self, inner: &Expr) -> Option<Expr> {
        let not = |e: &Expr| {
            let mut e = Expr::Not(Box::new(e.clone()));
            self.step(&mut e);
            e
        };
        match inner {
            Expr::Const { value: Datum::Bool(b), .. } => Some(Expr::boolean(!b)),
            Expr::Const { value: Datum::Null, .. } => Some(inner.clone()),
            Expr::Not(e) => Some((**e).clone()),
            Expr::And(parts) => Some(Expr::Or(parts.iter().map(not).collect())),
            Expr::Or(parts) => Some(Expr::And(parts.iter().map(not).collect())),
            Expr::InList { input, list, negated } => {
                Some(Expr::InList { input: input.clone(), list: list.clone(), negated: !negated })
            }
            e => {
                let (op, a, b) = e.as_comparison()?;
                self.cx.compare(op.negate(), a.clone(), b.clone()).ok()
            }
        }
    }

    /// A comparison of a column with a constant of a wider type, as one with a constant of the column's type: scans and
    /// indexes understand it. Dates with timestamps; integers with wider integers.
    fn in_column_type(&self, e: &Expr) -> Option<Expr> {
        let (op, a, b) = e.as_comparison()?;
        let (op, column, constant) = match (a, b) {
            (Expr::Column { .. }, Expr::Const { .. }) => (op, a, b),
            (Expr::Const { .. }, Expr::Column { .. }) => (op.swap(), b, a),
            _ => return None,
        };
        let Expr::Const { value, ty } = constant else { return None };
        let to = column.ty();
        let narrower = |value: Datum| Expr::Const { value, ty: to };
        match (to.repr(), value) {
            (Repr::Date, Datum::Timestamp(us)) if ty.is(&spg_types::def::TIMESTAMP) => {
                const DAY: i64 = 86_400_000_000;
                let day =
                    i32::try_from(us.div_euclid(DAY)).ok().filter(|_| *us != i64::MIN && *us != i64::MAX)?;
                let midnight = us.rem_euclid(DAY) == 0;
                let op = match op {
                    // Within a day, a date is before the moment when it is that day or earlier.
                    Comparison::Lt if !midnight => Comparison::LtEq,
                    Comparison::GtEq if !midnight => Comparison::Gt,
                    Comparison::Eq | Comparison::NotEq if !midnight => return None,
                    op => op,
                };
                self.cx.compare(op, column.clone(), narrower(Datum::Date(day))).ok()
            }
            (Repr::Int16, Datum::Int32(v)) => {
                self.cx.compare(op, column.clone(), narrower(Datum::Int16((*v).try_into().ok()?))).ok()
            }
            (Repr::Int16, Datum::Int64(v)) => {
                self.cx.compare(op, column.clone(), narrower(Datum::Int16((*v).try_into().ok()?))).ok()
            }
            (Repr::Int32, Datum::Int64(v)) if to.is(&spg_types::def::INT4) => {
                self.cx.compare(op, column.clone(), narrower(Datum::Int32((*v).try_into().ok()?))).ok()
            }
            _ => None,
        }
    }

    /// Whether an immutable function's call gives the same in every session: what counts in days and months around a moment depends
    /// on the time zone, what takes any type as text on how values are printed.
    fn foldable_call(&self, e: &Expr) -> bool {
        let Expr::Call { signature, args, .. } = e else { return true };
        if self.cx.env.ctx.is_some() {
            return true;
        }
        let zoned = |a: &Expr| a.ty().is(&spg_types::def::TIMESTAMPTZ);
        let mixed = args.iter().any(zoned) && !args.iter().all(zoned);
        let last = signature.args.last();
        let printed = args.iter().enumerate().any(|(i, a)| {
            matches!(signature.args.get(i).or(last), Some(ArgType::Any)) && prints_by_settings(a.ty())
        });
        !mixed && !printed
    }

    /// Whether a cast gives the same in every session: those that read or print dates, times and intervals as text
    /// depend on settings, those from and to timestamptz on the time zone.
    fn foldable_cast(&self, e: &Expr) -> bool {
        let Expr::Cast { input, ty, .. } = e else { return false };
        if self.cx.env.ctx.is_some() {
            return true;
        }
        let from = input.ty();
        let moment = |t: SqlType| matches!(t.def.category, Category::DateTime | Category::Timespan);
        let text = |t: SqlType| matches!(t.def.category, Category::String | Category::Unknown);
        let zoned = |t: SqlType| t.is(&spg_types::def::TIMESTAMPTZ);
        !(prints_by_settings(from) && text(*ty) || text(from) && moment(*ty)) && zoned(from) == zoned(*ty)
    }

    /// The value of an expression whose children are constants.
    fn value(&self, e: &Expr) -> Option<Expr> {
        if e.children().iter().any(|c| !matches!(c, Expr::Const { .. })) {
            return None;
        }
        let detached = EvalContext::detached();
        let ctx = self.cx.env.ctx.unwrap_or(&detached);
        let column = Compiled::new(e, &|_| None).and_then(|c| c.eval(ctx, &[], 1)).ok()?;
        let value = column.datum(0, e.ty()).ok()?;
        Some(Expr::Const { value, ty: e.ty() })
    }
}

/// Whether a type's text output depends on the session: dates and spans, the digits of floats, the form of byte strings.
fn prints_by_settings(ty: SqlType) -> bool {
    matches!(ty.def.category, Category::DateTime | Category::Timespan)
        || matches!(ty.repr(), Repr::Float32 | Repr::Float64 | Repr::Binary)
}

/// Nothing in it can fail, so that it may go unevaluated.
fn is_simple(e: &Expr) -> bool {
    matches!(e, Expr::Column { .. } | Expr::Const { .. })
}

/// AND (`all`) or OR without the parts that decide nothing; a constant when one part decides everything.
fn junction(parts: &mut Vec<Expr>, all: bool) -> Option<Expr> {
    let mut flat = vec![];
    for p in std::mem::take(parts) {
        match p {
            Expr::And(inner) if all => flat.extend(inner),
            Expr::Or(inner) if !all => flat.extend(inner),
            p => flat.push(p),
        }
    }
    flat.retain(|p| !p.is_bool(all));
    if flat.iter().any(|p| p.is_bool(!all)) {
        return Some(Expr::boolean(!all));
    }
    for p in flat {
        if !parts.contains(&p) {
            parts.push(p);
        }
    }
    match parts.len() {
        0 => Some(Expr::boolean(all)),
        1 => Some(parts.swap_remove(0)),
        _ => None,
    }
}

/// `c = 1 OR c = 2 OR c IN (3, 4)` as one list.
fn in_list(parts: &[Expr]) -> Option<Expr> {
    let mut column: Option<Expr> = None;
    let mut list = vec![];
    for p in parts {
        let (input, values) = match p {
            Expr::InList { input, list, negated: false } => ((**input).clone(), list.clone()),
            p => {
                let (Comparison::Eq, a, b) = p.as_comparison()? else { return None };
                let (a, b) = if as_column(a).is_some() { (a, b) } else { (b, a) };
                (a.clone(), vec![b.clone()])
            }
        };
        as_column(&input)?;
        let fits = |v: &Expr| {
            matches!(v, Expr::Const { .. })
                && v.ty().same_def(input.ty())
                && v.ty().repr() == input.ty().repr()
        };
        if column.as_ref().is_some_and(|c| *c != input) || !values.iter().all(fits) {
            return None;
        }
        column = Some(input);
        list.extend(values);
    }
    Some(Expr::InList { input: Box::new(column?), list, negated: false })
}
