//! The rules of `spg-tidy` applied to this repository.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use spg_tidy::{Length, Manifest, Source, declared, functions, layer_violations, parents, unsafe_allowed};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn files(extension: &str) -> Vec<PathBuf> {
    fn collect(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                collect(&path, extension, found);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    for folder in ["columnar", "exec", "hnsw", "wire", "compat", "benches"] {
        let folder = root().join(folder);
        if folder.exists() {
            collect(&folder, extension, &mut found);
        }
    }
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Sources below a `src/` folder: not integration tests, benches or examples.
fn sources() -> Vec<(PathBuf, Source)> {
    let paths = files("rs").into_iter().filter(|path| relative(path).contains("/src/"));
    paths.map(|path| (path.clone(), Source::new(&fs::read_to_string(&path).unwrap()))).collect()
}

#[test]
fn crates_keep_to_their_layers() {
    let manifests: Vec<_> =
        files("toml").iter().filter_map(|p| Manifest::parse(&fs::read_to_string(p).unwrap())).collect();
    assert!(manifests.len() >= 20, "only {} manifests found", manifests.len());
    let violations: Vec<_> = manifests.iter().flat_map(layer_violations).collect();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn unsafe_code_stays_on_its_islands() {
    let bad: Vec<_> = sources().iter().filter(|(_, s)| s.has_unsafe()).map(|(p, _)| relative(p)).collect();
    let bad: Vec<_> = bad.iter().filter(|path| !unsafe_allowed(path)).collect();
    assert!(bad.is_empty(), "unsafe code in {bad:#?}");
}

#[test]
fn nothing_unwraps_outside_tests() {
    // A module that is only compiled for tests may be a file of its own, declared under `#[cfg(test)]`.
    let sources = sources();
    let test_only = |path: &Path| {
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_string();
        parents(path).iter().any(|parent| {
            let text = fs::read_to_string(parent).unwrap_or_default();
            text.contains(&format!("#[cfg(test)]\nmod {stem};"))
        })
    };
    let mut bad = Vec::new();
    for (path, source) in
        sources.iter().filter(|(path, _)| !test_only(path) && !relative(path).contains("/tests/"))
    {
        bad.extend(source.unwraps().iter().map(|line| format!("{}:{line}", relative(path))));
    }
    assert!(bad.is_empty(), "unwrap or expect outside tests: {bad:#?}");
}

#[test]
fn every_module_says_what_it_is_for() {
    let all = files("rs").into_iter().map(|path| (Source::new(&fs::read_to_string(&path).unwrap()), path));
    let bad: Vec<_> = all.filter(|(s, _)| !s.has_module_doc()).map(|(_, p)| relative(&p)).collect();
    assert!(bad.is_empty(), "no //! at the top of {bad:#?}");
}

#[test]
fn every_file_belongs_to_a_module() {
    let mut orphans = Vec::new();
    for (path, _) in sources() {
        let parents = parents(&path);
        let stem =
            if path.ends_with("mod.rs") { path.parent().unwrap().file_stem() } else { path.file_stem() };
        let stem = stem.unwrap().to_str().unwrap();
        let known = parents
            .iter()
            .filter_map(|p| fs::read_to_string(p).ok())
            .any(|text| declared(&Source::new(&text), stem));
        if !parents.is_empty() && !known {
            orphans.push(relative(&path));
        }
    }
    assert!(orphans.is_empty(), "declared by no module: {orphans:#?}");
}

/// Prints, and fails on nothing: a reader's list of what to take apart next.
#[test]
fn longest_files_and_functions() {
    let (mut long_files, mut long_functions) = (Vec::new(), Vec::new());
    for (path, source) in sources() {
        let path = relative(&path);
        long_files.push(Length { lines: source.code().lines().count(), name: path.clone() });
        let named = |f: Length| Length { name: format!("{path} {}", f.name), ..f };
        long_functions.extend(functions(&source).into_iter().map(named));
    }
    assert!(!long_files.is_empty() && !long_functions.is_empty(), "nothing was measured");
    for (title, mut lengths) in [("files", long_files), ("functions", long_functions)] {
        lengths.sort_by(|a, b| b.cmp(a));
        println!("longest {title}:");
        lengths.iter().take(10).for_each(|length| println!("{:6} {}", length.lines, length.name));
    }
}
