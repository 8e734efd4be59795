//! The engine: each statement is a command to it.
//!
//! `rows N`, `wait MS`, `begin`, `commit`, `rollback`, `error`, `copyin`, `copyout N`, `panic`, `set V`, `lost` (a commit
//! that fails), `notice`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int32Array, StringViewArray};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use spg_pg::{Commit, Config, Engine, Host, Interrupt, PgServer};
use spg_session::{
    Client, Column, Credentials, ExecuteEnd, Notice, ResultBatch, ResultColumn, SessionOptions, Severity,
    StatementDescription, TransactionStatus,
};
use spg_types::{Error, FormatSettings, Result, SqlState, SqlType, def};

pub const PASSWORD: &str = "secret";

#[derive(Clone)]
pub struct Script;

#[derive(Clone, Default)]
pub struct Flag(Arc<AtomicU8>);

impl Interrupt for Flag {
    fn cancel(&self) {
        self.0.fetch_or(1, Ordering::SeqCst);
    }

    fn terminate(&self) {
        self.0.fetch_or(2, Ordering::SeqCst);
    }

    fn is_terminated(&self) -> bool {
        self.0.load(Ordering::SeqCst) & 2 != 0
    }

    fn check(&self) -> Result<()> {
        match self.0.load(Ordering::SeqCst) {
            0 => Ok(()),
            1 => Err(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")),
            _ => Err(Error::new(
                SqlState::ADMIN_SHUTDOWN,
                "terminating connection due to administrator command",
            )),
        }
    }
}

pub struct Lost;

impl Commit for Lost {
    fn on_durable(self, done: Box<dyn FnOnce(Result<()>) + Send>) {
        std::thread::spawn(move || done(Err(Error::new(SqlState::DISK_FULL, "could not write to the log"))));
    }
}

struct Portal {
    sql: String,
    formats: Vec<i16>,
    sent: usize,
}

pub struct Scripted {
    flag: Flag,
    status: TransactionStatus,
    statements: HashMap<String, String>,
    portals: HashMap<String, Portal>,
    changes: Vec<(String, String)>,
    lost: bool,
    options: SessionOptions,
}

pub fn verifier(password: &str) -> String {
    let hmac = |key: &[u8], data: &[u8]| -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(data);
        mac.finalize().into_bytes().into()
    };
    let salt = b"0123456789abcdef";
    let mut u = hmac(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
    let mut salted = u;
    for _ in 1..4096 {
        u = hmac(password.as_bytes(), &u);
        salted.iter_mut().zip(u).for_each(|(s, u)| *s ^= u);
    }
    let stored = Sha256::digest(hmac(&salted, b"Client Key"));
    let server = hmac(&salted, b"Server Key");
    format!("SCRAM-SHA-256$4096:{}${}:{}", BASE64.encode(salt), BASE64.encode(stored), BASE64.encode(server))
}

impl Host for Script {
    type Engine = Scripted;

    fn credentials(&self, user: &str) -> Option<Credentials> {
        (user == "ann").then(|| Credentials { scram_verifier: verifier(PASSWORD), loopback_only: true })
    }

    fn connect(&self, options: SessionOptions) -> Result<Scripted> {
        if options.database == "nowhere" {
            return Err(Error::new(SqlState::INVALID_CATALOG_NAME, "database \"nowhere\" does not exist"));
        }
        Ok(Scripted {
            flag: Flag::default(),
            status: TransactionStatus::Idle,
            statements: HashMap::new(),
            portals: HashMap::new(),
            changes: vec![],
            lost: false,
            options,
        })
    }
}

fn columns() -> Vec<ResultColumn> {
    let column = |name: &str, ty| ResultColumn { name: name.to_owned(), ty, table_oid: 0, column_no: 0 };
    vec![column("n", SqlType::new(&def::INT4)), column("t", SqlType::new(&def::TEXT))]
}

fn batch(from: usize, to: usize) -> ResultBatch {
    let numbers: ArrayRef = Arc::new(Int32Array::from_iter_values((from..to).map(|n| n as i32)));
    let text: ArrayRef = Arc::new(StringViewArray::from(vec!["constant text of some length"]));
    ResultBatch { columns: vec![Column::Array(numbers), Column::Const(text)], rows: to - from }
}

impl Scripted {
    fn failed(&mut self, e: Error) -> Error {
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
        }
        e
    }

