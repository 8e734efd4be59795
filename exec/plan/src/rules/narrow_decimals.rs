//! Computes exact numbers in 64 bits where the values at hand need no more.
//!
//! A bottom-up interval analysis from the bounds that the snapshot's statistics prove, constants and arithmetic gives
//! each expression its possible values; a call whose values have at most 18 digits gets a derived type of so many. The
//! scale, which clients see, stays. Bounds of columns that a new type relies on become assumptions of the plan.
//!
//! Types flow upwards with columns; where several inputs must agree (set operations, recursion, changes of tables) and
//! in the statement's own columns, a cast gives the old type back.

use std::collections::{BTreeMap, HashMap};

use spg_expr::{ColId, Expr};
use spg_types::number::POW10;
use spg_types::{Datum, Repr, Result, SqlType, TableId, def};

use super::Context;
use crate::optimize::Assumption;
use crate::tree::{Ids, exprs_mut, pass, take};
use crate::{CteId, Join, NamedExpr, OutCol, Plan, Scan};

/// Digits that 64 bits hold.
const NARROW_DIGITS: u32 = 18;

pub(crate) fn run(mut plan: Plan, cx: &mut Context<'_>) -> Result<Plan> {
    let mut narrower = Narrower::new(cx);
    narrower.node(&mut plan);
    narrower.restore(&mut plan, &|c| cx.output.contains(&c.id));
    let Narrower { ids, assumptions, .. } = narrower;
    cx.ids = ids;
    cx.assumptions.extend(assumptions.into_values());
    Ok(plan)
}

/// Where a bound comes from: a table's column.
type Source = (TableId, usize);

/// The possible values of an expression that is not NULL: digits without the point.
#[derive(Clone, Debug)]
struct Range {
    lo: i128,
    hi: i128,
    scale: u32,
    sources: Vec<Source>,
}

struct Narrower<'a> {
    cx: &'a Context<'a>,
    ids: Ids,
    /// Columns whose type has changed: the new one.
    types: HashMap<ColId, SqlType>,
    /// And what they were.
    old: HashMap<ColId, SqlType>,
    ranges: HashMap<ColId, Range>,
    ctes: HashMap<CteId, Vec<ColId>>,
    bounds: HashMap<Source, Assumption>,
    assumptions: BTreeMap<Source, Assumption>,
}

impl<'a> Narrower<'a> {
    fn new(cx: &'a Context<'a>) -> Self {
        Self {
            cx,
            ids: cx.ids.clone(),
            types: HashMap::new(),
            old: HashMap::new(),
            ranges: HashMap::new(),
            ctes: HashMap::new(),
            bounds: HashMap::new(),
            assumptions: BTreeMap::new(),
        }
    }

