//! DuckDB, the second opinion on TPC-H answers: the Python package in a virtual environment made on demand below the
//! target directory.

use std::ffi::OsString;
use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::tpch::{self, Keys, TABLES};

const SCRIPT: &str = include_str!("duckdb.py");

/// A Python interpreter that has DuckDB.
#[derive(Debug)]
pub struct DuckDb {
    python: PathBuf,
}

/// What one run over the TPC-H data measured; durations in seconds.
#[derive(Debug, Default)]
pub struct DuckDbRun {
    /// DuckDB's version.
    pub version: String,
    /// Table, rows, duration.
    pub loads: Vec<(String, u64, f64)>,
    /// Duration and bytes of writing lineitem as CSV.
    pub export: (f64, u64),
    /// The durations of each query's runs.
    pub queries: Vec<Vec<f64>>,
    /// The answers, as [`tpch::read_answers`] gives them.
    pub answers: Vec<Vec<String>>,
    /// Peak memory after loading, bytes.
    pub loaded_peak: u64,
    /// Peak memory at the end, bytes.
    pub peak: u64,
}

impl DuckDb {
    /// Finds or makes the virtual environment; an error says what is missing.
    pub fn prepare() -> Result<Self> {
        let venv = match std::env::var_os("DUCKDB_VENV") {
            Some(path) => PathBuf::from(path),
            None => target_dir()?.join("duckdb-venv"),
        };
        let python = venv.join("bin/python");
        let here = Self { python };
        if !here.has_duckdb() {
            succeed(Command::new("python3").args(["-m", "venv"]).arg(&venv), "python3 -m venv")?;
            succeed(
                Command::new(venv.join("bin/pip")).args(["install", "--quiet", "duckdb"]),
                "pip install duckdb",
            )?;
        }
        Ok(here)
    }

    /// Runs a Python script, which may import DuckDB; what it prints.
    pub fn run_script(&self, script: &str, arguments: &[OsString]) -> Result<String> {
        let mut command = Command::new(&self.python);
        let output = command.arg("-c").arg(script).args(arguments).stderr(Stdio::inherit()).output()?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(Error::other("the DuckDB script failed")),
        }
    }

    fn has_duckdb(&self) -> bool {
        let mut probe = Command::new(&self.python);
        probe.args(["-c", "import duckdb"]).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }

    /// Loads the CSV files of [`tpch::generate_csv`] into tables with `keys` and runs the queries (none if `runs` is 0).
    pub fn tpch(
        &self,
        csv_dir: &Path,
        scale: f64,
        keys: Keys,
        threads: usize,
        runs: usize,
    ) -> Result<DuckDbRun> {
        let work = TempDir::with_prefix("spg-duckdb-")?;
        let tables: Vec<String> = TABLES.iter().map(|table| table.create(keys)).collect();
        fs::write(work.path().join("tables.sql"), tables.join(";\n"))?;
        if runs > 0 {
            for (i, sql) in tpch::queries(scale).iter().enumerate() {
                fs::write(work.path().join(format!("q{:02}.sql", i + 1)), sql)?;
            }
        }
        let arguments =
            [threads.to_string().into(), runs.to_string().into(), csv_dir.into(), work.path().into()];
        let output = self.run_script(SCRIPT, &arguments)?;
        let mut run = DuckDbRun::default();
        for line in output.lines() {
            run.read(line)
                .ok_or_else(|| Error::other(format!("unexpected line of the DuckDB script: {line}")))?;
        }
        if runs > 0 {
            run.answers = tpch::read_answers(work.path())?;
        }
        Ok(run)
    }
}

impl DuckDbRun {
    fn read(&mut self, line: &str) -> Option<()> {
        let cells: Vec<&str> = line.split('\t').collect();
        match cells.as_slice() {
            ["version", version] => self.version = version.to_string(),
            ["load", table, rows, seconds] => {
                self.loads.push((table.to_string(), rows.parse().ok()?, seconds.parse().ok()?));
            }
            ["loaded_peak_kib", kib] => self.loaded_peak = kib.parse::<u64>().ok()? * 1024,
            ["export", seconds, bytes] => self.export = (seconds.parse().ok()?, bytes.parse().ok()?),
            ["query", _, times @ ..] => {
                self.queries.push(times.iter().map(|time| time.parse().ok()).collect::<Option<_>>()?);
            }
            ["peak_kib", kib] => self.peak = kib.parse::<u64>().ok()? * 1024,
            _ => return None,
        }
        Some(())
    }
}

/// The target directory that the running program was built into.
fn target_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let profile = exe.ancestors().skip(1).find(|dir| !dir.ends_with("deps"));
    let target = profile.and_then(Path::parent);
    target.map(Path::to_path_buf).ok_or_else(|| Error::other("no target directory above the running program"))
}

fn succeed(command: &mut Command, what: &str) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| Error::other(format!("{what}: {e}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::other(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}
