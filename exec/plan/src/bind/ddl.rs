//! CREATE TABLE, CREATE INDEX, DROP, TRUNCATE, ALTER TABLE: definitions with names resolved.

use spg_expr::{CastContext, ColId, Expr, SystemRelation};
use spg_sql::ast::{self, ColumnOption, Spanned as _, TableConstraint};
use spg_sql::{fold, folded_name};
use spg_types::{
    CheckDef, ColumnDef, Error, ForeignKeyAction, ForeignKeyDef, IndexColumn, IndexDef, IndexId, IndexOrigin,
    Modifier, Result, SqlState, TableDef, TableId, TableOptions, TableRef,
};

use super::Binder;
use super::bound::{
    AlterTable, AlterTableAction, BoundKind, CreateIndex, CreateTable, CreateTableAs, DropIndex, DropTable,
    QueryTag, Truncate, Utility,
};
use super::data_type::sql_type;
use super::dml::new_values;
use super::query::Rel;
use super::scope::{Clause, Namespace};
use super::select::Unknowns;
use crate::{NamedExpr, OutCol, Plan};

/// The schema of names without one.
const DEFAULT_SCHEMA: &str = "public";

impl Binder<'_> {
    pub(super) fn ddl(&mut self, statement: &ast::Statement) -> Result<BoundKind> {
        use ast::Statement as S;
        match statement {
            S::CreateTable(create) => self.create_table(create),
            S::CreateIndex(create) => self.create_index(create),
            S::Drop { object_type, if_exists, names, cascade, .. } => {
                self.drop_objects(*object_type, *if_exists, names, *cascade)
            }
            S::Truncate(truncate) => self.truncate(truncate),
            S::AlterTable(alter) => self.alter_table(alter),
            other => Err(Error::unsupported(format!("{other} is not supported"))),
        }
    }

    /// Schema and name of something to be created; 3F000.
    fn new_name(&self, name: &ast::ObjectName) -> Result<(String, String)> {
        let parts = folded_name(name);
        let (schema, name_part) = match &parts[..] {
            [name] => (DEFAULT_SCHEMA.to_string(), name.clone()),
            [schema, name] | [_, schema, name] => (schema.clone(), name.clone()),
            _ => return Err(self.error_at(name.span(), SqlState::SYNTAX_ERROR, "improper qualified name")),
        };
        if !self.input.catalog.has_schema(&schema) {
            let message = format!("schema \"{schema}\" does not exist");
            return Err(self.error_at(name.span(), SqlState::INVALID_SCHEMA_NAME, message));
        }
        Ok((schema, name_part))
    }

    fn create_table(&mut self, c: &ast::CreateTable) -> Result<BoundKind> {
        let foreign = [
            (c.temporary, "CREATE TEMPORARY TABLE"),
            (c.or_replace, "CREATE OR REPLACE TABLE"),
            (c.external, "CREATE EXTERNAL TABLE"),
            (c.like.is_some(), "CREATE TABLE LIKE"),
            (c.clone.is_some(), "CREATE TABLE CLONE"),
            (c.inherits.is_some(), "INHERITS"),
            (c.partition_by.is_some() || c.partition_of.is_some(), "partitioning"),
            (c.on_commit.is_some(), "ON COMMIT"),
        ];
        if let Some((_, what)) = foreign.iter().find(|(used, _)| *used) {
            return Err(Error::unsupported(format!("{what} is not supported")));
        }
        let (schema, name) = self.new_name(&c.name)?;
        let exists = self.input.catalog.table(Some(&schema), &name).is_some();
        if exists && !c.if_not_exists {
            let message = format!("relation \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        if let Some(query) = &c.query {
            return self.create_table_as(c, schema, name, exists, query);
        }
        let mut table = self.table_def(schema, name, &c.columns, &c.constraints)?;
        table.options = storage_options(&c.table_options)?;
        Ok(BoundKind::CreateTable(CreateTable { table, if_not_exists: c.if_not_exists, exists }))
    }

    fn create_table_as(
        &mut self,
        c: &ast::CreateTable,
        schema: String,
        name: String,
        exists: bool,
        query: &ast::Query,
    ) -> Result<BoundKind> {
        let rel = self.query(query, Unknowns::Text)?;
        if c.columns.len() > rel.columns.len() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "too many column names were specified"));
        }
        let mut columns: Vec<ColumnDef> = vec![];
        for (i, out) in rel.columns.iter().enumerate() {
            let column = c.columns.get(i).map_or_else(|| out.name.clone(), |w| fold(&w.name));
            if columns.iter().any(|k| k.name == column) {
                let message = format!("column \"{column}\" specified more than once");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            let ty = match out.ty.modifier {
                Modifier::Derived { .. } => out.ty.bare(),
                _ => out.ty,
            };
            columns.push(ColumnDef { name: column, ty, not_null: false, default: None });
        }
        let rel = self.stored_types(rel, &columns)?;
        let table = TableDef {
            id: TableId(0),
            schema,
            name,
            columns,
            indexes: vec![],
            checks: vec![],
            foreign_keys: vec![],
            options: storage_options(&c.table_options)?,
        };
        let query = self.finish_query(rel, QueryTag::Select);
        let no_data = c.with_data.as_ref().is_some_and(|w| !w.data);
        Ok(BoundKind::CreateTableAs(CreateTableAs {
            table,
            if_not_exists: c.if_not_exists,
            exists,
            query,
            no_data,
        }))
    }

    /// A query with its columns in the representation that the table's columns have.
    fn stored_types(&mut self, mut rel: Rel, columns: &[ColumnDef]) -> Result<Rel> {
        let same = |(c, d): (&super::scope::ScopeColumn, &ColumnDef)| c.ty.repr() == d.ty.repr();
        if rel.columns.iter().zip(columns).all(same) {
            return Ok(rel);
        }
        let mut exprs: Vec<NamedExpr> = vec![];
        for (c, d) in rel.columns.iter_mut().zip(columns) {
            let expr = if c.ty.repr() == d.ty.repr() { c.expr() } else { self.represent(c.expr(), d.ty)? };
            if !matches!(expr, spg_expr::Expr::Column { .. }) {
                c.id = self.col();
            }
            c.ty = d.ty;
            if exprs.iter().all(|e| e.out.id != c.id) {
                exprs.push(NamedExpr { out: OutCol { id: c.id, name: d.name.clone(), ty: d.ty }, expr });
            }
        }
        rel.plan = Plan::Project { input: Box::new(rel.plan), exprs };
        Ok(rel)
    }

    fn table_def(
        &mut self,
        schema: String,
        name: String,
        columns: &[ast::ColumnDef],
        constraints: &[TableConstraint],
    ) -> Result<TableDef> {
        const MAX_COLUMNS: usize = 1600;
        if columns.len() > MAX_COLUMNS {
            return Err(Error::new(SqlState::TOO_MANY_COLUMNS, "tables can have at most 1600 columns"));
        }
        let mut table = TableDef {
            id: TableId(0),
            schema,
            name,
            columns: vec![],
            indexes: vec![],
            checks: vec![],
            foreign_keys: vec![],
            options: TableOptions::default(),
        };
        for c in columns {
            let column = self.column_def(c)?;
            if table.column(&column.name).is_some() {
                let message = format!("column \"{}\" specified more than once", column.name);
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            table.columns.push(column);
        }
        // Keys first, so that foreign keys may refer to them, also to the table's own.
        let mut later: Vec<(TableConstraint, Option<String>)> = vec![];
        for c in columns {
            let column = fold(&c.name);
            for option in &c.options {
                match column_constraint(option, &c.name) {
                    Some(key @ (TableConstraint::PrimaryKey(_) | TableConstraint::Unique(_))) => {
                        self.add_key(&mut table, &key)?;
                    }
                    Some(other) => later.push((other, Some(column.clone()))),
                    None => {}
                }
            }
        }
        for constraint in constraints {
            match constraint {
                key @ (TableConstraint::PrimaryKey(_) | TableConstraint::Unique(_)) => {
                    self.add_key(&mut table, key)?;
                }
                other => later.push((other.clone(), None)),
            }
        }
        // The primary key's index stands first.
        table.indexes.sort_by_key(|i| i.origin != IndexOrigin::PrimaryKey);
        for (at, index) in table.indexes.iter_mut().enumerate() {
            index.id = IndexId(u32::try_from(at).unwrap_or(u32::MAX));
        }
        for (constraint, column) in later {
            match constraint {
                TableConstraint::Check(check) => {
                    let check = self.check_def(&table, &check, column.as_deref())?;
                    table.checks.push(check);
                }
                TableConstraint::ForeignKey(key) => {
                    let key = self.foreign_key(&table, &key)?;
                    table.foreign_keys.push(key);
                }
                other => return Err(Error::unsupported(format!("constraint {other} is not supported"))),
            }
        }
        Ok(table)
    }

    fn column_def(&mut self, c: &ast::ColumnDef) -> Result<ColumnDef> {
        let name = fold(&c.name);
        let ty = sql_type(&c.data_type).map_err(|e| self.locate_type(e, &c.data_type, c.name.span))?;
        let mut column = ColumnDef { name, ty, not_null: false, default: None };
        let mut nullable = false;
        for option in &c.options {
            match &option.option {
                ColumnOption::NotNull => column.not_null = true,
                ColumnOption::Null => nullable = true,
                ColumnOption::Default(e) => column.default = self.default_text(e, &column)?,
                ColumnOption::PrimaryKey(_) => column.not_null = true,
                ColumnOption::Unique(_) | ColumnOption::ForeignKey(_) | ColumnOption::Check(_) => {}
                ColumnOption::Collation(_) => {}
                other => return Err(Error::unsupported(format!("column option {other} is not supported"))),
            }
        }
        if nullable && column.not_null {
            let message = format!("conflicting NULL/NOT NULL declarations for column \"{}\"", column.name);
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        Ok(column)
    }

    /// A default's text, after it was seen to fit; `None` for NULL.
    fn default_text(&mut self, e: &ast::Expr, column: &ColumnDef) -> Result<Option<String>> {
        let (value, level) = self.at_level(Namespace::default(), Clause::Default, |b| {
            b.expr(e).map_err(|error| match error.state() {
                SqlState::UNDEFINED_COLUMN => {
                    let message = "cannot use column reference in DEFAULT expression";
                    b.error_at(e.span(), SqlState::FEATURE_NOT_SUPPORTED, message)
                }
                _ => error,
            })
        })?;
        if !level.applies.is_empty() {
            let message = "cannot use subquery in DEFAULT expression";
            return Err(self.error_at(e.span(), SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let from = value.ty();
        let is_null = matches!(&value, spg_expr::Expr::Const { value, .. } if value.is_null());
        match self.coerce(value, column.ty, CastContext::Assignment)? {
            Some(_) if is_null => Ok(None),
            Some(_) => Ok(Some(e.to_string())),
            None => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" is of type {} but default expression is of type {}",
                    column.name, column.ty.def.sql_name, from.def.sql_name
                ),
            )
            .with_hint("You will need to rewrite or cast the expression.")),
        }
    }

    /// Adds the index of PRIMARY KEY or UNIQUE.
    fn add_key(&mut self, table: &mut TableDef, constraint: &TableConstraint) -> Result<()> {
        let index = self.key_index(table, constraint)?;
        if index.origin == IndexOrigin::PrimaryKey {
            if table.primary_key().is_some() {
                let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            for column in &index.columns {
                table.columns[column.column].not_null = true;
            }
        }
        table.indexes.push(index);
        Ok(())
    }

    fn key_index(&self, table: &TableDef, constraint: &TableConstraint) -> Result<IndexDef> {
        let (name, columns, origin, characteristics) = match constraint {
            TableConstraint::PrimaryKey(k) => {
                (&k.name, &k.columns, IndexOrigin::PrimaryKey, k.characteristics.as_ref())
            }
            TableConstraint::Unique(k) => {
                if k.nulls_distinct == ast::NullsDistinctOption::NotDistinct {
                    return Err(Error::unsupported("UNIQUE NULLS NOT DISTINCT is not supported"));
                }
                (&k.name, &k.columns, IndexOrigin::UniqueConstraint, k.characteristics.as_ref())
            }
            _ => return Err(Error::internal("not a key")),
        };
        refuse_deferrable(characteristics)?;
        let columns = self.index_columns(table, columns, "key")?;
        let names: Vec<&str> = columns.iter().map(|c| table.columns[c.column].name.as_str()).collect();
        let name = match (name, origin) {
            (Some(name), _) => self.constraint_name(table, name)?,
            (None, IndexOrigin::PrimaryKey) => free_name(table, &format!("{}_pkey", table.name)),
            (None, _) => free_name(table, &format!("{}_{}_key", table.name, names.join("_"))),
        };
        Ok(IndexDef { id: IndexId(0), name, columns, unique: true, origin })
    }

    /// A name that no other constraint of the table has; 42710.
    fn constraint_name(&self, table: &TableDef, name: &ast::Ident) -> Result<String> {
        let name = fold(name);
        if is_taken(table, &name) {
            let message = format!("constraint \"{name}\" for relation \"{}\" already exists", table.name);
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        Ok(name)
    }

    fn index_columns(
        &self,
        table: &TableDef,
        columns: &[ast::IndexColumn],
        what: &str,
    ) -> Result<Vec<IndexColumn>> {
        let mut out: Vec<IndexColumn> = vec![];
        for c in columns {
            let ast::Expr::Identifier(ident) = super::subquery::strip(&c.column.expr) else {
                return Err(self.locate(
                    Error::unsupported("indexes on expressions are not supported"),
                    c.column.expr.span(),
                ));
            };
            let name = fold(ident);
            let Some(column) = table.column(&name) else {
                let message = match what {
                    "key" => format!("column \"{name}\" named in key does not exist"),
                    _ => format!("column \"{name}\" does not exist"),
                };
                return Err(self.error_at(ident.span, SqlState::UNDEFINED_COLUMN, message));
            };
            if what == "key" && out.iter().any(|o| o.column == column) {
                let message = format!("column \"{name}\" appears twice in unique constraint");
                return Err(self.error_at(ident.span, SqlState::DUPLICATE_COLUMN, message));
            }
            let (descending, nulls_first) = self.direction(&c.column.options)?;
            out.push(IndexColumn { column, descending, nulls_first });
        }
        Ok(out)
    }

    fn check_def(
        &mut self,
        table: &TableDef,
        check: &ast::CheckConstraint,
        column: Option<&str>,
    ) -> Result<CheckDef> {
        if check.enforced == Some(false) {
            return Err(Error::unsupported("NOT ENFORCED is not supported"));
        }
        let ids: Vec<ColId> = table.columns.iter().map(|_| self.col()).collect();
        let relation = new_values(&TableRef::new(table.clone()), &ids, table.name.clone());
        let statement = self.statement;
        let condition = self.check(&check.expr, relation);
        self.statement = statement;
        let read: Vec<ColId> = condition?.columns().into_iter().collect();
        let only = match &read[..] {
            [one] => ids.iter().position(|i| i == one).map(|at| table.columns[at].name.as_str()),
            _ => None,
        };
        let name = match (&check.name, column.or(only)) {
            (Some(name), _) => self.constraint_name(table, name)?,
            (None, Some(column)) => free_name(table, &format!("{}_{column}_check", table.name)),
            (None, None) => free_name(table, &format!("{}_check", table.name)),
        };
        Ok(CheckDef { name, expr: check.expr.to_string() })
    }

    fn foreign_key(&mut self, table: &TableDef, key: &ast::ForeignKeyConstraint) -> Result<ForeignKeyDef> {
        refuse_deferrable(key.characteristics.as_ref())?;
        if matches!(
            key.match_kind,
            Some(ast::ConstraintReferenceMatchKind::Partial | ast::ConstraintReferenceMatchKind::Full)
        ) {
            return Err(Error::unsupported("MATCH FULL and MATCH PARTIAL are not supported"));
        }
        let place = |t: &TableDef, c: &ast::Ident| {
            t.column(&fold(c)).ok_or_else(|| {
                let message =
                    format!("column \"{}\" referenced in foreign key constraint does not exist", fold(c));
                self.error_at(c.span, SqlState::UNDEFINED_COLUMN, message)
            })
        };
        let columns = key.columns.iter().map(|c| place(table, c)).collect::<Result<Vec<_>>>()?;
        let parts = folded_name(&key.foreign_table);
        let own = match &parts[..] {
            [name] => *name == table.name && table.schema == DEFAULT_SCHEMA,
            [schema, name] => *name == table.name && *schema == table.schema,
            _ => false,
        };
        let found = if own {
            None
        } else {
            Some(self.table_for(&key.foreign_table, |r| {
                let message = format!("referenced relation \"{}\" is not a table", r.name);
                Error::new(SqlState::WRONG_OBJECT_TYPE, message)
            })?)
        };
        let referred: &TableDef = found.as_deref().unwrap_or(table);
        let ref_columns = if key.referred_columns.is_empty() {
            let Some(primary) = referred.primary_key() else {
                let message = format!("there is no primary key for referenced table \"{}\"", referred.name);
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            };
            primary.columns.iter().map(|c| c.column).collect()
        } else {
            key.referred_columns.iter().map(|c| place(referred, c)).collect::<Result<Vec<_>>>()?
        };
        if columns.len() != ref_columns.len() {
            return Err(Error::new(
                SqlState::INVALID_FOREIGN_KEY,
                "number of referencing and referenced columns for foreign key disagree",
            ));
        }
        let covers = |i: &&IndexDef| {
            i.unique
                && i.columns.len() == ref_columns.len()
                && i.columns.iter().all(|c| ref_columns.contains(&c.column))
        };
        let Some(index) = referred.indexes.iter().find(covers) else {
            let message = format!(
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                referred.name
            );
            return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message));
        };
        let names: Vec<&str> = columns.iter().map(|c| table.columns[*c].name.as_str()).collect();
        let name = match &key.name {
            Some(name) => self.constraint_name(table, name)?,
            None => free_name(table, &format!("{}_{}_fkey", table.name, names.join("_"))),
        };
        for (&c, &r) in columns.iter().zip(&ref_columns) {
            let (from, to) = (&table.columns[c], &referred.columns[r]);
            if !self.can_coerce(from.ty.def, to.ty.def, CastContext::Implicit)
                && !self.can_coerce(to.ty.def, from.ty.def, CastContext::Implicit)
            {
                let message = format!("foreign key constraint \"{name}\" cannot be implemented");
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).with_detail(format!(
                    "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                    from.name, to.name, from.ty.def.sql_name, to.ty.def.sql_name
                )));
            }
        }
        Ok(ForeignKeyDef {
            name,
            columns,
            ref_table: referred.id,
            ref_columns,
            ref_index: index.id,
            on_delete: action(key.on_delete)?,
            on_update: action(key.on_update)?,
        })
    }

    fn create_index(&mut self, c: &ast::CreateIndex) -> Result<BoundKind> {
        if c.predicate.is_some() || !c.include.is_empty() || c.nulls_distinct == Some(false) {
            return Err(Error::unsupported("partial and covering indexes are not supported"));
        }
        match &c.using {
            None | Some(ast::IndexType::BTree) => {}
            Some(other) => {
                return Err(Error::unsupported(format!(
                    "index access method {} is not supported",
                    other.to_string().to_lowercase()
                )));
            }
        }
        let table = self.table_for(&c.table_name, |r| {
            not_for_views(format!("cannot create index on relation \"{}\"", r.name))
        })?;
        let columns = self.index_columns(&table, &c.columns, "index")?;
        let names: Vec<&str> = columns.iter().map(|i| table.columns[i.column].name.as_str()).collect();
        let name = match &c.name {
            Some(name) => folded_name(name).pop().unwrap_or_default(),
            None => free_name(&table, &format!("{}_{}_idx", table.name, names.join("_"))),
        };
        let index =
            IndexDef { id: IndexId(0), name, columns, unique: c.unique, origin: IndexOrigin::Created };
        Ok(BoundKind::CreateIndex(CreateIndex { table, index, if_not_exists: c.if_not_exists }))
    }

    fn drop_objects(
        &mut self,
        object_type: ast::ObjectType,
        if_exists: bool,
        names: &[ast::ObjectName],
        cascade: bool,
    ) -> Result<BoundKind> {
        match object_type {
            ast::ObjectType::Table => {
                let (mut tables, mut missing) = (vec![], vec![]);
                for name in names {
                    match self.table(name) {
                        Ok(table) => tables.push(table),
                        Err(e) if e.state() == SqlState::WRONG_OBJECT_TYPE => {
                            return Err(e.with_hint("Use DROP VIEW to remove a view."));
                        }
                        Err(_) if if_exists => missing.push(folded_name(name).pop().unwrap_or_default()),
                        Err(_) => {
                            let last = folded_name(name).pop().unwrap_or_default();
                            if self.input.catalog.has_index(&last) {
                                let message = format!("\"{last}\" is not a table");
                                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                                    .with_hint("Use DROP INDEX to remove an index."));
                            }
                            let message = format!("table \"{}\" does not exist", folded_name(name).join("."));
                            return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
                        }
                    }
                }
                Ok(BoundKind::DropTable(DropTable { tables, missing, cascade }))
            }
            ast::ObjectType::Index => Ok(BoundKind::DropIndex(DropIndex {
                names: names.iter().map(|n| folded_name(n).pop().unwrap_or_default()).collect(),
                if_exists,
                cascade,
            })),
            ast::ObjectType::Role | ast::ObjectType::User => Ok(BoundKind::Utility(Utility::DropRole {
                names: names.iter().map(|n| folded_name(n).pop().unwrap_or_default()).collect(),
                if_exists,
            })),
            other => Err(Error::unsupported(format!("DROP {other} is not supported"))),
        }
    }

    fn truncate(&mut self, t: &ast::Truncate) -> Result<BoundKind> {
        let tables = t.table_names.iter().map(|n| self.table(&n.name)).collect::<Result<Vec<_>>>()?;
        let cascade = matches!(t.cascade, Some(ast::CascadeOption::Cascade));
        Ok(BoundKind::Truncate(Truncate { tables, cascade }))
    }

    fn alter_table(&mut self, a: &ast::AlterTable) -> Result<BoundKind> {
        let name = folded_name(&a.name).join(".");
        let action = a.operations.first().map(action_name).unwrap_or_default();
        let refused = |r: &SystemRelation| {
            let relation = r.name;
            not_for_views(format!("ALTER action {action} cannot be performed on relation \"{relation}\""))
        };
        let table = match self.table_for(&a.name, refused) {
            Ok(table) => table,
            Err(e) if a.if_exists && e.state() == SqlState::UNDEFINED_TABLE => {
                return Ok(BoundKind::AlterTable(AlterTable { table: None, name, actions: vec![] }));
            }
            Err(e) => return Err(e),
        };
        // Actions see what those before them did.
        let mut after = TableDef::clone(&table);
        let mut actions = vec![];
        for operation in &a.operations {
            actions.extend(self.alter_action(&mut after, operation)?);
        }
        Ok(BoundKind::AlterTable(AlterTable { table: Some(table), name, actions }))
    }

    fn alter_action(
        &mut self,
        table: &mut TableDef,
        operation: &ast::AlterTableOperation,
    ) -> Result<Vec<AlterTableAction>> {
        use ast::AlterTableOperation as O;
        let cascades = |b: &Option<ast::DropBehavior>| matches!(b, Some(ast::DropBehavior::Cascade));
        Ok(vec![match operation {
            O::AddConstraint { constraint, not_valid: false } => self.add_constraint(table, constraint)?,
            O::DropConstraint { if_exists, name, drop_behavior } => AlterTableAction::DropConstraint {
                name: fold(name),
                if_exists: *if_exists,
                cascade: cascades(drop_behavior),
            },
            O::AddColumn { if_not_exists, column_def, column_position: None, .. } => {
                return self.add_column(table, column_def, *if_not_exists);
            }
            O::DropColumn { column_names, if_exists, drop_behavior, .. } => {
                let mut actions = vec![];
                for ident in column_names {
                    let column = match self.altered_column(table, ident) {
                        Ok(at) => Some(at),
                        Err(_) if *if_exists => None,
                        Err(e) => return Err(e),
                    };
                    let checks = column.map_or(Ok(vec![]), |at| self.drop_bound_column(table, at))?;
                    let cascade = cascades(drop_behavior);
                    actions.push(AlterTableAction::DropColumn { column, name: fold(ident), checks, cascade });
                }
                return Ok(actions);
            }
            O::RenameColumn { old_column_name, new_column_name } => {
                let old = fold(old_column_name);
                let Some(column) = table.column(&old) else {
                    let message = format!("column \"{old}\" does not exist");
                    return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
                };
                let name = fold(new_column_name);
                if table.column(&name).is_some() {
                    let message = format!("column \"{name}\" of relation \"{}\" already exists", table.name);
                    return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
                }
                table.columns[column].name.clone_from(&name);
                AlterTableAction::RenameColumn { column, name }
            }
            O::RenameTable {
                table_name: ast::RenameTableNameKind::To(n) | ast::RenameTableNameKind::As(n),
            } => AlterTableAction::RenameTable(folded_name(n).pop().unwrap_or_default()),
            O::RenameConstraint { old_name, new_name } => {
                AlterTableAction::RenameConstraint { from: fold(old_name), to: fold(new_name) }
            }
            O::AlterColumn { column_name, op } => {
                let column = self.altered_column(table, column_name)?;
                match op {
                    ast::AlterColumnOperation::SetNotNull => {
                        AlterTableAction::SetNotNull { column, not_null: true }
                    }
                    ast::AlterColumnOperation::DropNotNull => {
                        AlterTableAction::SetNotNull { column, not_null: false }
                    }
                    ast::AlterColumnOperation::DropDefault => {
                        AlterTableAction::SetDefault { column, default: None }
                    }
                    ast::AlterColumnOperation::SetDefault { value } => {
                        let default = self.default_text(value, &table.columns[column].clone())?;
                        AlterTableAction::SetDefault { column, default }
                    }
                    other => {
                        return Err(Error::unsupported(format!("ALTER COLUMN {other} is not supported")));
                    }
                }
            }
            O::SetOptionsParens { options } => AlterTableAction::SetOptions(option_list(options)?),
            O::ResetOptions { options } => {
                AlterTableAction::ResetOptions(options.iter().map(|o| folded_name(o).join(".")).collect())
            }
            O::OwnerTo { new_owner } => AlterTableAction::OwnerTo(new_owner.to_string()),
            other => return Err(Error::unsupported(format!("ALTER TABLE {other} is not supported"))),
        }])
    }

    fn altered_column(&self, table: &TableDef, ident: &ast::Ident) -> Result<usize> {
        table.column(&fold(ident)).ok_or_else(|| {
            let message = format!("column \"{}\" of relation \"{}\" does not exist", fold(ident), table.name);
            Error::new(SqlState::UNDEFINED_COLUMN, message)
        })
    }

    fn add_constraint(
        &mut self,
        table: &mut TableDef,
        constraint: &TableConstraint,
    ) -> Result<AlterTableAction> {
        match constraint {
            TableConstraint::PrimaryKey(_) | TableConstraint::Unique(_) => {
                self.add_key(table, constraint)?;
                match table.indexes.last() {
                    Some(index) => Ok(AlterTableAction::AddIndex(index.clone())),
                    None => Err(Error::internal("a key without an index")),
                }
            }
            TableConstraint::Check(check) => {
                let check = self.check_def(table, check, None)?;
                let (condition, columns) = self.check_condition(table, &check)?;
                table.checks.push(check.clone());
                Ok(AlterTableAction::AddCheck { check, condition, columns })
            }
            TableConstraint::ForeignKey(key) => {
                let key = self.foreign_key(table, key)?;
                table.foreign_keys.push(key.clone());
                Ok(AlterTableAction::AddForeignKey(key))
            }
            other => Err(Error::unsupported(format!("constraint {other} is not supported"))),
        }
    }

    /// A CHECK's condition, and the columns in it that stand for the table's.
    fn check_condition(&mut self, table: &TableDef, check: &CheckDef) -> Result<(Expr, Vec<ColId>)> {
        let ids: Vec<ColId> = table.columns.iter().map(|_| self.col()).collect();
        let relation = new_values(&TableRef::new(table.clone()), &ids, table.name.clone());
        let condition = self.check(&spg_sql::parse_expr(&check.expr)?, relation)?;
        Ok((condition, ids))
    }

    /// Takes a column and what goes with it out of the definition; the names of the CHECK constraints among that.
    fn drop_bound_column(&mut self, table: &mut TableDef, at: usize) -> Result<Vec<String>> {
        let mut checks = vec![];
        for check in &table.checks {
            let (condition, columns) = self.check_condition(table, check)?;
            if condition.columns().contains(&columns[at]) {
                checks.push(check.name.clone());
            }
        }
        table.checks.retain(|c| !checks.contains(&c.name));
        table.indexes.retain(|i| i.columns.iter().all(|c| c.column != at));
        let own = table.id;
        table
            .foreign_keys
            .retain(|k| !(k.columns.contains(&at) || (k.ref_table == own && k.ref_columns.contains(&at))));
        *table = table.without_column(at);
        Ok(checks)
    }

    fn add_column(
        &mut self,
        table: &mut TableDef,
        c: &ast::ColumnDef,
        if_not_exists: bool,
    ) -> Result<Vec<AlterTableAction>> {
        let column = self.column_def(c)?;
        let exists = table.column(&column.name).is_some();
        if exists && !if_not_exists {
            let message = format!("column \"{}\" of relation \"{}\" already exists", column.name, table.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        table.columns.push(column.clone());
        let value = self.default_of(&TableRef::new(table.clone()), table.columns.len() - 1)?;
        let mut actions = vec![AlterTableAction::AddColumn { column, exists, value }];
        if exists {
            table.columns.pop();
        } else {
            for option in &c.options {
                if let Some(constraint) = column_constraint(option, &c.name) {
                    actions.push(self.add_constraint(table, &constraint)?);
                }
            }
        }
        Ok(actions)
    }
}

/// A column's constraint as one of the table's.
fn column_constraint(option: &ast::ColumnOptionDef, column: &ast::Ident) -> Option<TableConstraint> {
    let of = |ident: &ast::Ident| ast::IndexColumn {
        column: ast::OrderByExpr {
            expr: ast::Expr::Identifier(ident.clone()),
            options: ast::OrderByOptions { sort: None, nulls_first: None },
            with_fill: None,
        },
        operator_class: None,
    };
    let name = option.name.clone();
    match &option.option {
        ColumnOption::PrimaryKey(k) => Some(TableConstraint::PrimaryKey(ast::PrimaryKeyConstraint {
            columns: vec![of(column)],
            name: name.or_else(|| k.name.clone()),
            ..k.clone()
        })),
        ColumnOption::Unique(k) => Some(TableConstraint::Unique(ast::UniqueConstraint {
            columns: vec![of(column)],
            name: name.or_else(|| k.name.clone()),
            ..k.clone()
        })),
        ColumnOption::ForeignKey(k) => Some(TableConstraint::ForeignKey(ast::ForeignKeyConstraint {
            columns: vec![column.clone()],
            name: name.or_else(|| k.name.clone()),
            ..k.clone()
        })),
        ColumnOption::Check(k) => Some(TableConstraint::Check(ast::CheckConstraint {
            name: name.or_else(|| k.name.clone()),
            ..k.clone()
        })),
        _ => None,
    }
}

fn refuse_deferrable(c: Option<&ast::ConstraintCharacteristics>) -> Result<()> {
    match c {
        Some(c) if c.deferrable == Some(true) || c.initially == Some(ast::DeferrableInitial::Deferred) => {
            Err(Error::unsupported("deferrable constraints are not supported"))
        }
        Some(c) if c.enforced == Some(false) => Err(Error::unsupported("NOT ENFORCED is not supported")),
        _ => Ok(()),
    }
}

fn action(action: Option<ast::ReferentialAction>) -> Result<ForeignKeyAction> {
    match action {
        None | Some(ast::ReferentialAction::NoAction) => Ok(ForeignKeyAction::NoAction),
        Some(ast::ReferentialAction::Restrict) => Ok(ForeignKeyAction::Restrict),
        Some(other) => Err(Error::unsupported(format!("foreign key action {other} is not supported"))),
    }
}

fn is_taken(table: &TableDef, name: &str) -> bool {
    table.indexes.iter().any(|i| i.name == name)
        || table.checks.iter().any(|c| c.name == name)
        || table.foreign_keys.iter().any(|k| k.name == name)
}

/// `base`, or with a number behind it where the table has that name already; at most 63 bytes.
fn free_name(table: &TableDef, base: &str) -> String {
    const MAX_BYTES: usize = 63;
    let fit = |suffix: &str| {
        let mut end = base.len().min(MAX_BYTES - suffix.len());
        while !base.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}{suffix}", &base[..end])
    };
    let mut name = fit("");
    let mut number = 0;
    while is_taken(table, &name) {
        number += 1;
        name = fit(&number.to_string());
    }
    name
}

