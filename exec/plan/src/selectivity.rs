//! How many rows a conjunct keeps, from column statistics.

use std::collections::HashMap;

use spg_expr::{ColId, Comparison, Expr};
use spg_types::{Datum, Repr, SqlType};

use crate::rules::logic::as_column;

/// A condition of which nothing is known.
const UNKNOWN: f64 = 0.3;
/// An equality with a value of unknown frequency.
const UNKNOWN_EQUAL: f64 = 0.01;
/// `<` between two columns.
const COLUMN_ORDER: f64 = 0.4;

/// What is believed of a column's values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnEstimate {
    /// Distinct values.
    pub(crate) distinct: f64,
    /// Smallest and largest, on a number line.
    pub(crate) range: Option<(f64, f64)>,
    /// Share of NULLs.
    pub(crate) nulls: f64,
    /// Bytes.
    pub(crate) width: f64,
    /// Mean and standard deviation, where values are sums or counts of many.
    pub(crate) normal: Option<(f64, f64)>,
}

impl ColumnEstimate {
    /// Nothing known but how many rows there are.
    pub(crate) fn unknown(rows: f64, ty: SqlType) -> Self {
        Self { distinct: rows.max(1.0), range: None, nulls: 0.0, width: width_of(ty), normal: None }
    }
}

/// Estimates of rows on their way through a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    /// How many.
    pub(crate) rows: f64,
    /// Their columns.
    pub(crate) columns: HashMap<ColId, ColumnEstimate>,
    /// How many combinations of values some column sets have: keys of base tables.
    pub(crate) domains: Vec<(Vec<ColId>, f64)>,
}

/// Bytes of a value without statistics.
pub(crate) fn width_of(ty: SqlType) -> f64 {
    match ty.repr() {
        Repr::Text | Repr::Binary | Repr::Numeric => 16.0,
        r => r.width() as f64,
    }
}

/// A value's place on a number line that keeps its type's order.
pub(crate) fn place(value: &Datum, ty: SqlType) -> Option<f64> {
    Some(match value {
        Datum::Bool(v) => f64::from(u8::from(*v)),
        Datum::Int16(v) => f64::from(*v),
        Datum::Int32(v) | Datum::Date(v) => f64::from(*v),
        Datum::Int64(v) | Datum::Time(v) | Datum::Timestamp(v) => *v as f64,
        Datum::Float32(v) => f64::from(*v),
        Datum::Float64(v) => *v,
        Datum::Decimal(v) => *v as f64 / 10f64.powi(ty.precision_scale()?.1 as i32),
        Datum::Numeric(_) => value.to_text(ty, &Default::default()).ok()?.parse().ok()?,
        Datum::Text(s) => prefix(s.as_bytes()),
        Datum::Binary(b) => prefix(b),
        _ => return None,
    })
}

/// The first bytes as a number: places strings well enough for ranges.
fn prefix(bytes: &[u8]) -> f64 {
    (0..6).fold(0.0, |v, i| v * 256.0 + f64::from(bytes.get(i).copied().unwrap_or(0)))
}

impl Rows {
    /// A column's estimate.
    pub(crate) fn column(&self, id: ColId, ty: SqlType) -> ColumnEstimate {
        self.columns.get(&id).copied().unwrap_or_else(|| ColumnEstimate::unknown(self.rows, ty))
    }

