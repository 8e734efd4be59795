//! The test files of this crate.

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

use crate::record::{Record, parse};

/// One parsed test file.
pub struct TestFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name below `sql/`, without the extension: `join/lateral`.
    pub name: String,
    /// Its records.
    pub records: Vec<Record>,
}

/// Every file `sql/**/*.slt` whose name contains `filter`, in order of their names.
pub fn sql_files(filter: &str) -> Result<Vec<TestFile>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut paths = Vec::new();
    collect(&root, &mut paths)?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path.strip_prefix(&root).unwrap_or(&path).with_extension("").display().to_string();
        if name.contains(filter) {
            let records = parse(&fs::read_to_string(&path)?)
                .map_err(|e| Error::other(format!("{}:{}: {}", path.display(), e.line, e.message)))?;
            files.push(TestFile { path, name, records });
        }
    }
    Ok(files)
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            paths.push(path);
        }
    }
    Ok(())
}
