//! Aggregation: aggregate calls, GROUP BY with grouping sets, and what may stand above it.

use std::collections::BTreeSet;

use spg_expr::{Aggregate, ColId, Expr};
use spg_sql::Span;
use spg_sql::ast::{self, Spanned as _};
use spg_types::{Datum, Error, Result, SqlState, SqlType, def};

use super::Binder;
use super::call::{Callee, Parameters, return_type};
use super::columns::each_expr;
use super::scope::{Clause, Level, Namespace};
use super::select::Target;
use super::subquery::PendingApply;
use super::syntax::{distinct_of, order_of};
use crate::{AggregateCall, NamedExpr, OutCol, Plan};

/// A call of GROUPING, until the grouping is known.
#[derive(Debug)]
pub(super) struct GroupingCall {
    pub id: ColId,
    pub args: Vec<Expr>,
    pub span: Span,
}

/// A bound GROUP BY.
#[derive(Debug, Default)]
pub(super) struct GroupBy {
    /// Whether it is written.
    pub present: bool,
    pub keys: Vec<Expr>,
    /// Places in `keys` per set; empty for a plain GROUP BY.
    pub sets: Vec<Vec<usize>>,
}

/// How an aggregate is called, arguments bound.
pub(super) struct BoundAggregate {
    pub at: usize,
    pub args: Vec<Expr>,
    pub filter: Option<Expr>,
    pub order_by: Vec<(Expr, bool, bool)>,
    pub distinct: bool,
    pub ty: SqlType,
}