/// The parameters of `WITH (...)`; 22023.
fn storage_options(options: &ast::CreateTableOptions) -> Result<TableOptions> {
    let mut set = TableOptions::default();
    match options {
        ast::CreateTableOptions::None => {}
        ast::CreateTableOptions::With(options) => {
            let written = option_list(options)?;
            set.set(written.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        }
        _ => return Err(Error::unsupported("these table options are not supported")),
    }
    Ok(set)
}

fn option_list(options: &[ast::SqlOption]) -> Result<Vec<(String, String)>> {
    options
        .iter()
        .map(|o| match o {
            ast::SqlOption::KeyValue { key, value } => {
                let text = match value {
                    ast::Expr::Value(v) => match &v.value {
                        ast::Value::SingleQuotedString(s) => s.clone(),
                        other => other.to_string(),
                    },
                    other => other.to_string(),
                };
                Ok((folded_name(key).join("."), text))
            }
            ast::SqlOption::Ident(name) => Ok((folded_name(name).join("."), "true".into())),
            other => Err(Error::unsupported(format!("table option {other} is not supported"))),
        })
        .collect()
}

/// 42809: what PostgreSQL says of what views do not take part in.
fn not_for_views(message: String) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_detail("This operation is not supported for views.")
}

/// An action of ALTER TABLE as PostgreSQL names it.
fn action_name(operation: &ast::AlterTableOperation) -> String {
    use ast::AlterTableOperation as O;
    match operation {
        O::AddColumn { .. } => "ADD COLUMN".into(),
        O::DropColumn { .. } => "DROP COLUMN".into(),
        O::AddConstraint { .. } => "ADD CONSTRAINT".into(),
        O::DropConstraint { .. } => "DROP CONSTRAINT".into(),
        O::AlterColumn { op: ast::AlterColumnOperation::SetNotNull, .. } => {
            "ALTER COLUMN ... SET NOT NULL".into()
        }
        O::AlterColumn { op: ast::AlterColumnOperation::DropNotNull, .. } => {
            "ALTER COLUMN ... DROP NOT NULL".into()
        }
        O::AlterColumn { .. } => "ALTER COLUMN".into(),
        O::SetOptionsParens { .. } => "SET".into(),
        O::ResetOptions { .. } => "RESET".into(),
        O::RenameTable { .. } | O::RenameColumn { .. } | O::RenameConstraint { .. } => "RENAME".into(),
        other => other.to_string(),
    }
}
