//! The error of every layer: a SQLSTATE, what was wrong, where, and what to do.

use std::fmt;

use crate::SqlState;

/// The result of anything that may fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error as a client sees it: SQLSTATE, message and PostgreSQL's optional fields.
///
/// One pointer wide, so that `Result<T>` stays small on hot paths.
#[derive(Clone, PartialEq)]
pub struct Error(Box<Fields>);

#[derive(Clone, PartialEq, Default)]
struct Fields {
    state: Option<SqlState>,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
    context: Option<String>,
    schema: Option<String>,
    table: Option<String>,
    column: Option<String>,
    constraint: Option<String>,
}

macro_rules! optional_fields {
    ($($(#[$doc:meta])* $field:ident, $with:ident;)*) => {
        $($(#[$doc])*
        pub fn $field(&self) -> Option<&str> {
            self.0.$field.as_deref()
        }

        #[doc = concat!("This error with its `", stringify!($field), "` set.")]
        #[must_use]
        pub fn $with(mut self, value: impl Into<String>) -> Self {
            self.0.$field = Some(value.into());
            self
        })*
    };
}

impl Error {
    /// An error with its SQLSTATE and its message (lower case, no full stop, as PostgreSQL writes them).
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Fields { state: Some(state), message: message.into(), ..Fields::default() }))
    }

    /// 0A000: something SPG does not do; `what` reads like "COPY FROM PROGRAM is not supported".
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(SqlState::FEATURE_NOT_SUPPORTED, what)
    }

    /// XX000: an invariant of SPG's own does not hold.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(SqlState::INTERNAL_ERROR, what)
    }

    /// Its SQLSTATE.
    pub fn state(&self) -> SqlState {
        self.0.state.unwrap_or(SqlState::INTERNAL_ERROR)
    }

    /// Its primary message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// 1-based character position in the statement's text.
    pub fn position(&self) -> Option<usize> {
        self.0.position
    }

    /// This error at a 1-based character position; an error that has a position keeps it.
    #[must_use]
    pub fn at(mut self, position: usize) -> Self {
        self.0.position.get_or_insert(position);
        self
    }

    /// This error with its table and the table's schema set.
    #[must_use]
    pub fn with_relation(self, schema: &str, table: &str) -> Self {
        self.with_schema(schema).with_table(table)
    }

    optional_fields! {
        /// More about the problem.
        detail, with_detail;
        /// What to do about it.
        hint, with_hint;
        /// Where it happened ("COPY lineitem, line 3, column l_tax").
        context, with_context;
        /// The schema of the table concerned.
        schema, with_schema;
        /// The table concerned.
        table, with_table;
        /// The column concerned.
        column, with_column;
        /// The constraint concerned.
        constraint, with_constraint;
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.state(), self.message())?;
        for extra in [&self.0.detail, &self.0.hint, &self.0.context].into_iter().flatten() {
            write!(f, " ({extra})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<arrow::error::ArrowError> for Error {
    fn from(e: arrow::error::ArrowError) -> Self {
        use arrow::error::ArrowError as A;
        match e {
            A::DivideByZero => Self::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
            A::ArithmeticOverflow(m) => Self::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, m),
            other => Self::internal(other.to_string()),
        }
    }
}
