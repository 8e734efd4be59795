//! Properties: what is written reads back as the same value, and every fast path agrees with its general twin.

#![allow(clippy::unwrap_used)]

use num_bigint::BigInt;
use proptest::prelude::*;
use spg_types::datetime::*;
use spg_types::{
    ColumnBuilder, DateFormat, DateOrder, Datum, FormatSettings, IntervalFormat, Numeric, SqlType, def,
    number,
};

fn round_trip(ty: SqlType, value: &Datum, settings: &FormatSettings) -> (Datum, Datum) {
    let text = value.to_text(ty, settings).unwrap();
    let from_text = Datum::from_text(&text, ty, settings).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let array = value.to_array(ty).unwrap();
    let mut bytes = Vec::new();
    (ty.def.binary_out)(&array, ty)(0, &mut bytes);
    let mut back = ColumnBuilder::new(ty, 1);
    (ty.def.binary_in)(&bytes, ty, &mut back).unwrap();
    (from_text, Datum::from_column(&back.finish(), 0, ty).unwrap())
}

fn check(ty: SqlType, value: Datum) {
    let (from_text, from_binary) = round_trip(ty, &value, &FormatSettings::default());
    assert_eq!(from_text, value);
    assert_eq!(from_binary, value);
}

fn numeric() -> impl Strategy<Value = Numeric> {
    let big = (any::<[u8; 20]>(), 0u32..60).prop_map(|(bytes, scale)| {
        Numeric::from_bigint(BigInt::from_signed_bytes_le(&bytes), scale).unwrap()
    });
    let wide = (any::<i128>(), 0u32..40).prop_map(|(v, scale)| Numeric::from_i128(v, scale));
    let small = (any::<i32>(), 0u32..12).prop_map(|(v, scale)| Numeric::from_i128(v.into(), scale));
    prop_oneof![small, wide, big]
}

