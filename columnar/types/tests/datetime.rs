//! Calendar arithmetic against PostgreSQL's own answers (pg/datetime.tsv, made by pg/datetime.sql).

#![allow(clippy::unwrap_used)]

use arrow::datatypes::IntervalMonthDayNano;
use spg_types::datetime::*;
use spg_types::{Error, FormatSettings, Numeric, Result};

fn show(e: &Error) -> String {
    match e.detail() {
        Some(detail) => format!("!{} {} ({detail})", e.state(), e.message()),
        None => format!("!{} {}", e.state(), e.message()),
    }
}

fn ts(text: &str) -> Result<i64> {
    parse_timestamp(text, &FormatSettings::default())
}

fn iv(text: &str) -> Result<IntervalMonthDayNano> {
    parse_interval(text, -1, &FormatSettings::default())
}

fn day(text: &str) -> Result<i32> {
    parse_date(text, &FormatSettings::default())
}

fn written(write: impl FnOnce(&FormatSettings, &mut Vec<u8>)) -> Result<String> {
    let mut out = Vec::new();
    write(&FormatSettings::default(), &mut out);
    Ok(String::from_utf8(out).unwrap())
}

fn show_ts(us: i64) -> Result<String> {
    written(|s, out| write_timestamp(us, s, out))
}

fn show_iv(v: IntervalMonthDayNano) -> Result<String> {
    written(|s, out| write_interval(v, s, out))
}

fn show_day(days: i32) -> Result<String> {
    written(|s, out| write_date(days, s, out))
}

fn show_number(n: Option<Numeric>) -> Result<String> {
    Ok(n.map_or("!null".into(), |n| n.to_string()))
}

const TIMESTAMP: &str = "timestamp without time zone";
const TIMESTAMPTZ: &str = "timestamp with time zone";

fn answer(op: &str, args: &[&str]) -> Result<String> {
    match (op, args) {
        ("ts+iv", [a, b]) => show_ts(add_interval(ts(a)?, iv(b)?)?),
        ("ts-iv", [a, b]) => show_ts(sub_interval(ts(a)?, iv(b)?)?),
        ("ts-ts", [a, b]) => show_iv(timestamp_difference(ts(a)?, ts(b)?)?),
        ("age", [a, b]) => show_iv(age(ts(a)?, ts(b)?)?),
        ("extract", [u, t]) => show_number(extract_timestamp(field_of(u, TIMESTAMP)?, ts(t)?)?),
        ("extract_date", [u, t]) => show_number(extract_date(field_of(u, "date")?, day(t)?)?),
        ("extract_time", [u, t]) => {
            let us = parse_time(t, &FormatSettings::default())?;
            show_number(extract_time(field_of(u, "time without time zone")?, us)?)
        }
        ("extract_iv", [u, t]) => show_number(extract_interval(field_of(u, "interval")?, iv(t)?)?),
        ("trunc", [u, t]) => show_ts(truncate_timestamp(field_of(u, TIMESTAMP)?, ts(t)?)?),
        ("trunc_iv", [u, t]) => show_iv(truncate_interval(field_of(u, "interval")?, iv(t)?)?),
        ("justify_hours", [t]) => show_iv(justify_hours(iv(t)?)?),
        ("justify_days", [t]) => show_iv(justify_days(iv(t)?)?),
        ("justify_interval", [t]) => show_iv(justify_interval(iv(t)?)?),
        ("iv+iv", [a, b]) => show_iv(add_intervals(iv(a)?, iv(b)?)?),
        ("iv-iv", [a, b]) => show_iv(sub_intervals(iv(a)?, iv(b)?)?),
        ("iv<iv", [a, b]) => Ok(compare_intervals(iv(a)?, iv(b)?).is_lt().to_string()),
        ("iv*", [a, b]) => show_iv(multiply_interval(iv(a)?, b.parse().unwrap())?),
        ("iv/", [a, b]) => show_iv(divide_interval(iv(a)?, b.parse().unwrap())?),
        ("date+", [a, b]) => show_day(add_days(day(a)?, b.parse().unwrap())?),
        ("date-date", [a, b]) => Ok(date_difference(day(a)?, day(b)?)?.to_string()),
        ("make_date", [y, m, d]) => {
            show_day(make_date(y.parse().unwrap(), m.parse().unwrap(), d.parse().unwrap())?)
        }
        ("date_bin", [s, t, o]) => show_ts(date_bin(iv(s)?, ts(t)?, ts(o)?)?),
        ("time+iv", [t, i]) => {
            let us = parse_time(t, &FormatSettings::default())?;
            written(|_, out| write_time(add_interval_to_time(us, iv(i).unwrap()), out))
        }
        ("to_utc", [z, t]) => show_ts(local_to_utc(&parse_time_zone(z)?, ts(t)?)),
        ("to_local", [z, t]) => show_ts(utc_to_local(&parse_time_zone(z)?, ts(t)?)),
        ("tstz+iv", [z, t, i]) => show_ts(add_interval_tz(ts(t)?, iv(i)?, &parse_time_zone(z)?)?),
        ("tstz_trunc", [z, u, t]) => {
            show_ts(truncate_timestamptz(field_of(u, TIMESTAMPTZ)?, ts(t)?, &parse_time_zone(z)?)?)
        }
        ("tstz_extract", [z, u, t]) => {
            show_number(extract_timestamptz(field_of(u, TIMESTAMPTZ)?, ts(t)?, &parse_time_zone(z)?)?)
        }
        other => panic!("no operation {other:?}"),
    }
}

#[test]
fn agrees_with_postgres() {
    let path = std::env::var("DATETIME_TSV").unwrap_or("tests/pg/datetime.tsv".into());
    let cases = std::fs::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in cases.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [op, args, want] = fields[..] else { panic!("malformed line {line:?}") };
        let args: Vec<&str> = args.split('|').collect();
        let got = answer(op, &args).unwrap_or_else(|e| show(&e));
        count += 1;
        // Intervals with a time of more than 292 years have no place in a 64-bit count of nanoseconds.
        let beyond_reach = got == "!22008 interval out of range" && !want.starts_with('!');
        // PostgreSQL 15 computes with the infinities' numbers here.
        let infinite_age = op == "age" && args.contains(&"infinity");
        // It looks at infinity before it looks at the unit's or the zone's name, and names units as they were given.
        let names = args.contains(&"infinity")
            || args.contains(&"-infinity")
            || args.iter().any(|a| matches!(*a, "msec" | "Years"));
        let only_name =
            names && got.starts_with('!') && (want.starts_with("!0A000 unit") || want.ends_with("infinity"));
        if got != want && !beyond_reach && !infinite_age && !only_name {
            wrong.push(format!("{op} {args:?}: want {want}, got {got}"));
        }
    }
    assert!(count > 1000, "only {count} cases");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}
