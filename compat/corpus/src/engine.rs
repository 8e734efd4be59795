//! What the runner needs of an engine: connections that take SQL text and give back rows as text.

use crate::record::SqlError;

/// What one statement returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// One letter per column, see [`crate::record`]; empty when the statement returns no rows.
    pub types: String,
    /// The rows, each cell in the type's text form.
    pub rows: Vec<Vec<Option<String>>>,
    /// The row count of the command tag; 0 for commands without one.
    pub affected: u64,
}

/// One session of an engine.
pub trait Connection {
    /// Runs one statement whose rows are not looked at.
    fn execute(&mut self, sql: &str) -> Result<Answer, SqlError>;

    /// Runs one statement that returns rows, with the types of its columns.
    fn query(&mut self, sql: &str) -> Result<Answer, SqlError>;

    /// Runs COPY ... FROM STDIN with `data`; the number of rows taken.
    fn copy_in(&mut self, sql: &str, data: &str) -> Result<u64, SqlError>;

    /// Runs COPY ... TO STDOUT.
    fn copy_out(&mut self, sql: &str) -> Result<String, SqlError>;
}

/// An engine with one empty database.
pub trait Engine {
    /// The name that `skipif` and `onlyif` use: `postgres` or `spg`.
    fn name(&self) -> &'static str;

    /// Opens one more session.
    fn connect(&self) -> Result<Box<dyn Connection>, SqlError>;
}

/// The column letter of a PostgreSQL type oid.
pub(crate) fn type_letter(oid: u32) -> char {
    match oid {
        20 | 21 | 23 | 26 => 'I',
        700 | 701 | 1700 => 'R',
        16 => 'B',
        1082 | 1083 | 1114 | 1184 | 1186 | 1266 => 'D',
        _ => 'T',
    }
}
