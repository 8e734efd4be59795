//! Parts of moments and spans: `extract`, `date_part`, `date_trunc`, `date_bin`.

use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::BindArgs;
use spg_expr::arity::{Arg, Ret, Str, ctx_map2, ctx_map3, try_map3};
use spg_types::datetime::{
    Field, date_bin, extract_date, extract_interval, extract_time, extract_timestamp, extract_timestamptz,
    field_of, parse_time_zone, truncate_interval, truncate_timestamp, truncate_timestamptz,
};
use spg_types::{Datum, Numeric, Result};

use crate::cast::numeric_to_f64;
use crate::record::{functions, sig};

type Kernel = std::sync::Arc<dyn spg_expr::Kernel>;
type Zone = jiff::tz::TimeZone;

/// A function of a field's name and a value; the name is looked up once where it is constant.
fn of_field<A: Arg, R: Ret>(
    bind: &BindArgs<'_>,
    ty: &'static str,
    f: impl for<'a> Fn(Field, A::Value<'a>, &Zone) -> Result<Option<R::Owned>> + Send + Sync + 'static,
) -> Result<Kernel> {
    let constant = match bind.constants.first() {
        Some(Some(Datum::Text(name))) => Field::from_name(name),
        _ => None,
    };
    ctx_map2::<Str, A, R>(bind, move |ctx, name, value| {
        let field = match constant {
            Some(field) => field,
            None => field_of(name, ty)?,
        };
        f(field, value, &ctx.format.time_zone)
    })
}

fn float(v: Option<Numeric>) -> Result<Option<f64>> {
    v.map(|v| numeric_to_f64(&v)).transpose()
}

functions! {
    SETTING EXTRACT: "extract", "A part of a date, time or interval, as a number.", "extract(year from date '2001-02-16')" => "2001", [
        sig!([TEXT, DATE] => NUMERIC, |b| of_field::<i32, Numeric>(b, "date", |f, v, _| extract_date(f, v))),
        sig!([TEXT, TIME] => NUMERIC, |b| of_field::<i64, Numeric>(b, "time without time zone", |f, v, _| extract_time(f, v))),
        sig!([TEXT, TIMESTAMP] => NUMERIC, |b| of_field::<i64, Numeric>(b, "timestamp without time zone", |f, v, _| extract_timestamp(f, v))),
        sig!([TEXT, TIMESTAMPTZ] => NUMERIC, |b| of_field::<i64, Numeric>(b, "timestamp with time zone", extract_timestamptz)),
        sig!([TEXT, INTERVAL] => NUMERIC, |b| of_field::<Interval, Numeric>(b, "interval", |f, v, _| extract_interval(f, v))),
    ];
    SETTING DATE_PART: "date_part", "A part of a date, time or interval, as a float.", "date_part('hour', timestamp '2001-02-16 20:38:40')" => "20", [
        sig!([TEXT, DATE] => FLOAT8, |b| of_field::<i32, f64>(b, "date", |f, v, _| float(extract_date(f, v)?))),
        sig!([TEXT, TIME] => FLOAT8, |b| of_field::<i64, f64>(b, "time without time zone", |f, v, _| float(extract_time(f, v)?))),
        sig!([TEXT, TIMESTAMP] => FLOAT8, |b| of_field::<i64, f64>(b, "timestamp without time zone", |f, v, _| float(extract_timestamp(f, v)?))),
        sig!([TEXT, TIMESTAMPTZ] => FLOAT8, |b| of_field::<i64, f64>(b, "timestamp with time zone", |f, v, z| float(extract_timestamptz(f, v, z)?))),
        sig!([TEXT, INTERVAL] => FLOAT8, |b| of_field::<Interval, f64>(b, "interval", |f, v, _| float(extract_interval(f, v)?))),
    ];
    SETTING DATE_TRUNC: "date_trunc", "The moment at which a unit of time began.", "date_trunc('hour', timestamp '2001-02-16 20:38:40')" => "2001-02-16 20:00:00", [
        sig!([TEXT, TIMESTAMP] => TIMESTAMP, |b| of_field::<i64, i64>(b, "timestamp without time zone", |f, v, _| truncate_timestamp(f, v).map(Some))),
        sig!([TEXT, TIMESTAMPTZ] => TIMESTAMPTZ, |b| of_field::<i64, i64>(b, "timestamp with time zone", |f, v, z| truncate_timestamptz(f, v, z).map(Some))),
        sig!([TEXT, INTERVAL] => INTERVAL, |b| of_field::<Interval, Interval>(b, "interval", |f, v, _| truncate_interval(f, v).map(Some))),
        sig!([TEXT, TIMESTAMPTZ, TEXT] => TIMESTAMPTZ, |b| ctx_map3::<Str, i64, Str, i64>(b, |_, name, v, zone| {
            truncate_timestamptz(field_of(name, "timestamp with time zone")?, v, &parse_time_zone(zone)?).map(Some)
        })),
    ];
    FUNCTION DATE_BIN: "date_bin", "The start of the span of a given length, counted from an origin, in which a moment lies.", "date_bin('15 minutes', timestamp '2001-02-16 20:38:40', timestamp '2001-02-16 20:05:00')" => "2001-02-16 20:35:00", [
        sig!([INTERVAL, TIMESTAMP, TIMESTAMP] => TIMESTAMP, |b| try_map3::<Interval, i64, i64, i64>(b, date_bin)),
        sig!([INTERVAL, TIMESTAMPTZ, TIMESTAMPTZ] => TIMESTAMPTZ, |b| try_map3::<Interval, i64, i64, i64>(b, date_bin)),
    ];
}
