//! Catalog objects as bytes.

use spg_types::{
    CheckDef, ColumnDef, ForeignKeyAction, ForeignKeyDef, IndexColumn, IndexDef, IndexId, IndexOrigin,
    Modifier, Result, STORAGE_PARAMETERS, SqlType, TableDef, TableId, TableOptions, type_by_oid,
};

use crate::Role;
use crate::codec::{Reader, Writer, corrupt};

fn write_type(w: &mut Writer, ty: SqlType) {
    w.u32(ty.def.oid);
    match ty.modifier {
        Modifier::None => w.u8(0),
        Modifier::Declared(m) => {
            w.u8(1);
            w.u32(m as u32);
        }
        Modifier::Derived { precision, scale } => {
            w.u8(2);
            w.u8(precision);
            w.u8(scale);
        }
    }
}

fn read_type(r: &mut Reader<'_>) -> Result<SqlType> {
    let oid = r.u32()?;
    let def = type_by_oid(oid).ok_or_else(|| corrupt(&format!("there is no type {oid}")))?;
    let modifier = match r.u8()? {
        0 => Modifier::None,
        1 => Modifier::Declared(r.u32()? as i32),
        2 => Modifier::Derived { precision: r.u8()?, scale: r.u8()? },
        other => return Err(corrupt(&format!("there is no type modifier {other}"))),
    };
    Ok(SqlType { def, modifier })
}

fn read_usize(r: &mut Reader<'_>) -> Result<usize> {
    usize::try_from(r.varint()?).map_err(|_| corrupt("a position is too large"))
}

fn write_positions(w: &mut Writer, positions: &[usize]) {
    w.list(positions, |w, p| w.varint(*p as u64));
}

fn action_code(action: ForeignKeyAction) -> u8 {
    match action {
        ForeignKeyAction::NoAction => 0,
        ForeignKeyAction::Restrict => 1,
    }
}

fn read_action(r: &mut Reader<'_>) -> Result<ForeignKeyAction> {
    match r.u8()? {
        0 => Ok(ForeignKeyAction::NoAction),
        1 => Ok(ForeignKeyAction::Restrict),
        other => Err(corrupt(&format!("there is no foreign key action {other}"))),
    }
}

pub(crate) fn write_column(w: &mut Writer, column: &ColumnDef) {
    w.str(&column.name);
    write_type(w, column.ty);
    w.bool(column.not_null);
    w.option(column.default.as_deref());
}

pub(crate) fn read_column(r: &mut Reader<'_>) -> Result<ColumnDef> {
    Ok(ColumnDef { name: r.str()?, ty: read_type(r)?, not_null: r.bool()?, default: r.option()? })
}

pub(crate) fn write_index(w: &mut Writer, index: &IndexDef) {
    w.u32(index.id.0);
    w.str(&index.name);
    w.list(&index.columns, |w, c| {
        w.varint(c.column as u64);
        w.bool(c.descending);
        w.bool(c.nulls_first);
    });
    w.bool(index.unique);
    w.u8(match index.origin {
        IndexOrigin::PrimaryKey => 0,
        IndexOrigin::UniqueConstraint => 1,
        IndexOrigin::Created => 2,
    });
}

pub(crate) fn read_index(r: &mut Reader<'_>) -> Result<IndexDef> {
    Ok(IndexDef {
        id: IndexId(r.u32()?),
        name: r.str()?,
        columns: r.list(|r| {
            Ok(IndexColumn { column: read_usize(r)?, descending: r.bool()?, nulls_first: r.bool()? })
        })?,
        unique: r.bool()?,
        origin: match r.u8()? {
            0 => IndexOrigin::PrimaryKey,
            1 => IndexOrigin::UniqueConstraint,
            2 => IndexOrigin::Created,
            other => return Err(corrupt(&format!("there is no index origin {other}"))),
        },
    })
}

pub(crate) fn write_table(w: &mut Writer, table: &TableDef) {
    w.u32(table.id.0);
    w.str(&table.schema);
    w.str(&table.name);
    w.list(&table.columns, write_column);
    w.list(&table.indexes, write_index);
    w.list(&table.checks, |w, c| {
        w.str(&c.name);
        w.str(&c.expr);
    });
    w.list(&table.foreign_keys, |w, f| {
        w.str(&f.name);
        write_positions(w, &f.columns);
        w.u32(f.ref_table.0);
        write_positions(w, &f.ref_columns);
        w.u32(f.ref_index.0);
        w.u8(action_code(f.on_delete));
        w.u8(action_code(f.on_update));
    });
}

pub(crate) fn read_table(r: &mut Reader<'_>) -> Result<TableDef> {
    Ok(TableDef {
        id: TableId(r.u32()?),
        schema: r.str()?,
        name: r.str()?,
        columns: r.list(read_column)?,
        indexes: r.list(read_index)?,
        checks: r.list(|r| Ok(CheckDef { name: r.str()?, expr: r.str()? }))?,
        foreign_keys: r.list(|r| {
            Ok(ForeignKeyDef {
                name: r.str()?,
                columns: r.list(read_usize)?,
                ref_table: TableId(r.u32()?),
                ref_columns: r.list(read_usize)?,
                ref_index: IndexId(r.u32()?),
                on_delete: read_action(r)?,
                on_update: read_action(r)?,
            })
        })?,
        options: TableOptions::default(),
    })
}

/// Storage parameters, by name: they lie beside a table's definition, not in it.
pub(crate) fn write_options(w: &mut Writer, options: TableOptions) {
    w.list(&options.written(), |w, (name, value)| {
        w.str(name);
        w.u64(*value);
    });
}

pub(crate) fn read_options(r: &mut Reader<'_>) -> Result<TableOptions> {
    let mut options = TableOptions::default();
    for (name, value) in r.list(|r| Ok((r.str()?, r.u64()?)))? {
        let parameter = STORAGE_PARAMETERS.iter().find(|p| p.name == name);
        let parameter = parameter.ok_or_else(|| corrupt(&format!("there is no storage parameter {name}")))?;
        *(parameter.slot)(&mut options) = Some(value);
    }
    Ok(options)
}

pub(crate) fn write_role(w: &mut Writer, role: &Role) {
    w.str(&role.name);
    w.bool(role.superuser);
    w.bool(role.login);
    w.option(role.scram_verifier.as_deref());
    w.bool(role.default_password);
}

pub(crate) fn read_role(r: &mut Reader<'_>) -> Result<Role> {
    Ok(Role {
        name: r.str()?,
        superuser: r.bool()?,
        login: r.bool()?,
        scram_verifier: r.option()?,
        default_password: r.bool()?,
    })
}
