//! The extended protocol: named statements and portals.

use std::sync::Arc;

use bytes::Bytes;
use spg_expr::EvalContext;
use spg_plan::bind::{QueryTag, ResultColumn};
use spg_store::PendingCommit;
use spg_types::{Datum, Error, Result, SqlState, SqlType, type_by_oid};

use crate::client::Client;
use crate::portal::{Portal, PortalState};
use crate::running::{ends_transaction, in_failed_transaction};
use crate::session::Session;
use crate::statement::{Planned, PlannedKind, Prepared};

/// What Describe says of a statement.
#[derive(Clone, Debug)]
pub struct StatementDescription {
    /// Parameter types.
    pub params: Vec<SqlType>,
    /// Result columns; `None` for a statement without rows.
    pub columns: Option<Vec<ResultColumn>>,
}

/// How an Execute ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecuteEnd {
    /// The statement ended, with this tag.
    Complete(String),
    /// The row limit was reached.
    Suspended,
    /// The statement was empty.
    Empty,
    /// Another transaction is in its way: wait for [`Session::poll_turn`], then execute the portal again.
    Turn,
}

impl Session {
    /// Parse. Type 0 leaves a parameter's type open.
    pub fn parse(&mut self, name: &str, text: &str, param_oids: &[u32]) -> Result<()> {
        let result = self.try_parse(name, text, param_oids);
        result.map_err(|e| self.failed(e))
    }

