//! What every record must satisfy, and kernels against their twins.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use proptest::prelude::*;
use spg_expr::{ArgType, BindArgs, CastDef, Column, EvalContext, Function, Signature};
use spg_types::{ColumnBuilder, Datum, Numeric, Result, SqlType, TypeDef, def};

use crate::registry;

mod eval;

/// A column of a type from texts; `~` is NULL.
pub(crate) fn column(ty: SqlType, texts: &[&str]) -> Column {
    let mut b = ColumnBuilder::new(ty, texts.len());
    let settings = EvalContext::detached().format;
    for t in texts {
        match *t {
            "~" => b.append_null(),
            t => (ty.def.text_in)(t, ty, &settings, &mut b).unwrap(),
        }
    }
    Column::Array(b.finish())
}

/// Texts of a column.
pub(crate) fn texts(column: &Column, ty: SqlType, rows: usize) -> Vec<String> {
    let array = column.to_flat(rows).unwrap();
    let settings = EvalContext::detached().format;
    let write = (ty.def.text_out)(array.as_ref(), ty, &settings);
    (0..rows)
        .map(|row| {
            if array.is_null(row) {
                return "~".to_string();
            }
            let mut out = vec![];
            write(row, &mut out);
            String::from_utf8(out).unwrap()
        })
        .collect()
}

/// The overload of exactly those types.
pub(crate) fn overload(name: &str, types: &[SqlType]) -> (&'static Function, &'static Signature) {
    let f = registry().function(name).unwrap_or_else(|| panic!("no function {name}"));
    let fits = |s: &&Signature| {
        let parameter = |i: usize| s.args.get(i).or_else(|| s.args.last().filter(|_| s.variadic));
        types.len() >= s.args.len()
            && types.iter().enumerate().all(|(i, t)| match parameter(i) {
                Some(ArgType::Exact(d)) => t.is(d),
                other => other.is_some(),
            })
    };
    (f, f.signatures.iter().find(fits).unwrap_or_else(|| panic!("no overload {name}{types:?}")))
}

pub(crate) fn return_type(signature: &Signature, types: &[SqlType]) -> SqlType {
    match signature.returns {
        spg_expr::ReturnType::Exact(d) => SqlType::new(d),
        spg_expr::ReturnType::Of(f) => f(types),
        spg_expr::ReturnType::Compatible => types[0],
    }
}

/// Calls an overload on columns of texts; a text that starts with `=` is a constant.
pub(crate) fn call(name: &str, args: &[(SqlType, &[&str])]) -> Result<Vec<String>> {
    let types: Vec<SqlType> = args.iter().map(|a| a.0).collect();
    let (_, signature) = overload(name, &types);
    call_signature(signature, args)
}

fn call_signature(signature: &Signature, args: &[(SqlType, &[&str])]) -> Result<Vec<String>> {
    let types: Vec<SqlType> = args.iter().map(|a| a.0).collect();
    let return_type = return_type(signature, &types);
    let rows = args.iter().map(|a| a.1.len()).max().unwrap_or(1);
    let mut constants = vec![];
    let columns: Vec<Column> = args
        .iter()
        .map(|(ty, values)| match values {
            [one] if rows > 1 || one.starts_with('=') => {
                let value = one.strip_prefix('=').unwrap_or(one);
                let array = column(*ty, &[value]).to_flat(1).unwrap();
                constants.push(Some(Datum::from_column(&array, 0, *ty).unwrap()));
                Column::Const(array)
            }
            values => {
                constants.push(None);
                column(*ty, values)
            }
        })
        .collect();
    let kernel = (signature.bind)(&BindArgs { arg_types: &types, return_type, constants: &constants })?;
    let out = kernel.eval(&EvalContext::detached(), &columns, rows)?;
    Ok(texts(&out, return_type, rows))
}

pub(crate) fn cast(from: SqlType, to: SqlType, explicit: bool, values: &[&str]) -> Result<Vec<String>> {
    let cast: &CastDef =
        registry().cast(from.def, to.def).unwrap_or_else(|| panic!("no cast {from} to {to}"));
    let kernel =
        (cast.bind)(&BindArgs { arg_types: &[from], return_type: to, constants: &[None] }, explicit)?;
    let out = kernel.eval(&EvalContext::detached(), &[column(from, values)], values.len())?;
    Ok(texts(&out, to, values.len()))
}

