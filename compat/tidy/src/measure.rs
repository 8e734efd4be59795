//! Lengths of functions, for the list of the longest ones.

use crate::source::{Source, item_end};

/// How long something is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length {
    /// In lines.
    pub lines: usize,
    /// Its name.
    pub name: String,
}

/// Every function with its length, from `fn` to its closing brace.
pub fn functions(source: &Source) -> Vec<Length> {
    let code = source.code();
    let starts = code
        .match_indices("fn ")
        .filter(|(at, _)| code[..*at].chars().next_back().is_none_or(|c| c.is_whitespace() || c == '('));
    starts
        .map(|(at, _)| {
            let name =
                code[at + 3..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            let body = &code[at..item_end(code, at)];
            Length { lines: 1 + body.matches('\n').count(), name: name.to_string() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured() {
        let source = Source::new(
            "fn a() {}\npub fn b(\n    x: [u8; 2],\n) {\n    if x { y }\n}\ntrait T { fn c(); }\n",
        );
        let lengths: Vec<_> = functions(&source).into_iter().map(|f| (f.name, f.lines)).collect();
        assert_eq!(lengths, [("a".into(), 1), ("b".into(), 5), ("c".into(), 1)]);
    }
}