    fn try_parse(&mut self, name: &str, text: &str, param_oids: &[u32]) -> Result<()> {
        if !name.is_empty() && self.statements.contains_key(name) {
            return Err(Error::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        let mut statements = spg_sql::parse(text)?;
        if statements.len() > 1 {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        let hints = param_oids
            .iter()
            .map(|oid| match oid {
                0 => Ok(None),
                oid => type_by_oid(*oid).map(|def| Some(SqlType::new(def))).ok_or_else(|| {
                    Error::new(SqlState::UNDEFINED_OBJECT, format!("type with OID {oid} does not exist"))
                }),
            })
            .collect::<Result<Vec<_>>>()?;
        let prepared = Prepared::new(statements.pop(), hints);
        self.begin_if_needed();
        if let Some(s) = &prepared.statement
            && !self.is_failed()
        {
            // PostgreSQL reports errors of names and types at Parse.
            let _ = s;
            self.plan(&prepared)?;
        } else if prepared.statement.as_ref().is_some_and(|s| !ends_transaction(s)) {
            return Err(in_failed_transaction());
        }
        self.statements.insert(name.to_owned(), Arc::new(prepared));
        Ok(())
    }

    /// Describe of a statement. 26000 when there is none of that name.
    pub fn describe_statement(&mut self, name: &str) -> Result<StatementDescription> {
        let result = self.statement(name).and_then(|s| self.describe(&s));
        result.map_err(|e| self.failed(e))
    }

    fn describe(&mut self, prepared: &Prepared) -> Result<StatementDescription> {
        if prepared.statement.is_none() {
            return Ok(StatementDescription { params: vec![], columns: None });
        }
        self.begin_if_needed();
        let planned = self.plan(prepared)?;
        Ok(StatementDescription { params: planned.params.clone(), columns: self.result_columns(&planned) })
    }

    /// Columns that Describe tells of a planned statement.
    fn result_columns(&self, planned: &Planned) -> Option<Vec<ResultColumn>> {
        match &planned.kind {
            PlannedKind::Query(q) if q.columns.is_empty() && q.verb != QueryTag::Select => None,
            PlannedKind::Query(q) => Some(q.columns.to_vec()),
            PlannedKind::Utility(bound) => self.utility_columns(bound),
        }
    }

    fn statement(&self, name: &str) -> Result<Arc<Prepared>> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let what = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, what)
        })
    }

    /// Bind. Parameter formats as the protocol has them: none means text, one applies to all.
    pub fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        param_formats: &[i16],
        params: Vec<Option<Bytes>>,
        result_formats: &[i16],
    ) -> Result<()> {
        let result = self.try_bind(portal, statement, param_formats, &params, result_formats);
        result.map_err(|e| self.failed(e))
    }

    fn try_bind(
        &mut self,
        portal: &str,
        statement: &str,
        param_formats: &[i16],
        params: &[Option<Bytes>],
        result_formats: &[i16],
    ) -> Result<()> {
        let prepared = self.statement(statement)?;
        if !portal.is_empty() && self.portals.contains_key(portal) {
            return Err(Error::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{portal}\" already exists"),
            ));
        }
        if self.is_failed() && prepared.statement.as_ref().is_some_and(|s| !ends_transaction(s)) {
            return Err(in_failed_transaction());
        }
        self.begin_if_needed();
        let values = if prepared.statement.is_none() || (params.is_empty() && self.is_failed()) {
            vec![]
        } else {
            let planned = self.plan(&prepared)?;
            if params.len() != planned.params.len() {
                let name = statement;
                return Err(Error::new(
                    SqlState::PROTOCOL_VIOLATION,
                    format!(
                        "bind message supplies {} parameters, but prepared statement \"{name}\" requires {}",
                        params.len(),
                        planned.params.len()
                    ),
                ));
            }
            if param_formats.len() > 1 && param_formats.len() != params.len() {
                return Err(Error::new(
                    SqlState::PROTOCOL_VIOLATION,
                    format!(
                        "bind message has {} parameter formats but {} parameters",
                        param_formats.len(),
                        params.len()
                    ),
                ));
            }
            let columns = self.result_columns(&planned).map_or(0, |c| c.len());
            if columns > 0 && result_formats.len() > 1 && result_formats.len() != columns {
                return Err(Error::new(
                    SqlState::PROTOCOL_VIOLATION,
                    format!(
                        "bind message has {} result formats but query has {columns} columns",
                        result_formats.len()
                    ),
                ));
            }
            let context = self.base_context();
            params
                .iter()
                .zip(&planned.params)
                .enumerate()
                .map(|(i, (value, ty))| {
                    let format = match param_formats {
                        [] => 0,
                        [f] => *f,
                        many => many[i],
                    };
                    parameter(value.as_deref(), *ty, format, &context)
                })
                .collect::<Result<Vec<_>>>()?
        };
        let p = Portal {
            statement: prepared,
            params: values.into(),
            formats: result_formats.to_vec(),
            state: PortalState::New,
        };
        self.portals.insert(portal.to_owned(), p);
        Ok(())
    }

    /// Describe of a portal: its columns with their formats; `None` for a statement without rows. 34000 when there is none of
    /// that name.
    pub fn describe_portal(&mut self, name: &str) -> Result<Option<(Vec<ResultColumn>, Vec<i16>)>> {
        let result = self.try_describe_portal(name);
        result.map_err(|e| self.failed(e))
    }

    fn try_describe_portal(&mut self, name: &str) -> Result<Option<(Vec<ResultColumn>, Vec<i16>)>> {
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        let formats = portal.formats.clone();
        let prepared = portal.statement.clone();
        Ok(self.describe(&prepared)?.columns.map(|c| (c, formats)))
    }

    /// Execute: up to `max_rows` rows, 0 for all.
    pub fn execute(&mut self, name: &str, max_rows: u64, client: &mut dyn Client) -> Result<ExecuteEnd> {
        let Some(mut portal) = self.portals.remove(name) else {
            return Err(self.failed(no_portal(name)));
        };
        let result = self.run_portal(&mut portal, max_rows, false, client);
        // Ending a transaction ends its portals, this one too.
        if self.transaction.is_some() {
            self.portals.insert(name.to_owned(), portal);
        }
        result.map_err(|e| self.failed(e))
    }

    /// Close of a statement; no error when there is none of that name.
    pub fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    /// Close of a portal; no error when there is none of that name.
    pub fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    /// Sync: ends the implicit transaction. ReadyForQuery may go out once the returned commit is durable.
    pub fn sync(&mut self) -> Result<Option<PendingCommit>> {
        self.end_implicit()
    }
}

fn parameter(value: Option<&[u8]>, ty: SqlType, format: i16, context: &EvalContext) -> Result<Datum> {
    let Some(bytes) = value else { return Ok(Datum::Null) };
    let mut builder = spg_types::ColumnBuilder::new(ty, 1);
    match format {
        0 => {
            let text = std::str::from_utf8(bytes).map_err(|_| {
                Error::new(
                    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                    "invalid byte sequence for encoding \"UTF8\"",
                )
            })?;
            if text.contains('\0') {
                return Err(Error::new(
                    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                    "invalid byte sequence for encoding \"UTF8\": 0x00",
                ));
            }
            (ty.def.text_in)(text, ty, &context.format, &mut builder)?;
        }
        1 => (ty.def.binary_in)(bytes, ty, &mut builder)?,
        other => {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {other}"),
            ));
        }
    }
    Datum::from_column(&builder.finish(), 0, ty)
}

fn no_portal(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
