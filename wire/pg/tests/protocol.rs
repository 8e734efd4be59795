//! The protocol as a client sees it, byte by byte, over an engine that answers by script.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use support::client::{execute, message, prepare, query, startup, startup_version, sync, tags};
use support::script::start_with;
use support::{Client, start};

fn status(messages: &[support::Message]) -> u8 {
    messages.last().unwrap().body[0]
}

#[test]
fn greeting_and_simple_queries() {
    let server = start();
    let mut c = Client::open(server.address);
    // Encryption is refused in one byte, then the start-up packet is read.
    c.send(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]);
    let mut answer = [0];
    c.stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");
    c.send(&startup(b"user\0ann\0\0"));
    assert_eq!(tags(&c.log_in("secret")), "RRSSKZ");

    let m = c.ask(&query("rows 2"));
    assert_eq!(tags(&m), "TDDCZ");
    assert_eq!(m[2].body, b"\0\x02\0\0\0\x011\0\0\0\x1cconstant text of some length");
    assert_eq!(m[3].text(), "SELECT 2");
    assert_eq!(tags(&c.ask(&query("rows 1; begin;; rows 0"))), "TDCCTCZ");
    let m = c.ask(&query("rows 1; error; rows 1"));
    assert_eq!((tags(&m).as_str(), status(&m)), ("TDCEZ", b'E'));
    let fields: Vec<_> = ['S', 'V', 'C', 'M', 'H', 'P'].iter().filter_map(|f| m[3].field(*f)).collect();
    assert_eq!(fields, ["ERROR", "ERROR", "42703", "column \"x\" does not exist", "look", "8"]);
    assert_eq!(status(&c.ask(&query("rollback"))), b'I');
    assert_eq!(tags(&c.ask(&query(""))), "IZ");
    assert_eq!(tags(&c.ask(&query("notice"))), "NCZ");
    let m = c.ask(&query("set Europe/Paris"));
    assert_eq!((tags(&m).as_str(), m[1].text().as_str()), ("CSZ", "TimeZone\0Europe/Paris"));
    c.send(&message(b'X', b""));
    assert!(c.next().is_none());
}

#[test]
fn a_failed_commit_takes_back_its_tag() {
    let server = start();
    let mut c = Client::connect(server.address);
    let m = c.ask(&query("lost"));
    assert_eq!((tags(&m).as_str(), m[0].field('C').unwrap().as_str()), ("EZ", "53100"));
    assert_eq!(tags(&c.ask(&query("rows 1; lost"))), "TDCEZ");
    assert_eq!(tags(&c.ask(&[prepare("lost"), execute(0), sync()].concat())), "12EZ");
    // Flush waits for it, too.
    c.send(&[prepare("lost"), execute(0), message(b'H', b"")].concat());
    assert_eq!([c.next(), c.next(), c.next()].map(|m| m.unwrap().tag), ['1', '2', 'E']);
    assert_eq!(tags(&c.ask(&[execute(0), sync()].concat())), "Z");
    assert_eq!(tags(&c.ask(&query("rows 0"))), "TCZ");
}

#[test]
fn start_up_negotiation_and_errors() {
    let server = start();
    let mut c = Client::open(server.address);
    c.send(&startup_version(3 << 16 | 2, b"user\0ann\0_pq_.x\x001\0\0"));
    let m = c.log_in("secret");
    assert_eq!(tags(&m), "vRRSSKZ");
    assert_eq!(m[0].body, b"\0\x03\0\0\0\0\0\x01_pq_.x\0");

    let refused = |packet: &[u8], password: &str| {
        let mut c = Client::open(server.address);
        c.send(packet);
        let m = c.log_in(password).pop().unwrap();
        assert_eq!(m.field('S').unwrap(), "FATAL");
        assert!(c.next().is_none());
        (m.field('C').unwrap(), m.field('M').unwrap())
    };
    let password_failed =
        |user: &str| ("28P01".to_owned(), format!("password authentication failed for user \"{user}\""));
    assert_eq!(refused(&startup(b"user\0ann\0\0"), "wrong"), password_failed("ann"));
    assert_eq!(refused(&startup(b"user\0bob\0\0"), "secret"), password_failed("bob"));
    assert_eq!(refused(&startup(b"user\0ann\0database\0nowhere\0\0"), "secret").0, "3D000");
    assert_eq!(refused(&startup(b"\0"), "").0, "28000");
    assert_eq!(refused(&startup_version(2 << 16, b"user\0ann\0\0"), "").0, "0A000");
    assert_eq!(refused(&[0, 0, 0, 1], "").0, "08P01");
    assert_eq!(refused(&[0xff; 8], "").0, "08P01");
}

