//! What may stand in a source file: `unsafe` only in `sys`, no file too long to read.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// The most lines a file may have; the median is to be near 120.
const LONGEST: usize = 500;

/// Where `unsafe` may stand.
const UNSAFE: &str = "crates/sys/";

/// Checks every Rust file of the checkout below `crates`, `xtask`, `tests` and `bench`.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for folder in ["crates", "xtask", "tests", "bench"] {
        for path in rust_files(&root.join(folder))? {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            violations.extend(file(&name, &text));
        }
    }
    Ok(violations)
}

/// What breaks a rule in one file.
fn file(name: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        violations.push(format!("{name} has {lines} lines, more than {LONGEST}: split it by subject"));
    }
    if !name.starts_with(UNSAFE) {
        let found = text.lines().enumerate().filter(|(_, line)| has_unsafe(line));
        violations.extend(found.map(|(index, _)| format!("{name}:{}: `unsafe` outside `sys`", index + 1)));
    }
    violations
}

/// Whether a line has the keyword, apart from comments, strings and the lint's name.
fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let outside_strings: String = code.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let word = |character: char| !(character.is_alphanumeric() || character == '_');
    outside_strings.split(word).any(|word| word == "unsafe")
}

/// All `.rs` files below a folder, in order.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyword_is_found_and_mentions_of_it_are_not() {
        let text = "// unsafe\nlet a = \"unsafe\";\n#![forbid(unsafe_code)]\nunsafe { go() }\n";
        assert_eq!(file("crates/net/src/a.rs", text), ["crates/net/src/a.rs:4: `unsafe` outside `sys`"]);
        assert!(file("crates/sys/src/a.rs", text).is_empty());
    }

    #[test]
    fn a_long_file_is_named() {
        let text = "\n".repeat(501);
        assert_eq!(
            file("xtask/src/a.rs", &text),
            ["xtask/src/a.rs has 501 lines, more than 500: split it by subject"]
        );
        assert!(file("xtask/src/a.rs", &"\n".repeat(500)).is_empty());
    }
}
