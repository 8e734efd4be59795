//! UNION, INTERSECT, EXCEPT.

use spg_expr::{ColId, Expr};
use spg_sql::ast::{SetExpr, SetOperator, SetQuantifier};
use spg_types::{Error, Result, SqlState, SqlType};

use super::Binder;
use super::query::{Rel, scope_column};
use super::scope::ScopeColumn;
use super::select::Unknowns;
use crate::{NamedExpr, OutCol, Plan, SetOpKind};

impl Binder<'_> {
    pub(super) fn set_operation(&mut self, body: &SetExpr) -> Result<Rel> {
        let SetExpr::SetOperation { left, op, set_quantifier, right } = body else {
            return Err(Error::internal("not a set operation"));
        };
        let all = match set_quantifier {
            SetQuantifier::All => true,
            SetQuantifier::None | SetQuantifier::Distinct => false,
            _ => return Err(Error::unsupported("set operations BY NAME are not supported")),
        };
        let first = first_item(right);
        let left = self.set_expr(left, Unknowns::Keep)?;
        let right = self.set_expr(right, Unknowns::Keep)?;
        self.combine_sets(left, right, op, all).map_err(|e| match e.state() {
            // What the columns are, not what is in them.
            SqlState::SYNTAX_ERROR | SqlState::DATATYPE_MISMATCH => self.locate(e, first),
            _ => e,
        })
    }

    fn combine_sets(&mut self, left: Rel, right: Rel, op: &SetOperator, all: bool) -> Result<Rel> {
        let name = match op {
            SetOperator::Union => "UNION",
            SetOperator::Intersect => "INTERSECT",
            SetOperator::Except => "EXCEPT",
            SetOperator::Minus => return Err(Error::unsupported("MINUS is not supported")),
        };
        if left.columns.len() != right.columns.len() {
            let message = format!("each {name} query must have the same number of columns");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        let types = left
            .columns
            .iter()
            .zip(&right.columns)
            .map(|(l, r)| self.common_type(&[l.ty, r.ty], name))
            .collect::<Result<Vec<SqlType>>>()?;
        let names: Vec<String> = left.columns.iter().map(|c| c.name.clone()).collect();
        let left = self.converted(left, &types, name)?;
        let right = self.converted(right, &types, name)?;
        let columns: Vec<ScopeColumn> =
            names.iter().zip(&types).map(|(n, ty)| scope_column(n, self.col(), *ty)).collect();
        let out: Vec<OutCol> =
            columns.iter().map(|c| OutCol { id: c.id, name: c.name.clone(), ty: c.ty }).collect();
        let plan = match op {
            SetOperator::Union => {
                let union = Plan::Union { inputs: union_inputs(left, right, all), columns: out };
                if all { union } else { Plan::Distinct { input: Box::new(union), on: None } }
            }
            _ => Plan::SetOp {
                kind: if *op == SetOperator::Intersect { SetOpKind::Intersect } else { SetOpKind::Except },
                all,
                left: (Box::new(left.0), left.1),
                right: (Box::new(right.0), right.1),
                columns: out,
            },
        };
        Ok(Rel { plan, columns })
    }

    /// A side with its columns as the common types, and their ids in output order.
    pub(super) fn converted(
        &mut self,
        side: Rel,
        types: &[SqlType],
        what: &str,
    ) -> Result<(Plan, Vec<ColId>)> {
        let mut exprs: Vec<NamedExpr> = vec![];
        let mut ids = vec![];
        let mut changed = false;
        for (c, ty) in side.columns.iter().zip(types) {
            // Literals are in the projection just below.
            let source = match unknown_source(&side.plan, c.id) {
                Some(literal) if c.ty.is(&spg_types::def::UNKNOWN) => literal.clone(),
                _ => c.expr(),
            };
            let expr = self.convert_to_common(source, *ty, what)?;
            let id = match &expr {
                Expr::Column { id, .. } => *id,
                _ => {
                    changed = true;
                    self.col()
                }
            };
            if exprs.iter().all(|e| e.out.id != id) {
                exprs.push(NamedExpr { out: OutCol { id, name: c.name.clone(), ty: expr.ty() }, expr });
            }
            ids.push(id);
        }
        if !changed {
            return Ok((side.plan, ids));
        }
        Ok((Plan::Project { input: Box::new(side.plan), exprs }, ids))
    }
}

/// Where the first entry of a query's select list stands.
fn first_item(body: &SetExpr) -> spg_sql::Span {
    use spg_sql::ast::Spanned as _;
    match body {
        SetExpr::Select(s) => s.projection.first().map_or(spg_sql::Span::empty(), |i| i.span()),
        SetExpr::Query(q) => first_item(&q.body),
        SetExpr::SetOperation { left, .. } => first_item(left),
        SetExpr::Values(v) => {
            v.rows.first().and_then(|r| r.content.first()).map_or(spg_sql::Span::empty(), |e| e.span())
        }
        _ => spg_sql::Span::empty(),
    }
}

/// The literal that a column of a query is, where its projection (under sorts and limits) shows one.
pub(super) fn unknown_source(plan: &Plan, id: ColId) -> Option<&Expr> {
    match plan {
        Plan::Project { exprs, input } => exprs.iter().find(|e| e.out.id == id).and_then(|e| match &e.expr {
            Expr::Column { id: below, .. } => unknown_source(input, *below),
            e => Some(e),
        }),
        Plan::Sort { input, .. } | Plan::Limit { input, .. } | Plan::Distinct { input, .. } => {
            unknown_source(input, id)
        }
        _ => None,
    }
}

/// Chained UNION ALLs are one.
fn union_inputs(left: (Plan, Vec<ColId>), right: (Plan, Vec<ColId>), all: bool) -> Vec<(Plan, Vec<ColId>)> {
    match left {
        (Plan::Union { mut inputs, columns }, ids)
            if all && columns.iter().map(|c| c.id).eq(ids.iter().copied()) =>
        {
            inputs.push(right);
            inputs
        }
        left => vec![left, right],
    }
}
