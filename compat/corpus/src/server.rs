//! A started `spg-server`: the binary built by cargo, in a temporary directory, on free ports.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::engine::{Connection, Engine};
use crate::record::SqlError;
use crate::wire::{self, WireConnection};

/// What the server prints.
const LOG: &str = "server.log";
/// How long a server may take until it answers the first connection.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A running server; killed and its files removed when dropped.
pub struct Server {
    child: Child,
    /// Its database.
    dir: TempDir,
    /// What it prints: where the disk is not full, whatever happens to the database's.
    log: TempDir,
    /// Its PG-wire port on 127.0.0.1.
    pub port: u16,
    /// Time from its start to the first answered query.
    pub start_up: Duration,
}

impl Server {
    /// Starts `binary` on an empty database with extra environment variables.
    pub fn start(binary: &Path, env: &[(&str, String)]) -> Result<Self> {
        Self::start_in(&std::env::temp_dir(), binary, env)
    }

    /// As [`Server::start`], with the database somewhere below `parent`.
    pub fn start_in(parent: &Path, binary: &Path, env: &[(&str, String)]) -> Result<Self> {
        let prefixed = |parent: &Path| tempfile::Builder::new().prefix("spg-server-").tempdir_in(parent);
        let (dir, log) = (prefixed(parent)?, prefixed(&std::env::temp_dir())?);
        let started = Instant::now();
        let child = spawn(binary, env, dir.path(), log.path())?;
        let mut server = Self { child, dir, log, port: 0, start_up: Duration::ZERO };
        server.wait(started)?;
        Ok(server)
    }

    /// Ends the process at once, as `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// Starts `binary` again on the same database, after [`Server::kill`] or [`Server::stop`]; on another port.
    pub fn restart(&mut self, binary: &Path, env: &[(&str, String)]) -> Result<()> {
        let started = Instant::now();
        self.child = spawn(binary, env, self.dir.path(), self.log.path())?;
        self.wait(started)
    }

    fn wait(&mut self, started: Instant) -> Result<()> {
        let runtime = wire::runtime().map_err(|e| Error::other(e.message))?;
        loop {
            let log = fs::read_to_string(self.log.path().join(LOG)).unwrap_or_default();
            let error = match announced_port(&log) {
                Some(port) => {
                    self.port = port;
                    let answer = WireConnection::open(&runtime, &self.options())
                        .and_then(|mut c| c.execute("SELECT 1"));
                    match answer {
                        Ok(_) => break,
                        Err(error) => error.message,
                    }
                }
                None => "it has not said where it listens".into(),
            };
            if self.child.try_wait()?.is_some() || started.elapsed() > START_LIMIT {
                return Err(Error::other(format!("the server did not start: {error}\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.start_up = started.elapsed();
        Ok(())
    }

    /// A libpq connection string for its admin.
    pub fn options(&self) -> String {
        format!("host=127.0.0.1 port={} user=bench password=bench dbname=bench", self.port)
    }

    /// The directory that holds its database.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has printed since its last start.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.log.path().join(LOG)).unwrap_or_default()
    }

    /// Ends the process in good order, as SIGTERM does; whether its exit code says so.
    pub fn stop(&mut self) -> Result<bool> {
        let killed = Command::new("kill").arg(self.pid().to_string()).status()?;
        Ok(self.child.wait()?.success() && killed.success())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// The port in the server's start-up lines.
fn announced_port(log: &str) -> Option<u16> {
    let line = log.lines().find_map(|l| l.strip_prefix("PostgreSQL protocol: listening on 127.0.0.1:"))?;
    line.trim().parse().ok()
}

/// Starts the server on ports that the system picks, with an empty log.
fn spawn(binary: &Path, env: &[(&str, String)], dir: &Path, log: &Path) -> Result<Child> {
    let log = fs::File::create(log.join(LOG))?;
    Command::new(binary)
        .arg("127.0.0.1:0")
        .current_dir(dir)
        .env("SPG_PG_ADDR", "127.0.0.1:0")
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The directory that cargo puts this workspace's binaries of the running profile into.
fn profile_dir() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    let dir = exe.parent()?;
    Some(if dir.ends_with("deps") { dir.parent()?.to_path_buf() } else { dir.to_path_buf() })
}

/// The path of a binary of this workspace, in the profile of the running program; built first if it is missing or if
/// it may be older than the sources (cargo decides). The environment variable SERVER_BINARY names another one.
pub fn binary(package: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SERVER_BINARY") {
        return PathBuf::from(path).canonicalize();
    }
    let dir = profile_dir().ok_or_else(|| Error::other("no directory of the running program"))?;
    let profile = match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // The whole workspace is selected so that features resolve as in `cargo test --workspace`, and nothing is built twice.
    build.args(["build", "--quiet", "--profile", profile, "--workspace", "--bin", package]);
    if let Some(target) = dir.parent() {
        build.env("CARGO_TARGET_DIR", target);
    }
    let status = build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).status()?;
    let path = dir.join(package);
    if !status.success() || !path.exists() {
        return Err(Error::other(format!("cargo build --bin {package} failed")));
    }
    Ok(path)
}

/// A started server as an [`Engine`].
pub struct ServerEngine {
    server: Server,
    runtime: Rc<Runtime>,
    /// The `options` of the start-up packet.
    settings: String,
}

impl ServerEngine {
    /// Starts a fresh server; every session begins with these settings, given in its start-up packet.
    pub fn start(binary: &Path, env: &[(&str, String)], settings: &[(&str, &str)]) -> Result<Self> {
        let runtime = wire::runtime().map_err(|e| Error::other(e.message))?;
        let settings = settings.iter().map(|(name, value)| format!("-c {name}={value} ")).collect();
        Ok(Self { server: Server::start(binary, env)?, runtime, settings })
    }
}

impl Engine for ServerEngine {
    fn name(&self) -> &'static str {
        "spg"
    }

    fn connect(&self) -> std::result::Result<Box<dyn Connection>, SqlError> {
        let options = format!("{} options='{}'", self.server.options(), self.settings);
        Ok(Box::new(WireConnection::open(&self.runtime, &options)?))
    }
}
