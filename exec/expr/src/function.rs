//! What a function, operator, cast, aggregate or window function is: constant records that the function library lists.

use std::fmt;
use std::sync::Arc;

use spg_types::{Datum, FormatSettings, Result, SqlType, TypeDef};

use crate::Column;

/// What one parameter of a signature accepts.
#[derive(Clone, Copy, Debug)]
pub enum ArgType {
    /// This type, or what converts to it implicitly.
    Exact(&'static TypeDef),
    /// PostgreSQL's `anyelement`/`anycompatible`: every such parameter of a call gets the same type.
    AnyCompatible,
    /// PostgreSQL's `"any"`: anything, unconverted.
    Any,
}

/// How a call's type follows from its arguments.
#[derive(Clone, Copy)]
pub enum ReturnType {
    /// This type, without a modifier.
    Exact(&'static TypeDef),
    /// The type that the `AnyCompatible` parameters got.
    Compatible,
    /// Computed from the argument types (after conversion), for results whose modifier follows from theirs: `numeric + numeric`.
    Of(fn(&[SqlType]) -> SqlType),
}

/// Whether equal arguments give equal results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// Always: may be folded at plan time.
    Immutable,
    /// Within a statement: `now()`.
    Stable,
    /// Never: `random()`.
    Volatile,
}

/// A comparison operator's meaning, for rules, zone maps, joins and indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    IsDistinctFrom,
    IsNotDistinctFrom,
}

impl Comparison {
    /// The operator with its operands exchanged: `a < b` is `b > a`.
    #[must_use]
    pub fn swap(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::LtEq => Self::GtEq,
            Self::Gt => Self::Lt,
            Self::GtEq => Self::LtEq,
            other => other,
        }
    }

    /// The operator that is true where this one is false (NULL stays NULL).
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::Eq => Self::NotEq,
            Self::NotEq => Self::Eq,
            Self::Lt => Self::GtEq,
            Self::LtEq => Self::Gt,
            Self::Gt => Self::LtEq,
            Self::GtEq => Self::Lt,
            Self::IsDistinctFrom => Self::IsNotDistinctFrom,
            Self::IsNotDistinctFrom => Self::IsDistinctFrom,
        }
    }
}

/// The session's settings, as functions read and change them.
pub trait SettingAccess: Send + Sync {
    /// A setting's value by its name; `None` when there is no such setting.
    fn get(&self, name: &str) -> Option<String>;

    /// Sets a value (`None`: the default) for the session or for its transaction; the new value as SHOW prints it. 42704, 22023,
    /// 55P02 as SET has them.
    fn set(&self, name: &str, value: Option<&str>, local: bool) -> Result<String>;
}

/// No settings at all.
struct NoSettings;

impl SettingAccess for NoSettings {
    fn get(&self, _: &str) -> Option<String> {
        None
    }

    fn set(&self, name: &str, _: Option<&str>, _: bool) -> Result<String> {
        let message = format!("unrecognized configuration parameter \"{name}\"");
        Err(spg_types::Error::new(spg_types::SqlState::UNDEFINED_OBJECT, message))
    }
}

/// What functions may ask of the storage.
pub trait StorageAccess: Send + Sync {
    /// Moves a table's rows to the cold tier; how many. 42P01; 55P03 when the writer is not free in time; 53100, 58030.
    fn freeze(&self, table: &str) -> Result<i64>;

    /// Writes a table's cold rows anew where they lie in more files than they need or among deleted ones; how many. Errors as of
    /// [`StorageAccess::freeze`].
    fn compact(&self, table: &str) -> Result<i64>;
}

/// No storage at all.
struct NoStorage;

impl StorageAccess for NoStorage {
    fn freeze(&self, _: &str) -> Result<i64> {
        Err(spg_types::Error::unsupported("there is no database to freeze rows of"))
    }

    fn compact(&self, _: &str) -> Result<i64> {
        Err(spg_types::Error::unsupported("there is no database to compact"))
    }
}

/// What the session knows while a statement runs; the same for every worker.
#[derive(Clone)]
pub struct EvalContext {
    /// Text input and output; holds the transaction's start and the time zone.
    pub format: FormatSettings,
    /// Parameter values of the extended protocol, in order, each of the type the plan gave its parameter.
    pub params: Arc<[Datum]>,
    /// `statement_timestamp()`, microseconds since 1970-01-01 UTC.
    pub statement_now_us: i64,
    /// `current_user`.
    pub user: Arc<str>,
    /// `session_user`.
    pub session_user: Arc<str>,
    /// `current_database()`.
    pub database: Arc<str>,
    /// `current_schema`.
    pub schema: Arc<str>,
    /// Backend process id, as `pg_backend_pid()` and BackendKeyData tell.
    pub backend_pid: i32,
    /// `version()`.
    pub version: Arc<str>,
    /// Settings, for `current_setting` and `set_config`.
    pub settings: Arc<dyn SettingAccess>,
    /// The storage, for `spg_freeze` and `spg_compact`.
    pub storage: Arc<dyn StorageAccess>,
}

