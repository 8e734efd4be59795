//! Files of hot row groups: written once by a checkpoint, mapped at start.
//!
//! ```text
//! file    = header, region*, footer
//! header  = "SPGHOT01", u32 version (1), u32 0, database id [16], u64 file id, zeros to 60, u32 CRC-32C of the 60 bytes
//! region  = Arrow IPC record batch message of one column: metadata, zeros to 64, body, zeros to 64; begins at a multiple of 64
//! footer  = list of groups, u32 length of the list, "SPGHOTFT"
//! group   = u32 length of what follows, u32 table, varint rows, u8 sealed, u64 first row id, u8 gaps, (row id distances' place if gaps),
//!           list of columns, u8 statistics, (zone map and sketch per column if statistics)
//! column  = u8 0, place | u8 1, varint dictionary values, place of the values, place of the codes
//! place   = u64 offset, u32 metadata length, u64 body length, u32 CRC-32C of the region
//! zone    = option value, option value, varint NULLs, f64 distinct values, f64 average width
//! sketch  = u8 present, 1024 registers
//! ```

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, DictionaryArray, UInt32Array};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, UInt16Type, UInt32Type};
use bytes::Bytes;
use roaring::RoaringBitmap;
use spg_types::{ColumnDef, ColumnStats, Datum, Error, Result, SqlState, TableDef, TableId};
use spg_vfs::{File, Vfs};

use crate::batch_codec::{decode_array, encode_array};
use crate::codec::{Reader, Writer, corrupt};
use crate::container::{damaged, mismatch};
use crate::manifest::HotFileEntry;
use crate::row_codec::{read_values, write_values};
use crate::row_group::{Place, Restored, RowGroup, RowIdMap};
use crate::sketch::Sketch;

const MAGIC: &[u8; 8] = b"SPGHOT01";
const VERSION: u32 = 1;
const END: &[u8; 8] = b"SPGHOTFT";
const HEADER_BYTES: usize = 64;
/// Length of the list and the closing magic.
const TRAILER_BYTES: usize = 12;
/// Columns are used where they lie.
const ALIGNMENT: usize = 64;
/// The write buffer is written when it holds this much.
const BUFFER_BYTES: usize = 4 << 20;

/// The path of a hot file in its folder.
pub(crate) fn hot_path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("{id:012}.hot"))
}

/// The id in a hot file's name.
pub(crate) fn hot_file_id(name: &str) -> Option<u64> {
    name.strip_suffix(".hot")?.parse().ok()
}

/// Where a column lies in its file.
#[derive(Clone, Copy, Debug)]
struct Region {
    offset: u64,
    metadata_len: u32,
    body_len: u64,
    crc: u32,
}

impl Region {
    fn write(&self, w: &mut Writer) {
        w.u64(self.offset);
        w.u32(self.metadata_len);
        w.u64(self.body_len);
        w.u32(self.crc);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { offset: r.u64()?, metadata_len: r.u32()?, body_len: r.u64()?, crc: r.u32()? })
    }
}

/// Collects what is written, in order.
struct Output {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    /// Offset of the buffer's begin.
    at: u64,
}

