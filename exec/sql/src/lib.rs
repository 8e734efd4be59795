//! Text to syntax tree: crate sqlparser under PostgreSQL's rules, with PostgreSQL's errors.
//!
//! [`parse`] gives the statements of a text, each with the place it stands at. Names in the tree are as written:
//! [`fold`] gives the name that an identifier means.

mod dialect;
mod error;
pub mod own;
mod parse;
mod position;
mod rewrite;
mod statement;

pub use own::Own;
pub use parse::{MAX_DEPTH, parse, parse_expr};
pub use position::offset;
pub use rewrite::{EXCLUSION_MARK, NESTED_SETS};
pub use sqlparser::ast;
pub use sqlparser::tokenizer::Span;
pub use statement::{Statement, Tree, fold, folded_name};
