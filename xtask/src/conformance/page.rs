//! The table of areas and runtimes: for a terminal, and as the page `docs/dev/conformance.md`.

use super::{Behind, Column, Verdicts};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Passed, failed and skipped cases of one area.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    fn shown(self) -> String {
        format!("{} / {} / {}", self.passed, self.failed, self.skipped)
    }
}

/// The area of a case: what stands before its last name.
fn area(name: &str) -> &str {
    name.split_once("::").map_or(name, |(area, _)| area)
}

fn counts(verdicts: &Verdicts) -> BTreeMap<&str, Counts> {
    let mut areas: BTreeMap<&str, Counts> = BTreeMap::new();
    verdicts.passed.iter().for_each(|name| areas.entry(area(name)).or_default().passed += 1);
    verdicts.failed.iter().for_each(|name| areas.entry(area(name)).or_default().failed += 1);
    verdicts.skipped.keys().for_each(|name| areas.entry(area(name)).or_default().skipped += 1);
    areas
}

/// Rows of cells: the head, one for each area, and the sum.
fn rows(columns: &[Column]) -> Vec<Vec<String>> {
    let all: BTreeSet<&str> =
        columns.iter().flat_map(|column| column.verdicts.names()).map(|name| area(name)).collect();
    let by_area: Vec<_> = columns.iter().map(|column| counts(&column.verdicts)).collect();
    let row = |title: &str, cells: Vec<Counts>| {
        std::iter::once(title.to_owned()).chain(cells.into_iter().map(Counts::shown)).collect::<Vec<_>>()
    };
    let mut rows = vec![
        std::iter::once("area".to_owned()).chain(columns.iter().map(|column| column.name.clone())).collect(),
    ];
    for name in all {
        rows.push(row(
            name,
            by_area.iter().map(|areas| areas.get(name).copied().unwrap_or_default()).collect(),
        ));
    }
    let sum = |column: &Column| Counts {
        passed: column.verdicts.passed.len(),
        failed: column.verdicts.failed.len(),
        skipped: column.verdicts.skipped.len(),
    };
    rows.push(row("all", columns.iter().map(sum).collect()));
    rows
}

/// The table for a terminal.
pub(super) fn summary(columns: &[Column]) -> String {
    let rows = rows(columns);
    let width =
        |index: usize| rows.iter().filter_map(|row| row.get(index)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=columns.len()).map(width).collect();
    let mut text = String::from("passed / failed / skipped\n");
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    for column in columns {
        let source = if column.from_cache { " (verdicts of an earlier run of the same suite)" } else { "" };
        _ = writeln!(text, "{}: {}{source}", column.name, column.version);
        if !column.verdicts.flaky.is_empty() {
            let names: Vec<&str> = column.verdicts.flaky.iter().map(String::as_str).collect();
            _ = writeln!(text, "{}: passed only when run again alone: {}", column.name, names.join(", "));
        }
    }
    text
}

/// The page.
pub(super) fn page(columns: &[Column], behind: &Behind) -> String {
    let mut text = String::from(
        "# Conformance of the OCI runtime\n\n\
         Written by `cargo xtask conformance`; do not edit. The suite in `tests/oci` states what callers of a runtime rely on, clause by clause, \
         and drives each runtime by its command line. Cells are cases passed / failed / skipped.\n\n",
    );
    for (index, row) in rows(columns).iter().enumerate() {
        _ = writeln!(text, "| {} |", row.join(" | "));
        if index == 0 {
            _ = writeln!(text, "|{}", " --- |".repeat(row.len()));
        }
    }
    let versions: Vec<&str> = columns.iter().map(|column| column.version.as_str()).collect();
    _ = writeln!(text, "\nRun: {}.", versions.join(", "));
    let Some((ours, peers)) = columns.split_last() else { return text };
    let missing = |names: Vec<&String>, why: &dyn Fn(&str) -> String| {
        names.iter().fold(String::new(), |all, name| all + &format!("- `{name}`{}\n", why(name)))
    };
    let passes = |name: &String| peers.iter().any(|peer| peer.verdicts.passed.contains(name));
    let reason = |name: &str| behind.reasons.get(name).map(|why| format!(": {why}")).unwrap_or_default();
    let (lost, nobody): (Vec<&String>, Vec<&String>) =
        ours.verdicts.failed.iter().partition(|name| passes(name));
    text += "\n## Where runc or crun passes and ours does not\n\n";
    text += &if lost.is_empty() { "Nowhere.\n".to_owned() } else { missing(lost, &reason) };
    if !nobody.is_empty() {
        text += "\n## What none of them passes\n\n";
        text += &missing(nobody, &reason);
    }
    for peer in peers {
        let names = peer.verdicts.failed.iter().filter(|name| ours.verdicts.passed.contains(*name)).collect();
        _ = writeln!(text, "\n## What ours passes and {} does not\n", peer.name);
        text += &missing(names, &|_: &str| String::new());
    }
    if !ours.verdicts.skipped.is_empty() {
        text += "\n## What this machine cannot show\n\n";
        for (name, why) in &ours.verdicts.skipped {
            _ = writeln!(text, "- `{name}`: {why}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, passed: &[&str], failed: &[&str]) -> Column {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let verdicts = Verdicts { passed: names(passed), failed: names(failed), ..Verdicts::default() };
        Column { name: name.to_owned(), version: format!("{name} 1"), verdicts, from_cache: false }
    }

    #[test]
    fn the_page_says_where_ours_is_behind_and_where_nobody_is_ahead() {
        let columns = [
            column("runc", &["a::x", "b::y"], &["a::z"]),
            column("crun", &["b::y"], &["a::x", "a::z"]),
            column("sampan", &["b::y"], &["a::x", "a::z"]),
        ];
        let page = page(&columns, &Behind::default());
        assert!(page.contains("| a | 1 / 1 / 0 | 0 / 2 / 0 | 0 / 2 / 0 |"), "{page}");
        assert!(page.contains("passes and ours does not\n\n- `a::x`\n"), "{page}");
        assert!(page.contains("none of them passes\n\n- `a::z`\n"), "{page}");
        assert!(summary(&columns).contains("all   2 / 1 / 0"), "{}", summary(&columns));
    }
}
