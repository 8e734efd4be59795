//! The server as a process: command line, environment, start-up lines, signals, exit codes.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};

use support::client::{query, tags};
use support::{Server, command, refused};

#[test]
fn start_up_lines_and_orderly_end() {
    let mut server = Server::start();
    let lines = server.lines.join("\n");
    assert!(lines.starts_with("SPG "), "{lines}");
    assert!(lines.contains("database: ./spg.db, write-ahead log: ./wal.log"), "{lines}");
    assert!(
        lines.contains(&format!("log in: psql -h 127.0.0.1 -p {} -U bench bench", server.pg.port())),
        "{lines}"
    );
    assert!(lines.contains("default password \"bench\""), "{lines}");

    let mut ping = std::net::TcpStream::connect(server.native).unwrap();
    ping.write_all(&[0, 0, 0, 0, 0]).unwrap();
    let mut pong = [0; 5];
    ping.read_exact(&mut pong).unwrap();
    assert_eq!(pong, [0, 0, 0, 0, 1]);

    let mut c = server.connect();
    assert_eq!(tags(&c.ask(&query("create table t (a int); insert into t values (1)"))), "CCZ");
    assert!(server.signal("TERM").success());
    let m = c.next().unwrap();
    assert_eq!((m.field('S').unwrap(), m.field('C').unwrap()), ("FATAL".into(), "57P01".into()));

    // What was there is there again, and the log tells it too.
    let replayed = command(&server.folder).args(["--replay-only", "./wal.log"]).output().unwrap();
    assert!(replayed.status.success());
    assert!(String::from_utf8_lossy(&replayed.stdout).contains("public.t: 1 rows"), "{replayed:?}");
    let mut again = Server::start_in(&server.folder, &[]);
    let m = again.connect().ask(&query("select a from t"));
    assert_eq!(tags(&m), "TDCZ");
    assert!(again.signal("INT").success());
}

#[test]
fn the_password_can_be_given_and_changed() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = Server::start_in(folder.path(), &[("SPG_ADMIN_USER", "root"), ("SPG_ADMIN_PASSWORD", "pw")]);
    assert!(!server.lines.join("\n").contains("default password"), "{:?}", server.lines);
    let log_in = |password: &str| {
        let mut c = support::client::Client::open(server.pg);
        c.send(&support::client::startup(b"user\0root\0\0"));
        (c.log_in(password), c)
    };
    let (m, mut c) = log_in("pw");
    assert_eq!(m.last().unwrap().tag, 'Z', "{m:?}");
    assert_eq!(tags(&c.ask(&query("alter user root password 'other'"))), "CZ");
    assert_eq!(log_in("other").0.last().unwrap().tag, 'Z');
    assert_eq!(log_in("pw").0.last().unwrap().field('C').unwrap(), "28P01");
}

#[test]
fn wrong_settings_stop_the_start() {
    let folder = tempfile::TempDir::new().unwrap();
    let (output, stderr) = refused(command(folder.path()).env("SPG_WORKERS", "many"));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("SPG_WORKERS is \"many\"; it takes a whole number from 1 to 1024"), "{stderr}");
    let (output, _) = refused(command(folder.path()).arg("--nonsense"));
    assert_eq!(output.status.code(), Some(2));
    let (output, stderr) = refused(command(folder.path()).args(["x.db", "audit.log"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("AUDIT-PATH"), "{stderr}");
    let (output, _) = refused(command(folder.path()).arg("--version"));
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("spg-server "));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is created before the start");
}

#[test]
fn one_server_per_database() {
    let server = Server::start();
    let (output, stderr) = refused(&mut command(&server.folder));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains(&server.child.id().to_string()), "{stderr}");
}

#[test]
fn an_address_in_use_is_named() {
    let server = Server::start();
    let other = tempfile::TempDir::new().unwrap();
    let taken = server.pg.to_string();
    let (output, stderr) = refused(command(other.path()).env("SPG_PG_ADDR", &taken));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains(&format!("could not listen on {taken}")), "{stderr}");
}
