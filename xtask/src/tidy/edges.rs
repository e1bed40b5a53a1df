//! Which crate may use which, and what must not come along.

use super::graph::{Graph, Package};

/// Our crates and the ones each may use: the table of ARCHITECTURE.md. Those of ring 2 and below 4 that are not listed
/// do not exist yet.
const EDGES: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("sys", &[]),
    ("runtime", &["types", "sys"]),
    ("snapshot", &["types", "sys"]),
    ("net", &["types", "sys"]),
    ("store", &["types"]),
    ("shim", &["types", "sys", "runtime"]),
    ("names", &["types"]),
    ("image", &["types", "store", "snapshot"]),
    ("engine", &["types", "sys", "runtime", "snapshot", "net", "store", "image", "names"]),
    ("sampan", &["types", "sys", "engine", "names"]),
];

/// The crates that stay sync through and through, their closures included.
const SYNC: &[&str] = &["types", "sys", "runtime", "snapshot", "net", "store", "shim"];

/// Sync themselves, although a crate they use has a process of its own that is not.
const SYNC_THEMSELVES: &[&str] = &["image", "engine"];

/// Runtimes of async code, and what brings one along.
const ASYNC: &[&str] = &[
    "tokio",
    "hyper",
    "async-std",
    "smol",
    "async-executor",
    "futures-executor",
    "futures-util",
    "tonic",
    "mio",
];

/// What would make the one process that each container costs large.
const NOT_IN_SHIM: &[&str] =
    &["rusqlite", "libsqlite3-sys", "clap", "clap_builder", "regex", "netlink-bindings"];

/// Tools of the project: nobody uses them, they may use anything.
const TOOLS: &[&str] = &["xtask", "sampan-tests", "sampan-bench"];

/// All edges and closures that break a rule.
pub(super) fn check(graph: &Graph) -> Vec<String> {
    let mut violations = Vec::new();
    for member in graph.members().filter(|member| !TOOLS.contains(&member.name.as_str())) {
        let name = folder(member);
        let Some((_, allowed)) = EDGES.iter().find(|(from, _)| *from == name) else {
            violations.push(format!(
                "crate `{name}` stands in no ring: add it to the table in ARCHITECTURE.md and xtask"
            ));
            continue;
        };
        for used in graph.direct(member) {
            let ours = graph.members().any(|member| member.name == used.name);
            if ours && !allowed.contains(&folder(used)) {
                violations.push(format!("crate `{name}` may not use `{}`", folder(used)));
            }
        }
        violations.extend(unwanted(graph, member, name));
    }
    violations
}

/// What a crate drags along although it must not.
fn unwanted(graph: &Graph, member: &Package, name: &str) -> Vec<String> {
    let closure = graph.closure(member);
    let mut violations = Vec::new();
    for package in ASYNC {
        if SYNC.contains(&name) && closure.contains(package) {
            violations
                .push(format!("crate `{name}` is sync, yet its closure has the async package `{package}`"));
        }
        if SYNC_THEMSELVES.contains(&name) && graph.direct(member).iter().any(|used| used.name == *package) {
            violations.push(format!("crate `{name}` is sync, yet it uses the async package `{package}`"));
        }
    }
    if name == "shim" {
        let large = NOT_IN_SHIM.iter().filter(|package| closure.contains(**package));
        violations
            .extend(large.map(|package| format!("the shim stays small, yet its closure has `{package}`")));
    }
    violations
}

/// `sampan-types` → `types`: the folder below `crates/`.
fn folder(package: &Package) -> &str {
    package.name.strip_prefix("sampan-").unwrap_or(&package.name)
}

#[cfg(test)]
mod tests {
    use super::super::graph::graph;
    use super::*;

    #[test]
    fn edges_of_the_table_pass() {
        let graph = graph(&[("sampan-store", &["sampan-types", "rusqlite"]), ("sampan-types", &["serde"])]);
        assert!(check(&graph).is_empty());
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_named() {
        let graph = graph(&[("sampan-runtime", &["sampan-store"]), ("sampan-store", &[])]);
        assert_eq!(check(&graph), ["crate `runtime` may not use `store`"]);
    }

    #[test]
    fn an_unknown_crate_is_named() {
        assert_eq!(
            check(&graph(&[("sampan-misc", &[])])),
            ["crate `misc` stands in no ring: add it to the table in ARCHITECTURE.md and xtask"]
        );
    }

    #[test]
    fn async_behind_another_package_is_found_in_a_sync_crate() {
        let graph = graph(&[("sampan-net", &["rtnetlink"]), ("rtnetlink", &["tokio"])]);
        assert_eq!(check(&graph), ["crate `net` is sync, yet its closure has the async package `tokio`"]);
    }

    #[test]
    fn the_engine_may_have_an_async_neighbour_but_not_be_async() {
        let neighbour = graph(&[("sampan-engine", &["sampan-names"]), ("sampan-names", &["tokio"])]);
        assert!(check(&neighbour).is_empty());
        let itself = graph(&[("sampan-engine", &["tokio"])]);
        assert_eq!(check(&itself), ["crate `engine` is sync, yet it uses the async package `tokio`"]);
    }

    #[test]
    fn a_large_package_is_found_in_the_shim() {
        let graph = graph(&[("sampan-shim", &["helper"]), ("helper", &["clap"])]);
        assert_eq!(check(&graph), ["the shim stays small, yet its closure has `clap`"]);
    }
}
