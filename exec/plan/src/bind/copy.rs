//! COPY: its options checked and its source bound.

use spg_expr::{ColId, Expr};
use spg_sql::ast::{CopySource as Source, CopyTarget};
use spg_sql::own::{self, OptionValue};
use spg_sql::{Span, ast, fold};
use spg_types::{Error, Result, SqlState, TableRef};

use super::Binder;
use super::bound::{BoundKind, Copy, CopyDirection, CopyFormat, CopyOptions, CopySource, Query, QueryTag};
use super::from::passed;
use super::query::Rel;
use super::scope::ScopeColumn;
use super::select::{Unknowns, keep_only};
use crate::{CteId, ModifyKind, NamedExpr, OutCol, Plan};

/// COPY's options as written.
#[derive(Default)]
struct Written {
    format: Option<CopyFormat>,
    delimiter: Option<String>,
    null: Option<String>,
    header: Option<Header>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: Option<OptionValue>,
    force_not_null: Option<OptionValue>,
    force_null: Option<OptionValue>,
}

#[derive(Clone, Copy, PartialEq)]
enum Header {
    No,
    Yes,
    Match,
}

impl Binder<'_> {
    pub(super) fn copy(&mut self, c: &own::Copy) -> Result<BoundKind> {
        match (&c.target, c.to) {
            (CopyTarget::Stdin, false) | (CopyTarget::Stdout, true) => {}
            // PostgreSQL reads FROM STDOUT and TO STDIN as what is meant.
            (CopyTarget::Stdout, false) | (CopyTarget::Stdin, true) => {}
            (CopyTarget::Program { .. }, _) => {
                return Err(Error::unsupported("COPY with PROGRAM is not supported"));
            }
            (CopyTarget::File { .. }, _) => {
                return Err(Error::unsupported("COPY with a file on the server is not supported")
                    .with_hint("Use STDIN or STDOUT; psql's \\copy does."));
            }
        }
        let written = self.written_options(c)?;
        match &c.source {
            Source::Query(query) => {
                let rel = self.query(query, Unknowns::Text)?;
                let names: Vec<String> = rel.columns.iter().map(|c| c.name.clone()).collect();
                let options = self.copy_options(written, &names, c.to)?;
                let query = self.finish_query(rel, QueryTag::Select);
                Ok(BoundKind::Copy(Copy {
                    source: CopySource::Query(query),
                    direction: CopyDirection::Out,
                    options,
                    insert: None,
                    select: None,
                }))
            }
            Source::Table { table_name, columns } => {
                let table = self.table_for(table_name, |r| {
                    let way = if c.to { "from" } else { "to" };
                    let message = format!("cannot copy {way} view \"{}\"", r.name);
                    let hint = if c.to {
                        "Try the COPY (SELECT ...) TO variant."
                    } else {
                        "To enable copying to a view, provide an INSTEAD OF INSERT trigger."
                    };
                    Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(hint)
                })?;
                let columns = self.copied_columns(&table, columns)?;
                let names: Vec<String> = columns.iter().map(|c| table.columns[*c].name.clone()).collect();
                let options = self.copy_options(written, &names, c.to)?;
                let (direction, insert, select) = if c.to {
                    (CopyDirection::Out, None, Some(self.copy_out(&table, &columns)))
                } else {
                    (CopyDirection::In, Some(self.copy_in(&table, &columns)?), None)
                };
                let source = CopySource::Table { table, columns };
                Ok(BoundKind::Copy(Copy { source, direction, options, insert, select }))
            }
        }
    }

    fn copied_columns(&self, table: &TableRef, written: &[ast::Ident]) -> Result<Vec<usize>> {
        let mut columns = vec![];
        for ident in written {
            let name = fold(ident);
            let at = self.column_of(table, &name, ident.span)?;
            if columns.contains(&at) {
                let message = format!("column \"{name}\" specified more than once");
                return Err(self.error_at(ident.span, SqlState::DUPLICATE_COLUMN, message));
            }
            columns.push(at);
        }
        Ok(if written.is_empty() { (0..table.columns.len()).collect() } else { columns })
    }

    /// A query of a table's columns.
    fn copy_out(&mut self, table: &TableRef, columns: &[usize]) -> Query {
        let (scan, relation) = self.scan(table);
        let columns: Vec<ScopeColumn> = columns.iter().map(|c| relation.columns[*c].clone()).collect();
        let plan = keep_only(Plan::Scan(scan), &columns);
        self.finish_query(Rel { plan, columns }, QueryTag::Select)
    }

    /// An INSERT of rows that a scan named `copy` gives.
    fn copy_in(&mut self, table: &TableRef, columns: &[usize]) -> Result<Query> {
        let copied: Vec<OutCol> = columns
            .iter()
            .map(|&c| OutCol { id: self.col(), name: table.columns[c].name.clone(), ty: table.columns[c].ty })
            .collect();
        let mut exprs: Vec<NamedExpr> = vec![];
        let mut values: Vec<ColId> = vec![];
        for at in 0..table.columns.len() {
            let named = match columns.iter().position(|c| *c == at) {
                Some(place) => passed(copied[place].clone()),
                None => {
                    let expr: Expr = self.default_of(table, at)?;
                    let ty = expr.ty();
                    NamedExpr {
                        out: OutCol { id: self.col(), name: table.columns[at].name.clone(), ty },
                        expr,
                    }
                }
            };
            values.push(named.out.id);
            exprs.push(named);
        }
        let columns = copied.into_iter().enumerate().map(|(at, c)| (c, at)).collect();
        let rows = Plan::CteScan { cte: CteId(0), name: "copy".into(), columns };
        let plan = Plan::Project { input: Box::new(rows), exprs };
        let modify = self.modify(table.clone(), ModifyKind::Insert, plan, values)?;
        Ok(self.finish_query(Rel { plan: Plan::Modify(modify), columns: vec![] }, QueryTag::Insert))
    }

    fn written_options(&self, c: &own::Copy) -> Result<Written> {
        let mut w = Written::default();
        for (name, value) in &c.options {
            let repeated = match name.value.as_str() {
                "format" => set(&mut w.format, self.format(text_of(name, value)?, name.span)?),
                "delimiter" => set(&mut w.delimiter, text_of(name, value)?),
                "null" => set(&mut w.null, text_of(name, value)?),
                "header" => set(&mut w.header, header(value, c.to)?),
                "quote" => set(&mut w.quote, text_of(name, value)?),
                "escape" => set(&mut w.escape, text_of(name, value)?),
                "force_quote" => set(&mut w.force_quote, self.column_list(name, value)?),
                "force_not_null" => set(&mut w.force_not_null, self.column_list(name, value)?),
                "force_null" => set(&mut w.force_null, self.column_list(name, value)?),
                "encoding" => {
                    let encoding = text_of(name, value)?;
                    if !["utf8", "utf-8", "unicode"].contains(&encoding.to_lowercase().as_str()) {
                        return Err(Error::unsupported(format!(
                            "COPY with encoding \"{encoding}\" is not supported"
                        )));
                    }
                    false
                }
                "freeze" => false,
                "where" => return Err(Error::unsupported("COPY FROM with WHERE is not supported")),
                other => {
                    let message = format!("option \"{other}\" not recognized");
                    return Err(self.error_at(name.span, SqlState::SYNTAX_ERROR, message));
                }
            };
            if repeated {
                return Err(self.error_at(
                    name.span,
                    SqlState::SYNTAX_ERROR,
                    "conflicting or redundant options",
                ));
            }
        }
        Ok(w)
    }

    fn format(&self, format: String, span: Span) -> Result<CopyFormat> {
        match format.to_lowercase().as_str() {
            "text" => Ok(CopyFormat::Text),
            "csv" => Ok(CopyFormat::Csv),
            "binary" => Ok(CopyFormat::Binary),
            _ => {
                let message = format!("COPY format \"{format}\" not recognized");
                Err(self.error_at(span, SqlState::INVALID_PARAMETER_VALUE, message))
            }
        }
    }

    fn column_list(&self, name: &ast::Ident, value: &OptionValue) -> Result<OptionValue> {
        match value {
            OptionValue::All | OptionValue::List(_) => Ok(value.clone()),
            _ => {
                let message = format!("argument to option \"{}\" must be a list of column names", name.value);
                Err(self.error_at(name.span, SqlState::INVALID_PARAMETER_VALUE, message))
            }
        }
    }

    /// All options, with PostgreSQL's defaults and its rules on combinations.
    fn copy_options(&self, w: Written, columns: &[String], to: bool) -> Result<CopyOptions> {
        let format = w.format.unwrap_or(CopyFormat::Text);
        let csv = format == CopyFormat::Csv;
        let wrong = |m: String| Err(Error::unsupported(m));
        if format == CopyFormat::Binary && w.delimiter.is_some() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "cannot specify DELIMITER in BINARY mode"));
        }
        if format == CopyFormat::Binary && w.null.is_some() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "cannot specify NULL in BINARY mode"));
        }
        if format == CopyFormat::Binary && w.header.is_some_and(|h| h != Header::No) {
            return wrong("cannot specify HEADER in BINARY mode".into());
        }
        let only_csv = [
            (w.quote.is_some(), "quote"),
            (w.escape.is_some(), "escape"),
            (w.force_quote.is_some(), "force quote"),
            (w.force_not_null.is_some(), "force not null"),
            (w.force_null.is_some(), "force null"),
        ];
        if let Some((_, what)) = only_csv.iter().find(|(used, _)| *used && !csv) {
            return wrong(format!("COPY {what} available only in CSV mode"));
        }
        let delimiter = one_byte(w.delimiter.as_deref(), if csv { b',' } else { b'\t' }, "delimiter")?;
        let quote = one_byte(w.quote.as_deref(), b'"', "quote")?;
        let escape = one_byte(w.escape.as_deref(), quote, "escape")?;
        let null = w.null.unwrap_or_else(|| if csv { String::new() } else { "\\N".into() });
        check_characters(delimiter, quote, &null, csv)?;
        if w.force_quote.is_some() && !to {
            return wrong("COPY force quote only available using COPY TO".into());
        }
        if w.force_not_null.is_some() && to {
            return wrong("COPY force not null only available using COPY FROM".into());
        }
        if w.force_null.is_some() && to {
            return wrong("COPY force null only available using COPY FROM".into());
        }
        let header = w.header.unwrap_or(Header::No);
        Ok(CopyOptions {
            format,
            delimiter,
            null,
            header: header != Header::No,
            header_match: header == Header::Match,
            quote,
            escape,
            force_quote: self.forced(w.force_quote, columns, "FORCE_QUOTE")?,
            force_not_null: self.forced(w.force_not_null, columns, "FORCE_NOT_NULL")?,
            force_null: self.forced(w.force_null, columns, "FORCE_NULL")?,
        })
    }

    /// Per copied column, whether a list names it.
    fn forced(&self, list: Option<OptionValue>, columns: &[String], what: &str) -> Result<Vec<bool>> {
        let mut forced = vec![false; columns.len()];
        match list {
            Some(OptionValue::All) => forced.fill(true),
            Some(OptionValue::List(idents)) => {
                for ident in idents {
                    let name = fold(&ident);
                    let Some(at) = columns.iter().position(|c| *c == name) else {
                        let message = format!("{what} column \"{name}\" not referenced by COPY");
                        return Err(self.error_at(ident.span, SqlState::INVALID_COLUMN_REFERENCE, message));
                    };
                    forced[at] = true;
                }
            }
            _ => {}
        }
        Ok(forced)
    }
}

