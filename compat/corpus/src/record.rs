//! The test file format: sqllogictest with the SQLSTATE of every error, tab-separated rows and COPY.
//!
//! A file is a list of records, separated by blank lines; a line that starts with `#` is a comment.
//!
//! ```text
//! statement ok
//! CREATE TABLE t (a int)
//!
//! statement count 2
//! INSERT INTO t VALUES (1), (2)
//!
//! statement error 42703 column "b" does not exist
//! SELECT b FROM t
//!
//! query I nosort
//! SELECT a FROM t ORDER BY a
//! ----
//! 1
//! 2
//! ```
//!
//! * `statement error CODE message`: the five characters of the SQLSTATE, then the exact message.
//! * `query TYPES nosort|rowsort`: one letter per column: `I` integers, `R` numeric and floating point, `B` boolean,
//!   `D` date and time types, `T` everything else. `rowsort` sorts the rows by their bytes before comparing.
//! * Cells are separated by one tab. `NULL` is null, `(empty)` the empty string; a newline, a tab and a carriage
//!   return are written `\n`, `\t`, `\r`; a blank at either end of a cell is written `␠`.
//! * `copy in count N`, `copy in error CODE message`, `copy out`: a COPY over the client's stream, its data after `----`.
//! * `connection NAME` before a record runs it on that connection (opened at first use) instead of the default one.
//! * `skipif ENGINE` and `onlyif ENGINE` before a record: `postgres` or `spg`. `skipif spg` marks what PostgreSQL has and
//!   SPG does not have yet; it never hides a wrong answer.

use std::fmt::Write as _;

/// An expected or actual error: what the client sees of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// The five characters of the SQLSTATE.
    pub code: String,
    /// The primary message.
    pub message: String,
}

/// How the rows of a query are ordered before they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// As the engine returned them.
    None,
    /// By their bytes.
    Rows,
}

/// What a record does and what it expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Succeeds; with `Some`, reports that many affected rows.
    Statement(Option<u64>),
    /// Fails.
    StatementError(SqlError),
    /// Returns rows.
    Query {
        /// One letter per column.
        types: String,
        /// The order to compare in.
        sort: Sort,
        /// The rendered rows.
        rows: Vec<String>,
    },
    /// COPY ... FROM STDIN of `data`.
    CopyIn {
        /// What the client sends.
        data: Vec<String>,
        /// The number of rows taken, or the error.
        expected: Result<u64, SqlError>,
    },
    /// COPY ... TO STDOUT.
    CopyOut(Vec<String>),
}

/// One record of a test file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Line of the record's header, from 1.
    pub line: usize,
    /// Comment lines before it, without line ends.
    pub comments: Vec<String>,
    /// The connection to run on; empty for the default one.
    pub connection: String,
    /// `skipif` and `onlyif` conditions: (is `onlyif`, engine).
    pub conditions: Vec<(bool, String)>,
    /// The statement.
    pub sql: String,
    /// What to do with it.
    pub action: Action,
}

impl Record {
    /// Whether the record runs on `engine`.
    pub fn applies_to(&self, engine: &str) -> bool {
        self.conditions.iter().all(|(only, name)| (name == engine) == *only)
    }
}

/// A test file that does not parse: its line and what is wrong with it.
#[derive(Debug)]
pub struct FormatError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected.
    pub message: String,
}

/// Parses a whole test file.
pub fn parse(text: &str) -> Result<Vec<Record>, FormatError> {
    let mut records = Vec::new();
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line)).peekable();
    let (mut comments, mut connection, mut conditions) = (Vec::new(), String::new(), Vec::new());
    while let Some((number, line)) = lines.next() {
        let error = |message: &str| FormatError { line: number, message: message.to_string() };
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        match keyword {
            "" => continue,
            _ if line.starts_with('#') => comments.push(line.to_string()),
            "connection" => connection = rest.to_string(),
            "skipif" => conditions.push((false, rest.to_string())),
            "onlyif" => conditions.push((true, rest.to_string())),
            "statement" | "query" | "copy" => {
                let (mut sql, mut body, mut in_body) = (Vec::new(), Vec::new(), false);
                while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
                    match (in_body, line) {
                        (false, "----") => in_body = true,
                        (false, _) => sql.push(line),
                        (true, _) => body.push(line.to_string()),
                    }
                }
                records.push(Record {
                    line: number,
                    comments: std::mem::take(&mut comments),
                    connection: std::mem::take(&mut connection),
                    conditions: std::mem::take(&mut conditions),
                    sql: sql.join("\n"),
                    action: action(keyword, rest, body).ok_or_else(|| error("malformed record header"))?,
                });
            }
            _ => {
                return Err(error(
                    "expected statement, query, copy, connection, skipif, onlyif or a comment",
                ));
            }
        }
    }
    Ok(records)
}

