//! A client that sends what it is told and returns every message.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// A message from the server.
#[derive(Clone, PartialEq)]
pub struct Message {
    pub tag: char,
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.tag, self.body.escape_ascii())
    }
}

impl Message {
    /// A field of an error or notice.
    pub fn field(&self, code: char) -> Option<String> {
        self.body.split(|b| *b == 0).find_map(|f| {
            let f = String::from_utf8_lossy(f);
            f.strip_prefix(code).map(str::to_owned)
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end_matches('\0').to_owned()
    }
}

pub struct Client {
    pub stream: TcpStream,
    pub pid: [u8; 4],
    pub key: [u8; 4],
}

/// A message with its length word.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend((body.len() as u32 + 4).to_be_bytes());
    out.extend(body);
    out
}

pub fn startup(parameters: &[u8]) -> Vec<u8> {
    startup_version(3 << 16, parameters)
}

pub fn startup_version(version: u32, parameters: &[u8]) -> Vec<u8> {
    let mut out = (parameters.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend(version.to_be_bytes());
    out.extend(parameters);
    out
}

pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// Parse and Bind of the unnamed statement without parameters.
pub fn prepare(sql: &str) -> Vec<u8> {
    let parse = message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"].concat());
    [parse, message(b'B', b"\0\0\0\0\0\0\0\0")].concat()
}

pub fn execute(max_rows: u32) -> Vec<u8> {
    message(b'E', &[&b"\0"[..], &max_rows.to_be_bytes()].concat())
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().into()
}

impl Client {
    /// An open socket, nothing sent.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, pid: [0; 4], key: [0; 4] }
    }

    /// A session of "ann".
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Self::open(address);
        client.send(&startup(b"user\0ann\0\0"));
        let greeting = client.log_in("secret");
        let key = greeting.iter().find(|m| m.tag == 'K').unwrap();
        client.pid.copy_from_slice(&key.body[..4]);
        client.key.copy_from_slice(&key.body[4..]);
        client
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next message; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<Message> {
        let mut header = [0; 5];
        let mut got = 0;
        while got < 5 {
            match self.stream.read(&mut header[got..]) {
                Ok(0) => return None,
                Ok(n) => got += n,
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("{e}"),
            }
        }
        let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize - 4;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        Some(Message { tag: header[0].into(), body })
    }

    /// Everything up to and with ReadyForQuery, or to the end of the connection.
    pub fn until_ready(&mut self) -> Vec<Message> {
        let mut messages = vec![];
        while let Some(m) = self.next() {
            let last = m.tag == 'Z';
            messages.push(m);
            if last {
                break;
            }
        }
        messages
    }

    /// Sends, and returns the answer.
    pub fn ask(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.send(bytes);
        self.until_ready()
    }

    /// Goes through SCRAM after the start-up packet; returns what came, to ReadyForQuery or the end.
    pub fn log_in(&mut self, password: &str) -> Vec<Message> {
        let mut before = vec![];
        let request = loop {
            let m = self.next().unwrap();
            if m.tag == 'R' {
                break m;
            }
            if m.tag == 'E' {
                return vec![m];
            }
            before.push(m);
        };
        assert_eq!(request.body, b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        let bare = "n=,r=clientnonce";
        let first = format!("n,,{bare}");
        let mut body = b"SCRAM-SHA-256\0".to_vec();
        body.extend((first.len() as u32).to_be_bytes());
        body.extend(first.as_bytes());
        self.send(&message(b'p', &body));
        let server_first = String::from_utf8(self.next().unwrap().body[4..].to_vec()).unwrap();
        let mut parts = server_first.split(',').map(|a| &a[2..]);
        let (nonce, salt) = (parts.next().unwrap(), BASE64.decode(parts.next().unwrap()).unwrap());
        let mut u = hmac(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
        let mut salted = u;
        for _ in 1..4096 {
            u = hmac(password.as_bytes(), &u);
            salted.iter_mut().zip(u).for_each(|(s, u)| *s ^= u);
        }
        let client_key = hmac(&salted, b"Client Key");
        let without_proof = format!("c=biws,r={nonce}");
        let auth = format!("{bare},{server_first},{without_proof}");
        let mut proof = hmac(&Sha256::digest(client_key), auth.as_bytes());
        proof.iter_mut().zip(client_key).for_each(|(p, k)| *p ^= k);
        self.send(&message(b'p', format!("{without_proof},p={}", BASE64.encode(proof)).as_bytes()));
        before.extend(self.until_ready());
        before
    }
}

/// The tags of some messages, one character each.
pub fn tags(messages: &[Message]) -> String {
    messages.iter().map(|m| m.tag).collect()
}
