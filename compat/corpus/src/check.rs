//! Runs the records of a file on an engine and compares, or fills the file with what the engine answers.

use std::collections::BTreeMap;
use std::fmt;

use crate::engine::{Answer, Connection, Engine};
use crate::record::{Action, Record, Sort, SqlError, render_error, render_row};

/// A record whose outcome is not the expected one.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Line of the record's header.
    pub line: usize,
    /// The statement.
    pub sql: String,
    /// What the file says.
    pub expected: String,
    /// What the engine did.
    pub actual: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: {}\n  expected: {}\n  actual:   {}",
            self.line, self.sql, self.expected, self.actual
        )
    }
}

/// The sessions of one file's run, opened as records name them.
struct Sessions<'a> {
    engine: &'a dyn Engine,
    open: BTreeMap<String, Box<dyn Connection>>,
}

impl Sessions<'_> {
    fn run(&mut self, record: &Record) -> Result<Answer, SqlError> {
        if !self.open.contains_key(&record.connection) {
            self.open.insert(record.connection.clone(), self.engine.connect()?);
        }
        let Some(connection) = self.open.get_mut(&record.connection) else {
            return Err(SqlError { code: "08003".into(), message: "no such connection".into() });
        };
        match &record.action {
            Action::Statement(_) | Action::StatementError(_) => connection.execute(&record.sql),
            Action::Query { .. } => connection.query(&record.sql),
            Action::CopyIn { data, .. } => {
                let data: String = data.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
                let affected = connection.copy_in(&record.sql, &data)?;
                Ok(Answer { affected, ..Answer::default() })
            }
            Action::CopyOut(_) => {
                let text = connection.copy_out(&record.sql)?;
                let rows = text.lines().map(|line| vec![Some(line.to_string())]).collect();
                Ok(Answer { rows, ..Answer::default() })
            }
        }
    }
}

/// Runs every record that applies to `engine`; the records that failed.
pub fn check(engine: &dyn Engine, records: &[Record]) -> Vec<Failure> {
    let mut sessions = Sessions { engine, open: BTreeMap::new() };
    let mut failures = Vec::new();
    for record in records.iter().filter(|record| record.applies_to(engine.name())) {
        let outcome = sessions.run(record);
        let actual = observed(&record.action, &outcome);
        if actual != record.action {
            let fail = Failure {
                line: record.line,
                sql: record.sql.clone(),
                expected: describe(&record.action),
                actual: match (&outcome, &record.action) {
                    (Err(error), _) => format!("error {}", render_error(error)),
                    (Ok(_), _) => describe(&actual),
                },
            };
            failures.push(fail);
        }
    }
    failures
}

/// Runs every record and writes what the engine did into it; the failures are records that erred where the file
/// expects success, or the other way round: those are left as they are.
pub fn fill(engine: &dyn Engine, records: &mut [Record]) -> Vec<Failure> {
    let mut sessions = Sessions { engine, open: BTreeMap::new() };
    let mut failures = Vec::new();
    for record in records.iter_mut().filter(|record| record.applies_to(engine.name())) {
        let outcome = sessions.run(record);
        let expects_error =
            matches!(record.action, Action::StatementError(_) | Action::CopyIn { expected: Err(_), .. });
        if outcome.is_err() == expects_error {
            record.action = observed(&record.action, &outcome);
        } else {
            failures.push(Failure {
                line: record.line,
                sql: record.sql.clone(),
                expected: describe(&record.action),
                actual: format!("{outcome:?}"),
            });
        }
    }
    failures
}

/// The action that would have expected `outcome`, in the shape of `action` where both succeed or both fail.
fn observed(action: &Action, outcome: &Result<Answer, SqlError>) -> Action {
    match (action, outcome) {
        (Action::CopyIn { data, .. }, outcome) => Action::CopyIn {
            data: data.clone(),
            expected: outcome.as_ref().map(|answer| answer.affected).map_err(one_line),
        },
        (_, Err(error)) => Action::StatementError(one_line(error)),
        (Action::Statement(Some(_)), Ok(answer)) => Action::Statement(Some(answer.affected)),
        (Action::Statement(None) | Action::StatementError(_), Ok(_)) => Action::Statement(None),
        (Action::Query { sort, .. }, Ok(answer)) => {
            let mut rows: Vec<String> = answer.rows.iter().map(|row| render_row(row)).collect();
            if *sort == Sort::Rows {
                rows.sort_unstable();
            }
            Action::Query { types: answer.types.clone(), sort: *sort, rows }
        }
        (Action::CopyOut(_), Ok(answer)) => Action::CopyOut(
            answer.rows.iter().flatten().map(|line| line.clone().unwrap_or_default()).collect(),
        ),
    }
}

