//! Statements without a plan: transactions, settings, cursors, roles, maintenance; and those around a statement: EXPLAIN, PREPARE,
//! EXECUTE, DECLARE.

use spg_expr::Expr;
use spg_sql::ast;
use spg_sql::own::{self, Direction, OptionValue};
use spg_sql::{Own, fold, folded_name};
use spg_types::{Error, Result, SqlState, SqlType};

use super::Binder;
use super::bound::{
    BoundKind, Comment, CursorFetch, Execute, Explain, ExplainFormat, ExplainOptions, IsolationLevel,
    Prepare, QueryTag, RoleOptions, SetScope, SetValue, TransactionModes, Utility,
};
use super::data_type::sql_type;
use super::scope::{Clause, Namespace};
use super::select::Unknowns;

impl Binder<'_> {
    pub(super) fn own(&mut self, own: &Own) -> Result<BoundKind> {
        let utility = match own {
            Own::Copy(copy) => return self.copy(copy),
            Own::Backup(path) => Utility::Backup(path.clone()),
            Own::Checkpoint => Utility::Checkpoint,
            Own::Fetch(f) => self.fetch(f)?,
            Own::Role(role) => self.role(role)?,
            Own::Vacuum(v) => self.vacuum(v)?,
            Own::Show(name) if name == "all" => Utility::ShowAll,
            Own::Show(name) => Utility::Show(name.clone()),
            Own::Reset(name) if name == "all" => Utility::ResetAll,
            Own::Reset(name) => Utility::Reset(name.clone()),
        };
        Ok(BoundKind::Utility(utility))
    }

    pub(super) fn utility(&mut self, statement: &ast::Statement) -> Result<BoundKind> {
        use ast::Statement as S;
        let utility = match statement {
            S::StartTransaction { modes, begin, statements, exception: None, modifier: None, .. }
                if statements.is_empty() =>
            {
                Utility::Begin { modes: transaction_modes(modes)?, start: !*begin }
            }
            S::Commit { chain, modifier: None, .. } => Utility::Commit { chain: *chain },
            S::Rollback { savepoint: Some(name), .. } => Utility::RollbackTo(fold(name)),
            S::Rollback { chain, savepoint: None } => Utility::Rollback { chain: *chain },
            S::Savepoint { name } => Utility::Savepoint(fold(name)),
            S::ReleaseSavepoint { name } => Utility::Release(fold(name)),
            S::Set(set) => self.set(set)?,
            S::Deallocate { name, .. }
                if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all") =>
            {
                Utility::DeallocateAll
            }
            S::Deallocate { name, .. } => Utility::Deallocate(fold(name)),
            S::Close { cursor: ast::CloseCursor::All } => Utility::CloseAll,
            S::Close { cursor: ast::CloseCursor::Specific { name } } => Utility::Close(fold(name)),
            S::Declare { stmts, .. } => self.declare(stmts)?,
            S::Discard { object_type } => match object_type {
                ast::DiscardObject::ALL => Utility::DiscardAll,
                ast::DiscardObject::PLANS => Utility::DiscardPlans,
                ast::DiscardObject::TEMP => Utility::DiscardTemp,
                ast::DiscardObject::SEQUENCES => Utility::DiscardSequences,
            },
            S::Comment { object_type, object_name, comment, .. } => Utility::Comment(Comment {
                object_type: object_type.to_string(),
                name: folded_name(object_name),
                comment: comment.clone(),
            }),
            S::LISTEN { channel } => Utility::Listen(fold(channel)),
            S::UNLISTEN { channel } => Utility::Unlisten((channel.value != "*").then(|| fold(channel))),
            S::NOTIFY { channel, payload } => {
                Utility::Notify { channel: fold(channel), payload: payload.clone() }
            }
            S::Lock(lock) => Utility::LockTable {
                tables: lock.tables.iter().map(|t| self.table(&t.name)).collect::<Result<_>>()?,
            },
            S::Explain { analyze, verbose, statement, format, options, .. } => {
                return self.explain(*analyze, *verbose, statement, format.as_ref(), options.as_deref());
            }
            S::Prepare { name, data_types, statement } => return self.prepare(name, data_types, statement),
            S::Execute { name: Some(name), parameters, immediate: false, using, .. } if using.is_empty() => {
                return self.execute(name, parameters);
            }
            other => return Err(unsupported_statement(other)),
        };
        Ok(BoundKind::Utility(utility))
    }

    fn set(&mut self, set: &ast::Set) -> Result<Utility> {
        match set {
            ast::Set::SingleAssignment { scope, hivevar: false, variable, values } => {
                let name = folded_name(variable).join(".");
                Ok(Utility::Set { scope: set_scope(*scope), name, value: set_value(values)? })
            }
            ast::Set::SetTimeZone { local, value } => {
                let scope = if *local { SetScope::Local } else { SetScope::Session };
                let value = match set_value(std::slice::from_ref(value))? {
                    SetValue::Text(t) if t.eq_ignore_ascii_case("local") => SetValue::Default,
                    value => value,
                };
                Ok(Utility::Set { scope, name: "timezone".into(), value })
            }
            ast::Set::SetNames { charset_name, .. } => Ok(Utility::Set {
                scope: SetScope::Session,
                name: "client_encoding".into(),
                value: SetValue::Text(charset_name.value.clone()),
            }),
            ast::Set::SetNamesDefault {} => Ok(Utility::Set {
                scope: SetScope::Session,
                name: "client_encoding".into(),
                value: SetValue::Default,
            }),
            ast::Set::SetRole { role_name, .. } => Ok(Utility::Set {
                scope: SetScope::Session,
                name: "role".into(),
                value: SetValue::Text(role_name.as_ref().map_or_else(|| "none".into(), fold)),
            }),
            ast::Set::SetSessionAuthorization(param) => Ok(Utility::Set {
                scope: SetScope::Session,
                name: "session_authorization".into(),
                value: match &param.kind {
                    ast::SetSessionAuthorizationParamKind::Default => SetValue::Default,
                    ast::SetSessionAuthorizationParamKind::User(user) => SetValue::Text(fold(user)),
                },
            }),
            ast::Set::SetTransaction { modes, snapshot: None, session } => {
                Ok(Utility::SetTransaction { modes: transaction_modes(modes)?, session: *session })
            }
            other => Err(Error::unsupported(format!("{other} is not supported"))),
        }
    }

    fn declare(&mut self, declarations: &[ast::Declare]) -> Result<Utility> {
        let [d] = declarations else {
            return Err(Error::unsupported("DECLARE of several cursors is not supported"));
        };
        let (Some(ast::DeclareType::Cursor), [name], Some(query)) =
            (&d.declare_type, &d.names[..], &d.for_query)
        else {
            return Err(Error::unsupported("DECLARE of anything but a cursor is not supported"));
        };
        if d.scroll == Some(true) {
            return Err(Error::unsupported("scrollable cursors are not supported"));
        }
        let rel = self.query(query, Unknowns::Text)?;
        let query = Box::new(self.finish_query(rel, QueryTag::Select));
        let hold = d.hold.unwrap_or(false);
        Ok(Utility::Declare { name: fold(name), hold, binary: d.binary.unwrap_or(false), query })
    }

    fn fetch(&mut self, f: &own::Fetch) -> Result<Utility> {
        let count = match f.direction {
            Direction::ForwardAll => CursorFetch::All,
            Direction::Forward(n) => match u64::try_from(n) {
                Ok(n) => CursorFetch::Forward(n),
                Err(_) => return Err(backward()),
            },
            Direction::Other => return Err(backward()),
        };
        Ok(Utility::Fetch { name: fold(&f.name), count, is_move: f.is_move })
    }

    fn role(&mut self, role: &own::Role) -> Result<Utility> {
        let mut o = RoleOptions::default();
        if role.is_user && !role.alter {
            o.login = Some(true);
        }
        for (name, value) in &role.options {
            match (name.value.as_str(), value) {
                ("login", _) => o.login = Some(true),
                ("nologin", _) => o.login = Some(false),
                ("superuser", _) => o.superuser = Some(true),
                ("nosuperuser", _) => o.superuser = Some(false),
                ("createdb", _) => o.create_db = Some(true),
                ("nocreatedb", _) => o.create_db = Some(false),
                ("createrole", _) => o.create_role = Some(true),
                ("nocreaterole", _) => o.create_role = Some(false),
                ("password", OptionValue::Text(text)) => o.password = Some(Some(text.clone())),
                ("password", _) => o.password = Some(None),
                ("inherit" | "noinherit" | "noreplication" | "nobypassrls" | "sysid", _) => {}
                (
                    "set" | "membership" | "valid until" | "connection limit" | "replication" | "bypassrls",
                    _,
                ) => {
                    return Err(self.locate(
                        Error::unsupported(format!(
                            "role option {} is not supported",
                            name.value.to_uppercase()
                        )),
                        name.span,
                    ));
                }
                (other, _) => {
                    let message = format!("unrecognized role option \"{other}\"");
                    return Err(self.error_at(name.span, SqlState::SYNTAX_ERROR, message));
                }
            }
        }
        let name = fold(&role.name);
        Ok(if role.alter {
            Utility::AlterRole { name, options: o }
        } else {
            Utility::CreateRole { name, if_not_exists: false, options: o }
        })
    }

    fn vacuum(&mut self, v: &own::Vacuum) -> Result<Utility> {
        let statement = if v.only_analyze { "ANALYZE" } else { "VACUUM" };
        if let Some(option) = &v.unknown {
            let message = format!("unrecognized {statement} option \"{}\"", option.value);
            return Err(self.error_at(option.span, SqlState::SYNTAX_ERROR, message));
        }
        if !v.analyze && v.tables.iter().any(|(_, columns)| !columns.is_empty()) {
            let message = "ANALYZE option must be specified when a column list is provided";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let mut tables = Vec::with_capacity(v.tables.len());
        for (name, columns) in &v.tables {
            let table = self.table(name)?;
            for column in columns.iter().map(fold) {
                if !table.columns.iter().any(|c| c.name == column) {
                    let message =
                        format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
                    return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
                }
            }
            tables.push(table);
        }
        Ok(if v.only_analyze {
            Utility::Analyze { tables }
        } else {
            Utility::Vacuum { tables, full: v.full, analyze: v.analyze }
        })
    }

    fn explain(
        &mut self,
        analyze: bool,
        verbose: bool,
        statement: &ast::Statement,
        format: Option<&ast::AnalyzeFormatKind>,
        written: Option<&[ast::UtilityOption]>,
    ) -> Result<BoundKind> {
        let mut options = ExplainOptions {
            analyze,
            verbose,
            costs: true,
            timing: true,
            summary: analyze,
            buffers: false,
            format: ExplainFormat::Text,
        };
        if let Some(ast::AnalyzeFormatKind::Keyword(f) | ast::AnalyzeFormatKind::Assignment(f)) = format {
            options.format = explain_format(&f.to_string())?;
        }
        let mut summary = None;
        for option in written.unwrap_or_default() {
            let name = fold(&option.name);
            let on = || switch(&name, option.arg.as_ref());
            match name.as_str() {
                "analyze" => options.analyze = on()?,
                "verbose" => options.verbose = on()?,
                "costs" => options.costs = on()?,
                "timing" => options.timing = on()?,
                "summary" => summary = Some(on()?),
                "buffers" => options.buffers = on()?,
                "settings" | "wal" => {
                    on()?;
                }
                "format" => {
                    let text = option.arg.as_ref().map_or_else(String::new, plain_text);
                    options.format = explain_format(&text)?;
                }
                other => {
                    let message = format!("unrecognized EXPLAIN option \"{other}\"");
                    return Err(self.error_at(option.name.span, SqlState::SYNTAX_ERROR, message));
                }
            }
        }
        options.summary = summary.unwrap_or(options.analyze);
        let inner = match statement {
            ast::Statement::Query(_)
            | ast::Statement::Insert(_)
            | ast::Statement::Update(_)
            | ast::Statement::Delete(_)
            | ast::Statement::CreateTable(_) => self.statement(statement)?,
            ast::Statement::Execute { .. } => {
                return Err(Error::unsupported("EXPLAIN EXECUTE is not supported"));
            }
            other => return Err(unsupported_statement(other)),
        };
        if matches!(inner, BoundKind::CreateTable(_)) {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"(\""));
        }
        Ok(BoundKind::Explain(Explain { options, inner: Box::new(inner) }))
    }

    fn prepare(
        &mut self,
        name: &ast::Ident,
        data_types: &[ast::DataType],
        statement: &ast::Statement,
    ) -> Result<BoundKind> {
        let param_types = data_types
            .iter()
            .map(|t| match t {
                ast::DataType::Custom(n, _) if folded_name(n) == ["unknown"] => Ok(None),
                t => sql_type(t).map(Some),
            })
            .collect::<Result<Vec<Option<SqlType>>>>()?;
        let Some(outer) = self.statement else {
            return Err(Error::internal("PREPARE outside a statement"));
        };
        let statement = Box::new(outer.with_ast(statement.clone()));
        // Errors show now, not at EXECUTE.
        let input = super::BindInput { param_types: &param_types, params: true, ..*self.input };
        super::bind(&statement, &input)?;
        Ok(BoundKind::Prepare(Prepare { name: fold(name), param_types, statement }))
    }

    fn execute(&mut self, name: &ast::ObjectName, parameters: &[ast::Expr]) -> Result<BoundKind> {
        let (args, level) = self.at_level(Namespace::default(), Clause::Execute, |b| {
            parameters.iter().map(|p| b.expr(p)).collect::<Result<Vec<Expr>>>()
        })?;
        if !level.applies.is_empty() {
            return Err(Error::unsupported("cannot use subquery in EXECUTE parameter"));
        }
        Ok(BoundKind::Execute(Execute { name: folded_name(name).pop().unwrap_or_default(), args }))
    }
}

