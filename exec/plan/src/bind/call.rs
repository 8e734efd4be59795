//! Calls: which overload of a function, operator, aggregate or window function a call means. PostgreSQL 15, 10.2 and 10.3.

use spg_expr::{ArgType, CastContext, Expr, Function, ReturnType, Signature};
use spg_sql::Span;
use spg_types::{Error, Result, SqlState, SqlType, TypeDef, def};

use super::Binder;
use super::coerce::align_constant;

/// A candidate's parameters for the arguments at hand: `None` takes anything as it is.
type Params = Vec<Option<&'static TypeDef>>;

/// The choice among overloads.
enum Choice {
    One(usize),
    None,
    Ambiguous,
}

/// Parameters of an overload, whatever it is an overload of.
#[derive(Clone, Copy)]
pub(super) struct Parameters {
    pub args: &'static [ArgType],
    pub variadic: bool,
    /// How many of the last may be left out.
    pub optional: usize,
}

impl Parameters {
    /// The parameter of each of `count` arguments; `None` when the overload does not take so many.
    fn expand(self, count: usize) -> Option<Vec<ArgType>> {
        let declared = self.args.len();
        if self.variadic {
            let last = *self.args.last()?;
            return (count >= declared)
                .then(|| self.args.iter().copied().chain((declared..count).map(|_| last)).collect());
        }
        (count <= declared && count + self.optional >= declared).then(|| self.args[..count].to_vec())
    }
}

