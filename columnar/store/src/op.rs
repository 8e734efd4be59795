//! Operations: what a transaction consists of, in memory and in the log.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::buffer::Buffer;
use spg_types::{ColumnDef, Error, IndexDef, IndexId, Result, TableDef, TableId, TableOptions};

use crate::Role;
use crate::codec::{Reader, Writer, corrupt};
use crate::cold::Segment;
use crate::def_codec::{
    read_column, read_index, read_options, read_role, read_table, write_column, write_index, write_options,
    write_role, write_table,
};
use crate::row_codec::{read_values, write_values};
use crate::tier::Replacement;

/// One change. What it does is [`crate::apply`]'s business, at commit, at recovery and on a follower.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Rows get the ids from `first_row_id` on. The encoded batch follows in the log.
    Append {
        table: TableId,
        first_row_id: u64,
    },
    /// Ascending row ids.
    Delete {
        table: TableId,
        row_ids: Vec<u64>,
    },
    Truncate {
        table: TableId,
    },
    CreateTable {
        def: TableDef,
    },
    DropTable {
        table: TableId,
    },
    ReplaceTable {
        def: TableDef,
    },
    /// Every row there is gets the one value.
    AddColumn {
        table: TableId,
        column: ColumnDef,
        value: ArrayRef,
    },
    DropColumn {
        table: TableId,
        column: usize,
    },
    /// A segment takes the place of the row groups that hold its rows.
    SwapIn {
        table: TableId,
        segment: SegmentRef,
    },
    /// Rows of a segment's row group are the table's; the segment is durable before this is logged.
    AppendCold {
        table: TableId,
        segment: SegmentRef,
        group: u32,
    },
    /// Row groups in memory take the place of others with the same rows: not for the log.
    Rearrange {
        table: TableId,
        new: Arc<[Replacement]>,
    },
    CreateIndex {
        table: TableId,
        index: IndexDef,
    },
    DropIndex {
        table: TableId,
        index: IndexId,
    },
    PutRole {
        role: Role,
    },
    DropRole {
        name: Arc<str>,
    },
    CreateSchema {
        name: Arc<str>,
    },
    DropSchema {
        name: Arc<str>,
    },
}

/// A segment as the log names it; opened before the operation is applied.
#[derive(Clone, Debug)]
pub(crate) struct SegmentRef {
    pub(crate) id: u64,
    /// The BLAKE3 of its header, which stands for the whole file.
    pub(crate) root: [u8; 32],
    pub(crate) open: Option<Arc<Segment>>,
    /// Its row groups, where they were made here.
    pub(crate) prepared: Option<Arc<[Replacement]>>,
}

impl SegmentRef {
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let id = r.u64()?;
        let mut root = [0; 32];
        root.copy_from_slice(r.bytes(32)?);
        Ok(Self { id, root, open: None, prepared: None })
    }
}

const APPEND: u8 = 1;
const DELETE: u8 = 2;
const TRUNCATE: u8 = 3;
const CREATE_TABLE: u8 = 4;
const DROP_TABLE: u8 = 5;
const REPLACE_TABLE: u8 = 6;
const CREATE_INDEX: u8 = 7;
const DROP_INDEX: u8 = 8;
const PUT_ROLE: u8 = 9;
const DROP_ROLE: u8 = 10;
const CREATE_SCHEMA: u8 = 11;
const DROP_SCHEMA: u8 = 12;
const ADD_COLUMN: u8 = 13;
const DROP_COLUMN: u8 = 14;
const SWAP_IN: u8 = 15;
const APPEND_COLD: u8 = 20;

impl Op {
    /// Whether the log needs it; without, everything is the same but the places of rows in memory.
    pub(crate) fn is_logged(&self) -> bool {
        !matches!(self, Op::Rearrange { .. })
    }

