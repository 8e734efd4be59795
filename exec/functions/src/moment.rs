//! What operators and functions on moments share beyond the calendar of the types crate.

use spg_types::Result;
use spg_types::datetime::{check_timestamp, date_to_timestamp, is_infinite};

/// `date + time`
pub(crate) fn date_plus_time(date: i32, time: i64) -> Result<i64> {
    let us = date_to_timestamp(date)?;
    if is_infinite(us) { Ok(us) } else { check_timestamp(us + time) }
}