fn of(def: &'static TypeDef) -> SqlType {
    SqlType::new(def)
}

fn numeric(p: u32, s: u32) -> SqlType {
    SqlType::numeric(p, s)
}

#[test]
fn records_are_complete_and_names_unique() {
    let mut names = HashSet::new();
    for f in crate::functions() {
        assert!(names.insert(f.name), "{} stands twice", f.name);
        assert!(!f.doc.is_empty() && f.doc.ends_with('.'), "{}", f.name);
        assert!(!f.example.0.is_empty(), "{}", f.name);
        assert!(!f.signatures.is_empty(), "{}", f.name);
    }
}

#[test]
fn integers() {
    let (i2, i4, i8) = (of(&def::INT2), of(&def::INT4), of(&def::INT8));
    assert_eq!(call("+", &[(i4, &["1", "~", "3"]), (i4, &["10", "20", "30"])]).unwrap(), ["11", "~", "33"]);
    assert_eq!(call("*", &[(i2, &["3", "4"]), (i8, &["=5"])]).unwrap(), ["15", "20"]);
    assert_eq!(call("-", &[(i4, &["=7"]), (i2, &["1", "2"])]).unwrap(), ["6", "5"]);
    let message = |r: Result<Vec<String>>| r.unwrap_err().message().to_string();
    assert_eq!(message(call("+", &[(i4, &["2147483647", "1"]), (i4, &["=1"])])), "integer out of range");
    assert_eq!(message(call("*", &[(i8, &["9223372036854775807"]), (i8, &["2"])])), "bigint out of range");
    assert_eq!(message(call("-", &[(i2, &["-32768"])])), "smallint out of range");
    assert_eq!(message(call("/", &[(i4, &["1"]), (i4, &["0"])])), "division by zero");
    assert_eq!(message(call("/", &[(i4, &["-2147483648"]), (i4, &["-1"])])), "integer out of range");
    assert_eq!(call("%", &[(i4, &["-2147483648", "-7"]), (i4, &["-1", "3"])]).unwrap(), ["0", "-1"]);
}

#[test]
fn decimals() {
    assert_eq!(
        call("*", &[(numeric(15, 2), &["100.00", "12.34"]), (numeric(3, 2), &["0.95", "1.10"])]).unwrap(),
        ["95.0000", "13.5740"]
    );
    assert_eq!(
        call("-", &[(numeric(1, 0), &["=1"]), (numeric(15, 2), &["0.05", "0.10"])]).unwrap(),
        ["0.95", "0.90"]
    );
    assert_eq!(
        call("/", &[(numeric(1, 0), &["1"]), (numeric(1, 0), &["3"])]).unwrap(),
        ["0.33333333333333333333"]
    );
    assert_eq!(
        call("round", &[(of(&def::NUMERIC), &["42.4382"]), (of(&def::INT4), &["=2"])]).unwrap(),
        ["42.44"]
    );
    let message = |r: Result<Vec<String>>| r.unwrap_err().message().to_string();
    assert_eq!(
        message(cast(
            numeric(5, 2),
            SqlType::with_typmod(&def::NUMERIC, (3 << 16 | 1) + 4),
            true,
            &["999.99"]
        )),
        "numeric field overflow"
    );
    assert_eq!(
        cast(
            numeric(5, 2),
            SqlType::with_typmod(&def::NUMERIC, (4 << 16 | 1) + 4),
            true,
            &["999.94", "-0.05"]
        )
        .unwrap(),
        ["999.9", "-0.1"]
    );
    assert_eq!(
        cast(of(&def::FLOAT8), of(&def::NUMERIC), true, &["0.1", "1e20", "1.5"]).unwrap(),
        ["0.1", "100000000000000000000", "1.5"]
    );
    assert_eq!(
        cast(numeric(10, 3), of(&def::INT4), true, &["2.500", "-2.500", "2.499"]).unwrap(),
        ["3", "-3", "2"]
    );
    assert_eq!(
        cast(of(&def::FLOAT8), of(&def::INT4), true, &["2.5", "3.5", "-0.5"]).unwrap(),
        ["2", "4", "0"]
    );
}

