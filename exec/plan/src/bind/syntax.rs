//! Functions with a syntax of their own: LIKE, EXTRACT, SUBSTRING, AT TIME ZONE, COALESCE and the like; and calls by name.

use spg_expr::Expr;
use spg_sql::ast::{self, Expr as E, Spanned as _};
use spg_sql::{Span, folded_name};
use spg_types::{Datum, Error, Result, SqlState, SqlType, def, type_by_name};

use super::Binder;
use super::call::Callee;
use super::data_type::{interval_mask, interval_type};
use super::expr::negate;
use super::literal::integer;
use super::scope::{Clause, PendingSet};
use crate::OutCol;

impl Binder<'_> {
    pub(super) fn special_syntax(&mut self, e: &E) -> Result<Expr> {
        let span = e.span();
        match e {
            E::Like { negated, any: true, expr, pattern, escape_char: None } => {
                self.like_items("~~", expr, pattern, *negated, true)
            }
            E::ILike { negated, any: true, expr, pattern, escape_char: None } => {
                self.like_items("~~*", expr, pattern, *negated, true)
            }
            E::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like("~~", expr, pattern, escape_char.as_deref(), *negated)
            }
            E::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like("~~*", expr, pattern, escape_char.as_deref(), *negated)
            }
            E::SimilarTo { negated, expr, pattern, escape_char } => {
                self.similar(expr, pattern, escape_char.as_deref(), *negated)
            }
            E::AtTimeZone { timestamp, time_zone } => {
                self.call_with("timezone", &[time_zone, timestamp], span)
            }
            E::Extract { field, expr, .. } => self.extract(field, expr, span),
            E::Ceil { expr, field } => self.round_off("ceil", expr, field, span),
            E::Floor { expr, field } => self.round_off("floor", expr, field, span),
            E::Position { expr, r#in } => self.call_with("position", &[r#in, expr], span),
            E::Substring { expr, substring_from, substring_for, shorthand, .. } => {
                let mut args = vec![self.expr(expr)?];
                match substring_from {
                    Some(from) => args.push(self.expr(from)?),
                    None => args.push(integer(1)),
                }
                if let Some(length) = substring_for {
                    args.push(self.expr(length)?);
                }
                self.call(Callee::Function(if *shorthand { "substr" } else { "substring" }), args, span)
            }
            E::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    None | Some(ast::TrimWhereField::Both) => "btrim",
                    Some(ast::TrimWhereField::Leading) => "ltrim",
                    Some(ast::TrimWhereField::Trailing) => "rtrim",
                };
                let what = trim_what.iter().map(|w| &**w).chain(trim_characters.iter().flatten());
                let args: Vec<&E> = std::iter::once(&**expr).chain(what).collect();
                self.call_with(name, &args, span)
            }
            E::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let args: Vec<&E> =
                    [expr, overlay_what, overlay_from].into_iter().chain(overlay_for).map(|e| &**e).collect();
                self.call_with("overlay", &args, span)
            }
            other => Err(self.locate(Error::unsupported(format!("{other} is not supported")), span)),
        }
    }

    fn call_with(&mut self, name: &str, args: &[&E], span: Span) -> Result<Expr> {
        let args = args.iter().map(|a| self.expr(a)).collect::<Result<_>>()?;
        self.call(Callee::Function(name), args, span)
    }

    fn like(&mut self, symbol: &str, x: &E, pattern: &E, escape: Option<&E>, negated: bool) -> Result<Expr> {
        // `ALL (...)` reads like a call.
        if let E::Function(f) = pattern
            && folded_name(&f.name) == ["all"]
            && let ast::FunctionArguments::List(list) = &f.args
            && let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(patterns))] = &list.args[..]
        {
            return self.like_items(symbol, x, patterns, negated, false);
        }
        let args = self.pattern_args(x, pattern, escape)?;
        let matched = self.call(Callee::Operator(symbol), args, x.span())?;
        Ok(if negated { negate(matched) } else { matched })
    }

    /// `x [NOT] LIKE ANY/ALL (array)`: some or every pattern matches (does not match).
    fn like_items(&mut self, symbol: &str, x: &E, patterns: &E, negated: bool, any: bool) -> Result<Expr> {
        let Some(items) = self.array_items(super::subquery::strip(patterns))? else {
            return Err(self.locate(Error::unsupported("LIKE ANY takes a constant array"), patterns.span()));
        };
        let value = self.expr(x)?;
        let mut tests = vec![];
        for item in items {
            let matched = self.call(Callee::Operator(symbol), vec![value.clone(), item], x.span())?;
            tests.push(if negated { negate(matched) } else { matched });
        }
        Ok(match any {
            _ if tests.is_empty() => Expr::boolean(!any),
            true => Expr::Or(tests),
            false => Expr::And(tests),
        })
    }

    fn similar(&mut self, x: &E, pattern: &E, escape: Option<&E>, negated: bool) -> Result<Expr> {
        let args = self.pattern_args(x, pattern, escape)?;
        let matched = self.call(Callee::Operator("similar to"), args, x.span())?;
        Ok(if negated { negate(matched) } else { matched })
    }

    fn pattern_args(&mut self, x: &E, pattern: &E, escape: Option<&E>) -> Result<Vec<Expr>> {
        [x, pattern].into_iter().chain(escape).map(|e| self.expr(e)).collect()
    }

    fn extract(&mut self, field: &ast::DateTimeField, x: &E, span: Span) -> Result<Expr> {
        let field = match field {
            ast::DateTimeField::Custom(ident) => spg_sql::fold(ident),
            other => other.to_string().to_lowercase(),
        };
        let value = self.expr(x)?;
        let field = Expr::Const { value: Datum::Text(field.into()), ty: SqlType::new(&def::TEXT) };
        self.call(Callee::Function("extract"), vec![field, value], span)
    }

    fn round_off(&mut self, name: &str, x: &E, field: &ast::CeilFloorKind, span: Span) -> Result<Expr> {
        match field {
            ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) => {
                self.call_with(name, &[x], span)
            }
            _ => Err(self.locate(Error::unsupported(format!("{name} with a scale is not supported")), span)),
        }
    }

    /// `INTERVAL 'text' [fields] [(precision)]`.
    pub(super) fn interval(&mut self, interval: &ast::Interval) -> Result<Expr> {
        let E::Value(ast::ValueWithSpan { value: ast::Value::SingleQuotedString(text), span }) =
            &*interval.value
        else {
            return Err(Error::unsupported("INTERVAL of an expression is not supported"));
        };
        let mask = match &interval.leading_field {
            None => None,
            Some(first) => {
                let mask = field_mask(first, interval.last_field.as_ref());
                Some(mask.ok_or_else(|| {
                    self.error_at(*span, SqlState::SYNTAX_ERROR, "syntax error in the fields of INTERVAL")
                })?)
            }
        };
        let precision = interval.fractional_seconds_precision.or(interval.leading_precision);
        let ty = interval_type(mask, precision);
        let value = self.read_text(text, ty).map_err(|e| self.locate(e, *span))?;
        Ok(Expr::Const { value, ty: ty.bare() })
    }

    /// Any call written `name(...)`, and keywords that are calls.
    pub(super) fn function_call(&mut self, f: &ast::Function) -> Result<Expr> {
        let parts = folded_name(&f.name);
        let span = f.name.span();
        let name = match &parts[..] {
            [name] => name.as_str(),
            [schema, name] if schema == "pg_catalog" => name.as_str(),
            [schema, _] if !self.input.catalog.has_schema(schema) => {
                let message = format!("schema \"{schema}\" does not exist");
                return Err(self.error_at(span, SqlState::INVALID_SCHEMA_NAME, message));
            }
            _ => {
                let args = self.arguments(f)?;
                let types: Vec<&str> = args.iter().map(|a| a.ty().def.sql_name).collect();
                let message = format!("function {}({}) does not exist", parts.join("."), types.join(", "));
                return Err(self.error_at(span, SqlState::UNDEFINED_FUNCTION, message).with_hint(
                    "No function matches the given name and argument types. You might need to add explicit type casts.",
                ));
            }
        };
        if matches!(f.args, ast::FunctionArguments::None) {
            return self.keyword_call(name, span);
        }
        let quoted = f.name.0.iter().any(|p| p.as_ident().is_some_and(|i| i.quote_style.is_some()));
        if !quoted && let Some(special) = self.special_call(name, f, span)? {
            return Ok(special);
        }
        if let Some(aggregate) = self.input.registry.aggregate(name) {
            return match &f.over {
                Some(over) => self.aggregate_over_window(aggregate, f, over, span),
                None => self.aggregate(aggregate, f, span),
            };
        }
        if let Some(window) = self.input.registry.window(name) {
            return match &f.over {
                Some(over) => self.window_function(window, f, over, span),
                None => {
                    let message = format!("window function {name} requires an OVER clause");
                    Err(self.error_at(span, SqlState::WRONG_OBJECT_TYPE, message))
                }
            };
        }
        self.scalar_call(name, f, span)
    }

    fn scalar_call(&mut self, name: &str, f: &ast::Function, span: Span) -> Result<Expr> {
        let args = match named_arguments(f) {
            Some(args) => self.by_name(name, args, span)?,
            None => self.arguments(f)?,
        };
        if self.input.registry.function(name).is_none()
            && let [_] = args[..]
            && let Some(def) = type_by_name(name)
        {
            let mut args = args;
            return self.explicit_cast(args.remove(0), SqlType::new(def), span);
        }
        let call = self.call(Callee::Function(name), args, span)?;
        let misplaced = if f.over.is_some() {
            Some(format!("OVER specified, but {name} is not a window function nor an aggregate function"))
        } else if distinct_of(f) {
            Some(format!("DISTINCT specified, but {name} is not an aggregate function"))
        } else if f.filter.is_some() {
            Some(format!("FILTER specified, but {name} is not an aggregate function"))
        } else if !f.within_group.is_empty() {
            Some(format!("WITHIN GROUP specified, but {name} is not an aggregate function"))
        } else if !order_of(f).is_empty() {
            Some(format!("ORDER BY specified, but {name} is not an aggregate function"))
        } else {
            None
        };
        match misplaced {
            Some(message) => Err(self.error_at(span, SqlState::WRONG_OBJECT_TYPE, message)),
            None => Ok(call),
        }
    }

    /// Arguments of which some are given by name, in their places; those between that are left out are 0.
    fn by_name(&mut self, name: &str, args: &[ast::FunctionArg], span: Span) -> Result<Vec<Expr>> {
        let parameters = self.input.registry.function(name).map_or(&[][..], |f| f.parameters);
        let mut placed: Vec<Option<Expr>> = vec![];
        let mut shown = vec![];
        let mut unknown = false;
        for arg in args {
            let Some((ident, value)) = named(arg) else {
                let value = self.plain_argument(arg)?;
                shown.push(value.ty().def.sql_name.to_string());
                placed.push(Some(value));
                continue;
            };
            let value = self.plain_argument(&ast::FunctionArg::Unnamed(value.clone()))?;
            let written = spg_sql::fold(ident);
            shown.push(format!("{written} => {}", value.ty().def.sql_name));
            match parameters.iter().position(|p| *p == written) {
                Some(at) if placed.get(at).is_none_or(Option::is_none) => {
                    if placed.len() <= at {
                        placed.resize(at + 1, None);
                    }
                    placed[at] = Some(value);
                }
                _ => unknown = true,
            }
        }
        if unknown {
            let message = format!("function {name}({}) does not exist", shown.join(", "));
            return Err(self.error_at(span, SqlState::UNDEFINED_FUNCTION, message).with_hint(
                "No function matches the given name and argument types. You might need to add explicit type casts.",
            ));
        }
        Ok(placed.into_iter().map(|a| a.unwrap_or_else(|| integer(0))).collect())
    }

    /// Names that are syntax in PostgreSQL.
    fn special_call(&mut self, name: &str, f: &ast::Function, span: Span) -> Result<Option<Expr>> {
        match name {
            "coalesce" | "greatest" | "least" if no_arguments(f) => {
                Err(self.error_at(span, SqlState::SYNTAX_ERROR, "syntax error at or near \")\""))
            }
            "coalesce" => {
                let args = self.arguments(f)?;
                let (args, ty) = self.unify(args, "COALESCE").map_err(|e| self.locate(e, span))?;
                Ok(Some(Expr::Coalesce { args, ty }))
            }
            "nullif" => {
                let args = self.arguments(f)?;
                let [a, b] = <[Expr; 2]>::try_from(args).map_err(|_| {
                    self.error_at(span, SqlState::SYNTAX_ERROR, "syntax error at or near \")\"")
                })?;
                self.nullif(a, b, span).map(Some)
            }
            "greatest" | "least" => {
                let args = self.arguments(f)?;
                let what = if name == "greatest" { "GREATEST" } else { "LEAST" };
                let (args, _) = self.unify(args, what).map_err(|e| self.locate(e, span))?;
                self.call(Callee::Function(name), args, span).map(Some)
            }
            "pg_typeof" => {
                let args = self.arguments(f)?;
                if let [Expr::Const { ty, .. }] = &args[..]
                    && ty.is(&def::UNKNOWN)
                {
                    let value = Datum::Text(def::UNKNOWN.sql_name.into());
                    return Ok(Some(Expr::Const { value, ty: SqlType::new(&def::TEXT) }));
                }
                self.call(Callee::Function(name), args, span).map(Some)
            }
            "generate_series" => self.set_returning(f, span).map(Some),
            "grouping" => self.grouping(f, span).map(Some),
            "row" => {
                let args = self.arguments(f)?;
                self.call(Callee::Function("row"), args, span).map(Some)
            }
            "array" if matches!(f.args, ast::FunctionArguments::Subquery(_)) => {
                Err(self.locate(Error::unsupported("arrays are not supported"), span))
            }
            _ => Ok(None),
        }
    }

    /// `generate_series(...)` in a select list.
    fn set_returning(&mut self, f: &ast::Function, span: Span) -> Result<Expr> {
        let level = self.level();
        if level.clause != Clause::Select || level.in_aggregate || level.in_window {
            let message = match level.clause {
                Clause::Select => {
                    "set-valued function called in context that cannot accept a set".to_string()
                }
                other => format!("set-returning functions are not allowed in {}", other.name()),
            };
            return Err(self.error_at(span, SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let args = self.arguments(f)?;
        let (args, ty) = self.series_args(args, span)?;
        if !self.level().sets.is_empty() {
            return Err(self.locate(
                Error::unsupported("several set-returning functions in a select list are not supported"),
                span,
            ));
        }
        let id = self.col();
        let column = OutCol { id, name: "generate_series".into(), ty };
        self.level().sets.push(PendingSet { name: "generate_series", args, column });
        Ok(Expr::Column { id, ty })
    }

    /// `CURRENT_DATE` and its like.
    fn keyword_call(&mut self, name: &str, span: Span) -> Result<Expr> {
        let now = |b: &mut Self| b.call(Callee::Function("now"), vec![], span);
        let cast = |b: &mut Self, def: &'static spg_types::TypeDef| {
            let now = now(b)?;
            b.explicit_cast(now, SqlType::new(def), span)
        };
        match name {
            "current_timestamp" => now(self),
            "localtimestamp" => cast(self, &def::TIMESTAMP),
            "current_date" => cast(self, &def::DATE),
            "localtime" => cast(self, &def::TIME),
            "user" | "current_role" => self.call(Callee::Function("current_user"), vec![], span),
            "current_catalog" => self.call(Callee::Function("current_database"), vec![], span),
            other => self.call(Callee::Function(other), vec![], span),
        }
    }

    /// The arguments of an ordinary call.
    pub(super) fn arguments(&mut self, f: &ast::Function) -> Result<Vec<Expr>> {
        match &f.args {
            ast::FunctionArguments::None => Ok(vec![]),
            ast::FunctionArguments::Subquery(query) => Ok(vec![self.scalar_subquery(query)?]),
            ast::FunctionArguments::List(list) => list.args.iter().map(|a| self.plain_argument(a)).collect(),
        }
    }

    /// An argument without a name.
    pub(super) fn plain_argument(&mut self, arg: &ast::FunctionArg) -> Result<Expr> {
        match arg {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => self.expr(e),
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::QualifiedWildcard(name)) => {
                let (_, relation) = self.relation(&folded_name(name), name.span())?;
                self.whole_row(&relation, name.span())
            }
            ast::FunctionArg::Unnamed(_) => Err(self.error_at(
                arg.span(),
                SqlState::WRONG_OBJECT_TYPE,
                "* is only allowed as the argument of count",
            )),
            _ => Err(self.locate(Error::unsupported("named arguments are not supported"), arg.span())),
        }
    }

    /// An interval column or literal for date arithmetic.
    pub(super) fn interval_literal(&self, e: Expr) -> Result<Expr> {
        match e {
            Expr::Const { value: Datum::Text(text), ty } if ty.is(&def::UNKNOWN) => {
                let ty = SqlType::new(&def::INTERVAL);
                Ok(Expr::Const { value: self.read_text(&text, ty)?, ty })
            }
            e => Ok(e),
        }
    }
}