    pub(crate) fn encode(&self, w: &mut Writer) -> Result<()> {
        match self {
            Op::Append { table, first_row_id } => {
                w.u8(APPEND);
                w.u32(table.0);
                w.u64(*first_row_id);
            }
            Op::Delete { table, row_ids } => {
                w.u8(DELETE);
                w.u32(table.0);
                write_row_ids(w, row_ids);
            }
            Op::Truncate { table } => {
                w.u8(TRUNCATE);
                w.u32(table.0);
            }
            Op::CreateTable { def } => {
                w.u8(CREATE_TABLE);
                write_definition(w, def);
            }
            Op::DropTable { table } => {
                w.u8(DROP_TABLE);
                w.u32(table.0);
            }
            Op::ReplaceTable { def } => {
                w.u8(REPLACE_TABLE);
                write_definition(w, def);
            }
            Op::CreateIndex { table, index } => {
                w.u8(CREATE_INDEX);
                w.u32(table.0);
                write_index(w, index);
            }
            Op::DropIndex { table, index } => {
                w.u8(DROP_INDEX);
                w.u32(table.0);
                w.u32(index.0);
            }
            Op::PutRole { role } => {
                w.u8(PUT_ROLE);
                write_role(w, role);
            }
            Op::DropRole { name } => {
                w.u8(DROP_ROLE);
                w.str(name);
            }
            Op::CreateSchema { name } => {
                w.u8(CREATE_SCHEMA);
                w.str(name);
            }
            Op::DropSchema { name } => {
                w.u8(DROP_SCHEMA);
                w.str(name);
            }
            Op::AddColumn { table, column, value } => {
                w.u8(ADD_COLUMN);
                w.u32(table.0);
                write_column(w, column);
                write_values(w, column, value)?;
            }
            Op::DropColumn { table, column } => {
                w.u8(DROP_COLUMN);
                w.u32(table.0);
                w.varint(*column as u64);
            }
            Op::Rearrange { .. } => return Err(Error::internal("what moves rows in memory is not logged")),
            Op::SwapIn { table, segment } => {
                w.u8(SWAP_IN);
                w.u32(table.0);
                w.u64(segment.id);
                w.0.extend_from_slice(&segment.root);
            }
            Op::AppendCold { table, segment, group } => {
                w.u8(APPEND_COLD);
                w.u32(table.0);
                w.u64(segment.id);
                w.0.extend_from_slice(&segment.root);
                w.u32(*group);
            }
        }
        Ok(())
    }

    /// Reads an operation; for an append, also where its batch begins.
    pub(crate) fn decode(bytes: &Buffer) -> Result<(Op, usize)> {
        let mut r = Reader(bytes);
        let op = match r.u8()? {
            APPEND => Op::Append { table: TableId(r.u32()?), first_row_id: r.u64()? },
            DELETE => Op::Delete { table: TableId(r.u32()?), row_ids: read_row_ids(&mut r)? },
            TRUNCATE => Op::Truncate { table: TableId(r.u32()?) },
            CREATE_TABLE => Op::CreateTable { def: read_definition(&mut r)? },
            DROP_TABLE => Op::DropTable { table: TableId(r.u32()?) },
            REPLACE_TABLE => Op::ReplaceTable { def: read_definition(&mut r)? },
            CREATE_INDEX => Op::CreateIndex { table: TableId(r.u32()?), index: read_index(&mut r)? },
            DROP_INDEX => Op::DropIndex { table: TableId(r.u32()?), index: IndexId(r.u32()?) },
            PUT_ROLE => Op::PutRole { role: read_role(&mut r)? },
            DROP_ROLE => Op::DropRole { name: r.str()?.into() },
            CREATE_SCHEMA => Op::CreateSchema { name: r.str()?.into() },
            DROP_SCHEMA => Op::DropSchema { name: r.str()?.into() },
            ADD_COLUMN => {
                let table = TableId(r.u32()?);
                let column = read_column(&mut r)?;
                let value = read_values(&mut r, &column, 1)?;
                Op::AddColumn { table, column, value }
            }
            SWAP_IN => {
                let table = TableId(r.u32()?);
                Op::SwapIn { table, segment: SegmentRef::read(&mut r)? }
            }
            APPEND_COLD => {
                let table = TableId(r.u32()?);
                Op::AppendCold { table, segment: SegmentRef::read(&mut r)?, group: r.u32()? }
            }
            DROP_COLUMN => Op::DropColumn { table: TableId(r.u32()?), column: r.varint()? as usize },
            other => return Err(corrupt(&format!("there is no operation {other}"))),
        };
        Ok((op, bytes.len() - r.0.len()))
    }
}

/// A table, and its storage parameters if it has any.
fn write_definition(w: &mut Writer, def: &TableDef) {
    write_table(w, def);
    if def.options != TableOptions::default() {
        write_options(w, def.options);
    }
}

fn read_definition(r: &mut Reader<'_>) -> Result<TableDef> {
    let mut def = read_table(r)?;
    if !r.0.is_empty() {
        def.options = read_options(r)?;
    }
    Ok(def)
}

/// Ascending ids as runs: distance from the end of the last run, length.
fn write_row_ids(w: &mut Writer, ids: &[u64]) {
    let mut runs = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == *id => *len += 1,
            _ => runs.push((*id, 1_u64)),
        }
    }
    w.varint(runs.len() as u64);
    let mut end = 0;
    for (start, len) in runs {
        w.varint(start - end);
        w.varint(len);
        end = start + len;
    }
}

fn read_row_ids(r: &mut Reader<'_>) -> Result<Vec<u64>> {
    let mut ids = Vec::new();
    let mut end = 0_u64;
    for _ in 0..r.len()? {
        let start = end.checked_add(r.varint()?).ok_or_else(|| corrupt("a row id is too large"))?;
        let len = r.varint()?;
        end = start
            .checked_add(len)
            .filter(|_| len < 1 << 40)
            .ok_or_else(|| corrupt("a run of rows is too long"))?;
        ids.extend(start..end);
    }
    Ok(ids)
}
