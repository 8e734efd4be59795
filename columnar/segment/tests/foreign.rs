//! Other Parquet readers open a segment and see the same rows.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{every_type, rows, write};
use rand::SeedableRng;
use rand::rngs::StdRng;
use spg_segment::{SegmentColumn, SegmentReader, WriteOptions};
use spg_types::{Datum, FormatSettings, Repr, def};
use spg_vfs::RealVfs;

/// The Python that has the readers: of the environment that `DUCKDB_VENV` names, or the system's.
fn python() -> String {
    match std::env::var("DUCKDB_VENV") {
        Ok(venv) => format!("{venv}/bin/python"),
        Err(_) => "python3".into(),
    }
}

/// Prints every row, its values separated by `|`; NULL for none.
const SCRIPT: &str = r#"
import sys, decimal
reader, path = sys.argv[1:3]
def text(v):
    if v is None: return "NULL"
    if isinstance(v, bool): return "t" if v else "f"
    if isinstance(v, bytes): return v.hex()
    if isinstance(v, float): return repr(v)
    return str(v)
if reader == "duckdb":
    import duckdb
    found = duckdb.sql(f"select * from read_parquet('{path}')").fetchall()
else:
    import pyarrow.parquet
    table = pyarrow.parquet.read_table(path, page_checksum_verification=False)
    found = list(zip(*[c.to_pylist() for c in table.columns])) if table.num_columns else []
for row in found:
    print("|".join(text(v) for v in row))
"#;

/// Columns whose values print the same in Python.
fn shared_types() -> Vec<SegmentColumn> {
    let mut columns = every_type();
    columns.retain(|c| {
        !matches!(
            c.ty.repr(),
            Repr::Numeric | Repr::Interval | Repr::Uuid | Repr::TimestampTz | Repr::Float32 | Repr::Float64
        )
    });
    columns
}

fn expected(segment: &SegmentReader) -> Vec<String> {
    let settings = FormatSettings::default();
    let mut lines = Vec::new();
    for (g, group) in segment.groups().iter().enumerate() {
        let arrays: Vec<_> =
            (0..segment.columns().len()).map(|c| segment.read_column(g, c).unwrap()).collect();
        for row in 0..group.rows {
            let value = |(column, array): (&SegmentColumn, &arrow::array::ArrayRef)| match Datum::from_column(
                array, row, column.ty,
            )
            .unwrap()
            {
                Datum::Null => "NULL".to_string(),
                Datum::Binary(v) => v.iter().map(|b| format!("{b:02x}")).collect(),
                Datum::Bool(v) => {
                    if v {
                        "t".into()
                    } else {
                        "f".into()
                    }
                }
                d => d.to_text(column.ty, &settings).unwrap(),
            };
            lines.push(segment.columns().iter().zip(&arrays).map(value).collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

fn without_extremes(columns: &[SegmentColumn], len: usize, seed: u64) -> Vec<arrow::array::ArrayRef> {
    let mut rng = StdRng::seed_from_u64(seed);
    let group = rows(columns, len, &mut rng);
    // Infinite dates and the hour 24 are SPG's own.
    let clean = |(column, array): (&SegmentColumn, &arrow::array::ArrayRef)| {
        let mut b = spg_types::ColumnBuilder::new(column.ty, len);
        for row in 0..len {
            let d = Datum::from_column(array, row, column.ty).unwrap();
            let d = match d {
                Datum::Date(v) if v.unsigned_abs() > 100_000 => Datum::Date(1),
                Datum::Timestamp(v) if v.unsigned_abs() > 1 << 60 => Datum::Timestamp(1_000_000),
                Datum::Timestamp(v) => Datum::Timestamp(v - v % 1_000_000),
                Datum::Time(v) => Datum::Time((v - v % 1_000_000) % 86_400_000_000),
                d => d,
            };
            b.append_datum(&d).unwrap();
        }
        b.finish()
    };
    columns.iter().zip(&group).map(clean).collect()
}

#[test]
fn duckdb_and_pyarrow_see_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("seg_1.spg");
    let columns = shared_types();
    assert!(columns.iter().any(|c| c.ty.is(&def::NUMERIC)) && columns.len() > 12);
    let groups = [without_extremes(&columns, 3000, 1), without_extremes(&columns, 500, 2)];
    let options = WriteOptions { page_rows: 1000, ..WriteOptions::default() };
    let segment = write(&RealVfs, &path, &columns, &groups, options);
    let expected = expected(&segment);
    for (reader, module) in [("duckdb", "duckdb"), ("pyarrow", "pyarrow.parquet")] {
        let there = Command::new(python()).args(["-c", &format!("import {module}")]).output();
        if !there.is_ok_and(|o| o.status.success()) {
            println!(
                "skipped: no Python with {module}; set DUCKDB_VENV to a virtual environment that has it"
            );
            continue;
        }
        let lines = run(reader, &path);
        for (row, (found, expected)) in lines.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{reader}, row {row}");
        }
        assert_eq!(lines.len(), expected.len(), "{reader}");
    }
}

fn run(reader: &str, path: &Path) -> Vec<String> {
    let output = Command::new(python()).args(["-c", SCRIPT, reader]).arg(path).output().unwrap();
    assert!(output.status.success(), "{reader}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_string).collect()
}
