//! Conversions: what becomes what by itself, by assignment and when written; the common type of several expressions.
//! PostgreSQL 15, chapter 10.

use spg_expr::{CastContext, Expr};
use spg_sql::Span;
use spg_types::{Category, Datum, Error, Modifier, Result, SqlState, SqlType, TypeDef, def};

use super::Binder;
use super::literal::is_unknown;

impl Binder<'_> {
    /// Whether a value of one type becomes one of another in a context. Anything becomes what a literal is read as.
    pub(super) fn can_coerce(&self, from: &TypeDef, to: &TypeDef, context: CastContext) -> bool {
        from.oid == to.oid
            || from.oid == def::UNKNOWN.oid
            || self.input.registry.cast(from, to).is_some_and(|c| c.context >= context)
    }

    /// `e` as a value of type `to`; `None` when the context has no such conversion.
    pub(super) fn coerce(&mut self, e: Expr, to: SqlType, context: CastContext) -> Result<Option<Expr>> {
        let from = e.ty();
        if is_unknown(&e) {
            return self.resolve_unknown(e, to, context).map(Some);
        }
        if from.same_def(to) {
            return self.apply_modifier(e, to, context).map(Some);
        }
        let Some(cast) = self.input.registry.cast(from.def, to.def).filter(|c| c.context >= context) else {
            return Ok(None);
        };
        if let Some(folded) = self.convert_number(&e, to)? {
            return Ok(Some(folded));
        }
        let ty = cast_type(from, to);
        let explicit = context == CastContext::Explicit;
        Ok(Some(Expr::Cast { input: Box::new(e), cast, ty, explicit }))
    }

    /// A value of the same type under another modifier.
    fn apply_modifier(&mut self, e: Expr, to: SqlType, context: CastContext) -> Result<Expr> {
        let from = e.ty();
        let derived = matches!(to.modifier, Modifier::Derived { .. });
        if to.modifier == Modifier::None
            || from.modifier == to.modifier
            || derived && from.repr() == to.repr()
        {
            return Ok(e);
        }
        if let Some(folded) = self.convert_number(&e, to)? {
            return Ok(folded);
        }
        if let Expr::Const { value: Datum::Null, .. } = e {
            return Ok(Expr::null(to));
        }
        match self.input.registry.cast(to.def, to.def) {
            Some(cast) => {
                let explicit = context == CastContext::Explicit;
                Ok(Expr::Cast { input: Box::new(e), cast, ty: to, explicit })
            }
            None => Ok(e),
        }
    }

    /// A literal, NULL or parameter whose type turns out to be `to`.
    fn resolve_unknown(&mut self, e: Expr, to: SqlType, context: CastContext) -> Result<Expr> {
        match e {
            Expr::Const { value: Datum::Null, .. } => Ok(Expr::null(to)),
            Expr::Const { value: Datum::Text(text), .. } => {
                // Input functions refuse what is too long for a string type; a written cast cuts it.
                let cuts = context == CastContext::Explicit && to.def.category == Category::String;
                let read = if cuts { to.bare() } else { to };
                let read = if read.is(&def::UNKNOWN) { SqlType::new(&def::TEXT) } else { read };
                let constant = match self.read_text(&text, read) {
                    Ok(value) => Expr::Const { value, ty: read },
                    Err(error) => {
                        let bare = read.bare();
                        // A value that the type has, but not under its modifier, is an error of the statement's run.
                        let value = match read.modifier {
                            Modifier::Declared(_) if !read.is(&def::INTERVAL) => {
                                self.read_text(&text, bare).ok()
                            }
                            _ => None,
                        };
                        match (value, self.input.registry.cast(read.def, read.def)) {
                            (Some(value), Some(cast)) => {
                                let input = Box::new(Expr::Const { value, ty: bare });
                                Expr::Cast { input, cast, ty: read, explicit: false }
                            }
                            _ => return Err(self.at_literal(error, &text)),
                        }
                    }
                };
                if cuts { self.apply_modifier(constant, to, context) } else { Ok(constant) }
            }
            Expr::Param { index, .. } => {
                let known = self.params[index].filter(|t| !t.is(&def::UNKNOWN));
                let ty = *self.params[index].insert(known.unwrap_or(to.bare()));
                if ty.same_def(to) {
                    return self.apply_modifier(Expr::Param { index, ty }, to, context);
                }
                let message = format!("inconsistent types deduced for parameter ${}", index + 1);
                Err(Error::new(SqlState::AMBIGUOUS_PARAMETER, message)
                    .with_detail(format!("{} versus {}", ty.def.sql_name, to.def.sql_name)))
            }
            // A computed column whose literals are out of sight is text.
            Expr::Column { id, .. } => {
                let text = Expr::Column { id, ty: SqlType::new(&def::TEXT) };
                match self.coerce(text, to, CastContext::Explicit)? {
                    Some(e) => Ok(e),
                    None => Err(Error::internal(format!("text does not become {to}"))),
                }
            }
            other => Err(Error::internal(format!("{other:?} has no type"))),
        }
    }

    /// A number constant in another exact or wider type, at bind time; `None` where only a cast can tell.
    fn convert_number(&self, e: &Expr, to: SqlType) -> Result<Option<Expr>> {
        let Expr::Const { value, ty: from } = e else { return Ok(None) };
        let text = match value {
            Datum::Int16(v) => v.to_string(),
            Datum::Int32(v) => v.to_string(),
            Datum::Int64(v) => v.to_string(),
            Datum::Decimal(v) => decimal_text(*v, from.precision_scale().map_or(0, |(_, s)| s)),
            _ => return Ok(None),
        };
        let exact = |scale: u32| from.precision_scale().is_none_or(|(_, s)| s <= scale);
        let to = match to.def {
            d if d.oid == def::NUMERIC.oid && to.modifier == Modifier::None => match from.precision_scale() {
                Some((p, s)) => SqlType::numeric(p, s),
                None => SqlType::numeric(u32::try_from(text.trim_start_matches('-').len()).unwrap_or(38), 0),
            },
            d if d.oid == def::NUMERIC.oid => match to.precision_scale() {
                Some((_, scale)) if exact(scale) => to,
                _ => return Ok(None),
            },
            d if d.oid == def::FLOAT8.oid || d.oid == def::FLOAT4.oid => to,
            d if [def::INT2.oid, def::INT4.oid, def::INT8.oid].contains(&d.oid)
                && !matches!(value, Datum::Decimal(_)) =>
            {
                to
            }
            _ => return Ok(None),
        };
        // What does not fit is an error of the statement's run, not of its binding.
        Ok(self.read_text(&text, to).ok().map(|value| Expr::Const { value, ty: to }))
    }

    /// `e` as `to` because a cast is written; 42846.
    pub(super) fn explicit_cast(&mut self, e: Expr, to: SqlType, span: Span) -> Result<Expr> {
        let from = e.ty();
        match self.coerce(e, to, CastContext::Explicit).map_err(|e| self.locate(e, span))? {
            Some(e) => Ok(e),
            None => {
                let message = format!("cannot cast type {} to {}", from.def.sql_name, to.def.sql_name);
                Err(self.error_at(span, SqlState::CANNOT_COERCE, message))
            }
        }
    }

    /// `e` as it is stored into a column; 42804.
    pub(super) fn assign(&mut self, e: Expr, to: SqlType, column: &str) -> Result<Expr> {
        let from = e.ty();
        match self.coerce(e, to, CastContext::Assignment)? {
            // The same record without a modifier, where the representation depends on it.
            Some(e) if e.ty().repr() != to.repr() => self.represent(e, to),
            Some(e) => Ok(e),
            None => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{column}\" is of type {} but expression is of type {}",
                    to.def.sql_name, from.def.sql_name
                ),
            )
            .with_hint("You will need to rewrite or cast the expression.")),
        }
    }

    /// `e` as a condition; 42804 that names what it is an argument of.
    pub(super) fn condition(&mut self, e: Expr, what: &str, span: Span) -> Result<Expr> {
        self.argument(e, &def::BOOL, what, span)
    }

    /// `e` as the type that a clause takes; 42804 that names the clause.
    pub(super) fn argument(&mut self, e: Expr, to: &'static TypeDef, what: &str, span: Span) -> Result<Expr> {
        let from = e.ty();
        let context = if to.oid == def::BOOL.oid { CastContext::Implicit } else { CastContext::Assignment };
        match self.coerce(e, SqlType::new(to), context).map_err(|e| self.locate(e, span))? {
            Some(e) => Ok(e),
            None => {
                let message = format!(
                    "argument of {what} must be type {}, not type {}",
                    to.sql_name, from.def.sql_name
                );
                Err(self.error_at(span, SqlState::DATATYPE_MISMATCH, message))
            }
        }
    }

    /// The record that all types become; `None` for all unknown. The error tells the two that don't meet.
    pub(super) fn common_def(
        &self,
        types: &[SqlType],
    ) -> Result<Option<&'static TypeDef>, (SqlType, SqlType)> {
        let mut known = types.iter().filter(|t| !t.is(&def::UNKNOWN));
        let Some(first) = known.next() else { return Ok(None) };
        let mut common = *first;
        for &ty in known {
            if ty.same_def(common) {
                continue;
            }
            if ty.def.category != common.def.category {
                return Err((common, ty));
            }
            let implicit = |a: SqlType, b: SqlType| self.can_coerce(a.def, b.def, CastContext::Implicit);
            if !common.def.preferred && implicit(common, ty) && !implicit(ty, common) {
                common = ty;
            }
        }
        Ok(Some(common.def))
    }

    /// The common type of expressions, with a modifier that holds all their values; 42804. `what` names the construct.
    pub(super) fn common_type(&self, types: &[SqlType], what: &str) -> Result<SqlType> {
        match self.common_def(types) {
            Ok(None) => Ok(SqlType::new(&def::TEXT)),
            Ok(Some(common)) => Ok(common_modifier(common, types)),
            Err((a, b)) => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("{what} types {} and {} cannot be matched", a.def.sql_name, b.def.sql_name),
            )),
        }
    }

    /// Expressions converted to their common type.
    pub(super) fn unify(&mut self, exprs: Vec<Expr>, what: &str) -> Result<(Vec<Expr>, SqlType)> {
        let types: Vec<SqlType> = exprs.iter().map(Expr::ty).collect();
        let ty = self.common_type(&types, what)?;
        let exprs = exprs.into_iter().map(|e| self.convert_to_common(e, ty, what)).collect::<Result<_>>()?;
        Ok((exprs, ty))
    }

    /// As [`Binder::unify`] for values that are only compared: how many digits a number shows does not matter, so that numbers
    /// of several scales get one that holds them all.
    pub(super) fn unify_compared(&mut self, exprs: Vec<Expr>, what: &str) -> Result<(Vec<Expr>, SqlType)> {
        let types: Vec<SqlType> = exprs.iter().map(Expr::ty).collect();
        let ty = match self.common_type(&types, what)? {
            ty if ty.is(&def::NUMERIC) => compared_modifier(&types).unwrap_or(ty),
            ty => ty,
        };
        let exprs = exprs.into_iter().map(|e| self.convert_to_common(e, ty, what)).collect::<Result<_>>()?;
        Ok((exprs, ty))
    }

    /// `e` as the common type that was found for it and others.
    pub(super) fn convert_to_common(&mut self, e: Expr, ty: SqlType, what: &str) -> Result<Expr> {
        let from = e.ty();
        match self.coerce(e, ty, CastContext::Implicit)? {
            Some(e) if e.ty() == ty => Ok(e),
            // The same record without a modifier, where the representation depends on it.
            Some(e) if e.ty().repr() != ty.repr() => self.represent(e, ty),
            Some(e) => Ok(e),
            None => Err(Error::new(
                SqlState::CANNOT_COERCE,
                format!("{what} could not convert type {} to {}", from.def.sql_name, ty.def.sql_name),
            )),
        }
    }

    /// `e` in the representation of `ty`, which is the same type under another modifier.
    pub(super) fn represent(&mut self, e: Expr, ty: SqlType) -> Result<Expr> {
        if let Expr::Const { value: Datum::Null, .. } = e {
            return Ok(Expr::null(ty));
        }
        match self.input.registry.cast(ty.def, ty.def) {
            Some(cast) => Ok(Expr::Cast { input: Box::new(e), cast, ty, explicit: false }),
            None => Err(Error::internal(format!("no conversion between representations of {}", ty.def.name))),
        }
    }

    /// A literal whose type nothing decided is text.
    pub(super) fn or_text(&mut self, e: Expr) -> Result<Expr> {
        if is_unknown(&e) {
            self.resolve_unknown(e, SqlType::new(&def::TEXT), CastContext::Implicit)
        } else {
            Ok(e)
        }
    }
}

