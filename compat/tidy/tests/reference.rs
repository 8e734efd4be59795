//! The SQL reference in `docs/reference/` is what the records of types, functions and settings say.
//!
//! `UPDATE_DOCS=1 cargo test -p spg-tidy --test reference` writes it anew.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use spg_expr::{ArgType, ReturnType};
use spg_session::{SETTINGS, SettingKind, Unit};
use spg_types::{Category, Modifier, STORAGE_PARAMETERS, TYPES};

const WRITTEN_BY: &str = "<!-- Written by `UPDATE_DOCS=1 cargo test -p spg-tidy --test reference`. -->\n\n";

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "docs/reference/{name} is not what the records say: see the top of this test");
}

/// A cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[test]
fn types() {
    let mut out =
        format!("# Types\n\n{WRITTEN_BY}| type | other names | in memory | |\n| --- | --- | --- | --- |\n");
    for t in TYPES.iter().filter(|t| !matches!(t.category, Category::Pseudo | Category::Unknown)) {
        let repr = (t.repr)(Modifier::None).data_type();
        let others: Vec<_> = t.aliases.iter().filter(|a| **a != t.sql_name).copied().collect();
        writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            t.sql_name,
            others.join(", "),
            cell(&repr.to_string()),
            cell(t.doc)
        )
        .unwrap();
    }
    check("types.md", &out);
}

fn args(args: &[ArgType], variadic: bool) -> String {
    let one = |a: &ArgType| match a {
        ArgType::Exact(t) => t.sql_name,
        ArgType::AnyCompatible => "anycompatible",
        ArgType::Any => "any",
    };
    let mut names: Vec<String> = args.iter().map(|a| one(a).to_owned()).collect();
    if let (true, Some(last)) = (variadic, names.last_mut()) {
        *last = format!("{last}, ...");
    }
    names.join(", ")
}

fn returns(r: &ReturnType) -> &'static str {
    match r {
        ReturnType::Exact(t) => t.sql_name,
        ReturnType::Compatible => "anycompatible",
        ReturnType::Of(_) => "numeric",
    }
}

struct Entry {
    name: &'static str,
    doc: &'static str,
    example: (&'static str, &'static str),
    forms: Vec<String>,
}

fn section(out: &mut String, title: &str, mut entries: Vec<Entry>) {
    entries.sort_by_key(|e| e.name);
    write!(out, "## {title}\n\n| name | forms | | example | gives |\n| --- | --- | --- | --- | --- |\n")
        .unwrap();
    for e in entries {
        let forms = cell(&e.forms.join("; "));
        let (example, result) = (cell(e.example.0), cell(e.example.1));
        writeln!(out, "| `{}` | {forms} | {} | `{example}` | `{result}` |", cell(e.name), cell(e.doc))
            .unwrap();
    }
    out.push('\n');
}

#[test]
fn functions() {
    let scalar = |operators: bool| {
        spg_functions::functions()
            .filter(|f| f.name.starts_with(|c: char| c.is_ascii_alphabetic()) != operators)
            .map(|f| Entry {
                name: f.name,
                doc: f.doc,
                example: f.example,
                forms: f
                    .signatures
                    .iter()
                    .map(|s| format!("({}) → {}", args(s.args, s.variadic), returns(&s.returns)))
                    .collect(),
            })
            .collect::<Vec<_>>()
    };
    let aggregates = spg_functions::aggregates().iter().map(|f| Entry {
        name: f.name,
        doc: f.doc,
        example: f.example,
        forms: f
            .signatures
            .iter()
            .map(|s| format!("({}) → {}", args(s.args, false), returns(&s.returns)))
            .collect(),
    });
    let windows = spg_functions::windows().iter().map(|f| Entry {
        name: f.name,
        doc: f.doc,
        example: f.example,
        forms: f
            .signatures
            .iter()
            .map(|s| format!("({}) → {}", args(s.args, false), returns(&s.returns)))
            .collect(),
    });
    let mut out = format!("# Functions and operators\n\n{WRITTEN_BY}");
    section(&mut out, "Operators", scalar(true));
    section(&mut out, "Functions", scalar(false));
    section(&mut out, "Aggregates", aggregates.collect());
    section(&mut out, "Window functions", windows.collect());
    check("functions.md", &out);
}

#[test]
fn relations() {
    let mut out = format!("# System relations\n\n{WRITTEN_BY}");
    out.push_str("Read like tables (`SELECT * FROM spg_stat_table`), written by nobody. A table of the same name in `public` is reached with its schema.\n");
    for r in spg_catalog::RELATIONS {
        let r = &r.shape;
        write!(
            out,
            "\n## {}.{}\n\n{}\n\n| column | type | |\n| --- | --- | --- |\n",
            r.schema, r.name, r.doc
        )
        .unwrap();
        for c in r.columns {
            writeln!(out, "| `{}` | {} | {} |", c.name, c.ty.sql_name, cell(c.doc)).unwrap();
        }
    }
    check("relations.md", &out);
}

#[test]
fn settings() {
    let mut out = format!("# Settings\n\n{WRITTEN_BY}`SET name = value`, `SHOW name`, `RESET name`.\n\n");
    out.push_str("| name | default | takes | |\n| --- | --- | --- | --- |\n");
    for s in SETTINGS {
        let takes = match s.kind {
            SettingKind::Bool => "on, off".to_owned(),
            SettingKind::Int { min, max, unit } => {
                let unit = match unit {
                    Unit::None => "",
                    Unit::Milliseconds => " (milliseconds without a unit)",
                    Unit::Kilobytes => " (kB without a unit)",
                };
                format!("{min} to {max}{unit}")
            }
            SettingKind::Enum(words) => words.join(", "),
            SettingKind::Text(_) => "text".to_owned(),
            SettingKind::Fixed => "fixed by the server".to_owned(),
        };
        writeln!(out, "| `{}` | `{}` | {} | {} |", s.name, s.default, cell(&takes), cell(s.doc)).unwrap();
    }
    out.push_str("\n## Storage parameters\n\n`CREATE TABLE t (...) WITH (name = value)`, `ALTER TABLE t SET (name = value)`, ");
    out.push_str("`ALTER TABLE t RESET (name)`.\n\n| name | takes | |\n| --- | --- | --- |\n");
    for p in STORAGE_PARAMETERS {
        writeln!(out, "| `{}` | {} to {} | {} |", p.name, p.min, p.max, cell(p.doc)).unwrap();
    }
    check("settings.md", &out);
}
