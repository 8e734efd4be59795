//! From the operating system's errors to SQLSTATEs.

use std::io;
use std::path::Path;

use spg_types::{Error, SqlState};

/// The error of a failed file operation; `doing` reads like "write to file". 53100 for a full disk or quota,
/// otherwise 58030; the message names the file as PostgreSQL's does.
pub fn io_error(doing: &str, path: &Path, error: &io::Error) -> Error {
    use io::ErrorKind as K;
    let state = match error.kind() {
        K::StorageFull | K::QuotaExceeded | K::FileTooLarge => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or(&text);
    let error = Error::new(state, format!("could not {doing} \"{}\": {reason}", path.display()));
    match state {
        SqlState::DISK_FULL => {
            error.with_hint("Free disk space: the server goes on as soon as there is some.")
        }
        _ => error,
    }
}
