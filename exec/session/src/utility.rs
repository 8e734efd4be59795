//! Statements other than queries: what each does to the session, the transaction or the catalog.

use std::sync::Arc;

use spg_plan::bind::{
    BoundKind, CopyDirection, CreateTableAs, CursorFetch, Execute, IsolationLevel, Prepare, ResultColumn,
    RoleOptions, SetScope, SetValue, TransactionModes, Utility,
};
use spg_run::ResultBatch;
use spg_store::{LockWait, WriteMode};
use spg_types::{ColumnBuilder, Datum, Error, Result, SqlState, SqlType, TableId, TableRef, def};

use crate::auth::{is_verifier, scram_verifier};
use crate::cancel::Running;
use crate::client::{Client, Notice, blocking};
use crate::portal::{Cursor, CursorTag};
use crate::running::{Started, is_transaction_control};
use crate::session::Session;
use crate::settings::{self, SETTINGS};
use crate::statement::{PlannedKind, Prepared, tag};
use crate::transaction::{Isolation, SettingsMark, Transaction};
use crate::{copy, ddl, explain};

fn done(tag: &str) -> Result<Started> {
    Ok(Started::Complete(tag.to_owned()))
}

/// One text column and its rows.
pub(crate) fn text_rows(name: &str, rows: &[String], tag: CursorTag) -> Result<Cursor> {
    let ty = SqlType::new(&def::TEXT);
    let mut builder = ColumnBuilder::new(ty, rows.len());
    for row in rows {
        builder.append_datum(&Datum::Text(row.as_str().into()))?;
    }
    let batch = ResultBatch { columns: vec![spg_expr::Column::Array(builder.finish())], rows: rows.len() };
    Ok(Cursor::rows(text_columns(&[name]).into(), vec![batch], tag))
}

fn text_columns(names: &[&str]) -> Vec<ResultColumn> {
    names
        .iter()
        .map(|n| ResultColumn {
            name: (*n).to_owned(),
            ty: SqlType::new(&def::TEXT),
            table_oid: 0,
            column_no: 0,
        })
        .collect()
}

