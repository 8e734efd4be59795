//! From syntax tree to plan: the binder, the plan, the optimizer's rules, EXPLAIN.

mod catalog;
mod node;

pub use catalog::CatalogView;
pub use node::{
    AggregateCall, CteId, Frame, FrameBound, FrameExclusion, FrameUnit, IndexAccess, IndexLookup, Join,
    JoinFilterId, JoinKind, Modify, ModifyKind, NamedExpr, OutCol, Plan, Scan, SetOpKind, SortKey,
    WindowCall, WindowCallee,
};
