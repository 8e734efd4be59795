//! The paths of a database's files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use spg_types::Result;
use spg_vfs::{Vfs, with_suffix};

/// Where a database's files lie.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) vfs: Arc<dyn Vfs>,
    /// `spg.db`.
    pub(crate) database: PathBuf,
    /// `spg.db.spg`.
    pub(crate) folder: PathBuf,
    /// `spg.db.spg/hot`.
    pub(crate) hot: PathBuf,
    /// `spg.db.spg/segments`.
    pub(crate) segments: PathBuf,
}

impl Files {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, database: &Path) -> Self {
        let folder = with_suffix(database, ".spg");
        let (hot, segments) = (folder.join("hot"), folder.join("segments"));
        Self { vfs, database: database.to_path_buf(), folder, hot, segments }
    }

    pub(crate) fn create_folders(&self) -> Result<()> {
        self.vfs.create_dir_all(&self.hot)?;
        self.vfs.create_dir_all(&self.segments)
    }
}
