//! `concat` and `concat_ws`

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringViewArray, StringViewBuilder};
use spg_expr::{BindArgs, Column, EvalContext, flatten};
use spg_types::{Result, SqlType};

use crate::record::{functions, sig};
use crate::text::written;

type Kernel = Arc<dyn spg_expr::Kernel>;

/// Any arguments as the texts that their types write; the mask of a constant is 0.
pub(in crate::scalar) fn all_written(
    ctx: &EvalContext,
    args: &[Column],
    types: &[SqlType],
) -> Result<Vec<(StringViewArray, usize)>> {
    args.iter()
        .zip(types)
        .map(|(arg, ty)| {
            let mask = if matches!(arg, Column::Const(_)) { 0 } else { usize::MAX };
            Ok((flatten(written(ctx, arg, *ty)?.inner())?.as_string_view().clone(), mask))
        })
        .collect()
}

fn join(bind: &BindArgs<'_>, separated: bool) -> Result<Kernel> {
    let types = bind.arg_types.to_vec();
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let constant = args.iter().all(|a| matches!(a, Column::Const(_)));
        let rows = if constant { 1 } else { rows };
        let texts = all_written(ctx, args, &types)?;
        let (separator, values) = if separated { (texts.first(), &texts[1..]) } else { (None, &texts[..]) };
        let mut out = StringViewBuilder::with_capacity(rows);
        let mut buf = String::new();
        for row in 0..rows {
            buf.clear();
            let between = match separator {
                Some((s, mask)) if s.is_null(row & mask) => {
                    out.append_null();
                    continue;
                }
                Some((s, mask)) => s.value(row & mask),
                None => "",
            };
            let mut first = true;
            for (text, mask) in values {
                if text.is_null(row & mask) {
                    continue;
                }
                if !first {
                    buf.push_str(between);
                }
                buf.push_str(text.value(row & mask));
                first = false;
            }
            out.append_value(&buf);
        }
        let array = Arc::new(out.finish());
        Ok(if constant { Column::Const(array) } else { Column::Array(array) })
    }))
}

functions! {
    LENIENT CONCAT: "concat", "The texts of all arguments one after the other; NULL counts as nothing.", "concat('abcde', 2, NULL, 22)" => "abcde222", [
        sig!([ANY ..] => TEXT, |b| join(b, false)),
    ];
    LENIENT CONCAT_WS: "concat_ws", "The texts of all arguments that are not NULL, with the first argument between them.", "concat_ws(',', 'abcde', 2, NULL, 22)" => "abcde,2,22", [
        sig!([TEXT, ANY ..] => TEXT, |b| join(b, true)),
    ];
}
