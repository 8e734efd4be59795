//! A server process with a database of its own, in a folder that goes with it.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

#[path = "../../../pg/tests/support/client.rs"]
pub mod client;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub struct Server {
    pub child: Child,
    pub pg: SocketAddr,
    pub native: SocketAddr,
    /// The start-up lines.
    pub lines: Vec<String>,
    pub folder: PathBuf,
    _folder: Option<TempDir>,
}

/// The command for a server in `folder`, on free ports.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spg-server"));
    command.current_dir(folder).arg("127.0.0.1:0").env("SPG_PG_ADDR", "127.0.0.1:0").stdin(Stdio::null());
    command
}

/// What a server says that does not start.
pub fn refused(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, stderr)
}

impl Server {
    /// In a new folder.
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut server = Self::start_in(folder.path(), &[]);
        server._folder = Some(folder);
        server
    }

    /// In a folder that may have a database.
    pub fn start_in(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child =
            command(folder).envs(environment.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = vec![];
        let (mut pg, mut native) = (None, None);
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        while pg.is_none() {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "the server ended while it started: {lines:?}");
            let line = line.trim_end().to_owned();
            if let Some(address) = line.strip_prefix("PostgreSQL protocol: listening on ") {
                pg = address.parse().ok();
            }
            if let Some(address) = line.strip_prefix("native protocol: listening on ") {
                native = address.parse().ok();
            }
            lines.push(line);
        }
        // Notes follow at once; the pipe is kept so that the server can go on writing.
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        while let Ok(line) = receiver.recv_timeout(Duration::from_millis(200)) {
            lines.push(line);
        }
        let folder = folder.to_owned();
        Self { child, pg: pg.unwrap(), native: native.unwrap(), lines, folder, _folder: None }
    }

    /// A session of the admin.
    pub fn connect(&self) -> client::Client {
        let mut client = client::Client::open(self.pg);
        client.send(&client::startup(b"user\0bench\0\0"));
        let greeting = client.log_in("bench");
        let key = greeting.iter().find(|m| m.tag == 'K').unwrap_or_else(|| panic!("{greeting:?}"));
        client.pid.copy_from_slice(&key.body[..4]);
        client.key.copy_from_slice(&key.body[4..]);
        client
    }

    /// Sends a signal and waits for the end.
    pub fn signal(&mut self, name: &str) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server did not end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
