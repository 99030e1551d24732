//! Rules about the sources that no compiler checks: import direction, crate confinement, file
//! size, line length, banned words, module documentation, one version of shared crates.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file outside its inline test module.
const FILE_LINES_MAX: usize = 800;
/// Lines of an inline test module; longer ones go to `foo/tests.rs`.
const TEST_LINES_MAX: usize = 260;
/// Characters in a line.
const LINE_CHARS_MAX: usize = 100;

/// Modules by layer, outermost first. A module imports from its own layer's own module and from
/// layers further down, never up; modules of one layer do not import each other.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["wire", "agent"],
    &["session"],
    &["exec"],
    &["columnar::lower"],
    &["plan"],
    &["sql"],
    &["catalog"],
    &["columnar"],
    &["txn"],
    &["kv"],
    &["encoding"],
    &["functions"],
    &["types", "config", "telemetry"],
    &["clock"],
    &["error"],
];

/// Edges against the layers, each with its reason.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("encoding", "kv", "keys and entries are plain data that the codec makes and reads"),
    ("catalog", "sql", "a descriptor's stored SQL text is bound by sql; see sql::TableLookup"),
];

/// External crates and the only places that may name them.
const CONFINED: &[(&str, &[&str])] = &[
    ("pgwire", &["src/wire"]),
    ("fjall", &["src/kv/embedded"]),
    ("scylla", &["src/kv/cassandra"]),
    ("datafusion", &["src/columnar"]),
    ("parquet", &["src/columnar"]),
    ("arrow", &["src/columnar"]),
    ("object_store", &["src/columnar"]),
    ("httparse", &["src/agent"]),
    ("anyhow", &["src/main.rs"]),
    ("clap", &["src/cli", "src/main.rs"]),
];

