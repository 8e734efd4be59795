//! The plan: a tree of relational operators over columns with ids unique in the statement.
//!
//! The binder makes it, rules rewrite it, `run` lowers it to pipelines. One enum serves all three: what a rule decides
//! (an index, a build side) is a field that the binder leaves at its default.

use spg_expr::{Aggregate, AggregateSignature, ColId, Expr, SystemRelation, WindowFunction, WindowSignature};
use spg_types::{IndexId, SqlType, TableId, TableRef};

/// A column that an operator puts out.
#[derive(Clone, Debug, PartialEq)]
pub struct OutCol {
    /// Its id.
    pub id: ColId,
    /// Its name, for EXPLAIN and for the outermost result.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
}

/// One expression of a projection or a grouping, with the column it makes.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedExpr {
    /// The column. A plain `Expr::Column` keeps its id.
    pub out: OutCol,
    /// Its value.
    pub expr: Expr,
}

/// A sort key.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    /// The column.
    pub column: ColId,
    /// Its type.
    pub ty: SqlType,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`.
    pub nulls_first: bool,
}

/// How rows of two inputs meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// Matching pairs.
    Inner,
    /// Pairs, and left rows without a match.
    Left,
    /// Pairs, and right rows without a match.
    Right,
    /// Pairs, and rows of either side without a match.
    Full,
    /// Left rows with a match.
    Semi,
    /// Left rows without a match (a NULL condition is no match).
    Anti,
    /// Right rows with a match: a semi join whose preserved side is the build side (the binder makes none).
    RightSemi,
    /// Right rows without a match: an anti join whose preserved side is the build side (the binder makes none).
    RightAnti,
    /// Every left row, and a boolean column: true with a match; false without; NULL when the condition was NULL for some
    /// right row and true for none (IN and ANY over NULLs).
    Mark(ColId),
    /// Every left row with its one match or NULLs; 21000 when there are two: scalar subqueries.
    Single,
}

/// A call of an aggregate.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    /// The column it makes.
    pub out: OutCol,
    /// The aggregate.
    pub function: &'static Aggregate,
    /// The overload.
    pub signature: &'static AggregateSignature,
    /// Arguments over the input's columns.
    pub args: Vec<Expr>,
    /// `DISTINCT`.
    pub distinct: bool,
    /// `FILTER (WHERE ...)`.
    pub filter: Option<Expr>,
    /// `ORDER BY` inside the call.
    pub order_by: Vec<(Expr, bool, bool)>,
}

/// Unit of a window frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FrameUnit {
    Rows,
    Range,
    Groups,
}

/// One end of a window frame. Offsets are expressions without columns.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Expr),
    CurrentRow,
    Following(Expr),
    UnboundedFollowing,
}

/// `EXCLUDE` of a window frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FrameExclusion {
    NoOthers,
    CurrentRow,
    Group,
    Ties,
}

/// A window frame.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Frame {
    pub unit: FrameUnit,
    pub start: FrameBound,
    pub end: FrameBound,
    pub exclude: FrameExclusion,
    /// RANGE with an offset: `(key - offset, key + offset)` as the functions that move the key, resolved by the binder
    /// over the single ORDER BY column: (start bound value, end bound value) as expressions of that column.
    pub range_bounds: (Option<Expr>, Option<Expr>),
}

/// What is called over a window.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum WindowCallee {
    Function { function: &'static WindowFunction, signature: &'static WindowSignature },
    Aggregate { function: &'static Aggregate, signature: &'static AggregateSignature },
}

/// A window call; all calls of one [`Plan::Window`] share partitioning and order.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowCall {
    /// The column it makes.
    pub out: OutCol,
    /// Function or aggregate.
    pub callee: WindowCallee,
    /// Arguments over the input's columns.
    pub args: Vec<Expr>,
    /// `FILTER (WHERE ...)`, aggregates only.
    pub filter: Option<Expr>,
    /// The frame; PostgreSQL's default where none was written.
    pub frame: Frame,
}

/// How a scan reads through an index: equal leading keys, then at most one range.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexAccess {
    /// Which index.
    pub index: IndexId,
    /// Values of the leading key columns: expressions without columns.
    pub equal: Vec<Expr>,
    /// Lower bound of the next key column: value, inclusive.
    pub lower: Option<(Expr, bool)>,
    /// Upper bound of the next key column: value, inclusive.
    pub upper: Option<(Expr, bool)>,
    /// Rows come in key order, from the end when `reverse`.
    pub reverse: bool,
}

/// Identifies a common table expression or shared subplan within a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CteId(pub u32);

/// Set operations; UNION is its own node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SetOpKind {
    Intersect,
    Except,
}

/// A base table read.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The table.
    pub table: TableRef,
    /// Its name in the query.
    pub alias: String,
    /// Columns put out, with their positions in the table.
    pub columns: Vec<(OutCol, usize)>,
    /// The row id as a bigint column, for UPDATE and DELETE.
    pub row_id: Option<ColId>,
    /// Conjuncts applied while scanning (over this scan's columns); zone maps are tried on them.
    pub filter: Vec<Expr>,
    /// Read through an index instead of all row groups; `filter` still holds every conjunct that the index does not decide.
    pub index: Option<IndexAccess>,
    /// Columns that a join's build side restricts at run time: (join filter, column).
    pub join_filters: Vec<(JoinFilterId, ColId)>,
}

/// Identifies a run-time filter: made by a hash join's build side, tried by a scan on the probe side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JoinFilterId(pub u32);

/// A join of two inputs. `Right` pads the left side, `Full` either; the right input is the build side of a hash join.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// How rows meet.
    pub kind: JoinKind,
    /// Probe side.
    pub left: Box<Plan>,
    /// Build side.
    pub right: Box<Plan>,
    /// Conjuncts over both sides. Those of the form `left = right` (or IS NOT DISTINCT FROM) become hash keys.
    pub on: Vec<Expr>,
    /// Filters handed to scans of the probe side: (filter, the build side's key expression). Such a scan waits for the
    /// build side, also where an aggregate or another breaker stands between it and this join.
    pub join_filters: Vec<(JoinFilterId, Expr)>,
    /// Look each left row up in an index of the right side, which then must be a bare scan.
    pub lookup: Option<IndexLookup>,
}

/// An index nested-loop join: the right scan's index probed with these left-side values of its leading key columns.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexLookup {
    /// Which index.
    pub index: IndexId,
    /// Values of the leading key columns over the left input's columns.
    pub keys: Vec<Expr>,
}

/// What INSERT, UPDATE and DELETE do.
#[derive(Clone, Debug, PartialEq)]
pub enum ModifyKind {
    /// Input columns are the table's columns in order.
    Insert,
    /// Input: the old row's id, then all columns of the new row in table order.
    Update {
        /// The old row's id.
        row_id: ColId,
        /// Table columns whose value may change.
        changed: Vec<usize>,
    },
    /// Input: the row's id.
    Delete {
        /// The row's id.
        row_id: ColId,
    },
}

/// A change of a table. Puts out the RETURNING columns, or nothing; counts rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Modify {
    /// The table.
    pub table: TableRef,
    /// What is done.
    pub kind: ModifyKind,
    /// The rows. For Insert and Update the columns `values`, one per table column.
    pub input: Box<Plan>,
    /// The input columns with the new row's values, in table order; for Delete the old values that RETURNING reads, by position.
    pub values: Vec<Option<ColId>>,
    /// CHECK constraints bound over `values`: (name, expression).
    pub checks: Vec<(String, Expr)>,
    /// `RETURNING`, over `values` and, for UPDATE FROM and DELETE USING, other input columns.
    pub returning: Vec<NamedExpr>,
}

/// A relational operator with its inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// A base table.
    Scan(Scan),
    /// Rows of expressions without columns. `VALUES`, and `SELECT` without FROM (one row, no columns).
    Values {
        /// Columns.
        columns: Vec<OutCol>,
        /// Rows, one expression per column.
        rows: Vec<Vec<Expr>>,
    },
    /// A relation of the system.
    SystemScan {
        /// The relation.
        relation: &'static SystemRelation,
        /// The columns put out, with their positions in the relation.
        columns: Vec<(OutCol, usize)>,
    },
    /// `generate_series` and other functions in FROM; arguments without columns (laterals become Apply).
    TableFunction {
        /// The function's name in the table-function list.
        name: &'static str,
        /// Arguments.
        args: Vec<Expr>,
        /// Columns.
        columns: Vec<OutCol>,
        /// `WITH ORDINALITY`.
        ordinality: Option<OutCol>,
    },
    /// The rows of a table function per input row, each with the input's columns before it: what a correlated
    /// `TableFunction` becomes.
    ProjectSet {
        /// Input.
        input: Box<Plan>,
        /// The function's name in the table-function list.
        name: &'static str,
        /// Arguments over the input's columns.
        args: Vec<Expr>,
        /// The function's columns.
        columns: Vec<OutCol>,
        /// `WITH ORDINALITY`, counted anew for each input row.
        ordinality: Option<OutCol>,
    },
    /// Rows for which every conjunct is true.
    Filter {
        /// Input.
        input: Box<Plan>,
        /// Conjuncts.
        predicate: Vec<Expr>,
    },
    /// Computes columns; puts out exactly these.
    Project {
        /// Input.
        input: Box<Plan>,
        /// Columns.
        exprs: Vec<NamedExpr>,
    },
    /// A join.
    Join(Join),
    /// A dependent join: `right` may read columns of `left`, and is evaluated as if once per left row. Every LATERAL and every
    /// subquery starts as one; the `decorrelate` rule turns all of them into joins.
    Apply {
        /// How the left row meets the right rows: Inner, Left, Semi, Anti, Mark or Single.
        kind: JoinKind,
        /// Outer.
        left: Box<Plan>,
        /// Inner, may read outer columns.
        right: Box<Plan>,
        /// Conjuncts over both sides.
        on: Vec<Expr>,
    },
    /// Grouping and aggregation. Puts out the groups, the `grouping` column, the aggregates.
    Aggregate {
        /// Input.
        input: Box<Plan>,
        /// Group keys.
        groups: Vec<NamedExpr>,
        /// GROUPING SETS, ROLLUP, CUBE: positions in `groups` per set; empty for plain GROUP BY. Keys outside a row's set are NULL.
        sets: Vec<Vec<usize>>,
        /// With `sets`: a bigint column with bit `i` (from the least) set when `groups[i]` is not in the row's set; `GROUPING()` is computed from it.
        grouping: Option<OutCol>,
        /// Calls.
        aggregates: Vec<AggregateCall>,
    },
    /// Rows that differ in all columns, or the first row (in input order) per value of the `on` columns.
    Distinct {
        /// Input; sorted on `on` first where there is an ORDER BY.
        input: Box<Plan>,
        /// `DISTINCT ON`.
        on: Option<Vec<ColId>>,
    },
    /// Adds window calls' columns to the input's.
    Window {
        /// Input.
        input: Box<Plan>,
        /// `PARTITION BY`: columns of the input.
        partition: Vec<ColId>,
        /// `ORDER BY`: columns of the input.
        order: Vec<SortKey>,
        /// Calls.
        calls: Vec<WindowCall>,
    },
    /// Sorts; keeps only the first `limit` rows when a rule made it a TopN (limit includes the offset).
    Sort {
        /// Input.
        input: Box<Plan>,
        /// Keys.
        keys: Vec<SortKey>,
        /// TopN.
        limit: Option<u64>,
    },
    /// LIMIT and OFFSET: expressions without columns; NULL means none.
    Limit {
        /// Input.
        input: Box<Plan>,
        /// Rows kept.
        limit: Option<Expr>,
        /// Rows skipped first.
        offset: Option<Expr>,
        /// `FETCH FIRST ... WITH TIES`: the sort keys that decide ties.
        ties: Option<Vec<SortKey>>,
    },
    /// Concatenation (UNION ALL; UNION is a Distinct over it). Input column `i` of each input feeds output column `i`.
    Union {
        /// Inputs, each with its columns in output order.
        inputs: Vec<(Plan, Vec<ColId>)>,
        /// Columns.
        columns: Vec<OutCol>,
    },
    /// INTERSECT and EXCEPT [ALL].
    SetOp {
        /// Which.
        kind: SetOpKind,
        /// `ALL`.
        all: bool,
        /// Left input and its columns in output order.
        left: (Box<Plan>, Vec<ColId>),
        /// Right input and its columns in output order.
        right: (Box<Plan>, Vec<ColId>),
        /// Columns.
        columns: Vec<OutCol>,
    },
    /// Computes `definition` once and keeps it for the `CteScan`s in `body`.
    With {
        /// Which.
        cte: CteId,
        /// Its name.
        name: String,
        /// What is shared.
        definition: Box<Plan>,
        /// Where it is used.
        body: Box<Plan>,
    },
    /// Reads a `With`'s rows, or the working table inside a `Recursive`'s step.
    CteScan {
        /// Which.
        cte: CteId,
        /// Its name.
        name: String,
        /// Columns: own ids, with the position in the definition's output.
        columns: Vec<(OutCol, usize)>,
    },
    /// WITH RECURSIVE: `base`, then `step` over the rows of the round before (CteScan of `cte`) until there are none.
    Recursive {
        /// The working table's id.
        cte: CteId,
        /// Its name.
        name: String,
        /// `UNION` rather than `UNION ALL`.
        distinct: bool,
        /// Base and its columns in output order.
        base: (Box<Plan>, Vec<ColId>),
        /// Step and its columns in output order.
        step: (Box<Plan>, Vec<ColId>),
        /// Columns.
        columns: Vec<OutCol>,
    },
    /// INSERT, UPDATE, DELETE. At the root, or as a `With` definition.
    Modify(Modify),
}

/// The tables that a plan touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Those it reads.
    pub read: Vec<TableId>,
    /// Those it changes.
    pub changed: Vec<TableId>,
}

impl Plan {
    /// The tables it touches, each as often as it does.
    pub fn tables(&self) -> Tables {
        let mut tables = Tables::default();
        crate::tree::visit(self, &mut |plan| match plan {
            Plan::Scan(scan) => tables.read.push(scan.table.id),
            Plan::Modify(modify) => {
                tables.changed.push(modify.table.id);
                // What is updated or deleted was looked for.
                if !matches!(modify.kind, ModifyKind::Insert) {
                    tables.read.push(modify.table.id);
                }
            }
            _ => {}
        });
        tables
    }

    /// One row without columns.
    pub fn one_row() -> Plan {
        Plan::Values { columns: vec![], rows: vec![vec![]] }
    }

    /// The columns it puts out, in order.
    pub fn columns(&self) -> Vec<OutCol> {
        let ty = |def| SqlType::new(def);
        match self {
            Plan::Scan(s) => {
                let row_id =
                    s.row_id.map(|id| OutCol { id, name: "row_id".into(), ty: ty(&spg_types::def::INT8) });
                s.columns.iter().map(|(c, _)| c.clone()).chain(row_id).collect()
            }
            Plan::Values { columns, .. }
            | Plan::Union { columns, .. }
            | Plan::SetOp { columns, .. }
            | Plan::Recursive { columns, .. } => columns.clone(),
            Plan::TableFunction { columns, ordinality, .. } => {
                columns.iter().chain(ordinality).cloned().collect()
            }
            Plan::Filter { input, .. }
            | Plan::Sort { input, .. }
            | Plan::Limit { input, .. }
            | Plan::Distinct { input, .. } => input.columns(),
            Plan::ProjectSet { input, columns, ordinality, .. } => {
                input.columns().into_iter().chain(columns.iter().chain(ordinality).cloned()).collect()
            }
            Plan::Project { exprs, .. } => exprs.iter().map(|e| e.out.clone()).collect(),
            Plan::Join(Join { kind: JoinKind::RightSemi | JoinKind::RightAnti, right, .. }) => {
                right.columns()
            }
            Plan::Join(Join { kind, left, right, .. }) | Plan::Apply { kind, left, right, .. } => {
                let mut columns = left.columns();
                match kind {
                    JoinKind::Semi | JoinKind::Anti => {}
                    JoinKind::Mark(id) => {
                        columns.push(OutCol { id: *id, name: "mark".into(), ty: ty(&spg_types::def::BOOL) });
                    }
                    _ => columns.extend(right.columns()),
                }
                columns
            }
            Plan::Aggregate { groups, grouping, aggregates, .. } => groups
                .iter()
                .map(|g| &g.out)
                .chain(grouping)
                .chain(aggregates.iter().map(|a| &a.out))
                .cloned()
                .collect(),
            Plan::Window { input, calls, .. } => {
                input.columns().into_iter().chain(calls.iter().map(|c| c.out.clone())).collect()
            }
            Plan::With { body, .. } => body.columns(),
            Plan::SystemScan { columns, .. } | Plan::CteScan { columns, .. } => {
                columns.iter().map(|(c, _)| c.clone()).collect()
            }
            Plan::Modify(m) => m.returning.iter().map(|e| e.out.clone()).collect(),
        }
    }

    /// Direct inputs.
    pub fn inputs(&self) -> Vec<&Plan> {
        match self {
            Plan::Scan(_)
            | Plan::SystemScan { .. }
            | Plan::Values { .. }
            | Plan::TableFunction { .. }
            | Plan::CteScan { .. } => vec![],
            Plan::ProjectSet { input, .. }
            | Plan::Filter { input, .. }
            | Plan::Project { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::Distinct { input, .. }
            | Plan::Window { input, .. }
            | Plan::Sort { input, .. }
            | Plan::Limit { input, .. }
            | Plan::Modify(Modify { input, .. }) => vec![input],
            Plan::Join(Join { left, right, .. }) | Plan::Apply { left, right, .. } => vec![left, right],
            Plan::Union { inputs, .. } => inputs.iter().map(|(p, _)| p).collect(),
            Plan::SetOp { left: (l, _), right: (r, _), .. } => vec![l, r],
            Plan::Recursive { base: (b, _), step: (s, _), .. } => vec![b, s],
            Plan::With { definition, body, .. } => vec![definition, body],
        }
    }

    /// Direct inputs, to change.
    pub fn inputs_mut(&mut self) -> Vec<&mut Plan> {
        match self {
            Plan::Scan(_)
            | Plan::SystemScan { .. }
            | Plan::Values { .. }
            | Plan::TableFunction { .. }
            | Plan::CteScan { .. } => vec![],
            Plan::ProjectSet { input, .. }
            | Plan::Filter { input, .. }
            | Plan::Project { input, .. }
            | Plan::Aggregate { input, .. }
            | Plan::Distinct { input, .. }
            | Plan::Window { input, .. }
            | Plan::Sort { input, .. }
            | Plan::Limit { input, .. }
            | Plan::Modify(Modify { input, .. }) => vec![input],
            Plan::Join(Join { left, right, .. }) | Plan::Apply { left, right, .. } => vec![left, right],
            Plan::Union { inputs, .. } => inputs.iter_mut().map(|(p, _)| p).collect(),
            Plan::SetOp { left: (l, _), right: (r, _), .. } => vec![l, r],
            Plan::Recursive { base: (b, _), step: (s, _), .. } => vec![b, s],
            Plan::With { definition, body, .. } => vec![definition, body],
        }
    }
}