impl Output {
    fn flush(&mut self) -> Result<()> {
        self.file.write_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn array(&mut self, array: &ArrayRef) -> Result<Region> {
        let (metadata, body) = encode_array(array.clone(), ALIGNMENT)?;
        let offset = self.at + self.buffer.len() as u64;
        let start = self.buffer.len();
        for part in [&metadata, &body] {
            self.buffer.extend_from_slice(part);
            let padded = start + (self.buffer.len() - start).next_multiple_of(ALIGNMENT);
            self.buffer.resize(padded, 0);
        }
        let crc = crc32c::crc32c(&self.buffer[start..]);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(Region { offset, metadata_len: metadata.len() as u32, body_len: body.len() as u64, crc })
    }
}

/// Writes row groups to a new file and syncs it; the name is durable only after a sync of its folder. 58030, 53100.
pub(crate) fn write(
    vfs: &dyn Vfs,
    folder: &Path,
    database_id: &[u8; 16],
    id: u64,
    groups: &[(&TableDef, &RowGroup)],
) -> Result<HotFileEntry> {
    let mut header = Writer::default();
    header.0.extend_from_slice(MAGIC);
    header.u32(VERSION);
    header.u32(0);
    header.0.extend_from_slice(database_id);
    header.u64(id);
    header.0.resize(HEADER_BYTES - 4, 0);
    header.u32(crc32c::crc32c(&header.0));
    let file = vfs.create(&hot_path(folder, id))?;
    let mut out = Output { file, buffer: header.0, at: 0 };
    let mut footer = Writer::default();
    footer.varint(groups.len() as u64);
    let mut rows = 0;
    for (table, group) in groups {
        let mut description = Writer::default();
        write_group(&mut out, &mut description, table, group)?;
        footer.u32(description.0.len() as u32);
        footer.0.extend_from_slice(&description.0);
        rows += group.len() as u64;
    }
    let list_bytes = footer.0.len() as u32;
    footer.u32(list_bytes);
    footer.0.extend_from_slice(END);
    out.buffer.extend_from_slice(&footer.0);
    out.flush()?;
    out.file.sync_all()?;
    let hash = *blake3::hash(&footer.0).as_bytes();
    Ok(HotFileEntry { len: out.at, groups: groups.len() as u32, rows, hash })
}

fn write_group(out: &mut Output, w: &mut Writer, table: &TableDef, group: &RowGroup) -> Result<()> {
    w.u32(table.id.0);
    w.varint(group.len() as u64);
    w.bool(group.is_sealed());
    w.u64(group.first_row_id());
    match group.row_id_map() {
        RowIdMap::Contiguous(_) => w.bool(false),
        RowIdMap::Sparse(_, distances) => {
            w.bool(true);
            let distances: ArrayRef = Arc::new(UInt32Array::from(distances.to_vec()));
            out.array(&distances)?.write(w);
        }
    }
    let columns = group.columns()?;
    w.varint(columns.len() as u64);
    for column in &columns {
        match column.as_dictionary_opt::<UInt16Type>() {
            Some(dictionary) => {
                w.u8(1);
                w.varint(dictionary.values().len() as u64);
                out.array(dictionary.values())?.write(w);
                out.array(&(Arc::new(dictionary.keys().clone()) as ArrayRef))?.write(w);
            }
            None => {
                w.u8(0);
                out.array(column)?.write(w);
            }
        }
    }
    // Those of small groups are found again as fast as they are read.
    w.bool(group.is_sealed());
    if group.is_sealed() {
        for ((column, zone), sketch) in table.columns.iter().zip(group.zones()).zip(group.sketches()) {
            write_zone(w, column, zone)?;
            let empty = sketch.as_bytes().iter().all(|b| *b == 0);
            w.bool(!empty);
            if !empty {
                w.0.extend_from_slice(sketch.as_bytes());
            }
        }
    }
    Ok(())
}

fn write_zone(w: &mut Writer, column: &ColumnDef, zone: &ColumnStats) -> Result<()> {
    for bound in [&zone.min, &zone.max] {
        w.bool(bound.is_some());
        if let Some(value) = bound {
            write_values(w, column, &value.to_array(column.ty)?)?;
        }
    }
    w.varint(zone.null_count);
    w.u64(zone.distinct.to_bits());
    w.u64(zone.avg_width.to_bits());
    Ok(())
}

fn read_zone(r: &mut Reader<'_>, column: &ColumnDef) -> Result<ColumnStats> {
    let bound = |r: &mut Reader<'_>| -> Result<Option<Datum>> {
        if !r.bool()? {
            return Ok(None);
        }
        Datum::from_column(&read_values(r, column, 1)?, 0, column.ty).map(Some)
    };
    Ok(ColumnStats {
        min: bound(r)?,
        max: bound(r)?,
        null_count: r.varint()?,
        distinct: f64::from_bits(r.u64()?),
        avg_width: f64::from_bits(r.u64()?),
    })
}

/// An open file of hot row groups.
pub(crate) struct HotFile {
    path: PathBuf,
    id: u64,
    bytes: Bytes,
    /// Where each group's description lies in the file.
    groups: Vec<Range<usize>>,
}