/// The type of a cast's result: a number cast to `numeric` has as many digits as its type can show.
fn cast_type(from: SqlType, to: SqlType) -> SqlType {
    const INT2_DIGITS: u32 = 5;
    const INT4_DIGITS: u32 = 10;
    const INT8_DIGITS: u32 = 19;
    if !to.is(&def::NUMERIC) || to.modifier != Modifier::None {
        return to;
    }
    match from.def.oid {
        oid if oid == def::INT2.oid => SqlType::numeric(INT2_DIGITS, 0),
        oid if oid == def::INT4.oid => SqlType::numeric(INT4_DIGITS, 0),
        oid if oid == def::INT8.oid => SqlType::numeric(INT8_DIGITS, 0),
        _ => to,
    }
}

/// A modifier that holds values of all types as they are: equal ones are kept; numbers get enough digits before the point. Numbers
/// of several scales keep theirs, each its own.
fn common_modifier(common: &'static TypeDef, types: &[SqlType]) -> SqlType {
    let known = || types.iter().filter(|t| !t.is(&def::UNKNOWN));
    let same = |t: &SqlType| t.is(common) && Some(t.modifier) == known().next().map(|f| f.modifier);
    if let Some(first) = known().next()
        && known().all(same)
        && (types.len() == known().count() || first.modifier == Modifier::None)
    {
        return *first;
    }
    if common.oid != def::NUMERIC.oid || types.len() != known().count() {
        return SqlType::new(common);
    }
    let mut digits = known().map(|ty| number_digits(*ty));
    let Some(Some((mut whole, scale))) = digits.next() else { return SqlType::new(common) };
    for next in digits {
        match next {
            Some((w, s)) if s == scale => whole = whole.max(w),
            _ => return SqlType::new(common),
        }
    }
    SqlType::numeric(whole + scale, scale)
}

