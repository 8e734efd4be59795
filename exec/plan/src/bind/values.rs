//! VALUES: rows of expressions.

use spg_expr::Expr;
use spg_sql::ast::{self, Spanned as _};
use spg_types::{Result, SqlState, SqlType};

use super::Binder;
use super::query::{Rel, scope_column};
use super::scope::{Clause, Namespace};
use super::subquery::{PendingApply, apply_all};
use crate::{NamedExpr, OutCol, Plan};

/// A bound row and the subqueries in it.
pub(super) type Row = (Vec<Expr>, Vec<PendingApply>);

impl Binder<'_> {
    pub(super) fn values(&mut self, values: &ast::Values) -> Result<Rel> {
        let mut rows = vec![];
        for row in &values.rows {
            rows.push(self.values_row(&row.content)?);
        }
        let width = rows.first().map_or(0, |(r, _)| r.len());
        if let Some(at) = rows.iter().position(|(r, _)| r.len() != width) {
            let span = values.rows[at].content.first().map_or(spg_sql::Span::empty(), |e| e.span());
            return Err(self.error_at(
                span,
                SqlState::SYNTAX_ERROR,
                "VALUES lists must all be the same length",
            ));
        }
        let mut types = vec![];
        for at in 0..width {
            let column: Vec<SqlType> = rows.iter().map(|(r, _)| r[at].ty()).collect();
            types.push(self.common_type(&column, "VALUES")?);
        }
        // Column by column, as errors come in PostgreSQL.
        for (at, ty) in types.iter().enumerate() {
            for (row, _) in &mut rows {
                let value = std::mem::replace(&mut row[at], Expr::boolean(false));
                row[at] = self.convert_to_common(value, *ty, "VALUES")?;
            }
        }
        let names: Vec<String> = (1..=width).map(|n| format!("column{n}")).collect();
        Ok(self.rows(rows, &names, &types))
    }

    pub(super) fn values_row(&mut self, row: &[ast::Expr]) -> Result<Row> {
        let (row, level) = self.at_level(Namespace::default(), Clause::Values, |b| {
            row.iter().map(|e| b.expr(e)).collect::<Result<Vec<_>>>()
        })?;
        Ok((row, level.applies))
    }

    /// Rows as a plan: one operator, unless rows have subqueries of their own.
    pub(super) fn rows(&mut self, rows: Vec<Row>, names: &[String], types: &[SqlType]) -> Rel {
        let columns: Vec<_> =
            names.iter().zip(types).map(|(n, ty)| scope_column(n, self.col(), *ty)).collect();
        let out: Vec<OutCol> =
            columns.iter().map(|c| OutCol { id: c.id, name: c.name.clone(), ty: c.ty }).collect();
        if rows.iter().all(|(_, applies)| applies.is_empty()) {
            let rows = rows.into_iter().map(|(row, _)| row).collect();
            return Rel { plan: Plan::Values { columns: out, rows }, columns };
        }
        let mut inputs = vec![];
        for (row, applies) in rows {
            let mut exprs = vec![];
            let mut ids = vec![];
            for (expr, c) in row.into_iter().zip(&columns) {
                let id = self.col();
                ids.push(id);
                exprs.push(NamedExpr { out: OutCol { id, name: c.name.clone(), ty: expr.ty() }, expr });
            }
            inputs.push((Plan::Project { input: Box::new(apply_all(Plan::one_row(), applies)), exprs }, ids));
        }
        Rel { plan: Plan::Union { inputs, columns: out }, columns }
    }

    /// Refuses a number of values that does not fit the columns of an INSERT.
    pub(super) fn check_width(&self, values: usize, columns: usize, span: spg_sql::Span) -> Result<()> {
        let message = if values > columns {
            "INSERT has more expressions than target columns"
        } else {
            "INSERT has more target columns than expressions"
        };
        if values == columns { Ok(()) } else { Err(self.error_at(span, SqlState::SYNTAX_ERROR, message)) }
    }
}
