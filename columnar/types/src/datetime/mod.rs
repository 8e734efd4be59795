//! Calendar and clock: the one home of date, time and interval arithmetic, and of their text forms.
//!
//! Dates are days and timestamps are microseconds since 1970-01-01 (UTC for `timestamptz`), on the proleptic
//! Gregorian calendar with a year 0 (1 BC).

mod arith;
mod civil;
mod extract;
mod fast;
mod field;
mod format;
mod interval;
mod parse;
mod truncate;
mod zone;

pub use arith::*;
pub use civil::*;
pub use extract::*;
pub use fast::*;
pub use field::{Field, field_of};
pub use format::*;
pub use interval::*;
pub use parse::*;
pub use truncate::*;
pub use zone::*;