/// An argument's name and value, where it has a name.
fn named(arg: &ast::FunctionArg) -> Option<(&ast::Ident, &ast::FunctionArgExpr)> {
    match arg {
        ast::FunctionArg::Named { name, arg, .. }
        | ast::FunctionArg::ExprNamed { name: E::Identifier(name), arg, .. } => Some((name, arg)),
        _ => None,
    }
}

/// The arguments of a call that gives some by name.
fn named_arguments(f: &ast::Function) -> Option<&[ast::FunctionArg]> {
    match &f.args {
        ast::FunctionArguments::List(list) if list.args.iter().any(|a| named(a).is_some()) => {
            Some(&list.args)
        }
        _ => None,
    }
}

fn no_arguments(f: &ast::Function) -> bool {
    matches!(&f.args, ast::FunctionArguments::List(l) if l.args.is_empty())
}

/// Whether `f(DISTINCT ...)` is written.
pub(super) fn distinct_of(f: &ast::Function) -> bool {
    matches!(
        &f.args,
        ast::FunctionArguments::List(l) if l.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct)
    )
}

/// ORDER BY inside a call.
pub(super) fn order_of(f: &ast::Function) -> &[ast::OrderByExpr] {
    let ast::FunctionArguments::List(list) = &f.args else { return &[] };
    list.clauses
        .iter()
        .find_map(|c| match c {
            ast::FunctionArgumentClause::OrderBy(items) => Some(&items[..]),
            _ => None,
        })
        .unwrap_or_default()
}

fn field_mask(first: &ast::DateTimeField, last: Option<&ast::DateTimeField>) -> Option<i32> {
    use interval_mask::{DAY, HOUR, MINUTE, MONTH, SECOND, YEAR};
    // From the coarsest to the finest; a range covers what lies between.
    const FIELDS: [i32; 6] = [YEAR, MONTH, DAY, HOUR, MINUTE, SECOND];
    let place = |f: &ast::DateTimeField| match f {
        ast::DateTimeField::Year => Some(0),
        ast::DateTimeField::Month => Some(1),
        ast::DateTimeField::Day => Some(2),
        ast::DateTimeField::Hour => Some(3),
        ast::DateTimeField::Minute => Some(4),
        ast::DateTimeField::Second => Some(5),
        _ => None,
    };
    let from = place(first)?;
    let to = last.map_or(Some(from), place)?;
    (from <= to).then(|| FIELDS[from..=to].iter().fold(0, |a, b| a | b))
}