#[test]
fn passwords_are_asked_of_everyone_and_time_is_limited() {
    let server = start_with(1, Duration::from_millis(300));
    let mut c = Client::open(server.address);
    c.send(&startup(b"user\0ann\0\0"));
    assert_eq!(c.next().unwrap().tag, 'R');
    c.send(&query("rows 1"));
    let m = c.next().unwrap();
    assert_eq!(
        (m.field('C').unwrap(), m.field('M').unwrap()),
        ("08P01".into(), "expected SASL response, got message type 81".into())
    );

    let mut c = Client::open(server.address);
    let begun = Instant::now();
    c.send(b"\0");
    let m = c.next().unwrap();
    assert_eq!(m.field('M').unwrap(), "canceling authentication due to timeout");
    assert!(begun.elapsed() < Duration::from_secs(5));

    let first = Client::connect(server.address);
    let mut second = Client::open(server.address);
    second.send(&startup(b"user\0ann\0\0"));
    let m = second.next().unwrap();
    assert_eq!(
        (m.field('C').unwrap(), m.field('M').unwrap()),
        ("53300".into(), "sorry, too many clients already".into())
    );
    drop(first);
}

#[test]
fn extended_protocol() {
    let server = start();
    let mut c = Client::connect(server.address);
    let describe = [message(b'D', b"S\0"), message(b'D', b"P\0")].concat();
    let m = c.ask(&[prepare("rows 3"), describe, execute(0), sync()].concat());
    assert_eq!(tags(&m), "12tTTDDDCZ");

    // A parameter, and binary results.
    let mut bind = b"p\0s\0".to_vec();
    bind.extend(b"\0\0\0\x01\0\0\0\x012\0\x01\0\x01");
    let parse = message(b'P', b"s\0rows $1\0\0\0");
    let run = message(b'E', b"p\0\0\0\0\0");
    let m = c.ask(&[parse, message(b'B', &bind), run, sync()].concat());
    assert_eq!(tags(&m), "12DDCZ");
    assert_eq!(m[3].body[..10], *b"\0\x02\0\0\0\x04\0\0\0\x01");
    let close = [message(b'C', b"Pp\0"), message(b'C', b"Ss\0"), message(b'C', b"Snone\0")].concat();
    assert_eq!(tags(&c.ask(&[close, sync()].concat())), "333Z");

    // Row limits.
    let m = c.ask(&[prepare("rows 5"), execute(2), execute(2), execute(2), sync()].concat());
    assert_eq!(tags(&m), "12DDsDDsDCZ");

    // Flush without Sync.
    c.send(&[prepare("rows 1"), message(b'H', b"")].concat());
    assert_eq!((c.next().unwrap().tag, c.next().unwrap().tag), ('1', '2'));
    assert_eq!(tags(&c.ask(&[execute(0), sync()].concat())), "DCZ");
}

#[test]
fn errors_skip_to_sync() {
    let server = start();
    let mut c = Client::connect(server.address);
    let failing = [prepare("error"), execute(0), prepare("rows 1"), execute(0)].concat();
    let m = c.ask(&[failing, query("rows 1"), sync(), prepare("rows 1"), execute(0), sync()].concat());
    assert_eq!(tags(&m), "12EZ");
    assert_eq!(tags(&c.until_ready()), "12DCZ");
    assert_eq!(tags(&c.ask(&[message(b'B', b"\0none\0\0\0\0\0\0\0"), execute(0), sync()].concat())), "EZ");

    // The protocol broken inside a message: an error like any other, and the transaction fails.
    c.ask(&query("begin"));
    let m = c.ask(&[message(b'B', b"\0\0\0\x09"), execute(0), sync()].concat());
    assert_eq!((tags(&m).as_str(), m[0].field('C').unwrap().as_str(), status(&m)), ("EZ", "08P01", b'E'));
    let m = c.ask(&[message(b'D', b"Xname\0"), sync()].concat());
    assert_eq!(m[0].field('M').unwrap(), "invalid DESCRIBE message subtype 88");
    let m = c.ask(&message(b'Q', b"\xff\0"));
    assert_eq!(m[0].field('M').unwrap(), "invalid byte sequence for encoding \"UTF8\": 0xff");
    let m = c.ask(&message(b'F', b"whatever"));
    assert_eq!((tags(&m).as_str(), m[0].field('C').unwrap().as_str()), ("EZ", "0A000"));
    assert_eq!(tags(&c.ask(&query("rollback"))), "CZ");
}