/// Digits without the point, as a big integer at a common scale.
fn at_scale(n: &Numeric, scale: u32) -> BigInt {
    let text = n.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    assert_eq!(fraction.len() as u32, n.scale());
    format!("{whole}{fraction}{}", "0".repeat((scale - n.scale()) as usize)).parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn integers(v in any::<i64>(), w in any::<i32>(), x in any::<i16>()) {
        check(SqlType::new(&def::INT8), Datum::Int64(v));
        check(SqlType::new(&def::INT4), Datum::Int32(w));
        check(SqlType::new(&def::INT2), Datum::Int16(x));
        prop_assert_eq!(number::parse_int(v.to_string().as_bytes()), Ok(v));
    }

    #[test]
    fn floats(bits in any::<u64>(), small in any::<u32>(), whole in -1_000_000_000_000_000_000i64..1_000_000_000_000_000_000) {
        for v in [f64::from_bits(bits), whole as f64] {
            let (text, binary) = round_trip(SqlType::new(&def::FLOAT8), &Datum::Float64(v), &FormatSettings::default());
            for got in [text, binary] {
                let Datum::Float64(got) = got else { panic!("another type") };
                prop_assert!(got == v || (got.is_nan() && v.is_nan()), "{got} is not {v}");
            }
        }
        let v = f32::from_bits(small);
        let (text, _) = round_trip(SqlType::new(&def::FLOAT4), &Datum::Float32(v), &FormatSettings::default());
        let Datum::Float32(got) = text else { panic!("another type") };
        prop_assert!(got == v || (got.is_nan() && v.is_nan()), "{got} is not {v}");
    }

    #[test]
    fn decimals(unscaled in -999_999_999_999_999_999i64..=999_999_999_999_999_999, scale in 0i64..=18) {
        let ty = SqlType::with_typmod(&def::NUMERIC, (def::NUMERIC.typmod_in)(&[18, scale]).unwrap());
        check(ty, Datum::Decimal(unscaled.into()));
        let wide = SqlType::with_typmod(&def::NUMERIC, (def::NUMERIC.typmod_in)(&[38, scale]).unwrap());
        check(wide, Datum::Decimal(i128::from(unscaled) * 1_000_000_007));
    }

    /// The byte loop answers what the general parser answers, or passes.
    #[test]
    fn decimal_fast_path(text in "-?[0-9]{0,20}(\\.[0-9]{0,20})?", precision in 1u32..=18, scale in 0u32..=18) {
        let ty = SqlType::numeric(precision.max(scale), scale);
        let (precision, scale) = ty.precision_scale().unwrap();
        let general = text.parse::<Numeric>().and_then(|n| n.fit_i128(ty));
        match number::parse_decimal64(text.as_bytes(), precision, scale) {
            Ok(v) => prop_assert_eq!(general.unwrap(), i128::from(v)),
            Err(number::DecimalError::Overflow) => prop_assert!(general.is_err()),
            Err(number::DecimalError::Unusual) => (),
        }
    }

    #[test]
    fn numerics_survive(n in numeric()) {
        prop_assert_eq!(Numeric::decode(&n.encode()).unwrap().to_string(), n.to_string());
        let (text, binary) = round_trip(SqlType::new(&def::NUMERIC), &Datum::Numeric(n.clone()), &FormatSettings::default());
        for got in [text, binary] {
            let Datum::Numeric(got) = got else { panic!("another type") };
            prop_assert_eq!(got.to_string(), n.to_string());
        }
    }

    #[test]
    fn small_numerics_stay_inline(v in -(1i128 << 87)..(1i128 << 87), scale in 0u32..200) {
        prop_assert!(Numeric::from_i128(v, scale).encode().len() <= 12);
    }

    #[test]
    fn numeric_arithmetic(a in numeric(), b in numeric()) {
        let scale = a.scale().max(b.scale());
        let (x, y) = (at_scale(&a, scale), at_scale(&b, scale));
        prop_assert_eq!(at_scale(&a.add(&b).unwrap(), scale), &x + &y);
        prop_assert_eq!(at_scale(&a.sub(&b).unwrap(), scale), &x - &y);
        prop_assert_eq!(at_scale(&a.mul(&b).unwrap(), 2 * scale), &x * &y);
        prop_assert_eq!(a.cmp(&b), x.cmp(&y));
        if !b.is_zero() {
            prop_assert_eq!(at_scale(&a.rem(&b).unwrap(), scale), &x % &y);
            prop_assert_eq!(at_scale(&a.div_trunc(&b).unwrap(), 0), &x / &y);
            // A rounded quotient is off by at most half of its last digit.
            let q = a.div(&b).unwrap();
            let unit = BigInt::from(10).pow(q.scale());
            let error: BigInt = at_scale(&q, q.scale()) * &y - &x * unit;
            prop_assert!(error.magnitude() * 2u32 <= *y.magnitude());
        }
    }

    #[test]
    fn numeric_hash_agrees_with_equality(v in any::<i64>(), scale in 0u32..20, more in 0u32..30) {
        use std::hash::{BuildHasher, RandomState};
        let a = Numeric::from_i128(v.into(), scale);
        let b = a.round((scale + more) as i32);
        prop_assert_eq!(&a, &b);
        let state = RandomState::new();
        prop_assert_eq!(state.hash_one(&a), state.hash_one(&b));
    }

    #[test]
    fn rounding(v in any::<i64>(), scale in 0u32..15, to in -5i32..20) {
        let n = Numeric::from_i128(v.into(), scale);
        let (round, trunc) = (n.round(to), n.trunc(to));
        let unit: Numeric = format!("1e{}", -to).parse().unwrap();
        prop_assert!(n.sub(&trunc).unwrap().abs() < unit);
        prop_assert!(trunc.abs() <= n.abs());
        let twice = n.sub(&round).unwrap().abs().mul(&Numeric::from(2)).unwrap();
        prop_assert!(twice <= unit);
        prop_assert!(n.floor() <= n && n <= n.ceil() && n.ceil().sub(&n.floor()).unwrap() <= Numeric::from(1));
    }

    #[test]
    fn roots_and_logarithms_invert(v in 1i64..1_000_000_000_000, scale in 0u32..12) {
        let n = Numeric::from_i128(v.into(), scale);
        let tolerance = n.mul(&"1e-13".parse().unwrap()).unwrap();
        let root = n.sqrt().unwrap();
        prop_assert!(root.mul(&root).unwrap().sub(&n).unwrap().abs() < tolerance);
        let back = n.ln().unwrap().exp().unwrap();
        prop_assert!(back.sub(&n).unwrap().abs() < tolerance, "exp(ln({n})) = {back}");
    }

    #[test]
    fn civil_days(days in DATE_MIN..=DATE_MAX) {
        let (year, month, day) = civil_from_days(days);
        prop_assert!((1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month));
        prop_assert_eq!(days_from_civil(year, month, day as i32), days);
        let (next_year, next_month, next_day) = civil_from_days(days + 1);
        prop_assert!(next_day == day + 1 || (next_day == 1 && (next_month == month % 12 + 1) && next_year - year <= 1));
    }

    #[test]
    fn dates_and_timestamps(days in DATE_MIN..=DATE_MAX, us in TIMESTAMP_MIN..=TIMESTAMP_MAX, time in 0..=US_PER_DAY, style in 0usize..4) {
        check(SqlType::new(&def::DATE), Datum::Date(days));
        check(SqlType::new(&def::TIME), Datum::Time(time));
        check(SqlType::new(&def::TIMESTAMP), Datum::Timestamp(us));
        check(SqlType::new(&def::TIMESTAMPTZ), Datum::Timestamp(us));
        let date_format = [DateFormat::Iso, DateFormat::Sql, DateFormat::Postgres, DateFormat::German][style];
        // Days come first in German, and only there.
        let date_order = if date_format == DateFormat::German { DateOrder::Dmy } else { DateOrder::Mdy };
        let settings = FormatSettings { date_format, date_order, ..FormatSettings::default() };
        for (ty, v) in [(&def::DATE, Datum::Date(days)), (&def::TIMESTAMP, Datum::Timestamp(us))] {
            prop_assert_eq!(round_trip(SqlType::new(ty), &v, &settings).0, v);
        }
    }

    /// Where no hour comes twice, local time and UTC are each other's inverse.
    #[test]
    fn zones(us in -4_000_000_000_000_000i64..10_000_000_000_000_000) {
        let berlin = parse_time_zone("Europe/Berlin").unwrap();
        let local = utc_to_local(&berlin, us);
        let back = local_to_utc(&berlin, local);
        prop_assert!(back == us || utc_to_local(&berlin, back) == local);
    }

    #[test]
    fn intervals(months in -100_000i32..100_000, days in -100_000i32..100_000, us in -9_000_000_000_000_000i64..9_000_000_000_000_000, style in 0usize..4) {
        let v = interval_from_us(months, days, us).unwrap();
        let interval_format =
            [IntervalFormat::Postgres, IntervalFormat::PostgresVerbose, IntervalFormat::SqlStandard, IntervalFormat::Iso8601][style];
        let settings = FormatSettings { interval_format, ..FormatSettings::default() };
        let (text, binary) = round_trip(SqlType::new(&def::INTERVAL), &Datum::Interval(v), &settings);
        prop_assert_eq!(text, Datum::Interval(v));
        prop_assert_eq!(binary, Datum::Interval(v));
        // Justifying moves parts, and loses nothing.
        prop_assert_eq!(interval_span(justify_interval(v).unwrap()), interval_span(v));
    }

    #[test]
    fn adding_an_interval_moves_forward(us in TIMESTAMP_MIN / 2..TIMESTAMP_MAX / 2, months in 0i32..1200, days in 0i32..1000) {
        let v = interval_from_us(months, days, 0).unwrap();
        prop_assert!(add_interval(us, v).unwrap() >= us);
        let truncated = truncate_timestamp(Field::Month, us).unwrap();
        prop_assert!(truncated <= us && us - truncated < 31 * US_PER_DAY);
    }

    #[test]
    fn bytes_and_text(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[^\\x00]{0,30}", uuid in any::<[u8; 16]>(), flag in any::<bool>()) {
        check(SqlType::new(&def::BYTEA), Datum::Binary(bytes.clone().into()));
        let escape = FormatSettings { bytea_format: spg_types::ByteaFormat::Escape, ..FormatSettings::default() };
        let value = Datum::Binary(bytes.into());
        prop_assert_eq!(round_trip(SqlType::new(&def::BYTEA), &value, &escape).0, value);
        check(SqlType::new(&def::TEXT), Datum::Text(text.as_str().into()));
        check(SqlType::new(&def::UUID), Datum::Uuid(uuid));
        check(SqlType::new(&def::BOOL), Datum::Bool(flag));
    }

    /// Whatever a client sends: an answer or an error, never a panic.
    #[test]
    fn garbage_is_refused(text in "[ -~]{0,24}", loose in "[0-9a-zA-Z:./+ -]{0,24}", bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        let settings = FormatSettings::default();
        for def in spg_types::TYPES {
            let ty = SqlType::new(def);
            _ = Datum::from_text(&text, ty, &settings);
            _ = Datum::from_text(&loose, ty, &settings);
            _ = (def.binary_in)(&bytes, ty, &mut ColumnBuilder::new(ty, 1));
        }
        _ = Numeric::decode(&bytes);
    }
}