    /// What is believed of an expression's values.
    pub(crate) fn expression(&self, e: &Expr) -> ColumnEstimate {
        let unknown = ColumnEstimate::unknown(self.rows, e.ty());
        let inputs = || -> f64 {
            let product: f64 = e.columns().into_iter().map(|c| self.column(c, e.ty()).distinct).product();
            product.clamp(1.0, self.rows.max(1.0))
        };
        match e {
            Expr::Column { id, ty } => self.column(*id, *ty),
            Expr::Const { value, ty } => {
                let at = place(value, *ty);
                ColumnEstimate { distinct: 1.0, range: at.map(|v| (v, v)), ..unknown }
            }
            Expr::Param { .. } => ColumnEstimate { distinct: 1.0, ..unknown },
            Expr::Cast { input, .. } => {
                let c = self.expression(input);
                ColumnEstimate { width: width_of(e.ty()), ..c }
            }
            Expr::Case { branches, .. } => {
                let constants = branches.iter().all(|(_, r)| matches!(r, Expr::Const { .. }));
                let distinct = if constants { branches.len() as f64 + 1.0 } else { inputs() };
                ColumnEstimate { distinct, ..unknown }
            }
            Expr::Call { function, args, .. } => self.call(function.name, args, unknown, inputs()),
            Expr::Coalesce { args, .. } => args.first().map_or(unknown, |a| self.expression(a)),
            e if e.ty().is(&spg_types::def::BOOL) => ColumnEstimate { distinct: 2.0, ..unknown },
            _ => ColumnEstimate { distinct: inputs(), ..unknown },
        }
    }

    fn call(&self, name: &str, args: &[Expr], unknown: ColumnEstimate, inputs: f64) -> ColumnEstimate {
        let range = |i: usize| args.get(i).and_then(|a| self.expression(a).range);
        match (name, args.len()) {
            ("extract" | "date_part", 2) => {
                let span = |days: f64| range(1).map_or(100.0, |(a, b)| ((b - a) / days).ceil() + 1.0);
                let field = match args.first() {
                    Some(Expr::Const { value: Datum::Text(s), .. }) => s.to_lowercase(),
                    _ => String::new(),
                };
                let per_day = if args[1].ty().is(&spg_types::def::DATE) { 1.0 } else { 86_400_000_000.0 };
                let distinct = match field.as_str() {
                    "year" => span(365.25 * per_day),
                    "month" => 12.0,
                    "day" => 31.0,
                    "hour" => 24.0,
                    "minute" | "second" => 60.0,
                    "dow" | "isodow" => 7.0,
                    "quarter" => 4.0,
                    _ => inputs,
                };
                ColumnEstimate { distinct: distinct.min(inputs), ..unknown }
            }
            ("substring" | "substr" | "left", _) => ColumnEstimate { distinct: inputs.min(100.0), ..unknown },
            ("+" | "-" | "*", 2) => {
                let range = match (range(0), range(1)) {
                    (Some((a, b)), Some((c, d))) => Some(match name {
                        "+" => (a + c, b + d),
                        "-" => (a - d, b - c),
                        _ => {
                            let all = [a * c, a * d, b * c, b * d];
                            (
                                all.iter().copied().fold(f64::MAX, f64::min),
                                all.iter().copied().fold(f64::MIN, f64::max),
                            )
                        }
                    }),
                    _ => None,
                };
                let normal = match (args.first(), args.get(1)) {
                    (Some(x), Some(Expr::Const { value, ty }))
                    | (Some(Expr::Const { value, ty }), Some(x))
                        if name == "*" =>
                    {
                        let by = place(value, *ty);
                        self.expression(x).normal.zip(by).map(|((m, s), k)| (m * k, s * k.abs()))
                    }
                    _ => None,
                };
                ColumnEstimate { distinct: inputs, range, normal, ..unknown }
            }
            _ => ColumnEstimate { distinct: inputs, ..unknown },
        }
    }

    /// Keeps the rows for which all conjuncts hold: fewer rows, narrower columns.
    pub(crate) fn filter(&mut self, conjuncts: &[Expr]) {
        let mut parts: Vec<f64> = vec![];
        let mut narrowed: HashMap<ColId, usize> = HashMap::new();
        for e in conjuncts {
            let s = self.conjunct(e).clamp(0.0, 1.0);
            // Conditions on one column see each other through its range; only different ones may be correlated.
            match e.columns().into_iter().collect::<Vec<_>>().as_slice() {
                [one] => match narrowed.get(one) {
                    Some(i) => parts[*i] *= s,
                    None => {
                        narrowed.insert(*one, parts.len());
                        parts.push(s);
                    }
                },
                _ => parts.push(s),
            }
        }
        self.scale(combined(parts));
    }

