//! TPC-H: schema, data and the 22 queries with their validation parameters, in PostgreSQL's dialect.
//!
//! Source: TPC Benchmark H, revision 3; the data comes from crate `tpchgen`. Query 15 is the variant with a common
//! table expression.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{BufWriter, Error, Result, Write};
use std::path::{Path, PathBuf};

use tpchgen::csv;
use tpchgen::generators as generate;

const SCHEMA: &str = include_str!("../tpch/schema.sql");

macro_rules! queries {
    ($($number:literal),*) => { [$(include_str!(concat!("../tpch/queries/q", $number, ".sql"))),*] };
}

const QUERIES: [&str; 22] = queries!(
    "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17",
    "18", "19", "20", "21", "22"
);

/// One of the eight tables.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    primary_key: &'static str,
    foreign_keys: &'static [(&'static str, &'static str)],
}

/// The tables in an order in which they can be loaded with foreign keys in place.
pub const TABLES: [Table; 8] = [
    Table { name: "region", primary_key: "r_regionkey", foreign_keys: &[] },
    Table { name: "nation", primary_key: "n_nationkey", foreign_keys: &[("n_regionkey", "region")] },
    Table { name: "supplier", primary_key: "s_suppkey", foreign_keys: &[("s_nationkey", "nation")] },
    Table { name: "customer", primary_key: "c_custkey", foreign_keys: &[("c_nationkey", "nation")] },
    Table { name: "part", primary_key: "p_partkey", foreign_keys: &[] },
    Table {
        name: "partsupp",
        primary_key: "ps_partkey, ps_suppkey",
        foreign_keys: &[("ps_partkey", "part"), ("ps_suppkey", "supplier")],
    },
    Table { name: "orders", primary_key: "o_orderkey", foreign_keys: &[("o_custkey", "customer")] },
    Table {
        name: "lineitem",
        primary_key: "l_orderkey, l_linenumber",
        foreign_keys: &[("l_orderkey", "orders"), ("l_partkey, l_suppkey", "partsupp")],
    },
];

/// Which constraints the tables are created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// NOT NULL only.
    None,
    /// Primary keys.
    Primary,
    /// Primary and foreign keys.
    PrimaryAndForeign,
}

impl Table {
    /// Its CREATE TABLE statement.
    pub fn create(&self, keys: Keys) -> String {
        let start = format!("create table {} (", self.name);
        let body =
            SCHEMA.split(';').find_map(|statement| statement.trim().strip_prefix(&start)).unwrap_or_default();
        let mut sql = format!("{start}{}", body.trim_end().trim_end_matches(')').trim_end());
        if keys != Keys::None {
            sql += &format!(",\n    primary key ({})", self.primary_key);
        }
        if keys == Keys::PrimaryAndForeign {
            for (columns, parent) in self.foreign_keys {
                sql += &format!(",\n    foreign key ({columns}) references {parent}");
            }
        }
        sql + "\n)"
    }

    /// The statement that loads its CSV data.
    pub fn copy_in(&self) -> String {
        format!("copy {} from stdin (format csv)", self.name)
    }

    /// Writes its rows at a scale factor as CSV without a header; the number of rows.
    pub fn write_csv(&self, scale: f64, out: &mut impl Write) -> Result<usize> {
        let s = scale;
        match self.name {
            "region" => lines(out, generate::RegionGenerator::default().iter().map(csv::RegionCsv::new)),
            "nation" => lines(out, generate::NationGenerator::default().iter().map(csv::NationCsv::new)),
            "supplier" => {
                lines(out, generate::SupplierGenerator::new(s, 1, 1).iter().map(csv::SupplierCsv::new))
            }
            "customer" => {
                lines(out, generate::CustomerGenerator::new(s, 1, 1).iter().map(csv::CustomerCsv::new))
            }
            "part" => lines(out, generate::PartGenerator::new(s, 1, 1).iter().map(csv::PartCsv::new)),
            "partsupp" => {
                lines(out, generate::PartSuppGenerator::new(s, 1, 1).iter().map(csv::PartSuppCsv::new))
            }
            "orders" => lines(out, generate::OrderGenerator::new(s, 1, 1).iter().map(csv::OrderCsv::new)),
            _ => lines(out, generate::LineItemGenerator::new(s, 1, 1).iter().map(csv::LineItemCsv::new)),
        }
    }
}

fn lines<T: Display>(out: &mut impl Write, rows: impl Iterator<Item = T>) -> Result<usize> {
    let mut count = 0;
    for row in rows {
        writeln!(out, "{row}")?;
        count += 1;
    }
    Ok(count)
}