fn backward() -> Error {
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
        .with_hint("Declare it with SCROLL option to enable backward scan.")
}

/// 0A000 that names the statement by its first words.
fn unsupported_statement(statement: &ast::Statement) -> Error {
    let text = statement.to_string();
    let head: Vec<&str> =
        text.split_whitespace().take_while(|w| w.chars().all(|c| c.is_ascii_uppercase())).take(3).collect();
    Error::unsupported(format!("{} is not supported", head.join(" ")))
}

fn transaction_modes(modes: &[ast::TransactionMode]) -> Result<TransactionModes> {
    let mut out = TransactionModes::default();
    for mode in modes {
        match mode {
            ast::TransactionMode::AccessMode(access) => {
                out.read_only = Some(matches!(access, ast::TransactionAccessMode::ReadOnly));
            }
            ast::TransactionMode::IsolationLevel(level) => {
                out.isolation = Some(match level {
                    ast::TransactionIsolationLevel::ReadUncommitted => IsolationLevel::ReadUncommitted,
                    ast::TransactionIsolationLevel::ReadCommitted => IsolationLevel::ReadCommitted,
                    ast::TransactionIsolationLevel::RepeatableRead => IsolationLevel::RepeatableRead,
                    ast::TransactionIsolationLevel::Serializable => IsolationLevel::Serializable,
                    ast::TransactionIsolationLevel::Snapshot => {
                        return Err(Error::new(
                            SqlState::SYNTAX_ERROR,
                            "syntax error at or near \"SNAPSHOT\"",
                        ));
                    }
                });
            }
        }
    }
    Ok(out)
}