    /// Keeps a share of the rows, drawn without regard to their values.
    pub(crate) fn scale(&mut self, share: f64) {
        let before = self.rows.max(1.0);
        self.rows *= share;
        let kept = self.rows.max(1.0);
        for c in self.columns.values_mut() {
            let per_value = (before / c.distinct.max(1.0)).max(1.0);
            let hit = 1.0 - (1.0 - (kept / before).min(1.0)).powf(per_value);
            c.distinct = (c.distinct * hit).clamp(1.0, kept);
        }
    }

    /// A conjunct's selectivity; what it says of a column is taken over into its estimate.
    fn conjunct(&mut self, e: &Expr) -> f64 {
        let s = self.selectivity(e);
        match e {
            Expr::InList { input, list, negated: false } => {
                if let Some(c) = as_column(input).and_then(|id| self.columns.get_mut(&id)) {
                    c.distinct = c.distinct.min(list.len() as f64);
                    c.nulls = 0.0;
                }
            }
            Expr::Or(parts) => {
                let columns: Vec<ColId> = e.columns().into_iter().collect();
                let equal = |p: &Expr| matches!(p.as_comparison(), Some((Comparison::Eq, ..)));
                if let [one] = columns.as_slice()
                    && parts.iter().all(equal)
                    && let Some(c) = self.columns.get_mut(one)
                {
                    c.distinct = c.distinct.min(parts.len() as f64);
                }
            }
            _ => {
                if let Some((op, a, b)) = e.as_comparison() {
                    for (op, a, b) in [(op, a, b), (op.swap(), b, a)] {
                        self.narrow(op, a, b);
                    }
                }
            }
        }
        s
    }

    fn narrow(&mut self, op: Comparison, a: &Expr, b: &Expr) {
        let Some(id) = as_column(a) else { return };
        let value = match b {
            Expr::Const { value, ty } => place(value, *ty),
            Expr::Param { .. } => None,
            _ => return,
        };
        let Some(c) = self.columns.get_mut(&id) else { return };
        c.nulls = 0.0;
        let Some(v) = value else {
            if op == Comparison::Eq {
                c.distinct = 1.0;
            }
            return;
        };
        let Some((lo, hi)) = c.range else {
            if op == Comparison::Eq {
                c.distinct = 1.0;
                c.range = Some((v, v));
            }
            return;
        };
        let (lo2, hi2) = match op {
            Comparison::Eq => (v, v),
            Comparison::Lt | Comparison::LtEq => (lo, hi.min(v)),
            Comparison::Gt | Comparison::GtEq => (lo.max(v), hi),
            _ => return,
        };
        if op == Comparison::Eq {
            c.distinct = 1.0;
        } else if hi > lo {
            c.distinct = (c.distinct * ((hi2 - lo2) / (hi - lo)).clamp(0.0, 1.0)).max(1.0);
        }
        c.range = Some((lo2.min(hi2), hi2.max(lo2)));
    }

    /// The share of rows for which `e` is true.
    pub(crate) fn selectivity(&self, e: &Expr) -> f64 {
        match e {
            Expr::Const { value: Datum::Bool(true), .. } => 1.0,
            Expr::Const { .. } => 0.0,
            Expr::And(parts) => {
                let mut rows = self.clone();
                let before = rows.rows.max(1.0);
                rows.rows = before;
                rows.filter(parts);
                rows.rows / before
            }
            Expr::Or(parts) => 1.0 - parts.iter().map(|p| 1.0 - self.selectivity(p)).product::<f64>(),
            Expr::Not(e) => match &**e {
                Expr::IsNull(e) => 1.0 - self.nulls(e),
                e => 1.0 - self.selectivity(e),
            },
            Expr::IsNull(e) => self.nulls(e),
            Expr::Coalesce { args, .. } => args.first().map_or(UNKNOWN, |a| self.selectivity(a)),
            Expr::InList { input, list, negated } => {
                let c = self.expression(input);
                let hit = (list.len() as f64 / c.distinct.max(1.0)).min(1.0);
                if *negated { 1.0 - hit } else { hit }
            }
            Expr::Call { function, args, .. } => match e.as_comparison() {
                Some((op, a, b)) => self.comparison(op, a, b),
                None => match function.name {
                    "~~" | "~~*" | "like" => like(args),
                    "!~~" | "!~~*" => 1.0 - like(args),
                    "~" | "~*" => 0.1,
                    _ => UNKNOWN,
                },
            },
            Expr::Column { .. } => 0.5,
            _ => UNKNOWN,
        }
    }