fn action(keyword: &str, rest: &str, body: Vec<String>) -> Option<Action> {
    let words: Vec<&str> = rest.split(' ').collect();
    Some(match (keyword, words.as_slice()) {
        ("statement", ["ok"]) => Action::Statement(None),
        ("statement", ["count", n]) => Action::Statement(Some(n.parse().ok()?)),
        ("statement", ["error", ..]) => Action::StatementError(error(rest.strip_prefix("error")?)?),
        ("query", [types, sort]) => {
            let sort = match *sort {
                "nosort" => Sort::None,
                "rowsort" => Sort::Rows,
                _ => return None,
            };
            Action::Query { types: types.to_string(), sort, rows: body }
        }
        ("copy", ["in", "count", n]) => Action::CopyIn { data: body, expected: Ok(n.parse().ok()?) },
        ("copy", ["in", "error", ..]) => {
            Action::CopyIn { data: body, expected: Err(error(rest.strip_prefix("in error")?)?) }
        }
        ("copy", ["out"]) => Action::CopyOut(body),
        _ => return None,
    })
}

fn error(rest: &str) -> Option<SqlError> {
    let (code, message) = rest.trim_start().split_once(' ').unwrap_or((rest.trim_start(), ""));
    let well_formed = code.len() == 5 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    well_formed.then(|| SqlError { code: code.to_string(), message: message.to_string() })
}

/// Writes records back as a test file; `parse` reads the same records from it.
pub fn render(records: &[Record]) -> String {
    let mut out = String::new();
    for (i, record) in records.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        render_record(&mut out, record);
    }
    out
}

fn render_record(out: &mut String, record: &Record) {
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    record.comments.iter().for_each(|comment| line(comment));
    for (only, engine) in &record.conditions {
        line(&format!("{} {engine}", if *only { "onlyif" } else { "skipif" }));
    }
    if !record.connection.is_empty() {
        line(&format!("connection {}", record.connection));
    }
    let (header, body): (String, Option<&[String]>) = match &record.action {
        Action::Statement(None) => ("statement ok".into(), None),
        Action::Statement(Some(n)) => (format!("statement count {n}"), None),
        Action::StatementError(e) => (format!("statement error {}", render_error(e)), None),
        Action::Query { types, sort, rows } => {
            let sort = if *sort == Sort::Rows { "rowsort" } else { "nosort" };
            (format!("query {types} {sort}"), Some(rows))
        }
        Action::CopyIn { data, expected: Ok(n) } => (format!("copy in count {n}"), Some(data)),
        Action::CopyIn { data, expected: Err(e) } => {
            (format!("copy in error {}", render_error(e)), Some(data))
        }
        Action::CopyOut(data) => ("copy out".into(), Some(data)),
    };
    line(&header);
    line(&record.sql);
    if let Some(body) = body {
        line("----");
        body.iter().for_each(|row| line(row));
    }
}

/// `CODE message`, on one line.
pub(crate) fn render_error(error: &SqlError) -> String {
    format!("{} {}", error.code, error.message.replace('\n', "\\n")).trim_end().to_string()
}

/// One row as it stands in a test file.
pub fn render_row<S: AsRef<str>>(cells: &[Option<S>]) -> String {
    let mut out = String::new();
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            out.push('\t');
        }
        match cell.as_ref().map(AsRef::as_ref) {
            None => out.push_str("NULL"),
            Some("") => out.push_str("(empty)"),
            Some(text) => render_cell(&mut out, text),
        }
    }
    out
}

fn render_cell(out: &mut String, text: &str) {
    let inner = text.trim_matches(' ');
    let lead = if inner.is_empty() { text.len() } else { text.len() - text.trim_start_matches(' ').len() };
    let trail = text.len() - lead - inner.len();
    out.extend(std::iter::repeat_n('␠', lead));
    for c in inner.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.extend(std::iter::repeat_n('␠', trail));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn render_and_parse_are_inverse() {
        let text = "# about\nconnection b\nstatement error 42703 column \"b\" does not exist\nSELECT b\n  FROM t\n\n\
                    onlyif postgres\nquery IT rowsort\nSELECT 1, 'x'\n----\n1\tx\n2\tNULL\n\n\
                    copy in count 2\nCOPY t FROM STDIN\n----\n1\n2\n\nstatement count 3\nDELETE FROM t\n";
        let records = parse(text).unwrap();
        assert_eq!(records.len(), 4);
        assert_eq!(records[0].connection, "b");
        assert!(!records[1].applies_to("spg"));
        assert_eq!(render(&records), text);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for text in
            ["statement maybe\nSELECT 1\n", "query I\nSELECT 1\n", "statement error nope\nX\n", "foo\n"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cells_show_blanks_and_controls() {
        let row = [Some(" a "), None, Some(""), Some("  "), Some("x\ny")];
        assert_eq!(render_row(&row), "␠a␠\tNULL\t(empty)\t␠␠\tx\\ny");
    }
}
