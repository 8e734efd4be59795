//! A query: WITH around a body, then ORDER BY, LIMIT and row locks.

use spg_expr::{ColId, Expr};
use spg_sql::ast::{self, SetExpr, Spanned as _};
use spg_types::{Error, Result, SqlState, SqlType, def};

use super::bound::{BoundKind, Query, QueryTag, ResultColumn};
use super::scope::{Clause, Namespace, ScopeColumn};
use super::select::Unknowns;
use super::{Binder, subquery};
use crate::{Plan, SortKey};

/// A bound query: a plan and what its columns are called, in order. Two columns may have one id.
#[derive(Debug)]
pub(super) struct Rel {
    pub plan: Plan,
    pub columns: Vec<ScopeColumn>,
}

/// LIMIT, OFFSET, FETCH.
pub(super) struct Tail<'q> {
    limit: Option<&'q ast::Expr>,
    offset: Option<&'q ast::Expr>,
    /// FETCH FIRST ROW: one.
    one: bool,
    ties: bool,
}

impl<'q> Tail<'q> {
    fn of(query: &'q ast::Query) -> Result<Self> {
        let mut tail = Tail { limit: None, offset: None, one: false, ties: false };
        match &query.limit_clause {
            None => {}
            Some(ast::LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                tail.limit = limit.as_ref();
                tail.offset = offset.as_ref().map(|o| &o.value);
            }
            Some(other) => {
                return Err(Error::unsupported(format!("{} is not supported", other.to_string().trim())));
            }
        }
        if let Some(fetch) = &query.fetch {
            if fetch.percent {
                return Err(Error::unsupported("FETCH ... PERCENT is not supported"));
            }
            tail.limit = fetch.quantity.as_ref();
            tail.one = fetch.quantity.is_none();
            tail.ties = fetch.with_ties;
        }
        Ok(tail)
    }
}

/// One resolved ORDER BY entry: the output column's place, then how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub target: usize,
    pub descending: bool,
    pub nulls_first: bool,
}