    fn node(&mut self, plan: &mut Plan) {
        if let Plan::With { cte, definition, body, .. } = plan {
            self.node(definition);
            self.ctes.insert(*cte, definition.columns().iter().map(|c| c.id).collect());
            return self.node(body);
        }
        plan.inputs_mut().into_iter().for_each(|p| self.node(p));
        match &mut *plan {
            Plan::Scan(s) => self.scan(s),
            Plan::Project { exprs, .. } => self.named(exprs),
            Plan::Aggregate { groups, aggregates, .. } => {
                self.named(groups);
                for a in aggregates {
                    let before: Vec<SqlType> = a.args.iter().map(Expr::ty).collect();
                    // Totals and counts are of the same type whatever they add up.
                    let free = matches!(a.function.name, "sum" | "avg" | "count");
                    for (e, ty) in a.args.iter_mut().zip(before) {
                        self.expr(e);
                        if !free {
                            self.back(e, ty);
                        }
                    }
                    let order = a.order_by.iter_mut().map(|(e, _, _)| e);
                    a.filter.iter_mut().chain(order).for_each(|e| {
                        self.expr(e);
                    });
                }
            }
            Plan::ProjectSet { args, .. } => {
                for e in args {
                    let ty = e.ty();
                    self.expr(e);
                    self.back(e, ty);
                }
            }
            Plan::Window { calls, .. } => {
                for e in calls.iter_mut().flat_map(|c| &mut c.args) {
                    let ty = e.ty();
                    self.expr(e);
                    self.back(e, ty);
                }
                self.retype(plan);
            }
            Plan::CteScan { cte, columns, .. } => {
                let Some(ids) = self.ctes.get(cte).cloned() else { return };
                for (c, i) in columns {
                    let Some(from) = ids.get(*i) else { continue };
                    if let Some(ty) = self.types.get(from).copied() {
                        self.changed(c, ty);
                    }
                    if let Some(r) = self.ranges.get(from).cloned() {
                        self.ranges.insert(c.id, r);
                    }
                }
            }
            Plan::Union { inputs, .. } => {
                for (p, ids) in inputs {
                    self.restore(p, &|c| ids.contains(&c.id));
                }
            }
            Plan::SetOp { left, right, .. } => {
                self.restore(&mut left.0, &|c| left.1.contains(&c.id));
                self.restore(&mut right.0, &|c| right.1.contains(&c.id));
            }
            Plan::Recursive { base, step, .. } => {
                self.restore(&mut base.0, &|c| base.1.contains(&c.id));
                self.restore(&mut step.0, &|c| step.1.contains(&c.id));
            }
            Plan::Modify(m) => self.restore(&mut m.input, &|_| true),
            Plan::Filter { predicate, .. } | Plan::Join(Join { on: predicate, .. }) => {
                for e in predicate {
                    self.expr(e);
                }
                self.retype(plan);
            }
            other => self.retype(other),
        }
        match plan {
            Plan::Sort { keys, .. } | Plan::Window { order: keys, .. } => {
                for k in keys {
                    k.ty = self.types.get(&k.column).copied().unwrap_or(k.ty);
                }
            }
            Plan::Limit { ties: Some(keys), .. } => {
                for k in keys {
                    k.ty = self.types.get(&k.column).copied().unwrap_or(k.ty);
                }
            }
            _ => {}
        }
    }

    /// The node's expressions read columns by their new types.
    fn retype(&self, plan: &mut Plan) {
        for e in exprs_mut(plan) {
            e.rewrite(&mut |e| {
                if let Expr::Column { id, ty } = e
                    && let Some(new) = self.types.get(id)
                {
                    *ty = *new;
                }
            });
        }
    }

    fn changed(&mut self, c: &mut OutCol, ty: SqlType) {
        if c.ty.repr() != ty.repr() {
            self.old.insert(c.id, c.ty);
            self.types.insert(c.id, ty);
        }
        c.ty = ty;
    }

    fn named(&mut self, list: &mut [NamedExpr]) {
        for e in list {
            let range = self.expr(&mut e.expr);
            let ty = e.expr.ty();
            if ty.repr() != e.out.ty.repr() {
                self.changed(&mut e.out, ty);
            }
            if let Some(r) = range {
                self.ranges.insert(e.out.id, r);
            }
        }
    }

    /// The bounds of a scan's columns.
    fn scan(&mut self, s: &mut Scan) {
        let stats = self.cx.env.catalog.stats(s.table.id);
        for (c, i) in &s.columns {
            let Some(scale) = scale_of(c.ty) else { continue };
            let Some(k) = stats.columns.get(*i) else { continue };
            let (Some(min), Some(max)) = (&k.min, &k.max) else { continue };
            let (Some(lo), Some(hi)) = (whole(min), whole(max)) else { continue };
            let source = (s.table.id, *i);
            let (min, max) = (min.clone(), max.clone());
            self.bounds.insert(source, Assumption { table: s.table.id, column: *i, min, max });
            self.ranges.insert(c.id, Range { lo, hi, scale, sources: vec![source] });
        }
        for e in &mut s.filter {
            self.expr(e);
        }
    }

