//! Quoting for use in SQL text.

use std::sync::Arc;

use spg_expr::arity::{Str, write1};
use spg_expr::{BindArgs, Column, EvalContext};
use spg_types::{Result, SqlType, def};

use crate::record::{functions, sig};
use crate::text::to_text;

type Kernel = Arc<dyn spg_expr::Kernel>;

/// Appends a literal that reads as the text.
pub(super) fn literal(s: &str, out: &mut String) {
    let backslash = s.contains('\\');
    if backslash {
        out.push('E');
    }
    out.push('\'');
    for c in s.chars() {
        if c == '\'' || c == '\\' {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
}

/// Appends an identifier that reads as the text.
pub(super) fn ident(s: &str, out: &mut String) {
    let plain = s.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !KEYWORDS.contains(&s);
    if plain {
        out.push_str(s);
        return;
    }
    out.push('"');
    out.push_str(&s.replace('"', "\"\""));
    out.push('"');
}

/// A literal of any value.
fn literal_of(bind: &BindArgs<'_>) -> Result<Kernel> {
    let ty = bind.arg_types[0];
    let quote = write1::<Str>(bind, |_, s, out| {
        literal(s, out);
        Ok(())
    })?;
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], rows: usize| -> Result<Column> {
        quote.eval(ctx, &[to_text(ctx, &args[0], ty)?], rows)
    }))
}

/// A literal of any value; NULL spelled out.
fn nullable(bind: &BindArgs<'_>) -> Result<Kernel> {
    let ty = bind.arg_types[0];
    Ok(Arc::new(move |ctx: &EvalContext, args: &[Column], _: usize| -> Result<Column> {
        use arrow::array::{AsArray, StringViewBuilder};
        let text = to_text(ctx, &args[0], ty)?;
        let flat = spg_expr::flatten(text.inner())?;
        let mut out = StringViewBuilder::with_capacity(flat.len());
        let mut buf = String::new();
        for value in flat.as_string_view().iter() {
            buf.clear();
            match value {
                Some(v) => literal(v, &mut buf),
                None => buf.push_str("NULL"),
            }
            out.append_value(&buf);
        }
        let array = Arc::new(out.finish());
        debug_assert!(SqlType::new(&def::TEXT).data_type() == arrow::datatypes::DataType::Utf8View);
        Ok(match text {
            Column::Const(_) => Column::Const(array),
            Column::Array(_) => Column::Array(array),
        })
    }))
}

functions! {
    TOTAL QUOTE_IDENT: "quote_ident", "The text as an identifier of SQL, quoted where needed.", "quote_ident('Foo bar')" => "\"Foo bar\"", [
        sig!([TEXT] => TEXT, |b| write1::<Str>(b, |_, s, out| {
            ident(s, out);
            Ok(())
        })),
    ];
    TOTAL QUOTE_LITERAL: "quote_literal", "The value as a literal of SQL.", "quote_literal('O''Reilly')" => "'O''Reilly'", [
        sig!([TEXT] => TEXT, literal_of),
        sig!([ANY] => TEXT, literal_of),
    ];
    LENIENT QUOTE_NULLABLE: "quote_nullable", "The value as a literal of SQL; NULL for NULL.", "quote_nullable(NULL)" => "NULL", [
        sig!([TEXT] => TEXT, nullable),
        sig!([ANY] => TEXT, nullable),
    ];
}

/// PostgreSQL's keywords that are not identifiers everywhere.
const KEYWORDS: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];