impl Session {
    /// Columns that Describe tells of a statement other than a query.
    pub(crate) fn utility_columns(&self, bound: &BoundKind) -> Option<Vec<ResultColumn>> {
        match bound {
            BoundKind::Explain(_) => Some(text_columns(&["QUERY PLAN"])),
            BoundKind::Utility(Utility::Show(name)) => Some(text_columns(&[settings::display_name(name)])),
            BoundKind::Utility(Utility::ShowAll) => Some(text_columns(&["name", "setting", "description"])),
            BoundKind::Utility(Utility::Fetch { name, is_move: false, .. }) => {
                Some(self.cursors.get(name)?.columns.to_vec())
            }
            BoundKind::Execute(e) => {
                let prepared = self.statements.get(&e.name)?;
                let planned = prepared.newest()?;
                match &planned.kind {
                    PlannedKind::Query(q) if !q.columns.is_empty() => Some(q.columns.to_vec()),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Runs a statement other than a query.
    pub(crate) fn utility(
        &mut self,
        bound: &BoundKind,
        prepared: &Arc<Prepared>,
        params: &Arc<[Datum]>,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<Started> {
        match bound {
            BoundKind::Query(_) => Err(Error::internal("a query is not a utility statement")),
            BoundKind::Utility(u) => {
                if self.is_failed() && !is_transaction_control(u) {
                    return Err(Error::internal("a statement ran in a failed transaction"));
                }
                self.plain_utility(u, running, client)
            }
            BoundKind::Explain(e) => explain::run(self, e, params, running, client),
            BoundKind::Copy(c) if c.direction == CopyDirection::In => {
                self.lock_for_writing("COPY FROM", WriteMode::Exclusive, running, client)?;
                match &self.plan(prepared)?.kind {
                    PlannedKind::Utility(b) => match &**b {
                        BoundKind::Copy(c) => copy::run(self, c, params, running, client),
                        _ => Err(Error::internal("COPY became another statement")),
                    },
                    PlannedKind::Query(_) => Err(Error::internal("COPY became a query")),
                }
            }
            BoundKind::Copy(c) => copy::run(self, c, params, running, client),
            BoundKind::Prepare(p) => self.prepare(p),
            BoundKind::Execute(e) => self.execute_prepared(e, running, client),
            BoundKind::CreateTableAs(c) => self.create_table_as(c, params, running, client),
            BoundKind::CreateTable(_)
            | BoundKind::DropTable(_)
            | BoundKind::CreateIndex(_)
            | BoundKind::DropIndex(_)
            | BoundKind::Truncate(_)
            | BoundKind::AlterTable(_) => {
                let name = ddl::name(bound);
                self.lock_for_writing(name, WriteMode::Exclusive, running, client)?;
                // The lock's snapshot may be newer than the one that the statement was bound for.
                let newer = self.plan(prepared)?;
                let bound = match &newer.kind {
                    PlannedKind::Utility(b) => b,
                    PlannedKind::Query(_) => bound,
                };
                ddl::run(self, bound, client)?;
                done(name)
            }
        }
    }

    /// 42501 for users without all rights.
    fn refuse_unless_superuser(&mut self, message: &str) -> Result<()> {
        let user = self.user.clone();
        if self.snapshot().role(&user).is_some_and(|r| r.superuser) {
            return Ok(());
        }
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
    }

    /// 25001 inside a transaction block.
    fn refuse_in_block(&self, statement: &str) -> Result<()> {
        if !self.in_block() {
            return Ok(());
        }
        let message = format!("{statement} cannot run inside a transaction block");
        Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message))
    }

    /// Statistics are always fresh: ANALYZE has nothing to do.
    fn vacuum(
        &mut self,
        tables: &[TableRef],
        full: bool,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<Started> {
        self.refuse_in_block("VACUUM")?;
        let store = self.instance.store.clone();
        let tables: Vec<TableId> = match tables {
            [] => store.published().tables().map(|t| t.def().id).collect(),
            tables => tables.iter().map(|t| t.id).collect(),
        };
        let timeout = self.limits().lock;
        let wait = LockWait { timeout, cancelled: Some(running.lock_wait.clone()) };
        let done_so_far = blocking(client, || store.vacuum(&tables, full, &wait))?;
        done_so_far.map_err(|e| running.token.check().err().unwrap_or(e))?;
        done("VACUUM")
    }

    fn plain_utility(&mut self, u: &Utility, running: &Running, client: &mut dyn Client) -> Result<Started> {
        match u {
            Utility::Begin { modes, start } => {
                self.begin(*modes, client)?;
                done(if *start { "START TRANSACTION" } else { "BEGIN" })
            }
            Utility::Commit { chain } => self.commit_block(*chain, client),
            Utility::Rollback { chain } => {
                let modes = self.block_modes();
                if !self.in_block() {
                    client.notice(&no_transaction())?;
                }
                self.rollback();
                self.chain(*chain, modes);
                done("ROLLBACK")
            }
            Utility::Savepoint(name) => {
                let mark = SettingsMark {
                    values: self.settings.values(),
                    locals: self.local_settings.len(),
                    cursors: self.cursors.keys().cloned().collect(),
                };
                self.block("SAVEPOINT")?.savepoint(name.clone(), mark);
                done("SAVEPOINT")
            }
            Utility::Release(name) => {
                self.block("RELEASE SAVEPOINT")?.release(name)?;
                done("RELEASE")
            }
            Utility::RollbackTo(name) => {
                let mark = self.block("ROLLBACK TO SAVEPOINT")?.rollback_to(name)?;
                if mark.values != self.settings.values() {
                    self.settings.restore(&mark.values);
                    self.settings_changed();
                }
                self.local_settings.truncate(mark.locals);
                self.cursors.retain(|name, _| mark.cursors.contains(name));
                self.cursors.retain(|name, _| mark.cursors.contains(name));
                done("ROLLBACK")
            }
            Utility::SetTransaction { modes, session } => self.set_transaction(*modes, *session, client),
            Utility::Set { scope, name, value } => self.set(*scope, name, value, client),
            Utility::Reset(name) => {
                self.remember_settings();
                self.settings.reset(name)?;
                self.settings_changed();
                done("RESET")
            }
            Utility::ResetAll => {
                self.remember_settings();
                self.settings.reset_all();
                self.settings_changed();
                done("RESET")
            }
            Utility::Show(name) => self.show(name),
            Utility::ShowAll => self.show_all(),
            Utility::Deallocate(name) => match self.statements.remove(name) {
                Some(_) => done("DEALLOCATE"),
                None => Err(no_statement(name)),
            },
            Utility::DeallocateAll => {
                self.statements.clear();
                done("DEALLOCATE ALL")
            }
            Utility::Declare { name, hold, binary, query } => {
                if *hold || *binary {
                    return Err(Error::unsupported("cursors WITH HOLD and BINARY cursors are not supported"));
                }
                self.declare(name, query, running, client)
            }
            Utility::Fetch { name, count, is_move } => self.fetch(name, *count, *is_move, client),
            Utility::Close(name) => match self.cursors.remove(name) {
                Some(_) => done("CLOSE CURSOR"),
                None => Err(no_cursor(name)),
            },
            Utility::CloseAll => {
                self.cursors.clear();
                done("CLOSE CURSOR ALL")
            }
            Utility::CreateRole { .. } | Utility::AlterRole { .. } | Utility::DropRole { .. } => {
                self.role(u, running, client)
            }
            Utility::Checkpoint => {
                self.refuse_unless_superuser(
                    "must be superuser or have privileges of pg_checkpoint to do CHECKPOINT",
                )?;
                let store = self.instance.store.clone();
                blocking(client, || store.checkpoint())??;
                done("CHECKPOINT")
            }
            Utility::Backup(path) => {
                self.refuse_unless_superuser("must be superuser to do BACKUP DATABASE")?;
                self.refuse_in_block("BACKUP DATABASE")?;
                let store = self.instance.store.clone();
                match path {
                    Some(path) => _ = blocking(client, || store.backup(path.as_ref()))??,
                    None => {
                        let mut backup = blocking(client, || store.start_backup())??;
                        client.copy_out_begin(1, true)?;
                        while let Some(piece) = blocking(client, || backup.piece())?? {
                            running.token.check()?;
                            client.copy_out(&piece, &[piece.len()])?;
                        }
                        client.copy_out_end()?;
                    }
                }
                done("BACKUP")
            }
            Utility::Vacuum { tables, full, .. } => self.vacuum(tables, *full, running, client),
            // The write path keeps statistics as it goes.
            Utility::Analyze { .. } => done("ANALYZE"),
            Utility::DiscardAll => {
                self.refuse_in_block("DISCARD ALL")?;
                self.statements.clear();
                self.cursors.clear();
                self.settings.reset_all();
                self.settings_changed();
                done("DISCARD ALL")
            }
            Utility::DiscardPlans => {
                self.settings_changed();
                done("DISCARD PLANS")
            }
            Utility::DiscardTemp => done("DISCARD TEMP"),
            Utility::DiscardSequences => done("DISCARD SEQUENCES"),
            Utility::Comment(_) => Err(Error::unsupported("COMMENT is not supported")),
            Utility::Listen(_) | Utility::Unlisten(_) | Utility::Notify { .. } => {
                Err(Error::unsupported("LISTEN and NOTIFY are not supported"))
            }
            Utility::LockTable { .. } => {
                self.block("LOCK TABLE")?;
                self.lock_for_writing("LOCK TABLE", WriteMode::Exclusive, running, client)?;
                done("LOCK TABLE")
            }
        }
    }

    fn in_block(&self) -> bool {
        self.transaction.as_ref().is_some_and(|t| t.explicit)
    }

    /// The transaction block, or 25P01.
    fn block(&mut self, what: &str) -> Result<&mut Transaction> {
        self.transaction.as_mut().filter(|t| t.explicit).ok_or_else(|| {
            Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                format!("{what} can only be used in transaction blocks"),
            )
        })
    }

    fn begin(&mut self, modes: TransactionModes, client: &mut dyn Client) -> Result<Started> {
        if self.in_block() {
            client.notice(&Notice::warning(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "there is already a transaction in progress",
            ))?;
            return done("BEGIN");
        }
        self.settings_at_begin = Some(self.settings.values());
        let t = self.begin_if_needed();
        t.explicit = true;
        t.queried = false;
        self.apply_modes(modes)?;
        done("BEGIN")
    }

    fn apply_modes(&mut self, modes: TransactionModes) -> Result<()> {
        let Some(t) = &mut self.transaction else { return Ok(()) };
        let refused = |message: &str| Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        if let Some(level) = modes.isolation.map(isolation).filter(|level| *level != t.isolation) {
            if t.queried {
                return refused("SET TRANSACTION ISOLATION LEVEL must be called before any query");
            }
            if t.in_savepoint() {
                return refused("SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction");
            }
            t.isolation = level;
        }
        if let Some(read_only) = modes.read_only {
            if t.read_only && !read_only && t.queried {
                return refused("transaction read-write mode must be set before any query");
            }
            t.read_only = read_only;
        }
        Ok(())
    }

    fn block_modes(&self) -> TransactionModes {
        let level = |t: &Transaction| match t.isolation {
            Isolation::ReadCommitted => IsolationLevel::ReadCommitted,
            Isolation::RepeatableRead => IsolationLevel::RepeatableRead,
            Isolation::Serializable => IsolationLevel::Serializable,
        };
        TransactionModes {
            isolation: self.transaction.as_ref().map(level),
            read_only: self.transaction.as_ref().map(|t| t.read_only),
        }
    }

    fn chain(&mut self, chain: bool, modes: TransactionModes) {
        if chain {
            self.settings_at_begin = Some(self.settings.values());
            self.begin_if_needed().explicit = true;
            // A transaction without statements takes any mode.
            let _ = self.apply_modes(modes);
        }
    }

    /// COMMIT: of a failed transaction it is a ROLLBACK.
    fn commit_block(&mut self, chain: bool, client: &mut dyn Client) -> Result<Started> {
        let modes = self.block_modes();
        if !self.in_block() {
            client.notice(&no_transaction())?;
        }
        if self.is_failed() {
            self.rollback();
            self.chain(chain, modes);
            return done("ROLLBACK");
        }
        let pending = self.commit()?;
        self.pending = pending.or(self.pending.take());
        self.chain(chain, modes);
        done("COMMIT")
    }

    fn set_transaction(
        &mut self,
        modes: TransactionModes,
        session: bool,
        client: &mut dyn Client,
    ) -> Result<Started> {
        if session {
            if let Some(level) = modes.isolation {
                self.settings.set("default_transaction_isolation", isolation(level).name())?;
            }
            if let Some(read_only) = modes.read_only {
                self.settings.set("default_transaction_read_only", if read_only { "on" } else { "off" })?;
            }
            return done("SET");
        }
        if !self.in_block() {
            client.notice(&Notice::warning(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            ))?;
        }
        self.apply_modes(modes)?;
        done("SET")
    }

    /// Keeps the values that the end or failure of this transaction goes back to.
    fn remember_settings(&mut self) {
        if self.transaction.is_some() && self.settings_at_begin.is_none() {
            self.settings_at_begin = Some(self.settings.values());
        }
    }

    pub(crate) fn set(
        &mut self,
        scope: SetScope,
        name: &str,
        value: &SetValue,
        client: &mut dyn Client,
    ) -> Result<Started> {
        self.remember_settings();
        let earlier = self.settings.values();
        let lower = name.to_lowercase();
        match (lower.as_str(), value) {
            ("transaction_isolation", SetValue::Text(text)) => {
                self.settings.set(name, text)?;
                let modes = TransactionModes { isolation: isolation_level(text), read_only: None };
                self.settings.restore(&earlier);
                self.apply_modes(modes)?;
            }
            ("transaction_read_only", SetValue::Text(text)) => {
                self.settings.set(name, text)?;
                let modes = TransactionModes { isolation: None, read_only: Some(self.settings.flag(name)) };
                self.settings.restore(&earlier);
                self.apply_modes(modes)?;
            }
            (_, SetValue::Text(text)) => self.settings.set(name, text)?,
            (_, SetValue::Default) => self.settings.reset(name)?,
        }
        if scope == SetScope::Local {
            if !self.in_block() {
                self.settings.restore(&earlier);
                client.notice(&Notice::warning(
                    SqlState::NO_ACTIVE_SQL_TRANSACTION,
                    "SET LOCAL can only be used in transaction blocks",
                ))?;
            } else if !self.local_settings.iter().any(|(n, _)| *n == lower) {
                self.local_settings.push((lower, earlier));
            }
        }
        self.settings_changed();
        done("SET")
    }

    fn show(&mut self, name: &str) -> Result<Started> {
        let lower = name.to_lowercase();
        let value = match (lower.as_str(), &self.transaction) {
            ("transaction_isolation", Some(t)) => t.isolation.name().to_owned(),
            ("transaction_read_only", Some(t)) => if t.read_only { "on" } else { "off" }.to_owned(),
            _ => self.settings.get(name)?.to_owned(),
        };
        let cursor = text_rows(settings::display_name(&lower), &[value], CursorTag::Fixed("SHOW".into()))?;
        Ok(Started::Open(cursor))
    }

    fn show_all(&mut self) -> Result<Started> {
        let ty = SqlType::new(&def::TEXT);
        let mut columns = [const { 0 }; 3].map(|_| ColumnBuilder::new(ty, SETTINGS.len()));
        for s in SETTINGS {
            let row = [settings::display_name(s.name), self.settings.get(s.name)?, s.doc];
            for (builder, text) in columns.iter_mut().zip(row) {
                builder.append_datum(&Datum::Text(text.into()))?;
            }
        }
        let batch = ResultBatch {
            columns: columns.iter_mut().map(|b| spg_expr::Column::Array(b.finish())).collect(),
            rows: SETTINGS.len(),
        };
        let names = text_columns(&["name", "setting", "description"]);
        Ok(Started::Open(Cursor::rows(names.into(), vec![batch], CursorTag::Fixed("SHOW".into()))))
    }

    fn prepare(&mut self, p: &Prepare) -> Result<Started> {
        if self.statements.contains_key(&p.name) {
            return Err(Error::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{}\" already exists", p.name),
            ));
        }
        let prepared = Prepared::new(Some((*p.statement).clone()), p.param_types.clone());
        self.plan(&prepared)?;
        self.statements.insert(p.name.clone(), Arc::new(prepared));
        done("PREPARE")
    }

    fn execute_prepared(
        &mut self,
        e: &Execute,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<Started> {
        let prepared = self.statements.get(&e.name).cloned().ok_or_else(|| no_statement(&e.name))?;
        let planned = self.plan(&prepared)?;
        if e.args.len() != planned.params.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{}\"", e.name),
            )
            .with_detail(format!(
                "Expected {} parameters but got {}.",
                planned.params.len(),
                e.args.len()
            )));
        }
        let context = self.base_context();
        let values = e
            .args
            .iter()
            .zip(&planned.params)
            .map(|(arg, ty)| {
                let value = spg_plan::bind::assign_parameter(
                    arg.clone(),
                    *ty,
                    self.instance.registry,
                    &context.format,
                )?;
                let compiled = spg_expr::Compiled::new(&value, &|_| None)?;
                compiled.eval(&context, &[], 1)?.datum(0, *ty)
            })
            .collect::<Result<Vec<_>>>()?;
        let params: Arc<[Datum]> = values.into();
        match &planned.kind {
            PlannedKind::Query(q) => {
                if q.changes_data() {
                    return self.change(&prepared, &params, false, running, client);
                }
                if q.row_locks {
                    self.lock_for_writing("SELECT", WriteMode::Exclusive, running, client)?;
                }
                let newest = self.plan(&prepared)?;
                match &newest.kind {
                    PlannedKind::Query(q) => self.run_query(q, &params, running, client),
                    PlannedKind::Utility(_) => Err(Error::internal("a query became a utility statement")),
                }
            }
            PlannedKind::Utility(bound) => self.utility(bound, &prepared, &params, running, client),
        }
    }

    fn create_table_as(
        &mut self,
        c: &CreateTableAs,
        params: &Arc<[Datum]>,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<Started> {
        if c.exists {
            client.notice(&ddl::exists_notice(&c.table.name))?;
            return done("CREATE TABLE AS");
        }
        self.lock_for_writing("CREATE TABLE AS", WriteMode::Exclusive, running, client)?;
        let snapshot = self.snapshot();
        let query = if c.no_data { None } else { Some(self.compile(c.query.clone(), &snapshot)?.0) };
        let env = self.environment(snapshot, params, running);
        let table = self.begin_if_needed().write()?.create_table(c.table.clone())?;
        let Some(query) = query else { return done("CREATE TABLE AS") };
        let mut rows = 0;
        let mut store = |session: &mut Session, batch: &ResultBatch| {
            let arrays = batch
                .columns
                .iter()
                .zip(&c.table.columns)
                .map(|(column, d)| stored(column, batch.rows, d.ty))
                .collect::<Result<Vec<_>>>()?;
            rows += batch.rows as u64;
            session.begin_if_needed().write()?.append(table, arrays).map(drop)
        };
        if query.changes_data() {
            let write = self.begin_if_needed().write()?;
            let modified = blocking(client, || query.compiled.modify(env, write))??;
            for batch in &modified.returning {
                store(self, batch)?;
            }
        } else {
            let mut stream = query.compiled.start(env)?;
            while let Some(batch) = blocking(client, || stream.next())?? {
                store(self, &batch)?;
            }
        }
        Ok(Started::Complete(tag(spg_plan::bind::QueryTag::Select, rows)))
    }

    fn declare(
        &mut self,
        name: &str,
        query: &spg_plan::bind::Query,
        running: &Running,
        client: &mut dyn Client,
    ) -> Result<Started> {
        self.block("DECLARE CURSOR")?;
        if self.cursors.contains_key(name) {
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists")));
        }
        let snapshot = self.snapshot();
        let planned = self.compile(query.clone(), &snapshot)?.0;
        if planned.changes_data() {
            return Err(Error::unsupported(
                "DECLARE CURSOR must not contain data-modifying statements in WITH",
            ));
        }
        match self.run_query(&planned, &Arc::from([]), running, client)? {
            Started::Open(cursor) => {
                self.cursors.insert(name.to_owned(), cursor);
                done("DECLARE CURSOR")
            }
            Started::Complete(_) | Started::Blocked(_) => Err(Error::unsupported("a cursor needs a SELECT")),
        }
    }

    fn fetch(
        &mut self,
        name: &str,
        count: CursorFetch,
        is_move: bool,
        client: &mut dyn Client,
    ) -> Result<Started> {
        let cursor = self.cursors.get_mut(name).ok_or_else(|| no_cursor(name))?;
        let most = match count {
            CursorFetch::Forward(n) => n,
            CursorFetch::All => u64::MAX,
        };
        let rows = cursor.take(most, client)?;
        let n: usize = rows.iter().map(|b| b.rows).sum();
        if is_move {
            return Ok(Started::Complete(format!("MOVE {n}")));
        }
        let columns = cursor.columns.clone();
        Ok(Started::Open(Cursor::rows(columns, rows, CursorTag::Fixed(format!("FETCH {n}")))))
    }

    fn role(&mut self, u: &Utility, running: &Running, client: &mut dyn Client) -> Result<Started> {
        let superuser = |s: &mut Session| s.snapshot().role(&s.user).is_some_and(|r| r.superuser);
        let own_password = matches!(u, Utility::AlterRole { name, options }
            if **name == *self.user && options.superuser.is_none() && options.login.is_none());
        if !own_password && !superuser(self) {
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied to change roles"));
        }
        self.lock_for_writing("role changes", WriteMode::Exclusive, running, client)?;
        let snapshot = self.snapshot();
        let absent =
            |name: &str| Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"));
        match u {
            Utility::CreateRole { name, if_not_exists, options } => {
                if snapshot.role(name).is_some() {
                    if *if_not_exists {
                        return done("CREATE ROLE");
                    }
                    return Err(Error::new(
                        SqlState::DUPLICATE_OBJECT,
                        format!("role \"{name}\" already exists"),
                    ));
                }
                let role = spg_store::Role {
                    name: name.clone(),
                    superuser: false,
                    login: false,
                    scram_verifier: None,
                    default_password: false,
                };
                let role = changed_role(role, options)?;
                self.begin_if_needed().write()?.put_role(role)?;
                done("CREATE ROLE")
            }
            Utility::AlterRole { name, options } => {
                let role = snapshot.role(name).ok_or_else(|| absent(name))?;
                let role = changed_role(role.clone(), options)?;
                self.begin_if_needed().write()?.put_role(role)?;
                done("ALTER ROLE")
            }
            Utility::DropRole { names, if_exists } => {
                for name in names {
                    if **name == *self.user {
                        return Err(Error::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped"));
                    }
                    if snapshot.role(name).is_some() {
                        self.begin_if_needed().write()?.drop_role(name)?;
                    } else if *if_exists {
                        client
                            .notice(&Notice::notice(format!("role \"{name}\" does not exist, skipping")))?;
                    } else {
                        return Err(absent(name));
                    }
                }
                done("DROP ROLE")
            }
            _ => Err(Error::internal("not a statement about roles")),
        }
    }
}

/// A result column as the table stores it.
fn stored(column: &spg_expr::Column, rows: usize, ty: SqlType) -> Result<arrow::array::ArrayRef> {
    let array = column.to_array(rows)?;
    let flat = match array.data_type() {
        arrow::datatypes::DataType::Dictionary(_, values) => (**values).clone(),
        other => other.clone(),
    };
    if flat == ty.data_type() {
        Ok(array)
    } else {
        Err(Error::internal("a query's column is not of its table's type"))
    }
}

fn changed_role(mut role: spg_store::Role, options: &RoleOptions) -> Result<spg_store::Role> {
    role.login = options.login.unwrap_or(role.login);
    role.superuser = options.superuser.unwrap_or(role.superuser);
    match &options.password {
        None => {}
        Some(None) => role.scram_verifier = None,
        Some(Some(p)) => {
            role.scram_verifier = Some(if is_verifier(p) { p.clone() } else { scram_verifier(p)? });
            role.default_password = false;
        }
    }
    Ok(role)
}

fn isolation(level: IsolationLevel) -> Isolation {
    match level {
        IsolationLevel::ReadUncommitted | IsolationLevel::ReadCommitted => Isolation::ReadCommitted,
        IsolationLevel::RepeatableRead => Isolation::RepeatableRead,
        IsolationLevel::Serializable => Isolation::Serializable,
    }
}

/// The isolation level of that name.
fn isolation_level(name: &str) -> Option<IsolationLevel> {
    Some(match Isolation::parse(&name.to_lowercase())? {
        Isolation::ReadCommitted => IsolationLevel::ReadCommitted,
        Isolation::RepeatableRead => IsolationLevel::RepeatableRead,
        Isolation::Serializable => IsolationLevel::Serializable,
    })
}

fn no_transaction() -> Notice {
    Notice::warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress")
}

fn no_statement(name: &str) -> Error {
    Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, format!("prepared statement \"{name}\" does not exist"))
}

fn no_cursor(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}
