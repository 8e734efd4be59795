//! Sessions over the PostgreSQL protocol, with tokio-postgres: for a started SPG server and for PostgreSQL.

use std::rc::Rc;
use std::time::Duration;

use futures::{SinkExt, TryStreamExt};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::engine::{Answer, Connection, type_letter};
use crate::record::SqlError;

/// A statement that takes longer than this is reported as a failure.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(120);

/// One client connection and the runtime that drives it.
pub struct WireConnection {
    runtime: Rc<Runtime>,
    client: Client,
}

/// A single-threaded runtime for [`WireConnection::open`].
pub fn runtime() -> Result<Rc<Runtime>, SqlError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map(Rc::new).map_err(|e| failure(&e))
}

impl WireConnection {
    /// Connects by a libpq connection string.
    pub fn open(runtime: &Rc<Runtime>, options: &str) -> Result<Self, SqlError> {
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(options, NoTls).await?;
            tokio::spawn(async {
                // A broken connection shows up as an error of the statement that is running.
                let _ = connection.await;
            });
            Ok::<_, tokio_postgres::Error>(client)
        });
        Ok(Self { runtime: runtime.clone(), client: client.map_err(sql_error)? })
    }

    fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        self.runtime.block_on(async {
            match tokio::time::timeout(STATEMENT_TIMEOUT, work).await {
                Ok(done) => done.map_err(sql_error),
                Err(elapsed) => Err(failure(&elapsed)),
            }
        })
    }
}

impl Connection for WireConnection {
    fn execute(&mut self, sql: &str) -> Result<Answer, SqlError> {
        let messages = self.block_on(self.client.simple_query(sql))?;
        let mut answer = Answer::default();
        for message in messages {
            match message {
                SimpleQueryMessage::Row(row) => {
                    answer.rows.push((0..row.len()).map(|i| row.get(i).map(str::to_string)).collect());
                }
                SimpleQueryMessage::CommandComplete(n) => answer.affected = n,
                _ => {}
            }
        }
        Ok(answer)
    }

    /// The types come from preparing the statement, so that both protocols see it; the text from the simple one.
    fn query(&mut self, sql: &str) -> Result<Answer, SqlError> {
        let statement = self.block_on(self.client.prepare(sql))?;
        let types = statement.columns().iter().map(|column| type_letter(column.type_().oid())).collect();
        Ok(Answer { types, ..self.execute(sql)? })
    }

    fn copy_in(&mut self, sql: &str, data: &str) -> Result<u64, SqlError> {
        let data = bytes(data);
        self.block_on(async {
            let sink = self.client.copy_in(sql).await?;
            let mut sink = std::pin::pin!(sink);
            sink.send(data).await?;
            sink.as_mut().finish().await
        })
    }

    fn copy_out(&mut self, sql: &str) -> Result<String, SqlError> {
        let chunks: Vec<_> = self.block_on(async { self.client.copy_out(sql).await?.try_collect().await })?;
        Ok(chunks.iter().map(|chunk| String::from_utf8_lossy(chunk)).collect())
    }
}

fn bytes(text: &str) -> std::io::Cursor<Vec<u8>> {
    std::io::Cursor::new(text.as_bytes().to_vec())
}

fn sql_error(error: tokio_postgres::Error) -> SqlError {
    match error.as_db_error() {
        Some(db) => SqlError { code: db.code().code().to_string(), message: db.message().to_string() },
        None => failure(&error),
    }
}

/// An error that no server sent: it has the class of connection failures and matches no expectation.
fn failure(error: &dyn std::error::Error) -> SqlError {
    SqlError { code: "08006".into(), message: format!("client: {error}") }
}