impl EvalContext {
    /// A context outside any session: UTC, time zero, no parameters, no settings. For folding constants and for tests.
    pub fn detached() -> Self {
        Self {
            format: FormatSettings::default(),
            params: Arc::from([]),
            statement_now_us: 0,
            user: "".into(),
            session_user: "".into(),
            database: "".into(),
            schema: "public".into(),
            backend_pid: 0,
            version: "".into(),
            settings: Arc::new(NoSettings),
            storage: Arc::new(NoStorage),
        }
    }
}

/// What a kernel is made from, once per call in a plan.
pub struct BindArgs<'a> {
    /// Argument types after conversion.
    pub arg_types: &'a [SqlType],
    /// The call's type.
    pub return_type: SqlType,
    /// Arguments that are constants: patterns are compiled from them once.
    pub constants: &'a [Option<Datum>],
}

/// Computes a call for a batch. Shared by workers.
pub trait Kernel: Send + Sync {
    /// The result for `rows` rows. Arguments have `rows` rows or are constant; a result may be constant. Every row is
    /// evaluated, so an error in any row is an error of the call: the evaluator passes only rows that SQL evaluates.
    fn eval(&self, ctx: &EvalContext, args: &[Column], rows: usize) -> Result<Column>;
}

impl<F> Kernel for F
where
    F: Fn(&EvalContext, &[Column], usize) -> Result<Column> + Send + Sync,
{
    fn eval(&self, ctx: &EvalContext, args: &[Column], rows: usize) -> Result<Column> {
        self(ctx, args, rows)
    }
}

/// One overload of a function.
pub struct Signature {
    /// Parameters. With `variadic`, the last one may repeat.
    pub args: &'static [ArgType],
    /// Whether the last parameter takes one or more arguments.
    pub variadic: bool,
    /// The result.
    pub returns: ReturnType,
    /// Makes the kernel for one call.
    pub bind: fn(&BindArgs<'_>) -> Result<Arc<dyn Kernel>>,
}

/// A scalar function or operator: one constant per name.
pub struct Function {
    /// Its name; an operator's symbol.
    pub name: &'static str,
    /// What it does, one sentence.
    pub doc: &'static str,
    /// An example with its result: `("abs(-7)", "7")`.
    pub example: (&'static str, &'static str),
    /// Its parameters' names, where arguments may be given by name; those left out are 0.
    pub parameters: &'static [&'static str],
    /// Whether it may be folded.
    pub volatility: Volatility,
    /// Whether any NULL argument makes the result NULL (rules rely on it; kernels see to it).
    pub strict: bool,
    /// Whether it can never fail, whatever the (non-null) arguments: may be evaluated for rows that a filter drops.
    pub infallible: bool,
    /// Its meaning, for comparison operators.
    pub comparison: Option<Comparison>,
    /// Overloads.
    pub signatures: &'static [Signature],
}

/// When a cast applies by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// Only where written.
    Explicit,
    /// Also when storing into a column.
    Assignment,
    /// Anywhere.
    Implicit,
}

/// A cast between two types.
pub struct CastDef {
    /// From.
    pub from: &'static TypeDef,
    /// To.
    pub to: &'static TypeDef,
    /// When it applies.
    pub context: CastContext,
    /// Whether it leaves values as they are when the target has no modifier: rules and the evaluator look through it.
    pub relabel: bool,
    /// Makes the kernel; `return_type` carries the target's modifier (scale, length). The same type on both sides applies a modifier.
    pub bind: fn(&BindArgs<'_>, explicit: bool) -> Result<Arc<dyn Kernel>>,
}

macro_rules! identity {
    ($($ty:ty),*) => {$(
        /// By identity: there is one constant per thing.
        impl PartialEq for $ty {
            fn eq(&self, other: &Self) -> bool {
                std::ptr::eq(self, other)
            }
        }
        impl Eq for $ty {}
    )*};
}
identity!(Function, Signature, CastDef, Aggregate, AggregateSignature, WindowFunction, WindowSignature);

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.args)
    }
}

impl fmt::Debug for CastDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} as {:?}", self.from, self.to)
    }
}

/// The states of one aggregate for all groups that one worker has seen.
pub trait GroupStates: Send + Sync {
    /// Makes room for groups `0..groups`; new ones are empty.
    fn resize(&mut self, groups: usize);

