//! Window calls: definitions, frames, and the plan that computes them.

use spg_expr::{ColId, Expr, WindowFunction};
use spg_sql::ast::{self, Spanned as _};
use spg_sql::{Span, fold};
use spg_types::{Category, Error, Result, SqlState, SqlType, def};

use super::Binder;
use super::call::{Callee, Parameters, return_type};
use super::from::passed;
use super::scope::Clause;
use super::syntax::distinct_of;
use crate::{
    Frame, FrameBound, FrameExclusion, FrameUnit, NamedExpr, OutCol, Plan, SortKey, WindowCall, WindowCallee,
};

/// A window: how rows are partitioned, ordered and framed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WindowDef {
    pub partition: Vec<Expr>,
    /// Expression, DESC, NULLS FIRST.
    pub order: Vec<(Expr, bool, bool)>,
    pub frame: Option<Frame>,
}

/// A window call whose keys are not columns yet.
#[derive(Debug)]
pub(super) struct PendingWindow {
    pub call: WindowCall,
    pub partition: Vec<Expr>,
    pub order: Vec<(Expr, bool, bool)>,
}

impl PendingWindow {
    /// Calls `f` on every expression of the call and its window.
    pub(super) fn each_expr(&mut self, f: &mut dyn FnMut(&mut Expr) -> Result<()>) -> Result<()> {
        for e in self.call.args.iter_mut().chain(&mut self.call.filter).chain(&mut self.partition) {
            f(e)?;
        }
        for (e, ..) in &mut self.order {
            f(e)?;
        }
        Ok(())
    }
}

