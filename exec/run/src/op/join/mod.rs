//! Joins: the right input is built into a table, the left input streams past it.

pub(crate) mod build;
pub(crate) mod lookup;
pub(crate) mod probe;
pub(crate) mod table;
pub(crate) mod unmatched;