/// Sets an option; whether it was set before.
fn set<T>(option: &mut Option<T>, value: T) -> bool {
    option.replace(value).is_some()
}

fn text_of(name: &ast::Ident, value: &OptionValue) -> Result<String> {
    match value {
        OptionValue::Text(text) => Ok(text.clone()),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("{} requires a parameter", name.value))),
    }
}

fn header(value: &OptionValue, to: bool) -> Result<Header> {
    let text = match value {
        OptionValue::None => return Ok(Header::Yes),
        OptionValue::Text(text) => text.to_lowercase(),
        _ => String::new(),
    };
    match text.as_str() {
        "true" | "on" | "1" => Ok(Header::Yes),
        "false" | "off" | "0" => Ok(Header::No),
        "match" if to => Err(Error::unsupported("cannot use \"match\" with HEADER in COPY TO")),
        "match" => Ok(Header::Match),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, "header requires a Boolean value or \"match\"")),
    }
}

fn one_byte(text: Option<&str>, default: u8, what: &str) -> Result<u8> {
    match text.map(str::as_bytes) {
        None => Ok(default),
        Some([byte]) => Ok(*byte),
        Some(_) => Err(Error::unsupported(format!("COPY {what} must be a single one-byte character"))),
    }
}

fn check_characters(delimiter: u8, quote: u8, null: &str, csv: bool) -> Result<()> {
    let invalid = |m: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, m));
    let unsupported = |m: &str| Err(Error::unsupported(m));
    if matches!(delimiter, b'\n' | b'\r') {
        return invalid("COPY delimiter cannot be newline or carriage return");
    }
    if null.contains(['\n', '\r']) {
        return invalid("COPY null representation cannot use newline or carriage return");
    }
    if !csv
        && (delimiter.is_ascii_lowercase()
            || delimiter.is_ascii_digit()
            || delimiter == b'.'
            || delimiter == b'\\')
    {
        return invalid(&format!("COPY delimiter cannot be \"{}\"", char::from(delimiter)));
    }
    if csv && delimiter == quote {
        return invalid("COPY delimiter and quote must be different");
    }
    if null.as_bytes().contains(&delimiter) {
        return unsupported("COPY delimiter must not appear in the NULL specification");
    }
    if csv && null.as_bytes().contains(&quote) {
        return unsupported("CSV quote character must not appear in the NULL specification");
    }
    Ok(())
}