/// Writes every table as `<dir>/<table>.csv`, unless a complete earlier run at the same scale left it there; the rows
/// of each table.
pub fn generate_csv(scale: f64, dir: &Path) -> Result<Vec<usize>> {
    fs::create_dir_all(dir)?;
    let mut counts = Vec::new();
    for table in &TABLES {
        let (path, done) = (csv_path(dir, table), dir.join(format!("{}.{scale}.rows", table.name)));
        if let Some(rows) = fs::read_to_string(&done).ok().and_then(|text| text.parse().ok()) {
            counts.push(rows);
            continue;
        }
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let rows = table.write_csv(scale, &mut out)?;
        out.flush()?;
        fs::write(done, rows.to_string())?;
        counts.push(rows);
    }
    Ok(counts)
}

/// Where [`generate_csv`] puts a table.
pub fn csv_path(dir: &Path, table: &Table) -> PathBuf {
    dir.join(format!("{}.csv", table.name))
}

/// The 22 queries at a scale factor (query 11 depends on it), without a semicolon.
pub fn queries(scale: f64) -> Vec<String> {
    let fraction = format!("{:.10}", 0.0001 / scale);
    QUERIES.iter().map(|sql| sql.trim_end().replace(":FRACTION", &fraction)).collect()
}

/// The scale factor of the answers that are kept with the tests.
pub const GOLDEN_SCALE: f64 = 0.01;

/// The directory of the answers at [`GOLDEN_SCALE`], `q01.tsv` to `q22.tsv`.
pub fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tpch/answers")
}

/// The answers in a directory, as rows of tab-separated cells.
pub fn read_answers(dir: &Path) -> Result<Vec<Vec<String>>> {
    let read = |number: usize| {
        let path = dir.join(format!("q{number:02}.tsv"));
        let text = fs::read_to_string(&path).map_err(|e| Error::other(format!("{}: {e}", path.display())))?;
        Ok(text.lines().map(str::to_string).collect())
    };
    (1..=QUERIES.len()).map(read).collect()
}

/// Whether two answers are the same: numbers to nine digits (engines differ in the scale of averages and in exact
/// against floating-point division), text without blanks at its ends, rows in order or, where a query leaves ties, in any.
pub fn same_answer(left: &[String], right: &[String]) -> bool {
    let equal = |left: &[String], right: &[String]| {
        left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same_row(l, r))
    };
    let sorted = |rows: &[String]| {
        let mut rows = rows.to_vec();
        rows.sort_by_cached_key(|row| row.split('\t').map(rough).collect::<Vec<_>>());
        rows
    };
    equal(left, right) || equal(&sorted(left), &sorted(right))
}

fn same_row(left: &str, right: &str) -> bool {
    let (left, right): (Vec<_>, Vec<_>) = (left.split('\t').collect(), right.split('\t').collect());
    left.len() == right.len() && left.iter().zip(&right).all(|(l, r)| same_cell(l, r))
}

fn same_cell(left: &str, right: &str) -> bool {
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(l), Ok(r)) => (l - r).abs() <= 1e-9 * l.abs().max(r.abs()),
        _ => trimmed(left) == trimmed(right),
    }
}

fn rough(cell: &str) -> String {
    cell.parse::<f64>().map_or_else(|_| trimmed(cell).to_string(), |x| format!("{x:.6e}"))
}

fn trimmed(cell: &str) -> &str {
    cell.trim_matches([' ', '␠'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_compare_by_value() {
        let rows = |rows: &[&str]| rows.iter().map(|row| row.to_string()).collect::<Vec<_>>();
        assert!(same_answer(&rows(&["A ␠\t1.50"]), &rows(&["A\t1.5"])));
        assert!(same_answer(&rows(&["a\t1", "b\t2"]), &rows(&["b\t2.0", "a\t1"])));
        assert!(!same_answer(&rows(&["a\t1"]), &rows(&["a\t1.0001"])));
        assert!(!same_answer(&rows(&["a\t1"]), &rows(&["a\t1", "a\t1"])));
        assert!(!same_answer(&rows(&["a\tNULL"]), &rows(&["a\t0"])));
    }

    #[test]
    fn tables_are_created_with_the_keys_asked_for() {
        for table in &TABLES {
            assert!(table.create(Keys::None).ends_with("\n)"));
            assert!(table.create(Keys::Primary).contains("primary key ("));
        }
        let sql = TABLES[7].create(Keys::PrimaryAndForeign);
        assert!(
            sql.contains("l_comment varchar(44) not null,\n    primary key (l_orderkey, l_linenumber),"),
            "{sql}"
        );
        assert!(sql.contains("foreign key (l_partkey, l_suppkey) references partsupp"));
    }
}