    /// Adds rows: row `i` goes to group `groups[i]`. `args` have `groups.len()` rows or are constant. Rows that FILTER drops are not passed.
    fn update(&mut self, ctx: &EvalContext, args: &[Column], groups: &[u32]) -> Result<()>;

    /// Adds rows that all go to one group.
    fn update_single(&mut self, ctx: &EvalContext, args: &[Column], group: u32, rows: usize) -> Result<()> {
        self.update(ctx, args, &vec![group; rows])
    }

    /// Adds groups of other states of the same aggregate (another worker's, a window's segment tree): its group `from[i]`
    /// goes to group `to[i]` here, in the order of `i`. `other` stays as it is: several workers read it at once.
    fn merge(&mut self, other: &dyn GroupStates, from: &[u32], to: &[u32]) -> Result<()>;

    /// The result per group, in order, as a flat array of the call's type.
    fn finish(&mut self, ctx: &EvalContext) -> Result<arrow::array::ArrayRef>;

    /// Bytes held.
    fn bytes(&self) -> usize;

    /// For `merge`.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Makes states for an aggregate call. Shared by workers.
pub trait AggregateKernel: Send + Sync {
    /// States without groups.
    fn states(&self) -> Box<dyn GroupStates>;
}

impl<F> AggregateKernel for F
where
    F: Fn() -> Box<dyn GroupStates> + Send + Sync,
{
    fn states(&self) -> Box<dyn GroupStates> {
        self()
    }
}

/// One overload of an aggregate.
pub struct AggregateSignature {
    /// Parameters.
    pub args: &'static [ArgType],
    /// The result.
    pub returns: ReturnType,
    /// Makes the kernel for one call.
    pub bind: fn(&BindArgs<'_>) -> Result<Arc<dyn AggregateKernel>>,
}

/// An aggregate function: one constant per name. DISTINCT, FILTER and ORDER BY are the executor's.
pub struct Aggregate {
    /// Its name.
    pub name: &'static str,
    /// What it computes, one sentence.
    pub doc: &'static str,
    /// An example over `(VALUES (1),(2),(3)) v(x)` with its result.
    pub example: (&'static str, &'static str),
    /// Whether the order of rows changes the result (string_agg): then ORDER BY inside the call matters.
    pub order_sensitive: bool,
    /// Whether it takes its rows in the order of WITHIN GROUP, which it must have (mode, percentile_cont).
    pub ordered_set: bool,
    /// Whether duplicates never change the result (min, max): then DISTINCT is dropped.
    pub duplicate_insensitive: bool,
    /// The value over no rows: NULL, or 0 for count.
    pub zero_when_empty: bool,
    /// Overloads.
    pub signatures: &'static [AggregateSignature],
}

impl fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for AggregateSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.args)
    }
}

/// A sorted partition as a window function sees it.
pub struct Partition<'a> {
    /// Rows in the partition.
    pub rows: usize,
    /// The call's arguments, `rows` rows each or constant, in window order.
    pub args: &'a [Column],
    /// For each row, the number of its peer group (rows equal under ORDER BY), from 0.
    pub peers: &'a [u32],
    /// For each row, its frame as a range of rows (after frame exclusion is applied by the caller for aggregates). Empty slice
    /// for functions that ignore the frame.
    pub frames: &'a [(u32, u32)],
}

/// Computes a window call for one partition at a time. Shared by workers.
pub trait WindowKernel: Send + Sync {
    /// The result per row of the partition, as a flat array of the call's type.
    fn eval(&self, ctx: &EvalContext, partition: &Partition<'_>) -> Result<arrow::array::ArrayRef>;
}

/// One overload of a window function.
pub struct WindowSignature {
    /// Parameters.
    pub args: &'static [ArgType],
    /// How many of the last parameters may be left out.
    pub optional: usize,
    /// The result.
    pub returns: ReturnType,
    /// Makes the kernel for one call.
    pub bind: fn(&BindArgs<'_>) -> Result<Arc<dyn WindowKernel>>,
}

/// A pure window function (row_number, lag): one constant per name. Aggregates over windows are the executor's.
pub struct WindowFunction {
    /// Its name.
    pub name: &'static str,
    /// What it computes, one sentence.
    pub doc: &'static str,
    /// An example with its result.
    pub example: (&'static str, &'static str),
    /// Whether it looks at the frame (first_value) or at the whole partition (row_number).
    pub uses_frame: bool,
    /// Overloads.
    pub signatures: &'static [WindowSignature],
}

impl fmt::Debug for WindowFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for WindowSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.args)
    }
}
