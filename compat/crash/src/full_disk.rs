//! A server on a disk that really fills up: a small tmpfs with data file, log, hot files and segments on it. Clients write until
//! 53100, reads go on, somebody makes room, the server goes on by itself; then it is stopped or killed and started again, now and
//! then before there is room. What was acknowledged must be there, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures::SinkExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use spg_corpus::Server;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::Failure;
use crate::client::connect;

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `spg-server` binary.
    pub server: PathBuf,
    /// How many times the disk is filled.
    pub cycles: u32,
    /// Seed of the load.
    pub seed: u64,
    /// Size of the disk.
    pub disk_mib: usize,
}

/// What a run saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Times the disk was full.
    pub filled: u32,
    /// Statements refused with 53100.
    pub refused: u64,
    /// Statements acknowledged.
    pub acknowledged: u64,
    /// Starts on a full disk that were answered.
    pub started_full: u32,
    /// Starts on a full disk that were refused.
    pub refused_full: u32,
}

/// A mounted disk; unmounted when dropped.
struct Disk {
    dir: tempfile::TempDir,
    mib: usize,
}

impl Disk {
    /// `None` where mounting is not permitted.
    fn mount(mib: usize) -> Result<Option<Self>, Failure> {
        let dir = tempfile::Builder::new().prefix("spg-disk-").tempdir()?;
        let size = format!("size={mib}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        Ok(mounted.is_ok_and(|output| output.status.success()).then_some(Self { dir, mib }))
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes room, as far as there is any, until somebody makes some.
    fn load(&self) {
        // A full disk is what this is about.
        let _ = std::fs::write(self.ballast(), vec![0; self.mib << 18]);
    }

    fn make_room(&self) -> Result<(), Failure> {
        Ok(std::fs::remove_file(self.ballast())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a server that is just ending may still have files open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// What the table must hold.
#[derive(Default)]
struct Model {
    ids: BTreeSet<i64>,
    next: i64,
    /// Ids of a statement that was under way when the server ended.
    in_doubt: Vec<i64>,
}

impl Model {
    fn take(&mut self, n: i64) -> Vec<i64> {
        self.next += n;
        (self.next - n..self.next).collect()
    }
}

fn is_full(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::DISK_FULL)
}

async fn insert(c: &Client, ids: &[i64], payload: &str) -> Result<(), tokio_postgres::Error> {
    if let [id] = ids {
        return c.execute("INSERT INTO t VALUES ($1, $2)", &[id, &payload]).await.map(|_| ());
    }
    let sink = c.copy_in("COPY t FROM STDIN (FORMAT csv)").await?;
    let mut sink = std::pin::pin!(sink);
    for part in ids.chunks(200) {
        let rows: String = part.iter().map(|id| format!("{id},{id}{payload}\n")).collect();
        sink.send(std::io::Cursor::new(rows.into_bytes())).await?;
    }
    sink.finish().await.map(|_| ())
}

/// Text that hardly compresses.
fn payload(rng: &mut StdRng) -> String {
    (0..rng.random_range(10..120)).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect()
}

/// Writes until the disk is full and stays so for a while.
async fn fill(c: &Client, model: &mut Model, rng: &mut StdRng, seen: &mut Summary) -> Result<(), Failure> {
    let mut refused_in_a_row = 0;
    let mut statements = 0;
    while refused_in_a_row < 20 {
        statements += 1;
        if statements > 20_000 {
            return Err("the disk does not fill up".into());
        }
        let n = [1, 500, 3000][rng.random_range(0..3)];
        let maintenance = rng.random_range(0..60);
        let result = match maintenance {
            0 => c.batch_execute("CHECKPOINT").await,
            1 => c.batch_execute("SELECT spg_freeze('t')").await,
            _ => {
                let ids = model.take(n);
                let result = insert(c, &ids, &payload(rng)).await;
                if result.is_ok() {
                    model.ids.extend(ids);
                }
                result
            }
        };
        match result {
            Ok(()) => {
                seen.acknowledged += 1;
                refused_in_a_row = 0;
            }
            Err(e) if is_full(&e) => {
                seen.refused += 1;
                refused_in_a_row += 1;
                let hint = e.as_db_error().and_then(|e| e.hint()).unwrap_or_default();
                if !hint.contains("disk space") {
                    return Err(format!("the message does not say what to do: {e:?}").into());
                }
            }
            Err(e) => return Err(format!("on a disk that fills up: {e:?}").into()),
        }
    }
    seen.filled += 1;
    Ok(())
}

/// The table must be what the model says; a statement in doubt has happened as a whole or not at all.
async fn check(c: &Client, model: &mut Model, when: &str) -> Result<(), Failure> {
    let held: BTreeSet<i64> = c.query("SELECT id FROM t", &[]).await?.iter().map(|r| r.get(0)).collect();
    let doubtful = std::mem::take(&mut model.in_doubt);
    if !doubtful.is_empty() && doubtful.iter().all(|id| held.contains(id)) {
        model.ids.extend(doubtful);
    }
    if held != model.ids {
        let lost: Vec<_> = model.ids.difference(&held).take(5).collect();
        let extra: Vec<_> = held.difference(&model.ids).take(5).collect();
        let (n, m) = (held.len(), model.ids.len());
        return Err(format!(
            "{when}: {n} rows where {m} were acknowledged; lost {lost:?}, invented {extra:?}"
        )
        .into());
    }
    let count: i64 = c.query_one("SELECT count(*) FROM t", &[]).await?.get(0);
    let some = model.ids.iter().next().copied().unwrap_or_default();
    let found = c.query("SELECT id FROM t WHERE id = $1", &[&some]).await?.len();
    if count as usize != held.len() || found != usize::from(!held.is_empty()) {
        return Err(format!("{when}: {count} rows counted, {} read, {found} found by key", held.len()).into());
    }
    Ok(())
}

/// Deletes most of the table and lets go of the space that it took.
async fn shrink(c: &Client, model: &mut Model, rng: &mut StdRng) -> Result<(), Failure> {
    if rng.random_bool(0.3) {
        c.batch_execute("TRUNCATE t").await?;
        model.ids.clear();
    } else {
        let end = model.next - rng.random_range(0..5_000);
        c.execute("DELETE FROM t WHERE id < $1", &[&end]).await?;
        model.ids = model.ids.split_off(&end);
    }
    // One checkpoint cuts the log, the next one finds the files that nothing needs any more.
    for _ in 0..2 {
        c.batch_execute("CHECKPOINT").await?;
    }
    Ok(())
}

/// Runs a plan; `progress` is called after every cycle. `None` where no disk may be mounted.
pub fn run(plan: &Plan, mut progress: impl FnMut(&Summary)) -> Result<Option<Summary>, Failure> {
    let Some(disk) = Disk::mount(plan.disk_mib)? else { return Ok(None) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let env = [
        ("SPG_ADMIN_PASSWORD", "bench".to_owned()),
        ("SPG_CHECKPOINT_WAL_BYTES", (1 << 20).to_string()),
        ("SPG_HOT_TIER_BYTES", (1 << 20).to_string()),
    ];
    let mut server = Server::start_in(disk.path(), &plan.server, &env)?;
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let (mut model, mut seen) = (Model::default(), Summary::default());
    let connection = |server: &Server| runtime.block_on(connect(&server.options()));
    runtime.block_on(async {
        let c = connect(&server.options()).await?;
        c.batch_execute("CREATE TABLE t (id bigint PRIMARY KEY, payload text)").await
    })?;
    for _ in 0..plan.cycles {
        disk.load();
        let c = connection(&server)?;
        runtime.block_on(fill(&c, &mut model, &mut rng, &mut seen))?;
        runtime.block_on(check(&c, &mut model, "on a full disk"))?;
        if rng.random_bool(0.3) {
            // It ends while the disk is full, and is started so.
            drop(c);
            end(&mut server, &mut rng)?;
            let started = match server.restart(&plan.server, &env) {
                Ok(()) => true,
                Err(e) if e.to_string().contains("Free disk space") => false,
                Err(e) => return Err(format!("a start on a full disk: {e}").into()),
            };
            if started {
                seen.started_full += 1;
                let c = connection(&server)?;
                runtime.block_on(check(&c, &mut model, "started on a full disk"))?;
            }
            disk.make_room()?;
            if !started {
                seen.refused_full += 1;
                server.restart(&plan.server, &env)?;
            }
        } else {
            disk.make_room()?;
        }
        // It goes on by itself.
        let c = connection(&server)?;
        let ids = model.take(1);
        runtime.block_on(insert(&c, &ids, "there is room")).map_err(|e| format!("with room again: {e:?}"))?;
        model.ids.extend(ids);
        runtime.block_on(shrink(&c, &mut model, &mut rng)).map_err(|e| format!("shrinking: {e:?}"))?;
        drop(c);
        end(&mut server, &mut rng)?;
        server.restart(&plan.server, &env)?;
        let c = connection(&server)?;
        runtime.block_on(check(&c, &mut model, "after a restart"))?;
        progress(&seen);
    }
    Ok(Some(seen))
}

/// Ends the server one way or the other.
fn end(server: &mut Server, rng: &mut StdRng) -> Result<(), Failure> {
    if rng.random_bool(0.5) {
        server.kill()?;
    } else if !server.stop()? {
        return Err(format!("the server did not end in good order: {}", server.printed()).into());
    }
    Ok(())
}