impl Binder<'_> {
    /// An aggregate call without OVER. It belongs to the innermost query whose columns it reads.
    pub(super) fn aggregate(
        &mut self,
        function: &'static Aggregate,
        f: &ast::Function,
        span: Span,
    ) -> Result<Expr> {
        let current = self.levels.len().saturating_sub(1);
        let was_in_aggregate = std::mem::replace(&mut self.level().in_aggregate, true);
        let outer_applies = std::mem::take(&mut self.level().applies);
        let bound = self.bind_aggregate(function, f, span);
        let level = self.level();
        level.in_aggregate = was_in_aggregate;
        let applies = std::mem::replace(&mut level.applies, outer_applies);
        let bound = bound?;
        let owner = self.owner(&bound, &applies, current);
        self.check_aggregate_place(owner, span)?;
        let level = &mut self.levels[owner];
        level.input_applies.extend(applies);
        let call = AggregateCall {
            out: OutCol { id: ColId(0), name: function.name.into(), ty: bound.ty },
            function,
            signature: &function.signatures[bound.at],
            args: bound.args,
            distinct: bound.distinct,
            filter: bound.filter,
            order_by: bound.order_by,
        };
        let same = |a: &&AggregateCall| AggregateCall { out: call.out.clone(), ..(*a).clone() } == call;
        if let Some(known) = level.aggregates.iter().find(same) {
            return Ok(Expr::Column { id: known.out.id, ty: known.out.ty });
        }
        let id = self.col();
        let ty = call.out.ty;
        let out = OutCol { id, ..call.out.clone() };
        self.levels[owner].aggregates.push(AggregateCall { out, ..call });
        Ok(Expr::Column { id, ty })
    }

    /// The innermost level whose columns an aggregate's arguments read; the current one where they read none.
    fn owner(&self, call: &BoundAggregate, applies: &[PendingApply], current: usize) -> usize {
        let mut columns: BTreeSet<ColId> = call.args.iter().flat_map(Expr::columns).collect();
        columns.extend(call.filter.iter().flat_map(Expr::columns));
        columns.extend(call.order_by.iter().flat_map(|(e, ..)| e.columns()));
        // A subquery's value reads what the subquery does.
        for apply in applies {
            let mut made: BTreeSet<ColId> = apply.plan.columns().iter().map(|c| c.id).collect();
            if let crate::JoinKind::Mark(id) = apply.kind {
                made.insert(id);
            }
            let before = columns.len();
            columns.retain(|c| !made.contains(c) || self.level_of(*c).is_some());
            if columns.len() < before {
                let own = |c: &ColId| !made.contains(c);
                columns.extend(super::columns::free(&mut apply.plan.clone()).into_iter().filter(own));
                columns.extend(apply.on.iter().flat_map(Expr::columns).filter(own));
            }
        }
        let unplaced = columns.iter().any(|c| self.level_of(*c).is_none());
        if unplaced {
            return current;
        }
        columns.iter().filter_map(|c| self.level_of(*c)).max().unwrap_or(current)
    }

    fn check_aggregate_place(&self, owner: usize, span: Span) -> Result<()> {
        let level = &self.levels[owner];
        let refuse = |message: String| Err(self.error_at(span, SqlState::GROUPING_ERROR, message));
        if !level.clause.allows_aggregates() {
            return refuse(format!("aggregate functions are not allowed in {}", level.clause.name()));
        }
        if level.in_aggregate {
            return refuse("aggregate function calls cannot be nested".into());
        }
        Ok(())
    }

    /// Arguments, FILTER and ORDER BY of an aggregate call.
    pub(super) fn bind_aggregate(
        &mut self,
        function: &'static Aggregate,
        f: &ast::Function,
        span: Span,
    ) -> Result<BoundAggregate> {
        let star = matches!(
            &f.args,
            ast::FunctionArguments::List(l)
                if matches!(l.args[..], [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)])
        );
        let mut args = if star { vec![] } else { self.arguments(f)? };
        let distinct = distinct_of(f);
        if star && distinct {
            return Err(self.error_at(span, SqlState::SYNTAX_ERROR, "syntax error at or near \"*\""));
        }
        if args.is_empty() && !star && function.signatures.iter().any(|s| s.args.is_empty()) {
            let message =
                format!("{}(*) must be used to call a parameterless aggregate function", function.name);
            return Err(self.error_at(span, SqlState::WRONG_OBJECT_TYPE, message));
        }
        if function.ordered_set && distinct {
            return Err(self.error_at(span, SqlState::SYNTAX_ERROR, "cannot use DISTINCT with WITHIN GROUP"));
        }
        if distinct {
            args = args.into_iter().map(|a| self.canonical_row(a, span)).collect::<Result<_>>()?;
        }
        let written_order = if f.within_group.is_empty() { order_of(f) } else { &f.within_group };
        let mut order_by = vec![];
        for item in written_order {
            let (descending, nulls_first) = self.direction(&item.options)?;
            order_by.push((self.typed_expr(&item.expr)?, descending, nulls_first));
        }
        if !f.within_group.is_empty() {
            args.extend(order_by.iter().map(|(e, ..)| e.clone()));
        }
        let parameters: Vec<Parameters> = function
            .signatures
            .iter()
            .map(|s| Parameters { args: s.args, variadic: false, optional: 0 })
            .collect();
        let (at, args, compatible) =
            self.resolve(Callee::Function(function.name), &parameters, args, span)?;
        if function.ordered_set == f.within_group.is_empty() {
            let message = if function.ordered_set {
                format!("WITHIN GROUP is required for ordered-set aggregate {}", function.name)
            } else {
                format!("{} is not an ordered-set aggregate, so it cannot have WITHIN GROUP", function.name)
            };
            return Err(self.error_at(span, SqlState::WRONG_OBJECT_TYPE, message));
        }
        if distinct && order_by.iter().any(|(e, ..)| !args.contains(e)) {
            return Err(self.error_at(
                span,
                SqlState::INVALID_COLUMN_REFERENCE,
                "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
            ));
        }
        let filter = match &f.filter {
            None => None,
            Some(e) => {
                let clause = std::mem::replace(&mut self.level().clause, Clause::Filter);
                let bound = self.expr(e).and_then(|b| self.condition(b, "FILTER", e.span()));
                self.level().clause = clause;
                Some(bound?)
            }
        };
        let ty = return_type(function.signatures[at].returns, &args, compatible);
        let ordered = function.order_sensitive && f.within_group.is_empty();
        Ok(BoundAggregate {
            at,
            args,
            filter,
            order_by: if ordered || !f.within_group.is_empty() { order_by } else { vec![] },
            distinct: distinct && !function.duplicate_insensitive,
            ty,
        })
    }

    /// A row whose equal fields look equal: numbers without the zeros behind their last digit.
    fn canonical_row(&mut self, e: Expr, span: Span) -> Result<Expr> {
        match e {
            Expr::Call { function, signature, args, ty } if ty.is(&def::RECORD) => {
                let args = args
                    .into_iter()
                    .map(|a| match a.ty().is(&def::NUMERIC) {
                        true => self.call(Callee::Function("trim_scale"), vec![a], span),
                        false => Ok(a),
                    })
                    .collect::<Result<_>>()?;
                Ok(Expr::Call { function, signature, args, ty })
            }
            e => Ok(e),
        }
    }

    /// `GROUPING(a, b)`: a placeholder column until the grouping is known.
    pub(super) fn grouping(&mut self, f: &ast::Function, span: Span) -> Result<Expr> {
        let args = self.arguments(f)?;
        const MAX_ARGS: usize = 31;
        if args.len() > MAX_ARGS {
            return Err(self.error_at(
                span,
                SqlState::TOO_MANY_ARGUMENTS,
                "GROUPING must have fewer than 32 arguments",
            ));
        }
        let first = match &f.args {
            ast::FunctionArguments::List(list) => list.args.first().map(|a| a.span()),
            _ => None,
        };
        let level = self.level();
        if !level.clause.allows_aggregates() {
            let message = format!("grouping operations are not allowed in {}", level.clause.name());
            return Err(self.error_at(span, SqlState::GROUPING_ERROR, message));
        }
        let id = self.col();
        self.level().groupings.push(GroupingCall { id, args, span: first.unwrap_or(span) });
        Ok(Expr::Column { id, ty: SqlType::new(&def::INT4) })
    }

    /// GROUP BY. Subqueries of select-list entries that it names move below the aggregation.
    pub(super) fn group_by(
        &mut self,
        group_by: &ast::GroupByExpr,
        targets: &[Target],
        target_applies: &mut Vec<PendingApply>,
    ) -> Result<GroupBy> {
        let ast::GroupByExpr::Expressions(items, modifiers) = group_by else {
            return Err(Error::unsupported("GROUP BY ALL is not supported"));
        };
        if !modifiers.is_empty() {
            return Err(Error::unsupported("GROUP BY modifiers are not supported"));
        }
        if items.is_empty() {
            return Ok(GroupBy::default());
        }
        let mut keys: Vec<Expr> = vec![];
        // Each item gives alternatives; the sets are all combinations.
        let mut sets: Vec<Vec<usize>> = vec![vec![]];
        let mut has_sets = false;
        for item in items {
            let alternatives = self.grouping_item(item, targets, &mut keys, &mut has_sets)?;
            const MAX_SETS: usize = 4096;
            if sets.len() * alternatives.len() > MAX_SETS {
                return Err(Error::new(
                    SqlState::STATEMENT_TOO_COMPLEX,
                    "too many grouping sets present (maximum 4096)",
                ));
            }
            sets = sets
                .iter()
                .flat_map(|s| {
                    alternatives.iter().map(move |a| s.iter().chain(a).copied().collect::<Vec<_>>())
                })
                .collect();
        }
        for set in &mut sets {
            set.sort_unstable();
            set.dedup();
        }
        let read: BTreeSet<ColId> = keys.iter().flat_map(Expr::columns).collect();
        let (below, above) =
            std::mem::take(target_applies).into_iter().partition(|a: &PendingApply| match a.kind {
                crate::JoinKind::Mark(id) => read.contains(&id),
                _ => a.plan.columns().iter().any(|c| read.contains(&c.id)),
            });
        *target_applies = above;
        self.level().input_applies.extend::<Vec<PendingApply>>(below);
        Ok(GroupBy { present: true, keys, sets: if has_sets { sets } else { vec![] } })
    }

    /// The alternatives that one item of GROUP BY gives.
    fn grouping_item(
        &mut self,
        item: &ast::Expr,
        targets: &[Target],
        keys: &mut Vec<Expr>,
        has_sets: &mut bool,
    ) -> Result<Vec<Vec<usize>>> {
        let mut columns = |b: &mut Self, list: &[ast::Expr]| {
            list.iter().map(|e| b.group_key(e, targets, keys)).collect::<Result<Vec<usize>>>()
        };
        match &nested_sets(item).unwrap_or_else(|| item.clone()) {
            ast::Expr::Tuple(parts) if parts.is_empty() => {
                *has_sets = true;
                Ok(vec![vec![]])
            }
            ast::Expr::Tuple(parts) => Ok(vec![columns(self, parts)?]),
            ast::Expr::Rollup(lists) => {
                *has_sets = true;
                let parts = lists.iter().map(|l| columns(self, l)).collect::<Result<Vec<_>>>()?;
                Ok((0..=parts.len()).rev().map(|n| parts[..n].concat()).collect())
            }
            ast::Expr::Cube(lists) => {
                *has_sets = true;
                const MAX_CUBE: usize = 12;
                if lists.len() > MAX_CUBE {
                    return Err(Error::new(SqlState::TOO_MANY_COLUMNS, "CUBE is limited to 12 elements"));
                }
                let parts = lists.iter().map(|l| columns(self, l)).collect::<Result<Vec<_>>>()?;
                let chosen = |bits: usize| {
                    let pick = |i: &usize| bits >> (parts.len() - 1 - i) & 1 == 1;
                    (0..parts.len()).filter(pick).flat_map(|i| parts[i].clone()).collect()
                };
                Ok((0..1_usize << parts.len()).rev().map(chosen).collect())
            }
            ast::Expr::GroupingSets(lists) => {
                *has_sets = true;
                let mut sets = vec![];
                for list in lists {
                    let list: Vec<ast::Expr> =
                        list.iter().map(|e| nested_sets(e).unwrap_or_else(|| e.clone())).collect();
                    match &list[..] {
                        [
                            one @ (ast::Expr::Rollup(_)
                            | ast::Expr::Cube(_)
                            | ast::Expr::GroupingSets(_)
                            | ast::Expr::Tuple(_)),
                        ] => {
                            sets.extend(self.grouping_item(one, targets, keys, has_sets)?);
                        }
                        list => sets.push(
                            list.iter()
                                .map(|e| self.group_key(e, targets, keys))
                                .collect::<Result<Vec<usize>>>()?,
                        ),
                    }
                }
                Ok(sets)
            }
            _ => Ok(vec![[columns(self, std::slice::from_ref(item))?].concat()]),
        }
    }

    /// One grouping expression's place among the keys.
    fn group_key(&mut self, e: &ast::Expr, targets: &[Target], keys: &mut Vec<Expr>) -> Result<usize> {
        let known = targets.len();
        let mut with_new: Vec<Target> = targets
            .iter()
            .map(|t| Target { name: t.name.clone(), expr: t.expr.clone(), junk: t.junk, span: t.span })
            .collect();
        let (at, applies) =
            self.in_clause(Clause::GroupBy, |b| b.target_of(e, &mut with_new, "GROUP BY", true))?;
        self.level().input_applies.extend(applies);
        let key = with_new.swap_remove(at).expr;
        let key = self.or_text(key)?;
        if at < known {
            self.refuse_computed_key(&key, e.span())?;
        }
        match keys.iter().position(|k| *k == key) {
            Some(at) => Ok(at),
            None => {
                keys.push(key);
                Ok(keys.len() - 1)
            }
        }
    }

    /// A select-list entry that aggregates is no grouping key.
    fn refuse_computed_key(&mut self, key: &Expr, span: Span) -> Result<()> {
        let columns = key.columns();
        let level = self.level();
        if level.aggregates.iter().any(|a| columns.contains(&a.out.id)) {
            let message = "aggregate functions are not allowed in GROUP BY";
            return Err(self.error_at(span, SqlState::GROUPING_ERROR, message));
        }
        if level.windows.iter().any(|w| columns.contains(&w.call.out.id)) {
            let message = "window functions are not allowed in GROUP BY";
            return Err(self.error_at(span, SqlState::WINDOWING_ERROR, message));
        }
        Ok(())
    }
}

