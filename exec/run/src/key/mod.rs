//! Keys of grouping, joining and DISTINCT: rows of machine words that are equal when the SQL values are.
//!
//! Fixed-width values are packed into words. Strings, numbers with their own scale and intervals are interned: each distinct value gets a
//! number, dictionary-encoded columns are translated once per dictionary. So every table hashes and compares words only.

pub(crate) mod interner;
pub(crate) mod table;
pub(crate) mod words;
