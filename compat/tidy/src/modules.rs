//! Which files a crate's modules are in: a file that no module declares is compiled by nothing.

use std::path::{Path, PathBuf};

use crate::source::Source;

/// Whether `code` declares the module `name` in a file of its own.
pub fn declared(source: &Source, name: &str) -> bool {
    let code = source.code();
    code.match_indices("mod ").any(|(at, _)| {
        let rest = code[at + 4..].trim_start();
        let boundary = code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let name_follows = rest.strip_prefix("r#").unwrap_or(rest).strip_prefix(name);
        boundary && name_follows.is_some_and(|rest| rest.trim_start().starts_with(';'))
    })
}

/// The files that may declare the module in `path`, a file below `src/`; empty for crate roots, which need none.
pub fn parents(path: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(stem)) = (path.parent(), path.file_stem()) else { return Vec::new() };
    let in_src = dir.file_name().is_some_and(|name| name == "src");
    if (in_src && (stem == "lib" || stem == "main")) || dir.ends_with("src/bin") {
        return Vec::new();
    }
    let owner = if stem == "mod" { dir.parent().unwrap_or(dir) } else { dir };
    let mut files = vec![owner.join("mod.rs"), owner.with_extension("rs")];
    if owner.file_name().is_some_and(|name| name == "src") {
        files = vec![owner.join("lib.rs"), owner.join("main.rs")];
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_found() {
        let source =
            Source::new("mod a;\npub(crate) mod b ;\n// mod c;\nmod d { }\nmod ef;\npub mod r#type;\n");
        let found = |name| declared(&source, name);
        assert!(found("a") && found("b") && found("type"));
        assert!(!found("c") && !found("d") && !found("e") && !found("f"));
    }

    #[test]
    fn parents_of_a_file() {
        let of =
            |path: &str| parents(Path::new(path)).iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        assert!(of("x/src/lib.rs").is_empty());
        assert_eq!(of("x/src/a.rs"), ["x/src/lib.rs", "x/src/main.rs"]);
        assert_eq!(of("x/src/a/b.rs"), ["x/src/a/mod.rs", "x/src/a.rs"]);
        assert_eq!(of("x/src/a/mod.rs"), ["x/src/lib.rs", "x/src/main.rs"]);
    }
}
