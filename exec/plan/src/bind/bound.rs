//! What binding gives: a plan for queries, resolved definitions and options for the rest.

use spg_expr::{ColId, Expr};
use spg_sql::Statement;
use spg_types::{CheckDef, ColumnDef, ForeignKeyDef, IndexDef, IndexId, SqlType, TableDef, TableRef};

use crate::Plan;

/// A bound statement.
#[derive(Clone, Debug)]
pub struct Bound {
    /// What it does.
    pub kind: BoundKind,
    /// The types of `$1`, `$2`, ...
    pub params: Vec<SqlType>,
}

/// The command tag of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum QueryTag {
    Select,
    Insert,
    Update,
    Delete,
}

/// A column of a result, as RowDescription tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
    /// The table it comes from unchanged, 0 for none.
    pub table_oid: u32,
    /// Its number in that table, from 1; 0 for none.
    pub column_no: i16,
}

/// A statement with a plan: SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE.
#[derive(Clone, Debug)]
pub struct Query {
    /// Its command tag.
    pub tag: QueryTag,
    /// Its plan. Its columns may be more than the result's, and in another order.
    pub plan: Plan,
    /// The result's columns; none for a change without RETURNING.
    pub columns: Vec<ResultColumn>,
    /// The plan's column of each result column; one may stand twice.
    pub output: Vec<ColId>,
    /// FOR UPDATE, FOR SHARE and the like: the transaction writes alone.
    pub row_locks: bool,
}

impl Query {
    /// Whether it inserts, updates or deletes, be it inside WITH.
    pub fn changes_data(&self) -> bool {
        fn changes(plan: &Plan) -> bool {
            matches!(plan, Plan::Modify(_)) || plan.inputs().into_iter().any(changes)
        }
        self.tag != QueryTag::Select || changes(&self.plan)
    }
}

/// A statement with its names and types resolved.
#[allow(clippy::large_enum_variant, reason = "one per statement, handled by reference")]
#[derive(Clone, Debug)]
pub enum BoundKind {
    /// SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE.
    Query(Query),
    /// CREATE TABLE.
    CreateTable(CreateTable),
    /// CREATE TABLE ... AS.
    CreateTableAs(CreateTableAs),
    /// DROP TABLE.
    DropTable(DropTable),
    /// CREATE INDEX.
    CreateIndex(CreateIndex),
    /// DROP INDEX.
    DropIndex(DropIndex),
    /// TRUNCATE.
    Truncate(Truncate),
    /// ALTER TABLE.
    AlterTable(AlterTable),
    /// EXPLAIN.
    Explain(Explain),
    /// COPY.
    Copy(Copy),
    /// PREPARE.
    Prepare(Prepare),
    /// EXECUTE.
    Execute(Execute),
    /// What needs neither plan nor catalog.
    Utility(Utility),
}

/// CREATE TABLE. In `table`, ids are 0 and an index's id is its place in `indexes`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    /// The definition. A foreign key to the table itself has `ref_table` 0 and as `ref_index` the index's place.
    pub table: TableDef,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The table exists, so IF NOT EXISTS does nothing.
    pub exists: bool,
}

/// CREATE TABLE ... AS.
#[derive(Clone, Debug)]
pub struct CreateTableAs {
    /// The definition: its columns are the query's.
    pub table: TableDef,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The table exists, so IF NOT EXISTS does nothing.
    pub exists: bool,
    /// The rows: output columns in the table's order.
    pub query: Query,
    /// WITH NO DATA.
    pub no_data: bool,
}

/// DROP TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct DropTable {
    /// The tables that exist.
    pub tables: Vec<TableRef>,
    /// Names of those that don't (IF EXISTS): each gets the notice `table "x" does not exist, skipping`.
    pub missing: Vec<String>,
    /// CASCADE.
    pub cascade: bool,
}

/// CREATE INDEX.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateIndex {
    /// The table.
    pub table: TableRef,
    /// The index, id 0; its name is made up where none was given.
    pub index: IndexDef,
    /// IF NOT EXISTS: an index of that name makes this a no-op with a notice.
    pub if_not_exists: bool,
}

/// DROP INDEX. Index names are looked up by the store: schema and name.
#[derive(Clone, Debug, PartialEq)]
pub struct DropIndex {
    /// The indexes' names.
    pub names: Vec<String>,
    /// IF EXISTS.
    pub if_exists: bool,
    /// CASCADE.
    pub cascade: bool,
}

