//! The memory map: the one place of this crate with `unsafe` code.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use bytes::Bytes;
use memmap2::Mmap;

/// Maps a whole file for reading.
///
/// The bytes live as long as the result does, also when the file loses its name. A file that someone else shortens
/// meanwhile, or a disk that can't read a page back, ends the process with SIGBUS: there is no one to hand an error to.
pub(crate) fn map(file: &File) -> io::Result<Bytes> {
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the map is private to reading, and the files that are mapped are written once, under a name of their own,
    // before they are opened for mapping; no code of ours writes to them or shortens them afterwards.
    let map = unsafe { Mmap::map(file)? };
    Ok(Bytes::from_owner(map))
}
