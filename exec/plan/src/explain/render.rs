//! EXPLAIN's two formats.

use std::fmt::Write;

use super::ExplainStyle;
use super::describe::Node;

/// PostgreSQL's indented tree.
pub(super) fn text(node: &Node, timing: bool) -> String {
    let mut out = String::new();
    write_text(node, 0, true, timing, &mut out);
    out
}

fn write_text(node: &Node, indent: usize, root: bool, timing: bool, out: &mut String) {
    let mut indent = indent;
    if let Some(label) = &node.label {
        let _ = writeln!(out, "{:indent$}{label}", "");
        indent += 2;
    }
    let arrow = if root { "" } else { "->  " };
    let _ = write!(out, "{:indent$}{arrow}{}", "", node.title);
    if let Some(e) = node.estimate {
        let _ =
            write!(out, "  (cost={:.2}..{:.2} rows={:.0} width={:.0})", e.startup, e.cost, e.rows, e.width);
    }
    if let Some(a) = node.actual {
        match a.executed {
            true => {
                out.push_str(" (actual ");
                if timing {
                    let _ = write!(out, "time={:.3} ", a.time.as_secs_f64() * 1e3);
                }
                let _ = write!(out, "rows={}", a.rows);
                if a.bytes > 0 {
                    let _ = write!(out, " memory={}kB", a.bytes.div_ceil(1024));
                }
                out.push(')');
            }
            false => out.push_str(" (never executed)"),
        }
    }
    out.push('\n');
    let inner = if root { indent + 2 } else { indent + 6 };
    for (name, value) in &node.properties {
        let _ = writeln!(out, "{:inner$}{name}: {value}", "");
    }
    if let Some(a) = node.actual.filter(|a| a.filtered > 0) {
        let _ = writeln!(out, "{:inner$}Rows Removed by Join Filter: {}", "", a.filtered);
    }
    for input in &node.inputs {
        write_text(input, inner, false, timing, out);
    }
}

/// PostgreSQL's `FORMAT JSON`: `[{"Plan": {...}}]`.
pub(super) fn json(node: &Node, style: &ExplainStyle) -> String {
    let mut out = String::from("[\n  {\n    \"Plan\": ");
    write_json(node, 4, style.timing, &mut out);
    if style.summary {
        let _ = write!(out, ",\n    \"Planning Time\": {:.3}", style.planning.as_secs_f64() * 1e3);
        if let Some(t) = style.execution {
            let _ = write!(out, ",\n    \"Execution Time\": {:.3}", t.as_secs_f64() * 1e3);
        }
    }
    out.push_str("\n  }\n]");
    out
}

fn write_json(node: &Node, indent: usize, timing: bool, out: &mut String) {
    let inner = indent + 2;
    let mut fields: Vec<(String, String)> = vec![("Node Type".into(), quoted(&node.title))];
    if let Some(l) = &node.label {
        fields.push(("Subplan Name".into(), quoted(l)));
    }
    if let Some(e) = node.estimate {
        fields.push(("Startup Cost".into(), format!("{:.2}", e.startup)));
        fields.push(("Total Cost".into(), format!("{:.2}", e.cost)));
        fields.push(("Plan Rows".into(), format!("{:.0}", e.rows)));
        fields.push(("Plan Width".into(), format!("{:.0}", e.width)));
    }
    if let Some(a) = node.actual {
        if timing {
            fields.push(("Actual Total Time".into(), format!("{:.3}", a.time.as_secs_f64() * 1e3)));
        }
        fields.push(("Actual Rows".into(), a.rows.to_string()));
        fields.push(("Actual Loops".into(), u8::from(a.executed).to_string()));
        fields.push(("Peak Memory Usage".into(), a.bytes.div_ceil(1024).to_string()));
        if a.filtered > 0 {
            fields.push(("Rows Removed by Join Filter".into(), a.filtered.to_string()));
        }
    }
    let mut names = std::collections::HashSet::new();
    for (name, value) in &node.properties {
        // Several properties of one name (grouping sets) stand in one list.
        if !names.insert(*name) {
            continue;
        }
        let all: Vec<String> =
            node.properties.iter().filter(|(n, _)| n == name).map(|(_, v)| quoted(v)).collect();
        let value = if all.len() > 1 { format!("[{}]", all.join(", ")) } else { quoted(value) };
        fields.push(((*name).into(), value));
    }
    out.push_str("{\n");
    let last = fields.len();
    for (i, (name, value)) in fields.into_iter().enumerate() {
        let comma = if i + 1 < last || !node.inputs.is_empty() { "," } else { "" };
        let _ = writeln!(out, "{:inner$}{}: {value}{comma}", "", quoted(&name));
    }
    if !node.inputs.is_empty() {
        let _ = write!(out, "{:inner$}\"Plans\": [\n{:deeper$}", "", "", deeper = inner + 2);
        for (i, n) in node.inputs.iter().enumerate() {
            if i > 0 {
                let _ = write!(out, ",\n{:deeper$}", "", deeper = inner + 2);
            }
            write_json(n, inner + 2, timing, out);
        }
        let _ = write!(out, "\n{:inner$}]\n", "");
    }
    let _ = write!(out, "{:indent$}}}", "");
}

fn quoted(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