/// TRUNCATE.
#[derive(Clone, Debug, PartialEq)]
pub struct Truncate {
    /// The tables.
    pub tables: Vec<TableRef>,
    /// CASCADE: also the tables that refer to them.
    pub cascade: bool,
}

/// ALTER TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    /// The table; `None` when IF EXISTS found none.
    pub table: Option<TableRef>,
    /// Its name as written.
    pub name: String,
    /// What is done, in order.
    pub actions: Vec<AlterTableAction>,
}

/// One action of ALTER TABLE.
#[derive(Clone, Debug, PartialEq)]
pub enum AlterTableAction {
    /// ADD PRIMARY KEY or UNIQUE; the id is 0. A primary key's columns become NOT NULL.
    AddIndex(IndexDef),
    /// ADD CHECK; existing rows are checked.
    AddCheck {
        /// The constraint.
        check: CheckDef,
        /// Its condition.
        condition: Expr,
        /// The table's columns in `condition`.
        columns: Vec<ColId>,
    },
    /// ADD FOREIGN KEY; existing rows are checked.
    AddForeignKey(ForeignKeyDef),
    /// DROP CONSTRAINT.
    DropConstraint {
        /// Its name.
        name: String,
        /// IF EXISTS.
        if_exists: bool,
        /// CASCADE.
        cascade: bool,
    },
    /// ADD COLUMN; existing rows get the default.
    AddColumn {
        /// The column.
        column: ColumnDef,
        /// IF NOT EXISTS, and it exists.
        exists: bool,
        /// What existing rows get.
        value: Expr,
    },
    /// DROP COLUMN, by position.
    DropColumn {
        /// Position; `None` when IF EXISTS found none.
        column: Option<usize>,
        /// Its name.
        name: String,
        /// The CHECK constraints that go with it.
        checks: Vec<String>,
        /// CASCADE.
        cascade: bool,
    },
    /// RENAME COLUMN.
    RenameColumn {
        /// Position.
        column: usize,
        /// New name.
        name: String,
    },
    /// RENAME TO.
    RenameTable(String),
    /// RENAME CONSTRAINT.
    RenameConstraint {
        /// Old name.
        from: String,
        /// New name.
        to: String,
    },
    /// ALTER COLUMN SET/DROP NOT NULL.
    SetNotNull {
        /// Position.
        column: usize,
        /// SET rather than DROP.
        not_null: bool,
    },
    /// ALTER COLUMN SET/DROP DEFAULT.
    SetDefault {
        /// Position.
        column: usize,
        /// The expression's text.
        default: Option<String>,
    },
    /// `SET (name = value)`.
    SetOptions(Vec<(String, String)>),
    /// `RESET (name)`.
    ResetOptions(Vec<String>),
    /// OWNER TO.
    OwnerTo(String),
}

/// How EXPLAIN prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ExplainFormat {
    #[default]
    Text,
    Json,
}

/// EXPLAIN's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ExplainOptions {
    pub analyze: bool,
    pub verbose: bool,
    pub costs: bool,
    pub timing: bool,
    pub summary: bool,
    pub buffers: bool,
    pub format: ExplainFormat,
}

/// EXPLAIN.
#[derive(Clone, Debug)]
pub struct Explain {
    /// How.
    pub options: ExplainOptions,
    /// What: a query or CREATE TABLE AS.
    pub inner: Box<BoundKind>,
}

/// Which way COPY goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// FROM STDIN.
    In,
    /// TO STDOUT.
    Out,
}

/// COPY's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
}

/// COPY's options, all set.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyOptions {
    /// FORMAT.
    pub format: CopyFormat,
    /// DELIMITER, one byte.
    pub delimiter: u8,
    /// NULL.
    pub null: String,
    /// HEADER.
    pub header: bool,
    /// HEADER MATCH: names must agree.
    pub header_match: bool,
    /// QUOTE, one byte.
    pub quote: u8,
    /// ESCAPE, one byte.
    pub escape: u8,
    /// FORCE_QUOTE: per copied column.
    pub force_quote: Vec<bool>,
    /// FORCE_NOT_NULL: per copied column.
    pub force_not_null: Vec<bool>,
    /// FORCE_NULL: per copied column.
    pub force_null: Vec<bool>,
}

