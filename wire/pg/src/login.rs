//! From an accepted socket to a session: first packet, SCRAM, greeting.
//!
//! Until the password is proven a connection may send [`UNAUTHENTICATED_BYTES_MAX`] bytes, holds one small buffer, and has
//! limited time. Every error here is FATAL.

use std::net::IpAddr;
use std::sync::Arc;

use spg_session::SessionOptions;
use spg_types::{Error, Result, SqlState};
use tokio::net::TcpStream;

use crate::connection::Connection;
use crate::engine::{Engine, Host};
use crate::input::{Input, Read, client_gone};
use crate::listener::Shared;
use crate::message::{self, Fields, HEADER};
use crate::output::Output;
use crate::registry::Registered;
use crate::response;
use crate::scram::{self, Exchange, Verifier};
use crate::startup::{self, Packet, Startup, UNAUTHENTICATED_BYTES_MAX};

/// A SASL message's largest length: SCRAM's own text and the mechanism's name around it.
const SASL_MESSAGE_MAX: usize = HEADER + scram::MESSAGE_MAX + 64;

/// A connection that has no session yet.
pub(crate) struct Login {
    pub(crate) input: Input,
    pub(crate) output: Output,
    stream: Arc<TcpStream>,
    peer: IpAddr,
    /// Bytes consumed.
    received: usize,
}

impl Login {
    pub(crate) fn new(stream: TcpStream, peer: IpAddr) -> Self {
        let stream = Arc::new(stream);
        Self {
            input: Input::new(stream.clone()),
            output: Output::new(stream.clone()),
            stream,
            peer: peer.to_canonical(),
            received: 0,
        }
    }

    /// Reads first packets until one starts a session; `None` when the connection was for a cancel request.
    pub(crate) async fn first_packet<H: Host>(&mut self, shared: &Shared<H>) -> Result<Option<Startup>> {
        // SSLRequest and GSSENCRequest, once each.
        for _ in 0..3 {
            self.read_to(4).await?;
            let length = startup::packet_length(first(self.input.arrived())?)?;
            self.read_to(length).await?;
            let packet = startup::decode(self.input.arrived().get(4..length).unwrap_or_default());
            self.consume(length);
            match packet? {
                Packet::Encryption => {
                    if !self.input.arrived().is_empty() {
                        return Err(violation("received unencrypted data after encryption request"));
                    }
                    self.output.buffer.push(b'N');
                    self.flush().await?;
                }
                Packet::Cancel { pid, key } => {
                    shared.registry.cancel(pid, key);
                    return Ok(None);
                }
                Packet::Startup(startup) => return Ok(Some(startup)),
            }
        }
        Err(violation("too many encryption requests"))
    }

    /// Asks for the password's proof. 28P01 for a wrong one and for an unknown user alike; 28000 for a default password
    /// from a distance.
    pub(crate) async fn authenticate<H: Host>(
        &mut self,
        startup: &Startup,
        shared: &Shared<H>,
    ) -> Result<()> {
        if startup.minor > 0 || !startup.unknown_options.is_empty() {
            response::negotiate(&mut self.output.buffer, startup.unknown_options.clone());
        }
        let user = startup.user.as_str();
        let credentials = shared.host.credentials(user);
        let verifier = credentials
            .as_ref()
            .and_then(|c| Verifier::parse(&c.scram_verifier))
            .unwrap_or_else(|| Verifier::mock(user, &shared.secret));

        response::ask_sasl(&mut self.output.buffer);
        self.flush().await?;
        let body = self.sasl_message().await?;
        let (exchange, answer) = Exchange::start(verifier, initial_response(&body)?)?;
        response::sasl_continue(&mut self.output.buffer, answer);
        self.flush().await?;
        let body = self.sasl_message().await?;
        let Some(proof) = exchange.finish(&body)? else {
            return Err(Error::new(
                SqlState::INVALID_PASSWORD,
                format!("password authentication failed for user \"{user}\""),
            ));
        };
        if credentials.is_some_and(|c| c.loopback_only) && !self.peer.is_loopback() {
            return Err(Error::new(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                format!("user \"{user}\" has the default password, which is accepted from loopback addresses only"),
            )
            .with_hint("Start the server with SPG_ADMIN_PASSWORD, or change it on the server's machine: ALTER USER ... PASSWORD '...'."));
        }
        response::authenticated(&mut self.output.buffer, proof);
        Ok(())
    }

    /// Opens the session and greets: everything after the server's proof leaves in one piece with it.
    pub(crate) fn open<H: Host>(
        mut self,
        startup: Startup,
        shared: &Shared<H>,
    ) -> Result<Connection<H::Engine>, Box<(Self, Error)>> {
        let pid = shared.registry.next_pid();
        let opened = shared.host.connect(SessionOptions {
            user: startup.user,
            database: startup.database,
            application_name: startup.application_name.unwrap_or_default(),
            settings: startup.settings,
            backend_pid: pid,
        });
        let engine = match opened {
            Ok(engine) => engine,
            Err(e) => return Err(Box::new((self, e))),
        };
        let registered: Registered<_> = shared.registry.add(pid, engine.interrupt(), self.stream.clone());
        let out = &mut self.output.buffer;
        for (name, value) in engine.parameter_status() {
            response::parameter_status(out, &name, &value);
        }
        response::backend_key_data(out, pid, registered.backend.key);
        response::ready(out, b'I');
        self.output.finish_request();
        Ok(Connection::new(engine, self.input, self.output, registered))
    }

    async fn sasl_message(&mut self) -> Result<Vec<u8>> {
        self.read_to(HEADER).await?;
        let [tag, a, b, c, d] = first(self.input.arrived())?;
        if tag != b'p' {
            return Err(violation(format!("expected SASL response, got message type {tag}")));
        }
        let length = message::message_length(tag, [a, b, c, d])?;
        if length > SASL_MESSAGE_MAX {
            return Err(violation("invalid message length"));
        }
        self.read_to(length).await?;
        let body = self.input.arrived().get(HEADER..length).unwrap_or_default().to_vec();
        self.consume(length);
        Ok(body)
    }

    /// Reads until `length` bytes have arrived.
    async fn read_to(&mut self, length: usize) -> Result<()> {
        while self.input.arrived().len() < length {
            match self.input.read_some() {
                Ok(Read::Some) => {}
                Ok(Read::Wait) => self.input.readable().await.map_err(|_| client_gone())?,
                Ok(Read::End) | Err(_) => return Err(client_gone()),
            }
            if self.received + self.input.arrived().len() > UNAUTHENTICATED_BYTES_MAX {
                return Err(violation("too much data before authentication"));
            }
        }
        Ok(())
    }

    fn consume(&mut self, length: usize) {
        self.received += length;
        self.input.consume(length);
    }

    async fn flush(&mut self) -> Result<()> {
        self.output.flush().await.map_err(|_| client_gone())
    }
}

/// The data of a SASLInitialResponse: mechanism, length, data.
fn initial_response(body: &[u8]) -> Result<&[u8]> {
    let mut fields = Fields::new(body);
    if fields.text()? != scram::MECHANISM {
        return Err(violation("client selected an invalid SASL authentication mechanism"));
    }
    match fields.u32()? as i32 {
        -1 => Err(violation("the client's first SASL message is missing")),
        length => {
            let data =
                fields.bytes(usize::try_from(length).map_err(|_| violation("invalid message format"))?)?;
            fields.end()?;
            Ok(data)
        }
    }
}

fn first<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.first_chunk().copied().ok_or_else(client_gone)
}

fn violation(message: impl Into<String>) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}
