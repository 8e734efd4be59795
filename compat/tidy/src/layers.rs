//! Who may use whom: the layer table of the workspace against the manifests. Dev-dependencies are exempt.

/// For each crate, without its `spg-` prefix, the crates it may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    // columnar/: data in memory and at rest.
    ("types", &[]),
    ("simd", &[]),
    ("vfs", &["types"]),
    ("wal", &["types", "vfs"]),
    ("segment", &["types", "simd", "vfs"]),
    ("store", &["types", "simd", "vfs", "wal", "segment"]),
    // exec/: SQL in, batches out.
    ("sql", &["types"]),
    ("expr", &["types", "simd"]),
    ("functions", &["types", "simd", "expr"]),
    ("plan", &["types", "sql", "expr"]),
    ("run", &["types", "simd", "vfs", "expr", "plan", "store"]),
    ("session", &["types", "sql", "expr", "plan", "run", "store"]),
    // compat/catalog: the system's relations.
    ("catalog", &["types", "expr", "store"]),
    (
        "embedded",
        &[
            "types",
            "simd",
            "vfs",
            "wal",
            "store",
            "sql",
            "expr",
            "functions",
            "plan",
            "run",
            "session",
            "catalog",
        ],
    ),
    // wire/: the only crates that know sockets.
    ("pg", &["embedded", "session", "types"]),
    ("native", &["embedded", "session", "types"]),
    ("server", &["embedded", "session", "types", "pg", "native"]),
    // compat/ and benches/: tests and measurements; the engine never depends on them.
    ("corpus", &["embedded", "types"]),
    ("tidy", &[]),
    ("crash", &["embedded", "types", "vfs", "wal", "store", "corpus"]),
    ("sim", &["types", "vfs", "store"]),
    ("micro", &["types", "simd", "expr", "functions", "run", "store"]),
    ("suite", &["corpus", "embedded"]),
];

/// Crates from outside that only some layers may use, with those layers.
const RESERVED: &[(&str, &[&str])] = &[
    ("tokio", &["pg", "native", "server", "corpus", "suite", "crash"]),
    ("pgwire", &["pg", "server"]),
    ("sqlparser", &["sql", "plan", "session"]),
    ("tokio-postgres", &["corpus", "suite", "crash"]),
    ("tpchgen", &["corpus", "suite"]),
    ("parquet", &["segment"]),
];

/// What the rule reads of a Cargo.toml.
#[derive(Debug)]
pub struct Manifest {
    /// The crate, without its `spg-` prefix.
    pub name: String,
    /// Its normal and build dependencies.
    pub dependencies: Vec<String>,
}

impl Manifest {
    /// Reads a Cargo.toml; `None` if it is not a package's manifest.
    pub fn parse(text: &str) -> Option<Self> {
        let table: toml::Table = text.parse().ok()?;
        let name = table.get("package")?.get("name")?.as_str()?.strip_prefix("spg-")?.to_string();
        let sections = ["dependencies", "build-dependencies"].into_iter().filter_map(|key| table.get(key));
        let targets = table
            .get("target")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(|targets| targets.values());
        let of_targets = targets.filter_map(|target| target.get("dependencies"));
        let dependencies = sections
            .chain(of_targets)
            .filter_map(toml::Value::as_table)
            .flat_map(|section| section.keys().cloned())
            .collect();
        Some(Self { name, dependencies })
    }
}

/// What in a manifest goes against the layer table.
pub fn layer_violations(manifest: &Manifest) -> Vec<String> {
    let name = &manifest.name;
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| layer == name) else {
        return vec![format!("spg-{name} is not in the layer table of compat/tidy/src/layers.rs")];
    };
    let refused = |dependency: &str| match dependency.strip_prefix("spg-") {
        Some(ours) => !allowed.contains(&ours),
        None => RESERVED
            .iter()
            .any(|(reserved, layers)| *reserved == dependency && !layers.contains(&name.as_str())),
    };
    let bad = manifest.dependencies.iter().filter(|dependency| refused(dependency));
    bad.map(|dependency| format!("spg-{name} may not depend on {dependency}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(name: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"spg-{name}\"\n[dependencies]\n{dependencies}\n");
        layer_violations(&Manifest::parse(&text).unwrap())
    }

    #[test]
    fn allowed_dependencies_pass() {
        assert!(
            violations("wal", "spg-types.workspace = true\nspg-vfs.workspace = true\ncrc32c = \"1\"")
                .is_empty()
        );
        assert!(violations("types", "[dev-dependencies]\nspg-store = {}").is_empty());
    }

    #[test]
    fn forbidden_dependencies_are_named() {
        assert_eq!(violations("types", "spg-store = {}"), ["spg-types may not depend on spg-store"]);
        assert_eq!(violations("plan", "tokio = \"1\""), ["spg-plan may not depend on tokio"]);
        assert_eq!(violations("run", "[target.'cfg(unix)'.dependencies]\nspg-sql = {}").len(), 1);
        assert_eq!(violations("newcomer", "").len(), 1);
    }

    #[test]
    fn the_table_has_no_circles() {
        // Each crate may only use crates that stand above it in the table, or below in its own right: follow the edges.
        fn reaches(from: &str, to: &str, depth: usize) -> bool {
            let next = LAYERS.iter().find(|(name, _)| *name == from).map_or(&[][..], |(_, uses)| uses);
            depth > 0 && next.iter().any(|name| *name == to || reaches(name, to, depth - 1))
        }
        for (name, _) in LAYERS {
            assert!(!reaches(name, name, 8), "{name} reaches itself");
        }
    }
}