/// ROLLUP and CUBE inside GROUPING SETS, which the parser takes for calls.
fn nested_sets(e: &ast::Expr) -> Option<ast::Expr> {
    let ast::Expr::Function(f) = e else { return None };
    let name = spg_sql::folded_name(&f.name);
    let ast::FunctionArguments::List(list) = &f.args else { return None };
    let parts = list
        .args
        .iter()
        .map(|a| match a {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Tuple(parts))) => {
                Some(parts.clone())
            }
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Some(vec![e.clone()]),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    match &name[..] {
        [name] if name == "rollup" => Some(ast::Expr::Rollup(parts)),
        [name] if name == "cube" => Some(ast::Expr::Cube(parts)),
        [name] if name == spg_sql::NESTED_SETS => Some(ast::Expr::GroupingSets(parts)),
        _ => None,
    }
}

/// Rewrites what stands above an aggregation in terms of its output; refuses columns that it does not put out.
pub(super) struct Regroup<'b, 'a> {
    binder: &'b mut Binder<'a>,
    keys: Vec<NamedExpr>,
    sets: Vec<Vec<usize>>,
    grouping: Option<OutCol>,
    /// Columns of the aggregation's input.
    input: BTreeSet<ColId>,
    namespace: Namespace,
    reads: Vec<(ColId, Span)>,
    groupings: Vec<GroupingCall>,
    aggregates: Vec<AggregateCall>,
}