/// What is called, for errors.
#[derive(Clone, Copy)]
pub(super) enum Callee<'a> {
    Function(&'a str),
    Operator(&'a str),
}

impl Binder<'_> {
    /// A call of a function or operator by name, with arguments as bound so far.
    pub(super) fn call(&mut self, callee: Callee<'_>, args: Vec<Expr>, span: Span) -> Result<Expr> {
        let (Callee::Function(name) | Callee::Operator(name)) = callee;
        let Some(function) = self.input.registry.function(name) else {
            return Err(self.no_such(callee, &args, span));
        };
        self.call_of(function, callee, args, span)
    }

    /// As [`Binder::call`], of a function at hand.
    pub(super) fn call_of(
        &mut self,
        function: &'static Function,
        callee: Callee<'_>,
        args: Vec<Expr>,
        span: Span,
    ) -> Result<Expr> {
        let parameters = function.signatures.iter().map(|s: &Signature| Parameters {
            args: s.args,
            variadic: s.variadic,
            optional: 0,
        });
        let (at, mut args, compatible) = self.resolve(callee, &parameters.collect::<Vec<_>>(), args, span)?;
        let signature = &function.signatures[at];
        if function.comparison.is_some()
            && let [left, right] = &mut args[..]
        {
            if let Some(aligned) = align_constant(right, left.ty()) {
                *right = aligned;
            } else if let Some(aligned) = align_constant(left, right.ty()) {
                *left = aligned;
            }
        }
        let ty = return_type(signature.returns, &args, compatible);
        Ok(Expr::Call { function, signature, args, ty })
    }

    /// A binary operator.
    pub(super) fn operator(&mut self, symbol: &str, left: Expr, right: Expr, span: Span) -> Result<Expr> {
        self.call(Callee::Operator(symbol), vec![left, right], span)
    }

    /// Chooses the overload and converts the arguments to it. Also gives the type that `AnyCompatible` stands for.
    pub(super) fn resolve(
        &mut self,
        callee: Callee<'_>,
        overloads: &[Parameters],
        args: Vec<Expr>,
        span: Span,
    ) -> Result<(usize, Vec<Expr>, SqlType)> {
        let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        let mut candidates: Vec<(usize, Params)> = vec![];
        for (i, overload) in overloads.iter().enumerate() {
            if let Some(params) = overload.expand(args.len()).and_then(|p| self.concrete(&p, &types)) {
                candidates.push((i, params));
            }
        }
        let at = match self.choose(matches!(callee, Callee::Operator(_)), candidates.clone(), &types) {
            Choice::One(at) => at,
            Choice::None => return Err(self.no_such(callee, &args, span)),
            Choice::Ambiguous => return Err(self.not_unique(callee, &args, span)),
        };
        let chosen = overloads[at].expand(args.len()).unwrap_or_default();
        let compatible = self.compatible_type(&chosen, &types)?;
        let mut converted = Vec::with_capacity(args.len());
        for (arg, param) in args.into_iter().zip(chosen) {
            let arg = match param {
                ArgType::Any => self.or_text(arg)?,
                ArgType::AnyCompatible => self.convert_to_common(arg, compatible, "call")?,
                ArgType::Exact(def) => self.pass(arg, def).map_err(|e| self.locate(e, span))?,
            };
            converted.push(arg);
        }
        Ok((at, converted, compatible))
    }

    /// An argument as its parameter's type takes it.
    fn pass(&mut self, arg: Expr, to: &'static TypeDef) -> Result<Expr> {
        // The same values in the same representation: a cast would only hide the column.
        if arg.ty().is(&def::VARCHAR) && to.oid == def::TEXT.oid {
            return Ok(arg);
        }
        let from = arg.ty();
        match self.coerce(arg, SqlType::new(to), CastContext::Implicit)? {
            Some(arg) => Ok(arg),
            None => Err(Error::internal(format!("no conversion from {} to {}", from.def.name, to.name))),
        }
    }

    /// An overload's parameters with `AnyCompatible` made concrete; `None` when the arguments have no common type.
    fn concrete(&self, params: &[ArgType], types: &[SqlType]) -> Option<Params> {
        let common = self.compatible_type(params, types).ok()?;
        Some(
            params
                .iter()
                .map(|p| match p {
                    ArgType::Exact(def) => Some(*def),
                    ArgType::AnyCompatible => Some(common.def),
                    ArgType::Any => None,
                })
                .collect(),
        )
    }

    fn compatible_type(&self, params: &[ArgType], types: &[SqlType]) -> Result<SqlType> {
        let of_compatible = params.iter().zip(types).filter(|(p, _)| matches!(p, ArgType::AnyCompatible));
        let types: Vec<SqlType> = of_compatible.map(|(_, t)| *t).collect();
        self.common_type(&types, "argument")
    }

    fn choose(&self, operator: bool, candidates: Vec<(usize, Params)>, types: &[SqlType]) -> Choice {
        let unknown = |t: &SqlType| t.is(&def::UNKNOWN);
        let exact = |params: &Params, types: &[SqlType]| {
            params.iter().zip(types).all(|(p, t)| p.is_none_or(|p| t.is(p)))
        };
        if let Some((at, _)) = candidates.iter().find(|(_, p)| exact(p, types)) {
            return Choice::One(*at);
        }
        // `value operator 'literal'`: the literal is first tried as the value's type.
        if operator
            && let [a, b] = types
            && unknown(a) != unknown(b)
        {
            let known = if unknown(a) { *b } else { *a };
            if let Some((at, _)) = candidates.iter().find(|(_, p)| exact(p, &[known, known])) {
                return Choice::One(*at);
            }
        }
        let fits = |params: &Params| {
            params
                .iter()
                .zip(types)
                .all(|(p, t)| p.is_none_or(|p| self.can_coerce(t.def, p, CastContext::Implicit)))
        };
        let mut left: Vec<(usize, Params)> = candidates.into_iter().filter(|(_, p)| fits(p)).collect();
        if left.len() <= 1 {
            return left.pop().map_or(Choice::None, |(at, _)| Choice::One(at));
        }
        let count = |params: &Params, matches: &dyn Fn(&TypeDef, &SqlType) -> bool| {
            params.iter().zip(types).filter(|(p, t)| !unknown(t) && p.is_some_and(|p| matches(p, t))).count()
        };
        keep_best(&mut left, |p| count(p, &|p, t| t.is(p)));
        if let [(at, _)] = left[..] {
            return Choice::One(at);
        }
        keep_best(&mut left, |p| count(p, &|p, t| t.is(p) || (p.preferred && p.category == t.def.category)));
        if let [(at, _)] = left[..] {
            return Choice::One(at);
        }
        choose_by_category(left, types)
    }

    fn no_such(&self, callee: Callee<'_>, args: &[Expr], span: Span) -> Error {
        let (what, one) = match callee {
            Callee::Function(_) => ("function matches the given name and argument types", false),
            Callee::Operator(_) if args.len() == 1 => {
                ("operator matches the given name and argument type", true)
            }
            Callee::Operator(_) => ("operator matches the given name and argument types", false),
        };
        let casts = if one { "an explicit type cast" } else { "explicit type casts" };
        let message = match callee {
            Callee::Function(_) => format!("function {} does not exist", signature_text(callee, args)),
            Callee::Operator(_) => format!("operator does not exist: {}", signature_text(callee, args)),
        };
        self.error_at(span, SqlState::UNDEFINED_FUNCTION, message)
            .with_hint(format!("No {what}. You might need to add {casts}."))
    }

    fn not_unique(&self, callee: Callee<'_>, args: &[Expr], span: Span) -> Error {
        let (message, what) = match callee {
            Callee::Function(_) => {
                (format!("function {} is not unique", signature_text(callee, args)), "function")
            }
            Callee::Operator(_) => {
                (format!("operator is not unique: {}", signature_text(callee, args)), "operator")
            }
        };
        self.error_at(span, SqlState::AMBIGUOUS_FUNCTION, message).with_hint(format!(
            "Could not choose a best candidate {what}. You might need to add explicit type casts."
        ))
    }
}

