//! Bound expressions, the records that functions, operators, casts and aggregates are made of, overload resolution,
//! and the evaluator.

pub mod arity;
mod column;
mod compare;
mod eval;
mod expr;
mod function;
mod registry;
mod relation;

pub use column::{Column, flatten};
pub use compare::{compare, compare_select, comparison_kernel, date_to_timestamp};
pub use eval::{Compiled, infallible};
pub use expr::{ColId, Expr};
pub use function::{
    Aggregate, AggregateKernel, AggregateSignature, ArgType, BindArgs, CastContext, CastDef, Comparison,
    EvalContext, Function, GroupStates, Kernel, Partition, ReturnType, SettingAccess, Signature,
    StorageAccess, Volatility, WindowFunction, WindowKernel, WindowSignature,
};
pub use registry::Registry;
pub use relation::{SystemColumn, SystemRelation};
