//! Bound expressions, the records that functions, operators, casts and aggregates are made of, overload resolution,
//! and the evaluator.

mod column;
mod expr;
mod function;
mod registry;

pub use column::{Column, flatten};
pub use expr::{ColId, Expr};
pub use function::{
    Aggregate, AggregateKernel, AggregateSignature, ArgType, BindArgs, CastContext, CastDef, Comparison,
    EvalContext, Function, GroupStates, Kernel, Partition, ReturnType, Signature, Volatility, WindowFunction,
    WindowKernel, WindowSignature,
};
pub use registry::Registry;
