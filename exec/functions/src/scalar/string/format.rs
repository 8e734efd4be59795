//! `format`

use std::sync::Arc;

use arrow::array::{Array, StringViewArray, StringViewBuilder};
use spg_expr::{BindArgs, Column, EvalContext};
use spg_types::{Error, Result, SqlState};

use super::concat::all_written;
use super::length::chars;
use super::quote::{ident, literal};
use crate::error::invalid_parameter;
use crate::record::{functions, sig};

type Kernel = Arc<dyn spg_expr::Kernel>;

fn bind(bind: &BindArgs<'_>) -> Result<Kernel> {
    let types = bind.arg_types.to_vec();
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        let constant = args.iter().all(|a| matches!(a, Column::Const(_)));
        let rows = if constant { 1 } else { rows };
        let texts = all_written(ctx, args, &types)?;
        let mut out = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            let value = |at: usize| texts.get(at).map(|(a, mask)| text_at(a, row & mask));
            match value(0).flatten() {
                Some(format) => out.append_value(formatted(format, &|at| value(at + 1))?),
                None => out.append_null(),
            }
        }
        let array = Arc::new(out.finish());
        Ok(if constant { Column::Const(array) } else { Column::Array(array) })
    }))
}

fn text_at(array: &StringViewArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

/// A conversion: `%[position$][flags][width]type`.
#[derive(Default)]
struct Conversion {
    position: Option<usize>,
    left: bool,
    width: usize,
}

fn unterminated() -> Error {
    invalid_parameter("unterminated format() type specifier").with_hint("For a single \"%\" use \"%%\".")
}

/// `argument(n)` is the n-th argument after the format: `None` when there is none, NULL as `Some(None)`.
fn formatted<'a>(format: &str, argument: &dyn Fn(usize) -> Option<Option<&'a str>>) -> Result<String> {
    let mut out = String::with_capacity(format.len());
    let mut next = 0;
    let mut chars = format.chars().peekable();
    let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| -> Result<Option<usize>> {
        let mut value = None;
        while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
            chars.next();
            let more = value.unwrap_or(0usize) * 10 + d as usize;
            if more > i32::MAX as usize {
                return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range"));
            }
            value = Some(more);
        }
        Ok(value)
    };
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut conversion = Conversion::default();
        if let Some(n) = number(&mut chars)? {
            if chars.next_if_eq(&'$').is_some() {
                if n == 0 {
                    return Err(invalid_parameter(
                        "format specifies argument 0, but arguments are numbered from 1",
                    ));
                }
                conversion.position = Some(n - 1);
            } else {
                conversion.width = n;
            }
        }
        while chars.next_if_eq(&'-').is_some() {
            conversion.left = true;
        }
        if conversion.width == 0 {
            conversion.width = number(&mut chars)?.unwrap_or(0);
        }
        if chars.next_if_eq(&'*').is_some() {
            return Err(Error::unsupported("format() with a width from an argument is not supported"));
        }
        let Some(kind) = chars.next() else { return Err(unterminated()) };
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(invalid_parameter(format!("unrecognized format() type specifier \"{kind}\""))
                .with_hint("For a single \"%\" use \"%%\"."));
        }
        let at = conversion.position.unwrap_or(next);
        next = at + 1;
        let Some(value) = argument(at) else {
            return Err(invalid_parameter("too few arguments for format()"));
        };
        put(kind, value, &conversion, &mut out)?;
    }
    Ok(out)
}

fn put(kind: char, value: Option<&str>, conversion: &Conversion, out: &mut String) -> Result<()> {
    let mut text = String::new();
    match (kind, value) {
        ('s', value) => text.push_str(value.unwrap_or_default()),
        ('I', Some(value)) => ident(value, &mut text),
        ('I', None) => {
            let message = "null values cannot be formatted as an SQL identifier";
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        }
        (_, Some(value)) => literal(value, &mut text),
        (_, None) => text.push_str("NULL"),
    }
    let missing = conversion.width.saturating_sub(chars(&text));
    let blanks = std::iter::repeat_n(' ', missing);
    if conversion.left {
        out.push_str(&text);
        out.extend(blanks);
    } else {
        out.extend(blanks);
        out.push_str(&text);
    }
    Ok(())
}

functions! {
    LENIENT FORMAT: "format", "The format with %s, %I and %L replaced by arguments as text, identifier and literal.", "format('Hello %s, %1$s', 'World')" => "Hello World, World", [
        sig!([TEXT] => TEXT, bind),
        sig!([TEXT, ANY ..] => TEXT, bind),
    ];
}