impl<'b, 'a> Regroup<'b, 'a> {
    pub(super) fn new(
        binder: &'b mut Binder<'a>,
        group_by: GroupBy,
        level: &mut Level,
        input: &Plan,
    ) -> Self {
        let has_sets = !group_by.sets.is_empty();
        let keys = group_by
            .keys
            .into_iter()
            .map(|expr| {
                // A key that grouping sets make NULL is another column than the input's.
                let id = match &expr {
                    Expr::Column { id, .. } if !has_sets => *id,
                    _ => binder.col(),
                };
                let name = match &expr {
                    Expr::Column { id, .. } => level.namespace.find(*id).map(|(_, c)| c.name.clone()),
                    _ => None,
                };
                let out = OutCol { id, name: name.unwrap_or_else(|| "?column?".into()), ty: expr.ty() };
                NamedExpr { out, expr }
            })
            .collect();
        let grouping = has_sets.then(|| OutCol {
            id: binder.col(),
            name: "grouping".into(),
            ty: SqlType::new(&def::INT8),
        });
        Self {
            binder,
            keys,
            sets: group_by.sets,
            grouping,
            input: input.columns().iter().map(|c| c.id).collect(),
            namespace: level.namespace.clone(),
            reads: std::mem::take(&mut level.reads),
            groupings: std::mem::take(&mut level.groupings),
            aggregates: std::mem::take(&mut level.aggregates),
        }
    }