impl Binder<'_> {
    /// A query as a statement.
    pub(super) fn top_query(&mut self, query: &ast::Query) -> Result<BoundKind> {
        // A change in parentheses or behind WITH is that change.
        let rel = match &*query.body {
            SetExpr::Insert(s) | SetExpr::Update(s) | SetExpr::Delete(s) => return self.top_change(query, s),
            _ => self.query(query, Unknowns::Text)?,
        };
        Ok(BoundKind::Query(self.finish_query(rel, QueryTag::Select)))
    }

    /// A result for the client.
    pub(super) fn finish_query(&self, rel: Rel, tag: QueryTag) -> Query {
        let result = |c: &ScopeColumn| ResultColumn {
            name: c.name.clone(),
            ty: c.ty,
            table_oid: c.origin.as_ref().map_or(0, |(t, _)| t.id.0),
            column_no: c.origin.as_ref().and_then(|(_, at)| i16::try_from(at + 1).ok()).unwrap_or(0),
        };
        Query {
            tag,
            output: rel.columns.iter().map(|c| c.id).collect(),
            columns: rel.columns.iter().map(result).collect(),
            plan: rel.plan,
            row_locks: self.row_locks,
        }
    }

    /// A query anywhere.
    pub(super) fn query(&mut self, query: &ast::Query, unknowns: Unknowns) -> Result<Rel> {
        self.nested(|b| {
            b.refuse_foreign_clauses(query)?;
            b.row_locks |= !query.locks.is_empty();
            b.check_locked(query)?;
            match &query.with {
                None => b.body(query, unknowns),
                Some(with) => b.with(with, |b| b.body(query, unknowns)),
            }
        })
    }

    /// FOR UPDATE OF names entries of this query's FROM; 42P01.
    fn check_locked(&self, query: &ast::Query) -> Result<()> {
        let SetExpr::Select(select) = &*query.body else { return Ok(()) };
        let mut names: Vec<String> = vec![];
        for item in &select.from {
            for factor in std::iter::once(&item.relation).chain(item.joins.iter().map(|j| &j.relation)) {
                match factor {
                    ast::TableFactor::Table { alias: Some(alias), .. }
                    | ast::TableFactor::Derived { alias: Some(alias), .. } => {
                        names.push(spg_sql::fold(&alias.name))
                    }
                    ast::TableFactor::Table { name, .. } => names.extend(spg_sql::folded_name(name).pop()),
                    // What others bring in is not looked at.
                    _ => return Ok(()),
                }
            }
        }
        for (lock, name) in query.locks.iter().filter_map(|l| Some((l, l.of.as_ref()?))) {
            let written = spg_sql::folded_name(name).pop().unwrap_or_default();
            if !names.contains(&written) {
                let what = match lock.lock_type {
                    ast::LockType::Share => "FOR SHARE",
                    _ => "FOR UPDATE",
                };
                let message = format!("relation \"{written}\" in {what} clause not found in FROM clause");
                return Err(self.error_at(name.span(), SqlState::UNDEFINED_TABLE, message));
            }
        }
        Ok(())
    }

    fn refuse_foreign_clauses(&self, query: &ast::Query) -> Result<()> {
        if query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty()
        {
            return Err(Error::unsupported("this query clause is not supported"));
        }
        Ok(())
    }

    fn body(&mut self, query: &ast::Query, unknowns: Unknowns) -> Result<Rel> {
        let tail = Tail::of(query)?;
        if let SetExpr::Select(select) = &*query.body {
            return self.select(select, query.order_by.as_ref(), &tail, unknowns);
        }
        let bare = query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
        // `(SELECT ...) ORDER BY` sorts the inner query's result by its output names, as a set operation's.
        let mut rel = self.set_expr(&query.body, unknowns)?;
        if bare {
            return Ok(rel);
        }
        let order = match &query.order_by {
            None => vec![],
            Some(order_by) => self.order_by_output(order_by, &rel.columns)?,
        };
        rel.plan = self.sorted(rel.plan, &rel.columns, &order);
        rel.plan = self.limited(rel.plan, &tail, &rel.columns, &order, &Namespace::default())?;
        Ok(rel)
    }

    /// The parts that set operations combine.
    pub(super) fn set_expr(&mut self, body: &SetExpr, unknowns: Unknowns) -> Result<Rel> {
        self.nested(|b| match body {
            SetExpr::Select(select) => {
                b.select(select, None, &Tail { limit: None, offset: None, one: false, ties: false }, unknowns)
            }
            SetExpr::Query(query) => b.query(query, unknowns),
            SetExpr::Values(values) => b.values(values),
            SetExpr::SetOperation { .. } => b.set_operation(body),
            SetExpr::Table(table) => b.table_command(table),
            SetExpr::Insert(s) | SetExpr::Update(s) | SetExpr::Delete(s) => b.change_in_query(s),
            SetExpr::Merge(_) => Err(Error::unsupported("MERGE is not supported")),
        })
    }

    /// `TABLE name`.
    fn table_command(&mut self, table: &ast::Table) -> Result<Rel> {
        let parts: Vec<ast::Ident> = table.schema_name.iter().chain(&table.table_name).cloned().collect();
        let (plan, relation) = self.named_relation(&ast::ObjectName::from(parts))?;
        Ok(Rel { plan, columns: relation.columns })
    }

    /// ORDER BY over a set operation: names and positions of its output.
    fn order_by_output(&mut self, order_by: &ast::OrderBy, columns: &[ScopeColumn]) -> Result<Vec<Order>> {
        let mut order = vec![];
        for item in order_expressions(order_by)? {
            let named = match &item.expr {
                ast::Expr::Identifier(ident) => {
                    let name = spg_sql::fold(ident);
                    let mut found = columns.iter().enumerate().filter(|(_, c)| c.name == name);
                    match (found.next(), found.next()) {
                        (Some((at, _)), None) => Some(at),
                        (Some(_), Some(_)) => {
                            let message = format!("ORDER BY \"{name}\" is ambiguous");
                            return Err(self.error_at(ident.span, SqlState::AMBIGUOUS_COLUMN, message));
                        }
                        (None, _) => {
                            let message = format!("column \"{name}\" does not exist");
                            return Err(self.error_at(ident.span, SqlState::UNDEFINED_COLUMN, message));
                        }
                    }
                }
                other => self.position_in(other, columns.len(), "ORDER BY")?,
            };
            let Some(target) = named else {
                return Err(self
                    .error_at(
                        item.expr.span(),
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                    )
                    .with_detail("Only result column names can be used, not expressions or functions.")
                    .with_hint(
                        "Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
                    ));
            };
            let (descending, nulls_first) = self.direction(&item.options)?;
            order.push(Order { target, descending, nulls_first });
        }
        Ok(order)
    }

    /// A constant as a place in the select list; `None` for what is no constant. 42P10, 42601.
    pub(super) fn position_in(&self, e: &ast::Expr, columns: usize, clause: &str) -> Result<Option<usize>> {
        let ast::Expr::Value(v) = e else { return Ok(None) };
        match &v.value {
            ast::Value::Number(text, _) => match text.parse::<i64>() {
                Ok(n) => match usize::try_from(n) {
                    Ok(at @ 1..) if at <= columns => Ok(Some(at - 1)),
                    _ => {
                        let message = format!("{clause} position {n} is not in select list");
                        Err(self.error_at(v.span, SqlState::INVALID_COLUMN_REFERENCE, message))
                    }
                },
                Err(_) => Err(self.error_at(
                    v.span,
                    SqlState::SYNTAX_ERROR,
                    format!("non-integer constant in {clause}"),
                )),
            },
            ast::Value::Null | ast::Value::Placeholder(_) | ast::Value::Boolean(_) => Ok(None),
            _ => Err(self.error_at(
                v.span,
                SqlState::SYNTAX_ERROR,
                format!("non-integer constant in {clause}"),
            )),
        }
    }

    /// ASC or DESC, NULLS FIRST or LAST.
    pub(super) fn direction(&self, options: &ast::OrderByOptions) -> Result<(bool, bool)> {
        let descending = match &options.sort {
            None | Some(ast::OrderBySort::Asc) => false,
            Some(ast::OrderBySort::Desc) => true,
            Some(ast::OrderBySort::Using(operator)) => match operator.to_string().as_str() {
                "<" => false,
                ">" => true,
                other => {
                    let message = format!("operator {other} is not a valid ordering operator");
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(
                        "Ordering operators must be \"<\" or \">\" members of btree operator families.",
                    ));
                }
            },
        };
        Ok((descending, options.nulls_first.unwrap_or(descending)))
    }

    pub(super) fn sorted(&mut self, plan: Plan, columns: &[ScopeColumn], order: &[Order]) -> Plan {
        let keys = sort_keys(columns, order);
        if keys.is_empty() { plan } else { Plan::Sort { input: Box::new(plan), keys, limit: None } }
    }

    pub(super) fn limited(
        &mut self,
        plan: Plan,
        tail: &Tail<'_>,
        columns: &[ScopeColumn],
        order: &[Order],
        namespace: &Namespace,
    ) -> Result<Plan> {
        if tail.limit.is_none() && tail.offset.is_none() && !tail.one {
            return Ok(plan);
        }
        if tail.ties && order.is_empty() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "WITH TIES cannot be specified without ORDER BY clause",
            ));
        }
        let mut applies = vec![];
        let mut count = |b: &mut Self, e: Option<&ast::Expr>, clause: Clause| match e {
            None => Ok(None),
            Some(e) => b.row_count(e, clause, namespace).map(|(e, a)| {
                applies.extend(a);
                Some(e)
            }),
        };
        let limit = count(self, tail.limit, Clause::Limit)?;
        let offset = count(self, tail.offset, Clause::Offset)?;
        let limit = if tail.one { Some(super::literal::integer(1)) } else { limit };
        let keys = sort_keys(columns, order);
        let ties = tail.ties.then(|| keys.clone());
        let limited = Plan::Limit { input: Box::new(plan), limit, offset, ties };
        if applies.is_empty() {
            return Ok(limited);
        }
        // The numbers come from one row that the limited query depends on. A join keeps no order.
        let numbers = subquery::apply_all(Plan::one_row(), applies);
        let limited = Plan::Apply {
            kind: crate::JoinKind::Inner,
            left: Box::new(numbers),
            right: Box::new(limited),
            on: vec![],
        };
        let sorted = match keys.is_empty() {
            true => limited,
            false => Plan::Sort { input: Box::new(limited), keys, limit: None },
        };
        Ok(super::select::keep_only(sorted, columns))
    }

    fn row_count(
        &mut self,
        e: &ast::Expr,
        clause: Clause,
        namespace: &Namespace,
    ) -> Result<(Expr, Vec<subquery::PendingApply>)> {
        let (bound, level) = self.at_level(namespace.clone(), clause, |b| {
            let bound = b.expr(e)?;
            b.argument(bound, &def::INT8, clause.name(), e.span())
        })?;
        if bound.columns().iter().any(|c| level.namespace.has(*c)) {
            let message = format!("argument of {} must not contain variables", clause.name());
            return Err(self.error_at(e.span(), SqlState::INVALID_COLUMN_REFERENCE, message));
        }
        Ok((bound, level.applies))
    }
}

/// The expressions of ORDER BY.
pub(super) fn order_expressions(order_by: &ast::OrderBy) -> Result<&[ast::OrderByExpr]> {
    match &order_by.kind {
        ast::OrderByKind::Expressions(items) if order_by.interpolate.is_none() => Ok(items),
        _ => Err(Error::unsupported("ORDER BY ALL is not supported")),
    }
}

fn sort_keys(columns: &[ScopeColumn], order: &[Order]) -> Vec<SortKey> {
    let mut keys: Vec<SortKey> = vec![];
    for o in order {
        let column = &columns[o.target];
        // A later key on the same column decides nothing.
        if keys.iter().all(|k| k.column != column.id) {
            keys.push(SortKey {
                column: column.id,
                ty: column.ty,
                descending: o.descending,
                nulls_first: o.nulls_first,
            });
        }
    }
    keys
}

/// A column of a plan as others see it.
pub(super) fn scope_column(name: &str, id: ColId, ty: SqlType) -> ScopeColumn {
    ScopeColumn { name: name.into(), id, ty, origin: None }
}
