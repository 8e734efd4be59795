//! The engines that a client connects to: a started SPG server, a throw-away PostgreSQL cluster.

use std::fs;
use std::time::Duration;

use spg_corpus::postgres::{Cluster, installed};
use spg_corpus::{Server, binary};
use tokio_postgres::{Client, NoTls};

use crate::{Common, Name, Result};

/// A running engine; ends when dropped.
pub(crate) enum Engine {
    Spg(Server),
    Postgres(Cluster),
}

impl Engine {
    /// Starts those of SPG and PostgreSQL that the run asks for, one at a time as the iterator moves on, so that
    /// neither takes memory or processor time from the other.
    pub(crate) fn each(common: &Common) -> impl Iterator<Item = Result<Engine>> {
        [Name::Spg, Name::Postgres].into_iter().filter(|name| common.runs(*name)).filter_map(|name| {
            // Both wait for the server on a runtime of their own, which a task of this one may not.
            tokio::task::block_in_place(|| match name {
                Name::Spg => Some(Self::spg(common)),
                _ => Self::postgres(common),
            })
        })
    }

    /// Starts the server of this workspace, built in the profile of the running program.
    pub(crate) fn spg(common: &Common) -> Result<Engine> {
        Self::spg_with(common, &[])
    }

    /// As [`Engine::spg`] with further environment variables.
    pub(crate) fn spg_with(common: &Common, env: &[(&'static str, u64)]) -> Result<Engine> {
        Ok(Engine::Spg(Server::start(&binary("spg-server")?, &environment(common, env))?))
    }

    /// Starts a stopped SPG again on its database; how long that took to the first answered query.
    pub(crate) fn start_again(&mut self, common: &Common, env: &[(&'static str, u64)]) -> Result<Duration> {
        let server = self.server_mut()?;
        server.restart(&binary("spg-server")?, &environment(common, env))?;
        Ok(server.start_up)
    }

    /// The server, where this is SPG.
    pub(crate) fn server_mut(&mut self) -> Result<&mut Server> {
        match self {
            Engine::Spg(server) => Ok(server),
            Engine::Postgres(_) => Err("PostgreSQL is not SPG".into()),
        }
    }

    /// Starts PostgreSQL with fsync on and memory settings for this machine; `None` where it is not installed.
    pub(crate) fn postgres(common: &Common) -> Option<Result<Engine>> {
        let Some(bin) = installed() else {
            eprintln!("PostgreSQL is not installed: its columns stay empty");
            return None;
        };
        let quarter = memory_bytes() / 4 / (1 << 20);
        let workers = common.threads();
        let config = format!(
            "shared_buffers = {quarter}MB\nwork_mem = 256MB\nmaintenance_work_mem = 1GB\nmax_wal_size = 8GB\n\
             fsync = on\nsynchronous_commit = on\nrandom_page_cost = 1.1\nmax_connections = 200\n\
             max_parallel_workers = {workers}\nmax_parallel_workers_per_gather = {workers}\njit = off\n"
        );
        Some(Cluster::start(&bin, &config).map(Engine::Postgres).map_err(Into::into))
    }

    /// The column title.
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Engine::Spg(_) => "SPG",
            Engine::Postgres(_) => "PostgreSQL",
        }
    }

    /// Whether this is PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Engine::Postgres(_))
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let options = match self {
            Engine::Spg(server) => server.options(),
            Engine::Postgres(cluster) => cluster.options("postgres"),
        };
        let (client, connection) = tokio_postgres::connect(&options, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Of a started SPG: milliseconds from its start to the first answered query, and the memory that it takes now in bytes.
    pub(crate) fn start_up(&self) -> Option<(f64, u64)> {
        match self {
            Engine::Spg(server) => {
                Some((server.start_up.as_secs_f64() * 1e3, status_bytes(server.pid(), "VmRSS:")?))
            }
            Engine::Postgres(_) => None,
        }
    }

    /// Peak memory of the server so far in bytes; of PostgreSQL's many processes no comparable number exists.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        match self {
            Engine::Spg(server) => status_bytes(server.pid(), "VmHWM:"),
            Engine::Postgres(_) => None,
        }
    }
}

fn environment(common: &Common, more: &[(&'static str, u64)]) -> Vec<(&'static str, String)> {
    let workers = ("SPG_WORKERS", common.threads().to_string());
    std::iter::once(workers).chain(more.iter().map(|(name, value)| (*name, value.to_string()))).collect()
}

pub(crate) fn status_bytes(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    kib_field(&status, field)
}

fn kib_field(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The machine's memory.
pub(crate) fn memory_bytes() -> u64 {
    fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib_field(&text, "MemTotal:")).unwrap_or(4 << 30)
}