#[test]
fn broken_framing_ends_the_connection() {
    let server = start();
    for bytes in [&b"!\0\0\0\x04"[..], b"Q\0\0\0\x03", b"Q\x7f\xff\xff\xff", b"S\0\xff\0\0", b"@"] {
        let mut c = Client::connect(server.address);
        c.send(bytes);
        let m = c.next().unwrap();
        assert_eq!(
            (m.field('S').unwrap(), m.field('C').unwrap()),
            ("FATAL".into(), "08P01".into()),
            "{bytes:?}"
        );
        assert!(c.next().is_none());
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start();
    let mut c = Client::connect(server.address);
    let mut bytes = vec![];
    for i in 0..500 {
        let sql = if i % 10 == 9 { "error".to_owned() } else { format!("rows {i}") };
        bytes.extend([prepare(&sql), execute(0), sync()].concat());
    }
    let mut writer = c.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    for i in 0..500 {
        let m = c.until_ready();
        if i % 10 == 9 {
            assert_eq!(tags(&m), "12EZ");
        } else {
            assert_eq!(m[m.len() - 2].text(), format!("SELECT {i}"));
        }
    }
    writing.join().unwrap();
    // An answer does not wait for the next request's work.
    c.send(&[prepare("rows 1"), execute(0), sync(), prepare("wait 3000"), execute(0), sync()].concat());
    let begun = Instant::now();
    assert_eq!(tags(&c.until_ready()), "12DCZ");
    assert!(begun.elapsed() < Duration::from_secs(2));
    c.until_ready();
}

#[test]
fn copy_in() {
    let server = start();
    let mut c = Client::connect(server.address);
    c.send(&query("copyin; rows 1"));
    assert_eq!(c.next().unwrap().body, b"\0\0\x02\0\0\0\0");
    let big = vec![b'x'; 300_000];
    c.send(
        &[message(b'd', b"1\ta\n"), message(b'd', b""), message(b'H', b""), sync(), message(b'd', &big)]
            .concat(),
    );
    let m = c.ask(&message(b'c', b""));
    assert_eq!((tags(&m).as_str(), m[0].text().as_str()), ("CTDCZ", "COPY 300004"));

    c.send(&query("copyin"));
    c.next();
    let m = c.ask(&[message(b'd', b"1"), message(b'f', b"enough\0")].concat());
    assert_eq!(m[0].field('M').unwrap(), "COPY from stdin failed: enough");
    assert_eq!(m[0].field('C').unwrap(), "57014");
    // Data that comes too late is ignored.
    assert_eq!(tags(&c.ask(&[message(b'd', &big), message(b'c', b""), query("rows 1")].concat())), "TDCZ");

    // Another message in the middle of the data.
    c.send(&query("copyin"));
    c.next();
    let m = c.ask(&[message(b'd', b"1"), query("rows 1")].concat());
    assert_eq!(m[0].field('M').unwrap(), "unexpected message type 0x51 during COPY from stdin");
    assert_eq!(tags(&c.until_ready()), "TDCZ");

    // Extended protocol.
    c.send(&[prepare("copyin"), execute(0), sync()].concat());
    assert_eq!((c.next().unwrap().tag, c.next().unwrap().tag, c.next().unwrap().tag), ('1', '2', 'G'));
    assert_eq!(tags(&c.ask(&[message(b'd', b"1"), message(b'c', b""), sync()].concat())), "CZ");
}

#[test]
fn copy_out() {
    let server = start();
    let mut c = Client::connect(server.address);
    let m = c.ask(&query("copyout 4"));
    assert_eq!(tags(&m), "HddddcCZ");
    assert_eq!(m[2].body, b"0\ty\n");
    let m = c.ask(&query("copyout 100000"));
    assert_eq!(m.len(), 100_004);
}

#[test]
fn cancel_requests() {
    let server = start();
    let mut c = Client::connect(server.address);
    let cancel = |pid: [u8; 4], key: [u8; 4]| {
        let mut other = Client::open(server.address);
        other.send(&[&[0, 0, 0, 16, 4, 0xd2, 0x16, 0x2e][..], &pid, &key].concat());
        assert!(other.next().is_none());
    };
    c.send(&query("wait 10000"));
    std::thread::sleep(Duration::from_millis(50));
    let begun = Instant::now();
    let mut wrong = c.key;
    wrong[3] ^= 1;
    cancel(c.pid, wrong);
    std::thread::sleep(Duration::from_millis(50));
    cancel(c.pid, c.key);
    let m = c.until_ready();
    assert_eq!(m[0].field('C').unwrap(), "57014");
    assert!(begun.elapsed() < Duration::from_secs(5));
    // While COPY waits for data.
    c.send(&query("copyin"));
    c.next();
    cancel(c.pid, c.key);
    assert_eq!(c.until_ready()[0].field('C').unwrap(), "57014");
    assert_eq!(tags(&c.ask(&query("rows 1"))), "TDCZ");
}

#[test]
fn results_stream_to_slow_readers_and_end_with_gone_ones() {
    let server = start();
    let mut c = Client::connect(server.address);
    c.send(&query("rows 2000000"));
    std::thread::sleep(Duration::from_millis(300));
    let m = c.until_ready();
    assert_eq!(m.len(), 2_000_003);

    // One that never reads and goes away; then one that goes away while its statement computes.
    for sql in ["rows 100000000", "wait 60000"] {
        let mut gone = Client::connect(server.address);
        gone.send(&query(sql));
        std::thread::sleep(Duration::from_millis(200));
        drop(gone);
    }
    drop(c);
    let begun = Instant::now();
    server.runtime.block_on(server.server.shutdown(Duration::from_secs(30)));
    assert!(begun.elapsed() < Duration::from_secs(10), "statements of clients that have gone still ran");
}

#[test]
fn idle_in_transaction_is_limited() {
    let server = start();
    let mut c = Client::connect(server.address);
    c.ask(&query("begin"));
    let m = c.next().unwrap();
    assert_eq!((m.field('S').unwrap(), m.field('C').unwrap()), ("FATAL".into(), "25P03".into()));
    assert!(c.next().is_none());
}

#[test]
fn shutdown_lets_statements_finish_for_a_while() {
    let server = start();
    let mut idle = Client::connect(server.address);
    let mut short = Client::connect(server.address);
    let mut long = Client::connect(server.address);
    short.send(&query("wait 500"));
    long.send(&query("wait 60000"));
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    server.runtime.block_on(server.server.shutdown(Duration::from_secs(1)));
    assert!((1..4).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let m = idle.next().unwrap();
    assert_eq!((m.field('S').unwrap(), m.field('C').unwrap()), ("FATAL".into(), "57P01".into()));
    assert_eq!(tags(&short.until_ready()), "CZ");
    assert_eq!(short.next().unwrap().field('C').unwrap(), "57P01");
    let m = long.next().unwrap();
    assert_eq!((m.field('S').unwrap(), m.field('C').unwrap()), ("FATAL".into(), "57P01".into()));
}

#[test]
fn a_panic_ends_its_session_only() {
    let server = start();
    let mut c = Client::connect(server.address);
    c.send(&query("panic"));
    let m = c.next().unwrap();
    assert_eq!((m.field('S').unwrap(), m.field('C').unwrap()), ("FATAL".into(), "XX000".into()));
    let mut c = Client::connect(server.address);
    assert_eq!(tags(&c.ask(&query("rows 1"))), "TDCZ");
}

#[test]
fn a_driver_connects() {
    let server = start();
    server.runtime.block_on(async {
        let config =
            format!("host=127.0.0.1 port={} user=ann password=secret dbname=x", server.address.port());
        let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let rows = client.query("rows 3", &[&1i32]).await.unwrap();
        assert_eq!(rows.iter().map(|r| r.get::<_, i32>(0)).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(rows[0].get::<_, &str>(1), "constant text of some length");
    });
}