#[test]
fn names_lead_to_types() {
    for (name, oid) in [
        ("integer", 23),
        ("int2", 21),
        ("character varying", 1043),
        ("double precision", 701),
        ("decimal", 1700),
        ("timestamp with time zone", 1184),
        ("timestamptz", 1184),
        ("timestamp", 1114),
        ("time", 1083),
        ("char", 1042),
        ("bool", 16),
        ("boolean", 16),
        ("real", 700),
        ("float", 701),
    ] {
        assert_eq!(spg_types::type_by_name(name).map(|t| t.oid), Some(oid), "{name}");
    }
    assert!(spg_types::type_by_name("Integer").is_none());
    for def in spg_types::TYPES {
        assert!(std::ptr::eq(spg_types::type_by_oid(def.oid).unwrap(), *def), "{} is listed once", def.name);
        assert!(std::ptr::eq(spg_types::type_by_name(def.name).unwrap(), *def));
    }
}

#[test]
fn order_of_values() {
    use std::cmp::Ordering::*;
    let nan = Datum::Float64(f64::NAN);
    assert_eq!(nan.compare(&Datum::Float64(f64::INFINITY)), Some(Greater));
    assert_eq!(nan.compare(&nan), Some(Equal));
    assert_eq!(Datum::Float64(-0.0).compare(&Datum::Float64(0.0)), Some(Equal));
    assert_eq!(Datum::Null.compare(&Datum::Int32(1)), None);
    assert_eq!(Datum::Int32(1).compare(&Datum::Int64(1)), None);
    let month = Datum::Interval(interval_from_us(1, 0, 0).unwrap());
    let days = Datum::Interval(interval_from_us(0, 30, 0).unwrap());
    assert_eq!(month.compare(&days), Some(Equal));
    let (a, b) = ("1.0".parse::<Numeric>().unwrap(), "1.00".parse::<Numeric>().unwrap());
    assert_eq!(Datum::Numeric(a).compare(&Datum::Numeric(b)), Some(Equal));
    assert!(Numeric::NAN > Numeric::INFINITY && Numeric::NEG_INFINITY < Numeric::from(i64::MIN));
}
