//! Any value as the text that its type writes.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewArray, StringViewBuilder};
use spg_expr::{Column, EvalContext, flatten};
use spg_types::{Error, Repr, Result, SqlType, def};

/// The column as a cast to text gives it: texts stay what they are (`character(n)` without its trailing blanks),
/// truth values are spelled out.
pub(crate) fn to_text(ctx: &EvalContext, column: &Column, ty: SqlType) -> Result<Column> {
    match ty.repr() {
        Repr::Text => Ok(column.clone()),
        Repr::Bool => {
            let spelled = |v: Option<bool>| v.map(|v| if v { "true" } else { "false" });
            let array: StringViewArray = column.inner().as_boolean().iter().map(spelled).collect();
            Ok(match column {
                Column::Const(_) => Column::Const(Arc::new(array)),
                Column::Array(_) => Column::Array(Arc::new(array)),
            })
        }
        _ => written(ctx, column, ty),
    }
}

/// The column as its type writes it: `character(n)` with its blanks.
pub(crate) fn written(ctx: &EvalContext, column: &Column, ty: SqlType) -> Result<Column> {
    if ty.repr() == Repr::Text && !ty.is(&def::BPCHAR) {
        return Ok(column.clone());
    }
    let array = flatten(column.inner())?;
    let write = (ty.def.text_out)(array.as_ref(), ty, &ctx.format);
    let mut out = StringViewBuilder::with_capacity(array.len());
    let mut buf = vec![];
    for row in 0..array.len() {
        if array.is_null(row) {
            out.append_null();
            continue;
        }
        buf.clear();
        write(row, &mut buf);
        out.append_value(
            std::str::from_utf8(&buf).map_err(|_| Error::internal("a type wrote what is no text"))?,
        );
    }
    drop(write);
    let array = Arc::new(out.finish());
    Ok(match column {
        Column::Const(_) => Column::Const(array),
        Column::Array(_) => Column::Array(array),
    })
}