/// What COPY copies.
#[allow(clippy::large_enum_variant, reason = "one per statement, handled by reference")]
#[derive(Clone, Debug)]
pub enum CopySource {
    /// A table's columns, by position, in the order of the data.
    Table {
        /// The table.
        table: TableRef,
        /// Its columns.
        columns: Vec<usize>,
    },
    /// A query's result.
    Query(Query),
}

/// COPY.
#[derive(Clone, Debug)]
pub struct Copy {
    /// What; a table for `In`.
    pub source: CopySource,
    /// Which way.
    pub direction: CopyDirection,
    /// How.
    pub options: CopyOptions,
    /// For `In`: an INSERT. Its `Modify` has a `Project` (with the other columns' defaults) over a `CteScan` named `copy` of
    /// [`crate::CteId`] 0, whose columns are the copied ones in the order of the data.
    pub insert: Option<Query>,
    /// For `Out` of a table: a query of its columns.
    pub select: Option<Query>,
}

/// PREPARE.
#[derive(Clone, Debug)]
pub struct Prepare {
    /// The statement's name.
    pub name: String,
    /// Types given.
    pub param_types: Vec<Option<SqlType>>,
    /// What is prepared.
    pub statement: Box<Statement>,
}

/// EXECUTE.
#[derive(Clone, Debug)]
pub struct Execute {
    /// The statement's name.
    pub name: String,
    /// Parameter values: expressions without columns, to be bound against the statement's parameter types.
    pub args: Vec<spg_expr::Expr>,
}

/// Isolation of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// Modes of BEGIN and SET TRANSACTION.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// ISOLATION LEVEL.
    pub isolation: Option<IsolationLevel>,
    /// READ ONLY or READ WRITE.
    pub read_only: Option<bool>,
}

/// How long SET lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SetScope {
    Session,
    Local,
}

/// What SET sets to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    /// DEFAULT.
    Default,
    /// The value's text; a list's elements are joined by `, `.
    Text(String),
}

/// Options of CREATE and ALTER ROLE; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleOptions {
    /// LOGIN.
    pub login: Option<bool>,
    /// SUPERUSER.
    pub superuser: Option<bool>,
    /// PASSWORD; `Some(None)` for PASSWORD NULL.
    pub password: Option<Option<String>>,
    /// CREATEDB.
    pub create_db: Option<bool>,
    /// CREATEROLE.
    pub create_role: Option<bool>,
}

/// FETCH and MOVE: how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorFetch {
    /// That many rows forward.
    Forward(u64),
    /// All remaining rows.
    All,
}

/// COMMENT ON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// `TABLE`, `COLUMN`, ...
    pub object_type: String,
    /// The object's name, folded.
    pub name: Vec<String>,
    /// The text; `None` removes it.
    pub comment: Option<String>,
}

/// Statements that need neither plan nor catalog.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Utility {
    /// `start`: written START TRANSACTION.
    Begin {
        modes: TransactionModes,
        start: bool,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    SetTransaction {
        modes: TransactionModes,
        session: bool,
    },
    Set {
        scope: SetScope,
        name: String,
        value: SetValue,
    },
    Show(String),
    ShowAll,
    Reset(String),
    ResetAll,
    Deallocate(String),
    DeallocateAll,
    Declare {
        name: String,
        hold: bool,
        binary: bool,
        query: Box<Query>,
    },
    Fetch {
        name: String,
        count: CursorFetch,
        is_move: bool,
    },
    Close(String),
    CloseAll,
    CreateRole {
        name: String,
        if_not_exists: bool,
        options: RoleOptions,
    },
    AlterRole {
        name: String,
        options: RoleOptions,
    },
    DropRole {
        names: Vec<String>,
        if_exists: bool,
    },
    Checkpoint,
    /// BACKUP DATABASE TO a file on the server, or to the client.
    Backup(Option<String>),
    Vacuum {
        tables: Vec<TableRef>,
        full: bool,
        analyze: bool,
    },
    Analyze {
        tables: Vec<TableRef>,
    },
    DiscardAll,
    DiscardPlans,
    DiscardTemp,
    DiscardSequences,
    Comment(Comment),
    Listen(String),
    Unlisten(Option<String>),
    Notify {
        channel: String,
        payload: Option<String>,
    },
    LockTable {
        tables: Vec<TableRef>,
    },
}

impl CreateTable {
    /// The place of an index in the table's list, of the id the binder gave it.
    pub fn index_place(id: IndexId) -> usize {
        id.0 as usize
    }
}