impl Binder<'_> {
    /// The WINDOW clause.
    pub(super) fn named_windows(&mut self, windows: &[ast::NamedWindowDefinition]) -> Result<()> {
        for ast::NamedWindowDefinition(name, definition) in windows {
            let key = fold(name);
            if self.level().named_windows.iter().any(|(n, _)| *n == key) {
                let message = format!("window \"{key}\" is already defined");
                return Err(self.error_at(name.span, SqlState::WINDOWING_ERROR, message));
            }
            let (window, applies) = self.in_clause(Clause::Window, |b| match definition {
                ast::NamedWindowExpr::NamedWindow(other) => b.named_window(other),
                ast::NamedWindowExpr::WindowSpec(spec) => b.window_spec(spec),
            })?;
            self.level().window_applies.extend(applies);
            self.level().named_windows.push((key, window));
        }
        Ok(())
    }

    fn named_window(&mut self, name: &ast::Ident) -> Result<WindowDef> {
        let key = fold(name);
        match self.level().named_windows.iter().find(|(n, _)| *n == key) {
            Some((_, window)) => Ok(window.clone()),
            None => {
                let message = format!("window \"{key}\" does not exist");
                Err(self.error_at(name.span, SqlState::UNDEFINED_OBJECT, message))
            }
        }
    }

    fn window_spec(&mut self, spec: &ast::WindowSpec) -> Result<WindowDef> {
        let (exclude, name) = exclusion(spec.window_name.as_ref());
        let base = name.as_ref().map(|n| self.named_window(n).map(|w| (w, n))).transpose()?;
        let mut partition = vec![];
        for e in &spec.partition_by {
            partition.push(self.typed_expr(e)?);
        }
        let mut order = vec![];
        for item in &spec.order_by {
            let (descending, nulls_first) = self.direction(&item.options)?;
            order.push((self.typed_expr(&item.expr)?, descending, nulls_first));
        }
        if let Some((base, name)) = base {
            let refuse = |what: &str| {
                let message = format!("cannot {what} of window \"{}\"", fold(name));
                Err(self.error_at(name.span, SqlState::WINDOWING_ERROR, message))
            };
            if !spec.partition_by.is_empty() {
                return refuse("override PARTITION BY clause");
            }
            if !base.order.is_empty() && !order.is_empty() {
                return refuse("override ORDER BY clause");
            }
            if base.frame.is_some() {
                let message = format!("cannot copy window \"{}\" because it has a frame clause", fold(name));
                return Err(self.error_at(name.span, SqlState::WINDOWING_ERROR, message));
            }
            partition = base.partition;
            if order.is_empty() {
                order = base.order;
            }
        }
        let mut frame = spec.window_frame.as_ref().map(|f| self.frame(f, &order)).transpose()?;
        if let Some(frame) = &mut frame {
            frame.exclude = exclude;
        }
        Ok(WindowDef { partition, order, frame })
    }

    fn window_of(&mut self, over: &ast::WindowType) -> Result<WindowDef> {
        let clause = std::mem::replace(&mut self.level().clause, Clause::Window);
        let window = match over {
            ast::WindowType::NamedWindow(name) => self.named_window(name),
            ast::WindowType::WindowSpec(spec) => self.window_spec(spec),
        };
        self.level().clause = clause;
        window
    }

    fn frame(&mut self, frame: &ast::WindowFrame, order: &[(Expr, bool, bool)]) -> Result<Frame> {
        let refuse = |m: &str| Err(Error::new(SqlState::WINDOWING_ERROR, m));
        let unit = match frame.units {
            ast::WindowFrameUnits::Rows => FrameUnit::Rows,
            ast::WindowFrameUnits::Range => FrameUnit::Range,
            ast::WindowFrameUnits::Groups => FrameUnit::Groups,
        };
        if unit == FrameUnit::Groups && order.is_empty() {
            return refuse("GROUPS mode requires an ORDER BY clause");
        }
        let start = self.frame_bound(&frame.start_bound, unit, order)?;
        let end = match &frame.end_bound {
            None => FrameBound::CurrentRow,
            Some(bound) => self.frame_bound(bound, unit, order)?,
        };
        use FrameBound as B;
        match (&start, &end) {
            (B::UnboundedFollowing, _) => return refuse("frame start cannot be UNBOUNDED FOLLOWING"),
            (_, B::UnboundedPreceding) => return refuse("frame end cannot be UNBOUNDED PRECEDING"),
            (B::CurrentRow, B::Preceding(_)) => {
                return refuse("frame starting from current row cannot have preceding rows");
            }
            (B::Following(_), B::Preceding(_)) => {
                return refuse("frame starting from following row cannot have preceding rows");
            }
            (B::Following(_), B::CurrentRow) => {
                return refuse("frame starting from following row cannot end with current row");
            }
            _ => {}
        }
        Ok(Frame { unit, start, end, exclude: FrameExclusion::NoOthers, range_bounds: (None, None) })
    }

    fn frame_bound(
        &mut self,
        bound: &ast::WindowFrameBound,
        unit: FrameUnit,
        order: &[(Expr, bool, bool)],
    ) -> Result<FrameBound> {
        let (offset, preceding) = match bound {
            ast::WindowFrameBound::CurrentRow => return Ok(FrameBound::CurrentRow),
            ast::WindowFrameBound::Preceding(None) => return Ok(FrameBound::UnboundedPreceding),
            ast::WindowFrameBound::Following(None) => return Ok(FrameBound::UnboundedFollowing),
            ast::WindowFrameBound::Preceding(Some(e)) => (e, true),
            ast::WindowFrameBound::Following(Some(e)) => (e, false),
        };
        let span = offset.span();
        let clause = std::mem::replace(&mut self.level().clause, Clause::Frame);
        let bound = self.expr(offset);
        self.level().clause = clause;
        let bound = bound?;
        let what = match unit {
            FrameUnit::Rows => "ROWS",
            FrameUnit::Groups => "GROUPS",
            FrameUnit::Range => "RANGE",
        };
        if !bound.columns().is_empty() {
            let message = format!("argument of {what} must not contain variables");
            return Err(self.error_at(span, SqlState::INVALID_COLUMN_REFERENCE, message));
        }
        let bound = if unit == FrameUnit::Range {
            let [(key, ..)] = order else {
                let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
                return Err(self.error_at(span, SqlState::WINDOWING_ERROR, message));
            };
            match key.ty().def.category {
                Category::DateTime | Category::Timespan => self.interval_literal(bound)?,
                _ => bound,
            }
        } else {
            self.argument(bound, &def::INT8, what, span)?
        };
        Ok(if preceding { FrameBound::Preceding(bound) } else { FrameBound::Following(bound) })
    }

    /// A window function with OVER.
    pub(super) fn window_function(
        &mut self,
        function: &'static WindowFunction,
        f: &ast::Function,
        over: &ast::WindowType,
        span: Span,
    ) -> Result<Expr> {
        if distinct_of(f) {
            let message = "DISTINCT is not implemented for window functions";
            return Err(self.error_at(span, SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if f.filter.is_some() {
            let message = "FILTER is not implemented for non-aggregate window functions";
            return Err(self.error_at(span, SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if matches!(f.null_treatment, Some(ast::NullTreatment::IgnoreNulls)) {
            return Err(self.locate(Error::unsupported("IGNORE NULLS is not supported"), span));
        }
        self.in_window(span, |b| {
            let args = b.arguments(f)?;
            let parameters: Vec<Parameters> = function
                .signatures
                .iter()
                .map(|s| Parameters { args: s.args, variadic: false, optional: s.optional })
                .collect();
            let (at, args, compatible) =
                b.resolve(Callee::Function(function.name), &parameters, args, span)?;
            let signature = &function.signatures[at];
            let ty = return_type(signature.returns, &args, compatible);
            let window = b.window_of(over)?;
            let callee = WindowCallee::Function { function, signature };
            Ok((callee, args, None, ty, function.name, window))
        })
    }

    /// An aggregate with OVER.
    pub(super) fn aggregate_over_window(
        &mut self,
        function: &'static spg_expr::Aggregate,
        f: &ast::Function,
        over: &ast::WindowType,
        span: Span,
    ) -> Result<Expr> {
        if function.ordered_set {
            let message = format!("OVER is not supported for ordered-set aggregate {}", function.name);
            return Err(self.error_at(span, SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if distinct_of(f) {
            let message = "DISTINCT is not implemented for window functions";
            return Err(self.error_at(span, SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if !super::syntax::order_of(f).is_empty() {
            let message = "aggregate ORDER BY is not implemented for window functions";
            return Err(self.error_at(span, SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        self.in_window(span, |b| {
            let call = b.bind_aggregate(function, f, span)?;
            let window = b.window_of(over)?;
            let callee = WindowCallee::Aggregate { function, signature: &function.signatures[call.at] };
            Ok((callee, call.args, call.filter, call.ty, function.name, window))
        })
    }

    /// Binds a window call's parts with `f` and makes it pending.
    #[allow(clippy::type_complexity)]
    fn in_window(
        &mut self,
        span: Span,
        f: impl FnOnce(
            &mut Self,
        )
            -> Result<(WindowCallee, Vec<Expr>, Option<Expr>, SqlType, &'static str, WindowDef)>,
    ) -> Result<Expr> {
        let level = self.level();
        if level.in_aggregate {
            let message = "aggregate function calls cannot contain window function calls";
            return Err(self.error_at(span, SqlState::GROUPING_ERROR, message));
        }
        if level.in_window || level.clause == Clause::Window {
            let message = if level.clause == Clause::Window {
                "window functions are not allowed in window definitions"
            } else {
                "window function calls cannot be nested"
            };
            return Err(self.error_at(span, SqlState::WINDOWING_ERROR, message));
        }
        if !level.clause.allows_windows() {
            let message = format!("window functions are not allowed in {}", level.clause.name());
            return Err(self.error_at(span, SqlState::WINDOWING_ERROR, message));
        }
        level.in_window = true;
        let outer_applies = std::mem::take(&mut level.applies);
        let result = f(self);
        let level = self.level();
        level.in_window = false;
        let applies = std::mem::replace(&mut level.applies, outer_applies);
        level.window_applies.extend(applies);
        let (callee, args, filter, ty, name, window) = result?;
        let frame = window.frame.unwrap_or(Frame {
            unit: FrameUnit::Range,
            start: FrameBound::UnboundedPreceding,
            end: FrameBound::CurrentRow,
            exclude: FrameExclusion::NoOthers,
            range_bounds: (None, None),
        });
        let out = OutCol { id: ColId(0), name: name.into(), ty };
        let call = WindowCall { out, callee, args, filter, frame };
        let same = |w: &&PendingWindow| {
            w.partition == window.partition
                && w.order == window.order
                && WindowCall { out: call.out.clone(), ..w.call.clone() } == call
        };
        if let Some(known) = self.level().windows.iter().find(same) {
            return Ok(Expr::Column { id: known.call.out.id, ty });
        }
        let id = self.col();
        let call = WindowCall { out: OutCol { id, name: name.into(), ty }, ..call };
        self.level().windows.push(PendingWindow { call, partition: window.partition, order: window.order });
        Ok(Expr::Column { id, ty })
    }

    /// Window operators over a plan, one per partitioning and order.
    pub(super) fn windowed(&mut self, input: Plan, windows: Vec<PendingWindow>) -> Result<Plan> {
        let mut exprs: Vec<NamedExpr> = input.columns().into_iter().map(passed).collect();
        let passed_on = exprs.len();
        let mut groups: Vec<(Vec<ColId>, Vec<SortKey>, Vec<WindowCall>)> = vec![];
        for mut window in windows {
            let partition: Vec<ColId> =
                window.partition.into_iter().map(|e| self.key_column(e, &mut exprs).0).collect();
            let mut order: Vec<SortKey> = vec![];
            for (e, descending, nulls_first) in window.order {
                let (column, ty) = self.key_column(e, &mut exprs);
                order.push(SortKey { column, ty, descending, nulls_first });
            }
            self.range_bounds(&mut window.call.frame, &order)?;
            match groups.iter_mut().find(|(p, o, _)| *p == partition && *o == order) {
                Some((_, _, calls)) => calls.push(window.call),
                None => groups.push((partition, order, vec![window.call])),
            }
        }
        let plan =
            if exprs.len() > passed_on { Plan::Project { input: Box::new(input), exprs } } else { input };
        Ok(groups.into_iter().fold(plan, |input, (partition, order, calls)| Plan::Window {
            input: Box::new(input),
            partition,
            order,
            calls,
        }))
    }

    /// The column that holds a key; computed where it is none yet.
    fn key_column(&mut self, e: Expr, exprs: &mut Vec<NamedExpr>) -> (ColId, SqlType) {
        let ty = e.ty();
        if let Some(known) = exprs.iter().find(|k| k.expr == e) {
            return (known.out.id, ty);
        }
        let id = self.col();
        exprs.push(NamedExpr { out: OutCol { id, name: "?column?".into(), ty }, expr: e });
        (id, ty)
    }

    /// An integer key moved by an integer: computed in a wider type, and kept within the key's own.
    fn moved_integer(&mut self, key: &Expr, operator: &str, offset: &Expr) -> Result<Option<Expr>> {
        let limits = |ty: SqlType| {
            if ty.is(&def::INT2) {
                Some((i64::from(i16::MIN), i64::from(i16::MAX)))
            } else if ty.is(&def::INT4) {
                Some((i64::from(i32::MIN), i64::from(i32::MAX)))
            } else if ty.is(&def::INT8) {
                Some((i64::MIN, i64::MAX))
            } else {
                None
            }
        };
        let (Some((low, high)), Some(_)) = (limits(key.ty()), limits(offset.ty())) else { return Ok(None) };
        // Sums of 64 bits need more.
        let narrow = !key.ty().is(&def::INT8) && !offset.ty().is(&def::INT8);
        let wide = SqlType::new(if narrow { &def::INT8 } else { &def::NUMERIC });
        let limit = |n: i64| Expr::Const { value: spg_types::Datum::Int64(n), ty: SqlType::new(&def::INT8) };
        let mut args = vec![];
        for e in [key.clone(), offset.clone(), limit(low), limit(high)] {
            args.push(self.explicit_cast(e, wide, Span::empty())?);
        }
        let [key_wide, offset, low, high] = <[Expr; 4]>::try_from(args)
            .map_err(|_| Error::internal("four values became another number of them"))?;
        let moved = self.operator(operator, key_wide, offset, Span::empty())?;
        let (moved, _) = self.unify(vec![moved, low], "RANGE")?;
        let moved = self.call(super::call::Callee::Function("greatest"), moved, Span::empty())?;
        let (moved, _) = self.unify(vec![moved, high], "RANGE")?;
        let moved = self.call(super::call::Callee::Function("least"), moved, Span::empty())?;
        self.explicit_cast(moved, key.ty(), Span::empty()).map(Some)
    }

    /// RANGE with offsets: where the frame of a row begins and ends, as values of the key.
    fn range_bounds(&mut self, frame: &mut Frame, order: &[SortKey]) -> Result<()> {
        if frame.unit != FrameUnit::Range {
            return Ok(());
        }
        let [key] = order else { return Ok(()) };
        let value = |b: &mut Self, bound: &FrameBound| -> Result<Option<Expr>> {
            let (offset, preceding) = match bound {
                FrameBound::Preceding(e) => (e.clone(), true),
                FrameBound::Following(e) => (e.clone(), false),
                _ => return Ok(None),
            };
            let column = Expr::Column { id: key.column, ty: key.ty };
            let operator = if preceding != key.descending { "-" } else { "+" };
            if let Some(moved) = b.moved_integer(&column, operator, &offset)? {
                return Ok(Some(moved));
            }
            let moved = b.operator(operator, column, offset.clone(), Span::empty()).map_err(|_| {
                use spg_types::Category::{DateTime, Numeric, Timespan};
                let mut message = format!(
                    "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}",
                    key.ty.def.sql_name
                );
                if matches!(key.ty.def.category, DateTime | Numeric | Timespan) {
                    message += &format!(" and offset type {}", offset.ty().def.sql_name);
                }
                Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            })?;
            Ok(Some(moved))
        };
        frame.range_bounds = (value(self, &frame.start)?, value(self, &frame.end)?);
        Ok(())
    }
}

/// The frame's exclusion, which the parser hands on in the window's name, and that name itself.
fn exclusion(name: Option<&ast::Ident>) -> (FrameExclusion, Option<ast::Ident>) {
    let Some(name) = name else { return (FrameExclusion::NoOthers, None) };
    let Some((what, rest)) = name.value.strip_prefix(spg_sql::EXCLUSION_MARK).and_then(|v| v.split_once(':'))
    else {
        return (FrameExclusion::NoOthers, Some(name.clone()));
    };
    let exclude = match what {
        "current row" => FrameExclusion::CurrentRow,
        "group" => FrameExclusion::Group,
        "ties" => FrameExclusion::Ties,
        _ => FrameExclusion::NoOthers,
    };
    (exclude, (!rest.is_empty()).then(|| ast::Ident::with_quote('"', rest)))
}