    /// Narrows an expression in place; its values, where they are known.
    fn expr(&mut self, e: &mut Expr) -> Option<Range> {
        match e {
            Expr::Column { id, ty } => {
                *ty = self.types.get(id).copied().unwrap_or(*ty);
                self.ranges.get(id).filter(|r| scale_of(*ty) == Some(r.scale)).cloned()
            }
            Expr::Const { value, ty } => {
                let v = whole(value)?;
                Some(Range { lo: v, hi: v, scale: scale_of(*ty)?, sources: vec![] })
            }
            Expr::Cast { input, ty, .. } => {
                let before = input.ty();
                let range = self.expr(input);
                let Some(range) = range.filter(|_| ty.is(&def::NUMERIC)) else {
                    self.back(input, before);
                    return None;
                };
                // A cast that only relabels goes with what it relabelled.
                let scale = scale_of(*ty)?;
                if before.is(&def::NUMERIC) && scale_of(before) == Some(scale) && range.scale == scale {
                    let inner = (**input).clone();
                    if inner.ty().is(&def::NUMERIC)
                        && matches!(ty.modifier, spg_types::Modifier::Derived { .. })
                    {
                        *e = inner;
                        return Some(range);
                    }
                }
                let up = scale.checked_sub(range.scale)?;
                let factor = *POW10.get(up as usize)?;
                let scaled = Range {
                    lo: range.lo.checked_mul(factor)?,
                    hi: range.hi.checked_mul(factor)?,
                    scale,
                    sources: range.sources,
                };
                if matches!(ty.modifier, spg_types::Modifier::Derived { .. }) {
                    self.narrow(ty, &scaled);
                }
                Some(scaled)
            }
            Expr::Call { function, signature, args, ty } => {
                // A kernel takes numbers of any width; what it gives follows from what it gets.
                let ranges: Vec<Option<Range>> = args.iter_mut().map(|a| self.expr(a)).collect();
                if !ty.is(&def::NUMERIC) {
                    return None;
                }
                if let (name @ ("+" | "-" | "*"), [Some(a), Some(b)]) = (function.name, ranges.as_slice())
                    && let Some(range) = arithmetic(name, a, b)
                {
                    self.narrow(ty, &range);
                    return Some(range).filter(|r| scale_of(*ty) == Some(r.scale));
                }
                if let spg_expr::ReturnType::Of(f) = signature.returns {
                    let new = f(&args.iter().map(Expr::ty).collect::<Vec<_>>());
                    if scale_of(new).is_some() && scale_of(new) == scale_of(*ty) {
                        *ty = new;
                    }
                }
                None
            }
            Expr::Case { branches, otherwise, ty } => {
                let old = *ty;
                branches.iter_mut().for_each(|(c, _)| {
                    self.expr(c);
                });
                let mut results: Vec<&mut Expr> =
                    branches.iter_mut().map(|(_, r)| r).chain(otherwise.as_deref_mut()).collect();
                let range = self.agree(&mut results, ty);
                if range.is_none() {
                    results.into_iter().for_each(|r| self.back(r, old));
                }
                range
            }
            Expr::Coalesce { args, ty } => {
                let old = *ty;
                let mut results: Vec<&mut Expr> = args.iter_mut().collect();
                let range = self.agree(&mut results, ty);
                if range.is_none() {
                    results.into_iter().for_each(|r| self.back(r, old));
                }
                range
            }
            e => {
                // A list is of one type with what is looked up in it.
                let keep = matches!(e, Expr::InList { .. });
                for child in e.children_mut() {
                    let ty = child.ty();
                    self.expr(child);
                    if keep {
                        self.back(child, ty);
                    }
                }
                None
            }
        }
    }

    /// Branches that all have values of one scale and fit get a common narrower type.
    fn agree(&mut self, results: &mut [&mut Expr], ty: &mut SqlType) -> Option<Range> {
        let ranges: Vec<(Option<Range>, bool)> = results
            .iter_mut()
            .map(|r| (self.expr(r), matches!(r, Expr::Const { value: Datum::Null, .. })))
            .collect();
        let scale = scale_of(*ty).filter(|_| ty.is(&def::NUMERIC))?;
        let mut all: Option<Range> = None;
        for (r, null) in ranges {
            if null {
                continue;
            }
            let r = r.filter(|r| r.scale == scale)?;
            all = Some(match all {
                None => r,
                Some(a) => Range {
                    lo: a.lo.min(r.lo),
                    hi: a.hi.max(r.hi),
                    scale,
                    sources: a.sources.into_iter().chain(r.sources).collect(),
                },
            });
        }
        let all = all?;
        let mut new = *ty;
        self.narrow(&mut new, &all);
        // Constants take the type; others must have come to it by themselves.
        if results.iter().any(|r| !matches!(r, Expr::Const { .. }) && r.ty().repr() != new.repr()) {
            return None;
        }
        for r in results.iter_mut() {
            if let Expr::Const { ty, .. } = r {
                *ty = new;
            }
        }
        *ty = new;
        Some(all)
    }

