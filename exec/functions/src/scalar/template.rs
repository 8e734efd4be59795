//! `to_char`, `to_date`, `to_timestamp`, `to_number`: values through templates of PostgreSQL's chapter 9.8.

mod date_in;
mod date_out;
mod date_pattern;
mod number_in;
mod number_out;
mod number_pattern;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::IntervalMonthDayNano as Interval;
use spg_expr::arity::{Arg, Str, ctx_map2, opt_map2, try_map2};
use spg_expr::{BindArgs, EvalContext};
use spg_types::datetime::{
    is_infinite, local_to_utc, offset_and_abbreviation, timestamp_to_date, utc_to_local,
};
use spg_types::{Datum, Numeric, Result};

use crate::cast::f64_to_numeric;
use crate::record::{functions, sig};
use date_out::Moment;
use date_pattern::DatePattern;
use number_pattern::NumberPattern;

type Kernel = Arc<dyn spg_expr::Kernel>;

/// A parsed template.
trait Template: Sized + Send + Sync + 'static {
    fn parse(text: &str) -> Result<Self>;
}

/// The templates of a call: parsed once where constant, otherwise kept by text.
struct Templates<T> {
    constant: Option<(String, Arc<T>)>,
    known: Mutex<HashMap<String, Arc<T>>>,
}

impl<T: Template> Templates<T> {
    fn new(bind: &BindArgs<'_>) -> Self {
        let constant = match bind.constants.get(1) {
            Some(Some(Datum::Text(t))) => T::parse(t).ok().map(|p| (t.to_string(), Arc::new(p))),
            _ => None,
        };
        Self { constant, known: Mutex::default() }
    }

    fn get(&self, text: &str) -> Result<Arc<T>> {
        const KNOWN_MAX: usize = 64;
        if let Some((t, p)) = &self.constant
            && t == text
        {
            return Ok(p.clone());
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(p) = known.get(text) {
            return Ok(p.clone());
        }
        let parsed = Arc::new(T::parse(text)?);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(text.to_string(), parsed.clone());
        Ok(parsed)
    }
}

/// `to_char` of a moment; NULL for infinities and empty templates.
fn moment<A: Arg>(
    bind: &BindArgs<'_>,
    f: impl for<'a> Fn(&EvalContext, A::Value<'a>) -> Option<Moment> + Send + Sync + 'static,
) -> Result<Kernel> {
    let templates = Templates::<DatePattern>::new(bind);
    ctx_map2::<A, Str, Str>(bind, move |ctx, value, template| {
        let Some(moment) = f(ctx, value).filter(|_| !template.is_empty()) else { return Ok(None) };
        templates.get(template)?.write(&moment).map(Some)
    })
}

/// `to_char` of a number.
fn number<A: Arg>(
    bind: &BindArgs<'_>,
    f: impl for<'a> Fn(A::Value<'a>) -> Result<Numeric> + Send + Sync + 'static,
) -> Result<Kernel> {
    let templates = Templates::<NumberPattern>::new(bind);
    try_map2::<A, Str, Str>(bind, move |value, template| templates.get(template)?.write(&f(value)?))
}

functions! {
    SETTING TO_CHAR: "to_char", "A number, moment or span written by a template.", "to_char(timestamp '2002-04-20 17:31:12.66', 'HH12:MI:SS')" => "05:31:12", [
        sig!([TIMESTAMP, TEXT] => TEXT, |b| moment::<i64>(b, |_, us| (!is_infinite(us)).then(|| Moment::of_timestamp(us)))),
        sig!([TIMESTAMPTZ, TEXT] => TEXT, |b| moment::<i64>(b, |ctx, us| {
            let zone = &ctx.format.time_zone;
            (!is_infinite(us)).then(|| {
                let (offset, name) = offset_and_abbreviation(zone, us);
                Moment::of_timestamp(utc_to_local(zone, us)).in_zone(offset, name)
            })
        })),
        sig!([INTERVAL, TEXT] => TEXT, |b| moment::<Interval>(b, |_, v| Some(Moment::of_interval(v)))),
        sig!([INT4, TEXT] => TEXT, |b| number::<i32>(b, |v| Ok(Numeric::from(i64::from(v))))),
        sig!([INT8, TEXT] => TEXT, |b| number::<i64>(b, |v| Ok(Numeric::from(v)))),
        sig!([NUMERIC, TEXT] => TEXT, |b| number::<Numeric>(b, Ok)),
        sig!([FLOAT8, TEXT] => TEXT, |b| number::<f64>(b, f64_to_numeric)),
        sig!([FLOAT4, TEXT] => TEXT, |b| number::<f32>(b, |v| f64_to_numeric(v.into()))),
    ];
    SETTING TO_DATE: "to_date", "The date that a text spells by a template.", "to_date('05 Dec 2000', 'DD Mon YYYY')" => "2000-12-05", [
        sig!([TEXT, TEXT] => DATE, |b| {
            let templates = Templates::<DatePattern>::new(b);
            opt_map2::<Str, Str, i32>(b, move |text, template| {
                Ok(Some(timestamp_to_date(templates.get(template)?.read(text)?.local)))
            })
        }),
    ];
    SETTING TO_TIMESTAMP: "to_timestamp", "The moment so many seconds after 1970-01-01, or that a text spells by a template.", "to_timestamp(1284352323) = timestamptz '2010-09-13 04:32:03+00'" => "t", [
        sig!([FLOAT8] => TIMESTAMPTZ, crate::scalar::datetime::make::from_epoch_kernel),
        sig!([TEXT, TEXT] => TIMESTAMPTZ, |b| {
            let templates = Templates::<DatePattern>::new(b);
            ctx_map2::<Str, Str, i64>(b, move |ctx, text, template| {
                let read = templates.get(template)?.read(text)?;
                Ok(Some(match read.offset {
                    Some(seconds) => read.local - i64::from(seconds) * 1_000_000,
                    None => local_to_utc(&ctx.format.time_zone, read.local),
                }))
            })
        }),
    ];
    FUNCTION TO_NUMBER: "to_number", "The number that a text spells by a template.", "to_number('12,454.8-', '99G999D9S')" => "-12454.8", [
        sig!([TEXT, TEXT] => NUMERIC, |b| {
            let templates = Templates::<NumberPattern>::new(b);
            opt_map2::<Str, Str, Numeric>(b, move |text, template| {
                if template.is_empty() { Ok(None) } else { templates.get(template)?.read(text).map(Some) }
            })
        }),
    ];
}