fn one_line(error: &SqlError) -> SqlError {
    SqlError { code: error.code.clone(), message: error.message.replace('\n', "\\n") }
}

fn describe(action: &Action) -> String {
    let rows = |rows: &[String]| rows.iter().map(|row| format!("\n    {row}")).collect::<String>();
    match action {
        Action::Statement(None) => "ok".into(),
        Action::Statement(Some(n)) => format!("{n} rows affected"),
        Action::StatementError(error) => format!("error {}", render_error(error)),
        Action::Query { types, rows: r, .. } => format!("query {types}{}", rows(r)),
        Action::CopyIn { expected: Ok(n), .. } => format!("{n} rows copied"),
        Action::CopyIn { expected: Err(error), .. } => format!("error {}", render_error(error)),
        Action::CopyOut(lines) => format!("copy out{}", rows(lines)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{parse, render};

    /// Answers every query with the same two rows, and fails every statement that says so.
    struct Fixed;

    impl Connection for Fixed {
        fn execute(&mut self, sql: &str) -> Result<Answer, SqlError> {
            match sql {
                "fail" => Err(SqlError { code: "42601".into(), message: "no".into() }),
                _ => Ok(Answer { affected: 2, ..Answer::default() }),
            }
        }
        fn query(&mut self, _: &str) -> Result<Answer, SqlError> {
            let rows = vec![vec![Some("2".into()), None], vec![Some("1".into()), Some("a".into())]];
            Ok(Answer { types: "IT".into(), rows, affected: 2 })
        }
        fn copy_in(&mut self, _: &str, data: &str) -> Result<u64, SqlError> {
            Ok(data.lines().count() as u64)
        }
        fn copy_out(&mut self, _: &str) -> Result<String, SqlError> {
            Ok("1\n2\n".into())
        }
    }

    struct FixedEngine;

    impl Engine for FixedEngine {
        fn name(&self) -> &'static str {
            "spg"
        }
        fn connect(&self) -> Result<Box<dyn Connection>, SqlError> {
            Ok(Box::new(Fixed))
        }
    }

    const RIGHT: &str = "statement ok\nx\n\nstatement count 2\nx\n\nstatement error 42601 no\nfail\n\n\
        query IT nosort\nq\n----\n2\tNULL\n1\ta\n\nquery IT rowsort\nq\n----\n1\ta\n2\tNULL\n\n\
        copy in count 1\nc\n----\n7\n\ncopy out\nc\n----\n1\n2\n";

    #[test]
    fn matching_answers_pass() {
        assert!(check(&FixedEngine, &parse(RIGHT).unwrap()).is_empty());
    }

    #[test]
    fn every_kind_of_difference_fails() {
        for (from, to) in [
            ("count 2", "count 3"),
            ("42601 no", "42601 yes"),
            ("42601", "42602"),
            ("statement ok\nx", "statement ok\nfail"),
            ("fail", "x"),
            ("IT nosort", "TT nosort"),
            ("2\tNULL\n1\ta", "1\ta\n2\tNULL"),
            ("in count 1", "in count 2"),
            ("out\nc\n----\n1\n2", "out\nc\n----\n1\n3"),
        ] {
            let text = RIGHT.replacen(from, to, 1);
            assert_ne!(text, RIGHT);
            assert_eq!(check(&FixedEngine, &parse(&text).unwrap()).len(), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn fill_writes_what_the_engine_answers() {
        let mut records = parse(&RIGHT.replace("2\tNULL\n1\ta\n", "").replace("count 2", "count 0")).unwrap();
        assert!(fill(&FixedEngine, &mut records).is_empty());
        assert_eq!(render(&records), RIGHT);
    }
}
