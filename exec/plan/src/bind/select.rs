//! SELECT: select list, WHERE, GROUP BY, HAVING, windows, DISTINCT, ORDER BY, put together in the order they are evaluated.

use ahash::AHashMap;
use spg_expr::{ColId, Expr};
use spg_sql::ast::{self, Spanned as _};
use spg_sql::{Span, fold, folded_name};
use spg_types::{Error, Result, SqlState};

use super::Binder;
use super::query::{Order, Rel, Tail, order_expressions, scope_column};
use super::scope::{Clause, Level, Namespace, ScopeColumn};
use super::subquery::{PendingApply, apply_all, filtered};
use crate::{NamedExpr, OutCol, Plan};

/// What becomes of literals in a select list whose type nothing decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknowns {
    /// They are text.
    Text,
    /// They stay: INSERT's columns or a set operation's other side decide.
    Keep,
}

/// An entry of the select list, or an expression that only ORDER BY has.
#[derive(Debug)]
pub(super) struct Target {
    pub name: String,
    pub expr: Expr,
    /// Not part of the result.
    pub junk: bool,
    pub span: Span,
}

/// The parts of a SELECT, bound and not yet put together.
struct Parts {
    targets: Vec<Target>,
    predicate: Vec<Expr>,
    having: Vec<Expr>,
    has_having: bool,
    grouping: super::aggregate::GroupBy,
    order: Vec<Order>,
    /// DISTINCT, or the targets of DISTINCT ON.
    distinct: Option<Option<Vec<usize>>>,
    where_applies: Vec<PendingApply>,
    having_applies: Vec<PendingApply>,
    target_applies: Vec<PendingApply>,
}

