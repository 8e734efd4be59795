//! The operators, one file per noun.

pub(crate) mod aggregate;
pub(crate) mod aggregate_input;
pub(crate) mod distinct_on;
pub(crate) mod expand;
pub(crate) mod filter;
pub(crate) mod index_scan;
pub(crate) mod join;
pub(crate) mod join_filter;
pub(crate) mod limit;
pub(crate) mod materialize;
pub(crate) mod project;
pub(crate) mod recursive;
pub(crate) mod result;
pub(crate) mod scan;
pub(crate) mod series;
pub(crate) mod set_op;
pub(crate) mod sort;
pub(crate) mod system;
pub(crate) mod values;
pub(crate) mod window;