    /// An expression above the aggregation.
    pub(super) fn expr(&mut self, e: &mut Expr) -> Result<()> {
        self.rewrite(e, false)
    }

    fn rewrite(&mut self, e: &mut Expr, in_subquery: bool) -> Result<()> {
        if let Some(key) = self.keys.iter().find(|k| k.expr == *e) {
            *e = Expr::Column { id: key.out.id, ty: key.out.ty };
            return Ok(());
        }
        if let Expr::Column { id, ty } = *e {
            if let Some(at) = self.groupings.iter().position(|g| g.id == id) {
                *e = self.grouping_value(at)?;
                return Ok(());
            }
            if !self.input.contains(&id) || self.is_key(id) {
                return Ok(());
            }
            return self.dependent(id, ty, in_subquery);
        }
        for child in e.children_mut() {
            self.rewrite(child, in_subquery)?;
        }
        Ok(())
    }

    fn is_key(&self, id: ColId) -> bool {
        self.keys.iter().any(|k| k.out.id == id)
    }

    /// A column that the grouping keys determine becomes a key; 42803 for others.
    fn dependent(&mut self, id: ColId, ty: SqlType, in_subquery: bool) -> Result<()> {
        if self.sets.is_empty() && self.determined(id) {
            let name = self.namespace.find(id).map_or_else(String::new, |(_, c)| c.name.clone());
            self.keys.push(NamedExpr { out: OutCol { id, name, ty }, expr: Expr::Column { id, ty } });
            return Ok(());
        }
        let found = self.namespace.find(id);
        let column = self.namespace.columns.iter().find(|c| c.id == id);
        let name = match (found, column) {
            (Some((r, c)), _) if !r.name.is_empty() => format!("{}.{}", r.name, c.name),
            (Some((_, c)), _) | (None, Some(c)) => c.name.clone(),
            (None, None) => "?column?".into(),
        };
        let message = if in_subquery {
            format!("subquery uses ungrouped column \"{name}\" from outer query")
        } else {
            format!(
                "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
            )
        };
        let span = self.reads.iter().find(|(c, _)| *c == id).map_or(Span::empty(), |(_, s)| *s);
        Err(self.binder.error_at(span, SqlState::GROUPING_ERROR, message))
    }

