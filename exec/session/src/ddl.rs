//! Changes of the catalog: bound definitions into the write transaction.

use spg_plan::bind::{
    AlterTable, AlterTableAction, BoundKind, CreateIndex, CreateTable, DropIndex, DropTable, Truncate,
};
use spg_types::{Error, ForeignKeyDef, IndexOrigin, Result, SqlState, TableDef, TableId};

use crate::alter_column;
use crate::client::{Client, Notice};
use crate::session::Session;

/// The statement's name: its command tag, and what messages call it.
pub(crate) fn name(bound: &BoundKind) -> &'static str {
    match bound {
        BoundKind::CreateTable(_) => "CREATE TABLE",
        BoundKind::DropTable(_) => "DROP TABLE",
        BoundKind::CreateIndex(_) => "CREATE INDEX",
        BoundKind::DropIndex(_) => "DROP INDEX",
        BoundKind::Truncate(_) => "TRUNCATE TABLE",
        BoundKind::AlterTable(_) => "ALTER TABLE",
        _ => "statement",
    }
}

/// `relation "x" already exists, skipping`.
pub(crate) fn exists_notice(name: &str) -> Notice {
    Notice {
        severity: crate::client::Severity::Notice,
        body: Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists, skipping")),
    }
}

/// Carries out a statement that changes the catalog; the transaction writes alone.
pub(crate) fn run(session: &mut Session, bound: &BoundKind, client: &mut dyn Client) -> Result<()> {
    match bound {
        BoundKind::CreateTable(c) => create_table(session, c, client),
        BoundKind::DropTable(d) => drop_tables(session, d, client),
        BoundKind::CreateIndex(c) => create_index(session, c, client),
        BoundKind::DropIndex(d) => drop_indexes(session, d, client),
        BoundKind::Truncate(t) => truncate(session, t, client),
        BoundKind::AlterTable(a) => alter_table(session, a, client),
        _ => Err(Error::internal("not a change of the catalog")),
    }
}

fn create_table(session: &mut Session, c: &CreateTable, client: &mut dyn Client) -> Result<()> {
    if c.exists {
        return client.notice(&exists_notice(&c.table.name));
    }
    session.begin_if_needed().write()?.create_table(c.table.clone())?;
    Ok(())
}

/// Foreign keys of other tables that refer to a table.
pub(crate) fn referring(
    session: &mut Session,
    table: TableId,
) -> Vec<(std::sync::Arc<TableDef>, ForeignKeyDef)> {
    let snapshot = session.snapshot();
    snapshot
        .tables()
        .filter(|t| t.def().id != table)
        .flat_map(|t| {
            let def = t.def().clone();
            let keys: Vec<_> = def.foreign_keys.iter().filter(|f| f.ref_table == table).cloned().collect();
            keys.into_iter().map(move |f| (def.clone(), f))
        })
        .collect()
}

fn drop_tables(session: &mut Session, d: &DropTable, client: &mut dyn Client) -> Result<()> {
    for name in &d.missing {
        client.notice(&Notice::notice(format!("table \"{name}\" does not exist, skipping")))?;
    }
    for table in &d.tables {
        let dependent: Vec<_> = referring(session, table.id)
            .into_iter()
            .filter(|(t, _)| !d.tables.iter().any(|dropped| dropped.id == t.id))
            .collect();
        if let Some((first, key)) = dependent.first()
            && !d.cascade
        {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop table {} because other objects depend on it", table.name),
            )
            .with_detail(format!(
                "constraint {} on table {} depends on table {}",
                key.name, first.name, table.name
            ))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        for (referrer, key) in dependent {
            let notice = format!("drop cascades to constraint {} on table {}", key.name, referrer.name);
            client.notice(&Notice::notice(notice))?;
            let mut def = current(session, referrer.id)?;
            def.foreign_keys.retain(|f| f.name != key.name);
            session.begin_if_needed().write()?.replace_table_def(def)?;
        }
    }
    // References among the tables that go do not hold any of them back.
    for table in &d.tables {
        session.begin_if_needed().write()?.drop_table(table.id)?;
    }
    Ok(())
}

/// A table's definition as this transaction sees it.
pub(crate) fn current(session: &mut Session, table: TableId) -> Result<TableDef> {
    let snapshot = session.snapshot();
    let found = snapshot.table(table).ok_or_else(|| Error::internal("a table vanished under its lock"))?;
    Ok((**found.def()).clone())
}