    fn run(
        &mut self,
        sql: &str,
        from: usize,
        limit: usize,
        formats: &[i16],
        client: &mut dyn Client,
    ) -> Result<(ExecuteEnd, usize)> {
        self.flag.0.fetch_and(2, Ordering::SeqCst);
        let complete = |tag: String| Ok((ExecuteEnd::Complete(tag), 0));
        let (word, argument) = sql.split_once(' ').unwrap_or((sql, ""));
        let number: usize = argument.parse().unwrap_or(0);
        match word {
            "rows" => {
                let mut at = from;
                while at < number {
                    let to = number.min(at + 1000).min(from.saturating_add(limit));
                    self.flag.check()?;
                    client.rows(&columns(), formats, &FormatSettings::default(), &batch(at, to))?;
                    at = to;
                    if at - from == limit {
                        return Ok((ExecuteEnd::Suspended, at - from));
                    }
                }
                complete(format!("SELECT {}", at - from))
            }
            "wait" => {
                let until = Instant::now() + Duration::from_millis(number as u64);
                let flag = self.flag.clone();
                client.block(&mut || {
                    while Instant::now() < until && flag.check().is_ok() {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                });
                self.flag.check()?;
                complete("WAIT".to_owned())
            }
            "begin" => {
                self.status = TransactionStatus::InTransaction;
                complete("BEGIN".to_owned())
            }
            "commit" | "rollback" => {
                self.status = TransactionStatus::Idle;
                complete(word.to_uppercase())
            }
            "error" => Err(Error::new(SqlState::UNDEFINED_COLUMN, "column \"x\" does not exist")
                .with_hint("look")
                .at(8)),
            "copyin" => {
                client.copy_in_begin(2, false)?;
                let mut bytes = 0;
                while let Some(data) = client.copy_data()? {
                    bytes += data.len();
                }
                complete(format!("COPY {bytes}"))
            }
            "copyout" => {
                client.copy_out_begin(2, false)?;
                for i in 0..number / 2 {
                    let rows = format!("{i}\tx\n{i}\ty\n");
                    client.copy_out(rows.as_bytes(), &[rows.len() / 2, rows.len()])?;
                }
                client.copy_out_end()?;
                complete(format!("COPY {number}"))
            }
            "panic" => panic!("as the script says"),
            "set" => {
                self.changes.push(("TimeZone".to_owned(), argument.to_owned()));
                complete("SET".to_owned())
            }
            "lost" => {
                self.lost = true;
                complete("INSERT 0 1".to_owned())
            }
            "notice" => {
                let body = Error::new(SqlState::SUCCESSFUL_COMPLETION, "well");
                client.notice(&Notice { severity: Severity::Notice, body })?;
                complete("DO".to_owned())
            }
            "whoami" => complete(format!("{:?}", self.options.settings)),
            _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{word}\""))),
        }
    }
}

impl Engine for Scripted {
    type Interrupt = Flag;
    type Commit = Lost;

    fn interrupt(&self) -> Flag {
        self.flag.clone()
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    fn parameter_status(&self) -> Vec<(String, String)> {
        vec![
            ("server_version".to_owned(), "15.0 (SPG)".to_owned()),
            ("client_encoding".to_owned(), "UTF8".to_owned()),
        ]
    }

    fn take_parameter_changes(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.changes)
    }