    /// Whether the keys hold the primary key of the column's table.
    fn determined(&self, id: ColId) -> bool {
        let Some((relation, column)) = self.namespace.find(id) else { return false };
        let Some((table, _)) = &column.origin else { return false };
        let Some(primary) = table.primary_key() else { return false };
        primary.columns.iter().all(|k| {
            relation.columns.iter().any(|c| {
                c.origin.as_ref().is_some_and(|(t, at)| t.id == table.id && *at == k.column)
                    && self.is_key(c.id)
            })
        })
    }

    /// The value of `GROUPING(...)`: decided by which set a row belongs to.
    fn grouping_value(&self, at: usize) -> Result<Expr> {
        let call = &self.groupings[at];
        let int4 = SqlType::new(&def::INT4);
        let places = call
            .args
            .iter()
            .map(|a| self.keys.iter().position(|k| k.expr == *a))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| {
                self.binder.error_at(
                    call.span,
                    SqlState::GROUPING_ERROR,
                    "arguments to GROUPING must be grouping expressions of the associated query level",
                )
            })?;
        let Some(grouping) = &self.grouping else {
            return Ok(Expr::Const { value: Datum::Int32(0), ty: int4 });
        };
        let mut results: Vec<(i32, Vec<i64>)> = vec![];
        for set in &self.sets {
            let bits = (0..self.keys.len()).filter(|k| !set.contains(k)).fold(0_i64, |b, k| b | 1 << k);
            let value = places.iter().fold(0_i32, |v, p| v << 1 | i32::from(!set.contains(p)));
            match results.iter_mut().find(|(v, _)| *v == value) {
                Some((_, all)) => all.push(bits),
                None => results.push((value, vec![bits])),
            }
        }
        let column = Expr::Column { id: grouping.id, ty: grouping.ty };
        let branch = |(value, bits): (i32, Vec<i64>)| {
            let list =
                bits.into_iter().map(|b| Expr::Const { value: Datum::Int64(b), ty: grouping.ty }).collect();
            let is = Expr::InList { input: Box::new(column.clone()), list, negated: false };
            (is, Expr::Const { value: Datum::Int32(value), ty: int4 })
        };
        Ok(Expr::Case { branches: results.into_iter().map(branch).collect(), otherwise: None, ty: int4 })
    }

    /// A subquery above the aggregation.
    pub(super) fn apply(&mut self, apply: &mut PendingApply) -> Result<()> {
        for e in &mut apply.on {
            self.rewrite(e, false)?;
        }
        let mut failed = None;
        each_expr(&mut apply.plan, &mut |e| {
            if failed.is_none() {
                failed = self.rewrite(e, true).err();
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(())
    }

    /// The aggregation over its input.
    pub(super) fn finish(self, input: Plan) -> Plan {
        Plan::Aggregate {
            input: Box::new(input),
            groups: self.keys,
            sets: self.sets,
            grouping: self.grouping,
            aggregates: self.aggregates,
        }
    }
}
