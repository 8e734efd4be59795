//! Calendar and clock: the one home of date, time and interval arithmetic, and of their text forms.
//!
//! Dates are days and timestamps are microseconds since 1970-01-01 (UTC for `timestamptz`), on the proleptic
//! Gregorian calendar with a year 0 (1 BC).

mod civil;
mod fast;
mod format;
mod interval;
mod parse;
mod zone;

pub use civil::*;
pub use fast::*;
pub use format::*;
pub use interval::*;
pub use parse::*;
pub use zone::*;