fn set_scope(scope: Option<ast::ContextModifier>) -> SetScope {
    match scope {
        Some(ast::ContextModifier::Local) => SetScope::Local,
        _ => SetScope::Session,
    }
}

fn set_value(values: &[ast::Expr]) -> Result<SetValue> {
    if let [ast::Expr::Identifier(i)] = values
        && i.quote_style.is_none()
        && i.value.eq_ignore_ascii_case("default")
    {
        return Ok(SetValue::Default);
    }
    Ok(SetValue::Text(values.iter().map(plain_text).collect::<Vec<_>>().join(", ")))
}

/// A setting's value as text: words and strings without quotes.
fn plain_text(e: &ast::Expr) -> String {
    match e {
        ast::Expr::Identifier(i) => fold(i),
        ast::Expr::Value(v) => match &v.value {
            ast::Value::SingleQuotedString(s) | ast::Value::EscapedStringLiteral(s) => s.clone(),
            other => other.to_string(),
        },
        ast::Expr::Interval(i) => plain_text(&i.value),
        other => other.to_string(),
    }
}

fn switch(name: &str, arg: Option<&ast::Expr>) -> Result<bool> {
    let Some(arg) = arg else { return Ok(true) };
    match plain_text(arg).to_lowercase().as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("{name} requires a Boolean value"))),
    }
}

fn explain_format(text: &str) -> Result<ExplainFormat> {
    match text.to_lowercase().as_str() {
        "text" => Ok(ExplainFormat::Text),
        "json" => Ok(ExplainFormat::Json),
        other @ ("xml" | "yaml") => {
            Err(Error::unsupported(format!("EXPLAIN (FORMAT {other}) is not supported")))
        }
        other => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized value for EXPLAIN option \"format\": \"{other}\""),
        )),
    }
}