#[test]
fn strings() {
    let (text, varchar3, char3) =
        (of(&def::TEXT), SqlType::with_typmod(&def::VARCHAR, 7), SqlType::with_typmod(&def::BPCHAR, 7));
    assert_eq!(cast(text, varchar3, true, &["abcd", "ab"]).unwrap(), ["abc", "ab"]);
    let e = cast(text, varchar3, false, &["abcd"]).unwrap_err();
    assert_eq!((e.state().code(), e.message()), ("22001", "value too long for type character varying(3)"));
    assert_eq!(cast(text, varchar3, false, &["abc  "]).unwrap(), ["abc"]);
    assert_eq!(cast(text, char3, false, &["a "]).unwrap(), ["a  "]);
    assert_eq!(cast(of(&def::BOOL), text, false, &["t", "~"]).unwrap(), ["true", "~"]);
    assert_eq!(cast(text, of(&def::INT4), true, &[" 12 "]).unwrap(), ["12"]);
    assert_eq!(call("||", &[(text, &["a", "~"]), (text, &["=b"])]).unwrap(), ["ab", "~"]);
    assert_eq!(call("||", &[(text, &["a"]), (of(&def::INT4), &["7"])]).unwrap(), ["a7"]);
    assert_eq!(call("~~", &[(text, &["abc", "b", "~"]), (text, &["=a%"])]).unwrap(), ["t", "f", "~"]);
    assert_eq!(call("~~", &[(char3, &["ab"]), (text, &["=ab"])]).unwrap(), ["f"]);
    assert_eq!(call("=", &[(char3, &["ab"]), (char3, &["=ab "])]).unwrap(), ["t"]);
}

/// A comparison or an arithmetic operator gives the same over two, one and no constants.
fn const_twins(name: &str, ty: SqlType, a: &[&str], b: &str) {
    let b_column = vec![b; a.len()];
    let full = call(name, &[(ty, a), (ty, &b_column)]);
    let constant = call(name, &[(ty, a), (ty, &[&format!("={b}")])]);
    assert_eq!(full, constant, "{name} {ty}");
    let full = call(name, &[(ty, &b_column), (ty, a)]);
    let constant = call(name, &[(ty, &[&format!("={b}")]), (ty, a)]);
    assert_eq!(full, constant, "{name} {ty}");
}

#[test]
fn constants_are_like_columns() {
    let cases: &[(SqlType, &[&str])] = &[
        (of(&def::INT4), &["1", "2", "~", "3"]),
        (of(&def::FLOAT8), &["1.5", "NaN", "~", "-0", "Infinity"]),
        (numeric(10, 2), &["1.50", "~", "-3.25"]),
        (of(&def::NUMERIC), &["1.5", "~", "-3.25", "1e30"]),
        (of(&def::TEXT), &["a", "ab", "~", "a long text beyond twelve", "a long text beyond twelvf"]),
        (of(&def::DATE), &["2024-01-01", "~", "1999-12-31"]),
        (of(&def::INTERVAL), &["1 mon", "30 days", "~", "29 days 24:00:01"]),
        (of(&def::UUID), &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "~"]),
        (of(&def::BYTEA), &["\\x00", "\\x0001", "~"]),
        (of(&def::BOOL), &["t", "f", "~"]),
    ];
    for (ty, values) in cases {
        for op in ["=", "<>", "<", "<=", ">", ">=", "is distinct from", "is not distinct from"] {
            for b in *values {
                const_twins(op, *ty, values, b);
            }
        }
    }
}

fn decimal_column(ty: SqlType, values: &[Option<i64>]) -> ArrayRef {
    let mut b = ColumnBuilder::new(ty, values.len());
    for v in values {
        match v {
            Some(v) => b.append_datum(&Datum::Decimal((*v).into())).unwrap(),
            None => b.append_null(),
        }
    }
    b.finish()
}

