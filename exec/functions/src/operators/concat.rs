//! `||`

use std::sync::Arc;

use spg_expr::arity::{Bytes, Str, map2, write2};
use spg_expr::{BindArgs, Column, EvalContext, Function, Kernel};
use spg_types::Result;

use crate::record::{FUNCTION, sig};
use crate::text::to_text;

/// `||`
pub(super) static CONCAT: Function = Function {
    name: "||",
    doc: "Texts or byte strings one after the other.",
    example: ("'Post' || 'greSQL'", "PostgreSQL"),
    infallible: true,
    signatures: &[
        sig!([TEXT, TEXT] => TEXT, texts),
        sig!([BYTEA, BYTEA] => BYTEA, |b| map2::<Bytes, Bytes, Bytes>(b, |x, y| [x, y].concat())),
        sig!([TEXT, ANY] => TEXT, with_any),
        sig!([ANY, TEXT] => TEXT, with_any),
    ],
    ..FUNCTION
};

fn texts(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    write2::<Str, Str>(bind, |_, a, b, out| {
        out.push_str(a);
        out.push_str(b);
        Ok(())
    })
}

/// One side is written as its type writes it.
fn with_any(bind: &BindArgs<'_>) -> Result<Arc<dyn Kernel>> {
    let types = [bind.arg_types[0], bind.arg_types[1]];
    let concat = texts(bind)?;
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let both = [to_text(ctx, &args[0], types[0])?, to_text(ctx, &args[1], types[1])?];
        concat.eval(ctx, &both, rows)
    }))
}
