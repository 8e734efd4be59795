//! ALTER TABLE ... ADD COLUMN, DROP COLUMN and ADD CHECK: what they do to the rows there are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use spg_expr::{ColId, Column, Compiled, Expr, Volatility};
use spg_types::{ColumnDef, Error, Result, SqlState, TableDef, TableId};

use crate::client::{Client, Notice};
use crate::ddl::{contains_nulls, current, referring};
use crate::session::Session;

/// Adds a column. A default that is the same for every row is stored once per row group; one that is not (`random()`) is
/// computed per row, and every row is written anew.
pub(crate) fn add(session: &mut Session, table: &TableDef, column: &ColumnDef, value: &Expr) -> Result<()> {
    let context = session.context(&Arc::from([]));
    let mut per_row = false;
    value.visit(&mut |e| {
        per_row |= matches!(e, Expr::Call { function, .. } if function.volatility == Volatility::Volatile);
    });
    let snapshot = session.snapshot();
    let before =
        snapshot.table(table.id).ok_or_else(|| Error::internal("a table vanished under its lock"))?;
    let per_row = per_row && before.rows() > 0;
    let compiled = Compiled::new(value, &|_| None)?;
    let one: ArrayRef = if per_row {
        arrow::array::new_null_array(&column.ty.data_type(), 1)
    } else {
        spg_expr::flatten(&compiled.eval(&context, &[], 1)?.to_array(1)?)?
    };
    if column.not_null && !per_row && one.is_null(0) && before.rows() > 0 {
        return Err(contains_nulls(table, &column.name));
    }
    let write = session.begin_if_needed().write()?;
    write.add_column(table.id, column.clone(), one)?;
    if !per_row {
        return Ok(());
    }
    write.truncate(table.id)?;
    for group in before.row_groups() {
        let mask = group.live_mask().map(|m| arrow::array::BooleanArray::new(m, None));
        let live = |array: &ArrayRef| match &mask {
            Some(mask) => Ok(arrow::compute::filter(array, mask)?),
            None => Ok::<_, Error>(array.clone()),
        };
        let mut columns = group.columns()?.iter().map(live).collect::<Result<Vec<_>>>()?;
        let rows = group.live_rows();
        let added = compiled.eval(&context, &[], rows)?.to_array(rows)?;
        if column.not_null && added.logical_null_count() > 0 {
            return Err(contains_nulls(table, &column.name));
        }
        columns.push(added);
        write.append(table.id, columns)?;
    }
    write.end_statement()
}

/// Drops a column with the indexes and constraints it is part of.
pub(crate) fn drop(
    session: &mut Session,
    mut def: TableDef,
    at: usize,
    checks: &[String],
    cascade: bool,
    client: &mut dyn Client,
) -> Result<()> {
    let id = def.id;
    if def.columns.len() == 1 {
        return Err(Error::unsupported("dropping a table's only column is not supported"));
    }
    for (referrer, key) in referring(session, id) {
        if !key.ref_columns.contains(&at) {
            continue;
        }
        let dependent = format!("constraint {} on table {}", key.name, referrer.name);
        if !cascade {
            let column = format!("column {} of table {}", def.columns[at].name, def.name);
            let message = format!("cannot drop {column} because other objects depend on it");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .with_detail(format!("{dependent} depends on {column}"))
                .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        client.notice(&Notice::notice(format!("drop cascades to {dependent}")))?;
        let mut other = current(session, referrer.id)?;
        other.foreign_keys.retain(|k| k.name != key.name);
        session.begin_if_needed().write()?.replace_table_def(other)?;
    }
    let before = (def.indexes.len(), def.checks.len(), def.foreign_keys.len());
    def.indexes.retain(|i| i.columns.iter().all(|c| c.column != at));
    def.checks.retain(|c| !checks.contains(&c.name));
    def.foreign_keys
        .retain(|k| !(k.columns.contains(&at) || (k.ref_table == id && k.ref_columns.contains(&at))));
    let after = (def.indexes.len(), def.checks.len(), def.foreign_keys.len());
    let write = session.begin_if_needed().write()?;
    if before != after {
        write.replace_table_def(def)?;
    }
    write.drop_column(id, at)
}

/// 23514 when a row does not satisfy a new CHECK.
pub(crate) fn check_rows(
    session: &mut Session,
    id: TableId,
    name: &str,
    condition: &Expr,
    columns: &[ColId],
) -> Result<()> {
    let snapshot = session.snapshot();
    let Some(table) = snapshot.table(id).filter(|t| t.rows() > 0) else { return Ok(()) };
    let context = session.context(&Arc::from([]));
    let position = |id| columns.iter().position(|c| *c == id);
    let compiled = Compiled::new(condition, &position)?;
    for group in table.row_groups() {
        let inputs: Vec<Column> = group.columns()?.into_iter().map(Column::Array).collect();
        let answer = compiled.eval(&context, &inputs, group.len())?.to_array(group.len())?;
        let answer = answer.as_boolean_opt().ok_or_else(|| Error::internal("a check is not boolean"))?;
        if (0..group.len()).any(|i| group.is_live(i) && answer.is_valid(i) && !answer.value(i)) {
            let relation = &table.def().name;
            let message =
                format!("check constraint \"{name}\" of relation \"{relation}\" is violated by some row");
            return Err(Error::new(SqlState::CHECK_VIOLATION, message)
                .with_relation(&table.def().schema, relation)
                .with_constraint(name));
        }
    }
    Ok(())
}
