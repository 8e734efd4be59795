//! Literals: what a constant in the text is, and what a text means once its type is known.

use spg_expr::Expr;
use spg_sql::{Span, ast::Value};
use spg_types::{ColumnBuilder, Datum, Error, Result, SqlState, SqlType, def};

use super::Binder;

/// A literal whose type the context decides.
pub(super) fn unknown(text: &str) -> Expr {
    Expr::Const { value: Datum::Text(text.into()), ty: SqlType::new(&def::UNKNOWN) }
}

/// Whether an expression's type is still to be decided.
pub(super) fn is_unknown(e: &Expr) -> bool {
    e.ty().is(&def::UNKNOWN)
}

impl Binder<'_> {
    /// The value that a text spells in a type.
    pub(super) fn read_text(&self, text: &str, ty: SqlType) -> Result<Datum> {
        let mut builder = ColumnBuilder::new(ty, 1);
        (ty.def.text_in)(text, ty, self.input.format, &mut builder)?;
        Datum::from_column(&*builder.finish(), 0, ty)
    }

    /// A literal whose type the context decides, remembering where it stands.
    fn unknown_at(&mut self, text: &str, span: Span) -> Expr {
        let literal = unknown(text);
        if let Expr::Const { value: Datum::Text(text), .. } = &literal {
            self.literals.insert(text.as_ptr(), span);
        }
        literal
    }

    /// An error about a literal, at its place.
    pub(super) fn at_literal(&self, error: Error, text: &std::sync::Arc<str>) -> Error {
        match self.literals.get(&text.as_ptr()) {
            Some(span) => self.locate(error, *span),
            None => error,
        }
    }

    pub(super) fn value(&mut self, value: &Value, span: Span) -> Result<Expr> {
        match value {
            Value::Null => Ok(Expr::null(SqlType::new(&def::UNKNOWN))),
            Value::Boolean(b) => Ok(Expr::boolean(*b)),
            Value::Number(text, _) => self.number(text).map_err(|e| self.locate(e, span)),
            Value::SingleQuotedString(s)
            | Value::EscapedStringLiteral(s)
            | Value::UnicodeStringLiteral(s)
            | Value::NationalStringLiteral(s) => Ok(self.unknown_at(s, span)),
            Value::DollarQuotedString(s) => Ok(self.unknown_at(&s.value, span)),
            Value::Placeholder(name) => self.param(name, span),
            other => Err(self.locate(Error::unsupported(format!("literal {other} is not supported")), span)),
        }
    }

    /// A number: the smallest of integer, bigint, numeric that holds it.
    pub(super) fn number(&self, text: &str) -> Result<Expr> {
        if let Ok(value) = text.parse::<i64>() {
            return Ok(integer(value));
        }
        let ty = exact_type(text);
        Ok(Expr::Const { value: self.read_text(text, ty)?, ty })
    }

    fn param(&mut self, name: &str, span: Span) -> Result<Expr> {
        const MAX_PARAMS: usize = 65535;
        let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
        let number = number.filter(|_| self.input.params);
        let Some(number @ 1..=MAX_PARAMS) = number else {
            return Err(self.error_at(
                span,
                SqlState::UNDEFINED_PARAMETER,
                format!("there is no parameter {name}"),
            ));
        };
        if self.params.len() < number {
            self.params.resize(number, None);
        }
        let ty = self.params[number - 1].unwrap_or(SqlType::new(&def::UNKNOWN));
        Ok(Expr::Param { index: number - 1, ty })
    }
}

/// An integer constant of the smallest type that holds it.
pub(super) fn integer(value: i64) -> Expr {
    match i32::try_from(value) {
        Ok(v) => Expr::Const { value: Datum::Int32(v), ty: SqlType::new(&def::INT4) },
        Err(_) => Expr::Const { value: Datum::Int64(value), ty: SqlType::new(&def::INT8) },
    }
}

/// `numeric` with the digits that a literal shows.
fn exact_type(text: &str) -> SqlType {
    if text.contains(['e', 'E']) {
        return SqlType::new(&def::NUMERIC);
    }
    let text = text.trim_start_matches('-');
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = whole.trim_start_matches('0').len();
    let digits = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    SqlType::numeric(digits(whole + fraction.len()), digits(fraction.len()))
}