fn create_index(session: &mut Session, c: &CreateIndex, client: &mut dyn Client) -> Result<()> {
    let name = &c.index.name;
    let snapshot = session.snapshot();
    let taken = snapshot.tables().any(|t| {
        let def = t.def();
        def.schema == c.table.schema && (def.name == *name || def.indexes.iter().any(|i| i.name == *name))
    });
    if taken {
        if c.if_not_exists {
            return client.notice(&exists_notice(name));
        }
        return Err(Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists")));
    }
    session.begin_if_needed().write()?.create_index(c.table.id, c.index.clone())?;
    Ok(())
}

fn drop_indexes(session: &mut Session, d: &DropIndex, client: &mut dyn Client) -> Result<()> {
    for name in &d.names {
        let snapshot = session.snapshot();
        let found = snapshot.tables().find_map(|t| {
            t.def().indexes.iter().find(|i| i.name == *name).map(|i| (t.def().clone(), i.clone()))
        });
        let Some((table, index)) = found else {
            if snapshot.tables().any(|t| t.def().name == *name) {
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not an index"))
                    .with_hint("Use DROP TABLE to remove a table."));
            }
            if d.if_exists {
                client.notice(&Notice::notice(format!("index \"{name}\" does not exist, skipping")))?;
                continue;
            }
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("index \"{name}\" does not exist")));
        };
        if index.origin != IndexOrigin::Created {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop index {name} because constraint {name} on table {} requires it",
                    table.name
                ),
            )
            .with_hint(format!("You can drop constraint {name} on table {} instead.", table.name)));
        }
        drop_index(session, &table, &index, d.cascade)?;
    }
    Ok(())
}

/// Drops an index that no foreign key needs, or the foreign keys with it.
fn drop_index(
    session: &mut Session,
    table: &TableDef,
    index: &spg_types::IndexDef,
    cascade: bool,
) -> Result<()> {
    let users: Vec<_> =
        referring(session, table.id).into_iter().filter(|(_, f)| f.ref_index == index.id).collect();
    for (referrer, key) in users {
        if !cascade {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot drop constraint {} on table {} because other objects depend on it",
                    index.name, table.name
                ),
            )
            .with_detail(format!(
                "constraint {} on table {} depends on index {}",
                key.name, referrer.name, index.name
            ))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        let mut def = current(session, referrer.id)?;
        def.foreign_keys.retain(|f| f.name != key.name);
        session.begin_if_needed().write()?.replace_table_def(def)?;
    }
    session.begin_if_needed().write()?.drop_index(table.id, index.id)
}

fn truncate(session: &mut Session, t: &Truncate, client: &mut dyn Client) -> Result<()> {
    let mut tables: Vec<_> = t.tables.clone();
    let mut at = 0;
    while at < tables.len() {
        for (referrer, _) in referring(session, tables[at].id) {
            if tables.iter().any(|known| known.id == referrer.id) {
                continue;
            }
            if !t.cascade {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot truncate a table referenced in a foreign key constraint",
                )
                .with_detail(format!("Table \"{}\" references \"{}\".", referrer.name, tables[at].name))
                .with_hint(format!(
                    "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                    referrer.name
                )));
            }
            client.notice(&Notice::notice(format!("truncate cascades to table \"{}\"", referrer.name)))?;
            tables.push(referrer);
        }
        at += 1;
    }
    for table in tables {
        session.begin_if_needed().write()?.truncate(table.id)?;
    }
    Ok(())
}

fn alter_table(session: &mut Session, a: &AlterTable, client: &mut dyn Client) -> Result<()> {
    let Some(table) = &a.table else {
        return client.notice(&Notice::notice(format!("relation \"{}\" does not exist, skipping", a.name)));
    };
    for action in &a.actions {
        alter(session, table.id, action, client)?;
    }
    Ok(())
}