    /// Gives a numeric expression the smallest type that holds a range, if that helps, and remembers on what it relies.
    fn narrow(&mut self, ty: &mut SqlType, range: &Range) {
        let digits = digits(range.lo).max(digits(range.hi)).max(range.scale).max(1);
        let fits = match ty.repr() {
            Repr::Decimal64 { .. } => return,
            Repr::Decimal128 { .. } => digits <= NARROW_DIGITS,
            _ => digits <= 38,
        };
        if !fits {
            return;
        }
        *ty = SqlType::numeric(digits, range.scale);
        for source in &range.sources {
            if let Some(a) = self.bounds.get(source) {
                self.assumptions.insert(*source, a.clone());
            }
        }
    }

    /// Puts a projection on `plan` that gives the wanted columns their old types back. The narrow ones get new names
    /// below it.
    fn restore(&mut self, plan: &mut Plan, wanted: &dyn Fn(&OutCol) -> bool) {
        let columns = plan.columns();
        let changed =
            |c: &&OutCol| wanted(c) && self.old.get(&c.id).is_some_and(|ty| ty.repr() != c.ty.repr());
        if !columns.iter().any(|c| changed(&c)) {
            return;
        }
        let mut map = HashMap::new();
        let mut exprs = vec![];
        for c in &columns {
            match self.old.get(&c.id).filter(|_| changed(&c)) {
                None => exprs.push(pass(c)),
                Some(ty) => {
                    let below = self.ids.column();
                    map.insert(c.id, below);
                    let mut expr = Expr::Column { id: below, ty: c.ty };
                    self.back(&mut expr, *ty);
                    exprs.push(NamedExpr { out: OutCol { ty: *ty, ..c.clone() }, expr });
                }
            }
        }
        let mut input = take(plan);
        crate::tree::rename(&mut input, &map);
        map.keys().for_each(|c| {
            self.types.remove(c);
        });
        *plan = Plan::Project { input: Box::new(input), exprs };
    }

    /// Casts an expression back to the representation that its reader was bound for.
    fn back(&self, e: &mut Expr, ty: SqlType) {
        if e.ty().repr() == ty.repr() {
            return;
        }
        if let Some(cast) = self.cx.env.registry.cast(&def::NUMERIC, &def::NUMERIC) {
            let input = Box::new(std::mem::replace(e, Expr::boolean(true)));
            *e = Expr::Cast { input, cast, ty, explicit: false };
        }
    }
}

/// The scale of types with a fixed one; 0 for integers.
fn scale_of(ty: SqlType) -> Option<u32> {
    match ty.repr() {
        Repr::Decimal64 { scale } | Repr::Decimal128 { scale } => Some(scale.into()),
        Repr::Int16 | Repr::Int32 | Repr::Int64 if !ty.is(&def::OID) => Some(0),
        _ => None,
    }
}

fn whole(value: &Datum) -> Option<i128> {
    Some(match value {
        Datum::Int16(v) => (*v).into(),
        Datum::Int32(v) => (*v).into(),
        Datum::Int64(v) => (*v).into(),
        Datum::Decimal(v) => *v,
        _ => return None,
    })
}

fn digits(v: i128) -> u32 {
    v.unsigned_abs().checked_ilog10().map_or(1, |d| d + 1)
}

/// The values of a sum, a difference or a product.
fn arithmetic(name: &str, a: &Range, b: &Range) -> Option<Range> {
    let sources = a.sources.iter().chain(&b.sources).copied().collect();
    if name == "*" {
        let mut all = vec![];
        for x in [a.lo, a.hi] {
            for y in [b.lo, b.hi] {
                all.push(x.checked_mul(y)?);
            }
        }
        let (lo, hi) = (*all.iter().min()?, *all.iter().max()?);
        return Some(Range { lo, hi, scale: a.scale + b.scale, sources });
    }
    let scale = a.scale.max(b.scale);
    let up = |r: &Range, v: i128| v.checked_mul(*POW10.get((scale - r.scale) as usize)?);
    let (alo, ahi, blo, bhi) = (up(a, a.lo)?, up(a, a.hi)?, up(b, b.lo)?, up(b, b.hi)?);
    let (lo, hi) = match name {
        "+" => (alo.checked_add(blo)?, ahi.checked_add(bhi)?),
        _ => (alo.checked_sub(bhi)?, ahi.checked_sub(blo)?),
    };
    Some(Range { lo, hi, scale, sources })
}