impl HotFile {
    /// Maps a file and checks everything but the columns. XX001 when it is not the one that the manifest means; 58000; 58030.
    pub(crate) fn open(
        vfs: &dyn Vfs,
        folder: &Path,
        database_id: &[u8; 16],
        id: u64,
        entry: &HotFileEntry,
    ) -> Result<Self> {
        let path = hot_path(folder, id);
        let Some(file) = vfs.open(&path)? else {
            let message = format!("file \"{}\" of the manifest does not exist", path.display());
            return Err(Error::new(SqlState::DATA_CORRUPTED, message).with_hint(
                "The database's folder is not complete: bring the file back, or restore a backup.",
            ));
        };
        let bytes = file.map()?;
        let mut hot = Self { path, id, bytes, groups: Vec::new() };
        hot.check_header(database_id)?;
        if hot.bytes.len() as u64 != entry.len {
            let what = format!("{} bytes expected, {} found", entry.len, hot.bytes.len());
            return Err(hot.damaged(0, &what));
        }
        let (start, list_bytes) = hot.footer(entry)?;
        let list = &hot.bytes[start..start + list_bytes];
        let mut r = Reader(list);
        let mut groups = Vec::new();
        let mut walk = |r: &mut Reader<'_>| -> Result<()> {
            for _ in 0..r.varint()? {
                let len = r.u32()? as usize;
                let from = start + list_bytes - r.0.len();
                r.bytes(len)?;
                groups.push(from..from + len);
            }
            Ok(())
        };
        walk(&mut r).map_err(|e| hot.damaged(start, e.message()))?;
        hot.groups = groups;
        Ok(hot)
    }

    fn damaged(&self, offset: usize, what: &str) -> Error {
        damaged("file", &self.path, offset as u64, what)
    }

    fn check_header(&self, database_id: &[u8; 16]) -> Result<()> {
        let path = self.path.display();
        let refused =
            |found: String| Err(Error::new(SqlState::SYSTEM_ERROR, format!("file \"{path}\" {found}")));
        let Some(header) = self.bytes.get(..HEADER_BYTES).filter(|h| h.starts_with(MAGIC)) else {
            let start = self.bytes[..self.bytes.len().min(16)].escape_ascii();
            return refused(format!("is no file of SPG row groups: it begins with \"{start}\""));
        };
        let mut r = Reader(&header[8..]);
        let version = r.u32()?;
        if version != VERSION {
            return refused(format!("has version {version}; this server reads version {VERSION}"));
        }
        let expected = Reader(&header[HEADER_BYTES - 4..]).u32()?;
        let found = crc32c::crc32c(&header[..HEADER_BYTES - 4]);
        if found != expected {
            return Err(self.damaged(0, &mismatch(expected, found)));
        }
        r.u32()?;
        if r.array::<16>()? != *database_id || r.u64()? != self.id {
            return Err(self.damaged(0, "it belongs to another database or has another file's name"));
        }
        Ok(())
    }

    /// Where the list of groups begins, and its length.
    fn footer(&self, entry: &HotFileEntry) -> Result<(usize, usize)> {
        let len = self.bytes.len();
        let trailer = len.saturating_sub(TRAILER_BYTES);
        let list_bytes = Reader(&self.bytes[trailer..]).u32().unwrap_or(u32::MAX) as usize;
        let start = trailer.checked_sub(list_bytes).filter(|s| *s >= HEADER_BYTES);
        let Some(start) = start else { return Err(self.damaged(trailer, "its footer has no valid length")) };
        let found = blake3::hash(&self.bytes[start..]);
        if *found.as_bytes() == entry.hash {
            return Ok((start, list_bytes));
        }
        let expected = blake3::Hash::from(entry.hash);
        Err(self.damaged(start, &format!("BLAKE3 {expected} expected in the footer, {found} found")))
    }

    /// Reads a group, verified. XX001.
    pub(crate) fn group(
        &self,
        at: u32,
        def: &Arc<TableDef>,
        deletes: Option<RoaringBitmap>,
    ) -> Result<RowGroup> {
        let Some(range) = self.groups.get(at as usize) else {
            return Err(self.damaged(0, &format!("it has no row group {at}")));
        };
        let mut r = Reader(&self.bytes[range.clone()]);
        let restored = self.restore(&mut r, def, deletes, Place::Hot(self.id, at));
        restored.map(|group| RowGroup::restored(def, group)).map_err(|e| match e.message() {
            m if m.starts_with("invalid log record") => self.damaged(range.start, m),
            _ => e,
        })
    }

    fn restore(
        &self,
        r: &mut Reader<'_>,
        def: &TableDef,
        deletes: Option<RoaringBitmap>,
        home: Place,
    ) -> Result<Restored> {
        if TableId(r.u32()?) != def.id {
            return Err(corrupt("a row group belongs to another table"));
        }
        let len = usize::try_from(r.varint()?).map_err(|_| corrupt("too many rows"))?;
        let sealed = r.bool()?;
        let first = r.u64()?;
        let row_ids = if r.bool()? {
            let distances = self.array(&Region::read(r)?, DataType::UInt32, len)?;
            RowIdMap::Sparse(first, distances.as_primitive::<UInt32Type>().values().to_vec().into())
        } else {
            RowIdMap::Contiguous(first)
        };
        if r.varint()? != def.columns.len() as u64 {
            return Err(corrupt("a row group has another number of columns than its table"));
        }
        let mut columns = Vec::with_capacity(def.columns.len());
        for column in &def.columns {
            columns.push(if r.u8()? == 1 {
                let count = usize::try_from(r.varint()?).map_err(|_| corrupt("too many values"))?;
                let values = self.array(&Region::read(r)?, DataType::Utf8View, count)?;
                let keys = self.array(&Region::read(r)?, DataType::UInt16, len)?;
                let keys = keys.as_primitive::<UInt16Type>().clone();
                let dictionary = DictionaryArray::try_new(keys, values);
                Arc::new(dictionary.map_err(|e| corrupt(&e.to_string()))?) as ArrayRef
            } else {
                self.array(&Region::read(r)?, column.ty.data_type(), len)?
            });
        }
        let (mut zones, mut sketches) = (None, None);
        if r.bool()? {
            let (zones, sketches) = (zones.insert(Vec::new()), sketches.insert(Vec::new()));
            for column in &def.columns {
                zones.push(read_zone(r, column)?);
                sketches.push(read_sketch(r)?);
            }
        }
        if len == 0 || deletes.as_ref().is_some_and(|d| d.max().is_some_and(|m| m as usize >= len)) {
            return Err(corrupt("a row group has no rows, or deleted ones that it does not have"));
        }
        Ok(Restored { columns, len, row_ids, sealed, zones, sketches, home, deletes })
    }

    fn array(&self, region: &Region, ty: DataType, rows: usize) -> Result<ArrayRef> {
        let padded = |n: u64| n.checked_next_multiple_of(ALIGNMENT as u64);
        let metadata_len = u64::from(region.metadata_len);
        let body_at = padded(metadata_len).and_then(|n| n.checked_add(region.offset));
        let end = body_at.zip(padded(region.body_len)).and_then(|(at, len)| at.checked_add(len));
        let (Some(body_at), Some(end)) = (body_at, end.filter(|e| *e <= self.bytes.len() as u64)) else {
            return Err(corrupt("a column exceeds the file"));
        };
        let found = crc32c::crc32c(&self.bytes[region.offset as usize..end as usize]);
        if found != region.crc {
            return Err(self.damaged(region.offset as usize, &mismatch(region.crc, found)));
        }
        let metadata = &self.bytes[region.offset as usize..(region.offset + metadata_len) as usize];
        let body = self.bytes.slice(body_at as usize..(body_at + region.body_len) as usize);
        decode_array(metadata, Buffer::from(body), ty, rows)
    }
}

fn read_sketch(r: &mut Reader<'_>) -> Result<Sketch> {
    if !r.bool()? {
        return Ok(Sketch::default());
    }
    let bytes = r.bytes(Sketch::default().as_bytes().len())?;
    Sketch::from_bytes(bytes).ok_or_else(|| corrupt("a sketch has the wrong size"))
}
