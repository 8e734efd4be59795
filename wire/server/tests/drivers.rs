//! A driver's view of the whole server: tokio-postgres, and psql where it is installed.

#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;
use std::time::Duration;

use futures::{SinkExt, TryStreamExt, pin_mut};
use support::Server;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

async fn connect(server: &Server) -> Client {
    let config = format!("host=127.0.0.1 port={} user=bench password=bench dbname=bench", server.pg.port());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn prepared_statements_and_transactions() {
    let server = Server::start();
    let mut client = connect(&server).await;
    client
        .batch_execute(
            "create table t (id int primary key, name text not null, price numeric(15,2), at timestamptz)",
        )
        .await
        .unwrap();
    let insert = client.prepare("insert into t (id, name) values ($1, $2)").await.unwrap();
    for i in 0..20i32 {
        assert_eq!(client.execute(&insert, &[&i, &format!("name {i}")]).await.unwrap(), 1);
    }
    let e = client.execute(&insert, &[&3i32, &"again"]).await.unwrap_err();
    let e = e.as_db_error().unwrap();
    assert_eq!(
        (e.code(), e.table(), e.constraint()),
        (&SqlState::UNIQUE_VIOLATION, Some("t"), Some("t_pkey"))
    );
    assert_eq!(e.detail(), Some("Key (id)=(3) already exists."));

    let select = client.prepare("select name from t where id = $1").await.unwrap();
    // Pipelined: all are sent before the first answer is read.
    let queries = (0..20i32).map(|i| {
        let (client, select) = (&client, &select);
        async move { client.query_one(select, &[&i]).await.unwrap().get::<_, String>(0) }
    });
    let names = futures::future::join_all(queries).await;
    assert_eq!(names[7], "name 7");

    let transaction = client.transaction().await.unwrap();
    transaction.execute("delete from t where id < 10", &[]).await.unwrap();
    let portal = transaction.bind("select id from t order by id", &[]).await.unwrap();
    let ids = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|r| r.get::<_, i32>(0)).collect::<Vec<_>>();
    assert_eq!(ids(transaction.query_portal(&portal, 4).await.unwrap()), [10, 11, 12, 13]);
    assert_eq!(ids(transaction.query_portal(&portal, 4).await.unwrap()), [14, 15, 16, 17]);
    assert_eq!(ids(transaction.query_portal(&portal, 4).await.unwrap()), [18, 19]);
    assert!(transaction.execute("select 1/0", &[]).await.is_err());
    let e = transaction.execute("select 1", &[]).await.unwrap_err();
    assert_eq!(e.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    transaction.rollback().await.unwrap();
    assert_eq!(client.query_one("select count(*) from t", &[]).await.unwrap().get::<_, i64>(0), 20);
}

#[tokio::test]
async fn copy_both_ways() {
    let server = Server::start();
    let client = connect(&server).await;
    client.batch_execute("create table t (a int, b text)").await.unwrap();
    let sink = client.copy_in::<_, bytes::Bytes>("copy t from stdin (format csv)").await.unwrap();
    pin_mut!(sink);
    let mut sent = String::new();
    for i in 0..50_000 {
        sent.push_str(&format!("{i},\"text, {i}\"\n"));
    }
    for piece in sent.as_bytes().chunks(1000) {
        sink.send(bytes::Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 50_000);
    let stream = client.copy_out("copy (select * from t order by a) to stdout (format csv)").await.unwrap();
    let pieces: Vec<bytes::Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(pieces.len(), 50_000, "one message per row");
    assert_eq!(pieces.concat(), sent.as_bytes());

    let sink = client.copy_in::<_, bytes::Bytes>("copy t from stdin").await.unwrap();
    pin_mut!(sink);
    sink.send(bytes::Bytes::from_static(b"1\tone\nx\ttwo\n")).await.unwrap();
    let e = sink.finish().await.unwrap_err();
    let e = e.as_db_error().unwrap();
    assert_eq!(e.code(), &SqlState::INVALID_TEXT_REPRESENTATION);
    assert_eq!(e.where_(), Some("COPY t, line 2, column a: \"x\""));
    assert_eq!(client.query_one("select count(*) from t", &[]).await.unwrap().get::<_, i64>(0), 50_000);
}

#[tokio::test]
async fn cancel_and_errors() {
    let server = Server::start();
    let client = connect(&server).await;
    let token = client.cancel_token();
    let slow =
        client.query("select count(*) from generate_series(1, 100000) a, generate_series(1, 1000000) b", &[]);
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let (result, ()) = futures::join!(slow, cancel);
    assert_eq!(result.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));

    let e = client.query("select 1 + nothing", &[]).await.unwrap_err();
    let e = e.as_db_error().unwrap();
    assert_eq!(e.message(), "column \"nothing\" does not exist");
    assert_eq!(e.position(), Some(&tokio_postgres::error::ErrorPosition::Original(12)));
    let messages = client.simple_query("select 1; select 'a' as x, null; ").await.unwrap();
    let rows: Vec<_> = messages
        .iter()
        .filter_map(|m| match m {
            tokio_postgres::SimpleQueryMessage::Row(r) => Some((r.get(0).map(str::to_owned), r.len())),
            _ => None,
        })
        .collect();
    assert_eq!(rows, [(Some("1".to_owned()), 1), (Some("a".to_owned()), 2)]);
}

#[test]
fn psql_lists_and_copies() {
    if Command::new("psql").arg("--version").output().is_err() {
        eprintln!("psql is not installed");
        return;
    }
    let server = Server::start();
    let psql = |sql: &str| {
        let out = Command::new("psql")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &server.pg.port().to_string(),
                "-U",
                "bench",
                "-X",
                "-A",
                "-t",
                "-c",
                sql,
            ])
            .args(["bench"])
            .env("PGPASSWORD", "bench")
            .output()
            .unwrap();
        (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    psql("create table t (a int, b text)");
    std::fs::write(server.folder.join("in.csv"), "1,one\n2,\"two, three\"\n").unwrap();
    let copied = psql(&format!("\\copy t from '{}' csv", server.folder.join("in.csv").display()));
    assert_eq!(copied.0, "COPY 2\n", "{}", copied.1);
    assert_eq!(psql("select b, a from t order by a").0, "one|1\ntwo, three|2\n");
    assert_eq!(psql("copy t to stdout (format csv, header)").0, "a,b\n1,one\n2,\"two, three\"\n");
    let (_, error) = psql("select a from t where c = 1");
    assert!(
        error.contains("ERROR:  column \"c\" does not exist\nLINE 1: select a from t where c = 1\n"),
        "{error}"
    );
}
