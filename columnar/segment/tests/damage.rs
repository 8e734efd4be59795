//! A segment that is not what was written is never read as if it were.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;

use arrow::array::ArrayRef;
use common::{every_type, rows, same, write};
use rand::SeedableRng;
use rand::rngs::StdRng;
use spg_segment::{ChunkCache, SegmentColumn, SegmentReader, WriteOptions};
use spg_types::{Result, SqlState};
use spg_vfs::{File, MemoryVfs, Vfs};

/// Everything that a segment can be asked for.
fn read_all(file: Arc<dyn File>) -> Result<(Vec<SegmentColumn>, Vec<ArrayRef>)> {
    let segment = SegmentReader::open(file)?;
    let cache = ChunkCache::new(0);
    let mut arrays = Vec::new();
    for (g, group) in segment.groups().iter().enumerate() {
        for c in 0..segment.columns().len() {
            for offset in (0..group.rows).step_by(16) {
                segment.row(&cache, g, c, offset)?;
            }
            segment.block(&cache, g, c, 0)?;
            arrays.push(segment.read_column(g, c)?);
        }
    }
    Ok((segment.columns().to_vec(), arrays))
}

fn small() -> (Vec<SegmentColumn>, Vec<ArrayRef>, Vec<u8>) {
    let mut rng = StdRng::seed_from_u64(1);
    let mut columns = every_type();
    columns.retain(|c| matches!(c.ty.def.name, "int4" | "text" | "numeric" | "bool" | "interval"));
    let groups: Vec<_> = (0..2).map(|_| rows(&columns, 40, &mut rng)).collect();
    let vfs = MemoryVfs::default();
    let options = WriteOptions { page_rows: 16, ..WriteOptions::default() };
    write(&vfs, Path::new("a"), &columns, &groups, options);
    let bytes = spg_vfs::read_file(&vfs, Path::new("a")).unwrap().unwrap();
    (columns, groups.concat(), bytes)
}

#[test]
fn every_flipped_byte_is_found() {
    let (columns, expected, bytes) = small();
    let vfs = MemoryVfs::default();
    let file = vfs.create(Path::new("flipped")).unwrap();
    file.write_at(&bytes, 0).unwrap();
    let (found_columns, arrays) = read_all(file.clone()).unwrap();
    assert_eq!(found_columns, columns);
    for (i, (a, b)) in arrays.iter().zip(&expected).enumerate() {
        assert!(same(a, b), "array {i}: {a:?}\n{b:?}");
    }
    let sound = SegmentReader::open(file.clone()).unwrap();
    let blooms: Vec<_> = sound.groups().iter().flat_map(|g| &g.chunks).filter_map(|c| c.bloom).collect();
    for at in 0..bytes.len() {
        for mask in [0x01, 0x80, 0xff] {
            file.write_at(&[bytes[at] ^ mask], at as u64).unwrap();
            match read_all(file.clone()) {
                Err(e) => {
                    assert!([SqlState::DATA_CORRUPTED, SqlState::SYSTEM_ERROR].contains(&e.state()), "{e:?}");
                    assert!(e.message().contains("flipped"), "{e:?}");
                }
                // Bloom filters are for other readers.
                Ok((_, arrays)) => {
                    let bloom = |(offset, len, _): &(u64, u32, u32)| {
                        (*offset..offset + u64::from(*len)).contains(&(at as u64))
                    };
                    assert!(blooms.iter().any(bloom), "byte {at} of {} is not checked", bytes.len());
                    assert!(arrays.iter().zip(&expected).all(|(a, b)| same(a, b)), "byte {at}");
                }
            }
            if mask == 0x01 {
                let verified = SegmentReader::open(file.clone()).and_then(|s| s.verify());
                assert!(verified.is_err(), "byte {at} of {}: verify", bytes.len());
            }
        }
        file.write_at(&[bytes[at]], at as u64).unwrap();
    }
    read_all(file).unwrap();
}

#[test]
fn cut_off_and_extended_files_are_refused() {
    let (_, _, bytes) = small();
    let vfs = MemoryVfs::default();
    for len in (0..bytes.len()).step_by(97).chain([1, 4, 11, 127, 128, bytes.len() - 1]) {
        let file = vfs.create(Path::new("cut")).unwrap();
        file.write_at(&bytes[..len], 0).unwrap();
        let e = SegmentReader::open(file).err().unwrap();
        assert!([SqlState::DATA_CORRUPTED, SqlState::SYSTEM_ERROR].contains(&e.state()), "{len}: {e:?}");
    }
    let file = vfs.create(Path::new("longer")).unwrap();
    file.write_at(&bytes, 0).unwrap();
    file.write_at(&[0], bytes.len() as u64).unwrap();
    let e = SegmentReader::open(file).err().unwrap();
    assert_eq!(e.state(), SqlState::DATA_CORRUPTED);
}

#[test]
fn messages_name_file_offset_and_checksums() {
    let (_, _, bytes) = small();
    let vfs = MemoryVfs::default();
    let file = vfs.create(Path::new("seg_1.spg")).unwrap();
    file.write_at(&bytes, 0).unwrap();
    let chunk = SegmentReader::open(file.clone()).unwrap().groups()[1].chunks[1].clone();
    let at = chunk.offset + 30;
    file.write_at(&[bytes[at as usize] ^ 1], at).unwrap();
    let segment = SegmentReader::open(file).unwrap();
    let e = segment.read_column(1, 1).err().unwrap();
    assert_eq!(e.state(), SqlState::DATA_CORRUPTED);
    let name = &segment.columns()[1].name;
    let expected = format!("for the data of column \"{name}\" in row group 1 at offset {}", chunk.offset);
    assert!(e.message().contains("\"seg_1.spg\"") && e.message().contains(&expected), "{e}");
    // What is not damaged can be read.
    segment.read_column(0, 1).unwrap();
}