impl Binder<'_> {
    pub(super) fn select(
        &mut self,
        select: &ast::Select,
        order_by: Option<&ast::OrderBy>,
        tail: &Tail<'_>,
        unknowns: Unknowns,
    ) -> Result<Rel> {
        self.refuse_foreign_select(select)?;
        let ((plan, parts), level) = self.at_level(Namespace::default(), Clause::From, |b| {
            let (plan, namespace) = b.bind_from(&select.from)?;
            b.level().namespace = namespace;
            Ok((plan, b.select_parts(select, order_by, unknowns)?))
        })?;
        self.assemble(plan, parts, level, tail)
    }

    fn refuse_foreign_select(&self, s: &ast::Select) -> Result<()> {
        let foreign = [
            (s.into.is_some(), "SELECT INTO"),
            (s.top.is_some(), "TOP"),
            (s.qualify.is_some(), "QUALIFY"),
            (s.prewhere.is_some(), "PREWHERE"),
            (!s.lateral_views.is_empty(), "LATERAL VIEW"),
            (!s.connect_by.is_empty(), "CONNECT BY"),
            (!s.cluster_by.is_empty() || !s.distribute_by.is_empty() || !s.sort_by.is_empty(), "SORT BY"),
            (s.exclude.is_some() || s.value_table_mode.is_some(), "this form of SELECT"),
        ];
        match foreign.iter().find(|(used, _)| *used) {
            Some((_, what)) => Err(Error::unsupported(format!("{what} is not supported"))),
            None => Ok(()),
        }
    }

    fn select_parts(
        &mut self,
        select: &ast::Select,
        order_by: Option<&ast::OrderBy>,
        unknowns: Unknowns,
    ) -> Result<Parts> {
        self.named_windows(&select.named_window)?;
        let (mut targets, mut target_applies) =
            self.in_clause(Clause::Select, |b| b.select_list(&select.projection))?;
        let (predicate, where_applies) = match &select.selection {
            None => (vec![], vec![]),
            Some(e) => self.in_clause(Clause::Where, |b| b.conjuncts(e, "WHERE"))?,
        };
        let (having, having_applies) = match &select.having {
            None => (vec![], vec![]),
            Some(e) => self.in_clause(Clause::Having, |b| b.conjuncts(e, "HAVING"))?,
        };
        let order = match order_by {
            None => vec![],
            Some(order_by) => {
                let (order, applies) =
                    self.in_clause(Clause::OrderBy, |b| b.order_by_targets(order_by, &mut targets))?;
                target_applies.extend(applies);
                order
            }
        };
        let grouping = self.group_by(&select.group_by, &targets, &mut target_applies)?;
        let distinct = self.distinct(select.distinct.as_ref(), &mut targets, &order)?;
        if unknowns == Unknowns::Text {
            for t in &mut targets {
                t.expr = self.or_text(std::mem::replace(&mut t.expr, Expr::boolean(false)))?;
            }
        }
        Ok(Parts {
            targets,
            predicate,
            having,
            has_having: select.having.is_some(),
            grouping,
            order,
            distinct,
            where_applies,
            having_applies,
            target_applies,
        })
    }

    /// The select list, stars expanded.
    pub(super) fn select_list(&mut self, items: &[ast::SelectItem]) -> Result<Vec<Target>> {
        let mut targets = vec![];
        for item in items {
            match item {
                ast::SelectItem::UnnamedExpr(e) => {
                    let expr = self.expr(e)?;
                    targets.push(Target {
                        name: super::name::column_name(e),
                        expr,
                        junk: false,
                        span: e.span(),
                    });
                }
                ast::SelectItem::ExprWithAlias { expr, alias } => {
                    let bound = self.expr(expr)?;
                    targets.push(Target { name: fold(alias), expr: bound, junk: false, span: expr.span() });
                }
                ast::SelectItem::Wildcard(options) => {
                    self.refuse_wildcard_options(options)?;
                    let span = options.wildcard_token.0.span;
                    let columns = self.level().namespace.columns.clone();
                    if self.level().namespace.relations.is_empty() {
                        return Err(self.error_at(
                            span,
                            SqlState::SYNTAX_ERROR,
                            "SELECT * with no tables specified is not valid",
                        ));
                    }
                    self.star(&columns, span, &mut targets);
                }
                ast::SelectItem::QualifiedWildcard(kind, options) => {
                    self.refuse_wildcard_options(options)?;
                    let ast::SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        return Err(Error::unsupported("expansion of a row value is not supported"));
                    };
                    let (_, relation) = self.relation(&folded_name(name), name.span())?;
                    self.star(&relation.columns, name.span(), &mut targets);
                }
                ast::SelectItem::ExprWithAliases { .. } => {
                    return Err(Error::unsupported("several aliases of an expression are not supported"));
                }
            }
        }
        Ok(targets)
    }

    fn refuse_wildcard_options(&self, o: &ast::WildcardAdditionalOptions) -> Result<()> {
        if o.opt_ilike.is_some()
            || o.opt_exclude.is_some()
            || o.opt_except.is_some()
            || o.opt_replace.is_some()
            || o.opt_rename.is_some()
            || o.opt_alias.is_some()
        {
            return Err(Error::unsupported("options of * are not supported"));
        }
        Ok(())
    }

    fn star(&mut self, columns: &[ScopeColumn], span: Span, targets: &mut Vec<Target>) {
        for c in columns {
            self.level().reads.push((c.id, span));
            targets.push(Target { name: c.name.clone(), expr: c.expr(), junk: false, span });
        }
    }

    /// ORDER BY: output names, positions, else expressions over the input, which become targets of their own.
    fn order_by_targets(&mut self, order_by: &ast::OrderBy, targets: &mut Vec<Target>) -> Result<Vec<Order>> {
        let mut order = vec![];
        for item in order_expressions(order_by)? {
            let (descending, nulls_first) = self.direction(&item.options)?;
            let target = self.target_of(&item.expr, targets, "ORDER BY", false)?;
            if targets[target].expr.ty().is(&spg_types::def::RECORD) {
                return Err(
                    self.locate(Error::unsupported("sorting by rows is not supported"), item.expr.span())
                );
            }
            order.push(Order { target, descending, nulls_first });
        }
        Ok(order)
    }

    /// The target that an expression of ORDER BY, GROUP BY or DISTINCT ON means; a new one where it is none of the list.
    pub(super) fn target_of(
        &mut self,
        e: &ast::Expr,
        targets: &mut Vec<Target>,
        clause: &str,
        input_first: bool,
    ) -> Result<usize> {
        let visible = targets.iter().filter(|t| !t.junk).count();
        if let ast::Expr::Identifier(ident) = e
            && !(input_first && self.is_input_column(ident))
            && let Some(at) = self.target_named(ident, targets, clause)?
        {
            return Ok(at);
        }
        if let Some(at) = self.position_in(e, visible, clause)? {
            return Ok(at);
        }
        let bound = self.typed_expr(e)?;
        if let Some(at) = targets.iter().position(|t| t.expr == bound) {
            return Ok(at);
        }
        targets.push(Target { name: "?column?".into(), expr: bound, junk: true, span: e.span() });
        Ok(targets.len() - 1)
    }

    fn is_input_column(&mut self, ident: &ast::Ident) -> bool {
        let name = fold(ident);
        self.level().namespace.columns.iter().any(|c| c.name == name)
    }

    fn target_named(
        &mut self,
        ident: &ast::Ident,
        targets: &[Target],
        clause: &str,
    ) -> Result<Option<usize>> {
        let name = fold(ident);
        let mut found: Option<usize> = None;
        for (at, t) in targets.iter().enumerate().filter(|(_, t)| !t.junk && t.name == name) {
            match found {
                Some(first) if targets[first].expr != t.expr => {
                    let message = format!("{clause} \"{name}\" is ambiguous");
                    return Err(self.error_at(ident.span, SqlState::AMBIGUOUS_COLUMN, message));
                }
                Some(_) => {}
                None => found = Some(at),
            }
        }
        Ok(found)
    }

    /// DISTINCT and DISTINCT ON with their rules on ORDER BY.
    fn distinct(
        &mut self,
        distinct: Option<&ast::Distinct>,
        targets: &mut Vec<Target>,
        order: &[Order],
    ) -> Result<Option<Option<Vec<usize>>>> {
        match distinct {
            None | Some(ast::Distinct::All) => Ok(None),
            Some(ast::Distinct::Distinct) => match targets.iter().find(|t| t.junk) {
                None => Ok(Some(None)),
                Some(t) => Err(self.error_at(
                    t.span,
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                )),
            },
            Some(ast::Distinct::On(exprs)) => {
                let mut on = vec![];
                for e in exprs {
                    let (at, _) = self
                        .in_clause(Clause::DistinctOn, |b| b.target_of(e, targets, "DISTINCT ON", false))?;
                    on.push(at);
                }
                // The ON expressions must come first in ORDER BY.
                let others = order.iter().position(|o| !on.contains(&o.target));
                let late = |at: &usize| {
                    let place = order.iter().position(|o| o.target == *at);
                    others.is_some_and(|other| place.is_none_or(|p| p > other))
                };
                if let Some(i) = on.iter().position(late) {
                    return Err(self.error_at(
                        exprs[i].span(),
                        SqlState::INVALID_COLUMN_REFERENCE,
                        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                    ));
                }
                Ok(Some(Some(on)))
            }
        }
    }

    fn assemble(
        &mut self,
        mut plan: Plan,
        mut parts: Parts,
        mut level: Level,
        tail: &Tail<'_>,
    ) -> Result<Rel> {
        plan = filtered(
            apply_all(plan, std::mem::take(&mut parts.where_applies)),
            std::mem::take(&mut parts.predicate),
        );
        let grouped = parts.grouping.present || !level.aggregates.is_empty() || parts.has_having;
        if grouped {
            plan = self.grouped(plan, &mut parts, &mut level)?;
        } else if let Some(call) = level.groupings.first() {
            return Err(self.error_at(
                call.span,
                SqlState::GROUPING_ERROR,
                "arguments to GROUPING must be grouping expressions of the associated query level",
            ));
        }
        plan = filtered(apply_all(plan, parts.having_applies), parts.having);
        if !level.windows.is_empty() {
            plan = apply_all(plan, std::mem::take(&mut level.window_applies));
            plan = self.windowed(plan, std::mem::take(&mut level.windows))?;
        }
        plan = apply_all(plan, parts.target_applies);
        for set in std::mem::take(&mut level.sets) {
            plan = Plan::ProjectSet {
                input: Box::new(plan),
                name: set.name,
                args: set.args,
                columns: vec![set.column],
                ordinality: None,
            };
        }
        let (plan, columns) = self.projected(plan, parts.targets);
        let visible: Vec<ScopeColumn> =
            columns.iter().filter(|(_, junk)| !junk).map(|(c, _)| c.clone()).collect();
        let all: Vec<ScopeColumn> = columns.into_iter().map(|(c, _)| c).collect();
        let mut plan = match parts.distinct {
            None => self.sorted(plan, &all, &parts.order),
            Some(None) => {
                let plan = Plan::Distinct { input: Box::new(plan), on: None };
                self.sorted(plan, &all, &parts.order)
            }
            Some(Some(on)) => {
                let plan = self.sorted(plan, &all, &parts.order);
                let on = on.into_iter().map(|at| all[at].id).collect();
                Plan::Distinct { input: Box::new(plan), on: Some(on) }
            }
        };
        plan = self.limited(plan, tail, &all, &parts.order, &level.namespace)?;
        if all.len() > visible.len() {
            plan = keep_only(plan, &visible);
        }
        Ok(Rel { plan, columns: self.with_origins(visible, &level) })
    }

    /// Aggregation, and everything above it in terms of its output.
    fn grouped(&mut self, plan: Plan, parts: &mut Parts, level: &mut Level) -> Result<Plan> {
        let plan = apply_all(plan, std::mem::take(&mut level.input_applies));
        let grouping = std::mem::take(&mut parts.grouping);
        let mut regroup = super::aggregate::Regroup::new(self, grouping, level, &plan);
        for e in parts.having.iter_mut().chain(parts.targets.iter_mut().map(|t| &mut t.expr)) {
            regroup.expr(e)?;
        }
        for e in level.sets.iter_mut().flat_map(|s| &mut s.args) {
            regroup.expr(e)?;
        }
        for window in &mut level.windows {
            window.each_expr(&mut |e| regroup.expr(e))?;
        }
        let applies = parts.having_applies.iter_mut().chain(&mut parts.target_applies);
        for apply in applies.chain(&mut level.window_applies) {
            regroup.apply(apply)?;
        }
        Ok(regroup.finish(plan))
    }

    /// The projection to the targets, each with its column. Equal columns stand once in the plan.
    fn projected(&mut self, plan: Plan, targets: Vec<Target>) -> (Plan, Vec<(ScopeColumn, bool)>) {
        let made: AHashMap<ColId, ()> = plan.columns().iter().map(|c| (c.id, ())).collect();
        let mut exprs: Vec<NamedExpr> = vec![];
        let mut columns = vec![];
        for t in targets {
            let ty = t.expr.ty();
            // A column of an outer query is a new column here.
            let id = match &t.expr {
                Expr::Column { id, .. } if made.contains_key(id) => *id,
                _ => self.col(),
            };
            if exprs.iter().all(|e| e.out.id != id) {
                exprs.push(NamedExpr { out: OutCol { id, name: t.name.clone(), ty }, expr: t.expr });
            }
            columns.push((scope_column(&t.name, id, ty), t.junk));
        }
        (Plan::Project { input: Box::new(plan), exprs }, columns)
    }

    /// Columns that come unchanged from a table say so.
    fn with_origins(&self, mut columns: Vec<ScopeColumn>, level: &Level) -> Vec<ScopeColumn> {
        for c in &mut columns {
            c.origin = level
                .namespace
                .find(c.id)
                .map(|(_, found)| found)
                .or_else(|| level.namespace.columns.iter().find(|n| n.id == c.id))
                .and_then(|found| found.origin.clone());
        }
        columns
    }
}

/// A projection to some of the plan's columns.
pub(super) fn keep_only(plan: Plan, columns: &[ScopeColumn]) -> Plan {
    let mut exprs: Vec<NamedExpr> = vec![];
    for c in columns {
        if exprs.iter().all(|e| e.out.id != c.id) {
            exprs.push(super::from::passed(OutCol { id: c.id, name: c.name.clone(), ty: c.ty }));
        }
    }
    Plan::Project { input: Box::new(plan), exprs }
}
