//! A throw-away PostgreSQL cluster: the reference that every expected result is checked against.

use std::cell::Cell;
use std::fs;
use std::io::{Error, Result};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::engine::{Connection, Engine};
use crate::record::SqlError;
use crate::wire::{self, WireConnection};

/// A running cluster in a temporary directory; stopped and removed when dropped.
pub struct Cluster {
    dir: TempDir,
    bin: PathBuf,
    databases: Cell<usize>,
    /// Its TCP port on 127.0.0.1.
    pub port: u16,
}

/// The directory of `initdb` and `pg_ctl`, if a PostgreSQL server is installed.
pub fn installed() -> Option<PathBuf> {
    let newest = |root: &Path| {
        let mut versions: Vec<PathBuf> =
            fs::read_dir(root).ok()?.flatten().map(|e| e.path().join("bin")).collect();
        versions.sort();
        versions.pop()
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(newest(Path::new("/usr/lib/postgresql")))
        .find(|dir| dir.join("initdb").exists() && dir.join("pg_ctl").exists())
}

/// A TCP port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Cluster {
    /// Creates and starts a cluster (C locale, UTF8, user `postgres`, no password) with extra `postgresql.conf` lines.
    pub fn start(bin: &Path, config: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("spg-postgres-").tempdir()?;
        let cluster = Self { dir, bin: bin.to_path_buf(), databases: Cell::new(0), port: free_port()? };
        cluster.own(cluster.dir.path())?;
        let data = cluster.data();
        let data = data.to_string_lossy();
        let init =
            ["-D", &data, "-U", "postgres", "--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync"];
        cluster.run("initdb", &init)?;
        let socket_dir = cluster.dir.path().display();
        let base = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{socket_dir}'\n\
             timezone = 'UTC'\nlog_timezone = 'UTC'\nlc_messages = 'C'\n{config}\n",
            cluster.port
        );
        let conf = cluster.data().join("postgresql.conf");
        fs::write(&conf, base)?;
        cluster.own(&conf)?;
        let log = cluster.dir.path().join("log");
        cluster.run("pg_ctl", &["-D", &data, "-w", "-l", &log.to_string_lossy(), "start"])?;
        Ok(cluster)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A libpq connection string for `database`.
    pub fn options(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname={database}", self.port)
    }

    /// The process id of the postmaster.
    pub fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.data().join("postmaster.pid")).ok()?.lines().next()?.parse().ok()
    }

    /// PostgreSQL refuses to run as root: give the path to the user `postgres` that packages create.
    fn own(&self, path: &Path) -> Result<()> {
        if is_root() {
            let status = Command::new("chown").arg("postgres").arg(path).status()?;
            if !status.success() {
                return Err(Error::other(
                    "running as root, and there is no user postgres to run PostgreSQL as",
                ));
            }
        }
        Ok(())
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<()> {
        let program = self.bin.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(&program);
                command
            }
            false => Command::new(&program),
        };
        // Output goes to a file: the server inherits it, and a pipe would never see its end.
        let log = fs::File::create(self.dir.path().join("command.log"))?;
        let status = command
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()?;
        if status.success() {
            return Ok(());
        }
        let said = fs::read_to_string(self.dir.path().join("command.log")).unwrap_or_default();
        Err(Error::other(format!("{} failed: {said}", program.display())))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        let _ = self.run("pg_ctl", &["-D", &data.to_string_lossy(), "-w", "-m", "immediate", "stop"]);
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

/// The cluster as an [`Engine`]: each call of [`PostgresEngine::fresh`] moves on to a new, empty database.
pub struct PostgresEngine<'a> {
    cluster: &'a Cluster,
    runtime: Rc<Runtime>,
    database: Cell<usize>,
}

impl<'a> PostgresEngine<'a> {
    /// An engine without a database yet.
    pub fn new(cluster: &'a Cluster) -> std::result::Result<Self, SqlError> {
        Ok(Self { cluster, runtime: wire::runtime()?, database: Cell::new(0) })
    }

    /// Creates the next database.
    pub fn fresh(&self) -> std::result::Result<(), SqlError> {
        let number = self.cluster.databases.get() + 1;
        self.cluster.databases.set(number);
        self.database.set(number);
        let sql = format!("CREATE DATABASE corpus{number} TEMPLATE template0");
        WireConnection::open(&self.runtime, &self.cluster.options("postgres"))?.execute(&sql).map(drop)
    }
}

impl Engine for PostgresEngine<'_> {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn connect(&self) -> std::result::Result<Box<dyn Connection>, SqlError> {
        let options = self.cluster.options(&format!("corpus{}", self.database.get()));
        Ok(Box::new(WireConnection::open(&self.runtime, &options)?))
    }
}
