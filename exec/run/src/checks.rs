//! NOT NULL and CHECK: what a row must satisfy by itself before it goes into a table.

use arrow::array::{Array, ArrayRef, AsArray};
use spg_expr::{Column, Compiled, EvalContext, flatten};
use spg_plan::Modify;
use spg_types::{Error, Result, SqlState, TableRef};

/// Longest text of a value in "Failing row contains".
const SHOWN_BYTES: usize = 64;

/// The constraints of one table on single rows.
pub struct RowChecks {
    table: TableRef,
    checks: Vec<(String, Compiled)>,
}

impl RowChecks {
    /// The checks that rows of `modify` have to pass.
    pub fn new(modify: &Modify) -> Result<Self> {
        let position = |id| modify.values.iter().position(|v| *v == Some(id));
        let checks = modify
            .checks
            .iter()
            .map(|(name, expr)| Ok((name.clone(), Compiled::new(expr, &position)?)))
            .collect::<Result<_>>()?;
        Ok(Self { table: modify.table.clone(), checks })
    }

    /// Tests new rows, one array per column of the table. 23502 or 23514 with the number of the first row that
    /// violates a constraint.
    pub fn check(&self, ctx: &EvalContext, columns: &[ArrayRef], rows: usize) -> Result<(), (Error, usize)> {
        for (def, array) in self.table.columns.iter().zip(columns) {
            if def.not_null
                && array.null_count() > 0
                && let Some(row) = (0..rows).find(|&row| array.is_null(row))
            {
                let (table, column) = (&self.table.name, &def.name);
                let message = format!(
                    "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
                );
                let error = Error::new(SqlState::NOT_NULL_VIOLATION, message)
                    .with_detail(self.failing_row(ctx, columns, row))
                    .with_relation(&self.table.schema, table)
                    .with_column(column);
                return Err((error, row));
            }
        }
        if self.checks.is_empty() {
            return Ok(());
        }
        let inputs: Vec<Column> = columns.iter().map(|c| Column::Array(c.clone())).collect();
        for (name, check) in &self.checks {
            let answer = check.eval(ctx, &inputs, rows).and_then(|c| c.to_array(rows)).map_err(|e| (e, 0))?;
            let Some(answer) = answer.as_boolean_opt() else {
                return Err((Error::internal("a check is not boolean"), 0));
            };
            if let Some(row) = (0..rows).find(|&row| answer.is_valid(row) && !answer.value(row)) {
                let table = &self.table.name;
                let message =
                    format!("new row for relation \"{table}\" violates check constraint \"{name}\"");
                let error = Error::new(SqlState::CHECK_VIOLATION, message)
                    .with_detail(self.failing_row(ctx, columns, row))
                    .with_relation(&self.table.schema, table)
                    .with_constraint(name);
                return Err((error, row));
            }
        }
        Ok(())
    }

    fn failing_row(&self, ctx: &EvalContext, columns: &[ArrayRef], row: usize) -> String {
        let values: Vec<String> = self
            .table
            .columns
            .iter()
            .zip(columns)
            .map(|(def, array)| {
                if array.is_null(row) {
                    return "null".to_owned();
                }
                let one = array.slice(row, 1);
                let Ok(one) = flatten(&one) else { return String::new() };
                let mut text = Vec::new();
                (def.ty.def.text_out)(&one, def.ty, &ctx.format)(0, &mut text);
                let text = String::from_utf8_lossy(&text);
                if text.len() <= SHOWN_BYTES {
                    return text.into_owned();
                }
                format!("{}...", &text[..text.floor_char_boundary(SHOWN_BYTES)])
            })
            .collect();
        format!("Failing row contains ({}).", values.join(", "))
    }
}
