//! Subqueries in expressions: each becomes a pending apply of its level and a column, or a condition, in the expression.

use spg_expr::Expr;
use spg_sql::ast::{self, Spanned as _};
use spg_types::{Error, Result, SqlState, SqlType, def};

use super::Binder;
use super::query::Rel;
use super::select::Unknowns;
use crate::{JoinKind, Plan};

/// A dependent join to be put on the input of the operator that evaluates an expression.
#[derive(Clone, Debug)]
pub(super) struct PendingApply {
    pub kind: JoinKind,
    pub plan: Plan,
    pub on: Vec<Expr>,
}

/// Puts applies on a plan, the first one lowest.
pub(super) fn apply_all(plan: Plan, applies: Vec<PendingApply>) -> Plan {
    applies.into_iter().fold(plan, |left, apply| Plan::Apply {
        kind: apply.kind,
        left: Box::new(left),
        right: Box::new(apply.plan),
        on: apply.on,
    })
}

/// A filter, unless there is nothing to filter.
pub(super) fn filtered(plan: Plan, predicate: Vec<Expr>) -> Plan {
    if predicate.is_empty() { plan } else { Plan::Filter { input: Box::new(plan), predicate } }
}

impl Binder<'_> {
    /// A condition as conjuncts; EXISTS and IN among them become semi joins. `what` names the clause in errors.
    pub(super) fn conjuncts(&mut self, e: &ast::Expr, what: &str) -> Result<Vec<Expr>> {
        let mut conjuncts = vec![];
        self.add_conjuncts(e, what, &mut conjuncts)?;
        Ok(conjuncts)
    }

    fn add_conjuncts(&mut self, e: &ast::Expr, what: &str, out: &mut Vec<Expr>) -> Result<()> {
        match e {
            ast::Expr::Nested(inner) => self.nested(|b| b.add_conjuncts(inner, what, out)),
            ast::Expr::BinaryOp { op: ast::BinaryOperator::And, .. } => {
                let (parts, _) = super::expr::chain(e, &ast::BinaryOperator::And);
                for part in parts {
                    self.nested(|b| b.add_conjuncts(part, "AND", out))?;
                }
                Ok(())
            }
            ast::Expr::Exists { subquery, negated } => self.exists_conjunct(subquery, *negated),
            ast::Expr::UnaryOp { op: ast::UnaryOperator::Not, expr } => match strip(expr) {
                ast::Expr::Exists { subquery, negated } => self.exists_conjunct(subquery, !*negated),
                _ => self.plain_conjunct(e, what, out),
            },
            ast::Expr::In { expr, target: ast::InTarget::Subquery(query), negated: false, .. } => {
                self.any_conjunct(expr, &ast::BinaryOperator::Eq, query)
            }
            ast::Expr::AnyOp { left, compare_op, right, .. } => match strip(right) {
                ast::Expr::Subquery(query) => self.any_conjunct(left, compare_op, query),
                _ => self.plain_conjunct(e, what, out),
            },
            _ => self.plain_conjunct(e, what, out),
        }
    }

    fn plain_conjunct(&mut self, e: &ast::Expr, what: &str, out: &mut Vec<Expr>) -> Result<()> {
        let bound = self.expr(e)?;
        let bound = self.condition(bound, what, e.span())?;
        out.extend(bound.into_conjuncts());
        Ok(())
    }

    fn exists_conjunct(&mut self, query: &ast::Query, negated: bool) -> Result<()> {
        let rel = self.query(query, Unknowns::Text)?;
        let kind = if negated { JoinKind::Anti } else { JoinKind::Semi };
        self.level().applies.push(PendingApply { kind, plan: rel.plan, on: vec![] });
        Ok(())
    }

    /// `left op ANY (query)` where only true counts.
    fn any_conjunct(&mut self, left: &ast::Expr, op: &ast::BinaryOperator, query: &ast::Query) -> Result<()> {
        let (plan, on) = self.any_parts(left, op, query, false)?;
        self.level().applies.push(PendingApply { kind: JoinKind::Semi, plan, on });
        Ok(())
    }

    /// EXISTS anywhere.
    pub(super) fn exists(&mut self, query: &ast::Query, negated: bool) -> Result<Expr> {
        let rel = self.query(query, Unknowns::Text)?;
        let mark = self.mark(rel.plan, vec![]);
        Ok(if negated { Expr::Not(Box::new(mark)) } else { mark })
    }

    fn mark(&mut self, plan: Plan, on: Vec<Expr>) -> Expr {
        let id = self.col();
        self.level().applies.push(PendingApply { kind: JoinKind::Mark(id), plan, on });
        Expr::Column { id, ty: SqlType::new(&def::BOOL) }
    }

    /// `left op ANY (query)` anywhere; `IN` is `= ANY`.
    pub(super) fn any_subquery(
        &mut self,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        query: &ast::Query,
    ) -> Result<Expr> {
        let (plan, on) = self.any_parts(left, op, query, false)?;
        Ok(self.mark(plan, on))
    }

    /// `left op ALL (query)`: no row for which the comparison is not true.
    pub(super) fn all_subquery(
        &mut self,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        query: &ast::Query,
    ) -> Result<Expr> {
        let (plan, on) = self.any_parts(left, op, query, true)?;
        Ok(Expr::Not(Box::new(self.mark(plan, on))))
    }

    /// The subquery's plan and the comparison of `left` with its columns.
    fn any_parts(
        &mut self,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        query: &ast::Query,
        negated: bool,
    ) -> Result<(Plan, Vec<Expr>)> {
        let lefts = match super::expr::as_row(left) {
            Some(parts) => parts.iter().map(|p| self.expr(p)).collect::<Result<Vec<_>>>()?,
            None => vec![self.expr(left)?],
        };
        let rel = self.query(query, Unknowns::Text)?;
        if rel.columns.len() != lefts.len() {
            let what = if rel.columns.len() > lefts.len() { "many" } else { "few" };
            let error = Error::new(SqlState::SYNTAX_ERROR, format!("subquery has too {what} columns"));
            return Err(self.locate_after(error, left));
        }
        let rights = rel.columns.iter().map(super::scope::ScopeColumn::expr).collect();
        let compared = self.compare_rows(op, lefts, rights, left.span())?;
        let on = if negated { vec![Expr::Not(Box::new(compared))] } else { compared.into_conjuncts() };
        Ok((rel.plan, on))
    }

    /// A scalar subquery.
    pub(super) fn scalar_subquery(&mut self, query: &ast::Query) -> Result<Expr> {
        let columns = self.single_row(query)?;
        match &columns[..] {
            [column] => Ok(column.clone()),
            _ => {
                let error = Error::new(SqlState::SYNTAX_ERROR, "subquery must return only one column");
                Err(self.locate_before(error, "(", query.span()))
            }
        }
    }

    /// The columns of a subquery of at most one row.
    pub(super) fn single_row(&mut self, query: &ast::Query) -> Result<Vec<Expr>> {
        let Rel { plan, columns } = self.query(query, Unknowns::Text)?;
        if columns.is_empty() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "subquery must return a column"));
        }
        self.level().applies.push(PendingApply { kind: JoinKind::Single, plan, on: vec![] });
        Ok(columns.iter().map(super::scope::ScopeColumn::expr).collect())
    }
}

/// An expression without its parentheses.
pub(super) fn strip(mut e: &ast::Expr) -> &ast::Expr {
    while let ast::Expr::Nested(inner) = e {
        e = inner;
    }
    e
}
