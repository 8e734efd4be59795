//! Accepts connections and answers their frames.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::frame::{self, Frame, HEADER, Op};

/// How long a connection without a log-in may take for its next frame.
const FRAME_TIMEOUT: Duration = Duration::from_secs(60);

/// The native protocol's listener.
pub struct NativeServer {
    connections: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl NativeServer {
    /// A server for at most `max_connections` at a time; one more is closed unheard.
    pub fn new(max_connections: usize) -> Self {
        Self { connections: Arc::new(Semaphore::new(max_connections)), closing: watch::Sender::new(false) }
    }

    /// Accepts connections until [`NativeServer::shutdown`].
    pub async fn serve(&self, listener: TcpListener) {
        let mut closing = self.closing.subscribe();
        loop {
            tokio::select! {
                biased;
                () = closed(&mut closing) => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let Ok(permit) = self.connections.clone().try_acquire_owned() else {
                            tracing::warn!(%peer, "too many connections at once");
                            continue;
                        };
                        let mut closing = self.closing.subscribe();
                        tokio::spawn(async move {
                            tokio::select! {
                                biased;
                                () = closed(&mut closing) => {}
                                result = answer(stream) => if let Err(e) = result {
                                    tracing::debug!(%peer, error = %e, "native connection ended");
                                },
                            }
                            drop(permit);
                        });
                    }
                    Err(e) => {
                        // Out of file descriptors, most likely: give others time to close some.
                        tracing::warn!(error = %e, "could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    /// Closes everything.
    pub fn shutdown(&self) {
        self.closing.send_replace(true);
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut header = [0; HEADER];
        match tokio::time::timeout(FRAME_TIMEOUT, stream.read_exact(&mut header)).await? {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        };
        let length = match frame::request(header) {
            Ok(length) => length,
            Err(e) => {
                stream.write_all(&Frame::error(&e).encode()).await?;
                return stream.shutdown().await;
            }
        };
        let mut payload = vec![0; length];
        tokio::time::timeout(FRAME_TIMEOUT, stream.read_exact(&mut payload)).await??;
        stream.write_all(&Frame { op: Op::Pong, payload }.encode()).await?;
    }
}

/// Until the server closes.
async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connect() -> (TcpStream, Arc<NativeServer>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(NativeServer::new(2));
        let serving = server.clone();
        tokio::spawn(async move { serving.serve(listener).await });
        (TcpStream::connect(address).await.unwrap(), server)
    }

    #[tokio::test]
    async fn ping_is_answered_with_its_payload() {
        let (mut stream, server) = connect().await;
        for payload in [&b""[..], b"hello"] {
            let ping = Frame { op: Op::Ping, payload: payload.to_vec() };
            stream.write_all(&ping.encode()).await.unwrap();
            let mut answer = vec![0; HEADER + payload.len()];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, Frame { op: Op::Pong, payload: payload.to_vec() }.encode());
        }
        server.shutdown();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn other_ops_and_long_frames_are_refused() {
        for (bytes, state) in [(&[0, 0, 0, 0, 7][..], b"0A000"), (&[0xff, 0xff, 0xff, 0xff, 0], b"08P01")] {
            let (mut stream, _server) = connect().await;
            stream.write_all(bytes).await.unwrap();
            let mut answer = vec![];
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer[4], Op::Error as u8);
            assert_eq!(&answer[HEADER..HEADER + 5], state);
        }
    }
}
