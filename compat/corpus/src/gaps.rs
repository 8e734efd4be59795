//! Records that SPG does not pass yet, listed in `sql/GAPS` so that nothing else may fail and none stays listed once it passes.
//!
//! A line is `file:line` of a record that fails however it is run, or `file:line sometimes` of one that fails in some modes only.
//! `spg-corpus gaps` writes the list anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The list.
#[derive(Debug, Default)]
pub struct Gaps {
    always: BTreeSet<String>,
    sometimes: BTreeSet<String>,
}

/// Where the list is.
pub fn gaps_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/GAPS")
}

impl Gaps {
    /// Reads the list; an empty one where there is none.
    pub fn read() -> std::io::Result<Self> {
        let text = match std::fs::read_to_string(gaps_path()) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e),
        };
        let mut gaps = Self::default();
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
            match line.strip_suffix(" sometimes") {
                Some(record) => gaps.sometimes.insert(record.to_owned()),
                None => gaps.always.insert(line.to_owned()),
            };
        }
        Ok(gaps)
    }

    /// Writes the list of what failed in several modes.
    pub fn write(modes: &[BTreeSet<String>]) -> std::io::Result<()> {
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        for failed in modes {
            failed.iter().for_each(|f| *counts.entry(f).or_default() += 1);
        }
        let mut text = String::from(
            "# Records that SPG does not pass yet. Written by `spg-corpus gaps`; may only shrink.\n",
        );
        for (record, count) in counts {
            text += record;
            text += if count == modes.len() { "\n" } else { " sometimes\n" };
        }
        std::fs::write(gaps_path(), text)
    }

    /// Whether a record is known to fail in this or another mode.
    pub fn has(&self, record: &str) -> bool {
        self.always.contains(record) || self.sometimes.contains(record)
    }

    /// Listed records that passed in a mode in which they should have failed.
    pub fn closed(&self, failed: &BTreeSet<String>) -> Vec<String> {
        self.always.difference(failed).cloned().collect()
    }
}