/// Words that do not stay in sources.
const BANNED: &[(&str, &str)] = &[
    ("todo!(", "unfinished code does not land"),
    ("unimplemented!(", "refuse by name with 0A000 instead"),
    ("dbg!(", "use tracing"),
    (concat!("FIX", "ME"), "fix it, or write an issue"),
    ("#[ignore", "a test runs or does not exist"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join(dir), &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

/// The module a source file belongs to, as the layers name it.
fn module_of(file: &str) -> Option<&str> {
    let rest = file.strip_prefix("src/")?;
    if rest.starts_with("columnar/lower") {
        return Some("columnar::lower");
    }
    let first = rest.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(name, "main" | "lib")).then_some(name)
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The part of a file before its inline test module.
fn code_part(text: &str) -> &str {
    let mut from = 0;
    while let Some(at) = text[from..].find("\n#[cfg(test)]\nmod ").map(|p| p + from) {
        let line_end = text[at + 14..].find('\n').map_or(text.len(), |p| p + at + 14);
        if text[at..line_end].ends_with('{') {
            return &text[..at];
        }
        from = line_end;
    }
    text
}

fn is_test_file(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/")
}

/// Every `crate::a::b` that a piece of code names, with `{…}` groups spread out.
fn crate_paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let end = group.find("};").unwrap_or(group.len());
            let mut depth = 0;
            let mut start = 0;
            let body = &group[..end];
            for (i, c) in body.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.push(body[start..i].trim().to_owned());
                        start = i + 1;
                    }
                    _ => {}
                }
            }
            found.push(body[start..].trim().to_owned());
        } else {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            found.push(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    found
}

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    for (file, text) in sources("src") {
        let Some(module) = module_of(&file) else { continue };
        if is_test_file(&file) {
            continue;
        }
        let from = layer_of(module).unwrap_or_else(|| panic!("{file}: module has no layer"));
        for path in crate_paths(code_part(&text)) {
            let mut parts = path.split("::");
            let first = parts.next().unwrap_or_default();
            let target = match (first, parts.next()) {
                ("columnar", Some("lower")) => "columnar::lower",
                _ => first,
            };
            let Some(to) = layer_of(target) else { continue };
            let allowed = ALLOWED.iter().any(|(a, b, _)| *a == module && *b == target);
            if target != module && to <= from && !allowed {
                wrong.push(format!("{file}: {module} imports {target} (crate::{path})"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the layers:\n{}", wrong.join("\n"));
}

#[test]
fn crates_stay_in_their_module() {
    let mut wrong = Vec::new();
    for (file, text) in sources("src") {
        for (name, places) in CONFINED {
            if !text.contains(name) || places.iter().any(|p| file.starts_with(p)) {
                continue;
            }
            let named = [format!("use {name}::"), format!("use {name};"), format!(" {name}::")];
            for (n, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let padded = format!(" {code}");
                if named.iter().any(|w| padded.contains(w.as_str())) {
                    wrong.push(format!("{file}:{}: {name}", n + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "crates outside their module:\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_readable() {
    let mut wrong = Vec::new();
    for (file, text) in sources("src").into_iter().chain(sources("tests")) {
        let code = code_part(&text);
        let lines = code.lines().count();
        if lines > FILE_LINES_MAX && !is_test_file(&file) && !file.starts_with("tests/") {
            wrong.push(format!("{file}: {lines} lines; split it by what it does"));
        }
        let tests = text.lines().count() - lines;
        if tests > TEST_LINES_MAX {
            wrong.push(format!("{file}: {tests} lines of inline tests; move them to tests.rs"));
        }
        let documented = text.starts_with("//!") || text.starts_with("#![doc = include_str!");
        if !documented && !is_test_file(&file) {
            wrong.push(format!("{file}: no module documentation"));
        }
        // Tables that rustfmt leaves alone, and expectations in tests, may be wide.
        let wide = text.contains("rustfmt::skip") || text.contains("macro_rules!");
        let wide = wide || is_test_file(&file);
        for (n, line) in text.lines().enumerate() {
            let long = line.len() > LINE_CHARS_MAX && line.chars().count() > LINE_CHARS_MAX;
            if long && !wide && !line.contains("http") {
                wrong.push(format!("{file}:{}: longer than {LINE_CHARS_MAX}", n + 1));
            }
        }
        for (word, why) in BANNED.iter().filter(|_| !file.ends_with("tidy.rs")) {
            for (at, _) in text.match_indices(word) {
                let n = text[..at].lines().count();
                wrong.push(format!("{file}:{n}: {word} ({why})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} places:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn modules_are_reachable() {
    let mut wrong = Vec::new();
    let all = sources("src");
    for (file, _) in &all {
        if ["src/main.rs", "src/lib.rs"].contains(&file.as_str()) || file.ends_with("/mod.rs") {
            continue;
        }
        let stem = Path::new(file).file_stem().unwrap().to_string_lossy().into_owned();
        let dir = Path::new(file).parent().unwrap();
        let parents = [dir.join("mod.rs"), dir.with_extension("rs"), dir.join("lib.rs")];
        let declared = all.iter().any(|(name, text)| {
            parents.iter().any(|p| p == Path::new(name)) && text.contains(&format!("mod {stem};"))
        });
        if !declared {
            wrong.push(file.clone());
        }
    }
    assert!(wrong.is_empty(), "files no module declares:\n{}", wrong.join("\n"));
}

#[test]
fn shared_crates_have_one_version() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for name in ["arrow", "parquet", "object_store", "datafusion", "pgwire"] {
        let count = lock.matches(&format!("name = \"{name}\"\n")).count();
        assert_eq!(count, 1, "{name} has {count} versions in Cargo.lock");
    }
}

#[test]
fn top_level_holds_what_it_should() {
    let allowed =
        ["Cargo.toml", "Cargo.lock", "README.md", "LICENSE", "src", "schemas", "compose", "tests"];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let known = allowed.contains(&name.as_str()) || name.starts_with('.') || name == "target";
        assert!(known, "{name} does not belong at the top level");
    }
}