proptest! {
    /// 64-bit, 128-bit and variable arithmetic agree.
    #[test]
    fn decimal_twins(
        a in proptest::collection::vec(proptest::option::of(-99_999i64..99_999), 1..20),
        s1 in 0u32..4, s2 in 0u32..4,
    ) {
        let b: Vec<Option<i64>> = a.iter().rev().copied().collect();
        for name in ["+", "-", "*", "%"] {
            let mut results = vec![];
            for (p, q) in [(5, 5), (19, 5), (5, 20), (18, 18)] {
                let types = [numeric(p, s1), numeric(q, s2)];
                let (_, signature) = overload(name, &types);
                let derived = return_type(signature, &types);
                let narrow = match derived.precision_scale() {
                    Some((_, s)) => vec![derived, numeric(18, s), of(&def::NUMERIC)],
                    None => vec![derived],
                };
                for return_type in narrow {
                    let kernel = (signature.bind)(&BindArgs { arg_types: &types, return_type, constants: &[None, None] }).unwrap();
                    let columns = [Column::Array(decimal_column(types[0], &a)), Column::Array(decimal_column(types[1], &b))];
                    let out = kernel.eval(&EvalContext::detached(), &columns, a.len());
                    results.push(out.map(|c| texts(&c, return_type, a.len())));
                }
            }
            for r in &results {
                prop_assert_eq!(r, &results[0], "{}", name);
            }
        }
    }

    /// Rounding integers is rounding numbers.
    #[test]
    fn rescale_twins(v in -9_999_999i64..9_999_999, s1 in 0u32..5, p2 in 1u32..9, s2 in 0u32..5) {
        prop_assume!(s2 <= p2);
        let to = SqlType::with_typmod(&def::NUMERIC, ((p2 << 16 | s2) + 4) as i32);
        let text = { let mut t = vec![]; Numeric::from_i128(v.into(), s1).write_text(&mut t); String::from_utf8(t).unwrap() };
        let fixed = cast(numeric(7, s1), to, true, &[&text]);
        let wide = cast(numeric(30, s1), to, true, &[&text]);
        let variable = cast(of(&def::NUMERIC), to, true, &[&text]);
        prop_assert_eq!(&fixed, &variable);
        prop_assert_eq!(&wide, &variable);
    }
}

#[test]
fn moments() {
    let (date, ts, interval) = (of(&def::DATE), of(&def::TIMESTAMP), of(&def::INTERVAL));
    assert_eq!(
        call("+", &[(date, &["2001-01-31"]), (interval, &["1 month"])]).unwrap(),
        ["2001-02-28 00:00:00"]
    );
    assert_eq!(
        call("-", &[(ts, &["2001-09-29 03:00"]), (ts, &["2001-07-27 12:00"])]).unwrap(),
        ["63 days 15:00:00"]
    );
    assert_eq!(
        call("*", &[(interval, &["1 month 1 day"]), (of(&def::FLOAT8), &["3.5"])]).unwrap(),
        ["3 mons 18 days 12:00:00"]
    );
    assert_eq!(call("-", &[(date, &["2001-10-01"]), (date, &["2001-09-28"])]).unwrap(), ["3"]);
    assert_eq!(call("+", &[(of(&def::TIME), &["22:00"]), (interval, &["3 hours"])]).unwrap(), ["01:00:00"]);
    let array: Arc<dyn Array> = column(ts, &["2001-02-16 20:38:40.6789"]).to_flat(1).unwrap();
    assert_eq!(array.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().len(), 1);
    assert_eq!(
        cast(ts, SqlType::with_typmod(&def::TIMESTAMP, 2), true, &["2001-02-16 20:38:40.6789"]).unwrap(),
        ["2001-02-16 20:38:40.68"]
    );
}