fn alter(
    session: &mut Session,
    id: TableId,
    action: &AlterTableAction,
    client: &mut dyn Client,
) -> Result<()> {
    let mut def = current(session, id)?;
    let unsupported =
        |what: &str| Err(Error::unsupported(format!("ALTER TABLE ... {what} is not supported")));
    match action {
        AlterTableAction::AddIndex(index) => {
            if index.origin == IndexOrigin::PrimaryKey {
                let mut changed = false;
                for column in &index.columns {
                    changed |= !std::mem::replace(&mut def.columns[column.column].not_null, true);
                    refuse_nulls(session, id, column.column)?;
                }
                if changed {
                    session.begin_if_needed().write()?.replace_table_def(def)?;
                }
            }
            session.begin_if_needed().write()?.create_index(id, index.clone())?;
            return Ok(());
        }
        AlterTableAction::AddForeignKey(key) => {
            def.foreign_keys.push(key.clone());
            let write = session.begin_if_needed().write()?;
            write.replace_table_def(def)?;
            return write.check_foreign_key(id, &key.name);
        }
        AlterTableAction::AddCheck { check, condition, columns } => {
            alter_column::check_rows(session, id, &check.name, condition, columns)?;
            def.checks.push(check.clone());
        }
        AlterTableAction::DropConstraint { name, if_exists, cascade } => {
            let before = def.checks.len() + def.foreign_keys.len();
            def.checks.retain(|c| c.name != *name);
            def.foreign_keys.retain(|f| f.name != *name);
            if def.checks.len() + def.foreign_keys.len() == before {
                let constraint =
                    |i: &&spg_types::IndexDef| i.name == *name && i.origin != IndexOrigin::Created;
                if let Some(index) = def.indexes.iter().find(constraint).cloned() {
                    return drop_index(session, &def, &index, *cascade);
                }
                let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", def.name);
                if !if_exists {
                    return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
                }
                return client.notice(&Notice::notice(format!("{message}, skipping")));
            }
        }
        AlterTableAction::RenameColumn { column, name } => {
            if !def.checks.is_empty() {
                return unsupported("RENAME COLUMN of a table with CHECK constraints");
            }
            def.columns[*column].name.clone_from(name);
        }
        AlterTableAction::RenameTable(name) => def.name.clone_from(name),
        AlterTableAction::RenameConstraint { from, to } => {
            let names = (def.checks.iter_mut().map(|c| &mut c.name))
                .chain(def.foreign_keys.iter_mut().map(|f| &mut f.name))
                .chain(def.indexes.iter_mut().map(|i| &mut i.name));
            match names.into_iter().find(|n| *n == from) {
                Some(name) => name.clone_from(to),
                None => {
                    return Err(Error::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("constraint \"{from}\" for table \"{}\" does not exist", def.name),
                    ));
                }
            }
        }
        AlterTableAction::SetNotNull { column, not_null } => {
            if *not_null {
                refuse_nulls(session, id, *column)?;
            }
            def.columns[*column].not_null = *not_null;
        }
        AlterTableAction::SetDefault { column, default } => def.columns[*column].default.clone_from(default),
        AlterTableAction::AddColumn { exists: true, column, .. } => {
            let message =
                format!("column \"{}\" of relation \"{}\" already exists, skipping", column.name, def.name);
            return client.notice(&Notice::notice(message));
        }
        AlterTableAction::DropColumn { column: None, name, .. } => {
            let message = format!("column \"{name}\" of relation \"{}\" does not exist, skipping", def.name);
            return client.notice(&Notice::notice(message));
        }
        AlterTableAction::AddColumn { column, value, .. } => {
            return alter_column::add(session, &def, column, value);
        }
        AlterTableAction::DropColumn { column: Some(at), checks, cascade, .. } => {
            return alter_column::drop(session, def, *at, checks, *cascade, client);
        }
        AlterTableAction::SetOptions(options) => {
            def.options.set(options.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        }
        AlterTableAction::ResetOptions(names) => def.options.reset(names.iter().map(String::as_str)),
        AlterTableAction::OwnerTo(_) => return unsupported("OWNER TO"),
    }
    session.begin_if_needed().write()?.replace_table_def(def)?;
    Ok(())
}

/// 23502 when a column has NULLs.
fn refuse_nulls(session: &mut Session, id: TableId, column: usize) -> Result<()> {
    use arrow::array::Array;
    let snapshot = session.snapshot();
    let Some(table) = snapshot.table(id) else { return Ok(()) };
    for group in table.row_groups().filter(|g| g.zone(column).null_count > 0) {
        let values = group.column(column)?;
        if (0..group.len()).any(|row| values.is_null(row) && group.is_live(row)) {
            return Err(contains_nulls(table.def(), &table.def().columns[column].name));
        }
    }
    Ok(())
}

/// 23502: a column that is to be NOT NULL has NULLs.
pub(crate) fn contains_nulls(table: &TableDef, column: &str) -> Error {
    let message = format!("column \"{column}\" of relation \"{}\" contains null values", table.name);
    Error::new(SqlState::NOT_NULL_VIOLATION, message)
        .with_relation(&table.schema, &table.name)
        .with_column(column)
}