    fn simple_query(&mut self, sql: &str, client: &mut dyn Client) -> Result<Option<Lost>> {
        let statements: Vec<_> = sql.split(';').map(str::trim).filter(|s| !s.is_empty()).collect();
        if statements.is_empty() {
            client.empty_query()?;
        }
        for statement in statements {
            if statement.starts_with("rows") {
                client.row_description(&columns())?;
            }
            match self.run(statement, 0, usize::MAX, &[], client) {
                Ok((ExecuteEnd::Complete(tag), _)) => client.command_complete(&tag)?,
                Ok(_) => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
        Ok(std::mem::take(&mut self.lost).then_some(Lost))
    }

    fn parse(&mut self, name: &str, sql: &str, _: &[u32]) -> Result<()> {
        self.statements.insert(name.to_owned(), sql.to_owned());
        Ok(())
    }

    fn describe_statement(&mut self, name: &str) -> Result<StatementDescription> {
        let rows = self.statements.get(name).is_some_and(|s| s.starts_with("rows"));
        Ok(StatementDescription { params: vec![SqlType::new(&def::INT4)], columns: rows.then(columns) })
    }

    fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        _: &[i16],
        params: Vec<Option<Bytes>>,
        formats: &[i16],
    ) -> Result<()> {
        let Some(sql) = self.statements.get(statement) else {
            let message = format!("prepared statement \"{statement}\" does not exist");
            return Err(self.failed(Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)));
        };
        let first = params.first().cloned().flatten().unwrap_or_default();
        let sql = sql.replace("$1", &String::from_utf8_lossy(&first));
        self.portals.insert(portal.to_owned(), Portal { sql, formats: formats.to_vec(), sent: 0 });
        Ok(())
    }

    fn describe_portal(&mut self, portal: &str) -> Result<Option<(Vec<ResultColumn>, Vec<i16>)>> {
        let p =
            self.portals.get(portal).ok_or_else(|| Error::new(SqlState::INVALID_CURSOR_NAME, "no portal"))?;
        Ok(p.sql.starts_with("rows").then(|| (columns(), p.formats.clone())))
    }

    fn execute(&mut self, portal: &str, max_rows: u64, client: &mut dyn Client) -> Result<ExecuteEnd> {
        let Some(p) = self.portals.remove(portal) else {
            return Err(self.failed(Error::new(SqlState::INVALID_CURSOR_NAME, "no portal")));
        };
        let limit = if max_rows == 0 { usize::MAX } else { max_rows as usize };
        match self.run(&p.sql, p.sent, limit, &p.formats, client) {
            Ok((end, sent)) => {
                self.portals.insert(portal.to_owned(), Portal { sent: p.sent + sent, ..p });
                Ok(end)
            }
            Err(e) => Err(self.failed(e)),
        }
    }

    fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    fn sync(&mut self) -> Result<Option<Lost>> {
        Ok(std::mem::take(&mut self.lost).then_some(Lost))
    }

    fn take_pending(&mut self) -> Option<Lost> {
        std::mem::take(&mut self.lost).then_some(Lost)
    }

    fn queue_to_write(&mut self, _: &str) -> bool {
        false
    }

    fn poll_turn(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn turn_limit(&mut self) -> Option<Duration> {
        None
    }

    fn is_waited_for(&self) -> bool {
        false
    }

    fn idle_limit(&self) -> Option<Duration> {
        (self.status == TransactionStatus::InTransaction).then(|| Duration::from_millis(500))
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failed(error)
    }
}

/// A running server, on a runtime of its own.
pub struct Server {
    pub address: SocketAddr,
    pub server: Arc<PgServer<Script>>,
    pub runtime: tokio::runtime::Runtime,
}

pub fn start() -> Server {
    start_with(10, Duration::from_secs(20))
}

pub fn start_with(max_connections: usize, authentication_timeout: Duration) -> Server {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let config = Config { max_connections, authentication_timeout, secret: b"a secret".to_vec() };
    let server = Arc::new(PgServer::new(Script, config));
    let serving = server.clone();
    runtime.spawn(async move { serving.serve(listener).await });
    Server { address, server, runtime }
}