/// An aggregate over groups, in two batches merged from two workers, with rows `(group, value)`.
fn aggregate(name: &str, types: &[SqlType], args: &[&[&str]], groups: &[u32]) -> Vec<String> {
    let f = registry().aggregate(name).unwrap();
    let signature = f
        .signatures
        .iter()
        .find(|s| {
            s.args.len() == types.len()
                && s.args.iter().zip(types).all(|(a, t)| match a {
                    ArgType::Exact(d) => t.is(d),
                    _ => true,
                })
        })
        .unwrap();
    let return_type = match signature.returns {
        spg_expr::ReturnType::Exact(d) => SqlType::new(d),
        spg_expr::ReturnType::Of(f) => f(types),
        spg_expr::ReturnType::Compatible => types[0],
    };
    let constants = vec![None; types.len()];
    let kernel =
        (signature.bind)(&BindArgs { arg_types: types, return_type, constants: &constants }).unwrap();
    let ctx = EvalContext::detached();
    let count = groups.iter().max().map_or(1, |g| *g as usize + 1);
    let columns: Vec<Column> = args.iter().zip(types).map(|(a, t)| column(*t, a)).collect();
    let rows = groups.len();
    let run = |range: std::ops::Range<usize>| {
        let mut states = kernel.states();
        states.resize(count);
        let part: Vec<Column> = columns.iter().map(|c| c.slice(range.start, range.len())).collect();
        states.update(&ctx, &part, &groups[range]).unwrap();
        states
    };
    let whole = texts(&Column::Array(run(0..rows).finish(&ctx).unwrap()), return_type, count);
    let mut first = run(0..rows / 2);
    let second = run(rows / 2..rows);
    let all: Vec<u32> = (0..count as u32).collect();
    first.merge(second.as_ref(), &all, &all).unwrap();
    let merged = texts(&Column::Array(first.finish(&ctx).unwrap()), return_type, count);
    assert_eq!(whole, merged, "{name} merged");
    for group in 0..count as u32 {
        let picks: Vec<u32> = (0..rows as u32).filter(|r| groups[*r as usize] == group).collect();
        let picks = arrow::array::UInt32Array::from(picks);
        let part: Vec<Column> = columns.iter().map(|c| c.gather(&picks).unwrap()).collect();
        let mut states = kernel.states();
        states.resize(1);
        states.update_single(&ctx, &part, 0, picks.len()).unwrap();
        let single = texts(&Column::Array(states.finish(&ctx).unwrap()), return_type, 1);
        assert_eq!(single[0], whole[group as usize], "{name} of one group");
    }
    whole
}

#[test]
fn aggregates() {
    let i4 = of(&def::INT4);
    let values = ["1", "2", "~", "4", "~", "7"];
    let groups = [0, 0, 0, 0, 1, 2];
    let over = |name: &str, ty: SqlType| aggregate(name, &[ty], &[&values], &groups);
    assert_eq!(over("sum", i4), ["7", "~", "7"]);
    assert_eq!(over("count", i4), ["3", "0", "1"]);
    assert_eq!(over("avg", i4), ["2.3333333333333333", "~", "7.0000000000000000"]);
    assert_eq!(over("min", i4), ["1", "~", "7"]);
    assert_eq!(over("max", numeric(10, 2)), ["4.00", "~", "7.00"]);
    assert_eq!(over("sum", numeric(15, 2)), ["7.00", "~", "7.00"]);
    assert_eq!(over("sum", numeric(5, 2)), ["7.00", "~", "7.00"]);
    assert_eq!(over("sum", numeric(38, 2)), ["7.00", "~", "7.00"]);
    assert_eq!(over("avg", numeric(15, 2)), ["2.3333333333333333", "~", "7.0000000000000000"]);
    assert_eq!(over("sum", of(&def::NUMERIC)), ["7", "~", "7"]);
    assert_eq!(over("max", of(&def::TEXT)), ["4", "~", "7"]);
    assert_eq!(over("min", of(&def::FLOAT8)), ["1", "~", "7"]);
    assert_eq!(over("sum", of(&def::FLOAT8)), ["7", "~", "7"]);
    assert_eq!(over("variance", i4), ["2.3333333333333333", "~", "~"]);
    assert_eq!(over("stddev_pop", of(&def::NUMERIC)), ["1.2472191289246471", "~", "0"]);
    assert_eq!(over("var_samp", of(&def::FLOAT8)), ["2.3333333333333335", "~", "~"]);
    assert_eq!(over("bit_or", i4), ["7", "~", "7"]);
    let texts = of(&def::TEXT);
    assert_eq!(
        aggregate(
            "string_agg",
            &[texts, texts],
            &[&["a", "b", "~", "c"], &[";", ",", ",", "~"]],
            &[0, 0, 0, 0]
        ),
        ["a,bc"]
    );
}

#[test]
fn sums_beyond_128_bits() {
    let big = "99999999999999999999999999999999999999";
    let values = [big, big, big, big];
    let sum = aggregate("sum", &[numeric(38, 0)], &[&values], &[0, 0, 0, 0]);
    assert_eq!(sum, ["399999999999999999999999999999999999996"]);
}
