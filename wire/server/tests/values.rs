//! Every type in text and in binary, as parameter and as result: all four ways give the same value.

#![allow(clippy::unwrap_used)]

mod support;

use support::Server;
use support::client::{Client, execute, message, query, sync, tags};

/// Type and values as they are printed.
const VALUES: &[(&str, &[&str])] = &[
    ("bool", &["t", "f"]),
    ("int2", &["0", "-32768", "32767"]),
    ("int4", &["7", "-2147483648", "2147483647"]),
    ("int8", &["-9223372036854775808", "9223372036854775807"]),
    ("float4", &["0", "1.5", "-3.4028235e+38", "NaN", "Infinity", "-Infinity"]),
    ("float8", &["0.1", "-1.7976931348623157e+308", "5e-324", "NaN", "Infinity"]),
    ("numeric", &["0", "0.00", "-12345678901234567890.0123456789", "1e-20", "NaN", "100000", "0.0001"]),
    ("numeric(15,2)", &["0.00", "-9999999999999.99", "12.50"]),
    ("numeric(38,10)", &["1234567890123456789012345678.0123456789"]),
    ("text", &["", "a", "grüße, 世界 🦀", "tab\tand\nnewline \\ 'quote'"]),
    ("varchar(10)", &["", "0123456789"]),
    ("char(5)", &["abc  ", "abcde"]),
    (
        "date",
        &["2000-01-01", "1969-12-31", "0001-01-01", "4714-11-24 BC", "infinity", "-infinity", "9999-12-31"],
    ),
    ("time", &["00:00:00", "23:59:59.999999", "24:00:00"]),
    ("timestamp", &["2000-01-01 00:00:00", "1998-09-02 12:34:56.789", "0044-03-15 10:00:00 BC", "infinity"]),
    ("timestamptz", &["2000-01-01 00:00:00+00", "1969-07-20 20:17:40.5+00", "-infinity"]),
    ("interval", &["00:00:00", "1 year 2 mons 3 days 04:05:06.789", "-1 years", "-00:00:01"]),
    ("uuid", &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"]),
    ("bytea", &["\\x", "\\x00ff10deadbeef"]),
];

/// `select $1::ty` with a parameter in one format and the result in another; `None` is NULL.
fn echo(c: &mut Client, ty: &str, value: Option<&[u8]>, format: u16, result: u16) -> Option<Vec<u8>> {
    let parse = message(b'P', format!("\0select $1::{ty}\0\0\0").as_bytes());
    let mut bind = b"\0\0\0\x01".to_vec();
    bind.extend(format.to_be_bytes());
    bind.extend(b"\0\x01");
    match value {
        Some(v) => {
            bind.extend((v.len() as u32).to_be_bytes());
            bind.extend(v);
        }
        None => bind.extend([0xff; 4]),
    }
    bind.extend(b"\0\x01");
    bind.extend(result.to_be_bytes());
    let m = c.ask(&[parse, message(b'B', &bind), execute(0), sync()].concat());
    assert_eq!(tags(&m), "12DCZ", "{ty}: {m:?}");
    let cell = &m[2].body[2..];
    let length = i32::from_be_bytes(cell[..4].try_into().unwrap());
    (length >= 0).then(|| cell[4..].to_vec())
}

#[test]
fn text_and_binary_agree() {
    let server = Server::start();
    let mut c = server.connect();
    c.ask(&query("set timezone = 'UTC'"));
    for (ty, values) in VALUES {
        for value in *values {
            let text = Some(value.as_bytes());
            let m = c.ask(&query(&format!("select '{}'::{ty}", value.replace('\'', "''"))));
            assert_eq!(tags(&m), "TDCZ", "{ty} {value}: {m:?}");
            let printed = m[1].body[6..].to_vec();
            let plain = value.replace("1e-20", "0.00000000000000000001");
            assert_eq!(String::from_utf8_lossy(&printed), plain, "{ty}");
            assert_eq!(
                echo(&mut c, ty, text, 0, 0).as_deref(),
                Some(&printed[..]),
                "{ty} {value}: text to text"
            );
            let binary = echo(&mut c, ty, text, 0, 1).unwrap();
            assert_eq!(echo(&mut c, ty, Some(&binary), 1, 0), Some(printed), "{ty} {value}: binary to text");
            assert_eq!(echo(&mut c, ty, Some(&binary), 1, 1), Some(binary), "{ty} {value}: binary to binary");
        }
        assert_eq!(echo(&mut c, ty, None, 0, 1), None);
        assert_eq!(echo(&mut c, ty, None, 1, 0), None);
    }
}

#[test]
fn binary_forms_are_postgresqls() {
    let server = Server::start();
    let mut c = server.connect();
    let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    for (ty, value, expected) in [
        ("bool", "t", "01"),
        ("int2", "-2", "fffe"),
        ("int4", "258", "00000102"),
        ("int8", "-1", "ffffffffffffffff"),
        ("float4", "1.5", "3fc00000"),
        ("float8", "-2", "c000000000000000"),
        ("numeric", "12345.6789", "0003000100000004000109291a85"),
        ("numeric(15,2)", "-0.50", "0001ffff400000021388"),
        ("char(3)", "a", "612020"),
        ("date", "2000-01-02", "00000001"),
        ("time", "00:00:01", "00000000000f4240"),
        ("timestamp", "1999-12-31 23:59:59", "fffffffffff0bdc0"),
        ("timestamptz", "2000-01-01 00:00:00+00", "0000000000000000"),
        ("interval", "1 mon 2 days 00:00:03", "00000000002dc6c00000000200000001"),
        ("bytea", "\\x00ff", "00ff"),
    ] {
        let binary = echo(&mut c, ty, Some(value.as_bytes()), 0, 1).unwrap();
        assert_eq!(hex(binary), expected, "{ty} {value}");
    }
}

#[test]
fn malformed_parameters_are_refused() {
    let server = Server::start();
    let mut c = server.connect();
    for (ty, format, value, state) in [
        ("int4", 1u16, &b"123"[..], "22P03"),
        ("int4", 0, b"x", "22P02"),
        ("int4", 0, b"99999999999", "22003"),
        ("numeric", 1, b"\0\x01", "22P03"),
        ("text", 0, b"\xff", "22021"),
        ("text", 1, b"\xff", "22021"),
        ("text", 0, b"a\0b", "22021"),
        ("uuid", 1, b"short", "22P03"),
        ("timestamp", 0, b"yesterdayish", "22007"),
    ] {
        let parse = message(b'P', format!("\0select $1::{ty}\0\0\0").as_bytes());
        let mut bind = [&b"\0\0\0\x01"[..], &format.to_be_bytes(), b"\0\x01"].concat();
        bind.extend((value.len() as u32).to_be_bytes());
        bind.extend(value);
        bind.extend(b"\0\0");
        let m = c.ask(&[parse, message(b'B', &bind), execute(0), sync()].concat());
        assert_eq!(tags(&m), "1EZ", "{ty} {value:?}: {m:?}");
        assert_eq!(m[1].field('C').unwrap(), state, "{ty} {value:?}");
    }
}

#[test]
fn bind_counts_formats() {
    let server = Server::start();
    let mut c = server.connect();
    let parse = message(b'P', b"\0select 1, 2\0\0\0");
    for (formats, answer) in [(0, "12DCZ"), (1, "12DCZ"), (2, "12DCZ"), (3, "1EZ")] {
        let mut bind = b"\0\0\0\0\0\0".to_vec();
        bind.extend(u16::to_be_bytes(formats));
        bind.extend(vec![0; 2 * usize::from(formats)]);
        let m = c.ask(&[parse.clone(), message(b'B', &bind), execute(0), sync()].concat());
        assert_eq!(tags(&m), answer, "{formats} formats: {m:?}");
        if let Some(error) = m.iter().find(|m| m.tag == 'E') {
            let text = String::from_utf8_lossy(&error.body).into_owned();
            assert!(text.contains("C08P01"), "{text}");
            assert!(text.contains("bind message has 3 result formats but query has 2 columns"), "{text}");
        }
    }
}
