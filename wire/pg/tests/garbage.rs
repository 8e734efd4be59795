//! Whatever bytes come, the server answers in messages or closes, and serves the next client.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::client::{message, query, tags};
use support::{Client, start};

/// Sends bytes, then nothing more, and reads what comes until the server closes.
fn throw(mut client: Client, bytes: &[u8]) -> Vec<u8> {
    // The server may have closed before everything was sent.
    let _ = client.stream.write_all(bytes);
    let _ = client.stream.shutdown(std::net::Shutdown::Write);
    client.stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = vec![];
    if let Err(e) = client.stream.read_to_end(&mut answer) {
        assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
    }
    answer
}

#[test]
fn random_bytes_are_survived() {
    let server = start();
    let tag = prop::sample::select(&b"QPBDECHSXFdcfp!\0"[..]);
    let body = prop::collection::vec(any::<u8>(), 0..60);
    let framed = prop::collection::vec((tag, body).prop_map(|(tag, body)| message(tag, &body)), 1..6);
    let anything = prop_oneof![
        framed.prop_map(|messages| messages.concat()),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    runner
        .run(&anything, |bytes| {
            throw(Client::open(server.address), &bytes);
            throw(Client::connect(server.address), &bytes);
            Ok(())
        })
        .unwrap();
    let mut c = Client::connect(server.address);
    assert_eq!(tags(&c.ask(&query("rows 1"))), "TDCZ");
}

#[test]
fn promised_bytes_take_no_memory() {
    let server = start();
    let before = resident_kib();
    let mut held = vec![];
    for _ in 0..8 {
        let mut c = Client::connect(server.address);
        // A gigabyte, of which a little comes.
        c.send(b"Q\x3f\xff\xff\xff");
        c.send(&[b'x'; 1000]);
        held.push(c);
    }
    std::thread::sleep(Duration::from_millis(200));
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB for messages that have not come");
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
