//! Rows as values: `ROW(a, b)` and a table's whole row, in the form that they are shown in.

use std::sync::Arc;

use arrow::array::{Array, StringViewBuilder};
use spg_expr::{BindArgs, Column, EvalContext};
use spg_types::Result;

use super::string::concat::all_written;
use crate::record::{functions, sig};

type Kernel = Arc<dyn spg_expr::Kernel>;

/// A field as it stands between the parentheses: in quotes where it is empty or has characters that mean something there.
fn field(text: &str, out: &mut String) {
    let special = |c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\\' | '(' | ')' | ',' | '\u{b}');
    if !text.is_empty() && !text.contains(special) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('"');
}

fn row(bind: &BindArgs<'_>) -> Result<Kernel> {
    let types = bind.arg_types.to_vec();
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let constant = args.iter().all(|a| matches!(a, Column::Const(_)));
        let rows = if constant { 1 } else { rows };
        let texts = all_written(ctx, args, &types)?;
        let mut out = StringViewBuilder::with_capacity(rows);
        let mut buf = String::new();
        for row in 0..rows {
            buf.clear();
            buf.push('(');
            for (i, (text, mask)) in texts.iter().enumerate() {
                if i > 0 {
                    buf.push(',');
                }
                if text.is_valid(row & mask) {
                    field(text.value(row & mask), &mut buf);
                }
            }
            buf.push(')');
            out.append_value(&buf);
        }
        let array = Arc::new(out.finish());
        Ok(if constant { Column::Const(array) } else { Column::Array(array) })
    }))
}

functions! {
    LENIENT ROW: "row", "The arguments as one value.", "row(1, 'a b', NULL)" => "(1,\"a b\",)", [
        sig!([ANY ..] => RECORD, row),
        sig!([] => RECORD, row),
    ];
}
