//! From syntax tree to plan: the binder, the plan, the optimizer's rules, EXPLAIN.

pub mod bind;
mod catalog;
mod cost;
pub mod explain;
mod node;
mod optimize;
mod props;
pub mod rules;
mod selectivity;
mod stats;
mod tree;
mod verify;

pub use catalog::CatalogView;
pub use explain::explain_plan;
pub use node::{
    AggregateCall, CteId, Frame, FrameBound, FrameExclusion, FrameUnit, IndexAccess, IndexLookup, Join,
    JoinFilterId, JoinKind, Modify, ModifyKind, NamedExpr, OutCol, Plan, Scan, SetOpKind, SortKey, Tables,
    WindowCall, WindowCallee,
};
pub use stats::{Estimate, annotate, estimate};
