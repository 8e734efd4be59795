//! Casts between strings, and of every type to and from its text.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewBuilder};
use spg_expr::arity::{Str, map1};
use spg_expr::{BindArgs, CastDef, Column, EvalContext, Kernel, flatten};
use spg_types::{ColumnBuilder, Error, Result, SqlState, SqlType, def};

use super::cast;
use crate::text::to_text;

pub(super) static LIST: &[CastDef] = &[
    cast!(TEXT, VARCHAR, Implicit, relabel fit),
    cast!(TEXT, BPCHAR, Implicit, fit),
    cast!(TEXT, NAME, Implicit, name),
    cast!(VARCHAR, TEXT, Implicit, relabel fit),
    cast!(VARCHAR, VARCHAR, Implicit, relabel fit),
    cast!(VARCHAR, BPCHAR, Implicit, fit),
    cast!(VARCHAR, NAME, Implicit, name),
    // Columns hold character(n) without its trailing blanks, which is what it is as text.
    cast!(BPCHAR, TEXT, Implicit, relabel fit),
    cast!(BPCHAR, VARCHAR, Implicit, relabel fit),
    cast!(BPCHAR, BPCHAR, Implicit, relabel fit),
    cast!(BPCHAR, NAME, Implicit, name),
    cast!(NAME, TEXT, Implicit, relabel fit),
    cast!(NAME, VARCHAR, Assignment, relabel fit),
    cast!(NAME, BPCHAR, Assignment, fit),
    cast!(RECORD, TEXT, Assignment, relabel fit),
    cast!(RECORD, VARCHAR, Assignment, relabel fit),
];

/// To a string type: cut to its length where the cast is written, else 22001; `character(n)` loses trailing blanks.
fn fit(bind: &BindArgs<'_>, explicit: bool) -> Result<Arc<dyn Kernel>> {
    let ty = bind.return_type;
    let from = bind.arg_types[0];
    Ok(Arc::new(move |_: &EvalContext, args: &[Column], _: usize| -> Result<Column> {
        fitted(&args[0], from, ty, explicit)
    }))
}

fn fitted(column: &Column, from: SqlType, ty: SqlType, explicit: bool) -> Result<Column> {
    let blank_padded = ty.is(&def::BPCHAR);
    let max = match ty.typmod() {
        m if m >= 4 => m as usize - 4,
        _ => usize::MAX,
    };
    let trims = blank_padded && !from.is(&def::BPCHAR);
    if max == usize::MAX && !trims {
        return Ok(column.clone());
    }
    let array = flatten(column.inner())?;
    let texts = array.as_string_view();
    // Most values fit as they are.
    let fits = |row: usize| {
        let text = texts.value(row);
        text.len() <= max && !(trims && text.ends_with(' '))
    };
    if (0..texts.len()).all(|row| texts.is_null(row) || fits(row)) {
        return Ok(column.clone());
    }
    let mut out = StringViewBuilder::with_capacity(texts.len());
    for row in 0..texts.len() {
        if texts.is_null(row) {
            out.append_null();
            continue;
        }
        let mut text = texts.value(row);
        if let Some((cut, _)) = text.char_indices().nth(max) {
            if !explicit && text[cut..].bytes().any(|b| b != b' ') {
                let message = format!("value too long for type {ty}");
                return Err(Error::new(SqlState::STRING_DATA_RIGHT_TRUNCATION, message));
            }
            text = &text[..cut];
        }
        out.append_value(if blank_padded { text.trim_end_matches(' ') } else { text });
    }
    let array = Arc::new(out.finish());
    Ok(match column {
        Column::Const(_) => Column::Const(array),
        Column::Array(_) => Column::Array(array),
    })
}

fn name(bind: &BindArgs<'_>, _: bool) -> Result<Arc<dyn Kernel>> {
    const NAME_BYTES_MAX: usize = 63;
    map1::<Str, Str>(bind, |s| s[..s.floor_char_boundary(NAME_BYTES_MAX)].to_string())
}

/// Any type to a string type.
pub(super) fn write(bind: &BindArgs<'_>, explicit: bool) -> Result<Arc<dyn Kernel>> {
    let (from, ty) = (bind.arg_types[0], bind.return_type);
    if ty.is(&def::NAME) {
        let cut = name(bind, explicit)?;
        return Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
            cut.eval(ctx, &[to_text(ctx, &args[0], from)?], rows)
        }));
    }
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], _: usize| -> Result<Column> {
        fitted(&to_text(ctx, &args[0], from)?, SqlType::new(&def::TEXT), ty, explicit)
    }))
}

/// A string type to any type, by the type's text input.
pub(super) fn read(bind: &BindArgs<'_>, _: bool) -> Result<Arc<dyn Kernel>> {
    let ty = bind.return_type;
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], _: usize| -> Result<Column> {
        let array = flatten(args[0].inner())?;
        let texts = array.as_string_view();
        let mut out = ColumnBuilder::new(ty, texts.len());
        for row in 0..texts.len() {
            if texts.is_null(row) {
                out.append_null();
            } else {
                (ty.def.text_in)(texts.value(row), ty, &ctx.format, &mut out)?;
            }
        }
        Ok(match &args[0] {
            Column::Const(_) => Column::Const(out.finish()),
            Column::Array(_) => Column::Array(out.finish()),
        })
    }))
}
