//! Text and binary forms of every type against PostgreSQL's own answers (pg/types.tsv, made by pg/types.sql).

#![allow(clippy::unwrap_used)]

use spg_types::{
    ColumnBuilder, DateFormat, DateOrder, Datum, Error, FormatSettings, IntervalFormat, Result, SqlType,
    datetime, type_by_name,
};

fn show(e: &Error) -> String {
    match e.detail() {
        Some(detail) => format!("!{} {} ({detail})", e.state(), e.message()),
        None => format!("!{} {}", e.state(), e.message()),
    }
}

fn settings(text: &str) -> FormatSettings {
    let parts: Vec<&str> = text.split('|').collect();
    let (format, order) = parts[0].split_once(", ").unwrap();
    FormatSettings {
        date_format: match format {
            "iso" => DateFormat::Iso,
            "sql" => DateFormat::Sql,
            "postgres" => DateFormat::Postgres,
            _ => DateFormat::German,
        },
        date_order: match order {
            "mdy" => DateOrder::Mdy,
            "dmy" => DateOrder::Dmy,
            _ => DateOrder::Ymd,
        },
        interval_format: match parts[1] {
            "postgres" => IntervalFormat::Postgres,
            "postgres_verbose" => IntervalFormat::PostgresVerbose,
            "sql_standard" => IntervalFormat::SqlStandard,
            _ => IntervalFormat::Iso8601,
        },
        time_zone: datetime::parse_time_zone(parts[2]).unwrap(),
        ..FormatSettings::default()
    }
}

/// The type of `varchar(5)`, `interval day to second(2)`.
fn sql_type(text: &str) -> SqlType {
    let (name, args) = text.split_once('(').unwrap_or((text, ""));
    let mut args: Vec<i64> = args.trim_end_matches(')').split(',').filter_map(|p| p.parse().ok()).collect();
    if let Some(fields) = name.strip_prefix("interval").filter(|f| !f.is_empty() || !args.is_empty()) {
        let range = (0..0x7fff).find(|r| datetime::interval_fields_name(*r) == fields && !fields.is_empty());
        args.insert(0, range.unwrap_or(0x7fff).into());
        let def = type_by_name("interval").unwrap();
        return SqlType::with_typmod(def, (def.typmod_in)(&args).unwrap());
    }
    let def = type_by_name(name).unwrap_or_else(|| panic!("no type {name}"));
    if args.is_empty() {
        SqlType::new(def)
    } else {
        SqlType::with_typmod(def, (def.typmod_in)(&args).unwrap())
    }
}

fn answer(ty: &str, settings: &FormatSettings, input: &str) -> Result<String> {
    if let Some(ty) = ty.strip_prefix("send:") {
        let ty = sql_type(ty);
        let value = Datum::from_text(input, ty, settings)?;
        let array = value.to_array(ty)?;
        let mut bytes = Vec::new();
        (ty.def.binary_out)(&array, ty)(0, &mut bytes);
        let mut back = ColumnBuilder::new(ty, 1);
        (ty.def.binary_in)(&bytes, ty, &mut back)?;
        let read = Datum::from_column(&back.finish(), 0, ty)?;
        assert_eq!(format!("{read:?}"), format!("{value:?}"), "{input} comes back from its binary form");
        return Ok(bytes.iter().map(|b| format!("{b:02x}")).collect());
    }
    let ty = sql_type(ty);
    let value = Datum::from_text(input, ty, settings)?;
    let text = value.to_text(ty, settings)?;
    Ok(text)
}

#[test]
fn agrees_with_postgres() {
    let path = std::env::var("TYPES_TSV").unwrap_or("tests/pg/types.tsv".into());
    let cases = std::fs::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in cases.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [ty, style, input, want] = fields[..] else { panic!("malformed line {line:?}") };
        let input = input.replace("<nl>", "\n").replace("<tab>", "\t");
        let want = want.replace("<nl>", "\n").replace("<tab>", "\t");
        let got = match answer(ty, &settings(style), &input) {
            Ok(text) if ty == "bool" => if text == "t" { "true" } else { "false" }.to_string(),
            Ok(text) => text,
            Err(e) => show(&e),
        };
        count += 1;
        if got != want && !beyond_reach(ty, &want, &got) {
            wrong.push(format!("{ty} | {style} | {input:?}: want {want:?}, got {got:?}"));
        }
    }
    assert!(count > 1000, "only {count} cases");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Timestamps of the years 294247 to 294276, and intervals with a time of more than 292 years, have no place in a
/// 64-bit count from 1970 and of nanoseconds.
fn beyond_reach(ty: &str, want: &str, got: &str) -> bool {
    (ty.contains("timestamp")
        && (want.contains("2942") || want == "7fffff5bb3a35dc0")
        && got.contains("timestamp out of range"))
        || (ty.contains("interval") && !want.starts_with('!') && got == "!22008 interval out of range")
}