/// The call with its argument types, as messages show it: `f(integer, unknown)`, `integer = text`.
fn signature_text(callee: Callee<'_>, args: &[Expr]) -> String {
    let types: Vec<&str> = args.iter().map(|a| a.ty().def.sql_name).collect();
    match (callee, &types[..]) {
        (Callee::Operator(symbol), [left, right]) => format!("{left} {symbol} {right}"),
        (Callee::Operator(symbol), [only]) => format!("{symbol} {only}"),
        (Callee::Operator(name) | Callee::Function(name), types) => format!("{name}({})", types.join(", ")),
    }
}

/// Keeps the candidates with the highest score.
fn keep_best(candidates: &mut Vec<(usize, Params)>, score: impl Fn(&Params) -> usize) {
    let best = candidates.iter().map(|(_, p)| score(p)).max().unwrap_or(0);
    candidates.retain(|(_, p)| score(p) == best);
}

/// The last rules: unknown arguments take the category that candidates accept there, strings first; else the type of the
/// known ones.
fn choose_by_category(candidates: Vec<(usize, Params)>, types: &[SqlType]) -> Choice {
    use spg_types::Category;
    let mut left = candidates.clone();
    let mut resolved = true;
    for (i, _) in types.iter().enumerate().filter(|(_, t)| t.is(&def::UNKNOWN)) {
        let accepted: Vec<&TypeDef> = left.iter().filter_map(|(_, p)| p[i]).collect();
        let category = if accepted.iter().any(|p| p.category == Category::String) {
            Category::String
        } else {
            match accepted.first() {
                Some(first) if accepted.iter().all(|p| p.category == first.category) => first.category,
                _ => {
                    resolved = false;
                    break;
                }
            }
        };
        let preferred = accepted.iter().any(|p| p.category == category && p.preferred);
        let keep: Vec<_> = left
            .iter()
            .filter(|(_, p)| p[i].is_some_and(|p| p.category == category && (!preferred || p.preferred)))
            .cloned()
            .collect();
        if keep.is_empty() {
            resolved = false;
            break;
        }
        left = keep;
    }
    if resolved && let [(at, _)] = left[..] {
        return Choice::One(at);
    }
    let mut known = types.iter().filter(|t| !t.is(&def::UNKNOWN));
    if let Some(first) = known.next()
        && known.all(|t| t.same_def(*first))
    {
        let mut fits = candidates.iter().filter(|(_, p)| p.iter().all(|p| p.is_none_or(|p| first.is(p))));
        if let (Some((at, _)), None) = (fits.next(), fits.next()) {
            return Choice::One(*at);
        }
    }
    Choice::Ambiguous
}

/// The type of a call.
pub(super) fn return_type(returns: ReturnType, args: &[Expr], compatible: SqlType) -> SqlType {
    match returns {
        ReturnType::Exact(def) => SqlType::new(def),
        ReturnType::Compatible => compatible,
        ReturnType::Of(of) => of(&args.iter().map(Expr::ty).collect::<Vec<_>>()),
    }
}
