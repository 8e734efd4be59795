//! `timezone`: AT TIME ZONE.

use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::BindArgs;
use spg_expr::arity::{Str, try_map2};
use spg_types::datetime::{fixed_zone, interval_us, local_to_utc, parse_time_zone, utc_to_local};
use spg_types::{Datum, Result};

use crate::error::invalid_parameter;
use crate::record::{functions, sig};

type Kernel = std::sync::Arc<dyn spg_expr::Kernel>;
type Zone = jiff::tz::TimeZone;

/// The zone is looked up once where it is constant.
fn named(bind: &BindArgs<'_>, f: fn(&Zone, i64) -> i64) -> Result<Kernel> {
    let constant = match bind.constants.first() {
        Some(Some(Datum::Text(name))) => parse_time_zone(name).ok(),
        _ => None,
    };
    try_map2::<Str, i64, i64>(bind, move |name, us| match &constant {
        Some(zone) => Ok(f(zone, us)),
        None => Ok(f(&parse_time_zone(name)?, us)),
    })
}

fn by_offset(bind: &BindArgs<'_>, f: fn(&Zone, i64) -> i64) -> Result<Kernel> {
    try_map2::<Interval, i64, i64>(bind, move |offset, us| {
        if offset.months != 0 || offset.days != 0 {
            return Err(invalid_parameter("interval time zone must not include months or days"));
        }
        Ok(f(&fixed_zone((interval_us(offset) / 1_000_000) as i32), us))
    })
}

functions! {
    FUNCTION TIMEZONE: "timezone", "AT TIME ZONE: the local time of a moment in a zone, or the moment of a zone's local time.", "timezone('UTC', timestamp '2001-02-16 20:38:40') = timestamptz '2001-02-16 20:38:40+00'" => "t", [
        sig!([TEXT, TIMESTAMPTZ] => TIMESTAMP, |b| named(b, utc_to_local)),
        sig!([TEXT, TIMESTAMP] => TIMESTAMPTZ, |b| named(b, local_to_utc)),
        sig!([INTERVAL, TIMESTAMPTZ] => TIMESTAMP, |b| by_offset(b, utc_to_local)),
        sig!([INTERVAL, TIMESTAMP] => TIMESTAMPTZ, |b| by_offset(b, local_to_utc)),
    ];
}
