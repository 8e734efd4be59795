//! Opens the database, listens, says so, and ends in order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use spg_embedded::{Config, Database};
use spg_native::NativeServer;
use spg_pg::PgServer;
use spg_types::{Error, Result, SqlState};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::Args;
use crate::environment::{Environment, address};

/// How long running statements have when the server is asked to end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// How long a client has to prove its password.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that the kernel keeps waiting to be accepted.
const BACKLOG: u32 = 1024;

/// Runs the server to its end.
pub(crate) fn run(args: &Args, environment: &Environment) -> Result<()> {
    let wire_addr = address(&args.wire_addr).ok_or_else(|| {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("WIRE-ADDR is {:?}; it takes <host>:<port>, for example 0.0.0.0:5544", args.wire_addr),
        )
    })?;
    if args.audit_path != Path::new("-") {
        return Err(Error::unsupported("audit logs are not supported: AUDIT-PATH must be \"-\""));
    }
    let config = config(args, environment);
    if let Some(wal) = &args.replay_only {
        let found = spg_embedded::replay_only(wal, &args.db_path)?;
        if found.baseline > 0 {
            println!("{}: checkpoint at commit {}", args.db_path.display(), found.baseline);
        }
        let applied = found.commits - found.baseline;
        let last = found.commits;
        println!("{}: {applied} commits applied, up to commit {last}", wal.display());
        println!("{} tables", found.tables.len());
        for (schema, table, rows) in found.tables {
            println!("{schema}.{table}: {rows} rows");
        }
        return Ok(());
    }
    let database = Database::open(config)?;
    let result = serve(&database, args, environment, wire_addr);
    database.refuse_sessions();
    let closed = database.close();
    result.and(closed)
}

fn config(args: &Args, environment: &Environment) -> Config {
    Config {
        db_path: args.db_path.clone(),
        wal_path: args.wal_path.clone(),
        wal_tee: environment.wal_tee.clone(),
        workers: environment.workers,
        query_memory_bytes: None,
        hot_tier_bytes: environment.hot_tier_bytes,
        cache_bytes: environment.cache_bytes,
        zstd_level: environment.cold_zstd_level,
        compact_segments: environment.cold_compact_segment_threshold,
        query_timeout_ms: environment.query_timeout_ms,
        admin_user: environment.admin_user.clone(),
        admin_password: environment.admin_password.clone(),
        synchronous_commit: environment.synchronous_commit,
        checkpoint_wal_bytes: environment.checkpoint_wal_bytes,
        settings: vec![("max_connections".to_owned(), environment.max_connections.to_string())],
    }
}

fn serve(database: &Database, args: &Args, environment: &Environment, wire_addr: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("spg-net")
        // A session that waits (for workers, locks, its client) holds a thread; every session may.
        .max_blocking_threads(environment.max_connections + 64)
        .build()
        .map_err(|e| system_error("could not start the network threads", &e))?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let wire = listen(wire_addr)?;
        let pg = environment.pg_addr.map(listen).transpose()?;
        announce(database, args, environment, &wire, pg.as_ref())?;

        let native = Arc::new(NativeServer::new(environment.max_connections));
        let serving = native.clone();
        tokio::spawn(async move { serving.serve(wire).await });
        let Some(listener) = pg else {
            signals.next().await;
            native.shutdown();
            return Ok(());
        };
        let server = Arc::new(PgServer::new(
            database.clone(),
            spg_pg::Config {
                max_connections: environment.max_connections,
                authentication_timeout: AUTHENTICATION_TIMEOUT,
                // Only the server knows it, and it stays from one start to the next.
                secret: database
                    .credentials(database.admin_user())
                    .map_or_else(Vec::new, |c| c.scram_verifier.into_bytes()),
            },
        ));
        let serving = server.clone();
        tokio::spawn(async move { serving.serve(listener).await });
        signals.next().await;
        tracing::info!("shutting down");
        native.shutdown();
        tokio::select! {
            () = server.shutdown(SHUTDOWN_GRACE) => {}
            // Asked twice: without grace.
            () = signals.next() => server.shutdown(Duration::ZERO).await,
        }
        Ok(())
    })
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        // Accepted connections inherit it: a client whose machine has vanished is found out.
        socket.set_keepalive(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|e| system_error(&format!("could not listen on {address}"), &e))
}

/// The start-up lines.
fn announce(
    database: &Database,
    args: &Args,
    environment: &Environment,
    wire: &TcpListener,
    pg: Option<&TcpListener>,
) -> Result<()> {
    let local =
        |l: &TcpListener| l.local_addr().map_err(|e| system_error("could not read a listener's address", &e));
    let user = &environment.admin_user;
    println!("SPG {}", env!("CARGO_PKG_VERSION"));
    println!("database: {}, write-ahead log: {}", args.db_path.display(), args.wal_path.display());
    println!("native protocol: listening on {}", local(wire)?);
    match pg.map(local).transpose()? {
        Some(address) => {
            let host =
                if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
            println!("PostgreSQL protocol: listening on {address}");
            println!("log in: psql -h {host} -p {} -U {user} {user}", address.port());
        }
        None => println!(
            "PostgreSQL protocol: off; set SPG_PG_ADDR to open it, for example SPG_PG_ADDR=127.0.0.1:5432"
        ),
    }
    if database.has_default_password() {
        println!(
            "note: user {user} has the default password \"bench\", accepted from loopback addresses only; \
             change it with ALTER USER {user} PASSWORD '...'"
        );
    }
    if !environment.synchronous_commit {
        println!(
            "note: SPG_SYNCHRONOUS_COMMIT is off: a crash may lose the last commits that were acknowledged"
        );
    }
    Ok(())
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let on = |kind| signal(kind).map_err(|e| system_error("could not handle signals", &e));
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn system_error(what: &str, e: &std::io::Error) -> Error {
    Error::new(SqlState::SYSTEM_ERROR, format!("{what}: {e}"))
}