    fn nulls(&self, e: &Expr) -> f64 {
        match as_column(e) {
            Some(id) => self.column(id, e.ty()).nulls,
            None => 0.05,
        }
    }

    fn comparison(&self, op: Comparison, a: &Expr, b: &Expr) -> f64 {
        let fixed = |e: &Expr| e.columns().is_empty();
        let (op, a, b) = if fixed(a) && !fixed(b) { (op.swap(), b, a) } else { (op, a, b) };
        let x = self.expression(a);
        let value = self.expression(b).range.filter(|_| fixed(b)).map(|(v, _)| v);
        let equal = match (value, x.range) {
            (Some(v), Some((lo, hi))) if v < lo || v > hi => 0.0,
            _ if fixed(b) && as_column(a).is_none() => {
                (1.0 / x.distinct.max(1.0)).max(UNKNOWN_EQUAL.min(0.2))
            }
            _ => 1.0 / x.distinct.max(self.expression(b).distinct).max(1.0),
        } * (1.0 - x.nulls);
        match op {
            Comparison::Eq | Comparison::IsNotDistinctFrom => equal,
            Comparison::NotEq | Comparison::IsDistinctFrom => (1.0 - equal) * (1.0 - x.nulls),
            _ if !fixed(b) => COLUMN_ORDER,
            _ => {
                let below = match (value, x.normal, x.range) {
                    (Some(v), Some((mean, sd)), _) => normal_below((v - mean) / sd.max(1e-9)),
                    (Some(v), None, Some((lo, hi))) if hi > lo => ((v - lo) / (hi - lo)).clamp(0.0, 1.0),
                    (Some(v), None, Some((lo, _))) => {
                        let strict = matches!(op, Comparison::Lt | Comparison::GtEq);
                        f64::from(u8::from(if strict { lo < v } else { lo <= v }))
                    }
                    _ => UNKNOWN,
                };
                let s = match op {
                    Comparison::Lt | Comparison::LtEq => below,
                    _ if value.is_none() => UNKNOWN,
                    _ => 1.0 - below,
                };
                s * (1.0 - x.nulls)
            }
        }
    }
}

/// Shares of conditions on different columns, of which the weaker ones count less: they may be correlated.
pub(crate) fn combined(mut parts: Vec<f64>) -> f64 {
    parts.sort_by(f64::total_cmp);
    let weights = [1.0, 1.0, 0.75, 0.5];
    parts.iter().enumerate().map(|(i, s)| s.powf(weights.get(i).copied().unwrap_or(0.4))).product()
}

/// LIKE by the shape of its pattern.
fn like(args: &[Expr]) -> f64 {
    let Some(Expr::Const { value: Datum::Text(pattern), .. }) = args.get(1) else { return 0.1 };
    let fragments = pattern.split('%').filter(|f| !f.is_empty()).count();
    match (pattern.starts_with('%'), fragments) {
        (_, 0) => 1.0,
        (false, 1) if !pattern.contains('%') => 0.005,
        (false, n) => 0.03 * 0.3f64.powi(n as i32 - 1),
        (true, 1) if !pattern.ends_with('%') => 0.1,
        (true, n) => 0.06 * 0.2f64.powi(n as i32 - 1),
    }
}

/// The standard normal distribution's share below `z`, by its logistic approximation.
fn normal_below(z: f64) -> f64 {
    1.0 / (1.0 + (-1.702 * z * (1.0 + 0.0268 * z * z)).exp())
}
