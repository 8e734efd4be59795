//! Schedules of several sessions, in `isolation/`: each step's outcome is the same here, by both protocols, and in PostgreSQL.
//!
//! ```text
//! file    = setup-sql* "----" step*
//! step    = session ": " sql " => " outcome     starts a statement
//!         | session " => " outcome              the statement that the session waits in has ended
//! outcome = "waits" | "ok" | "error " sqlstate | rows of columns: "1 a; 2 b"; "none" without rows
//! ```

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use spg_corpus::postgres::{Cluster, PostgresEngine, installed};
use spg_corpus::{Server, binary, skip};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage};

/// A statement that has not ended after this waits for another session.
const WAITS: Duration = Duration::from_millis(150);
/// One that was let go on ends within this.
const ENDS: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    Simple,
    Extended,
}

struct Session {
    client: Rc<Client>,
    running: Option<JoinHandle<String>>,
}

async fn connect(options: &str) -> Rc<Client> {
    let (client, connection) = tokio_postgres::connect(options, NoTls).await.unwrap();
    tokio::task::spawn_local(connection);
    Rc::new(client)
}

fn outcome(result: Result<Vec<String>, Error>, selects: bool) -> String {
    match result {
        Ok(rows) if !selects => {
            assert!(rows.is_empty());
            "ok".into()
        }
        Ok(rows) if rows.is_empty() => "none".into(),
        Ok(rows) => rows.join("; "),
        Err(e) => format!("error {}", e.code().map_or("of the client", |c| c.code())),
    }
}

async fn run(client: Rc<Client>, sql: String, protocol: Protocol) -> String {
    let lower = sql.to_lowercase();
    let selects = lower.starts_with("select") || lower.contains("returning");
    let control =
        ["begin", "commit", "rollback", "savepoint", "release"].iter().any(|c| lower.starts_with(c));
    let result = match protocol {
        // One column of text, so that both protocols give the same.
        Protocol::Extended if !control => match client.prepare(&sql).await {
            Ok(statement) => client.query(&statement, &[]).await.map(|rows| {
                rows.iter().map(|r| (0..r.len()).map(|i| cell(r, i)).collect::<Vec<_>>().join(" ")).collect()
            }),
            Err(e) => Err(e),
        },
        _ => client.simple_query(&sql).await.map(|messages| {
            let rows = messages.iter().filter_map(|m| match m {
                SimpleQueryMessage::Row(r) => {
                    Some((0..r.len()).map(|i| r.get(i).unwrap_or("NULL")).collect::<Vec<_>>().join(" "))
                }
                _ => None,
            });
            rows.collect()
        }),
    };
    outcome(result, selects)
}

fn cell(row: &tokio_postgres::Row, i: usize) -> String {
    use tokio_postgres::types::Type;
    let column = row.columns()[i].type_();
    let text = match *column {
        Type::INT4 => row.get::<_, Option<i32>>(i).map(|v| v.to_string()),
        Type::INT8 => row.get::<_, Option<i64>>(i).map(|v| v.to_string()),
        Type::TEXT => row.get::<_, Option<String>>(i),
        ref other => panic!("schedules use integer, bigint and text, not {other}"),
    };
    text.unwrap_or_else(|| "NULL".into())
}

async fn check(file: &Path, options: &str, protocol: Protocol) {
    let text = std::fs::read_to_string(file).unwrap();
    let (setup, steps) = text.split_once("----\n").unwrap();
    let client = connect(options).await;
    client
        .batch_execute("DROP TABLE IF EXISTS child; DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS u")
        .await
        .unwrap();
    client.batch_execute(setup).await.unwrap();
    let mut sessions: BTreeMap<String, Session> = BTreeMap::new();
    for (number, line) in steps.lines().enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
        let (what, expected) = line.rsplit_once(" => ").unwrap();
        let at = format!("{}, step {} ({protocol:?}): {line}", file.display(), number + 1);
        let (name, sql) = what.split_once(": ").map_or((what, None), |(name, sql)| (name, Some(sql)));
        if !sessions.contains_key(name) {
            let session = Session { client: connect(options).await, running: None };
            sessions.insert(name.into(), session);
        }
        let session = sessions.get_mut(name).unwrap();
        let limit = match (expected, sql) {
            ("waits", _) => WAITS,
            _ => ENDS,
        };
        if let Some(sql) = sql {
            assert!(session.running.is_none(), "{at}: it still waits");
            let work = run(session.client.clone(), sql.into(), protocol);
            session.running = Some(tokio::task::spawn_local(work));
        }
        let running = session.running.as_mut().unwrap_or_else(|| panic!("{at}: nothing runs"));
        let got = match tokio::time::timeout(limit, running).await {
            Ok(ended) => {
                session.running = None;
                ended.unwrap()
            }
            Err(_) => "waits".into(),
        };
        assert_eq!(got, expected, "{at}");
    }
}

fn check_all(options: impl Fn() -> String, protocols: &[Protocol]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("isolation");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5);
    for file in &files {
        for protocol in protocols {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, check(file, &options(), *protocol));
        }
    }
}

#[test]
fn sessions_see_and_wait_for_each_other_as_in_postgresql() {
    let server = Server::start(&binary("spg-server").unwrap(), &[]).unwrap();
    check_all(|| server.options(), &[Protocol::Simple, Protocol::Extended]);
}

#[test]
fn postgresql_agrees_with_the_schedules() {
    let Some(bin) = installed() else {
        skip("PostgreSQL is not installed: schedules of sessions were not checked against it");
        return;
    };
    let cluster = Cluster::start(&bin, "fsync = off\ndeadlock_timeout = 50ms").unwrap();
    let engine = PostgresEngine::new(&cluster).unwrap();
    engine.fresh().unwrap();
    check_all(|| cluster.options("corpus1"), &[Protocol::Simple]);
}