/// A scale and enough digits before the point for values of all types; `None` where one has no known scale.
fn compared_modifier(types: &[SqlType]) -> Option<SqlType> {
    let (mut whole, mut scale) = (0, 0);
    for ty in types.iter().filter(|t| !t.is(&def::UNKNOWN)) {
        let (w, s) = number_digits(*ty)?;
        (whole, scale) = (whole.max(w), scale.max(s));
    }
    match SqlType::numeric(whole + scale, scale) {
        SqlType { modifier: Modifier::None, .. } => None,
        ty => Some(ty),
    }
}

/// Digits before and behind the point that a number's type shows.
fn number_digits(ty: SqlType) -> Option<(u32, u32)> {
    let (p, s) = cast_type(ty, SqlType::new(&def::NUMERIC)).precision_scale().or(ty.precision_scale())?;
    Some((p.saturating_sub(s), s))
}

/// The text of a decimal with `scale` digits behind the point.
pub(super) fn decimal_text(value: i128, scale: u32) -> String {
    let scale = scale as usize;
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Whether a comparison's constant can take the other side's scale, and then the constant in it.
pub(super) fn align_constant(constant: &Expr, other: SqlType) -> Option<Expr> {
    let Expr::Const { value: Datum::Decimal(value), ty } = constant else { return None };
    let ((p, s), (other_p, other_s)) = (ty.precision_scale()?, other.precision_scale()?);
    if s == other_s {
        return None;
    }
    let up = 10_i128.checked_pow(other_s.checked_sub(s)?)?;
    let aligned = SqlType::numeric((p - s + other_s).max(other_p), other_s);
    // The same width, so that kernels compare like with like.
    (aligned.repr() == other.repr())
        .then(|| Some(Expr::Const { value: Datum::Decimal(value.checked_mul(up)?), ty: aligned }))
        .flatten()
}
