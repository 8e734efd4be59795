//! What rules share while one plan is optimized: new ids, expression builders, assumptions.

use spg_expr::{
    Aggregate, AggregateSignature, ArgType, ColId, Comparison, Expr, Function, ReturnType, Signature,
};
use spg_types::{Datum, Error, Result, SqlType, def};

use crate::optimize::{Assumption, OptimizerEnv};
use crate::tree::{ColSet, Ids};
use crate::{
    AggregateCall, Frame, FrameBound, FrameExclusion, FrameUnit, OutCol, Plan, WindowCall, WindowCallee,
};

/// State of one optimization.
pub(crate) struct Context<'a> {
    pub(crate) env: &'a OptimizerEnv<'a>,
    pub(crate) ids: Ids,
    pub(crate) assumptions: Vec<Assumption>,
    /// The statement's columns: what the root must put out.
    pub(crate) output: ColSet,
}

impl<'a> Context<'a> {
    pub(crate) fn new(env: &'a OptimizerEnv<'a>, plan: &Plan, output: &[ColId]) -> Self {
        Self { env, ids: Ids::after(plan), assumptions: vec![], output: output.iter().copied().collect() }
    }

    /// A new column.
    pub(crate) fn column(&mut self, name: &str, ty: SqlType) -> OutCol {
        OutCol { id: self.ids.column(), name: name.into(), ty }
    }

    /// A call of the overload that takes exactly these arguments.
    pub(crate) fn call(&self, name: &str, args: Vec<Expr>) -> Result<Expr> {
        let function = self.env.registry.function(name);
        let function = function.ok_or_else(|| Error::internal(format!("no function {name}")))?;
        let signature = overload(function, &args).ok_or_else(|| {
            Error::internal(format!(
                "no overload of {name} for {:?}",
                args.iter().map(Expr::ty).collect::<Vec<_>>()
            ))
        })?;
        let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        let ty = match signature.returns {
            ReturnType::Exact(def) => SqlType::new(def),
            ReturnType::Compatible => types.first().copied().unwrap_or(SqlType::new(&def::TEXT)),
            ReturnType::Of(f) => f(&types),
        };
        Ok(Expr::Call { function, signature, args, ty })
    }

    /// `a <op> b` for operands of one type.
    pub(crate) fn compare(&self, op: Comparison, a: Expr, b: Expr) -> Result<Expr> {
        let name = match op {
            Comparison::Eq => "=",
            Comparison::NotEq => "<>",
            Comparison::Lt => "<",
            Comparison::LtEq => "<=",
            Comparison::Gt => ">",
            Comparison::GtEq => ">=",
            Comparison::IsDistinctFrom => "is distinct from",
            Comparison::IsNotDistinctFrom => "is not distinct from",
        };
        let Some(function) = self.env.registry.function(name) else {
            return Err(Error::internal(format!("no operator {name}")));
        };
        if overload_of(function, &[a.ty(), b.ty()]).is_none() {
            // Strings without operators of their own compare as text.
            let as_text = |e: Expr| {
                let ty = SqlType::new(&def::TEXT);
                match self.env.registry.cast(e.ty().def, ty.def) {
                    Some(cast) => Expr::Cast { input: Box::new(e), cast, ty, explicit: false },
                    None => e,
                }
            };
            return self.call(name, vec![as_text(a), as_text(b)]);
        }
        self.call(name, vec![a, b])
    }

    /// `a = b`.
    pub(crate) fn eq(&self, a: Expr, b: Expr) -> Result<Expr> {
        self.compare(Comparison::Eq, a, b)
    }

    /// `a IS NOT DISTINCT FROM b`.
    pub(crate) fn same(&self, a: Expr, b: Expr) -> Result<Expr> {
        self.compare(Comparison::IsNotDistinctFrom, a, b)
    }

    /// The aggregate and its overload for these arguments.
    pub(crate) fn aggregate(
        &self,
        name: &str,
        args: &[SqlType],
    ) -> Option<(&'static Aggregate, &'static AggregateSignature)> {
        let function = self.env.registry.aggregate(name)?;
        let signature = function.signatures.iter().find(|s| accepts(s.args, false, args))?;
        Some((function, signature))
    }

    /// A call of an aggregate over expressions.
    pub(crate) fn aggregate_call(&mut self, name: &str, args: Vec<Expr>) -> Option<AggregateCall> {
        let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        let (function, signature) = self.aggregate(name, &types)?;
        let ty = match signature.returns {
            ReturnType::Exact(def) => SqlType::new(def),
            ReturnType::Compatible => *types.first()?,
            ReturnType::Of(f) => f(&types),
        };
        let out = self.column(name, ty);
        Some(AggregateCall {
            out,
            function,
            signature,
            args,
            distinct: false,
            filter: None,
            order_by: vec![],
        })
    }

    /// A call of a window function without arguments (`row_number`, `rank`).
    pub(crate) fn window_call(&mut self, name: &str) -> Result<WindowCall> {
        let function = self.env.registry.window(name);
        let function = function.ok_or_else(|| Error::internal(format!("no window function {name}")))?;
        let signature = function
            .signatures
            .first()
            .ok_or_else(|| Error::internal("window function without overloads"))?;
        let frame = Frame {
            unit: FrameUnit::Range,
            start: FrameBound::UnboundedPreceding,
            end: FrameBound::CurrentRow,
            exclude: FrameExclusion::NoOthers,
            range_bounds: (None, None),
        };
        Ok(WindowCall {
            out: self.column(name, SqlType::new(&def::INT8)),
            callee: WindowCallee::Function { function, signature },
            args: vec![],
            filter: None,
            frame,
        })
    }
}

/// A bigint constant.
pub(crate) fn int8(value: i64) -> Expr {
    Expr::Const { value: Datum::Int64(value), ty: SqlType::new(&def::INT8) }
}

/// `CASE WHEN condition THEN result END`.
pub(crate) fn only_when(condition: Expr, result: Expr) -> Expr {
    let ty = result.ty();
    Expr::Case { branches: vec![(condition, result)], otherwise: None, ty }
}

/// `COALESCE(condition, false)`: true or false, never NULL.
pub(crate) fn is_true(condition: Expr) -> Expr {
    Expr::Coalesce { args: vec![condition, Expr::boolean(false)], ty: SqlType::new(&def::BOOL) }
}

fn overload(function: &'static Function, args: &[Expr]) -> Option<&'static Signature> {
    overload_of(function, &args.iter().map(Expr::ty).collect::<Vec<_>>())
}

fn overload_of(function: &'static Function, args: &[SqlType]) -> Option<&'static Signature> {
    function.signatures.iter().find(|s| accepts(s.args, s.variadic, args))
}

fn accepts(params: &[ArgType], variadic: bool, args: &[SqlType]) -> bool {
    if args.len() < params.len() || (args.len() > params.len() && !variadic) {
        return false;
    }
    let mut compatible: Option<SqlType> = None;
    args.iter().enumerate().all(|(i, arg)| match params.get(i).or(params.last()) {
        Some(ArgType::Exact(def)) => arg.is(def),
        Some(ArgType::AnyCompatible) => {
            let first = *compatible.get_or_insert(*arg);
            first.same_def(*arg)
        }
        Some(ArgType::Any) => true,
        None => false,
    })
}
