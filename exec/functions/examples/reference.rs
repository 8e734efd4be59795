//! Prints every function as tab-separated lines: kind, name, what it does, example, result.
#![allow(clippy::print_stdout, reason = "it is what the program is for")]

fn main() {
    let line = |kind: &str, name: &str, doc: &str, (call, result): (&str, &str)| {
        println!("{kind}\t{name}\t{doc}\t{call}\t{result}");
    };
    for f in spg_functions::functions() {
        line("function", f.name, f.doc, f.example);
    }
    for f in spg_functions::aggregates() {
        line("aggregate", f.name, f.doc, f.example);
    }
    for f in spg_functions::windows() {
        line("window", f.name, f.doc, f.example);
    }
}
