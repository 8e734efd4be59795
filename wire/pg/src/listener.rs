//! The server: accepts connections, counts them, ends them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use spg_types::{Error, SqlState};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::engine::{Engine, Host};
use crate::login::Login;
use crate::registry::Registry;
use crate::response::{self, Fatality};

/// How long a client has to take the error that refuses it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Sockets beyond the connection limit that may be in the middle of start-up, to be told that there is no room.
const WAITING_MAX: usize = 64;

/// What the server is to be like.
#[derive(Clone)]
pub struct Config {
    /// Sessions at a time; one more gets 53300.
    pub max_connections: usize,
    /// From the first byte to the proof of the password.
    pub authentication_timeout: Duration,
    /// What the salts of users who do not exist are derived from; to be kept from one start to the next.
    pub secret: Vec<u8>,
}

/// The PostgreSQL protocol in front of a database.
pub struct PgServer<H: Host> {
    shared: Arc<Shared<H>>,
    closing: watch::Sender<bool>,
}

pub(crate) struct Shared<H: Host> {
    pub(crate) host: H,
    pub(crate) secret: Vec<u8>,
    pub(crate) registry: Arc<Registry<<H::Engine as Engine>::Interrupt>>,
    authentication_timeout: Duration,
    sessions: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
}

impl<H: Host> PgServer<H> {
    /// A server for a database; [`PgServer::serve`] starts it.
    pub fn new(host: H, config: Config) -> Self {
        let shared = Arc::new(Shared {
            host,
            secret: config.secret,
            registry: Arc::new(Registry::new()),
            authentication_timeout: config.authentication_timeout,
            sessions: Arc::new(Semaphore::new(config.max_connections)),
            sockets: Arc::new(Semaphore::new(config.max_connections + WAITING_MAX)),
        });
        Self { shared, closing: watch::Sender::new(false) }
    }

    /// Accepts connections until [`PgServer::shutdown`].
    pub async fn serve(&self, listener: TcpListener) {
        tokio::spawn(Registry::watch(Arc::downgrade(&self.shared.registry)));
        let mut closing = self.closing.subscribe();
        loop {
            tokio::select! {
                biased;
                () = closed(&mut closing) => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.accept(stream, peer),
                    Err(e) => {
                        // Out of file descriptors, most likely: give others time to close some.
                        tracing::warn!(error = %e, "could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    fn accept(&self, stream: TcpStream, peer: SocketAddr) {
        // Beyond this, connections are closed unheard: memory before authentication stays bounded.
        let Ok(permit) = self.shared.sockets.clone().try_acquire_owned() else {
            tracing::warn!(%peer, "too many connections at once");
            return;
        };
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!(%peer, error = %e, "could not set TCP_NODELAY");
        }
        let shared = self.shared.clone();
        let closing = self.closing.subscribe();
        tokio::spawn(async move {
            run(shared, stream, peer, closing).await;
            drop(permit);
        });
    }

    /// No new connections; idle sessions end at once, the others when their statement does, at the latest after `grace`,
    /// with 57P01.
    pub async fn shutdown(&self, grace: Duration) {
        self.closing.send_replace(true);
        self.shared.registry.end_all(grace).await;
    }
}

/// One connection, from its first byte to its last.
async fn run<H: Host>(
    shared: Arc<Shared<H>>,
    stream: TcpStream,
    peer: SocketAddr,
    mut closing: watch::Receiver<bool>,
) {
    let mut login = Login::new(stream, peer.ip());
    let ready = tokio::select! {
        biased;
        () = closed(&mut closing) => Err(shutting_down()),
        ready = tokio::time::timeout(shared.authentication_timeout, log_in(&mut login, &shared)) => {
            ready.unwrap_or_else(|_| {
                Err(Error::new(SqlState::QUERY_CANCELED, "canceling authentication due to timeout"))
            })
        }
    };
    let refused = match ready {
        Ok(None) => return,
        Ok(Some((startup, permit))) => {
            let user = startup.user.clone();
            match login.open(startup, &shared) {
                Ok(connection) => {
                    tracing::debug!(%peer, user, "session opened");
                    connection.run().await;
                    drop(permit);
                    return;
                }
                Err(failed) => {
                    let e;
                    (login, e) = *failed;
                    e
                }
            }
        }
        Err(e) => e,
    };
    tracing::info!(%peer, sqlstate = %refused.state(), error = %refused, "connection refused");
    if refused.state() != SqlState::CONNECTION_FAILURE {
        response::error(&mut login.output.buffer, Fatality::Fatal, &refused);
        let _ = tokio::time::timeout(LAST_WORDS, login.output.flush()).await;
    }
}

type Admitted = Option<(crate::startup::Startup, OwnedSemaphorePermit)>;

/// Everything before the session; `None` when the connection was for a cancel request.
async fn log_in<H: Host>(login: &mut Login, shared: &Shared<H>) -> spg_types::Result<Admitted> {
    let Some(startup) = login.first_packet(shared).await? else { return Ok(None) };
    let permit = shared
        .sessions
        .clone()
        .try_acquire_owned()
        .map_err(|_| Error::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already"))?;
    login.authenticate(&startup, shared).await?;
    Ok(Some((startup, permit)))
}

fn shutting_down() -> Error {
    Error::new(SqlState::CANNOT_CONNECT_NOW, "the database system is shutting down")
}

/// Until the server closes.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}
